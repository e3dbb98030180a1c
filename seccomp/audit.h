/*
 * Policies held against what was seen, each against the threads that it is for. The verbs audit and
 * report share it.
 */
#ifndef AIRLOCK_SECCOMP_AUDIT_H
#define AIRLOCK_SECCOMP_AUDIT_H

#include <jansson.h>

#include "seccomp/judge.h"
#include "seccomp/verbs.h"

#define AUDIT_POLICIES 32

struct audit_part {
	char *threads; /* patterns of fnmatch(3), commas between, "!" before exceptions; NULL: all
			*/
	int level;     /* calls under at least so many filters; 0: those under the thread's last */
	const char *file; /* within the operand */
	struct policy *policy;
	bool *take; /* a call each of `seen`: whether it is this policy's to judge */
	struct judge judge;
};

struct audit {
	enum policy_arch arch;
	struct audit_part parts[AUDIT_POLICIES];
	size_t count;
	struct observed seen;
};

/*
 * Reads one operand, [THREADS][@LEVEL=]FILE, and parses the policy. VERB_OK, or the exit code after
 * a message; the operand must outlive the audit.
 */
int audit_add(struct audit *audit, struct policy_command *command, const char *operand);

/* After the last audit_add: policies without THREADS, where there are several, are for threads
 * named as their file. */
int audit_wanted(struct audit *audit, uint8_t wanted[TRACE_NUMBERS]);

/* Judges audit->seen, which is settled. 0 or -ENOMEM. */
int audit_judge(struct audit *audit);

/* Whether any policy judged audit->seen.calls[i]. */
bool audit_is_judged(const struct audit *audit, size_t i);

/* Calls refused, by the kernel or by a policy. */
uint64_t audit_refused(const struct audit *audit);

/* docs/policy-json.md: "airlock-policy/audit/1". NULL without memory. */
json_t *audit_json(const struct audit *audit);

void audit_close(struct audit *audit);

#endif
