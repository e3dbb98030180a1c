/*
 * airlock-policy report: policies, and audits of them, as one page. Runs in airlock-policy's only
 * thread, without privilege.
 */
#include "seccomp/audit.h"
#include "seccomp/report.h"
#include "seccomp/watch.h"

#include <errno.h>
#include <string.h>

static bool is_audit(const char *operand)
{
	size_t length = strlen(operand);

	return length > 5 && !strcmp(operand + length - 5, ".json");
}

static int add_failed(struct policy_command *command, const char *file, int err)
{
	if (err == -EEXIST)
		return verb_usage(command,
				  "%s: it is about another text of a policy that is given too",
				  file);
	if (err == -EINVAL)
		return verb_usage(command, "%s: not what `airlock-policy audit --json` writes",
				  file);
	return verb_fail(command, "%s: %s", file, strerror(-err));
}

static int add_file(struct policy_command *command, struct report *report, const char *file)
{
	json_error_t error;
	json_t *audit = json_load_file(file, 0, &error);
	int ret;

	if (!audit)
		return verb_usage(command, "%s:%d:%d: %s", file, error.line, error.column,
				  error.text);
	ret = report_add(report, audit, true);
	json_decref(audit);
	return ret ? add_failed(command, file, ret) : VERB_OK;
}

/* The policies given, held against --trace or against nothing. */
static int add_policies(struct policy_command *command, struct audit *audit, struct report *report)
{
	uint8_t wanted[TRACE_NUMBERS] = {};
	int ret, code = VERB_OK;
	json_t *json;

	for (int i = 0; !code && i < command->operands_count; i++)
		if (!is_audit(command->operands[i]))
			code = audit_add(audit, command, command->operands[i]);
	if (code)
		return code;
	if (audit_wanted(audit, wanted))
		return verb_fail(command, "out of memory");
	if (command->trace)
		code = watch(command, wanted, false, &audit->seen);
	if (code)
		return code;
	if (audit_judge(audit))
		return verb_fail(command, "out of memory");
	json = audit_json(audit);
	ret = json ? report_add(report, json, command->trace) : -ENOMEM;
	json_decref(json);
	return ret ? add_failed(command, "the policies", ret) : VERB_OK;
}

static int add_all(struct policy_command *command, struct audit *audit, struct report *report)
{
	int code = add_policies(command, audit, report);

	for (int i = 0; !code && i < command->operands_count; i++)
		if (is_audit(command->operands[i]))
			code = add_file(command, report, command->operands[i]);
	return code;
}

static int write_report(struct policy_command *command, const struct report *report)
{
	FILE *out = command->output ? fopen(command->output, "we") : stdout;

	if (!out)
		return verb_fail(command, "%s: %s", command->output, strerror(errno));
	if (command->json) {
		json_t *json = json_pack("{s:s, s:b, s:b, s:O}", "schema",
					 "airlock-policy/report/1", "observed", report->observed,
					 "complete", report->complete, "policies", report->columns);

		json_dumpf(json, out, JSON_INDENT(2));
		json_decref(json);
		fputc('\n', out);
	} else {
		report_html(report, out);
	}
	if (command->output && (ferror(out) | fclose(out)))
		return verb_fail(command, "%s: cannot write: %s", command->output, strerror(errno));
	return VERB_OK;
}

int verb_report(struct policy_command *command)
{
	static struct audit audit;
	struct report report;
	int code;

	if (report_open(&report))
		return verb_fail(command, "out of memory");
	code = add_all(command, &audit, &report);
	if (!code)
		code = write_report(command, &report);
	report_close(&report);
	audit_close(&audit);
	return code;
}
