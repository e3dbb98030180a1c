/*
 * virtio-mmio version 2, register by register: reset values, what can be written, widths, the
 * configuration window at every width and alignment.
 */
#include "tests/unit/frontend/bench.h"

static struct bench b;

static int setup(void **state)
{
	(void)state;
	bench_open(&b, AIRLOCK_MMIO, AIRLOCK_DEFER);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bench_close(&b);
	return 0;
}

static uint32_t get(uint64_t offset)
{
	return (uint32_t)bench_at(&b, AIRLOCK_BAR0, offset, 4);
}

static void put(uint64_t offset, uint32_t value)
{
	bench_put(&b, AIRLOCK_BAR0, offset, value, 4);
}

static void reset_values(void **state)
{
	static const struct {
		uint16_t offset;
		uint32_t value;
	} rows[] = {
		{ 0x000, 0x74726976 }, { 0x004, 2 },	      { 0x008, 1 },
		{ 0x00c, 0x1af4 },     { 0x014, 0 },	      { 0x024, 0 },
		{ 0x020, 0 },	       { 0x030, 0 },	      { 0x034, 256 },
		{ 0x038, 256 },	       { 0x044, 0 },	      { 0x050, 0 },
		{ 0x060, 0 },	       { 0x064, 0 },	      { 0x070, 0 },
		{ 0x080, 0 },	       { 0x084, 0 },	      { 0x090, 0 },
		{ 0x094, 0 },	       { 0x0a0, 0 },	      { 0x0a4, 0 },
		{ 0x0b0, UINT32_MAX }, { 0x0b4, UINT32_MAX }, { 0x0c0, 0 },
		{ 0x0fc, 0 },	       { 0x018, UINT32_MAX }, { 0x03c, UINT32_MAX },
		{ 0x0f8, UINT32_MAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (get(rows[i].offset) != rows[i].value)
			fail_msg("%03x: %x, not %x", rows[i].offset, get(rows[i].offset),
				 rows[i].value);
}

static void written_values_read_back(void **state)
{
	static const struct {
		uint16_t offset;
		uint32_t write, read;
	} rows[] = {
		{ 0x014, 1, 1 },	   { 0x024, 7, 7 },
		{ 0x030, 1, 1 },	   { 0x038, 64, 64 },
		{ 0x038, 0, 64 },	   { 0x038, 512, 64 }, /* more than the maximum */
		{ 0x038, 48, 64 },	   { 0x038, 0x10040, 64 },
		{ 0x080, 0x1234, 0x1234 }, { 0x084, 0x55, 0x55 },
		{ 0x090, 0x2222, 0x2222 }, { 0x094, 0x66, 0x66 },
		{ 0x0a0, 0x3333, 0x3333 }, { 0x0a4, 0x77, 0x77 },
		{ 0x080, 0x9999, 0x9999 }, { 0x084, 0x55, 0x55 },
		{ 0x000, 0, 0x74726976 },  { 0x034, 1, 256 },
		{ 0x0fc, 9, 0 },	   { 0x044, 1, 1 },
		{ 0x044, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		put(rows[i].offset, rows[i].write);
		if (get(rows[i].offset) != rows[i].read)
			fail_msg("row %zu (%03x): %x, not %x", i, rows[i].offset,
				 get(rows[i].offset), rows[i].read);
	}
}

static void feature_banks_beyond_the_second_are_empty(void **state)
{
	(void)state;
	put(0x014, 1);
	assert_int_equal((BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(FEATURE_RING_RESET)) >> 32,
			 get(0x010));
	for (uint32_t bank = 2; bank < 5; bank++) {
		put(0x014, bank);
		assert_int_equal(0, get(0x010));
	}
	put(0x014, UINT32_MAX);
	assert_int_equal(0, get(0x010));
}

static void a_queue_that_is_not_there(void **state)
{
	(void)state;
	for (uint32_t queue = 2; queue; queue = queue == 2	  ? 0xffff
						: queue == 0xffff ? 0x10000
								  : 0) {
		put(0x030, queue);
		assert_int_equal(0, get(0x034));
		assert_int_equal(0, get(0x038));
		put(0x038, 16);
		put(0x044, 1);
		put(0x080, 0x1000);
		put(0x0c0, 1);
		assert_int_equal(0, get(0x044));
		assert_int_equal(0, get(0x080));
		put(0x050, queue);
	}
	assert_int_equal(0, get(0x070));
}

static void other_widths_have_no_effect(void **state)
{
	(void)state;
	put(0x070, S_ACK);
	bench_put(&b, AIRLOCK_BAR0, 0x070, S_DRIVER, 1);
	bench_put(&b, AIRLOCK_BAR0, 0x070, S_DRIVER, 2);
	bench_put(&b, AIRLOCK_BAR0, 0x06e, 0xffffffff, 4); /* misaligned */
	assert_int_equal(S_ACK, get(0x070));
	assert_int_equal(S_ACK, bench_at(&b, AIRLOCK_BAR0, 0x070, 1));
	assert_int_equal(0, bench_at(&b, AIRLOCK_BAR0, 0x071, 1));
	assert_int_equal(0x0000000274726976, bench_at(&b, AIRLOCK_BAR0, 0x000, 8));
}

static void an_access_over_the_edge_stays_on_its_side(void **state)
{
	(void)state;
	assert_int_equal(0xffffffff00000000, bench_at(&b, AIRLOCK_BAR0, 0x0fc, 8));
	bench_put(&b, AIRLOCK_BAR0, 0x0fc, 0x1111111100000000, 8);
	assert_int_equal(0, backend_count(&b.backend, VU_SET_CONFIG));
	assert_int_equal(0, backend_count(&b.backend, VU_GET_CONFIG));
}

/* Every byte, width and alignment: exactly that range is asked for, and read. */
static void configuration_at_any_width_and_alignment(void **state)
{
	(void)state;
	for (uint8_t len = 1; len <= 8; len++)
		for (uint32_t at = 0; at + len <= 64; at++) {
			uint64_t want = 0;

			memcpy(&want, b.backend.config + at, len);
			backend_forget(&b.backend);
			assert_int_equal(want, bench_at(&b, AIRLOCK_BAR0, 0x100 + at, len));
			assert_int_equal(1, backend_count(&b.backend, VU_GET_CONFIG));
			assert_int_equal(at, b.backend.log[0].value);
		}
}

static void a_write_touches_no_neighbour(void **state)
{
	(void)state;
	for (uint8_t len = 1; len <= 8; len++) {
		uint8_t want[64];

		memcpy(want, b.backend.config, sizeof(want));
		memset(want + 13, len, len);
		backend_forget(&b.backend);
		bench_put(&b, AIRLOCK_BAR0, 0x100 + 13, 0x0101010101010101 * len, len);
		assert_memory_equal(want, b.backend.config, sizeof(want));
		assert_int_equal(
			0, backend_count(&b.backend, VU_GET_CONFIG)); /* no read-modify-write */
		assert_int_equal(1, backend_count(&b.backend, VU_SET_CONFIG));
	}
}

static void beyond_the_configuration(void **state)
{
	(void)state;
	backend_forget(&b.backend);
	assert_int_equal(0xffff0000 | (b.backend.config[63] << 8 | b.backend.config[62]),
			 bench_at(&b, AIRLOCK_BAR0, 0x100 + 62, 4));
	assert_int_equal(UINT32_MAX, bench_at(&b, AIRLOCK_BAR0, 0x100 + 64, 4));
	assert_int_equal(0xff, bench_at(&b, AIRLOCK_BAR0, 0xfff, 1));
	bench_put(&b, AIRLOCK_BAR0, 0x100 + 64, 0, 4);
	assert_int_equal(1, b.backend.nlog);
}

static void a_failed_read_is_all_ones_and_nothing_is_written(void **state)
{
	uint8_t before[64];

	(void)state;
	memcpy(before, b.backend.config, sizeof(before));
	backend_script(&b.backend, VU_GET_CONFIG, 1, REFUSE);
	assert_int_equal(0xffff, bench_at(&b, AIRLOCK_BAR0, 0x101, 2));
	assert_memory_equal(before, b.backend.config, sizeof(before));
	assert_int_equal(1, b.backend.connections); /* refusing is no reason to part */
}

static void an_unanswered_read_ends_in_time(void **state)
{
	int64_t begin = clock_ms();

	(void)state;
	backend_script(&b.backend, VU_GET_CONFIG, 1, HANG);
	assert_int_equal(0xff, bench_at(&b, AIRLOCK_BAR0, 0x100, 1));
	assert_in_range(clock_ms() - begin, DEADLINE_MS - 50, PATIENCE_MS);
	/* The next one finds a fresh connection. */
	assert_int_equal(0xa0, bench_at(&b, AIRLOCK_BAR0, 0x100, 1));
	assert_int_equal(2, b.backend.connections);
}

static void the_vmm_s_own_configuration(void **state)
{
	static const uint8_t own[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

	(void)state;
	bench_close(&b);
	bench_prepare(&b, AIRLOCK_MMIO, AIRLOCK_DEFER);
	b.backend.protocol &= ~BIT_ULL(VU_P_CONFIG);
	b.options.config = own;
	b.options.config_length = sizeof(own);
	b.options.config_features = BIT_ULL(VIRTIO_NET_F_STATUS);
	assert_int_equal(0, bench_begin(&b));
	assert_int_equal(0x040302, bench_at(&b, AIRLOCK_BAR0, 0x101, 3));
	bench_put(&b, AIRLOCK_BAR0, 0x101, 0, 1);
	assert_int_equal(2, bench_at(&b, AIRLOCK_BAR0, 0x101, 1));
	assert_true(get(0x010) & BIT_ULL(VIRTIO_NET_F_STATUS));
}

static void the_interrupt_is_a_level_until_acknowledged(void **state)
{
	(void)state;
	driver_run(&b);
	backend_signal(&b.backend, &b.backend.ring[0].call);
	for (int i = 0; i < 100 && !b.line; i++)
		bench_turn(&b, 20);
	assert_int_equal(1, b.line);
	assert_int_equal(1, get(0x060));
	assert_int_equal(1, bench_at(&b, AIRLOCK_BAR0, 0x060, 1));
	bench_put(&b, AIRLOCK_BAR0, 0x064, 1, 1); /* not a register's width */
	assert_int_equal(1, b.line);
	put(0x064, 2);
	assert_int_equal(1, b.line);
	put(0x064, 1);
	assert_int_equal(0, b.line);
	assert_int_equal(0, get(0x060));
}

static void a_notification_rings_one_doorbell(void **state)
{
	struct pollfd p;

	(void)state;
	driver_run(&b);
	p = (struct pollfd){ .fd = b.backend.ring[1].kick, .events = POLLIN };
	assert_int_equal(0, poll(&p, 1, 0));
	put(0x050, 1);
	assert_int_equal(1, poll(&p, 1, 0));
	p.fd = b.backend.ring[0].kick;
	assert_int_equal(0, poll(&p, 1, 0));
	put(0x050, 99);
}

static void notification_data(void **state)
{
	uint64_t offset;
	int64_t value;
	struct pollfd p;

	(void)state;
	assert_return_code(airlock_doorbell(b.t, 1, &offset, &value), 0);
	assert_int_equal(0x50, offset);
	assert_int_equal(1, value);
	bench_close(&b);
	bench_prepare(&b, AIRLOCK_MMIO, AIRLOCK_DEFER);
	b.options.notification_data = true;
	assert_int_equal(0, bench_begin(&b));
	airlock_memory_add(b.t, MEMORY_AT, MEMORY_SIZE, b.memory, 0, NULL, NULL);
	driver_features(&b, FEATURES_USED | BIT_ULL(FEATURE_NOTIFICATION));
	driver_queue(&b, 1);
	reg_set(&b, REG_STATUS, S_RUNNING);
	assert_false(b.backend.acked & BIT_ULL(FEATURE_NOTIFICATION)); /* this transport's alone */
	p = (struct pollfd){ .fd = b.backend.ring[1].kick, .events = POLLIN };
	put(0x050, 0x00050001);
	assert_int_equal(1, poll(&p, 1, 0));
	assert_int_equal(-EOPNOTSUPP, airlock_doorbell(b.t, 1, &offset, &value));
}

static void queue_ready_cleared_while_running_stops_the_queue(void **state)
{
	struct touch off;

	(void)state;
	driver_run(&b);
	put(0x030, 1);
	assert_int_equal(1, touch_start(&b, &off, AIRLOCK_BAR0, true, 0x044, 0, 4));
	touch_wait(&b, &off);
	assert_int_equal(0, get(0x044));
	assert_false(b.backend.ring[1].started);
	put(0x044, 1);
	for (int i = 0; i < 100 && !backend_ring(&b.backend, 1).enabled; i++)
		bench_turn(&b, 20);
	assert_true(b.backend.ring[1].started);
	assert_int_equal(S_RUNNING, get(0x070));
}

static void shared_memory_regions(void **state)
{
	(void)state;
	bench_close(&b);
	bench_prepare(&b, AIRLOCK_MMIO, AIRLOCK_DEFER);
	b.options.nshm = 1;
	b.options.shm[0] =
		(struct airlock_shm){ .id = 3, .offset = 0x1200000000, .length = 0x300000000 };
	assert_int_equal(0, bench_begin(&b));
	assert_int_equal(UINT32_MAX, get(0x0b0));
	put(0x0ac, 3);
	assert_int_equal(0, get(0x0b0));
	assert_int_equal(3, get(0x0b4));
	assert_int_equal(0, get(0x0b8));
	assert_int_equal(0x12, get(0x0bc));
}

static void packed_rings_need_no_power_of_two(void **state)
{
	(void)state;
	bench_close(&b);
	bench_prepare(&b, AIRLOCK_MMIO, AIRLOCK_DEFER);
	b.backend.features |= BIT_ULL(FEATURE_RING_PACKED);
	assert_int_equal(0, bench_begin(&b));
	driver_features(&b, FEATURES_USED | BIT_ULL(FEATURE_RING_PACKED));
	put(0x038, 48);
	assert_int_equal(48, get(0x038));
}

static void bad_options_are_refused(void **state)
{
	static const uint16_t sizes[] = { 0, 3, 33000 };
	struct airlock_transport *t;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct airlock_options o = b.options;

		o.queue_size = sizes[i];
		assert_int_equal(-EINVAL, airlock_open(&o, &t));
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reset_values),
		TEST(written_values_read_back),
		TEST(feature_banks_beyond_the_second_are_empty),
		TEST(a_queue_that_is_not_there),
		TEST(other_widths_have_no_effect),
		TEST(an_access_over_the_edge_stays_on_its_side),
		TEST(configuration_at_any_width_and_alignment),
		TEST(a_write_touches_no_neighbour),
		TEST(beyond_the_configuration),
		TEST(a_failed_read_is_all_ones_and_nothing_is_written),
		TEST(an_unanswered_read_ends_in_time),
		TEST(the_vmm_s_own_configuration),
		TEST(the_interrupt_is_a_level_until_acknowledged),
		TEST(a_notification_rings_one_doorbell),
		TEST(notification_data),
		TEST(queue_ready_cleared_while_running_stops_the_queue),
		TEST(shared_memory_regions),
		TEST(packed_rings_need_no_power_of_two),
		TEST(bad_options_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
