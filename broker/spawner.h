/*
 * The spawner as the broker sees it: a process that creates confined devices on an order without
 * parameters and says how they ended. Everything else about a device was fixed before it was made.
 */
#ifndef AIRLOCK_BROKER_SPAWNER_H
#define AIRLOCK_BROKER_SPAWNER_H

#include <stdint.h>
#include <sys/types.h>

#include "broker/ids.h"
#include "broker/layer.h"
#include "broker/policies.h"
#include "broker/witness.h"

struct spawner;
struct stat;

/* What a spawner makes: programs that install these filters themselves, beneath which lies its
 * own. */
#define SPAWNER_FILTERS 2 /* as jail.h has room for */
struct spawner_kind {
	enum role own;
	size_t nfilters;
	enum role filters[SPAWNER_FILTERS];
};
extern const struct spawner_kind spawner_of_devices, spawner_of_transports;

struct spawner_options {
	const struct spawner_kind *kind;
	const struct ids *ids;
	const struct policies *policies;
	int exe_fd;	   /* borrowed: their program, O_PATH */
	const char **argv; /* its name and options, NULL at the end; --channel-fd and --filter-fd
			      are added by the spawner */
	unsigned allowed;  /* LAYER_BITs that may be missing */
};

enum spawner_news_type {
	SPAWNER_BORN,	/* exists, not yet confined: may be killed by pidfd from now on */
	SPAWNER_FAILED, /* did not get as far as its program; DIED follows */
	SPAWNER_DIED,	/* reaped; the last news of its serial */
	SPAWNER_SEEN	/* answer to spawner_inspect() */
};

struct spawner_news {
	enum spawner_news_type type;
	uint32_t serial;
	pid_t pid;		       /* BORN: as the host sees it, by the kernel's word */
	pid_t inner;		       /* BORN: as it sees itself, by its own word */
	int pidfd;		       /* BORN: the caller owns it; else -1 */
	int status;		       /* DIED: as of waitpid() */
	int error;		       /* FAILED: errno */
	const char *step;	       /* FAILED: static */
	const struct witness *witness; /* SEEN: the spawner's until the next call */
};

/* Needs root and one thread. Empties the caller's supplementary groups. The spawner confines itself
 * while its caller goes on. 0, -errno (logged; -ENOTSUP: a layer is missing). */
int spawner_begin(const struct spawner_options *options, struct spawner **out);
/* Waits until it has, 10 s at most, before anything else is asked of it; as spawner_begin(). */
int spawner_await(struct spawner *spawner);
/* To poll for reading: news, or the spawner's end. */
int spawner_fd(const struct spawner *spawner);
/* LAYER_BITs that devices go without. */
unsigned spawner_degraded(const struct spawner *spawner);
/* ABI of the Landlock rules that devices inherit; 0: none. */
unsigned spawner_landlock(const struct spawner *spawner);
/* Inodes of the broker's own namespaces, to compare a witness's with. */
const uint64_t *spawner_namespaces(const struct spawner *spawner);
/* What stat() says of the pid namespace in which devices are; all 0 where /proc does not show it.
 */
const struct stat *spawner_pids(const struct spawner *spawner);
/* Orders a device; channel is its end of the channel and stays the caller's (who closes it).
 * *serial names the device in all news. Never waits: 0, -EAGAIN, -errno. */
int spawner_spawn(struct spawner *spawner, int channel, uint32_t *serial);
/* Asks for a witness's account of a device of which BORN has come. pid: of that news. SEEN may come
 * after DIED, or, where no witness could be made, never. */
int spawner_inspect(struct spawner *spawner, uint32_t serial, pid_t pid);
/* 1 news, -EAGAIN none, 0 the spawner is gone and its devices with it, -EPROTO it broke the rules.
 * Never waits. */
int spawner_next(struct spawner *spawner, struct spawner_news *news);
/* Ends the spawner and all its devices, waits for neither; frees. NULL is fine. */
void spawner_stop(struct spawner *spawner);

#endif
