/* From calls that were seen, the policy that allows just those. The verb record prints it. */
#ifndef AIRLOCK_SECCOMP_RECORD_H
#define AIRLOCK_SECCOMP_RECORD_H

#include <jansson.h>
#include <stdio.h>

#include "policy/tree.h"
#include "seccomp/observed.h"

/* Alternatives of one rule: where a call was made with more sets of choosing arguments, it is
 * allowed with any. */
#define RECORD_ALTERNATIVES 32

/* The arguments that calls must be told apart by (selector.h). */
void record_wanted(enum policy_arch arch, uint8_t wanted[TRACE_NUMBERS]);

/*
 * Writes a policy that both of minijail's parsers and ours read alike: one rule a call, by name,
 * each under a comment with counts. `subject` is what was watched, for the first line. `seen` is
 * settled. 0 or -ENOMEM.
 */
int record_write(FILE *out, enum policy_arch arch, const char *subject,
		 const struct observed *seen);

/* docs/policy-json.md: "airlock-policy/record/1". NULL without memory. */
json_t *record_json(enum policy_arch arch, const char *subject, const struct observed *seen);

#endif
