/* airlock-policy eval: what happens to one call, and which line or instruction says so. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "policy/decide.h"
#include "policy/names.h"
#include "seccomp/compile.h"
#include "seccomp/describe.h"
#include "seccomp/disassemble.h"
#include "seccomp/evaluate.h"
#include "seccomp/subject.h"

static int parse_number(const char *text, uint64_t *out)
{
	char *end;

	if (*text < '0' || *text > '9') {
		if (*text != '-' || text[1] < '0' || text[1] > '9')
			return -EINVAL;
	}
	errno = 0;
	*out = strtoull(text, &end, 0);
	return errno || *end ? -EINVAL : 0;
}

/* Numbers and constants, joined by "|". */
static int parse_argument(enum policy_arch arch, const char *text, uint64_t *out)
{
	char copy[256], *at = copy, *part;

	if (strlen(text) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, text);
	*out = 0;
	while ((part = strsep(&at, "|"))) {
		uint64_t value;

		if (policy_constant(arch, part, &value) < 0 && parse_number(part, &value) < 0)
			return -EINVAL;
		*out |= value;
	}
	return 0;
}

static int parse_call(struct policy_command *command, struct seccomp_data *data)
{
	enum policy_arch arch = command->parse.arch;
	uint64_t number;
	int known;

	*data = (struct seccomp_data){ .arch = compile_arch(arch) };
	if (!command->syscall)
		return verb_usage(command,
				  "which call? --syscall=NAME or --syscall=NUMBER says so");
	known = policy_syscall_number(arch, command->syscall);
	if (known < 0 && (parse_number(command->syscall, &number) < 0 ||
			  (number > UINT32_MAX && number + 1 != 0)))
		return verb_usage(command, "--syscall: '%s' is no call of %s", command->syscall,
				  policy_arch_name(arch));
	data->nr = known < 0 ? (int)(uint32_t)number : known;
	if (command->operands_count > 7)
		return verb_usage(command, "a system call has six arguments");
	for (int i = 1; i < command->operands_count; i++) {
		uint64_t value;

		if (parse_argument(arch, command->operands[i], &value) < 0)
			return verb_usage(command, "'%s' is neither a number nor a constant of %s",
					  command->operands[i], policy_arch_name(arch));
		data->args[i - 1] = value;
	}
	return VERB_OK;
}

/* How the text came to it; the origin goes to TEXT. */
static uint32_t eval_policy(const struct policy *policy, const char *path,
			    const struct seccomp_data *data, char *text, size_t size)
{
	const struct policy_filter *filter;
	const struct policy_rule *rule;
	uint64_t args[6];
	struct policy_action action;

	memcpy(args, data->args, sizeof(args));
	action = policy_decide(policy, (uint32_t)data->nr, args, &rule, &filter);
	if (filter)
		snprintf(text, size, "%s:%u:%u", filter->place.file, filter->place.line,
			 filter->place.column);
	else if (rule)
		snprintf(text, size, "default action: no filter of %s:%u matches", rule->place.file,
			 rule->place.line);
	else
		snprintf(text, size, "default action: %s has no rule for it", path);
	/* The numbers of x32, in a denylist. */
	if (policy->denylist && policy->arch == POLICY_X86_64 &&
	    (uint32_t)data->nr >= 0x40000000u && data->nr != -1) {
		snprintf(text, size, "a denylist kills the numbers of x32");
		return SECCOMP_RET_KILL_THREAD;
	}
	return compile_action(action);
}

static uint32_t eval_filter(const struct subject *subject, const struct seccomp_data *data,
			    char *text, size_t size)
{
	struct evaluate_trace trace;
	uint32_t returned = evaluate(subject->insns, subject->len, data, &trace);
	char insn[64];

	disassemble_one(&subject->insns[trace.branch], trace.branch, insn);
	snprintf(text, size, "instruction %u, after %u: %s", trace.at, trace.branch, insn);
	return decisions_read(returned);
}

static bool is_denial(uint32_t decision)
{
	switch (decision & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_ALLOW:
	case SECCOMP_RET_LOG:
	case SECCOMP_RET_TRACE:
	case SECCOMP_RET_USER_NOTIF:
		return false;
	default:
		return true;
	}
}

static void print_result(struct policy_command *command, const struct seccomp_data *data,
			 uint32_t decision, const char *origin)
{
	char call[DESCRIBE_SIZE], what[DESCRIBE_SIZE];

	if (command->json) {
		json_t *row = json_pack("{s:o, s:s, s:b, s:s}", "call", describe_call_json(data),
					"decision", describe_decision(decision, false, what),
					"denied", is_denial(decision), "origin", origin);

		verb_print_json(command, row);
	} else if (!command->quiet) {
		printf("%s: %s\n    %s\n", describe_call(command->parse.arch, data, call),
		       describe_decision(decision, true, what), origin);
	}
}

int verb_eval(struct policy_command *command)
{
	struct seccomp_data data;
	struct subject subject;
	char origin[4096];
	uint32_t decision;
	int code = parse_call(command, &data);

	if (code)
		return code;
	code = subject_read(command, command->operands[0], &subject);
	if (code)
		return code;
	decision = subject.policy ? eval_policy(subject.policy, subject.path, &data, origin,
						sizeof(origin))
				  : eval_filter(&subject, &data, origin, sizeof(origin));
	print_result(command, &data, decision, origin);
	subject_free(&subject);
	return is_denial(decision) ? VERB_DIFFERS : VERB_OK;
}
