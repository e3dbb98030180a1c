/*
 * Floods an interface with frames for the guest, through a packet socket that passes by the
 * queueing discipline. Owned by one thread.
 */
#ifndef AIRLOCK_BENCH_FLOOD_H
#define AIRLOCK_BENCH_FLOOD_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "tests/bench/row.h"

#define FLOOD_BURST 64

struct flood {
	int sock;
	unsigned int burst;
	uint64_t offered; /* frames that the interface was handed */
	struct mmsghdr msg[FLOOD_BURST];
	struct iovec iov[FLOOD_BURST];
	uint8_t *frames;
};

/* Asserts that it can. */
void flood_open(struct flood *f, const char *interface, const struct row *row);
void flood_burst(struct flood *f);
void flood_close(struct flood *f);

#endif
