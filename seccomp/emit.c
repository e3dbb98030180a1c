/* Laying a decision graph out as instructions, in the process that compiles.
 *
 * BPF jumps forward only, by at most 255 where it compares. The program is therefore written from
 * its end: when a test is written, both places it goes to are known. One that is too far gets a
 * stepping stone (a copy of a return, or a longer jump) right behind the test. A word is loaded in
 * front of a test unless the test is come to with it loaded already: tests have two entries, one
 * before the load and one behind. */
#include "seccomp/emit.h"

#include <errno.h>
#include <stdlib.h>

#define FAR	    255
#define NOWHERE	    UINT32_MAX
#define PROGRAM_MAX (1u << 20) /* what is counted, to say by how much a policy is too large */

enum {
	BEFORE_LOAD,
	BEHIND_LOAD,
	ENTRIES
};

struct place {
	bool reached, needs_load, done;
	uint32_t at[ENTRIES];	/* counted from the end */
	uint32_t near[ENTRIES]; /* the same or a stepping stone to it */
};

struct emitter {
	const struct graph *graph;
	struct place *places;
	struct sock_filter *code; /* backwards */
	uint32_t length, room;
	int err;
};

static void put(struct emitter *e, struct sock_filter insn)
{
	if (e->length == e->room) {
		uint32_t room = e->room ? e->room * 2 : 1024;
		struct sock_filter *code =
			room <= PROGRAM_MAX ? reallocarray(e->code, room, sizeof(*code)) : NULL;

		if (!code) {
			e->err = -ENOMEM;
			return;
		}
		e->code = code;
		e->room = room;
	}
	e->code[e->length++] = insn;
}

static struct sock_filter statement(uint16_t code, uint32_t k)
{
	return (struct sock_filter){ .code = code, .k = k };
}

static const struct graph_node *node_at(const struct emitter *e, uint32_t i)
{
	return &e->graph->nodes[i];
}

static unsigned entry_of(const struct emitter *e, const struct graph_node *from, uint32_t to)
{
	const struct graph_node *n = node_at(e, to);

	return n->test != GRAPH_RETURN && from->word == n->word ? BEHIND_LOAD : BEFORE_LOAD;
}

/* Makes sure that TO is within reach of the instruction written next. */
static void approach(struct emitter *e, const struct graph_node *from, uint32_t to)
{
	struct place *place = &e->places[to];
	unsigned entry = entry_of(e, from, to);

	if (e->length - place->near[entry] - 1 <= FAR)
		return;
	if (node_at(e, to)->test == GRAPH_RETURN)
		put(e, statement(BPF_RET | BPF_K, node_at(e, to)->k));
	else
		put(e, statement(BPF_JMP | BPF_JA, e->length - place->at[entry] - 1));
	place->near[entry] = e->length - 1;
}

static void write_test(struct emitter *e, const struct graph_node *n, struct place *place)
{
	static const uint16_t codes[] = {
		[GRAPH_EQ] = BPF_JMP | BPF_JEQ | BPF_K,
		[GRAPH_GE] = BPF_JMP | BPF_JGE | BPF_K,
		[GRAPH_SET] = BPF_JMP | BPF_JSET | BPF_K,
	};
	struct sock_filter insn = { .code = codes[n->test], .k = n->k };

	approach(e, n, n->yes);
	approach(e, n, n->no);
	/* A stepping stone for the second may have pushed the first away. */
	approach(e, n, n->yes);
	insn.jt = (uint8_t)(e->length - e->places[n->yes].near[entry_of(e, n, n->yes)] - 1);
	insn.jf = (uint8_t)(e->length - e->places[n->no].near[entry_of(e, n, n->no)] - 1);
	put(e, insn);
	place->at[BEHIND_LOAD] = place->near[BEHIND_LOAD] = e->length - 1;
	if (place->needs_load)
		put(e, statement(BPF_LD | BPF_W | BPF_ABS, n->word * 4u));
	place->at[BEFORE_LOAD] = place->near[BEFORE_LOAD] = e->length - 1;
}

static void write_node(struct emitter *e, uint32_t i)
{
	const struct graph_node *n = node_at(e, i);
	struct place *place = &e->places[i];

	if (n->test != GRAPH_RETURN) {
		write_test(e, n, place);
	} else {
		put(e, statement(BPF_RET | BPF_K, n->k));
		place->at[BEFORE_LOAD] = place->near[BEFORE_LOAD] = e->length - 1;
	}
	place->done = true;
}

static void mark_branch(struct emitter *e, const struct graph_node *from, uint32_t to)
{
	e->places[to].reached = true;
	if (entry_of(e, from, to) == BEFORE_LOAD)
		e->places[to].needs_load = true;
}

/* Depth first, the rarer branch first: it comes to lie farther from the test, and what is frequent
 * needs no stones. */
static void write_all(struct emitter *e, uint32_t root, uint32_t *stack)
{
	size_t depth = 0;

	stack[depth++] = root;
	while (depth && !e->err) {
		uint32_t i = stack[depth - 1];
		const struct graph_node *n = node_at(e, i);
		uint32_t far = n->yes, near = n->no;

		if (e->places[i].done) {
			depth--;
			continue;
		}
		if (n->test != GRAPH_RETURN &&
		    e->graph->weights[n->yes] > e->graph->weights[n->no]) {
			far = n->no;
			near = n->yes;
		}
		if (n->test != GRAPH_RETURN && !e->places[far].done) {
			stack[depth++] = far;
		} else if (n->test != GRAPH_RETURN && !e->places[near].done) {
			stack[depth++] = near;
		} else {
			write_node(e, i);
			depth--;
		}
	}
}

int emit_program(const struct graph *graph, uint32_t root, struct sock_filter **out, size_t *length)
{
	struct emitter e = { .graph = graph };
	uint32_t *stack = calloc(root + 2, sizeof(*stack));

	*out = NULL;
	*length = 0;
	e.places = calloc(root + 1, sizeof(*e.places));
	if (!stack || !e.places) {
		e.err = -ENOMEM;
		goto out;
	}
	e.places[root].reached = e.places[root].needs_load = true;
	for (uint32_t i = root + 1; i-- > 0;) {
		if (!e.places[i].reached || node_at(&e, i)->test == GRAPH_RETURN)
			continue;
		mark_branch(&e, node_at(&e, i), node_at(&e, i)->yes);
		mark_branch(&e, node_at(&e, i), node_at(&e, i)->no);
	}
	write_all(&e, root, stack);
	*length = e.length;
	if (!e.err && e.length > BPF_MAXINSNS)
		e.err = -E2BIG;
	if (e.err)
		goto out;
	for (uint32_t i = 0; i < e.length / 2; i++) {
		struct sock_filter swap = e.code[i];

		e.code[i] = e.code[e.length - 1 - i];
		e.code[e.length - 1 - i] = swap;
	}
	*out = e.code;
	e.code = NULL;
out:
	free(e.code);
	free(e.places);
	free(stack);
	return e.err;
}
