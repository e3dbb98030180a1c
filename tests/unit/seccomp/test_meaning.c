/* meaning, decisions, lint: a text's sets hold just the calls that policy_decide() puts there; the
 * kernel's reading of 32 bits; warnings. */
#include <errno.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "policy/decide.h"
#include "policy/names.h"
#include "seccomp/compile.h"
#include "seccomp/decisions.h"
#include "seccomp/lint.h"
#include "tests/unit/seccomp/parse.h"
#include "tests/unit/seccomp/random.h"

static void test_random(void **state)
{
	static struct random_policy random;

	(void)state;
	for (uint64_t seed = 0; seed < 200; seed++) {
		enum policy_arch arch = (enum policy_arch)(seed % POLICY_ARCHES);
		struct space *space = space_new(SPACE_LIMIT);
		struct decisions decided;
		struct policy *policy;

		random_policy(&random, seed, 1 + (unsigned)seed % 8);
		policy = parse(random.text, arch);
		assert_int_equal(explore_policy(space, policy, &decided), 0);
		for (int i = 0; i < 500; i++) {
			struct seccomp_data data;
			uint64_t args[6];
			uint32_t expected;

			random_call(&random, &data, compile_arch(arch),
				    policy->rules && i % 8 ? policy->rules->number
							   : random_below(&random.seed, 500));
			memcpy(args, data.args, sizeof(args));
			expected = compile_action(
				policy_decide(policy, (uint32_t)data.nr, args, NULL, NULL));
			for (size_t j = 0; j < decided.count; j++)
				assert_int_equal(space_has(space, decided.at[j].set, &data),
						 decided.at[j].decision == expected);
		}
		space_free(space);
		policy_free(policy);
	}
}

static void test_archs(void **state)
{
	(void)state;
	for (int arch = 0; arch < POLICY_ARCHES; arch++)
		assert_int_equal(explore_arch((enum policy_arch)arch),
				 compile_arch((enum policy_arch)arch));
}

static const struct {
	uint32_t returned, decision;
} readings[] = {
	{ SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW },
	{ SECCOMP_RET_ALLOW | 5, SECCOMP_RET_ALLOW },
	{ SECCOMP_RET_KILL_THREAD | 5, SECCOMP_RET_KILL_THREAD },
	{ SECCOMP_RET_KILL_PROCESS | 5, SECCOMP_RET_KILL_PROCESS },
	{ SECCOMP_RET_LOG | 5, SECCOMP_RET_LOG },
	{ SECCOMP_RET_ERRNO | 5, SECCOMP_RET_ERRNO | 5 },
	{ SECCOMP_RET_ERRNO | 4096, SECCOMP_RET_ERRNO | 4095 },
	{ SECCOMP_RET_ERRNO | 0xffff, SECCOMP_RET_ERRNO | 4095 },
	{ SECCOMP_RET_TRAP | 5, SECCOMP_RET_TRAP | 5 },
	{ SECCOMP_RET_TRACE | 5, SECCOMP_RET_TRACE | 5 },
	{ 0x12340000, SECCOMP_RET_KILL_PROCESS },
	{ 0xffffffff, SECCOMP_RET_KILL_PROCESS },
	{ DECISION_FOREIGN, SECCOMP_RET_KILL_PROCESS },
};

static void test_readings(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(readings) / sizeof(readings[0]); i++)
		assert_int_equal(decisions_read(readings[i].returned), readings[i].decision);
	assert_true(decisions_equal(DECISION_FOREIGN, SECCOMP_RET_KILL_THREAD));
	assert_true(decisions_equal(SECCOMP_RET_KILL_PROCESS, DECISION_FOREIGN));
	assert_false(decisions_equal(DECISION_FOREIGN, SECCOMP_RET_TRAP));
	assert_false(decisions_equal(SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD));
}

/* More decisions than a table holds are too many, and no proof. */
static void test_too_many(void **state)
{
	struct space *space = space_new(SPACE_LIMIT);
	struct decisions decided;
	struct policy *policy;
	char text[32768];
	size_t n = 0;

	(void)state;
	n += (size_t)snprintf(text, sizeof(text), "read: { ");
	for (unsigned i = 0; i < DECISIONS_MAX + 8; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "arg0 == %u; return %u, ", i, i);
	snprintf(text + n, sizeof(text) - n, "allow }");
	policy = parse(text, POLICY_X86_64);
	assert_int_equal(explore_policy(space, policy, &decided), -E2BIG);
	space_free(space);
	policy_free(policy);
}

/* ---- warnings
 * ---------------------------------------------------------------------------------------------------------------
 */

static const struct {
	const char *text;
	uint32_t column; /* 0: no warning */
	const char *message;
} lints[] = {
	{ "read: arg0 == 1", 0, NULL },
	{ "read: arg0 == 1 || arg0 == 2", 0, NULL },
	{ "read: { arg0 == 1; trap, arg0 < 5 }", 0, NULL },
	{ "read: arg0 & 0", 7, "never holds" },
	{ "read: arg0 < 0", 7, "never holds" },
	{ "read: arg0 >= 0", 7, "always holds" },
	{ "read: arg0 in -1", 7, "always holds" },
	{ "read: arg0 == -1", 7, "low 32 bits alone" },
	{ "read: arg0 == 1 && arg0 == 2", 7, "never hold together" },
	{ "read: arg0 == 1 || arg0 == 1", 20, "never reached" },
	{ "read: arg0 < 5 || arg0 == 3 && arg1 == 1", 19, "never reached" },
	{ "read: { arg0 < 5; trap, arg0 == 3 }", 25, "never reached" },
	{ "read: { arg0 < 5, arg0 >= 5; trap, return 1 }", 36, "match always" },
};

struct expected {
	size_t row;
	unsigned count;
};

static void on_lint(void *context, struct policy_place place, const char *message)
{
	struct expected *expected = context;

	if (place.column != lints[expected->row].column ||
	    !strstr(message, lints[expected->row].message))
		fail_msg("%s: %u: %s", lints[expected->row].text, place.column, message);
	expected->count++;
}

static void test_lint(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lints) / sizeof(lints[0]); i++) {
		struct policy *policy = parse(lints[i].text, POLICY_X86_64);
		struct space *space = space_new(SPACE_LIMIT);
		struct expected expected = { i, 0 };

		assert_int_equal(lint_policy(space, policy, on_lint, &expected), 0);
		assert_int_equal(expected.count, lints[i].column ? 1 : 0);
		space_free(space);
		policy_free(policy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_random),
					    cmocka_unit_test(test_archs),
					    cmocka_unit_test(test_readings),
					    cmocka_unit_test(test_too_many),
					    cmocka_unit_test(test_lint) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
