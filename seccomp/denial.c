/*
 * Loads denial.bpf.c and reads the page it writes. Opened and read in the broker's only thread: the
 * first with privilege, the second without any. Trusts the kernel; what is in the page comes from a
 * device that broke its policy and is only ever printed.
 */
#include "seccomp/denial.h"
#include "seccomp/denial_ring.h"
#include "seccomp/denial.skel.h"
#include "lib/fd.h"
#include "policy/names.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

struct denial {
	int link_fd; /* keeps the program attached, and the program its map */
	int map_fd;  /* until the home is known */
	const struct denial_ring *ring;
};

/* What libbpf and the kernel say, in the words of the header. */
static int denial_error(int err)
{
	switch (-err) {
	case EPERM:
	case EACCES:
		return -EPERM;
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		return err;
	default:
		return -EOPNOTSUPP;
	}
}

static int denial_map(struct denial *d, int map_fd)
{
	void *page = mmap(NULL, sizeof(struct denial_ring), PROT_READ, MAP_SHARED, map_fd, 0);

	if (page == MAP_FAILED)
		return -errno;
	d->ring = page;
	d->map_fd = fcntl(map_fd, F_DUPFD_CLOEXEC, 3);
	return d->map_fd < 0 ? -errno : 0;
}

static int denial_attach(struct denial *d, struct denial_bpf *skel)
{
	struct bpf_link *link = bpf_program__attach(skel->progs.on_signal);
	int ret;

	if (!link)
		return -errno;
	d->link_fd = fcntl(bpf_link__fd(link), F_DUPFD_CLOEXEC, 3);
	ret = d->link_fd < 0 ? -errno : 0;
	bpf_link__destroy(link); /* detaches only with the last descriptor */
	return ret;
}

/* Loads, attaches and keeps only what reading needs; libbpf's own objects are freed either way. */
static int denial_load(struct denial *d, uid_t uid)
{
	libbpf_print_fn_t loud = libbpf_set_print(NULL); /* the caller says what an error means */
	struct denial_bpf *skel = denial_bpf__open();
	int ret = skel ? 0 : -errno;

	if (ret)
		goto quiet;
	skel->rodata->watched_uid = uid;
	ret = denial_bpf__load(skel);
	if (!ret)
		ret = denial_map(d, bpf_map__fd(skel->maps.ring));
	if (!ret)
		ret = denial_attach(d, skel);
	denial_bpf__destroy(skel);
quiet:
	libbpf_set_print(loud);
	malloc_trim(0); /* or the spawner gets copies of what this took, 20 KiB */
	return ret;
}

const char *denial_syscall_name(int nr)
{
	const char *name = nr < 0 ? NULL : policy_syscall_name(policy_arch_native(), (uint32_t)nr);

	return name ? name : "?";
}

int denial_open(uid_t uid, struct denial **out)
{
	struct denial *d = calloc(1, sizeof(*d));
	int ret;

	*out = NULL;
	if (!d)
		return -ENOMEM;
	d->link_fd = d->map_fd = -1;
	ret = denial_load(d, uid);
	if (ret) {
		denial_close(d);
		return denial_error(ret);
	}
	*out = d;
	return 0;
}

int denial_home(struct denial *d, const struct stat *pids)
{
	const uint32_t zero = 0;
	const struct denial_ring empty = {
		/* in the kernel's own encoding, which is not that of stat() */
		.home_dev = (uint64_t)major(pids->st_dev) << 20 | minor(pids->st_dev),
		.home_ino = pids->st_ino,
	};
	int ret = pids->st_ino ? bpf_map_update_elem(d->map_fd, &zero, &empty, BPF_ANY) : -ENOENT;

	fd_close(&d->map_fd);
	return ret;
}

static uint64_t turn_load(const struct denial_slot *slot)
{
	return __atomic_load_n(&slot->turn,
			       __ATOMIC_ACQUIRE); /* pairs with the exchanges in denial.bpf.c */
}

/* One whole record, or -EAGAIN when the slot is empty or being written. */
static int slot_copy(const struct denial_slot *slot, struct denial_record *out)
{
	const volatile struct denial_slot *now = slot;
	uint64_t turn = turn_load(slot);

	if (!turn)
		return -EAGAIN;
	*out = (struct denial_record){ .tgid = now->tgid,
				       .tid = now->tid,
				       .nr = now->nr,
				       .arch = now->arch,
				       .time_ns = now->time };
	__atomic_thread_fence(__ATOMIC_ACQUIRE); /* the copy is made before the second look */
	return turn_load(slot) == turn ? 0 : -EAGAIN;
}

int denial_find(const struct denial *d, pid_t tgid, struct denial_record *out)
{
	uint64_t head;

	if (!d)
		return -ENOENT;
	head = __atomic_load_n(&d->ring->head, __ATOMIC_ACQUIRE);
	for (unsigned int back = 1; back <= DENIAL_SLOTS; back++) {
		struct denial_record record;

		if (slot_copy(&d->ring->slots[(head - back) % DENIAL_SLOTS], &record) == 0 &&
		    record.tgid == tgid) {
			*out = record;
			return 0;
		}
	}
	return -ENOENT;
}

void denial_close(struct denial *d)
{
	if (!d)
		return;
	if (d->ring)
		munmap((void *)(uintptr_t)d->ring, sizeof(*d->ring));
	fd_close(&d->map_fd);
	fd_close(&d->link_fd);
	free(d);
}
