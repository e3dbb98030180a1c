/*
 * The machine's own time, for promises that are measured: it stands still where the machine does,
 * since a host that takes a test's processors away says nothing about the project.
 */
#ifndef AIRLOCK_TESTS_MACHINE_H
#define AIRLOCK_TESTS_MACHINE_H

#include <stdint.h>

/* Begins to drive it, in a child that dies with its caller. Once a process, before machine_ms(). */
void machine_watch(void);
/* ms, in steps of twenty. */
int64_t machine_ms(void);

#endif
