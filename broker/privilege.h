/*
 * What the broker keeps once everything is open: one table in privilege.c says what and why. After
 * privilege_drop() there is no capability on the host (one at most), no file to open, and a filter.
 */
#ifndef AIRLOCK_BROKER_PRIVILEGE_H
#define AIRLOCK_BROKER_PRIVILEGE_H

#include <stddef.h>
#include <stdint.h>

#include "broker/layer.h"

#define PRIVILEGE_DIRS_MAX 4

struct privilege_options {
	int socket_dirs[PRIVILEGE_DIRS_MAX]; /* borrowed: directories of sockets to remove at the
						end */
	size_t ndirs;
	int filter_fd;	   /* borrowed: the broker's compiled policy (policies.h) */
	unsigned degraded; /* layers that the jail went without, of spawner_degraded() */
	unsigned allowed;  /* LAYER_BITs that may be missing */
};

struct privilege_state {
	uint64_t capabilities; /* that were kept, one bit each */
	unsigned landlock_abi; /* 0: none */
	unsigned degraded;     /* LAYER_BITs that the broker itself lacks */
};

/* The last thing before the broker serves: empties groups and capabilities, sets no_new_privs and
 * not dumpable, closes Landlock, installs the filter. 0 or -errno (logged); on failure the process
 * is half dropped and must end. */
int privilege_drop(const struct privilege_options *options, struct privilege_state *state);

#endif
