/*
 * The registers of modern virtio-pci as a decoder for the transport core, and all that a PCI device
 * keeps beside them.
 */
#ifndef AIRLOCK_FRONTEND_PCI_H
#define AIRLOCK_FRONTEND_PCI_H

#include "frontend/core.h"
#include "frontend/msix.h"
#include "frontend/pci_config.h"

struct pci {
	struct core core; /* the decoder's functions get this and find the rest */
	struct pci_config config;
	struct msix msix;
	bool line; /* INTx as last told */
};

extern const struct decoder pci_decoder;

/* Before core_open(): -1 in every descriptor. After it, the number of queues is known. */
void pci_init(struct pci *p);
void pci_close(struct pci *p);
/* Takes over fd. -EINVAL: no such vector. */
int pci_vector(struct pci *p, unsigned int vector, int fd);
/* Signals it, where it has an eventfd that is not masked. */
void pci_trigger(struct pci *p, unsigned int vector);
/* Bits of the configuration space were restored: what follows from them. */
void pci_refresh(struct pci *p);

#endif
