/*
 * What a migration needs of the device: a log that has exactly the pages it wrote, switched on and
 * off under traffic, and a state that goes on in another process where it was left, without a frame
 * lost or repeated, and with everything that the guest said on its control queue. Over both ring
 * formats.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/util.h"
#include "tests/support/control.h"
#include "tests/support/rig.h"

#define MERGE  BIT(VIRTIO_NET_F_MRG_RXBUF)
#define EVENT  BIT(VIRTIO_RING_F_EVENT_IDX)
#define PACKED BIT(VIRTIO_F_RING_PACKED)
#define LOG    BIT(VU_F_LOG_ALL)
#define EXTRA  (BIT(VU_P_DEVICE_STATE) | BIT(VU_P_LOG_SHMFD))
#define PAGE   4096ull
#define RX     0
#define TX     1
#define SAID   (CONTROL_BITS | BIT(NET_F_HASH) | BIT(VIRTIO_NET_F_GUEST_ANNOUNCE))

static struct rig rig;
static struct guest guest;
static struct control control; /* where one is open */
static uint8_t frame[FRAME_MAX], received[FRAME_MAX];

static int start(void **state)
{
	(void)state;
	guest_blank(&guest);
	control = (struct control){ .ring = { .kick = -1, .call = -1, .err = -1 } };
	rig_start(&rig, (const char *[]){ "--mtu=9000", NULL });
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

static void open_without_buffers(uint64_t features)
{
	const struct guest_options options = { .features = features,
					       .protocol = EXTRA,
					       .rx_buffer = 512 };

	rig_connect(&rig, &guest.peer);
	assert_ok(guest_negotiate(&guest, &options));
	assert_ok(guest_set_up(&guest));
	assert_ok(guest_start_rings(&guest, guest.options.base));
	guest.queue[RX].hold = true;
}

/* ---- the state ---- */

static uint8_t saved[128 * 1024];

static uint64_t transfer(uint32_t direction, int fd)
{
	struct vu_transfer which = { .direction = direction };
	struct vu_message reply;

	assert_ok(peer_send(&guest.peer, VU_SET_DEVICE_STATE_FD, VU_VERSION, &which, sizeof(which),
			    &fd, 1));
	close(fd);
	assert_ok(peer_recv(&guest.peer, &reply));
	return reply.u64;
}

static size_t state_save(void)
{
	uint64_t result;
	size_t got = 0;
	ssize_t n;
	int pair[2];

	assert_ok(pipe2(pair, O_CLOEXEC));
	assert_int_equal(0x100, transfer(0, pair[1]));
	while ((n = read(pair[0], saved + got, sizeof(saved) - got)) > 0)
		got += (size_t)n;
	close(pair[0]);
	assert_ok(peer_ask_u64(&guest.peer, VU_CHECK_DEVICE_STATE, &result));
	assert_int_equal(0, result);
	return got;
}

static void state_load(size_t len)
{
	uint64_t result;
	int pair[2];

	assert_ok(pipe2(pair, O_CLOEXEC));
	assert_int_equal(0x100, transfer(1, pair[0]));
	assert_int_equal(len, write(pair[1], saved, len));
	close(pair[1]);
	assert_ok(peer_ask_u64(&guest.peer, VU_CHECK_DEVICE_STATE, &result));
	assert_int_equal(0, result);
}

/* The guest's memory, rings and all stay; what serves them becomes another process. */
static void move(void)
{
	uint64_t features = guest.peer.features;
	uint32_t base[2], control_base = 0;
	size_t len;

	for (unsigned i = 0; i < 2; i++)
		assert_ok(guest_ring_stop(&guest, i, &base[i]));
	if (control.guest)
		assert_ok(guest_ring_stop(&guest, control.index, &control_base));
	len = state_save();
	peer_close(&guest.peer);
	rig_settled(&rig);
	rig_connect(&rig, &guest.peer);
	assert_ok(peer_negotiate(&guest.peer, features, GUEST_PROTOCOL_BITS | EXTRA));
	state_load(len); /* before SET_FEATURES, as QEMU does */
	assert_ok(peer_tell_u64(&guest.peer, VU_SET_FEATURES, features));
	assert_ok(guest_share_memory(&guest));
	for (unsigned i = 0; i < 2; i++) {
		assert_ok(guest_ring_configure(&guest, i, base[i]));
		assert_ok(guest_ring_enable(&guest, i, true));
	}
	if (control.guest)
		assert_ok(control_configure(&control, control_base));
}

static void goes_on_in_another_process(void **state)
{
	uint32_t sent = 0, got = 0, number;

	open_without_buffers((uint64_t)(uintptr_t)*state | MERGE | EVENT);
	for (uint32_t round = 0; round < 6; round++) {
		assert_ok(guest_post_buffers(&guest, 0, 3));
		frame_pattern(frame, 4000, round); /* 4012 bytes: eight buffers */
		assert_ok(wire_send(&rig.wire, NULL, frame, 4000));
		for (unsigned n = 0; n < 31 + round; n++, sent++) {
			frame_pattern(frame, 64 + sent % 900, sent);
			assert_ok(guest_send(&guest, 0, NULL, frame, 64 + sent % 900));
		}
		rig_sleep(30);
		move();
		for (unsigned n = 0; n < 10; n++, sent++) {
			frame_pattern(frame, 64 + sent % 900, sent);
			assert_ok(guest_send(&guest, 0, NULL, frame, 64 + sent % 900));
		}
		assert_ok(guest_post_buffers(&guest, 0, 5));
		assert_int_equal(4000, guest_receive(&guest, 0, NULL, received, sizeof(received),
						     RIG_WAIT_MS));
		assert_true(frame_intact(received, 4000, round));
		for (; got < sent; got++) {
			int len;

			/* what we sent to the guest passes here, too */
			do
				len = wire_recv(&rig.wire, NULL, received, sizeof(received));
			while (len == 4000);
			assert_int_equal(64 + got % 900, len);
			assert_true(frame_number(received, 64, &number));
			assert_int_equal(got, number);
		}
	}
	assert_ok(guest_flush(&guest, 0, RIG_WAIT_MS));
	rig.wire.timeout_ms = 50;
	assert_int_equal(-ETIMEDOUT, wire_recv(&rig.wire, NULL, received, sizeof(received)));
	assert_int_equal(-ETIMEDOUT,
			 guest_receive(&guest, 0, NULL, received, sizeof(received), 50));
	rig_close(&rig, &guest);
	rig_stop(&rig);
}

/* UDP over IPv4 to this address, with a VLAN tag unless 0: does the guest get it? */
static bool arrives(uint8_t last, unsigned vlan)
{
	static const uint8_t ip[] = { 8, 0,  0x45, 0,	0,   60,  0,   0,   0,	0,  64,	 17, 0,
				      0, 66, 9,	   149, 187, 161, 142, 100, 80, 10, 234, 6,  230 };
	const uint8_t head[] = { 2, 0, 0, 0, 0, last, 2, 0, 0, 0, 0, 99 };
	const uint8_t tag[] = { 0x81, 0, (uint8_t)(vlan >> 8), (uint8_t)vlan };
	size_t skip = vlan ? sizeof(tag) : 0;
	int n;

	memset(frame, 0, 100);
	memcpy(frame, head, sizeof(head));
	memcpy(frame + 12, tag, skip);
	memcpy(frame + 12 + skip, ip, sizeof(ip));
	assert_ok(wire_send(&rig.wire, NULL, frame, 100));
	n = guest_receive(&guest, 0, NULL, received, sizeof(received), 200);
	if (n == -ETIMEDOUT)
		return false;
	assert_int_equal(100, n);
	assert_memory_equal(frame, received, 100);
	return true;
}

static unsigned status_of_the_card(void)
{
	struct vu_config ask = { .offset = 6, .size = 2 };
	struct vu_message reply;

	assert_ok(peer_ask(&guest.peer, VU_GET_CONFIG, &ask, 12 + 2, &reply));
	return reply.config.bytes[0];
}

/* Filters as they were set below, and the hash of Microsoft's first vector. */
static void as_it_was_said(void)
{
	assert_true(arrives(5, 0) && arrives(7, 0) && arrives(5, 42));
	assert_int_equal(3, guest.report);
	assert_int_equal(0x51ccc178, guest.hash);
	assert_false(arrives(9, 0) || arrives(5, 43));
}

static void what_was_said_moves(void **state)
{
	static const uint8_t tables[] = { 1, 0, 0, 0, 2, 0, 0, 0, 0, 7, 0, 0, 0, 0 };
	static const uint8_t mac[] = { 2, 0, 0, 0, 0, 5 };
	static const uint8_t hash[] = {
		0x3f, 0,    0,	  0,	0,    0,    0,	  0,	0,    0,    0,	  0,	40,   0x6d,
		0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f,
		0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80,
		0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
	};

	open_without_buffers((uint64_t)(uintptr_t)*state | MERGE | EVENT | SAID);
	guest.queue[RX].hold = false;
	guest_refill(&guest, 0);
	assert_ok(control_open(&control, &guest, 1));
	assert_int_equal(VIRTIO_NET_OK, control_say8(&control, 0, 0, 0));
	assert_int_equal(VIRTIO_NET_OK, control_say(&control, 1, 0, tables, sizeof(tables)));
	assert_int_equal(VIRTIO_NET_OK, control_say(&control, 1, 1, mac, sizeof(mac)));
	assert_int_equal(VIRTIO_NET_OK, control_say16(&control, 2, 0, 42));
	assert_int_equal(VIRTIO_NET_OK, control_say(&control, 4, 2, hash, sizeof(hash)));
	as_it_was_said();
	for (unsigned round = 0; round < 3; round++) {
		move();
		as_it_was_said();
		/* The device that the guest comes to asks it to say where it is. */
		assert_int_equal(3, status_of_the_card());
		assert_int_equal(VIRTIO_NET_OK, control_say(&control, 3, 0, NULL, 0));
		assert_int_equal(1, status_of_the_card());
	}
	rig_close(&rig, &guest);
	rig_serves(&rig);
	rig_stop(&rig);
}

/* ---- the log ---- */

static uint8_t *bits;
static uint64_t bits_len;

static bool marked(uint64_t gpa)
{
	return __atomic_load_n(&bits[gpa / PAGE / 8], __ATOMIC_RELAXED) >> gpa / PAGE % 8 & 1;
}

static void log_give(void)
{
	struct vu_log log = { 0 };
	struct vu_message reply;
	uint64_t top = 0;
	int fd = memfd_create("log", MFD_CLOEXEC);

	for (size_t i = 0; i < guest.memory.count; i++)
		top = max_of(top, guest.memory.region[i].gpa + guest.memory.region[i].size);
	log.size = bits_len = top / PAGE / 8 + 1;
	assert_ok(ftruncate(fd, (off_t)bits_len));
	bits = mmap(NULL, bits_len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(MAP_FAILED, bits);
	assert_ok(peer_send(&guest.peer, VU_SET_LOG_BASE, VU_VERSION, &log, sizeof(log), &fd, 1));
	assert_ok(peer_recv(&guest.peer, &reply));
	assert_int_equal(0, reply.u64);
	close(fd);
}

/* As QEMU switches it under running rings: the feature, then each ring's flag. */
static void log_switch(bool on)
{
	assert_ok(
		peer_tell_u64(&guest.peer, VU_SET_FEATURES, guest.peer.features | (on ? LOG : 0)));
	for (unsigned i = 0; i < 2; i++) {
		const struct guest_ring *r = &guest.queue[i].ring;
		struct vu_vring_addr a = { .index = i,
					   .flags = on ? VU_VRING_F_LOG : 0,
					   .desc = guest_uva(&guest.memory, r->desc),
					   .avail = guest_uva(&guest.memory, r->driver),
					   .used = guest_uva(&guest.memory, r->device),
					   .log = r->device };

		assert_ok(peer_tell(&guest.peer, VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0));
	}
}

/* Pages that hold nothing but buffers of this ring: in each region they lie one behind another. */
static bool buffers_only(unsigned index, const struct guest_region *r, uint64_t page)
{
	const struct guest_queue *q = &guest.queue[index];
	uint64_t first = UINT64_MAX, last = 0;

	for (uint32_t i = 0; i < q->slots; i++) {
		if (q->slot[i] - r->gpa >= r->size)
			continue;
		first = min_of(first, q->slot[i]);
		last = max_of(last, q->slot[i] + q->slot_bytes);
	}
	return first <= page && page + PAGE <= last;
}

static uint8_t *copies[GUEST_REGIONS_MAX];

static void memory_note(void)
{
	for (size_t i = 0; i < guest.memory.count; i++) {
		const struct guest_region *r = &guest.memory.region[i];

		copies[i] = copies[i] ? copies[i] : malloc(r->size);
		assert_non_null(copies[i]);
		memcpy(copies[i], r->base, r->size);
	}
	memset(bits, 0, bits_len);
}

static unsigned memory_compare(void)
{
	unsigned n = 0;

	for (size_t i = 0; i < guest.memory.count; i++) {
		const struct guest_region *r = &guest.memory.region[i];

		for (uint64_t page = r->gpa; page + PAGE <= r->gpa + r->size; page += PAGE) {
			bool changed = memcmp(copies[i] + (page - r->gpa),
					      r->base + (page - r->gpa), PAGE);

			if (buffers_only(TX, r, page))
				assert_false(marked(page));
			if (!buffers_only(RX, r, page))
				continue;
			assert_int_equal(changed, marked(page));
			n += changed;
		}
	}
	return n;
}

static void log_is_exact(void **state)
{
	const uint64_t features = (uint64_t)(uintptr_t)*state;
	uint32_t number = 0;

	rig_connect(&rig, &guest.peer);
	assert_ok(guest_negotiate(
		&guest, &(struct guest_options){ .features = features,
						 .protocol = EXTRA,
						 .rx_buffer = features & MERGE ? 1000 : 0 }));
	assert_ok(guest_set_up(&guest));
	for (uint32_t i = 0; i < guest.queue[RX].slots; i++)
		memset(guest_at(&guest.memory, guest.queue[RX].slot[i], guest.queue[RX].slot_bytes),
		       0xa5, guest.queue[RX].slot_bytes);
	assert_ok(guest_start_rings(&guest, guest.options.base));
	guest_refill(&guest, 0);
	log_give();
	rig_exchange(&rig, &guest, 0);
	for (unsigned round = 0; round < 20; round++) {
		memory_note();
		log_switch(true);
		rig_receive(&rig, &guest, 0, 60 + 397 * round, number, 1 + round);
		rig_transmit(&rig, &guest, 0, 60 + 397 * round, number, 1 + round);
		number += 100;
		assert_ok(guest_flush(&guest, 0, RIG_WAIT_MS));
		rig_sleep(2);
		assert_true(memory_compare() > 0);
		for (unsigned i = 0; i < 2; i++)
			assert_true(marked(features & PACKED ? guest.queue[i].ring.desc
							     : guest.queue[i].ring.device));
		log_switch(false);
		memset(bits, 0, bits_len);
		rig_receive(&rig, &guest, 0, 500, number, 3);
		rig_transmit(&rig, &guest, 0, 500, number, 3);
		for (uint64_t i = 0; i < bits_len; i++)
			assert_int_equal(0, bits[i]);
	}
	munmap(bits, bits_len);
	for (size_t i = 0; i < GUEST_REGIONS_MAX; i++) {
		free(copies[i]);
		copies[i] = NULL;
	}
	rig_close(&rig, &guest);
	rig_stop(&rig);
}

#define WITH(test, features)                                                          \
	{                                                                             \
#test ": " #features, test, start, end, (void *)(uintptr_t)(features) \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(goes_on_in_another_process, 0),
		WITH(goes_on_in_another_process, PACKED),
		WITH(what_was_said_moves, 0),
		WITH(what_was_said_moves, PACKED),
		WITH(log_is_exact, 0),
		WITH(log_is_exact, MERGE | EVENT),
		WITH(log_is_exact, PACKED),
		WITH(log_is_exact, PACKED | MERGE | EVENT),
	};

	return rig_run("migration", tests, ARRAY_SIZE(tests));
}
