/*
 * The log of guest pages that this device has written, for a front-end that migrates its guest
 * ("Migration" of the vhost-user document). A bitmap in the front-end's memory, one bit a page of 4
 * KiB from guest address 0. Made and freed by the control thread, marked by the workers after each
 * write and before the driver can hear of it, with atomic operations: the front-end clears bits
 * meanwhile. Reached under the guard of device/memory.h, since its file can shrink.
 */
#ifndef AIRLOCK_DEVICE_DIRTY_H
#define AIRLOCK_DEVICE_DIRTY_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/vhost_user.h"

struct dirty {
	uint8_t *bits; /* host address of the bitmap */
	uint64_t len;  /* bytes */
	void *base;    /* of its mapping; NULL: none */
};

/* Maps a log; fd stays the caller's. 0; -EINVAL no size, -EBADF no regular file or too
 * short, -ENOMEM, -EBUSY while two are in use. */
int dirty_new(const struct vu_log *log, int fd, struct dirty **out);
void dirty_free(struct dirty *d);

/* Marks the pages of [gpa, gpa + len). What lies behind the log's end is not marked: its owner made
 * it too short. */
void dirty_mark(const struct dirty *d, uint64_t gpa, uint64_t len);
/* Does the log's mapping cover this host address? Async-signal-safe. */
bool dirty_covers(const struct dirty *d, uintptr_t addr);

#endif
