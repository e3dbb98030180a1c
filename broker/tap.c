/*
 * The TAP: creating or attaching it, asking what it can do, and wiping what a connection left on
 * it. Runs in the broker: opening and configuring while privileged, switching queues and purging
 * afterwards, when it owns the descriptors and nothing else. Trusts the kernel; of a device it
 * assumes that it did to its queues whatever their descriptors allow.
 */
#include "broker/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/rtnl.h"
#include "broker/sysctl.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/tun.h"
#include "lib/util.h"

#define IPV6_MTU_MIN	  1280 /* RFC 8200, section 5 */
#define VNET_HEADER_BYTES 12   /* virtio_net_hdr_v1 */
#define QUEUE_FLAGS	  (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE)
/* More frames than a queue holds by default (500), few enough to read away at once. */
#define DRAIN_FRAMES 4096

/* ---- before anything changes ---- */

/* Later, the kernel says no more than that it does not like the address. */
static int addresses_check(const struct tap_options *options, unsigned mtu)
{
	mtu = options->mtu ? options->mtu : mtu;
	for (size_t i = 0; i < options->address_count; i++) {
		if (options->addresses[i].family != AF_INET6 || mtu >= IPV6_MTU_MIN)
			continue;
		err("--address=%s: IPv6 needs an MTU of %d at least, and the TAP's is %u; give "
		    "--mtu=%d or more",
		    options->addresses[i].text, IPV6_MTU_MIN, mtu, IPV6_MTU_MIN);
		return -EINVAL;
	}
	return 0;
}

static int existing_check(const struct tap_options *options)
{
	struct rtnl_link link;
	int error = rtnl_link_get(options->name, &link);

	if (error == -ENODEV)
		return addresses_check(options, TAP_MTU_DEFAULT);
	if (error) {
		err("--tap=%s: cannot look it up: %s", options->name, strerror(-error));
		return error;
	}
	if (!link.tap) {
		err("--tap=%s: exists and is no TAP interface; choose another name", options->name);
		return -EINVAL;
	}
	if (link.attached) {
		err("--tap=%s: another program holds its queues; choose another name or end that "
		    "program",
		    options->name);
		return -EINVAL;
	}
	if (!link.multi_queue) {
		err("--tap=%s: has a single queue; create it with 'ip tuntap add %s mode tap "
		    "multi_queue vnet_hdr'",
		    options->name, options->name);
		return -EINVAL;
	}
	return addresses_check(options, link.mtu);
}

/* True when the queue's interface is in our network namespace, where its name means something. */
static bool queue_is_here(int queue)
{
	int ns = ioctl(queue, TUNGETDEVNETNS);
	struct stat theirs, ours;
	bool same;

	if (ns < 0)
		return false;
	same = !fstat(ns, &theirs) && !stat("/proc/self/ns/net", &ours) &&
	       theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev;
	close(ns);
	return same;
}

static int inherited_check(int fd, char name[IFNAMSIZ], short *flags)
{
	struct ifreq request = { 0 };
	struct rtnl_link link;

	if (fcntl(fd, F_GETFD) < 0 || ioctl(fd, TUNGETIFF, &request) < 0) {
		err("--tap-fd=%d: is no TAP queue: %s", fd, strerror(errno));
		return -EINVAL;
	}
	if (!queue_is_here(fd) || rtnl_link_get(request.ifr_name, &link))
		link.packet_info = false; /* TUNGETIFF claims IFF_NO_PI of every TAP */
	if (!(request.ifr_flags & IFF_TAP) || !(request.ifr_flags & IFF_VNET_HDR) ||
	    link.packet_info) {
		err("--tap-fd=%d: open it with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR", fd);
		return -EINVAL;
	}
	memcpy(name, request.ifr_name, IFNAMSIZ);
	*flags = request.ifr_flags;
	return 0;
}

static int inherited_check_all(const struct tap_options *options)
{
	char name[IFNAMSIZ], first[IFNAMSIZ];
	short flags;

	for (size_t i = 0; i < options->fd_count; i++) {
		int error = inherited_check(options->fds[i], name, &flags);

		if (error)
			return error;
		if (i == 0)
			memcpy(first, name, sizeof(first));
		if (strcmp(name, first)) {
			err("--tap-fd=%d: belongs to %s, the first one to %s; all must be queues "
			    "of one TAP",
			    options->fds[i], name, first);
			return -EINVAL;
		}
		if (options->fd_count > 1 && !(flags & IFF_MULTI_QUEUE)) {
			err("--tap-fd=%d: several queues need IFF_MULTI_QUEUE", options->fds[i]);
			return -EINVAL;
		}
	}
	return addresses_check(options, TAP_MTU_DEFAULT);
}

int tap_check(const struct tap_options *options)
{
	if (options->fd_count)
		return inherited_check_all(options);
	return options->name ? existing_check(options) : addresses_check(options, TAP_MTU_DEFAULT);
}

/* ---- opening ---- */

/* The kernel appends a queue that is attached, and puts the last one in the place of one that is
 * detached. */
static void order_note(struct tap *tap, unsigned pair, bool attach)
{
	unsigned n = tap_queues_attached(tap), at = 0;

	if (attach) {
		tap->order[n] = pair;
		steering_slot(&tap->steering, pair, (int)n);
		return;
	}
	while (at + 1 < n && tap->order[at] != pair)
		at++;
	tap->order[at] = tap->order[n - 1];
	steering_slot(&tap->steering, tap->order[at], (int)at);
	steering_slot(&tap->steering, pair, -1);
}

static int queue_open(struct tap *tap, unsigned pair)
{
	struct ifreq request = { .ifr_flags = QUEUE_FLAGS };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int error;

	if (fd < 0) {
		err("/dev/net/tun: %s; is the tun module loaded?", strerror(errno));
		return -errno;
	}
	memcpy(request.ifr_name, tap->name, IFNAMSIZ);
	if (ioctl(fd, TUNSETIFF, &request) < 0) {
		error = -errno;
		err("--tap=%s: cannot open queue %u: %s", tap->name, pair, strerror(-error));
		close(fd);
		return error;
	}
	memcpy(tap->name, request.ifr_name, IFNAMSIZ); /* where the kernel chose it */
	tap->queues[pair] = fd;
	order_note(tap, pair, true);
	tap->attached[pair] = true;
	return 0;
}

static int queues_open(const struct tap_options *options, struct tap *tap)
{
	struct rtnl_link link;
	int error = 0;

	if (options->name)
		strncpy(tap->name, options->name, IFNAMSIZ - 1);
	tap->created = !options->name || rtnl_link_get(options->name, &link) == -ENODEV;
	tap->multi_queue = true;
	for (unsigned i = 0; i < tap->pairs && !error; i++)
		error = queue_open(tap, i);
	return error;
}

static int queues_inherit(const struct tap_options *options, struct tap *tap)
{
	short flags = 0;
	int error = 0;

	for (unsigned i = 0; i < tap->pairs && !error; i++) {
		int fd = options->fds[i];

		tap->queues[i] = fd;
		error = inherited_check(fd, tap->name, &flags);
		if (!(flags & IFF_DETACH_QUEUE)) /* in which order is known once all are detached */
			order_note(tap, i, true);
		tap->attached[i] = !(flags & IFF_DETACH_QUEUE);
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
			error = -errno;
	}
	tap->multi_queue = flags & IFF_MULTI_QUEUE;
	return error;
}

/* Which TUN_F_* this kernel's TAP takes: each is tried with what it needs. */
static uint32_t offloads_probe(int queue)
{
	static const uint32_t tries[] = {
		TUN_F_CSUM,
		TUN_F_CSUM | TUN_F_TSO4,
		TUN_F_CSUM | TUN_F_TSO6,
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO_ECN,
		TUN_F_CSUM | TUN_F_USO4 | TUN_F_USO6,
	};
	uint32_t taken = 0;

	for (size_t i = 0; i < ARRAY_SIZE(tries); i++)
		if (!ioctl(queue, TUNSETOFFLOAD, (unsigned long)tries[i]))
			taken |= tries[i];
	return taken;
}

static int tap_look_up(struct tap *tap)
{
	struct rtnl_link link;
	int error;

	tap->mtu = TAP_MTU_DEFAULT;
	if (!queue_is_here(tap->queues[0]))
		return 0;
	error = rtnl_link_get(tap->name, &link);
	if (error) {
		err("TAP %s: cannot look it up: %s", tap->name, strerror(-error));
		return error;
	}
	tap->index = link.index;
	tap->mtu = link.mtu;
	return 0;
}

int tap_open(const struct tap_options *options, struct tap *tap)
{
	int error;

	*tap = (struct tap){ .pairs = options->pairs, .steering = STEERING_NONE };
	memset(tap->queues, -1, sizeof(tap->queues));
	if (tap->pairs > 1 && steering_open(&tap->steering))
		info("TAP: this host has no steering by eBPF: VIRTIO_NET_F_RSS is not offered");
	error = options->fd_count ? queues_inherit(options, tap) : queues_open(options, tap);
	if (!error)
		error = tap_look_up(tap);
	if (error)
		goto close;
	tap->offloads = offloads_probe(tap->queues[0]);
	error = tap_purge(tap);
	if (error) {
		err("TAP %s: cannot be reset: %s", tap->name, strerror(-error));
		goto close;
	}
	return 0;
close:
	tap_close(tap);
	return error;
}

void tap_close(struct tap *tap)
{
	fd_close_all(tap->queues, tap->pairs);
	steering_close(&tap->steering);
}

/* ---- configuring ---- */

static bool wants_ipv6(const struct tap_options *options)
{
	for (size_t i = 0; i < options->address_count; i++)
		if (options->addresses[i].family == AF_INET6)
			return true;
	return false;
}

/* What a new interface would do by itself with what a guest sends, before anyone can refuse. */
static int host_harden(const struct tap *tap, bool ipv6)
{
	const struct {
		const char *family, *key, *value;
	} settings[] = {
		{ "ipv6", "accept_ra", "0" },	     /* a guest is no router of ours */
		{ "ipv6", "autoconf", "0" },	     /* nor does it number us */
		{ "ipv6", "accept_redirects", "0" }, /* nor reroute us */
		{ "ipv4", "accept_redirects", "0" },
		{ "ipv6", "disable_ipv6", ipv6 ? "0" : "1" }, /* not even a link-local address */
	};

	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		int error = sysctl_interface(settings[i].family, tap->name, settings[i].key,
					     settings[i].value);

		if (error == -ENOENT && !ipv6)
			continue; /* a kernel without IPv6 has nothing to switch off */
		if (error) {
			err("TAP %s: cannot set %s of %s: %s", tap->name, settings[i].key,
			    settings[i].family, strerror(-error));
			return error;
		}
	}
	return 0;
}

static int addresses_add(struct tap *tap, const struct tap_options *options)
{
	for (size_t i = 0; i < options->address_count; i++) {
		int error = rtnl_address_add(tap->index, &options->addresses[i]);

		if (error == -EEXIST)
			continue;
		if (error) {
			err("--address=%s: TAP %s does not take it: %s", options->addresses[i].text,
			    tap->name, strerror(-error));
			return error;
		}
		tap->added |= 1u << i;
	}
	return 0;
}

static int mtu_set(struct tap *tap, unsigned mtu)
{
	int error = rtnl_link_set_mtu(tap->index, mtu);

	if (error) {
		err("--mtu=%u: TAP %s does not take it: %s", mtu, tap->name, strerror(-error));
		return error;
	}
	tap->mtu_before = tap->mtu;
	tap->mtu = mtu;
	return 0;
}

/* The kernel would give a TAP of several queues 256 queueing disciplines with room for 500 frames
 * each: megabytes and more than a millisecond, in front of queues that never push back. What the
 * host has chosen stays; one that knows no disciplines has nothing to spare. */
static int link_up(const struct tap *tap)
{
	struct rtnl_link link;
	int error = rtnl_link_get(tap->name, &link);

	if (!error && !link.queued)
		error = rtnl_link_unqueue(tap->index);
	if (error)
		info("TAP %s: keeps its queueing discipline: %s", tap->name, strerror(-error));
	error = rtnl_link_set_up(tap->index);
	if (error)
		err("TAP %s: cannot be set up: %s", tap->name, strerror(-error));
	return error;
}

int tap_configure(struct tap *tap, const struct tap_options *options)
{
	int error = 0;

	if (!tap->index) {
		if (!options->mtu && !options->address_count)
			return 0;
		err("--tap-fd: %s is in another network namespace; configure it there, without "
		    "--mtu and --address",
		    tap->name);
		return -EINVAL;
	}
	if (tap->created)
		error = host_harden(tap, wants_ipv6(options));
	if (!error && options->mtu && options->mtu != tap->mtu)
		error = mtu_set(tap, options->mtu);
	if (!error)
		error = addresses_add(tap, options);
	if (!error && tap->created)
		error = link_up(tap);
	if (error)
		tap_restore(tap, options);
	return error;
}

void tap_restore(struct tap *tap, const struct tap_options *options)
{
	if (tap->created)
		return; /* goes away as a whole */
	for (size_t i = 0; i < options->address_count; i++)
		if (tap->added & 1u << i)
			rtnl_address_remove(tap->index, &options->addresses[i]);
	if (tap->mtu_before)
		rtnl_link_set_mtu(tap->index, tap->mtu_before);
	tap->added = tap->mtu_before = 0;
}

/* ---- between and during connections, without privilege ---- */

int tap_queue_set(struct tap *tap, unsigned pair, bool attach)
{
	struct ifreq request = { .ifr_flags = attach ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

	if (pair >= tap->pairs)
		return -EINVAL;
	if (tap->attached[pair] == attach || !tap->multi_queue)
		return 0;
	if (ioctl(tap->queues[pair], TUNSETQUEUE, &request) < 0)
		return -errno;
	order_note(tap, pair, attach);
	tap->attached[pair] = attach;
	return 0;
}

int tap_steer(struct tap *tap, bool on)
{
	int error;

	if (tap->steered == on)
		return 0;
	error = steering_set(&tap->steering, tap->queues[0], on);
	if (!error)
		tap->steered = on;
	return error;
}

unsigned tap_queues_attached(const struct tap *tap)
{
	unsigned n = 0;

	for (unsigned i = 0; i < tap->pairs; i++)
		n += tap->attached[i];
	return n;
}

/* What detaching does for others. A flood can outrun it, so it gives up in time. */
static void single_queue_drain(int queue)
{
	char head[64]; /* the rest of a frame is dropped by the short read */

	for (int i = 0; i < DRAIN_FRAMES; i++)
		if (read(queue, head, sizeof(head)) < 0 && errno == EAGAIN)
			return;
}

/*
 * What can be changed through a queue's descriptor without privilege. The first undoes what a
 * well-behaved device does; the others undo what only a broken jail would. What is the
 * interface's own (hardware address, owner; the carrier of one that was there before) stays: an
 * administrator may have changed it meanwhile, and putting it back would undo that.
 */
static int settings_reset(const struct tap *tap)
{
	struct tun_filter no_filter = { 0 };
	struct sock_fprog no_program = { 0 };
	int header = VNET_HEADER_BYTES, yes = 1, buffer = INT_MAX, no_steering = -1;
	const struct {
		unsigned long request;
		void *pointer;
		bool optional; /* fails where there is nothing to undo */
	} settings[] = {
		{ TUNSETOFFLOAD, NULL, false },
		{ TUNSETVNETHDRSZ, &header, false },
		{ TUNSETVNETLE, &yes, false },
		{ TUNSETSNDBUF, &buffer, false },
		{ TUNSETTXFILTER, &no_filter, false },
		{ TUNDETACHFILTER, &no_program, true },
		{ TUNSETSTEERINGEBPF, &no_steering, true },
		{ TUNSETFILTEREBPF, &no_steering, true },
	};
	int error = 0;

	for (unsigned i = 0; i < tap->pairs; i++)
		if (ioctl(tap->queues[i], FIONBIO, &yes) < 0 && !error)
			error = -errno;
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		if (ioctl(tap->queues[0], settings[i].request, settings[i].pointer) < 0 &&
		    !settings[i].optional && !error)
			error = -errno;
	if (!tap->created)
		return error;
	ioctl(tap->queues[0], TUNSETCARRIER, &yes); /* it takes an attached queue */
	if (ioctl(tap->queues[0], TUNSETPERSIST, 0) < 0 && !error)
		error = -errno;
	return error;
}

/* TUNSETSNDBUF reaches attached queues only: attaches those where a connection left another value.
 */
static void shrunk_queues_attach(struct tap *tap)
{
	for (unsigned i = 0; i < tap->pairs; i++) {
		int buffer = INT_MAX;

		if (!ioctl(tap->queues[i], TUNGETSNDBUF, &buffer) && buffer != INT_MAX)
			tap_queue_set(tap, i, true);
	}
}

/* A broken jail may have switched queues itself; the first is then attached, so that everything can
 * be set. */
static void switched_queues_note(struct tap *tap)
{
	bool switched = false;

	for (unsigned i = 0; i < tap->pairs; i++) {
		struct ifreq request = { 0 };
		bool attached;

		if (!tap->multi_queue || ioctl(tap->queues[i], TUNGETIFF, &request) < 0)
			continue;
		attached = !(request.ifr_flags & IFF_DETACH_QUEUE);
		if (attached == tap->attached[i])
			continue;
		order_note(tap, i, attached);
		tap->attached[i] = attached;
		switched = true;
	}
	if (switched)
		tap_queue_set(tap, 0, true);
}

int tap_purge(struct tap *tap)
{
	int error, first;

	switched_queues_note(tap);
	steering_wipe(&tap->steering);
	tap->steered = false; /* settings_reset() takes the program away */
	shrunk_queues_attach(tap);
	first = settings_reset(tap);
	for (unsigned i = 0; i < tap->pairs; i++) {
		error = tap_queue_set(tap, i, false);
		first = first ? first : error;
	}
	if (!tap->multi_queue)
		single_queue_drain(tap->queues[0]);
	return first;
}
