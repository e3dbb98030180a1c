/*
 * System calls that fail. Runs in the test process, as the supervisor of a filter on the program
 * under test; trusts the kernel to tell it of each call, and the program with nothing.
 */
#include "tests/support/inject.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/util.h"
#include "tests/support/proc.h"

#define NR	 BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define ALLOW	 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define TELL	 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF)
#define IF(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (call), 0, 1)

/* Calls that do not return, or return elsewhere, cannot fail. */
static const struct sock_filter every_call[] = {
	NR, IF(SYS_exit_group), ALLOW, IF(SYS_exit), ALLOW, IF(SYS_rt_sigreturn), ALLOW, TELL,
};

static bool is_listener(int fd)
{
	char target[64];

	return proc_fd_target(getpid(), fd, target, sizeof(target)) == 0 &&
	       !strcmp(target, "anon_inode:seccomp notify");
}

/* The child is held in its next call, execve, until the listener is ours; before that, another file
 * may have had the number. */
static int listener_take(const struct program *p, int number)
{
	for (int i = 0; i < 2000; i++) {
		int fd = (int)syscall(SYS_pidfd_getfd, p->pidfd, number, 0);

		if (fd >= 0 && is_listener(fd))
			return fd;
		fd_close(&fd);
		nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
	}
	return -ETIMEDOUT;
}

int inject_run(struct injected *in, const struct program_start *start,
	       const struct inject_plan *plan)
{
	const struct sock_filter one_call[] = {
		NR, IF((unsigned)plan->call.nr), TELL, IF(SYS_execve), TELL, ALLOW,
	};
	bool one = plan->call.nr >= 0;
	const struct sock_fprog filter = {
		.len = one ? ARRAY_SIZE(one_call) : ARRAY_SIZE(every_call),
		.filter = (struct sock_filter *)(one ? one_call : every_call),
	};
	struct program_start filtered = *start;
	int rc;

	*in = (struct injected){ .plan = *plan, .listener = -1 };
	filtered.told = &filter;
	rc = program_run(&in->program, &filtered);
	if (rc)
		return rc;
	in->listener = listener_take(&in->program, program_told(start));
	return min_of(in->listener, 0);
}

static void process_note(struct injected *in, pid_t pid)
{
	for (unsigned i = 0; i < in->processes; i++)
		if (in->pid[i] == pid)
			return;
	if (in->processes < INJECT_PROCESSES_MAX)
		in->pid[in->processes++] = pid;
}

/* Processes that run at the same time come to a call in any order; they are born in one. */
static unsigned process_of(const struct injected *in, pid_t pid)
{
	return min_of((unsigned)(pid - in->program.pid), INJECT_PROCESSES_MAX - 1u);
}

static void call_answer(struct injected *in)
{
	struct seccomp_notif call = { 0 };
	struct seccomp_notif_resp answer = { .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };
	const struct inject_call *wanted = &in->plan.call;
	unsigned process;

	if (ioctl(in->listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
		return; /* whoever made it is dead */
	answer.id = call.id;
	if (wanted->nr >= 0 && wanted->nr != call.data.nr)
		goto answer; /* the program's start */
	process_note(in, (pid_t)call.pid);
	process = process_of(in, (pid_t)call.pid);
	in->calls[process]++;
	if (in->plan.see)
		in->plan.see(in->plan.arg, process, call.data.nr, call.data.args[0]);
	if (wanted->nr >= 0 && wanted->process == process && wanted->number == in->calls[process]) {
		answer.flags = 0;
		answer.error = -in->plan.error;
		in->failed = true;
	}
answer:
	ioctl(in->listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
}

enum inject_event inject_serve(struct injected *in, int timeout_ms)
{
	for (;;) {
		struct pollfd fds[] = {
			{ .fd = in->listener, .events = POLLIN },
			{ .fd = in->program.pidfd, .events = POLLIN },
			{ .fd = in->program.ready, .events = POLLIN },
		};

		if (poll(fds, ARRAY_SIZE(fds), timeout_ms) <= 0)
			return INJECT_SILENT;
		if (fds[0].revents & POLLIN)
			call_answer(in);
		else if (fds[1].revents)
			return INJECT_ENDED;
		else if (fds[2].revents && program_wait_ready(&in->program, 0) == 0)
			return INJECT_READY;
		else if (fds[0].revents) /* nobody is left under the filter */
			fd_close(&in->listener);
	}
}

void inject_free(struct injected *in)
{
	fd_close(&in->listener); /* calls that wait now fail, and nobody waits for us */
	program_free(&in->program);
}
