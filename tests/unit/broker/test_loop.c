/* loop: order of timers, sleeping for good, and changing what is watched from within a callback. */
#include "broker/loop.h"
#include "lib/fd.h"
#include "lib/util.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <cmocka.h>

static struct loop loop;
static char order[16];

static char letters[] = "abcdt";

static void note(void *arg)
{
	strncat(order, arg, 1);
}

static int begin(void **state)
{
	(void)state;
	loop = (struct loop){ 0 };
	order[0] = '\0';
	return 0;
}

static void test_timers_in_order(void **state)
{
	struct timer a = { .fire = note, .arg = &letters[0] },
		     b = { .fire = note, .arg = &letters[1] },
		     c = { .fire = note, .arg = &letters[2] },
		     d = { .fire = note, .arg = &letters[3] };

	(void)state;
	loop_arm(&loop, &c, 20);
	loop_arm(&loop, &a, 5);
	loop_arm(&loop, &d, 5);
	loop_arm(&loop, &b, 10);
	loop_disarm(&loop, &d);
	loop_arm(&loop, &a, 1); /* anew */
	while (loop.timers)
		assert_int_equal(loop_turn(&loop, -1), 0);
	assert_string_equal(order, "abc");
}

static void test_waits_as_long_as_the_next_timer(void **state)
{
	struct timer t = { .fire = note, .arg = &letters[4] };
	uint64_t start = loop_now();

	(void)state;
	loop_arm(&loop, &t, 30);
	assert_int_equal(loop_turn(&loop, -1), 0);
	assert_in_range((loop_now() - start) / 1000000, 29, 200);
	assert_string_equal(order, "t");
	start = loop_now();
	assert_int_equal(loop_turn(&loop, 10), 0); /* nothing is armed */
	assert_in_range((loop_now() - start) / 1000000, 9, 200);
}

struct pair {
	struct watch self, *other;
};

static void remove_other(void *arg, short revents)
{
	struct pair *pair = arg;

	(void)revents;
	strcat(order, "x");
	loop_remove(&loop, pair->other);
}

/* Both are ready; the first one's callback removes the second, which must not be called. */
static void test_removed_during_a_turn(void **state)
{
	int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	struct pair one, two;

	(void)state;
	one = (struct pair){ { .fd = fd, .events = POLLIN, .ready = remove_other, .arg = &one },
			     &two.self };
	two = (struct pair){ { .fd = fd, .events = POLLIN, .ready = remove_other, .arg = &two },
			     &one.self };
	assert_int_equal(loop_add(&loop, &one.self), 0);
	assert_int_equal(loop_add(&loop, &two.self), 0);
	assert_int_equal(loop_add(&loop, &two.self), 0); /* twice is once */
	assert_int_equal(loop_turn(&loop, 0), 0);
	assert_string_equal(order, "x");
	loop_remove(&loop, &one.self);
	loop_remove(&loop, &one.self);
	assert_int_equal(loop_turn(&loop, 0), 0);
	assert_string_equal(order, "x");
	fd_close(&fd);
}

static void test_full(void **state)
{
	struct watch watches[LOOP_WATCHES + 1] = { 0 };

	(void)state;
	for (size_t i = 0; i < LOOP_WATCHES; i++) {
		watches[i].fd = -1;
		assert_int_equal(loop_add(&loop, &watches[i]), 0);
	}
	assert_int_equal(loop_add(&loop, &watches[LOOP_WATCHES]), -ENOSPC);
	loop_remove(&loop, &watches[3]);
	assert_int_equal(loop_turn(&loop, 0), 0);
	assert_int_equal(loop_add(&loop, &watches[LOOP_WATCHES]), 0);
}

static void stop(void *arg)
{
	(void)arg;
	loop_stop(&loop, 7);
	loop_stop(&loop, 8); /* the first word counts */
}

static void test_stop(void **state)
{
	struct timer t = { .fire = stop };

	(void)state;
	loop_arm(&loop, &t, 1);
	assert_int_equal(loop_run(&loop), 7);
}

#define CASE(test) cmocka_unit_test_setup(test, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_timers_in_order),
		CASE(test_waits_as_long_as_the_next_timer),
		CASE(test_removed_during_a_turn),
		CASE(test_full),
		CASE(test_stop),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
