/*
 * What passes between a device and its broker. Runs in the control thread; trusts the broker, and
 * gives it only numbers within the bounds of the channel's table.
 */
#include "device/orders.h"

#include "lib/clock.h"

#define EVENTS_A_SECOND 50

void orders_init(struct orders *o, int sock)
{
	*o = (struct orders){ .sock = sock, .phase = PHASE_WAITING };
}

void orders_say(struct orders *o, struct channel_msg *msg)
{
	if (o->sock >= 0)
		channel_send(o->sock, msg, NULL, 0);
}

int orders_ready(struct orders *o, const struct channel_ready *ready)
{
	struct channel_msg msg = { .type = CHANNEL_READY, .ready = *ready };

	return o->sock < 0 ? 0 : channel_send(o->sock, &msg, NULL, 0);
}

int orders_next(struct orders *o, struct channel_msg *msg, int fds[CHANNEL_FDS_MAX], size_t *nfds)
{
	int rc;

	*nfds = CHANNEL_FDS_MAX;
	rc = channel_recv(o->sock, CHANNEL_DEVICE, o->phase, msg, fds, nfds);
	if (rc > 0 && msg->type == CHANNEL_SERVE)
		o->phase = PHASE_SERVING;
	return rc;
}

static void event_send(struct orders *o, enum event_code code, int64_t a, int64_t b)
{
	struct channel_msg msg = { .type = CHANNEL_EVENT,
				   .event = { .code = code, .a = a, .b = b } };

	orders_say(o, &msg);
}

void orders_event(struct orders *o, enum event_code code, int64_t a, int64_t b)
{
	int64_t second = clock_ms() / 1000;
	uint32_t *left;
	bool debugging;

	if (second != o->events_second) {
		if (o->events_lost)
			event_send(o, EVENT_EVENTS_LOST, o->events_lost, 0);
		o->events_second = second;
		o->events_left = o->debug_left = EVENTS_A_SECOND;
		o->events_lost = 0;
	}
	/* What hardly anybody looks at must not take the place of what somebody has to know. */
	debugging = event_level(code) == LOG_DEBUG;
	left = debugging ? &o->debug_left : &o->events_left;
	if (!*left) {
		o->events_lost += !debugging;
		return;
	}
	--*left;
	event_send(o, code, a, b);
}

int orders_queue(struct orders *o, unsigned int pair, bool attach)
{
	struct channel_msg msg = { .type = CHANNEL_QUEUE,
				   .queue = { .pair = pair, .attach = attach } };

	return o->sock < 0 ? 0 : channel_send(o->sock, &msg, NULL, 0);
}

int orders_steer(struct orders *o, bool on)
{
	struct channel_msg msg = { .type = CHANNEL_STEER, .steer = { .on = on } };

	return o->sock < 0 ? 0 : channel_send(o->sock, &msg, NULL, 0);
}
