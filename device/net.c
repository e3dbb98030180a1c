/*
 * What the network device offers and accepts. Runs in the control thread (features, configuration)
 * and the workers (headers); trusts no header: offsets and types are checked here because kernels
 * have had bugs behind them.
 */
#include "device/net.h"

#include <errno.h>
#include <string.h>

#include "lib/tun.h"
#include "lib/util.h"
#include "lib/vhost_user.h"

/* What the guest may receive depends on the TAP; what it may send, on the kernel behind it: both
 * speak of segmentation that the same kernel knows, so one list serves. */
static const struct {
	uint32_t tap;
	uint64_t receive, send;
} offloads[] = {
	{ TUN_F_CSUM, BIT_ULL(VIRTIO_NET_F_GUEST_CSUM), BIT_ULL(VIRTIO_NET_F_CSUM) },
	{ TUN_F_TSO4, BIT_ULL(VIRTIO_NET_F_GUEST_TSO4), BIT_ULL(VIRTIO_NET_F_HOST_TSO4) },
	{ TUN_F_TSO6, BIT_ULL(VIRTIO_NET_F_GUEST_TSO6), BIT_ULL(VIRTIO_NET_F_HOST_TSO6) },
	{ TUN_F_TSO_ECN, BIT_ULL(VIRTIO_NET_F_GUEST_ECN), BIT_ULL(VIRTIO_NET_F_HOST_ECN) },
	{ TUN_F_USO4, BIT_ULL(VIRTIO_NET_F_GUEST_USO4), BIT_ULL(VIRTIO_NET_F_HOST_USO) },
	{ TUN_F_USO6, BIT_ULL(VIRTIO_NET_F_GUEST_USO6), 0 },
};

uint64_t net_features(const struct net_setup *setup)
{
	uint64_t f = BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_F_ANY_LAYOUT) |
		     BIT_ULL(VIRTIO_F_INDIRECT_DESC) | BIT_ULL(VIRTIO_F_EVENT_IDX) |
		     BIT_ULL(VIRTIO_NET_F_MRG_RXBUF) | BIT_ULL(VIRTIO_NET_F_MAC) |
		     BIT_ULL(VIRTIO_NET_F_STATUS) | BIT_ULL(VIRTIO_NET_F_MTU) |
		     BIT_ULL(VU_F_PROTOCOL_FEATURES);

	for (size_t i = 0; i < ARRAY_SIZE(offloads); i++)
		if (setup->tap_offloads & offloads[i].tap)
			f |= offloads[i].receive | offloads[i].send;
	/* A driver that sees MQ without a control queue fails its probe; one pair needs no MQ. */
	if (setup->pairs > 1)
		f |= BIT_ULL(VIRTIO_NET_F_MQ);
	return f;
}

uint32_t net_tap_offloads(uint64_t negotiated)
{
	uint32_t tap = 0;

	/* The TAP refuses segmentation without checksums; so does the specification (5.1.3.1). */
	if (!(negotiated & BIT_ULL(VIRTIO_NET_F_GUEST_CSUM)))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(offloads); i++)
		if (negotiated & offloads[i].receive)
			tap |= offloads[i].tap;
	if (!(tap & (TUN_F_TSO4 | TUN_F_TSO6)))
		tap &= ~(uint32_t)TUN_F_TSO_ECN;
	return tap;
}

unsigned int net_hdr_len(uint64_t negotiated)
{
	if (negotiated & (BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_NET_F_MRG_RXBUF)))
		return NET_HDR_LEN;
	return NET_HDR_LEN_LEGACY;
}

int net_config_read(const struct net_setup *setup, uint32_t off, void *dst, uint32_t len)
{
	uint8_t space[NET_CONFIG_SPACE] = { 0 };
	struct net_config config = { .status = NET_STATUS_LINK_UP,
				     .max_virtqueue_pairs = (uint16_t)setup->pairs,
				     .mtu = setup->mtu };

	if (!range_within(off, len, sizeof(space)))
		return -EINVAL;
	memcpy(config.mac, setup->mac, sizeof(config.mac));
	memcpy(space, &config, sizeof(config));
	memcpy(dst, space + off, len);
	return 0;
}

static uint64_t gso_feature(uint8_t type)
{
	switch (type) {
	case NET_GSO_TCPV4:
		return BIT_ULL(VIRTIO_NET_F_HOST_TSO4);
	case NET_GSO_TCPV6:
		return BIT_ULL(VIRTIO_NET_F_HOST_TSO6);
	case NET_GSO_UDP_L4:
		return BIT_ULL(VIRTIO_NET_F_HOST_USO);
	default:
		return 0;
	}
}

static bool gso_permitted(const struct net_hdr *hdr, uint64_t negotiated)
{
	uint8_t type = hdr->gso_type & (uint8_t)~NET_GSO_ECN;

	if (!(gso_feature(type) & negotiated))
		return false;
	if ((hdr->gso_type & NET_GSO_ECN) &&
	    (type == NET_GSO_UDP_L4 || !(negotiated & BIT_ULL(VIRTIO_NET_F_HOST_ECN))))
		return false;
	/* Segments without a size, or without a checksum to complete, cannot be made (5.1.6.2.1).
	 */
	return hdr->gso_size && (hdr->flags & NET_HDR_F_NEEDS_CSUM);
}

int net_hdr_check(struct net_hdr *hdr, uint32_t frame_len, uint64_t negotiated)
{
	if (frame_len < NET_FRAME_MIN || frame_len > NET_FRAME_MAX)
		return -EINVAL;
	hdr->flags &= NET_HDR_F_NEEDS_CSUM;
	hdr->num_buffers = 0;
	if (hdr->flags) {
		uint32_t end = (uint32_t)hdr->csum_start + hdr->csum_offset + 2;

		if (!(negotiated & BIT_ULL(VIRTIO_NET_F_CSUM)) || hdr->csum_start < NET_FRAME_MIN ||
		    end > frame_len)
			return -EINVAL;
	} else {
		hdr->csum_start = hdr->csum_offset = 0;
	}
	/* hdr_len is a hint of how much to keep together; a lie costs nothing once it is bounded.
	 */
	hdr->hdr_len = (uint16_t)min_of((uint32_t)hdr->hdr_len, frame_len);
	if (hdr->gso_type == NET_GSO_NONE) {
		hdr->gso_size = 0;
		return 0;
	}
	return gso_permitted(hdr, negotiated) ? 0 : -EINVAL;
}
