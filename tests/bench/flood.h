/*
 * Floods an interface with frames for the guest, from a packet socket: small ones as trains that
 * the kernel cuts into frames, which costs the sender a fraction of what it costs a receiver to
 * take them. Owned by one thread.
 */
#ifndef AIRLOCK_BENCH_FLOOD_H
#define AIRLOCK_BENCH_FLOOD_H

#include <stdint.h>
#include <sys/uio.h>

#include "tests/bench/row.h"

#define FLOOD_FLOWS 8

struct flood {
	int sock;
	unsigned int frames; /* that one message becomes */
	unsigned int next;
	uint64_t offered; /* frames that the interface was handed */
	struct iovec iov[FLOOD_FLOWS];
	uint8_t *buffers;
};

/* Asserts that it can. */
void flood_open(struct flood *f, const char *interface, const struct row *row);
void flood_burst(struct flood *f);
void flood_close(struct flood *f);

#endif
