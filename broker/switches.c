/*
 * Attaches and detaches TAP queues at a bounded rate. Runs in the broker's only thread after
 * privileges are dropped; a device that asks too often only waits longer.
 */
#include "broker/switches.h"

#include <string.h>

#include "lib/log.h"

#define SWITCH_EVERY_NS 20000000ull
#define NS_A_MS		1000000ull

/* Twice everything on and off at once: what a guest's driver needs when it loads anew. */
static unsigned burst_of(const struct tap *tap)
{
	return 4 * tap->pairs;
}

static void queue_switch(struct switches *switches, unsigned pair)
{
	struct tap *tap = switches->tap;
	int error = tap_queue_set(tap, pair, switches->wanted[pair]);

	if (!error)
		return;
	err("TAP %s: cannot %s queue %u: %s", tap->name,
	    switches->wanted[pair] ? "attach" : "detach", pair, strerror(-error));
	switches->wanted[pair] = tap->attached[pair];
}

static void steering_switch(struct switches *switches)
{
	struct tap *tap = switches->tap;
	int error = tap_steer(tap, switches->steer);

	if (!error)
		return;
	err("TAP %s: cannot switch steering: %s", tap->name, strerror(-error));
	switches->steer = tap->steered;
}

/* Is there room for one more change now? Otherwise the timer brings us back. */
static bool change_now(struct switches *switches, uint64_t now)
{
	if (bucket_take(&switches->bucket, now))
		return true;
	loop_arm(switches->loop, &switches->timer,
		 (unsigned)(bucket_wait(&switches->bucket, now) / NS_A_MS) + 1);
	return false;
}

static void switches_apply(void *arg)
{
	struct switches *switches = arg;
	uint64_t now = loop_now();

	for (unsigned i = 0; i < switches->tap->pairs; i++) {
		if (switches->wanted[i] == switches->tap->attached[i])
			continue;
		if (!change_now(switches, now))
			return;
		queue_switch(switches, i);
	}
	if (switches->steer != switches->tap->steered && change_now(switches, now))
		steering_switch(switches);
}

void switches_init(struct switches *switches, struct loop *loop, struct tap *tap)
{
	*switches = (struct switches){ .loop = loop, .tap = tap };
	switches->timer = (struct timer){ .fire = switches_apply, .arg = switches };
	bucket_fill(&switches->bucket, burst_of(tap), SWITCH_EVERY_NS, loop_now());
}

void switches_begin(struct switches *switches)
{
	switches->wanted[0] = true;
	queue_switch(switches, 0); /* ours, not at the device's expense */
}

void switches_want(struct switches *switches, unsigned pair, bool attach)
{
	switches->wanted[pair] = attach || pair == 0;
	switches_apply(switches);
}

void switches_steer(struct switches *switches, bool on)
{
	switches->steer = on;
	switches_apply(switches);
}

void switches_forget(struct switches *switches)
{
	loop_disarm(switches->loop, &switches->timer);
	memset(switches->wanted, 0, sizeof(switches->wanted));
	switches->steer = false;
}
