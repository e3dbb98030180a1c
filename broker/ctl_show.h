/* What airlock-ctl prints for people: the broker's JSON documents as text on a stream. A member
 * that is missing is shown as "-". */
#ifndef AIRLOCK_BROKER_CTL_SHOW_H
#define AIRLOCK_BROKER_CTL_SHOW_H

#include <jansson.h>
#include <stdio.h>

void show_status(FILE *out, const json_t *status);
/* before: the document of `seconds` ago, to show rates by; NULL none. */
void show_stats(FILE *out, const json_t *stats, const json_t *before, double seconds);
void show_sandbox(FILE *out, const json_t *report);

#endif
