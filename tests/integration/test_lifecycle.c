/*
 * Rings come and go: the orders in which front-ends set them up, descriptors and memory that change
 * under them, rings that break while others run, several queue pairs. Over both ring formats.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/util.h"
#include "tests/support/rig.h"

#define MERGE  BIT(VIRTIO_NET_F_MRG_RXBUF)
#define EVENT  BIT(VIRTIO_RING_F_EVENT_IDX)
#define PACKED BIT(VIRTIO_F_RING_PACKED)
#define RX     0
#define TX     1

static struct rig rig;
static struct guest guest;
static uint64_t format; /* PACKED, or 0 */
static uint8_t frame[FRAME_MAX], received[FRAME_MAX];

static int start(void **state)
{
	format = (uint64_t)(uintptr_t)*state;
	guest_blank(&guest);
	rig_start(&rig, (const char *[]){ NULL });
	return 0;
}

static int start_four_pairs(void **state)
{
	format = (uint64_t)(uintptr_t)*state;
	guest_blank(&guest);
	rig_start(&rig, (const char *[]){ "--queue-pairs=4", NULL });
	return 0;
}

static int end(void **state)
{
	(void)state;
	guest_close(&guest);
	rig_abandon(&rig);
	return 0;
}

static void finish(void)
{
	rig_close(&rig, &guest);
	rig_serves(&rig);
	rig_stop(&rig);
}

static void any_order_sets_up(void **state)
{
	const enum guest_order orders[] = { GUEST_QEMU, GUEST_TESTPMD, GUEST_KICK_LAST,
					    GUEST_KICK_FIRST };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
		for (int acks = 0; acks < 2; acks++) {
			uint64_t without = acks ? 0 : BIT(VU_P_REPLY_ACK);

			rig_open(&rig, &guest,
				 &(struct guest_options){ .features = format,
							  .order = orders[i],
							  .no_protocol = without });
			rig_exchange(&rig, &guest, 0);
			rig_close(&rig, &guest);
		}
	}
	rig_stop(&rig);
}

/* Without PROTOCOL_FEATURES there is no SET_VRING_ENABLE: a ring starts enabled. */
static void old_front_end_never_enables(void **state)
{
	struct guest_options options = { .features = format };

	(void)state;
	rig_connect(&rig, &guest.peer);
	assert_ok(guest_negotiate(&guest, &options));
	guest.peer.protocol = 0;
	guest.peer.features &= ~BIT(VU_F_PROTOCOL_FEATURES);
	assert_ok(guest_set_up(&guest));
	assert_ok(guest_ring_configure(&guest, RX, guest.options.base));
	assert_ok(guest_ring_configure(&guest, TX, guest.options.base));
	guest_refill(&guest, 0);
	rig_exchange(&rig, &guest, 0);
	finish();
}

static void call_is_replaced_while_running(void **state)
{
	int old;

	(void)state;
	rig_open(&rig, &guest, &(struct guest_options){ .features = format });
	for (int i = 0; i < 50; i++) {
		rig_exchange(&rig, &guest, 0);
		for (unsigned ring = RX; ring <= TX; ring++) {
			struct guest_ring *r = &guest.queue[ring].ring;

			old = r->call;
			r->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
			assert_ok(peer_tell_event(&guest.peer, VU_SET_VRING_CALL, ring, r->call));
			close(old);
		}
	}
	/* With interrupts wanted and the descriptor new, each side still wakes the other. */
	old = guest.queue[TX].ring.call;
	fd_drain(old);
	guest.queue[TX].ring.format->arm(&guest.queue[TX].ring);
	frame_pattern(frame, 64, 1);
	assert_ok(guest_post(&guest, 0, NULL, frame, 64));
	guest_kick(&guest, 0);
	assert_int_equal(1, guest_ring_signals(old, RIG_WAIT_MS));
	assert_ok(guest_flush(&guest, 0, RIG_WAIT_MS));
	wire_drain(&rig.wire);
	/* None at all: no interrupts any more, traffic all the same. */
	assert_ok(peer_tell_event(&guest.peer, VU_SET_VRING_CALL, TX, -1));
	guest.queue[TX].ring.format->arm(&guest.queue[TX].ring);
	assert_ok(guest_post(&guest, 0, NULL, frame, 64));
	guest_kick(&guest, 0);
	assert_int_equal(64, wire_recv(&rig.wire, NULL, received, sizeof(received)));
	assert_int_equal(0, guest_ring_signals(old, 30));
	finish();
}

/* A guest that offers memory which it does not have. */
static void break_ring(unsigned index)
{
	const struct guest_piece nowhere = { UINT64_C(0x7000000000), 76, index == RX };
	struct guest_ring *r = &guest.queue[index].ring;

	assert_ok(guest_ring_post(r, &nowhere, 1, false, 0));
	guest_ring_kick(r);
	fd_signal(r->kick);
}

/* A device need not look at an index before it wants more buffers: makes it want them. */
static void use_up(const struct guest_ring *r, unsigned index)
{
	struct pollfd p = { .fd = r->err, .events = POLLIN };

	frame_pattern(frame, 64, 1);
	for (unsigned i = 0; index == RX && i <= 2u * r->size && poll(&p, 1, 1) == 0; i++)
		assert_ok(wire_send(&rig.wire, NULL, frame, 64));
}

static void broken_ring_signals_once_and_alone(void **state)
{
	(void)state;
	for (unsigned broken = RX; broken <= TX; broken++) {
		struct guest_ring *r = &guest.queue[broken].ring;
		uint32_t base;

		rig_open(&rig, &guest,
			 &(struct guest_options){ .features = format, .slots_per_ring = 200 });
		rig_exchange(&rig, &guest, 0);
		break_ring(broken);
		use_up(r, broken);
		assert_int_equal(1, guest_ring_signals(r->err, RIG_WAIT_MS));
		for (int i = 0; i < 20; i++) {
			fd_signal(r->kick);
			rig_sleep(1);
		}
		assert_int_equal(0, guest_ring_signals(r->err, 30));
		assert_int_equal(0, guest_ring_signals(guest.queue[!broken].ring.err, 0));
		for (uint32_t i = 0; i < 50; i++) {
			if (broken == TX)
				rig_receive(&rig, &guest, 0, 600, i, 1);
			else
				rig_transmit(&rig, &guest, 0, 600, i, 1);
		}
		/* It stops like any other, and starts afresh. */
		assert_ok(guest_ring_stop(&guest, broken, &base));
		guest_ring_start(r, guest.options.base);
		memset(guest.queue[broken].busy, 0, sizeof(guest.queue[broken].busy));
		assert_ok(guest_ring_configure(&guest, broken, guest.options.base));
		assert_ok(guest_ring_enable(&guest, broken, true));
		wire_drain(&rig.wire);
		guest_refill(&guest, 0);
		while (guest_receive(&guest, 0, NULL, received, sizeof(received), 30) > 0)
			;
		rig_exchange(&rig, &guest, 0);
		rig_close(&rig, &guest);
	}
	rig_serves(&rig);
	rig_stop(&rig);
}

static void disabled_transmit_ring_discards(void **state)
{
	(void)state;
	rig_open(&rig, &guest, &(struct guest_options){ .features = format });
	rig_exchange(&rig, &guest, 0);
	assert_ok(guest_ring_enable(&guest, TX, false));
	for (uint32_t i = 0; i < 300; i++) {
		frame_pattern(frame, 64, i);
		assert_ok(guest_send(&guest, 0, NULL, frame, 64));
	}
	assert_ok(guest_flush(&guest, 0, RIG_WAIT_MS));
	rig.wire.timeout_ms = 50;
	assert_int_equal(-ETIMEDOUT, wire_recv(&rig.wire, NULL, received, sizeof(received)));
	rig.wire.timeout_ms = WIRE_WAIT_MS;
	assert_ok(guest_ring_enable(&guest, TX, true));
	rig_exchange(&rig, &guest, 0);
	finish();
}

static void disabled_receive_ring_delivers_nothing(void **state)
{
	(void)state;
	rig_open(&rig, &guest, &(struct guest_options){ .features = format });
	rig_exchange(&rig, &guest, 0);
	assert_ok(guest_ring_enable(&guest, RX, false));
	frame_pattern(frame, 64, 1);
	assert_ok(wire_send(&rig.wire, NULL, frame, 64));
	assert_int_equal(-ETIMEDOUT,
			 guest_receive(&guest, 0, NULL, received, sizeof(received), 100));
	rig_transmit(&rig, &guest, 0, 64, 5, 5);
	assert_ok(guest_ring_enable(&guest, RX, true));
	/* Whether that frame was kept or discarded is the device's choice; what follows is not. */
	while (guest_receive(&guest, 0, NULL, received, sizeof(received), 50) > 0)
		;
	rig_exchange(&rig, &guest, 0);
	finish();
}

static void ring_never_enabled_stays_silent(void **state)
{
	struct guest_options options = { .features = format };

	(void)state;
	rig_connect(&rig, &guest.peer);
	assert_ok(guest_negotiate(&guest, &options));
	assert_ok(guest_set_up(&guest));
	assert_ok(guest_ring_configure(&guest, RX, guest.options.base));
	assert_ok(guest_ring_configure(&guest, TX, guest.options.base));
	guest_refill(&guest, 0);
	frame_pattern(frame, 64, 1);
	assert_ok(guest_post(&guest, 0, NULL, frame, 64));
	guest_kick(&guest, 0);
	assert_ok(wire_send(&rig.wire, NULL, frame, 64));
	rig.wire.timeout_ms = 50;
	assert_int_equal(-ETIMEDOUT, wire_recv(&rig.wire, NULL, received, sizeof(received)));
	assert_int_equal(-ETIMEDOUT,
			 guest_receive(&guest, 0, NULL, received, sizeof(received), 50));
	finish();
}

/* SET_VRING_BASE of a ring that has come to this index, in its first lap. */
static uint32_t base_at(uint32_t index)
{
	return format ? GUEST_PACKED_BASE | index << 16 | index : index;
}

static void stop_is_idempotent(void **state)
{
	uint32_t base;

	(void)state;
	rig_open(&rig, &guest, &(struct guest_options){ .features = format, .base = base_at(177) });
	rig_transmit(&rig, &guest, 0, 64, 0, 10);
	assert_ok(guest_flush(&guest, 0, RIG_WAIT_MS));
	for (int i = 0; i < 3; i++) {
		assert_ok(guest_ring_stop(&guest, TX, &base));
		assert_int_equal(base_at(187), base);
	}
	assert_ok(guest_ring_configure(&guest, TX, base));
	rig_exchange(&rig, &guest, 0);
	finish();
}

static void kick_is_replaced_or_refused_while_running(void **state)
{
	struct guest_ring *r = &guest.queue[TX].ring;
	int fresh = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), rc;

	(void)state;
	rig_open(&rig, &guest, &(struct guest_options){ .features = format });
	rig_exchange(&rig, &guest, 0);
	rc = peer_tell_event(&guest.peer, VU_SET_VRING_KICK, TX, fresh);
	assert_true(rc == 0 || rc == PEER_REFUSED);
	if (rc == 0) {
		close(r->kick);
		r->kick = fresh;
	} else {
		close(fresh);
	}
	rig_exchange(&rig, &guest, 0);
	finish();
}

/* Requests for a running ring that would move it under its worker: refused, and nothing changed. */
static void running_ring_keeps_its_configuration(void **state)
{
	struct vu_vring_addr a = { .index = TX };

	(void)state;
	rig_open(&rig, &guest, &(struct guest_options){ .features = format });
	rig_exchange(&rig, &guest, 0);
	a.desc = guest_uva(&guest.memory, guest.queue[RX].ring.desc);
	a.avail = guest_uva(&guest.memory, guest.queue[RX].ring.driver);
	a.used = guest_uva(&guest.memory, guest.queue[RX].ring.device);
	assert_int_equal(PEER_REFUSED, peer_tell_state(&guest.peer, VU_SET_VRING_NUM, TX, 8));
	assert_int_equal(PEER_REFUSED, peer_tell_state(&guest.peer, VU_SET_VRING_BASE, TX, 99));
	assert_int_equal(PEER_REFUSED,
			 peer_tell(&guest.peer, VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0));
	rig_exchange(&rig, &guest, 0);
	finish();
}

static void reset_owner_starts_over(void **state)
{
	(void)state;
	rig_open(&rig, &guest, &(struct guest_options){ .features = format });
	rig_exchange(&rig, &guest, 0);
	assert_ok(peer_tell(&guest.peer, VU_RESET_OWNER, NULL, 0, NULL, 0));
	frame_pattern(frame, 64, 9);
	assert_ok(guest_post(&guest, 0, NULL, frame, 64));
	guest_kick(&guest, 0);
	rig.wire.timeout_ms = 50;
	assert_int_equal(-ETIMEDOUT, wire_recv(&rig.wire, NULL, received, sizeof(received)));
	rig.wire.timeout_ms = WIRE_WAIT_MS;
	/* The same connection again, from the start. */
	for (unsigned i = 0; i < 2; i++)
		guest_ring_free(&guest.queue[i].ring);
	guest_memory_free(&guest.memory);
	assert_ok(guest_open(&guest, &(struct guest_options){ .features = format | EVENT }));
	rig_exchange(&rig, &guest, 0);
	finish();
}

static int add_region(size_t i)
{
	struct vu_mem_single m = { .region = guest_region_wire(&guest.memory.region[i]) };

	return peer_tell(&guest.peer, VU_ADD_MEM_REG, &m, sizeof(m), &guest.memory.region[i].fd, 1);
}

static int remove_region(size_t i)
{
	struct vu_mem_single m = { .region = guest_region_wire(&guest.memory.region[i]) };

	return peer_tell(&guest.peer, VU_REM_MEM_REG, &m, sizeof(m), NULL, 0);
}

/* Sends one frame from this guest address. */
static void send_from(uint64_t gpa, uint32_t number)
{
	struct guest_queue *q = &guest.queue[TX];
	uint64_t usual = q->slot[0];

	q->slot[0] = gpa;
	frame_pattern(frame, 200, number);
	assert_ok(guest_post(&guest, 0, NULL, frame, 200));
	guest_kick(&guest, 0);
	assert_int_equal(200, wire_recv(&rig.wire, NULL, received, sizeof(received)));
	assert_true(frame_intact(received, 200, number));
	assert_ok(guest_flush(&guest, 0, RIG_WAIT_MS));
	q->slot[0] = usual;
}

static void memory_comes_and_goes_under_running_rings(void **state)
{
	(void)state;
	rig_open(&rig, &guest, &(struct guest_options){ .features = format, .slots = true });
	for (uint32_t round = 0; round < 100; round++) {
		uint64_t gpa = UINT64_C(0x4000000000) + round * 0x10000;
		int i = guest_memory_add(&guest.memory, gpa, 0x10000, 0x1000, GUEST_SEALED);

		assert_true(i >= 0);
		assert_ok(add_region((size_t)i));
		send_from(gpa + round, round);
		rig_receive(&rig, &guest, 0, 64, round, 1);
		assert_ok(remove_region((size_t)i));
		rig_transmit(&rig, &guest, 0, 64, round, 1);
		guest_memory_remove(&guest.memory, (size_t)i);
	}
	finish();
}

static void removed_memory_breaks_the_ring_that_uses_it(void **state)
{
	struct guest_piece p = { .gpa = UINT64_C(0x4000000000), .len = 76 };
	struct guest_ring *r = &guest.queue[TX].ring;
	int i;

	(void)state;
	rig_open(&rig, &guest, &(struct guest_options){ .features = format, .slots = true });
	i = guest_memory_add(&guest.memory, p.gpa, 0x10000, 0, GUEST_SEALED);
	assert_true(i >= 0);
	assert_ok(add_region((size_t)i));
	send_from(p.gpa, 1);
	assert_ok(remove_region((size_t)i));
	assert_ok(guest_ring_post(r, &p, 1, false, 0));
	guest_ring_kick(r);
	assert_int_equal(1, guest_ring_signals(r->err, RIG_WAIT_MS));
	rig_receive(&rig, &guest, 0, 64, 1, 10);
	finish();
}

/* A receive buffer whose second half is gone. Where a frame is copied to it, the ring breaks, and
 * the log says that it was not the guest's doing. Where the kernel reads straight into it, a TAP
 * does not say that it got stuck half-way: the front-end has spoilt its own guest's frame, and
 * nothing else. */
static void buffer_that_vanishes_half_way(void **state)
{
	const struct guest_options options = { .features = format,
					       .slots_per_ring = 4,
					       .slots = true };
	const uint64_t gpa = UINT64_C(0x4000000000);
	struct guest_queue *q = &guest.queue[RX];

	(void)state;
	for (uint32_t small = 0; small < 2; small++) {
		const struct guest_piece half = { gpa + 0x1000 - 500, 0x1000, true };
		int i;

		rig_open(&rig, &guest, &options);
		q->hold = true; /* all buffers come back, and none is left */
		for (uint32_t round = 0; round < (small ? 4 : 1); round++) {
			if (round)
				guest_refill(&guest, 0);
			rig_receive(&rig, &guest, 0, 64, 4 * round, 4);
		}
		i = guest_memory_add(&guest.memory, gpa, 0x10000, 0, GUEST_UNSEALED);
		assert_true(i >= 0);
		assert_ok(add_region((size_t)i));
		assert_ok(ftruncate(guest.memory.region[i].fd, 0x1000));
		assert_ok(guest_ring_post(&q->ring, &half, 1, false, 0));
		guest_ring_kick(&q->ring);
		frame_pattern(frame, 1400, 1);
		assert_ok(wire_send(&rig.wire, NULL, frame, 1400));
		assert_int_equal(small,
				 guest_ring_signals(q->ring.err, rig_patience(small ? 1000 : 50)));
		if (small)
			assert_true(program_says(
				&rig.broker, "front-end: memory of ring 0 vanished", RIG_WAIT_MS));
		else
			assert_ok(guest_ring_wait(&q->ring, RIG_WAIT_MS));
		rig_transmit(&rig, &guest, 0, 64, 1, 10);
		rig_close(&rig, &guest);
	}
	rig_serves(&rig);
	rig_stop(&rig);
}

/* A table that keeps what is used and adds or drops other regions reaches rings without a gap. */
static void changed_table_reaches_running_rings(void **state)
{
	uint32_t sent = 0, got = 0, number;
	int extra;

	(void)state;
	rig_open(&rig, &guest, &(struct guest_options){ .features = format | EVENT });
	for (unsigned round = 0; round < 100; round++) {
		for (unsigned n = 0; n < 20; n++, sent++) {
			frame_pattern(frame, 300, sent);
			assert_ok(guest_send(&guest, 0, NULL, frame, 300));
		}
		extra = guest_memory_add(&guest.memory, UINT64_C(0x4000000000), 0x10000, 0,
					 GUEST_SEALED);
		assert_true(extra >= 0);
		assert_ok(guest_share_memory(&guest));
		guest_memory_remove(&guest.memory, (size_t)extra);
		assert_ok(guest_share_memory(&guest));
		for (; got < sent; got++) {
			assert_int_equal(300,
					 wire_recv(&rig.wire, NULL, received, sizeof(received)));
			assert_true(frame_number(received, 300, &number) && number == got);
		}
		rig_receive(&rig, &guest, 0, 64, round, 3);
	}
	finish();
}

/* Frames of many flows, which the kernel spreads over the queues that are attached. */
static void send_flows(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct frame_flow flow = { .udp = true, .payload = 100, .number = i };
		struct virtio_net_hdr hdr;
		size_t len = frame_flow(frame, &flow, &hdr);

		frame_checksum(frame, len, &hdr);
		frame[34] = (uint8_t)(i >> 8); /* source port; no checksum then */
		frame[35] = (uint8_t)i;
		frame[40] = frame[41] = 0;
		assert_ok(wire_send(&rig.wire, NULL, frame, len));
	}
}

static unsigned receive_flows(unsigned pair, bool seen[256])
{
	unsigned n = 0;
	uint32_t number;

	while (guest_receive(&guest, pair, NULL, received, sizeof(received), 100) > 0) {
		assert_true(frame_number(received, 142, &number));
		assert_in_range(number, 0, 255);
		assert_false(seen[number]);
		seen[number] = true;
		n++;
	}
	return n;
}

static void one_pair_of_four_gets_every_frame(void **state)
{
	bool seen[256] = { false };

	(void)state;
	rig_open(&rig, &guest, &(struct guest_options){ .features = format | MERGE });
	rig_exchange(&rig, &guest, 0);
	send_flows(256);
	assert_int_equal(256, receive_flows(0, seen));
	finish();
}

static void four_pairs_share_the_frames(void **state)
{
	struct guest_options options = { .pairs = 4,
					 .ring_size = 256,
					 .features = format | MERGE | BIT(VIRTIO_NET_F_MQ) };
	bool seen[256] = { false };
	unsigned total = 0, used = 0;

	(void)state;
	rig_open(&rig, &guest, &options);
	for (unsigned pair = 0; pair < 4; pair++)
		rig_transmit(&rig, &guest, pair, 500, 1000 * pair, 100);
	/* The kernel sends a flow back where it came from; these it has not seen: by hash. */
	send_flows(256);
	for (unsigned pair = 0; pair < 4; pair++) {
		unsigned n = receive_flows(pair, seen);

		total += n;
		used += n > 0;
	}
	assert_int_equal(256, total);
	assert_true(used > 1);
	finish();
}

/* Pairs switched off by ENABLE give their share to those that stay, and take it back. */
static void pairs_switched_off_lose_no_frames(void **state)
{
	struct guest_options options = { .pairs = 4,
					 .features = format | MERGE | BIT(VIRTIO_NET_F_MQ) };

	(void)state;
	rig_open(&rig, &guest, &options);
	for (unsigned active = 4; active >= 1; active--) {
		bool seen[256] = { false };
		unsigned total = 0;

		for (unsigned ring = 2 * active; ring < 8; ring++)
			assert_ok(guest_ring_enable(&guest, ring, false));
		assert_true(rig_attached(&rig, (int)active));
		send_flows(256);
		for (unsigned pair = 0; pair < active; pair++)
			total += receive_flows(pair, seen);
		assert_int_equal(256, total);
	}
	for (unsigned ring = 2; ring < 8; ring++)
		assert_ok(guest_ring_enable(&guest, ring, true));
	for (unsigned pair = 0; pair < 4; pair++)
		rig_transmit(&rig, &guest, pair, 500, 1000 * pair, 10);
	finish();
}

static void config_space_tells_what_was_asked_for(void **state)
{
	struct vu_message reply;
	uint64_t n;

	(void)state;
	guest_blank(&guest);
	rig_start(&rig, (const char *[]){ "--queue-pairs=4", "--mac=02:01:02:03:04:05",
					  "--mtu=4321", NULL });
	rig_connect(&rig, &guest.peer);
	assert_ok(peer_negotiate(&guest.peer,
				 BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_MTU) |
					 BIT(VIRTIO_NET_F_STATUS) | BIT(VIRTIO_NET_F_MQ) |
					 BIT(VU_F_PROTOCOL_FEATURES),
				 GUEST_PROTOCOL_BITS));
	assert_ok(peer_ask_u64(&guest.peer, VU_GET_QUEUE_NUM, &n));
	assert_int_equal(2 * 4 + 1, n); /* rings, the control queue among them */
	assert_ok(peer_ask_u64(&guest.peer, VU_GET_MAX_MEM_SLOTS, &n));
	assert_in_range(n, 32, 4096);
	struct vu_config ask = { .size = 12 };
	assert_ok(peer_ask(&guest.peer, VU_GET_CONFIG, &ask, 12 + 12, &reply));
	assert_int_equal(24, reply.head.size);
	assert_memory_equal("\x02\x01\x02\x03\x04\x05"
			    "\x01\x00"	/* link is up */
			    "\x04\x00"	/* pairs */
			    "\xe1\x10", /* MTU */
			    reply.config.bytes, 12);
	rig_close(&rig, &guest);
	rig_stop(&rig);
}

#define WITH(name, start, features)                                                   \
	{                                                                             \
#name ": " #features, name, start, end, (void *)(uintptr_t)(features) \
	}
#define TEST(name)	 WITH(name, start, 0), WITH(name, start, PACKED)
#define TEST_PAIRS(name) WITH(name, start_four_pairs, 0), WITH(name, start_four_pairs, PACKED)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(any_order_sets_up),
		TEST(old_front_end_never_enables),
		TEST(call_is_replaced_while_running),
		TEST(broken_ring_signals_once_and_alone),
		TEST(disabled_transmit_ring_discards),
		TEST(disabled_receive_ring_delivers_nothing),
		TEST(ring_never_enabled_stays_silent),
		TEST(stop_is_idempotent),
		TEST(kick_is_replaced_or_refused_while_running),
		TEST(running_ring_keeps_its_configuration),
		TEST(reset_owner_starts_over),
		TEST(memory_comes_and_goes_under_running_rings),
		TEST(removed_memory_breaks_the_ring_that_uses_it),
		TEST(buffer_that_vanishes_half_way),
		TEST(changed_table_reaches_running_rings),
		TEST_PAIRS(one_pair_of_four_gets_every_frame),
		TEST_PAIRS(four_pairs_share_the_frames),
		TEST_PAIRS(pairs_switched_off_lose_no_frames),
		cmocka_unit_test_teardown(config_space_tells_what_was_asked_for, end),
	};

	return rig_run("lifecycle", tests, ARRAY_SIZE(tests));
}
