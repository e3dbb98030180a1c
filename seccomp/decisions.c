/* Tables of decisions, in the process that proves: what the kernel makes of a filter's 32 bits. */
#include "seccomp/decisions.h"

#include <linux/seccomp.h>

/* As __seccomp_filter() reads them: an unknown action kills the process, an errno is 4095 at most,
 * and data matter to a SIGSYS handler and to a tracer only. */
uint32_t decisions_read(uint32_t returned)
{
	uint32_t action = returned & SECCOMP_RET_ACTION_FULL, data = returned & SECCOMP_RET_DATA;

	switch (action) {
	case SECCOMP_RET_KILL_THREAD:
	case SECCOMP_RET_USER_NOTIF:
	case SECCOMP_RET_LOG:
	case SECCOMP_RET_ALLOW:
		return action;
	case SECCOMP_RET_ERRNO:
		return action | (data > 4095 ? 4095 : data);
	case SECCOMP_RET_TRAP:
	case SECCOMP_RET_TRACE:
		return returned;
	default:
		return SECCOMP_RET_KILL_PROCESS;
	}
}

void decisions_add(struct decisions *decisions, uint32_t decision, uint32_t set)
{
	if (set == SPACE_EMPTY)
		return;
	for (size_t i = 0; i < decisions->count; i++) {
		if (decisions->at[i].decision != decision)
			continue;
		decisions->at[i].set = space_or(decisions->space, decisions->at[i].set, set);
		return;
	}
	if (decisions->count == DECISIONS_MAX) {
		decisions->overflow = true;
		return;
	}
	decisions->at[decisions->count].decision = decision;
	decisions->at[decisions->count++].set = set;
}

static bool is_kill(uint32_t decision)
{
	return decision == SECCOMP_RET_KILL_PROCESS || decision == SECCOMP_RET_KILL_THREAD;
}

bool decisions_equal(uint32_t a, uint32_t b)
{
	return a == b || (a == DECISION_FOREIGN && is_kill(b)) ||
	       (b == DECISION_FOREIGN && is_kill(a));
}
