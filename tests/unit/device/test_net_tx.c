/*
 * From the guest's ring to the TAP: frames of every shape bit for bit, and what a guest can write
 * that is dropped or breaks its ring.
 */
#include "tests/unit/device/stage.h"

#define SIZE	 256
#define INDIRECT BIT_ULL(VIRTIO_F_INDIRECT_DESC)
#define EVENTS	 BIT_ULL(VIRTIO_F_EVENT_IDX)
#define OFFLOADS (BIT_ULL(VIRTIO_NET_F_CSUM) | BIT_ULL(VIRTIO_NET_F_HOST_TSO4))
#define TX	 PAIR_TX
#define HDR	 BUFFERS
#define DATA	 (BUFFERS + 0x1000)
#define TABLE	 (BUFFERS + 0x80000)

static uint8_t got[NET_FRAME_MAX], wanted[NET_FRAME_MAX];

static void write_guest(uint64_t gpa, const void *from, size_t len)
{
	for (size_t i = 0; i < len; i++) /* byte by byte: it may lie in two regions */
		*(uint8_t *)at(gpa + i) = ((const uint8_t *)from)[i];
}

static void put_frame(uint64_t gpa, const struct net_hdr *hdr, size_t len, uint8_t seed)
{
	static const struct net_hdr_hash junk = { .hash_value = 0x11223344, .hash_report = 9 };

	frame_fill(wanted, len, seed);
	write_guest(gpa, &junk, stage.pair.hdr_len);
	write_guest(gpa, hdr, min_of(stage.pair.hdr_len, (unsigned int)sizeof(*hdr)));
	write_guest(gpa + stage.pair.hdr_len, wanted, len);
}

static void expect_frame(size_t len)
{
	struct net_hdr hdr;

	assert_int_equal(len, wire_take(&hdr, got, sizeof(got)));
	assert_memory_equal(wanted, got, len);
}

static void expect_nothing(void)
{
	struct net_hdr hdr;

	assert_int_equal(-1, wire_take(&hdr, got, sizeof(got)));
}

/* Header and frame of each length, cut into pieces of `cut` bytes, under headers of each length. */
static void every_length_and_cut(void **state)
{
	static const size_t lengths[] = { 14,	15,   60,   255,   256,		 257,
					  1514, 4096, 9014, 65535, NET_FRAME_MAX };
	static const uint32_t cuts[] = { 1, 2, 9, 11, 12, 13, 19, 20, 21, 64, 1000, 100000 };
	static const uint64_t headers[] = { 0, MODERN, MODERN | BIT_ULL(VIRTIO_NET_F_HASH_REPORT) };
	const struct net_hdr zero = { 0 };
	uint32_t frames = 0;

	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(headers); f++) {
		stage_open(1024, 65500, headers[f]);
		for (size_t l = 0; l < ARRAY_SIZE(lengths); l++) {
			for (size_t c = 0; c < ARRAY_SIZE(cuts); c++) {
				uint64_t total = stage.pair.hdr_len + lengths[l], off = 0;
				uint16_t i = 0;

				if (total / cuts[c] > 1000)
					continue;
				/* The frame lies over the border of two regions. */
				put_frame(GPA_B - 20, &zero, lengths[l], (uint8_t)frames);
				for (; off < total; off += cuts[c], i++)
					desc_set(TX, i, GPA_B - 20 + off,
						 (uint32_t)min_of((uint64_t)cuts[c], total - off),
						 off + cuts[c] < total ? DESC_F_NEXT : 0, i + 1);
				avail_push(TX, 0);
				assert_int_equal(0, net_tx_run(&stage.pair));
				expect_frame(lengths[l]);
				assert_int_equal(0, used_take(TX, NULL));
				frames++;
			}
		}
		assert_int_equal(0, stats(TX)->dropped_invalid);
		stage_close();
	}
}

/* clang-format off */
static const struct row {
	const char *name;
	struct virtq_desc desc[4];
	struct virtq_desc table[3];
	int rc;		/* of the turn */
	int frame;	/* bytes the TAP gets, -1 none */
	struct net_hdr hdr;
} rows[] = {
	{ "header and frame", .desc = { { HDR, 12, DESC_F_NEXT, 1 }, { DATA, 60, 0, 0 } }, .frame = 60 },
	{ "header split", .desc = { { HDR, 3, DESC_F_NEXT, 1 }, { HDR + 3, 8, DESC_F_NEXT, 2 }, { HDR + 11, 1, DESC_F_NEXT, 3 },
	  { DATA, 60, 0, 0 } }, .frame = 60 },
	{ "CVE-2022-2132: chain <= header", .desc = { { HDR, 12, 0, 0 } }, .frame = -1 },
	{ "chain shorter than the header", .desc = { { HDR, 5, 0, 0 } }, .frame = -1 },
	{ "empty chain", .desc = { { HDR, 0, 0, 0 } }, .frame = -1 },
	{ "<14-byte frame", .desc = { { HDR, 12, DESC_F_NEXT, 1 }, { DATA, 13, 0, 0 } }, .frame = -1 },
	{ "longest frame and one byte", .desc = { { HDR, 12, DESC_F_NEXT, 1 }, { DATA, NET_FRAME_MAX + 1, 0, 0 } }, .frame = -1 },
	{ "total above any frame", .desc = { { GPA_B, 0x400000, DESC_F_NEXT, 1 }, { TABLE, 48, DESC_F_INDIRECT, 0 } },
	  .table = { { GPA_A, 0x800000, DESC_F_NEXT, 1 }, { GPA_A, 0x800000, DESC_F_NEXT, 2 }, { GPA_A, 0x800000, 0, 0 } }, .frame = -1 },
	{ "write-only buffer", .desc = { { HDR, 72, DESC_F_WRITE, 0 } }, .rc = -EINVAL, .frame = -1 },
	{ "write-only buffer at the end", .desc = { { HDR, 72, DESC_F_NEXT, 1 }, { DATA, 60, DESC_F_WRITE, 0 } }, .rc = -EINVAL, .frame = -1 },
	{ "unmapped frame", .desc = { { HDR, 12, DESC_F_NEXT, 1 }, { GPA_TOP, 60, 0, 0 } }, .rc = -EFAULT, .frame = -1 },
	{ "loop", .desc = { { HDR, 12, DESC_F_NEXT, 0 } }, .rc = -ELOOP, .frame = -1 },
	{ "checksum not negotiated", .desc = { { HDR, 12, DESC_F_NEXT, 1 }, { DATA, 60, 0, 0 } }, .frame = 60,
	  .hdr = { 0, 0, 9, 1, 2, 3, 4 } },
	{ "csum_start lies", .desc = { { HDR, 12, DESC_F_NEXT, 1 }, { DATA, 60, 0, 0 } }, .frame = -1,
	  .hdr = { NET_HDR_F_NEEDS_CSUM, 0, 0, 0, 60, 0, 0 } },
	{ "gso_type lies", .desc = { { HDR, 12, DESC_F_NEXT, 1 }, { DATA, 60, 0, 0 } }, .frame = -1,
	  .hdr = { NET_HDR_F_NEEDS_CSUM, NET_GSO_TCPV6, 54, 20, 34, 16, 0 } },
};
/* clang-format on */

static void rows_of_the_catalogue(void **state)
{
	struct net_hdr hdr;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];

		print_message("# %s\n", row->name);
		stage_open(SIZE, 0, MODERN | INDIRECT | OFFLOADS);
		put_frame(HDR, &row->hdr, 60, 1);
		write_guest(DATA, wanted, 60);
		write_guest(TABLE, row->table, sizeof(row->table));
		memcpy(stage.driver[TX].desc, row->desc, sizeof(row->desc));
		avail_push(TX, 0);
		assert_int_equal(row->rc, net_tx_run(&stage.pair));
		assert_int_equal(row->frame, wire_take(&hdr, got, sizeof(got)));
		if (row->rc) { /* never answered, and still the next one */
			assert_int_equal(-1, used_take(TX, NULL));
			assert_int_equal(0, stage.pair.queues[TX].ring.avail_next);
		} else {
			uint32_t len = 99;

			assert_int_equal(0, used_take(TX, &len));
			assert_int_equal(0, len); /* CVE-2024-8612: nothing was written */
			assert_int_equal(row->frame < 0, stats(TX)->dropped_invalid);
			assert_int_equal(row->frame >= 0, stats(TX)->frames);
			/* and the next frame passes */
			put_frame(HDR, &(struct net_hdr){ 0 }, 100, 2);
			post(TX, 3, HDR, 112);
			assert_int_equal(0, net_tx_run(&stage.pair));
			expect_frame(100);
		}
		stage_close();
	}
}

static void header_reaches_the_tap_checked(void **state)
{
	const struct net_hdr asked = { 0xff, NET_GSO_TCPV4, 54, 1448, 34, 16, 7 };
	struct net_hdr hdr;

	(void)state;
	stage_open(SIZE, 0, MODERN | OFFLOADS);
	put_frame(HDR, &asked, 4000, 1);
	post(TX, 0, HDR, 4012);
	assert_int_equal(0, net_tx_run(&stage.pair));
	assert_int_equal(4000, wire_take(&hdr, got, sizeof(got)));
	assert_int_equal(NET_HDR_F_NEEDS_CSUM, hdr.flags);
	assert_int_equal(NET_GSO_TCPV4, hdr.gso_type);
	assert_int_equal(1448, hdr.gso_size);
	assert_int_equal(0, hdr.num_buffers);
	stage_close();
}

/* Well formed, of more pieces than one writev takes: dropped, the head returned. */
static void chain_of_1024_and_more(void **state)
{
	struct virtq_desc *table;

	(void)state;
	stage_open(SIZE, 0, MODERN | INDIRECT);
	table = at(TABLE);
	for (uint16_t n = PAIR_PIECES - 1; n < PAIR_PIECES + 300; n += 1 + n / PAIR_PIECES * 298) {
		for (uint16_t i = 0; i < n; i++)
			table[i] = (struct virtq_desc){ HDR + i, 1, i < n - 1 ? DESC_F_NEXT : 0,
							i + 1 };
		put_frame(HDR, &(struct net_hdr){ 0 }, n - 12u, 3);
		desc_set(TX, 0, TABLE, n * 16u, DESC_F_INDIRECT, 0);
		avail_push(TX, 0);
		assert_int_equal(0, net_tx_run(&stage.pair));
		if (n <= PAIR_PIECES)
			expect_frame(n - 12u);
		else
			expect_nothing();
		assert_int_equal(0, used_take(TX, NULL));
	}
	assert_int_equal(2, stats(TX)->frames);
	assert_int_equal(1, stats(TX)->dropped_invalid);
	stage_close();
}

static void disabled_ring_discards(void **state)
{
	(void)state;
	stage_open(SIZE, 0, MODERN);
	stage.pair.queues[TX].enabled = false;
	put_frame(HDR, &(struct net_hdr){ 0 }, 60, 1);
	for (uint16_t i = 0; i < 5; i++)
		post(TX, i, HDR, 72);
	assert_int_equal(0, net_tx_run(&stage.pair));
	expect_nothing();
	assert_int_equal(5, stats(TX)->dropped_disabled);
	for (int i = 0; i < 5; i++)
		assert_int_equal(i, used_take(TX, NULL));
	stage_close();
}

static void full_tap_holds_the_frame(void **state)
{
	struct net_hdr hdr;
	int sent = 0, taken = 0;

	(void)state;
	stage_open(SIZE, 0, MODERN);
	put_frame(HDR, &(struct net_hdr){ 0 }, 60000, 1);
	for (uint16_t i = 0; i < SIZE; i++)
		post(TX, i, HDR, 60012);
	assert_int_equal(0, net_tx_run(&stage.pair));
	assert_true(stage.pair.tx_blocked);
	while (used_take(TX, NULL) >= 0)
		sent++;
	assert_in_range(sent, 1, SIZE - 1);
	assert_int_equal(0, net_tx_run(&stage.pair)); /* until POLLOUT */
	while (taken < SIZE) {
		if (wire_take(&hdr, got, sizeof(got)) == 60000)
			taken++;
		stage.pair.tx_blocked = false;
		net_tx_run(&stage.pair);
	}
	expect_nothing();
	assert_int_equal(SIZE, stats(TX)->frames);
	stage_close();
}

static void dead_tap_loses_frames_only(void **state)
{
	(void)state;
	stage_open(SIZE, 0, MODERN);
	fd_close(&stage.wire); /* EPIPE; SIGPIPE is ignored, as in main() */
	put_frame(HDR, &(struct net_hdr){ 0 }, 60, 1);
	post(TX, 0, HDR, 72);
	assert_int_equal(0, net_tx_run(&stage.pair));
	assert_int_equal(0, used_take(TX, NULL));
	assert_int_equal(1, stats(TX)->dropped_tap);
	stage_close();
}

/* One turn moves 256 frames and says that there is more. */
static void budget(void **state)
{
	struct net_hdr hdr;
	int n = 0;

	(void)state;
	stage_open(1024, 0, MODERN | EVENTS);
	put_frame(HDR, &(struct net_hdr){ 0 }, 60, 1);
	stage.driver[TX].avail->ring[1024] = 200; /* used_event */
	stage.pair.queues[TX].fds.call = eventfd(0, EFD_NONBLOCK);
	for (uint16_t i = 0; i < 300; i++)
		post(TX, i, HDR, 72);
	/* The socket takes fewer frames than a TAP: drain it as a host would. */
	while (net_tx_run(&stage.pair) == 1 || stage.pair.tx_blocked) {
		while (wire_take(&hdr, got, sizeof(got)) == 60)
			n++;
		stage.pair.tx_blocked = false;
	}
	while (wire_take(&hdr, got, sizeof(got)) == 60)
		n++;
	assert_int_equal(300, n);
	assert_int_equal(1, stats(TX)->calls); /* where the event index was passed */
	assert_int_equal(1, event_count(stage.pair.queues[TX].fds.call));
	fd_close(&stage.pair.queues[TX].fds.call);
	/* and the ring asks for a kick now */
	assert_int_equal(300, avail_event(TX));
	stage_close();
}

static void turn_ends_after_256_frames(void **state)
{
	(void)state;
	stage_open(1024, 0, MODERN);
	stage.pair.queues[TX].enabled = false; /* no system call in the way */
	for (uint16_t i = 0; i < 300; i++)
		post(TX, i, HDR, 72);
	assert_int_equal(1, net_tx_run(&stage.pair));
	assert_int_equal(256, stats(TX)->dropped_disabled);
	assert_int_equal(USED_F_NO_NOTIFY, stage.driver[TX].used->flags);
	assert_int_equal(0, net_tx_run(&stage.pair));
	assert_int_equal(300, stats(TX)->dropped_disabled);
	assert_int_equal(0, stage.driver[TX].used->flags);
	stage_close();
}

/* Chains of 30,000 empty descriptors: a turn must not take as long as 256 of them. */
static void turn_ends_after_enough_work(void **state)
{
	struct virtq_desc *table;

	(void)state;
	stage_open(SIZE, 0, MODERN | INDIRECT);
	table = at(TABLE);
	for (uint16_t i = 0; i < 30000; i++)
		table[i] = (struct virtq_desc){ HDR, 0, i < 29999 ? DESC_F_NEXT : 0, i + 1 };
	desc_set(TX, 0, TABLE, 30000 * 16, DESC_F_INDIRECT, 0);
	for (int i = 0; i < 5; i++)
		avail_push(TX, 0);
	for (int i = 1; i <= 5; i++) {
		assert_int_equal(1, net_tx_run(&stage.pair));
		assert_int_equal(i, stats(TX)->dropped_invalid);
	}
	assert_int_equal(0, net_tx_run(&stage.pair));
	stage_close();
}

/* Frames that the kernel would have to cut into 60,000 segments each. */
static void turn_ends_after_enough_segments(void **state)
{
	const struct net_hdr tiny = { NET_HDR_F_NEEDS_CSUM, NET_GSO_TCPV4, 54, 1, 34, 16, 0 };

	(void)state;
	stage_open(SIZE, 0, MODERN | OFFLOADS);
	put_frame(HDR, &tiny, 60000, 1);
	for (uint16_t i = 0; i < 3; i++)
		post(TX, i, HDR, 60012);
	assert_int_equal(1, net_tx_run(&stage.pair));
	assert_int_equal(1, stats(TX)->frames);
	expect_frame(60000);
	stage_close();
}

/* An index that runs ahead for ever: each turn ends. */
static void endless_producer(void **state)
{
	(void)state;
	stage_open(16, 0, MODERN);
	stage.pair.queues[TX].enabled = false;
	for (uint16_t i = 0; i < 16; i++)
		desc_set(TX, i, HDR, 72, 0, 0);
	for (int turn = 0; turn < 1000; turn++) {
		stage.driver[TX].avail->idx += 16;
		assert_int_equal(0, net_tx_run(&stage.pair));
	}
	assert_int_equal(16000, stats(TX)->dropped_disabled);
	stage.driver[TX].avail->idx += 17;
	assert_int_equal(-EINVAL, net_tx_run(&stage.pair));
	stage_close();
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
		cmocka_unit_test(every_length_and_cut),
		cmocka_unit_test(rows_of_the_catalogue),
		cmocka_unit_test(header_reaches_the_tap_checked),
		cmocka_unit_test(chain_of_1024_and_more),
		cmocka_unit_test(disabled_ring_discards),
		cmocka_unit_test(full_tap_holds_the_frame),
		cmocka_unit_test(dead_tap_loses_frames_only),
		cmocka_unit_test(budget),
		cmocka_unit_test(turn_ends_after_256_frames),
		cmocka_unit_test(turn_ends_after_enough_work),
		cmocka_unit_test(turn_ends_after_enough_segments),
		cmocka_unit_test(endless_producer),
	};

	print_message("# %zu rows of transmitted chains\n", ARRAY_SIZE(rows));
	return cmocka_run_group_tests_name("net_tx", tests, ignore_sigpipe, NULL);
}
