/*
 * The life of every ring, as the front-end drives it. Control thread only. A ring's configuration
 * is kept here while it does not run; from START to STOP the ring itself belongs to its worker.
 * Nothing here waits: what needs a worker is posted to its mailbox, and lifecycle_answers() takes
 * the answers in. Only when none is owed may the next request come.
 *
 * Results: 0 done; 1 posted, done when lifecycle_idle(); -EPROTO malformed; other -errno refused,
 * nothing has changed.
 */
#ifndef AIRLOCK_DEVICE_LIFECYCLE_H
#define AIRLOCK_DEVICE_LIFECYCLE_H

#include "device/orders.h"
#include "device/worker.h"

enum ring_state {
	RING_STOPPED,  /* no kick yet, or stopped by GET_VRING_BASE */
	RING_WAITING,  /* kicked, but size, addresses or memory are missing */
	RING_STARTING, /* its worker has been asked */
	RING_RUNNING,
	RING_STOPPING, /* its worker has been asked */
	RING_BROKEN,   /* by what the guest wrote, or by memory that vanished */
	RING_STATES
};

enum ring_event {
	RING_SET, /* NUM, ADDR or BASE: checked and stored by the caller's function */
	RING_KICK,
	RING_CALL,
	RING_ERR,
	RING_ENABLE,
	RING_STOP,
	RING_ANSWER, /* of its worker */
	RING_BREAK,  /* reported by its worker */
	RING_EVENTS
};

struct vring {
	enum ring_state state;
	uint32_t size; /* 0: not set */
	uint32_t base; /* as ring_config.base */
	bool has_addr, kicked, enabled;
	bool err_wanted;	   /* it broke, and that has to be said by a message */
	uint64_t denied;	   /* it broke for want of this translation, likewise */
	bool stale;		   /* the worker has not heard of a change yet */
	bool size_said, addr_said; /* since it last stopped */
	struct vu_vring_addr addr;
	int kick, call, err; /* owned; -1 none */
	bool polled, muted;  /* said to be without kick, call: no message takes their place */
};

/* Pairs, and the control queue as the first ring of one more. */
#define LIFECYCLE_UNITS (CHANNEL_PAIRS_MAX + 1)

struct lifecycle {
	const struct net_setup *setup;
	struct orders *orders;
	struct worker *workers; /* one a pair; behind them the control queue's, which has no
				   thread */
	struct vring vrings[2 * LIFECYCLE_UNITS];
	struct memory *memory, *retired; /* in use; and replaced, until every worker has let go */
	struct dirty *dirty, *dirty_retired; /* likewise */
	/* Likewise: with ACCESS_PLATFORM what translates the addresses of rings and buffers;
	   otherwise NULL. How often it has changed. */
	struct iotlb *iotlb, *iotlb_retired;
	uint32_t iotlb_changes;
	int log; /* owned: signalled when pages were logged; -1 none */
	uint64_t features;
	bool inband;	      /* VU_P_INBAND was negotiated */
	bool guest_addresses; /* rings are named by guest addresses, not by the front-end's */
	bool forget;	      /* once every ring has stopped: set up nothing any more */
	unsigned int active;  /* pairs that the guest uses; the others' TAP queues are
				 not attached */
	bool attached[CHANNEL_PAIRS_MAX]; /* the TAP queue, as the broker was last told */
	bool asked[LIFECYCLE_UNITS];	  /* the pair's worker owes an answer */
	bool stop_all, recheck; /* to be done as workers come free: stop every ring; start those
				   that wait */
	int64_t deadline;	/* ms: the workers that owe an answer are dead then */
	int replaced;		/* descriptor to close once its worker uses the new one */
	int failed;		/* the first failure among the answers to one request */
};

void lifecycle_init(struct lifecycle *l, const struct net_setup *setup, struct orders *orders,
		    struct worker *workers);
/* value: for NUM, BASE, ENABLE; addr: for ADDR; fd: for KICK, CALL, ERR, taken over when the result
 * is >= 0. */
int lifecycle_num(struct lifecycle *l, unsigned int ring, uint32_t value);
int lifecycle_addr(struct lifecycle *l, unsigned int ring, const struct vu_vring_addr *addr);
int lifecycle_base(struct lifecycle *l, unsigned int ring, uint32_t value);
int lifecycle_enable(struct lifecycle *l, unsigned int ring, uint32_t value);
int lifecycle_fd(struct lifecycle *l, unsigned int ring, enum ring_event event, int fd);
/* VRING_KICK: starts the ring if it is not started, wakes its worker if it is. */
int lifecycle_kick(struct lifecycle *l, unsigned int ring);
int lifecycle_stop(struct lifecycle *l, unsigned int ring);
/* Stops every ring. */
int lifecycle_stop_all(struct lifecycle *l);
/* Takes over `mem` and hands it to the running rings. */
int lifecycle_memory(struct lifecycle *l, struct memory *mem);

/* "An IOTLB message" of the front-end's. Done when no worker uses what was there before.
 * -EOPNOTSUPP without ACCESS_PLATFORM; as iotlb_apply(). */
int lifecycle_iotlb(struct lifecycle *l, const struct vu_iotlb *msg);
/* The translation that a ring waits for, once: its I/O address (the page) and VU_ACCESS_* below it;
 * 0 none. And the front-end's word that there is no such. */
uint64_t lifecycle_miss(struct lifecycle *l, unsigned int ring);
void lifecycle_refuse(struct lifecycle *l, unsigned int ring, uint64_t miss);
/* Once for each ring that broke because of that: the translation; 0 none. */
uint64_t lifecycle_denied(struct lifecycle *l, unsigned int ring);

/* -EPROTO: a change that a running ring cannot follow. Only VU_F_LOG_ALL may change under it. */
int lifecycle_features(struct lifecycle *l, uint64_t features);
/* Stops every ring and forgets how they were set up: the descriptors alone stay. */
int lifecycle_reset(struct lifecycle *l);
/* Take over a dirty log, and the descriptor (-1: none) that tells its owner of new marks. */
int lifecycle_log(struct lifecycle *l, struct dirty *dirty);
int lifecycle_log_fd(struct lifecycle *l, int fd);
/* Announces the guest's address on the host's side, by a frame from the first pair. */
int lifecycle_rarp(struct lifecycle *l, const uint8_t mac[6]);

bool lifecycle_started(const struct lifecycle *l); /* does any ring run, or is it on its way? */
bool lifecycle_idle(const struct lifecycle *l);	   /* no worker owes an answer */
/* Takes in answers and reports of breaks. With the last answer, -errno of a start that failed. */
int lifecycle_answers(struct lifecycle *l);
/* Once for each interrupt, or break, that has to go to the front-end as a message. */
bool lifecycle_call_wanted(struct lifecycle *l, unsigned int ring);
bool lifecycle_err_wanted(struct lifecycle *l, unsigned int ring);
/* Tells the broker, once a turn, which TAP queues are to be attached. False: it does not listen
 * now, ask again. */
bool lifecycle_attach(struct lifecycle *l);

#endif
