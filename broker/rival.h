/*
 * A connection that outlives its front-end. A front-end can hide its own end of the connection in a
 * socket that it passes on, and then its connection never hangs up, even when its process is gone.
 * That is its own affair until somebody else waits: then the connection is over. Linux 6.5 and
 * later (SO_PEERPIDFD); before, only the administrator ends it.
 */
#ifndef AIRLOCK_BROKER_RIVAL_H
#define AIRLOCK_BROKER_RIVAL_H

#include "broker/loop.h"

struct rival {
	struct loop *loop;
	int process; /* owned: pidfd of the process that connected; -1 unknown */
	struct watch gone, waiting;
	struct timer grace;
	void (*displace)(void *arg); /* the connection should end now */
	void *arg;
};

void rival_init(struct rival *r, struct loop *loop, void (*displace)(void *arg), void *arg);
/* A connection begins; listener: where others wait, -1 nowhere. */
void rival_begin(struct rival *r, int connection, int listener);
/* It is over. */
void rival_end(struct rival *r);

#endif
