/*
 * Any bytes as strace's text: it is read without a fault, and what record makes of it is a policy
 * that minijail0 reads and that allows every call that was read.
 */
#include <stdlib.h>
#include <string.h>

#include "policy/names.h"
#include "policy/parse.h"
#include "seccomp/judge.h"
#include "seccomp/record.h"
#include "seccomp/strace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_allowed(const char *text, size_t size, const struct observed *seen)
{
	struct policy_parse_options options = { .arch = POLICY_X86_64,
						.dialect = POLICY_DIALECT_MINIJAIL };
	struct policy *policy;

	if (policy_parse_text("recorded", text, size, &options, &policy))
		abort();
	for (size_t i = 0; i < seen->count; i++) {
		const struct observed_call *call = &seen->calls[i];

		if (call->outcome == TRACE_MADE && !call->foreign && call->nr >= 0 &&
		    policy_syscall_name(POLICY_X86_64, (uint32_t)call->nr) &&
		    judge_decide(policy, call).verdict != JUDGE_PASSES)
			abort();
	}
	policy_free(policy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t wanted[TRACE_NUMBERS];
	struct observed seen = {};
	char *text = NULL;
	size_t length;
	FILE *in, *out;

	if (!size)
		return 0;
	record_wanted(POLICY_X86_64, wanted);
	in = fmemopen((void *)(uintptr_t)data, size, "r");
	if (strace_read(in, POLICY_X86_64, wanted, &seen) == 0) {
		out = open_memstream(&text, &length);
		if (record_write(out, POLICY_X86_64, "any\\\n text", &seen))
			abort();
		fclose(out);
		check_allowed(text, length, &seen);
		free(text);
	}
	fclose(in);
	observed_free(&seen);
	return 0;
}
