/*
 * Commands of the guest's driver. Runs in the control thread; trusts nothing in the ring: a command
 * is copied whole into private memory, meets its row in the table, and is carried out from there.
 * One that is refused changes nothing and is answered ERR; a chain that cannot be a command breaks
 * the ring.
 */
#include "device/net_ctrl.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "device/guest.h"
#include "lib/steering.h"
#include "lib/tun.h"
#include "lib/util.h"

/* Commands a turn: front-end, broker and workers wait no longer than that. */
#define CTRL_BUDGET 64
#define ACK_OK	    0
#define ACK_ERR	    1

static void publish(struct net_ctrl *c)
{
	net_filter_publish(&c->box, &c->filter);
}

uint64_t net_ctrl_effective(const struct net_ctrl *c, uint64_t features)
{
	return features & ~c->filter.offloads_off;
}

static int offloads_set(struct net_ctrl *c, uint64_t wanted)
{
	return ioctl(c->tap, TUNSETOFFLOAD, (unsigned long)net_tap_offloads(wanted)) ? -EIO : 0;
}

/* ---- commands: data is private, its length is within the row's; 0 or -errno ---- */

static int rx_mode(struct net_ctrl *c, bool *mode)
{
	if (c->data[0] > 1)
		return -EINVAL;
	*mode = c->data[0];
	return 0;
}

static int rx_promisc(struct net_ctrl *c, size_t len)
{
	(void)len;
	return rx_mode(c, &c->filter.promisc);
}

static int rx_allmulti(struct net_ctrl *c, size_t len)
{
	(void)len;
	return rx_mode(c, &c->filter.allmulti);
}

static int rx_alluni(struct net_ctrl *c, size_t len)
{
	(void)len;
	return rx_mode(c, &c->filter.alluni);
}

static int rx_nomulti(struct net_ctrl *c, size_t len)
{
	(void)len;
	return rx_mode(c, &c->filter.nomulti);
}

static int rx_nouni(struct net_ctrl *c, size_t len)
{
	(void)len;
	return rx_mode(c, &c->filter.nouni);
}

static int rx_nobcast(struct net_ctrl *c, size_t len)
{
	(void)len;
	return rx_mode(c, &c->filter.nobcast);
}

/* Takes a table off [*at, end): a count, then so many addresses. */
static int table_take(struct net_filter_table *t, const uint8_t **at, const uint8_t *end)
{
	uint32_t n;

	if ((size_t)(end - *at) < sizeof(n))
		return -EINVAL;
	memcpy(&n, *at, sizeof(n));
	*at += sizeof(n);
	if (n > (size_t)(end - *at) / 6)
		return -EINVAL;
	t->count = min_of(n, (uint32_t)(NET_FILTER_MACS + 1));
	memcpy(t->macs, *at, 6ul * min_of(n, (uint32_t)NET_FILTER_MACS));
	*at += 6ul * n;
	return 0;
}

static int mac_tables(struct net_ctrl *c, size_t len)
{
	struct net_filter_table uni = { 0 }, multi = { 0 };
	const uint8_t *at = c->data, *end = c->data + len;

	if (table_take(&uni, &at, end) || table_take(&multi, &at, end) || at != end)
		return -EINVAL;
	c->filter.uni = uni;
	c->filter.multi = multi;
	return 0;
}

static int mac_set(struct net_ctrl *c, size_t len)
{
	(void)len;
	if (c->data[0] & 1)
		return -EINVAL; /* nobody is a group */
	memcpy(c->filter.mac, c->data, 6);
	memcpy(c->setup->mac, c->data, 6);
	return 0;
}

static int vlan_set(struct net_ctrl *c, bool on)
{
	unsigned int id = c->data[0] | (unsigned int)c->data[1] << 8;
	uint64_t bit = 1ull << (id % 64);

	if (id > 4095)
		return -EINVAL;
	c->filter.by_vlan = true;
	c->filter.vlans[id / 64] =
		on ? c->filter.vlans[id / 64] | bit : c->filter.vlans[id / 64] & ~bit;
	return 0;
}

static int vlan_add(struct net_ctrl *c, size_t len)
{
	(void)len;
	return vlan_set(c, true);
}

static int vlan_del(struct net_ctrl *c, size_t len)
{
	(void)len;
	return vlan_set(c, false);
}

static int pairs_set(struct net_ctrl *c, size_t len)
{
	unsigned int n = c->data[0] | (unsigned int)c->data[1] << 8;

	(void)len;
	if (!n || n > c->setup->pairs)
		return -EINVAL;
	c->lifecycle->active = n; /* the broker is told in the next turn */
	c->steer = false;	  /* as it likes again (5.1.6.5.5) */
	return 0;
}

static uint16_t le16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

/* types(4) mask(2) unclassified(2) table(2 each) transmit queues(2) key length(1) key (5.1.6.5.7)
 */
static int rss_parse(const struct net_ctrl *c, size_t len, struct steering_config *cfg,
		     unsigned int *active)
{
	unsigned int entries = le16(c->data + 4) + 1u, pairs = c->setup->pairs;
	const uint8_t *table = c->data + 8, *rest = table + 2ul * entries;
	size_t need;

	memcpy(&cfg->types, c->data, sizeof(cfg->types));
	cfg->mask = (uint16_t)(entries - 1);
	cfg->unclassified = le16(c->data + 6);
	if ((cfg->types & ~STEERING_TYPES) || entries > STEERING_TABLE ||
	    !is_power_of_two(entries) || len < 8 + 2ul * entries + 3)
		return -EINVAL;
	*active = max_of((unsigned int)le16(rest), cfg->unclassified + 1u);
	for (unsigned int i = 0; i < entries; i++) {
		cfg->table[i] = le16(table + 2ul * i);
		*active = max_of(*active, cfg->table[i] + 1u);
	}
	need = 8 + 2ul * entries + 3 + rest[2];
	/* Newer Linux (7.2 was seen) sends its structure with the byte that pads it. */
	if (!le16(rest) || *active > pairs || rest[2] > STEERING_KEY ||
	    (len != need && len != need + 1))
		return -EINVAL;
	memcpy(cfg->key, rest + 3, rest[2]);
	return 0;
}

static void hash_take(struct net_ctrl *c)
{
	c->filter.hash.types = c->rss.types;
	memcpy(c->filter.hash.key, c->rss.key, sizeof(c->rss.key));
}

static void steering_write(struct net_ctrl *c)
{
	c->steering->config[c->steering_next] = c->rss;
	/* Release: pairs with the eBPF program's read, whose addresses depend on it. */
	__atomic_store_n(&c->steering->active, c->steering_next, __ATOMIC_RELEASE);
	c->steering_next ^= 1;
}

static int rss_set(struct net_ctrl *c, size_t len)
{
	struct steering_config cfg = { 0 };
	unsigned int active = 0;
	int rc = c->steering ? rss_parse(c, len, &cfg, &active) : -EOPNOTSUPP;

	if (rc)
		return rc;
	c->rss = cfg;
	steering_write(c);
	hash_take(c);
	c->steer = cfg.types;
	c->lifecycle->active = active;
	return 0;
}

/* types(4) reserved(8) key length(1) key (5.1.6.5.6.4): laid out as the command above, which is the
 * one that counts where both could be given. */
static int hash_set(struct net_ctrl *c, size_t len)
{
	struct steering_config cfg = { 0 };
	size_t need = 13ul + c->data[12];

	memcpy(&cfg.types, c->data, sizeof(cfg.types));
	if ((cfg.types & ~STEERING_TYPES) || c->data[12] > STEERING_KEY ||
	    (len != need && len != need + 1) ||
	    (c->lifecycle->features & BIT_ULL(VIRTIO_NET_F_RSS)))
		return -EINVAL;
	memcpy(cfg.key, c->data + 13, c->data[12]);
	c->rss = cfg;
	hash_take(c);
	return 0;
}

static int announce_ack(struct net_ctrl *c, size_t len)
{
	(void)len;
	c->setup->announce = false;
	return 0;
}

static int guest_offloads(struct net_ctrl *c, size_t len)
{
	uint64_t features = c->lifecycle->features, wanted;
	int rc;

	memcpy(&wanted, c->data, len);
	if (wanted & ~(features & NET_CTRL_OFFLOADS))
		return -EINVAL;
	if (!allowance_take(&c->offloads, NET_OFFLOADS_A_SECOND))
		return -EBUSY;
	rc = offloads_set(c, wanted);
	if (!rc)
		c->filter.offloads_off = features & NET_CTRL_OFFLOADS & ~wanted;
	return rc;
}

#define CLASS_RX       0
#define CLASS_MAC      1
#define CLASS_VLAN     2
#define CLASS_ANNOUNCE 3
#define CLASS_MQ       4
#define CLASS_OFFLOADS 5

static const struct command {
	uint8_t class, command, feature; /* feature: what must have been negotiated */
	uint32_t min, max;		 /* bytes of data */
	int (*run)(struct net_ctrl *c, size_t len);
} commands[] = {
	{ CLASS_RX, 0, VIRTIO_NET_F_CTRL_RX, 1, 1, rx_promisc },
	{ CLASS_RX, 1, VIRTIO_NET_F_CTRL_RX, 1, 1, rx_allmulti },
	{ CLASS_RX, 2, VIRTIO_NET_F_CTRL_RX_EXTRA, 1, 1, rx_alluni },
	{ CLASS_RX, 3, VIRTIO_NET_F_CTRL_RX_EXTRA, 1, 1, rx_nomulti },
	{ CLASS_RX, 4, VIRTIO_NET_F_CTRL_RX_EXTRA, 1, 1, rx_nouni },
	{ CLASS_RX, 5, VIRTIO_NET_F_CTRL_RX_EXTRA, 1, 1, rx_nobcast },
	{ CLASS_MAC, 0, VIRTIO_NET_F_CTRL_RX, 8, NET_CTRL_DATA_MAX, mac_tables },
	{ CLASS_MAC, 1, VIRTIO_NET_F_CTRL_MAC_ADDR, 6, 6, mac_set },
	{ CLASS_VLAN, 0, VIRTIO_NET_F_CTRL_VLAN, 2, 2, vlan_add },
	{ CLASS_VLAN, 1, VIRTIO_NET_F_CTRL_VLAN, 2, 2, vlan_del },
	{ CLASS_ANNOUNCE, 0, VIRTIO_NET_F_GUEST_ANNOUNCE, 0, 0, announce_ack },
	{ CLASS_MQ, 0, VIRTIO_NET_F_MQ, 2, 2, pairs_set },
	{ CLASS_MQ, 1, VIRTIO_NET_F_RSS, 13, NET_CTRL_DATA_MAX, rss_set },
	{ CLASS_MQ, 2, VIRTIO_NET_F_HASH_REPORT, 13, NET_CTRL_DATA_MAX, hash_set },
	{ CLASS_OFFLOADS, 0, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, 8, 8, guest_offloads },
};

static const struct command *command_find(uint8_t class, uint8_t command)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].class == class && commands[i].command == command)
			return &commands[i];
	return NULL;
}

static int command_run(struct net_ctrl *c, const uint8_t head[2], size_t len)
{
	const struct command *command = command_find(head[0], head[1]);
	int rc;

	if (!command || !(c->lifecycle->features & BIT_ULL(command->feature)))
		return -EOPNOTSUPP;
	if (len < command->min || len > command->max)
		return -EINVAL;
	rc = command->run(c, len);
	if (!rc)
		publish(c);
	return rc;
}

/* ---- the ring ---- */

static void answer_write(struct queue *q, const struct iovec *iov, uint8_t ack)
{
	guest_copy_out(iov->iov_base, &ack, sizeof(ack));
	if (q->dirty)
		dirty_mark(q->dirty, memory_reverse(q->ring.mem, iov->iov_base), sizeof(ack));
}

static int ctrl_one(struct pair *p)
{
	struct queue *q = &p->queues[PAIR_RX];
	struct net_ctrl *c = p->control;
	struct chain chain = { .iov = p->tx_iov, .room = PAIR_PIECES };
	int rc = ring_pop(&q->ring, &chain);
	struct iovec *data;
	uint8_t head[2];
	size_t len;

	if (rc <= 0)
		return rc;
	/* Without a class and a command, or without a place for the answer, it is none. */
	if (chain.too_long || chain.out_bytes < sizeof(head) || !chain.in) {
		ring_unpop(&q->ring, chain.slots);
		return -EINVAL;
	}
	len = chain.out_bytes - sizeof(head);
	data = guest_take(chain.iov, head, sizeof(head));
	rc = -EMSGSIZE;
	if (chain.out_bytes - sizeof(head) <= sizeof(c->data)) {
		guest_peek(data, c->data, len);
		rc = command_run(c, head, len);
	}
	answer_write(q, chain.iov + chain.out, rc ? ACK_ERR : ACK_OK);
	ring_push(&q->ring, chain.head, chain.slots, 1);
	stat_add(q->stats.frames, 1);
	stat_add(q->stats.bytes, chain.out_bytes);
	if (rc)
		stat_add(q->stats.dropped_invalid, 1);
	return 1;
}

int net_ctrl_run(struct pair *p)
{
	struct queue *q = &p->queues[PAIR_RX];
	unsigned int n = 0;
	int rc = 0;

	if (!q->enabled)
		return 0;
	ring_disarm(&q->ring);
	q->ring.work = 0;
	while (n < CTRL_BUDGET && q->ring.work < PAIR_WORK) {
		rc = ctrl_one(p);
		if (rc < 0 || (!rc && !ring_arm(&q->ring)))
			break;
		n += rc > 0;
	}
	queue_flush(q);
	if (rc == -EAGAIN)
		return 0;
	return rc < 0 ? rc : n == CTRL_BUDGET || q->ring.work >= PAIR_WORK;
}

/* ---- between the ring and the control thread ---- */

static void forget(struct net_ctrl *c)
{
	memcpy(c->setup->mac, c->mac, sizeof(c->mac));
	net_filter_default(&c->filter, c->mac);
	publish(c);
	c->rss = (struct steering_config){ 0 };
	c->setup->announce = false;
	c->lifecycle->active = c->setup->pairs;
	c->steer = false;
}

bool net_ctrl_announce(struct net_ctrl *c)
{
	if (!(c->lifecycle->features & BIT_ULL(VIRTIO_NET_F_GUEST_ANNOUNCE)) ||
	    !c->worker->pair.queues[PAIR_RX].running)
		return false;
	c->setup->announce = c->config_changed = true;
	return true;
}

bool net_ctrl_changed(struct net_ctrl *c)
{
	bool changed = c->config_changed;

	c->config_changed = false;
	return changed;
}

/* A ring that nothing was ever taken from belongs to a driver that has said nothing yet: all
 * passes, and one pair is in use until it says more (5.1.6.5.5). One that goes on elsewhere in its
 * indices is that of a driver that was paused, or moved: nobody else than this device, which owns
 * its configuration space, tells it so. */
static void started(struct net_ctrl *c)
{
	bool narrowed = c->filter.offloads_off, moved = c->moved;

	c->moved = false;
	if (!ring_fresh(&c->worker->pair.queues[PAIR_RX].ring)) {
		if (moved)
			net_ctrl_announce(c);
		return;
	}
	forget(c);
	if (narrowed)
		offloads_set(c, c->lifecycle->features);
	c->lifecycle->active = 1;
}

void net_ctrl_init(struct net_ctrl *c, struct worker *worker, struct lifecycle *lifecycle,
		   struct net_setup *setup, int tap)
{
	static _Thread_local struct memory_guard guard;

	memory_guard = &guard;
	c->moved = c->config_changed = false;
	c->worker = worker;
	c->lifecycle = lifecycle;
	c->setup = setup;
	c->tap = tap;
	worker->pair.control = c;
	memcpy(c->mac, setup->mac, sizeof(c->mac));
	forget(c);
}

int net_ctrl_restore(struct net_ctrl *c, const struct net_filter *filter,
		     const struct steering_config *rss)
{
	uint64_t features = c->lifecycle->features;
	int rc = 0;

	/* A front-end that negotiates only then sets them by that. */
	if (features && filter->offloads_off != c->filter.offloads_off)
		rc = allowance_take(&c->offloads, NET_OFFLOADS_A_SECOND)
			     ? offloads_set(c, features & ~filter->offloads_off)
			     : -EBUSY;
	if (rc)
		return rc;
	c->filter = *filter;
	c->rss = *rss;
	hash_take(c);
	if (c->steering)
		steering_write(c);
	publish(c);
	return 0;
}

void net_ctrl_steering(struct net_ctrl *c, struct steering_page *page)
{
	c->steering = page;
	c->setup->steering = page;
}

void net_ctrl_features(struct net_ctrl *c, uint64_t features)
{
	if (!(features & BIT_ULL(VIRTIO_NET_F_CTRL_VQ)))
		forget(c);
}

bool net_ctrl_tell(struct net_ctrl *c)
{
	if (c->steer == c->steer_told)
		return true;
	if (orders_steer(c->lifecycle->orders, c->steer) == -EAGAIN)
		return false;
	c->steer_told = c->steer;
	return true;
}

bool net_ctrl_poll(const struct net_ctrl *c, struct pollfd fds[NET_CTRL_FDS])
{
	const struct queue *q = &c->worker->pair.queues[PAIR_RX];

	fds[0] = (struct pollfd){ .fd = c->worker->box.command_fd, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = worker_kick_fd(c->worker, PAIR_RX), .events = POLLIN };
	return q->running && q->enabled && q->fds.kick < 0;
}

bool net_ctrl_ready(struct net_ctrl *c, const struct pollfd fds[NET_CTRL_FDS])
{
	worker_kicked(c->worker, PAIR_RX, fds[1].revents);
	if (fds[0].revents && worker_obey(c->worker) && c->worker->command.order == WORKER_START)
		started(c);
	return worker_turn(c->worker, PAIR_RX, net_ctrl_run);
}
