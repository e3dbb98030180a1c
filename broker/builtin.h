/*
 * The policies that this program was built with: texts, and filters that were compiled and proven
 * from them in the build (builtin.gen.c). They are as far to be trusted as the compiler beside them
 * in the same program, and need not be compiled again at each start.
 */
#ifndef AIRLOCK_BROKER_BUILTIN_H
#define AIRLOCK_BROKER_BUILTIN_H

#include <stddef.h>

#include "broker/verdict.h"

struct builtin {
	const char *text;
	size_t size;
	struct filter filter; /* not to be freed */
	const struct verdict *verdict;
};

/* NULL unless the role's text is this, byte for byte. Never one that includes other files. */
const struct builtin *builtin_find(enum role role, const char *text, size_t size);

#endif
