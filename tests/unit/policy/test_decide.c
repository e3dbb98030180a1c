/* decide: every comparison at the edges of what it compares, and who decided. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "policy/decide.h"
#include "policy/parse.h"

static const struct {
	enum policy_comparison comparison;
	uint64_t argument, value;
	bool holds;
} rows[] = {
	{ POLICY_EQ, 5, 5, true },
	{ POLICY_EQ, 0x100000005, 5, false },
	{ POLICY_NE, 5, 5, false },
	{ POLICY_NE, 0x100000005, 5, true },
	{ POLICY_LT, 4, 5, true },
	{ POLICY_LT, 5, 5, false },
	{ POLICY_LT, UINT64_MAX, 5, false },
	{ POLICY_LE, 5, 5, true },
	{ POLICY_LE, 6, 5, false },
	{ POLICY_GT, 5, 5, false },
	{ POLICY_GT, (uint64_t)1 << 63, 5, true },
	{ POLICY_GE, 5, 5, true },
	{ POLICY_GE, 4, 5, false },
	{ POLICY_ANY, 6, 2, true },
	{ POLICY_ANY, 6, 1, false },
	{ POLICY_ANY, UINT64_MAX, 0, false },
	{ POLICY_IN, 6, 7, true },
	{ POLICY_IN, 8, 7, false },
	{ POLICY_IN, 0, 0, true },
	{ POLICY_IN, 0x100000000, 0xffffffff, false },
};

static void test_comparisons(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (uint8_t n = 0; n < 6; n++) {
			const struct policy_atom atom = { .value = rows[i].value,
							  .comparison = rows[i].comparison,
							  .argument = n };
			uint64_t arguments[6] = { 0 };

			arguments[n] = rows[i].argument;
			if (policy_holds(&atom, arguments) != rows[i].holds)
				fail_msg("row %zu, argument %u", i, n);
		}
	}
}

static void test_who(void **state)
{
	static const char text[] =
		"read: arg0 == 1\nread: { arg0 == 2; trap, return EPERM }\nwrite: arg0 == 1\n";
	const struct policy_parse_options options = { .errors = stderr };
	const uint64_t arguments[6] = { 2 };
	const struct policy_filter *filter;
	const struct policy_rule *rule;
	struct policy *policy;

	(void)state;
	assert_int_equal(policy_parse_text("p", text, sizeof(text) - 1, &options, &policy), 0);
	assert_int_equal(policy_decide(policy, 0, arguments, &rule, &filter).verdict, POLICY_TRAP);
	assert_string_equal(rule->name, "read");
	assert_int_equal(filter->place.line, 2);
	assert_int_equal(filter->place.column, 9);
	assert_int_equal(policy_decide(policy, 1, arguments, &rule, &filter).verdict,
			 POLICY_KILL_THREAD);
	assert_string_equal(rule->name, "write");
	assert_null(filter);
	assert_int_equal(policy_decide(policy, 2, arguments, &rule, &filter).verdict,
			 POLICY_KILL_THREAD);
	assert_null(rule);
	policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_comparisons),
					    cmocka_unit_test(test_who) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
