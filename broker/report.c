/*
 * The sandbox report as JSON (jansson). Runs in the broker; its input is a witness's account of the
 * kernel and what the broker itself decided. Thread names come from a device that may not be ours
 * any more: they choose between two words and are never printed.
 */
#include "broker/report.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/jail.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/util.h"

#define FILTERS_OF_A_THREAD 2 /* the spawner's, and its own */

/* jansson hands NULL through every *_new() call, so that one check at the end sees it all. What the
 * witness could not read is null, and "incomplete" says why. */

static json_t *capability_set(uint64_t mask)
{
	json_t *set = json_array();

	for (int cap = 0; cap < 64; cap++) {
		char *name;

		if (!(mask & 1ull << cap))
			continue;
		name = cap_to_name(cap);
		json_array_append_new(set, json_string(name ? name : "?"));
		cap_free(name);
	}
	return set;
}

static json_t *capabilities(const struct witness_credentials *c)
{
	if (!c->known)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "effective", capability_set(c->effective),
			 "permitted", capability_set(c->permitted), "inheritable",
			 capability_set(c->inheritable), "bounding", capability_set(c->bounding),
			 "ambient", capability_set(c->ambient));
}

static json_t *namespaces(const struct report_facts *facts)
{
	json_t *object = json_object();

	for (size_t i = 0; i < LAYER_NAMESPACES; i++) {
		uint64_t theirs = facts->witness->namespaces[i];

		json_object_set_new(object, layer_name((enum layer)i),
				    json_boolean(theirs && theirs != facts->namespaces[i]));
	}
	return object;
}

static const char *root(const struct witness *w)
{
	if (w->mounts != 1)
		return "shared";
	if (!w->root_empty)
		return "not empty";
	return w->root_read_only && w->root_tmpfs ? "empty" : "writable";
}

static json_t *limit(uint64_t value)
{
	return value == (uint64_t)RLIM_INFINITY ? json_string("unlimited")
						: json_integer((json_int_t)value);
}

static json_t *rlimits(const struct witness *w)
{
	static const char *const names[WITNESS_LIMITS] = {
		[RLIMIT_AS] = "as",	      [RLIMIT_CORE] = "core",
		[RLIMIT_DATA] = "data",	      [RLIMIT_FSIZE] = "fsize",
		[RLIMIT_MEMLOCK] = "memlock", [RLIMIT_MSGQUEUE] = "msgqueue",
		[RLIMIT_NOFILE] = "nofile",   [RLIMIT_NPROC] = "nproc",
		[RLIMIT_RTPRIO] = "rtprio",   [RLIMIT_SIGPENDING] = "sigpending",
	};
	json_t *object = w->limits_known ? json_object() : json_null();

	for (size_t i = 0; i < WITNESS_LIMITS; i++)
		if (names[i]) /* the hard limit: the soft one may be raised to it */
			json_object_set_new(object, names[i], limit(w->limits[i][1]));
	return object;
}

static const char *fd_kind(const struct report_facts *facts, const struct witness_fd *fd)
{
	switch ((enum witness_kind)fd->kind) {
	case WITNESS_SOCKET:
		if (fd->inode && fd->inode == facts->channel_inode)
			return "channel";
		if (fd->inode && fd->inode == facts->connection_inode)
			return facts->backend_inode ? "vfio-user" : "vhost-user";
		if (fd->inode && fd->inode == facts->backend_inode)
			return "vhost-user";
		return "socket";
	case WITNESS_TAP:
		return "tap";
	case WITNESS_EVENTFD:
		return "eventfd";
	case WITNESS_ANON:
		return "anonymous";
	case WITNESS_MEMORY:
		return fd->fd == JAIL_CONTROL || fd->fd == JAIL_WORKER ? "filter" : "memory";
	case WITNESS_FILE:
		return "file";
	case WITNESS_OTHER:
		break;
	}
	return "other";
}

static json_t *fds(const struct report_facts *facts)
{
	const struct witness *w = facts->witness;
	json_t *array = json_array();

	for (size_t i = 0; i < min_of(w->nfds, (uint32_t)WITNESS_FDS_MAX); i++)
		json_array_append_new(array, json_pack("{s:i, s:s}", "fd", (int)w->fds[i].fd,
						       "kind", fd_kind(facts, &w->fds[i])));
	return array;
}

static json_t *calls(const struct policies_role *role)
{
	json_t *array = json_array();

	for (size_t i = 0; i < role->ncalls; i++)
		json_array_append_new(array, json_string(role->calls[i]));
	return array;
}

static enum role thread_role(const struct report_facts *facts, const struct witness_thread *t)
{
	if (facts->backend_inode)
		return ROLE_TRANSPORT;
	return strncmp(t->comm, "airlock-worker", strlen("airlock-worker")) ? ROLE_CONTROL
									    : ROLE_WORKER;
}

/* A thread's policy is named only where the kernel counts the filter that was meant for it. */
static json_t *thread(const struct report_facts *facts, const struct witness_thread *t)
{
	const enum role which = thread_role(facts, t);
	const struct policies_role *role = &facts->policies->roles[which];
	json_t *object =
		json_pack("{s:i, s:s, s:b, s:i}", "tid", t->tid, "role", role_name(which),
			  "no_new_privs", (int)t->no_new_privs, "filters", (int)t->filters);

	if (t->seccomp != 2 || t->filters < FILTERS_OF_A_THREAD) {
		json_object_set_new(object, "policy", json_null());
		return object;
	}
	json_object_set_new(object, "policy", json_string(role->file));
	json_object_set_new(object, "syscalls", calls(role));
	json_object_set_new(object, "filter_sha256", json_string(role->sha256));
	return object;
}

static json_t *threads(const struct report_facts *facts)
{
	const struct witness *w = facts->witness;
	json_t *array = json_array();

	for (size_t i = 0; i < min_of(w->nthreads, (uint32_t)WITNESS_THREADS_MAX); i++)
		json_array_append_new(array, thread(facts, &w->threads[i]));
	return array;
}

static json_t *broker(const struct report_facts *facts)
{
	const struct witness_credentials *c = &facts->witness->broker;

	return json_pack("{s:i, s:o, s:b, s:i, s:i, s:o}", "pid", (int)getpid(), "capabilities",
			 capabilities(c), "no_new_privs", (int)c->no_new_privs, "filters",
			 (int)c->filters, "landlock_abi", (int)facts->privilege->landlock_abi,
			 "syscalls", calls(&facts->policies->roles[ROLE_BROKER]));
}

static json_t *degraded(unsigned mask)
{
	json_t *array = json_array();

	for (size_t i = 0; i < LAYERS; i++)
		if (mask & LAYER_BIT(i))
			json_array_append_new(array, json_string(layer_name((enum layer)i)));
	return array;
}

/* One process. */
static json_t *process(const struct report_facts *facts)
{
	const struct witness *w = facts->witness;
	json_t *json = json_pack("{s:i, s:i, s:i, s:i, s:b, s:o, s:o, s:s, s:i, s:o, s:o, s:o}",
				 "pid", (int)w->pid, "uid", (int)w->process.uid[1], "gid",
				 (int)w->process.gid[1], "groups", (int)w->process.groups,
				 "no_new_privs", (int)w->process.no_new_privs, "capabilities",
				 capabilities(&w->process), "namespaces", namespaces(facts), "root",
				 root(w), "landlock_abi", (int)facts->landlock_abi, "rlimits",
				 rlimits(w), "fds", fds(facts), "threads", threads(facts));

	if (w->error) {
		json_object_set_new(json, "incomplete", json_string(strerror(-w->error)));
		warn("sandbox report: not all of /proc/%d could be read: %s", w->pid,
		     strerror(-w->error));
	}
	return json;
}

static json_t *report(const struct report_facts *facts)
{
	json_t *json = process(facts);
	unsigned missing = facts->degraded;

	if (facts->transport) {
		json_object_set_new(json, "transport", process(facts->transport));
		missing |= facts->transport->degraded;
	}
	json_object_set_new(json, "broker", broker(facts));
	json_object_set_new(json, "degraded", degraded(missing));
	return json;
}

char *report_text(const struct report_facts *facts)
{
	json_t *json = report(facts);
	char *text = json ? json_dumps(json, JSON_INDENT(1)) : NULL;
	char *whole = text ? realloc(text, strlen(text) + 2) : NULL;

	json_decref(json);
	if (!whole) {
		free(text);
		return NULL;
	}
	return strcat(whole, "\n");
}

int report_open(const char *path)
{
	int fd;

	json_object_seed(0); /* out of /dev/urandom, which later no one here can open */
	if (!strcmp(path, "-"))
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	else
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOCTTY | O_CLOEXEC, 0644);
	if (fd < 0) {
		int error = errno;

		err("--sandbox-report=%s: %s", path, strerror(error));
		return -error;
	}
	return fd;
}

static int write_all(int fd, const char *text)
{
	size_t left = strlen(text);

	while (left) {
		ssize_t n = write(fd, text, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		left -= (size_t)n;
	}
	return 0;
}

static bool is_stdout(int fd)
{
	struct stat a, b;

	return !fstat(fd, &a) && !fstat(STDOUT_FILENO, &b) && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

int report_write(int fd, const char *text)
{
	int ret = 0;

	/* What cannot go back to its start (a pipe, a terminal) is continued. */
	if (!is_stdout(fd) && lseek(fd, 0, SEEK_SET) == 0 && ftruncate(fd, 0) < 0)
		ret = -errno;
	if (!ret)
		ret = write_all(fd, text);
	if (ret)
		err("cannot write the sandbox report: %s", strerror(-ret));
	return ret;
}
