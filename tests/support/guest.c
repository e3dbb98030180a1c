/*
 * A guest's network card: what a driver and its VMM do together, in one thread of the test process.
 * Trusts nothing that the device writes: lengths, buffer counts and indices are checked, and a
 * frame is only what its used entries say.
 */
#include "tests/support/guest.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/util.h"

#define WAIT_MS 5000

static bool has(const struct guest *g, unsigned bit)
{
	return g->peer.features >> bit & 1;
}

static unsigned rings(const struct guest *g)
{
	return 2 * g->options.pairs;
}

static void defaults(struct guest_options *o)
{
	bool merge = o->features >> VIRTIO_NET_F_MRG_RXBUF & 1;

	o->pairs = o->pairs ? o->pairs : 1;
	o->ring_size = o->ring_size ? o->ring_size : 256;
	o->regions = o->regions ? o->regions : 2;
	o->rx_buffer = o->rx_buffer ? o->rx_buffer : merge ? 4096 : GUEST_BUFFER_MAX;
	o->slots_per_ring = o->slots_per_ring ? o->slots_per_ring : GUEST_SLOTS_MAX;
	if (o->features >> VIRTIO_F_RING_PACKED & 1)
		o->base = o->base ? o->base : GUEST_PACKED_BASE;
	o->slots_per_ring = min_of(o->slots_per_ring, min_of(o->ring_size, GUEST_SLOTS_MAX));
}

/* All but the connection. */
static void blank_rings(struct guest *g)
{
	g->memory.count = 0;
	memset(g->queue, 0, sizeof(g->queue));
	for (unsigned i = 0; i < GUEST_RINGS_MAX; i++)
		g->queue[i].ring.kick = g->queue[i].ring.call = g->queue[i].ring.err = -1;
}

void guest_blank(struct guest *g)
{
	g->peer.sock = -1;
	blank_rings(g);
}

int guest_negotiate(struct guest *g, const struct guest_options *options)
{
	uint64_t features = options->features | BIT(VU_F_PROTOCOL_FEATURES);

	g->options = *options;
	defaults(&g->options);
	blank_rings(g);
	if (!options->legacy)
		features |= BIT(VIRTIO_F_VERSION_1);
	if (options->indirect)
		features |= BIT(VIRTIO_RING_F_INDIRECT_DESC);
	if (options->platform)
		features |= BIT(VIRTIO_F_ACCESS_PLATFORM);
	g->header = options->legacy && !(features & BIT(VIRTIO_NET_F_MRG_RXBUF)) ? 10 : 12;
	if (features >> NET_F_HASH & 1)
		g->header = sizeof(struct virtio_net_hdr_v1_hash);
	return peer_negotiate(&g->peer, features,
			      (GUEST_PROTOCOL_BITS & ~options->no_protocol) | options->protocol |
				      (options->platform ? BIT(VU_P_BACKEND_REQ) : 0));
}

static uint64_t memory_need(const struct guest_options *o)
{
	uint64_t tables = o->indirect ? (uint64_t)o->ring_size * GUEST_PIECES_MAX * 16 : 0;
	uint64_t ring = 32ull * o->ring_size + tables + 8192;
	uint64_t transmit = (uint64_t)o->slots_per_ring * (GUEST_BUFFER_MAX + 64);
	uint64_t receive = (uint64_t)o->slots_per_ring * (o->rx_buffer + 64);

	return o->pairs * (2 * ring + transmit + receive) + (1 << 20);
}

static int queue_init(struct guest *g, unsigned index)
{
	const struct guest_options *o = &g->options;
	struct guest_queue *q = &g->queue[index];
	const struct guest_ring_format *format =
		has(g, VIRTIO_F_RING_PACKED) ? &guest_packed : &guest_split;
	int rc = guest_ring_init(&q->ring, &g->memory, format, o->ring_size,
				 has(g, VIRTIO_RING_F_EVENT_IDX),
				 o->indirect ? GUEST_PIECES_MAX : 0, o->polling);

	if (rc)
		return rc;
	guest_ring_start(&q->ring, o->base);
	q->slots = o->slots_per_ring;
	q->slot_bytes = index & 1 ? GUEST_BUFFER_MAX : o->rx_buffer;
	for (unsigned i = 0; i < q->slots; i++) {
		/* Odd addresses on purpose: no buffer needs an alignment. */
		q->slot[i] = guest_alloc(&g->memory, q->slot_bytes + 3, 64);
		if (q->slot[i] == GUEST_NOWHERE)
			return -ENOMEM;
		q->slot[i] += i & 3;
		q->busy[i] = false;
	}
	return 0;
}

int guest_make_rings(struct guest *g)
{
	const struct guest_options *o = &g->options;
	uint64_t bytes =
		o->region_bytes ? o->region_bytes : memory_need(o) / o->regions + (1 << 20);
	int rc = guest_memory_init(&g->memory, o->regions, (bytes + 4095) & ~4095ull, o->backing);

	if (!rc && o->platform)
		rc = guest_memory_reverse(&g->memory);
	for (unsigned i = 0; !rc && i < rings(g); i++)
		rc = queue_init(g, i);
	return rc;
}

static int add_regions(struct guest *g)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < g->memory.count; i++) {
		struct vu_mem_single m = { .region = guest_region_wire(&g->memory.region[i]) };

		if (g->memory.region[i].fd >= 0)
			rc = peer_tell(&g->peer, VU_ADD_MEM_REG, &m, sizeof(m),
				       &g->memory.region[i].fd, 1);
	}
	return rc;
}

int guest_share_memory(struct guest *g)
{
	struct vu_mem_table table = { 0 };
	int fds[VU_MEM_REGIONS_MAX];
	uint32_t n = 0;

	if (g->options.slots)
		return add_regions(g);
	for (size_t i = 0; i < g->memory.count && n < VU_MEM_REGIONS_MAX; i++) {
		if (g->memory.region[i].fd < 0)
			continue;
		table.regions[n] = guest_region_wire(&g->memory.region[i]);
		if (g->options.platform) /* of no meaning then */
			table.regions[n].guest_addr += BIT(40);
		fds[n++] = g->memory.region[i].fd;
	}
	table.nregions = n;
	return peer_tell(&g->peer, VU_SET_MEM_TABLE, &table,
			 (uint32_t)offsetof(struct vu_mem_table, regions[n]), fds, n);
}

static int tell_addresses(struct guest *g, unsigned index, uint32_t base)
{
	struct guest_ring *r = &g->queue[index].ring;
	bool same = g->options.platform; /* I/O addresses, as the guest has them */
	struct vu_vring_addr a = {
		.index = index,
		.desc = same ? r->desc : guest_uva(&g->memory, r->desc),
		.avail = same ? r->driver : guest_uva(&g->memory, r->driver),
		.used = same ? r->device : guest_uva(&g->memory, r->device),
	};
	int rc = peer_tell_state(&g->peer, VU_SET_VRING_NUM, index, r->size);

	if (!rc)
		rc = peer_tell_state(&g->peer, VU_SET_VRING_BASE, index, base);
	if (!rc)
		rc = peer_tell(&g->peer, VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0);
	return rc;
}

int guest_ring_enable(struct guest *g, unsigned index, bool on)
{
	return peer_tell_state(&g->peer, VU_SET_VRING_ENABLE, index, on);
}

int guest_ring_configure(struct guest *g, unsigned index, uint32_t base)
{
	struct guest_ring *r = &g->queue[index].ring;
	enum guest_order order = g->options.order;
	struct peer *p = &g->peer;
	int rc = 0;

	if (order == GUEST_KICK_FIRST)
		rc = peer_tell_event(p, VU_SET_VRING_KICK, index, r->kick);
	if (!rc)
		rc = tell_addresses(g, index, base);
	if (!rc && order == GUEST_KICK_LAST)
		rc = guest_ring_enable(g, index, true);
	if (!rc && order != GUEST_KICK_FIRST)
		rc = peer_tell_event(p, VU_SET_VRING_KICK, index, r->kick);
	if (!rc)
		rc = peer_tell_event(p, VU_SET_VRING_CALL, index, r->call);
	if (!rc && order != GUEST_QEMU)
		rc = peer_tell_event(p, VU_SET_VRING_ERR, index, r->err);
	return rc;
}

int guest_start_rings(struct guest *g, uint32_t base)
{
	int rc = 0;

	for (unsigned i = 0; !rc && i < rings(g); i++) {
		rc = guest_ring_configure(g, i, base);
		if (!rc)
			rc = guest_ring_enable(g, i, true);
	}
	return rc;
}

/* What QEMU does before it knows the guest's features. */
static int announce_early(struct guest *g)
{
	int rc = 0;

	for (unsigned i = 0; !rc && i < rings(g); i++) {
		rc = peer_tell_event(&g->peer, VU_SET_VRING_CALL, i, g->queue[i].ring.call);
		if (!rc)
			rc = peer_tell_event(&g->peer, VU_SET_VRING_ERR, i, g->queue[i].ring.err);
	}
	for (unsigned i = 0; !rc && i < rings(g); i++)
		rc = guest_ring_enable(g, i, true);
	return rc;
}

static bool enables_last(enum guest_order order)
{
	return order == GUEST_TESTPMD || order == GUEST_KICK_FIRST;
}

static int set_features(struct guest *g)
{
	int rc = peer_tell_u64(&g->peer, VU_SET_FEATURES, g->peer.features);

	return rc ? rc : guest_share_memory(g);
}

int guest_set_up(struct guest *g)
{
	int rc = guest_make_rings(g);

	return rc ? rc : set_features(g);
}

int guest_open(struct guest *g, const struct guest_options *options)
{
	int rc = guest_negotiate(g, options);

	if (!rc)
		rc = guest_make_rings(g);
	if (!rc && g->options.order == GUEST_QEMU)
		rc = announce_early(g);
	if (!rc)
		rc = set_features(g);
	for (unsigned i = 0; !rc && i < rings(g); i++)
		rc = guest_ring_configure(g, i, g->options.base);
	for (unsigned i = 0; !rc && enables_last(g->options.order) && i < rings(g); i++)
		rc = guest_ring_enable(g, i, true);
	for (unsigned pair = 0; !rc && pair < g->options.pairs; pair++)
		guest_refill(g, pair);
	return rc ? rc : peer_sync(&g->peer);
}

int guest_ring_stop(struct guest *g, unsigned index, uint32_t *base)
{
	struct vu_vring_state state = { .index = index };
	struct vu_message reply;
	int rc = peer_ask(&g->peer, VU_GET_VRING_BASE, &state, sizeof(state), &reply);

	if (rc)
		return rc;
	if (reply.head.size != sizeof(state) || reply.state.index != index ||
	    (reply.state.num > UINT16_MAX && !has(g, VIRTIO_F_RING_PACKED)))
		return -EPROTO;
	*base = reply.state.num;
	return 0;
}

void guest_close(struct guest *g)
{
	peer_close(&g->peer);
	for (unsigned i = 0; i < GUEST_RINGS_MAX; i++)
		guest_ring_free(&g->queue[i].ring);
	guest_memory_free(&g->memory);
}

/* Cuts [gpa, gpa + len) into the queue's pieces; the last takes what is left. */
static unsigned shape(const struct guest_queue *q, uint64_t gpa, size_t len, bool writable,
		      struct guest_piece pieces[GUEST_PIECES_MAX])
{
	unsigned n = 0;

	for (; n < q->ncuts && len > q->cuts[n]; n++) {
		pieces[n] = (struct guest_piece){ gpa, q->cuts[n], writable };
		gpa += q->cuts[n];
		len -= q->cuts[n];
	}
	pieces[n] = (struct guest_piece){ gpa, (uint32_t)len, writable };
	return n + 1;
}

static int post_receive(struct guest *g, unsigned index, uint32_t slot)
{
	struct guest_piece pieces[GUEST_PIECES_MAX];
	struct guest_queue *q = &g->queue[index];
	unsigned n = shape(q, q->slot[slot], q->slot_bytes, true, pieces);
	int rc = guest_ring_post(&q->ring, pieces, n, g->options.indirect, slot);

	if (!rc)
		q->busy[slot] = true;
	return rc;
}

int guest_post_buffers(struct guest *g, unsigned pair, unsigned n)
{
	struct guest_queue *q = &g->queue[2 * pair];
	int rc = 0;

	for (uint32_t slot = 0; !rc && slot < q->slots && n; slot++) {
		if (q->busy[slot])
			continue;
		rc = post_receive(g, 2 * pair, slot);
		n--;
	}
	guest_ring_kick(&q->ring);
	return n && !rc ? -ENOSPC : rc;
}

void guest_refill(struct guest *g, unsigned pair)
{
	(void)guest_post_buffers(g, pair, UINT_MAX);
}

static int free_slot(struct guest_queue *q)
{
	for (uint32_t i = 0; i < q->slots; i++)
		if (!q->busy[i])
			return (int)i;
	return -ENOSPC;
}

int guest_post(struct guest *g, unsigned pair, const struct virtio_net_hdr *hdr, const void *frame,
	       size_t len)
{
	struct guest_queue *q = &g->queue[2 * pair + 1];
	struct virtio_net_hdr_v1_hash full = { 0 };
	struct guest_piece pieces[GUEST_PIECES_MAX];
	int slot = free_slot(q), rc;
	uint8_t *at;

	if (slot < 0)
		return slot;
	if (hdr)
		memcpy(&full, hdr, sizeof(*hdr));
	at = guest_at(&g->memory, q->slot[slot], g->header + len);
	memcpy(at, &full, g->header);
	memcpy(at + g->header, frame, len);
	rc = guest_ring_post(&q->ring, pieces,
			     shape(q, q->slot[slot], g->header + len, false, pieces),
			     g->options.indirect, (uint32_t)slot);
	if (!rc)
		q->busy[slot] = true;
	return rc;
}

void guest_kick(struct guest *g, unsigned pair)
{
	guest_ring_kick(&g->queue[2 * pair + 1].ring);
}

int guest_reap(struct guest *g, unsigned pair)
{
	struct guest_queue *q = &g->queue[2 * pair + 1];
	uint32_t slot, len;
	int n = 0, rc;

	while ((rc = guest_ring_take(&q->ring, &slot, &len)) > 0) {
		if (len != 0)
			return -EPROTO; /* nothing in it was the device's to write */
		q->busy[slot] = false;
		n++;
	}
	return rc < 0 ? rc : n;
}

int guest_send(struct guest *g, unsigned pair, const struct virtio_net_hdr *hdr, const void *frame,
	       size_t len)
{
	struct guest_ring *r = &g->queue[2 * pair + 1].ring;
	int rc;

	for (;;) {
		rc = guest_post(g, pair, hdr, frame, len);
		if (rc != -ENOSPC)
			break;
		guest_kick(g, pair);
		rc = guest_ring_wait(r, WAIT_MS);
		if (!rc)
			rc = guest_reap(g, pair);
		if (rc < 0)
			return rc;
	}
	guest_kick(g, pair);
	return rc;
}

int guest_flush(struct guest *g, unsigned pair, int timeout_ms)
{
	struct guest_ring *r = &g->queue[2 * pair + 1].ring;
	int64_t end = clock_ms() + timeout_ms;

	guest_kick(g, pair);
	while (r->outstanding) {
		int64_t left = end - clock_ms();
		int rc = guest_ring_wait(r, left > 0 ? (int)left : 0);

		if (!rc)
			rc = guest_reap(g, pair);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Takes one used receive buffer: its bytes are at *at, *len of them. */
static int take_buffer(struct guest *g, unsigned index, uint8_t **at, uint32_t *len, uint32_t *slot,
		       int timeout_ms)
{
	struct guest_queue *q = &g->queue[index];
	int rc = guest_ring_take(&q->ring, slot, len);

	if (rc == 0) {
		rc = guest_ring_wait(&q->ring, timeout_ms);
		if (!rc)
			rc = guest_ring_take(&q->ring, slot, len);
	}
	if (rc < 0)
		return rc;
	if (*len > q->slot_bytes)
		return -EPROTO;
	q->busy[*slot] = false;
	*at = guest_at(&g->memory, q->slot[*slot], *len);
	return 0;
}

static void give_back(struct guest *g, unsigned index, uint32_t slot)
{
	if (g->queue[index].hold)
		return;
	post_receive(g, index, slot);
	guest_ring_kick(&g->queue[index].ring);
}

int guest_receive(struct guest *g, unsigned pair, struct virtio_net_hdr_v1 *hdr, void *frame,
		  size_t room, int timeout_ms)
{
	struct virtio_net_hdr_v1_hash full = { .hdr.num_buffers = 1 };
	struct virtio_net_hdr_v1 *const first = &full.hdr;
	unsigned index = 2 * pair, skip = g->header;
	uint32_t len, slot;
	size_t have = 0;
	uint8_t *at;

	for (unsigned i = 0; i < first->num_buffers; i++, skip = 0) {
		int rc = take_buffer(g, index, &at, &len, &slot, timeout_ms);

		if (rc)
			return rc;
		if (i == 0) {
			if (len < g->header)
				return -EPROTO;
			memcpy(&full, at, g->header);
			g->hash = full.hash_value;
			g->report = full.hash_report;
			/* 1 without MRG_RXBUF too (virtio 1.3, 5.1.6.4); absent in 10 bytes. */
			first->num_buffers = g->header == 10 ? 1 : first->num_buffers;
			if (!first->num_buffers || first->num_buffers > g->options.ring_size)
				return -EPROTO;
		}
		if (len - skip > room - have)
			return -EMSGSIZE;
		memcpy((uint8_t *)frame + have, at + skip, len - skip);
		have += len - skip;
		give_back(g, index, slot);
	}
	if (hdr)
		*hdr = *first;
	return (int)have;
}
