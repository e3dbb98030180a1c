/* The words for actions and comparisons, for any thread. */
#include "policy/action.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/condition.h"
#include "policy/names.h"

static const char *const verdict_names[] = {
	[POLICY_KILL_PROCESS] = "kill-process",
	[POLICY_KILL_THREAD] = "kill-thread",
	[POLICY_TRAP] = "trap",
	[POLICY_ERRNO] = "errno",
	[POLICY_NOTIFY] = "user-notify",
	[POLICY_TRACE] = "trace",
	[POLICY_LOG] = "log",
	[POLICY_ALLOW] = "allow",
};

int policy_action_parse(const char *text, struct policy_action *out)
{
	uint64_t number;
	char *end;

	for (size_t i = 0; i < sizeof(verdict_names) / sizeof(verdict_names[0]); i++) {
		if (i != POLICY_ERRNO && !strcmp(text, verdict_names[i])) {
			*out = (struct policy_action){ (enum policy_verdict)i, 0 };
			return 0;
		}
	}
	if (strncmp(text, "errno=", 6) != 0)
		return -EINVAL;
	text += 6;
	if (policy_constant(POLICY_X86_64, text, &number) < 0) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		errno = 0;
		number = strtoull(text, &end, 0);
		if (errno || *end)
			return -EINVAL;
	}
	if (number > 4095)
		return -EINVAL;
	*out = (struct policy_action){ POLICY_ERRNO, (uint16_t)number };
	return 0;
}

const char *policy_action_format(struct policy_action action, char buffer[32])
{
	if (action.verdict != POLICY_ERRNO)
		return verdict_names[action.verdict];
	snprintf(buffer, 32, "errno=%u", action.number);
	return buffer;
}

const char *policy_comparison_name(enum policy_comparison comparison)
{
	static const char *const names[] = { "==", "!=", "<", "<=", ">", ">=", "&", "in" };

	return names[comparison];
}
