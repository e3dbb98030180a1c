/*
 * The part of a guest's ring driver that no format changes: areas, eventfds, kicking and waiting.
 * Runs in the test process, one thread a ring; what the device writes is checked, never trusted.
 */
#include "tests/support/guest_ring.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/fd.h"

#define POLL_NAP_NS 50000

static int open_events(struct guest_ring *ring, bool polling)
{
	ring->err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ring->err < 0)
		return -errno;
	if (polling)
		return 0;
	ring->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ring->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return ring->kick < 0 || ring->call < 0 ? -EMFILE : 0;
}

int guest_ring_init(struct guest_ring *ring, struct guest_memory *mem,
		    const struct guest_ring_format *format, uint16_t size, bool event_idx,
		    unsigned table_max, bool polling)
{
	int rc;

	*ring = (struct guest_ring){ .format = format,
				     .mem = mem,
				     .size = size,
				     .event_idx = event_idx,
				     .table_max = table_max,
				     .kick = -1,
				     .call = -1,
				     .err = -1 };
	ring->next = calloc(size, sizeof(*ring->next));
	ring->cookie = calloc(size, sizeof(*ring->cookie));
	ring->pieces = calloc(size, sizeof(*ring->pieces));
	rc = ring->next && ring->cookie && ring->pieces ? open_events(ring, polling) : -ENOMEM;
	if (!rc)
		rc = format->layout(ring);
	if (!rc && table_max) {
		ring->tables = guest_alloc(mem, (uint64_t)size * table_max * 16, 16);
		rc = ring->tables == GUEST_NOWHERE ? -ENOMEM : 0;
	}
	if (rc)
		guest_ring_free(ring);
	else
		guest_ring_start(ring, format == &guest_packed ? GUEST_PACKED_BASE : 0);
	return rc;
}

void guest_ring_free(struct guest_ring *ring)
{
	fd_close(&ring->kick);
	fd_close(&ring->call);
	fd_close(&ring->err);
	free(ring->next);
	free(ring->cookie);
	free(ring->pieces);
	ring->next = NULL;
	ring->cookie = NULL;
	ring->pieces = NULL;
}

void guest_ring_start(struct guest_ring *ring, uint32_t base)
{
	ring->outstanding = 0;
	ring->format->start(ring, base);
}

int guest_ring_post(struct guest_ring *ring, const struct guest_piece *pieces, unsigned n,
		    bool indirect, uint32_t cookie)
{
	int rc = ring->format->post(ring, pieces, n, indirect, cookie);

	ring->outstanding += !rc;
	return rc;
}

void guest_ring_kick(struct guest_ring *ring)
{
	if (!ring->format->publish(ring) || ring->kick < 0)
		return;
	ring->kicks_sent++;
	fd_signal(ring->kick);
}

int guest_ring_take(struct guest_ring *ring, uint32_t *cookie, uint32_t *len)
{
	int rc = ring->format->take(ring, cookie, len);

	ring->outstanding -= rc > 0;
	return rc;
}

int guest_ring_wait(struct guest_ring *ring, int timeout_ms)
{
	int64_t end = clock_ns() + timeout_ms * INT64_C(1000000);
	struct pollfd p = { .fd = ring->call, .events = POLLIN };
	int rc = 0;

	while (ring->format->arm(ring)) {
		int64_t left = end - clock_ns();

		if (left <= 0) {
			rc = -ETIMEDOUT;
			break;
		}
		if (ring->call < 0) {
			nanosleep(&(struct timespec){ .tv_nsec = POLL_NAP_NS }, NULL);
			continue;
		}
		poll(&p, 1, (int)(left / 1000000) + 1);
		if (p.revents & POLLIN)
			fd_drain(ring->call);
	}
	ring->format->disarm(ring);
	return rc;
}

uint64_t guest_ring_signals(int event, int timeout_ms)
{
	struct pollfd p = { .fd = event, .events = POLLIN };
	uint64_t n = 0;

	if (poll(&p, 1, timeout_ms) == 1 && read(event, &n, sizeof(n)) < 0)
		n = 0;
	return n;
}
