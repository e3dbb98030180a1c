/*
 * The broker–device channel: SOCK_SEQPACKET, one packet a message: a head, then the payload that
 * its type fixes. Exact lengths, exact descriptor counts and the phase in which each is permitted
 * stand in one table (channel.c) that both ends ask before they look at a message. Descriptors flow
 * down only. Host byte order: both ends run on one kernel.
 *
 * Phases, as the broker sees its device:
 *   STARTING --READY--> WAITING --SERVE--> SERVING --STOP--> ENDING --STOPPED, exit
 * A device without READY within its deadline, or with a message out of phase, is killed.
 */
#ifndef AIRLOCK_LIB_CHANNEL_H
#define AIRLOCK_LIB_CHANNEL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/stats.h"

#define CHANNEL_VERSION	  1
#define CHANNEL_PAIRS_MAX 128 /* queue pairs of one device; a TAP has at most 256 queues */
#define CHANNEL_FDS_MAX	  (2 + CHANNEL_PAIRS_MAX)

enum channel_phase {
	PHASE_STARTING,
	PHASE_WAITING,
	PHASE_SERVING,
	PHASE_ENDING
};

enum channel_type {
	CHANNEL_SERVE,	   /* down: take this connection; fds: socket, then one TAP queue a pair, in
			      order, then the page of lib/steering.h if `steering`. To a
			      transport: the VMM's socket, then the back-end's */
	CHANNEL_STOP,	   /* down: stop every ring, say STOPPED, exit 0 */
	CHANNEL_ASK_STATS, /* down: answer with STATS of this ring */
	CHANNEL_PING,	   /* down: answer with PONG of the same seq */
	CHANNEL_LINK,	   /* down: the TAP's link and MTU, with SERVE and whenever they change */
	CHANNEL_BACKEND,   /* down: to a transport whose back-end died: its successor's socket */
	CHANNEL_READY,	   /* up: confined, every filter installed, waiting; once */
	CHANNEL_PONG,	   /* up */
	CHANNEL_STATS,	   /* up: answer to ASK_STATS, same seq; 0: a ring's last, before STOPPED */
	CHANNEL_QUEUE,	   /* up: attach (1) or detach (0) the TAP queue of this pair */
	CHANNEL_STEER,	   /* up: choose receive rings by what the page says (1), or do not (0) */
	CHANNEL_EVENT,	   /* up: something for the log (lib/event.h) */
	CHANNEL_STOPPED,   /* up: every ring is stopped; the device exits next */
	CHANNEL_TYPES
};

struct channel_serve {
	uint32_t pairs; /* TAP queues that follow the socket, 1..CHANNEL_PAIRS_MAX; of a transport 1
			 */
	uint32_t tap_offloads; /* TUN_F_* that the TAP takes, as probed by the broker */
	uint32_t steering;     /* 1: one more descriptor, to write the steering page by */
	uint32_t reserved;
};
struct channel_link {
	uint32_t up; /* 1: frames may pass */
	uint32_t mtu;
};
struct channel_ready {
	uint32_t landlock_abi; /* 0: not applied */
	uint32_t mdwe;	       /* 1: memory-deny-write-execute is on */
	uint32_t threads;
	uint32_t reserved;
};
struct channel_ask_stats {
	uint32_t ring;
	uint32_t reserved;
};
struct channel_stats {
	uint32_t ring;
	uint32_t state; /* enum lifecycle state of the ring as shown to people: 0 stopped .. */
	struct ring_stats counters;
};
struct channel_queue {
	uint32_t pair;
	uint32_t attach;
};
struct channel_steer {
	uint32_t on;
	uint32_t reserved;
};
struct channel_event {
	uint32_t code; /* enum event_code */
	uint32_t reserved;
	int64_t a, b;
};

struct channel_msg {
	uint16_t version;
	uint16_t type; /* enum channel_type */
	uint32_t seq;  /* chosen by whoever asks, repeated by whoever answers */
	union {
		struct channel_serve serve;
		struct channel_link link;
		struct channel_ready ready;
		struct channel_ask_stats ask_stats;
		struct channel_stats stats;
		struct channel_queue queue;
		struct channel_steer steer;
		struct channel_event event;
	};
};

enum channel_end {
	CHANNEL_BROKER,
	CHANNEL_DEVICE
};

/* Sends msg (version is filled in) with its exact length; never waits. 0 or -errno; -EAGAIN when
 * the peer is behind. */
int channel_send(int sock, struct channel_msg *msg, const int *fds, size_t nfds);
/*
 * Receives one message for `me`, which is in `phase`, and checks it against the table. *nfds: room
 * on entry, received on return; the caller owns them. The device's end passes room, the broker's
 * passes 0. 1 message, 0 end of file, -EAGAIN nothing there, -EPROTO the peer broke the channel's
 * rules (nothing is kept), other -errno.
 */
int channel_recv(int sock, enum channel_end me, enum channel_phase phase, struct channel_msg *msg,
		 int *fds, size_t *nfds);
const char *channel_name(uint16_t type);

#endif
