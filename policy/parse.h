/* Reads a policy of either minijail dialect into a tree. docs/policy.md describes the language. */
#pragma once

#include <stdio.h>

#include "policy/tree.h"

/* minijail0 and minijail's compiler give "EXPR; return E" opposite meanings, so neither is the
 * default. */
enum policy_dialect {
	POLICY_DIALECT_UNSAID,	 /* what both understand alike, and what only one understands */
	POLICY_DIALECT_MINIJAIL, /* minijail0 -S: what it refuses is refused */
	POLICY_DIALECT_COMPILER, /* compile_seccomp_policy.py */
};

struct policy_parse_options {
	enum policy_arch arch;
	enum policy_dialect dialect;
	bool denylist;	    /* every file must say @denylist; what no rule names is allowed */
	bool default_given; /* default_action overrides the file's @default */
	struct policy_action default_action;
	FILE *errors; /* where "FILE:LINE:COL: message", the line and a caret go; NULL: nowhere */
	/* Called for each error too, when it is not NULL. */
	void (*report)(void *context, struct policy_place place, const char *message);
	void *report_context;
};

/* Reads PATH and what it includes. On success *OUT is the caller's, for policy_free().
 * -EINVAL: the text is wrong and every error has been printed; otherwise the reason why PATH cannot
 * be read. */
int policy_parse(const char *path, const struct policy_parse_options *options, struct policy **out);

/* The same from memory; NAME stands in messages, and @include resolves against its directory. */
int policy_parse_text(const char *name, const char *text, size_t size,
		      const struct policy_parse_options *options, struct policy **out);

/* Adds what "@prove TEXT" would have added. -EINVAL after a message to ERRORS. */
int policy_prove(struct policy *policy, const char *text, FILE *errors);

void policy_free(struct policy *policy);
