/*
 * The TAP's link and MTU as an administrator changes them while a guest is served: the kernel tells
 * of it on a netlink socket that is opened and subscribed while privileged. Afterwards it is read,
 * and written only to ask again what was missed. Owner: the broker's only thread.
 */
#ifndef AIRLOCK_BROKER_LINK_H
#define AIRLOCK_BROKER_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/loop.h"

struct link {
	int sock;  /* owned; -1: the interface is out of sight, and counts as up */
	int index; /* of the interface */
	bool up;
	unsigned mtu;
	struct watch watch;
	void (*changed)(void *arg);
	void *arg;
};

/* Subscribes; `up` and `mtu` are what they are now. index 0: another network namespace's, of which
 * nothing will be heard. 0 or -errno. */
int link_open(struct link *link, const char *name, int index, unsigned mtu);
/* From here on changed(arg) is called whenever up or mtu is another. */
void link_begin(struct link *link, struct loop *loop, void (*changed)(void *arg), void *arg);
void link_close(struct link *link);

#endif
