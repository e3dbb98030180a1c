/*
 * Save and restore on both buses, and what must not be restored; and a driver that races from two
 * threads against a back-end that is slow, refuses, hangs and dies.
 */
#include "tests/unit/frontend/bench.h"

static uint8_t saved[AIRLOCK_STATE_MAX];

static size_t save(struct bench *b)
{
	ssize_t n;

	assert_int_equal(0, airlock_stop(b->t));
	n = airlock_save(b->t, saved, sizeof(saved));
	assert_true(n > 0);
	return (size_t)n;
}

static void row_21_save_wants_a_stopped_device(void **state)
{
	struct bench b;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_run(&b);
	assert_int_equal(-EBUSY, airlock_save(b.t, saved, sizeof(saved)));
	assert_int_equal(-EBUSY, airlock_restore(b.t, saved, sizeof(saved)));
	airlock_stop(b.t);
	assert_int_equal(-ENOSPC, airlock_save(b.t, saved, 16));
	bench_close(&b);
}

/* Into another transport on another back-end, as another process would. */
static void row_22_a_round_trip(void **state)
{
	struct bench from, to;
	size_t len;

	bench_open(&from, BUS(state), AIRLOCK_DEFER);
	driver_run(&from);
	if (BUS(state) == AIRLOCK_PCI) {
		bench_put(&from, AIRLOCK_CONFIG, 0x10, 0xfe000000, 4);
		bench_put(&from, AIRLOCK_CONFIG, 0x42, 0x8000, 2);
		bench_put(&from, AIRLOCK_BAR2, 16, 0xfee00000, 4);
		bench_put(&from, AIRLOCK_BAR2, 28, 0, 4);
	}
	from.backend.stop_at = 321;
	len = save(&from);
	bench_open(&to, BUS(state), AIRLOCK_DEFER);
	airlock_stop(to.t);
	assert_int_equal(0, to.doorbells);
	assert_int_equal(0, airlock_restore(to.t, saved, len));
	assert_int_equal(1, to.doorbells);
	assert_false(to.backend.ring[0].started); /* restoring starts nothing */
	airlock_start(to.t);
	assert_true(to.backend.ring[0].started && to.backend.ring[1].started);
	assert_int_equal(321, to.backend.ring[0].base);
	assert_int_equal(from.backend.ring[1].addr.desc, to.backend.ring[1].addr.desc);
	assert_int_equal(from.backend.acked, to.backend.acked);
	airlock_start(from.t);
	for (enum reg_name name = 0; name < REG_NAMES; name++)
		assert_int_equal(reg(&from, name), reg(&to, name));
	if (BUS(state) == AIRLOCK_PCI) {
		assert_int_equal(0xfe000004, bench_at(&to, AIRLOCK_CONFIG, 0x10, 4));
		assert_int_equal(0xfee00000, bench_at(&to, AIRLOCK_BAR2, 16, 4));
		assert_int_equal(0, bench_at(&to, AIRLOCK_BAR2, 28, 4));
		/* The vectors are armed again: this one is open. */
		bench_put(&to, AIRLOCK_BAR0, 0x16, 0, 2);
		bench_put(&to, AIRLOCK_BAR0, 0x1a, 1, 2);
		bench_turn(&to, 50);
		backend_signal(&to.backend, &to.backend.ring[0].call);
		bench_turn(&to, 100);
		assert_true(to.messages[1]);
	}
	bench_close(&from);
	bench_close(&to);
}

static void row_22_doorbells_of_a_device_that_was_not_running(void **state)
{
	struct bench b;
	size_t len;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_set_up(&b);
	len = save(&b);
	airlock_start(b.t);
	reg_set(&b, REG_STATUS, S_RUNNING);
	assert_int_equal(1, b.doorbells);
	airlock_stop(b.t);
	assert_int_equal(0, airlock_restore(b.t, saved, len));
	assert_int_equal(0, b.doorbells);
	airlock_start(b.t);
	assert_int_equal(S_SET_UP, reg(&b, REG_STATUS));
	bench_close(&b);
}

static void row_22_features_that_are_not_offered(void **state)
{
	struct bench b;
	size_t len;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_run(&b);
	len = save(&b);
	bench_close(&b);
	bench_prepare(&b, BUS(state), AIRLOCK_DEFER);
	b.backend.features &= ~BIT_ULL(VIRTIO_F_EVENT_IDX);
	assert_int_equal(0, bench_begin(&b));
	airlock_stop(b.t);
	assert_int_equal(-ENOTSUP, airlock_restore(b.t, saved, len));
	airlock_start(b.t);
	assert_int_equal(0, reg(&b, REG_STATUS)); /* nothing has changed */
	bench_close(&b);
}

static void row_22_another_shape(void **state)
{
	struct bench b;
	size_t len;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	len = save(&b);
	bench_close(&b);
	for (int what = 0; what < 3; what++) {
		bench_prepare(&b, what ? BUS(state) : (enum airlock_bus) !BUS(state),
			      AIRLOCK_DEFER);
		b.options.queues = what == 1 ? 3 : 2;
		b.options.queue_size = what == 2 ? 128 : 256;
		assert_int_equal(0, bench_begin(&b));
		airlock_stop(b.t);
		assert_int_equal(-ENOTSUP, airlock_restore(b.t, saved, len));
		bench_close(&b);
	}
}

/* Whatever a byte is changed to: refused without a trace, or a state that can be saved again. */
static void row_22_bytes_of_any_value(void **state)
{
	struct bench b;
	size_t len;

	bench_open(&b, BUS(state), AIRLOCK_DEFER);
	driver_run(&b);
	len = save(&b);
	for (size_t at = 0; at < len; at++) {
		uint8_t was = saved[at];

		saved[at] ^= 0x81;
		airlock_restore(b.t, saved, len);
		saved[at] = was;
	}
	for (size_t cut = 0; cut < len; cut += 7)
		assert_int_not_equal(0, airlock_restore(b.t, saved, cut));
	assert_int_equal(0, airlock_restore(b.t, saved, len));
	airlock_start(b.t);
	assert_int_equal(S_RUNNING, reg(&b, REG_STATUS));
	bench_close(&b);
}

/* ---- two vCPUs and the event loop */

struct racer {
	struct bench *b;
	unsigned int seed;
	atomic_uint accesses; /* that are over */
	atomic_bool *stop;
};

static void race_touch(struct bench *b, uint64_t offset, uint8_t len, bool write, uint64_t value)
{
	struct touch touch;

	memset(&touch, 0, sizeof(touch));
	touch.a = (struct airlock_access){
		.write = write, .len = len, .offset = offset, .done = touch_done
	};
	memcpy(touch.a.data, &value, sizeof(value));
	if (airlock_access(b->t, &touch.a))
		while (!atomic_load(&touch.over))
			poll(NULL, 0, 1);
}

static void *race(void *opaque)
{
	static const uint8_t statuses[] = { 0, S_ACK, S_SET_UP, S_RUNNING, S_RUNNING, S_RUNNING };
	struct racer *r = opaque;
	const struct reg_place *at = places[r->b->options.bus];

	while (!atomic_load(r->stop)) {
		unsigned int dice = (unsigned int)rand_r(&r->seed);
		enum reg_name name = dice / 16 % REG_NAMES;

		if (dice % 4 == 0)
			race_touch(r->b, at[REG_STATUS].offset, at[REG_STATUS].len, true,
				   statuses[dice / 16 % ARRAY_SIZE(statuses)]);
		else if (dice % 4 == 1)
			race_touch(r->b, config_at[r->b->options.bus] + dice / 16 % 60,
				   1 + dice / 1024 % 8, dice & 0x8000, dice);
		else
			race_touch(r->b, at[name].offset, at[name].len,
				   name != REG_STATUS && dice & 0x8000,
				   name == REG_DRIVER_FEATURES ? UINT32_MAX : dice / 16 % 3);
		atomic_fetch_add(&r->accesses, 1);
	}
	return NULL;
}

/* The event loop, until both are through `more` accesses: sooner or later, or a vCPU hangs. */
static void race_go_on(struct bench *b, struct racer *racers, unsigned int more)
{
	int64_t end = clock_ms() + PATIENCE_MS;

	for (int i = 0; i < 2; i++) {
		unsigned int enough = atomic_load(&racers[i].accesses) + more;

		while (atomic_load(&racers[i].accesses) < enough) {
			assert_true(clock_ms() < end);
			bench_turn(b, 5);
		}
	}
}

/* False: the back-end did not answer in time. */
static bool race_starts(struct bench *b)
{
	uint64_t status;

	driver_set_up(b);
	reg_set(b, REG_STATUS, S_RUNNING);
	while (!((status = reg(b, REG_STATUS)) & (S_OK | S_NEEDS_RESET)))
		bench_turn(b, 5);
	return status == S_RUNNING;
}

/* And a driver's reset always brings it back. */
static void race_over(struct bench *b)
{
	int64_t end = clock_ms() + PATIENCE_MS;

	backend_script(&b->backend, 0, 0, ANSWER);
	do {
		assert_true(clock_ms() < end);
		reg_set(b, REG_STATUS, 0);
		assert_true(bench_status_becomes(b, 0));
	} while (!race_starts(b));
}

static void expect_no_hang(struct bench *b, enum trick trick, uint32_t request)
{
	atomic_bool stop = false;
	struct racer racers[2] = { { b, 1 + request, 0, &stop }, { b, 99 + request, 0, &stop } };
	pthread_t threads[2];
	int64_t end = clock_ms() + 150;

	b->backend.slow_ms = 5;
	backend_script(&b->backend, request, 2, trick);
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, race, &racers[i]);
	while (clock_ms() < end)
		bench_turn(b, 5);
	race_go_on(b, racers, 2);
	atomic_store(&stop, true);
	/* The loop goes on while they end: they may be waiting for it. */
	for (int i = 0; i < 2; i++)
		while (pthread_tryjoin_np(threads[i], NULL))
			bench_turn(b, 5);
	race_over(b);
}

static void two_threads_race(void **state, enum airlock_policy policy)
{
	static const uint32_t requests[] = { VU_SET_VRING_KICK, VU_GET_CONFIG, VU_RESET_DEVICE,
					     VU_GET_VRING_BASE, VU_SET_FEATURES };

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		for (enum trick trick = REFUSE; trick <= SLOW; trick++) {
			struct bench b;

			bench_prepare(&b, BUS(state), policy);
			assert_int_equal(0, bench_begin(&b));
			airlock_memory_add(b.t, MEMORY_AT, MEMORY_SIZE, b.memory, 0, NULL, NULL);
			expect_no_hang(&b, trick, requests[i]);
			bench_close(&b);
		}
}

static void two_threads_race_and_wait(void **state)
{
	two_threads_race(state, AIRLOCK_DEFER);
}

static void two_threads_race_and_do_not_wait(void **state)
{
	two_threads_race(state, AIRLOCK_PEND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(row_21_save_wants_a_stopped_device),
		ON_BOTH(row_22_a_round_trip),
		ON_BOTH(row_22_doorbells_of_a_device_that_was_not_running),
		ON_BOTH(row_22_features_that_are_not_offered),
		ON_BOTH(row_22_another_shape),
		ON_BOTH(row_22_bytes_of_any_value),
		ON_BOTH(two_threads_race_and_wait),
		ON_BOTH(two_threads_race_and_do_not_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
