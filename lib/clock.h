/* Monotonic time for deadlines, from the vDSO where there is one. Any thread. */
#ifndef AIRLOCK_LIB_CLOCK_H
#define AIRLOCK_LIB_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

static inline int64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline int64_t clock_ms(void)
{
	return clock_ns() / 1000000;
}

/* What may be done so often a second and no more; zero to begin with. One thread. */
struct allowance {
	int64_t second;
	unsigned int taken; /* of this second */
};

static inline bool allowance_take(struct allowance *a, unsigned int a_second)
{
	int64_t second = clock_ms() / 1000;

	if (second != a->second)
		*a = (struct allowance){ .second = second };
	return a->taken < a_second && ++a->taken;
}

#endif
