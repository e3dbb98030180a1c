/*
 * Time and processors for measurements: runs in the benchmark.
 */
#include "tests/bench/clock.h"

#include <sched.h>
#include <unistd.h>

#include "lib/util.h"
#include "tests/support/proc.h"

int64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void pin(pid_t tid, int first, int last)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int cpu = first; cpu <= last; cpu++)
		CPU_SET(cpu, &set);
	sched_setaffinity(tid, sizeof(set), &set);
}

void clock_pin_front_end(pid_t tid)
{
	int last = (int)sysconf(_SC_NPROCESSORS_ONLN) - 1;

	pin(tid, last, last);
}

void clock_pin_measured(pid_t tid)
{
	int last = (int)sysconf(_SC_NPROCESSORS_ONLN) - 1;

	pin(tid, 0, last ? last - 1 : 0);
}

void clock_pin_process(pid_t pid)
{
	pid_t tids[64];
	int n = proc_threads(pid, tids, ARRAY_SIZE(tids));

	for (int i = 0; i < min_of(n, (int)ARRAY_SIZE(tids)); i++)
		clock_pin_measured(tids[i]);
}
