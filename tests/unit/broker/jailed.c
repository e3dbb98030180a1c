/*
 * A stand-in for airlock-device: static, takes the same descriptors, confines itself as the device
 * does (a thread, no more processes, a filter on every thread), and then does what 8-byte orders on
 * its channel say. So that the jail's tests know every step of what they look at.
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "seccomp/install.h"

extern char **environ;

static int control_filter = -1, worker_filter = -1, channel = -1;
static atomic_int worker_ready; /* 1: go on, 2: sealed */

static void pause_ms(void)
{
	struct timespec ms = { .tv_nsec = 1000000 };

	ppoll(NULL, 0, &ms, NULL);
}

static void *worker(void *arg)
{
	(void)arg;
	prctl(PR_SET_NAME, "airlock-worker0", 0L, 0L, 0L);
	while (!worker_ready)
		pause_ms();
	if (worker_filter >= 0 && install_filter(worker_filter))
		_exit(21);
	worker_ready = 2;
	for (;;)
		syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0);
	return NULL;
}

static void parse(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (!strncmp(argv[i], "--channel-fd=", 13))
			channel = atoi(argv[i] + 13);
		if (!strncmp(argv[i], "--filter-fd=control:", 20))
			control_filter = atoi(argv[i] + 20);
		if (!strncmp(argv[i], "--filter-fd=worker:", 19))
			worker_filter = atoi(argv[i] + 19);
	}
}

static void confine(void)
{
	struct rlimit none = { 0, 0 };
	pthread_t thread;

	prctl(PR_SET_NAME, "airlock-control", 0L, 0L, 0L);
	prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L);
	if (pthread_create(&thread, NULL, worker, NULL))
		_exit(22);
	if (setrlimit(RLIMIT_NPROC, &none))
		_exit(23);
	worker_ready = 1;
	while (worker_ready != 2)
		pause_ms();
	if (control_filter >= 0 && install_filter(control_filter))
		_exit(24);
}

int main(int argc, char **argv)
{
	uint64_t word = 'R';

	parse(argc, argv);
	if (environ && *environ)
		_exit(25);
	confine();
	for (;;) {
		struct {
			int fd;
			short events, revents;
		} poll = { channel, 1, 0 };

		if (write(channel, &word, 8) != 8)
			syscall(SYS_exit_group, 26);
		syscall(SYS_ppoll, &poll, 1, NULL, NULL, 0);
		if (read(channel, &word, 8) != 8)
			syscall(SYS_exit_group, 0);
		if (word == 'x')
			syscall(SYS_exit_group, 7);
		if (word == 'd') /* a call that no policy of a device has */
			syscall(SYS_getppid);
		if (word == 'c')
			__builtin_trap();
	}
}
