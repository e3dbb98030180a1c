/*
 * Modern virtio-pci, register by register: configuration space and its capabilities, the common
 * configuration at every width, MSI-X with its masks, INTx, and the PCI_CFG window.
 */
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>

#include "tests/unit/frontend/bench.h"

#define BAR0   AIRLOCK_BAR0
#define BAR2   AIRLOCK_BAR2
#define CONFIG AIRLOCK_CONFIG

static struct bench b;

static int setup(void **state)
{
	(void)state;
	bench_open(&b, AIRLOCK_PCI, AIRLOCK_DEFER);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bench_close(&b);
	return 0;
}

static uint64_t get(enum airlock_region region, uint64_t offset, uint8_t len)
{
	return bench_at(&b, region, offset, len);
}

static void put(enum airlock_region region, uint64_t offset, uint64_t value, uint8_t len)
{
	bench_put(&b, region, offset, value, len);
}

/* ---- configuration space */

static void identity(void **state)
{
	(void)state;
	assert_int_equal(0x10411af4, get(CONFIG, 0, 4));
	assert_int_equal(0x02000001, get(CONFIG, PCI_CLASS_REVISION, 4));
	assert_int_equal(0x11001af4, get(CONFIG, PCI_SUBSYSTEM_VENDOR_ID, 4));
	assert_int_equal(PCI_STATUS_CAP_LIST, get(CONFIG, PCI_STATUS, 2));
	put(CONFIG, 0, 0, 4);
	assert_int_equal(0x10411af4, get(CONFIG, 0, 4));
}

/* What each capability says, in order, until the end of the list. */
static unsigned int capability(unsigned int nth)
{
	unsigned int at = (unsigned int)get(CONFIG, PCI_CAPABILITY_LIST, 1);

	while (nth-- && at)
		at = (unsigned int)get(CONFIG, at + 1, 1);
	return at;
}

static void expect_capability(unsigned int nth, unsigned int at, uint8_t type, uint8_t bar,
			      uint32_t offset, uint32_t length)
{
	assert_int_equal(at, capability(nth));
	assert_int_equal(PCI_CAP_ID_VNDR, get(CONFIG, at, 1));
	assert_int_equal(type, get(CONFIG, at + 3, 1));
	assert_int_equal(bar, get(CONFIG, at + 4, 1));
	assert_int_equal(offset, get(CONFIG, at + 8, 4));
	assert_int_equal(length, get(CONFIG, at + 12, 4));
}

static void capabilities_in_order(void **state)
{
	(void)state;
	assert_int_equal(0x40, capability(0));
	assert_int_equal(PCI_CAP_ID_MSIX, get(CONFIG, 0x40, 1));
	assert_int_equal(2, get(CONFIG, 0x42, 2)); /* 3 vectors */
	assert_int_equal(2, get(CONFIG, 0x44, 4)); /* table: BAR2 */
	assert_int_equal(0x2002, get(CONFIG, 0x48, 4));
	expect_capability(1, 0x4c, VIRTIO_PCI_CAP_COMMON_CFG, 0, 0, 0x40);
	expect_capability(2, 0x5c, VIRTIO_PCI_CAP_NOTIFY_CFG, 0, 0x1000, 8);
	assert_int_equal(4, get(CONFIG, 0x5c + 16, 4)); /* multiplier */
	expect_capability(3, 0x70, VIRTIO_PCI_CAP_ISR_CFG, 0, 0x40, 4);
	expect_capability(4, 0x80, VIRTIO_PCI_CAP_DEVICE_CFG, 0, 0x100, 64);
	expect_capability(5, 0x90, VIRTIO_PCI_CAP_PCI_CFG, 0, 0, 0);
	assert_int_equal(0, capability(6));
}

static void no_device_capability_without_configuration(void **state)
{
	(void)state;
	bench_close(&b);
	bench_prepare(&b, AIRLOCK_PCI, AIRLOCK_DEFER);
	b.options.config_length = 0;
	assert_int_equal(0, bench_begin(&b));
	expect_capability(4, 0x80, VIRTIO_PCI_CAP_PCI_CFG, 0, 0, 0);
}

static void shared_memory_capability(void **state)
{
	(void)state;
	bench_close(&b);
	bench_prepare(&b, AIRLOCK_PCI, AIRLOCK_DEFER);
	b.options.nshm = 1;
	b.options.shm[0] = (struct airlock_shm){ .id = 5, .offset = 0x1000, .length = 0x300000000 };
	assert_int_equal(0, bench_begin(&b));
	expect_capability(5, 0x90, VIRTIO_PCI_CAP_SHARED_MEMORY_CFG, 4, 0x1000, 0);
	assert_int_equal(5, get(CONFIG, 0x95, 1));
	assert_int_equal(3, get(CONFIG, 0x90 + 20, 4));
	expect_capability(6, 0xa8, VIRTIO_PCI_CAP_PCI_CFG, 0, 0, 0);
	put(CONFIG, PCI_BASE_ADDRESS_5, UINT32_MAX, 4);
	assert_int_equal(0xfffffffc, get(CONFIG, PCI_BASE_ADDRESS_5, 4)); /* 16 GiB */
}

static void bars_show_their_size(void **state)
{
	(void)state;
	for (uint32_t at = PCI_BASE_ADDRESS_0; at <= PCI_BASE_ADDRESS_5; at += 4)
		put(CONFIG, at, UINT32_MAX, 4);
	assert_int_equal(0xffffe004, get(CONFIG, PCI_BASE_ADDRESS_0, 4));
	assert_int_equal(0xffffffff, get(CONFIG, PCI_BASE_ADDRESS_1, 4));
	assert_int_equal(0xffffc000, get(CONFIG, PCI_BASE_ADDRESS_2, 4));
	assert_int_equal(0, get(CONFIG, PCI_BASE_ADDRESS_3, 4));
	assert_int_equal(0, get(CONFIG, PCI_BASE_ADDRESS_4, 4));
	assert_int_equal(0, get(CONFIG, PCI_ROM_ADDRESS, 4));
	airlock_reset(b.t);
	assert_int_equal(4, get(CONFIG, PCI_BASE_ADDRESS_0, 4));
}

/* ---- common configuration */

static void common_reset_values(void **state)
{
	static const struct {
		uint8_t offset, len;
		uint64_t value;
	} rows[] = {
		{ 0x00, 4, 0 },	  { 0x08, 4, 0 },      { 0x0c, 4, 0 }, { 0x10, 2, 0xffff },
		{ 0x12, 2, 2 },	  { 0x14, 1, 0 },      { 0x15, 1, 0 }, { 0x16, 2, 0 },
		{ 0x18, 2, 256 }, { 0x1a, 2, 0xffff }, { 0x1c, 2, 0 }, { 0x1e, 2, 0 },
		{ 0x20, 8, 0 },	  { 0x28, 8, 0 },      { 0x30, 8, 0 }, { 0x38, 2, 0 },
		{ 0x3a, 2, 0 },	  { 0x3c, 4, 0 },      { 0x40, 1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(rows[i].value, get(BAR0, rows[i].offset, rows[i].len));
}

static void a_write_changes_only_the_fields_it_touches(void **state)
{
	(void)state;
	put(BAR0, 0x14, S_ACK, 1);
	put(BAR0, 0x16, 1, 2); /* queue_select: STATUS is its neighbour */
	assert_int_equal(S_ACK, get(BAR0, 0x14, 1));
	put(BAR0, 0x14, S_ACK | S_DRIVER, 1);
	assert_int_equal(1, get(BAR0, 0x16, 2));
	put(BAR0, 0x18, 64, 2);
	put(BAR0, 0x1a, 2, 2);
	assert_int_equal(64, get(BAR0, 0x18, 2));
	put(BAR0, 0x20, 0x1111, 2); /* a part of a wide field */
	put(BAR0, 0x24, 0x22, 1);
	assert_int_equal(0x2200001111, get(BAR0, 0x20, 8));
	put(BAR0, 0x28, 0x123456789abcdef0, 8);
	assert_int_equal(0x123456789abcdef0, get(BAR0, 0x28, 8));
	assert_int_equal(0x12345678, get(BAR0, 0x2c, 4));
	/* One access over several: status, generation, queue_select. */
	put(BAR0, 0x14, 0x00000000 | S_ACK | S_DRIVER, 4);
	assert_int_equal(0, get(BAR0, 0x16, 2));
	assert_int_equal(S_ACK | S_DRIVER, get(BAR0, 0x14, 4));
}

static void each_queue_has_its_doorbell(void **state)
{
	struct pollfd p;
	uint64_t offset;
	int64_t value;

	(void)state;
	driver_run(&b);
	for (unsigned int i = 0; i < 2; i++) {
		put(BAR0, 0x16, i, 2);
		assert_int_equal(i, get(BAR0, 0x1e, 2));
		assert_int_equal(i, get(BAR0, 0x38, 2));
		p = (struct pollfd){ .fd = b.backend.ring[i].kick, .events = POLLIN };
		assert_int_equal(0, poll(&p, 1, 0));
		put(BAR0, 0x1000 + 4 * i, i, 2);
		assert_int_equal(1, poll(&p, 1, 0));
		fd_drain(p.fd);
		assert_return_code(airlock_doorbell(b.t, i, &offset, &value), 0);
		assert_int_equal(0x1000 + 4 * i, offset);
		assert_int_equal(-1, value);
		fd_signal(airlock_doorbell(b.t, i, &offset, &value));
		assert_int_equal(1, poll(&p, 1, 0));
	}
	put(BAR0, 0x1008, 2, 2);
	assert_int_equal(-EINVAL, airlock_doorbell(b.t, 2, &offset, &value));
}

static void a_queue_that_is_not_there(void **state)
{
	(void)state;
	put(BAR0, 0x16, 2, 2);
	for (uint8_t at = 0x18; at < 0x3c; at += 2)
		put(BAR0, at, 1, 2);
	for (uint8_t at = 0x18; at < 0x3c; at += 2)
		assert_int_equal(0, get(BAR0, at, 2));
}

static void outside_of_everything(void **state)
{
	(void)state;
	assert_int_equal(0xff, get(BAR0, 0x44, 1));
	assert_int_equal(UINT32_MAX, get(BAR0, 0x2000, 4));
	assert_int_equal(UINT32_MAX, get((enum airlock_region)1, 0, 4));
	assert_int_equal(UINT32_MAX, get(BAR2, 0x4000, 4));
	put((enum airlock_region)1, 0, 0, 4);
	put(BAR2, 0x4000, 0, 4);
	assert_int_equal(0xffff0000, get(CONFIG, 254, 4));
}

/* ---- MSI-X and INTx */

static void vectors_that_cannot_be_used_read_back_so(void **state)
{
	(void)state;
	put(BAR0, 0x10, 2, 2);
	assert_int_equal(2, get(BAR0, 0x10, 2));
	put(BAR0, 0x10, 3, 2);
	assert_int_equal(0xffff, get(BAR0, 0x10, 2));
	put(BAR0, 0x1a, 1, 2);
	assert_int_equal(1, get(BAR0, 0x1a, 2));
	put(BAR0, 0x1a, 77, 2);
	assert_int_equal(0xffff, get(BAR0, 0x1a, 2));
}

static void msix_enable(unsigned int flags)
{
	put(CONFIG, 0x42, flags, 2);
}

#define ENABLED 0x8000
#define MASKED	0x4000

/* Queue 0 on vector 1, configuration on vector 0; both unmasked. */
static void run_with_vectors(void)
{
	msix_enable(ENABLED);
	for (unsigned int v = 0; v < 2; v++)
		put(BAR2, 16 * v + 12, 0, 4);
	driver_set_up(&b);
	put(BAR0, 0x10, 0, 2);
	put(BAR0, 0x16, 0, 2);
	put(BAR0, 0x1a, 1, 2);
	reg_set(&b, REG_STATUS, S_RUNNING);
}

static bool arrives(unsigned int vector)
{
	unsigned int before = b.messages[vector];

	backend_signal(&b.backend, &b.backend.ring[0].call);
	for (int i = 0; i < 10 && b.messages[vector] == before; i++)
		bench_turn(&b, 10);
	return b.messages[vector] != before;
}

static void messages_and_their_masks(void **state)
{
	(void)state;
	run_with_vectors();
	assert_true(arrives(1));
	assert_int_equal(0, b.line);
	/* The vector's own mask: it pends, and comes when unmasked. */
	put(BAR2, 16 + 12, 1, 4);
	assert_false(arrives(1));
	assert_int_equal(2, get(BAR2, 0x2000, 8));
	put(BAR2, 16 + 12, 0, 4);
	assert_int_equal(0, get(BAR2, 0x2000, 4));
	assert_int_equal(2, b.messages[1]);
	/* The function's. */
	msix_enable(ENABLED | MASKED);
	assert_false(arrives(1));
	msix_enable(ENABLED);
	assert_int_equal(3, b.messages[1]);
}

static void the_table_is_memory(void **state)
{
	(void)state;
	assert_int_equal(1, get(BAR2, 12, 4)); /* masked after reset */
	put(BAR2, 16, 0xfee00003, 4);
	put(BAR2, 20, 0x7, 4);
	put(BAR2, 24, 0x4142, 2);
	assert_int_equal(0x7fee00000, get(BAR2, 16, 8));
	assert_int_equal(0x4142, get(BAR2, 24, 4));
	put(BAR2, 28, 0xff, 4);
	assert_int_equal(1, get(BAR2, 28, 4));
	put(BAR2, 16 * 3, 5, 4); /* no such vector */
	assert_int_equal(0, get(BAR2, 16 * 3, 4));
	put(BAR2, 0x2000, 0xff, 4); /* pending bits are read-only */
	assert_int_equal(0, get(BAR2, 0x2000, 4));
}

static void interrupts_bypass_the_transport(void **state)
{
	int vector = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct pollfd p = { .fd = vector, .events = POLLIN };

	(void)state;
	assert_int_equal(0, airlock_vector(b.t, 1, vector));
	run_with_vectors();
	backend_signal(&b.backend, &b.backend.ring[0].call);
	assert_int_equal(1, poll(&p, 1, 0)); /* nobody has polled the transport */
	fd_drain(vector);
	/* Masked while it runs: the route changes, and the interrupt pends. */
	put(BAR2, 16 + 12, 1, 4);
	for (int i = 0; i < 100 && backend_count(&b.backend, VU_SET_VRING_CALL) < 3; i++)
		bench_turn(&b, 10);
	bench_turn(&b, 20);
	backend_signal(&b.backend, &b.backend.ring[0].call);
	bench_turn(&b, 20);
	assert_int_equal(0, poll(&p, 1, 0));
	put(BAR2, 16 + 12, 0, 4);
	assert_int_equal(1, poll(&p, 1, 1000));
	assert_int_equal(-EINVAL, airlock_vector(b.t, 3, vector));
	close(vector);
}

static void a_client_that_owns_the_table(void **state)
{
	int vector = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct pollfd p = { .fd = vector, .events = POLLIN };

	(void)state;
	bench_close(&b);
	bench_prepare(&b, AIRLOCK_PCI, AIRLOCK_DEFER);
	b.options.client_msix = true;
	assert_int_equal(0, bench_begin(&b));
	airlock_memory_add(b.t, MEMORY_AT, MEMORY_SIZE, b.memory, 0, NULL, NULL);
	airlock_vector(b.t, 1, vector); /* the table still says masked */
	driver_set_up(&b);
	put(BAR0, 0x16, 0, 2);
	put(BAR0, 0x1a, 1, 2);
	reg_set(&b, REG_STATUS, S_RUNNING);
	backend_signal(&b.backend, &b.backend.ring[0].call);
	assert_int_equal(1, poll(&p, 1, 0));
	close(vector);
}

static void without_a_vector_no_interrupt(void **state)
{
	(void)state;
	run_with_vectors();
	put(BAR0, 0x1a, 0xffff, 2);
	for (int i = 0; i < 5; i++)
		bench_turn(&b, 10);
	memset(b.messages, 0, sizeof(b.messages));
	backend_signal(&b.backend, &b.backend.ring[0].call);
	bench_turn(&b, 50);
	for (unsigned int v = 0; v < 3; v++)
		assert_int_equal(0, b.messages[v]);
	assert_int_equal(0, b.line);
}

static void intx_and_its_acknowledgement(void **state)
{
	(void)state;
	driver_run(&b);
	backend_signal(&b.backend, &b.backend.ring[0].call);
	for (int i = 0; i < 100 && !b.line; i++)
		bench_turn(&b, 10);
	assert_int_equal(1, b.line);
	assert_true(get(CONFIG, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	put(CONFIG, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, 2);
	assert_int_equal(0, b.line);
	put(CONFIG, PCI_COMMAND, 0, 2);
	assert_int_equal(1, b.line);
	assert_int_equal(0, get(BAR0, 0x41, 1)); /* not the status byte: no acknowledgement */
	put(BAR0, 0x40, 0xff, 1);		 /* nor is a write one */
	assert_int_equal(1, b.line);
	assert_int_equal(1, get(BAR0, 0x40, 1));
	assert_int_equal(0, b.line);
	assert_int_equal(0, get(BAR0, 0x40, 1));
}

static void pci_intx_line_deasserted_on_reset(void **state)
{
	(void)state;
	for (int power = 0; power < 2; power++) {
		driver_run(&b);
		backend_signal(&b.backend, &b.backend.ring[0].call);
		for (int i = 0; i < 100 && !b.line; i++)
			bench_turn(&b, 10);
		assert_int_equal(1, b.line);
		if (power)
			airlock_reset(b.t);
		else
			reg_set(&b, REG_STATUS, 0);
		assert_int_equal(0, b.line);
	}
}

/* ---- the PCI_CFG window */

#define WINDOW 0x90

static void window(uint8_t bar, uint32_t offset, uint32_t length)
{
	put(CONFIG, WINDOW + 4, bar, 1);
	put(CONFIG, WINDOW + 8, offset, 4);
	put(CONFIG, WINDOW + 12, length, 4);
}

static void the_window_shows_what_the_bar_shows(void **state)
{
	(void)state;
	for (uint32_t at = 0; at < 0x40; at += 4) {
		window(0, at, 4);
		assert_int_equal(get(BAR0, at, 4), get(CONFIG, WINDOW + 16, 4));
	}
	window(0, 0x16, 2);
	put(CONFIG, WINDOW + 16, 1, 4); /* its first two bytes count */
	assert_int_equal(1, get(BAR0, 0x16, 2));
	window(0, 0x14, 1);
	put(CONFIG, WINDOW + 16, S_ACK, 1);
	assert_int_equal(S_ACK, get(BAR0, 0x14, 1));
	window(2, 12, 4);
	assert_int_equal(1, get(CONFIG, WINDOW + 16, 4));
}

static void the_window_reaches_the_configuration(void **state)
{
	struct touch read;

	(void)state;
	window(0, 0x102, 2);
	assert_int_equal(1, touch_start(&b, &read, CONFIG, false, WINDOW + 16, 0, 4));
	touch_wait(&b, &read);
	assert_int_equal(0xa3a2, touch_value(&read) & 0xffff);
	assert_int_equal(WINDOW + 16, read.a.offset);
	assert_int_equal(4, read.a.len);
	window(0, 0x105, 1);
	put(CONFIG, WINDOW + 16, 0x33, 1);
	assert_int_equal(0x33, b.backend.config[5]);
}

static void the_window_s_errors(void **state)
{
	static const struct {
		uint8_t bar;
		uint32_t offset, length;
		int result;
	} rows[] = {
		{ 0, 0, 0, -EINVAL },	   { 0, 0, 3, -EINVAL },
		{ 0, 0, 8, -EINVAL },	   { 0, 0, UINT32_MAX, -EINVAL },
		{ 0, 1, 2, -EILSEQ },	   { 0, 2, 4, -EILSEQ },
		{ 0, 0x2000, 1, -ERANGE }, { 0, 0xfffffffc, 4, -ERANGE },
		{ 1, 0, 4, -ERANGE },	   { 3, 0, 4, -ERANGE },
		{ 5, 0, 4, -ERANGE },	   { 0xff, 0, 4, -ERANGE },
		{ 2, 0x4000, 4, -ERANGE }, { 2, 0x3ffc, 4, 0 },
		{ 0, 0x1ffe, 2, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct touch touch;

		window(rows[i].bar, rows[i].offset, rows[i].length);
		assert_int_equal(0, touch_start(&b, &touch, CONFIG, false, WINDOW + 16, 0, 4));
		assert_int_equal(rows[i].result, touch.a.result);
		if (rows[i].result)
			assert_int_equal(UINT32_MAX, touch_value(&touch));
		assert_int_equal(0, touch_start(&b, &touch, CONFIG, true, WINDOW + 16, 0, 4));
		assert_int_equal(rows[i].result, touch.a.result);
	}
	assert_int_equal(0, get(BAR0, 0x14, 1));
}

static void no_panic_from_the_window_while_busy(void **state)
{
	struct touch ok, other, last;

	(void)state;
	driver_set_up(&b);
	window(0, 0x14, 1);
	b.backend.slow_ms = 100;
	backend_script(&b.backend, VU_SET_VRING_KICK, 1, SLOW);
	/* DRIVER_OK through the window is deferred as any other, and so is what follows it. */
	assert_int_equal(1, touch_start(&b, &ok, CONFIG, true, WINDOW + 16, S_RUNNING, 1));
	assert_int_equal(1, touch_start(&b, &other, CONFIG, true, WINDOW + 16, 0, 1));
	assert_int_equal(0, get(CONFIG, 0, 2) != 0x1af4); /* the rest of the space does not wait */
	assert_int_equal(1, touch_start(&b, &last, CONFIG, false, WINDOW + 16, 0, 1));
	touch_wait(&b, &last);
	assert_true(ok.order < other.order && other.order < last.order);
	assert_int_equal(0, touch_value(&last));
	assert_int_equal(1, backend_count(&b.backend, VU_RESET_DEVICE));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(identity),
		TEST(capabilities_in_order),
		TEST(no_device_capability_without_configuration),
		TEST(shared_memory_capability),
		TEST(bars_show_their_size),
		TEST(common_reset_values),
		TEST(a_write_changes_only_the_fields_it_touches),
		TEST(each_queue_has_its_doorbell),
		TEST(a_queue_that_is_not_there),
		TEST(outside_of_everything),
		TEST(vectors_that_cannot_be_used_read_back_so),
		TEST(messages_and_their_masks),
		TEST(the_table_is_memory),
		TEST(interrupts_bypass_the_transport),
		TEST(a_client_that_owns_the_table),
		TEST(without_a_vector_no_interrupt),
		TEST(intx_and_its_acknowledgement),
		TEST(pci_intx_line_deasserted_on_reset),
		TEST(the_window_shows_what_the_bar_shows),
		TEST(the_window_reaches_the_configuration),
		TEST(the_window_s_errors),
		TEST(no_panic_from_the_window_while_busy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
