/*
 * Frames that tests send and recognise. Pure functions of their arguments, but for one table that
 * is filled on first use; runs in the test process, on one thread.
 */
#include "tests/support/frame.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>

/* Newer than the headers of Debian 12; virtio 1.3, 5.1.6. */
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#define SOURCE_TAG 0xa2 /* locally administered, ours */
#define NOISE_SPAN 251	/* a prime: shifts of the noise differ from frame to frame */

static uint8_t noise[FRAME_MAX + NOISE_SPAN];

static void noise_fill(void)
{
	uint32_t x = 0x2545f491;

	for (size_t i = 0; i < sizeof(noise); i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		noise[i] = (uint8_t)x | (i ? 0 : 1);
	}
}

static void ethernet(uint8_t *frame, uint32_t number, uint16_t type)
{
	const uint8_t destination[ETH_ALEN] = { SOURCE_TAG, 0, 0, 0, 0, 1 };
	uint8_t source[ETH_ALEN] = { SOURCE_TAG, 1 };
	uint32_t n = htonl(number);
	uint16_t t = htons(type);

	memcpy(source + 2, &n, sizeof(n));
	memcpy(frame, destination, ETH_ALEN);
	memcpy(frame + ETH_ALEN, source, ETH_ALEN);
	memcpy(frame + 2 * ETH_ALEN, &t, sizeof(t));
}

static const uint8_t *payload_of(uint32_t number)
{
	if (!noise[0])
		noise_fill();
	return noise + number % NOISE_SPAN;
}

void frame_pattern(uint8_t *frame, size_t len, uint32_t number)
{
	ethernet(frame, number, FRAME_TYPE);
	memcpy(frame + ETH_HLEN, payload_of(number), len - ETH_HLEN);
}

bool frame_number(const uint8_t *frame, size_t len, uint32_t *number)
{
	uint32_t n;

	if (len < ETH_HLEN || frame[ETH_ALEN] != SOURCE_TAG || frame[ETH_ALEN + 1] != 1)
		return false;
	memcpy(&n, frame + ETH_ALEN + 2, sizeof(n));
	*number = ntohl(n);
	return true;
}

bool frame_intact(const uint8_t *frame, size_t len, uint32_t number)
{
	uint8_t head[ETH_HLEN];

	ethernet(head, number, FRAME_TYPE);
	return len >= ETH_HLEN && memcmp(frame, head, ETH_HLEN) == 0 &&
	       memcmp(frame + ETH_HLEN, payload_of(number), len - ETH_HLEN) == 0;
}

static uint32_t sum_add(uint32_t sum, const void *bytes, size_t len)
{
	const uint8_t *b = bytes;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)(b[i] << 8 | b[i + 1]);
	if (len & 1)
		sum += (uint32_t)b[len - 1] << 8;
	return sum;
}

static uint16_t sum_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static uint32_t network_header(uint8_t *at, const struct frame_flow *flow, size_t l4_len)
{
	uint8_t protocol = flow->udp ? IPPROTO_UDP : IPPROTO_TCP;
	uint32_t sum = protocol + (uint32_t)l4_len;

	if (flow->ipv6) {
		struct ipv6hdr ip = { .version = 6,
				      .payload_len = htons((uint16_t)l4_len),
				      .nexthdr = protocol,
				      .hop_limit = 64 };

		inet_pton(AF_INET6, "fd00:a1::2", &ip.saddr);
		inet_pton(AF_INET6, "fd00:a1::1", &ip.daddr);
		memcpy(at, &ip, sizeof(ip));
		return sum_add(sum, &ip.saddr, 32);
	}
	struct iphdr ip = { .version = 4,
			    .ihl = 5,
			    .tot_len = htons((uint16_t)(sizeof(ip) + l4_len)),
			    .ttl = 64,
			    .protocol = protocol };

	inet_pton(AF_INET, "192.0.2.2", &ip.saddr);
	inet_pton(AF_INET, "192.0.2.1", &ip.daddr);
	ip.check = htons((uint16_t)~sum_fold(sum_add(0, &ip, sizeof(ip))));
	memcpy(at, &ip, sizeof(ip));
	return sum_add(sum, &ip.saddr, 8);
}

static void transport_header(uint8_t *at, const struct frame_flow *flow, size_t l4_len,
			     uint16_t pseudo)
{
	if (flow->udp) {
		struct udphdr udp = { .source = htons(4000),
				      .dest = htons(4001),
				      .len = htons((uint16_t)l4_len),
				      .check = htons(pseudo) };

		memcpy(at, &udp, sizeof(udp));
		return;
	}
	struct tcphdr tcp = { .source = htons(4000),
			      .dest = htons(4001),
			      .seq = htonl(flow->number),
			      .doff = sizeof(tcp) / 4,
			      .ack = 1,
			      .window = htons(1024),
			      .check = htons(pseudo) };

	tcp.res2 = flow->ecn ? 2 : 0; /* CWR */
	memcpy(at, &tcp, sizeof(tcp));
}

static uint8_t gso_type(const struct frame_flow *flow)
{
	if (!flow->gso_size)
		return VIRTIO_NET_HDR_GSO_NONE;
	if (flow->udp)
		return VIRTIO_NET_HDR_GSO_UDP_L4;
	return (uint8_t)((flow->ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4) |
			 (flow->ecn ? VIRTIO_NET_HDR_GSO_ECN : 0));
}

size_t frame_flow(uint8_t *frame, const struct frame_flow *flow, struct virtio_net_hdr *hdr)
{
	size_t l3 = flow->ipv6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	size_t l4 = flow->udp ? sizeof(struct udphdr) : sizeof(struct tcphdr);
	size_t headers = ETH_HLEN + l3 + l4;
	uint32_t pseudo;

	ethernet(frame, flow->number, flow->ipv6 ? ETH_P_IPV6 : ETH_P_IP);
	pseudo = network_header(frame + ETH_HLEN, flow, l4 + flow->payload);
	transport_header(frame + ETH_HLEN + l3, flow, l4 + flow->payload, sum_fold(pseudo));
	memcpy(frame + headers, payload_of(flow->number), flow->payload);
	*hdr = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = gso_type(flow),
		.hdr_len = flow->gso_size ? (uint16_t)headers : 0,
		.gso_size = flow->gso_size,
		.csum_start = (uint16_t)(ETH_HLEN + l3),
		.csum_offset = flow->udp ? 6 : 16,
	};
	return headers + flow->payload;
}

bool frame_checksummed(const uint8_t *frame, size_t len)
{
	uint16_t type = (uint16_t)(frame[12] << 8 | frame[13]);
	size_t addresses = ETH_HLEN + (type == ETH_P_IPV6 ? 8 : 12);
	size_t l4 = ETH_HLEN + (type == ETH_P_IPV6 ? 40 : 20);
	uint8_t protocol = frame[ETH_HLEN + (type == ETH_P_IPV6 ? 6 : 9)];
	uint32_t sum;

	if (len < l4)
		return false;
	sum = sum_add(protocol + (uint32_t)(len - l4), frame + addresses, l4 - addresses);
	return sum_fold(sum_add(sum, frame + l4, len - l4)) == 0xffff;
}

void frame_checksum(uint8_t *frame, size_t len, const struct virtio_net_hdr *hdr)
{
	size_t start = hdr->csum_start;
	uint16_t check;

	if (!(hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || start > len)
		return;
	check = htons((uint16_t)~sum_fold(sum_add(0, frame + start, len - start)));
	memcpy(frame + start + hdr->csum_offset, &check, sizeof(check));
}
