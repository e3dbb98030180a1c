/*
 * What a hostile connection costs its neighbour: two brokers, each with its device and its guest on
 * a CPU of their own, so that what they share is the kernel and the machine and not a scheduler's
 * slices. One carries an honest guest's frames as fast as they go, the other is given a flood, or
 * for comparison another honest guest: the two alternate, and medians of the first one's rates are
 * compared, and what each frame cost the neighbour's device of its CPU. More than 5 % of both is a
 * failure, beyond the worse quartile of the honest rounds: that far the host goes by itself.
 */
#include <stdio.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/util.h"
#include "tests/bench/pin.h"
#include "tests/bench/results.h"
#include "tests/support/flood.h"
#include "tests/support/rig.h"

#define OTHER_TAP "airlock1"
#define ROUNDS	  9
#define COST_MAX  0.05

static struct rig rig, other; /* the neighbour's, the attacked */
static struct flood neighbour, attack;
static pid_t device; /* the neighbour's */
static unsigned round_ms = 400;

static void start_other(void)
{
	struct program_start s;

	rig_prepare(&other, &s, (const char *[]){ "--tap=" OTHER_TAP, NULL });
	for (size_t i = 0; s.args[i]; i++)
		if (!strcmp(s.args[i], "--tap=" RIG_TAP))
			s.args[i] = "--log-level=error";
	rig_launch(&other, &s);
}

struct rate {
	double per_second, cpu_ns;
};

/* What the neighbour achieves while the other broker has this. */
static struct rate rate_beside(enum flood_kind kind)
{
	struct host_counters before, after;
	int64_t begin, end;
	long long cpu;
	double frames;

	flood_start(&attack, kind, other.socket, OTHER_TAP);
	rig_sleep(100);
	assert_ok(host_counters(RIG_TAP, &before));
	cpu = proc_cpu_ns(device);
	begin = clock_ns();
	rig_sleep((int)round_ms);
	end = clock_ns();
	cpu = proc_cpu_ns(device) - cpu;
	assert_ok(host_counters(RIG_TAP, &after));
	flood_stop(&attack);
	assert_ok(attack.error);
	frames = (double)max_of(after.rx_frames - before.rx_frames, UINT64_C(1));
	return (struct rate){ frames * 1e9 / (double)(end - begin), (double)cpu / frames };
}

/* The median of a figure; in *quartile the value below which the share `part` of them lies. */
static double median(const struct rate *rates, size_t offset, double part, double *quartile)
{
	double values[ROUNDS], middle;

	for (int i = 0; i < ROUNDS; i++)
		memcpy(&values[i], (const char *)&rates[i] + offset, sizeof(values[i]));
	middle = results_median(values, ROUNDS);
	*quartile = results_percentile(values, ROUNDS, part);
	return middle;
}

static double cost_of(enum flood_kind kind)
{
	struct rate honest[ROUNDS], hostile[ROUNDS];
	double ns[2], per_second[2], dear, slow, unused;

	for (int i = 0; i < ROUNDS; i++) {
		if (i & 1)
			hostile[i] = rate_beside(kind);
		honest[i] = rate_beside(FLOOD_HONEST);
		if (!(i & 1))
			hostile[i] = rate_beside(kind);
	}
	per_second[0] = median(honest, offsetof(struct rate, per_second), 0.25, &slow);
	per_second[1] = median(hostile, offsetof(struct rate, per_second), 0.25, &unused);
	ns[0] = median(honest, offsetof(struct rate, cpu_ns), 0.75, &dear);
	ns[1] = median(hostile, offsetof(struct rate, cpu_ns), 0.75, &unused);
	printf("%-34s %8.0f %8.0f %+6.1f %% %8.0f %8.0f %+6.1f %%\n", flood_name(kind),
	       per_second[0] / 1e3, per_second[1] / 1e3, 100 * (1 - per_second[1] / per_second[0]),
	       ns[0], ns[1], 100 * (ns[1] / ns[0] - 1));
	fflush(stdout);
	return min_of(ns[1] / dear - 1, 1 - per_second[1] / slow);
}

static void costs_the_neighbour_little(void **state)
{
	double worst = -1;

	(void)state;
	pin_to(0);
	rig_start(&rig, (const char *[]){ "--log-level=error", NULL });
	flood_start(&neighbour, FLOOD_HONEST, rig.socket, RIG_TAP);
	pin_to(1);
	start_other();
	while (!neighbour.turns)
		rig_sleep(1);
	device = rig_device(&rig);
	printf("                                   thousand frames a second       CPU ns a frame\n"
	       "beside a flood of                    honest  hostile     cost   honest  hostile     "
	       "cost\n");
	fflush(stdout);
	for (enum flood_kind kind = FLOOD_HONEST + 1; kind < FLOOD_KINDS; kind++) {
		double cost = cost_of(kind);

		worst = max_of(worst, cost);
	}
	flood_stop(&neighbour);
	assert_ok(neighbour.error);
	rig_stop(&rig);
	rig_stop(&other);
	assert_true(worst < COST_MAX);
}

static int end(void **state)
{
	(void)state;
	rig_abandon(&other);
	rig_abandon(&rig);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(costs_the_neighbour_little, end),
	};

	if (results_quick())
		round_ms = 100;
	return rig_run("neighbour", tests, ARRAY_SIZE(tests));
}
