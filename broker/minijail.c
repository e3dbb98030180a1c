/*
 * airlock-minijail: one network device for one connection, jailed by minijail0. It opens the TAP,
 * waits for the front-end, has the filters compiled and proven, and becomes minijail0, which starts
 * the device; nothing of it is left then. Single-threaded, root throughout. Reads no byte that a
 * front-end sends; trusts the administrator and the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "broker/config.h"
#include "broker/ids.h"
#include "broker/jailer.h"
#include "broker/listen.h"
#include "broker/notify.h"
#include "broker/policies.h"
#include "broker/program.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/util.h"

#define DIAL_MS 200 /* between attempts to connect */

enum {
	EXIT_ORDERLY,
	EXIT_RUN_TIME,
	EXIT_USAGE
};

/* Everything that is owned until minijail0 takes over. */
static struct {
	struct config config;
	struct jailer jailer;
	struct program program;
	struct ids ids;
	struct policies *policies;
	struct tap tap;
	struct listener listener;
	struct notify notify;
	int connection, signal_fd;
	sigset_t before; /* the signal mask that we were given */
} me = {
	.program.fd = -1,
	.ids.locks = { -1, -1, -1 },
	.listener = LISTENER_NONE,
	.notify = { -1, -1 },
	.connection = -1,
	.signal_fd = -1,
};

static const struct config_program airlock_minijail = {
	.name = "airlock-minijail",
	.usage =
		"Usage: airlock-minijail [MINIJAIL0-OPTION... --] (--socket-path=PATH [--client] | --fd=N) "
		"[OPTION...]\n"
		"Serves one vhost-user connection by a network device that minijail0 jails, on a TAP.\n",
	.page = "airlock-minijail(8)",
};

/* ---- what can be known without changing anything ---- */

static int socket_check(void)
{
	const struct config *config = &me.config;
	int kind;

	if (config->client)
		return 0;
	if (config->socket_path)
		return listen_check("socket-path", config->socket_path);
	kind = listen_kind(config->fd);
	if (kind < 0)
		err("--fd=%d: is no UNIX stream socket that listens or is connected", config->fd);
	return min_of(kind, 0);
}

/* Answers -EINVAL for what the administrator must change. */
static int check(void)
{
	const struct config *config = &me.config;
	int error = tap_check(&config->tap);

	if (!error)
		error = socket_check();
	if (error)
		return error;
	if (geteuid()) {
		err("start it as root; minijail0 gives the device an id of its own");
		return -EPERM;
	}
	error = jailer_find(&me.jailer);
	if (!error)
		error = program_open(&me.program, "airlock-device");
	if (!error)
		error = jailer_device(&me.jailer, me.program.fd);
	if (!error)
		error = ids_claim(config->user, config->group, &me.ids);
	if (error)
		return error;
	error = policies_load(config->policy_dir, POLICIES_JAILED, me.ids.spawner_uid,
			      me.ids.spawner_gid, &me.policies);
	return config_mistake(error) ? -EINVAL : error;
}

/* ---- opening ---- */

static int signals_open(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, &me.before) < 0)
		return -errno;
	me.signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
	return me.signal_fd < 0 ? -errno : 0;
}

static int socket_open(void)
{
	const struct config *config = &me.config;

	if (config->client)
		return 0;
	if (config->socket_path)
		return listen_open(&me.listener, "socket-path", config->socket_path,
				   config->socket_mode, config->socket_group);
	if (fcntl(config->fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	if (listen_kind(config->fd))
		listen_inherit(&me.listener, config->fd);
	else
		me.connection = config->fd;
	return 0;
}

static int open_all(void)
{
	int error = signals_open();

	if (!error)
		error = tap_open(&me.config.tap, &me.tap);
	if (!error)
		error = socket_open();
	if (error)
		return error;
	notify_open(&me.notify, me.config.ready_fd);
	return tap_configure(&me.tap, &me.config.tap);
}

/* ---- the connection ---- */

/* -EAGAIN: not yet. */
static int connection_take(void)
{
	int fd = me.config.client ? listen_connect(me.config.socket_path)
				  : listen_accept(&me.listener);

	if (fd >= 0)
		me.connection = fd;
	else if (me.config.client ? fd == -ENOENT || fd == -ECONNREFUSED : fd == -ECONNABORTED)
		fd = -EAGAIN;
	return min_of(fd, 0);
}

/* 1: there is a connection; 0: we are to end; -errno. */
static int await(void)
{
	struct pollfd fds[] = { { .fd = me.signal_fd, .events = POLLIN },
				{ .fd = me.listener.fd, .events = POLLIN } };

	notify_ready(&me.notify);
	while (me.connection < 0) {
		int error = connection_take();

		if (error && error != -EAGAIN) {
			err("no connection: %s", strerror(-error));
			return error;
		}
		if (error && poll(fds, ARRAY_SIZE(fds), me.config.client ? DIAL_MS : -1) < 0 &&
		    errno != EINTR)
			return -errno;
		if (fds[0].revents)
			return 0;
	}
	return 1;
}

/* ---- handing over ---- */

/* Without a broker nobody could attach queues as the guest begins to use them. */
static int queues_attach(void)
{
	int error = 0;

	for (unsigned i = 0; i < me.tap.pairs && !error; i++)
		error = tap_queue_set(&me.tap, i, true);
	if (error)
		err("TAP %s: a queue cannot be attached: %s", me.tap.name, strerror(-error));
	return error;
}

/* The device gets stderr for its last words before its filters, and nothing else of ours. */
static int stdio_silence(void)
{
	_cleanup_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		return -errno;
	return 0;
}

/* Returns only what went wrong. */
static int hand_over(void)
{
	struct jailer *j = &me.jailer;
	int error = queues_attach();

	if (!error)
		error = stdio_silence();
	if (error)
		return error;
	listen_close(&me.listener); /* its path goes too: nobody would answer there */
	program_arguments(&me.program, &me.config, me.tap.mtu);
	j->uid = me.ids.device_uid;
	j->gid = me.ids.device_gid;
	j->launch = me.policies->roles[ROLE_LAUNCH].fd;
	j->control = me.policies->roles[ROLE_CONTROL].fd;
	j->worker = me.policies->roles[ROLE_WORKER].fd;
	j->connection = me.connection;
	j->taps = me.tap.queues;
	j->ntaps = me.tap.pairs;
	j->device_words = me.program.argv;
	info("TAP %s: a device as uid %u, under %s", me.tap.name, j->uid, j->path);
	if (sigprocmask(SIG_SETMASK, &me.before, NULL) < 0)
		return -errno;
	/* minijail0 keeps the lock on the device's id for as long as it waits for it. */
	return jailer_exec(j, me.ids.locks[0]);
}

static int serve(void)
{
	int rc = await();

	notify_close(&me.notify);
	if (rc > 0)
		rc = hand_over();
	tap_restore(&me.tap, &me.config.tap);
	return rc;
}

static int run(void)
{
	int error = check();

	if (!error)
		error = open_all();
	return error ? error : serve();
}

static void clean_up(void)
{
	fd_close(&me.connection);
	listen_close(&me.listener);
	tap_close(&me.tap);
	notify_close(&me.notify);
	program_close(&me.program);
	policies_free(me.policies);
	ids_release(&me.ids);
	fd_close(&me.signal_fd);
}

/* What stands before the first "--" is minijail0's: taken out of argv. Its new length. */
static int words_split(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--"))
			continue;
		me.jailer.extra = argv + 1;
		me.jailer.nextra = (size_t)(i - 1);
		return argc - i;
	}
	return argc;
}

int main(int argc, char **argv)
{
	int n, code;

	fd_fill_stdio();
	log_init("airlock-minijail", LOG_INFO);
	n = words_split(argc, argv);
	switch (config_parse(&airlock_minijail, n, argv + argc - n, &me.config)) {
	case CONFIG_ANSWERED:
		return EXIT_ORDERLY;
	case CONFIG_WRONG:
		return EXIT_USAGE;
	case CONFIG_GO_ON:
		break;
	}
	log_init("airlock-minijail", me.config.log_level);
	code = run();
	clean_up();
	if (code < 0)
		return code == -EINVAL ? EXIT_USAGE : EXIT_RUN_TIME;
	return EXIT_ORDERLY;
}
