/*
 * Which system call killed a device: a process that a filter kills tells nothing but "SIGSYS". An
 * eBPF program on the kernel's signal_generate writes the refused call into a page, and the broker
 * reads that page when it reaps a device, by memory alone: it has dropped bpf(2) by then.
 *
 * From denial_home() on struct denial holds ONE descriptor (CLOEXEC), which keeps the program
 * attached, and one read-only mapping of a page. Nothing may close that descriptor for as long as
 * records are wanted. Its records are those of one uid, given as the initial user namespace numbers
 * it, in one pid namespace, and name processes as that namespace numbers them.
 */
#ifndef AIRLOCK_SECCOMP_DENIAL_H
#define AIRLOCK_SECCOMP_DENIAL_H

#include <stdint.h>
#include <sys/types.h>

struct denial;
struct stat;

struct denial_record {
	pid_t tgid; /* process and thread as they see themselves */
	pid_t tid;
	int nr;		  /* the refused call's number under `arch` */
	uint32_t arch;	  /* AUDIT_ARCH_ of linux/audit.h */
	uint64_t time_ns; /* CLOCK_MONOTONIC */
};

/*
 * Loads and attaches; needs CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN), at set-up only. -EPERM: not
 * privileged; -EOPNOTSUPP: the kernel lacks eBPF or the tracepoint; -ENOMEM and -EMFILE as usual.
 * On an error *out is NULL, and deaths stay unnamed.
 */
int denial_open(uid_t uid, struct denial **out);

/* Names the pid namespace, once: pids is what stat() says of a process's /proc/PID/ns/pid. Nothing
 * is recorded before. Needs what denial_open() does. 0, -ENOENT: pids is all 0, -errno: then
 * nothing ever will be. */
int denial_home(struct denial *d, const struct stat *pids);

/* The newest record of the process: 0, or -ENOENT. No system call, any thread. `d` may be NULL:
 * -ENOENT. */
int denial_find(const struct denial *d, pid_t tgid, struct denial_record *out);

/* Detaches, unmaps, frees. NULL is fine. */
void denial_close(struct denial *d);

/* The call's name on this machine, "?" for a number it does not know. From a constant table: no
 * system call, no malloc. */
const char *denial_syscall_name(int nr);

#endif
