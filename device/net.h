/*
 * The network device as virtio 1.3, 5.1 describes it: which features are offered over which TAP,
 * the configuration space, and the rules for the header that stands before every frame. Pure
 * functions of private data; any thread.
 */
#ifndef AIRLOCK_DEVICE_NET_H
#define AIRLOCK_DEVICE_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/virtio.h"

/* Changes of a TAP's offloads that one side may ask for: each takes the host's network lock. */
#define NET_OFFLOADS_A_SECOND 50

#define NET_MTU_MIN	 68		  /* of virtio 1.3, 5.1.4.1 */
#define NET_FRAME_MIN	 14		  /* an Ethernet header */
#define NET_FRAME_MAX	 (65535 + 14 + 4) /* the longest GSO frame with a VLAN tag */
#define NET_CONFIG_SPACE 256 /* bytes that GET_CONFIG may reach; zero behind struct net_config */

struct net_setup {
	uint32_t pairs;
	uint32_t queue_size;
	uint32_t tap_offloads; /* TUN_F_* the TAP takes */
	uint16_t mtu;
	uint8_t mac[6];
	bool link_down;
	bool announce; /* the guest is asked to say where it is now (5.1.6.5.4) */
	bool steering; /* receive rings can be chosen by hash */
	bool iotlb;    /* the front-end can be asked for translations of I/O addresses */
};

/* Rings of the device: two a pair, then the control queue. */
static inline uint32_t net_rings(const struct net_setup *setup)
{
	return 2 * setup->pairs + 1;
}

/* Frames up to this size go through private memory: one read() or write() of a piece costs a tenth
 * less than a readv() or writev() of several, and copying them a fiftieth. */
#define NET_COPY 2048

/* A frame on its way to the TAP, in private memory: as much of it as was copied, behind its checked
 * header as the TAP takes them. */
struct net_frame {
	struct net_hdr hdr;
	uint8_t bytes[NET_COPY];
	uint32_t len, copied; /* of the frame; of it in bytes */
};

/* Every virtio feature the device can serve with this set-up. */
uint64_t net_features(const struct net_setup *setup);
/* TUN_F_* that deliver to the guest exactly what it negotiated. */
uint32_t net_tap_offloads(uint64_t negotiated);
/* Bytes of the header between guest and device. */
unsigned int net_hdr_len(uint64_t negotiated);
/* Fills `len` bytes of the configuration space from `off`; -EINVAL past its end. */
int net_config_read(const struct net_setup *setup, uint32_t off, void *dst, uint32_t len);

/*
 * Checks the private copy of a header that a guest put before a frame of `frame_len` bytes, against
 * what it negotiated, and makes of it the one handed to the TAP: only known fields pass. 0, or
 * -EINVAL: drop the frame.
 */
int net_hdr_check(struct net_hdr *hdr, uint32_t frame_len, uint64_t negotiated);
/*
 * Checks the TAP's header of a frame for a guest: frames that were queued before it negotiated may
 * need what it does not have (5.1.6.4.1). 0, or -EINVAL: drop the frame.
 */
int net_hdr_deliver(struct net_hdr *hdr, uint64_t negotiated);

#endif
