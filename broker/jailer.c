/*
 * minijail0's command line, a table of words and why. Runs in airlock-minijail until it becomes
 * minijail0; trusts the administrator, whose words come last and may take layers away, and
 * minijail0.
 */
#include "broker/jailer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/log.h"
#include "lib/util.h"

/* Words that never change. The order of mounts is that of the words. */
static const char *const jail[] = {
	"--logging=stderr", /* its own complaints, where ours go */
	"-Tstatic",	    /* the program is not where minijail0 looks before it has a root */
	"-n",		    /* no_new_privs, so that privileges go before the filter comes */
	"-c0",		    /* no capability in any set; */
	"--ambient",	    /* which a static program may have asked of it so only */
	"-U",		    /* a user namespace, */
	"-p",		    /* processes, with minijail0's init as the first */
	"-v",		    /* mounts, */
	"-Kprivate",	    /* that stay inside, and none comes in, */
	"-e",		    /* network, */
	"-l",		    /* IPC, */
	"-N",		    /* cgroups, */
	"--uts=airlock",    /* the host's name, */
	/* and a root with room for two names: */
	"-ktmpfs,/,tmpfs,MS_NOSUID|MS_NODEV,mode=0555,nr_inodes=4,size=4k",
	/* /proc because minijail0's init mounts it once more, read-only, after the root is made, */
	"-kproc,/proc,proc,MS_NOSUID|MS_NODEV|MS_NOEXEC|MS_RDONLY",
	NULL, /* the program, */
	/* and nothing can be added. */
	"-ktmpfs,/,tmpfs,MS_REMOUNT|MS_RDONLY|MS_NOSUID|MS_NODEV,mode=0555,nr_inodes=4,size=4k",
	/* As in the broker's jail. RLIMIT_FSIZE is the device's own: minijail0's words may go to a
	 * file until then. */
	"-RRLIMIT_CORE,0,0",
	"-RRLIMIT_NOFILE,4096,4096",
	"-RRLIMIT_MEMLOCK,0,0",
	"-RRLIMIT_MSGQUEUE,0,0",
	"-RRLIMIT_NICE,0,0",
	"-RRLIMIT_RTPRIO,0,0",
};

int jailer_find(struct jailer *jailer)
{
	const char *given = getenv("AIRLOCK_MINIJAIL0"), *dir = getenv("PATH");
	size_t len;

	if (given && strlen(given) < sizeof(jailer->path) && !access(given, X_OK)) {
		strcpy(jailer->path, given);
		return 0;
	}
	for (; !given && dir && *dir; dir += len + (dir[len] == ':')) {
		len = strcspn(dir, ":");
		if (len &&
		    snprintf(jailer->path, sizeof(jailer->path), "%.*s/minijail0", (int)len, dir) <
			    PATH_MAX &&
		    !access(jailer->path, X_OK))
			return 0;
	}
	err("%s: no such program: install Debian's package minijail, or name minijail0 in "
	    "AIRLOCK_MINIJAIL0",
	    given ? given : "minijail0");
	return -ENOENT;
}

int jailer_device(struct jailer *jailer, int program)
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", program);
	n = readlink(link, jailer->device, sizeof(jailer->device) - 1);
	jailer->device[n < 0 ? 0 : n] = '\0';
	if (n > 0 && !strchr(jailer->device, ','))
		return 0;
	n = n < 0 ? -errno : -EINVAL;
	err("airlock-device: minijail0 cannot take it from '%s': %s", jailer->device,
	    n == -EINVAL ? "there is a comma in the path" : strerror((int)-n));
	return (int)n;
}

/* ---- the words ---- */

struct words {
	char **argv; /* owned, with every word, until exec */
	size_t n;
};

__attribute__((format(printf, 2, 3))) static void add(struct words *words, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&words->argv[words->n++], fmt, ap) < 0)
		die(1, "minijail0's command line: %s", strerror(ENOMEM));
	va_end(ap);
}

static void add_jail(struct words *words, const struct jailer *j)
{
	for (size_t i = 0; i < ARRAY_SIZE(jail); i++)
		if (jail[i])
			add(words, "%s", jail[i]);
		else
			add(words, "-b%s,/airlock-device", j->device);
	add(words, "-P%s", JAILER_ROOT);
	add(words, "-u%u", j->uid);
	add(words, "-g%u", j->gid);
	add(words, "-m%u %u 1", j->uid, j->uid); /* mapped to itself: there is no 0 inside */
	add(words, "-M%u %u 1", j->gid, j->gid);
	add(words, "--seccomp-bpf-binary=/proc/self/fd/%d", j->launch);
}

static void add_device(struct words *words, const struct jailer *j)
{
	add(words, "/airlock-device");
	for (size_t i = 1; j->device_words[i]; i++)
		add(words, "%s", j->device_words[i]);
	add(words, "--fd=%d", j->connection);
	for (size_t i = 0; i < j->ntaps; i++)
		add(words, "--tap-fd=%d", j->taps[i]);
	add(words, "--filter-fd=control:%d", j->control);
	add(words, "--filter-fd=worker:%d", j->worker);
}

/* ---- becoming minijail0 ---- */

static int root_make(void)
{
	struct stat st;

	if ((mkdir("/run/airlock", 0755) < 0 && errno != EEXIST) ||
	    (mkdir(JAILER_ROOT, 0755) < 0 && errno != EEXIST) || lstat(JAILER_ROOT, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) && !st.st_uid && !(st.st_mode & 022) ? 0 : -EPERM;
}

static int pass(int fd)
{
	return fd >= 0 && fcntl(fd, F_SETFD, 0) < 0 ? -errno : 0;
}

static int pass_all(const struct jailer *j, int kept)
{
	const int own[] = { j->connection, j->control, j->worker, j->launch, kept };
	int error = close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) < 0 ? -errno : 0;

	for (size_t i = 0; i < ARRAY_SIZE(own) && !error; i++)
		error = pass(own[i]);
	for (size_t i = 0; i < j->ntaps && !error; i++)
		error = pass(j->taps[i]);
	return error;
}

int jailer_exec(const struct jailer *j, int kept)
{
	size_t most = ARRAY_SIZE(jail) + 2 * j->ntaps + j->nextra + 32;
	struct words words = { .argv = calloc(most, sizeof(*words.argv)) };
	char *nothing[] = { NULL };
	int error = words.argv ? root_make() : -ENOMEM;

	if (!error)
		error = pass_all(j, kept);
	if (error)
		goto fail;
	add(&words, "minijail0");
	add_jail(&words, j);
	for (size_t i = 0; i < j->nextra; i++)
		add(&words, "%s", j->extra[i]);
	add(&words, "--");
	add_device(&words, j);
	for (size_t i = 0; i < words.n; i++)
		debug("word %zu: %s", i, words.argv[i]);
	/* minijail0's --env-reset forgets static programs */
	execve(j->path, words.argv, nothing);
	error = -errno;
	while (words.n)
		free(words.argv[--words.n]);
fail:
	free(words.argv);
	err("%s: cannot be started: %s", j->path, strerror(-error));
	return error;
}
