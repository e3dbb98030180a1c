/*
 * The front-end of all throughput measurements: keeps every buffer of every ring with the back-end,
 * from one thread on a processor of its own, and counts what arrived at the far end. Never the
 * bottleneck: what it waited is part of the result.
 */
#ifndef AIRLOCK_BENCH_LOAD_H
#define AIRLOCK_BENCH_LOAD_H

#include "tests/bench/backend.h"
#include "tests/support/guest.h"

/* Connects and negotiates what the row needs; the rings run. */
void load_open(struct guest *guest, struct backend *b, const struct row *row);
/* One round. */
struct figures load_run(struct guest *guest, struct backend *b, const struct row *row,
			unsigned int ms);
/* A few frames of the row each way, compared bit for bit at the far end. */
void load_check(struct guest *guest, struct backend *b, const struct row *row);
void load_close(struct guest *guest);

#endif
