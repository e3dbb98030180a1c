/*
 * The kernel as our eBPF programs see it: of each structure only the members that they read,
 * relocated by name at load time (CO-RE), so that one build fits every kernel with BTF and no
 * vmlinux.h is needed. Included by *.bpf.c alone.
 */
#ifndef AIRLOCK_SECCOMP_KERNEL_BPF_H
#define AIRLOCK_SECCOMP_KERNEL_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define SIGSYS	    31
#define SYS_SECCOMP 1 /* si_code of a SIGSYS that a filter caused */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pid_namespace;

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

struct task_struct {
	struct pid *thread_pid;
	struct task_struct *group_leader;
};

union __sifields {
	struct {
		int _syscall;
		unsigned int _arch;
	} _sigsys;
};

struct kernel_siginfo {
	struct {
		int si_signo;
		int si_code;
		union __sifields _sifields;
	};
};

#pragma clang attribute pop

/*
 * The pid namespace of whoever loaded us: tasks are named by their number there, which is what that
 * process would see in /proc. Set once by the `locate` program, which the loader runs in its own
 * context before it attaches anything.
 */
static unsigned int home_level;
static struct pid_namespace *home_ns;

static __always_inline struct upid pid_at(struct pid *pid, unsigned int level)
{
	struct upid at = {};
	const char *first = (const char *)__builtin_preserve_access_index(&pid->numbers[0]);

	bpf_core_read(&at, sizeof(at), first + (__u64)level * bpf_core_type_size(struct upid));
	return at;
}

/* The task's number in the loader's namespace, 0 when it has none there. */
static __always_inline __u32 pid_seen(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	struct upid at;

	if (BPF_CORE_READ(pid, level) < home_level)
		return 0;
	at = pid_at(pid, home_level);
	return at.ns == home_ns ? at.nr : 0;
}

static __always_inline int locate_home(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct pid *pid = BPF_CORE_READ(task, thread_pid);

	home_level = BPF_CORE_READ(pid, level);
	home_ns = pid_at(pid, home_level).ns;
	return 0;
}

#endif
