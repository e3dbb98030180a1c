/*
 * Finds the programs that are confined and writes their command lines. Runs in the broker while it
 * is privileged; trusts the directory that it was started from itself.
 */
#include "broker/program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/log.h"
#include "lib/util.h"

static const char *const places[] = { "", "../libexec/airlock/" };

/* The directory of /proc/self/exe, without a slash at its end. */
static int own_directory(char dir[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", dir, PATH_MAX - 1);
	char *slash;

	if (n < 0)
		return -errno;
	dir[n] = '\0';
	slash = strrchr(dir, '/');
	if (!slash)
		return -ENOENT;
	*slash = '\0';
	return 0;
}

int program_open(struct program *program, const char *name)
{
	char dir[PATH_MAX], path[PATH_MAX + 64];
	int error = own_directory(dir);

	program->fd = -1;
	for (size_t i = 0; i < ARRAY_SIZE(places) && !error; i++) {
		snprintf(path, sizeof(path), "%s/%s%s", dir, places[i], name);
		program->fd = open(path, O_PATH | O_CLOEXEC);
		if (program->fd >= 0)
			return 0;
		if (errno != ENOENT)
			error = -errno;
	}
	error = error ? error : -ENOENT;
	err("%s: not beside this program nor in ../libexec/airlock: %s", name, strerror(-error));
	return error;
}

__attribute__((format(printf, 2, 3))) static void word_add(struct program *program, const char *fmt,
							   ...)
{
	size_t n = 0;
	va_list ap;

	while (program->argv[n])
		n++;
	va_start(ap, fmt);
	vsnprintf(program->words[n], PROGRAM_WORD_MAX, fmt, ap);
	va_end(ap);
	program->argv[n] = program->words[n];
}

void program_arguments(struct program *program, const struct config *config, unsigned mtu)
{
	const uint8_t *mac = config->mac;

	memset(program->argv, 0, sizeof(program->argv));
	word_add(program, "airlock-device");
	word_add(program, "--queue-pairs=%u", config->tap.pairs);
	word_add(program, "--queue-size=%u", config->queue_size);
	word_add(program, "--mtu=%u", mtu);
	word_add(program, "--mac=%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
		 mac[4], mac[5]);
	if (config->require_sealed)
		word_add(program, "--require-sealed");
	if (config->no_coalesce)
		word_add(program, "--coalesce=off");
	if (config->poll_us)
		word_add(program, "--poll-us=%u", config->poll_us);
	if (config->affinity)
		word_add(program, "--affinity=%s", config->affinity);
}

void program_transport(struct program *program, const struct config *config)
{
	memset(program->argv, 0, sizeof(program->argv));
	word_add(program, "airlock-vfio-user");
	word_add(program, "--queue-pairs=%u", config->tap.pairs);
	word_add(program, "--queue-size=%u", config->queue_size);
}

void program_close(struct program *program)
{
	fd_close(&program->fd);
}
