/*
 * The host's side of a TAP, for tests: a network namespace of the test's own, a packet socket on
 * the interface that injects what the guest shall receive and captures what it sent, and the
 * interface's counters. Owned by one thread; needs root.
 */
#ifndef AIRLOCK_TESTS_HOST_H
#define AIRLOCK_TESTS_HOST_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Moves the process into a new network namespace with loopback up. 0 or -errno. */
int host_enter(void);

struct host_counters {
	uint64_t rx_bytes, rx_frames, rx_dropped; /* from the guest; a joined frame is one */
	uint64_t tx_frames, tx_dropped;		  /* to the guest */
};
/* -ENODEV: no such interface. */
int host_counters(const char *interface, struct host_counters *counters);
bool host_has(const char *interface);
/* ioctl figures: MTU, flags (IFF_UP ...); -errno. */
int host_mtu(const char *interface);
int host_flags(const char *interface);
/* Creates a TAP queue as an administrator would (IFF_TAP | IFF_VNET_HDR | IFF_NO_PI | flags). The
 * descriptor or -errno; `name` takes the kernel's choice when it holds a pattern. */
int host_tap(char name[16], short flags);
int host_set_up(const char *interface, int mtu);

/* For a frame that must come, unless the test says less. */
#define WIRE_WAIT_MS 20000

struct wire {
	int sock;
	int timeout_ms;
};

/* Frames of other ethertypes than `type` are not captured; ETH_P_ALL: all are. */
int wire_open(struct wire *wire, const char *interface, uint16_t type);
void wire_close(struct wire *wire);
/* hdr NULL: a frame complete in itself. -EAGAIN: the queue to the guest is full. */
int wire_send(struct wire *wire, const struct virtio_net_hdr *hdr, const void *frame, size_t len);
/* Length of the next captured frame, or -ETIMEDOUT. hdr may be NULL. */
int wire_recv(struct wire *wire, struct virtio_net_hdr *hdr, void *frame, size_t room);
/* Throws away what was captured so far. */
void wire_drain(struct wire *wire);

#endif
