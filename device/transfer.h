/*
 * The device's own state on its way to another back-end, or from one (SET_DEVICE_STATE_FD,
 * "Migrating back-end state"): words through a pipe, eight bytes at a time, since no call that
 * could write more is allowed here. What they mean: state.h. Control thread only; nothing waits.
 */
#ifndef AIRLOCK_DEVICE_TRANSFER_H
#define AIRLOCK_DEVICE_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum transfer_way {
	TRANSFER_SAVE = 0,
	TRANSFER_LOAD = 1
};

struct transfer {
	int fd; /* owned; -1: none under way */
	enum transfer_way way;
	uint64_t *words; /* borrowed */
	size_t at, size; /* bytes moved; saving: bytes to move; loading: room for so many */
	int result; /* of the last transfer that ended: 0 or -errno; -ENODATA: there was none */
};

void transfer_init(struct transfer *t);
/* Begins one; takes over fd, and borrows `words` until its end. Saving: n of them; loading: room
 * for n. -EBUSY while one is under way. */
int transfer_begin(struct transfer *t, enum transfer_way way, int fd, uint64_t *words, size_t n);
short transfer_events(const struct transfer *t);
/* The descriptor is ready. True when the transfer has ended: result, and after loading `at` bytes
 * of the words, are final. */
bool transfer_ready(struct transfer *t);

#endif
