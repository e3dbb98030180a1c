/*
 * Modern virtio-pci (virtio 1.3, 4.1): the common configuration as a table of fields, ISR,
 * doorbells, MSI-X, INTx and the PCI_CFG window. Runs under the transport's lock; trusts nothing
 * that the driver writes.
 *
 * A write changes the fields it touches, each once, and no neighbour: a byte of queue_select is not
 * a write of device_status. The window's accesses pass the same gate as any other (core.c), so a
 * STATUS write through it waits, and stalls, as one to the BAR does.
 */
#include "frontend/pci.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "frontend/access.h"
#include "frontend/queue.h"
#include "frontend/status.h"
#include "lib/fd.h"
#include "lib/util.h"
#include "lib/virtio.h"

enum field_id {
	F_DEVICE_SELECT,
	F_DEVICE_FEATURES,
	F_DRIVER_SELECT,
	F_DRIVER_FEATURES,
	F_CONFIG_VECTOR,
	F_NUM_QUEUES,
	F_STATUS,
	F_GENERATION,
	F_QUEUE_SELECT,
	F_QUEUE_SIZE,
	F_QUEUE_VECTOR,
	F_QUEUE_ENABLE,
	F_NOTIFY_OFF,
	F_DESC,
	F_DRIVER,
	F_DEVICE,
	F_NOTIFY_DATA,
	F_QUEUE_RESET,
	F_ADMIN,
	FIELDS
};
static const struct {
	uint8_t offset, size;
} fields[FIELDS] = {
	[F_DEVICE_SELECT] = { 0x00, 4 }, [F_DEVICE_FEATURES] = { 0x04, 4 },
	[F_DRIVER_SELECT] = { 0x08, 4 }, [F_DRIVER_FEATURES] = { 0x0c, 4 },
	[F_CONFIG_VECTOR] = { 0x10, 2 }, [F_NUM_QUEUES] = { 0x12, 2 },
	[F_STATUS] = { 0x14, 1 },	 [F_GENERATION] = { 0x15, 1 },
	[F_QUEUE_SELECT] = { 0x16, 2 },	 [F_QUEUE_SIZE] = { 0x18, 2 },
	[F_QUEUE_VECTOR] = { 0x1a, 2 },	 [F_QUEUE_ENABLE] = { 0x1c, 2 },
	[F_NOTIFY_OFF] = { 0x1e, 2 },	 [F_DESC] = { 0x20, 8 },
	[F_DRIVER] = { 0x28, 8 },	 [F_DEVICE] = { 0x30, 8 },
	[F_NOTIFY_DATA] = { 0x38, 2 },	 [F_QUEUE_RESET] = { 0x3a, 2 },
	[F_ADMIN] = { 0x3c, 4 },
};

static struct pci *pci_of(const struct core *c)
{
	return container_of(c, struct pci, core);
}

/* ---- interrupts */

static void line_update(struct pci *p)
{
	uint16_t command = pci_config_u16(&p->config, PCI_COMMAND);
	bool asserted = p->core.regs.isr && !msix_on(&p->msix);
	bool level = asserted && !(command & PCI_COMMAND_INTX_OFF);

	p->config.bytes[PCI_STATUS] =
		(uint8_t)(PCI_STATUS_CAP_LIST | (asserted ? PCI_STATUS_INTX : 0));
	if (level == p->line)
		return;
	p->line = level;
	if (p->core.options.ops.line)
		p->core.options.ops.line(p->core.options.opaque, level);
}

static uint16_t vector_of(const struct core *c, unsigned int queue)
{
	return queue == ALL_QUEUES ? c->regs.config_vector : c->regs.queues[queue].vector;
}

static void pci_interrupt(struct core *c, unsigned int queue)
{
	struct pci *p = pci_of(c);

	if (msix_on(&p->msix)) {
		msix_raise(&p->msix, vector_of(c, queue)); /* NO_VECTOR is none of them */
		return;
	}
	c->regs.isr |= queue == ALL_QUEUES ? ISR_CONFIG : ISR_QUEUE;
	line_update(p);
}

static int pci_route(struct core *c, unsigned int queue)
{
	struct pci *p = pci_of(c);

	return msix_on(&p->msix) ? msix_route(&p->msix, vector_of(c, queue)) : -1;
}

static void pci_lowered(struct core *c)
{
	line_update(pci_of(c));
}

static void reroute_all(struct core *c)
{
	for (unsigned int i = 0; i < c->nqueues; i++)
		queue_reroute(c, i);
}

int pci_vector(struct pci *p, unsigned int vector, int fd)
{
	bool on = msix_on(&p->msix);

	if (vector >= p->msix.count)
		return -EINVAL;
	msix_set_fd(&p->msix, vector, fd);
	if (msix_on(&p->msix) != on)
		reroute_all(&p->core);
	else
		queue_reroute_vector(&p->core, vector);
	line_update(p);
	return 0;
}

void pci_trigger(struct pci *p, unsigned int vector)
{
	int fd = msix_route(&p->msix, vector);

	if (fd >= 0)
		fd_signal(fd);
}

/* ---- common configuration */

static uint64_t queue_field(struct core *c, enum field_id id)
{
	const struct queue_regs *q = queue_selected(c);

	if (!q)
		return 0;
	switch ((int)id) {
	case F_QUEUE_SIZE:
		return q->size;
	case F_QUEUE_VECTOR:
		return q->vector;
	case F_QUEUE_ENABLE:
		return q->enabled;
	case F_NOTIFY_OFF:
	case F_NOTIFY_DATA:
		return c->regs.queue_select;
	case F_DESC:
		return q->desc;
	case F_DRIVER:
		return q->driver;
	case F_DEVICE:
		return q->device;
	default:
		return queue_resetting(c);
	}
}

static uint64_t field_read(struct core *c, enum field_id id)
{
	switch ((int)id) {
	case F_DEVICE_SELECT:
		return c->regs.device_select;
	case F_DEVICE_FEATURES:
		return core_device_features(c);
	case F_DRIVER_SELECT:
		return c->regs.driver_select;
	case F_DRIVER_FEATURES:
		return c->regs.driver_select > 1 ? 0
						 : (uint32_t)(c->regs.driver_features >>
							      (32 * c->regs.driver_select));
	case F_CONFIG_VECTOR:
		return c->regs.config_vector;
	case F_NUM_QUEUES:
		return c->nqueues;
	case F_STATUS:
		return c->regs.status;
	case F_GENERATION:
		return c->regs.generation;
	case F_QUEUE_SELECT:
		return c->regs.queue_select;
	case F_ADMIN:
		return 0;
	default:
		return queue_field(c, id);
	}
}

static void queue_vector(struct core *c, uint64_t value)
{
	struct queue_regs *q = queue_selected(c);

	if (!q)
		return;
	q->vector = value < pci_of(c)->msix.count ? (uint16_t)value : NO_VECTOR;
	queue_reroute(c, c->regs.queue_select);
}

static void queue_address(struct core *c, enum field_id id, uint64_t value)
{
	struct queue_regs *q = queue_selected(c);

	if (!queue_writable(c))
		return;
	*(id == F_DESC ? &q->desc : id == F_DRIVER ? &q->driver : &q->device) = value;
}

static int field_write(struct core *c, enum field_id id, uint64_t value, struct airlock_access *a)
{
	switch ((int)id) {
	case F_DEVICE_SELECT:
		c->regs.device_select = (uint32_t)value;
		break;
	case F_DRIVER_SELECT:
		c->regs.driver_select = (uint32_t)value;
		break;
	case F_DRIVER_FEATURES:
		core_driver_features(c, (uint32_t)value);
		break;
	case F_CONFIG_VECTOR:
		c->regs.config_vector = value < pci_of(c)->msix.count ? (uint16_t)value : NO_VECTOR;
		break;
	case F_STATUS:
		return status_write(c, (uint8_t)value, a);
	case F_QUEUE_SELECT:
		c->regs.queue_select = (uint32_t)value;
		break;
	case F_QUEUE_SIZE:
		queue_set_size(c, (uint32_t)value);
		break;
	case F_QUEUE_VECTOR:
		queue_vector(c, value);
		break;
	case F_QUEUE_ENABLE:
		if (value == 1)
			queue_enable(c);
		break;
	case F_DESC:
	case F_DRIVER:
	case F_DEVICE:
		queue_address(c, id, value);
		break;
	case F_QUEUE_RESET:
		if (value == 1)
			queue_reset(c);
		break;
	default:
		break; /* read-only */
	}
	return 0;
}

/* Bytes [at, at + len) of the access that lie in a field: where they start in the field, and in the
 * access. */
static unsigned int overlap(enum field_id id, uint64_t at, unsigned int len, unsigned int *in_field,
			    unsigned int *in_access)
{
	uint64_t first = max_of(at, (uint64_t)fields[id].offset);
	uint64_t end = min_of(at + len, (uint64_t)fields[id].offset + fields[id].size);

	if (first >= end)
		return 0;
	*in_field = (unsigned int)(first - fields[id].offset);
	*in_access = (unsigned int)(first - at);
	return (unsigned int)(end - first);
}

static int common_access(struct core *c, struct airlock_access *a)
{
	int later = 0;

	for (enum field_id id = 0; id < FIELDS; id++) {
		unsigned int in_field, in_access;
		unsigned int n = overlap(id, a->offset, a->len, &in_field, &in_access);
		uint64_t value;

		if (!n)
			continue;
		value = field_read(c, id);
		if (a->write) {
			memcpy((uint8_t *)&value + in_field, a->data + in_access, n);
			later |= field_write(c, id, value, a);
		} else {
			memcpy(a->data + in_access, (uint8_t *)&value + in_field, n);
		}
	}
	return later;
}

/* ---- BARs */

/* Only a read that takes the status byte acknowledges it. */
static void isr_read(struct core *c, struct airlock_access *a)
{
	memset(a->data, 0, a->len);
	if (a->offset != BAR0_ISR)
		return;
	a->data[0] = c->regs.isr;
	c->regs.isr = 0;
	line_update(pci_of(c));
}

static int bar0_access(struct core *c, struct airlock_access *a)
{
	if (!a->write)
		memset(a->data, 0xff, a->len);
	if (a->offset < BAR0_COMMON + BAR0_COMMON_SIZE)
		return common_access(c, a);
	if (a->offset < BAR0_ISR + 4) {
		if (!a->write)
			isr_read(c, a);
		return 0;
	}
	if (a->offset < BAR0_NOTIFY || a->offset >= BAR0_SIZE)
		return 0;
	if (a->write)
		queue_notify(c, (unsigned int)(a->offset - BAR0_NOTIFY) / BAR0_NOTIFY_EACH);
	else
		memset(a->data, 0, a->len);
	return 0;
}

static void msix_access(struct pci *p, struct airlock_access *a)
{
	for (unsigned int i = 0; i < a->len;) {
		uint32_t at = (uint32_t)a->offset + i, word = msix_read(&p->msix, at & ~3u);
		unsigned int n = min_of(4 - (at & 3), a->len - i);
		int changed;

		if (a->offset + i >= MSIX_BAR_SIZE) {
			if (!a->write)
				memset(a->data + i, 0xff, n);
		} else if (a->write) {
			memcpy((uint8_t *)&word + (at & 3), a->data + i, n);
			changed = msix_write(&p->msix, at & ~3u, word);
			if (changed >= 0)
				queue_reroute_vector(&p->core, (unsigned int)changed);
		} else {
			memcpy(a->data + i, (uint8_t *)&word + (at & 3), n);
		}
		i += n;
	}
}

/* ---- configuration space */

void pci_refresh(struct pci *p)
{
	uint16_t flags = pci_config_u16(&p->config, p->config.msix + PCI_MSIX_FLAGS);
	bool enabled = flags & PCI_MSIX_FLAGS_ENABLE, masked = flags & PCI_MSIX_FLAGS_MASKALL;

	if (enabled != p->msix.enabled || masked != p->msix.masked) {
		msix_control(&p->msix, enabled, masked);
		reroute_all(&p->core);
	}
	line_update(p);
}

static void config_access(struct pci *p, struct airlock_access *a)
{
	if (a->write) {
		pci_config_write(&p->config, (uint32_t)a->offset, a->data, a->len);
		pci_refresh(p);
	} else {
		pci_config_read(&p->config, (uint32_t)a->offset, a->data, a->len);
	}
}

/* An access to pci_cfg_data becomes the one it stands for. */
static int pci_translate(struct core *c, struct airlock_access *a)
{
	struct pci *p = pci_of(c);
	struct access *own = access_of(a);
	struct pci_window w;
	int rc;

	if (a->region != AIRLOCK_CONFIG || !pci_config_in_window(&p->config, a->offset, a->len))
		return 0;
	if (a->write)
		config_access(p, a);
	rc = pci_config_window(&p->config, &w);
	if (rc)
		return rc;
	*own = (struct access){ .window = true, .offset = a->offset, .len = a->len };
	a->region = (enum airlock_region)w.bar;
	a->offset = w.offset;
	a->len = (uint8_t)w.length;
	if (a->write)
		memcpy(a->data, w.data, w.length);
	return 0;
}

static void pci_finish(struct core *c, struct airlock_access *a)
{
	struct pci *p = pci_of(c);
	const struct access *own = access_of(a);

	if (!own->window)
		return;
	if (!a->write)
		memcpy(&p->config.bytes[p->config.window + 16], a->data, a->len);
	a->region = AIRLOCK_CONFIG;
	a->offset = own->offset;
	a->len = own->len;
	if (!a->write)
		pci_config_read(&p->config, (uint32_t)a->offset, a->data, a->len);
}

static bool pci_is_config(const struct core *c, const struct airlock_access *a, uint64_t *offset)
{
	(void)c;
	if (a->region != AIRLOCK_BAR0 || a->offset < BAR0_DEVICE || a->offset >= BAR0_NOTIFY)
		return false;
	*offset = a->offset - BAR0_DEVICE;
	return true;
}

static bool pci_is_local(const struct core *c, const struct airlock_access *a)
{
	(void)c;
	return a->region != AIRLOCK_BAR0;
}

static int pci_access(struct core *c, struct airlock_access *a)
{
	switch ((int)a->region) {
	case AIRLOCK_BAR0:
		return bar0_access(c, a);
	case AIRLOCK_BAR2:
		msix_access(pci_of(c), a);
		return 0;
	case AIRLOCK_CONFIG:
		config_access(pci_of(c), a);
		return 0;
	}
	if (!a->write)
		memset(a->data, 0xff, a->len);
	return 0;
}

static void pci_power_on(struct core *c)
{
	struct pci *p = pci_of(c);

	pci_config_init(&p->config, &c->options, c->nqueues);
	p->msix.count = c->nqueues + 1;
	msix_reset(&p->msix);
	line_update(p);
}

static bool pci_doorbell(const struct core *c, unsigned int queue, uint64_t *offset, int64_t *value)
{
	(void)c;
	*offset = BAR0_NOTIFY + queue * BAR0_NOTIFY_EACH;
	*value = -1;
	return true;
}

void pci_init(struct pci *p)
{
	msix_init(&p->msix, 0);
	p->msix.external = p->core.options.client_msix;
	p->msix.message = p->core.options.ops.message;
	p->msix.opaque = p->core.options.opaque;
}

void pci_close(struct pci *p)
{
	msix_close(&p->msix);
}

const struct decoder pci_decoder = {
	.translate = pci_translate,
	.is_config = pci_is_config,
	.is_local = pci_is_local,
	.access = pci_access,
	.finish = pci_finish,
	.route = pci_route,
	.interrupt = pci_interrupt,
	.lowered = pci_lowered,
	.power_on = pci_power_on,
	.doorbell = pci_doorbell,
};
