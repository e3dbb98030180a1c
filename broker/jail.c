/*
 * The jail: one table of steps that the spawner takes before its first order, each once, so that
 * every device is born behind them. Runs in the spawner (pid 1 of the new namespaces, full
 * capabilities there and none outside); trusts the broker that cloned it.
 *
 * Order: the id comes first, because an empty root must belong to somebody who exists inside; the
 * root before capabilities; no_new_privs before Landlock and the filter; the filter last.
 */
#include "broker/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker/caps.h"
#include "lib/landlock.h"
#include "lib/fd.h"
#include "lib/util.h"
#include "seccomp/install.h"

#define NO_LAYER LAYERS /* a step that nobody may go without */

/* Capabilities that the spawner keeps, in its user namespace only. */
static const uint64_t spawner_caps = CAP_BIT(CAP_SETUID) |    /* a device gets its own uid */
				     CAP_BIT(CAP_SETGID) |    /* and gid */
				     CAP_BIT(CAP_SYS_PTRACE); /* a witness reads /proc of a device
								 that is not dumpable */

/* AS stays: guest memory is mapped into the device, however large it is. DATA stays: after sealing
 * a device's policy has no call that makes private memory. NPROC is set by the device itself, once
 * it has its threads. */
static const struct {
	int resource;
	rlim_t most;
} limits[] = {
	{ RLIMIT_CORE, 0 },	 /* no guest memory in a core file */
	{ RLIMIT_FSIZE, 0 },	 /* it writes no files */
	{ RLIMIT_NOFILE, 4096 }, /* 128 pairs: 128 queues, 768 eventfds, memory and room */
	{ RLIMIT_MEMLOCK, 0 },	 /* it pins nothing */
	{ RLIMIT_MSGQUEUE, 0 },	 /* it has no message queues */
	{ RLIMIT_NICE, 0 },	 /* nor asks for more of a CPU than others get */
	{ RLIMIT_RTPRIO, 0 },
};

static int step_session(struct jail *jail)
{
	sigset_t none;

	(void)jail;
	sigemptyset(&none);
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
		return -errno;
	/* Away from the terminal's Ctrl-C: the broker decides when a device ends. */
	if (setsid() < 0)
		return -errno;
	/* Whoever started the broker may have switched address randomisation off; a thread
	 * sanitizer may need that. */
	if (!layer_absent_in_build() && personality(PER_LINUX) < 0)
		return -errno;
	return prctl(PR_SET_PDEATHSIG, SIGKILL, 0L, 0L, 0L) < 0 ? -errno : 0;
}

static int step_ids(struct jail *jail)
{
	const struct ids *ids = jail->ids;

	/* Where there is no user namespace, the uid that is left was root's. */
	if (prctl(PR_SET_KEEPCAPS, 1L, 0L, 0L, 0L) < 0 ||
	    setresgid(ids->spawner_gid, ids->spawner_gid, ids->spawner_gid) < 0 ||
	    setresuid(ids->spawner_uid, ids->spawner_uid, ids->spawner_uid) < 0 ||
	    prctl(PR_SET_KEEPCAPS, 0L, 0L, 0L, 0L) < 0)
		return -errno;
	/* A change of ids clears the signal that tells of the broker's death. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0L, 0L, 0L) < 0)
		return -errno;
	return caps_effective(spawner_caps | CAP_BIT(CAP_SYS_ADMIN) | CAP_BIT(CAP_SETPCAP));
}

static int step_root(struct jail *jail)
{
	const unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;

	if (jail->missing & LAYER_BIT(LAYER_MOUNT))
		return -EOPNOTSUPP; /* these mounts would be the host's */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	/* /proc is only a directory that is surely there. One inode: the root itself. */
	if (mount("airlock", "/proc", "tmpfs", flags, "mode=0555,nr_inodes=1,size=4k") < 0)
		return -errno;
	/* The old root lands on top of the new one, and goes. */
	if (chdir("/proc") < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0)
		return -errno;
	return chdir("/") < 0 ? -errno : 0;
}

/* Every descriptor that is kept moves out of the way, then to its place; the rest is closed. */
static int step_descriptors(struct jail *jail)
{
	int away[JAIL_END];

	for (int i = JAIL_CONTROL; i < JAIL_END; i++) {
		away[i] = -1;
		if (jail->fds[i] < 0)
			continue;
		away[i] = fcntl(jail->fds[i], F_DUPFD_CLOEXEC, 2 * JAIL_END);
		if (away[i] < 0)
			return -errno;
	}
	for (int i = JAIL_CONTROL; i < JAIL_END; i++) {
		close(i);
		jail->fds[i] = away[i] < 0 ? -1 : dup3(away[i], i, O_CLOEXEC);
		if (away[i] >= 0 && jail->fds[i] < 0)
			return -errno;
	}
	if (close_range(JAIL_END, ~0u, 0) < 0)
		return -errno;
#ifdef AIRLOCK_SANITIZE
	close(0), close(1), close(JAIL_CHANNEL); /* a sanitizer speaks through 2 */
	return 0;
#else
	return close_range(0, JAIL_CHANNEL, 0) < 0 ? -errno : 0;
#endif
}

static int step_rlimits(struct jail *jail)
{
	(void)jail;
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		struct rlimit limit;

		if (getrlimit(limits[i].resource, &limit) < 0)
			return -errno;
		limit.rlim_max = min_of(limit.rlim_max, limits[i].most);
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(limits[i].resource, &limit) < 0)
			return -errno;
	}
	return 0;
}

static int step_capabilities(struct jail *jail)
{
	int ret = caps_unbound();

	(void)jail;
	return ret < 0 ? ret : caps_limit(spawner_caps);
}

static int step_privileges(struct jail *jail)
{
	(void)jail;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) < 0 ||
	    prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L) < 0)
		return -errno;
	return 0;
}

static int step_landlock(struct jail *jail)
{
	_cleanup_fd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct landlock_rule rules[] = {
		/* A device is started from here, */
		{ jail->fds[JAIL_EXE], LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE },
		/* and a witness reads what the kernel says of it */
		{ jail->fds[JAIL_PROC],
		  LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR },
		/* and that its root is empty. */
		{ root, LANDLOCK_ACCESS_FS_READ_DIR },
	};
	int abi = landlock_close(rules, ARRAY_SIZE(rules), true);

	if (abi < 0)
		return abi;
	jail->landlock_abi = abi;
	return 0;
}

static int step_seccomp(struct jail *jail)
{
	int ret = install_filter(jail->fds[JAIL_FILTER]);

	fd_close(&jail->fds[JAIL_FILTER]);
	return ret;
}

static const struct {
	enum step step;
	enum layer layer; /* that is missing where the step fails, or NO_LAYER */
	int (*take)(struct jail *jail);
} steps[] = {
	{ STEP_SESSION, NO_LAYER, step_session },
	{ STEP_IDS, NO_LAYER, step_ids },
	{ STEP_ROOT, LAYER_ROOT, step_root },
	{ STEP_DESCRIPTORS, NO_LAYER, step_descriptors },
	{ STEP_RLIMITS, LAYER_RLIMITS, step_rlimits },
	{ STEP_CAPABILITIES, NO_LAYER, step_capabilities },
	{ STEP_PRIVILEGES, NO_LAYER, step_privileges },
	{ STEP_LANDLOCK, LAYER_LANDLOCK, step_landlock },
	{ STEP_SECCOMP, LAYER_SECCOMP, step_seccomp },
};

int jail_enter(struct jail *jail, enum step *failed)
{
	const unsigned absent = layer_absent_in_build();

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		unsigned bit = steps[i].layer == NO_LAYER ? 0 : LAYER_BIT(steps[i].layer);
		int ret = absent & bit ? -EOPNOTSUPP : steps[i].take(jail);

		if (!ret)
			continue;
		*failed = steps[i].step;
		if (!(jail->allowed & bit))
			return ret;
		jail->missing |= bit;
	}
	return 0;
}
