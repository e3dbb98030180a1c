/*
 * Any bytes as a policy, in every dialect: the parser must neither crash nor leak nor run for ever,
 * and what it accepts it must accept again. The first byte chooses dialect and architecture.
 */
#include <stdlib.h>

#include "policy/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy_parse_options options = { .arch = POLICY_X86_64 };
	struct policy *policy = NULL, *again = NULL;

	if (!size)
		return 0;
	options.dialect = (enum policy_dialect)(data[0] % 3);
	options.arch = (enum policy_arch)(data[0] / 3 % POLICY_ARCHES);
	options.denylist = data[0] & 0x80;
	if (policy_parse_text("fuzz", (const char *)data + 1, size - 1, &options, &policy))
		return 0;
	if (policy_parse_text("fuzz", (const char *)data + 1, size - 1, &options, &again))
		abort();
	policy_free(policy);
	policy_free(again);
	return 0;
}
