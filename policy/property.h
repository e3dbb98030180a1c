/* What an author promises of a policy. */
#pragma once

#include "policy/condition.h"

enum policy_claim {
	POLICY_NEVER,
	POLICY_ONLY,
	POLICY_ALWAYS
};

/* "@prove" in a comment, or --prove: what must hold over all arguments. One property a system call.
 */
struct policy_property {
	struct policy_property *next;
	struct policy_place place;
	enum policy_claim claim;
	const char *text; /* as written */
	const char *name;
	uint32_t number;
	struct policy_clause *clauses; /* NULL: whatever the arguments */
};
