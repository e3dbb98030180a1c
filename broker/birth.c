/*
 * From fork to airlock-device, or to airlock-vfio-user: descriptors, ids, no capability, then the
 * program, with an empty environment. Runs in a child of the spawner and ends as the device. Root,
 * limits, Landlock, the emptied bounding set, no_new_privs and the spawner's filter were there
 * before it was born (jail.c).
 */
#include "broker/birth.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker/caps.h"
#include "broker/order.h"
#include "lib/fd.h"

static int tell_born(uint32_t serial)
{
	struct news news = { .type = NEWS_BORN, .serial = serial, .a = getpid() };
	_cleanup_fd int self = (int)syscall(SYS_pidfd_open, news.a, 0);
	ssize_t n;

	if (self < 0)
		return -errno;
	n = fd_send(JAIL_ORDERS, &news, sizeof(news), &self, 1);
	return n < 0 ? (int)n : 0;
}

/* Keeps the channel and the filters for the device; EXE and ORDERS go with the exec. */
static int keep_descriptors(const struct jail *jail, int channel)
{
	const bool filters = !(jail->missing & LAYER_BIT(LAYER_SECCOMP));

	if (dup3(channel, JAIL_CHANNEL, 0) < 0 || close_range(JAIL_PROC, ~0u, 0) < 0)
		return -errno;
	if (channel != JAIL_CHANNEL)
		close(channel);
	for (int fd = JAIL_CONTROL; filters && fd <= JAIL_WORKER; fd++)
		if (jail->fds[fd] >= 0 && fcntl(fd, F_SETFD, 0) < 0)
			return -errno;
	return 0;
}

static int set_ids(const struct ids *ids)
{
	sigset_t none;

	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0 ||
	    setresgid(ids->device_gid, ids->device_gid, ids->device_gid) < 0 ||
	    setresuid(ids->device_uid, ids->device_uid, ids->device_uid) < 0)
		return -errno;
	/* After the ids: their change clears it. */
	return prctl(PR_SET_PDEATHSIG, SIGKILL, 0L, 0L, 0L) < 0 ? -errno : 0;
}

static int become_device(char *const *argv)
{
	char *const nothing[] = { NULL };

	syscall(SYS_execveat, JAIL_EXE, "", argv, nothing, AT_EMPTY_PATH);
	return -errno;
}

_Noreturn void birth(const struct jail *jail, uint32_t serial, int channel, char *const *argv)
{
	struct news failed = { .type = NEWS_FAILED, .serial = serial };
	int ret = tell_born(serial);

	failed.a = STEP_DESCRIPTORS;
	if (!ret)
		ret = keep_descriptors(jail, channel);
	if (!ret) {
		failed.a = STEP_IDS;
		ret = set_ids(jail->ids);
	}
	if (!ret) {
		failed.a = STEP_CAPABILITIES;
		ret = caps_limit(0);
	}
	if (!ret) {
		failed.a = STEP_EXEC;
		ret = become_device(argv);
	}
	failed.b = -ret;
	fd_send(JAIL_ORDERS, &failed, sizeof(failed), NULL, 0);
	_exit(127);
}
