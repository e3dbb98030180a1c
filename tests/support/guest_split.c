/*
 * The split virtqueue, driver's side (virtio 1.3, 2.7). Runs in the test process. Descriptors are
 * chained by the driver's own links: the shared table is only ever written.
 */
#include "tests/support/guest_ring.h"

#include <errno.h>
#include <string.h>

#define AVAIL_BYTES(size) (4u + 2u * (size) + 2u)
#define USED_BYTES(size)  (4u + 8u * (size) + 2u)

static int split_layout(struct guest_ring *ring)
{
	uint32_t avail = AVAIL_BYTES(ring->size), used = USED_BYTES(ring->size);

	ring->desc = guest_alloc(ring->mem, 16ull * ring->size, 16);
	ring->driver = guest_alloc(ring->mem, avail, 2);
	ring->device = guest_alloc(ring->mem, used, 4);
	ring->raw = (struct vring){ .num = ring->size,
				    .desc = guest_at(ring->mem, ring->desc, 16ull * ring->size),
				    .avail = guest_at(ring->mem, ring->driver, avail),
				    .used = guest_at(ring->mem, ring->device, used) };
	return ring->raw.desc && ring->raw.avail && ring->raw.used ? 0 : -ENOMEM;
}

static void split_start(struct guest_ring *ring, uint32_t start)
{
	struct vring v = guest_split_raw(ring);
	uint16_t base = (uint16_t)start;

	memset(v.desc, 0, 16ull * ring->size);
	memset(v.avail, 0, AVAIL_BYTES(ring->size));
	memset(v.used, 0, USED_BYTES(ring->size));
	v.avail->idx = v.used->idx = base;
	/* 32768 apart from base: no event is near until somebody asks for one. */
	v.avail->ring[ring->size] = (uint16_t)(base + 0x8000);
	ring->avail = ring->used = ring->kicked = base;
	ring->free = ring->size;
	ring->first_free = 0;
	for (unsigned i = 0; i < ring->size; i++) {
		ring->next[i] = (uint16_t)(i + 1);
		ring->pieces[i] = 0;
	}
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static void fill(volatile struct vring_desc *d, const struct guest_piece *p, bool more,
		 uint16_t next)
{
	d->addr = p->gpa;
	d->len = p->len;
	d->flags =
		(uint16_t)((p->writable ? VRING_DESC_F_WRITE : 0) | (more ? VRING_DESC_F_NEXT : 0));
	d->next = next;
}

static int fill_table(struct guest_ring *ring, uint16_t head, const struct guest_piece *pieces,
		      unsigned n)
{
	uint64_t gpa = ring->tables + (uint64_t)head * ring->table_max * 16;
	struct vring_desc *table = guest_at(ring->mem, gpa, n * 16ull);
	struct vring v = guest_split_raw(ring);

	if (n > ring->table_max)
		return -E2BIG;
	for (unsigned i = 0; i < n; i++)
		fill(&table[i], &pieces[i], i + 1 < n, (uint16_t)(i + 1));
	v.desc[head] =
		(struct vring_desc){ .addr = gpa, .len = n * 16, .flags = VRING_DESC_F_INDIRECT };
	return 0;
}

static int split_post(struct guest_ring *ring, const struct guest_piece *pieces, unsigned n,
		      bool indirect, uint32_t cookie)
{
	unsigned need = indirect ? 1 : n;
	uint16_t head = ring->first_free, at = head;
	struct vring v = guest_split_raw(ring);

	if (ring->free < need || !n)
		return -ENOSPC;
	if (indirect) {
		int rc = fill_table(ring, head, pieces, n);

		if (rc)
			return rc;
		at = ring->next[head];
	}
	for (unsigned i = 0; i < n && !indirect; i++) {
		fill(&v.desc[at], &pieces[i], i + 1 < n, ring->next[at]);
		at = ring->next[at];
	}
	ring->first_free = at;
	ring->free = (uint16_t)(ring->free - need);
	ring->pieces[head] = (uint16_t)need;
	ring->cookie[head] = cookie;
	v.avail->ring[ring->avail & (ring->size - 1)] = head;
	ring->avail++;
	return 0;
}

static bool split_publish(struct guest_ring *ring)
{
	struct vring v = guest_split_raw(ring);
	uint16_t old = ring->kicked, event;

	if (ring->avail == old)
		return false;
	/* Pairs with the device's acquire of avail->idx. */
	__atomic_store_n(&v.avail->idx, ring->avail, __ATOMIC_RELEASE);
	ring->kicked = ring->avail;
	/* The index before the question: pairs with the device's fence after it asked for kicks. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!ring->event_idx)
		return !(__atomic_load_n(&v.used->flags, __ATOMIC_RELAXED) &
			 VRING_USED_F_NO_NOTIFY);
	event = __atomic_load_n((__virtio16 *)&v.used->ring[ring->size], __ATOMIC_RELAXED);
	return vring_need_event(event, ring->avail, old);
}

static bool used_pending(const struct guest_ring *ring)
{
	struct vring v = guest_split_raw(ring);

	/* Pairs with the device's release of used->idx. */
	return __atomic_load_n(&v.used->idx, __ATOMIC_ACQUIRE) != ring->used;
}

static void release_chain(struct guest_ring *ring, uint16_t head)
{
	uint16_t last = head;

	for (unsigned i = 1; i < ring->pieces[head]; i++)
		last = ring->next[last];
	ring->next[last] = ring->first_free;
	ring->first_free = head;
	ring->free = (uint16_t)(ring->free + ring->pieces[head]);
	ring->pieces[head] = 0;
}

static int split_take(struct guest_ring *ring, uint32_t *cookie, uint32_t *len)
{
	struct vring v = guest_split_raw(ring);
	struct vring_used_elem elem;

	if (!used_pending(ring))
		return 0;
	elem = v.used->ring[ring->used & (ring->size - 1)];
	if (elem.id >= ring->size || !ring->pieces[elem.id])
		return -EPROTO;
	*cookie = ring->cookie[elem.id];
	*len = elem.len;
	release_chain(ring, (uint16_t)elem.id);
	ring->used++;
	return 1;
}

static bool split_arm(struct guest_ring *ring)
{
	struct vring v = guest_split_raw(ring);

	if (ring->event_idx)
		__atomic_store_n(&v.avail->ring[ring->size], ring->used, __ATOMIC_RELAXED);
	else
		__atomic_store_n(&v.avail->flags, 0, __ATOMIC_RELAXED);
	/* The question before the look: pairs with the device's fence after used->idx. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return !used_pending(ring);
}

static void split_disarm(struct guest_ring *ring)
{
	struct vring v = guest_split_raw(ring);

	if (ring->event_idx)
		__atomic_store_n(&v.avail->ring[ring->size], (uint16_t)(ring->used - 1),
				 __ATOMIC_RELAXED);
	else
		__atomic_store_n(&v.avail->flags, VRING_AVAIL_F_NO_INTERRUPT, __ATOMIC_RELAXED);
}

const struct guest_ring_format guest_split = {
	.layout = split_layout,
	.start = split_start,
	.post = split_post,
	.publish = split_publish,
	.take = split_take,
	.arm = split_arm,
	.disarm = split_disarm,
};
