/* What verbs look at: a policy's text, or a filter's bytes. */
#pragma once

#include <linux/filter.h>

#include "seccomp/decisions.h"
#include "seccomp/verbs.h"

struct subject {
	const char *path;
	struct policy *policy;	   /* NULL for a filter */
	struct sock_filter *insns; /* NULL for a text */
	unsigned short len;
};

/* Reads an operand, whatever it is: a filter has NUL bytes and a text has none. VERB_OK, or the
 * exit code after messages; what was read is the caller's, for subject_free(). */
int subject_read(struct policy_command *command, const char *path, struct subject *out);

/* The same for an operand that must be a filter. */
int subject_read_filter(struct policy_command *command, const char *path, struct subject *out);
void subject_free(struct subject *subject);

/* What it decides. VERB_OK, or the exit code after a message: too complex. */
int subject_explore(struct policy_command *command, const struct subject *subject,
		    struct space *space, struct decisions *out);
