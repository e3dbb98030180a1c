/* tally, bucket: counters outlive the device that kept them and never go back; a rate is a rate. */
#include "broker/bucket.h"
#include "broker/tally.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct channel_stats told(uint32_t ring, uint64_t frames, uint64_t breaks)
{
	return (struct channel_stats){ .ring = ring,
				       .state = 3,
				       .counters = { .frames = frames, .breaks = breaks } };
}

static void test_sums_over_connections(void **state)
{
	struct tally tally = { .rings = 4 };
	struct channel_stats stats = told(2, 5, 1);

	(void)state;
	assert_int_equal(tally_note(&tally, &stats), 0);
	assert_int_equal(tally.state[2], 3);
	stats = told(2, 9, 1);
	assert_int_equal(tally_note(&tally, &stats), 0);
	assert_int_equal(tally_sum(&tally, 2).frames, 9);
	tally_close(&tally);
	assert_int_equal(tally_sum(&tally, 2).frames, 9);
	assert_int_equal(tally.state[2], 0);
	stats = told(2, 1, 0); /* the next device counts from 0 */
	assert_int_equal(tally_note(&tally, &stats), 0);
	assert_int_equal(tally_sum(&tally, 2).frames, 10);
	assert_int_equal(tally_sum(&tally, 2).breaks, 1);
	assert_int_equal(tally_sum(&tally, 1).frames, 0);
}

static void test_refuses_what_cannot_be(void **state)
{
	struct tally tally = { .rings = 4 };
	struct channel_stats stats = told(0, 5, 2);

	(void)state;
	assert_int_equal(tally_note(&tally, &stats), 0);
	stats = told(0, 6, 1); /* one of them went back */
	assert_int_equal(tally_note(&tally, &stats), -EPROTO);
	assert_int_equal(tally_sum(&tally, 0).frames, 5);
	stats = told(4, 1, 0);
	assert_int_equal(tally_note(&tally, &stats), -EPROTO);
	stats = told(UINT32_MAX, 1, 0);
	assert_int_equal(tally_note(&tally, &stats), -EPROTO);
}

static void test_sum_cannot_wrap(void **state)
{
	struct tally tally = { .rings = 2 };
	struct channel_stats stats = told(0, UINT64_MAX, 0);

	(void)state;
	assert_int_equal(tally_note(&tally, &stats), 0);
	tally_close(&tally);
	stats = told(0, 2, 0);
	assert_int_equal(tally_note(&tally, &stats), 0);
	assert_true(tally_sum(&tally, 0).frames == UINT64_MAX);
}

static void test_bucket(void **state)
{
	struct bucket bucket;

	(void)state;
	bucket_fill(&bucket, 3, 100, 1000);
	for (int i = 0; i < 3; i++)
		assert_true(bucket_take(&bucket, 1000));
	assert_false(bucket_take(&bucket, 1099));
	assert_int_equal(bucket_wait(&bucket, 1099), 1);
	assert_true(bucket_take(&bucket, 1100));
	assert_false(bucket_take(&bucket, 1199));
	assert_true(bucket_take(&bucket, 1250)); /* the half that is left over counts on */
	assert_true(bucket_take(&bucket, 1300));
	for (int i = 0; i < 3; i++)
		assert_true(bucket_take(&bucket, 1000000)); /* full, and no fuller */
	assert_false(bucket_take(&bucket, 1000000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sums_over_connections),
		cmocka_unit_test(test_refuses_what_cannot_be),
		cmocka_unit_test(test_sum_cannot_wrap),
		cmocka_unit_test(test_bucket),
	};

	return cmocka_run_group_tests_name("tally", tests, NULL, NULL);
}
