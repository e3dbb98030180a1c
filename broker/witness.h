/*
 * What the kernel says of one device process, read from /proc by a short-lived child of the
 * spawner that shares nothing with the device. Plain data of fixed size: it crosses the order
 * socket as it stands.
 */
#ifndef AIRLOCK_BROKER_WITNESS_H
#define AIRLOCK_BROKER_WITNESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "broker/layer.h"

#define WITNESS_THREADS_MAX 260
#define WITNESS_FDS_MAX	    1024
#define WITNESS_LIMITS	    16 /* RLIM_NLIMITS */
#define WITNESS_COMM	    16

struct witness_credentials {
	uint32_t known;		 /* 0: could not be read, and nothing here means anything */
	uint32_t uid[4], gid[4]; /* real, effective, saved, file system */
	uint32_t groups;	 /* how many */
	uint32_t no_new_privs;
	uint64_t inheritable, permitted, effective, bounding, ambient;
	uint32_t seccomp, filters; /* mode (2: filter) and how many are stacked */
};

struct witness_thread {
	int32_t tid; /* as the host sees it */
	uint32_t seccomp, filters, no_new_privs;
	char comm[WITNESS_COMM];
};

enum witness_kind {
	WITNESS_OTHER,
	WITNESS_SOCKET,
	WITNESS_TAP,
	WITNESS_EVENTFD,
	WITNESS_ANON,	/* another descriptor without a file behind it */
	WITNESS_MEMORY, /* a file in memory (memfd) */
	WITNESS_FILE
};

struct witness_fd {
	uint32_t fd;
	uint32_t kind; /* enum witness_kind */
	uint64_t inode;
};

struct witness {
	int32_t pid;   /* as the host sees it */
	int32_t error; /* 0, or -errno of the first thing that could not be read */
	struct witness_credentials process, broker;
	uint64_t namespaces[LAYER_NAMESPACES]; /* inodes, 0 unread */
	uint32_t mounts;		       /* in its mount namespace */
	uint32_t root_read_only, root_empty, root_tmpfs;
	uint32_t limits_known;
	uint64_t limits[WITNESS_LIMITS][2]; /* soft, hard; RLIM_INFINITY as is */
	uint32_t nthreads, nfds;	    /* found; those beyond the room are not listed */
	struct witness_thread threads[WITNESS_THREADS_MAX];
	struct witness_fd fds[WITNESS_FDS_MAX];
};

/* Descriptors of the witness's own: the host's /proc, any socket, any memory file. */
struct witness_view {
	int proc, socket, memory;
};

/* pid, broker: as the host numbers them. Fills *w; no allocation. */
void witness_read(const struct witness_view *view, pid_t pid, pid_t broker, struct witness *w);

#endif
