/*
 * libairlock-frontend's functions: the lock around core and decoder, and the calls back to their
 * owner once it is free. Runs in whichever thread of the VMM calls; trusts its caller, not what the
 * guest put into an access.
 */
#include "frontend/airlock-frontend.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/access.h"
#include "frontend/mmio.h"
#include "frontend/pci.h"
#include "frontend/state.h"
#include "lib/fd.h"
#include "lib/util.h"

struct airlock_transport {
	struct pci pci; /* whose core serves both buses */
	pthread_mutex_t lock;
	struct memory_done *memory, **memory_end;
	uint8_t config[AIRLOCK_CONFIG_MAX];
};

/* A memory command and whom to tell. */
struct memory_done {
	struct command command;
	struct memory_done *next;
	struct airlock_transport *t;
	airlock_memory_done *done;
	void *opaque;
};

static struct core *core_of(struct airlock_transport *t)
{
	return &t->pci.core;
}

static struct pci *pci_of(struct airlock_transport *t)
{
	return t->pci.core.options.bus == AIRLOCK_PCI ? &t->pci : NULL;
}

static void lock(struct airlock_transport *t)
{
	pthread_mutex_lock(&t->lock);
}

/* Frees the lock, then tells of everything that was completed under it. */
static void unlock(struct airlock_transport *t)
{
	struct core *c = core_of(t);
	struct airlock_access *a = c->finished;
	struct memory_done *m = t->memory;

	c->finished = NULL;
	c->finished_end = &c->finished;
	t->memory = NULL;
	t->memory_end = &t->memory;
	pthread_mutex_unlock(&t->lock);
	while (a) {
		struct airlock_access *next = access_of(a)->next;

		a->done(a);
		a = next;
	}
	while (m) {
		struct memory_done *next = m->next;

		if (m->done)
			m->done(m->opaque, m->command.result);
		free(m);
		m = next;
	}
}

static int options_check(const struct airlock_options *o)
{
	if (!o->ops.connect || !o->queues || core_queues_most(o) > AIRLOCK_QUEUES_MAX ||
	    o->config_length > AIRLOCK_CONFIG_MAX || o->nshm > AIRLOCK_SHM_MAX)
		return -EINVAL;
	/* Split rings are a power of two long; 32768 is the longest (2.7). */
	return is_power_of_two(o->queue_size) && o->queue_size <= 32768 ? 0 : -EINVAL;
}

int airlock_open(const struct airlock_options *options, struct airlock_transport **out)
{
	struct airlock_transport *t;
	int rc = options_check(options);

	if (rc)
		return rc;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	t->memory_end = &t->memory;
	t->pci.core.options = *options;
	if (options->config) {
		memcpy(t->config, options->config, options->config_length);
		t->pci.core.options.config = t->config;
	}
	pci_init(&t->pci);
	rc = core_open(core_of(t), options->bus == AIRLOCK_PCI ? &pci_decoder : &mmio_decoder);
	if (rc) {
		pthread_mutex_destroy(&t->lock);
		free(t);
		return rc;
	}
	*out = t;
	return 0;
}

int airlock_connect(struct airlock_transport *t)
{
	int rc;

	lock(t);
	rc = core_connect(core_of(t));
	unlock(t);
	return rc;
}

void airlock_close(struct airlock_transport *t)
{
	lock(t);
	core_close(core_of(t));
	unlock(t);
	pci_close(&t->pci);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

int airlock_access(struct airlock_transport *t, struct airlock_access *access)
{
	int rc;

	if (!access->len || access->len > sizeof(access->data))
		return -EINVAL;
	lock(t);
	rc = access_begin(core_of(t), access);
	unlock(t);
	return rc;
}

int airlock_fd(const struct airlock_transport *t)
{
	return t->pci.core.epoll;
}

void airlock_poll(struct airlock_transport *t)
{
	lock(t);
	core_poll(core_of(t));
	unlock(t);
}

static void memory_finished(struct command *command, void *owner)
{
	struct memory_done *m = container_of(command, struct memory_done, command);

	(void)owner;
	m->next = NULL;
	*m->t->memory_end = m;
	m->t->memory_end = &m->next;
}

static int memory_post(struct airlock_transport *t, enum command_kind kind, const struct slot *slot,
		       airlock_memory_done *done, void *opaque)
{
	struct memory_done *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	*m = (struct memory_done){ .t = t, .done = done, .opaque = opaque };
	m->command = (struct command){ .kind = kind, .done = memory_finished, .slot = *slot };
	if (kind == COMMAND_MEMORY_ADD) {
		m->command.slot.fd = fcntl(slot->fd, F_DUPFD_CLOEXEC, 0);
		if (m->command.slot.fd < 0) {
			int rc = -errno;

			free(m);
			return rc;
		}
	}
	lock(t);
	task_post(&core_of(t)->task, &m->command);
	unlock(t);
	return 0;
}

int airlock_memory_add(struct airlock_transport *t, uint64_t address, uint64_t size, int fd,
		       uint64_t offset, airlock_memory_done *done, void *opaque)
{
	const struct slot slot = { .address = address, .size = size, .fd = fd, .offset = offset };

	return memory_post(t, COMMAND_MEMORY_ADD, &slot, done, opaque);
}

int airlock_memory_remove(struct airlock_transport *t, uint64_t address, uint64_t size,
			  airlock_memory_done *done, void *opaque)
{
	const struct slot slot = { .address = address, .size = size, .fd = -1 };

	return memory_post(t, COMMAND_MEMORY_REMOVE, &slot, done, opaque);
}

int airlock_vector(struct airlock_transport *t, unsigned int vector, int fd)
{
	int copy = -1, rc;

	if (!pci_of(t))
		return -EINVAL;
	if (fd >= 0)
		copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd >= 0 && copy < 0)
		return -errno;
	lock(t);
	rc = pci_vector(&t->pci, vector, copy);
	unlock(t);
	if (rc)
		fd_close(&copy);
	return rc;
}

void airlock_trigger(struct airlock_transport *t, unsigned int vector)
{
	lock(t);
	if (pci_of(t))
		pci_trigger(&t->pci, vector);
	unlock(t);
}

int airlock_doorbell(const struct airlock_transport *t, unsigned int queue, uint64_t *offset,
		     int64_t *value)
{
	const struct core *c = &t->pci.core;

	if (queue >= c->nqueues)
		return -EINVAL;
	return c->decoder->doorbell(c, queue, offset, value) ? c->queues[queue].kick : -EOPNOTSUPP;
}

unsigned int airlock_queues(const struct airlock_transport *t)
{
	return t->pci.core.nqueues;
}

uint64_t airlock_region_size(const struct airlock_transport *t, enum airlock_region region)
{
	if (t->pci.core.options.bus == AIRLOCK_MMIO)
		return region == AIRLOCK_BAR0 ? MMIO_SIZE : 0;
	switch ((int)region) {
	case AIRLOCK_BAR0:
		return BAR0_SIZE;
	case AIRLOCK_BAR2:
		return MSIX_BAR_SIZE;
	case AIRLOCK_CONFIG:
		return PCI_SPACE;
	}
	return 0;
}

int airlock_stop(struct airlock_transport *t)
{
	int rc;

	lock(t);
	rc = core_stop(core_of(t));
	unlock(t);
	return rc;
}

int airlock_start(struct airlock_transport *t)
{
	int rc;

	lock(t);
	rc = core_start(core_of(t));
	unlock(t);
	return rc;
}

void airlock_reset(struct airlock_transport *t)
{
	lock(t);
	core_reset(core_of(t));
	unlock(t);
}

ssize_t airlock_save(struct airlock_transport *t, void *state, size_t room)
{
	ssize_t rc = -EBUSY;

	lock(t);
	if (core_of(t)->stopped)
		rc = state_save(core_of(t), pci_of(t), state, room);
	unlock(t);
	return rc;
}

int airlock_restore(struct airlock_transport *t, const void *state, size_t len)
{
	int rc = -EBUSY;

	lock(t);
	if (core_of(t)->stopped)
		rc = state_restore(core_of(t), pci_of(t), state, len);
	unlock(t);
	return rc;
}
