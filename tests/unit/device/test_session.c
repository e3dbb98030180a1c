/*
 * The framing of a vhost-user connection: whatever bytes and descriptors come, in whatever pieces,
 * they are a message, wait to become one, or end the connection; nothing is left behind.
 */
#include "tests/unit/device/served.h"

#include "lib/clock.h"

static void whole_messages(void **state)
{
	(void)state;
	assert_true(ask_u64(VU_GET_FEATURES) & BIT_ULL(VU_F_PROTOCOL_FEATURES));
	assert_int_equal(POLLIN, session_events(&served.session));
	assert_int_equal(0, served.session.deadline);
	assert_int_equal(1, served.session.requests);
}

static void byte_at_a_time(void **state)
{
	struct vu_message m = message(VU_SET_VRING_NUM, OK, 8), answer;

	(void)state;
	negotiate();
	m.state.num = 64;
	for (int i = 0; i < 3; i++) {
		for (size_t n = 0; n < 20; n++) {
			assert_int_equal(0, hear(&answer));
			say_raw((char *)&m.head + n, 1, NULL, 0);
			served_turn();
			assert_true(n == 19 || served.session.deadline);
		}
		assert_int_equal(1, hear(&answer));
		assert_int_equal(0, answer.u64);
		assert_int_equal(0, served.session.deadline);
	}
}

/* The clock runs from the first byte on, however often more come. */
static void slow_loris(void **state)
{
	struct vu_message m = message(VU_SET_FEATURES, OK, 8);
	int64_t now = clock_ms(), deadline;

	(void)state;
	say_raw(&m.head, 1, NULL, 0);
	served_turn();
	deadline = served.session.deadline;
	assert_in_range(deadline - now, 4900, 5100);
	for (size_t n = 1; n < 15; n++) {
		usleep(2000);
		say_raw((char *)&m.head + n, 1, NULL, 0);
		served_turn();
		assert_int_equal(deadline, served.session.deadline);
	}
	assert_int_equal(-ETIMEDOUT, session_expired(&served.session));
	assert_int_equal(EVENT_MESSAGE_SLOW, last_event());
}

/* clang-format off */
static const struct row {
	const char *name;
	struct vu_header head;
	size_t bytes; /* of payload that come */
	size_t fds;
	int outcome;
} rows[] = {
	{ "SET_OWNER", { VU_SET_OWNER, OK, 0 }, 0, 0, 0 },
	{ "no answer wanted", { VU_SET_OWNER, VU_VERSION, 0 }, 0, 0, NOTHING },
	{ "version 0", { VU_SET_OWNER, 0, 0 }, 0, 0, CLOSED },
	{ "version 2", { VU_SET_OWNER, 2, 0 }, 0, 0, CLOSED },
	{ "version 3", { VU_SET_OWNER, 3, 0 }, 0, 0, CLOSED },
	{ "REPLY bit", { VU_SET_OWNER, VU_VERSION | VU_FLAG_REPLY, 0 }, 0, 0, CLOSED },
	{ "reserved flag", { VU_SET_OWNER, VU_VERSION | 0x10, 0 }, 0, 0, CLOSED },
	{ "highest flag", { VU_SET_OWNER, VU_VERSION | 0x80000000, 0 }, 0, 0, CLOSED },
	{ "size > max", { VU_SET_CONFIG, OK, VU_PAYLOAD_MAX + 1 }, 0, 0, CLOSED },
	{ "size of 4 GiB - 1", { VU_SET_FEATURES, OK, UINT32_MAX }, 8, 0, CLOSED },
	{ "size that wraps with its head", { VU_SET_FEATURES, OK, UINT32_MAX - 11 }, 0, 0, CLOSED },
	{ "size too large for the type", { VU_SET_FEATURES, OK, 16 }, 16, 0, CLOSED },
	{ "size too small for the type", { VU_SET_FEATURES, OK, 7 }, 7, 0, CLOSED },
	{ "payload where there is none", { VU_SET_OWNER, OK, 8 }, 8, 0, CLOSED },
	{ "no payload where there is one", { VU_SET_FEATURES, OK, 0 }, 0, 0, CLOSED },
	{ "fd on a no-fd message", { VU_SET_OWNER, OK, 0 }, 0, 1, CLOSED },
	{ "sixteen fds on a no-fd message", { VU_SET_OWNER, OK, 0 }, 0, 16, CLOSED },
	{ "too many fds", { VU_SET_OWNER, OK, 0 }, 0, 17, CLOSED },
	{ "as many fds as can be", { VU_SET_OWNER, OK, 0 }, 0, 253, CLOSED },
	{ "unknown request 0", { 0, OK, 0 }, 0, 0, 1 },
	{ "unknown request 45", { 45, OK, 0 }, 0, 0, 1 },
	{ "unknown request with payload and fds", { 45, OK, 64 }, 64, 3, 1 },
	{ "unknown request nobody asked about", { 45, VU_VERSION, 0 }, 0, 0, CLOSED },
	{ "request 0xffffffff", { UINT32_MAX, OK, 0 }, 0, 0, 1 },
	{ "request of another device", { VU_GPU_SET_SOCKET, OK, 0 }, 0, 1, 1 },
	{ "POSTCOPY_ADVISE", { VU_POSTCOPY_ADVISE, OK, 0 }, 0, 0, 1 },
	{ "GET_INFLIGHT_FD", { VU_GET_INFLIGHT_FD, OK, 24 }, 24, 0, 1 },
	{ "CVE-2022-0669: SET_INFLIGHT_FD with fds", { VU_SET_INFLIGHT_FD, OK, 24 }, 24, 2, 1 },
	{ "SET_BACKEND_REQ_FD", { VU_SET_BACKEND_REQ_FD, OK, 0 }, 0, 1, 1 },
};
/* clang-format on */

static void heads_and_descriptors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		struct vu_message m = { .head = row->head }, answer;
		int fds[FD_PASS_MAX] = { 0 }, before, rc;

		print_message("# %s\n", row->name);
		served_open(NULL);
		negotiate();
		before = open_fds();
		say_raw(&m.head, sizeof(m.head) + row->bytes, fds, row->fds);
		served_turn();
		rc = hear(&answer);
		assert_int_equal(row->outcome, served.over ? CLOSED
					       : rc	   ? (int)answer.u64
							   : NOTHING);
		if (!served.over) { /* and the connection goes on */
			assert_int_equal(before, open_fds());
			assert_true(ask_u64(VU_GET_FEATURES));
		}
		served_close(NULL); /* which looks for descriptors that are left */
	}
}

/* The peer goes away at every byte of every kind of message. */
static void end_at_every_byte(void **state)
{
	static const uint32_t requests[] = { VU_GET_FEATURES,	VU_SET_FEATURES,   VU_SET_MEM_TABLE,
					     VU_SET_VRING_ADDR, VU_SET_VRING_KICK, VU_GET_CONFIG };
	static const uint32_t sizes[] = { 0, 8, 40, 40, 8, 24 };

	(void)state;
	for (size_t r = 0; r < ARRAY_SIZE(requests); r++) {
		for (size_t n = 0; n <= sizeof(struct vu_header) + sizes[r]; n += 1 + n / 14 * 5) {
			struct vu_message m = message(requests[r], OK, sizes[r]);
			int fd = served.answers;

			served_open(NULL);
			negotiate();
			if (n)
				say_raw(&m.head, n, &fd, n > 12);
			fd_close(&served.peer);
			served_turn();
			assert_true(served.over == -ECONNRESET || served.over == -EPROTO);
			served_close(NULL);
		}
	}
}

/* Descriptors come with the first byte, with the last, or with both. */
static void descriptors_in_pieces(void **state)
{
	struct vu_message m = message(VU_SET_VRING_CALL, OK, 8), answer;
	int fd = eventfd(0, EFD_CLOEXEC), before;

	(void)state;
	negotiate();
	for (size_t cut = 1; cut < 20; cut++) {
		for (int where = 0; where < 2; where++) {
			before = open_fds();
			say_raw(&m.head, cut, &fd, where == 0);
			served_turn();
			say_raw((char *)&m.head + cut, 20 - cut, &fd, where == 1);
			served_turn();
			assert_int_equal(1, hear(&answer));
			assert_int_equal(0, answer.u64);
			assert_in_range(open_fds() - before, 0,
					1); /* the first is kept, others replace it */
		}
	}
	say_raw(&m.head, 5, &fd, 1);
	say_raw((char *)&m.head + 5, 15, &fd, 1);
	served_turn();
	assert_int_equal(-EPROTO, served.over); /* two */
	fd_close(&fd);
}

/* A flood: at most 32 messages a turn, all answered in order in the end. */
static void flood(void **state)
{
	struct vu_message m = message(VU_SET_OWNER, VU_VERSION, 0);

	(void)state;
	for (int i = 0; i < 200; i++)
		say_raw(&m.head, 12, NULL, 0);
	served_round();
	assert_int_equal(32, served.session.requests);
	served_round();
	assert_int_equal(64, served.session.requests);
	served_turn();
	assert_int_equal(200, served.session.requests);
}

static void replies_not_taken(void **state)
{
	struct vu_message m = message(VU_GET_CONFIG, OK, 12 + 256), answer;
	int64_t now = clock_ms();
	int asked = 0, small = 1, heard = 0;

	(void)state;
	negotiate();
	m.config.size = 256;
	setsockopt(served.session.sock, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	for (; asked < 2000 && !served.session.out_len; asked++)
		say_fds(&m, NULL, 0);
	assert_true(served.session.out_len > 0);
	assert_int_equal(POLLOUT | POLLRDHUP, session_events(&served.session));
	assert_in_range(served.session.deadline - now, 4000, 7000);
	/* nothing more is read meanwhile */
	for (int i = 0; i < 50; i++)
		say_raw(&m.head, 12 + m.head.size, NULL, 0);
	assert_int_equal(asked, served.session.requests - 2); /* after the negotiation */
	/* taken in time, everything goes on */
	for (int i = 0; i < 10000 && heard < asked + 50; i++) {
		while (hear(&answer) == 1)
			heard++;
		served_turn();
	}
	assert_int_equal(asked + 50, heard);
	assert_int_equal(0, served.session.deadline);
	assert_int_equal(0, served.over);
}

static void replies_never_taken(void **state)
{
	struct vu_message m = message(VU_GET_CONFIG, OK, 12 + 256);
	int small = 1;

	(void)state;
	negotiate();
	m.config.size = 256;
	setsockopt(served.session.sock, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	for (int i = 0; i < 2000 && !served.session.out_len; i++)
		say_fds(&m, NULL, 0);
	assert_int_equal(-ETIMEDOUT, session_expired(&served.session));
	assert_int_equal(EVENT_REPLY_NOT_TAKEN, last_event());
	fd_close(&served.peer);
	served_turn();
	assert_int_equal(-ECONNRESET, served.over);
}

static void peer_leaves_while_a_worker_is_asked(void **state)
{
	struct vu_message m = message(VU_GET_VRING_BASE, VU_VERSION, 8);

	(void)state;
	bring_up();
	say_raw(&m.head, 20, NULL, 0);
	shutdown(served.peer, SHUT_WR);
	served_turn();
	assert_int_equal(-ECONNRESET, served.over);
}

/* Requests take effect in the order they came, also when one has to wait for a worker. */
static void order_is_kept(void **state)
{
	struct vu_message base = message(VU_GET_VRING_BASE, VU_VERSION, 8),
			  num = message(VU_SET_VRING_NUM, OK, 8), answer;

	(void)state;
	bring_up();
	base.state.index = num.state.index = 1;
	num.state.num = 128;
	say_raw(&base.head, 20, NULL, 0);
	say_raw(&num.head, 20, NULL, 0); /* refused, were the ring still running */
	served_turn();
	assert_int_equal(1, hear(&answer));
	assert_int_equal(VU_GET_VRING_BASE, answer.head.request);
	assert_int_equal(1, hear(&answer));
	assert_int_equal(VU_SET_VRING_NUM, answer.head.request);
	assert_int_equal(0, answer.u64);
	assert_int_equal(128, served.lifecycle.vrings[1].size);
}

/* A status is sent where it is asked for and REPLY_ACK was negotiated; otherwise an error closes.
 */
static void errors_without_reply_ack(void **state)
{
	(void)state;
	negotiate_with(FEATURES, PROTOCOL);
	assert_int_equal(1, tell_state(VU_SET_VRING_NUM, 0, 3));
	assert_int_equal(EVENT_REQUEST_REFUSED, last_event());
	served_close(NULL);
	served_open(NULL);
	assert_int_equal(NOTHING, tell_u64(VU_SET_FEATURES, FEATURES));
	assert_int_equal(CLOSED, tell_state(VU_SET_VRING_NUM, 0, 3));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, served_open, served_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(whole_messages),
		TEST(byte_at_a_time),
		TEST(slow_loris),
		cmocka_unit_test(heads_and_descriptors),
		cmocka_unit_test(end_at_every_byte),
		TEST(descriptors_in_pieces),
		TEST(flood),
		TEST(replies_not_taken),
		TEST(replies_never_taken),
		TEST(peer_leaves_while_a_worker_is_asked),
		TEST(order_is_kept),
		TEST(errors_without_reply_ack),
	};

	return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
