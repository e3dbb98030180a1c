/*
 * What a jailed process looks like from outside, as interface.md promises it, read from /proc by
 * this test itself; and that a witness inside reads the same.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <sys/resource.h>

#include "broker/jail.h"
#include "tests/unit/broker/fixture.h"

#define LACKS(f, layer) (spawner_degraded((f)->spawner) & LAYER_BIT(layer))

static struct fixture fixture;
static struct born device;

static int set_up(void **state)
{
	(void)state;
	if (geteuid())
		return 0;
	fixture_start(&fixture);
	device = fixture_device(&fixture);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (geteuid())
		return 0;
	fixture_forget(&device);
	fixture_stop(&fixture);
	return 0;
}

/* /proc/PID/NAME of the device as text; its bytes. */
static size_t slurp(const char *name, char *text, size_t size)
{
	char path[320];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", device.pid, name);
	f = fopen(path, "r");
	assert_non_null(f);
	n = fread(text, 1, size - 1, f);
	text[n] = '\0';
	fclose(f);
	return n;
}

/* The rest of the line that starts with "NAME:\t". */
static const char *field(const char *text, const char *name)
{
	static char value[256];
	char start[64];
	const char *at;

	snprintf(start, sizeof(start), "\n%s:\t", name);
	at = strstr(text, start);
	assert_non_null(at);
	at += strlen(start);
	snprintf(value, sizeof(value), "%.*s", (int)strcspn(at, "\n"), at);
	return value;
}

static void test_ids(void **state)
{
	char status[8192], expected[64];

	(void)state;
	need_root();
	slurp("status", status, sizeof(status));
	snprintf(expected, sizeof(expected), "%u\t%u\t%u\t%u", fixture.ids.device_uid,
		 fixture.ids.device_uid, fixture.ids.device_uid, fixture.ids.device_uid);
	assert_string_equal(field(status, "Uid"), expected);
	snprintf(expected, sizeof(expected), "%u\t%u\t%u\t%u", fixture.ids.device_gid,
		 fixture.ids.device_gid, fixture.ids.device_gid, fixture.ids.device_gid);
	assert_string_equal(field(status, "Gid"), expected);
	assert_int_equal(strspn(field(status, "Groups"), " "), strlen(field(status, "Groups")));
}

static void test_capabilities(void **state)
{
	static const char *const sets[] = { "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb" };
	char status[8192];

	(void)state;
	need_root();
	slurp("status", status, sizeof(status));
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		assert_string_equal(field(status, sets[i]), "0000000000000000");
	assert_string_equal(field(status, "NoNewPrivs"), "1");
}

/* Pid 1 of its namespace is the spawner: a device is never. */
static void test_not_pid_1(void **state)
{
	char status[8192], expected[64];

	(void)state;
	need_root();
	slurp("status", status, sizeof(status));
	snprintf(expected, sizeof(expected), "%d\t", device.pid);
	assert_memory_equal(field(status, "NSpid"), expected, strlen(expected));
	assert_true(atoi(field(status, "NSpid") + strlen(expected)) > 1);
}

static void test_filters(void **state)
{
	char path[64], name[300], status[8192];
	struct dirent *e;
	int threads = 0;
	DIR *tasks;

	(void)state;
	need_root();
	if (LACKS(&fixture, LAYER_SECCOMP)) {
		printf("# sanitized build: no filter\n");
		skip();
	}
	snprintf(path, sizeof(path), "/proc/%d/task", device.pid);
	tasks = opendir(path);
	assert_non_null(tasks);
	while ((e = readdir(tasks))) {
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		snprintf(name, sizeof(name), "task/%s/status", e->d_name);
		slurp(name, status, sizeof(status));
		assert_string_equal(field(status, "Seccomp"), "2");
		assert_string_equal(field(status, "Seccomp_filters"), "2");
		threads++;
	}
	closedir(tasks);
	assert_int_equal(threads, 2);
}

static void test_namespaces(void **state)
{
	static const char *const files[] = { "user", "mnt", "pid", "net", "ipc", "uts", "cgroup" };

	(void)state;
	need_root();
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char path[64];
		struct stat ours, theirs;

		snprintf(path, sizeof(path), "/proc/self/ns/%s", files[i]);
		assert_int_equal(stat(path, &ours), 0);
		snprintf(path, sizeof(path), "/proc/%d/ns/%s", device.pid, files[i]);
		assert_int_equal(stat(path, &theirs), 0);
		assert_int_not_equal(ours.st_ino, theirs.st_ino);
	}
}

static void test_id_maps(void **state)
{
	char map[256], groups[16];
	unsigned inside[2], outside[2];
	int end = 0;

	(void)state;
	need_root();
	slurp("uid_map", map, sizeof(map));
	assert_int_equal(sscanf(map, "%u %u 1 %u %u 1 %n", &inside[0], &outside[0], &inside[1],
				&outside[1], &end),
			 4);
	assert_int_equal(map[end], '\0');
	assert_int_equal(inside[0], fixture.ids.device_uid);
	assert_int_equal(outside[0], inside[0]);
	assert_int_equal(inside[1], fixture.ids.spawner_uid);
	assert_int_equal(outside[1], inside[1]);
	slurp("setgroups", groups, sizeof(groups));
	assert_string_equal(groups, "deny\n");
}

static void test_root(void **state)
{
	char path[64], mounts[4096];
	struct dirent *e;
	DIR *root;

	(void)state;
	need_root();
	if (LACKS(&fixture, LAYER_ROOT)) {
		printf("# sanitized build: dynamic, so the root has files\n");
		skip();
	}
	snprintf(path, sizeof(path), "/proc/%d/root", device.pid);
	root = opendir(path);
	assert_non_null(root);
	while ((e = readdir(root)))
		assert_true(!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."));
	closedir(root);
	slurp("mountinfo", mounts, sizeof(mounts));
	assert_ptr_equal(strchr(mounts, '\n'), mounts + strlen(mounts) - 1);
	assert_non_null(strstr(mounts, " / / ro,nosuid,nodev,noexec"));
	assert_non_null(strstr(mounts, " - tmpfs airlock ro"));
	strcat(path, "/x");
	assert_int_equal(open(path, O_CREAT | O_WRONLY, 0600), -1);
	assert_int_equal(errno, EROFS);
}

static void test_environment(void **state)
{
	char text[256];

	(void)state;
	need_root();
	assert_int_equal(slurp("environ", text, sizeof(text)), 0);
}

/* Files of a process that is not dumpable are root's. */
static void test_not_dumpable(void **state)
{
	struct stat st;
	char path[64];

	(void)state;
	need_root();
	snprintf(path, sizeof(path), "/proc/%d/mem", device.pid);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, 0);
}

static void test_limits(void **state)
{
	static const struct {
		int resource;
		rlim_t most;
	} rows[] = {
		{ RLIMIT_CORE, 0 },	 { RLIMIT_FSIZE, 0 },	{ RLIMIT_NPROC, 0 },
		{ RLIMIT_NOFILE, 4096 }, { RLIMIT_MEMLOCK, 0 }, { RLIMIT_MSGQUEUE, 0 },
	};

	(void)state;
	need_root();
	if (LACKS(&fixture, LAYER_RLIMITS)) {
		printf("# sanitized build: no limits\n");
		skip();
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rlimit limit;

		assert_int_equal(
			prlimit(device.pid, (enum __rlimit_resource)rows[i].resource, NULL, &limit),
			0);
		assert_in_range(limit.rlim_max, 0, rows[i].most);
		assert_in_range(limit.rlim_cur, 0, rows[i].most);
	}
}

static void test_descriptors(void **state)
{
	char path[320], link[64];
	struct dirent *e;
	int found = 0;
	DIR *fds;

	(void)state;
	need_root();
	if (LACKS(&fixture, LAYER_SECCOMP)) {
		printf("# sanitized build: stderr and no filters\n");
		skip();
	}
	snprintf(path, sizeof(path), "/proc/%d/fd", device.pid);
	fds = opendir(path);
	assert_non_null(fds);
	while ((e = readdir(fds))) {
		int fd = atoi(e->d_name);
		ssize_t n;

		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		assert_in_range(fd, JAIL_CHANNEL, JAIL_WORKER);
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", device.pid, fd);
		n = readlink(path, link, sizeof(link) - 1);
		assert_true(n > 0);
		link[n] = '\0';
		assert_memory_equal(link, fd == JAIL_CHANNEL ? "socket:" : "/memfd:", 7);
		found++;
	}
	closedir(fds);
	assert_int_equal(found, 3);
}

static void test_no_page_writable_and_executable(void **state)
{
	char maps[65536];

	(void)state;
	need_root();
	assert_in_range(slurp("maps", maps, sizeof(maps)), 1, sizeof(maps) - 2);
	assert_null(strstr(maps, " rwx"));
	if (!LACKS(&fixture, LAYER_ROOT))
		assert_null(strstr(maps, ".so"));
}

static unsigned long load_address(void)
{
	char maps[65536];

	slurp("maps", maps, sizeof(maps));
	return strtoul(maps, NULL, 16);
}

static void test_new_address_each_time(void **state)
{
	unsigned long first;
	struct born born = device;

	(void)state;
	need_root();
	if (LACKS(&fixture, LAYER_ROOT)) {
		printf("# sanitized build: keeps the address space it was given\n");
		skip();
	}
	first = load_address();
	device = fixture_device(&fixture);
	assert_int_not_equal(load_address(), first);
	fixture_say(&device, 'x');
	assert_int_equal(fixture_news(&fixture).type, SPAWNER_DIED);
	fixture_forget(&device);
	device = born;
}

/* The Ctrl-C of a terminal is the broker's to hear. */
static void test_session_of_its_own(void **state)
{
	(void)state;
	need_root();
	assert_int_not_equal(getsid(device.pid), getsid(0));
}

static void test_witness(void **state)
{
	const struct witness *w;
	struct spawner_news news;

	(void)state;
	need_root();
	assert_int_equal(spawner_inspect(fixture.spawner, device.serial, device.pid), 0);
	news = fixture_news(&fixture);
	assert_int_equal(news.type, SPAWNER_SEEN);
	assert_int_equal(news.serial, device.serial);
	w = news.witness;
	assert_int_equal(w->error, 0);
	assert_int_equal(w->pid, device.pid);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(w->process.uid[i], fixture.ids.device_uid);
		assert_int_equal(w->process.gid[i], fixture.ids.device_gid);
	}
	assert_int_equal(w->process.groups, 0);
	assert_int_equal(w->process.no_new_privs, 1);
	assert_int_equal(w->process.permitted | w->process.bounding | w->process.ambient, 0);
	assert_int_not_equal(w->broker.permitted, 0); /* this test has not dropped anything */
	for (size_t i = 0; i < LAYER_NAMESPACES; i++) {
		assert_int_not_equal(w->namespaces[i], 0);
		assert_int_not_equal(w->namespaces[i], spawner_namespaces(fixture.spawner)[i]);
	}
	assert_string_equal(w->threads[0].comm, "airlock-control");
	if (LACKS(&fixture, LAYER_ROOT))
		return; /* and a sanitizer has threads of its own */
	assert_int_equal(w->nthreads, 2);
	assert_string_equal(w->threads[1].comm, "airlock-worker0");
	assert_int_equal(w->mounts, 1);
	assert_true(w->root_empty && w->root_read_only && w->root_tmpfs);
	assert_int_equal(w->limits[RLIMIT_NPROC][1], 0);
	assert_int_equal(w->limits[RLIMIT_NOFILE][1], 4096);
	assert_int_equal(w->threads[1].filters, 2);
	assert_int_equal(w->nfds, 3);
	assert_int_equal(w->fds[0].kind, WITNESS_SOCKET);
	assert_int_equal(w->fds[0].inode, device.inode);
	assert_int_equal(w->fds[1].kind, WITNESS_MEMORY);
}

static void test_witness_of_nobody(void **state)
{
	struct spawner_news news;

	(void)state;
	need_root();
	assert_int_equal(spawner_inspect(fixture.spawner, 99, 0x7ffffff), 0);
	news = fixture_news(&fixture);
	assert_int_equal(news.type, SPAWNER_SEEN);
	assert_int_equal(news.witness->error, -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_not_pid_1),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_namespaces),
		cmocka_unit_test(test_id_maps),
		cmocka_unit_test(test_root),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_not_dumpable),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_no_page_writable_and_executable),
		cmocka_unit_test(test_new_address_each_time),
		cmocka_unit_test(test_session_of_its_own),
		cmocka_unit_test(test_witness),
		cmocka_unit_test(test_witness_of_nobody),
	};

	return cmocka_run_group_tests_name("jail", tests, set_up, tear_down);
}
