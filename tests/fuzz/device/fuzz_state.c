/*
 * Any words as another back-end's state, for a device of any features, negotiated already or not:
 * what is refused changes nothing, and what is taken could have been said by a guest, so that it
 * can be saved and loaded again.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "device/state.h"
#include "lib/vhost_user.h"

#define PAIRS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct worker workers[PAIRS + 1];
static struct lifecycle lifecycle;
static struct net_setup setup;
static struct net_ctrl control;
static struct steering_page page;

static void require(bool condition)
{
	if (!condition)
		abort();
}

/* The TAP. */
int ioctl(int fd, unsigned long request, ...)
{
	(void)fd;
	(void)request;
	return 0;
}

static void check(void)
{
	const struct steering_config *cfg = &page.config[page.active & 1];
	const struct net_filter *f = &control.filter;

	require(page.active <= 1 && cfg->mask < STEERING_TABLE && cfg->unclassified < PAIRS);
	for (unsigned int i = 0; i < STEERING_TABLE; i++)
		require(cfg->table[i] < PAIRS);
	require(!((cfg->types | f->hash.types) & ~STEERING_TYPES));
	require(lifecycle.active >= 1 && lifecycle.active <= PAIRS);
	require(f->uni.count <= NET_FILTER_MACS + 1 && f->multi.count <= NET_FILTER_MACS + 1);
	require(!(f->mac[0] & 1) && !(setup.mac[0] & 1));
	require(setup.mtu >= NET_MTU_MIN && setup.mtu <= 1500);
	for (unsigned int i = 0; i < PAIRS; i++) {
		struct pair *p = &workers[i].pair;

		require(p->rx.held_len <= NET_FRAME_MAX);
		require(!p->rx.held_len || p->rx.held_len >= NET_FRAME_MIN);
		require(!p->rx.held_len || !net_hdr_deliver(&p->rx.held.hdr, p->features));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint64_t copy[1 << 17];
	size_t room, n, again;
	uint64_t *words = state_words(&room);

	if (size < 1)
		return 0;
	n = (size - 1) / 8;
	if (n > room)
		return 0;
	memcpy(words, data + 1, n * 8);
	setup = (struct net_setup){
		.pairs = PAIRS, .tap_offloads = 0x7f, .mac = { 2 }, .mtu = 1500, .steering = true
	};
	lifecycle = (struct lifecycle){ .setup = &setup, .workers = workers };
	if (n > 1) {
		/* Otherwise hardly a word is ever looked at: what it begins with is given. */
		words[0] = data[0] & 1 ? words[0] : STATE_MAGIC;
		words[1] &=
			data[0] & 2 ? UINT64_MAX : net_features(&setup) & ~BIT_ULL(VU_F_LOG_ALL);
		lifecycle.features = data[0] & 4 ? words[1] & net_features(&setup) : 0;
	}
	control = (struct net_ctrl){ 0 };
	memset(&page, 0, sizeof(page));
	for (unsigned int i = 0; i < PAIRS; i++)
		workers[i].pair.rx.held_len = 0;
	net_ctrl_init(&control, &workers[PAIRS], &lifecycle, &setup, -1);
	net_ctrl_steering(&control, &page);
	if (state_load(words, n, &control, 1500)) {
		require(!control.moved && control.filter.promisc && setup.mtu == 1500);
		check();
		return 0;
	}
	check();
	lifecycle.features = words[1];
	again = state_save(words, &control);
	memcpy(copy, words, again * 8);
	require(!state_load(words, again, &control, 1500));
	require(state_save(words, &control) == again && !memcmp(copy, words, again * 8));
	return 0;
}
