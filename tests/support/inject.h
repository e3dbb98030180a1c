/*
 * A program one of whose system calls fails: it runs, with all its children, under a filter that
 * hands calls to the test (seccomp_unotify(2)), which lets the kernel run them or answers with an
 * error in its place. The filter is one more on every process of the program; theirs go on to
 * count. Owned by one thread; needs root.
 */
#ifndef AIRLOCK_TESTS_INJECT_H
#define AIRLOCK_TESTS_INJECT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/support/program.h"

#define INJECT_PROCESSES_MAX 32

/* A call: the number-th that a process makes, from 1; processes are numbered from the program on in
 * the order of their births, by pid: where nobody else has any. */
struct inject_call {
	int nr;
	unsigned process, number;
};

struct inject_plan {
	struct inject_call call; /* nr -1: none fails, and every call is seen */
	int error;		 /* that it fails with */
	/* Told of each call that is seen, before it runs; may be NULL. */
	void (*see)(void *arg, unsigned process, int nr, uint64_t first_argument);
	void *arg;
};

struct injected {
	struct program program;
	struct inject_plan plan;
	int listener;
	bool failed; /* the call came to pass */
	unsigned processes;
	pid_t pid[INJECT_PROCESSES_MAX];
	unsigned calls[INJECT_PROCESSES_MAX]; /* made so far */
};

enum inject_event {
	INJECT_READY,  /* it said READY=1 */
	INJECT_ENDED,  /* program_wait() has its code */
	INJECT_SILENT, /* nothing for as long as that */
};

/* 0 or -errno. Ends with inject_free(), which kills what is left. */
int inject_run(struct injected *in, const struct program_start *start,
	       const struct inject_plan *plan);
/* Answers calls until one of these comes. */
enum inject_event inject_serve(struct injected *in, int timeout_ms);
void inject_free(struct injected *in);

#endif
