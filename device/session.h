/*
 * One vhost-user connection: messages in, checked against the wire's table; replies out; deadlines.
 * Control thread only. Nothing here waits for the peer or for a worker: a request that needs a
 * worker leaves the session busy, and no further message is read until session_answers() has
 * finished it, so that requests take effect in the order they came.
 */
#ifndef AIRLOCK_DEVICE_SESSION_H
#define AIRLOCK_DEVICE_SESSION_H

#include "device/backchannel.h"
#include "device/lifecycle.h"
#include "device/net_ctrl.h"
#include "device/transfer.h"
#include "lib/clock.h"
#include "lib/vhost_user.h"

#define SESSION_FDS 16 /* more than any request takes: a surplus is seen, closed and refused */

struct session {
	int sock; /* owned, until the process ends */
	struct lifecycle *lifecycle;
	struct net_setup *setup;
	struct net_ctrl *control;
	struct orders *orders;
	bool require_sealed;
	int *taps; /* setup->pairs TAP queues */

	uint64_t protocol; /* negotiated protocol features */
	uint16_t mtu_max;  /* what the administrator gave; the front-end may ask for less */
	uint8_t status;	   /* of the device, as the front-end says */
	struct vu_message in, out;
	size_t in_len, out_len,
		out_sent; /* bytes of in (head included) received; of out to send, sent */
	int fds[SESSION_FDS];
	size_t nfds;
	bool busy;	  /* `in` waits for workers */
	int64_t deadline; /* ms, of the message that has begun or of the reply that is not taken; 0:
			     none */
	uint64_t requests;
	struct allowance offloads; /* changes of the TAP's by SET_FEATURES */
	struct backchannel back;
	uint32_t iotlb_changes; /* of the lifecycle's, as `back` knows */
	struct transfer transfer;
};

/* Takes over the connected socket. */
void session_init(struct session *s, int sock);
/* What to poll the socket for; 0: nothing but its end. */
short session_events(const struct session *s);
/* The socket is ready. 0; -errno: the connection is over (-ECONNRESET the peer went away). */
int session_ready(struct session *s, short revents);
/* Workers have answered, start result `rc`. As session_ready(). */
int session_answers(struct session *s, int rc);
/* Interrupts and breaks of rings without descriptors for them become messages. */
void session_notify(struct session *s);
/* The socket of the back-end's own messages is ready. */
void session_back(struct session *s, short revents);
/* The TAP's link and MTU, as the broker tells: the guest finds them in its configuration space. */
void session_link(struct session *s, bool up, uint32_t mtu);
/* The pipe of a state transfer is ready. As session_ready(). */
int session_transfer(struct session *s);
/* The deadline has passed. Always an error. */
int session_expired(struct session *s);

#endif
