/* Installing a compiled filter: all that the confined device links of this room. No allocation, no
 * library. */
#pragma once

#include <stddef.h>
#include <linux/filter.h>

#define INSTALL_MAX 4096 /* BPF_MAXINSNS */

/* Reads a whole filter from a sealed memory file of the broker's into BUF. The count of
 * instructions; -EINVAL when size or last instruction are not a filter's, -E2BIG above MAX, -errno
 * of reading. FD stays the caller's and keeps its position. */
int install_load(int fd, struct sock_filter *buf, size_t max);

/* Installs for the calling thread only, for good. no_new_privs must be set. 0 or -errno. */
int install_set(const struct sock_filter *insns, unsigned short count);

/* Both, with a buffer on the stack (32 KiB). */
int install_filter(int fd);
