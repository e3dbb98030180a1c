/*
 * Where front-ends come from: a socket we listen on, a path we connect to, or one connection that
 * we were given. The broker never reads from what it gets here.
 */
#ifndef AIRLOCK_BROKER_SOURCE_H
#define AIRLOCK_BROKER_SOURCE_H

#include "broker/listen.h"

enum source_kind {
	SOURCE_LISTEN,
	SOURCE_DIAL,
	SOURCE_GIVEN
};

struct source {
	enum source_kind kind;
	struct listener listener; /* SOURCE_LISTEN */
	const char *path;	  /* SOURCE_DIAL; not copied */
	int given;		  /* SOURCE_GIVEN; owned until it is taken */
	bool refused;		  /* SOURCE_DIAL: said so already */
};

/* To poll for reading while a connection is wanted, or -1: ask again after a pause. */
int source_fd(const struct source *source);
/*
 * A connection whose peer is still there: CLOEXEC, non-blocking, the caller's. -EAGAIN: none now.
 * -ENOENT: there will never be another.
 */
int source_next(struct source *source);
void source_close(struct source *source);

#endif
