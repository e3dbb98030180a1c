/*
 * Counters in the words of OpenMetrics. Runs in airlock-ctl alone; trusts the broker for figures.
 */
#include "broker/ctl_metrics.h"

#include <string.h>

#include "lib/stats.h"

static void label_write(FILE *out, const char *text)
{
	for (; text && *text; text++) {
		if (*text == '\n') {
			fputs("\\n", out);
			continue;
		}
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
}

static void family_write(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# TYPE %s %s\n# HELP %s ", name, type, name);
	label_write(out, help);
	fputc('\n', out);
}

static void tap_sample_write(FILE *out, const char *name, const char *tap, json_int_t value)
{
	fprintf(out, "%s{tap=\"", name);
	label_write(out, tap);
	fprintf(out, "\"} %lld\n", (long long)value);
}

static void ring_samples_write(FILE *out, const json_t *stats, const char *name)
{
	const json_t *rings = json_object_get(stats, "rings");
	size_t i;
	json_t *ring;

	json_array_foreach (rings, i, ring) {
		fprintf(out, "airlock_ring_%s_total{tap=\"", name);
		label_write(out, json_string_value(json_object_get(stats, "tap")));
		if (json_is_integer(json_object_get(ring, "pair"))) /* not the control queue */
			fprintf(out, "\",pair=\"%lld",
				(long long)json_integer_value(json_object_get(ring, "pair")));
		fputs("\",direction=\"", out);
		label_write(out, json_string_value(json_object_get(ring, "direction")));
		fprintf(out, "\"} %lld\n",
			(long long)json_integer_value(json_object_get(ring, name)));
	}
}

static void ring_family_write(FILE *out, const json_t *stats, const char *name, const char *help)
{
	char family[64];

	snprintf(family, sizeof(family), "airlock_ring_%s", name);
	family_write(out, family, "counter", help);
	if (!strcmp(name, "bytes"))
		fprintf(out, "# UNIT %s bytes\n", family);
	ring_samples_write(out, stats, name);
}

static void guard_write(FILE *out, const json_t *stats, const char *tap)
{
	const char *key;
	json_t *value;

	json_object_foreach (json_object_get(stats, "guard"), key, value) {
		char family[64], sample[80];

		snprintf(family, sizeof(family), "airlock_guard_%s", key);
		snprintf(sample, sizeof(sample), "%s_total", family);
		family_write(out, family, "counter", "frames that --guard did not let through");
		tap_sample_write(out, sample, tap, json_integer_value(value));
	}
}

void metrics_write(FILE *out, const json_t *stats, const json_t *status)
{
	const char *tap = json_string_value(json_object_get(stats, "tap"));
	const char *phase = json_string_value(json_object_get(status, "phase"));

#define FAMILY(name, help) ring_family_write(out, stats, #name, help);
	RING_COUNTERS(FAMILY)
#undef FAMILY
	guard_write(out, stats, tap);
	family_write(out, "airlock_connections", "counter", "connections that were begun");
	tap_sample_write(out, "airlock_connections_total", tap,
			 json_integer_value(json_object_get(status, "connections")));
	family_write(out, "airlock_restarts", "counter", "devices replaced because they died");
	tap_sample_write(out, "airlock_restarts_total", tap,
			 json_integer_value(json_object_get(status, "restarts")));
	family_write(out, "airlock_active_pairs", "gauge", "queue pairs attached to the TAP");
	tap_sample_write(out, "airlock_active_pairs", tap,
			 json_integer_value(json_object_get(status, "active_pairs")));
	family_write(out, "airlock_serving", "gauge", "1 while a connection is served");
	tap_sample_write(out, "airlock_serving", tap, phase && !strcmp(phase, "serving"));
	fputs("# EOF\n", out);
}
