/*
 * The one way from a policy's text to a role's filter: which default, which dialect, and which
 * calls it is said to allow. Runs in the broker's compiling child, which nobody trusts, and in its
 * build; trusts the text with nothing.
 */
#include "broker/verdict.h"

#include <stdio.h>

#include "lib/util.h"

static const char *const names[ROLES] = { [ROLE_CONTROL] = "control",
					  [ROLE_WORKER] = "worker",
					  [ROLE_BROKER] = "broker",
					  [ROLE_SPAWNER] = "spawner",
					  [ROLE_LAUNCH] = "launch",
					  [ROLE_TRANSPORT] = "transport",
					  [ROLE_TRANSPORT_SPAWNER] = "transport-spawner" };

const char *role_name(enum role role)
{
	return (unsigned)role < ROLES ? names[role] : "?";
}

int verdict_of(const char *path, const char *text, size_t size, struct filter *filter,
	       struct verdict *verdict)
{
	const struct filter_options options = {
		.default_given = true,
		.default_action = { POLICY_KILL_PROCESS, 0 },
		.dialect = POLICY_DIALECT_MINIJAIL,
		.errors = stderr,
	};
	const char *calls[POLICY_CALLS_MAX];
	int ret = filter_build_text(path, text, size, &options, filter);

	if (ret)
		return ret;
	ret = filter_syscalls_text(path, text, size, &options, calls, ARRAY_SIZE(calls));
	if (ret < 0) {
		filter_free(filter);
		return ret;
	}
	verdict->ncalls = (uint32_t)ret;
	for (size_t i = 0; i < verdict->ncalls; i++)
		snprintf(verdict->calls[i], POLICY_CALL_MAX, "%s", calls[i]);
	return 0;
}
