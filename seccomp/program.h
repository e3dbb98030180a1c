/* A filter as bytes: from a file, and whether the kernel would take it. */
#pragma once

#include <linux/filter.h>
#include <stddef.h>
#include <stdio.h>

/* Reads a raw array of struct sock_filter; *OUT is the caller's to free. -EINVAL when the size is
 * not one of a filter, -E2BIG above BPF_MAXINSNS instructions, -errno. */
int program_read(const char *path, struct sock_filter **out, unsigned short *len);

/* What the kernel's own checker does before a seccomp filter is installed: 0, or -EINVAL with the
 * index of the first instruction at fault and a reason. */
int program_check(const struct sock_filter *insns, size_t len, size_t *at, const char **reason);
