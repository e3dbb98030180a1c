/* trace: exact counts, per thread, role and argument; refused calls of every kind; the tree and
 * nobody else. */
#include "seccomp/trace.h"
#include "lib/util.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define FLOOD 600000 /* calls of each of two threads, as fast as they can */

static void need_root(void)
{
	if (geteuid() == 0)
		return;
	print_message("# skipped: eBPF needs root\n");
	skip();
}

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

/* Runs `act` in a child that is followed from its first instruction to its end. */
static void watch(const uint8_t *wanted, void (*act)(void), struct observed *seen)
{
	static const uint8_t nothing[TRACE_NUMBERS];
	struct trace *trace;
	int go[2];
	pid_t pid;
	char byte;

	*seen = (struct observed){};
	assert_int_equal(pipe(go), 0);
	assert_int_equal(trace_open(wanted ? wanted : nothing, &trace), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_NAME, "subject");
		if (read(go[0], &byte, 1) == 1)
			act();
		syscall(SYS_exit_group, 0);
	}
	assert_int_equal(trace_follow(trace, pid), 0);
	assert_int_equal(write(go[1], "", 1), 1);
	for (int waits = 0; trace_is_live(trace) && waits < 15000; waits++) {
		usleep(10000);
		assert_int_equal(trace_sweep(trace, seen), 0);
	}
	assert_false(trace_is_live(trace));
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(trace_finish(trace, seen), 0);
	trace_close(trace);
	close(go[0]);
	close(go[1]);
	assert_int_equal(seen->lost_calls, 0);
	assert_int_equal(seen->lost_threads, 0);
}

/* How often `nr` was seen in threads of that name; role NULL: of any. */
static uint64_t counted(const struct observed *seen, const char *role, int nr,
			enum trace_outcome outcome)
{
	uint64_t n = 0;

	for (size_t i = 0; i < seen->count; i++) {
		const struct observed_call *call = &seen->calls[i];

		if (call->nr == nr && call->outcome == outcome &&
		    (!role || !strcmp(call->role, role)))
			n += call->count;
	}
	return n;
}

static void *flood(void *name)
{
	prctl(PR_SET_NAME, name);
	for (int i = 0; i < FLOOD; i++)
		syscall(SYS_getppid);
	return NULL;
}

static void two_floods(void)
{
	static char names[2][16] = { "flood-a", "flood-b" };
	pthread_t a, b;

	pthread_create(&a, NULL, flood, names[0]);
	pthread_create(&b, NULL, flood, names[1]);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
}

static void test_counts_every_call(void **state)
{
	struct timespec start, end;
	struct observed seen;
	double s;

	(void)state;
	need_root();
	clock_gettime(CLOCK_MONOTONIC, &start);
	watch(NULL, two_floods, &seen);
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_int_equal(counted(&seen, "flood-a", SYS_getppid, TRACE_MADE), FLOOD);
	assert_int_equal(counted(&seen, "flood-b", SYS_getppid, TRACE_MADE), FLOOD);
	assert_int_equal(counted(&seen, "subject", SYS_getppid, TRACE_MADE), 0);
	assert_int_equal(counted(&seen, NULL, SYS_exit_group, TRACE_MADE), 1);
	s = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
	print_message("# %d calls in %.2f s, set-up included: %.0f a second\n", 2 * FLOOD, s,
		      2 * FLOOD / s);
	observed_free(&seen);
}

static void three_arguments(void)
{
	syscall(SYS_fcntl, 100, 1, 7);
	syscall(SYS_fcntl, 101, 1, 8);
	syscall(SYS_fcntl, 100, 0xfffffffff, 9);
}

static void test_tells_arguments_apart(void **state)
{
	static uint8_t wanted[TRACE_NUMBERS] = { [SYS_fcntl] = 1 << 1 };
	struct observed seen;
	uint64_t ones = 0, longs = 0;

	(void)state;
	need_root();
	watch(wanted, three_arguments, &seen);
	for (size_t i = 0; i < seen.count; i++) {
		const struct observed_call *call = &seen.calls[i];

		if (call->nr != SYS_fcntl)
			continue;
		assert_int_equal(call->known, 1 << 1);
		assert_int_equal(call->args[0], 0);
		ones += call->args[1] == 1 ? call->count : 0;
		longs += call->args[1] == 0xfffffffff ? call->count : 0;
		assert_int_equal(call->first[2], call->args[1] == 1 ? 7 : 9);
	}
	assert_int_equal(ones, 2);
	assert_int_equal(longs, 1);
	observed_free(&seen);
}

static void *call_getppid(void *unused)
{
	(void)unused;
	syscall(SYS_getppid);
	return NULL;
}

static void on_sigsys(int sig)
{
	(void)sig;
}

static void refused_by_trap(void)
{
	signal(SIGSYS, on_sigsys);
	refuse(SYS_getppid, SECCOMP_RET_TRAP);
	syscall(SYS_getppid);
	syscall(SYS_getppid);
}

static void refused_by_kill_process(void)
{
	refuse(SYS_getppid, SECCOMP_RET_KILL_PROCESS);
	syscall(SYS_getppid);
}

static void refused_by_errno(void)
{
	refuse(SYS_getppid, SECCOMP_RET_ERRNO | EPERM);
	for (int i = 0; i < 3; i++)
		syscall(SYS_getppid);
}

static void refused_in_thread(void)
{
	pthread_t thread;

	signal(SIGSYS, SIG_DFL);
	refuse(SYS_getppid, SECCOMP_RET_KILL_THREAD);
	pthread_create(&thread, NULL, call_getppid, NULL);
	usleep(50000); /* a killed thread cannot be joined */
}

static void test_sees_refused_calls(void **state)
{
	static const struct {
		const char *how;
		void (*act)(void);
		enum trace_outcome outcome;
		unsigned int calls;
	} rows[] = {
		{ "kill-process", refused_by_kill_process, TRACE_SIGNAL, 1 },
		{ "trap", refused_by_trap, TRACE_SIGNAL, 2 },
		{ "errno", refused_by_errno, TRACE_ERRNO, 3 },
		{ "kill-thread", refused_in_thread, TRACE_THREAD, 1 },
	};

	(void)state;
	need_root();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct observed seen;

		print_message("# %s\n", rows[i].how);
		watch(NULL, rows[i].act, &seen);
		for (enum trace_outcome o = TRACE_MADE; o <= TRACE_THREAD; o++) {
			uint64_t n = 0;

			for (size_t c = 0; c < seen.count; c++)
				if (seen.calls[c].outcome == o &&
				    (o || seen.calls[c].nr == SYS_getppid))
					n += seen.calls[c].count;
			assert_int_equal(n, o == rows[i].outcome ? rows[i].calls : 0);
		}
		assert_int_equal(counted(&seen, "subject", SYS_getppid, rows[i].outcome),
				 rows[i].calls);
		observed_free(&seen);
	}
}

static void filtered_half_way(void)
{
	syscall(SYS_getppid);
	refuse(SYS_getuid, SECCOMP_RET_KILL_PROCESS);
	syscall(SYS_getppid);
	syscall(SYS_getppid);
}

static void test_tells_filters_in_force(void **state)
{
	struct observed seen;
	int least = 255;
	uint64_t before = 0, after = 0;

	(void)state;
	need_root();
	watch(NULL, filtered_half_way, &seen);
	for (size_t i = 0; i < seen.count; i++)
		least = min_of(least, seen.calls[i].filters);
	for (size_t i = 0; i < seen.count; i++) {
		if (seen.calls[i].nr != SYS_getppid)
			continue;
		before += seen.calls[i].filters == least ? seen.calls[i].count : 0;
		after += seen.calls[i].filters == least + 1 ? seen.calls[i].count : 0;
	}
	assert_int_equal(before, 1);
	assert_int_equal(after, 2);
	observed_free(&seen);
}

/* One after the other, more than the kernel's table has room for. */
static void many_children(void)
{
	for (int i = 0; i < 700; i++) {
		pid_t pid = (pid_t)syscall(SYS_fork);

		if (pid == 0) {
			for (int arg = 0; arg < 100; arg++)
				syscall(SYS_getppid, arg);
			syscall(SYS_exit, 0);
		}
		waitpid(pid, NULL, 0);
		usleep(500);
	}
}

static void test_sweeps_the_dead(void **state)
{
	static uint8_t wanted[TRACE_NUMBERS] = { [SYS_getppid] = 1 };
	struct observed seen;

	(void)state;
	need_root();
	watch(wanted, many_children, &seen);
	assert_int_equal(counted(&seen, "subject", SYS_getppid, TRACE_MADE), 70000);
	assert_int_equal(counted(&seen, "subject", SYS_exit, TRACE_MADE), 700);
	observed_free(&seen);
}

static void too_many_arguments(void)
{
	for (int arg = 0; arg < TRACE_ENTRIES + 1000; arg++)
		syscall(SYS_getppid, arg);
}

static void test_reports_what_it_lost(void **state)
{
	static uint8_t wanted[TRACE_NUMBERS] = { [SYS_getppid] = 1 };
	struct observed seen = {};
	struct trace *trace;

	(void)state;
	need_root();
	assert_int_equal(trace_open(wanted, &trace), 0);
	assert_int_equal(trace_follow(trace, getpid()), 0);
	too_many_arguments();
	assert_int_equal(trace_finish(trace, &seen), 0);
	trace_close(trace);
	assert_in_range(seen.lost_calls, 1000, 1100);
	assert_int_equal(seen.count, TRACE_ENTRIES);
	observed_free(&seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts_every_call),
		cmocka_unit_test(test_tells_arguments_apart),
		cmocka_unit_test(test_sees_refused_calls),
		cmocka_unit_test(test_tells_filters_in_force),
		cmocka_unit_test(test_sweeps_the_dead),
		cmocka_unit_test(test_reports_what_it_lost),
	};

	return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
