/*
 * Policies side by side, with what was observed of them: the columns of one page. Made of the
 * "policies" of audits (docs/policy-json.md), whether just made or read from a file.
 */
#ifndef AIRLOCK_SECCOMP_REPORT_H
#define AIRLOCK_SECCOMP_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct report {
	json_t *columns; /* an array of audits' "policies", each with "observed": true or false */
	bool observed;	 /* of any column */
	bool complete;	 /* no audit lost anything */
};

int report_open(struct report *report);

/*
 * Adds the policies of an audit: new columns, or to the counts of columns of the same name.
 * `observed`: the audit saw something. 0; -EINVAL: not such an audit; -EEXIST: it is about another
 * text of a policy that is here already.
 */
int report_add(struct report *report, json_t *audit, bool observed);

/* The page: one file, no scripts, nothing fetched. */
void report_html(const struct report *report, FILE *out);

void report_close(struct report *report);

/* A policy's short name: "worker" of "policy/worker.policy". In `name`; returns it. */
const char *report_name(const json_t *column, char *name, size_t size);

/* Strings and numbers of JSON that somebody else wrote: "" and 0 where there is none. */
const char *report_string(const json_t *object, const char *key);
json_int_t report_count(const json_t *object, const char *key);

#endif
