/* listen, frontends, notify: stale and live sockets told apart, modes and groups, removal of our
 * own socket only, what an inherited descriptor is, and who is told. In a directory of its own. */
#include "broker/frontends.h"
#include "broker/notify.h"
#include "lib/fd.h"
#include "lib/util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[] = "/tmp/airlock-listen-XXXXXX";
static char path[64];

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/s", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static struct listener opened(mode_t mode, gid_t gid)
{
	struct listener listener;

	assert_int_equal(listen_open(&listener, "socket-path", path, mode, gid), 0);
	return listener;
}

static void test_mode_and_group(void **state)
{
	static const mode_t modes[] = { 0600, 0660, 0666, 0000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		mode_t before = umask(0077);
		struct listener listener = opened(modes[i], geteuid() ? (gid_t)-1 : 12345);
		struct stat st;

		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, modes[i]);
		if (!geteuid())
			assert_int_equal(st.st_gid, 12345);
		assert_int_equal(umask(before), 0077); /* as it was */
		listen_close(&listener);
		assert_int_equal(access(path, F_OK), -1);
	}
}

static void test_live_socket_is_refused(void **state)
{
	struct listener first = opened(0600, (gid_t)-1), second;
	int client;

	(void)state;
	assert_int_equal(listen_check("socket-path", path), -EINVAL);
	assert_int_equal(listen_open(&second, "socket-path", path, 0600, (gid_t)-1), -EINVAL);
	assert_int_equal(second.fd, -1);
	listen_close(&second);
	assert_int_equal(listen_accept(&first), -EAGAIN); /* who asked was no client */
	client = listen_connect(path);			  /* the first one still listens */
	assert_true(client >= 0);
	fd_close(&client);
	listen_close(&first);
}

static void test_stale_socket_is_replaced(void **state)
{
	struct listener first = opened(0600, (gid_t)-1), second;

	(void)state;
	fd_close(&first.fd); /* dies without removing it */
	fd_close(&first.dir);
	assert_int_equal(listen_check("socket-path", path), 0);
	assert_int_equal(access(path, F_OK), 0); /* looking changes nothing */
	second = opened(0600, (gid_t)-1);
	listen_close(&second);
	assert_int_equal(access(path, F_OK), -1);
}

/* Bound by another program that has yet to listen, or of another type: neither is ours to take. */
static void test_socket_in_use_is_refused(void **state)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct sockaddr_un name = { .sun_family = AF_UNIX };
		int fd = socket(AF_UNIX, types[i] | SOCK_CLOEXEC, 0);

		strcpy(name.sun_path, path);
		assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
		assert_int_equal(listen_check("socket-path", path), -EINVAL);
		fd_close(&fd);
		assert_int_equal(listen_check("socket-path", path), 0);
		unlink(path);
	}
}

static void test_only_our_own_is_removed(void **state)
{
	struct listener first = opened(0600, (gid_t)-1), second;

	(void)state;
	unlink(path); /* somebody else makes room for his own */
	second = opened(0600, (gid_t)-1);
	listen_close(&first);
	assert_int_equal(access(path, F_OK), 0);
	listen_close(&second);
	assert_int_equal(access(path, F_OK), -1);
}

static void test_other_files_are_kept(void **state)
{
	struct listener listener;
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	(void)state;
	fd_close(&fd);
	assert_int_equal(listen_open(&listener, "socket-path", path, 0600, (gid_t)-1), -EINVAL);
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_int_equal(listen_check("socket-path", path), -EINVAL);
	unlink(path);
	assert_int_equal(listen_open(&listener, "socket-path", "/no/such/dir/s", 0600, (gid_t)-1),
			 -EINVAL);
	assert_int_equal(listen_open(&listener, "socket-path", "/tmp/", 0600, (gid_t)-1), -EINVAL);
}

static void test_kinds(void **state)
{
	struct listener listener = opened(0600, (gid_t)-1);
	int client = listen_connect(path), ends[2], datagram, pipes[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	datagram = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(listen_kind(listener.fd), 1);
	assert_int_equal(listen_kind(client), 0);
	assert_int_equal(listen_kind(ends[0]), -EINVAL);
	assert_int_equal(listen_kind(datagram), -EINVAL);
	assert_int_equal(listen_kind(pipes[0]), -EINVAL);
	assert_int_equal(listen_kind(-1), -EINVAL);
	fd_close_all(ends, 2);
	fd_close_all(pipes, 2);
	fd_close(&datagram);
	fd_close(&client);
	datagram = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(listen_kind(datagram), -EINVAL); /* neither */
	fd_close(&datagram);
	listen_close(&listener);
}

static void test_front_ends(void **state)
{
	struct frontends frontends = { .listener = opened(0600, (gid_t)-1), .given = -1 };
	int gone = listen_connect(path), mute = listen_connect(path);
	int there = listen_connect(path), got;
	char byte;

	(void)state;
	fd_close(&gone);
	assert_int_equal(shutdown(mute, SHUT_WR), 0);
	got = frontends_next(&frontends); /* skips those that gave up */
	assert_true(got >= 0);
	assert_int_equal(fcntl(got, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	assert_int_equal(fcntl(got, F_GETFD), FD_CLOEXEC);
	assert_int_equal(write(there, "x", 1), 1);
	assert_int_equal(read(got, &byte, 1), 1);
	assert_int_equal(frontends_next(&frontends), -EAGAIN);
	fd_close(&got);
	fd_close(&mute);
	fd_close(&there);
	frontends_close(&frontends);
	assert_int_equal(access(path, F_OK), -1);
}

static void test_dialling(void **state)
{
	struct frontends dial = {
		.kind = FRONTENDS_DIAL, .listener = LISTENER_NONE, .path = path, .given = -1
	};
	struct listener listener;
	int fd;

	(void)state;
	assert_int_equal(frontends_fd(&dial), -1);
	assert_int_equal(frontends_next(&dial), -EAGAIN); /* nobody there yet */
	listener = opened(0600, (gid_t)-1);
	fd = frontends_next(&dial);
	assert_true(fd >= 0);
	fd_close(&fd);
	listen_close(&listener);
	assert_int_equal(frontends_next(&dial), -EAGAIN);
}

static void test_ready_fd(void **state)
{
	struct notify notify;
	char line[32] = "";
	int pipes[2];

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	notify_open(&notify, pipes[1]);
	notify_ready(&notify);
	notify_ready(&notify); /* once */
	assert_int_equal(read(pipes[0], line, sizeof(line)), 8);
	assert_string_equal(line, "READY=1\n");
	assert_int_equal(read(pipes[0], line, sizeof(line)), 0); /* and closed */
	notify_stopping(&notify);
	notify_close(&notify);
	fd_close(&pipes[0]);
}

/* systemd's socket, by path and in the abstract namespace. */
static void test_service_manager(void **state)
{
	const char *names[] = { path, "@airlock-test-notify" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct sockaddr_un name = { .sun_family = AF_UNIX };
		int manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		size_t len = strlen(names[i]);
		struct notify notify;
		char line[32] = "";

		memcpy(name.sun_path, names[i], len);
		if (*names[i] == '@')
			name.sun_path[0] = '\0';
		assert_int_equal(bind(manager, (struct sockaddr *)&name,
				      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
				 0);
		setenv("NOTIFY_SOCKET", names[i], 1);
		notify_open(&notify, -1);
		assert_null(getenv("NOTIFY_SOCKET"));
		notify_ready(&notify);
		assert_int_equal(recv(manager, line, sizeof(line), MSG_DONTWAIT), 7);
		assert_string_equal(line, "READY=1");
		notify_stopping(&notify);
		assert_int_equal(recv(manager, line, sizeof(line), MSG_DONTWAIT), 10);
		assert_memory_equal(line, "STOPPING=1", 10);
		notify_close(&notify);
		fd_close(&manager);
		unlink(path);
	}
	setenv("NOTIFY_SOCKET", "/no/such/socket", 1);
	{
		struct notify notify;

		notify_open(&notify, -1); /* does without */
		notify_ready(&notify);
		notify_close(&notify);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mode_and_group),
		cmocka_unit_test(test_live_socket_is_refused),
		cmocka_unit_test(test_stale_socket_is_replaced),
		cmocka_unit_test(test_socket_in_use_is_refused),
		cmocka_unit_test(test_only_our_own_is_removed),
		cmocka_unit_test(test_other_files_are_kept),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_front_ends),
		cmocka_unit_test(test_dialling),
		cmocka_unit_test(test_ready_fd),
		cmocka_unit_test(test_service_manager),
	};

	return cmocka_run_group_tests_name("listen", tests, setup, teardown);
}
