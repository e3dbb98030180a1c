/*
 * Any bytes as a policy: what parses must compile to a filter that the kernel takes and that is
 * proven to decide as the text does, or be refused for its size. Then the filter is changed, and
 * both ways of proving must say the same of it.
 */
#include <errno.h>
#include <stdlib.h>

#include "policy/parse.h"
#include "seccomp/compile.h"
#include "seccomp/lockstep.h"
#include "seccomp/program.h"
#include "seccomp/verify.h"

#define CHANGED 48 /* instructions of a filter that is changed: for speed */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge_changed(const struct policy *policy, struct sock_filter *insns, size_t len,
			  unsigned choice)
{
	struct verify_difference difference;
	const char *reason;
	size_t at;
	int lockstep;

	insns[choice % len].k ^= 1u << choice / 8 % 32;
	if (choice & 1 && BPF_CLASS(insns[choice / 2 % len].code) == BPF_JMP)
		insns[choice / 2 % len].jt ^= (uint8_t)(choice / 16 % 4);
	if (len > CHANGED || program_check(insns, len, &at, &reason) < 0)
		return;
	lockstep = lockstep_verify(policy, insns, len, &difference);
	if (lockstep != -EAGAIN && lockstep != verify_exactly(policy, insns, len, &difference))
		abort();
}

static void judge(const struct policy *policy, unsigned choice)
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
	judge_changed(policy, insns, len, choice);
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
		judge(policy, (unsigned)size * 257u + data[size - 1] * 31u + data[size / 2]);
	policy_free(policy);
	return 0;
}
