/*
 * A guest driver's half of one virtqueue, over guest memory. The format (split or packed) is a
 * table of functions; everything else is the same for both. The driver's bookkeeping is private:
 * what the device scribbles is never believed, and a used entry for a buffer that was not posted is
 * -EPROTO. Owned by one thread.
 */
#ifndef AIRLOCK_TESTS_GUEST_RING_H
#define AIRLOCK_TESTS_GUEST_RING_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/support/memory.h"

struct guest_piece {
	uint64_t gpa;
	uint32_t len;
	bool writable; /* by the device */
};

struct guest_ring;

struct guest_ring_format {
	/* Allocates the three areas; then start() makes them empty with indices at `base`. */
	int (*layout)(struct guest_ring *ring);
	void (*start)(struct guest_ring *ring, uint32_t base);
	int (*post)(struct guest_ring *ring, const struct guest_piece *pieces, unsigned n,
		    bool indirect, uint32_t cookie);
	bool (*publish)(struct guest_ring *ring); /* true: the device wants a kick */
	int (*take)(struct guest_ring *ring, uint32_t *cookie, uint32_t *len);
	bool (*arm)(
		struct guest_ring *ring); /* ask for a call; false: something is there already */
	void (*disarm)(struct guest_ring *ring);
};
extern const struct guest_ring_format guest_split, guest_packed;

#define GUEST_PACKED_BASE 0x80008000u /* of an empty packed ring: both wrap counters are 1 */

struct guest_ring {
	const struct guest_ring_format *format;
	struct guest_memory *mem;
	uint16_t size;
	bool event_idx;
	unsigned table_max;	       /* pieces an indirect table holds; 0: no tables */
	uint64_t desc, driver, device; /* guest addresses of the areas */
	struct vring raw;	       /* split: the same, mapped */
	struct vring_packed_desc *packed;
	struct vring_packed_desc_event *driver_event, *device_event; /* packed: the same */
	uint64_t tables;     /* one indirect table a descriptor */
	int kick, call, err; /* eventfds; kick and call -1: polling mode */
	/* The driver's own: free-running indices (split) or positions with the wrap counter in bit
	 * 15 (packed). */
	uint16_t first_flags;	      /* packed: of the descriptor at `kicked`, not written yet */
	unsigned outstanding;	      /* chains posted and not taken back */
	uint16_t avail, used, kicked; /* free-running, the driver's own */
	uint16_t free, first_free;
	uint16_t *next;	  /* links of descriptors (packed: of free ids) */
	uint32_t *cookie; /* of the chain that starts here */
	uint16_t *pieces; /* descriptors of the chain that starts here, 0: not posted */
	uint64_t kicks_sent;
};

/* Allocates areas and eventfds (none when polling). 0 or -errno. */
int guest_ring_init(struct guest_ring *ring, struct guest_memory *mem,
		    const struct guest_ring_format *format, uint16_t size, bool event_idx,
		    unsigned table_max, bool polling);
void guest_ring_free(struct guest_ring *ring);
/* Empties the ring: as after a device reset, next index `base` (bit for bit what SET_VRING_BASE
 * takes). */
void guest_ring_start(struct guest_ring *ring, uint32_t base);

/* Queues a chain without publishing it. 0, -ENOSPC ring full, -E2BIG more pieces than a table. */
int guest_ring_post(struct guest_ring *ring, const struct guest_piece *pieces, unsigned n,
		    bool indirect, uint32_t cookie);
/* Publishes what was posted and kicks where the device asks for it. */
void guest_ring_kick(struct guest_ring *ring);
/* 1 and what was posted as `cookie` came back with `len` bytes written, 0 nothing, -EPROTO. */
int guest_ring_take(struct guest_ring *ring, uint32_t *cookie, uint32_t *len);
/* Waits until take would return something: 0, -ETIMEDOUT. Sleeps on the call descriptor. */
int guest_ring_wait(struct guest_ring *ring, int timeout_ms);
/* How often one of the ring's events was signalled since it was asked last; waits for the first. */
uint64_t guest_ring_signals(int event, int timeout_ms);

/* The areas of a split ring, for tests that write what no driver should. */
static inline struct vring guest_split_raw(const struct guest_ring *ring)
{
	return ring->raw;
}

#endif
