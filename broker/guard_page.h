/*
 * The page that guard.bpf.c counts into and guard.c reads and switches.
 */
#ifndef AIRLOCK_BROKER_GUARD_PAGE_H
#define AIRLOCK_BROKER_GUARD_PAGE_H

#include <linux/types.h>

struct guard_page {
	__u64 dropped_mac, dropped_arp, dropped_nd; /* frames */
	__u32 off; /* 1: everything passes, as if the program were not there */
	__u32 reserved;
};

#endif
