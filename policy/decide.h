/* What a policy's text decides for one call, read straight off the tree. */
#pragma once

#include "policy/tree.h"

/* FILTER is the one that matched, NULL where the default action decides; RULE the call's rule, NULL
 * when it has none. Either may be NULL. */
struct policy_action policy_decide(const struct policy *policy, uint32_t number,
				   const uint64_t arguments[6], const struct policy_rule **rule,
				   const struct policy_filter **filter);

/* Whether one comparison, or one of the clauses (NULL: yes), holds. */
bool policy_holds(const struct policy_atom *atom, const uint64_t arguments[6]);
bool policy_matches(const struct policy_clause *clauses, const uint64_t arguments[6]);
