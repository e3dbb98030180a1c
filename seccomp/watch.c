/*
 * Starts or finds what is to be watched and waits for its end. Runs in airlock-policy's only
 * thread, as root where it traces; the command that it starts is the caller's own choice and runs
 * with the caller's rights.
 */
#include "seccomp/watch.h"
#include "policy/names.h"
#include "seccomp/strace.h"
#include "seccomp/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t signals;

static void on_signal(int sig)
{
	(void)sig;
	signals = signals + 1;
}

static int watch_file(const struct policy_command *command, const uint8_t *wanted,
		      struct observed *seen)
{
	FILE *in = strcmp(command->trace, "-") ? fopen(command->trace, "re") : stdin;
	int ret;

	if (!in)
		return verb_fail(command, "%s: %s", command->trace, strerror(errno));
	ret = strace_read(in, command->parse.arch, wanted, seen);
	if (in != stdin)
		fclose(in);
	if (ret == -EINVAL)
		return verb_usage(
			command,
			"%s: no system call in it; expected what `strace -f -o FILE` writes",
			command->trace);
	return ret ? verb_fail(command, "%s: %s", command->trace, strerror(-ret)) : VERB_OK;
}

static int open_failed(const struct policy_command *command, int err)
{
	if (err == -EPERM)
		return verb_fail(command,
				 "tracing needs root (CAP_BPF and CAP_PERFMON); without it: "
				 "strace -f -o FILE, then --trace=FILE");
	if (err == -EOPNOTSUPP)
		return verb_fail(command,
				 "this kernel cannot trace with eBPF (Linux 5.15 with BTF and raw "
				 "tracepoints can); strace -f -o FILE, then --trace=FILE");
	return verb_fail(command, "tracing: %s", strerror(-err));
}

/* Where a shell would find it, or NULL: looked for before the watch begins, so that execve is seen
 * once. */
static const char *find_program(const char *name, char *found, size_t size)
{
	const char *path = getenv("PATH");

	if (strchr(name, '/'))
		return name;
	for (path = path ? path : "/usr/bin:/bin"; *path; path += strspn(path, ":")) {
		size_t len = strcspn(path, ":");

		snprintf(found, size, "%.*s/%s", (int)len, path, name);
		if (access(found, X_OK) == 0)
			return found;
		path += len;
	}
	return NULL;
}

/* In the child: stops itself, and becomes the command when it is continued. Its name until then is
 * the command's. */
static void __attribute__((noreturn)) become(char **argv, int failed, bool quiet_stdout)
{
	const char *slash = strrchr(argv[0], '/'), *program;
	char found[PATH_MAX];
	int err;

	program = find_program(argv[0], found, sizeof(found));
	if (quiet_stdout)
		dup2(STDERR_FILENO, STDOUT_FILENO);
	prctl(PR_SET_NAME, slash ? slash + 1 : argv[0]);
	kill(getpid(), SIGSTOP); /* a system call and nothing else: whatever comes now is traced */
	err = ENOENT;
	if (program) {
		execv(program, argv);
		err = errno;
	}
	if (write(failed, &err, sizeof(err)) < 0)
		_exit(126);
	_exit(127);
}

/* A stopped child. *failed: where it will write the errno of its exec; the caller's to close. */
static int command_start(char **argv, bool quiet_stdout, pid_t *pid, int *failed)
{
	int fds[2], err, status;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	*pid = fork();
	err = errno;
	if (*pid == 0)
		become(argv, fds[1], quiet_stdout);
	close(fds[1]);
	*failed = fds[0];
	if (*pid > 0 && waitpid(*pid, &status, WUNTRACED) == *pid && WIFSTOPPED(status))
		return 0;
	close(fds[0]);
	return *pid < 0 ? -err : -ECHILD;
}

/* Lets the child exec; 0, or -errno of that. */
static int command_release(pid_t pid, int failed)
{
	int err;

	kill(pid, SIGCONT);
	return read(failed, &err, sizeof(err)) == sizeof(err) ? -err : 0;
}

/* Until nobody is left or nobody wants to wait. `child` is 0 for a process that is not ours. */
static int wait_for_end(struct trace *trace, pid_t child, struct observed *seen)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	sig_atomic_t handled = 0;
	int ret = 0;

	while (!ret && trace_is_live(trace)) {
		nanosleep(&pause, NULL);
		if (child && waitpid(child, NULL, WNOHANG) == child)
			child = 0;
		if (signals > handled) {
			handled = signals;
			if (!child || handled > 1)
				break;
			kill(child, SIGTERM);
		}
		ret = trace_sweep(trace, seen);
	}
	return ret;
}

static int watch_command(const struct policy_command *command, struct trace *trace,
			 bool quiet_stdout, struct observed *seen)
{
	const char *name = command->command[0];
	int failed = -1, ret;
	pid_t pid = -1;

	ret = command_start(command->command, quiet_stdout, &pid, &failed);
	if (ret)
		return verb_fail(command, "%s: %s", name, strerror(-ret));
	ret = trace_follow(trace, pid);
	if (ret) {
		kill(pid, SIGKILL);
		name = "tracing";
	} else {
		ret = command_release(pid, failed);
	}
	close(failed);
	if (ret) {
		waitpid(pid, NULL, 0);
		return verb_fail(command, "%s: %s", name, strerror(-ret));
	}
	ret = wait_for_end(trace, pid, seen);
	return ret ? verb_fail(command, "tracing: %s", strerror(-ret)) : VERB_OK;
}

static int watch_pid(const struct policy_command *command, struct trace *trace,
		     struct observed *seen)
{
	int ret = trace_follow(trace, command->pid);

	if (ret)
		return verb_fail(command, "--pid=%d: %s", (int)command->pid, strerror(-ret));
	ret = wait_for_end(trace, 0, seen);
	return ret ? verb_fail(command, "tracing: %s", strerror(-ret)) : VERB_OK;
}

static int watch_live(const struct policy_command *command, const uint8_t *wanted,
		      bool quiet_stdout, struct observed *seen)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct trace *trace;
	int code, ret = trace_open(wanted, &trace);

	if (ret)
		return open_failed(command, ret);
	signals = 0;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	code = command->command ? watch_command(command, trace, quiet_stdout, seen)
				: watch_pid(command, trace, seen);
	ret = trace_finish(trace, seen);
	trace_close(trace);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	if (!code && ret)
		code = verb_fail(command, "tracing: %s", strerror(-ret));
	return code;
}

int watch(const struct policy_command *command, const uint8_t wanted[TRACE_NUMBERS],
	  bool quiet_stdout, struct observed *seen)
{
	int code, sources = (command->pid != 0) + (command->trace != NULL) +
			    (command->command != NULL);

	*seen = (struct observed){};
	if (sources != 1)
		return verb_usage(command, "give one of --pid=PID, --trace=FILE and -- COMMAND...");
	if (command->trace) {
		code = watch_file(command, wanted, seen);
	} else if (command->parse.arch != policy_arch_native()) {
		return verb_usage(
			command,
			"--arch=%s: a process of this machine runs %s; --trace=FILE reads others'",
			policy_arch_name(command->parse.arch),
			policy_arch_name(policy_arch_native()));
	} else {
		code = watch_live(command, wanted, quiet_stdout, seen);
	}
	if (code)
		observed_free(seen);
	return code;
}

bool watch_lost(const struct policy_command *command, const struct observed *seen)
{
	if (!seen->lost_calls && !seen->lost_threads)
		return false;
	verb_fail(command, "incomplete: %llu calls were not counted and %llu threads not followed",
		  (unsigned long long)seen->lost_calls, (unsigned long long)seen->lost_threads);
	return true;
}
