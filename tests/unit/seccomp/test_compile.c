/* compile: every decision is the text's, over random policies and over those known to be compiled
 * wrong elsewhere; what a number decides alone needs no argument; limits are told. The judge is
 * policy_decide(), which reads the tree. */
#include <errno.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "policy/decide.h"
#include "policy/names.h"
#include "seccomp/compile.h"
#include "seccomp/evaluate.h"
#include "seccomp/program.h"
#include "seccomp/verify.h"
#include "tests/unit/seccomp/parse.h"
#include "tests/unit/seccomp/random.h"

static void compile(const struct policy *policy, struct sock_filter **insns, size_t *len)
{
	const char *reason;
	size_t at;

	assert_int_equal(compile_policy(policy, insns, len), 0);
	assert_int_equal(program_check(*insns, *len, &at, &reason), 0);
}

static uint32_t expected(const struct policy *policy, const struct seccomp_data *data)
{
	uint64_t args[6];

	memcpy(args, data->args, sizeof(args));
	return compile_action(policy_decide(policy, (uint32_t)data->nr, args, NULL, NULL));
}

/* ---- the text's decisions
 * ------------------------------------------------------------------------------------------------
 */

static void test_random(void **state)
{
	static struct random_policy random;

	(void)state;
	for (uint64_t seed = 0; seed < 600; seed++) {
		enum policy_arch arch = (enum policy_arch)(seed % POLICY_ARCHES);
		struct verify_difference difference;
		struct sock_filter *insns;
		struct policy *policy;
		size_t len;

		random_policy(&random, seed, 1 + (unsigned)seed % 12);
		policy = parse(random.text, arch);
		compile(policy, &insns, &len);
		for (int i = 0; i < 2000; i++) {
			struct seccomp_data data;
			uint32_t nr;

			policy_syscall_at(
				arch,
				random_below(&random.seed, (unsigned)policy_syscall_count(arch)),
				&nr);
			if (policy->rules && i % 4) {
				const struct policy_rule *rule = policy->rules;

				for (unsigned skip = random_below(&random.seed, 12);
				     skip && rule->next; skip--)
					rule = rule->next;
				nr = rule->number;
			}
			random_call(&random, &data, compile_arch(arch), nr);
			if (evaluate(insns, (unsigned short)len, &data, NULL) !=
			    expected(policy, &data))
				fail_msg("seed %lu: nr %u, args %llx %llx\n%s", (unsigned long)seed,
					 nr, data.args[0], data.args[1], random.text);
		}
		assert_int_equal(verify_filter(policy, insns, len, &difference), 0);
		free(insns);
		policy_free(policy);
	}
}

/* Two arguments or one twice, two clauses: where libseccomp 2.5 allows too much, too little, or
 * never returns. */
static void test_two_clauses(void **state)
{
	static const char *const comparisons[] = { "==", "!=", "<", "<=", ">", ">=", "&", "in" };
	static const uint64_t values[] = { 0,		5,	     0xffffffff,
					   0x100000000, 0x800000000, 0xffffffffffffffff };
	struct random_policy random = { .seed = 494 };
	unsigned compared = 0;

	(void)state;
	for (int n = 0; n < 494; n++) {
		struct verify_difference difference;
		struct sock_filter *insns;
		struct policy *policy;
		char text[256];
		size_t len;

		random.values_count = 2;
		random.values[0] = values[random_below(&random.seed, 6)];
		random.values[1] = values[random_below(&random.seed, 6)];
		snprintf(text, sizeof(text), "ioctl: arg%u %s 0x%lx %s arg%u %s 0x%lx",
			 random_below(&random.seed, 2), comparisons[random_below(&random.seed, 8)],
			 random.values[0], n % 2 ? "||" : "&&", random_below(&random.seed, 2),
			 comparisons[random_below(&random.seed, 8)], random.values[1]);
		policy = parse(text, POLICY_X86_64);
		compile(policy, &insns, &len);
		for (int i = 0; i < 500; i++, compared++) {
			struct seccomp_data data;

			random_call(&random, &data, compile_arch(POLICY_X86_64), 16);
			if (evaluate(insns, (unsigned short)len, &data, NULL) !=
			    expected(policy, &data))
				fail_msg("%s: args %llx %llx", text, data.args[0], data.args[1]);
		}
		assert_int_equal(verify_filter(policy, insns, len, &difference), 0);
		free(insns);
		policy_free(policy);
	}
	assert_int_equal(compared, 494 * 500);
}

static const struct {
	const char *text;
	uint64_t args[2];
	bool allowed;
} rows[] = {
	{ "ioctl: arg1 <= 5 || arg1 >= 0x800000000", { 0, 8 }, false },
	{ "ioctl: arg1 <= 5 || arg1 >= 0x800000000", { 0, 5 }, true },
	{ "ioctl: arg1 <= 5 || arg1 >= 0x800000000", { 0, 0x800000000 }, true },
	{ "ioctl: arg0 >= 1 && arg0 <= 5", { 5, 0 }, true },
	{ "ioctl: arg0 >= 1 && arg0 <= 5", { 6, 0 }, false },
	{ "ioctl: arg0 & 0x6", { 4, 0 }, true },
	{ "ioctl: arg0 & 0x6", { 0xfffffffffffffff9, 0 }, false },
	{ "ioctl: arg0 & 0", { 0xffffffffffffffff, 0 }, false },
	{ "ioctl: arg0 in 3", { 0x100000003, 0 }, false },
	{ "ioctl: arg0 in ~4", { 0xfffffffffffffffb, 0 }, true },
	{ "ioctl: arg0 == -1", { 0xffffffff, 0 }, false },
	{ "ioctl: arg0 == -1", { 0xffffffffffffffff, 0 }, true },
	{ "ioctl: arg0 > 0xffffffffffffffff", { 0xffffffffffffffff, 0 }, false },
	{ "ioctl: arg0 <= 0xffffffffffffffff", { 0xffffffffffffffff, 0 }, true },
	{ "ioctl: arg0 < 0", { 0, 0 }, false },
	{ "ioctl: arg0 >= 0xffffffff00000001", { 0xffffffff00000000, 0 }, false },
	{ "ioctl: { arg0 == 0; return EPERM, allow }", { 0, 0 }, false },
	{ "ioctl: { arg0 == 0; return EPERM, allow }", { 1, 0 }, true },
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct policy *policy = parse(rows[i].text, POLICY_X86_64);
		struct seccomp_data data = { .nr = 16, .arch = compile_arch(POLICY_X86_64) };
		struct sock_filter *insns;
		size_t len;

		data.args[0] = rows[i].args[0];
		data.args[1] = rows[i].args[1];
		compile(policy, &insns, &len);
		if ((evaluate(insns, (unsigned short)len, &data, NULL) == SECCOMP_RET_ALLOW) !=
		    rows[i].allowed)
			fail_msg("%s: %lx", rows[i].text, rows[i].args[0]);
		free(insns);
		policy_free(policy);
	}
}

/* ---- the shape
 * ------------------------------------------------------------------------------------------------------------
 */

static void test_foreign(void **state)
{
	struct policy *policy = parse("read: 1\n@default trap", POLICY_X86_64);
	struct seccomp_data data = { .nr = 0, .arch = compile_arch(POLICY_AARCH64) };
	struct sock_filter *insns;
	size_t len;

	(void)state;
	compile(policy, &insns, &len);
	assert_int_equal(evaluate(insns, (unsigned short)len, &data, NULL),
			 SECCOMP_RET_KILL_THREAD);
	data.arch = compile_arch(POLICY_X86_64);
	assert_int_equal(evaluate(insns, (unsigned short)len, &data, NULL), SECCOMP_RET_ALLOW);
	data.nr = 0x40000000; /* x32's read */
	assert_int_equal(evaluate(insns, (unsigned short)len, &data, NULL), SECCOMP_RET_TRAP);
	data.nr = -1;
	assert_int_equal(evaluate(insns, (unsigned short)len, &data, NULL), SECCOMP_RET_TRAP);
	free(insns);
	policy_free(policy);
}

static void test_denylist_kills_x32(void **state)
{
	static const char text[] = "@denylist\nopen: return EPERM\n";
	const struct policy_parse_options options = { .denylist = true, .errors = stderr };
	struct seccomp_data data = { .nr = 2, .arch = compile_arch(POLICY_X86_64) };
	struct sock_filter *insns;
	struct policy *policy;
	size_t len;

	(void)state;
	assert_int_equal(policy_parse_text("test", text, strlen(text), &options, &policy), 0);
	compile(policy, &insns, &len);
	assert_int_equal(evaluate(insns, (unsigned short)len, &data, NULL),
			 SECCOMP_RET_ERRNO | EPERM);
	data.nr = 0;
	assert_int_equal(evaluate(insns, (unsigned short)len, &data, NULL), SECCOMP_RET_ALLOW);
	data.nr = 0x40000002; /* x32's open */
	assert_int_equal(evaluate(insns, (unsigned short)len, &data, NULL),
			 SECCOMP_RET_KILL_THREAD);
	data.nr = -1;
	assert_int_equal(evaluate(insns, (unsigned short)len, &data, NULL), SECCOMP_RET_ALLOW);
	free(insns);
	policy_free(policy);
}

/* What the kernel does to fill its allow-cache (seccomp_is_const_allow): loads of arch and nr,
 * jumps, and a return. */
static bool constant_allow(const struct sock_filter *insns, size_t len, uint32_t arch, uint32_t nr)
{
	uint32_t a = 0;

	for (size_t pc = 0; pc < len; pc++) {
		const struct sock_filter *i = &insns[pc];
		bool taken;

		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (i->k > 4)
				return false;
			a = i->k ? arch : nr;
			continue;
		case BPF_RET | BPF_K:
			return i->k == SECCOMP_RET_ALLOW;
		case BPF_JMP | BPF_JA:
			pc += i->k;
			continue;
		case BPF_JMP | BPF_JEQ | BPF_K:
			taken = a == i->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			taken = a >= i->k;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			taken = a & i->k;
			break;
		default:
			return false;
		}
		pc += taken ? i->jt : i->jf;
	}
	return false;
}

static void test_allow_cache(void **state)
{
	static struct random_policy random;

	(void)state;
	for (uint64_t seed = 1000; seed < 1100; seed++) {
		struct sock_filter *insns;
		struct policy *policy;
		size_t len;

		random_policy(&random, seed, 12);
		random_append(&random, "getpid: 1\nbrk: 1\ngettid: { arg0 in -1, return EPERM }\n");
		policy = parse(random.text, POLICY_X86_64);
		compile(policy, &insns, &len);
		for (const struct policy_rule *r = policy->rules; r; r = r->next)
			if (!r->filters->clauses && r->filters->action.verdict == POLICY_ALLOW)
				assert_true(constant_allow(insns, len, compile_arch(POLICY_X86_64),
							   r->number));
		/* What is decided so only after simplification, too. */
		assert_true(constant_allow(insns, len, compile_arch(POLICY_X86_64), 186));
		free(insns);
		policy_free(policy);
	}
}

static unsigned executed(const struct sock_filter *insns, size_t len, uint32_t nr)
{
	struct seccomp_data data = { .nr = (int)nr, .arch = compile_arch(POLICY_X86_64) };
	struct evaluate_trace trace;

	assert_int_equal(evaluate(insns, (unsigned short)len, &data, &trace), SECCOMP_RET_ALLOW);
	return trace.executed;
}

/* A frequent call is found before rare ones. */
static void test_weights(void **state)
{
	struct policy *policy;
	struct sock_filter *insns;
	char text[16384] = "";
	size_t len, n = 0;

	(void)state;
	for (size_t i = 0; i < policy_syscall_count(POLICY_X86_64); i += 3) {
		uint32_t nr;

		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s: 1\n",
				      policy_syscall_at(POLICY_X86_64, i, &nr));
	}
	policy = parse(text, POLICY_X86_64);
	for (struct policy_rule *r = policy->rules; r; r = r->next)
		r->weight = r->number == 231 ? 1000000 : 1;
	compile(policy, &insns, &len);
	/* The least there is: architecture and number loaded, compared, returned. */
	assert_int_equal(executed(insns, len, 231), 5);
	assert_true(executed(insns, len, 0) <= 14);
	free(insns);
	policy_free(policy);
}

/* ---- limits
 * ----------------------------------------------------------------------------------------------------------------
 */

static char *long_policy(unsigned clauses, const char *between)
{
	size_t room = clauses * 64u + 64, n = 0;
	char *text = malloc(room);

	assert_non_null(text);
	n += (size_t)snprintf(text, room, "ioctl: ");
	for (unsigned i = 0; i < clauses; i++)
		n += (size_t)snprintf(text + n, room - n, "%sarg1 == 0x%x && arg2 == 0x%x",
				      i ? between : "", i * 7 + 1, i * 11 + 3);
	return text;
}

static void test_far_jumps(void **state)
{
	static const unsigned lengths[] = { 30, 40,  41,  42,  43,  44,	 60, 64,
					    80, 126, 127, 128, 129, 200, 400 };

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		char *text = long_policy(lengths[i], " || ");
		struct policy *policy = parse(text, POLICY_X86_64);
		struct verify_difference difference;
		struct sock_filter *insns;
		size_t len;

		compile(policy, &insns, &len);
		assert_int_equal(verify_filter(policy, insns, len, &difference), 0);
		free(insns);
		policy_free(policy);
		free(text);
	}
}

static void test_too_long(void **state)
{
	char *text = long_policy(3000, " || ");
	struct policy *policy = parse(text, POLICY_X86_64);
	struct sock_filter *insns;
	size_t len;

	(void)state;
	assert_int_equal(compile_policy(policy, &insns, &len), -E2BIG);
	assert_null(insns);
	assert_true(len > BPF_MAXINSNS && len < 8 * 3000);
	policy_free(policy);
	free(text);
}

static void test_empty(void **state)
{
	struct policy *policy = parse("", POLICY_RISCV64);
	struct seccomp_data data = { .nr = 1, .arch = compile_arch(POLICY_RISCV64) };
	struct sock_filter *insns;
	size_t len;

	(void)state;
	compile(policy, &insns, &len);
	assert_int_equal(evaluate(insns, (unsigned short)len, &data, NULL),
			 SECCOMP_RET_KILL_THREAD);
	free(insns);
	policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_two_clauses),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_denylist_kills_x32),
		cmocka_unit_test(test_allow_cache),
		cmocka_unit_test(test_weights),
		cmocka_unit_test(test_far_jumps),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
