/*
 * Results of the benchmarks, from one program to the next. Runs in each of them.
 */
#include "tests/bench/results.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/support/rig.h"

static void results_path(const char *name, char *path, size_t room)
{
	const char *build = getenv("AIRLOCK_BUILD");

	snprintf(path, room, "%s/bench", build ? build : "build");
	mkdir(path, 0755);
	snprintf(path, room, "%s/bench/%s.json", build ? build : "build", name);
}

bool results_quick(void)
{
	const char *quick = getenv("QUICK");

	return quick && *quick && *quick != '0';
}

void results_save(const char *name, json_t *rows)
{
	char path[512];

	results_path(name, path, sizeof(path));
	assert_ok(json_dump_file(rows, path, JSON_INDENT(1)));
	json_decref(rows);
}

json_t *results_load(const char *name)
{
	char path[512];

	results_path(name, path, sizeof(path));
	return json_load_file(path, 0, NULL);
}

int results_order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double results_median(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), results_order);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

double results_percentile(const double *sorted, size_t n, double part)
{
	size_t at = (size_t)((double)n * part);

	return sorted[at < n ? at : n - 1];
}
