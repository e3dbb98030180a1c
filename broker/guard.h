/*
 * Source addresses of a guest's frames (--guard=mac,arp), enforced outside of the device by an eBPF
 * program where the TAP's frames enter the host. Opened while privileged; read and closed without:
 * what is left is a page of memory, and on kernels from 6.6 a descriptor whose end detaches the
 * program. On older kernels the program is switched off by the page, and stays with the interface
 * until that goes or another guard replaces it: so it also binds what an abnormal end left behind.
 */
#ifndef AIRLOCK_BROKER_GUARD_H
#define AIRLOCK_BROKER_GUARD_H

#include <stdint.h>

#define GUARD_MAC (1u << 0) /* frames under another source address are dropped */
#define GUARD_ARP (1u << 1) /* ARP and neighbour discovery that speak of another one, too */

struct guard;
struct guard_page;

/* "mac", "arp" or both, separated by a comma. 0 or -EINVAL. */
int guard_parse(const char *text, unsigned *wanted);
/* Needs CAP_BPF and CAP_NET_ADMIN (or CAP_SYS_ADMIN). 0, or -errno, which is logged; *out is NULL
 * then. */
int guard_open(unsigned wanted, int interface, const uint8_t mac[6], struct guard **out);
/* What it has dropped so far; NULL for no guard. No system call. */
const struct guard_page *guard_counts(const struct guard *guard);
/* NULL is fine. */
void guard_close(struct guard *guard);

#endif
