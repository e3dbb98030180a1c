/* Comparing what texts and filters decide, in the process that proves. Sets are exact and equal
 * ones are the same number: where no difference is left there is none. */
#include "seccomp/verify.h"

#include <errno.h>
#include <linux/seccomp.h>

#include "seccomp/lockstep.h"

struct comparison {
	struct space *space;
	verify_found *found;
	void *context;
	uint32_t arch;
	int count;
	bool over;
};

static void report(struct comparison *c, struct verify_difference *d, uint32_t set)
{
	d->witness = space_pick(c->space, set);
	c->count++;
	c->over = c->found && !c->found(c->context, d);
}

/* Runs of numbers which SET treats alike are one difference each. */
static void report_runs(struct comparison *c, uint32_t a, uint32_t b, uint32_t set)
{
	struct verify_difference d = { .a = a, .b = b };
	uint32_t here = space_and(c->space, set, explore_word(c->space, 1, c->arch));
	uint32_t elsewhere = space_minus(c->space, set, here);

	for (uint32_t from = 0; here != SPACE_EMPTY && !c->over; from = d.last_nr + 1) {
		uint32_t left = space_run(c->space, here, c->arch, from, &d.last_nr);

		d.first_nr = from;
		if (left != SPACE_EMPTY)
			report(c, &d, space_and(c->space, here, explore_word(c->space, 0, from)));
		if (d.last_nr == UINT32_MAX)
			break;
	}
	if (elsewhere != SPACE_EMPTY && !c->over) {
		d.first_nr = 0;
		d.last_nr = UINT32_MAX;
		report(c, &d, elsewhere);
	}
}

int verify_compare(const struct decisions *a, const struct decisions *b, uint32_t arch,
		   verify_found *found, void *context)
{
	struct comparison c = {
		.space = a->space, .found = found, .context = context, .arch = arch
	};

	for (size_t i = 0; i < a->count && !c.over; i++) {
		for (size_t j = 0; j < b->count && !c.over; j++) {
			uint32_t set;

			if (decisions_equal(a->at[i].decision, b->at[j].decision))
				continue;
			set = space_and(c.space, a->at[i].set, b->at[j].set);
			if (set != SPACE_EMPTY)
				report_runs(&c, a->at[i].decision, b->at[j].decision, set);
		}
	}
	return space_exhausted(c.space) ? -E2BIG : c.count;
}

static bool lets_through(uint32_t decision)
{
	switch (decision & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_ALLOW:
	case SECCOMP_RET_LOG:
	case SECCOMP_RET_TRACE:
	case SECCOMP_RET_USER_NOTIF:
		return decision != DECISION_FOREIGN;
	default:
		return false;
	}
}

/* A decision that would break the property if one of the property's calls got it. */
static bool breaks(const struct policy_property *property, uint32_t decision)
{
	return property->claim == POLICY_ALWAYS ? decision != SECCOMP_RET_ALLOW
						: lets_through(decision);
}

int verify_property(const struct decisions *decisions, uint32_t arch,
		    const struct policy_property *property, struct seccomp_data *witness,
		    uint32_t *decision)
{
	struct space *space = decisions->space;
	uint32_t calls = space_and(space, explore_word(space, 1, arch),
				   explore_word(space, 0, property->number));
	uint32_t which = explore_clauses(space, property->clauses);

	calls = property->claim == POLICY_ONLY ? space_minus(space, calls, which)
					       : space_and(space, calls, which);
	for (size_t i = 0; i < decisions->count; i++) {
		uint32_t set = space_and(space, calls, decisions->at[i].set);

		if (space_exhausted(space))
			return -E2BIG;
		if (set == SPACE_EMPTY || !breaks(property, decisions->at[i].decision))
			continue;
		*witness = space_pick(space, set);
		*decision = decisions->at[i].decision;
		return 1;
	}
	return space_exhausted(space) ? -E2BIG : 0;
}

static bool keep_first(void *context, const struct verify_difference *difference)
{
	*(struct verify_difference *)context = *difference;
	return false;
}

int verify_exactly(const struct policy *policy, const struct sock_filter *insns, size_t len,
		   struct verify_difference *difference)
{
	struct space *space = space_new(SPACE_LIMIT);
	struct decisions text, filter;
	int err;

	if (!space)
		return -ENOMEM;
	err = explore_policy(space, policy, &text);
	if (!err)
		err = explore_filter(space, insns, len, &filter);
	if (!err)
		err = verify_compare(&text, &filter, explore_arch(policy->arch), keep_first,
				     difference);
	space_free(space);
	return err;
}

int verify_filter(const struct policy *policy, const struct sock_filter *insns, size_t len,
		  struct verify_difference *difference)
{
	int err = lockstep_verify(policy, insns, len, difference);

	return err == -EAGAIN ? verify_exactly(policy, insns, len, difference) : err;
}
