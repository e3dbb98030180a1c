/*
 * The TAP and its queues: one descriptor per queue pair, opened at start while privileged and kept
 * for good; devices get duplicates. From tap_open() on every queue is detached (no frame waits in
 * it), headers are 12 bytes little endian, no offload is on. Set-up functions log their error and
 * return 0, -EINVAL for what the administrator must change (nothing was changed on the host), or
 * another -errno. Owner: the broker's only thread.
 */
#ifndef AIRLOCK_BROKER_TAP_H
#define AIRLOCK_BROKER_TAP_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/address.h"
#include "broker/steering.h"
#include "lib/channel.h"

#define TAP_ADDRESSES_MAX 16
#define TAP_MTU_MIN	  68
#define TAP_MTU_DEFAULT	  1500	/* of a TAP that nobody gave another */
#define TAP_MTU_MAX	  65521 /* the kernel's for a TAP: 65535 less an Ethernet header */

struct tap_options {
	const char *name;	    /* NULL: the kernel names it */
	int fds[CHANNEL_PAIRS_MAX]; /* inherited queues instead; tap_open() takes them */
	size_t fd_count;
	unsigned pairs; /* 1..CHANNEL_PAIRS_MAX */
	unsigned mtu;	/* 0: not asked for */
	struct address addresses[TAP_ADDRESSES_MAX];
	size_t address_count;
};

struct tap {
	char name[IFNAMSIZ];
	int index; /* 0: in another network namespace */
	bool created;
	bool multi_queue; /* false: one inherited queue that cannot be detached */
	unsigned pairs;
	unsigned mtu;	   /* as it is now; what the guest is offered */
	uint32_t offloads; /* TUN_F_* it takes */
	int queues[CHANNEL_PAIRS_MAX];
	bool attached[CHANNEL_PAIRS_MAX];
	unsigned order[CHANNEL_PAIRS_MAX]; /* attached pairs, as the kernel counts their queues */
	struct steering steering;
	bool steered;	     /* the program chooses queues */
	unsigned mtu_before; /* what tap_restore() brings back; 0: nothing */
	uint32_t added;	     /* addresses that tap_configure() added, by index */
};

/* Finds out without changing anything whether tap_open() can work. */
int tap_check(const struct tap_options *options);
int tap_open(const struct tap_options *options, struct tap *tap);
/* MTU, addresses, link up; the last step of set-up. A failure has been undone. */
int tap_configure(struct tap *tap, const struct tap_options *options);
/* Undoes tap_configure() on a TAP that was there before; while privileged. */
void tap_restore(struct tap *tap, const struct tap_options *options);
/* A TAP that tap_open() created goes away with the last duplicate of its queues. */
void tap_close(struct tap *tap);

/* Attaches or detaches the queue of a pair; without privilege. Detaching drops what waits in it. */
int tap_queue_set(struct tap *tap, unsigned pair, bool attach);
/* Has frames to the guest steered by the page of lib/steering.h, or as the kernel likes. */
int tap_steer(struct tap *tap, bool on);
unsigned tap_queues_attached(const struct tap *tap);
/* Between connections: nothing that one left behind reaches the next. The first -errno; the rest is
 * purged all the same. */
int tap_purge(struct tap *tap);

#endif
