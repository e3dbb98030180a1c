/*
 * The thread that moves a pair's frames. Runs confined to its own filter: reads and writes on
 * its TAP queue and on event descriptors, ppoll. Trusts the control thread's
 * commands, and nothing that guest or front-end can reach: neither the rings nor the event
 * descriptors.
 */
#include "device/worker.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "device/guest.h"
#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/util.h"
#include "seccomp/install.h"

#define WORKER_STACK (64 * 1024)
/* A ring without a kick descriptor is looked at this often. */
#define POLLING_NS 50000
/* A queue that the broker has not attached yet, or whose interface is gone, reports an error for as
 * long as that lasts, and nothing wakes a poller when it ends: it is looked at again after a pause
 * that doubles. */
#define TAP_PAUSE_MIN_NS 250000
#define TAP_PAUSE_MAX_NS 256000000

/* The front-end's descriptor may be saturated or made blocking behind our back: ask before the
 * write, so that only a race (and then the broker's watchdog) is left. */
static void event_signal(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	struct timespec now = { 0 };

	if (fd >= 0 && ppoll(&p, 1, &now, NULL) > 0 && (p.revents & POLLOUT))
		fd_signal(fd);
}

void queue_flush(struct queue *q)
{
	bool interrupt = ring_publish(&q->ring);

	if (q->dirty)
		event_signal(q->fds.log);
	if (!interrupt || (q->fds.call < 0 && q->inband < 0))
		return;
	if (q->fds.call >= 0) {
		event_signal(q->fds.call);
	} else {
		/* Release: pairs with the acquire in lifecycle_call_wanted(). */
		atomic_store_explicit(&q->wanted_call, true, memory_order_release);
		fd_signal(q->inband);
	}
	stat_add(q->stats.calls, 1);
}

/* The guest's ring stops for good until it is set up anew; the other ring goes on. */
static void queue_break(struct worker *w, unsigned int which, int error)
{
	struct queue *q = &w->pair.queues[which];

	q->running = q->stalled = false;
	/* So that a front-end that starts it again is told the first chain that was not used. */
	if (which == PAIR_RX)
		net_rx_release(&w->pair);
	else
		coalesce_release(&w->pair);
	stat_add(q->stats.breaks, 1);
	event_signal(q->fds.err);
	/* Release: pairs with the acquire in lifecycle.c, which may close the descriptors after it.
	 */
	atomic_store_explicit(&w->broken[which], error, memory_order_release);
	fd_signal(w->box.answer_fd);
}

/* A translation is missing: the control thread is told once, and the ring waits until translations
 * change; or, when the front-end has said that there is none, it breaks. */
static void queue_miss(struct worker *w, unsigned int which)
{
	struct queue *q = &w->pair.queues[which];
	uint64_t miss = q->ring.miss;

	/* Acquire: pairs with the release in lifecycle_refuse(). */
	if (atomic_exchange_explicit(&q->refused, 0, memory_order_acquire) == miss) {
		queue_break(w, which, -EACCES);
		return;
	}
	if (q->miss_told == miss)
		return;
	q->miss_told = miss;
	/* Release: pairs with the acquire in lifecycle_miss(). */
	atomic_store_explicit(&q->missed, miss, memory_order_release);
	fd_signal(w->box.answer_fd);
}

/* The ring starts, or goes on, where its areas are now; as soon as they are anywhere. */
static void queue_map(struct worker *w, unsigned int which)
{
	struct queue *q = &w->pair.queues[which];
	int rc = ring_map(&q->ring);

	/* What was missing until now is asked for again if it still is. */
	q->miss_told = 0;
	atomic_store_explicit(&q->missed, 0, memory_order_relaxed);
	atomic_store_explicit(&q->refused, 0, memory_order_relaxed);
	q->running = !rc;
	q->stalled = rc == -EAGAIN;
	if (q->stalled)
		queue_miss(w, which);
	else if (rc)
		queue_break(w, which, -ESTALE); /* its areas are the front-end's to map */
}

static void pair_restart(struct pair *p, unsigned int which)
{
	if (which == PAIR_TX) {
		p->tx_blocked = false;
		return;
	}
	p->rx_starved = false;
	p->rx.slots = 0; /* nothing of an earlier ring is left to give back */
	net_rx_release(p);
}

static void queue_update(struct queue *q, const struct worker_command *c, int answer_fd)
{
	/* What was signalled on another descriptor may have been lost with it, and with event
	 * indices there is no second interrupt for the same buffers: one too many harms nobody. */
	if (q->fds.call != c->fds.call && !ring_fresh(&q->ring))
		event_signal(c->fds.call);
	q->fds = c->fds;
	q->enabled = c->enabled;
	q->inband = c->inband_call ? answer_fd : -1;
	q->inband_kick = c->inband_kick;
	q->dirty = c->dirty;
	q->ring.log = c->log[c->which];
}

static void do_start(struct worker *w, struct worker_command *c)
{
	struct pair *p = &w->pair;
	struct queue *q = &p->queues[c->which];

	/* A frame held for a driver with other offloads would come with a header it cannot read. */
	if ((p->features ^ c->features) & ~BIT_ULL(VU_F_LOG_ALL))
		p->rx.held_len = 0;
	p->features = c->features;
	p->hdr_len = net_hdr_len(c->features);
	pair_restart(p, c->which);
	ring_init(&q->ring, &c->config[c->which], c->mem);
	queue_update(q, c, w->box.answer_fd);
	q->kick_dead = false;
	queue_map(w, c->which);
	c->result = 0;
}

static void do_stop(struct worker *w, struct worker_command *c)
{
	struct queue *q = &w->pair.queues[c->which];

	if (q->running) {
		if (c->which == PAIR_RX)
			net_rx_release(&w->pair);
		queue_flush(q);
	}
	q->running = q->stalled = false;
	atomic_store_explicit(&q->missed, 0, memory_order_relaxed);
	q->fds = (struct queue_fds){ -1, -1, -1, -1 };
	c->base = ring_base(&q->ring);
	c->result = 0;
}

static void do_update(struct worker *w, struct worker_command *c)
{
	struct queue *q = &w->pair.queues[c->which];

	if (q->fds.kick != c->fds.kick)
		q->kick_dead = false;
	queue_update(q, c, w->box.answer_fd);
	c->result = 0;
}

static void do_memory(struct worker *w, struct worker_command *c)
{
	for (unsigned int which = 0; which < 2; which++) {
		struct queue *q = &w->pair.queues[which];

		if (!q->running && !q->stalled)
			continue;
		if (which == PAIR_RX)
			net_rx_release(&w->pair);
		ring_move(&q->ring, &c->config[which], c->mem);
		q->ring.log = c->log[which];
		queue_map(w, which);
	}
	c->result = 0;
}

static void do_announce(struct worker *w, struct worker_command *c)
{
	net_tx_announce(&w->pair, c->mac);
	c->result = 0;
}

/* The gathered chains belong to a ring that may be unreadable: they are only counted, never looked
 * at. */
static void command_abort(struct worker *w)
{
	struct worker_command *c = &w->command;
	struct queue *q = &w->pair.queues[c->which];

	for (unsigned int which = 0; which < 2; which++) {
		struct queue *any = &w->pair.queues[which];

		/* Of another memory map, the one that did not follow may be on pages that go. */
		if ((any->running || any->stalled) && (any == q || c->order == WORKER_MEMORY))
			queue_break(w, which, -ESTALE);
	}
	q->running = false;
	c->base = ring_base(&q->ring);
	c->result = -ESTALE;
	mailbox_answer(&w->box);
}

bool worker_obey(struct worker *w)
{
	static void (*const orders[])(struct worker *, struct worker_command *) = {
		[WORKER_START] = do_start,	 [WORKER_STOP] = do_stop,
		[WORKER_UPDATE] = do_update,	 [WORKER_MEMORY] = do_memory,
		[WORKER_ANNOUNCE] = do_announce,
	};

	if (!mailbox_take(&w->box))
		return false;
	memory_guard->mem = w->command.order == WORKER_STOP
				    ? w->pair.queues[w->command.which].ring.mem
				    : w->command.mem;
	memory_guard->dirty =
		w->command.dirty ? w->command.dirty : w->command.log[w->command.which].dirty;
	if (memory_guard_caught()) {
		memory_guard->mem = NULL;
		command_abort(w);
		return false;
	}
	orders[w->command.order](w, &w->command);
	memory_guard->mem = NULL;
	memory_guard->dirty = NULL;
	mailbox_answer(&w->box);
	return true;
}

bool worker_turn(struct worker *w, unsigned int which, int (*run)(struct pair *))
{
	struct queue *q = &w->pair.queues[which];
	int rc;

	if (q->stalled)
		queue_miss(w, which);
	if (!q->running)
		return false;
	q->ring.miss = 0;
	memory_guard->mem = q->ring.mem;
	memory_guard->dirty = q->dirty ? q->dirty : q->ring.log.dirty;
	if (memory_guard_caught())
		rc = -ESTALE;
	else
		rc = run(&w->pair);
	memory_guard->mem = NULL;
	memory_guard->dirty = NULL;
	if (rc < 0)
		queue_break(w, which, rc);
	else if (q->ring.miss)
		queue_miss(w, which);
	return rc > 0;
}

void worker_kicked(struct worker *w, unsigned int which, short revents)
{
	struct queue *q = &w->pair.queues[which];

	if (!revents)
		return;
	stat_add(q->stats.kicks, 1);
	if (!(revents & POLLIN) || fd_drain(q->fds.kick)) {
		q->kick_dead = true;
		queue_break(w, which, -EBADF);
	}
}

int worker_kick_fd(const struct worker *w, unsigned int which)
{
	const struct queue *q = &w->pair.queues[which];

	return q->running && !q->kick_dead ? q->fds.kick : -1;
}

/* A disabled transmit ring discards what the guest sends, and must look for it too. */
static bool polling(const struct worker *w, unsigned int which)
{
	const struct queue *q = &w->pair.queues[which];

	return q->running && q->fds.kick < 0 && !q->inband_kick && (q->enabled || which == PAIR_TX);
}

static short tap_events(const struct pair *p)
{
	const struct queue *rx = &p->queues[PAIR_RX];
	short events = 0;

	if (rx->running && rx->enabled && !p->rx_starved)
		events |= POLLIN;
	if (p->queues[PAIR_TX].running && p->tx_blocked)
		events |= POLLOUT;
	return events;
}

static void tap_look(struct pair *p, short revents)
{
	p->tap_away = (revents & (POLLERR | POLLHUP | POLLNVAL)) && !(revents & (POLLIN | POLLOUT));
	if (revents & POLLOUT)
		p->tx_blocked = false;
	if (!p->tap_away)
		p->tap_pause = 0;
	else
		p->tap_pause = p->tap_pause ? min_of(2 * p->tap_pause, TAP_PAUSE_MAX_NS)
					    : TAP_PAUSE_MIN_NS;
}

/* Waits for something to do; with `busy` only looks whether the control thread or the other ring
 * wants something. */
static void worker_wait(struct worker *w, bool busy)
{
	struct pair *p = &w->pair;
	bool spin = polling(w, PAIR_RX) || polling(w, PAIR_TX);
	short events = tap_events(p);
	bool retry = events && p->tap_away;
	struct timespec wait = { .tv_nsec = busy    ? 0
					    : spin  ? POLLING_NS
					    : retry ? max_of(p->tap_pause, TAP_PAUSE_MIN_NS)
						    : 0 };
	struct pollfd fds[] = {
		{ .fd = w->box.command_fd, .events = POLLIN },
		{ .fd = worker_kick_fd(w, PAIR_RX), .events = POLLIN },
		{ .fd = worker_kick_fd(w, PAIR_TX), .events = POLLIN },
		{ .fd = events && !retry ? p->tap : -1, .events = events },
	};

	p->tap_away = false;
	if (ppoll(fds, ARRAY_SIZE(fds), busy || spin || retry ? &wait : NULL, NULL) <= 0)
		return;
	worker_kicked(w, PAIR_RX, fds[1].revents);
	worker_kicked(w, PAIR_TX, fds[2].revents);
	if (fds[3].revents)
		tap_look(p, fds[3].revents);
	if (fds[0].revents)
		worker_obey(w);
}

/* Is it too soon to sleep? After work frames are mostly followed by others, and neither the
 * driver's notification nor our wake-up is needed for those that come while we look. The turn
 * before sleep asks for notifications again. */
static bool worker_watches(struct worker *w)
{
	struct pair *p = &w->pair;
	uint64_t turns = p->queues[PAIR_RX].stats.batches + p->queues[PAIR_TX].stats.batches;
	bool watched = p->watched;
	int64_t now;

	if (!w->poll_ns)
		return false;
	now = clock_ns();
	if (turns != w->turns)
		w->poll_end = now + w->poll_ns;
	w->turns = turns;
	p->watched = now < w->poll_end;
	return watched || p->watched;
}

static int worker_settle(const struct worker *w)
{
	cpu_set_t set;

	if (w->cpu < 0)
		return 0;
	CPU_ZERO(&set);
	CPU_SET(w->cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) < 0 ? -errno : 0;
}

static void *worker_main(void *arg)
{
	static _Thread_local struct memory_guard guard;
	struct worker *w = arg;
	int rc = worker_settle(w);

	if (!rc && w->filter)
		rc = install_set(w->filter, w->filter_len);
	memory_guard = &guard;
	/* Release: pairs with the acquire of the control thread, which serves only once all are
	 * sealed. */
	atomic_store_explicit(&w->sealed, rc ? rc : 1, memory_order_release);
	fd_signal(w->box.answer_fd);
	for (bool busy = false;;) {
		worker_wait(w, busy);
		busy = worker_turn(w, PAIR_RX, net_rx_run);
		busy |= worker_turn(w, PAIR_TX, net_tx_run);
		busy |= worker_watches(w);
	}
	return NULL;
}

int worker_init(struct worker *w, unsigned int index, int answer_fd)
{
	w->index = index;
	w->pair.tap = -1;
	for (unsigned int i = 0; i < 2; i++)
		w->pair.queues[i].fds = (struct queue_fds){ -1, -1, -1, -1 };
	return mailbox_init(&w->box, answer_fd);
}

int worker_start(struct worker *w, unsigned int index, int answer_fd)
{
	pthread_attr_t attr;
	int rc = worker_init(w, index, answer_fd);

	if (rc)
		return rc;
	pthread_attr_init(&attr);
#ifndef AIRLOCK_SANITIZE /* sanitizers need a larger one of their own choice */
	pthread_attr_setstacksize(&attr, WORKER_STACK);
#endif
	rc = pthread_create(&w->thread, &attr, worker_main, w);
	pthread_attr_destroy(&attr);
	if (rc)
		mailbox_close(&w->box);
	return -rc;
}

int worker_post(struct worker *w)
{
	return mailbox_post(&w->box);
}
