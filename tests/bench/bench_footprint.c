/*
 * What many devices on one host cost: private memory of broker, spawner and device, time from the
 * broker's exec to the first answered request, and wake-ups a second while every guest is silent.
 * Each device serves a guest whose rings run. Needs root.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/util.h"
#include "tests/bench/results.h"
#include "tests/support/rig.h"

#define SILENT_S 4

struct unit {
	struct program broker;
	struct guest *guest;
	pid_t spawner, device;
	char socket[64], report[64];
	double start_ms, next_ms;
};

static char dir[] = "/tmp/airlock-bench.XXXXXX";

/* When the broker that is started was executed: to fork this process takes the longer the more
 * guests it has. */
static int64_t *executed;

/* Connects and asks; the time of the answer, in ns. */
static int64_t first_answer(const struct unit *u, struct peer *peer)
{
	uint64_t features;
	int rc;

	do
		rc = peer_connect(peer, u->socket);
	while (rc == -ENOENT || rc == -ECONNREFUSED);
	assert_ok(rc);
	assert_ok(peer_ask_u64(peer, VU_GET_FEATURES, &features));
	return clock_ns();
}

static void unit_open(struct unit *u, unsigned int index)
{
	struct program_start s = { .args = { "airlock-broker", "--log-level=error" } };
	struct guest_options small = { .ring_size = 64, .rx_buffer = 2048, .slots_per_ring = 4 };
	char text[3][96];
	int64_t begin, answered;

	snprintf(u->socket, sizeof(u->socket), "%s/%u", dir, index);
	snprintf(u->report, sizeof(u->report), "%s/%u.report", dir, index);
	snprintf(text[0], sizeof(text[0]), "--socket-path=%s", u->socket);
	snprintf(text[1], sizeof(text[1]), "--sandbox-report=%s", u->report);
	snprintf(text[2], sizeof(text[2]), "--tap=many%u", index);
	for (size_t i = 0; i < ARRAY_SIZE(text); i++)
		s.args[2 + i] = text[i];
	u->guest = calloc(1, sizeof(*u->guest));
	assert_non_null(u->guest);
	guest_blank(u->guest);
	s.executed = executed;
	assert_ok(program_run(&u->broker, &s));
	answered = first_answer(u, &u->guest->peer);
	u->start_ms = (double)(answered - *executed) / 1e6;
	peer_close(&u->guest->peer);
	rig_sleep(50);
	begin = clock_ns();
	u->next_ms = (double)(first_answer(u, &u->guest->peer) - begin) / 1e6;
	assert_ok(guest_open(u->guest, &small));
	u->device = rig_reported(u->report);
	u->spawner = proc_parent(u->device);
}

static void unit_close(struct unit *u)
{
	guest_close(u->guest);
	free(u->guest);
	assert_int_equal(0, program_stop(&u->broker));
	program_free(&u->broker);
	unlink(u->report);
}

static long all_wakeups(const struct unit *units, unsigned int n)
{
	long sum = 0;

	for (unsigned int i = 0; i < n; i++)
		sum += proc_wakeups(units[i].broker.pid) + proc_wakeups(units[i].spawner) +
		       proc_wakeups(units[i].device);
	return sum;
}

/* What the host could still give away, the kernel's share of everything included. */
static double available_kib(void)
{
	char line[128];
	double kib = 0;
	FILE *f = fopen("/proc/meminfo", "re");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, "MemAvailable:", 13))
			kib = strtod(line + 13, NULL);
	fclose(f);
	return kib;
}

static void show(const struct unit *units, unsigned int n, double woken, double taken, json_t *rows)
{
	double *start = calloc(n, sizeof(*start)), *next = calloc(n, sizeof(*next));
	double broker = 0, spawner = 0, device = 0, first, later;

	assert_non_null(start);
	assert_non_null(next);
	for (unsigned int i = 0; i < n; i++) {
		broker += (double)proc_private(units[i].broker.pid) / 1024 / n;
		spawner += (double)proc_private(units[i].spawner) / 1024 / n;
		device += (double)proc_private(units[i].device) / 1024 / n;
		start[i] = units[i].start_ms;
		next[i] = units[i].next_ms;
	}
	first = results_median(start, n);
	later = results_median(next, n);
	printf("%8u %12.0f %12.0f %12.0f %12.0f %14.1f %14.2f %14.2f\n", n, broker, spawner, device,
	       taken / n, first, later, woken);
	json_array_append_new(rows,
			      json_pack("{si sf sf sf sf sf sf sf}", "devices", (int)n,
					"broker_kib", broker, "spawner_kib", spawner, "device_kib",
					device, "host_kib", taken / n, "first_answer_ms", first,
					"later_answer_ms", later, "wakeups_per_second", woken));
	free(start);
	free(next);
}

static void footprint(void **state)
{
	static const unsigned int counts[] = { 1, 10, 100, 500 };
	unsigned int most = results_quick() ? 10 : 500, have = 0;
	struct unit *units = calloc(most, sizeof(*units));
	double available = available_kib();
	json_t *rows = json_array();

	(void)state;
	assert_non_null(units);
	assert_non_null(mkdtemp(dir));
	executed = mmap(NULL, sizeof(*executed), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	assert_ptr_not_equal(MAP_FAILED, executed);
	printf("\n%8s %12s %12s %12s %12s %14s %14s %14s\n", "devices", "broker KiB", "spawner KiB",
	       "device KiB", "host KiB", "exec, ms", "connect, ms", "wake-ups/s");
	for (size_t i = 0; i < ARRAY_SIZE(counts) && counts[i] <= most; i++) {
		long before;

		for (; have < counts[i]; have++)
			unit_open(&units[have], have);
		rig_sleep(7000); /* the broker looks after a device for six seconds after a word */
		before = all_wakeups(units, have);
		rig_sleep(1000 * SILENT_S);
		show(units, have, (double)(all_wakeups(units, have) - before) / SILENT_S,
		     available - available_kib(), rows);
		fflush(stdout);
	}
	puts("  medians and means of one device; wake-ups of all together; host: what it has less "
	     "of for each, guest and kernel included; exec, connect: to the first answered "
	     "request\n");
	while (have)
		unit_close(&units[--have]);
	free(units);
	rmdir(dir);
	results_save("footprint", rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(footprint) };

	return rig_run("footprint", tests, ARRAY_SIZE(tests));
}
