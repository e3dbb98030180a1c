/*
 * Front-ends, one at a time. Runs in the broker after it has dropped its privileges; a client that
 * is not wanted yet waits in the kernel's backlog, where it cannot disturb anybody.
 */
#include "broker/frontends.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "lib/fd.h"
#include "lib/log.h"

int frontends_fd(const struct frontends *frontends)
{
	return frontends->kind == FRONTENDS_LISTEN ? frontends->listener.fd : -1;
}

/* A client that gave up while it waited would cost a device process for nothing. One that has only
 * stopped sending never begins a conversation either. */
static bool peer_gone(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLRDHUP };
	struct timespec at_once = { 0 };

	return ppoll(&p, 1, &at_once, NULL) > 0;
}

static int dial(struct frontends *frontends)
{
	int fd = listen_connect(frontends->path);

	if (fd < 0) {
		if (!frontends->refused)
			info("--client: %s: %s; trying again", frontends->path, strerror(-fd));
		frontends->refused = true;
		return -EAGAIN;
	}
	frontends->refused = false;
	return fd;
}

static int accept_one(struct frontends *frontends)
{
	for (;;) {
		int fd = listen_accept(&frontends->listener);

		if (fd == -ECONNABORTED)
			continue;
		if (fd < 0 && fd != -EAGAIN)
			warn("cannot accept a connection: %s", strerror(-fd));
		if (fd < 0 || !peer_gone(fd))
			return fd;
		fd_close(&fd);
	}
}

int frontends_next(struct frontends *frontends)
{
	switch (frontends->kind) {
	case FRONTENDS_LISTEN:
		return accept_one(frontends);
	case FRONTENDS_DIAL:
		return dial(frontends);
	case FRONTENDS_GIVEN:
		break;
	}
	return frontends->given < 0 ? -ENOENT : fd_take(&frontends->given);
}

void frontends_close(struct frontends *frontends)
{
	if (frontends->kind == FRONTENDS_LISTEN)
		listen_close(&frontends->listener);
	fd_close(&frontends->given);
}
