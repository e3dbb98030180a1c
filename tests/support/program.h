/*
 * A child process under test: started with arguments and inherited descriptors, its stderr kept in
 * a file that can be searched while it runs, ended and waited for with deadlines. Owned by one
 * thread. Every child dies with the test.
 */
#ifndef AIRLOCK_TESTS_PROGRAM_H
#define AIRLOCK_TESTS_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROGRAM_ARGS_MAX 48
#define PROGRAM_FDS_MAX	 16

struct sock_fprog;

struct program {
	pid_t pid; /* 0: none */
	int pidfd;
	int log;    /* memfd: the child's stderr */
	int output; /* memfd: its stdout */
	int ready;  /* our end of the readiness pipe, -1 without */
};

/* Where the programs under test lie: $AIRLOCK_BIN, else build/bin. */
const char *program_path(const char *name, char *path, size_t room);
/* The directory of the policies and compiled filters that belong to them. */
const char *program_policies(char *path, size_t room);
/* Of these the filter of a role ("worker"), opened; or -errno. */
int program_filter(const char *role);

struct program_start {
	const char *args[PROGRAM_ARGS_MAX]; /* args[0]: name or path; NULL ends them */
	const char *env[8];		    /* the child's whole environment; NULL: inherited */
	int fds[PROGRAM_FDS_MAX];	    /* become 3, 4 ... in the child; `nfds` of them */
	size_t nfds;
	bool listen_pid; /* set LISTEN_FDS to nfds and LISTEN_PID to the child, as systemd does */
	bool ready;	 /* append --ready-fd */
	/* A filter whose notifications the test answers, from execve on; or NULL. */
	const struct sock_fprog *told;
	int64_t *executed; /* clock_ns() of its execve, in memory that is shared; or NULL */
};
/* The descriptor in the child by which those are heard. */
int program_told(const struct program_start *start);
int program_run(struct program *p, const struct program_start *start);
/* Waits for READY=1: 0, -ETIMEDOUT, -ECHILD when it ended before. */
int program_wait_ready(struct program *p, int timeout_ms);
bool program_running(const struct program *p);
int program_signal(const struct program *p, int signal);
/* Waits for the end: the exit code, 128 + signal, or -ETIMEDOUT. Releases everything but the log.
 */
int program_wait(struct program *p, int timeout_ms);
/* SIGTERM, then program_wait(); SIGKILL when that is not heard. */
int program_stop(struct program *p);
/* True as soon as stderr holds the words (a POSIX extended regular expression). */
bool program_says(const struct program *p, const char *words, int timeout_ms);
/* True when a text holds the words. */
bool program_matches(const char *text, const char *words);
/* Everything from stderr or stdout so far, to be freed. */
char *program_text(int file);
/* Shows stderr so far on ours, as comments, since stdout may be TAP. */
void program_show(const struct program *p);
void program_free(struct program *p);

#endif
