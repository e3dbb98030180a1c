/*
 * The broker from outside: options and what they do to the host, one connection after another,
 * signals, devices that die. It must outlive them all, keep one connection's frames from the next,
 * and leave the host as it found it. Its sockets: test_sockets.c.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/util.h"
#include "tests/integration/served.h"

#define MERGE BIT(VIRTIO_NET_F_MRG_RXBUF)

static uint8_t frame[FRAME_MAX], received[FRAME_MAX];

/* ---- usage errors ---- */

static const struct usage {
	const char *option;  /* what is wrong; its name must stand in the message */
	const char *without; /* an option of the usual ones that is left out */
	int code;
} usages[] = {
	{ "--no-such-option", NULL, 2 },
	{ "word", NULL, 2 },
	{ "--queue-size=0", NULL, 2 },
	{ "--queue-size=3", NULL, 2 },
	{ "--queue-size=65536", NULL, 2 },
	{ "--queue-size=256x", NULL, 2 },
	{ "--queue-size=", NULL, 2 },
	{ "--queue-pairs=0", NULL, 2 },
	{ "--queue-pairs=-1", NULL, 2 },
	{ "--queue-pairs=99999999999999999999", NULL, 2 },
	{ "--mtu=67", NULL, 2 },
	{ "--mtu=65522", NULL, 2 },
	{ "--mtu=1500 ", NULL, 2 },
	{ "--mac=52:54:00:12:34", NULL, 2 },
	{ "--mac=53:54:00:12:34:56", NULL, 2 },
	{ "--mac=00:00:00:00:00:00", NULL, 2 },
	{ "--mac=zz:54:00:12:34:56", NULL, 2 },
	{ "--address=192.0.2.1", NULL, 2 },
	{ "--address=192.0.2.1/33", NULL, 2 },
	{ "--address=192.0.2.0/24", NULL, 2 },
	{ "--address=2001:db8::1/129", NULL, 2 },
	{ "--address=nonsense", NULL, 2 },
	{ "--socket-mode=8", NULL, 2 },
	{ "--socket-mode=01000", NULL, 2 },
	{ "--socket-group=no-such-group", NULL, 2 },
	{ "--user=no-such-user", NULL, 2 },
	{ "--user=root", NULL, 2 },
	{ "--user=0", NULL, 2 },
	{ "--group=0", NULL, 2 },
	{ "--tap=a-name-that-is-too-long", "--tap", 2 },
	{ "--tap=a/b", "--tap", 2 },
	{ "--tap=lo", "--tap", 2 },
	{ "--tap-fd=99", "--tap", 2 },
	{ "--tap-fd=0", "--tap", 2 },
	{ "--fd=99", "--socket-path", 2 },
	{ "--fd=0", "--socket-path", 2 },
	{ "--fd=3", NULL, 2 }, /* and a path */
	{ "--socket-path=/no/such/directory/s", "--socket-path", 2 },
	{ "--control=/no/such/directory/s", "--control", 2 },
	{ "--sandbox-report=/no/such/directory/s", "--sandbox-report", 2 },
	{ "--policy-dir=/no/such/directory", NULL, 2 },
	{ "--allow-degraded=everything", NULL, 2 },
	{ "--allow-degraded=", NULL, 2 },
	{ "--log-level=loud", NULL, 2 },
	{ "--vfio-user-socket=/tmp/s", NULL, 2 }, /* and a vhost-user socket */
	{ "--vfio-user-socket=/no/such/directory/s", "--socket-path", 2 },
	{ "--guard=mac,ip", NULL, 2 },
	{ "--coalesce=yes", NULL, 2 },
	{ "--poll-us=ever", NULL, 2 },
	{ "--affinity=5000", NULL, 2 },
	{ "--client", "--socket-path", 2 },
};

static int entries(const char *dir)
{
	char command[128], number[16] = "";
	FILE *f;

	snprintf(command, sizeof(command), "ls -A %s 2>/dev/null | wc -l", dir);
	f = popen(command, "re");
	assert_non_null(f);
	assert_non_null(fgets(number, sizeof(number), f));
	pclose(f);
	return atoi(number);
}

static void usage_error_changes_nothing(void **state)
{
	const struct usage *usage = *state;
	struct program_start s;
	char name[64];

	rig_prepare(&rig, &s, (const char *[]){ usage->option, NULL });
	/* The wrong one was appended; the usual one of the same name stands before it. */
	if (usage->without)
		rig_leave_out(&s, usage->without);
	assert_ok(program_run(&rig.broker, &s));
	assert_int_equal(usage->code, program_wait(&rig.broker, RIG_WAIT_MS));
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(usage->option, "="), usage->option);
	assert_true(program_says(&rig.broker, name, 0));
	assert_false(host_has(RIG_TAP));
	assert_int_equal(0, entries(rig.dir));
	program_free(&rig.broker);
	rmdir(rig.dir);
	rig.dir[0] = '\0';
}

static void unprivileged_start_is_refused(void **state)
{
	static const char *const nobody[] = { "/usr/bin/setpriv", "--reuid=65534", "--regid=65534",
					      "--clear-groups", "--" };
	struct program_start s;
	char path[256];

	(void)state;
	rig_prepare(&rig, &s, (const char *[]){ NULL });
	memmove(&s.args[5], &s.args[0], sizeof(s.args[0]) * (PROGRAM_ARGS_MAX - 5));
	memcpy(s.args, nobody, sizeof(nobody));
	s.args[5] = program_path("airlock-broker", path, sizeof(path));
	assert_ok(program_run(&rig.broker, &s));
	assert_int_not_equal(0, program_wait(&rig.broker, RIG_WAIT_MS));
	assert_false(host_has(RIG_TAP));
	rig_abandon(&rig);
}

static void informative_options_need_nothing(void **state)
{
	static const struct {
		const char *option, *words;
	} rows[] = { { "--help", "--socket-path" },
		     { "--version", "airlock-broker" },
		     { "--print-capabilities", "\"net\"" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct program_start s = { .args = { "airlock-broker", rows[i].option } };
		char *text = rig_output(&s);

		assert_non_null(strstr(text, rows[i].words));
		if (strcmp(rows[i].option, "--print-capabilities") == 0) {
			json_t *j = json_loads(text, 0, NULL);

			assert_string_equal("net", json_string_value(json_object_get(j, "type")));
			assert_true(json_is_array(json_object_get(j, "features")));
			json_decref(j);
		}
		free(text);
	}
}

/* ---- the TAP ---- */

static bool has_address(const char *text)
{
	struct ifaddrs *all, *a;
	bool found = false;
	char buf[INET6_ADDRSTRLEN];

	assert_ok(getifaddrs(&all));
	for (a = all; a; a = a->ifa_next) {
		const void *bytes;

		if (!a->ifa_addr || strcmp(a->ifa_name, RIG_TAP) != 0)
			continue;
		if (a->ifa_addr->sa_family == AF_INET)
			bytes = &((struct sockaddr_in *)(void *)a->ifa_addr)->sin_addr;
		else if (a->ifa_addr->sa_family == AF_INET6)
			bytes = &((struct sockaddr_in6 *)(void *)a->ifa_addr)->sin6_addr;
		else
			continue;
		inet_ntop(a->ifa_addr->sa_family, bytes, buf, sizeof(buf));
		found |= strcmp(buf, text) == 0;
	}
	freeifaddrs(all);
	return found;
}

static void tap_is_set_up_as_asked(void **state)
{
	struct stat st;

	(void)state;
	rig_start(&rig,
		  (const char *[]){ "--address=192.0.2.1/24", "--address=198.51.100.7/31",
				    "--address=2001:db8::1/64", "--mtu=2000", "--socket-mode=0640",
				    "--socket-group=nogroup", "--queue-pairs=2", NULL });
	assert_true(has_address("192.0.2.1"));
	assert_true(has_address("198.51.100.7"));
	assert_true(has_address("2001:db8::1"));
	assert_int_equal(2000, host_mtu(RIG_TAP));
	assert_true(host_flags(RIG_TAP) & IFF_UP);
	assert_ok(stat(rig.socket, &st));
	assert_int_equal(0640, st.st_mode & 07777);
	assert_int_equal(65534, st.st_gid);
	rig_serves(&rig);
	rig_stop(&rig);
}

static void tap_without_addresses_is_silent(void **state)
{
	(void)state;
	rig_start(&rig, (const char *[]){ NULL });
	rig_open(&rig, &guest, &(struct guest_options){ 0 });
	/* No router solicitation, no duplicate address detection, no multicast report. */
	assert_int_equal(-ETIMEDOUT,
			 guest_receive(&guest, 0, NULL, received, sizeof(received), 1500));
	rig_close(&rig, &guest);
	rig_stop(&rig);
}

static void existing_tap_is_used_and_left(void **state)
{
	char name[16] = RIG_TAP;
	int fd = host_tap(name, IFF_MULTI_QUEUE);

	(void)state;
	assert_true(fd >= 0);
	assert_ok(ioctl(fd, TUNSETPERSIST, 1));
	assert_ok(host_set_up(RIG_TAP, 1700));
	close(fd);
	rig_start(&rig, (const char *[]){ NULL });
	assert_int_equal(1700, host_mtu(RIG_TAP));
	rig_serves(&rig);
	assert_int_equal(0, program_stop(&rig.broker));
	assert_true(host_has(RIG_TAP));
	assert_int_equal(1700, host_mtu(RIG_TAP));
	assert_true(host_flags(RIG_TAP) & IFF_UP);
	rig_abandon(&rig);
	fd = host_tap(name, IFF_MULTI_QUEUE);
	assert_true(fd >= 0);
	assert_ok(ioctl(fd, TUNSETPERSIST, 0));
	close(fd);
}

static void inherited_tap_queues_serve(void **state)
{
	const short flags[] = { 0, IFF_MULTI_QUEUE };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		char name[16] = RIG_TAP;
		int fd = host_tap(name, flags[i]);
		struct program_start s;

		assert_true(fd >= 0);
		assert_ok(host_set_up(RIG_TAP, 1500));
		rig_prepare(&rig, &s, (const char *[]){ "--tap-fd=3", NULL });
		rig_leave_out(&s, "--tap=");
		s.fds[0] = fd;
		s.nfds = 1;
		rig_launch(&rig, &s);
		close(fd);
		rig_serves(&rig);
		rig_serves(&rig);
		rig_stop(&rig);
	}
}

static void memory_must_be_sealed_when_asked_for(void **state)
{
	const struct guest_options unsealed = { .backing = GUEST_UNSEALED };

	(void)state;
	rig_start(&rig, (const char *[]){ "--require-sealed", NULL });
	rig_connect(&rig, &guest.peer);
	assert_int_equal(PEER_REFUSED, guest_open(&guest, &unsealed));
	assert_true(program_says(&rig.broker, "front-end: guest memory", RIG_WAIT_MS));
	rig_close(&rig, &guest);
	rig_serves(&rig); /* sealed */
	rig_stop(&rig);
}

static void device_runs_as_whom_it_is_told(void **state)
{
	char value[64];

	(void)state;
	rig_start(&rig, (const char *[]){ "--user=61300", "--group=61301", NULL });
	rig_open(&rig, &guest, &(struct guest_options){ 0 });
	assert_ok(proc_status(rig_device(&rig), "Uid", value, sizeof(value)));
	assert_string_equal("61300\t61300\t61300\t61300", value);
	assert_ok(proc_status(rig_device(&rig), "Gid", value, sizeof(value)));
	assert_string_equal("61301\t61301\t61301\t61301", value);
	rig_exchange(&rig, &guest, 0);
	rig_close(&rig, &guest);
	rig_stop(&rig);
}

static void two_brokers_share_no_id(void **state)
{
	static struct rig other;
	static struct guest neighbour;
	struct program_start s;
	char mine[64], theirs[64];

	(void)state;
	guest_blank(&neighbour);
	rig_start(&rig, (const char *[]){ NULL });
	rig_prepare(&other, &s, (const char *[]){ "--tap=airlock1", NULL });
	rig_leave_out(&s, "--tap=" RIG_TAP);
	rig_launch(&other, &s);
	rig_open(&rig, &guest, &(struct guest_options){ 0 });
	rig_open(&other, &neighbour, &(struct guest_options){ 0 });
	assert_ok(proc_status(rig_device(&rig), "Uid", mine, sizeof(mine)));
	assert_ok(proc_status(rig_device(&other), "Uid", theirs, sizeof(theirs)));
	assert_string_not_equal(mine, theirs);
	guest_close(&neighbour);
	assert_int_equal(0, program_stop(&other.broker));
	rig_abandon(&other);
	rig_exchange(&rig, &guest, 0);
	rig_close(&rig, &guest);
	rig_stop(&rig);
}

/* ---- signals and ends ---- */

static void termination_ends_in_order_under_traffic(void **state)
{
	const int signals[] = { SIGTERM, SIGINT };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		if (i)
			start(state);
		rig_open(&rig, &guest, &(struct guest_options){ 0 });
		for (uint32_t n = 0; n < 200; n++) {
			frame_pattern(frame, 64, n);
			assert_ok(guest_send(&guest, 0, NULL, frame, 64));
		}
		assert_ok(program_signal(&rig.broker, signals[i]));
		assert_int_equal(0, program_wait(&rig.broker, RIG_WAIT_MS));
		assert_true(peer_closed(&guest.peer, RIG_WAIT_MS));
		/* Stopped in order: every buffer taken was given back before the end. */
		assert_true(guest_reap(&guest, 0) >= 0);
		guest_close(&guest);
		assert_int_not_equal(0, access(rig.socket, F_OK));
		for (int t = 0; t < 100 && host_has(RIG_TAP); t++)
			rig_sleep(5);
		assert_false(host_has(RIG_TAP));
		rig_abandon(&rig);
	}
}

/* The device ends with its connection while it is asked to stop: no reason to complain. */
static void termination_after_a_hang_up_is_no_error(void **state)
{
	for (int i = 0; i < 10; i++) {
		if (i)
			start(state);
		rig_open(&rig, &guest, &(struct guest_options){ .ring_size = 64 });
		rig_transmit(&rig, &guest, 0, 64, 1, 5);
		guest_close(&guest);
		rig_sleep(i);
		assert_ok(program_signal(&rig.broker, SIGTERM));
		assert_int_equal(0, program_wait(&rig.broker, RIG_WAIT_MS));
		assert_false(program_says(&rig.broker, "\\[error\\]", 0));
		rig_abandon(&rig);
	}
}

static void hangup_replaces_the_device(void **state)
{
	pid_t before;

	(void)state;
	/* With nobody served: the spare is replaced. */
	assert_ok(program_signal(&rig.broker, SIGHUP));
	rig_serves(&rig);
	/* A live session ends; the next is another process's. */
	rig_open(&rig, &guest, &(struct guest_options){ 0 });
	before = rig_device(&rig);
	assert_ok(program_signal(&rig.broker, SIGHUP));
	assert_true(peer_closed(&guest.peer, RIG_WAIT_MS));
	guest_close(&guest);
	rig_open(&rig, &guest, &(struct guest_options){ 0 });
	assert_int_not_equal(before, rig_device(&rig));
	rig_exchange(&rig, &guest, 0);
	rig_close(&rig, &guest);
	rig_stop(&rig);
}

static void every_connection_has_a_process_of_its_own(void **state)
{
	pid_t before = 0;

	(void)state;
	for (int i = 0; i < 5; i++) {
		rig_open(&rig, &guest, &(struct guest_options){ 0 });
		rig_exchange(&rig, &guest, 0);
		assert_int_not_equal(before, rig_device(&rig));
		before = rig_device(&rig);
		rig_close(&rig, &guest);
		assert_true(rig_gone(before));
	}
	rig_stop(&rig);
}

static void once_ends_with_the_connection(void **state)
{
	(void)state;
	rig_start(&rig, (const char *[]){ "--once", NULL });
	rig_open(&rig, &guest, &(struct guest_options){ 0 });
	rig_exchange(&rig, &guest, 0);
	guest_close(&guest);
	assert_int_equal(0, program_wait(&rig.broker, RIG_WAIT_MS));
	rig_abandon(&rig);

	rig_start(&rig, (const char *[]){ "--once", NULL });
	rig_open(&rig, &guest, &(struct guest_options){ 0 });
	rig_exchange(&rig, &guest, 0);
	assert_ok(kill(rig_device(&rig), SIGKILL));
	assert_int_equal(1, program_wait(&rig.broker, RIG_WAIT_MS));
	rig_abandon(&rig);
}

/* Somebody who hung up before he was heard was no connection; nor is a broker that only looks
 * whether the socket is taken. */
static void once_counts_whom_it_served(void **state)
{
	char socket[96];
	struct program_start s = { .args = { "airlock-broker", socket, "--tap=airlock1" } };
	struct program other;

	(void)state;
	rig_start(&rig, (const char *[]){ "--once", NULL });
	snprintf(socket, sizeof(socket), "--socket-path=%s", rig.socket);
	assert_ok(program_signal(&rig.broker, SIGSTOP));
	for (int i = 0; i < 3; i++) {
		struct peer p;

		assert_ok(peer_connect(&p, rig.socket));
		peer_close(&p);
	}
	assert_ok(program_signal(&rig.broker, SIGCONT));
	for (int i = 0; i < 20; i++) {
		assert_ok(program_run(&other, &s));
		assert_int_equal(2, program_wait(&other, RIG_WAIT_MS));
		program_free(&other);
	}
	assert_true(program_running(&rig.broker));
	rig_open(&rig, &guest, &(struct guest_options){ 0 });
	rig_exchange(&rig, &guest, 0);
	guest_close(&guest);
	assert_int_equal(0, program_wait(&rig.broker, RIG_WAIT_MS));
	rig_abandon(&rig);
}

static void killed_devices_are_replaced_under_traffic(void **state)
{
	(void)state;
	for (uint32_t round = 0; round < 50; round++) {
		int64_t begin;
		pid_t pid;

		rig_open(&rig, &guest,
			 &(struct guest_options){ .ring_size = 64, .features = MERGE });
		pid = rig_device(&rig);
		for (uint32_t n = 0; n < round; n++) {
			frame_pattern(frame, 64, n);
			assert_ok(guest_send(&guest, 0, NULL, frame, 64));
			assert_ok(wire_send(&rig.wire, NULL, frame, 64));
		}
		assert_ok(kill(pid, SIGKILL));
		begin = machine_ms();
		assert_true(peer_closed(&guest.peer, RIG_WAIT_MS));
		guest_close(&guest);
		assert_ok(peer_connect(&guest.peer, rig.socket));
		assert_ok(peer_sync(&guest.peer));
		assert_true(machine_ms() - begin < rig_patience(RIG_SERVE_MS));
		peer_close(&guest.peer);
		assert_true(host_has(RIG_TAP));
		wire_drain(&rig.wire);
	}
	assert_true(program_says(&rig.broker, "SIGKILL|signal 9|killed", RIG_WAIT_MS));
	rig_settled(&rig);
	rig_serves(&rig);
	rig_stop(&rig);
}

/* A stopped device hears nobody: the front-end that hangs up must get another all the same. */
static void stopped_device_delays_nobody(void **state)
{
	int64_t begin;
	pid_t pid;

	(void)state;
	rig_open(&rig, &guest, &(struct guest_options){ 0 });
	pid = rig_device(&rig);
	assert_ok(kill(pid, SIGSTOP));
	guest_close(&guest);
	begin = machine_ms();
	assert_ok(peer_connect(&guest.peer, rig.socket));
	assert_ok(peer_sync(&guest.peer));
	assert_in_range(machine_ms() - begin, 0, rig_patience(2 * RIG_SERVE_MS));
	guest_close(&guest);
	assert_true(rig_gone(pid));
	rig_serves(&rig);
	rig_stop(&rig);
}

static void killed_broker_takes_everything_with_it(void **state)
{
	pid_t pid, spawner;

	(void)state;
	rig_open(&rig, &guest, &(struct guest_options){ 0 });
	pid = rig_device(&rig);
	spawner = proc_parent(pid);
	assert_true(spawner > 1);
	assert_ok(program_signal(&rig.broker, SIGKILL));
	program_wait(&rig.broker, RIG_WAIT_MS);
	assert_true(peer_closed(&guest.peer, RIG_WAIT_MS));
	assert_true(rig_gone(pid));
	assert_true(rig_gone(spawner));
	rig_abandon(&rig);
}

/* ---- one connection and the next ---- */

static void frames_of_one_connection_never_reach_the_next(void **state)
{
	(void)state;
	for (uint32_t round = 0; round < 10; round++) {
		/* A ring without buffers: what the host sends now waits in the TAP's queue. */
		rig_connect(&rig, &guest.peer);
		assert_ok(guest_negotiate(&guest, &(struct guest_options){ 0 }));
		assert_ok(guest_set_up(&guest));
		assert_ok(guest_start_rings(&guest, 0));
		for (uint32_t n = 0; n < 100; n++) {
			frame_pattern(frame, 100, n);
			wire_send(&rig.wire, NULL, frame, 100);
		}
		if (round & 1)
			assert_ok(kill(rig_device(&rig), SIGKILL));
		rig_close(&rig, &guest);
		/* Nobody is connected: these are nobody's. */
		for (uint32_t n = 0; n < 100; n++) {
			frame_pattern(frame, 100, 1000 + n);
			wire_send(&rig.wire, NULL, frame, 100);
		}
		rig_open(&rig, &guest, &(struct guest_options){ 0 });
		assert_int_equal(-ETIMEDOUT,
				 guest_receive(&guest, 0, NULL, received, sizeof(received), 50));
		rig_receive(&rig, &guest, 0, 64, 5000, 5);
		rig_close(&rig, &guest);
	}
	rig_stop(&rig);
}

static void many_connections_leak_nothing(void **state)
{
	int maps;

	(void)state;
	rig_serves(&rig);
	maps = proc_count_maps(rig.broker.pid);
	for (int i = 0; i < 100; i++) {
		rig_open(&rig, &guest, &(struct guest_options){ .ring_size = 64 });
		rig_transmit(&rig, &guest, 0, 64, 1, 1);
		guest_close(&guest);
	}
	rig_settled(&rig);
	/* An allocator maps more now and then; what every connection left would be a hundred. */
	assert_in_range(proc_count_maps(rig.broker.pid), 1, maps + 10);
	rig_stop(&rig);
}

/* ---- the control socket ---- */

static json_int_t counter(json_t *stats, size_t ring, const char *name)
{
	return json_integer_value(
		json_object_get(json_array_get(json_object_get(stats, "rings"), ring), name));
}

static void control_tells_and_restarts(void **state)
{
	json_t *status, *stats, *sandbox, *restart;
	pid_t device;

	(void)state;
	rig_open(&rig, &guest, &(struct guest_options){ 0 });
	rig_transmit(&rig, &guest, 0, 100, 0, 30);
	rig_receive(&rig, &guest, 0, 200, 0, 20);
	device = rig_device(&rig);
	status = rig_ctl(&rig, (const char *[]){ "status", NULL });
	assert_int_equal(rig.broker.pid, json_integer_value(json_object_get(status, "pid")));
	assert_int_equal(device, json_integer_value(json_object_get(status, "device_pid")));
	assert_string_equal(RIG_TAP, json_string_value(json_object_get(status, "tap")));
	stats = rig_ctl(&rig, (const char *[]){ "stats", NULL });
	assert_int_equal(20, counter(stats, 0, "frames"));
	assert_int_equal(20 * 200, counter(stats, 0, "bytes"));
	assert_int_equal(30, counter(stats, 1, "frames"));
	assert_int_equal(30 * 100, counter(stats, 1, "bytes"));
	sandbox = rig_ctl(&rig, (const char *[]){ "sandbox", NULL });
	assert_int_equal(device, json_integer_value(json_object_get(sandbox, "pid")));
	restart = rig_ctl(&rig, (const char *[]){ "restart", NULL });
	assert_true(peer_closed(&guest.peer, RIG_WAIT_MS));
	guest_close(&guest);
	json_decref(status);
	json_decref(stats);
	json_decref(sandbox);
	json_decref(restart);
	rig_serves(&rig);
	rig_stop(&rig);
}

static void people_read_the_control_socket(void **state)
{
	static const struct {
		const char *verb, *option, *words;
	} rows[] = {
		{ "status", NULL, RIG_TAP },
		{ "stats", NULL, "frames" },
		{ "stats", "--openmetrics", "# EOF" },
		{ "sandbox", NULL, "seccomp|syscalls|namespaces" },
	};
	char control[96];

	(void)state;
	rig_open(&rig, &guest, &(struct guest_options){ 0 });
	rig_device(&rig);
	snprintf(control, sizeof(control), "--control=%s", rig.control);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct program_start s = { .args = { "airlock-ctl", control, rows[i].verb,
						     rows[i].option } };
		char *text = rig_output(&s);

		assert_true(program_matches(text, rows[i].words));
		free(text);
	}
	rig_close(&rig, &guest);
	rig_stop(&rig);
}

/* Under the jail and its filters: a worker for each CPU of the list, by turns, that looks on after
 * work and still falls asleep. */
static void workers_run_where_they_are_told(void **state)
{
	char affinity[32], allowed[64], name[64], cpu[16];
	pid_t device, tids[8];
	long long used;
	cpu_set_t set;
	int last = -1, n, workers = 0;

	(void)state;
	assert_ok(sched_getaffinity(0, sizeof(set), &set));
	for (int i = 0; i < CPU_SETSIZE; i++)
		last = CPU_ISSET(i, &set) ? i : last;
	snprintf(cpu, sizeof(cpu), "%d", last);
	snprintf(affinity, sizeof(affinity), "--affinity=%d", last);
	rig_start(&rig, (const char *[]){ affinity, "--poll-us=2000", "--queue-pairs=2", NULL });
	rig_open(&rig, &guest, &(struct guest_options){ .pairs = 2 });
	device = rig_device(&rig);
	n = proc_threads(device, tids, ARRAY_SIZE(tids));
	for (int i = 0; i < n; i++) {
		assert_ok(proc_thread_status(device, tids[i], "Name", name, sizeof(name)));
		if (strcmp(name, "airlock-worker") != 0)
			continue;
		assert_ok(proc_thread_status(device, tids[i], "Cpus_allowed_list", allowed,
					     sizeof(allowed)));
		workers += !strcmp(cpu, allowed); /* a sanitizer's own thread has the name, too */
	}
	assert_int_equal(2, workers);
	rig_exchange(&rig, &guest, 0);
	rig_sleep(50);
	used = proc_cpu_ns(device);
	rig_sleep(300);
	assert_true(proc_cpu_ns(device) - used < rig_patience(30000000));
	rig_close(&rig, &guest);
	rig_stop(&rig);
}

#define TEST(name)   cmocka_unit_test_setup_teardown(name, start, end)
#define NO_RIG(name) cmocka_unit_test_setup_teardown(name, blank, end)

int main(void)
{
	const struct CMUnitTest fixed[] = {
		NO_RIG(unprivileged_start_is_refused),
		NO_RIG(informative_options_need_nothing),
		NO_RIG(tap_is_set_up_as_asked),
		NO_RIG(tap_without_addresses_is_silent),
		NO_RIG(existing_tap_is_used_and_left),
		NO_RIG(inherited_tap_queues_serve),
		NO_RIG(memory_must_be_sealed_when_asked_for),
		NO_RIG(device_runs_as_whom_it_is_told),
		NO_RIG(two_brokers_share_no_id),
		TEST(termination_ends_in_order_under_traffic),
		TEST(termination_after_a_hang_up_is_no_error),
		TEST(hangup_replaces_the_device),
		TEST(every_connection_has_a_process_of_its_own),
		NO_RIG(once_ends_with_the_connection),
		NO_RIG(once_counts_whom_it_served),
		TEST(killed_devices_are_replaced_under_traffic),
		TEST(stopped_device_delays_nobody),
		TEST(killed_broker_takes_everything_with_it),
		TEST(frames_of_one_connection_never_reach_the_next),
		TEST(many_connections_leak_nothing),
		TEST(control_tells_and_restarts),
		TEST(people_read_the_control_socket),
		NO_RIG(workers_run_where_they_are_told),
	};
	static char names[ARRAY_SIZE(usages)][64];
	struct CMUnitTest tests[ARRAY_SIZE(usages) + ARRAY_SIZE(fixed)];
	size_t n = 0;

	for (; n < ARRAY_SIZE(usages); n++) {
		snprintf(names[n], sizeof(names[n]), "usage error: %s", usages[n].option);
		tests[n] = (struct CMUnitTest){ names[n], usage_error_changes_nothing, blank, end,
						(void *)&usages[n] };
	}
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		tests[n++] = fixed[i];
	return rig_run("broker", tests, n);
}
