/*
 * What a confined program (airlock-device, airlock-vfio-user) can still do to itself once it is in
 * its jail: checks that it holds nothing it must not, and closes what is left. Its first thread, at
 * start, before any byte of a peer is read. Each function is 0 or -errno.
 */
#ifndef AIRLOCK_LIB_CONFINE_H
#define AIRLOCK_LIB_CONFINE_H

#include <stdbool.h>

/* -EPERM: uid 0 (inside, or outside as far as a TAP descriptor tells), the group 0, or a capability
 * in a set that gives one: the bounding set gives none to who has no_new_privs. tap: -1 none. */
int confine_check(int tap);
/* Before the threads exist, which inherit it: not dumpable, no_new_privs, Landlock without a single
 * rule, and no memory both writable and executable. *landlock: the ABI applied; *mdwe: 0 where the
 * kernel has none. */
int confine_begin(bool without_landlock, unsigned int *landlock, bool *mdwe);
/* After the threads exist: not one more. */
int confine_threads(void);

#endif
