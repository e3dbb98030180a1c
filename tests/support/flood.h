/*
 * Floods: a thread with a connection of its own that gives a device as much to do as it can, in one
 * of several ways. What it does besides (a request now and then, frames for its guest) tells
 * whether the device still does its work. The owner starts, stops and reads the figures.
 */
#ifndef AIRLOCK_TESTS_FLOOD_H
#define AIRLOCK_TESTS_FLOOD_H

#include <pthread.h>

#include "tests/support/guest.h"
#include "tests/support/host.h"

enum flood_kind {
	FLOOD_HONEST,	   /* frames to the host as fast as they go */
	FLOOD_RUNTS,	   /* the same, too short to be frames */
	FLOOD_KICKS,	   /* and no buffers */
	FLOOD_REQUESTS,	   /* vhost-user messages, answers read */
	FLOOD_TAP,	   /* the host's frames, to a guest that takes them */
	FLOOD_TAP_UNREAD,  /* to one that does not */
	FLOOD_CONNECTIONS, /* come and go */
	FLOOD_NONSENSE,	   /* connections that end with a message that is none */
	FLOOD_KINDS
};

struct flood {
	enum flood_kind kind;
	const char *socket, *tap;
	pthread_t thread;
	struct guest guest;
	struct wire wire; /* to the guest */
	bool stop;
	uint64_t turns;	    /* connections, requests or rounds of the ring */
	uint64_t received;  /* frames that the guest got */
	int64_t slowest_ms; /* of the requests that it made besides */
	int error;	    /* -errno of whatever ended it early */
};

const char *flood_name(enum flood_kind kind);
/* socket and tap are borrowed. */
void flood_start(struct flood *flood, enum flood_kind kind, const char *socket, const char *tap);
/* Ends it, connection and all; the figures stay. */
void flood_stop(struct flood *flood);

#endif
