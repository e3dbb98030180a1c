/*
 * The ids of the device and the spawner. Runs in the broker while it is privileged; trusts the user
 * database and the lock directory, which is root's alone.
 */
#include "broker/ids.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/util.h"

#define ASKED_S 3600 /* for which the user database's answer holds */
#define NEAR	16
#define FAR	(IDS_LAST - IDS_FIRST + 1 - NEAR)

static bool in_range(unsigned id)
{
	return id >= IDS_FIRST && id <= IDS_LAST;
}

/* Some process runs as this user: signals, ptrace and /proc go by that, never by a group. One
 * question, however many processes there are. */
static bool runs(unsigned uid)
{
	errno = 0; /* -1 is an answer too */
	return getpriority(PRIO_USER, uid) != -1 || errno != ESRCH;
}

static int open_dir(void)
{
	struct stat st;
	int fd;

	if ((mkdir("/run/airlock", 0755) < 0 && errno != EEXIST) ||
	    (mkdir(IDS_DIR, 0700) < 0 && errno != EEXIST))
		return -errno;
	fd = open(IDS_DIR, O_DIRECTORY | O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH))) {
		close(fd);
		return -EPERM;
	}
	return fd;
}

/* Locks ID, LOCK_EX for this broker alone or LOCK_SH. A descriptor, or -errno (-EBUSY). Lock
 * files stay: removing one would let two brokers lock two files of one name. */
static int lock_id(int dir, unsigned id, int how)
{
	char name[16];
	int fd;

	snprintf(name, sizeof(name), "%u", id);
	fd = openat(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, how | LOCK_NB) < 0) {
		close(fd);
		return -EBUSY;
	}
	return fd;
}

/* No service of systemd's was given this id, no account and no group has it. To ask the user
 * database costs a millisecond of modules that the C library loads, or a directory server's answer,
 * so a lock file notes by its time when that was the answer: true for an hour, as it is for the
 * life of a broker. */
static bool is_nobodys(int lock, unsigned id)
{
	char dynamic[64];
	struct stat st;
	time_t age;

	snprintf(dynamic, sizeof(dynamic), "/run/systemd/dynamic-uid/%u", id);
	if (access(dynamic, F_OK) == 0)
		return false;
	if (fstat(lock, &st) == 0 && st.st_size) {
		age = time(NULL) - st.st_mtime;
		if (age >= 0 && age < ASKED_S)
			return true;
	}
	if (getpwuid(id) || getgrgid(id))
		return false;
	(void)!pwrite(lock, "", 1, 0); /* else it is asked again */
	return true;
}

/* The nth id to try, of all. The first are the same each time, so that the user database has been
 * asked about them; where they are taken many brokers run, and the way past all of theirs is long.
 */
static unsigned candidate(unsigned n, unsigned anywhere)
{
	return IDS_FIRST + (n < NEAR ? n : NEAR + (n + anywhere) % FAR);
}

/* An id of the range that nobody has. A lock's descriptor, or -errno. */
static int choose(int dir, unsigned *id)
{
	const unsigned anywhere = (unsigned)(clock_ns() % FAR);
	int fd;

	for (unsigned n = 0; n < NEAR + FAR; n++) {
		*id = candidate(n, anywhere);
		fd = lock_id(dir, *id, LOCK_EX);
		if (fd == -EBUSY)
			continue;
		if (fd < 0 || (!runs(*id) && is_nobodys(fd, *id)))
			return fd;
		close(fd);
	}
	return -EBUSY;
}

/* A decimal id below (uid_t)-1, or -EINVAL. */
static int parse_id(const char *text, unsigned *id)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (!isdigit((unsigned char)*text) || *end || errno || n >= UINT_MAX)
		return -EINVAL;
	*id = (unsigned)n;
	return 0;
}

static int find_user(const char *user, struct ids *ids)
{
	struct passwd *pw = getpwnam(user);

	if (!pw && !parse_id(user, &ids->device_uid)) {
		pw = getpwuid(ids->device_uid);
		ids->device_gid = pw ? pw->pw_gid : ids->device_uid;
	} else if (pw) {
		ids->device_uid = pw->pw_uid;
		ids->device_gid = pw->pw_gid;
	} else {
		err("--user=%s: no such user", user);
		return -EINVAL;
	}
	if (!ids->device_uid) {
		err("--user=%s: a device never runs as root", user);
		return -EINVAL;
	}
	return 0;
}

static int find_group(const char *group, struct ids *ids)
{
	struct group *gr = getgrnam(group);

	if (gr) {
		ids->device_gid = gr->gr_gid;
	} else if (parse_id(group, &ids->device_gid) < 0) {
		err("--group=%s: no such group", group);
		return -EINVAL;
	}
	return 0;
}

static int find_named(const char *user, const char *group, struct ids *ids)
{
	int ret = user ? find_user(user, ids) : 0;

	if (!ret && group)
		ret = find_group(group, ids);
	if (!ret && (user || group) && !ids->device_gid) {
		err("--%s=%s: a device never runs in root's group", group ? "group" : "user",
		    group ? group : user);
		ret = -EINVAL;
	}
	return ret;
}

/* Keeps ids of the range that were named from being chosen: here for the spawner, and by brokers
 * that choose. Several may be given the same. */
static int hold_named(int dir, const char *user, const char *group, struct ids *ids)
{
	if ((user || group) && in_range(ids->device_gid)) {
		ids->locks[2] = lock_id(dir, ids->device_gid, LOCK_SH);
		if (ids->locks[2] < 0 && ids->locks[2] != -EBUSY) /* a group may be shared */
			return ids->locks[2];
	}
	if (!user || !in_range(ids->device_uid))
		return 0;
	ids->locks[0] = lock_id(dir, ids->device_uid, LOCK_SH);
	return min_of(ids->locks[0], 0);
}

/* The ids that were not named. */
static int choose_rest(const char *user, const char *group, struct ids *ids)
{
	_cleanup_fd int dir = open_dir();
	int ret = dir < 0 ? dir : hold_named(dir, user, group, ids);
	unsigned id;

	if (ret)
		return ret;
	if (!user) {
		ids->locks[0] = choose(dir, &id);
		if (ids->locks[0] < 0)
			return ids->locks[0];
		ids->device_uid = id;
		ids->device_gid = group ? ids->device_gid : id;
	}
	ids->locks[1] = choose(dir, &id);
	if (ids->locks[1] < 0)
		return ids->locks[1];
	ids->spawner_uid = id;
	ids->spawner_gid = id;
	return 0;
}

int ids_claim(const char *user, const char *group, struct ids *ids)
{
	int ret;

	*ids = (struct ids){ .locks = { -1, -1, -1 } };
	ret = find_named(user, group, ids);
	if (ret)
		return ret;
	ret = choose_rest(user, group, ids);
	if (ret) {
		err("no id for the device in %d to %d (%s): %s", IDS_FIRST, IDS_LAST, IDS_DIR,
		    strerror(-ret));
		ids_release(ids);
	}
	return ret;
}

void ids_release(struct ids *ids)
{
	fd_close_all(ids->locks, ARRAY_SIZE(ids->locks));
}
