/* arena: aligned and zeroed, and an end to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "policy/arena.h"

static void test_pieces(void **state)
{
	struct policy_arena *arena = arena_new();
	unsigned char *before = NULL;

	(void)state;
	assert_non_null(arena);
	for (size_t size = 1; size < 5000; size += 7) {
		unsigned char *piece = arena_alloc(arena, size);

		assert_non_null(piece);
		assert_int_equal((uintptr_t)piece % _Alignof(max_align_t), 0);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(piece[i], 0);
		memset(piece, 0xff, size);
		if (before)
			assert_int_equal(*before, 0xff);
		before = piece;
	}
	arena_free(arena);
}

static void test_limit(void **state)
{
	struct policy_arena *arena = arena_new();
	size_t total = 0;

	(void)state;
	assert_null(arena_alloc(arena, (size_t)POLICY_ARENA_LIMIT + 1));
	assert_null(arena_alloc(arena, SIZE_MAX));
	while (arena_alloc(arena, 1 << 20))
		total += 1 << 20;
	assert_in_range(total, POLICY_ARENA_LIMIT / 2, POLICY_ARENA_LIMIT);
	arena_free(arena);
	arena_free(NULL);
}

static void test_string(void **state)
{
	struct policy_arena *arena = arena_new();

	(void)state;
	assert_string_equal(arena_string(arena, "abcdef", 3), "abc");
	assert_string_equal(arena_string(arena, "", 0), "");
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_pieces),
					    cmocka_unit_test(test_limit),
					    cmocka_unit_test(test_string) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
