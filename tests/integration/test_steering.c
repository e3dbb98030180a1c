/*
 * Receive-side scaling from the driver's command to the ring on which a frame arrives: the kernel's
 * choice, and the hash in the header, are compared, frame by frame, with a Toeplitz hash computed
 * here.
 */
#include <errno.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/util.h"
#include "tests/support/control.h"
#include "tests/support/rig.h"

#define OK	   VIRTIO_NET_OK
#define ERR	   VIRTIO_NET_ERR
#define PAIRS	   4
#define HASHING	   (CONTROL_BITS | BIT(NET_F_HASH))
#define FEATURES   (HASHING | BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_RSS))
#define MERGE	   BIT(VIRTIO_NET_F_MRG_RXBUF)
#define PACKED	   BIT(VIRTIO_F_RING_PACKED)
#define ALL_TYPES  0x1ffu
#define KEY_BYTES  40
#define TABLE	   128
#define FLOWS	   64
#define ARRIVES_MS 500

static struct rig rig;
static struct guest guest;
static struct control control;
static uint8_t frame[128], received[FRAME_MAX];
static uint8_t key[KEY_BYTES];
static uint16_t table[TABLE];

static int start(void **state)
{
	(void)state;
	guest_blank(&guest);
	control.ring.kick = control.ring.call = control.ring.err = -1;
	for (unsigned i = 0; i < KEY_BYTES; i++)
		key[i] = (uint8_t)(17 + 91 * i);
	for (unsigned i = 0; i < TABLE; i++)
		table[i] = (uint16_t)(i * 7 / 3 % PAIRS);
	rig_start(&rig, (const char *[]){ "--queue-pairs=4", NULL });
	return 0;
}

static int end(void **state)
{
	(void)state;
	control_close(&control);
	guest_close(&guest);
	rig_abandon(&rig);
	return 0;
}

static uint32_t hash(const uint8_t *input, size_t n)
{
	uint32_t result = 0;

	for (size_t bit = 0; bit < 8 * n; bit++) {
		uint32_t window = 0;

		if (!(input[bit / 8] & 0x80 >> bit % 8))
			continue;
		for (size_t i = bit; i < bit + 32; i++)
			window = window << 1 | (key[i / 8] >> (7 - i % 8) & 1);
		result ^= window;
	}
	return result;
}

/* One of many UDP or TCP flows; what is hashed of it goes to input, its length is returned. */
static size_t flow_build(unsigned n, bool six, bool tcp, uint8_t input[36])
{
	size_t addresses = six ? 32 : 8;

	for (size_t i = 0; i < addresses + 4; i++)
		input[i] = (uint8_t)(n * 37 + i * 11 + (n >> 3));
	memset(frame, 0, sizeof(frame));
	memset(frame, 2, 12);
	if (six) {
		memcpy(frame + 12,
		       (uint8_t[]){ 0x86, 0xdd, 0x60, 0, 0, 0, 0, 40, tcp ? 6 : 17, 64 }, 10);
		memcpy(frame + 22, input, 36);
	} else {
		memcpy(frame + 12,
		       (uint8_t[]){ 8, 0, 0x45, 0, 0, 60, 0, 0, 0, 0, 64, tcp ? 6 : 17 }, 12);
		memcpy(frame + 26, input, 12);
	}
	return addresses + 4;
}

static int say_rss(uint32_t types, uint16_t entries, uint16_t unclassified, uint16_t transmit,
		   uint8_t key_bytes, int too_long)
{
	uint8_t data[4 + 2 + 2 + 2 * TABLE + 2 + 1 + 256 + 8] = { 0 };
	uint16_t mask = (uint16_t)(entries - 1);
	size_t at = 8 + 2ul * entries;

	memcpy(data, &types, 4);
	memcpy(data + 4, &mask, 2);
	memcpy(data + 6, &unclassified, 2);
	memcpy(data + 8, table, 2ul * entries);
	memcpy(data + at, &transmit, 2);
	data[at + 2] = key_bytes;
	memcpy(data + at + 3, key, min_of(key_bytes, (uint8_t)KEY_BYTES));
	return control_say(&control, 4, 1, data, at + 3 + key_bytes + (size_t)too_long);
}

/* The pair on whose ring `frame` arrives; -1 none. */
static int arrival(void)
{
	assert_ok(wire_send(&rig.wire, NULL, frame, sizeof(frame)));
	for (int64_t until = clock_ms() + ARRIVES_MS; clock_ms() < until;)
		for (unsigned pair = 0; pair < guest.options.pairs; pair++)
			if (guest_receive(&guest, pair, NULL, received, sizeof(received), 1) > 0) {
				assert_memory_equal(frame, received, sizeof(frame));
				return (int)pair;
			}
	return -1;
}

/* What the header of a flow must say: TCPv4 2, UDPv4 3, TCPv6 5, UDPv6 6. */
static void hash_reported(const uint8_t *input, size_t len, bool six, bool tcp)
{
	assert_int_equal((six ? 5 : 2) + !tcp, guest.report);
	assert_int_equal(hash(input, len), guest.hash);
}

/* Every flow where the hash says, and some at each pair. */
static bool flows_arrive(uint16_t mask)
{
	uint8_t input[36];
	unsigned seen = 0;

	for (unsigned n = 0; n < FLOWS; n++) {
		size_t len = flow_build(n, n & 1, n & 2, input);
		int pair = arrival();

		if (pair != table[hash(input, len) & mask])
			return false;
		hash_reported(input, len, n & 1, n & 2);
		seen |= 1u << pair;
	}
	return seen == (1u << PAIRS) - 1;
}

/* Steering is switched on after the last queue. */
static bool flows_come_to_arrive(uint16_t mask)
{
	for (int64_t end = clock_ms() + RIG_WAIT_MS; clock_ms() < end;)
		if (flows_arrive(mask))
			return true;
	return false;
}

static void open_guest(void)
{
	rig_open(&rig, &guest, &(struct guest_options){ .pairs = PAIRS, .features = FEATURES });
	assert_ok(control_open(&control, &guest, PAIRS));
}

static void frames_arrive_where_the_hash_says(void **state)
{
	uint8_t input[36];

	(void)state;
	open_guest();
	assert_int_equal(OK, say_rss(ALL_TYPES, TABLE, 3, PAIRS, KEY_BYTES, 0));
	assert_true(rig_attached(&rig, PAIRS));
	assert_true(flows_come_to_arrive(TABLE - 1));
	/* what no type covers */
	flow_build(0, false, true, input);
	frame[12] = 0x88;
	assert_int_equal(3, arrival());
	assert_int_equal(0, guest.report);
	/* another key and table, at once */
	for (unsigned i = 0; i < KEY_BYTES; i++)
		key[i] = (uint8_t)(201 - 13 * i);
	for (unsigned i = 0; i < TABLE; i++)
		table[i] = (uint16_t)(PAIRS - 1 - i % PAIRS);
	assert_int_equal(OK, say_rss(ALL_TYPES, 16, 0, PAIRS, KEY_BYTES, 0));
	assert_true(flows_arrive(15));
	control_close(&control);
	rig_close(&rig, &guest);
	rig_serves(&rig);
	rig_stop(&rig);
}

/* The kernel renumbers its queues when one is detached; the guest's pairs stay what they are. */
static void pairs_keep_their_numbers(void **state)
{
	(void)state;
	open_guest();
	assert_int_equal(OK, say_rss(ALL_TYPES, TABLE, 0, PAIRS, KEY_BYTES, 0));
	assert_true(rig_attached(&rig, PAIRS));
	for (unsigned ring = 2; ring < 4; ring++)
		assert_ok(guest_ring_enable(&guest, ring, false));
	assert_true(rig_attached(&rig, PAIRS - 1));
	for (unsigned ring = 2; ring < 4; ring++)
		assert_ok(guest_ring_enable(&guest, ring, true));
	assert_true(rig_attached(&rig, PAIRS));
	assert_true(flows_come_to_arrive(TABLE - 1));
	control_close(&control);
	rig_close(&rig, &guest);
	rig_stop(&rig);
}

static void commands_that_cannot_be(void **state)
{
	(void)state;
	open_guest();
	assert_int_equal(ERR, say_rss(ALL_TYPES + 1, TABLE, 0, PAIRS, KEY_BYTES, 0));
	assert_int_equal(ERR, say_rss(ALL_TYPES, 3, 0, PAIRS, KEY_BYTES, 0));
	assert_int_equal(ERR, say_rss(ALL_TYPES, TABLE, PAIRS, PAIRS, KEY_BYTES, 0));
	assert_int_equal(ERR, say_rss(ALL_TYPES, TABLE, 0, PAIRS + 1, KEY_BYTES, 0));
	assert_int_equal(ERR, say_rss(ALL_TYPES, TABLE, 0, 0, KEY_BYTES, 0));
	assert_int_equal(ERR, say_rss(ALL_TYPES, TABLE, 0, PAIRS, KEY_BYTES + 1, 0));
	assert_int_equal(ERR, say_rss(ALL_TYPES, TABLE, 0, PAIRS, KEY_BYTES, 2));
	assert_int_equal(ERR, say_rss(ALL_TYPES, TABLE, 0, PAIRS, KEY_BYTES, -1));
	table[TABLE - 1] = PAIRS;
	assert_int_equal(ERR, say_rss(ALL_TYPES, TABLE, 0, PAIRS, KEY_BYTES, 0));
	table[TABLE - 1] = 0;
	assert_int_equal(OK, say_rss(ALL_TYPES, 1, 0, 1, 0, 0));
	assert_int_equal(OK, say_rss(ALL_TYPES, TABLE, 0, PAIRS, KEY_BYTES, 1)); /* Linux */
	assert_int_equal(OK, say_rss(0, 1, 0, 1, KEY_BYTES, 0)); /* as Linux switches it off */
	rig_exchange(&rig, &guest, 0);
	control_close(&control);
	rig_close(&rig, &guest);
	rig_stop(&rig);
}

/* One pair, nothing to choose from: the hash is for the driver alone. */
static void hash_without_steering(void **state)
{
	uint8_t data[4 + 8 + 1 + KEY_BYTES] = { 0xff, 1, 0, 0, [12] = KEY_BYTES };
	uint8_t input[36];

	rig_open(&rig, &guest,
		 &(struct guest_options){ .features = HASHING | (uint64_t)(uintptr_t)*state });
	assert_int_equal(20, guest.header);
	assert_ok(control_open(&control, &guest, PAIRS));
	flow_build(1, false, false, input);
	assert_int_equal(0, arrival());
	assert_int_equal(0, guest.report);
	memcpy(data + 13, key, KEY_BYTES);
	assert_int_equal(OK, control_say(&control, 4, 2, data, sizeof(data)));
	for (unsigned n = 0; n < FLOWS; n++) {
		size_t len = flow_build(n, n & 1, n & 2, input);

		assert_int_equal(0, arrival());
		hash_reported(input, len, n & 1, n & 2);
	}
	rig_exchange(&rig, &guest, 0);
	data[12]++;
	assert_int_equal(ERR, control_say(&control, 4, 2, data, sizeof(data)));
	control_close(&control);
	rig_close(&rig, &guest);
	rig_serves(&rig);
	rig_stop(&rig);
}

static void configuration_space(void **state)
{
	static const uint8_t wanted[] = { KEY_BYTES, TABLE, 0, 0xff, 1, 0, 0 };
	struct vu_config ask = { .offset = 17, .size = sizeof(wanted) };
	struct vu_message reply;

	(void)state;
	open_guest();
	assert_ok(peer_ask(&guest.peer, VU_GET_CONFIG, &ask, 12 + sizeof(wanted), &reply));
	assert_memory_equal(wanted, reply.config.bytes, sizeof(wanted));
	control_close(&control);
	rig_close(&rig, &guest);
	rig_stop(&rig);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, start, end)
#define WITH(test, features)                                                          \
	{                                                                             \
#test ": " #features, test, start, end, (void *)(uintptr_t)(features) \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(frames_arrive_where_the_hash_says),
		CASE(pairs_keep_their_numbers),
		CASE(commands_that_cannot_be),
		CASE(configuration_space),
		WITH(hash_without_steering, 0),
		WITH(hash_without_steering, MERGE),
		WITH(hash_without_steering, PACKED),
		WITH(hash_without_steering, PACKED | MERGE),
	};

	return rig_run("steering", tests, ARRAY_SIZE(tests));
}
