/*
 * The Internet checksum (RFC 1071). Sums are of 16-bit words as they lie in
 * memory, so that what is computed can be compared and stored without turning it round.
 */
#ifndef AIRLOCK_DEVICE_CHECKSUM_H
#define AIRLOCK_DEVICE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* The sum of the bytes as if they began at an even offset; below 2^34 times their number. */
uint64_t checksum_sum(const void *bytes, size_t len);
/* Folded to 16 bits, not complemented: 0 only of a sum of 0. */
uint16_t checksum_fold(uint64_t sum);
/* A sum of bytes that began at an odd offset. */
static inline uint64_t checksum_odd(uint64_t sum)
{
	return __builtin_bswap16(checksum_fold(sum));
}

#endif
