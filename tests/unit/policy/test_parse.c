/* parse: what is legal and what it means, by dialect; every rejection with its place and message;
 * all of a file's errors in one run; included files; nothing hostile hangs or crashes it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "policy/decide.h"
#include "policy/parse.h"

enum {
	U = POLICY_DIALECT_UNSAID,
	M = POLICY_DIALECT_MINIJAIL,
	C = POLICY_DIALECT_COMPILER
};

/* Parses; errors go to *ERRORS, to be freed. */
static int parse(const char *text, size_t size, int dialect, bool denylist, struct policy **policy,
		 char **errors)
{
	struct policy_parse_options options = { .dialect = (enum policy_dialect)dialect,
						.denylist = denylist };
	size_t length;
	int err;

	options.errors = open_memstream(errors, &length);
	assert_non_null(options.errors);
	err = policy_parse_text("p", text, size, &options, policy);
	fclose(options.errors);
	return err;
}

/* ---- rejections: where, and what the message says
 * ---------------------------------------------------------------------- */

static const struct {
	const char *text;
	int dialect;
	unsigned line, column;
	const char *message;
} wrong[] = {
	{ "read", U, 1, 5, "':' should follow" },
	{ "read 1", U, 1, 6, "':' should follow" },
	{ "read:", U, 1, 6, "empty rule" },
	{ "read: ", U, 1, 7, "empty rule" },
	{ ": 1", U, 1, 1, "before ':'" },
	{ "reed: 1", U, 1, 1, "unknown system call 'reed'" },
	{ "read@group: 1", C, 1, 1, "group" },
	{ "0: 1", U, 1, 1, "by name, not by number '0'" },
	{ "@foo bar", U, 1, 1, "unknown word '@foo'" },
	{ "@include", U, 1, 9, "a path should follow" },
	{ "@include x", U, 1, 10, "begins with '/' or './'" },
	{ "@include ../x", U, 1, 10, "begins with '/' or './'" },
	{ "@include ./nonexistent", U, 1, 10, "No such file" },
	{ "@include /dev/null", U, 1, 10, "no regular file" },
	{ "@include /etc", U, 1, 10, "directory" },
	{ "@include /dev/null x", U, 1, 20, "nothing may follow" },
	{ "@frequency", U, 1, 11, "a path should follow" },
	{ "@frequency y", U, 1, 12, "begins with" },
	{ "read: arg0 == 1 &&", U, 1, 19, "arg0 to arg5, not the end of the line" },
	{ "read: arg0 == 1 ||", U, 1, 19, "arg0 to arg5" },
	{ "read: && arg0 == 1", U, 1, 7, "an action or a comparison" },
	{ "read: arg0 == 1 || || arg1 == 2", U, 1, 20, "arg0 to arg5, not '||'" },
	{ "read: arg0", U, 1, 11, "a comparison" },
	{ "read: arg0 ==", U, 1, 14, "a value" },
	{ "read: == 1", U, 1, 7, "an action or a comparison" },
	{ "read: arg6 == 1", U, 1, 7, "no argument 'arg6'" },
	{ "read: arg == 1", U, 1, 7, "no argument 'arg'" },
	{ "read: arg-1 == 1", U, 1, 7, "no argument 'arg-1'" },
	{ "read: arg00 == 1", U, 1, 7, "no argument 'arg00'" },
	{ "read: arg0 = 1", U, 1, 12, "'==' is" },
	{ "read: arg0 ! 1", U, 1, 12, "'!' is no operator" },
	{ "read: !(arg0 == 1)", U, 1, 7, "'!' is no operator" },
	{ "read: arg0 == FOO", U, 1, 15, "unknown constant 'FOO'" },
	{ "read: arg0 == o_rdwr", U, 1, 15, "unknown constant" },
	{ "read: arg0 == 18446744073709551616", U, 1, 15, "does not fit 64 bits" },
	{ "read: arg0 == 0x10000000000000000", U, 1, 15, "does not fit 64 bits" },
	{ "read: arg0 == -9223372036854775809", U, 1, 15, "below -2^63" },
	{ "read: arg0 == 08", U, 1, 15, "no digit of base 8" },
	{ "read: arg0 == 0b1", U, 1, 15, "no digit of base 8" },
	{ "read: arg0 == 0x", U, 1, 15, "no number" },
	{ "read: arg0 == 12ab", U, 1, 15, "no digit of base 10" },
	{ "read: arg0 == 1|", U, 1, 17, "a value" },
	{ "read: arg0 == |1", U, 1, 15, "a value" },
	{ "read: arg0 == ~~1", U, 1, 16, "'~~'" },
	{ "read: arg0 == ~", U, 1, 16, "a value" },
	{ "read: arg0 == ()", U, 1, 16, "a value" },
	{ "read: arg0 == (1", U, 1, 15, "unclosed '('" },
	{ "read: arg0 == 1)", U, 1, 16, "the rule ends before ')'" },
	{ "read: arg0 == +1", C, 1, 15, "'+'" },
	{ "read: { 1", U, 1, 7, "unclosed '{'" },
	{ "read: { 1 ] ", U, 1, 7, "unclosed '{'" },
	{ "read: {}", U, 1, 8, "an action or a comparison" },
	{ "{ read, write: 1", U, 1, 1, "unclosed '{'" },
	{ "{}: 1", U, 1, 2, "the name of a system call" },
	{ "read[arch=x86_64: 1", U, 1, 5, "unclosed '['" },
	{ "read[arch]: 1", U, 1, 10, "'='" },
	{ "read[arch=]: 1", U, 1, 11, "a value of the key" },
	{ "read[]: 1", U, 1, 6, "a key" },
	{ "read[arch=x86_64;arch=arm64]: 1", U, 1, 18, "said twice" },
	{ "read[k=a;k=b]: 1", U, 1, 10, "said twice" },
	{ "read[arch=amd64]: 1", U, 1, 11, "unknown architecture 'amd64'" },
	{ "read: 1 1", U, 1, 9, "the rule ends before '1'" },
	{ "read: 1; return 5", U, 1, 8, "the rule ends before ';'" },
	{ "read: 2", U, 1, 7, "1 allows" },
	{ "read: 0x1", U, 1, 7, "1 allows" },
	{ "read: permit", U, 1, 7, "an action or a comparison" },
	{ "read: return 4096", U, 1, 14, "an errno is 0 to 4095" },
	{ "read: return -1", U, 1, 14, "an errno is 0 to 4095" },
	{ "read: return EFOO", U, 1, 14, "unknown constant" },
	{ "read: return", U, 1, 7, "'return' needs an errno" },
	{ "read: returnfoo 5", U, 1, 7, "an action or a comparison" },
	{ "read: return 1 2", U, 1, 16, "the rule ends before '2'" },
	{ "read: return EPERM|EAGAIN", C, 1, 14, "one constant" },
	{ "read: arg0 == 1;", U, 1, 16, "an action should follow ';'" },
	{ "read: arg0 == 1; return EPERM", U, 1, 16, "--dialect=minijail0 or --dialect=compiler" },
	{ "read: { arg0 == 1; return EPERM, allow }", U, 1, 18,
	  "--dialect=minijail0 or --dialect=compiler" },
	{ "read: arg0 == 1; return EPERM; return 5", C, 1, 30, "the rule ends before ';'" },
	{ "read: 1\nread: 1", U, 2, 1, "'read' is decided whatever its arguments at p:1:7" },
	{ "read: 1\nread: arg0 == 1", U, 2, 1, "never reached" },
	{ "read: arg0 == 1\nread: arg0 == 2", M, 2, 1,
	  "a second rule for 'read' (minijail0 takes one): the first is at p:1:1" },
	{ "read: { 1, arg0 == 1 }", U, 1, 12, "never reached" },
	{ "{ read, read }: 1", U, 1, 9, "never reached" },
	{ "@default", U, 1, 9, "should stand here" },
	{ "@default allow", U, 1, 10, "lets too much through" },
	{ "@default log", U, 1, 10, "lets too much through" },
	{ "@default trace", U, 1, 10, "lets too much through" },
	{ "@default errno=1", U, 1, 10, "should stand here" },
	{ "@default trap x", U, 1, 15, "nothing may follow" },
	{ "@default trap\n@default trap", U, 2, 1, "a second @default: the first is at p:1:1" },
	{ "@denylist", U, 1, 1, "with --denylist only" },
	{ "read: 1 \\", U, 1, 9, "ends in a continued line" },
	{ "read: 1 \\\n", U, 1, 9, "ends in a continued line" },
	{ "read: \\ 1", U, 1, 7, "only as its very last character" },
	{ "# comment \\\nread: 1", U, 1, 11, "hides the next line from minijail0" },
	{ "read: 1\r\nwrite: 1", U, 1, 8, "carriage return" },
	{ "read: $1", U, 1, 7, "no token" },
	{ "read: \"x\"", U, 1, 7, "no token" },
	/* minijail0 is strict. */
	{ "read: 1 # why", M, 1, 9, "only at the start of a line" },
	{ "read: arg0==1", M, 1, 11, "spaces" },
	{ "read: arg0\t== 1", M, 1, 12, "spaces" },
	{ "read: arg0 ==1", M, 1, 14, "spaces" },
	{ "read: arg0 == 1 | 2", M, 1, 17, "no blank within a value" },
	{ "read: allow", M, 1, 7, "'1' and 'return ERRNO' only" },
	{ "{ read, write }: 1", M, 1, 1, "one system call a rule" },
	{ "read: { arg0 == 1, return 1 }", M, 1, 9, "no sets of filters" },
	{ "read[arch=x86_64]: 1", M, 1, 5, "no '[...]'" },
	{ "@default trap", M, 1, 1, "no @default" },
	/* Properties. */
	{ "@prove", U, 1, 7, "a property should follow" },
	{ "# @prove frobnicate", U, 1, 10, "unknown property 'frobnicate'" },
	{ "# @prove never", U, 1, 15, "the name of a system call" },
	{ "# @prove never reed", U, 1, 16, "unknown system call 'reed'" },
	{ "# @prove only read", U, 1, 19, "'only' needs ': EXPR'" },
	{ "# @prove only read: 1", U, 1, 21, "arg0 to arg5" },
	{ "# @prove no-open x", U, 1, 18, "the property ends before 'x'" },
};

static void test_wrong(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct policy *policy;
		char *errors, place[32];

		if (parse(wrong[i].text, strlen(wrong[i].text), wrong[i].dialect, false, &policy,
			  &errors) != -EINVAL)
			fail_msg("taken: %s", wrong[i].text);
		snprintf(place, sizeof(place), "p:%u:%u: ", wrong[i].line, wrong[i].column);
		if (strncmp(errors, place, strlen(place)) != 0 || !strstr(errors, wrong[i].message))
			fail_msg("%s\nexpected %s%s, got\n%s", wrong[i].text, place,
				 wrong[i].message, errors);
		assert_null(policy);
		free(errors);
	}
}

static void test_nul(void **state)
{
	static const char text[] = "read: 1\0\nwrite: 1\n";
	struct policy *policy;
	char *errors;

	(void)state;
	assert_int_equal(parse(text, sizeof(text) - 1, U, false, &policy, &errors), -EINVAL);
	assert_non_null(strstr(errors, "p:1:8: NUL byte"));
	free(errors);
}

/* The line and a caret under the token; control bytes are not passed on to a terminal. */
static void test_caret(void **state)
{
	static const char text[] = "read: 1\n\twrite: arg0 == \033[31m\n";
	struct policy *policy;
	char *errors;

	(void)state;
	assert_int_equal(parse(text, sizeof(text) - 1, U, false, &policy, &errors), -EINVAL);
	assert_string_equal(errors, "p:2:17: no token of this language begins so\n"
				    "    \twrite: arg0 == ?[31m\n"
				    "    \t               ^\n");
	free(errors);
	assert_int_equal(parse("read: FOOBAR", 12, U, false, &policy, &errors), -EINVAL);
	assert_non_null(strstr(errors, "    read: FOOBAR\n          ^~~~~~\n"));
	free(errors);
}

static void test_all_errors(void **state)
{
	static const char text[] =
		"reed: 1\nwrite: 1\nclose\nread: arg9 == 1 && arg8 == 2\nfstat: 1\nioctl: 7\n";
	struct policy *policy;
	char *errors;
	unsigned count = 0;

	(void)state;
	assert_int_equal(parse(text, sizeof(text) - 1, U, false, &policy, &errors), -EINVAL);
	for (const char *at = errors; (at = strstr(at, "p:")); at++)
		count++;
	assert_int_equal(count, 4);
	assert_non_null(strstr(errors, "p:1:1:"));
	assert_non_null(strstr(errors, "p:3:6:"));
	assert_non_null(strstr(errors, "p:4:7:"));
	assert_non_null(strstr(errors, "p:6:8:"));
	free(errors);
}

static void test_too_many_errors(void **state)
{
	char text[4096];
	struct policy *policy;
	char *errors;

	(void)state;
	memset(text, 'x', sizeof(text));
	for (size_t i = 1; i < sizeof(text); i += 2)
		text[i] = '\n';
	assert_int_equal(parse(text, sizeof(text), U, false, &policy, &errors), -EINVAL);
	assert_non_null(strstr(errors, "p:100:"));
	assert_null(strstr(errors, "p:101:"));
	assert_non_null(strstr(errors, "too many errors"));
	free(errors);
}

/* ---- meanings: the decision for one call of read
 * ---------------------------------------------------------------------------- */

#define DEFAULT POLICY_KILL_THREAD

static const struct {
	const char *text;
	int dialect;
	uint64_t arg0, arg1;
	enum policy_verdict verdict;
	unsigned number;
} right[] = {
	{ "read: 1", U, 0, 0, POLICY_ALLOW, 0 },
	{ "", U, 0, 0, DEFAULT, 0 },
	{ "  read\t:\t1  ", U, 0, 0, POLICY_ALLOW, 0 },
	{ "read:1", M, 0, 0, POLICY_ALLOW, 0 },
	{ "read: allow # comment", U, 0, 0, POLICY_ALLOW, 0 },
	{ "read: 0x1", C, 0, 0, POLICY_ALLOW, 0 },
	{ "# read: 1", U, 0, 0, DEFAULT, 0 },
	{ "read: kill", U, 0, 0, POLICY_KILL_THREAD, 0 },
	{ "read: kill-process", U, 0, 0, POLICY_KILL_PROCESS, 0 },
	{ "read: kill-thread", U, 0, 0, POLICY_KILL_THREAD, 0 },
	{ "read: trap", U, 0, 0, POLICY_TRAP, 0 },
	{ "read: trace", U, 0, 0, POLICY_TRACE, 0 },
	{ "read: log", U, 0, 0, POLICY_LOG, 0 },
	{ "read: user-notify", U, 0, 0, POLICY_NOTIFY, 0 },
	{ "read: return EPERM", U, 0, 0, POLICY_ERRNO, 1 },
	{ "read: return 0", U, 0, 0, POLICY_ERRNO, 0 },
	{ "read: return 4095", U, 0, 0, POLICY_ERRNO, 4095 },
	{ "read: return 1|2", U, 0, 0, POLICY_ERRNO, 3 },
	{ "kill: 1\nread: kill", U, 0, 0, POLICY_KILL_THREAD, 0 },
	/* The contested form. */
	{ "read: arg0 == 1; return EPERM", M, 1, 0, POLICY_ALLOW, 0 },
	{ "read: arg0 == 1; return EPERM", M, 2, 0, POLICY_ERRNO, 1 },
	{ "read: arg0 == 1; return EPERM", C, 1, 0, POLICY_ERRNO, 1 },
	{ "read: arg0 == 1; return EPERM", C, 2, 0, DEFAULT, 0 },
	{ "read: arg0 == 1; log", U, 1, 0, POLICY_LOG, 0 },
	/* Sets and repeated rules: the first that matches. */
	{ "read: { arg0 == 1; return EPERM, allow }", C, 1, 0, POLICY_ERRNO, 1 },
	{ "read: { arg0 == 1; return EPERM, allow }", C, 2, 0, POLICY_ALLOW, 0 },
	{ "read: { arg0 == 1, arg1 == 1; trap }", U, 0, 1, POLICY_TRAP, 0 },
	{ "read: { arg0 == 1, arg1 == 1; trap }", U, 1, 1, POLICY_ALLOW, 0 },
	{ "read: arg0 == 1\nread: arg1 == 1\nread: return 5", U, 0, 1, POLICY_ALLOW, 0 },
	{ "read: arg0 == 1\nread: arg1 == 1\nread: return 5", U, 0, 0, POLICY_ERRNO, 5 },
	{ "{ write, read }: arg0 == 1", U, 1, 0, POLICY_ALLOW, 0 },
	{ "{write,read}:{arg0==1,return 7}", U, 0, 0, POLICY_ERRNO, 7 },
	/* Clauses. */
	{ "read: arg0 == 1 && arg1 == 2 || arg0 == 3", U, 1, 2, POLICY_ALLOW, 0 },
	{ "read: arg0 == 1 && arg1 == 2 || arg0 == 3", U, 1, 3, DEFAULT, 0 },
	{ "read: arg0 == 1 && arg1 == 2 || arg0 == 3", U, 3, 0, POLICY_ALLOW, 0 },
	{ "read: arg0 == 1&&arg1 == 2||arg0 == 3", M, 3, 0, POLICY_ALLOW, 0 },
	/* Comparisons are unsigned and of 64 bits. */
	{ "read: arg0 == -1", U, 0xffffffff, 0, DEFAULT, 0 },
	{ "read: arg0 == -1", U, UINT64_MAX, 0, POLICY_ALLOW, 0 },
	{ "read: arg0 > 5", U, UINT64_MAX, 0, POLICY_ALLOW, 0 },
	{ "read: arg0 < 5", U, (uint64_t)1 << 63, 0, DEFAULT, 0 },
	{ "read: arg0 <= 5", U, 5, 0, POLICY_ALLOW, 0 },
	{ "read: arg0 >= 5", U, 4, 0, DEFAULT, 0 },
	{ "read: arg0 != 5", U, 5, 0, DEFAULT, 0 },
	{ "read: arg0 & 6", U, 2, 0, POLICY_ALLOW, 0 },
	{ "read: arg0 & 6", U, 9, 0, DEFAULT, 0 },
	{ "read: arg0 & 0", U, UINT64_MAX, 0, DEFAULT, 0 },
	{ "read: arg0 in 3", U, 3, 0, POLICY_ALLOW, 0 },
	{ "read: arg0 in 3", U, 4, 0, DEFAULT, 0 },
	{ "read: arg0 in 3", U, 0x100000001, 0, DEFAULT, 0 },
	{ "read: arg0 in ~4", U, 0xfffffffffffffffb, 0, POLICY_ALLOW, 0 },
	{ "read: arg0 in 0", U, 0, 0, POLICY_ALLOW, 0 },
	/* Values. */
	{ "read: arg0 == 010", U, 8, 0, POLICY_ALLOW, 0 },
	{ "read: arg0 == 0xFf", U, 255, 0, POLICY_ALLOW, 0 },
	{ "read: arg0 == 0", U, 0, 0, POLICY_ALLOW, 0 },
	{ "read: arg0 == +7", M, 7, 0, POLICY_ALLOW, 0 },
	{ "read: arg0 == 18446744073709551615", U, UINT64_MAX, 0, POLICY_ALLOW, 0 },
	{ "read: arg0 == -9223372036854775808", U, (uint64_t)1 << 63, 0, POLICY_ALLOW, 0 },
	{ "read: arg0 == O_RDWR|O_CLOEXEC", M, 02000002, 0, POLICY_ALLOW, 0 },
	{ "read: arg0 == 1 | (2|4) | ~(-1)", U, 7, 0, POLICY_ALLOW, 0 },
	{ "read: arg0 == ~PROT_EXEC", U, ~(uint64_t)4, 0, POLICY_ALLOW, 0 },
	{ "read: arg0 == AT_FDCWD", U, (uint64_t)-100, 0, POLICY_ALLOW, 0 },
	/* Lines. */
	{ "read: arg0 == 1 || \\\n  arg0 == 2", U, 2, 0, POLICY_ALLOW, 0 },
	{ "# a \\\nread: 1", M, 0, 0, DEFAULT, 0 },
	{ "# a \\\nread: 1", C, 0, 0, POLICY_ALLOW, 0 },
	/* Architectures. */
	{ "read[arch=x86_64]: 1", U, 0, 0, POLICY_ALLOW, 0 },
	{ "read[arch=arm64,riscv64]: 1", U, 0, 0, DEFAULT, 0 },
	{ "nosuchcall[arch=arm]: arg0 == 1\nread: 1", U, 0, 0, POLICY_ALLOW, 0 },
	{ "{nosuchcall[arch=arm], read[arch=x86,x86_64;note=hot]}: 1", U, 0, 0, POLICY_ALLOW, 0 },
	/* Defaults. */
	{ "@default trap", U, 0, 0, POLICY_TRAP, 0 },
	{ "@default kill", U, 0, 0, POLICY_KILL_THREAD, 0 },
	{ "@default user-notify\nread: arg0 == 1", U, 0, 0, POLICY_NOTIFY, 0 },
	/* minijail0 reads past frequencies. */
	{ "@frequency ./nonexistent\nread: 1", M, 0, 0, POLICY_ALLOW, 0 },
};

static void test_right(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		const uint64_t args[6] = { right[i].arg0, right[i].arg1 };
		struct policy_action action;
		struct policy *policy;
		char *errors;

		if (parse(right[i].text, strlen(right[i].text), right[i].dialect, false, &policy,
			  &errors) != 0)
			fail_msg("%s\n%s", right[i].text, errors);
		action = policy_decide(policy, 0, args, NULL, NULL);
		if (action.verdict != right[i].verdict || action.number != right[i].number)
			fail_msg("%s: %u", right[i].text, action.verdict);
		free(errors);
		policy_free(policy);
	}
}

static void test_denylist(void **state)
{
	static const struct {
		const char *text, *message;
	} rows[] = {
		{ "@denylist\nopen: return EPERM", NULL },
		{ "@denylist\nopen: arg1 & O_CREAT; return EPERM", NULL },
		{ "open: return EPERM", "must say @denylist" },
		{ "@denylist\n@denylist", "said twice" },
		{ "@denylist x", "nothing may follow" },
		{ "@denylist\nopen: 1", "ends in 'return ERRNO'" },
		{ "@denylist\nopen: trap", "ends in 'return ERRNO'" },
		{ "@denylist\nopen: arg1 == 1", "ends in '; return ERRNO'" },
		{ "@denylist\n@default trap", "no @default" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct policy *policy;
		char *errors;
		int err = parse(rows[i].text, strlen(rows[i].text), U, true, &policy, &errors);

		if (err != (rows[i].message ? -EINVAL : 0) ||
		    (rows[i].message && !strstr(errors, rows[i].message)))
			fail_msg("%s: %s", rows[i].text, errors);
		if (!err)
			assert_int_equal(policy->default_action.verdict, POLICY_ALLOW);
		free(errors);
		policy_free(policy);
	}
}

/* The comment beside a rule is its reason, else the one above, up to an empty line. */
static void test_reasons(void **state)
{
	static const char text[] =
		"# The file.\n\n# Two calls\n#  that wait.\nppoll: 1\nepoll_wait: 1\n\nread: 1\n"
		"# Above\nwrite: 1 # beside\n";
	static const char *const expected[] = { "", "beside", "Two calls that wait.",
						"Two calls that wait." };
	struct policy *policy;
	size_t i = 0;
	char *errors;

	(void)state;
	assert_int_equal(parse(text, sizeof(text) - 1, U, false, &policy, &errors), 0);
	for (const struct policy_rule *r = policy->rules; r; r = r->next)
		assert_string_equal(r->reason, expected[i++]);
	assert_int_equal(i, 4);
	free(errors);
	policy_free(policy);
}

/* minijail reads past properties: they are comments. One for each call. */
static void test_properties(void **state)
{
	static const char text[] =
		"# @prove never fork, vfork: arg0 == 1\n#@prove no-open\nread: 1\n";
	struct policy *policy;
	unsigned count = 0;
	char *errors;

	(void)state;
	assert_int_equal(parse(text, sizeof(text) - 1, M, false, &policy, &errors), 0);
	assert_int_equal(policy->properties->claim, POLICY_NEVER);
	assert_string_equal(policy->properties->name, "fork");
	assert_string_equal(policy->properties->text, "never fork, vfork: arg0 == 1");
	for (const struct policy_property *p = policy->properties; p; p = p->next)
		count++;
	assert_true(count > 10);
	free(errors);
	assert_int_equal(policy_prove(policy, "only read: arg0 == 3", NULL), 0);
	assert_int_equal(policy_prove(policy, "only read", NULL), -EINVAL);
	assert_int_equal(policy_prove(policy, "no-open\nread: 1", NULL), 0);
	policy_free(policy);
}

/* ---- files
 * -------------------------------------------------------------------------------------------------------------------
 */

static char directory[] = "/tmp/airlock-parse-XXXXXX";

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int parse_file(const char *name, int dialect, struct policy **policy, char **errors)
{
	struct policy_parse_options options = { .dialect = (enum policy_dialect)dialect };
	size_t length;
	char path[128];
	int err;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	options.errors = open_memstream(errors, &length);
	err = policy_parse(path, &options, policy);
	fclose(options.errors);
	return err;
}

static int make_directory(void **state)
{
	char path[128];

	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/sub", directory);
	return mkdir(path, 0700);
}

static int remove_directory(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command);
}

static void test_include(void **state)
{
	struct policy *policy;
	char *errors;

	(void)state;
	write_file("outer", "@include ./sub/inner\nread: 1\n");
	write_file("sub/inner", "@include ./innermost\nwrite: 1\n");
	write_file("sub/innermost", "close: 1\nread: arg0 == 1");
	assert_int_equal(parse_file("outer", U, &policy, &errors), 0);
	assert_string_equal(policy->rules->name, "read");
	assert_non_null(strstr(policy->rules->place.file, "/sub/innermost"));
	assert_non_null(policy->rules->filters->next);
	assert_string_equal(policy->rules->next->next->name, "close");
	free(errors);
	policy_free(policy);
	/* minijail0 knows one level. */
	assert_int_equal(parse_file("outer", M, &policy, &errors), -EINVAL);
	assert_non_null(
		strstr(errors, "/sub/inner:1:1: minijail0 lets no included file include another"));
	free(errors);
}

static void test_include_errors(void **state)
{
	struct policy *policy;
	char *errors, name[16], text[64];

	(void)state;
	write_file("self", "@include ./self\n");
	assert_int_equal(parse_file("self", U, &policy, &errors), -EINVAL);
	assert_non_null(strstr(errors, "includes itself"));
	free(errors);
	for (int i = 0; i < 12; i++) {
		snprintf(name, sizeof(name), "deep%d", i);
		snprintf(text, sizeof(text), "@include ./deep%d\n", i + 1);
		write_file(name, text);
	}
	write_file("deep12", "");
	assert_int_equal(parse_file("deep0", U, &policy, &errors), -EINVAL);
	assert_non_null(strstr(errors, "deep8:1:10: more than 9 files"));
	free(errors);
	assert_int_equal(parse_file("deep4", U, &policy, &errors), 0);
	free(errors);
	policy_free(policy);
	/* An error within is the inner file's, and the outer one is read on. */
	write_file("bad", "reed: 1\n");
	write_file("outer", "@include ./bad\nwrote: 1\n");
	assert_int_equal(parse_file("outer", U, &policy, &errors), -EINVAL);
	assert_non_null(strstr(errors, "/bad:1:1: unknown system call 'reed'"));
	assert_non_null(strstr(errors, "/outer:2:1: unknown system call 'wrote'"));
	free(errors);
}

static void test_frequency(void **state)
{
	struct policy *policy;
	char *errors;

	(void)state;
	write_file("freq", "# counted\nread: 100\nwrite: 0\nread: 5\n");
	write_file("outer", "@frequency ./freq\nread: 1\nwrite: 1\nclose: 1\n");
	assert_int_equal(parse_file("outer", U, &policy, &errors), 0);
	assert_int_equal(policy->rules->weight, 105);
	assert_int_equal(policy->rules->next->weight, 0);
	assert_int_equal(policy->rules->next->next->weight, 1);
	free(errors);
	policy_free(policy);
	write_file("freq", "read: -1\nwrite 5\nreed: 5\nclose: 1 2\n");
	assert_int_equal(parse_file("outer", U, &policy, &errors), -EINVAL);
	assert_non_null(strstr(errors, "/freq:1:7: how often"));
	assert_non_null(strstr(errors, "/freq:2:7: ':'"));
	assert_non_null(strstr(errors, "/freq:3:1: unknown system call"));
	assert_non_null(strstr(errors, "/freq:4:10: nothing may follow"));
	free(errors);
}

static void test_unreadable(void **state)
{
	struct policy *policy;
	char *errors;

	(void)state;
	assert_int_equal(parse_file("nothing", U, &policy, &errors), -ENOENT);
	assert_non_null(strstr(errors, "cannot read it"));
	free(errors);
	assert_int_equal(parse_file("sub", U, &policy, &errors), -EISDIR);
	free(errors);
}

/* ---- hostile
 * ------------------------------------------------------------------------------------------------------------------
 */

static void test_large(void **state)
{
	size_t size = 1 << 20;
	char *text = malloc(size + 1), *errors;
	struct policy *policy;

	(void)state;
	assert_non_null(text);
	memset(text, '(', size);
	memcpy(text, "read: arg0 == ", 14);
	assert_int_equal(parse(text, size, U, false, &policy, &errors), -EINVAL);
	assert_non_null(strstr(errors, "parentheses within each other"));
	free(errors);
	assert_int_equal(parse(text, size + 1, U, false, &policy, &errors), -EFBIG);
	free(errors);
	/* As many atoms as fit. */
	for (size_t i = 6; i + 12 < size; i += 12)
		memcpy(text + i, "arg0 == 1 ||", 12);
	memcpy(text + size - 12, "arg0 == 2   ", 12);
	memset(text + 6 + (size - 6 - 12) / 12 * 12, ' ',
	       size - 12 - (6 + (size - 6 - 12) / 12 * 12));
	assert_int_equal(parse(text, size, U, false, &policy, &errors), 0);
	free(errors);
	policy_free(policy);
	free(text);
}

/* Every prefix of a policy, and each with a byte changed. */
static void test_broken(void **state)
{
	static const char text[] =
		"@default trap\n# @prove only read: arg0 == 1\n{ read, write[arch=x86_64] }: \\\n"
		" { arg0 == ~(1|0x2) && arg1 in O_RDWR; return EPERM, log }\nioctl: arg1 & -1 # x\n";
	char copy[sizeof(text)], *errors;
	struct policy *policy;

	(void)state;
	for (size_t size = 0; size < sizeof(text); size++) {
		for (int change = 0; change < 4; change++) {
			memcpy(copy, text, sizeof(text));
			if (size && change)
				copy[size - 1] = "\n{;"[change - 1];
			parse(copy, size, C, false, &policy, &errors);
			free(errors);
			policy_free(policy);
		}
	}
	assert_int_equal(parse(text, sizeof(text) - 1, C, false, &policy, &errors), 0);
	free(errors);
	policy_free(policy);
}

static void test_actions(void **state)
{
	static const char *const words[] = { "kill-process", "kill-thread", "trap", "errno=38",
					     "user-notify",  "trace",	    "log",  "allow" };
	struct policy_action action;
	char buffer[32];

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		assert_int_equal(policy_action_parse(words[i], &action), 0);
		assert_string_equal(policy_action_format(action, buffer), words[i]);
	}
	assert_int_equal(policy_action_parse("errno=ENOSYS", &action), 0);
	assert_int_equal(action.number, 38);
	assert_int_equal(policy_action_parse("errno=4096", &action), -EINVAL);
	assert_int_equal(policy_action_parse("errno=", &action), -EINVAL);
	assert_int_equal(policy_action_parse("errno", &action), -EINVAL);
	assert_int_equal(policy_action_parse("errno=-1", &action), -EINVAL);
	assert_int_equal(policy_action_parse("kill", &action), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrong),		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_caret),		cmocka_unit_test(test_all_errors),
		cmocka_unit_test(test_too_many_errors), cmocka_unit_test(test_right),
		cmocka_unit_test(test_denylist),	cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_properties),	cmocka_unit_test(test_include),
		cmocka_unit_test(test_include_errors),	cmocka_unit_test(test_frequency),
		cmocka_unit_test(test_unreadable),	cmocka_unit_test(test_large),
		cmocka_unit_test(test_broken),		cmocka_unit_test(test_actions),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
