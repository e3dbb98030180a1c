/*
 * The calls that frames go through, on a queue of a TAP: how many bytes went, or -errno.
 *
 * They are made in place, not through the library. There a read or write in a program with threads
 * is a point of cancellation, two atomic operations each; and on some processors the next call
 * takes the kernel half as long again when a function has returned to its caller since the last one
 * (docs/performance.md). So what makes them is part of the loop that runs over a ring.
 */
#ifndef AIRLOCK_LIB_TAP_H
#define AIRLOCK_LIB_TAP_H

#include <errno.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/util.h"

#if defined(__x86_64__) && defined(__LP64__) && !defined(TAP_BY_LIBRARY)
static in_place long tap_call(long nr, long tap, const void *what, size_t n)
{
	long rc;

	__asm__ volatile("syscall"
			 : "=a"(rc)
			 : "a"(nr), "D"(tap), "S"(what), "d"(n)
			 : "rcx", "r11", "memory");
	return rc;
}
#else /* where nobody has measured it, and where a test puts itself before the library */
static inline long tap_call(long nr, long tap, const void *what, size_t n)
{
	long rc = syscall(nr, tap, what, n);

	return rc < 0 ? -errno : rc;
}
#endif

static in_place ssize_t tap_read(int tap, void *buf, size_t len)
{
	return tap_call(SYS_read, tap, buf, len);
}

static in_place ssize_t tap_readv(int tap, const struct iovec *iov, unsigned int n)
{
	return tap_call(SYS_readv, tap, iov, n);
}

static in_place ssize_t tap_write(int tap, const void *buf, size_t len)
{
	return tap_call(SYS_write, tap, buf, len);
}

static in_place ssize_t tap_writev(int tap, const struct iovec *iov, unsigned int n)
{
	return tap_call(SYS_writev, tap, iov, n);
}

#endif
