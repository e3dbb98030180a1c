/*
 * airlock-device: one vhost-user-net connection, served from inside a jail. This file is the
 * control thread: it confines the process, waits for its connection, then listens to broker,
 * front-end and workers until one of them ends. It opens nothing, and from the moment the filters
 * are on it has nothing left but what it holds.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/confine.h"
#include "device/options.h"
#include "device/session.h"
#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/steering.h"
#include "lib/tun.h"
#include "lib/util.h"
#include "seccomp/install.h"

enum {
	EXIT_ORDERLY,
	EXIT_FAILED,
	EXIT_USAGE,
	EXIT_SILENT
};

/* Static: nothing is allocated once the jail is closed, and untouched pages cost nothing. */
static struct worker workers[LIFECYCLE_UNITS];
static struct sock_filter filters[FILTER_ROLES][INSTALL_MAX];
static struct lifecycle lifecycle;
static struct net_ctrl control;
static struct session session;
static struct orders orders;
static struct options options;
static int answers = -1;  /* every worker signals it */
static bool control_busy; /* the control queue has more commands than a turn takes */
static bool ending;	  /* rings are being stopped; then the process ends */

/* Steps of the start, as numbers for EVENT_START_FAILED. */
enum step {
	STEP_IDENTITY = 1,
	STEP_CONFINE,
	STEP_FILTER_CONTROL,
	STEP_FILTER_WORKER,
	STEP_THREAD,
	STEP_READY
};

static _Noreturn void start_failed(enum step step, int error)
{
	static const struct {
		int exit;
		const char *words;
	} steps[] = {
		[STEP_IDENTITY] = { EXIT_USAGE, "has uid 0, group 0 or a capability: start it as "
						"an unprivileged user without any" },
		[STEP_CONFINE] = { EXIT_FAILED, "closing descriptors, not dumpable, no_new_privs, "
						"Landlock, limits" },
		[STEP_FILTER_CONTROL] = { EXIT_USAGE, "--filter-fd=control: no compiled filter" },
		[STEP_FILTER_WORKER] = { EXIT_USAGE, "--filter-fd=worker: no compiled filter" },
		[STEP_THREAD] = { EXIT_FAILED, "creating threads" },
		[STEP_READY] = { EXIT_FAILED, "the broker's channel" },
	};

	orders_event(&orders, EVENT_START_FAILED, step, error);
	die(steps[step].exit, "%s (error %d)", steps[step].words, -error);
}

static void must(enum step step, int rc)
{
	if (rc)
		start_failed(step, rc);
}

static unsigned short filter_load(enum filter_role role, enum step step)
{
	int n = options.filters[role] < 0
			? 0
			: install_load(options.filters[role], filters[role], INSTALL_MAX);

	if (n < 0)
		start_failed(step, n);
	fd_close(&options.filters[role]);
	return (unsigned short)n;
}

/* Every thread seals itself, and none serves before all have. */
static void workers_start(unsigned short filter_len)
{
	answers = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	must(STEP_THREAD, answers < 0 ? -errno : 0);
	for (unsigned int i = 0; i < options.net.pairs; i++) {
		workers[i].filter = filter_len ? filters[FILTER_WORKER] : NULL;
		workers[i].filter_len = filter_len;
		workers[i].poll_ns = options.poll_us * INT64_C(1000);
		workers[i].cpu = options.ncpus ? options.cpus[i % options.ncpus] : -1;
		prctl(PR_SET_NAME, "airlock-worker"); /* inherited: the thread has no prctl */
		must(STEP_THREAD, worker_start(&workers[i], i, answers));
	}
	prctl(PR_SET_NAME, "airlock-control");
	must(STEP_THREAD, worker_init(&workers[options.net.pairs], options.net.pairs, answers));
	for (unsigned int i = 0; i < options.net.pairs; i++) {
		struct pollfd p = { .fd = answers, .events = POLLIN };
		int sealed;

		/* Acquire: pairs with the release in worker_main(). */
		while (!(sealed = atomic_load_explicit(&workers[i].sealed, memory_order_acquire)))
			if (ppoll(&p, 1, NULL, NULL) > 0)
				fd_drain(answers);
		must(STEP_FILTER_WORKER, sealed > 0 ? 0 : sealed);
	}
}

/* From here on not a byte goes to stderr, which another jailer than ours may have left open. */
static int files_forbid(void)
{
	const struct rlimit none = { 0, 0 };

	return setrlimit(RLIMIT_FSIZE, &none) ? -errno : 0;
}

static void confine(struct channel_ready *ready)
{
	unsigned short control_len, worker_len;
	unsigned int landlock;
	bool mdwe;

	must(STEP_IDENTITY, confine_check(options.ntaps ? options.taps[0] : -1));
	must(STEP_CONFINE, options_close_others(&options));
	control_len = filter_load(FILTER_CONTROL, STEP_FILTER_CONTROL);
	worker_len = filter_load(FILTER_WORKER, STEP_FILTER_WORKER);
	signal(SIGPIPE, SIG_IGN); /* an interrupt into a socket that is gone is nobody's loss */
	signal(SIGXFSZ, SIG_IGN); /* nor is a word that finds no file any more: files_forbid() */
	must(STEP_CONFINE, memory_guard_init());
	must(STEP_CONFINE, confine_begin(options.without_landlock, &landlock, &mdwe));
	workers_start(worker_len);
	must(STEP_CONFINE, confine_threads());
	must(STEP_CONFINE, files_forbid());
	if (control_len)
		must(STEP_FILTER_CONTROL, install_set(filters[FILTER_CONTROL], control_len));
	*ready = (struct channel_ready){ .landlock_abi = landlock,
					 .mdwe = mdwe,
					 .threads = options.net.pairs + 1 };
}

/* Takes over socket and TAP queues: what a connection brings. */
static void serve(int sock, const int *taps)
{
	lifecycle_init(&lifecycle, &options.net, &orders, workers);
	for (unsigned int i = 0; i < options.net.pairs; i++)
		workers[i].pair.tap = options.taps[i] = taps[i];
	net_ctrl_init(&control, &workers[options.net.pairs], &lifecycle, &options.net, taps[0]);
	for (unsigned int i = 0; i < options.net.pairs; i++) {
		workers[i].pair.rules = &control.box;
		if (options.coalesce)
			workers[i].pair.coalesce.kinds = segment_kinds(options.net.tap_offloads);
	}
	session = (struct session){ .lifecycle = &lifecycle,
				    .setup = &options.net,
				    .control = &control,
				    .orders = &orders,
				    .require_sealed = options.require_sealed,
				    .taps = options.taps };
	session_init(&session, sock);
}

/* Without a broker nobody has said what the TAP can take; trying changes nothing that SET_FEATURES
 * does not set again. */
static uint32_t tap_probe(int tap)
{
	static const uint32_t wanted[] = {
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_USO4 | TUN_F_USO6,
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
		TUN_F_CSUM,
	};

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if (!ioctl(tap, TUNSETOFFLOAD, (unsigned long)wanted[i]) &&
		    !ioctl(tap, TUNSETOFFLOAD, 0ul))
			return wanted[i];
	return 0;
}

static _Noreturn void leave(int status)
{
	_exit(status); /* no handlers, no stdio: exit_group is all the filter has */
}

static bool serving(void)
{
	return session.lifecycle;
}

/* Is there a front-end to listen to? */
static bool talking(void)
{
	return serving() && !ending;
}

/* The connection is over, or the broker wants it to be: stop what runs, then go. */
static void end_begin(void)
{
	if (ending)
		return;
	ending = true;
	if (!serving())
		leave(EXIT_ORDERLY);
	/* The socket stays open until then: whoever sees it close may count on memory that nobody
	 * touches. */
	lifecycle_stop_all(&lifecycle);
}

static void stats_say(const struct channel_msg *asked)
{
	struct channel_msg msg = { .type = CHANNEL_STATS,
				   .seq = asked->seq,
				   .stats = { .ring = asked->ask_stats.ring } };
	uint32_t ring = asked->ask_stats.ring;

	if (ring < net_rings(&options.net)) {
		const struct ring_stats *s = &workers[ring / 2].pair.queues[ring % 2].stats;

		msg.stats.state = serving() ? lifecycle.vrings[ring].state : RING_STOPPED;
#define COPY(name, help) msg.stats.counters.name = __atomic_load_n(&s->name, __ATOMIC_RELAXED);
		RING_COUNTERS(COPY)
#undef COPY
	}
	orders_say(&orders, &msg);
}

/* The last word on every ring, which nobody asked for: sequence 0. */
static void accounts_say(void)
{
	for (uint32_t i = 0; i < net_rings(&options.net); i++) {
		struct channel_msg unasked = { .ask_stats = { .ring = i } };

		stats_say(&unasked);
	}
}

static void end_when_stopped(void)
{
	struct channel_msg stopped = { .type = CHANNEL_STOPPED };

	if (!ending || !lifecycle_idle(&lifecycle))
		return;
	if (orders.phase == PHASE_SERVING) {
		accounts_say();
		orders_say(&orders, &stopped);
	}
	leave(EXIT_ORDERLY);
}

/* The page in which the guest's choice of receive rings is written; the mapping is all that is kept
 * of the descriptor. Without it the choice is not offered. */
static void steering_map(int fd)
{
	void *page = mmap(NULL, sizeof(struct steering_page), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_NORESERVE, fd, 0);

	fd_close(&fd);
	if (page != MAP_FAILED)
		net_ctrl_steering(&control, page);
}

static void order_run(const struct channel_msg *msg, int *fds, size_t nfds)
{
	struct channel_msg pong = { .type = CHANNEL_PONG, .seq = msg->seq };

	switch (msg->type) {
	case CHANNEL_SERVE:
		if (nfds != options.net.pairs + 1 + !!msg->serve.steering)
			leave(EXIT_FAILED);
		options.net.tap_offloads = msg->serve.tap_offloads;
		serve(fds[0], fds + 1);
		if (msg->serve.steering)
			steering_map(fds[options.net.pairs + 1]);
		break;
	case CHANNEL_STOP:
		end_begin();
		break;
	case CHANNEL_ASK_STATS:
		stats_say(msg);
		break;
	case CHANNEL_LINK:
		session_link(&session, msg->link.up, msg->link.mtu);
		break;
	case CHANNEL_PING:
		orders_say(&orders, &pong);
		break;
	default: /* of what comes down, BACKEND is not a device's */
		fd_close_all(fds, nfds);
		break;
	}
}

static void orders_read(void)
{
	struct channel_msg msg;
	int fds[CHANNEL_FDS_MAX];
	size_t nfds;
	int rc = orders_next(&orders, &msg, fds, &nfds);

	if (rc == -EAGAIN)
		return;
	if (rc == 1) {
		order_run(&msg, fds, nfds);
		return;
	}
	/* A broker that is gone, or speaks nonsense, cannot be served without. */
	fd_close(&orders.sock);
	end_begin();
}

static void session_result(int rc)
{
	if (!rc)
		return;
	orders_event(&orders, EVENT_PEER_GONE, (int64_t)session.requests, rc);
	end_begin();
}

static void answers_read(void)
{
	int rc;

	fd_drain(answers);
	if (!serving())
		return;
	rc = lifecycle_answers(&lifecycle);
	if (ending)
		return;
	session_notify(&session);
	session_result(session_answers(&session, rc));
}

static int64_t deadline_next(void)
{
	int64_t worker = serving() && !lifecycle_idle(&lifecycle) ? lifecycle.deadline : 0;
	int64_t peer = serving() ? session.deadline : 0;

	if (!worker || !peer)
		return max_of(worker, peer);
	return min_of(worker, peer);
}

static void deadlines_check(void)
{
	int64_t now = clock_ms();

	if (!serving())
		return;
	if (!lifecycle_idle(&lifecycle) && now >= lifecycle.deadline) {
		orders_event(&orders, EVENT_WORKER_SILENT, 0, 500);
		/* A thread that sleeps in a page fault outlives the others, SIGKILL too, and with
		 * it every descriptor: the broker hears of the end here or not at all. */
		fd_close(&orders.sock);
		leave(EXIT_SILENT);
	}
	if (session.deadline && now >= session.deadline)
		session_result(session_expired(&session));
}

/* How long to wait for an event; NULL: for ever. */
static const struct timespec *patience(struct timespec *t, int64_t deadline, bool look)
{
	int64_t left = deadline ? max_of(deadline - clock_ms(), (int64_t)0) : INT64_MAX;

	if (look)
		left = min_of(left, (int64_t)NET_CTRL_POLL_MS);
	if (control_busy)
		left = 0;
	*t = (struct timespec){ .tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000 };
	return left == INT64_MAX ? NULL : t;
}

static void turn(void)
{
	enum {
		CONTROL = 5 /* where the control queue's two begin */
	};
	bool told = !serving() || (lifecycle_attach(&lifecycle) && net_ctrl_tell(&control));
	struct timespec timeout;
	bool look = false;
	struct pollfd fds[] = {
		{ .fd = orders.sock, .events = told ? POLLIN : POLLIN | POLLOUT },
		{ .fd = answers, .events = POLLIN },
		{ .fd = talking() ? session.sock : -1,
		  .events = serving() ? session_events(&session) : 0 },
		{ .fd = talking() ? session.back.sock : -1, .events = back_events(&session.back) },
		{ .fd = talking() ? session.transfer.fd : -1,
		  .events = transfer_events(&session.transfer) },
		[CONTROL] = { .fd = -1 },
		{ .fd = -1 },
	};

	if (serving())
		look = net_ctrl_poll(&control, &fds[CONTROL]);
	/* ppoll and not poll: after SIGCONT the kernel restarts poll by a call that no filter here
	 * allows. */
	if (ppoll(fds, ARRAY_SIZE(fds), patience(&timeout, deadline_next(), look), NULL) < 0)
		return;
	if (fds[0].revents & ~POLLOUT)
		orders_read();
	if (fds[1].revents)
		answers_read();
	if (fds[2].revents && !ending)
		session_result(session_ready(&session, fds[2].revents));
	if (fds[3].revents && !ending)
		session_back(&session, fds[3].revents);
	if (fds[4].revents && !ending)
		session_result(session_transfer(&session));
	if (serving())
		control_busy = net_ctrl_ready(&control, &fds[CONTROL]);
	deadlines_check();
	end_when_stopped();
}

int main(int argc, char **argv)
{
	struct channel_ready ready;

	log_init("airlock-device", LOG_INFO);
	options_parse(&options, argc, argv);
	orders_init(&orders, options.channel);
	if (options.ntaps)
		options.net.tap_offloads = tap_probe(options.taps[0]);
	confine(&ready);
	must(STEP_READY, orders_ready(&orders, &ready));
	if (options.socket >= 0)
		serve(fd_take(&options.socket), options.taps);
	for (;;)
		turn();
}
