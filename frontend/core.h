/*
 * The transport core: what virtio-mmio and virtio-pci have in common. Registers that a reset
 * visits, and around them three nouns: status.h, the states of the device; queue.h, what a queue's
 * registers do; access.h, accesses that complete now or later. A decoder (mmio.c, pci.c) turns
 * accesses into calls of these. Runs under the lock of transport.c, in whichever thread holds it;
 * nothing here waits but core_drain() and its users.
 */
#ifndef AIRLOCK_FRONTEND_CORE_H
#define AIRLOCK_FRONTEND_CORE_H

#include "frontend/airlock-frontend.h"
#include "frontend/task.h"

/* virtio 1.3: 2.1 and 6 */
#define STATUS_ACKNOWLEDGE	0x01
#define STATUS_DRIVER		0x02
#define STATUS_DRIVER_OK_BIT	0x04
#define STATUS_FEATURES_OK	0x08
#define STATUS_NEEDS_RESET	0x40
#define STATUS_FAILED		0x80
#define FEATURE_ACCESS_PLATFORM 33
#define FEATURE_RING_PACKED	34
#define FEATURE_SR_IOV		37
#define FEATURE_NOTIFICATION	38
#define FEATURE_NOTIF_CONFIG	39
#define FEATURE_RING_RESET	40
#define FEATURE_ADMIN_VQ	41

#define ISR_QUEUE  1
#define ISR_CONFIG 2

#define NO_VECTOR  0xffff
#define ALL_QUEUES 0xffff

struct core;

enum core_state {
	CORE_READY,
	CORE_ENABLING,	/* the back-end has been asked to start */
	CORE_DISABLING, /* to stop and reset */
	CORE_STATES
};

struct queue_regs {
	uint16_t size, vector;
	bool enabled;
	uint64_t desc, driver, device;
};
/* Everything that a reset visits, and nothing else: assigned whole. */
struct core_regs {
	uint8_t status, generation, isr;
	uint32_t device_select, driver_select, queue_select, shm_select;
	uint64_t driver_features;
	uint16_t config_vector;
	struct queue_regs queues[AIRLOCK_QUEUES_MAX];
};

struct core_queue {
	int kick;			    /* owned eventfds, non-blocking: doorbell; */
	int call;			    /* and interrupts that must pass through here */
	struct command command;		    /* QUEUE_START or QUEUE_STOP, one at a time */
	struct command reroute;		    /* QUEUE_CALL, one at a time */
	struct airlock_access *waits;	    /* a write that completes with `command` */
	bool changing, stopping, rerouting; /* in flight; `stopping`: towards stopped */
	bool forget;   /* the stopped queue's registers are reset (RING_RESET) */
	bool stale;    /* the route changed while another change was in flight */
	uint32_t base; /* where stop() found it */
};

/* What differs between the buses. All under the lock. */
struct decoder {
	/* Before anything else: 0, or -errno: the access cannot be. May be NULL. */
	int (*translate)(struct core *c, struct airlock_access *a);
	/* True: the device configuration starts at *offset of this access. */
	bool (*is_config)(const struct core *c, const struct airlock_access *a, uint64_t *offset);
	/* True: never stalls (PCI configuration, MSI-X). */
	bool (*is_local)(const struct core *c, const struct airlock_access *a);
	/* 0 done, 1 core_complete() will be called. */
	int (*access)(struct core *c, struct airlock_access *a);
	/* Before an access is handed back, config data in place. May be NULL. */
	void (*finish)(struct core *c, struct airlock_access *a);
	/* The eventfd that interrupts for this queue by itself; -1: through core. */
	int (*route)(struct core *c, unsigned int queue);
	/* queue: or ALL_QUEUES for the configuration. ISR is the decoder's to set. */
	void (*interrupt)(struct core *c, unsigned int queue);
	/* reset_status has happened: the line goes low. */
	void (*lowered)(struct core *c);
	/* The device is as after power-on. */
	void (*power_on)(struct core *c);
	/* Where a write of *value (-1: any) notifies this queue and no other; false: nowhere. */
	bool (*doorbell)(const struct core *c, unsigned int queue, uint64_t *offset,
			 int64_t *value);
};

struct core {
	struct airlock_options options;
	const struct decoder *decoder;
	struct task task;
	enum core_state state;
	bool pending_reset; /* of ENABLING: the driver wrote 0 meanwhile */
	bool stopped;	    /* by airlock_stop(): accesses wait */
	bool doorbells;
	unsigned int nqueues;
	bool control_queue;
	uint64_t backend_features, offered; /* by the back-end; to the driver */
	struct core_regs regs;
	struct core_queue queues[AIRLOCK_QUEUES_MAX];
	int epoll, err;		  /* owned: all that airlock_poll() looks at; rings that broke */
	struct command lifecycle; /* ENABLE, DISABLE, STOP, START, RESET, CONNECT: one at a time */
	bool lifecycle_busy;
	struct client_queue snapshot[AIRLOCK_QUEUES_MAX];
	uint8_t config[AIRLOCK_CONFIG_MAX]; /* as last read, where it has been: */
	bool config_known[AIRLOCK_CONFIG_MAX];
	unsigned int configs;		 /* config accesses in flight */
	struct airlock_access *deferred; /* the STATUS write that waits for the state */
	struct airlock_access *stalled, **stalled_end;
	struct airlock_access *finished, **finished_end;
};

/* What there may be at most, the control queue among them. */
unsigned int core_queues_most(const struct airlock_options *o);
int core_open(struct core *c, const struct decoder *decoder);
int core_connect(struct core *c);
void core_close(struct core *c);
void core_poll(struct core *c);
/* The driver and the device have agreed, and DRIVER_OK shows; or they are about to, or not to. */
static inline bool core_running(const struct core *c)
{
	return c->regs.status & STATUS_DRIVER_OK_BIT;
}
static inline bool core_busy(const struct core *c)
{
	return c->state != CORE_READY;
}
/* For the log: the back-end did not do `what`. error 0: it did. */
void core_trouble(const struct core *c, const char *what, int error);

/* The selected half of the feature bits; the driver's are locked by FEATURES_OK. */
uint32_t core_device_features(const struct core *c);
void core_driver_features(struct core *c, uint32_t value);

/* Oracle of docs/transport.md, rows 15 to 22. These wait. */
void core_drain(struct core *c);
int core_stop(struct core *c);
int core_start(struct core *c);
void core_reset(struct core *c);
/* Driver's registers and doorbells as of a restored state. */
void core_restored(struct core *c, const struct core_regs *regs, const uint32_t *bases);

#endif
