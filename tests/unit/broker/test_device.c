/* device: every message in every state, answers that nobody asked for, deadlines, hang-ups; a
 * device that breaks a rule is killed and its connection ended. The test is the device. */
#include "broker/device.h"
#include "broker/tally.h"
#include "lib/event.h"
#include "lib/fd.h"
#include "lib/util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define PAIRS 2

/* What the owner heard. */
static struct {
	int ready, serves, queue, stats, gone;
	unsigned pair;
	bool attach, steer;
	int steers;
	struct channel_stats told;
	int stats_answer;
	enum device_state from;
} heard;

static void on_ready(void *arg, struct device *device)
{
	(void)arg, (void)device;
	heard.ready++;
}

static void on_serves(void *arg, struct device *device)
{
	(void)arg, (void)device;
	heard.serves++;
}

static void on_queue(void *arg, struct device *device, unsigned pair, bool attach)
{
	(void)arg, (void)device;
	heard.queue++;
	heard.pair = pair;
	heard.attach = attach;
}

static void on_steer(void *arg, struct device *from, bool on)
{
	(void)arg, (void)from;
	heard.steers++;
	heard.steer = on;
}

static int on_stats(void *arg, struct device *device, const struct channel_stats *stats)
{
	(void)arg, (void)device;
	heard.stats++;
	heard.told = *stats;
	return heard.stats_answer;
}

static void on_gone(void *arg, struct device *device, enum device_state from)
{
	(void)arg, (void)device;
	heard.gone++;
	heard.from = from;
}

static const struct device_owner owner = { on_ready, on_serves, on_queue,
					   on_steer, on_stats,	on_gone };

/* A device in a loop of its own; `end` is the device's end of the channel, `peer` the front-end. */
static struct loop loop;
static struct device device;
static int end, peer, body;
static pid_t child;

static void turn(int ms)
{
	assert_int_equal(loop_turn(&loop, ms), 0);
}

/* The process that stands for the device, so that there is somebody to kill. */
static void body_make(void)
{
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	body = pidfd_open(child, 0);
	assert_true(body >= 0);
}

static int begin(void **state)
{
	int ends[2];

	(void)state;
	memset(&heard, 0, sizeof(heard));
	loop = (struct loop){ 0 };
	body_make(); /* first: it must inherit no end of the channel */
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
	end = ends[1];
	peer = -1;
	device = (struct device){
		.pidfd = -1, .connection = -1, .pairs = PAIRS, .loop = &loop, .owner = &owner
	};
	device_begin(&device, ends[0]);
	device_born(&device, child, 2, fcntl(body, F_DUPFD_CLOEXEC, 3));
	return 0;
}

static int finish(void **state)
{
	(void)state;
	fd_close(&end);
	fd_close(&peer);
	device_died(&device);
	pidfd_send_signal(body, SIGKILL, NULL, 0);
	waitpid(child, NULL, 0);
	fd_close(&body);
	return 0;
}

static void say(struct channel_msg msg)
{
	assert_int_equal(channel_send(end, &msg, NULL, 0), 0);
	turn(100);
}

/* The next order, or fails. */
static struct channel_msg order(void)
{
	struct channel_msg msg;
	struct pollfd p = { .fd = end, .events = POLLIN };

	assert_int_equal(poll(&p, 1, 2000), 1);
	assert_true(recv(end, &msg, sizeof(msg), MSG_DONTWAIT) > 0);
	return msg;
}

static bool killed(void)
{
	int status;

	for (int i = 0; i < 200; i++) {
		if (waitpid(child, &status, WNOHANG) == child) {
			child = 0;
			return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
		}
		usleep(1000);
	}
	return false;
}

static void assert_killed(enum device_state from)
{
	char byte;

	assert_int_equal(device.state, DEVICE_GONE);
	assert_int_equal(heard.gone, 1);
	assert_int_equal(heard.from, from);
	assert_true(killed());
	if (peer >= 0) /* the end, or a reset where something was not read */
		assert_true(recv(peer, &byte, 1, 0) <= 0);
}

static void serve(void)
{
	int queues[PAIRS] = { body, body };
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
			 0);
	peer = ends[1];
	fcntl(peer, F_SETFL, 0);
	assert_int_equal(device_serve(&device, ends[0],
				      &(struct channel_serve){ .pairs = PAIRS, .tap_offloads = 7 },
				      queues, PAIRS),
			 0);
}

static void answer_ping(void)
{
	struct channel_msg ping = order();

	assert_int_equal(ping.type, CHANNEL_PING);
	say((struct channel_msg){ .type = CHANNEL_PONG, .seq = ping.seq });
}

/* Brings the device to a state by what a device would do. */
static void reach(enum device_state state)
{
	if (state == DEVICE_STARTING)
		return;
	say((struct channel_msg){ .type = CHANNEL_READY });
	assert_int_equal(heard.ready, 1);
	if (state == DEVICE_WAITING)
		return;
	serve();
	assert_int_equal(order().type, CHANNEL_SERVE);
	answer_ping();
	assert_int_equal(heard.serves, 1);
	if (state == DEVICE_SERVING)
		return;
	device_stop(&device);
	assert_int_equal(order().type, CHANNEL_STOP);
	assert_int_equal(device.state, DEVICE_ENDING);
}

/* ---- every message in every state ---- */

#define YES 1
#define NO  0 /* kills */

static const struct {
	enum channel_type type;
	int starting, waiting, serving, ending;
} rows[] = {
	{ CHANNEL_SERVE, NO, NO, NO, NO },     { CHANNEL_STOP, NO, NO, NO, NO },
	{ CHANNEL_ASK_STATS, NO, NO, NO, NO }, { CHANNEL_PING, NO, NO, NO, NO },
	{ CHANNEL_BACKEND, NO, NO, NO, NO },   { CHANNEL_LINK, NO, NO, NO, NO },
	{ CHANNEL_READY, YES, NO, NO, NO },    { CHANNEL_PONG, NO, NO, NO, NO }, /* unasked */
	{ CHANNEL_STATS, NO, NO, NO, NO }, /* unasked, by its sequence number */
	{ CHANNEL_QUEUE, NO, NO, YES, YES },   { CHANNEL_EVENT, YES, YES, YES, YES },
	{ CHANNEL_STOPPED, NO, NO, YES, YES },
};

static void test_messages_by_state(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const int permitted[] = { rows[i].starting, rows[i].waiting, rows[i].serving,
					  rows[i].ending };

		for (size_t s = 0; s < ARRAY_SIZE(permitted); s++) {
			enum device_state from = DEVICE_STARTING + (enum device_state)s;

			begin(state);
			reach(from);
			say((struct channel_msg){ .type = (uint16_t)rows[i].type, .seq = 77 });
			if ((device.state != DEVICE_GONE) != permitted[s])
				fail_msg("%s in state %s", channel_name((uint16_t)rows[i].type),
					 device_state_name(from));
			if (!permitted[s])
				assert_killed(from);
			finish(state);
		}
	}
}

/* Packets that are no message of this version. */
static void test_malformed_packets(void **state)
{
	struct channel_msg msg = { .version = CHANNEL_VERSION, .type = CHANNEL_EVENT };
	const size_t whole = offsetof(struct channel_msg, event) + sizeof(msg.event);
	const struct {
		uint16_t version, type;
		size_t len;
	} packets[] = {
		{ CHANNEL_VERSION + 1, CHANNEL_EVENT, whole },
		{ 0, CHANNEL_EVENT, whole },
		{ CHANNEL_VERSION, CHANNEL_TYPES, whole },
		{ CHANNEL_VERSION, 0xffff, whole },
		{ CHANNEL_VERSION, CHANNEL_EVENT, whole - 1 },
		{ CHANNEL_VERSION, CHANNEL_EVENT, whole + 1 },
		{ CHANNEL_VERSION, CHANNEL_EVENT, 1 },
		{ CHANNEL_VERSION, CHANNEL_EVENT, sizeof(msg) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(packets); i++) {
		begin(state);
		reach(DEVICE_SERVING);
		msg.version = packets[i].version;
		msg.type = packets[i].type;
		assert_int_equal(send(end, &msg, packets[i].len, 0), (ssize_t)packets[i].len);
		turn(100);
		assert_killed(DEVICE_SERVING);
		finish(state);
	}
}

static void test_oversized_packet(void **state)
{
	char packet[4096] = { CHANNEL_VERSION, 0, CHANNEL_EVENT };

	(void)state;
	reach(DEVICE_WAITING);
	assert_int_equal(send(end, packet, sizeof(packet), 0), sizeof(packet));
	turn(100);
	assert_killed(DEVICE_WAITING);
}

/* No descriptor ever leaves a device; one that arrives is not even taken. */
static void test_descriptor_kills(void **state)
{
	struct channel_msg msg = { .type = CHANNEL_EVENT };
	int pipes[2];
	char byte;

	(void)state;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	reach(DEVICE_SERVING);
	assert_int_equal(channel_send(end, &msg, &pipes[1], 1), 0);
	turn(100);
	assert_killed(DEVICE_SERVING);
	fd_close(&pipes[1]);
	assert_int_equal(read(pipes[0], &byte, 1), 0); /* no copy is left with us */
	fd_close(&pipes[0]);
}

static void test_closed_channel(void **state)
{
	for (int s = DEVICE_STARTING; s <= DEVICE_ENDING; s++) {
		begin(state);
		reach((enum device_state)s);
		fd_close(&end);
		turn(100);
		assert_killed((enum device_state)s);
		finish(state);
	}
}

/* ---- answers ---- */

static void test_pong_answers_one_ping(void **state)
{
	(void)state;
	reach(DEVICE_WAITING);
	serve();
	order();
	say((struct channel_msg){ .type = CHANNEL_PONG, .seq = order().seq + 1 });
	assert_killed(DEVICE_SERVING);
}

static void test_stats_answer(void **state)
{
	struct channel_msg told = { .type = CHANNEL_STATS, .stats = { .ring = 1 } };

	(void)state;
	reach(DEVICE_SERVING);
	assert_int_equal(device_ask(&device, 1), 0);
	assert_int_equal(device_ask(&device, 2), -EBUSY);
	told.seq = order().seq;
	told.stats.counters.frames = 5;
	say(told);
	assert_int_equal(heard.stats, 1);
	assert_int_equal(heard.told.counters.frames, 5);
	say(told); /* twice */
	assert_killed(DEVICE_SERVING);
}

static void test_stats_of_another_ring(void **state)
{
	struct channel_msg told = { .type = CHANNEL_STATS, .stats = { .ring = 2 } };

	(void)state;
	reach(DEVICE_SERVING);
	assert_int_equal(device_ask(&device, 1), 0);
	told.seq = order().seq;
	say(told);
	assert_killed(DEVICE_SERVING);
}

static void test_stats_that_cannot_be(void **state)
{
	struct channel_msg told = { .type = CHANNEL_STATS };

	(void)state;
	reach(DEVICE_SERVING);
	heard.stats_answer = -EPROTO;
	assert_int_equal(device_ask(&device, 0), 0);
	told.seq = order().seq;
	say(told);
	assert_killed(DEVICE_SERVING);
}

/* Before it ends, a device accounts for each ring once, unasked. */
static void test_closing_accounts(void **state)
{
	(void)state;
	reach(DEVICE_SERVING);
	for (uint32_t i = 0; i < tally_rings(PAIRS); i++)
		say((struct channel_msg){ .type = CHANNEL_STATS, .stats = { .ring = i } });
	assert_int_equal(heard.stats, tally_rings(PAIRS));
	assert_int_equal(device.state, DEVICE_SERVING);
	say((struct channel_msg){ .type = CHANNEL_STATS });
	assert_killed(DEVICE_SERVING);
}

static void test_queue_by_index(void **state)
{
	const struct {
		uint32_t pair, attach;
		bool good;
	} asks[] = { { 0, 1, true },  { PAIRS - 1, 0, true },	{ PAIRS, 1, false },
		     { 0, 2, false }, { UINT32_MAX, 1, false }, { 0, UINT32_MAX, false } };

	for (size_t i = 0; i < ARRAY_SIZE(asks); i++) {
		begin(state);
		reach(DEVICE_SERVING);
		say((struct channel_msg){ .type = CHANNEL_QUEUE,
					  .queue = { asks[i].pair, asks[i].attach } });
		assert_int_equal(heard.queue, asks[i].good);
		if (asks[i].good)
			assert_true(heard.pair == asks[i].pair && heard.attach == asks[i].attach);
		else
			assert_killed(DEVICE_SERVING);
		finish(state);
	}
}

static void test_steering_is_on_or_off(void **state)
{
	const struct {
		uint32_t on;
		bool good;
	} asks[] = { { 1, true }, { 0, true }, { 2, false }, { UINT32_MAX, false } };

	for (size_t i = 0; i < ARRAY_SIZE(asks); i++) {
		begin(state);
		reach(DEVICE_SERVING);
		say((struct channel_msg){ .type = CHANNEL_STEER, .steer.on = asks[i].on });
		assert_int_equal(heard.steers, asks[i].good);
		if (asks[i].good)
			assert_int_equal(heard.steer, asks[i].on);
		else
			assert_killed(DEVICE_SERVING);
		finish(state);
	}
}

static void test_stopped_twice(void **state)
{
	(void)state;
	reach(DEVICE_ENDING);
	say((struct channel_msg){ .type = CHANNEL_STOPPED });
	assert_int_equal(device.state, DEVICE_ENDING);
	say((struct channel_msg){ .type = CHANNEL_STOPPED });
	assert_killed(DEVICE_ENDING);
}

/* An event with any number is a line at most; many are fewer lines, and no death. */
static void test_events_are_bounded(void **state)
{
	struct channel_msg msg = { .type = CHANNEL_EVENT,
				   .event = { .code = UINT32_MAX, .a = INT64_MIN } };

	(void)state;
	reach(DEVICE_SERVING);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(channel_send(end, &msg, NULL, 0), 0);
		turn(100);
	}
	assert_int_equal(device.state, DEVICE_SERVING);
	assert_true(device.unlogged >= 60);
}

/* Lines that the administrator did not ask for take nobody's place. */
static void test_hidden_events_are_free(void **state)
{
	struct channel_msg msg = { .type = CHANNEL_EVENT, .event = { .code = EVENT_RING_STARTED } };

	(void)state;
	reach(DEVICE_SERVING);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(channel_send(end, &msg, NULL, 0), 0);
		turn(100);
	}
	assert_int_equal(device.unlogged, 0);
}

/* ---- time and the front-end ---- */

/* Turns until the device is gone or ms have passed; the ms it took. */
static unsigned wait_gone(unsigned ms)
{
	uint64_t start = loop_now(), passed = 0;

	while (!heard.gone && passed < ms) {
		turn(20);
		passed = (loop_now() - start) / 1000000;
	}
	return (unsigned)passed;
}

static void test_silent_after_serve(void **state)
{
	unsigned ms;

	(void)state;
	reach(DEVICE_WAITING);
	serve();
	ms = wait_gone(2000);
	assert_in_range(ms, 450, 800);
	assert_killed(DEVICE_SERVING);
	assert_string_equal(device.guilt, "did not answer PING in time");
}

static void test_words_of_the_front_end_bring_a_ping(void **state)
{
	(void)state;
	reach(DEVICE_SERVING);
	assert_int_equal(write(peer, "x", 1), 1);
	for (int i = 0; i < 10; i++)
		turn(20);
	answer_ping();
	assert_int_equal(device.state, DEVICE_SERVING);
	/* the byte still waits: another round, and this time silence */
	assert_in_range(wait_gone(2000), 400, 900);
	assert_killed(DEVICE_SERVING);
}

/* A word that the device has taken before the broker could see it, and then nothing more. */
static void test_unseen_words_are_followed_by_a_ping(void **state)
{
	(void)state;
	reach(DEVICE_SERVING);
	assert_in_range(wait_gone(2000), 800, 1100);
	assert_killed(DEVICE_SERVING);
	assert_string_equal(device.guilt, "did not answer PING in time");
}

/* An idle device is not woken, nor the broker. */
static void test_silence_is_left_alone(void **state)
{
	(void)state;
	reach(DEVICE_WAITING);
	device.pause = 6400; /* some seconds later */
	serve();
	order();
	answer_ping();
	assert_null(loop.timers);
	assert_int_equal(device.state, DEVICE_SERVING);
}

/* What no word has caused may take longer: a busy host is no dead device. */
static void test_busy_host_is_no_dead_device(void **state)
{
	(void)state;
	reach(DEVICE_SERVING);
	for (int i = 0; i < 10; i++)
		turn(50);
	answer_ping(); /* 400 ms after the first */
	assert_in_range(wait_gone(2500), 2500, 2600);
	answer_ping();
	assert_int_equal(device.state, DEVICE_SERVING);
}

/* Whoever talks without end is heard a little at a time, and the broker sleeps in between. */
static void test_flood_is_heard_a_little_at_a_time(void **state)
{
	struct channel_msg msg = { .type = CHANNEL_EVENT, .event = { .code = EVENT_RING_STARTED } };
	unsigned taken = 0;

	(void)state;
	reach(DEVICE_SERVING);
	for (uint64_t start = loop_now(); loop_now() - start < 200000000ull;) {
		while (!channel_send(end, &msg, NULL, 0))
			taken++;
		turn(100);
	}
	assert_in_range(taken, 32 * 10, 32 * 45 + 300);
	assert_int_equal(device.state, DEVICE_SERVING);
}

static void test_counters_not_told(void **state)
{
	(void)state;
	reach(DEVICE_SERVING);
	assert_int_equal(device_ask(&device, 0), 0);
	assert_in_range(wait_gone(2000), 450, 800);
	assert_killed(DEVICE_SERVING);
}

static void test_front_end_hangs_up(void **state)
{
	(void)state;
	reach(DEVICE_SERVING);
	fd_close(&peer);
	assert_in_range(wait_gone(2000), 150, 450);
	assert_killed(DEVICE_ENDING);
}

/* Its channel has ended, which nobody has read yet: an end, and not a refusal. */
static void test_words_for_one_that_has_just_ended(void **state)
{
	(void)state;
	reach(DEVICE_SERVING);
	fd_close(&end);
	device_link(&device, true, 1500);
	assert_int_equal(device.state, DEVICE_SERVING);
	for (int i = 0; i < 10 && !heard.gone; i++)
		turn(20);
	assert_int_equal(device.state, DEVICE_GONE);
	assert_null(device.guilt);
}

static void test_stop_is_not_obeyed(void **state)
{
	(void)state;
	reach(DEVICE_ENDING);
	assert_in_range(wait_gone(3000), 900, 1400);
	assert_killed(DEVICE_ENDING);
}

static void test_stop_of_a_spare_is_death_without_guilt(void **state)
{
	(void)state;
	reach(DEVICE_WAITING);
	device_stop(&device);
	assert_killed(DEVICE_WAITING);
	assert_true(device.discarded);
	assert_null(device.guilt);
}

/* Killed before its birth was reported: it must not live on. */
static void test_born_after_death(void **state)
{
	(void)state;
	pidfd_send_signal(body, 0, NULL, 0);
	fd_close(&device.pidfd);
	device.pid = 0;
	device_kill(&device, "for the test");
	assert_int_equal(waitpid(child, NULL, WNOHANG), 0);
	device_born(&device, child, 2, fcntl(body, F_DUPFD_CLOEXEC, 3));
	assert_true(killed());
}

/* What it still said before it died is heard. */
static void test_last_words(void **state)
{
	struct channel_msg told = { .type = CHANNEL_STATS, .stats = { .ring = 3 } };

	(void)state;
	reach(DEVICE_SERVING);
	assert_int_equal(channel_send(end, &told, NULL, 0), 0);
	device_died(&device);
	assert_int_equal(heard.stats, 1);
	assert_int_equal(heard.gone, 1);
	assert_int_equal(device.state, DEVICE_ABSENT);
	device.state = DEVICE_GONE; /* for finish() */
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages_by_state),
		cmocka_unit_test(test_malformed_packets),
		CASE(test_oversized_packet),
		CASE(test_descriptor_kills),
		cmocka_unit_test(test_closed_channel),
		CASE(test_pong_answers_one_ping),
		CASE(test_stats_answer),
		CASE(test_stats_of_another_ring),
		CASE(test_stats_that_cannot_be),
		CASE(test_closing_accounts),
		cmocka_unit_test(test_queue_by_index),
		cmocka_unit_test(test_steering_is_on_or_off),
		CASE(test_stopped_twice),
		CASE(test_events_are_bounded),
		CASE(test_hidden_events_are_free),
		CASE(test_silent_after_serve),
		CASE(test_words_of_the_front_end_bring_a_ping),
		CASE(test_unseen_words_are_followed_by_a_ping),
		CASE(test_silence_is_left_alone),
		CASE(test_busy_host_is_no_dead_device),
		CASE(test_flood_is_heard_a_little_at_a_time),
		CASE(test_counters_not_told),
		CASE(test_front_end_hangs_up),
		CASE(test_words_for_one_that_has_just_ended),
		CASE(test_stop_is_not_obeyed),
		CASE(test_stop_of_a_spare_is_death_without_guilt),
		CASE(test_born_after_death),
		CASE(test_last_words),
	};

	return cmocka_run_group_tests_name("device", tests, NULL, NULL);
}
