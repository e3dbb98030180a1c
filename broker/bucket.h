/*
 * A token bucket: how often something may happen. Times are nanoseconds of CLOCK_MONOTONIC. No
 * state but the struct.
 */
#ifndef AIRLOCK_BROKER_BUCKET_H
#define AIRLOCK_BROKER_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct bucket {
	unsigned most;	/* tokens it holds */
	uint64_t every; /* ns until one more */
	unsigned tokens;
	uint64_t since; /* when tokens was right */
};

static inline void bucket_fill(struct bucket *bucket, unsigned most, uint64_t every, uint64_t now)
{
	*bucket = (struct bucket){ .most = most, .every = every, .tokens = most, .since = now };
}

/* Takes a token; false when there is none. */
static inline bool bucket_take(struct bucket *bucket, uint64_t now)
{
	uint64_t grown = (now - bucket->since) / bucket->every;

	if (grown >= bucket->most - bucket->tokens) {
		bucket->tokens = bucket->most;
		bucket->since = now;
	} else {
		bucket->tokens += (unsigned)grown;
		bucket->since += grown * bucket->every;
	}
	if (!bucket->tokens)
		return false;
	bucket->tokens--;
	return true;
}

/* Nanoseconds until bucket_take() can succeed again, after it has failed at `now`. */
static inline uint64_t bucket_wait(const struct bucket *bucket, uint64_t now)
{
	return bucket->since + bucket->every - now;
}

#endif
