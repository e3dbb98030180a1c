/*
 * The states of the transport, row by row of the table in docs/transport.md, on both buses: what a
 * driver sees, and what the back-end is asked, when everything works and when nothing does.
 */
#include "tests/unit/frontend/bench.h"

#define START_OF_A_QUEUE "NUM BASE ADDR CALL ERR KICK ENABLE"
#define STOP_OF_A_QUEUE	 "ENABLE GET_VRING_BASE"

/* ---- rows 1 to 6: the driver writes while nothing is under way */

static void row_1_bits_accumulate(void **state)
{
	struct bench b;
	uint64_t generation;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	reg_set(&b, REG_STATUS, S_ACK);
	reg_set(&b, REG_STATUS, S_DRIVER);
	assert_int_equal(S_ACK | S_DRIVER, reg(&b, REG_STATUS));
	generation = reg(&b, REG_GENERATION);
	driver_features(&b, FEATURES_USED);
	assert_int_equal(S_SET_UP, reg(&b, REG_STATUS));
	assert_int_equal(generation + 1, reg(&b, REG_GENERATION));
	/* Locked. */
	reg_set(&b, REG_DRIVER_SELECT, 0);
	reg_set(&b, REG_DRIVER_FEATURES, 0);
	assert_int_equal((uint32_t)FEATURES_USED, reg(&b, REG_DRIVER_FEATURES));
	/* Only the device sets this one. */
	reg_set(&b, REG_STATUS, S_SET_UP | S_NEEDS_RESET);
	assert_int_equal(S_SET_UP, reg(&b, REG_STATUS));
	bench_close(&b);
}

static void row_1_features_ok_needs_version_1(void **state)
{
	struct bench b;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_features(&b, BIT_ULL(VIRTIO_F_EVENT_IDX));
	assert_int_equal(S_ACK | S_DRIVER, reg(&b, REG_STATUS));
	bench_close(&b);
}

static void row_1_features_are_masked_by_those_offered(void **state)
{
	struct bench b;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_features(&b, UINT64_MAX);
	reg_set(&b, REG_DRIVER_SELECT, 0);
	assert_int_equal((uint32_t)(b.backend.features & ~BIT_ULL(VU_F_PROTOCOL_FEATURES)),
			 reg(&b, REG_DRIVER_FEATURES));
	reg_set(&b, REG_DRIVER_SELECT, 2);
	assert_int_equal(0, reg(&b, REG_DRIVER_FEATURES));
	bench_close(&b);
}

static void row_2_driver_ok_starts_the_enabled_queues(void **state)
{
	struct bench b;
	struct touch ok;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_features(&b, FEATURES_USED);
	driver_queue(&b, 1); /* and not 0 */
	backend_forget(&b.backend);
	assert_int_equal(0, b.doorbells);
	assert_int_equal(1, reg_start(&b, &ok, REG_STATUS, true, S_RUNNING));
	assert_int_equal(1, b.doorbells);
	touch_wait(&b, &ok);
	assert_string_equal("ADD_MEM_REG SET_FEATURES " START_OF_A_QUEUE,
			    backend_story(&b.backend));
	assert_int_equal(S_RUNNING, reg(&b, REG_STATUS));
	assert_false(b.backend.ring[0].started);
	assert_true(b.backend.ring[1].started && b.backend.ring[1].enabled);
	assert_int_equal(128, b.backend.ring[1].size);
	/* Only what both sides offered reaches the back-end: RING_RESET is the transport's. */
	assert_int_equal((FEATURES_USED & ~BIT_ULL(FEATURE_RING_RESET)) |
				 BIT_ULL(VU_F_PROTOCOL_FEATURES),
			 b.backend.acked);
	bench_close(&b);
}

static void row_2_status_is_not_early(void **state)
{
	struct bench b;

	bench_open(&b, BUS(state), AIRLOCK_PEND);
	driver_set_up(&b);
	b.backend.slow_ms = 100;
	backend_script(&b.backend, VU_SET_VRING_KICK, 2, SLOW);
	reg_set(&b, REG_STATUS, S_RUNNING);
	assert_int_equal(S_SET_UP, reg(&b, REG_STATUS));
	assert_true(bench_status_becomes(&b, S_RUNNING));
	bench_close(&b);
}

static void row_3_driver_ok_again_while_busy(void **state)
{
	struct bench b;

	bench_open(&b, BUS(state), AIRLOCK_PEND);
	driver_set_up(&b);
	b.backend.slow_ms = 100;
	backend_script(&b.backend, VU_SET_VRING_KICK, 1, SLOW);
	reg_set(&b, REG_STATUS, S_RUNNING);
	reg_set(&b, REG_STATUS, S_RUNNING | 0x80);
	assert_int_equal(S_SET_UP | 0x80, reg(&b, REG_STATUS));
	assert_true(bench_status_becomes(&b, S_RUNNING | 0x80));
	assert_int_equal(2, backend_count(&b.backend, VU_SET_VRING_KICK));
	bench_close(&b);
}

static void row_4_reset_of_a_reset_device_is_nothing(void **state)
{
	struct bench b;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	reg_set(&b, REG_DEVICE_SELECT, 1);
	backend_forget(&b.backend);
	reg_set(&b, REG_STATUS, 0);
	assert_int_equal(1, reg(&b, REG_DEVICE_SELECT));
	assert_int_equal(0, b.backend.nlog);
	bench_close(&b);
}

static void row_5_reset_before_driver_ok_asks_nobody(void **state)
{
	struct bench b;
	struct touch zero;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_set_up(&b);
	assert_int_equal(0, reg_start(&b, &zero, REG_STATUS, true, 0));
	assert_int_equal(0, reg(&b, REG_STATUS));
	assert_int_equal(0, b.backend.nlog);
	bench_close(&b);
}

static void row_6_reset_stops_and_resets(void **state)
{
	struct bench b;
	struct touch zero;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_run(&b);
	backend_forget(&b.backend);
	assert_int_equal(1, reg_start(&b, &zero, REG_STATUS, true, 0));
	assert_int_equal(0, b.doorbells);
	touch_wait(&b, &zero);
	assert_string_equal(STOP_OF_A_QUEUE " " STOP_OF_A_QUEUE " RESET_DEVICE",
			    backend_story(&b.backend));
	assert_int_equal(0, reg(&b, REG_STATUS));
	bench_close(&b);
}

static void row_6_status_is_unchanged_until_done(void **state)
{
	struct bench b;

	bench_open(&b, BUS(state), AIRLOCK_PEND);
	driver_run(&b);
	b.backend.slow_ms = 100;
	backend_script(&b.backend, VU_RESET_DEVICE, 1, SLOW);
	reg_set(&b, REG_STATUS, 0);
	assert_int_equal(S_RUNNING, reg(&b, REG_STATUS));
	assert_true(bench_status_becomes(&b, 0));
	bench_close(&b);
}

/* ---- rows 7, 8, 11: reset meets what is under way */

static void row_7_reset_while_enabling_is_pending(void **state)
{
	struct bench b;
	bool seen_ok = false;

	bench_open(&b, BUS(state), AIRLOCK_PEND);
	driver_set_up(&b);
	b.backend.slow_ms = 100;
	backend_script(&b.backend, VU_SET_VRING_KICK, 1, SLOW);
	reg_set(&b, REG_STATUS, S_RUNNING);
	reg_set(&b, REG_STATUS, 0);
	assert_int_equal(S_SET_UP, reg(&b, REG_STATUS));
	for (int64_t end = clock_ms() + PATIENCE_MS; reg(&b, REG_STATUS) && clock_ms() < end;) {
		seen_ok |= reg(&b, REG_STATUS) & S_OK;
		bench_turn(&b, 5);
	}
	assert_false(seen_ok);
	assert_int_equal(0, reg(&b, REG_STATUS));
	assert_int_equal(2, backend_count(&b.backend, VU_GET_VRING_BASE));
	assert_false(b.backend.ring[0].started || b.backend.ring[1].started);
	bench_close(&b);
}

static void row_7_reset_while_enabling_is_stalled(void **state)
{
	struct bench b;
	struct touch ok, zero;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_set_up(&b);
	b.backend.slow_ms = 100;
	backend_script(&b.backend, VU_SET_VRING_KICK, 1, SLOW);
	assert_int_equal(1, reg_start(&b, &ok, REG_STATUS, true, S_RUNNING));
	assert_int_equal(1, reg_start(&b, &zero, REG_STATUS, true, 0));
	touch_wait(&b, &zero);
	assert_true(ok.over && ok.order < zero.order);
	assert_int_equal(0, reg(&b, REG_STATUS));
	assert_int_equal(1, backend_count(&b.backend, VU_RESET_DEVICE));
	bench_close(&b);
}

static void row_8_reset_while_disabling(void **state)
{
	struct bench b;

	bench_open(&b, BUS(state), AIRLOCK_PEND);
	driver_run(&b);
	b.backend.slow_ms = 100;
	backend_script(&b.backend, VU_RESET_DEVICE, 1, SLOW);
	reg_set(&b, REG_STATUS, 0);
	reg_set(&b, REG_STATUS, 0);
	assert_true(bench_status_becomes(&b, 0));
	assert_int_equal(1, backend_count(&b.backend, VU_RESET_DEVICE));
	bench_close(&b);
}

static void driver_ok_is_ignored_while_disabling(void **state)
{
	struct bench b;

	bench_open(&b, BUS(state), AIRLOCK_PEND);
	driver_run(&b);
	b.backend.slow_ms = 100;
	backend_script(&b.backend, VU_RESET_DEVICE, 1, SLOW);
	reg_set(&b, REG_STATUS, 0);
	backend_forget(&b.backend);
	reg_set(&b, REG_STATUS, S_RUNNING);
	assert_true(bench_status_becomes(&b, 0));
	assert_int_equal(0, backend_count(&b.backend, VU_SET_VRING_KICK));
	bench_close(&b);
}

static void row_9_driver_ok_brings_no_change_of_configuration(void **state)
{
	struct bench b;
	uint64_t generation;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_set_up(&b);
	generation = reg(&b, REG_GENERATION);
	reg_set(&b, REG_STATUS, S_RUNNING);
	assert_int_equal(generation, reg(&b, REG_GENERATION));
	assert_int_equal(0, b.line_rises);
	bench_close(&b);
}

/* ---- row 10: an enable that fails, at each step and in each way */

static const uint32_t enable_steps[] = {
	VU_ADD_MEM_REG,	   VU_SET_FEATURES,   VU_SET_VRING_NUM,	 VU_SET_VRING_BASE,
	VU_SET_VRING_ADDR, VU_SET_VRING_CALL, VU_SET_VRING_KICK, VU_SET_VRING_ENABLE,
};

static void expect_failed_enable(struct bench *b, enum airlock_bus bus, uint32_t at,
				 unsigned int nth, enum trick trick)
{
	bench_open(b, bus, AIRLOCK_DEFER);
	driver_set_up(b);
	backend_script(&b->backend, at, nth, trick);
	reg_set(b, REG_STATUS, S_RUNNING);
	if (reg(b, REG_STATUS) != S_NEEDS_RESET)
		fail_msg("%s, trick %d: STATUS %x", vu_name(at), trick,
			 (unsigned int)reg(b, REG_STATUS));
	assert_int_equal(0, b->doorbells);
	assert_int_equal(1, b->troubles);
	/* The driver's reset brings it back: on a fresh back-end, where that one is gone. */
	reg_set(b, REG_STATUS, 0);
	assert_int_equal(0, reg(b, REG_STATUS));
	backend_script(&b->backend, 0, 0, ANSWER);
	driver_run(b);
	assert_true(b->backend.ring[0].started && b->backend.ring[1].started);
}

static void row_10_enable_refused_at_each_step(void **state)
{
	struct bench b;

	for (size_t i = 0; i < ARRAY_SIZE(enable_steps); i++) {
		expect_failed_enable(&b, BUS(state), enable_steps[i], 1, REFUSE);
		assert_int_equal(1, b.backend.connections);
		bench_close(&b);
	}
}

static void row_10_back_end_vanishes_at_each_step(void **state)
{
	struct bench b;

	for (size_t i = 0; i < ARRAY_SIZE(enable_steps); i++) {
		expect_failed_enable(&b, BUS(state), enable_steps[i], 1, VANISH);
		assert_int_equal(2, b.backend.connections);
		bench_close(&b);
	}
}

static void row_10_back_end_hangs_at_each_step(void **state)
{
	struct bench b;

	for (size_t i = 0; i < ARRAY_SIZE(enable_steps); i++) {
		int64_t begin = clock_ms();

		expect_failed_enable(&b, BUS(state), enable_steps[i], 1, HANG);
		assert_in_range(clock_ms() - begin, DEADLINE_MS, PATIENCE_MS);
		bench_close(&b);
	}
}

static void row_10_back_end_speaks_nonsense_at_each_step(void **state)
{
	struct bench b;

	for (size_t i = 0; i < ARRAY_SIZE(enable_steps); i++) {
		expect_failed_enable(&b, BUS(state), enable_steps[i], 1, NONSENSE);
		bench_close(&b);
	}
}

static void row_10_partial_failure_stops_what_was_started(void **state)
{
	struct bench b;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_set_up(&b);
	backend_script(&b.backend, VU_SET_VRING_ADDR, 2, REFUSE);
	reg_set(&b, REG_STATUS, S_RUNNING);
	assert_int_equal(S_NEEDS_RESET, reg(&b, REG_STATUS));
	/* Queue 0 ran, queue 1 had only begun: both are stopped, in order, then one reset. */
	assert_string_equal("ADD_MEM_REG SET_FEATURES " START_OF_A_QUEUE
			    " NUM BASE ADDR " STOP_OF_A_QUEUE " " STOP_OF_A_QUEUE " RESET_DEVICE",
			    backend_story(&b.backend));
	bench_close(&b);
}

static void row_10_nobody_listens(void **state)
{
	struct bench b;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_set_up(&b);
	atomic_store(&b.backend.down, true);
	backend_die(&b.backend);
	reg_set(&b, REG_STATUS, S_RUNNING);
	assert_int_equal(S_NEEDS_RESET, reg(&b, REG_STATUS));
	bench_close(&b);
}

static void row_10_the_driver_is_interrupted(void **state)
{
	struct bench b;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_set_up(&b);
	backend_script(&b.backend, VU_SET_FEATURES, 1, REFUSE);
	reg_set(&b, REG_STATUS, S_RUNNING);
	assert_int_equal(1, b.line_rises);
	bench_close(&b);
}

static void row_11_pending_reset_wins_over_either_result(void **state)
{
	static const enum trick tricks[] = { SLOW, REFUSE, VANISH, HANG };

	for (size_t i = 0; i < ARRAY_SIZE(tricks); i++) {
		struct bench b;

		bench_open(&b, BUS(state), AIRLOCK_PEND);
		driver_set_up(&b);
		b.backend.slow_ms = 50;
		backend_script(&b.backend, VU_SET_VRING_KICK, 1, tricks[i]);
		reg_set(&b, REG_STATUS, S_RUNNING);
		reg_set(&b, REG_STATUS, 0);
		assert_true(bench_status_becomes(&b, 0));
		assert_int_equal(0, b.line_rises);
		bench_close(&b);
	}
}

/* ---- row 12: a disable that fails still ends */

static void row_12_disable_always_ends(void **state)
{
	static const uint32_t steps[] = { VU_SET_VRING_ENABLE, VU_GET_VRING_BASE, VU_RESET_DEVICE };

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		for (enum trick trick = REFUSE; trick <= NONSENSE; trick++) {
			struct bench b;

			bench_open(&b, BUS(state), AIRLOCK_DEFER);
			driver_run(&b);
			backend_script(&b.backend, steps[i], 1, trick);
			reg_set(&b, REG_STATUS, 0);
			assert_int_equal(0, reg(&b, REG_STATUS));
			backend_script(&b.backend, 0, 0, ANSWER);
			driver_run(&b);
			bench_close(&b);
		}
}

/* ---- rows 13, 14: accesses while busy */

static void row_13_stalled_accesses_replay_in_order(void **state)
{
	struct bench b;
	struct touch ok, select, size, status;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_set_up(&b);
	reg_set(&b, REG_QUEUE_SELECT, 0);
	b.backend.slow_ms = 100;
	backend_script(&b.backend, VU_SET_VRING_KICK, 1, SLOW);
	assert_int_equal(1, reg_start(&b, &ok, REG_STATUS, true, S_RUNNING));
	assert_int_equal(1, reg_start(&b, &select, REG_QUEUE_SELECT, true, 7));
	assert_int_equal(1, reg_start(&b, &size, REG_QUEUE_SIZE, false, 0));
	assert_int_equal(1, reg_start(&b, &status, REG_STATUS, false, 0));
	assert_false(select.over);
	touch_wait(&b, &status);
	assert_true(ok.order < select.order && select.order < size.order &&
		    size.order < status.order);
	assert_int_equal(0,
			 touch_value(&size)); /* of the queue that the write before it selected */
	assert_int_equal(S_RUNNING, touch_value(&status));
	bench_close(&b);
}

static void row_13_a_replayed_write_can_be_deferred(void **state)
{
	struct bench b;
	struct touch ok, zero, read, again, last;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_set_up(&b);
	b.backend.slow_ms = 50;
	backend_script(&b.backend, VU_SET_VRING_KICK, 1, SLOW);
	reg_start(&b, &ok, REG_STATUS, true, S_RUNNING);
	reg_start(&b, &zero, REG_STATUS, true, 0);
	reg_start(&b, &read, REG_STATUS, false, 0);
	reg_start(&b, &again, REG_STATUS, true, S_ACK);
	reg_start(&b, &last, REG_STATUS, false, 0);
	touch_wait(&b, &last);
	assert_true(ok.order < zero.order && zero.order < read.order && read.order < again.order);
	assert_int_equal(0, touch_value(&read));
	assert_int_equal(S_ACK, touch_value(&last));
	bench_close(&b);
}

static void no_stalled_access_is_discarded(void **state)
{
	static const enum trick tricks[] = { REFUSE, VANISH, HANG };

	for (size_t i = 0; i < ARRAY_SIZE(tricks); i++) {
		struct bench b;
		struct touch ok, read;

		bench_open(&b, BUS(state), AIRLOCK_DEFER);
		driver_set_up(&b);
		backend_script(&b.backend, VU_SET_VRING_KICK, 1, tricks[i]);
		reg_start(&b, &ok, REG_STATUS, true, S_RUNNING);
		assert_int_equal(1, reg_start(&b, &read, REG_STATUS, false, 0));
		touch_wait(&b, &read);
		assert_int_equal(S_NEEDS_RESET, touch_value(&read));
		bench_close(&b);
	}
}

static void no_stalled_access_is_discarded_by_stop_or_reset(void **state)
{
	for (int reset = 0; reset < 2; reset++) {
		struct bench b;
		struct touch ok, select, read;

		bench_open(&b, BUS(state), AIRLOCK_DEFER);
		driver_set_up(&b);
		b.backend.slow_ms = 50;
		backend_script(&b.backend, VU_SET_VRING_KICK, 1, SLOW);
		reg_start(&b, &ok, REG_STATUS, true, S_RUNNING);
		reg_start(&b, &select, REG_QUEUE_SELECT, true, 1);
		reg_start(&b, &read, REG_QUEUE_SIZE, false, 0);
		if (reset)
			airlock_reset(b.t);
		else
			airlock_stop(b.t);
		assert_true(ok.over && select.over && read.over);
		assert_int_equal(128, touch_value(&read));
		bench_close(&b);
	}
}

static void registers_are_served_at_once_to_who_cannot_wait(void **state)
{
	struct bench b;
	struct touch read;

	bench_open(&b, BUS(state), AIRLOCK_PEND);
	driver_set_up(&b);
	b.backend.slow_ms = 100;
	backend_script(&b.backend, VU_SET_VRING_KICK, 1, SLOW);
	reg_set(&b, REG_STATUS, S_RUNNING);
	assert_int_equal(0, reg_start(&b, &read, REG_QUEUE_SIZE, false, 0));
	/* But a queue that starts is not set up any more. */
	reg_set(&b, REG_QUEUE_SELECT, 0);
	reg_set(&b, REG_QUEUE_SIZE, 16);
	assert_int_equal(128, reg(&b, REG_QUEUE_SIZE));
	reg_set(&b, REG_DESC, 0x1000);
	assert_int_equal(MEMORY_AT + 0x10000, reg(&b, REG_DESC));
	assert_true(bench_status_becomes(&b, S_RUNNING));
	bench_close(&b);
}

static void row_14_configuration_is_ordered_behind_enable_not_stalled(void **state)
{
	struct bench b;
	struct touch ok, config, select;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_set_up(&b);
	b.backend.slow_ms = 50;
	backend_script(&b.backend, VU_SET_VRING_KICK, 1, SLOW);
	reg_start(&b, &ok, REG_STATUS, true, S_RUNNING);
	assert_int_equal(
		1, touch_start(&b, &config, AIRLOCK_BAR0, false, config_at[BUS(state)] + 1, 0, 2));
	reg_start(&b, &select, REG_QUEUE_SELECT, true, 1);
	touch_wait(&b, &config);
	assert_int_equal(0xa2a1, touch_value(&config));
	assert_true(ok.order < config.order);
	assert_int_equal(VU_GET_CONFIG, b.backend.log[b.backend.nlog - 1].request);
	bench_close(&b);
}

/* ---- rows 15 to 20 */

static void row_15_stop_keeps_positions_and_status(void **state)
{
	struct bench b;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_run(&b);
	b.backend.stop_at = 77;
	backend_forget(&b.backend);
	assert_int_equal(0, airlock_stop(b.t));
	assert_string_equal(STOP_OF_A_QUEUE " " STOP_OF_A_QUEUE, backend_story(&b.backend));
	backend_forget(&b.backend);
	assert_int_equal(0, airlock_start(b.t));
	assert_string_equal(START_OF_A_QUEUE " " START_OF_A_QUEUE, backend_story(&b.backend));
	assert_int_equal(77, b.backend.ring[0].base);
	assert_int_equal(77, b.backend.ring[1].base);
	assert_int_equal(S_RUNNING, reg(&b, REG_STATUS));
	bench_close(&b);
}

static void row_15_stop_of_what_does_not_run(void **state)
{
	struct bench b;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	backend_forget(&b.backend);
	assert_int_equal(0, airlock_stop(b.t));
	assert_int_equal(0, airlock_start(b.t));
	assert_int_equal(0, b.backend.nlog);
	assert_int_equal(0, reg(&b, REG_STATUS));
	bench_close(&b);
}

static void row_16_stop_while_enabling_keeps_driver_ok(void **state)
{
	struct bench b;
	struct touch ok;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_set_up(&b);
	b.backend.slow_ms = 50;
	backend_script(&b.backend, VU_SET_VRING_KICK, 1, SLOW);
	reg_start(&b, &ok, REG_STATUS, true, S_RUNNING);
	airlock_stop(b.t);
	assert_true(ok.over);
	assert_false(b.backend.ring[0].started);
	airlock_start(b.t);
	assert_true(b.backend.ring[0].started);
	assert_int_equal(S_RUNNING, reg(&b, REG_STATUS));
	bench_close(&b);
}

static void row_16_stop_during_a_failing_enable(void **state)
{
	struct bench b;
	struct touch ok;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_set_up(&b);
	backend_script(&b.backend, VU_SET_VRING_KICK, 2, REFUSE);
	reg_start(&b, &ok, REG_STATUS, true, S_RUNNING);
	airlock_stop(b.t);
	airlock_start(b.t);
	assert_int_equal(S_NEEDS_RESET, reg(&b, REG_STATUS));
	reg_set(&b, REG_QUEUE_SELECT, 0);
	assert_int_equal(0, reg(&b, REG_QUEUE_ENABLE));
	bench_close(&b);
}

static void row_17_stop_drains_a_pending_reset(void **state)
{
	struct bench b;

	bench_open(&b, BUS(state), AIRLOCK_PEND);
	driver_set_up(&b);
	b.backend.slow_ms = 50;
	backend_script(&b.backend, VU_SET_VRING_KICK, 1, SLOW);
	reg_set(&b, REG_STATUS, S_RUNNING);
	reg_set(&b, REG_STATUS, 0);
	airlock_stop(b.t);
	assert_int_equal(1, backend_count(&b.backend, VU_RESET_DEVICE));
	airlock_start(b.t);
	assert_int_equal(0, reg(&b, REG_STATUS));
	assert_int_equal(0, reg(&b, REG_GENERATION));
	bench_close(&b);
}

static void row_18_stop_while_disabling(void **state)
{
	struct bench b;
	struct touch zero;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_run(&b);
	b.backend.slow_ms = 50;
	backend_script(&b.backend, VU_RESET_DEVICE, 1, SLOW);
	reg_start(&b, &zero, REG_STATUS, true, 0);
	airlock_stop(b.t);
	assert_true(zero.over);
	airlock_start(b.t);
	assert_int_equal(0, reg(&b, REG_STATUS));
	assert_int_equal(0, reg(&b, REG_GENERATION));
	bench_close(&b);
}

static void row_19_failed_start_needs_reset_and_interrupts(void **state)
{
	static const enum trick tricks[] = { REFUSE, VANISH, HANG, NONSENSE };

	for (size_t i = 0; i < ARRAY_SIZE(tricks); i++) {
		struct bench b;
		uint64_t generation;

		bench_open(&b, BUS(state), AIRLOCK_DEFER);
		driver_run(&b);
		generation = reg(&b, REG_GENERATION);
		airlock_stop(b.t);
		backend_script(&b.backend, VU_SET_VRING_ADDR, 2, tricks[i]);
		airlock_start(b.t);
		assert_int_equal(S_RUNNING | S_NEEDS_RESET, reg(&b, REG_STATUS));
		assert_int_equal(generation + 1, reg(&b, REG_GENERATION));
		assert_int_equal(1, b.line_rises);
		backend_script(&b.backend, 0, 0, ANSWER);
		reg_set(&b, REG_STATUS, 0);
		driver_run(&b);
		bench_close(&b);
	}
}

static void row_20_reset_visits_every_field(void **state)
{
	struct bench b;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_run(&b);
	reg_set(&b, REG_DEVICE_SELECT, 1);
	reg_set(&b, REG_DRIVER_SELECT, 1);
	backend_forget(&b.backend);
	airlock_reset(b.t);
	assert_int_equal(1, backend_count(&b.backend, VU_RESET_DEVICE));
	assert_int_equal(0, b.doorbells);
	for (enum reg_name name = 0; name < REG_NAMES; name++) {
		uint64_t want = name == REG_QUEUE_SIZE ? 256 : 0;

		if (name == REG_DEVICE_FEATURES)
			want = (uint32_t)(b.backend.features & ~BIT_ULL(VU_F_PROTOCOL_FEATURES));
		assert_int_equal(want, reg(&b, name));
	}
	bench_close(&b);
}

static void a_driver_reset_visits_every_field(void **state)
{
	struct bench b;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_run(&b);
	reg_set(&b, REG_DRIVER_SELECT, 1);
	reg_set(&b, REG_STATUS, 0);
	for (unsigned int queue = 0; queue < 2; queue++) {
		reg_set(&b, REG_QUEUE_SELECT, queue);
		assert_int_equal(256, reg(&b, REG_QUEUE_SIZE));
		assert_int_equal(0, reg(&b, REG_QUEUE_ENABLE));
		assert_int_equal(0, reg(&b, REG_DESC));
		assert_int_equal(0, reg(&b, REG_DRIVER_AREA));
		assert_int_equal(0, reg(&b, REG_DEVICE_AREA));
	}
	reg_set(&b, REG_DRIVER_SELECT, 0);
	assert_int_equal(0, reg(&b, REG_DRIVER_FEATURES));
	assert_int_equal(0, reg(&b, REG_GENERATION));
	bench_close(&b);
}

static void row_20_reset_at_any_time(void **state)
{
	static const enum trick tricks[] = { SLOW, REFUSE, VANISH, HANG };

	for (size_t i = 0; i < ARRAY_SIZE(tricks); i++) {
		struct bench b;
		struct touch ok;

		bench_open(&b, BUS(state), AIRLOCK_DEFER);
		driver_set_up(&b);
		b.backend.slow_ms = 50;
		backend_script(&b.backend, VU_SET_VRING_KICK, 1, tricks[i]);
		reg_start(&b, &ok, REG_STATUS, true, S_RUNNING);
		airlock_reset(b.t);
		assert_true(ok.over);
		assert_int_equal(0, reg(&b, REG_STATUS));
		backend_script(&b.backend, 0, 0, ANSWER);
		driver_run(&b);
		bench_close(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(row_1_bits_accumulate),
		ON_BOTH(row_1_features_ok_needs_version_1),
		ON_BOTH(row_1_features_are_masked_by_those_offered),
		ON_BOTH(row_2_driver_ok_starts_the_enabled_queues),
		ON_BOTH(row_2_status_is_not_early),
		ON_BOTH(row_3_driver_ok_again_while_busy),
		ON_BOTH(row_4_reset_of_a_reset_device_is_nothing),
		ON_BOTH(row_5_reset_before_driver_ok_asks_nobody),
		ON_BOTH(row_6_reset_stops_and_resets),
		ON_BOTH(row_6_status_is_unchanged_until_done),
		ON_BOTH(row_7_reset_while_enabling_is_pending),
		ON_BOTH(row_7_reset_while_enabling_is_stalled),
		ON_BOTH(row_8_reset_while_disabling),
		ON_BOTH(driver_ok_is_ignored_while_disabling),
		ON_BOTH(row_9_driver_ok_brings_no_change_of_configuration),
		ON_BOTH(row_10_enable_refused_at_each_step),
		ON_BOTH(row_10_back_end_vanishes_at_each_step),
		ON_BOTH(row_10_back_end_hangs_at_each_step),
		ON_BOTH(row_10_back_end_speaks_nonsense_at_each_step),
		ON_BOTH(row_10_partial_failure_stops_what_was_started),
		ON_BOTH(row_10_nobody_listens),
		ON_BOTH(row_10_the_driver_is_interrupted),
		ON_BOTH(row_11_pending_reset_wins_over_either_result),
		ON_BOTH(row_12_disable_always_ends),
		ON_BOTH(row_13_stalled_accesses_replay_in_order),
		ON_BOTH(row_13_a_replayed_write_can_be_deferred),
		ON_BOTH(no_stalled_access_is_discarded),
		ON_BOTH(no_stalled_access_is_discarded_by_stop_or_reset),
		ON_BOTH(registers_are_served_at_once_to_who_cannot_wait),
		ON_BOTH(row_14_configuration_is_ordered_behind_enable_not_stalled),
		ON_BOTH(row_15_stop_keeps_positions_and_status),
		ON_BOTH(row_15_stop_of_what_does_not_run),
		ON_BOTH(row_16_stop_while_enabling_keeps_driver_ok),
		ON_BOTH(row_16_stop_during_a_failing_enable),
		ON_BOTH(row_17_stop_drains_a_pending_reset),
		ON_BOTH(row_18_stop_while_disabling),
		ON_BOTH(row_19_failed_start_needs_reset_and_interrupts),
		ON_BOTH(row_20_reset_visits_every_field),
		ON_BOTH(a_driver_reset_visits_every_field),
		ON_BOTH(row_20_reset_at_any_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
