/*
 * Calls and conditions in words: as people read them, and as policies spell them. Pure functions
 * that write to a stream.
 */
#ifndef AIRLOCK_SECCOMP_PHRASE_H
#define AIRLOCK_SECCOMP_PHRASE_H

#include <stdio.h>

#include "policy/tree.h"
#include "seccomp/observed.h"

/* "ioctl", or its number where it has no name. */
void phrase_name(FILE *out, enum policy_arch arch, const struct observed_call *call);

/* "ioctl(0x3, TCGETS, ?)": all the arguments that the call takes, by name where they have one. */
void phrase_call(FILE *out, enum policy_arch arch, const struct observed_call *call);

/* "arg1 == 0x5401 && arg2 == 0x0": the arguments in `mask` in a policy's words; nothing for none.
 */
void phrase_condition(FILE *out, const uint64_t args[6], uint8_t mask);

/* "arg1 == TCGETS && arg2 in 0x3"; "any" for NULL. For people: names that a parser may not have. */
void phrase_clause(FILE *out, enum policy_arch arch, const char *syscall,
		   const struct policy_clause *clause);

/* "worker-0 [1234/1236]" or "worker-0 [1236]" or "[1236]": name, process, thread. */
void phrase_thread(FILE *out, const struct observed_call *call);

/* The name alone, what does not print replaced by '?'. */
void phrase_role(FILE *out, const char role[OBSERVED_ROLE]);

#endif
