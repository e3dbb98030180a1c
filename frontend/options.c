/*
 * Parsing of airlock-vfio-user's command line. Runs first, in the only thread; trusts its launcher,
 * but checks that what it names can serve, so that a mistake is told where it can still be read.
 */
#include "frontend/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/option.h"
#include "lib/util.h"

#define PAIRS_MAX 127 /* the vhost-user wire has 8 bits for a ring, one of which is control */

enum {
	OPT_CLIENT_PATH = 256,
	OPT_CLIENT_FD,
	OPT_BACKEND_PATH,
	OPT_BACKEND_FD,
	OPT_CHANNEL,
	OPT_FILTER,
	OPT_PAIRS,
	OPT_SIZE,
	OPT_CONTROL,
	OPT_MAC,
	OPT_MTU,
	OPT_DEADLINE,
	OPT_ONCE,
	OPT_DEGRADED,
};

static const struct option long_options[] = {
	{ "vfio-user-socket", required_argument, NULL, OPT_CLIENT_PATH },
	{ "vfio-user-fd", required_argument, NULL, OPT_CLIENT_FD },
	{ "vhost-user-socket", required_argument, NULL, OPT_BACKEND_PATH },
	{ "vhost-user-fd", required_argument, NULL, OPT_BACKEND_FD },
	{ "channel-fd", required_argument, NULL, OPT_CHANNEL },
	{ "filter-fd", required_argument, NULL, OPT_FILTER },
	{ "queue-pairs", required_argument, NULL, OPT_PAIRS },
	{ "queue-size", required_argument, NULL, OPT_SIZE },
	{ "control-queue", required_argument, NULL, OPT_CONTROL },
	{ "mac", required_argument, NULL, OPT_MAC },
	{ "mtu", required_argument, NULL, OPT_MTU },
	{ "deadline-ms", required_argument, NULL, OPT_DEADLINE },
	{ "once", no_argument, NULL, OPT_ONCE },
	{ "allow-degraded", required_argument, NULL, OPT_DEGRADED },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ 0 },
};

static void help(void)
{
	puts("airlock-vfio-user: a virtio-pci network device over vfio-user, its device a vhost-user back-end\n"
	     "\n"
	     "  --vfio-user-socket=PATH   listen here for a VMM (or --vfio-user-fd=N, listening or connected)\n"
	     "  --vhost-user-socket=PATH  the back-end listens here (or --vhost-user-fd=N: connected; or listening,\n"
	     "                            when back-ends connect)\n"
	     "  --filter-fd=transport:N   compiled seccomp filter\n"
	     "  --channel-fd=N            channel to a broker, which brings both sockets where they are not given\n"
	     "  --queue-pairs=N           RX/TX pairs (1)\n"
	     "  --queue-size=N            largest ring, a power of two up to 32768 (1024)\n"
	     "  --control-queue=on|off    show the back-end's control queue, which must serve it (on where it\n"
	     "                            counts one ring more than the pairs have)\n"
	     "  --mac=MAC, --mtu=N        shown where the back-end keeps no configuration of its own\n"
	     "  --deadline-ms=N           of each command to the back-end (3000)\n"
	     "  --once                    end when the first VMM leaves\n"
	     "  --allow-degraded=NAME,... go on without: seccomp, landlock\n"
	     "  --help, --version\n"
	     "\n"
	     "Exit status: 0 orderly end, 1 failure, 2 usage. See airlock-vfio-user(1).");
	exit(0);
}

static void control(struct options *o, const char *text)
{
	if (strcmp(text, "on") && strcmp(text, "off"))
		die(2, "--control-queue=%s: give on or off", text);
	o->control = text[1] == 'n' ? AIRLOCK_CONTROL_ON : AIRLOCK_CONTROL_OFF;
}

static void filter(struct options *o, const char *text)
{
	if (strncmp(text, "transport:", 10))
		die(2, "--filter-fd=%s: give transport:N", text);
	o->filter = option_descriptor("filter-fd", text + 10);
}

static void option_take(struct options *o, int c)
{
	switch (c) {
	case OPT_CLIENT_PATH:
		o->client_path = optarg;
		break;
	case OPT_CLIENT_FD:
		o->client = option_descriptor("vfio-user-fd", optarg);
		break;
	case OPT_BACKEND_PATH:
		o->backend_path = optarg;
		break;
	case OPT_BACKEND_FD:
		o->backend = option_descriptor("vhost-user-fd", optarg);
		break;
	case OPT_CHANNEL:
		o->channel = option_descriptor("channel-fd", optarg);
		break;
	case OPT_FILTER:
		filter(o, optarg);
		break;
	case OPT_PAIRS:
		o->pairs = (unsigned int)option_number("queue-pairs", optarg, 1, PAIRS_MAX);
		break;
	case OPT_SIZE:
		o->queue_size = (unsigned int)option_number("queue-size", optarg, 1, 32768);
		if (!is_power_of_two(o->queue_size))
			die(2, "--queue-size=%s: give a power of two", optarg);
		break;
	case OPT_CONTROL:
		control(o, optarg);
		break;
	case OPT_MAC:
		option_mac("mac", optarg, o->mac);
		o->has_mac = true;
		break;
	case OPT_MTU:
		o->mtu = (uint16_t)option_number("mtu", optarg, 68, 65535);
		break;
	case OPT_DEADLINE:
		o->deadline_ms = (unsigned int)option_number("deadline-ms", optarg, 10, 60000);
		break;
	case OPT_ONCE:
		o->once = true;
		break;
	case OPT_DEGRADED:
		option_degraded(optarg, &o->without_seccomp, &o->without_landlock);
		break;
	case 'h':
		help();
		break;
	case 'V':
		puts("airlock-vfio-user " AIRLOCK_VERSION);
		exit(0);
	default:
		exit(2); /* getopt has named the option */
	}
}

static void check(const struct options *o)
{
	bool client = o->client >= 0 || o->client_path,
	     backend = o->backend >= 0 || o->backend_path;

	if ((o->client >= 0 && o->client_path) || (o->channel < 0 && !client))
		die(2, "give either --vfio-user-socket or --vfio-user-fd");
	if ((o->backend >= 0 && o->backend_path) || (o->channel < 0 && !backend))
		die(2, "give either --vhost-user-socket or --vhost-user-fd");
	if (o->channel >= 0 && client != backend)
		die(2, "--channel-fd brings both sockets: give both here, or none");
	if (o->filter < 0 && !o->without_seccomp)
		die(2, "--filter-fd: the transport's filter is needed to serve");
}

void options_parse(struct options *o, int argc, char **argv)
{
	int c;

	*o = (struct options){ .client = -1,
			       .backend = -1,
			       .channel = -1,
			       .filter = -1,
			       .pairs = 1,
			       .queue_size = 1024,
			       .deadline_ms = 3000 };
	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		option_take(o, c);
	if (optind < argc)
		die(2, "%s: takes options only, see --help", argv[optind]);
	check(o);
}
