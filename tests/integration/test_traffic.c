/*
 * Frames through the real broker and its jailed device: every size, bit for bit, over rings of
 * every kind that a driver may set up; none lost, repeated, cut or reordered when rings stop and go
 * on.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "tests/support/rig.h"

#define MERGE  BIT(VIRTIO_NET_F_MRG_RXBUF)
#define EVENT  BIT(VIRTIO_RING_F_EVENT_IDX)
#define PACKED BIT(VIRTIO_F_RING_PACKED)
#define LAST   65226

static struct rig rig;
static struct guest guest;
static uint8_t frame[FRAME_MAX], received[FRAME_MAX];

static int abandon(void **state)
{
	(void)state;
	guest_close(&guest);
	rig_abandon(&rig);
	return 0;
}

static int blank(void **state)
{
	(void)state;
	guest_blank(&guest);
	return 0;
}

struct kind {
	const char *name;
	struct guest_options options;
	uint32_t cuts[24]; /* lengths of leading descriptors; 0 ends them */
	size_t step;	   /* between one size and the next */
};

static const struct kind kinds[] = {
	{ "one descriptor a frame", { 0 }, { 0 }, 1 },
	{ "mergeable", { .features = MERGE | EVENT }, { 0 }, 1 },
	{ "merged from small buffers", { .features = MERGE, .rx_buffer = 300 }, { 0 }, 37 },
	{ "header apart", { .features = EVENT }, { 12 }, 19 },
	{ "header byte by byte",
	  { .features = EVENT },
	  { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 3 },
	  41 },
	{ "header cut across descriptors", { .features = MERGE }, { 5, 9, 100, 7 }, 43 },
	{ "tables", { .indirect = true }, { 12, 14, 1, 300, 4096 }, 23 },
	{ "tables, mergeable, event indices",
	  { .features = MERGE | EVENT, .indirect = true, .rx_buffer = 1000 },
	  { 3, 500 },
	  47 },
	{ "legacy header of ten bytes", { .legacy = true }, { 0 }, 53 },
	{ "legacy, mergeable", { .legacy = true, .features = MERGE }, { 0 }, 53 },
	{ "no eventfds", { .polling = true }, { 0 }, 59 },
	{ "a ring of two", { .ring_size = 2 }, { 0 }, 61 },
	{ "a ring of one", { .ring_size = 1 }, { 0 }, 201 },
	{ "the largest ring", { .ring_size = 32768, .features = MERGE | EVENT }, { 0 }, 67 },
	{ "indices about to wrap", { .base = 65500, .features = EVENT }, { 0 }, 71 },
	{ "eight regions, sealed not", { .regions = 8, .backing = GUEST_UNSEALED }, { 0 }, 73 },
	{ "regions one by one", { .regions = 12, .slots = true }, { 0 }, 73 },
	{ "packed", { .features = PACKED }, { 0 }, 1 },
	{ "packed, mergeable, event indices", { .features = PACKED | MERGE | EVENT }, { 0 }, 17 },
	{ "packed, header cut across descriptors",
	  { .features = PACKED | EVENT },
	  { 5, 9, 100, 7 },
	  43 },
	{ "packed, merged from small buffers",
	  { .features = PACKED | MERGE, .rx_buffer = 300 },
	  { 0 },
	  37 },
	{ "packed, tables",
	  { .features = PACKED, .indirect = true },
	  { 12, 14, 1, 300, 4096 },
	  23 },
	{ "packed, a ring of three", { .features = PACKED | EVENT, .ring_size = 3 }, { 0 }, 61 },
	{ "packed, a ring of one", { .features = PACKED, .ring_size = 1 }, { 0 }, 201 },
	{ "packed, 255 and about to wrap",
	  { .features = PACKED | EVENT, .ring_size = 255, .base = 0x00f000f0 },
	  { 0 },
	  47 },
	{ "packed, the largest ring",
	  { .features = PACKED | MERGE | EVENT, .ring_size = 32768 },
	  { 0 },
	  67 },
	{ "packed, base as DPDK tells it", { .features = PACKED, .base = 0x8000 }, { 0 }, 47 },
	{ "packed, no eventfds", { .features = PACKED, .polling = true }, { 0 }, 59 },
};

static void cut(struct guest *g, const struct kind *kind)
{
	for (unsigned i = 0; i < 2 * g->options.pairs; i++) {
		struct guest_queue *q = &g->queue[i];

		for (q->ncuts = 0; kind->cuts[q->ncuts]; q->ncuts++)
			q->cuts[q->ncuts] = kind->cuts[q->ncuts];
	}
}

/* guest_open() posts the receive buffers; they must have their shape before. */
static void open_kind(const struct kind *kind)
{
	rig_connect(&rig, &guest.peer);
	assert_ok(guest_negotiate(&guest, &kind->options));
	assert_ok(guest_set_up(&guest));
	cut(&guest, kind);
	assert_ok(guest_start_rings(&guest, guest.options.base));
	guest_refill(&guest, 0);
}

static void send_sizes(size_t step)
{
	size_t len = FRAME_MIN, expect = FRAME_MIN;
	uint32_t number;
	int n;

	while (expect <= LAST) {
		for (; len <= LAST && len < expect + 32 * step; len += step) {
			frame_pattern(frame, len, (uint32_t)len);
			assert_ok(guest_send(&guest, 0, NULL, frame, len));
		}
		n = wire_recv(&rig.wire, NULL, received, sizeof(received));
		assert_int_equal(expect, n);
		assert_true(frame_number(received, expect, &number));
		assert_int_equal(expect, number);
		assert_true(frame_intact(received, expect, number));
		expect += step;
	}
	assert_ok(guest_flush(&guest, 0, RIG_WAIT_MS));
}

static void receive_sizes(size_t step)
{
	size_t len = FRAME_MIN, expect = FRAME_MIN;

	while (expect <= LAST) {
		struct virtio_net_hdr_v1 hdr;
		size_t buffers;
		int n;

		for (; len <= LAST && len < expect + 32 * step; len += step) {
			frame_pattern(frame, len, (uint32_t)len);
			assert_ok(wire_send(&rig.wire, NULL, frame, len));
		}
		n = guest_receive(&guest, 0, &hdr, received, sizeof(received), RIG_WAIT_MS);
		assert_int_equal(expect, n);
		assert_true(frame_intact(received, expect, (uint32_t)expect));
		assert_int_equal(0, hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM);
		assert_int_equal(VIRTIO_NET_HDR_GSO_NONE, hdr.gso_type);
		buffers = (expect + guest.header + guest.queue[0].slot_bytes - 1) /
			  guest.queue[0].slot_bytes;
		assert_int_equal(buffers, hdr.num_buffers);
		expect += step;
	}
}

/* ThreadSanitizer looks at every byte that we compare, and at no size in particular. */
static size_t coarser(size_t step)
{
	const char *sanitizers = getenv("AIRLOCK_SANITIZE");

	return sanitizers && strstr(sanitizers, "thread") ? 11 * step : step;
}

static void every_size(void **state)
{
	const struct kind *kind = *state;

	rig_start(&rig, (const char *[]){ "--mtu=65521", "--queue-size=32768", NULL });
	open_kind(kind);
	send_sizes(coarser(kind->step));
	receive_sizes(coarser(kind->step));
	rig_close(&rig, &guest);
	rig_stop(&rig);
}

/* Both directions at once, long enough for every index to wrap. */
static void both_ways_past_the_wrap(void **state)
{
	const uint64_t features = *(const uint64_t *)*state;
	uint32_t sent = 0, got = 0, back = 0, number;

	rig_start(&rig, (const char *[]){ NULL });
	rig_open(&rig, &guest, &(struct guest_options){ .ring_size = 64, .features = features });
	while (got < 70000) {
		for (; sent < got + 24; sent++) {
			frame_pattern(frame, 60 + sent % 1400, sent);
			assert_ok(guest_send(&guest, 0, NULL, frame, 60 + sent % 1400));
			assert_ok(wire_send(&rig.wire, NULL, frame, 60 + sent % 1400));
		}
		assert_int_equal(60 + got % 1400,
				 wire_recv(&rig.wire, NULL, received, sizeof(received)));
		assert_true(frame_number(received, 60 + got % 1400, &number));
		assert_int_equal(got, number);
		assert_true(frame_intact(received, 60 + got % 1400, got));
		got++;
		assert_int_equal(60 + back % 1400, guest_receive(&guest, 0, NULL, received,
								 sizeof(received), RIG_WAIT_MS));
		assert_true(frame_intact(received, 60 + back % 1400, back));
		back++;
	}
	rig_close(&rig, &guest);
	rig_stop(&rig);
}

/* Stops a ring and starts it where the device says it stopped. */
static void restart(unsigned index)
{
	struct guest_ring *r = &guest.queue[index].ring;
	uint32_t base;

	assert_ok(guest_ring_stop(&guest, index, &base));
	/* A stopped device has finished all that it took, and took no more than there was. */
	if (r->format == &guest_packed) {
		assert_int_equal(base >> 16, base & 0xffff);
	} else {
		assert_int_equal(base, guest_split_raw(r).used->idx);
		assert_true((uint16_t)(base - r->used) <= (uint16_t)(r->avail - r->used));
	}
	assert_ok(guest_ring_configure(&guest, index, base));
	assert_ok(guest_ring_enable(&guest, index, true));
}

static void restarts_lose_no_transmitted_frame(void **state)
{
	const uint64_t features = *(const uint64_t *)*state;
	uint32_t sent = 0, got = 0, number;

	rig_start(&rig, (const char *[]){ NULL });
	rig_open(&rig, &guest, &(struct guest_options){ .features = features });
	for (unsigned round = 0; round < 400; round++) {
		for (unsigned n = 0; n < round % 97; n++, sent++) {
			frame_pattern(frame, 64 + sent % 900, sent);
			assert_ok(guest_send(&guest, 0, NULL, frame, 64 + sent % 900));
		}
		restart(1);
		for (; got < sent; got++) {
			assert_int_equal(64 + got % 900,
					 wire_recv(&rig.wire, NULL, received, sizeof(received)));
			assert_true(frame_number(received, 64, &number));
			assert_int_equal(got, number);
		}
	}
	assert_ok(guest_flush(&guest, 0, RIG_WAIT_MS));
	rig.wire.timeout_ms = 50;
	assert_int_equal(-ETIMEDOUT, wire_recv(&rig.wire, NULL, received, sizeof(received)));
	rig_close(&rig, &guest);
	rig_stop(&rig);
}

static void restarts_lose_no_received_frame(void **state)
{
	struct guest_options options = { .features = *(const uint64_t *)*state };
	uint32_t sent = 0, got = 0;

	rig_start(&rig, (const char *[]){ NULL });
	rig_open(&rig, &guest, &options);
	for (unsigned round = 0; round < 400; round++) {
		for (unsigned n = 0; n < round % 97; n++, sent++) {
			frame_pattern(frame, 64 + sent % 900, sent);
			assert_ok(wire_send(&rig.wire, NULL, frame, 64 + sent % 900));
		}
		restart(0);
		for (; got < sent; got++) {
			assert_int_equal(64 + got % 900,
					 guest_receive(&guest, 0, NULL, received, sizeof(received),
						       RIG_WAIT_MS));
			assert_true(frame_intact(received, 64 + got % 900, got));
		}
	}
	assert_int_equal(-ETIMEDOUT,
			 guest_receive(&guest, 0, NULL, received, sizeof(received), 50));
	rig_close(&rig, &guest);
	rig_stop(&rig);
}

/* Opens a guest without any receive buffer posted. */
static void open_without_buffers(struct guest_options *options)
{
	rig_connect(&rig, &guest.peer);
	assert_ok(guest_negotiate(&guest, options));
	assert_ok(guest_set_up(&guest));
	assert_ok(guest_start_rings(&guest, 0));
	guest.queue[0].hold = true;
}

static void merged_frame_waits_for_its_last_buffer(void **state)
{
	struct virtio_net_hdr_v1 hdr;

	(void)state;
	rig_start(&rig, (const char *[]){ "--mtu=9000", NULL });
	open_without_buffers(&(struct guest_options){ .features = MERGE, .rx_buffer = 512 });
	frame_pattern(frame, 4000, 1); /* 4012 bytes: eight buffers */
	assert_ok(wire_send(&rig.wire, NULL, frame, 4000));
	frame_pattern(frame, 60, 2);
	assert_ok(wire_send(&rig.wire, NULL, frame, 60));
	for (unsigned posted = 0; posted < 8; posted++) {
		assert_int_equal(-ETIMEDOUT,
				 guest_receive(&guest, 0, &hdr, received, sizeof(received), 30));
		assert_int_equal(0, guest_split_raw(&guest.queue[0].ring).used->idx);
		assert_ok(guest_post_buffers(&guest, 0, 1));
	}
	assert_int_equal(4000,
			 guest_receive(&guest, 0, &hdr, received, sizeof(received), RIG_WAIT_MS));
	assert_int_equal(8, hdr.num_buffers);
	assert_true(frame_intact(received, 4000, 1));
	assert_int_equal(-ETIMEDOUT,
			 guest_receive(&guest, 0, &hdr, received, sizeof(received), 30));
	assert_ok(guest_post_buffers(&guest, 0, 1));
	assert_int_equal(60,
			 guest_receive(&guest, 0, &hdr, received, sizeof(received), RIG_WAIT_MS));
	assert_true(frame_intact(received, 60, 2));
	rig_close(&rig, &guest);
	rig_stop(&rig);
}

/* A frame that already left the TAP and waits for buffers is not lost with the ring's stop. */
static void held_frame_survives_a_restart(void **state)
{
	(void)state;
	rig_start(&rig, (const char *[]){ "--mtu=9000", NULL });
	open_without_buffers(&(struct guest_options){ .features = MERGE, .rx_buffer = 512 });
	assert_ok(guest_post_buffers(&guest, 0, 3));
	frame_pattern(frame, 4000, 1);
	assert_ok(wire_send(&rig.wire, NULL, frame, 4000));
	rig_sleep(50);
	restart(0);
	assert_int_equal(-ETIMEDOUT,
			 guest_receive(&guest, 0, NULL, received, sizeof(received), 30));
	assert_ok(guest_post_buffers(&guest, 0, 5));
	assert_int_equal(4000,
			 guest_receive(&guest, 0, NULL, received, sizeof(received), RIG_WAIT_MS));
	assert_true(frame_intact(received, 4000, 1));
	rig_close(&rig, &guest);
	rig_stop(&rig);
}

static void frame_that_no_buffer_holds_is_dropped_and_counted(void **state)
{
	struct guest_options options = { .rx_buffer = 1000 };
	json_t *stats, *ring;

	(void)state;
	rig_start(&rig, (const char *[]){ NULL });
	rig_open(&rig, &guest, &options);
	for (uint32_t i = 0; i < 40; i++) {
		size_t len = i % 2 ? 988 : 989; /* 1000 and 1001 with the header */

		frame_pattern(frame, len, i);
		assert_ok(wire_send(&rig.wire, NULL, frame, len));
	}
	for (uint32_t i = 1; i < 40; i += 2) {
		assert_int_equal(988, guest_receive(&guest, 0, NULL, received, sizeof(received),
						    RIG_WAIT_MS));
		assert_true(frame_intact(received, 988, i));
	}
	stats = rig_ctl(&rig, (const char *[]){ "stats", NULL });
	ring = json_array_get(json_object_get(stats, "rings"), 0);
	assert_int_equal(20, json_integer_value(json_object_get(ring, "dropped_no_room")));
	assert_int_equal(20, json_integer_value(json_object_get(ring, "frames")));
	json_decref(stats);
	rig_close(&rig, &guest);
	rig_stop(&rig);
}

int main(void)
{
	static char names[ARRAY_SIZE(kinds) + 12][64];
	struct CMUnitTest tests[ARRAY_SIZE(kinds) + 12 + 16];
	static const struct {
		const char *name;
		uint64_t features;
	} formats[] = {
		{ "split", 0 },
		{ "mergeable", MERGE | EVENT },
		{ "packed", PACKED },
		{ "packed, mergeable", PACKED | MERGE | EVENT },
	};
	static const struct {
		const char *name;
		CMUnitTestFunction test;
	} each_format[] = {
		{ "both ways past the wrap", both_ways_past_the_wrap },
		{ "restarts lose no transmitted frame", restarts_lose_no_transmitted_frame },
		{ "restarts lose no received frame", restarts_lose_no_received_frame },
	};
	const struct CMUnitTest others[] = {
		cmocka_unit_test_setup_teardown(merged_frame_waits_for_its_last_buffer, blank,
						abandon),
		cmocka_unit_test_setup_teardown(held_frame_survives_a_restart, blank, abandon),
		cmocka_unit_test_setup_teardown(frame_that_no_buffer_holds_is_dropped_and_counted,
						blank, abandon),
	};
	size_t n = 0;

	for (; n < ARRAY_SIZE(kinds); n++) {
		snprintf(names[n], sizeof(names[n]), "every size: %s", kinds[n].name);
		tests[n] = (struct CMUnitTest){ names[n], every_size, blank, abandon,
						(void *)&kinds[n] };
	}
	for (size_t i = 0; i < ARRAY_SIZE(each_format) * ARRAY_SIZE(formats); i++, n++) {
		size_t t = i / ARRAY_SIZE(formats), f = i % ARRAY_SIZE(formats);

		snprintf(names[n], sizeof(names[n]), "%s: %s", each_format[t].name,
			 formats[f].name);
		tests[n] = (struct CMUnitTest){ names[n], each_format[t].test, blank, abandon,
						(void *)&formats[f].features };
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		tests[n++] = others[i];
	return rig_run("traffic", tests, n);
}
