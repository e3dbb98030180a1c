/*
 * The table of guest memory. Runs in the device task's thread; trusts no range and no descriptor:
 * they are the VMM's, and what does not hold is refused before it is kept.
 */
#include "frontend/slots.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/util.h"

#define ADDRESS_MAX (UINT64_C(1) << 52) /* of physical addresses; sums below cannot wrap */

static int file_check(struct slot *slot)
{
	struct stat st;

	/* The raw call: newfstatat, which the C library would take, is one that takes paths. */
	if (syscall(SYS_fstat, slot->fd, &st))
		return -EBADF;
	if (!S_ISREG(st.st_mode) || st.st_size < 0 ||
	    !range_within(slot->offset, slot->size, (uint64_t)st.st_size))
		return -EBADF;
	slot->dev = st.st_dev;
	slot->ino = st.st_ino;
	return 0;
}

int slots_add(struct slots *s, uint64_t address, uint64_t size, int fd, uint64_t offset)
{
	struct slot slot = { .address = address, .size = size, .offset = offset, .fd = fd };
	unsigned int at = 0;
	int rc;

	if (!size || !range_within(address, size, ADDRESS_MAX))
		return -EINVAL;
	for (unsigned int i = 0; i < s->count; i++)
		if (slot_overlaps(&s->slot[i], address, size))
			return -EEXIST;
	if (s->count == SLOTS_MAX)
		return -ENOSPC;
	rc = file_check(&slot);
	if (rc)
		return rc;
	while (at < s->count && s->slot[at].address < address)
		at++;
	memmove(&s->slot[at + 1], &s->slot[at], (s->count - at) * sizeof(slot));
	s->slot[at] = slot;
	s->count++;
	return 0;
}

int slots_remove(struct slots *s, uint64_t address, uint64_t size)
{
	for (unsigned int i = 0; i < s->count; i++) {
		if (s->slot[i].address != address || s->slot[i].size != size)
			continue;
		fd_close(&s->slot[i].fd);
		s->count--;
		memmove(&s->slot[i], &s->slot[i + 1], (s->count - i) * sizeof(s->slot[0]));
		return 0;
	}
	return -ENOENT;
}

void slots_clear(struct slots *s)
{
	for (unsigned int i = 0; i < s->count; i++)
		fd_close(&s->slot[i].fd);
	s->count = 0;
}

static bool continues(const struct slot *a, const struct slot *b)
{
	return a->address + a->size == b->address && a->offset + a->size == b->offset &&
	       a->dev == b->dev && a->ino == b->ino;
}

int slots_merge(const struct slots *s, struct slot *out, unsigned int room)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < s->count; i++) {
		if (n && continues(&out[n - 1], &s->slot[i])) {
			out[n - 1].size += s->slot[i].size;
			continue;
		}
		if (n == room)
			return -E2BIG;
		out[n++] = s->slot[i];
	}
	return (int)n;
}

bool slot_same(const struct slot *a, const struct slot *b)
{
	return a->address == b->address && a->size == b->size && a->offset == b->offset &&
	       a->dev == b->dev && a->ino == b->ino;
}
