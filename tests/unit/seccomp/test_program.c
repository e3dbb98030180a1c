/* program: what it takes the kernel takes, and what it refuses the kernel refuses; files that are
 * no filters. */
#include <errno.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "seccomp/program.h"
#include "tests/unit/seccomp/random.h"

#define ALLOW                                            \
	{                                                \
		BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW \
	}

/* The kernel's own answer. The child runs on beneath what it installed, which allows everything or
 * has killed it; either way it was taken. */
static bool kernel_takes(const struct sock_filter *insns, size_t len)
{
	struct sock_fprog program = { .len = (unsigned short)len,
				      .filter = (struct sock_filter *)insns };
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		_exit(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 ? 41 : 0);
	}
	assert_true(pid > 0);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return !(WIFEXITED(status) && WEXITSTATUS(status) == 41);
}

static const struct {
	const char *name;
	struct sock_filter insns[4];
	size_t len;
	bool taken;
} rows[] = {
	{ "allow", { ALLOW }, 1, true },
	{ "no return at the end", { { BPF_LD | BPF_IMM, 0, 0, 1 } }, 1, false },
	{ "last word", { { BPF_LD | BPF_W | BPF_ABS, 0, 0, 60 }, ALLOW }, 2, true },
	{ "past the call", { { BPF_LD | BPF_W | BPF_ABS, 0, 0, 64 }, ALLOW }, 2, false },
	{ "between words", { { BPF_LD | BPF_W | BPF_ABS, 0, 0, 2 }, ALLOW }, 2, false },
	{ "half a word", { { BPF_LD | BPF_H | BPF_ABS, 0, 0, 0 }, ALLOW }, 2, false },
	{ "indirect", { { BPF_LD | BPF_W | BPF_IND, 0, 0, 0 }, ALLOW }, 2, false },
	{ "jump to the end", { { BPF_JMP | BPF_JA, 0, 0, 1 }, ALLOW, ALLOW }, 3, true },
	{ "jump past it", { { BPF_JMP | BPF_JA, 0, 0, 2 }, ALLOW, ALLOW }, 3, false },
	{ "jump by as much as wraps", { { BPF_JMP | BPF_JA, 0, 0, 0xffffffff }, ALLOW }, 2, false },
	{ "true past it", { { BPF_JMP | BPF_JEQ, 1, 0, 0 }, ALLOW }, 2, false },
	{ "false past it", { { BPF_JMP | BPF_JEQ, 0, 1, 0 }, ALLOW }, 2, false },
	{ "division by zero", { { BPF_ALU | BPF_DIV | BPF_K, 0, 0, 0 }, ALLOW }, 2, false },
	{ "division by X", { { BPF_ALU | BPF_DIV | BPF_X, 0, 0, 0 }, ALLOW }, 2, true },
	{ "remainder", { { BPF_ALU | BPF_MOD | BPF_K, 0, 0, 3 }, ALLOW }, 2, false },
	{ "shift by 31", { { BPF_ALU | BPF_LSH | BPF_K, 0, 0, 31 }, ALLOW }, 2, true },
	{ "shift by 32", { { BPF_ALU | BPF_RSH | BPF_K, 0, 0, 32 }, ALLOW }, 2, false },
	{ "cell unwritten", { { BPF_LD | BPF_MEM, 0, 0, 3 }, ALLOW }, 2, false },
	{ "cell written", { { BPF_ST, 0, 0, 3 }, { BPF_LD | BPF_MEM, 0, 0, 3 }, ALLOW }, 3, true },
	{ "cell 16", { { BPF_ST, 0, 0, 16 }, ALLOW }, 2, false },
	{ "cell written on one way",
	  { { BPF_JMP | BPF_JEQ, 1, 0, 0 },
	    { BPF_STX, 0, 0, 0 },
	    { BPF_LDX | BPF_MEM, 0, 0, 0 },
	    ALLOW },
	  4,
	  false },
	{ "negation", { { BPF_ALU | BPF_NEG, 0, 0, 0 }, ALLOW }, 2, true },
	{ "length", { { BPF_LDX | BPF_W | BPF_LEN, 0, 0, 0 }, ALLOW }, 2, true },
	{ "returned accumulator",
	  { { BPF_LD | BPF_IMM, 0, 0, SECCOMP_RET_ALLOW }, { BPF_RET | BPF_A, 0, 0, 0 } },
	  2,
	  true },
	{ "returned X", { { BPF_RET | BPF_X, 0, 0, 0 } }, 1, false },
	{ "bits above", { { 0x100 | BPF_RET | BPF_K, 0, 0, 0 } }, 1, false },
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *reason;
		size_t at;

		if ((program_check(rows[i].insns, rows[i].len, &at, &reason) == 0) != rows[i].taken)
			fail_msg("%s: here", rows[i].name);
		if (kernel_takes(rows[i].insns, rows[i].len) != rows[i].taken)
			fail_msg("%s: kernel", rows[i].name);
	}
}

/* Random programs, near enough to legal ones that some are. */
static void test_like_the_kernel(void **state)
{
	static const uint16_t codes[] = { 0x20, 0x28, 0x30, 0x80, 0x81, 0x00, 0x01, 0x60, 0x61,
					  0x02, 0x03, 0x07, 0x87, 0x06, 0x16, 0x0e, 0x04, 0x0c,
					  0x14, 0x24, 0x34, 0x3c, 0x54, 0x5c, 0x44, 0xa4, 0x64,
					  0x74, 0x7c, 0x84, 0x94, 0x05, 0x15, 0x1d, 0x25, 0x35,
					  0x3d, 0x45, 0x4d, 0xb1, 0x40, 0x48 };
	unsigned taken = 0;
	uint64_t seed = 9;

	(void)state;
	for (int n = 0; n < 1500; n++) {
		struct sock_filter insns[5] = { 0 };
		const char *reason;
		size_t at;
		bool here;

		for (int i = 0; i < 4; i++)
			insns[i] = (struct sock_filter){ codes[random_below(&seed, 42)],
							 (uint8_t)random_below(&seed, 4),
							 (uint8_t)random_below(&seed, 3),
							 random_below(&seed, 5) };
		insns[4] = (struct sock_filter)ALLOW;
		here = program_check(insns, 5, &at, &reason) == 0;
		if (kernel_takes(insns, 5) != here)
			fail_msg("program %d: here %d", n, here);
		taken += here;
	}
	assert_in_range(taken, 100, 1400);
}

static void write_file(const char *path, const void *bytes, size_t size)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	fclose(file);
}

static void test_files(void **state)
{
	static const struct sock_filter many[BPF_MAXINSNS + 1];
	const struct sock_filter allow = ALLOW;
	char path[] = "/tmp/airlock-program-XXXXXX";
	struct sock_filter *insns;
	unsigned short len;

	(void)state;
	close(mkstemp(path));
	assert_int_equal(program_read(path, &insns, &len), -EINVAL);
	write_file(path, &allow, sizeof(allow));
	assert_int_equal(program_read(path, &insns, &len), 0);
	assert_int_equal(len, 1);
	assert_memory_equal(insns, &allow, sizeof(allow));
	free(insns);
	write_file(path, many, 12);
	assert_int_equal(program_read(path, &insns, &len), -EINVAL);
	write_file(path, many, sizeof(many));
	assert_int_equal(program_read(path, &insns, &len), -E2BIG);
	write_file(path, many, sizeof(many) - sizeof(many[0]));
	assert_int_equal(program_read(path, &insns, &len), 0);
	assert_int_equal(len, BPF_MAXINSNS);
	free(insns);
	unlink(path);
	assert_int_equal(program_read(path, &insns, &len), -ENOENT);
	assert_int_equal(program_read("/tmp", &insns, &len), -EINVAL);
	assert_int_equal(program_read("/dev/zero", &insns, &len), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows),
					    cmocka_unit_test(test_like_the_kernel),
					    cmocka_unit_test(test_files) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
