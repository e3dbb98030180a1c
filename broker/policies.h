/*
 * The policies of one broker: text found and judged here; filters proven, for the texts that this
 * program was built with then (builtin.h), for others by an unprivileged child now; kept as sealed
 * memory files that no one can change any more.
 */
#ifndef AIRLOCK_BROKER_POLICIES_H
#define AIRLOCK_BROKER_POLICIES_H

#include <stddef.h>
#include <sys/types.h>

#include "broker/verdict.h"

/* Sets: who supervises devices, and transports beside them; who hands one to minijail0. */
#define ROLE_BIT(role)	    (1u << (role))
#define POLICIES_SUPERVISED (ROLE_BIT(ROLE_LAUNCH) - 1)
#define POLICIES_PAIRED	    (ROLE_BIT(ROLE_TRANSPORT) | ROLE_BIT(ROLE_TRANSPORT_SPAWNER))
#define POLICIES_JAILED	    (ROLE_BIT(ROLE_CONTROL) | ROLE_BIT(ROLE_WORKER) | ROLE_BIT(ROLE_LAUNCH))

#define POLICY_FILE_MAX 32 /* "control.policy" with its NUL */

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
	pid_t child;			   /* that compiles what was not built in; 0: none */
	int verdicts;			   /* owned: what it says; -1: none */
};

/*
 * Finds the texts, takes the filters of those that are known, and has a child compile and prove
 * the others while the caller does other things. dir: --policy-dir, or NULL for
 * ../share/airlock/policy of this program. uid, gid: whom the child runs as (the spawner's ids).
 * *out is the caller's (policies_free). -EPERM: others may write there, a configuration error.
 * Else -errno. Logged.
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
