/*
 * Policies: text found, judged and read here, while the broker is privileged. A text that the
 * program was built with has its filter already; any other is parsed, compiled and proven by a
 * child that has no privilege and nothing but the texts. Kept in memory files that are sealed
 * before anybody uses them. Trusts the owner of the files, who is root or owns this program;
 * of the child only what can be checked: sizes and counts.
 */
#include "broker/policies.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/builtin.h"
#include "broker/caps.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/util.h"

#define TEXT_MAX     65536
#define COMPILE_SECS 20
#define COMPILE_MEM  (1ul << 30)

/* The order in which they are compiled is that in which they are waited for: what a spawner and
 * its children install first, the broker's own last. */
static const enum role turns[ROLES] = { ROLE_SPAWNER, ROLE_CONTROL,   ROLE_WORKER,
					ROLE_LAUNCH,  ROLE_TRANSPORT, ROLE_TRANSPORT_SPAWNER,
					ROLE_BROKER };

struct text {
	char path[PATH_MAX]; /* for messages */
	size_t size;
	char bytes[TEXT_MAX];
};

/* The first role of the set from `i` on, or ROLES. */
static size_t next_role(unsigned roles, size_t i)
{
	while (i < ROLES && !(roles & ROLE_BIT(i)))
		i++;
	return i;
}

/* ---- finding and reading ------------------------------------------------------------------- */

/* -EPERM unless no one but root and the owner of this program can change it; -EINVAL for what is
 * neither file nor directory. */
static int judge(int fd)
{
	struct stat st, self;

	if (fstat(fd, &st) < 0 || stat("/proc/self/exe", &self) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return -EINVAL;
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) || (st.st_uid && st.st_uid != self.st_uid))
		return -EPERM;
	return 0;
}

static int open_trusted(int at, const char *name, int flags, const char *what)
{
	int fd = openat(at, name, flags | O_RDONLY | O_NOCTTY | O_CLOEXEC);
	int ret = fd < 0 ? -errno : judge(fd);

	if (!ret)
		return fd;
	fd_close(&fd);
	if (ret == -EPERM)
		err("--policy-dir: %s: must belong to root or to the owner of this program and be "
		    "writable by no one else (chown, chmod go-w)",
		    what);
	else
		err("--policy-dir: %s: %s", what, ret == -EINVAL ? "is no file" : strerror(-ret));
	return ret;
}

/* ../share/airlock/policy of this program: so for an installed one, and for one just built. */
static int open_default(char path[PATH_MAX])
{
	static const char beneath[] = "/share/airlock/policy";
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - sizeof(beneath));

	path[n < 0 ? 0 : n] = '\0';
	for (int up = 0; up < 2; up++) { /* the program's name, and bin */
		char *slash = strrchr(path, '/');

		if (slash)
			*slash = '\0';
	}
	strcat(path, beneath);
	return open_trusted(AT_FDCWD, path, O_DIRECTORY, path);
}

static int read_text(int dir, const char *dir_path, const char *file, struct text *text)
{
	_cleanup_fd int fd = -1;
	ssize_t n = 1;

	if (snprintf(text->path, sizeof(text->path), "%s/%s", dir_path, file) >= PATH_MAX)
		return -ENAMETOOLONG;
	fd = open_trusted(dir, file, O_NONBLOCK, text->path);
	if (fd < 0)
		return fd;
	while (n > 0 && text->size < sizeof(text->bytes)) {
		n = read(fd, text->bytes + text->size, sizeof(text->bytes) - text->size);
		text->size += n > 0 ? (size_t)n : 0;
	}
	if (!n)
		return 0;
	n = n < 0 ? -errno : -EFBIG;
	err("--policy-dir: %s: %s", text->path, strerror((int)-n));
	return (int)n;
}

static int read_texts(const char *dir, unsigned roles, struct text *texts,
		      struct policies *policies)
{
	char path[PATH_MAX];
	_cleanup_fd int fd =
		dir ? open_trusted(AT_FDCWD, dir, O_DIRECTORY, dir) : open_default(path);
	int ret = fd < 0 ? fd : 0;

	for (size_t i = next_role(roles, 0); !ret && i < ROLES; i = next_role(roles, i + 1)) {
		char *file = policies->roles[i].file;

		snprintf(file, POLICY_FILE_MAX, "%s.policy", role_name(i));
		ret = read_text(fd, dir ? dir : path, file, &texts[i]);
	}
	return ret;
}

/* ---- the compiling child ------------------------------------------------------------------- */

static int give_up_everything(uid_t uid, gid_t gid)
{
	static const struct {
		int resource;
		rlim_t most;
	} limits[] = {
		{ RLIMIT_CPU, COMPILE_SECS },
		{ RLIMIT_CORE, 0 },
		{ RLIMIT_NPROC, 0 },
#ifndef AIRLOCK_SANITIZE
		{ RLIMIT_AS, COMPILE_MEM },
#endif
	};

	alarm(COMPILE_SECS);
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		struct rlimit limit = { limits[i].most, limits[i].most };

		if (setrlimit(limits[i].resource, &limit) < 0)
			return -errno;
	}
	if (setgroups(0, NULL) < 0 || caps_unbound() || setresgid(gid, gid, gid) < 0 ||
	    setresuid(uid, uid, uid) < 0 || caps_limit(0) ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) < 0 ||
	    prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L) < 0)
		return errno ? -errno : -EPERM;
	return 0;
}

static int fill(const struct policies_role *role, const struct filter *filter)
{
	size_t size = filter->len * sizeof(filter->insns[0]);

	return write(role->fd, filter->insns, size) == (ssize_t)size ? 0 : -EIO;
}

static int build(const struct text *text, const struct policies_role *role, struct verdict *verdict)
{
	struct filter filter;
	int ret = verdict_of(text->path, text->bytes, text->size, &filter, verdict);

	if (ret)
		return ret;
	ret = fill(role, &filter);
	filter_free(&filter);
	return ret;
}

/* Of what the broker holds, beside the standard descriptors: where to write. */
static int keep_files(const struct policies *policies, unsigned roles, int up)
{
	int keep[ROLES + 1] = { up };
	size_t n = 1;

	for (size_t i = next_role(roles, 0); i < ROLES; i = next_role(roles, i + 1))
		keep[n++] = policies->roles[i].fd;
	return fd_keep_only(keep, n);
}

static _Noreturn void compile_all(const struct text *texts, unsigned roles,
				  const struct policies *policies, int up, uid_t uid, gid_t gid)
{
	int ret = keep_files(policies, roles, up);

	if (!ret)
		ret = give_up_everything(uid, gid);
	if (ret) {
		err("compiling policies: cannot give up privileges: %s", strerror(-ret));
		_exit(1);
	}
	for (size_t i = 0; i < ARRAY_SIZE(turns); i++) {
		struct verdict verdict = { .role = turns[i] };

		if (!(roles & ROLE_BIT(turns[i])))
			continue;
		verdict.error = build(&texts[turns[i]], &policies->roles[turns[i]], &verdict);
		if (write(up, &verdict, sizeof(verdict)) != sizeof(verdict))
			_exit(1);
	}
	_exit(0);
}

/* ---- what the child leaves ----------------------------------------------------------------- */

static int read_verdict(int fd, struct verdict *verdict)
{
	size_t have = 0;

	while (have < sizeof(*verdict)) {
		ssize_t n = read(fd, (char *)verdict + have, sizeof(*verdict) - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		have += (size_t)n;
	}
	return 0;
}

/* Seals first: from here on what is checked stays so. */
static int seal(struct policies_role *role)
{
	static struct sock_filter insns[BPF_MAXINSNS]; /* a stack would be touched all through */
	struct stat st;

	if (fcntl(role->fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) <
		    0 ||
	    fstat(role->fd, &st) < 0)
		return -errno;
	if (st.st_size <= 0 || st.st_size % (off_t)sizeof(insns[0]) ||
	    st.st_size > (off_t)sizeof(insns))
		return -EPROTO;
	if (pread(role->fd, insns, (size_t)st.st_size, 0) != st.st_size)
		return -EIO;
	role->length = (unsigned short)((size_t)st.st_size / sizeof(insns[0]));
	filter_sha256(insns, role->length, role->sha256);
	return 0;
}

static int take_role(const struct verdict *verdict, struct policies_role *role)
{
	int ret = verdict->error;

	if (!ret && verdict->ncalls > POLICY_CALLS_MAX)
		ret = -EPROTO;
	if (!ret)
		ret = seal(role);
	if (ret)
		return ret;
	role->ncalls = verdict->ncalls;
	for (size_t i = 0; i < role->ncalls; i++)
		snprintf(role->calls[i], POLICY_CALL_MAX, "%.*s", POLICY_CALL_MAX - 1,
			 verdict->calls[i]);
	return 0;
}

static int no_compiler(int error)
{
	err("the policies cannot be compiled: %s", strerror(-error));
	return error;
}

/* Of the role that the child has done next. */
static int take_next(struct policies *policies)
{
	struct verdict verdict;
	int ret = read_verdict(policies->verdicts, &verdict);

	if (!ret && (verdict.role >= ROLES || !(policies->pending & ROLE_BIT(verdict.role))))
		ret = -EPROTO;
	if (ret)
		return no_compiler(ret);
	ret = take_role(&verdict, &policies->roles[verdict.role]);
	if (ret)
		err("policy %s: not compiled: %s", policies->roles[verdict.role].file,
		    strerror(-ret));
	policies->pending &= ~ROLE_BIT(verdict.role);
	return ret;
}

static void reap(struct policies *policies)
{
	if (policies->child > 0)
		waitpid(policies->child, NULL, 0);
	policies->child = 0;
	fd_close(&policies->verdicts);
}

static int compile_apart(const struct text *texts, unsigned roles, struct policies *policies,
			 uid_t uid, gid_t gid)
{
	int up[2], ret;

	if (pipe2(up, O_CLOEXEC) < 0)
		return no_compiler(-errno);
	policies->child = fork();
	if (!policies->child)
		compile_all(texts, roles, policies, up[1], uid, gid);
	ret = policies->child < 0 ? no_compiler(-errno) : 0;
	fd_close(&up[1]);
	policies->verdicts = up[0];
	return ret;
}

/* ---- what the build left ------------------------------------------------------------------- */

/* Takes the filters that the build has; the rest stays pending. */
static int take_known(const struct text *texts, unsigned roles, struct policies *policies)
{
	int ret = 0;

	policies->pending = roles;
	for (size_t i = next_role(roles, 0); !ret && i < ROLES; i = next_role(roles, i + 1)) {
		const struct builtin *known = builtin_find(i, texts[i].bytes, texts[i].size);

		if (!known)
			continue;
		ret = fill(&policies->roles[i], &known->filter);
		if (!ret)
			ret = take_role(known->verdict, &policies->roles[i]);
		policies->pending &= ~ROLE_BIT(i);
	}
	return ret ? no_compiler(ret) : 0;
}

static int make_files(unsigned roles, struct policies *policies)
{
	for (size_t i = next_role(roles, 0); i < ROLES; i = next_role(roles, i + 1)) {
		policies->roles[i].fd = memfd_create(role_name(i), MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (policies->roles[i].fd < 0)
			return no_compiler(-errno);
	}
	return 0;
}

int policies_begin(const char *dir, unsigned roles, uid_t uid, gid_t gid, struct policies **out)
{
	struct policies *policies = calloc(1, sizeof(*policies));
	struct text *texts = calloc(ROLES, sizeof(*texts));
	int ret = policies && texts ? 0 : no_compiler(-ENOMEM);

	*out = NULL;
	for (size_t i = 0; policies && i < ROLES; i++)
		policies->roles[i].fd = -1;
	if (policies)
		policies->verdicts = -1;
	if (!ret)
		ret = read_texts(dir, roles, texts, policies);
	if (!ret)
		ret = make_files(roles, policies);
	if (!ret)
		ret = take_known(texts, roles, policies);
	if (!ret && policies->pending)
		ret = compile_apart(texts, policies->pending, policies, uid, gid);
	free(texts);
	if (ret) {
		policies_free(policies);
		return ret;
	}
	*out = policies;
	return 0;
}

int policies_finish(struct policies *policies, unsigned roles)
{
	int ret = 0;

	while (!ret && (policies->pending & roles))
		ret = take_next(policies);
	if (!policies->pending)
		reap(policies);
	return ret;
}

int policies_load(const char *dir, unsigned roles, uid_t uid, gid_t gid, struct policies **out)
{
	int ret = policies_begin(dir, roles, uid, gid, out);

	if (!ret)
		ret = policies_finish(*out, roles);
	if (ret) {
		policies_free(*out);
		*out = NULL;
	}
	return ret;
}

void policies_free(struct policies *policies)
{
	if (!policies)
		return;
	if (policies->child > 0)
		kill(policies->child, SIGKILL);
	reap(policies);
	for (size_t i = 0; i < ROLES; i++)
		fd_close(&policies->roles[i].fd);
	free(policies);
}
