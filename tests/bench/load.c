/*
 * The measuring front-end. Runs in the benchmark's thread; believes lengths and indices of the
 * back-end only where the rings of tests/support checked them.
 */
#include "tests/bench/load.h"

#include <linux/if_ether.h>
#include <string.h>

#include "lib/clock.h"
#include "tests/bench/flood.h"
#include "tests/bench/pin.h"
#include "tests/support/rig.h"

#define CHECKED 16 /* frames */

static uint64_t features(const struct row *row)
{
	uint64_t bits = BIT(VIRTIO_NET_F_MRG_RXBUF);

	if (row->packed)
		bits |= BIT(VIRTIO_F_RING_PACKED);
	if (row->traffic != TRAFFIC_MIXED)
		bits |= BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM);
	if (row->traffic == TRAFFIC_LARGE)
		bits |= BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO4);
	return bits;
}

/* Transmit buffers are filled once, and posted again as they are. Every page of the others is
 * touched: memory that its guest never used is not its guest's. */
static void prepare(struct guest *guest, const struct row *row)
{
	for (unsigned int i = 0; i < 2 * row->pairs; i++) {
		struct guest_queue *q = &guest->queue[i];

		for (uint32_t slot = 0; slot < q->slots; slot++) {
			uint8_t *at = guest_at(&guest->memory, q->slot[slot], q->slot_bytes);

			if (i & 1)
				traffic_fill(row->traffic, row->len, slot, at);
			else
				memset(at, 0, q->slot_bytes);
		}
	}
}

void load_open(struct guest *guest, struct backend *b, const struct row *row)
{
	struct guest_options o = { .pairs = row->pairs,
				   .ring_size = (uint16_t)row->ring,
				   .features = features(row),
				   .regions = 1 };

	if (b->kind == BACKEND_DPDK)
		o.no_protocol = BIT(VU_P_CONFIG) | BIT(VU_P_MEM_SLOTS);
	guest_blank(guest);
	backend_connect(b, &guest->peer);
	assert_ok(guest_open(guest, &o));
	prepare(guest, row);
	backend_settle(b);
}

void load_close(struct guest *guest)
{
	guest_close(guest);
}

struct turn {
	const struct row *row;
	struct guest *guest;
	uint32_t number[GUEST_PAIRS_MAX]; /* next frame of each pair's flow */
	uint64_t received;
};

static void post(struct turn *t, unsigned int index, uint32_t slot)
{
	struct guest_queue *q = &t->guest->queue[index];
	const struct row *row = t->row;
	struct guest_piece p = { q->slot[slot], q->slot_bytes, true };

	if (index & 1) {
		uint32_t len = row->traffic == TRAFFIC_LARGE ? TRAFFIC_GSO : row->len;

		p = (struct guest_piece){ q->slot[slot], TRAFFIC_HEADER + len, false };
		traffic_next(row->traffic, t->number[index / 2]++, len,
			     guest_at(&t->guest->memory, p.gpa, p.len));
	}
	guest_ring_post(&q->ring, &p, 1, false, slot);
}

/* What came back is posted again at once, and told of after each batch. */
static unsigned int recycle(struct turn *t, unsigned int index)
{
	struct guest_queue *q = &t->guest->queue[index];
	unsigned int n = 0;
	uint32_t slot, len, more = 0;

	while (guest_ring_take(&q->ring, &slot, &len) > 0) {
		/* The first of a frame's buffers says how many there are. */
		if (!(index & 1)) {
			if (!more) {
				const struct virtio_net_hdr_v1 *hdr =
					guest_at(&t->guest->memory, q->slot[slot], TRAFFIC_HEADER);

				more = hdr ? hdr->num_buffers : 1;
				t->received++;
			}
			more -= more != 0;
		}
		post(t, index, slot);
		if (++n % t->row->batch == 0)
			guest_ring_kick(&q->ring);
	}
	if (n % t->row->batch)
		guest_ring_kick(&q->ring);
	return n;
}

static unsigned int look(struct turn *t, struct flood *flood)
{
	unsigned int n = 0;

	if (flood)
		flood_burst(flood);
	for (unsigned int pair = 0; pair < t->row->pairs; pair++) {
		if (t->row->way & WAY_RECEIVE)
			n += recycle(t, 2 * pair);
		if (t->row->way & WAY_SEND)
			n += recycle(t, 2 * pair + 1);
	}
	return n;
}

static void fill(struct turn *t)
{
	for (unsigned int pair = 0; (t->row->way & WAY_SEND) && pair < t->row->pairs; pair++) {
		struct guest_queue *q = &t->guest->queue[2 * pair + 1];

		for (uint32_t slot = 0; slot < q->slots; slot++)
			post(t, 2 * pair + 1, slot);
		guest_ring_kick(&q->ring);
	}
}

/* Runs until `ms` are over; how many of them passed without work. */
static int64_t spend(struct turn *t, struct flood *flood, int64_t end)
{
	int64_t now = clock_ns(), idle = 0;

	while (now < end) {
		unsigned int n = look(t, flood);
		int64_t then = now;

		now = clock_ns();
		idle += n || flood ? 0 : now - then;
	}
	return idle;
}

/* Until every transmitted buffer is back. What a peer says it wrote into one does not matter here.
 */
static void take_back(struct guest_queue *q)
{
	int64_t end = clock_ns() + INT64_C(5000000000);
	uint32_t slot, len;

	while (q->ring.outstanding) {
		assert_true(guest_ring_take(&q->ring, &slot, &len) >= 0);
		assert_true(clock_ns() < end);
	}
}

struct figures load_run(struct guest *guest, struct backend *b, const struct row *row,
			unsigned int ms)
{
	uint32_t len = row->traffic == TRAFFIC_LARGE ? TRAFFIC_GSO : row->len;
	struct turn t = { .row = row, .guest = guest };
	struct host_counters before, after;
	int64_t begin, end, cpu, idle;
	double seconds, sent;
	struct flood flood;

	if (row->way & WAY_RECEIVE)
		flood_open(&flood, b->tap, row);
	backend_resume(b);
	assert_ok(host_counters(b->tap, &before));
	cpu = proc_cpu_ns(b->pid);
	begin = clock_ns();
	fill(&t);
	idle = spend(&t, row->way & WAY_RECEIVE ? &flood : NULL, begin + ms * INT64_C(1000000));
	cpu = proc_cpu_ns(b->pid) - cpu;
	end = clock_ns();
	assert_ok(host_counters(b->tap, &after));
	seconds = (double)(end - begin) / 1e9;
	/* By bytes: joined frames are one at the interface, less all headers but the first. */
	sent = (double)(after.rx_bytes - before.rx_bytes) / len;
	if (row->way & WAY_RECEIVE)
		flood_close(&flood);
	for (unsigned int i = 1; (row->way & WAY_SEND) && i < 2 * row->pairs; i += 2)
		take_back(&guest->queue[i]);
	backend_pause(b);
	return (struct figures){
		.frames = (sent + (double)t.received) / seconds,
		.bits = (sent + (double)t.received) * len * 8 / seconds,
		.cpu_ns = (double)cpu / (sent + (double)t.received),
		.idle = (double)idle / (double)(end - begin),
		.offered = row->way & WAY_RECEIVE ? (double)flood.offered / seconds : 0,
	};
}

static void check_sent(struct guest *guest, struct wire *wire, size_t len)
{
	static uint8_t frame[FRAME_MAX], captured[FRAME_MAX];
	struct guest_queue *q = &guest->queue[1];
	struct guest_piece p = { q->slot[0], (uint32_t)(TRAFFIC_HEADER + len), false };
	uint8_t *at = guest_at(&guest->memory, p.gpa, p.len);
	uint32_t number;

	for (uint32_t i = 0; i < CHECKED; i++) {
		int got;

		frame_pattern(frame, len, i);
		memset(at, 0, TRAFFIC_HEADER);
		memcpy(at + TRAFFIC_HEADER, frame, len);
		assert_ok(guest_ring_post(&q->ring, &p, 1, false, 0));
		guest_ring_kick(&q->ring);
		take_back(q);
		do
			got = wire_recv(wire, NULL, captured, sizeof(captured));
		while (got >= 0 && !frame_number(captured, (size_t)got, &number));
		assert_int_equal(len, got);
		assert_int_equal(i, number);
		assert_true(frame_intact(captured, len, i));
	}
}

static void check_received(struct guest *guest, struct wire *wire, size_t len)
{
	static uint8_t frame[FRAME_MAX], captured[FRAME_MAX];
	uint32_t number;

	/* What the flood left in the queue comes first. */
	while (guest_receive(guest, 0, NULL, captured, sizeof(captured), 100) >= 0)
		;
	for (uint32_t i = 0; i < CHECKED; i++) {
		int got;

		frame_pattern(frame, len, i);
		assert_ok(wire_send(wire, NULL, frame, len));
		do
			got = guest_receive(guest, 0, NULL, captured, sizeof(captured), 2000);
		while (got >= 0 && !frame_number(captured, (size_t)got, &number));
		assert_int_equal(len, got);
		assert_true(frame_intact(captured, len, i));
	}
}

void load_check(struct guest *guest, struct backend *b, const struct row *row)
{
	size_t len = row->traffic == TRAFFIC_LARGE ? 1514 : row->len;
	struct wire wire;

	backend_resume(b);
	assert_ok(wire_open(&wire, b->tap, FRAME_TYPE));
	if (row->way & WAY_SEND)
		check_sent(guest, &wire, len);
	/* With several pairs the host chooses which ring it comes by. */
	if (row->way & WAY_RECEIVE && row->pairs == 1)
		check_received(guest, &wire, len);
	wire_close(&wire);
	backend_pause(b);
}
