/* What others want of this room: a policy file in, proven bytes out. The broker calls it in its
 * build, and in an unprivileged child. */
#pragma once

#include <linux/filter.h>

#include "policy/parse.h"

struct filter {
	struct sock_filter *insns; /* owned; filter_free() */
	unsigned short len;
};

struct filter_options {
	bool default_given; /* else @default of the file, else kill-thread */
	struct policy_action default_action;
	enum policy_dialect dialect;
	FILE *errors; /* messages, FILE:LINE:COL first; NULL: none */
};

/* Parses, compiles and proves PATH for this machine. 0; -EINVAL for a wrong policy, a property that
 * does not hold or a failed proof; -E2BIG above 4096 instructions; -errno of reading. OUT is zeroed
 * on failure. */
int filter_build(const char *path, const struct filter_options *options, struct filter *out);
/* The same for a process that may not open the file: its text, and the NAME that messages give it.
 */
int filter_build_text(const char *name, const char *text, size_t size,
		      const struct filter_options *options, struct filter *out);
void filter_free(struct filter *filter);

/* Names of the calls that PATH lets run, whatever the arguments must be: ascending numbers, at most
 * MAX of them, static strings. The count, or -errno as above. */
int filter_syscalls(const char *path, const struct filter_options *options, const char **names,
		    size_t max);
int filter_syscalls_text(const char *name, const char *text, size_t size,
			 const struct filter_options *options, const char **names, size_t max);

/* SHA-256 over the instructions' bytes, in lower-case hex with its NUL. */
void filter_sha256(const struct sock_filter *insns, unsigned short len, char hex[65]);

/* The two halves of filter_build(), for who has the text already; PATH stands in messages. */
int filter_compile(const struct policy *policy, const char *path, FILE *errors, struct filter *out);
int filter_prove(const struct policy *policy, const char *path, const struct sock_filter *insns,
		 size_t len, FILE *errors);
