/*
 * The transport core: its making and its end, features, what happens by itself, and what stops and
 * starts it from outside. Runs under the transport's lock; trusts the back-end with nothing but to
 * be asked.
 */
#include "frontend/core.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "frontend/access.h"
#include "frontend/queue.h"
#include "frontend/status.h"
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

void core_trouble(const struct core *c, const char *what, int error)
{
	if (error && c->options.ops.trouble)
		c->options.ops.trouble(c->options.opaque, what, error);
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

	if (c->regs.driver_select > 1 || core_busy(c) || (c->regs.status & STATUS_FEATURES_OK))
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
	if (core_running(c) && c->regs.queues[queue].enabled)
		c->decoder->interrupt(c, queue);
}

static void task_news(struct core *c)
{
	unsigned int events;

	task_poll(&c->task, c);
	events = task_events(&c->task);
	if ((events & TASK_LOST) && core_running(c) && c->state == CORE_READY) {
		core_trouble(c, "serve", -ECONNRESET);
		status_needs_reset(c);
	}
	if (!(events & TASK_CHANGED))
		return;
	c->regs.generation++;
	if (core_running(c))
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
			if (core_running(c))
				status_needs_reset(c);
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
		access_replay(c);
	} while (restless(c));
}

static void lifecycle_run(struct core *c, enum command_kind kind)
{
	status_command(c, kind);
	while (c->lifecycle_busy)
		task_wait(&c->task, c);
}

int core_stop(struct core *c)
{
	if (c->stopped)
		return 0;
	core_drain(c);
	c->stopped = true;
	if (core_running(c))
		lifecycle_run(c, COMMAND_STOP);
	return 0;
}

int core_start(struct core *c)
{
	if (!c->stopped)
		return 0;
	if (core_running(c) && !(c->regs.status & STATUS_NEEDS_RESET))
		lifecycle_run(c, COMMAND_START);
	c->stopped = false;
	access_replay(c);
	return 0;
}

void core_reset(struct core *c)
{
	core_drain(c);
	lifecycle_run(c, COMMAND_RESET);
	status_reset(c);
	c->decoder->power_on(c);
}

void core_restored(struct core *c, const struct core_regs *regs, const uint32_t *bases)
{
	status_reset(c);
	c->regs = *regs;
	for (unsigned int i = 0; i < c->nqueues; i++)
		c->queues[i].base = bases[i];
	status_doorbells(c, core_running(c));
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
	status_regs_reset(c);
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
