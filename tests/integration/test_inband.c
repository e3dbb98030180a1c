/*
 * Notifications without descriptors, through the broker's device: kicks are messages of the
 * front-end's, interrupts and breaks messages of the back-end's, one at a time and each
 * acknowledged. Over both ring formats.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/util.h"
#include "tests/support/rig.h"

#define EXTRA  (BIT(VU_P_BACKEND_REQ) | BIT(VU_P_INBAND))
#define PACKED BIT(VIRTIO_F_RING_PACKED)
#define RX     0
#define TX     1

static struct rig rig;
static struct guest guest;
static int channel = -1; /* of the back-end's messages */
static uint8_t frame[FRAME_MAX], received[FRAME_MAX];

static int start(void **state)
{
	(void)state;
	guest_blank(&guest);
	rig_start(&rig, (const char *[]){ NULL });
	return 0;
}

static int end(void **state)
{
	(void)state;
	fd_close(&channel);
	guest_close(&guest);
	rig_abandon(&rig);
	return 0;
}

static void kick(unsigned index)
{
	assert_ok(peer_tell_state(&guest.peer, VU_VRING_KICK, index, 0));
}

/* Everything of a ring but descriptors; the kick starts it. */
static void ring_start(unsigned index, uint32_t base)
{
	const struct guest_ring *r = &guest.queue[index].ring;
	const struct vu_vring_addr a = { .index = index,
					 .desc = guest_uva(&guest.memory, r->desc),
					 .avail = guest_uva(&guest.memory, r->driver),
					 .used = guest_uva(&guest.memory, r->device) };

	assert_ok(peer_tell_state(&guest.peer, VU_SET_VRING_NUM, index, r->size));
	assert_ok(peer_tell_state(&guest.peer, VU_SET_VRING_BASE, index, base));
	assert_ok(peer_tell(&guest.peer, VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0));
	kick(index);
	assert_ok(guest_ring_enable(&guest, index, true));
}

static void open_without_descriptors(uint64_t features)
{
	const struct guest_options options = {
		.features = features, .protocol = EXTRA, .slots_per_ring = 100, .polling = true
	};

	rig_connect(&rig, &guest.peer);
	assert_ok(guest_negotiate(&guest, &options));
	assert_ok(peer_open_channel(&guest.peer, &channel));
	assert_ok(guest_set_up(&guest));
	guest_refill(&guest, 0);
	for (unsigned i = 0; i < 2; i++)
		ring_start(i, guest.options.base);
}

/* The next message of the back-end's, not acknowledged yet: its number; 0 none. */
static uint32_t told(unsigned *index, int timeout_ms)
{
	struct pollfd p = { .fd = channel, .events = POLLIN };
	struct {
		struct vu_header head;
		struct vu_vring_state state;
	} m;

	if (poll(&p, 1, timeout_ms) != 1)
		return 0;
	assert_int_equal(sizeof(m), recv(channel, &m, sizeof(m), MSG_WAITALL));
	assert_int_equal(VU_VERSION | VU_FLAG_NEED_REPLY, m.head.flags);
	assert_int_equal(sizeof(m.state), m.head.size);
	assert_int_equal(0, m.state.num);
	*index = m.state.index;
	return m.head.request;
}

static void acknowledge(uint32_t request)
{
	struct {
		struct vu_header head;
		uint64_t result;
	} __attribute__((packed)) m = { { request, VU_VERSION | VU_FLAG_REPLY, 8 }, 0 };

	assert_int_equal(sizeof(m), send(channel, &m, sizeof(m), 0));
}

/* Whatever interrupts there are, until this ring's. */
static void interrupted(unsigned wanted)
{
	unsigned index = !wanted;

	while (index != wanted) {
		assert_int_equal(VU_BACK_VRING_CALL, told(&index, RIG_WAIT_MS));
		acknowledge(VU_BACK_VRING_CALL);
	}
}

static void quiet(void)
{
	unsigned index;
	uint32_t request;

	while ((request = told(&index, 50)))
		acknowledge(request);
}

/* Both rings' drivers want interrupts and do not look before one comes. */
static void frames_by_messages(void **state)
{
	const struct guest_piece nowhere = { UINT64_C(0x7000000000), 76, false };
	unsigned index;
	uint32_t base;

	open_without_descriptors((uint64_t)(uintptr_t)*state);
	for (uint32_t n = 0; n < 20; n++) {
		quiet();
		frame_pattern(frame, 200, n);
		guest.queue[TX].ring.format->arm(&guest.queue[TX].ring);
		assert_ok(guest_post(&guest, 0, NULL, frame, 200));
		guest_kick(&guest, 0);
		rig.wire.timeout_ms = n ? WIRE_WAIT_MS : 20;
		if (!n) /* nobody looks before the message */
			assert_int_equal(-ETIMEDOUT,
					 wire_recv(&rig.wire, NULL, received, sizeof(received)));
		rig.wire.timeout_ms = WIRE_WAIT_MS;
		kick(TX);
		assert_int_equal(200, wire_recv(&rig.wire, NULL, received, sizeof(received)));
		assert_true(frame_intact(received, 200, n));
		interrupted(TX);
		assert_ok(guest_flush(&guest, 0, 0));
		guest.queue[RX].ring.format->arm(&guest.queue[RX].ring);
		assert_ok(wire_send(&rig.wire, NULL, frame, 200));
		interrupted(RX);
		assert_int_equal(200, guest_receive(&guest, 0, NULL, received, 200, 0));
		assert_true(frame_intact(received, 200, n));
	}
	/* One message is under way, and no other before its answer. */
	quiet();
	guest.queue[RX].ring.format->arm(&guest.queue[RX].ring);
	assert_ok(wire_send(&rig.wire, NULL, frame, 200));
	assert_int_equal(VU_BACK_VRING_CALL, told(&index, RIG_WAIT_MS));
	assert_ok(guest_ring_post(&guest.queue[TX].ring, &nowhere, 1, false, 0));
	guest_kick(&guest, 0);
	kick(TX);
	assert_int_equal(0, told(&index, 50));
	acknowledge(VU_BACK_VRING_CALL);
	/* A ring that breaks says so once, and starts again. */
	do {
		uint32_t request = told(&index, RIG_WAIT_MS);

		assert_true(request);
		acknowledge(request);
		if (request == VU_BACK_VRING_ERR)
			break;
	} while (true);
	assert_int_equal(TX, index);
	quiet();
	assert_ok(guest_ring_stop(&guest, TX, &base));
	guest_ring_start(&guest.queue[TX].ring, guest.options.base);
	memset(guest.queue[TX].busy, 0, sizeof(guest.queue[TX].busy));
	ring_start(TX, guest.options.base);
	frame_pattern(frame, 200, 99);
	assert_ok(guest_post(&guest, 0, NULL, frame, 200));
	guest_kick(&guest, 0);
	kick(TX);
	assert_int_equal(200, wire_recv(&rig.wire, NULL, received, sizeof(received)));
	assert_true(frame_intact(received, 200, 99));
	rig_close(&rig, &guest);
	rig_serves(&rig);
	rig_stop(&rig);
}

#define WITH(test, features)                                                          \
	{                                                                             \
#test ": " #features, test, start, end, (void *)(uintptr_t)(features) \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(frames_by_messages, 0),
		WITH(frames_by_messages, PACKED),
	};

	return rig_run("inband", tests, ARRAY_SIZE(tests));
}
