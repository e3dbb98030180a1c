/*
 * The jail seen from outside: every property that interface.md promises of the device and of the
 * broker, read from /proc while frames flow, compared with what the sandbox report says of them;
 * the same of the transport where there is a pair. From inside: test_escape.c.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/util.h"
#include "tests/support/card.h"
#include "tests/support/rig.h"

static struct rig rig;
static struct guest guest;
static struct card card = { .sock = -1, .changed = -1 };
static pid_t device; /* or the transport, whose part of the report `report` then is */
static json_t *report;

static int serve(void **state)
{
	(void)state;
	guest_blank(&guest);
	rig_start(&rig, (const char *[]){ "--queue-pairs=2", NULL });
	rig_open(&rig, &guest, &(struct guest_options){ .pairs = 2, .ring_size = 64 });
	device = rig_device(&rig);
	report = rig_report(&rig);
	rig_transmit(&rig, &guest, 0, 64, 0, 10);
	return 0;
}

static json_t *at(const char *key)
{
	json_t *value = json_object_get(report, key);

	assert_non_null(value);
	return value;
}

static int serve_pair(void **state)
{
	json_t *whole;

	(void)state;
	guest_blank(&guest);
	rig_start_pair(&rig, (const char *[]){ NULL });
	assert_ok(card_make_rings(&guest, 0));
	assert_ok(card_connect(&card, rig.socket));
	assert_ok(card_plug(&card, &guest));
	assert_int_equal(0x0f, card_drive(&card, &guest));
	rig_transmit(&rig, &guest, 0, 64, 0, 10);
	whole = rig_report(&rig);
	report = json_copy(json_object_get(whole, "transport"));
	json_object_set(report, "broker", json_object_get(whole, "broker"));
	json_object_set(report, "degraded", json_object_get(whole, "degraded"));
	json_decref(whole);
	device = (pid_t)json_integer_value(at("pid"));
	return 0;
}

static int end(void **state)
{
	(void)state;
	card_close(&card);
	guest_close(&guest);
	json_decref(report);
	report = NULL;
	rig_abandon(&rig);
	return 0;
}

static const char *status(pid_t pid, const char *field)
{
	static char value[256];

	assert_ok(proc_status(pid, field, value, sizeof(value)));
	return value;
}

static void assert_number(json_t *object, const char *key, json_int_t value)
{
	json_t *number = json_object_get(object, key);

	assert_true(json_is_integer(number));
	assert_int_equal(value, json_integer_value(number));
}

static void ids_are_nobodys(void **state)
{
	static const char *const fields[] = { "Uid", "Gid" };
	static const char *const keys[] = { "uid", "gid" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		unsigned id[4];

		assert_int_equal(4, sscanf(status(device, fields[i]), "%u %u %u %u", &id[0], &id[1],
					   &id[2], &id[3]));
		for (int k = 0; k < 4; k++) {
			assert_in_range(id[k], 61184, 65519);
			assert_int_equal(id[0], id[k]);
		}
		assert_number(report, keys[i], id[0]);
	}
	assert_string_equal("", status(device, "Groups"));
}

static void no_capability_is_left(void **state)
{
	static const char *const fields[] = { "CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb" };
	static const char *const keys[] = { "effective", "permitted", "inheritable", "bounding",
					    "ambient" };
	json_t *sets = at("capabilities"), *broker;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		assert_string_equal("0000000000000000", status(device, fields[i]));
		assert_int_equal(0, json_array_size(json_object_get(sets, keys[i])));
	}
	broker = json_object_get(at("broker"), "capabilities");
	for (size_t i = 0; i < 3; i++) {
		assert_string_equal("0000000000000000", status(rig.broker.pid, fields[i]));
		assert_int_equal(0, json_array_size(json_object_get(broker, keys[i])));
	}
}

static void privileges_cannot_be_gained(void **state)
{
	(void)state;
	assert_string_equal("1", status(device, "NoNewPrivs"));
	assert_string_equal("1", status(rig.broker.pid, "NoNewPrivs"));
	assert_string_equal("1", status(proc_parent(device), "NoNewPrivs"));
	assert_true(json_is_true(at("no_new_privs")));
}

static void namespaces_are_its_own(void **state)
{
	static const char *const keys[PROC_NAMESPACES] = { "user", "mount", "pid",   "net",
							   "ipc",  "uts",   "cgroup" };
	json_t *all = at("namespaces");

	(void)state;
	for (size_t i = 0; i < PROC_NAMESPACES; i++) {
		assert_false(proc_same_namespace(device, rig.broker.pid, proc_namespaces[i]));
		assert_false(proc_same_namespace(device, getpid(), proc_namespaces[i]));
		assert_true(json_is_true(json_object_get(all, keys[i])));
	}
	/* Never pid 1 of its own: a successor could not take over its connection. */
	assert_null(strstr(status(device, "NSpid"), "\t1"));
}

static void root_is_empty_and_read_only(void **state)
{
	char text[4096], path[64];
	struct dirent *e;
	int entries = 0;
	DIR *d;

	(void)state;
	assert_true(proc_read(device, "mountinfo", text, sizeof(text)) > 0);
	assert_ptr_equal(strchr(text, '\n') + 1, text + strlen(text)); /* one line */
	assert_non_null(strstr(text, " tmpfs "));
	assert_non_null(strstr(text, " / ro"));
	snprintf(path, sizeof(path), "/proc/%d/root", device);
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d)))
		entries += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	closedir(d);
	assert_int_equal(0, entries);
	snprintf(path, sizeof(path), "/proc/%d/root/x", device);
	assert_int_equal(-1, open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(EROFS, errno);
	assert_string_equal("empty", json_string_value(at("root")));
}

static void environment_is_empty(void **state)
{
	char text[64];

	(void)state;
	assert_int_equal(0, proc_read(device, "environ", text, sizeof(text)));
}

static void memory_cannot_be_dumped(void **state)
{
	char path[64];
	struct stat st;

	(void)state;
	snprintf(path, sizeof(path), "/proc/%d/mem", device);
	assert_ok(stat(path, &st));
	assert_int_equal(0, st.st_uid); /* the kernel's sign: not its own uid's */
}

static void limits_are_set(void **state)
{
	json_t *limits = at("rlimits");

	(void)state;
	assert_int_equal(0, proc_limit(device, "Max core file size"));
	assert_int_equal(0, proc_limit(device, "Max file size"));
	assert_int_equal(0, proc_limit(device, "Max processes"));
	assert_in_range(proc_limit(device, "Max open files"), 1, 4096);
	assert_number(limits, "core", 0);
	assert_number(limits, "fsize", 0);
	assert_number(limits, "nproc", 0);
	assert_number(limits, "nofile", proc_limit(device, "Max open files"));
}

/* What a descriptor may be, and how often. */
struct descriptors {
	const char *target;
	int least, most;
};

static void assert_descriptors(const struct descriptors *kinds, size_t nkinds)
{
	int n = 0, total = proc_count_fds(device), seen[8] = { 0 };
	char target[128];

	assert_in_range(nkinds, 1, ARRAY_SIZE(seen));
	for (int fd = 0; fd < 4096 && n < total; fd++) {
		size_t k = 0;

		if (proc_fd_target(device, fd, target, sizeof(target)))
			continue;
		n++;
		while (k < nkinds && strncmp(target, kinds[k].target, strlen(kinds[k].target)) != 0)
			k++;
		if (k == nkinds) {
			fail_msg("descriptor %d is %s", fd, target);
			return;
		}
		seen[k]++;
	}
	assert_int_equal(total, n);
	for (size_t k = 0; k < nkinds; k++)
		assert_in_range(seen[k], kinds[k].least, kinds[k].most);
}

static void descriptors_are_those_it_needs(void **state)
{
	static const struct descriptors kinds[] = {
		{ "socket:[", 2, 2 },		   /* front-end and channel */
		{ "/dev/net/tun", 2, 2 },	   /* a queue a pair */
		{ "anon_inode:[eventfd]", 0, 40 }, /* mailboxes, kicks, calls, errs */
	};

	(void)state;
	assert_descriptors(kinds, ARRAY_SIZE(kinds));
}

/* The report is of the moment when service began; it knows which socket is which. */
static void descriptors_are_reported_by_kind(void **state)
{
	static const char *const kinds[] = { "vhost-user", "channel", "tap", "eventfd", "memory" };
	static const int exactly[] = { 1, 1, 2 };
	int seen[ARRAY_SIZE(kinds)] = { 0 };
	json_t *entry;
	size_t i;

	(void)state;
	json_array_foreach (at("fds"), i, entry) {
		const char *kind = json_string_value(json_object_get(entry, "kind"));
		size_t k = 0;

		while (k < ARRAY_SIZE(kinds) && strcmp(kind, kinds[k]) != 0)
			k++;
		if (k == ARRAY_SIZE(kinds)) {
			fail_msg("a descriptor of kind %s", kind);
			return;
		}
		seen[k]++;
	}
	for (i = 0; i < ARRAY_SIZE(exactly); i++)
		assert_int_equal(exactly[i], seen[i]);
}

/* Where the program's own text lies, 0 for none; asserts what must hold of every mapping. */
static unsigned long text_address(pid_t pid)
{
	static char text[1 << 18];
	unsigned long first = 0;

	assert_true(proc_read(pid, "maps", text, sizeof(text)) > 0);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		unsigned long from;
		char flags[5];

		assert_int_equal(2, sscanf(line, "%lx-%*x %4s", &from, flags));
		assert_false(flags[1] == 'w' && flags[2] == 'x');
		assert_null(strstr(line, ".so"));
		if (!first && flags[2] == 'x' && strstr(line, "airlock-device"))
			first = from;
	}
	return first;
}

static void no_mapping_is_writable_and_executable(void **state)
{
	unsigned long first = text_address(device), second;

	(void)state;
	assert_true(first > 0x10000000); /* position independent */
	guest_close(&guest);
	rig_open(&rig, &guest, &(struct guest_options){ .pairs = 2, .ring_size = 64 });
	second = text_address(rig_device(&rig));
	assert_true(second != first); /* a fresh exec, a fresh layout */
}

static json_t *thread_of(pid_t tid)
{
	json_t *thread;
	size_t i;

	json_array_foreach (at("threads"), i, thread)
		if (json_integer_value(json_object_get(thread, "tid")) == tid)
			return thread;
	return NULL;
}

static bool lists(json_t *calls, const char *name)
{
	json_t *call;
	size_t i;

	json_array_foreach (calls, i, call)
		if (strcmp(json_string_value(call), name) == 0)
			return true;
	return false;
}

static void every_thread_is_filtered(void **state)
{
	static const char *const never[] = { "execve", "execveat", "open",     "openat",
					     "socket", "clone",	   "clone3",   "io_uring_setup",
					     "ptrace", "sendmsg",  "mprotect", "prctl" };
	pid_t tids[16];
	int n = proc_threads(device, tids, ARRAY_SIZE(tids)), workers = 0;
	char value[64];

	(void)state;
	assert_int_equal(3, n); /* control, and a worker for each of two pairs */
	assert_int_equal(n, json_array_size(at("threads")));
	for (int i = 0; i < n; i++) {
		json_t *thread = thread_of(tids[i]), *calls;
		bool worker;

		assert_ok(proc_thread_status(device, tids[i], "Seccomp", value, sizeof(value)));
		assert_string_equal("2", value);
		assert_ok(proc_thread_status(device, tids[i], "NoNewPrivs", value, sizeof(value)));
		assert_string_equal("1", value);
		assert_ok(proc_thread_status(device, tids[i], "CapPrm", value, sizeof(value)));
		assert_string_equal("0000000000000000", value);
		assert_non_null(thread);
		worker = strcmp(json_string_value(json_object_get(thread, "role")), "worker") == 0;
		calls = json_object_get(thread, "syscalls");
		assert_in_range(json_array_size(calls), 5, worker ? 7 : 15);
		for (size_t k = 0; k < ARRAY_SIZE(never); k++)
			assert_false(lists(calls, never[k]));
		workers += worker;
	}
	assert_int_equal(2, workers);
}

static void union_of_filters_is_small(void **state)
{
	json_t *all = json_array(), *thread, *call;
	size_t i, k;

	(void)state;
	json_array_foreach (at("threads"), i, thread) {
		json_array_foreach (json_object_get(thread, "syscalls"), k, call) {
			if (!lists(all, json_string_value(call)))
				json_array_append(all, call);
		}
	}
	assert_in_range(json_array_size(all), 7, 15);
	json_decref(all);
}

static void filters_are_those_that_were_compiled(void **state)
{
	json_t *thread;
	size_t i;

	(void)state;
	json_array_foreach (at("threads"), i, thread) {
		char dir[256], command[512], sum[65] = "";
		const char *role = json_string_value(json_object_get(thread, "role"));
		FILE *f;

		snprintf(command, sizeof(command), "sha256sum < %s/%s.bpf",
			 program_policies(dir, sizeof(dir)), role);
		f = popen(command, "re");
		assert_non_null(f);
		assert_non_null(fgets(sum, sizeof(sum), f));
		pclose(f);
		assert_string_equal(sum,
				    json_string_value(json_object_get(thread, "filter_sha256")));
	}
}

static void broker_and_spawner_are_filtered(void **state)
{
	pid_t spawner = proc_parent(device);
	unsigned uid = 0;

	(void)state;
	assert_string_equal("2", status(rig.broker.pid, "Seccomp"));
	assert_string_equal("2", status(spawner, "Seccomp"));
	assert_int_equal(rig.broker.pid, proc_parent(spawner));
	assert_int_equal(1, sscanf(status(spawner, "Uid"), "%u", &uid));
	assert_in_range(uid, 61184, 65519);
	assert_int_not_equal(uid, json_integer_value(at("uid")));
	assert_number(at("broker"), "pid", rig.broker.pid);
	assert_false(lists(json_object_get(at("broker"), "syscalls"), "execve"));
	assert_false(lists(json_object_get(at("broker"), "syscalls"), "openat"));
}

/* ---- of a transport, what is another than of a device ---- */

static void a_transports_threads_are_filtered(void **state)
{
	static const char *const never[] = { "execve", "execveat", "open",	     "openat",
					     "bind",   "listen",   "io_uring_setup", "clone",
					     "clone3", "ptrace",   "ioctl" };
	pid_t tids[16];
	int n = proc_threads(device, tids, ARRAY_SIZE(tids));
	char value[64];

	(void)state;
	assert_int_equal(2, n); /* server and task */
	assert_int_equal(n, json_array_size(at("threads")));
	for (int i = 0; i < n; i++) {
		json_t *thread = thread_of(tids[i]);

		assert_ok(proc_thread_status(device, tids[i], "Seccomp", value, sizeof(value)));
		assert_string_equal("2", value);
		/* Its own, and that of its spawner, which allows less in parts. */
		assert_ok(proc_thread_status(device, tids[i], "Seccomp_filters", value,
					     sizeof(value)));
		assert_string_equal("2", value);
		assert_non_null(thread);
		assert_string_equal("transport",
				    json_string_value(json_object_get(thread, "role")));
		for (size_t k = 0; k < ARRAY_SIZE(never); k++)
			assert_false(lists(json_object_get(thread, "syscalls"), never[k]));
	}
}

static void a_transports_descriptors_are_those_it_needs(void **state)
{
	static const struct descriptors kinds[] = {
		{ "socket:[", 4, 4 }, /* VMM, back-end with its channel, broker */
		{ "anon_inode:[eventpoll]", 1, 1 },
		{ "anon_inode:[eventfd]", 6, 40 }, /* mailbox, kicks, calls, the VMM's vectors */
		{ "/memfd:", 1, 8 },		   /* guest memory, never mapped */
	};
	char maps[65536];

	(void)state;
	assert_descriptors(kinds, ARRAY_SIZE(kinds));
	assert_true(proc_read(device, "maps", maps, sizeof(maps)) > 0);
	assert_null(strstr(maps, "memfd"));
}

static void a_transports_sockets_are_reported(void **state)
{
	static const char *const kinds[] = { "vfio-user", "vhost-user", "channel" };
	json_t *entry;
	size_t i;

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		int seen = 0;

		json_array_foreach (at("fds"), i, entry) {
			const char *kind = json_string_value(json_object_get(entry, "kind"));

			seen += !strcmp(kind, kinds[k]);
			assert_string_not_equal(kind, "tap");
			assert_string_not_equal(kind, "file");
		}
		assert_int_equal(1, seen);
	}
}

/* Neither sees the other: not by its uid, and by no namespace. */
static void a_pair_shares_nothing(void **state)
{
	pid_t other = rig_device(&rig);

	(void)state;
	for (size_t i = 0; i < PROC_NAMESPACES; i++)
		assert_false(proc_same_namespace(device, other, proc_namespaces[i]));
	assert_int_not_equal(atoi(status(device, "Uid")), atoi(status(other, "Uid")));
	assert_int_not_equal(proc_parent(device), proc_parent(other));
}

static void nothing_is_degraded(void **state)
{
	(void)state;
	assert_int_equal(0, json_array_size(at("degraded")));
	assert_true(json_integer_value(at("landlock_abi")) > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, serve, end)
#define PAIR(name)                                               \
	{                                                        \
		"transport: " #name, name, serve_pair, end, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ids_are_nobodys),
		TEST(no_capability_is_left),
		TEST(privileges_cannot_be_gained),
		TEST(namespaces_are_its_own),
		TEST(root_is_empty_and_read_only),
		TEST(environment_is_empty),
		TEST(memory_cannot_be_dumped),
		TEST(limits_are_set),
		TEST(descriptors_are_those_it_needs),
		TEST(descriptors_are_reported_by_kind),
		TEST(no_mapping_is_writable_and_executable),
		TEST(every_thread_is_filtered),
		TEST(union_of_filters_is_small),
		TEST(filters_are_those_that_were_compiled),
		TEST(broker_and_spawner_are_filtered),
		TEST(nothing_is_degraded),
		PAIR(ids_are_nobodys),
		PAIR(no_capability_is_left),
		PAIR(privileges_cannot_be_gained),
		PAIR(namespaces_are_its_own),
		PAIR(root_is_empty_and_read_only),
		PAIR(environment_is_empty),
		PAIR(memory_cannot_be_dumped),
		PAIR(limits_are_set),
		PAIR(filters_are_those_that_were_compiled),
		PAIR(broker_and_spawner_are_filtered),
		PAIR(nothing_is_degraded),
		PAIR(a_transports_threads_are_filtered),
		PAIR(a_transports_descriptors_are_those_it_needs),
		PAIR(a_transports_sockets_are_reported),
		PAIR(a_pair_shares_nothing),
	};

	if (rig_sanitized()) {
		puts("1..0 # SKIP a sanitizer's build is confined less, by design");
		return 0;
	}
	return rig_run("jail", tests, ARRAY_SIZE(tests));
}
