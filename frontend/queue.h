/*
 * The queues' registers: what writing them does. What does not fit the state is ignored, as the
 * specification leaves it undefined. Functions without an index are of the queue that is selected.
 * Under the transport's lock.
 */
#ifndef AIRLOCK_FRONTEND_QUEUE_H
#define AIRLOCK_FRONTEND_QUEUE_H

#include "frontend/core.h"

struct queue_regs queue_initial(const struct core *c); /* as after reset */
uint16_t queue_size_max(const struct core *c);

struct queue_regs *queue_selected(struct core *c); /* NULL where there is none */
bool queue_writable(struct core *c);		   /* may its registers change now? */
void queue_set_size(struct core *c, uint32_t value);
void queue_enable(struct core *c);
int queue_disable(struct core *c, struct airlock_access *a); /* mmio: ready = 0; 0 or 1 */
void queue_reset(struct core *c);			     /* RING_RESET */
bool queue_resetting(struct core *c);

void queue_notify(struct core *c, unsigned int queue);
/* The eventfd of `queue` may have changed; or of every queue with `vector`. */
void queue_reroute(struct core *c, unsigned int queue);
void queue_reroute_vector(struct core *c, unsigned int vector);

/* Where a ring begins, as the wire has it. */
uint32_t queue_base_first(const struct core *c);
/* For a command, which owns `call` then. */
struct client_queue queue_setup(struct core *c, unsigned int queue, uint32_t base);

#endif
