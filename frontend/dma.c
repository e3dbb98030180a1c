/*
 * The book of DMA ranges. Runs in the server's thread; trusts no range of the client's.
 */
#include "frontend/dma.h"

#include <errno.h>

#include "lib/util.h"

#define READABLE  1u
#define WRITEABLE 2u
#define MODES	  0xcu /* mmap, file I/O: the former is what a back-end does */
#define UNMAP_ALL 2u

static bool overlaps(const struct dma_range *r, uint64_t address, uint64_t size)
{
	return r->address < address + size && address < r->address + r->size;
}

static void remove_at(struct dma *d, unsigned int i)
{
	d->range[i] = d->range[--d->count];
}

int dma_map(struct dma *d, struct airlock_transport *t, const struct vfu_dma_map *map, int fd,
	    airlock_memory_done *done, void *opaque)
{
	bool shared = fd >= 0 && (map->flags & WRITEABLE);
	int rc;

	if (!map->size || map->address + map->size < map->address ||
	    (map->flags & ~(READABLE | WRITEABLE | MODES)))
		return -EINVAL;
	if ((map->flags & MODES) && fd < 0)
		return -EINVAL;
	for (unsigned int i = 0; i < d->count; i++)
		if (overlaps(&d->range[i], map->address, map->size))
			return -EEXIST;
	if (d->count == DMA_MAX)
		return -ENOSPC;
	if (shared) {
		rc = airlock_memory_add(t, map->address, map->size, fd, map->offset, done, opaque);
		if (rc)
			return rc;
	}
	d->range[d->count++] = (struct dma_range){ map->address, map->size, shared };
	return shared;
}

void dma_forget(struct dma *d, uint64_t address)
{
	for (unsigned int i = 0; i < d->count; i++)
		if (d->range[i].address == address) {
			remove_at(d, i);
			return;
		}
}

static int range_unmap(struct dma *d, unsigned int i, struct airlock_transport *t,
		       airlock_memory_done *done, void *opaque)
{
	int rc = 0;

	if (d->range[i].shared) {
		rc = airlock_memory_remove(t, d->range[i].address, d->range[i].size, done, opaque);
		rc = rc ? rc : 1;
	}
	if (rc >= 0)
		remove_at(d, i);
	return rc;
}

int dma_unmap(struct dma *d, struct airlock_transport *t, const struct vfu_dma_unmap *unmap,
	      airlock_memory_done *done, void *opaque)
{
	if (unmap->flags == UNMAP_ALL && !unmap->address && !unmap->size) {
		dma_clear(d, t);
		/* What was asked is done in order: an empty removal behind it all tells when. */
		return airlock_memory_remove(t, 0, 0, done, opaque) ? -ENOMEM : 1;
	}
	if (unmap->flags)
		return -EINVAL;
	for (unsigned int i = 0; i < d->count; i++)
		if (d->range[i].address == unmap->address && d->range[i].size == unmap->size)
			return range_unmap(d, i, t, done, opaque);
	return -ENOENT;
}

void dma_clear(struct dma *d, struct airlock_transport *t)
{
	while (d->count)
		if (range_unmap(d, d->count - 1, t, NULL, NULL) < 0)
			remove_at(d, d->count - 1);
}
