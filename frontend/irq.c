/*
 * SET_IRQS and INTx. Runs in the server's thread; trusts neither index nor count of the client's.
 */
#include "frontend/irq.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/util.h"

#define DATA_NONE      0x1u
#define DATA_BOOL      0x2u
#define DATA_EVENTFD   0x4u
#define ACTION_MASK    0x8u
#define ACTION_UNMASK  0x10u
#define ACTION_TRIGGER 0x20u

#define INFO_EVENTFD	0x1u
#define INFO_MASKABLE	0x2u
#define INFO_AUTOMASKED 0x4u

void irq_init(struct irq *q, unsigned int vectors)
{
	*q = (struct irq){ .vectors = vectors, .intx = -1 };
}

static unsigned int count_of(const struct irq *q, uint32_t index)
{
	if (index == IRQ_INTX)
		return 1;
	return index == IRQ_MSIX ? q->vectors : 0;
}

int irq_info(const struct irq *q, struct vfu_irq_info *info)
{
	if (info->index >= IRQ_KINDS)
		return -EINVAL;
	info->argsz = sizeof(*info);
	info->count = count_of(q, info->index);
	info->flags = info->count ? INFO_EVENTFD : 0;
	if (info->index == IRQ_INTX)
		info->flags |= INFO_MASKABLE | INFO_AUTOMASKED;
	return 0;
}

static void intx_raise(struct irq *q)
{
	if (!q->level || q->masked || q->intx < 0)
		return;
	q->masked = true;
	fd_signal(q->intx);
}

void irq_line(struct irq *q, bool level)
{
	q->level = level;
	intx_raise(q);
}

/* Event descriptors are anonymous inodes, which have no file type: whatever else they are, eight
 * bytes written there change nothing of ours. */
static bool fd_is_event(int fd)
{
	struct stat st;

	return !syscall(SYS_fstat, fd, &st) && !(st.st_mode & S_IFMT);
}

static void assign(struct irq *q, struct airlock_transport *t, uint32_t index, unsigned int which,
		   int fd)
{
	if (index == IRQ_MSIX) {
		airlock_vector(t, which, fd);
		fd_close(&fd); /* the transport has its own */
		return;
	}
	fd_close(&q->intx);
	q->intx = fd;
	q->masked = false;
	intx_raise(q);
}

static int set_eventfds(struct irq *q, struct airlock_transport *t, const struct vfu_irq_set *set,
			int *fds, size_t nfds)
{
	/* None at all takes the range's away; otherwise there is one each. */
	if (nfds && nfds != set->count)
		return -EINVAL;
	for (size_t i = 0; i < nfds; i++)
		if (!fd_is_event(fds[i]))
			return -EBADF;
	for (uint32_t i = 0; i < set->count; i++)
		assign(q, t, set->index, set->start + i, nfds ? fd_take(&fds[i]) : -1);
	return 0;
}

static int mask(struct irq *q, const struct vfu_irq_set *set, bool on)
{
	if (set->index != IRQ_INTX)
		return -EINVAL; /* the client has the MSI-X table */
	if ((set->flags & DATA_BOOL) && !set->data[0])
		return 0;
	q->masked = on;
	intx_raise(q);
	return 0;
}

/* The client tries its own wiring: as the device would, but nothing is remembered of it. */
static void trigger(const struct irq *q, struct airlock_transport *t, const struct vfu_irq_set *set)
{
	for (uint32_t i = 0; i < set->count; i++) {
		if ((set->flags & DATA_BOOL) && !set->data[i])
			continue;
		if (set->index == IRQ_MSIX)
			airlock_trigger(t, set->start + i);
		else if (q->intx >= 0 && !q->masked)
			fd_signal(q->intx);
	}
}

void irq_clear(struct irq *q, struct airlock_transport *t)
{
	for (unsigned int v = 0; v < q->vectors; v++)
		airlock_vector(t, v, -1);
	fd_close(&q->intx);
	q->masked = false;
}

static void disable(struct irq *q, struct airlock_transport *t, uint32_t index)
{
	for (unsigned int i = 0; i < count_of(q, index); i++)
		assign(q, t, index, i, -1);
}

int irq_set(struct irq *q, struct airlock_transport *t, const struct vfu_irq_set *set, size_t len,
	    int *fds, size_t nfds)
{
	uint32_t data = set->flags & (DATA_NONE | DATA_BOOL | DATA_EVENTFD);
	uint32_t action = set->flags & (ACTION_MASK | ACTION_UNMASK | ACTION_TRIGGER);
	size_t bytes = data == DATA_BOOL ? set->count : 0;

	/* One bit of each sort, and no other. */
	if ((set->flags & ~(data | action)) || !is_power_of_two(data) || !is_power_of_two(action) ||
	    set->index >= IRQ_KINDS || (data != DATA_EVENTFD && nfds))
		return -EINVAL;
	if (!range_within(set->start, set->count, count_of(q, set->index)) ||
	    len - sizeof(*set) < bytes)
		return -EINVAL;
	if (!set->count) {
		if (data == DATA_NONE && action == ACTION_TRIGGER)
			disable(q, t, set->index);
		return data == DATA_NONE ? 0 : -EINVAL;
	}
	/* An eventfd to unmask by ("resample") is for level interrupts without a trap: those of
	 * MSI-X have no level, and nobody is in a hurry with INTx. */
	if (action != ACTION_TRIGGER)
		return data == DATA_EVENTFD ? -ENOTSUP : mask(q, set, action == ACTION_MASK);
	if (data == DATA_EVENTFD)
		return set_eventfds(q, t, set, fds, nfds);
	trigger(q, t, set);
	return 0;
}
