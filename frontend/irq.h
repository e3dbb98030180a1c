/*
 * The client's interrupts: eventfds that it hands over for INTx and MSI-X. A vector's goes on to
 * the transport, which has the back-end signal it; INTx is a level here, masked by itself until the
 * client unmasks it. The server's thread, but irq_line() under the transport's lock.
 */
#ifndef AIRLOCK_FRONTEND_IRQ_H
#define AIRLOCK_FRONTEND_IRQ_H

#include "frontend/airlock-frontend.h"
#include "frontend/vfio_user.h"

enum {
	IRQ_INTX = 0,
	IRQ_MSI = 1,
	IRQ_MSIX = 2,
	IRQ_ERR = 3,
	IRQ_REQ = 4,
	IRQ_KINDS
};

struct irq {
	unsigned int vectors; /* MSI-X */
	int intx;	      /* owned; -1: none */
	bool masked, level;
};

void irq_init(struct irq *q, unsigned int vectors);
/* -EINVAL: no such index. */
int irq_info(const struct irq *q, struct vfu_irq_info *info);
/* A SET_IRQS of `len` payload bytes; takes the descriptors it keeps from fds, leaving -1. */
int irq_set(struct irq *q, struct airlock_transport *t, const struct vfu_irq_set *set, size_t len,
	    int *fds, size_t nfds);
void irq_line(struct irq *q, bool level);
void irq_clear(struct irq *q, struct airlock_transport *t);

#endif
