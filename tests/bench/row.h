/*
 * What one row of the report asks for, and what was measured of it. Plain values; no ownership.
 */
#ifndef AIRLOCK_BENCH_ROW_H
#define AIRLOCK_BENCH_ROW_H

#include <stdbool.h>

#include "tests/bench/traffic.h"

enum way {
	WAY_SEND = 1,
	WAY_RECEIVE = 2,
	WAY_BOTH = 3
}; /* as the guest sees it */

struct row {
	enum way way;
	enum traffic traffic;
	unsigned int len; /* of a frame, Ethernet header included */
	unsigned int pairs, ring, batch;
	bool packed;
};

/* Sums of all pairs. */
struct figures {
	double frames;	/* a second, as counted at the far end */
	double bits;	/* a second */
	double cpu_ns;	/* of the back-end's processor time, a frame */
	double idle;	/* share of the time in which the front-end found nothing to do */
	double offered; /* receive: frames a second handed to the interface */
};

#endif
