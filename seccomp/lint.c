/* Warnings, from the sets of calls that filters, clauses and comparisons stand for: what can never
 * match, what always does, and what is covered already. */
#include "seccomp/lint.h"

#include <errno.h>
#include <stdio.h>

#include "seccomp/decisions.h"

struct lint {
	struct space *space;
	lint_found *found;
	void *context;
};

static void lint_atom(const struct lint *lint, const struct policy_atom *atom, uint32_t set)
{
	bool sign_extended = atom->value >> 32 == UINT32_MAX &&
			     (atom->comparison == POLICY_EQ || atom->comparison == POLICY_NE);

	if (set == SPACE_EMPTY)
		lint->found(lint->context, atom->place, "this comparison never holds");
	else if (set == SPACE_ALL)
		lint->found(lint->context, atom->place, "this comparison always holds");
	else if (sign_extended)
		lint->found(
			lint->context, atom->place,
			"all 64 bits are compared: an int argument of this value may arrive as its low 32 bits alone");
}

/* The calls of COVERED are decided already; those of the clauses are added to it. */
static uint32_t lint_clauses(const struct lint *lint, const struct policy_clause *clauses,
			     uint32_t covered)
{
	for (const struct policy_clause *c = clauses; c; c = c->next) {
		uint32_t all = SPACE_ALL;

		for (const struct policy_atom *a = c->atoms; a; a = a->next) {
			uint32_t set = explore_atom(lint->space, a);

			lint_atom(lint, a, set);
			all = space_and(lint->space, all, set);
		}
		if (all == SPACE_EMPTY && c->atoms->next)
			lint->found(lint->context, c->atoms->place,
				    "these comparisons never hold together");
		else if (all != SPACE_EMPTY &&
			 space_minus(lint->space, all, covered) == SPACE_EMPTY)
			lint->found(lint->context, c->atoms->place,
				    "never reached: what matches here is decided before");
		covered = space_or(lint->space, covered, all);
	}
	return covered;
}

int lint_policy(struct space *space, const struct policy *policy, lint_found *found, void *context)
{
	const struct lint lint = { space, found, context };

	for (const struct policy_rule *r = policy->rules; r; r = r->next) {
		uint32_t covered = SPACE_EMPTY;

		for (const struct policy_filter *f = r->filters; f && !space_exhausted(space);
		     f = f->next) {
			if (!f->clauses && covered == SPACE_ALL)
				found(context, f->place,
				      "never reached: the filters before it match always");
			if (f->clauses)
				covered = lint_clauses(&lint, f->clauses, covered);
		}
	}
	return space_exhausted(space) ? -E2BIG : 0;
}
