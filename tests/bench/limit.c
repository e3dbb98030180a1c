/*
 * The bare loops, each on a TAP queue of its own. Run in threads of the benchmark, on the
 * processors of what is measured.
 */
#include "tests/bench/limit.h"

#include <linux/if_tun.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/tap.h"
#include "lib/util.h"
#include "tests/bench/flood.h"
#include "tests/bench/pin.h"
#include "tests/support/rig.h"

#define TURN 64 /* frames of one direction before the other has its turn */

struct loop {
	const struct row *row;
	const bool *stop;
	pthread_t thread;
	int tap;
	uint64_t frames;
	int64_t cpu_ns;
	uint32_t len; /* with the header */
	uint8_t *buffers;
};

/* Part of the loop, so that a call in place stays in place. */
static in_place unsigned int send_turn(struct loop *l, bool library)
{
	for (unsigned int i = 0; i < TURN; i++) {
		uint32_t number = (uint32_t)l->frames;
		uint8_t *at = l->buffers + (size_t)(number % l->row->ring) * TRAFFIC_ROOM;
		ssize_t n = library ? write(l->tap, at, l->len) : tap_write(l->tap, at, l->len);

		l->frames += n == (ssize_t)l->len;
	}
	return TURN;
}

static in_place unsigned int receive_turn(struct loop *l, bool library)
{
	uint8_t *at = l->buffers + (size_t)l->row->ring * TRAFFIC_ROOM;
	unsigned int n = 0;

	while (n < TURN &&
	       (library ? read(l->tap, at, TRAFFIC_ROOM) : tap_read(l->tap, at, TRAFFIC_ROOM)) > 0)
		n++;
	l->frames += n;
	return n;
}

static int64_t thread_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static in_place void loop_run(struct loop *l, bool library)
{
	struct pollfd p = { .fd = l->tap, .events = POLLIN };
	int64_t begin = thread_cpu_ns();

	pin_measured(0);
	while (!__atomic_load_n(l->stop, __ATOMIC_RELAXED)) {
		unsigned int n = 0;

		if (l->row->way & WAY_SEND)
			n += send_turn(l, library);
		if (l->row->way & WAY_RECEIVE)
			n += receive_turn(l, library);
		if (!n)
			poll(&p, 1, 10);
	}
	l->cpu_ns = thread_cpu_ns() - begin;
}

static void *loop_library(void *arg)
{
	loop_run(arg, true);
	return NULL;
}

static void *loop_in_place(void *arg)
{
	loop_run(arg, false);
	return NULL;
}

static void loop_open(struct loop *l, const struct row *row, const bool *stop)
{
	char name[16] = LIMIT_TAP;

	*l = (struct loop){ .row = row, .stop = stop };
	l->tap = host_tap(name, IFF_MULTI_QUEUE);
	assert_true(l->tap >= 0);
	if (row->traffic == TRAFFIC_LARGE) /* to be handed whole segments of segments */
		assert_ok(ioctl(l->tap, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4));
	/* One more, to receive into. */
	l->buffers = malloc((size_t)(row->ring + 1) * TRAFFIC_ROOM);
	assert_non_null(l->buffers);
	for (uint32_t i = 0; i < row->ring; i++)
		l->len = traffic_fill(row->traffic, row->len, i,
				      l->buffers + (size_t)i * TRAFFIC_ROOM);
}

struct figures limit_run(const struct row *row, bool ours, unsigned int ms)
{
	struct host_counters before, after;
	void *(*run)(void *) = ours ? loop_in_place : loop_library;
	struct loop loops[8];
	struct flood flood;
	int64_t begin, end, cpu = 0;
	uint64_t frames = 0;
	bool stop = false;

	for (unsigned int i = 0; i < row->pairs; i++)
		loop_open(&loops[i], row, &stop);
	assert_ok(host_set_up(LIMIT_TAP, 1500));
	flood_open(&flood, LIMIT_TAP, row);
	assert_ok(host_counters(LIMIT_TAP, &before));
	begin = clock_ns();
	end = begin + ms * INT64_C(1000000);
	for (unsigned int i = 0; i < row->pairs; i++)
		assert_ok(pthread_create(&loops[i].thread, NULL, run, &loops[i]));
	while (clock_ns() < end)
		if (row->way & WAY_RECEIVE)
			flood_burst(&flood);
		else
			rig_sleep(1);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < row->pairs; i++)
		pthread_join(loops[i].thread, NULL);
	end = clock_ns();
	assert_ok(host_counters(LIMIT_TAP, &after));
	flood_close(&flood);
	for (unsigned int i = 0; i < row->pairs; i++) {
		frames += loops[i].frames;
		cpu += loops[i].cpu_ns;
		close(loops[i].tap);
		free(loops[i].buffers);
	}
	while (host_has(LIMIT_TAP))
		rig_sleep(1);
	if (row->way == WAY_SEND) /* the counters agree with the loop's own count */
		assert_int_equal(frames, after.rx_frames - before.rx_frames);
	return (struct figures){
		.frames = (double)frames * 1e9 / (double)(end - begin),
		.bits = (double)frames * 8e9 * (loops[0].len - TRAFFIC_HEADER) /
			(double)(end - begin),
		.cpu_ns = (double)cpu / (double)frames,
		.offered = (double)flood.offered * 1e9 / (double)(end - begin),
	};
}
