/*
 * Listening UNIX sockets on a path: the vhost-user socket and the control socket. Made while
 * privileged; removed at the end without privilege, through a descriptor of the directory and only
 * if the path still is our socket. Set-up functions log their error, naming `option`, and return 0,
 * -EINVAL for what the administrator must change (nothing was changed), or another -errno.
 */
#ifndef AIRLOCK_BROKER_LISTEN_H
#define AIRLOCK_BROKER_LISTEN_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

/* Every path given here is shorter: config.c sees to it. */
#define LISTEN_PATH_MAX sizeof(((struct sockaddr_un *)0)->sun_path)

struct listener {
	int fd;			    /* owned; listening, non-blocking */
	int dir;		    /* owned; O_PATH, -1: the socket is not ours to remove */
	char name[LISTEN_PATH_MAX]; /* within dir */
	dev_t dev;
	ino_t ino;
};

#define LISTENER_NONE                \
	{                            \
		.fd = -1, .dir = -1, \
	}

/* Whether listen_open() can work: a live socket and a file of another kind are -EINVAL. Whoever
 * listens there does not notice. */
int listen_check(const char *option, const char *path);
/* A stale socket is replaced. mode: exact; gid: (gid_t)-1 leaves the caller's. */
int listen_open(struct listener *listener, const char *option, const char *path, mode_t mode,
		gid_t gid);
/* Takes a listening socket that somebody else made. */
void listen_inherit(struct listener *listener, int fd);
/* A connection (CLOEXEC, non-blocking), -EAGAIN, or another -errno. */
int listen_accept(struct listener *listener);
void listen_close(struct listener *listener);

/* Connects without waiting. A connection (CLOEXEC, non-blocking), or -errno: nobody listens. */
int listen_connect(const char *path);
/* What an inherited descriptor is: 1 a listening UNIX stream socket, 0 a connected one, -EINVAL
 * neither. */
int listen_kind(int fd);
/* systemd's LISTEN_FDS: 3 when exactly one socket was passed to this process, -ENOENT none, -EINVAL
 * several. The variables are removed. */
int listen_activated(void);

#endif
