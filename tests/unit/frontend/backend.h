/*
 * A vhost-user back-end that does as its script says: answers, refuses, hangs, is slow, speaks
 * nonsense or vanishes at a chosen request. It moves no frame; it remembers what it was told. One
 * thread of its own, which holds `busy` while it handles a request. Tests go through the functions
 * at the end, which hold it too; what they look at directly stands still: the answer to the last
 * request has come, or whoever looks has had `busy` since (backend_sync()).
 */
#ifndef AIRLOCK_TESTS_BACKEND_H
#define AIRLOCK_TESTS_BACKEND_H

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/util.h"
#include "lib/vhost_user.h"
#include "lib/vhost_user_table.h"
#include "lib/virtio.h"

#define BACKEND_RINGS 8
#define BACKEND_LOG   2048

enum trick {
	ANSWER,
	REFUSE,	  /* REPLY_ACK says no; an answer with payload is empty */
	HANG,	  /* no answer, ever */
	VANISH,	  /* the connection ends */
	NONSENSE, /* another request's answer */
	SLOW	  /* an answer after slow_ms */
};

struct backend_ring {
	int kick, call, err;
	bool enabled, started;
	uint32_t base;
	uint16_t size;
	struct vu_vring_addr addr;
};

struct backend {
	pthread_t thread;
	pthread_mutex_t busy;
	int wake, leave; /* eventfds */
	atomic_int next; /* a connection that waits to be served; -1 none */
	atomic_int sock, channel;
	atomic_bool down; /* nobody listens */
	atomic_uint handled, connections;
	int slow_ms;
	uint64_t features, protocol, rings, slots;
	uint8_t config[256];
	uint32_t config_size;
	/* The script: at the `nth` (from 1) request of this number. */
	uint32_t trick_at;
	unsigned int trick_nth;
	enum trick trick;
	unsigned int seen;
	/* What it was told, since backend_forget(). */
	struct {
		uint32_t request;
		uint64_t value; /* u64, or index | num << 32 */
	} log[BACKEND_LOG];
	unsigned int nlog;
	uint64_t acked;
	struct backend_ring ring[BACKEND_RINGS];
	struct vu_mem_region region[64];
	unsigned int nregions;
	uint32_t stop_at; /* what GET_VRING_BASE answers */
};

static inline void backend_ring_forget(struct backend *b, unsigned int i)
{
	fd_close(&b->ring[i].kick);
	b->ring[i].started = b->ring[i].enabled = false;
}

static inline void backend_hang_up(struct backend *b)
{
	int sock = atomic_exchange(&b->sock, -1), channel = atomic_exchange(&b->channel, -1);

	fd_close(&sock);
	fd_close(&channel);
	for (unsigned int i = 0; i < BACKEND_RINGS; i++) {
		backend_ring_forget(b, i);
		fd_close(&b->ring[i].call);
		fd_close(&b->ring[i].err);
	}
	b->nregions = 0;
}

static inline bool backend_receive(int sock, void *buf, size_t len, int *fds, size_t *nfds)
{
	size_t have = 0, room = *nfds;

	*nfds = 0;
	while (have < len) {
		size_t more = room - *nfds;
		struct pollfd p = { .fd = sock, .events = POLLIN };
		ssize_t n = fd_recv(sock, (char *)buf + have, len - have, fds ? fds + *nfds : NULL,
				    &more);

		if (n == -EAGAIN) {
			poll(&p, 1, 1000);
			continue;
		}
		if (n <= 0)
			return false;
		*nfds += more;
		have += (size_t)n;
	}
	return true;
}

static inline void backend_note(struct backend *b, const struct vu_message *m)
{
	uint64_t value = m->head.size == 8 ? m->u64 : m->head.size ? (uint32_t)m->u64 : 0;

	if (b->nlog < BACKEND_LOG) {
		b->log[b->nlog].request = m->head.request;
		b->log[b->nlog++].value = value;
	}
}

static inline void backend_take_fd(int *slot, int *fds, size_t nfds)
{
	fd_close(slot);
	if (nfds)
		*slot = fd_take(&fds[0]);
}

/* True: the answer in m has a payload. */
static inline bool backend_serve(struct backend *b, struct vu_message *m, int *fds, size_t nfds)
{
	unsigned int i = (unsigned int)(m->u64 & 0xff) % BACKEND_RINGS;

	switch (m->head.request) {
	case VU_GET_FEATURES:
		m->u64 = b->features;
		break;
	case VU_GET_PROTOCOL_FEATURES:
		m->u64 = b->protocol;
		break;
	case VU_GET_QUEUE_NUM:
		m->u64 = b->rings;
		break;
	case VU_GET_MAX_MEM_SLOTS:
		m->u64 = b->slots;
		break;
	case VU_SET_FEATURES:
		b->acked = m->u64;
		return false;
	case VU_SET_BACKEND_REQ_FD:
		atomic_store(&b->channel, fd_take(&fds[0]));
		return false;
	case VU_SET_VRING_NUM:
		b->ring[i].size = (uint16_t)m->state.num;
		return false;
	case VU_SET_VRING_BASE:
		b->ring[i].base = m->state.num;
		return false;
	case VU_SET_VRING_ADDR:
		b->ring[i].addr = m->addr;
		return false;
	case VU_SET_VRING_CALL:
		backend_take_fd(&b->ring[i].call, fds, nfds);
		return false;
	case VU_SET_VRING_ERR:
		backend_take_fd(&b->ring[i].err, fds, nfds);
		return false;
	case VU_SET_VRING_KICK:
		backend_take_fd(&b->ring[i].kick, fds, nfds);
		b->ring[i].started = true;
		return false;
	case VU_SET_VRING_ENABLE:
		b->ring[i].enabled = m->state.num;
		return false;
	case VU_GET_VRING_BASE:
		backend_ring_forget(b, i);
		m->state.num = b->stop_at;
		return true;
	case VU_SET_MEM_TABLE:
		b->nregions = m->memory.nregions;
		memcpy(b->region, m->memory.regions, sizeof(m->memory.regions));
		return false;
	case VU_ADD_MEM_REG:
		b->region[b->nregions++] = m->single.region;
		return false;
	case VU_REM_MEM_REG:
		for (unsigned int k = 0; k < b->nregions; k++)
			if (b->region[k].guest_addr == m->single.region.guest_addr)
				b->region[k] = b->region[--b->nregions];
		return false;
	case VU_GET_CONFIG:
		if (m->config.offset + m->config.size > b->config_size) {
			m->head.size = 0;
			return true;
		}
		memcpy(m->config.bytes, b->config + m->config.offset, m->config.size);
		return true;
	case VU_SET_CONFIG:
		memcpy(b->config + m->config.offset, m->config.bytes, m->config.size);
		return false;
	default:
		return false;
	}
	m->head.size = 8;
	return true;
}

/* False: the connection is over. */
static inline bool backend_turn(struct backend *b)
{
	int sock = atomic_load(&b->sock);
	struct vu_message m;
	int fds[16];
	size_t nfds = ARRAY_SIZE(fds), none = 0;
	bool payload, wanted;
	enum trick trick = ANSWER;

	if (!backend_receive(sock, &m.head, sizeof(m.head), fds, &nfds) ||
	    (m.head.size && !backend_receive(sock, m.bytes, m.head.size, NULL, &none)))
		return false;
	backend_note(b, &m);
	wanted = m.head.flags & VU_FLAG_NEED_REPLY;
	if (m.head.request == b->trick_at && ++b->seen == b->trick_nth)
		trick = b->trick;
	if (trick == VANISH || trick == HANG) {
		fd_close_all(fds, nfds);
		return trick == HANG;
	}
	if (trick == SLOW) {
		pthread_mutex_unlock(&b->busy);
		poll(NULL, 0, b->slow_ms);
		pthread_mutex_lock(&b->busy);
	}
	payload = backend_serve(b, &m, fds, nfds);
	fd_close_all(fds, nfds);
	if (trick == NONSENSE)
		m.head.request += 1;
	m.head.flags = VU_VERSION | VU_FLAG_REPLY;
	if (trick == REFUSE && payload)
		m.head.size = 0;
	if (!payload) {
		m.head.size = 8;
		m.u64 = trick == REFUSE;
	}
	if (payload || wanted)
		fd_send(sock, &m.head, sizeof(m.head) + m.head.size, NULL, 0);
	return true;
}

static inline void *backend_main(void *opaque)
{
	struct backend *b = opaque;

	for (;;) {
		struct pollfd fds[] = { { .fd = b->leave, .events = POLLIN },
					{ .fd = b->wake, .events = POLLIN },
					{ .fd = atomic_load(&b->sock), .events = POLLIN } };

		poll(fds, 3, -1);
		if (fds[0].revents)
			return NULL;
		pthread_mutex_lock(&b->busy);
		if (fds[1].revents) {
			fd_drain(b->wake);
			backend_hang_up(b);
			atomic_store(&b->sock, atomic_exchange(&b->next, -1));
		} else if (fds[2].revents && !backend_turn(b)) {
			backend_hang_up(b);
		}
		atomic_fetch_add(&b->handled, 1);
		pthread_mutex_unlock(&b->busy);
	}
}

static inline void backend_sync(struct backend *b)
{
	pthread_mutex_lock(&b->busy);
	pthread_mutex_unlock(&b->busy);
}

/* airlock_ops.connect */
static inline int backend_connect(void *opaque)
{
	struct backend *b = opaque;
	int ends[2], unserved;

	if (atomic_load(&b->down))
		return -ECONNREFUSED;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends))
		return -errno;
	atomic_fetch_add(&b->connections, 1);
	unserved = atomic_exchange(&b->next, ends[1]);
	fd_close(&unserved);
	fd_signal(b->wake);
	return ends[0];
}

#define BACKEND_PROTOCOL                                                          \
	(BIT_ULL(VU_P_MQ) | BIT_ULL(VU_P_REPLY_ACK) | BIT_ULL(VU_P_BACKEND_REQ) | \
	 BIT_ULL(VU_P_CONFIG) | BIT_ULL(VU_P_RESET_DEVICE) | BIT_ULL(VU_P_MEM_SLOTS))

/* Everything offered, nothing played. Started by backend_start(). */
static inline void backend_init(struct backend *b)
{
	memset(b, 0, sizeof(*b));
	b->next = b->sock = b->channel = -1;
	b->features = BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VU_F_PROTOCOL_FEATURES) |
		      BIT_ULL(VIRTIO_F_EVENT_IDX) | BIT_ULL(VIRTIO_NET_F_MAC);
	b->protocol = BACKEND_PROTOCOL;
	b->rings = BACKEND_RINGS;
	b->slots = 32;
	b->config_size = 64;
	for (unsigned int i = 0; i < sizeof(b->config); i++)
		b->config[i] = (uint8_t)(0xa0 + i);
	for (unsigned int i = 0; i < BACKEND_RINGS; i++)
		b->ring[i].kick = b->ring[i].call = b->ring[i].err = -1;
}

static inline void backend_start(struct backend *b)
{
	pthread_mutex_init(&b->busy, NULL);
	b->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	b->leave = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_create(&b->thread, NULL, backend_main, b);
}

static inline void backend_end(struct backend *b)
{
	fd_signal(b->leave);
	pthread_join(b->thread, NULL);
	backend_hang_up(b);
	fd_close(&b->wake);
	fd_close(&b->leave);
}

/* ---- what tests do to it and ask of it, while it runs */

/* From outside: the connection ends, as when the process dies. */
static inline void backend_die(struct backend *b)
{
	pthread_mutex_lock(&b->busy);
	if (atomic_load(&b->sock) >= 0)
		shutdown(atomic_load(&b->sock), SHUT_RDWR);
	pthread_mutex_unlock(&b->busy);
}

static inline void backend_forget(struct backend *b)
{
	pthread_mutex_lock(&b->busy);
	b->nlog = 0;
	pthread_mutex_unlock(&b->busy);
}

static inline void backend_script(struct backend *b, uint32_t request, unsigned int nth,
				  enum trick trick)
{
	pthread_mutex_lock(&b->busy);
	b->trick_at = request;
	b->trick_nth = nth;
	b->trick = trick;
	b->seen = 0;
	pthread_mutex_unlock(&b->busy);
}

/* A ring as it is now. */
static inline struct backend_ring backend_ring(struct backend *b, unsigned int i)
{
	struct backend_ring ring;

	pthread_mutex_lock(&b->busy);
	ring = b->ring[i];
	pthread_mutex_unlock(&b->busy);
	return ring;
}

/* Signals a ring's `call` or `err`. */
static inline void backend_signal(struct backend *b, const int *slot)
{
	pthread_mutex_lock(&b->busy);
	fd_signal(*slot);
	pthread_mutex_unlock(&b->busy);
}

/* A message without payload on the channel. */
static inline bool backend_say(struct backend *b, const struct vu_header *head)
{
	bool said;

	pthread_mutex_lock(&b->busy);
	said = write(atomic_load(&b->channel), head, sizeof(*head)) == sizeof(*head);
	pthread_mutex_unlock(&b->busy);
	return said;
}

/* How often a request came. */
static inline unsigned int backend_count(struct backend *b, uint32_t request)
{
	unsigned int n = 0;

	pthread_mutex_lock(&b->busy);
	for (unsigned int i = 0; i < b->nlog; i++)
		n += b->log[i].request == request;
	pthread_mutex_unlock(&b->busy);
	return n;
}

/* "NUM BASE ADDR ..." of what was asked, without what only looks. */
static inline const char *backend_story(struct backend *b)
{
	static char text[4096];
	size_t at = 0;

	text[0] = 0;
	pthread_mutex_lock(&b->busy);
	for (unsigned int i = 0; i < b->nlog; i++) {
		const char *name = vu_name(b->log[i].request);

		if (b->log[i].request == VU_GET_FEATURES)
			continue;
		if (!strncmp(name, "SET_VRING_", 10))
			name += 10;
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", at ? " " : "", name);
	}
	pthread_mutex_unlock(&b->busy);
	return text;
}

#endif
