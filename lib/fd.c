/*
 * Descriptors: closing, moving, passing and waking. Runs in every process and thread of Airlock;
 * trusts no packet that it receives: whatever arrives is either handed to the caller or closed
 * here.
 */
#include "lib/fd.h"
#include "lib/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int fd_take(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

void fd_close_all(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fd_close(&fds[i]);
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

int fd_keep_only(int *fds, size_t n)
{
	unsigned int from = STDERR_FILENO + 1;

	qsort(fds, n, sizeof(fds[0]), by_number);
	for (size_t i = 0; i < n; i++) {
		if (fds[i] < (int)from) /* none */
			continue;
		if ((unsigned int)fds[i] > from &&
		    close_range(from, (unsigned int)fds[i] - 1, 0) < 0)
			return -errno;
		from = (unsigned int)fds[i] + 1;
	}
	return close_range(from, ~0u, 0) < 0 ? -errno : 0;
}

void fd_fill_stdio(void)
{
	int fd = open("/dev/null", O_RDWR);

	while (fd >= 0 && fd <= STDERR_FILENO)
		fd = open("/dev/null", O_RDWR);
	fd_close(&fd);
}

int fd_signal(int eventfd)
{
	uint64_t one = 1;

	if (write(eventfd, &one, sizeof(one)) == sizeof(one) || errno == EAGAIN)
		return 0;
	return -errno;
}

int fd_drain(int eventfd)
{
	uint64_t count;

	if (read(eventfd, &count, sizeof(count)) == sizeof(count) || errno == EAGAIN)
		return 0;
	return -errno;
}

ssize_t fd_send(int sock, const void *buf, size_t len, const int *fds, size_t nfds)
{
	union {
		char buf[CMSG_SPACE(FD_PASS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = (void *)buf, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c = &control.align;
	ssize_t n;

	if (nfds > FD_PASS_MAX)
		return -E2BIG;
	if (!nfds) {
		/* sendto(2): a confined device has no call that could carry a descriptor. */
		n = send(sock, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		return n < 0 ? -errno : n;
	}
	msg.msg_control = control.buf;
	msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
	*c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
			       .cmsg_type = SCM_RIGHTS,
			       .cmsg_len = CMSG_LEN(nfds * sizeof(int)) };
	memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
	n = sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	return n < 0 ? -errno : n;
}

/* Moves the descriptors of one control message to fds; those beyond the room are closed and
 * counted. */
static size_t collect_fds(struct cmsghdr *c, int *fds, size_t have, size_t room)
{
	size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < n; i++, have++) {
		int fd;

		memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
		if (have < room)
			fds[have] = fd;
		else
			close(fd);
	}
	return have;
}

ssize_t fd_recv(int sock, void *buf, size_t len, int *fds, size_t *nfds)
{
	union {
		char buf[CMSG_SPACE(FD_PASS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	/* Room for no descriptor means no control buffer: the kernel then drops them and says so.
	 */
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = *nfds ? control.buf : NULL,
			      .msg_controllen = *nfds ? sizeof(control.buf) : 0 };
	size_t room = *nfds, have = 0;
	ssize_t n = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*nfds = 0;
	if (n < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			have = collect_fds(c, fds, have, room);
	if (have > room || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		fd_close_all(fds, min_of(have, room));
		return -EMSGSIZE;
	}
	*nfds = have;
	return n;
}
