/*
 * Calls that no device may make, each with arguments that would succeed or harm outside of a jail.
 * Shared by the test and the device that it makes misbehave.
 */
#ifndef AIRLOCK_TESTS_DENIED_CALLS_H
#define AIRLOCK_TESTS_DENIED_CALLS_H

#include <stdbool.h>
#include <sys/syscall.h>

#define DENIED_FIRST_OFFSET 128	 /* of configuration space */
#define DENIED_FIRST_LENGTH 1000 /* bytes of a frame */

#define DENIED_RW   3	 /* PROT_READ | PROT_WRITE */
#define DENIED_RWX  7	 /* and PROT_EXEC */
#define DENIED_ANON 0x22 /* MAP_PRIVATE | MAP_ANONYMOUS */

static const struct denied_call {
	const char *name; /* as the broker must say it */
	long nr;
	long args[6];
	bool worker; /* a worker may not, although the control thread may */
} denied_calls[] = {
	{ "getpid", SYS_getpid, { 0 }, false },
	{ "openat", SYS_openat, { -100, 0, 0 }, false },
	{ "socket", SYS_socket, { 1, 1, 0 }, false },
	{ "connect", SYS_connect, { 0 }, false },
	{ "execve", SYS_execve, { 0 }, false },
	{ "execveat", SYS_execveat, { 0 }, false },
	{ "clone", SYS_clone, { 17 }, false },
	{ "clone3", SYS_clone3, { 0 }, false },
	{ "kill", SYS_kill, { 0, 9 }, false },
	{ "tgkill", SYS_tgkill, { 1, 1, 9 }, false },
	{ "ptrace", SYS_ptrace, { 16, 1 }, false },
	{ "process_vm_readv", SYS_process_vm_readv, { 1 }, false },
	{ "io_uring_setup", SYS_io_uring_setup, { 1, 0 }, false },
	{ "bpf", SYS_bpf, { 0 }, false },
	{ "seccomp", SYS_seccomp, { 0 }, false },
	{ "prctl", SYS_prctl, { 4, 1 }, false },
	{ "mprotect", SYS_mprotect, { 0, 0, 5 }, false },
	{ "memfd_create", SYS_memfd_create, { 0, 0 }, false },
	{ "sendmsg", SYS_sendmsg, { 0 }, false },
	{ "dup", SYS_dup, { 0 }, false },
	{ "setuid", SYS_setuid, { 0 }, false },
	{ "unshare", SYS_unshare, { 0x10000000 }, false },
	{ "mmap", SYS_mmap, { 0, 4096, DENIED_RWX, DENIED_ANON, -1, 0 }, false },
	{ "mmap", SYS_mmap, { 0, 4096, DENIED_RW, DENIED_ANON, -1, 0 }, false },
	{ "ioctl", SYS_ioctl, { 3, 0x400454ca, 0 }, false },	    /* TUNSETIFF */
	{ "ioctl", SYS_ioctl, { 3, 0x400454cb, 1 }, false },	    /* TUNSETPERSIST */
	{ "ioctl", SYS_ioctl, { 3, 0x400454d9, 0 }, false },	    /* TUNSETQUEUE */
	{ "fcntl", SYS_fcntl, { 3, 4, 0 }, false },		    /* F_SETFL */
	{ "sendto", SYS_sendto, { 3, 0, 0, 0, 4096, 128 }, false }, /* with an address */
	/* the union is the boundary; a worker's own filter is depth */
	{ "recvmsg", SYS_recvmsg, { 0 }, true },
	{ "sendto", SYS_sendto, { 3, 0, 0, 0, 0, 0 }, true },
	{ "mmap", SYS_mmap, { 0, 4096, DENIED_RW, 0x4001, 3, 0 }, true },
	{ "close", SYS_close, { 99 }, true },
	{ "ioctl", SYS_ioctl, { 3, 0x400454d0, 0 }, true }, /* TUNSETOFFLOAD */
};

#endif
