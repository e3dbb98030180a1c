/* crew: one serves, one waits, the dead are replaced after a pause, and whose end is whose fault.
 */
#include <signal.h>

#include "broker/crew.h"
#include "tests/unit/broker/births.h"

static struct crew crew;
static struct {
	unsigned reaped, orderly, hopeless, orphaned, seen, gone;
} heard;

/* The replaced tracepoint: one process made a call that is not allowed. */
static const pid_t offender = 2; /* in its own namespace; the first is its spawner */

int denial_find(const struct denial *d, pid_t tgid, struct denial_record *out)
{
	(void)d;
	*out = (struct denial_record){ .tgid = offender, .nr = 7 };
	return tgid == offender ? 0 : -ENOENT;
}

const char *denial_syscall_name(int nr)
{
	return nr == 7 ? "a call" : "?";
}

static void on_reaped(void *arg, struct device *device, bool orderly)
{
	(void)arg, (void)device;
	heard.reaped++;
	heard.orderly += orderly;
}

static void on_seen(void *arg, struct device *device)
{
	(void)arg;
	assert_ptr_equal(device, crew.serving);
	heard.seen++;
}

static void on_hopeless(void *arg)
{
	(void)arg;
	heard.hopeless++;
}

static void on_orphaned(void *arg)
{
	(void)arg;
	heard.orphaned++;
}

static void on_ready(void *arg, struct device *device)
{
	(void)arg, (void)device;
}

static void on_gone(void *arg, struct device *device, enum device_state from)
{
	(void)arg;
	heard.gone++;
	crew_lose(&crew, device, from);
	crew_fill(&crew);
}

static const struct crew_owner owner = {
	.reaped = on_reaped,
	.seen = on_seen,
	.hopeless = on_hopeless,
	.orphaned = on_orphaned,
};
static const struct device_owner life = { .ready = on_ready, .gone = on_gone };

static int begin(void **state)
{
	struct crew_options options = {
		.what = "device", .loop = &loop, .pairs = 1, .owner = &owner, .life = &life
	};

	(void)state;
	births_begin();
	memset(&heard, 0, sizeof(heard));
	crew_init(&crew, &options);
	crew_begin(&crew);
	turns(5);
	return 0;
}

static int finish(void **state)
{
	(void)state;
	births_hang_up();
	crew_end(&crew);
	births_end();
	return 0;
}

static void test_one_waits(void **state)
{
	(void)state;
	assert_int_equal(births, 1);
	assert_false(crew_waits(&crew));
	assert_int_equal(crew_shown(&crew)->pid, 1001);
	ready(1);
	assert_true(crew_waits(&crew));
	crew_fill(&crew); /* there is one */
	assert_int_equal(births, 1);
	assert_int_equal(crew_take(&crew)->serial, 1);
	assert_false(crew_waits(&crew));
	crew_fill(&crew);
	assert_int_equal(births, 2);
	assert_int_equal(crew_shown(&crew)->serial, 1); /* who serves, before who waits */
}

/* 0, 100, 200, 400 ms: the n-th death is followed by a birth no earlier. */
static void test_early_deaths_pause(void **state)
{
	static const unsigned pauses[] = { 0, 100, 200, 400 };

	(void)state;
	for (uint32_t i = 0; i < ARRAY_SIZE(pauses); i++) {
		uint64_t start = loop_now(), ms;

		dies(i + 1, 256);
		while (births == i + 1 && loop_now() - start < 2000000000ull)
			turns(5);
		ms = (loop_now() - start) / 1000000;
		assert_in_range(ms, pauses[i], pauses[i] + 150);
	}
	ready(births); /* forgets them */
	dies(births, 9);
	turns(250);
	dies(births, 9);
	turns(30);
	assert_int_equal(births, 7);
	assert_int_equal(crew.restarts, 6);
	assert_string_equal(crew.last_exit, "killed by SIGKILL");
}

static void test_hopeless(void **state)
{
	(void)state;
	for (int i = 0; i < 1000 && !heard.hopeless; i++) {
		if (crew.spare)
			dies(births, 256);
		if (loop.timers)
			loop.timers->due = 0; /* let the pause be over */
		turns(1);
	}
	assert_int_equal(heard.hopeless, 1);
	assert_int_equal(births, 10);
	crew_fill(&crew);
	assert_int_equal(births, 10);
}

static void test_seen(void **state)
{
	const struct spawner_news stale = {
		.type = SPAWNER_SEEN, .serial = 1, .pidfd = -1, .witness = &seen_witness
	};

	(void)state;
	ready(1);
	news_post(stale); /* of a spare: nobody asked */
	turns(5);
	assert_null(crew.witness);
	crew_take(&crew);
	news_post(stale);
	turns(5);
	assert_int_equal(heard.seen, 1);
	assert_int_equal(crew.witness->pid, seen_witness.pid);
	dies(1, 0);
	assert_null(crew.witness); /* with whom it was of */
	news_post(stale);
	turns(5);
	assert_int_equal(heard.seen, 1);
}

/* The tracepoint knows the dead by the numbers that they have in their own namespace. */
static void test_denied_calls_are_named(void **state)
{
	(void)state;
	ready(1);
	dies(1, SIGSYS);
	assert_string_equal(crew.last_exit, "killed by SIGSYS: a call (call 7) is not allowed");
	turns(150);
	ready(2);
	dies(2, SIGSYS);
	assert_string_equal(crew.last_exit, "killed by SIGSYS: an unnamed call is not allowed");
}

static void test_replaced(void **state)
{
	(void)state;
	ready(1);
	crew_take(&crew);
	crew_fill(&crew);
	ready(2);
	crew_replace(&crew); /* one that has no connection yet is just killed */
	turns(5);
	assert_int_equal(births, 3);
	dies(2, 9);
	dies(1, 9);
	assert_int_equal(heard.reaped, 2);
	assert_int_equal(heard.orderly, 2); /* our own doing */
	assert_int_equal(crew.restarts, 0);
	assert_string_equal(crew.last_exit, "");
}

static void test_closed(void **state)
{
	(void)state;
	ready(1);
	assert_true(crew_any(&crew, true));
	crew_close(&crew);
	turns(5);
	assert_false(crew_any(&crew, true));
	assert_true(crew_any(&crew, false)); /* not reaped */
	dies(1, 9);
	assert_false(crew_any(&crew, false));
	assert_int_equal(births, 1);
	assert_null(crew_shown(&crew));
}

/* The places are few, so that the dead who are not reaped cannot become many. */
static void test_no_place(void **state)
{
	(void)state;
	for (uint32_t i = 1; i <= CREW_PLACES; i++) {
		ready(i);
		crew_replace(&crew);
		turns(5);
	}
	assert_int_equal(births, CREW_PLACES);
	assert_null(crew.spare);
	dies(3, 9);
	assert_int_equal(births, CREW_PLACES + 1);
}

static void test_orphaned(void **state)
{
	(void)state;
	spawner_ended = true;
	fd_signal(news_fd);
	turns(50);
	assert_int_equal(heard.orphaned, 1);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_one_waits),
		CASE(test_early_deaths_pause),
		CASE(test_hopeless),
		CASE(test_seen),
		CASE(test_replaced),
		CASE(test_closed),
		CASE(test_denied_calls_are_named),
		CASE(test_replaced),
		CASE(test_closed),
		CASE(test_no_place),
		CASE(test_orphaned),
	};

	return cmocka_run_group_tests_name("crew", tests, NULL, NULL);
}
