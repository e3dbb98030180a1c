/*
 * Any bytes as guest memory with a receive and a transmit ring of either format in it, and any
 * order of turns, frames from the host, changed indices and restarts: every frame that comes out is
 * one, counters add up, the guest's buffers are never left, and no turn runs for ever. A pair of
 * sockets is the TAP.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/pair.h"

#define REGION 32768
#define GAP    4096
#define OPS    48

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static _Alignas(4096) char bytes[2][REGION];
static struct memory memory = {
	.used = true,
	.count = 2,
	.bytes = 2 * REGION,
	.regions = { { .gpa = 0, .uva = 0, .size = REGION, .host = bytes[0] },
		     { .gpa = REGION + GAP,
		       .uva = REGION + GAP,
		       .size = REGION,
		       .host = bytes[1] } },
};
static struct pair pair;
static int wire = -1;

/* Where both rings lie: the data that follows the operations begins there. */
static struct ring_config config(unsigned int which, const uint8_t *head)
{
	char *at = bytes[0] + which * 4096;

	return (struct ring_config){
		.size = 1u << (head[0] & 7),
		.base = (uint32_t)(head[1] | head[2] << 8),
		.packed = head[0] & 8,
		.event_idx = head[0] & 0x10,
		.indirect = head[0] & 0x20,
		.desc = at,
		.avail = at + 2048,
		.used = at + 2560,
	};
}

static void start(unsigned int which, const uint8_t *head)
{
	struct queue *q = &pair.queues[which];
	struct ring_config cfg = config(which, head);

	if (cfg.packed) {
		uint32_t at = (cfg.base & (PACKED_WRAP - 1)) % cfg.size | (cfg.base & PACKED_WRAP);

		cfg.base = at | at << 16;
	}
	ring_init(&q->ring, &cfg, &memory);
	q->running = q->enabled = true;
	if (which == PAIR_RX) {
		pair.rx.chain_first = pair.rx.chain_last = pair.rx.slots = 0;
		net_rx_release(&pair);
		q->ring.taken = 0;
	}
}

static void check_rx(void)
{
	const struct rx_state *rx = &pair.rx;
	uint64_t total = 0;
	unsigned int pieces = 0;

	for (unsigned int i = rx->chain_first; i < rx->chain_last; i++) {
		total += rx->chains[i].bytes;
		pieces += rx->chains[i].pieces;
	}
	if (total != rx->bytes || pieces != rx->last - rx->first || rx->first < 1 ||
	    rx->held_len > NET_FRAME_MAX || pair.queues[PAIR_RX].ring.taken != rx->slots)
		abort();
	for (unsigned int i = rx->first; i < rx->last; i++) {
		const char *p = rx->iov[i].iov_base;
		const char *region = p >= bytes[1] ? bytes[1] : bytes[0];

		if (p < region || rx->iov[i].iov_len > (size_t)(region + REGION - p))
			abort();
	}
}

static void check_rc(unsigned int which, int rc)
{
	if (rc > 1 || (rc < 0 && rc != -EINVAL && rc != -EFAULT && rc != -ELOOP))
		abort();
	if (rc < 0)
		pair.queues[which].running = false;
	if (rc < 0 && which == PAIR_RX)
		net_rx_release(&pair);
}

static void drain(void)
{
	static char packet[NET_HDR_LEN + NET_FRAME_MAX + 1];
	ssize_t n;

	while ((n = recv(wire, packet, sizeof(packet), 0)) >= 0)
		if (n < (ssize_t)(NET_HDR_LEN + NET_FRAME_MIN) || n == sizeof(packet))
			abort();
	pair.tx_blocked = false;
}

static void op_run(const uint8_t *op, const uint8_t *head)
{
	static char frame[NET_HDR_LEN + NET_FRAME_MAX];
	char *guest = bytes[0] + (op[0] >> 3 & 1) * 4096;

	switch (op[0] & 7) {
	case 0:
	case 1:
		if (pair.queues[PAIR_TX].running)
			check_rc(PAIR_TX, net_tx_run(&pair));
		drain();
		break;
	case 2:
	case 3:
		if (pair.queues[PAIR_RX].running)
			check_rc(PAIR_RX, net_rx_run(&pair));
		break;
	case 4: /* a frame from the host, up to 65 KiB, its header from the operation too */
		memset(frame, op[1], NET_HDR_LEN);
		frame[0] &= op[0] >> 3;
		frame[1] = (char)(op[0] >> 5 & 1);
		send(wire, frame, NET_HDR_LEN + (size_t)(op[1] & 0x80 ? op[1] << 8 : op[1]), 0);
		break;
	case 5: /* the split ring's index, or any word near it, moves on */
		guest[2050 + (op[0] >> 4)] = (char)(guest[2050 + (op[0] >> 4)] + op[1]);
		break;
	case 6: /* any byte of the rings changes */
		guest[(op[1] << 4 | op[0] >> 4) & 4095] ^= (char)(op[1] | 1);
		break;
	default:
		if (op[1] & 1)
			net_rx_release(&pair);
		if (op[1] & 2)
			start(op[1] >> 2 & 1, head);
		pair.queues[PAIR_TX].enabled = !(op[1] & 8);
	}
	check_rx();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *head = data, *ops = data + 5;

	if (size < 5 + 2 * OPS)
		return 0;
	if (wire < 0) {
		int socks[2];

		signal(SIGPIPE, SIG_IGN);
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, socks))
			abort();
		pair.tap = socks[0];
		wire = socks[1];
	}
	memset(bytes, 0, sizeof(bytes));
	data += 5 + 2 * OPS;
	size -= 5 + 2 * OPS;
	memcpy(bytes, data, size < sizeof(bytes) ? size : sizeof(bytes));

	pair.features = (head[3] & 1 ? BIT_ULL(VIRTIO_F_VERSION_1) : 0) |
			(head[3] & 2 ? BIT_ULL(VIRTIO_NET_F_MRG_RXBUF) : 0) |
			(head[3] & 4 ? 0x1dcull << 54 | 0x7f83 : 0) |
			(head[3] & 8 ? BIT_ULL(VIRTIO_NET_F_HASH_REPORT) : 0);
	pair.filter.hash = (struct net_hash){ .types = (uint32_t)(head[3] << 1 & STEERING_TYPES),
					      .key = { head[4] } };
	pair.hdr_len = net_hdr_len(pair.features);
	pair.rx.held_len = pair.rx.small_len = 0;
	pair.rx.small_run = head[4] & 1 ? 1000 : 0;
	pair.coalesce.misses = 0;
	pair.rx_starved = pair.tx_blocked = false;
	for (unsigned int i = 0; i < 2; i++) {
		memset(&pair.queues[i].stats, 0, sizeof(pair.queues[i].stats));
		pair.queues[i].fds = (struct queue_fds){ -1, -1, -1, -1 };
		pair.queues[i].inband = -1;
		start(i, head);
	}
	for (int i = 0; i < OPS; i++)
		op_run(ops + 2 * i, head);
	/* Empty for the next. */
	drain();
	while (recv(pair.tap, bytes, sizeof(bytes), 0) >= 0)
		;
	return 0;
}
