/* Binary decision diagrams over struct seccomp_data, in the process that proves. They hold what
 * text and filters decide; neither the compiler nor its graphs are known here. Hostile filters make
 * them large: the limit ends that. */
#include "seccomp/space.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define VARIABLES (SPACE_WORDS * 32)
#define CACHE	  (1u << 18) /* results remembered at most; a power of two */

struct node {
	uint32_t low, high; /* the variable's bit is 0, is 1 */
	uint32_t next;	    /* in the hash chain */
	uint16_t variable;  /* VARIABLES: one of the two ends */
};

enum operation {
	OP_AND = 1,
	OP_OR,
	OP_XOR,
	OP_MINUS
};

struct result {
	uint32_t a, b, set;
	uint32_t operation;
};

struct space {
	struct node *nodes;
	uint32_t count, room, limit;
	uint32_t *heads; /* of hash chains, as many as there is room */
	struct result *cache;
	uint32_t cache_size; /* grows with the nodes */
	bool exhausted;
};

/* Words in the order of the variables: what most sets depend on first, the instruction pointer
 * last. */
static const uint8_t word_order[SPACE_WORDS] = { 1,  0,	 5,  4,	 7,  6,	 9, 8,
						 11, 10, 13, 12, 15, 14, 3, 2 };

enum {
	ARCH_BITS = 0,
	NR_BITS = 32
}; /* where these two words begin */

/* ---- nodes
 * ------------------------------------------------------------------------------------------------------------
 */

static uint32_t hash(uint32_t a, uint32_t b, uint32_t c)
{
	uint64_t h = a * 0x9e3779b97f4a7c15u;

	h = (h ^ h >> 32 ^ b) * 0xff51afd7ed558ccdu;
	h = (h ^ h >> 32 ^ c) * 0xc4ceb9fe1a85ec53u;
	return (uint32_t)(h >> 32);
}

struct space *space_new(uint32_t limit)
{
	struct space *space = calloc(1, sizeof(*space));

	if (!space)
		return NULL;
	space->limit = limit;
	space->room = space->cache_size = 1u << 12;
	space->nodes = calloc(space->room, sizeof(*space->nodes));
	space->heads = calloc(space->room, sizeof(*space->heads));
	space->cache = calloc(space->cache_size, sizeof(*space->cache));
	if (!space->nodes || !space->heads || !space->cache) {
		space_free(space);
		return NULL;
	}
	space->nodes[SPACE_EMPTY].variable = space->nodes[SPACE_ALL].variable = VARIABLES;
	space->count = 2;
	return space;
}

void space_free(struct space *space)
{
	if (!space)
		return;
	free(space->nodes);
	free(space->heads);
	free(space->cache);
	free(space);
}

bool space_exhausted(const struct space *space)
{
	return space->exhausted;
}

/* What was remembered is forgotten; without memory the cache stays as it is. */
static void grow_cache(struct space *space)
{
	uint32_t size = space->room < CACHE ? space->room : CACHE;
	struct result *cache = size > space->cache_size ? calloc(size, sizeof(*cache)) : NULL;

	if (!cache)
		return;
	free(space->cache);
	space->cache = cache;
	space->cache_size = size;
}

static bool grow(struct space *space)
{
	uint32_t room = space->room * 2;
	struct node *nodes;
	uint32_t *heads;

	if (room > space->limit)
		return false;
	nodes = reallocarray(space->nodes, room, sizeof(*nodes));
	if (!nodes)
		return false;
	space->nodes = nodes;
	heads = calloc(room, sizeof(*heads));
	if (!heads)
		return false;
	free(space->heads);
	space->heads = heads;
	space->room = room;
	grow_cache(space);
	for (uint32_t i = 2; i < space->count; i++) {
		uint32_t *head =
			&heads[hash(nodes[i].variable, nodes[i].low, nodes[i].high) & (room - 1)];

		nodes[i].next = *head;
		*head = i;
	}
	return true;
}

static uint32_t make(struct space *space, uint16_t variable, uint32_t low, uint32_t high)
{
	uint32_t *head;

	if (low == high || space->exhausted)
		return space->exhausted ? SPACE_EMPTY : low;
	head = &space->heads[hash(variable, low, high) & (space->room - 1)];
	for (uint32_t i = *head; i; i = space->nodes[i].next)
		if (space->nodes[i].variable == variable && space->nodes[i].low == low &&
		    space->nodes[i].high == high)
			return i;
	if (space->count == space->room) {
		if (!grow(space)) {
			space->exhausted = true;
			return SPACE_EMPTY;
		}
		head = &space->heads[hash(variable, low, high) & (space->room - 1)];
	}
	space->nodes[space->count] = (struct node){ low, high, *head, variable };
	*head = space->count;
	return space->count++;
}

uint32_t space_bit(struct space *space, unsigned word, unsigned bit)
{
	unsigned at = 0;

	while (word_order[at] != word)
		at++;
	return make(space, (uint16_t)(at * 32 + 31 - bit), SPACE_EMPTY, SPACE_ALL);
}

/* ---- operations
 * -------------------------------------------------------------------------------------------------------
 */

/* The result where an operand decides it; false where both must be looked into. */
static bool trivial(enum operation op, uint32_t a, uint32_t b, uint32_t *out)
{
	switch (op) {
	case OP_AND:
		*out = a == SPACE_ALL || a == b ? b : b == SPACE_ALL ? a : SPACE_EMPTY;
		return a <= SPACE_ALL || b <= SPACE_ALL || a == b;
	case OP_OR:
		*out = a == SPACE_EMPTY || a == b ? b : b == SPACE_EMPTY ? a : SPACE_ALL;
		return a <= SPACE_ALL || b <= SPACE_ALL || a == b;
	case OP_XOR:
		*out = a == b ? SPACE_EMPTY : a == SPACE_EMPTY ? b : a;
		return a == b || a == SPACE_EMPTY || b == SPACE_EMPTY;
	case OP_MINUS:
		*out = a == b || a == SPACE_EMPTY || b == SPACE_ALL ? SPACE_EMPTY : a;
		return a == b || a == SPACE_EMPTY || b <= SPACE_ALL;
	}
	return false;
}

/* At most as deep as there are variables. */
static uint32_t apply(struct space *space, enum operation op, uint32_t a, uint32_t b)
{
	struct node na, nb;
	struct result *memo;
	uint32_t out, low, high;
	uint16_t variable;

	if (trivial(op, a, b, &out))
		return out;
	if (op != OP_MINUS && a > b) {
		out = a;
		a = b;
		b = out;
	}
	memo = &space->cache[hash(a, b, op) & (space->cache_size - 1)];
	if (memo->operation == op && memo->a == a && memo->b == b)
		return memo->set;
	na = space->nodes[a];
	nb = space->nodes[b];
	variable = na.variable < nb.variable ? na.variable : nb.variable;
	low = apply(space, op, na.variable == variable ? na.low : a,
		    nb.variable == variable ? nb.low : b);
	high = apply(space, op, na.variable == variable ? na.high : a,
		     nb.variable == variable ? nb.high : b);
	out = make(space, variable, low, high);
	/* The cache may have moved meanwhile. */
	space->cache[hash(a, b, op) & (space->cache_size - 1)] = (struct result){ a, b, out, op };
	return out;
}

uint32_t space_and(struct space *space, uint32_t a, uint32_t b)
{
	return apply(space, OP_AND, a, b);
}

uint32_t space_or(struct space *space, uint32_t a, uint32_t b)
{
	return apply(space, OP_OR, a, b);
}

uint32_t space_xor(struct space *space, uint32_t a, uint32_t b)
{
	return apply(space, OP_XOR, a, b);
}

uint32_t space_minus(struct space *space, uint32_t a, uint32_t b)
{
	return apply(space, OP_MINUS, a, b);
}

/* ---- looking into a set
 * ------------------------------------------------------------------------------------------------
 */

bool space_has(const struct space *space, uint32_t set, const struct seccomp_data *data)
{
	uint32_t words[SPACE_WORDS];

	memcpy(words, data, sizeof(words));
	while (set > SPACE_ALL) {
		const struct node *n = &space->nodes[set];
		bool one = words[word_order[n->variable / 32]] >> (31 - n->variable % 32) & 1;

		set = one ? n->high : n->low;
	}
	return set == SPACE_ALL;
}

struct seccomp_data space_pick(const struct space *space, uint32_t set)
{
	uint32_t words[SPACE_WORDS] = { 0 };
	struct seccomp_data data;

	while (set > SPACE_ALL) {
		const struct node *n = &space->nodes[set];

		if (n->low == SPACE_EMPTY)
			words[word_order[n->variable / 32]] |= 1u << (31 - n->variable % 32);
		set = n->low == SPACE_EMPTY ? n->high : n->low;
	}
	memcpy(&data, words, sizeof(data));
	return data;
}

/* What is left of SET for calls whose word at FIRST (a variable) is VALUE; *SAME: how many low bits
 * did not matter. */
static uint32_t restrict_word(const struct space *space, uint32_t set, unsigned first,
			      uint32_t value, unsigned *same)
{
	*same = 32;
	while (space->nodes[set].variable < first + 32) {
		unsigned bit = 31 - (space->nodes[set].variable - first);

		set = value >> bit & 1 ? space->nodes[set].high : space->nodes[set].low;
		*same = bit;
	}
	return set;
}

uint32_t space_run(const struct space *space, uint32_t set, uint32_t arch, uint32_t from,
		   uint32_t *to)
{
	unsigned same;
	uint32_t here, left;

	set = restrict_word(space, set, ARCH_BITS, arch, &same);
	here = restrict_word(space, set, NR_BITS, from, &same);
	left = here;
	for (uint32_t next = from; left == here;) {
		*to = same == 32 ? UINT32_MAX : next | ((1u << same) - 1);
		if (*to == UINT32_MAX)
			break;
		next = *to + 1;
		left = restrict_word(space, set, NR_BITS, next, &same);
	}
	return here;
}
