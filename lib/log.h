/*
 * One line an event on stderr, one write(2) a line: "airlock-broker[warn]: words". Usable in every
 * program until its jail closes; a confined device sends numbers to the broker instead
 * (lib/event.h). log_init() before the first thread.
 */
#ifndef AIRLOCK_LIB_LOG_H
#define AIRLOCK_LIB_LOG_H

#include <stdbool.h>

enum log_level {
	LOG_ERROR,
	LOG_WARN,
	LOG_INFO,
	LOG_DEBUG
};

/* tag: the program's name, not copied. Lines above `most` are dropped. */
void log_init(const char *tag, enum log_level most);
bool log_shows(enum log_level level);
/* "error", "warn", "info" or "debug"; -EINVAL for another word. */
int log_level_parse(const char *word);

void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define err(...)   log_line(LOG_ERROR, __VA_ARGS__)
#define warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

/* Logs an error and exits with `code` (1 run-time failure, 2 usage). Only before the jail closes.
 */
void die(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));

#endif
