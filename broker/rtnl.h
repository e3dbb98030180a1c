/*
 * Network interfaces by rtnetlink, in the network namespace of the caller. Privileged, at start
 * only; each call is one question and its answer, and waits for the kernel. 0 or -errno.
 */
#ifndef AIRLOCK_BROKER_RTNL_H
#define AIRLOCK_BROKER_RTNL_H

#include <stdbool.h>

#include "broker/address.h"

struct rtnl_link {
	int index;
	unsigned mtu;
	bool up;
	bool queued;	   /* has a queueing discipline: since it came up, or from somebody */
	bool tap;	   /* a TAP made by /dev/net/tun */
	bool multi_queue;  /* the next three only mean something for a TAP */
	bool packet_info;  /* frames come with four bytes in front: IFF_NO_PI is missing */
	unsigned attached; /* queues that programs hold, attached or not */
};

/* -ENODEV: no interface of that name. */
int rtnl_link_get(const char *name, struct rtnl_link *out);
int rtnl_link_set_mtu(int index, unsigned mtu);
int rtnl_link_set_up(int index);
/* Frames go straight to the driver: no queueing discipline before its own queues. */
int rtnl_link_unqueue(int index);
/* No duplicate address detection: nothing answers on a TAP that nobody serves yet, and the host
 * must not wait. -EEXIST when the interface has that address. */
int rtnl_address_add(int index, const struct address *address);
int rtnl_address_remove(int index, const struct address *address);

#endif
