/*
 * Orders of the broker. Runs in the server's thread; trusts the broker.
 *
 * SERVE brings two descriptors: the VMM's vfio-user socket, then the back-end's vhost-user socket;
 * each connected or listening, as --vfio-user-fd and --vhost-user-fd take them. BACKEND brings the
 * connected socket of a successor, when a back-end has died; it waits for the driver's reset.
 */
#include "frontend/orders.h"

#include <errno.h>

#include "lib/fd.h"

void orders_init(struct orders *o, int sock)
{
	*o = (struct orders){ .sock = sock, .phase = PHASE_STARTING, .client = -1, .backend = -1 };
}

int orders_ready(struct orders *o, const struct channel_ready *ready)
{
	struct channel_msg msg = { .type = CHANNEL_READY, .ready = *ready };

	if (o->sock < 0)
		return 0;
	o->phase = PHASE_WAITING;
	return channel_send(o->sock, &msg, NULL, 0);
}

/* Nothing is counted here: rings are the back-end's. */
static void stats_say(struct orders *o, const struct channel_msg *asked)
{
	struct channel_msg msg = { .type = CHANNEL_STATS,
				   .seq = asked->seq,
				   .stats = { .ring = asked->ask_stats.ring } };

	channel_send(o->sock, &msg, NULL, 0);
}

static enum order serve(struct orders *o, int *fds, size_t nfds)
{
	if (nfds != 2) {
		fd_close_all(fds, nfds);
		return ORDER_STOP;
	}
	o->client = fds[0];
	o->backend = fds[1];
	o->phase = PHASE_SERVING;
	return ORDER_SERVE;
}

enum order orders_next(struct orders *o)
{
	struct channel_msg msg, pong = { .type = CHANNEL_PONG };
	int fds[2];
	size_t nfds = 2;
	int rc = channel_recv(o->sock, CHANNEL_DEVICE, o->phase, &msg, fds, &nfds);

	if (rc == -EAGAIN)
		return ORDER_NONE;
	if (rc != 1) {
		fd_close(&o->sock);
		return ORDER_STOP;
	}
	pong.seq = msg.seq;
	switch (msg.type) {
	case CHANNEL_SERVE:
		return serve(o, fds, nfds);
	case CHANNEL_BACKEND:
		o->backend = fds[0];
		return ORDER_BACKEND;
	case CHANNEL_STOP:
		return ORDER_STOP;
	case CHANNEL_PING:
		channel_send(o->sock, &pong, NULL, 0);
		break;
	case CHANNEL_ASK_STATS:
		stats_say(o, &msg);
		break;
	default:
		break; /* the table lets nothing else come down */
	}
	return ORDER_NONE;
}

void orders_stopped(struct orders *o)
{
	struct channel_msg stopped = { .type = CHANNEL_STOPPED };

	if (o->sock >= 0 && o->phase == PHASE_SERVING)
		channel_send(o->sock, &stopped, NULL, 0);
}
