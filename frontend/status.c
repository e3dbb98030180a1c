/*
 * STATUS, the states behind it, and the commands that take the device from one to the next. Runs
 * under the transport's lock; trusts neither the driver, which writes STATUS when it likes, nor the
 * back-end, which may refuse, hang or vanish at every step.
 *
 *                 DRIVER_OK 0->1                      started
 *   +--> READY ------------------> ENABLING ---------------------------> READY, DRIVER_OK shown
 *   |      |                          |   \  not started
 *   |      | STATUS = 0, running      |    +---------------------------> READY, reset but for
 *   |      v                          | STATUS = 0: pending reset               DEVICE_NEEDS_RESET
 *   |   DISABLING <-------------------+ (either outcome)
 *   |      |  stopped and reset, or gone
 *   +------+  STATUS 0
 *
 * A driver that can be kept waiting (AIRLOCK_DEFER) has its STATUS write completed with the state;
 * until then its other register accesses queue up behind it and are replayed in order. One that
 * cannot (AIRLOCK_PEND) goes on at once, and the table below says what its writes do meanwhile.
 */
#include "frontend/status.h"

#include <assert.h>

#include "frontend/access.h"
#include "frontend/queue.h"
#include "lib/fd.h"
#include "lib/util.h"
#include "lib/virtio.h"

enum event {
	BITS,	   /* STATUS written: not 0, no new DRIVER_OK */
	DRIVER_OK, /* 0 -> 1 */
	ZERO_IDLE, /* STATUS = 0, the device does not run */
	ZERO,	   /* STATUS = 0, it runs */
	STARTED,   /* the task's answers */
	FAILED,
	ENDED,
	EVENTS
};
enum action {
	WRONG,	 /* an empty cell: cannot be */
	OR,	 /* note the bits */
	ENABLE,	 /* ask the task to start; ENABLING */
	RESET,	 /* registers at once */
	DISABLE, /* ask the task to stop and reset; DISABLING */
	PEND,	 /* remember */
	SWALLOW, /* it is on its way already */
	SHOW_OK, /* READY; DRIVER_OK, or what is pending */
	SHOW_NO, /* READY; reset, DEVICE_NEEDS_RESET, or what is pending */
	SHOW_0,	 /* READY; reset */
};
/* clang-format off */
static const enum action table[CORE_STATES][EVENTS] = {
	/*                   BITS  DRIVER_OK  ZERO_IDLE  ZERO     STARTED  FAILED   ENDED */
	[CORE_READY]     = { OR,   ENABLE,    RESET,     DISABLE, WRONG,   WRONG,   WRONG },
	[CORE_ENABLING]  = { OR,   OR,        PEND,      PEND,    SHOW_OK, SHOW_NO, WRONG },
	[CORE_DISABLING] = { OR,   OR,        SWALLOW,   SWALLOW, WRONG,   WRONG,   SHOW_0 },
};
/* clang-format on */

/* ---- registers and their reset */

void status_regs_reset(struct core *c)
{
	c->regs = (struct core_regs){ .config_vector = NO_VECTOR };
	for (unsigned int i = 0; i < AIRLOCK_QUEUES_MAX; i++)
		c->regs.queues[i] = queue_initial(c);
}

void status_doorbells(struct core *c, bool on)
{
	if (c->doorbells == on)
		return;
	c->doorbells = on;
	if (c->options.ops.doorbells)
		c->options.ops.doorbells(c->options.opaque, on);
}

void status_reset(struct core *c)
{
	status_regs_reset(c);
	c->pending_reset = false;
	for (unsigned int i = 0; i < c->nqueues; i++) {
		c->queues[i].base = 0;
		fd_drain(c->queues[i].kick); /* doorbells of a device that is no more */
	}
	status_doorbells(c, false);
	c->decoder->lowered(c);
}

void status_needs_reset(struct core *c)
{
	if (c->regs.status & STATUS_NEEDS_RESET)
		return;
	c->regs.status |= STATUS_NEEDS_RESET;
	c->regs.generation++;
	if (core_running(c))
		c->decoder->interrupt(c, ALL_QUEUES);
}

/* The device was promised and did not start. All is reset, and the driver is told where it asked
 * to be told, since its status bits are gone. */
static void show_failure(struct core *c)
{
	uint16_t vector = c->regs.config_vector;

	status_reset(c);
	c->regs.status = STATUS_NEEDS_RESET;
	c->regs.generation = 1;
	c->regs.config_vector = vector;
	c->decoder->interrupt(c, ALL_QUEUES);
	c->regs.config_vector = NO_VECTOR;
}

static void act(struct core *c, enum event event, uint8_t bits)
{
	enum action action = table[c->state][event];

	/* The driver never clears a bit, nor sets the device's own. */
	bits &= (uint8_t)~STATUS_NEEDS_RESET;
	switch (action) {
	case OR:
		c->regs.status |= bits & (uint8_t)~STATUS_DRIVER_OK_BIT;
		break;
	case ENABLE:
		c->regs.status |= bits & (uint8_t)~STATUS_DRIVER_OK_BIT;
		status_doorbells(c, true);
		c->state = CORE_ENABLING;
		status_command(c, COMMAND_ENABLE);
		break;
	case DISABLE:
		status_doorbells(c, false);
		c->state = CORE_DISABLING;
		status_command(c, COMMAND_DISABLE);
		break;
	case PEND:
		c->pending_reset = true;
		break;
	case RESET:
		status_reset(c);
		break;
	case SHOW_OK:
	case SHOW_NO:
		c->state = CORE_READY;
		if (c->pending_reset)
			act(c, ZERO, 0);
		else if (action == SHOW_OK)
			c->regs.status |= STATUS_DRIVER_OK_BIT;
		else
			show_failure(c);
		break;
	case SHOW_0:
		c->state = CORE_READY;
		status_reset(c);
		break;
	case SWALLOW:
		break;
	case WRONG:
		assert(!"an answer that nobody waits for");
	}
}

/* FEATURES_OK stays off unless this transport can serve the choice: a modern one. */
static uint8_t features_checked(struct core *c, uint8_t bits)
{
	if (!(bits & STATUS_FEATURES_OK) || (c->regs.status & STATUS_FEATURES_OK))
		return bits;
	if (!(c->regs.driver_features & BIT_ULL(VIRTIO_F_VERSION_1)))
		return bits & (uint8_t)~STATUS_FEATURES_OK;
	c->regs.generation++;
	return bits;
}

int status_write(struct core *c, uint8_t value, struct airlock_access *a)
{
	bool new_ok = (value & STATUS_DRIVER_OK_BIT) && !core_running(c) &&
		      !(c->regs.status & STATUS_NEEDS_RESET);

	if (!value) {
		if (!c->regs.status && !core_busy(c))
			return 0;
		act(c, core_running(c) ? ZERO : ZERO_IDLE, 0);
	} else {
		value = features_checked(c, value);
		act(c, new_ok ? DRIVER_OK : BITS, value);
	}
	if (c->options.policy != AIRLOCK_DEFER || !core_busy(c))
		return 0;
	c->deferred = a;
	return 1;
}

/* ---- commands and their answers */

static void snapshot(struct core *c, enum command_kind kind)
{
	c->lifecycle.queues = c->snapshot;
	c->lifecycle.nqueues = 0;
	c->lifecycle.features = c->regs.driver_features & c->backend_features;
	for (unsigned int i = 0; i < c->nqueues; i++) {
		uint32_t base = kind == COMMAND_START ? c->queues[i].base : queue_base_first(c);

		if (!c->regs.queues[i].enabled)
			continue;
		if (kind == COMMAND_STOP)
			c->snapshot[c->lifecycle.nqueues++] = (struct client_queue){ .index = i };
		else
			c->snapshot[c->lifecycle.nqueues++] = queue_setup(c, i, base);
	}
}

static void lifecycle_done(struct command *command, void *owner)
{
	struct core *c = owner;

	c->lifecycle_busy = false;
	switch ((int)command->kind) {
	case COMMAND_ENABLE:
		core_trouble(c, "enable", command->result);
		act(c, command->result ? FAILED : STARTED, 0);
		break;
	case COMMAND_DISABLE:
		act(c, ENDED, 0);
		break;
	case COMMAND_STOP:
		for (unsigned int i = 0; i < command->nqueues; i++)
			c->queues[c->snapshot[i].index].base = c->snapshot[i].base;
		if (command->result)
			status_needs_reset(c);
		core_trouble(c, "stop", command->result);
		break;
	case COMMAND_START:
		core_trouble(c, "start", command->result);
		if (command->result)
			status_needs_reset(c);
		break;
	default:
		break;
	}
	if (!core_busy(c))
		access_deferred_done(c);
	access_replay(c);
}

void status_command(struct core *c, enum command_kind kind)
{
	assert(!c->lifecycle_busy);
	c->lifecycle = (struct command){ .kind = kind, .done = lifecycle_done };
	if (kind == COMMAND_ENABLE || kind == COMMAND_START || kind == COMMAND_STOP)
		snapshot(c, kind);
	c->lifecycle_busy = true;
	task_post(&c->task, &c->lifecycle);
}
