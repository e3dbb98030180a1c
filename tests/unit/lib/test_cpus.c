/* Lists of CPUs, as they are written and as they are mistaken. One CPU, the first that may be used,
 * is all that the test counts on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sched.h>

#include "lib/cpus.h"
#include "lib/util.h"

static const struct {
	const char *text;
	int n; /* how many, or -errno */
	int bad;
} rows[] = {
	{ "0", 1, -1 },		 { "0,0", 2, -1 },
	{ "0-0", 1, -1 },	 { "0,0-0,0", 3, -1 },
	{ "0,0,0,0", 4, -1 },	 { "0,0,0,0,0", -EINVAL, -1 },
	{ "", -EINVAL, -1 },	 { ",", -EINVAL, -1 },
	{ "0,", -EINVAL, -1 },	 { ",0", -EINVAL, -1 },
	{ "0-", -EINVAL, -1 },	 { "-0", -EINVAL, -1 },
	{ "1-0", -EINVAL, -1 },	 { "0 0", -EINVAL, -1 },
	{ "0x", -EINVAL, -1 },	 { "+0", -EINVAL, -1 },
	{ "all", -EINVAL, -1 },	 { "1", -EINVAL, 1 },
	{ "0-1", -EINVAL, 1 },	 { "1023", -EINVAL, 1023 },
	{ "1024", -EINVAL, -1 }, { "99999999999999999999", -EINVAL, -1 },
};

static void lists(void **state)
{
	uint16_t cpus[4];
	int bad;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		print_message("# '%s'\n", rows[i].text);
		assert_int_equal(rows[i].n, cpus_parse(rows[i].text, cpus, 4, &bad));
		assert_int_equal(rows[i].bad, bad);
		for (int c = 0; c < rows[i].n; c++)
			assert_int_equal(0, cpus[c]);
	}
}

/* Runs on CPU 0 alone. */
static int set_up(void **state)
{
	cpu_set_t set;

	(void)state;
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(lists) };

	return cmocka_run_group_tests_name("cpus", tests, set_up, NULL);
}
