/*
 * Hashing of frames' heads, by the code that the broker's eBPF program is compiled from.
 */
#include "device/net_hash.h"

#include <assert.h>
#include <string.h>

typedef const struct {
	const uint8_t *bytes;
	size_t len;
} flow_frame;

static long flow_load(flow_frame *frame, uint32_t off, void *to, uint32_t len)
{
	if (off > frame->len || len > frame->len - off)
		return -1;
	memcpy(to, frame->bytes + off, len);
	return 0;
}

#include "lib/flow.h"

static_assert(NET_HASH_HEAD == FLOW_HEAD, "both look at as much of a frame");

uint16_t net_hash(const struct net_hash *cfg, const uint8_t *head, size_t len, uint32_t *value)
{
	flow_frame frame = { head, len };
	struct flow flow = { 0 };
	uint32_t type = flow_classify(&frame, &flow, cfg->types);

	if (!type)
		return 0;
	*value = toeplitz(cfg->key, flow.input);
	/* Types are bits in the order of the reports, which begin with 1. */
	return (uint16_t)(__builtin_ctz(type) + 1);
}
