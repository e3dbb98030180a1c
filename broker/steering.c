/*
 * Loads steering.bpf.c and keeps its page. Runs in the broker's only thread: opening while it is
 * privileged, the rest without any privilege. Trusts the kernel; what a device writes to the page
 * is for the program alone.
 */
#include "broker/steering.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <malloc.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "broker/steering.skel.h"
#include "lib/fd.h"
#include "lib/steering.h"

static int keep(struct steering *s, const struct steering_bpf *skel)
{
	void *page;

	s->program = fcntl(bpf_program__fd(skel->progs.on_frame), F_DUPFD_CLOEXEC, 3);
	s->map = fcntl(bpf_map__fd(skel->maps.page), F_DUPFD_CLOEXEC, 3);
	if (s->program < 0 || s->map < 0)
		return -errno;
	page = mmap(NULL, sizeof(*s->page), PROT_READ | PROT_WRITE, MAP_SHARED, s->map, 0);
	if (page == MAP_FAILED)
		return -errno;
	s->page = page;
	memset(s->page->slot, 0xff, sizeof(s->page->slot));
	return 0;
}

int steering_open(struct steering *s)
{
	libbpf_print_fn_t loud = libbpf_set_print(NULL);
	struct steering_bpf *skel = steering_bpf__open_and_load();
	int error = skel ? 0 : -errno;

	*s = (struct steering)STEERING_NONE;
	if (!error)
		error = keep(s, skel);
	if (error)
		steering_close(s);
	steering_bpf__destroy(skel);
	libbpf_set_print(loud);
	malloc_trim(0); /* the kernel's type information took some MB */
	return error;
}

int steering_set(const struct steering *s, int queue, bool on)
{
	int program = on ? s->program : -1;

	if (!s->page)
		return on ? -EOPNOTSUPP : 0;
	return ioctl(queue, TUNSETSTEERINGEBPF, &program) < 0 ? -errno : 0;
}

void steering_slot(const struct steering *s, unsigned pair, int index)
{
	if (s->page)
		__atomic_store_n(&s->page->slot[pair],
				 index < 0 ? STEERING_NOWHERE : (uint16_t)index, __ATOMIC_RELAXED);
}

void steering_wipe(const struct steering *s)
{
	if (!s->page)
		return;
	s->page->active = 0;
	memset(s->page->config, 0, sizeof(s->page->config));
}

void steering_close(struct steering *s)
{
	if (s->page)
		munmap(s->page, sizeof(*s->page));
	s->page = NULL;
	fd_close(&s->program);
	fd_close(&s->map);
}
