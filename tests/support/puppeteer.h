/*
 * The strings of a puppet (puppet.h): one connection after another to a broker whose devices do
 * what they are told, and how each of them ended, in the broker's words. Asserts instead of
 * returning errors. Owned by one thread.
 */
#ifndef AIRLOCK_TESTS_PUPPETEER_H
#define AIRLOCK_TESTS_PUPPETEER_H

#include "tests/support/puppet.h"
#include "tests/support/rig.h"

struct puppeteer {
	struct rig *rig;
	struct peer peer; /* the live puppet; sock -1: none */
	off_t seen;	  /* of the broker's log */
	char end[160];	  /* of the last device that ended: "killed by SIGSYS: ..." */
};

/* A broker of puppets with these options (ended by NULL), ready to serve. */
void puppets_start(struct puppeteer *p, struct rig *rig, const char *const *options);
/* Has the live device, or a fresh one, carry out the order; `fd` goes along unless -1. True with
 * its answer, or false: it is gone, and p->end says how. */
bool puppet_obeys(struct puppeteer *p, const struct puppet_order *order, int fd,
		  struct puppet_answer *answer);
/* One call by the control thread, on the live device or a fresh one, that the device survives; its
 * result. */
int64_t puppet_calls(struct puppeteer *p, int64_t nr, const int64_t args[6]);
/* Ends the live device's connection, if there is one, and waits for its end. */
void puppet_drop(struct puppeteer *p);
/* True when the end of a device has been told since the last one. */
bool puppet_hears(struct puppeteer *p);
/* Waits for that. */
void puppet_end(struct puppeteer *p);

#endif
