/* The compiler: a policy's rules to a decision graph, and that to BPF, in whatever process builds
 *filters. The policy is trusted to be well-formed and nothing else; the result is trusted by nobody
 *before verify.c has proven it.
 *
 *	arch is this one?  no: kill
 *	search tree over nr (dispatch.c), which ends in a verdict or in
 *	the call's filters: each comparison of 64 bits is one or two of 32
 *
 * What a call's number decides alone is decided before any argument is loaded: the kernel finds
 *those out (5.11) and answers them without running the filter. */
#include "seccomp/compile.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdlib.h>

#include "seccomp/dispatch.h"
#include "seccomp/emit.h"
#include "seccomp/graph.h"

#ifndef AUDIT_ARCH_RISCV64
#define AUDIT_ARCH_RISCV64 (EM_RISCV | __AUDIT_ARCH_64BIT | __AUDIT_ARCH_LE)
#endif

uint32_t compile_arch(enum policy_arch arch)
{
	static const uint32_t archs[] = {
		[POLICY_X86_64] = AUDIT_ARCH_X86_64,
		[POLICY_AARCH64] = AUDIT_ARCH_AARCH64,
		[POLICY_RISCV64] = AUDIT_ARCH_RISCV64,
	};

	return archs[arch];
}

uint32_t compile_action(struct policy_action action)
{
	static const uint32_t actions[] = {
		[POLICY_KILL_PROCESS] = SECCOMP_RET_KILL_PROCESS,
		[POLICY_KILL_THREAD] = SECCOMP_RET_KILL_THREAD,
		[POLICY_TRAP] = SECCOMP_RET_TRAP,
		[POLICY_ERRNO] = SECCOMP_RET_ERRNO,
		[POLICY_NOTIFY] = SECCOMP_RET_USER_NOTIF,
		[POLICY_TRACE] = SECCOMP_RET_TRACE,
		[POLICY_LOG] = SECCOMP_RET_LOG,
		[POLICY_ALLOW] = SECCOMP_RET_ALLOW,
	};

	return actions[action.verdict] | action.number;
}

/* ---- arguments
 * --------------------------------------------------------------------------------------------------------
 */

static unsigned low_word(unsigned argument)
{
	return 4 + 2 * argument;
}

static unsigned high_word(unsigned argument)
{
	return 5 + 2 * argument;
}

static uint32_t at_least(struct graph *graph, unsigned argument, uint64_t value, uint32_t yes,
			 uint32_t no)
{
	uint32_t high = (uint32_t)(value >> 32), low = (uint32_t)value;
	uint32_t below;

	if (low == 0)
		return graph_test(graph, high_word(argument), GRAPH_GE, high, yes, no);
	below = graph_test(graph, low_word(argument), GRAPH_GE, low, yes, no);
	/* The highest first: one test settles it where the high half is zero and should be. */
	if (high == 0)
		return graph_test(graph, high_word(argument), GRAPH_EQ, 0, below, yes);
	below = graph_test(graph, high_word(argument), GRAPH_EQ, high, below, no);
	return high == UINT32_MAX
		       ? below
		       : graph_test(graph, high_word(argument), GRAPH_GE, high + 1, yes, below);
}

static uint32_t equal(struct graph *graph, unsigned argument, uint64_t value, uint32_t yes,
		      uint32_t no)
{
	uint32_t low = graph_test(graph, low_word(argument), GRAPH_EQ, (uint32_t)value, yes, no);

	return graph_test(graph, high_word(argument), GRAPH_EQ, (uint32_t)(value >> 32), low, no);
}

static uint32_t any_bit(struct graph *graph, unsigned argument, uint64_t value, uint32_t yes,
			uint32_t no)
{
	uint32_t low = graph_test(graph, low_word(argument), GRAPH_SET, (uint32_t)value, yes, no);

	return graph_test(graph, high_word(argument), GRAPH_SET, (uint32_t)(value >> 32), yes, low);
}

static uint32_t compile_atom(struct graph *graph, const struct policy_atom *atom, uint32_t yes,
			     uint32_t no)
{
	switch (atom->comparison) {
	case POLICY_EQ:
		return equal(graph, atom->argument, atom->value, yes, no);
	case POLICY_NE:
		return equal(graph, atom->argument, atom->value, no, yes);
	case POLICY_GE:
		return at_least(graph, atom->argument, atom->value, yes, no);
	case POLICY_LT:
		return at_least(graph, atom->argument, atom->value, no, yes);
	case POLICY_GT:
		return atom->value == UINT64_MAX
			       ? no
			       : at_least(graph, atom->argument, atom->value + 1, yes, no);
	case POLICY_LE:
		return atom->value == UINT64_MAX
			       ? yes
			       : at_least(graph, atom->argument, atom->value + 1, no, yes);
	case POLICY_ANY:
		return any_bit(graph, atom->argument, atom->value, yes, no);
	case POLICY_IN:
		return any_bit(graph, atom->argument, ~atom->value, no, yes);
	}
	return GRAPH_NONE;
}

/* ---- filters: lists are read forward and compiled backward, so they are laid out in arrays first
 * ------------------------ */

static uint32_t compile_clause(struct graph *graph, const struct policy_clause *clause,
			       uint32_t yes, uint32_t no)
{
	const struct policy_atom **atoms;
	size_t count = 0;

	for (const struct policy_atom *a = clause->atoms; a; a = a->next)
		count++;
	atoms = calloc(count, sizeof(const struct policy_atom *));
	if (!atoms)
		return GRAPH_NONE;
	count = 0;
	for (const struct policy_atom *a = clause->atoms; a; a = a->next)
		atoms[count++] = a;
	while (count && yes != GRAPH_NONE)
		yes = compile_atom(graph, atoms[--count], yes, no);
	free(atoms);
	return yes;
}

static uint32_t compile_clauses(struct graph *graph, const struct policy_clause *list, uint32_t yes,
				uint32_t no)
{
	const struct policy_clause **clauses;
	size_t count = 0;

	for (const struct policy_clause *c = list; c; c = c->next)
		count++;
	clauses = calloc(count, sizeof(const struct policy_clause *));
	if (!clauses)
		return GRAPH_NONE;
	count = 0;
	for (const struct policy_clause *c = list; c; c = c->next)
		clauses[count++] = c;
	while (count && no != GRAPH_NONE)
		no = compile_clause(graph, clauses[--count], yes, no);
	free(clauses);
	return no;
}

static uint32_t compile_filters(struct graph *graph, const struct policy_filter *list,
				uint32_t otherwise)
{
	const struct policy_filter **filters;
	uint32_t node = otherwise;
	size_t count = 0;

	for (const struct policy_filter *f = list; f; f = f->next)
		count++;
	filters = calloc(count + 1, sizeof(const struct policy_filter *));
	if (!filters)
		return GRAPH_NONE;
	count = 0;
	for (const struct policy_filter *f = list; f; f = f->next)
		filters[count++] = f;
	while (count && node != GRAPH_NONE) {
		const struct policy_filter *f = filters[--count];
		uint32_t action = graph_return(graph, compile_action(f->action));

		node = f->clauses && action != GRAPH_NONE
			       ? compile_clauses(graph, f->clauses, action, node)
			       : action;
	}
	free(filters);
	return graph_simplify(graph, node);
}

/* ---- the whole
 * --------------------------------------------------------------------------------------------------------
 */

struct segments {
	struct dispatch_segment *at;
	size_t count;
};

/* Numbers from FIRST on go to NODE, until the next segment. */
static void segment_add(struct segments *segments, uint32_t first, uint32_t node, double weight)
{
	struct dispatch_segment *last = segments->count ? &segments->at[segments->count - 1] : NULL;

	if (last && last->node == node) {
		last->weight += weight;
		return;
	}
	if (last)
		last->last = first - 1;
	segments->at[segments->count++] =
		(struct dispatch_segment){ first, UINT32_MAX, node, weight };
}

/* x32 shares the architecture with x86_64: its numbers have this bit. A denylist names the others
 * only, so they would all slip past it; -1 is what a tracer writes to skip a call. */
#define X32_FIRST 0x40000000u
#define X32_LAST  0xfffffffeu

static uint32_t compile_calls(struct graph *graph, const struct policy *policy, uint32_t otherwise,
			      uint32_t foreign)
{
	struct segments segments = { .count = 0 };
	uint32_t next = 0, node = GRAPH_NONE;
	size_t rules = 0;

	for (const struct policy_rule *r = policy->rules; r; r = r->next)
		rules++;
	segments.at = calloc(2 * rules + 4, sizeof(*segments.at));
	if (!segments.at)
		return GRAPH_NONE;
	for (const struct policy_rule *r = policy->rules; r; r = r->next) {
		if (r->number > next)
			segment_add(&segments, next, otherwise, 0);
		node = compile_filters(graph, r->filters, otherwise);
		if (node == GRAPH_NONE)
			goto out;
		graph->weights[node] += (double)r->weight;
		segment_add(&segments, r->number, node, (double)r->weight);
		next = r->number + 1;
	}
	segment_add(&segments, next, otherwise, 0);
	if (policy->denylist && policy->arch == POLICY_X86_64) {
		segment_add(&segments, X32_FIRST, foreign, 0);
		segment_add(&segments, X32_LAST + 1, otherwise, 0);
	}
	node = dispatch_build(graph, segments.at, segments.count);
out:
	free(segments.at);
	return node;
}

int compile_policy(const struct policy *policy, struct sock_filter **out, size_t *length)
{
	uint32_t otherwise, foreign, root;
	struct graph graph;
	int err = graph_init(&graph);

	*out = NULL;
	*length = 0;
	if (err)
		return err;
	otherwise = graph_return(&graph, compile_action(policy->default_action));
	/* A call of another architecture is none of the policy's: it ends the thread, or as much as
	 * the default would. */
	foreign = graph_return(&graph, policy->default_action.verdict == POLICY_KILL_PROCESS
					       ? SECCOMP_RET_KILL_PROCESS
					       : SECCOMP_RET_KILL_THREAD);
	root = compile_calls(&graph, policy, otherwise, foreign);
	root = graph_test(&graph, GRAPH_ARCH, GRAPH_EQ, compile_arch(policy->arch), root, foreign);
	if (root == GRAPH_NONE)
		err = graph.count >= GRAPH_NODES ? -E2BIG : -ENOMEM;
	else
		err = emit_program(&graph, root, out, length);
	graph_free(&graph);
	return err;
}
