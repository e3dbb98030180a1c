/*
 * Joins frames between the transmit ring and the TAP. Runs in the pair's worker; trusts nothing in
 * the ring: headers are copied once and checked, the joined header is made of the copy, payload
 * goes from guest memory to the kernel. Used entries follow the order of the ring: whatever cannot
 * join lets those that wait go first.
 */
#include "device/coalesce.h"

#include <errno.h>
#include <string.h>

#include "device/guest.h"
#include "device/pair.h"
#include "lib/tap.h"
#include "lib/util.h"

#define MISSES_MAX  16 /* in a row, and the rest of a turn is not tried */
#define MISSES_NEXT 4  /* and of the next turn no more than so many */

void coalesce_turn(struct coalesce *c)
{
	c->misses = c->misses < MISSES_MAX ? 0 : MISSES_MAX - MISSES_NEXT;
}

bool coalesce_hopeful(const struct coalesce *c)
{
	return c->kinds && c->misses < MISSES_MAX;
}

static struct ring *tx_ring(struct pair *p)
{
	return &p->queues[PAIR_TX].ring;
}

static void forget(struct coalesce *c)
{
	c->frames = c->pieces = c->slots = c->payload = 0;
	c->frame_bytes = 0;
}

void coalesce_release(struct pair *p)
{
	ring_unpop(tx_ring(p), (uint16_t)p->coalesce.slots);
	forget(&p->coalesce);
}

/* Several frames as one. The kernel may have to cut it up before writev() returns. */
static int write_joined(struct pair *p, struct segment *first)
{
	struct coalesce *c = &p->coalesce;
	int rc;

	segment_join(first, c->ending, c->payload);
	p->tx_iov[0] =
		(struct iovec){ &first->frame.hdr, sizeof(first->frame.hdr) + first->head_len };
	rc = net_tx_result(p, tap_writev(p->tap, p->tx_iov, c->pieces + 1), c->frames,
			   c->frame_bytes);
	if (!rc)
		stat_add(p->queues[PAIR_TX].stats.joined, c->frames);
	tx_ring(p)->work += c->frames;
	return rc;
}

/* What was copied of it is not read again. */
static int write_alone(struct pair *p, struct segment *s)
{
	struct iovec *iov = p->tx_iov + 1;

	return net_tx_write(p, &s->frame, guest_skip(iov, s->frame.copied - s->head_len),
			    iov + p->coalesce.pieces);
}

int coalesce_flush(struct pair *p)
{
	struct coalesce *c = &p->coalesce;
	struct segment *first = &c->segments[c->first];
	int rc;

	if (!c->frames)
		return 0;
	rc = c->frames == 1 ? write_alone(p, first) : write_joined(p, first);
	if (rc) {
		coalesce_release(p);
		return rc;
	}
	for (unsigned int i = 0; i < c->frames; i++)
		ring_push(tx_ring(p), c->chains[i].head, c->chains[i].slots, 0);
	forget(c);
	return 0;
}

/* Its checksums, and once those of the first. */
static bool sound(struct pair *p, const struct segment *s, const struct iovec *payload)
{
	struct coalesce *c = &p->coalesce;

	if (!c->sound)
		c->sound = segment_sound(&c->segments[c->first], p->tx_iov + 1);
	return c->sound && segment_sound(s, payload);
}

static bool joins(struct pair *p, const struct segment *s, const struct iovec *payload)
{
	struct coalesce *c = &p->coalesce;

	return c->frames && !c->closed && c->frames < COALESCE_FRAMES &&
	       segment_follows(s, &c->segments[c->first], c->frames, c->payload) &&
	       sound(p, s, payload);
}

/* The frame is written with those that wait, or becomes the first that does. */
static int take(struct pair *p, const struct chain *chain, struct segment *s, struct iovec *iov,
		const struct iovec *last)
{
	struct coalesce *c = &p->coalesce;
	const struct segment *first;
	size_t n;
	int rc;

	iov = guest_skip(iov, s->head_len);
	n = (size_t)(last - iov);
	if (joins(p, s, iov)) {
		c->misses = 0;
	} else {
		rc = coalesce_flush(p);
		if (rc)
			return rc;
		c->first = s == &c->segments[1];
		c->sound = false;
	}
	first = &c->segments[c->first];
	memmove(p->tx_iov + 1 + c->pieces, iov, n * sizeof(*iov));
	c->pieces += (unsigned int)n;
	c->payload += s->payload;
	c->frame_bytes += s->frame.len;
	c->ending = s->ending;
	c->closed = s->ending || s->payload < first->payload;
	c->chains[c->frames].head = chain->head;
	c->chains[c->frames++].slots = chain->slots;
	c->slots += chain->slots;
	return 1;
}

/* As many of the frame's bytes as its headers can have. */
static void copy(struct net_frame *frame, const struct iovec *iov, uint32_t len)
{
	frame->len = len;
	frame->copied = min_of(len, (uint32_t)SEGMENT_HEADERS);
	guest_peek(iov, frame->bytes, frame->copied);
}

static int serve(struct pair *p, struct chain *chain)
{
	struct coalesce *c = &p->coalesce;
	struct segment *s = &c->segments[!c->first];
	struct iovec *iov = chain->iov, *last = iov + chain->out;
	int len = net_tx_open(p, chain, &iov, &s->frame.hdr), rc;

	if (len > 0) {
		copy(&s->frame, iov, (uint32_t)len);
		c->misses++; /* until it joins */
		if (segment_read(s) && (c->kinds & 1u << s->kind) && coalesce_hopeful(c))
			return take(p, chain, s, iov, last);
	}
	rc = coalesce_flush(p);
	if (!rc && len > 0)
		rc = net_tx_write(p, &s->frame, guest_skip(iov, s->frame.copied), last);
	if (rc || len < 0)
		return rc ? rc : len;
	ring_push(tx_ring(p), chain->head, chain->slots, 0);
	return 1;
}

int coalesce_one(struct pair *p)
{
	struct coalesce *c = &p->coalesce;
	struct chain chain = { .iov = p->tx_iov + 1 + c->pieces, .room = PAIR_PIECES - c->pieces };
	int rc = ring_pop(tx_ring(p), &chain), flushed;

	if (rc <= 0 || (chain.too_long && c->frames)) {
		/* Behind those that wait there was no room: its turn comes again. */
		if (rc > 0)
			ring_unpop(tx_ring(p), chain.slots);
		flushed = coalesce_flush(p);
		return flushed ? flushed : rc;
	}
	rc = serve(p, &chain);
	if (rc < 0)
		ring_unpop(tx_ring(p), chain.slots);
	return rc;
}
