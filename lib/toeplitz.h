/*
 * The Toeplitz hash over what stands in the table of virtio 1.3, 5.1.6.4.3, as the broker's eBPF
 * program and the device compute it. Unrolled: the key then lies at constant offsets, as the
 * kernel's verifier likes it.
 */
#ifndef AIRLOCK_LIB_TOEPLITZ_H
#define AIRLOCK_LIB_TOEPLITZ_H

#include <linux/types.h>

#define TOEPLITZ_INPUT 36 /* two IPv6 addresses and two ports; what is shorter ends in zeros */

static inline __attribute__((always_inline)) __u32 toeplitz_word(const __u8 *p)
{
	return (__u32)p[0] << 24 | (__u32)p[1] << 16 | (__u32)p[2] << 8 | (__u32)p[3];
}

/* key: TOEPLITZ_INPUT + 4 bytes. Of each bit of the input that is set, the 32 bits of the key from
 * there on; without a branch on any, which nobody could predict. */
static inline __attribute__((always_inline)) __u32 toeplitz(const __u8 *key, const __u8 *input)
{
	__u32 hash = 0;

#ifdef __clang__
#pragma unroll
#endif
	for (int i = 0; i < TOEPLITZ_INPUT; i += 4) {
		__u64 window = (__u64)toeplitz_word(key + i) << 32 | toeplitz_word(key + i + 4);
		__u32 word = toeplitz_word(input + i);

		if (!word) /* behind the end of a shorter input, mostly */
			continue;
#ifdef __clang__
#pragma unroll
#endif
		for (int bit = 0; bit < 32; bit++)
			hash ^= (__u32)(window >> (32 - bit)) & -(word >> (31 - bit) & 1);
	}
	return hash;
}

#endif
