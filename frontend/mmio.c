/*
 * virtio-mmio, version 2 (virtio 1.3, 4.2): one page of registers, device configuration behind
 * them. Runs under the transport's lock; trusts nothing that the driver writes.
 *
 * Registers are 32 bits wide and accessed so (4.2.2.2). A read of another width shows the
 * registers' bytes and nothing else happens; such a write is ignored. An access that begins below
 * the configuration stays below: what reaches over reads all ones.
 */
#include "frontend/mmio.h"

#include <string.h>

#include "frontend/access.h"
#include "frontend/queue.h"
#include "frontend/status.h"
#include "lib/util.h"
#include "lib/virtio.h"

#define MAGIC	    0x74726976
#define VERSION	    2
#define VENDOR	    0x1af4
#define NO_REGISTER UINT32_MAX

enum reg {
	R_MAGIC = 0x000,
	R_VERSION = 0x004,
	R_DEVICE = 0x008,
	R_VENDOR = 0x00c,
	R_DEVICE_FEATURES = 0x010,
	R_DEVICE_SELECT = 0x014,
	R_DRIVER_FEATURES = 0x020,
	R_DRIVER_SELECT = 0x024,
	R_QUEUE_SELECT = 0x030,
	R_QUEUE_MAX = 0x034,
	R_QUEUE_NUM = 0x038,
	R_QUEUE_READY = 0x044,
	R_NOTIFY = 0x050,
	R_ISR = 0x060,
	R_ACK = 0x064,
	R_STATUS = 0x070,
	R_DESC = 0x080, /* and its upper half 4 further, as the next two */
	R_DRIVER = 0x090,
	R_DEVICE_AREA = 0x0a0,
	R_SHM_SELECT = 0x0ac,
	R_SHM_LENGTH = 0x0b0,
	R_SHM_BASE = 0x0b8,
	R_QUEUE_RESET = 0x0c0,
	R_GENERATION = 0x0fc,
	R_CONFIG = 0x100
};

static uint32_t half(uint64_t value, uint32_t reg)
{
	return (uint32_t)(reg & 4 ? value >> 32 : value);
}

static void half_set(uint64_t *value, uint32_t reg, uint32_t v)
{
	unsigned int shift = reg & 4 ? 32 : 0;

	*value = (*value & ~((uint64_t)UINT32_MAX << shift)) | (uint64_t)v << shift;
}

/* A region that is not there has the length -1 (4.2.2). */
static uint64_t shm_read(const struct core *c, uint32_t reg)
{
	for (unsigned int i = 0; i < c->options.nshm; i++)
		if (c->options.shm[i].id == c->regs.shm_select)
			return reg < R_SHM_BASE ? c->options.shm[i].length
						: c->options.shm[i].offset;
	return UINT64_MAX;
}

static uint32_t queue_read(struct core *c, uint32_t reg)
{
	const struct queue_regs *q = queue_selected(c);

	if (!q)
		return 0;
	switch (reg) {
	case R_QUEUE_MAX:
		return queue_size_max(c);
	case R_QUEUE_NUM:
		return q->size;
	case R_QUEUE_READY:
		return q->enabled;
	case R_QUEUE_RESET:
		return queue_resetting(c);
	case R_DESC:
	case R_DESC + 4:
		return half(q->desc, reg);
	case R_DRIVER:
	case R_DRIVER + 4:
		return half(q->driver, reg);
	default:
		return half(q->device, reg);
	}
}

static uint32_t reg_read(struct core *c, uint32_t reg)
{
	switch (reg) {
	case R_MAGIC:
		return MAGIC;
	case R_VERSION:
		return VERSION;
	case R_DEVICE:
		return c->options.device;
	case R_VENDOR:
		return VENDOR;
	case R_DEVICE_FEATURES:
		return core_device_features(c);
	case R_DEVICE_SELECT:
		return c->regs.device_select;
	case R_DRIVER_FEATURES:
		return c->regs.driver_select > 1 ? 0
						 : (uint32_t)(c->regs.driver_features >>
							      (32 * c->regs.driver_select));
	case R_DRIVER_SELECT:
		return c->regs.driver_select;
	case R_QUEUE_SELECT:
		return c->regs.queue_select;
	case R_QUEUE_MAX:
	case R_QUEUE_NUM:
	case R_QUEUE_READY:
	case R_QUEUE_RESET:
	case R_DESC:
	case R_DESC + 4:
	case R_DRIVER:
	case R_DRIVER + 4:
	case R_DEVICE_AREA:
	case R_DEVICE_AREA + 4:
		return queue_read(c, reg);
	case R_NOTIFY:
	case R_ACK:
		return 0;
	case R_ISR:
		return c->regs.isr;
	case R_STATUS:
		return c->regs.status;
	case R_SHM_SELECT:
		return c->regs.shm_select;
	case R_SHM_LENGTH:
	case R_SHM_LENGTH + 4:
	case R_SHM_BASE:
	case R_SHM_BASE + 4:
		return half(shm_read(c, reg), reg);
	case R_GENERATION:
		return c->regs.generation;
	default:
		return NO_REGISTER;
	}
}

static void line_set(struct core *c)
{
	if (c->options.ops.line)
		c->options.ops.line(c->options.opaque, c->regs.isr);
}

static void address_write(struct core *c, uint32_t reg, uint32_t v)
{
	struct queue_regs *q = queue_selected(c);

	if (!queue_writable(c))
		return;
	if (reg < R_DRIVER)
		half_set(&q->desc, reg, v);
	else if (reg < R_DEVICE_AREA)
		half_set(&q->driver, reg, v);
	else
		half_set(&q->device, reg, v);
}

/* 0, or 1: the write completes later. */
static int reg_write(struct core *c, uint32_t reg, uint32_t v, struct airlock_access *a)
{
	switch (reg) {
	case R_DEVICE_SELECT:
		c->regs.device_select = v;
		return 0;
	case R_DRIVER_FEATURES:
		core_driver_features(c, v);
		return 0;
	case R_DRIVER_SELECT:
		c->regs.driver_select = v;
		return 0;
	case R_QUEUE_SELECT:
		c->regs.queue_select = v;
		return 0;
	case R_QUEUE_NUM:
		queue_set_size(c, v);
		return 0;
	case R_QUEUE_READY:
		if (!(v & 1))
			return queue_disable(c, a);
		queue_enable(c);
		return 0;
	case R_QUEUE_RESET:
		if (v & 1)
			queue_reset(c);
		return 0;
	case R_NOTIFY:
		/* With NOTIFICATION_DATA the upper half says how far: the back-end looks itself. */
		queue_notify(c, v & UINT16_MAX);
		return 0;
	case R_ACK:
		c->regs.isr &= (uint8_t)~v;
		line_set(c);
		return 0;
	case R_STATUS:
		return status_write(c, (uint8_t)v, a);
	case R_DESC:
	case R_DESC + 4:
	case R_DRIVER:
	case R_DRIVER + 4:
	case R_DEVICE_AREA:
	case R_DEVICE_AREA + 4:
		address_write(c, reg, v);
		return 0;
	case R_SHM_SELECT:
		c->regs.shm_select = v;
		return 0;
	default:
		return 0;
	}
}

static uint32_t page_offset(const struct airlock_access *a)
{
	return a->offset & (MMIO_SIZE - 1);
}

static bool mmio_is_config(const struct core *c, const struct airlock_access *a, uint64_t *offset)
{
	(void)c;
	if (page_offset(a) < R_CONFIG)
		return false;
	*offset = page_offset(a) - R_CONFIG;
	return true;
}

static bool mmio_is_local(const struct core *c, const struct airlock_access *a)
{
	(void)c;
	(void)a;
	return false;
}

static int mmio_access(struct core *c, struct airlock_access *a)
{
	uint32_t at = page_offset(a), value;

	if (a->write) {
		memcpy(&value, a->data, sizeof(value));
		return a->len == sizeof(value) && !(at & 3) ? reg_write(c, at, value, a) : 0;
	}
	for (unsigned int i = 0; i < a->len; i++) {
		uint32_t byte = at + i;

		value = byte < R_CONFIG ? reg_read(c, byte & ~3u) : NO_REGISTER;
		a->data[i] = (uint8_t)(value >> (8 * (byte & 3)));
	}
	return 0;
}

static int mmio_route(struct core *c, unsigned int queue)
{
	(void)c;
	(void)queue;
	return -1; /* every interrupt shows in InterruptStatus */
}

static void mmio_interrupt(struct core *c, unsigned int queue)
{
	c->regs.isr |= queue == ALL_QUEUES ? ISR_CONFIG : ISR_QUEUE;
	line_set(c);
}

static void mmio_lowered(struct core *c)
{
	line_set(c);
}

static void mmio_power_on(struct core *c)
{
	(void)c;
}

/* One register serves all queues: without a value to match, a doorbell would ring for any of them.
 */
static bool mmio_doorbell(const struct core *c, unsigned int queue, uint64_t *offset,
			  int64_t *value)
{
	*offset = R_NOTIFY;
	*value = queue;
	return !(c->regs.driver_features & BIT_ULL(FEATURE_NOTIFICATION));
}

const struct decoder mmio_decoder = {
	.is_config = mmio_is_config,
	.is_local = mmio_is_local,
	.access = mmio_access,
	.route = mmio_route,
	.interrupt = mmio_interrupt,
	.lowered = mmio_lowered,
	.power_on = mmio_power_on,
	.doorbell = mmio_doorbell,
};
