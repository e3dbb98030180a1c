/*
 * What the registers of a queue do, and a queue that starts, stops or is rerouted alone while the
 * device runs. Runs under the transport's lock; trusts no index and no size of the driver's.
 */
#include "frontend/queue.h"

#include <fcntl.h>

#include "frontend/access.h"
#include "frontend/status.h"
#include "lib/fd.h"
#include "lib/util.h"
#include "lib/virtio.h"

struct queue_regs queue_initial(const struct core *c)
{
	return (struct queue_regs){ .size = queue_size_max(c), .vector = NO_VECTOR };
}

struct queue_regs *queue_selected(struct core *c)
{
	return c->regs.queue_select < c->nqueues ? &c->regs.queues[c->regs.queue_select] : NULL;
}

uint16_t queue_size_max(const struct core *c)
{
	return c->options.queue_size;
}

static bool has(const struct core *c, unsigned int feature)
{
	return c->regs.driver_features & BIT_ULL(feature);
}

/* While the device starts, runs or stops, a queue's registers are its own; one that was stopped
 * alone may be set up again. */
bool queue_writable(struct core *c)
{
	const struct queue_regs *q = queue_selected(c);

	if (!q || core_busy(c))
		return false;
	if (!core_running(c))
		return true;
	return !q->enabled && !c->queues[c->regs.queue_select].changing;
}

void queue_set_size(struct core *c, uint32_t value)
{
	if (!queue_writable(c) || !value || value > queue_size_max(c))
		return;
	if (!is_power_of_two(value) && !has(c, FEATURE_RING_PACKED))
		return;
	queue_selected(c)->size = (uint16_t)value;
}

static int call_of(struct core *c, unsigned int queue)
{
	int route = c->decoder->route(c, queue);

	/* A copy: the original may be closed while the command waits its turn. */
	return fcntl(route < 0 ? c->queues[queue].call : route, F_DUPFD_CLOEXEC, 0);
}

/* Where a ring begins: packed, both of its wrap counters are 1 (2.8.1). */
uint32_t queue_base_first(const struct core *c)
{
	return c->regs.driver_features & BIT_ULL(FEATURE_RING_PACKED) ? 0x80008000 : 0;
}

struct client_queue queue_setup(struct core *c, unsigned int queue, uint32_t base)
{
	const struct queue_regs *q = &c->regs.queues[queue];

	return (struct client_queue){ .index = queue,
				      .size = q->size,
				      .base = base,
				      .desc = q->desc,
				      .driver = q->driver,
				      .device = q->device,
				      .kick = c->queues[queue].kick,
				      .call = call_of(c, queue),
				      .err = c->err };
}

static void queue_done(struct command *command, void *owner)
{
	struct core *c = owner;
	unsigned int i = command->queue.index;
	struct core_queue *q = &c->queues[i];
	struct airlock_access *waits = q->waits;

	q->changing = q->stopping = false;
	q->waits = NULL;
	if (command->kind == COMMAND_QUEUE_STOP && core_running(c)) {
		c->regs.queues[i].enabled = false;
		if (q->forget)
			c->regs.queues[i] = queue_initial(c);
		fd_drain(q->kick);
	}
	core_trouble(c, "change a queue", command->result);
	if (command->kind == COMMAND_QUEUE_START && command->result && core_running(c))
		status_needs_reset(c);
	if (q->stale)
		queue_reroute(c, i);
	if (waits)
		access_complete(c, waits);
}

static void queue_post(struct core *c, enum command_kind kind)
{
	unsigned int i = c->regs.queue_select;
	struct core_queue *q = &c->queues[i];

	q->changing = true;
	q->stopping = kind == COMMAND_QUEUE_STOP;
	q->command = (struct command){ .kind = kind, .done = queue_done };
	if (kind == COMMAND_QUEUE_START)
		q->command.queue = queue_setup(c, i, queue_base_first(c));
	else
		q->command.queue.index = i;
	task_post(&c->task, &q->command);
}

void queue_enable(struct core *c)
{
	if (!queue_writable(c) || queue_selected(c)->enabled)
		return;
	/* Without RING_RESET a queue cannot join later: it waits for the next DRIVER_OK. */
	if (core_running(c) && !has(c, FEATURE_RING_RESET) && c->options.bus == AIRLOCK_PCI)
		return;
	queue_selected(c)->enabled = true;
	if (core_running(c))
		queue_post(c, COMMAND_QUEUE_START);
}

static bool queue_stop(struct core *c, bool forget)
{
	struct queue_regs *regs = queue_selected(c);
	struct core_queue *q = regs ? &c->queues[c->regs.queue_select] : NULL;

	if (!regs || core_busy(c) || q->changing)
		return false;
	if (core_running(c) && regs->enabled) {
		q->forget = forget;
		queue_post(c, COMMAND_QUEUE_STOP);
		return true;
	}
	regs->enabled = false;
	if (forget)
		*regs = queue_initial(c);
	return false;
}

int queue_disable(struct core *c, struct airlock_access *a)
{
	if (!queue_stop(c, false) || c->options.policy != AIRLOCK_DEFER)
		return 0;
	c->queues[c->regs.queue_select].waits = a;
	return 1;
}

void queue_reset(struct core *c)
{
	if (has(c, FEATURE_RING_RESET))
		queue_stop(c, true);
}

bool queue_resetting(struct core *c)
{
	return queue_selected(c) && c->queues[c->regs.queue_select].stopping;
}

void queue_notify(struct core *c, unsigned int queue)
{
	if (queue < c->nqueues)
		fd_signal(c->queues[queue].kick);
}

static void reroute_done(struct command *command, void *owner)
{
	struct core *c = owner;
	unsigned int i = command->queue.index;

	c->queues[i].rerouting = false;
	if (c->queues[i].stale)
		queue_reroute(c, i);
	else if (core_running(c) && !command->result)
		/* What was signalled to the old one while it was replaced may be lost. */
		c->decoder->interrupt(c, i);
}

void queue_reroute(struct core *c, unsigned int queue)
{
	struct core_queue *q = &c->queues[queue];

	q->stale = false;
	if (!c->regs.queues[queue].enabled || !(core_running(c) || c->state == CORE_ENABLING))
		return;
	if (q->rerouting || q->changing) {
		q->stale = true;
		return;
	}
	q->rerouting = true;
	q->reroute = (struct command){ .kind = COMMAND_QUEUE_CALL,
				       .done = reroute_done,
				       .queue = { .index = queue, .call = call_of(c, queue) } };
	task_post(&c->task, &q->reroute);
}

void queue_reroute_vector(struct core *c, unsigned int vector)
{
	for (unsigned int i = 0; i < c->nqueues; i++)
		if (c->regs.queues[i].vector == vector)
			queue_reroute(c, i);
}
