/*
 * From the guest's transmit ring to the TAP. Runs in the pair's worker; trusts nothing in the ring:
 * the header is copied once and checked, the payload goes to the kernel without this process
 * looking at it, a large one straight from guest memory.
 */
#include "device/pair.h"

#include <errno.h>
#include <string.h>

#include "device/guest.h"
#include "lib/tap.h"
#include "lib/util.h"

#define TX_BUDGET \
	256 /* frames a turn: the other ring and the control thread wait no longer than that */
#define TX_FLUSH 64 /* frames until the driver may see its buffers again */

int net_tx_result(struct pair *p, ssize_t n, unsigned int frames, uint64_t bytes)
{
	struct ring_stats *stats = &p->queues[PAIR_TX].stats;

	if (n >= 0) {
		stat_add(stats->frames, frames);
		stat_add(stats->bytes, bytes);
		return 0;
	}
	switch (-n) {
	case EAGAIN:
	case EBADFD: /* detached: the broker attaches a little after the ring starts */
		p->tx_blocked = true;
		return -EAGAIN;
	case EFAULT:
		return -ESTALE;
	case EINVAL: /* a header the kernel likes less than we do */
		stat_add(stats->dropped_invalid, frames);
		return 0;
	default: /* link down, out of memory: as a cable would, lose it */
		stat_add(stats->dropped_tap, frames);
		return 0;
	}
}

int net_tx_open(struct pair *p, const struct chain *chain, struct iovec **iov, struct net_hdr *hdr)
{
	struct queue *q = &p->queues[PAIR_TX];
	uint32_t frame_len;

	if (!q->enabled) {
		stat_add(q->stats.dropped_disabled, 1);
		return 0;
	}
	if (chain->in)
		return -EINVAL; /* a buffer to write to has no place on this ring (5.1.6.2) */
	if (chain->too_long || chain->out_bytes < p->hdr_len + NET_FRAME_MIN ||
	    chain->out_bytes > p->hdr_len + NET_FRAME_MAX)
		goto drop;
	frame_len = (uint32_t)(chain->out_bytes - p->hdr_len);
	hdr->num_buffers = 0; /* not there with the short header */
	/* A hash is reported by the device alone: in what it is sent, the field means nothing. */
	*iov = guest_take(chain->iov, hdr, min_of(p->hdr_len, (unsigned int)sizeof(*hdr)));
	if (p->hdr_len > sizeof(*hdr))
		*iov = guest_skip(*iov, p->hdr_len - sizeof(*hdr));
	if (net_hdr_check(hdr, frame_len, p->features))
		goto drop;
	/* The kernel may have to cut it up before writev() returns. */
	if (hdr->gso_size)
		q->ring.work += frame_len / hdr->gso_size;
	return (int)frame_len;
drop:
	stat_add(q->stats.dropped_invalid, 1);
	return 0;
}

in_place int net_tx_write(struct pair *p, struct net_frame *f, struct iovec *iov,
			  struct iovec *last)
{
	ssize_t n;

	if (f->len <= sizeof(f->bytes)) {
		guest_peek(iov, f->bytes + f->copied, f->len - f->copied);
		n = tap_write(p->tap, &f->hdr, sizeof(f->hdr) + f->len);
	} else {
		/* The slot before the first piece with bytes left is free: p->tx_iov has one to
		 * spare. */
		*--iov = (struct iovec){ &f->hdr, sizeof(f->hdr) + f->copied };
		n = tap_writev(p->tap, iov, (unsigned int)(last - iov));
	}
	return net_tx_result(p, n, 1, f->len);
}

static in_place int tx_frame(struct pair *p, struct chain *chain)
{
	struct net_frame f;
	struct iovec *iov = chain->iov, *last = iov + chain->out;
	int len = net_tx_open(p, chain, &iov, &f.hdr);

	if (len <= 0)
		return len;
	f.len = (uint32_t)len;
	f.copied = 0;
	return net_tx_write(p, &f, iov, last);
}

static in_place int tx_one(struct pair *p)
{
	struct queue *q = &p->queues[PAIR_TX];
	struct chain chain = { .iov = p->tx_iov + 1, .room = PAIR_PIECES };
	int rc = ring_pop(&q->ring, &chain);

	if (rc <= 0)
		return rc;
	rc = tx_frame(p, &chain);
	if (rc < 0) {
		ring_unpop(&q->ring, chain.slots);
		return rc;
	}
	ring_push(&q->ring, chain.head, chain.slots, 0);
	return 1;
}

int net_tx_run(struct pair *p)
{
	struct queue *q = &p->queues[PAIR_TX];
	unsigned int n = 0;
	int rc = 0;

	if (p->tx_blocked)
		return 0;
	ring_disarm(&q->ring);
	q->ring.work = 0;
	coalesce_turn(&p->coalesce);
	while (n < TX_BUDGET && q->ring.work < PAIR_WORK) {
		rc = coalesce_hopeful(&p->coalesce) ? coalesce_one(p) : tx_one(p);
		if (rc < 0 || (!rc && (p->watched || !ring_arm(&q->ring))))
			break;
		if (rc && ++n % TX_FLUSH == 0)
			queue_flush(q);
	}
	if (rc > 0)
		rc = coalesce_flush(p);
	queue_flush(q);
	if (n)
		stat_add(q->stats.batches, 1);
	if (rc == -EAGAIN)
		return 0;
	return rc < 0 ? rc : n == TX_BUDGET || q->ring.work >= PAIR_WORK;
}

void net_tx_announce(struct pair *p, const uint8_t mac[6])
{
	/* Ethernet broadcast of a reverse request for the sender's own address (RFC 903), padded to
	 * 60 bytes. */
	uint8_t frame[NET_HDR_LEN + 60] = { 0 }, *eth = frame + NET_HDR_LEN;
	static const uint8_t kind[] = { 0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3 };
	struct iovec iov = { frame, sizeof(frame) };

	memset(eth, 0xff, 6);
	memcpy(eth + 6, mac, 6);
	memcpy(eth + 12, kind, sizeof(kind));
	memcpy(eth + 22, mac, 6);
	memcpy(eth + 32, mac, 6);
	/* As with any frame, nobody can be told that it was lost. */
	if (tap_writev(p->tap, &iov, 1) < 0)
		stat_add(p->queues[PAIR_TX].stats.dropped_tap, 1);
}
