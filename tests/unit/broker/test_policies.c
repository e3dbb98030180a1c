/* Policies: who may own them, what the compiling child leaves, that nothing changes it any more. */
#include <errno.h>
#include <linux/filter.h>
#include <sys/mman.h>

#include "tests/unit/broker/fixture.h"

#define SOMEBODY 65534
#define ALL	 (POLICIES_SUPERVISED | POLICIES_JAILED | POLICIES_PAIRED)

static const char *const files[ROLES] = { "control.policy",	     "worker.policy",
					  "broker.policy",	     "spawner.policy",
					  "launch.policy",	     "transport.policy",
					  "transport-spawner.policy" };

/* A directory with a copy of the project's policies. */
static void copy_policies(char dir[64])
{
	char command[512];

	strcpy(dir, "/tmp/airlock-policies-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(command, sizeof(command), "cp %s/*.policy %s && chmod 0644 %s/*.policy",
		 fixture_policy_dir(), dir, dir);
	assert_int_equal(system(command), 0);
}

static void remove_policies(const char *dir)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
}

static bool has_call(const struct policies_role *role, const char *call)
{
	for (size_t i = 0; i < role->ncalls; i++)
		if (!strcmp(role->calls[i], call))
			return true;
	return false;
}

static void test_sealed(void **state)
{
	const int all = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	struct policies *p;

	(void)state;
	need_root();
	assert_int_equal(policies_load(fixture_policy_dir(), ALL, SOMEBODY, SOMEBODY, &p), 0);
	for (size_t i = 0; i < ROLES; i++) {
		const struct policies_role *role = &p->roles[i];
		struct stat st;

		assert_string_equal(role->file, files[i]);
		assert_int_equal(fcntl(role->fd, F_GET_SEALS), all);
		assert_int_equal(pwrite(role->fd, "", 1, 0), -1);
		assert_int_equal(errno, EPERM);
		assert_int_equal(fstat(role->fd, &st), 0);
		assert_int_equal(st.st_size, role->length * sizeof(struct sock_filter));
		assert_int_equal(strspn(role->sha256, "0123456789abcdef"), 64);
	}
	policies_free(p);
}

/* Those that were asked for, and no other. */
static void test_some(void **state)
{
	struct policies *p;

	(void)state;
	need_root();
	assert_int_equal(
		policies_load(fixture_policy_dir(), POLICIES_JAILED, SOMEBODY, SOMEBODY, &p), 0);
	for (size_t i = 0; i < ROLES; i++)
		assert_int_equal(p->roles[i].fd >= 0, !!(POLICIES_JAILED & ROLE_BIT(i)));
	policies_free(p);
}

/* What the build compiled is what a child compiles, and nobody compiles what the build has. */
static void test_built_in(void **state)
{
	struct policies *known, *compiled;
	char dir[64], command[256];

	(void)state;
	need_root();
	copy_policies(dir);
	assert_int_equal(policies_begin(dir, ALL, SOMEBODY, SOMEBODY, &known), 0);
	assert_int_equal(known->child, 0);
	snprintf(command, sizeof(command), "cd %s && sed -i '$a #' *.policy", dir);
	assert_int_equal(system(command), 0);
	assert_int_equal(policies_begin(dir, ALL, SOMEBODY, SOMEBODY, &compiled), 0);
	assert_true(compiled->child > 0);
	assert_int_equal(policies_finish(known, ALL), 0);
	assert_int_equal(policies_finish(compiled, ALL), 0);
	for (size_t i = 0; i < ROLES; i++) {
		const struct policies_role *a = &known->roles[i], *b = &compiled->roles[i];

		assert_string_equal(a->sha256, b->sha256);
		assert_int_equal(a->ncalls, b->ncalls);
		assert_memory_equal(a->calls, b->calls, sizeof(a->calls));
	}
	policies_free(known);
	policies_free(compiled);
	remove_policies(dir);
}

/* One text that is another's is another's filter. */
static void test_only_the_changed(void **state)
{
	struct policies *p;
	char dir[64], command[256];

	(void)state;
	need_root();
	copy_policies(dir);
	snprintf(command, sizeof(command), "cp %s/worker.policy %s/control.policy", dir, dir);
	assert_int_equal(system(command), 0);
	assert_int_equal(policies_begin(dir, POLICIES_JAILED, SOMEBODY, SOMEBODY, &p), 0);
	assert_int_equal(p->pending, ROLE_BIT(ROLE_CONTROL));
	assert_int_equal(policies_finish(p, POLICIES_JAILED), 0);
	assert_string_equal(p->roles[ROLE_CONTROL].sha256, p->roles[ROLE_WORKER].sha256);
	policies_free(p);
	remove_policies(dir);
}

/* The figures that the documents claim. */
static void test_few_calls(void **state)
{
	static const char *const never[] = { "execve",	"execveat", "open",	      "openat",
					     "openat2", "socket",   "clone",	      "clone3",
					     "sendmsg", "mprotect", "io_uring_setup", "prctl",
					     "seccomp", "kill",	    "ptrace",	      "connect" };
	const struct policies_role *control, *worker;
	struct policies *p;
	size_t sum;

	(void)state;
	need_root();
	assert_int_equal(
		policies_load(fixture_policy_dir(), POLICIES_SUPERVISED, SOMEBODY, SOMEBODY, &p),
		0);
	control = &p->roles[ROLE_CONTROL];
	worker = &p->roles[ROLE_WORKER];
	assert_in_range(worker->ncalls, 1, 7);
	sum = worker->ncalls;
	for (size_t i = 0; i < control->ncalls; i++)
		sum += !has_call(worker, control->calls[i]);
	assert_in_range(sum, 1, 15);
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
		assert_false(has_call(control, never[i]));
		assert_false(has_call(worker, never[i]));
	}
	assert_false(has_call(&p->roles[ROLE_BROKER], "openat"));
	policies_free(p);
}

/* A device's filters lie upon the spawner's: what it does not allow, they cannot. */
static void test_spawner_allows_what_devices_need(void **state)
{
	struct policies *p;

	(void)state;
	need_root();
	assert_int_equal(
		policies_load(fixture_policy_dir(), POLICIES_SUPERVISED, SOMEBODY, SOMEBODY, &p),
		0);
	for (size_t role = ROLE_CONTROL; role <= ROLE_WORKER; role++)
		for (size_t i = 0; i < p->roles[role].ncalls; i++)
			assert_true(has_call(&p->roles[ROLE_SPAWNER], p->roles[role].calls[i]));
	policies_free(p);
}

/* A transport's likewise, but for what a transport does by hand alone. */
static void test_spawner_allows_what_transports_need(void **state)
{
	static const char *const by_hand[] = { "accept4", "socket", "connect" };
	const struct policies_role *transport, *spawner;
	struct policies *p;

	(void)state;
	need_root();
	assert_int_equal(
		policies_load(fixture_policy_dir(), POLICIES_PAIRED, SOMEBODY, SOMEBODY, &p), 0);
	transport = &p->roles[ROLE_TRANSPORT];
	spawner = &p->roles[ROLE_TRANSPORT_SPAWNER];
	for (size_t i = 0; i < transport->ncalls; i++) {
		bool wanted = true;

		for (size_t k = 0; k < sizeof(by_hand) / sizeof(by_hand[0]); k++)
			wanted &= strcmp(transport->calls[i], by_hand[k]) != 0;
		assert_int_equal(has_call(spawner, transport->calls[i]), wanted);
	}
	policies_free(p);
}

static void test_refused(void **state)
{
	static const struct {
		const char *change; /* shell, within the directory */
		int ret;
	} rows[] = {
		{ "chmod 0700 .", 0 }, /* the child never opens anything */
		{ "chmod 0600 *.policy", 0 },
		{ "chmod 0777 .", -EPERM },
		{ "chmod 0775 .", -EPERM },
		{ "chmod 0666 control.policy", -EPERM },
		{ "chmod 0664 spawner.policy", -EPERM },
		{ "chown 12345 worker.policy", -EPERM },
		{ "chown 12345 .", -EPERM },
		{ "rm broker.policy", -ENOENT },
		{ "rm worker.policy && mkfifo worker.policy", -EINVAL },
		{ "echo 'write 1' >> worker.policy", -EINVAL },
		{ "echo 'no_such_call: 1' >> control.policy", -EINVAL },
		{ "echo 'sendmsg: 1' >> control.policy", -EINVAL }, /* breaks a promise beside it */
		{ "head -c 70000 /dev/zero | tr '\\0' '#' > broker.policy", -EFBIG },
	};

	(void)state;
	need_root();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct policies *p;
		char dir[64], command[256];

		copy_policies(dir);
		snprintf(command, sizeof(command), "cd %s && %s", dir, rows[i].change);
		assert_int_equal(system(command), 0);
		assert_int_equal(policies_load(dir, POLICIES_SUPERVISED, SOMEBODY, SOMEBODY, &p),
				 rows[i].ret);
		if (rows[i].ret)
			assert_null(p);
		policies_free(p);
		remove_policies(dir);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sealed),
		cmocka_unit_test(test_some),
		cmocka_unit_test(test_built_in),
		cmocka_unit_test(test_only_the_changed),
		cmocka_unit_test(test_few_calls),
		cmocka_unit_test(test_spawner_allows_what_devices_need),
		cmocka_unit_test(test_spawner_allows_what_transports_need),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests_name("policies", tests, NULL, NULL);
}
