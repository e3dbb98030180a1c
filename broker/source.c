/*
 * Front-ends, one at a time. Runs in the broker after it has dropped its privileges; a client that
 * is not wanted yet waits in the kernel's backlog, where it cannot disturb anybody.
 */
#include "broker/source.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "lib/fd.h"
#include "lib/log.h"

int source_fd(const struct source *source)
{
	return source->kind == SOURCE_LISTEN ? source->listener.fd : -1;
}

/* A client that gave up while it waited would cost a device process for nothing. */
static bool peer_gone(int fd)
{
	struct pollfd p = { .fd = fd };
	struct timespec at_once = { 0 };

	return ppoll(&p, 1, &at_once, NULL) > 0 && (p.revents & (POLLHUP | POLLERR));
}

static int dial(struct source *source)
{
	int fd = listen_connect(source->path);

	if (fd < 0) {
		if (!source->refused)
			info("--client: %s: %s; trying again", source->path, strerror(-fd));
		source->refused = true;
		return -EAGAIN;
	}
	source->refused = false;
	return fd;
}

static int accept_one(struct source *source)
{
	for (;;) {
		int fd = listen_accept(&source->listener);

		if (fd < 0 && fd != -EAGAIN && fd != -ECONNABORTED)
			warn("cannot accept a connection: %s", strerror(-fd));
		if (fd < 0)
			return -EAGAIN;
		if (!peer_gone(fd))
			return fd;
		fd_close(&fd);
	}
}

int source_next(struct source *source)
{
	switch (source->kind) {
	case SOURCE_LISTEN:
		return accept_one(source);
	case SOURCE_DIAL:
		return dial(source);
	case SOURCE_GIVEN:
		break;
	}
	return source->given < 0 ? -ENOENT : fd_take(&source->given);
}

void source_close(struct source *source)
{
	if (source->kind == SOURCE_LISTEN)
		listen_close(&source->listener);
	fd_close(&source->given);
}
