/* Filters as text. */
#pragma once

#include <linux/filter.h>
#include <stdio.h>

#include "policy/tree.h"

/* One line an instruction: index, mnemonic, operands, where it jumps, and what it means. INSNS has
 * passed program_check(). */
void disassemble(FILE *to, enum policy_arch arch, const struct sock_filter *insns,
		 unsigned short len);

/* One instruction without index and meaning, "jeq #0x10, 7, 9" for instruction PC. */
void disassemble_one(const struct sock_filter *insn, unsigned pc, char buffer[64]);
