/*
 * minijail0 as the device's jailer: where it is, and the command line that makes it build the
 * broker's jail as nearly as it can. airlock-minijail's only thread, while it is privileged.
 */
#ifndef AIRLOCK_BROKER_JAILER_H
#define AIRLOCK_BROKER_JAILER_H

#include <limits.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/channel.h"

#define JAILER_ROOT "/run/airlock/empty" /* where the jail's root is mounted, in the jail only */

struct jailer {
	char path[PATH_MAX]; /* minijail0 */
	char device[PATH_MAX];
	uid_t uid;
	gid_t gid;
	int launch; /* the filter that minijail0 installs; borrowed, as are those below */
	int connection, control, worker;
	const int *taps;
	size_t ntaps;
	char *const *extra; /* the administrator's words for minijail0 */
	size_t nextra;
	const char *const *device_words; /* NULL at their end; the first is the program's name */
};

/* Finds minijail0: $AIRLOCK_MINIJAIL0, else in $PATH. 0, or -ENOENT (logged, with what to do). */
int jailer_find(struct jailer *jailer);
/* The path of the program behind an O_PATH descriptor. 0 or -errno (logged). */
int jailer_device(struct jailer *jailer, int program);
/* Makes JAILER_ROOT, passes on the descriptors named above and no other from 3 up but `kept` (-1
 * none), and becomes minijail0 with an empty environment. Returns only to tell of a failure: -errno
 * (logged). */
int jailer_exec(const struct jailer *jailer, int kept);

#endif
