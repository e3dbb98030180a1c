/* airlock-policy check: reads policies, warns, compiles and proves them and what they promise.
 * Nothing is written. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "seccomp/compile.h"
#include "seccomp/describe.h"
#include "seccomp/filter.h"
#include "seccomp/lint.h"
#include "seccomp/verbs.h"
#include "seccomp/verify.h"

struct check {
	struct policy_command *command;
	json_t *errors, *warnings, *properties; /* NULL without --json */
	bool failed;
};

static json_t *place_json(struct policy_place place, const char *message)
{
	return json_pack("{s:s, s:i, s:i, s:s}", "file", place.file, "line", (int)place.line,
			 "column", (int)place.column, "message", message);
}

static void on_error(void *context, struct policy_place place, const char *message)
{
	const struct check *check = context;

	json_array_append_new(check->errors, place_json(place, message));
}

static void on_warning(void *context, struct policy_place place, const char *message)
{
	const struct check *check = context;

	if (check->command->json)
		json_array_append_new(check->warnings, place_json(place, message));
	else
		fprintf(stderr, "%s:%u:%u: warning: %s\n", place.file, place.line, place.column,
			message);
}

static void check_property(struct check *check, const struct decisions *decisions,
			   const struct policy *policy, const struct policy_property *property)
{
	struct seccomp_data witness;
	uint32_t decision;
	char call[DESCRIBE_SIZE], what[DESCRIBE_SIZE];
	int err = verify_property(decisions, explore_arch(policy->arch), property, &witness,
				  &decision);

	check->failed |= err != 0;
	if (check->command->json) {
		json_t *row = json_pack("{s:s, s:s, s:b}", "property", property->text, "call",
					property->name, "holds", err == 0);

		if (err > 0)
			json_object_set_new(row, "witness", describe_call_json(&witness));
		json_array_append_new(check->properties, row);
	} else if (err < 0) {
		verb_fail(check->command, "'%s' is too complex to be decided", property->text);
	} else if (err > 0) {
		fprintf(stderr, "%s:%u:%u: '%s' does not hold: %s gets %s\n", property->place.file,
			property->place.line, property->place.column, property->text,
			describe_call(policy->arch, &witness, call),
			describe_decision(decision, true, what));
	}
}

/* Properties, of the filter and not of the text. */
static int check_properties(struct check *check, const struct policy *policy, struct space *space,
			    const struct filter *filter)
{
	struct decisions decided;

	if (!policy->properties)
		return VERB_OK;
	if (explore_filter(space, filter->insns, filter->len, &decided) < 0)
		return verb_fail(check->command, "too complex for properties to be proven");
	for (const struct policy_property *p = policy->properties; p; p = p->next)
		check_property(check, &decided, policy, p);
	return check->failed ? VERB_FAILED : VERB_OK;
}

static int check_filter(struct check *check, const struct policy *policy, const char *path,
			struct filter *filter)
{
	struct space *for_lint = space_new(SPACE_LIMIT), *for_properties = space_new(SPACE_LIMIT);
	struct verify_difference difference;
	int err = verify_filter(policy, filter->insns, filter->len, &difference), code = VERB_OK;

	if (!for_lint || !for_properties)
		code = verb_fail(check->command, "no memory");
	else if (err)
		code = verb_fail(check->command, "%s: %s", path,
				 err > 0 ? "the compiled filter does not decide as the text does"
					 : "too complex to be proven");
	if (!code) {
		/* What is too complex to be warned of is not wrong. */
		lint_policy(for_lint, policy, on_warning, check);
		code = check_properties(check, policy, for_properties, filter);
	}
	space_free(for_lint);
	space_free(for_properties);
	return code;
}

/* A property may be proven for several calls: it is counted once. */
static unsigned count_properties(const struct policy *policy)
{
	unsigned n = 0;

	for (const struct policy_property *p = policy->properties; p; p = p->next)
		n += !p->next || p->next->text != p->text;
	return n;
}

static void print_summary(const struct policy *policy, const char *path,
			  const struct filter *filter)
{
	unsigned calls = 0, properties = count_properties(policy);

	for (const struct policy_rule *r = policy->rules; r; r = r->next)
		calls++;
	printf("%s: %u calls, %u instructions, proven", path, calls, filter->len);
	if (properties)
		printf("; %u %s", properties,
		       properties == 1 ? "property holds" : "properties hold");
	putchar('\n');
}

static int compile(struct check *check, const struct policy *policy, const char *path,
		   struct filter *out)
{
	size_t len;
	int err = compile_policy(policy, &out->insns, &len);

	out->len = (unsigned short)len;
	if (err && len > BPF_MAXINSNS)
		return verb_usage(check->command,
				  "%s: %zu instructions, %zu more than the kernel takes", path, len,
				  len - BPF_MAXINSNS);
	return err ? verb_usage(check->command, "%s: cannot be compiled: %s", path, strerror(-err))
		   : VERB_OK;
}

static int check_file(struct check *check, const char *path, json_t *rows)
{
	struct filter filter = { .insns = NULL };
	struct policy *policy = NULL;
	int code = verb_parse(check->command, path, &policy);

	if (!code)
		code = compile(check, policy, path, &filter);
	if (!code)
		code = check_filter(check, policy, path, &filter);
	if (!code && !check->command->json && !check->command->quiet)
		print_summary(policy, path, &filter);
	if (check->command->json)
		json_array_append_new(rows,
				      json_pack("{s:s, s:b, s:i, s:O, s:O, s:O}", "file", path,
						"ok", code == 0, "instructions", (int)filter.len,
						"errors", check->errors, "warnings",
						check->warnings, "properties", check->properties));
	filter_free(&filter);
	policy_free(policy);
	return code;
}

int verb_check(struct policy_command *command)
{
	json_t *rows = command->json ? json_array() : NULL;
	int worst = VERB_OK;

	for (int i = 0; i < command->operands_count; i++) {
		struct check check = { .command = command };
		int code;

		if (command->json) {
			check.errors = json_array();
			check.warnings = json_array();
			check.properties = json_array();
			command->parse.report = on_error;
			command->parse.report_context = &check;
		}
		code = check_file(&check, command->operands[i], rows);
		worst = code > worst ? code : worst;
		json_decref(check.errors);
		json_decref(check.warnings);
		json_decref(check.properties);
	}
	if (command->json)
		verb_print_json(command, json_pack("{s:o}", "files", rows));
	return worst;
}
