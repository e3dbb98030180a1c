/* From a decision graph to BPF. */
#pragma once

#include <linux/filter.h>

#include "seccomp/graph.h"

/* The program that decides as the graph below ROOT, allocated for the caller; *LENGTH may be above
 * BPF_MAXINSNS, then *OUT is NULL and -E2BIG returned. 0 or -errno. */
int emit_program(const struct graph *graph, uint32_t root, struct sock_filter **out,
		 size_t *length);
