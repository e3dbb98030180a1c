/*
 * The packed format: one ring of descriptors that both sides write, told apart by wrap counters
 * (virtio 1.3, 2.8). Runs in the ring's worker; the guest may change any word at any time, so each
 * is read once. This device uses buffers in the order in which they were made available, so both
 * positions of a stopped ring are the same.
 */
#include <errno.h>

#include "device/guest.h"
#include "device/ring_format.h"

#define SLOT(at) ((at) * (uint32_t)sizeof(struct virtq_packed_desc))

/* No descriptor, and neither of the event words, lies on two pages: all are aligned. */
static struct virtq_packed_desc *desc(const struct ring *ring, uint16_t at)
{
	return desc_at(ring, SLOT(at));
}

/* A position `slots` further on. */
static uint16_t forward(const struct ring *ring, uint16_t at, uint16_t slots, bool *wrap)
{
	uint32_t sum = (uint32_t)at + slots;

	if (sum < ring->cfg.size)
		return (uint16_t)sum;
	*wrap = !*wrap;
	return (uint16_t)(sum - ring->cfg.size);
}

static uint16_t with_wrap(uint16_t at, bool wrap)
{
	return at | (wrap ? PACKED_WRAP : 0);
}

/* Wrap counters begin at 1 (2.8.1), but user-mode-linux's front-end says 0 for a fresh ring. In a
 * ring that has really come round to counter 0, slot 0 was last written under counter 1, and bears
 * its marks; so does it in a fresh ring whose driver has been quicker than its front-end, but there
 * no device has ever written its event words, which packed_arm() leaves other than zero. */
static bool fresh(const struct ring *ring)
{
	const struct virtq_packed_event *device = used_at(ring, 0);
	uint16_t marks = guest_load16(&desc(ring, 0)->flags) & (DESC_F_AVAIL | DESC_F_USED);

	if (ring->cfg.base)
		return false;
	return !marks || (marks == DESC_F_AVAIL && !guest_load16(&device->flags) &&
			  !guest_load16(&device->off_wrap));
}

void packed_init(struct ring *ring)
{
	uint32_t base = fresh(ring) ? PACKED_WRAP : ring->cfg.base;
	/* DPDK's front-end leaves the used half zero; a device that uses in order needs no more
	 * than the other. */
	uint32_t used = base >> 16 ? base >> 16 : base;

	ring->avail_next = base & (PACKED_WRAP - 1);
	ring->avail_wrap = base & PACKED_WRAP;
	ring->used_next = ring->used_published = used & (PACKED_WRAP - 1);
	ring->used_wrap = used & PACKED_WRAP;
}

uint32_t packed_base(const struct ring *ring)
{
	return with_wrap(ring->avail_next, ring->avail_wrap) |
	       (uint32_t)with_wrap(ring->used_next, ring->used_wrap) << 16;
}

static bool available(const struct ring *ring)
{
	/* Acquire: what the driver wrote before these flags is visible after them. */
	uint16_t flags = guest_load16_acquire(&desc(ring, ring->avail_next)->flags);

	return !!(flags & DESC_F_AVAIL) == ring->avail_wrap &&
	       !!(flags & DESC_F_USED) != ring->avail_wrap;
}

static struct buffer buffer_read(const struct ring *ring, uint16_t at)
{
	const uint64_t *words = (const uint64_t *)desc(ring, at);

	return buffer_packed(guest_load64(words), guest_load64(words + 1));
}

int packed_pop(struct ring *ring, struct chain *chain)
{
	uint16_t at = ring->avail_next;
	bool wrap = ring->avail_wrap;

	if (!available(ring))
		return 0;
	for (chain->slots = 1; chain->slots <= ring->cfg.size; chain->slots++) {
		struct buffer b = buffer_read(ring, at);
		bool table = b.flags & DESC_F_INDIRECT;
		int rc = table && chain->slots > 1 ? -EINVAL
			 : table		   ? chain_table(ring, chain, &b)
						   : chain_add(ring, chain, &b);

		if (rc)
			return rc;
		at = forward(ring, at, 1, &wrap);
		if (!table && (b.flags & DESC_F_NEXT))
			continue;
		if (b.tail >= ring->cfg.size)
			return -EINVAL;
		chain->head = b.tail;
		ring->avail_next = at;
		ring->avail_wrap = wrap;
		return 1;
	}
	return -ELOOP;
}

void packed_unpop(struct ring *ring, uint16_t slots)
{
	if (slots > ring->avail_next) {
		ring->avail_wrap = !ring->avail_wrap;
		ring->avail_next = (uint16_t)(ring->avail_next + ring->cfg.size);
	}
	ring->avail_next -= slots;
}

void packed_push(struct ring *ring, uint16_t head, uint16_t slots, uint32_t len)
{
	struct virtq_packed_desc *d = desc(ring, ring->used_next);
	uint16_t flags =
		(len ? DESC_F_WRITE : 0) | (ring->used_wrap ? DESC_F_AVAIL | DESC_F_USED : 0);

	guest_store16(&d->id, head);
	guest_store32(&d->len, len);
	/* The driver looks at the first of a batch before any other: its flags are held back. */
	if (!ring->staged)
		ring->first_flags = flags;
	else
		guest_store16_release(&d->flags, flags);
	desc_wrote(ring, SLOT(ring->used_next), sizeof(*d));
	ring->staged += slots;
	ring->used_next = forward(ring, ring->used_next, slots, &ring->used_wrap);
}

bool packed_publish(struct ring *ring)
{
	const struct virtq_packed_event *driver = avail_at(ring, 0);
	uint16_t first = ring->used_published, staged = (uint16_t)ring->staged, flags, off_wrap;
	uint32_t event;

	if (!ring->staged)
		return false;
	/* Release: the whole batch is visible with its first descriptor. */
	guest_store16_release(&desc(ring, first)->flags, ring->first_flags);
	desc_wrote(ring, SLOT(first), sizeof(struct virtq_packed_desc));
	ring->used_published = ring->used_next;
	ring->staged = 0;
	/* Full: pairs with the driver's barrier between its event words and its look at the next
	 * descriptor. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	flags = guest_load16(&driver->flags);
	if (flags != PACKED_EVENT_DESC || !ring->cfg.event_idx)
		return flags != PACKED_EVENT_DISABLE;
	/* How far before our position the wanted slot lies, its wrap counter taken into account. */
	off_wrap = guest_load16(&driver->off_wrap);
	event = off_wrap & (PACKED_WRAP - 1);
	if (!!(off_wrap & PACKED_WRAP) == ring->used_wrap)
		return ring->used_next > event && ring->used_next - event <= staged;
	return ring->used_next + ring->cfg.size > event &&
	       ring->used_next + ring->cfg.size - event <= staged;
}

bool packed_arm(struct ring *ring)
{
	struct virtq_packed_event *device = used_at(ring, 0);

	if (ring->cfg.event_idx) {
		guest_store16(&device->off_wrap, with_wrap(ring->avail_next, ring->avail_wrap));
		/* Release: the driver must not see the new flags with the old position. */
		guest_store16_release(&device->flags, PACKED_EVENT_DESC);
	} else {
		/* Says nothing to the driver, but to fresh() that a device was here: slot 0 may be
		 * the middle of a chain, which keeps the driver's marks alone. */
		guest_store16(&device->off_wrap, PACKED_WRAP);
		guest_store16(&device->flags, PACKED_EVENT_ENABLE);
	}
	used_wrote(ring, 0, sizeof(*device));
	/* Full: pairs with the driver's barrier between its descriptor and its look at these words.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return available(ring);
}

void packed_disarm(struct ring *ring)
{
	struct virtq_packed_event *device = used_at(ring, 0);

	guest_store16(&device->flags, PACKED_EVENT_DISABLE);
	used_wrote(ring, 0, sizeof(*device));
}
