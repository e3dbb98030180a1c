/*
 * Any virtio-net header before a frame of any length, to and from a guest that negotiated anything:
 * what passes is within the frame and within what was negotiated, and passes unchanged again.
 */
#include <stdlib.h>
#include <string.h>

#include "device/net.h"
#include "lib/tun.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void check_sent(const struct net_hdr *hdr, uint32_t len, uint64_t features)
{
	struct net_hdr again = *hdr;

	require(len >= NET_FRAME_MIN && len <= NET_FRAME_MAX);
	require(!(hdr->flags & ~NET_HDR_F_NEEDS_CSUM) && !hdr->num_buffers && hdr->hdr_len <= len);
	if (hdr->flags)
		require((features & BIT_ULL(VIRTIO_NET_F_CSUM)) &&
			(uint32_t)hdr->csum_start + hdr->csum_offset + 2 <= len);
	if (hdr->gso_type)
		require(hdr->flags && hdr->gso_size);
	require(!net_hdr_check(&again, len, features) && !memcmp(&again, hdr, sizeof(again)));
}

static void check_received(const struct net_hdr *hdr, uint64_t features)
{
	struct net_hdr again = *hdr;

	if (!(features & BIT_ULL(VIRTIO_NET_F_GUEST_CSUM)))
		require(!hdr->flags);
	if (hdr->gso_type == NET_GSO_TCPV4)
		require(features & BIT_ULL(VIRTIO_NET_F_GUEST_TSO4));
	if (hdr->gso_type & NET_GSO_ECN)
		require(features & BIT_ULL(VIRTIO_NET_F_GUEST_ECN));
	require(!net_hdr_deliver(&again, features) && !memcmp(&again, hdr, sizeof(again)));
}

/* The sets of bits that TUNSETOFFLOAD takes. */
static void check_offloads(uint32_t tap)
{
	const uint32_t uso = TUN_F_USO4 | TUN_F_USO6;

	require(!tap || (tap & TUN_F_CSUM));
	require(!(tap & TUN_F_TSO_ECN) || (tap & (TUN_F_TSO4 | TUN_F_TSO6)));
	require(!(tap & uso) || (tap & uso) == uso);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct net_hdr hdr, received;
	uint64_t features;
	uint32_t len;

	if (size < sizeof(hdr) + sizeof(features) + sizeof(len))
		return 0;
	memcpy(&hdr, data, sizeof(hdr));
	memcpy(&features, data + sizeof(hdr), sizeof(features));
	memcpy(&len, data + sizeof(hdr) + sizeof(features), sizeof(len));
	received = hdr;
	if (!net_hdr_check(&hdr, len, features))
		check_sent(&hdr, len, features);
	if (!net_hdr_deliver(&received, features))
		check_received(&received, features);
	check_offloads(net_tap_offloads(features));
	return 0;
}
