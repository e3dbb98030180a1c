/*
 * Receive-side scaling, from the guest's command to the kernel: a page of an eBPF map in which the
 * device writes what its guest wants, the broker where each pair's queue is now, and which the
 * broker's eBPF program reads for every frame to the guest. A device can spoil no more with it than
 * which of its own queues a frame takes. It holds two configurations and the index of the one in
 * force, so that a change takes effect whole.
 */
#ifndef AIRLOCK_LIB_STEERING_H
#define AIRLOCK_LIB_STEERING_H

#include <linux/types.h>

#define STEERING_KEY	 40  /* bytes; a shorter key ends in zeros */
#define STEERING_TABLE	 128 /* entries, a power of two */
#define STEERING_PAIRS	 128
#define STEERING_NOWHERE 0xffff

/* Hash types (virtio 1.3, 5.1.6.4.3.1). */
#define STEERING_IPV4	(1u << 0)
#define STEERING_TCPV4	(1u << 1)
#define STEERING_UDPV4	(1u << 2)
#define STEERING_IPV6	(1u << 3)
#define STEERING_TCPV6	(1u << 4)
#define STEERING_UDPV6	(1u << 5)
#define STEERING_IP_EX	(1u << 6)
#define STEERING_TCP_EX (1u << 7)
#define STEERING_UDP_EX (1u << 8)
#define STEERING_TYPES	0x1ffu

struct steering_config {
	__u32 types;
	__u16 mask;	    /* of the table's index */
	__u16 unclassified; /* pair for frames of no such type */
	__u8 key[STEERING_KEY];
	__u16 table[STEERING_TABLE]; /* pairs */
};

struct steering_page {
	__u32 active; /* config in force, 0 or 1 */
	__u32 reserved;
	struct steering_config config[2]; /* the device's */
	__u16 slot[STEERING_PAIRS];	  /* the broker's: the TAP's index of each pair's queue */
};

#endif
