/*
 * Processors for measurements. With two or more the last is the front-end's, and what is measured
 * has the others. No state; any thread.
 */
#ifndef AIRLOCK_BENCH_PIN_H
#define AIRLOCK_BENCH_PIN_H

#include <sys/types.h>

/* Moves a thread (0: the caller), or all of a process, to a side. What it starts goes with it. */
void pin_front_end(pid_t tid);
void pin_measured(pid_t tid);
void pin_process(pid_t pid);
/* Moves the caller to one processor; asserts that there is such a one. */
void pin_to(int cpu);

#endif
