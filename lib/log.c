/*
 * The log of a program on its stderr. Runs in any process before its jail closes and in the broker
 * for good; control characters that reach it from elsewhere are shown as '?', so that no one forges
 * a line.
 */
#include "lib/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/util.h"

#define LINE_MAX_BYTES 1024

static const char *const level_names[] = { "error", "warn", "info", "debug" };
static const char *log_tag = "airlock";
static enum log_level log_most = LOG_INFO;

void log_init(const char *tag, enum log_level most)
{
	log_tag = tag;
	log_most = most;
}

bool log_shows(enum log_level level)
{
	return level <= log_most;
}

int log_level_parse(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(level_names); i++)
		if (!strcmp(word, level_names[i]))
			return (int)i;
	return -EINVAL;
}

__attribute__((format(printf, 2, 0))) static void log_va(enum log_level level, const char *fmt,
							 va_list ap)
{
	char line[LINE_MAX_BYTES];
	int head = snprintf(line, sizeof(line), "%s[%s]: ", log_tag, level_names[level]);
	size_t len;

	vsnprintf(line + head, sizeof(line) - (size_t)head - 1, fmt, ap);
	len = strlen(line);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0)
		return; /* nowhere is left to say so */
}

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (!log_shows(level))
		return;
	va_start(ap, fmt);
	log_va(level, fmt, ap);
	va_end(ap);
}

void die(int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_va(LOG_ERROR, fmt, ap);
	va_end(ap);
	exit(code);
}
