/*
 * What the broker waits for: descriptors and moments, in one ppoll(2). Watches and timers are
 * embedded in their owners and linked in while they are wanted; nothing is allocated. One thread.
 * A callback may add, remove, arm and disarm anything, itself included; a watch that was removed
 * during a turn is not called in it any more.
 */
#ifndef AIRLOCK_BROKER_LOOP_H
#define AIRLOCK_BROKER_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOOP_WATCHES 64

struct watch {
	int fd;	      /* borrowed */
	short events; /* POLLIN and the like; may change at any time, counts from the next turn */
	void (*ready)(void *arg, short revents);
	void *arg;
	bool linked; /* the loop's own */
};

struct timer {
	void (*fire)(void *arg);
	void *arg;
	uint64_t due; /* ns of CLOCK_MONOTONIC; the loop's own, as are the next two */
	bool armed;
	struct timer *next;
};

struct loop {
	struct watch *watches[LOOP_WATCHES]; /* NULL where one was removed during a turn */
	size_t count;
	struct timer *timers;
	bool stopped;
	int code;
};

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t loop_now(void);

/* 0, or -ENOSPC beyond LOOP_WATCHES. Adding twice and removing twice are fine. */
int loop_add(struct loop *loop, struct watch *watch);
void loop_remove(struct loop *loop, struct watch *watch);

/* Fires once, `ms` from now; an armed timer is set anew. */
void loop_arm(struct loop *loop, struct timer *timer, unsigned ms);
void loop_disarm(struct loop *loop, struct timer *timer);

/* Waits for one round of events, at most `most_ms` (-1: as long as it takes), and calls whom they
 * concern. 0, or -errno of ppoll. */
int loop_turn(struct loop *loop, int most_ms);
/* Turns until loop_stop(); returns its code, or -errno. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop, int code);

#endif
