/* record: the policy it writes parses in both dialects and allows what was seen, no more; nothing
 * escapes a comment. */
#include "seccomp/record.h"
#include "lib/util.h"
#include "policy/names.h"
#include "policy/parse.h"
#include "seccomp/judge.h"
#include "tests/unit/seccomp/parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct observed_call call(const char *role, const char *name, uint8_t known, uint64_t arg1,
				 uint64_t count)
{
	struct observed_call one = { .nr = policy_syscall_number(POLICY_X86_64, name),
				     .known = known,
				     .args = { 0, arg1 },
				     .count = count };

	memcpy(one.role, role, strnlen(role, OBSERVED_ROLE));
	return one;
}

static char *record(const char *subject, struct observed_call *calls, size_t count)
{
	struct observed seen = { .calls = calls, .count = count };
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_int_equal(record_write(out, POLICY_X86_64, subject, &seen), 0);
	fclose(out);
	return text;
}

/* The lines that are no comments. */
static void strip_comments(char *text)
{
	char *to = text;

	for (char *line = text, *next; *line; line = next) {
		next = line + strcspn(line, "\n");
		next += *next == '\n';
		if (*line == '#' || *line == '\n')
			continue;
		memmove(to, line, (size_t)(next - line));
		to += next - line;
	}
	*to = '\0';
}

static void test_writes_rules_by_name(void **state)
{
	struct observed_call calls[] = {
		call("b", "write", 0, 0, 3),	  call("a", "ioctl", 2, 0x5413, 1),
		call("b", "ioctl", 2, 0x5401, 2), call("b", "ioctl", 2, 0x5413, 20),
		call("a", "close", 0, 0, 1),
	};
	char *text = record("x", calls, ARRAY_SIZE(calls));

	(void)state;
	assert_non_null(strstr(text, "# 23 calls: b 22, a 1\n"));
	assert_non_null(strstr(text, "# arg1 TCGETS: 2\n# arg1 TIOCGWINSZ: 21\nioctl"));
	strip_comments(text);
	assert_string_equal(text, "close: 1\nioctl: arg1 == 0x5401 || arg1 == 0x5413\nwrite: 1\n");
	free(text);
}

static void test_both_dialects_allow_just_what_was_seen(void **state)
{
	struct observed_call calls[] = { call("a", "fcntl", 2, 3, 1), call("a", "fcntl", 2, 4, 1),
					 call("a", "read", 0, 0, 1) };
	struct observed_call others[] = { call("a", "fcntl", 2, 5, 1),
					  call("a", "write", 0, 0, 1) };
	char *text = record("x", calls, ARRAY_SIZE(calls));

	(void)state;
	for (int d = POLICY_DIALECT_MINIJAIL; d <= POLICY_DIALECT_COMPILER; d++) {
		struct policy *policy = parse_as(text, POLICY_X86_64, (enum policy_dialect)d);

		for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
			assert_int_equal(judge_decide(policy, &calls[i]).verdict, JUDGE_PASSES);
		for (size_t i = 0; i < ARRAY_SIZE(others); i++)
			assert_int_not_equal(judge_decide(policy, &others[i]).verdict,
					     JUDGE_PASSES);
		policy_free(policy);
	}
	free(text);
}

static void test_widens_what_it_must(void **state)
{
	struct observed_call calls[RECORD_ALTERNATIVES + 1];
	char *text;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		calls[i] = call("a", "ioctl", 2, i, 1);
	text = record("x", calls, RECORD_ALTERNATIVES);
	assert_null(strstr(text, "ioctl: 1\n"));
	free(text);
	text = record("x", calls, RECORD_ALTERNATIVES + 1);
	assert_non_null(strstr(text, "allowed with any\nioctl: 1\n"));
	free(text);
	calls[0].known = 0;
	text = record("x", calls, 2);
	assert_non_null(strstr(text, "not all arguments are known: allowed with any\nioctl: 1\n"));
	free(text);
}

static void test_leaves_out_what_was_refused(void **state)
{
	struct observed_call calls[] = { call("a", "read", 0, 0, 1), call("a", "write", 0, 0, 5),
					 call("a", "close", 0, 0, 1) };
	char *text;

	(void)state;
	calls[1].outcome = TRACE_SIGNAL;
	calls[2].foreign = true;
	text = record("x", calls, ARRAY_SIZE(calls));
	assert_non_null(strstr(text, "# NOT ALLOWED HERE, refused by a filter 5 times: write("));
	assert_non_null(strstr(text, "another architecture's entry 1 times: foreign call 3("));
	strip_comments(text);
	assert_string_equal(text, "read: 1\n");
	free(text);
}

/* A thread may call itself anything, and a command may have any argument. */
static void test_nothing_escapes_a_comment(void **state)
{
	static const char *const names[] = { "\nwrite: 1\n", "\\",	 "a\\\n", "\r\n",
					     "x\tb",	     "\xff\xfe", "#" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct observed_call calls[] = { call(names[i], "read", 0, 0, 1),
						 call(names[i], "write", 0, 0, 1) };
		struct policy *policy;
		char *text;

		calls[1].outcome = TRACE_SIGNAL;
		text = record(names[i], calls, ARRAY_SIZE(calls));
		policy = parse_as(text, POLICY_X86_64, POLICY_DIALECT_MINIJAIL);
		policy_free(policy);
		assert_null(strstr(text, "\\\n"));
		strip_comments(text);
		assert_string_equal(text, "read: 1\n");
		free(text);
	}
}

static void test_json(void **state)
{
	struct observed_call calls[] = { call("a\xff", "ioctl", 2, 0x5401, 2),
					 call("b", "write", 0, 0, 3) };
	struct observed seen = { .calls = calls, .count = ARRAY_SIZE(calls), .lost_calls = 4 };
	json_t *json = record_json(POLICY_X86_64, "x", &seen), *first;

	(void)state;
	assert_non_null(json);
	assert_string_equal(json_string_value(json_object_get(json, "schema")),
			    "airlock-policy/record/1");
	assert_true(json_is_false(json_object_get(json, "complete")));
	assert_int_equal(json_array_size(json_object_get(json, "calls")), 2);
	first = json_array_get(json_object_get(json, "calls"), 0);
	assert_string_equal(json_string_value(json_object_get(first, "rule")),
			    "ioctl: arg1 == 0x5401");
	assert_int_equal(json_integer_value(json_object_get(first, "count")), 2);
	assert_non_null(
		strstr(json_string_value(json_object_get(json, "policy")), "INCOMPLETE: 4 calls"));
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_writes_rules_by_name),
		cmocka_unit_test(test_both_dialects_allow_just_what_was_seen),
		cmocka_unit_test(test_widens_what_it_must),
		cmocka_unit_test(test_leaves_out_what_was_refused),
		cmocka_unit_test(test_nothing_escapes_a_comment),
		cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
