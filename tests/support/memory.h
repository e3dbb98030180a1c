/*
 * Guest memory as a VMM shares it: memfd regions at guest addresses with holes between them, each
 * known to the back-end under a third, invented address (the front-end's). Addresses and sizes in
 * bytes. One thread allocates; any may read and write what it owns.
 */
#ifndef AIRLOCK_TESTS_MEMORY_H
#define AIRLOCK_TESTS_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/vhost_user.h"

#define GUEST_REGIONS_MAX 512
#define GUEST_NOWHERE	  UINT64_MAX

enum guest_backing {
	GUEST_SEALED,	/* memfd that can no longer shrink */
	GUEST_UNSEALED, /* memfd as QEMU makes it */
};

struct guest_region {
	uint64_t gpa, uva, size;
	uint64_t offset; /* where the region starts in its file */
	int fd;		 /* -1: no region here */
	uint8_t *base;	 /* our own mapping */
	uint64_t used;	 /* allocated from the start */
	bool reversed;	 /* its pages */
};

struct guest_memory {
	struct guest_region region[GUEST_REGIONS_MAX];
	size_t count;
};

/* `regions` of `bytes` each, apart from each other; the second file and on start at an offset. */
int guest_memory_init(struct guest_memory *mem, size_t regions, uint64_t bytes,
		      enum guest_backing backing);
/* The pages of every region, as the guest sees them, lie in reverse order in the front-end's
 * memory: what follows each other is never one piece. Before anything is allocated. 0 or -errno. */
int guest_memory_reverse(struct guest_memory *mem);
/* One more region. Its index or -errno; -EEXIST where it would overlap. */
int guest_memory_add(struct guest_memory *mem, uint64_t gpa, uint64_t bytes, uint64_t offset,
		     enum guest_backing backing);
void guest_memory_remove(struct guest_memory *mem, size_t index);
void guest_memory_free(struct guest_memory *mem);

/* Our pointer to guest bytes [gpa, gpa + len), NULL where no single region holds them. */
void *guest_at(const struct guest_memory *mem, uint64_t gpa, uint64_t len);
/* The front-end's address of a guest address, GUEST_NOWHERE outside every region. */
uint64_t guest_uva(const struct guest_memory *mem, uint64_t gpa);
/* Takes `len` bytes for good, from any region or from one. GUEST_NOWHERE: full. */
uint64_t guest_alloc(struct guest_memory *mem, uint64_t len, uint64_t align);
uint64_t guest_alloc_in(struct guest_memory *mem, size_t index, uint64_t len, uint64_t align);

/* The region as the wire names it. */
struct vu_mem_region guest_region_wire(const struct guest_region *region);

#endif
