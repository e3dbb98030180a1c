/*
 * The Toeplitz hash over what stands in the table of virtio 1.3, 5.1.6.4.3, as the broker's eBPF
 * program and the device compute it. Unrolled: the key then lies at constant offsets, as the
 * kernel's verifier likes it.
 */
#ifndef AIRLOCK_LIB_TOEPLITZ_H
#define AIRLOCK_LIB_TOEPLITZ_H

#include <linux/types.h>

#define TOEPLITZ_INPUT 36 /* two IPv6 addresses and two ports; what is shorter ends in zeros */

/* key: TOEPLITZ_INPUT + 4 bytes. */
static inline __attribute__((always_inline)) __u32 toeplitz(const __u8 *key, const __u8 *input)
{
	__u32 hash = 0, window = (__u32)key[0] << 24 | (__u32)key[1] << 16 | (__u32)key[2] << 8 |
				 (__u32)key[3];

#ifdef __clang__
#pragma unroll
#endif
	for (int i = 0; i < TOEPLITZ_INPUT; i++) {
		__u8 byte = input[i], next = key[i + 4];

#ifdef __clang__
#pragma unroll
#endif
		for (int bit = 7; bit >= 0; bit--) {
			if (byte >> bit & 1)
				hash ^= window;
			window = window << 1 | (next >> bit & 1);
		}
	}
	return hash;
}

#endif
