/*
 * A device in a test: session, lifecycle and two real workers, between a front-end's end of the
 * connection, a broker's end of the channel, and socket pairs for TAP queues. served_turn() does
 * what the control thread's loop does, until nothing is left to do. No privilege: TUNSETOFFLOAD is
 * answered here.
 */
#ifndef AIRLOCK_TESTS_SERVED_H
#define AIRLOCK_TESTS_SERVED_H

#include "tests/unit/device/stage.h"

#include <dirent.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "device/session.h"
#include "lib/tun.h"

#define PAIRS	   2
#define QUEUE_SIZE 256

static struct served {
	struct net_setup setup;
	struct orders orders;
	struct lifecycle lifecycle;
	struct session session;
	struct worker workers[PAIRS + 1]; /* the last has no thread: the control queue's */
	struct net_ctrl control;
	int answers, taps[PAIRS], wires[PAIRS];
	int peer, broker; /* the other ends */
	int over;	  /* what ended the connection, 0: it goes on */
	int fds;	  /* open before the connection */
	int files[2];	  /* guest memory: GPA_A and GPA_B */
	char *guest[2];
	unsigned long offloads; /* what the TAP was told last */
	bool tap_refuses;
	void (*scope)(bool inside); /* told when the device's own code begins and ends; or NULL */
} served;

/* In place of libc's: the TAP of a test is a socket. */
int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;

	(void)fd;
	va_start(ap, request);
	if (request == TUNSETOFFLOAD && !served.tap_refuses)
		served.offloads = va_arg(ap, unsigned long);
	va_end(ap);
	errno = EINVAL;
	return request == TUNSETOFFLOAD && !served.tap_refuses ? 0 : -1;
}

static inline int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static inline void workers_start(void)
{
	if (served.workers[0].thread)
		return;
	served.answers = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (unsigned int i = 0; i < PAIRS; i++)
		assert_int_equal(0, worker_start(&served.workers[i], i, served.answers));
	for (unsigned int i = 0; i < PAIRS; i++)
		while (!atomic_load(&served.workers[i].sealed))
			usleep(100);
	fd_drain(served.answers);
	assert_int_equal(0, worker_init(&served.workers[PAIRS], PAIRS, served.answers));
}

static inline int served_open(void **state)
{
	int pair[2];

	(void)state;
	workers_start();
	served.fds = open_fds();
	served.setup = (struct net_setup){ .pairs = PAIRS,
					   .queue_size = QUEUE_SIZE,
					   .tap_offloads = 0x7f,
					   .mtu = 1500,
					   .mac = { 2, 0, 0, 0, 0, 1 } };
	served.over = 0;
	served.tap_refuses = false;
	assert_int_equal(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
	orders_init(&served.orders, pair[0]);
	served.orders.phase = PHASE_SERVING;
	served.broker = pair[1];
	lifecycle_init(&served.lifecycle, &served.setup, &served.orders, served.workers);
	for (int i = 0; i < PAIRS; i++) {
		assert_int_equal(0,
				 socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC,
					    0, pair));
		served.taps[i] = served.workers[i].pair.tap = pair[0];
		served.wires[i] = pair[1];
		served.workers[i].pair.rx.held_len = 0;
	}
	net_ctrl_init(&served.control, &served.workers[PAIRS], &served.lifecycle, &served.setup,
		      served.taps[0]);
	served.session = (struct session){ .lifecycle = &served.lifecycle,
					   .setup = &served.setup,
					   .control = &served.control,
					   .orders = &served.orders,
					   .taps = served.taps };
	assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	session_init(&served.session, pair[0]);
	served.peer = pair[1];
	for (int i = 0; i < 2; i++) {
		served.files[i] = memory_file(REGION);
		served.guest[i] =
			mmap(NULL, REGION, PROT_READ | PROT_WRITE, MAP_SHARED, served.files[i], 0);
		assert_ptr_not_equal(MAP_FAILED, served.guest[i]);
	}
	return 0;
}

/* One round of what main.c does in turn(); false: nothing was left to do. */
static inline bool served_round(void)
{
	enum {
		CONTROL = 4
	};
	bool waiting = !lifecycle_idle(&served.lifecycle);
	struct pollfd fds[] = {
		{ .fd = served.answers, .events = POLLIN },
		{ .fd = served.over ? -1 : served.session.sock,
		  .events = session_events(&served.session) },
		{ .fd = served.over ? -1 : served.session.back.sock,
		  .events = back_events(&served.session.back) },
		{ .fd = served.over ? -1 : served.session.transfer.fd,
		  .events = transfer_events(&served.session.transfer) },
		[CONTROL] = { .fd = -1 },
		{ .fd = -1 },
	};
	int rc = 0;

	net_ctrl_poll(&served.control, &fds[CONTROL]);
	lifecycle_attach(&served.lifecycle);
	if (poll(fds, ARRAY_SIZE(fds), waiting ? 3000 : 0) <= 0) {
		assert_false(waiting); /* a worker that does not answer */
		return false;
	}
	if (fds[0].revents) {
		fd_drain(served.answers);
		rc = lifecycle_answers(&served.lifecycle);
		if (!served.over)
			session_notify(&served.session);
		rc = served.over ? 0 : session_answers(&served.session, rc);
	}
	if (!rc && fds[1].revents)
		rc = session_ready(&served.session, fds[1].revents);
	if (!rc && fds[2].revents)
		session_back(&served.session, fds[2].revents);
	if (!rc && fds[3].revents)
		rc = session_transfer(&served.session);
	net_ctrl_ready(&served.control, &fds[CONTROL]);
	if (rc)
		served.over = rc;
	return true;
}

static inline void served_turn(void)
{
	if (served.scope)
		served.scope(true);
	while (served_round())
		;
	if (served.scope)
		served.scope(false);
}

/* Ends the connection, and shows that nothing is left of it. */
static inline int served_close(void **state)
{
	(void)state;
	served.over = served.over ? served.over : -ECONNRESET;
	lifecycle_stop_all(&served.lifecycle);
	served_turn();
	assert_true(lifecycle_idle(&served.lifecycle));
	memory_free(served.lifecycle.memory);
	dirty_free(served.lifecycle.dirty);
	iotlb_free(served.lifecycle.iotlb);
	for (size_t i = 0; i < ARRAY_SIZE(served.lifecycle.vrings); i++) {
		fd_close(&served.lifecycle.vrings[i].kick);
		fd_close(&served.lifecycle.vrings[i].call);
		fd_close(&served.lifecycle.vrings[i].err);
	}
	fd_close(&served.lifecycle.log);
	fd_close_all(served.session.fds, served.session.nfds);
	fd_close(&served.session.sock);
	fd_close(&served.session.back.sock);
	fd_close(&served.session.transfer.fd);
	fd_close(&served.peer);
	fd_close(&served.orders.sock);
	fd_close(&served.broker);
	fd_close_all(served.taps, PAIRS);
	fd_close_all(served.wires, PAIRS);
	for (int i = 0; i < 2; i++)
		munmap(served.guest[i], REGION);
	fd_close_all(served.files, 2);
	assert_int_equal(served.fds, open_fds());
	return 0;
}

/* ---- the front-end's half ---- */

#define OK (VU_VERSION | VU_FLAG_NEED_REPLY)

/* Sends the first `len` bytes of a message with descriptors. */
static inline void say_raw(const void *bytes, size_t len, const int *fds, size_t nfds)
{
	assert_int_equal(len, fd_send(served.peer, bytes, len, fds, nfds));
}

static inline struct vu_message message(uint32_t request, uint32_t flags, uint32_t size)
{
	return (struct vu_message){ .head = { request, flags, size } };
}

static inline void say_fds(const struct vu_message *m, const int *fds, size_t nfds)
{
	say_raw(&m->head, sizeof(m->head) + m->head.size, fds, nfds);
	served_turn();
}

/* The answer: 1 and the message, 0 none there, -1 the connection is over. */
static inline int hear(struct vu_message *m)
{
	ssize_t n;

	*m = (struct vu_message){ 0 };
	n = recv(served.peer, &m->head, sizeof(m->head), MSG_DONTWAIT);
	if (n < 0)
		return served.over ? -1 : 0;
	assert_int_equal(sizeof(m->head), n);
	assert_int_equal(VU_VERSION | VU_FLAG_REPLY, m->head.flags);
	assert_true(m->head.size <= VU_PAYLOAD_MAX);
	if (m->head.size)
		assert_int_equal(m->head.size,
				 recv(served.peer, m->bytes, m->head.size, MSG_DONTWAIT));
	return 1;
}

/* What came of a message: the value of its REPLY_ACK, NOTHING, or CLOSED. */
#define NOTHING (-1)
#define CLOSED	(-2)
#define PAYLOAD (-3)

static inline int outcome(const struct vu_message *m, const int *fds, size_t nfds)
{
	struct vu_message answer;
	int heard;

	say_fds(m, fds, nfds);
	heard = hear(&answer);
	if (served.over)
		return CLOSED;
	if (!heard)
		return NOTHING;
	assert_int_equal(m->head.request, answer.head.request);
	return answer.head.size == 8 ? (int)answer.u64 : PAYLOAD;
}

static inline int tell_u64(uint32_t request, uint64_t value)
{
	struct vu_message m = message(request, OK, 8);

	m.u64 = value;
	return outcome(&m, NULL, 0);
}

static inline int tell_state(uint32_t request, uint32_t index, uint32_t num)
{
	struct vu_message m = message(request, OK, 8);

	m.state = (struct vu_vring_state){ index, num };
	return outcome(&m, NULL, 0);
}

/* KICK, CALL or ERR; -1: none. The descriptor stays the caller's. */
static inline int tell_fd(uint32_t request, uint32_t index, int fd)
{
	struct vu_message m = message(request, OK, 8);

	m.u64 = index | (fd < 0 ? VU_VRING_NOFD : 0);
	return outcome(&m, &fd, fd >= 0);
}

/* A fresh eventfd, whose only owner is the device afterwards. */
static inline int tell_event(uint32_t request, uint32_t index)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), rc = tell_fd(request, index, fd);

	fd_close(&fd);
	return rc;
}

static inline int tell_addr_flags(uint32_t index, uint64_t uva, uint32_t flags, uint64_t log)
{
	struct vu_message m = message(VU_SET_VRING_ADDR, OK, sizeof(m.addr));

	m.addr = (struct vu_vring_addr){ index, flags, uva, uva + USED_OFF, uva + AVAIL_OFF, log };
	return outcome(&m, NULL, 0);
}

static inline int tell_addr(uint32_t index, uint64_t uva)
{
	return tell_addr_flags(index, uva, 0, 0);
}

static inline int tell_table(void)
{
	struct vu_message m = message(VU_SET_MEM_TABLE, OK, 8 + 2 * sizeof(struct vu_mem_region));

	m.memory = (struct vu_mem_table){
		2, 0, { { GPA_A, REGION, UVA(GPA_A), 0 }, { GPA_B, REGION, UVA(GPA_B), 0 } }
	};
	return outcome(&m, served.files, 2);
}

static inline uint64_t ask_u64(uint32_t request)
{
	struct vu_message m = message(request, VU_VERSION, 0), answer;

	say_fds(&m, NULL, 0);
	assert_int_equal(1, hear(&answer));
	assert_int_equal(8, answer.head.size);
	return answer.u64;
}

/* GET_VRING_BASE: where the ring stopped, -1 the connection is over. */
static inline int64_t stop(uint32_t index)
{
	struct vu_message m = message(VU_GET_VRING_BASE, VU_VERSION, 8), answer;

	m.state.index = index;
	say_fds(&m, NULL, 0);
	if (hear(&answer) != 1)
		return -1;
	assert_int_equal(index, answer.state.index);
	return answer.state.num;
}

#define FEATURES (MODERN | MRG | BIT_ULL(VU_F_PROTOCOL_FEATURES))
#define PROTOCOL                                                                  \
	(BIT_ULL(VU_P_MQ) | BIT_ULL(VU_P_REPLY_ACK) | BIT_ULL(VU_P_CONFIG) |      \
	 BIT_ULL(VU_P_MEM_SLOTS) | BIT_ULL(VU_P_LOG_SHMFD) | BIT_ULL(VU_P_RARP) | \
	 BIT_ULL(VU_P_NET_MTU) | BIT_ULL(VU_P_RESET_DEVICE) | BIT_ULL(VU_P_STATUS))

static inline void negotiate_with(uint64_t features, uint64_t protocol)
{
	tell_u64(VU_SET_PROTOCOL_FEATURES, protocol);
	assert_int_equal(0, tell_u64(VU_SET_FEATURES, features));
}

static inline void negotiate(void)
{
	negotiate_with(FEATURES, PROTOCOL);
}

/* Where the rings of a pair lie: two rings each, in a region of their own. */
static inline uint64_t ring_uva(uint32_t ring)
{
	return UVA(RING_AT(ring % 2)) + ring / 2 * REGION;
}

/* Everything but the kick. */
static inline void configure(uint32_t ring, uint16_t base)
{
	struct driver *d = &stage.driver[ring % 2];
	char *area = served.guest[ring / 2] + (RING_AT(ring % 2) - GPA_A);

	*d = (struct driver){ 64, (void *)area, (void *)(area + AVAIL_OFF),
			      (void *)(area + USED_OFF), base };
	d->avail->idx = d->used->idx = base;
	assert_int_equal(0, tell_state(VU_SET_VRING_NUM, ring, 64));
	assert_int_equal(0, tell_state(VU_SET_VRING_BASE, ring, base));
	assert_int_equal(0, tell_addr(ring, ring_uva(ring)));
	assert_int_equal(0, tell_event(VU_SET_VRING_CALL, ring));
	assert_int_equal(0, tell_event(VU_SET_VRING_ERR, ring));
	assert_int_equal(0, tell_state(VU_SET_VRING_ENABLE, ring, 1));
}

static inline void start_ring(uint32_t ring)
{
	assert_int_equal(0, tell_event(VU_SET_VRING_KICK, ring));
	assert_int_equal(RING_RUNNING, served.lifecycle.vrings[ring].state);
}

/* Negotiated, with memory, and rings 0 and 1 running. */
static inline void bring_up(void)
{
	negotiate();
	assert_int_equal(0, tell_table());
	for (uint32_t ring = 0; ring < 2; ring++) {
		configure(ring, 0);
		start_ring(ring);
	}
}

/* The last event that reached the broker, -1 none; how often it was told of a TAP queue. */
static inline int last_event(void)
{
	struct channel_msg msg;
	size_t none = 0;
	int code = -1;

	while (channel_recv(served.broker, CHANNEL_BROKER, PHASE_SERVING, &msg, NULL, &none) == 1)
		if (msg.type == CHANNEL_EVENT)
			code = (int)msg.event.code;
	return code;
}

#endif
