/*
 * Lists of CPUs as administrators write them: 0,2-5. Shared by the broker, which checks one, and
 * the device, whose workers it is for.
 */
#ifndef AIRLOCK_LIB_CPUS_H
#define AIRLOCK_LIB_CPUS_H

#include <stddef.h>
#include <stdint.h>

/* In their order, repetitions too. How many (1..max), or -EINVAL: no such list, more than max, or a
 * CPU that this process may not run on (then *bad is which; otherwise -1). */
int cpus_parse(const char *text, uint16_t *cpus, size_t max, int *bad);

#endif
