/*
 * The guest's ring driver against a device of twenty lines that follows virtio 1.3, 2.7 to the
 * letter and works on the same memory. What the tests of the real device stand on is shown here.
 */
#include <errno.h>
#include <string.h>

#include "tests/unit/support/driver.h"

#define SIZE 8

static uint16_t seen; /* the device's avail index */

/* The device's half: the next available chain, direct or through a table. */
static bool device_pop(struct chain *c)
{
	struct vring v = guest_split_raw(&ring);
	const struct vring_desc *table = v.desc;
	uint16_t at;

	if (v.avail->idx == seen)
		return false;
	c->id = at = v.avail->ring[seen++ % SIZE];
	if (table[at].flags & VRING_DESC_F_INDIRECT) {
		table = guest_at(&mem, v.desc[at].addr, v.desc[at].len);
		at = 0;
	}
	for (c->n = 0;; at = table[at].next) {
		chain_add(c, table[at].addr, table[at].len, table[at].flags);
		if (!(table[at].flags & VRING_DESC_F_NEXT))
			break;
	}
	return true;
}

static void device_push(uint16_t head, uint32_t len)
{
	struct vring v = guest_split_raw(&ring);

	v.used->ring[v.used->idx % SIZE] = (struct vring_used_elem){ .id = head, .len = len };
	v.used->idx++;
}

static int start(bool event_idx, unsigned table_max, uint16_t base)
{
	driver_open(&guest_split, SIZE, event_idx, table_max, base);
	seen = base;
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return start(false, 0, 0);
}

static int setup_event_idx(void **state)
{
	(void)state;
	return start(true, 0, 65530);
}

static int setup_tables(void **state)
{
	(void)state;
	return start(false, 16, 0);
}

/* Chains of 1..5 pieces, completed out of order, for five times the index space. */
static void chains_survive_any_order(void **state)
{
	struct guest_piece p[5], q[5];
	struct chain a, b;
	uint32_t cookie, len;

	(void)state;
	for (uint32_t i = 0; i < 5 * 65536; i++) {
		unsigned n = 1 + i % 4, m = 1 + i % 3;

		pieces_make(p, n, 0x10000000 + i % 64);
		pieces_make(q, m, 0x10000100 + i % 64);
		assert_int_equal(0, guest_ring_post(&ring, p, n, false, 2 * i));
		assert_int_equal(0, guest_ring_post(&ring, q, m, false, 2 * i + 1));
		guest_ring_kick(&ring);
		assert_true(device_pop(&a));
		assert_true(device_pop(&b));
		assert_false(device_pop(&a));
		assert_same(&a, p, n);
		assert_same(&b, q, m);
		device_push(b.id, i);
		device_push(a.id, i + 1);
		assert_int_equal(1, guest_ring_take(&ring, &cookie, &len));
		assert_int_equal(2 * i + 1, cookie);
		assert_int_equal(i, len);
		assert_int_equal(1, guest_ring_take(&ring, &cookie, &len));
		assert_int_equal(2 * i, cookie);
		assert_int_equal(0, guest_ring_take(&ring, &cookie, &len));
	}
	assert_int_equal(SIZE, ring.free);
}

static void full_ring_refuses(void **state)
{
	struct guest_piece p[5];
	uint32_t cookie, len;
	struct chain c;

	(void)state;
	pieces_make(p, 5, 0x10000000);
	assert_int_equal(0, guest_ring_post(&ring, p, 5, false, 1));
	assert_int_equal(-ENOSPC, guest_ring_post(&ring, p, 4, false, 2));
	assert_int_equal(0, guest_ring_post(&ring, p, 3, false, 3));
	assert_int_equal(-ENOSPC, guest_ring_post(&ring, p, 1, false, 4));
	guest_ring_kick(&ring);
	assert_true(device_pop(&c));
	device_push(c.id, 0);
	assert_int_equal(1, guest_ring_take(&ring, &cookie, &len));
	assert_int_equal(0, guest_ring_post(&ring, p, 5, false, 5));
}

static void used_entries_are_not_believed(void **state)
{
	struct guest_piece p[2];
	uint32_t cookie, len;
	struct chain c;

	(void)state;
	pieces_make(p, 2, 0x10000000);
	guest_ring_post(&ring, p, 2, false, 1);
	guest_ring_kick(&ring);
	assert_true(device_pop(&c));
	device_push(SIZE, 0);
	assert_int_equal(-EPROTO, guest_ring_take(&ring, &cookie, &len));
	guest_split_raw(&ring).used->ring[0].id = (uint32_t)c.id + 1; /* not a head */
	assert_int_equal(-EPROTO, guest_ring_take(&ring, &cookie, &len));
	guest_split_raw(&ring).used->ring[0].id = c.id;
	assert_int_equal(1, guest_ring_take(&ring, &cookie, &len));
	device_push(c.id, 0); /* a second time */
	assert_int_equal(-EPROTO, guest_ring_take(&ring, &cookie, &len));
}

static void tables_hold_more_than_the_ring(void **state)
{
	struct guest_piece p[17];
	uint32_t cookie, len;
	struct chain c;

	(void)state;
	pieces_make(p, 17, 0x10000000);
	assert_int_equal(-E2BIG, guest_ring_post(&ring, p, 17, true, 0));
	for (uint32_t i = 0; i < SIZE; i++)
		assert_int_equal(0, guest_ring_post(&ring, p, 16, true, i));
	assert_int_equal(-ENOSPC, guest_ring_post(&ring, p, 1, true, 9));
	guest_ring_kick(&ring);
	for (uint32_t i = 0; i < SIZE; i++) {
		assert_true(device_pop(&c));
		assert_same(&c, p, 16);
		device_push(c.id, 0);
		assert_int_equal(1, guest_ring_take(&ring, &cookie, &len));
		assert_int_equal(i, cookie);
	}
}

static void flags_silence_kicks(void **state)
{
	struct guest_piece p[1];

	(void)state;
	pieces_make(p, 1, 0x10000000);
	guest_ring_kick(&ring);
	assert_false(kicked()); /* nothing new */
	guest_ring_post(&ring, p, 1, false, 1);
	guest_ring_kick(&ring);
	assert_true(kicked());
	guest_split_raw(&ring).used->flags = VRING_USED_F_NO_NOTIFY;
	guest_ring_post(&ring, p, 1, false, 1);
	guest_ring_kick(&ring);
	assert_false(kicked());
}

static void event_index_decides_kicks_across_the_wrap(void **state)
{
	/* avail_event, descriptors published before and with the kick, kick expected */
	static const struct {
		uint16_t event;
		unsigned publish;
		bool kick;
	} rows[] = {
		{ 65530, 1, true }, { 65530, 1, false }, { 65535, 3, false },
		{ 65535, 1, true }, { 1, 1, false },	 { 1, 1, true },
	};
	struct guest_piece p[1];

	(void)state;
	pieces_make(p, 1, 0x10000000);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vring v = guest_split_raw(&ring);
		uint32_t cookie, len;
		struct chain c;

		memcpy(&v.used->ring[SIZE], &rows[i].event, sizeof(rows[i].event));
		for (unsigned n = 0; n < rows[i].publish; n++)
			assert_int_equal(0, guest_ring_post(&ring, p, 1, false, 1));
		guest_ring_kick(&ring);
		assert_int_equal(rows[i].kick, kicked());
		while (device_pop(&c))
			device_push(c.id, 0);
		while (guest_ring_take(&ring, &cookie, &len) == 1)
			;
	}
}

static void waiting_asks_for_a_call(void **state)
{
	struct guest_piece p[1];
	struct chain c;

	(void)state;
	pieces_make(p, 1, 0x10000000);
	guest_ring_post(&ring, p, 1, false, 1);
	guest_ring_kick(&ring);
	assert_int_equal(-ETIMEDOUT, guest_ring_wait(&ring, 1));
	assert_int_equal((uint16_t)(ring.used - 1), guest_split_raw(&ring).avail->ring[SIZE]);
	assert_true(device_pop(&c));
	device_push(c.id, 0);
	assert_int_equal(0, guest_ring_wait(&ring, 1000)); /* without any call: it was there */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(chains_survive_any_order, setup, driver_close),
		cmocka_unit_test_setup_teardown(full_ring_refuses, setup, driver_close),
		cmocka_unit_test_setup_teardown(used_entries_are_not_believed, setup, driver_close),
		cmocka_unit_test_setup_teardown(tables_hold_more_than_the_ring, setup_tables,
						driver_close),
		cmocka_unit_test_setup_teardown(flags_silence_kicks, setup, driver_close),
		cmocka_unit_test_setup_teardown(event_index_decides_kicks_across_the_wrap,
						setup_event_idx, driver_close),
		cmocka_unit_test_setup_teardown(waiting_asks_for_a_call, setup_event_idx,
						driver_close),
	};

	return cmocka_run_group_tests_name("guest_ring", tests, NULL, NULL);
}
