/* The tables of names, read-only, for any thread. They are made by names.gen.sh when the project is
 * built. */
#include "policy/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct constant {
	uint32_t name; /* where it begins in texts */
	unsigned mask; /* bit per architecture that has it */
	uint64_t value[POLICY_ARCHES];
};

struct name {
	uint32_t name;
	uint32_t number;
};

#include "policy/names.inc"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	const char *name;
	const struct name *by_name, *by_number;
	size_t count;
} archs[POLICY_ARCHES] = {
	[POLICY_X86_64] = { "x86_64", names_x86_64, numbers_x86_64, COUNT(names_x86_64) },
	[POLICY_AARCH64] = { "aarch64", names_aarch64, numbers_aarch64, COUNT(names_aarch64) },
	[POLICY_RISCV64] = { "riscv64", names_riscv64, numbers_riscv64, COUNT(names_riscv64) },
};

static int compare_name(const void *key, const void *member)
{
	return strcmp(key, texts + ((const struct name *)member)->name);
}

static int compare_number(const void *key, const void *member)
{
	uint32_t a = *(const uint32_t *)key, b = ((const struct name *)member)->number;

	return a < b ? -1 : a > b;
}

static int compare_constant(const void *key, const void *member)
{
	return strcmp(key, texts + ((const struct constant *)member)->name);
}

int policy_syscall_number(enum policy_arch arch, const char *name)
{
	const struct name *found = bsearch(name, archs[arch].by_name, archs[arch].count,
					   sizeof(struct name), compare_name);

	return found ? (int)found->number : -ENOENT;
}

const char *policy_syscall_name(enum policy_arch arch, uint32_t number)
{
	const struct name *found = bsearch(&number, archs[arch].by_number, archs[arch].count,
					   sizeof(struct name), compare_number);

	return found ? texts + found->name : NULL;
}

size_t policy_syscall_count(enum policy_arch arch)
{
	return archs[arch].count;
}

const char *policy_syscall_at(enum policy_arch arch, size_t index, uint32_t *number)
{
	*number = archs[arch].by_number[index].number;
	return texts + archs[arch].by_number[index].name;
}

int policy_constant(enum policy_arch arch, const char *name, uint64_t *value)
{
	const struct constant *found = bsearch(name, constants, COUNT(constants),
					       sizeof(struct constant), compare_constant);

	if (!found || !(found->mask & 1u << arch))
		return -ENOENT;
	*value = found->value[arch];
	return 0;
}

const char *policy_errno_name(enum policy_arch arch, unsigned number)
{
	static const char *const doubles[] = { "EWOULDBLOCK", "EDEADLOCK", "ENOTSUP" };

	for (size_t i = 0; number && i < COUNT(constants); i++) {
		const char *name = texts + constants[i].name;
		bool second = false;

		if (name[0] != 'E' || constants[i].value[arch] != number ||
		    !(constants[i].mask & 1u << arch))
			continue;
		for (size_t j = 0; j < COUNT(doubles); j++)
			second |= !strcmp(name, doubles[j]);
		/* Other macros begin with E too; errnos have no underscore. */
		if (!second && !strchr(name, '_') && strncmp(name, "EXT", 3) != 0)
			return name;
	}
	return NULL;
}

int policy_arch_parse(const char *name, enum policy_arch *out)
{
	if (!strcmp(name, "arm64"))
		name = "aarch64";
	for (size_t i = 0; i < POLICY_ARCHES; i++) {
		if (!strcmp(name, archs[i].name)) {
			*out = (enum policy_arch)i;
			return 0;
		}
	}
	return -ENOENT;
}

const char *policy_arch_name(enum policy_arch arch)
{
	return archs[arch].name;
}

enum policy_arch policy_arch_native(void)
{
#if defined(__x86_64__)
	return POLICY_X86_64;
#elif defined(__aarch64__)
	return POLICY_AARCH64;
#elif defined(__riscv) && __riscv_xlen == 64
	return POLICY_RISCV64;
#else
#error "Airlock knows x86_64, aarch64 and riscv64"
#endif
}
