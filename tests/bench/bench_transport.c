/*
 * What airlock-vfio-user costs the frames: nothing should, since with a client that takes
 * ioeventfds neither doorbell, interrupt nor frame crosses it. The same back-end, attached directly
 * and through the transport, alternating; medians of frames a second, each way. Needs root.
 */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/util.h"
#include "tests/bench/pin.h"
#include "tests/bench/results.h"
#include "tests/support/card.h"
#include "tests/support/rig.h"

#define ROUNDS	 7
#define ROUND_MS 400

static struct rig rig;
static struct guest guest;
static uint8_t frame[FRAME_MAX];

static uint64_t arrived(void)
{
	struct host_counters counters;

	assert_ok(host_counters(RIG_TAP, &counters));
	return counters.rx_frames;
}

/* Thousands of frames a second from the guest. */
static double transmit(size_t len)
{
	int64_t start = clock_ms(), end = start + ROUND_MS;
	uint64_t before = arrived();

	frame_pattern(frame, len, 1);
	do {
		while (guest_post(&guest, 0, NULL, frame, len) == 0)
			;
		guest_kick(&guest, 0);
		assert_true(guest_reap(&guest, 0) >= 0);
	} while (clock_ms() < end);
	assert_ok(guest_flush(&guest, 0, 1000));
	return (double)(arrived() - before) / (double)(clock_ms() - start);
}

/* And to it, one at a time: each frame needs its interrupt. */
static double receive(size_t len)
{
	int64_t start = clock_ms(), end = start + ROUND_MS;
	static uint8_t back[FRAME_MAX];
	unsigned int n = 0;

	frame_pattern(frame, len, 2);
	do {
		assert_ok(wire_send(&rig.wire, NULL, frame, len));
		assert_int_equal(len, guest_receive(&guest, 0, NULL, back, sizeof(back), 1000));
		n++;
	} while (clock_ms() < end);
	return n / (double)(clock_ms() - start);
}

static double direct(double (*way)(size_t len), size_t len)
{
	double rate;

	rig_open(&rig, &guest, &(struct guest_options){ 0 });
	pin_process(rig_device(&rig));
	rate = way(len);
	rig_close(&rig, &guest);
	return rate;
}

static double through(double (*way)(size_t len), size_t len)
{
	struct program transport;
	struct card card;
	char path[80];
	double rate;

	snprintf(path, sizeof(path), "%s/vfio-user", rig.dir);
	if (access(rig.report, F_OK) == 0)
		assert_ok(truncate(rig.report, 0));
	assert_ok(card_program(&transport, path, rig.socket, true));
	assert_ok(card_make_rings(&guest, 0));
	assert_ok(card_connect(&card, path));
	assert_ok(card_plug(&card, &guest));
	assert_int_equal(0x0f, card_drive(&card, &guest));
	pin_process(rig_device(&rig));
	rate = way(len);
	card_close(&card);
	assert_int_equal(0, program_stop(&transport));
	program_free(&transport);
	unlink(path);
	guest_close(&guest);
	rig_settled(&rig);
	return rate;
}

static void rounds(const char *name, double (*way)(size_t len), size_t len)
{
	double a[ROUNDS], b[ROUNDS], without, with;

	for (int i = 0; i < ROUNDS; i++) {
		if (i % 2)
			b[i] = through(way, len);
		a[i] = direct(way, len);
		if (i % 2 == 0)
			b[i] = through(way, len);
	}
	without = results_median(a, ROUNDS);
	with = results_median(b, ROUNDS);
	printf("  %-8s %6zu %12.1f %12.1f %8.2f\n", name, len, without, with, with / without);
}

static void bench(void **state)
{
	(void)state;
	rig_start(&rig, (const char *[]){ "--log-level=error", "--socket-mode=0666", NULL });
	assert_ok(chmod(rig.dir, 0777));
	guest_blank(&guest);
	pin_front_end(0);
	printf("\ntransport, 1000 frames/s\n  way       bytes       direct    vfio-user    ratio\n");
	rounds("transmit", transmit, 64);
	rounds("transmit", transmit, 1514);
	rounds("receive", receive, 64);
	rounds("receive", receive, 1514);
	puts("");
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(bench) };

	return rig_run("transport", tests, ARRAY_SIZE(tests));
}
