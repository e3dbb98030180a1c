/*
 * Notes which system call a seccomp filter refused. Runs in the kernel, in the context of the
 * refused thread, each time a filter's SIGSYS is generated for a task of the watched uid and pid
 * namespace. Trusts the kernel alone: nobody can send another process this code, and to send it to
 * itself a process needs rt_sigqueueinfo, which no policy of ours allows.
 *
 * It reads nothing whose place differs from kernel to kernel, so that the loader need not read the
 * kernel's type information, which takes longer than everything else here.
 */
#include <linux/bpf.h>
#include <linux/signal.h>
#include <bpf/bpf_helpers.h>
#include "seccomp/denial_ring.h"

const volatile __u32 watched_uid;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct denial_ring);
} ring SEC(".maps");

static __always_inline void denial_note(const siginfo_t *info)
{
	const __u32 zero = 0;
	struct denial_ring *r = bpf_map_lookup_elem(&ring, &zero);
	struct bpf_pidns_info self;
	struct denial_slot *slot;
	__u64 head;

	if (!r || bpf_get_ns_current_pid_tgid(r->home_dev, r->home_ino, &self, sizeof(self)))
		return;
	head = __sync_fetch_and_add(&r->head, 1);
	slot = &r->slots[head & (DENIAL_SLOTS - 1)];
	__sync_lock_test_and_set(&slot->turn,
				 0); /* full barrier; pairs with turn_load() in denial.c */
	slot->time = bpf_ktime_get_ns();
	slot->tgid = self.tgid;
	slot->tid = self.pid;
	slot->nr = info->si_syscall;
	slot->arch = info->si_arch;
	__sync_lock_test_and_set(&slot->turn,
				 head + 1); /* full barrier; pairs with turn_load() in denial.c */
}

/* args: int sig, struct kernel_siginfo *info, struct task_struct *task, int group, int result */
SEC("raw_tp/signal_generate")
int on_signal(struct bpf_raw_tracepoint_args *ctx)
{
	/* The kernel copies its own out as it lies: user space's describes it, so far. */
	const __u32 so_far = __builtin_offsetof(siginfo_t, si_arch) + sizeof(__u32);
	siginfo_t info;

	if ((int)ctx->args[0] != SIGSYS || (__u32)bpf_get_current_uid_gid() != watched_uid)
		return 0;
	/* A filter's signal goes to the thread that made the call. In place of an info there may be
	 * one of the kernel's small constants, which cannot be read. */
	if (ctx->args[2] != bpf_get_current_task() ||
	    bpf_probe_read_kernel(&info, so_far, (void *)ctx->args[1]) ||
	    info.si_code != SYS_SECCOMP)
		return 0;
	denial_note(&info);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
