/*
 * The hash in the header of a received frame: published vectors, every type and shape of frame, and
 * its way through the receive path into buffers of any cut, at once or after a wait.
 */
#include "tests/unit/device/stage.h"
#include "tests/unit/lib/flows.h"

#include "device/net_hash.h"

#define HASH BIT_ULL(VIRTIO_NET_F_HASH_REPORT)
#define RX   PAIR_RX

/* Of each type: bit, then what virtio 1.3, 5.1.6.4.4 calls it. */
static uint16_t report_of(uint32_t type)
{
	static const struct {
		uint32_t type;
		uint16_t report;
	} rows[] = {
		{ 0, 0 },
		{ STEERING_IPV4, 1 },
		{ STEERING_TCPV4, 2 },
		{ STEERING_UDPV4, 3 },
		{ STEERING_IPV6, 4 },
		{ STEERING_TCPV6, 5 },
		{ STEERING_UDPV6, 6 },
		{ STEERING_IP_EX, 7 },
		{ STEERING_TCP_EX, 8 },
		{ STEERING_UDP_EX, 9 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].type == type)
			return rows[i].report;
	fail();
	return 0;
}

static struct net_hash config(uint32_t types)
{
	struct net_hash cfg = { .types = types };

	memcpy(cfg.key, flows_key, sizeof(cfg.key));
	return cfg;
}

static void types_and_shapes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(flows_rows); i++) {
		const struct net_hash cfg = config(flows_rows[i].types);

		for (size_t j = 0; j < ARRAY_SIZE(vectors); j++) {
			const struct vector *v = &vectors[j];
			uint32_t type = is6(v) ? flows_rows[i].hashed6 : flows_rows[i].hashed4;
			uint32_t value = 0x5a5a5a5a;

			flows_build(v, &flows_rows[i].shape);
			assert_int_equal(report_of(type),
					 net_hash(&cfg, frame.bytes,
						  min_of(frame.len, (size_t)NET_HASH_HEAD),
						  &value));
			assert_int_equal(!type		      ? 0x5a5a5a5a
					 : type & FLOWS_PORTS ? v->ports
							      : v->addresses,
					 value);
		}
	}
}

static void frame_comes(void)
{
	static const struct net_hdr plain = { .num_buffers = 7 };
	struct iovec iov[2] = { { (void *)&plain, sizeof(plain) }, { frame.bytes, frame.len } };

	assert_int_equal(sizeof(plain) + frame.len, writev(stage.wire, iov, 2));
}

static void reported(uint16_t report, uint32_t value, unsigned int buffers)
{
	struct net_hdr_hash hdr;
	uint32_t len;

	assert_int_equal(0, net_rx_run(&stage.pair));
	for (unsigned int i = 0; i < buffers; i++)
		assert_true(used_take(RX, &len) >= 0);
	assert_int_equal(-1, used_take(RX, &len));
	memcpy(&hdr, at(BUFFERS), sizeof(hdr));
	assert_int_equal(buffers, hdr.plain.num_buffers);
	assert_int_equal(report, hdr.hash_report);
	assert_int_equal(value, hdr.hash_value);
	assert_int_equal(0, hdr.padding);
	assert_memory_equal(frame.bytes, (char *)at(BUFFERS) + sizeof(hdr), 14);
}

static struct net_filter_box box;

static void open_with(uint32_t types)
{
	struct net_filter f;

	stage_open(64, 0, MODERN | MRG | HASH);
	net_filter_default(&f, (const uint8_t[6]){ 2 });
	f.hash = config(types);
	box = (struct net_filter_box){ 0 };
	net_filter_publish(&box, &f);
	stage.pair.rules = &box;
	memset(at(BUFFERS), 0xee, 4096);
}

/* Pieces of one byte, of the header's length, and of all. */
static void in_the_header(void **state)
{
	static const uint32_t cuts[] = { 1, 12, 20, 21, 4096 };
	const struct vector *v = &vectors[VECTOR6];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
		uint32_t n = 0;

		open_with(STEERING_TYPES);
		for (uint32_t off = 0; off < 4096 && n < 63; off += cuts[i], n++)
			desc_set(RX, (uint16_t)n, BUFFERS + off,
				 n == 62 ? 4096 - off : min_of(cuts[i], 4096 - off),
				 DESC_F_WRITE | (off + cuts[i] < 4096 && n < 62 ? DESC_F_NEXT : 0),
				 (uint16_t)(n + 1));
		avail_push(RX, 0);
		flows_build(v, &(struct shape){ .transport = 6 });
		frame_comes();
		reported(5, v->ports, 1);
		stage_close();
	}
}

/* A frame of no type, and one that nobody asked about; what was said of the last is not said again.
 */
static void none(void **state)
{
	(void)state;
	for (uint32_t types = 0; types < 2; types++) {
		open_with(types ? STEERING_TYPES : 0);
		post(RX, 0, BUFFERS, 4096);
		flows_build(&vectors[0], &(struct shape){ .transport = 6, .tags = types ? 3 : 0 });
		frame_comes();
		reported(0, 0, 1);
		stage_close();
	}
}

/* One that waits for buffers is hashed all the same. */
static void after_a_wait(void **state)
{
	(void)state;
	open_with(STEERING_TYPES);
	post(RX, 0, BUFFERS, 40);
	flows_build(&vectors[0], &(struct shape){ .transport = 17 });
	frame_comes();
	assert_int_equal(0, net_rx_run(&stage.pair));
	assert_int_equal(-1, used_take(RX, NULL));
	assert_int_equal(frame.len, stage.pair.rx.held_len);
	post(RX, 1, BUFFERS + 40, 40);
	post(RX, 2, BUFFERS + 80, 40);
	reported(3, vectors[0].ports, (unsigned int)(20 + frame.len + 39) / 40);
	stage_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types_and_shapes),
		cmocka_unit_test(in_the_header),
		cmocka_unit_test(none),
		cmocka_unit_test(after_a_wait),
	};

	return cmocka_run_group_tests_name("net_hash", tests, NULL, NULL);
}
