/*
 * Checksums and segmentation left to the other side, in both directions: what the driver writes
 * into the virtio-net header stands at the host's packet socket, and the reverse; a driver that did
 * not negotiate an offload never sees it; a header that lies drops its frame and nothing else. Over
 * both ring formats.
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <string.h>

#include "lib/util.h"
#include "tests/support/rig.h"

#define CSUM	   BIT(VIRTIO_NET_F_CSUM)
#define GUEST_CSUM BIT(VIRTIO_NET_F_GUEST_CSUM)
#define HOST_TSO   (CSUM | BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6))
#define HOST_ALL   (HOST_TSO | BIT(VIRTIO_NET_F_HOST_ECN))
#define GUEST_TSO  (GUEST_CSUM | BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6))
#define GUEST_ALL  (GUEST_TSO | BIT(VIRTIO_NET_F_GUEST_ECN))
#define HOST_USO   (CSUM | BIT(NET_F_HOST_USO))
#define GUEST_USO  (GUEST_CSUM | BIT(NET_F_GUEST_USO4) | BIT(NET_F_GUEST_USO6))
#define MERGE	   BIT(VIRTIO_NET_F_MRG_RXBUF)
#define PACKED	   BIT(VIRTIO_F_RING_PACKED)

static struct rig rig;
static struct guest guest;
static uint64_t format; /* PACKED, or 0 */
static uint8_t frame[FRAME_MAX], received[FRAME_MAX];

static int start(void **state)
{
	(void)state;
	format = 0;
	guest_blank(&guest);
	rig_start(&rig, (const char *[]){ NULL });
	return 0;
}

static int start_packed(void **state)
{
	start(state);
	format = PACKED;
	return 0;
}

static int end(void **state)
{
	(void)state;
	guest_close(&guest);
	rig_abandon(&rig);
	return 0;
}

static const struct frame_flow plain[] = {
	{ .payload = 1000, .number = 1 },
	{ .ipv6 = true, .payload = 999, .number = 2 },
	{ .udp = true, .payload = 1000, .number = 3 },
	{ .udp = true, .ipv6 = true, .payload = 1, .number = 4 },
	{ .payload = 0, .number = 5 },
};

static const struct frame_flow tso[] = {
	{ .payload = 2896, .gso_size = 1448, .number = 11 },
	{ .payload = 65160, .gso_size = 1448, .number = 12 },
	{ .payload = 5000, .gso_size = 1000, .ecn = true, .number = 13 },
	{ .ipv6 = true, .payload = 64000, .gso_size = 1428, .number = 14 },
	{ .ipv6 = true, .payload = 3000, .gso_size = 500, .ecn = true, .number = 15 },
	{ .payload = 1449, .gso_size = 1448, .number = 16 },
};

static const struct frame_flow uso[] = {
	{ .udp = true, .payload = 4416, .gso_size = 1472, .number = 21 },
	{ .udp = true, .ipv6 = true, .payload = 60000, .gso_size = 1200, .number = 22 },
};

static void assert_offload(const struct virtio_net_hdr *want, const void *got)
{
	struct virtio_net_hdr hdr;

	memcpy(&hdr, got, sizeof(hdr));
	assert_int_equal(VIRTIO_NET_HDR_F_NEEDS_CSUM, hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(want->gso_type, hdr.gso_type);
	assert_int_equal(want->gso_size, hdr.gso_size);
	assert_int_equal(want->csum_start, hdr.csum_start);
	assert_int_equal(want->csum_offset, hdr.csum_offset);
}

static void transmit_offloaded(const struct frame_flow *flows, size_t n)
{
	struct virtio_net_hdr hdr, seen;

	for (size_t i = 0; i < n; i++) {
		size_t len = frame_flow(frame, &flows[i], &hdr);

		assert_ok(guest_send(&guest, 0, &hdr, frame, len));
		assert_int_equal(len, wire_recv(&rig.wire, &seen, received, sizeof(received)));
		assert_offload(&hdr, &seen);
		assert_memory_equal(frame, received, len);
	}
}

static void receive_offloaded(const struct frame_flow *flows, size_t n)
{
	struct virtio_net_hdr_v1 seen;
	struct virtio_net_hdr hdr;

	for (size_t i = 0; i < n; i++) {
		size_t len = frame_flow(frame, &flows[i], &hdr);

		assert_ok(wire_send(&rig.wire, &hdr, frame, len));
		assert_int_equal(len, guest_receive(&guest, 0, &seen, received, sizeof(received),
						    RIG_WAIT_MS));
		assert_offload(&hdr, &seen);
		assert_memory_equal(frame, received, len);
	}
}

/* The guest did not negotiate what the host leaves open: the kernel does it before. */
static void receive_finished(const struct frame_flow *flows, size_t n)
{
	struct virtio_net_hdr_v1 seen;
	struct virtio_net_hdr hdr;

	for (size_t i = 0; i < n; i++) {
		size_t len = frame_flow(frame, &flows[i], &hdr), payload = 0;
		size_t headers = len - flows[i].payload;

		assert_ok(wire_send(&rig.wire, &hdr, frame, len));
		do {
			int rc = guest_receive(&guest, 0, &seen, received, sizeof(received),
					       RIG_WAIT_MS);

			assert_in_range(rc, headers, 1514);
			assert_int_equal(VIRTIO_NET_HDR_GSO_NONE, seen.gso_type);
			assert_int_equal(0, seen.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM);
			assert_true(frame_checksummed(received, (size_t)rc));
			assert_memory_equal(frame + headers + payload, received + headers,
					    (size_t)rc - headers);
			payload += (size_t)rc - headers;
		} while (payload < flows[i].payload);
	}
}

static void checksums_are_left_to_the_host(void **state)
{
	(void)state;
	rig_open(&rig, &guest, &(struct guest_options){ .features = format | CSUM });
	transmit_offloaded(plain, ARRAY_SIZE(plain));
	rig_close(&rig, &guest);
	rig_stop(&rig);
}

static void segmentation_is_left_to_the_host(void **state)
{
	(void)state;
	rig_open(&rig, &guest, &(struct guest_options){ .features = format | HOST_ALL });
	transmit_offloaded(plain, ARRAY_SIZE(plain));
	transmit_offloaded(tso, ARRAY_SIZE(tso));
	rig_close(&rig, &guest);
	rig_stop(&rig);
}

static void checksums_are_left_to_the_guest(void **state)
{
	(void)state;
	rig_open(&rig, &guest, &(struct guest_options){ .features = format | GUEST_CSUM });
	receive_offloaded(plain, ARRAY_SIZE(plain));
	rig_close(&rig, &guest);
	rig_stop(&rig);
}

static void segmentation_is_left_to_the_guest(void **state)
{
	(void)state;
	rig_open(&rig, &guest, &(struct guest_options){ .features = format | GUEST_ALL | MERGE });
	receive_offloaded(plain, ARRAY_SIZE(plain));
	receive_offloaded(tso, ARRAY_SIZE(tso));
	rig_close(&rig, &guest);
	rig_open(&rig, &guest, &(struct guest_options){ .features = format | GUEST_ALL });
	receive_offloaded(tso, ARRAY_SIZE(tso));
	rig_close(&rig, &guest);
	rig_stop(&rig);
}

static void nothing_is_left_to_a_plain_guest(void **state)
{
	(void)state;
	rig_open(&rig, &guest, &(struct guest_options){ .features = format | MERGE });
	receive_finished(plain, ARRAY_SIZE(plain));
	receive_finished(tso, ARRAY_SIZE(tso));
	rig_close(&rig, &guest);
	rig_stop(&rig);
}

/* What one connection negotiated is gone with it. */
static void offloads_end_with_their_connection(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		rig_open(&rig, &guest, &(struct guest_options){ .features = format | GUEST_ALL });
		receive_offloaded(tso, ARRAY_SIZE(tso));
		rig_close(&rig, &guest);
		rig_open(&rig, &guest, &(struct guest_options){ .features = format });
		receive_finished(tso, ARRAY_SIZE(tso));
		rig_close(&rig, &guest);
	}
	rig_stop(&rig);
}

static void udp_segmentation_where_the_kernel_has_it(void **state)
{
	(void)state;
	rig_connect(&rig, &guest.peer);
	assert_ok(peer_ask_u64(&guest.peer, VU_GET_FEATURES, &guest.peer.offered));
	peer_close(&guest.peer);
	if (!(guest.peer.offered & BIT(NET_F_HOST_USO))) {
		print_message("the kernel's TAP has no UDP segmentation\n");
		skip();
	}
	rig_settled(&rig);
	rig_open(&rig, &guest,
		 &(struct guest_options){ .features = format | HOST_USO | GUEST_USO });
	transmit_offloaded(uso, ARRAY_SIZE(uso));
	receive_offloaded(uso, ARRAY_SIZE(uso));
	rig_close(&rig, &guest);
	rig_open(&rig, &guest, &(struct guest_options){ .features = format });
	receive_finished(uso, ARRAY_SIZE(uso));
	rig_close(&rig, &guest);
	rig_stop(&rig);
}

#define NEEDS VIRTIO_NET_HDR_F_NEEDS_CSUM
#define TCP4  VIRTIO_NET_HDR_GSO_TCPV4
#define TCP6  VIRTIO_NET_HDR_GSO_TCPV6

/* A frame of 3000 bytes TCP over IPv4 under this header; `offered`: what the driver may use. */
static const struct lie {
	const char *name;
	uint64_t features;
	struct virtio_net_hdr hdr;
} lies[] = {
	/*                                     flags  gso   hdr_len size start offset */
	{ "checksum not negotiated", 0, { NEEDS, 0, 0, 0, 34, 16 } },
	{ "checksum starts behind the frame", HOST_ALL, { NEEDS, 0, 0, 0, 3000, 16 } },
	{ "checksum starts far behind", HOST_ALL, { NEEDS, 0, 0, 0, 65535, 65535 } },
	{ "checksum stored behind the frame", HOST_ALL, { NEEDS, 0, 0, 0, 34, 2999 } },
	{ "checksum stored half outside", HOST_ALL, { NEEDS, 0, 0, 0, 2983, 16 } },
	{ "segmentation not negotiated", CSUM, { NEEDS, TCP4, 54, 1448, 34, 16 } },
	{ "unknown segmentation", HOST_ALL, { NEEDS, 2, 54, 1448, 34, 16 } },
	{ "unknown segmentation, high", HOST_ALL, { NEEDS, 0x7f, 54, 1448, 34, 16 } },
	{ "USO not negotiated", HOST_ALL, { NEEDS, 5, 42, 1448, 34, 6 } },
	{ "UFO", HOST_ALL, { NEEDS, VIRTIO_NET_HDR_GSO_UDP, 42, 1448, 34, 6 } },
	{ "ECN not negotiated", HOST_TSO, { NEEDS, TCP4 | 0x80, 54, 1448, 34, 16 } },
	{ "segments of nothing", HOST_ALL, { NEEDS, TCP4, 54, 0, 34, 16 } },
	{ "segmentation without checksum", HOST_ALL, { 0, TCP4, 54, 1448, 34, 16 } },
};

static void lying_header_drops_its_frame(void **state)
{
	const struct lie *lie = *state;
	struct frame_flow flow = { .payload = 2946, .gso_size = 1448 };
	struct virtio_net_hdr ignored;
	size_t len = frame_flow(frame, &flow, &ignored);

	assert_int_equal(3000, len);
	rig_open(&rig, &guest, &(struct guest_options){ .features = format | lie->features });
	for (uint32_t i = 0; i < 20; i++) {
		len = frame_flow(frame, &flow, &ignored);
		assert_ok(guest_send(&guest, 0, &lie->hdr, frame, len));
		rig_transmit(&rig, &guest, 0, 64, i, 1);
	}
	assert_ok(guest_flush(&guest, 0, RIG_WAIT_MS));
	rig_exchange(&rig, &guest, 0);
	rig_close(&rig, &guest);
	rig_stop(&rig);
}

/* Lies that harm nobody: the device puts them right or the host's stack does; nothing breaks. */
static const struct lie odd[] = {
	{ "header length 0", HOST_ALL, { NEEDS, TCP4, 0, 1448, 34, 16 } },
	{ "header length beyond the frame", HOST_ALL, { NEEDS, TCP4, 65535, 1448, 34, 16 } },
	{ "the other family", HOST_ALL, { NEEDS, TCP6, 54, 1448, 34, 16 } },
	{ "segments larger than the frame", HOST_ALL, { NEEDS, TCP4, 54, 65535, 34, 16 } },
	{ "segments of one byte", HOST_ALL, { NEEDS, TCP4, 54, 1, 34, 16 } },
	{ "flags of receiving", HOST_ALL, { 0xfe, 0, 0, 0, 0, 0 } },
	{ "fields without flags", 0, { 0, 0, 54, 1448, 34, 16 } },
};

static void odd_header_harms_nobody(void **state)
{
	const struct lie *lie = *state;
	struct frame_flow flow = { .payload = 2946, .gso_size = 1448, .number = 99 };
	struct virtio_net_hdr ignored;
	uint32_t number;
	size_t len;
	int rc;

	rig_open(&rig, &guest, &(struct guest_options){ .features = format | lie->features });
	for (uint32_t i = 0; i < 20; i++) {
		len = frame_flow(frame, &flow, &ignored);
		assert_ok(guest_send(&guest, 0, &lie->hdr, frame, len));
		frame_pattern(frame, 64, i);
		assert_ok(guest_send(&guest, 0, NULL, frame, 64));
		do {
			rc = wire_recv(&rig.wire, NULL, received, sizeof(received));
			assert_true(rc == 3000 || rc == 64);
		} while (rc == 3000);
		assert_true(frame_number(received, 64, &number) && number == i);
	}
	rig_exchange(&rig, &guest, 0);
	rig_close(&rig, &guest);
	rig_stop(&rig);
}

#define TEST(name)                                              \
	cmocka_unit_test_setup_teardown(name, start, end),      \
	{                                                       \
#name ": PACKED", name, start_packed, end, NULL \
	}

int main(void)
{
	const struct CMUnitTest fixed[] = {
		TEST(checksums_are_left_to_the_host),
		TEST(segmentation_is_left_to_the_host),
		TEST(checksums_are_left_to_the_guest),
		TEST(segmentation_is_left_to_the_guest),
		TEST(nothing_is_left_to_a_plain_guest),
		TEST(offloads_end_with_their_connection),
		TEST(udp_segmentation_where_the_kernel_has_it),
	};
	struct CMUnitTest tests[ARRAY_SIZE(fixed) + ARRAY_SIZE(lies) + ARRAY_SIZE(odd)];
	size_t n = 0;

	for (; n < ARRAY_SIZE(fixed); n++)
		tests[n] = fixed[n];
	/* A header is read before its ring's format matters: every other one over packed rings. */
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++)
		tests[n++] =
			(struct CMUnitTest){ lies[i].name, lying_header_drops_its_frame,
					     i % 2 ? start_packed : start, end, (void *)&lies[i] };
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++)
		tests[n++] =
			(struct CMUnitTest){ odd[i].name, odd_header_harms_nobody,
					     i % 2 ? start_packed : start, end, (void *)&odd[i] };
	return rig_run("offload", tests, n);
}
