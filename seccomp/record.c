/*
 * Groups calls by name and writes each group as one rule. Runs in airlock-policy's only thread.
 * Names of threads and the command's words end up in comments: nothing of them may end the
 * comment's line or continue it ("\").
 */
#include "seccomp/record.h"
#include "policy/names.h"
#include "seccomp/phrase.h"
#include "seccomp/selector.h"
#include "lib/util.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ROLES_SHOWN 6

/* Calls of one number, in the order of their arguments. */
struct group {
	const char *name;
	const struct observed_call **calls;
	size_t count;
};

void record_wanted(enum policy_arch arch, uint8_t wanted[TRACE_NUMBERS])
{
	uint32_t number;

	for (size_t i = 0; i < policy_syscall_count(arch); i++) {
		const char *name = policy_syscall_at(arch, i, &number);

		if (number < TRACE_NUMBERS)
			wanted[number] = selector_mask(name);
	}
}

static int arguments_order(const void *left, const void *right)
{
	const struct observed_call *a = *(const struct observed_call *const *)left;
	const struct observed_call *b = *(const struct observed_call *const *)right;

	for (int i = 0; i < 6; i++)
		if (a->args[i] != b->args[i])
			return a->args[i] < b->args[i] ? -1 : 1;
	return 0;
}

static bool same_arguments(const struct observed_call *a, const struct observed_call *b)
{
	return arguments_order(&a, &b) == 0;
}

/* How many sets of arguments a group has; 0 when they do not choose, or are not all known. */
static size_t alternatives(const struct group *group)
{
	uint8_t mask = selector_mask(group->name);
	size_t sets = mask ? 1 : 0;

	for (size_t i = 0; mask && i < group->count; i++) {
		if (group->calls[i]->known != mask)
			return 0;
		sets += i && !same_arguments(group->calls[i], group->calls[i - 1]);
	}
	return sets;
}

static uint64_t total(const struct group *group)
{
	uint64_t n = 0;

	for (size_t i = 0; i < group->count; i++)
		n += group->calls[i]->count;
	return n;
}

static void write_rule(FILE *out, const struct group *group)
{
	size_t sets = alternatives(group);

	fprintf(out, "%s: ", group->name);
	if (!sets || sets > RECORD_ALTERNATIVES) {
		fputc('1', out);
		return;
	}
	for (size_t i = 0; i < group->count; i++) {
		if (i && same_arguments(group->calls[i], group->calls[i - 1]))
			continue;
		fputs(i ? " || " : "", out);
		phrase_condition(out, group->calls[i]->args, selector_mask(group->name));
	}
}

struct tally {
	const char *role;
	uint64_t count;
};

static int tally_order(const void *left, const void *right)
{
	const struct tally *a = left, *b = right;

	return a->count > b->count ? -1 : a->count < b->count;
}

/* Who called, the most frequent first. Returns how many names there are in `tallies`; the rest is
 * not told apart. */
static size_t tally_roles(const struct group *group, struct tally *tallies, size_t room)
{
	size_t n = 0;

	for (size_t i = 0; i < group->count; i++) {
		size_t at = 0;

		while (at < n &&
		       strncmp(tallies[at].role, group->calls[i]->role, OBSERVED_ROLE) != 0)
			at++;
		if (at == room)
			continue;
		if (at == n)
			tallies[n++] = (struct tally){ .role = group->calls[i]->role };
		tallies[at].count += group->calls[i]->count;
	}
	qsort(tallies, n, sizeof(*tallies), tally_order);
	return n;
}

static void write_roles(FILE *out, const struct group *group)
{
	struct tally tallies[64];
	size_t n = tally_roles(group, tallies, ARRAY_SIZE(tallies));

	for (size_t i = 0; i < n && i < ROLES_SHOWN; i++) {
		fputs(i ? ", " : ": ", out);
		phrase_role(out, tallies[i].role);
		fprintf(out, " %" PRIu64, tallies[i].count);
	}
	if (n > ROLES_SHOWN)
		fputs(", others", out);
}

/* "# arg2 PROT_READ, arg3 MAP_PRIVATE: 12", a line a set of arguments. */
static void write_alternatives(FILE *out, enum policy_arch arch, const struct group *group)
{
	uint8_t mask = selector_mask(group->name);
	uint64_t count = 0;
	char value[256];

	for (size_t i = 0; i < group->count; i++) {
		const struct observed_call *call = group->calls[i];
		const char *comma = "";

		count += call->count;
		if (i + 1 < group->count && same_arguments(call, group->calls[i + 1]))
			continue;
		fputs("# ", out);
		for (int arg = 0; arg < 6; arg++) {
			if (!(mask & 1 << arg))
				continue;
			fprintf(out, "%sarg%d %s", comma, arg,
				selector_format(arch, group->name, arg, call->args[arg], value,
						sizeof(value)));
			comma = ", ";
		}
		fprintf(out, ": %" PRIu64 "\n", count);
		count = 0;
	}
}

static void write_group(FILE *out, enum policy_arch arch, const struct group *group)
{
	size_t sets = alternatives(group);
	uint64_t n = total(group);

	fprintf(out, "\n# %" PRIu64 " call%s", n, n == 1 ? "" : "s");
	write_roles(out, group);
	fputc('\n', out);
	if (sets > RECORD_ALTERNATIVES)
		fprintf(out, "# %zu different arguments: allowed with any\n", sets);
	else if (sets)
		write_alternatives(out, arch, group);
	else if (selector_mask(group->name))
		fputs("# not all arguments are known: allowed with any\n", out);
	write_rule(out, group);
	fputc('\n', out);
}

static int name_order(const void *left, const void *right)
{
	return strcmp(((const struct group *)left)->name, ((const struct group *)right)->name);
}

static bool is_recorded(enum policy_arch arch, const struct observed_call *call)
{
	return call->outcome == TRACE_MADE && !call->foreign && call->nr >= 0 &&
	       policy_syscall_name(arch, (uint32_t)call->nr);
}

static int number_order(const void *left, const void *right)
{
	const struct observed_call *a = *(const struct observed_call *const *)left;
	const struct observed_call *b = *(const struct observed_call *const *)right;

	if (a->nr != b->nr)
		return a->nr < b->nr ? -1 : 1;
	return arguments_order(left, right);
}

/* Both arrays are the caller's to free: *calls is what the groups point into. */
static int group_calls(enum policy_arch arch, const struct observed *seen, struct group **groups,
		       size_t *count, const struct observed_call ***calls)
{
	size_t n = 0;

	*count = 0;
	*calls = calloc(seen->count + 1, sizeof(**calls));
	*groups = calloc(seen->count + 1, sizeof(**groups));
	if (!*calls || !*groups)
		return -ENOMEM;
	for (size_t i = 0; i < seen->count; i++)
		if (is_recorded(arch, &seen->calls[i]))
			(*calls)[n++] = &seen->calls[i];
	qsort(*calls, n, sizeof(**calls), number_order);
	for (size_t i = 0; i < n; i++) {
		if (!i || (*calls)[i]->nr != (*calls)[i - 1]->nr)
			(*groups)[(*count)++] = (struct group){
				policy_syscall_name(arch, (uint32_t)(*calls)[i]->nr), *calls + i, 0
			};
		(*groups)[*count - 1].count++;
	}
	qsort(*groups, *count, sizeof(**groups), name_order);
	return 0;
}

/* What a policy cannot allow, or should be looked at before it does. */
static void write_refused(FILE *out, enum policy_arch arch, const struct observed *seen)
{
	for (size_t i = 0; i < seen->count; i++) {
		const struct observed_call *call = &seen->calls[i];

		if (is_recorded(arch, call))
			continue;
		fprintf(out, "\n# NOT ALLOWED HERE, %s %" PRIu64 " times: ",
			call->outcome != TRACE_MADE ? "refused by a filter"
			: call->foreign		    ? "made through another architecture's entry"
						    : "made, but it has no name here",
			call->count);
		phrase_call(out, arch, call);
		fputs(" by ", out);
		phrase_role(out, call->role);
		fputs(".", out);
		fputc('\n', out);
	}
}

int record_write(FILE *out, enum policy_arch arch, const char *subject, const struct observed *seen)
{
	const struct observed_call **calls;
	struct group *groups;
	size_t count;
	int ret = group_calls(arch, seen, &groups, &count, &calls);

	fputs("# Recorded by airlock-policy on ", out);
	fprintf(out, "%s: the calls of \"", policy_arch_name(arch));
	for (; *subject; subject++)
		fputc(*subject < ' ' || *subject > '~' || *subject == '\\' ? '?' : *subject, out);
	fputs("\" and nothing else.\n# What did not happen while it was watched is not allowed: errors, signals, "
	      "other input.\n",
	      out);
	if (seen->lost_calls || seen->lost_threads)
		fprintf(out,
			"# INCOMPLETE: %" PRIu64 " calls were not counted and %" PRIu64
			" threads not followed.\n",
			seen->lost_calls, seen->lost_threads);
	for (size_t i = 0; !ret && i < count; i++)
		write_group(out, arch, &groups[i]);
	if (!ret)
		write_refused(out, arch, seen);
	free(groups);
	free(calls);
	return ret;
}

/* What `write` leaves in a stream, as a JSON string. */
static json_t *group_text(enum policy_arch arch, const struct group *group,
			  void (*write)(FILE *, enum policy_arch, const struct group *))
{
	char *bytes = NULL;
	size_t size;
	FILE *out = open_memstream(&bytes, &size);
	json_t *text;

	if (!out)
		return NULL;
	write(out, arch, group);
	fclose(out);
	text = json_string(bytes);
	free(bytes);
	return text;
}

static void write_rule_of(FILE *out, enum policy_arch arch, const struct group *group)
{
	(void)arch;
	write_rule(out, group);
}

static json_t *json_roles(const struct group *group)
{
	struct tally tallies[64];
	size_t n = tally_roles(group, tallies, ARRAY_SIZE(tallies));
	json_t *roles = json_array();

	for (size_t i = 0; i < n; i++) {
		char name[OBSERVED_ROLE + 1] = {};
		FILE *out = fmemopen(name, sizeof(name), "w");

		if (!out)
			break;
		phrase_role(out, tallies[i].role);
		fclose(out);
		json_array_append_new(roles, json_pack("{s:s, s:I}", "role", name, "count",
						       (json_int_t)tallies[i].count));
	}
	return roles;
}

static json_t *json_group(enum policy_arch arch, const struct group *group)
{
	return json_pack("{s:s, s:i, s:I, s:i, s:o, s:o}", "syscall", group->name, "nr",
			 group->calls[0]->nr, "count", (json_int_t)total(group), "alternatives",
			 (int)alternatives(group), "roles", json_roles(group), "rule",
			 group_text(arch, group, write_rule_of));
}

static json_t *json_policy(enum policy_arch arch, const char *subject, const struct observed *seen)
{
	char *bytes = NULL;
	size_t size;
	FILE *out = open_memstream(&bytes, &size);
	json_t *text;

	if (!out)
		return NULL;
	record_write(out, arch, subject, seen);
	fclose(out);
	text = json_string(bytes);
	free(bytes);
	return text;
}

json_t *record_json(enum policy_arch arch, const char *subject, const struct observed *seen)
{
	const struct observed_call **calls;
	json_t *all = json_array();
	struct group *groups;
	uint64_t refused = 0;
	size_t count;
	int ret = group_calls(arch, seen, &groups, &count, &calls);

	for (size_t i = 0; !ret && i < count; i++)
		json_array_append_new(all, json_group(arch, &groups[i]));
	for (size_t i = 0; i < seen->count; i++)
		refused += is_recorded(arch, &seen->calls[i]) ? 0 : seen->calls[i].count;
	free(groups);
	free(calls);
	return json_pack("{s:s, s:s, s:b, s:{s:I, s:I}, s:o, s:I, s:o}", "schema",
			 "airlock-policy/record/1", "arch", policy_arch_name(arch), "complete",
			 !seen->lost_calls && !seen->lost_threads, "lost", "calls",
			 (json_int_t)seen->lost_calls, "threads", (json_int_t)seen->lost_threads,
			 "calls", all, "not_allowed", (json_int_t)refused, "policy",
			 json_policy(arch, subject, seen));
}
