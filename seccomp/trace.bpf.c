/*
 * Counts the system calls of a tree of processes, those that a seccomp filter refused among them.
 * Runs in the kernel, in the context of whichever thread is counted. Trusts the kernel alone; what
 * it reads of a thread (its name, its arguments) is data to count by.
 *
 * sys_enter comes after seccomp and never sees a refused call. Three other places do:
 *   kill-process, trap   signal_generate with SYS_SECCOMP, which carries the number
 *   errno, supervisor    sys_exit of a thread that has not passed sys_enter
 *   kill-thread          sched_process_exit with SIGSYS for a code while the process lives on
 */
#include "seccomp/kernel.bpf.h"
#include "seccomp/trace_map.h"

const volatile __u8 wanted[TRACE_NUMBERS]; /* bit N: argument N is part of the key */

__u32 seed_tgid;    /* for `seed`: the process to follow, as the loader numbers it */
__u32 threads_ever; /* followed until now */
__u64 live;	    /* threads followed now */
__u64 inserted;	    /* entries ever made in `calls` */
__u64 lost_calls;   /* uncounted: `calls` was full */
__u64 lost_threads; /* not followed: `threads` was full */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TRACE_THREADS);
	__type(key, __u32); /* the kernel's number, whatever the namespace */
	__type(value, struct trace_thread);
} threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TRACE_ENTRIES);
	__type(key, struct trace_key);
	__type(value, struct trace_value);
} calls SEC(".maps");

static __always_inline struct trace_thread *followed_now(void)
{
	__u32 pid = (__u32)bpf_get_current_pid_tgid();

	return bpf_map_lookup_elem(&threads, &pid);
}

/* A thread first seen is in a call: in the clone that made it, or in whatever it did when we came.
 */
static __always_inline void follow(struct task_struct *task)
{
	struct trace_thread new = { .in_call = 1 };
	__u32 pid = BPF_CORE_READ(task, pid);

	new.thread = __sync_fetch_and_add(&threads_ever, 1);
	new.pid = pid;
	new.tid = pid_seen(task);
	new.tgid = pid_seen(BPF_CORE_READ(task, group_leader));
	switch (bpf_map_update_elem(&threads, &pid, &new, BPF_NOEXIST)) {
	case 0:
		__sync_fetch_and_add(&live, 1);
		break;
	case -17: /* EEXIST */
		break;
	default:
		__sync_fetch_and_add(&lost_threads, 1);
	}
}

static __always_inline void unfollow(__u32 pid)
{
	if (bpf_map_delete_elem(&threads, &pid) == 0)
		__sync_fetch_and_add(&live, -1);
}

static __always_inline void count(const struct trace_thread *thread, struct pt_regs *regs, long nr,
				  enum trace_outcome outcome)
{
	struct trace_key key = {
		.thread = thread->thread, .pid = thread->pid, .nr = (int)nr, .outcome = outcome
	};
	struct trace_value new = { .count = 1 }, *value;
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	__u8 mask = (__u64)nr < TRACE_NUMBERS ? wanted[nr] : 0;

	bpf_get_current_comm(key.role, sizeof(key.role));
	key.filters = filters_in_force(task);
	key.foreign = is_foreign(task);
	if (mask)
		call_arguments(regs, mask, key.args);
	value = bpf_map_lookup_elem(&calls, &key);
	if (value) {
		value->count++;
		return;
	}
	call_arguments(regs, 0x3f, new.first);
	new.tid = thread->tid;
	new.tgid = thread->tgid;
	if (bpf_map_update_elem(&calls, &key, &new, BPF_NOEXIST))
		__sync_fetch_and_add(&lost_calls, 1);
	else
		__sync_fetch_and_add(&inserted, 1);
}

/* args: struct pt_regs *regs, long id */
SEC("raw_tp/sys_enter")
int on_enter(struct bpf_raw_tracepoint_args *ctx)
{
	struct trace_thread *thread = followed_now();

	if (!thread)
		return 0;
	thread->in_call = 1;
	count(thread, (struct pt_regs *)ctx->args[0], (long)ctx->args[1], TRACE_MADE);
	return 0;
}

/* args: struct pt_regs *regs, long ret */
SEC("raw_tp/sys_exit")
int on_leave(struct bpf_raw_tracepoint_args *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)ctx->args[0];
	struct trace_thread *thread = followed_now();

	if (!thread)
		return 0;
	if (!thread->in_call)
		count(thread, regs, call_number(regs), TRACE_ERRNO);
	thread->in_call = 0;
	return 0;
}

/* args: int sig, struct kernel_siginfo *info, struct task_struct *task, int group, int result */
SEC("raw_tp/signal_generate")
int on_signal(struct bpf_raw_tracepoint_args *ctx)
{
	struct kernel_siginfo *info = (struct kernel_siginfo *)ctx->args[1];
	struct trace_thread *thread;

	if ((int)ctx->args[0] != SIGSYS || ctx->args[2] != bpf_get_current_task())
		return 0;
	thread = followed_now();
	if (!thread || BPF_CORE_READ(info, si_code) != SYS_SECCOMP)
		return 0;
	thread->in_call = 1;
	count(thread, current_regs(), BPF_CORE_READ(info, _sifields._sigsys._syscall),
	      TRACE_SIGNAL);
	return 0;
}

/* args: struct task_struct *parent, struct task_struct *child */
SEC("raw_tp/sched_process_fork")
int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
	if (followed_now())
		follow((struct task_struct *)ctx->args[1]);
	return 0;
}

/* args: struct task_struct *p, pid_t old_pid, ...: a thread that execs takes the place and number
 * of its leader. */
SEC("raw_tp/sched_process_exec")
int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 old = (__u32)ctx->args[1];

	if (!bpf_map_lookup_elem(&threads, &old) || followed_now())
		return 0;
	unfollow(old);
	follow((struct task_struct *)ctx->args[0]);
	return 0;
}

/* args: struct task_struct *p, ... */
SEC("raw_tp/sched_process_exit")
int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx->args[0];
	struct trace_thread *thread = followed_now();
	__u32 pid = (__u32)bpf_get_current_pid_tgid();

	if (!thread)
		return 0;
	if (!thread->in_call && (BPF_CORE_READ(task, exit_code) & 0x7f) == SIGSYS &&
	    !(BPF_CORE_READ(task, signal, flags) & SIGNAL_GROUP_EXIT))
		count(thread, current_regs(), call_number(current_regs()), TRACE_THREAD);
	unfollow(pid);
	return 0;
}

/* Follows every thread of process `seed_tgid`, and of the children of processes followed already.
 */
SEC("iter/task")
int seed(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	__u32 parent;

	if (!task)
		return 0;
	parent = BPF_CORE_READ(task, real_parent, tgid);
	if (pid_seen(BPF_CORE_READ(task, group_leader)) == seed_tgid ||
	    bpf_map_lookup_elem(&threads, &parent))
		follow(task);
	/* One that was ending may have passed on_exit before we followed it. */
	if (BPF_CORE_READ(task, flags) & PF_EXITING)
		unfollow(BPF_CORE_READ(task, pid));
	return 0;
}

SEC("raw_tp")
int locate(void *ctx)
{
	return locate_home();
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
