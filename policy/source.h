/* One text being read, and the way errors in it are shown. */
#pragma once

#include <stdio.h>
#include <sys/types.h>

#include "policy/tree.h"

#define SOURCE_LIMIT (1u << 20) /* bytes of one file */

struct policy_source {
	struct policy_source *includer; /* NULL for the first */
	char *name;			/* owned by the policy's arena: places point here */
	char *text;			/* owned; not NUL-terminated */
	size_t size;
	dev_t device; /* of the file; both 0 for text from memory */
	ino_t inode;
};

/* Reads the regular file NAME whole. -EFBIG above the limit, -EINVAL for what is not a file,
 * -errno. */
int source_read(struct policy_source *source, const char *name);
void source_close(struct policy_source *source);

/* "NAME:LINE:COLUMN: [KIND: ]MESSAGE", the line, and a caret under LENGTH bytes of it. */
void source_complain(const struct policy_source *source, FILE *to, struct policy_place place,
		     size_t length, const char *kind, const char *message);
