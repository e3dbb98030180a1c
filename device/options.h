/*
 * The command line of airlock-device: descriptors and numbers, never paths. Read before anything is
 * confined, from whoever launched it (the broker, or an administrator's own jail).
 */
#ifndef AIRLOCK_DEVICE_OPTIONS_H
#define AIRLOCK_DEVICE_OPTIONS_H

#include "device/net.h"
#include "lib/channel.h"

enum filter_role {
	FILTER_CONTROL,
	FILTER_WORKER,
	FILTER_ROLES
};

struct options {
	struct net_setup net;
	int socket; /* -1: the channel brings it */
	int channel;
	int taps[CHANNEL_PAIRS_MAX];
	unsigned int ntaps;
	int filters[FILTER_ROLES];
	bool require_sealed;
	bool coalesce;
	unsigned int poll_us;			/* how long workers look on after work */
	uint16_t cpus[CHANNEL_PAIRS_MAX];	/* of the workers, by turns */
	unsigned int ncpus;			/* 0: any */
	bool without_seccomp, without_landlock; /* named in --allow-degraded */
};

/* Exits with 2 and one line that names the option at fault; with 0 for --help and --version. */
void options_parse(struct options *o, int argc, char **argv);
/* Closes every descriptor from 3 up that no option names: some jailers leave theirs open. 0 or
 * -errno. */
int options_close_others(const struct options *o);

#endif
