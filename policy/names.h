/* System calls and constants by name, for every architecture on any host: tables made at build time
 * (names.gen.sh). */
#pragma once

#include "policy/tree.h"

/* The number, or -ENOENT. */
int policy_syscall_number(enum policy_arch arch, const char *name);

/* The name, or NULL. */
const char *policy_syscall_name(enum policy_arch arch, uint32_t number);

/* How many numbers the architecture knows, and the i-th (ascending by number), for tables of
 * everything. */
size_t policy_syscall_count(enum policy_arch arch);
const char *policy_syscall_at(enum policy_arch arch, size_t index, uint32_t *number);

/* 0, or -ENOENT. Constants are 64 bits; negative ones are sign-extended. */
int policy_constant(enum policy_arch arch, const char *name, uint64_t *value);

/* The errno's or signal's macro name for a number, or NULL. */
const char *policy_errno_name(enum policy_arch arch, unsigned number);

/* "x86_64", "aarch64", "riscv64"; "arm64" is understood too. -ENOENT for others. */
int policy_arch_parse(const char *name, enum policy_arch *out);
const char *policy_arch_name(enum policy_arch arch);
enum policy_arch policy_arch_native(void);
