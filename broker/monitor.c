/*
 * The supervisor: brings front-ends and devices together. Runs in the broker's only thread, after
 * privileges are dropped. Trusts front-ends and devices with nothing (crew.c and device.c keep
 * them). What one connection left behind, on the TAP and in the counters, is cleared here before
 * the next. With --vfio-user-socket the front-ends are transports, which pair.c keeps.
 */
#include "broker/monitor.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/count.h"
#include "broker/report.h"
#include "broker/rival.h"
#include "broker/switches.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/util.h"

#define SEEK_PAUSE_MS 100
#define SEEK_MAX_MS   1000
#define FAREWELL_MS   300 /* for the dead to be reaped before we go */

struct monitor {
	struct monitor_options is;
	struct crew crew; /* of devices */
	struct pair pair; /* where is.pair */
	struct watch frontends_watch;
	struct timer seek_timer, farewell;
	struct switches switches;
	struct count count;
	struct rival rival;
	int pending; /* owned: a connection whose device died before it took it */
	unsigned seek_pause;
	bool told_ready, stopping, exhausted;
	const struct device *last; /* --once: the exit code waits for its end; NULL: nobody's */
	int code;
	uint64_t connections;
	char *report;
};

static void seek(struct monitor *m);

/* ---- the end ---- */

static bool anyone(const struct monitor *m, bool living)
{
	return crew_any(&m->crew, living) || (m->is.pair && crew_any(&m->pair.crew, living));
}

/* Once stopping: ends the loop when all are reaped, or when the dead take too long. */
static void end_if_over(struct monitor *m)
{
	if (!m->stopping || anyone(m, true))
		return;
	if (!anyone(m, false))
		loop_stop(m->is.loop, m->code);
	else if (!m->farewell.armed)
		loop_arm(m->is.loop, &m->farewell, FAREWELL_MS);
}

static void farewell_passed(void *arg)
{
	struct monitor *m = arg;

	warn("a killed device is not gone yet; leaving it to its spawner");
	loop_stop(m->is.loop, m->last ? 1 : m->code);
}

void monitor_stop(struct monitor *m, int code)
{
	if (m->stopping)
		return;
	m->stopping = true;
	m->code = code;
	notify_stopping(m->is.notify);
	loop_remove(m->is.loop, &m->frontends_watch);
	loop_disarm(m->is.loop, &m->seek_timer);
	if (m->is.pair)
		crew_close(&m->pair.crew);
	crew_close(&m->crew);
	end_if_over(m);
}

void monitor_restart(struct monitor *m)
{
	if (m->stopping)
		return;
	info("restart: live session and spare are replaced");
	if (m->is.pair)
		crew_replace(&m->pair.crew);
	crew_replace(&m->crew);
}

/* ---- connections ---- */

/* Nothing of one connection may reach the next: once when it ends, and once before the next
 * begins, since a killed device may have been in the middle of a call. */
static bool purge(struct monitor *m)
{
	int error;

	switches_forget(&m->switches);
	error = tap_purge(m->is.tap);
	if (!error)
		return true;
	err("TAP %s: cannot be purged: %s; ending", m->is.tap->name, strerror(-error));
	monitor_stop(m, 1);
	return false;
}

static int device_hand_over(struct monitor *m, struct device *device, int connection)
{
	const struct tap *tap = m->is.tap;
	const struct channel_serve serve = { .pairs = tap->pairs,
					     .tap_offloads = tap->offloads,
					     .steering = tap->steering.page != NULL };
	int fds[CHANNEL_FDS_MAX - 1];

	memcpy(fds, tap->queues, tap->pairs * sizeof(int));
	fds[tap->pairs] = tap->steering.map;
	return device_serve(device, connection, &serve, fds, tap->pairs + serve.steering);
}

static void serve(struct monitor *m, int connection)
{
	struct device *device;

	if (!purge(m)) {
		fd_close(&connection);
		return;
	}
	switches_begin(&m->switches);
	device = crew_take(&m->crew);
	if (device_hand_over(m, device, connection)) {
		m->pending = connection; /* the next spare takes it */
		crew_fill(&m->crew);
		return;
	}
	monitor_link(m);
	m->connections++;
	if (!m->is.pair)
		rival_begin(&m->rival, connection, frontends_fd(m->is.frontends));
	if (!m->is.pair)
		info("device %d: serves connection %llu", device->pid,
		     (unsigned long long)m->connections);
	else if (m->pair.crew.serving)
		info("device %d: serves transport %d", device->pid, m->pair.crew.serving->pid);
	if (!m->is.once || m->is.pair)
		crew_fill(&m->crew);
}

void monitor_link(struct monitor *m)
{
	if (m->is.link && m->crew.serving)
		device_link(m->crew.serving, m->is.link->up, m->is.link->mtu);
}

/* Asks again after a pause, which grows: for a peer that we dial, and after failures. */
static void seek_later(struct monitor *m)
{
	loop_remove(m->is.loop, &m->frontends_watch);
	m->seek_pause =
		min_of(max_of(2 * m->seek_pause, (unsigned)SEEK_PAUSE_MS), (unsigned)SEEK_MAX_MS);
	loop_arm(m->is.loop, &m->seek_timer, m->seek_pause);
}

static int connection_next(struct monitor *m)
{
	return m->is.pair ? pair_next(&m->pair) : frontends_next(m->is.frontends);
}

/* Takes the next connection when it is wanted and there, watches for it when it is only wanted. */
static void seek(struct monitor *m)
{
	bool wanted = crew_waits(&m->crew) && !m->crew.serving && !m->stopping &&
		      (!m->is.pair || pair_wants(&m->pair));
	int connection;

	m->frontends_watch.fd = m->is.pair ? pair_fd(&m->pair) : frontends_fd(m->is.frontends);
	if (!wanted || m->exhausted || m->seek_timer.armed) {
		loop_remove(m->is.loop, &m->frontends_watch);
		return;
	}
	connection = m->pending >= 0 ? fd_take(&m->pending) : connection_next(m);
	if (connection >= 0) {
		m->seek_pause = 0;
		loop_remove(m->is.loop, &m->frontends_watch);
		serve(m, connection);
	} else if (connection == -ENOENT) {
		m->exhausted = true;
	} else if (connection == -EAGAIN && m->frontends_watch.fd >= 0) {
		loop_add(m->is.loop, &m->frontends_watch);
	} else {
		seek_later(m);
	}
}

static void frontends_ready(void *arg, short revents)
{
	(void)revents;
	seek(arg);
}

static void seek_passed(void *arg)
{
	seek(arg);
}

/* ---- what devices do ---- */

/* A spare has become ready, of one kind or the other. */
static void ready(void *arg)
{
	struct monitor *m = arg;

	if (!m->told_ready && crew_waits(&m->crew) && (!m->is.pair || crew_waits(&m->pair.crew))) {
		info("ready: TAP %s, %u queue pairs", m->is.tap->name, m->is.tap->pairs);
		notify_ready(m->is.notify);
		m->told_ready = true;
	}
	seek(m);
}

static void on_ready(void *arg, struct device *device)
{
	(void)device;
	ready(arg);
}

static void transports_changed(void *arg)
{
	struct monitor *m = arg;

	if (m->stopping)
		end_if_over(m);
	else
		ready(m);
}

static void on_serves(void *arg, struct device *device)
{
	struct monitor *m = arg;

	if (m->is.inspect)
		crew_inspect(&m->crew, device);
}

static void on_queue(void *arg, struct device *device, unsigned pair, bool attach)
{
	struct monitor *m = arg;

	if (device == m->crew.serving)
		switches_want(&m->switches, pair, attach);
}

static void on_steer(void *arg, struct device *device, bool on)
{
	struct monitor *m = arg;

	if (device == m->crew.serving)
		switches_steer(&m->switches, on);
}

static int on_stats(void *arg, struct device *device, const struct channel_stats *stats)
{
	struct monitor *m = arg;

	return device == m->crew.serving ? count_told(&m->count, stats) : 0;
}

static void displaced(void *arg)
{
	struct monitor *m = arg;

	crew_displace(&m->crew);
}

/* Whom a VMM was connected to is gone. */
static void connection_over(struct monitor *m, const struct device *device)
{
	if (m->is.once) {
		m->last = device;
		monitor_stop(m, 0);
	} else if (m->crew.held || (m->is.pair && m->pair.crew.held)) {
		monitor_stop(m, 1);
	}
}

/* The connection is over, whoever ended it. */
static void session_end(struct monitor *m, const struct device *device)
{
	rival_end(&m->rival);
	count_close(&m->count);
	if (!purge(m))
		return;
	/* A transport that still serves needs another device; one that dies at once, not at once.
	 */
	if ((m->is.pair || m->is.frontends->kind == FRONTENDS_DIAL) && !m->stopping)
		seek_later(m);
	if (!m->is.pair)
		connection_over(m, device);
}

static void on_gone(void *arg, struct device *device, enum device_state from)
{
	struct monitor *m = arg;
	bool served = device == m->crew.serving && from != DEVICE_WAITING;

	crew_lose(&m->crew, device, from);
	if (served)
		session_end(m, device);
	if (m->stopping) {
		end_if_over(m);
		return;
	}
	crew_fill(&m->crew);
	seek(m);
}

static void transport_over(void *arg, struct device *transport)
{
	struct monitor *m = arg;

	connection_over(m, transport);
}

static const struct device_owner life = {
	.ready = on_ready,
	.serves = on_serves,
	.queue = on_queue,
	.steer = on_steer,
	.stats = on_stats,
	.gone = on_gone,
};

/* ---- what becomes of either kind ---- */

static void reaped(void *arg, struct device *device, bool orderly)
{
	struct monitor *m = arg;

	if (m->last == device) {
		m->code = orderly ? m->code : 1;
		m->last = NULL;
	}
	end_if_over(m);
}

static void hopeless(void *arg)
{
	struct monitor *m = arg;

	/* A live session goes on as long as it lasts. */
	if (!(m->is.pair ? m->pair.crew.serving : m->crew.serving))
		monitor_stop(m, 1);
}

static void orphaned(void *arg)
{
	struct monitor *m = arg;

	loop_stop(m->is.loop, 1);
}

static struct report_facts facts_of(const struct monitor *m, const struct crew *crew)
{
	const struct device *device = crew->serving;
	const struct spawner *spawner = crew->is.spawner;

	return (struct report_facts){
		.witness = crew->witness,
		.policies = m->is.policies,
		.privilege = m->is.privilege,
		.namespaces = spawner_namespaces(spawner),
		.landlock_abi = spawner_landlock(spawner),
		.degraded = spawner_degraded(spawner) | m->is.privilege->degraded,
		.channel_inode = device->channel_inode,
		.connection_inode = device->connection_inode,
		.backend_inode = device->backend_inode,
	};
}

/* The report is of the whole pair, where there is one. */
static void seen(void *arg, struct device *device)
{
	struct monitor *m = arg;
	struct report_facts facts, transport;
	char *text;

	if (!m->crew.witness || (m->is.pair && !m->pair.crew.witness))
		return;
	facts = facts_of(m, &m->crew);
	if (m->is.pair) {
		transport = facts_of(m, &m->pair.crew);
		facts.transport = &transport;
	}
	text = report_text(&facts);
	if (!text) {
		warn("%s %d: no memory for its sandbox report", device->what, device->pid);
		return;
	}
	free(m->report);
	m->report = text;
	if (m->is.report_fd >= 0)
		report_write(m->is.report_fd, text);
}

static const struct crew_owner owner = {
	.reaped = reaped,
	.seen = seen,
	.hopeless = hopeless,
	.orphaned = orphaned,
};

/* ---- outside ---- */

static void devices_init(struct monitor *m)
{
	struct crew_options options = { .what = "device",
					.loop = m->is.loop,
					.spawner = m->is.spawner,
					.denial = m->is.denial,
					.pairs = m->is.tap->pairs,
					.owner = &owner,
					.arg = m,
					.life = &life,
					.life_arg = m };

	crew_init(&m->crew, &options);
}

static void transports_init(struct monitor *m)
{
	struct pair_options options = { .loop = m->is.loop,
					.spawner = m->is.transport_spawner,
					.denial = m->is.transport_denial,
					.clients = m->is.frontends,
					.inspect = m->is.inspect,
					.once = m->is.once,
					.owner = &owner,
					.changed = transports_changed,
					.over = transport_over,
					.arg = m };

	pair_init(&m->pair, &options);
}

struct monitor *monitor_new(const struct monitor_options *options)
{
	struct monitor *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->is = *options;
	m->pending = -1;
	m->count.tally.rings = tally_rings(options->tap->pairs);
	m->frontends_watch = (struct watch){ .events = POLLIN, .ready = frontends_ready, .arg = m };
	m->seek_timer = (struct timer){ .fire = seek_passed, .arg = m };
	m->farewell = (struct timer){ .fire = farewell_passed, .arg = m };
	switches_init(&m->switches, options->loop, options->tap);
	rival_init(&m->rival, options->loop, displaced, m);
	devices_init(m);
	if (options->pair)
		transports_init(m);
	return m;
}

void monitor_begin(struct monitor *m)
{
	if (m->is.pair)
		crew_begin(&m->pair.crew);
	crew_begin(&m->crew);
}

void monitor_status(const struct monitor *m, struct monitor_status *status)
{
	const struct device *device = crew_shown(&m->crew);
	const struct device *transport = m->is.pair ? crew_shown(&m->pair.crew) : NULL;

	*status = (struct monitor_status){
		.device = device ? device->pid : 0,
		.phase = device ? device->state : DEVICE_ABSENT,
		.paired = m->is.pair,
		.transport = transport ? transport->pid : 0,
		.transport_phase = transport ? transport->state : DEVICE_ABSENT,
		.pairs = m->is.tap->pairs,
		.active_pairs = tap_queues_attached(m->is.tap),
		.connections = m->is.pair ? m->pair.connections : m->connections,
		.restarts = m->crew.restarts + (m->is.pair ? m->pair.crew.restarts : 0),
	};
	memcpy(status->last_exit, m->crew.last_exit, sizeof(status->last_exit));
	if (m->is.pair)
		memcpy(status->transport_last_exit, m->pair.crew.last_exit,
		       sizeof(status->transport_last_exit));
}

int monitor_count(struct monitor *m, void (*counted)(void *arg), void *arg)
{
	return count_begin(&m->count, m->crew.serving, counted, arg);
}

const struct tally *monitor_tally(const struct monitor *m)
{
	return &m->count.tally;
}

const char *monitor_report(const struct monitor *m)
{
	return m->report;
}

void monitor_free(struct monitor *m)
{
	if (!m)
		return;
	m->stopping = true;
	m->count.done = NULL; /* who asked is gone */
	if (m->is.pair)
		pair_end(&m->pair);
	crew_end(&m->crew);
	rival_end(&m->rival);
	loop_remove(m->is.loop, &m->frontends_watch);
	fd_close(&m->pending);
	free(m->report);
	free(m);
}
