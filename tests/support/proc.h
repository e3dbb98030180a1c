/*
 * What /proc tells about a process from outside. Needs root for processes that are not dumpable.
 * Stateless; any thread. Counts and numbers are -errno on failure.
 */
#ifndef AIRLOCK_TESTS_PROC_H
#define AIRLOCK_TESTS_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The value of a field of /proc/PID/status ("CapEff"), without the blanks around it. */
int proc_status(pid_t pid, const char *field, char *value, size_t room);
/* The same of one thread. */
int proc_thread_status(pid_t pid, pid_t tid, const char *field, char *value, size_t room);
int proc_count_fds(pid_t pid);
int proc_count_maps(pid_t pid);
/* Thread ids, at most `room`; how many there are. */
int proc_threads(pid_t pid, pid_t *tids, size_t room);
/* What a descriptor points to ("socket:[1]", "/dev/net/tun"); 0 or -errno. */
int proc_fd_target(pid_t pid, int fd, char *target, size_t room);
/* Every kind of namespace, by its name in /proc/PID/ns. */
#define PROC_NAMESPACES 7
extern const char *const proc_namespaces[PROC_NAMESPACES];
/* True when the two processes are in the same namespace of this kind ("net"). */
bool proc_same_namespace(pid_t a, pid_t b, const char *kind);
/* Soft limit of a row of /proc/PID/limits, e.g. "Max core file size". */
long proc_limit(pid_t pid, const char *row);
/* A whole file below /proc/PID, terminated; its length. */
ssize_t proc_read(pid_t pid, const char *file, char *buf, size_t room);
/* Private bytes (clean and dirty) of smaps_rollup. */
long proc_private(pid_t pid);
/* CPU time used, nanoseconds. */
long long proc_cpu_ns(pid_t pid);
/* Times that any thread was put to sleep so far: each was a wake-up. */
long proc_wakeups(pid_t pid);
bool proc_alive(pid_t pid);
pid_t proc_parent(pid_t pid);
/* The process and all that descend from it, zombies too. */
int proc_count_family(pid_t pid);

#endif
