/*
 * The life of one confined process. Runs in the broker's only thread, after privileges are dropped;
 * trusts the device with nothing, and the front-end not even with a read: of the connection it only
 * sees that something came and that it ended.
 *
 *              STARTING    WAITING    SERVING    ENDING
 *   READY      ready       -          -          -
 *   PONG       -           -          pong       pong
 *   STATS      -           -          stats      stats
 *   QUEUE      -           -          queue      queue
 *   EVENT      say         say        say        say
 *   STOPPED    -           -          stopped    stopped
 *   closed     end         end        end        end       -> GONE
 *   late       late        .          late       late      -> GONE
 *   hung up    .           .          hung_up    .         -> ENDING
 *   stop       discard     discard    stop       .         -> GONE, ENDING
 *
 * "-" breaks the channel's rules: the device is killed. "." cannot happen or changes nothing. PONG
 * and STATS that nobody asked for break the rules too, but for the closing account (sequence 0).
 */
#include "broker/device.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "broker/tally.h"
#include "lib/event.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/util.h"

#define READY_MS   5000
#define STOP_MS	   1000
#define HANG_UP_MS 200
#define PAUSE_MS   100 /* from the first word of a front-end to the PING */
#define ANSWER_MS  500
/* A word that the device takes before we look is never seen here: after SERVE and after every word
 * that was, PING goes on with growing pauses, until the last: a device whose front-end is silent
 * sleeps, and so do we. Those that nobody's word has caused get more time: a busy host is no dead
 * device. */
#define BEAT_MS	   400
#define LAST_MS	   3200
#define PATIENT_MS 3000
/* The time for an answer counts only as far as we run ourselves: a host that stands still has kept
 * the device from answering too. */
#define TICK_MS 100

/* A chatty device keeps the broker neither from the others nor busy: after a turn's share it is not
 * heard for a moment. */
#define MESSAGES_A_TURN 32
#define REST_MS		5
#define WORDS_AT_ONCE	32
#define WORDS_EVERY_NS	200000000ull /* five lines a second */

/* The messages are events by their number. */
enum device_event {
	ON_CLOSED = CHANNEL_TYPES,
	ON_LATE,
	ON_HUNG_UP,
	ON_STOP,
	DEVICE_EVENTS
};

typedef void step_fn(struct device *device, const struct channel_msg *msg);
static step_fn ready_step, pong_step, stats_step, queue_step, say_step, stopped_step, end_step,
	late_step, hung_up_step, stop_step, discard_step, steer_step;

static step_fn *const steps[DEVICE_EVENTS][DEVICE_STATES] = {
	[CHANNEL_READY] = { [DEVICE_STARTING] = ready_step },
	[CHANNEL_PONG] = { [DEVICE_SERVING] = pong_step, [DEVICE_ENDING] = pong_step },
	[CHANNEL_STATS] = { [DEVICE_SERVING] = stats_step, [DEVICE_ENDING] = stats_step },
	[CHANNEL_QUEUE] = { [DEVICE_SERVING] = queue_step, [DEVICE_ENDING] = queue_step },
	[CHANNEL_STEER] = { [DEVICE_SERVING] = steer_step, [DEVICE_ENDING] = steer_step },
	[CHANNEL_EVENT] = { [DEVICE_STARTING] = say_step,
			    [DEVICE_WAITING] = say_step,
			    [DEVICE_SERVING] = say_step,
			    [DEVICE_ENDING] = say_step },
	[CHANNEL_STOPPED] = { [DEVICE_SERVING] = stopped_step, [DEVICE_ENDING] = stopped_step },
	[ON_CLOSED] = { [DEVICE_STARTING] = end_step,
			[DEVICE_WAITING] = end_step,
			[DEVICE_SERVING] = end_step,
			[DEVICE_ENDING] = end_step },
	[ON_LATE] = { [DEVICE_STARTING] = late_step,
		      [DEVICE_SERVING] = late_step,
		      [DEVICE_ENDING] = late_step },
	[ON_HUNG_UP] = { [DEVICE_SERVING] = hung_up_step },
	[ON_STOP] = { [DEVICE_STARTING] = discard_step,
		      [DEVICE_WAITING] = discard_step,
		      [DEVICE_SERVING] = stop_step },
};

static const enum channel_phase phases[DEVICE_STATES] = {
	[DEVICE_STARTING] = PHASE_STARTING,
	[DEVICE_WAITING] = PHASE_WAITING,
	[DEVICE_SERVING] = PHASE_SERVING,
	[DEVICE_ENDING] = PHASE_ENDING,
};

const char *device_state_name(enum device_state state)
{
	static const char *const names[DEVICE_STATES] = { "none",    "starting", "waiting",
							  "serving", "ending",	 "gone" };

	return names[state];
}

static void step(struct device *device, unsigned event, const struct channel_msg *msg)
{
	step_fn *fn = steps[event][device->state];

	if (fn)
		fn(device, msg);
	else if (msg)
		device_kill(device, "broke the rules of its channel");
}

static void deadline_set(struct device *device, unsigned ms, const char *late)
{
	device->late = late;
	loop_arm(device->loop, &device->deadline, ms);
}

/* ---- the end ---- */

/* Before the device dies, so that the last reference to a hostile front-end's descriptors, closing
 * which can hang, is the device's and not ours. */
static void connection_end(struct device *device)
{
	loop_remove(device->loop, &device->connection_watch);
	if (device->connection >= 0)
		shutdown(device->connection, SHUT_RDWR);
	fd_close(&device->connection);
}

static void device_gone(struct device *device)
{
	enum device_state from = device->state;

	device->state = DEVICE_GONE;
	connection_end(device);
	if (device->pidfd >= 0)
		pidfd_send_signal(device->pidfd, SIGKILL, NULL, 0);
	loop_remove(device->loop, &device->channel_watch);
	loop_disarm(device->loop, &device->deadline);
	loop_disarm(device->loop, &device->ping);
	loop_disarm(device->loop, &device->answer);
	loop_disarm(device->loop, &device->rest);
	fd_close(&device->channel);
	if (device->unlogged)
		warn("%s %d: events that were not logged: %u", device->what, device->pid,
		     device->unlogged);
	device->owner->gone(device->arg, device, from);
}

void device_kill(struct device *device, const char *guilt)
{
	if (device->state == DEVICE_GONE || device->state == DEVICE_ABSENT)
		return;
	device->guilt = guilt;
	err("%s %d: %s; killed", device->what, device->pid, guilt);
	device_gone(device);
}

static void end_step(struct device *device, const struct channel_msg *msg)
{
	(void)msg;
	device_gone(device);
}

static void discard_step(struct device *device, const struct channel_msg *msg)
{
	(void)msg;
	device->discarded = true;
	device_gone(device);
}

static void late_step(struct device *device, const struct channel_msg *msg)
{
	(void)msg;
	device_kill(device, device->late);
}

/* One that has just ended with its connection is on its way out already: that its channel has ended
 * is read in its turn. */
static bool refuses(int error)
{
	return error && error != -EPIPE && error != -ECONNRESET;
}

static void stop_step(struct device *device, const struct channel_msg *msg)
{
	struct channel_msg stop = { .type = CHANNEL_STOP, .seq = ++device->seq };
	int error = channel_send(device->channel, &stop, NULL, 0);

	(void)msg;
	if (refuses(error)) {
		device_kill(device, "does not take STOP");
		return;
	}
	device->state = DEVICE_ENDING;
	loop_remove(device->loop, &device->connection_watch);
	deadline_set(device, STOP_MS, "did not stop in time");
}

static void hung_up_step(struct device *device, const struct channel_msg *msg)
{
	(void)msg;
	device->state = DEVICE_ENDING;
	loop_remove(device->loop, &device->connection_watch);
	deadline_set(device, HANG_UP_MS + device->patience, "did not end with its connection");
}

static void stopped_step(struct device *device, const struct channel_msg *msg)
{
	if (device->stopped) {
		device_kill(device, "broke the rules of its channel: STOPPED twice");
		return;
	}
	device->stopped = true;
	if (device->state == DEVICE_SERVING)
		hung_up_step(device, msg);
}

/* ---- what it says ---- */

static void ready_step(struct device *device, const struct channel_msg *msg)
{
	debug("%s %d: ready: %u threads, Landlock ABI %u", device->what, device->pid,
	      msg->ready.threads, msg->ready.landlock_abi);
	loop_disarm(device->loop, &device->deadline);
	device->state = DEVICE_WAITING;
	device->owner->ready(device->arg, device);
}

static void ping_later(struct device *device)
{
	if (device->pause > LAST_MS) {
		loop_disarm(device->loop, &device->ping);
		return;
	}
	loop_arm(device->loop, &device->ping, device->pause);
	device->answer_ms = device->pause == BEAT_MS ? ANSWER_MS : PATIENT_MS;
	device->pause *= 2;
}

static void pong_step(struct device *device, const struct channel_msg *msg)
{
	if (!device->pinged || msg->seq != device->ping_seq) {
		device_kill(device, "broke the rules of its channel: PONG to no PING");
		return;
	}
	device->pinged = false;
	ping_later(device);
	device->connection_watch.events = POLLIN | POLLRDHUP;
	if (device->introduced)
		return;
	device->introduced = true;
	device->owner->serves(device->arg, device);
}

/* Sequence 0 asks for nothing: the account of a ring that a device gives before it ends. */
static void closing_account(struct device *device, const struct channel_stats *stats)
{
	if (device->accounts++ == tally_rings(device->pairs) ||
	    device->owner->stats(device->arg, device, stats))
		device_kill(device, "broke the rules of its channel: an account that cannot be");
}

static void stats_step(struct device *device, const struct channel_msg *msg)
{
	if (!msg->seq) {
		closing_account(device, &msg->stats);
		return;
	}
	if (!device->asked || msg->seq != device->ask_seq || msg->stats.ring != device->ask_ring) {
		device_kill(device, "broke the rules of its channel: STATS that nobody asked for");
		return;
	}
	device->asked = false;
	loop_disarm(device->loop, &device->answer);
	if (device->owner->stats(device->arg, device, &msg->stats))
		device_kill(device, "told counters that went back");
}

static void steer_step(struct device *device, const struct channel_msg *msg)
{
	if (msg->steer.on > 1)
		device_kill(device, "broke the rules of its channel: STEER neither on nor off");
	else
		device->owner->steer(device->arg, device, msg->steer.on);
}

static void queue_step(struct device *device, const struct channel_msg *msg)
{
	if (msg->queue.pair >= device->pairs || msg->queue.attach > 1) {
		device_kill(device, "broke the rules of its channel: QUEUE of no pair");
		return;
	}
	device->owner->queue(device->arg, device, msg->queue.pair, msg->queue.attach);
}

static void say_step(struct device *device, const struct channel_msg *msg)
{
	char line[160];
	enum log_level level =
		event_describe(msg->event.code, msg->event.a, msg->event.b, line, sizeof(line));

	/* What nobody wants to see must not cost what somebody does. */
	if (!log_shows(level))
		return;
	if (!bucket_take(&device->words, loop_now())) {
		device->unlogged++;
		return;
	}
	if (device->unlogged)
		warn("%s %d: events that were not logged: %u", device->what, device->pid,
		     device->unlogged);
	device->unlogged = 0;
	log_line(level, "%s %d: %s", device->what, device->pid, line);
}

/* ---- what the loop sees ---- */

static void channel_ready(void *arg, short revents)
{
	struct device *device = arg;

	(void)revents;
	for (int i = 0; i < MESSAGES_A_TURN && device->channel >= 0; i++) {
		struct channel_msg msg = { 0 };
		size_t no_fds = 0;
		int got = channel_recv(device->channel, CHANNEL_BROKER, phases[device->state], &msg,
				       NULL, &no_fds);

		if (got == -EAGAIN || got == -EINTR)
			return;
		if (got == -EPROTO)
			device_kill(device, "broke the rules of its channel");
		else if (got <= 0)
			step(device, ON_CLOSED, NULL);
		else
			step(device, msg.type, &msg);
	}
	if (device->channel < 0)
		return;
	loop_remove(device->loop, &device->channel_watch);
	loop_arm(device->loop, &device->rest, REST_MS);
}

static void rest_passed(void *arg)
{
	struct device *device = arg;

	if (loop_add(device->loop, &device->channel_watch))
		device_kill(device, "cannot be watched");
}

static void connection_ready(void *arg, short revents)
{
	struct device *device = arg;

	if (revents & (POLLRDHUP | POLLHUP | POLLERR)) {
		step(device, ON_HUNG_UP, NULL);
		return;
	}
	/* Data that waits would wake us for ever: look away until the device has shown life. */
	device->connection_watch.events = POLLRDHUP;
	device->pause = BEAT_MS;
	if (device->pinged)
		return;
	device->answer_ms = ANSWER_MS;
	loop_arm(device->loop, &device->ping, PAUSE_MS);
}

static void deadline_passed(void *arg)
{
	step(arg, ON_LATE, NULL);
}

static void ping_send(struct device *device)
{
	struct channel_msg ping = { .type = CHANNEL_PING, .seq = ++device->seq };

	if (refuses(channel_send(device->channel, &ping, NULL, 0))) {
		device_kill(device, "does not take PING");
		return;
	}
	device->ping_seq = ping.seq;
	device->pinged = true;
	device->ticks = (device->answer_ms + device->patience) / TICK_MS;
	loop_arm(device->loop, &device->ping, TICK_MS);
}

static void ping_passed(void *arg)
{
	struct device *device = arg;

	if (!device->pinged)
		ping_send(device);
	else if (!--device->ticks)
		device_kill(device, "did not answer PING in time");
	else
		loop_arm(device->loop, &device->ping, TICK_MS);
}

static void answer_passed(void *arg)
{
	device_kill(arg, "did not tell its counters in time");
}

/* ---- what the monitor does with it ---- */

static uint64_t inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 ? 0 : st.st_ino;
}

void device_begin(struct device *device, int channel)
{
	device->state = DEVICE_STARTING;
	device->pid = device->inner = 0;
	device->pidfd = device->connection = -1;
	device->channel = channel;
	device->guilt = NULL;
	device->pinged = device->introduced = device->asked = device->stopped = device->discarded =
		false;
	device->unlogged = device->accounts = 0;
	device->pause = BEAT_MS;
	device->answer_ms = ANSWER_MS;
	device->channel_watch = (struct watch){
		.fd = channel, .events = POLLIN, .ready = channel_ready, .arg = device
	};
	device->deadline = (struct timer){ .fire = deadline_passed, .arg = device };
	device->ping = (struct timer){ .fire = ping_passed, .arg = device };
	device->answer = (struct timer){ .fire = answer_passed, .arg = device };
	device->rest = (struct timer){ .fire = rest_passed, .arg = device };
	bucket_fill(&device->words, WORDS_AT_ONCE, WORDS_EVERY_NS, loop_now());
	deadline_set(device, READY_MS, "was not ready in time");
	if (loop_add(device->loop, &device->channel_watch))
		device_kill(device, "cannot be watched");
}

void device_born(struct device *device, pid_t pid, pid_t inner, int pidfd)
{
	device->pid = pid;
	device->inner = inner;
	device->pidfd = pidfd;
	if (device->state == DEVICE_GONE) /* it was given up before it was there */
		pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
}

int device_serve(struct device *device, int connection, const struct channel_serve *serve,
		 const int *fds, size_t nfds)
{
	struct channel_msg msg = { .type = CHANNEL_SERVE, .seq = ++device->seq, .serve = *serve };
	int all[CHANNEL_FDS_MAX];
	int error;

	all[0] = connection;
	memcpy(&all[1], fds, nfds * sizeof(int));
	error = channel_send(device->channel, &msg, all, 1 + nfds);
	if (error) {
		device_kill(device, "does not take SERVE");
		return error;
	}
	device->state = DEVICE_SERVING;
	device->connection = connection;
	device->connection_inode = inode_of(connection);
	device->backend_inode = device->pairs ? 0 : inode_of(fds[0]);
	device->connection_watch = (struct watch){
		.fd = connection, .events = POLLRDHUP, .ready = connection_ready, .arg = device
	};
	if (loop_add(device->loop, &device->connection_watch))
		device_kill(device, "cannot be watched");
	else
		ping_send(device);
	return 0;
}

void device_link(struct device *device, bool up, unsigned mtu)
{
	struct channel_msg link = { .type = CHANNEL_LINK,
				    .seq = ++device->seq,
				    .link = { .up = up, .mtu = mtu } };

	if (device->state != DEVICE_SERVING)
		return;
	if (refuses(channel_send(device->channel, &link, NULL, 0)))
		device_kill(device, "does not take LINK");
}

int device_backend(struct device *device, int backend)
{
	struct channel_msg msg = { .type = CHANNEL_BACKEND, .seq = ++device->seq };
	int error = channel_send(device->channel, &msg, &backend, 1);

	if (error)
		device_kill(device, "does not take BACKEND");
	else
		device->backend_inode = inode_of(backend);
	return error;
}

int device_ask(struct device *device, uint32_t ring)
{
	struct channel_msg ask = { .type = CHANNEL_ASK_STATS,
				   .seq = ++device->seq,
				   .ask_stats = { .ring = ring } };
	int error;

	if (device->asked)
		return -EBUSY;
	error = channel_send(device->channel, &ask, NULL, 0);
	if (error)
		return error;
	device->asked = true;
	device->ask_seq = ask.seq;
	device->ask_ring = ring;
	loop_arm(device->loop, &device->answer, ANSWER_MS);
	return 0;
}

void device_stop(struct device *device)
{
	step(device, ON_STOP, NULL);
}

void device_died(struct device *device)
{
	for (int turns = 0; device->channel >= 0 && turns < 8; turns++)
		channel_ready(device, POLLIN);
	if (device->state != DEVICE_GONE)
		device_gone(device);
	fd_close(&device->pidfd);
	device->state = DEVICE_ABSENT;
}
