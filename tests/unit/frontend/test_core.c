/*
 * The transport on both buses while its states rest: what the back-end does by itself, one queue
 * that stops and starts alone, and what only some back-ends offer.
 */
#include "tests/unit/frontend/bench.h"

static bool begins(const char *whole, const char *with)
{
	return !strncmp(whole, with, strlen(with));
}

/* ---- the back-end by itself */

static void a_back_end_that_dies_is_seen_and_replaced(void **state)
{
	struct bench b;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_run(&b);
	backend_die(&b.backend);
	assert_true(bench_status_becomes(&b, S_RUNNING | S_NEEDS_RESET));
	assert_int_equal(1, b.line_rises);
	reg_set(&b, REG_STATUS, 0);
	assert_int_equal(0, reg(&b, REG_STATUS));
	driver_run(&b);
	assert_int_equal(2, b.backend.connections);
	bench_close(&b);
}

/* Linux reads the link's state when it is told of the failure, and believes it. */
static void known_configuration_outlives_the_back_end(void **state)
{
	struct bench b;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_run(&b);
	assert_int_equal(0xa7a6, bench_at(&b, AIRLOCK_BAR0, config_at[BUS(state)] + 6, 2));
	atomic_store(&b.backend.down, true);
	backend_die(&b.backend);
	assert_true(bench_status_becomes(&b, S_RUNNING | S_NEEDS_RESET));
	assert_int_equal(0xffa7a6ff, bench_at(&b, AIRLOCK_BAR0, config_at[BUS(state)] + 5, 4));
	bench_close(&b);
}

static void a_successor_that_can_do_less_is_refused(void **state)
{
	struct bench b;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_run(&b);
	b.backend.features &= ~BIT_ULL(VIRTIO_F_EVENT_IDX);
	backend_die(&b.backend);
	assert_true(bench_status_becomes(&b, S_RUNNING | S_NEEDS_RESET));
	reg_set(&b, REG_STATUS, 0);
	driver_set_up(&b);
	reg_set(&b, REG_STATUS, S_RUNNING);
	assert_int_equal(S_NEEDS_RESET, reg(&b, REG_STATUS));
	bench_close(&b);
}

static void a_change_of_configuration_is_counted_and_told(void **state)
{
	struct vu_header change = { 2, VU_VERSION, 0 };
	struct bench b;
	uint64_t generation;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_run(&b);
	generation = reg(&b, REG_GENERATION);
	assert_true(backend_say(&b.backend, &change));
	for (int i = 0; i < 100 && !b.line_rises; i++)
		bench_turn(&b, 20);
	assert_int_equal(1, b.line_rises);
	assert_int_equal(generation + 1, reg(&b, REG_GENERATION));
	bench_close(&b);
}

static void nonsense_on_the_channel_costs_the_connection(void **state)
{
	struct vu_header junk = { 99, VU_VERSION, 0 };
	struct bench b;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_run(&b);
	assert_true(backend_say(&b.backend, &junk));
	assert_true(bench_status_becomes(&b, S_RUNNING | S_NEEDS_RESET));
	bench_close(&b);
}

static void a_broken_ring_needs_reset(void **state)
{
	struct bench b;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_run(&b);
	backend_signal(&b.backend, &b.backend.ring[1].err);
	assert_true(bench_status_becomes(&b, S_RUNNING | S_NEEDS_RESET));
	bench_close(&b);
}

static void an_interrupt_passes_through(void **state)
{
	struct bench b;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_run(&b);
	backend_signal(&b.backend, &b.backend.ring[1].call);
	for (int i = 0; i < 100 && !b.line_rises; i++)
		bench_turn(&b, 20);
	assert_int_equal(1, b.line);
	reg_set(&b, REG_STATUS, 0);
	assert_int_equal(0, b.line);
	bench_close(&b);
}

/* ---- one queue alone */

static void ring_reset_stops_one_queue_and_starts_it_again(void **state)
{
	struct bench b;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_run(&b);
	b.backend.slow_ms = 50;
	b.backend.stop_at = 9;
	backend_script(&b.backend, VU_GET_VRING_BASE, 1, SLOW);
	reg_set(&b, REG_QUEUE_SELECT, 1);
	reg_set(&b, REG_QUEUE_RESET, 1);
	assert_int_equal(1, reg(&b, REG_QUEUE_RESET));
	for (int i = 0; i < 100 && reg(&b, REG_QUEUE_RESET); i++)
		bench_turn(&b, 20);
	assert_int_equal(0, reg(&b, REG_QUEUE_RESET));
	assert_int_equal(0, reg(&b, REG_QUEUE_ENABLE));
	assert_int_equal(256, reg(&b, REG_QUEUE_SIZE));
	assert_int_equal(0, reg(&b, REG_DESC));
	assert_true(b.backend.ring[0].started && !b.backend.ring[1].started);
	driver_queue(&b, 1);
	for (int i = 0; i < 100 && !backend_ring(&b.backend, 1).enabled; i++)
		bench_turn(&b, 20);
	assert_true(b.backend.ring[1].started && b.backend.ring[1].enabled);
	assert_int_equal(0, b.backend.ring[1].base);
	assert_int_equal(S_RUNNING, reg(&b, REG_STATUS));
	bench_close(&b);
}

static void a_queue_that_does_not_come_back_needs_reset(void **state)
{
	struct bench b;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_run(&b);
	reg_set(&b, REG_QUEUE_SELECT, 0);
	reg_set(&b, REG_QUEUE_RESET, 1);
	for (int i = 0; i < 100 && reg(&b, REG_QUEUE_RESET); i++)
		bench_turn(&b, 20);
	backend_script(&b.backend, VU_SET_VRING_ADDR, 1, REFUSE);
	driver_queue(&b, 0);
	assert_true(bench_status_becomes(&b, S_RUNNING | S_NEEDS_RESET));
	bench_close(&b);
}

static void ring_reset_needs_its_feature(void **state)
{
	struct bench b;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_features(&b, BIT_ULL(VIRTIO_F_VERSION_1));
	driver_queue(&b, 0);
	reg_set(&b, REG_STATUS, S_RUNNING);
	reg_set(&b, REG_QUEUE_RESET, 1);
	assert_int_equal(0, reg(&b, REG_QUEUE_RESET));
	assert_int_equal(1, reg(&b, REG_QUEUE_ENABLE));
	bench_close(&b);
}

/* ---- what only some back-ends offer */

static void only_what_was_offered_is_used(void **state)
{
	struct bench b;

	bench_prepare(&b, BUS(state), AIRLOCK_DEFER);
	b.backend.features = BIT_ULL(VIRTIO_F_VERSION_1);
	b.backend.protocol = 0;
	assert_int_equal(0, bench_begin(&b));
	airlock_memory_add(b.t, MEMORY_AT, MEMORY_SIZE, b.memory, 0, NULL, NULL);
	/* Nobody confirms it. */
	for (int i = 0; i < 100 && strcmp(backend_story(&b.backend), "SET_OWNER"); i++)
		bench_turn(&b, 10);
	assert_string_equal("SET_OWNER", backend_story(&b.backend));
	backend_forget(&b.backend);
	driver_features(&b, BIT_ULL(VIRTIO_F_VERSION_1));
	driver_queue(&b, 0);
	reg_set(&b, REG_STATUS, S_RUNNING);
	assert_string_equal("SET_MEM_TABLE SET_FEATURES NUM BASE ADDR CALL ERR KICK",
			    backend_story(&b.backend));
	assert_int_equal(BIT_ULL(VIRTIO_F_VERSION_1), b.backend.acked);
	backend_forget(&b.backend);
	reg_set(&b, REG_STATUS, 0);
	assert_string_equal("GET_VRING_BASE", backend_story(&b.backend));
	bench_close(&b);
}

static void packed_rings_begin_with_their_wrap_counters(void **state)
{
	struct bench b;

	bench_prepare(&b, BUS(state), AIRLOCK_DEFER);
	b.backend.features |= BIT_ULL(FEATURE_RING_PACKED);
	assert_int_equal(0, bench_begin(&b));
	airlock_memory_add(b.t, MEMORY_AT, MEMORY_SIZE, b.memory, 0, NULL, NULL);
	driver_features(&b, FEATURES_USED | BIT_ULL(FEATURE_RING_PACKED));
	driver_queue(&b, 0);
	reg_set(&b, REG_STATUS, S_RUNNING);
	assert_int_equal(0x80008000, b.backend.ring[0].base);
	b.backend.stop_at = 0x00058003;
	airlock_stop(b.t);
	airlock_start(b.t);
	backend_sync(&b.backend);
	assert_int_equal(0x00058003, b.backend.ring[0].base);
	bench_close(&b);
}

static void features_are_set_again_after_a_reset(void **state)
{
	struct bench b;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_run(&b);
	reg_set(&b, REG_STATUS, 0);
	backend_forget(&b.backend);
	driver_run(&b);
	assert_true(begins(backend_story(&b.backend), "SET_FEATURES NUM"));
	bench_close(&b);
}

static void status_goes_to_back_ends_that_take_it(void **state)
{
	struct bench b;

	bench_prepare(&b, BUS(state), AIRLOCK_DEFER);
	b.backend.protocol |= BIT_ULL(VU_P_STATUS);
	assert_int_equal(0, bench_begin(&b));
	airlock_memory_add(b.t, MEMORY_AT, MEMORY_SIZE, b.memory, 0, NULL, NULL);
	driver_run(&b);
	assert_int_equal(VU_SET_STATUS, b.backend.log[b.backend.nlog - 2].request);
	assert_int_equal(S_RUNNING, b.backend.log[b.backend.nlog - 2].value);
	reg_set(&b, REG_STATUS, 0);
	assert_int_equal(VU_SET_STATUS, b.backend.log[b.backend.nlog - 1].request);
	assert_int_equal(0, b.backend.log[b.backend.nlog - 1].value);
	bench_close(&b);
}

static void a_back_end_with_too_few_queues_is_refused(void **state)
{
	struct bench b;

	bench_prepare(&b, BUS(state), AIRLOCK_DEFER);
	b.options.queues = 6;
	b.backend.rings = 2; /* pairs, read kindly */
	assert_int_equal(-ENODEV, bench_begin(&b));
	bench_close(&b);
	bench_prepare(&b, BUS(state), AIRLOCK_DEFER);
	b.options.queues = 6;
	b.backend.rings = 3;
	assert_int_equal(0, bench_begin(&b));
	bench_close(&b);
}

static void a_back_end_without_version_1_is_refused(void **state)
{
	struct bench b;

	bench_prepare(&b, BUS(state), AIRLOCK_DEFER);
	b.backend.features &= ~BIT_ULL(VIRTIO_F_VERSION_1);
	assert_int_equal(-EPROTONOSUPPORT, bench_begin(&b));
	bench_close(&b);
}

static void the_control_queue_and_what_needs_it(void **state)
{
	static const struct {
		enum airlock_control control;
		unsigned int rings; /* that the back-end counts */
		bool shown;
	} rows[] = {
		{ AIRLOCK_CONTROL_AUTO, 2, false }, { AIRLOCK_CONTROL_AUTO, 3, true },
		{ AIRLOCK_CONTROL_AUTO, 8, false }, { AIRLOCK_CONTROL_ON, 2, true },
		{ AIRLOCK_CONTROL_OFF, 3, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bench b;

		bench_prepare(&b, BUS(state), AIRLOCK_DEFER);
		b.backend.features |= BIT_ULL(VIRTIO_NET_F_CTRL_VQ) | BIT_ULL(VIRTIO_NET_F_MQ);
		b.backend.rings = rows[i].rings;
		b.options.control = rows[i].control;
		assert_int_equal(0, bench_begin(&b));
		assert_int_equal(2 + rows[i].shown, airlock_queues(b.t));
		assert_int_equal(rows[i].shown,
				 reg(&b, REG_DEVICE_FEATURES) >> VIRTIO_NET_F_MQ & 1);
		bench_close(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(a_back_end_that_dies_is_seen_and_replaced),
		ON_BOTH(known_configuration_outlives_the_back_end),
		ON_BOTH(a_successor_that_can_do_less_is_refused),
		ON_BOTH(a_change_of_configuration_is_counted_and_told),
		ON_BOTH(nonsense_on_the_channel_costs_the_connection),
		ON_BOTH(a_broken_ring_needs_reset),
		ON_BOTH(an_interrupt_passes_through),
		ON_BOTH(ring_reset_stops_one_queue_and_starts_it_again),
		ON_BOTH(a_queue_that_does_not_come_back_needs_reset),
		ON_BOTH(ring_reset_needs_its_feature),
		ON_BOTH(only_what_was_offered_is_used),
		ON_BOTH(packed_rings_begin_with_their_wrap_counters),
		ON_BOTH(features_are_set_again_after_a_reset),
		ON_BOTH(status_goes_to_back_ends_that_take_it),
		ON_BOTH(a_back_end_with_too_few_queues_is_refused),
		ON_BOTH(a_back_end_without_version_1_is_refused),
		ON_BOTH(the_control_queue_and_what_needs_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
