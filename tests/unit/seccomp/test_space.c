/* space: the algebra of sets, judged by asking of single calls; runs of numbers; the limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "seccomp/decisions.h"
#include "tests/unit/seccomp/random.h"

static uint32_t only(struct space *space, const struct seccomp_data *data)
{
	uint32_t words[SPACE_WORDS], set = SPACE_ALL;

	memcpy(words, data, sizeof(words));
	for (unsigned i = 0; i < SPACE_WORDS; i++)
		set = space_and(space, set, explore_word(space, i, words[i]));
	return set;
}

static void test_algebra(void **state)
{
	struct space *space = space_new(SPACE_LIMIT);
	uint64_t seed = 1;

	(void)state;
	for (int n = 0; n < 200; n++) {
		uint32_t sets[3], swap;

		for (int i = 0; i < 3; i++)
			sets[i] =
				space_bit(space, random_below(&seed, 16), random_below(&seed, 32));
		sets[0] = space_and(space, sets[0], space_or(space, sets[1], sets[2]));
		sets[1] = space_xor(space, sets[0], sets[2]);
		/* One set, one number, whatever way led there. */
		assert_int_equal(space_and(space, sets[0], sets[1]),
				 space_and(space, sets[1], sets[0]));
		assert_int_equal(space_xor(space, space_xor(space, sets[0], sets[1]), sets[1]),
				 sets[0]);
		swap = space_minus(space, SPACE_ALL, sets[0]);
		assert_int_equal(space_minus(space, SPACE_ALL, swap), sets[0]);
		assert_int_equal(space_or(space, sets[0], swap), SPACE_ALL);
		assert_int_equal(space_and(space, sets[0], swap), SPACE_EMPTY);
		assert_int_equal(space_minus(space, sets[0], sets[1]),
				 space_and(space, sets[0], space_minus(space, SPACE_ALL, sets[1])));
		assert_int_equal(space_xor(space, sets[0], sets[1]),
				 space_minus(space, space_or(space, sets[0], sets[1]),
					     space_and(space, sets[0], sets[1])));
	}
	space_free(space);
}

static void test_pick(void **state)
{
	struct space *space = space_new(SPACE_LIMIT);
	struct seccomp_data data = { .nr = 16,
				     .arch = 0xc000003e,
				     .args = { 5, 0x100000000, ~0ull, 0, 7, 0 } },
			    found;
	struct random_policy random = { .seed = 7 };

	(void)state;
	found = space_pick(space, only(space, &data));
	assert_memory_equal(&found, &data, sizeof(data));
	for (int i = 0; i < 100; i++) {
		uint32_t set;

		random_call(&random, &data, 0xc000003e, random_below(&random.seed, 400));
		set = space_or(space, only(space, &data),
			       space_bit(space, 4 + random_below(&random.seed, 12),
					 random_below(&random.seed, 32)));
		found = space_pick(space, set);
		assert_true(space_has(space, set, &found));
		assert_int_equal(space_and(space, set, only(space, &found)), only(space, &found));
	}
	space_free(space);
}

static void test_run(void **state)
{
	struct space *space = space_new(SPACE_LIMIT);
	uint32_t set = space_or(space, explore_word(space, 0, 5), explore_word(space, 0, 6)), to;

	(void)state;
	set = space_or(space, set,
		       space_and(space, explore_word(space, 0, 7), space_bit(space, 4, 0)));
	assert_int_equal(space_run(space, set, 1, 0, &to), SPACE_EMPTY);
	assert_int_equal(to, 4);
	assert_int_equal(space_run(space, set, 1, 5, &to), SPACE_ALL);
	assert_int_equal(to, 6);
	assert_int_equal(space_run(space, set, 1, 7, &to), space_bit(space, 4, 0));
	assert_int_equal(to, 7);
	assert_int_equal(space_run(space, set, 1, 8, &to), SPACE_EMPTY);
	assert_int_equal(to, UINT32_MAX);
	assert_int_equal(space_run(space, SPACE_ALL, 1, 0, &to), SPACE_ALL);
	assert_int_equal(to, UINT32_MAX);
	space_free(space);
}

/* What has no room says so, and stays so. */
static void test_limit(void **state)
{
	struct space *space = space_new(1u << 12);
	uint32_t sum = SPACE_EMPTY;

	(void)state;
	assert_false(space_exhausted(space));
	/* arg0 == arg1 over 32 bits each: the order of the variables makes that exponential. */
	sum = SPACE_ALL;
	for (unsigned i = 0; i < 32; i++)
		sum = space_minus(space, sum,
				  space_xor(space, space_bit(space, 4, i), space_bit(space, 6, i)));
	assert_true(space_exhausted(space));
	space_free(space);
	space_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_algebra),
					    cmocka_unit_test(test_pick), cmocka_unit_test(test_run),
					    cmocka_unit_test(test_limit) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
