/*
 * What the network device offers, what it asks of the TAP, its configuration space, and the rules
 * of the header in both directions (virtio 1.3, 5.1.6).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "device/net.h"
#include "lib/tun.h"
#include "lib/util.h"
#include "lib/vhost_user.h"

#define B(name) BIT_ULL(VIRTIO_NET_F_##name)
#define TUN_ALL (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_USO4 | TUN_F_USO6)
#define SENDS	(B(CSUM) | B(HOST_TSO4) | B(HOST_TSO6) | B(HOST_ECN) | B(HOST_USO))
#define RECEIVES                                                                        \
	(B(GUEST_CSUM) | B(GUEST_TSO4) | B(GUEST_TSO6) | B(GUEST_ECN) | B(GUEST_USO4) | \
	 B(GUEST_USO6))

static const struct net_setup setup = { .pairs = 3,
					.queue_size = 256,
					.tap_offloads = TUN_ALL,
					.mtu = 1400,
					.mac = { 2, 0, 0, 0, 0, 7 } };

static void features(void **state)
{
	struct net_setup one = setup;
	const uint64_t always = BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_F_EVENT_IDX) |
				BIT_ULL(VIRTIO_F_INDIRECT_DESC) | B(MRG_RXBUF) | B(MAC) | B(MTU) |
				B(STATUS) | BIT_ULL(VU_F_PROTOCOL_FEATURES);

	(void)state;
	assert_int_equal(always, net_features(&setup) & always);
	assert_int_equal(SENDS | RECEIVES, net_features(&setup) & (SENDS | RECEIVES));
	assert_true(net_features(&setup) & B(MQ));
	assert_true(net_features(&setup) & B(CTRL_VQ));
	/* A hash is reported without the broker's help, receive rings are not chosen. */
	assert_true(net_features(&setup) & B(HASH_REPORT));
	assert_false(net_features(&setup) & B(RSS));
	assert_true(net_features(&setup) & B(CTRL_GUEST_OFFLOADS));
	one.pairs = 1;
	assert_false(net_features(&one) & B(MQ));
	one.tap_offloads = 0;
	assert_false(net_features(&one) & B(CTRL_GUEST_OFFLOADS));
	assert_int_equal(0, net_features(&one) & (SENDS | RECEIVES));
	one.tap_offloads = TUN_F_CSUM;
	assert_int_equal(B(CSUM) | B(GUEST_CSUM), net_features(&one) & (SENDS | RECEIVES));
}

/* Every set of bits that a guest can acknowledge must be one that the kernel's TUNSETOFFLOAD takes:
 * segmentation with checksums only, ECN with TSO only, USO for both families or none. */
static void offloads(void **state)
{
	static const struct {
		uint64_t negotiated;
		uint32_t tap;
	} cases[] = {
		{ 0, 0 },
		{ SENDS, 0 },
		{ B(GUEST_CSUM), TUN_F_CSUM },
		{ B(GUEST_TSO4) | B(GUEST_TSO6), 0 },
		{ B(GUEST_CSUM) | B(GUEST_TSO4), TUN_F_CSUM | TUN_F_TSO4 },
		{ B(GUEST_CSUM) | B(GUEST_TSO6), TUN_F_CSUM | TUN_F_TSO6 },
		{ B(GUEST_CSUM) | B(GUEST_ECN), TUN_F_CSUM },
		{ B(GUEST_CSUM) | B(GUEST_TSO4) | B(GUEST_ECN),
		  TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO_ECN },
		{ B(GUEST_CSUM) | B(GUEST_USO4), TUN_F_CSUM },
		{ B(GUEST_CSUM) | B(GUEST_USO6), TUN_F_CSUM },
		{ B(GUEST_CSUM) | B(GUEST_USO4) | B(GUEST_USO6),
		  TUN_F_CSUM | TUN_F_USO4 | TUN_F_USO6 },
		{ RECEIVES, TUN_ALL },
		{ UINT64_MAX, TUN_ALL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(cases[i].tap, net_tap_offloads(cases[i].negotiated));
}

static void header_length(void **state)
{
	(void)state;
	assert_int_equal(10, net_hdr_len(0));
	assert_int_equal(12, net_hdr_len(B(MRG_RXBUF)));
	assert_int_equal(12, net_hdr_len(BIT_ULL(VIRTIO_F_VERSION_1)));
	assert_int_equal(20, net_hdr_len(B(HASH_REPORT)));
	assert_int_equal(20,
			 net_hdr_len(BIT_ULL(VIRTIO_F_VERSION_1) | B(MRG_RXBUF) | B(HASH_REPORT)));
}

static void config(void **state)
{
	uint8_t bytes[NET_CONFIG_SPACE + 1];
	struct net_config *c = (void *)bytes;
	struct net_setup other = setup;

	(void)state;
	memset(bytes, 0xee, sizeof(bytes));
	assert_int_equal(0, net_config_read(&setup, 0, bytes, sizeof(*c)));
	assert_memory_equal(setup.mac, c->mac, 6);
	assert_int_equal(NET_STATUS_LINK_UP, c->status);
	assert_int_equal(3, c->max_virtqueue_pairs);
	assert_int_equal(1400, c->mtu);
	assert_int_equal(0xee, bytes[sizeof(*c)]);
	assert_int_equal(40, c->rss_max_key_size);
	assert_int_equal(0x1ff, c->supported_hash_types);
	assert_int_equal(0, c->rss_max_indirection_table_length);
	other.announce = other.steering = other.link_down = true;
	assert_int_equal(0, net_config_read(&other, 0, bytes, sizeof(*c)));
	assert_int_equal(NET_STATUS_ANNOUNCE, c->status);
	assert_int_equal(128, c->rss_max_indirection_table_length);
	assert_int_equal(0, net_config_read(&setup, 10, bytes, 2));
	assert_int_equal(1400 & 0xff, bytes[0]);
	assert_int_equal(0, net_config_read(&setup, 0, bytes, NET_CONFIG_SPACE));
	assert_int_equal(0, bytes[NET_CONFIG_SPACE - 1]);
	assert_int_equal(0xee, bytes[NET_CONFIG_SPACE]);
	assert_int_equal(0, net_config_read(&setup, NET_CONFIG_SPACE, bytes, 0));
	assert_int_equal(-EINVAL, net_config_read(&setup, NET_CONFIG_SPACE, bytes, 1));
	assert_int_equal(-EINVAL, net_config_read(&setup, 0, bytes, NET_CONFIG_SPACE + 1));
	assert_int_equal(-EINVAL, net_config_read(&setup, UINT32_MAX, bytes, 2));
	assert_int_equal(-EINVAL, net_config_read(&setup, 1, bytes, UINT32_MAX));
}

/* flags, gso_type, hdr_len, gso_size, csum_start, csum_offset, num_buffers */
#define H(...)              \
	{                   \
		__VA_ARGS__ \
	}
#define CSUM NET_HDR_F_NEEDS_CSUM
#define TCP4 NET_GSO_TCPV4
#define TCP6 NET_GSO_TCPV6
#define UDP  NET_GSO_UDP_L4
#define ECN  NET_GSO_ECN

/* clang-format off */
static const struct {
	const char *name;
	struct net_hdr in;
	uint32_t len;
	uint64_t negotiated;
	int rc;
	struct net_hdr out;
} sent[] = {
	{ "nothing asked for", H(0), 60, 0, 0, H(0) },
	{ "shortest frame", H(0), 14, 0, 0, H(0) },
	{ "<14-byte frame", H(0), 13, 0, -EINVAL, H(0) },
	{ "frame of 0 bytes", H(0), 0, 0, -EINVAL, H(0) },
	{ "longest frame", H(0), NET_FRAME_MAX, 0, 0, H(0) },
	{ "longer than any frame", H(0), NET_FRAME_MAX + 1, 0, -EINVAL, H(0) },
	{ "num_buffers and flags set on TX are ignored", H(0xfe, 0, 0, 0, 9, 9, 7), 60, SENDS, 0, H(0) },
	{ "checksum", H(CSUM, 0, 0, 0, 34, 16, 0), 60, SENDS, 0, H(CSUM, 0, 0, 0, 34, 16, 0) },
	{ "checksum not negotiated", H(CSUM, 0, 0, 0, 34, 16, 0), 60, SENDS & ~B(CSUM), -EINVAL, H(0) },
	{ "checksum in the last two bytes", H(CSUM, 0, 0, 0, 34, 24, 0), 60, SENDS, 0, H(CSUM, 0, 0, 0, 34, 24, 0) },
	{ "CVE-2024-11614: checksum behind the frame", H(CSUM, 0, 0, 0, 34, 25, 0), 60, SENDS, -EINVAL, H(0) },
	{ "csum_start behind the frame", H(CSUM, 0, 0, 0, 60, 0, 0), 60, SENDS, -EINVAL, H(0) },
	{ "csum_start + csum_offset wraps", H(CSUM, 0, 0, 0, 65535, 65535, 0), 60, SENDS, -EINVAL, H(0) },
	{ "csum_start within the Ethernet header", H(CSUM, 0, 0, 0, 13, 16, 0), 60, SENDS, -EINVAL, H(0) },
	{ "hdr_len of all the frame", H(0, 0, 60, 0, 0, 0, 0), 60, SENDS, 0, H(0, 0, 60, 0, 0, 0, 0) },
	{ "hdr_len lies", H(0, 0, 65535, 0, 0, 0, 0), 60, SENDS, 0, H(0, 0, 60, 0, 0, 0, 0) },
	{ "gso_size without a type", H(0, 0, 0, 1448, 0, 0, 0), 60, SENDS, 0, H(0) },
	{ "TSO4", H(CSUM, TCP4, 54, 1448, 34, 16, 0), 6000, SENDS, 0, H(CSUM, TCP4, 54, 1448, 34, 16, 0) },
	{ "TSO6", H(CSUM, TCP6, 74, 1428, 54, 16, 0), 6000, SENDS, 0, H(CSUM, TCP6, 74, 1428, 54, 16, 0) },
	{ "USO", H(CSUM, UDP, 42, 1472, 34, 6, 0), 6000, SENDS, 0, H(CSUM, UDP, 42, 1472, 34, 6, 0) },
	{ "TSO4 with ECN", H(CSUM, TCP4 | ECN, 54, 1448, 34, 16, 0), 6000, SENDS, 0, H(CSUM, TCP4 | ECN, 54, 1448, 34, 16, 0) },
	{ "TSO4 not negotiated", H(CSUM, TCP4, 54, 1448, 34, 16, 0), 6000, SENDS & ~B(HOST_TSO4), -EINVAL, H(0) },
	{ "TSO6 not negotiated", H(CSUM, TCP6, 54, 1448, 34, 16, 0), 6000, SENDS & ~B(HOST_TSO6), -EINVAL, H(0) },
	{ "USO not negotiated", H(CSUM, UDP, 42, 1472, 34, 6, 0), 6000, SENDS & ~B(HOST_USO), -EINVAL, H(0) },
	{ "ECN not negotiated", H(CSUM, TCP4 | ECN, 54, 1448, 34, 16, 0), 6000, SENDS & ~B(HOST_ECN), -EINVAL, H(0) },
	{ "ECN with UDP", H(CSUM, UDP | ECN, 42, 1472, 34, 6, 0), 6000, SENDS, -EINVAL, H(0) },
	{ "ECN alone", H(CSUM, ECN, 42, 1472, 34, 6, 0), 6000, SENDS, -EINVAL, H(0) },
	{ "UFO", H(CSUM, 3, 42, 1472, 34, 6, 0), 6000, SENDS, -EINVAL, H(0) },
	{ "gso_type of no kind", H(CSUM, 2, 42, 1472, 34, 6, 0), 6000, SENDS, -EINVAL, H(0) },
	{ "gso_type 0x7f", H(CSUM, 0x7f, 42, 1472, 34, 6, 0), 6000, SENDS, -EINVAL, H(0) },
	{ "segments of 0 bytes", H(CSUM, TCP4, 54, 0, 34, 16, 0), 6000, SENDS, -EINVAL, H(0) },
	{ "segments without a checksum", H(0, TCP4, 54, 1448, 34, 16, 0), 6000, SENDS, -EINVAL, H(0) },
};

static const struct {
	const char *name;
	struct net_hdr in;
	uint64_t negotiated;
	int rc;
	struct net_hdr out;
} received[] = {
	{ "nothing to say", H(0), 0, 0, H(0) },
	{ "verified", H(NET_HDR_F_DATA_VALID, 0, 0, 0, 0, 0, 0), RECEIVES, 0, H(NET_HDR_F_DATA_VALID, 0, 0, 0, 0, 0, 0) },
	{ "verified, to a guest without GUEST_CSUM", H(NET_HDR_F_DATA_VALID, 0, 0, 0, 0, 0, 0), 0, 0, H(0) },
	{ "partial checksum", H(CSUM, 0, 0, 0, 34, 16, 0), B(GUEST_CSUM), 0, H(CSUM, 0, 0, 0, 34, 16, 0) },
	{ "partial checksum, to a guest without GUEST_CSUM", H(CSUM, 0, 0, 0, 34, 16, 0), 0, -EINVAL, H(0) },
	{ "flags of a newer kernel", H(0xfc, 0, 0, 0, 0, 0, 0), RECEIVES, 0, H(0) },
	{ "TSO4", H(CSUM, TCP4, 54, 1448, 34, 16, 0), RECEIVES, 0, H(CSUM, TCP4, 54, 1448, 34, 16, 0) },
	{ "TSO4, not negotiated", H(CSUM, TCP4, 54, 1448, 34, 16, 0), RECEIVES & ~B(GUEST_TSO4), -EINVAL, H(0) },
	{ "TSO6, not negotiated", H(CSUM, TCP6, 54, 1448, 34, 16, 0), RECEIVES & ~B(GUEST_TSO6), -EINVAL, H(0) },
	{ "ECN", H(CSUM, TCP6 | ECN, 54, 1448, 34, 16, 0), RECEIVES, 0, H(CSUM, TCP6 | ECN, 54, 1448, 34, 16, 0) },
	{ "ECN, not negotiated", H(CSUM, TCP6 | ECN, 54, 1448, 34, 16, 0), RECEIVES & ~B(GUEST_ECN), -EINVAL, H(0) },
	{ "USO", H(CSUM, UDP, 42, 1472, 34, 6, 0), RECEIVES, 0, H(CSUM, UDP, 42, 1472, 34, 6, 0) },
	{ "USO for one family only", H(CSUM, UDP, 42, 1472, 34, 6, 0), RECEIVES & ~B(GUEST_USO6), -EINVAL, H(0) },
	{ "a type of a newer kernel", H(CSUM, 0x60, 42, 1472, 34, 6, 0), RECEIVES, -EINVAL, H(0) },
};
/* clang-format on */

static void headers_sent(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sent); i++) {
		struct net_hdr hdr = sent[i].in;

		print_message("# %s\n", sent[i].name);
		assert_int_equal(sent[i].rc, net_hdr_check(&hdr, sent[i].len, sent[i].negotiated));
		if (!sent[i].rc)
			assert_memory_equal(&sent[i].out, &hdr, sizeof(hdr));
	}
}

static void headers_received(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(received); i++) {
		struct net_hdr hdr = received[i].in;

		print_message("# %s\n", received[i].name);
		assert_int_equal(received[i].rc, net_hdr_deliver(&hdr, received[i].negotiated));
		if (!received[i].rc)
			assert_memory_equal(&received[i].out, &hdr, sizeof(hdr));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(features),	 cmocka_unit_test(offloads),
		cmocka_unit_test(header_length), cmocka_unit_test(config),
		cmocka_unit_test(headers_sent),	 cmocka_unit_test(headers_received),
	};

	return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
