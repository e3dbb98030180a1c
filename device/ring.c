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

/* ---- addresses ---- */

static void *reach(struct ring *ring, uint64_t addr, uint64_t *len, unsigned int access)
{
	return ring->cfg.iotlb ? iotlb_at(ring->cfg.iotlb, addr, len, access, &ring->hint)
			       : memory_gpa(ring->mem, addr, len, &ring->hint);
}

/* What is out of reach is the guest's error, unless the front-end may still translate it. */
static int unreachable(struct ring *ring, uint64_t addr, unsigned int access)
{
	if (!ring->cfg.iotlb)
		return -EFAULT;
	ring->miss = (addr & ~(IOTLB_PAGE - 1)) | access;
	return -EAGAIN;
}

uint64_t ring_area_bytes(const struct ring_config *cfg, enum ring_area area)
{
	if (area == RING_DESC)
		return virtq_desc_bytes(cfg->size);
	if (cfg->packed)
		return sizeof(struct virtq_packed_event);
	return area == RING_DRIVER ? virtq_avail_bytes(cfg->size) : virtq_used_bytes(cfg->size);
}

/* What is done to an area: a split ring's descriptors are only read. */
static unsigned int area_access(const struct ring_config *cfg, enum ring_area area)
{
	return area == RING_DEVICE || (area == RING_DESC && cfg->packed) ? VU_ACCESS_RW
									 : VU_ACCESS_RO;
}

/* The first of an area's pages in ring->page. */
static const unsigned int area_first[RING_AREAS] = {
	[RING_DESC] = 0,
	[RING_DRIVER] = RING_PAGES_DESC,
	[RING_DEVICE] = RING_PAGES_DESC + RING_PAGES_DRIVER,
};

void *area_page(const struct ring *ring, enum ring_area area, uint32_t off)
{
	uint64_t at = ring->cfg.iova[area] % IOTLB_PAGE + off;

	return ring->page[area_first[area] + at / IOTLB_PAGE] + at % IOTLB_PAGE;
}

/* Each page of the area by itself: it need not follow the one before. */
static int area_map(struct ring *ring, enum ring_area area)
{
	uint64_t addr = ring->cfg.iova[area], left = ring_area_bytes(&ring->cfg, area);
	unsigned int access = area_access(&ring->cfg, area);

	for (char **page = &ring->page[area_first[area]]; left; page++) {
		uint64_t off = addr % IOTLB_PAGE, part = min_of(left, IOTLB_PAGE - off), len = part;
		char *host = iotlb_at(ring->cfg.iotlb, addr, &len, access, &ring->hint);

		if (!host)
			return unreachable(ring, addr, access);
		/* In smaller parts, or where words are not aligned any more: no IOMMU does that. */
		if (len != part || ((uintptr_t)host ^ addr) % sizeof(struct virtq_desc))
			return -EFAULT;
		*page = host - off;
		addr += part;
		left -= part;
	}
	return 0;
}

void area_store64(const struct ring *ring, enum ring_area area, uint32_t off, uint64_t value)
{
	guest_store32(area_page(ring, area, off), (uint32_t)value);
	guest_store32(area_page(ring, area, off + 4), (uint32_t)(value >> 32));
}

void area_wrote(const struct ring *ring, enum ring_area area, uint32_t off, uint32_t len)
{
	const struct ring_log *log = &ring->log;

	if (!ring->cfg.iotlb) {
		dirty_mark(log->dirty, (area == RING_DESC ? log->desc : log->used) + off, len);
		return;
	}
	for (uint32_t end = off + len; off < end; off += 4) /* it may lie on two pages */
		dirty_mark(log->dirty, memory_reverse(ring->mem, area_page(ring, area, off)),
			   min_of(4u, end - off));
}

/* ---- chains ---- */

int chain_add(struct ring *ring, struct chain *chain, const struct buffer *b)
{
	bool in = b->flags & DESC_F_WRITE;
	unsigned int access = in ? VU_ACCESS_WO : VU_ACCESS_RO;
	uint64_t addr = b->addr, left = b->len, probe = 1;

	ring->work++;
	if (!in && chain->in)
		return -EINVAL; /* device-readable after device-writable (2.7.4.2) */
	/* The address of an empty buffer is checked too, though nothing will touch it. */
	if (!left)
		return reach(ring, addr, &probe, access) ? 0 : unreachable(ring, addr, access);
	if (left - 1 > UINT64_MAX - addr)
		return -EFAULT;
	*(in ? &chain->in_bytes : &chain->out_bytes) += left;
	/* What nobody will use need not be looked up: the rest only tells whether the chain ends.
	 */
	while (left && !chain->too_long) {
		uint64_t len = left;
		void *host = reach(ring, addr, &len, access);

		if (!host)
			return unreachable(ring, addr, access);
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
		const void *host = reach(ring, addr, &len, VU_ACCESS_RO);

		if (!host)
			return unreachable(ring, addr, VU_ACCESS_RO);
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

static void ring_begin(struct ring *ring)
{
	if (ring->cfg.packed)
		packed_init(ring);
	else
		split_init(ring);
	ring->begun = true;
}

void ring_init(struct ring *ring, const struct ring_config *cfg, const struct memory *mem)
{
	*ring = (struct ring){ .cfg = *cfg, .mem = mem };
	if (!cfg->iotlb)
		ring_begin(ring);
}

void ring_move(struct ring *ring, const struct ring_config *cfg, const struct memory *mem)
{
	ring->mem = mem;
	ring->hint = 0;
	ring->cfg.desc = cfg->desc;
	ring->cfg.avail = cfg->avail;
	ring->cfg.used = cfg->used;
	ring->cfg.iotlb = cfg->iotlb;
}

int ring_map(struct ring *ring)
{
	int rc = 0;

	if (!ring->cfg.iotlb)
		return ring->cfg.desc ? 0 : -EFAULT;
	for (enum ring_area area = RING_DESC; area < RING_AREAS && !rc; area++)
		rc = area_map(ring, area);
	if (!rc && !ring->begun)
		ring_begin(ring);
	return rc;
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
	ring->taken -= slots;
	if (ring->cfg.packed)
		packed_push(ring, head, slots, len);
	else
		split_push(ring, head, slots, len);
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
	if (!ring->begun)
		return ring->cfg.base;
	return ring->cfg.packed ? packed_base(ring) : split_base(ring);
}

bool ring_fresh(const struct ring *ring)
{
	return ring_base(ring) == (ring->cfg.packed ? PACKED_WRAP | PACKED_WRAP << 16 : 0);
}
