/* monitor: who is served and who waits, what follows each death, with the test as the spawner, the
 * devices and the TAP. The TAP's functions are replaced below. */
#include "broker/monitor.h"
#include "broker/report.h"
#include "lib/fd.h"
#include "lib/util.h"
#include "tests/unit/broker/births.h"

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>

#define PAIRS	  2
#define SIGSYS_NR 31

char *report_text(const struct report_facts *facts)
{
	assert_int_equal(facts->witness->pid, seen_witness.pid);
	return strdup("{}\n");
}

int report_write(int fd, const char *text)
{
	(void)fd, (void)text;
	return 0;
}

/* ---- the replaced TAP ---- */

static unsigned purges, switched;
static int purge_error;

int tap_purge(struct tap *tap)
{
	purges++;
	memset(tap->attached, 0, sizeof(tap->attached));
	return purge_error;
}

int tap_queue_set(struct tap *tap, unsigned pair, bool attach)
{
	switched++;
	tap->attached[pair] = attach;
	return 0;
}

int tap_steer(struct tap *tap, bool on)
{
	tap->steered = on;
	return 0;
}

unsigned tap_queues_attached(const struct tap *tap)
{
	return tap->attached[0] + tap->attached[1];
}

/* ---- one monitor, its front-ends by socket pair or listener ---- */

static struct tap tap;
static struct notify notify;
static struct privilege_state privilege;
static struct monitor *monitor;
static int ready_pipe[2];

static void monitor_make(bool once)
{
	struct monitor_options options = {
		.loop = &loop,
		.tap = &tap,
		.frontends = &frontends,
		.notify = &notify,
		.privilege = &privilege,
		.report_fd = -1,
		.inspect = true,
		.once = once,
	};

	monitor = monitor_new(&options);
	monitor_begin(monitor);
	turns(5);
}

static int begin(void **state)
{
	(void)state;
	births_begin();
	purges = switched = 0;
	purge_error = 0;
	tap = (struct tap){ .name = "test", .pairs = PAIRS, .queues = { news_fd, news_fd } };
	assert_int_equal(pipe2(ready_pipe, O_CLOEXEC), 0);
	notify = (struct notify){ .ready_fd = ready_pipe[1], .socket_fd = -1 };
	return 0;
}

static int finish(void **state)
{
	(void)state;
	births_hang_up();
	monitor_free(monitor);
	monitor = NULL;
	births_end();
	notify_close(&notify);
	fd_close(&ready_pipe[0]);
	return 0;
}

/* ---- what devices do ---- */

static void answer_ping(uint32_t serial)
{
	struct channel_msg ping;

	assert_int_equal(order(serial, &ping), CHANNEL_PING);
	say(serial, (struct channel_msg){ .type = CHANNEL_PONG, .seq = ping.seq });
}

static void takes_connection(uint32_t serial)
{
	struct channel_msg msg;

	assert_int_equal(order(serial, &msg), CHANNEL_SERVE);
	assert_int_equal(msg.serve.pairs, PAIRS);
	answer_ping(serial);
}

static struct monitor_status status_of(void)
{
	struct monitor_status status;

	monitor_status(monitor, &status);
	return status;
}

/* ---- the tests ---- */

static void test_spare_then_service(void **state)
{
	char line[16] = "";
	int fd;

	(void)state;
	monitor_make(false);
	assert_int_equal(births, 1);
	ready(1);
	assert_int_equal(read(ready_pipe[0], line, sizeof(line)), 8);
	assert_string_equal(line, "READY=1\n");
	assert_int_equal(births, 1);
	fd = client();
	turns(10);
	takes_connection(1);
	assert_int_equal(births, 2); /* the next spare */
	assert_int_equal(inspected, 1);
	assert_string_equal(monitor_report(monitor), "{}\n");
	assert_int_equal(status_of().phase, DEVICE_SERVING);
	assert_int_equal(status_of().device, 1001);
	close(fd);
}

static void test_second_client_waits(void **state)
{
	struct channel_msg msg;
	int one, two;

	(void)state;
	monitor_make(false);
	ready(1);
	one = client();
	two = client();
	turns(10);
	takes_connection(1);
	ready(2);
	turns(50);
	assert_int_equal(order(2, &msg), -1);
	assert_int_equal(status_of().connections, 1);
	dies(1, 0);
	takes_connection(2);
	assert_int_equal(status_of().connections, 2);
	close(one);
	close(two);
}

/* Between two connections the TAP is purged, before anything is handed over again. */
static void test_purged_between_connections(void **state)
{
	unsigned before;
	int one, two;

	(void)state;
	monitor_make(false);
	ready(1);
	one = client();
	turns(10);
	takes_connection(1);
	assert_int_equal(status_of().active_pairs, 1); /* the first, from the start */
	say(1, (struct channel_msg){ .type = CHANNEL_QUEUE, .queue = { 1, 1 } });
	assert_int_equal(status_of().active_pairs, 2);
	say(1, (struct channel_msg){ .type = CHANNEL_QUEUE, .queue = { 0, 0 } });
	assert_int_equal(status_of().active_pairs, 2); /* to the end */
	before = purges;
	ready(2);
	two = client();
	dies(1, 9);
	assert_true(purges > before);
	assert_int_equal(status_of().active_pairs, 1); /* the first of the next connection */
	takes_connection(2);
	assert_int_equal(status_of().restarts, 1);
	assert_string_equal(status_of().last_exit, "killed by SIGKILL");
	close(one);
	close(two);
}

static void test_purge_fails(void **state)
{
	int fd;

	(void)state;
	monitor_make(false);
	ready(1);
	fd = client();
	turns(10);
	takes_connection(1);
	purge_error = -EBADFD;
	dies(1, 0);
	dies(2, 9);
	turns(500);
	assert_true(loop.stopped);
	assert_int_equal(loop.code, 1);
	close(fd);
}

/* A connection whose device died before it could take it is taken by the next. */
static void test_connection_survives_a_dead_spare(void **state)
{
	int fd;

	(void)state;
	monitor_make(false);
	ready(1);
	fd_close(&born[1].channel); /* dead, and we do not know yet */
	fd = client();
	turns(300);
	dies(1, 9);
	ready(2);
	turns(10);
	takes_connection(2);
	close(fd);
}

static void test_client_that_gave_up(void **state)
{
	struct channel_msg msg;
	int fd;

	(void)state;
	monitor_make(false);
	fd = client();
	close(fd);
	turns(5);
	ready(1);
	turns(20);
	assert_int_equal(order(1, &msg), -1);
	assert_int_equal(status_of().connections, 0);
}

/* No descriptor is free: a pause, not a loop; then the client that waited is served. */
static void test_accept_fails_for_a_while(void **state)
{
	struct rlimit before, tight;
	int fd, lowest;

	(void)state;
	monitor_make(false);
	notify_close(&notify); /* it would free a descriptor in time */
	fd = client();
	lowest = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	tight = before;
	tight.rlim_cur = (rlim_t)lowest;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	ready(1);
	turns(20);
	assert_int_equal(status_of().connections, 0);
	assert_non_null(loop.timers);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	turns(400);
	takes_connection(1);
	close(fd);
}

static void test_too_many_early_deaths(void **state)
{
	(void)state;
	spawn_error = -EAGAIN;
	monitor_make(false);
	for (int i = 0; i < 3000 && !loop.stopped; i++) {
		/* time is the test's: let the pause be over */
		if (loop.timers)
			loop.timers->due = 0;
		turns(1);
	}
	assert_true(loop.stopped);
	assert_int_equal(loop.code, 1);
	assert_int_equal(births, 0);
}

/* A live session goes on while no spare can be made; then it is over. */
static void test_held_while_serving(void **state)
{
	struct channel_msg msg;
	int fd;

	(void)state;
	monitor_make(false);
	ready(1);
	spawn_error = -ENOMEM;
	fd = client();
	turns(10);
	takes_connection(1);
	for (int i = 0; i < 60 && loop.timers; i++) {
		loop.timers->due = 0;
		turns(1);
		if (order(1, &msg) == CHANNEL_PING)
			say(1, (struct channel_msg){ .type = CHANNEL_PONG, .seq = msg.seq });
	}
	assert_false(loop.stopped);
	assert_int_equal(status_of().phase, DEVICE_SERVING);
	dies(1, 0);
	turns(50);
	assert_true(loop.stopped);
	assert_int_equal(loop.code, 1);
	close(fd);
}

static void test_stop_in_order(void **state)
{
	struct channel_msg msg;
	int fd;

	(void)state;
	monitor_make(false);
	ready(1);
	fd = client();
	turns(10);
	takes_connection(1);
	ready(2);
	monitor_stop(monitor, 0);
	turns(5);
	assert_int_equal(order(1, &msg), CHANNEL_STOP);
	assert_false(loop.stopped);
	say(1, (struct channel_msg){ .type = CHANNEL_STOPPED });
	dies(2, 9);
	dies(1, 0);
	assert_true(loop.stopped);
	assert_int_equal(loop.code, 0);
	assert_int_equal(births, 2);
	close(fd);
}

/* Nobody waits for ever for the dead. */
static void test_stop_without_reaping(void **state)
{
	(void)state;
	monitor_make(false);
	ready(1);
	monitor_stop(monitor, 0);
	turns(1000);
	assert_true(loop.stopped);
	assert_int_equal(loop.code, 0);
}

static void test_restart(void **state)
{
	struct channel_msg msg;
	int fd, next;

	(void)state;
	monitor_make(false);
	ready(1);
	fd = client();
	turns(10);
	takes_connection(1);
	ready(2);
	monitor_restart(monitor);
	turns(5);
	assert_int_equal(order(1, &msg), CHANNEL_STOP);
	assert_int_equal(births, 3); /* the spare too is fresh */
	dies(2, 9);
	dies(1, 0);
	next = client();
	ready(3);
	turns(10);
	takes_connection(3);
	assert_int_equal(status_of().restarts, 0);
	close(fd);
	close(next);
}

static void once(int status, int code)
{
	int fd;

	monitor_make(true);
	ready(1);
	fd = client();
	turns(10);
	takes_connection(1);
	assert_int_equal(births, 1); /* no spare for a second connection */
	close(fd);
	dies(1, status);
	turns(20);
	assert_true(loop.stopped);
	assert_int_equal(loop.code, code);
}

static void test_once_orderly(void **state)
{
	(void)state;
	once(0, 0);
}

static void test_once_died(void **state)
{
	(void)state;
	once(SIGSYS_NR, 1);
	assert_string_equal(status_of().last_exit,
			    "killed by SIGSYS: an unnamed call is not allowed");
}

static void test_given_connection(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	fd_close(&frontends.listener.fd);
	frontends = (struct frontends){ .kind = FRONTENDS_GIVEN, .given = ends[0] };
	monitor_make(true);
	ready(1);
	turns(5);
	takes_connection(1);
	dies(1, 0);
	turns(5);
	assert_true(loop.stopped);
	assert_int_equal(loop.code, 0);
	close(ends[1]);
}

static void test_spawner_ends(void **state)
{
	(void)state;
	monitor_make(false);
	ready(1);
	spawner_ended = true;
	fd_signal(news_fd);
	turns(50);
	assert_true(loop.stopped);
	assert_int_equal(loop.code, 1);
}

/* A device switches queues as it likes, and the host's lock is taken at a bounded rate. */
static void test_queue_storm(void **state)
{
	int fd;

	(void)state;
	monitor_make(false);
	ready(1);
	fd = client();
	turns(10);
	takes_connection(1);
	for (uint32_t i = 0; i < 200; i++) {
		struct channel_msg msg = { .type = CHANNEL_QUEUE, .queue = { 1, i % 2 } };

		assert_int_equal(channel_send(born[1].channel, &msg, NULL, 0), 0);
		if (i % 16 == 15)
			assert_int_equal(loop_turn(&loop, 0), 0);
	}
	turns(5);
	assert_in_range(switched, 4 * PAIRS, 4 * PAIRS + 10);
	turns(100);
	assert_int_equal(tap.attached[1], true); /* the last word counts */
	close(fd);
}

static unsigned counted_calls;

static void counted(void *arg)
{
	(void)arg;
	counted_calls++;
}

static void test_counters_are_summed(void **state)
{
	struct channel_msg ask, told = { .type = CHANNEL_STATS };
	int fd;

	(void)state;
	counted_calls = 0;
	monitor_make(false);
	assert_int_equal(monitor_count(monitor, counted, NULL), 0);
	assert_int_equal(counted_calls, 1); /* nobody serves: at once */
	ready(1);
	fd = client();
	turns(10);
	takes_connection(1);
	assert_int_equal(monitor_count(monitor, counted, NULL), 0);
	assert_int_equal(monitor_count(monitor, counted, NULL), -EBUSY);
	for (uint32_t ring = 0; ring < tally_rings(PAIRS); ring++) {
		assert_int_equal(order(1, &ask), CHANNEL_ASK_STATS);
		assert_int_equal(ask.ask_stats.ring, ring);
		told.seq = ask.seq;
		told.stats.ring = ring;
		told.stats.counters.frames = 10 + ring;
		say(1, told);
	}
	assert_int_equal(counted_calls, 2);
	dies(1, 0);
	assert_int_equal(tally_sum(monitor_tally(monitor), 3).frames, 13);
	close(fd);
	/* a device that dies while it is asked: the count ends all the same */
	ready(2);
	fd = client();
	turns(10);
	takes_connection(2);
	assert_int_equal(monitor_count(monitor, counted, NULL), 0);
	dies(2, 9);
	assert_int_equal(counted_calls, 3);
	assert_int_equal(tally_sum(monitor_tally(monitor), 3).frames, 13);
	close(fd);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_spare_then_service),
		CASE(test_second_client_waits),
		CASE(test_purged_between_connections),
		CASE(test_purge_fails),
		CASE(test_connection_survives_a_dead_spare),
		CASE(test_client_that_gave_up),
		CASE(test_accept_fails_for_a_while),
		CASE(test_too_many_early_deaths),
		CASE(test_held_while_serving),
		CASE(test_stop_in_order),
		CASE(test_stop_without_reaping),
		CASE(test_restart),
		CASE(test_once_orderly),
		CASE(test_once_died),
		CASE(test_given_connection),
		CASE(test_spawner_ends),
		CASE(test_queue_storm),
		CASE(test_counters_are_summed),
	};

	return cmocka_run_group_tests_name("monitor", tests, NULL, NULL);
}
