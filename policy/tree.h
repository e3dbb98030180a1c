/* What a policy says, after parsing: rules by system call, each a list of filters of which the
 * first that matches decides, each filter a disjunction of clauses, each clause a conjunction of
 * comparisons. Read-only once built. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum policy_arch {
	POLICY_X86_64,
	POLICY_AARCH64,
	POLICY_RISCV64,
	POLICY_ARCHES
};

/* In the order of the kernel's precedence, strictest first. */
enum policy_verdict {
	POLICY_KILL_PROCESS,
	POLICY_KILL_THREAD,
	POLICY_TRAP,
	POLICY_ERRNO,
	POLICY_NOTIFY,
	POLICY_TRACE,
	POLICY_LOG,
	POLICY_ALLOW,
};

struct policy_action {
	enum policy_verdict verdict;
	uint16_t number; /* the errno of POLICY_ERRNO, 0 to 4095; 0 elsewhere */
};

/* Comparisons are unsigned, over all 64 bits of the register. */
enum policy_comparison {
	POLICY_EQ,
	POLICY_NE,
	POLICY_LT,
	POLICY_LE,
	POLICY_GT,
	POLICY_GE,
	POLICY_ANY, /* "&":  (argument & value) != 0 */
	POLICY_IN,  /* "in": (argument & ~value) == 0 */
};

struct policy_place {
	const char *file; /* as opened */
	uint32_t line;	  /* both from 1; columns count bytes */
	uint32_t column;
};

struct policy_atom {
	struct policy_atom *next;
	struct policy_place place;
	uint64_t value;
	enum policy_comparison comparison;
	uint8_t argument; /* 0 to 5 */
};

struct policy_clause {
	struct policy_clause *next;
	struct policy_atom *atoms; /* all of them; at least one */
};

struct policy_filter {
	struct policy_filter *next;
	struct policy_place place;
	struct policy_clause *clauses; /* any of them; NULL: always */
	struct policy_action action;
};

struct policy_rule {
	struct policy_rule *next; /* by ascending number, one rule a number */
	struct policy_place place;
	const char *name;
	const char *reason; /* the comment beside or above the rule, "" when there is none */
	uint32_t number;
	uint64_t weight;	       /* from @frequency, 1 where that is silent */
	struct policy_filter *filters; /* first match decides; none: the default action */
};

enum policy_claim {
	POLICY_NEVER,
	POLICY_ONLY,
	POLICY_ALWAYS
};

/* "@prove" in a comment, or --prove: what must hold over all arguments. One property a system call.
 */
struct policy_property {
	struct policy_property *next;
	struct policy_place place;
	enum policy_claim claim;
	const char *text; /* as written */
	const char *name;
	uint32_t number;
	struct policy_clause *clauses; /* NULL: whatever the arguments */
};

struct policy {
	enum policy_arch arch;
	bool denylist;	    /* what no rule names is allowed */
	bool default_given; /* by @default, @denylist or the caller; else it is kill-thread, as in
			       minijail */
	struct policy_action default_action;
	struct policy_rule *rules;
	struct policy_property *properties;
	struct policy_arena *arena; /* owns all of the above */
};
