/* A connection outlives the process that made it: nobody minds until another client waits. */
#include "broker/rival.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/fd.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

static struct loop loop;
static struct sockaddr_un name;
static int listener, displaced;

static void displace(void *arg)
{
	(void)arg;
	displaced++;
}

static int client(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(0, connect(fd, (struct sockaddr *)&name, sizeof(name)));
	return fd;
}

static int open_listener(void **state)
{
	(void)state;
	name = (struct sockaddr_un){ .sun_family = AF_UNIX };
	/* abstract: nothing is left behind */
	snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "airlock-rival-%d", getpid());
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	displaced = 0;
	return bind(listener, (struct sockaddr *)&name, sizeof(name)) || listen(listener, 4);
}

static int close_listener(void **state)
{
	(void)state;
	fd_close(&listener);
	return 0;
}

/* A connection whose process exits, while its end stays open in ours. */
static int orphan(int *kept)
{
	int pass[2], ours;
	char byte = 0;
	size_t one = 1;
	pid_t pid;

	assert_int_equal(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pass));
	pid = fork();
	if (!pid) {
		ours = client();
		_exit(fd_send(pass[1], &byte, 1, &ours, 1) != 1);
	}
	assert_int_equal(pid, waitpid(pid, NULL, 0));
	assert_int_equal(1, fd_recv(pass[0], &byte, 1, kept, &one));
	fd_close_all(pass, 2);
	return accept4(listener, NULL, NULL, SOCK_CLOEXEC);
}

static bool supported(int connection)
{
	int fd = -1;
	socklen_t len = sizeof(fd);
	bool yes = !getsockopt(connection, SOL_SOCKET, SO_PEERPIDFD, &fd, &len);

	fd_close(&fd);
	return yes;
}

static void turns(int ms)
{
	for (uint64_t end = loop_now() + (uint64_t)ms * 1000000; loop_now() < end;)
		loop_turn(&loop, 20);
}

static void displaced_when_another_waits(void **state)
{
	int kept = -1, connection = orphan(&kept), second = -1;
	struct rival rival;

	(void)state;
	if (!supported(connection)) {
		print_message("# SO_PEERPIDFD needs Linux 6.5\n");
		skip();
	}
	rival_init(&rival, &loop, displace, NULL);
	rival_begin(&rival, connection, listener);
	turns(500);
	assert_int_equal(0, displaced); /* its owner's affair */
	second = client();
	turns(100);
	assert_int_equal(1, displaced);
	rival_end(&rival);
	fd_close(&second);
	fd_close(&connection);
	fd_close(&kept);
}

static void kept_while_its_process_lives(void **state)
{
	int first = client(), connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC),
	    second = client();
	struct rival rival;

	(void)state;
	rival_init(&rival, &loop, displace, NULL);
	rival_begin(&rival, connection, listener);
	turns(500);
	assert_int_equal(0, displaced);
	rival_end(&rival);
	assert_int_equal(-1, rival.process);
	fd_close(&second);
	fd_close(&connection);
	fd_close(&first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(displaced_when_another_waits, open_listener,
						close_listener),
		cmocka_unit_test_setup_teardown(kept_while_its_process_lives, open_listener,
						close_listener),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
