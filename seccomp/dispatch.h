/* The cheapest way from a system call's number to what is decided for it. */
#pragma once

#include "seccomp/graph.h"

struct dispatch_segment {
	uint32_t first,
		last;  /* numbers, inclusive; each segment begins where the one before ends */
	uint32_t node; /* of the graph: what happens to them */
	double weight; /* how often they are called, together */
};

/* The root of a search tree over COUNT segments that cover all numbers, or GRAPH_NONE. */
uint32_t dispatch_build(struct graph *graph, const struct dispatch_segment *segments, size_t count);
