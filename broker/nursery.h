/*
 * The spawner's own half: pid 1 of the jail. It confines itself, makes devices on order, reaps
 * them, and dies with the broker; with it dies everything in its namespaces.
 */
#ifndef AIRLOCK_BROKER_NURSERY_H
#define AIRLOCK_BROKER_NURSERY_H

#include "broker/jail.h"

/* Devices that exist at one time: those that serve or wait, and those that are slow to die. */
#define NURSERY_CHILDREN 32
#define NURSERY_ARGS	 64 /* of a device, with those added here and the NULL */
#define NURSERY_OPTIONS	 (NURSERY_ARGS - 5)

struct nursery {
	struct jail jail;
	pid_t broker;		    /* as the host sees it */
	const char **options;	    /* of every device, its name first, NULL at the end: at most
				       NURSERY_OPTIONS */
	const char *const *filters; /* roles of JAIL_CONTROL and what follows, NULL at the end */
};

/* The rest of the spawner's life, on the broker's memory as it was at the clone. */
_Noreturn void nursery_run(struct nursery *nursery);

#endif
