/* What the broker keeps, seen in a child that drops: from outside in /proc, from inside by trying.
 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "broker/privilege.h"
#include "tests/unit/broker/fixture.h"

#define SOMEBODY 65534

/* A directory of `owner`'s with a socket's stand-in in it; O_PATH. */
static int make_dir(char path[64], uid_t owner, mode_t mode)
{
	int fd;

	strcpy(path, "/tmp/airlock-privilege-XXXXXX");
	assert_non_null(mkdtemp(path));
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	close(openat(fd, "socket", O_CREAT | O_WRONLY, 0600));
	assert_int_equal(chmod(path, mode), 0);
	assert_int_equal(chown(path, owner, owner), 0);
	return fd;
}

static void remove_dir(const char *path, int fd)
{
	unlinkat(fd, "socket", 0);
	rmdir(path);
	close(fd);
}

static int status_fd; /* /proc/self/status of the child that drops */

/* Runs `inside` in a child that has dropped; its wait status. */
static int dropped(const struct privilege_options *options,
		   int (*inside)(const struct privilege_options *, const struct privilege_state *))
{
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		struct privilege_state state;

		status_fd = open("/proc/self/status", O_RDONLY);
		if (privilege_drop(options, &state))
			_exit(100);
		_exit(inside(options, &state));
	}
	waitpid(pid, &status, 0);
	return status;
}

/* A filter that denies nothing, so that what else was dropped can be seen. */
static int allow_all(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	int fd = memfd_create("allow", MFD_CLOEXEC);

	assert_int_equal(write(fd, &allow, sizeof(allow)), sizeof(allow));
	return fd;
}

/* The child's own /proc/self/status has the line "NAME:\tVALUE". */
static bool status_has(const char *name, const char *value)
{
	char text[8192], line[128];
	ssize_t n = pread(status_fd, text, sizeof(text) - 1, 0);

	text[n < 0 ? 0 : n] = '\0';
	snprintf(line, sizeof(line), "\n%s:\t%s\n", name, value);
	return strstr(text, line) != NULL;
}

static int nothing_is_left(const struct privilege_options *options,
			   const struct privilege_state *state)
{
	static const char *const sets[] = { "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb" };

	(void)options;
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		if (!status_has(sets[i], "0000000000000000"))
			return 1;
	if (!status_has("NoNewPrivs", "1") || !status_has("Groups", " "))
		return 2;
	if (prctl(PR_GET_DUMPABLE) || state->capabilities)
		return 3;
	if (state->degraded & LAYER_BIT(LAYER_SECCOMP))
		return 0;
	return status_has("Seccomp", "2") ? 0 : 4;
}

static void test_nothing_is_left(void **state)
{
	struct privilege_options options = { .allowed = layer_absent_in_build() };
	char path[64];

	(void)state;
	need_root();
	options.filter_fd = allow_all();
	options.socket_dirs[options.ndirs++] = make_dir(path, 0, 0755);
	assert_int_equal(dropped(&options, nothing_is_left), 0);
	remove_dir(path, options.socket_dirs[0]);
	close(options.filter_fd);
}

static int opens_nothing(const struct privilege_options *options,
			 const struct privilege_state *state)
{
	if (state->degraded & LAYER_BIT(LAYER_LANDLOCK))
		return 0;
	if (open("/etc/passwd", O_RDONLY) >= 0 || errno != EACCES)
		return 1;
	if (open("/", O_RDONLY | O_DIRECTORY) >= 0 || errno != EACCES)
		return 2;
	if (openat(options->socket_dirs[0], "new", O_CREAT | O_WRONLY, 0600) >= 0)
		return 3;
	if (unlinkat(options->socket_dirs[0], "socket", 0) < 0)
		return 4;
	if (!unlink("/tmp/airlock-privilege-other"))
		return 5;
	return state->landlock_abi ? 0 : 6;
}

static void test_its_sockets_directory_only(void **state)
{
	struct privilege_options options = { .allowed = layer_absent_in_build() };
	char path[64];

	(void)state;
	need_root();
	close(open("/tmp/airlock-privilege-other", O_CREAT | O_WRONLY, 0600));
	options.filter_fd = allow_all();
	options.socket_dirs[options.ndirs++] = make_dir(path, 0, 0755);
	assert_int_equal(dropped(&options, opens_nothing), 0);
	unlink("/tmp/airlock-privilege-other");
	remove_dir(path, options.socket_dirs[0]);
	close(options.filter_fd);
}

static int removes_its_socket(const struct privilege_options *options,
			      const struct privilege_state *state)
{
	(void)state;
	return unlinkat(options->socket_dirs[0], "socket", 0) < 0;
}

static int keeps_one(const struct privilege_options *options, const struct privilege_state *state)
{
	if (state->capabilities != 1ull << CAP_DAC_OVERRIDE)
		return 1;
	return removes_its_socket(options, state);
}

static int keeps_none(const struct privilege_options *options, const struct privilege_state *state)
{
	if (state->capabilities)
		return 1;
	return removes_its_socket(options, state);
}

static int keeps_kill(const struct privilege_options *options, const struct privilege_state *state)
{
	(void)options;
	return state->capabilities != 1ull << CAP_KILL;
}

static void test_capability_only_where_needed(void **state)
{
	static const struct {
		uid_t owner;
		mode_t mode;
		unsigned degraded;
		int (*inside)(const struct privilege_options *, const struct privilege_state *);
	} rows[] = {
		{ 0, 0755, 0, keeps_none },
		{ SOMEBODY, 01777, 0, keeps_none },
		{ SOMEBODY, 0700, 0, keeps_one },
		{ SOMEBODY, 0755, 0, keeps_one },
		{ 0, 0755, LAYER_BIT(LAYER_USER), keeps_kill },
	};

	(void)state;
	need_root();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct privilege_options options = { .allowed = layer_absent_in_build(),
						     .degraded = rows[i].degraded };
		char path[64];

		options.filter_fd = allow_all();
		options.socket_dirs[options.ndirs++] = make_dir(path, rows[i].owner, rows[i].mode);
		assert_int_equal(dropped(&options, rows[i].inside), 0);
		remove_dir(path, options.socket_dirs[0]);
		close(options.filter_fd);
	}
}

static int tries_to_open(const struct privilege_options *options,
			 const struct privilege_state *state)
{
	(void)options;
	(void)state;
	return open("/etc/passwd", O_RDONLY);
}

static void test_its_own_policy_has_no_open(void **state)
{
	struct privilege_options options = { .allowed = layer_absent_in_build() };
	struct policies *policies;
	int status;

	(void)state;
	need_root();
	if (layer_absent_in_build() & LAYER_BIT(LAYER_SECCOMP)) {
		printf("# sanitized build: no filter\n");
		skip();
	}
	assert_int_equal(policies_load(fixture_policy_dir(), POLICIES_SUPERVISED, SOMEBODY,
				       SOMEBODY, &policies),
			 0);
	options.filter_fd = policies->roles[ROLE_BROKER].fd;
	status = dropped(&options, tries_to_open);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
	policies_free(policies);
}

static int is_degraded(const struct privilege_options *options, const struct privilege_state *state)
{
	(void)options;
	return !(state->degraded & LAYER_BIT(LAYER_SECCOMP));
}

static void test_a_missing_filter_is_an_error(void **state)
{
	struct privilege_options options = { .filter_fd = -1, .allowed = layer_absent_in_build() };

	(void)state;
	need_root();
	if (!layer_absent_in_build())
		assert_int_equal(WEXITSTATUS(dropped(&options, is_degraded)), 100);
	options.allowed |= LAYER_BIT(LAYER_SECCOMP);
	assert_int_equal(dropped(&options, is_degraded), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_left),
		cmocka_unit_test(test_its_sockets_directory_only),
		cmocka_unit_test(test_capability_only_where_needed),
		cmocka_unit_test(test_its_own_policy_has_no_open),
		cmocka_unit_test(test_a_missing_filter_is_an_error),
	};

	return cmocka_run_group_tests_name("privilege", tests, NULL, NULL);
}
