/* Small words that every room uses. No state. */
#ifndef AIRLOCK_LIB_UTIL_H
#define AIRLOCK_LIB_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
/* A function that is to be part of whatever calls it. */
#define in_place		     __attribute__((always_inline)) inline
#define container_of(p, type, field) ((type *)(void *)((char *)(p)-offsetof(type, field)))
#define min_of(a, b)		     ((a) < (b) ? (a) : (b))
#define max_of(a, b)		     ((a) > (b) ? (a) : (b))

/* True when [off, off + len) lies within [0, size); no sum can wrap. */
static inline bool range_within(uint64_t off, uint64_t len, uint64_t size)
{
	return off <= size && len <= size - off;
}

static inline bool is_power_of_two(uint64_t n)
{
	return n && !(n & (n - 1));
}

/* Pointer plus byte offset, without the casts at every call. */
static inline void *ptr_add(const void *p, uint64_t off)
{
	return (void *)((uintptr_t)p + off);
}

#endif
