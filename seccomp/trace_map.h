/*
 * What trace.bpf.c counts and trace.c collects: one entry a thread, role, call and set of
 * arguments. A thread runs on one CPU at a time and only its own entries are touched by it, so that
 * a plain increment counts exactly.
 */
#ifndef AIRLOCK_SECCOMP_TRACE_MAP_H
#define AIRLOCK_SECCOMP_TRACE_MAP_H

#include <linux/types.h>

#define TRACE_NUMBERS 1024  /* system calls whose arguments can be asked for */
#define TRACE_ENTRIES 65536 /* of the counting map */
#define TRACE_THREADS 32768 /* followed at a time */

enum trace_outcome {
	TRACE_MADE,   /* passed every filter */
	TRACE_SIGNAL, /* refused: kill-process, trap, or kill-thread of a last thread */
	TRACE_ERRNO,  /* refused: an errno, or answered by a supervisor */
	TRACE_THREAD, /* refused: kill-thread, others live on */
};

struct trace_key {
	__u32 thread;  /* a number of our own: the kernel's come again */
	__u32 pid;     /* the kernel's, which finds the thread as long as it lives */
	char role[16]; /* the thread's name at the time */
	__s32 nr;
	__u8 filters; /* seccomp filters in force, at most 255 */
	__u8 outcome;
	__u8 foreign; /* made through another architecture's entry: i386 on x86_64, arm on aarch64
		       */
	__u8 pad;
	__u64 args[6]; /* those asked for, else 0 */
};

struct trace_value {
	__u64 count;
	__u64 first[6]; /* all the arguments of the first of these calls */
	__u32 tid;	/* both as the loader's pid namespace numbers them */
	__u32 tgid;
};

struct trace_thread {
	__u32 thread, pid, tid, tgid; /* as above */
	__u32 in_call;		      /* has passed sys_enter, or its refusal has been counted */
};

#endif
