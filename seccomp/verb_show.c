/* airlock-policy show: what a policy or a filter allows, call by call, or its instructions. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "policy/names.h"
#include "seccomp/compile.h"
#include "seccomp/describe.h"
#include "seccomp/disassemble.h"
#include "seccomp/paths.h"
#include "seccomp/subject.h"

/* ---- a text: rules as they stand
 * ---------------------------------------------------------------------------------------- */

static void print_filter(const struct policy_filter *f)
{
	char action[DESCRIBE_SIZE];

	printf("    %-14s ", describe_action(f->action, true, action));
	if (f->clauses) {
		fputs("if ", stdout);
		describe_clauses(f->clauses, stdout);
	} else {
		fputs("always", stdout);
	}
	putchar('\n');
}

static void show_policy(const struct policy *policy)
{
	char action[DESCRIBE_SIZE];

	for (const struct policy_rule *r = policy->rules; r; r = r->next) {
		bool decided = false;

		printf("%s", r->name);
		if (*r->reason)
			printf("  # %s", r->reason);
		putchar('\n');
		for (const struct policy_filter *f = r->filters; f; f = f->next) {
			print_filter(f);
			decided |= !f->clauses;
		}
		if (!decided)
			printf("    %-14s otherwise\n",
			       describe_action(policy->default_action, true, action));
	}
	printf("everything else\n    %s\n", describe_action(policy->default_action, true, action));
}

static json_t *filter_json(const struct policy_filter *f)
{
	char action[DESCRIBE_SIZE], *when = describe_clauses_string(f->clauses);
	json_t *row = json_pack("{s:s, s:s?, s:s, s:i}", "action",
				describe_action(f->action, false, action), "when",
				f->clauses ? when : NULL, "file", f->place.file, "line",
				(int)f->place.line);

	free(when);
	return row;
}

static void show_policy_json(struct policy_command *command, const struct policy *policy)
{
	json_t *rules = json_array(), *all;
	char action[DESCRIBE_SIZE];

	for (const struct policy_rule *r = policy->rules; r; r = r->next) {
		json_t *filters = json_array();

		for (const struct policy_filter *f = r->filters; f; f = f->next)
			json_array_append_new(filters, filter_json(f));
		json_array_append_new(rules, json_pack("{s:s, s:I, s:s, s:o}", "syscall", r->name,
						       "nr", (json_int_t)r->number, "reason",
						       r->reason, "filters", filters));
	}
	all = json_pack("{s:s, s:s, s:o}", "arch", policy_arch_name(policy->arch), "default",
			describe_action(policy->default_action, false, action), "syscalls", rules);
	verb_print_json(command, all);
}

/* ---- a filter: what its paths come to
 * ------------------------------------------------------------------------------------ */

struct row {
	json_t *filters;    /* NULL without --json */
	uint32_t otherwise; /* what is not told way by way */
	bool partly;	    /* some arguments get that */
};

static void show_path(void *context, uint32_t decision, const char *condition)
{
	struct row *row = context;
	char what[DESCRIBE_SIZE];
	const char *name = describe_decision(decision, !row->filters, what);

	if (decision == row->otherwise && *condition) {
		row->partly = true;
		return;
	}
	if (row->filters)
		json_array_append_new(row->filters, json_pack("{s:s, s:s?}", "action", name, "when",
							      *condition ? condition : NULL));
	else
		printf("    %-14s %s%s\n", name, *condition ? "if " : "always", condition);
}

static void show_run(struct policy_command *command, const struct subject *subject, uint32_t first,
		     uint32_t last, uint32_t otherwise, json_t *rules)
{
	struct row row = { command->json ? json_array() : NULL, otherwise, false };
	char run[DESCRIBE_SIZE], what[DESCRIBE_SIZE];
	const char *name = describe_run(command->parse.arch, first, last, run);

	if (!command->json)
		printf("%s\n", name);
	paths_of_call(subject->insns, subject->len, explore_arch(command->parse.arch), first,
		      show_path, &row);
	if (!command->json && row.partly)
		printf("    %-14s otherwise\n", describe_decision(otherwise, true, what));
	if (command->json)
		json_array_append_new(rules, json_pack("{s:s, s:I, s:I, s:o}", "syscall", name,
						       "nr", (json_int_t)first, "last_nr",
						       (json_int_t)last, "filters", row.filters));
}

/* The decision that most numbers get, whatever their arguments: what is not shown call by call. */
static size_t most_common(const struct decisions *decided, uint32_t arch)
{
	size_t best = 0;
	uint64_t most = 0;

	for (size_t i = 0; i < decided->count; i++) {
		uint64_t numbers = 0;
		uint32_t to = 0;

		for (uint32_t from = 0;; from = to + 1) {
			if (space_run(decided->space, decided->at[i].set, arch, from, &to) ==
			    SPACE_ALL)
				numbers += (uint64_t)to - from + 1;
			if (to == UINT32_MAX)
				break;
		}
		if (numbers > most) {
			most = numbers;
			best = i;
		}
	}
	return best;
}

static void show_filter_runs(struct policy_command *command, const struct subject *subject,
			     const struct decisions *decided, json_t *rules)
{
	uint32_t arch = explore_arch(command->parse.arch), to = 0;
	size_t otherwise = most_common(decided, arch);
	char what[DESCRIBE_SIZE];

	for (uint32_t from = 0;; from = to + 1) {
		/* Runs that the common decision has alike; within, named calls one by one. */
		uint32_t left =
			space_run(decided->space, decided->at[otherwise].set, arch, from, &to);

		for (uint32_t nr = from; left != SPACE_ALL; nr++) {
			if (to - from > 1024) {
				show_run(command, subject, from, to,
					 decided->at[otherwise].decision, rules);
				break;
			}
			show_run(command, subject, nr, nr, decided->at[otherwise].decision, rules);
			if (nr == to)
				break;
		}
		if (to == UINT32_MAX)
			break;
	}
	if (!command->json)
		printf("everything else\n    %s\n",
		       describe_decision(decided->at[otherwise].decision, true, what));
}

static int show_filter(struct policy_command *command, const struct subject *subject)
{
	struct space *space = space_new(SPACE_LIMIT);
	json_t *rules = command->json ? json_array() : NULL, *all;
	struct decisions decided;
	char what[DESCRIBE_SIZE];
	int code;

	if (!space)
		return verb_fail(command, "no memory");
	code = subject_explore(command, subject, space, &decided);
	if (!code)
		show_filter_runs(command, subject, &decided, rules);
	if (!code && command->json) {
		size_t otherwise = most_common(&decided, explore_arch(command->parse.arch));

		all = json_pack("{s:s, s:s, s:O}", "arch", policy_arch_name(command->parse.arch),
				"default",
				describe_decision(decided.at[otherwise].decision, false, what),
				"syscalls", rules);
		verb_print_json(command, all);
	}
	json_decref(rules);
	space_free(space);
	return code;
}

/* ---- instructions
 * -------------------------------------------------------------------------------------------------------
 */

static int show_assembly(struct policy_command *command, const struct subject *subject)
{
	struct sock_filter *compiled;
	size_t len;
	int err;

	if (!subject->policy) {
		disassemble(stdout, command->parse.arch, subject->insns, subject->len);
		return VERB_OK;
	}
	err = compile_policy(subject->policy, &compiled, &len);
	if (err)
		return verb_usage(command, "%s: cannot be compiled: %s", subject->path,
				  strerror(-err));
	disassemble(stdout, command->parse.arch, compiled, (unsigned short)len);
	free(compiled);
	return VERB_OK;
}

int verb_show(struct policy_command *command)
{
	struct subject subject;
	int code = subject_read(command, command->operands[0], &subject);

	if (code)
		return code;
	if (command->assembly && command->json)
		code = verb_usage(command, "--asm and --json exclude each other");
	else if (command->assembly)
		code = show_assembly(command, &subject);
	else if (!subject.policy)
		code = show_filter(command, &subject);
	else if (command->json)
		show_policy_json(command, subject.policy);
	else
		show_policy(subject.policy);
	subject_free(&subject);
	return code;
}
