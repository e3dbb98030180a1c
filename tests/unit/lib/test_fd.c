/* Descriptors: one owner each, passed whole or not at all, and never left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/util.h"

static int sock[2];

static int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static int set_up(void **state)
{
	(void)state;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock);
}

static int tear_down(void **state)
{
	(void)state;
	fd_close_all(sock, 2);
	return 0;
}

static void one_owner(void **state)
{
	int fd = dup(0), copy, none = -1;

	(void)state;
	copy = fd_take(&fd);
	assert_int_equal(-1, fd);
	assert_true(fcntl(copy, F_GETFD) >= 0);
	fd_close(&fd); /* nothing */
	fd = copy;
	fd_close(&copy);
	assert_int_equal(-1, copy);
	assert_int_equal(-1, fcntl(fd, F_GETFD));
	assert_int_equal(-1, fd_take(&none));
	{
		_cleanup_fd int scoped = dup(0);

		fd = scoped;
	}
	assert_int_equal(-1, fcntl(fd, F_GETFD));
}

/* In a child, that the test keeps its own: two that stay, one named twice, and none. */
static void keeping(void **state)
{
	int keep[] = { -1, sock[1], sock[0], sock[1] }, other, status;
	pid_t pid;

	(void)state;
	other = dup(sock[0]);
	pid = fork();
	if (!pid)
		_exit(fd_keep_only(keep, ARRAY_SIZE(keep)) || fcntl(sock[0], F_GETFD) < 0 ||
		      fcntl(sock[1], F_GETFD) < 0 || fcntl(STDERR_FILENO, F_GETFD) < 0 ||
		      fcntl(other, F_GETFD) >= 0);
	assert_int_equal(pid, waitpid(pid, &status, 0));
	assert_int_equal(0, status);
	fd_close(&other);
}

static void several(void **state)
{
	int before = open_fds(), fds[3] = { dup(0), -1, dup(0) };

	(void)state;
	fd_close_all(fds, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(-1, fds[i]);
	assert_int_equal(before, open_fds());
}

static void events(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), bad = open("/dev/full", O_WRONLY);
	uint64_t most = UINT64_MAX - 1, n;

	(void)state;
	assert_int_equal(0, fd_drain(fd)); /* empty */
	assert_int_equal(0, fd_signal(fd));
	assert_int_equal(0, fd_signal(fd));
	assert_int_equal(sizeof(n), read(fd, &n, sizeof(n)));
	assert_int_equal(2, n);
	assert_int_equal(sizeof(most), write(fd, &most, sizeof(most)));
	assert_int_equal(0, fd_signal(fd)); /* saturated: awake already */
	assert_int_equal(0, fd_drain(fd));
	assert_int_equal(-1, read(fd, &n, sizeof(n)));
	fd_close(&fd);
	assert_int_equal(-EBADF, fd_signal(-1));
	assert_int_equal(-EBADF, fd_drain(-1));
	assert_int_equal(-ENOSPC, fd_signal(bad));
	fd_close(&bad);
}

/* sent: descriptors on the way; room: what the receiver has. */
static void passing(void **state)
{
	static const struct {
		size_t sent, room, len, space;
		ssize_t received;
	} rows[] = {
		{ 0, 0, 5, 10, 5 },
		{ 0, 4, 5, 10, 5 },
		{ 0, 0, 10, 10, 10 },
		{ 0, 0, 11, 10, -EMSGSIZE },
		{ 1, 1, 5, 10, 5 },
		{ 4, 4, 5, 10, 5 },
		{ 3, 4, 5, 10, 5 },
		{ 1, 0, 5, 10, -EMSGSIZE },
		{ 2, 1, 5, 10, -EMSGSIZE },
		{ 5, 4, 5, 10, -EMSGSIZE },
		{ 253, 253, 5, 10, 5 },
		{ 253, 1, 5, 10, -EMSGSIZE },
		{ 253, 252, 5, 10, -EMSGSIZE },
		{ 2, 4, 11, 10, -EMSGSIZE },
	};
	char buf[16], text[] = "hello, world....";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int fds[FD_PASS_MAX], got[FD_PASS_MAX], before = open_fds();
		size_t n = rows[i].room;

		for (size_t f = 0; f < FD_PASS_MAX; f++) {
			fds[f] = 0;
			got[f] = -1;
		}
		assert_int_equal(rows[i].len,
				 fd_send(sock[0], text, rows[i].len, fds, rows[i].sent));
		assert_int_equal(rows[i].received, fd_recv(sock[1], buf, rows[i].space, got, &n));
		if (rows[i].received > 0) {
			assert_int_equal(rows[i].sent, n);
			assert_memory_equal(text, buf, rows[i].len);
			for (size_t f = 0; f < n; f++)
				assert_int_equal(FD_CLOEXEC, fcntl(got[f], F_GETFD));
			fd_close_all(got, n);
		} else {
			assert_int_equal(0, n);
		}
		assert_int_equal(before, open_fds());
	}
}

/* CMSG_SPACE(one int) admits two on LP64; and a sender may use several control messages. */
static void two_control_messages(void **state)
{
	char buf[1] = "x", control[2 * CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { buf, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int got[2] = { -1, -1 }, zero = 0, before = open_fds();
	size_t n = 2;

	(void)state;
	for (int i = 0; i < 2; i++, c = CMSG_NXTHDR(&msg, c)) {
		*c = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
		memcpy(CMSG_DATA(c), &zero, sizeof(zero));
	}
	if (sendmsg(sock[0], &msg, 0) != 1)
		skip(); /* this kernel takes one */
	assert_int_equal(1, fd_recv(sock[1], buf, 1, got, &n));
	assert_int_equal(before + (int)n, open_fds());
	fd_close_all(got, n);
	assert_int_equal(before, open_fds());
}

static void nothing_blocks(void **state)
{
	char buf[4096] = { 0 };
	size_t none = 0;
	int rc, i = 0;

	(void)state;
	assert_int_equal(-EAGAIN, fd_recv(sock[1], buf, sizeof(buf), NULL, &none));
	while ((rc = (int)fd_send(sock[0], buf, sizeof(buf), NULL, 0)) > 0)
		i++;
	assert_int_equal(-EAGAIN, rc);
	assert_true(i > 0);
	assert_int_equal(-E2BIG, fd_send(sock[0], buf, 1, NULL, FD_PASS_MAX + 1));
}

static void the_end(void **state)
{
	char buf[4];
	size_t none = 0;

	(void)state;
	fd_close(&sock[0]);
	assert_int_equal(0, fd_recv(sock[1], buf, sizeof(buf), NULL, &none));
	assert_int_equal(-EPIPE, fd_send(sock[1], buf, 1, NULL, 0)); /* and no SIGPIPE */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_owner),      TEST(keeping), TEST(several),
		TEST(events),	      TEST(passing), TEST(two_control_messages),
		TEST(nothing_blocks), TEST(the_end),
	};

	return cmocka_run_group_tests_name("fd", tests, NULL, NULL);
}
