/*
 * One thread per queue pair. A pair and not a queue: both directions of a pair share one TAP queue
 * and mostly one guest CPU, so one thread wakes for both, half as many threads exist, and a frame's
 * neighbours are in the same cache; more pairs bring more threads. A worker owns its rings from
 * START to STOP and hears commands through one mailbox; everything in struct worker_command is
 * written by the control thread before mailbox_post() and read by it after the answer.
 */
#ifndef AIRLOCK_DEVICE_WORKER_H
#define AIRLOCK_DEVICE_WORKER_H

#include <pthread.h>
#include <stdatomic.h>

#include "device/pair.h"
#include "lib/mailbox.h"

enum worker_order {
	WORKER_START,	 /* queue `which` at config, with mem, fds, enabled, features; result 0 or
			    -errno */
	WORKER_STOP,	 /* queue `which`; answer: base */
	WORKER_UPDATE,	 /* queue `which`: fds, enabled and logs */
	WORKER_MEMORY,	 /* both queues: mem, logs, areas and IOTLB of config; a queue without areas
			    breaks */
	WORKER_ANNOUNCE, /* send a RARP for mac */
};

struct worker_command {
	enum worker_order order;
	unsigned int which; /* PAIR_RX or PAIR_TX */
	struct ring_config config[2];
	const struct memory *mem;
	struct queue_fds fds;
	/* Without a descriptor: kicks come, and calls go, as messages by the control thread. */
	bool inband_kick, inband_call;
	struct ring_log log[2];	   /* of the rings' own writes */
	const struct dirty *dirty; /* of writes to its buffers */
	bool enabled;
	uint64_t features;
	uint8_t mac[6];
	int result;    /* answer */
	uint32_t base; /* answer: where the ring stopped, as ring_config.base */
};

struct worker {
	unsigned int index; /* of the pair */
	pthread_t thread;
	struct mailbox box;
	struct worker_command command;
	struct pair pair;
	int64_t poll_ns;  /* how long it looks on after its last work before it sleeps */
	int64_t poll_end; /* by clock_ns() */
	uint64_t turns;	  /* that moved frames, of both rings, when last looked */
	int cpu;	  /* to run on; -1 any */
	const struct sock_filter *filter; /* its own, to install before it serves; NULL: degraded */
	unsigned short filter_len;
	atomic_int sealed;    /* 0 not yet, 1 the filter is on, -errno it failed */
	atomic_int broken[2]; /* -errno of a queue that broke since the control thread last looked;
				 0 none */
};

/* Creates the thread, which goes to its CPU, installs its filter, reports in `sealed` and waits for
 * commands. answer_fd: mailbox.h. */
int worker_start(struct worker *w, unsigned int index, int answer_fd);
/* All but the thread: for a ring that the control thread serves itself, by the functions below. */
int worker_init(struct worker *w, unsigned int index, int answer_fd);
/* Carries out what was posted; true if something was. */
bool worker_obey(struct worker *w);
/* The descriptor to poll for kicks; -1 none. What poll said of it. */
int worker_kick_fd(const struct worker *w, unsigned int which);
void worker_kicked(struct worker *w, unsigned int which, short revents);
/* Runs a ring once, under the guard. True: more to do. */
bool worker_turn(struct worker *w, unsigned int which, int (*run)(struct pair *));
/* Control thread: posts the command already written. */
int worker_post(struct worker *w);

#endif
