/*
 * One virtqueue, from start to stop the property of one worker. Split format (virtio 1.3, 2.7).
 * Nothing here waits, allocates or makes a system call. The guest owns every word it can write:
 * each is read once and checked; used index and positions are this side's own and never read back.
 */
#ifndef AIRLOCK_DEVICE_RING_H
#define AIRLOCK_DEVICE_RING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "device/memory.h"
#include "lib/virtio.h"

/* How a ring starts; by value, so that a later change on the control side reaches no running ring.
 */
struct ring_config {
	uint32_t size; /* power of two, 1..RING_SIZE_MAX */
	uint16_t base; /* index of the next available entry */
	bool event_idx, indirect;
	struct virtq_desc *desc; /* host addresses, mapped in whole; never dereferenced but by
				    device/guest.h */
	struct virtq_avail *avail;
	struct virtq_used *used;
};

struct ring {
	struct ring_config cfg;
	const struct memory *mem; /* borrowed for as long as the ring runs */
	unsigned int hint;	  /* region last hit */
	uint16_t avail_next;	  /* next entry of the available ring to take */
	uint16_t avail_seen;	  /* driver's index when last read */
	uint16_t used_next;	  /* next entry of the used ring to write */
	uint16_t used_published;
	uint32_t work; /* descriptors and pieces walked since whoever runs the ring last set it to 0
			*/
};

/* A descriptor chain in private memory. The caller lends iov with room for `room` pieces. */
struct chain {
	struct iovec *iov;
	unsigned int room;
	unsigned int out, in; /* pieces the device reads, then pieces it writes */
	uint64_t out_bytes, in_bytes;
	uint16_t head;
	bool too_long; /* well formed, but of more pieces than there is room for: not usable */
};

/* Takes over at cfg->base. The used index is read here, once: buffers that another back-end left in
 * flight stay lost. */
void ring_init(struct ring *ring, const struct ring_config *cfg, const struct memory *mem);
/* Next available chain. 1 one taken; 0 none; -errno the guest broke the ring: -EINVAL an index,
 * flag or length the format forbids, -EFAULT an address that is not its memory, -ELOOP more
 * descriptors than there can be. */
int ring_pop(struct ring *ring, struct chain *chain);
/* Gives back the last n chains popped, as if never taken. */
void ring_unpop(struct ring *ring, uint16_t n);
/* Stages a used entry: len is exactly the number of bytes written. */
void ring_push(struct ring *ring, uint16_t head, uint32_t len);
/* Makes staged entries visible at once; true when the driver asked to be interrupted for them. */
bool ring_publish(struct ring *ring);
/* Asks for a notification with the next chain; true when chains are there already. Otherwise
 * notifications are a waste. */
bool ring_arm(struct ring *ring);
void ring_disarm(struct ring *ring);

#endif
