/*
 * Ids of device and spawner: unused, locked, never root's. With processes and locks of their own:
 * brokers that come and go beside the tests would take and give back the ids that they expect.
 */
#include <errno.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/unit/broker/fixture.h"

static void in_range(unsigned id)
{
	assert_in_range(id, IDS_FIRST, IDS_LAST);
	assert_null(getpwuid(id));
}

static void test_chosen(void **state)
{
	struct ids ids;

	(void)state;
	need_root();
	assert_int_equal(ids_claim(NULL, NULL, &ids), 0);
	in_range(ids.device_uid);
	in_range(ids.spawner_uid);
	assert_int_equal(ids.device_uid, ids.device_gid);
	assert_int_equal(ids.spawner_uid, ids.spawner_gid);
	assert_int_not_equal(ids.device_uid, ids.spawner_uid);
	ids_release(&ids);
	assert_int_equal(ids.locks[0], -1);
}

static void test_two_brokers_never_share(void **state)
{
	struct ids a, b, again;

	(void)state;
	need_root();
	assert_int_equal(ids_claim(NULL, NULL, &a), 0);
	assert_int_equal(ids_claim(NULL, NULL, &b), 0);
	assert_int_not_equal(a.device_uid, b.device_uid);
	assert_int_not_equal(a.device_uid, b.spawner_uid);
	assert_int_not_equal(a.spawner_uid, b.device_uid);
	assert_int_not_equal(a.spawner_uid, b.spawner_uid);
	ids_release(&a);
	assert_int_equal(ids_claim(NULL, NULL, &again), 0);
	assert_int_equal(again.device_uid, a.device_uid);
	ids_release(&again);
	ids_release(&b);
}

/* Every id of the range, once; and then none. */
static void test_as_many_as_there_are(void **state)
{
	enum {
		COUNT = IDS_LAST - IDS_FIRST + 1
	};
	static struct ids ids[COUNT / 2 + 1];
	static bool taken[COUNT];
	struct rlimit before, room;
	size_t n = 0;

	(void)state;
	need_root();
	if (getpid() != 1)
		skip(); /* others have some */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	room = (struct rlimit){ 2 * COUNT, before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &room), 0);
	for (; ids_claim(NULL, NULL, &ids[n]) == 0; n++) {
		const unsigned both[] = { ids[n].device_uid, ids[n].spawner_uid };

		for (size_t i = 0; i < 2; i++) {
			assert_in_range(both[i], IDS_FIRST, IDS_LAST);
			assert_false(taken[both[i] - IDS_FIRST]);
			taken[both[i] - IDS_FIRST] = true;
		}
	}
	assert_in_range(n, COUNT / 2 - 16, COUNT / 2); /* an account of the host may have one */
	while (n--)
		ids_release(&ids[n]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void test_a_named_id_is_not_chosen(void **state)
{
	struct ids chosen, named, again, other;
	char name[16];

	(void)state;
	need_root();
	assert_int_equal(ids_claim(NULL, NULL, &chosen), 0);
	snprintf(name, sizeof(name), "%u", chosen.device_uid);
	ids_release(&chosen);
	assert_int_equal(ids_claim(name, NULL, &named), 0);
	assert_int_equal(ids_claim(name, NULL, &again), 0); /* the administrator's choice */
	assert_int_equal(ids_claim(NULL, NULL, &other), 0);
	assert_int_not_equal(other.device_uid, named.device_uid);
	assert_int_not_equal(other.spawner_uid, named.device_uid);
	ids_release(&other);
	ids_release(&again);
	ids_release(&named);
}

/* An account that comes within the hour is met as one that comes while the broker lives. */
static void test_not_an_id_of_an_account(void **state)
{
	const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	struct ids before, soon, later;
	char command[256], lock[64];

	(void)state;
	need_root();
	if (getpid() != 1)
		skip(); /* the user database is everybody's */
	assert_int_equal(ids_claim(NULL, NULL, &before), 0);
	ids_release(&before);
	snprintf(command, sizeof(command),
		 "cp /etc/passwd /run/airlock/passwd && "
		 "echo somebody:x:%u:%u::/:/bin/false >> /run/airlock/passwd && "
		 "mount --bind /run/airlock/passwd /etc/passwd",
		 before.device_uid, before.device_uid);
	assert_int_equal(system(command), 0);
	assert_int_equal(ids_claim(NULL, NULL, &soon), 0);
	ids_release(&soon);
	snprintf(lock, sizeof(lock), "%s/%u", IDS_DIR, before.device_uid);
	assert_int_equal(utimensat(AT_FDCWD, lock, old, 0), 0);
	assert_int_equal(ids_claim(NULL, NULL, &later), 0);
	ids_release(&later);
	assert_int_equal(umount("/etc/passwd"), 0);
	assert_int_equal(soon.device_uid, before.device_uid);
	assert_int_not_equal(later.device_uid, before.device_uid);
	assert_int_not_equal(later.spawner_uid, before.device_uid);
}

/* systemd's own mark counts at once. */
static void test_not_an_id_of_a_service(void **state)
{
	struct ids before, ids;
	char command[256];

	(void)state;
	need_root();
	if (getpid() != 1)
		skip(); /* /run is everybody's */
	assert_int_equal(ids_claim(NULL, NULL, &before), 0);
	ids_release(&before);
	snprintf(command, sizeof(command),
		 "mkdir -p /run/systemd && mount -t tmpfs tmpfs /run/systemd && "
		 "mkdir /run/systemd/dynamic-uid && touch /run/systemd/dynamic-uid/%u",
		 before.device_uid);
	assert_int_equal(system(command), 0);
	assert_int_equal(ids_claim(NULL, NULL, &ids), 0);
	ids_release(&ids);
	assert_int_equal(umount("/run/systemd"), 0);
	assert_int_not_equal(ids.device_uid, before.device_uid);
	assert_int_not_equal(ids.spawner_uid, before.device_uid);
}

static void test_not_an_id_of_a_process(void **state)
{
	struct ids ids;
	unsigned first;
	int ready[2];
	char byte;
	pid_t pid;

	(void)state;
	need_root();
	assert_int_equal(ids_claim(NULL, NULL, &ids), 0);
	first = ids.device_uid;
	ids_release(&ids);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		if (setresuid(first, first, first) || write(ready[1], "", 1) != 1)
			_exit(1);
		pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(ids_claim(NULL, NULL, &ids), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_not_equal(ids.device_uid, first);
	assert_int_not_equal(ids.spawner_uid, first);
	ids_release(&ids);
	close(ready[0]);
	close(ready[1]);
}

static void test_a_named_group_is_not_chosen(void **state)
{
	struct ids named, other;

	(void)state;
	need_root();
	assert_int_equal(ids_claim("nobody", "61184", &named), 0);
	assert_int_equal(ids_claim(NULL, NULL, &other), 0);
	assert_int_not_equal(named.spawner_gid, 61184);
	assert_int_not_equal(other.device_gid, 61184);
	assert_int_not_equal(other.spawner_gid, 61184);
	ids_release(&other);
	ids_release(&named);
}

static void test_named(void **state)
{
	static const struct {
		const char *user, *group;
		int ret;
		unsigned uid, gid; /* 0: of the range */
	} rows[] = {
		{ "nobody", NULL, 0, 65534, 65534 },
		{ "daemon", "nogroup", 0, 1, 65534 },
		{ "1234567", NULL, 0, 1234567, 1234567 },
		{ "61184", "61185", 0, 61184, 61185 },
		{ NULL, "nogroup", 0, 0, 65534 },
		{ "root", NULL, -EINVAL, 0, 0 },
		{ "0", "nogroup", -EINVAL, 0, 0 },
		{ "nobody", "root", -EINVAL, 0, 0 },
		{ NULL, "0", -EINVAL, 0, 0 },
		{ "no-such-user", NULL, -EINVAL, 0, 0 },
		{ "nobody", "no-such-group", -EINVAL, 0, 0 },
		{ "4294967295", NULL, -EINVAL, 0, 0 },
		{ "-1", NULL, -EINVAL, 0, 0 },
		{ "", NULL, -EINVAL, 0, 0 },
		{ "12 ", NULL, -EINVAL, 0, 0 },
	};

	(void)state;
	need_root();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ids ids;

		assert_int_equal(ids_claim(rows[i].user, rows[i].group, &ids), rows[i].ret);
		if (rows[i].ret)
			continue;
		if (rows[i].uid)
			assert_int_equal(ids.device_uid, rows[i].uid);
		else
			in_range(ids.device_uid);
		assert_int_equal(ids.device_gid, rows[i].gid);
		assert_int_not_equal(ids.spawner_uid, ids.device_uid);
		assert_int_not_equal(ids.spawner_gid, ids.device_gid);
		in_range(ids.spawner_uid);
		ids_release(&ids);
	}
}

/* Without root every test skips. */
static int tests_run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chosen),
		cmocka_unit_test(test_two_brokers_never_share),
		cmocka_unit_test(test_as_many_as_there_are),
		cmocka_unit_test(test_a_named_id_is_not_chosen),
		cmocka_unit_test(test_not_an_id_of_an_account),
		cmocka_unit_test(test_not_an_id_of_a_service),
		cmocka_unit_test(test_not_an_id_of_a_process),
		cmocka_unit_test(test_a_named_group_is_not_chosen),
		cmocka_unit_test(test_named),
	};

	return cmocka_run_group_tests_name("ids", tests, NULL, NULL);
}

/* In the first process of a new namespace: /proc and the directory of locks become ours. */
static void enter_alone(void)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("proc", "/proc", "proc", 0, NULL) < 0 ||
	    (mkdir("/run/airlock", 0755) < 0 && errno != EEXIST) ||
	    mount("tmpfs", "/run/airlock", "tmpfs", 0, NULL) < 0) {
		perror("cannot be alone");
		exit(1);
	}
}

int main(void)
{
	pid_t first;
	int status;

	if (geteuid() || unshare(CLONE_NEWNS | CLONE_NEWPID) < 0)
		return tests_run();
	first = fork();
	if (!first) {
		enter_alone();
		return tests_run();
	}
	/* At once: after its namespace this process can have no child, and one would look for
	 * leaks. */
	_exit(first < 0 || waitpid(first, &status, 0) != first || !WIFEXITED(status) ||
	      WEXITSTATUS(status));
}
