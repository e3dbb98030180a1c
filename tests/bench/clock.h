/*
 * Time and processors for measurements. With two processors or more the last is the front-end's,
 * and what is measured has the others. No state; any thread.
 */
#ifndef AIRLOCK_BENCH_CLOCK_H
#define AIRLOCK_BENCH_CLOCK_H

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

int64_t clock_ns(clockid_t clock);
/* Moves a thread (0: the caller), or all of a process, to a side. */
void clock_pin_front_end(pid_t tid);
void clock_pin_measured(pid_t tid);
void clock_pin_process(pid_t pid);

#endif
