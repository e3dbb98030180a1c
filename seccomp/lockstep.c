/* Lockstep, in the process that proves.
 *
 * The text, for one system call, is a list of items: if these conditions on single arguments hold,
 * then this decision; the last always holds. Going through a filter, each way knows of every
 * argument (and the number and architecture) in which set it lies, and how far down the list it is:
 * which items those sets exclude. Ways that come to one instruction with the same registers and the
 * same item are joined, each argument's set by itself. The join may hold calls that come there on
 * no way, never fewer: what is proven for it is proven. At a return, the first item that is not
 * excluded must say the same, and so must those after it until one holds throughout.
 *
 * Where that fails, a call is taken from the join and the filter is run on it: either it refutes
 * the filter, or this procedure gives up. Jumps that compare several arguments with each other are
 * given up too. */
#include "seccomp/lockstep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/decide.h"
#include "seccomp/evaluate.h"
#include "seccomp/value.h"

#define LIMIT  (1u << 20) /* nodes: sets of single arguments are small */
#define STATES 131072	  /* in all, of one call */

/* What is known apart: architecture, number, instruction pointer, six arguments. */
enum {
	PART_ARCH,
	PART_NR,
	PART_IP,
	PART_ARG,
	PARTS = PART_ARG + 6
};

static const uint32_t part_words[PARTS] = {
	[PART_ARCH] = 1u << 1,	   [PART_NR] = 1u << 0,	      [PART_IP] = 3u << 2,
	[PART_ARG] = 3u << 4,	   [PART_ARG + 1] = 3u << 6,  [PART_ARG + 2] = 3u << 8,
	[PART_ARG + 3] = 3u << 10, [PART_ARG + 4] = 3u << 12, [PART_ARG + 5] = 3u << 14,
};

/* A set of calls that is a product: any combination of what its parts hold. */
struct product {
	uint32_t part[PARTS];
};

struct item {
	struct product when;
	uint32_t decision;
};

struct state {
	struct state *next;
	struct registers registers;
	size_t item; /* those before are excluded */
	bool collapsed;
	struct product known;
};

struct lockstep {
	const struct policy *policy;
	const struct sock_filter *insns;
	size_t len;
	struct space *space;
	struct values values;
	struct item *items;
	size_t items_count;
	struct state **at; /* by instruction */
	size_t states_count;
	unsigned ways; /* kept apart at one instruction; more become one */
	struct verify_difference *difference;
	int result;
};

/* ---- products
 * --------------------------------------------------------------------------------------------------------
 */

static const struct product everything = {
	{ SPACE_ALL, SPACE_ALL, SPACE_ALL, SPACE_ALL, SPACE_ALL, SPACE_ALL, SPACE_ALL, SPACE_ALL,
	  SPACE_ALL },
};

static struct product intersect(struct space *space, const struct product *a,
				const struct product *b)
{
	struct product out;

	for (size_t i = 0; i < PARTS; i++)
		out.part[i] = space_and(space, a->part[i], b->part[i]);
	return out;
}

static bool is_empty(const struct product *p)
{
	for (size_t i = 0; i < PARTS; i++)
		if (p->part[i] == SPACE_EMPTY)
			return true;
	return false;
}

static bool apart(struct space *space, const struct product *a, const struct product *b)
{
	for (size_t i = 0; i < PARTS; i++)
		if (space_and(space, a->part[i], b->part[i]) == SPACE_EMPTY)
			return true;
	return false;
}

static bool within(struct space *space, const struct product *a, const struct product *b)
{
	for (size_t i = 0; i < PARTS; i++)
		if (space_minus(space, a->part[i], b->part[i]) != SPACE_EMPTY)
			return false;
	return true;
}

static struct seccomp_data pick(struct space *space, const struct product *p)
{
	uint32_t set = SPACE_ALL;

	for (size_t i = 0; i < PARTS; i++)
		set = space_and(space, set, p->part[i]);
	return space_pick(space, set);
}

/* ---- a return against the list
 * ----------------------------------------------------------------------------------------- */

/* The text's decision for one call, read off the tree; what no list item can say. */
static uint32_t decide(const struct lockstep *l, const struct seccomp_data *data)
{
	const struct policy *policy = l->policy;
	uint64_t args[6];

	if (data->arch != explore_arch(policy->arch))
		return DECISION_FOREIGN;
	if (policy->denylist && policy->arch == POLICY_X86_64 && (uint32_t)data->nr >= 1u << 30 &&
	    data->nr != -1)
		return DECISION_FOREIGN;
	memcpy(args, data->args, sizeof(args));
	return explore_action(policy_decide(policy, (uint32_t)data->nr, args, NULL, NULL));
}

/* A call that may refute the filter is tried; if it does not, nothing is known. */
static void try_call(struct lockstep *l, const struct product *calls)
{
	struct seccomp_data data = pick(l->space, calls);
	uint32_t text = decide(l, &data);
	uint32_t filter = decisions_read(evaluate(l->insns, (unsigned short)l->len, &data, NULL));

	if (space_exhausted(l->space) || decisions_equal(text, filter)) {
		l->result = -EAGAIN;
		return;
	}
	l->result = 1;
	*l->difference = (struct verify_difference){ text, filter, (uint32_t)data.nr,
						     (uint32_t)data.nr, data };
}

/* Takes out of CALLS what WHEN holds too, as far as one part can: what is left is a product again.
 */
static void leave_out(struct space *space, struct product *calls, const struct product *when)
{
	if (apart(space, calls, when))
		return;
	for (size_t i = 0; i < PARTS; i++) {
		uint32_t left = space_minus(space, calls->part[i], when->part[i]);

		if (left == SPACE_EMPTY)
			continue;
		calls->part[i] = left;
		return;
	}
}

static void judge(struct lockstep *l, size_t first, const struct product *known, uint32_t decision)
{
	for (size_t i = first; i < l->items_count; i++) {
		const struct item *item = &l->items[i];
		struct product calls;

		if (apart(l->space, known, &item->when))
			continue;
		if (decisions_equal(item->decision, decision)) {
			if (within(l->space, known, &item->when))
				return;
			continue;
		}
		calls = intersect(l->space, known, &item->when);
		for (size_t before = first; before < i; before++)
			leave_out(l->space, &calls, &l->items[before].when);
		try_call(l, &calls);
		return;
	}
	/* The last item holds always. */
	l->result = -EAGAIN;
}

/* ---- going through
 * ------------------------------------------------------------------------------------------------------
 */

/* In how many parts two products differ; 0 too where the second holds the first. */
static unsigned differing(struct space *space, const struct product *a, const struct product *b)
{
	unsigned n = 0;

	for (size_t i = 0; i < PARTS; i++)
		n += a->part[i] != b->part[i];
	return n > 1 && within(space, a, b) ? 0 : n;
}

static void join(struct space *space, struct product *into, const struct product *from)
{
	for (size_t i = 0; i < PARTS; i++)
		into->part[i] = space_or(space, into->part[i], from->part[i]);
}

/* Whatever comes to PC with these registers becomes one state: for the first item that any of them
 * has not excluded. */
static void collapse(struct lockstep *l, size_t pc, const struct registers *registers)
{
	struct state **at = &l->at[pc], *one = NULL;

	while (*at) {
		struct state *state = *at;

		if (memcmp(&state->registers, registers, sizeof(*registers)) != 0 || !one) {
			if (!memcmp(&state->registers, registers, sizeof(*registers)))
				one = state;
			at = &state->next;
			continue;
		}
		one->item = state->item < one->item ? state->item : one->item;
		join(l->space, &one->known, &state->known);
		*at = state->next;
		free(state);
	}
	one->collapsed = true;
}

/* True: KNOWN has been joined to a state at PC, without loss or because there are too many. */
static bool join_state(struct lockstep *l, size_t pc, const struct registers *registers,
		       size_t item, const struct product *known)
{
	unsigned ways = 0;

	for (struct state *state = l->at[pc]; state; state = state->next) {
		if (memcmp(&state->registers, registers, sizeof(*registers)) != 0)
			continue;
		if (state->collapsed)
			state->item = state->item < item ? state->item : item;
		if (state->collapsed ||
		    (state->item == item && differing(l->space, known, &state->known) <= 1)) {
			join(l->space, &state->known, known);
			return true;
		}
		ways++;
	}
	if (ways < l->ways)
		return false;
	collapse(l, pc, registers);
	return join_state(l, pc, registers, item, known);
}

static void reach(struct lockstep *l, size_t pc, const struct registers *registers, size_t item,
		  const struct product *known)
{
	struct state *state;

	if (is_empty(known) || l->result)
		return;
	while (item + 1 < l->items_count && apart(l->space, known, &l->items[item].when))
		item++;
	if (l->insns[pc].code == (BPF_RET | BPF_K)) {
		judge(l, item, known, decisions_read(l->insns[pc].k));
		return;
	}
	if (join_state(l, pc, registers, item, known))
		return;
	state = l->states_count++ < STATES ? malloc(sizeof(*state)) : NULL;
	if (!state) {
		l->result = -EAGAIN;
		return;
	}
	*state = (struct state){ l->at[pc], *registers, item, false, *known };
	l->at[pc] = state;
}

static void follow_test(struct lockstep *l, size_t pc, const struct state *state)
{
	const struct sock_filter *insn = &l->insns[pc];
	struct product taken = state->known, other = state->known;
	uint32_t words, set = values_test(&l->values, insn, &state->registers, &words);
	size_t part = 0;

	while (part < PARTS && words & ~part_words[part])
		part++;
	if (part == PARTS && set > SPACE_ALL) {
		l->result = -EAGAIN;
		return;
	}
	/* What depends on nothing is of any part. */
	part = part == PARTS ? 0 : part;
	taken.part[part] = space_and(l->space, taken.part[part], set);
	other.part[part] = space_minus(l->space, other.part[part], set);
	reach(l, pc + 1 + insn->jt, &state->registers, state->item, &taken);
	reach(l, pc + 1 + insn->jf, &state->registers, state->item, &other);
}

static void follow(struct lockstep *l, size_t pc, struct state *state)
{
	const struct sock_filter *insn = &l->insns[pc];

	if (BPF_CLASS(insn->code) == BPF_RET) {
		l->result = -EAGAIN;
	} else if (insn->code == (BPF_JMP | BPF_JA)) {
		reach(l, pc + 1 + insn->k, &state->registers, state->item, &state->known);
	} else if (BPF_CLASS(insn->code) == BPF_JMP) {
		follow_test(l, pc, state);
	} else if (values_by_zero(&l->values, insn, &state->registers) != SPACE_EMPTY) {
		l->result = -EAGAIN;
	} else {
		values_step(&l->values, insn, &state->registers);
		reach(l, pc + 1, &state->registers, state->item, &state->known);
	}
}

/* The calls of START, for which the list is as it stands. */
static void go(struct lockstep *l, const struct product *start)
{
	const struct registers registers = { .a = 0 };

	if (l->result)
		return;
	l->states_count = 0;
	reach(l, 0, &registers, 0, start);
	for (size_t pc = 0; pc < l->len; pc++) {
		while (l->at[pc]) {
			struct state *state = l->at[pc];

			l->at[pc] = state->next;
			if (!l->result)
				follow(l, pc, state);
			if (l->values.full || space_exhausted(l->space))
				l->result = -EAGAIN;
			free(state);
		}
	}
}

/* ---- the list
 * -----------------------------------------------------------------------------------------------------------
 */

static void add_item(struct lockstep *l, const struct policy_clause *clause, uint32_t decision)
{
	struct item *item = &l->items[l->items_count++];

	item->when = everything;
	item->decision = decision;
	for (const struct policy_atom *a = clause ? clause->atoms : NULL; a; a = a->next) {
		uint32_t *part = &item->when.part[PART_ARG + a->argument];

		*part = space_and(l->space, *part, explore_atom(l->space, a));
	}
}

static size_t count_items(const struct policy *policy)
{
	size_t most = 1;

	for (const struct policy_rule *r = policy->rules; r; r = r->next) {
		size_t count = 1;

		for (const struct policy_filter *f = r->filters; f; f = f->next) {
			count += !f->clauses;
			for (const struct policy_clause *c = f->clauses; c; c = c->next)
				count++;
		}
		most = count > most ? count : most;
	}
	return most;
}

static void list_rule(struct lockstep *l, const struct policy_rule *rule)
{
	l->items_count = 0;
	for (const struct policy_filter *f = rule->filters; f; f = f->next) {
		if (!f->clauses)
			add_item(l, NULL, explore_action(f->action));
		for (const struct policy_clause *c = f->clauses; c; c = c->next)
			add_item(l, c, explore_action(f->action));
	}
	add_item(l, NULL, explore_action(l->policy->default_action));
}

static void list_one(struct lockstep *l, uint32_t decision)
{
	l->items_count = 0;
	add_item(l, NULL, decision);
}

/* Each rule's calls; then the other numbers; then the other architectures: together, all there are.
 */
static void go_through(struct lockstep *l)
{
	uint32_t here = explore_word(l->space, 1, explore_arch(l->policy->arch));
	struct product calls = everything;
	uint32_t rest = SPACE_ALL, x32;

	calls.part[PART_ARCH] = here;
	for (const struct policy_rule *r = l->policy->rules; r && !l->result; r = r->next) {
		calls.part[PART_NR] = explore_word(l->space, 0, r->number);
		rest = space_minus(l->space, rest, calls.part[PART_NR]);
		list_rule(l, r);
		go(l, &calls);
	}
	if (l->policy->denylist && l->policy->arch == POLICY_X86_64) {
		x32 = explore_x32(l->space);
		calls.part[PART_NR] = space_and(l->space, rest, x32);
		rest = space_minus(l->space, rest, x32);
		list_one(l, DECISION_FOREIGN);
		go(l, &calls);
	}
	calls.part[PART_NR] = rest;
	list_one(l, explore_action(l->policy->default_action));
	go(l, &calls);
	calls = everything;
	calls.part[PART_ARCH] = space_minus(l->space, SPACE_ALL, here);
	list_one(l, DECISION_FOREIGN);
	go(l, &calls);
}

static int try_with(const struct policy *policy, const struct sock_filter *insns, size_t len,
		    unsigned ways, struct verify_difference *difference)
{
	struct lockstep l = { .policy = policy, .insns = insns, .len = len, .ways = ways };

	l.difference = difference;
	l.space = space_new(LIMIT);
	l.at = calloc(len + 1, sizeof(*l.at));
	l.items = calloc(count_items(policy), sizeof(*l.items));
	l.result = l.space && l.at && l.items ? values_init(&l.values, l.space) : -ENOMEM;
	if (!l.result)
		go_through(&l);
	if (l.space)
		values_free(&l.values);
	free(l.items);
	free(l.at);
	space_free(l.space);
	return l.result;
}

int lockstep_verify(const struct policy *policy, const struct sock_filter *insns, size_t len,
		    struct verify_difference *difference)
{
	/* Few ways suffice where a filter forgets between two items what it has learnt; many, where
	 * it does not. */
	int err = try_with(policy, insns, len, 2, difference);

	return err == -EAGAIN ? try_with(policy, insns, len, 16, difference) : err;
}
