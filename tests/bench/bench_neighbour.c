/*
 * What a hostile connection costs its neighbour: two brokers, each with a device; one carries an
 * honest guest's frames as fast as they go, the other is given a flood. Two CPUs are not enough for
 * everybody, so the measure is the same neighbour beside an honest guest that is just as busy: the
 * two alternate, and medians of their rates are compared. More than 5 % is a failure.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/util.h"
#include "tests/support/flood.h"
#include "tests/support/rig.h"

#define OTHER_TAP "airlock1"
#define ROUNDS	  9
#define COST_MAX  0.05

static struct rig rig, other; /* the neighbour's, the attacked */
static struct flood neighbour, attack;
static unsigned round_ms = 500;

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void start_other(void)
{
	struct program_start s;

	rig_prepare(&other, &s, (const char *[]){ "--tap=" OTHER_TAP, NULL });
	for (size_t i = 0; s.args[i]; i++)
		if (!strcmp(s.args[i], "--tap=" RIG_TAP))
			s.args[i] = "--log-level=error";
	rig_launch(&other, &s);
}

/* Frames a second of the neighbour while the other broker has this. */
static double rate_beside(enum flood_kind kind)
{
	struct host_counters before, after;
	double begin, end;

	flood_start(&attack, kind, other.socket, OTHER_TAP);
	rig_sleep(100);
	assert_ok(host_counters(RIG_TAP, &before));
	begin = now_s();
	rig_sleep((int)round_ms);
	end = now_s();
	assert_ok(host_counters(RIG_TAP, &after));
	flood_stop(&attack);
	assert_ok(attack.error);
	return (double)(after.rx_frames - before.rx_frames) / (end - begin);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double cost_of(enum flood_kind kind)
{
	double honest[ROUNDS], hostile[ROUNDS], cost;

	for (int i = 0; i < ROUNDS; i++) {
		if (i & 1)
			hostile[i] = rate_beside(kind);
		honest[i] = rate_beside(FLOOD_HONEST);
		if (!(i & 1))
			hostile[i] = rate_beside(kind);
	}
	qsort(honest, ROUNDS, sizeof(*honest), by_value);
	qsort(hostile, ROUNDS, sizeof(*hostile), by_value);
	cost = 1 - hostile[ROUNDS / 2] / honest[ROUNDS / 2];
	printf("%-34s %9.0f %9.0f   %+6.1f %%\n", flood_name(kind), honest[ROUNDS / 2] / 1e3,
	       hostile[ROUNDS / 2] / 1e3, 100 * cost);
	fflush(stdout);
	return cost;
}

static void costs_the_neighbour_little(void **state)
{
	double worst = -1;

	(void)state;
	rig_start(&rig, (const char *[]){ "--log-level=error", NULL });
	start_other();
	flood_start(&neighbour, FLOOD_HONEST, rig.socket, RIG_TAP);
	printf("neighbour, thousand frames a second:\nbeside a flood of                     honest"
	       "   hostile       cost\n");
	fflush(stdout);
	for (enum flood_kind kind = FLOOD_HONEST + 1; kind < FLOOD_KINDS; kind++) {
		double cost = cost_of(kind);

		worst = max_of(worst, cost);
	}
	flood_stop(&neighbour);
	assert_ok(neighbour.error);
	assert_int_equal(0, program_stop(&other.broker));
	rig_abandon(&other);
	assert_int_equal(0, program_stop(&rig.broker));
	rig_abandon(&rig);
	assert_true(worst < COST_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(costs_the_neighbour_little) };

	if (getenv("QUICK"))
		round_ms = 100;
	return rig_run("neighbour", tests, ARRAY_SIZE(tests));
}
