/*
 * The dirty log. Mapped by the control thread, marked by workers; trusts neither its announced size
 * nor its file.
 */
#include "device/dirty.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/util.h"

#define PAGE_SHIFT 12
#define LOG_MAX	   (1ULL << 34) /* bytes: of a guest of 512 TiB */

/* One in use, and one that replaces it. */
static struct dirty pool[2];

int dirty_new(const struct vu_log *log, int fd, struct dirty **out)
{
	uint64_t head = log->offset & ((1u << PAGE_SHIFT) - 1);
	struct dirty *d = pool[0].base ? &pool[1] : &pool[0];
	struct stat st;
	void *base;

	if (!log->size || log->size > LOG_MAX)
		return -EINVAL;
	if (syscall(SYS_fstat, fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || !range_within(log->offset, log->size, (uint64_t)st.st_size))
		return -EBADF;
	if (d->base)
		return -EBUSY;
	base = mmap(NULL, log->size + head, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
		    (off_t)(log->offset - head));
	if (base == MAP_FAILED)
		return -ENOMEM;
	*d = (struct dirty){ ptr_add(base, head), log->size, base };
	*out = d;
	return 0;
}

void dirty_free(struct dirty *d)
{
	if (!d)
		return;
	munmap(d->base, (size_t)(d->bits - (uint8_t *)d->base) + d->len);
	d->base = NULL;
}

void dirty_mark(const struct dirty *d, uint64_t gpa, uint64_t len)
{
	uint64_t page = gpa >> PAGE_SHIFT, last = (gpa + len - 1) >> PAGE_SHIFT;

	/* Relaxed: the front-end reads the log after it has stopped the rings, or looks again. */
	for (; len && page <= last && page / 8 < d->len; page++)
		__atomic_fetch_or(&d->bits[page / 8], 1 << page % 8, __ATOMIC_RELAXED);
}

bool dirty_covers(const struct dirty *d, uintptr_t addr)
{
	return d && addr >= (uintptr_t)d->bits && addr - (uintptr_t)d->bits < d->len;
}
