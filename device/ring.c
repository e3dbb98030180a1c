/*
 * The device's side of a split virtqueue. Runs in the ring's worker; trusts nothing that the guest
 * wrote: a chain is copied descriptor by descriptor into private memory, and only the copy is
 * checked and used.
 */
#include "device/ring.h"

#include <errno.h>

#include "device/guest.h"
#include "lib/util.h"

void ring_init(struct ring *ring, const struct ring_config *cfg, const struct memory *mem)
{
	*ring = (struct ring){
		.cfg = *cfg, .mem = mem, .avail_next = cfg->base, .avail_seen = cfg->base
	};
	ring->used_next = ring->used_published = guest_load16(&cfg->used->idx);
}

static uint16_t slot(const struct ring *ring, uint16_t index)
{
	return index & (uint16_t)(ring->cfg.size - 1);
}

/* The two event words lie behind the rings' entries (2.7.10). */
static uint16_t *used_event(const struct ring *ring)
{
	return &ring->cfg.avail->ring[ring->cfg.size];
}

static uint16_t *avail_event(const struct ring *ring)
{
	return (uint16_t *)&ring->cfg.used->ring[ring->cfg.size];
}

static struct virtq_desc desc_read(const struct virtq_desc *guest)
{
	uint64_t word = guest_load64((const uint64_t *)guest + 1);

	return (struct virtq_desc){ .addr = guest_load64((const uint64_t *)guest),
				    .len = (uint32_t)word,
				    .flags = (uint16_t)(word >> 32),
				    .next = (uint16_t)(word >> 48) };
}

/* Adds one buffer, in as many pieces as the memory map has of it. */
static int chain_add(struct ring *ring, struct chain *chain, const struct virtq_desc *d)
{
	bool in = d->flags & DESC_F_WRITE;
	uint64_t addr = d->addr, left = d->len, probe = 1;

	ring->work++;
	if (!in && chain->in)
		return -EINVAL; /* device-readable after device-writable (2.7.4.2) */
	/* The address of an empty buffer is checked too, though nothing will touch it. */
	if (!left)
		return memory_gpa(ring->mem, addr, &probe, &ring->hint) ? 0 : -EFAULT;
	if (left - 1 > UINT64_MAX - addr)
		return -EFAULT;
	*(in ? &chain->in_bytes : &chain->out_bytes) += left;
	/* What nobody will use need not be looked up: the rest only tells whether the chain ends.
	 */
	while (left && !chain->too_long) {
		uint64_t len = left;
		void *host = memory_gpa(ring->mem, addr, &len, &ring->hint);

		if (!host)
			return -EFAULT;
		if (chain->out + chain->in == chain->room) {
			chain->too_long = true;
			break;
		}
		chain->iov[chain->out + chain->in] = (struct iovec){ host, len };
		(*(in ? &chain->in : &chain->out))++;
		ring->work++;
		addr += len;
		left -= len;
	}
	return 0;
}

/* One descriptor of an indirect table, which may lie across regions. */
static int indirect_read(struct ring *ring, uint64_t addr, struct virtq_desc *out)
{
	uint64_t words[2];
	char *dst = (char *)words;
	uint64_t left = sizeof(words);

	while (left) {
		uint64_t len = left;
		const void *host = memory_gpa(ring->mem, addr, &len, &ring->hint);

		if (!host)
			return -EFAULT;
		if (len == sizeof(words) && !((uintptr_t)host & 7)) {
			*out = desc_read(host);
			return 0;
		}
		guest_copy_in(dst, host, len);
		dst += len;
		addr += len;
		left -= len;
	}
	memcpy(out, words, sizeof(*out));
	return 0;
}

static int chain_indirect(struct ring *ring, struct chain *chain, const struct virtq_desc *table)
{
	uint32_t entries = table->len / sizeof(struct virtq_desc);
	uint32_t at = 0;

	if (!ring->cfg.indirect || (table->flags & DESC_F_NEXT))
		return -EINVAL;
	if (!table->len || table->len % sizeof(struct virtq_desc) || entries > RING_SIZE_MAX)
		return -EINVAL;
	if (table->len - 1 > UINT64_MAX - table->addr)
		return -EFAULT;
	for (uint32_t seen = 0; seen < entries; seen++) {
		struct virtq_desc d;
		int rc = indirect_read(ring, table->addr + (uint64_t)at * sizeof(d), &d);

		if (rc)
			return rc;
		if (d.flags & DESC_F_INDIRECT)
			return -EINVAL; /* no table within a table (2.7.5.3.1) */
		rc = chain_add(ring, chain, &d);
		if (rc || !(d.flags & DESC_F_NEXT))
			return rc;
		if (d.next >= entries)
			return -EINVAL;
		at = d.next;
	}
	return -ELOOP;
}

static int chain_read(struct ring *ring, struct chain *chain)
{
	uint16_t at = chain->head;

	for (uint32_t seen = 0; seen < ring->cfg.size; seen++) {
		struct virtq_desc d = desc_read(&ring->cfg.desc[at]);
		int rc;

		if (d.flags & DESC_F_INDIRECT)
			return chain_indirect(ring, chain, &d);
		rc = chain_add(ring, chain, &d);
		if (rc || !(d.flags & DESC_F_NEXT))
			return rc;
		if (d.next >= ring->cfg.size)
			return -EINVAL;
		at = d.next;
	}
	return -ELOOP;
}

static bool avail_refresh(struct ring *ring)
{
	/* Acquire: what the driver wrote before its index is visible after it. */
	ring->avail_seen = guest_load16_acquire(&ring->cfg.avail->idx);
	return ring->avail_seen != ring->avail_next;
}

int ring_pop(struct ring *ring, struct chain *chain)
{
	uint16_t head;
	int rc;

	if (ring->avail_seen == ring->avail_next && !avail_refresh(ring))
		return 0;
	if ((uint16_t)(ring->avail_seen - ring->avail_next) > ring->cfg.size)
		return -EINVAL; /* the index jumped, or went back */
	head = guest_load16(&ring->cfg.avail->ring[slot(ring, ring->avail_next)]);
	if (head >= ring->cfg.size)
		return -EINVAL;
	chain->head = head;
	chain->out = chain->in = 0;
	chain->out_bytes = chain->in_bytes = 0;
	chain->too_long = false;
	rc = chain_read(ring, chain);
	if (rc)
		return rc;
	ring->avail_next++;
	return 1;
}

void ring_unpop(struct ring *ring, uint16_t n)
{
	ring->avail_next -= n;
}

void ring_push(struct ring *ring, uint16_t head, uint32_t len)
{
	struct virtq_used_elem *elem = &ring->cfg.used->ring[slot(ring, ring->used_next)];

	guest_store32(&elem->id, head);
	guest_store32(&elem->len, len);
	ring->used_next++;
}

bool ring_publish(struct ring *ring)
{
	uint16_t old = ring->used_published, event;

	if (ring->used_next == old)
		return false;
	guest_store16_release(&ring->cfg.used->idx, ring->used_next);
	ring->used_published = ring->used_next;
	/* Full: pairs with the driver's barrier between its event word and its look at the used
	 * index. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!ring->cfg.event_idx)
		return !(guest_load16(&ring->cfg.avail->flags) & AVAIL_F_NO_INTERRUPT);
	event = guest_load16(used_event(ring));
	return (uint16_t)(ring->used_next - event - 1) < (uint16_t)(ring->used_next - old);
}

bool ring_arm(struct ring *ring)
{
	if (ring->cfg.event_idx)
		guest_store16(avail_event(ring), ring->avail_next);
	else
		guest_store16(&ring->cfg.used->flags, 0);
	/* Full: pairs with the driver's barrier between its index and its look at the event word.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return avail_refresh(ring);
}

void ring_disarm(struct ring *ring)
{
	/* With event indices the word left behind is old and asks for nothing. */
	if (!ring->cfg.event_idx)
		guest_store16(&ring->cfg.used->flags, USED_F_NO_NOTIFY);
}
