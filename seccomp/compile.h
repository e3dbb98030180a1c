/* From a policy to a seccomp filter. */
#pragma once

#include <linux/filter.h>

#include "policy/tree.h"

/* The filter, allocated for the caller. -E2BIG above 4096 instructions: *LENGTH says how many there
 * would be (0: too many to count). -ENOMEM. It is not proven yet: verify.h. */
int compile_policy(const struct policy *policy, struct sock_filter **out, size_t *length);

/* AUDIT_ARCH_*, and an action as SECCOMP_RET_* with its data. */
uint32_t compile_arch(enum policy_arch arch);
uint32_t compile_action(struct policy_action action);
