/*
 * System calls that were seen, counted: by process, thread, role and the arguments that somebody
 * asked for. Two sources fill it (trace.h with eBPF, strace.h from text), three verbs read it. Not
 * thread-safe.
 */
#ifndef AIRLOCK_SECCOMP_OBSERVED_H
#define AIRLOCK_SECCOMP_OBSERVED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "seccomp/trace_map.h"

#define OBSERVED_ROLE 16 /* a thread's name, as the kernel cuts it */

struct observed_call {
	char role[OBSERVED_ROLE];
	int nr; /* under the native architecture, or the other one where `foreign` */
	enum trace_outcome outcome;
	bool foreign;
	uint8_t filters; /* seccomp filters in force; 0 from strace, which cannot tell */
	uint8_t known;	 /* bit N: args[N] is the register's value; else args[N] is 0 */
	uint64_t args[6];
	pid_t tgid; /* 0 after observed_merge_threads() */
	pid_t tid;
	uint64_t count;
	uint8_t first_known; /* as `known`, for `first` */
	uint64_t first[6];   /* all the arguments of one such call, to show */
};

struct observed {
	struct observed_call *calls;
	size_t count, room;
	uint64_t lost_calls; /* seen but not counted, and threads not followed: results are
				incomplete */
	uint64_t lost_threads;
};

/* Adds `call` (copied). 0 or -ENOMEM. */
int observed_add(struct observed *seen, const struct observed_call *call);

/* Sorts by role, number, outcome, arguments and thread; adds up what is equal in all of them. */
void observed_settle(struct observed *seen);

/* Forgets which thread of a role made a call, and settles. */
void observed_merge_threads(struct observed *seen);

/* Whether two calls are equal in all but their counts. */
bool observed_same(const struct observed_call *a, const struct observed_call *b);

void observed_free(struct observed *seen);

#endif
