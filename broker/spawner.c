/*
 * The broker's half of the spawner: makes it while privileged, gives orders, hears news. Runs in
 * the broker's only thread. The spawner is trusted like the broker itself until it has confined
 * itself; after that its news are checked for form, and the worst they can do is to lie about
 * devices.
 */
#include "broker/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/nursery.h"
#include "broker/order.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/util.h"

#define START_MS 10000 /* for the spawner to confine itself */

struct spawner {
	int orders; /* owned */
	int pidfd;  /* owned */
	pid_t pid;
	uint32_t serial;  /* of the last order */
	unsigned allowed; /* until it is up: what may be missing */
	unsigned degraded;
	unsigned landlock;
	uint64_t namespaces[LAYER_NAMESPACES];
	struct stat pids;    /* of its pid namespace */
	struct news_seen in; /* the packet read last */
};

const struct spawner_kind spawner_of_devices = { ROLE_SPAWNER, 2, { ROLE_CONTROL, ROLE_WORKER } };
const struct spawner_kind spawner_of_transports = { ROLE_TRANSPORT_SPAWNER, 1, { ROLE_TRANSPORT } };

static const struct {
	uint64_t flag;
	const char *file;
} namespaces[LAYER_NAMESPACES] = {
	[LAYER_USER] = { CLONE_NEWUSER, "user" },	[LAYER_MOUNT] = { CLONE_NEWNS, "mnt" },
	[LAYER_PID] = { CLONE_NEWPID, "pid" },		[LAYER_NET] = { CLONE_NEWNET, "net" },
	[LAYER_IPC] = { CLONE_NEWIPC, "ipc" },		[LAYER_UTS] = { CLONE_NEWUTS, "uts" },
	[LAYER_CGROUP] = { CLONE_NEWCGROUP, "cgroup" },
};

static const char *const step_words[STEP_COUNT] = {
#define WORDS(name, words) [STEP_##name] = words,
	STEPS(WORDS)
#undef WORDS
};

static const char *step_name(int step)
{
	return step >= 0 && step < STEP_COUNT ? step_words[step] : "unknown step";
}

/* What came beside a packet: at most one descriptor is kept, every other is closed. */
static void read_control(struct msghdr *msg, int *fd, pid_t *pid)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		struct ucred creds;

		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&creds, CMSG_DATA(c), sizeof(creds));
			*pid = creds.pid;
		}
		for (size_t i = 0; c->cmsg_type == SCM_RIGHTS && i < n; i++) {
			fd_close(fd);
			memcpy(fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
		}
	}
}

/* One packet into spawner->in. Its bytes, 0 at the end, -errno. *fd is the caller's. */
static ssize_t receive(struct spawner *spawner, int *fd, pid_t *pid)
{
	union {
		char buf[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = &spawner->in, .iov_len = sizeof(spawner->in) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.buf,
			      .msg_controllen = sizeof(control.buf) };
	ssize_t n = recvmsg(spawner->orders, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return -errno;
	read_control(&msg, fd, pid);
	if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		fd_close(fd);
		return -EPROTO;
	}
	return n;
}

/* ---- making it ----------------------------------------------------------------------------- */

/* The namespaces this kernel does not give, each tried alone by a child. LAYER_BITs. */
static unsigned namespaces_missing(void)
{
	unsigned missing = 0;

	for (size_t i = 0; i < LAYER_NAMESPACES; i++) {
		pid_t pid = fork();
		int status = 0;

		if (!pid)
			_exit(unshare((int)namespaces[i].flag) < 0);
		if (pid > 0 && waitpid(pid, &status, 0) == pid && status)
			missing |= LAYER_BIT(i);
	}
	return missing;
}

static pid_t clone_without(unsigned missing, int *pidfd)
{
	struct clone_args args = { .flags = CLONE_PIDFD,
				   .pidfd = (uintptr_t)pidfd,
				   .exit_signal = SIGCHLD };

	for (size_t i = 0; i < LAYER_NAMESPACES; i++)
		if (!(missing & LAYER_BIT(i)))
			args.flags |= namespaces[i].flag;
	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

/* Like fork, into namespaces of its own; *missing: those that are lacking by leave. */
static pid_t clone_apart(unsigned allowed, unsigned *missing, int *pidfd)
{
	pid_t pid = clone_without(0, pidfd);
	int error = errno;

	*missing = 0;
	if (pid >= 0)
		return pid;
	*missing = namespaces_missing();
	for (size_t i = 0; i < LAYER_NAMESPACES; i++) {
		if (!(*missing & ~allowed & LAYER_BIT(i)))
			continue;
		err("no %s namespace on this host%s; --allow-degraded=%s goes on without",
		    layer_name((enum layer)i), i == LAYER_USER ? ", or in this chroot" : "",
		    layer_name((enum layer)i));
		return -ENOTSUP;
	}
	pid = *missing ? clone_without(*missing, pidfd) : -1;
	if (pid < 0) {
		err("cannot create the spawner: %s", strerror(*missing ? errno : error));
		return -(*missing ? errno : error);
	}
	return pid;
}

static int write_file(pid_t pid, const char *name, const char *text)
{
	char path[64];
	_cleanup_fd int fd = -1;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0) {
		int error = errno;

		err("%s: %s", path, strerror(error));
		return -error;
	}
	return 0;
}

/* Two ids, each mapped to itself: none is 0 inside. No groups: they were emptied before. */
static int write_maps(pid_t pid, const struct ids *ids)
{
	char uids[64], gids[64];
	int ret;

	snprintf(uids, sizeof(uids), "%u %u 1\n%u %u 1\n", ids->device_uid, ids->device_uid,
		 ids->spawner_uid, ids->spawner_uid);
	snprintf(gids, sizeof(gids), "%u %u 1\n%u %u 1\n", ids->device_gid, ids->device_gid,
		 ids->spawner_gid, ids->spawner_gid);
	ret = write_file(pid, "setgroups", "deny");
	if (!ret)
		ret = write_file(pid, "uid_map", uids);
	return ret ? ret : write_file(pid, "gid_map", gids);
}

static size_t count_options(const char **options)
{
	size_t n = 0;

	while (options[n])
		n++;
	return n;
}

static void read_namespaces(uint64_t inodes[LAYER_NAMESPACES])
{
	for (size_t i = 0; i < LAYER_NAMESPACES; i++) {
		char path[64];
		struct stat st = { 0 };

		snprintf(path, sizeof(path), "/proc/self/ns/%s", namespaces[i].file);
		inodes[i] = stat(path, &st) < 0 ? 0 : st.st_ino;
	}
}

/* Asked while the child is still as the broker: later, /proc shows it only to CAP_SYS_PTRACE. */
static void read_pids(struct spawner *spawner)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", spawner->pid);
	if (stat(path, &spawner->pids) < 0)
		spawner->pids = (struct stat){ 0 };
}

static void explain_failure(const struct news *news, unsigned allowed)
{
	static const struct {
		enum step step;
		enum layer layer;
	} degradable[] = { { STEP_ROOT, LAYER_ROOT },
			   { STEP_RLIMITS, LAYER_RLIMITS },
			   { STEP_LANDLOCK, LAYER_LANDLOCK },
			   { STEP_SECCOMP, LAYER_SECCOMP } };

	err("confinement failed: %s: %s", step_name(news->a), strerror(news->b));
	for (size_t i = 0; i < ARRAY_SIZE(degradable); i++)
		if ((int)degradable[i].step == news->a &&
		    !(allowed & LAYER_BIT(degradable[i].layer)))
			err("--allow-degraded=%s goes on without", layer_name(degradable[i].layer));
}

/* Clones, maps, lets go. What the child needs is on this stack: it has a copy. */
static int bring_up(struct spawner *spawner, const struct spawner_options *options, int theirs,
		    int proc)
{
	const struct policies_role *roles = options->policies->roles;
	const struct spawner_kind *kind = options->kind;
	const char *filters[SPAWNER_FILTERS + 1] = { NULL };
	struct nursery nursery = {
		.jail = { .ids = options->ids,
			  .fds = { [JAIL_CONTROL] = -1,
				   [JAIL_WORKER] = -1,
				   [JAIL_EXE] = options->exe_fd,
				   [JAIL_ORDERS] = theirs,
				   [JAIL_PROC] = proc,
				   [JAIL_FILTER] = roles[kind->own].fd },
			  .allowed = options->allowed },
		.broker = getpid(),
		.options = options->argv,
		.filters = filters,
	};
	struct order confine = { .type = ORDER_CONFINE };
	int ret = 0;

	if (count_options(options->argv) > NURSERY_OPTIONS)
		return -E2BIG;
	for (size_t i = 0; i < kind->nfilters; i++) {
		filters[i] = role_name(kind->filters[i]);
		nursery.jail.fds[JAIL_CONTROL + i] = roles[kind->filters[i]].fd;
	}
	spawner->pid = clone_apart(options->allowed, &nursery.jail.missing, &spawner->pidfd);
	if (!spawner->pid)
		nursery_run(&nursery);
	if (spawner->pid < 0)
		return spawner->pid;
	read_pids(spawner);
	if (!(nursery.jail.missing & LAYER_BIT(LAYER_USER)))
		ret = write_maps(spawner->pid, options->ids);
	if (!ret)
		ret = (int)min_of(0, fd_send(spawner->orders, &confine, sizeof(confine), NULL, 0));
	return ret;
}

int spawner_begin(const struct spawner_options *options, struct spawner **out)
{
	struct spawner *spawner = calloc(1, sizeof(*spawner));
	_cleanup_fd int proc = -1;
	int pair[2] = { -1, -1 }, yes = 1, ret;

	*out = NULL;
	if (!spawner)
		return -ENOMEM;
	spawner->orders = spawner->pidfd = -1;
	spawner->allowed = options->allowed;
	read_namespaces(spawner->namespaces);
	proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0 || setgroups(0, NULL) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 ||
	    setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)) < 0) {
		ret = -errno;
		err("cannot prepare the spawner: %s", strerror(errno));
		goto out_close;
	}
	spawner->orders = fd_take(&pair[0]);
	ret = bring_up(spawner, options, pair[1], proc);
	fd_close(&pair[1]); /* so that its end is seen as such */
out_close:
	fd_close_all(pair, 2);
	if (ret < 0) {
		spawner_stop(spawner);
		return ret;
	}
	*out = spawner;
	return 0;
}

int spawner_await(struct spawner *spawner)
{
	struct pollfd pfd = { .fd = spawner->orders, .events = POLLIN };
	const struct news *news = &spawner->in.head;
	ssize_t n = -ETIMEDOUT;
	int fd = -1;
	pid_t pid;

	if (poll(&pfd, 1, START_MS) > 0)
		n = receive(spawner, &fd, &pid);
	fd_close(&fd);
	if (n == sizeof(*news) && news->type == NEWS_UP) {
		spawner->landlock = (unsigned)news->a;
		spawner->degraded = (unsigned)news->b;
		return 0;
	}
	if (n == sizeof(*news) && news->type == NEWS_FAILED) {
		explain_failure(news, spawner->allowed);
		return news->b == EOPNOTSUPP || news->b == ENOSYS ? -ENOTSUP : -news->b;
	}
	err("the spawner ended before it was confined: %s", n < 0 ? strerror((int)-n) : "no word");
	return n < 0 ? (int)n : -EPROTO;
}

void spawner_stop(struct spawner *spawner)
{
	if (!spawner)
		return;
	fd_close(&spawner->orders);
	if (spawner->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, spawner->pidfd, SIGKILL, NULL, 0);
	fd_close(&spawner->pidfd);
	free(spawner);
}

/* ---- using it ------------------------------------------------------------------------------ */

int spawner_fd(const struct spawner *spawner)
{
	return spawner->orders;
}

unsigned spawner_degraded(const struct spawner *spawner)
{
	return spawner->degraded;
}

unsigned spawner_landlock(const struct spawner *spawner)
{
	return spawner->landlock;
}

const uint64_t *spawner_namespaces(const struct spawner *spawner)
{
	return spawner->namespaces;
}

const struct stat *spawner_pids(const struct spawner *spawner)
{
	return &spawner->pids;
}

int spawner_spawn(struct spawner *spawner, int channel, uint32_t *serial)
{
	struct order order = { .type = ORDER_SPAWN, .serial = spawner->serial + 1 };
	ssize_t n = fd_send(spawner->orders, &order, sizeof(order), &channel, 1);

	if (n < 0)
		return (int)n;
	*serial = ++spawner->serial;
	return 0;
}

int spawner_inspect(struct spawner *spawner, uint32_t serial, pid_t pid)
{
	struct order order = { .type = ORDER_INSPECT, .serial = serial, .pid = pid };
	ssize_t n = fd_send(spawner->orders, &order, sizeof(order), NULL, 0);

	return n < 0 ? (int)n : 0;
}

/* Fills *out from a packet of n bytes; the descriptor is taken only by BORN. */
static int interpret(struct spawner *spawner, size_t n, int *fd, pid_t pid,
		     struct spawner_news *out)
{
	const struct news *news = &spawner->in.head;
	size_t expected = sizeof(*news);

	*out = (struct spawner_news){ .serial = news->serial, .pidfd = -1 };
	if (n >= sizeof(*news) && news->type == NEWS_SEEN)
		expected = sizeof(spawner->in);
	if (n != expected)
		return -EPROTO;
	switch (news->type) {
	case NEWS_BORN:
		out->type = SPAWNER_BORN;
		out->pid = pid;
		out->inner = news->a;
		out->pidfd = fd_take(fd);
		return out->pidfd >= 0 && pid > 0 && news->a > 0 ? 1 : -EPROTO;
	case NEWS_FAILED:
		out->type = SPAWNER_FAILED;
		out->step = step_name(news->a);
		out->error = news->b;
		return 1;
	case NEWS_DIED:
		out->type = SPAWNER_DIED;
		out->status = news->a;
		return 1;
	case NEWS_SEEN:
		out->type = SPAWNER_SEEN;
		out->witness = &spawner->in.witness;
		return 1;
	default:
		return -EPROTO;
	}
}

int spawner_next(struct spawner *spawner, struct spawner_news *news)
{
	int fd = -1, ret;
	pid_t pid = 0;
	ssize_t n = receive(spawner, &fd, &pid);

	if (n <= 0)
		return n == -ECONNRESET ? 0 : (int)n;
	ret = interpret(spawner, (size_t)n, &fd, pid, news);
	fd_close(&fd);
	if (ret < 0)
		fd_close(&news->pidfd);
	return ret;
}
