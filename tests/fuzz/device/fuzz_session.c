/*
 * Any stream of messages with descriptors, well formed or not, against session, requests,
 * lifecycle, memory and translations. The workers are played here, at once and in this thread, and
 * look at what a real one would use: no descriptor and no snapshot may go while a ring runs with
 * it. In the end nothing is left open.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/session.h"
#include "lib/fd.h"
#include "lib/tun.h"
#include "lib/util.h"
#include "lib/vhost_user_table.h"

#define PAIRS	2
#define OFFERED 0x29e23full /* protocol features */
#define KINDS	8
#define MEMORY	0x100000ull

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct worker workers[PAIRS + 1]; /* the last one is the control queue's */
static struct net_ctrl control;
static struct lifecycle lifecycle;
static struct session session;
static struct orders orders;
static struct net_setup setup;
static int taps[PAIRS], answers = -1, peer, far, over; /* far: end of kinds[4]'s channel */
static int kinds[KINDS] = { -1 }; /* descriptors of every kind, to be passed on */

static struct input {
	const uint8_t *at;
	size_t left;
} in;

static void require(bool condition)
{
	if (!condition)
		abort();
}

/* ---- in place of libc's and the workers' own ---- */

int ioctl(int fd, unsigned long request, ...)
{
	(void)fd;
	require(request == TUNSETOFFLOAD);
	return 0;
}

void queue_flush(struct queue *q)
{
	ring_publish(&q->ring);
}

/* net_ctrl.c is linked, but its ring is played like the others. */
int worker_kick_fd(const struct worker *w, unsigned int which)
{
	(void)w;
	(void)which;
	return -1;
}

void worker_kicked(struct worker *w, unsigned int which, short revents)
{
	(void)w;
	(void)which;
	(void)revents;
}

bool worker_obey(struct worker *w)
{
	(void)w;
	return false;
}

bool worker_turn(struct worker *w, unsigned int which, int (*run)(struct pair *))
{
	(void)w;
	(void)which;
	(void)run;
	return false;
}

static bool is_open(int fd)
{
	return fd < 0 || fcntl(fd, F_GETFD) >= 0;
}

/* What a running ring holds must be there. */
static void queue_check(const struct queue *q)
{
	unsigned int hint = 0;
	uint64_t len = 1;

	if (!q->running)
		return;
	require(is_open(q->fds.kick) && is_open(q->fds.call) && is_open(q->fds.err) &&
		is_open(q->fds.log));
	require(q->ring.mem->used);
	for (unsigned int i = 0; i < q->ring.mem->count; i++) /* faults if it is not mapped */
		*(volatile char *)memory_gpa(q->ring.mem, q->ring.mem->regions[i].gpa, &len, &hint);
	if (q->dirty)
		*(volatile char *)q->dirty->base;
	if (!q->ring.cfg.iotlb)
		return;
	require(q->ring.cfg.iotlb->used && q->ring.cfg.iotlb == lifecycle.iotlb);
	for (unsigned int i = 0; i < q->ring.cfg.iotlb->count; i++) {
		const struct iotlb_entry *e = &q->ring.cfg.iotlb->entries[i];

		require(e->first <= e->last && (!i || e[-1].last < e->first));
		*(volatile char *)e->host;
		*(volatile char *)(e->host + (e->last - e->first));
	}
}

/* As in worker.c: runs, or waits for a translation, or broke. */
static void queue_map(struct worker *w, unsigned int which)
{
	struct queue *q = &w->pair.queues[which];
	int rc = ring_map(&q->ring);

	q->running = !rc;
	q->stalled = rc == -EAGAIN;
	atomic_store(&q->refused, 0);
	atomic_store(&q->missed, q->stalled ? q->ring.miss : 0);
	if (rc && !q->stalled)
		atomic_store(&w->broken[which], -ESTALE);
}

/* A guest's buffer that leads nowhere yet, and the front-end's word that it never will. */
static void queue_turn(struct worker *w, unsigned int which)
{
	struct queue *q = &w->pair.queues[which];
	uint64_t refused = atomic_exchange(&q->refused, 0);

	if (!refused || refused != q->ring.miss || !(q->running || q->stalled))
		return;
	q->running = q->stalled = false;
	atomic_store(&w->broken[which], -EACCES);
	fd_signal(answers);
}

static void queue_update(struct queue *q, const struct worker_command *c)
{
	q->fds = c->fds;
	q->enabled = c->enabled;
	q->dirty = c->dirty;
	q->ring.log = c->log[c->which];
}

static void command_run(struct worker *w)
{
	struct worker_command *c = &w->command;
	struct queue *q = &w->pair.queues[c->which];

	c->result = 0;
	switch (c->order) {
	case WORKER_START:
		require(!q->running && !q->stalled);
		ring_init(&q->ring, &c->config[c->which], c->mem);
		queue_update(q, c);
		queue_map(w, c->which);
		break;
	case WORKER_STOP:
		q->running = q->stalled = false;
		c->base = ring_base(&q->ring);
		break;
	case WORKER_UPDATE:
		queue_update(q, c);
		break;
	case WORKER_MEMORY:
		for (unsigned int i = 0; i < 2; i++) {
			q = &w->pair.queues[i];
			if (!q->running && !q->stalled)
				continue;
			ring_move(&q->ring, &c->config[i], c->mem);
			q->ring.log = c->log[i];
			queue_map(w, i);
		}
		break;
	case WORKER_ANNOUNCE:
		break;
	}
}

int worker_post(struct worker *w)
{
	require(!mailbox_post(&w->box));
	return 0;
}

static void workers_turn(void)
{
	for (unsigned int i = 0; i <= PAIRS; i++) {
		if (mailbox_take(&workers[i].box)) {
			command_run(&workers[i]);
			mailbox_answer(&workers[i].box);
		}
		queue_turn(&workers[i], 0);
		queue_turn(&workers[i], 1);
	}
}

static void workers_check(void)
{
	for (unsigned int i = 0; i < 2 * PAIRS + 1; i++)
		queue_check(&workers[i / 2].pair.queues[i % 2]);
}

/* ---- the control thread's loop ---- */

static bool turn(void)
{
	struct pollfd fds[] = {
		{ .fd = answers, .events = POLLIN },
		{ .fd = over ? -1 : session.sock, .events = session_events(&session) },
		{ .fd = over ? -1 : session.back.sock, .events = back_events(&session.back) },
		{ .fd = over ? -1 : session.transfer.fd,
		  .events = transfer_events(&session.transfer) },
	};
	int rc = 0;

	workers_turn();
	if (poll(fds, ARRAY_SIZE(fds), 0) <= 0)
		return false;
	if (fds[0].revents) {
		fd_drain(answers);
		rc = lifecycle_answers(&lifecycle);
		session_notify(&session);
		rc = over ? 0 : session_answers(&session, rc);
	}
	if (!rc && fds[1].revents)
		rc = session_ready(&session, fds[1].revents);
	if (!rc && fds[2].revents)
		session_back(&session, fds[2].revents);
	if (!rc && fds[3].revents)
		rc = session_transfer(&session);
	over = over ? over : rc;
	workers_check();
	return true;
}

static void turns(void)
{
	char answer[4096];

	for (int i = 0; i < 1000; i++) {
		if (!turn() && recv(peer, answer, sizeof(answer), MSG_DONTWAIT) <= 0)
			return;
	}
	abort(); /* it never comes to rest */
}

/* ---- the front-end ---- */

static uint8_t take8(void)
{
	if (!in.left)
		return 0;
	in.left--;
	return *in.at++;
}

/* Small numbers, addresses within memory, and what breaks sums. */
static uint64_t take64(void)
{
	static const uint64_t values[] = {
		0,
		1,
		2,
		3,
		64,
		256,
		4096,
		0x8000,
		0xffff,
		0x10000,
		0x100,
		0x80008000,
		MEMORY,
		MEMORY - 1,
		MEMORY / 2,
		2 * MEMORY,
		3 * MEMORY,
		UINT32_MAX,
		INT64_MAX,
		UINT64_MAX,
		UINT64_MAX - 4095,
		MEMORY + 0x2000,
		MEMORY + 0x4000,
		MEMORY + 0x1000,
		MEMORY + 0x6000,
		MEMORY + 0x8000,
	};
	uint8_t b = take8();
	uint64_t v = 0;

	if (b < 0xc0)
		return values[b % ARRAY_SIZE(values)];
	for (int i = 0; i < (b & 7); i++)
		v = v << 8 | take8();
	return v;
}

static void fill_payload(struct vu_message *m)
{
	switch (m->head.request) {
	case VU_SET_FEATURES:
		m->u64 = net_features(&setup) & (take64() | BIT_ULL(VU_F_PROTOCOL_FEATURES));
		return;
	case VU_SET_PROTOCOL_FEATURES:
		m->u64 = OFFERED & ~take64();
		return;
	case VU_SET_VRING_ADDR:
		m->addr = (struct vu_vring_addr){ take8() & 7, take8() & 3, take64(),
						  take64(),    take64(),    take64() };
		return;
	case VU_SET_MEM_TABLE:
		m->memory.nregions = take8() % 10;
		for (int i = 0; i < VU_MEM_REGIONS_MAX; i++)
			m->memory.regions[i] = (struct vu_mem_region){ take64(), take64(), take64(),
								       take8() & 1 ? take64() : 0 };
		m->head.size = 8 + m->memory.nregions * 32;
		return;
	case VU_ADD_MEM_REG:
	case VU_REM_MEM_REG:
		m->single.region = (struct vu_mem_region){ take64(), take64(), take64(),
							   take8() & 1 ? take64() : 0 };
		return;
	case VU_GET_CONFIG:
	case VU_SET_CONFIG:
		m->config.offset = (uint32_t)take64();
		m->config.size = take8();
		m->head.size = 12 + m->config.size;
		return;
	case VU_SET_LOG_BASE:
		m->log = (struct vu_log){ take64(), take64() };
		return;
	case VU_SET_VRING_KICK:
	case VU_SET_VRING_CALL:
	case VU_SET_VRING_ERR:
		m->u64 = take8() & 0x107;
		if (take8() & 1)
			m->u64 |= VU_VRING_NOFD;
		return;
	case VU_IOTLB_MSG:
		m->iotlb = (struct vu_iotlb){ .iova = take64(),
					      .size = take64(),
					      .addr = take64(),
					      .perm = take8() & 7,
					      .type = take8() % 5 };
		return;
	case VU_SET_DEVICE_STATE_FD:
		m->transfer = (struct vu_transfer){ take8() & 3, take8() & 1 };
		return;
	default:
		m->state = (struct vu_vring_state){ take8() & 7, (uint32_t)take64() };
	}
}

/* Mostly as many descriptors as the request takes, mostly of the kind it wants. */
static size_t fill_fds(const struct vu_message *m, int fds[16])
{
	const struct vu_row *row = vu_row(m->head.request);
	uint8_t how = take8();
	size_t n = row ? row->min_fds : 0;
	bool memory = m->head.request == VU_SET_MEM_TABLE || m->head.request == VU_ADD_MEM_REG ||
		      m->head.request == VU_SET_LOG_BASE;

	if (m->head.request == VU_SET_MEM_TABLE)
		n = m->memory.nregions;
	else if (row && row->max_fds && !(m->u64 & VU_VRING_NOFD))
		n = 1;
	if (how & 0x80)
		n = how & 0xf;
	for (size_t i = 0; i < n; i++)
		fds[i] = kinds[how & 0x40 ? take8() % KINDS : memory ? 0 : 1];
	return n;
}

static void say(void)
{
	struct vu_message m = { .head = { take8() % 48, 9, 0 } };
	const struct vu_row *row = vu_row(m.head.request);
	uint8_t how = take8();
	size_t cut, len, n;
	int fds[16];

	m.head.size = row ? row->min_len : how & 63;
	fill_payload(&m);
	if (!(how & 0xf0))
		m.head.flags = take8();
	if (how == 0xff)
		m.head.size = (uint32_t)take64();
	n = fill_fds(&m, fds);
	len = sizeof(m.head) + min_of(m.head.size, (uint32_t)VU_PAYLOAD_MAX);
	cut = how & 8 ? take8() % len : 0; /* in two pieces */
	if (cut && fd_send(peer, &m.head, cut, fds, n) >= 0) {
		turns();
		n = 0;
	}
	fd_send(peer, (char *)&m.head + cut, len - cut, fds, n);
}

/* An answer to what was last asked over the back-end's channel. */
static void answer(uint8_t value)
{
	struct {
		struct vu_header head;
		char rest[64];
	} asked;
	struct {
		struct vu_header head;
		uint64_t value;
	} __attribute__((packed)) reply;

	if (recv(far, &asked, sizeof(asked), 0) < (ssize_t)sizeof(asked.head))
		return;
	reply.head = (struct vu_header){ asked.head.request, VU_VERSION | VU_FLAG_REPLY, 8 };
	reply.value = value & 1;
	send(far, &reply, sizeof(reply), 0);
}

static void step(void)
{
	uint8_t what = take8();

	if (what < 0xe0) {
		say();
	} else if (what < 0xe8) { /* the guest breaks a ring */
		unsigned int ring = (what & 7u) % (2 * PAIRS + 1);
		struct worker *w = &workers[ring / 2];

		if (w->pair.queues[ring % 2].running && (what & 4)) { /* or only misses */
			w->pair.queues[ring % 2].ring.miss = take64() | VU_ACCESS_RO;
			atomic_store(&w->pair.queues[ring % 2].missed,
				     w->pair.queues[ring % 2].ring.miss);
			fd_signal(answers);
		} else if (w->pair.queues[ring % 2].running) {
			w->pair.queues[ring % 2].running = false;
			atomic_store(&w->broken[ring % 2], -EINVAL);
			fd_signal(answers);
		}
	} else if (what < 0xf8) {
		size_t n = min_of((size_t)(what & 31), in.left);

		fd_send(peer, in.at, n, NULL, 0);
		in.at += n;
		in.left -= n;
	} else if (what < 0xfe) {
		answer(what);
	} else if (what == 0xff) {
		shutdown(peer, SHUT_WR);
	}
	turns();
}

static void set_up_once(void)
{
	int pair[2];

	signal(SIGPIPE, SIG_IGN);
	answers = eventfd(0, EFD_NONBLOCK);
	for (unsigned int i = 0; i <= PAIRS; i++)
		require(!mailbox_init(&workers[i].box, answers));
	kinds[0] = memfd_create("guest", MFD_CLOEXEC);
	require(!ftruncate(kinds[0], 4 * MEMORY));
	kinds[1] = eventfd(0, EFD_NONBLOCK);
	require(!pipe2(pair, O_NONBLOCK));
	kinds[2] = pair[0];
	kinds[3] = pair[1];
	require(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair));
	kinds[4] = pair[0];
	far = pair[1];
	kinds[5] = open("/", O_RDONLY | O_DIRECTORY);
	kinds[6] = open("/dev/null", O_RDWR);
	kinds[7] = memfd_create("small", MFD_CLOEXEC);
	require(!ftruncate(kinds[7], 100));
}

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 400; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void close_everything(void)
{
	over = over ? over : -ECONNRESET;
	lifecycle_stop_all(&lifecycle);
	turns();
	require(lifecycle_idle(&lifecycle) && !lifecycle_started(&lifecycle));
	memory_free(lifecycle.memory);
	dirty_free(lifecycle.dirty);
	iotlb_free(lifecycle.iotlb);
	for (size_t i = 0; i < ARRAY_SIZE(lifecycle.vrings); i++) {
		fd_close(&lifecycle.vrings[i].kick);
		fd_close(&lifecycle.vrings[i].call);
		fd_close(&lifecycle.vrings[i].err);
	}
	fd_close(&lifecycle.log);
	fd_close_all(session.fds, session.nfds);
	fd_close(&session.back.sock);
	fd_close(&session.transfer.fd);
	fd_close(&session.sock);
	fd_close(&peer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int pair[2], before;
	uint64_t drained[512];

	if (answers < 0)
		set_up_once();
	before = open_fds();
	in = (struct input){ data, size };
	over = 0;
	setup = (struct net_setup){
		.pairs = PAIRS, .queue_size = 256, .tap_offloads = 0x7f, .mtu = 1500
	};
	orders_init(&orders, -1);
	lifecycle_init(&lifecycle, &setup, &orders, workers);
	net_ctrl_init(&control, &workers[PAIRS], &lifecycle, &setup, -1);
	session = (struct session){ .lifecycle = &lifecycle,
				    .setup = &setup,
				    .control = &control,
				    .orders = &orders,
				    .taps = taps };
	require(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	session_init(&session, pair[0]);
	peer = pair[1];
	while (in.left && !over)
		step();
	close_everything();
	for (int i = 2; i <= 4; i += 2)
		while (read(kinds[i], drained, sizeof(drained)) > 0)
			;
	while (read(far, drained, sizeof(drained)) > 0)
		;
	require(open_fds() == before);
	return 0;
}
