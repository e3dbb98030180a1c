/* Proving a filter against a text by going through both at once, for what is too large to be held
 * as sets: many conditions on several arguments each. */
#pragma once

#include "seccomp/verify.h"

/* 0: proven; 1: refuted by a call that both were run on; -EAGAIN: not decided this way; -ENOMEM.
 * INSNS has passed program_check(). */
int lockstep_verify(const struct policy *policy, const struct sock_filter *insns, size_t len,
		    struct verify_difference *difference);
