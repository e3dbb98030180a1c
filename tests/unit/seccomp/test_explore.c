/* explore: each instruction's meaning over all calls, held against running it on many. */
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "seccomp/decisions.h"
#include "seccomp/evaluate.h"
#include "seccomp/program.h"
#include "tests/unit/seccomp/random.h"

static const uint16_t operations[] = {
	BPF_ALU | BPF_ADD | BPF_K, BPF_ALU | BPF_SUB | BPF_K, BPF_ALU | BPF_MUL | BPF_K,
	BPF_ALU | BPF_DIV | BPF_K, BPF_ALU | BPF_AND | BPF_K, BPF_ALU | BPF_OR | BPF_K,
	BPF_ALU | BPF_XOR | BPF_K, BPF_ALU | BPF_LSH | BPF_K, BPF_ALU | BPF_RSH | BPF_K,
	BPF_ALU | BPF_NEG,	   BPF_ALU | BPF_ADD | BPF_X, BPF_ALU | BPF_SUB | BPF_X,
	BPF_ALU | BPF_AND | BPF_X, BPF_ALU | BPF_OR | BPF_X,  BPF_ALU | BPF_XOR | BPF_X,
	BPF_ALU | BPF_LSH | BPF_X, BPF_ALU | BPF_RSH | BPF_X, BPF_ALU | BPF_DIV | BPF_X,
	BPF_MISC | BPF_TXA,	   BPF_LD | BPF_MEM,	      BPF_LD | BPF_W | BPF_LEN,
};

static const uint16_t jumps[] = {
	BPF_JMP | BPF_JEQ | BPF_K,  BPF_JMP | BPF_JGT | BPF_K,	BPF_JMP | BPF_JGE | BPF_K,
	BPF_JMP | BPF_JSET | BPF_K, BPF_JMP | BPF_JEQ | BPF_X,	BPF_JMP | BPF_JGT | BPF_X,
	BPF_JMP | BPF_JGE | BPF_X,  BPF_JMP | BPF_JSET | BPF_X,
};

static unsigned judged;

/* One table has each call once, with what running the filter returns. */
static void compare(const struct sock_filter *insns, size_t len, uint64_t seed)
{
	struct random_policy random = { .seed = seed };
	struct space *space = space_new(1u << 16);
	struct decisions decided;
	uint32_t all = SPACE_EMPTY;
	const char *reason;
	size_t at;

	assert_int_equal(program_check(insns, len, &at, &reason), 0);
	if (explore_filter(space, insns, len, &decided) != 0)
		goto out; /* too complex is an answer */
	judged++;
	for (size_t i = 0; i < decided.count; i++) {
		assert_int_equal(space_and(space, all, decided.at[i].set), SPACE_EMPTY);
		all = space_or(space, all, decided.at[i].set);
	}
	assert_int_equal(all, SPACE_ALL);
	for (int i = 0; i < 40; i++) {
		struct seccomp_data data;
		uint32_t returned;

		random_call(&random, &data, 0xc000003e, random_below(&random.seed, 40));
		returned = decisions_read(evaluate(insns, (unsigned short)len, &data, NULL));
		for (size_t j = 0; j < decided.count; j++)
			assert_int_equal(space_has(space, decided.at[j].set, &data),
					 decided.at[j].decision == returned);
	}
out:
	space_free(space);
}

static void test_instructions(void **state)
{
	uint64_t seed = 3;

	(void)state;
	for (int n = 0; n < 400; n++) {
		struct sock_filter p[] = {
			{ BPF_LD | BPF_IMM, 0, 0, (uint32_t)random_value(&seed) },
			{ BPF_ST, 0, 0, 5 },
			{ BPF_LDX | BPF_IMM, 0, 0, (uint32_t)random_value(&seed) },
			{ BPF_LD | BPF_W | BPF_ABS, 0, 0, 16 },
			{ operations[(unsigned)n % 21], 0, 0, 0 },
			{ operations[random_below(&seed, 10)], 0, 0, 0 },
			{ jumps[random_below(&seed, 8)], 0, 1, (uint32_t)random_value(&seed) },
			{ BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW },
			{ BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | 3 },
		};

		for (int i = 4; i < 6; i++) {
			p[i].k =
				p[i].code == (BPF_LD | BPF_MEM) ? 5 : (uint32_t)random_value(&seed);
			if (p[i].code == (BPF_ALU | BPF_LSH | BPF_K) ||
			    p[i].code == (BPF_ALU | BPF_RSH | BPF_K))
				p[i].k &= 31;
			if (p[i].code == (BPF_ALU | BPF_DIV | BPF_K))
				p[i].k |= 1;
		}
		compare(p, sizeof(p) / sizeof(p[0]), seed);
	}
	assert_true(judged > 300);
}

/* Two words that differ in more than the limit's worth of bits are compared all the same where that
 * is simple. */
static void test_stores(void **state)
{
	const struct sock_filter p[] = {
		{ BPF_LD | BPF_W | BPF_ABS, 0, 0, 0 },
		{ BPF_ST, 0, 0, 2 },
		{ BPF_LD | BPF_W | BPF_ABS, 0, 0, 16 },
		{ BPF_JMP | BPF_JSET | BPF_K, 0, 2, 1 },
		{ BPF_LDX | BPF_IMM, 0, 0, 7 },
		{ BPF_STX, 0, 0, 2 },
		{ BPF_LD | BPF_MEM, 0, 0, 2 },
		{ BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 7 },
		{ BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW },
		{ BPF_RET | BPF_K, 0, 0, 0 },
	};

	(void)state;
	compare(p, sizeof(p) / sizeof(p[0]), 5);
}

static void test_returned_accumulator(void **state)
{
	const struct sock_filter p[] = {
		{ BPF_LD | BPF_W | BPF_ABS, 0, 0, 16 },
		{ BPF_ALU | BPF_AND | BPF_K, 0, 0, 15 },
		{ BPF_ALU | BPF_OR | BPF_K, 0, 0, SECCOMP_RET_ERRNO },
		{ BPF_RET | BPF_A, 0, 0, 0 },
	};

	(void)state;
	compare(p, 4, 11);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_instructions),
					    cmocka_unit_test(test_stores),
					    cmocka_unit_test(test_returned_accumulator) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
