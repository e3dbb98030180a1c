/*
 * airlock-vfio-user: a virtio-pci network device for a VMM with a vfio-user client, served from
 * inside a jail; the device itself is a vhost-user back-end in another process. This file is the
 * server's thread: it confines the process, then listens to broker, VMM and transport until one of
 * them ends it. It opens no file and maps no guest memory. The second thread, the device task, is
 * the library's, under the same filter.
 */
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "frontend/options.h"
#include "frontend/orders.h"
#include "frontend/server.h"
#include "lib/clock.h"
#include "lib/confine.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/util.h"
#include "lib/virtio.h"
#include "seccomp/install.h"

enum {
	EXIT_ORDERLY,
	EXIT_FAILED,
	EXIT_USAGE
};

#define DEVICE_NET 1
#define FDS_MAX	   4096

static struct options options;
static struct orders orders;
static struct server server;
static struct sock_filter filter[INSTALL_MAX];
static int listener = -1; /* for VMMs; -1: there was one connection */
static int signals = -1;
static bool serving; /* the back-end has answered, once */
static unsigned short filter_len;
static atomic_int sealed; /* of the task's thread: 0 not yet, 1, -errno */
static int sealed_fd = -1;
static struct sockaddr_un backend_address = { .sun_family = AF_UNIX };
/* Owned: a connected socket that no connection has used yet, -1 none. The server's thread puts it
 * here, the task's takes it. */
static atomic_int fresh = -1;

/* ---- sockets */

static bool listening(int sock)
{
	int yes = 0;
	socklen_t len = sizeof(yes);

	return !getsockopt(sock, SOL_SOCKET, SO_ACCEPTCONN, &yes, &len) && yes;
}

static void address_set(struct sockaddr_un *address, const char *option, const char *path)
{
	if (strlen(path) >= sizeof(address->sun_path))
		die(EXIT_USAGE, "--%s=%s: longer than a socket's name can be", option, path);
	strcpy(address->sun_path, path);
}

/* A stale socket is replaced, a live one is an error. */
static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), rc;

	address_set(&address, "vfio-user-socket", path);
	rc = sock < 0 ? -1 : connect(sock, (struct sockaddr *)&address, sizeof(address));
	if (!rc || errno == EAGAIN)
		die(EXIT_USAGE, "--vfio-user-socket=%s: another process listens there", path);
	if (errno == ECONNREFUSED)
		unlink(path);
	fd_close(&sock);
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	umask(0177);
	if (sock < 0 || bind(sock, (struct sockaddr *)&address, sizeof(address)) || listen(sock, 1))
		die(EXIT_FAILED, "--vfio-user-socket=%s: %s", path, strerror(errno));
	return sock;
}

static int backend_dial(void)
{
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int rc = sock < 0 ? -errno : 0;

	if (!rc && connect(sock, (struct sockaddr *)&backend_address, sizeof(backend_address)))
		rc = -errno;
	if (rc)
		fd_close(&sock);
	return rc ? rc : sock;
}

/* airlock_ops.connect: runs in the device task's thread. */
static int backend_connect(void *opaque)
{
	/* Acquire: pairs with the release in backend_take(). */
	int sock = atomic_exchange_explicit(&fresh, -1, memory_order_acquire);

	(void)opaque;
	if (sock >= 0)
		return sock;
	if (options.backend_path)
		return backend_dial();
	if (options.backend < 0) /* spent; a broker brings the next */
		return options.channel < 0 ? -ENOTCONN : -EAGAIN;
	sock = accept4(options.backend, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	return sock < 0 ? -errno : sock;
}

/* One that nobody has used belongs to a back-end that is gone, or is not needed. */
static void backend_take(int sock)
{
	/* Release: pairs with the acquire in backend_connect(). */
	int before = atomic_exchange_explicit(&fresh, sock, memory_order_acq_rel);

	fd_close(&before);
}

/* ---- confinement */

static unsigned short filter_load(void)
{
	int n = options.filter < 0 ? 0 : install_load(options.filter, filter, INSTALL_MAX);

	if (n < 0)
		die(EXIT_USAGE, "--filter-fd: not a compiled filter (error %d)", -n);
	fd_close(&options.filter);
	return (unsigned short)n;
}

static void must(const char *what, int rc)
{
	if (rc)
		die(EXIT_FAILED, "%s (error %d)", what, -rc);
}

/* Before any thread exists, which inherits it. */
static void confine_process(struct channel_ready *ready)
{
	unsigned int landlock;
	bool mdwe;

	must("not dumpable, no_new_privs, Landlock",
	     confine_begin(options.without_landlock, &landlock, &mdwe));
	*ready = (struct channel_ready){ .landlock_abi = landlock, .mdwe = mdwe, .threads = 2 };
}

static int seal(void)
{
	return filter_len ? install_set(filter, filter_len) : 0;
}

/* airlock_ops.thread: the device task installs its filter itself, and does nothing before. */
static void task_seal(void *opaque)
{
	int rc;

	(void)opaque;
	prctl(PR_SET_NAME, "airlock-task", 0, 0, 0);
	rc = seal();
	/* Release: pairs with the acquire in seal_all(). */
	atomic_store_explicit(&sealed, rc ? rc : 1, memory_order_release);
	fd_signal(sealed_fd);
	if (!rc)
		return;
	for (;;)
		ppoll(NULL, 0, NULL, NULL); /* the other thread ends us */
}

static void seal_all(void)
{
	struct pollfd p = { .fd = sealed_fd, .events = POLLIN };
	int rc;

	must("no more threads", confine_threads());
	/* For the signal and not only for what it announces: the task's thread must be done with
	 * the descriptor when we close it. */
	while (ppoll(&p, 1, NULL, NULL) != 1)
		;
	fd_drain(sealed_fd);
	/* Acquire: pairs with the release in task_seal(). */
	rc = atomic_load_explicit(&sealed, memory_order_acquire);
	must("installing the task's filter", rc > 0 ? 0 : rc);
	must("installing the filter", seal());
	fd_close(&sealed_fd);
}

/* ---- the device */

static struct net_config own_config;

static uint64_t own_features(void)
{
	uint64_t features = BIT_ULL(VIRTIO_NET_F_STATUS);

	own_config = (struct net_config){ .status = NET_STATUS_LINK_UP,
					  .max_virtqueue_pairs = (uint16_t)options.pairs,
					  .mtu = options.mtu ? options.mtu : 1500 };
	memcpy(own_config.mac, options.mac, sizeof(options.mac));
	if (options.has_mac)
		features |= BIT_ULL(VIRTIO_NET_F_MAC);
	if (options.mtu)
		features |= BIT_ULL(VIRTIO_NET_F_MTU);
	return features;
}

/* airlock_ops.trouble */
static void trouble(void *opaque, const char *what, int error)
{
	(void)opaque;
	warn("back-end: did not %s: error %d; the driver must reset its device", what, -error);
}

static void device_open(void)
{
	struct airlock_options device = { .bus = AIRLOCK_PCI,
					  .policy = AIRLOCK_DEFER,
					  .device = DEVICE_NET,
					  .queues = (uint16_t)(2 * options.pairs),
					  .control = options.control,
					  .queue_size = (uint16_t)options.queue_size,
					  .config_length = sizeof(own_config),
					  .config = &own_config,
					  .config_features = own_features(),
					  .client_msix = true,
					  .deadline_ms = options.deadline_ms,
					  .ops = { .connect = backend_connect,
						   .thread = task_seal,
						   .line = server_line,
						   .trouble = trouble },
					  .opaque = &server };

	sealed_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	must("an eventfd", sealed_fd < 0 ? -errno : 0);
	must("the device task", airlock_open(&device, &server.t));
}

/* ---- the loop */

static _Noreturn void leave(int status)
{
	orders_stopped(&orders);
	_exit(status);
}

static void client_gone(int rc)
{
	if (rc == -ECONNRESET)
		info("VMM disconnected");
	else
		warn("front-end: connection closed: error %d", -rc);
	/* A back-end that is about to lose its connection need not be asked to stop, and one that
	 * hangs would keep us. */
	if (listener < 0 || options.once)
		leave(EXIT_ORDERLY);
	server_detach(&server);
}

static void client_accept(void)
{
	int sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (sock < 0)
		return;
	server_attach(&server, sock);
	info("VMM connected");
}

static void client_take(int sock)
{
	if (listening(sock))
		listener = sock;
	else
		server_attach(&server, sock);
}

static void serve(void)
{
	int rc;

	/* One that listens stays where it is: the task, which begins here, accepts from it. */
	if (!listening(options.backend))
		backend_take(fd_take(&options.backend));
	rc = airlock_connect(server.t);
	if (rc) {
		err("administrator: the back-end cannot serve: error %d", -rc);
		leave(EXIT_FAILED);
	}
	serving = true;
	client_take(fd_take(&options.client));
}

static void orders_read(void)
{
	switch (orders_next(&orders)) {
	case ORDER_SERVE:
		options.client = fd_take(&orders.client);
		options.backend = fd_take(&orders.backend);
		serve();
		break;
	case ORDER_BACKEND:
		backend_take(fd_take(&orders.backend));
		break;
	case ORDER_STOP: /* the back-end has its own */
		leave(EXIT_ORDERLY);
	case ORDER_NONE:
		break;
	}
}

static int wait_for_news(struct pollfd *fds, size_t n)
{
	int64_t deadline = server_deadline(&server);
	int64_t left = deadline ? max_of(deadline - clock_ms(), (int64_t)0) : 0;
	struct timespec timeout = { .tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000 };

	return ppoll(fds, n, deadline ? &timeout : NULL, NULL);
}

static void turn(void)
{
	bool idle = server.connection.sock < 0;
	struct pollfd fds[] = {
		{ .fd = orders.sock, .events = POLLIN },
		{ .fd = signals, .events = POLLIN },
		{ .fd = serving ? airlock_fd(server.t) : -1, .events = POLLIN },
		{ .fd = idle ? listener : server.connection.sock,
		  .events = idle ? POLLIN : server_events(&server) },
	};
	int64_t deadline;
	int rc = 0;

	if (wait_for_news(fds, ARRAY_SIZE(fds)) < 0)
		return;
	if (fds[0].revents)
		orders_read();
	if (fds[1].revents) {
		if (serving)
			airlock_stop(server.t);
		leave(EXIT_ORDERLY);
	}
	if (fds[2].revents)
		airlock_poll(server.t);
	if (idle) {
		if (fds[3].revents)
			client_accept();
		return;
	}
	rc = server_go_on(&server);
	if (!rc && fds[3].revents)
		rc = server_ready(&server, fds[3].revents);
	deadline = server_deadline(&server);
	if (!rc && deadline && clock_ms() >= deadline)
		rc = -ETIMEDOUT;
	if (rc)
		client_gone(rc);
}

static void signals_open(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Eventfds of every ring and descriptors of the VMM's memory: as many as a device may hold. */
static void limit_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max = min_of(limit.rlim_max, (rlim_t)FDS_MAX);
	setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
	struct channel_ready ready;

	log_init("airlock-vfio-user", LOG_INFO);
	prctl(PR_SET_NAME, "airlock-server", 0, 0, 0);
	options_parse(&options, argc, argv);
	if (confine_check(-1))
		die(EXIT_USAGE,
		    "has uid 0, group 0 or a capability: start it as an unprivileged user without any");
	limit_raise();
	if (options.backend_path)
		address_set(&backend_address, "vhost-user-socket", options.backend_path);
	if (options.client_path)
		options.client = listen_at(options.client_path);
	orders_init(&orders, options.channel);
	if (options.channel < 0)
		signals_open(); /* a broker has its orders */
	signal(SIGPIPE, SIG_IGN);
	server_init(&server);
	json_object_seed(1); /* of nobody's tables but one client's; and no file is opened for it */
	filter_len = filter_load();
	confine_process(&ready);
	device_open();
	seal_all();
	must("the broker's channel", orders_ready(&orders, &ready));
	if (options.client >= 0)
		serve();
	for (;;)
		turn();
}
