/*
 * Processors for measurements: runs in the benchmark.
 */
#include "tests/bench/pin.h"

#include <sched.h>
#include <unistd.h>

#include "lib/util.h"
#include "tests/support/rig.h"

static int pin(pid_t tid, int first, int last)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int cpu = first; cpu <= last; cpu++)
		CPU_SET(cpu, &set);
	return sched_setaffinity(tid, sizeof(set), &set);
}

void pin_front_end(pid_t tid)
{
	int last = (int)sysconf(_SC_NPROCESSORS_ONLN) - 1;

	pin(tid, last, last);
}

void pin_measured(pid_t tid)
{
	int last = (int)sysconf(_SC_NPROCESSORS_ONLN) - 1;

	pin(tid, 0, last ? last - 1 : 0);
}

void pin_process(pid_t pid)
{
	pid_t tids[64];
	int n = proc_threads(pid, tids, ARRAY_SIZE(tids));

	for (int i = 0; i < min_of(n, (int)ARRAY_SIZE(tids)); i++)
		pin_measured(tids[i]);
}

void pin_to(int cpu)
{
	assert_ok(pin(0, cpu, cpu));
}
