/*
 * Framing and rules of the broker–device channel. Runs in the broker's only thread and in the
 * device's control thread; the broker trusts nothing that comes up, so every message meets the
 * table below before any code looks at it.
 */
#include "lib/channel.h"

#include <errno.h>

#include "lib/fd.h"
#include "lib/util.h"

#define HEAD	  offsetof(struct channel_msg, serve)
#define IN(phase) (1u << (phase))
#define ALWAYS	  (IN(PHASE_WAITING) | IN(PHASE_SERVING) | IN(PHASE_ENDING))

static const struct channel_row {
	const char *name;
	size_t payload;
	size_t fds_min, fds_max;
	enum channel_end to;
	uint32_t phases; /* in which the receiver permits it; the broker's own view of its device's
			    phase */
} rows[CHANNEL_TYPES] = {
	[CHANNEL_SERVE] = { "SERVE", sizeof(struct channel_serve), 2, CHANNEL_FDS_MAX,
			    CHANNEL_DEVICE, IN(PHASE_WAITING) },
	[CHANNEL_STOP] = { "STOP", 0, 0, 0, CHANNEL_DEVICE, ALWAYS },
	[CHANNEL_ASK_STATS] = { "ASK_STATS", sizeof(struct channel_ask_stats), 0, 0, CHANNEL_DEVICE,
				ALWAYS },
	[CHANNEL_PING] = { "PING", 0, 0, 0, CHANNEL_DEVICE, ALWAYS },
	[CHANNEL_LINK] = { "LINK", sizeof(struct channel_link), 0, 0, CHANNEL_DEVICE,
			   IN(PHASE_SERVING) | IN(PHASE_ENDING) },
	[CHANNEL_BACKEND] = { "BACKEND", 0, 1, 1, CHANNEL_DEVICE,
			      IN(PHASE_SERVING) | IN(PHASE_ENDING) },
	[CHANNEL_READY] = { "READY", sizeof(struct channel_ready), 0, 0, CHANNEL_BROKER,
			    IN(PHASE_STARTING) },
	[CHANNEL_PONG] = { "PONG", 0, 0, 0, CHANNEL_BROKER, ALWAYS },
	[CHANNEL_STATS] = { "STATS", sizeof(struct channel_stats), 0, 0, CHANNEL_BROKER, ALWAYS },
	[CHANNEL_QUEUE] = { "QUEUE", sizeof(struct channel_queue), 0, 0, CHANNEL_BROKER,
			    IN(PHASE_SERVING) | IN(PHASE_ENDING) },
	[CHANNEL_STEER] = { "STEER", sizeof(struct channel_steer), 0, 0, CHANNEL_BROKER,
			    IN(PHASE_SERVING) | IN(PHASE_ENDING) },
	[CHANNEL_EVENT] = { "EVENT", sizeof(struct channel_event), 0, 0, CHANNEL_BROKER,
			    IN(PHASE_STARTING) | ALWAYS },
	[CHANNEL_STOPPED] = { "STOPPED", 0, 0, 0, CHANNEL_BROKER,
			      IN(PHASE_ENDING) | IN(PHASE_SERVING) },
};

const char *channel_name(uint16_t type)
{
	return type < CHANNEL_TYPES ? rows[type].name : "unknown";
}

int channel_send(int sock, struct channel_msg *msg, const int *fds, size_t nfds)
{
	size_t len = HEAD + rows[msg->type].payload;
	ssize_t n;

	msg->version = CHANNEL_VERSION;
	n = fd_send(sock, msg, len, fds, nfds);
	if (n < 0)
		return (int)n;
	return (size_t)n == len ? 0 : -EIO;
}

static bool message_permitted(const struct channel_msg *msg, size_t len, size_t nfds,
			      enum channel_end me, enum channel_phase phase)
{
	const struct channel_row *row;

	if (len < HEAD || msg->version != CHANNEL_VERSION || msg->type >= CHANNEL_TYPES)
		return false;
	row = &rows[msg->type];
	return row->to == me && len == HEAD + row->payload && nfds >= row->fds_min &&
	       nfds <= row->fds_max && (row->phases & IN(phase));
}

int channel_recv(int sock, enum channel_end me, enum channel_phase phase, struct channel_msg *msg,
		 int *fds, size_t *nfds)
{
	ssize_t n = fd_recv(sock, msg, sizeof(*msg), fds, nfds);

	if (n == -EMSGSIZE)
		return -EPROTO;
	if (n < 0)
		return (int)n;
	/* An empty packet is no message, whatever it carries. */
	if (n && message_permitted(msg, (size_t)n, *nfds, me, phase))
		return 1;
	fd_close_all(fds, *nfds);
	*nfds = 0;
	return n ? -EPROTO : 0;
}
