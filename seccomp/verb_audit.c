/*
 * airlock-policy audit: observed against allowed. One line a fact, FILE:LINE first where a line of
 * a policy is meant. Runs in airlock-policy's only thread.
 */
#include "seccomp/audit.h"
#include "seccomp/finding.h"
#include "seccomp/phrase.h"
#include "seccomp/watch.h"

#include "policy/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define FINDINGS_SHOWN 8 /* of one role and call: JSON has them all */

static void print_unused(const struct audit *audit, const struct audit_part *part)
{
	char action[32];

	for (size_t i = 0; i < part->judge.uses_count; i++) {
		const struct judge_use *use = &part->judge.uses[i];
		const struct policy_place *place =
			use->filter ? &use->filter->place : &use->rule->place;

		if (use->count)
			continue;
		printf("%s:%u: never used: %s", place->file, place->line, use->rule->name);
		if (use->clause) {
			fputs(": ", stdout);
			phrase_clause(stdout, audit->arch, use->rule->name, use->clause);
		}
		if (use->filter && use->filter->action.verdict != POLICY_ALLOW)
			printf(": %s", policy_action_format(use->filter->action, action));
		putchar('\n');
	}
}

static void print_finding(const struct audit *audit, const struct audit_part *part,
			  const struct judge_finding *finding)
{
	printf("%s: %s: ", part->file, finding_fate(finding));
	phrase_call(stdout, audit->arch, finding->call);
	fputs(" by ", stdout);
	phrase_thread(stdout, finding->call);
	if (finding->threads > 1)
		printf(" and %zu more", finding->threads - 1);
	printf(", %" PRIu64 " time%s: ", finding->count, finding->count == 1 ? "" : "s");
	finding_why(stdout, finding);
	if (finding_is_missing(audit->arch, finding)) {
		fputs("; missing: ", stdout);
		finding_missing(stdout, audit->arch, finding);
	}
	putchar('\n');
}

static bool alike(const struct judge_finding *a, const struct judge_finding *b)
{
	return a->call->nr == b->call->nr && a->call->outcome == b->call->outcome &&
	       !strncmp(a->call->role, b->call->role, OBSERVED_ROLE);
}

static void print_findings(const struct audit *audit, const struct audit_part *part)
{
	const struct judge_finding *all = part->judge.findings;
	size_t run = 0;

	for (size_t i = 0; i < part->judge.findings_count; i++) {
		bool last = i + 1 == part->judge.findings_count || !alike(&all[i], &all[i + 1]);

		if (run++ < FINDINGS_SHOWN)
			print_finding(audit, part, &all[i]);
		if (last && run > FINDINGS_SHOWN)
			printf("%s: ... and with %zu other sets of arguments\n", part->file,
			       run - FINDINGS_SHOWN);
		run = last ? 0 : run;
	}
}

static void print_summary(const struct audit_part *part)
{
	const struct judge *judge = &part->judge;
	const struct policy_rule *last = NULL;
	size_t rules = 0, used = 0;
	bool counted = false;

	for (size_t i = 0; i < judge->uses_count; i++) {
		rules += judge->uses[i].rule != last;
		counted = judge->uses[i].rule == last && counted;
		used += judge->uses[i].count && !counted;
		counted |= judge->uses[i].count != 0;
		last = judge->uses[i].rule;
	}
	printf("%s: %zu of %zu rules used by %" PRIu64 " calls of %zu threads%s%s\n", part->file,
	       used, rules, judge->calls, judge->threads, part->threads ? " named " : "",
	       part->threads ? part->threads : "");
}

static void print_unjudged(const struct audit *audit)
{
	uint64_t calls = 0;

	for (size_t i = 0; i < audit->seen.count; i++)
		calls += audit_is_judged(audit, i) ? 0 : audit->seen.calls[i].count;
	if (calls)
		printf("not judged: %" PRIu64
		       " calls made before a thread's last filter, or by threads that no "
		       "policy here is for\n",
		       calls);
}

static void print_text(const struct audit *audit)
{
	for (size_t i = 0; i < audit->count; i++) {
		print_unused(audit, &audit->parts[i]);
		print_findings(audit, &audit->parts[i]);
		print_summary(&audit->parts[i]);
	}
	print_unjudged(audit);
}

static int write_json(struct policy_command *command, const struct audit *audit)
{
	FILE *out = command->output ? fopen(command->output, "we") : stdout;
	json_t *json;
	int ret;

	if (!out)
		return verb_fail(command, "%s: %s", command->output, strerror(errno));
	json = audit_json(audit);
	ret = json ? json_dumpf(json, out, JSON_INDENT(2)) : -1;
	json_decref(json);
	fputc('\n', out);
	if (command->output)
		ret |= ferror(out) | fclose(out);
	return ret ? verb_fail(command, "%s: cannot write",
			       command->output ? command->output : "stdout")
		   : VERB_OK;
}

static int audit_all(struct policy_command *command, struct audit *audit)
{
	uint8_t wanted[TRACE_NUMBERS] = {};
	int code = VERB_OK;

	for (int i = 0; !code && i < command->operands_count; i++)
		code = audit_add(audit, command, command->operands[i]);
	if (!code && audit_wanted(audit, wanted))
		code = verb_fail(command, "out of memory");
	if (!code)
		code = watch(command, wanted, true, &audit->seen);
	if (!code && audit_judge(audit))
		code = verb_fail(command, "out of memory");
	return code;
}

int verb_audit(struct policy_command *command)
{
	static struct audit audit;
	int code;

	code = audit_all(command, &audit);
	if (!code && (command->json || command->output))
		code = write_json(command, &audit);
	if (!code && !(command->json && !command->output) && !command->quiet)
		print_text(&audit);
	if (!code && (watch_lost(command, &audit.seen) || audit_refused(&audit)))
		code = VERB_DIFFERS;
	audit_close(&audit);
	return code;
}
