/*
 * The MSI-X table and its pending bits (PCI 3.0, 6.8.2). Runs under the transport's lock; an index
 * that the driver or the client chose is checked before it is used.
 */
#include "frontend/msix.h"

#include <string.h>

#include "lib/fd.h"
#include "lib/util.h"

#define ENTRY 16u

void msix_init(struct msix *m, unsigned int count)
{
	m->count = count;
	for (unsigned int i = 0; i < MSIX_VECTORS_MAX; i++)
		m->fds[i] = -1;
	msix_reset(m);
}

void msix_close(struct msix *m)
{
	fd_close_all(m->fds, MSIX_VECTORS_MAX);
}

void msix_reset(struct msix *m)
{
	m->enabled = m->masked = false;
	memset(m->pending, 0, sizeof(m->pending));
	memset(m->table, 0, sizeof(m->table));
	for (unsigned int i = 0; i < m->count; i++)
		m->table[i].control = MSIX_MASKED;
}

bool msix_on(const struct msix *m)
{
	return m->enabled || (m->external && m->with_fd);
}

static bool open_vector(const struct msix *m, unsigned int v)
{
	if (m->external)
		return m->fds[v] >= 0;
	return m->enabled && !m->masked && !(m->table[v].control & MSIX_MASKED);
}

static bool pending(const struct msix *m, unsigned int v)
{
	return m->pending[v / 64] >> (v % 64) & 1;
}

static void deliver(struct msix *m, unsigned int v)
{
	m->pending[v / 64] &= ~(UINT64_C(1) << (v % 64));
	if (m->fds[v] >= 0)
		fd_signal(m->fds[v]);
	else if (m->message)
		m->message(m->opaque, v, m->table[v].address, m->table[v].data);
}

static void deliver_pending(struct msix *m)
{
	for (unsigned int v = 0; v < m->count; v++)
		if (pending(m, v) && open_vector(m, v))
			deliver(m, v);
}

void msix_raise(struct msix *m, unsigned int vector)
{
	if (vector >= m->count)
		return;
	m->pending[vector / 64] |= UINT64_C(1) << (vector % 64);
	if (open_vector(m, vector))
		deliver(m, vector);
}

void msix_control(struct msix *m, bool enabled, bool masked)
{
	m->enabled = enabled;
	m->masked = masked;
	deliver_pending(m);
}

void msix_set_fd(struct msix *m, unsigned int vector, int fd)
{
	m->with_fd += (fd >= 0) - (m->fds[vector] >= 0);
	fd_close(&m->fds[vector]);
	m->fds[vector] = fd;
	deliver_pending(m);
}

int msix_route(const struct msix *m, unsigned int vector)
{
	return vector < m->count && open_vector(m, vector) ? m->fds[vector] : -1;
}

uint32_t msix_read(const struct msix *m, uint32_t offset)
{
	unsigned int v = offset / ENTRY, word = (offset - MSIX_PBA) / 4;

	if (offset >= MSIX_PBA && word / 2 < ARRAY_SIZE(m->pending))
		return (uint32_t)(m->pending[word / 2] >> (32 * (word % 2)));
	if (v >= m->count)
		return 0;
	switch (offset % ENTRY) {
	case 0:
		return (uint32_t)m->table[v].address;
	case 4:
		return (uint32_t)(m->table[v].address >> 32);
	case 8:
		return m->table[v].data;
	default:
		return m->table[v].control;
	}
}

int msix_write(struct msix *m, uint32_t offset, uint32_t value)
{
	unsigned int v = offset / ENTRY;
	struct msix_entry *e;
	uint32_t before;

	if (v >= m->count)
		return -1;
	e = &m->table[v];
	before = e->control;
	switch (offset % ENTRY) {
	case 0:
		e->address = (e->address & ~(uint64_t)UINT32_MAX) | (value & ~3u);
		break;
	case 4:
		e->address = (uint32_t)e->address | (uint64_t)value << 32;
		break;
	case 8:
		e->data = value;
		break;
	default:
		e->control = value & MSIX_MASKED;
	}
	deliver_pending(m);
	return before != e->control ? (int)v : -1;
}
