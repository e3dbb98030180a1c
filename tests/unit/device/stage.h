/*
 * What the tests of the packet path stand on: guest memory of three regions (two without a gap
 * between them, one behind a hole), a pair of split rings in it with a driver's half that writes
 * whatever a test wants, and a socket pair in place of the TAP: SEQPACKET keeps the borders of
 * frames. One thread, no privilege.
 */
#ifndef AIRLOCK_TESTS_STAGE_H
#define AIRLOCK_TESTS_STAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/memory.h"
#include "device/pair.h"
#include "lib/fd.h"
#include "lib/util.h"

#define MIB	0x100000ull
#define REGION	(4 * MIB)
#define GPA_A	0x400000ull	 /* rings, then buffers */
#define GPA_B	(GPA_A + REGION) /* follows without a gap */
#define GPA_C	0x8000000ull	 /* behind a hole */
#define GPA_TOP (GPA_B + REGION) /* the first address that is not mapped */
#define UVA(g)	((g) + 0x7e0000000000ull)

#define RING_AT(which) (GPA_A + (which)*0x180000ull)
#define AVAIL_OFF      0x80000ull
#define USED_OFF       0xa0000ull
#define BUFFERS	       (GPA_A + 0x300000ull) /* up to GPA_TOP */

#define MRG    BIT_ULL(VIRTIO_NET_F_MRG_RXBUF)
#define MODERN BIT_ULL(VIRTIO_F_VERSION_1)

struct driver {
	uint16_t size;
	struct virtq_desc *desc;
	struct virtq_avail *avail;
	struct virtq_used *used;
	uint16_t seen; /* used entries taken */
};

static struct stage {
	struct memory *mem;
	int files[3]; /* memfds of the regions */
	struct pair pair;
	int wire; /* the host's end of the TAP */
	struct driver driver[2];
} stage;

static inline void *at(uint64_t gpa)
{
	unsigned int hint = 0;
	uint64_t len = 1;
	void *host = memory_gpa(stage.mem, gpa, &len, &hint);

	assert_non_null(host);
	return host;
}

static inline int memory_file(uint64_t bytes)
{
	int fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(0, ftruncate(fd, (off_t)bytes));
	return fd;
}

/* A snapshot of the regions; of the files that are open already, if they are. */
static inline void stage_memory(void)
{
	static const uint64_t gpas[] = { GPA_A, GPA_B, GPA_C };
	struct memory_source sources[3];

	for (size_t i = 0; i < ARRAY_SIZE(gpas); i++) {
		if (stage.files[i] <= 0)
			stage.files[i] = memory_file(REGION);
		sources[i] = (struct memory_source){
			.region = { gpas[i], REGION, UVA(gpas[i]), 0 },
			.fd = stage.files[i],
		};
	}
	assert_int_equal(0, memory_new(sources, 3, false, &stage.mem));
}

static inline struct ring_config stage_config(unsigned int which, uint16_t size, uint16_t base,
					      uint64_t features)
{
	return (struct ring_config){
		.size = size,
		.base = base,
		.event_idx = features & BIT_ULL(VIRTIO_F_EVENT_IDX),
		.indirect = features & BIT_ULL(VIRTIO_F_INDIRECT_DESC),
		.desc = at(RING_AT(which)),
		.avail = at(RING_AT(which) + AVAIL_OFF),
		.used = at(RING_AT(which) + USED_OFF),
	};
}

static inline void stage_ring(unsigned int which, uint16_t size, uint16_t base, uint64_t features)
{
	struct ring_config cfg = stage_config(which, size, base, features);
	struct queue *q = &stage.pair.queues[which];

	stage.driver[which] = (struct driver){ size, cfg.desc, cfg.avail, cfg.used, base };
	((struct virtq_avail *)cfg.avail)->idx = ((struct virtq_used *)cfg.used)->idx = base;
	ring_init(&q->ring, &cfg, stage.mem);
	q->running = q->enabled = true;
}

/* How many small frames a pair believes to have read: what comes next is read straight into the
 * guest's buffers, or into private memory first. */
static unsigned int stage_small_run;

/* Rings of `size` from index `base`; the TAP is a pair of sockets. */
static inline void stage_open(uint16_t size, uint16_t base, uint64_t features)
{
	int taps[2];

	memset(&stage, 0, sizeof(stage));
	stage_memory();
	assert_int_equal(
		0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, taps));
	stage.pair.tap = taps[0];
	stage.wire = taps[1];
	stage.pair.features = features;
	stage.pair.hdr_len = net_hdr_len(features);
	stage.pair.rx.small_run = stage_small_run;
	for (unsigned int i = 0; i < 2; i++) {
		stage.pair.queues[i].inband = -1;
		stage.pair.queues[i].fds = (struct queue_fds){ -1, -1, -1, -1 };
		stage_ring(i, size, base, features);
	}
	net_rx_release(&stage.pair);
}

static inline void stage_close(void)
{
	memory_free(stage.mem);
	fd_close_all(stage.files, ARRAY_SIZE(stage.files));
	fd_close(&stage.pair.tap);
	fd_close(&stage.wire);
}

static inline struct ring_stats *stats(unsigned int which)
{
	return &stage.pair.queues[which].stats;
}

static inline void desc_set(unsigned int which, uint16_t i, uint64_t gpa, uint32_t len,
			    uint16_t flags, uint16_t next)
{
	stage.driver[which].desc[i] = (struct virtq_desc){ gpa, len, flags, next };
}

static inline void avail_push(unsigned int which, uint16_t head)
{
	struct driver *d = &stage.driver[which];
	uint16_t idx = d->avail->idx;

	__atomic_store_n(&d->avail->ring[idx & (d->size - 1)], head, __ATOMIC_RELAXED);
	/* Release: pairs with the acquire in the device's pop. */
	__atomic_store_n(&d->avail->idx, idx + 1, __ATOMIC_RELEASE);
}

/* One buffer of one piece, as descriptor `head`. */
static inline void post(unsigned int which, uint16_t head, uint64_t gpa, uint32_t len)
{
	desc_set(which, head, gpa, len, which == PAIR_RX ? DESC_F_WRITE : 0, 0);
	avail_push(which, head);
}

/* The next used entry: its head, with *len; -1 none. */
static inline int used_take(unsigned int which, uint32_t *len)
{
	struct driver *d = &stage.driver[which];
	const struct virtq_used_elem *elem = &d->used->ring[d->seen & (d->size - 1)];

	/* Acquire: pairs with the release in the device's publish. */
	if (__atomic_load_n(&d->used->idx, __ATOMIC_ACQUIRE) == d->seen)
		return -1;
	d->seen++;
	if (len)
		*len = elem->len;
	return (int)elem->id;
}

/* Where the device asks to be notified. */
static inline uint16_t avail_event(unsigned int which)
{
	const struct driver *d = &stage.driver[which];
	uint16_t event;

	memcpy(&event, &d->used->ring[d->size], sizeof(event));
	return event;
}

static inline int event_count(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? (int)n : 0;
}

static inline void frame_fill(uint8_t *frame, size_t len, uint8_t seed)
{
	for (size_t i = 0; i < len; i++)
		frame[i] = (uint8_t)(seed + i * 7 + (i >> 8));
}

/* What the TAP hands over: header, frame of `len` bytes of this seed. */
static inline void wire_send(const struct net_hdr *hdr, size_t len, uint8_t seed)
{
	static uint8_t packet[NET_HDR_LEN + 2 * NET_FRAME_MAX];

	memcpy(packet, hdr, NET_HDR_LEN);
	frame_fill(packet + NET_HDR_LEN, len, seed);
	assert_int_equal(NET_HDR_LEN + len, send(stage.wire, packet, NET_HDR_LEN + len, 0));
}

/* What the TAP was given: the length behind the header, -1 nothing. */
static inline int wire_take(struct net_hdr *hdr, uint8_t *frame, size_t room)
{
	struct iovec iov[2] = { { hdr, sizeof(*hdr) }, { frame, room } };
	ssize_t n = readv(stage.wire, iov, 2);

	return n < 0 ? -1 : (int)(n - (ssize_t)sizeof(*hdr));
}

#endif
