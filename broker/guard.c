/*
 * Loads guard.bpf.c and attaches it to the TAP. Runs in the broker's only thread: opening while it
 * is privileged, the rest without any privilege. Trusts the kernel.
 */
#include "broker/guard.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "broker/guard.skel.h"
#include "broker/guard_page.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/util.h"

/* bpf_attach_type of Linux 6.6, which Debian 12's headers do not name. */
#define ATTACH_TCX_INGRESS 46
/* Ours among the interface's filters, so that a later guard finds and replaces it. */
#define TC_HANDLE   0xa181
#define TC_PRIORITY 1

struct guard {
	int link_fd; /* keeps the program attached; -1: attached for good, switched by the page */
	struct guard_page *page;
};

static const struct {
	const char *name;
	unsigned bit;
} kinds[] = { { "mac", GUARD_MAC }, { "arp", GUARD_ARP } };

int guard_parse(const char *text, unsigned *wanted)
{
	unsigned bits = 0;

	for (;;) {
		size_t len = strcspn(text, ","), i = 0;

		while (i < ARRAY_SIZE(kinds) &&
		       (strlen(kinds[i].name) != len || strncmp(text, kinds[i].name, len)))
			i++;
		if (i == ARRAY_SIZE(kinds))
			return -EINVAL;
		bits |= kinds[i].bit;
		if (!text[len])
			break;
		text += len + 1;
	}
	*wanted = bits;
	return 0;
}

static int page_map(struct guard *g, int map_fd)
{
	void *page = mmap(NULL, sizeof(*g->page), PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);

	if (page == MAP_FAILED)
		return -errno;
	g->page = page;
	return 0;
}

/* Through the interface's queueing discipline, as kernels before 6.6 have it. */
static int attach_tc(int interface, int program)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = interface, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE, .priority = TC_PRIORITY,
		    .prog_fd = program, .flags = BPF_TC_F_REPLACE);
	int error = bpf_tc_hook_create(&hook);

	if (error && error != -EEXIST)
		return error;
	return bpf_tc_attach(&hook, &opts);
}

static int attach(struct guard *g, int interface, int program)
{
	int fd = bpf_link_create(program, interface, ATTACH_TCX_INGRESS, NULL);

	if (fd < 0)
		return attach_tc(interface, program);
	g->link_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	close(fd);
	return g->link_fd < 0 ? -errno : 0;
}

static int load(struct guard *g, unsigned wanted, int interface, const uint8_t mac[6])
{
	libbpf_print_fn_t loud = libbpf_set_print(NULL);
	struct guard_bpf *skel = guard_bpf__open();
	int error = skel ? 0 : -errno;

	if (error)
		goto quiet;
	for (int i = 0; i < 6; i++)
		skel->rodata->own[i] = mac[i];
	skel->rodata->check_mac = wanted & GUARD_MAC;
	skel->rodata->check_arp = wanted & GUARD_ARP;
	error = guard_bpf__load(skel);
	if (!error)
		error = page_map(g, bpf_map__fd(skel->maps.page));
	if (!error)
		error = attach(g, interface, bpf_program__fd(skel->progs.on_frame));
	guard_bpf__destroy(skel);
quiet:
	libbpf_set_print(loud);
	malloc_trim(0); /* the kernel's type information took some MB */
	return error;
}

int guard_open(unsigned wanted, int interface, const uint8_t mac[6], struct guard **out)
{
	struct guard *g;
	int error;

	*out = NULL;
	if (!wanted)
		return 0;
	if (!interface) {
		err("--guard: the TAP is in another network namespace; start the broker there");
		return -EINVAL;
	}
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	g->link_fd = -1;
	error = load(g, wanted, interface, mac);
	if (error) {
		err("--guard: cannot be enforced on this host: %s", strerror(-error));
		guard_close(g);
		return error == -EINVAL ? -EOPNOTSUPP : error;
	}
	*out = g;
	return 0;
}

const struct guard_page *guard_counts(const struct guard *g)
{
	return g ? g->page : NULL;
}

void guard_close(struct guard *g)
{
	if (!g)
		return;
	if (g->page) {
		__atomic_store_n(&g->page->off, 1, __ATOMIC_RELAXED);
		munmap(g->page, sizeof(*g->page));
	}
	fd_close(&g->link_fd);
	free(g);
}
