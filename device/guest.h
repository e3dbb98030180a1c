/*
 * The accessors of guest memory: every word is read once, into a local, by one instruction that the
 * compiler may not repeat. The pointers come from the look-ups of memory.h and iotlb.h and nowhere
 * else; no other file dereferences them, but checksum.c in guest_sum().
 */
#ifndef AIRLOCK_DEVICE_GUEST_H
#define AIRLOCK_DEVICE_GUEST_H

#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include "device/checksum.h"
#include "lib/util.h"

static inline uint16_t guest_load16(const uint16_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

/* Acquire: pairs with the driver's barrier between its ring entries and its index. */
static inline uint16_t guest_load16_acquire(const uint16_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline void guest_store16(uint16_t *p, uint16_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELAXED);
}

/* Release: pairs with the driver's barrier between reading the used index and the used entries. */
static inline void guest_store16_release(uint16_t *p, uint16_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static inline void guest_store32(uint32_t *p, uint32_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELAXED);
}

static inline uint64_t guest_load64(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

/* Bytes whose value may change underneath: only the copy is ever looked at. */
static inline void guest_copy_in(void *dst, const void *guest, size_t len)
{
	memcpy(dst, guest, len);
	__asm__ volatile(""
			 :
			 : "r"(dst)
			 : "memory"); /* the copy is made here and not again later */
}

static inline void guest_copy_out(void *guest, const void *src, size_t len)
{
	memcpy(guest, src, len);
}

/* Copies the first `len` bytes of the pieces, which have them. */
static inline void guest_peek(const struct iovec *iov, void *dst, size_t len)
{
	for (size_t n; len; iov++, len -= n) {
		n = min_of(len, iov->iov_len);
		guest_copy_in(dst, iov->iov_base, n);
		dst = ptr_add(dst, n);
	}
}

/* Writes `len` bytes to the pieces, which have room for them. */
static inline void guest_poke(const struct iovec *iov, const void *src, size_t len)
{
	for (size_t n; len; iov++, len -= n) {
		n = min_of(len, iov->iov_len);
		guest_copy_out(iov->iov_base, src, n);
		src = ptr_add(src, n);
	}
}

/* Takes the first `len` bytes off the pieces, which have them; returns the first piece with bytes
 * left. */
static inline struct iovec *guest_skip(struct iovec *iov, size_t len)
{
	for (; len && len >= iov->iov_len; iov++)
		len -= iov->iov_len;
	if (len) {
		iov->iov_base = ptr_add(iov->iov_base, len);
		iov->iov_len -= len;
	}
	return iov;
}

/* Asks for the lines of bytes that are to be written soon: the guest's processor had them last. */
static inline void guest_expect(const struct iovec *iov, size_t len)
{
	for (size_t at = 0; at < min_of(len, iov->iov_len); at += 64)
		__builtin_prefetch((const char *)iov->iov_base + at, 1);
}

/* Moves the first `len` bytes of the pieces, which have them, to dst; returns the first piece with
 * bytes left. */
static inline struct iovec *guest_take(struct iovec *iov, void *dst, size_t len)
{
	guest_peek(iov, dst, len);
	return guest_skip(iov, len);
}

/* The checksum's sum (checksum.h) of the first `len` bytes of the pieces, which have them. */
static inline uint64_t guest_sum(const struct iovec *iov, size_t len)
{
	uint64_t sum = 0, part;
	bool odd = false;

	for (size_t n; len; iov++, len -= n) {
		n = min_of(len, iov->iov_len);
		part = checksum_sum(iov->iov_base, n);
		sum += odd ? checksum_odd(part) : part;
		odd ^= n & 1;
	}
	return sum;
}

#endif
