/*
 * The supervisor. Runs in the broker's only thread, after privileges are dropped. Trusts the
 * spawner to tell which process it made, and devices with nothing (device.c judges them). What
 * one connection left behind, on the TAP and in the counters, is cleared here before the next.
 *
 *   no spare  --order-->  spare STARTING  --READY-->  spare WAITING  --connection-->  serving
 *      ^                       |                           |                             |
 *      +--- after a pause -----+ gone                      + gone                        + gone:
 *                                                                            purge, next connection
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

#define DEVICES	     8	/* one serves, one waits; the others are killed and not reaped yet */
#define EARLY_DEATHS 10 /* in a row, before READY: then no more are made */
#define PAUSE_MS     100
#define PAUSE_MAX_MS 5000
#define SEEK_MAX_MS  1000
#define FAREWELL_MS  300 /* for the dead to be reaped before we go */
#define NEWS_A_TURN  16

struct monitor {
	struct monitor_options is;
	struct device devices[DEVICES];
	struct device *serving, *spare; /* the spare is STARTING or WAITING */
	struct watch spawner_watch, frontends_watch;
	struct timer order_timer, seek_timer, farewell;
	struct switches switches;
	struct count count;
	struct rival rival;
	int pending; /* owned: a connection whose device died before it took it */
	unsigned early_deaths, seek_pause;
	bool told_ready, held, stopping, exhausted;
	bool once_served; /* --once: the exit code waits for this device's end */
	uint32_t once_serial;
	int code;
	uint64_t connections, restarts;
	char last_exit[DEATH_WORDS];
	char *report;
};

static void spare_ensure(struct monitor *m);
static void seek(struct monitor *m);

/* ---- the end ---- */

static bool anyone(const struct monitor *m, bool living)
{
	for (size_t i = 0; i < DEVICES; i++)
		if (m->devices[i].state != DEVICE_ABSENT &&
		    (!living || m->devices[i].state != DEVICE_GONE))
			return true;
	return false;
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
	loop_stop(m->is.loop, m->once_served ? 1 : m->code);
}

void monitor_stop(struct monitor *m, int code)
{
	if (m->stopping)
		return;
	m->stopping = true;
	m->code = code;
	notify_stopping(m->is.notify);
	loop_remove(m->is.loop, &m->frontends_watch);
	loop_disarm(m->is.loop, &m->order_timer);
	loop_disarm(m->is.loop, &m->seek_timer);
	for (size_t i = 0; i < DEVICES; i++)
		if (m->devices[i].state != DEVICE_ABSENT)
			device_stop(&m->devices[i]);
	end_if_over(m);
}

void monitor_restart(struct monitor *m)
{
	struct device *serving = m->serving;

	if (m->stopping)
		return;
	info("restart: live session and spare are replaced");
	if (m->spare)
		device_stop(m->spare);
	if (serving)
		device_stop(serving);
}

/* ---- the spare ---- */

static struct device *place_free(struct monitor *m)
{
	for (size_t i = 0; i < DEVICES; i++)
		if (m->devices[i].state == DEVICE_ABSENT)
			return &m->devices[i];
	return NULL;
}

static unsigned pause_after(unsigned deaths)
{
	unsigned pause = PAUSE_MS;

	if (deaths < 2)
		return 0;
	while (deaths-- > 2 && pause < PAUSE_MAX_MS)
		pause *= 2;
	return min_of(pause, (unsigned)PAUSE_MAX_MS);
}

/* A device that was not ready is gone, or none could be ordered. */
static void died_early(struct monitor *m)
{
	m->early_deaths++;
	if (m->early_deaths < EARLY_DEATHS) {
		loop_arm(m->is.loop, &m->order_timer, pause_after(m->early_deaths));
		return;
	}
	err("%d devices in a row died before they were ready; no more are made", EARLY_DEATHS);
	m->held = true;
	if (!m->serving)
		monitor_stop(m, 1);
}

static int spare_order(struct monitor *m, struct device *device)
{
	struct stat st;
	int ends[2];
	int error;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return -errno;
	device->channel_inode = fstat(ends[1], &st) ? 0 : st.st_ino;
	error = spawner_spawn(m->is.spawner, ends[1], &device->serial);
	fd_close(&ends[1]);
	if (error) {
		fd_close(&ends[0]);
		return error;
	}
	m->spare = device;
	device_begin(device, fd_take(&ends[0]));
	return 0;
}

static void spare_ensure(struct monitor *m)
{
	struct device *place = place_free(m);
	int error;

	if (m->spare || m->stopping || m->held || m->order_timer.armed)
		return;
	if (!place) {
		err("%d killed devices are not gone yet; waiting for one", DEVICES - 1);
		return; /* the next death asks again */
	}
	error = spare_order(m, place);
	if (!error)
		return;
	err("cannot order a device: %s", strerror(-error));
	died_early(m);
}

static void order_passed(void *arg)
{
	spare_ensure(arg);
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

static void serve(struct monitor *m, int connection)
{
	struct device *device = m->spare;

	if (!purge(m)) {
		fd_close(&connection);
		return;
	}
	switches_begin(&m->switches);
	m->spare = NULL;
	m->serving = device;
	if (device_serve(device, connection, m->is.tap->queues, m->is.tap->offloads,
			 m->is.tap->steering.page ? m->is.tap->steering.map : -1)) {
		m->pending = connection; /* the next spare takes it */
		spare_ensure(m);
		return;
	}
	monitor_link(m);
	m->connections++;
	rival_begin(&m->rival, connection, frontends_fd(m->is.frontends));
	if (m->is.once)
		m->once_serial = device->serial;
	info("device %d: serves connection %llu", device->pid, (unsigned long long)m->connections);
	if (!m->is.once)
		spare_ensure(m);
}

void monitor_link(struct monitor *m)
{
	if (m->is.link && m->serving)
		device_link(m->serving, m->is.link->up, m->is.link->mtu);
}

/* Asks again after a pause, which grows: for a peer that we dial, and after failures. */
static void seek_later(struct monitor *m)
{
	loop_remove(m->is.loop, &m->frontends_watch);
	m->seek_pause =
		min_of(max_of(2 * m->seek_pause, (unsigned)PAUSE_MS), (unsigned)SEEK_MAX_MS);
	loop_arm(m->is.loop, &m->seek_timer, m->seek_pause);
}

/* Takes the next connection when it is wanted and there, watches for it when it is only wanted. */
static void seek(struct monitor *m)
{
	bool wanted = m->spare && m->spare->state == DEVICE_WAITING && !m->serving && !m->stopping;
	int connection;

	m->frontends_watch.fd = frontends_fd(m->is.frontends);
	if (!wanted || m->exhausted || m->seek_timer.armed) {
		loop_remove(m->is.loop, &m->frontends_watch);
		return;
	}
	connection = m->pending >= 0 ? fd_take(&m->pending) : frontends_next(m->is.frontends);
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

static void on_ready(void *arg, struct device *device)
{
	struct monitor *m = arg;

	(void)device;
	m->early_deaths = 0;
	if (!m->told_ready) {
		info("ready: TAP %s, %u queue pairs", m->is.tap->name, m->is.tap->pairs);
		notify_ready(m->is.notify);
	}
	m->told_ready = true;
	seek(m);
}

static void on_serves(void *arg, struct device *device)
{
	struct monitor *m = arg;

	if (m->is.inspect && device->pid &&
	    spawner_inspect(m->is.spawner, device->serial, device->pid))
		warn("device %d: the spawner does not look at it", device->pid);
}

static void on_queue(void *arg, struct device *device, unsigned pair, bool attach)
{
	struct monitor *m = arg;

	if (device == m->serving)
		switches_want(&m->switches, pair, attach);
}

static void on_steer(void *arg, struct device *device, bool on)
{
	struct monitor *m = arg;

	if (device == m->serving)
		switches_steer(&m->switches, on);
}

static int on_stats(void *arg, struct device *device, const struct channel_stats *stats)
{
	struct monitor *m = arg;

	return device == m->serving ? count_told(&m->count, stats) : 0;
}

/* Its front-end's process is gone, and another waits. */
static void displaced(void *arg)
{
	struct monitor *m = arg;

	if (!m->serving)
		return;
	warn("front-end: device %d: its process is gone, its connection is held open; ended for the next",
	     m->serving->pid);
	device_stop(m->serving);
}

/* The connection is over, whoever ended it. */
static void session_end(struct monitor *m)
{
	m->serving = NULL;
	rival_end(&m->rival);
	count_close(&m->count);
	if (!purge(m))
		return;
	if (m->is.frontends->kind == FRONTENDS_DIAL && !m->stopping)
		seek_later(m);
	if (m->is.once) {
		m->once_served = true;
		monitor_stop(m, 0);
	} else if (m->held) {
		monitor_stop(m, 1);
	}
}

static void on_gone(void *arg, struct device *device, enum device_state from)
{
	struct monitor *m = arg;

	if (device == m->serving && from != DEVICE_WAITING)
		session_end(m);
	else if (device == m->serving)
		m->serving = NULL; /* it never took the connection */
	if (device == m->spare)
		m->spare = NULL;
	if (m->stopping) {
		end_if_over(m);
		return;
	}
	if (from == DEVICE_STARTING && !device->discarded)
		died_early(m);
	else if (from == DEVICE_WAITING && !device->discarded)
		loop_arm(m->is.loop, &m->order_timer, PAUSE_MS);
	spare_ensure(m);
	seek(m);
}

static const struct device_owner owner = {
	.ready = on_ready,
	.serves = on_serves,
	.queue = on_queue,
	.steer = on_steer,
	.stats = on_stats,
	.gone = on_gone,
};

/* ---- what the spawner tells ---- */

static void reaped(struct monitor *m, struct device *device, int status)
{
	bool orderly;
	char words[DEATH_WORDS];

	death_describe(status, device->pid, m->is.denial, words);
	device_died(device);
	orderly = (death_orderly(status) && !device->guilt) || device->discarded;
	if (device->guilt)
		snprintf(words, sizeof(words), "killed: %s", device->guilt);
	if (!device->discarded)
		memcpy(m->last_exit, words, sizeof(words));
	log_line(orderly ? LOG_DEBUG : LOG_ERROR, "device %d: %s", device->pid, words);
	m->restarts += !orderly;
	if (m->once_served && device->serial == m->once_serial) {
		m->code = orderly ? m->code : 1;
		m->once_served = false;
	}
	spare_ensure(m);
	end_if_over(m);
}

static void seen(struct monitor *m, const struct device *device, const struct witness *witness)
{
	struct report_facts facts = {
		.witness = witness,
		.policies = m->is.policies,
		.privilege = m->is.privilege,
		.namespaces = spawner_namespaces(m->is.spawner),
		.landlock_abi = spawner_landlock(m->is.spawner),
		.degraded = spawner_degraded(m->is.spawner) | m->is.privilege->degraded,
		.channel_inode = device->channel_inode,
		.connection_inode = device->connection_inode,
	};
	char *text = report_text(&facts);

	if (!text) {
		warn("device %d: no memory for its sandbox report", device->pid);
		return;
	}
	free(m->report);
	m->report = text;
	if (m->is.report_fd >= 0)
		report_write(m->is.report_fd, text);
}

static void news_take(struct monitor *m, const struct spawner_news *news)
{
	struct device *device = NULL;
	int pidfd = news->pidfd;

	for (size_t i = 0; i < DEVICES; i++)
		if (m->devices[i].state != DEVICE_ABSENT && m->devices[i].serial == news->serial)
			device = &m->devices[i];
	if (!device) {
		fd_close(&pidfd);
		return;
	}
	switch (news->type) {
	case SPAWNER_BORN:
		device_born(device, news->pid, pidfd);
		break;
	case SPAWNER_FAILED:
		err("device %d: cannot be confined: %s: %s", device->pid, news->step,
		    strerror(news->error));
		break;
	case SPAWNER_DIED:
		reaped(m, device, news->status);
		break;
	case SPAWNER_SEEN:
		if (device->state == DEVICE_SERVING || device->state == DEVICE_ENDING)
			seen(m, device, news->witness);
		break;
	}
}

static void spawner_ready(void *arg, short revents)
{
	struct monitor *m = arg;
	int got = 1;

	(void)revents;
	for (int i = 0; i < NEWS_A_TURN && got == 1; i++) {
		struct spawner_news news;

		got = spawner_next(m->is.spawner, &news);
		if (got == 1)
			news_take(m, &news);
	}
	if (got == 1 || got == -EAGAIN)
		return;
	err("the spawner %s, and its devices with it; ending",
	    got == -EPROTO ? "broke its rules" : "ended");
	loop_remove(m->is.loop, &m->spawner_watch);
	loop_stop(m->is.loop, 1);
}

/* ---- outside ---- */

struct monitor *monitor_new(const struct monitor_options *options)
{
	struct monitor *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->is = *options;
	m->pending = -1;
	m->count.tally.rings = tally_rings(options->tap->pairs);
	m->spawner_watch = (struct watch){ .fd = spawner_fd(options->spawner),
					   .events = POLLIN,
					   .ready = spawner_ready,
					   .arg = m };
	m->frontends_watch = (struct watch){ .events = POLLIN, .ready = frontends_ready, .arg = m };
	m->order_timer = (struct timer){ .fire = order_passed, .arg = m };
	m->seek_timer = (struct timer){ .fire = seek_passed, .arg = m };
	m->farewell = (struct timer){ .fire = farewell_passed, .arg = m };
	switches_init(&m->switches, options->loop, options->tap);
	rival_init(&m->rival, options->loop, displaced, m);
	for (size_t i = 0; i < DEVICES; i++) {
		struct device *device = &m->devices[i];

		*device = (struct device){ .pidfd = -1,
					   .channel = -1,
					   .connection = -1,
					   .pairs = options->tap->pairs,
					   .loop = options->loop,
					   .owner = &owner,
					   .arg = m };
	}
	return m;
}

void monitor_begin(struct monitor *m)
{
	loop_add(m->is.loop, &m->spawner_watch);
	spare_ensure(m);
}

static struct device *device_shown(const struct monitor *m)
{
	return m->serving ? m->serving : m->spare;
}

void monitor_status(const struct monitor *m, struct monitor_status *status)
{
	const struct device *device = device_shown(m);

	*status = (struct monitor_status){
		.device = device ? device->pid : 0,
		.phase = device ? device->state : DEVICE_ABSENT,
		.pairs = m->is.tap->pairs,
		.active_pairs = tap_queues_attached(m->is.tap),
		.connections = m->connections,
		.restarts = m->restarts,
	};
	memcpy(status->last_exit, m->last_exit, sizeof(status->last_exit));
}

int monitor_count(struct monitor *m, void (*counted)(void *arg), void *arg)
{
	return count_begin(&m->count, m->serving, counted, arg);
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
	for (size_t i = 0; i < DEVICES; i++)
		if (m->devices[i].state != DEVICE_ABSENT)
			device_died(&m->devices[i]);
	rival_end(&m->rival);
	loop_remove(m->is.loop, &m->spawner_watch);
	loop_remove(m->is.loop, &m->frontends_watch);
	fd_close(&m->pending);
	free(m->report);
	free(m);
}
