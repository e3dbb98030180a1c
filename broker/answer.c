/*
 * Status and counters as JSON. Runs in the broker's only thread on a request of the administrator;
 * trusts figures of a device only to be figures.
 */
#include "broker/answer.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/guard_page.h"
#include "lib/util.h"

/* The states of a ring as a device numbers them (lib/channel.h). */
static const char *ring_state_name(uint32_t state)
{
	static const char *const names[] = { "stopped", "waiting",  "starting",
					     "running", "stopping", "broken" };

	return state < ARRAY_SIZE(names) ? names[state] : "unknown";
}

/* Takes doc, which may be NULL. */
static char *text_of(json_t *doc)
{
	char *text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
	size_t len = text ? strlen(text) : 0;
	char *line = text ? realloc(text, len + 2) : NULL;

	json_decref(doc);
	if (!line) {
		free(text);
		return NULL;
	}
	memcpy(line + len, "\n", 2);
	return line;
}

static void transport_add(json_t *status, const struct monitor_status *s)
{
	json_t *pid = s->transport ? json_integer(s->transport) : json_null();
	const char *last = *s->transport_last_exit ? s->transport_last_exit : NULL;
	json_t *transport =
		json_pack("{s:o, s:s, s:s?}", "transport_pid", pid, "transport_phase",
			  device_state_name(s->transport_phase), "transport_last_exit", last);

	json_object_update(status, transport);
	json_decref(transport);
}

char *answer_status(const struct monitor_status *s, const char *tap, const char *socket_path)
{
	json_t *device = s->device ? json_integer(s->device) : json_null();
	json_t *status = json_pack("{s:s, s:i, s:o, s:s, s:s?, s:s, s:i, s:i, s:I, s:I, s:s?}", //
				   "version", AIRLOCK_VERSION, "pid", getpid(), "device_pid",
				   device, "phase", device_state_name(s->phase), "socket_path",
				   socket_path, "tap", tap, "queue_pairs", (int)s->pairs,
				   "active_pairs", (int)s->active_pairs, "connections",
				   (json_int_t)s->connections, "restarts", (json_int_t)s->restarts,
				   "last_exit", *s->last_exit ? s->last_exit : NULL);

	if (status && s->paired)
		transport_add(status, s);
	return text_of(status);
}

/* JSON has no unsigned 64-bit numbers; no counter that is true gets there. */
static json_t *counter(uint64_t value)
{
	return json_integer((json_int_t)min_of(value, (uint64_t)INT64_MAX));
}

/* It stands behind the pairs' rings and belongs to none. */
static bool is_control(const struct tally *tally, unsigned ring)
{
	return ring == tally->rings - 1;
}

static const char *direction(const struct tally *tally, unsigned ring)
{
	if (is_control(tally, ring))
		return "ctrl";
	return ring % 2 ? "tx" : "rx";
}

static json_t *ring_object(const struct tally *tally, unsigned ring)
{
	struct ring_stats sum = tally_sum(tally, ring);
	json_t *pair = is_control(tally, ring) ? json_null() : json_integer((int)ring / 2);
	json_t *object =
		json_pack("{s:i, s:o, s:s, s:s}", "ring", (int)ring, "pair", pair, "direction",
			  direction(tally, ring), "state", ring_state_name(tally->state[ring]));

#define SET(name, help) json_object_set_new(object, #name, counter(sum.name));
	RING_COUNTERS(SET)
#undef SET
	return object;
}

static json_t *guard_object(const struct guard_page *guard)
{
	json_t *object = json_object();

	json_object_set_new(object, "dropped_mac",
			    counter(__atomic_load_n(&guard->dropped_mac, __ATOMIC_RELAXED)));
	json_object_set_new(object, "dropped_arp",
			    counter(__atomic_load_n(&guard->dropped_arp, __ATOMIC_RELAXED)));
	json_object_set_new(object, "dropped_nd",
			    counter(__atomic_load_n(&guard->dropped_nd, __ATOMIC_RELAXED)));
	return object;
}

char *answer_stats(const struct tally *tally, const char *tap, const struct guard_page *guard)
{
	json_t *rings = json_array(), *stats;

	for (unsigned i = 0; i < tally->rings; i++)
		json_array_append_new(rings, ring_object(tally, i));
	stats = json_pack("{s:s, s:i, s:o}", "tap", tap, "queue_pairs", (int)tally->rings / 2,
			  "rings", rings);
	if (guard)
		json_object_set_new(stats, "guard", guard_object(guard));
	return text_of(stats);
}

char *answer_error(const char *words)
{
	return text_of(json_pack("{s:s}", "error", words));
}

char *answer_done(void)
{
	return text_of(json_pack("{s:b}", "done", 1));
}
