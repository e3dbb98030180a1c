/*
 * Save and restore. Runs under the transport's lock, with the device stopped; whoever brings a
 * state may have written it himself.
 */
#include "frontend/state.h"

#include <errno.h>
#include <string.h>

#include "frontend/queue.h"
#include "lib/util.h"
#include "lib/virtio.h"

#define MAGIC	0x4b434f4c52494141ULL /* "AAIRLOCK" */
#define VERSION 1

struct queue_state {
	uint16_t size, vector, enabled, reserved;
	uint32_t base;
	uint64_t desc, driver, device;
} __attribute__((packed));

struct common_state {
	uint64_t magic;
	uint32_t version, bytes; /* of the whole */
	uint32_t bus, device, queues, queue_size;
	uint8_t status, generation, isr, reserved;
	uint32_t device_select, driver_select, queue_select, shm_select, config_vector;
	uint64_t driver_features;
} __attribute__((packed));

struct pci_state {
	uint8_t config[PCI_SPACE];
	struct msix_entry table[MSIX_VECTORS_MAX];
	uint64_t pending[(MSIX_VECTORS_MAX + 63) / 64];
} __attribute__((packed));

static_assert(sizeof(struct common_state) + AIRLOCK_QUEUES_MAX * sizeof(struct queue_state) +
			      sizeof(struct pci_state) <=
		      AIRLOCK_STATE_MAX,
	      "room");

static size_t state_bytes(const struct core *c, const struct pci *pci)
{
	return sizeof(struct common_state) + c->nqueues * sizeof(struct queue_state) +
	       (pci ? sizeof(struct pci_state) : 0);
}

static struct common_state common_of(const struct core *c, const struct pci *pci)
{
	const struct core_regs *r = &c->regs;

	return (struct common_state){ .magic = MAGIC,
				      .version = VERSION,
				      .bytes = (uint32_t)state_bytes(c, pci),
				      .bus = c->options.bus,
				      .device = c->options.device,
				      .queues = c->nqueues,
				      .queue_size = queue_size_max(c),
				      .status = r->status,
				      .generation = r->generation,
				      .isr = r->isr,
				      .device_select = r->device_select,
				      .driver_select = r->driver_select,
				      .queue_select = r->queue_select,
				      .shm_select = r->shm_select,
				      .config_vector = r->config_vector,
				      .driver_features = r->driver_features };
}

ssize_t state_save(const struct core *c, const struct pci *pci, void *state, size_t room)
{
	struct common_state common = common_of(c, pci);
	char *at = state;

	if (room < common.bytes)
		return -ENOSPC;
	memcpy(at, &common, sizeof(common));
	at += sizeof(common);
	for (unsigned int i = 0; i < c->nqueues; i++) {
		const struct queue_regs *r = &c->regs.queues[i];
		struct queue_state q = { .size = r->size,
					 .vector = r->vector,
					 .enabled = r->enabled,
					 .base = c->queues[i].base,
					 .desc = r->desc,
					 .driver = r->driver,
					 .device = r->device };

		memcpy(at, &q, sizeof(q));
		at += sizeof(q);
	}
	if (pci) {
		struct pci_state p = { 0 };

		memcpy(p.config, pci->config.bytes, sizeof(p.config));
		memcpy(p.table, pci->msix.table, sizeof(p.table));
		memcpy(p.pending, pci->msix.pending, sizeof(p.pending));
		memcpy(at, &p, sizeof(p));
	}
	return common.bytes;
}

static int common_check(const struct core *c, const struct common_state *s, size_t len, size_t want)
{
	if (s->magic != MAGIC || s->version != VERSION || s->bytes != len)
		return -EINVAL;
	if (s->bus != c->options.bus || s->device != c->options.device || s->queues != c->nqueues ||
	    s->queue_size != queue_size_max(c) || len != want)
		return -ENOTSUP;
	if (s->driver_features & ~c->offered)
		return -ENOTSUP;
	/* DRIVER_OK comes after FEATURES_OK, or the driver never got there. */
	if ((s->status & STATUS_DRIVER_OK_BIT) && !(s->status & STATUS_FEATURES_OK))
		return -EINVAL;
	return s->isr > (ISR_QUEUE | ISR_CONFIG) ? -EINVAL : 0;
}

static bool vector_ok(const struct core *c, uint32_t vector)
{
	return vector <= c->nqueues || vector == NO_VECTOR;
}

static int queue_check(const struct core *c, const struct common_state *s,
		       const struct queue_state *q)
{
	bool packed = s->driver_features & BIT_ULL(FEATURE_RING_PACKED);

	if (!q->size || q->size > queue_size_max(c) || (!packed && !is_power_of_two(q->size)))
		return -EINVAL;
	return q->enabled > 1 || !vector_ok(c, q->vector) ? -EINVAL : 0;
}

static void regs_fill(struct core_regs *r, const struct common_state *s)
{
	r->status = s->status;
	r->generation = s->generation;
	r->isr = s->isr;
	r->device_select = s->device_select;
	r->driver_select = s->driver_select;
	r->queue_select = s->queue_select;
	r->shm_select = s->shm_select;
	r->config_vector = (uint16_t)s->config_vector;
	r->driver_features = s->driver_features;
}

static int queues_parse(const struct core *c, const struct common_state *s, const char *at,
			struct core_regs *regs, uint32_t *bases)
{
	for (unsigned int i = 0; i < c->nqueues; i++, at += sizeof(struct queue_state)) {
		struct queue_state q;
		int rc;

		memcpy(&q, at, sizeof(q));
		rc = queue_check(c, s, &q);
		if (rc)
			return rc;
		regs->queues[i] = (struct queue_regs){ .size = q.size,
						       .vector = q.vector,
						       .enabled = q.enabled,
						       .desc = q.desc,
						       .driver = q.driver,
						       .device = q.device };
		bases[i] = q.base;
	}
	return 0;
}

static void pci_fill(struct pci *pci, const struct pci_state *p)
{
	/* The driver's bits only: identity and capabilities are this device's own. */
	pci_config_write(&pci->config, 0, p->config, sizeof(p->config));
	memcpy(pci->msix.table, p->table, pci->msix.count * sizeof(p->table[0]));
	for (unsigned int v = 0; v < pci->msix.count; v++)
		if (p->pending[v / 64] >> (v % 64) & 1)
			pci->msix.pending[v / 64] |= UINT64_C(1) << (v % 64);
}

int state_restore(struct core *c, struct pci *pci, const void *state, size_t len)
{
	struct core_regs regs = c->regs;
	uint32_t bases[AIRLOCK_QUEUES_MAX];
	struct common_state common;
	const char *at = state;
	int rc;

	if (len < sizeof(common))
		return -EINVAL;
	memcpy(&common, at, sizeof(common));
	rc = common_check(c, &common, len, state_bytes(c, pci));
	if (!rc && !vector_ok(c, common.config_vector))
		rc = -EINVAL;
	if (!rc)
		rc = queues_parse(c, &common, at + sizeof(common), &regs, bases);
	if (rc)
		return rc;
	regs_fill(&regs, &common);
	if (pci) {
		struct pci_state p;

		memcpy(&p, at + len - sizeof(p), sizeof(p));
		c->decoder->power_on(c);
		pci_fill(pci, &p);
	}
	/* Doorbells come last: they lie in BARs that must be where they belong by now. */
	core_restored(c, &regs, bases);
	if (pci)
		pci_refresh(pci);
	return 0;
}
