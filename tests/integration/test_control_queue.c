/*
 * The control queue from outside: a driver asks for addresses, VLANs, offloads and queue pairs, and
 * what stands on its rings, on the wire and in the TAP shows that it got them. A driver without
 * one, or one that says nothing, gets everything.
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <string.h>

#include "lib/util.h"
#include "tests/support/control.h"
#include "tests/support/rig.h"

#define OK	   VIRTIO_NET_OK
#define ERR	   VIRTIO_NET_ERR
#define MAC	   "02:00:00:00:00:01"
#define GUEST_CSUM BIT(VIRTIO_NET_F_GUEST_CSUM)
#define GUEST_TSO4 BIT(VIRTIO_NET_F_GUEST_TSO4)

static struct rig rig;
static struct guest guest;
static struct control control;
static uint8_t frame[FRAME_MAX], received[FRAME_MAX];

static int start(void **state)
{
	(void)state;
	guest_blank(&guest);
	control.ring.kick = control.ring.call = control.ring.err = -1;
	rig_start(&rig, (const char *[]){ "--queue-pairs=2", "--mac=" MAC, NULL });
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

static void open_with(uint64_t features, unsigned pairs)
{
	rig_open(&rig, &guest,
		 &(struct guest_options){ .pairs = pairs, .features = features | CONTROL_BITS });
	assert_ok(control_open(&control, &guest, 2));
}

static void finish(void)
{
	control_close(&control);
	rig_close(&rig, &guest);
	rig_serves(&rig);
	rig_stop(&rig);
}

/* A frame from the host to this address, with a VLAN tag unless 0: does the guest get it? */
static bool arrives(uint8_t first, uint8_t last, unsigned vlan)
{
	size_t len = 100;
	int n;

	frame_pattern(frame, len, 1);
	memset(frame, first, 6);
	frame[0] = first;
	frame[5] = last;
	if (first != 0xff)
		memset(frame + 1, 0, 4);
	if (vlan) {
		frame[12] = 0x81;
		frame[13] = 0;
		frame[14] = (uint8_t)(vlan >> 8);
		frame[15] = (uint8_t)vlan;
	}
	assert_ok(wire_send(&rig.wire, NULL, frame, len));
	n = guest_receive(&guest, 0, NULL, received, sizeof(received), 150);
	if (n == -ETIMEDOUT)
		return false;
	assert_int_equal(len, n);
	assert_memory_equal(frame, received, len);
	return true;
}

static void addresses(void **state)
{
	uint8_t tables[] = { 1, 0, 0, 0, 2, 0, 0, 0, 0, 7, 1, 0, 0, 0, 1, 0, 0, 0, 0, 8 };
	uint8_t mac[] = { 2, 0, 0, 0, 0, 5 };

	(void)state;
	open_with(0, 1);
	assert_true(arrives(2, 9, 0) && arrives(1, 9, 0) && arrives(0xff, 0xff, 0));
	assert_int_equal(OK, control_say8(&control, 0, 0, 0));
	assert_true(arrives(2, 1, 0) && arrives(0xff, 0xff, 0));
	assert_false(arrives(2, 9, 0) || arrives(1, 9, 0));
	assert_int_equal(OK, control_say(&control, 1, 0, tables, sizeof(tables)));
	assert_true(arrives(2, 7, 0) && arrives(1, 8, 0) && !arrives(2, 9, 0));
	assert_int_equal(ERR, control_say(&control, 1, 0, tables, sizeof(tables) - 1));
	assert_int_equal(OK, control_say(&control, 1, 1, mac, sizeof(mac)));
	assert_true(arrives(2, 5, 0) && !arrives(2, 1, 0));
	assert_int_equal(OK, control_say8(&control, 0, 5, 1));
	assert_false(arrives(0xff, 0xff, 0));
	assert_int_equal(OK, control_say16(&control, 2, 0, 42));
	assert_true(arrives(2, 5, 42) && !arrives(2, 5, 43) && arrives(2, 5, 0));
	/* the next connection knows nothing of it: rig_serves() passes frames of any address */
	finish();
}

static void offloads(void **state)
{
	struct frame_flow flow = { .payload = 1000, .number = 1 };
	struct virtio_net_hdr_v1 seen;
	struct virtio_net_hdr hdr;
	uint64_t none = 0, csum = GUEST_CSUM, unasked = BIT(VIRTIO_NET_F_GUEST_TSO6);
	size_t len;

	(void)state;
	open_with(GUEST_CSUM | GUEST_TSO4, 1);
	len = frame_flow(frame, &flow, &hdr);
	assert_ok(wire_send(&rig.wire, &hdr, frame, len));
	assert_int_equal(len,
			 guest_receive(&guest, 0, &seen, received, sizeof(received), RIG_WAIT_MS));
	assert_int_equal(VIRTIO_NET_HDR_F_NEEDS_CSUM, seen.flags);
	assert_int_equal(ERR, control_say(&control, 5, 0, &unasked, sizeof(unasked)));
	assert_int_equal(OK, control_say(&control, 5, 0, &none, sizeof(none)));
	assert_ok(wire_send(&rig.wire, &hdr, frame, len));
	assert_int_equal(len,
			 guest_receive(&guest, 0, &seen, received, sizeof(received), RIG_WAIT_MS));
	assert_int_equal(0, seen.flags);
	assert_true(frame_checksummed(received, len));
	assert_int_equal(OK, control_say(&control, 5, 0, &csum, sizeof(csum)));
	assert_ok(wire_send(&rig.wire, &hdr, frame, len));
	assert_int_equal(len,
			 guest_receive(&guest, 0, &seen, received, sizeof(received), RIG_WAIT_MS));
	assert_int_equal(VIRTIO_NET_HDR_F_NEEDS_CSUM, seen.flags);
	finish();
}

static void queue_pairs(void **state)
{
	json_t *stats, *ring;

	(void)state;
	open_with(BIT(VIRTIO_NET_F_MQ), 2);
	assert_int_equal(4, control.index);
	assert_true(rig_attached(&rig, 1));
	rig_exchange(&rig, &guest, 0);
	assert_int_equal(OK, control_say16(&control, 4, 0, 2));
	assert_true(rig_attached(&rig, 2));
	rig_transmit(&rig, &guest, 1, 100, 0, 10);
	assert_int_equal(ERR, control_say16(&control, 4, 0, 3));
	assert_int_equal(ERR, control_say16(&control, 4, 0, 0));
	assert_int_equal(OK, control_say16(&control, 4, 0, 1));
	assert_true(rig_attached(&rig, 1));
	rig_exchange(&rig, &guest, 0);
	stats = rig_ctl(&rig, (const char *[]){ "stats", NULL });
	ring = json_array_get(json_object_get(stats, "rings"), 4);
	assert_string_equal("ctrl", json_string_value(json_object_get(ring, "direction")));
	assert_string_equal("running", json_string_value(json_object_get(ring, "state")));
	assert_int_equal(4, json_integer_value(json_object_get(ring, "frames")));
	assert_int_equal(2, json_integer_value(json_object_get(ring, "dropped_invalid")));
	json_decref(stats);
	finish();
}

/* Without a control queue, and with one that is never set up, every pair is in use. */
static void kept_by_the_front_end(void **state)
{
	static const uint64_t features[] = { 0, CONTROL_BITS };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		rig_open(&rig, &guest,
			 &(struct guest_options){ .pairs = 2,
						  .features = features[i] | BIT(VIRTIO_NET_F_MQ),
						  .order = GUEST_QEMU });
		assert_true(rig_attached(&rig, 2));
		rig_close(&rig, &guest);
	}
	rig_stop(&rig);
}

/* Stopped and started where it stopped, as a paused machine does it: what was said still counts;
 * started afresh, as by a new driver: nothing was said. */
static void pause_and_reset(void **state)
{
	struct vu_vring_state base = { .index = 2 };
	struct vu_message reply;

	(void)state;
	open_with(0, 1);
	assert_int_equal(OK, control_say8(&control, 0, 0, 0));
	assert_false(arrives(2, 9, 0));
	assert_ok(peer_ask(&guest.peer, VU_GET_VRING_BASE, &base, sizeof(base), &reply));
	assert_int_equal(1, reply.state.num);
	assert_ok(peer_tell_state(&guest.peer, VU_SET_VRING_BASE, 2, 1));
	assert_ok(peer_tell_event(&guest.peer, VU_SET_VRING_KICK, 2, control.ring.kick));
	assert_ok(peer_sync(&guest.peer));
	assert_false(arrives(2, 9, 0));
	assert_int_equal(OK, control_say8(&control, 0, 1, 1));
	assert_true(arrives(1, 9, 0));
	assert_ok(peer_ask(&guest.peer, VU_GET_VRING_BASE, &base, sizeof(base), &reply));
	assert_int_equal(2, reply.state.num);
	guest_ring_start(&control.ring, 0);
	assert_ok(peer_tell_state(&guest.peer, VU_SET_VRING_BASE, 2, 0));
	assert_ok(peer_tell_event(&guest.peer, VU_SET_VRING_KICK, 2, control.ring.kick));
	assert_ok(peer_sync(&guest.peer));
	assert_true(arrives(2, 9, 0));
	finish();
}

/* What is no command breaks this ring, and the frames go on. */
static void hostile(void **state)
{
	struct guest_piece no_answer = { 0, 3, false };

	(void)state;
	open_with(0, 1);
	no_answer.gpa = control.buffer;
	assert_ok(guest_ring_post(&control.ring, &no_answer, 1, false, 9));
	guest_ring_kick(&control.ring);
	rig_sleep(100);
	rig_exchange(&rig, &guest, 0);
	assert_int_equal(-ETIMEDOUT, guest_ring_wait(&control.ring, 100));
	finish();
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(addresses),   CASE(offloads),
		CASE(queue_pairs), CASE(kept_by_the_front_end),
		CASE(hostile),	   CASE(pause_and_reset),
	};

	return rig_run("control_queue", tests, ARRAY_SIZE(tests));
}
