/*
 * The fixture of the integration tests. Runs in the test process, as root in a network namespace of
 * its own; starts the privileged broker and plays its front-end and the host's side of its TAP.
 */
#include "tests/support/rig.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/util.h"

#define RIG_GROWTH (256 << 10) /* bytes that a heap may keep of hundreds of connections */

static uint8_t frame[FRAME_MAX], captured[FRAME_MAX];
static struct guest probe = { .peer = { .sock = -1 } }; /* of rig_serves() */

void rig_sleep(int ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L }, NULL);
}

bool rig_sanitized(void)
{
	const char *sanitizers = getenv("AIRLOCK_SANITIZE");

	return sanitizers && *sanitizers;
}

int rig_patience(int ms)
{
	return rig_sanitized() ? 10 * ms : ms;
}

bool rig_gone(pid_t pid)
{
	int64_t end = clock_ms() + RIG_WAIT_MS;

	while (proc_alive(pid) && clock_ms() < end)
		rig_sleep(2);
	return !proc_alive(pid);
}

int rig_run(const char *name, const struct CMUnitTest *tests, size_t n)
{
	int rc;

	if (geteuid() != 0) {
		puts("1..0 # SKIP needs root: network namespaces, TAPs and a broker");
		return 0;
	}
	rc = host_enter();
	if (rc) {
		printf("1..0 # SKIP no network namespace: %s\n", strerror(-rc));
		return 0;
	}
	machine_watch();
	if (getenv("AIRLOCK_TEST"))
		cmocka_set_test_filter(getenv("AIRLOCK_TEST"));
	return _cmocka_run_group_tests(name, tests, n, NULL, NULL);
}

void rig_add(struct program_start *start, const char *argument)
{
	size_t n = 0;

	while (start->args[n])
		n++;
	assert_true(n + 1 < PROGRAM_ARGS_MAX);
	start->args[n] = argument;
}

void rig_leave_out(struct program_start *start, const char *option)
{
	size_t i = 0;

	while (start->args[i] && strncmp(start->args[i], option, strlen(option)) != 0)
		i++;
	for (; start->args[i]; i++)
		start->args[i] = start->args[i + 1];
}

void rig_prepare(struct rig *rig, struct program_start *start, const char *const *options)
{
	static char args[5][96];

	*rig = (struct rig){ .wire = { .sock = -1 }, .broker = { .pidfd = -1, .ready = -1 } };
	rig->lent = host_has(RIG_TAP);
	*start = (struct program_start){ .ready = true };
	strcpy(rig->dir, "/tmp/airlock-test.XXXXXX");
	assert_non_null(mkdtemp(rig->dir));
	snprintf(rig->socket, sizeof(rig->socket), "%s/vhost-user", rig->dir);
	snprintf(rig->control, sizeof(rig->control), "%s/control", rig->dir);
	snprintf(rig->report, sizeof(rig->report), "%s/report", rig->dir);
	snprintf(args[0], sizeof(args[0]), "--socket-path=%s", rig->socket);
	snprintf(args[1], sizeof(args[1]), "--control=%s", rig->control);
	snprintf(args[2], sizeof(args[2]), "--sandbox-report=%s", rig->report);
	strcpy(args[3], "--tap=" RIG_TAP);
	strcpy(args[4], "--log-level=debug");
	rig_add(start, "airlock-broker");
	for (size_t i = 0; i < ARRAY_SIZE(args); i++)
		rig_add(start, args[i]);
	if (rig_sanitized())
		rig_add(start, "--allow-degraded=root,landlock,rlimits,seccomp");
	for (; *options; options++)
		rig_add(start, *options);
}

static void copy_program(const struct rig *rig, const char *from, const char *name)
{
	char command[512];

	assert_true(strlen(from) < 256);
	snprintf(command, sizeof(command), "cp %.256s %s/%s", from, rig->dir, name);
	assert_ok(system(command));
}

void rig_prepare_double(struct rig *rig, struct program_start *start, const char *name,
			const char *const *options)
{
	static char broker[64], policies[300];
	char path[256];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	rig_prepare(rig, start, options);
	assert_in_range(n, 1, (ssize_t)(sizeof(path) - strlen(name) - 2));
	path[n] = '\0';
	strcpy(strrchr(path, '/') + 1, name);
	copy_program(rig, path, "airlock-device");
	copy_program(rig, program_path("airlock-broker", path, sizeof(path)), "airlock-broker");
	snprintf(broker, sizeof(broker), "%s/airlock-broker", rig->dir);
	start->args[0] = broker;
	snprintf(policies, sizeof(policies), "--policy-dir=%s",
		 program_policies(path, sizeof(path)));
	rig_add(start, policies);
}

/* A spare device needs a moment to settle. */
void rig_note(struct rig *rig)
{
	int before = -1, family = -1, stable = 0;

	for (int i = 0; i < 200 && stable < 10; i++) {
		rig->fds = proc_count_fds(rig->broker.pid);
		rig->processes = proc_count_family(rig->broker.pid);
		stable = rig->fds == before && rig->processes == family ? stable + 1 : 0;
		before = rig->fds;
		family = rig->processes;
		rig_sleep(5);
	}
	rig->maps = proc_count_maps(rig->broker.pid);
	rig->memory = proc_private(rig->broker.pid);
	assert_true(rig->fds > 0);
	assert_true(rig->maps > 0);
	assert_true(rig->memory > 0);
}

void rig_launch(struct rig *rig, const struct program_start *start)
{
	int rc;

	assert_ok(program_run(&rig->broker, start));
	rc = program_wait_ready(&rig->broker, rig_patience(RIG_START_MS));
	if (rc)
		rig_abandon(rig); /* no teardown follows a setup that failed */
	assert_ok(rc);
	if (host_has(RIG_TAP))
		assert_ok(wire_open(&rig->wire, RIG_TAP, ETH_P_ALL));
	rig_note(rig);
}

void rig_prepare_pair(struct rig *rig, struct program_start *start, const char *const *options)
{
	static char option[96];

	rig_prepare(rig, start, options);
	snprintf(option, sizeof(option), "--vfio-user-socket=%s", rig->socket);
	start->args[1] = option;
}

void rig_start_pair(struct rig *rig, const char *const *options)
{
	struct program_start start;

	rig_prepare_pair(rig, &start, options);
	rig_launch(rig, &start);
}

void rig_start(struct rig *rig, const char *const *options)
{
	struct program_start start;

	rig_prepare(rig, &start, options);
	rig_launch(rig, &start);
}

void rig_ensure(struct rig *rig, const char *const *options)
{
	if (rig->dir[0] && program_running(&rig->broker)) {
		wire_drain(&rig->wire);
		return;
	}
	rig_abandon(rig);
	rig_start(rig, options);
}

static void remove_files(const struct rig *rig)
{
	static const char *const doubles[] = { "airlock-broker", "airlock-device" };
	char path[96];

	for (size_t i = 0; i < ARRAY_SIZE(doubles); i++) {
		snprintf(path, sizeof(path), "%s/%s", rig->dir, doubles[i]);
		unlink(path);
	}
	unlink(rig->report);
	unlink(rig->socket);
	unlink(rig->control);
	rmdir(rig->dir);
}

void rig_tap_leave(const struct rig *rig)
{
	int64_t end = clock_ms() + RIG_WAIT_MS;

	while (!rig->lent && host_has(RIG_TAP) && clock_ms() < end)
		rig_sleep(2);
}

void rig_stop(struct rig *rig)
{
	int rc = program_stop(&rig->broker);

	if (rc)
		program_show(&rig->broker);
	assert_ok(rc);
	assert_int_not_equal(0, access(rig->socket, F_OK));
	assert_int_not_equal(0, access(rig->control, F_OK));
	wire_close(&rig->wire);
	rig->lent = false; /* whoever made it has let it go */
	rig_tap_leave(rig);
	assert_false(host_has(RIG_TAP));
	remove_files(rig);
	program_free(&rig->broker);
	rig->dir[0] = '\0';
}

void rig_abandon(struct rig *rig)
{
	if (!rig->dir[0])
		return;
	program_show(&rig->broker);
	program_free(&rig->broker);
	wire_close(&rig->wire);
	rig_tap_leave(rig);
	remove_files(rig);
	rig->dir[0] = '\0';
}

void rig_connect(struct rig *rig, struct peer *peer)
{
	/* Left open by a check that failed, it would be served before anyone else. */
	if (probe.peer.sock >= 0)
		guest_close(&probe);
	if (access(rig->report, F_OK) == 0)
		assert_ok(truncate(rig->report, 0));
	assert_ok(peer_connect(peer, rig->socket));
}

void rig_open(struct rig *rig, struct guest *guest, const struct guest_options *options)
{
	rig_connect(rig, &guest->peer);
	assert_ok(guest_open(guest, options));
}

void rig_close(struct rig *rig, struct guest *guest)
{
	guest_close(guest);
	rig_settled(rig);
}

json_t *rig_report(struct rig *rig)
{
	int64_t end = clock_ms() + RIG_WAIT_MS;
	json_t *report = NULL;

	while (!report && clock_ms() < end) {
		report = json_load_file(rig->report, 0, NULL);
		if (!report)
			rig_sleep(2);
	}
	assert_non_null(report);
	return report;
}

pid_t rig_reported(const char *report)
{
	int64_t end = clock_ms() + RIG_WAIT_MS;
	pid_t pid;

	/* That of a very short connection may come late, that of the one before still be there. */
	for (;; rig_sleep(1)) {
		json_t *json = json_load_file(report, 0, NULL);

		pid = (pid_t)json_integer_value(json_object_get(json, "pid"));
		json_decref(json);
		if ((pid > 1 && proc_alive(pid)) || clock_ms() >= end)
			break;
	}
	assert_true(pid > 1);
	assert_true(proc_alive(pid));
	return pid;
}

pid_t rig_device(struct rig *rig)
{
	return rig_reported(rig->report);
}

/* The next frame of ours at the host, whatever else the wire carries. */
static int captured_number(struct rig *rig, uint32_t *number)
{
	int len;

	do
		len = wire_recv(&rig->wire, NULL, captured, sizeof(captured));
	while (len >= 0 && !frame_number(captured, (size_t)len, number));
	return len;
}

#define WINDOW 32 /* frames under way: less than any queue on the way holds */

void rig_transmit(struct rig *rig, struct guest *guest, unsigned pair, size_t len, uint32_t first,
		  unsigned n)
{
	uint32_t number;

	for (unsigned sent = 0, got = 0; got < n;) {
		for (; sent < n && sent < got + WINDOW; sent++) {
			frame_pattern(frame, len, first + sent);
			assert_ok(guest_send(guest, pair, NULL, frame, len));
		}
		assert_int_equal(len, captured_number(rig, &number));
		assert_int_equal(first + got, number);
		assert_true(frame_intact(captured, len, number));
		got++;
	}
}

/* The next frame of ours at the guest, whatever else the host says on a TAP (it has IPv6 on one
 * that the broker did not create). */
static int received_number(struct guest *guest, unsigned pair, struct virtio_net_hdr_v1 *hdr,
			   uint32_t *number)
{
	int len;

	do
		len = guest_receive(guest, pair, hdr, captured, sizeof(captured), RIG_WAIT_MS);
	while (len >= 0 && !frame_number(captured, (size_t)len, number));
	return len;
}

void rig_receive(struct rig *rig, struct guest *guest, unsigned pair, size_t len, uint32_t first,
		 unsigned n)
{
	struct virtio_net_hdr_v1 hdr;
	uint32_t number;

	for (unsigned sent = 0, got = 0; got < n; got++) {
		for (; sent < n && sent < got + WINDOW; sent++) {
			frame_pattern(frame, len, first + sent);
			assert_ok(wire_send(&rig->wire, NULL, frame, len));
		}
		assert_int_equal(len, received_number(guest, pair, &hdr, &number));
		assert_int_equal(first + got, number);
		assert_true(frame_intact(captured, len, number));
		assert_int_equal(VIRTIO_NET_HDR_GSO_NONE, hdr.gso_type);
	}
}

void rig_exchange(struct rig *rig, struct guest *guest, unsigned pair)
{
	static const size_t sizes[] = { FRAME_MIN, 60, 64, 590, 1514 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		rig_transmit(rig, guest, pair, sizes[i], (uint32_t)(100 * i), 4);
		rig_receive(rig, guest, pair, sizes[i], (uint32_t)(100 * i + 50), 4);
	}
}

/* What lasts may not grow; what is in use for a moment, while a device starts, may be met. */
static bool as_it_was(const struct rig *rig)
{
	pid_t pid = rig->broker.pid;

	return proc_count_fds(pid) == rig->fds && proc_count_family(pid) == rig->processes &&
	       (rig_sanitized() || (proc_count_maps(pid) == rig->maps &&
				    proc_private(pid) < rig->memory + RIG_GROWTH));
}

void rig_settled(struct rig *rig)
{
	int64_t end = clock_ms() + RIG_WAIT_MS;

	for (bool late = false; !late; rig_sleep(2)) {
		late = clock_ms() >= end; /* and then one more look: we may have been kept */
		if (as_it_was(rig))
			return;
	}
	assert_int_equal(rig->fds, proc_count_fds(rig->broker.pid));
	/* One more may be on its way in or out on a busy machine; one a row would be seen. */
	assert_in_range(proc_count_family(rig->broker.pid), 1, rig->processes + 1);
	if (rig_sanitized())
		return; /* its own mappings come and go */
	assert_int_equal(rig->maps, proc_count_maps(rig->broker.pid));
	assert_true(proc_private(rig->broker.pid) < rig->memory + RIG_GROWTH);
}

void rig_serves(struct rig *rig)
{
	int64_t begin = machine_ms();

	assert_true(program_running(&rig->broker));
	wire_drain(&rig->wire);
	rig_open(rig, &probe, &(struct guest_options){ .ring_size = 64 });
	rig_transmit(rig, &probe, 0, 64, 7000000, 1);
	assert_true(machine_ms() - begin < rig_patience(RIG_SERVE_MS));
	rig_exchange(rig, &probe, 0);
	rig_close(rig, &probe);
}

char *rig_output(const struct program_start *start)
{
	struct program program;
	char *text;

	assert_ok(program_run(&program, start));
	assert_ok(program_wait(&program, RIG_WAIT_MS));
	text = program_text(program.output);
	assert_non_null(text);
	program_free(&program);
	return text;
}

json_t *rig_ctl(struct rig *rig, const char *const *arguments)
{
	struct program_start start = { .args = { "airlock-ctl", "--json" } };
	char control[96], *text;
	json_t *json;

	snprintf(control, sizeof(control), "--control=%s", rig->control);
	rig_add(&start, control);
	for (; *arguments; arguments++)
		rig_add(&start, *arguments);
	text = rig_output(&start);
	json = json_loads(text, 0, NULL);
	assert_non_null(json);
	free(text);
	return json;
}

bool rig_attached(struct rig *rig, int pairs)
{
	for (int64_t end = clock_ms() + RIG_WAIT_MS; clock_ms() < end; rig_sleep(10)) {
		json_t *status = rig_ctl(rig, (const char *[]){ "status", NULL });
		int n = (int)json_integer_value(json_object_get(status, "active_pairs"));

		json_decref(status);
		if (n == pairs)
			return true;
	}
	return false;
}
