/* judge: what a policy's text does with a call, arguments known and unknown; what was of use, what
 * was refused. */
#include "seccomp/judge.h"
#include "lib/util.h"
#include "policy/names.h"
#include "policy/parse.h"
#include "tests/unit/seccomp/parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static struct observed_call call(const char *name, uint8_t known, uint64_t arg0, uint64_t arg1)
{
	return (struct observed_call){ .role = "role",
				       .nr = policy_syscall_number(POLICY_X86_64, name),
				       .known = known,
				       .args = { arg0, arg1 },
				       .tid = 7,
				       .count = 1 };
}

#define BOTH 3

static void test_decides(void **state)
{
	static const struct {
		const char *policy, *name;
		uint8_t known;
		uint64_t arg0, arg1;
		enum judge_verdict verdict;
	} rows[] = {
		{ "read: 1", "read", 0, 0, 0, JUDGE_PASSES },
		{ "read: 1", "write", 0, 0, 0, JUDGE_NO_RULE },
		{ "read: arg0 == 3", "read", 1, 3, 0, JUDGE_PASSES },
		{ "read: arg0 == 3", "read", 1, 4, 0, JUDGE_ARGUMENTS },
		{ "read: arg0 == 3", "read", 2, 0, 3, JUDGE_UNKNOWN },
		{ "read: arg0 != 3", "read", 1, 4, 0, JUDGE_PASSES },
		{ "read: arg0 != 3", "read", 1, 3, 0, JUDGE_ARGUMENTS },
		{ "read: arg0 < 3", "read", 1, 2, 0, JUDGE_PASSES },
		{ "read: arg0 < 3", "read", 1, 3, 0, JUDGE_ARGUMENTS },
		{ "read: arg0 <= 3", "read", 1, 3, 0, JUDGE_PASSES },
		{ "read: arg0 <= 3", "read", 1, 4, 0, JUDGE_ARGUMENTS },
		{ "read: arg0 > 3", "read", 1, 3, 0, JUDGE_ARGUMENTS },
		{ "read: arg0 >= 3", "read", 1, 3, 0, JUDGE_PASSES },
		{ "read: arg0 > 0xffffffff", "read", 1, 0x100000000, 0, JUDGE_PASSES },
		{ "read: arg0 == -1", "read", 1, 0xffffffff, 0, JUDGE_ARGUMENTS },
		{ "read: arg0 & 6", "read", 1, 4, 0, JUDGE_PASSES },
		{ "read: arg0 & 6", "read", 1, 9, 0, JUDGE_ARGUMENTS },
		{ "read: arg0 in 6", "read", 1, 4, 0, JUDGE_PASSES },
		{ "read: arg0 in 6", "read", 1, 5, 0, JUDGE_ARGUMENTS },
		{ "read: arg0 in 6", "read", 1, 0x100000002, 0, JUDGE_ARGUMENTS },
		{ "read: arg0 == 1 && arg1 == 2", "read", BOTH, 1, 2, JUDGE_PASSES },
		{ "read: arg0 == 1 && arg1 == 2", "read", BOTH, 1, 3, JUDGE_ARGUMENTS },
		{ "read: arg0 == 1 && arg1 == 2", "read", 1, 1, 0, JUDGE_UNKNOWN },
		{ "read: arg0 == 1 && arg1 == 2", "read", 1, 2, 0, JUDGE_ARGUMENTS },
		{ "read: arg0 == 1 || arg1 == 2", "read", 1, 1, 0, JUDGE_PASSES },
		{ "read: arg0 == 1 || arg1 == 2", "read", 1, 2, 0, JUDGE_UNKNOWN },
		{ "read: return EPERM", "read", 0, 0, 0, JUDGE_PASSES },
		{ "read: kill", "read", 0, 0, 0, JUDGE_BY_RULE },
		{ "read: trap", "read", 0, 0, 0, JUDGE_BY_RULE },
		{ "read: log", "read", 0, 0, 0, JUDGE_PASSES },
		{ "read: { arg0 == 1; kill, allow }", "read", 1, 1, 0, JUDGE_BY_RULE },
		{ "read: { arg0 == 1; kill, allow }", "read", 1, 2, 0, JUDGE_PASSES },
		{ "read: { arg0 == 1; kill, allow }", "read", 0, 0, 0, JUDGE_UNKNOWN },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct policy *policy = parse(rows[i].policy, POLICY_X86_64);
		struct observed_call one =
			call(rows[i].name, rows[i].known, rows[i].arg0, rows[i].arg1);

		print_message("# %s\n", rows[i].policy);
		assert_int_equal(judge_decide(policy, &one).verdict, rows[i].verdict);
		policy_free(policy);
	}
}

static void test_foreign_calls_are_refused(void **state)
{
	struct policy *policy = parse("read: 1", POLICY_X86_64);
	struct observed_call one = call("read", 0, 0, 0);

	(void)state;
	one.foreign = true;
	assert_int_equal(judge_decide(policy, &one).verdict, JUDGE_FOREIGN);
	policy_free(policy);
}

static void test_asks_for_what_matters(void **state)
{
	struct policy *policy =
		parse("read: arg2 == 8\nwrite: arg0 == 1 || arg1 == 2\nclose: 1\nfcntl: 1",
		      POLICY_X86_64);
	uint8_t wanted[TRACE_NUMBERS] = {};

	(void)state;
	judge_wanted(policy, wanted);
	assert_int_equal(wanted[policy_syscall_number(POLICY_X86_64, "read")], 1 << 2);
	assert_int_equal(wanted[policy_syscall_number(POLICY_X86_64, "write")], 1 << 0 | 1 << 1);
	assert_int_equal(wanted[policy_syscall_number(POLICY_X86_64, "close")], 0);
	/* Allowed with any argument: none matters. Without a rule: those that a rule would be
	 * about. */
	assert_int_equal(wanted[policy_syscall_number(POLICY_X86_64, "fcntl")], 0);
	assert_int_equal(wanted[policy_syscall_number(POLICY_X86_64, "ioctl")], 1 << 1);
	policy_free(policy);
}

static void test_counts_use_and_refusals(void **state)
{
	struct policy *policy =
		parse("write: arg0 == 1 || arg0 == 2\nread: 1\nclose: 1", POLICY_X86_64);
	struct observed_call calls[] = {
		call("read", 0, 0, 0),	call("write", 1, 1, 0), call("write", 1, 1, 0),
		call("write", 1, 9, 0), call("write", 1, 9, 0), call("getpid", 0, 0, 0),
	};
	struct observed seen = { .calls = calls, .count = ARRAY_SIZE(calls) };
	bool take[ARRAY_SIZE(calls)] = { true, true, true, true, true, false };
	struct judge judge;

	(void)state;
	calls[0].count = 10;
	calls[2].tid = calls[4].tid = 8;
	assert_int_equal(judge_open(policy, &seen, take, &judge), 0);
	assert_int_equal(judge.calls, 14);
	assert_int_equal(judge.threads, 2);
	/* By place: two alternatives of write, then read, then close. */
	assert_int_equal(judge.uses_count, 4);
	assert_int_equal(judge.uses[0].count, 2);
	assert_int_equal(judge.uses[1].count, 0);
	assert_int_equal(judge.uses[2].count, 10);
	assert_int_equal(judge.uses[3].count, 0);
	assert_string_equal(judge.uses[3].rule->name, "close");
	/* Two threads, one finding. */
	assert_int_equal(judge.findings_count, 1);
	assert_int_equal(judge.findings[0].threads, 2);
	assert_int_equal(judge.findings[0].count, 2);
	assert_int_equal(judge.findings[0].decision.verdict, JUDGE_ARGUMENTS);
	judge_close(&judge);
	policy_free(policy);
}

/* What the kernel refused is a finding, unless that is what the policy's rule answers. */
static void test_believes_the_kernel(void **state)
{
	struct policy *policy = parse("read: 1\nwrite: return EPERM", POLICY_X86_64);
	struct observed_call calls[] = { call("read", 0, 0, 0), call("write", 0, 0, 0),
					 call("close", 0, 0, 0) };
	struct observed seen = { .calls = calls, .count = ARRAY_SIZE(calls) };
	bool take[] = { true, true, true };
	struct judge judge;

	(void)state;
	calls[0].outcome = TRACE_SIGNAL;
	calls[1].outcome = TRACE_ERRNO;
	calls[2].outcome = TRACE_SIGNAL;
	assert_int_equal(judge_open(policy, &seen, take, &judge), 0);
	assert_int_equal(judge.findings_count, 2);
	assert_int_equal(judge.findings[0].decision.verdict, JUDGE_PASSES);
	assert_int_equal(judge.findings[1].decision.verdict, JUDGE_NO_RULE);
	judge_close(&judge);
	policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decides),
		cmocka_unit_test(test_foreign_calls_are_refused),
		cmocka_unit_test(test_asks_for_what_matters),
		cmocka_unit_test(test_counts_use_and_refusals),
		cmocka_unit_test(test_believes_the_kernel),
	};

	return cmocka_run_group_tests_name("judge", tests, NULL, NULL);
}
