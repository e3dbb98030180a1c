/*
 * STATUS and the states of the device behind it (docs/transport.md, rows 1 to 14): which write
 * begins a transition, what is asked of the task, and what its answer shows. Under the transport's
 * lock.
 */
#ifndef AIRLOCK_FRONTEND_STATUS_H
#define AIRLOCK_FRONTEND_STATUS_H

#include "frontend/core.h"

/* The driver's write: 0, or 1: it completes with the state. */
int status_write(struct core *c, uint8_t value, struct airlock_access *a);
/* A device that ran, or was to, does not any more: the driver must reset it, and is told. */
void status_needs_reset(struct core *c);
/* The registers alone, as after reset. */
void status_regs_reset(struct core *c);
/* These, doorbells and the line. */
void status_reset(struct core *c);
/* Tells the owner where doorbells are worth polling. */
void status_doorbells(struct core *c, bool on);
/* ENABLE, DISABLE, STOP, START, RESET or CONNECT to the task, one at a time. */
void status_command(struct core *c, enum command_kind kind);

#endif
