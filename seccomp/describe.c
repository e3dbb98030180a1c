/* Words for what this room deals in, in airlock-policy. */
#include "seccomp/describe.h"

#include <stdlib.h>

#include "policy/names.h"
#include "policy/parse.h"
#include "seccomp/decisions.h"

static const struct policy_arch_number {
	enum policy_arch arch;
} archs[] = { { POLICY_X86_64 }, { POLICY_AARCH64 }, { POLICY_RISCV64 } };

static int find_arch(uint32_t audit_arch)
{
	for (size_t i = 0; i < sizeof(archs) / sizeof(archs[0]); i++)
		if (explore_arch(archs[i].arch) == audit_arch)
			return (int)archs[i].arch;
	return -1;
}

const char *describe_arch(uint32_t audit_arch)
{
	int arch = find_arch(audit_arch);

	return arch < 0 ? NULL : policy_arch_name((enum policy_arch)arch);
}

const char *describe_call(enum policy_arch arch, const struct seccomp_data *data,
			  char buffer[DESCRIBE_SIZE])
{
	int own = find_arch(data->arch);
	const char *name =
		own < 0 ? NULL : policy_syscall_name((enum policy_arch)own, (uint32_t)data->nr);
	int n = 0;

	if (own < 0)
		n += snprintf(buffer, DESCRIBE_SIZE, "architecture 0x%x: ", data->arch);
	else if (own != (int)arch)
		n += snprintf(buffer, DESCRIBE_SIZE,
			      "architecture %s: ", policy_arch_name((enum policy_arch)own));
	if (name)
		n += snprintf(buffer + n, DESCRIBE_SIZE - (size_t)n, "%s(", name);
	else
		n += snprintf(buffer + n, DESCRIBE_SIZE - (size_t)n, "number %u(",
			      (uint32_t)data->nr);
	for (int i = 0; i < 6; i++)
		n += snprintf(buffer + n, DESCRIBE_SIZE - (size_t)n, "0x%llx%s", data->args[i],
			      i < 5 ? ", " : ")");
	if (data->instruction_pointer)
		snprintf(buffer + n, DESCRIBE_SIZE - (size_t)n, " from 0x%llx",
			 data->instruction_pointer);
	return buffer;
}

json_t *describe_call_json(const struct seccomp_data *data)
{
	int own = find_arch(data->arch);
	const char *name =
		own < 0 ? NULL : policy_syscall_name((enum policy_arch)own, (uint32_t)data->nr);
	json_t *args = json_array();
	char text[32];

	for (int i = 0; i < 6; i++) {
		snprintf(text, sizeof(text), "0x%llx", data->args[i]);
		json_array_append_new(args, json_string(text));
	}
	snprintf(text, sizeof(text), "0x%x", data->arch);
	return json_pack("{s:s, s:I, s:s?, s:o}", "arch",
			 own < 0 ? text : policy_arch_name((enum policy_arch)own), "nr",
			 (json_int_t)(uint32_t)data->nr, "name", name, "args", args);
}

const char *describe_decision(uint32_t decision, bool named, char buffer[DESCRIBE_SIZE])
{
	uint32_t data = decision & SECCOMP_RET_DATA;
	const char *name;

	if (decision == DECISION_FOREIGN)
		return "kill";
	switch (decision & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_KILL_PROCESS:
		return "kill-process";
	case SECCOMP_RET_KILL_THREAD:
		return "kill-thread";
	case SECCOMP_RET_USER_NOTIF:
		return "user-notify";
	case SECCOMP_RET_LOG:
		return "log";
	case SECCOMP_RET_ALLOW:
		return "allow";
	case SECCOMP_RET_TRAP:
		snprintf(buffer, DESCRIBE_SIZE, data ? "trap=%u" : "trap", data);
		return buffer;
	case SECCOMP_RET_TRACE:
		snprintf(buffer, DESCRIBE_SIZE, data ? "trace=%u" : "trace", data);
		return buffer;
	case SECCOMP_RET_ERRNO:
		name = named ? policy_errno_name(policy_arch_native(), data) : NULL;
		snprintf(buffer, DESCRIBE_SIZE, name ? "errno=%u (%s)" : "errno=%u", data, name);
		return buffer;
	default:
		snprintf(buffer, DESCRIBE_SIZE, "0x%x", decision);
		return buffer;
	}
}

const char *describe_action(struct policy_action action, bool named, char buffer[DESCRIBE_SIZE])
{
	if (action.verdict == POLICY_ERRNO)
		return describe_decision(SECCOMP_RET_ERRNO | action.number, named, buffer);
	return policy_action_format(action, buffer);
}

const char *describe_run(enum policy_arch arch, uint32_t first, uint32_t last,
			 char buffer[DESCRIBE_SIZE])
{
	const char *from = policy_syscall_name(arch, first), *to = policy_syscall_name(arch, last);

	if (first == last && from)
		return from;
	if (first == last)
		snprintf(buffer, DESCRIBE_SIZE, "number %u", first);
	else if (from && to)
		snprintf(buffer, DESCRIBE_SIZE, "%s to %s (%u-%u)", from, to, first, last);
	else if (last == UINT32_MAX)
		snprintf(buffer, DESCRIBE_SIZE, "numbers from %u on", first);
	else
		snprintf(buffer, DESCRIBE_SIZE, "numbers %u-%u", first, last);
	return buffer;
}

void describe_clauses(const struct policy_clause *clauses, FILE *to)
{
	for (const struct policy_clause *c = clauses; c; c = c->next) {
		for (const struct policy_atom *a = c->atoms; a; a = a->next)
			/* What is near the top is meant as a complement: "in ~PROT_EXEC". */
			fprintf(to, "arg%u %s %s0x%llx%s", a->argument,
				policy_comparison_name(a->comparison), a->value >> 63 ? "~" : "",
				(unsigned long long)(a->value >> 63 ? ~a->value : a->value),
				a->next ? " && " : "");
		if (c->next)
			fputs(" || ", to);
	}
}

char *describe_clauses_string(const struct policy_clause *clauses)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	if (!to)
		return NULL;
	describe_clauses(clauses, to);
	if (fclose(to) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
