/*
 * libairlock-frontend: a virtio device whose owner is a task. The registers of a virtio device, as
 * virtio-mmio (version 2) or virtio-pci (modern), for a VMM or a vfio-user server; the device
 * behind them is a vhost-user back-end in another process, driven by a thread of this library.
 *
 * Any thread may call; calls are serialised inside. Nothing waits but airlock_connect, _stop,
 * _start, _reset and _close, and those no longer than a few deadlines. 0 is success, errors are
 * -errno. Guest addresses, sizes and offsets in bytes. docs/transport.md has the states and a whole
 * VMM.
 */
#ifndef AIRLOCK_FRONTEND_H
#define AIRLOCK_FRONTEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define AIRLOCK_QUEUES_MAX 256
#define AIRLOCK_CONFIG_MAX 256
#define AIRLOCK_SHM_MAX	   4
#define AIRLOCK_STATE_MAX  32768 /* room that airlock_save() always finds enough */

enum airlock_bus {
	AIRLOCK_MMIO,
	AIRLOCK_PCI
};
/* What becomes of a STATUS write that cannot complete at once: */
enum airlock_policy {
	AIRLOCK_DEFER, /* it, and register accesses behind it, complete later, in order */
	AIRLOCK_PEND   /* it completes at once; STATUS shows when it took effect */
};
/* A network back-end that offers CTRL_VQ may serve its ring, or leave that to the VMM. */
enum airlock_control {
	AIRLOCK_CONTROL_AUTO, /* shown where the back-end has exactly one ring more than `queues` */
	AIRLOCK_CONTROL_ON,
	AIRLOCK_CONTROL_OFF
};
/* Numbered as VFIO does. */
enum airlock_region {
	AIRLOCK_BAR0 = 0, /* virtio-mmio: the only one */
	AIRLOCK_BAR2 = 2,
	AIRLOCK_CONFIG = 7
};

struct airlock_ops {
	/* A connected vhost-user socket, not blocking, handed over; or -errno. Called by the
	 * library's thread for every connection; -EAGAIN or -ECONNREFUSED: not now. */
	int (*connect)(void *opaque);
	/* First thing in the library's thread, e.g. to confine it. May be NULL, as all that follow.
	 */
	void (*thread)(void *opaque);
	/* Called under the library's lock: these must not call back. */
	void (*line)(void *opaque, bool level); /* mmio and INTx */
	void (*message)(void *opaque, unsigned int vector, uint64_t address, uint32_t data);
	/* The back-end did not do it ("enable"), or is gone ("serve"): for the log. */
	void (*trouble)(void *opaque, const char *what, int error);
	void (*doorbells)(void *opaque, bool installed); /* airlock_doorbell() is worth polling */
};

struct airlock_shm {
	uint8_t id;
	uint64_t offset, length; /* mmio: guest address; pci: within BAR4, which the VMM provides */
};

struct airlock_options {
	enum airlock_bus bus;
	enum airlock_policy policy;
	uint16_t device;	      /* virtio device number; 1 is net */
	uint16_t queues;	      /* 1..AIRLOCK_QUEUES_MAX */
	enum airlock_control control; /* net: one more, for control */
	uint16_t queue_size;	      /* largest ring, a power of two up to 32768 */
	uint16_t config_length;	      /* of the device configuration space, 0..AIRLOCK_CONFIG_MAX */
	const void *config;	  /* shown where the back-end keeps none of its own; else NULL */
	uint64_t config_features; /* that come with `config`, e.g. VIRTIO_NET_F_MAC */
	bool notification_data;	  /* offer VIRTIO_F_NOTIFICATION_DATA */
	bool client_msix;	  /* MSI-X table, mask and enable bits are the caller's (vfio) */
	unsigned int deadline_ms; /* of each command to the device; 0: 3000 */
	struct airlock_shm shm[AIRLOCK_SHM_MAX];
	unsigned int nshm;
	struct airlock_ops ops;
	void *opaque;
};

/* One access of the guest's. The caller's until airlock_access() said 1, then the library's until
 * done() is called (outside of the lock, from airlock_access, _poll, _stop or _reset). */
struct airlock_access {
	enum airlock_region region;
	bool write;
	uint8_t len; /* 1..8; past a region's end: reads all ones, writes nothing */
	uint64_t offset;
	uint8_t data[8]; /* little endian, `len` of them */
	int result;	 /* 0; -errno: it reads all ones, or was lost */
	void (*done)(struct airlock_access *access);
	void *opaque;
	uint64_t internal[16];
};

struct airlock_transport;

/* The transport and its thread. Nothing but airlock_connect() and _close() may follow. */
int airlock_open(const struct airlock_options *options, struct airlock_transport **out);
/* Waits until the back-end has answered, at most one deadline; may be tried again.
 * -EPROTONOSUPPORT: it is no modern device; -ENODEV: it has too few queues. */
int airlock_connect(struct airlock_transport *t);
void airlock_close(struct airlock_transport *t);

/* 0 done, `data` and `result` hold; 1: done() will be called. */
int airlock_access(struct airlock_transport *t, struct airlock_access *access);
/* When the descriptor is readable, airlock_poll() has something to do. */
int airlock_fd(const struct airlock_transport *t);
void airlock_poll(struct airlock_transport *t);

/* Guest memory, in order with everything else. The descriptor stays the caller's. `done` (may be
 * NULL) is called when the back-end has it, or has let go of it. */
typedef void airlock_memory_done(void *opaque, int result);
int airlock_memory_add(struct airlock_transport *t, uint64_t address, uint64_t size, int fd,
		       uint64_t offset, airlock_memory_done *done, void *opaque);
int airlock_memory_remove(struct airlock_transport *t, uint64_t address, uint64_t size,
			  airlock_memory_done *done, void *opaque);

/* The eventfd that raises an MSI-X vector, copied; -1: none. Interrupts then bypass the library. */
int airlock_vector(struct airlock_transport *t, unsigned int vector, int fd);
/* Signals a vector's eventfd as the device would, for a VMM that tries its wiring; none: nothing.
 */
void airlock_trigger(struct airlock_transport *t, unsigned int vector);
/* The eventfd (borrowed) that a write at *offset of BAR0 (of *value, where not -1) signals. */
int airlock_doorbell(const struct airlock_transport *t, unsigned int queue, uint64_t *offset,
		     int64_t *value);
unsigned int airlock_queues(const struct airlock_transport *t);
uint64_t airlock_region_size(const struct airlock_transport *t, enum airlock_region region);

/* Stops the rings and remembers where; accesses wait until start. Then save and restore may come:
 * -EBUSY otherwise. restore() checks everything before it changes anything. */
int airlock_stop(struct airlock_transport *t);
int airlock_start(struct airlock_transport *t);
ssize_t airlock_save(struct airlock_transport *t, void *state, size_t room);
int airlock_restore(struct airlock_transport *t, const void *state, size_t len);
/* As power-on. */
void airlock_reset(struct airlock_transport *t);

#endif
