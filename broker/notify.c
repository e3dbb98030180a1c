/*
 * Readiness. Runs in the broker: connects while privileged, writes afterwards. Neither reader can
 * hold it up: what they do not take at once is not sent again.
 */
#include "broker/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/log.h"

static int manager_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = strlen(path);
	int fd;

	if ((*path != '/' && *path != '@') || len >= sizeof(address.sun_path))
		return -EINVAL;
	memcpy(address.sun_path, path, len);
	if (*path == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (struct sockaddr *)&address,
		     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)))
		return fd;
	len = (size_t)errno;
	close(fd);
	return -(int)len;
}

void notify_open(struct notify *notify, int ready_fd)
{
	const char *path = getenv("NOTIFY_SOCKET");

	*notify = (struct notify){ .ready_fd = ready_fd, .socket_fd = -1 };
	if (ready_fd >= 0)
		fcntl(ready_fd, F_SETFD, FD_CLOEXEC);
	if (!path)
		return;
	notify->socket_fd = manager_connect(path);
	if (notify->socket_fd < 0) {
		warn("NOTIFY_SOCKET=%s: %s; the service manager is not told", path,
		     strerror(-notify->socket_fd));
		notify->socket_fd = -1;
	}
	unsetenv("NOTIFY_SOCKET");
}

static void manager_tell(const struct notify *notify, const char *line)
{
	if (notify->socket_fd >= 0 &&
	    send(notify->socket_fd, line, strlen(line), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		warn("the service manager is not told %s: %s", line, strerror(errno));
}

void notify_ready(struct notify *notify)
{
	static const char line[] = "READY=1\n";

	if (notify->ready_fd >= 0 && write(notify->ready_fd, line, sizeof(line) - 1) < 0)
		warn("--ready-fd=%d: %s", notify->ready_fd, strerror(errno));
	fd_close(&notify->ready_fd);
	manager_tell(notify, "READY=1");
}

void notify_stopping(struct notify *notify)
{
	manager_tell(notify, "STOPPING=1");
}

void notify_close(struct notify *notify)
{
	fd_close(&notify->ready_fd);
	fd_close(&notify->socket_fd);
}
