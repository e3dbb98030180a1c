/*
 * Drops frames that a guest sends under an address that is not its own. Runs in the kernel where
 * the TAP's frames enter the host, before anything of the host sees them: whatever the device
 * process is, or has become, it cannot get around this. Trusts nothing in a frame: what it cannot
 * follow to its end is dropped.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#include "broker/guard_page.h"

#define ETH_LEN		 14
#define TYPE_IPV6	 0x86dd
#define TYPE_ARP	 0x0806
#define TYPE_RARP	 0x8035
#define TYPE_VLAN	 0x8100
#define TYPE_QINQ	 0x88a8
#define TAGS_MAX	 4 /* the outermost one is not in the frame any more */
#define HEADERS_MAX	 8
#define OPTIONS_MAX	 8
#define NEXT_HOP	 0
#define NEXT_ROUTING	 43
#define NEXT_FRAGMENT	 44
#define NEXT_ICMPV6	 58
#define NEXT_DESTINATION 60

const volatile unsigned char own[6];
const volatile bool check_mac, check_arp;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct guard_page);
} page SEC(".maps");

enum verdict {
	PASS,
	BAD_MAC,
	BAD_ARP,
	BAD_ND
};

static __always_inline bool is_own(const unsigned char *mac)
{
	for (int i = 0; i < 6; i++)
		if (mac[i] != own[i])
			return false;
	return true;
}

/* Ethernet and IPv4 are what a sender's hardware address of six bytes at offset 8 means. */
static __always_inline enum verdict arp_judge(struct __sk_buff *skb, __u32 off)
{
	unsigned char head[14];

	if (bpf_skb_load_bytes(skb, off, head, sizeof(head)) || head[0] || head[1] != 1 ||
	    head[4] != 6)
		return BAD_ARP;
	return is_own(head + 8) ? PASS : BAD_ARP;
}

/* Link-layer addresses among the options of a neighbour discovery message. */
static __always_inline enum verdict nd_judge(struct __sk_buff *skb, __u32 off)
{
	unsigned char option[8];

	for (int i = 0; i < OPTIONS_MAX; i++) {
		if (off >= skb->len)
			return PASS;
		if (bpf_skb_load_bytes(skb, off, option, sizeof(option)) || !option[1])
			return BAD_ND;
		if ((option[0] == 1 || option[0] == 2) && (option[1] != 1 || !is_own(option + 2)))
			return BAD_ND;
		off += option[1] * 8;
	}
	return BAD_ND;
}

/* Bytes before the options of a message; 0: not of neighbour discovery. */
static __always_inline __u32 nd_fixed(unsigned char type)
{
	switch (type) {
	case 133: /* router solicitation */
		return 8;
	case 134: /* router advertisement */
		return 16;
	case 135: /* neighbour solicitation */
	case 136: /* neighbour advertisement */
		return 24;
	case 137: /* redirect */
		return 40;
	default:
		return 0;
	}
}

static __always_inline enum verdict icmpv6_judge(struct __sk_buff *skb, __u32 off, bool fragment)
{
	unsigned char type;
	__u32 fixed;

	if (bpf_skb_load_bytes(skb, off, &type, 1))
		return BAD_ND;
	fixed = nd_fixed(type);
	if (!fixed)
		return PASS;
	return fragment ? BAD_ND : nd_judge(skb, off + fixed); /* RFC 6980: never in fragments */
}

static __always_inline enum verdict ipv6_judge(struct __sk_buff *skb, __u32 off)
{
	unsigned char next, head[4];
	bool fragment = false;

	if (bpf_skb_load_bytes(skb, off + 6, &next, 1))
		return PASS; /* no IPv6 header: nobody will read it as one */
	off += 40;
	for (int i = 0; i < HEADERS_MAX; i++) {
		if (next == NEXT_ICMPV6)
			return icmpv6_judge(skb, off, fragment);
		if (next != NEXT_HOP && next != NEXT_ROUTING && next != NEXT_DESTINATION &&
		    next != NEXT_FRAGMENT)
			return PASS;
		if (bpf_skb_load_bytes(skb, off, head, sizeof(head)))
			return BAD_ND;
		if (next == NEXT_FRAGMENT && (head[2] || head[3] & 0xf8))
			return PASS; /* not the first piece: its message is judged by that */
		fragment |= next == NEXT_FRAGMENT;
		off += next == NEXT_FRAGMENT ? 8 : (head[1] + 1) * 8;
		next = head[0];
	}
	return BAD_ND;
}

static __always_inline enum verdict addresses_judge(struct __sk_buff *skb)
{
	__u32 off = ETH_LEN;
	__be16 type;

	if (bpf_skb_load_bytes(skb, 12, &type, sizeof(type)))
		return PASS;
	for (int i = 0; i < TAGS_MAX; i++) {
		switch (bpf_ntohs(type)) {
		case TYPE_ARP:
		case TYPE_RARP:
			return arp_judge(skb, off);
		case TYPE_IPV6:
			return ipv6_judge(skb, off);
		case TYPE_VLAN:
		case TYPE_QINQ:
			if (bpf_skb_load_bytes(skb, off + 2, &type, sizeof(type)))
				return PASS;
			off += 4;
			break;
		default:
			return PASS;
		}
	}
	return BAD_ARP;
}

static __always_inline enum verdict judge(struct __sk_buff *skb)
{
	unsigned char source[6];

	if (check_mac && (bpf_skb_load_bytes(skb, 6, source, sizeof(source)) || !is_own(source)))
		return BAD_MAC;
	return check_arp ? addresses_judge(skb) : PASS;
}

SEC("tc")
int on_frame(struct __sk_buff *skb)
{
	const __u32 zero = 0;
	struct guard_page *p = bpf_map_lookup_elem(&page, &zero);

	if (!p)
		return TC_ACT_SHOT;
	if (p->off)
		return TC_ACT_UNSPEC; /* on to the next program, if there is one */
	switch (judge(skb)) {
	case BAD_MAC:
		__sync_fetch_and_add(&p->dropped_mac, 1);
		return TC_ACT_SHOT;
	case BAD_ARP:
		__sync_fetch_and_add(&p->dropped_arp, 1);
		return TC_ACT_SHOT;
	case BAD_ND:
		__sync_fetch_and_add(&p->dropped_nd, 1);
		return TC_ACT_SHOT;
	default:
		return TC_ACT_UNSPEC;
	}
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
