/*
 * The control queue between ring and device: every command with its features, lengths and values,
 * what it changes, and what no chain can do. Filters by themselves, and on their way through the
 * receive path.
 */
#include "tests/unit/device/stage.h"

#include "device/net_ctrl.h"

#define CTRL  PAIR_RX /* of the stage's pair: the control ring */
#define F(n)  BIT_ULL(VIRTIO_NET_F_##n)
#define PAIRS 4
#define ALL                                                                           \
	(MODERN | F(CTRL_VQ) | F(CTRL_RX) | F(CTRL_RX_EXTRA) | F(CTRL_VLAN) | F(MQ) | \
	 F(CTRL_MAC_ADDR) | F(CTRL_GUEST_OFFLOADS) | F(GUEST_CSUM) | F(GUEST_TSO4) |  \
	 F(GUEST_ANNOUNCE) | F(HASH_REPORT))
#define OK  0
#define ERR 1

static struct lifecycle lifecycle;
static struct net_setup setup;
static struct net_ctrl ctrl;
static struct worker worker;
static const uint8_t given[6] = { 2, 0, 0, 0, 0, 1 };
static uint16_t head;

static int begin(void **state)
{
	(void)state;
	stage_open(64, 0, 0);
	setup = (struct net_setup){ .pairs = PAIRS };
	memcpy(setup.mac, given, 6);
	lifecycle = (struct lifecycle){ .setup = &setup, .features = ALL };
	net_ctrl_init(&ctrl, &worker, &lifecycle, &setup, stage.pair.tap);
	stage.pair.control = &ctrl;
	head = 0;
	return 0;
}

static int end(void **state)
{
	(void)state;
	stage_close();
	return 0;
}

/* Readable pieces of these lengths, then `in` bytes to write; -1 none. */
static void chain_post(const void *bytes, size_t len, size_t first, int in)
{
	uint8_t *out = at(BUFFERS);

	memcpy(out, bytes, len);
	out[0x10000] = 0x5a;
	head = 0;
	if (first && first < len) {
		desc_set(CTRL, 0, BUFFERS, (uint32_t)first, DESC_F_NEXT, 1);
		desc_set(CTRL, 1, BUFFERS + first, (uint32_t)(len - first),
			 in >= 0 ? DESC_F_NEXT : 0, 2);
	} else {
		desc_set(CTRL, 0, BUFFERS, (uint32_t)len, in >= 0 ? DESC_F_NEXT : 0, 2);
	}
	desc_set(CTRL, 2, BUFFERS + 0x10000, (uint32_t)in, DESC_F_WRITE, 0);
	avail_push(CTRL, 0);
}

/* The answer to a command; its data follows class and command. */
static int say(const void *bytes, size_t len)
{
	uint32_t used = 0;

	chain_post(bytes, len, 2, 1);
	assert_int_equal(0, net_ctrl_run(&stage.pair));
	assert_int_equal(0, used_take(CTRL, &used));
	assert_int_equal(1, used);
	return ((uint8_t *)at(BUFFERS))[0x10000];
}

#define SAY(...) say((uint8_t[]){ __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ }))

static bool passes(uint8_t first, uint8_t last)
{
	const uint8_t frame[NET_FILTER_HEAD] = { first, 0, 0, 0, 0, last };

	return net_filter_pass(&ctrl.filter, frame, sizeof(frame));
}

static bool broadcast_passes(void)
{
	const uint8_t frame[NET_FILTER_HEAD] = { 255, 255, 255, 255, 255, 255 };

	return net_filter_pass(&ctrl.filter, frame, sizeof(frame));
}

static bool vlan_passes(unsigned int id, size_t len)
{
	const uint8_t frame[NET_FILTER_HEAD] = {
		2, [5] = 1, [12] = 0x81, [14] = (uint8_t)(id >> 8), [15] = (uint8_t)id
	};

	return net_filter_pass(&ctrl.filter, frame, len);
}

static void modes(void **state)
{
	(void)state;
	assert_false(net_filter_looks(&ctrl.filter));
	assert_true(passes(2, 9) && passes(1, 9) && broadcast_passes());
	assert_int_equal(OK, SAY(0, 1, 0)); /* one mode alone leaves promiscuity */
	assert_true(passes(2, 9));
	assert_int_equal(OK, SAY(0, 0, 0));
	assert_true(net_filter_looks(&ctrl.filter));
	assert_true(passes(2, 1) && broadcast_passes());
	assert_false(passes(2, 9) || passes(1, 9));
	assert_int_equal(OK, SAY(0, 1, 1));
	assert_true(passes(1, 9) && !passes(2, 9));
	assert_int_equal(OK, SAY(0, 2, 1));
	assert_true(passes(2, 9));
	assert_int_equal(OK, SAY(0, 3, 1));
	assert_false(passes(1, 9));
	assert_int_equal(OK, SAY(0, 4, 1));
	assert_false(passes(2, 1));
	assert_int_equal(OK, SAY(0, 5, 1));
	assert_false(broadcast_passes());
	assert_int_equal(OK, SAY(0, 0, 1));
	assert_true(passes(2, 9) && passes(1, 9) && broadcast_passes());
}

static void tables(void **state)
{
	static uint8_t big[2 + 4 + 70 * 6 + 4] = { 1, 0, 70 };

	(void)state;
	SAY(0, 0, 0);
	assert_int_equal(OK, SAY(1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 7, 1, 0, 0, 0, 1, 0, 0, 0, 0, 8));
	assert_true(passes(2, 7) && passes(1, 8) && passes(2, 1));
	assert_false(passes(2, 8) || passes(1, 7));
	/* counts that the data does not bear out, and data that nothing counts */
	assert_int_equal(ERR, SAY(1, 0, 2, 0, 0, 0, 2, 0, 0, 0, 0, 9, 0, 0, 0, 0));
	assert_int_equal(ERR, SAY(1, 0, 255, 255, 255, 255, 2, 0, 0, 0, 0, 9, 0, 0, 0, 0));
	assert_int_equal(ERR, SAY(1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1));
	assert_int_equal(ERR, SAY(1, 0, 0, 0, 0, 0, 0, 0, 0));
	assert_true(passes(2, 7) && !passes(2, 9));
	/* more than are kept: all pass */
	assert_int_equal(OK, say(big, sizeof(big)));
	assert_true(passes(2, 99) && !passes(1, 8));
}

static void address(void **state)
{
	(void)state;
	SAY(0, 0, 0);
	assert_int_equal(OK, SAY(1, 1, 2, 0, 0, 0, 0, 5));
	assert_true(passes(2, 5) && !passes(2, 1));
	assert_int_equal(5, setup.mac[5]);
	assert_int_equal(ERR, SAY(1, 1, 3, 0, 0, 0, 0, 6));
	assert_int_equal(5, setup.mac[5]);
	net_ctrl_features(&ctrl, ALL);
	assert_int_equal(5, setup.mac[5]);
	net_ctrl_features(&ctrl, MODERN); /* no control queue: nothing was ever said */
	assert_int_equal(1, setup.mac[5]);
	assert_true(passes(2, 9));
}

static void vlans(void **state)
{
	(void)state;
	assert_true(vlan_passes(7, 18));
	assert_int_equal(OK, SAY(2, 0, 7, 0));
	assert_int_equal(OK, SAY(2, 0, 0xff, 0x0f));
	assert_true(vlan_passes(7, 18) && vlan_passes(4095, 18));
	assert_false(vlan_passes(8, 18));
	assert_true(vlan_passes(8, 17)); /* too short to bear a tag */
	assert_int_equal(OK, SAY(2, 1, 7, 0));
	assert_false(vlan_passes(7, 18));
	assert_int_equal(ERR, SAY(2, 0, 0, 0x10));
}

static void pairs(void **state)
{
	(void)state;
	assert_int_equal(PAIRS, lifecycle.active);
	assert_int_equal(OK, SAY(4, 0, 2, 0));
	assert_int_equal(2, lifecycle.active);
	assert_int_equal(ERR, SAY(4, 0, 0, 0));
	assert_int_equal(ERR, SAY(4, 0, PAIRS + 1, 0));
	assert_int_equal(ERR, SAY(4, 0, 2, 1));
	assert_int_equal(2, lifecycle.active);
}

static void offloads(void **state)
{
	(void)state;
	/* not negotiated; then a TAP (a socket here) that refuses: nothing changes */
	assert_int_equal(ERR, SAY(5, 0, 0, 1, 0, 0, 0, 0, 0, 0));
	assert_int_equal(ERR, SAY(5, 0, 1, 0, 0, 0, 0, 0, 0, 0));
	assert_int_equal(ERR, SAY(5, 0, 2, 0, 0, 0, 0, 0, 0, 0));
	assert_int_equal(0, ctrl.filter.offloads_off);
}

/* types, reserved, key length, key; the byte behind it is Linux's. */
static void hashing(void **state)
{
	uint8_t bytes[2 + 13 + 41] = { 4, 2, 0x3f };

	(void)state;
	for (uint8_t i = 0; i < 41; i++)
		bytes[15 + i] = (uint8_t)(i + 1);
	assert_int_equal(0, ctrl.filter.hash.types);
	bytes[14] = 40;
	assert_int_equal(OK, say(bytes, 2 + 13 + 40));
	assert_int_equal(OK, say(bytes, 2 + 13 + 41));
	assert_int_equal(0x3f, ctrl.filter.hash.types);
	assert_memory_equal(bytes + 15, ctrl.filter.hash.key, 40);
	assert_int_equal(ERR, say(bytes, 2 + 13 + 39));
	bytes[14] = 41;
	assert_int_equal(ERR, say(bytes, 2 + 13 + 41));
	bytes[14] = 0;
	bytes[3] = 2; /* a tenth type */
	assert_int_equal(ERR, say(bytes, 2 + 13));
	assert_int_equal(0x3f, ctrl.filter.hash.types);
	bytes[2] = bytes[3] = 0;
	assert_int_equal(OK, say(bytes, 2 + 13));
	assert_int_equal(0, ctrl.filter.hash.types);
	assert_int_equal(0, ctrl.filter.hash.key[0]);
	/* With receive-side scaling its command counts, and no other. */
	lifecycle.features |= F(RSS);
	assert_int_equal(ERR, say(bytes, 2 + 13));
}

static void announcing(void **state)
{
	(void)state;
	assert_false(net_ctrl_announce(&ctrl)); /* nobody would hear of it */
	worker.pair.queues[PAIR_RX].running = true;
	assert_true(net_ctrl_announce(&ctrl));
	assert_true(setup.announce && net_ctrl_changed(&ctrl) && !net_ctrl_changed(&ctrl));
	assert_int_equal(OK, SAY(3, 0));
	assert_false(setup.announce || net_ctrl_changed(&ctrl));
	lifecycle.features &= ~F(GUEST_ANNOUNCE);
	assert_false(net_ctrl_announce(&ctrl));
	worker.pair.queues[PAIR_RX].running = false;
}

static void unknown_and_not_negotiated(void **state)
{
	static const struct {
		uint8_t bytes[16];
		size_t len;
		uint64_t feature; /* 0: no feature makes it a command */
	} rows[] = {
		{ { 0, 0, 0 }, 3, F(CTRL_RX) },
		{ { 0, 1, 0 }, 3, F(CTRL_RX) },
		{ { 0, 2, 0 }, 3, F(CTRL_RX_EXTRA) },
		{ { 0, 3, 0 }, 3, F(CTRL_RX_EXTRA) },
		{ { 0, 4, 0 }, 3, F(CTRL_RX_EXTRA) },
		{ { 0, 5, 0 }, 3, F(CTRL_RX_EXTRA) },
		{ { 1, 0 }, 10, F(CTRL_RX) },
		{ { 1, 1, 2 }, 8, F(CTRL_MAC_ADDR) },
		{ { 2, 0 }, 4, F(CTRL_VLAN) },
		{ { 2, 1 }, 4, F(CTRL_VLAN) },
		{ { 3, 0 }, 2, F(GUEST_ANNOUNCE) },
		{ { 4, 0, 1 }, 4, F(MQ) },
		{ { 4, 2, 1 }, 15, F(HASH_REPORT) },
		{ { 0, 6, 0 }, 3, 0 },
		{ { 3, 1 }, 2, 0 },
		{ { 5, 1 }, 10, 0 },
		{ { 6, 0 }, 10, 0 },
		{ { 255, 255 }, 2, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		lifecycle.features = ALL & ~rows[i].feature;
		assert_int_equal(ERR, say(rows[i].bytes, rows[i].len));
		lifecycle.features = ALL;
		if (!rows[i].feature)
			continue;
		if (rows[i].len > 2)
			assert_int_equal(ERR, say(rows[i].bytes, rows[i].len - 1));
		if (rows[i].len < 10)
			assert_int_equal(ERR, say(rows[i].bytes, rows[i].len + 1));
		assert_int_equal(OK, say(rows[i].bytes, rows[i].len));
	}
}

/* What is no command breaks the ring there; nothing of it was carried out. */
static void hostile_chains(void **state)
{
	static const struct {
		size_t len, first;
		int in;
	} rows[] = { { 1, 0, 1 }, { 3, 0, -1 }, { 3, 2, -1 }, { 0, 0, 1 }, { 3, 0, 0 } };
	static const uint8_t promisc_off[] = { 0, 0, 0 };
	uint32_t base;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		chain_post(promisc_off, rows[i].len, rows[i].first, rows[i].in);
		base = ring_base(&stage.pair.queues[CTRL].ring);
		assert_true(net_ctrl_run(&stage.pair) < 0);
		assert_int_equal(base, ring_base(&stage.pair.queues[CTRL].ring));
		assert_int_equal(-1, used_take(CTRL, NULL));
		assert_true(ctrl.filter.promisc);
		end(NULL);
		begin(NULL);
	}
}

/* DPDK 6ec1778134: descriptors that follow each other in a circle. */
static void chain_without_end(void **state)
{
	(void)state;
	desc_set(CTRL, 0, BUFFERS, 1, DESC_F_NEXT, 1);
	desc_set(CTRL, 1, BUFFERS, 1, DESC_F_NEXT, 0);
	avail_push(CTRL, 0);
	assert_int_equal(-ELOOP, net_ctrl_run(&stage.pair));
	assert_int_equal(-1, used_take(CTRL, NULL));
}

static void any_layout_and_too_much(void **state)
{
	static uint8_t big[2 + NET_CTRL_DATA_MAX + 1] = { 1, 0 };
	uint32_t used;

	(void)state;
	for (size_t first = 1; first < 3; first++) {
		chain_post((uint8_t[]){ 0, 0, 0 }, 3, first, 7);
		assert_int_equal(0, net_ctrl_run(&stage.pair));
		assert_int_equal(0, used_take(CTRL, &used));
		assert_int_equal(1, used);
		assert_int_equal(OK, ((uint8_t *)at(BUFFERS))[0x10000]);
	}
	memcpy(at(BUFFERS + 0x20000), big, sizeof(big));
	desc_set(CTRL, 0, BUFFERS + 0x20000, sizeof(big), DESC_F_NEXT, 2);
	desc_set(CTRL, 2, BUFFERS, 1, DESC_F_WRITE, 0);
	avail_push(CTRL, 0);
	assert_int_equal(0, net_ctrl_run(&stage.pair));
	assert_int_equal(0, used_take(CTRL, &used));
	assert_int_equal(ERR, *(uint8_t *)at(BUFFERS));
}

/* A turn ends, and a disabled ring waits. */
static void bounded(void **state)
{
	(void)state;
	chain_post((uint8_t[]){ 0, 0, 0 }, 3, 0, 1);
	for (int i = 0; i < 63; i++)
		avail_push(CTRL, 0);
	stage.pair.queues[CTRL].enabled = false;
	assert_int_equal(0, net_ctrl_run(&stage.pair));
	assert_int_equal(-1, used_take(CTRL, NULL));
	stage.pair.queues[CTRL].enabled = true;
	assert_int_equal(1, net_ctrl_run(&stage.pair));
	assert_int_equal(64, stats(CTRL)->frames);
	assert_int_equal(0, net_ctrl_run(&stage.pair));
}

/* Through the receive path: a frame that nobody wants leaves the buffer to the next. */
static void receive(void **state)
{
	static const struct net_hdr plain = { 0 };
	static struct net_filter_box box;
	struct net_filter f;
	uint32_t len;

	(void)state;
	stage_close();
	stage_open(64, 0, MODERN | MRG);
	stage.pair.rules = &box;
	post(PAIR_RX, 0, BUFFERS, 4096);
	wire_send(&plain, 100, 2); /* destination 2, 9, 16 .. */
	net_filter_default(&f, given);
	net_filter_publish(&box, &f);
	assert_int_equal(0, net_rx_run(&stage.pair));
	assert_int_equal(0, used_take(PAIR_RX, &len));
	f.promisc = false;
	net_filter_publish(&box, &f);
	post(PAIR_RX, 1, BUFFERS, 4096);
	wire_send(&plain, 100, 2);
	assert_int_equal(0, net_rx_run(&stage.pair));
	assert_int_equal(-1, used_take(PAIR_RX, &len));
	assert_int_equal(1, stats(PAIR_RX)->dropped_filtered);
	f.alluni = true;
	net_filter_publish(&box, &f);
	wire_send(&plain, 60, 4);
	assert_int_equal(0, net_rx_run(&stage.pair));
	assert_int_equal(1, used_take(PAIR_RX, &len));
	assert_int_equal(NET_HDR_LEN + 60, len);
	/* one too long for what is posted is asked about all the same */
	f.alluni = false;
	net_filter_publish(&box, &f);
	post(PAIR_RX, 2, BUFFERS, 64);
	wire_send(&plain, 1000, 2);
	assert_int_equal(0, net_rx_run(&stage.pair));
	assert_int_equal(0, stage.pair.rx.held_len);
	assert_int_equal(2, stats(PAIR_RX)->dropped_filtered);
	/* offloads that were switched off after the frame was queued */
	f.promisc = true;
	f.offloads_off = F(GUEST_CSUM);
	stage.pair.features |= F(GUEST_CSUM);
	net_filter_publish(&box, &f);
	wire_send(&(struct net_hdr){ .flags = NET_HDR_F_NEEDS_CSUM, .csum_start = 14 }, 40, 2);
	assert_int_equal(0, net_rx_run(&stage.pair));
	assert_int_equal(-1, used_take(PAIR_RX, &len));
	assert_int_equal(1, stats(PAIR_RX)->dropped_tap);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(modes),
		CASE(tables),
		CASE(address),
		CASE(vlans),
		CASE(pairs),
		CASE(offloads),
		CASE(bounded),
		CASE(hashing),
		CASE(announcing),
		CASE(unknown_and_not_negotiated),
		CASE(receive),
		CASE(hostile_chains),
		CASE(chain_without_end),
		CASE(any_layout_and_too_much),
	};

	return cmocka_run_group_tests_name("net_ctrl", tests, NULL, NULL);
}
