/*
 * Reads the command line of airlock-broker or airlock-minijail: one row an option, then what they
 * must be together. Runs first, while the program is privileged, and changes nothing. Trusts the
 * administrator to mean well, not to type well: every refusal names the option and what to do.
 */
#include "broker/config.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "broker/guard.h"
#include "broker/layer.h"
#include "broker/listen.h"
#include "lib/cpus.h"
#include "lib/option.h"
#include "lib/util.h"

#define WHY_MAX		160
#define VFIO_USER_PAIRS 127 /* a transport's rings have 8 bits, one of them is control */

/* ---- one function an option: 0, or -EINVAL with the reason ---- */

__attribute__((format(printf, 2, 3))) static int refuse(char why[WHY_MAX], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, WHY_MAX, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static int number(const char *text, int base, unsigned long least, unsigned long most,
		  unsigned long *out, char why[WHY_MAX])
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, base);
	if (*text < '0' || *text > '9' || *end || errno || n < least || n > most)
		return refuse(why,
			      base == 8 ? "give an octal number from %lo to %lo"
					: "give a number from %lu to %lu",
			      least, most);
	*out = n;
	return 0;
}

static int descriptor(const char *text, int *out, char why[WHY_MAX])
{
	unsigned long n = 0;
	int error = number(text, 10, 0, INT_MAX, &n, why);

	if (error)
		return error;
	if (fcntl((int)n, F_GETFD) < 0)
		return refuse(why, "no such descriptor was inherited");
	*out = (int)n;
	return 0;
}

static int path(const char *text, const char **out, char why[WHY_MAX])
{
	if (!*text)
		return refuse(why, "give a path");
	*out = text;
	return 0;
}

static int socket_path(const char *text, const char **out, char why[WHY_MAX])
{
	if (!*text || strlen(text) >= LISTEN_PATH_MAX)
		return refuse(why, "give a path of 1 to %zu bytes", LISTEN_PATH_MAX - 1);
	*out = text;
	return 0;
}

static int set_socket_path(struct config *config, const char *value, char why[WHY_MAX])
{
	return socket_path(value, &config->socket_path, why);
}

static int set_vfio_user_socket(struct config *config, const char *value, char why[WHY_MAX])
{
	config->vfio_user = true;
	return socket_path(value, &config->socket_path, why);
}

static int set_client(struct config *config, const char *value, char why[WHY_MAX])
{
	(void)value, (void)why;
	config->client = true;
	return 0;
}

static int set_fd(struct config *config, const char *value, char why[WHY_MAX])
{
	return descriptor(value, &config->fd, why);
}

static int set_socket_mode(struct config *config, const char *value, char why[WHY_MAX])
{
	unsigned long mode = 0;
	int error = number(value, 8, 0, 0777, &mode, why);

	config->socket_mode = error ? 0 : (mode_t)mode;
	return error;
}

static int set_socket_group(struct config *config, const char *value, char why[WHY_MAX])
{
	const struct group *group = getgrnam(value);
	unsigned long gid = 0;

	if (group) {
		config->socket_group = group->gr_gid;
		return 0;
	}
	if (number(value, 10, 0, UINT_MAX - 1, &gid, why))
		return refuse(why, "no such group");
	config->socket_group = (gid_t)gid;
	return 0;
}

static int set_tap(struct config *config, const char *value, char why[WHY_MAX])
{
	size_t len = strlen(value);

	if (!len || len >= IFNAMSIZ || strpbrk(value, "/:% \t\n") || !strcmp(value, ".") ||
	    !strcmp(value, ".."))
		return refuse(why, "give an interface name of 1 to %d characters", IFNAMSIZ - 1);
	config->tap.name = value;
	return 0;
}

static int set_tap_fd(struct config *config, const char *value, char why[WHY_MAX])
{
	struct tap_options *tap = &config->tap;
	int fd = -1, error = descriptor(value, &fd, why);

	if (error)
		return error;
	if (tap->fd_count == CHANNEL_PAIRS_MAX)
		return refuse(why, "at most %d queue pairs", CHANNEL_PAIRS_MAX);
	for (size_t i = 0; i < tap->fd_count; i++)
		if (tap->fds[i] == fd)
			return refuse(why, "given twice; each pair needs a queue of its own");
	tap->fds[tap->fd_count++] = fd;
	return 0;
}

static int set_queue_pairs(struct config *config, const char *value, char why[WHY_MAX])
{
	unsigned long n = 0;
	int error = number(value, 10, 1, CHANNEL_PAIRS_MAX, &n, why);

	config->tap.pairs = (unsigned)n;
	return error;
}

static int set_queue_size(struct config *config, const char *value, char why[WHY_MAX])
{
	unsigned long n = 0;
	int error = number(value, 10, 2, CONFIG_QUEUE_SIZE_MAX, &n, why);

	if (!error && !is_power_of_two(n))
		return refuse(why, "give a power of two from 2 to %d", CONFIG_QUEUE_SIZE_MAX);
	config->queue_size = (unsigned)n;
	return error;
}

static int set_address(struct config *config, const char *value, char why[WHY_MAX])
{
	struct tap_options *tap = &config->tap;

	if (tap->address_count == TAP_ADDRESSES_MAX)
		return refuse(why, "at most %d addresses", TAP_ADDRESSES_MAX);
	if (address_parse(value, &tap->addresses[tap->address_count]))
		return refuse(why, "give a host address and its prefix length, "
				   "such as 192.0.2.1/24 or 2001:db8::1/64");
	tap->address_count++;
	return 0;
}

static int set_mtu(struct config *config, const char *value, char why[WHY_MAX])
{
	unsigned long n = 0;
	int error = number(value, 10, TAP_MTU_MIN, TAP_MTU_MAX, &n, why);

	config->tap.mtu = (unsigned)n;
	return error;
}

static bool mac_shaped(const char *text)
{
	for (size_t i = 0; i < 17; i++)
		if (i % 3 == 2 ? text[i] != ':' : !isxdigit((unsigned char)text[i]))
			return false;
	return !text[17];
}

static int set_mac(struct config *config, const char *value, char why[WHY_MAX])
{
	if (!mac_shaped(value))
		return refuse(why, "give six bytes in hex, such as 52:54:00:12:34:56");
	for (size_t i = 0; i < sizeof(config->mac); i++)
		config->mac[i] = (uint8_t)strtoul(value + 3 * i, NULL, 16);
	if (config->mac[0] & 1)
		return refuse(why, "is a multicast address; the first byte must be even");
	if (!memcmp(config->mac, "\0\0\0\0\0", 6))
		return refuse(why, "is no address");
	return 0;
}

static int set_user(struct config *config, const char *value, char why[WHY_MAX])
{
	return path(value, &config->user, why) ? refuse(why, "give a user") : 0;
}

static int set_group(struct config *config, const char *value, char why[WHY_MAX])
{
	return path(value, &config->group, why) ? refuse(why, "give a group") : 0;
}

static int set_policy_dir(struct config *config, const char *value, char why[WHY_MAX])
{
	return path(value, &config->policy_dir, why);
}

static int set_control(struct config *config, const char *value, char why[WHY_MAX])
{
	return socket_path(value, &config->control, why);
}

static int set_sandbox_report(struct config *config, const char *value, char why[WHY_MAX])
{
	return path(value, &config->sandbox_report, why);
}

static int set_allow_degraded(struct config *config, const char *value, char why[WHY_MAX])
{
	char bad[LAYER_NAME_MAX];

	if (!layer_parse(value, &config->allowed, bad))
		return 0;
	return refuse(why, "'%s' is no layer of confinement; see --help for their names", bad);
}

static int set_once(struct config *config, const char *value, char why[WHY_MAX])
{
	(void)value, (void)why;
	config->once = true;
	return 0;
}

static int set_ready_fd(struct config *config, const char *value, char why[WHY_MAX])
{
	return descriptor(value, &config->ready_fd, why);
}

static int set_log_level(struct config *config, const char *value, char why[WHY_MAX])
{
	int level = log_level_parse(value);

	if (level < 0)
		return refuse(why, "give error, warn, info or debug");
	config->log_level = (enum log_level)level;
	return 0;
}

static int set_require_sealed(struct config *config, const char *value, char why[WHY_MAX])
{
	(void)value, (void)why;
	config->require_sealed = true;
	return 0;
}

static int set_guard(struct config *config, const char *value, char why[WHY_MAX])
{
	return guard_parse(value, &config->guard) ? refuse(why, "give mac, arp or mac,arp") : 0;
}

static int set_coalesce(struct config *config, const char *value, char why[WHY_MAX])
{
	config->no_coalesce = !strcmp(value, "off");
	return config->no_coalesce || !strcmp(value, "on") ? 0 : refuse(why, "give on or off");
}

static int set_poll_us(struct config *config, const char *value, char why[WHY_MAX])
{
	unsigned long n = 0;
	int error = number(value, 10, 0, OPTION_POLL_US_MAX, &n, why);

	config->poll_us = (unsigned)n;
	return error;
}

static int set_affinity(struct config *config, const char *value, char why[WHY_MAX])
{
	uint16_t cpus[CHANNEL_PAIRS_MAX];
	int bad;

	if (strlen(value) > CONFIG_AFFINITY_MAX)
		return refuse(why, "give at most %d characters", CONFIG_AFFINITY_MAX);
	config->affinity = value;
	if (cpus_parse(value, cpus, ARRAY_SIZE(cpus), &bad) > 0)
		return 0;
	if (bad >= 0)
		return refuse(why, "CPU %d is none that this program may run on", bad);
	return refuse(why, "give CPUs such as 0,2-5");
}

/* ---- the table ---- */

static struct option_row {
	const char *name;
	const char *argument; /* NULL: takes none */
	int (*set)(struct config *config, const char *value, char why[WHY_MAX]);
	const char *help;
} const rows[] = {
	{ "socket-path", "PATH", set_socket_path, "vhost-user socket to listen on" },
	{ "vfio-user-socket", "PATH", set_vfio_user_socket,
	  "vfio-user socket to listen on: for VMMs without\nvirtio code; starts airlock-vfio-user too" },
	{ "client", NULL, set_client, "connect to PATH instead of listening" },
	{ "fd", "N", set_fd, "inherited vhost-user socket, listening or connected" },
	{ "socket-mode", "OCTAL", set_socket_mode, "mode of the socket (0600)" },
	{ "socket-group", "NAME", set_socket_group, "group of the socket" },
	{ "tap", "NAME", set_tap, "TAP interface, created when absent" },
	{ "tap-fd", "N", set_tap_fd, "inherited TAP queue, once per pair" },
	{ "queue-pairs", "N", set_queue_pairs, "receive and transmit pairs (1)" },
	{ "queue-size", "N", set_queue_size, "largest ring accepted (1024)" },
	{ "address", "CIDR", set_address, "host address of the TAP, repeatable" },
	{ "mtu", "N", set_mtu, "MTU of the TAP, offered to the guest (1500)" },
	{ "mac", "MAC", set_mac, "the guest's address (random)" },
	{ "user", "NAME|UID", set_user, "whom devices run as (an unused id)" },
	{ "group", "NAME|GID", set_group, "and with which group" },
	{ "policy-dir", "DIR", set_policy_dir, "where the .policy files are" },
	{ "control", "PATH", set_control, "status socket for airlock-ctl" },
	{ "sandbox-report", "FILE|-", set_sandbox_report, "what confinement took effect, as JSON" },
	{ "allow-degraded", "NAME,...", set_allow_degraded,
	  "layers that may be missing: user, mount, pid, net,\n"
	  "ipc, uts, cgroup, root, landlock, rlimits, seccomp" },
	{ "once", NULL, set_once, "end when the first connection ends" },
	{ "ready-fd", "N", set_ready_fd, "where to write READY=1" },
	{ "log-level", "LEVEL", set_log_level, "error, warn, info or debug (info)" },
	{ "require-sealed", NULL, set_require_sealed, "refuse guest memory that could shrink" },
	{ "guard", "LIST", set_guard, "drop frames sent under another address: mac, arp" },
	{ "coalesce", "on|off", set_coalesce, "join frames that the guest sends (on)" },
	{ "poll-us", "N", set_poll_us, "how long workers poll after work (0)" },
	{ "affinity", "LIST", set_affinity, "CPUs of the workers, such as 0,2-5" },
	{ "print-capabilities", NULL, NULL, "QEMU's JSON object about this program" },
	{ "help", NULL, NULL, "this" },
	{ "version", NULL, NULL, "the version" },
};
static_assert(ARRAY_SIZE(rows) < ':', "getopt's ':' and '?' are no rows");

/* Options that say different things about one matter. */
static const struct {
	const char *one, *other, *why;
} conflicts[] = {
	{ "socket-path", "fd", "give one socket" },
	{ "vfio-user-socket", "socket-path", "give one socket" },
	{ "vfio-user-socket", "fd", "give one socket" },
	{ "vfio-user-socket", "client", "a VMM with a vfio-user client connects" },
	{ "client", "fd", "a descriptor is listening or connected already" },
	{ "client", "socket-mode", "the peer makes the socket" },
	{ "client", "socket-group", "the peer makes the socket" },
	{ "fd", "socket-mode", "the socket exists already" },
	{ "fd", "socket-group", "the socket exists already" },
	{ "tap", "tap-fd", "give a name or descriptors" },
};

/* Options about devices that come and go, and about reports on them. */
static const char *const supervised[] = { "control", "sandbox-report", "allow-degraded",
					  "print-capabilities", "vfio-user-socket" };

/* ---- reading ---- */

static bool needs_supervisor(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(supervised); i++)
		if (!strcmp(supervised[i], name))
			return true;
	return false;
}

static void help_print(const struct config_program *program)
{
	printf("%s\n", program->usage);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *help = rows[i].help, *rest = help ? strchr(help, '\n') : NULL;
		char name[48];

		if (!help || (!program->supervises && needs_supervisor(rows[i].name)))
			continue;
		snprintf(name, sizeof(name), "--%s%s%s", rows[i].name, rows[i].argument ? "=" : "",
			 rows[i].argument ? rows[i].argument : "");
		printf("  %-26s %.*s\n", name, rest ? (int)(rest - help) : INT_MAX, help);
		if (rest)
			printf("  %-26s %s\n", "", rest + 1);
	}
	printf("\nSee %s.\n", program->page);
}

/* QEMU's convention: whatever else is on the command line does not count. The features are those
 * of this command line that a management program may need to know of; QEMU's schema has none of
 * its own for network devices. */
static bool capabilities_asked(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--print-capabilities"))
			return true;
	return false;
}

static enum config_outcome answer(const struct config_program *program, const char *name)
{
	if (!strcmp(name, "help"))
		help_print(program);
	else if (!strcmp(name, "version"))
		printf("%s " AIRLOCK_VERSION "\n", program->name);
	else
		printf("{\"type\": \"net\", \"features\": [\"client\", \"tap\", \"tap-fd\", "
		       "\"queue-pairs\", \"mtu\", \"mac\"]}\n");
	return CONFIG_ANSWERED;
}

static enum config_outcome row_apply(const struct config_program *program, struct config *config,
				     size_t row, const char *value)
{
	char why[WHY_MAX];

	if (!program->supervises && needs_supervisor(rows[row].name)) {
		err("--%s: needs a supervisor, and %s leaves none behind; use airlock-broker",
		    rows[row].name, program->name);
		return CONFIG_WRONG;
	}
	if (!rows[row].set)
		return answer(program, rows[row].name);
	if (!rows[row].set(config, value, why))
		return CONFIG_GO_ON;
	err("--%s%s%s: %s", rows[row].name, value ? "=" : "", value ? value : "", why);
	return CONFIG_WRONG;
}

static bool given(const bool *seen, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (!strcmp(rows[i].name, name))
			return seen[i];
	return false;
}

static enum config_outcome wrong(const char *words)
{
	err("%s", words);
	return CONFIG_WRONG;
}

static enum config_outcome socket_check(struct config *config)
{
	int passed = listen_activated();

	if (config->client && !config->socket_path)
		return wrong("--client: give the path to connect to with --socket-path");
	if (config->socket_path || config->fd >= 0)
		return CONFIG_GO_ON;
	if (passed == -EINVAL)
		return wrong("LISTEN_FDS: pass exactly one socket, the vhost-user socket");
	if (passed < 0)
		return wrong("--socket-path: give a path, or a descriptor with --fd");
	config->fd = passed;
	return CONFIG_GO_ON;
}

const char *config_socket_option(const struct config *config)
{
	return config->vfio_user ? "vfio-user-socket" : "socket-path";
}

/* What the options must be together. */
static enum config_outcome config_check(struct config *config, const bool *seen)
{
	struct tap_options *tap = &config->tap;

	for (size_t i = 0; i < ARRAY_SIZE(conflicts); i++) {
		if (!given(seen, conflicts[i].one) || !given(seen, conflicts[i].other))
			continue;
		err("--%s and --%s: %s", conflicts[i].one, conflicts[i].other, conflicts[i].why);
		return CONFIG_WRONG;
	}
	if (config->control && config->socket_path &&
	    !strcmp(config->control, config->socket_path)) {
		err("--control=%s: is the path of --%s too; choose another", config->control,
		    config_socket_option(config));
		return CONFIG_WRONG;
	}
	if (tap->fd_count && !tap->pairs)
		tap->pairs = (unsigned)tap->fd_count;
	if (tap->fd_count && tap->pairs != tap->fd_count) {
		err("--queue-pairs=%u: give --tap-fd as many times, not %zu", tap->pairs,
		    tap->fd_count);
		return CONFIG_WRONG;
	}
	if (!tap->pairs)
		tap->pairs = 1;
	if (config->vfio_user && tap->pairs > VFIO_USER_PAIRS) {
		err("--queue-pairs=%u: at most %d with --vfio-user-socket", tap->pairs,
		    VFIO_USER_PAIRS);
		return CONFIG_WRONG;
	}
	return socket_check(config);
}

static int mac_draw(uint8_t mac[6])
{
	if (getrandom(mac, 6, 0) != 6)
		return -errno;
	mac[0] = (mac[0] & 0xfc) | 0x02; /* unicast, locally administered */
	return 0;
}

/* getopt's answer in words. Where it knows the option, optopt is the row: that cannot be the first,
 * which takes a value. */
static const char *complaint(int c)
{
	if (c == ':')
		return "needs a value";
	return optopt > 0 && optopt < (int)ARRAY_SIZE(rows) ? "takes no value"
							    : "is no option of this program";
}

static enum config_outcome options_read(const struct config_program *program, int argc, char **argv,
					struct config *config, bool *seen)
{
	struct option options[ARRAY_SIZE(rows) + 1] = { 0 };
	enum config_outcome outcome = CONFIG_GO_ON;
	int c;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		options[i] = (struct option){ .name = rows[i].name,
					      .has_arg = rows[i].argument != NULL,
					      .val = (int)i };
	optind = 0; /* a parser that may be asked twice, as tests do */
	opterr = 0;
	while (outcome == CONFIG_GO_ON && (c = getopt_long(argc, argv, ":", options, NULL)) >= 0) {
		if (c == ':' || c == '?') {
			err("%s: %s; see --help", argv[optind - 1], complaint(c));
			return CONFIG_WRONG;
		}
		seen[c] = true;
		outcome = row_apply(program, config, (size_t)c, optarg);
	}
	if (outcome == CONFIG_GO_ON && optind < argc) {
		err("%s: takes options only; see --help", argv[optind]);
		return CONFIG_WRONG;
	}
	return outcome;
}

enum config_outcome config_parse(const struct config_program *program, int argc, char **argv,
				 struct config *config)
{
	bool seen[ARRAY_SIZE(rows)] = { 0 };
	enum config_outcome outcome;

	*config = (struct config){ .fd = -1,
				   .socket_mode = 0600,
				   .socket_group = (gid_t)-1,
				   .queue_size = 1024,
				   .ready_fd = -1,
				   .log_level = LOG_INFO };
	if (program->supervises && capabilities_asked(argc, argv))
		return answer(program, "print-capabilities");
	outcome = options_read(program, argc, argv, config, seen);
	if (outcome == CONFIG_GO_ON)
		outcome = config_check(config, seen);
	if (outcome == CONFIG_GO_ON && !given(seen, "mac") && mac_draw(config->mac))
		return wrong("--mac: cannot draw a random one; give one");
	return outcome;
}

bool config_mistake(int error)
{
	return error == -ENOENT || error == -ENOTDIR || error == -EISDIR || error == -EACCES ||
	       error == -EPERM;
}
