/*
 * Accesses of the driver's, from the gate to their completion: done at once, sent to the task
 * (device configuration), deferred (a STATUS write that waits for the state), or stalled behind
 * one, in order. None is ever discarded. Under the transport's lock.
 */
#ifndef AIRLOCK_FRONTEND_ACCESS_H
#define AIRLOCK_FRONTEND_ACCESS_H

#include "frontend/core.h"

/* What is kept in airlock_access.internal. */
struct access {
	struct airlock_access *next;
	bool window; /* PCI_CFG: this is not the guest's access but made for it, which was: */
	uint8_t len;
	uint64_t offset;	/* of the PCI configuration space */
	struct command command; /* READ_CONFIG or WRITE_CONFIG */
} __attribute__((may_alias));

static inline struct access *access_of(struct airlock_access *a)
{
	return (struct access *)a->internal;
}

/* The gate: 0 or 1 as airlock_access(). */
int access_begin(struct core *c, struct airlock_access *a);
/* It is over: done() will be called once the lock is free. */
void access_complete(struct core *c, struct airlock_access *a);
/* The state has come to rest: the write that waited for it is over. */
void access_deferred_done(struct core *c);
/* What stalled, until one of them makes the state busy again: the rest stays queued behind it. */
void access_replay(struct core *c);

#endif
