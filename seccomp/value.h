/* What a filter's registers hold for all calls at once: each of 32 bits is the set of calls in
 * which it is one. Exact for every instruction. */
#pragma once

#include <linux/filter.h>
#include <stddef.h>

#include "seccomp/space.h"

struct value {
	uint32_t bits[32];
	uint32_t
		words; /* of struct seccomp_data that it depends on, a bit each; perhaps on fewer */
};

/* Every value is kept once and known by its number. */
struct values {
	struct space *space; /* not owned */
	struct value *at;
	size_t count;
	bool full; /* or without memory: nothing that was computed is to be believed */
};

struct registers {
	uint16_t a, x, memory[BPF_MEMWORDS]; /* numbers of values; all 0: the constant 0 */
};

int values_init(struct values *values, struct space *space); /* 0 or -ENOMEM */
void values_free(struct values *values);

/* One instruction that is neither a jump nor a return. */
void values_step(struct values *values, const struct sock_filter *insn,
		 struct registers *registers);

/* Calls for which it divides by zero, which ends the filter with 0. */
uint32_t values_by_zero(struct values *values, const struct sock_filter *insn,
			const struct registers *registers);

/* Calls for which a comparison jumps; *WORDS is what that depends on. */
uint32_t values_test(struct values *values, const struct sock_filter *insn,
		     const struct registers *registers, uint32_t *words);
