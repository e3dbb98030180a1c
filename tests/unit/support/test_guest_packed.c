/*
 * The guest's packed ring driver against a device of thirty lines that follows virtio 1.3, 2.8 and
 * works on the same memory.
 */
#include <errno.h>

#include "tests/unit/support/driver.h"

#define SIZE  7 /* no power of two */
#define AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define USED  (1u << VRING_PACKED_DESC_F_USED)

/* The device's two positions and their wrap counters. */
static struct place {
	unsigned at;
	bool wrap;
} taken, given;

static void step(struct place *p)
{
	if (++p->at == SIZE) {
		p->at = 0;
		p->wrap = !p->wrap;
	}
}

static bool device_pop(struct chain *c)
{
	uint16_t flags = ring.packed[taken.at].flags;

	if (!!(flags & AVAIL) != taken.wrap || !!(flags & USED) == taken.wrap)
		return false;
	for (c->n = c->slots = 0;; step(&taken)) {
		struct vring_packed_desc d = ring.packed[taken.at];

		c->slots++;
		c->id = d.id;
		if (d.flags & VRING_DESC_F_INDIRECT) {
			const struct vring_packed_desc *table = guest_at(&mem, d.addr, d.len);

			while (c->n < d.len / 16)
				chain_add(c, table[c->n].addr, table[c->n].len, table[c->n].flags);
		} else {
			chain_add(c, d.addr, d.len, d.flags);
		}
		if (!(d.flags & VRING_DESC_F_NEXT))
			break;
	}
	step(&taken);
	return true;
}

static void device_push(const struct chain *c, uint32_t len)
{
	struct vring_packed_desc *d = &ring.packed[given.at];

	d->id = c->id;
	d->len = len;
	d->flags = given.wrap ? AVAIL | USED : 0;
	for (unsigned i = 0; i < c->slots; i++)
		step(&given);
}

static void start(bool event_idx, uint32_t base)
{
	driver_open(&guest_packed, SIZE, event_idx, 16, base);
	taken = given = (struct place){ base & 0x7fff, base >> 15 & 1 };
}

/* From every position with either counter: chains of 1..3 pieces and tables, out of order. */
static void chains_survive_any_order(void **state)
{
	(void)state;
	for (uint32_t from = 0; from < 2 * SIZE; from++) {
		uint32_t base = from % SIZE | (from < SIZE ? 0x8000 : 0), cookie, len;

		start(false, base | base << 16);
		for (uint32_t i = 0; i < 1000; i++) {
			struct guest_piece p[3], q[9];
			unsigned n = 1 + i % 3, m = 1 + i % 9;
			struct chain a, b;

			pieces_make(p, n, 0x10000000 + i % 64);
			pieces_make(q, m, 0x10000100 + i % 64);
			assert_int_equal(0, guest_ring_post(&ring, p, n, false, 2 * i));
			assert_false(device_pop(&a)); /* not published */
			assert_int_equal(0, guest_ring_post(&ring, q, m, true, 2 * i + 1));
			guest_ring_kick(&ring);
			assert_true(device_pop(&a));
			assert_true(device_pop(&b));
			assert_same(&a, p, n);
			assert_same(&b, q, m);
			assert_int_equal(0, guest_ring_take(&ring, &cookie, &len));
			device_push(&b, i);
			device_push(&a, i + 1);
			assert_int_equal(1, guest_ring_take(&ring, &cookie, &len));
			assert_int_equal(2 * i + 1, cookie);
			assert_int_equal(i, len);
			assert_int_equal(1, guest_ring_take(&ring, &cookie, &len));
			assert_int_equal(2 * i, cookie);
			assert_int_equal(0, guest_ring_take(&ring, &cookie, &len));
			assert_int_equal(SIZE, ring.free);
		}
		if (from + 1 < 2 * SIZE)
			driver_close(state);
	}
}

static void full_ring_refuses(void **state)
{
	struct guest_piece p[17];
	uint32_t cookie, len;
	struct chain c;

	(void)state;
	start(false, GUEST_PACKED_BASE);
	pieces_make(p, 17, 0x10000000);
	assert_int_equal(-E2BIG, guest_ring_post(&ring, p, 17, true, 0));
	assert_int_equal(0, guest_ring_post(&ring, p, 5, false, 1));
	assert_int_equal(-ENOSPC, guest_ring_post(&ring, p, 3, false, 2));
	assert_int_equal(0, guest_ring_post(&ring, p, 2, false, 3));
	assert_int_equal(-ENOSPC, guest_ring_post(&ring, p, 1, true, 4));
	guest_ring_kick(&ring);
	assert_true(device_pop(&c));
	device_push(&c, 0);
	assert_int_equal(1, guest_ring_take(&ring, &cookie, &len));
	assert_int_equal(0, guest_ring_post(&ring, p, 5, false, 5));
}

static void used_entries_are_not_believed(void **state)
{
	struct guest_piece p[1];
	uint32_t cookie, len;
	struct chain c;

	(void)state;
	start(false, GUEST_PACKED_BASE);
	pieces_make(p, 1, 0x10000000);
	guest_ring_post(&ring, p, 1, false, 1);
	guest_ring_kick(&ring);
	assert_true(device_pop(&c));
	c.id = SIZE;
	device_push(&c, 0);
	assert_int_equal(-EPROTO, guest_ring_take(&ring, &cookie, &len));
	ring.packed[0].id = 3; /* free */
	assert_int_equal(-EPROTO, guest_ring_take(&ring, &cookie, &len));
}

static void events_decide_kicks_across_the_wrap(void **state)
{
	/* the device's flags and position, chains published, kick expected; from position 5 */
	static const struct {
		uint16_t flags, event;
		unsigned publish;
		bool kick;
	} rows[] = {
		{ VRING_PACKED_EVENT_FLAG_DISABLE, 0, 1, false },
		{ VRING_PACKED_EVENT_FLAG_ENABLE, 0, 1, true },
		{ VRING_PACKED_EVENT_FLAG_DESC, 0, 1, true },		/* 0, counter 0: now */
		{ VRING_PACKED_EVENT_FLAG_DESC, 3, 2, false },		/* 3: the one after */
		{ VRING_PACKED_EVENT_FLAG_DESC, 3, 1, true },		/* now */
		{ VRING_PACKED_EVENT_FLAG_DESC, 0x8000 | 5, 1, false }, /* long past */
		{ VRING_PACKED_EVENT_FLAG_DESC, 6, 3, true },		/* 5, 6 and round */
	};
	struct guest_piece p[1];

	(void)state;
	start(true, 0x80058005);
	pieces_make(p, 1, 0x10000000);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint32_t cookie, len;
		struct chain c;

		ring.device_event->flags = rows[i].flags;
		ring.device_event->off_wrap = rows[i].event;
		for (unsigned n = 0; n < rows[i].publish; n++)
			assert_int_equal(0, guest_ring_post(&ring, p, 1, false, 1));
		guest_ring_kick(&ring);
		assert_int_equal(rows[i].kick, kicked());
		while (device_pop(&c))
			device_push(&c, 0);
		while (guest_ring_take(&ring, &cookie, &len) == 1)
			;
	}
}

static void waiting_asks_for_a_call(void **state)
{
	struct guest_piece p[1];
	struct chain c;

	(void)state;
	start(true, GUEST_PACKED_BASE);
	pieces_make(p, 1, 0x10000000);
	guest_ring_post(&ring, p, 1, false, 1);
	guest_ring_kick(&ring);
	assert_int_equal(-ETIMEDOUT, guest_ring_wait(&ring, 1));
	assert_int_equal(0x8000, ring.driver_event->off_wrap); /* position 0, counter 1 */
	assert_int_equal(VRING_PACKED_EVENT_FLAG_DISABLE, ring.driver_event->flags);
	assert_true(device_pop(&c));
	device_push(&c, 0);
	assert_int_equal(0, guest_ring_wait(&ring, 1000)); /* without any call: it was there */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(chains_survive_any_order, driver_close),
		cmocka_unit_test_teardown(full_ring_refuses, driver_close),
		cmocka_unit_test_teardown(used_entries_are_not_believed, driver_close),
		cmocka_unit_test_teardown(events_decide_kicks_across_the_wrap, driver_close),
		cmocka_unit_test_teardown(waiting_asks_for_a_call, driver_close),
	};

	return cmocka_run_group_tests_name("guest_packed", tests, NULL, NULL);
}
