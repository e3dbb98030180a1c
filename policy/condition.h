/* Conditions on a call's arguments, and where text stands. */
#pragma once

#include <stdint.h>

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

const char *policy_comparison_name(enum policy_comparison comparison);
