/* graph, dispatch, emit: equal nodes are one, settled tests go, trees decide as their segments say
 * at least cost, and programs as their graphs, however far they jump. */
#include <errno.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "seccomp/dispatch.h"
#include "seccomp/emit.h"
#include "seccomp/evaluate.h"
#include "seccomp/program.h"
#include "tests/unit/seccomp/random.h"

static struct graph graph;

static int setup(void **state)
{
	(void)state;
	return graph_init(&graph);
}

static int teardown(void **state)
{
	(void)state;
	graph_free(&graph);
	return 0;
}

static uint32_t walk(uint32_t at, const struct seccomp_data *data)
{
	uint32_t words[GRAPH_WORDS];

	memcpy(words, data, sizeof(words));
	while (graph.nodes[at].test != GRAPH_RETURN) {
		const struct graph_node *n = &graph.nodes[at];
		uint32_t w = words[n->word];
		bool yes = n->test == GRAPH_EQ	 ? w == n->k
			   : n->test == GRAPH_GE ? w >= n->k
						 : (w & n->k) != 0;

		at = yes ? n->yes : n->no;
	}
	return graph.nodes[at].k;
}

static void test_shared(void **state)
{
	uint32_t a = graph_return(&graph, 1), b = graph_return(&graph, 2), t;

	(void)state;
	assert_int_equal(graph_return(&graph, 1), a);
	t = graph_test(&graph, 4, GRAPH_EQ, 5, a, b);
	assert_int_equal(graph_test(&graph, 4, GRAPH_EQ, 5, a, b), t);
	assert_int_not_equal(graph_test(&graph, 4, GRAPH_EQ, 6, a, b), t);
	assert_int_equal(graph_test(&graph, 4, GRAPH_EQ, 5, a, a), a);
	assert_int_equal(graph_test(&graph, 4, GRAPH_GE, 0, a, b), a);
	assert_int_equal(graph_test(&graph, 4, GRAPH_SET, 0, a, b), b);
	assert_int_equal(graph_test(&graph, 4, GRAPH_GE, 1, a, b),
			 graph_test(&graph, 4, GRAPH_EQ, 0, b, a));
	assert_int_equal(graph_test(&graph, 4, GRAPH_EQ, 5, GRAPH_NONE, b), GRAPH_NONE);
}

/* Random graphs mean the same simplified, and come out no longer. */
static void test_simplify(void **state)
{
	uint64_t seed = 21;

	(void)state;
	for (int n = 0; n < 300; n++) {
		uint32_t nodes[40], root;
		struct random_policy random = { .seed = seed };

		nodes[0] = graph_return(&graph, 10);
		nodes[1] = graph_return(&graph, 11);
		nodes[2] = graph_return(&graph, 12);
		for (int i = 3; i < 40; i++) {
			uint32_t k = (uint32_t)random_value(&seed);

			if (random.values_count < 256)
				random.values[random.values_count++] = k;
			nodes[i] = graph_test(&graph, 4 + random_below(&seed, 2),
					      (enum graph_test)(1 + random_below(&seed, 3)), k,
					      nodes[random_below(&seed, (unsigned)i)],
					      nodes[i - 1 - (int)random_below(&seed, 2)]);
		}
		root = graph_simplify(&graph, nodes[39]);
		assert_int_not_equal(root, GRAPH_NONE);
		for (int i = 0; i < 200; i++) {
			struct seccomp_data data;

			random_call(&random, &data, 0, 0);
			assert_int_equal(walk(root, &data), walk(nodes[39], &data));
		}
	}
}

static void test_settled(void **state)
{
	uint32_t a = graph_return(&graph, 1), b = graph_return(&graph, 2), inner, outer;

	(void)state;
	/* The high half is tested twice on one way, as in "arg == 1 || arg == 2". */
	inner = graph_test(&graph, 5, GRAPH_EQ, 0, graph_test(&graph, 4, GRAPH_EQ, 2, a, b), b);
	outer = graph_test(&graph, 5, GRAPH_EQ, 0, graph_test(&graph, 4, GRAPH_EQ, 1, a, inner),
			   inner);
	outer = graph_simplify(&graph, outer);
	assert_int_equal(graph.nodes[outer].no, b);
	assert_int_equal(graph.nodes[graph.nodes[graph.nodes[outer].yes].no].word, 4);
}

/* ---- trees
 * --------------------------------------------------------------------------------------------------------------------
 */

static void test_dispatch(void **state)
{
	uint64_t seed = 33;

	(void)state;
	for (int n = 0; n < 60; n++) {
		struct dispatch_segment segments[120];
		size_t count = 1 + random_below(&seed, 100);
		uint32_t next = 0, root;

		for (size_t i = 0; i < count; i++) {
			uint32_t length = random_below(&seed, 3) ? 1 : 1 + random_below(&seed, 9);

			segments[i] =
				(struct dispatch_segment){ next, next + length - 1,
							   graph_return(&graph,
									random_below(&seed, 5)),
							   (double)random_below(&seed, 1000) };
			next += length;
		}
		segments[count - 1].last = UINT32_MAX;
		root = dispatch_build(&graph, segments, count);
		assert_int_not_equal(root, GRAPH_NONE);
		for (size_t i = 0; i < count; i++) {
			struct seccomp_data first = { .nr = (int)segments[i].first },
					    last = { .nr = (int)segments[i].last };

			assert_int_equal(walk(root, &first), graph.nodes[segments[i].node].k);
			assert_int_equal(walk(root, &last), graph.nodes[segments[i].node].k);
		}
	}
}

static unsigned depth(uint32_t at, uint32_t nr)
{
	unsigned n = 0;

	for (; graph.nodes[at].test != GRAPH_RETURN; n++)
		at = (graph.nodes[at].test == GRAPH_EQ ? nr == graph.nodes[at].k
						       : nr >= graph.nodes[at].k)
			     ? graph.nodes[at].yes
			     : graph.nodes[at].no;
	return n;
}

/* Allowed numbers among forbidden ones: one test each, the frequent first. */
static void test_single_numbers(void **state)
{
	uint32_t yes = graph_return(&graph, 1), no = graph_return(&graph, 0), root;
	const struct dispatch_segment segments[] = {
		{ 0, 4, no, 0 },
		{ 5, 5, yes, 1000 },
		{ 6, 99, no, 0 },
		{ 100, 100, yes, 10 },
		{ 101, 199, no, 0 },
		{ 200, 200, yes, 100 },
		{ 201, UINT32_MAX, no, 0 },
	};

	(void)state;
	root = dispatch_build(&graph, segments, 7);
	assert_int_equal(depth(root, 5), 1);
	assert_int_equal(depth(root, 200), 2);
	assert_int_equal(depth(root, 100), 3);
}

/* ---- programs
 * -----------------------------------------------------------------------------------------------------------------
 */

static void test_emit(void **state)
{
	static const unsigned sizes[] = { 1, 10, 100, 250, 254, 255, 256, 257, 300, 600, 2000 };
	uint64_t seed = 55;

	(void)state;
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		struct random_policy random = { .seed = seed };
		uint32_t far = graph_return(&graph, 1), root = graph_return(&graph, 2);
		struct sock_filter *insns;
		const char *reason;
		size_t len, at;

		/* A chain, all of which goes far; and back and forth between words. */
		for (unsigned i = 0; i < sizes[s]; i++) {
			uint32_t k = random_below(&seed, 5000);

			random.values[random.values_count++ % 256] = k;
			root = graph_test(&graph, 4 + (i % 3 ? 0 : i % 4), GRAPH_EQ, k + 1, far,
					  root);
			if (i == sizes[s] / 2)
				far = graph_test(&graph, 6, GRAPH_GE, 77, root, far);
		}
		random.values_count = random.values_count < 256 ? random.values_count : 256;
		assert_int_equal(emit_program(&graph, root, &insns, &len), 0);
		assert_int_equal(program_check(insns, len, &at, &reason), 0);
		for (int i = 0; i < 500; i++) {
			struct seccomp_data data;

			random_call(&random, &data, 0, 0);
			assert_int_equal(evaluate(insns, (unsigned short)len, &data, NULL),
					 walk(root, &data));
		}
		free(insns);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_shared, setup, teardown),
		cmocka_unit_test_setup_teardown(test_simplify, setup, teardown),
		cmocka_unit_test_setup_teardown(test_settled, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dispatch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_single_numbers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_emit, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
