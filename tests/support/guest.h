/*
 * A guest's network card as its driver and its VMM see it together: a peer, memory, and a ring for
 * each direction of each queue pair, with buffers of any shape. It negotiates, sets rings up in the
 * orders real front-ends use, sends and receives frames. Functions return 0 or what the peer or
 * ring returned. Owned by one thread.
 */
#ifndef AIRLOCK_TESTS_GUEST_H
#define AIRLOCK_TESTS_GUEST_H

#include <linux/virtio_net.h>
#include <stdbool.h>

#include "tests/support/guest_ring.h"
#include "tests/support/peer.h"

#define GUEST_PAIRS_MAX	 8
#define GUEST_RINGS_MAX	 (2 * GUEST_PAIRS_MAX)
#define GUEST_SLOTS_MAX	 256
#define GUEST_PIECES_MAX 64
#define GUEST_BUFFER_MAX (65550 + 12)

#define BIT(n) (UINT64_C(1) << (n))
#define GUEST_PROTOCOL_BITS \
	(BIT(VU_P_MQ) | BIT(VU_P_REPLY_ACK) | BIT(VU_P_CONFIG) | BIT(VU_P_MEM_SLOTS))

/* Bits that the headers of Debian 12 lack; virtio 1.3, 5.1.3. */
#define NET_F_GUEST_USO4 54
#define NET_F_GUEST_USO6 55
#define NET_F_HOST_USO	 56
#define NET_F_HASH	 57

enum guest_order {
	GUEST_QEMU,    /* CALL, ERR, ENABLE before SET_FEATURES; memory; NUM BASE ADDR KICK CALL */
	GUEST_TESTPMD, /* SET_FEATURES, memory, NUM BASE ADDR KICK, ENABLE at the end */
	GUEST_KICK_LAST, /* as testpmd, ENABLE before KICK */
	GUEST_KICK_FIRST /* KICK before NUM, BASE and ADDR, CALL after */
};

struct guest_options {	      /* zero: the default */
	unsigned pairs;	      /* 1 */
	uint16_t ring_size;   /* 256 */
	uint64_t features;    /* beside VERSION_1 and PROTOCOL_FEATURES */
	bool legacy;	      /* without VERSION_1: headers of 10 bytes unless MRG_RXBUF */
	uint64_t protocol;    /* beside GUEST_PROTOCOL_BITS */
	uint64_t no_protocol; /* of these to leave out */
	enum guest_order order;
	bool polling;  /* neither kick nor call descriptor */
	bool platform; /* behind an IOMMU: see iommu.h */
	bool indirect; /* every chain through a table; needs its feature */
	enum guest_backing backing;
	unsigned regions;      /* 2 */
	uint64_t region_bytes; /* what the rings and buffers need */
	bool slots;	       /* ADD_MEM_REG instead of SET_MEM_TABLE */
	uint32_t base;	       /* first index of every ring, as SET_VRING_BASE has it */
	uint32_t rx_buffer; /* bytes of a receive buffer: GUEST_BUFFER_MAX; 4096 with MRG_RXBUF */
	unsigned slots_per_ring; /* buffers of a ring: at most GUEST_SLOTS_MAX */
};

struct guest_queue {
	struct guest_ring ring;
	uint32_t slots, slot_bytes;
	uint64_t slot[GUEST_SLOTS_MAX];
	bool busy[GUEST_SLOTS_MAX];		/* transmit: owned by the device */
	uint32_t cuts[GUEST_PIECES_MAX], ncuts; /* lengths of the leading pieces of every buffer */
	bool hold;				/* receive: do not post a taken buffer again */
};

struct guest {
	struct peer peer;
	struct guest_memory memory;
	struct guest_options options;
	unsigned header; /* bytes of the virtio-net header */
	uint32_t hash;	 /* with HASH_REPORT: of the frame received last, and for which type */
	uint16_t report;
	struct guest_queue queue[GUEST_RINGS_MAX]; /* 2n receives, 2n + 1 transmits */
};

/* Owns nothing: what guest_close() may be called on before anything was opened. */
void guest_blank(struct guest *guest);
/* Everything until traffic flows, receive buffers posted. The peer is connected already. */
int guest_open(struct guest *guest, const struct guest_options *options);
/* The steps of guest_open, for tests that stop half way. */
int guest_negotiate(struct guest *guest, const struct guest_options *options);
int guest_make_rings(struct guest *guest);
int guest_share_memory(struct guest *guest);
/* Rings, SET_FEATURES and memory, for tests that have nothing to do in between. */
int guest_set_up(struct guest *guest);
/* Tells of every ring, from this index on, and enables it. */
int guest_start_rings(struct guest *guest, uint32_t base);
int guest_ring_configure(struct guest *guest, unsigned index, uint32_t base);
int guest_ring_enable(struct guest *guest, unsigned index, bool on);
/* GET_VRING_BASE: stops the ring; *base is where the device stopped. */
int guest_ring_stop(struct guest *guest, unsigned index, uint32_t *base);
/* Closes the connection and frees everything. */
void guest_close(struct guest *guest);

/* Posts every free receive buffer of a pair and kicks; or `n` of them, with -ENOSPC when there are
 * not so many. */
void guest_refill(struct guest *guest, unsigned pair);
int guest_post_buffers(struct guest *guest, unsigned pair, unsigned n);
/* Posts one frame without kicking. -ENOSPC: no free buffer or descriptor (reap and try again). */
int guest_post(struct guest *guest, unsigned pair, const struct virtio_net_hdr *hdr,
	       const void *frame, size_t len);
void guest_kick(struct guest *guest, unsigned pair);
/* Takes back transmitted buffers; how many, or -EPROTO. */
int guest_reap(struct guest *guest, unsigned pair);
/* post, kick and reap until there is room: 0, -ETIMEDOUT or -EPROTO. */
int guest_send(struct guest *guest, unsigned pair, const struct virtio_net_hdr *hdr,
	       const void *frame, size_t len);
/* Waits until the device has returned every transmitted buffer. */
int guest_flush(struct guest *guest, unsigned pair, int timeout_ms);
/*
 * The next received frame: its length, -ETIMEDOUT, -EPROTO. Puts merged buffers together and posts
 * them again. hdr may be NULL.
 */
int guest_receive(struct guest *guest, unsigned pair, struct virtio_net_hdr_v1 *hdr, void *frame,
		  size_t room, int timeout_ms);

#endif
