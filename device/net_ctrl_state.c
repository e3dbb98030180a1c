/*
 * What a guest said on its control queue, on its way to another back-end or from one. Runs in the
 * control thread, while every ring is stopped; trusts nothing that is loaded: each field meets the
 * rule that its command has in net_ctrl.c.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "device/net_ctrl.h"
#include "lib/util.h"

#define MODES 7

/* As it travels: little endian, nothing between the fields. */
struct state {
	uint64_t offloads_off;
	uint64_t vlans[4096 / 64];
	uint16_t active; /* pairs in use */
	uint8_t steer, modes, mac[6], reserved[6];
	uint32_t uni_count, multi_count;
	uint8_t uni[NET_FILTER_MACS][6], multi[NET_FILTER_MACS][6];
	struct steering_config rss;
};
static_assert(sizeof(struct state) == 8 * NET_CTRL_WORDS && sizeof(struct steering_config) == 304,
	      "no padding");

/* Bit i of `modes`. */
static bool *mode(struct net_filter *f, unsigned int i)
{
	bool *const modes[MODES] = { &f->promisc, &f->allmulti, &f->alluni, &f->nomulti,
				     &f->nouni,	  &f->nobcast,	&f->by_vlan };

	return modes[i];
}

static void table_save(const struct net_filter_table *t, uint32_t *count, uint8_t macs[][6])
{
	*count = t->count;
	memcpy(macs, t->macs, 6ul * min_of(t->count, (uint32_t)NET_FILTER_MACS));
}

static void table_load(struct net_filter_table *t, uint32_t count, const uint8_t macs[][6])
{
	t->count = count;
	memcpy(t->macs, macs, 6ul * min_of(count, (uint32_t)NET_FILTER_MACS));
}

void net_ctrl_save(const struct net_ctrl *c, uint64_t words[NET_CTRL_WORDS])
{
	struct net_filter f = c->filter;
	struct state s = { .offloads_off = f.offloads_off,
			   .active = (uint16_t)c->lifecycle->active,
			   .steer = c->steer,
			   .rss = c->rss };

	for (unsigned int i = 0; i < MODES; i++)
		s.modes |= (uint8_t)(*mode(&f, i) << i);
	memcpy(s.mac, f.mac, sizeof(s.mac));
	memcpy(s.vlans, f.vlans, sizeof(s.vlans));
	table_save(&f.uni, &s.uni_count, s.uni);
	table_save(&f.multi, &s.multi_count, s.multi);
	memcpy(words, &s, sizeof(s));
}

/* With RSS as with the command; without, a hash may be reported, and nothing is chosen by it. */
static bool rss_fits(const struct net_ctrl *c, const struct state *s, uint64_t features)
{
	bool rss = features & BIT_ULL(VIRTIO_NET_F_RSS);
	const struct steering_config *cfg = &s->rss;

	if ((cfg->types & ~STEERING_TYPES) || s->steer > (rss && cfg->types))
		return false;
	if (!rss && !(features & BIT_ULL(VIRTIO_NET_F_HASH_REPORT)) && cfg->types)
		return false;
	if (cfg->mask >= STEERING_TABLE || !is_power_of_two(cfg->mask + 1u) ||
	    cfg->unclassified >= c->setup->pairs)
		return false;
	for (unsigned int i = 0; i < STEERING_TABLE; i++)
		if (cfg->table[i] >= c->setup->pairs)
			return false;
	return true;
}

int net_ctrl_check(const struct net_ctrl *c, const uint64_t words[NET_CTRL_WORDS],
		   uint64_t features)
{
	static const uint8_t none[6];
	struct state s;

	memcpy(&s, words, sizeof(s));
	if ((s.offloads_off & ~(features & NET_CTRL_OFFLOADS)) || !s.active ||
	    s.active > c->setup->pairs || s.modes >> MODES || (s.mac[0] & 1) ||
	    memcmp(s.reserved, none, sizeof(none)) || s.uni_count > NET_FILTER_MACS + 1 ||
	    s.multi_count > NET_FILTER_MACS + 1)
		return -EINVAL;
	return rss_fits(c, &s, features) ? 0 : -EINVAL;
}

int net_ctrl_load(struct net_ctrl *c, const uint64_t words[NET_CTRL_WORDS])
{
	struct net_filter f = { 0 };
	struct state s;
	int rc;

	memcpy(&s, words, sizeof(s));
	f.offloads_off = s.offloads_off;
	for (unsigned int i = 0; i < MODES; i++)
		*mode(&f, i) = s.modes >> i & 1;
	memcpy(f.mac, s.mac, sizeof(s.mac));
	memcpy(f.vlans, s.vlans, sizeof(s.vlans));
	table_load(&f.uni, s.uni_count, s.uni);
	table_load(&f.multi, s.multi_count, s.multi);
	rc = net_ctrl_restore(c, &f, &s.rss);
	if (rc)
		return rc;
	c->steer = s.steer;
	c->lifecycle->active = s.active;
	memcpy(c->setup->mac, s.mac, sizeof(s.mac));
	c->moved = true;
	return 0;
}
