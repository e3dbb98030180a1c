/*
 * Where the kernel would send a frame: the published test vectors of the Toeplitz hash, then the
 * eBPF program itself, run on frames by the kernel (skipped without privilege).
 */
#include "broker/steering.h"
#include "broker/toeplitz.h"
#include "lib/steering.h"
#include "lib/util.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* "Verifying the RSS Hash Calculation" of Microsoft's NDIS documentation. */
static const uint8_t key[STEERING_KEY] = {
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

static uint8_t frame[256];
static size_t len;

static bool is6(const struct vector *v)
{
	return strchr(v->src, ':');
}

static void put(const void *bytes, size_t n)
{
	memcpy(frame + len, bytes, n);
	len += n;
}

#define PUT(...) put((uint8_t[]){ __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ }))

static void put_address(const char *text)
{
	uint8_t bytes[16];
	bool six = strchr(text, ':');

	assert_int_equal(1, inet_pton(six ? AF_INET6 : AF_INET, text, bytes));
	put(bytes, six ? 16 : 4);
}

static void put_ports(const struct vector *v)
{
	PUT((uint8_t)(v->sport >> 8), (uint8_t)v->sport, (uint8_t)(v->dport >> 8),
	    (uint8_t)v->dport);
}

static void published_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		memset(frame, 0, sizeof(frame));
		len = 0;
		put_address(vectors[i].src);
		put_address(vectors[i].dst);
		assert_int_equal(vectors[i].addresses, toeplitz(key, frame));
		put_ports(&vectors[i]);
		assert_int_equal(vectors[i].ports, toeplitz(key, frame));
	}
}

/* ---- the program ---- */

static struct steering steering = STEERING_NONE;

static int open_program(void **state)
{
	(void)state;
	if (geteuid() || steering_open(&steering))
		return 0;
	for (unsigned i = 0; i < STEERING_PAIRS; i++)
		steering_slot(&steering, i, (int)i);
	return 0;
}

static int close_program(void **state)
{
	(void)state;
	steering_close(&steering);
	return 0;
}

static void configure(uint32_t types)
{
	struct steering_config *c;

	if (!steering.page)
		skip();
	c = &steering.page->config[steering.page->active ^ 1];
	*c = (struct steering_config){ .types = types, .mask = 127, .unclassified = 77 };
	memcpy(c->key, key, sizeof(key));
	for (uint16_t i = 0; i < STEERING_TABLE; i++)
		c->table[i] = i;
	steering.page->active ^= 1;
}

static uint32_t chosen(void)
{
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = (uint32_t)len);

	assert_int_equal(0, bpf_prog_test_run_opts(steering.program, &run));
	return run.retval;
}

struct shape {
	uint8_t transport; /* 6, 17, other */
	unsigned tags;
	bool fragment;
	const char *home, *final; /* IPv6 extension headers with these addresses */
};

static void ipv4(const struct vector *v, const struct shape *s)
{
	PUT(0x46, 0, 0, 40, 0, 0, s->fragment ? 0x20 : 0x40, 0, 64, s->transport, 0, 0);
	put_address(v->src);
	put_address(v->dst);
	PUT(1, 1, 1, 1); /* an IP option: ports do not follow at 20 */
}

static void ipv6(const struct vector *v, const struct shape *s)
{
	uint8_t next = s->fragment ? 44 : s->transport;

	PUT(0x60, 0, 0, 0, 0, 64, s->home ? 60 : s->final ? 43 : next, 64);
	put_address(v->src);
	put_address(v->dst);
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

static void build(const struct vector *v, const struct shape *s)
{
	memset(frame, 0, sizeof(frame));
	len = 12;
	for (unsigned i = 0; i < s->tags; i++)
		PUT(0x81, 0, 0, 5);
	if (is6(v))
		PUT(0x86, 0xdd);
	else
		PUT(8, 0);
	if (is6(v))
		ipv6(v, s);
	else
		ipv4(v, s);
	put_ports(v);
	len += 40;
}

static void types_and_transports(void **state)
{
	static const struct {
		uint32_t types;
		struct shape shape;
		int hashed4, hashed6; /* 0 not, 1 addresses, 2 ports too */
	} rows[] = {
		{ 0, { .transport = 6 }, 0, 0 },
		{ STEERING_IPV4, { .transport = 6 }, 1, 0 },
		{ STEERING_IPV6, { .transport = 6 }, 0, 1 },
		{ STEERING_TYPES, { .transport = 6 }, 2, 2 },
		{ STEERING_TYPES, { .transport = 17 }, 2, 2 },
		{ STEERING_TYPES, { .transport = 17, .tags = 2 }, 2, 2 },
		{ STEERING_TYPES, { .transport = 17, .tags = 3 }, 0, 0 },
		{ STEERING_TYPES, { .transport = 47 }, 1, 1 },
		{ STEERING_TYPES, { .transport = 6, .fragment = true }, 1, 1 },
		{ STEERING_TCPV4 | STEERING_TCPV6, { .transport = 6 }, 2, 2 },
		{ STEERING_TCPV4 | STEERING_TCPV6, { .transport = 17 }, 0, 0 },
		{ STEERING_UDPV4 | STEERING_UDPV6, { .transport = 17 }, 2, 2 },
		{ STEERING_TCP_EX, { .transport = 6 }, 0, 2 },
		{ STEERING_UDP_EX, { .transport = 17 }, 0, 2 },
		{ STEERING_IP_EX, { .transport = 17 }, 0, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		configure(rows[i].types);
		for (size_t j = 0; j < ARRAY_SIZE(vectors); j++) {
			const struct vector *v = &vectors[j];
			int hashed = is6(v) ? rows[i].hashed6 : rows[i].hashed4;
			uint32_t hash = hashed == 2 ? v->ports : v->addresses;

			build(v, &rows[i].shape);
			assert_int_equal(hashed ? hash & 127 : 77, chosen());
		}
	}
}

/* The addresses that count stand in extension headers, where the guest asks for those. */
static void extension_headers(void **state)
{
	const struct vector *v = &vectors[5];
	struct vector away = { "2001:db8::1", "2001:db8::2", v->dport, v->sport, 0, 0 };
	const struct shape both = { .transport = 6, .home = v->src, .final = v->dst };
	uint32_t plain;

	(void)state;
	configure(STEERING_TCP_EX);
	build(&away, &both);
	assert_int_equal(v->ports & 127, chosen());
	configure(STEERING_IP_EX);
	assert_int_equal(v->addresses & 127, chosen());
	configure(STEERING_TCPV6);
	plain = chosen();
	build(&away, &(struct shape){ .transport = 6 });
	assert_int_equal(plain, chosen());
}

/* Whatever a device writes, and whatever the frame, the answer is a number. */
static void anything(void **state)
{
	/* The kernel runs it on no shorter ones. */
	static const size_t lengths[] = { 64, 70, 77, 78, 102, 126, 200 };

	(void)state;
	configure(STEERING_TYPES);
	memset(steering.page->config, 0xff, sizeof(steering.page->config));
	steering.page->active = 0xffffffff;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		build(&vectors[i % 2 ? 5 : 0], &(struct shape){ .transport = 6,
								.home = vectors[5].src,
								.final = vectors[5].dst });
		len = lengths[i];
		assert_in_range(chosen(), 0, STEERING_PAIRS - 1);
	}
	steering_slot(&steering, STEERING_PAIRS - 1, -1);
	assert_int_equal(0, chosen());
	steering_wipe(&steering);
	assert_int_equal(0, steering.page->active);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_vectors),
		cmocka_unit_test(types_and_transports),
		cmocka_unit_test(extension_headers),
		cmocka_unit_test(anything),
	};

	return cmocka_run_group_tests_name("steering", tests, open_program, close_program);
}
