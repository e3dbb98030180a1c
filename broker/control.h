/*
 * The status socket of --control: a client sends one line, "status", "stats", "sandbox" or
 * "restart", gets one JSON document and is hung up on. Whoever may connect (root, by the socket's
 * mode) may ask. Few clients at a time, none is waited for. Owner: the broker's only thread.
 */
#ifndef AIRLOCK_BROKER_CONTROL_H
#define AIRLOCK_BROKER_CONTROL_H

#include "broker/listen.h"
#include "broker/loop.h"
#include "broker/monitor.h"

#define CONTROL_LINE_MAX 32 /* of a request, with its end */

struct control;
struct guard;

struct control_options {
	struct loop *loop;
	struct listener *listener;
	struct monitor *monitor;
	const struct tap *tap;
	const struct guard *guard; /* NULL: none */
	const char *socket_path;   /* NULL: inherited */
};

/* While files can be opened: JSON's hash tables need randomness. NULL: no memory. */
struct control *control_new(void);
/* All options are borrowed and outlive it. */
void control_begin(struct control *control, const struct control_options *options);
/* Hangs up on everyone. NULL is fine. */
void control_free(struct control *control);

#endif
