/* Following a filter for all calls at once, in the process that proves. Jumps go forward only, so
 * each instruction is looked at once, with all states that reach it; states whose registers hold
 * the same values are one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "seccomp/decisions.h"
#include "seccomp/value.h"

#define STATES	65536 /* in all */
#define RETURNS 4096  /* values of a returned accumulator */

struct state {
	struct state *next;
	uint32_t set; /* the calls that come here so */
	struct registers registers;
};

struct explorer {
	struct space *space;
	struct decisions *out;
	const struct sock_filter *insns;
	struct state **at; /* by instruction */
	struct values values;
	size_t states_count;
	int err;
};

static void reach(struct explorer *e, size_t pc, const struct registers *registers, uint32_t set)
{
	struct state *state;

	if (set == SPACE_EMPTY)
		return;
	for (state = e->at[pc]; state; state = state->next) {
		if (!memcmp(&state->registers, registers, sizeof(*registers))) {
			state->set = space_or(e->space, state->set, set);
			return;
		}
	}
	state = e->states_count++ < STATES ? malloc(sizeof(*state)) : NULL;
	if (!state) {
		e->err = -E2BIG;
		return;
	}
	*state = (struct state){ e->at[pc], set, *registers };
	e->at[pc] = state;
}

/* A returned accumulator is taken apart, value by value. */
static void follow_return(struct explorer *e, const struct sock_filter *insn,
			  const struct state *state)
{
	const struct value *a = &e->values.at[state->registers.a];
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
	uint32_t set = state->set, taken, words, by_zero;

	if (BPF_CLASS(insn->code) == BPF_RET) {
		follow_return(e, insn, state);
	} else if (insn->code == (BPF_JMP | BPF_JA)) {
		reach(e, pc + 1 + insn->k, &state->registers, set);
	} else if (BPF_CLASS(insn->code) == BPF_JMP) {
		taken = values_test(&e->values, insn, &state->registers, &words);
		reach(e, pc + 1 + insn->jt, &state->registers, space_and(e->space, set, taken));
		reach(e, pc + 1 + insn->jf, &state->registers, space_minus(e->space, set, taken));
	} else {
		by_zero = space_and(e->space, set,
				    values_by_zero(&e->values, insn, &state->registers));
		decisions_add(e->out, decisions_read(0), by_zero);
		values_step(&e->values, insn, &state->registers);
		reach(e, pc + 1, &state->registers, space_minus(e->space, set, by_zero));
	}
}

int explore_filter(struct space *space, const struct sock_filter *insns, size_t len,
		   struct decisions *out)
{
	const struct registers start = { .a = 0 };
	struct explorer e = { .space = space, .out = out, .insns = insns };

	*out = (struct decisions){ .space = space };
	e.err = values_init(&e.values, space);
	e.at = calloc(len + 1, sizeof(*e.at));
	if (!e.at)
		e.err = -ENOMEM;
	if (!e.err)
		reach(&e, 0, &start, SPACE_ALL);
	for (size_t pc = 0; e.at && pc < len; pc++) {
		while (e.at[pc]) {
			struct state *state = e.at[pc];

			e.at[pc] = state->next;
			if (!e.err && !e.values.full && !space_exhausted(space))
				follow(&e, pc, state);
			free(state);
		}
	}
	free(e.at);
	values_free(&e.values);
	if (!e.err && (e.values.full || space_exhausted(space) || out->overflow))
		e.err = -E2BIG;
	return e.err;
}
