/*
 * Arguments that choose what a system call does (the request of ioctl, the protection of mmap), as
 * opposed to those it works on (descriptors, addresses, lengths): what a recorded policy tells
 * calls apart by, and what their values are called. A constant table.
 */
#ifndef AIRLOCK_SECCOMP_SELECTOR_H
#define AIRLOCK_SECCOMP_SELECTOR_H

#include <stddef.h>
#include <stdint.h>

#include "policy/tree.h"

/* Bit N: argument N of the call chooses. 0 for most calls. */
uint8_t selector_mask(const char *syscall);

/*
 * The value by name ("PROT_READ|PROT_WRITE"), or in hexadecimal where it has none; "0" is "0". Cut
 * at `size`. Returns `out`.
 */
const char *selector_format(enum policy_arch arch, const char *syscall, int argument,
			    uint64_t value, char *out, size_t size);

#endif
