/*
 * The device of puppet.h: airlock-device with five of its functions wrapped by the linker (--wrap).
 * Runs where the real one runs, behind the same jail and, but for START_PASS, under the same
 * filters. Never installed.
 */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "device/options.h"
#include "device/session.h"
#include "lib/clock.h"
#include "lib/fd.h"
#include "seccomp/install.h"
#include "tests/support/puppet.h"

void __real_options_parse(struct options *o, int argc, char **argv);
void __wrap_options_parse(struct options *o, int argc, char **argv);
int __real_orders_ready(struct orders *o, const struct channel_ready *ready);
int __wrap_orders_ready(struct orders *o, const struct channel_ready *ready);
int __real_session_ready(struct session *s, short revents);
int __wrap_session_ready(struct session *s, short revents);
bool __real_mailbox_take(struct mailbox *box);
bool __wrap_mailbox_take(struct mailbox *box);
int __real_install_set(const struct sock_filter *insns, unsigned short count);
int __wrap_install_set(const struct sock_filter *insns, unsigned short count);

enum {
	NOTHING,
	ASKED,
	DONE
};

struct misdeed {
	void (*act)(struct orders *o); /* NULL: silence */
	bool ready;		       /* says READY before */
	struct packet {
		uint16_t version, type;
		size_t len;
	} packet;
};

static const struct misdeed misdeeds[STARTS];

static uint8_t page[4096] __attribute__((aligned(4096)));
static struct puppet_order order; /* whole ones only */
static struct puppet_answer answer;
static atomic_int errand; /* of a worker */
static enum puppet_start start;

/* ---- orders ---- */

#ifdef __x86_64__
static long call_i386(long nr, const long *a)
{
	/* rbx may be taken by the compiler */
	__asm__ volatile("xchgq %%rbx, %[b]\n\tint $0x80\n\txchgq %%rbx, %[b]"
			 : "+a"(nr)
			 : [b] "r"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4])
			 : "memory", "r8", "r9", "r10", "r11");
	return nr;
}

static long call_vsyscall(void)
{
	return ((long (*)(void *))0xffffffffff600400)(NULL);
}
#else
static long call_i386(long nr, const long *a)
{
	(void)nr, (void)a;
	return -ENOSYS;
}

static long call_vsyscall(void)
{
	return -ENOSYS;
}
#endif

static long call(long nr, const long *a)
{
	long rc = syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);

	return rc < 0 ? -errno : rc;
}

static void spin(void)
{
	for (volatile int i = 0;; i++)
		;
}

static long obey_once(const long *a)
{
	int fd = (int)a[1];

	switch ((enum puppet_verb)order.verb) {
	case PUPPET_CALL:
		return call(order.nr, a);
	case PUPPET_X32:
		return call(order.nr | 0x40000000, a);
	case PUPPET_I386:
		return call_i386(order.nr, a);
	case PUPPET_VSYSCALL:
		return call_vsyscall();
	case PUPPET_SPIN:
		spin();
		return 0;
	case PUPPET_TRAP:
		__builtin_trap();
	case PUPPET_RUN:
		((void (*)(void))(uintptr_t)page)();
		return 0;
	case PUPPET_WRITE:
		*(volatile char *)(a[0] ? (uintptr_t)a[0] : (uintptr_t)&spin) = 0;
		return 0;
	case PUPPET_FILL:
		memset((void *)a[0], (int)a[2], (size_t)a[1]);
		return 0;
	case PUPPET_PASS:
		return fd_send((int)a[0], "x", 1, &fd, 1);
	}
	return -EINVAL;
}

static void obey(void)
{
	const uint8_t *second_half = page + PUPPET_MEMORY / 2;
	long args[6];

	memcpy(page, order.memory, sizeof(order.memory));
	if (order.inner)
		memcpy(page + order.inner - 1, &second_half, sizeof(second_half));
	for (int i = 0; i < 6; i++) {
		args[i] = order.args[i];
		if (order.pointers & 1u << i)
			args[i] += (long)(uintptr_t)page;
		if (order.code & 1u << i)
			args[i] = (long)((uintptr_t)&spin & ~UINT64_C(4095));
	}
	for (uint32_t i = 0; i < order.times; i++)
		answer.result = obey_once(args);
	memcpy(answer.memory, page, sizeof(answer.memory));
}

static void by_a_worker(const struct worker *w)
{
	const struct timespec ms = { .tv_nsec = 1000000 };

	atomic_store(&errand, ASKED);
	fd_signal(w->box.command_fd);
	while (atomic_load(&errand) != DONE)
		ppoll(NULL, 0, &ms, NULL);
	atomic_store(&errand, NOTHING);
}

bool __wrap_mailbox_take(struct mailbox *box)
{
	if (atomic_load(&errand) != ASKED)
		return __real_mailbox_take(box);
	fd_drain(box->command_fd);
	obey();
	atomic_store(&errand, DONE);
	return false;
}

int __wrap_session_ready(struct session *s, short revents)
{
	int came = -1;
	size_t nfds = 1;
	ssize_t n = fd_recv(s->sock, &order, sizeof(order), &came, &nfds);

	(void)revents;
	if (n != sizeof(order))
		return n == -EAGAIN ? 0 : -ECONNRESET;
	if (order.told)
		memcpy(order.memory, &came, sizeof(came));
	for (int i = 0; i < 6; i++)
		if (order.came & 1u << i)
			order.args[i] = came;
	if (order.worker)
		by_a_worker(&s->lifecycle->workers[0]);
	else
		obey();
	send(s->sock, &answer, sizeof(answer), MSG_NOSIGNAL);
	return 0;
}

/* ---- before there is a front-end ---- */

void __wrap_options_parse(struct options *o, int argc, char **argv)
{
	const uint8_t *mac = o->net.mac;
	uint32_t until, now = (uint32_t)(clock_ms() / 100);

	__real_options_parse(o, argc, argv);
	until = (uint32_t)mac[3] << 16 | (uint32_t)mac[4] << 8 | mac[5];
	if (mac[0] == PUPPET_MAC && mac[2] < STARTS && ((until - now) & 0xffffff) < 0x800000)
		start = (enum puppet_start)mac[2];
}

int __wrap_install_set(const struct sock_filter *insns, unsigned short count)
{
	return start == START_PASS ? 0 : __real_install_set(insns, count);
}

/* ---- what it does instead of READY, or after it ---- */

static void packet_say(struct orders *o)
{
	const struct packet *p = &misdeeds[start].packet;
	struct channel_msg *msg = (struct channel_msg *)(void *)page;

	msg->version = p->version;
	msg->type = p->type;
	send(o->sock, page, p->len, MSG_NOSIGNAL);
}

static void channel_close(struct orders *o)
{
	fd_close(&o->sock);
}

static void leave_well(struct orders *o)
{
	(void)o;
	_exit(0);
}

static void leave_badly(struct orders *o)
{
	(void)o;
	_exit(3);
}

static void crash(struct orders *o)
{
	(void)o;
	__builtin_trap();
}

static void call_denied(struct orders *o)
{
	(void)o;
	syscall(SYS_getppid);
}

static void events_flood(struct orders *o)
{
	struct channel_msg msg = { .type = CHANNEL_EVENT, .event = { .code = UINT32_MAX } };
	struct pollfd p = { .fd = o->sock, .events = POLLOUT };

	while (ppoll(&p, 1, NULL, NULL) == 1 && !(p.revents & POLLHUP))
		channel_send(o->sock, &msg, NULL, 0);
}

static void descriptor_pass(struct orders *o)
{
	struct channel_msg msg = { .type = CHANNEL_READY };

	channel_send(o->sock, &msg, &o->sock, 1);
}

#define SAY(type, len) .act = packet_say, .packet = { CHANNEL_VERSION, type, len }

static const struct misdeed misdeeds[STARTS] = {
	[START_EMPTY] = { SAY(0, 0) },
	[START_SHORT] = { SAY(CHANNEL_READY, 23) },
	[START_LONG] = { SAY(CHANNEL_READY, 25) },
	[START_HUGE] = { SAY(CHANNEL_READY, 4096) },
	[START_VERSION] = { .act = packet_say, .packet = { 2, CHANNEL_READY, 24 } },
	[START_TYPE] = { SAY(CHANNEL_TYPES, 24) },
	[START_ORDER] = { SAY(CHANNEL_STOP, 8) },
	[START_PONG] = { SAY(CHANNEL_PONG, 8) },
	[START_QUEUE] = { SAY(CHANNEL_QUEUE, 16) },
	[START_STATS] = { SAY(CHANNEL_STATS, 8 + sizeof(struct channel_stats)) },
	[START_STOPPED] = { SAY(CHANNEL_STOPPED, 8) },
	[START_CLOSE] = { .act = channel_close },
	[START_EXIT] = { .act = leave_well },
	[START_FAIL] = { .act = leave_badly },
	[START_CRASH] = { .act = crash },
	[START_DENIED] = { .act = call_denied },
	[START_FLOOD] = { .act = events_flood },
	[START_PASS] = { .act = descriptor_pass },
	[START_THEN_READY] = { .ready = true, SAY(CHANNEL_READY, 24) },
	[START_THEN_PONG] = { .ready = true, SAY(CHANNEL_PONG, 8) },
	[START_THEN_QUEUE] = { .ready = true, SAY(CHANNEL_QUEUE, 16) },
	[START_THEN_STOPPED] = { .ready = true, SAY(CHANNEL_STOPPED, 8) },
	[START_THEN_CLOSE] = { .ready = true, .act = channel_close },
	[START_THEN_EXIT] = { .ready = true, .act = leave_well },
	[START_THEN_CRASH] = { .ready = true, .act = crash },
	[START_THEN_FLOOD] = { .ready = true, .act = events_flood },
};

int __wrap_orders_ready(struct orders *o, const struct channel_ready *ready)
{
	const struct misdeed *m = &misdeeds[start];
	int rc = 0;

	if (start == START_WELL || m->ready)
		rc = __real_orders_ready(o, ready);
	if (start == START_WELL)
		return rc;
	if (m->act)
		m->act(o);
	for (;;) /* the filter has no pause() */
		ppoll(NULL, 0, NULL, NULL);
}
