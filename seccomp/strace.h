/*
 * Reads what `strace -f -o FILE` wrote, for hosts where eBPF is not to be had. Best with -Y (names
 * of threads) and -e raw=all (registers as they are). Less is known than from the kernel: arguments
 * printed as structures or names that we lack are not known, calls refused with an errno look made,
 * and those of a thread killed alone too.
 */
#ifndef AIRLOCK_SECCOMP_STRACE_H
#define AIRLOCK_SECCOMP_STRACE_H

#include <stdio.h>

#include "policy/tree.h"
#include "seccomp/observed.h"

/*
 * Counts every call in `in`, told apart by the arguments in `wanted`, and settles. Lines that are
 * no calls are passed over; calls of an unknown name are counted as lost. 0; -EINVAL: not one call
 * in it; -ENOMEM; -EIO.
 */
int strace_read(FILE *in, enum policy_arch arch, const uint8_t wanted[TRACE_NUMBERS],
		struct observed *seen);

#endif
