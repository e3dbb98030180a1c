/*
 * The other direction of a vhost-user connection: what this back-end tells its front-end unasked,
 * over the socket that SET_BACKEND_REQ_FD brought. Control thread only; nothing here waits. At most
 * one message is under way; what comes meanwhile is only noted, so that a front-end which does not
 * listen costs a bit per ring and no memory.
 */
#ifndef AIRLOCK_DEVICE_BACKCHANNEL_H
#define AIRLOCK_DEVICE_BACKCHANNEL_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/channel.h"
#include "lib/vhost_user.h"

#define BACK_RINGS (2 * CHANNEL_PAIRS_MAX + 1)

struct backchannel {
	int sock;    /* owned; -1: the front-end has not given one */
	bool config; /* the configuration space has changed, and it was not said yet */
	bool calls[BACK_RINGS], errs[BACK_RINGS];
	/* Translations that a ring waits for, and whose lack has broken it: as struct ring.miss; 0
	   none. */
	uint64_t misses[BACK_RINGS], denied[BACK_RINGS];
	struct {
		uint32_t unsent; /* as in struct vu_message */
		struct vu_header head;
		union {
			struct vu_vring_state state;
			struct vu_iotlb iotlb;
		};
	} out;
	size_t out_len, out_sent, in_len;
	bool awaited;	  /* the front-end owes an answer */
	uint32_t ring;	  /* that `out` is about */
	uint64_t asked;	  /* the miss that it is about; 0: none, or it does not matter any more */
	uint64_t refused; /* the miss that the last answer said no to, of... */
	uint32_t refused_ring;
	bool quiet; /* every ring is stopped: nothing may be said ("Suspended device state") */
	unsigned char in[sizeof(struct vu_header) + sizeof(uint64_t)];
};

void back_init(struct backchannel *b);
/* Takes over a connected socket, in place of the one there was. What was noted stays so. */
void back_set(struct backchannel *b, int sock);
/* Whether anything may be said now; what is noted meanwhile goes out afterwards. */
void back_quiet(struct backchannel *b, bool quiet);
/* Note a message, and send it when there is a channel and nothing else is under way. */
void back_config(struct backchannel *b);
void back_call(struct backchannel *b, unsigned int ring);
void back_err(struct backchannel *b, unsigned int ring);
void back_miss(struct backchannel *b, unsigned int ring, uint64_t miss);
void back_denied(struct backchannel *b, unsigned int ring, uint64_t miss);
/* Translations have changed: whoever still waits will say so again. */
void back_forget_misses(struct backchannel *b);
/* The miss, and its ring, that the front-end has refused since this was last asked; 0 none. */
uint64_t back_refused(struct backchannel *b, unsigned int *ring);
/* What to poll the socket for. */
short back_events(const struct backchannel *b);
/* The socket is ready. A front-end that breaks the rules, or hangs up, loses the channel and
 * nothing else. */
void back_ready(struct backchannel *b, short revents);

#endif
