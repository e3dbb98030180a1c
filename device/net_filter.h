/*
 * Which frames a guest wants: what it said over its control queue (virtio 1.3, 5.1.6.5.1 to
 * 5.1.6.5.3, 5.1.6.5.6). Decided by the control thread, obeyed by the workers: each keeps a copy,
 * and looks once a turn whether it is still the newest. A guest that has said nothing gets
 * everything. This is the guest's convenience and not a boundary: it reads destinations back from
 * the guest's own buffers.
 */
#ifndef AIRLOCK_DEVICE_NET_FILTER_H
#define AIRLOCK_DEVICE_NET_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/net_hash.h"

/* Bytes of a frame that net_filter_pass() looks at: up to a VLAN tag. */
#define NET_FILTER_HEAD 18
#define NET_FILTER_MACS 64 /* addresses of a table; of a longer one all pass */

struct net_filter_table {
	uint32_t count; /* NET_FILTER_MACS + 1: too many */
	uint8_t macs[NET_FILTER_MACS][6];
};

struct net_filter {
	uint8_t mac[6];
	bool by_vlan; /* tagged frames pass only where `vlans` says so */
	bool promisc, allmulti, alluni, nomulti, nouni, nobcast;
	struct net_filter_table uni, multi;
	uint64_t vlans[4096 / 64];
	uint64_t offloads_off; /* of the GUEST_ features negotiated, those switched off since */
	struct net_hash hash;  /* with HASH_REPORT: what to report of frames */
};

/* A filter on its way from the control thread to the workers. */
struct net_filter_box {
	unsigned int turn; /* odd while it is being written */
	union {
		struct net_filter filter;
		uint64_t words[(sizeof(struct net_filter) + 7) / 8];
	};
};

/* What a device begins with: everything passes. */
void net_filter_default(struct net_filter *f, const uint8_t mac[6]);
/* Does it need to look at frames at all? */
bool net_filter_looks(const struct net_filter *f);
/* head: the first min(len, NET_FILTER_HEAD) bytes of a frame of at least 14. */
bool net_filter_pass(const struct net_filter *f, const uint8_t *head, size_t len);

/* Control thread only. */
void net_filter_publish(struct net_filter_box *box, const struct net_filter *f);
/* Any thread: brings a copy up to date; true when it has changed. `seen` starts as 0. While the
 * filter is being written the old copy serves on. */
bool net_filter_refresh(const struct net_filter_box *box, struct net_filter *f, unsigned int *seen);

#endif
