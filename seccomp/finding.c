/* Words for findings, the same in text, JSON and HTML. Runs in airlock-policy's only thread. */
#include "seccomp/finding.h"
#include "policy/names.h"
#include "seccomp/phrase.h"
#include "seccomp/selector.h"

#include <string.h>

const char *finding_fate(const struct judge_finding *finding)
{
	if (finding->call->outcome != TRACE_MADE)
		return "refused by the kernel";
	return finding->decision.verdict == JUDGE_UNKNOWN ? "may be refused" : "would be refused";
}

void finding_why(FILE *out, const struct judge_finding *finding)
{
	const struct judge_decision *d = &finding->decision;

	switch (d->verdict) {
	case JUDGE_PASSES:
		fputs("another filter than this policy refuses it", out);
		break;
	case JUDGE_NO_RULE:
		fputs("no rule for it", out);
		break;
	case JUDGE_ARGUMENTS:
		fprintf(out, "outside the conditions of %s:%u", d->rule->place.file,
			d->rule->place.line);
		break;
	case JUDGE_BY_RULE:
		fprintf(out, "%s:%u says so", d->rule->place.file, d->filter->place.line);
		break;
	case JUDGE_FOREIGN:
		fputs("made through another architecture's entry", out);
		break;
	case JUDGE_UNKNOWN:
		fprintf(out, "%s:%u looks at an argument that the trace does not tell",
			d->rule->place.file, d->rule->place.line);
		break;
	}
}

static uint8_t looked_at(const struct policy_rule *rule)
{
	uint8_t mask = 0;

	for (const struct policy_filter *f = rule->filters; f; f = f->next)
		for (const struct policy_clause *c = f->clauses; c; c = c->next)
			for (const struct policy_atom *a = c->atoms; a; a = a->next)
				mask |= (uint8_t)(1 << a->argument);
	return mask;
}

bool finding_is_missing(enum policy_arch arch, const struct judge_finding *finding)
{
	enum judge_verdict verdict = finding->decision.verdict;

	return (verdict == JUDGE_NO_RULE || verdict == JUDGE_ARGUMENTS) &&
	       !finding->call->foreign && policy_syscall_name(arch, (uint32_t)finding->call->nr);
}

void finding_missing(FILE *out, enum policy_arch arch, const struct judge_finding *finding)
{
	const struct observed_call *call = finding->call;
	const char *name;
	uint8_t mask;

	if (!finding_is_missing(arch, finding))
		return;
	name = policy_syscall_name(arch, (uint32_t)call->nr);
	mask = finding->decision.rule ? looked_at(finding->decision.rule) : selector_mask(name);
	mask &= call->known;
	fprintf(out, "%s: ", name);
	if (mask)
		phrase_condition(out, call->args, mask);
	else
		fputc('1', out);
}
