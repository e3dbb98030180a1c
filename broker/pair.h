/*
 * Transports, and the pairs that they make with devices (--vfio-user-socket). A VMM is served by a
 * transport, whose back-end is a device: so to devices this is where front-ends come from. A device
 * that dies under its transport is followed by another; when the VMM leaves, both end. One VMM at a
 * time, the second waits in the listener's backlog. Owner: the broker's only thread.
 */
#ifndef AIRLOCK_BROKER_PAIR_H
#define AIRLOCK_BROKER_PAIR_H

#include "broker/crew.h"
#include "broker/frontends.h"
#include "broker/rival.h"

struct pair_options {
	struct loop *loop;
	struct spawner *spawner;     /* of transports */
	const struct denial *denial; /* NULL: denied calls stay unnamed */
	struct frontends *clients;   /* where VMMs connect */
	bool inspect;
	bool once;			/* no transport is made for a second VMM */
	const struct crew_owner *owner; /* of transports, with `arg` */
	void (*changed)(void *arg);	/* pair_wants() may be another */
	void (*over)(void *arg, struct device *transport); /* its VMM's connection has ended */
	void *arg;
};

struct pair {
	struct pair_options is;
	struct crew
		crew; /* of transports; who it is, and what becomes of it, is the monitor's too */
	struct rival rival;
	int pending; /* owned: a VMM whose transport died before it took it */
	uint64_t connections;
};

void pair_init(struct pair *pair, const struct pair_options *options);
/* Is there a transport that a device can serve, once a VMM is there? */
bool pair_wants(const struct pair *pair);
/* To poll for reading while a device waits, or -1: ask again after a pause. */
int pair_fd(const struct pair *pair);
/* The device's end of a fresh connection to a transport that serves a VMM: the caller's. -EAGAIN:
 * none now. */
int pair_next(struct pair *pair);
/* Kills what is left. */
void pair_end(struct pair *pair);

#endif
