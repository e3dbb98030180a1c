/* describe, disassemble, paths: what is printed for people. */
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "policy/parse.h"
#include "seccomp/compile.h"
#include "seccomp/decisions.h"
#include "seccomp/describe.h"
#include "seccomp/disassemble.h"
#include "seccomp/paths.h"
#include "tests/unit/seccomp/parse.h"

static void test_calls(void **state)
{
	struct seccomp_data data = { .nr = 16,
				     .arch = compile_arch(POLICY_X86_64),
				     .args = { 3, 0x400454d0 } };
	char buffer[DESCRIBE_SIZE];
	json_t *json;

	(void)state;
	assert_string_equal(describe_call(POLICY_X86_64, &data, buffer),
			    "ioctl(0x3, 0x400454d0, 0x0, 0x0, 0x0, 0x0)");
	json = describe_call_json(&data);
	assert_string_equal(json_string_value(json_object_get(json, "name")), "ioctl");
	assert_string_equal(json_string_value(json_object_get(json, "arch")), "x86_64");
	assert_string_equal(json_string_value(json_array_get(json_object_get(json, "args"), 1)),
			    "0x400454d0");
	json_decref(json);
	data.nr = 5000;
	assert_string_equal(describe_call(POLICY_X86_64, &data, buffer),
			    "number 5000(0x3, 0x400454d0, 0x0, 0x0, 0x0, 0x0)");
	data.arch = compile_arch(POLICY_AARCH64);
	data.nr = 29;
	assert_string_equal(describe_call(POLICY_X86_64, &data, buffer),
			    "architecture aarch64: ioctl(0x3, 0x400454d0, 0x0, 0x0, 0x0, 0x0)");
	data.arch = 7;
	json = describe_call_json(&data);
	assert_true(json_is_null(json_object_get(json, "name")));
	assert_string_equal(json_string_value(json_object_get(json, "arch")), "0x7");
	json_decref(json);
	/* The longest there is. */
	memset(&data, 0xff, sizeof(data));
	assert_true(strlen(describe_call(POLICY_X86_64, &data, buffer)) < DESCRIBE_SIZE);
}

static const struct {
	uint32_t decision;
	const char *plain, *named;
} decisions[] = {
	{ SECCOMP_RET_ALLOW, "allow", "allow" },
	{ SECCOMP_RET_KILL_THREAD, "kill-thread", "kill-thread" },
	{ SECCOMP_RET_KILL_PROCESS, "kill-process", "kill-process" },
	{ SECCOMP_RET_ERRNO | 1, "errno=1", "errno=1 (EPERM)" },
	{ SECCOMP_RET_ERRNO | 3999, "errno=3999", "errno=3999" },
	{ SECCOMP_RET_TRAP, "trap", "trap" },
	{ SECCOMP_RET_TRAP | 3, "trap=3", "trap=3" },
	{ SECCOMP_RET_TRACE, "trace", "trace" },
	{ SECCOMP_RET_LOG, "log", "log" },
	{ SECCOMP_RET_USER_NOTIF, "user-notify", "user-notify" },
	{ DECISION_FOREIGN, "kill", "kill" },
};

static void test_decisions(void **state)
{
	char buffer[DESCRIBE_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(decisions) / sizeof(decisions[0]); i++) {
		assert_string_equal(describe_decision(decisions[i].decision, false, buffer),
				    decisions[i].plain);
		assert_string_equal(describe_decision(decisions[i].decision, true, buffer),
				    decisions[i].named);
	}
}

static void test_runs(void **state)
{
	char buffer[DESCRIBE_SIZE];

	(void)state;
	assert_string_equal(describe_run(POLICY_X86_64, 0, 0, buffer), "read");
	assert_string_equal(describe_run(POLICY_X86_64, 0, 3, buffer), "read to close (0-3)");
	assert_string_equal(describe_run(POLICY_X86_64, 9000, 9000, buffer), "number 9000");
	assert_string_equal(describe_run(POLICY_X86_64, 0, 9000, buffer), "numbers 0-9000");
	assert_string_equal(describe_run(POLICY_X86_64, 600, UINT32_MAX, buffer),
			    "numbers from 600 on");
}

/* What is printed of a condition is the condition, in the language itself. */
static void test_clauses(void **state)
{
	static const char *const texts[] = {
		"arg1 == 0x400454d0",
		"arg0 in 0x3 && arg2 != 0x0 || arg3 & 0x6",
		"arg2 in ~0x4",
		"arg5 <= 0xffffffff || arg5 >= 0x800000000",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char text[256], *printed;
		struct policy *policy;

		snprintf(text, sizeof(text), "read: %s", texts[i]);
		policy = parse(text, POLICY_X86_64);
		printed = describe_clauses_string(policy->rules->filters->clauses);
		assert_string_equal(printed, texts[i]);
		free(printed);
		policy_free(policy);
	}
}

static const struct {
	struct sock_filter insn;
	const char *text;
} instructions[] = {
	{ { BPF_LD | BPF_W | BPF_ABS, 0, 0, 4 }, "ld   [4]" },
	{ { BPF_LD | BPF_W | BPF_LEN, 0, 0, 0 }, "ld   len" },
	{ { BPF_LDX | BPF_IMM, 0, 0, 7 }, "ldx  #0x7" },
	{ { BPF_LD | BPF_MEM, 0, 0, 3 }, "ld   M[3]" },
	{ { BPF_ST, 0, 0, 3 }, "st   M[3]" },
	{ { BPF_STX, 0, 0, 3 }, "stx  M[3]" },
	{ { BPF_ALU | BPF_AND | BPF_K, 0, 0, 6 }, "and  #0x6" },
	{ { BPF_ALU | BPF_DIV | BPF_X, 0, 0, 0 }, "div  x" },
	{ { BPF_ALU | BPF_NEG, 0, 0, 0 }, "neg" },
	{ { BPF_JMP | BPF_JA, 0, 0, 3 }, "ja   14" },
	{ { BPF_JMP | BPF_JEQ | BPF_K, 1, 2, 5 }, "jeq  #0x5, 12, 13" },
	{ { BPF_JMP | BPF_JSET | BPF_X, 0, 255, 0 }, "jset x, 11, 266" },
	{ { BPF_RET | BPF_K, 0, 0, 0x7fff0000 }, "ret  #0x7fff0000" },
	{ { BPF_RET | BPF_A, 0, 0, 0 }, "ret  a" },
	{ { BPF_MISC | BPF_TAX, 0, 0, 0 }, "tax" },
	{ { BPF_MISC | BPF_TXA, 0, 0, 0 }, "txa" },
};

static void test_instructions(void **state)
{
	char buffer[64];

	(void)state;
	for (size_t i = 0; i < sizeof(instructions) / sizeof(instructions[0]); i++) {
		disassemble_one(&instructions[i].insn, 10, buffer);
		assert_string_equal(buffer, instructions[i].text);
	}
}

static void test_disassembly(void **state)
{
	struct policy *policy = parse("ioctl: arg1 == 0x5401", POLICY_X86_64);
	struct sock_filter *insns;
	char *text = NULL;
	size_t len, size;
	FILE *to;

	(void)state;
	assert_int_equal(compile_policy(policy, &insns, &len), 0);
	to = open_memstream(&text, &size);
	disassemble(to, POLICY_X86_64, insns, (unsigned short)len);
	fclose(to);
	assert_non_null(strstr(text, "arch: x86_64"));
	assert_non_null(strstr(text, "nr: ioctl"));
	assert_non_null(strstr(text, "; arg1 >> 32"));
	assert_non_null(strstr(text, "; allow"));
	free(text);
	free(insns);
	policy_free(policy);
}

/* ---- paths
 * -------------------------------------------------------------------------------------------------------------------
 */

struct listing {
	char text[4096];
	unsigned count;
};

static void on_path(void *context, uint32_t decision, const char *condition)
{
	struct listing *listing = context;

	listing->count++;
	if (decision != SECCOMP_RET_ALLOW ||
	    strlen(listing->text) + strlen(condition) + 2 > sizeof(listing->text))
		return;
	strcat(listing->text, condition);
	strcat(listing->text, ";");
}

static const struct {
	const char *rule, *allowed;
} conditions[] = {
	{ "1", ";" },
	{ "arg1 == 0x5401", "arg1 == 0x5401;" },
	{ "arg1 == 0x500000001", "arg1 == 0x500000001;" },
	{ "arg1 == 1 || arg1 == 2", "arg1 == 0x1;arg1 == 0x2;" },
	{ "arg2 in ~PROT_EXEC", "arg2 in ~0x4;" },
	{ "arg2 in 3", "arg2 in 0x3;" },
	{ "arg2 < 5", "arg2 < 0x5;" },
	{ "arg0 & 4", "arg0 & 0x4;" },
	{ "arg0 & 0x100000000", "arg0 & 0x100000000;" },
	{ "arg0 == 1 && arg1 == 2", "arg0 == 0x1 && arg1 == 0x2;" },
};

static void test_paths(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(conditions) / sizeof(conditions[0]); i++) {
		struct listing listing = { "", 0 };
		struct sock_filter *insns;
		struct policy *policy;
		char text[128];
		size_t len;

		snprintf(text, sizeof(text), "ioctl: %s", conditions[i].rule);
		policy = parse(text, POLICY_X86_64);
		assert_int_equal(compile_policy(policy, &insns, &len), 0);
		paths_of_call(insns, (unsigned short)len, compile_arch(POLICY_X86_64), 16, on_path,
			      &listing);
		assert_string_equal(listing.text, conditions[i].allowed);
		free(insns);
		policy_free(policy);
	}
}

/* A filter with more ways than anybody reads. */
static void test_many_paths(void **state)
{
	struct sock_filter insns[3 * 24 + 1];
	struct listing listing = { "", 0 };

	(void)state;
	for (unsigned i = 0; i < 24; i++) {
		insns[3 * i] = (struct sock_filter){ BPF_LD | BPF_W | BPF_ABS, 0, 0, 16 };
		insns[3 * i + 1] =
			(struct sock_filter){ BPF_JMP | BPF_JSET | BPF_K, 0, 1, 1u << i };
		insns[3 * i + 2] = (struct sock_filter){ BPF_ALU | BPF_OR | BPF_K, 0, 0, 0 };
	}
	insns[72] = (struct sock_filter){ BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW };
	paths_of_call(insns, 73, compile_arch(POLICY_X86_64), 0, on_path, &listing);
	assert_int_equal(listing.count, PATHS_MAX + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),	     cmocka_unit_test(test_decisions),
		cmocka_unit_test(test_runs),	     cmocka_unit_test(test_clauses),
		cmocka_unit_test(test_instructions), cmocka_unit_test(test_disassembly),
		cmocka_unit_test(test_paths),	     cmocka_unit_test(test_many_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
