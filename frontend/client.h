/*
 * A vhost-user front-end's side of one back-end: what is asked, in which order, and only of what
 * the back-end offered. Every function waits for the back-end, until the deadline that its owner
 * has set
 * (`deadline`, ms of lib/clock.h). One thread, the device task's.
 *
 * Results: 0; -EREMOTEIO the back-end refused (nothing is lost); -ECONNRESET it is gone, -ETIMEDOUT
 * it hangs, -EPROTO it speaks nonsense: the connection is closed then, and everything further is
 * -ENOTCONN until client_attach().
 */
#ifndef AIRLOCK_FRONTEND_CLIENT_H
#define AIRLOCK_FRONTEND_CLIENT_H

#include "frontend/slots.h"
#include "lib/vhost_user.h"

#define CLIENT_QUEUES_MAX 256 /* the wire has 8 bits for an index */

struct client_queue {
	unsigned int index;
	uint16_t size;
	uint32_t
		base; /* as the wire has it: packed rings have both indices and their wraps in it */
	uint64_t desc, driver, device; /* guest addresses of the three areas */
	int kick, call, err;	       /* eventfds, borrowed; -1: none */
};

struct client {
	int sock;    /* owned; -1: not connected */
	int channel; /* owned: what the back-end says by itself; -1: none */
	int64_t deadline;
	uint64_t offered; /* virtio features, VU_F_PROTOCOL_FEATURES among them */
	uint64_t protocol;
	uint64_t queues; /* as GET_QUEUE_NUM has it; 0: not asked */
	unsigned int slots_max;
	uint64_t features; /* as last set; they are set again after a reset */
	bool features_set, running;
	bool active[CLIENT_QUEUES_MAX]; /* from the first request of its start to its stop */
	bool table;			/* the back-end has a memory table */
	unsigned int nsent;
	struct slot sent[SLOTS_MAX]; /* what the back-end has; descriptors are not kept */
};

void client_init(struct client *c);
/* Takes over a connected socket and negotiates, until `deadline`. */
int client_attach(struct client *c, int sock);
void client_drop(struct client *c);
/* While no request runs: `sock` or `channel` is readable. 1 the configuration has changed, 0
 * nothing, or as above. */
int client_listen(struct client *c);

int client_set_features(struct client *c, uint64_t features);
int client_set_status(struct client *c, uint8_t status);
/* Makes the back-end's regions those of `slots`; -E2BIG: more than it takes. */
int client_set_memory(struct client *c, const struct slots *slots);
/* It lets go of everything that overlaps the range. */
int client_drop_memory(struct client *c, uint64_t address, uint64_t size);
int client_start_queue(struct client *c, const struct client_queue *q);
/* Idempotent: a queue that is not active is stopped. *base: where it stopped. */
int client_stop_queue(struct client *c, unsigned int index, uint32_t *base);
int client_set_call(struct client *c, unsigned int index, int fd);
/* Queues must be stopped. */
int client_reset(struct client *c);
/* Exactly [offset, offset + len). -EOPNOTSUPP: the back-end keeps no configuration. */
int client_read_config(struct client *c, uint32_t offset, void *data, uint32_t len);
int client_write_config(struct client *c, uint32_t offset, const void *data, uint32_t len);
/* All that was asked has been done, and the back-end still lives. */
int client_sync(struct client *c);

#endif
