/*
 * What both ring formats share: buffers become pieces of guest memory, indirect tables become
 * buffers. Runs in the ring's worker; trusts nothing that the guest wrote: a chain is copied
 * descriptor by descriptor into private memory, and only the copy is checked and used.
 */
#include "device/ring.h"

#include <errno.h>

#include "device/guest.h"
#include "device/ring_format.h"
#include "lib/util.h"

struct buffer buffer_split(uint64_t addr, uint64_t rest)
{
	return (struct buffer){ addr, (uint32_t)rest, (uint16_t)(rest >> 32),
				(uint16_t)(rest >> 48) };
}

struct buffer buffer_packed(uint64_t addr, uint64_t rest)
{
	return (struct buffer){ addr, (uint32_t)rest, (uint16_t)(rest >> 48),
				(uint16_t)(rest >> 32) };
}

int chain_add(struct ring *ring, struct chain *chain, const struct buffer *b)
{
	bool in = b->flags & DESC_F_WRITE;
	uint64_t addr = b->addr, left = b->len, probe = 1;

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
static int entry_read(struct ring *ring, uint64_t addr, struct buffer *out)
{
	uint64_t words[2];
	char *dst = (char *)words;
	uint64_t left = sizeof(words);

	while (left) {
		uint64_t len = left;
		const void *host = memory_gpa(ring->mem, addr, &len, &ring->hint);

		if (!host)
			return -EFAULT;
		guest_copy_in(dst, host, len);
		dst += len;
		addr += len;
		left -= len;
	}
	*out = ring->cfg.packed ? buffer_packed(words[0], words[1])
				: buffer_split(words[0], words[1]);
	return 0;
}

int chain_table(struct ring *ring, struct chain *chain, const struct buffer *table)
{
	uint32_t entries = table->len / sizeof(struct virtq_desc), at = 0;

	if (!ring->cfg.indirect || (table->flags & DESC_F_NEXT))
		return -EINVAL;
	if (!table->len || table->len % sizeof(struct virtq_desc) || entries > RING_SIZE_MAX)
		return -EINVAL;
	if (table->len - 1 > UINT64_MAX - table->addr)
		return -EFAULT;
	for (uint32_t seen = 0; seen < entries; seen++) {
		struct buffer b;
		int rc = entry_read(ring, table->addr + (uint64_t)at * sizeof(struct virtq_desc),
				    &b);

		if (rc)
			return rc;
		if (b.flags & DESC_F_INDIRECT)
			return -EINVAL; /* no table within a table (2.7.5.3.1) */
		rc = chain_add(ring, chain, &b);
		if (rc)
			return rc;
		/* A packed ring's table is a list (2.8.7); a split one's is chained, and ends where
		 * the chain does. */
		if (ring->cfg.packed) {
			at++;
			continue;
		}
		if (!(b.flags & DESC_F_NEXT))
			return 0;
		if (b.tail >= entries)
			return -EINVAL;
		at = b.tail;
	}
	return ring->cfg.packed ? 0 : -ELOOP;
}

void ring_init(struct ring *ring, const struct ring_config *cfg, const struct memory *mem)
{
	*ring = (struct ring){ .cfg = *cfg, .mem = mem };
	if (cfg->packed)
		packed_init(ring);
	else
		split_init(ring);
}

int ring_pop(struct ring *ring, struct chain *chain)
{
	int rc;

	chain->out = chain->in = 0;
	chain->out_bytes = chain->in_bytes = 0;
	chain->too_long = false;
	rc = ring->cfg.packed ? packed_pop(ring, chain) : split_pop(ring, chain);
	if (rc <= 0)
		return rc;
	ring->taken += chain->slots;
	if (ring->taken <= ring->cfg.size)
		return 1;
	/* What is not given back yet was made available again. */
	ring_unpop(ring, chain->slots);
	return -EINVAL;
}

void ring_unpop(struct ring *ring, uint16_t slots)
{
	ring->taken -= slots;
	if (ring->cfg.packed)
		packed_unpop(ring, slots);
	else
		split_unpop(ring, slots);
}

void ring_push(struct ring *ring, uint16_t head, uint16_t slots, uint32_t len)
{
	if (ring->cfg.packed)
		packed_push(ring, head, slots, len);
	else
		split_push(ring, head, slots, len);
	ring->taken -= slots;
}

bool ring_publish(struct ring *ring)
{
	return ring->cfg.packed ? packed_publish(ring) : split_publish(ring);
}

bool ring_arm(struct ring *ring)
{
	return ring->cfg.packed ? packed_arm(ring) : split_arm(ring);
}

void ring_disarm(struct ring *ring)
{
	if (ring->cfg.packed)
		packed_disarm(ring);
	else
		split_disarm(ring);
}

uint32_t ring_base(const struct ring *ring)
{
	return ring->cfg.packed ? packed_base(ring) : split_base(ring);
}

bool ring_fresh(const struct ring *ring)
{
	return ring_base(ring) == (ring->cfg.packed ? PACKED_WRAP | PACKED_WRAP << 16 : 0);
}
