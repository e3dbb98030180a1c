/*
 * The policies of one broker: text found and judged here, compiled and proven by an unprivileged
 * child, kept as sealed memory files that no one can change any more.
 */
#ifndef AIRLOCK_BROKER_POLICIES_H
#define AIRLOCK_BROKER_POLICIES_H

#include <stddef.h>
#include <sys/types.h>

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

/* Sets: who supervises devices, and transports beside them; who hands one to minijail0. */
#define ROLE_BIT(role)	    (1u << (role))
#define POLICIES_SUPERVISED (ROLE_BIT(ROLE_LAUNCH) - 1)
#define POLICIES_PAIRED	    (ROLE_BIT(ROLE_TRANSPORT) | ROLE_BIT(ROLE_TRANSPORT_SPAWNER))
#define POLICIES_JAILED	    (ROLE_BIT(ROLE_CONTROL) | ROLE_BIT(ROLE_WORKER) | ROLE_BIT(ROLE_LAUNCH))

#define POLICY_FILE_MAX	 32  /* "control.policy" with its NUL */
#define POLICY_CALLS_MAX 160 /* calls that one policy may name */
#define POLICY_CALL_MAX	 32  /* a call's name with its NUL */

struct policies_role {
	int fd;		       /* owned: the filter's bytes, a sealed memory file; -1: not loaded */
	unsigned short length; /* instructions */
	char file[POLICY_FILE_MAX]; /* name within the directory */
	char sha256[65];	    /* of the bytes, lower-case hex */
	size_t ncalls;
	char calls[POLICY_CALLS_MAX][POLICY_CALL_MAX]; /* what it allows, some by argument */
};

struct policies {
	struct policies_role roles[ROLES]; /* filled by policies_finish(), but for fd */
	unsigned pending;		   /* ROLE_BITs of which the child has not told */
	pid_t child;			   /* that compiles; 0: none */
	int verdicts;			   /* owned: what it says; -1: none */
};

const char *role_name(enum role role);
/*
 * Finds the texts and has a child compile and prove them, while the caller does other things. dir:
 * --policy-dir, or NULL for ../share/airlock/policy of this program. uid, gid: whom the child runs
 * as (the spawner's ids). *out is the caller's (policies_free). -EPERM: others may write there, a
 * configuration error. Else -errno. Logged.
 */
int policies_begin(const char *dir, unsigned roles, uid_t uid, gid_t gid, struct policies **out);
/* Waits for the filters of these roles, and others that come before them, and seals them. -EINVAL:
 * a text is wrong or unproven (the child has said where), a configuration error. Else -errno.
 * Logged. */
int policies_finish(struct policies *policies, unsigned roles);
/* Both, for all of them. */
int policies_load(const char *dir, unsigned roles, uid_t uid, gid_t gid, struct policies **out);
/* NULL is fine; so is one whose child still compiles. */
void policies_free(struct policies *policies);

#endif
