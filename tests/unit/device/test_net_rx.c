/*
 * From the TAP to the guest's ring: frames of every length into buffers of every shape, whole or
 * not at all; what waits, what is dropped, and what breaks the ring.
 */
#include "tests/unit/device/stage.h"

#define SIZE	 256
#define INDIRECT BIT_ULL(VIRTIO_F_INDIRECT_DESC)
#define EVENTS	 BIT_ULL(VIRTIO_F_EVENT_IDX)
#define RX	 PAIR_RX
#define TABLE	 (BUFFERS + 0x80000)
#define W	 DESC_F_WRITE
#define HASH	 BIT_ULL(VIRTIO_NET_F_HASH_REPORT)

static const struct net_hdr plain = { 0 };
static uint8_t got[2 * NET_FRAME_MAX], wanted[2 * NET_FRAME_MAX];

static void run(void)
{
	int rc;

	while ((rc = net_rx_run(&stage.pair)) == 1)
		;
	assert_int_equal(0, rc);
}

static void read_guest(void *to, uint64_t gpa, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)to)[i] = *(uint8_t *)at(gpa + i);
}

/* Appends what the device wrote into the chain `head`, at most `len` bytes. */
static size_t chain_bytes(uint16_t head, size_t len, uint8_t *to)
{
	const struct virtq_desc *table = stage.driver[RX].desc;
	size_t done = 0;

	if (table[head].flags & DESC_F_INDIRECT) {
		table = at(table[head].addr);
		head = 0;
	}
	for (;; head = table[head].next) {
		size_t n = min_of((size_t)table[head].len, len - done);

		read_guest(to + done, table[head].addr, n);
		done += n;
		if (done == len || !(table[head].flags & DESC_F_NEXT))
			return done;
	}
}

/* The next frame as the driver finds it: its length, -1 none. Header and count are checked. */
static int receive(struct net_hdr *hdr)
{
	uint32_t len;
	int head = used_take(RX, &len), buffers = 1;
	size_t total, h = stage.pair.hdr_len;

	if (head < 0)
		return -1;
	total = chain_bytes((uint16_t)head, len, got);
	assert_int_equal(len, total);
	assert_true(total >= h);
	memcpy(hdr, got, min_of(h, sizeof(*hdr)));
	if (h >= NET_HDR_LEN)
		buffers = hdr->num_buffers;
	while (--buffers > 0) {
		head = used_take(RX, &len);
		assert_true(head >= 0);
		assert_int_equal(len, chain_bytes((uint16_t)head, len, got + total));
		total += len;
	}
	memmove(got, got + h, total - h);
	return (int)(total - h);
}

static void expect(size_t len, uint8_t seed)
{
	struct net_hdr hdr;

	assert_int_equal(len, receive(&hdr));
	frame_fill(wanted, len, seed);
	assert_memory_equal(wanted, got, len);
}

static void expect_none(void)
{
	assert_int_equal(-1, used_take(RX, NULL));
}

/* `n` buffers of `bytes`, each cut into pieces of `cut`, from descriptor 0 on. */
static void fill(unsigned int n, uint32_t bytes, uint32_t cut)
{
	uint16_t d = 0;

	for (unsigned int i = 0; i < n; i++) {
		uint16_t head = d;

		for (uint32_t off = 0; off < bytes; off += cut, d++)
			desc_set(RX, d, BUFFERS + (uint64_t)i * bytes + off,
				 min_of(cut, bytes - off),
				 W | (off + cut < bytes ? DESC_F_NEXT : 0), d + 1);
		avail_push(RX, head);
	}
}

static const size_t lengths[] = { 14,	15,   60,   64,	  243,	244,   245,   500,
				  1514, 1518, 4084, 4085, 9014, 20000, 65535, NET_FRAME_MAX };

static void every_length_mergeable(void **state)
{
	static const struct {
		unsigned int n;
		uint32_t bytes, cut;
	} shapes[] = {
		{ 400, 256, 256 },     { 500, 140, 70 },    { 60, 1526, 1526 }, { 24, 4096, 4096 },
		{ 24, 4096, 5 * 819 }, { 2, 65565, 65565 }, { 90, 1000, 250 },	{ 100, 700, 699 },
	};

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(shapes); s++) {
		for (size_t l = 0; l < ARRAY_SIZE(lengths); l++) {
			stage_open(1024, 65533, MODERN | MRG | (l % 2 ? HASH : 0));
			fill(shapes[s].n, shapes[s].bytes, shapes[s].cut);
			wire_send(&plain, lengths[l], (uint8_t)l);
			run();
			expect(lengths[l], (uint8_t)l);
			expect_none();
			stage_close();
		}
	}
}

static void every_length_in_one_buffer(void **state)
{
	static const uint32_t cuts[] = { 1, 5, 10, 11, 12, 13, 19, 20, 21, 100, 4096, 100000 };
	static const uint64_t headers[] = { 0, MODERN, MODERN | HASH };

	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(headers); f++) {
		for (size_t l = 0; l < ARRAY_SIZE(lengths); l++) {
			for (size_t c = 0; c < ARRAY_SIZE(cuts); c++) {
				uint32_t h = net_hdr_len(headers[f]);

				if ((lengths[l] + h) / cuts[c] >= 1000)
					continue;
				stage_open(1024, 0, headers[f]);
				fill(1, (uint32_t)lengths[l] + h, cuts[c]);
				wire_send(&plain, lengths[l], (uint8_t)c);
				run();
				expect(lengths[l], (uint8_t)c);
				stage_close();
			}
		}
	}
}

static void header_as_the_guest_must_see_it(void **state)
{
	const struct net_hdr tcp = { NET_HDR_F_NEEDS_CSUM, NET_GSO_TCPV4, 54, 1448, 34, 16, 0 };
	const uint64_t takes = BIT_ULL(VIRTIO_NET_F_GUEST_CSUM) | BIT_ULL(VIRTIO_NET_F_GUEST_TSO4);
	struct net_hdr hdr;

	(void)state;
	stage_open(SIZE, 0, MODERN | MRG | takes);
	fill(20, 512, 512);
	wire_send(&tcp, 3000, 1);
	run();
	assert_int_equal(3000, receive(&hdr));
	assert_int_equal(6, hdr.num_buffers);
	assert_memory_equal(&tcp, &hdr, NET_HDR_LEN_LEGACY);
	stage_close();

	stage_open(SIZE, 0, MODERN | takes);
	fill(1, 4000, 4000);
	wire_send(&tcp, 3000, 1);
	run();
	assert_int_equal(3000, receive(&hdr));
	assert_int_equal(1, hdr.num_buffers); /* 5.1.6.4.1, without mergeable buffers too */
	stage_close();
}

/* 5.1.6.4.1: frames queued before this driver negotiated. */
static void header_of_another_driver(void **state)
{
	const struct net_hdr tcp = { NET_HDR_F_NEEDS_CSUM, NET_GSO_TCPV4, 54, 1448, 34, 16, 0 };
	const struct net_hdr valid = { NET_HDR_F_DATA_VALID, 0, 0, 0, 0, 0, 0 };
	struct net_hdr hdr;

	(void)state;
	stage_open(SIZE, 0, MODERN | MRG);
	fill(100, 512, 512);
	wire_send(&tcp, 3000, 1);
	wire_send(&valid, 60, 2);
	run();
	assert_int_equal(60, receive(&hdr));
	assert_int_equal(0, hdr.flags);
	expect_none();
	assert_int_equal(1, stats(RX)->dropped_tap);
	stage_close();
}

/* clang-format off */
static const struct row {
	const char *name;
	struct virtq_desc desc[4];
	uint16_t heads[4];
	unsigned int n; /* heads made available */
	uint64_t features;
	int rc;
	unsigned int invalid; /* heads returned unused before the frame comes */
} rows[] = {
	{ "read-only buffer", .desc = { { BUFFERS, 2000, 0, 0 } }, .n = 1, .rc = -EINVAL },
	{ "read-only before write-only", .desc = { { BUFFERS, 12, DESC_F_NEXT, 1 }, { BUFFERS, 2000, W, 0 } }, .n = 1, .rc = -EINVAL },
	{ "unmapped buffer", .desc = { { GPA_TOP, 2000, W, 0 } }, .n = 1, .rc = -EFAULT },
	{ "buffer beyond its region", .desc = { { GPA_TOP - 1999, 2000, W, 0 } }, .n = 1, .rc = -EFAULT },
	{ "loop", .desc = { { BUFFERS, 20, W | DESC_F_NEXT, 0 } }, .n = 1, .rc = -ELOOP },
	{ "indirect not negotiated", .desc = { { TABLE, 16, DESC_F_INDIRECT, 0 } }, .n = 1, .rc = -EINVAL },
	{ "chain <= header", .desc = { { BUFFERS, 12, W, 0 }, { BUFFERS, 2000, W, 0 } }, .heads = { 0, 1 }, .n = 2, .invalid = 1 },
	{ "chain shorter than the header, mergeable", .desc = { { BUFFERS, 11, W, 0 }, { BUFFERS, 2000, W, 0 } },
	  .heads = { 0, 1 }, .n = 2, .features = MRG, .invalid = 1 },
	{ "empty chain", .desc = { { BUFFERS, 0, W, 0 }, { BUFFERS, 2000, W, 0 } }, .heads = { 0, 1 }, .n = 2, .features = MRG, .invalid = 1 },
	{ "buffer of 4 GiB - 1 over a hole", .desc = { { GPA_B, UINT32_MAX, W, 0 } }, .n = 1, .rc = -EFAULT },
	{ "the same buffer twice in a chain", .desc = { { BUFFERS, 1000, W | DESC_F_NEXT, 1 }, { BUFFERS, 1000, W, 0 } }, .n = 1 },
	{ "a chain of all memory", .desc = { { GPA_A + 0x300000, 0x500000, W | DESC_F_NEXT, 1 }, { GPA_C, REGION, W, 0 } }, .n = 1 },
};
/* clang-format on */

static void rows_of_the_catalogue(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		uint32_t len;
		int rc;

		print_message("# %s\n", row->name);
		stage_open(8, 0, MODERN | row->features);
		memcpy(stage.driver[RX].desc, row->desc, sizeof(row->desc));
		for (unsigned int h = 0; h < row->n; h++)
			avail_push(RX, row->heads[h]);
		wire_send(&plain, 500, 1);
		while ((rc = net_rx_run(&stage.pair)) == 1)
			;
		assert_int_equal(row->rc, rc);
		for (unsigned int h = 0; h < row->invalid; h++) {
			assert_int_equal(row->heads[h], used_take(RX, &len));
			assert_int_equal(0, len);
		}
		assert_int_equal(row->invalid, stats(RX)->dropped_invalid);
		if (row->rc) { /* never answered, and still the next one */
			expect_none();
			net_rx_release(&stage.pair);
			assert_int_equal(0, ring_base(&stage.pair.queues[RX].ring));
		}
		if (!row->rc && strcmp(row->name, "the same buffer twice in a chain"))
			expect(500, 1);
		stage_close();
	}
}

/* A frame longer than what is posted waits, and is delivered later, whole; those behind it stay in
 * the TAP meanwhile. */
static void longer_than_posted_waits(void **state)
{
	(void)state;
	stage_open(SIZE, 0, MODERN | MRG);
	fill(3, 1000, 1000);
	wire_send(&plain, 9000, 1);
	wire_send(&plain, 100, 2);
	run();
	expect_none();
	assert_int_equal(1, stats(RX)->held);
	assert_true(stage.pair.rx_starved); /* the driver, not the TAP, brings it on */
	for (uint16_t d = 3; d < 8; d++) {
		post(RX, d, BUFFERS + d * 1000u, 1000);
		run();
		expect_none();
	}
	assert_int_equal(1, stats(RX)->held);
	for (uint16_t d = 8; d < 14; d++)
		post(RX, d, BUFFERS + d * 1000u, 1000);
	run();
	expect(9000, 1);
	expect(100, 2);
	expect_none();
	assert_int_equal(0, stats(RX)->dropped_no_room);
	assert_false(stage.pair.rx_starved);
	stage_close();
}

/* Exactly the header fits: all of the frame spills. */
static void no_room_but_the_header(void **state)
{
	(void)state;
	stage_open(SIZE, 0, MODERN | MRG);
	fill(1, 12, 12);
	wire_send(&plain, 300, 1);
	run();
	assert_int_equal(1, stats(RX)->held);
	post(RX, 1, BUFFERS + 4096, 300);
	run();
	expect(300, 1);
	stage_close();
}

static void never_fits_is_dropped(void **state)
{
	(void)state;
	stage_open(8, 0, MODERN | MRG);
	fill(7, 1000, 1000);
	wire_send(&plain, 9000, 1);
	run();
	assert_int_equal(0, stats(RX)->dropped_no_room);
	post(RX, 7, BUFFERS + 7000,
	     1000); /* the ring is full now: 8000 bytes is all there can be */
	wire_send(&plain, 6000, 2);
	run();
	assert_int_equal(1, stats(RX)->dropped_no_room);
	expect(6000, 2);
	stage_close();
}

static void not_mergeable_dropped_and_counted(void **state)
{
	(void)state;
	stage_open(SIZE, 0, MODERN);
	fill(5, 1526, 1526);
	wire_send(&plain, 1515, 1); /* one byte more than any holds */
	wire_send(&plain, 1514, 2);
	run();
	assert_int_equal(stage_small_run ? 0 : 1, stats(RX)->held);
	assert_int_equal(1, stats(RX)->dropped_no_room);
	expect(1514, 2);
	expect_none();
	stage_close();
}

/* Not mergeable: one posted behind smaller ones holds it; those before it come back empty. */
static void not_mergeable_looks_ahead(void **state)
{
	uint32_t len;

	(void)state;
	stage_open(SIZE, 0, MODERN);
	fill(5, 200, 200);
	post(RX, 5, BUFFERS + 0x10000, 2000);
	post(RX, 6, BUFFERS + 0x20000, 200);
	wire_send(&plain, 1500, 1);
	wire_send(&plain, 188, 2);
	run();
	for (int i = 0; i < 5; i++) {
		assert_int_equal(i, used_take(RX, &len));
		assert_int_equal(0, len);
	}
	expect(1500, 1);
	expect(188, 2);
	expect_none();
	assert_int_equal(0, stats(RX)->dropped_no_room);
	stage_close();
}

static void unusable_among_usable(void **state)
{
	uint32_t len;

	(void)state;
	stage_open(SIZE, 0, MODERN | MRG);
	post(RX, 0, BUFFERS, 100);
	post(RX, 1, BUFFERS + 0x1000, 5);
	post(RX, 2, BUFFERS + 0x2000, 100);
	wire_send(&plain, 60, 1);
	wire_send(&plain, 61, 2);
	run();
	expect(60, 1);
	assert_int_equal(1, used_take(RX, &len));
	assert_int_equal(0, len);
	expect(61, 2);
	stage_close();
}

/* More pieces than one readv takes. */
static void chain_of_1024_and_more(void **state)
{
	struct virtq_desc *table;
	uint32_t len;

	(void)state;
	stage_open(SIZE, 0, MODERN | MRG | INDIRECT);
	table = at(TABLE);
	for (uint16_t i = 0; i < 1100; i++)
		table[i] = (struct virtq_desc){ BUFFERS + i, 1, W | (i < 1099 ? DESC_F_NEXT : 0),
						i + 1 };
	desc_set(RX, 0, TABLE, 1100 * 16, DESC_F_INDIRECT, 0);
	avail_push(RX, 0);
	post(RX, 1, BUFFERS + 0x4000, 1000);
	wire_send(&plain, 60, 1);
	run();
	assert_int_equal(0, used_take(RX, &len));
	assert_int_equal(0, len);
	assert_int_equal(1, stats(RX)->dropped_invalid);
	expect(60, 1);

	table[PAIR_PIECES - 1].flags = W; /* as many as fit */
	avail_push(RX, 0);
	wire_send(&plain, 900, 2);
	run();
	expect(900, 2);
	stage_close();
}

/* Chains of 30 pieces: what was gathered ahead of a large frame leaves it the room that there is.
 */
static void large_behind_many_pieces(void **state)
{
	(void)state;
	stage_open(2048, 0, MODERN | MRG);
	fill(60, 3000, 100);
	for (uint8_t i = 0; i < 15; i++)
		wire_send(&plain, 300, i);
	run();
	wire_send(&plain, 65535, 15);
	run();
	assert_int_equal(0, stats(RX)->dropped_no_room);
	for (uint8_t i = 0; i < 15; i++)
		expect(300, i);
	expect(65535, 15);
	stage_close();
}

static void starved_ring_arms(void **state)
{
	(void)state;
	stage_open(SIZE, 0, MODERN | MRG | EVENTS);
	wire_send(&plain, 60, 1);
	run();
	assert_true(stage.pair.rx_starved);
	assert_int_equal(0, avail_event(RX));
	fill(1, 200, 200);
	run();
	expect(60, 1);
	wire_send(&plain, 60, 2);
	run();
	assert_true(stage.pair.rx_starved);
	assert_int_equal(1, avail_event(RX));
	stage_close();
}

static void idle_ring_wants_no_kicks(void **state)
{
	(void)state;
	stage_open(SIZE, 0, MODERN | MRG);
	fill(10, 2000, 2000);
	run();
	assert_false(stage.pair.rx_starved);
	assert_int_equal(USED_F_NO_NOTIFY, stage.driver[RX].used->flags);
	stage_close();
}

static void disabled_ring_takes_nothing(void **state)
{
	(void)state;
	stage_open(SIZE, 0, MODERN | MRG);
	fill(10, 2000, 2000);
	wire_send(&plain, 60, 1);
	stage.pair.queues[RX].enabled = false;
	run();
	expect_none();
	stage.pair.queues[RX].enabled = true;
	run();
	expect(60, 1);
	stage_close();
}

static void tap_with_nonsense(void **state)
{
	(void)state;
	stage_open(SIZE, 0, MODERN | MRG);
	fill(100, 2000, 2000);
	assert_int_equal(5, send(stage.wire, "short", 5, 0));
	wire_send(&plain, 13, 1);
	wire_send(&plain, NET_FRAME_MAX + 1, 1); /* more than any buffer of ours */
	wire_send(&plain, 2 * NET_FRAME_MAX, 1);
	wire_send(&plain, NET_FRAME_MAX, 2);
	run();
	expect(NET_FRAME_MAX, 2);
	expect_none();
	assert_int_equal(4, stats(RX)->dropped_tap);
	stage_close();
}

/* What was gathered ahead is given back as if never taken, and the frame that waits is kept. */
static void release_and_restart(void **state)
{
	struct queue *q = &stage.pair.queues[RX];
	struct ring_config cfg;

	(void)state;
	stage_open(SIZE, 65535, MODERN | MRG);
	fill(3, 1000, 1000);
	wire_send(&plain, 60, 1);
	wire_send(&plain, 4000, 2);
	run();
	expect(60, 1);
	net_rx_release(&stage.pair);
	queue_flush(q);
	assert_int_equal(0, q->ring.avail_next); /* one used of three */

	/* as the front-end starts it again, at what it was told */
	cfg = stage_config(RX, SIZE, q->ring.avail_next, MODERN | MRG);
	ring_init(&q->ring, &cfg, stage.mem);
	net_rx_release(&stage.pair);
	for (uint16_t d = 3; d < 6; d++)
		post(RX, d, BUFFERS + d * 1000u, 1000);
	run();
	expect(4000, 2);
	expect_none();
	stage_close();
}

static void memory_replaced_between_turns(void **state)
{
	struct queue *q = &stage.pair.queues[RX];
	struct memory *old;

	(void)state;
	stage_open(SIZE, 0, MODERN | MRG);
	fill(8, 1000, 1000);
	wire_send(&plain, 60, 1);
	run();
	old = stage.mem;
	net_rx_release(&stage.pair);
	fd_close_all(stage.files, 3);
	stage_memory(); /* other files, other addresses */
	memcpy(at(RING_AT(RX)), stage.driver[RX].desc, SIZE * sizeof(struct virtq_desc));
	memcpy(at(RING_AT(RX) + AVAIL_OFF), stage.driver[RX].avail, virtq_avail_bytes(SIZE));
	memcpy(at(RING_AT(RX) + USED_OFF), stage.driver[RX].used, virtq_used_bytes(SIZE));
	q->ring.cfg = stage_config(RX, SIZE, 0, MODERN | MRG);
	q->ring.mem = stage.mem;
	stage.driver[RX].desc = q->ring.cfg.desc;
	stage.driver[RX].avail = q->ring.cfg.avail;
	stage.driver[RX].used = q->ring.cfg.used;
	memory_free(old);
	wire_send(&plain, 3000, 2);
	run();
	assert_int_equal(0, used_take(RX, NULL));
	expect(3000, 2);
	stage_close();
}

/* As worker_turn() has it: the kernel says EFAULT, our own copy meets a SIGBUS. */
static int run_guarded(void)
{
	static struct memory_guard guard;

	assert_int_equal(0, memory_guard_init()); /* cmocka has a handler of its own */
	memory_guard = &guard;
	guard.mem = stage.mem;
	return memory_guard_caught() ? -ESTALE : net_rx_run(&stage.pair);
}

/* A file that is shorter than when it was mapped. The frame goes with it, whole: its header is made
 * where it waited, and would be another the second time. */
static void truncated_buffer(void **state)
{
	static const uint64_t formats[] = { 0, MODERN | MRG, MODERN | MRG | HASH };
	struct queue *q = &stage.pair.queues[RX];
	struct ring_config cfg;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		stage_open(SIZE, 0, formats[i]);
		stage.pair.rx.small_run = 100;
		post(RX, 0, GPA_C + 4096, 2000);
		assert_int_equal(0, ftruncate(stage.files[2], 4096));
		wire_send(&plain, 60, 1);
		assert_int_equal(-ESTALE, run_guarded());
		net_rx_release(&stage.pair);

		cfg = stage_config(RX, SIZE, 1, formats[i]);
		ring_init(&q->ring, &cfg, stage.mem);
		post(RX, 1, BUFFERS, 2000);
		wire_send(&plain, 60, 2);
		run();
		expect(60, 2);
		expect_none();
		stage_close();
	}
}

/* Thousands of tables of empty descriptors: a turn ends, and later the frame comes all the same. */
static void turn_ends_after_enough_work(void **state)
{
	struct virtq_desc *table;
	int turns = 0;

	(void)state;
	stage_open(SIZE, 0, MODERN | INDIRECT);
	table = at(TABLE);
	for (uint16_t i = 0; i < 10000; i++)
		table[i] =
			(struct virtq_desc){ BUFFERS, 0, W | (i < 9999 ? DESC_F_NEXT : 0), i + 1 };
	desc_set(RX, 0, TABLE, 10000 * 16, DESC_F_INDIRECT, 0);
	for (int i = 0; i < 100; i++)
		avail_push(RX, 0);
	post(RX, 1, BUFFERS + 0x1000, 2000);
	wire_send(&plain, 60, 1);
	while (net_rx_run(&stage.pair) == 1)
		turns++;
	assert_in_range(turns, 40, 60);
	for (int i = 0; i < 100; i++)
		assert_int_equal(0, used_take(RX, NULL));
	expect(60, 1);
	stage_close();
}

/* A frame that waits for a buffer which lies behind much work is not given up. */
static void held_over_a_long_turn(void **state)
{
	struct virtq_desc *table;

	(void)state;
	stage_open(SIZE, 0, MODERN | INDIRECT);
	table = at(TABLE);
	for (uint16_t i = 0; i < 10000; i++)
		table[i] = (struct virtq_desc){ BUFFERS, i ? 0 : 100,
						W | (i < 9999 ? DESC_F_NEXT : 0), i + 1 };
	desc_set(RX, 0, TABLE, 10000 * 16, DESC_F_INDIRECT, 0);
	for (int i = 0; i < 20; i++)
		avail_push(RX, 0);
	post(RX, 1, BUFFERS + 0x1000, 2000);
	wire_send(&plain, 1500, 1);
	run();
	assert_int_equal(0, stats(RX)->dropped_no_room);
	for (int i = 0; i < 20; i++)
		assert_int_equal(0, used_take(RX, NULL));
	expect(1500, 1);
	stage_close();
}

static void turn_ends_after_256_frames(void **state)
{
	unsigned int frames = 0;

	(void)state;
	stage_open(1024, 0, MODERN | MRG);
	fill(1000, 100, 100);
	for (int i = 0; i < 10000 && frames < 600; i++) {
		const struct net_hdr hdr = { 0 };

		if (send(stage.wire, &hdr, sizeof(hdr) + 0, MSG_DONTWAIT) < 0)
			break;
		frames++;
	}
	if (frames >
	    256) { /* as many as the socket takes: each too short, each a frame of the turn */
		assert_int_equal(1, net_rx_run(&stage.pair));
		assert_int_equal(256, stats(RX)->dropped_tap);
	}
	run();
	assert_int_equal(frames, stats(RX)->dropped_tap);
	stage_close();
}

/* 20,000 frames of changing length through a ring of 64 with buffers of changing size. */
static void long_run(void **state)
{
	uint32_t seed = 1;
	unsigned int sent = 0, next = 0, len;
	struct driver *d = &stage.driver[RX];

	(void)state;
	stage_open(64, 60000, MODERN | MRG);
	while (stats(RX)->frames < 20000) {
		while ((uint16_t)(d->avail->idx - d->seen) < 64) {
			seed = seed * 1103515245 + 12345;
			post(RX, (uint16_t)(next % 64), BUFFERS + next % 64 * 0x1000,
			     12 + (seed >> 16) % 4000);
			next++;
		}
		for (int i = 0; i < 3; i++, sent++)
			wire_send(&plain, 14 + sent * 37 % 9000, (uint8_t)sent);
		run();
		for (unsigned int n = sent - 3; n < sent; n++) {
			struct net_hdr hdr;

			len = 14 + n * 37 % 9000;
			if (receive(&hdr) != (int)len)
				fail();
			frame_fill(wanted, len, (uint8_t)n);
			assert_memory_equal(wanted, got, len);
		}
		/* The heads come back in order: the driver posts them again. */
	}
	assert_int_equal(0, stats(RX)->dropped_no_room);
	stage_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_length_mergeable),
		cmocka_unit_test(every_length_in_one_buffer),
		cmocka_unit_test(header_as_the_guest_must_see_it),
		cmocka_unit_test(header_of_another_driver),
		cmocka_unit_test(rows_of_the_catalogue),
		cmocka_unit_test(longer_than_posted_waits),
		cmocka_unit_test(no_room_but_the_header),
		cmocka_unit_test(never_fits_is_dropped),
		cmocka_unit_test(not_mergeable_dropped_and_counted),
		cmocka_unit_test(not_mergeable_looks_ahead),
		cmocka_unit_test(unusable_among_usable),
		cmocka_unit_test(chain_of_1024_and_more),
		cmocka_unit_test(large_behind_many_pieces),
		cmocka_unit_test(starved_ring_arms),
		cmocka_unit_test(idle_ring_wants_no_kicks),
		cmocka_unit_test(disabled_ring_takes_nothing),
		cmocka_unit_test(tap_with_nonsense),
		cmocka_unit_test(release_and_restart),
		cmocka_unit_test(memory_replaced_between_turns),
		cmocka_unit_test(truncated_buffer),
		cmocka_unit_test(turn_ends_after_enough_work),
		cmocka_unit_test(held_over_a_long_turn),
		cmocka_unit_test(turn_ends_after_256_frames),
		cmocka_unit_test(long_run),
	};

	print_message("# %zu rows of received chains\n", ARRAY_SIZE(rows));
	int failed = cmocka_run_group_tests_name("net_rx, large frames", tests, NULL, NULL);

	stage_small_run = 1000;
	return failed + cmocka_run_group_tests_name("net_rx, small frames", tests, NULL, NULL);
}
