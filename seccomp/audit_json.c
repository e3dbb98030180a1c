/*
 * An audit as JSON, "airlock-policy/audit/1" of docs/policy-json.md: what report reads back. Runs
 * in airlock-policy's only thread; every string is made printable on the way in, for JSON knows
 * UTF-8 alone.
 */
#include "seccomp/audit.h"
#include "policy/names.h"
#include "policy/parse.h"
#include "seccomp/finding.h"
#include "seccomp/phrase.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A stream into memory that ends as a JSON string. */
struct text {
	FILE *out;
	char *bytes;
	size_t size;
};

static FILE *text_begin(struct text *text)
{
	text->out = open_memstream(&text->bytes, &text->size);
	return text->out;
}

/* NULL (no memory), null (nothing was written) or the string. */
static json_t *text_end(struct text *text)
{
	json_t *string;

	if (fclose(text->out))
		return NULL;
	string = text->size ? json_string(text->bytes) : json_null();
	for (size_t i = 0; !string && i < text->size; i++)
		text->bytes[i] = text->bytes[i] & 0x80 ? '?' : text->bytes[i];
	if (!string)
		string = json_string(text->bytes);
	free(text->bytes);
	return string;
}

static json_t *json_words(const char *words)
{
	struct text text;

	if (!text_begin(&text))
		return NULL;
	fputs(words, text.out);
	return text_end(&text);
}

static json_t *json_clause(enum policy_arch arch, const struct judge_use *use)
{
	struct text text;

	if (!use->clause)
		return json_null();
	if (!text_begin(&text))
		return NULL;
	phrase_clause(text.out, arch, use->rule->name, use->clause);
	return text_end(&text);
}

/* One alternative of a rule: null for a rule without condition. */
static json_t *json_use(const struct audit *audit, const struct policy *policy,
			const struct judge_use *use)
{
	struct policy_action action = use->filter ? use->filter->action : policy->default_action;
	const struct policy_place *place = use->filter ? &use->filter->place : &use->rule->place;
	char buffer[32];

	return json_pack("{s:I, s:o, s:s, s:I}", "line", (json_int_t)place->line, "when",
			 json_clause(audit->arch, use), "action",
			 policy_action_format(action, buffer), "count", (json_int_t)use->count);
}

static json_t *json_rules(const struct audit *audit, const struct audit_part *part)
{
	const struct judge *judge = &part->judge;
	json_t *rules = json_array(), *uses = NULL, *rule;
	const struct policy_rule *last = NULL;
	json_int_t count = 0;

	for (size_t i = 0; i < judge->uses_count; i++) {
		const struct judge_use *use = &judge->uses[i];

		if (use->rule != last) {
			uses = json_array();
			count = 0;
			rule = json_pack("{s:s, s:I, s:o, s:I, s:o, s:o}", "syscall",
					 use->rule->name, "nr", (json_int_t)use->rule->number,
					 "file", json_words(use->rule->place.file), "line",
					 (json_int_t)use->rule->place.line, "reason",
					 json_words(use->rule->reason), "conditions", uses);
			json_array_append_new(rules, rule);
			last = use->rule;
		}
		count += (json_int_t)use->count;
		json_object_set_new(json_array_get(rules, json_array_size(rules) - 1), "count",
				    json_integer(count));
		json_array_append_new(uses, json_use(audit, part->policy, use));
	}
	return rules;
}

/* Six strings in hexadecimal; null for an argument that is not known. */
static json_t *json_arguments(const struct observed_call *call)
{
	json_t *args = json_array();
	char hex[24];

	for (int i = 0; i < 6; i++) {
		uint64_t value = call->known & 1 << i ? call->args[i] : call->first[i];

		snprintf(hex, sizeof(hex), "0x%" PRIx64, value);
		json_array_append_new(args, (call->known | call->first_known) & 1 << i
						    ? json_string(hex)
						    : json_null());
	}
	return args;
}

static json_t *json_call(enum policy_arch arch, const struct observed_call *call)
{
	const char *name = call->foreign ? NULL : policy_syscall_name(arch, (uint32_t)call->nr);

	return json_pack("{s:s, s:I, s:s?, s:o}", "arch",
			 call->foreign ? "foreign" : policy_arch_name(arch), "nr",
			 (json_int_t)call->nr, "name", name, "args", json_arguments(call));
}

static json_t *json_role(const struct observed_call *call)
{
	struct text text;

	if (!text_begin(&text))
		return NULL;
	phrase_role(text.out, call->role);
	return text_end(&text);
}

static json_t *json_finding(const struct audit *audit, const struct judge_finding *finding)
{
	static const char *const verdicts[] = {
		[JUDGE_PASSES] = "passes",	 [JUDGE_NO_RULE] = "no-rule",
		[JUDGE_ARGUMENTS] = "arguments", [JUDGE_BY_RULE] = "rule",
		[JUDGE_FOREIGN] = "foreign",	 [JUDGE_UNKNOWN] = "unknown",
	};
	static const char *const kernel[] = {
		[TRACE_MADE] = NULL,
		[TRACE_SIGNAL] = "sigsys",
		[TRACE_ERRNO] = "errno",
		[TRACE_THREAD] = "kill-thread",
	};
	const struct observed_call *call = finding->call;
	const struct policy_rule *rule = finding->decision.rule;
	struct text why, missing, words;

	if (!text_begin(&why) || !text_begin(&missing) || !text_begin(&words))
		return NULL;
	finding_why(why.out, finding);
	finding_missing(missing.out, audit->arch, finding);
	phrase_call(words.out, audit->arch, call);
	return json_pack("{s:s, s:s?, s:o, s:o, s:o, s:o, s:o, s:o, s:i, s:i, s:I, s:I}", "verdict",
			 verdicts[finding->decision.verdict], "kernel", kernel[call->outcome],
			 "call", json_call(audit->arch, call), "text", text_end(&words), "line",
			 rule ? json_integer(rule->place.line) : json_null(), "why", text_end(&why),
			 "missing", text_end(&missing), "role", json_role(call), "tgid",
			 (int)call->tgid, "tid", (int)call->tid, "threads",
			 (json_int_t)finding->threads, "count", (json_int_t)finding->count);
}

static json_t *json_properties(const struct policy *policy)
{
	json_t *properties = json_array();
	const char *last = "";

	/* One statement may be about several calls; it is one statement. */
	for (const struct policy_property *p = policy->properties; p; p = p->next) {
		if (strcmp(last, p->text) != 0)
			json_array_append_new(properties, json_words(p->text));
		last = p->text;
	}
	return properties;
}

static json_t *json_part(const struct audit *audit, const struct audit_part *part)
{
	json_t *findings = json_array();
	char action[32];

	for (size_t i = 0; i < part->judge.findings_count; i++)
		json_array_append_new(findings, json_finding(audit, &part->judge.findings[i]));
	return json_pack("{s:o, s:s?, s:s, s:b, s:o, s:I, s:I, s:o, s:o}", "file",
			 json_words(part->file), "for", part->threads, "default",
			 policy_action_format(part->policy->default_action, action),
			 "default_given", part->policy->default_given, "properties",
			 json_properties(part->policy), "threads", (json_int_t)part->judge.threads,
			 "calls", (json_int_t)part->judge.calls, "rules", json_rules(audit, part),
			 "findings", findings);
}

/* Calls that no policy judged, by role. */
static json_t *json_unjudged(const struct audit *audit)
{
	const struct observed *seen = &audit->seen;
	json_t *roles = json_array(), *last = NULL;
	const char *role = NULL;
	json_int_t calls = 0;

	for (size_t i = 0; i < seen->count; i++) {
		if (audit_is_judged(audit, i))
			continue;
		if (!role || strncmp(role, seen->calls[i].role, OBSERVED_ROLE)) {
			role = seen->calls[i].role;
			calls = 0;
			last = json_pack("{s:o}", "role", json_role(&seen->calls[i]));
			json_array_append_new(roles, last);
		}
		calls += (json_int_t)seen->calls[i].count;
		json_object_set_new(last, "calls", json_integer(calls));
	}
	return roles;
}

json_t *audit_json(const struct audit *audit)
{
	const struct observed *seen = &audit->seen;
	json_t *policies = json_array();

	for (size_t i = 0; i < audit->count; i++)
		json_array_append_new(policies, json_part(audit, &audit->parts[i]));
	return json_pack("{s:s, s:s, s:b, s:{s:I, s:I}, s:o, s:o}", "schema",
			 "airlock-policy/audit/1", "arch", policy_arch_name(audit->arch),
			 "complete", !seen->lost_calls && !seen->lost_threads, "lost", "calls",
			 (json_int_t)seen->lost_calls, "threads", (json_int_t)seen->lost_threads,
			 "policies", policies, "not_judged", json_unjudged(audit));
}
