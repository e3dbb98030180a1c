/*
 * Where the benchmarks leave their results: $AIRLOCK_BUILD/bench/NAME.json, each file an object
 * with an array of rows, for bench_page to draw. Values are jansson's; a row is owned by the
 * results once it was added.
 */
#ifndef AIRLOCK_BENCH_RESULTS_H
#define AIRLOCK_BENCH_RESULTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* True when the whole must end within minutes. */
bool results_quick(void);
/* Writes the array as this benchmark's results, replacing the last ones; asserts. */
void results_save(const char *name, json_t *rows);
/* The rows of a benchmark that was run, to be freed; NULL: it was not. */
json_t *results_load(const char *name);

int results_order(const void *a, const void *b); /* of doubles, for qsort() */
double results_median(double *values, size_t n); /* sorts them */
/* The value below which the share `part` of the sorted values lies. */
double results_percentile(const double *sorted, size_t n, double part);

#endif
