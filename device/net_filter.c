/*
 * Receive filtering. Pure functions of private data, and the box between the control thread (the
 * only writer) and the workers, who trust it.
 */
#include "device/net_filter.h"

#include <string.h>

#include "lib/util.h"

void net_filter_default(struct net_filter *f, const uint8_t mac[6])
{
	memset(f, 0, sizeof(*f));
	memcpy(f->mac, mac, sizeof(f->mac));
	f->promisc = true;
}

static bool table_has(const struct net_filter_table *t, const uint8_t *mac)
{
	for (uint32_t i = 0; i < min_of(t->count, (uint32_t)NET_FILTER_MACS); i++)
		if (!memcmp(t->macs[i], mac, 6))
			return true;
	return t->count > NET_FILTER_MACS;
}

static bool address_passes(const struct net_filter *f, const uint8_t *mac)
{
	static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	if (f->promisc)
		return true;
	if (!memcmp(mac, broadcast, sizeof(broadcast)))
		return !f->nobcast;
	if (mac[0] & 1)
		return !f->nomulti && (f->allmulti || table_has(&f->multi, mac));
	return !f->nouni && (f->alluni || !memcmp(mac, f->mac, 6) || table_has(&f->uni, mac));
}

static bool vlan_passes(const struct net_filter *f, const uint8_t *head, size_t len)
{
	unsigned int id;

	if (len < NET_FILTER_HEAD || head[12] != 0x81 || head[13] != 0)
		return true;
	id = (head[14] & 15u) << 8 | head[15];
	return f->vlans[id / 64] >> (id % 64) & 1;
}

bool net_filter_looks(const struct net_filter *f)
{
	return !f->promisc || f->by_vlan;
}

bool net_filter_pass(const struct net_filter *f, const uint8_t *head, size_t len)
{
	return address_passes(f, head) && (!f->by_vlan || vlan_passes(f, head, len));
}

void net_filter_publish(struct net_filter_box *box, const struct net_filter *f)
{
	union {
		struct net_filter filter;
		uint64_t words[ARRAY_SIZE(box->words)];
	} fresh = { .words = { 0 } };
	unsigned int turn = box->turn;

	fresh.filter = *f;
	__atomic_store_n(&box->turn, turn + 1, __ATOMIC_RELAXED);
	/* Release: pairs with the acquire fence in net_filter_refresh(): who sees a new word sees
	 * the odd turn. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	for (size_t i = 0; i < ARRAY_SIZE(box->words); i++)
		__atomic_store_n(&box->words[i], fresh.words[i], __ATOMIC_RELAXED);
	/* Release: pairs with the acquire load in net_filter_refresh(). */
	__atomic_store_n(&box->turn, turn + 2, __ATOMIC_RELEASE);
}

bool net_filter_refresh(const struct net_filter_box *box, struct net_filter *f, unsigned int *seen)
{
	union {
		struct net_filter filter;
		uint64_t words[ARRAY_SIZE(box->words)];
	} copy;
	/* Acquire: pairs with the last store in net_filter_publish(). */
	unsigned int turn = __atomic_load_n(&box->turn, __ATOMIC_ACQUIRE);

	if (turn == *seen || turn % 2)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(box->words); i++)
		copy.words[i] = __atomic_load_n(&box->words[i], __ATOMIC_RELAXED);
	/* Acquire: pairs with the release fence in net_filter_publish(). */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (__atomic_load_n(&box->turn, __ATOMIC_RELAXED) != turn)
		return false;
	*f = copy.filter;
	*seen = turn;
	return true;
}
