/*
 * Child processes under test. Runs in the test process; trusts a child with nothing: every wait has
 * a deadline, its output goes to a file so that nobody blocks, and it is killed when the test dies.
 */
#include "tests/support/program.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/fd.h"

#define FIRST_FD 3
#define END_MS	 20000 /* for who is told to end: longer than a busy machine takes */
#define SPARE_FD 200   /* above everything that a child inherits */

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
}

const char *program_path(const char *name, char *path, size_t room)
{
	const char *dir = getenv("AIRLOCK_BIN");

	if (strchr(name, '/'))
		snprintf(path, room, "%s", name);
	else
		snprintf(path, room, "%s/%s", dir ? dir : "build/bin", name);
	return path;
}

const char *program_policies(char *path, size_t room)
{
	const char *dir = getenv("AIRLOCK_POLICY_DIR"), *bin = getenv("AIRLOCK_BIN");

	if (dir)
		snprintf(path, room, "%s", dir);
	else
		snprintf(path, room, "%s/../share/airlock/policy", bin ? bin : "build/bin");
	return path;
}

int program_filter(const char *role)
{
	char dir[256], path[256 + 64];
	int fd;

	snprintf(path, sizeof(path), "%s/%s.bpf", program_policies(dir, sizeof(dir)), role);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* In the child: exactly the standard descriptors and those to inherit, at fixed numbers. */
static void place_fds(const struct program *p, const struct program_start *start, int ready)
{
	int moved[PROGRAM_FDS_MAX + 1];
	size_t n = 0;

	dup2(p->output, STDOUT_FILENO);
	dup2(p->log, STDERR_FILENO);
	for (size_t i = 0; i < start->nfds; i++)
		moved[n++] = fcntl(start->fds[i], F_DUPFD, SPARE_FD);
	if (ready >= 0)
		moved[n++] = fcntl(ready, F_DUPFD, SPARE_FD);
	for (size_t i = 0; i < n; i++)
		dup2(moved[i], FIRST_FD + (int)i);
	syscall(SYS_close_range, FIRST_FD + n, ~0u, 0);
}

static void child(const struct program *p, const struct program_start *start, int ready)
{
	char path[256], ready_arg[32], pid[32], count[32];
	const char *args[PROGRAM_ARGS_MAX + 2];
	size_t n = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	place_fds(p, start, ready);
	for (; start->args[n]; n++)
		args[n] = start->args[n];
	if (ready >= 0) {
		snprintf(ready_arg, sizeof(ready_arg), "--ready-fd=%zu", FIRST_FD + start->nfds);
		args[n++] = ready_arg;
	}
	args[n] = NULL;
	program_path(start->args[0], path, sizeof(path)); /* before its variable may go */
	if (start->env[0]) {
		clearenv();
		for (size_t i = 0; start->env[i]; i++)
			putenv((char *)start->env[i]);
	}
	if (start->listen_pid) {
		snprintf(pid, sizeof(pid), "%d", getpid());
		snprintf(count, sizeof(count), "%zu", start->nfds);
		setenv("LISTEN_PID", pid, 1);
		setenv("LISTEN_FDS", count, 1);
	}
	if (start->told && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
				   SECCOMP_FILTER_FLAG_NEW_LISTENER, start->told) < 0)
		dprintf(STDERR_FILENO, "no filter: %s\n", strerror(errno));
	if (start->executed)
		*start->executed = clock_ns();
	execv(path, (char **)args);
	dprintf(STDERR_FILENO, "cannot run %s: %s\n", path, strerror(errno));
	_exit(127);
}

int program_told(const struct program_start *start)
{
	return FIRST_FD + (int)start->nfds + start->ready;
}

int program_run(struct program *p, const struct program_start *start)
{
	int ready[2] = { -1, -1 };

	*p = (struct program){ .pidfd = -1, .ready = -1 };
	p->log = memfd_create("stderr", MFD_CLOEXEC);
	p->output = memfd_create("stdout", MFD_CLOEXEC);
	if (p->log < 0 || p->output < 0 || (start->ready && pipe2(ready, O_CLOEXEC) < 0))
		return -errno;
	fcntl(p->log, F_SETFL, O_APPEND);
	fcntl(p->output, F_SETFL, O_APPEND);
	fflush(NULL);
	p->pid = fork();
	if (p->pid < 0)
		return -errno;
	if (p->pid == 0)
		child(p, start, ready[1]);
	fd_close(&ready[1]);
	p->ready = ready[0];
	p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	return p->pidfd < 0 ? -errno : 0;
}

int program_wait_ready(struct program *p, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = p->ready, .events = POLLIN };
	char line[64] = "";
	ssize_t n;

	if (poll(&poll_fd, 1, timeout_ms) != 1)
		return -ETIMEDOUT;
	n = read(p->ready, line, sizeof(line) - 1);
	fd_close(&p->ready);
	if (n <= 0)
		return -ECHILD;
	return strcmp(line, "READY=1\n") == 0 ? 0 : -EPROTO;
}

bool program_running(const struct program *p)
{
	struct pollfd poll_fd = { .fd = p->pidfd, .events = POLLIN };

	return p->pid > 0 && poll(&poll_fd, 1, 0) == 0;
}

int program_signal(const struct program *p, int signal)
{
	return syscall(SYS_pidfd_send_signal, p->pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

int program_wait(struct program *p, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = p->pidfd, .events = POLLIN };
	int status;

	if (p->pid <= 0)
		return -ECHILD;
	if (poll(&poll_fd, 1, timeout_ms) != 1)
		return -ETIMEDOUT;
	if (waitpid(p->pid, &status, 0) < 0)
		return -errno;
	p->pid = 0;
	fd_close(&p->pidfd);
	fd_close(&p->ready);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int program_stop(struct program *p)
{
	int rc;

	if (p->pid <= 0)
		return -ECHILD;
	program_signal(p, SIGTERM);
	rc = program_wait(p, END_MS);
	if (rc != -ETIMEDOUT)
		return rc;
	program_signal(p, SIGKILL);
	program_wait(p, END_MS);
	return -ETIMEDOUT;
}

char *program_text(int file)
{
	struct stat st;
	char *text;
	ssize_t n;

	if (fstat(file, &st) < 0)
		return NULL;
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return NULL;
	n = pread(file, text, (size_t)st.st_size, 0);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

void program_show(const struct program *p)
{
	char *text = program_text(p->log);

	for (char *line = text ? strtok(text, "\n") : NULL; line; line = strtok(NULL, "\n"))
		fprintf(stderr, "# %s\n", line);
	free(text);
}

bool program_matches(const char *text, const char *words)
{
	regex_t re;
	bool found;

	if (regcomp(&re, words, REG_EXTENDED | REG_NOSUB | REG_NEWLINE))
		return false;
	found = regexec(&re, text, 0, NULL, 0) == 0;
	regfree(&re);
	return found;
}

bool program_says(const struct program *p, const char *words, int timeout_ms)
{
	int64_t end = clock_ms() + timeout_ms;

	for (;;) {
		char *text = program_text(p->log);
		bool found = text && program_matches(text, words);

		free(text);
		if (found || clock_ms() >= end)
			return found;
		nap();
	}
}

void program_free(struct program *p)
{
	if (p->pid > 0)
		program_stop(p);
	fd_close(&p->pidfd);
	fd_close(&p->ready);
	fd_close(&p->log);
	fd_close(&p->output);
}
