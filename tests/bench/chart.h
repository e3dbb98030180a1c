/*
 * Charts as SVG, written into a page as it is made: bars beside a reference line, and lines over a
 * logarithmic axis. Text is escaped; there is no script. One thread.
 */
#ifndef AIRLOCK_BENCH_CHART_H
#define AIRLOCK_BENCH_CHART_H

#include <stddef.h>
#include <stdio.h>

struct bar {
	const char *label, *series; /* borrowed; bars of one label stand together */
	double value;
};

/* Horizontal bars from 0 on, their values at their ends; `reference`: where the line is drawn. */
void chart_bars(FILE *page, const char *title, const struct bar *bars, size_t n, double reference,
		int decimals);

struct line {
	const char *name;
	const double *y; /* one for each x; borrowed */
};

/* Lines over x, which is drawn by its logarithm, as y is. */
void chart_lines(FILE *page, const char *title, const double *x, size_t n, const struct line *lines,
		 size_t count);

#endif
