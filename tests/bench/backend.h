/*
 * The back-ends that are compared: Airlock as it is, Airlock with something left out, and DPDK's.
 * Each is started for a row, paused while others are measured, and serves one connection. Owned by
 * one thread; asserts.
 */
#ifndef AIRLOCK_BENCH_BACKEND_H
#define AIRLOCK_BENCH_BACKEND_H

#include "tests/bench/row.h"
#include "tests/support/peer.h"
#include "tests/support/program.h"

enum backend_kind {
	BACKEND_AIRLOCK,
	BACKEND_SINGLE,	    /* Airlock, frames never joined */
	BACKEND_FILTERED,   /* its device alone, under both filters */
	BACKEND_UNFILTERED, /* its device alone, under none */
	BACKEND_DPDK,	    /* net_vhost to net_tap, in one polling thread */
	BACKEND_KINDS
};

extern const char *const backend_names[BACKEND_KINDS];

struct backend {
	enum backend_kind kind;
	struct program program;
	pid_t pid; /* whose processor time counts */
	int sock;  /* a connection made at the start, -1: by path */
	char dir[32], socket[64], tap[16];
};

/* 0, or -ENOENT: not on this machine. */
int backend_start(struct backend *b, enum backend_kind kind, const struct row *row);
void backend_connect(struct backend *b, struct peer *peer);
/* After the connection serves: finds its process and puts it on its processors. */
void backend_settle(struct backend *b);
/* One that polls would be in everybody's way. */
void backend_pause(const struct backend *b);
void backend_resume(const struct backend *b);
void backend_stop(struct backend *b);

#endif
