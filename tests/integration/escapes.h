/*
 * What a device in an attacker's hands would try, a row an attempt, for test_escape.c: each with
 * arguments that do harm outside of a jail. The order is that of docs/confinement.md.
 */
#ifndef AIRLOCK_TESTS_ESCAPES_H
#define AIRLOCK_TESTS_ESCAPES_H

#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "tests/support/puppet.h"

/* In place of an argument: the device's descriptor of this kind. */
#define CHANNEL	 INT64_C(-900001)
#define SOCKET	 INT64_C(-900002)
#define TAP	 INT64_C(-900003)
#define ROOT	 INT64_C(-900005) /* comes along: the host's / */
#define PROGRAM	 INT64_C(-900006) /* comes along: an eBPF program that drops every frame */
#define SHELL	 INT64_C(-900007) /* comes along: an executable file */
#define CODE	 INT64_C(-900008) /* a page of the program's own */
#define CODE_LEN 4096

/* An address in the order's memory. */
#define AT(offset) (INT64_C(-800000) + (offset))
#define IS_AT(arg) ((arg) >= AT(0) && (arg) < AT(PUPPET_MEMORY))

struct escape {
	const char *words;
	const char *why; /* an end other than death is no harm */
	enum puppet_verb verb;
	long nr;
	int64_t args[6];
	char memory[80];
	uint32_t inner; /* puppet.h */
	bool worker;
};

#define TRY(what, bytes, call, ...)                                                       \
	{                                                                                 \
		.words = what, .nr = SYS_##call, .args = { __VA_ARGS__ }, .memory = bytes \
	}
#define HARMLESS(what, reason, call, ...)                                               \
	{                                                                               \
		.words = what, .why = reason, .nr = SYS_##call, .args = { __VA_ARGS__ } \
	}
#define BY_WORKER(what, call, ...)                                                     \
	{                                                                              \
		.words = "a worker: " what, .nr = SYS_##call, .args = { __VA_ARGS__ }, \
		.worker = true                                                         \
	}

/* Calls that a policy of the device names. */
static const struct {
	long nr;
	bool control, worker;
} allowed_calls[] = {
	{ SYS_readv, false, true },	{ SYS_writev, false, true },
	{ SYS_read, true, true },	{ SYS_write, true, true },
	{ SYS_ppoll, true, true },	{ SYS_clock_gettime, true, true },
	{ SYS_exit_group, true, true }, { SYS_recvmsg, true, false },
	{ SYS_sendto, true, false },	{ SYS_close, true, false },
	{ SYS_fstat, true, false },	{ SYS_fcntl, true, false },
	{ SYS_mmap, true, false },	{ SYS_munmap, true, false },
	{ SYS_ioctl, true, false },
};

/* Everything else, by what it would be good for; calls that no line names make the last row. */
static const struct {
	const char *purpose, *calls;
} purposes[] = {
	{ "files: opening",
	  " open openat openat2 creat open_by_handle_at name_to_handle_at open_tree memfd_create "
	  "memfd_secret mq_open uselib " },
	{ "files: looking and changing",
	  " stat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat getdents "
	  "getdents64 chmod fchmod fchmodat chown fchown lchown fchownat rename renameat renameat2 "
	  "link linkat symlink symlinkat unlink unlinkat mkdir mkdirat rmdir mknod mknodat truncate "
	  "ftruncate fallocate utime utimes utimensat futimesat chdir fchdir getcwd chroot umask "
	  "statfs fstatfs ustat sync syncfs fsync fdatasync sync_file_range flock lseek "
	  "setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr "
	  "flistxattr removexattr lremovexattr fremovexattr inotify_init inotify_init1 "
	  "inotify_add_watch inotify_rm_watch fanotify_init fanotify_mark " },
	{ "sockets: making and reaching others",
	  " socket socketpair connect bind listen accept accept4 shutdown getsockname getpeername "
	  "setsockopt getsockopt " },
	{ "passing descriptors on, and multiplying them",
	  " sendmsg sendmmsg recvmmsg dup dup2 dup3 pidfd_getfd pidfd_open splice tee vmsplice "
	  "sendfile copy_file_range pipe pipe2 epoll_create epoll_create1 epoll_ctl epoll_ctl_old "
	  "epoll_wait epoll_wait_old epoll_pwait epoll_pwait2 eventfd eventfd2 signalfd signalfd4 "
	  "timerfd_create timerfd_settime timerfd_gettime userfaultfd close_range " },
	{ "processes and threads",
	  " fork vfork clone clone3 execve execveat wait4 waitid exit set_tid_address setpgid "
	  "setsid getpgid getsid getpgrp getppid getpid gettid " },
	{ "signals",
	  " kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal rt_sigaction "
	  "rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack "
	  "pause alarm setitimer getitimer timer_create timer_settime timer_gettime "
	  "timer_getoverrun timer_delete " },
	{ "tracing, and the memory of others",
	  " ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp "
	  "perf_event_open " },
	{ "memory",
	  " mprotect pkey_mprotect pkey_alloc pkey_free mremap remap_file_pages brk madvise mlock "
	  "mlock2 mlockall munlock munlockall mincore msync shmget shmat shmctl shmdt mbind "
	  "set_mempolicy get_mempolicy migrate_pages move_pages set_mempolicy_home_node " },
	{ "identity and privileges",
	  " setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups "
	  "getgroups capset capget prctl arch_prctl personality seccomp setrlimit prlimit64 "
	  "getrlimit keyctl add_key request_key landlock_create_ruleset landlock_add_rule "
	  "landlock_restrict_self getuid geteuid getgid getegid getresuid getresgid " },
	{ "namespaces and mounts",
	  " unshare setns mount umount2 pivot_root fsopen fsconfig fsmount fspick move_mount "
	  "mount_setattr sethostname setdomainname swapon swapoff " },
	{ "the kernel itself",
	  " bpf io_uring_setup io_uring_enter io_uring_register io_setup io_submit io_cancel "
	  "io_destroy io_getevents io_pgetevents init_module finit_module delete_module "
	  "create_module query_module get_kernel_syms kexec_load kexec_file_load reboot syslog acct "
	  "quotactl quotactl_fd modify_ldt iopl ioperm settimeofday clock_settime adjtimex "
	  "clock_adjtime vhangup lookup_dcookie membarrier nfsservctl _sysctl sysfs " },
};

/* Calls that are allowed, with what a policy does not allow or what it cannot see. */
static const struct escape with_allowed_calls[] = {
	TRY("read more than an eventfd's 8 bytes", "", read, TAP, AT(0), 64),
	TRY("write more than 8 bytes", "", write, CHANNEL, AT(0), 64),
	TRY("send to an address", "", sendto, SOCKET, AT(0), 8, 0, AT(16), 20),
	TRY("map executable memory of a file that came along", "", mmap, 0, 4096,
	    PROT_READ | PROT_EXEC, MAP_SHARED | MAP_NORESERVE, SHELL, 0),
	TRY("map private memory", "", mmap, 0, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
	TRY("map memory writable and executable", "", mmap, 0, 4096,
	    PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
	TRY("map over the program's own code", "", mmap, CODE, CODE_LEN, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_NORESERVE | MAP_FIXED, SHELL, 0),
	HARMLESS("map the TAP", "a TAP has no memory to map", mmap, 0, 4096, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_NORESERVE, TAP, 0),
	HARMLESS("map a file that came along read-only, for writing", "the file's own rights hold",
		 mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, SHELL, 0),
	HARMLESS("unmap the program's own code", "it ends itself", munmap, CODE, CODE_LEN),
	TRY("make the TAP blocking for whoever comes next (F_SETFL)", "", fcntl, TAP, F_SETFL, 0),
	TRY("have signals sent to others (F_SETOWN)", "", fcntl, SOCKET, F_SETOWN, 1),
	TRY("duplicate a descriptor (F_DUPFD)", "", fcntl, TAP, F_DUPFD, 100),
	TRY("hide bits above a command's 32 (F_DUPFD as 1 << 32)", "", fcntl, TAP, INT64_C(1) << 32,
	    100),
	TRY("hide bits above an ioctl's 32", "", ioctl, TAP, INT64_C(0x1400454d0), 0),
	HARMLESS("offloads of the TAP (TUNSETOFFLOAD)",
		 "what a guest may negotiate; the broker resets them", ioctl, TAP, TUNSETOFFLOAD,
		 0),
	HARMLESS("that request on the channel", "a socket does not know it", ioctl, CHANNEL,
		 TUNSETOFFLOAD, 0),
	HARMLESS("descriptors from the VMM (recvmsg)",
		 "the VMM had them before; nothing here opens by them", recvmsg, SOCKET, AT(0),
		 MSG_DONTWAIT),
	TRY("rubbish for the broker", "", sendto, CHANNEL, AT(0), 64),
	HARMLESS("a byte out of band for the broker", "a packet socket has no such thing", sendto,
		 CHANNEL, AT(0), 1, MSG_OOB | MSG_NOSIGNAL),
	HARMLESS("close the TAP", "the broker has its own", close, TAP),
	HARMLESS("close the channel", "the device is replaced when its connection ends", close,
		 CHANNEL),
	HARMLESS("exit", "replaced", exit_group, 0),
	HARMLESS("exit with an error", "replaced", exit_group, 3),
	{ .words = "turn in circles",
	  .verb = PUPPET_SPIN,
	  .args = { 0 },
	  .why = "the broker's PING is not answered" },
	{ .words = "jump into data", .verb = PUPPET_RUN, .args = { 0 }, .memory = "\xc3" },
	{ .words = "overwrite code", .verb = PUPPET_WRITE, .args = { 0 } },
	{ .words = "an illegal instruction", .verb = PUPPET_TRAP, .args = { 0 } },
	BY_WORKER("messages", recvmsg, SOCKET, AT(0), MSG_DONTWAIT),
	BY_WORKER("a word to the VMM", sendto, SOCKET, AT(0), 8),
	BY_WORKER("map memory", mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
		  TAP, 0),
	BY_WORKER("close", close, 99),
	BY_WORKER("offloads", ioctl, TAP, TUNSETOFFLOAD, 0),
};

/* Each also tried by a device without any filter, to see what stands behind. */
static const struct escape with_other_calls[] = {
	TRY("open /etc/passwd", "/etc/passwd", openat, AT_FDCWD, AT(0), O_RDONLY),
	TRY("open /", "/", openat, AT_FDCWD, AT(0), O_RDONLY | O_DIRECTORY),
	TRY("open /proc/self/mem", "/proc/self/mem", openat, AT_FDCWD, AT(0), O_RDWR),
	TRY("create a file in /", "/x", openat, AT_FDCWD, AT(0), O_CREAT | O_WRONLY, 0600),
	TRY("open etc/passwd below a directory that the VMM passed", "etc/passwd", openat, ROOT,
	    AT(0), O_RDONLY),
	TRY("go there and make it the root (fchdir)", "", fchdir, ROOT),
	TRY("make a file in memory (memfd_create)", "x", memfd_create, AT(0), 0),
	TRY("start /bin/sh", "/bin/sh", execve, AT(0), 0, 0),
	TRY("start a program that the VMM passed (execveat)", "", execveat, SHELL, AT(0), 0, 0,
	    AT_EMPTY_PATH),
	TRY("another process (fork)", "", clone, SIGCHLD),
	TRY("another process (clone3)", "", clone3, AT(0), 64),
	TRY("an Internet socket", "", socket, AF_INET, SOCK_STREAM, 0),
	TRY("a netlink socket", "", socket, AF_NETLINK, SOCK_RAW, 0),
	TRY("a packet socket", "", socket, AF_PACKET, SOCK_RAW, 0),
	TRY("a socket to the hypervisor (vsock)", "", socket, 40, SOCK_STREAM, 0),
	TRY("listen on its own socket", "", listen, SOCKET, 1),
	TRY("reach an abstract socket of the host", "\1\0\0airlock", connect, SOCKET, AT(0), 20),
	TRY("who is at the other end (SO_PEERCRED)", "", getsockopt, CHANNEL, SOL_SOCKET,
	    SO_PEERCRED, AT(0), AT(64)),
	{ .words = "pass the TAP to the VMM (sendmsg)",
	  .verb = PUPPET_PASS,
	  .args = { SOCKET, TAP },
	  .nr = SYS_sendmsg },
	{ .words = "pass a descriptor to the broker",
	  .verb = PUPPET_PASS,
	  .args = { CHANNEL, TAP },
	  .nr = SYS_sendmsg },
	TRY("kill pid 1 of the jail", "", kill, 1, SIGKILL),
	TRY("end itself and its kin (kill 0)", "", kill, 0, SIGTERM),
	TRY("trace pid 1", "", ptrace, 0x4206, 1, 0, 0),
	{ .words = "read the memory of pid 1",
	  .nr = SYS_process_vm_readv,
	  .args = { 1, AT(0), 1, AT(0), 1, 0 },
	  .memory = "\0\0\0\0\0\0\0\0\10",
	  .inner = 1 },
	TRY("a descriptor for pid 1", "", pidfd_open, 1, 0),
	TRY("make data executable (mprotect)", "", mprotect, AT(0), 4096, PROT_READ | PROT_EXEC),
	TRY("make code writable", "", mprotect, CODE, CODE_LEN, PROT_READ | PROT_WRITE),
	TRY("executable pages from readable ones (personality)", "", personality, 0x400000),
	TRY("map writable and executable memory", "", mmap, 0, 4096,
	    PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
	TRY("become root", "", setuid, 0),
	TRY("take a group", "", setgroups, 1, AT(0)),
	TRY("a user namespace of its own", "", unshare, CLONE_NEWUSER),
	TRY("a mount namespace of its own", "", unshare, CLONE_NEWNS),
	TRY("mount a tmpfs", "/\0\0\0\0\0\0\0tmpfs", mount, AT(0), AT(0), AT(8), 0, 0),
	TRY("another root (chroot)", "/", chroot, AT(0)),
	TRY("be dumpable again", "", prctl, PR_SET_DUMPABLE, 1),
	TRY("let others trace it", "", prctl, 0x59616d61, -1),
	TRY("more processes (RLIMIT_NPROC)", "\xff\0\0\0\0\0\0\0\xff", prlimit64, 0, 6, AT(0), 0),
	TRY("an eBPF program", "\1", bpf, 5, AT(0), 72),
	TRY("io_uring", "", io_uring_setup, 1, AT(0)),
	TRY("faults of its own making (userfaultfd)", "", userfaultfd, 1),
	TRY("a perf event", "", perf_event_open, AT(0), 0, -1, -1, 0),
	TRY("a key of the kernel's", "user\0\0\0\0x", add_key, AT(0), AT(8), AT(8), 1, -3),
	TRY("shared memory (System V)", "", shmget, 0, 4096, 01600),
	TRY("be served before others (SCHED_FIFO)", "\1", sched_setscheduler, 0, 1, AT(0)),
	TRY("be served before others (nice)", "", setpriority, 0, 0, -20),
	TRY("the kernel's messages (syslog)", "", syslog, 3, AT(0), 64),
	TRY("the host's name", "x", sethostname, AT(0), 1),
	TRY("ctrl-alt-delete of the host", "", reboot, 0xfee1dead, 672274793, 0, 0),
};

/* What the descriptor of a TAP queue is good for without any privilege. */
static const struct escape with_a_tap[] = {
	TRY("keep the interface for good (TUNSETPERSIST)", "", ioctl, TAP, TUNSETPERSIST, 1),
	TRY("give it to a user (TUNSETOWNER)", "", ioctl, TAP, TUNSETOWNER, 61300),
	TRY("give it to a group (TUNSETGROUP)", "", ioctl, TAP, TUNSETGROUP, 61301),
	TRY("another hardware address (SIOCSIFHWADDR)",
	    "airlock0\0\0\0\0\0\0\0\0\1\0\x52\x54\0\0\0\1", ioctl, TAP, SIOCSIFHWADDR, AT(0)),
	TRY("another header size (TUNSETVNETHDRSZ)", "\x14", ioctl, TAP, TUNSETVNETHDRSZ, AT(0)),
	TRY("another byte order (TUNSETVNETLE)", "\0", ioctl, TAP, TUNSETVNETLE, AT(0)),
	TRY("big-endian headers (TUNSETVNETBE)", "\1", ioctl, TAP, TUNSETVNETBE, AT(0)),
	TRY("no room for frames (TUNSETSNDBUF)", "\1", ioctl, TAP, TUNSETSNDBUF, AT(0)),
	{ .words = "a filter that drops all (TUNATTACHFILTER)",
	  .nr = SYS_ioctl,
	  .args = { TAP, TUNATTACHFILTER, AT(0) },
	  .memory = "\1",
	  .inner = 1 + 8 },
	TRY("addresses to receive (TUNSETTXFILTER)", "\0\0\1\0\x02\0\0\0\0\1", ioctl, TAP,
	    TUNSETTXFILTER, AT(0)),
	TRY("an eBPF filter that drops all (TUNSETFILTEREBPF)", "", ioctl, TAP, TUNSETFILTEREBPF,
	    AT(0)),
	TRY("an eBPF program that steers (TUNSETSTEERINGEBPF)", "", ioctl, TAP, TUNSETSTEERINGEBPF,
	    AT(0), PROGRAM),
	TRY("detach the queue (TUNSETQUEUE)", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\4", ioctl, TAP,
	    TUNSETQUEUE, AT(0)),
	TRY("attach to another interface (TUNSETIFF)", "airlock9\0\0\0\0\0\0\0\0\2\x10", ioctl, TAP,
	    TUNSETIFF, AT(0)),
	TRY("another kind of link (TUNSETLINK)", "", ioctl, TAP, TUNSETLINK, 772),
	TRY("no carrier (TUNSETCARRIER)", "\0", ioctl, TAP, TUNSETCARRIER, AT(0)),
	TRY("no checksums (TUNSETNOCSUM)", "", ioctl, TAP, TUNSETNOCSUM, 1),
	TRY("debugging (TUNSETDEBUG)", "", ioctl, TAP, TUNSETDEBUG, 1),
	TRY("its network namespace (TUNGETDEVNETNS)", "", ioctl, TAP, TUNGETDEVNETNS, 0),
	TRY("its network namespace (SIOCGSKNS)", "", ioctl, TAP, 0x894c, 0),
	TRY("signals about it (FIOASYNC)", "\1", ioctl, TAP, 0x5452, AT(0)),
	TRY("make it blocking (FIONBIO)", "\0", ioctl, TAP, 0x5421, AT(0)),
	TRY("make it blocking (F_SETFL)", "", fcntl, TAP, F_SETFL, 0),
};

#endif
