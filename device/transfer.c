/*
 * Words through a pipe. Runs in the control thread; of what is loaded it trusts nothing, and bounds
 * the length: whoever uses the words checks them.
 */
#include "device/transfer.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "lib/fd.h"

void transfer_init(struct transfer *t)
{
	*t = (struct transfer){ .fd = -1, .result = -ENODATA };
}

int transfer_begin(struct transfer *t, enum transfer_way way, int fd, uint64_t *words, size_t n)
{
	if (t->fd >= 0)
		return -EBUSY;
	*t = (struct transfer){ .fd = fd,
				.way = way,
				.words = words,
				.size = n * sizeof(uint64_t),
				.result = -EINPROGRESS };
	return 0;
}

short transfer_events(const struct transfer *t)
{
	return t->way == TRANSFER_SAVE ? POLLOUT : POLLIN;
}

static bool transfer_end(struct transfer *t, int result)
{
	fd_close(&t->fd);
	t->result = result;
	return true;
}

static bool save_some(struct transfer *t)
{
	/* A pipe that is ready for writing takes eight bytes whole. */
	ssize_t n = write(t->fd, (char *)t->words + t->at, sizeof(uint64_t));

	if (n < 0 && errno == EAGAIN)
		return false;
	if (n != (ssize_t)sizeof(uint64_t))
		return transfer_end(t, n < 0 ? -errno : -EIO);
	t->at += (size_t)n;
	return t->at == t->size && transfer_end(t, 0);
}

static bool load_some(struct transfer *t)
{
	uint64_t piece;
	ssize_t n = read(t->fd, &piece, sizeof(piece));

	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0)
		return transfer_end(t, n < 0 ? -errno : 0);
	if ((size_t)n > t->size - t->at)
		return transfer_end(t, -EMSGSIZE);
	memcpy((char *)t->words + t->at, &piece, (size_t)n);
	t->at += (size_t)n;
	return false;
}

bool transfer_ready(struct transfer *t)
{
	return t->way == TRANSFER_SAVE ? save_some(t) : load_some(t);
}
