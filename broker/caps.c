/*
 * Capability sets of the calling thread. Runs in the broker and its children before they serve;
 * trusts only the kernel.
 */
#include "broker/caps.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int set_all(uint64_t effective, uint64_t permitted)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
		{ .effective = (uint32_t)effective, .permitted = (uint32_t)permitted },
		{ .effective = (uint32_t)(effective >> 32),
		  .permitted = (uint32_t)(permitted >> 32) },
	};

	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

int caps_limit(uint64_t keep)
{
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0L, 0L, 0L) < 0)
		return -errno;
	return set_all(keep, keep);
}

int caps_effective(uint64_t effective)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &head, data) < 0)
		return -errno;
	return set_all(effective, data[0].permitted | (uint64_t)data[1].permitted << 32);
}

int caps_unbound(void)
{
	for (unsigned long cap = 0; cap < 64; cap++) {
		int set = prctl(PR_CAPBSET_READ, cap, 0L, 0L, 0L);

		if (set < 0) /* the kernel has no more */
			return errno == EINVAL ? 0 : -errno;
		if (set && prctl(PR_CAPBSET_DROP, cap, 0L, 0L, 0L) < 0)
			return -errno;
	}
	return 0;
}
