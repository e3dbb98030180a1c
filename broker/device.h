/*
 * One confined process, a device or a transport, as the broker sees it: its end of the channel, its
 * life, its deadlines. What it says meets lib/channel.c's table and then the table in device.c;
 * whoever breaks a rule is killed, at once, and nobody waits for the corpse. Owner: the broker's
 * only thread.
 */
#ifndef AIRLOCK_BROKER_DEVICE_H
#define AIRLOCK_BROKER_DEVICE_H

#include "broker/bucket.h"
#include "broker/loop.h"
#include "lib/channel.h"

enum device_state {
	DEVICE_ABSENT,	 /* a free place in its crew */
	DEVICE_STARTING, /* ordered; not confined yet as far as we know */
	DEVICE_WAITING,	 /* confined, a spare */
	DEVICE_SERVING,
	DEVICE_ENDING, /* told to stop, or its front-end hung up; a deadline runs */
	DEVICE_GONE, /* killed, or it closed its channel: never runs for us again; not reaped yet */
	DEVICE_STATES
};

struct device;

/* What the monitor wants to hear. gone: exactly once, `from` the state before. */
struct device_owner {
	void (*ready)(void *arg, struct device *device);
	void (*serves)(void *arg, struct device *device); /* it took its connection */
	void (*queue)(void *arg, struct device *device, unsigned pair, bool attach);
	void (*steer)(void *arg, struct device *device, bool on);
	int (*stats)(void *arg, struct device *device, const struct channel_stats *stats);
	void (*gone)(void *arg, struct device *device, enum device_state from);
};

struct device {
	const char *what; /* "device" or "transport", for the log */
	enum device_state state;
	uint32_t serial;
	pid_t pid;	/* 0 until the spawner has told */
	pid_t inner;	/* as it sees itself, by its own word: used to word its death alone */
	int pidfd;	/* owned, -1 until then */
	int channel;	/* owned */
	int connection; /* owned: the duplicate by which we watch and end it */
	uint64_t channel_inode, connection_inode;
	uint64_t backend_inode; /* of what a transport was given beside its connection; else 0 */
	unsigned pairs;		/* 0: a transport, which has none to switch */
	unsigned patience; /* ms: how much longer than a device it may take to answer and to end */
	const char *guilt; /* why we killed it, NULL: we did not */
	const char *late;  /* what the running deadline is for */
	struct watch channel_watch, connection_watch;
	struct timer deadline;	   /* of READY, or of the end */
	struct timer ping;	   /* the pause before a PING, then its deadline */
	struct timer answer;	   /* of ASK_STATS */
	struct timer rest;	   /* from what it has to say */
	unsigned ticks;		   /* that the answer to PING may still take */
	unsigned pause, answer_ms; /* ms until a PING that no word causes; for the answer */
	uint32_t seq, ping_seq, ask_seq, ask_ring;
	bool pinged, introduced, asked, stopped;
	bool discarded;	     /* killed through no fault of its own */
	struct bucket words; /* lines it may still have in the log */
	unsigned unlogged;
	unsigned accounts; /* rings it told of without being asked, before its end */
	struct loop *loop;
	const struct device_owner *owner;
	void *arg;
};

/* Takes channel. The device has been ordered. */
void device_begin(struct device *device, int channel);
/* BORN: takes pidfd. */
void device_born(struct device *device, pid_t pid, pid_t inner, int pidfd);
/* Hands the connection over (keeps it as the duplicate), and with it nfds more, all borrowed, as
 * `serve` says (lib/channel.h). On failure the device has been killed and the connection is still
 * the caller's. */
int device_serve(struct device *device, int connection, const struct channel_serve *serve,
		 const int *fds, size_t nfds);
/* Brings a transport that serves another back-end's socket, borrowed. 0, or -errno: killed. */
int device_backend(struct device *device, int backend);
/* Tells one that serves of the TAP's link; what it does with it is its own affair. */
void device_link(struct device *device, bool up, unsigned mtu);
/* Asks for the counters of a ring; the answer is owner->stats(). */
int device_ask(struct device *device, uint32_t ring);
/* Orderly end where it serves, death elsewhere. */
void device_stop(struct device *device);
void device_kill(struct device *device, const char *guilt);
/* Reaped: hears what it still said, then it is gone. */
void device_died(struct device *device);
const char *device_state_name(enum device_state state);

#endif
