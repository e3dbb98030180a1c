/*
 * The table of guest memory: what it refuses, what it keeps in order, and the fewest regions that
 * say the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "frontend/slots.h"
#include "lib/util.h"

#define PAGE 4096

static struct slots *slots;
static int files[2];

static int setup(void **state)
{
	(void)state;
	slots = calloc(1, sizeof(*slots));
	for (int i = 0; i < 2; i++) {
		files[i] = memfd_create("memory", MFD_CLOEXEC);
		assert_return_code(ftruncate(files[i], 64 * PAGE), errno);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	slots_clear(slots);
	free(slots);
	close(files[0]);
	close(files[1]);
	return 0;
}

/* Pages of a file at pages of the guest. */
static int add(uint64_t address, uint64_t pages, int file, uint64_t offset)
{
	int fd = dup(files[file]);
	int rc = slots_add(slots, address * PAGE, pages * PAGE, fd, offset * PAGE);

	if (rc)
		close(fd);
	return rc;
}

static void neighbours_become_one(void **state)
{
	static const struct {
		struct {
			uint64_t address, pages;
			int file;
			uint64_t offset;
		} add[4];
		unsigned int n, merged;
	} rows[] = {
		{ { { 0, 4, 0, 0 } }, 1, 1 },
		{ { { 0, 4, 0, 0 }, { 4, 4, 0, 4 } }, 2, 1 },
		{ { { 4, 4, 0, 4 }, { 0, 4, 0, 0 } }, 2, 1 }, /* in any order */
		{ { { 0, 4, 0, 0 }, { 5, 4, 0, 5 } }, 2, 2 }, /* a hole */
		{ { { 0, 4, 0, 0 }, { 4, 4, 0, 8 } }, 2, 2 }, /* elsewhere in the file */
		{ { { 0, 4, 0, 0 }, { 4, 4, 1, 4 } }, 2, 2 }, /* another file */
		{ { { 0, 4, 0, 0 }, { 4, 4, 0, 0 } }, 2, 2 }, /* the same pages twice */
		{ { { 0, 2, 0, 0 }, { 4, 2, 0, 4 }, { 2, 2, 0, 2 }, { 9, 1, 0, 9 } }, 4, 2 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct slot out[4];

		for (unsigned int k = 0; k < rows[i].n; k++)
			assert_int_equal(0, add(rows[i].add[k].address, rows[i].add[k].pages,
						rows[i].add[k].file, rows[i].add[k].offset));
		assert_int_equal(rows[i].merged, slots_merge(slots, out, 4));
		assert_int_equal(-E2BIG, slots_merge(slots, out, rows[i].merged - 1));
		for (unsigned int k = 1; k < rows[i].merged; k++)
			assert_true(out[k].address >= out[k - 1].address + out[k - 1].size);
		teardown(state);
		setup(state);
	}
}

static void what_cannot_be_memory(void **state)
{
	int pipes[2];

	(void)state;
	assert_int_equal(0, add(8, 4, 0, 0));
	assert_int_equal(-EINVAL, add(0, 0, 0, 0));
	assert_int_equal(-EINVAL, slots_add(slots, UINT64_MAX - 1, PAGE, files[0], 0));
	assert_int_equal(-EINVAL, slots_add(slots, 0, UINT64_MAX, files[0], 0));
	assert_int_equal(-EINVAL, slots_add(slots, UINT64_C(1) << 52, PAGE, files[0], 0));
	assert_int_equal(-EEXIST, add(11, 1, 0, 0));
	assert_int_equal(-EEXIST, add(0, 64, 0, 0));
	assert_int_equal(-EBADF, add(20, 65, 0, 0));
	assert_int_equal(-EBADF, add(20, 1, 0, 64));
	assert_int_equal(-EBADF, slots_add(slots, 20 * PAGE, PAGE, files[0], UINT64_MAX));
	assert_int_equal(-EBADF, slots_add(slots, 20 * PAGE, PAGE, -1, 0));
	assert_return_code(pipe(pipes), errno);
	assert_int_equal(-EBADF, slots_add(slots, 20 * PAGE, PAGE, pipes[0], 0));
	close(pipes[0]);
	close(pipes[1]);
	assert_int_equal(1, slots->count);
	assert_int_equal(0, add(12, 1, 0, 0)); /* touching is not overlapping */
	assert_int_equal(0, add(7, 1, 0, 0));
}

static void removal_is_exact(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(0, add(0, 4, 0, 0));
	fd = slots->slot[0].fd;
	assert_int_equal(-ENOENT, slots_remove(slots, 0, 2 * PAGE));
	assert_int_equal(-ENOENT, slots_remove(slots, PAGE, 4 * PAGE));
	assert_int_equal(0, slots_remove(slots, 0, 4 * PAGE));
	assert_int_equal(-1, fcntl(fd, F_GETFD)); /* its descriptor went with it */
	assert_int_equal(-ENOENT, slots_remove(slots, 0, 4 * PAGE));
}

static void there_is_an_end(void **state)
{
	(void)state;
	/* One descriptor for all: the test may not have a thousand. */
	for (unsigned int i = 0; i < SLOTS_MAX; i++)
		assert_int_equal(0, slots_add(slots, 2ull * i * PAGE, PAGE, files[0], 0));
	assert_int_equal(-ENOSPC, slots_add(slots, 1 * PAGE, PAGE, files[0], 0));
	slots->count = 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(neighbours_become_one),
		TEST(what_cannot_be_memory),
		TEST(removal_is_exact),
		TEST(there_is_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
