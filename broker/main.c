/*
 * airlock-broker: opens everything that one network device needs, makes the spawner of its
 * confined processes, gives up its privileges, and supervises. Single-threaded. Privileged from
 * main() to supervise(); from there on it is uid 0 without a capability and cannot open a file.
 * Trusts the administrator and the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "broker/config.h"
#include "broker/control.h"
#include "broker/guard.h"
#include "broker/ids.h"
#include "broker/link.h"
#include "broker/monitor.h"
#include "broker/program.h"
#include "broker/report.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/util.h"

enum {
	EXIT_ORDERLY,
	EXIT_RUN_TIME,
	EXIT_USAGE
};

/* What it takes to make confined processes of one kind. */
struct kind {
	struct ids ids;
	struct program program;
	struct denial *denial; /* NULL: denied calls stay unnamed */
	struct spawner *spawner;
};

#define KIND_NONE                                             \
	{                                                     \
		.ids.locks = { -1, -1, -1 }, .program.fd = -1 \
	}

/* Everything that the broker owns. */
static struct broker {
	struct config config;
	struct kind devices, transports; /* the latter with --vfio-user-socket */
	struct policies *policies;
	struct tap tap;
	struct link link;
	struct frontends frontends;
	struct listener control_listener;
	struct guard *guard;
	struct notify notify;
	int report_fd, signal_fd;
	struct privilege_state privilege;
	struct loop loop;
	struct watch signals;
	struct monitor *monitor;
	struct control *control;
} broker = {
	.devices = KIND_NONE,
	.transports = KIND_NONE,
	.tap.steering = STEERING_NONE,
	.frontends = { .listener = LISTENER_NONE, .given = -1 },
	.control_listener = LISTENER_NONE,
	.link.sock = -1,
	.notify = { -1, -1 },
	.report_fd = -1,
	.signal_fd = -1,
};

static const struct config_program airlock_broker = {
	.name = "airlock-broker",
	.usage =
		"Usage: airlock-broker (--socket-path=PATH [--client] | --fd=N |\n"
		"                       --vfio-user-socket=PATH) [OPTION...]\n"
		"Sets up one vhost-user network device, served by a sandboxed process, on a TAP.\n",
	.page = "airlock-broker(8)",
	.supervises = true,
};

/* ---- phase 1: what can be known without changing anything ---- */

static int socket_check(struct broker *b)
{
	const struct config *config = &b->config;
	int kind;

	if (config->client)
		return 0;
	if (config->socket_path)
		return listen_check(config_socket_option(config), config->socket_path);
	kind = listen_kind(config->fd);
	if (kind < 0)
		err("--fd=%d: is no UNIX stream socket that listens or is connected", config->fd);
	else if (kind == 0)
		b->config.once = true; /* there will be no other connection */
	return min_of(kind, 0);
}

static unsigned roles(const struct config *config)
{
	return POLICIES_SUPERVISED | (config->vfio_user ? POLICIES_PAIRED : 0);
}

/* Answers -EINVAL for what the administrator must change. The policies' verdict comes later: where
 * a text is not the build's, a child works on it meanwhile. */
static int check(struct broker *b)
{
	const struct config *config = &b->config;
	int error;

	error = tap_check(&config->tap);
	if (!error)
		error = socket_check(b);
	if (!error && config->control)
		error = listen_check("control", config->control);
	if (error)
		return error;
	if (geteuid()) {
		err("start it as root; it gives its privileges up before it serves");
		return -EPERM;
	}
	error = program_open(&b->devices.program, "airlock-device");
	if (!error)
		error = ids_claim(config->user, config->group, &b->devices.ids);
	if (!error && config->vfio_user)
		error = program_open(&b->transports.program, "airlock-vfio-user");
	if (!error && config->vfio_user)
		error = ids_claim(NULL, NULL, &b->transports.ids);
	if (error)
		return error;
	error = policies_begin(config->policy_dir, roles(config), b->devices.ids.spawner_uid,
			       b->devices.ids.spawner_gid, &b->policies);
	return config_mistake(error) ? -EINVAL : error;
}

/* Waits for the child, as far as these roles need it. */
static int policies_take(struct broker *b, unsigned which)
{
	int error = policies_finish(b->policies, which);

	return config_mistake(error) ? -EINVAL : error;
}

/* ---- phase 2: opening everything, while privileged ---- */

static int cannot(const char *what, int error)
{
	err("cannot %s: %s", what, strerror(-error));
	return error;
}

static int frontends_open(struct broker *b)
{
	const struct config *config = &b->config;

	b->frontends.path = config->socket_path;
	if (config->client) {
		b->frontends.kind = FRONTENDS_DIAL;
		return 0;
	}
	if (config->socket_path)
		return listen_open(&b->frontends.listener, config_socket_option(config),
				   config->socket_path, config->socket_mode, config->socket_group);
	if (fcntl(config->fd, F_SETFD, FD_CLOEXEC) < 0 ||
	    fcntl(config->fd, F_SETFL, O_NONBLOCK) < 0)
		return cannot("take over --fd", -errno);
	b->frontends.kind = listen_kind(config->fd) ? FRONTENDS_LISTEN : FRONTENDS_GIVEN;
	if (b->frontends.kind == FRONTENDS_LISTEN)
		listen_inherit(&b->frontends.listener, config->fd);
	else
		b->frontends.given = config->fd;
	return 0;
}

static int control_open(struct broker *b)
{
	if (!b->config.control)
		return 0;
	b->control = control_new();
	if (!b->control)
		return cannot("serve --control", -ENOMEM);
	return listen_open(&b->control_listener, "control", b->config.control, 0600, (gid_t)-1);
}

static int report_file_open(struct broker *b)
{
	if (!b->config.sandbox_report)
		return 0;
	b->report_fd = report_open(b->config.sandbox_report);
	return config_mistake(b->report_fd) ? -EINVAL : min_of(b->report_fd, 0);
}

/* From here on signals wait, for the loop; our children inherit that and do not notice a Ctrl-C
 * that is meant for us. */
static int signals_open(struct broker *b)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return cannot("hold signals back", -errno);
	b->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return b->signal_fd < 0 ? cannot("listen to signals", -errno) : 0;
}

/* Whatever may fail comes before a spawner holds copies of it: a broker that ends waits for none.
 */
static int open_all(struct broker *b)
{
	int error = signals_open(b);

	if (!error)
		error = report_file_open(b); /* first: the last thing that can be named wrongly */
	if (!error)
		error = tap_open(&b->config.tap, &b->tap);
	if (!error)
		error = frontends_open(b);
	if (!error)
		error = control_open(b);
	if (!error)
		error = guard_open(b->config.guard, b->tap.index, b->config.mac, &b->guard);
	return error;
}

/* ---- phase 3: the spawners, which confine themselves while denied calls get their names ---- */

static int kind_begin(struct broker *b, struct kind *kind, const struct spawner_kind *of)
{
	struct spawner_options options = {
		.kind = of,
		.ids = &kind->ids,
		.policies = b->policies,
		.exe_fd = kind->program.fd,
		.argv = kind->program.argv,
		.allowed = b->config.allowed,
	};
	int error = spawner_begin(&options, &kind->spawner);

	program_close(&kind->program);
	return error;
}

static int spawners_begin(struct broker *b)
{
	int error;

	/* What the spawners and their children install. */
	error = policies_take(b, roles(&b->config) & ~ROLE_BIT(ROLE_BROKER));
	if (error)
		return error;
	program_arguments(&b->devices.program, &b->config,
			  b->config.tap.mtu ? b->config.tap.mtu : b->tap.mtu);
	error = kind_begin(b, &b->devices, &spawner_of_devices);
	if (!error && b->config.vfio_user) {
		program_transport(&b->transports.program, &b->config);
		error = kind_begin(b, &b->transports, &spawner_of_transports);
	}
	return error;
}

static void stay_unnamed(int error)
{
	info("denied system calls stay unnamed: %s", strerror(-error));
}

static void denial_watch(struct kind *kind)
{
	int error = kind->spawner ? denial_open(kind->ids.device_uid, &kind->denial) : 0;

	if (error)
		stay_unnamed(error);
}

/* Before the first device: there are processes to watch only in the spawner's namespace. */
static int kind_await(struct kind *kind)
{
	int error = kind->spawner ? spawner_await(kind->spawner) : 0;
	int unnamed =
		!error && kind->denial ? denial_home(kind->denial, spawner_pids(kind->spawner)) : 0;

	if (unnamed)
		stay_unnamed(unnamed);
	return error;
}

static int spawners_await(struct broker *b)
{
	int error;

	denial_watch(&b->devices);
	denial_watch(&b->transports);
	notify_open(&b->notify, b->config.ready_fd);
	error = kind_await(&b->devices);
	return error ? error : kind_await(&b->transports);
}

/* ---- phase 4: what outlives a process that fails; then giving up privileges ---- */

/* The last to be done with privilege, when everything that may be wrong has been seen. */
static int configure(struct broker *b)
{
	int error = policies_take(b, ROLE_BIT(ROLE_BROKER));

	if (!error)
		error = tap_configure(&b->tap, &b->config.tap);
	if (error)
		return error;
	error = link_open(&b->link, b->tap.name, b->tap.index, b->tap.mtu);
	return error ? cannot("watch the TAP's link", error) : 0;
}

static int drop(struct broker *b)
{
	struct privilege_options options = {
		.filter_fd = b->policies->roles[ROLE_BROKER].fd,
		.degraded = spawner_degraded(b->devices.spawner),
		.allowed = b->config.allowed,
	};
	const int dirs[] = { b->frontends.listener.dir, b->control_listener.dir };

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		if (dirs[i] >= 0)
			options.socket_dirs[options.ndirs++] = dirs[i];
	return privilege_drop(&options, &b->privilege);
}

/* ---- phase 5: supervising, without privilege ---- */

static void signal_ready(void *arg, short revents)
{
	struct broker *b = arg;
	struct signalfd_siginfo signal;

	(void)revents;
	if (read(b->signal_fd, &signal, sizeof(signal)) != sizeof(signal))
		return;
	info("signal %s", sigabbrev_np((int)signal.ssi_signo));
	if (signal.ssi_signo == SIGHUP)
		monitor_restart(b->monitor);
	else
		monitor_stop(b->monitor, EXIT_ORDERLY);
}

static void link_changed(void *arg)
{
	struct broker *b = arg;

	info("TAP %s is %s, MTU %u", b->tap.name, b->link.up ? "up" : "down", b->link.mtu);
	monitor_link(b->monitor);
}

static int supervise(struct broker *b)
{
	struct monitor_options options = {
		.loop = &b->loop,
		.spawner = b->devices.spawner,
		.tap = &b->tap,
		.frontends = &b->frontends,
		.pair = b->config.vfio_user,
		.transport_spawner = b->transports.spawner,
		.transport_denial = b->transports.denial,
		.notify = &b->notify,
		.link = &b->link,
		.denial = b->devices.denial,
		.policies = b->policies,
		.privilege = &b->privilege,
		.report_fd = b->report_fd,
		.inspect = b->report_fd >= 0 || b->control,
		.once = b->config.once,
	};
	struct control_options control = {
		.loop = &b->loop,
		.listener = &b->control_listener,
		.tap = &b->tap,
		.guard = b->guard,
		.socket_path = b->config.socket_path,
	};
	int code;

	b->monitor = control.monitor = monitor_new(&options);
	if (!b->monitor)
		return cannot("supervise", -ENOMEM);
	b->signals = (struct watch){
		.fd = b->signal_fd, .events = POLLIN, .ready = signal_ready, .arg = b
	};
	loop_add(&b->loop, &b->signals);
	link_begin(&b->link, &b->loop, link_changed, b);
	monitor_begin(b->monitor);
	if (b->control)
		control_begin(b->control, &control);
	code = loop_run(&b->loop);
	return code < 0 ? cannot("wait for events", code) : code;
}

/* ---- the end, whatever came before ---- */

static void kind_close(struct kind *kind)
{
	denial_close(kind->denial);
	program_close(&kind->program);
	ids_release(&kind->ids);
}

static void clean_up(struct broker *b)
{
	control_free(b->control);
	monitor_free(b->monitor);
	spawner_stop(b->transports.spawner);
	spawner_stop(b->devices.spawner);
	frontends_close(&b->frontends);
	listen_close(&b->control_listener);
	guard_close(b->guard);
	link_close(&b->link);
	tap_close(&b->tap);
	notify_close(&b->notify);
	policies_free(b->policies);
	kind_close(&b->transports);
	kind_close(&b->devices);
}

static int run(struct broker *b)
{
	int error = check(b);

	if (!error)
		error = open_all(b);
	if (!error)
		error = spawners_begin(b);
	if (!error)
		error = spawners_await(b);
	if (!error)
		error = configure(b);
	if (!error)
		error = drop(b);
	return error ? error : supervise(b);
}

int main(int argc, char **argv)
{
	int code;

	fd_fill_stdio();
	log_init("airlock-broker", LOG_INFO);
	switch (config_parse(&airlock_broker, argc, argv, &broker.config)) {
	case CONFIG_ANSWERED:
		return EXIT_ORDERLY;
	case CONFIG_WRONG:
		return EXIT_USAGE;
	case CONFIG_GO_ON:
		break;
	}
	log_init("airlock-broker", broker.config.log_level);
	code = run(&broker);
	clean_up(&broker);
	if (code < 0)
		return code == -EINVAL ? EXIT_USAGE : EXIT_RUN_TIME;
	return code;
}
