/*
 * Where observations come from, as the command line says: a process (--pid), a command (--
 * COMMAND...) or strace's text
 * (--trace). One at a time, in airlock-policy's only thread.
 */
#ifndef AIRLOCK_SECCOMP_WATCH_H
#define AIRLOCK_SECCOMP_WATCH_H

#include "seccomp/observed.h"
#include "seccomp/verbs.h"

/*
 * Watches until the process or command and its descendants have ended, or until SIGINT or SIGTERM
 * (passed on to the command; the second one ends the watch). The command's standard output goes to
 * standard error where `quiet_stdout`: standard output is for results. Calls are told apart by the
 * arguments in `wanted`. VERB_OK with `seen` settled, or the exit code after a message.
 */
int watch(const struct policy_command *command, const uint8_t wanted[TRACE_NUMBERS],
	  bool quiet_stdout, struct observed *seen);

/* A line on stderr when calls were lost, and whether there were any: then results are incomplete.
 */
bool watch_lost(const struct policy_command *command, const struct observed *seen);

#endif
