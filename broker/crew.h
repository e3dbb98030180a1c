/*
 * The processes of one kind, devices or transports: one serves, one waits as a confined spare, and
 * those that were killed are not reaped yet. Orders them from their spawner, hears of their births
 * and deaths, and pauses where they die before they are ready. Owner: the broker's only thread;
 * what stands in the options is borrowed.
 */
#ifndef AIRLOCK_BROKER_CREW_H
#define AIRLOCK_BROKER_CREW_H

#include "broker/death.h"
#include "broker/device.h"
#include "broker/spawner.h"

#define CREW_PLACES 8 /* one serves, one waits; the others are on their way out */

/* What the monitor wants to hear. */
struct crew_owner {
	void (*reaped)(void *arg, struct device *device, bool orderly);
	void (*seen)(void *arg, struct device *device);
	/* Too many died before they were ready: no more are made. */
	void (*hopeless)(void *arg);
	/* The spawner is gone, and with it everybody. */
	void (*orphaned)(void *arg);
};

struct crew_options {
	const char *what; /* "device", for the log */
	struct loop *loop;
	struct spawner *spawner;
	const struct denial *denial; /* NULL: denied calls stay unnamed */
	unsigned pairs;		     /* that one serves; 0: transports */
	unsigned patience;	     /* of each, as struct device has it */
	const struct crew_owner *owner;
	void *arg;
	const struct device_owner *life; /* of each; `gone` begins with crew_lose() */
	void *life_arg;
};

struct crew {
	struct crew_options is;
	struct device places[CREW_PLACES];
	struct device *serving, *spare; /* the spare is STARTING or WAITING */
	struct witness *witness; /* owned: what was seen of the one that serves, NULL not yet */
	struct watch news;
	struct timer order;
	unsigned early_deaths;
	bool held;		     /* none are made any more: hopeless, */
	bool closed;		     /* or no longer wanted */
	uint64_t restarts;	     /* that died and should not have */
	char last_exit[DEATH_WORDS]; /* "" before the first */
};

void crew_init(struct crew *crew, const struct crew_options *options);
/* Listens to the spawner and orders the first. */
void crew_begin(struct crew *crew);
/* Orders a spare where there is none and one may be. */
void crew_fill(struct crew *crew);
/* Is there a spare that can serve? */
bool crew_waits(const struct crew *crew);
/* The spare becomes the one that serves. */
struct device *crew_take(struct crew *crew);
/* One is gone: neither spare nor serving any more. */
void crew_lose(struct crew *crew, struct device *device, enum device_state from);
/* Asks the spawner for an account of the one that serves, for the sandbox report. */
void crew_inspect(const struct crew *crew, const struct device *device);
/* Ends the one that serves: its front-end's process is gone, and another waits. */
void crew_displace(struct crew *crew);
/* Ends those that serve or wait; fresh ones follow unless the crew is closed. */
void crew_replace(struct crew *crew);
void crew_close(struct crew *crew);
/* Is there anybody left, living or not yet reaped? */
bool crew_any(const struct crew *crew, bool living);
/* The one that serves, or waits; NULL: none. */
const struct device *crew_shown(const struct crew *crew);
/* Kills what is left. */
void crew_end(struct crew *crew);

#endif
