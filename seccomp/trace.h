/*
 * Counts the system calls of a tree of processes with eBPF on the kernel's raw tracepoints, refused
 * calls included. Costs the traced threads some 200 ns a call and loses none that it does not
 * report. Needs CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN), a kernel with BTF, 5.15 or later. One
 * thread.
 */
#ifndef AIRLOCK_SECCOMP_TRACE_H
#define AIRLOCK_SECCOMP_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "seccomp/observed.h"

struct trace;

/*
 * wanted[nr]: which arguments calls are told apart by (bit N: argument N). Loads and attaches,
 * follows nobody yet. -EPERM: not privileged; -EOPNOTSUPP: the kernel cannot; -ENOMEM.
 */
int trace_open(const uint8_t wanted[TRACE_NUMBERS], struct trace **out);

/* Follows every thread of the process and its descendants, now and to come. 0; -ESRCH: no such
 * process; -errno. */
int trace_follow(struct trace *trace, pid_t pid);

/* Whether any thread followed is still there. */
bool trace_is_live(const struct trace *trace);

/* Moves the counts of threads that have ended to `seen`, when the kernel's table fills up: call it
 * at least ten times a second. 0 or -errno. */
int trace_sweep(struct trace *trace, struct observed *seen);

/* Stops counting and moves all that is left to `seen`, with what was lost, settled. 0 or -errno. */
int trace_finish(struct trace *trace, struct observed *seen);

/* NULL is fine. */
void trace_close(struct trace *trace);

#endif
