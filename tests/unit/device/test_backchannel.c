/*
 * What the back-end says unasked: one message at a time, nothing while every ring is stopped,
 * nothing lost when the front-end is slow or gives another channel; and kicks and interrupts that
 * are messages.
 */
#include "tests/unit/device/served.h"

#define INBAND \
	(PROTOCOL | BIT_ULL(VU_P_BACKEND_REQ) | BIT_ULL(VU_P_INBAND) | BIT_ULL(VU_P_REPLY_ACK))

static struct backchannel back;
static int far = -1; /* the front-end's end */

static void channel_make(int *near)
{
	int pair[2];

	assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	fd_close(&far);
	*near = pair[0];
	far = pair[1];
}

static int channel_open(void **state)
{
	int near;

	(void)state;
	back_init(&back);
	channel_make(&near);
	back_set(&back, near);
	back_quiet(&back, false);
	return 0;
}

static int channel_close(void **state)
{
	(void)state;
	fd_close(&back.sock);
	fd_close(&far);
	return 0;
}

/* The next message's number, -1 none; *ring where it names one. */
static int message_hear(uint32_t *ring)
{
	struct vu_vring_state body;
	struct vu_header head;

	if (recv(far, &head, sizeof(head), MSG_DONTWAIT) != sizeof(head))
		return -1;
	assert_int_equal(head.request == VU_BACK_CONFIG_CHANGE ? VU_VERSION
							       : VU_VERSION | VU_FLAG_NEED_REPLY,
			 head.flags);
	if (head.request == VU_BACK_CONFIG_CHANGE) {
		assert_int_equal(0, head.size);
		return (int)head.request;
	}
	assert_int_equal(sizeof(body), head.size);
	assert_int_equal(sizeof(body), recv(far, &body, sizeof(body), MSG_DONTWAIT));
	assert_int_equal(0, body.num);
	*ring = body.index;
	return (int)head.request;
}

static void message_answer(uint32_t request, uint32_t flags, uint32_t size)
{
	struct {
		struct vu_header head;
		uint64_t value;
	} __attribute__((packed)) answer = { { request, flags, size }, 0 };

	assert_int_equal(sizeof(answer), send(far, &answer, sizeof(answer), 0));
}

static void one_at_a_time(void **state)
{
	uint32_t ring = 99;

	(void)state;
	back_call(&back, 3);
	back_call(&back, 3);
	back_call(&back, 1);
	back_err(&back, 2);
	back_config(&back);
	assert_int_equal(VU_BACK_VRING_CALL, message_hear(&ring));
	assert_int_equal(3, ring);
	assert_int_equal(-1, message_hear(&ring)); /* until that is answered */
	message_answer(VU_BACK_VRING_CALL, VU_VERSION | VU_FLAG_REPLY, 8);
	back_ready(&back, POLLIN);
	assert_int_equal(VU_BACK_CONFIG_CHANGE, message_hear(&ring));
	assert_int_equal(VU_BACK_VRING_CALL, message_hear(&ring));
	assert_int_equal(1, ring);
	message_answer(VU_BACK_VRING_CALL, VU_VERSION | VU_FLAG_REPLY, 8);
	back_ready(&back, POLLIN);
	assert_int_equal(VU_BACK_VRING_ERR, message_hear(&ring));
	assert_int_equal(2, ring);
	message_answer(VU_BACK_VRING_ERR, VU_VERSION | VU_FLAG_REPLY, 8);
	back_ready(&back, POLLIN);
	/* the second request for ring 3 came while the first was under way */
	assert_int_equal(VU_BACK_VRING_CALL, message_hear(&ring));
	assert_int_equal(3, ring);
	message_answer(VU_BACK_VRING_CALL, VU_VERSION | VU_FLAG_REPLY, 8);
	back_ready(&back, POLLIN);
	assert_int_equal(-1, message_hear(&ring));
	assert_true(back.sock >= 0);
}

/* Whatever the front-end sends there that is no answer costs it the channel. */
static void answers_that_are_none(void **state)
{
	static const struct {
		uint32_t request, flags, size;
		bool asked;
	} rows[] = {
		{ VU_BACK_VRING_CALL, VU_VERSION | VU_FLAG_REPLY, 8, false },
		{ VU_BACK_VRING_ERR, VU_VERSION | VU_FLAG_REPLY, 8, true },
		{ VU_BACK_VRING_CALL, VU_VERSION, 8, true },
		{ VU_BACK_VRING_CALL, VU_VERSION | VU_FLAG_REPLY | VU_FLAG_NEED_REPLY, 8, true },
		{ VU_BACK_VRING_CALL, VU_VERSION | VU_FLAG_REPLY, 9, true },
		{ VU_BACK_VRING_CALL, 2 | VU_FLAG_REPLY, 8, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int near;

		channel_make(&near);
		back_init(&back);
		back_set(&back, near);
		back_quiet(&back, false);
		if (rows[i].asked)
			back_call(&back, 0);
		message_answer(rows[i].request, rows[i].flags, rows[i].size);
		back_ready(&back, POLLIN);
		assert_int_equal(-1, back.sock);
		back_call(&back, 0); /* nowhere to go, and no harm */
	}
}

static void answer_in_pieces(void **state)
{
	const struct vu_header head = { VU_BACK_VRING_CALL, VU_VERSION | VU_FLAG_REPLY, 8 };
	char bytes[sizeof(head) + 8] = { 0 };
	uint32_t ring;

	(void)state;
	memcpy(bytes, &head, sizeof(head));
	back_call(&back, 0);
	back_call(&back, 5);
	assert_int_equal(VU_BACK_VRING_CALL, message_hear(&ring));
	for (size_t i = 0; i < sizeof(bytes); i++) {
		assert_true(back.awaited);
		assert_int_equal(1, send(far, bytes + i, 1, 0));
		back_ready(&back, POLLIN);
	}
	assert_int_equal(VU_BACK_VRING_CALL, message_hear(&ring));
	assert_int_equal(5, ring);
}

static void quiet_while_suspended(void **state)
{
	uint32_t ring;

	(void)state;
	back_quiet(&back, true);
	back_config(&back);
	back_call(&back, 7);
	assert_int_equal(-1, message_hear(&ring));
	back_quiet(&back, false);
	assert_int_equal(VU_BACK_CONFIG_CHANGE, message_hear(&ring));
	assert_int_equal(VU_BACK_VRING_CALL, message_hear(&ring));
	assert_int_equal(7, ring);
}

/* Notes, and what was not acknowledged, go over the next channel. */
static void another_channel(void **state)
{
	uint32_t ring;
	int near;

	(void)state;
	back_call(&back, 4);
	back_call(&back, 6);
	assert_int_equal(VU_BACK_VRING_CALL, message_hear(&ring));
	channel_make(&near);
	back_set(&back, near);
	assert_int_equal(VU_BACK_VRING_CALL, message_hear(&ring));
	assert_int_equal(4, ring);
	message_answer(VU_BACK_VRING_CALL, VU_VERSION | VU_FLAG_REPLY, 8);
	back_ready(&back, POLLIN);
	assert_int_equal(VU_BACK_VRING_CALL, message_hear(&ring));
	assert_int_equal(6, ring);
}

static void descriptors_in_an_answer(void **state)
{
	struct {
		struct vu_header head;
		uint32_t value[2];
	} reply = { { VU_BACK_VRING_CALL, VU_VERSION | VU_FLAG_REPLY, 8 }, { 0, 0 } };
	int fd = eventfd(0, EFD_CLOEXEC), before;

	(void)state;
	back_call(&back, 0);
	before = open_fds();
	assert_int_equal(sizeof(reply), fd_send(far, &reply, sizeof(reply), &fd, 1));
	back_ready(&back, POLLIN);
	assert_int_equal(before - 1, open_fds()); /* of the channel; nothing was kept */
	assert_int_equal(-1, back.sock);
	fd_close(&fd);
}

/* A front-end that reads nothing costs nobody anything. */
static void front_end_that_does_not_read(void **state)
{
	(void)state;
	for (int i = 0; i < 100000; i++)
		back_config(&back);
	assert_true(back_events(&back) & POLLOUT);
	fd_close(&far);
	back_ready(&back, POLLHUP);
	assert_int_equal(-1, back.sock);
}

/* A translation that is missed is asked for, what broke a ring is told, and a no is kept for who
 * waits. */
static void translations_are_asked_for(void **state)
{
	const uint64_t miss = 0x5000 | VU_ACCESS_RW;
	struct {
		struct vu_header head;
		uint32_t value[2];
	} no = { { VU_BACK_IOTLB_MSG, VU_VERSION | VU_FLAG_REPLY, 8 }, { 1, 0 } };
	struct vu_header head;
	struct vu_iotlb body;
	unsigned int ring = 99;

	(void)state;
	back_miss(&back, 3, miss);
	back_denied(&back, 1, miss);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(sizeof(head), recv(far, &head, sizeof(head), MSG_DONTWAIT));
		assert_int_equal(VU_BACK_IOTLB_MSG, head.request);
		assert_int_equal(VU_VERSION | VU_FLAG_NEED_REPLY, head.flags);
		assert_int_equal(sizeof(body), recv(far, &body, sizeof(body), MSG_DONTWAIT));
		assert_int_equal(i ? VU_IOTLB_ACCESS_FAIL : VU_IOTLB_MISS, body.type);
		assert_int_equal(0x5000, body.iova);
		assert_int_equal(VU_ACCESS_RW, body.perm);
		assert_int_equal(sizeof(no), send(far, &no, sizeof(no), 0));
		back_ready(&back, POLLIN);
	}
	assert_int_equal(miss, back_refused(&back, &ring));
	assert_int_equal(3, ring);
	assert_int_equal(0, back_refused(&back, &ring));
}

/* ---- by messages alone, over the whole session ---- */

static void configure_inband(uint32_t ring)
{
	struct driver *d = &stage.driver[ring];
	char *area = served.guest[0] + (RING_AT(ring) - GPA_A);

	*d = (struct driver){ 64, (void *)area, (void *)(area + AVAIL_OFF),
			      (void *)(area + USED_OFF), 0 };
	assert_int_equal(0, tell_state(VU_SET_VRING_NUM, ring, 64));
	assert_int_equal(0, tell_addr(ring, ring_uva(ring)));
	assert_int_equal(0, tell_state(VU_SET_VRING_ENABLE, ring, 1));
}

static void give_channel(void)
{
	struct vu_message m = message(VU_SET_BACKEND_REQ_FD, OK, 0);
	int near;

	channel_make(&near);
	assert_int_equal(0, outcome(&m, &near, 1));
	fd_close(&near);
}

static int message_wait(uint32_t *ring)
{
	int heard = -1;

	for (int i = 0; i < 2000 && heard < 0; i++) {
		served_turn();
		heard = message_hear(ring);
		if (heard < 0)
			usleep(1000);
	}
	return heard;
}

static bool transmitted(uint16_t n)
{
	uint8_t frame[NET_HDR_LEN + 100];

	memset(served.guest[0] + 0x300000, 0, NET_HDR_LEN);
	post(PAIR_TX, n % 64, GPA_A + 0x300000, NET_HDR_LEN + 60);
	assert_int_equal(0, tell_state(VU_VRING_KICK, 1, 0));
	for (int i = 0; i < 2000; i++) {
		if (recv(served.wires[0], frame, sizeof(frame), 0) == NET_HDR_LEN + 60)
			return true;
		usleep(1000);
	}
	return false;
}

static void kicks_and_calls_by_message(void **state)
{
	uint32_t ring = 99;

	(void)state;
	negotiate_with(FEATURES, INBAND);
	give_channel();
	assert_int_equal(0, tell_table());
	configure_inband(1);
	assert_int_equal(0, tell_state(VU_VRING_KICK, 1, 0)); /* starts it */
	assert_int_equal(RING_RUNNING, served.lifecycle.vrings[1].state);
	for (uint16_t n = 0; n < 100; n++) {
		assert_true(transmitted(n));
		assert_int_equal(VU_BACK_VRING_CALL, message_wait(&ring));
		assert_int_equal(1, ring);
		message_answer(VU_BACK_VRING_CALL, VU_VERSION | VU_FLAG_REPLY, 8);
		assert_int_equal(n % 64, used_take(PAIR_TX, NULL));
	}
	avail_push(PAIR_TX, 64); /* no such descriptor */
	assert_int_equal(0, tell_state(VU_VRING_KICK, 1, 0));
	configure_inband(0);
	assert_int_equal(0, tell_state(VU_VRING_KICK, 0, 0)); /* or all were stopped */
	assert_int_equal(VU_BACK_VRING_ERR, message_wait(&ring));
	assert_int_equal(1, ring);
}

/* A descriptor is preferred, and none on purpose means polling, not messages. */
static void descriptors_are_preferred(void **state)
{
	uint32_t ring;
	int call;

	(void)state;
	negotiate_with(FEATURES, INBAND);
	give_channel();
	assert_int_equal(0, tell_table());
	configure_inband(1);
	assert_int_equal(0, tell_event(VU_SET_VRING_CALL, 1));
	call = dup(served.lifecycle.vrings[1].call);
	assert_int_equal(0, tell_state(VU_VRING_KICK, 1, 0));
	assert_true(transmitted(0));
	for (int i = 0; i < 2000 && !event_count(call); i++)
		usleep(1000);
	assert_int_equal(-1, message_hear(&ring));
	fd_close(&call);
	assert_int_equal(0, tell_fd(VU_SET_VRING_CALL, 1, -1));
	assert_true(transmitted(1));
	usleep(20000);
	served_turn();
	assert_int_equal(-1, message_hear(&ring));
	/* and a ring that is polled needs no kick */
	assert_int_equal(0, tell_fd(VU_SET_VRING_KICK, 1, -1));
	post(PAIR_TX, 2, GPA_A + 0x300000, NET_HDR_LEN + 60);
	for (int i = 0; i < 2000 && stage.driver[1].used->idx != 3; i++)
		usleep(1000);
	assert_int_equal(3, stage.driver[1].used->idx);
}

static void bad_channels(void **state)
{
	struct vu_message m = message(VU_SET_BACKEND_REQ_FD, OK, 0);
	int fd = eventfd(0, EFD_CLOEXEC);

	(void)state;
	negotiate_with(FEATURES, INBAND);
	assert_int_equal(1, outcome(&m, &fd, 1));
	assert_int_equal(-1, served.session.back.sock);
	fd_close(&fd);
}

static void inband_needs_its_companions(void **state)
{
	(void)state;
	assert_int_equal(CLOSED, tell_u64(VU_SET_PROTOCOL_FEATURES,
					  BIT_ULL(VU_P_INBAND) | BIT_ULL(VU_P_REPLY_ACK)));
}

static int session_close(void **state)
{
	fd_close(&far);
	return served_close(state);
}

#define TEST(f)	   cmocka_unit_test_setup_teardown(f, channel_open, channel_close)
#define SESSION(f) cmocka_unit_test_setup_teardown(f, served_open, session_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_at_a_time),
		TEST(answers_that_are_none),
		TEST(answer_in_pieces),
		TEST(quiet_while_suspended),
		TEST(another_channel),
		TEST(descriptors_in_an_answer),
		TEST(front_end_that_does_not_read),
		TEST(translations_are_asked_for),
		SESSION(kicks_and_calls_by_message),
		SESSION(descriptors_are_preferred),
		SESSION(bad_channels),
		SESSION(inband_needs_its_companions),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("backchannel", tests, NULL, NULL);
}
