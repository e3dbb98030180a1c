/*
 * The n-th call of a library function fails: the linker sends the calls of every object here first
 * (--wrap, see the Makefile), and those of the one function that is armed are counted. What the
 * test itself calls is not, since its thread stands outside but for inject_scope().
 */
#ifndef AIRLOCK_TESTS_INJECT_H
#define AIRLOCK_TESTS_INJECT_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static struct inject {
	_Atomic(const char *) call; /* NULL: none fails */
	int error;
	long at; /* the call that fails, from 1 */
	atomic_long seen;
} inject;

static _Thread_local bool inject_outside;

static inline void inject_scope(bool inside)
{
	inject_outside = !inside;
}

static inline void inject_arm(const char *call, int error, long at)
{
	inject.error = error;
	inject.at = at;
	atomic_store(&inject.seen, 0);
	atomic_store(&inject.call, call);
}

/* Did the call come to pass? */
static inline bool inject_disarm(void)
{
	atomic_store(&inject.call, NULL);
	return atomic_load(&inject.seen) >= inject.at;
}

static inline bool inject_now(const char *call)
{
	const char *armed = inject_outside ? NULL : atomic_load(&inject.call);

	if (!armed || strcmp(call, armed) != 0)
		return false;
	if (atomic_fetch_add(&inject.seen, 1) + 1 != inject.at)
		return false;
	errno = inject.error;
	return true;
}

/* Variable arguments are passed on as words, which is how both architectures pass them. */
#define INJECT(type, name, failed, params, args)                                \
	type __real_##name params;                                              \
	type __wrap_##name params;                                              \
	type __wrap_##name params                                               \
	{                                                                       \
		return inject_now(#name) ? (type)(failed) : __real_##name args; \
	}

INJECT(void *, malloc, NULL, (size_t size), (size))
INJECT(void *, calloc, NULL, (size_t n, size_t size), (n, size))
INJECT(void *, mmap, MAP_FAILED, (void *at, size_t len, int prot, int flags, int fd, off_t off),
       (at, len, prot, flags, fd, off))
INJECT(int, munmap, -1, (void *at, size_t len), (at, len))
INJECT(ssize_t, recvmsg, -1, (int fd, struct msghdr *msg, int flags), (fd, msg, flags))
INJECT(ssize_t, sendmsg, -1, (int fd, const struct msghdr *msg, int flags), (fd, msg, flags))
INJECT(ssize_t, send, -1, (int fd, const void *buf, size_t len, int flags), (fd, buf, len, flags))
INJECT(int, fcntl, -1, (int fd, int cmd, long arg), (fd, cmd, arg))
INJECT(int, eventfd, -1, (unsigned int count, int flags), (count, flags))
INJECT(ssize_t, read, -1, (int fd, void *buf, size_t len), (fd, buf, len))
INJECT(int, pthread_create, inject.error,
       (pthread_t * thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg),
       (thread, attr, run, arg))

/* Raw calls go by names of their own. */
static inline const char *inject_raw(long nr)
{
	return nr == SYS_fstat	  ? "fstat"
	       : nr == SYS_read	  ? "tap_read"
	       : nr == SYS_readv  ? "tap_readv"
	       : nr == SYS_write  ? "tap_write"
	       : nr == SYS_writev ? "tap_writev"
				  : "syscall";
}
long __real_syscall(long nr, long a, long b, long c);
long __wrap_syscall(long nr, long a, long b, long c);
long __wrap_syscall(long nr, long a, long b, long c)
{
	return inject_now(inject_raw(nr)) ? -1 : __real_syscall(nr, a, b, c);
}

#endif
