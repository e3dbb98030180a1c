/*
 * Guest memory: immutable snapshots of what the front-end shared, and where its addresses lie.
 *
 * A snapshot is made and freed by the control thread (it alone may mmap and munmap); a worker
 * borrows one from the command that hands it over until its answer to the command that takes it
 * away. Pools are static: nothing is allocated after start. Every touch of guest memory goes
 * through the accessors of guest.h, under a guard: a file that its owner has truncated raises
 * SIGBUS, which lands in the guard and breaks the ring, not the process.
 */
#ifndef AIRLOCK_DEVICE_MEMORY_H
#define AIRLOCK_DEVICE_MEMORY_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/vhost_user.h"

#define MEMORY_SLOTS 509 /* as many as QEMU and rust-vmm use at most */

struct dirty;
struct mapping;
struct memory_region {
	uint64_t gpa, uva, size; /* guest address, front-end address, bytes */
	char *host;		 /* where gpa lies in this process */
	struct mapping *mapping;
	unsigned int times; /* added so often, to be removed as often */
};
struct memory {
	bool used;
	unsigned int count;
	uint64_t bytes;
	struct memory_region regions[MEMORY_SLOTS]; /* ascending gpa, no overlap in gpa or uva */
};

/* What one region is made of: validated against its file before anything is mapped. The descriptor
 * stays the caller's. */
struct memory_source {
	struct vu_mem_region region;
	int fd;
	/* Filled in by the checks: what the file's mappings are multiples of, and which file it is.
	 */
	uint64_t page, device, inode;
};

/* A fresh snapshot of n sources; or `old` (may be NULL) with one added, or with one removed. The
 * very same region of the same file may be added `times` times: QEMU up to 7.2 adds all its memory
 * once for each queue pair, and removes it so. 0 or -errno: -EINVAL ranges, -EBADF not a regular
 * file or shorter than announced, -EPERM not sealed although that is required, -ENOSPC no slot. */
int memory_new(struct memory_source *sources, size_t n, bool require_sealed, struct memory **out);
int memory_add(const struct memory *old, struct memory_source *source, bool require_sealed,
	       unsigned int times, struct memory **out);
int memory_remove(const struct memory *old, const struct vu_mem_region *region,
		  struct memory **out);
void memory_free(struct memory *mem);

/* Host address of [uva, uva + len), which must lie in one region; NULL otherwise. */
void *memory_uva(const struct memory *mem, uint64_t uva, uint64_t len);
/* The same by the address that the front-end uses: user addresses, or guest addresses. */
void *memory_area(const struct memory *mem, bool by_gpa, uint64_t addr, uint64_t len);
/* Guest address of a host address that one of the functions beside gave; UINT64_MAX: none. */
uint64_t memory_reverse(const struct memory *mem, const void *host);
/* Host address of gpa (NULL: unmapped) and, in *len, at most the wanted bytes that follow it
 * without a gap. `hint` remembers the region last hit; one per ring. */
void *memory_gpa(const struct memory *mem, uint64_t gpa, uint64_t *len, unsigned int *hint);

/* The guard of a thread: `if (memory_guard_caught()) ...` is where a SIGBUS from guest memory comes
 * out, from when guard->mem is set until it is NULL again: see worker.c. */
struct memory_guard {
	sigjmp_buf env;
	const struct memory *mem;  /* NULL: no guest memory may be touched now */
	const struct dirty *dirty; /* the log that may be marked, or NULL */
};
extern _Thread_local struct memory_guard *memory_guard;
#ifdef AIRLOCK_SANITIZE /* they block every signal while a handler runs */
#define memory_guard_caught() sigsetjmp(memory_guard->env, 1)
#else
#define memory_guard_caught() sigsetjmp(memory_guard->env, 0)
#endif
int memory_guard_init(void); /* once, before threads: installs the SIGBUS handler */

#endif
