/* The verbs of airlock-policy: one function each, in a file of its own; main.c reads the options
 * and calls one. */
#pragma once

#include <jansson.h>
#include <stdio.h>
#include <sys/types.h>

#include "policy/parse.h"

enum {
	VERB_OK = 0,
	VERB_DIFFERS = 1,
	VERB_FAILED = 1,
	VERB_USAGE = 2
}; /* exit codes */

struct policy_command {
	const char *verb;
	struct policy_parse_options
		parse;	     /* --arch, --dialect, --default-action, --denylist; errors is stderr */
	bool json;	     /* --json: one JSON value on stdout, nothing else there */
	bool assembly;	     /* --asm */
	bool quiet;	     /* --quiet: the exit code says it all */
	const char *output;  /* -o, --output; NULL when not given */
	const char *syscall; /* --syscall */
	const char *trace;   /* --trace: `strace -f` output */
	pid_t pid;	     /* --pid, 0 when not given */
	const char **prove;  /* --prove, repeatable */
	size_t proves;
	char **operands; /* FILE..., before "--" */
	int operands_count;
	char **command; /* what follows "--", NULL-terminated; NULL when there is none */
};

/* Each returns the exit code and has printed its errors. */
int verb_check(struct policy_command *command);
int verb_compile(struct policy_command *command);
int verb_show(struct policy_command *command);
int verb_eval(struct policy_command *command);
int verb_verify(struct policy_command *command);
int verb_diff(struct policy_command *command);
int verb_record(struct policy_command *command);
int verb_audit(struct policy_command *command);
int verb_report(struct policy_command *command);

/* "airlock-policy: VERB: message", and VERB_USAGE or VERB_FAILED for the caller to return. */
__attribute__((format(printf, 2, 3))) int verb_usage(const struct policy_command *command,
						     const char *format, ...);
__attribute__((format(printf, 2, 3))) int verb_fail(const struct policy_command *command,
						    const char *format, ...);

/* Prints an object with its "schema", "airlock-policy/VERB/1", and takes it over.
 * docs/policy-json.md describes them. */
void verb_print_json(const struct policy_command *command, json_t *object);

/* Parses an operand with the command's options. VERB_OK, or the exit code after messages. */
int verb_parse(struct policy_command *command, const char *path, struct policy **out);
