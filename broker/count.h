/*
 * Brings a tally up to date: asks the device that serves for one ring after the other, so that one
 * question is under way at most. Owner: the broker's only thread.
 */
#ifndef AIRLOCK_BROKER_COUNT_H
#define AIRLOCK_BROKER_COUNT_H

#include "broker/device.h"
#include "broker/tally.h"

struct count {
	struct tally tally;
	struct device *device; /* borrowed while a count is under way */
	unsigned next;	       /* ring */
	void (*done)(void *arg);
	void *arg;
};

/* Calls done(arg) once, perhaps before it returns; at once when device is NULL. -EBUSY: a count is
 * under way. */
int count_begin(struct count *count, struct device *device, void (*done)(void *arg), void *arg);
/* The answer has come. -EPROTO: it cannot be true. */
int count_told(struct count *count, const struct channel_stats *stats);
/* The connection is over: what is known becomes part of the sum, and a count under way is done. */
void count_close(struct count *count);

#endif
