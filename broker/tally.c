/*
 * Adds up what devices count. Runs in the broker after it has dropped its privileges; trusts no
 * figure to mean anything, only keeps a reader from seeing one go back.
 */
#include "broker/tally.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static bool counters_grew(const struct ring_stats *from, const struct ring_stats *to)
{
#define GREW(name, help)           \
	if (to->name < from->name) \
		return false;
	RING_COUNTERS(GREW)
#undef GREW
	return true;
}

static uint64_t saturating_add(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static struct ring_stats counters_add(const struct ring_stats *a, const struct ring_stats *b)
{
	struct ring_stats sum;

#define ADD(name, help) sum.name = saturating_add(a->name, b->name);
	RING_COUNTERS(ADD)
#undef ADD
	return sum;
}

int tally_note(struct tally *tally, const struct channel_stats *stats)
{
	if (stats->ring >= tally->rings ||
	    !counters_grew(&tally->now[stats->ring], &stats->counters))
		return -EPROTO;
	tally->now[stats->ring] = stats->counters;
	tally->state[stats->ring] = stats->state;
	return 0;
}

void tally_close(struct tally *tally)
{
	for (unsigned i = 0; i < tally->rings; i++)
		tally->before[i] = tally_sum(tally, i);
	memset(tally->now, 0, sizeof(tally->now));
	memset(tally->state, 0, sizeof(tally->state));
}

struct ring_stats tally_sum(const struct tally *tally, unsigned ring)
{
	return counters_add(&tally->before[ring], &tally->now[ring]);
}
