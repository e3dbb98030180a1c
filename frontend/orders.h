/*
 * The transport's end of the channel to its broker, where it has one: the two connections come
 * down, the sockets of further back-ends, and stop; that it is ready, still there, and stopped goes
 * up. The server's thread; nothing waits.
 */
#ifndef AIRLOCK_FRONTEND_ORDERS_H
#define AIRLOCK_FRONTEND_ORDERS_H

#include <stdbool.h>

#include "lib/channel.h"

enum order {
	ORDER_NONE,
	ORDER_SERVE,   /* sockets are there */
	ORDER_BACKEND, /* another back-end's is */
	ORDER_STOP,    /* or the broker is gone */
};
struct orders {
	int sock; /* owned; -1: no broker */
	enum channel_phase phase;
	int client, backend; /* owned until taken: what SERVE and BACKEND brought */
};

void orders_init(struct orders *o, int sock);
int orders_ready(struct orders *o, const struct channel_ready *ready);
enum order orders_next(struct orders *o);
void orders_stopped(struct orders *o);

#endif
