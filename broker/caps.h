/*
 * Capability sets of the calling thread as masks, one bit a capability. Plain system calls: also
 * for children between fork and exec.
 */
#ifndef AIRLOCK_BROKER_CAPS_H
#define AIRLOCK_BROKER_CAPS_H

#include <stdint.h>

#define CAP_BIT(cap) (1ull << (cap))

/* Effective and permitted become `keep` (of what is permitted), inheritable and ambient empty. 0 or
 * -errno; -EPERM: not all of keep is permitted. */
int caps_limit(uint64_t keep);
/* Effective alone, within what is permitted. */
int caps_effective(uint64_t effective);
/* Empties the bounding set; needs CAP_SETPCAP unless it is empty already. */
int caps_unbound(void);

#endif
