/*
 * The transport core. Runs under the transport's lock; trusts neither the driver, whose accesses
 * come in any order, nor the back-end, which may refuse, hang or vanish at every step.
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
#include "frontend/core.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/util.h"
#include "lib/virtio.h"

#define DEADLINE_MS 3000

/* The back-end's bits that are between it and us, or that this transport does not have. */
#define HIDDEN                                                           \
	(BIT_ULL(VU_F_PROTOCOL_FEATURES) | BIT_ULL(VU_F_LOG_ALL) |       \
	 BIT_ULL(FEATURE_ACCESS_PLATFORM) | BIT_ULL(FEATURE_SR_IOV) |    \
	 BIT_ULL(FEATURE_NOTIFICATION) | BIT_ULL(FEATURE_NOTIF_CONFIG) | \
	 BIT_ULL(FEATURE_ADMIN_VQ))
/* Of the network device: these need the control queue (5.1.3.1). */
#define DEVICE_NET 1
#define NEED_CTRL_VQ                                                                             \
	(BIT_ULL(VIRTIO_NET_F_CTRL_VQ) | BIT_ULL(18) | BIT_ULL(19) | BIT_ULL(20) | BIT_ULL(21) | \
	 BIT_ULL(VIRTIO_NET_F_MQ) | BIT_ULL(23) | BIT_ULL(2) | BIT_ULL(52) | BIT_ULL(53) |       \
	 BIT_ULL(57) | BIT_ULL(60))

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

static_assert(sizeof(struct core_access) <= sizeof(((struct airlock_access *)0)->internal), "fits");

static void act(struct core *c, enum event event, uint8_t bits);
static void lifecycle_post(struct core *c, enum command_kind kind);

/* ---- accesses */

static void append(struct airlock_access ***end, struct airlock_access *a)
{
	core_access_of(a)->next = NULL;
	**end = a;
	*end = &core_access_of(a)->next;
}

static struct airlock_access *take(struct airlock_access **first, struct airlock_access ***end)
{
	struct airlock_access *a = *first;

	*first = core_access_of(a)->next;
	if (!*first)
		*end = first;
	return a;
}

void core_complete(struct core *c, struct airlock_access *a)
{
	if (c->decoder->finish)
		c->decoder->finish(c, a);
	append(&c->finished_end, a);
}

static bool busy(const struct core *c)
{
	return c->state != CORE_READY;
}

static bool stalls(const struct core *c)
{
	return c->stopped || (c->options.policy == AIRLOCK_DEFER && (busy(c) || c->deferred));
}

static uint8_t config_room(const struct core *c, uint64_t offset, uint8_t len)
{
	uint64_t room = offset < c->options.config_length ? c->options.config_length - offset : 0;

	return (uint8_t)min_of(room, (uint64_t)len);
}

/* A back-end without a configuration space: the VMM's own is shown, and cannot be written. */
static int config_own(const struct core *c, const struct command *command)
{
	if (!c->options.config)
		return command->result;
	if (command->kind == COMMAND_READ_CONFIG)
		memcpy(command->bytes, ptr_add(c->options.config, command->offset), command->len);
	return 0;
}

/* What a back-end that does not answer said before: a driver that we have just interrupted for its
 * failure looks here, and takes all ones for a link that wants to be announced. */
static void config_recall(struct core *c, const struct command *command)
{
	for (unsigned int i = 0; i < command->len; i++) {
		unsigned int at = command->offset + i;

		if (!command->result) {
			c->config[at] = command->bytes[i];
			c->config_known[at] = true;
		} else {
			command->bytes[i] = c->config_known[at] ? c->config[at] : 0xff;
		}
	}
}

static void config_done(struct command *command, void *owner)
{
	struct core *c = owner;
	struct core_access *internal = container_of(command, struct core_access, command);
	struct airlock_access *a =
		container_of((uint64_t *)internal, struct airlock_access, internal[0]);

	if (command->result == -EOPNOTSUPP)
		command->result = config_own(c, command);
	a->result = command->result;
	if (command->kind == COMMAND_READ_CONFIG)
		config_recall(c, command);
	c->configs--;
	core_complete(c, a);
}

/* To the task, exactly the range that is accessed; ordered there behind what was asked before. */
static int config_post(struct core *c, struct airlock_access *a, uint64_t offset)
{
	uint8_t len = config_room(c, offset, a->len);

	if (!a->write)
		memset(a->data, 0xff, sizeof(a->data));
	if (!len)
		return 0;
	core_access_of(a)->command =
		(struct command){ .kind = a->write ? COMMAND_WRITE_CONFIG : COMMAND_READ_CONFIG,
				  .done = config_done,
				  .offset = (uint16_t)offset,
				  .len = len,
				  .bytes = a->data };
	c->configs++;
	task_post(&c->task, &core_access_of(a)->command);
	return 1;
}

static int gate(struct core *c, struct airlock_access *a)
{
	uint64_t offset;

	if (c->decoder->is_config(c, a, &offset))
		return config_post(c, a, offset);
	if (stalls(c) && !c->decoder->is_local(c, a)) {
		append(&c->stalled_end, a);
		return 1;
	}
	return c->decoder->access(c, a);
}

int core_access(struct core *c, struct airlock_access *a)
{
	int rc;

	*core_access_of(a) = (struct core_access){ 0 };
	a->result = 0;
	rc = c->decoder->translate ? c->decoder->translate(c, a) : 0;
	if (rc) {
		a->result = rc;
		memset(a->data, 0xff, sizeof(a->data));
		return 0;
	}
	rc = gate(c, a);
	if (!rc && c->decoder->finish)
		c->decoder->finish(c, a);
	return rc;
}

/* In order, until one of them makes the state busy again: the rest stays queued behind it. */
static void replay(struct core *c)
{
	while (c->stalled && !stalls(c)) {
		struct airlock_access *a = take(&c->stalled, &c->stalled_end);

		if (!gate(c, a))
			core_complete(c, a);
	}
}

static void deferred_complete(struct core *c)
{
	struct airlock_access *a = c->deferred;

	c->deferred = NULL;
	if (a)
		core_complete(c, a);
}

/* ---- registers and their reset */

static struct queue_regs queue_initial(const struct core *c)
{
	return (struct queue_regs){ .size = core_size_max(c), .vector = NO_VECTOR };
}

static void regs_reset(struct core *c)
{
	c->regs = (struct core_regs){ .config_vector = NO_VECTOR };
	for (unsigned int i = 0; i < AIRLOCK_QUEUES_MAX; i++)
		c->regs.queues[i] = queue_initial(c);
}

static void doorbells(struct core *c, bool on)
{
	if (c->doorbells == on)
		return;
	c->doorbells = on;
	if (c->options.ops.doorbells)
		c->options.ops.doorbells(c->options.opaque, on);
}

static void reset_status(struct core *c)
{
	regs_reset(c);
	c->pending_reset = false;
	for (unsigned int i = 0; i < c->nqueues; i++) {
		c->queues[i].base = 0;
		fd_drain(c->queues[i].kick); /* doorbells of a device that is no more */
	}
	doorbells(c, false);
	c->decoder->lowered(c);
}

static bool running(const struct core *c)
{
	return c->regs.status & STATUS_DRIVER_OK_BIT;
}

void core_needs_reset(struct core *c)
{
	if (c->regs.status & STATUS_NEEDS_RESET)
		return;
	c->regs.status |= STATUS_NEEDS_RESET;
	c->regs.generation++;
	if (running(c))
		c->decoder->interrupt(c, ALL_QUEUES);
}

static void trouble(const struct core *c, const char *what, int error)
{
	if (error && c->options.ops.trouble)
		c->options.ops.trouble(c->options.opaque, what, error);
}

/* The device was promised and did not start. All is reset, and the driver is told where it asked
 * to be told, since its status bits are gone. */
static void show_failure(struct core *c)
{
	uint16_t vector = c->regs.config_vector;

	reset_status(c);
	c->regs.status = STATUS_NEEDS_RESET;
	c->regs.generation = 1;
	c->regs.config_vector = vector;
	c->decoder->interrupt(c, ALL_QUEUES);
	c->regs.config_vector = NO_VECTOR;
}

/* ---- the state */

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
		doorbells(c, true);
		c->state = CORE_ENABLING;
		lifecycle_post(c, COMMAND_ENABLE);
		break;
	case DISABLE:
		doorbells(c, false);
		c->state = CORE_DISABLING;
		lifecycle_post(c, COMMAND_DISABLE);
		break;
	case PEND:
		c->pending_reset = true;
		break;
	case RESET:
		reset_status(c);
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
		reset_status(c);
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

int core_status(struct core *c, uint8_t value, struct airlock_access *a)
{
	bool new_ok = (value & STATUS_DRIVER_OK_BIT) && !running(c) &&
		      !(c->regs.status & STATUS_NEEDS_RESET);

	if (!value) {
		if (!c->regs.status && !busy(c))
			return 0;
		act(c, running(c) ? ZERO : ZERO_IDLE, 0);
	} else {
		value = features_checked(c, value);
		act(c, new_ok ? DRIVER_OK : BITS, value);
	}
	if (c->options.policy != AIRLOCK_DEFER || !busy(c))
		return 0;
	c->deferred = a;
	return 1;
}

/* ---- commands and their answers */

static int call_of(struct core *c, unsigned int queue)
{
	int route = c->decoder->route(c, queue);

	/* A copy: the original may be closed while the command waits its turn. */
	return fcntl(route < 0 ? c->queues[queue].call : route, F_DUPFD_CLOEXEC, 0);
}

/* Where a ring begins: packed, both of its wrap counters are 1 (2.8.1). */
static uint32_t base_first(const struct core *c)
{
	return c->regs.driver_features & BIT_ULL(FEATURE_RING_PACKED) ? 0x80008000 : 0;
}

static struct client_queue queue_setup(struct core *c, unsigned int i, uint32_t base)
{
	const struct queue_regs *q = &c->regs.queues[i];

	return (struct client_queue){ .index = i,
				      .size = q->size,
				      .base = base,
				      .desc = q->desc,
				      .driver = q->driver,
				      .device = q->device,
				      .kick = c->queues[i].kick,
				      .call = call_of(c, i),
				      .err = c->err };
}

static void snapshot(struct core *c, enum command_kind kind)
{
	c->lifecycle.queues = c->snapshot;
	c->lifecycle.nqueues = 0;
	c->lifecycle.features = c->regs.driver_features & c->backend_features;
	for (unsigned int i = 0; i < c->nqueues; i++) {
		uint32_t base = kind == COMMAND_START ? c->queues[i].base : base_first(c);

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
		trouble(c, "enable", command->result);
		act(c, command->result ? FAILED : STARTED, 0);
		break;
	case COMMAND_DISABLE:
		act(c, ENDED, 0);
		break;
	case COMMAND_STOP:
		for (unsigned int i = 0; i < command->nqueues; i++)
			c->queues[c->snapshot[i].index].base = c->snapshot[i].base;
		if (command->result)
			core_needs_reset(c);
		trouble(c, "stop", command->result);
		break;
	case COMMAND_START:
		trouble(c, "start", command->result);
		if (command->result)
			core_needs_reset(c);
		break;
	default:
		break;
	}
	if (!busy(c))
		deferred_complete(c);
	replay(c);
}

static void lifecycle_post(struct core *c, enum command_kind kind)
{
	assert(!c->lifecycle_busy);
	c->lifecycle = (struct command){ .kind = kind, .done = lifecycle_done };
	if (kind == COMMAND_ENABLE || kind == COMMAND_START || kind == COMMAND_STOP)
		snapshot(c, kind);
	c->lifecycle_busy = true;
	task_post(&c->task, &c->lifecycle);
}

/* ---- one queue */

struct queue_regs *core_queue(struct core *c)
{
	return c->regs.queue_select < c->nqueues ? &c->regs.queues[c->regs.queue_select] : NULL;
}

uint16_t core_size_max(const struct core *c)
{
	return c->options.queue_size;
}

static bool has(const struct core *c, unsigned int feature)
{
	return c->regs.driver_features & BIT_ULL(feature);
}

/* While the device starts, runs or stops, a queue's registers are its own; one that was stopped
 * alone may be set up again. */
bool core_queue_writable(struct core *c)
{
	const struct queue_regs *q = core_queue(c);

	if (!q || busy(c))
		return false;
	if (!running(c))
		return true;
	return !q->enabled && !c->queues[c->regs.queue_select].changing;
}

void core_queue_size(struct core *c, uint32_t value)
{
	if (!core_queue_writable(c) || !value || value > core_size_max(c))
		return;
	if (!is_power_of_two(value) && !has(c, FEATURE_RING_PACKED))
		return;
	core_queue(c)->size = (uint16_t)value;
}

static void queue_done(struct command *command, void *owner)
{
	struct core *c = owner;
	unsigned int i = command->queue.index;
	struct core_queue *q = &c->queues[i];
	struct airlock_access *waits = q->waits;

	q->changing = q->stopping = false;
	q->waits = NULL;
	if (command->kind == COMMAND_QUEUE_STOP && running(c)) {
		c->regs.queues[i].enabled = false;
		if (q->forget)
			c->regs.queues[i] = queue_initial(c);
		fd_drain(q->kick);
	}
	trouble(c, "change a queue", command->result);
	if (command->kind == COMMAND_QUEUE_START && command->result && running(c))
		core_needs_reset(c);
	if (q->stale)
		core_reroute(c, i);
	if (waits)
		core_complete(c, waits);
}

static void queue_post(struct core *c, enum command_kind kind)
{
	unsigned int i = c->regs.queue_select;
	struct core_queue *q = &c->queues[i];

	q->changing = true;
	q->stopping = kind == COMMAND_QUEUE_STOP;
	q->command = (struct command){ .kind = kind, .done = queue_done };
	if (kind == COMMAND_QUEUE_START)
		q->command.queue = queue_setup(c, i, base_first(c));
	else
		q->command.queue.index = i;
	task_post(&c->task, &q->command);
}

void core_queue_enable(struct core *c)
{
	if (!core_queue_writable(c) || core_queue(c)->enabled)
		return;
	/* Without RING_RESET a queue cannot join later: it waits for the next DRIVER_OK. */
	if (running(c) && !has(c, FEATURE_RING_RESET) && c->options.bus == AIRLOCK_PCI)
		return;
	core_queue(c)->enabled = true;
	if (running(c))
		queue_post(c, COMMAND_QUEUE_START);
}

static bool queue_stop(struct core *c, bool forget)
{
	struct queue_regs *regs = core_queue(c);
	struct core_queue *q = regs ? &c->queues[c->regs.queue_select] : NULL;

	if (!regs || busy(c) || q->changing)
		return false;
	if (running(c) && regs->enabled) {
		q->forget = forget;
		queue_post(c, COMMAND_QUEUE_STOP);
		return true;
	}
	regs->enabled = false;
	if (forget)
		*regs = queue_initial(c);
	return false;
}

int core_queue_disable(struct core *c, struct airlock_access *a)
{
	if (!queue_stop(c, false) || c->options.policy != AIRLOCK_DEFER)
		return 0;
	c->queues[c->regs.queue_select].waits = a;
	return 1;
}

void core_queue_reset(struct core *c)
{
	if (has(c, FEATURE_RING_RESET))
		queue_stop(c, true);
}

bool core_queue_resetting(struct core *c)
{
	return core_queue(c) && c->queues[c->regs.queue_select].stopping;
}

void core_notify(struct core *c, unsigned int queue)
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
		core_reroute(c, i);
	else if (running(c) && !command->result)
		/* What was signalled to the old one while it was replaced may be lost. */
		c->decoder->interrupt(c, i);
}

void core_reroute(struct core *c, unsigned int queue)
{
	struct core_queue *q = &c->queues[queue];

	q->stale = false;
	if (!c->regs.queues[queue].enabled || !(running(c) || c->state == CORE_ENABLING))
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

void core_reroute_vector(struct core *c, unsigned int vector)
{
	for (unsigned int i = 0; i < c->nqueues; i++)
		if (c->regs.queues[i].vector == vector)
			core_reroute(c, i);
}

/* ---- features */

uint32_t core_device_features(const struct core *c)
{
	if (c->regs.device_select > 1)
		return 0;
	return (uint32_t)(c->offered >> (32 * c->regs.device_select));
}

void core_driver_features(struct core *c, uint32_t value)
{
	unsigned int shift = 32 * c->regs.driver_select;
	uint64_t mask;

	if (c->regs.driver_select > 1 || busy(c) || (c->regs.status & STATUS_FEATURES_OK))
		return;
	mask = (uint64_t)UINT32_MAX << shift;
	c->regs.driver_features =
		(c->regs.driver_features & ~mask) | ((uint64_t)value << shift & c->offered);
}

static uint64_t features_offered(const struct core *c, bool has_config)
{
	uint64_t offered = (c->backend_features & ~HIDDEN) | BIT_ULL(FEATURE_RING_RESET);

	if (!has_config)
		offered |= c->options.config_features;
	if (c->options.notification_data)
		offered |= BIT_ULL(FEATURE_NOTIFICATION);
	if (c->options.device == DEVICE_NET && !c->control_queue)
		offered &= ~NEED_CTRL_VQ;
	return offered;
}

/* ---- what happens by itself */

static void calls_pass(struct core *c, unsigned int queue)
{
	fd_drain(c->queues[queue].call);
	if (running(c) && c->regs.queues[queue].enabled)
		c->decoder->interrupt(c, queue);
}

static void task_news(struct core *c)
{
	unsigned int events;

	task_poll(&c->task, c);
	events = task_events(&c->task);
	if ((events & TASK_LOST) && running(c) && c->state == CORE_READY) {
		trouble(c, "serve", -ECONNRESET);
		core_needs_reset(c);
	}
	if (!(events & TASK_CHANGED))
		return;
	c->regs.generation++;
	if (running(c))
		c->decoder->interrupt(c, ALL_QUEUES);
}

#define NEWS_TASK  (AIRLOCK_QUEUES_MAX + 0)
#define NEWS_BREAK (AIRLOCK_QUEUES_MAX + 1)

void core_poll(struct core *c)
{
	struct epoll_event news[64];
	int n = epoll_wait(c->epoll, news, ARRAY_SIZE(news), 0);

	for (int i = 0; i < n; i++) {
		if (news[i].data.u32 == NEWS_TASK)
			task_news(c);
		else if (news[i].data.u32 == NEWS_BREAK) {
			fd_drain(c->err);
			if (running(c))
				core_needs_reset(c);
		} else
			calls_pass(c, news[i].data.u32);
	}
}

/* ---- rows that wait */

static bool restless(const struct core *c)
{
	return c->task.current || c->task.first;
}

void core_drain(struct core *c)
{
	do {
		while (restless(c))
			task_wait(&c->task, c);
		replay(c);
	} while (restless(c));
}

static void lifecycle_run(struct core *c, enum command_kind kind)
{
	lifecycle_post(c, kind);
	while (c->lifecycle_busy)
		task_wait(&c->task, c);
}

int core_stop(struct core *c)
{
	if (c->stopped)
		return 0;
	core_drain(c);
	c->stopped = true;
	if (running(c))
		lifecycle_run(c, COMMAND_STOP);
	return 0;
}

int core_start(struct core *c)
{
	if (!c->stopped)
		return 0;
	if (running(c) && !(c->regs.status & STATUS_NEEDS_RESET))
		lifecycle_run(c, COMMAND_START);
	c->stopped = false;
	replay(c);
	return 0;
}

void core_reset(struct core *c)
{
	core_drain(c);
	lifecycle_run(c, COMMAND_RESET);
	reset_status(c);
	c->decoder->power_on(c);
}

void core_restored(struct core *c, const struct core_regs *regs, const uint32_t *bases)
{
	reset_status(c);
	c->regs = *regs;
	for (unsigned int i = 0; i < c->nqueues; i++)
		c->queues[i].base = bases[i];
	doorbells(c, running(c));
}

/* ---- open and close */

static int watch(struct core *c, int fd, uint32_t what)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = what };

	return epoll_ctl(c->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int event_make(int *fd)
{
	*fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return *fd < 0 ? -errno : 0;
}

unsigned int core_queues_most(const struct airlock_options *o)
{
	bool control = o->device == DEVICE_NET && o->control != AIRLOCK_CONTROL_OFF;

	return o->queues + control;
}

/* Many offer CTRL_VQ for their VMM to serve, and a driver would wait for its answer for ever. Who
 * counts its ring is likely to serve it. */
static bool control_shown(const struct core *c, uint64_t rings)
{
	if (c->options.device != DEVICE_NET ||
	    !(c->backend_features & BIT_ULL(VIRTIO_NET_F_CTRL_VQ)))
		return false;
	if (c->options.control == AIRLOCK_CONTROL_AUTO)
		return rings == c->options.queues + 1u;
	return c->options.control == AIRLOCK_CONTROL_ON;
}

static int queues_make(struct core *c)
{
	int rc = 0;

	for (unsigned int i = 0; !rc && i < core_queues_most(&c->options); i++) {
		rc = event_make(&c->queues[i].kick);
		if (!rc)
			rc = event_make(&c->queues[i].call);
		if (!rc)
			rc = watch(c, c->queues[i].call, i);
	}
	return rc;
}

static void fds_close(struct core *c)
{
	for (unsigned int i = 0; i < AIRLOCK_QUEUES_MAX; i++) {
		fd_close(&c->queues[i].kick);
		fd_close(&c->queues[i].call);
	}
	fd_close(&c->err);
	fd_close(&c->epoll);
}

/* The first connection: what the device can is known only then. */
static int learn(struct core *c)
{
	lifecycle_run(c, COMMAND_CONNECT);
	if (c->lifecycle.result)
		return c->lifecycle.result;
	c->backend_features = c->lifecycle.offered;
	c->control_queue = control_shown(c, c->lifecycle.rings);
	c->offered = features_offered(c, c->lifecycle.has_config);
	if (!(c->offered & BIT_ULL(VIRTIO_F_VERSION_1)))
		return -EPROTONOSUPPORT;
	c->nqueues = c->options.queues + c->control_queue;
	/* Some count a network device's queues in pairs. */
	if (c->lifecycle.rings &&
	    c->lifecycle.rings * (c->options.device == DEVICE_NET ? 2 : 1) < c->options.queues)
		return -ENODEV;
	return 0;
}

int core_open(struct core *c, const struct decoder *decoder)
{
	int rc;

	c->decoder = decoder;
	c->epoll = c->err = -1;
	c->stalled_end = &c->stalled;
	c->finished_end = &c->finished;
	for (unsigned int i = 0; i < AIRLOCK_QUEUES_MAX; i++)
		c->queues[i].kick = c->queues[i].call = -1;
	c->task.connect = c->options.ops.connect;
	c->task.begin = c->options.ops.thread;
	c->task.opaque = c->options.opaque;
	c->task.deadline_ms = c->options.deadline_ms ? c->options.deadline_ms : DEADLINE_MS;
	rc = task_start(&c->task);
	if (rc)
		return rc;
	c->epoll = epoll_create1(EPOLL_CLOEXEC);
	rc = c->epoll < 0 ? -errno : event_make(&c->err);
	if (!rc)
		rc = watch(c, c->err, NEWS_BREAK);
	if (!rc)
		rc = watch(c, c->task.answer_fd, NEWS_TASK);
	if (!rc)
		rc = queues_make(c);
	if (rc) {
		task_end(&c->task, c);
		fds_close(c);
	}
	return rc;
}

int core_connect(struct core *c)
{
	int rc = learn(c);

	if (rc)
		return rc;
	regs_reset(c);
	c->decoder->power_on(c);
	return 0;
}

void core_close(struct core *c)
{
	c->stopped = false;
	core_drain(c);
	task_end(&c->task, c);
	fds_close(c);
}
