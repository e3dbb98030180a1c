/*
 * A receive and a transmit ring over one TAP queue: all that one worker owns while it serves. Only
 * that worker touches it, except for the counters (read by the control thread, relaxed), the frame
 * that waits while no ring runs (state.h), and what worker.h names.
 *
 * The packet path is worker.c -> net_tx.c or net_rx.c -> ring.c -> memory.c: no lock, no
 * allocation, no logging, one system call a frame.
 */
#ifndef AIRLOCK_DEVICE_PAIR_H
#define AIRLOCK_DEVICE_PAIR_H

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "device/coalesce.h"
#include "device/net.h"
#include "device/net_filter.h"
#include "device/ring.h"
#include "lib/stats.h"

#define PAIR_RX 0
#define PAIR_TX 1

/* Of guest memory in one readv or writev; the header and the spill take two more. */
#define PAIR_PIECES (IOV_MAX - 2)
/* Gathered ahead for receiving. */
#define PAIR_CHAINS 512
/* Descriptors walked and segments handed over in one turn of a ring, whatever few frames they make:
 * well below what a worker may be silent for. */
#define PAIR_WORK 16384

/* Descriptors of a ring, borrowed from the control thread; -1: none (polling mode, no interrupts).
 */
struct queue_fds {
	int kick, call, err, log; /* log: signalled after writes that were logged */
};

struct queue {
	struct ring ring;
	struct queue_fds fds;
	bool running; /* started and not broken, and its areas are there */
	bool stalled; /* started, but translations of its areas are missing */
	/* Of the miss that it waits for, in the form of ring.miss; 0: none. */
	uint64_t miss_told;	       /* said last, since the translations last changed */
	atomic_uint_least64_t missed;  /* for the control thread to take */
	atomic_uint_least64_t refused; /* by the front-end: there is no such translation */
	bool enabled;
	int inband;	  /* no call descriptor: whom to tell of `wanted_call`; -1 nobody */
	bool inband_kick; /* without a kick descriptor: somebody else wakes us, no need to poll */
	atomic_bool wanted_call;
	const struct dirty *dirty; /* where writes to the guest's buffers are logged, or NULL */
	bool kick_dead; /* the kick descriptor is no event descriptor: not polled again */
	struct ring_stats stats;
};

/* Buffers gathered from the receive ring, and the frame that waits for more of them. */
struct rx_state {
	/* Pieces gathered: [first, last), first >= 1. The slots before and behind are ours. */
	struct iovec iov[PAIR_PIECES + 2];
	unsigned int first, last;
	struct {
		uint32_t bytes;
		uint16_t head, slots, pieces;
	} chains[PAIR_CHAINS];
	unsigned int chain_first, chain_last;
	unsigned int slots; /* of the ring, in [chain_first, chain_last) */
	uint64_t bytes;	    /* in [first, last), the header's space included */
	bool blocked;	    /* the next chain cannot be gathered before an earlier one is used */
	bool opened;	    /* the header's space is taken off the first chain, to `hdr` */
	struct iovec hdr[NET_HDR_LEN_MAX];
	unsigned int hdr_pieces;
	unsigned int small_run; /* small frames read since the last large one */
	uint32_t small_len;	/* of the last one, its header included */
	uint32_t held_len;	/* 0: no frame waits */
	struct {
		char room[NET_HDR_LEN_MAX - NET_HDR_LEN]; /* for the longest header of a guest's */
		struct net_hdr hdr;
		char bytes[NET_FRAME_MAX + 1]; /* one more, to know a frame that is too long */
	} held;
};

struct net_ctrl;

struct pair {
	int tap; /* borrowed; -1 until the connection brings it */
	uint64_t features;
	unsigned int hdr_len;
	struct queue queues[2];
	bool watched;	 /* looked at again at once: its rings need not ask for notifications */
	bool rx_starved; /* no buffer posted: the TAP need not be polled */
	bool tx_blocked; /* the TAP takes nothing now: its POLLOUT is awaited */
	bool tap_away;	 /* its queue is detached or its interface gone: tried again after... */
	long tap_pause;	 /* ...so many ns; 0: it answers */
	const struct net_filter_box *rules; /* borrowed: what the guest wants; NULL: everything */
	struct net_filter filter;	    /* a copy of it */
	unsigned int rules_seen;
	bool filtering;		  /* not everything passes */
	struct net_ctrl *control; /* of the control queue's: who carries out its commands */
	struct rx_state rx;
	struct iovec tx_iov[PAIR_PIECES + 2];
	struct coalesce coalesce;
};

/* One writer, relaxed readers: a plain add that no reader sees torn. */
#define stat_add(counter, n) __atomic_store_n(&(counter), (counter) + (n), __ATOMIC_RELAXED)

/*
 * Moves frames until there is nothing to do or the budget of one turn is used up. 1: more to do; 0:
 * wait for an event; -errno: the ring is broken (-ESTALE: its memory, otherwise what the guest
 * wrote).
 */
int net_tx_run(struct pair *p);
int net_rx_run(struct pair *p);

/* For net_tx.c and coalesce.c. Takes the header off a chain and checks it: the length of the frame,
 * at least NET_FRAME_MIN, and in *iov its first piece with bytes left; 0 the frame is dropped and
 * counted; -EINVAL the chain has no place on this ring. */
int net_tx_open(struct pair *p, const struct chain *chain, struct iovec **iov, struct net_hdr *hdr);
/* Writes one frame: what was copied of it, then the pieces [iov, last); the slot before them is
 * free. As net_tx_result(). */
int net_tx_write(struct pair *p, struct net_frame *frame, struct iovec *iov, struct iovec *last);
/* What the TAP said of so many frames: 0 they are gone, sent or lost, and counted; -EAGAIN try
 * again later; -ESTALE the guest's memory is not there any more. */
int net_tx_result(struct pair *p, ssize_t n, unsigned int frames, uint64_t bytes);

/* Sends a RARP from this address, so that switches learn where the guest is now
 * (VHOST_USER_SEND_RARP). */
void net_tx_announce(struct pair *p, const uint8_t mac[6]);
/* Gives gathered buffers back to the ring, as if never taken: before it stops, or its memory
 * changes. */
void net_rx_release(struct pair *p);
/* Publishes what was pushed and interrupts the driver if it wants that. */
void queue_flush(struct queue *q);

#endif
