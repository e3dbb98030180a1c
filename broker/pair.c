/*
 * The transports' half of supervision. Runs in the broker's only thread, after privileges are
 * dropped; trusts transports as little as devices, and reads no byte of what passes between them: a
 * pair of sockets without a name, whose ends the two of them hold.
 */
#include "broker/pair.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/fd.h"
#include "lib/log.h"

/* A transport that waits for a device which hangs is itself not heard of until the device has been
 * given up: that takes as long as a device may be silent. Still less than the second in which the
 * next VMM is served. */
#define PATIENCE_MS 500

static const char unlawful[] = "broke the rules of its channel: it has no rings";

static void on_ready(void *arg, struct device *transport)
{
	struct pair *pair = arg;

	(void)transport;
	pair->is.changed(pair->is.arg);
}

static void on_serves(void *arg, struct device *transport)
{
	struct pair *pair = arg;

	if (pair->is.inspect)
		crew_inspect(&pair->crew, transport);
}

static void on_queue(void *arg, struct device *transport, unsigned number, bool attach)
{
	(void)arg, (void)number, (void)attach;
	device_kill(transport, unlawful);
}

static void on_steer(void *arg, struct device *transport, bool on)
{
	(void)arg, (void)on;
	device_kill(transport, unlawful);
}

static int on_stats(void *arg, struct device *transport, const struct channel_stats *stats)
{
	(void)arg, (void)transport, (void)stats;
	return -EPROTO;
}

static void on_gone(void *arg, struct device *transport, enum device_state from)
{
	struct pair *pair = arg;
	bool served = transport == pair->crew.serving && from != DEVICE_WAITING;

	crew_lose(&pair->crew, transport, from);
	if (served) {
		rival_end(&pair->rival);
		pair->is.over(pair->is.arg, transport);
	}
	crew_fill(&pair->crew);
	pair->is.changed(pair->is.arg);
}

static const struct device_owner life = {
	.ready = on_ready,
	.serves = on_serves,
	.queue = on_queue,
	.steer = on_steer,
	.stats = on_stats,
	.gone = on_gone,
};

static void displaced(void *arg)
{
	struct pair *pair = arg;

	crew_displace(&pair->crew);
}

bool pair_wants(const struct pair *pair)
{
	const struct device *serving = pair->crew.serving;

	return serving ? serving->state == DEVICE_SERVING : crew_waits(&pair->crew);
}

int pair_fd(const struct pair *pair)
{
	return pair->crew.serving ? -1 : frontends_fd(pair->is.clients);
}

/* A VMM and the back-end's socket go to the spare; the VMM is kept for the next where that fails.
 */
static int begin(struct pair *pair, int client, int backend)
{
	const struct channel_serve serve = { .pairs = 1 };
	struct device *transport = crew_take(&pair->crew);
	int error = device_serve(transport, client, &serve, &backend, 1);

	if (error) {
		pair->pending = client;
		return error;
	}
	pair->connections++;
	rival_begin(&pair->rival, client, frontends_fd(pair->is.clients));
	info("transport %d: serves connection %llu", transport->pid,
	     (unsigned long long)pair->connections);
	if (!pair->is.once)
		crew_fill(&pair->crew);
	return 0;
}

int pair_next(struct pair *pair)
{
	struct device *serving = pair->crew.serving;
	int client = -1, error, ends[2];

	if (!pair_wants(pair))
		return -EAGAIN;
	if (!serving)
		client = pair->pending >= 0 ? fd_take(&pair->pending)
					    : frontends_next(pair->is.clients);
	if (!serving && client < 0)
		return client;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
		error = -errno;
		warn("cannot connect a transport and a device: %s", strerror(-error));
		pair->pending = client;
		return error;
	}
	error = serving ? device_backend(serving, ends[0]) : begin(pair, client, ends[0]);
	fd_close(&ends[0]);
	if (!error)
		return ends[1];
	fd_close(&ends[1]);
	return -EAGAIN;
}

void pair_init(struct pair *pair, const struct pair_options *options)
{
	struct crew_options crew = { .what = "transport",
				     .loop = options->loop,
				     .spawner = options->spawner,
				     .denial = options->denial,
				     .patience = PATIENCE_MS,
				     .owner = options->owner,
				     .arg = options->arg,
				     .life = &life,
				     .life_arg = pair };

	*pair = (struct pair){ .is = *options, .pending = -1 };
	crew_init(&pair->crew, &crew);
	rival_init(&pair->rival, options->loop, displaced, pair);
}

void pair_end(struct pair *pair)
{
	crew_end(&pair->crew);
	rival_end(&pair->rival);
	fd_close(&pair->pending);
}
