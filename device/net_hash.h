/*
 * The hash that a received frame's header reports (VIRTIO_NET_F_HASH_REPORT; virtio 1.3, 5.1.6.4.3
 * and 5.1.6.4.4). The same as the one by which the broker's eBPF program chooses receive rings:
 * both compile lib/flow.h. Pure function of private data; any thread.
 */
#ifndef AIRLOCK_DEVICE_NET_HASH_H
#define AIRLOCK_DEVICE_NET_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "lib/steering.h"

/* Bytes of a frame that are looked at; what lies behind them is as good as absent. */
#define NET_HASH_HEAD 256

/* What a guest asked for: of no types, nothing is hashed. */
struct net_hash {
	uint32_t types;
	uint8_t key[STEERING_KEY];
};

/* head: the first min(frame's length, NET_HASH_HEAD) bytes of a frame. Returns hash_report: 0 none,
 * otherwise *value is the hash. */
uint16_t net_hash(const struct net_hash *cfg, const uint8_t *head, size_t len, uint32_t *value);

#endif
