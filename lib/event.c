/*
 * The sentences behind a device's event numbers. Runs in the broker, or in a device without a
 * broker before its jail closes; trusts neither the code nor the values.
 */
#include "lib/event.h"

#include <stdio.h>

#include "lib/util.h"

static const struct {
	enum log_level level;
	const char *guilty, *words;
} events[] = {
#define ROW(name, level, guilty, words) { level, guilty, words },
	EVENTS(ROW)
#undef ROW
};

enum log_level event_level(uint32_t code)
{
	return code < ARRAY_SIZE(events) ? events[code].level : LOG_ERROR;
}

enum log_level event_describe(uint32_t code, int64_t a, int64_t b, char *line, size_t size)
{
	int head;

	if (code >= ARRAY_SIZE(events)) {
		snprintf(line, size, "device: unknown event %u", code);
		return LOG_ERROR;
	}
	head = snprintf(line, size, "%s%s", events[code].guilty, *events[code].guilty ? ": " : "");
	if (head < 0 || (size_t)head >= size)
		return events[code].level;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored \
	"-Wformat-nonliteral" /* the formats are the table above; both values are always passed */
	snprintf(line + head, size - (size_t)head, events[code].words, (long long)a, (long long)b);
#pragma GCC diagnostic pop
	return events[code].level;
}
