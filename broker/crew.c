/*
 * Who serves and who waits. Runs in the broker's only thread, after privileges are dropped. Trusts
 * the spawner to tell which process it made, and those processes with nothing (device.c judges
 * them).
 *
 *   no spare  --order-->  spare STARTING  --READY-->  spare WAITING  --crew_take()-->  serving
 *      ^                       |                           |                             |
 *      +--- after a pause -----+ gone                      + gone                        + gone
 */
#include "broker/crew.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "lib/fd.h"
#include "lib/log.h"
#include "lib/util.h"

#define EARLY_DEATHS 10 /* in a row, before READY: then no more are made */
#define PAUSE_MS     100
#define PAUSE_MAX_MS 5000
#define NEWS_A_TURN  16

/* ---- the spare ---- */

static struct device *place_free(struct crew *crew)
{
	for (size_t i = 0; i < CREW_PLACES; i++)
		if (crew->places[i].state == DEVICE_ABSENT)
			return &crew->places[i];
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

/* One that was not ready is gone, or none could be ordered. */
static void died_early(struct crew *crew)
{
	crew->early_deaths++;
	if (crew->early_deaths < EARLY_DEATHS) {
		loop_arm(crew->is.loop, &crew->order, pause_after(crew->early_deaths));
		return;
	}
	err("%d %ss in a row died before they were ready; no more are made", EARLY_DEATHS,
	    crew->is.what);
	crew->held = true;
	crew->is.owner->hopeless(crew->is.arg);
}

static int spare_order(struct crew *crew, struct device *device)
{
	struct stat st;
	int ends[2];
	int error;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return -errno;
	device->channel_inode = fstat(ends[1], &st) ? 0 : st.st_ino;
	error = spawner_spawn(crew->is.spawner, ends[1], &device->serial);
	fd_close(&ends[1]);
	if (error) {
		fd_close(&ends[0]);
		return error;
	}
	crew->spare = device;
	device_begin(device, fd_take(&ends[0]));
	return 0;
}

void crew_fill(struct crew *crew)
{
	struct device *place = place_free(crew);
	int error;

	if (crew->spare || crew->closed || crew->held || crew->order.armed)
		return;
	if (!place) {
		err("%d killed %ss are not gone yet; waiting for one", CREW_PLACES - 1,
		    crew->is.what);
		return; /* the next death asks again */
	}
	error = spare_order(crew, place);
	if (!error)
		return;
	err("cannot order a %s: %s", crew->is.what, strerror(-error));
	died_early(crew);
}

static void order_passed(void *arg)
{
	crew_fill(arg);
}

bool crew_waits(const struct crew *crew)
{
	return crew->spare && crew->spare->state == DEVICE_WAITING;
}

struct device *crew_take(struct crew *crew)
{
	crew->serving = crew->spare;
	crew->spare = NULL;
	return crew->serving;
}

void crew_lose(struct crew *crew, struct device *device, enum device_state from)
{
	if (device == crew->serving) {
		crew->serving = NULL;
		free(crew->witness);
		crew->witness = NULL;
	}
	if (device == crew->spare)
		crew->spare = NULL;
	if (from != DEVICE_STARTING)
		crew->early_deaths = 0;
	if (crew->closed || device->discarded)
		return;
	if (from == DEVICE_STARTING)
		died_early(crew);
	else if (from == DEVICE_WAITING)
		loop_arm(crew->is.loop, &crew->order, PAUSE_MS);
}

/* ---- what the spawner tells ---- */

static void reaped(struct crew *crew, struct device *device, int status)
{
	bool orderly;
	char words[DEATH_WORDS];

	death_describe(status, device->inner, crew->is.denial, words);
	device_died(device);
	orderly = (death_orderly(status) && !device->guilt) || device->discarded;
	if (device->guilt)
		snprintf(words, sizeof(words), "killed: %s", device->guilt);
	if (!device->discarded)
		memcpy(crew->last_exit, words, sizeof(words));
	log_line(orderly ? LOG_DEBUG : LOG_ERROR, "%s %d: %s", crew->is.what, device->pid, words);
	crew->restarts += !orderly;
	crew_fill(crew);
	crew->is.owner->reaped(crew->is.arg, device, orderly);
}

/* Only of the one that serves: an account may come late. */
static void seen(struct crew *crew, struct device *device, const struct witness *witness)
{
	if (device != crew->serving)
		return;
	if (!crew->witness)
		crew->witness = malloc(sizeof(*crew->witness));
	if (!crew->witness) {
		warn("%s %d: no memory for its sandbox report", crew->is.what, device->pid);
		return;
	}
	*crew->witness = *witness;
	crew->is.owner->seen(crew->is.arg, device);
}

static void news_take(struct crew *crew, const struct spawner_news *news)
{
	struct device *device = NULL;
	int pidfd = news->pidfd;

	for (size_t i = 0; i < CREW_PLACES; i++)
		if (crew->places[i].state != DEVICE_ABSENT &&
		    crew->places[i].serial == news->serial)
			device = &crew->places[i];
	if (!device) {
		fd_close(&pidfd);
		return;
	}
	switch (news->type) {
	case SPAWNER_BORN:
		device_born(device, news->pid, news->inner, pidfd);
		break;
	case SPAWNER_FAILED:
		err("%s %d: cannot be confined: %s: %s", crew->is.what, device->pid, news->step,
		    strerror(news->error));
		break;
	case SPAWNER_DIED:
		reaped(crew, device, news->status);
		break;
	case SPAWNER_SEEN:
		seen(crew, device, news->witness);
		break;
	}
}

static void news_ready(void *arg, short revents)
{
	struct crew *crew = arg;
	int got = 1;

	(void)revents;
	for (int i = 0; i < NEWS_A_TURN && got == 1; i++) {
		struct spawner_news news;

		got = spawner_next(crew->is.spawner, &news);
		if (got == 1)
			news_take(crew, &news);
	}
	if (got == 1 || got == -EAGAIN)
		return;
	err("the spawner of %ss %s, and all of them with it; ending", crew->is.what,
	    got == -EPROTO ? "broke its rules" : "ended");
	loop_remove(crew->is.loop, &crew->news);
	crew->is.owner->orphaned(crew->is.arg);
}

/* ---- outside ---- */

void crew_init(struct crew *crew, const struct crew_options *options)
{
	*crew = (struct crew){ .is = *options };
	crew->order = (struct timer){ .fire = order_passed, .arg = crew };
	for (size_t i = 0; i < CREW_PLACES; i++)
		crew->places[i] = (struct device){ .what = options->what,
						   .pidfd = -1,
						   .channel = -1,
						   .connection = -1,
						   .pairs = options->pairs,
						   .patience = options->patience,
						   .loop = options->loop,
						   .owner = options->life,
						   .arg = options->life_arg };
}

void crew_begin(struct crew *crew)
{
	crew->news = (struct watch){ .fd = spawner_fd(crew->is.spawner),
				     .events = POLLIN,
				     .ready = news_ready,
				     .arg = crew };
	loop_add(crew->is.loop, &crew->news);
	crew_fill(crew);
}

void crew_inspect(const struct crew *crew, const struct device *device)
{
	if (device->pid && spawner_inspect(crew->is.spawner, device->serial, device->pid))
		warn("%s %d: the spawner does not look at it", crew->is.what, device->pid);
}

void crew_displace(struct crew *crew)
{
	if (!crew->serving)
		return;
	warn("front-end: %s %d: its process is gone, its connection is held open; ended for the next",
	     crew->is.what, crew->serving->pid);
	device_stop(crew->serving);
}

void crew_replace(struct crew *crew)
{
	struct device *serving = crew->serving;

	if (crew->spare)
		device_stop(crew->spare);
	if (serving)
		device_stop(serving);
}

void crew_close(struct crew *crew)
{
	crew->closed = true;
	loop_disarm(crew->is.loop, &crew->order);
	for (size_t i = 0; i < CREW_PLACES; i++)
		if (crew->places[i].state != DEVICE_ABSENT)
			device_stop(&crew->places[i]);
}

bool crew_any(const struct crew *crew, bool living)
{
	for (size_t i = 0; i < CREW_PLACES; i++)
		if (crew->places[i].state != DEVICE_ABSENT &&
		    (!living || crew->places[i].state != DEVICE_GONE))
			return true;
	return false;
}

const struct device *crew_shown(const struct crew *crew)
{
	return crew->serving ? crew->serving : crew->spare;
}

void crew_end(struct crew *crew)
{
	crew->closed = true;
	for (size_t i = 0; i < CREW_PLACES; i++)
		if (crew->places[i].state != DEVICE_ABSENT)
			device_died(&crew->places[i]);
	loop_remove(crew->is.loop, &crew->news);
	loop_disarm(crew->is.loop, &crew->order);
	free(crew->witness);
	crew->witness = NULL;
}
