/*
 * Reading /proc of a process under test. Runs in the test process, as root; what it reads comes
 * from the kernel.
 */
#include "tests/support/proc.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/util.h"

ssize_t proc_read(pid_t pid, const char *file, char *buf, size_t room)
{
	char path[64 + 64];
	size_t have = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (have + 1 < room && (n = read(fd, buf + have, room - 1 - have)) > 0)
		have += (size_t)n;
	buf[have] = '\0';
	close(fd);
	return (ssize_t)have;
}

/* Copies the rest of the line that starts with `key` and a colon. */
static int field_of(const char *text, const char *key, char *value, size_t room)
{
	size_t len = strlen(key), n = 0;

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, len) != 0 || line[len] != ':')
			continue;
		for (line += len + 1; isblank((unsigned char)*line); line++)
			;
		while (line[n] && line[n] != '\n' && n + 1 < room) {
			value[n] = line[n];
			n++;
		}
		value[n] = '\0';
		return 0;
	}
	return -ENOENT;
}

static int status_of(pid_t pid, const char *file, const char *field, char *value, size_t room)
{
	char text[4096];
	ssize_t n = proc_read(pid, file, text, sizeof(text));

	return n < 0 ? (int)n : field_of(text, field, value, room);
}

int proc_status(pid_t pid, const char *field, char *value, size_t room)
{
	return status_of(pid, "status", field, value, room);
}

int proc_thread_status(pid_t pid, pid_t tid, const char *field, char *value, size_t room)
{
	char file[40];

	snprintf(file, sizeof(file), "task/%d/status", tid);
	return status_of(pid, file, field, value, room);
}

/* Numbers that name the entries of a directory below /proc/PID. */
static int list_numbers(pid_t pid, const char *sub, int *numbers, size_t room)
{
	char path[64];
	struct dirent *e;
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, sub);
	d = opendir(path);
	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		if ((size_t)n < room)
			numbers[n] = atoi(e->d_name);
		n++;
	}
	closedir(d);
	return n;
}

int proc_count_fds(pid_t pid)
{
	return list_numbers(pid, "fd", NULL, 0);
}

int proc_threads(pid_t pid, pid_t *tids, size_t room)
{
	return list_numbers(pid, "task", tids, room);
}

int proc_count_maps(pid_t pid)
{
	static char text[1 << 20];
	ssize_t n = proc_read(pid, "maps", text, sizeof(text));
	int lines = 0;

	if (n < 0)
		return (int)n;
	for (const char *c = text; *c; c++)
		lines += *c == '\n';
	return lines;
}

int proc_fd_target(pid_t pid, int fd, char *target, size_t room)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	n = readlink(path, target, room - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	return 0;
}

const char *const proc_namespaces[PROC_NAMESPACES] = {
	"user", "mnt", "pid", "net", "ipc", "uts", "cgroup",
};

bool proc_same_namespace(pid_t a, pid_t b, const char *kind)
{
	char path[64];
	struct stat sa, sb;

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", a, kind);
	if (stat(path, &sa) < 0)
		return true;
	snprintf(path, sizeof(path), "/proc/%d/ns/%s", b, kind);
	if (stat(path, &sb) < 0)
		return true;
	return sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

long proc_limit(pid_t pid, const char *row)
{
	char text[4096], soft[32];
	const char *line;

	if (proc_read(pid, "limits", text, sizeof(text)) < 0)
		return -ENOENT;
	line = strstr(text, row);
	if (!line || sscanf(line + strlen(row), "%31s", soft) != 1)
		return -ENOENT;
	return strcmp(soft, "unlimited") == 0 ? -ERANGE : atol(soft);
}

long proc_private(pid_t pid)
{
	char text[4096], value[64];
	long sum = 0;

	if (proc_read(pid, "smaps_rollup", text, sizeof(text)) < 0)
		return -ENOENT;
	if (!field_of(text, "Private_Clean", value, sizeof(value)))
		sum += atol(value);
	if (!field_of(text, "Private_Dirty", value, sizeof(value)))
		sum += atol(value);
	return sum * 1024;
}

long long proc_cpu_ns(pid_t pid)
{
	char text[64];

	/* The first number of schedstat is the time on a CPU of the main thread alone. */
	long long sum = 0;
	pid_t tids[64];
	int n = proc_threads(pid, tids, ARRAY_SIZE(tids));

	for (int i = 0; i < min_of(n, (int)ARRAY_SIZE(tids)); i++) {
		char file[40];

		snprintf(file, sizeof(file), "task/%d/schedstat", tids[i]);
		if (proc_read(pid, file, text, sizeof(text)) > 0)
			sum += atoll(text);
	}
	return sum;
}

bool proc_alive(pid_t pid)
{
	char state[32];

	return proc_status(pid, "State", state, sizeof(state)) == 0 && state[0] != 'Z';
}

long proc_wakeups(pid_t pid)
{
	pid_t tids[64];
	char value[32];
	long sum = 0;
	int n = proc_threads(pid, tids, ARRAY_SIZE(tids));

	for (int i = 0; i < min_of(n, (int)ARRAY_SIZE(tids)); i++)
		if (!proc_thread_status(pid, tids[i], "voluntary_ctxt_switches", value,
					sizeof(value)))
			sum += atol(value);
	return sum;
}

pid_t proc_parent(pid_t pid)
{
	char value[32];

	return proc_status(pid, "PPid", value, sizeof(value)) ? -1 : atoi(value);
}

int proc_count_family(pid_t pid)
{
	char file[40], text[1024], *rest = text;
	long child;
	int n = 1;

	snprintf(file, sizeof(file), "task/%d/children", pid); /* no parent here has threads */
	if (proc_read(pid, file, text, sizeof(text)) < 0)
		return 0;
	while ((child = strtol(rest, &rest, 10)) > 0)
		n += proc_count_family((pid_t)child);
	return n;
}
