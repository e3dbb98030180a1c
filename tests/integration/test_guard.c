/*
 * --guard=mac,arp: what a guest sends under another address never reaches the host, whatever way it
 * is wrapped, and is counted; all else passes; and with the broker goes the guard.
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/util.h"
#include "tests/integration/served.h"

#define MAC "02:00:00:00:00:01"

static uint8_t frame[2048], received[FRAME_MAX];
static size_t len;

static const uint8_t own[6] = { 2, 0, 0, 0, 0, 1 }, other[6] = { 2, 0, 0, 0, 0, 2 };

static int start_with(const char *guard)
{
	guest_blank(&guest);
	rig_start(&rig, (const char *[]){ guard, "--mac=" MAC, NULL });
	return 0;
}

static int start_guarded(void **state)
{
	return start_with(*state);
}

static void put(const void *bytes, size_t n)
{
	memcpy(frame + len, bytes, n);
	len += n;
}

static void zeros(size_t n)
{
	memset(frame + len, 0, n);
	len += n;
}

#define PUT(...) put((uint8_t[]){ __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ }))

/* Ethernet, with so many VLAN tags. */
static void ethernet(const uint8_t source[6], unsigned tags, uint16_t type)
{
	len = 0;
	PUT(0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
	put(source, 6);
	for (unsigned i = 0; i < tags; i++)
		PUT(i + 1 < tags ? 0x88 : 0x81, i + 1 < tags ? 0xa8 : 0, 0, 7);
	PUT((uint8_t)(type >> 8), (uint8_t)type);
}

static void arp(const uint8_t source[6], const uint8_t sender[6], unsigned tags, uint16_t type,
		uint8_t hardware)
{
	ethernet(source, tags, type);
	PUT(0, hardware, 8, 0, 6, 4, 0, 1);
	put(sender, 6);
	PUT(10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2);
	zeros(18);
}

/* An ICMPv6 message behind `extensions` destination options headers, with one link-layer option. */
static void nd(uint8_t message, const uint8_t target[6], unsigned extensions, uint8_t fixed,
	       uint8_t option)
{
	uint16_t payload = (uint16_t)(8 * extensions + fixed + 8);

	ethernet(own, 0, ETH_P_IPV6);
	PUT(0x60, 0, 0, 0, (uint8_t)(payload >> 8), (uint8_t)payload, extensions ? 60 : 58, 255);
	zeros(32);
	for (unsigned i = 0; i < extensions; i++)
		PUT(i + 1 < extensions ? 60 : 58, 0, 1, 4, 0, 0, 0, 0);
	PUT(message, 0);
	zeros(fixed - 2u);
	PUT(option, 1);
	put(target, 6);
}

/* What of these types reaches the host's stack, where a program of the host's would take it: a
 * packet socket for all types would see a frame before the guard does. */
static const uint16_t types[] = { FRAME_TYPE, ETH_P_ARP,   ETH_P_RARP,	ETH_P_IP,
				  ETH_P_IPV6, ETH_P_8021Q, ETH_P_8021AD };
static struct wire wires[ARRAY_SIZE(types)];

/* Does the frame arrive? The kernel is done with it when the device has given its buffer back. */
static bool passes(void)
{
	bool seen = false;

	assert_ok(guest_send(&guest, 0, NULL, frame, len));
	assert_ok(guest_flush(&guest, 0, RIG_WAIT_MS));
	for (size_t i = 0; i < ARRAY_SIZE(wires); i++)
		while (wire_recv(&wires[i], NULL, received, sizeof(received)) > 0)
			seen = true;
	return seen;
}

static json_int_t dropped(const char *what)
{
	json_t *stats = rig_ctl(&rig, (const char *[]){ "stats", NULL });
	json_int_t n = json_integer_value(json_object_get(json_object_get(stats, "guard"), what));

	json_decref(stats);
	return n;
}

static void plain(const uint8_t source[6])
{
	frame_pattern(frame, 200, 99);
	memcpy(frame + 6, source, 6);
	len = 200;
}

static void open_guest(void)
{
	rig_open(&rig, &guest, &(struct guest_options){ 0 });
	for (size_t i = 0; i < ARRAY_SIZE(wires); i++) {
		assert_ok(wire_open(&wires[i], RIG_TAP, types[i]));
		wires[i].timeout_ms = 0;
	}
}

static void close_guest(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(wires); i++)
		wire_close(&wires[i]);
	rig_close(&rig, &guest);
}

static void finish(void)
{
	close_guest();
	rig_stop(&rig);
}

static void source_address(void **state)
{
	(void)state;
	open_guest();
	plain(own);
	assert_true(passes());
	plain(other);
	assert_false(passes());
	arp(other, own, 0, ETH_P_ARP, 1);
	assert_false(passes());
	arp(own, other, 0, ETH_P_ARP, 1); /* not what was asked for */
	assert_true(passes());
	ethernet(other, 2, ETH_P_IP);
	zeros(60);
	assert_false(passes());
	assert_int_equal(3, dropped("dropped_mac"));
	assert_int_equal(0, dropped("dropped_arp"));
	finish();
}

static void announced_addresses(void **state)
{
	(void)state;
	open_guest();
	plain(other); /* not what was asked for */
	assert_true(passes());
	for (unsigned tags = 0; tags < 3; tags++) {
		arp(own, own, tags, ETH_P_ARP, 1);
		assert_true(passes());
		arp(own, other, tags, ETH_P_ARP, 1);
		assert_false(passes());
	}
	arp(own, other, 0, 0x8035, 1);
	assert_false(passes());
	arp(own, own, 0, ETH_P_ARP, 6); /* of another hardware: its addresses lie elsewhere */
	assert_false(passes());
	ethernet(own, 0, ETH_P_ARP);
	PUT(0, 1, 8, 0);
	zeros(0);
	assert_false(passes()); /* cut off */
	ethernet(own, 7, ETH_P_IP);
	zeros(60);
	assert_false(passes()); /* tags without end */
	assert_int_equal(7, dropped("dropped_arp"));
	assert_int_equal(0, dropped("dropped_mac"));
	finish();
}

static void neighbours(void **state)
{
	static const struct {
		uint8_t message, fixed;
	} messages[] = { { 133, 8 }, { 134, 16 }, { 135, 24 }, { 136, 24 }, { 137, 40 } };
	int bad = 0;

	(void)state;
	open_guest();
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		for (unsigned extensions = 0; extensions < 3; extensions++) {
			nd(messages[i].message, own, extensions, messages[i].fixed, 1);
			assert_true(passes());
			nd(messages[i].message, other, extensions, messages[i].fixed, 2);
			assert_false(passes());
			bad++;
		}
	}
	nd(128, other, 1, 8, 1); /* an echo request carries what it likes */
	assert_true(passes());
	nd(136, own, 9, 24, 2); /* headers without end */
	assert_false(passes());
	nd(136, own, 0, 24, 2);
	frame[len - 7] = 0; /* an option without length */
	assert_false(passes());
	nd(136, own, 0, 24, 2);
	frame[14 + 6] = 44; /* in a fragment */
	memmove(frame + 54 + 8, frame + 54, len - 54);
	memcpy(frame + 54, (uint8_t[]){ 58, 0, 0, 1, 0, 0, 0, 9 }, 8);
	len += 8;
	assert_false(passes());
	assert_int_equal(bad + 3, dropped("dropped_nd"));
	finish();
}

/* Every connection, and every frame of a device whatever it is: the guard is not in the device. */
static void every_connection(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		open_guest();
		plain(other);
		assert_false(passes());
		arp(own, other, 0, ETH_P_ARP, 1);
		assert_false(passes());
		close_guest();
	}
	assert_int_equal(2, dropped("dropped_mac"));
	assert_int_equal(2, dropped("dropped_arp"));
	rig_stop(&rig);
}

/* The administrator's TAP is as it was before. */
static void leaves_with_the_broker(void **state)
{
	char name[16] = RIG_TAP;
	int tap = host_tap(name, IFF_MULTI_QUEUE);

	(void)state;
	assert_true(tap >= 0);
	assert_true(ioctl(tap, TUNSETPERSIST, 1) == 0);
	close(tap);
	assert_ok(host_set_up(RIG_TAP, 1500));
	assert_ok(start_with("--guard=mac"));
	open_guest();
	plain(other);
	assert_false(passes());
	close_guest();
	rig_abandon(&rig); /* killed: nobody tidies up */
	guest_blank(&guest);
	assert_true(host_has(RIG_TAP));
	assert_ok(start_with("--once"));
	open_guest();
	plain(other);
	assert_true(passes());
}

#define CASE(test, guard) \
	cmocka_unit_test_prestate_setup_teardown(test, start_guarded, end, (void *)(guard))

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(source_address, "--guard=mac"),
		CASE(announced_addresses, "--guard=arp"),
		CASE(neighbours, "--guard=mac,arp"),
		CASE(every_connection, "--guard=arp,mac"),
		cmocka_unit_test_teardown(leaves_with_the_broker, end),
	};

	return rig_run("guard", tests, ARRAY_SIZE(tests));
}
