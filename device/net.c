/*
 * What the network device offers and accepts. Runs in the control thread (features, configuration)
 * and the workers (headers); trusts no header: offsets and types are checked here because kernels
 * have had bugs behind them.
 */
#include "device/net.h"

#include <errno.h>
#include <string.h>

#include "lib/steering.h"
#include "lib/tun.h"
#include "lib/util.h"
#include "lib/vhost_user.h"

#define TUN_F_USO (TUN_F_USO4 | TUN_F_USO6)

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
		     BIT_ULL(VIRTIO_F_RING_PACKED) | BIT_ULL(VIRTIO_F_IN_ORDER) |
		     BIT_ULL(VIRTIO_F_NOTIFICATION_DATA) | BIT_ULL(VIRTIO_F_RING_RESET) |
		     BIT_ULL(VIRTIO_NET_F_MRG_RXBUF) | BIT_ULL(VIRTIO_NET_F_MAC) |
		     BIT_ULL(VIRTIO_NET_F_STATUS) | BIT_ULL(VIRTIO_NET_F_MTU) |
		     BIT_ULL(VIRTIO_NET_F_CTRL_VQ) | BIT_ULL(VIRTIO_NET_F_CTRL_RX) |
		     BIT_ULL(VIRTIO_NET_F_CTRL_RX_EXTRA) | BIT_ULL(VIRTIO_NET_F_CTRL_VLAN) |
		     BIT_ULL(VIRTIO_NET_F_CTRL_MAC_ADDR) | BIT_ULL(VIRTIO_NET_F_GUEST_ANNOUNCE) |
		     BIT_ULL(VIRTIO_NET_F_HASH_REPORT) | BIT_ULL(VU_F_LOG_ALL) |
		     BIT_ULL(VU_F_PROTOCOL_FEATURES);

	for (size_t i = 0; i < ARRAY_SIZE(offloads); i++)
		if (setup->tap_offloads & offloads[i].tap)
			f |= offloads[i].receive | offloads[i].send;
	if (f & BIT_ULL(VIRTIO_NET_F_GUEST_CSUM))
		f |= BIT_ULL(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
	if (setup->steering)
		f |= BIT_ULL(VIRTIO_NET_F_RSS);
	if (setup->iotlb)
		f |= BIT_ULL(VIRTIO_F_ACCESS_PLATFORM);
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
	/* What the TAP refuses alone is asked for together or not at all, whatever a guest
	 * acknowledges. */
	if (!(tap & (TUN_F_TSO4 | TUN_F_TSO6)))
		tap &= ~(uint32_t)TUN_F_TSO_ECN;
	if ((tap & TUN_F_USO) != TUN_F_USO)
		tap &= ~(uint32_t)TUN_F_USO;
	return tap;
}

unsigned int net_hdr_len(uint64_t negotiated)
{
	if (negotiated & BIT_ULL(VIRTIO_NET_F_HASH_REPORT))
		return NET_HDR_LEN_MAX;
	if (negotiated & (BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_NET_F_MRG_RXBUF)))
		return NET_HDR_LEN;
	return NET_HDR_LEN_LEGACY;
}

int net_config_read(const struct net_setup *setup, uint32_t off, void *dst, uint32_t len)
{
	uint8_t space[NET_CONFIG_SPACE] = { 0 };
	struct net_config config = { .status = (setup->link_down ? 0 : NET_STATUS_LINK_UP) |
					       (setup->announce ? NET_STATUS_ANNOUNCE : 0),
				     .max_virtqueue_pairs = (uint16_t)setup->pairs,
				     .mtu = setup->mtu,
				     .rss_max_key_size = STEERING_KEY,
				     .supported_hash_types = STEERING_TYPES };

	if (!range_within(off, len, sizeof(space)))
		return -EINVAL;
	if (setup->steering)
		config.rss_max_indirection_table_length = STEERING_TABLE;
	memcpy(config.mac, setup->mac, sizeof(config.mac));
	memcpy(space, &config, sizeof(config));
	memcpy(dst, space + off, len);
	return 0;
}

/* What whoever sends, or receives, segmented frames must have negotiated: all of it. */
static const struct {
	uint8_t type;
	uint64_t send, receive;
} segments[] = {
	{ NET_GSO_TCPV4, BIT_ULL(VIRTIO_NET_F_HOST_TSO4), BIT_ULL(VIRTIO_NET_F_GUEST_TSO4) },
	{ NET_GSO_TCPV6, BIT_ULL(VIRTIO_NET_F_HOST_TSO6), BIT_ULL(VIRTIO_NET_F_GUEST_TSO6) },
	{ NET_GSO_TCPV4 | NET_GSO_ECN,
	  BIT_ULL(VIRTIO_NET_F_HOST_TSO4) | BIT_ULL(VIRTIO_NET_F_HOST_ECN),
	  BIT_ULL(VIRTIO_NET_F_GUEST_TSO4) | BIT_ULL(VIRTIO_NET_F_GUEST_ECN) },
	{ NET_GSO_TCPV6 | NET_GSO_ECN,
	  BIT_ULL(VIRTIO_NET_F_HOST_TSO6) | BIT_ULL(VIRTIO_NET_F_HOST_ECN),
	  BIT_ULL(VIRTIO_NET_F_GUEST_TSO6) | BIT_ULL(VIRTIO_NET_F_GUEST_ECN) },
	{ NET_GSO_UDP_L4, BIT_ULL(VIRTIO_NET_F_HOST_USO),
	  BIT_ULL(VIRTIO_NET_F_GUEST_USO4) | BIT_ULL(VIRTIO_NET_F_GUEST_USO6) },
};

static bool gso_permitted(uint8_t type, bool sending, uint64_t negotiated)
{
	for (size_t i = 0; i < ARRAY_SIZE(segments); i++)
		if (segments[i].type == type)
			return !((sending ? segments[i].send : segments[i].receive) & ~negotiated);
	return false;
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
	/* Segments without a size, or without a checksum to complete, cannot be made (5.1.6.2.1).
	 */
	if (!hdr->gso_size || !hdr->flags || !gso_permitted(hdr->gso_type, true, negotiated))
		return -EINVAL;
	return 0;
}

int net_hdr_deliver(struct net_hdr *hdr, uint64_t negotiated)
{
	hdr->flags &= NET_HDR_F_NEEDS_CSUM | NET_HDR_F_DATA_VALID;
	if (!(negotiated & BIT_ULL(VIRTIO_NET_F_GUEST_CSUM))) {
		if (hdr->flags & NET_HDR_F_NEEDS_CSUM)
			return -EINVAL;
		hdr->flags = 0;
	}
	if (hdr->gso_type == NET_GSO_NONE)
		return 0;
	return gso_permitted(hdr->gso_type, false, negotiated) ? 0 : -EINVAL;
}
