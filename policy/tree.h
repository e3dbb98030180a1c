/* What a policy says, after parsing: rules by system call, each a list of filters of which the
 * first that matches decides, each filter a disjunction of clauses, each clause a conjunction of
 * comparisons. Read-only once built. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/action.h"
#include "policy/condition.h"
#include "policy/property.h"

enum policy_arch {
	POLICY_X86_64,
	POLICY_AARCH64,
	POLICY_RISCV64,
	POLICY_ARCHES
};

struct policy_filter {
	struct policy_filter *next;
	struct policy_place place;
	struct policy_clause *clauses; /* any of them; NULL: always */
	struct policy_action action;
};

struct policy_rule {
	struct policy_rule *next; /* by ascending number, one rule a number */
	struct policy_place place;
	const char *name;
	const char *reason; /* the comment beside or above the rule, "" when there is none */
	uint32_t number;
	uint64_t weight;	       /* from @frequency, 1 where that is silent */
	struct policy_filter *filters; /* first match decides; none: the default action */
};

struct policy {
	enum policy_arch arch;
	bool denylist;	    /* what no rule names is allowed */
	bool default_given; /* by @default, @denylist or the caller; else it is kill-thread, as in
			       minijail */
	struct policy_action default_action;
	struct policy_rule *rules;
	struct policy_property *properties;
	struct policy_arena *arena; /* owns all of the above */
};
