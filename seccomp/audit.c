/*
 * Which calls are whose: policies with the threads that they are for, and the calls that each may
 * judge. Runs in airlock-policy's only thread; the names of threads are their own choice and serve
 * to sort, never to trust.
 *
 * A program that confines itself makes calls that its policy need not allow: those before its
 * filter is installed. So, where any thread is under a filter that the tracer is not under, only
 * such calls are judged that were made under the last filter of their thread. Where none is, all
 * are.
 */
#include "seccomp/audit.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

/* Splits "worker*@2=FILE" before its '=', unless that belongs to a path. */
static int split_operand(struct audit_part *part, struct policy_command *command,
			 const char *operand)
{
	size_t len = strcspn(operand, "=/");
	const char *at;
	char *end;

	part->file = operand;
	if (operand[len] != '=')
		return VERB_OK;
	part->file = operand + len + 1;
	at = memchr(operand, '@', len);
	if (at) {
		part->level = (int)strtol(at + 1, &end, 10);
		if (end == at + 1 || *end != '=' || part->level < 1 || part->level > 255)
			return verb_usage(command, "%s: @LEVEL is a number from 1 to 255", operand);
		len = (size_t)(at - operand);
	}
	if (len)
		part->threads = strndup(operand, len);
	return VERB_OK;
}

int audit_add(struct audit *audit, struct policy_command *command, const char *operand)
{
	struct audit_part *part;
	int code;

	if (audit->count == AUDIT_POLICIES)
		return verb_usage(command, "more than %d policies", AUDIT_POLICIES);
	part = &audit->parts[audit->count++];
	audit->arch = command->parse.arch;
	code = split_operand(part, command, operand);
	return code ? code : verb_parse(command, part->file, &part->policy);
}

/* "policy/worker.policy" is for "*worker*". */
static char *threads_of(const char *file)
{
	const char *base = strrchr(file, '/') ? strrchr(file, '/') + 1 : file;
	size_t len = strlen(base);
	char *pattern;

	if (len > 7 && !strcmp(base + len - 7, ".policy"))
		len -= 7;
	return asprintf(&pattern, "*%.*s*", (int)len, base) < 0 ? NULL : pattern;
}

int audit_wanted(struct audit *audit, uint8_t wanted[TRACE_NUMBERS])
{
	for (size_t i = 0; i < audit->count; i++) {
		struct audit_part *part = &audit->parts[i];

		judge_wanted(part->policy, wanted);
		if (audit->count == 1 || part->threads || part->level)
			continue;
		part->threads = threads_of(part->file);
		if (!part->threads)
			return -ENOMEM;
	}
	return 0;
}

/* "worker*,!worker-9": one of the patterns, and none of those behind a "!"; these alone: any other.
 */
static bool name_matches(const char *patterns, const char *role)
{
	bool matches = patterns ? *patterns == '!' : true;
	char one[64];

	while (patterns && *patterns) {
		bool except = *patterns == '!';
		size_t len = strcspn(patterns, ",");

		snprintf(one, sizeof(one), "%.*s", (int)len - except, patterns + except);
		if (!fnmatch(one, role, 0)) {
			if (except)
				return false;
			matches = true;
		}
		patterns += len + (patterns[len] == ',');
	}
	return matches;
}

/* The filters that a thread ended under. */
struct depth {
	pid_t tid;
	uint8_t most;
};

struct scope {
	int base;      /* filters that we are under ourselves, and all that we start */
	bool filtered; /* somebody is under more */
	struct depth *depths;
	size_t count;
};

static int own_filters(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	char line[128];
	int n = 0;

	while (status && fgets(line, sizeof(line), status))
		if (!strncmp(line, "Seccomp_filters:", 16))
			n = atoi(line + 16);
	if (status)
		fclose(status);
	return n;
}

static int depth_order(const void *left, const void *right)
{
	const struct depth *a = left, *b = right;

	if (a->tid != b->tid)
		return a->tid < b->tid ? -1 : 1;
	return b->most - a->most; /* so that a thread's first is its deepest */
}

static int tid_order(const void *left, const void *right)
{
	const struct depth *a = left, *b = right;

	return a->tid < b->tid ? -1 : a->tid > b->tid;
}

static int scope_open(struct scope *scope, const struct observed *seen)
{
	size_t kept = 0;

	*scope = (struct scope){ .base = own_filters(), .count = seen->count };
	scope->depths = calloc(seen->count + 1, sizeof(*scope->depths));
	if (!scope->depths)
		return -ENOMEM;
	for (size_t i = 0; i < seen->count; i++) {
		scope->depths[i] = (struct depth){ seen->calls[i].tid, seen->calls[i].filters };
		scope->filtered |= seen->calls[i].filters > scope->base;
	}
	qsort(scope->depths, scope->count, sizeof(*scope->depths), depth_order);
	for (size_t i = 0; i < scope->count; i++)
		if (!kept || scope->depths[kept - 1].tid != scope->depths[i].tid)
			scope->depths[kept++] = scope->depths[i];
	scope->count = kept;
	return 0;
}

static bool in_scope(const struct scope *scope, const struct audit_part *part,
		     const struct observed_call *call)
{
	const struct depth key = { .tid = call->tid }, *depth;

	if (!name_matches(part->threads, call->role))
		return false;
	if (part->level)
		return call->filters >= scope->base + part->level;
	if (!scope->filtered)
		return true;
	depth = bsearch(&key, scope->depths, scope->count, sizeof(key), tid_order);
	return call->filters > scope->base && depth && call->filters == depth->most;
}

static int judge_part(struct audit_part *part, const struct scope *scope,
		      const struct observed *seen)
{
	part->take = calloc(seen->count + 1, sizeof(*part->take));
	if (!part->take)
		return -ENOMEM;
	for (size_t i = 0; i < seen->count; i++)
		part->take[i] = in_scope(scope, part, &seen->calls[i]);
	return judge_open(part->policy, seen, part->take, &part->judge);
}

int audit_judge(struct audit *audit)
{
	struct scope scope;
	int ret = scope_open(&scope, &audit->seen);

	for (size_t i = 0; !ret && i < audit->count; i++)
		ret = judge_part(&audit->parts[i], &scope, &audit->seen);
	free(scope.depths);
	return ret;
}

bool audit_is_judged(const struct audit *audit, size_t i)
{
	for (size_t p = 0; p < audit->count; p++)
		if (audit->parts[p].take[i])
			return true;
	return false;
}

uint64_t audit_refused(const struct audit *audit)
{
	uint64_t refused = 0;

	for (size_t p = 0; p < audit->count; p++)
		for (size_t i = 0; i < audit->parts[p].judge.findings_count; i++)
			if (audit->parts[p].judge.findings[i].decision.verdict != JUDGE_UNKNOWN)
				refused += audit->parts[p].judge.findings[i].count;
	return refused;
}

void audit_close(struct audit *audit)
{
	for (size_t i = 0; i < audit->count; i++) {
		struct audit_part *part = &audit->parts[i];

		judge_close(&part->judge);
		policy_free(part->policy);
		free(part->take);
		free(part->threads);
	}
	observed_free(&audit->seen);
	*audit = (struct audit){};
}
