/* denial: a process that a filter kills is found with the call that it made; those of other uids
 * and pid namespaces, and other signals, are not. */
#include "seccomp/denial.h"
#include "lib/util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
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
#include <cmocka.h>

#define WATCHED 61999 /* uids that no account has */
#define OTHER	61998

static struct denial *denials;
static pid_t *offender_tid; /* shared with the children */

/* Names the pid namespace of a process. */
static int home_of(struct denial *d, pid_t pid)
{
	struct stat pids;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
	return stat(path, &pids) ? -errno : denial_home(d, &pids);
}

static int setup(void **state)
{
	int ret = denial_open(WATCHED, &denials);

	if (!ret)
		ret = home_of(denials, getpid());
	(void)state;
	offender_tid = mmap(NULL, sizeof(pid_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			    -1, 0);
	if (ret && geteuid() == 0)
		print_message("# denial_open: %s\n", strerror(-ret));
	return ret && geteuid() == 0 ? ret : 0;
}

static int teardown(void **state)
{
	(void)state;
	denial_close(denials);
	return 0;
}

static void need_root(void)
{
	if (denials)
		return;
	print_message("# skipped: eBPF needs root\n");
	skip();
}

/* Gives `action` to system call `nr`; everything else goes on as before. */
static void refuse(int nr, uint32_t action)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { ARRAY_SIZE(code), code };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		_exit(99);
}

static void *refused_call(void *unused)
{
	(void)unused;
	*offender_tid = (pid_t)syscall(SYS_gettid);
	refuse(SYS_getppid, SECCOMP_RET_KILL_PROCESS);
	syscall(SYS_getppid);
	return NULL;
}

static void refused_in_thread(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, refused_call, NULL);
	pthread_join(thread, NULL);
}

static void refused_here(void)
{
	refused_call(NULL);
}

static void sigsys_by_hand(void)
{
	signal(SIGSYS, SIG_DFL); /* cmocka has a handler of its own */
	raise(SIGSYS);
}

/* Runs `act` as `uid` in a child; its pid, reaped, or -1 where SIGSYS did not end it. */
static pid_t offends(uid_t uid, void (*act)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		if (setresuid(uid, uid, uid))
			_exit(98);
		act();
		_exit(97);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
		return -1;
	return pid;
}

static pid_t offend(uid_t uid, void (*act)(void))
{
	pid_t pid = offends(uid, act);

	assert_true(pid > 0);
	return pid;
}

/* Pid 1 of a namespace of its own, whose pid 2 offends when a byte comes. */
static pid_t apart(const int go[2])
{
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
	char byte;

	if (pid == 0)
		_exit(read(go[0], &byte, 1) == 1 && offends(WATCHED, refused_here) == 2 ? 0 : 1);
	assert_true(pid > 0);
	return pid;
}

static void test_names_the_call(void **state)
{
	struct denial_record record;
	struct timespec now;
	pid_t pid;

	(void)state;
	need_root();
	pid = offend(WATCHED, refused_here);
	assert_int_equal(denial_find(denials, pid, &record), 0);
	assert_int_equal(record.tgid, pid);
	assert_int_equal(record.tid, pid);
	assert_int_equal(record.nr, SYS_getppid);
	assert_string_equal(denial_syscall_name(record.nr), "getppid");
#ifdef __x86_64__
	assert_int_equal(record.arch, AUDIT_ARCH_X86_64);
#endif
	clock_gettime(CLOCK_MONOTONIC, &now);
	assert_in_range((uint64_t)now.tv_sec - record.time_ns / 1000000000, 0, 2);
}

static void test_names_the_thread(void **state)
{
	struct denial_record record;
	pid_t pid;

	(void)state;
	need_root();
	pid = offend(WATCHED, refused_in_thread);
	assert_int_equal(denial_find(denials, pid, &record), 0);
	assert_int_equal(record.tid, *offender_tid);
	assert_int_not_equal(record.tid, pid);
}

static void test_notes_no_others(void **state)
{
	struct denial_record record;

	(void)state;
	need_root();
	assert_int_equal(denial_find(denials, offend(OTHER, refused_here), &record), -ENOENT);
	assert_int_equal(denial_find(denials, offend(WATCHED, sigsys_by_hand), &record), -ENOENT);
	assert_int_equal(denial_find(denials, getpid(), &record), -ENOENT);
}

static void test_notes_nothing_before_it_has_a_home(void **state)
{
	const struct stat none = { 0 };
	struct denial_record record;
	struct denial *mine;

	(void)state;
	need_root();
	assert_int_equal(denial_open(WATCHED, &mine), 0);
	assert_int_equal(denial_find(mine, offend(WATCHED, refused_here), &record), -ENOENT);
	assert_int_equal(home_of(mine, getpid()), 0);
	assert_int_equal(denial_find(mine, offend(WATCHED, refused_here), &record), 0);
	denial_close(mine);
	assert_int_equal(denial_open(WATCHED, &mine), 0);
	assert_int_equal(denial_home(mine, &none), -ENOENT);
	assert_int_equal(denial_find(mine, offend(WATCHED, refused_here), &record), -ENOENT);
	denial_close(mine);
}

/* One looks into the namespace and knows its processes by their numbers there, and no others; the
 * other looks at this one, and a process of a namespace below is not in it. */
static void test_notes_one_namespace(void **state)
{
	struct denial_record record;
	struct denial *inside, *outside;
	int go[2], status;
	pid_t pid;

	(void)state;
	need_root();
	assert_int_equal(denial_open(WATCHED, &inside), 0);
	assert_int_equal(denial_open(WATCHED, &outside), 0);
	assert_int_equal(pipe(go), 0);
	pid = apart(go);
	assert_int_equal(home_of(inside, pid), 0);
	assert_int_equal(home_of(outside, getpid()), 0);
	assert_int_equal(write(go[1], "", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(denial_find(inside, 2, &record), 0);
	assert_int_equal(record.tid, 2);
	assert_int_equal(record.nr, SYS_getppid);
	assert_int_equal(denial_find(outside, 2, &record), -ENOENT);
	for (pid_t after = pid; after < pid + 4096; after++) /* its number here is one of these */
		assert_int_equal(denial_find(outside, after, &record), -ENOENT);
	assert_int_equal(denial_find(inside, offend(WATCHED, refused_here), &record), -ENOENT);
	denial_close(inside);
	denial_close(outside);
	close(go[0]);
	close(go[1]);
}

static void test_keeps_the_newest_64(void **state)
{
	struct denial_record record;
	pid_t first, second = 0;

	(void)state;
	need_root();
	first = offend(WATCHED, refused_here);
	for (int i = 0; i < 64; i++) {
		pid_t pid = offend(WATCHED, refused_here);

		second = i ? second : pid;
	}
	assert_int_equal(denial_find(denials, first, &record), -ENOENT);
	assert_int_equal(denial_find(denials, second, &record), 0);
}

static int fds_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void test_holds_one_descriptor(void **state)
{
	struct denial *mine;
	int before = fds_open();

	(void)state;
	need_root();
	assert_int_equal(denial_open(WATCHED, &mine), 0);
	assert_int_equal(home_of(mine, getpid()), 0);
	assert_int_equal(fds_open(), before + 1);
	denial_close(mine);
	assert_int_equal(fds_open(), before);
}

static void test_without_privilege(void **state)
{
	struct denial *mine;
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0) {
		if (geteuid() == 0 && setresuid(OTHER, OTHER, OTHER))
			_exit(98);
		_exit(denial_open(WATCHED, &mine) == -EPERM && !mine ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* What the broker does after it dropped bpf(2): reading must not make a system call. */
static void test_finds_by_memory_alone(void **state)
{
	struct denial_record record;
	int status;
	pid_t pid, dead;

	(void)state;
	need_root();
	dead = offend(WATCHED, refused_here);
	pid = fork();
	if (pid == 0) {
		if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
			_exit(99);
		status = denial_find(denials, dead, &record) == 0 &&
			 !strcmp(denial_syscall_name(record.nr), "getppid");
		syscall(SYS_exit, status ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_without_denial(void **state)
{
	struct denial_record record;

	(void)state;
	assert_int_equal(denial_find(NULL, 1, &record), -ENOENT);
	assert_string_equal(denial_syscall_name(-1), "?");
	assert_string_equal(denial_syscall_name(1 << 30), "?");
	denial_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_the_call),
		cmocka_unit_test(test_names_the_thread),
		cmocka_unit_test(test_notes_no_others),
		cmocka_unit_test(test_notes_nothing_before_it_has_a_home),
		cmocka_unit_test(test_notes_one_namespace),
		cmocka_unit_test(test_keeps_the_newest_64),
		cmocka_unit_test(test_holds_one_descriptor),
		cmocka_unit_test(test_without_privilege),
		cmocka_unit_test(test_finds_by_memory_alone),
		cmocka_unit_test(test_without_denial),
	};

	return cmocka_run_group_tests_name("denial", tests, setup, teardown);
}
