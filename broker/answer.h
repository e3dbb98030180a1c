/*
 * What the status socket answers, as JSON text with a final newline. All are malloc'd and the
 * caller's; NULL: no memory. The keys are documented in airlock-ctl(1).
 */
#ifndef AIRLOCK_BROKER_ANSWER_H
#define AIRLOCK_BROKER_ANSWER_H

#include "broker/guard.h"
#include "broker/monitor.h"

/* socket_path: NULL when it was inherited. */
char *answer_status(const struct monitor_status *status, const char *tap, const char *socket_path);
/* guard NULL: there is none. */
char *answer_stats(const struct tally *tally, const char *tap, const struct guard_page *guard);
char *answer_error(const char *words);
char *answer_done(void);

#endif
