/*
 * Any bytes as guest memory, a split ring in it: every piece of every chain that the device would
 * use lies in that memory, counts add up, and nothing runs for ever. Two regions with a gap between
 * them; the first bytes choose size, features and index.
 */
#include <stdlib.h>
#include <string.h>

#include "device/ring.h"

#define REGION 8192
#define GAP    4096
#define PIECES 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static _Alignas(4096) char bytes[2][REGION];

static struct memory memory = {
	.used = true,
	.count = 2,
	.bytes = 2 * REGION,
	.regions = { { .gpa = 0, .uva = 0, .size = REGION, .host = bytes[0] },
		     { .gpa = REGION + GAP,
		       .uva = REGION + GAP,
		       .size = REGION,
		       .host = bytes[1] } },
};

static void check_piece(const struct iovec *piece)
{
	for (int i = 0; i < 2; i++) {
		const char *start = piece->iov_base;

		if (start >= bytes[i] && start < bytes[i] + REGION &&
		    piece->iov_len <= (size_t)(bytes[i] + REGION - start))
			return;
	}
	abort();
}

static void check_chain(const struct chain *chain, const struct ring *ring)
{
	uint64_t total = 0;

	if (chain->head >= ring->cfg.size || chain->out + chain->in > chain->room)
		abort();
	for (unsigned int i = 0; i < chain->out + chain->in; i++) {
		check_piece(&chain->iov[i]);
		total += chain->iov[i].iov_len;
	}
	if (!chain->too_long && total != chain->out_bytes + chain->in_bytes)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct iovec iov[PIECES];
	struct chain chain = { .iov = iov, .room = PIECES };
	struct ring_config cfg = { .desc = bytes[0],
				   .avail = (struct virtq_avail *)(bytes[0] + 2048),
				   .used = (struct virtq_used *)(bytes[1] + 4096) };
	struct ring ring;

	if (size < 4)
		return 0;
	cfg.size = 1u << (data[0] & 7);
	cfg.event_idx = data[0] & 0x10;
	cfg.indirect = data[0] & 0x20;
	memcpy(&cfg.base, data + 1, 2);
	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes, data + 3, size - 3 < sizeof(bytes) ? size - 3 : sizeof(bytes));

	ring_init(&ring, &cfg, &memory);
	ring_disarm(&ring);
	for (int i = 0; i < 300 && ring_pop(&ring, &chain) == 1; i++) {
		check_chain(&chain, &ring);
		ring_push(&ring, chain.head, 1, (uint32_t)chain.in_bytes);
		if (i % 3 == 0)
			ring_publish(&ring);
	}
	ring_publish(&ring);
	ring_arm(&ring);
	return 0;
}
