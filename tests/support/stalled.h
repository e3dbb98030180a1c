/*
 * A file whose file system stops answering: FUSE, spoken by a thread of the test, without a
 * library, a program or a place in the tree. Whoever then touches what is asked for sleeps in the
 * kernel, beyond SIGKILL even, until stalled_close(). Needs root.
 */
#ifndef AIRLOCK_TESTS_STALLED_H
#define AIRLOCK_TESTS_STALLED_H

#include <linux/fuse.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct stalled {
	int fuse; /* the server's end */
	int file; /* regular, zeroes, readable and writable, may be mapped */
	uint64_t bytes;
	pthread_t thread;
	_Atomic uint32_t
		mute; /* this request (FUSE_READ, FUSE_GETATTR, FUSE_FLUSH) has no answer */
	atomic_bool end;
	_Atomic unsigned unanswered;
};

/* 0 or -errno: where the kernel has no FUSE. stalled_close() then does nothing. */
int stalled_open(struct stalled *s, uint64_t bytes);
/* Somebody has asked what is not answered, in time. */
bool stalled_holds(struct stalled *s, int timeout_ms);
/* Everybody who still waits is told that the file system is gone. */
void stalled_close(struct stalled *s);

#endif
