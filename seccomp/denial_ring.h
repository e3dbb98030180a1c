/*
 * The page that denial.bpf.c writes and denial.c reads. The writer takes a slot by adding to
 * `head`, sets the slot's `turn` to 0, fills it, and sets `turn` to the head it was given plus one;
 * a reader that sees the same non-zero turn before and after its copy has read one whole record.
 * Before the first, the reader has written the pid namespace, once.
 */
#ifndef AIRLOCK_SECCOMP_DENIAL_RING_H
#define AIRLOCK_SECCOMP_DENIAL_RING_H

#include <linux/types.h>

#define DENIAL_SLOTS 64 /* a power of two */

struct denial_slot {
	__u64 turn;
	__u64 time; /* CLOCK_MONOTONIC, ns */
	__u32 tgid; /* both as the home namespace numbers them */
	__u32 tid;
	__s32 nr;
	__u32 arch; /* AUDIT_ARCH_ */
};

struct denial_ring {
	__u64 home_dev; /* in the kernel's encoding */
	__u64 home_ino; /* 0: none, and no process is in it */
	__u64 head;
	struct denial_slot slots[DENIAL_SLOTS];
};

#endif
