/*
 * Which bytes of a frame are hashed, for which of the types that a guest asked for (virtio 1.3,
 * 5.1.6.4.3). Compiled into two programs: the broker's eBPF program, which chooses a queue by the
 * hash, and the device, which reports it; so that both mean the same frame. Trusts neither frame
 * nor types. Whoever includes this has said before how a frame's bytes are had:
 *
 *   typedef ... flow_frame;
 *   static long flow_load(flow_frame *frame, __u32 off, void *to, __u32 len);  0: all were there
 */
#ifndef AIRLOCK_LIB_FLOW_H
#define AIRLOCK_LIB_FLOW_H

#include <linux/types.h>
#include <stdbool.h>

#include "lib/steering.h"
#include "lib/toeplitz.h"

/* Bytes of a frame that are looked at: headers that end behind them count as cut off. */
#define FLOW_HEAD 256

#define FLOW_ETH_LEN	 14
#define FLOW_IPV4	 0x0800
#define FLOW_IPV6	 0x86dd
#define FLOW_VLAN	 0x8100
#define FLOW_QINQ	 0x88a8
#define FLOW_TAGS_MAX	 2
#define FLOW_HEADERS_MAX 6
#define FLOW_OPTIONS_MAX 4
#define FLOW_HOP	 0
#define FLOW_TCP	 6
#define FLOW_UDP	 17
#define FLOW_ROUTING	 43
#define FLOW_FRAGMENT	 44
#define FLOW_DESTINATION 60
#define FLOW_OPTION_HOME 201 /* RFC 6275: the mobile node's own address */

#define FLOW_INLINE static inline __attribute__((always_inline))

/* A step that the eBPF program makes a global function of: the kernel's verifier then looks at it
 * once, for any argument (it may be NULL), and not again on each way that leads there. */
#ifndef FLOW_STEP
#define FLOW_STEP FLOW_INLINE
#endif

struct flow {
	__u8 input[TOEPLITZ_INPUT];
	__u8 home[16], final[16]; /* IPv6: of extension headers */
	bool has_home, has_final, extended;
	__u8 next; /* transport; 0: none that has ports here */
	__u32 off; /* of its header */
};

FLOW_INLINE bool flow_take(flow_frame *frame, __u32 off, void *to, __u32 len)
{
	return off <= FLOW_HEAD - len && !flow_load(frame, off, to, len);
}

FLOW_INLINE __u32 flow_ipv4(flow_frame *frame, struct flow *f, __u32 types, __u32 off)
{
	__u8 head[20];
	__u32 type = STEERING_IPV4;

	if (!flow_take(frame, off, head, sizeof(head)))
		return 0;
	f->off = off + (head[0] & 15) * 4u;
	f->next = (head[6] & 0x3f) || head[7] ? 0 : head[9]; /* no ports in fragments */
	__builtin_memcpy(f->input, head + 12, 8);
	if (f->next == FLOW_TCP && (types & STEERING_TCPV4))
		type = STEERING_TCPV4;
	else if (f->next == FLOW_UDP && (types & STEERING_UDPV4))
		type = STEERING_UDPV4;
	if (type != STEERING_IPV4 && !flow_take(frame, f->off, f->input + 8, 4))
		return 0;
	return types & type;
}

/* Looks for a home address in a destination options header of `len` bytes. */
FLOW_STEP int flow_home(flow_frame *frame, struct flow *f, __u32 off, __u32 len)
{
	__u32 at = 2;
	__u8 option[2];

	for (int i = 0; f && i < FLOW_OPTIONS_MAX; i++) {
		if (at + 2 > len || !flow_take(frame, off + at, option, 2))
			return 0;
		if (option[0] == FLOW_OPTION_HOME && option[1] == 16) {
			f->has_home = flow_take(frame, off + at + 2, f->home, 16);
			return 0;
		}
		at += option[0] ? 2u + option[1] : 1;
	}
	return 0;
}

/* Follows extension headers to the transport's. */
FLOW_STEP int flow_headers(flow_frame *frame, struct flow *f)
{
	for (int i = 0; f && i < FLOW_HEADERS_MAX; i++) {
		__u8 next = f->next, head[4];
		__u32 len;

		f->extended |= next == FLOW_FRAGMENT;
		if (next != FLOW_HOP && next != FLOW_ROUTING && next != FLOW_DESTINATION)
			break;
		f->extended = true;
		if (!flow_take(frame, f->off, head, sizeof(head)))
			break;
		len = (head[1] + 1u) * 8;
		if (next == FLOW_DESTINATION)
			flow_home(frame, f, f->off, len);
		if (next == FLOW_ROUTING && head[2] == 2 && head[3] == 1 && len >= 24)
			f->has_final = flow_take(frame, f->off + 8, f->final, 16);
		f->off += len;
		f->next = head[0];
	}
	return 0;
}

/* The types of 5.1.6.4.3.3 are for frames with extension headers only, and come first there. */
FLOW_INLINE __u32 flow_ipv6_type(const struct flow *f, __u32 types)
{
	bool tcp = f->next == FLOW_TCP, udp = f->next == FLOW_UDP;

	if (f->extended && tcp && (types & STEERING_TCP_EX))
		return STEERING_TCP_EX;
	if (f->extended && udp && (types & STEERING_UDP_EX))
		return STEERING_UDP_EX;
	if (f->extended && (types & STEERING_IP_EX))
		return STEERING_IP_EX;
	if (tcp && (types & STEERING_TCPV6))
		return STEERING_TCPV6;
	if (udp && (types & STEERING_UDPV6))
		return STEERING_UDPV6;
	return types & STEERING_IPV6;
}

FLOW_INLINE __u32 flow_ipv6(flow_frame *frame, struct flow *f, __u32 types, __u32 off)
{
	const __u32 ports = STEERING_TCPV6 | STEERING_UDPV6 | STEERING_TCP_EX | STEERING_UDP_EX;
	const __u32 ex = STEERING_IP_EX | STEERING_TCP_EX | STEERING_UDP_EX;
	__u32 type;

	if (!flow_take(frame, off + 6, &f->next, 1) || !flow_take(frame, off + 8, f->input, 32))
		return 0;
	f->off = off + 40;
	flow_headers(frame, f);
	type = flow_ipv6_type(f, types);
	if ((type & ex) && f->has_home)
		__builtin_memcpy(f->input, f->home, 16);
	if ((type & ex) && f->has_final)
		__builtin_memcpy(f->input + 16, f->final, 16);
	if ((type & ports) && !flow_take(frame, f->off, f->input + 32, 4))
		return 0;
	return type;
}

/* What of the frame is hashed goes to f->input; f is zero before. The one type, of `types`, that it
 * is hashed for; 0: it is not. */
FLOW_INLINE __u32 flow_classify(flow_frame *frame, struct flow *f, __u32 types)
{
	__u32 off = FLOW_ETH_LEN, ether;
	__u8 type[2];

	if (!flow_take(frame, 12, type, sizeof(type)))
		return 0;
	ether = (__u32)type[0] << 8 | type[1];
	for (int i = 0; i < FLOW_TAGS_MAX; i++) {
		if (ether != FLOW_VLAN && ether != FLOW_QINQ)
			break;
		if (!flow_take(frame, off + 2, type, sizeof(type)))
			return 0;
		ether = (__u32)type[0] << 8 | type[1];
		off += 4;
	}
	if (ether == FLOW_IPV4)
		return flow_ipv4(frame, f, types, off);
	if (ether == FLOW_IPV6)
		return flow_ipv6(frame, f, types, off);
	return 0;
}

#endif
