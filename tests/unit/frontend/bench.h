/*
 * A transport on the bench: a scripted back-end behind it and a driver's hands in front, which know
 * where each register is on either bus. Asserts (cmocka) instead of returning errors.
 */
#ifndef AIRLOCK_TESTS_BENCH_H
#define AIRLOCK_TESTS_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "frontend/airlock-frontend.h"
#include "frontend/core.h"
#include "lib/clock.h"
#include "tests/unit/frontend/backend.h"

#define MEMORY_AT   0x100000
#define MEMORY_SIZE 0x100000
#define DEADLINE_MS 1000  /* of a command: longer than a busy machine keeps a back-end waiting */
#define PATIENCE_MS 30000 /* for what is never seen unless something is wrong */

#define S_ACK	      1
#define S_DRIVER      2
#define S_OK	      4
#define S_FEATURES    8
#define S_SET_UP      (S_ACK | S_DRIVER | S_FEATURES)
#define S_RUNNING     (S_SET_UP | S_OK)
#define S_NEEDS_RESET 0x40

enum reg_name {
	REG_STATUS,
	REG_GENERATION,
	REG_DEVICE_SELECT,
	REG_DEVICE_FEATURES,
	REG_DRIVER_SELECT,
	REG_DRIVER_FEATURES,
	REG_QUEUE_SELECT,
	REG_QUEUE_SIZE,
	REG_QUEUE_ENABLE,
	REG_QUEUE_RESET,
	REG_DESC,
	REG_DRIVER_AREA,
	REG_DEVICE_AREA,
	REG_NAMES
};
struct reg_place {
	uint16_t offset;
	uint8_t len;
};
static const struct reg_place places[2][REG_NAMES] = {
	[AIRLOCK_MMIO] = { { 0x70, 4 },
			   { 0xfc, 4 },
			   { 0x14, 4 },
			   { 0x10, 4 },
			   { 0x24, 4 },
			   { 0x20, 4 },
			   { 0x30, 4 },
			   { 0x38, 4 },
			   { 0x44, 4 },
			   { 0xc0, 4 },
			   { 0x80, 4 },
			   { 0x90, 4 },
			   { 0xa0, 4 } },
	[AIRLOCK_PCI] = { { 0x14, 1 },
			  { 0x15, 1 },
			  { 0x00, 4 },
			  { 0x04, 4 },
			  { 0x08, 4 },
			  { 0x0c, 4 },
			  { 0x16, 2 },
			  { 0x18, 2 },
			  { 0x1c, 2 },
			  { 0x3a, 2 },
			  { 0x20, 4 },
			  { 0x28, 4 },
			  { 0x30, 4 } },
};
static const uint16_t config_at[2] = { [AIRLOCK_MMIO] = 0x100, [AIRLOCK_PCI] = 0x100 };

struct bench {
	struct backend backend;
	struct airlock_transport *t;
	struct airlock_options options;
	int memory;
	int line, line_rises; /* level, and how often it rose */
	unsigned int troubles;
	int doorbells; /* installed now */
	unsigned int messages[16];
};

/* An access and whether it is over. */
struct touch {
	struct airlock_access a;
	atomic_int over;
	unsigned int order; /* of completion, from 1 */
};
static atomic_uint touches_over;

static inline void touch_done(struct airlock_access *a)
{
	struct touch *touch = container_of(a, struct touch, a);

	touch->order = atomic_fetch_add(&touches_over, 1) + 1;
	atomic_store(&touch->over, 1);
}

static inline int bench_connect(void *opaque)
{
	return backend_connect(&((struct bench *)opaque)->backend);
}

static inline void bench_line(void *opaque, bool level)
{
	struct bench *b = opaque;

	b->line_rises += level && !b->line;
	b->line = level;
}

static inline void bench_message(void *opaque, unsigned int vector, uint64_t address, uint32_t data)
{
	struct bench *b = opaque;

	(void)address;
	(void)data;
	b->messages[vector % ARRAY_SIZE(b->messages)]++;
}

static inline void bench_trouble(void *opaque, const char *what, int error)
{
	(void)what;
	assert_true(error < 0);
	((struct bench *)opaque)->troubles++;
}

static inline void bench_doorbells(void *opaque, bool on)
{
	((struct bench *)opaque)->doorbells = on;
}

/* Everything but open: options and script may still change. */
static inline void bench_prepare(struct bench *b, enum airlock_bus bus, enum airlock_policy policy)
{
	memset(b, 0, sizeof(*b));
	backend_init(&b->backend);
	backend_start(&b->backend);
	b->memory = memfd_create("guest", MFD_CLOEXEC);
	assert_return_code(ftruncate(b->memory, MEMORY_SIZE), errno);
	b->options = (struct airlock_options){ .bus = bus,
					       .policy = policy,
					       .device = 1,
					       .queues = 2,
					       .queue_size = 256,
					       .config_length = 64,
					       .deadline_ms = DEADLINE_MS,
					       .ops = { .connect = bench_connect,
							.line = bench_line,
							.message = bench_message,
							.trouble = bench_trouble,
							.doorbells = bench_doorbells },
					       .opaque = b };
	atomic_store(&touches_over, 0);
}

static inline int bench_begin(struct bench *b)
{
	if (!b->t)
		assert_int_equal(0, airlock_open(&b->options, &b->t));
	backend_sync(&b->backend);
	return airlock_connect(b->t);
}

static inline void bench_open(struct bench *b, enum airlock_bus bus, enum airlock_policy policy)
{
	bench_prepare(b, bus, policy);
	assert_int_equal(0, bench_begin(b));
	assert_int_equal(
		0, airlock_memory_add(b->t, MEMORY_AT, MEMORY_SIZE, b->memory, 0, NULL, NULL));
}

static inline void bench_close(struct bench *b)
{
	backend_sync(&b->backend);
	if (b->t)
		airlock_close(b->t);
	backend_end(&b->backend);
	close(b->memory);
}

/* ---- accesses */

static inline int touch_start(struct bench *b, struct touch *touch, enum airlock_region region,
			      bool write, uint64_t offset, uint64_t value, uint8_t len)
{
	int rc;

	memset(touch, 0, sizeof(*touch));
	touch->a = (struct airlock_access){
		.region = region, .write = write, .len = len, .offset = offset, .done = touch_done
	};
	memcpy(touch->a.data, &value, sizeof(value));
	backend_sync(&b->backend);
	rc = airlock_access(b->t, &touch->a);
	if (!rc)
		touch_done(&touch->a);
	return rc;
}

static inline bool bench_turn(struct bench *b, int timeout_ms)
{
	struct pollfd p = { .fd = airlock_fd(b->t), .events = POLLIN };
	bool news = poll(&p, 1, timeout_ms) > 0;

	airlock_poll(b->t);
	backend_sync(&b->backend);
	return news;
}

static inline void touch_wait(struct bench *b, struct touch *touch)
{
	int64_t end = clock_ms() + PATIENCE_MS;

	while (!atomic_load(&touch->over)) {
		assert_true(clock_ms() < end);
		bench_turn(b, 10);
	}
	backend_sync(&b->backend);
}

static inline uint64_t touch_value(const struct touch *touch)
{
	uint64_t value = 0;

	memcpy(&value, touch->a.data, touch->a.len);
	return value;
}

/* As a vCPU that waits. */
static inline uint64_t bench_at(struct bench *b, enum airlock_region region, uint64_t offset,
				uint8_t len)
{
	struct touch touch;

	touch_start(b, &touch, region, false, offset, 0, len);
	touch_wait(b, &touch);
	return touch_value(&touch);
}

static inline void bench_put(struct bench *b, enum airlock_region region, uint64_t offset,
			     uint64_t value, uint8_t len)
{
	struct touch touch;

	touch_start(b, &touch, region, true, offset, value, len);
	touch_wait(b, &touch);
}

static inline struct reg_place place(const struct bench *b, enum reg_name name)
{
	return places[b->options.bus][name];
}

static inline uint64_t reg(struct bench *b, enum reg_name name)
{
	return bench_at(b, AIRLOCK_BAR0, place(b, name).offset, place(b, name).len);
}

static inline void reg_set(struct bench *b, enum reg_name name, uint64_t value)
{
	bench_put(b, AIRLOCK_BAR0, place(b, name).offset, value, place(b, name).len);
}

/* Begins, without waiting. */
static inline int reg_start(struct bench *b, struct touch *touch, enum reg_name name, bool write,
			    uint64_t value)
{
	return touch_start(b, touch, AIRLOCK_BAR0, write, place(b, name).offset, value,
			   place(b, name).len);
}

/* ---- a driver */

/* Polls as an event loop does until STATUS shows the value; looks only where that never stalls. */
static inline bool bench_status_becomes(struct bench *b, uint8_t value)
{
	int64_t end = clock_ms() + PATIENCE_MS;

	while (clock_ms() < end) {
		if (reg(b, REG_STATUS) == value)
			return true;
		bench_turn(b, 5);
	}
	return false;
}

static inline void driver_features(struct bench *b, uint64_t features)
{
	reg_set(b, REG_STATUS, S_ACK);
	reg_set(b, REG_STATUS, S_ACK | S_DRIVER);
	for (unsigned int bank = 0; bank < 2; bank++) {
		reg_set(b, REG_DRIVER_SELECT, bank);
		reg_set(b, REG_DRIVER_FEATURES, (uint32_t)(features >> (32 * bank)));
	}
	reg_set(b, REG_STATUS, S_SET_UP);
}

static inline void driver_queue(struct bench *b, unsigned int index)
{
	uint64_t base = MEMORY_AT + 0x10000 * (index + 1);

	reg_set(b, REG_QUEUE_SELECT, index);
	reg_set(b, REG_QUEUE_SIZE, 128);
	reg_set(b, REG_DESC, base);
	reg_set(b, REG_DRIVER_AREA, base + 0x4000);
	reg_set(b, REG_DEVICE_AREA, base + 0x8000);
	reg_set(b, REG_QUEUE_ENABLE, 1);
}

#define FEATURES_USED \
	(BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_F_EVENT_IDX) | BIT_ULL(FEATURE_RING_RESET))

/* Everything but DRIVER_OK. */
static inline void driver_set_up(struct bench *b)
{
	driver_features(b, FEATURES_USED);
	driver_queue(b, 0);
	driver_queue(b, 1);
	backend_forget(&b->backend);
}

static inline void driver_run(struct bench *b)
{
	driver_set_up(b);
	reg_set(b, REG_STATUS, S_RUNNING);
	assert_true(bench_status_becomes(b, S_RUNNING));
}

/* Every test twice: its state is the bus. */
#define ON_BOTH(function)                                                              \
	{ #function " mmio", function, NULL, NULL, (void *)(uintptr_t)AIRLOCK_MMIO },  \
	{                                                                              \
#function " pci", function, NULL, NULL, (void *)(uintptr_t)AIRLOCK_PCI \
	}
#define ON_PCI(function)                                                        \
	{                                                                       \
#function, function, NULL, NULL, (void *)(uintptr_t)AIRLOCK_PCI \
	}
#define ON_MMIO(function)                                                        \
	{                                                                        \
#function, function, NULL, NULL, (void *)(uintptr_t)AIRLOCK_MMIO \
	}
#define BUS(state) ((enum airlock_bus)(uintptr_t) * (state))

#endif
