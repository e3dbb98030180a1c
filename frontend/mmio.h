/* The registers of virtio-mmio as a decoder for the transport core. */
#ifndef AIRLOCK_FRONTEND_MMIO_H
#define AIRLOCK_FRONTEND_MMIO_H

#include "frontend/core.h"

#define MMIO_SIZE 4096

extern const struct decoder mmio_decoder;

#endif
