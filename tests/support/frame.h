/*
 * Ethernet frames for tests. A patterned frame of any length from 14 carries its number in its
 * source address and is a pure function of number and length, so that the receiver can rebuild and
 * compare it. A flow frame is real TCP or UDP over IPv4 or IPv6, with checksums full or partial.
 */
#ifndef AIRLOCK_TESTS_FRAME_H
#define AIRLOCK_TESTS_FRAME_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_MIN  14
#define FRAME_MAX  65550
#define FRAME_TYPE 0x88b5 /* IEEE 802: local experiments */

/* Writes the patterned frame `number` of `len` bytes. */
void frame_pattern(uint8_t *frame, size_t len, uint32_t number);
/* True when it is one of ours; *number is which. */
bool frame_number(const uint8_t *frame, size_t len, uint32_t *number);
/* True when every bit is as frame_pattern() makes it. */
bool frame_intact(const uint8_t *frame, size_t len, uint32_t number);

struct frame_flow {
	bool ipv6, udp;
	size_t payload;	   /* bytes after the TCP or UDP header */
	uint16_t gso_size; /* 0: one segment */
	bool ecn;	   /* TCP: CWR set, with GSO the ECN bit too */
	uint32_t number;
};

/*
 * Builds a frame with a partial checksum and the virtio-net header that says so. Returns its
 * length, at most FRAME_MAX.
 */
size_t frame_flow(uint8_t *frame, const struct frame_flow *flow, struct virtio_net_hdr *hdr);
/* True when the TCP or UDP checksum of a frame built so is complete and right. */
bool frame_checksummed(const uint8_t *frame, size_t len);
/* Completes the checksum that `hdr` leaves to the device, as the device's consumer must. */
void frame_checksum(uint8_t *frame, size_t len, const struct virtio_net_hdr *hdr);

#endif
