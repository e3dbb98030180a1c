/*
 * How fast frames leave a guest, beside the limit measured in the same run: a loop that does
 * nothing but write frames to a TAP. Both are counted at the interface; rounds alternate, and the
 * median is shown. The device runs on the last CPU, the front-end (or the bare loop) on the first.
 * Also what a connection costs: time to the first answer, private memory, calls in each filter.
 * Needs root.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "lib/util.h"
#include "tests/support/rig.h"

#define ROUNDS	 5
#define ROUND_MS 400
#define HEADER	 12
#define SERVICES 20

struct measure {
	double kframes; /* thousands of frames a second */
	double cpu_ns;	/* of the sender's own process, a frame */
};

static struct rig rig;
static struct guest guest;
static char bare_name[16] = "bare%d";
static int bare_tap;

static int64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void pin(pid_t pid, int cpu)
{
	pid_t tids[64];
	int n = proc_threads(pid, tids, ARRAY_SIZE(tids));
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	for (int i = 0; i < n && i < (int)ARRAY_SIZE(tids); i++)
		assert_ok(sched_setaffinity(tids[i], sizeof(set), &set));
}

static uint64_t arrived(const char *interface)
{
	struct host_counters counters;

	assert_ok(host_counters(interface, &counters));
	return counters.rx_frames;
}

static struct measure bare_round(size_t len)
{
	static uint8_t frame[HEADER + FRAME_MAX];
	int64_t start = now_ns(CLOCK_MONOTONIC), cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	uint64_t before = arrived(bare_name), frames;
	int64_t end = start + ROUND_MS * INT64_C(1000000), now;

	memset(frame, 0, HEADER);
	frame_pattern(frame + HEADER, len, 1);
	do {
		for (int i = 0; i < 256; i++)
			assert_int_equal(HEADER + len, write(bare_tap, frame, HEADER + len));
		now = now_ns(CLOCK_MONOTONIC);
	} while (now < end);
	frames = arrived(bare_name) - before;
	cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	return (struct measure){ frames * 1e6 / (double)(now - start), cpu / (double)frames };
}

static struct measure airlock_round(size_t len)
{
	static uint8_t frame[FRAME_MAX];
	pid_t device = rig_device(&rig);
	int64_t start = now_ns(CLOCK_MONOTONIC), end = start + ROUND_MS * INT64_C(1000000), now;
	uint64_t before = arrived(RIG_TAP), frames;
	long long cpu = proc_cpu_ns(device);

	frame_pattern(frame, len, 1);
	do {
		while (guest_post(&guest, 0, NULL, frame, len) == 0)
			;
		guest_kick(&guest, 0);
		assert_true(guest_reap(&guest, 0) >= 0);
		now = now_ns(CLOCK_MONOTONIC);
	} while (now < end);
	assert_ok(guest_flush(&guest, 0, 1000));
	now = now_ns(CLOCK_MONOTONIC);
	frames = arrived(RIG_TAP) - before;
	cpu = proc_cpu_ns(device) - cpu;
	return (struct measure){ frames * 1e6 / (double)(now - start), cpu / (double)frames };
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static struct measure median(const struct measure *rounds)
{
	double kframes[ROUNDS], cpu[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		kframes[i] = rounds[i].kframes;
		cpu[i] = rounds[i].cpu_ns;
	}
	qsort(kframes, ROUNDS, sizeof(*kframes), compare);
	qsort(cpu, ROUNDS, sizeof(*cpu), compare);
	return (struct measure){ kframes[ROUNDS / 2], cpu[ROUNDS / 2] };
}

static void transmit(size_t len)
{
	struct measure bare[ROUNDS], ours[ROUNDS], b, o;

	for (int i = 0; i < ROUNDS; i++) {
		if (i % 2)
			ours[i] = airlock_round(len);
		bare[i] = bare_round(len);
		if (i % 2 == 0)
			ours[i] = airlock_round(len);
	}
	b = median(bare);
	o = median(ours);
	printf("  %6zu %12.0f %12.0f %8.2f %12.0f %12.0f %8.2f\n", len, b.kframes, o.kframes,
	       o.kframes / b.kframes, b.cpu_ns, o.cpu_ns, o.cpu_ns / b.cpu_ns);
}

/* From connect() to the answer of the first request. A device that waits is already confined. */
static double first_answer_ms(void)
{
	double ms[SERVICES];
	struct peer peer;
	uint64_t value;

	for (int i = 0; i < SERVICES; i++) {
		int64_t start = now_ns(CLOCK_MONOTONIC);

		assert_ok(peer_connect(&peer, rig.socket));
		assert_ok(peer_ask_u64(&peer, VU_GET_FEATURES, &value));
		ms[i] = (double)(now_ns(CLOCK_MONOTONIC) - start) / 1e6;
		peer_close(&peer);
		rig_settled(&rig);
	}
	qsort(ms, SERVICES, sizeof(*ms), compare);
	return ms[SERVICES / 2];
}

static void print_filters(const json_t *report)
{
	const json_t *thread;
	size_t i;

	json_array_foreach (json_object_get(report, "threads"), i, thread)
		printf("  calls in the filter of a %s: %zu\n",
		       json_string_value(json_object_get(thread, "role")),
		       json_array_size(json_object_get(thread, "syscalls")));
	printf("  calls in the filter of the broker: %zu\n",
	       json_array_size(json_object_get(json_object_get(report, "broker"), "syscalls")));
}

static void bench(void **state)
{
	int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
	json_t *report;

	(void)state;
	rig_start(&rig, (const char *[]){ "--log-level=error", NULL });
	wire_close(&rig.wire); /* a packet socket would be a second reader of every frame */
	bare_tap = host_tap(bare_name, 0);
	assert_true(bare_tap >= 0);
	assert_ok(host_set_up(bare_name, 0));
	printf("\nservice\n  connect to first answer: %.2f ms (median of %d)\n", first_answer_ms(),
	       SERVICES);

	guest_blank(&guest);
	rig_open(&rig, &guest, &(struct guest_options){ 0 });
	report = rig_report(&rig);
	print_filters(report);
	json_decref(report);
	pin(getpid(), 0);
	pin(rig_device(&rig), cpus - 1);

	printf("\ntransmit        kframes/s                          CPU ns a frame\n"
	       "   bytes         bare      airlock    ratio         bare      airlock    ratio\n");
	transmit(64);
	transmit(1514);

	printf("\nprivate memory after traffic\n  device %ld KiB, broker %ld KiB\n\n",
	       proc_private(rig_device(&rig)) / 1024, proc_private(rig.broker.pid) / 1024);
	rig_close(&rig, &guest);
	close(bare_tap);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(bench) };

	return rig_run("transmit", tests, ARRAY_SIZE(tests));
}
