/* What is legal in a policy and probably a mistake. */
#pragma once

#include "policy/tree.h"
#include "seccomp/space.h"

typedef void lint_found(void *context, struct policy_place place, const char *message);

/* Calls FOUND for each. 0 or -E2BIG. */
int lint_policy(struct space *space, const struct policy *policy, lint_found *found, void *context);
