/*
 * The packed format (virtio 1.3, 2.8) against every ring that a guest should not write, and the
 * arithmetic of its positions and wrap counters.
 */
#include "tests/unit/device/stage.h"

#define SIZE	 6 /* no power of two: this format needs none */
#define INDIRECT BIT_ULL(VIRTIO_F_INDIRECT_DESC)
#define EVENTS	 BIT_ULL(VIRTIO_F_EVENT_IDX)
#define PACKED	 BIT_ULL(VIRTIO_F_RING_PACKED)
#define ROOM	 16

#define N DESC_F_NEXT
#define W DESC_F_WRITE
#define I DESC_F_INDIRECT

#define TABLE	(BUFFERS + 0x80000)
#define BORDER	(GPA_B - 24)
#define BUF(n)	(BUFFERS + (n)*0x1000ull)
#define NOWHERE 0x7000000ull

/* A position with its wrap counter, and the base made of two of them. */
#define AT(at, wrap)   ((uint32_t)(at) | ((wrap) ? PACKED_WRAP : 0))
#define BASE(at, wrap) (AT(at, wrap) | AT(at, wrap) << 16)

static struct ring ring;
static struct virtq_packed_desc *descs;
static struct virtq_packed_event *wants, *asks; /* of the driver, of the device */

static void open_at(uint16_t size, uint32_t base, uint64_t features)
{
	struct ring_config cfg;

	stage_open(SIZE + 2, 0, MODERN);
	cfg = stage_config(PAIR_TX, size, 0, features);
	cfg.packed = true;
	cfg.base = base;
	descs = cfg.desc;
	wants = cfg.avail;
	asks = cfg.used;
	memset(wants, 0, sizeof(*wants));
	memset(asks, 0, sizeof(*asks));
	/* as a driver leaves a ring before its position: nothing is available */
	for (uint16_t i = 0; i < size; i++)
		descs[i].flags = !(base & PACKED_WRAP) ? DESC_F_AVAIL | DESC_F_USED : 0;
	ring_init(&ring, &cfg, stage.mem);
}

static void put(uint16_t slot, bool wrap, uint64_t gpa, uint32_t len, uint16_t id, uint16_t flags)
{
	descs[slot] = (struct virtq_packed_desc){ gpa, len, id,
						  flags | (wrap ? DESC_F_AVAIL : DESC_F_USED) };
}

/* clang-format off */
static const struct row {
	const char *name;
	struct virtq_packed_desc desc[SIZE];
	uint64_t table_at;
	struct virtq_packed_desc table[3];
	int rc;
	unsigned int out, in, slots;
	uint64_t out_bytes, in_bytes;
	uint16_t id;
	bool no_indirect;
} rows[] = {
	{ "one piece to read", .desc = { { BUF(0), 100, 3, 0 } }, .rc = 1, .out = 1, .slots = 1, .out_bytes = 100, .id = 3 },
	{ "the id of the last one counts", .desc = { { BUF(0), 12, 9999, N }, { BUF(1), 50, 5, W } },
	  .rc = 1, .out = 1, .in = 1, .slots = 2, .out_bytes = 12, .in_bytes = 50, .id = 5 },
	{ "as many as the ring has", .desc = { { BUF(0), 1, 0, N }, { BUF(0), 1, 0, N }, { BUF(0), 1, 0, N }, { BUF(0), 1, 0, N },
	  { BUF(0), 1, 0, N }, { BUF(0), 1, 4, 0 } }, .rc = 1, .out = 6, .slots = 6, .out_bytes = 6, .id = 4 },
	{ "one more than the ring has", .desc = { { BUF(0), 1, 0, N }, { BUF(0), 1, 0, N }, { BUF(0), 1, 0, N }, { BUF(0), 1, 0, N },
	  { BUF(0), 1, 0, N }, { BUF(0), 1, 4, N } }, .rc = -ELOOP },
	{ "SPDK #3860: id is the size", .desc = { { BUF(0), 100, SIZE, 0 } }, .rc = -EINVAL },
	{ "id is 65535", .desc = { { BUF(0), 100, 65535, 0 } }, .rc = -EINVAL },
	{ "read behind write", .desc = { { BUF(0), 1, 0, W | N }, { BUF(0), 1, 0, 0 } }, .rc = -EINVAL },
	{ "buffer nowhere", .desc = { { NOWHERE, 1, 0, 0 } }, .rc = -EFAULT },
	{ "second buffer nowhere", .desc = { { BUF(0), 1, 0, N }, { NOWHERE, 1, 0, 0 } }, .rc = -EFAULT },
	{ "buffer that wraps", .desc = { { UINT64_MAX - 3, 8, 0, W } }, .rc = -EFAULT },
	{ "buffer that ends beyond memory", .desc = { { GPA_TOP - 10, 11, 0, 0 } }, .rc = -EFAULT },
	{ "empty buffer is skipped", .desc = { { BUF(0), 0, 0, N }, { BUF(0), 8, 1, 0 } }, .rc = 1, .out = 1, .slots = 2, .out_bytes = 8, .id = 1 },
	{ "table", .desc = { { TABLE, 32, 2, I } }, .table = { { BUF(0), 12, 0, 0 }, { BUF(1), 60, 0, W } },
	  .rc = 1, .out = 1, .in = 1, .slots = 1, .out_bytes = 12, .in_bytes = 60, .id = 2 },
	{ "table over two regions", .desc = { { BORDER, 48, 2, I } }, .table_at = BORDER,
	  .table = { { BUF(0), 12, 0, 0 }, { BUF(1), 60, 0, 0 }, { BUF(2), 5, 0, W } },
	  .rc = 1, .out = 2, .in = 1, .slots = 1, .out_bytes = 72, .in_bytes = 5, .id = 2 },
	{ "ids within a table mean nothing", .desc = { { TABLE, 16, 2, I } }, .table = { { BUF(0), 12, 65535, 0 } },
	  .rc = 1, .out = 1, .slots = 1, .out_bytes = 12, .id = 2 },
	{ "indirect not negotiated", .desc = { { TABLE, 16, 2, I } }, .table = { { BUF(0), 12, 0, 0 } }, .no_indirect = true, .rc = -EINVAL },
	{ "table in a table", .desc = { { TABLE, 16, 2, I } }, .table = { { TABLE, 16, 0, I } }, .rc = -EINVAL },
	{ "INDIRECT and NEXT", .desc = { { TABLE, 16, 2, I | N }, { BUF(0), 1, 0, 0 } }, .table = { { BUF(0), 12, 0, 0 } }, .rc = -EINVAL },
	{ "table within a chain", .desc = { { BUF(0), 1, 0, N }, { TABLE, 16, 2, I } }, .table = { { BUF(0), 12, 0, 0 } }, .rc = -EINVAL },
	{ "table of 0 bytes", .desc = { { TABLE, 0, 2, I } }, .rc = -EINVAL },
	{ "table of 17 bytes", .desc = { { TABLE, 17, 2, I } }, .rc = -EINVAL },
	{ "table nowhere", .desc = { { NOWHERE, 16, 2, I } }, .rc = -EFAULT },
	{ "table and a bad id", .desc = { { TABLE, 16, 60000, I } }, .table = { { BUF(0), 12, 0, 0 } }, .rc = -EINVAL },
	{ "one piece to write", .desc = { { BUF(0), 100, 3, W } }, .rc = 1, .in = 1, .slots = 1, .in_bytes = 100, .id = 3 },
	{ "unknown flags are ignored", .desc = { { BUF(0), 100, 3, 0x7f78 } }, .rc = 1, .out = 1, .slots = 1, .out_bytes = 100, .id = 3 },
	{ "buffer over two regions", .desc = { { GPA_B - 10, 30, 3, W } }, .rc = 1, .in = 2, .slots = 1, .in_bytes = 30, .id = 3 },
	{ "buffer at the last byte", .desc = { { GPA_TOP - 1, 1, 3, 0 } }, .rc = 1, .out = 1, .slots = 1, .out_bytes = 1, .id = 3 },
	{ "buffer over a hole", .desc = { { GPA_B, 0x8000000, 3, 0 } }, .rc = -EFAULT },
	{ "buffer of 4 GiB - 1", .desc = { { BUF(0), UINT32_MAX, 3, 0 } }, .rc = -EFAULT },
	{ "length overflows in 32 bits", .desc = { { GPA_A, 0x700000, 0, N }, { GPA_A, 0x700000, 0, N }, { GPA_A, 0x700000, 2, 0 } },
	  .rc = 1, .out = 6, .slots = 3, .out_bytes = 0x1500000, .id = 2 },
	{ "only an empty buffer", .desc = { { BUF(0), 0, 3, 0 } }, .rc = 1, .slots = 1, .id = 3 },
	{ "CVE-2020-10725: empty buffer nowhere", .desc = { { NOWHERE, 0, 3, 0 } }, .rc = -EFAULT },
	{ "a chain of empty buffers without an end", .desc = { { BUF(0), 0, 0, N }, { BUF(0), 0, 0, N }, { BUF(0), 0, 0, N },
	  { BUF(0), 0, 0, N }, { BUF(0), 0, 0, N }, { BUF(0), 0, 0, N } }, .rc = -ELOOP },
	{ "NEXT within a table means nothing", .desc = { { TABLE, 32, 2, I } }, .table = { { BUF(0), 12, 0, N }, { BUF(1), 60, 0, N } },
	  .rc = 1, .out = 2, .slots = 1, .out_bytes = 72, .id = 2 },
	{ "WRITE on the pointer to a table is ignored", .desc = { { TABLE, 16, 2, I | W } }, .table = { { BUF(0), 12, 0, 0 } },
	  .rc = 1, .out = 1, .slots = 1, .out_bytes = 12, .id = 2 },
	{ "table at an odd address", .desc = { { TABLE + 1, 16, 2, I } }, .table_at = TABLE + 1, .table = { { BUF(0), 12, 0, 0 } },
	  .rc = 1, .out = 1, .slots = 1, .out_bytes = 12, .id = 2 },
	{ "table of 15 bytes", .desc = { { TABLE, 15, 2, I } }, .rc = -EINVAL },
	{ "table of 32769 entries", .desc = { { TABLE, 16 * 32769, 2, I } }, .table = { { BUF(0), 12, 0, 0 } }, .rc = -EINVAL },
	{ "table of 4 GiB - 16", .desc = { { TABLE, 0xfffffff0, 2, I } }, .table = { { BUF(0), 12, 0, 0 } }, .rc = -EINVAL },
	{ "table that ends beyond memory", .desc = { { GPA_TOP - 8, 16, 2, I } }, .rc = -EFAULT },
	{ "table that wraps", .desc = { { UINT64_MAX - 15, 32, 2, I } }, .rc = -EFAULT },
	{ "entry of a table nowhere", .desc = { { TABLE, 32, 2, I } }, .table = { { BUF(0), 12, 0, 0 }, { NOWHERE, 60, 0, 0 } }, .rc = -EFAULT },
	{ "read behind write in a table", .desc = { { TABLE, 32, 2, I } }, .table = { { BUF(0), 1, 0, W }, { BUF(0), 1, 0, 0 } }, .rc = -EINVAL },
};
/* clang-format on */

/* Each row from slot 4 on, once with either wrap counter: chains run over the ring's end. */
static void chains(void **state)
{
	struct iovec iov[ROOM];

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i / 2];
		const char *table = (const char *)row->table;
		struct chain c = { .iov = iov, .room = ROOM };
		bool wrap = i & 1;

		print_message("# %s\n", row->name);
		open_at(SIZE, BASE(4, wrap), row->no_indirect ? 0 : INDIRECT);
		for (size_t n = 0; n < sizeof(row->table); n++)
			*(char *)at((row->table_at ? row->table_at : TABLE) + n) = table[n];
		for (uint16_t n = 0; n < SIZE && row->desc[n].addr; n++)
			put((4 + n) % SIZE, n < 2 ? wrap : !wrap, row->desc[n].addr,
			    row->desc[n].len, row->desc[n].id, row->desc[n].flags);
		assert_int_equal(row->rc, ring_pop(&ring, &c));
		if (row->rc == 1) {
			assert_int_equal(row->out, c.out);
			assert_int_equal(row->in, c.in);
			assert_int_equal(row->slots, c.slots);
			assert_int_equal(row->out_bytes, c.out_bytes);
			assert_int_equal(row->in_bytes, c.in_bytes);
			assert_int_equal(row->id, c.head);
			ring_push(&ring, c.head, c.slots, 0);
			ring_publish(&ring);
			assert_int_equal(row->id, descs[4].id);
			assert_int_equal(
				BASE((4 + row->slots) % SIZE, 4 + row->slots < SIZE ? wrap : !wrap),
				ring_base(&ring));
		} else {
			assert_int_equal(BASE(4, wrap), ring_base(&ring));
		}
		stage_close();
	}
}

static void nothing_there(void **state)
{
	static const uint16_t unavailable[2][3] = {
		{ 0, DESC_F_AVAIL, DESC_F_AVAIL | DESC_F_USED },
		{ 0, DESC_F_USED, DESC_F_AVAIL | DESC_F_USED },
	};
	struct iovec iov[ROOM];
	struct chain c = { .iov = iov, .room = ROOM };

	(void)state;
	for (int wrap = 0; wrap < 2; wrap++) {
		for (int i = 0; i < 3; i++) {
			open_at(SIZE, BASE(0, wrap), 0);
			descs[0] = (struct virtq_packed_desc){ BUF(0), 1, 0, unavailable[wrap][i] };
			assert_int_equal(0, ring_pop(&ring, &c));
			stage_close();
		}
	}
}

/* 100,000 chains of one to three descriptors: positions and counters wrap again and again. */
static void positions_wrap(void **state)
{
	struct iovec iov[ROOM];
	struct chain c = { .iov = iov, .room = ROOM };
	uint16_t at_slot = 0;
	bool wrap = true;

	(void)state;
	open_at(SIZE, BASE(0, true), 0);
	for (uint32_t i = 0; i < 100000; i++) {
		uint16_t n = 1 + i % 3, first = at_slot, id = i % SIZE, used;
		bool first_wrap = wrap;

		for (uint16_t d = 0; d < n; d++) {
			put(at_slot, wrap, BUF(0), 10, id, d < n - 1 ? N : 0);
			if (++at_slot == SIZE) {
				at_slot = 0;
				wrap = !wrap;
			}
		}
		if (ring_pop(&ring, &c) != 1 || c.slots != n || c.head != id || ring_pop(&ring, &c))
			fail();
		ring_push(&ring, id, n, i);
		if (!ring_publish(&ring))
			fail();
		used = (first_wrap ? DESC_F_AVAIL | DESC_F_USED : 0) | (i ? W : 0);
		if (descs[first].flags != used || descs[first].id != id || descs[first].len != i)
			fail();
	}
	assert_int_equal(BASE(at_slot, wrap), ring_base(&ring));
	stage_close();
}

/* Nothing of a batch is visible before its first descriptor is. */
static void batch_appears_at_once(void **state)
{
	struct iovec iov[ROOM];
	struct chain c = { .iov = iov, .room = ROOM };

	(void)state;
	open_at(SIZE, BASE(0, true), 0);
	for (uint16_t i = 0; i < 3; i++)
		put(i, true, BUF(i), 10, i, 0);
	for (uint16_t i = 0; i < 3; i++) {
		assert_int_equal(1, ring_pop(&ring, &c));
		ring_push(&ring, i, 1, 5);
	}
	assert_int_equal(DESC_F_AVAIL, descs[0].flags);
	assert_true(ring_publish(&ring));
	for (uint16_t i = 0; i < 3; i++)
		assert_int_equal(W | DESC_F_AVAIL | DESC_F_USED, descs[i].flags);
	assert_false(ring_publish(&ring));
	stage_close();
}

static void given_back(void **state)
{
	struct iovec iov[ROOM];
	struct chain c = { .iov = iov, .room = ROOM };

	(void)state;
	for (uint16_t back = 1; back <= 5; back++) {
		open_at(SIZE, BASE(3, false), 0);
		for (uint16_t i = 0; i < 5; i++)
			put((3 + i) % SIZE, i >= 3, BUF(i), 10, i, 0);
		for (uint16_t i = 0; i < 5; i++)
			assert_int_equal(1, ring_pop(&ring, &c));
		ring_unpop(&ring, back);
		for (uint16_t i = 5 - back; i < 5; i++) {
			assert_int_equal(1, ring_pop(&ring, &c));
			assert_int_equal(i, c.head);
		}
		assert_int_equal(0, ring_pop(&ring, &c));
		ring_unpop(&ring, 5);
		assert_int_equal(BASE(3, false), ring_base(&ring));
		stage_close();
	}
}

/* The guest makes available again what it has not got back; giving back must not run off the ring.
 */
static void more_chains_than_the_ring_has(void **state)
{
	struct iovec iov[ROOM];
	struct chain c = { .iov = iov, .room = ROOM };

	(void)state;
	open_at(SIZE, BASE(2, true), 0);
	for (uint16_t i = 0; i < SIZE; i++)
		put((2 + i) % SIZE, i < 4, BUF(0), 1, 0, 0);
	for (uint16_t i = 0; i < SIZE; i++)
		assert_int_equal(1, ring_pop(&ring, &c));
	put(2, false, BUF(0), 1, 0, 0);
	assert_int_equal(-EINVAL, ring_pop(&ring, &c));
	ring_unpop(&ring, SIZE);
	assert_int_equal(BASE(2, true), ring_base(&ring));
	stage_close();
}

static void two_halves_of_a_base(void **state)
{
	(void)state;
	open_at(SIZE, AT(3, true), 0); /* DPDK leaves the used half zero */
	assert_int_equal(BASE(3, true), ring_base(&ring));
	stage_close();
	open_at(SIZE, AT(3, true) | AT(1, true) << 16, 0);
	assert_int_equal(AT(3, true) | AT(1, true) << 16, ring_base(&ring));
	stage_close();
}

/* user-mode-linux calls a fresh ring's base 0; a ring that came round to 0 bears the marks of it.
 */
static void base_of_a_fresh_ring(void **state)
{
	static const struct {
		uint16_t marks, flags, off_wrap;
		bool fresh;
	} cases[] = {
		{ 0, 0, 0, true },
		{ 0, PACKED_EVENT_DESC, 5, true },
		{ DESC_F_AVAIL, 0, 0, true }, /* its driver was quicker than its front-end */
		{ DESC_F_AVAIL, PACKED_EVENT_DISABLE, 0, false },
		{ DESC_F_AVAIL, 0, 5, false },
		{ DESC_F_AVAIL | DESC_F_USED, 0, 0, false },
		{ DESC_F_USED, 0, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ring_config cfg;

		print_message("# row %zu\n", i);
		open_at(SIZE, AT(1, true), 0);
		cfg = ring.cfg;
		cfg.base = 0;
		descs[0].flags = cases[i].marks;
		*asks = (struct virtq_packed_event){ cases[i].off_wrap, cases[i].flags };
		ring_init(&ring, &cfg, stage.mem);
		assert_int_equal(BASE(0, cases[i].fresh), ring_base(&ring));
		stage_close();
	}
}

/* A chain that wraps leaves slot 0 with the driver's marks alone, as a quick driver of a fresh ring
 * does: what the device's event words say after it has run tells the two apart. */
static void a_ring_that_ran_is_not_fresh(void **state)
{
	static const bool last_armed[] = { true, false };

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(last_armed); i++) {
		struct ring_config cfg;

		print_message("# row %zu\n", i);
		open_at(SIZE, AT(1, true), i & 1 ? EVENTS : 0);
		ring_arm(&ring);
		if (!last_armed[i / 2])
			ring_disarm(&ring);
		cfg = ring.cfg;
		cfg.base = 0;
		descs[0].flags = DESC_F_AVAIL;
		ring_init(&ring, &cfg, stage.mem);
		assert_int_equal(BASE(0, false), ring_base(&ring));
		stage_close();
	}
}

/* 2.8.14: an interrupt when the wanted slot was used in this batch. */
static void interrupts(void **state)
{
	static const struct {
		uint16_t flags, off;
		bool wrap; /* of the event */
		uint16_t from;
		uint16_t pushed;
		bool events, interrupt;
	} cases[] = {
		{ PACKED_EVENT_ENABLE, 0, false, 0, 1, true, true },
		{ PACKED_EVENT_DISABLE, 0, false, 0, 1, true, false },
		{ PACKED_EVENT_DISABLE, 0, false, 0, 1, false, false },
		{ PACKED_EVENT_DESC, 4, true, 0, 1, false, true }, /* not negotiated: as enabled */
		{ PACKED_EVENT_DESC, 0, true, 0, 1, true, true },
		{ PACKED_EVENT_DESC, 1, true, 0, 1, true, false },
		{ PACKED_EVENT_DESC, 1, true, 0, 2, true, true },
		{ PACKED_EVENT_DESC, 0, true, 1, 1, true, false },
		{ PACKED_EVENT_DESC, 0, true, 1, 3, true, false },
		{ PACKED_EVENT_DESC, 5, true, 4, 2, true, true },
		{ PACKED_EVENT_DESC, 5, true, 4, 1, true, false },
		{ PACKED_EVENT_DESC, 0, false, 4, 3, true, true },
		{ PACKED_EVENT_DESC, 0, false, 4, 2, true, false },
		{ PACKED_EVENT_DESC, 1, false, 4, 3, true, false },
		{ PACKED_EVENT_DESC, 5, true, 4, 4, true, true },
		{ PACKED_EVENT_DESC, 3, true, 4, 4, true, false },
		{ PACKED_EVENT_DESC, 0x7fff, true, 4, 4, true, false },
		{ PACKED_EVENT_DESC, 0x7fff, false, 4, 4, true, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		open_at(SIZE, BASE(cases[i].from, true), cases[i].events ? EVENTS : 0);
		*wants = (struct virtq_packed_event){ AT(cases[i].off, cases[i].wrap),
						      cases[i].flags };
		for (uint16_t n = 0; n < cases[i].pushed; n++)
			ring_push(&ring, 0, 1, 0);
		print_message("# case %zu\n", i);
		assert_int_equal(cases[i].interrupt, ring_publish(&ring));
		stage_close();
	}
}

static void notifications(void **state)
{
	(void)state;
	open_at(SIZE, BASE(3, true), 0);
	ring_disarm(&ring);
	assert_int_equal(PACKED_EVENT_DISABLE, asks->flags);
	assert_false(ring_arm(&ring));
	assert_int_equal(PACKED_EVENT_ENABLE, asks->flags);
	put(3, true, BUF(0), 1, 0, 0);
	assert_true(ring_arm(&ring));
	stage_close();

	open_at(SIZE, BASE(3, true), EVENTS);
	assert_false(ring_arm(&ring));
	assert_int_equal(PACKED_EVENT_DESC, asks->flags);
	assert_int_equal(AT(3, true), asks->off_wrap);
	stage_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chains),
		cmocka_unit_test(nothing_there),
		cmocka_unit_test(positions_wrap),
		cmocka_unit_test(batch_appears_at_once),
		cmocka_unit_test(given_back),
		cmocka_unit_test(more_chains_than_the_ring_has),
		cmocka_unit_test(two_halves_of_a_base),
		cmocka_unit_test(base_of_a_fresh_ring),
		cmocka_unit_test(a_ring_that_ran_is_not_fresh),
		cmocka_unit_test(interrupts),
		cmocka_unit_test(notifications),
	};

	print_message("# %zu rows of packed rings, each under both wrap counters\n",
		      ARRAY_SIZE(rows));
	return cmocka_run_group_tests_name("ring_packed", tests, NULL, NULL);
}
