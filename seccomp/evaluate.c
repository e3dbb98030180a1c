/* An interpreter of classic BPF over struct seccomp_data, in any thread. Its filters have passed
 * program_check(), so every offset and every jump is within bounds and every path ends in a return.
 */
#include "seccomp/evaluate.h"

#include <stdbool.h>
#include <string.h>

struct machine {
	uint32_t a, x, memory[BPF_MEMWORDS];
};

/* False: a division by zero, which ends a filter with 0. */
static bool operate(struct machine *m, const struct sock_filter *insn)
{
	uint32_t operand = BPF_SRC(insn->code) == BPF_X ? m->x : insn->k;

	switch (BPF_OP(insn->code)) {
	case BPF_ADD:
		m->a += operand;
		break;
	case BPF_SUB:
		m->a -= operand;
		break;
	case BPF_MUL:
		m->a *= operand;
		break;
	case BPF_DIV:
		if (!operand)
			return false;
		m->a /= operand;
		break;
	case BPF_AND:
		m->a &= operand;
		break;
	case BPF_OR:
		m->a |= operand;
		break;
	case BPF_XOR:
		m->a ^= operand;
		break;
	case BPF_LSH:
		m->a <<= operand & 31;
		break;
	case BPF_RSH:
		m->a >>= operand & 31;
		break;
	case BPF_NEG:
		m->a = 0 - m->a;
		break;
	default:
		break;
	}
	return true;
}

static unsigned jump(const struct machine *m, const struct sock_filter *insn)
{
	uint32_t operand = BPF_SRC(insn->code) == BPF_X ? m->x : insn->k;
	bool taken = false;

	switch (BPF_OP(insn->code)) {
	case BPF_JA:
		return insn->k;
	case BPF_JEQ:
		taken = m->a == operand;
		break;
	case BPF_JGT:
		taken = m->a > operand;
		break;
	case BPF_JGE:
		taken = m->a >= operand;
		break;
	case BPF_JSET:
		taken = m->a & operand;
		break;
	default:
		break;
	}
	return taken ? insn->jt : insn->jf;
}

static uint32_t load(const struct machine *m, const struct sock_filter *insn,
		     const struct seccomp_data *data)
{
	uint32_t word;

	switch (BPF_MODE(insn->code)) {
	case BPF_ABS:
		memcpy(&word, (const char *)data + insn->k, sizeof(word));
		return word;
	case BPF_LEN:
		return sizeof(*data);
	case BPF_MEM:
		return m->memory[insn->k];
	default:
		return insn->k;
	}
}

uint32_t evaluate(const struct sock_filter *insns, unsigned short len,
		  const struct seccomp_data *data, struct evaluate_trace *trace)
{
	struct evaluate_trace unused, *t = trace ? trace : &unused;
	struct machine m = { .a = 0 };
	bool branched = false;

	*t = (struct evaluate_trace){ .executed = 0 };
	for (unsigned pc = 0; pc < len; pc++) {
		const struct sock_filter *insn = &insns[pc];

		t->executed++;
		t->at = (unsigned short)pc;
		switch (BPF_CLASS(insn->code)) {
		case BPF_LD:
			m.a = load(&m, insn, data);
			break;
		case BPF_LDX:
			m.x = load(&m, insn, data);
			break;
		case BPF_ST:
			m.memory[insn->k] = m.a;
			break;
		case BPF_STX:
			m.memory[insn->k] = m.x;
			break;
		case BPF_ALU:
			if (!operate(&m, insn))
				return 0;
			break;
		case BPF_JMP:
			branched |= insn->code != (BPF_JMP | BPF_JA);
			if (insn->code != (BPF_JMP | BPF_JA))
				t->branch = (unsigned short)pc;
			pc += jump(&m, insn);
			break;
		case BPF_RET:
			if (!branched)
				t->branch = (unsigned short)pc;
			return BPF_RVAL(insn->code) == BPF_A ? m.a : insn->k;
		default: /* BPF_MISC */
			if (insn->code == (BPF_MISC | BPF_TAX))
				m.x = m.a;
			else
				m.a = m.x;
		}
	}
	return 0;
}
