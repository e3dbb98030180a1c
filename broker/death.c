/*
 * Puts a wait status into words. Runs in the broker after it has dropped its privileges; the status
 * comes from the spawner, which can lie about it and gains nothing by that.
 */
#include "broker/death.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

bool death_orderly(int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* A killed process says nothing; only the kernel's tracepoint knew the call. */
static void denial_describe(pid_t inner, const struct denial *denial, char words[DEATH_WORDS])
{
	struct denial_record record;

	if (denial_find(denial, inner, &record))
		snprintf(words, DEATH_WORDS, "killed by SIGSYS: an unnamed call is not allowed");
	else
		snprintf(words, DEATH_WORDS, "killed by SIGSYS: %s (call %d) is not allowed",
			 denial_syscall_name(record.nr), record.nr);
}

void death_describe(int status, pid_t inner, const struct denial *denial, char words[DEATH_WORDS])
{
	if (death_orderly(status)) {
		snprintf(words, DEATH_WORDS, "exited");
	} else if (WIFEXITED(status)) {
		snprintf(words, DEATH_WORDS, "exited with %d", WEXITSTATUS(status));
	} else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) {
		denial_describe(inner, denial, words);
	} else if (WIFSIGNALED(status)) {
		const char *name = sigabbrev_np(WTERMSIG(status));

		snprintf(words, DEATH_WORDS, "killed by SIG%s", name ? name : "?");
	} else {
		snprintf(words, DEATH_WORDS, "ended with status %#x", (unsigned)status);
	}
}
