/*
 * The device's own state on its way to another back-end, or from one (SET_DEVICE_STATE_FD,
 * "Migrating back-end state"). A few words through a pipe, eight bytes at a time: no call that
 * could write more is allowed here. Control thread only; nothing waits.
 */
#ifndef AIRLOCK_DEVICE_TRANSFER_H
#define AIRLOCK_DEVICE_TRANSFER_H

#include <stdbool.h>
#include <stdint.h>

enum transfer_way {
	TRANSFER_SAVE = 0,
	TRANSFER_LOAD = 1
};

/* What a driver that is moved relies on and a front-end does not set up again. Version 1. */
struct device_state {
	uint64_t magic;	   /* TRANSFER_MAGIC */
	uint64_t features; /* negotiated: the other side must have negotiated the same */
	uint64_t mtu;
};
#define TRANSFER_MAGIC 0x316b636f6c726941ull /* "Airlock1", little endian */

struct transfer {
	int fd; /* owned; -1: none under way */
	enum transfer_way way;
	struct device_state state;
	unsigned int at; /* bytes moved */
	int result; /* of the last transfer that ended: 0 or -errno; -ENODATA: there was none */
};

void transfer_init(struct transfer *t);
/* Begins one; takes over fd. Saving: state is what is saved. -EBUSY while one is under way. */
int transfer_begin(struct transfer *t, enum transfer_way way, int fd,
		   const struct device_state *state);
short transfer_events(const struct transfer *t);
/* The descriptor is ready. True when the transfer has ended: result, and after loading state, are
 * final. */
bool transfer_ready(struct transfer *t);

#endif
