/* verify: the proof notices every change of meaning that a changed instruction makes, and no change
 * that is none; a counter-example is one. Judged by running the filters on many calls. */
#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "policy/names.h"
#include "seccomp/compile.h"
#include "seccomp/evaluate.h"
#include "seccomp/lockstep.h"
#include "seccomp/program.h"
#include "seccomp/verify.h"
#include "tests/unit/seccomp/parse.h"
#include "tests/unit/seccomp/random.h"

/* ---- mutations
 * --------------------------------------------------------------------------------------------------------------
 */

static bool is_comparison(uint16_t code)
{
	return BPF_CLASS(code) == BPF_JMP && code != (BPF_JMP | BPF_JA);
}

/* One instruction changed in one way; false when that way is none for it. */
static bool mutate(struct sock_filter *i, unsigned way, uint64_t *seed)
{
	static const uint16_t comparisons[] = { BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET };
	uint8_t swap = i->jt;

	switch (way) {
	case 0:
		i->k++;
		return true;
	case 1:
		i->k--;
		return true;
	case 2:
		i->k ^= 1u << random_below(seed, 32);
		return true;
	case 3:
		i->jt = i->jf;
		i->jf = swap;
		return is_comparison(i->code) && i->jt != i->jf;
	case 4:
		i->jt++;
		return is_comparison(i->code);
	case 5:
		i->jf++;
		return is_comparison(i->code);
	case 6:
		i->jt = 0;
		return is_comparison(i->code) && swap;
	case 7:
		i->code = (uint16_t)(BPF_JMP | BPF_K | comparisons[random_below(seed, 4)]);
		return true;
	case 8:
		i->k = i->code == (BPF_LD | BPF_W | BPF_ABS) ? random_below(seed, 16) * 4 : i->k;
		return i->code == (BPF_LD | BPF_W | BPF_ABS);
	case 9:
		*i = (struct sock_filter){ .code = BPF_RET | BPF_K, .k = SECCOMP_RET_ALLOW };
		return true;
	case 10:
		*i = (struct sock_filter){ .code = BPF_ALU | BPF_AND | BPF_K, .k = 0xff };
		return true;
	default:
		*i = (struct sock_filter){ .code = BPF_JMP | BPF_JA, .k = 0 };
		return true;
	}
}

static uint32_t foreign_or(uint32_t decision)
{
	return decision == SECCOMP_RET_KILL_PROCESS ? SECCOMP_RET_KILL_THREAD : decision;
}

/* True when the two part on a call; tried on many. */
static bool differ(struct random_policy *random, const struct sock_filter *a,
		   const struct sock_filter *b, size_t len)
{
	for (int i = 0; i < 300; i++) {
		static const uint32_t numbers[] = { 0,	1,   3,	  16,  9,	  11,  19,
						    20, 271, 202, 60,  231,	  257, 41,
						    56, 44,  2,	  500, 0xffffffff };
		uint32_t arch = compile_arch(i % 16 ? POLICY_X86_64 : POLICY_AARCH64), one, two;
		struct seccomp_data data;

		random_call(random, &data, arch, numbers[random_below(&random->seed, 19)]);
		one = decisions_read(evaluate(a, (unsigned short)len, &data, NULL));
		two = decisions_read(evaluate(b, (unsigned short)len, &data, NULL));
		if (i % 16 ? one != two : foreign_or(one) != foreign_or(two))
			return true;
	}
	return false;
}

static struct {
	unsigned tried, caught, in_lockstep;
} seen;

/* A counter-example parts the two when they are run. */
static void judge_witness(const struct verify_difference *d, const struct sock_filter *original,
			  const struct sock_filter *changed, size_t len)
{
	uint32_t before =
		decisions_read(evaluate(original, (unsigned short)len, &d->witness, NULL));
	uint32_t after = decisions_read(evaluate(changed, (unsigned short)len, &d->witness, NULL));

	assert_int_equal(after, d->b);
	assert_true(decisions_equal(before, d->a));
	assert_int_not_equal(before, after);
}

/* Both ways of proving, and the two filters run. */
static void judge(const struct policy *policy, const struct sock_filter *original,
		  const struct sock_filter *changed, size_t len, struct random_policy *random)
{
	struct verify_difference d;
	int exactly = verify_exactly(policy, changed, len, &d), lockstep;

	assert_true(exactly == 0 || exactly == 1);
	if (exactly == 0 && differ(random, original, changed, len))
		fail_msg("a change of meaning was proven to be none:\n%s", random->text);
	if (exactly == 1)
		judge_witness(&d, original, changed, len);
	lockstep = lockstep_verify(policy, changed, len, &d);
	if (lockstep != -EAGAIN && lockstep != exactly)
		fail_msg("lockstep: %d, sets: %d\n%s", lockstep, exactly, random->text);
	if (lockstep == 1)
		judge_witness(&d, original, changed, len);
	seen.tried++;
	seen.caught += exactly == 1;
	seen.in_lockstep += lockstep != -EAGAIN;
}

static void test_mutations(void **state)
{
	static struct random_policy random;
	(void)state;
	for (uint64_t seed = 0; seed < 12; seed++) {
		struct sock_filter *insns, *changed;
		struct policy *policy;
		size_t len;

		random_policy(&random, seed, 1 + (unsigned)seed % 5);
		policy = parse(random.text, POLICY_X86_64);
		assert_int_equal(compile_policy(policy, &insns, &len), 0);
		changed = malloc(len * sizeof(*changed));
		assert_non_null(changed);
		for (size_t at = 0; at < len; at++) {
			for (unsigned way = 0; way < 12; way++) {
				const char *reason;
				size_t where;

				memcpy(changed, insns, len * sizeof(*insns));
				if (!mutate(&changed[at], way, &random.seed) ||
				    program_check(changed, len, &where, &reason) < 0)
					continue;
				judge(policy, insns, changed, len, &random);
			}
		}
		free(changed);
		free(insns);
		policy_free(policy);
	}
	print_message("# %u mutations, %u of another meaning, %u decided in lockstep\n", seen.tried,
		      seen.caught, seen.in_lockstep);
	assert_true(seen.tried > 1000 && seen.caught > seen.tried / 2);
	assert_true(seen.in_lockstep > seen.tried / 4 * 3);
}

/* ---- other compilers' filters
 * --------------------------------------------------------------------------------------------------
 */

#define LOAD(word)                                       \
	{                                                \
		BPF_LD | BPF_W | BPF_ABS, 0, 0, (word)*4 \
	}
#define JEQ(value, t, f)                               \
	{                                              \
		BPF_JMP | BPF_JEQ | BPF_K, t, f, value \
	}
#define JGT(value, t, f)                               \
	{                                              \
		BPF_JMP | BPF_JGT | BPF_K, t, f, value \
	}
#define JGE(value, t, f)                               \
	{                                              \
		BPF_JMP | BPF_JGE | BPF_K, t, f, value \
	}
#define AND(value)                                     \
	{                                              \
		BPF_ALU | BPF_AND | BPF_K, 0, 0, value \
	}
#define RET(value)                           \
	{                                    \
		BPF_RET | BPF_K, 0, 0, value \
	}
#define ARCH_X86_64 0xc000003e
#define ALLOW	    SECCOMP_RET_ALLOW

/* Other ways to say the same, with instructions that our own compiler does not use. */
static const struct sock_filter masked[] = {
	LOAD(1), JEQ(ARCH_X86_64, 1, 0), RET(0),  LOAD(0),	JEQ(16, 0, 6), LOAD(4),
	AND(6),	 JEQ(0, 0, 2),		 LOAD(5), JEQ(0, 1, 0), RET(ALLOW),    RET(0),
};
static const struct sock_filter shifted[] = {
	LOAD(1),
	{ BPF_ALU | BPF_SUB | BPF_K, 0, 0, ARCH_X86_64 },
	JGT(0, 6, 0),
	LOAD(0),
	{ BPF_ALU | BPF_ADD | BPF_K, 0, 0, 0xfffffff0 },
	JEQ(0, 0, 3),
	LOAD(4),
	{ BPF_ALU | BPF_RSH | BPF_K, 0, 0, 31 },
	JGE(1, 1, 0),
	RET(0),
	RET(ALLOW),
};
static const struct sock_filter through_memory[] = {
	LOAD(0),
	{ BPF_ST, 0, 0, 3 },
	LOAD(1),
	JEQ(ARCH_X86_64, 0, 4),
	{ BPF_LDX | BPF_MEM, 0, 0, 3 },
	{ BPF_LD | BPF_IMM, 0, 0, 16 },
	{ BPF_JMP | BPF_JEQ | BPF_X, 0, 1, 0 },
	RET(ALLOW),
	RET(0),
};
/* A nr of 16 and no other makes 16 * nr / 16 and 256 / nr both 16. */
static const struct sock_filter multiplied[] = {
	LOAD(1),
	JEQ(ARCH_X86_64, 0, 9),
	LOAD(0),
	{ BPF_MISC | BPF_TAX, 0, 0, 0 },
	{ BPF_LD | BPF_IMM, 0, 0, 256 },
	JGT(0, 0, 5),
	{ BPF_ALU | BPF_DIV | BPF_X, 0, 0, 0 },
	JEQ(16, 0, 3),
	{ BPF_MISC | BPF_TXA, 0, 0, 0 },
	JEQ(16, 0, 1),
	RET(ALLOW),
	RET(0),
};

static const struct {
	const char *name, *text;
	const struct sock_filter *insns;
	size_t len;
	int result;
} foreign[] = {
	{ "mask", "ioctl: arg0 & 6 || arg0 & 0xffffffff00000000", masked, 12, 0 },
	{ "mask, another bit", "ioctl: arg0 & 7 || arg0 & 0xffffffff00000000", masked, 12, 1 },
	{ "arithmetic", "ioctl: arg0 & 0x80000000", shifted, 11, 0 },
	{ "arithmetic, another bit", "ioctl: arg0 & 0x40000000", shifted, 11, 1 },
	{ "memory", "ioctl: 1", through_memory, 9, 0 },
	{ "memory, another call", "access: 1", through_memory, 9, 1 },
	{ "division", "ioctl: 1", multiplied, 12, 0 },
	{ "division, another call", "dup: 1", multiplied, 12, 1 },
};

static void test_foreign_filters(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		struct policy *policy = parse(foreign[i].text, POLICY_X86_64);
		struct verify_difference d;
		const char *reason;
		size_t at;

		assert_int_equal(program_check(foreign[i].insns, foreign[i].len, &at, &reason), 0);
		if (verify_filter(policy, foreign[i].insns, foreign[i].len, &d) !=
		    foreign[i].result)
			fail_msg("%s", foreign[i].name);
		policy_free(policy);
	}
}

/* Some versions of libseccomp allow 8 here: whatever this one does, the proof and a run agree on
 * it. */
static void test_libseccomp(void **state)
{
	const struct seccomp_data eight = { .nr = 16, .arch = ARCH_X86_64, .args = { 0, 8 } };
	struct policy *policy = parse("ioctl: arg1 <= 5 || arg1 >= 0x800000000", POLICY_X86_64);
	scmp_filter_ctx context = seccomp_init(SCMP_ACT_KILL);
	struct sock_filter insns[256];
	struct verify_difference d;
	int fd = memfd_create("filter", MFD_CLOEXEC), result;
	ssize_t size;

	(void)state;
	assert_int_equal(seccomp_arch_remove(context, SCMP_ARCH_NATIVE), 0);
	assert_int_equal(seccomp_arch_add(context, SCMP_ARCH_X86_64), 0);
	assert_int_equal(seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
					  SCMP_A1(SCMP_CMP_LE, 5, 0)),
			 0);
	assert_int_equal(seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
					  SCMP_A1(SCMP_CMP_GE, 0x800000000, 0)),
			 0);
	assert_int_equal(seccomp_export_bpf(context, fd), 0);
	size = pread(fd, insns, sizeof(insns), 0);
	assert_true(size > 0 && size % 8 == 0);
	result = verify_filter(policy, insns, (size_t)size / 8, &d);
	print_message("# libseccomp: %s\n", result ? "refuted" : "proven");
	if (evaluate(insns, (unsigned short)(size / 8), &eight, NULL) == SECCOMP_RET_ALLOW)
		assert_int_equal(result, 1);
	if (result == 1)
		assert_int_equal(decisions_read(evaluate(insns, (unsigned short)(size / 8),
							 &d.witness, NULL)),
				 d.b);
	close(fd);
	seccomp_release(context);
	policy_free(policy);
}

/* Architectures that a text is not about: any kill will do, and nothing less. */
static void test_architectures(void **state)
{
	struct sock_filter filter[] = {
		LOAD(1), JEQ(ARCH_X86_64, 1, 0), RET(SECCOMP_RET_KILL_PROCESS),
		LOAD(0), JEQ(0, 0, 1),		 RET(ALLOW),
		RET(0)
	};
	struct policy *policy = parse("read: 1", POLICY_X86_64);
	struct verify_difference d;

	(void)state;
	assert_int_equal(verify_filter(policy, filter, 7, &d), 0);
	filter[2].k = SECCOMP_RET_ERRNO | 1;
	assert_int_equal(verify_filter(policy, filter, 7, &d), 1);
	assert_int_not_equal(d.witness.arch, ARCH_X86_64);
	/* What a filter returns never counts as "any kill", even if it is the same number. */
	filter[2].k = 0;
	filter[6].k = DECISION_FOREIGN;
	assert_int_equal(verify_filter(policy, filter, 7, &d), 1);
	assert_int_equal(d.b, SECCOMP_RET_KILL_PROCESS);
	policy_free(policy);
}

/* ---- differences and properties
 * --------------------------------------------------------------------------------------------------
 */

struct found {
	struct verify_difference at[16];
	size_t count;
};

static bool collect(void *context, const struct verify_difference *d)
{
	struct found *found = context;

	found->at[found->count++] = *d;
	return found->count < 16;
}

static void test_differences(void **state)
{
	struct policy *a = parse("read: 1\nwrite: 1\nclose: arg0 < 5", POLICY_X86_64),
		      *b = parse("read: 1\nclose: arg0 <= 5\nfstat: return 1", POLICY_X86_64);
	struct space *space = space_new(SPACE_LIMIT);
	struct decisions one, two;
	struct found found = { .count = 0 };

	(void)state;
	assert_int_equal(explore_policy(space, a, &one), 0);
	assert_int_equal(explore_policy(space, b, &two), 0);
	assert_int_equal(verify_compare(&one, &two, ARCH_X86_64, collect, &found), 3);
	for (size_t i = 0; i < 3; i++) {
		if (found.at[i].first_nr == 3)
			assert_int_equal(found.at[i].witness.args[0], 5);
		assert_int_equal(found.at[i].first_nr, found.at[i].last_nr);
		assert_in_range(found.at[i].first_nr, 1, 5);
	}
	assert_int_equal(verify_compare(&one, &one, ARCH_X86_64, collect, &found), 0);
	space_free(space);
	policy_free(a);
	policy_free(b);
}

static const struct {
	const char *policy, *property;
	bool holds;
} promises[] = {
	{ "mmap: arg2 in ~PROT_EXEC\nmprotect: arg2 in ~PROT_EXEC", "no-executable-memory", true },
	{ "mmap: arg2 in ~PROT_EXEC\nmprotect: 1", "no-executable-memory", false },
	{ "openat: return EPERM", "no-open", true },
	{ "openat: log", "no-open", false },
	{ "clone3: return ENOSYS", "no-new-process", true },
	{ "socket: arg0 == 1", "no-new-socket", false },
	{ "ioctl: arg1 == 1 || arg1 == 2", "only ioctl: arg1 == 1 || arg1 == 2 || arg1 == 3",
	  true },
	{ "ioctl: arg1 == 1 || arg1 == 4", "only ioctl: arg1 == 1 || arg1 == 2 || arg1 == 3",
	  false },
	{ "read: 1", "always read", true },
	{ "read: arg2 > 1", "always read", false },
	{ "read: arg2 > 1", "always read: arg2 == 2", true },
	{ "read: arg2 > 1; log", "always read: arg2 == 2", false },
	{ "read: 1", "never write, close", true },
	{ "read: 1\nclose: 1", "never write, close", false },
	{ "close: trace", "never close", false },
};

static void test_properties(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(promises) / sizeof(promises[0]); i++) {
		struct policy *policy = parse(promises[i].policy, POLICY_X86_64);
		struct space *space = space_new(SPACE_LIMIT);
		struct decisions decided;
		bool holds = true;

		assert_int_equal(policy_prove(policy, promises[i].property, stderr), 0);
		assert_int_equal(explore_policy(space, policy, &decided), 0);
		for (const struct policy_property *p = policy->properties; p; p = p->next) {
			struct seccomp_data witness;
			uint32_t decision;

			holds &=
				verify_property(&decided, ARCH_X86_64, p, &witness, &decision) == 0;
		}
		if (holds != promises[i].holds)
			fail_msg("%s: %s", promises[i].policy, promises[i].property);
		space_free(space);
		policy_free(policy);
	}
}

/* Conditions on pairs of arguments, too many for sets of calls: in lockstep they are few. */
static void test_many_pairs(void **state)
{
	struct random_policy random = { .seed = 77 };
	char text[200 * 96] = "ioctl: ";
	struct verify_difference d;
	struct sock_filter *insns;
	struct policy *policy;
	size_t len, n = 7;
	unsigned refuted = 0;
	int err;

	(void)state;
	for (int i = 0; i < 150; i++) {
		const char *op = i % 3 == 0 ? "&" : i % 3 == 1 ? "==" : "<";

		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "%sarg%u %s 0x%lx && arg%u in 0x%lx", i ? " || " : "",
				      random_below(&random.seed, 6), op,
				      random_next(&random.seed) >> 4, random_below(&random.seed, 6),
				      random_next(&random.seed));
	}
	policy = parse(text, POLICY_X86_64);
	assert_int_equal(compile_policy(policy, &insns, &len), 0);
	assert_int_equal(verify_filter(policy, insns, len, &d), 0);
	/* One comparison the other way round. */
	for (size_t i = 10; i < len; i += 97) {
		struct sock_filter kept = insns[i];

		if (BPF_CLASS(kept.code) != BPF_JMP || kept.code == (BPF_JMP | BPF_JA))
			continue;
		insns[i].jt = kept.jf;
		insns[i].jf = kept.jt;
		err = lockstep_verify(policy, insns, len, &d);
		assert_int_not_equal(err, 0);
		refuted += err == 1;
		insns[i] = kept;
	}
	assert_true(refuted > 0);
	free(insns);
	policy_free(policy);
}

/* A filter that multiplies two arguments is beyond anybody: it must be refused and not judged. */
static void test_too_complex(void **state)
{
	const struct sock_filter filter[] = { LOAD(4),
					      { BPF_MISC | BPF_TAX, 0, 0, 0 },
					      LOAD(6),
					      { BPF_ALU | BPF_MUL | BPF_X, 0, 0, 0 },
					      JEQ(0x12345677, 0, 1),
					      RET(ALLOW),
					      RET(0) };
	struct space *space = space_new(1u << 16);
	struct decisions decided;

	(void)state;
	assert_int_equal(explore_filter(space, filter, 7, &decided), -E2BIG);
	space_free(space);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mutations),     cmocka_unit_test(test_foreign_filters),
		cmocka_unit_test(test_architectures), cmocka_unit_test(test_libseccomp),
		cmocka_unit_test(test_differences),   cmocka_unit_test(test_properties),
		cmocka_unit_test(test_too_complex),   cmocka_unit_test(test_many_pairs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
