/*
 * Lists of CPUs. Runs first in each program, in its only thread; trusts its launcher.
 */
#include "lib/cpus.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

/* One number; -EINVAL none, or more than a cpu_set_t has. */
static int number(const char **at)
{
	unsigned long n;
	char *end;

	if (**at < '0' || **at > '9')
		return -EINVAL;
	n = strtoul(*at, &end, 10);
	*at = end;
	return n < CPU_SETSIZE ? (int)n : -EINVAL;
}

static int range(const char **at, int *first, int *last)
{
	*first = *last = number(at);
	if (*first >= 0 && **at == '-') {
		++*at;
		*last = number(at);
	}
	return *first < 0 || *last < *first ? -EINVAL : 0;
}

int cpus_parse(const char *text, uint16_t *cpus, size_t max, int *bad)
{
	cpu_set_t allowed;
	size_t n = 0;
	int cpu, last;

	*bad = -1;
	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return -errno;
	do {
		if (range(&text, &cpu, &last))
			return -EINVAL;
		for (; cpu <= last; cpu++) {
			if (n == max)
				return -EINVAL;
			if (!CPU_ISSET(cpu, &allowed)) {
				*bad = cpu;
				return -EINVAL;
			}
			cpus[n++] = (uint16_t)cpu;
		}
	} while (*text == ',' && *++text);
	return *text || text[-1] == ',' ? -EINVAL : (int)n;
}
