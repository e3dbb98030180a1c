/*
 * One virtqueue, from start to stop the property of one worker: split (virtio 1.3, 2.7) or packed
 * (2.8) format.
 * Nothing here waits, allocates or makes a system call. The guest owns every word it can write:
 * each is read once and checked; used index and positions are this side's own and never read back.
 */
#ifndef AIRLOCK_DEVICE_RING_H
#define AIRLOCK_DEVICE_RING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "device/dirty.h"
#include "device/iotlb.h"
#include "device/memory.h"
#include "lib/virtio.h"

enum ring_area {
	RING_DESC,
	RING_DRIVER,
	RING_DEVICE,
	RING_AREAS
};
/* Pages that the areas of the largest ring can touch. */
#define RING_PAGES_DESC	  129
#define RING_PAGES_DRIVER 18
#define RING_PAGES_DEVICE 66
#define RING_PAGES	  (RING_PAGES_DESC + RING_PAGES_DRIVER + RING_PAGES_DEVICE)

/* How a ring starts; by value, so that a later change on the control side reaches no running ring.
 */
struct ring_config {
	uint32_t size; /* 1..RING_SIZE_MAX; split: a power of two */
	uint32_t base; /* split: index of the next available entry; packed: slot and wrap counter
			  of the next available descriptor, above them those of the next used */
	bool packed, event_idx, indirect;
	/* Host addresses of descriptor, driver and device area, mapped in whole; never dereferenced
	   but by device/guest.h. */
	void *desc, *avail, *used;
	/* In place of these, where the guest's addresses are I/O addresses (ACCESS_PLATFORM): what
	   translates them, borrowed like the memory; and where the areas are. NULL: not so. */
	const struct iotlb *iotlb;
	uint64_t iova[RING_AREAS];
};

/* Where a ring's own writes are logged; dirty NULL: nowhere. */
struct ring_log {
	const struct dirty *dirty;
	uint64_t desc, used; /* guest addresses of the areas, as the log counts them */
};

struct ring {
	struct ring_config cfg;
	struct ring_log log;
	const struct memory *mem;   /* borrowed for as long as the ring runs */
	unsigned int hint;	    /* region last hit */
	uint16_t avail_next;	    /* next entry or slot to take */
	uint16_t avail_seen;	    /* split: driver's index when last read */
	uint16_t used_next;	    /* next entry or slot to write */
	uint16_t used_published;    /* everything before is visible to the driver */
	uint32_t taken;		    /* slots popped and not pushed: never more than there are */
	bool avail_wrap, used_wrap; /* packed: counters of the two positions */
	uint16_t first_flags;	    /* packed: of the slot at used_published, written last */
	uint32_t staged;	    /* packed: slots pushed and not published */
	bool begun;		    /* its areas could be read, and its positions are final */
	/* I/O address (its page) and below it VU_ACCESS_* of a translation that is missing. */
	uint64_t miss;
	uint32_t work; /* descriptors and pieces walked since whoever runs the ring last set it to 0
			*/
	char *page[RING_PAGES]; /* with an IOTLB: the areas' pages in this process */
};

/* A descriptor chain in private memory. The caller lends iov with room for `room` pieces. */
struct chain {
	struct iovec *iov;
	unsigned int room;
	unsigned int out, in; /* pieces the device reads, then pieces it writes */
	uint64_t out_bytes, in_bytes;
	uint16_t head;	/* what ring_push() names it by */
	uint16_t slots; /* of the ring that it takes up */
	bool too_long;	/* well formed, but of more pieces than there is room for: not usable */
};

/* Bytes of an area; of the configuration only size and format count. */
uint64_t ring_area_bytes(const struct ring_config *cfg, enum ring_area area);
/* Takes over at cfg->base. The used index is read here, once: buffers that another back-end left in
 * flight stay lost. With an IOTLB nothing is read before ring_map() has succeeded. */
void ring_init(struct ring *ring, const struct ring_config *cfg, const struct memory *mem);
/* Another memory map: of a configuration only the areas and the IOTLB count. */
void ring_move(struct ring *ring, const struct ring_config *cfg, const struct memory *mem);
/* Finds the areas after either. 0; otherwise of the functions below only ring_unpop() and
 * ring_base() may be called: -EAGAIN a translation is missing (ring->miss), -EFAULT they are not
 * mapped. */
int ring_map(struct ring *ring);
/* Next available chain. 1 one taken; 0 none; -errno the guest broke the ring: -EINVAL an index,
 * flag or length the format forbids, -EFAULT an address that is not its memory, -ELOOP more
 * descriptors than there can be. -EAGAIN: a translation is missing (ring->miss), none taken. */
int ring_pop(struct ring *ring, struct chain *chain);
/* Gives back the chains popped last, as if never taken; slots: the sum of theirs. */
void ring_unpop(struct ring *ring, uint16_t slots);
/* Stages a used entry for a chain: len is exactly the number of bytes written. */
void ring_push(struct ring *ring, uint16_t head, uint16_t slots, uint32_t len);
/* Makes staged entries visible at once; true when the driver asked to be interrupted for them. */
bool ring_publish(struct ring *ring);
/* Asks for a notification with the next chain; true when chains are there already. Otherwise
 * notifications are a waste. */
bool ring_arm(struct ring *ring);
void ring_disarm(struct ring *ring);
/* Where another ring could go on, in the form of ring_config.base. */
uint32_t ring_base(const struct ring *ring);
/* Nothing was ever taken from it, as far as its positions tell. */
bool ring_fresh(const struct ring *ring);

#endif
