/* Decision graphs, in the process that compiles. What a policy may make of one is bounded by
 * GRAPH_NODES; beyond, every function answers GRAPH_NONE. Correctness is not trusted to this file:
 * verify.c proves the result. */
#include "seccomp/graph.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int graph_init(struct graph *graph)
{
	*graph = (struct graph){ .room = 1024, .table_size = 4096 };
	graph->nodes = calloc(graph->room, sizeof(*graph->nodes));
	graph->weights = calloc(graph->room, sizeof(*graph->weights));
	graph->table = calloc(graph->table_size, sizeof(*graph->table));
	if (graph->nodes && graph->weights && graph->table)
		return 0;
	graph_free(graph);
	return -ENOMEM;
}

void graph_free(struct graph *graph)
{
	free(graph->nodes);
	free(graph->weights);
	free(graph->table);
	*graph = (struct graph){ .nodes = NULL };
}

/* ---- shared nodes
 * -----------------------------------------------------------------------------------------------------
 */

static uint32_t node_hash(const struct graph_node *n)
{
	uint64_t h = n->k * 0x9e3779b97f4a7c15u;

	h = (h ^ n->yes) * 0xff51afd7ed558ccdu;
	h = (h ^ n->no ^ h >> 29) * 0xc4ceb9fe1a85ec53u;
	h = (h ^ (uint64_t)n->word << 8 ^ n->test) * 0x9e3779b97f4a7c15u;
	return (uint32_t)(h >> 32);
}

static bool node_equal(const struct graph_node *a, const struct graph_node *b)
{
	return a->test == b->test && a->word == b->word && a->k == b->k && a->yes == b->yes &&
	       a->no == b->no;
}

static int graph_grow(struct graph *graph)
{
	uint32_t room = graph->room * 2, size = room * 4;
	struct graph_node *nodes;
	double *weights;
	uint32_t *table;

	if (graph->room >= GRAPH_NODES)
		return -E2BIG;
	nodes = reallocarray(graph->nodes, room, sizeof(*nodes));
	if (!nodes)
		return -ENOMEM;
	graph->nodes = nodes;
	weights = reallocarray(graph->weights, room, sizeof(*weights));
	if (!weights)
		return -ENOMEM;
	graph->weights = weights;
	table = calloc(size, sizeof(*table));
	if (!table)
		return -ENOMEM;
	free(graph->table);
	graph->table = table;
	graph->table_size = size;
	graph->room = room;
	for (uint32_t i = 0; i < graph->count; i++) {
		uint32_t at = node_hash(&nodes[i]) & (size - 1);

		while (table[at])
			at = (at + 1) & (size - 1);
		table[at] = i + 1;
	}
	return 0;
}

static uint32_t graph_add(struct graph *graph, struct graph_node node)
{
	uint32_t at = node_hash(&node) & (graph->table_size - 1);

	for (; graph->table[at]; at = (at + 1) & (graph->table_size - 1))
		if (node_equal(&graph->nodes[graph->table[at] - 1], &node))
			return graph->table[at] - 1;
	if (graph->count == graph->room) {
		if (graph_grow(graph) < 0)
			return GRAPH_NONE;
		at = node_hash(&node) & (graph->table_size - 1);
		while (graph->table[at])
			at = (at + 1) & (graph->table_size - 1);
	}
	graph->nodes[graph->count] = node;
	graph->weights[graph->count] = 0;
	graph->table[at] = ++graph->count;
	return graph->count - 1;
}

uint32_t graph_return(struct graph *graph, uint32_t action)
{
	return graph_add(graph, (struct graph_node){ .test = GRAPH_RETURN, .k = action });
}

uint32_t graph_test(struct graph *graph, unsigned word, enum graph_test test, uint32_t k,
		    uint32_t yes, uint32_t no)
{
	uint32_t swap = yes;

	if (yes == GRAPH_NONE || no == GRAPH_NONE)
		return GRAPH_NONE;
	if (yes == no || (test == GRAPH_GE && k == 0))
		return yes;
	if (test == GRAPH_SET && k == 0)
		return no;
	/* One spelling for each test, so that equal ones are found equal. */
	if ((test == GRAPH_GE && k == 1) || (test == GRAPH_SET && k == UINT32_MAX)) {
		test = GRAPH_EQ;
		k = 0;
		yes = no;
		no = swap;
	} else if (test == GRAPH_GE && k == UINT32_MAX) {
		test = GRAPH_EQ;
	} else if (test == GRAPH_SET && k == 1u << 31) {
		test = GRAPH_GE;
	}
	return graph_add(
		graph, (struct graph_node){
			       .test = test, .word = (uint8_t)word, .k = k, .yes = yes, .no = no });
}

/* ---- what a path knows
 * ------------------------------------------------------------------------------------------------
 */

/* Of one word: bounds, bits known to be one or zero, and one value that it is not. An approximation
 * from above. */
struct knowledge {
	uint32_t low, high, ones, zeros, other;
	bool has_other;
};

struct facts {
	struct knowledge words[GRAPH_WORDS];
	bool reached;
};

static const struct knowledge nothing = { .high = UINT32_MAX };

/* The test's outcome if it is settled: 1, 0, or -1. */
static int settled(const struct knowledge *w, const struct graph_node *n)
{
	switch (n->test) {
	case GRAPH_EQ:
		if (w->low == w->high)
			return w->low == n->k;
		if (n->k < w->low || n->k > w->high || (w->has_other && w->other == n->k))
			return 0;
		return (n->k & w->zeros) || (~n->k & w->ones) ? 0 : -1;
	case GRAPH_GE:
		return w->low >= n->k ? 1 : w->high < n->k ? 0 : -1;
	case GRAPH_SET:
		if (w->low == w->high)
			return (w->low & n->k) != 0;
		return (w->ones & n->k) ? 1 : (n->k & ~w->zeros) == 0 ? 0 : -1;
	case GRAPH_RETURN:
		break;
	}
	return -1;
}

static void learn(struct knowledge *w, const struct graph_node *n, bool outcome)
{
	if (n->test == GRAPH_EQ && outcome) {
		*w = (struct knowledge){ .low = n->k, .high = n->k, .ones = n->k, .zeros = ~n->k };
	} else if (n->test == GRAPH_EQ) {
		if (w->low == n->k)
			w->low++;
		else if (w->high == n->k)
			w->high--;
		else
			w->other = n->k;
		w->has_other |= w->other == n->k && w->low < n->k && n->k < w->high;
	} else if (n->test == GRAPH_GE) {
		if (outcome && w->low < n->k)
			w->low = n->k;
		if (!outcome && w->high > n->k - 1)
			w->high = n->k - 1;
	} else if (outcome && !(n->k & (n->k - 1))) {
		w->ones |= n->k;
	} else if (!outcome) {
		w->zeros |= n->k;
	}
}

/* What two paths to one node both know. */
static void merge(struct facts *into, const struct facts *from)
{
	if (!into->reached) {
		*into = *from;
		into->reached = true;
		return;
	}
	for (unsigned i = 0; i < GRAPH_WORDS; i++) {
		struct knowledge *a = &into->words[i];
		const struct knowledge *b = &from->words[i];

		/* The value that is excluded holds for both when the other path's bounds exclude it
		 * too. */
		if (a->has_other && !(b->has_other && b->other == a->other) && a->other >= b->low &&
		    a->other <= b->high)
			a->has_other = false;
		else if (!a->has_other && b->has_other &&
			 (b->other < a->low || b->other > a->high)) {
			a->has_other = true;
			a->other = b->other;
		}
		a->low = a->low < b->low ? a->low : b->low;
		a->high = a->high > b->high ? a->high : b->high;
		a->ones &= b->ones;
		a->zeros &= b->zeros;
	}
}

/* ---- simplification
 * ---------------------------------------------------------------------------------------------------
 */

struct simplifier {
	struct graph *graph;
	struct facts *facts; /* by node, for those up to the root */
	uint32_t *yes, *no;  /* where each branch really leads */
	uint32_t *made;	     /* the simplified node */
};

static uint32_t follow(struct simplifier *s, const struct facts *facts, uint32_t to)
{
	struct facts *target;

	for (;;) {
		const struct graph_node *n = &s->graph->nodes[to];
		int outcome = n->test == GRAPH_RETURN ? -1 : settled(&facts->words[n->word], n);

		if (outcome < 0)
			break;
		to = outcome ? n->yes : n->no;
	}
	target = &s->facts[to];
	if (s->graph->nodes[to].test != GRAPH_RETURN)
		merge(target, facts);
	else
		target->reached = true;
	return to;
}

static uint32_t simplify_once(struct simplifier *s, uint32_t root)
{
	struct graph *graph = s->graph;

	for (uint32_t i = 0; i <= root; i++)
		s->facts[i].reached = false;
	s->facts[root].reached = true;
	for (unsigned i = 0; i < GRAPH_WORDS; i++)
		s->facts[root].words[i] = nothing;
	/* A node's number is above its branches': all paths to it are known when it is its turn. */
	for (uint32_t i = root + 1; i-- > 0;) {
		const struct graph_node *n = &graph->nodes[i];
		struct facts facts;

		if (!s->facts[i].reached || n->test == GRAPH_RETURN)
			continue;
		facts = s->facts[i];
		learn(&facts.words[n->word], n, true);
		s->yes[i] = follow(s, &facts, n->yes);
		facts = s->facts[i];
		learn(&facts.words[n->word], n, false);
		s->no[i] = follow(s, &facts, n->no);
	}
	for (uint32_t i = 0; i <= root; i++) {
		const struct graph_node n = graph->nodes[i];

		if (!s->facts[i].reached)
			continue;
		s->made[i] = n.test == GRAPH_RETURN
				     ? i
				     : graph_test(graph, n.word, n.test, n.k, s->made[s->yes[i]],
						  s->made[s->no[i]]);
		if (s->made[i] == GRAPH_NONE)
			return GRAPH_NONE;
	}
	return s->made[root];
}

uint32_t graph_simplify(struct graph *graph, uint32_t root)
{
	for (unsigned pass = 0; pass < 4 && root != GRAPH_NONE; pass++) {
		struct simplifier s = { .graph = graph };
		uint32_t before = root;

		s.facts = calloc(root + 1, sizeof(*s.facts));
		s.yes = calloc(root + 1, sizeof(*s.yes));
		s.no = calloc(root + 1, sizeof(*s.no));
		s.made = calloc(root + 1, sizeof(*s.made));
		root = s.facts && s.yes && s.no && s.made ? simplify_once(&s, root) : GRAPH_NONE;
		free(s.facts);
		free(s.yes);
		free(s.no);
		free(s.made);
		if (root == before)
			break;
	}
	return root;
}
