/*
 * Landlock for the broker, the spawner and the device. Called once by each, late in its
 * start; the attribute is written out here because the headers of Debian 12 end at ABI 2.
 */
#include "lib/landlock.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/fd.h"

struct attribute {
	uint64_t fs, net, scoped;
};

/* Rights that an ABI knows; each row adds to those above. */
static const struct {
	int abi;
	struct attribute adds;
	size_t size; /* of the attribute as that ABI has it */
} abis[] = {
	{ 1, { .fs = 0x1fff }, 8 },    /* files and directories */
	{ 2, { .fs = 1u << 13 }, 8 },  /* moving between directories */
	{ 3, { .fs = 1u << 14 }, 8 },  /* truncating */
	{ 4, { .net = 0x3 }, 16 },     /* TCP bind and connect */
	{ 5, { .fs = 1u << 15 }, 16 }, /* ioctl on devices */
	{ 6, { .scoped = 0x3 }, 24 },  /* abstract sockets and signals outside */
};

static size_t attribute_for(int abi, bool scoped, struct attribute *attr)
{
	size_t size = 0;

	*attr = (struct attribute){ 0 };
	for (size_t i = 0; i < sizeof(abis) / sizeof(abis[0]) && abis[i].abi <= abi; i++) {
		attr->fs |= abis[i].adds.fs;
		attr->net |= abis[i].adds.net;
		attr->scoped |= scoped ? abis[i].adds.scoped : 0;
		size = abis[i].size;
	}
	return size;
}

static int add_rules(int set, const struct landlock_rule *rules, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct landlock_path_beneath_attr beneath = { .allowed_access = rules[i].allow,
							      .parent_fd = rules[i].fd };

		if (rules[i].fd >= 0 && syscall(SYS_landlock_add_rule, set,
						LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) < 0)
			return -errno;
	}
	return 0;
}

int landlock_close(const struct landlock_rule *rules, size_t n, bool scoped)
{
	struct attribute attr;
	size_t size;
	int abi =
		(int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	_cleanup_fd int set = -1;
	int ret;

	if (abi < 0)
		return -errno;
	size = attribute_for(abi, scoped, &attr);
	set = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (set < 0)
		return -errno;
	ret = add_rules(set, rules, n);
	if (ret < 0)
		return ret;
	return syscall(SYS_landlock_restrict_self, set, 0) < 0 ? -errno : abi;
}
