/*
 * Decides what a policy's text does with calls that were seen, and counts the use of its lines. A
 * reading of the tree of its own, for arguments that may be unknown; the compiled filter is proven
 * elsewhere (verify.h). Pure functions in airlock-policy's only thread.
 */
#include "seccomp/judge.h"
#include "policy/names.h"
#include "seccomp/selector.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum truth {
	NO,
	YES,
	UNKNOWN
};

static enum truth atom_holds(const struct policy_atom *atom, const struct observed_call *call)
{
	uint64_t have = call->args[atom->argument], value = atom->value;

	if (!(call->known & 1 << atom->argument))
		return UNKNOWN;
	switch (atom->comparison) {
	case POLICY_EQ:
		return have == value ? YES : NO;
	case POLICY_NE:
		return have != value ? YES : NO;
	case POLICY_LT:
		return have < value ? YES : NO;
	case POLICY_LE:
		return have <= value ? YES : NO;
	case POLICY_GT:
		return have > value ? YES : NO;
	case POLICY_GE:
		return have >= value ? YES : NO;
	case POLICY_ANY:
		return have & value ? YES : NO;
	case POLICY_IN:
		return have & ~value ? NO : YES;
	}
	return UNKNOWN;
}

static enum truth clause_holds(const struct policy_clause *clause, const struct observed_call *call)
{
	enum truth all = YES;

	for (const struct policy_atom *atom = clause->atoms; atom; atom = atom->next) {
		enum truth one = atom_holds(atom, call);

		if (one == NO)
			return NO;
		all = one == UNKNOWN ? UNKNOWN : all;
	}
	return all;
}

static enum truth filter_holds(const struct policy_filter *filter, const struct observed_call *call,
			       const struct policy_clause **held)
{
	enum truth any = filter->clauses ? NO : YES;

	*held = NULL;
	for (const struct policy_clause *clause = filter->clauses; clause; clause = clause->next) {
		enum truth one = clause_holds(clause, call);

		if (one == YES) {
			*held = clause;
			return YES;
		}
		any = one == UNKNOWN ? UNKNOWN : any;
	}
	return any;
}

static bool refuses(struct policy_action action, bool by_rule)
{
	switch (action.verdict) {
	case POLICY_ALLOW:
	case POLICY_LOG:
		return false;
	case POLICY_ERRNO:
	case POLICY_NOTIFY:
	case POLICY_TRACE:
		return !by_rule; /* a rule that says so means it */
	case POLICY_KILL_PROCESS:
	case POLICY_KILL_THREAD:
	case POLICY_TRAP:
		return true;
	}
	return true;
}

static const struct policy_rule *rule_of(const struct policy *policy, uint32_t number)
{
	for (const struct policy_rule *rule = policy->rules; rule; rule = rule->next)
		if (rule->number == number)
			return rule;
	return NULL;
}

struct judge_decision judge_decide(const struct policy *policy, const struct observed_call *call)
{
	struct judge_decision d = { .verdict = JUDGE_PASSES };

	if (call->foreign) {
		d.verdict = JUDGE_FOREIGN;
		return d;
	}
	d.rule = rule_of(policy, (uint32_t)call->nr);
	for (const struct policy_filter *f = d.rule ? d.rule->filters : NULL; f; f = f->next) {
		enum truth holds = filter_holds(f, call, &d.clause);

		if (holds == NO)
			continue;
		d.filter = f;
		if (holds == UNKNOWN)
			d.verdict = JUDGE_UNKNOWN;
		else if (refuses(f->action, true))
			d.verdict = JUDGE_BY_RULE;
		return d;
	}
	if (refuses(policy->default_action, false))
		d.verdict = d.rule && d.rule->filters ? JUDGE_ARGUMENTS : JUDGE_NO_RULE;
	return d;
}

void judge_wanted(const struct policy *policy, uint8_t wanted[TRACE_NUMBERS])
{
	uint32_t number;

	for (size_t i = 0; i < policy_syscall_count(policy->arch); i++) {
		const char *name = policy_syscall_at(policy->arch, i, &number);

		if (number < TRACE_NUMBERS && !rule_of(policy, number))
			wanted[number] |= selector_mask(name);
	}
	for (const struct policy_rule *r = policy->rules; r; r = r->next)
		for (const struct policy_filter *f = r->filters; f; f = f->next)
			for (const struct policy_clause *c = f->clauses; c; c = c->next)
				for (const struct policy_atom *a = c->atoms; a; a = a->next)
					if (r->number < TRACE_NUMBERS)
						wanted[r->number] |= (uint8_t)(1 << a->argument);
}

static void add_use(struct judge *judge, const struct policy_rule *rule,
		    const struct policy_filter *filter, const struct policy_clause *clause)
{
	if (judge->uses)
		judge->uses[judge->uses_count] = (struct judge_use){ rule, filter, clause, 0 };
	judge->uses_count++;
}

/* Counts the lines of use where there is no room for them yet, else writes them down. */
static void list_uses(struct judge *judge)
{
	judge->uses_count = 0;
	for (const struct policy_rule *r = judge->policy->rules; r; r = r->next) {
		if (!r->filters)
			add_use(judge, r, NULL, NULL);
		for (const struct policy_filter *f = r->filters; f; f = f->next) {
			if (!f->clauses)
				add_use(judge, r, f, NULL);
			for (const struct policy_clause *c = f->clauses; c; c = c->next)
				add_use(judge, r, f, c);
		}
	}
}

static const struct policy_place *use_place(const struct judge_use *use)
{
	if (use->clause)
		return &use->clause->atoms->place;
	return use->filter ? &use->filter->place : &use->rule->place;
}

static int place_order(const struct policy_place *a, const struct policy_place *b)
{
	int file = strcmp(a->file, b->file);

	if (file)
		return file;
	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	return a->column < b->column ? -1 : a->column > b->column;
}

static int use_order(const void *left, const void *right)
{
	const struct judge_use *a = left, *b = right;
	int rule = place_order(&a->rule->place, &b->rule->place);

	if (rule || a->rule != b->rule)
		return rule ? rule : a->rule->number < b->rule->number ? -1 : 1;
	return place_order(use_place(a), use_place(b));
}

static void count_use(struct judge *judge, const struct judge_decision *d, uint64_t count)
{
	for (size_t i = 0; i < judge->uses_count; i++) {
		struct judge_use *use = &judge->uses[i];

		if (use->rule == d->rule && use->filter == d->filter && use->clause == d->clause) {
			use->count += count;
			return;
		}
	}
}

/* Whether a finding about `a` speaks for `b` too: they differ in thread and count alone. */
static bool same_but_thread(const struct observed_call *a, const struct observed_call *b)
{
	struct observed_call x = *a, y = *b;

	x.tgid = y.tgid;
	x.tid = y.tid;
	return observed_same(&x, &y);
}

static void judge_call(struct judge *judge, const struct observed_call *call)
{
	struct judge_finding *last =
		judge->findings_count ? &judge->findings[judge->findings_count - 1] : NULL;
	struct judge_decision d = judge_decide(judge->policy, call);

	judge->calls += call->count;
	count_use(judge, &d, call->count);
	if (call->outcome == TRACE_MADE && d.verdict == JUDGE_PASSES)
		return;
	if (call->outcome != TRACE_MADE && d.verdict == JUDGE_PASSES && d.filter &&
	    d.filter->action.verdict != POLICY_ALLOW)
		return; /* refused with the answer that its rule gives */
	if (last && same_but_thread(last->call, call)) {
		last->count += call->count;
		last->threads++;
		return;
	}
	judge->findings[judge->findings_count++] = (struct judge_finding){
		.call = call, .count = call->count, .threads = 1, .decision = d
	};
}

static int tid_order(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return x < y ? -1 : x > y;
}

static size_t count_different(pid_t *tids, size_t n)
{
	size_t different = 0;

	qsort(tids, n, sizeof(*tids), tid_order);
	for (size_t i = 0; i < n; i++)
		different += i == 0 || tids[i] != tids[i - 1];
	return different;
}

int judge_open(const struct policy *policy, const struct observed *seen, const bool *take,
	       struct judge *out)
{
	pid_t *tids = calloc(seen->count + 1, sizeof(*tids));
	size_t taken = 0;

	*out = (struct judge){ .policy = policy };
	list_uses(out);
	out->uses = calloc(out->uses_count + 1, sizeof(*out->uses));
	out->findings = calloc(seen->count + 1, sizeof(*out->findings));
	if (!tids || !out->uses || !out->findings) {
		free(tids);
		judge_close(out);
		return -ENOMEM;
	}
	list_uses(out);
	qsort(out->uses, out->uses_count, sizeof(*out->uses), use_order);
	for (size_t i = 0; i < seen->count; i++) {
		if (!take[i])
			continue;
		tids[taken++] = seen->calls[i].tid;
		judge_call(out, &seen->calls[i]);
	}
	out->threads = count_different(tids, taken);
	free(tids);
	return 0;
}

void judge_close(struct judge *judge)
{
	free(judge->uses);
	free(judge->findings);
	*judge = (struct judge){};
}
