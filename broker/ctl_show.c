/*
 * Tables of airlock-ctl. Runs in airlock-ctl alone, as whoever may connect to the status socket;
 * trusts the broker for the figures, not for the shape of its documents: jansson answers NULL for
 * what is not there, and "-" is printed.
 */
#include "broker/ctl_show.h"

#include <string.h>

#include "lib/stats.h"
#include "lib/util.h"

#define RINGS_A_TABLE 8
#define LINE_COLUMNS  96

/* Writes a scalar as text; text is its room, 32 bytes, where it has to be made. */
static const char *scalar(const json_t *value, char text[32])
{
	switch (value ? json_typeof(value) : JSON_NULL) {
	case JSON_STRING:
		return json_string_value(value);
	case JSON_INTEGER:
		snprintf(text, 32, "%lld", (long long)json_integer_value(value));
		return text;
	case JSON_TRUE:
		return "yes";
	case JSON_FALSE:
		return "no";
	case JSON_REAL:
	case JSON_OBJECT:
	case JSON_ARRAY:
	case JSON_NULL:
		break;
	}
	return "-";
}

static void member_show(FILE *out, const json_t *object, const char *key, const char *title)
{
	char text[32];

	fprintf(out, "%-18s %s\n", title, scalar(json_object_get(object, key), text));
}

void show_status(FILE *out, const json_t *status)
{
	static const struct row {
		const char *key, *title;
	} rows[] = {
		{ "version", "version" },	  { "pid", "broker" },
		{ "device_pid", "device" },	  { "phase", "phase" },
		{ "socket_path", "socket" },	  { "tap", "TAP" },
		{ "queue_pairs", "queue pairs" }, { "active_pairs", "active pairs" },
		{ "connections", "connections" }, { "restarts", "restarts" },
		{ "last_exit", "last exit" },
	};
	static const struct row paired[] = {
		{ "transport_pid", "transport" },
		{ "transport_phase", "its phase" },
		{ "transport_last_exit", "its last exit" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		member_show(out, status, rows[i].key, rows[i].title);
	for (size_t i = 0; i < ARRAY_SIZE(paired); i++)
		if (json_object_get(status, paired[i].key))
			member_show(out, status, paired[i].key, paired[i].title);
}

/* ---- counters: one line a counter, one column a ring ---- */

static json_int_t counter(const json_t *rings, size_t ring, const char *name)
{
	return json_integer_value(json_object_get(json_array_get(rings, ring), name));
}

static void counter_show(FILE *out, const json_t *rings, size_t from, size_t to, const char *name)
{
	fprintf(out, "%-18s", name);
	for (size_t i = from; i < to; i++)
		fprintf(out, " %15lld", (long long)counter(rings, i, name));
	fputc('\n', out);
}

static void rate_show(FILE *out, const json_t *rings, const json_t *before, size_t from, size_t to,
		      const char *name, double seconds)
{
	char title[32];

	snprintf(title, sizeof(title), "%s/s", name);
	fprintf(out, "%-18s", title);
	for (size_t i = from; i < to; i++)
		fprintf(out, " %15.0f",
			(double)(counter(rings, i, name) - counter(before, i, name)) / seconds);
	fputc('\n', out);
}

/* "0 rx", or "ctrl": the control queue belongs to no pair. */
static void head_show(FILE *out, const json_t *ring)
{
	const json_t *pair = json_object_get(ring, "pair");
	char title[64], number[32], direction[32];

	snprintf(title, sizeof(title), "%s%s%.8s", json_is_null(pair) ? "" : scalar(pair, number),
		 json_is_null(pair) ? "" : " ",
		 scalar(json_object_get(ring, "direction"), direction));
	fprintf(out, " %15s", title);
}

static void heads_show(FILE *out, const json_t *rings, size_t from, size_t to)
{
	char state[32];

	fprintf(out, "%-18s", "pair");
	for (size_t i = from; i < to; i++)
		head_show(out, json_array_get(rings, i));
	fprintf(out, "\n%-18s", "state");
	for (size_t i = from; i < to; i++)
		fprintf(out, " %15s",
			scalar(json_object_get(json_array_get(rings, i), "state"), state));
	fputc('\n', out);
}

static void guard_show(FILE *out, const json_t *stats)
{
	const char *key;
	json_t *value;

	json_object_foreach (json_object_get(stats, "guard"), key, value) {
		char title[64];

		snprintf(title, sizeof(title), "guard %s", key);
		fprintf(out, "%-18s %15lld\n", title, (long long)json_integer_value(value));
	}
}

void show_stats(FILE *out, const json_t *stats, const json_t *before, double seconds)
{
	const json_t *rings = json_object_get(stats, "rings");
	const json_t *old = json_object_get(before, "rings");
	size_t n = json_array_size(rings);

	for (size_t from = 0; from < n; from += RINGS_A_TABLE) {
		size_t to = min_of(from + RINGS_A_TABLE, n);

		heads_show(out, rings, from, to);
#define SHOW(name, help) counter_show(out, rings, from, to, #name);
		RING_COUNTERS(SHOW)
#undef SHOW
		if (old && seconds > 0) {
			rate_show(out, rings, old, from, to, "frames", seconds);
			rate_show(out, rings, old, from, to, "bytes", seconds);
		}
		if (to < n)
			fputc('\n', out);
	}
	guard_show(out, stats);
}

/* ---- the sandbox report ---- */

/* The words, comma-separated, wrapped under a title. */
static size_t word_show(FILE *out, size_t column, const char *word, bool more)
{
	size_t len = strlen(word) + more;

	if (column + 1 + len > LINE_COLUMNS) {
		fprintf(out, "\n%-18s", "");
		column = 18;
	}
	fprintf(out, " %s%s", word, more ? "," : "");
	return column + 1 + len;
}

static void words_show(FILE *out, const char *title, const json_t *words, const char *none)
{
	size_t n = json_array_size(words), column = 18;
	char text[32];

	fprintf(out, "%-18s", title);
	for (size_t i = 0; i < n; i++)
		column = word_show(out, column, scalar(json_array_get(words, i), text), i + 1 < n);
	fprintf(out, "%s%s\n", n ? "" : " ", n ? "" : none);
}

/* Each set that is not empty; one line when all are. */
static void capabilities_show(FILE *out, const char *title, json_t *sets)
{
	const char *name;
	json_t *set;
	bool any = false;

	json_object_foreach (sets, name, set) {
		char line[64];

		if (!json_array_size(set))
			continue;
		snprintf(line, sizeof(line), "%s %.12s", title, name);
		words_show(out, line, set, "none");
		any = true;
	}
	if (!any)
		fprintf(out, "%-18s %s\n", title, sets ? "none" : "-");
}

/* The keys with their values, as words: "core 0, nofile 4096" or, for true and false, "net, no
 * ipc".
 */
static void pairs_show(FILE *out, const char *title, json_t *object)
{
	size_t n = json_object_size(object), i = 0, column = 18;
	const char *key;
	json_t *value;

	fprintf(out, "%-18s", title);
	json_object_foreach (object, key, value) {
		char word[96], text[32];

		if (json_is_boolean(value))
			snprintf(word, sizeof(word), "%s%s", json_is_true(value) ? "" : "NO ", key);
		else
			snprintf(word, sizeof(word), "%s %s", key, scalar(value, text));
		column = word_show(out, column, word, ++i < n);
	}
	fputc('\n', out);
}

static void descriptors_show(FILE *out, const json_t *fds)
{
	size_t n = json_array_size(fds), column = 18;

	fprintf(out, "%-18s", "descriptors");
	for (size_t i = 0; i < n; i++) {
		const json_t *fd = json_array_get(fds, i);
		char word[64], number[32], kind[32];

		snprintf(word, sizeof(word), "%s %.31s", scalar(json_object_get(fd, "fd"), number),
			 scalar(json_object_get(fd, "kind"), kind));
		column = word_show(out, column, word, i + 1 < n);
	}
	fputc('\n', out);
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "-";
}

static void thread_show(FILE *out, const json_t *thread)
{
	char tid[32];

	fprintf(out, "%-18s %s: %s, %zu calls, filter %.16s\n", text_of(thread, "role"),
		scalar(json_object_get(thread, "tid"), tid), text_of(thread, "policy"),
		json_array_size(json_object_get(thread, "syscalls")),
		text_of(thread, "filter_sha256"));
}

/* What a role may call, once, however many of its threads there are. */
static void role_show(FILE *out, const json_t *threads, const char *role)
{
	size_t i;
	json_t *thread;

	json_array_foreach (threads, i, thread) {
		if (strcmp(text_of(thread, "role"), role) || !json_object_get(thread, "syscalls"))
			continue;
		words_show(out, !strcmp(role, "worker") ? "a worker may" : "control may",
			   json_object_get(thread, "syscalls"), "nothing");
		return;
	}
}

void show_sandbox(FILE *out, const json_t *report)
{
	const json_t *threads = json_object_get(report, "threads");
	const json_t *broker = json_object_get(report, "broker");
	size_t i;
	json_t *thread;

	member_show(out, report, "pid", "device");
	member_show(out, report, "uid", "uid");
	member_show(out, report, "gid", "gid");
	member_show(out, report, "no_new_privs", "no new privileges");
	capabilities_show(out, "capabilities", json_object_get(report, "capabilities"));
	pairs_show(out, "own namespaces", json_object_get(report, "namespaces"));
	member_show(out, report, "root", "root");
	member_show(out, report, "landlock_abi", "Landlock ABI");
	pairs_show(out, "limits", json_object_get(report, "rlimits"));
	descriptors_show(out, json_object_get(report, "fds"));
	json_array_foreach (threads, i, thread)
		thread_show(out, thread);
	role_show(out, threads, "control");
	role_show(out, threads, "worker");
	member_show(out, broker, "pid", "broker");
	capabilities_show(out, "capabilities", json_object_get(broker, "capabilities"));
	words_show(out, "broker may", json_object_get(broker, "syscalls"), "-");
	words_show(out, "missing layers", json_object_get(report, "degraded"), "none");
}
