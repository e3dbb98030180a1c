/*
 * Chooses the TAP queue, and so the guest's receive ring, for every frame to the guest
 * (VIRTIO_NET_F_RSS). Runs in the kernel where the host transmits on the TAP. Trusts neither the
 * frame nor the page, which a device may fill with anything.
 */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#include "broker/toeplitz.h"
#include "lib/steering.h"

#define ETH_LEN		 14
#define TYPE_IPV4	 0x0800
#define TYPE_IPV6	 0x86dd
#define TYPE_VLAN	 0x8100
#define TYPE_QINQ	 0x88a8
#define TAGS_MAX	 2
#define HEADERS_MAX	 6
#define OPTIONS_MAX	 4
#define NEXT_HOP	 0
#define NEXT_TCP	 6
#define NEXT_UDP	 17
#define NEXT_ROUTING	 43
#define NEXT_FRAGMENT	 44
#define NEXT_DESTINATION 60
#define OPTION_HOME	 201 /* RFC 6275: the mobile node's own address */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct steering_page);
} page SEC(".maps");

/* From the Ethernet header on, wherever the kernel has its data pointer. 0 or -errno. */
static __always_inline long load(struct __sk_buff *skb, __u32 off, void *to, __u32 len)
{
	return bpf_skb_load_bytes_relative(skb, off, to, len, BPF_HDR_START_MAC);
}

/* What a frame has, and what of it is hashed. */
struct flow {
	__u8 input[TOEPLITZ_INPUT];
	__u8 home[16], final[16]; /* IPv6: of extension headers */
	bool has_home, has_final;
	__u8 next; /* transport; 0: none that has ports here */
	__u32 off; /* of its header */
};

static __always_inline bool ports_take(struct __sk_buff *skb, const struct flow *f, __u8 *to)
{
	return !load(skb, f->off, to, 4);
}

static __always_inline bool ipv4_flow(struct __sk_buff *skb, struct flow *f, __u32 types, __u32 off)
{
	__u8 head[20];

	if (load(skb, off, head, sizeof(head)))
		return false;
	f->off = off + (head[0] & 15) * 4;
	f->next = (head[6] & 0x3f) || head[7] ? 0 : head[9]; /* no ports in fragments */
	__builtin_memcpy(f->input, head + 12, 8);
	if ((f->next == NEXT_TCP && (types & STEERING_TCPV4)) ||
	    (f->next == NEXT_UDP && (types & STEERING_UDPV4)))
		return ports_take(skb, f, f->input + 8);
	return types & STEERING_IPV4;
}

/* Looks for a home address in a destination options header of `len` bytes. */
static __always_inline void home_find(struct __sk_buff *skb, struct flow *f, __u32 off, __u32 len)
{
	__u32 at = 2;
	__u8 option[2];

	for (int i = 0; i < OPTIONS_MAX; i++) {
		if (at + 2 > len || load(skb, off + at, option, 2))
			return;
		if (option[0] == OPTION_HOME && option[1] == 16) {
			f->has_home = !load(skb, off + at + 2, f->home, 16);
			return;
		}
		at += option[0] ? 2u + option[1] : 1;
	}
}

/* Follows extension headers to the transport's. */
static __always_inline void headers_follow(struct __sk_buff *skb, struct flow *f)
{
	for (int i = 0; i < HEADERS_MAX; i++) {
		__u8 next = f->next, head[4];
		__u32 len;

		if (next != NEXT_HOP && next != NEXT_ROUTING && next != NEXT_DESTINATION)
			break;
		if (load(skb, f->off, head, sizeof(head)))
			break;
		len = (head[1] + 1) * 8;
		if (next == NEXT_DESTINATION)
			home_find(skb, f, f->off, len);
		if (next == NEXT_ROUTING && head[2] == 2 && head[3] == 1 && len >= 24)
			f->has_final = !load(skb, f->off + 8, f->final, 16);
		f->off += len;
		f->next = head[0];
	}
}

static __always_inline bool ipv6_flow(struct __sk_buff *skb, struct flow *f, __u32 types, __u32 off)
{
	__u32 plain = STEERING_IPV6, ex = STEERING_IP_EX;
	bool ports = false;

	if (load(skb, off + 6, &f->next, 1) || load(skb, off + 8, f->input, 32))
		return false;
	f->off = off + 40;
	headers_follow(skb, f);
	if (f->next == NEXT_TCP && (types & (STEERING_TCPV6 | STEERING_TCP_EX))) {
		plain = STEERING_TCPV6;
		ex = STEERING_TCP_EX;
		ports = true;
	} else if (f->next == NEXT_UDP && (types & (STEERING_UDPV6 | STEERING_UDP_EX))) {
		plain = STEERING_UDPV6;
		ex = STEERING_UDP_EX;
		ports = true;
	}
	if (!(types & (plain | ex)))
		return false;
	if ((types & ex) && f->has_home)
		__builtin_memcpy(f->input, f->home, 16);
	if ((types & ex) && f->has_final)
		__builtin_memcpy(f->input + 16, f->final, 16);
	return !ports || ports_take(skb, f, f->input + 32);
}

static __always_inline bool classify(struct __sk_buff *skb, struct flow *f, __u32 types)
{
	__u32 off = ETH_LEN;
	__be16 type;

	if (load(skb, 12, &type, sizeof(type)))
		return false;
	for (int i = 0; i < TAGS_MAX; i++) {
		if (type != bpf_htons(TYPE_VLAN) && type != bpf_htons(TYPE_QINQ))
			break;
		if (load(skb, off + 2, &type, sizeof(type)))
			return false;
		off += 4;
	}
	if (type == bpf_htons(TYPE_IPV4))
		return ipv4_flow(skb, f, types, off);
	if (type == bpf_htons(TYPE_IPV6))
		return ipv6_flow(skb, f, types, off);
	return false;
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
	if (classify(skb, &flow, cfg->types)) {
		__u32 at = toeplitz(cfg->key, flow.input) & cfg->mask;

		pair = cfg->table[at & (STEERING_TABLE - 1)];
	}
	slot = p->slot[pair & (STEERING_PAIRS - 1)];
	return slot == STEERING_NOWHERE ? 0 : slot;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
