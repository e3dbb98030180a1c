/*
 * What crosses the socket between broker and spawner (SOCK_SEQPACKET, fixed sizes): orders down,
 * news up. An order says which device, never what it is. Descriptors: down, a channel with SPAWN;
 * up, a pidfd with BORN, whose sender's pid the kernel translates (SCM_CREDENTIALS).
 */
#ifndef AIRLOCK_BROKER_ORDER_H
#define AIRLOCK_BROKER_ORDER_H

#include <stdint.h>

#include "broker/witness.h"

enum order_type {
	ORDER_CONFINE, /* the id maps are written: go on; once, first */
	ORDER_SPAWN,   /* with the device's end of its channel */
	ORDER_INSPECT
};

struct order {
	uint32_t type;
	uint32_t serial;
	int32_t pid; /* INSPECT: as the host sees it */
	uint32_t reserved;
};

/* Every step that may fail, in the spawner's own confinement or a device's birth. */
#define STEPS(X)                                       \
	X(ORDERS, "waiting for orders")                \
	X(SESSION, "session and signals")              \
	X(IDS, "user and group id")                    \
	X(ROOT, "empty read-only root")                \
	X(DESCRIPTORS, "descriptors")                  \
	X(RLIMITS, "resource limits")                  \
	X(CAPABILITIES, "capabilities")                \
	X(PRIVILEGES, "no_new_privs and not dumpable") \
	X(LANDLOCK, "Landlock")                        \
	X(SECCOMP, "seccomp filter")                   \
	X(FORK, "fork")                                \
	X(ROOM, "too many that have not ended")        \
	X(EXEC, "starting its program")

enum step {
#define STEP(name, words) STEP_##name,
	STEPS(STEP)
#undef STEP
	STEP_COUNT
};

enum news_type {
	NEWS_UP,     /* a: Landlock's ABI, b: LAYER_BITs missing; once, first */
	NEWS_BORN,   /* a: its own getpid(); with a pidfd */
	NEWS_FAILED, /* a: step, b: errno; serial 0: the spawner itself, and its end */
	NEWS_DIED,   /* a: wait status */
	NEWS_SEEN    /* a struct witness follows */
};

struct news {
	uint32_t type;
	uint32_t serial;
	int32_t a, b;
};

struct news_seen {
	struct news head;
	struct witness witness;
};

#endif
