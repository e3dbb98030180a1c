/*
 * Joined frames: what is cut up again is what the guest sent, in order, whatever it sent; which
 * frames join and which do not; and what happens around them when the ring, the TAP or the memory
 * ends.
 */
#include "tests/unit/lib/gso.h"
#include "tests/unit/device/stage.h"
#include "lib/tun.h"

#define SIZE	 256
#define TX	 PAIR_TX
#define SLOT	 0x5000ull
#define TABLE	 0x4000ull
#define ALL	 ((1u << SEGMENT_KINDS) - 1)
#define FEATURES (MODERN | BIT_ULL(VIRTIO_NET_F_CSUM) | BIT_ULL(VIRTIO_F_INDIRECT_DESC))
#define FRAMES	 1024

/* What went in, or came out: lengths and bytes. */
struct tape {
	unsigned int frames;
	size_t used, len[FRAMES];
	uint8_t bytes[0x800000];
};
static struct tape in, out;
static struct tape *recording;
static unsigned int writes;

static void record(const uint8_t *frame, size_t len)
{
	assert_true(recording->frames < FRAMES && len <= sizeof(in.bytes) - recording->used);
	memcpy(recording->bytes + recording->used, frame, len);
	recording->used += len;
	recording->len[recording->frames++] = len;
}

static void put(uint64_t gpa, const void *from, size_t len)
{
	for (size_t i = 0; i < len; i++)
		*(uint8_t *)at(gpa + i) = ((const uint8_t *)from)[i];
}

static void open_stage(void)
{
	stage_open(SIZE, 0, FEATURES);
	stage.pair.coalesce.kinds = ALL;
	in.frames = out.frames = writes = 0;
	in.used = out.used = 0;
}

/* Posts a frame as chain `i`, header and frame in pieces of `cut` bytes (0: one). */
static void send_bytes(uint16_t i, const struct net_hdr *hdr, const uint8_t *frame, size_t len,
		       uint32_t cut)
{
	static uint8_t copy[GSO_FRAME_MAX];
	uint64_t gpa = BUFFERS + i * SLOT;
	uint32_t total = (uint32_t)(NET_HDR_LEN + len), n = 0;
	struct virtq_desc *table = at(GPA_C + i * TABLE);

	put(gpa, hdr, NET_HDR_LEN);
	put(gpa + NET_HDR_LEN, frame, len);
	memcpy(copy, frame, len);
	gso_complete(hdr, copy, len);
	recording = &in;
	record(copy, len);
	if (!cut) {
		post(TX, i, gpa, total);
		return;
	}
	for (uint32_t off = 0; off < total; off += cut, n++)
		table[n] = (struct virtq_desc){ gpa + off, min_of(cut, total - off),
						off + cut < total ? DESC_F_NEXT : 0,
						(uint16_t)(n + 1) };
	desc_set(TX, i, GPA_C + i * TABLE, n * 16, DESC_F_INDIRECT, 0);
	avail_push(TX, i);
}

static void send_flow(uint16_t i, const struct gso_flow *f, uint32_t cut)
{
	static uint8_t frame[GSO_FRAME_MAX];
	struct net_hdr hdr;
	size_t len = gso_build(f, &hdr, frame);

	send_bytes(i, &hdr, frame, len, cut);
}

/* Everything the TAP got, cut up. */
static void drain(void)
{
	static uint8_t frame[NET_FRAME_MAX];
	struct net_hdr hdr;
	int len;

	recording = &out;
	while ((len = wire_take(&hdr, frame, sizeof(frame))) >= 0) {
		gso_cut(&hdr, frame, (size_t)len, record);
		writes++;
	}
}

static void run(void)
{
	int rc;

	do {
		stage.pair.tx_blocked = false;
		rc = net_tx_run(&stage.pair);
		assert_in_range(rc, 0, 1);
		assert_int_equal(0, stage.pair.coalesce.frames);
		drain();
	} while (rc || stage.pair.tx_blocked);
}

static void expect_the_same(void)
{
	assert_int_equal(in.frames, out.frames);
	for (unsigned int i = 0; i < in.frames; i++)
		assert_int_equal(in.len[i], out.len[i]);
	assert_memory_equal(in.bytes, out.bytes, in.used);
	assert_int_equal(in.frames, stats(TX)->frames);
	assert_int_equal(in.used, stats(TX)->bytes);
	assert_int_equal(0, stats(TX)->dropped_invalid);
	assert_int_equal(0, stage.pair.queues[TX].ring.taken);
}

static void expect_used(uint16_t first, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal((first + i) % SIZE, used_take(TX, NULL));
	assert_int_equal(-1, used_take(TX, NULL));
}

/* Every kind, checksums of both sorts, several sizes and cuts: one write. */
static void flows_are_joined(void **state)
{
	static const unsigned int payloads[] = { 1, 2, 17, 200, 1447, 1448 };
	static const uint32_t cuts[] = { 0, 12, 33, 66, 1001 };

	(void)state;
	for (unsigned int i = 0; i < 16 * ARRAY_SIZE(payloads) * ARRAY_SIZE(cuts); i++) {
		struct gso_flow f = gso_flow(i & 1, i & 2, payloads[i / 16 % 6]);
		uint32_t cut = cuts[i / 16 / 6];

		f.options = i & 8 && !f.udp ? 12 : 0;
		open_stage();
		for (uint16_t n = 0; n < 20; n++) {
			f.checksum = i & 4 ? GSO_PARTIAL : GSO_COMPLETE;
			if (n == 19)
				f.payload -= f.payload / 3;
			if (n == 19 && !f.udp)
				f.flags |= 9;
			send_flow(n, &f, cut);
			gso_advance(&f);
		}
		run();
		expect_the_same();
		expect_used(0, 20);
		if (!cut || 20 * (f.payload / cut + 2) < PAIR_PIECES)
			assert_int_equal(1, writes);
		stage_close();
	}
}

#define FIELD(f) offsetof(struct gso_flow, f)
/* clang-format off */
static const struct row {
	const char *name;
	size_t field;		/* of the second of three frames */
	unsigned int value;
	unsigned int kinds;	/* to which it applies: bits as in gso_flow(): 1 v6, 2 udp */
	unsigned int writes;
} rows[] = {
	{ "nothing",			FIELD(trailer), 0, 0xf, 1 },
	{ "other MAC",			FIELD(mac), 1, 0xf, 3 },
	{ "other address",		FIELD(source), 1, 0xf, 3 },
	{ "other TOS",			FIELD(tos), 4, 0xf, 3 },
	{ "ECN: congestion experienced", FIELD(tos), 3, 0xf, 3 },
	{ "other TTL",			FIELD(ttl), 63, 0xf, 3 },
	{ "other flow label",		FIELD(label), 1, 0xa, 3 },
	{ "identification stands still", FIELD(id), 0xfffe, 0x5, 3 },
	{ "identification jumps",	FIELD(id), 5, 0x5, 3 },
	{ "without DF",			FIELD(df), 0, 0x5, 3 },
	{ "more fragments",		FIELD(fragment), 0x2000, 0x5, 3 },
	{ "a fragment",			FIELD(fragment), 8, 0x5, 3 },
	{ "reserved bit",		FIELD(fragment), 0x8000, 0x5, 3 },
	{ "IP options",			FIELD(ihl), 1, 0x5, 3 },
	{ "IP header too short",	FIELD(ihl), -1u, 0x5, 3 },
	{ "wrong IP checksum",		FIELD(ip_wrong), 1, 0x5, 3 },
	{ "other port",			FIELD(port), 1, 0xf, 3 },
	{ "sequence number jumps",	FIELD(seq), 5, 0x3, 3 },
	{ "other acknowledgement",	FIELD(ack), 1, 0x3, 3 },
	{ "other window",		FIELD(window), 1, 0x3, 3 },
	{ "urgent pointer",		FIELD(urgent), 1, 0x3, 3 },
	{ "PSH",			FIELD(flags), 0x18, 0x3, 2 },
	{ "FIN",			FIELD(flags), 0x11, 0x3, 2 },
	{ "SYN",			FIELD(flags), 0x12, 0x3, 3 },
	{ "RST",			FIELD(flags), 0x14, 0x3, 3 },
	{ "URG",			FIELD(flags), 0x30, 0x3, 3 },
	{ "ECE",			FIELD(flags), 0x50, 0x3, 3 },
	{ "CWR",			FIELD(flags), 0x90, 0x3, 3 },
	{ "no ACK",			FIELD(flags), 0, 0x3, 3 },
	{ "reserved TCP bits",		FIELD(reserved), 1, 0x3, 3 },
	{ "options",			FIELD(options), 12, 0x3, 3 },
	{ "other timestamp",		FIELD(timestamp), 7, 0x3, 3 },
	{ "shorter",			FIELD(payload), 900, 0xf, 2 },
	{ "one byte",			FIELD(payload), 1, 0xf, 2 },
	{ "longer",			FIELD(payload), 1001, 0xf, 2 },
	{ "no payload",			FIELD(payload), 0, 0xf, 3 },
	{ "bytes behind the packet",	FIELD(trailer), 4, 0xf, 3 },
	{ "packet longer than the frame", FIELD(short_by), -4u, 0xf, 3 },
	{ "packet shorter than the frame", FIELD(short_by), 4, 0xf, 3 },
	{ "wrong checksum",		FIELD(checksum), GSO_WRONG, 0xf, 3 },
	{ "wrong sum in a partial one",	FIELD(checksum), GSO_PARTIAL_WRONG, 0xf, 3 },
	{ "partial among complete",	FIELD(checksum), GSO_PARTIAL, 0xf, 1 },
	{ "checksum 0, as 0xffff",	FIELD(checksum), GSO_ONES, 0xf, 3 },
	{ "no checksum",		FIELD(checksum), GSO_ZERO, 0xf, 3 },
};
/* clang-format on */

/* Three frames of which the second differs in one field: what follows it goes on as if it had not,
 * but from its sequence number and identification. */
static void row_check(const struct row *row, unsigned int kind, bool partial)
{
	struct gso_flow f = gso_flow(kind & 1, kind & 2, 1000), second;

	open_stage();
	f.checksum = partial ? GSO_PARTIAL : GSO_COMPLETE;
	f.options = row->field == FIELD(timestamp) ? 12 : 0;
	send_flow(0, &f, 0);
	gso_advance(&f);
	second = f;
	memcpy((char *)&second + row->field, &row->value, sizeof(row->value));
	send_flow(1, &second, 0);
	f.payload = second.payload;
	gso_advance(&f);
	f.payload = 1000;
	send_flow(2, &f, 0);
	run();
	if (row->writes != writes)
		print_message("# %s: kind %u\n", row->name, kind);
	assert_int_equal(row->writes, writes);
	expect_the_same();
	expect_used(0, 3);
	stage_close();
}

static void rows_of_the_rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (unsigned int kind = 0; kind < 4; kind++)
			if (rows[i].kinds & 1u << kind)
				for (int partial = 0; partial < 2; partial++)
					row_check(&rows[i], kind, partial);
}

/* What a guest may say of its checksum that is not true of the packet. */
static void partial_elsewhere(void **state)
{
	(void)state;
	for (unsigned int kind = 0; kind < 4; kind++) {
		struct gso_flow f = gso_flow(kind & 1, kind & 2, 1000);

		open_stage();
		f.checksum = GSO_PARTIAL;
		f.start = 2;
		for (uint16_t i = 0; i < 3; i++, gso_advance(&f))
			send_flow(i, &f, 0);
		run();
		assert_int_equal(3, writes);
		expect_the_same();
		stage_close();
	}
}

static void only_kinds_the_tap_takes(void **state)
{
	static const struct {
		uint32_t tap;
		unsigned int joins; /* bits as above */
	} taps[] = {
		{ 0, 0 },
		{ TUN_F_CSUM, 0 },
		{ TUN_F_TSO4 | TUN_F_TSO6, 0 },
		{ TUN_F_CSUM | TUN_F_TSO4, 1 },
		{ TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN, 3 },
		{ TUN_F_CSUM | TUN_F_USO4 | TUN_F_USO6, 0xc },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(taps); i++) {
		for (unsigned int kind = 0; kind < 4; kind++) {
			struct gso_flow f = gso_flow(kind & 1, kind & 2, 1000);

			open_stage();
			stage.pair.coalesce.kinds = segment_kinds(taps[i].tap);
			for (uint16_t n = 0; n < 2; n++, gso_advance(&f))
				send_flow(n, &f, 0);
			run();
			assert_int_equal(taps[i].joins & 1u << kind ? 1 : 2, writes);
			expect_the_same();
			stage_close();
		}
	}
}

/* 64 frames, 64 KiB and the pieces of one writev are the most that is joined. */
static void bounds(void **state)
{
	static const struct {
		unsigned int payload, frames, writes;
		uint32_t cut;
	} cases[] = {
		{ 10, 64, 1, 0 },   { 10, 65, 2, 0 },	 { 1448, 45, 1, 0 },
		{ 1448, 46, 2, 0 }, { 8960, 7, 1, 0 },	 { 8960, 8, 2, 0 },
		{ 16000, 5, 2, 0 }, { 1000, 30, 1, 33 }, { 1000, 35, 2, 33 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct gso_flow f = gso_flow(true, false, cases[i].payload);

		open_stage();
		for (uint16_t n = 0; n < cases[i].frames; n++, gso_advance(&f))
			send_flow(n, &f, cases[i].cut);
		run();
		assert_int_equal(cases[i].writes, writes);
		expect_the_same();
		expect_used(0, cases[i].frames);
		stage_close();
	}
}

/* A turn ends with everything written, whatever came last. */
static void nothing_waits_for_the_next_turn(void **state)
{
	struct gso_flow f = gso_flow(false, true, 20);

	(void)state;
	open_stage();
	stage.driver[TX].avail->ring[SIZE] = 0;
	for (uint16_t n = 0; n < SIZE; n++, gso_advance(&f))
		send_flow(n, &f, 0);
	assert_int_equal(1, net_tx_run(&stage.pair));
	drain();
	expect_the_same();
	expect_used(0, SIZE);
	for (uint16_t n = 0; n < 3; n++, gso_advance(&f)) {
		send_flow(n, &f, 0);
		assert_int_equal(0, net_tx_run(&stage.pair));
		drain();
		expect_the_same();
		expect_used(n, 1);
	}
	stage_close();
}

/* Frames of many flows cost a turn's first few a look, those of the next turn's first even fewer;
 * but once two have joined, a turn is looked at as any other. */
static void a_turn_gives_up_where_nothing_joins(void **state)
{
	struct gso_flow f = gso_flow(false, false, 100), other = gso_flow(false, true, 100);
	uint16_t n = 0;

	(void)state;
	open_stage();
	for (; n < 40; n++, gso_advance(&f)) /* each starts anew */
		send_flow(n, n & 1 ? &f : &other, 0);
	for (; n < 60; n++, gso_advance(&f))
		send_flow(n, &f, 0);
	run();
	assert_int_equal(60, writes);
	for (; n < 80; n++, gso_advance(&f))
		send_flow(n, &f, 0);
	run();
	assert_int_equal(60 + 1, writes);
	for (; n < 100; n++, gso_advance(&f)) /* the first sixteen tell */
		send_flow(n, n & 1 ? &f : &other, 0);
	run();
	for (; n < 106; n++, gso_advance(&f)) /* four of another turn */
		send_flow(n, n & 1 ? &f : &other, 0);
	for (; n < 116; n++, gso_advance(&f))
		send_flow(n, &f, 0);
	run();
	assert_int_equal(61 + 20 + 16, writes);
	for (; n < 126; n++, gso_advance(&f))
		send_flow(n, &f, 0);
	run();
	assert_int_equal(97 + 1, writes);
	expect_the_same();
	expect_used(0, 126);
	stage_close();
}

/* Frames that the TAP does not take now are the ring's again, all of them. */
static void full_tap(void **state)
{
	static char filler[60000];
	struct gso_flow f = gso_flow(false, false, 1400);

	(void)state;
	open_stage();
	while (send(stage.pair.tap, filler, sizeof(filler), 0) > 0)
		;
	for (uint16_t n = 0; n < 40; n++, gso_advance(&f))
		send_flow(n, &f, 0);
	assert_int_equal(0, net_tx_run(&stage.pair));
	assert_true(stage.pair.tx_blocked);
	expect_used(0, 0);
	assert_int_equal(0, stage.pair.queues[TX].ring.taken);
	while (recv(stage.wire, filler, sizeof(filler), 0) > 0)
		;
	run();
	assert_int_equal(1, writes);
	expect_the_same();
	expect_used(0, 40);
	stage_close();
}

static void dead_tap_loses_all_of_them(void **state)
{
	struct gso_flow f = gso_flow(false, false, 1000);

	(void)state;
	open_stage();
	fd_close(&stage.wire);
	for (uint16_t n = 0; n < 5; n++, gso_advance(&f))
		send_flow(n, &f, 0);
	assert_int_equal(0, net_tx_run(&stage.pair));
	expect_used(0, 5);
	assert_int_equal(5, stats(TX)->dropped_tap);
	stage_close();
}

/* A chain the ring forbids: what came before it is sent, and nothing behind it. */
static void broken_ring(void **state)
{
	struct gso_flow f = gso_flow(false, false, 1000);

	(void)state;
	open_stage();
	for (uint16_t n = 0; n < 5; n++, gso_advance(&f))
		send_flow(n, &f, 0);
	desc_set(TX, 5, GPA_TOP, 1000, 0, 0);
	avail_push(TX, 5);
	assert_int_equal(-EFAULT, net_tx_run(&stage.pair));
	drain();
	assert_int_equal(1, writes);
	expect_the_same();
	expect_used(0, 5);
	assert_int_equal(5, stage.pair.queues[TX].ring.avail_next);
	stage_close();
}

/* Translations of the first region, where ring and buffers are, without the page at `miss`. */
static struct iotlb *all_but(uint64_t miss)
{
	const struct vu_iotlb parts[] = {
		{ GPA_A, miss - GPA_A, UVA(GPA_A), VU_ACCESS_RW, VU_IOTLB_UPDATE, { 0 } },
		{ miss + IOTLB_PAGE,
		  GPA_B - miss - IOTLB_PAGE,
		  UVA(miss + IOTLB_PAGE),
		  VU_ACCESS_RW,
		  VU_IOTLB_UPDATE,
		  { 0 } },
	};
	struct iotlb *t, *next;

	assert_int_equal(0, iotlb_new(NULL, stage.mem, false, &t));
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++, t = next) {
		assert_int_equal(0, iotlb_apply(t, &parts[i], stage.mem, false, &next));
		iotlb_free(t);
	}
	return t;
}

/* A buffer whose translation is missing: what came before it is sent, the rest once it is there. */
static void missing_translation(void **state)
{
	const uint64_t page = BUFFERS + 5 * SLOT;
	const struct vu_iotlb update = { page,	       IOTLB_PAGE,	UVA(page),
					 VU_ACCESS_RW, VU_IOTLB_UPDATE, { 0 } };
	struct gso_flow f = gso_flow(false, false, 1000);
	struct ring *ring = &stage.pair.queues[TX].ring;
	struct ring_config cfg;
	struct iotlb *t, *next;

	(void)state;
	open_stage();
	t = all_but(page);
	cfg = stage_config(TX, SIZE, 0, FEATURES);
	cfg.iotlb = t;
	cfg.iova[RING_DESC] = RING_AT(TX);
	cfg.iova[RING_DRIVER] = RING_AT(TX) + AVAIL_OFF;
	cfg.iova[RING_DEVICE] = RING_AT(TX) + USED_OFF;
	ring_init(ring, &cfg, stage.mem);
	assert_int_equal(0, ring_map(ring));
	for (uint16_t n = 0; n < 10; n++, gso_advance(&f))
		send_flow(n, &f, 0);
	assert_int_equal(0, net_tx_run(&stage.pair));
	assert_int_equal(page | VU_ACCESS_RO, ring->miss);
	drain();
	assert_int_equal(1, writes);
	assert_int_equal(5, out.frames);
	expect_used(0, 5);
	assert_int_equal(5, ring->avail_next);
	assert_int_equal(0, iotlb_apply(t, &update, stage.mem, false, &next));
	cfg.iotlb = next;
	ring_move(ring, &cfg, stage.mem);
	iotlb_free(t);
	assert_int_equal(0, ring_map(ring));
	run();
	assert_int_equal(2, writes);
	expect_the_same();
	expect_used(5, 5);
	iotlb_free(next);
	stage_close();
}

/* A file that its owner cuts short while frames wait: they are given back, unsent. */
static void vanished_payload(void **state)
{
	struct gso_flow f = gso_flow(false, false, 1000);

	(void)state;
	open_stage();
	f.checksum = GSO_PARTIAL;
	for (uint16_t n = 0; n < 4; n++, gso_advance(&f))
		send_flow(n, &f, 0);
	/* Of the last, what is looked at lies in memory that stays, the rest in memory that goes.
	 */
	desc_set(TX, 3, BUFFERS + 3 * SLOT, 12 + 54 + 200, DESC_F_NEXT, 7);
	desc_set(TX, 7, GPA_C, 800, 0, 0);
	assert_int_equal(0, ftruncate(stage.files[2], 0));
	assert_int_equal(-ESTALE, net_tx_run(&stage.pair));
	drain();
	assert_int_equal(0, out.frames);
	expect_used(0, 0);
	assert_int_equal(0, stage.pair.queues[TX].ring.avail_next);
	stage_close();
}

/* ---- the property ---- */

static uint32_t chance(uint32_t below)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 33) % below;
}

/* Mostly what continues a flow, now and then anything else. */
static void send_something(uint16_t i, struct gso_flow flows[4])
{
	static const uint32_t cuts[] = { 0, 0, 0, 0, 66, 54, 100, 1 };
	static uint8_t frame[GSO_FRAME_MAX];
	struct gso_flow *f = &flows[chance(8) ? 0 : chance(4)], odd;
	struct net_hdr hdr;
	size_t len, field = chance(sizeof(*f) / sizeof(unsigned int));
	unsigned int value = chance(3) ? chance(3) : chance(70000);

	if (!chance(20))
		f->payload = 1 + chance(chance(4) ? 200 : 3000);
	if (!chance(20))
		f->checksum = chance(2) ? GSO_PARTIAL : GSO_COMPLETE;
	odd = *f;
	if (!chance(12) && field != FIELD(payload) / sizeof(value) &&
	    field != FIELD(trailer) / sizeof(value) && field != FIELD(options) / sizeof(value))
		memcpy((unsigned int *)&odd + field, &value, sizeof(value));
	if (!chance(30))
		odd.payload = chance(f->payload + 1);
	len = gso_build(&odd, &hdr, frame);
	if (!chance(12))
		frame[chance(chance(2) ? 60 : (uint32_t)len)] ^= (uint8_t)(1 + chance(255));
	if (hdr.flags && hdr.csum_start + hdr.csum_offset + 2u > len)
		hdr = (struct net_hdr){ 0 };
	send_bytes(i, &hdr, frame, len, len < 900 ? cuts[chance(8)] : 0);
	f->payload = odd.payload ? odd.payload : f->payload;
	gso_advance(f);
}

static void cut_up_it_is_what_was_sent(void **state)
{
	unsigned int joined = 0, frames = 0;

	(void)state;
	for (int round = 0; round < 400; round++) {
		struct gso_flow flows[4];
		unsigned int bursts = 1 + chance(4);

		for (unsigned int i = 0; i < 4; i++) {
			flows[i] = gso_flow(chance(2), chance(2), 1 + chance(1500));
			flows[i].options = flows[i].udp || chance(2) ? 0 : 12;
			flows[i].df = chance(2);
		}
		open_stage();
		for (unsigned int b = 0, n = 0; b < bursts; b++) {
			unsigned int from = n;

			for (n += 1 + chance(SIZE / 2 - 1); from < n; from++)
				send_something((uint16_t)from % SIZE, flows);
			run();
		}
		expect_the_same();
		expect_used(0, in.frames);
		joined += in.frames - writes;
		frames += in.frames;
		stage_close();
	}
	print_message("# %u of %u frames cost no write\n", joined, frames);
	assert_true(joined > frames / 4);
}

static int ignore_sigpipe(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flows_are_joined),
		cmocka_unit_test(rows_of_the_rules),
		cmocka_unit_test(partial_elsewhere),
		cmocka_unit_test(only_kinds_the_tap_takes),
		cmocka_unit_test(bounds),
		cmocka_unit_test(nothing_waits_for_the_next_turn),
		cmocka_unit_test(a_turn_gives_up_where_nothing_joins),
		cmocka_unit_test(full_tap),
		cmocka_unit_test(dead_tap_loses_all_of_them),
		cmocka_unit_test(broken_ring),
		cmocka_unit_test(missing_translation),
		cmocka_unit_test(vanished_payload),
		cmocka_unit_test(cut_up_it_is_what_was_sent),
	};

	return cmocka_run_group_tests_name("coalesce", tests, ignore_sigpipe, NULL);
}
