/*
 * The device's side of a split ring, against every ring that a guest should not write
 * (virtio 1.3, 2.7), and the arithmetic of its indices.
 */
#include "tests/unit/device/stage.h"

#define SIZE	 8
#define INDIRECT BIT_ULL(VIRTIO_F_INDIRECT_DESC)
#define EVENTS	 BIT_ULL(VIRTIO_F_EVENT_IDX)
#define ROOM	 16

#define N DESC_F_NEXT
#define W DESC_F_WRITE
#define I DESC_F_INDIRECT

/* Tables of descriptors outside of the ring lie here, unless a row says otherwise. */
#define TABLE	(BUFFERS + 0x80000)
#define BORDER	(GPA_B - 24) /* the table's second descriptor lies in both regions */
#define BUF(n)	(BUFFERS + (n)*0x1000ull)
#define NOWHERE 0x7000000ull

/* clang-format off */
static const struct row {
	const char *name;
	struct virtq_desc desc[SIZE];
	uint64_t table_at;
	struct virtq_desc table[4];
	uint16_t head, ahead; /* entry of the available ring; how far the index moves, 0: by 1 */
	int rc;
	unsigned int out, in;
	uint64_t out_bytes, in_bytes;
	bool too_long, no_indirect;
} rows[] = {
	{ "one piece to read", .desc = { { BUF(0), 100, 0, 0 } }, .rc = 1, .out = 1, .out_bytes = 100 },
	{ "one piece to write", .desc = { { BUF(0), 100, W, 0 } }, .rc = 1, .in = 1, .in_bytes = 100 },
	{ "read, then write", .desc = { { BUF(0), 12, N, 3 }, [3] = { BUF(1), 50, W, 0 } },
	  .rc = 1, .out = 1, .in = 1, .out_bytes = 12, .in_bytes = 50 },
	{ "as many descriptors as the ring has", .desc = { { BUF(0), 1, N, 1 }, { BUF(0), 1, N, 2 }, { BUF(0), 1, N, 3 },
	  { BUF(0), 1, N, 4 }, { BUF(0), 1, N, 5 }, { BUF(0), 1, N, 6 }, { BUF(0), 1, N, 7 }, { BUF(0), 1, 0, 0 } },
	  .rc = 1, .out = 8, .out_bytes = 8 },
	{ "unknown flags are ignored", .desc = { { BUF(0), 100, 0xfff8, 5 } }, .rc = 1, .out = 1, .out_bytes = 100 },
	{ "buffer over two regions", .desc = { { GPA_B - 10, 30, W, 0 } }, .rc = 1, .in = 2, .in_bytes = 30 },
	{ "buffer at the last byte", .desc = { { GPA_TOP - 1, 1, 0, 0 } }, .rc = 1, .out = 1, .out_bytes = 1 },
	/* 2b: indices */
	{ "avail jumps by more than the size", .desc = { { BUF(0), 1, 0, 0 } }, .ahead = SIZE + 1, .rc = -EINVAL },
	{ "avail jumps by exactly the size", .desc = { { BUF(0), 1, 0, 0 } }, .ahead = SIZE, .rc = 1, .out = 1, .out_bytes = 1 },
	{ "avail goes back", .desc = { { BUF(0), 1, 0, 0 } }, .ahead = (uint16_t)-1, .rc = -EINVAL },
	{ "head is the size", .desc = { { BUF(0), 1, 0, 0 } }, .head = SIZE, .rc = -EINVAL },
	{ "head is 65535", .desc = { { BUF(0), 1, 0, 0 } }, .head = 65535, .rc = -EINVAL },
	{ "next is the size", .desc = { { BUF(0), 1, N, SIZE } }, .rc = -EINVAL },
	{ "next is 65535", .desc = { { BUF(0), 1, N, 65535 } }, .rc = -EINVAL },
	/* 2b: loops */
	{ "descriptor that follows itself", .desc = { { BUF(0), 1, N, 0 } }, .rc = -ELOOP },
	{ "loop of two", .desc = { { BUF(0), 1, N, 1 }, { BUF(0), 1, N, 0 } }, .rc = -ELOOP },
	{ "loop of empty buffers", .desc = { { BUF(0), 0, N, 1 }, { BUF(0), 0, N, 0 } }, .rc = -ELOOP },
	{ "loop within a table", .desc = { { TABLE, 32, I, 0 } }, .table = { { BUF(0), 1, N, 1 }, { BUF(0), 1, N, 0 } },
	  .rc = -ELOOP },
	/* 2b: indirect */
	{ "table", .desc = { { TABLE, 32, I, 0 } }, .table = { { BUF(0), 12, N, 1 }, { BUF(1), 60, W, 0 } },
	  .rc = 1, .out = 1, .in = 1, .out_bytes = 12, .in_bytes = 60 },
	{ "table behind a direct piece", .desc = { { BUF(0), 12, N, 4 }, [4] = { TABLE, 16, I, 0 } },
	  .table = { { BUF(1), 60, 0, 0 } }, .rc = 1, .out = 2, .out_bytes = 72 },
	{ "table over two regions", .desc = { { BORDER, 48, I, 0 } }, .table_at = BORDER,
	  .table = { { BUF(0), 12, N, 1 }, { BUF(1), 60, N, 2 }, { BUF(2), 9, W, 0 } },
	  .rc = 1, .out = 2, .in = 1, .out_bytes = 72, .in_bytes = 9 },
	{ "table at an odd address", .desc = { { TABLE + 1, 16, I, 0 } }, .table_at = TABLE + 1,
	  .table = { { BUF(0), 12, 0, 0 } }, .rc = 1, .out = 1, .out_bytes = 12 },
	{ "WRITE on the pointer to a table is ignored", .desc = { { TABLE, 16, I | W, 0 } }, .table = { { BUF(0), 12, 0, 0 } },
	  .rc = 1, .out = 1, .out_bytes = 12 },
	{ "indirect not negotiated", .desc = { { TABLE, 16, I, 0 } }, .table = { { BUF(0), 12, 0, 0 } },
	  .no_indirect = true, .rc = -EINVAL },
	{ "table in a table", .desc = { { TABLE, 16, I, 0 } }, .table = { { TABLE, 16, I, 0 } }, .rc = -EINVAL },
	{ "INDIRECT and NEXT", .desc = { { TABLE, 16, I | N, 1 }, { BUF(0), 1, 0, 0 } }, .table = { { BUF(0), 12, 0, 0 } },
	  .rc = -EINVAL },
	{ "table of 0 bytes", .desc = { { TABLE, 0, I, 0 } }, .rc = -EINVAL },
	{ "table of 15 bytes", .desc = { { TABLE, 15, I, 0 } }, .rc = -EINVAL },
	{ "table of 17 bytes", .desc = { { TABLE, 17, I, 0 } }, .table = { { BUF(0), 12, 0, 0 } }, .rc = -EINVAL },
	{ "table of 32769 entries", .desc = { { TABLE, 16 * 32769, I, 0 } }, .table = { { BUF(0), 12, 0, 0 } }, .rc = -EINVAL },
	{ "table of 4 GiB - 16", .desc = { { TABLE, 0xfffffff0, I, 0 } }, .table = { { BUF(0), 12, 0, 0 } }, .rc = -EINVAL },
	{ "next beyond the table", .desc = { { TABLE, 32, I, 0 } }, .table = { { BUF(0), 1, N, 2 }, { BUF(0), 1, 0, 0 } },
	  .rc = -EINVAL },
	{ "table nowhere", .desc = { { NOWHERE, 16, I, 0 } }, .rc = -EFAULT },
	{ "table that ends beyond memory", .desc = { { GPA_TOP - 8, 16, I, 0 } }, .rc = -EFAULT },
	{ "table that wraps", .desc = { { UINT64_MAX - 15, 32, I, 0 } }, .rc = -EFAULT },
	/* 2b: addresses and lengths */
	{ "empty buffer is skipped", .desc = { { BUF(0), 0, N, 1 }, { BUF(1), 7, 0, 0 } }, .rc = 1, .out = 1, .out_bytes = 7 },
	{ "only an empty buffer", .desc = { { BUF(0), 0, 0, 0 } }, .rc = 1 },
	{ "CVE-2020-10725: empty buffer nowhere", .desc = { { NOWHERE, 0, 0, 0 } }, .rc = -EFAULT },
	{ "buffer nowhere", .desc = { { NOWHERE, 1, 0, 0 } }, .rc = -EFAULT },
	{ "buffer below memory", .desc = { { 0, 1, 0, 0 } }, .rc = -EFAULT },
	{ "CVE-2018-1059: buffer that ends beyond memory", .desc = { { GPA_TOP - 10, 11, 0, 0 } }, .rc = -EFAULT },
	{ "buffer over a hole", .desc = { { GPA_B, 0x8000000, 0, 0 } }, .rc = -EFAULT },
	{ "buffer that wraps", .desc = { { UINT64_MAX - 3, 8, W, 0 } }, .rc = -EFAULT },
	{ "buffer of 4 GiB - 1", .desc = { { BUF(0), UINT32_MAX, 0, 0 } }, .rc = -EFAULT },
	{ "length overflows in 32 bits", .desc = { { GPA_A, 0x700000, N, 1 }, { GPA_A, 0x700000, N, 2 }, { GPA_A, 0x700000, 0, 0 } },
	  .rc = 1, .out = 6, .out_bytes = 0x1500000 },
	/* 2b: order */
	{ "read behind write", .desc = { { BUF(0), 1, W | N, 1 }, { BUF(0), 1, 0, 0 } }, .rc = -EINVAL },
	{ "read behind write in a table", .desc = { { TABLE, 32, I, 0 } }, .table = { { BUF(0), 1, W | N, 1 }, { BUF(0), 1, 0, 0 } },
	  .rc = -EINVAL },
};
/* clang-format on */

static void set_up(const struct row *row)
{
	uint64_t features = MODERN | (row->no_indirect ? 0 : INDIRECT);
	const char *table = (const char *)row->table;
	struct driver *d = &stage.driver[PAIR_TX];

	stage_open(SIZE, 65530, features);
	memcpy(d->desc, row->desc, sizeof(row->desc));
	for (size_t i = 0; i < sizeof(row->table); i++) /* it may lie in two regions */
		*(char *)at((row->table_at ? row->table_at : TABLE) + i) = table[i];
	avail_push(PAIR_TX, row->head);
	d->avail->idx = (uint16_t)(65530 + (row->ahead ? row->ahead : 1));
}

static void chains(void **state)
{
	struct iovec iov[ROOM];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		struct chain c = { .iov = iov, .room = ROOM };

		print_message("# %s\n", row->name);
		set_up(row);
		assert_int_equal(row->rc, ring_pop(&stage.pair.queues[PAIR_TX].ring, &c));
		if (row->rc == 1) {
			assert_int_equal(row->out, c.out);
			assert_int_equal(row->in, c.in);
			assert_int_equal(row->out_bytes, c.out_bytes);
			assert_int_equal(row->in_bytes, c.in_bytes);
			assert_int_equal(row->too_long, c.too_long);
			assert_int_equal(row->head, c.head);
		} else { /* the offending entry is the next one still */
			assert_int_equal(65530, stage.pair.queues[PAIR_TX].ring.avail_next);
		}
		stage_close();
	}
}

static void pieces_are_where_the_guest_said(void **state)
{
	struct iovec iov[ROOM];
	struct chain c = { .iov = iov, .room = ROOM };
	struct virtq_desc table[] = { { BUF(1) + 3, 60, N, 1 }, { GPA_B - 10, 30, W, 0 } };

	(void)state;
	stage_open(SIZE, 0, MODERN | INDIRECT);
	memcpy(at(TABLE), table, sizeof(table));
	desc_set(PAIR_TX, 2, BUF(0), 12, N, 5);
	desc_set(PAIR_TX, 5, TABLE, 32, I, 0);
	avail_push(PAIR_TX, 2);
	assert_int_equal(1, ring_pop(&stage.pair.queues[PAIR_TX].ring, &c));
	assert_int_equal(2, c.out);
	assert_int_equal(2, c.in);
	assert_ptr_equal(at(BUF(0)), iov[0].iov_base);
	assert_int_equal(12, iov[0].iov_len);
	assert_ptr_equal(at(BUF(1) + 3), iov[1].iov_base);
	assert_int_equal(60, iov[1].iov_len);
	assert_ptr_equal(at(GPA_B - 10), iov[2].iov_base);
	assert_int_equal(10, iov[2].iov_len);
	assert_ptr_equal(at(GPA_B), iov[3].iov_base);
	assert_int_equal(20, iov[3].iov_len);
	stage_close();
}

/* Well formed, of more pieces than there is room for: not usable, and nothing behind the room is
 * written. */
static void more_pieces_than_room(void **state)
{
	struct iovec iov[4] = { [3] = { NULL, 77 } };
	struct chain c = { .iov = iov, .room = 3 };

	(void)state;
	stage_open(SIZE, 0, MODERN);
	for (uint16_t i = 0; i < SIZE; i++)
		desc_set(PAIR_TX, i, BUF(i), 5, i < SIZE - 1 ? N : 0, i + 1);
	avail_push(PAIR_TX, 0);
	avail_push(PAIR_TX, 5);
	assert_int_equal(1, ring_pop(&stage.pair.queues[PAIR_TX].ring, &c));
	assert_true(c.too_long);
	assert_int_equal(77, iov[3].iov_len);
	assert_int_equal(1, ring_pop(&stage.pair.queues[PAIR_TX].ring, &c));
	assert_false(c.too_long);
	assert_int_equal(3, c.out);
	stage_close();
}

/* The work that a chain costs is counted, so that a turn of endless chains ends. */
static void work_is_counted(void **state)
{
	struct iovec iov[4];
	struct chain c = { .iov = iov, .room = 4 };
	struct virtq_desc *table;

	(void)state;
	stage_open(SIZE, 0, MODERN | INDIRECT);
	table = at(TABLE);
	for (uint16_t i = 0; i < 1000; i++)
		table[i] = (struct virtq_desc){ BUF(0), 0, i < 999 ? N : 0, i + 1 };
	desc_set(PAIR_TX, 0, TABLE, 16 * 1000, I, 0);
	avail_push(PAIR_TX, 0);
	assert_int_equal(1, ring_pop(&stage.pair.queues[PAIR_TX].ring, &c));
	assert_true(stage.pair.queues[PAIR_TX].ring.work >= 1000);
	stage_close();
}

static void nothing_there(void **state)
{
	struct iovec iov[4];
	struct chain c = { .iov = iov, .room = 4 };

	(void)state;
	stage_open(SIZE, 17, MODERN);
	assert_int_equal(0, ring_pop(&stage.pair.queues[PAIR_TX].ring, &c));
	stage_close();
}

/* CVE-2016-5403: chains made available without one being given back. */
static void more_chains_than_the_ring_has(void **state)
{
	struct ring *ring = &stage.pair.queues[PAIR_TX].ring;
	struct iovec iov[4];
	struct chain c = { .iov = iov, .room = 4 };

	(void)state;
	stage_open(SIZE, 0, MODERN);
	for (uint16_t i = 0; i < SIZE; i++)
		post(PAIR_TX, i, BUF(i), 10);
	for (uint16_t i = 0; i < SIZE; i++)
		assert_int_equal(1, ring_pop(ring, &c));
	avail_push(PAIR_TX, 0);
	assert_int_equal(-EINVAL, ring_pop(ring, &c));
	assert_int_equal(SIZE, ring_base(ring));
	ring_push(ring, 0, 1, 0);
	assert_int_equal(1, ring_pop(ring, &c));
	stage_close();
}

/* 200,000 chains through a ring of 8: every index wraps three times. */
static void indices_wrap(void **state)
{
	struct ring *ring = &stage.pair.queues[PAIR_TX].ring;
	struct iovec iov[4];
	struct chain c = { .iov = iov, .room = 4 };
	uint32_t len;

	(void)state;
	stage_open(SIZE, 65000, MODERN);
	for (uint32_t i = 0; i < 200000; i += 3) {
		for (uint32_t j = 0; j < 3; j++) {
			uint16_t head = (uint16_t)((i + j) % SIZE);

			post(PAIR_TX, head, BUF(0), 100 + head);
		}
		for (uint32_t j = 0; j < 3; j++) {
			if (ring_pop(ring, &c) != 1 || c.head != (i + j) % SIZE ||
			    c.out_bytes != 100u + c.head)
				fail();
			ring_push(ring, c.head, 1, c.head);
		}
		if (!ring_publish(ring)) /* no flag: every batch is told */
			fail();
		for (uint32_t j = 0; j < 3; j++)
			if (used_take(PAIR_TX, &len) != (int)((i + j) % SIZE) ||
			    len != (i + j) % SIZE)
				fail();
	}
	stage_close();
}

static void given_back(void **state)
{
	struct ring *ring = &stage.pair.queues[PAIR_TX].ring;
	struct iovec iov[4];
	struct chain c = { .iov = iov, .room = 4 };

	(void)state;
	stage_open(SIZE, 65534, MODERN);
	for (uint16_t i = 0; i < 5; i++)
		post(PAIR_TX, i, BUF(i), 10);
	for (uint16_t i = 0; i < 4; i++)
		assert_int_equal(1, ring_pop(ring, &c));
	ring_unpop(ring, 3);
	assert_int_equal(65535, ring->avail_next);
	for (uint16_t i = 1; i < 5; i++) {
		assert_int_equal(1, ring_pop(ring, &c));
		assert_int_equal(i, c.head);
	}
	assert_int_equal(0, ring_pop(ring, &c));
	stage_close();
}

/* The used index is this side's own: what the guest scribbles over it is not read back. */
static void used_index_scribbled(void **state)
{
	struct ring *ring = &stage.pair.queues[PAIR_TX].ring;

	(void)state;
	stage_open(SIZE, 5, MODERN);
	ring_push(ring, 1, 1, 0);
	ring_publish(ring);
	stage.driver[PAIR_TX].used->idx = 4711;
	ring_push(ring, 2, 1, 0);
	ring_publish(ring);
	assert_int_equal(7, stage.driver[PAIR_TX].used->idx);
	stage_close();
}

static void taken_over(void **state)
{
	struct ring_config cfg;
	struct virtq_used *used;
	struct ring ring;

	(void)state;
	stage_open(SIZE, 0, MODERN);
	cfg = stage_config(PAIR_TX, SIZE, 900, MODERN);
	used = cfg.used;
	used->idx = 897;
	ring_init(&ring, &cfg, stage.mem);
	assert_int_equal(900, ring.avail_next);
	ring_push(&ring, 3, 1, 0);
	ring_publish(&ring);
	assert_int_equal(898, used->idx);
	assert_int_equal(3, used->ring[897 % SIZE].id);
	stage_close();
}

/* 2.7.10: an interrupt when the index passes used_event. */
static void used_event(void **state)
{
	static const struct {
		uint16_t base, event;
		unsigned int pushed;
		bool interrupt;
	} cases[] = {
		{ 0, 0, 1, true },	    { 0, 1, 1, false },		{ 0, 1, 2, true },
		{ 0, 7, 8, true },	    { 0, 8, 8, false },		{ 10, 9, 3, false },
		{ 10, 10, 3, true },	    { 10, 12, 3, true },	{ 10, 13, 3, false },
		{ 65534, 65535, 1, false }, { 65534, 65535, 2, true },	{ 65534, 0, 3, true },
		{ 65534, 1, 3, false },	    { 65534, 65533, 5, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ring *ring = &stage.pair.queues[PAIR_TX].ring;

		stage_open(SIZE, cases[i].base, MODERN | EVENTS);
		stage.driver[PAIR_TX].avail->ring[SIZE] = cases[i].event;
		stage.driver[PAIR_TX].avail->flags = AVAIL_F_NO_INTERRUPT; /* means nothing here */
		assert_false(ring_publish(ring));
		for (unsigned int n = 0; n < cases[i].pushed; n++)
			ring_push(ring, 0, 1, 0);
		assert_int_equal(cases[i].interrupt, ring_publish(ring));
		assert_false(ring_publish(ring));
		stage_close();
	}
}

static void flags_instead_of_events(void **state)
{
	struct ring *ring = &stage.pair.queues[PAIR_TX].ring;
	struct driver *d = &stage.driver[PAIR_TX];

	(void)state;
	stage_open(SIZE, 0, MODERN);
	d->avail->flags = AVAIL_F_NO_INTERRUPT;
	ring_push(ring, 0, 1, 0);
	assert_false(ring_publish(ring));
	d->avail->flags = 0;
	ring_push(ring, 0, 1, 0);
	assert_true(ring_publish(ring));
	ring_disarm(ring);
	assert_int_equal(USED_F_NO_NOTIFY, d->used->flags);
	assert_false(ring_arm(ring));
	assert_int_equal(0, d->used->flags);
	avail_push(PAIR_TX, 0);
	assert_true(ring_arm(ring));
	stage_close();
}

static void asks_for_the_next(void **state)
{
	struct ring *ring = &stage.pair.queues[PAIR_TX].ring;
	struct driver *d = &stage.driver[PAIR_TX];
	(void)state;
	stage_open(SIZE, 65535, MODERN | EVENTS);
	assert_false(ring_arm(ring));
	assert_int_equal(65535, avail_event(PAIR_TX));
	ring_disarm(ring);
	assert_int_equal(0, d->used->flags);
	avail_push(PAIR_TX, 0);
	avail_push(PAIR_TX, 0);
	assert_true(ring_arm(ring)); /* came before the word could ask for it */
	stage_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chains),
		cmocka_unit_test(pieces_are_where_the_guest_said),
		cmocka_unit_test(more_pieces_than_room),
		cmocka_unit_test(work_is_counted),
		cmocka_unit_test(nothing_there),
		cmocka_unit_test(more_chains_than_the_ring_has),
		cmocka_unit_test(indices_wrap),
		cmocka_unit_test(given_back),
		cmocka_unit_test(used_index_scribbled),
		cmocka_unit_test(taken_over),
		cmocka_unit_test(used_event),
		cmocka_unit_test(flags_instead_of_events),
		cmocka_unit_test(asks_for_the_next),
	};

	print_message("# %zu rows of split rings\n", ARRAY_SIZE(rows));
	return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
