/*
 * Where front-ends come from: a socket we listen on, a path we connect to, or one connection that
 * we were given. The broker never reads from what it gets here.
 */
#ifndef AIRLOCK_BROKER_FRONTENDS_H
#define AIRLOCK_BROKER_FRONTENDS_H

#include "broker/listen.h"

enum frontends_kind {
	FRONTENDS_LISTEN,
	FRONTENDS_DIAL,
	FRONTENDS_GIVEN
};

struct frontends {
	enum frontends_kind kind;
	struct listener listener; /* FRONTENDS_LISTEN */
	const char *path;	  /* FRONTENDS_DIAL; not copied */
	int given;		  /* FRONTENDS_GIVEN; owned until it is taken */
	bool refused;		  /* FRONTENDS_DIAL: said so already */
};

/* To poll for reading while a connection is wanted, or -1: ask again after a pause. */
int frontends_fd(const struct frontends *frontends);
/*
 * A connection whose peer is still there: CLOEXEC, non-blocking, the caller's. -EAGAIN: none now.
 * -ENOENT: there will never be another. Other -errno (logged): ask again after a pause.
 */
int frontends_next(struct frontends *frontends);
void frontends_close(struct frontends *frontends);

#endif
