/*
 * Frames of which it is published what their hash is, in every shape that lib/flow.h knows, and a
 * classifier over them. For the tests of all who hash: this room's, the broker's eBPF program, the
 * device.
 */
#ifndef AIRLOCK_TESTS_FLOWS_H
#define AIRLOCK_TESTS_FLOWS_H

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/util.h"

/* The frame under test: its bytes, as many as are there. */
typedef struct {
	uint8_t bytes[512];
	size_t len;
} flow_frame;

static long flow_load(flow_frame *from, uint32_t off, void *to, uint32_t len)
{
	if (off > from->len || len > from->len - off)
		return -1;
	memcpy(to, from->bytes + off, len);
	return 0;
}

#include "lib/flow.h"

/* "Verifying the RSS Hash Calculation" of Microsoft's NDIS documentation. */
static const uint8_t flows_key[STEERING_KEY] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

static const struct vector {
	const char *dst, *src;
	uint16_t dport, sport;
	uint32_t addresses, ports; /* hash without and with the ports */
} vectors[] = {
	{ "161.142.100.80", "66.9.149.187", 1766, 2794, 0x323e8fc2, 0x51ccc178 },
	{ "65.69.140.83", "199.92.111.2", 4739, 14230, 0xd718262a, 0xc626b0ea },
	{ "12.22.207.184", "24.19.198.95", 38024, 12898, 0xd2d0a5de, 0x5c2b394a },
	{ "209.142.163.6", "38.27.205.30", 2217, 48228, 0x82989176, 0xafc7327f },
	{ "202.188.127.2", "153.39.163.191", 1303, 44251, 0x5d1809c5, 0x10e828a2 },
	{ "3ffe:2501:200:3::1", "3ffe:2501:200:1fff::7", 1766, 2794, 0x2cc18cd5, 0x40207d3d },
	{ "ff02::1", "3ffe:501:8::260:97ff:fe40:efab", 4739, 14230, 0x0f0c461c, 0xdde51bbf },
	{ "fe80::200:f8ff:fe21:67cf", "3ffe:1900:4545:3:200:f8ff:fe21:67cf", 38024, 44251,
	  0x4b61e985, 0x02d1feef },
};
#define VECTOR6 5 /* the first of IPv6 */

static flow_frame frame;

static inline bool is6(const struct vector *v)
{
	return strchr(v->src, ':');
}

static inline void put(const void *bytes, size_t n)
{
	memcpy(frame.bytes + frame.len, bytes, n);
	frame.len += n;
}

#define PUT(...) put((uint8_t[]){ __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ }))

static inline void put_address(const char *text)
{
	uint8_t bytes[16];
	bool six = strchr(text, ':');

	assert_int_equal(1, inet_pton(six ? AF_INET6 : AF_INET, text, bytes));
	put(bytes, six ? 16 : 4);
}

static inline void put_ports(const struct vector *v)
{
	PUT((uint8_t)(v->sport >> 8), (uint8_t)v->sport, (uint8_t)(v->dport >> 8),
	    (uint8_t)v->dport);
}

struct shape {
	uint8_t transport; /* 6, 17, other */
	unsigned tags;
	bool fragment;
	unsigned hops;		  /* IPv6: so many empty hop-by-hop headers */
	const char *home, *final; /* IPv6: extension headers with these addresses */
};

static inline void put_ipv4(const struct vector *v, const struct shape *s)
{
	PUT(0x46, 0, 0, 40, 0, 0, s->fragment ? 0x20 : 0x40, 0, 64, s->transport, 0, 0);
	put_address(v->src);
	put_address(v->dst);
	PUT(1, 1, 1, 1); /* an IP option: ports do not follow at 20 */
}

static inline void put_ipv6(const struct vector *v, const struct shape *s)
{
	uint8_t next = s->fragment ? 44 : s->transport;
	uint8_t behind_hops = s->home ? 60 : s->final ? 43 : next;

	PUT(0x60, 0, 0, 0, 0, 64, s->hops ? 0 : behind_hops, 64);
	put_address(v->src);
	put_address(v->dst);
	for (unsigned i = 1; i <= s->hops; i++)
		PUT(i < s->hops ? 0 : behind_hops, 0, 1, 4, 0, 0, 0, 0);
	if (s->home) {
		PUT(s->final ? 43 : next, 2, 1, 2, 0, 0, 201, 16);
		put_address(s->home);
	}
	if (s->final) {
		PUT(next, 2, 2, 1, 0, 0, 0, 0);
		put_address(s->final);
	}
	if (s->fragment)
		PUT(s->transport, 0, 0, 1, 0, 0, 0, 9);
}

/* A frame of this shape, with 40 bytes behind its ports. */
static inline void flows_build(const struct vector *v, const struct shape *s)
{
	memset(&frame, 0, sizeof(frame));
	frame.len = 12;
	for (unsigned i = 0; i < s->tags; i++)
		PUT(0x81, 0, 0, 5);
	if (is6(v))
		PUT(0x86, 0xdd);
	else
		PUT(8, 0);
	if (is6(v))
		put_ipv6(v, s);
	else
		put_ipv4(v, s);
	put_ports(v);
	frame.len += 40;
}

/* The hash of `frame` by this key; *type: for which of `types`, 0 none. */
static inline uint32_t flows_hash(const uint8_t *key, uint32_t types, uint32_t *type)
{
	struct flow flow = { 0 };

	*type = flow_classify(&frame, &flow, types);
	return *type ? toeplitz(key, flow.input) : 0;
}

#define V4 (STEERING_IPV4 | STEERING_TCPV4 | STEERING_UDPV4)
#define V6 (STEERING_IPV6 | STEERING_TCPV6 | STEERING_UDPV6)
#define EX (STEERING_IP_EX | STEERING_TCP_EX | STEERING_UDP_EX)

/* For which type a frame of a shape is hashed, over IPv4 and over IPv6. */
static const struct flows_row {
	uint32_t types;
	struct shape shape;
	uint32_t hashed4, hashed6;
} flows_rows[] = {
	/* clang-format off */
	{ 0, { .transport = 6 }, 0, 0 },
	{ STEERING_IPV4, { .transport = 6 }, STEERING_IPV4, 0 },
	{ STEERING_IPV6, { .transport = 6 }, 0, STEERING_IPV6 },
	{ STEERING_TYPES, { .transport = 6 }, STEERING_TCPV4, STEERING_TCPV6 },
	{ STEERING_TYPES, { .transport = 17 }, STEERING_UDPV4, STEERING_UDPV6 },
	{ STEERING_TYPES, { .transport = 17, .tags = 2 }, STEERING_UDPV4, STEERING_UDPV6 },
	{ STEERING_TYPES, { .transport = 17, .tags = 3 }, 0, 0 },
	{ STEERING_TYPES, { .transport = 47 }, STEERING_IPV4, STEERING_IPV6 },
	{ STEERING_TYPES, { .transport = 6, .fragment = true }, STEERING_IPV4, STEERING_IP_EX },
	{ V4 | V6, { .transport = 6, .fragment = true }, STEERING_IPV4, STEERING_IPV6 },
	{ STEERING_TCPV4 | STEERING_TCPV6, { .transport = 6 }, STEERING_TCPV4, STEERING_TCPV6 },
	{ STEERING_TCPV4 | STEERING_TCPV6, { .transport = 6, .fragment = true }, 0, 0 },
	{ STEERING_TCPV4 | STEERING_TCPV6, { .transport = 17 }, 0, 0 },
	{ STEERING_UDPV4 | STEERING_UDPV6, { .transport = 17 }, STEERING_UDPV4, STEERING_UDPV6 },
	{ EX, { .transport = 6 }, 0, 0 },
	{ EX, { .transport = 6, .hops = 1 }, 0, STEERING_TCP_EX },
	{ EX, { .transport = 17, .hops = 1 }, 0, STEERING_UDP_EX },
	{ EX, { .transport = 47, .hops = 1 }, 0, STEERING_IP_EX },
	{ STEERING_IP_EX | V6, { .transport = 6, .hops = 1 }, 0, STEERING_IP_EX },
	{ STEERING_UDP_EX | V6, { .transport = 6, .hops = 1 }, 0, STEERING_TCPV6 },
	{ V4 | V6, { .transport = 17, .hops = 2 }, STEERING_UDPV4, STEERING_UDPV6 },
	{ STEERING_TYPES, { .transport = 6, .hops = 6 }, STEERING_TCPV4, STEERING_TCP_EX },
	{ STEERING_TYPES, { .transport = 6, .hops = 7 }, STEERING_TCPV4, STEERING_IP_EX },
	/* clang-format on */
};

#define FLOWS_PORTS                                                                            \
	(STEERING_TCPV4 | STEERING_UDPV4 | STEERING_TCPV6 | STEERING_UDPV6 | STEERING_TCP_EX | \
	 STEERING_UDP_EX)

#endif
