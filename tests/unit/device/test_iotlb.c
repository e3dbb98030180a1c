/*
 * Translations: what of the front-end's messages is taken and what is refused, what an update
 * replaces and an invalidation drops, which one makes room, and what is left over another memory
 * map.
 */
#include "tests/unit/device/stage.h"

#include "device/iotlb.h"
#include "device/ring.h"

#define PAGE IOTLB_PAGE
#define IOVA 0x5000000000ull
#define RO   VU_ACCESS_RO
#define WO   VU_ACCESS_WO
#define RW   VU_ACCESS_RW

static struct iotlb *t;

static int open_empty(void **state)
{
	(void)state;
	memset(&stage, 0, sizeof(stage));
	stage_memory();
	return iotlb_new(NULL, stage.mem, false, &t);
}

static int close_all(void **state)
{
	(void)state;
	iotlb_free(t);
	t = NULL;
	memory_free(stage.mem);
	fd_close_all(stage.files, ARRAY_SIZE(stage.files));
	return 0;
}

static int apply(const struct vu_iotlb *msg)
{
	struct iotlb *next;
	int rc = iotlb_apply(t, msg, stage.mem, false, &next);

	if (rc)
		return rc;
	iotlb_free(t);
	t = next;
	return 0;
}

static int update(uint64_t iova, uint64_t size, uint64_t gpa, uint8_t perm)
{
	return apply(&(struct vu_iotlb){ iova, size, UVA(gpa), perm, VU_IOTLB_UPDATE, { 0 } });
}

static int invalidate(uint64_t iova, uint64_t size)
{
	return apply(&(struct vu_iotlb){ iova, size, 0, 0, VU_IOTLB_INVALIDATE, { 0 } });
}

/* Bytes that follow an address, of at most `want`; 0: it is not known, or not so. */
static uint64_t reach(uint64_t iova, uint64_t want, unsigned int perm, uint64_t gpa)
{
	for (unsigned int hint = 0; hint < 3; hint++) { /* a wrong hint costs time alone */
		unsigned int h = hint;
		uint64_t len = want;
		void *host = iotlb_at(t, iova, &len, perm, &h);

		if (!host)
			return 0;
		assert_ptr_equal(at(gpa), host);
		want = len;
	}
	return want;
}

#define UPDATE(iova_, size_, addr_, perm_)                   \
	{                                                    \
		iova_, size_, addr_, perm_, VU_IOTLB_UPDATE, \
		{                                            \
			0                                    \
		}                                            \
	}
#define TYPE(n)                               \
	{                                     \
		IOVA, PAGE, UVA(GPA_A), 3, n, \
		{                             \
			0                     \
		}                             \
	}
#define INVALIDATE(iova_, size_)                         \
	{                                                \
		iova_, size_, 0, 0, VU_IOTLB_INVALIDATE, \
		{                                        \
			0                                \
		}                                        \
	}

/* clang-format off */
static const struct {
	const char *name;
	struct vu_iotlb msg;
	int rc;
} rows[] = {
	{ "a page", UPDATE(IOVA, PAGE, UVA(GPA_A), RW), 0 },
	{ "a byte", UPDATE(IOVA + 7, 1, UVA(GPA_A) + 3, RO), 0 },
	{ "a whole region", UPDATE(IOVA, REGION, UVA(GPA_A), RW), 0 },
	{ "the first page of all", UPDATE(0, PAGE, UVA(GPA_A), RW), 0 },
	{ "the last page of all", UPDATE(~0ull - PAGE + 1, PAGE, UVA(GPA_A), RW), 0 },
	{ "wraps", UPDATE(~0ull - PAGE + 2, PAGE, UVA(GPA_A), RW), -EINVAL },
	{ "wraps to where it begins", UPDATE(IOVA, ~0ull, UVA(GPA_A), RW), -EINVAL },
	{ "no bytes", UPDATE(IOVA, 0, UVA(GPA_A), RW), -EINVAL },
	{ "no bytes from 0", UPDATE(0, 0, UVA(GPA_A), RW), -EINVAL },
	{ "no permission", UPDATE(IOVA, PAGE, UVA(GPA_A), 0), -EINVAL },
	{ "a permission that is none", UPDATE(IOVA, PAGE, UVA(GPA_A), 4), -EINVAL },
	{ "every permission", UPDATE(IOVA, PAGE, UVA(GPA_A), 0xff), -EINVAL },
	{ "outside of every region", UPDATE(IOVA, PAGE, UVA(GPA_TOP), RW), -EFAULT },
	{ "a guest address", UPDATE(IOVA, PAGE, GPA_A, RW), -EFAULT },
	{ "ends behind its region", UPDATE(IOVA, PAGE + 1, UVA(GPA_TOP) - PAGE, RW), -EFAULT },
	{ "over two regions", UPDATE(IOVA, 2 * PAGE, UVA(GPA_B) - PAGE, RW), -EFAULT },
	{ "its address wraps", UPDATE(IOVA, PAGE, ~0ull - 10, RW), -EFAULT },
	{ "all there is", UPDATE(0, ~0ull, 0, RW), -EFAULT },
	{ "type 0", TYPE(0), -EINVAL },
	{ "a miss", TYPE(VU_IOTLB_MISS), -EINVAL },
	{ "an access failure", TYPE(VU_IOTLB_ACCESS_FAIL), -EINVAL },
	{ "the kernel's batch begins", TYPE(5), -EINVAL },
	{ "the kernel's batch ends", TYPE(6), -EINVAL },
	{ "type 255", TYPE(255), -EINVAL },
	{ "invalidates what is not there", INVALIDATE(IOVA, PAGE), 0 },
	{ "invalidates everything", INVALIDATE(0, ~0ull), 0 },
	{ "invalidates 2^64 bytes", INVALIDATE(0, 0), 0 },
	{ "invalidates nothing", INVALIDATE(IOVA, 0), -EINVAL },
	{ "invalidates a wrap", INVALIDATE(~0ull, 2), -EINVAL },
};
/* clang-format on */

/* What is refused changes nothing: the page that is known stays so, until it is invalidated. */
static void messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bool drops = rows[i].msg.type == VU_IOTLB_INVALIDATE && !rows[i].msg.iova;

		print_message("# %s\n", rows[i].name);
		assert_int_equal(0, invalidate(0, 0));
		assert_int_equal(0, update(IOVA + 16 * REGION, PAGE, GPA_C, RW));
		assert_int_equal(rows[i].rc, apply(&rows[i].msg));
		assert_int_equal(drops ? 0 : PAGE, reach(IOVA + 16 * REGION, REGION, RW, GPA_C));
	}
}

static void permissions(void **state)
{
	static const unsigned int perms[] = { RO, WO, RW };

	(void)state;
	for (size_t given = 0; given < 3; given++)
		for (size_t asked = 0; asked < 3; asked++) {
			bool may = !(perms[asked] & ~perms[given]);

			assert_int_equal(0, update(IOVA, PAGE, GPA_A, (uint8_t)perms[given]));
			assert_int_equal(may ? PAGE : 0, reach(IOVA, PAGE, perms[asked], GPA_A));
		}
}

/* Pages in any order, each leading elsewhere; what follows without a gap is not joined. */
static void pages_in_any_order(void **state)
{
	static const unsigned int order[] = { 5, 0, 9, 3, 7, 1, 8, 2, 6 }; /* 4 is missing */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		assert_int_equal(0, update(IOVA + order[i] * PAGE, PAGE,
					   GPA_B + (20 - order[i]) * PAGE, RW));
	for (unsigned int n = 0; n < 10; n++) {
		uint64_t gpa = GPA_B + (20 - n) * PAGE;

		assert_int_equal(n == 4 ? 0 : PAGE, reach(IOVA + n * PAGE, 2 * PAGE, RO, gpa));
		assert_int_equal(n == 4 ? 0 : 1,
				 reach(IOVA + (n + 1) * PAGE - 1, PAGE, WO, gpa + PAGE - 1));
	}
	assert_int_equal(0, reach(IOVA - 1, 1, RO, GPA_A));
	assert_int_equal(0, reach(IOVA + 10 * PAGE, 1, RO, GPA_A));
}

/* An update takes the place of all that it touches, and so does an invalidation. */
static void overlaps(void **state)
{
	(void)state;
	for (int n = 0; n < 8; n++)
		assert_int_equal(0, update(IOVA + n * PAGE, PAGE, GPA_A + n * PAGE, RW));
	assert_int_equal(8, t->count);
	assert_int_equal(0, update(IOVA + 2 * PAGE + 100, 2 * PAGE, GPA_C, RO));
	assert_int_equal(6, t->count);
	assert_int_equal(0, reach(IOVA + 2 * PAGE, 1, RO, GPA_A));
	assert_int_equal(2 * PAGE, reach(IOVA + 2 * PAGE + 100, REGION, RO, GPA_C));
	assert_int_equal(0, reach(IOVA + 2 * PAGE + 100, 1, WO, GPA_C));
	assert_int_equal(PAGE, reach(IOVA + 5 * PAGE, REGION, RW, GPA_A + 5 * PAGE));
	assert_int_equal(0, invalidate(IOVA + 3 * PAGE, 1)); /* whole entries go */
	assert_int_equal(5, t->count);
	assert_int_equal(0, reach(IOVA + 2 * PAGE + 100, 1, RO, GPA_C));
	assert_int_equal(0, invalidate(IOVA + PAGE - 1, 2));
	assert_int_equal(3, t->count);
	assert_int_equal(0, invalidate(0, ~0ull));
	assert_int_equal(0, t->count);
}

static void the_oldest_makes_room(void **state)
{
	uint64_t gpa = GPA_A;

	(void)state;
	/* written from the top down, so that the oldest is the last in order */
	for (unsigned int n = IOTLB_ENTRIES; n--;)
		assert_int_equal(0, update(IOVA + n * PAGE, 1, gpa, RW));
	assert_int_equal(IOTLB_ENTRIES, t->count);
	assert_int_equal(1, reach(IOVA + (IOTLB_ENTRIES - 1) * PAGE, 1, RW, gpa));
	assert_int_equal(0, update(IOVA + REGION * 16, 1, gpa, RW));
	assert_int_equal(IOTLB_ENTRIES, t->count);
	assert_int_equal(0, reach(IOVA + (IOTLB_ENTRIES - 1) * PAGE, 1, RW, gpa));
	assert_int_equal(1, reach(IOVA + REGION * 16, 1, RW, gpa));
	/* said again, it is young again, and nothing had to go */
	assert_int_equal(0, update(IOVA + (IOTLB_ENTRIES - 2) * PAGE, 1, gpa, RW));
	assert_int_equal(1, reach(IOVA + (IOTLB_ENTRIES - 3) * PAGE, 1, RW, gpa));
	for (unsigned int n = 0; n < 5000; n++)
		assert_int_equal(0, update(n * 2 * PAGE, PAGE, gpa, RW));
	assert_int_equal(IOTLB_ENTRIES, t->count);
	for (unsigned int n = 0; n < 5000; n++)
		assert_int_equal(n < 5000 - IOTLB_ENTRIES ? 0 : PAGE,
				 reach(n * 2 * PAGE, PAGE, RW, gpa));
}

/* What the memory map does not hold any more is unknown; the rest lies where it lies now. */
static void another_memory_map(void **state)
{
	const struct vu_mem_region gone = { GPA_B, REGION, UVA(GPA_B), 0 };
	struct memory *less;
	struct iotlb *next;

	(void)state;
	assert_int_equal(0, update(IOVA, PAGE, GPA_A, RW));
	assert_int_equal(0, update(IOVA + PAGE, PAGE, GPA_B, RW));
	assert_int_equal(0, update(IOVA + 2 * PAGE, PAGE, GPA_C, RW));
	assert_int_equal(0, memory_remove(stage.mem, &gone, &less));
	assert_int_equal(0, iotlb_new(t, less, false, &next));
	iotlb_free(t);
	t = next;
	memory_free(stage.mem);
	stage.mem = less;
	assert_int_equal(2, t->count);
	assert_int_equal(PAGE, reach(IOVA, REGION, RW, GPA_A));
	assert_int_equal(0, reach(IOVA + PAGE, 1, RO, GPA_A));
	assert_int_equal(PAGE, reach(IOVA + 2 * PAGE, REGION, RW, GPA_C));
}

/* With VU_P_GPA_ADDRESSES the message has guest addresses. */
static void by_guest_address(void **state)
{
	const struct vu_iotlb good = UPDATE(IOVA, PAGE, GPA_C, RW),
			      bad = UPDATE(IOVA, PAGE, UVA(GPA_C), RW),
			      across = UPDATE(IOVA, 2 * PAGE, GPA_B - PAGE, RW);
	struct iotlb *next;

	(void)state;
	assert_int_equal(-EFAULT, iotlb_apply(t, &bad, stage.mem, true, &next));
	assert_int_equal(-EFAULT, iotlb_apply(t, &across, stage.mem, true, &next));
	assert_int_equal(0, iotlb_apply(t, &good, stage.mem, true, &next));
	iotlb_free(t);
	t = next;
	assert_int_equal(PAGE, reach(IOVA, REGION, RW, GPA_C));
}

static void without_memory(void **state)
{
	const struct vu_iotlb msg = UPDATE(IOVA, PAGE, UVA(GPA_A), RW);
	struct iotlb *next;

	(void)state;
	assert_int_equal(-EFAULT, iotlb_apply(t, &msg, NULL, false, &next));
	assert_int_equal(-EFAULT, iotlb_apply(t, &msg, NULL, true, &next));
}

/* What a ring says when it wants a translation, and after it was given this one. */
static int64_t asks(struct ring *ring)
{
	int rc = ring_map(ring);

	if (!rc)
		return 0;
	assert_true(ring->miss);
	return (int64_t)ring->miss;
}

static void give(struct ring *ring, uint64_t iova, uint64_t gpa, uint8_t perm)
{
	struct ring_config cfg = ring->cfg;

	assert_int_equal(0, update(iova, PAGE, gpa, perm));
	cfg.iotlb = t;
	ring_move(ring, &cfg, stage.mem);
}

/* Areas and buffers behind translations that come one at a time, in either format. */
static void rings_ask_for_what_they_lack(void **state)
{
	static struct ring ring;
	struct iovec iov[4];

	for (unsigned int packed = 0; packed < 2; packed++) {
		struct chain chain = { .iov = iov, .room = 4 };
		struct ring_config cfg = { .size = 16,
					   .packed = packed,
					   .event_idx = true,
					   .iotlb = t,
					   .iova = { IOVA, IOVA + PAGE, IOVA + 2 * PAGE } };
		struct virtq_desc *desc = at(GPA_A);
		struct virtq_avail *avail = at(GPA_B);

		ring_init(&ring, &cfg, stage.mem);
		assert_int_equal(IOVA | (packed ? RW : RO), asks(&ring));
		give(&ring, IOVA, GPA_A, RW);
		assert_int_equal((IOVA + PAGE) | RO, asks(&ring));
		give(&ring, IOVA + PAGE, GPA_B, RO);
		assert_int_equal((IOVA + 2 * PAGE) | RW, asks(&ring));
		give(&ring, IOVA + 2 * PAGE, GPA_B + PAGE, RW);
		assert_int_equal(0, asks(&ring));

		*desc = (struct virtq_desc){ IOVA + 3 * PAGE, 100, 0, 0 };
		if (packed)
			((struct virtq_packed_desc *)desc)->flags = DESC_F_AVAIL;
		avail->idx = packed ? 0 : 1;
		assert_true(ring_pop(&ring, &chain) < 0);
		assert_int_equal((IOVA + 3 * PAGE) | RO, ring.miss);
		give(&ring, IOVA + 3 * PAGE, GPA_C, RO);
		assert_int_equal(0, asks(&ring));
		assert_int_equal(1, ring_pop(&ring, &chain));
		assert_ptr_equal(at(GPA_C), iov[0].iov_base);
		ring_push(&ring, chain.head, chain.slots, 0);
		ring_publish(&ring);
		assert_true(packed ? ((struct virtq_packed_desc *)desc)->flags & DESC_F_USED
				   : ((struct virtq_used *)at(GPA_B + PAGE))->idx == 1);
		close_all(state);
		open_empty(state);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_empty, close_all)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(messages),
		TEST(permissions),
		TEST(pages_in_any_order),
		TEST(overlaps),
		TEST(the_oldest_makes_room),
		TEST(another_memory_map),
		TEST(by_guest_address),
		TEST(without_memory),
		TEST(rings_ask_for_what_they_lack),
	};

	return cmocka_run_group_tests_name("iotlb", tests, NULL, NULL);
}
