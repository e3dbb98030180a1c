/*
 * The table of arguments that choose, and names for their values. Pure functions over constants;
 * runs anywhere.
 */
#include "seccomp/selector.h"
#include "lib/util.h"
#include "policy/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Lists of constants' names, blanks between them; policy/names.h knows their values for each
 * architecture. */
#define OPEN                                                                               \
	"O_WRONLY O_RDWR O_CREAT O_EXCL O_NOCTTY O_TRUNC O_APPEND O_NONBLOCK O_DIRECTORY " \
	"O_NOFOLLOW O_CLOEXEC O_PATH O_SYNC O_DSYNC O_TMPFILE O_DIRECT O_NOATIME O_LARGEFILE"
#define FCNTL                                                                                 \
	"F_DUPFD F_GETFD F_SETFD F_GETFL F_SETFL F_GETLK F_SETLK F_SETLKW F_SETOWN F_GETOWN " \
	"F_OFD_GETLK F_OFD_SETLK F_OFD_SETLKW F_DUPFD_CLOEXEC F_SETPIPE_SZ F_GETPIPE_SZ "     \
	"F_ADD_SEALS F_GET_SEALS F_SETSIG F_GETSIG"
#define IOCTL                                                                                \
	"TCGETS TCSETS TCSETSW TCSETSF TIOCGWINSZ TIOCSWINSZ TIOCGPGRP TIOCSPGRP TIOCSCTTY " \
	"TIOCSTI FIONREAD FIONBIO FIOCLEX FIONCLEX TUNSETIFF TUNGETIFF TUNSETOFFLOAD "       \
	"TUNSETVNETHDRSZ TUNGETVNETHDRSZ TUNSETQUEUE TUNGETFEATURES TUNSETPERSIST "          \
	"TUNSETSNDBUF TUNSETOWNER TUNSETVNETLE SIOCGIFFLAGS SIOCSIFFLAGS SIOCGIFINDEX "      \
	"SIOCGIFMTU SIOCSIFMTU SIOCSIFADDR SIOCGIFHWADDR SIOCSIFHWADDR FICLONE KVM_RUN "     \
	"VHOST_SET_OWNER VHOST_GET_FEATURES VHOST_SET_FEATURES VHOST_SET_MEM_TABLE"
#define PROT "PROT_READ PROT_WRITE PROT_EXEC PROT_GROWSDOWN"
#define MAP                                                                                      \
	"MAP_SHARED MAP_PRIVATE MAP_FIXED MAP_ANONYMOUS MAP_GROWSDOWN MAP_DENYWRITE MAP_LOCKED " \
	"MAP_NORESERVE MAP_POPULATE MAP_NONBLOCK MAP_STACK MAP_HUGETLB MAP_FIXED_NOREPLACE"
#define PRCTL                                                                                      \
	"PR_SET_PDEATHSIG PR_GET_DUMPABLE PR_SET_DUMPABLE PR_SET_NAME PR_GET_NAME PR_SET_SECCOMP " \
	"PR_CAPBSET_READ PR_CAPBSET_DROP PR_SET_SECUREBITS PR_GET_SECUREBITS PR_SET_TIMERSLACK "   \
	"PR_SET_CHILD_SUBREAPER PR_SET_NO_NEW_PRIVS PR_GET_NO_NEW_PRIVS PR_CAP_AMBIENT "           \
	"PR_SET_MDWE PR_SET_VMA PR_SET_KEEPCAPS PR_SET_PTRACER"
#define FAMILY "AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET AF_VSOCK AF_ALG"
#define CLONE                                                                                   \
	"CLONE_VM CLONE_FS CLONE_FILES CLONE_SIGHAND CLONE_PIDFD CLONE_PTRACE CLONE_VFORK "     \
	"CLONE_PARENT CLONE_THREAD CLONE_NEWNS CLONE_SYSVSEM CLONE_SETTLS CLONE_PARENT_SETTID " \
	"CLONE_CHILD_CLEARTID CLONE_DETACHED CLONE_CHILD_SETTID CLONE_NEWCGROUP CLONE_NEWUTS "  \
	"CLONE_NEWIPC CLONE_NEWUSER CLONE_NEWPID CLONE_NEWNET CLONE_IO"
#define FUTEX                                                                                \
	"FUTEX_WAIT FUTEX_WAKE FUTEX_REQUEUE FUTEX_CMP_REQUEUE FUTEX_WAKE_OP FUTEX_LOCK_PI " \
	"FUTEX_UNLOCK_PI FUTEX_WAIT_BITSET FUTEX_WAKE_BITSET FUTEX_WAIT_PRIVATE "            \
	"FUTEX_WAKE_PRIVATE FUTEX_WAIT_BITSET_PRIVATE FUTEX_WAKE_BITSET_PRIVATE"
#define MADVISE                                                                                 \
	"MADV_NORMAL MADV_RANDOM MADV_SEQUENTIAL MADV_WILLNEED MADV_DONTNEED MADV_FREE "        \
	"MADV_REMOVE MADV_DONTFORK MADV_MERGEABLE MADV_HUGEPAGE MADV_NOHUGEPAGE MADV_DONTDUMP " \
	"MADV_WIPEONFORK"
#define SIGNALS                                                                                   \
	"SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV "     \
	"SIGUSR2 SIGPIPE SIGALRM SIGTERM SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG " \
	"SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGWINCH SIGIO SIGSYS"
#define CLOCKS                                                                             \
	"CLOCK_REALTIME CLOCK_MONOTONIC CLOCK_PROCESS_CPUTIME_ID CLOCK_THREAD_CPUTIME_ID " \
	"CLOCK_MONOTONIC_RAW CLOCK_REALTIME_COARSE CLOCK_MONOTONIC_COARSE CLOCK_BOOTTIME"
#define LIMITS                                                                                     \
	"RLIMIT_CPU RLIMIT_FSIZE RLIMIT_DATA RLIMIT_STACK RLIMIT_CORE RLIMIT_NPROC RLIMIT_NOFILE " \
	"RLIMIT_MEMLOCK RLIMIT_AS"

static const struct selector {
	const char *syscall;
	int argument;
	const char *flags; /* names of bits, which add up; or */
	const char *names; /* names of whole values */
} selectors[] = {
	{ "accept4", 3, .flags = "SOCK_CLOEXEC SOCK_NONBLOCK" },
	{ "arch_prctl", 0, .names = "ARCH_SET_FS ARCH_GET_FS ARCH_SET_GS ARCH_GET_GS" },
	{ "bpf", 0, .names = "" },
	{ "clock_getres", 0, .names = CLOCKS },
	{ "clock_gettime", 0, .names = CLOCKS },
	{ "clock_nanosleep", 0, .names = CLOCKS },
	{ "clock_nanosleep", 1, .flags = "TIMER_ABSTIME" },
	{ "clone", 0, .flags = CLONE },
	{ "epoll_create1", 0, .flags = "EPOLL_CLOEXEC" },
	{ "epoll_ctl", 1, .names = "EPOLL_CTL_ADD EPOLL_CTL_DEL EPOLL_CTL_MOD" },
	{ "eventfd2", 1, .flags = "EFD_CLOEXEC EFD_NONBLOCK EFD_SEMAPHORE" },
	{ "fallocate", 1,
	  .flags = "FALLOC_FL_KEEP_SIZE FALLOC_FL_PUNCH_HOLE FALLOC_FL_ZERO_RANGE" },
	{ "fcntl", 1, .names = FCNTL },
	{ "flock", 1, .flags = "LOCK_SH LOCK_EX LOCK_UN LOCK_NB" },
	{ "futex", 1, .names = FUTEX },
	{ "getrandom", 2, .flags = "GRND_NONBLOCK GRND_RANDOM GRND_INSECURE" },
	{ "getsockopt", 1, .names = "SOL_SOCKET" },
	{ "getsockopt", 2, .names = "" },
	{ "ioctl", 1, .names = IOCTL },
	{ "kill", 1, .names = SIGNALS },
	{ "lseek", 2, .names = "SEEK_SET SEEK_CUR SEEK_END SEEK_DATA SEEK_HOLE" },
	{ "madvise", 2, .names = MADVISE },
	{ "membarrier", 0, .names = "" },
	{ "memfd_create", 1, .flags = "MFD_CLOEXEC MFD_ALLOW_SEALING MFD_HUGETLB MFD_NOEXEC_SEAL" },
	{ "mmap", 2, .flags = PROT },
	{ "mmap", 3, .flags = MAP },
	{ "mprotect", 2, .flags = PROT },
	{ "mremap", 3, .flags = "MREMAP_MAYMOVE MREMAP_FIXED MREMAP_DONTUNMAP" },
	{ "msync", 2, .flags = "MS_ASYNC MS_INVALIDATE MS_SYNC" },
	{ "open", 1, .flags = OPEN },
	{ "openat", 2, .flags = OPEN },
	{ "personality", 0, .names = "" },
	{ "pipe2", 1, .flags = "O_CLOEXEC O_NONBLOCK O_DIRECT" },
	{ "pkey_mprotect", 2, .flags = PROT },
	{ "prctl", 0, .names = PRCTL },
	{ "prlimit64", 1, .names = LIMITS },
	{ "ptrace", 0, .names = "" },
	{ "rt_sigprocmask", 0, .names = "SIG_BLOCK SIG_UNBLOCK SIG_SETMASK" },
	{ "seccomp", 0,
	  .names = "SECCOMP_SET_MODE_STRICT SECCOMP_SET_MODE_FILTER SECCOMP_GET_ACTION_AVAIL" },
	{ "setns", 1, .flags = CLONE },
	{ "setsockopt", 1, .names = "SOL_SOCKET" },
	{ "setsockopt", 2, .names = "" },
	{ "shutdown", 1, .names = "SHUT_RD SHUT_WR SHUT_RDWR" },
	{ "signalfd4", 3, .flags = "SFD_CLOEXEC SFD_NONBLOCK" },
	{ "socket", 0, .names = FAMILY },
	{ "socket", 1, .names = "" },
	{ "socketpair", 0, .names = FAMILY },
	{ "socketpair", 1, .names = "" },
	{ "tgkill", 2, .names = SIGNALS },
	{ "timerfd_create", 0, .names = CLOCKS },
	{ "timerfd_create", 1, .flags = "TFD_CLOEXEC TFD_NONBLOCK" },
	{ "tkill", 1, .names = SIGNALS },
	{ "umount2", 1, .flags = "MNT_FORCE MNT_DETACH MNT_EXPIRE UMOUNT_NOFOLLOW" },
	{ "unshare", 0, .flags = CLONE },
};

uint8_t selector_mask(const char *syscall)
{
	uint8_t mask = 0;

	for (size_t i = 0; i < ARRAY_SIZE(selectors); i++)
		if (!strcmp(selectors[i].syscall, syscall))
			mask |= (uint8_t)(1 << selectors[i].argument);
	return mask;
}

/* The next name of a list and its value; false at the list's end. Names the architecture lacks are
 * passed over. */
static bool next_name(enum policy_arch arch, const char **list, char name[32], uint64_t *value)
{
	while (*list && **list) {
		size_t len = strcspn(*list, " ");

		snprintf(name, 32, "%.*s", (int)min_of(len, (size_t)31), *list);
		*list += len + strspn(*list + len, " ");
		if (policy_constant(arch, name, value) == 0)
			return true;
	}
	return false;
}

static const struct selector *selector_find(const char *syscall, int argument)
{
	for (size_t i = 0; i < ARRAY_SIZE(selectors); i++)
		if (!strcmp(selectors[i].syscall, syscall) && selectors[i].argument == argument)
			return &selectors[i];
	return NULL;
}

static void format_flags(enum policy_arch arch, const char *list, uint64_t value, char *out,
			 size_t size)
{
	char name[32];
	uint64_t bits;
	size_t at = 0;

	out[0] = '\0';
	while (next_name(arch, &list, name, &bits)) {
		if (!bits || (value & bits) != bits)
			continue;
		value &= ~bits;
		at += (size_t)snprintf(out + at, size - at, "%s%s", at ? "|" : "", name);
		if (at >= size)
			return;
	}
	if (value || !at)
		snprintf(out + at, size - at, "%s%#" PRIx64, at ? "|" : "", value);
}

const char *selector_format(enum policy_arch arch, const char *syscall, int argument,
			    uint64_t value, char *out, size_t size)
{
	const struct selector *selector = selector_find(syscall, argument);
	const char *list = selector ? selector->names : NULL;
	char name[32];
	uint64_t named;

	if (selector && selector->flags) {
		bool rest = value >> 63; /* all but a few: "~PROT_EXEC" */

		snprintf(out, size, "~");
		format_flags(arch, selector->flags, rest ? ~value : value, out + rest, size - rest);
		return out;
	}
	while (next_name(arch, &list, name, &named)) {
		if (named == value) {
			snprintf(out, size, "%s", name);
			return out;
		}
	}
	snprintf(out, size, "%#" PRIx64, value);
	return out;
}
