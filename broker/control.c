/*
 * The status socket. Runs in the broker's only thread, after privileges are dropped; the only part
 * of the broker that allocates while it serves, bounded by CLIENTS. Trusts its clients, whom the
 * socket's mode lets in, to be the administrator, but not to be quick.
 */
#include "broker/control.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "broker/answer.h"
#include "broker/guard.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/util.h"

#define CLIENTS	  8
#define CLIENT_MS 5000 /* from connecting to the last byte taken */
#define PAUSE_MS  1000

struct client {
	struct control *control;
	struct watch watch; /* watch.fd is owned, -1: a free place */
	struct timer deadline;
	char line[CONTROL_LINE_MAX];
	size_t got;
	char *answer; /* owned; NULL while it is still asked for */
	size_t length, sent;
	bool counting; /* waits for the counters */
};

struct control {
	struct control_options is;
	struct watch watch;
	struct timer pause; /* after a failure to accept */
	struct client clients[CLIENTS];
};

/* ---- one client ---- */

static struct client *place_free(struct control *control)
{
	for (size_t i = 0; i < CLIENTS; i++)
		if (control->clients[i].watch.fd < 0)
			return &control->clients[i];
	return NULL;
}

static void client_end(struct client *client)
{
	struct control *control = client->control;

	loop_remove(control->is.loop, &client->watch);
	loop_disarm(control->is.loop, &client->deadline);
	fd_close(&client->watch.fd);
	free(client->answer);
	client->answer = NULL;
	client->counting = false;
	loop_add(control->is.loop, &control->watch); /* there is room again */
}

/* Takes text; NULL hangs up. */
static void client_answer(struct client *client, char *text)
{
	client->answer = text;
	client->length = text ? strlen(text) : 0;
	client->sent = 0;
	client->counting = false;
	client->watch.events = POLLOUT;
	if (!text)
		client_end(client);
}

static void client_write(struct client *client)
{
	ssize_t n = send(client->watch.fd, client->answer + client->sent,
			 client->length - client->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0)
		client->sent += (size_t)n;
	if (n <= 0 || client->sent == client->length)
		client_end(client);
}

/* ---- the verbs ---- */

static void on_status(struct client *client)
{
	const struct control_options *is = &client->control->is;
	struct monitor_status status;

	monitor_status(is->monitor, &status);
	client_answer(client, answer_status(&status, is->tap->name, is->socket_path));
}

static void counted(void *arg)
{
	struct control *control = arg;
	const struct tally *tally = monitor_tally(control->is.monitor);

	for (size_t i = 0; i < CLIENTS; i++)
		if (control->clients[i].counting)
			client_answer(&control->clients[i],
				      answer_stats(tally, control->is.tap->name,
						   guard_counts(control->is.guard)));
}

static void on_stats(struct client *client)
{
	client->counting = true;
	client->watch.events = 0;
	/* -EBUSY: another client has asked, and counted() answers both. */
	monitor_count(client->control->is.monitor, counted, client->control);
}

static void on_sandbox(struct client *client)
{
	const char *report = monitor_report(client->control->is.monitor);

	client_answer(client, report ? strdup(report) : answer_error("no device has served yet"));
}

static void on_restart(struct client *client)
{
	monitor_restart(client->control->is.monitor);
	client_answer(client, answer_done());
}

static const struct {
	const char *name;
	void (*run)(struct client *client);
} verbs[] = {
	{ "status", on_status },
	{ "stats", on_stats },
	{ "sandbox", on_sandbox },
	{ "restart", on_restart },
};

static void line_run(struct client *client)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (!strcmp(client->line, verbs[i].name)) {
			verbs[i].run(client);
			return;
		}
	}
	client_answer(client, answer_error("ask for status, stats, sandbox or restart"));
}

static void client_read(struct client *client)
{
	ssize_t n = recv(client->watch.fd, client->line + client->got,
			 sizeof(client->line) - 1 - client->got, MSG_DONTWAIT);
	char *end;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		client_end(client);
		return;
	}
	client->got += (size_t)n;
	client->line[client->got] = '\0';
	end = strchr(client->line, '\n');
	if (end)
		*end = '\0';
	if (end || client->got == sizeof(client->line) - 1)
		line_run(client);
}

static void client_ready(void *arg, short revents)
{
	struct client *client = arg;

	if (revents & (POLLHUP | POLLERR) && !(revents & (POLLIN | POLLOUT)))
		client_end(client);
	else if (client->answer)
		client_write(client);
	else
		client_read(client);
}

static void client_late(void *arg)
{
	client_end(arg);
}

/* ---- the socket ---- */

static void client_begin(struct client *client, int fd)
{
	struct control *control = client->control;

	client->watch =
		(struct watch){ .fd = fd, .events = POLLIN, .ready = client_ready, .arg = client };
	client->deadline = (struct timer){ .fire = client_late, .arg = client };
	client->got = 0;
	loop_arm(control->is.loop, &client->deadline, CLIENT_MS);
	if (loop_add(control->is.loop, &client->watch))
		client_end(client);
}

static void listener_ready(void *arg, short revents)
{
	struct control *control = arg;
	struct client *client = place_free(control);
	int fd;

	(void)revents;
	if (!client) { /* the next one waits in the backlog until one has left */
		loop_remove(control->is.loop, &control->watch);
		return;
	}
	fd = listen_accept(control->is.listener);
	if (fd >= 0) {
		client_begin(client, fd);
	} else if (fd != -EAGAIN && fd != -ECONNABORTED) {
		warn("--control: cannot accept: %s", strerror(-fd));
		loop_remove(control->is.loop, &control->watch);
		loop_arm(control->is.loop, &control->pause, PAUSE_MS);
	}
}

static void pause_passed(void *arg)
{
	struct control *control = arg;

	loop_add(control->is.loop, &control->watch);
}

struct control *control_new(void)
{
	struct control *control = calloc(1, sizeof(*control));

	if (!control)
		return NULL;
	json_object_seed(0);
	for (size_t i = 0; i < CLIENTS; i++) {
		control->clients[i].control = control;
		control->clients[i].watch.fd = -1;
	}
	return control;
}

void control_begin(struct control *control, const struct control_options *options)
{
	control->is = *options;
	control->watch = (struct watch){ .fd = options->listener->fd,
					 .events = POLLIN,
					 .ready = listener_ready,
					 .arg = control };
	control->pause = (struct timer){ .fire = pause_passed, .arg = control };
	loop_add(control->is.loop, &control->watch);
}

void control_free(struct control *control)
{
	if (!control)
		return;
	for (size_t i = 0; i < CLIENTS; i++)
		if (control->clients[i].watch.fd >= 0)
			client_end(&control->clients[i]);
	if (control->is.loop) {
		loop_remove(control->is.loop, &control->watch);
		loop_disarm(control->is.loop, &control->pause);
	}
	free(control);
}
