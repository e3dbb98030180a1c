/*
 * Notes which system call a seccomp filter refused. Runs in the kernel, in the context of the
 * refused thread, each time a filter's SIGSYS is generated for a task of the watched uid. Trusts
 * the kernel alone: nobody can send another process this code, and to send it to itself a process
 * needs rt_sigqueueinfo, which no policy of ours allows.
 */
#include "seccomp/kernel.bpf.h"
#include "seccomp/denial_ring.h"

const volatile __u32 watched_uid;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct denial_ring);
} ring SEC(".maps");

static __always_inline void denial_note(struct kernel_siginfo *info, struct task_struct *task)
{
	const __u32 zero = 0;
	struct denial_ring *r = bpf_map_lookup_elem(&ring, &zero);
	struct denial_slot *slot;
	__u64 head;

	if (!r)
		return;
	head = __sync_fetch_and_add(&r->head, 1);
	slot = &r->slots[head & (DENIAL_SLOTS - 1)];
	__sync_lock_test_and_set(&slot->turn,
				 0); /* full barrier; pairs with turn_load() in denial.c */
	slot->time = bpf_ktime_get_ns();
	slot->tgid = pid_seen(BPF_CORE_READ(task, group_leader));
	slot->tid = pid_seen(task);
	slot->nr = BPF_CORE_READ(info, _sifields._sigsys._syscall);
	slot->arch = BPF_CORE_READ(info, _sifields._sigsys._arch);
	__sync_lock_test_and_set(&slot->turn,
				 head + 1); /* full barrier; pairs with turn_load() in denial.c */
}

/* args: int sig, struct kernel_siginfo *info, struct task_struct *task, int group, int result */
SEC("raw_tp/signal_generate")
int on_signal(struct bpf_raw_tracepoint_args *ctx)
{
	struct kernel_siginfo *info = (struct kernel_siginfo *)ctx->args[1];
	struct task_struct *task = (struct task_struct *)ctx->args[2];

	if ((int)ctx->args[0] != SIGSYS || (__u32)bpf_get_current_uid_gid() != watched_uid)
		return 0;
	/* A filter's signal goes to the thread that made the call; info may be one of the kernel's
	 * small constants. */
	if (task != (struct task_struct *)bpf_get_current_task() ||
	    BPF_CORE_READ(info, si_code) != SYS_SECCOMP)
		return 0;
	denial_note(info, task);
	return 0;
}

SEC("raw_tp")
int locate(void *ctx)
{
	return locate_home();
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
