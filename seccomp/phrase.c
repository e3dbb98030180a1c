/*
 * Spells calls and conditions. Runs in airlock-policy's only thread; names of threads are the
 * watched program's own choice, so what does not print is replaced before it reaches a terminal or
 * a page.
 */
#include "seccomp/phrase.h"
#include "policy/names.h"
#include "policy/parse.h"
#include "seccomp/selector.h"
#include "lib/util.h"

#include <inttypes.h>
#include <string.h>

/* The calls that take so many arguments. Source: the syscalls events of Linux 6.18's tracefs. */
static const char *const taking[7] = {
	[0] = " fork getegid geteuid getgid getpgrp getpid getppid gettid getuid inotify_init "
	      "munlockall pause restart_syscall rt_sigreturn sched_yield setsid sync uprobe "
	      "uretprobe vfork vhangup ",
	[1] = " set_thread_area uselib acct adjtimex alarm brk chdir chroot close dup epoll_create epoll_create1 eventfd "
	      "exit exit_group fchdir fdatasync fsync getpgid getsid inotify_init1 io_destroy "
	      "iopl memfd_secret mlockall mq_unlink personality pipe pkey_free rmdir "
	      "sched_get_priority_max sched_get_priority_min sched_getscheduler set_tid_address "
	      "setfsgid setfsuid setgid setuid shmdt swapoff syncfs sysinfo time timer_delete "
	      "timer_getoverrun times umask uname unlink unshare userfaultfd ",
	[2] = " delete_module access arch_prctl capget capset chmod clock_adjtime clock_getres clock_gettime "
	      "clock_settime clone3 creat dup2 eventfd2 fanotify_init fchmod flock fremovexattr "
	      "fsopen fstat fstatfs ftruncate getcwd getgroups getitimer getpriority getrlimit "
	      "getrusage gettimeofday inotify_rm_watch io_setup io_uring_setup ioprio_get kill "
	      "landlock_restrict_self link listen lremovexattr lstat memfd_create mkdir mlock "
	      "mq_notify msgget munlock munmap nanosleep pidfd_open pipe2 pivot_root pkey_alloc "
	      "process_mrelease removexattr rename rt_sigpending rt_sigsuspend sched_getparam "
	      "sched_rr_get_interval sched_setparam set_robust_list setdomainname setgroups "
	      "sethostname setns setpgid setregid setreuid setrlimit settimeofday shutdown "
	      "sigaltstack stat statfs swapon symlink timer_gettime timerfd_create "
	      "timerfd_gettime tkill truncate umount2 ustat utime utimes ",
	[3] = " finit_module init_module accept bind bpf chown close_range connect dup3 execve faccessat fchmodat fchown "
	      "fcntl flistxattr fsmount fspick futimesat get_robust_list getcpu getdents "
	      "getdents64 getpeername getrandom getresgid getresuid getsockname inotify_add_watch "
	      "io_cancel io_submit ioctl ioperm ioprio_set landlock_create_ruleset lchown "
	      "listxattr llistxattr lseek lsm_list_modules madvise membarrier mincore mkdirat "
	      "mknod mlock2 modify_ldt mprotect mq_getsetattr mseal msgctl msync open "
	      "open_by_handle_at open_tree pidfd_getfd poll read readahead readlink readv recvmsg "
	      "rt_sigqueueinfo sched_getaffinity sched_setaffinity sched_setattr "
	      "sched_setscheduler seccomp semget semop sendmsg set_mempolicy setitimer "
	      "setpriority setresgid setresuid shmat shmctl shmget signalfd socket symlinkat "
	      "sysfs syslog tgkill timer_create unlinkat write writev ",
	[4] = " kexec_load accept4 cachestat clock_nanosleep epoll_ctl epoll_wait faccessat2 fadvise64 "
	      "fallocate fchmodat2 fgetxattr futex_requeue futex_wake getxattr io_uring_register "
	      "landlock_add_rule lgetxattr listmount lsm_get_self_attr lsm_set_self_attr "
	      "migrate_pages mknodat mq_open msgsnd newfstatat openat openat2 pidfd_send_signal "
	      "pkey_mprotect pread64 prlimit64 ptrace pwrite64 quotactl quotactl_fd readlinkat "
	      "reboot removexattrat renameat request_key rseq rt_sigaction rt_sigprocmask "
	      "rt_sigtimedwait rt_tgsigqueueinfo sched_getattr semctl semtimedop sendfile "
	      "sendmmsg set_mempolicy_home_node signalfd4 socketpair statmount sync_file_range "
	      "tee timer_settime timerfd_settime utimensat vmsplice wait4 ",
	[5] = " kexec_file_load add_key clone execveat fanotify_mark fchownat file_getattr file_setattr fsconfig "
	      "fsetxattr futex_waitv get_mempolicy getsockopt io_getevents kcmp keyctl linkat "
	      "listxattrat lsetxattr mount mount_setattr move_mount mq_timedreceive mq_timedsend "
	      "mremap msgrcv name_to_handle_at open_tree_attr perf_event_open ppoll prctl preadv "
	      "process_madvise pwritev recvmmsg remap_file_pages renameat2 select setsockopt "
	      "setxattr statx waitid ",
	[6] = " copy_file_range epoll_pwait epoll_pwait2 futex futex_wait getxattrat io_pgetevents "
	      "io_uring_enter mbind mmap move_pages preadv2 process_vm_readv process_vm_writev "
	      "pselect6 pwritev2 recvfrom sendto setxattrat splice ",
};

static int arguments_taken(const char *name)
{
	char word[64];

	snprintf(word, sizeof(word), " %s ", name ? name : "");
	for (int n = 0; name && n < (int)ARRAY_SIZE(taking); n++)
		if (strstr(taking[n], word))
			return n;
	return 6;
}

static const char *name_of(enum policy_arch arch, const struct observed_call *call)
{
	return call->foreign || call->nr < 0 ? NULL : policy_syscall_name(arch, (uint32_t)call->nr);
}

void phrase_name(FILE *out, enum policy_arch arch, const struct observed_call *call)
{
	const char *name = name_of(arch, call);

	if (name)
		fputs(name, out);
	else
		fprintf(out, "%s %d", call->foreign ? "foreign call" : "call", call->nr);
}

void phrase_call(FILE *out, enum policy_arch arch, const struct observed_call *call)
{
	const char *name = name_of(arch, call);
	int taken = arguments_taken(name);
	char value[256];

	phrase_name(out, arch, call);
	fputc('(', out);
	for (int i = 0; i < taken; i++) {
		bool exact = call->known & 1 << i;

		if (i)
			fputs(", ", out);
		if (!exact && !(call->first_known & 1 << i))
			fputc('?', out);
		else
			fputs(selector_format(arch, name ? name : "", i,
					      exact ? call->args[i] : call->first[i], value,
					      sizeof(value)),
			      out);
	}
	fputc(')', out);
}

void phrase_condition(FILE *out, const uint64_t args[6], uint8_t mask)
{
	const char *and = "";

	for (int i = 0; i < 6; i++) {
		if (!(mask & 1 << i))
			continue;
		fprintf(out, "%sarg%d == %#" PRIx64, and, i, args[i]);
		and = " && ";
	}
}

void phrase_clause(FILE *out, enum policy_arch arch, const char *syscall,
		   const struct policy_clause *clause)
{
	char value[256];

	if (!clause)
		fputs("any", out);
	for (const struct policy_atom *atom = clause ? clause->atoms : NULL; atom;
	     atom = atom->next) {
		fprintf(out, "arg%u %s ", atom->argument, policy_comparison_name(atom->comparison));
		if (selector_mask(syscall) & 1 << atom->argument)
			fputs(selector_format(arch, syscall, atom->argument, atom->value, value,
					      sizeof(value)),
			      out);
		else
			fprintf(out, atom->value < 65536 ? "%" PRIu64 : "%#" PRIx64, atom->value);
		fputs(atom->next ? " && " : "", out);
	}
}

void phrase_role(FILE *out, const char role[OBSERVED_ROLE])
{
	for (int i = 0; i < OBSERVED_ROLE && role[i]; i++)
		fputc(role[i] < ' ' || role[i] > '~' || role[i] == '\\' ? '?' : role[i], out);
}

void phrase_thread(FILE *out, const struct observed_call *call)
{
	phrase_role(out, call->role);
	if (call->role[0])
		fputc(' ', out);
	if (call->tgid && call->tgid != call->tid)
		fprintf(out, "[%d/%d]", (int)call->tgid, (int)call->tid);
	else
		fprintf(out, "[%d]", (int)call->tid);
}
