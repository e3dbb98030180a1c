/*
 * Chooses the TAP queue, and so the guest's receive ring, for every frame to the guest
 * (VIRTIO_NET_F_RSS). Runs in the kernel where the host transmits on the TAP. Trusts neither the
 * frame nor the page, which a device may fill with anything.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "lib/steering.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct steering_page);
} page SEC(".maps");

typedef struct __sk_buff flow_frame;

/* From the Ethernet header on, wherever the kernel has its data pointer. */
static __always_inline long flow_load(flow_frame *skb, __u32 off, void *to, __u32 len)
{
	return bpf_skb_load_bytes_relative(skb, off, to, len, BPF_HDR_START_MAC);
}

#define FLOW_STEP __noinline
#include "lib/flow.h"

/* Looked at once, like a FLOW_STEP. */
__noinline __u32 hash(const struct steering_config *cfg, const struct flow *flow)
{
	return cfg && flow ? toeplitz(cfg->key, flow->input) : 0;
}

SEC("socket")
int on_frame(struct __sk_buff *skb)
{
	const __u32 zero = 0;
	struct steering_page *p = bpf_map_lookup_elem(&page, &zero);
	struct steering_config *cfg;
	struct flow flow = { 0 };
	__u32 pair, slot;

	if (!p)
		return 0;
	cfg = p->active & 1 ? &p->config[1] : &p->config[0];
	pair = cfg->unclassified;
	if (flow_classify(skb, &flow, cfg->types)) {
		__u32 at = hash(cfg, &flow) & cfg->mask;

		pair = cfg->table[at & (STEERING_TABLE - 1)];
	}
	slot = p->slot[pair & (STEERING_PAIRS - 1)];
	return slot == STEERING_NOWHERE ? 0 : slot;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
