/*
 * How long one frame takes: from the host to the guest's ring and back out again, after a pause in
 * which everything fell asleep and back to back, beside a bare loop that echoes on a TAP. The
 * front-end polls ring and socket from a processor of its own, so that no wake-up but the
 * back-end's is measured. Subjects take turns, many samples each. Needs root and two processors.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/clock.h"
#include "lib/util.h"
#include "tests/bench/echo.h"
#include "tests/bench/limit.h"
#include "tests/bench/load.h"
#include "tests/bench/pin.h"
#include "tests/bench/results.h"
#include "tests/support/rig.h"

#define FRAME_LEN   64
#define TURNS	    8
#define SAMPLES_MAX 8000
#define LOST_NS	    INT64_C(1000000000)

static const struct row row = { WAY_BOTH, TRAFFIC_MIXED, FRAME_LEN, 1, 256, 1, false };
static uint8_t frame[FRAME_LEN], captured[FRAME_MAX];

struct subject {
	const char *name;
	bool bare;
	struct backend backend;
	struct guest guest;
	struct echo echo;
	struct wire wire;
	double us[SAMPLES_MAX];
	size_t n;
};

static bool arrived(struct wire *w)
{
	return recv(w->sock, captured, sizeof(captured), MSG_DONTWAIT) > 0;
}

/* As the guest: what came is posted again, and one frame goes out. */
static void answer(struct guest *guest, int64_t end)
{
	struct guest_queue *rx = &guest->queue[0], *tx = &guest->queue[1];
	struct guest_piece in, out = { tx->slot[0], TRAFFIC_HEADER + FRAME_LEN, false };
	uint32_t slot, len;

	while (guest_ring_take(&rx->ring, &slot, &len) == 0)
		assert_true(clock_ns() < end);
	in = (struct guest_piece){ rx->slot[slot], rx->slot_bytes, true };
	guest_ring_post(&rx->ring, &in, 1, false, slot);
	guest_ring_post(&tx->ring, &out, 1, false, 0);
	guest_ring_kick(&tx->ring);
	guest_ring_kick(&rx->ring);
}

static double round_trip_us(struct subject *s)
{
	int64_t begin = clock_ns(), end = begin + LOST_NS;
	uint32_t slot, len;

	assert_ok(wire_send(&s->wire, NULL, frame, sizeof(frame)));
	if (!s->bare)
		answer(&s->guest, end);
	while (!arrived(&s->wire))
		assert_true(clock_ns() < end);
	end = clock_ns();
	while (!s->bare && s->guest.queue[1].ring.outstanding)
		guest_ring_take(&s->guest.queue[1].ring, &slot, &len);
	return (double)(end - begin) / 1e3;
}

static void bare_open(struct subject *s)
{
	*s = (struct subject){ .name = "limit", .bare = true };
	echo_open(&s->echo);
	assert_ok(wire_open(&s->wire, LIMIT_TAP, FRAME_TYPE));
}

/* -ENOENT: not on this machine. */
static int backend_open(struct subject *s, enum backend_kind kind)
{
	int rc;

	*s = (struct subject){ .name = backend_names[kind] };
	rc = backend_start(&s->backend, kind, &row);
	if (rc)
		return rc;
	load_open(&s->guest, &s->backend, &row);
	frame_pattern(
		guest_at(&s->guest.memory, s->guest.queue[1].slot[0] + TRAFFIC_HEADER, FRAME_LEN),
		FRAME_LEN, 2);
	assert_ok(wire_open(&s->wire, s->backend.tap, FRAME_TYPE));
	backend_pause(&s->backend);
	return 0;
}

static void subject_close(struct subject *s)
{
	wire_close(&s->wire);
	if (s->bare) {
		echo_close(&s->echo);
		return;
	}
	backend_resume(&s->backend);
	load_close(&s->guest);
	backend_stop(&s->backend);
}

static void turn(struct subject *s, size_t samples, int pause_us)
{
	if (!s->bare)
		backend_resume(&s->backend);
	round_trip_us(s); /* wakes it */
	for (size_t i = 0; i < samples; i++) {
		if (pause_us)
			nanosleep(&(struct timespec){ .tv_nsec = 1000L * pause_us }, NULL);
		s->us[s->n++] = round_trip_us(s);
	}
	if (!s->bare)
		backend_pause(&s->backend);
}

static void show(const struct subject *s, const char *test, json_t *rows)
{
	double p50 = results_percentile(s->us, s->n, 0.5);
	double p99 = results_percentile(s->us, s->n, 0.99);
	double p999 = results_percentile(s->us, s->n, 0.999);

	printf("%-28s %-12s %8.1f %8.1f %8.1f\n", test, s->name, p50, p99, p999);
	json_array_append_new(rows, json_pack("{ss ss sf sf sf}", "test", test, "subject", s->name,
					      "p50_us", p50, "p99_us", p99, "p999_us", p999));
}

static void compare(const char *test, int pause_us, json_t *rows)
{
	static struct subject subjects[3];
	static const enum backend_kind kinds[] = { BACKEND_AIRLOCK, BACKEND_DPDK };
	size_t samples = (results_quick() ? 50 : 500), n = 1;

	bare_open(&subjects[0]);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		n += backend_open(&subjects[n], kinds[i]) == 0;
	for (size_t t = 0; t < TURNS * n; t++)
		turn(&subjects[t / n % 2 ? n - 1 - t % n : t % n], samples, pause_us);
	for (size_t i = 0; i < n; i++) {
		qsort(subjects[i].us, subjects[i].n, sizeof(double), results_order);
		show(&subjects[i], test, rows);
		subject_close(&subjects[i]);
	}
}

static void latencies(void **state)
{
	json_t *rows = json_array();

	(void)state;
	pin_front_end(0);
	frame_pattern(frame, sizeof(frame), 1);
	printf("\n%-28s %-12s %8s %8s %8s\n", "microseconds there and back", "", "p50", "p99",
	       "p99.9");
	compare("back to back", 0, rows);
	compare("after a pause of 1 ms", 1000, rows);
	puts("");
	results_save("latency", rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(latencies) };

	return rig_run("latency", tests, ARRAY_SIZE(tests));
}
