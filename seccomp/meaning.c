/* What a policy's text says, as sets of calls, in the process that proves. Written from the
 * language's description and not from the compiler: comparisons are made here on 64 bits, bit by
 * bit. */
#include "seccomp/decisions.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>

uint32_t explore_arch(enum policy_arch arch)
{
	switch (arch) {
	case POLICY_X86_64:
		return EM_X86_64 | __AUDIT_ARCH_64BIT | __AUDIT_ARCH_LE;
	case POLICY_AARCH64:
		return EM_AARCH64 | __AUDIT_ARCH_64BIT | __AUDIT_ARCH_LE;
	case POLICY_RISCV64:
		return EM_RISCV | __AUDIT_ARCH_64BIT | __AUDIT_ARCH_LE;
	case POLICY_ARCHES:
		break;
	}
	return 0;
}

uint32_t explore_word(struct space *space, unsigned word, uint32_t value)
{
	uint32_t set = SPACE_ALL;

	for (unsigned bit = 0; bit < 32; bit++) {
		uint32_t one = space_bit(space, word, bit);

		set = value >> bit & 1 ? space_and(space, set, one) : space_minus(space, set, one);
	}
	return set;
}

/* Bit 0 to 63 of an argument. */
static uint32_t argument_bit(struct space *space, unsigned argument, unsigned bit)
{
	return space_bit(space, 4 + 2 * argument + bit / 32, bit % 32);
}

static uint32_t argument_equal(struct space *space, unsigned argument, uint64_t value)
{
	uint32_t set = SPACE_ALL;

	for (unsigned bit = 0; bit < 64; bit++) {
		uint32_t one = argument_bit(space, argument, bit);

		set = value >> bit & 1 ? space_and(space, set, one) : space_minus(space, set, one);
	}
	return set;
}

/* From the lowest bit on: greater where this bit is and the value's is not; else as the bits below
 * say. */
static uint32_t argument_greater(struct space *space, unsigned argument, uint64_t value)
{
	uint32_t set = SPACE_EMPTY;

	for (unsigned bit = 0; bit < 64; bit++) {
		uint32_t one = argument_bit(space, argument, bit);

		set = value >> bit & 1 ? space_and(space, set, one) : space_or(space, set, one);
	}
	return set;
}

static uint32_t argument_has(struct space *space, unsigned argument, uint64_t bits)
{
	uint32_t set = SPACE_EMPTY;

	for (unsigned bit = 0; bit < 64; bit++)
		if (bits >> bit & 1)
			set = space_or(space, set, argument_bit(space, argument, bit));
	return set;
}

uint32_t explore_atom(struct space *space, const struct policy_atom *atom)
{
	unsigned n = atom->argument;
	uint32_t set = SPACE_EMPTY;

	switch (atom->comparison) {
	case POLICY_EQ:
		return argument_equal(space, n, atom->value);
	case POLICY_GT:
		return argument_greater(space, n, atom->value);
	case POLICY_GE:
		return space_or(space, argument_greater(space, n, atom->value),
				argument_equal(space, n, atom->value));
	case POLICY_ANY:
		return argument_has(space, n, atom->value);
	case POLICY_NE:
		set = argument_equal(space, n, atom->value);
		break;
	case POLICY_LE:
		set = argument_greater(space, n, atom->value);
		break;
	case POLICY_LT:
		set = space_or(space, argument_greater(space, n, atom->value),
			       argument_equal(space, n, atom->value));
		break;
	case POLICY_IN:
		set = argument_has(space, n, ~atom->value);
		break;
	}
	return space_minus(space, SPACE_ALL, set);
}

uint32_t explore_clauses(struct space *space, const struct policy_clause *clauses)
{
	uint32_t any = clauses ? SPACE_EMPTY : SPACE_ALL;

	for (; clauses; clauses = clauses->next) {
		uint32_t all = SPACE_ALL;

		for (const struct policy_atom *atom = clauses->atoms; atom; atom = atom->next)
			all = space_and(space, all, explore_atom(space, atom));
		any = space_or(space, any, all);
	}
	return any;
}

uint32_t explore_action(struct policy_action action)
{
	switch (action.verdict) {
	case POLICY_KILL_PROCESS:
		return SECCOMP_RET_KILL_PROCESS;
	case POLICY_KILL_THREAD:
		return SECCOMP_RET_KILL_THREAD;
	case POLICY_TRAP:
		return SECCOMP_RET_TRAP;
	case POLICY_ERRNO:
		return SECCOMP_RET_ERRNO + action.number;
	case POLICY_NOTIFY:
		return SECCOMP_RET_USER_NOTIF;
	case POLICY_TRACE:
		return SECCOMP_RET_TRACE;
	case POLICY_LOG:
		return SECCOMP_RET_LOG;
	case POLICY_ALLOW:
		return SECCOMP_RET_ALLOW;
	}
	return SECCOMP_RET_KILL_PROCESS;
}

/* x86_64's numbers with bit 30 set are x32's, which a denylist cannot name. -1 is a tracer's "no
 * call". */
uint32_t explore_x32(struct space *space)
{
	uint32_t none = explore_word(space, 0, UINT32_MAX), set = SPACE_EMPTY;

	for (unsigned bit = 30; bit < 32; bit++)
		set = space_or(space, set, space_bit(space, 0, bit));
	return space_minus(space, set, none);
}

int explore_policy(struct space *space, const struct policy *policy, struct decisions *out)
{
	uint32_t here = explore_word(space, 1, explore_arch(policy->arch)), left = here;

	*out = (struct decisions){ .space = space };
	for (const struct policy_rule *rule = policy->rules; rule; rule = rule->next) {
		uint32_t calls = space_and(space, here, explore_word(space, 0, rule->number));

		left = space_minus(space, left, calls);
		for (const struct policy_filter *f = rule->filters; f && calls != SPACE_EMPTY;
		     f = f->next) {
			uint32_t hit = space_and(space, calls, explore_clauses(space, f->clauses));

			decisions_add(out, explore_action(f->action), hit);
			calls = space_minus(space, calls, hit);
		}
		decisions_add(out, explore_action(policy->default_action), calls);
	}
	if (policy->denylist && policy->arch == POLICY_X86_64) {
		uint32_t x32 = space_and(space, left, explore_x32(space));

		decisions_add(out, DECISION_FOREIGN, x32);
		left = space_minus(space, left, x32);
	}
	decisions_add(out, explore_action(policy->default_action), left);
	decisions_add(out, DECISION_FOREIGN, space_minus(space, SPACE_ALL, here));
	return space_exhausted(space) || out->overflow ? -E2BIG : 0;
}
