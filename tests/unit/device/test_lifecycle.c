/*
 * The life of rings between front-end and workers: they start when everything is known, in
 * whatever order it came, and stop, break, restart and change hands without losing anything.
 */
#include "tests/unit/device/served.h"

#define STATE(ring) served.lifecycle.vrings[ring].state

static const struct net_hdr plain = { 0 };

/* One frame from the guest on ring 2 * pair + 1, at index `n`. */
static void transmits(unsigned int pair, uint16_t n)
{
	uint8_t frame[NET_HDR_LEN + 100];
	char *base = served.guest[pair];
	int taken = -1;

	memset(base + 0x300000, 0, NET_HDR_LEN);
	frame_fill((uint8_t *)base + 0x300000 + NET_HDR_LEN, 60, (uint8_t)n);
	post(PAIR_TX, n % 64, GPA_A + pair * REGION + 0x300000, NET_HDR_LEN + 60);
	fd_signal(served.lifecycle.vrings[2 * pair + 1].kick);
	for (int i = 0; i < 3000 && taken < 0; i++) {
		taken = (int)recv(served.wires[pair], frame, sizeof(frame), 0);
		if (taken < 0)
			usleep(1000);
	}
	assert_int_equal(NET_HDR_LEN + 60, taken);
	assert_int_equal((uint8_t)n, frame[NET_HDR_LEN]);
}

static bool told_of(int event)
{
	struct channel_msg msg;
	size_t none = 0;
	bool told = false;

	while (channel_recv(served.broker, CHANNEL_BROKER, PHASE_SERVING, &msg, NULL, &none) == 1)
		told |= msg.type == CHANNEL_EVENT && (int)msg.event.code == event;
	return told;
}

/* Every order of the four things that a ring needs: it runs after the last of them. */
static void any_order(void **state)
{
	(void)state;
	for (int order = 0; order < 24; order++) {
		int left[4] = { 0, 1, 2, 3 }, o = order;

		served_open(NULL);
		negotiate();
		assert_int_equal(0, tell_state(VU_SET_VRING_ENABLE, 1, 1));
		for (int n = 4; n > 0; n--) {
			int at_left = o % n, what = left[at_left];

			o /= n;
			left[at_left] = left[n - 1];
			assert_false(lifecycle_started(&served.lifecycle));
			if (what == 0)
				assert_int_equal(0, tell_table());
			else if (what == 1)
				assert_int_equal(0, tell_state(VU_SET_VRING_NUM, 1, 64));
			else if (what == 2)
				assert_int_equal(0, tell_addr(1, ring_uva(1)));
			else
				assert_int_equal(0, tell_event(VU_SET_VRING_KICK, 1));
		}
		assert_int_equal(RING_RUNNING, STATE(1));
		served_close(NULL);
	}
}

static void stop_and_start(void **state)
{
	(void)state;
	bring_up();
	for (uint16_t n = 0; n < 10; n++)
		transmits(0, n);
	for (int i = 0; i < 2; i++) { /* twice is once */
		assert_int_equal(10, stop(1));
		assert_int_equal(RING_STOPPED, STATE(1));
		assert_int_equal(-1, served.lifecycle.vrings[1].kick);
	}
	start_ring(1); /* at the base it stopped at */
	transmits(0, 10);
	assert_int_equal(11, stop(1));
	assert_int_equal(0, tell_state(VU_SET_VRING_BASE, 1, 11));
	assert_int_equal(0, tell_addr(1, ring_uva(1)));
	start_ring(1);
	transmits(0, 11);
}

static void base_without_a_start(void **state)
{
	(void)state;
	assert_int_equal(0, stop(3));
	assert_int_equal(NOTHING, tell_state(VU_SET_VRING_BASE, 3, 4711));
	assert_int_equal(4711, stop(3));
	tell_event(VU_SET_VRING_KICK, 3); /* waits for the rest */
	assert_int_equal(RING_WAITING, STATE(3));
	assert_int_equal(4711, stop(3));
	assert_int_equal(RING_STOPPED, STATE(3));
}

/* An empty cell of the table: what a running ring refuses, and goes on. */
static void running_ring_refuses(void **state)
{
	(void)state;
	bring_up();
	assert_int_equal(1, tell_state(VU_SET_VRING_NUM, 1, 64));
	assert_int_equal(1, tell_state(VU_SET_VRING_BASE, 1, 0));
	assert_int_equal(1, tell_addr(1, ring_uva(0)));
	assert_int_equal(0, tell_addr(1, ring_uva(1))); /* the same again */
	transmits(0, 0);
}

static void broken_and_restarted(void **state)
{
	struct vring *v = &served.lifecycle.vrings[1];
	int err;

	(void)state;
	bring_up();
	err = dup(v->err);
	transmits(0, 0);
	avail_push(PAIR_TX, 64); /* no such descriptor */
	fd_signal(v->kick);
	for (int i = 0; i < 1000 && STATE(1) == RING_RUNNING; i++) {
		usleep(1000);
		served_turn();
	}
	assert_int_equal(RING_BROKEN, STATE(1));
	assert_int_equal(RING_RUNNING, STATE(0));
	assert_int_equal(1, event_count(err));
	fd_close(&err);
	assert_true(told_of(EVENT_RING_BROKEN));
	assert_int_equal(0, served.over);
	/* what may be said of a broken ring */
	assert_int_equal(0, tell_event(VU_SET_VRING_CALL, 1));
	assert_int_equal(0, tell_event(VU_SET_VRING_ERR, 1));
	assert_int_equal(0, tell_state(VU_SET_VRING_ENABLE, 1, 0));
	assert_int_equal(0, tell_state(VU_SET_VRING_ENABLE, 1, 1));
	assert_int_equal(1, stop(1));
	configure(1, 0);
	start_ring(1);
	transmits(0, 0);
}

static void memory_that_vanished(void **state)
{
	(void)state;
	assert_int_equal(0, memory_guard_init());
	bring_up();
	assert_int_equal(0, ftruncate(served.files[0], 0));
	fd_signal(served.lifecycle.vrings[1].kick);
	for (int i = 0; i < 1000 && STATE(1) == RING_RUNNING; i++) {
		usleep(1000);
		served_turn();
	}
	assert_int_equal(RING_BROKEN, STATE(1));
	assert_true(told_of(EVENT_RING_UNREADABLE));
	/* rings in other memory are not concerned */
	assert_int_equal(0, ftruncate(served.files[0], REGION));
	configure(3, 0);
	assert_int_equal(0, ftruncate(served.files[0], 0));
	start_ring(3);
	transmits(1, 0);
	assert_int_equal(0, ftruncate(served.files[0], REGION));
}

/* One request starts two rings in two workers; the first cannot, and that is the answer. */
static void any_failure_is_the_answer(void **state)
{
	struct vu_mem_region regions[2] = { { GPA_A, REGION, UVA(GPA_A), 0 },
					    { GPA_B, REGION, UVA(GPA_B), 0 } };
	struct vu_message m = message(VU_SET_MEM_TABLE, OK, 8 + sizeof(regions));

	(void)state;
	assert_int_equal(0, memory_guard_init());
	negotiate();
	for (uint32_t ring = 1; ring < 4; ring += 2) {
		assert_int_equal(0, tell_state(VU_SET_VRING_NUM, ring, 64));
		assert_int_equal(0, tell_addr(ring, ring_uva(ring)));
		assert_int_equal(0, tell_event(VU_SET_VRING_KICK, ring));
	}
	m.memory = (struct vu_mem_table){ 2, 0, { regions[0], regions[1] } };
	say_raw(&m.head, 12 + m.head.size, served.files, 2);
	assert_true(served_round()); /* both are asked */
	/* as if the file had shrunk in between: the second answer is fine, the first was not */
	served.lifecycle.failed = -EFAULT;
	served_turn();
	assert_int_equal(1, hear(&m));
	assert_int_equal(1, m.u64);
	assert_int_equal(0, served.lifecycle.failed);
}

static void memory_replaced_while_running(void **state)
{
	struct memory *old;
	void *host;

	(void)state;
	bring_up();
	for (uint16_t n = 0; n < 20; n++) {
		old = served.lifecycle.memory;
		host = old->regions[0].host;
		assert_int_equal(0, tell_table());
		assert_int_equal(RING_RUNNING, STATE(1));
		assert_ptr_not_equal(old, served.lifecycle.memory);
		assert_ptr_not_equal(host, served.lifecycle.memory->regions[0].host);
		assert_false(old->used); /* let go before the answer */
		transmits(0, n);
	}
}

static void memory_taken_away(void **state)
{
	struct vu_message m = message(VU_REM_MEM_REG, OK, sizeof(m.single));

	(void)state;
	bring_up();
	configure(3, 0);
	start_ring(3);
	m.single.region = (struct vu_mem_region){ GPA_B, REGION, UVA(GPA_B), 0 };
	assert_int_equal(0, outcome(&m, NULL, 0));
	served_turn();
	assert_int_equal(RING_BROKEN, STATE(3));
	assert_int_equal(RING_RUNNING, STATE(1));
}

/* Without the protocol's feature nobody can enable a ring: all are. */
static void enabled_by_default(void **state)
{
	(void)state;
	assert_int_equal(NOTHING, tell_u64(VU_SET_FEATURES, MODERN | MRG));
	tell_table();
	tell_state(VU_SET_VRING_NUM, 1, 64);
	tell_addr(1, ring_uva(1));
	tell_event(VU_SET_VRING_KICK, 1);
	assert_int_equal(RING_RUNNING, STATE(1));
	assert_true(served.workers[0].pair.queues[PAIR_TX].enabled);
}

static void disabled_until_enabled(void **state)
{
	(void)state;
	negotiate();
	assert_int_equal(0, tell_table());
	assert_int_equal(0, tell_state(VU_SET_VRING_NUM, 1, 64));
	assert_int_equal(0, tell_addr(1, ring_uva(1)));
	start_ring(1);
	assert_false(served.workers[0].pair.queues[PAIR_TX].enabled);
	assert_int_equal(0, tell_state(VU_SET_VRING_ENABLE, 1, 1));
	assert_true(served.workers[0].pair.queues[PAIR_TX].enabled);
}

static void reset_of_the_device(void **state)
{
	struct vu_message m = message(VU_RESET_DEVICE, OK, 0);

	(void)state;
	for (int i = 0; i < 3; i++) {
		bring_up();
		transmits(0, 0);
		assert_int_equal(0, outcome(&m, NULL, 0));
		for (uint32_t ring = 0; ring < 2; ring++) {
			assert_int_equal(RING_STOPPED, STATE(ring));
			assert_int_equal(0, served.lifecycle.vrings[ring].size);
			assert_false(served.lifecycle.vrings[ring].enabled);
		}
		assert_int_equal(0, served.lifecycle.features);
		assert_non_null(served.lifecycle.memory); /* the front-end's, not the device's */
	}
}

static void owner_is_reset(void **state)
{
	struct vu_message m = message(VU_RESET_OWNER, OK, 0);

	(void)state;
	bring_up();
	transmits(0, 0);
	assert_int_equal(0, outcome(&m, NULL, 0));
	assert_false(lifecycle_started(&served.lifecycle));
	assert_int_equal(1, stop(1)); /* where it stopped is not forgotten */
	configure(1, 1);
	start_ring(1);
	stage.driver[PAIR_TX].avail->idx = 1;
	transmits(0, 1);
}

/* What the broker hears of TAP queues. */
static int attach_message(void)
{
	struct channel_msg msg;
	size_t none = 0;

	while (channel_recv(served.broker, CHANNEL_BROKER, PHASE_SERVING, &msg, NULL, &none) == 1)
		if (msg.type == CHANNEL_QUEUE)
			return (int)msg.queue.pair * 10 + (int)msg.queue.attach;
	return -1;
}

static void queues_are_attached_while_used(void **state)
{
	(void)state;
	negotiate();
	assert_int_equal(0, tell_table());
	configure(3, 0);
	assert_int_equal(-1, attach_message());
	start_ring(3);
	served_turn();
	assert_int_equal(11, attach_message());
	stop(3);
	served_turn();
	assert_int_equal(-1, attach_message()); /* frames wait for it to go on */
	assert_int_equal(0, tell_state(VU_SET_VRING_ENABLE, 3, 0));
	served_turn();
	assert_int_equal(10, attach_message());
}

/* A broker that is behind is told later; what it missed in between does not matter. */
static void busy_broker_is_told_later(void **state)
{
	struct channel_msg msg = { .type = CHANNEL_PONG };

	(void)state;
	negotiate();
	assert_int_equal(0, tell_table());
	configure(3, 0);
	while (channel_send(served.orders.sock, &msg, NULL, 0) == 0)
		;
	start_ring(3);
	assert_false(lifecycle_attach(&served.lifecycle));
	assert_int_equal(0, tell_state(VU_SET_VRING_ENABLE, 3, 0));
	assert_true(lifecycle_attach(&served.lifecycle));
	assert_int_equal(0, tell_state(VU_SET_VRING_ENABLE, 3, 1));
	assert_false(lifecycle_attach(&served.lifecycle));
	assert_int_equal(-1, attach_message()); /* reads everything */
	assert_true(lifecycle_attach(&served.lifecycle));
	assert_int_equal(11, attach_message());
}

static uint64_t *log_words;

static int give_log(void)
{
	struct vu_message m = message(VU_SET_LOG_BASE, OK, 16);
	int fd = memory_file(4096), rc;

	log_words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	m.log.size = 4096;
	rc = outcome(&m, &fd, 1);
	fd_close(&fd);
	return rc;
}

static bool logged(uint64_t gpa)
{
	return __atomic_load_n(&log_words[gpa >> 18], __ATOMIC_RELAXED) >> (gpa >> 12) % 64 & 1;
}

/* Migration: LOG_ALL may change under running rings, and the ring's own writes are logged. */
static void dirty_log(void **state)
{
	(void)state;
	bring_up();
	assert_int_equal(0, give_log());
	transmits(0, 0);
	assert_false(logged(RING_AT(1) + USED_OFF));
	assert_int_equal(0, tell_u64(VU_SET_FEATURES, FEATURES | BIT_ULL(VU_F_LOG_ALL)));
	assert_int_equal(0, tell_addr_flags(1, ring_uva(1), VU_VRING_F_LOG, RING_AT(1) + USED_OFF));
	assert_int_equal(0, tell_addr_flags(0, ring_uva(0), VU_VRING_F_LOG, RING_AT(0) + USED_OFF));
	transmits(0, 1);
	stop(1);
	assert_true(logged(RING_AT(1) + USED_OFF));
	/* and what is received */
	stage.driver[PAIR_RX] =
		(struct driver){ 64, (void *)(served.guest[0] + RING_AT(0) - GPA_A),
				 (void *)(served.guest[0] + RING_AT(0) - GPA_A + AVAIL_OFF),
				 (void *)(served.guest[0] + RING_AT(0) - GPA_A + USED_OFF), 0 };
	post(PAIR_RX, 0, GPA_A + 0x3fe000, 9000);
	fd_signal(served.lifecycle.vrings[0].kick);
	stage.wire = served.wires[0];
	wire_send(&plain, 5000, 1);
	for (int i = 0; i < 3000 && used_take(PAIR_RX, NULL) < 0; i++)
		usleep(1000);
	assert_true(logged(GPA_A + 0x3fe000));
	assert_true(logged(GPA_A + 0x3ff000));
	assert_false(logged(GPA_B)); /* posted, but not written */
	munmap(log_words, 4096);
}

/* A log whose file shrinks under the ring that marks it. */
static void log_that_vanished(void **state)
{
	struct vu_message m = message(VU_SET_LOG_BASE, OK, 16);
	int fd = memory_file(4096);

	(void)state;
	assert_int_equal(0, memory_guard_init());
	bring_up();
	m.log.size = 4096;
	assert_int_equal(0, outcome(&m, &fd, 1));
	assert_int_equal(0, tell_u64(VU_SET_FEATURES, FEATURES | BIT_ULL(VU_F_LOG_ALL)));
	assert_int_equal(0, tell_addr_flags(1, ring_uva(1), VU_VRING_F_LOG, RING_AT(1) + USED_OFF));
	transmits(0, 0);
	assert_int_equal(0, ftruncate(fd, 0));
	fd_signal(served.lifecycle.vrings[1].kick);
	for (int i = 0; i < 1000 && STATE(1) == RING_RUNNING; i++) {
		usleep(1000);
		served_turn();
	}
	assert_int_equal(RING_BROKEN, STATE(1));
	assert_int_equal(0, served.over);
	fd_close(&fd);
}

/* A packed ring, its positions in both halves of the base. */
static void packed_ring(void **state)
{
	struct vu_message m = message(VU_SET_VRING_ADDR, OK, sizeof(m.addr));
	struct virtq_packed_desc *desc = (void *)(served.guest[0] + 0x100000);
	uint8_t frame[NET_HDR_LEN + 100];
	static const struct {
		uint32_t base;
		int outcome;
	} bases[] = {
		{ 6, 1 },	   { 0x8006, 1 },     { 0x60000, 1 }, { 0x80068000, 1 },
		{ 0x7fff8000, 1 }, { 0x80058005, 0 }, { 0x8005, 0 },  { 0x80008000, 0 },
	};

	(void)state;
	negotiate_with(FEATURES | BIT_ULL(VIRTIO_F_RING_PACKED), PROTOCOL);
	assert_int_equal(0, tell_table());
	assert_int_equal(0, tell_state(VU_SET_VRING_NUM, 1, 6)); /* no power of two */
	m.addr = (struct vu_vring_addr){ .index = 1,
					 .desc = UVA(GPA_A) + 0x100000,
					 .used = UVA(GPA_A) + 0x101000,
					 .avail = UVA(GPA_A) + 0x102002 };
	assert_int_equal(1, outcome(&m, NULL, 0)); /* the event words need four bytes */
	m.addr.avail = m.addr.desc + 6 * 16 - 4;
	assert_int_equal(1, outcome(&m, NULL, 0)); /* within the descriptors */
	m.addr.avail = UVA(GPA_A) + 0x102000;
	assert_int_equal(0, outcome(&m, NULL, 0));
	for (size_t i = 0; i < ARRAY_SIZE(bases); i++)
		assert_int_equal(bases[i].outcome, tell_state(VU_SET_VRING_BASE, 1, bases[i].base));
	assert_int_equal(0, tell_state(VU_SET_VRING_ENABLE, 1, 1));
	start_ring(1);
	desc[0] = (struct virtq_packed_desc){ GPA_A + 0x300000, NET_HDR_LEN + 60, 5, 0 };
	__atomic_store_n(&desc[0].flags, DESC_F_AVAIL, __ATOMIC_RELEASE);
	fd_signal(served.lifecycle.vrings[1].kick);
	for (int i = 0; i < 3000 && recv(served.wires[0], frame, sizeof(frame), 0) < 0; i++)
		usleep(1000);
	assert_int_equal(0x80018001, stop(1));
	assert_int_equal(DESC_F_AVAIL | DESC_F_USED, desc[0].flags);
	start_ring(1);
}

/* A log, rings named by guest addresses, and no memory: SEND_RARP looked for the rings' areas. */
static void log_without_memory(void **state)
{
	(void)state;
	negotiate_with(FEATURES, PROTOCOL | BIT_ULL(VU_P_GPA_ADDRESSES));
	assert_int_equal(0, give_log());
	assert_int_equal(0, tell_addr_flags(0, RING_AT(0), VU_VRING_F_LOG, 0));
	assert_int_equal(0, tell_u64(VU_SEND_RARP, 2));
	munmap(log_words, 4096);
}

/* A packed ring's own writes are logged where the guest has the ring, also when that changes under
 * it. */
static void log_follows_the_memory(void **state)
{
	const struct ring_log *log = &served.workers[0].pair.queues[1].ring.log;
	struct vu_message m = message(VU_SET_MEM_TABLE, OK, 8 + 2 * sizeof(struct vu_mem_region));

	(void)state;
	negotiate_with(FEATURES | BIT_ULL(VIRTIO_F_RING_PACKED), PROTOCOL);
	assert_int_equal(0, give_log());
	assert_int_equal(0, tell_table());
	for (uint32_t ring = 0; ring < 2; ring++) {
		assert_int_equal(0, tell_state(VU_SET_VRING_NUM, ring, 64));
		assert_int_equal(0, tell_state(VU_SET_VRING_BASE, ring, 0x80008000));
		assert_int_equal(0, tell_addr_flags(ring, ring_uva(ring), ring ? VU_VRING_F_LOG : 0,
						    0x1000));
		start_ring(ring);
	}
	assert_int_equal(RING_AT(1), log->desc);
	m.memory = (struct vu_mem_table){
		2, 0, { { GPA_C, REGION, UVA(GPA_A), 0 }, { GPA_B, REGION, UVA(GPA_B), 0 } }
	};
	assert_int_equal(0, outcome(&m, served.files, 2));
	assert_int_equal(RING_RUNNING, STATE(1));
	assert_int_equal(GPA_C + RING_AT(1) - GPA_A, log->desc);
	assert_int_equal(0x1000, log->used);
	assert_ptr_equal(served.lifecycle.dirty, log->dirty);
	assert_null(served.workers[0].pair.queues[0].ring.log.dirty);
	munmap(log_words, 4096);
}

static void rings_by_guest_addresses(void **state)
{
	(void)state;
	negotiate_with(FEATURES, PROTOCOL | BIT_ULL(VU_P_GPA_ADDRESSES));
	assert_int_equal(0, tell_table());
	assert_int_equal(0, tell_state(VU_SET_VRING_NUM, 1, 64));
	assert_int_equal(1, tell_addr(1, ring_uva(1)));
	assert_int_equal(0, tell_addr(1, RING_AT(1)));
	start_ring(1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, served_open, served_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_order),
		TEST(stop_and_start),
		TEST(base_without_a_start),
		TEST(running_ring_refuses),
		TEST(broken_and_restarted),
		TEST(memory_that_vanished),
		TEST(any_failure_is_the_answer),
		TEST(memory_replaced_while_running),
		TEST(memory_taken_away),
		TEST(enabled_by_default),
		TEST(disabled_until_enabled),
		TEST(reset_of_the_device),
		TEST(owner_is_reset),
		TEST(queues_are_attached_while_used),
		TEST(busy_broker_is_told_later),
		TEST(dirty_log),
		TEST(log_that_vanished),
		TEST(packed_ring),
		TEST(log_without_memory),
		TEST(log_follows_the_memory),
		TEST(rings_by_guest_addresses),
	};

	return cmocka_run_group_tests_name("lifecycle", tests, NULL, NULL);
}
