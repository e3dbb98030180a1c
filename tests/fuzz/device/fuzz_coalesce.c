/*
 * Any frames, in any pieces, sent through a ring twice: joined and cut up again they are the frames
 * that went out one by one. A record of the input is one frame: mostly the next one of a flow, with
 * fields changed, bytes turned over, headers that say what they like. A pair of sockets is the TAP.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/pair.h"
#include "lib/util.h"
#include "tests/unit/lib/gso.h"

#define FRAMES 64
#define SLOT   8192
#define RECORD 12 /* bytes of input that make a frame */
#define FIELDS (sizeof(struct gso_flow) / sizeof(unsigned int))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static _Alignas(4096) uint8_t area[0x8000 + FRAMES * SLOT]; /* ring, tables, frames */
static struct memory memory = {
	.used = true,
	.count = 1,
	.bytes = sizeof(area),
	.regions = { { .size = sizeof(area), .host = (char *)area } },
};
static struct pair pair;
static int wire = -1;

/* What came out: lengths and bytes, one behind the other. */
static struct tape {
	size_t used;
	uint8_t bytes[4 * FRAMES * SLOT];
} alone, joined, *tape;

static void record(const uint8_t *frame, size_t len)
{
	gso_require(len + 4 <= sizeof(tape->bytes) - tape->used);
	memcpy(tape->bytes + tape->used, &(uint32_t){ (uint32_t)len }, 4);
	memcpy(tape->bytes + tape->used + 4, frame, len);
	tape->used += len + 4;
}

static void drain(void)
{
	static uint8_t frame[NET_FRAME_MAX];
	struct net_hdr hdr;
	struct iovec iov[] = { { &hdr, sizeof(hdr) }, { frame, sizeof(frame) } };
	ssize_t n;

	while ((n = readv(wire, iov, 2)) >= 0) {
		gso_require(n >= (ssize_t)(sizeof(hdr) + NET_FRAME_MIN));
		gso_cut(&hdr, frame, (size_t)n - sizeof(hdr), record);
	}
}

/* One frame, from a record, into its slot; its length with the header. */
static uint32_t frame_make(struct gso_flow *f, const uint8_t *r, uint8_t *slot)
{
	struct gso_flow odd = *f;
	struct net_hdr hdr;
	uint32_t len;

	if (r[0] & 1)
		f->payload = odd.payload = 1 + (r[1] | (r[2] & 7) << 8);
	if (r[0] & 2)
		f->checksum = odd.checksum = r[3] & 1;
	if (r[0] & 4)
		memcpy((unsigned int *)&odd + r[4] % FIELDS, &(unsigned int){ r[5] | r[6] << 8 },
		       4);
	if (r[0] & 8)
		*f = odd = gso_flow(r[3] & 2, r[3] & 4, f->payload);
	odd.payload %= 4096;
	odd.trailer %= 64;
	odd.options = odd.options % 44 & ~3u;
	odd.start %= 4096;
	len = (uint32_t)gso_build(&odd, &hdr, slot + sizeof(hdr));
	if (r[0] & 16)
		slot[sizeof(hdr) + (r[7] | r[8] << 8) % len] ^= r[9];
	if (r[0] & 32)
		((uint8_t *)&hdr)[r[10] % sizeof(hdr)] ^= r[11];
	hdr.gso_type = 0; /* the guest has no segmentation; nor does the pair's set of features */
	memcpy(slot, &hdr, sizeof(hdr));
	f->payload = odd.payload ? odd.payload : 1;
	gso_advance(f);
	return len + (uint32_t)sizeof(hdr);
}

/* The frame as a chain of one or two buffers. */
static void post(struct virtq_desc *desc, uint16_t i, uint64_t gpa, uint32_t len, uint8_t cut)
{
	uint32_t first = cut & 0x80 ? min_of((uint32_t)(cut & 0x7f), len) : len;

	desc[i] = (struct virtq_desc){ gpa, first, first < len ? DESC_F_NEXT : 0,
				       (uint16_t)(i + FRAMES) };
	desc[i + FRAMES] = (struct virtq_desc){ gpa + first, len - first, 0, 0 };
}

static void run(unsigned int kinds, uint16_t frames)
{
	struct queue *q = &pair.queues[PAIR_TX];
	struct ring_config cfg = {
		.size = 2 * FRAMES, .desc = area, .avail = area + 0x2000, .used = area + 0x3000
	};
	struct virtq_avail *avail = cfg.avail;
	struct virtq_used *used = cfg.used;

	memset(&q->stats, 0, sizeof(q->stats));
	avail->idx = used->idx = 0;
	ring_init(&q->ring, &cfg, &memory);
	avail->idx = frames;
	pair.coalesce.kinds = kinds;
	do {
		int rc = net_tx_run(&pair);

		gso_require(rc == 0 || rc == 1);
		gso_require(!pair.coalesce.frames && !pair.coalesce.pieces);
		drain();
		if (!rc && !pair.tx_blocked)
			break;
		pair.tx_blocked = false;
	} while (1);
	gso_require(used->idx == frames && !q->ring.taken);
	for (uint16_t i = 0; i < frames; i++)
		gso_require(used->ring[i].id == i);
}

static void open_wire(void)
{
	int socks[2];

	if (wire >= 0)
		return;
	signal(SIGPIPE, SIG_IGN);
	gso_require(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, socks));
	pair.tap = socks[0];
	wire = socks[1];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gso_flow flow = gso_flow(size && data[0] & 1, size && data[0] & 2, 1000);
	struct queue *q = &pair.queues[PAIR_TX];
	struct ring_stats single;
	uint16_t n = 0;

	open_wire();
	pair.features = BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_NET_F_CSUM);
	pair.hdr_len = net_hdr_len(pair.features);
	q->running = q->enabled = true;
	q->fds = (struct queue_fds){ -1, -1, -1, -1 };
	q->inband = -1;
	for (size_t at = 1; at + RECORD <= size && n < FRAMES; at += RECORD, n++) {
		uint64_t gpa = 0x8000 + n * SLOT;

		post((struct virtq_desc *)(void *)area, n, gpa,
		     frame_make(&flow, data + at, area + gpa), data[at + 8]);
		((struct virtq_avail *)(void *)(area + 0x2000))->ring[n] = n;
	}
	alone.used = joined.used = 0;
	tape = &alone;
	run(0, n);
	single = q->stats;
	tape = &joined;
	run((1u << SEGMENT_KINDS) - 1, n);
	gso_require(alone.used == joined.used && !memcmp(alone.bytes, joined.bytes, alone.used));
	gso_require(single.frames == q->stats.frames && single.bytes == q->stats.bytes &&
		    single.dropped_invalid == q->stats.dropped_invalid);
	return 0;
}
