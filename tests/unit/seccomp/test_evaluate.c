/* evaluate: each instruction's result, where the kernel's differs from C's too; how much was
 * executed, and what decided. */
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "seccomp/evaluate.h"

#define ALU(op) (BPF_ALU | (op) | BPF_X)

static const struct {
	uint16_t code;
	uint32_t a, x, result;
} arithmetic[] = {
	{ ALU(BPF_ADD), 0xffffffff, 2, 1 },
	{ ALU(BPF_SUB), 1, 2, 0xffffffff },
	{ ALU(BPF_MUL), 0x10001, 0x10001, 0x20001 },
	{ ALU(BPF_DIV), 7, 2, 3 },
	{ ALU(BPF_DIV), 7, 0, 0 },
	{ ALU(BPF_AND), 6, 3, 2 },
	{ ALU(BPF_OR), 6, 3, 7 },
	{ ALU(BPF_XOR), 6, 3, 5 },
	{ ALU(BPF_LSH), 1, 31, 0x80000000 },
	{ ALU(BPF_LSH), 1, 33, 2 },
	{ ALU(BPF_RSH), 0x80000000, 31, 1 },
	{ BPF_ALU | BPF_NEG, 1, 0, 0xffffffff },
	{ BPF_MISC | BPF_TXA, 1, 9, 9 },
	{ BPF_LD | BPF_W | BPF_LEN, 0, 0, 64 },
};

static void test_arithmetic(void **state)
{
	const struct seccomp_data data = { .nr = 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(arithmetic) / sizeof(arithmetic[0]); i++) {
		const struct sock_filter insns[] = {
			{ BPF_LDX | BPF_IMM, 0, 0, arithmetic[i].x },
			{ BPF_LD | BPF_IMM, 0, 0, arithmetic[i].a },
			{ arithmetic[i].code, 0, 0, 0 },
			{ BPF_RET | BPF_A, 0, 0, 0 },
		};

		assert_int_equal(evaluate(insns, 4, &data, NULL), arithmetic[i].result);
	}
}

static const struct {
	uint16_t op;
	uint32_t a, k;
	bool taken;
} jumps[] = {
	{ BPF_JEQ, 5, 5, true },	  { BPF_JEQ, 5, 6, false },  { BPF_JGT, 5, 5, false },
	{ BPF_JGT, 0x80000000, 1, true }, { BPF_JGE, 5, 5, true },   { BPF_JGE, 4, 5, false },
	{ BPF_JSET, 6, 2, true },	  { BPF_JSET, 6, 1, false },
};

static void test_jumps(void **state)
{
	const struct seccomp_data data = { .nr = 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
		for (int with_x = 0; with_x < 2; with_x++) {
			const struct sock_filter insns[] = {
				{ BPF_LD | BPF_IMM, 0, 0, jumps[i].a },
				{ BPF_LDX | BPF_IMM, 0, 0, jumps[i].k },
				{ (uint16_t)(BPF_JMP | jumps[i].op | (with_x ? BPF_X : BPF_K)), 1,
				  0, with_x ? 0 : jumps[i].k },
				{ BPF_RET | BPF_K, 0, 0, 1 },
				{ BPF_RET | BPF_K, 0, 0, 2 },
			};

			assert_int_equal(evaluate(insns, 5, &data, NULL), jumps[i].taken ? 2 : 1);
		}
	}
}

static void test_words(void **state)
{
	const struct seccomp_data data = {
		1, 2, 0x400000003, { 0x600000005, 0, 0, 0, 0, 0x800000007 }
	};
	static const uint32_t expected[] = { 1, 2, 3, 4, 5, 6 };

	(void)state;
	for (uint32_t i = 0; i < 16; i++) {
		const struct sock_filter insns[] = { { BPF_LD | BPF_W | BPF_ABS, 0, 0, i * 4 },
						     { BPF_RET | BPF_A, 0, 0, 0 } };
		uint32_t value = i < 6 ? expected[i] : i < 14 ? 0 : i - 7;

		assert_int_equal(evaluate(insns, 2, &data, NULL), value);
	}
}

static void test_trace(void **state)
{
	const struct sock_filter insns[] = {
		{ BPF_LD | BPF_W | BPF_ABS, 0, 0, 0 }, { BPF_ST, 0, 0, 1 },
		{ BPF_JMP | BPF_JEQ, 0, 2, 5 },	       { BPF_JMP | BPF_JA, 0, 0, 0 },
		{ BPF_RET | BPF_K, 0, 0, 7 },	       { BPF_RET | BPF_K, 0, 0, 8 },
	};
	struct seccomp_data data = { .nr = 5 };
	struct evaluate_trace trace;

	(void)state;
	assert_int_equal(evaluate(insns, 6, &data, &trace), 7);
	assert_int_equal(trace.executed, 5);
	assert_int_equal(trace.at, 4);
	assert_int_equal(trace.branch, 2);
	data.nr = 6;
	assert_int_equal(evaluate(insns, 6, &data, &trace), 8);
	assert_int_equal(trace.executed, 4);
	assert_int_equal(evaluate(insns + 4, 1, &data, &trace), 7);
	assert_int_equal(trace.branch, 0);
}

static void test_cells(void **state)
{
	const struct sock_filter insns[] = {
		{ BPF_LD | BPF_IMM, 0, 0, 3 },
		{ BPF_ST, 0, 0, 15 },
		{ BPF_MISC | BPF_TAX, 0, 0, 0 },
		{ BPF_LD | BPF_IMM, 0, 0, 0 },
		{ BPF_STX, 0, 0, 0 },
		{ BPF_LD | BPF_MEM, 0, 0, 15 },
		{ BPF_LDX | BPF_MEM, 0, 0, 0 },
		{ BPF_ALU | BPF_ADD | BPF_X, 0, 0, 0 },
		{ BPF_RET | BPF_A, 0, 0, 0 },
	};
	const struct seccomp_data data = { .nr = 0 };

	(void)state;
	assert_int_equal(evaluate(insns, 9, &data, NULL), 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_arithmetic),
					    cmocka_unit_test(test_jumps),
					    cmocka_unit_test(test_words),
					    cmocka_unit_test(test_trace),
					    cmocka_unit_test(test_cells) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
