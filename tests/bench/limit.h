/*
 * The limit: threads that do nothing but one system call a frame on a TAP queue each, over as many
 * buffers as a guest's ring has. What a back-end can reach at most, as long as frames stay single.
 */
#ifndef AIRLOCK_BENCH_LIMIT_H
#define AIRLOCK_BENCH_LIMIT_H

#include "tests/bench/row.h"

#define LIMIT_TAP "limit0"

/* Runs the loops for `ms`, with the flood that the row asks for from the calling thread. */
struct figures limit_run(const struct row *row, unsigned int ms);

#endif
