/* Following a filter for all calls at once, in the process that proves. The accumulator, X and the
 * memory cells are vectors of 32 sets: for each bit, the calls in which it is one. Jumps go forward
 * only, so each instruction is looked at once, with all states that reach it; states that hold the
 * same values are one. Exact for every instruction. */
#include "seccomp/decisions.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>

#define VALUES	8192  /* different vectors held */
#define STATES	65536 /* in all */
#define RETURNS 4096  /* values of a returned accumulator */

struct value {
	uint32_t bits[32];
};

struct state {
	struct state *next;
	uint32_t set;			     /* the calls that come here so */
	uint16_t a, x, memory[BPF_MEMWORDS]; /* indices of values */
};

struct explorer {
	struct space *space;
	struct decisions *out;
	const struct sock_filter *insns;
	struct state **at; /* by instruction */
	struct value *values;
	size_t values_count, states_count;
	int err;
};

/* ---- values
 * -----------------------------------------------------------------------------------------------------------
 */

static uint16_t intern(struct explorer *e, const struct value *value)
{
	for (size_t i = e->values_count; i-- > 0;)
		if (!memcmp(&e->values[i], value, sizeof(*value)))
			return (uint16_t)i;
	if (e->values_count == VALUES) {
		e->err = -E2BIG;
		return 0;
	}
	e->values[e->values_count] = *value;
	return (uint16_t)e->values_count++;
}

static struct value constant(uint32_t k)
{
	struct value v;

	for (unsigned i = 0; i < 32; i++)
		v.bits[i] = k >> i & 1 ? SPACE_ALL : SPACE_EMPTY;
	return v;
}

static struct value word(struct space *space, unsigned w)
{
	struct value v;

	for (unsigned i = 0; i < 32; i++)
		v.bits[i] = space_bit(space, w, i);
	return v;
}

static uint32_t invert(struct space *s, uint32_t set)
{
	return space_minus(s, SPACE_ALL, set);
}

/* IF ? YES : NO, call by call. */
static uint32_t choose(struct space *s, uint32_t condition, uint32_t yes, uint32_t no)
{
	return space_or(s, space_and(s, condition, yes), space_minus(s, no, condition));
}

static struct value add(struct space *s, const struct value *a, const struct value *b,
			uint32_t carry)
{
	struct value v;

	for (unsigned i = 0; i < 32; i++) {
		uint32_t differ = space_xor(s, a->bits[i], b->bits[i]);

		v.bits[i] = space_xor(s, differ, carry);
		carry = choose(s, differ, carry, a->bits[i]);
	}
	return v;
}

static struct value complement(struct space *s, const struct value *a)
{
	struct value v;

	for (unsigned i = 0; i < 32; i++)
		v.bits[i] = invert(s, a->bits[i]);
	return v;
}

static struct value subtract(struct space *s, const struct value *a, const struct value *b)
{
	struct value negated = complement(s, b);

	return add(s, a, &negated, SPACE_ALL);
}

static struct value shift(const struct value *a, int left)
{
	struct value v;

	for (int i = 0; i < 32; i++)
		v.bits[i] = i - left >= 0 && i - left < 32 ? a->bits[i - left] : SPACE_EMPTY;
	return v;
}

static struct value choose_value(struct space *s, uint32_t condition, const struct value *yes,
				 const struct value *no)
{
	struct value v;

	for (unsigned i = 0; i < 32; i++)
		v.bits[i] = choose(s, condition, yes->bits[i], no->bits[i]);
	return v;
}

/* By as much as the low five bits of B say, which is what the kernel's shifts use. */
static struct value shift_by(struct space *s, struct value a, const struct value *b, int sign)
{
	for (unsigned i = 0; i < 5; i++) {
		struct value moved = shift(&a, sign * (1 << i));

		a = choose_value(s, b->bits[i], &moved, &a);
	}
	return a;
}

static struct value multiply(struct space *s, const struct value *a, const struct value *b)
{
	struct value sum = constant(0);

	for (int i = 0; i < 32; i++) {
		struct value moved = shift(a, i), more = add(s, &sum, &moved, SPACE_EMPTY);

		sum = choose_value(s, b->bits[i], &more, &sum);
	}
	return sum;
}

static uint32_t equal(struct space *s, const struct value *a, const struct value *b)
{
	uint32_t set = SPACE_ALL;

	for (unsigned i = 0; i < 32; i++)
		set = space_minus(s, set, space_xor(s, a->bits[i], b->bits[i]));
	return set;
}

static uint32_t at_least(struct space *s, const struct value *a, const struct value *b)
{
	uint32_t set = SPACE_ALL;

	for (unsigned i = 0; i < 32; i++)
		set = choose(s, space_xor(s, a->bits[i], b->bits[i]), a->bits[i], set);
	return set;
}

/* Long division, as on paper; where B is zero the result is not used. */
static struct value divide(struct space *s, const struct value *a, const struct value *b)
{
	struct value quotient, rest = constant(0);

	for (int i = 31; i >= 0; i--) {
		uint32_t carry = rest.bits[31];
		struct value less;

		rest = shift(&rest, 1);
		rest.bits[0] = a->bits[i];
		quotient.bits[i] = space_or(s, carry, at_least(s, &rest, b));
		less = subtract(s, &rest, b);
		rest = choose_value(s, quotient.bits[i], &less, &rest);
	}
	return quotient;
}

static uint32_t common_bits(struct space *s, const struct value *a, const struct value *b)
{
	uint32_t set = SPACE_EMPTY;

	for (unsigned i = 0; i < 32; i++)
		set = space_or(s, set, space_and(s, a->bits[i], b->bits[i]));
	return set;
}

static struct value bitwise(struct space *s, uint16_t op, const struct value *a,
			    const struct value *b)
{
	struct value v;

	for (unsigned i = 0; i < 32; i++)
		v.bits[i] = op == BPF_AND  ? space_and(s, a->bits[i], b->bits[i])
			    : op == BPF_OR ? space_or(s, a->bits[i], b->bits[i])
					   : space_xor(s, a->bits[i], b->bits[i]);
	return v;
}

/* ---- instructions
 * ------------------------------------------------------------------------------------------------------
 */

static void reach(struct explorer *e, size_t pc, const struct state *from, uint32_t set)
{
	struct state *state;

	if (set == SPACE_EMPTY)
		return;
	for (state = e->at[pc]; state; state = state->next) {
		if (state->a == from->a && state->x == from->x &&
		    !memcmp(state->memory, from->memory, sizeof(state->memory))) {
			state->set = space_or(e->space, state->set, set);
			return;
		}
	}
	state = e->states_count++ < STATES ? malloc(sizeof(*state)) : NULL;
	if (!state) {
		e->err = -E2BIG;
		return;
	}
	*state = *from;
	state->set = set;
	state->next = e->at[pc];
	e->at[pc] = state;
}

static struct value operand(struct explorer *e, const struct sock_filter *insn,
			    const struct state *state)
{
	return BPF_SRC(insn->code) == BPF_X ? e->values[state->x] : constant(insn->k);
}

static struct value compute(struct explorer *e, uint16_t op, const struct value *a,
			    const struct value *b)
{
	struct value zero;

	switch (op) {
	case BPF_ADD:
		return add(e->space, a, b, SPACE_EMPTY);
	case BPF_SUB:
		return subtract(e->space, a, b);
	case BPF_MUL:
		return multiply(e->space, a, b);
	case BPF_DIV:
		return divide(e->space, a, b);
	case BPF_LSH:
		return shift_by(e->space, *a, b, 1);
	case BPF_RSH:
		return shift_by(e->space, *a, b, -1);
	case BPF_NEG:
		zero = constant(0);
		return subtract(e->space, &zero, a);
	default:
		return bitwise(e->space, op, a, b);
	}
}

static void follow_arithmetic(struct explorer *e, size_t pc, struct state *state)
{
	const struct sock_filter *insn = &e->insns[pc];
	const struct value a = e->values[state->a], b = operand(e, insn, state), zero = constant(0);
	struct value result = compute(e, BPF_OP(insn->code), &a, &b);

	/* A division by zero ends the filter with 0. */
	if (BPF_OP(insn->code) == BPF_DIV) {
		uint32_t by_zero = space_and(e->space, state->set, equal(e->space, &b, &zero));

		decisions_add(e->out, decisions_read(0), by_zero);
		state->set = space_minus(e->space, state->set, by_zero);
	}
	state->a = intern(e, &result);
	reach(e, pc + 1, state, state->set);
}

static void follow_jump(struct explorer *e, size_t pc, const struct state *state)
{
	const struct sock_filter *insn = &e->insns[pc];
	const struct value *a = &e->values[state->a], b = operand(e, insn, state);
	struct space *s = e->space;
	uint32_t taken;

	switch (BPF_OP(insn->code)) {
	case BPF_JA:
		reach(e, pc + 1 + insn->k, state, state->set);
		return;
	case BPF_JEQ:
		taken = equal(s, a, &b);
		break;
	case BPF_JGE:
		taken = at_least(s, a, &b);
		break;
	case BPF_JGT:
		taken = invert(s, at_least(s, &b, a));
		break;
	default: /* BPF_JSET */
		taken = common_bits(s, a, &b);
	}
	reach(e, pc + 1 + insn->jt, state, space_and(s, state->set, taken));
	reach(e, pc + 1 + insn->jf, state, space_minus(s, state->set, taken));
}

static void follow_load(struct explorer *e, size_t pc, struct state *state)
{
	const struct sock_filter *insn = &e->insns[pc];
	uint16_t *target = BPF_CLASS(insn->code) == BPF_LD ? &state->a : &state->x;
	struct value v;

	if (BPF_MODE(insn->code) == BPF_MEM) {
		*target = state->memory[insn->k];
	} else {
		v = BPF_MODE(insn->code) == BPF_ABS   ? word(e->space, insn->k / 4)
		    : BPF_MODE(insn->code) == BPF_LEN ? constant(sizeof(struct seccomp_data))
						      : constant(insn->k);
		*target = intern(e, &v);
	}
	reach(e, pc + 1, state, state->set);
}

/* A returned accumulator is taken apart, value by value. */
static void follow_return(struct explorer *e, size_t pc, const struct state *state)
{
	const struct sock_filter *insn = &e->insns[pc];
	const struct value *a = &e->values[state->a];
	uint32_t set = state->set;

	if (BPF_RVAL(insn->code) == BPF_K) {
		decisions_add(e->out, decisions_read(insn->k), set);
		return;
	}
	for (size_t i = 0; set != SPACE_EMPTY && !space_exhausted(e->space); i++) {
		uint32_t value = 0, same = set;

		if (i == RETURNS) {
			e->err = -E2BIG;
			return;
		}
		for (unsigned bit = 0; bit < 32; bit++) {
			uint32_t one = space_and(e->space, same, a->bits[bit]);

			value |= one == SPACE_EMPTY ? 0 : 1u << bit;
			same = one == SPACE_EMPTY ? same : one;
		}
		decisions_add(e->out, decisions_read(value), same);
		set = space_minus(e->space, set, same);
	}
}

static void follow(struct explorer *e, size_t pc, struct state *state)
{
	const struct sock_filter *insn = &e->insns[pc];

	switch (BPF_CLASS(insn->code)) {
	case BPF_LD:
	case BPF_LDX:
		follow_load(e, pc, state);
		return;
	case BPF_ST:
	case BPF_STX:
		state->memory[insn->k] = BPF_CLASS(insn->code) == BPF_ST ? state->a : state->x;
		break;
	case BPF_ALU:
		follow_arithmetic(e, pc, state);
		return;
	case BPF_JMP:
		follow_jump(e, pc, state);
		return;
	case BPF_RET:
		follow_return(e, pc, state);
		return;
	default: /* BPF_MISC */
		if (BPF_MISCOP(insn->code) == BPF_TAX)
			state->x = state->a;
		else
			state->a = state->x;
	}
	reach(e, pc + 1, state, state->set);
}

int explore_filter(struct space *space, const struct sock_filter *insns, size_t len,
		   struct decisions *out)
{
	struct explorer e = { .space = space, .out = out, .insns = insns };
	const struct value zero = constant(0);
	struct state start = { .set = SPACE_ALL };

	*out = (struct decisions){ .space = space };
	e.at = calloc(len + 1, sizeof(*e.at));
	e.values = calloc(VALUES, sizeof(*e.values));
	if (!e.at || !e.values) {
		e.err = -ENOMEM;
	} else {
		intern(&e, &zero);
		reach(&e, 0, &start, SPACE_ALL);
	}
	for (size_t pc = 0; e.at && pc < len; pc++) {
		while (e.at[pc]) {
			struct state *state = e.at[pc];

			e.at[pc] = state->next;
			if (!e.err && !space_exhausted(space))
				follow(&e, pc, state);
			free(state);
		}
	}
	free(e.values);
	free(e.at);
	if (!e.err && (space_exhausted(space) || out->overflow))
		e.err = -E2BIG;
	return e.err;
}
