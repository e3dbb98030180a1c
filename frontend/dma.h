/*
 * The client's DMA ranges, as it mapped them: what a later unmap must name exactly. Ranges that the
 * back-end can use become guest memory of the transport; the others (no descriptor, not writeable:
 * ROM) are only remembered. The server's thread.
 */
#ifndef AIRLOCK_FRONTEND_DMA_H
#define AIRLOCK_FRONTEND_DMA_H

#include "frontend/airlock-frontend.h"
#include "frontend/vfio_user.h"

#define DMA_MAX 1024

struct dma_range {
	uint64_t address, size;
	bool shared; /* the transport has it */
};
struct dma {
	unsigned int count;
	struct dma_range range[DMA_MAX];
};

/* 0 done; 1 asked, and done() will be called; -errno refused: -EEXIST, -EINVAL, -ENOSPC, -ENOENT.
 */
int dma_map(struct dma *d, struct airlock_transport *t, const struct vfu_dma_map *map, int fd,
	    airlock_memory_done *done, void *opaque);
int dma_unmap(struct dma *d, struct airlock_transport *t, const struct vfu_dma_unmap *unmap,
	      airlock_memory_done *done, void *opaque);
/* The transport did not take what was mapped last under this address. */
void dma_forget(struct dma *d, uint64_t address);
/* All of it goes, without word. */
void dma_clear(struct dma *d, struct airlock_transport *t);

#endif
