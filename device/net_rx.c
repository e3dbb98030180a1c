/*
 * From the TAP to the guest's receive ring. Runs in the pair's worker; trusts the kernel's header
 * and length, and of the guest nothing: buffers are gathered ahead into private memory. While
 * frames are small, each is read into private memory and copied to them; a large one is read
 * straight into them. One that turns out longer than they are spills into private memory and waits
 * there, so that none is ever cut.
 */
#include "device/pair.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "device/guest.h"
#include "lib/tap.h"
#include "lib/util.h"

#define RX_BUDGET 256
#define RX_FLUSH  64
/* Frames up to NET_COPY bytes are read into private memory and copied. Nobody knows the size of the
 * next frame: it is taken to be small after so many small ones. */
#define RX_COPY_AFTER 8
/* Chains taken at once for small frames, each of which fills one: four lines of descriptors, which
 * come from the driver's cache side by side. */
#define RX_AHEAD 16

static bool mergeable(const struct pair *p)
{
	return p->features & BIT_ULL(VIRTIO_NET_F_MRG_RXBUF);
}

/* What was negotiated, without the offloads that the guest has switched off again. */
static uint64_t rx_features(const struct pair *p)
{
	return p->features & ~p->filter.offloads_off;
}

/* Bytes to have gathered before a frame is read, so that few frames spill. */
static uint64_t rx_want(const struct pair *p)
{
	if (!mergeable(p))
		return 1; /* one chain, whatever its size */
	if (p->features & (BIT_ULL(VIRTIO_NET_F_GUEST_TSO4) | BIT_ULL(VIRTIO_NET_F_GUEST_TSO6) |
			   BIT_ULL(VIRTIO_NET_F_GUEST_USO4) | BIT_ULL(VIRTIO_NET_F_GUEST_USO6)))
		return p->hdr_len + NET_FRAME_MAX;
	return p->hdr_len + 1518 + 4;
}

/* Enough for one turn: what was not gathered now may be there all the same. */
static bool rx_weary(const struct pair *p)
{
	return p->queues[PAIR_RX].ring.work >= PAIR_WORK;
}

/* The next buffer is there, but what its address means has to be asked for. */
static bool rx_missing(const struct pair *p)
{
	return p->queues[PAIR_RX].ring.miss;
}

static void rx_compact(struct rx_state *rx)
{
	unsigned int pieces = rx->last - rx->first, chains = rx->chain_last - rx->chain_first;

	memmove(&rx->iov[1], &rx->iov[rx->first], pieces * sizeof(rx->iov[0]));
	memmove(&rx->chains[0], &rx->chains[rx->chain_first], chains * sizeof(rx->chains[0]));
	rx->first = 1;
	rx->last = 1 + pieces;
	rx->chain_first = 0;
	rx->chain_last = chains;
}

void net_rx_release(struct pair *p)
{
	struct rx_state *rx = &p->rx;

	ring_unpop(&p->queues[PAIR_RX].ring, (uint16_t)rx->slots);
	rx->first = rx->last = 1;
	rx->chain_first = rx->chain_last = 0;
	rx->bytes = rx->slots = 0;
	rx->opened = false;
}

static void chain_keep(struct rx_state *rx, const struct chain *chain)
{
	rx->chains[rx->chain_last].bytes = (uint32_t)min_of(chain->in_bytes, (uint64_t)UINT32_MAX);
	rx->chains[rx->chain_last].head = chain->head;
	rx->chains[rx->chain_last].pieces = (uint16_t)chain->in;
	rx->chains[rx->chain_last].slots = chain->slots;
	rx->slots += chain->slots;
	rx->bytes += rx->chains[rx->chain_last].bytes;
	rx->chain_last++;
	rx->last += chain->in;
}

/* Takes one more chain. 1 taken, 0 none there or no room left, -errno broken ring. */
static int gather_one(struct pair *p)
{
	struct queue *q = &p->queues[PAIR_RX];
	struct rx_state *rx = &p->rx;
	struct chain chain = { .iov = &rx->iov[rx->last], .room = 1 + PAIR_PIECES - rx->last };
	int rc;

	rx->blocked = rx->chain_last == PAIR_CHAINS || !chain.room;
	if (rx->blocked)
		return 0;
	rc = ring_pop(&q->ring, &chain);
	if (rc <= 0)
		return rc == -EAGAIN ? 0 : rc;
	if (chain.out) { /* a buffer to read from has no place on this ring (5.1.6.3) */
		ring_unpop(&q->ring, chain.slots);
		return -EINVAL;
	}
	if (!chain.too_long && chain.in_bytes >= p->hdr_len + (mergeable(p) ? 0 : NET_FRAME_MIN)) {
		chain_keep(rx, &chain);
		return 1;
	}
	/* Unusable for any frame, or only for now: its turn comes when those before it are used. */
	rx->blocked = rx->chain_last != rx->chain_first;
	if (rx->blocked) {
		ring_unpop(&q->ring, chain.slots);
		return 0;
	}
	stat_add(q->stats.dropped_invalid, 1);
	ring_push(&q->ring, chain.head, chain.slots, 0);
	return 1;
}

/* Takes chains until there is room for `want` bytes, but no more than `limit`: 0 or -errno. */
static int gather(struct pair *p, uint64_t want, unsigned int limit)
{
	struct rx_state *rx = &p->rx;
	int rc = 1;

	if (rx->bytes >= want)
		return 0;
	if (rx->chain_first) /* what those used have left is room too */
		rx_compact(rx);
	while (rx->bytes < want && rc > 0 && limit-- && !rx_weary(p))
		rc = gather_one(p);
	return rc < 0 ? rc : 0;
}

/* Takes the header's space off the first chain; it may lie in several pieces. */
static void rx_open(struct pair *p)
{
	struct rx_state *rx = &p->rx;
	struct iovec *iov = &rx->iov[rx->first];
	size_t left = p->hdr_len;

	if (rx->opened)
		return;
	rx->hdr_pieces = 0;
	while (left) {
		size_t n = min_of(left, iov->iov_len);

		rx->hdr[rx->hdr_pieces++] = (struct iovec){ iov->iov_base, n };
		iov->iov_base = ptr_add(iov->iov_base, n);
		iov->iov_len -= n;
		left -= n;
		iov++;
	}
	rx->opened = true;
}

/* Puts it back. */
static void rx_close(struct rx_state *rx)
{
	for (unsigned int i = 0; rx->opened && i < rx->hdr_pieces; i++) {
		rx->iov[rx->first + i].iov_base = rx->hdr[i].iov_base;
		rx->iov[rx->first + i].iov_len += rx->hdr[i].iov_len;
	}
	rx->opened = false;
}

/* The first gathered chain goes back to the driver with `len` bytes written. */
static void chain_use(struct pair *p, uint32_t len)
{
	struct rx_state *rx = &p->rx;

	ring_push(&p->queues[PAIR_RX].ring, rx->chains[rx->chain_first].head,
		  rx->chains[rx->chain_first].slots, len);
	rx->bytes -= rx->chains[rx->chain_first].bytes;
	rx->first += rx->chains[rx->chain_first].pieces;
	rx->slots -= rx->chains[rx->chain_first].slots;
	rx->chain_first++;
}

/* Logs that `len` bytes of the pieces were written. */
static void rx_wrote(struct pair *p, const struct iovec *iov, uint64_t len)
{
	const struct queue *q = &p->queues[PAIR_RX];

	for (; q->dirty && len; iov++) {
		uint64_t part = min_of(len, (uint64_t)iov->iov_len);

		if (part)
			dirty_mark(q->dirty, memory_reverse(q->ring.mem, iov->iov_base), part);
		len -= part;
	}
}

static uint16_t rx_chains_for(const struct rx_state *rx, uint64_t bytes)
{
	uint16_t n = 0;

	for (uint64_t have = 0; have < bytes; n++)
		have += rx->chains[rx->chain_first + n].bytes;
	return n;
}

/* Copies the first bytes of a frame: at most `room`; how many. `held`: it lies whole in private
 * memory, otherwise in the guest's buffers. */
static size_t rx_head(struct pair *p, uint8_t *head, size_t room, uint32_t frame_len, bool held)
{
	size_t len = min_of((size_t)frame_len, room);

	if (held)
		memcpy(head, p->rx.held.bytes, len);
	else
		guest_peek(&p->rx.iov[p->rx.first], head, len);
	return len;
}

/* Only with HASH_REPORT: the header has room for it. */
static void rx_hash(struct pair *p, struct net_hdr_hash *hdr, uint32_t frame_len, bool held)
{
	uint8_t head[NET_HASH_HEAD];
	size_t len;

	if (!p->filter.hash.types)
		return;
	len = rx_head(p, head, sizeof(head), frame_len, held);
	hdr->hash_report = net_hash(&p->filter.hash, head, len, &hdr->hash_value);
}

/* The header as the guest gets it, in its length. */
static void rx_header(struct pair *p, void *dst, const struct net_hdr *tap, uint32_t frame_len,
		      bool held)
{
	struct net_hdr_hash hdr = { .plain = *tap };

	hdr.plain.num_buffers = rx_chains_for(&p->rx, (uint64_t)p->hdr_len + frame_len);
	if (p->hdr_len == sizeof(hdr))
		rx_hash(p, &hdr, frame_len, held);
	memcpy(dst, &hdr, p->hdr_len);
}

/* Pushes the chains that the frame fills. */
static void rx_complete(struct pair *p, uint32_t frame_len)
{
	struct queue *q = &p->queues[PAIR_RX];
	struct rx_state *rx = &p->rx;
	uint64_t left = (uint64_t)p->hdr_len + frame_len;

	while (left) {
		uint32_t part = (uint32_t)min_of(left, (uint64_t)rx->chains[rx->chain_first].bytes);

		chain_use(p, part);
		left -= part;
	}
	rx->opened = false;
	stat_add(q->stats.frames, 1);
	stat_add(q->stats.bytes, frame_len);
}

/* Skips chains that cannot hold the whole frame; true when one is left that can. Only without
 * mergeable buffers. */
static bool rx_find(struct pair *p, uint64_t need)
{
	struct rx_state *rx = &p->rx;
	unsigned int at = rx->chain_first;

	while (at < rx->chain_last && rx->chains[at].bytes < need)
		at++;
	if (at == rx->chain_last)
		return false;
	while (rx->chain_first < at) {
		chain_use(p, 0);
		rx->opened = false;
	}
	return true;
}

/* Is everything that can be gathered there already? Then waiting for more is waiting for ever. */
static bool rx_exhausted(const struct pair *p)
{
	return p->rx.blocked || p->rx.slots >= p->queues[PAIR_RX].ring.cfg.size;
}

/* What the guest said since the last turn, of frames to come and of the one that waits. */
static void rules_look(struct pair *p)
{
	if (!p->rules || !net_filter_refresh(p->rules, &p->filter, &p->rules_seen))
		return;
	p->filtering = net_filter_looks(&p->filter);
	if (p->rx.held_len && net_hdr_deliver(&p->rx.held.hdr, rx_features(p))) {
		stat_add(p->queues[PAIR_RX].stats.dropped_filtered, 1);
		p->rx.held_len = 0;
	}
}

/* Is this frame for the guest? Asked where not every one is. */
static bool rx_passes(struct pair *p, uint32_t frame_len, bool held)
{
	uint8_t head[NET_FILTER_HEAD];
	size_t len;

	len = rx_head(p, head, sizeof(head), frame_len, held);
	if (net_filter_pass(&p->filter, head, len))
		return true;
	stat_add(p->queues[PAIR_RX].stats.dropped_filtered, 1);
	return false;
}

/* Gathers room for a whole frame: 1 there, 0 not yet, -ENOSPC never, other -errno. */
static int rx_room(struct pair *p, uint64_t need)
{
	struct rx_state *rx = &p->rx;
	int rc = gather(p, mergeable(p) ? need : 1, PAIR_CHAINS);

	if (rc)
		return rc;
	if (mergeable(p)) {
		if (rx->bytes >= need)
			return 1;
		return rx_exhausted(p) && !rx_weary(p) ? -ENOSPC : 0;
	}
	if (rx_find(p, need))
		return 1;
	/* The chains at hand are too short: one of those behind them may do. */
	rc = gather(p, UINT64_MAX, PAIR_CHAINS);
	if (rc)
		return rc;
	if (rx_find(p, need))
		return 1;
	return rx_weary(p) || rx_missing(p) ? 0 : -ENOSPC;
}

/* The frame that waits: 1 delivered or given up, 0 waits on, -errno. */
static int rx_deliver_held(struct pair *p)
{
	struct rx_state *rx = &p->rx;
	uint32_t frame_len = rx->held_len, len = p->hdr_len + frame_len;
	void *from = ptr_add(&rx->held, offsetof(typeof(rx->held), bytes) - p->hdr_len);
	int rc = rx_room(p, len);

	if (rc == -ENOSPC) {
		stat_add(p->queues[PAIR_RX].stats.dropped_no_room, 1);
		rx->held_len = 0;
		return 1;
	}
	if (rc <= 0)
		return rc;
	/* The header is made where it waits: should the guest's memory fail, the frame is gone too,
	 * and like one that was read straight into it not counted. */
	rx->held_len = 0;
	rx_close(rx);
	rx_header(p, from, &rx->held.hdr, frame_len, true);
	guest_poke(&rx->iov[rx->first], from, len);
	rx_wrote(p, &rx->iov[rx->first], len);
	rx_complete(p, frame_len);
	return 1;
}

static int rx_error(struct pair *p, int error)
{
	switch (error) {
	case EAGAIN:
	case EBADFD: /* detached: poll will tell */
		return 0;
	case EFAULT: /* not from every TAP: Linux keeps it to itself where the header got through */
		return -ESTALE;
	case EIO: /* an interface that is down, or on its way out: poll will tell */
		stat_add(p->queues[PAIR_RX].stats.dropped_tap, 1);
		return 0;
	case EINTR:
	case ENOMEM:
	case ENOBUFS:
	case EINVAL: /* a frame the kernel cannot describe, or this guest cannot understand */
		stat_add(p->queues[PAIR_RX].stats.dropped_tap, 1);
		return 1;
	default:
		p->tap_away = true;
		return 0;
	}
}

/* One readv: header to private memory, `room` bytes to the guest's buffers, what is too much to the
 * place behind which the guest's part can be copied. The slots before and behind the pieces are
 * lent for it. */
static in_place ssize_t rx_readv(struct pair *p, struct net_hdr *hdr, uint64_t room)
{
	struct rx_state *rx = &p->rx;
	unsigned int end = mergeable(p) ? rx->last : rx->first + rx->chains[rx->chain_first].pieces;
	struct iovec next = rx->iov[end];
	ssize_t n;

	rx->iov[rx->first - 1] = (struct iovec){ hdr, sizeof(*hdr) };
	rx->iov[end] = (struct iovec){ rx->held.bytes + room, sizeof(rx->held.bytes) - room };
	n = tap_readv(p->tap, &rx->iov[rx->first - 1], end - rx->first + 2);
	rx->iov[end] = next;
	return n;
}

static bool rx_usable(struct pair *p, ssize_t n, struct net_hdr *hdr)
{
	return n >= (ssize_t)(sizeof(*hdr) + NET_FRAME_MIN) &&
	       n <= (ssize_t)(sizeof(*hdr) + NET_FRAME_MAX) &&
	       !net_hdr_deliver(hdr, rx_features(p));
}

static void rx_learn(struct rx_state *rx, ssize_t n)
{
	rx->small_run = n <= (ssize_t)(sizeof(rx->held.hdr) + NET_COPY) ? rx->small_run + 1 : 0;
}

/* A frame to where frames wait, and on from there if it can go at once: 1 read, 0 none there,
 * -errno. */
static in_place int rx_read_small(struct pair *p)
{
	struct rx_state *rx = &p->rx;
	ssize_t n;
	int rc;

	/* The next is taken to be as long as the last; the lines come while the kernel reads. */
	guest_expect(&rx->iov[rx->first], rx->small_len);
	n = tap_read(p->tap, &rx->held.hdr, sizeof(rx->held) - offsetof(typeof(rx->held), hdr));
	if (n < 0)
		return rx_error(p, (int)-n);
	rx_learn(rx, n);
	rx->small_len = (uint32_t)n;
	if (!rx_usable(p, n, &rx->held.hdr))
		return rx_error(p, EINVAL);
	n -= (ssize_t)sizeof(rx->held.hdr);
	if (p->filtering && !rx_passes(p, (uint32_t)n, true))
		return 1;
	rx->held_len = (uint32_t)n;
	rc = rx_deliver_held(p);
	if (rc)
		return rc;
	stat_add(p->queues[PAIR_RX].stats.held, 1);
	return 1;
}

/* A frame to the guest's buffers. */
static in_place int rx_read_large(struct pair *p)
{
	struct rx_state *rx = &p->rx;
	uint8_t header[NET_HDR_LEN_MAX];
	struct iovec *iov;
	struct net_hdr hdr;
	uint64_t room;
	uint32_t frame_len;
	ssize_t n;

	rx_open(p);
	iov = &rx->iov[rx->first];
	room = min_of((mergeable(p) ? rx->bytes : rx->chains[rx->chain_first].bytes) - p->hdr_len,
		      (uint64_t)sizeof(rx->held.bytes));
	n = rx_readv(p, &hdr, room);
	if (n < 0) {
		if (n == -EFAULT) /* half-way: the kernel does not say how far it came */
			rx_wrote(p, iov, room);
		return rx_error(p, (int)-n);
	}
	rx_learn(rx, n);
	/* Usable or not, its bytes stay in the guest's buffers. */
	if (n > (ssize_t)sizeof(hdr))
		rx_wrote(p, iov, min_of((uint64_t)n - sizeof(hdr), room));
	if (!rx_usable(p, n, &hdr))
		return rx_error(p, EINVAL);
	frame_len = (uint32_t)((size_t)n - sizeof(hdr));
	if (frame_len > room)
		guest_peek(iov, rx->held.bytes, room);
	if (p->filtering && !rx_passes(p, frame_len, frame_len > room))
		return 1;
	if (frame_len <= room) {
		rx_header(p, header, &hdr, frame_len, false);
		guest_poke(rx->hdr, header, p->hdr_len);
		rx_wrote(p, rx->hdr, p->hdr_len);
		rx_complete(p, frame_len);
		return 1;
	}
	rx->held.hdr = hdr;
	rx->held_len = frame_len;
	stat_add(p->queues[PAIR_RX].stats.held, 1);
	return 1;
}

/* Reads one frame: 1 read, 0 none there or no buffer, -errno. */
static in_place int rx_read(struct pair *p)
{
	struct rx_state *rx = &p->rx;
	bool small = rx->small_run >= RX_COPY_AFTER;
	int rc = 0;

	if (!small)
		rc = gather(p, rx_want(p), PAIR_CHAINS);
	else if (rx->chain_first == rx->chain_last)
		rc = gather(p, UINT64_MAX, RX_AHEAD);
	if (rc)
		return rc;
	p->rx_starved = rx->chain_first == rx->chain_last;
	if (p->rx_starved)
		return 0;
	return small ? rx_read_small(p) : rx_read_large(p);
}

int net_rx_run(struct pair *p)
{
	struct queue *q = &p->queues[PAIR_RX];
	unsigned int n = 0;
	int rc = 0;

	if (!q->enabled)
		return 0;
	rules_look(p);
	q->ring.work = 0;
	while (n < RX_BUDGET && !rx_weary(p)) {
		rc = p->rx.held_len ? rx_deliver_held(p) : rx_read(p);
		if (rc < 0)
			break;
		if (!rc) {
			/* Without buffers only the driver can bring us on; otherwise only the TAP.
			 */
			p->rx_starved |= p->rx.held_len != 0;
			if (!p->rx_starved || p->watched || rx_missing(p) || !ring_arm(&q->ring))
				break;
		}
		if (++n % RX_FLUSH == 0)
			queue_flush(q);
	}
	if (!p->rx_starved)
		ring_disarm(&q->ring);
	queue_flush(q);
	if (n)
		stat_add(q->stats.batches, 1);
	return rc < 0 ? rc : !rx_missing(p) && (n == RX_BUDGET || rx_weary(p));
}
