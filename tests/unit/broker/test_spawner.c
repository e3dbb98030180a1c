/* The spawner: births, deaths and their reasons, and that nothing outlives it. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "broker/nursery.h"
#include "tests/unit/broker/fixture.h"

/* Within 5 s. */
static void assert_gone(int pidfd)
{
	struct pollfd pfd = { .fd = pidfd, .events = POLLIN };

	assert_int_equal(poll(&pfd, 1, 5000), 1);
}

static void assert_died(struct fixture *f, const struct born *born, int status)
{
	struct spawner_news news = fixture_news(f);

	assert_int_equal(news.type, SPAWNER_DIED);
	assert_int_equal(news.serial, born->serial);
	assert_int_equal(news.status, status);
	assert_int_equal(news.pidfd, -1);
}

static void test_deaths(void **state)
{
	static const struct {
		uint64_t order;
		int status;
		bool by_filter;
	} rows[] = {
		{ 'x', 7 << 8, false },
		{ 'c', SIGILL, false },
		{ 'd', SIGSYS, true },
	};
	struct fixture f;

	(void)state;
	need_root();
	fixture_start(&f);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct born born;

		if (rows[i].by_filter && (spawner_degraded(f.spawner) & LAYER_BIT(LAYER_SECCOMP)))
			continue;
		born = fixture_device(&f);
		fixture_say(&born, rows[i].order);
		assert_died(&f, &born, rows[i].status);
		fixture_forget(&born);
	}
	fixture_stop(&f);
}

static void test_killed_by_pidfd(void **state)
{
	struct fixture f;
	struct born born;

	(void)state;
	need_root();
	fixture_start(&f);
	born = fixture_device(&f);
	assert_int_equal(syscall(SYS_pidfd_send_signal, born.pidfd, SIGKILL, NULL, 0), 0);
	assert_died(&f, &born, SIGKILL);
	fixture_forget(&born);
	fixture_stop(&f);
}

static void test_not_a_program(void **state)
{
	struct fixture f = { .ids.locks = { -1, -1, -1 } };
	struct spawner_news news;
	struct born born;

	(void)state;
	need_root();
	assert_int_equal(fixture_start_with(&f, "jailed.d", layer_absent_in_build()), 0);
	born = fixture_order(&f);
	news = fixture_news(&f);
	assert_int_equal(news.type, SPAWNER_FAILED);
	assert_int_equal(news.serial, born.serial);
	assert_string_equal(news.step, "starting its program");
	assert_int_equal(news.error, EACCES);
	assert_died(&f, &born, 127 << 8);
	fixture_forget(&born);
	fixture_stop(&f);
}

static void test_more_than_there_is_room_for(void **state)
{
	struct born born[NURSERY_CHILDREN];
	struct spawner_news news;
	struct fixture f;
	uint32_t serial;
	int ends[2];

	(void)state;
	need_root();
	fixture_start(&f);
	for (size_t i = 0; i < NURSERY_CHILDREN; i++)
		born[i] = fixture_device(&f);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	assert_int_equal(spawner_spawn(f.spawner, ends[1], &serial), 0);
	news = fixture_news(&f);
	assert_int_equal(news.type, SPAWNER_FAILED);
	assert_int_equal(news.serial, serial);
	assert_int_equal(fixture_news(&f).type, SPAWNER_DIED);
	fixture_say(&born[0], 'x');
	assert_died(&f, &born[0], 7 << 8);
	fixture_forget(&born[0]);
	born[0] = fixture_device(&f);
	/* Its end is the end of all. */
	spawner_stop(f.spawner);
	f.spawner = NULL;
	for (size_t i = 0; i < NURSERY_CHILDREN; i++) {
		assert_gone(born[i].pidfd);
		fixture_forget(&born[i]);
	}
	close(ends[0]);
	close(ends[1]);
	fixture_stop(&f);
}

/* A broker that is killed takes its spawner and its devices with it. */
static void test_broker_dies(void **state)
{
	int up[2], pidfd;
	size_t one = 1;
	char byte;
	pid_t pid;

	(void)state;
	need_root();
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, up), 0);
	pid = fork();
	if (!pid) {
		struct fixture f;
		struct born born;

		fixture_start(&f);
		born = fixture_device(&f);
		if (fd_send(up[1], "", 1, &born.pidfd, 1) != 1)
			_exit(1);
		pause();
	}
	close(up[1]);
	assert_int_equal(poll(&(struct pollfd){ .fd = up[0], .events = POLLIN }, 1, 10000), 1);
	assert_int_equal(fd_recv(up[0], &byte, 1, &pidfd, &one), 1);
	assert_int_equal(one, 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_gone(pidfd);
	close(pidfd);
	close(up[0]);
}

/* The parent of a device. */
static pid_t parent_of(pid_t pid)
{
	char path[64], line[256];
	pid_t parent = 0;
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	status = fopen(path, "r");
	assert_non_null(status);
	while (fgets(line, sizeof(line), status))
		sscanf(line, "PPid: %d", &parent);
	fclose(status);
	assert_true(parent > 1);
	return parent;
}

/* What it takes to know a device in the records of its own pid namespace. */
static void test_numbers_within(void **state)
{
	char path[64], line[256];
	int outer = 0, inner = 0;
	struct fixture f;
	struct born born;
	struct stat pids;
	FILE *status;

	(void)state;
	need_root();
	fixture_start(&f);
	born = fixture_device(&f);
	snprintf(path, sizeof(path), "/proc/%d/status", born.pid);
	status = fopen(path, "r");
	assert_non_null(status);
	while (fgets(line, sizeof(line), status))
		sscanf(line, "NSpid: %d %d", &outer, &inner);
	fclose(status);
	assert_int_equal(born.pid, outer);
	assert_int_equal(born.inner, inner);
	snprintf(path, sizeof(path), "/proc/%d/ns/pid", born.pid);
	assert_int_equal(stat(path, &pids), 0);
	assert_int_equal(spawner_pids(f.spawner)->st_dev, pids.st_dev);
	assert_int_equal(spawner_pids(f.spawner)->st_ino, pids.st_ino);
	fixture_forget(&born);
	fixture_stop(&f);
}

/* The spawner's end of the socket. */
static int orders_of(pid_t spawner)
{
	int pidfd = (int)syscall(SYS_pidfd_open, spawner, 0);
	int orders = (int)syscall(SYS_pidfd_getfd, pidfd, JAIL_ORDERS, 0);

	assert_true(orders >= 0);
	close(pidfd);
	return orders;
}

static void test_false_news(void **state)
{
	static const struct {
		struct news news;
		size_t size;
		bool pidfd;
		int answer;
	} rows[] = {
		{ { .type = NEWS_BORN, .a = 2 }, sizeof(struct news), true, 1 },
		{ { .type = NEWS_BORN, .a = 0 }, sizeof(struct news), true, -EPROTO },
		{ { .type = NEWS_BORN, .a = -2 }, sizeof(struct news), true, -EPROTO },
		{ { .type = NEWS_BORN, .a = 2 }, sizeof(struct news), false, -EPROTO },
		{ { .type = NEWS_BORN, .a = 2 }, sizeof(struct news) - 1, true, -EPROTO },
		{ { .type = NEWS_SEEN }, sizeof(struct news), false, -EPROTO },
		{ { .type = NEWS_SEEN + 1 }, sizeof(struct news), false, -EPROTO },
		{ { .type = NEWS_UP }, sizeof(struct news), false, -EPROTO },
	};
	struct fixture f;
	struct born born;
	int orders;

	(void)state;
	need_root();
	fixture_start(&f);
	born = fixture_device(&f);
	orders = orders_of(parent_of(born.pid));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct spawner_news news;

		assert_int_equal(
			fd_send(orders, &rows[i].news, rows[i].size, &born.pidfd, rows[i].pidfd),
			rows[i].size);
		assert_int_equal(spawner_next(f.spawner, &news), rows[i].answer);
		fd_close(&news.pidfd);
	}
	close(orders);
	fixture_forget(&born);
	fixture_stop(&f);
}

static void test_spawner_is_killed(void **state)
{
	struct spawner_news news;
	struct fixture f;
	struct born born;

	(void)state;
	need_root();
	fixture_start(&f);
	born = fixture_device(&f);
	kill(parent_of(born.pid), SIGKILL);
	assert_gone(born.pidfd);
	assert_int_equal(
		poll(&(struct pollfd){ .fd = spawner_fd(f.spawner), .events = POLLIN }, 1, 5000),
		1);
	assert_int_equal(spawner_next(f.spawner, &news), 0);
	fixture_forget(&born);
	fixture_stop(&f);
}

/* ---- figures ---- */

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int smaller(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* kB that `pid` shares with nobody. */
static long private_kb(pid_t pid)
{
	char path[64], line[128];
	long kb, sum = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "Private_Clean: %ld", &kb) == 1 ||
		    sscanf(line, "Private_Dirty: %ld", &kb) == 1)
			sum += kb;
	fclose(f);
	return sum;
}

/* From the order to READY of a real program, behind all its filters; and what the spawner costs. */
static void figures(const struct spawner_kind *kind, const char *name)
{
	struct fixture f = { .ids.locks = { -1, -1, -1 } };
	const char *bin = getenv("AIRLOCK_BIN");
	char program[PATH_MAX];
	double ms[21];
	long kb = 0;

	need_root();
	snprintf(program, sizeof(program), "%s/%s", bin ? bin : "build/bin", name);
	if (access(program, X_OK) < 0) {
		printf("# no %s\n", program);
		skip();
	}
	assert_int_equal(fixture_start_kind(&f, kind, program, layer_absent_in_build()), 0);
	for (size_t i = 0; i < 21; i++) {
		double start = now_ms();
		struct born born = fixture_order(&f);

		assert_int_not_equal(fixture_word(&born), 0);
		ms[i] = now_ms() - start;
		kb = private_kb(parent_of(born.pid));
		fd_close(&born.channel); /* without a broker it ends in order */
		assert_died(&f, &born, 0);
		fixture_forget(&born);
	}
	qsort(ms, 21, sizeof(ms[0]), smaller);
	printf("# %s from order to READY: %.1f ms (median of 21), %.1f ms at most\n", name, ms[10],
	       ms[20]);
	printf("# private memory of the spawner: %ld kB\n", kb);
	assert_true(ms[10] < 500);
	fixture_stop(&f);
}

static void test_figures_of_a_device(void **state)
{
	(void)state;
	figures(&spawner_of_devices, "airlock-device");
}

static void test_figures_of_a_transport(void **state)
{
	(void)state;
	figures(&spawner_of_transports, "airlock-vfio-user");
}

/* ---- hosts that lack a layer: without leave nothing starts, with leave it is named ---- */

/* Runs one start in a child whose kernel seems to lack something; its exit status is -ret, or with
 * leave the layers that were missing. */
static int start_where(bool (*lacking)(int what), int what, unsigned allowed)
{
	int status = 0, up[2];
	unsigned degraded = 0;
	pid_t pid;

	assert_int_equal(pipe(up), 0);
	pid = fork();
	if (!pid) {
		struct fixture f = { .ids.locks = { -1, -1, -1 } };
		int ret;

		if (!lacking(what))
			_exit(1);
		ret = fixture_start_with(&f, "jailed", allowed);
		degraded = ret ? 0 : spawner_degraded(f.spawner);
		if (!ret) {
			struct born born = fixture_device(&f);

			fixture_say(&born, 'x');
			assert_died(&f, &born, 7 << 8);
		}
		if (write(up[1], &degraded, sizeof(degraded)) != sizeof(degraded))
			_exit(1);
		spawner_stop(f.spawner);
		_exit(ret ? 2 : 0);
	}
	close(up[1]);
	if (read(up[0], &degraded, sizeof(degraded)) != sizeof(degraded))
		degraded = 0;
	close(up[0]);
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status) == 1 || !WIFEXITED(status) ? -1 : status ? -2 : (int)degraded;
}

/* A user namespace that is the host's in all but that it may not have any more of one kind. */
static bool lacks_namespace(int layer)
{
	static const char *const kinds[LAYER_NAMESPACES] = { "user", "mnt", "pid",   "net",
							     "ipc",  "uts", "cgroup" };
	static const char map[] = "0 0 4294967295";
	char path[64];
	int ready[2], fd;
	char byte = 0;
	pid_t self = getpid(), writer;

	if (pipe(ready) < 0)
		return false;
	writer = fork();
	if (!writer) {
		bool ok = !close(ready[1]) && read(ready[0], &byte, 1) == 1;

		for (int i = 0; ok && i < 2; i++) {
			snprintf(path, sizeof(path), "/proc/%d/%cid_map", self, i ? 'g' : 'u');
			fd = open(path, O_WRONLY);
			ok = fd >= 0 && write(fd, map, sizeof(map) - 1) > 0;
			close(fd);
		}
		_exit(!ok);
	}
	if (unshare(CLONE_NEWUSER) < 0 || write(ready[1], "", 1) != 1)
		return false;
	if (waitpid(writer, &fd, 0) != writer || fd)
		return false;
	close(ready[0]);
	close(ready[1]);
	snprintf(path, sizeof(path), "/proc/sys/user/max_%s_namespaces", kinds[layer]);
	fd = open(path, O_WRONLY);
	return fd >= 0 && write(fd, "0", 1) == 1 && !close(fd);
}

static bool lacks_call(int nr)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(insns) / sizeof(insns[0]), insns };

	return !syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

static void test_lacking(void **state)
{
	const unsigned absent = layer_absent_in_build();
	static const struct {
		bool (*lacking)(int what);
		int what;
		unsigned missing;
	} rows[] = {
		{ lacks_namespace, LAYER_NET, LAYER_BIT(LAYER_NET) },
		{ lacks_namespace, LAYER_IPC, LAYER_BIT(LAYER_IPC) },
		{ lacks_namespace, LAYER_UTS, LAYER_BIT(LAYER_UTS) },
		{ lacks_namespace, LAYER_CGROUP, LAYER_BIT(LAYER_CGROUP) },
		{ lacks_namespace, LAYER_PID, LAYER_BIT(LAYER_PID) },
		{ lacks_namespace, LAYER_USER, LAYER_BIT(LAYER_USER) },
		{ lacks_namespace, LAYER_MOUNT, LAYER_BIT(LAYER_MOUNT) | LAYER_BIT(LAYER_ROOT) },
		{ lacks_call, SYS_pivot_root, LAYER_BIT(LAYER_ROOT) },
		{ lacks_call, SYS_landlock_create_ruleset, LAYER_BIT(LAYER_LANDLOCK) },
		{ lacks_call, SYS_seccomp, LAYER_BIT(LAYER_SECCOMP) },
	};

	(void)state;
	need_root();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned missing = rows[i].missing | absent;

#ifdef __SANITIZE_THREAD__
		if (rows[i].lacking == lacks_namespace)
			continue; /* the sanitizer's own thread keeps us from a user namespace */
#endif
		if (rows[i].missing & ~absent)
			assert_int_equal(start_where(rows[i].lacking, rows[i].what, absent), -2);
		assert_int_equal(start_where(rows[i].lacking, rows[i].what, missing), missing);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deaths),
		cmocka_unit_test(test_killed_by_pidfd),
		cmocka_unit_test(test_not_a_program),
		cmocka_unit_test(test_more_than_there_is_room_for),
		cmocka_unit_test(test_broker_dies),
		cmocka_unit_test(test_numbers_within),
		cmocka_unit_test(test_false_news),
		cmocka_unit_test(test_spawner_is_killed),
		cmocka_unit_test(test_figures_of_a_device),
		cmocka_unit_test(test_figures_of_a_transport),
		cmocka_unit_test(test_lacking),
	};

	return cmocka_run_group_tests_name("spawner", tests, NULL, NULL);
}
