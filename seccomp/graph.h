/* A decision graph: tests of one 32-bit word each, and verdicts. The compiler's middle form,
 * between a policy's rules and the instructions. Nodes are shared: two equal ones are one, and a
 * node's number is above those of its branches. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRAPH_WORDS 16	       /* of struct seccomp_data */
#define GRAPH_NODES (1u << 18) /* as many as are ever held */
#define GRAPH_NONE  UINT32_MAX /* no memory, or too many */

enum {
	GRAPH_NR = 0,
	GRAPH_ARCH = 1
}; /* words; argument N is at 4 + 2N (low) and 5 + 2N (high) */

enum graph_test {
	GRAPH_RETURN,
	GRAPH_EQ,
	GRAPH_GE,
	GRAPH_SET
};

struct graph_node {
	enum graph_test test;
	uint8_t word;
	uint32_t k; /* compared with; of GRAPH_RETURN: the action */
	uint32_t yes, no;
};

struct graph {
	struct graph_node *nodes;
	double *weights; /* how often a node is passed, as far as is known */
	uint32_t count, room;
	uint32_t *table; /* hash to number + 1 */
	uint32_t table_size;
};

int graph_init(struct graph *graph); /* 0 or -ENOMEM */
void graph_free(struct graph *graph);

/* Each returns a node's number. A test that its constant decides is not made: the branch is
 * returned instead. */
uint32_t graph_return(struct graph *graph, uint32_t action);
uint32_t graph_test(struct graph *graph, unsigned word, enum graph_test test, uint32_t k,
		    uint32_t yes, uint32_t no);

/* The graph below ROOT without the tests whose outcome the path to them has settled. */
uint32_t graph_simplify(struct graph *graph, uint32_t root);
