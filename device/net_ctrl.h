/*
 * The network device's control queue (virtio 1.3, 5.1.6.5), for front-ends that pass it through.
 * Run by the control thread and not by a worker: commands are rare, what they change is the control
 * thread's (the TAP's offloads, the broker's queues), and no worker need stop for them. To
 * lifecycle.c it is one more ring, of a "worker" that has no thread: it is posted commands like the
 * others and obeys them in the control thread's next turn.
 */
#ifndef AIRLOCK_DEVICE_NET_CTRL_H
#define AIRLOCK_DEVICE_NET_CTRL_H

#include <poll.h>

#include "device/lifecycle.h"
#include "device/net_filter.h"
#include "lib/clock.h"
#include "lib/steering.h"

#define NET_CTRL_FDS	  2	/* to poll: its mailbox, its kick */
#define NET_CTRL_POLL_MS  10	/* without a kick descriptor it is looked at this often */
#define NET_CTRL_DATA_MAX 65536 /* bytes of a command behind class and command */
#define NET_CTRL_WORDS	  202	/* of 8 bytes: what was said on it, as it moves */
/* What a guest may switch off, and on again. */
#define NET_CTRL_OFFLOADS                                                      \
	(BIT_ULL(VIRTIO_NET_F_GUEST_CSUM) | BIT_ULL(VIRTIO_NET_F_GUEST_TSO4) | \
	 BIT_ULL(VIRTIO_NET_F_GUEST_TSO6) | BIT_ULL(VIRTIO_NET_F_GUEST_ECN) |  \
	 BIT_ULL(VIRTIO_NET_F_GUEST_USO4) | BIT_ULL(VIRTIO_NET_F_GUEST_USO6))

struct net_ctrl {
	struct worker *worker; /* without a thread */
	struct lifecycle *lifecycle;
	struct net_setup *setup;
	int tap;			/* borrowed: a queue for TUNSETOFFLOAD */
	uint8_t mac[6];			/* what the administrator gave; a guest may take another */
	struct steering_page *steering; /* NULL: the broker has none; see lib/steering.h */
	unsigned int steering_next;	/* which of its configurations to write next */
	struct steering_config rss;	/* what the guest said last; its hash is reported too */
	bool steer, steer_told; /* the page is in force: as it should be, as the broker knows */
	bool moved;		/* the driver came from another back-end, with its state */
	bool config_changed;	/* the configuration space, and the front-end was not told */
	struct net_filter filter;
	struct allowance offloads; /* changes of the TAP's by the guest */
	struct net_filter_box box; /* what the workers see of it */
	uint8_t data[NET_CTRL_DATA_MAX];
};

/* When a connection is served: everything passes, every pair is in use. */
void net_ctrl_init(struct net_ctrl *c, struct worker *worker, struct lifecycle *lifecycle,
		   struct net_setup *setup, int tap);
/* Receive-side scaling can be had, by writing this page. */
void net_ctrl_steering(struct net_ctrl *c, struct steering_page *page);
/* What to poll for; and whether its ring wants to be looked at without being asked. */
bool net_ctrl_poll(const struct net_ctrl *c, struct pollfd fds[NET_CTRL_FDS]);
/* Obeys lifecycle.c and serves the guest's commands, some at a time. True: there are more. */
bool net_ctrl_ready(struct net_ctrl *c, const struct pollfd fds[NET_CTRL_FDS]);
/* SET_FEATURES: without a control queue nothing that was ever said on one counts. */
void net_ctrl_features(struct net_ctrl *c, uint64_t features);
/* Tells the broker whether to steer, if it does not know. False: it does not listen now. */
bool net_ctrl_tell(struct net_ctrl *c);
/* Asks the guest to announce itself, where it can and its answer would be heard here. False: it is
 * somebody else's to do. */
bool net_ctrl_announce(struct net_ctrl *c);
/* Once for each change of the configuration space that the front-end is to hear of. */
bool net_ctrl_changed(struct net_ctrl *c);
/* Of these negotiated features, those in force. */
uint64_t net_ctrl_effective(const struct net_ctrl *c, uint64_t features);

/* What was said, for another back-end; and whether what another back-end saved, under these
 * features, can be gone on from here: 0 or -EINVAL. Then it can be loaded: 0, or -errno and nothing
 * has changed. While no ring runs. */
void net_ctrl_save(const struct net_ctrl *c, uint64_t words[NET_CTRL_WORDS]);
int net_ctrl_check(const struct net_ctrl *c, const uint64_t words[NET_CTRL_WORDS],
		   uint64_t features);
int net_ctrl_load(struct net_ctrl *c, const uint64_t words[NET_CTRL_WORDS]);
/* Puts filter and hashing in force; 0, or -errno: the TAP refuses the offloads. */
int net_ctrl_restore(struct net_ctrl *c, const struct net_filter *filter,
		     const struct steering_config *rss);

/* One turn of the ring, as net_tx_run(). */
int net_ctrl_run(struct pair *p);

#endif
