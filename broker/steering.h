/*
 * Receive-side scaling at the TAP: the eBPF program that chooses queues, and the page that tells it
 * how (lib/steering.h). Opened while privileged; afterwards only memory and one ioctl are needed.
 * Owner: the broker's only thread.
 */
#ifndef AIRLOCK_BROKER_STEERING_H
#define AIRLOCK_BROKER_STEERING_H

#include <stdbool.h>

struct steering_page;

struct steering {
	int program; /* owned; -1: this host cannot steer, the others do nothing */
	int map;     /* owned; devices get duplicates, to write the page by */
	struct steering_page *page;
};

#define STEERING_NONE        \
	{                    \
		-1, -1, NULL \
	}

/* Needs CAP_BPF (or CAP_SYS_ADMIN). 0 or -errno: s is STEERING_NONE then. */
int steering_open(struct steering *s);
/* Attaches the program to the TAP, by any of its queues, or takes it away. 0 or -errno. */
int steering_set(const struct steering *s, int queue, bool on);
/* The queue of this pair is at this index of the TAP's; -1: detached. */
void steering_slot(const struct steering *s, unsigned pair, int index);
/* Nothing of what a device wrote is left. */
void steering_wipe(const struct steering *s);
void steering_close(struct steering *s);

#endif
