/* How a device ended, in words for people. */
#ifndef AIRLOCK_BROKER_DEATH_H
#define AIRLOCK_BROKER_DEATH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "seccomp/denial.h"

#define DEATH_WORDS 128

/* True when status (of waitpid) is an orderly end. */
bool death_orderly(int status);
/* Writes how it ended: "exited", "exited with 3", "killed by SIGSYS: openat is not allowed". inner
 * is its number in its own namespace; denial may be NULL and then leaves the call unnamed. */
void death_describe(int status, pid_t inner, const struct denial *denial, char words[DEATH_WORDS]);

#endif
