/*
 * A stopped transport as bytes, and back. Little endian, of a fixed layout with a version; nothing
 * in it is trusted: everything is checked against the transport that shall become it before
 * anything changes. Under the transport's lock.
 */
#ifndef AIRLOCK_FRONTEND_STATE_H
#define AIRLOCK_FRONTEND_STATE_H

#include "frontend/core.h"
#include "frontend/pci.h"

/* pci: NULL for virtio-mmio. Bytes written; -ENOSPC. */
ssize_t state_save(const struct core *c, const struct pci *pci, void *state, size_t room);
/* -EINVAL: not a state, or one that contradicts itself; -ENOTSUP: of another bus, with other
 * queues, or with features that this back-end does not offer. */
int state_restore(struct core *c, struct pci *pci, const void *state, size_t len);

#endif
