/*
 * Any bytes as a policy: what parses must compile to a filter that the kernel takes and that is
 * proven to decide as the text does, or be refused for its size.
 */
#include <errno.h>
#include <stdlib.h>

#include "policy/parse.h"
#include "seccomp/compile.h"
#include "seccomp/program.h"
#include "seccomp/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(const struct policy *policy)
{
	struct verify_difference difference;
	struct sock_filter *insns;
	const char *reason;
	size_t len, at;
	int err = compile_policy(policy, &insns, &len);

	if (err == -E2BIG)
		return;
	if (err || program_check(insns, len, &at, &reason) < 0)
		abort();
	err = verify_filter(policy, insns, len, &difference);
	if (err && err != -E2BIG)
		abort();
	free(insns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy_parse_options options = { .dialect = POLICY_DIALECT_COMPILER };
	struct policy *policy;

	if (!size || size > 8192)
		return 0;
	options.arch = (enum policy_arch)(data[0] % POLICY_ARCHES);
	options.denylist = data[0] & 0x80;
	if (policy_parse_text("fuzz", (const char *)data + 1, size - 1, &options, &policy) == 0)
		judge(policy);
	policy_free(policy);
	return 0;
}
