/*
 * The packed virtqueue, driver's side (virtio 1.3, 2.8). Runs in the test process. Positions and
 * wrap counters are the driver's own; a used descriptor is believed as far as its buffer id is one
 * that was posted. The first descriptor posted since the last publish is made available last.
 */
#include "tests/support/guest_ring.h"

#include <errno.h>
#include <string.h>

#define WRAP	  0x8000u
#define AVAIL_BIT (1u << VRING_PACKED_DESC_F_AVAIL)
#define USED_BIT  (1u << VRING_PACKED_DESC_F_USED)

/* Position and wrap counter in one word, as the event areas and SET_VRING_BASE have them. */
static uint16_t forward(const struct guest_ring *ring, uint16_t at, unsigned n)
{
	unsigned position = (at & ~WRAP) + n;
	unsigned wrap = at & WRAP;

	if (position >= ring->size)
		return (uint16_t)((position - ring->size) | (wrap ^ WRAP));
	return (uint16_t)(position | wrap);
}

static int packed_layout(struct guest_ring *ring)
{
	uint64_t bytes = sizeof(struct vring_packed_desc) * ring->size;
	uint64_t event = sizeof(struct vring_packed_desc_event);

	ring->desc = guest_alloc(ring->mem, bytes, 16);
	ring->driver = guest_alloc(ring->mem, event, 4);
	ring->device = guest_alloc(ring->mem, event, 4);
	ring->packed = guest_at(ring->mem, ring->desc, bytes);
	ring->driver_event = guest_at(ring->mem, ring->driver, event);
	ring->device_event = guest_at(ring->mem, ring->device, event);
	return ring->packed && ring->driver_event && ring->device_event ? 0 : -ENOMEM;
}

static void packed_start(struct guest_ring *ring, uint32_t base)
{
	memset(ring->packed, 0, sizeof(*ring->packed) * ring->size);
	memset(ring->driver_event, 0, sizeof(*ring->driver_event));
	memset(ring->device_event, 0, sizeof(*ring->device_event));
	ring->avail = ring->kicked = (uint16_t)base;
	/* DPDK's virtio_user leaves the used half out: nothing is in flight then. */
	ring->used = (uint16_t)(base >> 16 ? base >> 16 : base);
	/* As the ring would look after running until here: what lies behind was used in this lap,
	 * what lies ahead in the one before. */
	for (unsigned i = 0; i < ring->size; i++)
		ring->packed[i].flags =
			(i < (base & ~WRAP & 0xffff)) == !!(base & WRAP) ? AVAIL_BIT | USED_BIT : 0;
	ring->first_free = 0;
	ring->free = ring->size;
	for (unsigned i = 0; i < ring->size; i++) {
		ring->next[i] = (uint16_t)(i + 1);
		ring->pieces[i] = 0;
	}
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static void fill(volatile struct vring_packed_desc *d, const struct guest_piece *p, uint16_t id)
{
	d->addr = p->gpa;
	d->len = p->len;
	d->id = id;
}

/* The flags make a descriptor the device's: written last, and for the first one not yet. */
static void hand_over(struct guest_ring *ring, uint16_t at, uint16_t flags)
{
	flags |= (uint16_t)(at & WRAP ? AVAIL_BIT : USED_BIT);
	if (at == ring->kicked)
		ring->first_flags = flags;
	else
		__atomic_store_n(&ring->packed[at & ~WRAP].flags, flags, __ATOMIC_RELAXED);
}

static int fill_table(struct guest_ring *ring, uint16_t id, const struct guest_piece *pieces,
		      unsigned n)
{
	uint64_t gpa = ring->tables + (uint64_t)id * ring->table_max * 16;
	struct guest_piece whole = { .gpa = gpa, .len = n * 16 };
	struct vring_packed_desc *table = guest_at(ring->mem, gpa, n * 16ull);

	if (n > ring->table_max)
		return -E2BIG;
	for (unsigned i = 0; i < n; i++) {
		fill(&table[i], &pieces[i], 0);
		table[i].flags = pieces[i].writable ? VRING_DESC_F_WRITE : 0;
	}
	fill(&ring->packed[ring->avail & ~WRAP], &whole, id);
	hand_over(ring, ring->avail, VRING_DESC_F_INDIRECT);
	return 0;
}

static void fill_chain(struct guest_ring *ring, uint16_t id, const struct guest_piece *pieces,
		       unsigned n)
{
	/* From the last to the first, so that the first is complete before it is available. */
	for (unsigned i = n; i-- > 0;) {
		uint16_t at = forward(ring, ring->avail, i);

		fill(&ring->packed[at & ~WRAP], &pieces[i], id);
		__atomic_thread_fence(__ATOMIC_RELEASE);
		hand_over(ring, at,
			  (uint16_t)((pieces[i].writable ? VRING_DESC_F_WRITE : 0) |
				     (i + 1 < n ? VRING_DESC_F_NEXT : 0)));
	}
}

static int packed_post(struct guest_ring *ring, const struct guest_piece *pieces, unsigned n,
		       bool indirect, uint32_t cookie)
{
	unsigned need = indirect ? 1 : n;
	uint16_t id = ring->first_free;

	if (ring->free < need || !n)
		return -ENOSPC;
	if (indirect) {
		int rc = fill_table(ring, id, pieces, n);

		if (rc)
			return rc;
	} else {
		fill_chain(ring, id, pieces, n);
	}
	ring->first_free = ring->next[id];
	ring->free = (uint16_t)(ring->free - need);
	ring->pieces[id] = (uint16_t)need;
	ring->cookie[id] = cookie;
	ring->avail = forward(ring, ring->avail, need);
	return 0;
}

static bool packed_publish(struct guest_ring *ring)
{
	uint16_t old = ring->kicked & ~WRAP, flags, event;
	uint16_t now = ring->avail & ~WRAP;

	if (ring->kicked == ring->avail)
		return false;
	/* Pairs with the device's acquire of the flags. */
	__atomic_store_n(&ring->packed[old].flags, ring->first_flags, __ATOMIC_RELEASE);
	/* When the ring has wrapped, the old position counts from before its start. */
	if ((ring->kicked ^ ring->avail) & WRAP)
		old = (uint16_t)(old - ring->size);
	ring->kicked = ring->avail;
	/* The descriptors before the question: pairs with the device's fence after it asked. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	flags = __atomic_load_n(&ring->device_event->flags, __ATOMIC_ACQUIRE) & 3;
	if (flags != VRING_PACKED_EVENT_FLAG_DESC)
		return flags == VRING_PACKED_EVENT_FLAG_ENABLE;
	event = __atomic_load_n(&ring->device_event->off_wrap, __ATOMIC_RELAXED);
	if ((event ^ ring->avail) & WRAP)
		return vring_need_event((uint16_t)((event & ~WRAP) - ring->size), now, old);
	return vring_need_event(event & (uint16_t)~WRAP, now, old);
}

static bool used_pending(const struct guest_ring *ring)
{
	/* Pairs with the device's release of the flags. */
	uint16_t flags = __atomic_load_n(&ring->packed[ring->used & ~WRAP].flags, __ATOMIC_ACQUIRE);
	bool available = flags & AVAIL_BIT, used = flags & USED_BIT;

	return available == used && used == !!(ring->used & WRAP);
}

static int packed_take(struct guest_ring *ring, uint32_t *cookie, uint32_t *len)
{
	const volatile struct vring_packed_desc *d = &ring->packed[ring->used & ~WRAP];
	uint16_t id;

	if (!used_pending(ring))
		return 0;
	id = d->id;
	if (id >= ring->size || !ring->pieces[id])
		return -EPROTO;
	*cookie = ring->cookie[id];
	*len = d->len;
	ring->used = forward(ring, ring->used, ring->pieces[id]);
	ring->free = (uint16_t)(ring->free + ring->pieces[id]);
	ring->pieces[id] = 0;
	ring->next[id] = ring->first_free;
	ring->first_free = id;
	return 1;
}

static bool packed_arm(struct guest_ring *ring)
{
	uint16_t flags = VRING_PACKED_EVENT_FLAG_ENABLE;

	if (ring->event_idx) {
		__atomic_store_n(&ring->driver_event->off_wrap, ring->used, __ATOMIC_RELAXED);
		flags = VRING_PACKED_EVENT_FLAG_DESC;
	}
	/* The position before the flags that make it count. */
	__atomic_store_n(&ring->driver_event->flags, flags, __ATOMIC_RELEASE);
	/* The question before the look: pairs with the device's fence after its used descriptors.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return !used_pending(ring);
}

static void packed_disarm(struct guest_ring *ring)
{
	__atomic_store_n(&ring->driver_event->flags, VRING_PACKED_EVENT_FLAG_DISABLE,
			 __ATOMIC_RELAXED);
}

const struct guest_ring_format guest_packed = {
	.layout = packed_layout,
	.start = packed_start,
	.post = packed_post,
	.publish = packed_publish,
	.take = packed_take,
	.arm = packed_arm,
	.disarm = packed_disarm,
};
