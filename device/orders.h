/*
 * The device's end of the channel to its broker: orders come down (a connection, stop, statistics,
 * a ping), numbers go up. Control thread only; nothing here waits. A device that was launched
 * without a broker has no channel: what it would say is then lost, since a confined process has
 * nowhere else to say it.
 */
#ifndef AIRLOCK_DEVICE_ORDERS_H
#define AIRLOCK_DEVICE_ORDERS_H

#include <stdbool.h>

#include "lib/channel.h"
#include "lib/event.h"

struct orders {
	int sock; /* owned; -1: no broker */
	enum channel_phase phase;
	/* Of this second, of events and of mere debugging; more are only counted, or not even that.
	 */
	uint32_t events_left, debug_left;
	int64_t events_second, events_lost;
};

void orders_init(struct orders *o, int sock);
/* Says READY: everything that can be confined is. 0 or -errno. */
int orders_ready(struct orders *o, const struct channel_ready *ready);
/* Next order, as channel_recv(). The caller owns the descriptors that SERVE brings. */
int orders_next(struct orders *o, struct channel_msg *msg, int fds[CHANNEL_FDS_MAX], size_t *nfds);
/* Sends an answer or a request upward; a broker that is too far behind loses it. */
void orders_say(struct orders *o, struct channel_msg *msg);
void orders_event(struct orders *o, enum event_code code, int64_t a, int64_t b);
/* Asks for the TAP queue of a pair to be attached, or detached: only attached queues get frames
 * from the host. 0, or -EAGAIN: the broker is behind, ask again. */
int orders_queue(struct orders *o, unsigned int pair, bool attach);
/* Asks for receive rings to be chosen by the steering page. As orders_queue(). */
int orders_steer(struct orders *o, bool on);

#endif
