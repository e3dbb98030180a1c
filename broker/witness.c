/*
 * The witness: one look at a device through the host's /proc. Runs in a short-lived child of the
 * spawner, whose capabilities in the user namespace let it look at a device that is not dumpable;
 * the device cannot reach it, and what it reads is the kernel's own writing. A name that the device
 * chose for a thread is carried, never trusted.
 *
 * /proc/PID/fd belongs to the host's root once a device is not dumpable and is closed to us;
 * fdinfo is open to whoever may trace, and says enough: the inode, the mount it lives on, and for
 * some kinds a line of their own.
 */
#include "broker/witness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/util.h"

#define TEXT_MAX 16384 /* more than any of these files has */

/* Mounts that no one can see: where sockets, eventfds and memory files live. */
struct mounts {
	uint64_t sockets, anon, memory;
};

struct look {
	int proc;
	pid_t pid;
	struct witness *w;
	struct mounts mounts;
	char text[TEXT_MAX];
};

static void note(struct look *look, int error)
{
	if (!look->w->error)
		look->w->error = error;
}

/* Reads /proc/PATH into look->text, always terminated. Bytes or -errno. */
static int read_text(struct look *look, const char *path)
{
	_cleanup_fd int fd = openat(look->proc, path, O_RDONLY | O_CLOEXEC);
	size_t have = 0;
	ssize_t n = 0;

	look->text[0] = '\0';
	if (fd < 0)
		return -errno;
	while (have < TEXT_MAX - 1 && (n = read(fd, look->text + have, TEXT_MAX - 1 - have)) > 0)
		have += (size_t)n;
	look->text[have] = '\0';
	return n < 0 ? -errno : (int)have;
}

/* What follows "NAME:" and blanks at the start of a line, or NULL. */
static const char *value(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, name, len) && line[len] == ':')
			return line + len + 1 + strspn(line + len + 1, " \t");
	}
	return NULL;
}

static uint64_t number(const char *text, const char *name, int base)
{
	const char *at = value(text, name);

	return at ? strtoull(at, NULL, base) : 0;
}

static void four_ids(const char *text, const char *name, uint32_t out[4])
{
	char *at = (char *)value(text, name);

	for (size_t i = 0; at && i < 4; i++)
		out[i] = (uint32_t)strtoul(at, &at, 10);
}

static uint32_t count_words(const char *text, const char *name)
{
	const char *at = value(text, name);
	uint32_t n = 0;

	while (at && *at && *at != '\n') {
		n++;
		at += strcspn(at, " \n");
		at += strspn(at, " ");
	}
	return n;
}

static void read_credentials(struct look *look, pid_t pid, struct witness_credentials *c)
{
	char path[64];
	int ret;

	snprintf(path, sizeof(path), "%d/status", pid);
	ret = read_text(look, path);
	if (ret < 0) {
		note(look, ret);
		return;
	}
	c->known = 1;
	four_ids(look->text, "Uid", c->uid);
	four_ids(look->text, "Gid", c->gid);
	c->groups = count_words(look->text, "Groups");
	c->no_new_privs = (uint32_t)number(look->text, "NoNewPrivs", 10);
	c->inheritable = number(look->text, "CapInh", 16);
	c->permitted = number(look->text, "CapPrm", 16);
	c->effective = number(look->text, "CapEff", 16);
	c->bounding = number(look->text, "CapBnd", 16);
	c->ambient = number(look->text, "CapAmb", 16);
	c->seccomp = (uint32_t)number(look->text, "Seccomp", 10);
	c->filters = (uint32_t)number(look->text, "Seccomp_filters", 10);
}

static void read_namespaces(struct look *look)
{
	static const char *const files[LAYER_NAMESPACES] = {
		[LAYER_USER] = "user",	   [LAYER_MOUNT] = "mnt", [LAYER_PID] = "pid",
		[LAYER_NET] = "net",	   [LAYER_IPC] = "ipc",	  [LAYER_UTS] = "uts",
		[LAYER_CGROUP] = "cgroup",
	};

	for (size_t i = 0; i < LAYER_NAMESPACES; i++) {
		char path[64], link[64] = "";
		const char *at;

		snprintf(path, sizeof(path), "%d/ns/%s", look->pid, files[i]);
		if (readlinkat(look->proc, path, link, sizeof(link) - 1) < 0)
			note(look, -errno);
		at = strchr(link, '[');
		look->w->namespaces[i] = at ? strtoull(at + 1, NULL, 10) : 0;
	}
}

/* Calls `each` with every name of a directory but "." and "..". How many, or -errno. */
static int each_name(struct look *look, const char *path, void (*each)(struct look *, const char *))
{
	_cleanup_fd int fd = openat(look->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct entry {
		uint64_t inode, offset;
		uint16_t size;
		uint8_t type;
		char name[];
	} * e;
	_Alignas(struct entry) char names[4096];
	int count = 0;
	long n;

	if (fd < 0)
		return -errno;
	while ((n = syscall(SYS_getdents64, fd, names, sizeof(names))) > 0) {
		for (long at = 0; at < n; at += e->size) {
			e = (struct entry *)(void *)(names + at);
			if (!strcmp(e->name, ".") || !strcmp(e->name, ".."))
				continue;
			if (each)
				each(look, e->name);
			count++;
		}
	}
	return n < 0 ? -errno : count;
}

static void read_root(struct look *look)
{
	char path[64];
	int ret;

	snprintf(path, sizeof(path), "%d/mountinfo", look->pid);
	ret = read_text(look, path);
	if (ret < 0)
		note(look, ret);
	for (const char *c = look->text; *c; c++)
		look->w->mounts += *c == '\n';
	/* "36 35 0:60 / / ro,nosuid - tmpfs airlock ro": with one mount, its line is the file. */
	if (look->w->mounts == 1) {
		look->w->root_read_only = strstr(look->text, " / / ro,") != NULL;
		look->w->root_tmpfs = strstr(look->text, " - tmpfs ") != NULL;
	}
	snprintf(path, sizeof(path), "%d/root", look->pid);
	ret = each_name(look, path, NULL);
	if (ret < 0)
		note(look, ret);
	look->w->root_empty = ret == 0;
}

static void read_limits(struct look *look)
{
	/* As /proc/PID/limits calls them, by RLIMIT_ number. */
	static const char *const names[WITNESS_LIMITS] = {
		[RLIMIT_CPU] = "Max cpu time",
		[RLIMIT_FSIZE] = "Max file size",
		[RLIMIT_DATA] = "Max data size",
		[RLIMIT_STACK] = "Max stack size",
		[RLIMIT_CORE] = "Max core file size",
		[RLIMIT_RSS] = "Max resident set",
		[RLIMIT_NPROC] = "Max processes",
		[RLIMIT_NOFILE] = "Max open files",
		[RLIMIT_MEMLOCK] = "Max locked memory",
		[RLIMIT_AS] = "Max address space",
		[RLIMIT_LOCKS] = "Max file locks",
		[RLIMIT_SIGPENDING] = "Max pending signals",
		[RLIMIT_MSGQUEUE] = "Max msgqueue size",
		[RLIMIT_NICE] = "Max nice priority",
		[RLIMIT_RTPRIO] = "Max realtime priority",
		[RLIMIT_RTTIME] = "Max realtime timeout",
	};
	char path[64];
	int ret;

	snprintf(path, sizeof(path), "%d/limits", look->pid);
	ret = read_text(look, path);
	if (ret < 0)
		note(look, ret);
	look->w->limits_known = ret > 0;
	for (size_t i = 0; i < WITNESS_LIMITS; i++) {
		const char *at = strstr(look->text, names[i]);

		for (size_t j = 0; at && j < 2; j++) {
			char *end;

			at += j ? 0 : strlen(names[i]);
			at += strspn(at, " ");
			look->w->limits[i][j] = strtoull(at, &end, 10);
			if (end == at) /* "unlimited" */
				look->w->limits[i][j] = (uint64_t)RLIM_INFINITY;
			at = end == at ? at + strcspn(at, " ") : end;
		}
	}
}

static void read_thread(struct look *look, const char *name)
{
	struct witness_thread *t = &look->w->threads[look->w->nthreads];
	const char *comm;
	char path[64];

	if (look->w->nthreads++ >= WITNESS_THREADS_MAX)
		return;
	t->tid = atoi(name);
	snprintf(path, sizeof(path), "%d/task/%d/status", look->pid, t->tid);
	if (read_text(look, path) < 0)
		return; /* it has ended */
	t->seccomp = (uint32_t)number(look->text, "Seccomp", 10);
	t->filters = (uint32_t)number(look->text, "Seccomp_filters", 10);
	t->no_new_privs = (uint32_t)number(look->text, "NoNewPrivs", 10);
	comm = value(look->text, "Name");
	if (comm)
		snprintf(t->comm, sizeof(t->comm), "%.*s", (int)strcspn(comm, "\n"), comm);
}

static enum witness_kind kind(const struct look *look)
{
	uint64_t mount = number(look->text, "mnt_id", 10);

	if (value(look->text, "iff"))
		return WITNESS_TAP;
	if (value(look->text, "eventfd-count"))
		return WITNESS_EVENTFD;
	if (mount == look->mounts.sockets)
		return WITNESS_SOCKET;
	if (mount == look->mounts.anon)
		return WITNESS_ANON;
	return mount == look->mounts.memory ? WITNESS_MEMORY : WITNESS_FILE;
}

static void read_fd(struct look *look, const char *name)
{
	struct witness_fd *f = &look->w->fds[look->w->nfds];
	char path[64];

	if (look->w->nfds++ >= WITNESS_FDS_MAX)
		return;
	f->fd = (uint32_t)strtoul(name, NULL, 10);
	snprintf(path, sizeof(path), "%d/fdinfo/%u", look->pid, f->fd);
	if (read_text(look, path) < 0)
		return; /* closed meanwhile */
	f->inode = number(look->text, "ino", 10);
	f->kind = kind(look);
}

/* The mount that a descriptor of our own lives on. */
static uint64_t mount_of(struct look *look, int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "self/fdinfo/%d", fd);
	return read_text(look, path) < 0 ? 0 : number(look->text, "mnt_id", 10);
}

void witness_read(const struct witness_view *view, pid_t pid, pid_t broker, struct witness *w)
{
	struct look look = { .proc = view->proc, .pid = pid, .w = w };
	_cleanup_fd int anon = eventfd(0, EFD_CLOEXEC);
	char path[64];
	int ret;

	*w = (struct witness){ .pid = pid };
	look.mounts = (struct mounts){
		.sockets = mount_of(&look, view->socket),
		.anon = mount_of(&look, anon),
		.memory = mount_of(&look, view->memory),
	};
	read_credentials(&look, pid, &w->process);
	read_credentials(&look, broker, &w->broker);
	read_namespaces(&look);
	read_root(&look);
	read_limits(&look);
	snprintf(path, sizeof(path), "%d/task", pid);
	ret = each_name(&look, path, read_thread);
	if (ret < 0)
		note(&look, ret);
	snprintf(path, sizeof(path), "%d/fdinfo", pid);
	ret = each_name(&look, path, read_fd);
	if (ret < 0)
		note(&look, ret);
}
