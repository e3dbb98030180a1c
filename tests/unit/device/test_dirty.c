/* The log of written guest pages: which files and ranges are one, and that no mark leaves it. */
#include "tests/unit/device/stage.h"

#include <fcntl.h>

#include "device/dirty.h"

static void ranges_and_files(void **state)
{
	static const struct {
		uint64_t size, offset;
		char kind; /* m file of 8 KiB, d directory, e eventfd */
		int rc;
	} rows[] = {
		{ 8192, 0, 'm', 0 },
		{ 1, 0, 'm', 0 },
		{ 4096, 4096, 'm', 0 },
		{ 100, 8, 'm', 0 },
		{ 100, 8088, 'm', 0 },
		{ 0, 0, 'm', -EINVAL },
		{ 8193, 0, 'm', -EBADF },
		{ 4096, 4104, 'm', -EBADF },
		{ 8, 8192, 'm', -EBADF },
		{ 100, 4, 'm', 0 },
		{ UINT64_MAX, 0, 'm', -EINVAL },
		{ 4096, UINT64_MAX - 7, 'm', -EBADF },
		{ UINT64_MAX, 8, 'm', -EINVAL },
		{ 4096, 0, 'd', -EBADF },
		{ 4096, 0, 'e', -EBADF },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct vu_log log = { rows[i].size, rows[i].offset };
		struct dirty *dirty = NULL;
		int fd = rows[i].kind == 'm'   ? memory_file(8192)
			 : rows[i].kind == 'd' ? open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
					       : eventfd(0, EFD_CLOEXEC);

		print_message("# row %zu\n", i);
		assert_int_equal(rows[i].rc, dirty_new(&log, fd, &dirty));
		fd_close(&fd);
		if (!rows[i].rc)
			dirty_free(dirty);
	}
}

static void two_at_a_time(void **state)
{
	const struct vu_log log = { 64, 0 };
	struct dirty *one, *two, *three;
	int fd = memory_file(4096);

	(void)state;
	assert_int_equal(0, dirty_new(&log, fd, &one));
	assert_int_equal(0, dirty_new(&log, fd, &two));
	assert_int_equal(-EBUSY, dirty_new(&log, fd, &three));
	dirty_free(one);
	assert_int_equal(0, dirty_new(&log, fd, &three));
	dirty_free(two);
	dirty_free(three);
	dirty_free(NULL);
	fd_close(&fd);
}

/* A log of 20 bytes at offset 4096 + 8: 160 pages, and nothing beside them. */
static void marks(void **state)
{
	static const struct {
		uint64_t gpa, len;
		int first, pages;
	} rows[] = {
		{ 0, 1, 0, 1 },
		{ 4095, 1, 0, 1 },
		{ 4095, 2, 0, 2 },
		{ 4096, 4096, 1, 1 },
		{ 5000, 65536, 1, 17 },
		{ 63 * 4096, 8192, 63, 2 },
		{ 127 * 4096, 1, 127, 1 },
		{ 127 * 4096, 1 << 20, 127, 33 },
		{ 159 * 4096, 1, 159, 1 },
		{ 160 * 4096, 1, 0, 0 },
		{ 0, 0, 0, 0 },
		{ UINT64_MAX, 1, 0, 0 },
		{ UINT64_MAX, 2, 0, 0 },
		{ UINT64_MAX - 4096, 1 << 20, 0, 0 },
		{ 0, 1ull << 40, 0, 160 },
	};
	const struct vu_log log = { 20, 4096 + 8 };
	int fd = memory_file(8192);
	uint8_t *file = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct dirty *dirty;

	(void)state;
	assert_int_equal(0, dirty_new(&log, fd, &dirty));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		print_message("# row %zu\n", i);
		memset(file, 0, 8192);
		dirty_mark(dirty, rows[i].gpa, rows[i].len);
		for (int bit = 0; bit < 8192 * 8; bit++) {
			int page = bit - (4096 + 8) * 8;
			bool wanted = page >= rows[i].first && page < rows[i].first + rows[i].pages;

			if (wanted != (file[bit / 8] >> bit % 8 & 1))
				fail();
		}
	}
	assert_true(dirty_covers(dirty, (uintptr_t)dirty->bits));
	assert_true(dirty_covers(dirty, (uintptr_t)dirty->bits + 19));
	assert_false(dirty_covers(dirty, (uintptr_t)dirty->bits + 20));
	assert_false(dirty_covers(dirty, (uintptr_t)dirty->base - 1));
	assert_false(dirty_covers(NULL, 0));
	dirty_free(dirty);
	munmap(file, 8192);
	fd_close(&fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_and_files),
		cmocka_unit_test(two_at_a_time),
		cmocka_unit_test(marks),
	};

	return cmocka_run_group_tests_name("dirty", tests, NULL, NULL);
}
