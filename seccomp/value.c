/* The arithmetic of filters on sets of calls, in the process that proves. Results may be too large
 * for their space, which then says so. */
#include "seccomp/value.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>

#define VALUES 8192 /* different ones */

/* ---- arithmetic -------------------------------------------------------------------------------
 */

static struct value constant(uint32_t k)
{
	struct value v;

	for (unsigned i = 0; i < 32; i++)
		v.bits[i] = k >> i & 1 ? SPACE_ALL : SPACE_EMPTY;
	v.words = 0;
	return v;
}

static struct value word(struct space *space, unsigned w)
{
	struct value v;

	for (unsigned i = 0; i < 32; i++)
		v.bits[i] = space_bit(space, w, i);
	v.words = 1u << w;
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

static struct value compute(struct space *s, uint16_t op, const struct value *a,
			    const struct value *b)
{
	struct value zero;

	switch (op) {
	case BPF_ADD:
		return add(s, a, b, SPACE_EMPTY);
	case BPF_SUB:
		return subtract(s, a, b);
	case BPF_MUL:
		return multiply(s, a, b);
	case BPF_DIV:
		return divide(s, a, b);
	case BPF_LSH:
		return shift_by(s, *a, b, 1);
	case BPF_RSH:
		return shift_by(s, *a, b, -1);
	case BPF_NEG:
		zero = constant(0);
		return subtract(s, &zero, a);
	default:
		return bitwise(s, op, a, b);
	}
}

/* ---- values that are kept ----------------------------------------------------------------------
 */

int values_init(struct values *values, struct space *space)
{
	*values = (struct values){ .space = space };
	values->at = calloc(VALUES, sizeof(*values->at));
	if (!values->at)
		return -ENOMEM;
	values->at[values->count++] = constant(0);
	return 0;
}

void values_free(struct values *values)
{
	free(values->at);
	values->at = NULL;
}

static uint16_t intern(struct values *values, const struct value *value)
{
	for (size_t i = values->count; i-- > 0;)
		if (!memcmp(&values->at[i], value, sizeof(*value)))
			return (uint16_t)i;
	if (values->count == VALUES) {
		values->full = true;
		return 0;
	}
	values->at[values->count] = *value;
	return (uint16_t)values->count++;
}

static struct value operand(const struct values *values, const struct sock_filter *insn,
			    const struct registers *registers)
{
	return BPF_SRC(insn->code) == BPF_X ? values->at[registers->x] : constant(insn->k);
}

static void load(struct values *values, const struct sock_filter *insn, struct registers *registers)
{
	uint16_t *target = BPF_CLASS(insn->code) == BPF_LD ? &registers->a : &registers->x;
	struct value v;

	if (BPF_MODE(insn->code) == BPF_MEM) {
		*target = registers->memory[insn->k];
		return;
	}
	v = BPF_MODE(insn->code) == BPF_ABS   ? word(values->space, insn->k / 4)
	    : BPF_MODE(insn->code) == BPF_LEN ? constant(sizeof(struct seccomp_data))
					      : constant(insn->k);
	*target = intern(values, &v);
}

void values_step(struct values *values, const struct sock_filter *insn, struct registers *registers)
{
	struct value a, b;

	switch (BPF_CLASS(insn->code)) {
	case BPF_LD:
	case BPF_LDX:
		load(values, insn, registers);
		break;
	case BPF_ST:
		registers->memory[insn->k] = registers->a;
		break;
	case BPF_STX:
		registers->memory[insn->k] = registers->x;
		break;
	case BPF_ALU:
		a = values->at[registers->a];
		b = operand(values, insn, registers);
		b = compute(values->space, BPF_OP(insn->code), &a, &b);
		b.words = a.words |
			  (BPF_SRC(insn->code) == BPF_X ? values->at[registers->x].words : 0);
		registers->a = intern(values, &b);
		break;
	default: /* BPF_MISC */
		if (BPF_MISCOP(insn->code) == BPF_TAX)
			registers->x = registers->a;
		else
			registers->a = registers->x;
	}
}

uint32_t values_by_zero(struct values *values, const struct sock_filter *insn,
			const struct registers *registers)
{
	const struct value zero = constant(0);
	struct value b;

	if (insn->code != (BPF_ALU | BPF_DIV | BPF_X))
		return SPACE_EMPTY;
	b = operand(values, insn, registers);
	return equal(values->space, &b, &zero);
}

uint32_t values_test(struct values *values, const struct sock_filter *insn,
		     const struct registers *registers, uint32_t *words)
{
	const struct value *a = &values->at[registers->a], b = operand(values, insn, registers);
	struct space *s = values->space;

	*words = a->words | b.words;
	switch (BPF_OP(insn->code)) {
	case BPF_JEQ:
		return equal(s, a, &b);
	case BPF_JGE:
		return at_least(s, a, &b);
	case BPF_JGT:
		return invert(s, at_least(s, &b, a));
	default: /* BPF_JSET */
		return common_bits(s, a, &b);
	}
}
