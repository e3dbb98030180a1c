/* Landlock as it takes effect, in processes of their own. Skipped where the kernel has none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/landlock.h"

static int kernel_abi(void)
{
	return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

/* Runs f in a child; its exit status. */
static int child(int (*f)(void))
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? 99 : f());
	assert_int_equal(pid, waitpid(pid, &status, 0));
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static bool denied(const char *path, int flags)
{
	return open(path, flags | O_CLOEXEC, 0600) < 0 && errno == EACCES;
}

static int without_rules(void)
{
	int held = open("/etc/passwd", O_RDONLY | O_CLOEXEC), rc = landlock_close(NULL, 0, false);
	char byte;

	if (rc != kernel_abi())
		return 1;
	if (!denied("/etc/passwd", O_RDONLY) || !denied("/tmp", O_RDONLY) ||
	    !denied("/proc/self/status", O_RDONLY))
		return 2;
	return read(held, &byte, 1) == 1 ? 0 : 3; /* what was open stays open */
}

static int with_a_rule(void)
{
	struct landlock_rule rules[] = {
		{ open("/etc", O_PATH | O_CLOEXEC),
		  LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR },
		{ -1, LANDLOCK_ACCESS_FS_READ_FILE },
	};

	if (landlock_close(rules, 2, false) < 0)
		return 1;
	if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0)
		return 2;
	if (!denied("/usr/bin/env", O_RDONLY) || !denied("/etc/airlock-test", O_WRONLY | O_CREAT))
		return 3;
	return 0;
}

static int with_a_bad_rule(void)
{
	struct landlock_rule rules[] = { { 99, LANDLOCK_ACCESS_FS_READ_FILE } };

	return landlock_close(rules, 1, false) == -EBADF &&
			       open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0
		       ? 0
		       : 1;
}

static int scoped(void)
{
	pid_t outside = getppid();

	if (landlock_close(NULL, 0, true) < 0)
		return 1;
	if (kernel_abi() < 6) /* this kernel does not know of scopes */
		return 0;
	return kill(outside, 0) < 0 && errno == EPERM ? 0 : 2;
}

static int not_scoped(void)
{
	return landlock_close(NULL, 0, false) > 0 && !kill(getppid(), 0) ? 0 : 1;
}

/* Without it the reason is told, never "done". */
static int missing(void)
{
	return landlock_close(NULL, 0, false) < 0 ? 0 : 1;
}

static void rules(void **state)
{
	(void)state;
	if (kernel_abi() < 0) {
		assert_int_equal(0, child(missing));
		print_message("# this kernel has no Landlock\n");
		skip();
	}
	assert_int_equal(0, child(without_rules));
	assert_int_equal(0, child(with_a_rule));
	assert_int_equal(0, child(with_a_bad_rule));
	assert_int_equal(0, child(scoped));
	assert_int_equal(0, child(not_scoped));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules),
	};

	return cmocka_run_group_tests_name("landlock", tests, NULL, NULL);
}
