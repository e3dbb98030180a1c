/*
 * Any bytes as a filter: what the kernel would take is followed for all calls at once, and must
 * agree with running it on single ones. The first 64 bytes are such a call; more are made from the
 * filter's own constants.
 */
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>

#include "seccomp/decisions.h"
#include "seccomp/evaluate.h"
#include "seccomp/program.h"

#define LENGTH 128	  /* instructions */
#define LIMIT  (1u << 14) /* nodes: small, for speed */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(const struct decisions *decided, const struct sock_filter *insns, size_t len,
		  const struct seccomp_data *call)
{
	uint32_t decision = decisions_read(evaluate(insns, (unsigned short)len, call, NULL));
	unsigned found = 0;

	for (size_t i = 0; i < decided->count; i++) {
		if (!space_has(decided->space, decided->at[i].set, call))
			continue;
		if (decided->at[i].decision != decision)
			abort();
		found++;
	}
	if (found != 1)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sock_filter insns[LENGTH];
	struct seccomp_data call;
	struct decisions decided;
	struct space *space;
	const char *reason;
	size_t len, at;

	if (size < sizeof(call) + sizeof(*insns))
		return 0;
	memcpy(&call, data, sizeof(call));
	len = (size - sizeof(call)) / sizeof(*insns);
	len = len < LENGTH ? len : LENGTH;
	memcpy(insns, data + sizeof(call), len * sizeof(*insns));
	if (program_check(insns, len, &at, &reason) < 0)
		return 0;
	space = space_new(LIMIT);
	if (!space || explore_filter(space, insns, len, &decided) < 0)
		goto out;
	judge(&decided, insns, len, &call);
	for (size_t i = 0; i < len; i++) {
		uint32_t words[SPACE_WORDS];

		memcpy(words, &call, sizeof(words));
		words[i % SPACE_WORDS] = insns[i].k + (uint32_t)(i % 3) - 1;
		memcpy(&call, words, sizeof(call));
		judge(&decided, insns, len, &call);
	}
out:
	space_free(space);
	return 0;
}
