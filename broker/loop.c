/*
 * The broker's only wait. Runs in the broker's only thread, trusts its callers and nobody behind
 * the descriptors: it reads none of them. It wakes for events and armed timers only, so that an
 * idle broker sleeps for good.
 */
#include "broker/loop.h"

#include <errno.h>
#include <poll.h>
#include <time.h>

#include "lib/util.h"

#define MS 1000000ull
#define S  1000000000ull

uint64_t loop_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * S + (uint64_t)now.tv_nsec;
}

int loop_add(struct loop *loop, struct watch *watch)
{
	if (watch->linked)
		return 0;
	if (loop->count == LOOP_WATCHES)
		return -ENOSPC;
	loop->watches[loop->count++] = watch;
	watch->linked = true;
	return 0;
}

void loop_remove(struct loop *loop, struct watch *watch)
{
	if (!watch->linked)
		return;
	for (size_t i = 0; i < loop->count; i++)
		if (loop->watches[i] == watch)
			loop->watches[i] = NULL;
	watch->linked = false;
}

void loop_disarm(struct loop *loop, struct timer *timer)
{
	if (!timer->armed)
		return;
	for (struct timer **at = &loop->timers; *at; at = &(*at)->next) {
		if (*at == timer) {
			*at = timer->next;
			break;
		}
	}
	timer->armed = false;
}

void loop_arm(struct loop *loop, struct timer *timer, unsigned ms)
{
	struct timer **at = &loop->timers;

	loop_disarm(loop, timer);
	timer->due = loop_now() + ms * MS;
	timer->armed = true;
	while (*at && (*at)->due <= timer->due) /* the earliest first */
		at = &(*at)->next;
	timer->next = *at;
	*at = timer;
}

/* Closes the gaps that removals left. */
static void watches_compact(struct loop *loop)
{
	size_t kept = 0;

	for (size_t i = 0; i < loop->count; i++)
		if (loop->watches[i])
			loop->watches[kept++] = loop->watches[i];
	loop->count = kept;
}

/* How long ppoll may sleep: until the earliest timer, and no longer than `most`. NULL: for good. */
static struct timespec *sleep_for(const struct loop *loop, int most_ms, struct timespec *out)
{
	uint64_t now, ns = UINT64_MAX;

	if (most_ms >= 0)
		ns = (uint64_t)most_ms * MS;
	if (loop->timers) {
		now = loop_now();
		ns = min_of(ns, loop->timers->due > now ? loop->timers->due - now : 0);
	}
	if (ns == UINT64_MAX)
		return NULL;
	*out = (struct timespec){ .tv_sec = (time_t)(ns / S), .tv_nsec = (long)(ns % S) };
	return out;
}

static void timers_fire(struct loop *loop)
{
	uint64_t now = loop->timers ? loop_now() : 0;

	while (loop->timers && loop->timers->due <= now) {
		struct timer *timer = loop->timers;

		loop_disarm(loop, timer);
		timer->fire(timer->arg);
	}
}

int loop_turn(struct loop *loop, int most_ms)
{
	struct pollfd polled[LOOP_WATCHES];
	struct timespec space;
	size_t n;

	watches_compact(loop);
	n = loop->count;
	for (size_t i = 0; i < n; i++)
		polled[i] = (struct pollfd){ .fd = loop->watches[i]->fd,
					     .events = loop->watches[i]->events };
	if (ppoll(polled, n, sleep_for(loop, most_ms, &space), NULL) < 0)
		return errno == EINTR ? 0 : -errno;
	for (size_t i = 0; i < n; i++)
		if (polled[i].revents && loop->watches[i])
			loop->watches[i]->ready(loop->watches[i]->arg, polled[i].revents);
	timers_fire(loop);
	return 0;
}

int loop_run(struct loop *loop)
{
	int error = 0;

	while (!loop->stopped && !error)
		error = loop_turn(loop, -1);
	return error ? error : loop->code;
}

void loop_stop(struct loop *loop, int code)
{
	if (loop->stopped)
		return;
	loop->stopped = true;
	loop->code = code;
}
