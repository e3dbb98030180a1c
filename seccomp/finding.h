/* What a finding of judge.h means, in words. Pure functions that write to a stream. */
#ifndef AIRLOCK_SECCOMP_FINDING_H
#define AIRLOCK_SECCOMP_FINDING_H

#include <stdio.h>

#include "seccomp/judge.h"

/* "refused by the kernel", "would be refused" or "may be refused". */
const char *finding_fate(const struct judge_finding *finding);

/* "no rule for it", "outside the conditions of FILE:LINE", ... */
void finding_why(FILE *out, const struct judge_finding *finding);

/* Whether a line in the policy would help. */
bool finding_is_missing(enum policy_arch arch, const struct judge_finding *finding);

/* That line, or the condition: "getppid: 1"; nothing where none would help. */
void finding_missing(FILE *out, enum policy_arch arch, const struct judge_finding *finding);

#endif
