/*
 * Rings that no honest guest writes. One row an input: a chain as a driver would post it, edited
 * before it is published, and the class of its outcome. A broken ring stops and signals once while
 * the other goes on; a dropped frame goes back with nothing written; and after each row a fresh
 * connection passes frames.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/util.h"
#include "tests/support/rig.h"

#define SIZE	 64
#define MERGE	 BIT(VIRTIO_NET_F_MRG_RXBUF)
#define INDIRECT BIT(VIRTIO_RING_F_INDIRECT_DESC)
#define EVENT	 BIT(VIRTIO_RING_F_EVENT_IDX)
#define PACKED	 BIT(VIRTIO_F_RING_PACKED)
#define RX	 0
#define TX	 1
#define FRAME	 100 /* bytes of the frame that a transmit row posts, behind a header of 12 */

/* Guest memory of every row: one region, so that its edges are known (tests/support/memory.c). */
#define GPA    0x10000000ull
#define BYTES  0x04000000ull
#define TABLE  (GPA + BYTES - 0x100000) /* never allocated: room for tables of our own */
#define NEXT   VRING_DESC_F_NEXT
#define WRITE  VRING_DESC_F_WRITE
#define POINTS VRING_DESC_F_INDIRECT
#define PIECE  0x10000 /* as a `next`: the index of piece n of the chain is PIECE + n */

static struct rig rig;
static struct guest guest;
static uint8_t frame[FRAME_MAX], received[FRAME_MAX];

enum outcome {
	BREAKS,
	DROPPED,
	PASSES, /* the frame, unchanged */
};

enum field {
	NOTHING,
	ADDR, /* of a descriptor */
	LEN,
	FLAGS,
	LINK,	/* split: next; packed: buffer id */
	T_ADDR, /* of an entry of the table at TABLE */
	T_LEN,
	T_FLAGS,
	T_LINK,
	/* split alone: */
	HEAD,	    /* the entry in the available ring */
	INDEX,	    /* added to the available index, after the chain's own 1 */
	USED,	    /* written over the used index */
	USED_EVENT, /* written over the used event */
};

struct edit {
	enum field field;
	unsigned which; /* piece of the chain, or entry of the table */
	uint64_t value;
};

struct row {
	const char *name;
	unsigned ring;
	enum outcome outcome;
	uint64_t features;
	unsigned pieces; /* of the chain: header and FRAME bytes cut into so many, 0: 3 */
	struct edit edits[8];
};

#define LAST_BYTES (GPA + BYTES - 49) /* the piece of 50 bytes crosses the end */

/* clang-format off */
static const struct row rows[] = {
	/* ---- indices ---- */
	{ "head is the ring's size", TX, BREAKS, 0, 0, { { HEAD, 0, SIZE } } },
	{ "head is 65535", TX, BREAKS, 0, 0, { { HEAD, 0, 0xffff } } },
	{ "next is the ring's size", TX, BREAKS, 0, 0, { { LINK, 1, SIZE } } },
	{ "next is 65535", TX, BREAKS, 0, 0, { { LINK, 0, 0xffff } } },
	{ "index jumps past the ring", TX, BREAKS, 0, 0, { { INDEX, 0, SIZE } } },
	{ "index jumps half its range", TX, BREAKS, 0, 0, { { INDEX, 0, 0x8000 } } },
	{ "index goes back", TX, BREAKS, 0, 0, { { INDEX, 0, 0xfffe } } },
	{ "index jumps, with event indices", TX, BREAKS, EVENT, 0, { { INDEX, 0, 0x4000 } } },
	/* ---- chains ---- */
	{ "a descriptor follows itself", TX, BREAKS, 0, 0, { { FLAGS, 2, NEXT }, { LINK, 2, PIECE + 2 } } },
	{ "the last is followed by the first", TX, BREAKS, 0, 0, { { FLAGS, 2, NEXT }, { LINK, 2, PIECE } } },
	{ "a loop of empty descriptors", TX, BREAKS, 0, 0,
	  { { LEN, 0, 0 }, { LEN, 1, 0 }, { LEN, 2, 0 }, { FLAGS, 2, NEXT }, { LINK, 2, PIECE } } },
	{ "address outside of memory", TX, BREAKS, 0, 0, { { ADDR, 1, 0x8000000000 } } },
	{ "address 0", TX, BREAKS, 0, 0, { { ADDR, 1, 0 } } },
	{ "address of all ones", TX, BREAKS, 0, 0, { { ADDR, 1, ~0ull } } },
	{ "front-end's address", TX, BREAKS, 0, 0, { { ADDR, 1, 0x7e0000000000 } } },
	{ "address and length wrap", TX, BREAKS, 0, 0, { { ADDR, 1, ~0ull - 20 } } },
	{ "buffer crosses the end of memory", TX, BREAKS, 0, 0, { { ADDR, 1, LAST_BYTES } } },
	{ "buffer starts before memory", TX, BREAKS, 0, 0, { { ADDR, 1, GPA - 1 } } },
	{ "header outside of memory", TX, BREAKS, 0, 0, { { ADDR, 0, 0x8000000000 } } },
	{ "empty buffer outside of memory", TX, BREAKS, 0, 4, { { ADDR, 3, 0x8000000000 }, { LEN, 3, 0 } } },
	{ "a buffer to write to", TX, BREAKS, 0, 0, { { FLAGS, 2, WRITE } } },
	{ "only buffers to write to", TX, BREAKS, 0, 0,
	  { { FLAGS, 0, NEXT | WRITE }, { FLAGS, 1, NEXT | WRITE }, { FLAGS, 2, WRITE } } },
	{ "to write before to read", TX, BREAKS, 0, 0, { { FLAGS, 0, NEXT | WRITE } } },
	{ "unknown descriptor flags", TX, PASSES, 0, 0, { { FLAGS, 2, 0xfff8 } } },
	{ "empty descriptor at the end", TX, PASSES, 0, 4, { { LEN, 3, 0 } } },
	/* ---- lengths ---- */
	{ "half a header", TX, DROPPED, 0, 1, { { LEN, 0, 6 } } },
	{ "a header and no frame", TX, DROPPED, 0, 1, { { LEN, 0, 12 } } },
	{ "a frame of 13 bytes", TX, DROPPED, 0, 1, { { LEN, 0, 25 } } },
	{ "no byte at all", TX, DROPPED, 0, 3, { { LEN, 0, 0 }, { LEN, 1, 0 }, { LEN, 2, 0 } } },
	{ "a frame of 70000 bytes", TX, DROPPED, 0, 0, { { ADDR, 2, GPA }, { LEN, 2, 70000 } } },
	{ "a frame of all memory", TX, DROPPED, 0, 0, { { ADDR, 2, GPA }, { LEN, 2, BYTES } } },
	{ "more than 4 GiB in one buffer", TX, BREAKS, 0, 0, { { ADDR, 2, GPA }, { LEN, 2, 0xffffffff } } },
	/* ---- tables ---- */
	{ "table not negotiated", TX, BREAKS, 0, 1,
	  { { ADDR, 0, TABLE }, { LEN, 0, 16 }, { FLAGS, 0, POINTS }, { T_ADDR, 0, GPA }, { T_LEN, 0, 112 } } },
	{ "empty table", TX, BREAKS, INDIRECT, 1, { { ADDR, 0, TABLE }, { LEN, 0, 0 }, { FLAGS, 0, POINTS } } },
	{ "table of 15 bytes", TX, BREAKS, INDIRECT, 1, { { ADDR, 0, TABLE }, { LEN, 0, 15 }, { FLAGS, 0, POINTS } } },
	{ "table of 17 bytes", TX, BREAKS, INDIRECT, 1, { { ADDR, 0, TABLE }, { LEN, 0, 17 }, { FLAGS, 0, POINTS } } },
	{ "table of 4 GiB", TX, BREAKS, INDIRECT, 1, { { ADDR, 0, TABLE }, { LEN, 0, 0xfffffff0 }, { FLAGS, 0, POINTS } } },
	{ "table outside of memory", TX, BREAKS, INDIRECT, 1,
	  { { ADDR, 0, 0x8000000000 }, { LEN, 0, 32 }, { FLAGS, 0, POINTS } } },
	{ "table crosses the end of memory", TX, BREAKS, INDIRECT, 1,
	  { { ADDR, 0, GPA + BYTES - 16 }, { LEN, 0, 32 }, { FLAGS, 0, POINTS } } },
	{ "table wraps", TX, BREAKS, INDIRECT, 1, { { ADDR, 0, ~0xfull }, { LEN, 0, 32 }, { FLAGS, 0, POINTS } } },
	{ "table and next", TX, BREAKS, INDIRECT, 2,
	  { { ADDR, 0, TABLE }, { LEN, 0, 16 }, { FLAGS, 0, POINTS | NEXT }, { T_ADDR, 0, GPA }, { T_LEN, 0, 112 } } },
	{ "table in a table", TX, BREAKS, INDIRECT, 1,
	  { { ADDR, 0, TABLE }, { LEN, 0, 16 }, { FLAGS, 0, POINTS },
	    { T_ADDR, 0, TABLE + 16 }, { T_LEN, 0, 16 }, { T_FLAGS, 0, POINTS } } },
	{ "entry's next is the table's size", TX, BREAKS, INDIRECT, 1,
	  { { ADDR, 0, TABLE }, { LEN, 0, 32 }, { FLAGS, 0, POINTS },
	    { T_ADDR, 0, GPA }, { T_LEN, 0, 112 }, { T_FLAGS, 0, NEXT }, { T_LINK, 0, 2 } } },
	{ "entry follows itself", TX, BREAKS, INDIRECT, 1,
	  { { ADDR, 0, TABLE }, { LEN, 0, 32 }, { FLAGS, 0, POINTS },
	    { T_ADDR, 0, GPA }, { T_LEN, 0, 12 }, { T_FLAGS, 0, NEXT }, { T_LINK, 0, 0 } } },
	{ "entry outside of memory", TX, BREAKS, INDIRECT, 1,
	  { { ADDR, 0, TABLE }, { LEN, 0, 16 }, { FLAGS, 0, POINTS }, { T_ADDR, 0, 0x8000000000 }, { T_LEN, 0, 112 } } },
	{ "entry to write to", TX, BREAKS, INDIRECT, 1,
	  { { ADDR, 0, TABLE }, { LEN, 0, 16 }, { FLAGS, 0, POINTS },
	    { T_ADDR, 0, GPA }, { T_LEN, 0, 112 }, { T_FLAGS, 0, WRITE } } },
	{ "table holds half a header", TX, DROPPED, INDIRECT, 1,
	  { { ADDR, 0, TABLE }, { LEN, 0, 16 }, { FLAGS, 0, POINTS }, { T_ADDR, 0, GPA }, { T_LEN, 0, 5 } } },
	/* ---- what the guest may scribble on ---- */
	{ "used index overwritten", TX, PASSES, 0, 0, { { USED, 0, 0x1234 } } },
	{ "used event overwritten", TX, PASSES, EVENT, 0, { { USED_EVENT, 0, 0x7777 } } },
	/* ---- receiving ---- */
	{ "receive: head is the ring's size", RX, BREAKS, 0, 1, { { HEAD, 0, SIZE } } },
	{ "receive: index jumps", RX, BREAKS, 0, 1, { { INDEX, 0, 0x8000 } } },
	{ "receive: next is the ring's size", RX, BREAKS, 0, 2, { { LINK, 0, SIZE } } },
	{ "receive: a descriptor follows itself", RX, BREAKS, 0, 1, { { FLAGS, 0, WRITE | NEXT }, { LINK, 0, PIECE } } },
	{ "receive: address outside of memory", RX, BREAKS, 0, 1, { { ADDR, 0, 0x8000000000 } } },
	{ "receive: buffer crosses the end of memory", RX, BREAKS, 0, 1, { { ADDR, 0, LAST_BYTES } } },
	{ "receive: second address wraps", RX, BREAKS, 0, 2, { { ADDR, 1, ~0ull - 20 } } },
	{ "receive: a buffer to read from", RX, BREAKS, 0, 1, { { FLAGS, 0, 0 } } },
	{ "receive: to read after to write", RX, BREAKS, 0, 2, { { FLAGS, 1, 0 } } },
	{ "receive: table not negotiated", RX, BREAKS, 0, 1,
	  { { ADDR, 0, TABLE }, { LEN, 0, 16 }, { FLAGS, 0, POINTS }, { T_ADDR, 0, GPA }, { T_LEN, 0, 1600 }, { T_FLAGS, 0, WRITE } } },
	{ "receive: mergeable, address outside of memory", RX, BREAKS, MERGE, 1, { { ADDR, 0, 0x8000000000 } } },
	{ "receive: mergeable, table of 17 bytes", RX, BREAKS, MERGE | INDIRECT, 1,
	  { { ADDR, 0, TABLE }, { LEN, 0, 17 }, { FLAGS, 0, POINTS } } },
	{ "receive: no room for the header", RX, DROPPED, 0, 1, { { LEN, 0, 8 } } },
	{ "receive: room for the header alone", RX, DROPPED, 0, 1, { { LEN, 0, 12 } } },
	{ "receive: a byte too small", RX, DROPPED, 0, 1, { { LEN, 0, FRAME + 11 } } },
	{ "receive: exactly large enough", RX, PASSES, 0, 1, { { LEN, 0, FRAME + 12 } } },
	/* ---- packed ---- */
	{ "buffer id is the ring's size", TX, BREAKS, PACKED, 1, { { LINK, 0, SIZE } } },
	{ "buffer id is 65535", TX, BREAKS, PACKED, 3, { { LINK, 2, 0xffff } } },
	{ "a chain without an end", TX, BREAKS, PACKED, 3, { { FLAGS, 2, NEXT } } },
	{ "receive: buffer id is 65535", RX, BREAKS, PACKED, 1, { { LINK, 0, 0xffff } } },
	{ "receive: a chain without an end", RX, BREAKS, PACKED, 2, { { FLAGS, 1, WRITE | NEXT } } },
};
/* clang-format on */

/* The descriptors of the chain that will be posted next. */
static void foresee(const struct guest_ring *r, uint16_t at[8], unsigned n)
{
	at[0] = r->format == &guest_packed ? r->avail & 0x7fff : r->first_free;
	for (unsigned i = 1; i < n; i++)
		at[i] = r->format == &guest_packed ? (uint16_t)((at[i - 1] + 1) % r->size)
						   : r->next[at[i - 1]];
}

static void edit_split(struct vring_desc *d, const struct edit *e, enum field field,
		       const uint16_t *at)
{
	if (field == ADDR)
		d->addr = e->value;
	else if (field == LEN)
		d->len = (uint32_t)e->value;
	else if (field == FLAGS)
		d->flags = (uint16_t)e->value;
	else
		d->next = e->value >= PIECE ? at[e->value - PIECE] : (uint16_t)e->value;
}

/* The two bits that tell whose a packed descriptor is stay as they are. */
static uint16_t with_owner(uint16_t old, uint64_t flags)
{
	const uint16_t owner = 1u << VRING_PACKED_DESC_F_AVAIL | 1u << VRING_PACKED_DESC_F_USED;

	return (uint16_t)((old & owner) | (flags & (uint16_t)~owner));
}

static void edit_packed(struct vring_packed_desc *d, const struct edit *e, enum field field)
{
	if (field == ADDR)
		d->addr = e->value;
	else if (field == LEN)
		d->len = (uint32_t)e->value;
	else if (field == FLAGS)
		d->flags = with_owner(d->flags, e->value);
	else
		d->id = (uint16_t)e->value;
}

static void edit_index(struct guest_ring *r, const struct edit *e)
{
	struct vring v = guest_split_raw(r);
	uint16_t value = (uint16_t)e->value;

	if (e->field == HEAD)
		v.avail->ring[(uint16_t)(r->avail - 1) % SIZE] = value;
	else if (e->field == INDEX)
		r->avail = (uint16_t)(r->avail + value);
	else if (e->field == USED)
		v.used->idx = value;
	else if (e->field == USED_EVENT)
		v.avail->ring[SIZE] = value;
}

static void edit(struct guest_ring *r, const struct edit *e, const uint16_t at[8])
{
	bool packed = r->format == &guest_packed, table = e->field >= T_ADDR;
	enum field field = table ? e->field - T_ADDR + ADDR : e->field;
	void *entries = guest_at(&guest.memory, table ? TABLE : r->desc, 16 * SIZE);
	unsigned i = table ? e->which : at[e->which];

	if (e->field == NOTHING)
		return;
	if (e->field >= HEAD)
		edit_index(r, e);
	else if (packed && field == FLAGS && !table && e->which == 0)
		r->first_flags = with_owner(r->first_flags, e->value); /* not written yet */
	else if (packed)
		edit_packed((struct vring_packed_desc *)entries + i, e, field);
	else
		edit_split((struct vring_desc *)entries + i, e, field, at);
}

/* Header and frame in as many pieces as the row wants; the last takes what is left. */
static unsigned cut(const struct row *row, uint64_t gpa, struct guest_piece pieces[8])
{
	static const uint32_t lengths[] = { 12, 50, 50, 0 };
	unsigned n = row->pieces ? row->pieces : 3;

	for (unsigned i = 0; i < n; i++) {
		pieces[i] = (struct guest_piece){ gpa, lengths[i], row->ring == RX };
		gpa += lengths[i];
	}
	if (n == 1)
		pieces[0].len = row->ring == RX ? 2000 : 12 + FRAME;
	return n;
}

static void post_row(const struct row *row)
{
	struct guest_queue *q = &guest.queue[row->ring];
	struct guest_ring *r = &q->ring;
	struct guest_piece pieces[8];
	unsigned n = cut(row, q->slot[0], pieces);
	uint16_t at[8];
	uint8_t *bytes = guest_at(&guest.memory, q->slot[0], 12 + FRAME);

	memset(bytes, 0, 12);
	frame_pattern(bytes + 12, FRAME, 77);
	memset(guest_at(&guest.memory, TABLE, 4096), 0, 4096);
	foresee(r, at, n);
	assert_ok(guest_ring_post(r, pieces, n, false, 0));
	q->busy[0] = true;
	for (size_t i = 0; i < ARRAY_SIZE(row->edits); i++)
		edit(r, &row->edits[i], at);
	guest_ring_kick(r);
	fd_signal(r->kick);
}

/* No receive buffer is posted but the row's. */
static void open_guest(uint64_t features)
{
	rig_connect(&rig, &guest.peer);
	assert_ok(guest_negotiate(&guest, &(struct guest_options){ .features = features,
								   .ring_size = SIZE,
								   .order = GUEST_TESTPMD,
								   .regions = 1,
								   .region_bytes = BYTES }));
	assert_ok(guest_set_up(&guest));
	assert_ok(guest_start_rings(&guest, 0));
	rig_transmit(&rig, &guest, 0, 64, 1, 3);
	assert_ok(guest_flush(&guest, 0, RIG_WAIT_MS));
}

static void inject(uint32_t number)
{
	frame_pattern(frame, FRAME, number);
	assert_ok(wire_send(&rig.wire, NULL, frame, FRAME));
}

static void expect_break(const struct row *row)
{
	struct guest_ring *r = &guest.queue[row->ring].ring;

	for (int i = 0; row->ring == RX && i < 3; i++)
		inject(77);
	assert_int_equal(1, guest_ring_signals(r->err, RIG_WAIT_MS));
	for (int i = 0; i < 3; i++)
		fd_signal(r->kick);
	assert_int_equal(0, guest_ring_signals(r->err, 10));
	assert_int_equal(0, guest_ring_signals(guest.queue[!row->ring].ring.err, 0));
	if (row->ring == RX) {
		rig_transmit(&rig, &guest, 0, 300, 5, 20);
		return;
	}
	guest_refill(&guest, 0);
	rig_receive(&rig, &guest, 0, 300, 5, 20);
}

static void expect_transmitted(const struct row *row)
{
	struct guest_ring *r = &guest.queue[TX].ring;
	uint32_t number;

	if (row->outcome == PASSES) {
		assert_int_equal(FRAME, wire_recv(&rig.wire, NULL, received, sizeof(received)));
		assert_true(frame_number(received, FRAME, &number) && number == 77);
		assert_true(frame_intact(received, FRAME, 77));
	}
	/* The device never reads what the guest wrote over its index. */
	for (int i = 0; r->format == &guest_split && i < 200; i++)
		if (guest_split_raw(r).used->idx != r->avail)
			rig_sleep(5);
	assert_ok(guest_flush(&guest, 0, RIG_WAIT_MS));
	rig_transmit(&rig, &guest, 0, 300, 5, 20);
	assert_int_equal(0, guest_ring_signals(r->err, 0));
}

/* The next received frame that was not given back empty; its number. */
static uint32_t next_received(struct guest_queue *q)
{
	uint32_t slot, len, number = 0;

	do {
		assert_ok(guest_ring_wait(&q->ring, RIG_WAIT_MS));
		assert_int_equal(1, guest_ring_take(&q->ring, &slot, &len));
	} while (len == 0);
	assert_int_equal(FRAME + 12, len);
	assert_true(
		frame_number(guest_at(&guest.memory, q->slot[slot] + 12, FRAME), FRAME, &number));
	assert_true(
		frame_intact(guest_at(&guest.memory, q->slot[slot] + 12, FRAME), FRAME, number));
	return number;
}

static void expect_received(const struct row *row)
{
	struct guest_queue *q = &guest.queue[RX];
	uint32_t number;

	inject(77);
	if (row->outcome == PASSES)
		assert_int_equal(77, next_received(q));
	else
		rig_sleep(rig_patience(20)); /* while no larger buffer is posted */
	guest_refill(&guest, 0);
	for (uint32_t n = 100; n < 110; n++) {
		inject(n);
		number = next_received(q);
		/* A buffer without room for a frame may count as none: the frame waits then. */
		if (n == 100 && number == 77 && row->outcome == DROPPED)
			number = next_received(q);
		assert_int_equal(n, number);
	}
	assert_int_equal(0, guest_ring_signals(q->ring.err, 0));
}

static int ensure_rig(void **state)
{
	(void)state;
	guest_blank(&guest);
	rig_ensure(&rig, (const char *[]){ NULL });
	return 0;
}

static int close_guest(void **state)
{
	(void)state;
	guest_close(&guest);
	return 0;
}

/* Does the row mean the same on a packed ring? */
static bool in_any_format(const struct row *row)
{
	for (size_t i = 0; i < ARRAY_SIZE(row->edits); i++)
		if (row->edits[i].field == LINK || row->edits[i].field >= T_LINK)
			return false;
	return !(row->features & PACKED);
}

static void end_as_it_must(const struct row *row, uint64_t features)
{
	open_guest(features);
	post_row(row);
	if (row->outcome == BREAKS)
		expect_break(row);
	else if (row->ring == TX)
		expect_transmitted(row);
	else
		expect_received(row);
	guest_close(&guest);
	rig_serves(&rig);
}

static void row_ends_as_it_must(void **state)
{
	const struct row *row = *state;

	end_as_it_must(row, row->features);
}

static void packed_row_ends_as_it_must(void **state)
{
	const struct row *row = *state;

	end_as_it_must(row, row->features | PACKED);
}

/* A chain of more pieces than one writev takes is well formed, and dropped. */
static void chain_of_thousands_is_dropped(void **state)
{
	struct guest_queue *q = &guest.queue[TX];
	struct guest_ring *r = &q->ring;
	struct guest_piece p;
	struct vring_desc *table;

	(void)state;
	open_guest(INDIRECT);
	table = guest_at(&guest.memory, TABLE, 2000 * 16);
	for (uint16_t i = 0; i < 2000; i++)
		table[i] = (struct vring_desc){ .addr = q->slot[0] + i,
						.len = 1,
						.flags = i < 1999 ? NEXT : 0,
						.next = (uint16_t)(i + 1) };
	p = (struct guest_piece){ TABLE, 2000 * 16, false };
	guest_split_raw(r).desc[r->first_free].flags = 0;
	uint16_t head = r->first_free;
	assert_ok(guest_ring_post(r, &p, 1, false, 0));
	guest_split_raw(r).desc[head].flags = POINTS;
	q->busy[0] = true;
	guest_ring_kick(r);
	/* Dropped, or the ring broken where the device bounds its tables; nothing is sent. */
	rig.wire.timeout_ms = 50;
	assert_int_equal(-ETIMEDOUT, wire_recv(&rig.wire, NULL, received, sizeof(received)));
	rig.wire.timeout_ms = WIRE_WAIT_MS;
	if (!guest_ring_signals(r->err, 0)) {
		assert_ok(guest_flush(&guest, 0, RIG_WAIT_MS));
		rig_transmit(&rig, &guest, 0, 300, 5, 20);
	}
	guest_close(&guest);
	rig_serves(&rig);
}

static void storm_of_kicks_costs_only_the_kicker(void **state)
{
	(void)state;
	open_guest(0);
	for (int i = 0; i < 100000; i++) {
		fd_signal(guest.queue[TX].ring.kick);
		fd_signal(guest.queue[RX].ring.kick);
	}
	guest_refill(&guest, 0);
	rig_exchange(&rig, &guest, 0);
	guest_close(&guest);
	rig_serves(&rig);
}

/* The file under running rings becomes empty: they break, with a message; nothing else does. */
static void vanished_memory_breaks_its_rings(void **state)
{
	(void)state;
	rig_connect(&rig, &guest.peer);
	assert_ok(guest_open(&guest, &(struct guest_options){ .ring_size = SIZE,
							      .regions = 1,
							      .backing = GUEST_UNSEALED }));
	rig_exchange(&rig, &guest, 0);
	assert_ok(ftruncate(guest.memory.region[0].fd, 0));
	fd_signal(guest.queue[TX].ring.kick);
	assert_int_equal(1, guest_ring_signals(guest.queue[TX].ring.err, RIG_WAIT_MS));
	assert_true(program_says(&rig.broker, "front-end: memory of ring 1 vanished", RIG_WAIT_MS));
	assert_ok(peer_sync(&guest.peer));
	guest_close(&guest);
	rig_serves(&rig);
}

static void broker_ends_in_order(void **state)
{
	(void)state;
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest others[] = {
		cmocka_unit_test_setup_teardown(chain_of_thousands_is_dropped, ensure_rig,
						close_guest),
		cmocka_unit_test_setup_teardown(storm_of_kicks_costs_only_the_kicker, ensure_rig,
						close_guest),
		cmocka_unit_test_setup_teardown(vanished_memory_breaks_its_rings, ensure_rig,
						close_guest),
		cmocka_unit_test_setup_teardown(broker_ends_in_order, ensure_rig, close_guest),
	};
	static char names[ARRAY_SIZE(rows)][80];
	struct CMUnitTest tests[2 * ARRAY_SIZE(rows) + ARRAY_SIZE(others)];
	size_t n = 0;
	int rc;

	for (; n < ARRAY_SIZE(rows); n++)
		tests[n] = (struct CMUnitTest){ rows[n].name, row_ends_as_it_must, ensure_rig,
						close_guest, (void *)&rows[n] };
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!in_any_format(&rows[i]))
			continue;
		snprintf(names[i], sizeof(names[i]), "packed: %s", rows[i].name);
		tests[n++] = (struct CMUnitTest){ names[i], packed_row_ends_as_it_must, ensure_rig,
						  close_guest, (void *)&rows[i] };
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		tests[n++] = others[i];
	rc = rig_run("guest", tests, n);
	rig_abandon(&rig);
	return rc;
}
