/* The language's meaning in its plainest form, for any thread: what eval shows, and what tests hold
 * the compiler and the proof against. */
#include "policy/decide.h"

bool policy_holds(const struct policy_atom *atom, const uint64_t arguments[6])
{
	uint64_t argument = arguments[atom->argument];

	switch (atom->comparison) {
	case POLICY_EQ:
		return argument == atom->value;
	case POLICY_NE:
		return argument != atom->value;
	case POLICY_LT:
		return argument < atom->value;
	case POLICY_LE:
		return argument <= atom->value;
	case POLICY_GT:
		return argument > atom->value;
	case POLICY_GE:
		return argument >= atom->value;
	case POLICY_ANY:
		return (argument & atom->value) != 0;
	case POLICY_IN:
		return (argument & ~atom->value) == 0;
	}
	return false;
}

bool policy_matches(const struct policy_clause *clauses, const uint64_t arguments[6])
{
	if (!clauses)
		return true;
	for (; clauses; clauses = clauses->next) {
		const struct policy_atom *atom = clauses->atoms;

		while (atom && policy_holds(atom, arguments))
			atom = atom->next;
		if (!atom)
			return true;
	}
	return false;
}

struct policy_action policy_decide(const struct policy *policy, uint32_t number,
				   const uint64_t arguments[6], const struct policy_rule **rule,
				   const struct policy_filter **filter)
{
	const struct policy_rule *r = policy->rules;
	const struct policy_filter *f = NULL;

	while (r && r->number != number)
		r = r->next;
	if (r)
		for (f = r->filters; f && !policy_matches(f->clauses, arguments);)
			f = f->next;
	if (rule)
		*rule = r;
	if (filter)
		*filter = f;
	return f ? f->action : policy->default_action;
}
