/* Instructions in the notation of the kernel's bpf_asm, with what a reader would look up: which
 * word of the call is in the accumulator, and what a number is called. */
#include "seccomp/disassemble.h"

#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>

#include "policy/names.h"
#include "seccomp/describe.h"

static const char *const words[] = { "nr",   "arch",	   "ip",   "ip >> 32",
				     "arg0", "arg0 >> 32", "arg1", "arg1 >> 32",
				     "arg2", "arg2 >> 32", "arg3", "arg3 >> 32",
				     "arg4", "arg4 >> 32", "arg5", "arg5 >> 32" };

enum {
	UNKNOWN = -1,
	UNREACHED = -2
};

static void format_operate(const struct sock_filter *insn, char buffer[64])
{
	static const char *const names[] = { "add", "sub", "mul", "div", "or", "and",
					     "lsh", "rsh", "neg", "mod", "xor" };
	unsigned op = BPF_OP(insn->code) >> 4;
	const char *name = op < sizeof(names) / sizeof(names[0]) ? names[op] : "alu?";

	if (BPF_OP(insn->code) == BPF_NEG)
		snprintf(buffer, 64, "neg");
	else if (BPF_SRC(insn->code) == BPF_X)
		snprintf(buffer, 64, "%s  x", name);
	else
		snprintf(buffer, 64, "%s  #0x%x", name, insn->k);
}

static void format_jump(const struct sock_filter *insn, unsigned pc, char buffer[64])
{
	static const char *const names[] = { "ja", "jeq", "jgt", "jge", "jset" };
	unsigned op = BPF_OP(insn->code) >> 4;
	const char *name = op < sizeof(names) / sizeof(names[0]) ? names[op] : "jmp?";

	if (BPF_OP(insn->code) == BPF_JA)
		snprintf(buffer, 64, "ja   %u", pc + 1 + insn->k);
	else if (BPF_SRC(insn->code) == BPF_X)
		snprintf(buffer, 64, "%-4s x, %u, %u", name, pc + 1 + insn->jt, pc + 1 + insn->jf);
	else
		snprintf(buffer, 64, "%-4s #0x%x, %u, %u", name, insn->k, pc + 1 + insn->jt,
			 pc + 1 + insn->jf);
}

static void format_load(const struct sock_filter *insn, char buffer[64])
{
	const char *name = BPF_CLASS(insn->code) == BPF_LD ? "ld" : "ldx";

	switch (BPF_MODE(insn->code)) {
	case BPF_ABS:
		snprintf(buffer, 64, "%-4s [%u]", name, insn->k);
		break;
	case BPF_MEM:
		snprintf(buffer, 64, "%-4s M[%u]", name, insn->k);
		break;
	case BPF_LEN:
		snprintf(buffer, 64, "%-4s len", name);
		break;
	default:
		snprintf(buffer, 64, "%-4s #0x%x", name, insn->k);
	}
}

void disassemble_one(const struct sock_filter *insn, unsigned pc, char buffer[64])
{
	switch (BPF_CLASS(insn->code)) {
	case BPF_LD:
	case BPF_LDX:
		format_load(insn, buffer);
		break;
	case BPF_ST:
		snprintf(buffer, 64, "st   M[%u]", insn->k);
		break;
	case BPF_STX:
		snprintf(buffer, 64, "stx  M[%u]", insn->k);
		break;
	case BPF_ALU:
		format_operate(insn, buffer);
		break;
	case BPF_JMP:
		format_jump(insn, pc, buffer);
		break;
	case BPF_RET:
		if (BPF_RVAL(insn->code) == BPF_A)
			snprintf(buffer, 64, "ret  a");
		else
			snprintf(buffer, 64, "ret  #0x%x", insn->k);
		break;
	default:
		snprintf(buffer, 64, BPF_MISCOP(insn->code) == BPF_TAX ? "tax" : "txa");
	}
}

/* Which word the accumulator holds when PC is come to: the same on all ways, or UNKNOWN. */
static void meet(int *at, int word)
{
	*at = *at == UNREACHED || *at == word ? word : UNKNOWN;
}

static void find_words(const struct sock_filter *insns, unsigned short len, int *at)
{
	for (unsigned i = 0; i < len; i++)
		at[i] = i ? UNREACHED : UNKNOWN;
	for (unsigned i = 0; i < len; i++) {
		const struct sock_filter *insn = &insns[i];
		int word = at[i];

		if (insn->code == (BPF_LD | BPF_W | BPF_ABS))
			word = (int)(insn->k / 4);
		else if (BPF_CLASS(insn->code) == BPF_LD || BPF_CLASS(insn->code) == BPF_ALU ||
			 insn->code == (BPF_MISC | BPF_TXA))
			word = UNKNOWN;
		if (insn->code == (BPF_JMP | BPF_JA)) {
			meet(&at[i + 1 + insn->k], word);
		} else if (BPF_CLASS(insn->code) == BPF_JMP) {
			meet(&at[i + 1 + insn->jt], word);
			meet(&at[i + 1 + insn->jf], word);
		} else if (BPF_CLASS(insn->code) != BPF_RET) {
			meet(&at[i + 1], word);
		}
	}
}

static const char *explain(enum policy_arch arch, const struct sock_filter *insn, int word,
			   char buffer[DESCRIBE_SIZE])
{
	const char *name = NULL;

	if (insn->code == (BPF_LD | BPF_W | BPF_ABS))
		return words[insn->k / 4];
	if (insn->code == (BPF_RET | BPF_K))
		return describe_decision(insn->k, true, buffer);
	if (BPF_CLASS(insn->code) != BPF_JMP || BPF_SRC(insn->code) == BPF_X || word < 0 ||
	    insn->code == (BPF_JMP | BPF_JA))
		return NULL;
	if (word == 0)
		name = policy_syscall_name(arch, insn->k);
	else if (word == 1)
		name = describe_arch(insn->k);
	snprintf(buffer, DESCRIBE_SIZE, name ? "%s: %s" : "%s", words[word], name);
	return buffer;
}

void disassemble(FILE *to, enum policy_arch arch, const struct sock_filter *insns,
		 unsigned short len)
{
	int *at = calloc(len + 1u, sizeof(*at));

	if (at)
		find_words(insns, len, at);
	for (unsigned i = 0; i < len; i++) {
		char text[64], note[DESCRIBE_SIZE];
		const char *why = explain(arch, &insns[i], at ? at[i] : UNKNOWN, note);

		disassemble_one(&insns[i], i, text);
		if (why)
			fprintf(to, "%4u  %-30s ; %s\n", i, text, why);
		else
			fprintf(to, "%4u  %s\n", i, text);
	}
	free(at);
}
