/*
 * The broker–device channel: every type in every phase to either end, and every packet that is not
 * exactly one of its messages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/channel.h"
#include "lib/fd.h"
#include "lib/util.h"

#define HEAD offsetof(struct channel_msg, serve)
#define P(x) (1u << PHASE_##x)

static int sock[2];

/* The contract of lib/channel.h, written down a second time. */
static const struct row {
	uint16_t type;
	const char *name;
	size_t payload;
	enum channel_end to;
	uint32_t phases;
	size_t fds;
} rows[] = {
	{ CHANNEL_SERVE, "SERVE", 16, CHANNEL_DEVICE, P(WAITING), 2 },
	{ CHANNEL_STOP, "STOP", 0, CHANNEL_DEVICE, P(WAITING) | P(SERVING) | P(ENDING), 0 },
	{ CHANNEL_ASK_STATS, "ASK_STATS", 8, CHANNEL_DEVICE, P(WAITING) | P(SERVING) | P(ENDING),
	  0 },
	{ CHANNEL_PING, "PING", 0, CHANNEL_DEVICE, P(WAITING) | P(SERVING) | P(ENDING), 0 },
	{ CHANNEL_LINK, "LINK", 8, CHANNEL_DEVICE, P(SERVING) | P(ENDING), 0 },
	{ CHANNEL_BACKEND, "BACKEND", 0, CHANNEL_DEVICE, P(SERVING) | P(ENDING), 1 },
	{ CHANNEL_READY, "READY", 16, CHANNEL_BROKER, P(STARTING), 0 },
	{ CHANNEL_PONG, "PONG", 0, CHANNEL_BROKER, P(WAITING) | P(SERVING) | P(ENDING), 0 },
	{ CHANNEL_STATS, "STATS", 8 + sizeof(struct ring_stats), CHANNEL_BROKER,
	  P(WAITING) | P(SERVING) | P(ENDING), 0 },
	{ CHANNEL_QUEUE, "QUEUE", 8, CHANNEL_BROKER, P(SERVING) | P(ENDING), 0 },
	{ CHANNEL_STEER, "STEER", 8, CHANNEL_BROKER, P(SERVING) | P(ENDING), 0 },
	{ CHANNEL_EVENT, "EVENT", 24, CHANNEL_BROKER,
	  P(STARTING) | P(WAITING) | P(SERVING) | P(ENDING), 0 },
	{ CHANNEL_STOPPED, "STOPPED", 0, CHANNEL_BROKER, P(SERVING) | P(ENDING), 0 },
};

static int set_up(void **state)
{
	(void)state;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock);
}

static int tear_down(void **state)
{
	(void)state;
	fd_close_all(sock, 2);
	return 0;
}

static int receive(enum channel_end me, enum channel_phase phase, struct channel_msg *msg)
{
	int fds[CHANNEL_FDS_MAX];
	size_t n = me == CHANNEL_DEVICE ? CHANNEL_FDS_MAX : 0;
	int rc = channel_recv(sock[1], me, phase, msg, fds, &n);

	assert_true(rc == 1 || n == 0);
	fd_close_all(fds, n);
	return rc;
}

static void every_type_in_every_phase(void **state)
{
	(void)state;
	assert_int_equal(CHANNEL_TYPES, ARRAY_SIZE(rows));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_string_equal(rows[i].name, channel_name(rows[i].type));
		for (unsigned int phase = PHASE_STARTING; phase <= PHASE_ENDING; phase++) {
			for (int me = CHANNEL_BROKER; me <= CHANNEL_DEVICE; me++) {
				struct channel_msg msg = { .type = rows[i].type, .seq = 77 }, got;
				const int fds[2] = { 0, 0 };
				bool allowed =
					(int)rows[i].to == me && (rows[i].phases >> phase & 1);

				print_message("# %s in phase %u to %d\n", rows[i].name, phase, me);
				assert_int_equal(0, channel_send(sock[0], &msg, fds, rows[i].fds));
				assert_int_equal(allowed ? 1 : -EPROTO, receive(me, phase, &got));
				if (allowed) {
					assert_int_equal(rows[i].type, got.type);
					assert_int_equal(77, got.seq);
					assert_int_equal(CHANNEL_VERSION, got.version);
				}
			}
		}
	}
	assert_string_equal("unknown", channel_name(CHANNEL_TYPES));
	assert_string_equal("unknown", channel_name(UINT16_MAX));
}

/* Every length from nothing to more than any message, for every type. */
static void every_length(void **state)
{
	char bytes[sizeof(struct channel_msg) + 64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (size_t len = 1; len <= sizeof(bytes); len++) {
			struct channel_msg *msg = (void *)bytes, got;
			enum channel_phase phase = rows[i].phases & P(SERVING)	 ? PHASE_SERVING
						   : rows[i].phases & P(WAITING) ? PHASE_WAITING
										 : PHASE_STARTING;
			const int fds[2] = { 0, 0 };

			memset(bytes, 0, sizeof(bytes));
			msg->version = CHANNEL_VERSION;
			msg->type = rows[i].type;
			assert_int_equal(len, fd_send(sock[0], bytes, len, fds, rows[i].fds));
			assert_int_equal(len == HEAD + rows[i].payload ? 1 : -EPROTO,
					 receive(rows[i].to, phase, &got));
		}
	}
}

static void heads_of_no_message(void **state)
{
	static const struct {
		uint16_t version, type;
		int rc;
	} heads[] = {
		{ CHANNEL_VERSION, CHANNEL_PING, 1 },
		{ 0, CHANNEL_PING, -EPROTO },
		{ CHANNEL_VERSION + 1, CHANNEL_PING, -EPROTO },
		{ UINT16_MAX, CHANNEL_PING, -EPROTO },
		{ CHANNEL_VERSION, CHANNEL_TYPES, -EPROTO },
		{ CHANNEL_VERSION, UINT16_MAX, -EPROTO },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		struct channel_msg msg = { heads[i].version, heads[i].type, 0, { { 0 } } }, got;

		assert_int_equal(HEAD, fd_send(sock[0], &msg, HEAD, NULL, 0));
		assert_int_equal(heads[i].rc, receive(CHANNEL_DEVICE, PHASE_SERVING, &got));
	}
}

/* Descriptors come down with SERVE and with nothing else; none goes up. */
static void descriptors(void **state)
{
	static const struct {
		uint16_t type;
		size_t fds;
		int rc;
	} cases[] = {
		{ CHANNEL_SERVE, 0, -EPROTO },
		{ CHANNEL_SERVE, 1, -EPROTO },
		{ CHANNEL_SERVE, 2, 1 },
		{ CHANNEL_SERVE, CHANNEL_FDS_MAX, 1 },
		{ CHANNEL_SERVE, CHANNEL_FDS_MAX + 1, -EPROTO },
		{ CHANNEL_SERVE, FD_PASS_MAX, -EPROTO },
		{ CHANNEL_PING, 1, -EPROTO },
		{ CHANNEL_STOP, 1, -EPROTO },
		{ CHANNEL_PONG, 1, -EPROTO },
		{ CHANNEL_EVENT, 1, -EPROTO },
	};
	int fds[FD_PASS_MAX] = { 0 }, before = dup(0), after;

	(void)state;
	close(before);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct channel_msg msg = { .type = cases[i].type }, got;
		bool up = cases[i].type >= CHANNEL_READY;

		assert_int_equal(0, channel_send(sock[0], &msg, fds, cases[i].fds));
		assert_int_equal(cases[i].rc, receive(up ? CHANNEL_BROKER : CHANNEL_DEVICE,
						      PHASE_WAITING, &got));
	}
	after = dup(0);
	assert_int_equal(before, after); /* none was left open */
	close(after);
}

static void contents_arrive(void **state)
{
	struct channel_msg msg = { .type = CHANNEL_STATS,
				   .seq = 3,
				   .stats = { .ring = 5, .state = 3 } },
			   got;

	(void)state;
	msg.stats.counters.frames = UINT64_MAX;
	msg.stats.counters.breaks = 9;
	assert_int_equal(0, channel_send(sock[0], &msg, NULL, 0));
	assert_int_equal(1, receive(CHANNEL_BROKER, PHASE_SERVING, &got));
	assert_memory_equal(&msg.stats, &got.stats, sizeof(msg.stats));
}

static void ends_and_waits(void **state)
{
	struct channel_msg msg = { .type = CHANNEL_PING }, got;
	const int fds[1] = { 0 };
	int before = dup(0), after, rc;

	(void)state;
	close(before);
	assert_int_equal(-EAGAIN, receive(CHANNEL_DEVICE, PHASE_SERVING, &got));
	while ((rc = channel_send(sock[0], &msg, NULL, 0)) == 0)
		;
	assert_int_equal(-EAGAIN, rc);
	while (receive(CHANNEL_DEVICE, PHASE_SERVING, &got) == 1)
		;
	/* An empty packet looks like the end; what it carries is not kept. */
	assert_int_equal(0, fd_send(sock[0], "", 0, fds, 1));
	assert_int_equal(0, receive(CHANNEL_DEVICE, PHASE_SERVING, &got));
	after = dup(0);
	assert_int_equal(before, after);
	close(after);
	fd_close(&sock[0]);
	assert_int_equal(0, receive(CHANNEL_DEVICE, PHASE_SERVING, &got));
	assert_int_equal(-EPIPE, channel_send(sock[1], &msg, NULL, 0));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_type_in_every_phase), TEST(every_length),
		TEST(heads_of_no_message),	 TEST(descriptors),
		TEST(contents_arrive),		 TEST(ends_and_waits),
	};

	return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
