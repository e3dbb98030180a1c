/*
 * Supervision: which device serves whom, and what happens when one of them ends. One VMM is served
 * at a time, by a device of its own, or by a transport and a device; a second one waits in the
 * listener's backlog. Never waits for a device, its spawner or a front-end. Owner: the broker's
 * only thread; everything in the options is borrowed and outlives the monitor.
 */
#ifndef AIRLOCK_BROKER_MONITOR_H
#define AIRLOCK_BROKER_MONITOR_H

#include "broker/frontends.h"
#include "broker/link.h"
#include "broker/notify.h"
#include "broker/pair.h"
#include "broker/policies.h"
#include "broker/privilege.h"
#include "broker/tally.h"
#include "broker/tap.h"

struct monitor;

struct monitor_options {
	struct loop *loop;
	struct spawner *spawner;
	struct tap *tap;
	struct frontends *frontends; /* where VMMs connect */
	bool pair;		     /* to a transport: they speak vfio-user */
	struct spawner *transport_spawner;
	const struct denial *transport_denial; /* NULL, as below */
	struct notify *notify;
	const struct link *link;     /* NULL: devices are not told */
	const struct denial *denial; /* NULL: denied calls stay unnamed */
	const struct policies *policies;
	const struct privilege_state *privilege;
	int report_fd; /* -1: no --sandbox-report */
	bool inspect;  /* have each device that serves looked at */
	bool once;
};

struct monitor_status {
	pid_t device; /* that serves or waits, 0 none */
	enum device_state phase;
	bool paired; /* then likewise: */
	pid_t transport;
	enum device_state transport_phase;
	unsigned pairs, active_pairs;
	uint64_t connections, restarts; /* of VMMs begun; processes replaced because they died */
	char last_exit[DEATH_WORDS];	/* of a device; "" before the first */
	char transport_last_exit[DEATH_WORDS];
};

/* NULL: no memory. */
struct monitor *monitor_new(const struct monitor_options *options);
/* Orders the first device. The loop ends with 0 or 1 when there is nothing left to supervise. */
void monitor_begin(struct monitor *monitor);
/* Stops what serves in order and ends the loop with code, soon. */
void monitor_stop(struct monitor *monitor, int code);
/* Ends the live session; it and the spare are replaced by fresh processes. */
void monitor_restart(struct monitor *monitor);
/* The TAP's link or MTU is another. */
void monitor_link(struct monitor *monitor);
void monitor_status(const struct monitor *monitor, struct monitor_status *status);
/* Brings the tally up to date and calls counted(arg), once, perhaps before it returns. -EBUSY: it
 * is being brought up to date for somebody. */
int monitor_count(struct monitor *monitor, void (*counted)(void *arg), void *arg);
const struct tally *monitor_tally(const struct monitor *monitor);
/* The last sandbox report, NULL before the first; valid until the loop's next turn. */
const char *monitor_report(const struct monitor *monitor);
/* Kills what is left. */
void monitor_free(struct monitor *monitor);

#endif
