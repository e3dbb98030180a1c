/*
 * A guest's control queue, beside the rings of guest.h: set up at the index that the negotiated
 * features give it, one command at a time. Functions return 0 or what peer or ring returned. Owned
 * by one thread.
 */
#ifndef AIRLOCK_TESTS_CONTROL_H
#define AIRLOCK_TESTS_CONTROL_H

#include "tests/support/guest.h"

#define CONTROL_BITS                                                                               \
	(BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_CTRL_RX) | BIT(VIRTIO_NET_F_CTRL_RX_EXTRA) | \
	 BIT(VIRTIO_NET_F_CTRL_VLAN) | BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) |                           \
	 BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS))

struct control {
	struct guest *guest;
	struct guest_ring ring;
	unsigned index;
	uint64_t buffer; /* guest address: command, and its answer behind it */
	uint32_t base;	 /* of an empty ring */
};

/* After guest_open(). pairs: of the device, which need not be the guest's. */
int control_open(struct control *control, struct guest *guest, unsigned pairs);
/* Tells the back-end of the ring (again), which goes on at `base`. */
int control_configure(struct control *control, uint32_t base);
void control_close(struct control *control);
/* The device's answer, VIRTIO_NET_OK or VIRTIO_NET_ERR; -errno. */
int control_say(struct control *control, uint8_t class, uint8_t command, const void *data,
		size_t len);
int control_say16(struct control *control, uint8_t class, uint8_t command, uint16_t value);
int control_say8(struct control *control, uint8_t class, uint8_t command, uint8_t value);

#endif
