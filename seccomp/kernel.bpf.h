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
#include <stdbool.h>

#define SIGSYS		  31
#define SYS_SECCOMP	  1 /* si_code of a SIGSYS that a filter caused */
#define SIGNAL_GROUP_EXIT 4
#define PF_EXITING	  4

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

struct signal_struct {
	unsigned int flags;
};

struct thread_info {
	unsigned long flags;
	unsigned int status;
};

struct seccomp {
	struct {
		int counter;
	} filter_count;
};

struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
	int pid;
	int tgid;
	int exit_code;
	struct pid *thread_pid;
	struct task_struct *group_leader;
	struct task_struct *real_parent;
	struct signal_struct *signal;
	struct seccomp seccomp;
};

struct pt_regs {
#if defined(__TARGET_ARCH_x86)
	unsigned long di, si, dx, r10, r8, r9, orig_ax;
#elif defined(__TARGET_ARCH_arm64)
	unsigned long regs[31], orig_x0;
	int syscallno;
#else
#error "where do this machine's system calls keep their arguments?"
#endif
};

struct bpf_iter_meta;
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
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

static __always_inline struct pt_regs *current_regs(void)
{
	return (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
}

static __always_inline long call_number(struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return BPF_CORE_READ(regs, orig_ax);
#else
	return BPF_CORE_READ(regs, syscallno);
#endif
}

/* The arguments in `mask`, bit N for argument N; the others of `args` stay as they are. */
static __always_inline void call_arguments(struct pt_regs *regs, __u8 mask, __u64 args[6])
{
#if defined(__TARGET_ARCH_x86)
#define ARGUMENTS(X) X(0, di) X(1, si) X(2, dx) X(3, r10) X(4, r8) X(5, r9)
#else
#define ARGUMENTS(X) \
	X(0, orig_x0) X(1, regs[1]) X(2, regs[2]) X(3, regs[3]) X(4, regs[4]) X(5, regs[5])
#endif
#define ARGUMENT(n, reg)   \
	if (mask & 1 << n) \
		args[n] = BPF_CORE_READ(regs, reg);
	ARGUMENTS(ARGUMENT)
#undef ARGUMENT
#undef ARGUMENTS
}

/* i386 on x86_64 (TS_COMPAT), arm on aarch64 (TIF_32BIT). */
static __always_inline bool is_foreign(struct task_struct *task)
{
#if defined(__TARGET_ARCH_x86)
	return BPF_CORE_READ(task, thread_info.status) & 2;
#else
	return BPF_CORE_READ(task, thread_info.flags) & 1 << 22;
#endif
}

static __always_inline __u8 filters_in_force(struct task_struct *task)
{
	int n = BPF_CORE_READ(task, seccomp.filter_count.counter);

	return n < 255 ? n : 255;
}

#endif
