/*
 * What the two ring formats owe to ring.c and take from it: internal to ring*.c. Each format reads
 * its own words; buffers of either go through chain_add(), indirect tables of either through
 * chain_table().
 */
#ifndef AIRLOCK_DEVICE_RING_FORMAT_H
#define AIRLOCK_DEVICE_RING_FORMAT_H

#include "device/ring.h"
#include "lib/util.h"

/* A descriptor in private memory, with what both formats have in common. */
struct buffer {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t tail; /* split: next; packed: id */
};

/* The two words of a descriptor of either format, in the order of the split one: flags before tail.
 */
static inline struct buffer buffer_split(uint64_t addr, uint64_t rest)
{
	return (struct buffer){ addr, (uint32_t)rest, (uint16_t)(rest >> 32),
				(uint16_t)(rest >> 48) };
}
static inline struct buffer buffer_packed(uint64_t addr, uint64_t rest)
{
	return (struct buffer){ addr, (uint32_t)rest, (uint16_t)(rest >> 48),
				(uint16_t)(rest >> 32) };
}

/* Adds one buffer to a chain, in as many pieces as the memory map has of it. 0 or -errno as
 * ring_pop(). */
int chain_add(struct ring *ring, struct chain *chain, const struct buffer *b);
/* Adds the buffers of an indirect table. */
int chain_table(struct ring *ring, struct chain *chain, const struct buffer *table);

/* Where byte `off` of an area lies, with the rest of an aligned word. Behind an IOMMU pages that
 * follow each other may lie anywhere: what is aligned to four bytes alone, and may begin on one and
 * end on the next, is written by area_store64(). */
void *area_page(const struct ring *ring, enum ring_area area, uint32_t off) __attribute__((cold));
void area_store64(const struct ring *ring, enum ring_area area, uint32_t off, uint64_t value)
	__attribute__((cold));
static inline void *desc_at(const struct ring *ring, uint32_t off)
{
	return ring->cfg.iotlb ? area_page(ring, RING_DESC, off) : ptr_add(ring->cfg.desc, off);
}
static inline void *avail_at(const struct ring *ring, uint32_t off)
{
	return ring->cfg.iotlb ? area_page(ring, RING_DRIVER, off) : ptr_add(ring->cfg.avail, off);
}
static inline void *used_at(const struct ring *ring, uint32_t off)
{
	return ring->cfg.iotlb ? area_page(ring, RING_DEVICE, off) : ptr_add(ring->cfg.used, off);
}

/* After a write of `len` bytes at `off` in the used or the descriptor area. */
void area_wrote(const struct ring *ring, enum ring_area area, uint32_t off, uint32_t len)
	__attribute__((cold));
static inline void used_wrote(const struct ring *ring, uint32_t off, uint32_t len)
{
	if (ring->log.dirty)
		area_wrote(ring, RING_DEVICE, off, len);
}
static inline void desc_wrote(const struct ring *ring, uint32_t off, uint32_t len)
{
	if (ring->log.dirty)
		area_wrote(ring, RING_DESC, off, len);
}

void split_init(struct ring *ring);
int split_pop(struct ring *ring, struct chain *chain);
void split_unpop(struct ring *ring, uint16_t slots);
void split_push(struct ring *ring, uint16_t head, uint16_t slots, uint32_t len);
bool split_publish(struct ring *ring);
bool split_arm(struct ring *ring);
void split_disarm(struct ring *ring);
uint32_t split_base(const struct ring *ring);

void packed_init(struct ring *ring);
int packed_pop(struct ring *ring, struct chain *chain);
void packed_unpop(struct ring *ring, uint16_t slots);
void packed_push(struct ring *ring, uint16_t head, uint16_t slots, uint32_t len);
bool packed_publish(struct ring *ring);
bool packed_arm(struct ring *ring);
void packed_disarm(struct ring *ring);
uint32_t packed_base(const struct ring *ring);

#endif
