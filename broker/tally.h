/*
 * The counters of every ring as the broker knows them: what the device that serves has told last,
 * and the sum over the connections before it. Within one run of the broker none goes back.
 */
#ifndef AIRLOCK_BROKER_TALLY_H
#define AIRLOCK_BROKER_TALLY_H

#include <stdint.h>

#include "lib/channel.h"

/* Two a pair, then the control queue. */
static inline unsigned tally_rings(unsigned pairs)
{
	return 2 * pairs + 1;
}
#define TALLY_RINGS (2 * CHANNEL_PAIRS_MAX + 1)

struct tally {
	unsigned rings;
	struct ring_stats before[TALLY_RINGS]; /* connections that have ended */
	struct ring_stats now[TALLY_RINGS];    /* this connection, as told last */
	uint32_t state[TALLY_RINGS];	       /* as told last; 0 between connections */
};

/* Takes what a device told of a ring. A counter that goes back is kept where it was: -EPROTO, for
 * the caller to judge the device by. */
int tally_note(struct tally *tally, const struct channel_stats *stats);
/* The connection ended: its counters become part of the sum. */
void tally_close(struct tally *tally);
/* Both together. ring < rings. */
struct ring_stats tally_sum(const struct tally *tally, unsigned ring);

#endif
