/*
 * The split format: available and used rings of indices over a table of descriptors
 * (virtio 1.3, 2.7). Runs in the ring's worker; the guest may change any word at any time, so each
 * is read once.
 */
#include <errno.h>
#include <stddef.h>

#include "device/guest.h"
#include "device/ring_format.h"

static uint16_t slot(const struct ring *ring, uint16_t index)
{
	return index & (uint16_t)(ring->cfg.size - 1);
}

#define AVAIL_FLAGS    offsetof(struct virtq_avail, flags)
#define AVAIL_IDX      offsetof(struct virtq_avail, idx)
#define AVAIL_ENTRY(i) ((uint32_t)(offsetof(struct virtq_avail, ring) + sizeof(uint16_t) * (i)))
#define USED_FLAGS     offsetof(struct virtq_used, flags)
#define USED_IDX       offsetof(struct virtq_used, idx)
#define USED_ENTRY(i) \
	((uint32_t)(offsetof(struct virtq_used, ring) + sizeof(struct virtq_used_elem) * (i)))
/* The two event words lie behind the rings' entries (2.7.10). */
#define USED_EVENT(ring)  AVAIL_ENTRY((ring)->cfg.size)
#define AVAIL_EVENT(ring) USED_ENTRY((ring)->cfg.size)

void split_init(struct ring *ring)
{
	ring->avail_next = ring->avail_seen = (uint16_t)ring->cfg.base;
	ring->used_next = ring->used_published = guest_load16(used_at(ring, USED_IDX));
}

uint32_t split_base(const struct ring *ring)
{
	return ring->avail_next;
}

static struct buffer buffer_read(const struct ring *ring, uint16_t at)
{
	const uint64_t *words = desc_at(ring, at * (uint32_t)sizeof(struct virtq_desc));

	return buffer_split(guest_load64(words), guest_load64(words + 1));
}

static int chain_read(struct ring *ring, struct chain *chain)
{
	uint16_t at = chain->head;

	for (uint32_t seen = 0; seen < ring->cfg.size; seen++) {
		struct buffer b = buffer_read(ring, at);
		int rc;

		if (b.flags & DESC_F_INDIRECT)
			return chain_table(ring, chain, &b);
		rc = chain_add(ring, chain, &b);
		if (rc || !(b.flags & DESC_F_NEXT))
			return rc;
		if (b.tail >= ring->cfg.size)
			return -EINVAL;
		at = b.tail;
	}
	return -ELOOP;
}

static bool avail_refresh(struct ring *ring)
{
	/* Acquire: what the driver wrote before its index is visible after it. */
	ring->avail_seen = guest_load16_acquire(avail_at(ring, AVAIL_IDX));
	return ring->avail_seen != ring->avail_next;
}

int split_pop(struct ring *ring, struct chain *chain)
{
	int rc;

	if (ring->avail_seen == ring->avail_next && !avail_refresh(ring))
		return 0;
	if ((uint16_t)(ring->avail_seen - ring->avail_next) > ring->cfg.size)
		return -EINVAL; /* the index jumped, or went back */
	chain->slots = 1;
	chain->head = guest_load16(avail_at(ring, AVAIL_ENTRY(slot(ring, ring->avail_next))));
	if (chain->head >= ring->cfg.size)
		return -EINVAL;
	rc = chain_read(ring, chain);
	if (rc)
		return rc;
	ring->avail_next++;
	return 1;
}

void split_unpop(struct ring *ring, uint16_t slots)
{
	ring->avail_next -= slots;
}

void split_push(struct ring *ring, uint16_t head, uint16_t slots, uint32_t len)
{
	uint64_t elem = head | (uint64_t)len << 32; /* struct virtq_used_elem */
	uint32_t at = USED_ENTRY(slot(ring, ring->used_next));

	/* No index that covers it is visible yet: how it is written does not matter. */
	if (ring->cfg.iotlb)
		area_store64(ring, RING_DEVICE, at, elem);
	else
		guest_copy_out(ptr_add(ring->cfg.used, at), &elem, sizeof(elem));
	used_wrote(ring, at, sizeof(elem));
	ring->used_next += slots;
}

bool split_publish(struct ring *ring)
{
	uint16_t old = ring->used_published, event;

	if (ring->used_next == old)
		return false;
	guest_store16_release(used_at(ring, USED_IDX), ring->used_next);
	used_wrote(ring, USED_IDX, sizeof(uint16_t));
	ring->used_published = ring->used_next;
	/* Full: pairs with the driver's barrier between its event word and its look at the used
	 * index. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!ring->cfg.event_idx)
		return !(guest_load16(avail_at(ring, AVAIL_FLAGS)) & AVAIL_F_NO_INTERRUPT);
	event = guest_load16(avail_at(ring, USED_EVENT(ring)));
	return (uint16_t)(ring->used_next - event - 1) < (uint16_t)(ring->used_next - old);
}

bool split_arm(struct ring *ring)
{
	uint32_t word = ring->cfg.event_idx ? AVAIL_EVENT(ring) : (uint32_t)USED_FLAGS;

	guest_store16(used_at(ring, word), ring->cfg.event_idx ? ring->avail_next : 0);
	used_wrote(ring, word, sizeof(uint16_t));
	/* Full: pairs with the driver's barrier between its index and its look at the event word.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return avail_refresh(ring);
}

void split_disarm(struct ring *ring)
{
	/* With event indices the word left behind is old and asks for nothing. */
	if (ring->cfg.event_idx)
		return;
	guest_store16(used_at(ring, USED_FLAGS), USED_F_NO_NOTIFY);
	used_wrote(ring, USED_FLAGS, sizeof(uint16_t));
}
