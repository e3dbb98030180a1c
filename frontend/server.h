/*
 * A vfio-user server for one virtio-pci device: one client at a time, one message at a time, in
 * order. A register access that the device cannot complete at once keeps its message, and those
 * behind it, waiting; nothing else waits. The server's thread.
 *
 * When the client goes its memory and interrupts go with it; the device stays as it was, stopped,
 * and the next client's first access finds it so.
 */
#ifndef AIRLOCK_FRONTEND_SERVER_H
#define AIRLOCK_FRONTEND_SERVER_H

#include "frontend/airlock-frontend.h"
#include "frontend/dma.h"
#include "frontend/irq.h"
#include "frontend/migration.h"
#include "frontend/vfio_user.h"

struct server {
	struct airlock_transport *t;
	struct vfu_connection connection;
	struct dma dma;
	struct irq irq;
	struct migration migration;
	bool parked; /* stopped since the last client left */
	bool waits;  /* the message in hand is not done yet: */
	bool over;   /* what it waited for has come, with this result */
	int result;
	struct airlock_access access; /* the piece of a region access that is under way */
	uint64_t done;		      /* bytes of it, or writes of a WRITE_MULTI, done before */
	uint64_t mapping;	      /* address of the DMA_MAP in hand */
};

/* Before the transport exists: its options' `line` may be server_line() with the server. */
void server_init(struct server *s);
void server_line(void *server, bool level);
/* Takes over a connected socket. */
void server_attach(struct server *s, int sock);
void server_detach(struct server *s);
/* What to poll the socket for; 0: its end only. */
short server_events(const struct server *s);
/* The socket is ready, or the transport has been polled. -errno: the connection is over. */
int server_ready(struct server *s, short revents);
int server_go_on(struct server *s);
/* ms when the client has been too slow; 0: none. */
int64_t server_deadline(const struct server *s);

#endif
