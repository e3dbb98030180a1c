/*
 * Telling whoever started the broker that it serves or ends: --ready-fd and systemd's
 * NOTIFY_SOCKET.
 */
#ifndef AIRLOCK_BROKER_NOTIFY_H
#define AIRLOCK_BROKER_NOTIFY_H

struct notify {
	int ready_fd;  /* owned, -1 none; closed once it has been written */
	int socket_fd; /* owned, -1 none; connected to systemd */
};

/* Takes ready_fd, connects to NOTIFY_SOCKET (path or @abstract) where the environment names one and
 * removes it there. A socket that cannot be reached is logged and does without. */
void notify_open(struct notify *notify, int ready_fd);
/* READY=1, once. */
void notify_ready(struct notify *notify);
/* STOPPING=1. */
void notify_stopping(struct notify *notify);
void notify_close(struct notify *notify);

#endif
