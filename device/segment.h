/*
 * A frame as one segment of a flow: what its headers say, and whether it continues those before it.
 * Frames that do can be handed over as one with segments (GSO), and what cuts that up again makes
 * of it exactly the frames that came: everything else stays alone. The rules are those by which
 * kernels join what they receive (GRO), and where GRO takes a frame that would come out changed
 * (an IPv4 identification that stands still), ours are stricter.
 */
#ifndef AIRLOCK_DEVICE_SEGMENT_H
#define AIRLOCK_DEVICE_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "device/net.h"

#define SEGMENT_HEADERS 114   /* Ethernet, IPv6, TCP with as many options as there can be */
#define SEGMENT_JOINED	65535 /* bytes of a joined frame, its headers included */

enum segment_kind {
	SEGMENT_TCP4,
	SEGMENT_TCP6,
	SEGMENT_UDP4,
	SEGMENT_UDP6,
	SEGMENT_KINDS
};

/* Private memory. From kind on only once segment_read() said true. */
struct segment {
	struct net_frame frame; /* its header checked by net_hdr_check() */
	enum segment_kind kind;
	uint32_t head_len, payload; /* bytes of all headers, and behind them: at least 1 */
	uint8_t ending;		    /* its FIN and PSH: nothing may follow them */
};

/* TUN_F_* a TAP takes -> set of kinds (1 << kind) that it cuts up. */
unsigned int segment_kinds(uint32_t tap_offloads);
/* Reads the headers in s->frame.bytes. False: the frame is nothing that could be joined. */
bool segment_read(struct segment *s);
/* Does s come next behind `n` frames with `payload` bytes together, of which `first` was the first?
 */
bool segment_follows(const struct segment *s, const struct segment *first, unsigned int n,
		     uint32_t payload);
/* Are its checksums those that cutting up would give it? Complete ones are compared with the
 * payload, pieces of guest memory that may still change: then a guest lied to itself. */
bool segment_sound(const struct segment *s, const struct iovec *payload);
/* Makes of the first of several frames with `payload` bytes together the headers of all; `ending`
 * is the last one's. */
void segment_join(struct segment *first, uint8_t ending, uint32_t payload);

#endif
