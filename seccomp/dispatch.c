/* Search trees over system call numbers, by dynamic programming in the process that compiles.
 *
 * A tree may ask "nr >= n", which splits the segments in two, or "nr == n", which takes one number
 * out and lets its neighbours join: an allowed call among forbidden ones then costs one test and
 * not two. Taking out is worth it for the most frequent numbers of a range first, so the state is
 * (first segment, last segment, how many of the most frequent have been taken out), and cost[state]
 * the least expected number of tests, with a small price for each instruction. */
#include "seccomp/dispatch.h"

#include <stdlib.h>

#define TAKEN 7 /* most numbers taken out of one range */

struct state {
	uint16_t split; /* the segment that begins the upper half; 0: none */
	bool take;	/* the next most frequent number */
};

struct dispatch {
	struct graph *graph;
	const struct dispatch_segment *segments;
	size_t count;
	unsigned taken;	      /* limit here: fewer for many segments */
	double price;	      /* of an instruction */
	double *sum;	      /* of weights below a segment */
	uint16_t *run_end;    /* past the last segment with the same node */
	struct state *states; /* [first][last][taken] */
	double *from, *to;    /* cost, [first][taken][last] and [last][taken][first]: in the order
				 in which solve() looks at them */
	bool *out;	      /* scratch of solve(): the segment is taken out; all false between */
	uint16_t (*top)[TAKEN]; /* [first][last]: single numbers, most frequent first, 0xffff at the
				   end */
};

static size_t range_index(const struct dispatch *d, size_t first, size_t last)
{
	return first * d->count + last;
}

static struct state *state_at(const struct dispatch *d, size_t first, size_t last, unsigned taken)
{
	return &d->states[range_index(d, first, last) * (TAKEN + 1) + taken];
}

static bool is_single(const struct dispatch_segment *s)
{
	return s->first == s->last;
}

/* The most frequent numbers of a range from those of the range without its last segment. */
static void fill_top(struct dispatch *d, size_t first, size_t last)
{
	uint16_t *top = d->top[range_index(d, first, last)];
	size_t at = 0;

	for (size_t i = 0; i < TAKEN; i++)
		top[i] = last > first ? d->top[range_index(d, first, last - 1)][i] : 0xffff;
	if (!is_single(&d->segments[last]))
		return;
	while (at < TAKEN && top[at] != 0xffff &&
	       d->segments[top[at]].weight >= d->segments[last].weight)
		at++;
	if (at == TAKEN)
		return;
	for (size_t i = TAKEN - 1; i > at; i--)
		top[i] = top[i - 1];
	top[at] = (uint16_t)last;
}

/* True when what is left of a range has one outcome; *NODE is that. */
static bool uniform(const struct dispatch *d, size_t first, size_t last, unsigned taken,
		    uint32_t *node)
{
	const uint16_t *top = d->top[range_index(d, first, last)];
	bool found = false;

	for (size_t i = first; i <= last;) {
		bool out = false;
		size_t next = d->run_end[i];

		for (unsigned t = 0; t < taken; t++) {
			out |= top[t] == i;
			if (top[t] > i && top[t] < next)
				next = top[t];
		}
		if (!out && found && d->segments[i].node != *node)
			return false;
		if (!out) {
			*node = d->segments[i].node;
			found = true;
		}
		i = out ? i + 1 : next;
	}
	return true;
}

static double weight_left(const struct dispatch *d, size_t first, size_t last, unsigned taken)
{
	double weight = d->sum[last + 1] - d->sum[first];

	for (unsigned t = 0; t < taken; t++)
		weight -= d->segments[d->top[range_index(d, first, last)][t]].weight;
	return weight;
}

/* How many of a range's taken numbers lie below SPLIT. */
static unsigned taken_below(const uint16_t *top, unsigned taken, size_t split)
{
	unsigned below = 0;

	for (unsigned t = 0; t < taken; t++)
		below += top[t] < split;
	return below;
}

static double *cost_from(const struct dispatch *d, size_t first, unsigned taken)
{
	return d->from + (first * (TAKEN + 1) + taken) * d->count;
}

static double *cost_to(const struct dispatch *d, size_t last, unsigned taken)
{
	return d->to + (last * (TAKEN + 1) + taken) * d->count;
}

/* The best split, where it costs less than COST; the cost then. */
static double solve_split(struct dispatch *d, size_t first, size_t last, unsigned taken,
			  double here, double cost)
{
	const uint16_t *top = d->top[range_index(d, first, last)];
	const double *lower = cost_from(d, first, 0), *upper = cost_to(d, last, taken);
	uint16_t best = 0;

	for (unsigned t = 0; t < taken; t++)
		d->out[top[t]] = true;
	for (size_t split = first + 1; split <= last; split++) {
		if (d->out[split - 1]) { /* one more of them in the lower half, one fewer above */
			lower += d->count;
			upper -= d->count;
		}
		if (here + lower[split - 1] + upper[split] < cost) {
			cost = here + lower[split - 1] + upper[split];
			best = (uint16_t)split;
		}
	}
	for (unsigned t = 0; t < taken; t++)
		d->out[top[t]] = false;
	if (best)
		*state_at(d, first, last, taken) = (struct state){ .split = best };
	return cost;
}

static void solve(struct dispatch *d, size_t first, size_t last, unsigned taken)
{
	struct state *state = state_at(d, first, last, taken);
	const uint16_t *top = d->top[range_index(d, first, last)];
	double here = weight_left(d, first, last, taken) + d->price, cost = 1e300;
	uint32_t node;

	*state = (struct state){ .take = false };
	if (uniform(d, first, last, taken, &node)) {
		cost = 0;
	} else {
		if (taken < d->taken && top[taken] != 0xffff) {
			cost = here + cost_from(d, first, taken + 1)[last];
			state->take = true;
		}
		cost = solve_split(d, first, last, taken, here, cost);
	}
	cost_from(d, first, taken)[last] = cost;
	cost_to(d, last, taken)[first] = cost;
}

static uint32_t build(struct dispatch *d, size_t first, size_t last, unsigned taken)
{
	const struct state *state = state_at(d, first, last, taken);
	const uint16_t *top = d->top[range_index(d, first, last)];
	uint32_t node = GRAPH_NONE, yes, no;

	if (uniform(d, first, last, taken, &node))
		return node;
	if (state->take) {
		const struct dispatch_segment *out = &d->segments[top[taken]];

		no = build(d, first, last, taken + 1);
		node = graph_test(d->graph, GRAPH_NR, GRAPH_EQ, out->first, out->node, no);
	} else {
		unsigned below = taken_below(top, taken, state->split);

		no = build(d, first, state->split - 1u, below);
		yes = build(d, state->split, last, taken - below);
		node = graph_test(d->graph, GRAPH_NR, GRAPH_GE, d->segments[state->split].first,
				  yes, no);
	}
	if (node != GRAPH_NONE)
		d->graph->weights[node] += weight_left(d, first, last, taken);
	return node;
}

static bool prepare(struct dispatch *d)
{
	size_t ranges = d->count * d->count;
	double total = 0;

	d->sum = calloc(d->count + 1, sizeof(*d->sum));
	d->run_end = calloc(d->count, sizeof(*d->run_end));
	d->states = calloc(ranges * (TAKEN + 1), sizeof(*d->states));
	d->from = calloc(ranges * (TAKEN + 1), sizeof(*d->from));
	d->to = calloc(ranges * (TAKEN + 1), sizeof(*d->to));
	d->out = calloc(d->count, sizeof(*d->out));
	d->top = calloc(ranges, sizeof(*d->top));
	if (!d->sum || !d->run_end || !d->states || !d->from || !d->to || !d->out || !d->top)
		return false;
	for (size_t i = 0; i < d->count; i++) {
		total += d->segments[i].weight;
		d->sum[i + 1] = total;
	}
	for (size_t i = d->count; i-- > 0;)
		d->run_end[i] = i + 1 < d->count && d->segments[i].node == d->segments[i + 1].node
					? d->run_end[i + 1]
					: (uint16_t)(i + 1);
	/* One instruction more must save one call in so many a test. */
	d->price = total / 4096 + 1e-9;
	/* Time grows with the cube of the segments. */
	d->taken = d->count <= 200 ? TAKEN : d->count <= 400 ? 3 : 1;
	return true;
}

uint32_t dispatch_build(struct graph *graph, const struct dispatch_segment *segments, size_t count)
{
	struct dispatch d = { .graph = graph, .segments = segments, .count = count };
	uint32_t root = GRAPH_NONE;

	if (!count || count > 0x1000 || !prepare(&d))
		goto out;
	for (size_t length = 1; length <= count; length++) {
		for (size_t first = 0; first + length <= count; first++) {
			size_t last = first + length - 1;

			fill_top(&d, first, last);
			for (unsigned taken = 0; taken <= d.taken; taken++) {
				unsigned t = d.taken - taken;

				if (!t || d.top[range_index(&d, first, last)][t - 1] != 0xffff)
					solve(&d, first, last, t);
			}
		}
	}
	root = build(&d, 0, count - 1, 0);
out:
	free(d.sum);
	free(d.run_end);
	free(d.states);
	free(d.from);
	free(d.to);
	free(d.out);
	free(d.top);
	return root;
}
