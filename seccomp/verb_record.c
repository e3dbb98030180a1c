/* airlock-policy record: watch, then write the policy that allows just what was seen. One thread;
 * root to trace. */
#include "seccomp/record.h"
#include "seccomp/verbs.h"
#include "seccomp/watch.h"

#include <errno.h>
#include <string.h>

/* What was watched, in words. */
static void name_subject(const struct policy_command *command, char *out, size_t size)
{
	size_t at = 0;

	if (command->pid)
		snprintf(out, size, "process %d", (int)command->pid);
	else if (command->trace)
		snprintf(out, size, "%s", command->trace);
	for (char **word = command->command; word && *word && at < size; word++)
		at += (size_t)snprintf(out + at, size - at, "%s%s", at ? " " : "", *word);
}

static int write_policy(struct policy_command *command, const char *subject,
			const struct observed *seen)
{
	FILE *out = command->output ? fopen(command->output, "we") : stdout;
	int ret;

	if (!out)
		return verb_fail(command, "%s: %s", command->output, strerror(errno));
	ret = record_write(out, command->parse.arch, subject, seen);
	if (command->output && (ferror(out) | fclose(out)))
		return verb_fail(command, "%s: cannot write: %s", command->output, strerror(errno));
	return ret ? verb_fail(command, "%s", strerror(-ret)) : VERB_OK;
}

static int write_json(struct policy_command *command, const char *subject,
		      const struct observed *seen)
{
	json_t *json = record_json(command->parse.arch, subject, seen);
	int ret = json ? json_dumpf(json, stdout, JSON_INDENT(2)) : -1;

	json_decref(json);
	putchar('\n');
	return ret ? verb_fail(command, "out of memory") : VERB_OK;
}

int verb_record(struct policy_command *command)
{
	uint8_t wanted[TRACE_NUMBERS] = {};
	struct observed seen;
	char subject[256] = "";
	int code;

	record_wanted(command->parse.arch, wanted);
	code = watch(command, wanted, !command->output || command->json, &seen);
	if (code)
		return code;
	observed_merge_threads(&seen);
	name_subject(command, subject, sizeof(subject));
	if (command->output || !command->json)
		code = write_policy(command, subject, &seen);
	if (!code && command->json)
		code = write_json(command, subject, &seen);
	if (watch_lost(command, &seen) && !code)
		code = VERB_FAILED;
	observed_free(&seen);
	return code;
}
