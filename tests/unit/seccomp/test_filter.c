/* filter, install: a policy file becomes a filter that the kernel installs and that decides as the
 * text does; what is wrong or promises too much becomes none. */
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "seccomp/filter.h"
#include "seccomp/install.h"

static char path[] = "/tmp/airlock-filter-XXXXXX";

static int make_file(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static int build(const char *text, struct filter *filter, char **errors)
{
	struct filter_options options = { .default_given = true,
					  .default_action = { POLICY_ERRNO, 77 } };
	FILE *file = fopen(path, "w");
	size_t size;
	int err;

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	options.errors = open_memstream(errors, &size);
	err = filter_build(path, &options, filter);
	fclose(options.errors);
	return err;
}

static const struct {
	const char *text;
	int err;
	const char *message;
} rows[] = {
	{ "read: 1", 0, "" },
	{ "reed: 1", -EINVAL, ":1:1: unknown system call" },
	{ "# @prove no-open\nread: 1", 0, "" },
	{ "# @prove no-open\nread: 1\nopenat: arg2 == 5", -EINVAL,
	  ":1:10: 'no-open' does not hold: openat(0x0, 0x0, 0x5, 0x0, 0x0, 0x0)" },
	{ "# @prove never write\nwrite: return EPERM", 0, "" },
};

static void test_build(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct filter filter, again;
		const struct filter_options options = { .default_given = true,
							.default_action = { POLICY_ERRNO, 77 } };
		char *errors;

		assert_int_equal(build(rows[i].text, &filter, &errors), rows[i].err);
		if (!strstr(errors, rows[i].message))
			fail_msg("%s: %s", rows[i].text, errors);
		assert_int_equal(filter.insns == NULL, rows[i].err != 0);
		assert_int_equal(filter_build_text("t", rows[i].text, strlen(rows[i].text),
						   &options, &again),
				 rows[i].err);
		assert_int_equal(filter.len, again.len);
		if (filter.len)
			assert_memory_equal(filter.insns, again.insns,
					    filter.len * sizeof(*filter.insns));
		filter_free(&again);
		filter_free(&filter);
		free(errors);
	}
}

static void test_syscalls(void **state)
{
	static const char text[] =
		"write: 1\nread: arg0 == 1\nclose: return EPERM\nfstat: { arg0 == 1; kill, log }\nbrk: kill\n";
	const struct filter_options options = { .errors = stderr };
	const char *names[8];

	(void)state;
	assert_int_equal(filter_syscalls_text("t", text, sizeof(text) - 1, &options, names, 8), 3);
	assert_string_equal(names[0], "read");
	assert_string_equal(names[1], "write");
	assert_string_equal(names[2], "fstat");
	assert_int_equal(filter_syscalls_text("t", text, sizeof(text) - 1, &options, names, 2), 2);
}

static void test_hash(void **state)
{
	const struct sock_filter allow = { BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW };
	char hex[65];

	(void)state;
	/* printf '\006\0\0\0\0\0\377\177' | sha256sum */
	filter_sha256(&allow, 1, hex);
	assert_string_equal(hex,
			    "40b2a31e1a78576bb4afdf1433867d0cc67b769635ef549fba81c7d37570520f");
}

/* ---- installing
 * ----------------------------------------------------------------------------------------------------------------
 */

static int sealed(const void *bytes, size_t size)
{
	int fd = memfd_create("filter", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	assert_int_equal(
		fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
		0);
	return fd;
}

static void test_load(void **state)
{
	static struct sock_filter many[INSTALL_MAX + 1], buf[INSTALL_MAX];
	static const struct {
		size_t size, max;
		int result;
	} sizes[] = {
		{ 8, INSTALL_MAX, 1 },
		{ 80, 10, 10 },
		{ 80, 9, -E2BIG },
		{ 0, INSTALL_MAX, -EINVAL },
		{ 12, INSTALL_MAX, -EINVAL },
		{ INSTALL_MAX * 8, INSTALL_MAX, INSTALL_MAX },
		{ INSTALL_MAX * 8 + 8, INSTALL_MAX, -E2BIG },
	};

	(void)state;
	for (size_t i = 0; i < INSTALL_MAX + 1; i++)
		many[i] = (struct sock_filter){ .code = BPF_RET | BPF_K, .k = (uint32_t)i };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int fd = sealed(many, sizes[i].size);

		memset(buf, 0xff, sizeof(buf));
		assert_int_equal(install_load(fd, buf, sizes[i].max), sizes[i].result);
		if (sizes[i].result > 0)
			assert_memory_equal(buf, many, sizes[i].size);
		close(fd);
	}
	assert_int_equal(install_load(-1, buf, INSTALL_MAX), -EBADF);
	many[9].code = BPF_LD | BPF_W | BPF_ABS; /* runs off its end */
	{
		int fd = sealed(many, 80);

		assert_int_equal(install_load(fd, buf, INSTALL_MAX), -EINVAL);
		close(fd);
	}
}

static void *try_getppid(void *unused)
{
	(void)unused;
	return (void *)(intptr_t)(syscall(SYS_getppid) < 0 ? errno : 0);
}

/* In a child: installed for this thread and those it makes from now on; another thread stays as it
 * was. */
static int installed(int fd)
{
	pthread_t after;
	void *result;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || install_filter(fd) != 0)
		return 1;
	if (syscall(SYS_getppid) >= 0 || errno != 77)
		return 2;
	if (prctl(PR_GET_SECCOMP) != 2)
		return 3;
	if (pthread_create(&after, NULL, try_getppid, NULL) || pthread_join(after, &result))
		return 4;
	return (intptr_t)result == 77 ? 0 : 5;
}

static void *install_in_thread(void *fd)
{
	return (void *)(intptr_t)installed(*(int *)fd);
}

static int in_other_thread(int fd)
{
	pthread_t thread;
	void *result;

	if (pthread_create(&thread, NULL, install_in_thread, &fd) || pthread_join(thread, &result))
		return 6;
	if (syscall(SYS_getppid) < 0)
		return 7;
	return (int)(intptr_t)result;
}

static void test_install(void **state)
{
	struct filter filter;
	char *errors;
	int status;
	pid_t pid;

	(void)state;
	/* Everything but getppid: a denylist in all but name. */
	assert_int_equal(
		build("{ exit, exit_group, prctl, futex, mmap, munmap, mprotect, clone, clone3, madvise, read, write, close,"
		      " rt_sigprocmask, set_robust_list, rseq, gettid, brk, rt_sigaction, rt_sigreturn, sched_yield,"
		      " sigaltstack, getpid, tgkill, openat, newfstatat, fstat, pread64, sched_getaffinity, prlimit64,"
		      " clock_nanosleep, clock_gettime, wait4, readlink, getrandom, lseek, ioctl, uname }: 1\n",
		      &filter, &errors),
		0);
	free(errors);
	pid = fork();
	if (pid == 0)
		_exit(in_other_thread(sealed(filter.insns, filter.len * sizeof(*filter.insns))));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	filter_free(&filter);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_build),
					    cmocka_unit_test(test_syscalls),
					    cmocka_unit_test(test_hash),
					    cmocka_unit_test(test_load),
					    cmocka_unit_test(test_install) };

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
