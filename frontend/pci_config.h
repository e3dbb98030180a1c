/*
 * The configuration space of a modern virtio PCI device (virtio 1.3, 4.1): identity, BARs and the
 * list of capabilities. Bytes and the bits of them that can be written; what a write means is
 * pci.c's. Under the transport's lock.
 *
 *   40 MSI-X | COMMON | NOTIFY | ISR | [DEVICE] | [SHARED_MEMORY ...] | PCI_CFG last
 */
#ifndef AIRLOCK_FRONTEND_PCI_CONFIG_H
#define AIRLOCK_FRONTEND_PCI_CONFIG_H

#include "frontend/airlock-frontend.h"

#define PCI_SPACE 256

/* BAR0 */
#define BAR0_COMMON	 0x000
#define BAR0_COMMON_SIZE 0x040
#define BAR0_ISR	 0x040
#define BAR0_DEVICE	 0x100
#define BAR0_NOTIFY	 0x1000
#define BAR0_NOTIFY_EACH 4
#define BAR0_SIZE	 0x2000

#define PCI_COMMAND_INTX_OFF 0x400
#define PCI_STATUS_INTX	     0x08

struct pci_config {
	uint8_t bytes[PCI_SPACE];
	uint8_t writable[PCI_SPACE];
	uint8_t msix;	   /* offsets of capabilities */
	uint8_t window;	   /* PCI_CFG */
	uint64_t shm_size; /* of BAR4; 0: none */
};
/* The PCI_CFG capability as the driver set it. */
struct pci_window {
	uint8_t bar;
	uint32_t offset, length;
	uint8_t *data; /* 4 bytes */
};

void pci_config_init(struct pci_config *p, const struct airlock_options *o, unsigned int queues);
void pci_config_read(const struct pci_config *p, uint32_t offset, void *data, unsigned int len);
void pci_config_write(struct pci_config *p, uint32_t offset, const void *data, unsigned int len);
/* Does the access touch pci_cfg_data? */
bool pci_config_in_window(const struct pci_config *p, uint64_t offset, unsigned int len);
/* 0; -EINVAL a length that is not 1, 2 or 4; -ERANGE no such BAR, or past it; -EILSEQ misaligned.
 */
int pci_config_window(struct pci_config *p, struct pci_window *w);
uint16_t pci_config_u16(const struct pci_config *p, uint32_t offset);

#endif
