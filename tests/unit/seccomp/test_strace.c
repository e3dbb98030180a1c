/* strace: every shape of line that strace writes, what is a call and what is not, refusals, roles,
 * lies. */
#include "seccomp/strace.h"
#include "lib/util.h"
#include "policy/names.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static uint8_t wanted[TRACE_NUMBERS];

static int number(const char *name)
{
	return policy_syscall_number(POLICY_X86_64, name);
}

static struct observed read_text(const char *text, int expected)
{
	struct observed seen = {};
	FILE *in = fmemopen((void *)(uintptr_t)text, strlen(text), "r");

	assert_int_equal(strace_read(in, POLICY_X86_64, wanted, &seen), expected);
	fclose(in);
	return seen;
}

/* One line, one call: thread, role, name, arguments known and the values that matter. */
static const struct row {
	const char *text;
	pid_t tid;
	const char *role;
	const char *name;
	uint8_t known;
	int argument;
	uint64_t value;
	enum trace_outcome outcome;
} rows[] = {
	{ "getppid() = 39\n", 0, "", "getppid", 0, 0, 0, TRACE_MADE },
	{ "12 close(3)                = 0\n", 12, "", "close", 1, 0, 3, TRACE_MADE },
	{ "12<worker-0> close(3) = 0\n", 12, "worker-0", "close", 1, 0, 3, TRACE_MADE },
	{ "[pid    12] close(3) = 0\n", 12, "", "close", 1, 0, 3, TRACE_MADE },
	{ "[pid 12<a b>] close(3) = 0\n", 12, "a b", "close", 1, 0, 3, TRACE_MADE },
	{ "12 10:11:12.131415 close(3) = 0\n", 12, "", "close", 1, 0, 3, TRACE_MADE },
	{ "10:11:12 close(3) = 0\n", 0, "", "close", 1, 0, 3, TRACE_MADE },
	{ "12 1700000000.12 close(3) = 0 <0.000004>\n", 12, "", "close", 1, 0, 3, TRACE_MADE },
	{ "close(3</dev/null>) = 0\n", 0, "", "close", 1, 0, 3, TRACE_MADE },
	{ "close(0xffffffff) = -1 EBADF (Bad file descriptor)\n", 0, "", "close", 1, 0, 0xffffffff,
	  TRACE_MADE },
	{ "kill(-1, SIGTERM) = 0\n", 0, "", "kill", 3, 0, UINT64_MAX, TRACE_MADE },
	{ "kill(-1, SIGTERM) = 0\n", 0, "", "kill", 3, 1, 15, TRACE_MADE },
	{ "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|0x80000, -1, 0) = 0x7f\n",
	  0, "", "mmap", 0x3f, 2, 3, TRACE_MADE },
	{ "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|0x80000, -1, 0) = 0x7f\n",
	  0, "", "mmap", 0x3f, 3, 0x80022, TRACE_MADE },
	{ "mmap(NULL, 1, PROT_UNHEARD, MAP_PRIVATE, 3, 0) = 0x7f\n", 0, "", "mmap", 0x3b, 3, 2,
	  TRACE_MADE },
	{ "write(1, \"a, b) = \\\"9\\\", \", 14) = 14\n", 0, "", "write", 5, 2, 14, TRACE_MADE },
	{ "ppoll([{fd=3, events=POLLIN}, {fd=4}], 2, NULL, NULL, 8) = 1\n", 0, "", "ppoll", 0x1e, 1,
	  2, TRACE_MADE },
	{ "ioctl(1, 0x5413 /* TIOCGWINSZ */, 0x7ffd) = 0\n", 0, "", "ioctl", 7, 1, 0x5413,
	  TRACE_MADE },
	{ "openat(AT_FDCWD, \"x\", O_RDONLY|O_CLOEXEC) = 3\n", 0, "", "openat", 5, 2, 0x80000,
	  TRACE_MADE },
	{ "openat(AT_FDCWD, \"x\", 0, 0644) = 3\n", 0, "", "openat", 0xd, 3, 0644, TRACE_MADE },
	{ "12 read(3, <unfinished ...>\n12 <... read resumed>\"x = y\", 9) = 5\n", 12, "", "read",
	  1, 0, 3, TRACE_MADE },
	{ "close(3], }4) = 0\n", 0, "", "close", 9, 0, 3, TRACE_MADE },
	{ "12 exit_group(0) = ?\n12 +++ exited with 0 +++\n", 12, "", "exit_group", 1, 0, 0,
	  TRACE_MADE },
	{ "12 getppid() = 110\n12 +++ killed by SIGSYS (core dumped) +++\n", 12, "", "getppid", 0,
	  0, 0, TRACE_SIGNAL },
	{ "12 getppid() = 39\n12 --- SIGSYS {si_signo=SIGSYS, si_code=SYS_SECCOMP, si_syscall=__NR_getppid} ---\n",
	  12, "", "getppid", 0, 0, 0, TRACE_SIGNAL },
	{ "12 getppid() = 39\n12 --- SIGSYS {si_signo=SIGSYS, si_code=SI_USER, si_pid=3} ---\n", 12,
	  "", "getppid", 0, 0, 0, TRACE_MADE },
	{ "12 pause() = ?\n12 +++ killed by SIGSYS +++\n", 12, "", "pause", 0, 0, 0, TRACE_MADE },
	{ "12 pause( <unfinished ...>\n12 <... pause resumed>) = ?\n12 +++ killed by SIGSYS +++\n",
	  12, "", "pause", 0, 0, 0, TRACE_MADE },
};

static void test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		struct observed seen = read_text(row->text, 0);

		print_message("# %s", row->text);
		assert_int_equal(seen.count, 1);
		assert_int_equal(seen.calls[0].tid, row->tid);
		assert_string_equal(seen.calls[0].role, row->role);
		assert_int_equal(seen.calls[0].nr, number(row->name));
		assert_int_equal(seen.calls[0].first_known, row->known);
		assert_int_equal(seen.calls[0].first[row->argument], row->value);
		assert_int_equal(seen.calls[0].outcome, row->outcome);
		assert_int_equal(seen.calls[0].count, 1);
		assert_int_equal(seen.lost_calls, 0);
		observed_free(&seen);
	}
}

static void test_roles_follow_the_program(void **state)
{
	struct observed seen =
		read_text("10 execve(\"/usr/bin/cat\", [\"cat\"], 0x7f /* 3 vars */) = 0\n"
			  "10 clone3({flags=CLONE_VM}, 88) = 11\n"
			  "11 prctl(PR_SET_NAME, \"worker-0\"...) = 0\n"
			  "11 getpid() = 10\n"
			  "10 execve(\"/bin/nothing\", [], 0x7f) = -1 ENOENT (No such file)\n"
			  "10 getppid() = 1\n",
			  0);
	int found = 0;

	(void)state;
	for (size_t i = 0; i < seen.count; i++) {
		if (seen.calls[i].nr == number("getpid")) {
			assert_string_equal(seen.calls[i].role, "worker-0");
			found++;
		}
		if (seen.calls[i].nr == number("getppid") || seen.calls[i].nr == number("prctl")) {
			assert_string_equal(seen.calls[i].role, "cat");
			found++;
		}
	}
	assert_int_equal(found, 3);
	observed_free(&seen);
}

static void test_tells_apart_what_is_wanted(void **state)
{
	struct observed seen;

	(void)state;
	wanted[number("fcntl")] = 1 << 1;
	seen = read_text(
		"1 fcntl(3, F_GETFD) = 0\n1 fcntl(4, F_GETFD) = 0\n1 fcntl(3, F_GETFL) = 0\n"
		"1 fcntl(3, F_STRANGE) = 0\n",
		0);
	wanted[number("fcntl")] = 0;
	assert_int_equal(seen.count, 3);
	for (size_t i = 0; i < seen.count; i++) {
		assert_int_equal(seen.calls[i].args[0], 0);
		if (seen.calls[i].known)
			assert_int_equal(seen.calls[i].count, seen.calls[i].args[1] == 1 ? 2 : 1);
	}
	observed_free(&seen);
}

static void test_counts_what_it_cannot_name(void **state)
{
	struct observed seen =
		read_text("1 frobnicate(3) = 0\n1 syscall_0x1ff(1, 2) = -1 ENOSYS\n"
			  "[ Process PID=1 runs in 32 bit mode. ]\n1 socketcall(3) = 0\n",
			  0);

	(void)state;
	assert_int_equal(seen.lost_calls, 1);
	assert_int_equal(seen.count, 2);
	for (size_t i = 0; i < seen.count; i++)
		assert_true(seen.calls[i].foreign || seen.calls[i].nr == 0x1ff);
	observed_free(&seen);
}

static void test_refuses_other_text(void **state)
{
	static const char *const texts[] = { "\n",
					     "hello\n",
					     "12\n",
					     "[pid",
					     "12<",
					     "--- nothing\n",
					     "<... read resumed>) = 0\n",
					     "12 close\n" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		read_text(texts[i], -EINVAL);
}

/* Every line, cut short at every byte, is read without a fault; sanitizers watch. */
static void test_survives_cut_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *text = strdup(rows[i].text);

		for (size_t len = strlen(text); len-- > 1;) {
			struct observed seen = {};
			FILE *in;

			text[len] = '\0';
			in = fmemopen(text, len, "r");
			strace_read(in, POLICY_X86_64, wanted, &seen);
			fclose(in);
			observed_free(&seen);
		}
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_roles_follow_the_program),
		cmocka_unit_test(test_tells_apart_what_is_wanted),
		cmocka_unit_test(test_counts_what_it_cannot_name),
		cmocka_unit_test(test_refuses_other_text),
		cmocka_unit_test(test_survives_cut_lines),
	};

	return cmocka_run_group_tests_name("strace", tests, NULL, NULL);
}
