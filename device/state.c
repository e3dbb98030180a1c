/*
 * Saving and loading of the device's own state. Runs in the control thread, while every ring is
 * stopped; trusts no word that is loaded: all are checked before any is used, by the rules for what
 * comes from a TAP.
 */
#include "device/state.h"

#include <errno.h>
#include <string.h>

#include "lib/channel.h"
#include "lib/util.h"
#include "lib/vhost_user.h"

#define HEAD	     4 /* words before what the control queue was told, and the frames */
#define FRAME_HEAD   3 /* before the bytes of one */
#define FRAME_WORDS  ((NET_FRAME_MAX + 7) / 8)
#define WORDS_MAX    (HEAD + NET_CTRL_WORDS + CHANNEL_PAIRS_MAX * (FRAME_HEAD + FRAME_WORDS))
#define NOT_FEATURES BIT_ULL(VU_F_LOG_ALL) /* of the front-end, not of the driver */

/* Static: pages that no transfer fills cost nothing. */
static uint64_t space[WORDS_MAX];

uint64_t *state_words(size_t *room)
{
	*room = WORDS_MAX;
	return space;
}

static size_t words_of(size_t bytes)
{
	return (bytes + 7) / 8;
}

/* Where the frames begin. */
static size_t frames_at(uint64_t features)
{
	return features & BIT_ULL(VIRTIO_NET_F_CTRL_VQ) ? HEAD + NET_CTRL_WORDS : HEAD;
}

size_t state_save(uint64_t *words, const struct net_ctrl *control)
{
	uint64_t features = control->lifecycle->features & ~NOT_FEATURES;
	size_t n = frames_at(features);

	words[0] = STATE_MAGIC;
	words[1] = features;
	words[2] = control->setup->mtu;
	words[3] = 0;
	if (n > HEAD)
		net_ctrl_save(control, words + HEAD);
	for (uint32_t i = 0; i < control->setup->pairs; i++) {
		const struct pair *pair = &control->lifecycle->workers[i].pair;
		const struct rx_state *rx = &pair->rx;

		/* One that was held under other offloads is not this driver's. */
		if (!rx->held_len || ((pair->features ^ features) & ~NOT_FEATURES))
			continue;
		words[3]++;
		words[n] = i | (uint64_t)rx->held_len << 32;
		words[n + 2] = 0;
		memcpy(&words[n + 1], &rx->held.hdr, sizeof(rx->held.hdr));
		n += FRAME_HEAD;
		words[n + words_of(rx->held_len) - 1] = 0;
		memcpy(&words[n], rx->held.bytes, rx->held_len);
		n += words_of(rx->held_len);
	}
	return n;
}

/* The next frame of n words from `at` on: its header, pair and length. How many words, or -errno.
 */
static int frame_check(const uint64_t *words, size_t left, uint64_t features, uint32_t pairs,
		       struct net_hdr *hdr)
{
	uint32_t pair, len;

	if (left < FRAME_HEAD)
		return -EBADMSG;
	pair = (uint32_t)words[0];
	len = (uint32_t)(words[0] >> 32);
	if (len < NET_FRAME_MIN || len > NET_FRAME_MAX || words_of(len) > left - FRAME_HEAD)
		return -EBADMSG;
	memcpy(hdr, &words[1], sizeof(*hdr));
	if (pair >= pairs || net_hdr_deliver(hdr, features))
		return -EINVAL;
	return (int)(FRAME_HEAD + words_of(len));
}

static int frames_check(const uint64_t *words, size_t n, uint32_t pairs)
{
	uint64_t next_pair = 0;
	size_t at = frames_at(words[1]);

	if (n < at)
		return -EBADMSG;
	for (uint64_t i = 0; i < words[3]; i++) {
		struct net_hdr hdr;
		int used = frame_check(words + at, n - at, words[1], pairs, &hdr);

		if (used < 0)
			return used;
		if ((uint32_t)words[at] < next_pair)
			return -EBADMSG;
		next_pair = (uint64_t)(uint32_t)words[at] + 1;
		at += (size_t)used;
	}
	return at == n ? 0 : -EBADMSG;
}

/* The worker learns of it with its ring's start; should the driver have negotiated something else
 * by then, it drops the frame. */
static size_t frame_take(struct worker *workers, const uint64_t *words, uint64_t features)
{
	struct pair *pair = &workers[(uint32_t)words[0]].pair;

	pair->features = features;
	pair->rx.held_len = (uint32_t)(words[0] >> 32);
	memcpy(&pair->rx.held.hdr, &words[1], sizeof(pair->rx.held.hdr));
	net_hdr_deliver(&pair->rx.held.hdr, features);
	memcpy(pair->rx.held.bytes, &words[FRAME_HEAD], pair->rx.held_len);
	return FRAME_HEAD + words_of(pair->rx.held_len);
}

int state_load(const uint64_t *words, size_t n, struct net_ctrl *control, uint16_t mtu_max)
{
	uint64_t features = control->lifecycle->features & ~NOT_FEATURES;
	struct net_setup *setup = control->setup;
	int rc;

	if (n < HEAD || words[0] != STATE_MAGIC)
		return -EBADMSG;
	/* A front-end that loads first and negotiates then has said nothing yet. */
	if ((words[1] & ~net_features(setup)) || (words[1] & NOT_FEATURES) ||
	    (features && features != words[1]))
		return -EINVAL;
	if (words[2] < NET_MTU_MIN || words[2] > mtu_max)
		return -EINVAL;
	rc = frames_check(words, n, setup->pairs);
	if (!rc && frames_at(words[1]) > HEAD) {
		rc = net_ctrl_check(control, words + HEAD, words[1]);
		if (!rc)
			rc = net_ctrl_load(control, words + HEAD);
	}
	if (rc)
		return rc;
	setup->mtu = (uint16_t)words[2];
	for (uint32_t i = 0; i < setup->pairs; i++)
		control->lifecycle->workers[i].pair.rx.held_len = 0;
	for (size_t at = frames_at(words[1]); at < n;)
		at += frame_take(control->lifecycle->workers, words + at, words[1]);
	return 0;
}
