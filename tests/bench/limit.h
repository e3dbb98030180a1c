/*
 * The limit: threads that do nothing but one system call a frame on a TAP queue each, sending from
 * as many buffers as a guest's ring has and receiving into one. Through the C library, as anybody
 * would write such a loop; `ours`: in place, as the device makes its calls (lib/tap.h).
 */
#ifndef AIRLOCK_BENCH_LIMIT_H
#define AIRLOCK_BENCH_LIMIT_H

#include "tests/bench/row.h"

#define LIMIT_TAP "limit0"

/* Runs the loops for `ms`, with the flood that the row asks for from the calling thread. */
struct figures limit_run(const struct row *row, bool ours, unsigned int ms);

#endif
