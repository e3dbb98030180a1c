/*
 * Landlock for broker, spawner and device: everything that the kernel's ABI knows is denied but
 * what a few rules allow. For good, and for every child.
 */
#ifndef AIRLOCK_LIB_LANDLOCK_H
#define AIRLOCK_LIB_LANDLOCK_H

#include <linux/landlock.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct landlock_rule {
	int fd;		/* file or directory, O_PATH will do; -1: no rule */
	uint64_t allow; /* LANDLOCK_ACCESS_FS_, beneath it */
};

/* scoped: no signal and no abstract socket to processes outside either (newer kernels). Needs
 * no_new_privs. The ABI applied, at least 1; -ENOSYS or -EOPNOTSUPP: no Landlock here; -errno. */
int landlock_close(const struct landlock_rule *rules, size_t n, bool scoped);

#endif
