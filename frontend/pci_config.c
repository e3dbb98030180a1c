/*
 * Layout of the PCI configuration space. Runs under the transport's lock; the driver writes only
 * the bits that are writable, and what it chose for the PCI_CFG window is checked at each use.
 */
#include "frontend/pci_config.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <string.h>

#include "frontend/msix.h"
#include "lib/util.h"

#define VENDOR	   0x1af4
#define DEVICE	   0x1040 /* plus the device's number */
#define SUBSYSTEM  0x1100
#define REVISION   1
#define FIRST_CAP  0x40
#define DEVICE_NET 1
#define DEVICE_BLK 2

static void put16(struct pci_config *p, uint32_t at, uint16_t v)
{
	memcpy(&p->bytes[at], &v, sizeof(v));
}

static void put32(struct pci_config *p, uint32_t at, uint32_t v)
{
	memcpy(&p->bytes[at], &v, sizeof(v));
}

uint16_t pci_config_u16(const struct pci_config *p, uint32_t offset)
{
	uint16_t v;

	memcpy(&v, &p->bytes[offset], sizeof(v));
	return v;
}

static uint32_t get32(const struct pci_config *p, uint32_t at)
{
	uint32_t v;

	memcpy(&v, &p->bytes[at], sizeof(v));
	return v;
}

static void allow(struct pci_config *p, uint32_t at, uint64_t bits, unsigned int len)
{
	memcpy(&p->writable[at], &bits, len);
}

/* A BAR shows its size by the address bits that stay 0. */
static void bar(struct pci_config *p, unsigned int n, uint64_t size, uint32_t type)
{
	uint32_t at = PCI_BASE_ADDRESS_0 + 4 * n;
	bool wide = type & PCI_BASE_ADDRESS_MEM_TYPE_64;

	put32(p, at, type);
	allow(p, at, ~(size - 1), wide ? 8 : 4);
}

/* Appends a capability after the one that ends at *next: its offset. */
static uint8_t cap_add(struct pci_config *p, uint8_t *link, uint8_t *next, uint8_t id, uint8_t len)
{
	uint8_t at = *next;

	p->bytes[*link] = at;
	p->bytes[at] = id;
	*link = at + 1;
	*next = (uint8_t)((at + len + 3) & ~3);
	return at;
}

struct builder {
	struct pci_config *p;
	uint8_t link, next;
};

static uint8_t cap_virtio(struct builder *b, uint8_t type, uint8_t len, uint8_t bar_index,
			  uint32_t offset, uint32_t length)
{
	uint8_t at = cap_add(b->p, &b->link, &b->next, PCI_CAP_ID_VNDR, len);

	b->p->bytes[at + VIRTIO_PCI_CAP_LEN] = len;
	b->p->bytes[at + VIRTIO_PCI_CAP_CFG_TYPE] = type;
	b->p->bytes[at + VIRTIO_PCI_CAP_BAR] = bar_index;
	put32(b->p, at + VIRTIO_PCI_CAP_OFFSET, offset);
	put32(b->p, at + VIRTIO_PCI_CAP_LENGTH, length);
	return at;
}

static void cap_msix(struct builder *b, unsigned int vectors)
{
	uint8_t at = cap_add(b->p, &b->link, &b->next, PCI_CAP_ID_MSIX, 12);

	b->p->msix = at;
	put16(b->p, at + PCI_MSIX_FLAGS, (uint16_t)(vectors - 1));
	allow(b->p, at + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL, 2);
	put32(b->p, at + PCI_MSIX_TABLE, AIRLOCK_BAR2);
	put32(b->p, at + PCI_MSIX_PBA, MSIX_PBA | AIRLOCK_BAR2);
}

static void cap_shm(struct builder *b, const struct airlock_shm *shm)
{
	uint8_t at = cap_virtio(b, VIRTIO_PCI_CAP_SHARED_MEMORY_CFG, 24, 4, (uint32_t)shm->offset,
				(uint32_t)shm->length);

	b->p->bytes[at + 5] = shm->id;
	put32(b->p, at + 16, (uint32_t)(shm->offset >> 32));
	put32(b->p, at + 20, (uint32_t)(shm->length >> 32));
	while (b->p->shm_size < shm->offset + shm->length)
		b->p->shm_size = b->p->shm_size ? 2 * b->p->shm_size : 4096;
}

static void cap_window(struct builder *b)
{
	uint8_t at = cap_virtio(b, VIRTIO_PCI_CAP_PCI_CFG, 20, 0, 0, 0);

	b->p->window = at;
	allow(b->p, at + VIRTIO_PCI_CAP_BAR, 0xff, 1);
	allow(b->p, at + VIRTIO_PCI_CAP_OFFSET, UINT32_MAX, 4);
	allow(b->p, at + VIRTIO_PCI_CAP_LENGTH, UINT32_MAX, 4);
	allow(b->p, at + 16, UINT32_MAX, 4);
}

static void capabilities(struct pci_config *p, const struct airlock_options *o, unsigned int queues)
{
	struct builder b = { p, PCI_CAPABILITY_LIST, FIRST_CAP };
	uint8_t at;

	cap_msix(&b, queues + 1);
	cap_virtio(&b, VIRTIO_PCI_CAP_COMMON_CFG, 16, 0, BAR0_COMMON, BAR0_COMMON_SIZE);
	at = cap_virtio(&b, VIRTIO_PCI_CAP_NOTIFY_CFG, 20, 0, BAR0_NOTIFY,
			queues * BAR0_NOTIFY_EACH);
	put32(p, at + 16, BAR0_NOTIFY_EACH);
	cap_virtio(&b, VIRTIO_PCI_CAP_ISR_CFG, 16, 0, BAR0_ISR, 4);
	if (o->config_length)
		cap_virtio(&b, VIRTIO_PCI_CAP_DEVICE_CFG, 16, 0, BAR0_DEVICE, o->config_length);
	for (unsigned int i = 0; i < o->nshm; i++)
		cap_shm(&b, &o->shm[i]);
	cap_window(&b);
}

static uint8_t class_of(uint16_t device)
{
	if (device == DEVICE_NET)
		return 2;
	return device == DEVICE_BLK ? 1 : 0xff;
}

void pci_config_init(struct pci_config *p, const struct airlock_options *o, unsigned int queues)
{
	memset(p, 0, sizeof(*p));
	put16(p, PCI_VENDOR_ID, VENDOR);
	put16(p, PCI_DEVICE_ID, (uint16_t)(DEVICE + o->device));
	allow(p, PCI_COMMAND,
	      PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_OFF, 2);
	put16(p, PCI_STATUS, PCI_STATUS_CAP_LIST);
	p->bytes[PCI_REVISION_ID] = REVISION;
	p->bytes[PCI_CLASS_DEVICE + 1] = class_of(o->device);
	put16(p, PCI_SUBSYSTEM_VENDOR_ID, VENDOR);
	put16(p, PCI_SUBSYSTEM_ID, SUBSYSTEM);
	allow(p, PCI_CACHE_LINE_SIZE, 0xff, 1);
	allow(p, PCI_INTERRUPT_LINE, 0xff, 1);
	p->bytes[PCI_INTERRUPT_PIN] = 1;
	capabilities(p, o, queues);
	bar(p, 0, BAR0_SIZE, PCI_BASE_ADDRESS_MEM_TYPE_64);
	bar(p, 2, MSIX_BAR_SIZE, 0);
	if (p->shm_size)
		bar(p, 4, p->shm_size,
		    PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH);
}

void pci_config_read(const struct pci_config *p, uint32_t offset, void *data, unsigned int len)
{
	uint8_t *out = data;

	for (unsigned int i = 0; i < len; i++)
		out[i] = offset + i < PCI_SPACE ? p->bytes[offset + i] : 0xff;
}

void pci_config_write(struct pci_config *p, uint32_t offset, const void *data, unsigned int len)
{
	const uint8_t *in = data;

	for (unsigned int i = 0; i < len && offset + i < PCI_SPACE; i++) {
		uint8_t bits = p->writable[offset + i];

		p->bytes[offset + i] = (uint8_t)((p->bytes[offset + i] & ~bits) | (in[i] & bits));
	}
}

bool pci_config_in_window(const struct pci_config *p, uint64_t offset, unsigned int len)
{
	uint32_t data = p->window + 16u;

	return offset < data + 4 && data < offset + len;
}

int pci_config_window(struct pci_config *p, struct pci_window *w)
{
	uint64_t size;

	*w = (struct pci_window){ .bar = p->bytes[p->window + VIRTIO_PCI_CAP_BAR],
				  .offset = get32(p, p->window + VIRTIO_PCI_CAP_OFFSET),
				  .length = get32(p, p->window + VIRTIO_PCI_CAP_LENGTH),
				  .data = &p->bytes[p->window + 16] };
	if (w->length != 1 && w->length != 2 && w->length != 4)
		return -EINVAL;
	if (w->offset % w->length)
		return -EILSEQ;
	if (w->bar != AIRLOCK_BAR0 && w->bar != AIRLOCK_BAR2)
		return -ERANGE;
	size = w->bar == AIRLOCK_BAR0 ? BAR0_SIZE : MSIX_BAR_SIZE;
	return range_within(w->offset, w->length, size) ? 0 : -ERANGE;
}
