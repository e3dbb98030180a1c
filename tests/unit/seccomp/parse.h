/*
 * A policy of a test's own text, for whose words a compiler is meant: it parses, or the test has
 * failed.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "policy/parse.h"

static inline struct policy *parse_as(const char *text, enum policy_arch arch,
				      enum policy_dialect dialect)
{
	const struct policy_parse_options options = { .arch = arch,
						      .dialect = dialect,
						      .errors = stderr };
	struct policy *policy;

	if (policy_parse_text("test", text, strlen(text), &options, &policy) != 0)
		fail_msg("does not parse: %s", text);
	return policy;
}

static inline struct policy *parse(const char *text, enum policy_arch arch)
{
	return parse_as(text, arch, POLICY_DIALECT_COMPILER);
}
