/*
 * The limit of latency: a thread that waits for a frame on a TAP, reads it and writes it back.
 */
#ifndef AIRLOCK_BENCH_ECHO_H
#define AIRLOCK_BENCH_ECHO_H

#include <pthread.h>
#include <stdbool.h>

struct echo {
	int tap;
	bool stop;
	pthread_t thread;
};

/* The interface is LIMIT_TAP; asserts. */
void echo_open(struct echo *e);
void echo_close(struct echo *e);

#endif
