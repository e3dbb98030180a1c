/*
 * Guest memory for tests: memfds, mapped here and announced to the back-end under test. Runs in the
 * test process; trusts nobody but itself, since the back-end writes into it.
 */
#include "tests/support/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/util.h"

/* Far apart, so that no region's front-end address can be had from another's by a plain sum. */
#define FIRST_GPA  0x10000000ull
#define GPA_HOLE   0x00100000ull
#define FIRST_UVA  0x7e0000000000ull
#define UVA_STRIDE 0x000100000000ull
#define FILE_LEAD  0x00003000ull
#define PAGE	   4096ull

static int backing_open(uint64_t bytes, enum guest_backing backing)
{
	int fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING), rc;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes) < 0)
		goto close_file;
	if (backing == GUEST_SEALED && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) < 0)
		goto close_file;
	return fd;
close_file:
	rc = -errno;
	close(fd);
	return rc;
}

static bool overlaps(const struct guest_memory *mem, uint64_t gpa, uint64_t bytes)
{
	for (size_t i = 0; i < mem->count; i++) {
		const struct guest_region *r = &mem->region[i];

		if (r->fd >= 0 && gpa < r->gpa + r->size && r->gpa < gpa + bytes)
			return true;
	}
	return false;
}

static size_t vacant(struct guest_memory *mem)
{
	for (size_t i = 0; i < mem->count; i++)
		if (mem->region[i].fd < 0)
			return i;
	return mem->count;
}

int guest_memory_add(struct guest_memory *mem, uint64_t gpa, uint64_t bytes, uint64_t offset,
		     enum guest_backing backing)
{
	size_t i = vacant(mem);
	void *base;
	int fd;

	if (i == GUEST_REGIONS_MAX)
		return -ENOSPC;
	if (overlaps(mem, gpa, bytes))
		return -EEXIST;
	fd = backing_open(offset + bytes, backing);
	if (fd < 0)
		return fd;
	base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
	if (base == MAP_FAILED) {
		close(fd);
		return -ENOMEM;
	}
	mem->region[i] = (struct guest_region){ .gpa = gpa,
						.uva = FIRST_UVA + i * UVA_STRIDE,
						.size = bytes,
						.offset = offset,
						.fd = fd,
						.base = base };
	mem->count = max_of(mem->count, i + 1);
	return (int)i;
}

int guest_memory_init(struct guest_memory *mem, size_t regions, uint64_t bytes,
		      enum guest_backing backing)
{
	mem->count = 0;
	for (size_t i = 0; i < regions; i++) {
		uint64_t gpa = FIRST_GPA + i * (bytes + GPA_HOLE);
		int rc = guest_memory_add(mem, gpa, bytes, i ? FILE_LEAD : 0, backing);

		if (rc < 0) {
			guest_memory_free(mem);
			return rc;
		}
	}
	return 0;
}

int guest_memory_reverse(struct guest_memory *mem)
{
	for (size_t i = 0; i < mem->count; i++) {
		struct guest_region *r = &mem->region[i];

		for (uint64_t off = 0; off < r->size; off += PAGE)
			if (mmap(r->base + off, PAGE, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_FIXED, r->fd,
				 (off_t)(r->offset + r->size - PAGE - off)) == MAP_FAILED)
				return -errno;
		r->reversed = true;
	}
	return 0;
}

void guest_memory_remove(struct guest_memory *mem, size_t index)
{
	struct guest_region *r = &mem->region[index];

	if (r->fd < 0)
		return;
	munmap(r->base, r->size);
	fd_close(&r->fd);
}

void guest_memory_free(struct guest_memory *mem)
{
	for (size_t i = 0; i < mem->count; i++)
		guest_memory_remove(mem, i);
	mem->count = 0;
}

static const struct guest_region *region_of(const struct guest_memory *mem, uint64_t gpa)
{
	for (size_t i = 0; i < mem->count; i++) {
		const struct guest_region *r = &mem->region[i];

		if (r->fd >= 0 && gpa >= r->gpa && gpa - r->gpa < r->size)
			return r;
	}
	return NULL;
}

void *guest_at(const struct guest_memory *mem, uint64_t gpa, uint64_t len)
{
	const struct guest_region *r = region_of(mem, gpa);

	if (!r || !range_within(gpa - r->gpa, len, r->size))
		return NULL;
	return r->base + (gpa - r->gpa);
}

uint64_t guest_uva(const struct guest_memory *mem, uint64_t gpa)
{
	const struct guest_region *r = region_of(mem, gpa);

	if (!r)
		return GUEST_NOWHERE;
	if (r->reversed)
		return r->uva + r->size - PAGE - ((gpa - r->gpa) & ~(PAGE - 1)) + gpa % PAGE;
	return r->uva + (gpa - r->gpa);
}

uint64_t guest_alloc_in(struct guest_memory *mem, size_t index, uint64_t len, uint64_t align)
{
	struct guest_region *r = &mem->region[index];
	uint64_t at = (r->used + align - 1) & ~(align - 1);

	if (index >= mem->count || r->fd < 0 || !range_within(at, len, r->size))
		return GUEST_NOWHERE;
	r->used = at + len;
	return r->gpa + at;
}

uint64_t guest_alloc(struct guest_memory *mem, uint64_t len, uint64_t align)
{
	for (size_t i = 0; i < mem->count; i++) {
		uint64_t gpa = guest_alloc_in(mem, i, len, align);

		if (gpa != GUEST_NOWHERE)
			return gpa;
	}
	return GUEST_NOWHERE;
}

struct vu_mem_region guest_region_wire(const struct guest_region *region)
{
	return (struct vu_mem_region){ .guest_addr = region->gpa,
				       .size = region->size,
				       .user_addr = region->uva,
				       .mmap_offset = region->offset };
}
