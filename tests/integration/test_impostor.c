/*
 * The broker against its device: a double (puppet.h) that says every wrong thing on the channel,
 * never answers, passes descriptors, or dies, before it is ready, as a spare, and while it serves.
 * The broker lives, names what was wrong, and serves again as soon as the device behaves; nothing
 * that the device named has been done to anybody else.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/channel.h"
#include "lib/clock.h"
#include "lib/util.h"
#include "tests/support/puppeteer.h"

#define BROKE	    "broke the rules of its channel"
#define HELD_DEATHS 10	  /* of devices that were not ready; then no more are made */
#define HELD_MS	    25000 /* the sum of the pauses before that is 16 s */
#define LASTS	    10 /* tenths of a second of misbehaviour: some deaths, and pauses below a second */
#define ORDERLY	    "--mac=52:54:00:12:34:56"

static struct rig rig;
static struct puppeteer puppet;

static int start(void **state)
{
	(void)state;
	puppets_start(&puppet, &rig, (const char *[]){ ORDERLY, "--queue-pairs=2", NULL });
	return 0;
}

static int end(void **state)
{
	(void)state;
	peer_close(&puppet.peer);
	rig_abandon(&rig);
	return 0;
}

/* A device carries out what it is told: whatever was, is over. */
static void assert_serves(void)
{
	assert_int_equal(-EBADF, puppet_calls(&puppet, SYS_close, (const int64_t[6]){ -1 }));
	puppet_drop(&puppet);
	rig_settled(&rig);
}

/* ---- before it serves ---- */

static const struct early {
	const char *name;
	enum puppet_start start;
	const char *words; /* of the broker's, by the end */
	unsigned lasts;	   /* tenths of a second, 0: LASTS */
} earlies[] = {
	{ "silent", START_SILENT, "killed: was not ready in time", 30 },
	{ "packet without a byte", START_EMPTY, "killed by SIGKILL", 0 },
	{ "READY, a byte short", START_SHORT, "killed: " BROKE, 0 },
	{ "READY, a byte long", START_LONG, "killed: " BROKE, 0 },
	{ "4096 bytes", START_HUGE, "killed: " BROKE, 0 },
	{ "READY of another version", START_VERSION, "killed: " BROKE, 0 },
	{ "unknown type", START_TYPE, "killed: " BROKE, 0 },
	{ "STOP, which is the broker's to say", START_ORDER, "killed: " BROKE, 0 },
	{ "PONG", START_PONG, "killed: " BROKE, 0 },
	{ "QUEUE", START_QUEUE, "killed: " BROKE, 0 },
	{ "STATS", START_STATS, "killed: " BROKE, 0 },
	{ "STOPPED", START_STOPPED, "killed: " BROKE, 0 },
	{ "READY with a descriptor", START_PASS, "killed: " BROKE, 0 },
	{ "closes its channel and lives on", START_CLOSE, "killed by SIGKILL", 0 },
	{ "exits with 0", START_EXIT, "exited", 0 },
	{ "exits with 3", START_FAIL, "exited with 3", 0 },
	{ "crashes", START_CRASH, "killed by SIG(ILL|TRAP)", 0 },
	{ "makes a call that is denied", START_DENIED, "SIGSYS: getppid", 0 },
	{ "events without end", START_FLOOD, "killed: was not ready in time", 30 },
	{ "ready, then READY", START_THEN_READY, "killed: " BROKE, 0 },
	{ "ready, then PONG", START_THEN_PONG, "killed: " BROKE, 0 },
	{ "ready, then QUEUE", START_THEN_QUEUE, "killed: " BROKE, 0 },
	{ "ready, then STOPPED", START_THEN_STOPPED, "killed: " BROKE, 0 },
	{ "ready, then closes its channel", START_THEN_CLOSE, "killed by SIGKILL", 0 },
	{ "ready, then exits with 0", START_THEN_EXIT, "exited", 0 },
	{ "ready, then crashes", START_THEN_CRASH, "killed by SIG(ILL|TRAP)", 0 },
};

/* The --mac of a device that misbehaves for so many tenths of a second from now. */
static const char *mac_of(enum puppet_start start, unsigned lasts)
{
	static char mac[40];
	unsigned until = (unsigned)(clock_ms() / 100) + lasts;

	snprintf(mac, sizeof(mac), "--mac=%02x:00:%02x:%02x:%02x:%02x", PUPPET_MAC, start,
		 until >> 16 & 0xff, until >> 8 & 0xff, until & 0xff);
	return mac;
}

/* A broker whose first devices do so; a slow machine gives it more time to have some. */
static void misbehave(const struct early *e)
{
	for (unsigned lasts = max_of(e->lasts, (unsigned)LASTS);; lasts *= 3) {
		int64_t end = clock_ms() + 100 * lasts + 300;

		assert_in_range(lasts, LASTS, 100);
		puppets_start(&puppet, &rig, (const char *[]){ mac_of(e->start, lasts), NULL });
		while (clock_ms() < end)
			rig_sleep(10);
		if (program_says(&rig.broker, e->words, 0))
			return;
		rig_stop(&rig);
	}
}

static void early_row(void **state)
{
	misbehave(*state);
	/* Ends of devices that were not ours to hear of. */
	while (puppet_hears(&puppet))
		;
	rig_note(&rig);
	assert_serves();
	rig_stop(&rig);
}

/* A spare that floods its broker costs it little, and nobody its connection. */
static void flood_of_a_spare_costs_little(void **state)
{
	long long before;
	double share;

	(void)state;
	puppets_start(&puppet, &rig, (const char *[]){ mac_of(START_THEN_FLOOD, 20), NULL });
	before = proc_cpu_ns(rig.broker.pid);
	rig_sleep(1000);
	share = (double)(proc_cpu_ns(rig.broker.pid) - before) / 1e9;
	print_message("# the broker's share of a CPU: %.0f %%\n", 100 * share);
	assert_true(share < 0.25 * rig_patience(1));
	rig_sleep(1200);
	assert_ok(program_signal(&rig.broker, SIGHUP));
	rig_sleep(300);
	while (puppet_hears(&puppet))
		;
	assert_serves();
	rig_stop(&rig);
}

/* Growing pauses, and then the end: whoever starts brokers has to look. */
static void too_many_early_deaths_end_the_broker(void **state)
{
	int64_t times[HELD_DEATHS];
	struct program_start s;
	unsigned n = 0;

	(void)state;
	puppet = (struct puppeteer){ .rig = &rig, .peer = { .sock = -1 } };
	rig_prepare_double(&rig, &s, "puppet_device",
			   (const char *[]){ mac_of(START_FAIL, HELD_MS / 100), NULL });
	assert_ok(program_run(&rig.broker, &s));
	for (; n < HELD_DEATHS; n++) {
		puppet_end(&puppet);
		times[n] = clock_ms();
		assert_string_equal("exited with 3", puppet.end);
	}
	for (n = 3; n < HELD_DEATHS; n++) {
		int64_t pause = times[n] - times[n - 1], least = min_of(100 << (n - 2), 5000);

		assert_in_range(pause, least - 50, least + rig_patience(500));
	}
	assert_int_equal(1, program_wait(&rig.broker, RIG_WAIT_MS));
	assert_true(program_says(&rig.broker, "10 devices in a row died", 0));
	assert_false(host_has(RIG_TAP));
	rig_abandon(&rig);
}

/* ---- while it serves ---- */

#define SAYS(words, t, ...)                                                                     \
	{                                                                                       \
		.name = words, .msg = { .version = CHANNEL_VERSION, .type = (t), __VA_ARGS__ }, \
		.end = "killed: " BROKE                                                         \
	}

#define LIVES ""

static const struct word {
	const char *name;
	struct channel_msg msg;
	int more;	 /* bytes than the type's own */
	unsigned times;	 /* 0: once */
	const char *end; /* the beginning; LIVES: it goes on */
} words[] = {
	SAYS("SERVE", CHANNEL_SERVE, .serve = { .pairs = 1 }),
	SAYS("STOP", CHANNEL_STOP),
	SAYS("ASK_STATS", CHANNEL_ASK_STATS),
	SAYS("PING", CHANNEL_PING),
	SAYS("LINK", CHANNEL_LINK, .link = { 0, 68 }),
	SAYS("READY again", CHANNEL_READY, .ready = { .threads = 1 }),
	SAYS("PONG to no PING", CHANNEL_PONG, .seq = 77),
	SAYS("STATS that nobody asked for", CHANNEL_STATS, .seq = 77),
	SAYS("account of a ring that is not there", CHANNEL_STATS, .stats = { .ring = 5 }),
	SAYS("account of ring 2^32 - 1", CHANNEL_STATS, .stats = { .ring = UINT32_MAX }),
	SAYS("QUEUE of a pair that is not there", CHANNEL_QUEUE, .queue = { 2, 1 }),
	SAYS("QUEUE of pair 2^32 - 1", CHANNEL_QUEUE, .queue = { UINT32_MAX, 1 }),
	SAYS("QUEUE neither attached nor detached", CHANNEL_QUEUE, .queue = { 0, 2 }),
	SAYS("STEER neither on nor off", CHANNEL_STEER, .steer = { .on = 2 }),
	SAYS("unknown type", CHANNEL_TYPES),
	SAYS("type 65535", 0xffff),
	{ .name = "version 0", .msg = { .type = CHANNEL_EVENT }, .end = "killed: " BROKE },
	{ .name = "version 2",
	  .msg = { .version = 2, .type = CHANNEL_EVENT },
	  .end = "killed: " BROKE },
	{ .name = "a byte short",
	  .msg = { .version = CHANNEL_VERSION, .type = CHANNEL_EVENT },
	  .more = -1,
	  .end = "killed: " BROKE },
	{ .name = "a byte long",
	  .msg = { .version = CHANNEL_VERSION, .type = CHANNEL_EVENT },
	  .more = 1,
	  .end = "killed: " BROKE },
	{ .name = "STOPPED twice",
	  .msg = { .version = CHANNEL_VERSION, .type = CHANNEL_STOPPED },
	  .times = 2,
	  .end = "killed: " BROKE ": STOPPED twice" },
	{ .name = "STOPPED, and lives on",
	  .msg = { .version = CHANNEL_VERSION, .type = CHANNEL_STOPPED },
	  .end = "killed: did not end with its connection" },
	{ .name = "accounts of a ring without end",
	  .msg = { .version = CHANNEL_VERSION, .type = CHANNEL_STATS },
	  .times = 100,
	  .end = "killed: " BROKE ": an account that cannot be" },
	{ .name = "an event of a number that is none",
	  .msg = { .version = CHANNEL_VERSION,
		   .type = CHANNEL_EVENT,
		   .event = { UINT32_MAX, 0, INT64_MIN, INT64_MAX } },
	  .end = LIVES },
	{ .name = "events without end",
	  .msg = { .version = CHANNEL_VERSION,
		   .type = CHANNEL_EVENT,
		   .event = { .code = UINT32_MAX } },
	  .times = 100000,
	  .end = LIVES },
	{ .name = "its queues on and off without end",
	  .msg = { .version = CHANNEL_VERSION, .type = CHANNEL_QUEUE, .queue = { 1, 1 } },
	  .times = 100000,
	  .end = LIVES },
	{ .name = "its first queue off",
	  .msg = { .version = CHANNEL_VERSION, .type = CHANNEL_QUEUE, .queue = { 0, 0 } },
	  .end = LIVES },
	{ .name = "steering on, of an empty page",
	  .msg = { .version = CHANNEL_VERSION, .type = CHANNEL_STEER, .steer = { .on = 1 } },
	  .end = LIVES },
};

/* Bytes of a message of this type. */
static size_t length_of(const struct channel_msg *msg)
{
	static const size_t payloads[CHANNEL_TYPES] = {
		[CHANNEL_SERVE] = sizeof(msg->serve), [CHANNEL_ASK_STATS] = sizeof(msg->ask_stats),
		[CHANNEL_LINK] = sizeof(msg->link),   [CHANNEL_READY] = sizeof(msg->ready),
		[CHANNEL_STATS] = sizeof(msg->stats), [CHANNEL_QUEUE] = sizeof(msg->queue),
		[CHANNEL_STEER] = sizeof(msg->steer), [CHANNEL_EVENT] = sizeof(msg->event),
	};

	return offsetof(struct channel_msg, serve) +
	       (msg->type < CHANNEL_TYPES ? payloads[msg->type] : 0);
}

static void say_row(void **state)
{
	const struct word *w = *state;
	struct puppet_order order = { .nr = SYS_sendto,
				      .args = { 3, 0, (int64_t)length_of(&w->msg) + w->more, 0 },
				      .pointers = 2,
				      .times = w->times };
	struct puppet_answer answer;
	int64_t before = machine_ms();

	memcpy(order.memory, &w->msg, sizeof(w->msg));
	if (*w->end) {
		if (puppet_obeys(&puppet, &order, -1, &answer)) {
			puppet_end(&puppet);
			peer_close(&puppet.peer);
		}
		assert_memory_equal(w->end, puppet.end, strlen(w->end));
		assert_true(machine_ms() - before < rig_patience(RIG_SERVE_MS));
	} else {
		assert_true(puppet_obeys(&puppet, &order, -1, &answer));
		puppet_drop(&puppet);
		assert_string_equal("exited", puppet.end);
	}
	assert_serves();
}

/* Ends that need no word. */
static const struct deed {
	const char *name;
	struct puppet_order order;
	const char *end;
} deeds[] = {
	{ "never answers", { .verb = PUPPET_SPIN }, "killed: did not answer PING in time" },
	{ "exits with 0", { .nr = SYS_exit_group }, "exited" },
	{ "exits with 3", { .nr = SYS_exit_group, .args = { 3 } }, "exited with 3" },
	{ "crashes", { .verb = PUPPET_TRAP }, "killed by SIGILL" },
	{ "writes where it may not", { .verb = PUPPET_WRITE }, "killed by SIGSEGV" },
	/* An end of file for the broker, who closes its end: the device may leave before it is
	 * killed.
	 */
	{ "says nothing, in a packet",
	  { .nr = SYS_sendto, .args = { 3, 0, 0, 0 }, .pointers = 2 },
	  "" },
	{ "says 4096 bytes",
	  { .nr = SYS_sendto, .args = { 3, 0, 4096, 0 }, .pointers = 2 },
	  "killed: " BROKE },
	{ "says no more (shutdown by close)", { .nr = SYS_close, .args = { 3 } }, "" },
};

static void do_row(void **state)
{
	const struct deed *d = *state;
	struct puppet_answer answer;

	if (puppet_obeys(&puppet, &d->order, -1, &answer)) {
		peer_close(&puppet.peer);
		puppet_end(&puppet);
	}
	assert_memory_equal(d->end, puppet.end, strlen(d->end));
	assert_serves();
}

static void stops_itself(void **state)
{
	int64_t begin, told;
	pid_t pid;

	(void)state;
	assert_int_equal(-EBADF, puppet_calls(&puppet, SYS_close, (const int64_t[6]){ -1 }));
	pid = rig_device(&rig);
	assert_ok(kill(pid, SIGSTOP));
	begin = machine_ms();
	told = clock_ms();
	peer_send_raw(&puppet.peer, "x", 1, NULL, 0);
	puppet_end(&puppet);
	assert_string_equal("killed: did not answer PING in time", puppet.end);
	assert_in_range(clock_ms() - told, 300, INT_MAX);
	assert_in_range(machine_ms() - begin, 0, rig_patience(RIG_SERVE_MS));
	peer_close(&puppet.peer);
	assert_serves();
}

static void ends_in_order(void **state)
{
	(void)state;
	rig_stop(&rig);
}

static int ensure(void **state)
{
	return rig.dir[0] ? 0 : start(state);
}

static int keep(void **state)
{
	(void)state;
	peer_close(&puppet.peer);
	if (rig.dir[0] && !program_running(&rig.broker))
		rig_abandon(&rig);
	return 0;
}

#define WORST (ARRAY_SIZE(earlies) + ARRAY_SIZE(words) + ARRAY_SIZE(deeds) + 4)

int main(void)
{
	static struct CMUnitTest tests[WORST];
	static char names[WORST][80];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++, n++) {
		snprintf(names[n], sizeof(names[n]), "says: %s", words[i].name);
		tests[n] =
			(struct CMUnitTest){ names[n], say_row, ensure, keep, (void *)&words[i] };
	}
	for (size_t i = 0; i < ARRAY_SIZE(deeds); i++, n++)
		tests[n] = (struct CMUnitTest){ deeds[i].name, do_row, ensure, keep,
						(void *)&deeds[i] };
	tests[n++] = (struct CMUnitTest)cmocka_unit_test_setup_teardown(stops_itself, ensure, keep);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test_setup_teardown(ends_in_order, ensure, end);
	for (size_t i = 0; i < ARRAY_SIZE(earlies); i++, n++) {
		snprintf(names[n], sizeof(names[n]), "before it serves: %s", earlies[i].name);
		tests[n] =
			(struct CMUnitTest){ names[n], early_row, NULL, end, (void *)&earlies[i] };
	}
	tests[n++] =
		(struct CMUnitTest)cmocka_unit_test_teardown(flood_of_a_spare_costs_little, end);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test_teardown(
		too_many_early_deaths_end_the_broker, end);
	if (rig_sanitized()) {
		puts("1..0 # SKIP a sanitizer's build is confined less, by design");
		return 0;
	}
	return rig_run("impostor", tests, n);
}
