/* names: the tables hold what this machine's headers say, what other architectures have instead,
 * and what is newer. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <cmocka.h>

#include "policy/names.h"

static const struct {
	const char *name;
	int numbers[POLICY_ARCHES]; /* -1: none */
} calls[] = {
	{ "read", { 0, 63, 63 } },	   { "open", { 2, -1, -1 } },
	{ "openat", { 257, 56, 56 } },	   { "ioctl", { 16, 29, 29 } },
	{ "mmap", { 9, 222, 222 } },	   { "ppoll", { 271, 73, 73 } },
	{ "newfstatat", { 262, 79, 79 } }, { "fstat", { 5, 80, 80 } },
	{ "renameat", { 264, 38, -1 } },   { "clone3", { 435, 435, 435 } },
	{ "mseal", { 462, 462, 462 } },	   { "uretprobe", { 335, -1, -1 } },
	{ "arch_prctl", { 158, -1, -1 } }, { "riscv_hwprobe", { -1, -1, 258 } },
	{ "nosuchcall", { -1, -1, -1 } },  { "", { -1, -1, -1 } },
};

static void test_calls(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		for (int arch = 0; arch < POLICY_ARCHES; arch++) {
			int expected = calls[i].numbers[arch];
			int number = policy_syscall_number((enum policy_arch)arch, calls[i].name);

			if (number != (expected < 0 ? -ENOENT : expected))
				fail_msg("%s on %s: %d", calls[i].name,
					 policy_arch_name((enum policy_arch)arch), number);
			if (expected >= 0)
				assert_string_equal(policy_syscall_name((enum policy_arch)arch,
									(uint32_t)expected),
						    calls[i].name);
		}
	}
	assert_null(policy_syscall_name(POLICY_X86_64, 100000));
	assert_int_equal(policy_syscall_number(policy_arch_native(), "exit_group"), SYS_exit_group);
}

/* Each table is in order, or a search would miss; each number has one name. */
static void test_tables(void **state)
{
	(void)state;
	for (int a = 0; a < POLICY_ARCHES; a++) {
		enum policy_arch arch = (enum policy_arch)a;
		uint32_t before = 0, number;

		assert_true(policy_syscall_count(arch) > 250);
		for (size_t i = 0; i < policy_syscall_count(arch); i++) {
			const char *name = policy_syscall_at(arch, i, &number);

			assert_true(i == 0 || number > before);
			assert_int_equal(policy_syscall_number(arch, name), number);
			assert_string_equal(policy_syscall_name(arch, number), name);
			before = number;
		}
	}
}

static const struct {
	const char *name;
	uint64_t values[POLICY_ARCHES];
	unsigned absent; /* bits of architectures */
} constants[] = {
	{ "EPERM", { 1, 1, 1 }, 0 },
	{ "PROT_EXEC", { 4, 4, 4 }, 0 },
	{ "O_DIRECTORY", { 0x10000, 0x4000, 0x10000 }, 0 },
	{ "O_DIRECT", { 0x4000, 0x10000, 0x4000 }, 0 },
	{ "MAP_32BIT", { 0x40, 0, 0 }, 6 },
	{ "PROT_BTI", { 0, 0x10, 0 }, 5 },
	{ "ARCH_SET_FS", { 0x1002, 0, 0 }, 6 },
	{ "AT_FDCWD", { (uint64_t)-100, (uint64_t)-100, (uint64_t)-100 }, 0 },
	{ "F_GET_SEALS", { 1034, 1034, 1034 }, 0 },
	{ "PR_GET_AUXV", { 0x41555856, 0x41555856, 0x41555856 }, 0 },
	{ "MADV_GUARD_INSTALL", { 102, 102, 102 }, 0 },
	{ "TUNSETOFFLOAD", { 0x400454d0, 0x400454d0, 0x400454d0 }, 0 },
	{ "NOSUCHCONSTANT", { 0, 0, 0 }, 7 },
	{ "eperm", { 0, 0, 0 }, 7 },
};

static void test_constants(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(constants) / sizeof(constants[0]); i++) {
		for (int arch = 0; arch < POLICY_ARCHES; arch++) {
			uint64_t value = 0;
			int err =
				policy_constant((enum policy_arch)arch, constants[i].name, &value);

			if (err != (constants[i].absent >> arch & 1 ? -ENOENT : 0) ||
			    (!err && value != constants[i].values[arch]))
				fail_msg("%s on %s", constants[i].name,
					 policy_arch_name((enum policy_arch)arch));
		}
	}
}

static void test_host(void **state)
{
	static const struct {
		const char *name;
		uint64_t value;
	} host[] = { { "O_DIRECTORY", O_DIRECTORY },
		     { "O_NOFOLLOW", O_NOFOLLOW },
		     { "MAP_NORESERVE", MAP_NORESERVE },
		     { "ENOSYS", ENOSYS } };
	uint64_t value;

	(void)state;
	for (size_t i = 0; i < sizeof(host) / sizeof(host[0]); i++) {
		assert_int_equal(policy_constant(policy_arch_native(), host[i].name, &value), 0);
		assert_int_equal(value, host[i].value);
	}
}

static void test_errnos(void **state)
{
	(void)state;
	assert_string_equal(policy_errno_name(POLICY_X86_64, 1), "EPERM");
	assert_string_equal(policy_errno_name(POLICY_X86_64, 11), "EAGAIN");
	assert_string_equal(policy_errno_name(POLICY_X86_64, 38), "ENOSYS");
	assert_null(policy_errno_name(POLICY_X86_64, 4000));
	assert_null(policy_errno_name(POLICY_X86_64, 0));
}

static void test_archs(void **state)
{
	enum policy_arch arch;

	(void)state;
	for (int i = 0; i < POLICY_ARCHES; i++) {
		assert_int_equal(policy_arch_parse(policy_arch_name((enum policy_arch)i), &arch),
				 0);
		assert_int_equal(arch, i);
	}
	assert_int_equal(policy_arch_parse("arm64", &arch), 0);
	assert_int_equal(arch, POLICY_AARCH64);
	assert_int_equal(policy_arch_parse("amd64", &arch), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),	  cmocka_unit_test(test_tables),
		cmocka_unit_test(test_constants), cmocka_unit_test(test_host),
		cmocka_unit_test(test_errnos),	  cmocka_unit_test(test_archs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
