/* What happens to a call. */
#pragma once

#include <stdint.h>

/* In the order of the kernel's precedence, strictest first. */
enum policy_verdict {
	POLICY_KILL_PROCESS,
	POLICY_KILL_THREAD,
	POLICY_TRAP,
	POLICY_ERRNO,
	POLICY_NOTIFY,
	POLICY_TRACE,
	POLICY_LOG,
	POLICY_ALLOW,
};

struct policy_action {
	enum policy_verdict verdict;
	uint16_t number; /* the errno of POLICY_ERRNO, 0 to 4095; 0 elsewhere */
};

/* "kill-process", "errno=1" and so on, as options and output spell them. -EINVAL for anything else.
 */
int policy_action_parse(const char *text, struct policy_action *out);
const char *policy_action_format(struct policy_action action, char buffer[32]);
