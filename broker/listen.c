/*
 * UNIX sockets that others connect to. Runs in the broker: making them while privileged, accepting
 * and removing afterwards. Trusts nobody with the path: a name in a directory that others may write
 * is looked at through a descriptor of the directory, and removed only if it is the inode we made.
 */
#include "broker/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/log.h"

#define BACKLOG	     16
#define FIRST_PASSED 3 /* SD_LISTEN_FDS_START */

static int socket_new(int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

/* The caller has checked the length. */
static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	return address;
}

static int connect_as(int type, const char *path)
{
	struct sockaddr_un address = address_of(path);
	int fd = socket_new(type);
	int error;

	if (fd < 0)
		return fd;
	if (!connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	error = -errno;
	close(fd);
	return error;
}

int listen_connect(const char *path)
{
	return connect_as(SOCK_STREAM, path);
}

/* Asks with a socket of another type, so that whoever listens there takes it for no client: the
 * kernel refuses it as the wrong type where there is a socket, and as nobody's where there is none.
 */
static bool is_stale(const char *path)
{
	int fd = connect_as(SOCK_DGRAM, path);
	bool stale = fd == -ECONNREFUSED;

	fd_close(&fd);
	return stale;
}

static bool directory_exists(const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[LISTEN_PATH_MAX] = ".";
	struct stat st;

	if (slash)
		snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path) + 1, path);
	return !stat(dir, &st) && S_ISDIR(st.st_mode);
}

int listen_check(const char *option, const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0) {
		if (errno == ENOENT && directory_exists(path))
			return 0;
		err("--%s=%s: %s", option, path, strerror(errno));
		return -EINVAL;
	}
	if (!S_ISSOCK(st.st_mode)) {
		err("--%s=%s: exists and is no socket; choose another path", option, path);
		return -EINVAL;
	}
	if (is_stale(path))
		return 0;
	err("--%s=%s: another program listens there; end it or choose another path", option, path);
	return -EINVAL;
}

/* Splits the path into a descriptor of its directory and a name. */
static int directory_open(struct listener *listener, const char *path)
{
	char dir[LISTEN_PATH_MAX];
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	size_t len = slash ? (size_t)(slash - path) : 0;

	if (!*name)
		return -EISDIR;
	memcpy(dir, path, len);
	dir[len] = '\0';
	strcpy(listener->name, name);
	listener->dir = open(!slash ? "." : len ? dir : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return listener->dir < 0 ? -errno : 0;
}

/* Binds with exactly this mode: the kernel takes 0777 less the umask. */
static int socket_bind(int fd, const char *path, mode_t mode)
{
	struct sockaddr_un address = address_of(path);
	mode_t before = umask(0777 & ~mode);
	int error = 0;

	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		error = -errno;
	umask(before);
	return error;
}

/* Nobody can connect before listen(2), so the owner is right before anyone can. */
static int socket_publish(struct listener *listener, gid_t gid)
{
	struct stat st;

	if (fstatat(listener->dir, listener->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	listener->dev = st.st_dev;
	listener->ino = st.st_ino;
	if (gid != (gid_t)-1 &&
	    fchownat(listener->dir, listener->name, (uid_t)-1, gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return listen(listener->fd, BACKLOG) < 0 ? -errno : 0;
}

int listen_open(struct listener *listener, const char *option, const char *path, mode_t mode,
		gid_t gid)
{
	int error = listen_check(option, path);

	*listener = (struct listener)LISTENER_NONE;
	if (error)
		return error;
	error = directory_open(listener, path);
	if (error)
		goto fail;
	listener->fd = error = socket_new(SOCK_STREAM);
	if (error < 0)
		goto close;
	unlinkat(listener->dir, listener->name, 0); /* stale, or nothing */
	error = socket_bind(listener->fd, path, mode);
	if (error)
		goto close;
	error = socket_publish(listener, gid);
	if (!error)
		return 0;
	unlinkat(listener->dir, listener->name, 0); /* ours, whether or not that could be seen */
close:
	fd_close(&listener->fd);
	fd_close(&listener->dir);
fail:
	err("--%s=%s: cannot listen there: %s", option, path, strerror(-error));
	return error;
}

void listen_inherit(struct listener *listener, int fd)
{
	*listener = (struct listener)LISTENER_NONE;
	listener->fd = fd;
}

int listen_accept(struct listener *listener)
{
	int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

void listen_close(struct listener *listener)
{
	struct stat st;

	if (listener->dir >= 0 &&
	    !fstatat(listener->dir, listener->name, &st, AT_SYMLINK_NOFOLLOW) &&
	    st.st_dev == listener->dev && st.st_ino == listener->ino)
		unlinkat(listener->dir, listener->name, 0);
	fd_close(&listener->fd);
	fd_close(&listener->dir);
}

static int socket_option(int fd, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -errno : value;
}

int listen_kind(int fd)
{
	struct sockaddr_un peer;
	socklen_t len = sizeof(peer);

	if (socket_option(fd, SO_DOMAIN) != AF_UNIX || socket_option(fd, SO_TYPE) != SOCK_STREAM)
		return -EINVAL;
	if (socket_option(fd, SO_ACCEPTCONN) == 1)
		return 1;
	return getpeername(fd, (struct sockaddr *)&peer, &len) < 0 ? -EINVAL : 0;
}

static long environment_number(const char *name)
{
	const char *text = getenv(name);
	char *end;
	long n;

	if (!text || !*text)
		return -1;
	n = strtol(text, &end, 10);
	return *end ? -1 : n;
}

int listen_activated(void)
{
	long pid = environment_number("LISTEN_PID"), n = environment_number("LISTEN_FDS");

	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (pid != getpid() || n < 1)
		return -ENOENT;
	return n == 1 ? FIRST_PASSED : -EINVAL;
}
