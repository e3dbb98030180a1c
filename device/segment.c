/*
 * Reads the headers of frames that a guest sends, and joins them. Runs in the pair's worker; trusts
 * nothing in them: it looks at private copies, and every length in them must agree with the
 * frame's.
 */
#include "device/segment.h"

#include <string.h>

#include "device/checksum.h"
#include "device/guest.h"
#include "lib/tun.h"
#include "lib/util.h"

#define ETH	  14
#define IPV4	  20
#define IPV6	  40
#define TCP	  20
#define UDP	  8
#define TCP_FIN	  0x01
#define TCP_PSH	  0x08
#define TCP_ACK	  0x10
#define TCP_ECE	  0x40
#define PROTO_TCP 6
#define PROTO_UDP 17

/* Offsets within their headers. */
enum {
	IPV4_LEN = 2,
	IPV4_ID = 4,
	IPV4_FRAGMENT = 6,
	IPV4_PROTO = 9,
	IPV4_CHECK = 10,
	IPV4_ADDRESSES = 12,
	IPV6_LEN = 4,
	IPV6_PROTO = 6,
	IPV6_ADDRESSES = 8,
	TCP_SEQ = 4,
	TCP_OFFSET = 12,
	TCP_FLAGS = 13,
	TCP_CHECK = 16,
	UDP_LEN = 4,
	UDP_CHECK = 6
};

/* What all frames of a flow have in common, from the first byte to the end of the headers without
 * options: all but lengths, identification, checksums, sequence number, FIN and PSH. */
#define SAME_ETH [0 ... ETH - 1] = 0xff
#define SAME_IPV4 \
	[ETH... ETH + 1] = 0xff, [ETH + 6 ... ETH + 9] = 0xff, [ETH + 12 ... ETH + 19] = 0xff
#define SAME_IPV6 [ETH... ETH + 3] = 0xff, [ETH + 6 ... ETH + 39] = 0xff
#define SAME_TCP(at)                                                     \
	[(at)...(at) + 3] = 0xff, [(at) + 8 ...(at) + 12] = 0xff,        \
		       [(at) + TCP_FLAGS] = 0xff & ~(TCP_FIN | TCP_PSH), \
		       [(at) + 14 ...(at) + 15] = 0xff, [(at) + 18 ...(at) + 19] = 0xff
#define SAME_UDP(at) [(at)...(at) + 3] = 0xff
#define SAME_MAX     80

static const struct kind {
	uint32_t tap;
	uint8_t gso, l4, l4_len, check; /* check: in the transport header */
	uint8_t same[SAME_MAX];
} kinds[] = {
	[SEGMENT_TCP4] = { TUN_F_TSO4,
			   NET_GSO_TCPV4,
			   ETH + IPV4,
			   TCP,
			   TCP_CHECK,
			   { SAME_ETH, SAME_IPV4, SAME_TCP(ETH + IPV4) } },
	[SEGMENT_TCP6] = { TUN_F_TSO6,
			   NET_GSO_TCPV6,
			   ETH + IPV6,
			   TCP,
			   TCP_CHECK,
			   { SAME_ETH, SAME_IPV6, SAME_TCP(ETH + IPV6) } },
	[SEGMENT_UDP4] = { TUN_F_USO4,
			   NET_GSO_UDP_L4,
			   ETH + IPV4,
			   UDP,
			   UDP_CHECK,
			   { SAME_ETH, SAME_IPV4, SAME_UDP(ETH + IPV4) } },
	[SEGMENT_UDP6] = { TUN_F_USO6,
			   NET_GSO_UDP_L4,
			   ETH + IPV6,
			   UDP,
			   UDP_CHECK,
			   { SAME_ETH, SAME_IPV6, SAME_UDP(ETH + IPV6) } },
};

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static void put16(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

/* A word as it lies in memory: see checksum.h. */
static uint16_t raw16(const uint8_t *at)
{
	uint16_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

static bool is_ipv4(enum segment_kind kind)
{
	return kind == SEGMENT_TCP4 || kind == SEGMENT_UDP4;
}

static bool is_tcp(enum segment_kind kind)
{
	return kind == SEGMENT_TCP4 || kind == SEGMENT_TCP6;
}

unsigned int segment_kinds(uint32_t tap_offloads)
{
	unsigned int set = 0;

	for (unsigned int i = 0; i < SEGMENT_KINDS; i++)
		if ((tap_offloads & TUN_F_CSUM) && (tap_offloads & kinds[i].tap))
			set |= 1u << i;
	return set;
}

/* IPv4 without options and whole, or IPv6 without extension headers; to the end of the frame. The
 * kind, or SEGMENT_KINDS. */
static enum segment_kind network_read(const struct segment *s)
{
	const uint8_t *ip = s->frame.bytes + ETH;
	uint16_t type = get16(s->frame.bytes + 2 * 6);

	if (type == 0x0800 && s->frame.copied >= ETH + IPV4 + UDP && ip[0] == 0x45 &&
	    get16(ip + IPV4_LEN) == s->frame.len - ETH &&
	    !(get16(ip + IPV4_FRAGMENT) & 0xbfff)) /* all but DF */
		return ip[IPV4_PROTO] == PROTO_TCP   ? SEGMENT_TCP4
		       : ip[IPV4_PROTO] == PROTO_UDP ? SEGMENT_UDP4
						     : SEGMENT_KINDS;
	if (type == 0x86dd && s->frame.copied >= ETH + IPV6 + UDP && ip[0] >> 4 == 6 &&
	    get16(ip + IPV6_LEN) == s->frame.len - ETH - IPV6)
		return ip[IPV6_PROTO] == PROTO_TCP   ? SEGMENT_TCP6
		       : ip[IPV6_PROTO] == PROTO_UDP ? SEGMENT_UDP6
						     : SEGMENT_KINDS;
	return SEGMENT_KINDS;
}

/* Bytes of the transport header, if it is one that segments have; otherwise 0. */
static uint32_t transport_read(struct segment *s)
{
	const uint8_t *l4 = s->frame.bytes + kinds[s->kind].l4;
	uint32_t room = s->frame.copied - kinds[s->kind].l4, len;

	if (!is_tcp(s->kind)) /* without a checksum it would come out with one */
		return get16(l4 + UDP_LEN) == s->frame.len - kinds[s->kind].l4 &&
				       raw16(l4 + UDP_CHECK)
			       ? UDP
			       : 0;
	if (room < TCP || (l4[TCP_OFFSET] & 0x0f)) /* bits that are reserved, or new */
		return 0;
	len = l4[TCP_OFFSET] >> 4 << 2;
	if (len < TCP || len > room || (l4[TCP_FLAGS] & ~(TCP_FIN | TCP_PSH | TCP_ECE)) != TCP_ACK)
		return 0;
	s->ending = l4[TCP_FLAGS] & (TCP_FIN | TCP_PSH);
	return len;
}

bool segment_read(struct segment *s)
{
	uint32_t l4_len;

	if (s->frame.hdr.gso_type != NET_GSO_NONE)
		return false;
	s->kind = network_read(s);
	if (s->kind == SEGMENT_KINDS)
		return false;
	s->ending = 0;
	l4_len = transport_read(s);
	if (!l4_len)
		return false;
	if (s->frame.hdr.flags && (s->frame.hdr.csum_start != kinds[s->kind].l4 ||
				   s->frame.hdr.csum_offset != kinds[s->kind].check))
		return false;
	s->head_len = kinds[s->kind].l4 + l4_len;
	s->payload = s->frame.len - s->head_len;
	return s->payload;
}

static bool headers_alike(const struct segment *a, const struct segment *b)
{
	const struct kind *k = &kinds[a->kind];
	uint32_t base = (uint32_t)k->l4 + k->l4_len;
	uint64_t differ = 0, x, y, mask;

	if (a->kind != b->kind || a->head_len != b->head_len)
		return false;
	for (uint32_t i = 0; i < base; i += sizeof(mask)) {
		memcpy(&x, a->frame.bytes + i, sizeof(x));
		memcpy(&y, b->frame.bytes + i, sizeof(y));
		memcpy(&mask, k->same + i, sizeof(mask));
		differ |= (x ^ y) & mask;
	}
	return !differ && !memcmp(a->frame.bytes + base, b->frame.bytes + base, a->head_len - base);
}

bool segment_follows(const struct segment *s, const struct segment *first, unsigned int n,
		     uint32_t payload)
{
	const uint8_t *l4 = s->frame.bytes + kinds[s->kind].l4,
		      *l4_first = first->frame.bytes + kinds[s->kind].l4;
	const uint8_t *id = s->frame.bytes + ETH + IPV4_ID,
		      *id_first = first->frame.bytes + ETH + IPV4_ID;

	if (!headers_alike(s, first) || s->payload > first->payload ||
	    payload + s->payload > SEGMENT_JOINED - first->head_len)
		return false;
	/* Cutting up counts it on; that it may stand still cannot be said. */
	if (is_ipv4(s->kind) && get16(id) != (uint16_t)(get16(id_first) + n))
		return false;
	return !is_tcp(s->kind) || get32(l4 + TCP_SEQ) == get32(l4_first + TCP_SEQ) + payload;
}

/* The sum of addresses, protocol and length that the transport's checksum includes. */
static uint16_t pseudo_sum(const struct segment *s, uint32_t l4_len)
{
	const uint8_t *ip = s->frame.bytes + ETH;
	uint8_t rest[4] = { 0, is_tcp(s->kind) ? PROTO_TCP : PROTO_UDP };
	uint64_t sum = is_ipv4(s->kind) ? checksum_sum(ip + IPV4_ADDRESSES, 8)
					: checksum_sum(ip + IPV6_ADDRESSES, 32);

	put16(rest + 2, l4_len);
	return checksum_fold(sum + checksum_sum(rest, sizeof(rest)));
}

static uint16_t ipv4_check(const uint8_t *ip)
{
	uint64_t sum = checksum_sum(ip, IPV4_CHECK) +
		       checksum_sum(ip + IPV4_ADDRESSES, IPV4 - IPV4_ADDRESSES);

	return (uint16_t)~checksum_fold(sum);
}

bool segment_sound(const struct segment *s, const struct iovec *payload)
{
	const struct kind *k = &kinds[s->kind];
	const uint8_t *ip = s->frame.bytes + ETH, *l4 = s->frame.bytes + k->l4;
	uint16_t check = raw16(l4 + k->check), pseudo = pseudo_sum(s, s->frame.len - k->l4);

	if (is_ipv4(s->kind) && raw16(ip + IPV4_CHECK) != ipv4_check(ip))
		return false;
	if (s->frame.hdr.flags)
		return check == pseudo;
	/* Zero has two forms, and which of them comes out depends on who cuts up. */
	if (!check || check == UINT16_MAX)
		return false;
	return checksum_fold(pseudo + checksum_sum(l4, s->head_len - k->l4) +
			     guest_sum(payload, s->payload)) == UINT16_MAX;
}

void segment_join(struct segment *first, uint8_t ending, uint32_t payload)
{
	const struct kind *k = &kinds[first->kind];
	uint8_t *ip = first->frame.bytes + ETH, *l4 = first->frame.bytes + k->l4;
	uint32_t l4_len = first->head_len - k->l4 + payload;
	uint16_t check, pseudo = pseudo_sum(first, l4_len);

	if (is_ipv4(first->kind)) {
		put16(ip + IPV4_LEN, IPV4 + l4_len);
		check = ipv4_check(ip);
		memcpy(ip + IPV4_CHECK, &check, sizeof(check));
	} else {
		put16(ip + IPV6_LEN, l4_len);
	}
	if (is_tcp(first->kind))
		l4[TCP_FLAGS] |= ending;
	else
		put16(l4 + UDP_LEN, l4_len);
	memcpy(l4 + k->check, &pseudo, sizeof(pseudo));
	first->frame.hdr = (struct net_hdr){
		.flags = NET_HDR_F_NEEDS_CSUM,
		.gso_type = k->gso,
		.hdr_len = (uint16_t)first->head_len,
		.gso_size = (uint16_t)first->payload,
		.csum_start = k->l4,
		.csum_offset = k->check,
	};
}
