/*
 * One policy held against calls that were seen: which of its rules were used, and which calls it
 * would not let pass. Borrows the policy and the calls; both must outlive it.
 */
#ifndef AIRLOCK_SECCOMP_JUDGE_H
#define AIRLOCK_SECCOMP_JUDGE_H

#include "policy/tree.h"
#include "seccomp/observed.h"

enum judge_verdict {
	JUDGE_PASSES,	 /* allowed, or answered as a rule says (an errno, a tracer) */
	JUDGE_NO_RULE,	 /* refused: no rule names the call */
	JUDGE_ARGUMENTS, /* refused: outside the conditions of its rule */
	JUDGE_BY_RULE,	 /* refused: its rule says so */
	JUDGE_FOREIGN,	 /* refused: another architecture's call */
	JUDGE_UNKNOWN,	 /* depends on an argument that the trace does not tell */
};

struct judge_decision {
	enum judge_verdict verdict;
	const struct policy_rule *rule;	    /* NULL: none */
	const struct policy_filter *filter; /* what decided; NULL: the default action */
	const struct policy_clause
		*clause; /* the alternative that held; NULL where there is no condition */
};

/* A line of the policy that can be of use: a clause, an unconditional filter, or a rule without
 * any. */
struct judge_use {
	const struct policy_rule *rule;
	const struct policy_filter *filter;
	const struct policy_clause *clause;
	uint64_t count;
};

/* Calls alike in role, number, arguments and fate, of one or more threads. */
struct judge_finding {
	const struct observed_call *call; /* the first of them */
	uint64_t count;
	size_t threads;
	struct judge_decision decision; /* what this policy says */
};

struct judge {
	const struct policy *policy;
	struct judge_use *uses; /* by place, a rule's together */
	size_t uses_count;
	struct judge_finding
		*findings; /* refused by the kernel, refused or left open by the policy */
	size_t findings_count;
	uint64_t calls;
	size_t threads;
};

/* Sets in wanted[number] the arguments that the policy's conditions look at, and for calls without
 * a rule those that the rule that is missing would look at. */
void judge_wanted(const struct policy *policy, uint8_t wanted[TRACE_NUMBERS]);

/* What the policy does with one call. */
struct judge_decision judge_decide(const struct policy *policy, const struct observed_call *call);

/* Holds `policy` against the calls (settled) of which take[i] is true. 0 or -ENOMEM. */
int judge_open(const struct policy *policy, const struct observed *seen, const bool *take,
	       struct judge *out);

void judge_close(struct judge *judge);

#endif
