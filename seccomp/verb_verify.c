/* airlock-policy verify and diff: proofs, or calls that refute them. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "policy/decide.h"
#include "seccomp/describe.h"
#include "seccomp/subject.h"
#include "seccomp/verify.h"

#define SHOWN 10000 /* differences: beyond, two filters have nothing in common */

struct listing {
	struct verify_difference *at;
	size_t count;
};

static bool keep(void *context, const struct verify_difference *difference)
{
	struct listing *listing = context;

	listing->at[listing->count++] = *difference;
	return listing->count < SHOWN;
}

/* ---- diff
 * -------------------------------------------------------------------------------------------------------------
 */

static int by_number(const void *left, const void *right)
{
	const struct verify_difference *a = left, *b = right;

	if (a->witness.arch != b->witness.arch)
		return a->witness.arch < b->witness.arch ? 1 : -1;
	return a->first_nr < b->first_nr ? -1 : a->first_nr > b->first_nr;
}

static json_t *difference_json(const struct verify_difference *d)
{
	char a[DESCRIBE_SIZE], b[DESCRIBE_SIZE];

	return json_pack("{s:I, s:I, s:s, s:s, s:o}", "first_nr", (json_int_t)d->first_nr,
			 "last_nr", (json_int_t)d->last_nr, "a", describe_decision(d->a, false, a),
			 "b", describe_decision(d->b, false, b), "witness",
			 describe_call_json(&d->witness));
}

static void print_difference(enum policy_arch arch, const char *const names[2],
			     const struct verify_difference *d)
{
	char run[DESCRIBE_SIZE], call[DESCRIBE_SIZE], a[DESCRIBE_SIZE], b[DESCRIBE_SIZE];
	bool here = d->witness.arch == explore_arch(arch);

	printf("%s: %s: %s, %s: %s\n    %s\n",
	       here ? describe_run(arch, d->first_nr, d->last_nr, run) : "other architectures",
	       names[0], describe_decision(d->a, true, a), names[1],
	       describe_decision(d->b, true, b), describe_call(arch, &d->witness, call));
}

static void print_differences(struct policy_command *command, const char *const names[2],
			      struct listing *listing)
{
	json_t *rows = command->json ? json_array() : NULL;

	qsort(listing->at, listing->count, sizeof(*listing->at), by_number);
	for (size_t i = 0; i < listing->count; i++) {
		if (command->json)
			json_array_append_new(rows, difference_json(&listing->at[i]));
		else if (!command->quiet)
			print_difference(command->parse.arch, names, &listing->at[i]);
	}
	if (command->json)
		verb_print_json(command, json_pack("{s:s, s:s, s:o}", "a", names[0], "b", names[1],
						   "differences", rows));
	else if (!listing->count && !command->quiet)
		puts("none");
}

static int compare(struct policy_command *command, const struct subject *a, const struct subject *b)
{
	const char *const names[2] = { a->path, b->path };
	struct listing listing = { calloc(SHOWN, sizeof(*listing.at)), 0 };
	struct space *space = space_new(SPACE_LIMIT);
	struct decisions decided[2];
	int code, differences;

	if (!space || !listing.at) {
		code = verb_fail(command, "no memory");
		goto out;
	}
	code = subject_explore(command, a, space, &decided[0]);
	if (!code)
		code = subject_explore(command, b, space, &decided[1]);
	if (code)
		goto out;
	differences = verify_compare(&decided[0], &decided[1], explore_arch(command->parse.arch),
				     keep, &listing);
	if (differences < 0) {
		code = verb_fail(command,
				 "the difference is too complex: nothing is known about it");
		goto out;
	}
	print_differences(command, names, &listing);
	code = differences ? VERB_DIFFERS : VERB_OK;
out:
	space_free(space);
	free(listing.at);
	return code;
}

int verb_diff(struct policy_command *command)
{
	struct subject a, b;
	int code = subject_read(command, command->operands[0], &a);

	if (code)
		return code;
	code = subject_read(command, command->operands[1], &b);
	if (!code) {
		code = compare(command, &a, &b);
		subject_free(&b);
	}
	subject_free(&a);
	return code;
}

/* ---- verify
 * ------------------------------------------------------------------------------------------------------------
 */

/* Which line of the text decides the witness. */
static void print_origin(const struct policy *policy, const struct seccomp_data *data)
{
	const struct policy_filter *filter;
	uint64_t args[6];

	if (data->arch != explore_arch(policy->arch))
		return;
	memcpy(args, data->args, sizeof(args));
	policy_decide(policy, (uint32_t)data->nr, args, NULL, &filter);
	if (filter)
		printf("    decided at %s:%u:%u\n", filter->place.file, filter->place.line,
		       filter->place.column);
}

static int print_verdict(struct policy_command *command, const struct subject *text,
			 const struct subject *filter, const struct verify_difference *d,
			 int differences)
{
	char call[DESCRIBE_SIZE], a[DESCRIBE_SIZE], b[DESCRIBE_SIZE];

	if (command->json) {
		json_t *row = json_pack("{s:s, s:s, s:b}", "policy", text->path, "filter",
					filter->path, "proven", differences == 0);

		if (differences)
			json_object_set_new(row, "counterexample",
					    json_pack("{s:s, s:s, s:o}", "policy",
						      describe_decision(d->a, false, a), "filter",
						      describe_decision(d->b, false, b), "call",
						      describe_call_json(&d->witness)));
		verb_print_json(command, row);
	} else if (!differences && !command->quiet) {
		printf("%s: proven: decides as %s does, for every architecture, number and argument\n",
		       filter->path, text->path);
	} else if (!command->quiet) {
		printf("%s: not what %s says: %s\n    text: %s, filter: %s\n", filter->path,
		       text->path, describe_call(text->policy->arch, &d->witness, call),
		       describe_decision(d->a, true, a), describe_decision(d->b, true, b));
		print_origin(text->policy, &d->witness);
	}
	return differences ? VERB_DIFFERS : VERB_OK;
}

/* What the text promises must hold of the filter, whoever compiled it. */
static int verify_each(struct policy_command *command, const struct policy *policy,
		       const struct decisions *decided)
{
	int code = VERB_OK;

	for (const struct policy_property *p = policy->properties; p; p = p->next) {
		struct seccomp_data witness;
		uint32_t decision;
		char call[DESCRIBE_SIZE], what[DESCRIBE_SIZE];
		int err = verify_property(decided, explore_arch(policy->arch), p, &witness,
					  &decision);

		if (!err)
			continue;
		if (err < 0)
			return verb_fail(command, "'%s' is too complex to be decided", p->text);
		code = VERB_DIFFERS;
		fprintf(stderr, "%s:%u:%u: '%s' does not hold: %s gets %s\n", p->place.file,
			p->place.line, p->place.column, p->text,
			describe_call(policy->arch, &witness, call),
			describe_decision(decision, true, what));
	}
	return code;
}

static int verify_promises(struct policy_command *command, const struct policy *policy,
			   const struct subject *filter)
{
	struct space *space = space_new(SPACE_LIMIT);
	struct decisions decided;
	int code = VERB_OK;

	if (!space)
		return verb_fail(command, "no memory");
	if (policy->properties)
		code = subject_explore(command, filter, space, &decided);
	if (policy->properties && !code)
		code = verify_each(command, policy, &decided);
	space_free(space);
	return code;
}

static int prove(struct policy_command *command, const struct subject *text,
		 const struct subject *filter)
{
	struct verify_difference difference;
	int differs = verify_filter(text->policy, filter->insns, filter->len, &difference);
	int code, promises;

	if (differs < 0)
		return verb_fail(command, "too complex to be decided");
	code = print_verdict(command, text, filter, &difference, differs);
	promises = verify_promises(command, text->policy, filter);
	return code ? code : promises;
}

int verb_verify(struct policy_command *command)
{
	struct subject text = { .path = command->operands[0] }, filter;
	int code = verb_parse(command, text.path, &text.policy);

	if (code)
		return code;
	code = subject_read_filter(command, command->operands[1], &filter);
	if (!code) {
		code = prove(command, &text, &filter);
		subject_free(&filter);
	}
	subject_free(&text);
	return code;
}
