/*
 * A ring of the guest's driver in memory of its own, and what a device of a few lines takes from
 * it: chains as they stood in its descriptors, direct or through a table.
 */
#ifndef AIRLOCK_TESTS_DRIVER_H
#define AIRLOCK_TESTS_DRIVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/util.h"
#include "tests/support/guest_ring.h"

static struct guest_memory mem;
static struct guest_ring ring;

static inline void driver_open(const struct guest_ring_format *format, uint16_t size,
			       bool event_idx, unsigned table_max, uint32_t base)
{
	assert_int_equal(0, guest_memory_init(&mem, 1, 1 << 16, GUEST_SEALED));
	assert_int_equal(0,
			 guest_ring_init(&ring, &mem, format, size, event_idx, table_max, false));
	guest_ring_start(&ring, base);
}

static inline int driver_close(void **state)
{
	(void)state;
	guest_ring_free(&ring);
	guest_memory_free(&mem);
	return 0;
}

struct chain {
	uint16_t id;	   /* of a packed ring; a split one's head */
	unsigned n, slots; /* pieces, and descriptors of the ring itself */
	struct guest_piece piece[64];
};

static inline void chain_add(struct chain *c, uint64_t addr, uint32_t len, uint16_t flags)
{
	assert_in_range(c->n, 0, ARRAY_SIZE(c->piece) - 1);
	c->piece[c->n++] = (struct guest_piece){ addr, len, flags & VRING_DESC_F_WRITE };
}

static inline void assert_same(const struct chain *c, const struct guest_piece *p, unsigned n)
{
	assert_int_equal(n, c->n);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(p[i].gpa, c->piece[i].gpa);
		assert_int_equal(p[i].len, c->piece[i].len);
		assert_int_equal(p[i].writable, c->piece[i].writable);
	}
}

static inline void pieces_make(struct guest_piece *p, unsigned n, uint64_t gpa)
{
	for (unsigned i = 0; i < n; i++)
		p[i] = (struct guest_piece){ gpa + i * 100, 10 + i, i > 0 };
}

static inline bool kicked(void)
{
	return guest_ring_signals(ring.kick, 0) > 0;
}

#endif
