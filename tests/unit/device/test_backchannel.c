/*
 * What the device tells its front-end unasked: one message at a time, each once, whatever the
 * front-end does with the socket it gave.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/backchannel.h"
#include "lib/fd.h"
#include "lib/util.h"

static struct backchannel back;
static int peer;

static int set_up(void **state)
{
	int pair[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -1;
	back_init(&back);
	back_set(&back, pair[0]);
	peer = pair[1];
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fd_close(&back.sock);
	fd_close(&peer);
	return 0;
}

struct heard {
	struct vu_header head;
	struct vu_vring_state ring;
};

/* The next message: its number, 0 none there. */
static int hear(struct heard *m)
{
	memset(m, 0, sizeof(*m));
	if (recv(peer, &m->head, sizeof(m->head), MSG_DONTWAIT) != sizeof(m->head))
		return 0;
	if (m->head.size)
		assert_int_equal(sizeof(m->ring),
				 recv(peer, &m->ring, sizeof(m->ring), MSG_DONTWAIT));
	return (int)m->head.request;
}

static void answer(uint32_t request, uint32_t flags, uint32_t size, size_t bytes)
{
	struct {
		struct vu_header head;
		uint32_t value[2];
	} reply = { { request, flags, size }, { 0, 0 } };

	assert_int_equal(bytes, send(peer, &reply, bytes, MSG_NOSIGNAL));
	back_ready(&back, POLLIN);
}

#define REPLY (VU_VERSION | VU_FLAG_REPLY)

static void one_at_a_time(void **state)
{
	struct heard m;

	(void)state;
	back_call(&back, 3);
	back_call(&back, 3);
	back_call(&back, 1);
	back_err(&back, 1);
	back_call(&back, 256);
	assert_int_equal(VU_BACK_VRING_CALL, hear(&m));
	assert_int_equal(VU_VERSION | VU_FLAG_NEED_REPLY, m.head.flags);
	assert_int_equal(3, m.ring.index);
	assert_int_equal(0, hear(&m));
	back_config(&back);
	assert_int_equal(0, hear(&m)); /* it waits its turn too */
	answer(VU_BACK_VRING_CALL, REPLY, 8, 20);
	assert_int_equal(VU_BACK_CONFIG_CHANGE, hear(&m));
	assert_int_equal(VU_VERSION, m.head.flags);
	assert_int_equal(0, m.head.size);
	assert_int_equal(VU_BACK_VRING_CALL, hear(&m));
	assert_int_equal(1, m.ring.index);
	answer(VU_BACK_VRING_CALL, REPLY, 8, 20);
	assert_int_equal(VU_BACK_VRING_ERR, hear(&m));
	assert_int_equal(1, m.ring.index);
	answer(VU_BACK_VRING_ERR, REPLY, 8, 20);
	/* said again while it was under way, it is said again */
	assert_int_equal(VU_BACK_VRING_CALL, hear(&m));
	assert_int_equal(3, m.ring.index);
	answer(VU_BACK_VRING_CALL, REPLY, 8, 20);
	assert_int_equal(VU_BACK_VRING_CALL, hear(&m));
	assert_int_equal(256, m.ring.index);
	answer(VU_BACK_VRING_CALL, REPLY, 8, 20);
	assert_int_equal(0, hear(&m));
	assert_int_equal(POLLIN, back_events(&back));
}

static void answers_of_no_kind(void **state)
{
	static const struct {
		uint32_t request, flags, size;
		bool asked;
	} rows[] = {
		{ VU_BACK_VRING_CALL, REPLY, 8, false },
		{ VU_BACK_VRING_ERR, REPLY, 8, true },
		{ VU_BACK_VRING_CALL, VU_VERSION, 8, true },
		{ VU_BACK_VRING_CALL, REPLY, 4, true },
		{ VU_BACK_VRING_CALL, REPLY, 0xffffffff, true },
		{ 0, 0, 0, true },
		{ VU_BACK_VRING_CALL, REPLY | 0x10, 8, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		tear_down(NULL);
		set_up(NULL);
		if (rows[i].asked)
			back_call(&back, 0);
		answer(rows[i].request, rows[i].flags, rows[i].size, 20);
		assert_int_equal(-1, back.sock); /* the channel is lost, and nothing else */
		back_call(&back, 0);
		back_config(&back);
		assert_false(back.calls[0] || back.config);
	}
}

static void answer_in_pieces(void **state)
{
	struct heard m;
	struct {
		struct vu_header head;
		uint32_t value[2];
	} reply = { { VU_BACK_VRING_CALL, REPLY, 8 }, { 0, 0 } };

	(void)state;
	back_call(&back, 0);
	back_call(&back, 1);
	assert_int_equal(VU_BACK_VRING_CALL, hear(&m));
	for (size_t i = 0; i < 20; i++) {
		assert_int_equal(0, hear(&m));
		assert_int_equal(1, send(peer, (char *)&reply + i, 1, 0));
		back_ready(&back, POLLIN);
	}
	assert_int_equal(VU_BACK_VRING_CALL, hear(&m));
	assert_int_equal(1, m.ring.index);
}

static void descriptors_in_an_answer(void **state)
{
	int fd = 0, before = dup(0), after;

	(void)state;
	close(before);
	back_call(&back, 0);
	assert_int_equal(20, fd_send(peer, "12345678901234567890", 20, &fd, 1));
	back_ready(&back, POLLIN);
	after = dup(0);
	close(after);
	assert_int_equal(-1, back.sock);
	assert_true(after <= before);
}

/* A front-end that listens to nothing costs a bit a ring, and no time. */
static void deaf_front_end(void **state)
{
	int small = 1;

	(void)state;
	setsockopt(back.sock, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	for (int i = 0; i < 10000; i++) {
		back_call(&back, (unsigned int)i % 257);
		back_config(&back);
	}
	back_ready(&back, POLLOUT);
	assert_true(back.sock >= 0);
}

static void front_end_that_hangs_up(void **state)
{
	(void)state;
	fd_close(&peer);
	back_ready(&back, POLLIN | POLLHUP);
	assert_int_equal(-1, back.sock);
	set_up(NULL);
	fd_close(&peer);
	back_call(&back, 0); /* EPIPE, and no signal */
	assert_int_equal(-1, back.sock);
}

static void socket_replaced(void **state)
{
	int pair[2];
	struct heard m;

	(void)state;
	back_call(&back, 0);
	back_call(&back, 1);
	assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	back_set(&back, pair[0]);
	fd_close(&peer);
	peer = pair[1];
	assert_int_equal(0, hear(&m)); /* what was noted for the other is forgotten */
	back_call(&back, 2);
	assert_int_equal(VU_BACK_VRING_CALL, hear(&m));
	assert_int_equal(2, m.ring.index);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_at_a_time),	TEST(answers_of_no_kind),
		TEST(answer_in_pieces), TEST(descriptors_in_an_answer),
		TEST(deaf_front_end),	TEST(front_end_that_hangs_up),
		TEST(socket_replaced),
	};

	return cmocka_run_group_tests_name("backchannel", tests, NULL, NULL);
}
