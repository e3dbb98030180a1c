/*
 * Endurance: for so many minutes ($T) connections come and go, devices are killed at any moment,
 * rings restart and the MTU changes, while frames flow both ways. Broker, spawner and device are
 * looked at throughout; a table of what they hold stands at the end, and whatever has grown is a
 * failure. $SEED repeats a run's choices.
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/util.h"
#include "tests/bench/results.h"
#include "tests/support/rig.h"

#define KILLS_MAX   200000
#define SAMPLES_MAX 100000
#define SAMPLE_MS   500
#define WARM_UP	    4		/* one part in so many of the samples does not count */
#define GROWTH_MAX  (64 * 1024) /* bytes of memory, from first to last */
#define MEDIAN_MS   10.0	/* from a kill to the answer that the next connection gets */
#define KILL_US_MAX 3000	/* after the first answer */

static struct rig rig;
static struct guest guest;
static struct wire host; /* of the thread that sends to the guest */
static uint8_t frame[FRAME_MAX], received[FRAME_MAX];
static bool stop;
static unsigned seed = 1;
static pid_t spawner;

enum what {
	BROKER,
	SPAWNER,
	DEVICE,
	PROCESSES
};

static const char *const names[PROCESSES] = { "broker", "spawner", "device" };

static struct sample {
	long fds[PROCESSES], maps[PROCESSES], bytes[PROCESSES];
} samples[SAMPLES_MAX];
static size_t nsamples;

static double outages[KILLS_MAX]; /* ms */
static size_t kills;

enum event {
	RECONNECT,
	KILL,
	RESTART,
	MTU,
	EVENTS
};

static const struct {
	const char *name;
	unsigned of_a_hundred;
} events[EVENTS] = {
	[RECONNECT] = { "reconnects", 75 },
	[KILL] = { "kills", 10 },
	[RESTART] = { "restarts of a ring", 10 },
	[MTU] = { "changes of the MTU", 5 },
};
static uint64_t counts[EVENTS];

static unsigned chance(unsigned below)
{
	return (unsigned)rand_r(&seed) % below;
}

/* ---- who is there ---- */

static bool serves(pid_t pid)
{
	char target[64];

	for (int fd = 3; fd < 32; fd++)
		if (!proc_fd_target(pid, fd, target, sizeof(target)) &&
		    !strcmp(target, "/dev/net/tun"))
			return true;
	return false;
}

/* The device that serves; the spawner's other children are spares, witnesses and the dying. */
static pid_t device_find(void)
{
	char path[64];
	pid_t pid, found = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", spawner, spawner);
	f = fopen(path, "re");
	while (f && !found && fscanf(f, "%d", &pid) == 1)
		if (serves(pid))
			found = pid;
	if (f)
		fclose(f);
	assert_true(found > 1);
	return found;
}

/* Bytes that no other process can make it seem to own by going away, as pages of a library can. */
static long memory_of(pid_t pid)
{
	char text[4096];
	const char *at;

	if (proc_read(pid, "smaps_rollup", text, sizeof(text)) <= 0)
		return -1;
	at = strstr(text, "\nAnonymous:");
	return at ? 1024 * atol(at + strlen("\nAnonymous:")) : -1;
}

static void sample(enum what what, pid_t pid)
{
	struct sample *s = &samples[nsamples];

	s->fds[what] = proc_count_fds(pid);
	s->maps[what] = proc_count_maps(pid);
	s->bytes[what] = memory_of(pid);
}

/* ---- what happens ---- */

static void frames_pass(void)
{
	for (uint32_t i = 0; i < 8; i++) {
		frame_pattern(frame, 64 + chance(1400), i);
		assert_ok(guest_send(&guest, 0, NULL, frame, 64));
	}
	assert_ok(guest_flush(&guest, 0, rig_patience(2000)));
	assert_true(guest_receive(&guest, 0, NULL, received, sizeof(received), rig_patience(2000)) >
		    0);
}

static void guest_start(void)
{
	rig_connect(&rig, &guest.peer);
	assert_ok(guest_open(&guest, &(struct guest_options){ .ring_size = 64 }));
}

static void reconnect(void)
{
	guest_close(&guest);
	guest_start();
	frames_pass();
}

/* A ring stops and starts again where it was. */
static void restart(void)
{
	unsigned index = chance(2);
	uint32_t base;

	assert_ok(guest_ring_stop(&guest, index, &base));
	assert_ok(guest_ring_configure(&guest, index, base));
	assert_ok(guest_ring_enable(&guest, index, true));
	frames_pass();
}

static void mtu_change(void)
{
	assert_ok(host_set_up(RIG_TAP, 1000 + (int)chance(500)));
	frames_pass();
}

struct murder {
	pid_t victim;
	unsigned after_us;
	int64_t at; /* ns */
};

static void *murder(void *arg)
{
	struct murder *m = arg;

	nanosleep(&(struct timespec){ .tv_nsec = m->after_us * 1000L }, NULL);
	m->at = clock_ns();
	kill(m->victim, SIGKILL);
	return NULL;
}

/* The device dies somewhere between the connection and its traffic; how long until the next one
 * answers. */
static void kill_and_wait(void)
{
	struct murder m = { .after_us = chance(KILL_US_MAX) };
	pthread_t thread;

	guest_close(&guest);
	rig_settled(&rig);
	rig_connect(&rig, &guest.peer);
	assert_ok(peer_sync(&guest.peer));
	m.victim = device_find();
	assert_ok(pthread_create(&thread, NULL, murder, &m));
	if (!guest_open(&guest, &(struct guest_options){ .ring_size = 64 }))
		for (uint32_t i = 0; !peer_closed(&guest.peer, 0); i++) {
			frame_pattern(frame, 64, i);
			guest_post(&guest, 0, NULL, frame, 64);
			guest_kick(&guest, 0);
			guest_reap(&guest, 0);
		}
	guest_close(&guest);
	assert_ok(peer_connect(&guest.peer, rig.socket));
	assert_ok(peer_sync(&guest.peer));
	pthread_join(thread, NULL);
	outages[kills++] = (double)(clock_ns() - m.at) / 1e6;
	guest_close(&guest);
	guest_start();
	frames_pass();
}

static void (*const deeds[EVENTS])(void) = {
	[RECONNECT] = reconnect,
	[KILL] = kill_and_wait,
	[RESTART] = restart,
	[MTU] = mtu_change,
};

static void something_happens(void)
{
	unsigned n = chance(100);
	enum event e = 0;

	while (n >= events[e].of_a_hundred)
		n -= events[e++].of_a_hundred;
	if (e == KILL && kills == KILLS_MAX)
		e = RECONNECT;
	deeds[e]();
	counts[e]++;
}

/* Broker and spawner when nobody is served, a device when frames have passed: moments that are like
 * each other. */
static void look(void)
{
	if (nsamples == SAMPLES_MAX)
		return;
	guest_close(&guest);
	rig_settled(&rig);
	sample(BROKER, rig.broker.pid);
	sample(SPAWNER, spawner);
	guest_start();
	frames_pass();
	sample(DEVICE, device_find());
	nsamples++;
}

static void *host_sends(void *arg)
{
	static uint8_t bytes[512];

	(void)arg;
	for (uint32_t i = 0; !__atomic_load_n(&stop, __ATOMIC_RELAXED); i++) {
		frame_pattern(bytes, 60 + i % 400, i);
		for (int n = 0; n < 4; n++)
			wire_send(&host, NULL, bytes, 60 + i % 400);
		nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
	}
	return NULL;
}

/* ---- the end ---- */

static long mean(size_t from, size_t to, size_t offset)
{
	long long sum = 0;

	for (size_t i = from; i < to; i++)
		sum += *(const long *)(const void *)((const char *)&samples[i] + offset);
	return (long)(sum / (long long)max_of(to - from, (size_t)1));
}

/* Of one figure: the first quarter after the warm-up against the last. */
static long row(const char *process, const char *figure, size_t offset, long unit)
{
	size_t from = nsamples / WARM_UP, part = max_of((nsamples - from) / 4, (size_t)1);
	long first = mean(from, from + part, offset);
	long last = mean(nsamples - part, nsamples, offset);
	long most = 0;

	for (size_t i = 0; i < nsamples; i++)
		most = max_of(most, mean(i, i + 1, offset));
	printf("%-8s %-20s %8ld %8ld %8ld\n", process, figure, first / unit, last / unit,
	       most / unit);
	return last - first;
}

static bool table(double seconds)
{
	bool grown = false;

	printf("%.0f s:", seconds);
	for (int e = 0; e < EVENTS; e++)
		printf(" %llu %s%s", (unsigned long long)counts[e], events[e].name,
		       e < EVENTS - 1 ? "," : "");
	printf("; %zu samples\n                                first     last     most\n",
	       nsamples);
	for (int p = 0; p < PROCESSES; p++) {
		grown |= row(names[p], "descriptors", offsetof(struct sample, fds[p]), 1) > 0;
		grown |= row(names[p], "mappings", offsetof(struct sample, maps[p]), 1) > 0;
		grown |= row(names[p], "memory, KiB", offsetof(struct sample, bytes[p]), 1024) >
			 GROWTH_MAX;
	}
	if (kills) {
		double median = results_median(outages, kills);

		printf("from a kill to the next answer: median %.2f ms, 99 %% %.2f ms, most %.2f ms\n",
		       median, results_percentile(outages, kills, 0.99), outages[kills - 1]);
		grown |= median > MEDIAN_MS;
	}
	fflush(stdout);
	return !grown;
}

static void endures(void **state)
{
	double minutes = atof(getenv("T") ? getenv("T") : "1");
	int64_t begin = clock_ms(), end = begin + (int64_t)(60e3 * minutes), next = begin;
	pthread_t sender;

	(void)state;
	guest_blank(&guest);
	rig_start(&rig, (const char *[]){ "--log-level=error", NULL });
	assert_ok(wire_open(&host, RIG_TAP, 0)); /* captures nothing */
	guest_start();
	spawner = proc_parent(rig_device(&rig));
	assert_ok(pthread_create(&sender, NULL, host_sends, NULL));
	while (clock_ms() < end) {
		something_happens();
		if (clock_ms() < next)
			continue;
		look();
		next = clock_ms() + SAMPLE_MS;
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(sender, NULL);
	wire_close(&host);
	rig_close(&rig, &guest);
	assert_true(table((double)(clock_ms() - begin) / 1e3));
	rig_stop(&rig);
}

static int end(void **state)
{
	(void)state;
	rig_abandon(&rig);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_teardown(endures, end) };

	if (getenv("SEED"))
		seed = (unsigned)atoi(getenv("SEED"));
	return rig_run("soak", tests, ARRAY_SIZE(tests));
}
