/* Reads policy files and shows what is wrong in them. The files may be anything: sizes are bounded,
 * and what is printed of them is stripped of bytes that would drive a terminal. */
#include "policy/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHOWN 160 /* columns of an offending line */

static int source_fill(struct policy_source *source, int fd, size_t limit)
{
	/* Read up to the limit and not what fstat said: the file may grow meanwhile. */
	source->text = malloc(limit + 1);
	if (!source->text)
		return -ENOMEM;
	while (source->size <= limit) {
		ssize_t n = read(fd, source->text + source->size, limit + 1 - source->size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		source->size += (size_t)n;
	}
	return -EFBIG;
}

int source_read(struct policy_source *source, const char *name)
{
	struct stat st;
	/* Non-blocking: a FIFO in the place of a policy must not hang its reader. */
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int err;

	if (fd < 0)
		return -errno;
	err = fstat(fd, &st) < 0 ? -errno : 0;
	if (!err && !S_ISREG(st.st_mode))
		err = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	if (!err)
		err = source_fill(source, fd, SOURCE_LIMIT);
	if (!err) {
		source->device = st.st_dev;
		source->inode = st.st_ino;
	} else {
		source_close(source);
	}
	close(fd);
	return err;
}

void source_close(struct policy_source *source)
{
	free(source->text);
	source->text = NULL;
	source->size = 0;
}

/* The bytes of a line, from 1, or an empty span past the end. */
static const char *source_line(const struct policy_source *source, uint32_t line, size_t *length)
{
	const char *at = source->text, *end = source->text + source->size, *stop;

	for (uint32_t i = 1; i < line && at < end; i++) {
		stop = memchr(at, '\n', (size_t)(end - at));
		at = stop ? stop + 1 : end;
	}
	stop = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
	*length = (size_t)((stop ? stop : end) - at);
	return at;
}

static void put_visible(FILE *to, char c)
{
	fputc(c == '\t' || (c >= ' ' && c < 0x7f) ? c : '?', to);
}

void source_complain(const struct policy_source *source, FILE *to, struct policy_place place,
		     size_t length, const char *kind, const char *message)
{
	size_t size, from = 0, column = place.column - 1;
	const char *line;

	if (!to)
		return;
	fprintf(to, "%s:%u:%u: %s%s%s\n", place.file, place.line, place.column, kind,
		*kind ? ": " : "", message);
	line = source_line(source, place.line, &size);
	if (column > size)
		column = size;
	if (column > SHOWN / 2)
		from = column - SHOWN / 2;
	fputs("    ", to);
	for (size_t i = from; i < size && i < from + SHOWN; i++)
		put_visible(to, line[i]);
	fputs("\n    ", to);
	for (size_t i = from; i < column; i++)
		fputc(line[i] == '\t' ? '\t' : ' ', to);
	fputc('^', to);
	for (size_t i = 1; i < length && column + i < size && column + i < from + SHOWN; i++)
		fputc('~', to);
	fputc('\n', to);
}
