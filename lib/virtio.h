/*
 * Layouts and feature bits of virtio 1.3 that the device and the drivers of the tests share: the
 * split ring (2.7), the network device (5.1). The kernel's headers where they have them; what
 * Debian 12's lack is added. Little endian.
 */
#ifndef AIRLOCK_LIB_VIRTIO_H
#define AIRLOCK_LIB_VIRTIO_H

#include <assert.h>
#include <stdint.h>

#define VIRTIO_F_NOTIFY_ON_EMPTY   24
#define VIRTIO_F_ANY_LAYOUT	   27
#define VIRTIO_F_INDIRECT_DESC	   28
#define VIRTIO_F_EVENT_IDX	   29
#define VIRTIO_F_VERSION_1	   32
#define VIRTIO_F_ACCESS_PLATFORM   33
#define VIRTIO_F_RING_PACKED	   34
#define VIRTIO_F_IN_ORDER	   35
#define VIRTIO_F_NOTIFICATION_DATA 38
#define VIRTIO_F_RING_RESET	   40

#define VIRTIO_NET_F_CSUM		 0
#define VIRTIO_NET_F_GUEST_CSUM		 1
#define VIRTIO_NET_F_CTRL_GUEST_OFFLOADS 2
#define VIRTIO_NET_F_MTU		 3
#define VIRTIO_NET_F_MAC		 5
#define VIRTIO_NET_F_GUEST_TSO4		 7
#define VIRTIO_NET_F_GUEST_TSO6		 8
#define VIRTIO_NET_F_GUEST_ECN		 9
#define VIRTIO_NET_F_HOST_TSO4		 11
#define VIRTIO_NET_F_HOST_TSO6		 12
#define VIRTIO_NET_F_HOST_ECN		 13
#define VIRTIO_NET_F_MRG_RXBUF		 15
#define VIRTIO_NET_F_STATUS		 16
#define VIRTIO_NET_F_CTRL_VQ		 17
#define VIRTIO_NET_F_CTRL_RX		 18
#define VIRTIO_NET_F_CTRL_VLAN		 19
#define VIRTIO_NET_F_CTRL_RX_EXTRA	 20
#define VIRTIO_NET_F_GUEST_ANNOUNCE	 21
#define VIRTIO_NET_F_MQ			 22
#define VIRTIO_NET_F_CTRL_MAC_ADDR	 23
#define VIRTIO_NET_F_HASH_REPORT	 57
#define VIRTIO_NET_F_RSS		 60
#define VIRTIO_NET_F_GUEST_USO4		 54
#define VIRTIO_NET_F_GUEST_USO6		 55
#define VIRTIO_NET_F_HOST_USO		 56

#define BIT_ULL(n) (1ULL << (n))

#define RING_SIZE_MAX 32768

#define DESC_F_NEXT	1
#define DESC_F_WRITE	2
#define DESC_F_INDIRECT 4
#define DESC_F_AVAIL	(1 << 7)  /* packed ring only (2.8.1) */
#define DESC_F_USED	(1 << 15) /* packed ring only */

#define AVAIL_F_NO_INTERRUPT 1
#define USED_F_NO_NOTIFY     1

struct virtq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};
struct virtq_avail {
	uint16_t flags;
	uint16_t idx;
	uint16_t ring[]; /* size entries, then used_event */
};
struct virtq_used_elem {
	uint32_t id;
	uint32_t len;
};
struct virtq_used {
	uint16_t flags;
	uint16_t idx;
	struct virtq_used_elem ring[]; /* size entries, then avail_event */
};

struct virtq_packed_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t id;
	uint16_t flags;
};
/* Event suppression of either side of a packed ring (2.8.14). */
struct virtq_packed_event {
	uint16_t off_wrap; /* 15 bits of slot, then the wrap counter */
	uint16_t flags;
};
#define PACKED_EVENT_ENABLE  0
#define PACKED_EVENT_DISABLE 1
#define PACKED_EVENT_DESC    2
#define PACKED_WRAP	     0x8000u /* in an index with its wrap counter */

/* Bytes of each area of a split ring, the event index word included (2.7). */
static inline uint64_t virtq_desc_bytes(uint32_t size)
{
	return (uint64_t)size * sizeof(struct virtq_desc);
}
static inline uint64_t virtq_avail_bytes(uint32_t size)
{
	return sizeof(struct virtq_avail) + ((uint64_t)size + 1) * sizeof(uint16_t);
}
static inline uint64_t virtq_used_bytes(uint32_t size)
{
	return sizeof(struct virtq_used) + (uint64_t)size * sizeof(struct virtq_used_elem) +
	       sizeof(uint16_t);
}

#define NET_HDR_F_NEEDS_CSUM 1
#define NET_HDR_F_DATA_VALID 2

#define NET_GSO_NONE   0
#define NET_GSO_TCPV4  1
#define NET_GSO_TCPV6  4
#define NET_GSO_UDP_L4 5
#define NET_GSO_ECN    0x80

struct net_hdr {
	uint8_t flags;
	uint8_t gso_type;
	uint16_t hdr_len;
	uint16_t gso_size;
	uint16_t csum_start;
	uint16_t csum_offset;
	uint16_t num_buffers; /* absent (10 bytes) without VERSION_1 and MRG_RXBUF */
};
#define NET_HDR_LEN	   sizeof(struct net_hdr)
#define NET_HDR_LEN_LEGACY 10

/* With HASH_REPORT, in both directions. */
struct net_hdr_hash {
	struct net_hdr plain;
	uint32_t hash_value;
	uint16_t hash_report;
	uint16_t padding;
};
#define NET_HDR_LEN_MAX sizeof(struct net_hdr_hash)

#define NET_STATUS_LINK_UP  1
#define NET_STATUS_ANNOUNCE 2
struct net_config {
	uint8_t mac[6];
	uint16_t status;
	uint16_t max_virtqueue_pairs;
	uint16_t mtu;
	uint32_t speed; /* this and the next only with SPEED_DUPLEX */
	uint8_t duplex;
	uint8_t rss_max_key_size; /* this and the next two only with RSS or HASH_REPORT */
	uint16_t rss_max_indirection_table_length;
	uint32_t supported_hash_types;
};

static_assert(sizeof(struct virtq_desc) == 16 && sizeof(struct virtq_packed_desc) == 16 &&
		      sizeof(struct net_hdr) == 12 && sizeof(struct net_hdr_hash) == 20 &&
		      sizeof(struct net_config) == 24,
	      "layouts of the specification");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "fields are used as they lie in memory");

#endif
