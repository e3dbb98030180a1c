/*
 * A vhost-user front-end's connection: sends any message, well formed or not, and hears answers
 * with a deadline. It shares the wire numbers with the device and nothing else. Results: 0 done,
 * PEER_REFUSED the back-end said no (REPLY_ACK), -ECONNRESET it closed the connection, -ETIMEDOUT,
 * -EPROTO an answer that fits no request. Owned by one thread.
 */
#ifndef AIRLOCK_TESTS_PEER_H
#define AIRLOCK_TESTS_PEER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/vhost_user.h"

#define PEER_REFUSED	1
#define PEER_TIMEOUT_MS 6000 /* longer than any deadline of the back-end's */

struct peer {
	int sock;
	int timeout_ms;
	uint64_t offered, offered_protocol; /* what the back-end has */
	uint64_t features, protocol;	    /* what was acknowledged */
	bool need_reply;		    /* ask for an answer to everything that may have one */
	pthread_mutex_t *lock; /* where two threads share it: held from request to answer */
};

/* All three take ownership of nothing but what they open. peer_adopt owns `sock` from then on. */
int peer_connect(struct peer *peer, const char *path);
void peer_adopt(struct peer *peer, int sock);
void peer_close(struct peer *peer);

/* A listening socket for a back-end that connects (--client), and its next connection. */
int peer_listen(const char *path);
int peer_accept(struct peer *peer, int listener, int timeout_ms);

/* Any bytes with any descriptors, whole within the deadline. */
int peer_send_raw(struct peer *peer, const void *bytes, size_t len, const int *fds, size_t nfds);
/* A message: header of these flags, then the payload. */
int peer_send(struct peer *peer, uint32_t request, uint32_t flags, const void *payload,
	      uint32_t len, const int *fds, size_t nfds);
/* The next message from the back-end. */
int peer_recv(struct peer *peer, struct vu_message *msg);

/* A request without an answer of its own; asks for REPLY_ACK where negotiated. */
int peer_tell(struct peer *peer, uint32_t request, const void *payload, uint32_t len,
	      const int *fds, size_t nfds);
int peer_tell_u64(struct peer *peer, uint32_t request, uint64_t value);
int peer_tell_state(struct peer *peer, uint32_t request, uint32_t index, uint32_t num);
/* KICK, CALL or ERR; fd -1: the NOFD bit. */
int peer_tell_event(struct peer *peer, uint32_t request, uint32_t index, int fd);
/* A request with an answer; *reply holds it. */
int peer_ask(struct peer *peer, uint32_t request, const void *payload, uint32_t len,
	     struct vu_message *reply);
int peer_ask_u64(struct peer *peer, uint32_t request, uint64_t *value);

/* SET_OWNER, features and protocol features, as QEMU does; -ENOTSUP where a wanted bit is not
 * offered. virtio's features are only noted: SET_FEATURES comes when the driver is ready. */
int peer_negotiate(struct peer *peer, uint64_t features, uint64_t protocol);

/* SET_BACKEND_REQ_FD: *channel is our end, the caller's from then on; -1 on failure. */
int peer_open_channel(struct peer *peer, int *channel);

/* Waits until all that was sent has been handled (a GET_FEATURES there and back). */
int peer_sync(struct peer *peer);
/* True when the back-end closes the connection in time; answers on the way are thrown away. */
bool peer_closed(struct peer *peer, int timeout_ms);

#endif
