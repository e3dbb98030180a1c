/*
 * Guest memory as it was announced, and as few regions of it as describe it: neighbours in address
 * and file are one region, since back-ends take few. No system call but close and fstat; the device
 * task's thread.
 */
#ifndef AIRLOCK_FRONTEND_SLOTS_H
#define AIRLOCK_FRONTEND_SLOTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SLOTS_MAX 1024

struct slot {
	uint64_t address, size, offset; /* guest address, bytes, where it starts in its file */
	int fd;				/* owned */
	dev_t dev;
	ino_t ino;
};
struct slots {
	unsigned int count;
	struct slot slot[SLOTS_MAX]; /* ascending, no overlap */
};

/* Takes over fd when the result is 0. -EINVAL empty or wrapping, -EBADF not a regular file that
 * holds the range, -EEXIST overlap, -ENOSPC. */
int slots_add(struct slots *s, uint64_t address, uint64_t size, int fd, uint64_t offset);
/* An exact match, or -ENOENT. */
int slots_remove(struct slots *s, uint64_t address, uint64_t size);
void slots_clear(struct slots *s);
/* The fewest regions; their descriptors stay with s. How many; -E2BIG above room. */
int slots_merge(const struct slots *s, struct slot *out, unsigned int room);
bool slot_same(const struct slot *a, const struct slot *b);
static inline bool slot_overlaps(const struct slot *a, uint64_t address, uint64_t size)
{
	return a->address < address + size && address < a->address + a->size;
}

#endif
