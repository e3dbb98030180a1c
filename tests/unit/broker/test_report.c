/* The sandbox report: JSON of a witness's account, the keys that interface.md fixes. */
#include <errno.h>
#include <jansson.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <sys/resource.h>

#include "broker/jail.h"
#include "broker/report.h"
#include "tests/unit/broker/fixture.h"

#define CHANNEL_INODE	 4711
#define CONNECTION_INODE 4712

static struct witness witness;
static struct policies policies;
static struct privilege_state privilege;
static uint64_t namespaces[LAYER_NAMESPACES];

/* A device as it should be. */
static struct report_facts good(void)
{
	memset(&witness, 0, sizeof(witness));
	memset(&policies, 0, sizeof(policies));
	witness.pid = 1234;
	for (int i = 0; i < 4; i++) {
		witness.process.uid[i] = 61184;
		witness.process.gid[i] = 61185;
	}
	witness.process.no_new_privs = 1;
	witness.process.known = witness.broker.known = witness.limits_known = 1;
	for (size_t i = 0; i < LAYER_NAMESPACES; i++) {
		namespaces[i] = 100 + i;
		witness.namespaces[i] = 200 + i;
	}
	witness.mounts = witness.root_read_only = witness.root_empty = witness.root_tmpfs = 1;
	witness.limits[RLIMIT_AS][1] = (uint64_t)RLIM_INFINITY;
	witness.limits[RLIMIT_NOFILE][1] = 4096;
	witness.nthreads = 2;
	witness.threads[0] = (struct witness_thread){ 1234, 2, 2, 1, "airlock-control" };
	witness.threads[1] = (struct witness_thread){ 1235, 2, 2, 1, "airlock-worker" };
	witness.nfds = 1;
	witness.fds[0] = (struct witness_fd){ JAIL_CHANNEL, WITNESS_SOCKET, CHANNEL_INODE };
	strcpy(policies.roles[ROLE_CONTROL].file, "control.policy");
	strcpy(policies.roles[ROLE_WORKER].file, "worker.policy");
	strcpy(policies.roles[ROLE_WORKER].sha256, "abcd");
	policies.roles[ROLE_WORKER].ncalls = 2;
	strcpy(policies.roles[ROLE_WORKER].calls[0], "readv");
	strcpy(policies.roles[ROLE_WORKER].calls[1], "writev");
	policies.roles[ROLE_BROKER].ncalls = 1;
	strcpy(policies.roles[ROLE_BROKER].calls[0], "ppoll");
	return (struct report_facts){ .witness = &witness,
				      .policies = &policies,
				      .privilege = &privilege,
				      .namespaces = namespaces,
				      .landlock_abi = 7,
				      .channel_inode = CHANNEL_INODE,
				      .connection_inode = CONNECTION_INODE };
}

static json_t *render(const struct report_facts *facts)
{
	char *text = report_text(facts);
	json_t *json;

	assert_non_null(text);
	assert_int_equal(text[strlen(text) - 1], '\n');
	json = json_loads(text, 0, NULL);
	free(text);
	assert_non_null(json);
	return json;
}

/* The value at "a.b.0.c". */
static json_t *at(json_t *json, const char *path)
{
	char copy[128], *save = NULL;

	snprintf(copy, sizeof(copy), "%s", path);
	for (char *key = strtok_r(copy, ".", &save); key; key = strtok_r(NULL, ".", &save))
		json = json_is_array(json) ? json_array_get(json, (size_t)atoi(key))
					   : json_object_get(json, key);
	return json;
}

static void test_contract(void **state)
{
	static const struct {
		const char *path;
		json_type type;
	} rows[] = {
		{ "pid", JSON_INTEGER },
		{ "uid", JSON_INTEGER },
		{ "gid", JSON_INTEGER },
		{ "no_new_privs", JSON_TRUE },
		{ "capabilities.effective", JSON_ARRAY },
		{ "capabilities.permitted", JSON_ARRAY },
		{ "capabilities.inheritable", JSON_ARRAY },
		{ "capabilities.bounding", JSON_ARRAY },
		{ "capabilities.ambient", JSON_ARRAY },
		{ "namespaces.user", JSON_TRUE },
		{ "namespaces.mount", JSON_TRUE },
		{ "namespaces.pid", JSON_TRUE },
		{ "namespaces.net", JSON_TRUE },
		{ "namespaces.ipc", JSON_TRUE },
		{ "namespaces.uts", JSON_TRUE },
		{ "namespaces.cgroup", JSON_TRUE },
		{ "root", JSON_STRING },
		{ "landlock_abi", JSON_INTEGER },
		{ "rlimits", JSON_OBJECT },
		{ "fds.0.fd", JSON_INTEGER },
		{ "fds.0.kind", JSON_STRING },
		{ "threads.1.tid", JSON_INTEGER },
		{ "threads.1.role", JSON_STRING },
		{ "threads.1.policy", JSON_STRING },
		{ "threads.1.syscalls", JSON_ARRAY },
		{ "threads.1.filter_sha256", JSON_STRING },
		{ "broker.pid", JSON_INTEGER },
		{ "broker.capabilities.effective", JSON_ARRAY },
		{ "broker.syscalls", JSON_ARRAY },
		{ "degraded", JSON_ARRAY },
	};
	struct report_facts facts = good();
	json_t *json = render(&facts);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *value = at(json, rows[i].path);

		assert_non_null(value);
		assert_int_equal(json_typeof(value), rows[i].type);
	}
	assert_int_equal(json_integer_value(at(json, "pid")), 1234);
	assert_int_equal(json_integer_value(at(json, "uid")), 61184);
	assert_int_equal(json_integer_value(at(json, "gid")), 61185);
	assert_int_equal(json_integer_value(at(json, "rlimits.nofile")), 4096);
	assert_string_equal(json_string_value(at(json, "rlimits.as")), "unlimited");
	assert_string_equal(json_string_value(at(json, "threads.1.syscalls.1")), "writev");
	assert_string_equal(json_string_value(at(json, "broker.syscalls.0")), "ppoll");
	assert_int_equal(json_array_size(at(json, "capabilities.bounding")), 0);
	assert_int_equal(json_array_size(at(json, "degraded")), 0);
	json_decref(json);
}

static void assert_text(const struct report_facts *facts, const char *path, const char *expected)
{
	json_t *json = render(facts);

	assert_string_equal(json_string_value(at(json, path)), expected);
	json_decref(json);
}

static void test_root(void **state)
{
	static const struct {
		uint32_t mounts, read_only, empty, tmpfs;
		const char *expected;
	} rows[] = {
		{ 1, 1, 1, 1, "empty" },  { 1, 0, 1, 1, "writable" }, { 1, 1, 0, 1, "not empty" },
		{ 2, 1, 1, 1, "shared" }, { 0, 0, 0, 0, "shared" },   { 1, 1, 1, 0, "writable" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct report_facts facts = good();

		witness.mounts = rows[i].mounts;
		witness.root_read_only = rows[i].read_only;
		witness.root_empty = rows[i].empty;
		witness.root_tmpfs = rows[i].tmpfs;
		assert_text(&facts, "root", rows[i].expected);
	}
}

static void test_kinds(void **state)
{
	static const struct {
		uint32_t fd, kind;
		uint64_t inode;
		const char *expected;
	} rows[] = {
		{ 3, WITNESS_SOCKET, CHANNEL_INODE, "channel" },
		{ 9, WITNESS_SOCKET, CONNECTION_INODE, "vhost-user" },
		{ 9, WITNESS_SOCKET, 1, "socket" },
		{ 9, WITNESS_SOCKET, 0, "socket" },
		{ 9, WITNESS_FILE, CHANNEL_INODE, "file" }, /* inodes of another file system */
		{ 9, WITNESS_TAP, 5, "tap" },
		{ 9, WITNESS_EVENTFD, 5, "eventfd" },
		{ 9, WITNESS_ANON, 5, "anonymous" },
		{ 9, WITNESS_MEMORY, 5, "memory" },
		{ JAIL_CONTROL, WITNESS_MEMORY, 5, "filter" },
		{ 9, WITNESS_OTHER, 5, "other" },
		{ 9, 77, 5, "other" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct report_facts facts = good();

		witness.fds[0] = (struct witness_fd){ rows[i].fd, rows[i].kind, rows[i].inode };
		assert_text(&facts, "fds.0.kind", rows[i].expected);
	}
}

/* Nothing is claimed that the kernel does not show. */
static void test_what_is_missing_shows(void **state)
{
	struct report_facts facts = good();
	json_t *json;

	(void)state;
	namespaces[LAYER_NET] = witness.namespaces[LAYER_NET];
	witness.namespaces[LAYER_IPC] = 0;
	witness.threads[0].filters = 1;
	witness.threads[1].seccomp = 0;
	witness.process.no_new_privs = 0;
	witness.process.effective = 1ull << CAP_NET_RAW;
	facts.degraded = LAYER_BIT(LAYER_NET) | LAYER_BIT(LAYER_SECCOMP);
	json = render(&facts);
	assert_true(json_is_false(at(json, "namespaces.net")));
	assert_true(json_is_false(at(json, "namespaces.ipc")));
	assert_true(json_is_true(at(json, "namespaces.uts")));
	assert_true(json_is_null(at(json, "threads.0.policy")));
	assert_true(json_is_null(at(json, "threads.1.policy")));
	assert_null(at(json, "threads.1.filter_sha256"));
	assert_true(json_is_false(at(json, "no_new_privs")));
	assert_string_equal(json_string_value(at(json, "capabilities.effective.0")), "cap_net_raw");
	assert_string_equal(json_string_value(at(json, "degraded.0")), "net");
	assert_string_equal(json_string_value(at(json, "degraded.1")), "seccomp");
	json_decref(json);
}

static void test_what_could_not_be_read(void **state)
{
	struct report_facts facts = good();
	json_t *json = render(&facts);

	(void)state;
	assert_null(at(json, "incomplete"));
	json_decref(json);
	witness.error = -ENOENT;
	witness.process.known = witness.broker.known = witness.limits_known = 0;
	json = render(&facts);
	assert_string_equal(json_string_value(at(json, "incomplete")), strerror(ENOENT));
	assert_true(json_is_null(at(json, "capabilities")));
	assert_true(json_is_null(at(json, "broker.capabilities")));
	assert_true(json_is_null(at(json, "rlimits")));
	json_decref(json);
}

/* A device chooses its threads' names, and how many descriptors it has. */
static void test_hostile_account(void **state)
{
	struct report_facts facts = good();
	json_t *json;

	(void)state;
	memset(witness.threads[0].comm, '"', WITNESS_COMM);
	witness.nthreads = witness.nfds = UINT32_MAX;
	json = render(&facts);
	assert_int_equal(json_array_size(at(json, "threads")), WITNESS_THREADS_MAX);
	assert_int_equal(json_array_size(at(json, "fds")), WITNESS_FDS_MAX);
	assert_string_equal(json_string_value(at(json, "threads.0.role")), "control");
	json_decref(json);
}

static void test_file_is_replaced(void **state)
{
	char path[] = "/tmp/airlock-report-XXXXXX", text[64] = "";
	int made = mkstemp(path), fd = report_open(path);

	(void)state;
	assert_true(made >= 0 && fd >= 0);
	assert_int_equal(report_write(fd, "a long first report\n"), 0);
	assert_int_equal(report_write(fd, "second\n"), 0);
	assert_int_equal(read(made, text, sizeof(text) - 1), 7);
	assert_string_equal(text, "second\n");
	unlink(path);
	close(made);
	close(fd);
}

static void test_pipe_is_continued(void **state)
{
	char text[64] = "";
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(report_write(ends[1], "first\n"), 0);
	assert_int_equal(report_write(ends[1], "second\n"), 0);
	assert_int_equal(read(ends[0], text, sizeof(text) - 1), 13);
	assert_string_equal(text, "first\nsecond\n");
	close(ends[0]);
	close(ends[1]);
}

static void test_no_such_directory(void **state)
{
	(void)state;
	assert_int_equal(report_open("/no/such/directory/report"), -ENOENT);
}

/* The other of its pair: a part of its own, and layers that only it lacks are named too. */
static void test_transport(void **state)
{
	static struct witness other;
	struct report_facts facts = good(), transport = facts;
	json_t *json;

	(void)state;
	other = witness;
	other.pid = 4321;
	other.nfds = 3;
	other.fds[0] = (struct witness_fd){ JAIL_CHANNEL, WITNESS_SOCKET, 1 };
	other.fds[1] = (struct witness_fd){ 7, WITNESS_SOCKET, 2 };
	other.fds[2] = (struct witness_fd){ 8, WITNESS_SOCKET, 3 };
	strcpy(policies.roles[ROLE_TRANSPORT].file, "transport.policy");
	transport.witness = &other;
	transport.channel_inode = 1;
	transport.connection_inode = 2;
	transport.backend_inode = 3;
	transport.degraded = LAYER_BIT(LAYER_NET);
	facts.transport = &transport;
	json = render(&facts);
	assert_int_equal(json_integer_value(at(json, "pid")), 1234);
	assert_int_equal(json_integer_value(at(json, "transport.pid")), 4321);
	assert_string_equal(json_string_value(at(json, "transport.threads.1.role")), "transport");
	assert_string_equal(json_string_value(at(json, "transport.threads.1.policy")),
			    "transport.policy");
	assert_string_equal(json_string_value(at(json, "transport.fds.0.kind")), "channel");
	assert_string_equal(json_string_value(at(json, "transport.fds.1.kind")), "vfio-user");
	assert_string_equal(json_string_value(at(json, "transport.fds.2.kind")), "vhost-user");
	assert_string_equal(json_string_value(at(json, "threads.1.role")), "worker");
	assert_string_equal(json_string_value(at(json, "degraded.0")), "net");
	assert_null(at(json, "transport.broker"));
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transport),
		cmocka_unit_test(test_contract),
		cmocka_unit_test(test_root),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_what_is_missing_shows),
		cmocka_unit_test(test_what_could_not_be_read),
		cmocka_unit_test(test_hostile_account),
		cmocka_unit_test(test_file_is_replaced),
		cmocka_unit_test(test_pipe_is_continued),
		cmocka_unit_test(test_no_such_directory),
	};

	return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
