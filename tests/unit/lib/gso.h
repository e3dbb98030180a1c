/*
 * What becomes of a frame on its way from a TAP to a card without offloads: segments cut, checksums
 * completed. Written from the RFCs and virtio 1.3, 5.1.6.2, sharing nothing with the device: what
 * it makes of joined frames must be the frames that were joined. And the frames of flows to try it
 * on.
 */
#ifndef AIRLOCK_TESTS_GSO_H
#define AIRLOCK_TESTS_GSO_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/virtio.h"

#define GSO_FRAME_MAX 65600

static inline uint32_t gso_be(const uint8_t *at, int bytes)
{
	uint32_t v = 0;

	while (bytes--)
		v = v << 8 | *at++;
	return v;
}

static inline void gso_set(uint8_t *at, int bytes, uint32_t v)
{
	while (bytes--) {
		at[bytes] = (uint8_t)v;
		v >>= 8;
	}
}

/* Ones' complement, big endian words, not complemented. */
static inline uint16_t gso_sum(uint64_t sum, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static inline uint16_t gso_pseudo(const uint8_t *frame, size_t l4_len)
{
	bool v6 = gso_be(frame + 12, 2) == 0x86dd;
	uint8_t protocol = frame[v6 ? 20 : 23];

	return gso_sum((uint64_t)protocol + l4_len, frame + (v6 ? 22 : 26), v6 ? 32 : 8);
}

/* The checksum that the header leaves open: over whatever lies behind its start. */
static inline void gso_complete(const struct net_hdr *hdr, uint8_t *frame, size_t len)
{
	uint16_t sum;

	if (!(hdr->flags & NET_HDR_F_NEEDS_CSUM))
		return;
	sum = (uint16_t)~gso_sum(0, frame + hdr->csum_start, len - hdr->csum_start);
	gso_set(frame + hdr->csum_start + hdr->csum_offset, 2, sum);
}

static inline void gso_require(bool condition)
{
	if (!condition)
		abort();
}

/* One segment's headers; `part` bytes of payload follow them, `off` of the whole came before. */
static inline void gso_headers(uint8_t *seg, size_t l4, size_t head, size_t part, size_t off,
			       size_t whole, unsigned int n, bool last)
{
	bool v6 = gso_be(seg + 12, 2) == 0x86dd, tcp = seg[v6 ? 20 : 23] == 6;
	uint32_t at = (uint32_t)l4 + (tcp ? 16 : 6), check = gso_be(seg + at, 2);
	uint8_t lengths[4];

	if (v6) {
		gso_set(seg + 18, 2, (uint32_t)(head - 54 + part));
	} else {
		gso_set(seg + 16, 2, (uint32_t)(head - 14 + part));
		gso_set(seg + 18, 2, gso_be(seg + 18, 2) + n);
		gso_set(seg + 24, 2, 0);
		gso_set(seg + 24, 2, (uint16_t)~gso_sum(0, seg + 14, 20));
	}
	if (tcp) {
		gso_set(seg + l4 + 4, 4, gso_be(seg + l4 + 4, 4) + (uint32_t)off);
		if (!last)
			seg[l4 + 13] &= (uint8_t)~9u; /* FIN, PSH */
	} else {
		gso_set(seg + l4 + 4, 2, (uint32_t)(8 + part));
	}
	/* The sum that was given counts the whole length: out with it, in with the part's. */
	gso_set(lengths, 2, 0xffff ^ (uint32_t)(head - l4 + whole));
	gso_set(lengths + 2, 2, (uint32_t)(head - l4 + part));
	gso_set(seg + at, 2, gso_sum(check, lengths, 4));
}

/* Cuts up (or completes) a frame as the TAP got it; calls emit() for each that comes out. */
static inline void gso_cut(const struct net_hdr *hdr, uint8_t *frame, size_t len,
			   void (*emit)(const uint8_t *frame, size_t len))
{
	static uint8_t seg[GSO_FRAME_MAX];
	bool v6 = gso_be(frame + 12, 2) == 0x86dd, tcp = frame[v6 ? 20 : 23] == 6;
	size_t l4 = v6 ? 54 : 34, head = l4 + (tcp ? (size_t)(frame[l4 + 12] >> 4) * 4 : 8);
	unsigned int n = 0;

	if (!hdr->gso_type) {
		gso_complete(hdr, frame, len);
		emit(frame, len);
		return;
	}
	gso_require(hdr->flags == NET_HDR_F_NEEDS_CSUM && hdr->csum_start == l4 &&
		    hdr->csum_offset == (tcp ? 16 : 6) && hdr->hdr_len == head && hdr->gso_size);
	gso_require(hdr->gso_type == (!tcp ? NET_GSO_UDP_L4 : v6 ? NET_GSO_TCPV6 : NET_GSO_TCPV4));
	gso_require(len > head + hdr->gso_size && len <= 65535);
	gso_require(gso_be(frame + (v6 ? 18 : 16), 2) == len - (v6 ? 54 : 14));
	gso_require(v6 || gso_sum(0, frame + 14, 20) == 0xffff);
	gso_require(tcp || gso_be(frame + l4 + 4, 2) == len - l4);
	for (size_t off = 0; off < len - head; off += hdr->gso_size, n++) {
		bool last = len - head - off <= hdr->gso_size;
		size_t part = last ? len - head - off : hdr->gso_size;

		memcpy(seg, frame, head);
		memcpy(seg + head, frame + head + off, part);
		gso_headers(seg, l4, head, part, off, len - head, n, last);
		gso_complete(hdr, seg, head + part);
		emit(seg, head + part);
	}
}

/* ---- frames of a flow ---- */

enum gso_checksum {
	GSO_COMPLETE,
	GSO_PARTIAL, /* left to the device */
	GSO_WRONG,
	GSO_PARTIAL_WRONG,
	GSO_ZERO,
	GSO_ONES /* right, and the other form of zero; takes two bytes of payload */
};

/* All of one type, so that a table can name any of them. */
struct gso_flow {
	unsigned int v6, udp, payload, seed;
	unsigned int mac, source, tos, ttl, id, df, fragment, ihl, ip_wrong, label;
	unsigned int port, seq, ack, flags, reserved, window, urgent, options, timestamp;
	unsigned int checksum, trailer, short_by, start; /* added to csum_start */
};

static inline struct gso_flow gso_flow(bool v6, bool udp, unsigned int payload)
{
	return (struct gso_flow){ .v6 = v6,
				  .udp = udp,
				  .payload = payload,
				  .ttl = 64,
				  .id = 0xfffe,
				  .df = 1,
				  .port = 4000,
				  .seq = 0xfffffff0,
				  .flags = 0x10,
				  .window = 512 };
}

/* What a sender sends next. */
static inline void gso_advance(struct gso_flow *f)
{
	f->id = (f->id + 1) & 0xffff;
	f->seq += f->payload;
	f->seed++;
}

static inline void gso_network(uint8_t *frame, const struct gso_flow *f, size_t l4_len)
{
	uint8_t *ip = frame + 14;

	gso_set(frame + 12, 2, f->v6 ? 0x86dd : 0x0800);
	if (f->v6) {
		gso_set(ip, 4, 0x60000000 | f->tos << 20 | f->label);
		gso_set(ip + 4, 2, (uint32_t)l4_len - f->short_by);
		ip[6] = f->udp ? 17 : 6;
		ip[7] = (uint8_t)f->ttl;
		memset(ip + 8, 0xfd, 32);
		ip[23] = (uint8_t)f->source;
		return;
	}
	ip[0] = 0x45;
	ip[1] = (uint8_t)f->tos;
	gso_set(ip + 2, 2, (uint32_t)(20 + l4_len) - f->short_by);
	gso_set(ip + 4, 2, f->id);
	gso_set(ip + 6, 2, f->fragment | (f->df ? 0x4000 : 0));
	ip[8] = (uint8_t)f->ttl;
	ip[9] = f->udp ? 17 : 6;
	gso_set(ip + 12, 4, 0xc0000202 + f->source);
	gso_set(ip + 16, 4, 0xc0000201);
	gso_set(ip + 10, 2, (uint16_t)~gso_sum(0, ip, 20));
	ip[0] = (uint8_t)(ip[0] + f->ihl);
	ip[10] ^= (uint8_t)f->ip_wrong;
}

static inline void gso_transport(uint8_t *l4, const struct gso_flow *f, size_t l4_len)
{
	gso_set(l4, 2, f->port);
	gso_set(l4 + 2, 2, 4001);
	if (f->udp) {
		gso_set(l4 + 4, 2, (uint32_t)l4_len - f->short_by);
		return;
	}
	gso_set(l4 + 4, 4, f->seq);
	gso_set(l4 + 8, 4, f->ack);
	l4[12] = (uint8_t)((5 + f->options / 4) << 4 | f->reserved);
	l4[13] = (uint8_t)f->flags;
	gso_set(l4 + 14, 2, f->window);
	gso_set(l4 + 18, 2, f->urgent);
	memset(l4 + 20, 1, f->options);
	if (f->options >= 12)
		gso_set(l4 + 24, 4, f->timestamp);
}

/* Writes a frame and the header before it; returns the frame's length. */
static inline size_t gso_build(const struct gso_flow *f, struct net_hdr *hdr, uint8_t *frame)
{
	size_t l4 = f->v6 ? 54 : 34, head = l4 + (f->udp ? 8 : 20 + f->options);
	size_t len = head + f->payload, at = l4 + (f->udp ? 6 : 16);
	bool partial = f->checksum == GSO_PARTIAL || f->checksum == GSO_PARTIAL_WRONG;
	uint16_t sum;

	memset(frame, 0, head);
	memset(frame, 0xa2, 12);
	frame[11] = (uint8_t)f->mac;
	gso_network(frame, f, len - l4);
	gso_transport(frame + l4, f, len - l4);
	for (size_t i = 0; i < f->payload + f->trailer; i++)
		frame[head + i] = (uint8_t)(f->seed * 13 + i * 7 + (i >> 8));
	sum = gso_pseudo(frame, len - l4);
	gso_set(frame + at, 2, sum);
	if (f->checksum == GSO_ONES && f->payload > 1) {
		gso_set(frame + head, 2, 0);
		gso_set(frame + head, 2, (uint16_t)~gso_sum(0, frame + l4, len - l4));
	}
	if (!partial)
		gso_set(frame + at, 2, (uint16_t)~gso_sum(0, frame + l4, len - l4));
	if (f->checksum == GSO_WRONG || f->checksum == GSO_PARTIAL_WRONG)
		frame[at] ^= 0x55;
	if (f->checksum == GSO_ZERO)
		gso_set(frame + at, 2, 0);
	if (f->checksum == GSO_ONES)
		gso_set(frame + at, 2, 0xffff);
	*hdr = (struct net_hdr){ .flags = partial ? NET_HDR_F_NEEDS_CSUM : 0 };
	if (partial) {
		hdr->csum_start = (uint16_t)(l4 + f->start);
		hdr->csum_offset = f->udp ? 6 : 16;
	}
	return len + f->trailer;
}

#endif
