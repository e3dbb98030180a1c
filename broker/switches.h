/*
 * Which TAP queues are attached. The first pair's is as long as a connection is served: there
 * frames wait while rings start and stop, as in any card, and none is lost to the moment that a
 * switch takes. The others come and go as the device asks by index, since frames for an attached
 * queue that nobody reads are lost. The host's network lock is taken for every switch, so a device
 * gets a burst and then a slow trickle; what it asked for last for each pair is what it gets.
 * Owner: the broker's only thread.
 */
#ifndef AIRLOCK_BROKER_SWITCHES_H
#define AIRLOCK_BROKER_SWITCHES_H

#include "broker/bucket.h"
#include "broker/loop.h"
#include "broker/tap.h"

struct switches {
	struct loop *loop;
	struct tap *tap;
	struct bucket bucket;
	struct timer timer;
	bool wanted[CHANNEL_PAIRS_MAX];
	bool steer; /* wanted */
};

/* Both borrowed; every queue is detached. */
void switches_init(struct switches *switches, struct loop *loop, struct tap *tap);
/* Before a connection is handed over. */
void switches_begin(struct switches *switches);
/* pair < tap->pairs. What the TAP refuses is logged. */
void switches_want(struct switches *switches, unsigned pair, bool attach);
/* Steered by the guest's page, or not. */
void switches_steer(struct switches *switches, bool on);
/* Forgets what was wanted; the caller purges the TAP. */
void switches_forget(struct switches *switches);

#endif
