/*
 * The innermost layers of the jail. Runs in the control thread at start, when everything in the
 * process is still ours; trusts whoever made the jail to have tried, and looks for itself.
 */
#include "lib/confine.h"

#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib/landlock.h"
#include "lib/util.h"

#ifndef PR_SET_MDWE /* Linux 6.3 */
#define PR_SET_MDWE		 65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

#define TUN_MAJOR 10
#define TUN_MINOR 200

static bool holds_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[2];

	if (syscall(SYS_capget, &head, sets))
		return true;
	for (int i = 0; i < 2; i++)
		if (sets[i].effective || sets[i].permitted || sets[i].inheritable)
			return true;
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0))
			return true;
	return errno != EINVAL; /* the kernel has no more */
}

static bool is_in_roots_group(void)
{
	static gid_t groups[NGROUPS_MAX];
	gid_t r, e, s;
	int n = getgroups(ARRAY_SIZE(groups), groups);

	for (int i = 0; i < n; i++)
		if (!groups[i])
			return true;
	return n < 0 || getresgid(&r, &e, &s) || !r || !e || !s;
}

int confine_check(int tap)
{
	struct stat st;
	uid_t r, e, s;

	if (getresuid(&r, &e, &s))
		return -errno;
	if (!r || !e || !s || is_in_roots_group() || holds_capabilities())
		return -EPERM;
	/* The device node of TAPs belongs to the host's root: where its owner is us, our id is
	 * another name for it. */
	if (tap >= 0 && !syscall(SYS_fstat, tap, &st) &&
	    st.st_rdev == makedev(TUN_MAJOR, TUN_MINOR) && st.st_uid == r)
		return -EPERM;
	return 0;
}

int confine_begin(bool without_landlock, unsigned int *landlock, bool *mdwe)
{
	int abi;

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	*mdwe = !prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0);
	if (!*mdwe && errno != EINVAL) /* which says that the kernel does not know it */
		return -errno;
	abi = without_landlock ? 0 : landlock_close(NULL, 0, true);
	*landlock = abi > 0 ? (unsigned int)abi : 0;
	return abi < 0 ? abi : 0;
}

int confine_threads(void)
{
	const struct rlimit none = { 0, 0 };

	return setrlimit(RLIMIT_NPROC, &none) ? -errno : 0;
}

#ifdef AIRLOCK_SANITIZE
/* ThreadSanitizer would sleep for a second at the end, and no environment is there to say no. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "atexit_sleep_ms=0";
}
#endif
