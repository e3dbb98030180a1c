/*
 * Parsing of airlock-device's command line. Runs first, in the only thread; trusts its launcher,
 * but checks that what it names can serve, so that a mistake is told where it can still be read.
 */
#include "device/options.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cpus.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/option.h"
#include "lib/tun.h"
#include "lib/util.h"

enum {
	OPT_FD = 256,
	OPT_TAP,
	OPT_CHANNEL,
	OPT_FILTER,
	OPT_PAIRS,
	OPT_SIZE,
	OPT_MTU,
	OPT_MAC,
	OPT_SEALED,
	OPT_COALESCE,
	OPT_POLL,
	OPT_AFFINITY,
	OPT_DEGRADED
};

static const struct option long_options[] = {
	{ "fd", required_argument, NULL, OPT_FD },
	{ "tap-fd", required_argument, NULL, OPT_TAP },
	{ "channel-fd", required_argument, NULL, OPT_CHANNEL },
	{ "filter-fd", required_argument, NULL, OPT_FILTER },
	{ "queue-pairs", required_argument, NULL, OPT_PAIRS },
	{ "queue-size", required_argument, NULL, OPT_SIZE },
	{ "mtu", required_argument, NULL, OPT_MTU },
	{ "mac", required_argument, NULL, OPT_MAC },
	{ "require-sealed", no_argument, NULL, OPT_SEALED },
	{ "coalesce", required_argument, NULL, OPT_COALESCE },
	{ "poll-us", required_argument, NULL, OPT_POLL },
	{ "affinity", required_argument, NULL, OPT_AFFINITY },
	{ "allow-degraded", required_argument, NULL, OPT_DEGRADED },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ 0 },
};

static void help(void)
{
	puts("airlock-device: the confined half of Airlock, a vhost-user-net back-end (normally started by airlock-broker)\n"
	     "\n"
	     "  --fd=N              connected vhost-user socket\n"
	     "  --tap-fd=N          TAP queue, once per queue pair\n"
	     "  --channel-fd=N      channel to a broker, which brings socket and TAP queues later\n"
	     "  --filter-fd=ROLE:N  compiled seccomp filter of role control or worker\n"
	     "  --queue-pairs=N     pairs to be ready for with --channel-fd (1)\n"
	     "  --queue-size=N      largest ring accepted, a power of two up to 32768 (1024)\n"
	     "  --mtu=N             MTU offered to the guest (1500)\n"
	     "  --mac=MAC           address offered to the guest\n"
	     "  --require-sealed    refuse guest memory that its owner could shrink\n"
	     "  --coalesce=on|off   join transmitted frames of a flow into GSO frames (on)\n"
	     "  --poll-us=N         look on for so long after work before sleeping (0)\n"
	     "  --affinity=LIST     CPUs of the workers, by turns\n"
	     "  --allow-degraded=NAME,...  go on without: seccomp, landlock\n"
	     "  --help, --version\n"
	     "\n"
	     "Exit status: 0 orderly end, 1 failure, 2 usage, 3 a worker thread did not answer. See airlock-device(8).");
	exit(0);
}

static void filter(struct options *o, const char *text)
{
	static const char *const roles[] = {
		[FILTER_CONTROL] = "control:", [FILTER_WORKER] = "worker:"
	};

	for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
		if (strncmp(text, roles[i], strlen(roles[i])))
			continue;
		o->filters[i] = option_descriptor("filter-fd", text + strlen(roles[i]));
		return;
	}
	die(2, "--filter-fd=%s: give control:N or worker:N", text);
}

static void affinity(struct options *o, const char *text)
{
	int bad, n = cpus_parse(text, o->cpus, ARRAY_SIZE(o->cpus), &bad);

	if (n < 0 && bad >= 0)
		die(2, "--affinity=%s: CPU %d is none that this process may run on", text, bad);
	if (n < 0)
		die(2, "--affinity=%s: give CPUs such as 0,2-5", text);
	o->ncpus = (unsigned int)n;
}

static void option_take(struct options *o, int c)
{
	switch (c) {
	case OPT_FD:
		o->socket = option_descriptor("fd", optarg);
		break;
	case OPT_TAP:
		if (o->ntaps == ARRAY_SIZE(o->taps))
			die(2, "--tap-fd=%s: at most %zu queue pairs", optarg, ARRAY_SIZE(o->taps));
		o->taps[o->ntaps++] = option_descriptor("tap-fd", optarg);
		break;
	case OPT_CHANNEL:
		o->channel = option_descriptor("channel-fd", optarg);
		break;
	case OPT_FILTER:
		filter(o, optarg);
		break;
	case OPT_PAIRS:
		o->net.pairs = (uint32_t)option_number("queue-pairs", optarg, 1, CHANNEL_PAIRS_MAX);
		break;
	case OPT_SIZE:
		o->net.queue_size = (uint32_t)option_number("queue-size", optarg, 1, RING_SIZE_MAX);
		if (!is_power_of_two(o->net.queue_size))
			die(2, "--queue-size=%s: give a power of two", optarg);
		break;
	case OPT_MTU:
		o->net.mtu = (uint16_t)option_number("mtu", optarg, 68, 65535);
		break;
	case OPT_MAC:
		option_mac("mac", optarg, o->net.mac);
		break;
	case OPT_SEALED:
		o->require_sealed = true;
		break;
	case OPT_COALESCE:
		o->coalesce = option_switch("coalesce", optarg);
		break;
	case OPT_POLL:
		o->poll_us = (unsigned int)option_number("poll-us", optarg, 0, OPTION_POLL_US_MAX);
		break;
	case OPT_AFFINITY:
		affinity(o, optarg);
		break;
	case OPT_DEGRADED:
		option_degraded(optarg, &o->without_seccomp, &o->without_landlock);
		break;
	case 'h':
		help();
		break;
	case 'V':
		puts("airlock-device " AIRLOCK_VERSION);
		exit(0);
	default:
		exit(2); /* getopt has named the option */
	}
}

/* ---- what the descriptors are: the last moment at which that can be asked, and said ---- */

struct named {
	const char *option;
	int fd; /* -1 none */
};

#define NAMED_MAX (CHANNEL_PAIRS_MAX + FILTER_ROLES + 2)

/* Every descriptor that an option names. */
static size_t descriptors(const struct options *o, struct named named[NAMED_MAX])
{
	size_t n = 0;

	named[n++] = (struct named){ "fd", o->socket };
	named[n++] = (struct named){ "channel-fd", o->channel };
	for (size_t i = 0; i < FILTER_ROLES; i++)
		named[n++] = (struct named){ "filter-fd", o->filters[i] };
	for (size_t i = 0; i < o->ntaps; i++)
		named[n++] = (struct named){ "tap-fd", o->taps[i] };
	return n;
}

/* Each is closed, or has a reader, of its own. */
static void distinct_check(const struct options *o)
{
	struct named named[NAMED_MAX];
	size_t n = descriptors(o, named);

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			if (named[i].fd >= 0 && named[i].fd == named[j].fd)
				die(2, "--%s=%d: is --%s too; give each a descriptor of its own",
				    named[i].option, named[i].fd, named[j].option);
}

static int socket_option(int fd, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -errno : value;
}

static void socket_check(int fd)
{
	if (socket_option(fd, SO_DOMAIN) != AF_UNIX || socket_option(fd, SO_TYPE) != SOCK_STREAM ||
	    socket_option(fd, SO_ACCEPTCONN))
		die(2, "--fd=%d: is no connected UNIX stream socket", fd);
}

/* Frames have the header of virtio 1 before them; and a queue that blocked would stop its worker.
 * Nobody can see to either once the filters are on. */
static void queue_prepare(int fd)
{
	int flags = fcntl(fd, F_GETFL), header = sizeof(struct net_hdr);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    ioctl(fd, TUNSETVNETHDRSZ, &header) < 0)
		die(2, "--tap-fd=%d: cannot be made ready: %s", fd, strerror(errno));
}

static void queues_check(const struct options *o)
{
	struct ifreq first, queue;

	for (unsigned int i = 0; i < o->ntaps; i++) {
		memset(&queue, 0, sizeof(queue));
		if (ioctl(o->taps[i], TUNGETIFF, &queue) < 0)
			die(2, "--tap-fd=%d: is no queue of a TAP: %s", o->taps[i],
			    strerror(errno));
		if (!(queue.ifr_flags & IFF_TAP) || !(queue.ifr_flags & IFF_VNET_HDR))
			die(2, "--tap-fd=%d: open it with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR",
			    o->taps[i]);
		if (o->ntaps > 1 && !(queue.ifr_flags & IFF_MULTI_QUEUE))
			die(2, "--tap-fd=%d: several queues need IFF_MULTI_QUEUE", o->taps[i]);
		if (!i)
			first = queue;
		if (strncmp(first.ifr_name, queue.ifr_name, IFNAMSIZ))
			die(2, "--tap-fd=%d: belongs to another TAP than the first", o->taps[i]);
		queue_prepare(o->taps[i]);
	}
}

void options_parse(struct options *o, int argc, char **argv)
{
	int c;

	*o = (struct options){ .net = { .pairs = 1,
					.queue_size = 1024,
					.mtu = 1500,
					.mac = { 2, 0, 0x5e, 0, 0x53, 1 } },
			       .socket = -1,
			       .channel = -1,
			       .filters = { -1, -1 },
			       .coalesce = true };
	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		option_take(o, c);
	if (optind < argc)
		die(2, "%s: takes options only, see --help", argv[optind]);
	if ((o->socket < 0) == (o->channel < 0) || (o->socket < 0) != !o->ntaps)
		die(2, "give either --channel-fd, or --fd with a --tap-fd for each queue pair");
	if (o->ntaps)
		o->net.pairs = o->ntaps;
	for (size_t i = 0; i < FILTER_ROLES; i++)
		if (o->filters[i] < 0 && !o->without_seccomp)
			die(2,
			    "--filter-fd: filters of both roles, control and worker, are needed to serve");
	distinct_check(o);
	if (o->socket >= 0)
		socket_check(o->socket);
	queues_check(o);
}

int options_close_others(const struct options *o)
{
	struct named named[NAMED_MAX];
	size_t n = descriptors(o, named);
	int keep[NAMED_MAX];

	for (size_t i = 0; i < n; i++)
		keep[i] = named[i].fd;
	return fd_keep_only(keep, n);
}
