/*
 * Snapshots of guest memory. Made by the control thread, read by every worker; trusts neither the
 * front-end's numbers nor its files: ranges are checked for wrap and overlap, files for kind,
 * length and (on demand) seals, and a file that shrinks later is caught by the guard at the end of
 * this page.
 */
#include "device/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "device/dirty.h"
#include "lib/util.h"

#define PAGE 4096ul

/* Three: the one in use, the one that replaces it, and none is ever waited for. */
static struct memory pool[3];

/* One mapping serves a region of every snapshot that has it. */
static struct mapping {
	unsigned int refs;
	void *base;
	size_t len;
	uint64_t device, inode, offset; /* the file, and where in it */
} mappings[2 * MEMORY_SLOTS];

_Thread_local struct memory_guard *memory_guard;

static struct memory *snapshot_take(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(pool); i++) {
		if (pool[i].used)
			continue;
		pool[i].used = true;
		pool[i].count = 0;
		pool[i].bytes = 0;
		return &pool[i];
	}
	return NULL;
}

static void mapping_put(struct mapping *m)
{
	if (--m->refs)
		return;
	munmap(m->base, m->len);
}

void memory_free(struct memory *mem)
{
	if (!mem)
		return;
	mem->used = false;
	for (unsigned int i = 0; i < mem->count; i++)
		mapping_put(mem->regions[i].mapping);
}

/* Only memory of a regular file (memfd, hugetlbfs and shm included) that is long enough: a pipe,
 * directory or device could block, lie about its size, or be something else altogether. */
static int source_check(struct memory_source *s, bool require_sealed)
{
	const struct vu_mem_region *r = &s->region;
	struct stat st;
	int seals;

	/* A range may end at 2^64 but not wrap; ours must also fit the address space. */
	if (!r->size || r->size > (uint64_t)INT64_MAX || r->guest_addr > UINT64_MAX - r->size ||
	    r->user_addr > UINT64_MAX - r->size)
		return -EINVAL;
	/* The raw call: glibc's fstat() is newfstatat(), which takes paths and is not allowed. */
	if (syscall(SYS_fstat, s->fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADF;
	if (!range_within(r->mmap_offset, r->size, (uint64_t)st.st_size))
		return -EBADF;
	s->device = st.st_dev;
	s->inode = st.st_ino;
	s->page = is_power_of_two((uint64_t)st.st_blksize) ? max_of((uint64_t)st.st_blksize, PAGE)
							   : PAGE;
	if (!require_sealed)
		return 0;
	seals = fcntl(s->fd, F_GET_SEALS);
	return seals >= 0 && (seals & F_SEAL_SHRINK) ? 0 : -EPERM;
}

static bool overlaps(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a < b ? b - a < a_len : a - b < b_len;
}

static bool collides(const struct memory *mem, const struct vu_mem_region *r)
{
	for (unsigned int i = 0; i < mem->count; i++) {
		const struct memory_region *have = &mem->regions[i];

		if (overlaps(r->guest_addr, r->size, have->gpa, have->size) ||
		    overlaps(r->user_addr, r->size, have->uva, have->size))
			return true;
	}
	return false;
}

static struct memory_region *region_same(struct memory *mem, const struct memory_source *s)
{
	const struct vu_mem_region *r = &s->region;

	for (unsigned int i = 0; i < mem->count; i++) {
		struct memory_region *have = &mem->regions[i];
		const struct mapping *m = have->mapping;

		if (have->gpa == r->guest_addr && have->uva == r->user_addr &&
		    have->size == r->size && m->offset == r->mmap_offset &&
		    m->device == s->device && m->inode == s->inode)
			return have;
	}
	return NULL;
}

static struct mapping *mapping_new(const struct memory_source *s)
{
	/* hugetlbfs wants offset and length in its own pages, also of munmap. */
	uint64_t head = s->region.mmap_offset & (s->page - 1);
	struct mapping *m = mappings;

	while (m->refs)
		if (++m == mappings + ARRAY_SIZE(mappings))
			return NULL;
	m->len = (s->region.size + head + s->page - 1) & ~(s->page - 1);
	m->base = mmap(NULL, m->len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, s->fd,
		       (off_t)(s->region.mmap_offset - head));
	if (m->base == MAP_FAILED)
		return NULL;
	m->refs = 1;
	m->device = s->device;
	m->inode = s->inode;
	m->offset = s->region.mmap_offset;
	return m;
}

static void region_insert(struct memory *mem, const struct memory_region *region)
{
	unsigned int at = mem->count++;

	for (; at && mem->regions[at - 1].gpa > region->gpa; at--)
		mem->regions[at] = mem->regions[at - 1];
	mem->regions[at] = *region;
	mem->bytes += region->size;
}

static int source_insert(struct memory *mem, const struct memory_source *s)
{
	const struct vu_mem_region *r = &s->region;
	struct mapping *m;

	if (mem->count == MEMORY_SLOTS)
		return -ENOSPC;
	if (collides(mem, r))
		return -EINVAL;
	m = mapping_new(s);
	if (!m)
		return -ENOMEM;
	region_insert(mem, &(struct memory_region){ .gpa = r->guest_addr,
						    .uva = r->user_addr,
						    .size = r->size,
						    .host = (char *)m->base +
							    (r->mmap_offset & (s->page - 1)),
						    .mapping = m,
						    .times = 1 });
	return 0;
}

static struct memory *snapshot_copy(const struct memory *old)
{
	struct memory *mem = snapshot_take();

	if (!mem || !old)
		return mem;
	for (unsigned int i = 0; i < old->count; i++) {
		mem->regions[i] = old->regions[i];
		mem->regions[i].mapping->refs++;
	}
	mem->count = old->count;
	mem->bytes = old->bytes;
	return mem;
}

int memory_new(struct memory_source *sources, size_t n, bool require_sealed, struct memory **out)
{
	struct memory *mem;
	int rc = 0;

	for (size_t i = 0; i < n && !rc; i++)
		rc = source_check(&sources[i], require_sealed);
	if (rc)
		return rc;
	mem = snapshot_take();
	if (!mem)
		return -EBUSY;
	for (size_t i = 0; i < n && !rc; i++)
		rc = source_insert(mem, &sources[i]);
	if (rc) {
		memory_free(mem);
		return rc;
	}
	*out = mem;
	return 0;
}

int memory_add(const struct memory *old, struct memory_source *source, bool require_sealed,
	       unsigned int times, struct memory **out)
{
	struct memory_region *same;
	struct memory *mem;
	int rc = source_check(source, require_sealed);

	if (rc)
		return rc;
	mem = snapshot_copy(old);
	if (!mem)
		return -EBUSY;
	same = region_same(mem, source);
	if (same && same->times < times)
		same->times++;
	else
		rc = source_insert(mem, source);
	if (rc) {
		memory_free(mem);
		return rc;
	}
	*out = mem;
	return 0;
}

int memory_remove(const struct memory *old, const struct vu_mem_region *region, struct memory **out)
{
	struct memory *mem;
	unsigned int i = 0;

	for (; old && i < old->count; i++)
		if (old->regions[i].gpa == region->guest_addr &&
		    old->regions[i].uva == region->user_addr &&
		    old->regions[i].size == region->size)
			break;
	if (!old || i == old->count)
		return -EINVAL;
	mem = snapshot_copy(old);
	if (!mem)
		return -EBUSY;
	*out = mem;
	if (--mem->regions[i].times)
		return 0;
	mapping_put(mem->regions[i].mapping);
	mem->bytes -= mem->regions[i].size;
	for (mem->count--; i < mem->count; i++)
		mem->regions[i] = mem->regions[i + 1];
	return 0;
}

void *memory_uva(const struct memory *mem, uint64_t uva, uint64_t len)
{
	for (unsigned int i = 0; mem && i < mem->count; i++) {
		const struct memory_region *r = &mem->regions[i];

		if (uva >= r->uva && range_within(uva - r->uva, len, r->size))
			return r->host + (uva - r->uva);
	}
	return NULL;
}

uint64_t memory_reverse(const struct memory *mem, const void *host)
{
	for (unsigned int i = 0; mem && i < mem->count; i++) {
		const struct memory_region *r = &mem->regions[i];
		uintptr_t off = (uintptr_t)host - (uintptr_t)r->host;

		if (off < r->size)
			return r->gpa + off;
	}
	return UINT64_MAX;
}

static const struct memory_region *region_of(const struct memory *mem, uint64_t gpa,
					     unsigned int *hint)
{
	unsigned int low = 0, high = mem->count;

	if (*hint < mem->count && gpa - mem->regions[*hint].gpa < mem->regions[*hint].size)
		return &mem->regions[*hint];
	while (low < high) {
		unsigned int mid = (low + high) / 2;
		const struct memory_region *r = &mem->regions[mid];

		if (gpa < r->gpa) {
			high = mid;
		} else if (gpa - r->gpa >= r->size) {
			low = mid + 1;
		} else {
			*hint = mid;
			return r;
		}
	}
	return NULL;
}

void *memory_gpa(const struct memory *mem, uint64_t gpa, uint64_t *len, unsigned int *hint)
{
	const struct memory_region *r = region_of(mem, gpa, hint);
	uint64_t off;

	if (!r)
		return NULL;
	off = gpa - r->gpa;
	*len = min_of(*len, r->size - off);
	return r->host + off;
}

void *memory_area(const struct memory *mem, bool by_gpa, uint64_t addr, uint64_t len)
{
	unsigned int hint = 0;
	uint64_t have = len;
	void *host;

	if (!mem || !by_gpa)
		return memory_uva(mem, addr, len);
	host = memory_gpa(mem, addr, &have, &hint);
	return have == len ? host : NULL;
}

static bool guard_covers(const struct memory_guard *guard, uintptr_t addr)
{
	for (unsigned int i = 0; guard && guard->mem && i < guard->mem->count; i++) {
		const struct memory_region *r = &guard->mem->regions[i];

		if (addr >= (uintptr_t)r->host && addr - (uintptr_t)r->host < r->size)
			return true;
	}
	return false;
}

/* Leaves by siglongjmp and never returns, so that no filter needs rt_sigreturn; the signal is not
 * blocked meanwhile (SA_NODEFER), so that none needs rt_sigprocmask either. A SIGBUS from anywhere
 * else is a bug: the process ends. */
static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (guard_covers(memory_guard, (uintptr_t)info->si_addr) ||
	    (memory_guard && dirty_covers(memory_guard->dirty, (uintptr_t)info->si_addr)))
		siglongjmp(memory_guard->env, 1);
	_exit(128 + sig);
}

int memory_guard_init(void)
{
	struct sigaction act = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_NODEFER };

	return sigaction(SIGBUS, &act, NULL) ? -errno : 0;
}
