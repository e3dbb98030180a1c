/*
 * What every device inherits: the spawner confines itself once, and its children are born into it.
 * Runs in the spawner, alone, between clone and the first order.
 */
#ifndef AIRLOCK_BROKER_JAIL_H
#define AIRLOCK_BROKER_JAIL_H

#include "broker/ids.h"
#include "broker/order.h"

/* Numbers of descriptors within the jail. A device is born with the first three, a transport with
 * two. */
enum jail_fd {
	JAIL_CHANNEL = 3,
	JAIL_CONTROL,		       /* filter of its control thread, or */
	JAIL_TRANSPORT = JAIL_CONTROL, /* of all of a transport's */
	JAIL_WORKER,		       /* filter of its packet threads */
	JAIL_EXE,		       /* airlock-device or airlock-vfio-user, O_PATH */
	JAIL_ORDERS,
	JAIL_PROC,   /* the host's /proc, for witnesses alone */
	JAIL_FILTER, /* the spawner's own filter, gone once installed */
	JAIL_END
};

struct jail {
	const struct ids *ids;
	int fds[JAIL_END]; /* in: the broker's numbers, -1: none; CHANNEL unused */
	unsigned allowed;  /* LAYER_BITs that may be missing */
	unsigned missing;  /* LAYER_BITs that are; in: namespaces, out: all */
	int landlock_abi;  /* out; 0: none */
};

/* 0, or -errno with the step that failed. */
int jail_enter(struct jail *jail, enum step *failed);

#endif
