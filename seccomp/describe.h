/* Calls, decisions and conditions in words, for people and as JSON. */
#pragma once

#include <jansson.h>
#include <linux/seccomp.h>
#include <stdio.h>

#include "policy/tree.h"

#define DESCRIBE_SIZE 256

/* "ioctl(0x3, 0x400454d0, 0x0, 0x0, 0x0, 0x0)", with the architecture in front where it is not
 * ARCH. */
const char *describe_call(enum policy_arch arch, const struct seccomp_data *data,
			  char buffer[DESCRIBE_SIZE]);

/* {"arch", "nr", "name" or null, "args": six hex strings} */
json_t *describe_call_json(const struct seccomp_data *data);

/* "allow", "errno=1 (EPERM)", and so on; NAMED adds what is in parentheses. A DECISION_FOREIGN is
 * "kill". */
const char *describe_decision(uint32_t decision, bool named, char buffer[DESCRIBE_SIZE]);
const char *describe_action(struct policy_action action, bool named, char buffer[DESCRIBE_SIZE]);

/* "read", "read to write (0-1)", "335-423": a run of numbers. */
const char *describe_run(enum policy_arch arch, uint32_t first, uint32_t last,
			 char buffer[DESCRIBE_SIZE]);

/* "arg1 == 0x400454d0 || arg0 in 0x3 && arg2 != 0x0", as the language has it. */
void describe_clauses(const struct policy_clause *clauses, FILE *to);
char *
describe_clauses_string(const struct policy_clause *clauses); /* to be freed; NULL without memory */

/* AUDIT_ARCH_* to a name, or NULL. */
const char *describe_arch(uint32_t audit_arch);
