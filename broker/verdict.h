/*
 * One policy's text made into its filter, proven, with what is told of it. By the broker's
 * unprivileged child, and by its build for the texts of the sources. Pure.
 */
#ifndef AIRLOCK_BROKER_VERDICT_H
#define AIRLOCK_BROKER_VERDICT_H

#include <stddef.h>
#include <stdint.h>

#include "seccomp/filter.h"

enum role {
	ROLE_CONTROL, /* the device's control thread */
	ROLE_WORKER,  /* its packet threads */
	ROLE_BROKER,
	ROLE_SPAWNER,	/* and, beneath their own, all its children */
	ROLE_LAUNCH,	/* minijail0's init and, beneath its own, the device under it */
	ROLE_TRANSPORT, /* both threads of airlock-vfio-user */
	ROLE_TRANSPORT_SPAWNER,
	ROLES
};

#define POLICY_CALLS_MAX 160 /* calls that one policy may name */
#define POLICY_CALL_MAX	 32  /* a call's name with its NUL */

/* What is said of one role, beside its filter. */
struct verdict {
	uint32_t role;
	int32_t error;
	uint32_t ncalls;
	char calls[POLICY_CALLS_MAX][POLICY_CALL_MAX]; /* what it allows, some by argument */
};

/* The name of a role's policy, without ".policy". */
const char *role_name(enum role role);
/* 0 and the filter, the caller's to free; -EINVAL for a text that is wrong or unproven, -errno;
 * the text at `path` is to blame on stderr. */
int verdict_of(const char *path, const char *text, size_t size, struct filter *filter,
	       struct verdict *verdict);

#endif
