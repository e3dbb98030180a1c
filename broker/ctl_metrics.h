/* The counters as OpenMetrics text (version 1.0.0), for a collector to scrape. */
#ifndef AIRLOCK_BROKER_CTL_METRICS_H
#define AIRLOCK_BROKER_CTL_METRICS_H

#include <jansson.h>
#include <stdio.h>

/* Both documents are the broker's: of "stats" and of "status". */
void metrics_write(FILE *out, const json_t *stats, const json_t *status);

#endif
