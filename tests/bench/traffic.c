/*
 * The frames of the measurements. Runs in the benchmark; trusts nobody with anything. Addresses are
 * of the test networks (RFC 5737) and the Ethernet destination is nobody's, so that the host's
 * stack drops each frame at its door, at the same price for everyone.
 */
#include "tests/bench/traffic.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <linux/virtio_net.h>
#include <stddef.h>
#include <string.h>

#define AT_IP	(TRAFFIC_HEADER + ETH_HLEN)
#define AT_L4	(AT_IP + sizeof(struct iphdr))
#define HEADERS ((uint16_t)(AT_L4 - TRAFFIC_HEADER + sizeof(struct tcphdr)))
#define SEGMENT 1448

static const uint8_t ethernet[ETH_HLEN] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0 };

static uint32_t sum(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t s = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		s += (uint32_t)p[i] << 8 | p[i + 1];
	return s;
}

static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)s;
}

/* The IPv4 header; returns the folded sum of the pseudo header, where a partial checksum starts. */
static uint16_t network(uint8_t *at, uint8_t protocol, uint32_t len)
{
	struct iphdr ip = { .version = 4,
			    .ihl = 5,
			    .tot_len = htons((uint16_t)len),
			    .frag_off = htons(0x4000), /* do not fragment */
			    .ttl = 64,
			    .protocol = protocol,
			    .saddr = htonl(0xc0000201),
			    .daddr = htonl(0xc6336401) };

	ip.check = htons((uint16_t)~fold(sum(&ip, sizeof(ip))));
	memcpy(at, &ip, sizeof(ip));
	return fold(sum(&ip.saddr, 8) + protocol + len - (uint32_t)sizeof(ip));
}

static void datagram(enum traffic kind, uint32_t len, uint32_t number, uint8_t *buffer)
{
	uint16_t partial = network(buffer + AT_IP, IPPROTO_UDP, len - ETH_HLEN);
	struct udphdr udp = { .source = htons((uint16_t)(1024 + (kind ? 0 : number % 64))),
			      .dest = htons(9),
			      .len = htons((uint16_t)(len - ETH_HLEN - sizeof(struct iphdr))) };

	if (kind == TRAFFIC_UDP)
		udp.check = htons(partial);
	memcpy(buffer + AT_L4, &udp, sizeof(udp));
}

static void segment(uint32_t len, uint32_t flow, uint8_t *buffer)
{
	uint16_t partial = network(buffer + AT_IP, IPPROTO_TCP, len - ETH_HLEN);
	struct tcphdr tcp = { .source = htons((uint16_t)(1024 + flow)),
			      .dest = htons(9),
			      .doff = 5,
			      .ack = 1,
			      .window = htons(512),
			      .check = htons(partial) };

	memcpy(buffer + AT_L4, &tcp, sizeof(tcp));
}

static void leave_open(struct virtio_net_hdr_v1 *hdr, size_t check)
{
	hdr->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	hdr->csum_start = (uint16_t)(AT_L4 - TRAFFIC_HEADER);
	hdr->csum_offset = (uint16_t)check;
}

static void cut(struct virtio_net_hdr_v1 *hdr, uint32_t payload)
{
	leave_open(hdr, offsetof(struct tcphdr, check));
	hdr->gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	hdr->gso_size = (uint16_t)payload;
	hdr->hdr_len = HEADERS;
}

uint32_t traffic_fill(enum traffic kind, uint32_t len, uint32_t number, uint8_t *buffer)
{
	struct virtio_net_hdr_v1 hdr = { .num_buffers = 0 };

	len = kind == TRAFFIC_LARGE ? TRAFFIC_GSO : len;
	memset(buffer, 0, TRAFFIC_HEADER + len);
	memcpy(buffer + TRAFFIC_HEADER, ethernet, sizeof(ethernet));
	if (kind == TRAFFIC_MIXED || kind == TRAFFIC_UDP)
		datagram(kind, len, number, buffer);
	else
		segment(len, 0, buffer);
	if (kind == TRAFFIC_UDP)
		leave_open(&hdr, offsetof(struct udphdr, check));
	else if (kind == TRAFFIC_TCP)
		leave_open(&hdr, offsetof(struct tcphdr, check));
	else if (kind == TRAFFIC_LARGE)
		cut(&hdr, SEGMENT);
	memcpy(buffer, &hdr, TRAFFIC_HEADER);
	traffic_next(kind, number, len, buffer);
	return TRAFFIC_HEADER + len;
}

uint32_t traffic_train(uint32_t len, uint32_t count, uint32_t flow, uint8_t *buffer)
{
	struct virtio_net_hdr_v1 hdr = { .num_buffers = 0 };
	uint32_t bytes = HEADERS + count * (len - HEADERS);

	memset(buffer, 0, TRAFFIC_HEADER + bytes);
	memcpy(buffer + TRAFFIC_HEADER, ethernet, sizeof(ethernet));
	segment(bytes, flow, buffer);
	cut(&hdr, len - HEADERS);
	memcpy(buffer, &hdr, TRAFFIC_HEADER);
	return TRAFFIC_HEADER + bytes;
}

/* Over a payload of zeros. */
static void sum_complete(uint8_t *buffer, uint32_t l4_len)
{
	uint8_t *check = buffer + AT_L4 + offsetof(struct tcphdr, check);
	uint16_t whole;

	memset(check, 0, sizeof(whole));
	whole = htons((uint16_t)~fold(sum(buffer + AT_IP + offsetof(struct iphdr, saddr), 8) +
				      IPPROTO_TCP + l4_len +
				      sum(buffer + AT_L4, sizeof(struct tcphdr))));
	memcpy(check, &whole, sizeof(whole));
}

void traffic_next(enum traffic kind, uint32_t number, uint32_t len, uint8_t *buffer)
{
	uint32_t payload = len - HEADERS;
	uint32_t seq = htonl(number * payload);
	struct iphdr ip;

	if (kind != TRAFFIC_UDP && kind != TRAFFIC_TCP && kind != TRAFFIC_SUMMED)
		return;
	memcpy(&ip, buffer + AT_IP, sizeof(ip));
	ip.id = htons((uint16_t)number);
	ip.check = 0;
	ip.check = htons((uint16_t)~fold(sum(&ip, sizeof(ip))));
	memcpy(buffer + AT_IP, &ip, sizeof(ip));
	if (kind != TRAFFIC_UDP)
		memcpy(buffer + AT_L4 + offsetof(struct tcphdr, seq), &seq, sizeof(seq));
	if (kind == TRAFFIC_SUMMED)
		sum_complete(buffer, len - (uint32_t)(AT_L4 - TRAFFIC_HEADER));
}
