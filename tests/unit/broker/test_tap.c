/* tap, rtnl, sysctl: a real TAP in a network namespace of the test's own. Needs root. */
#include "broker/rtnl.h"
#include "broker/tap.h"
#include "lib/fd.h"
#include "lib/util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

static bool alone; /* in a namespace of our own */

static int setup(void **state)
{
	(void)state;
	alone = !unshare(CLONE_NEWNET) && !access("/dev/net/tun", R_OK | W_OK);
	return 0;
}

static void need_namespace(void)
{
	if (alone)
		return;
	print_message("# needs root and /dev/net/tun\n");
	skip();
}

static struct tap_options options_of(const char *name, unsigned pairs)
{
	return (struct tap_options){ .name = name, .pairs = pairs };
}

static struct tap opened(const struct tap_options *options)
{
	struct tap tap;

	assert_int_equal(tap_check(options), 0);
	assert_int_equal(tap_open(options, &tap), 0);
	return tap;
}

static int queue_of(const char *name, short flags)
{
	struct ifreq request = { .ifr_flags = flags };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	strcpy(request.ifr_name, name);
	assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
	return fd;
}

/* A TAP that outlives its descriptors, as `ip tuntap add` makes it. */
static void persistent_make(const char *name, short flags)
{
	int fd = queue_of(name, flags);

	assert_int_equal(ioctl(fd, TUNSETPERSIST, 1), 0);
	fd_close(&fd);
}

static void persistent_remove(const char *name, short flags)
{
	int fd = queue_of(name, flags);

	assert_int_equal(ioctl(fd, TUNSETPERSIST, 0), 0);
	fd_close(&fd);
}

static char setting_of(const char *name, const char *key)
{
	char path[128], value = '?';
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/%s", name, key);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, &value, 1) != 1)
		value = '?';
	fd_close(&fd);
	return value;
}

/* The name of its queueing discipline. */
static const char *discipline_of(const char *name)
{
	static char word[32];
	char command[64];
	FILE *out;

	snprintf(command, sizeof(command), "tc qdisc show dev %s", name);
	out = popen(command, "r");
	assert_non_null(out);
	if (fscanf(out, "qdisc %31s", word) != 1)
		word[0] = '\0'; /* it was never up */
	while (fgetc(out) != EOF)
		;
	assert_int_equal(pclose(out), 0);
	return word;
}

/* Sends n frames out of the interface, so that they wait in its queues. */
static void frames_send(const struct tap *tap, int n)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = tap->index };
	unsigned char frame[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, [12] = 0x88, [13] = 0xb5 };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	for (int i = 0; i < n; i++) {
		frame[14] = (unsigned char)i; /* spread over the queues */
		sendto(fd, frame, sizeof(frame), 0, (struct sockaddr *)&to, sizeof(to));
	}
	fd_close(&fd);
}

/* Of these: a TAP that the broker did not make has IPv6, and the host says so on it at any time. */
static int frames_waiting(const struct tap *tap)
{
	static const unsigned char type[] = { 0x88, 0xb5 };
	unsigned char frame[2048];
	int n = 0;

	for (unsigned i = 0; i < tap->pairs; i++)
		while (read(tap->queues[i], frame, sizeof(frame)) > 0)
			n += !memcmp(frame + 12 + 12, type,
				     sizeof(type)); /* virtio's header, MACs */
	return n;
}

static void test_created(void **state)
{
	struct tap_options options = options_of("tapc", 3);
	struct rtnl_link link;
	struct tap tap;
	int header = 0;

	(void)state;
	need_namespace();
	options.mtu = 1400;
	assert_int_equal(address_parse("192.0.2.1/24", &options.addresses[0]), 0);
	options.address_count = 1;
	tap = opened(&options);
	assert_true(tap.created && tap.multi_queue);
	assert_int_equal(tap_configure(&tap, &options), 0);
	assert_int_equal(rtnl_link_get("tapc", &link), 0);
	assert_true(link.tap && link.multi_queue && link.up);
	assert_int_equal(link.mtu, 1400);
	assert_int_equal(tap.mtu, 1400);
	assert_int_equal(link.attached, 3);
	assert_string_equal(discipline_of("tapc"), "noqueue");
	assert_int_equal(setting_of("tapc", "disable_ipv6"), '1');
	assert_int_equal(setting_of("tapc", "accept_ra"), '0');
	assert_int_equal(ioctl(tap.queues[2], TUNGETVNETHDRSZ, &header), 0);
	assert_int_equal(header, 12);
	assert_int_equal(fcntl(tap.queues[2], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	assert_int_equal(rtnl_address_add(tap.index, &options.addresses[0]), -EEXIST);
	assert_int_equal(tap_queues_attached(&tap), 0);
	tap_close(&tap);
	assert_int_equal(rtnl_link_get("tapc", &link), -ENODEV);
}

/* What a host gives the interface before the broker does stays. */
static void test_discipline_of_the_host(void **state)
{
	struct tap_options options = options_of("tapq", 1);
	struct tap tap;

	(void)state;
	need_namespace();
	tap = opened(&options);
	assert_int_equal(system("tc qdisc add dev tapq root pfifo limit 7"), 0);
	assert_int_equal(tap_configure(&tap, &options), 0);
	assert_string_equal(discipline_of("tapq"), "pfifo");
	tap_close(&tap);
}

static void test_named_by_the_kernel(void **state)
{
	struct tap_options options = options_of(NULL, 1);
	struct tap tap;

	(void)state;
	need_namespace();
	tap = opened(&options);
	assert_memory_equal(tap.name, "tap", 3);
	assert_true(tap.created);
	assert_int_equal(tap.mtu, 1500);
	tap_close(&tap);
}

static void test_ipv6(void **state)
{
	struct tap_options options = options_of("tap6", 1);
	struct tap tap;

	(void)state;
	need_namespace();
	assert_int_equal(address_parse("2001:db8::1/64", &options.addresses[0]), 0);
	options.address_count = 1;
	tap = opened(&options);
	assert_int_equal(tap_configure(&tap, &options), 0);
	assert_int_equal(setting_of("tap6", "disable_ipv6"), '0');
	assert_int_equal(setting_of("tap6", "accept_ra"), '0');
	assert_int_equal(setting_of("tap6", "autoconf"), '0');
	tap_close(&tap);
}

static void test_offloads(void **state)
{
	struct tap_options options = options_of("tapo", 1);
	struct tap tap;

	(void)state;
	need_namespace();
	tap = opened(&options);
	/* every kernel since 2.6.27 takes these */
	assert_int_equal(tap.offloads & 0xf, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN);
	assert_int_equal(tap.offloads & ~0x6fu, 0);
	tap_close(&tap);
}

/* An attached TAP keeps its MTU and link state; what was added is taken back on failure. */
static void test_attached(void **state)
{
	const short flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE;
	struct tap_options options = options_of("tapa", 2);
	struct rtnl_link link;
	struct tap tap;

	(void)state;
	need_namespace();
	persistent_make("tapa", flags);
	assert_int_equal(rtnl_link_get("tapa", &link), 0);
	assert_int_equal(link.attached, 0);
	assert_int_equal(rtnl_link_set_mtu(link.index, 1300), 0);
	tap = opened(&options);
	assert_false(tap.created);
	assert_int_equal(tap_configure(&tap, &options), 0);
	assert_int_equal(tap.mtu, 1300);
	assert_int_equal(rtnl_link_get("tapa", &link), 0);
	assert_int_equal(link.mtu, 1300);
	assert_false(link.up);
	assert_string_equal(discipline_of("tapa"), "");
	assert_int_equal(tap_check(&options), -EINVAL); /* we hold it */
	options.mtu = 9000;
	assert_int_equal(address_parse("192.0.2.9/24", &options.addresses[0]), 0);
	options.address_count = 1;
	assert_int_equal(tap_configure(&tap, &options), 0);
	assert_int_equal(tap.mtu, 9000);
	tap_restore(&tap, &options);
	assert_int_equal(rtnl_link_get("tapa", &link), 0);
	assert_int_equal(link.mtu, 1300);
	assert_int_equal(rtnl_address_add(tap.index, &options.addresses[0]), 0); /* it was gone */
	tap_close(&tap);
	assert_int_equal(rtnl_link_get("tapa", &link), 0); /* not ours to remove */
	persistent_remove("tapa", flags);
}

static void test_unsuitable(void **state)
{
	struct tap_options options = options_of("lo", 1);

	(void)state;
	need_namespace();
	assert_int_equal(tap_check(&options), -EINVAL);
	persistent_make("tap1q", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
	options.name = "tap1q";
	assert_int_equal(tap_check(&options), -EINVAL);
	persistent_remove("tap1q", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
	persistent_make("tun1", IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE);
	options.name = "tun1";
	assert_int_equal(tap_check(&options), -EINVAL);
	persistent_remove("tun1", IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE);
}

static void test_switching(void **state)
{
	struct tap_options options = options_of("taps", 4);
	struct tap tap;

	(void)state;
	need_namespace();
	tap = opened(&options);
	assert_int_equal(tap_configure(&tap, &options), 0);
	frames_send(&tap, 20);
	assert_int_equal(frames_waiting(&tap), 0); /* every queue starts detached */
	for (unsigned i = 0; i < 4; i += 3)
		assert_int_equal(tap_queue_set(&tap, i, true), 0);
	assert_int_equal(tap_queue_set(&tap, 3, true), 0); /* again is nothing */
	assert_int_equal(tap_queues_attached(&tap), 2);
	frames_send(&tap, 20);
	assert_int_equal(frames_waiting(&tap), 20);
	assert_int_equal(tap_queue_set(&tap, 4, true), -EINVAL);
	tap_close(&tap);
}

/* Frames and settings that one connection leaves behind do not reach the next. */
static void test_purge(void **state)
{
	struct tap_options options = options_of("tapp", 2);
	int header = 10, buffer = 1, value;
	struct tap tap;

	(void)state;
	need_namespace();
	tap = opened(&options);
	assert_int_equal(tap_configure(&tap, &options), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(tap_queue_set(&tap, i, true), 0);
	frames_send(&tap, 20);
	assert_int_equal(ioctl(tap.queues[0], TUNSETOFFLOAD, (unsigned long)TUN_F_CSUM), 0);
	assert_int_equal(ioctl(tap.queues[0], TUNSETVNETHDRSZ, &header), 0);
	assert_int_equal(ioctl(tap.queues[0], TUNSETSNDBUF, &buffer), 0);
	assert_int_equal(ioctl(tap.queues[0], TUNSETPERSIST, 1), 0);
	assert_int_equal(tap_queue_set(&tap, 1, false), 0); /* out of reach of TUNSETSNDBUF */
	assert_int_equal(tap_purge(&tap), 0);
	assert_int_equal(tap_queues_attached(&tap), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(tap_queue_set(&tap, i, true), 0);
	assert_int_equal(frames_waiting(&tap), 0);
	assert_int_equal(ioctl(tap.queues[1], TUNGETVNETHDRSZ, &value), 0);
	assert_int_equal(value, 12);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(ioctl(tap.queues[i], TUNGETSNDBUF, &value), 0);
		assert_true(value > 1);
	}
	tap_close(&tap);
	{
		struct rtnl_link link;

		assert_int_equal(rtnl_link_get("tapp", &link), -ENODEV); /* not persistent */
	}
}

/* Queues that somebody else switched are detached all the same. */
static void test_purge_of_switched_queues(void **state)
{
	struct tap_options options = options_of("tapq", 3);
	struct ifreq detach = { .ifr_flags = IFF_DETACH_QUEUE };
	struct ifreq attach = { .ifr_flags = IFF_ATTACH_QUEUE };
	struct tap tap;
	int no = 0;

	(void)state;
	need_namespace();
	tap = opened(&options);
	assert_int_equal(tap_configure(&tap, &options), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(tap_queue_set(&tap, i, true), 0);
	assert_int_equal(ioctl(tap.queues[0], TUNSETCARRIER, &no), 0);
	assert_int_equal(fcntl(tap.queues[1], F_SETFL, 0), 0);
	assert_int_equal(ioctl(tap.queues[0], TUNSETQUEUE, &detach), 0);
	assert_int_equal(ioctl(tap.queues[2], TUNSETQUEUE, &attach), 0);
	assert_int_equal(tap_purge(&tap), 0);
	assert_int_equal(fcntl(tap.queues[1], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	assert_int_equal(tap_queues_attached(&tap), 0);
	frames_send(&tap, 20);
	assert_int_equal(frames_waiting(&tap), 0);
	assert_int_equal(tap_queue_set(&tap, 0, true), 0);
	frames_send(&tap, 20);
	assert_int_equal(frames_waiting(&tap), 20);
	tap_close(&tap);
}

static void test_inherited(void **state)
{
	const short flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE;
	struct tap_options options = { .pairs = 2, .fd_count = 2 };
	struct tap tap;

	(void)state;
	need_namespace();
	options.fds[0] = queue_of("tapi", flags);
	options.fds[1] = queue_of("tapi", flags);
	tap = opened(&options);
	assert_string_equal(tap.name, "tapi");
	assert_false(tap.created);
	assert_true(tap.multi_queue);
	assert_true(tap.index > 0);
	assert_int_equal(fcntl(tap.queues[1], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	assert_int_equal(fcntl(tap.queues[1], F_GETFD), FD_CLOEXEC);
	assert_int_equal(tap_queues_attached(&tap), 0);
	tap_close(&tap);
}

/* IPv6 begins at 1280 bytes, asked for or found; nothing else minds. */
static void test_ipv6_needs_room(void **state)
{
	static const struct {
		unsigned mtu, found; /* 0: not asked for; no TAP yet */
		const char *address;
		int answer;
	} rows[] = {
		{ 1279, 0, "2001:db8::1/64", -EINVAL }, { 1280, 0, "2001:db8::1/64", 0 },
		{ 0, 0, "2001:db8::1/64", 0 },		{ 1279, 0, "192.0.2.1/24", 0 },
		{ 0, 1279, "2001:db8::1/64", -EINVAL }, { 1280, 1279, "2001:db8::1/64", 0 },
	};

	const short flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE;

	(void)state;
	need_namespace();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct tap_options options = options_of("tapr", 1);
		struct rtnl_link link;

		options.mtu = rows[i].mtu;
		options.address_count = 1;
		assert_int_equal(address_parse(rows[i].address, &options.addresses[0]), 0);
		if (rows[i].found) {
			persistent_make("tapr", flags);
			assert_int_equal(rtnl_link_get("tapr", &link), 0);
			assert_int_equal(rtnl_link_set_mtu(link.index, rows[i].found), 0);
		}
		if (tap_check(&options) != rows[i].answer)
			fail_msg("row %zu", i);
		if (rows[i].found)
			persistent_remove("tapr", flags);
	}
}

/* A single queue cannot be detached; purging reads it empty. */
static void test_inherited_single(void **state)
{
	struct tap_options options = { .pairs = 1, .fd_count = 1 };
	struct tap tap;

	(void)state;
	need_namespace();
	options.fds[0] = queue_of("tap1", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
	tap = opened(&options);
	assert_false(tap.multi_queue);
	assert_int_equal(rtnl_link_set_up(tap.index), 0);
	frames_send(&tap, 20);
	assert_int_equal(tap_queue_set(&tap, 0, false), 0);
	assert_int_equal(tap_purge(&tap), 0);
	assert_int_equal(frames_waiting(&tap), 0);
	tap_close(&tap);
}

static void test_inherited_unsuitable(void **state)
{
	const short multi = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE;
	struct tap_options options = { .pairs = 1, .fd_count = 1 };
	const struct {
		int fd;
	} rows[] = {
		{ open("/dev/null", O_RDWR | O_CLOEXEC) },
		{ alone ? open("/dev/net/tun", O_RDWR | O_CLOEXEC) : -1 }, /* of no interface */
		{ alone ? queue_of("tun2", IFF_TUN | IFF_NO_PI) : -1 },
		{ alone ? queue_of("tap2", IFF_TAP | IFF_NO_PI) : -1 },
		{ alone ? queue_of("tap3", IFF_TAP | IFF_VNET_HDR) : -1 },
		{ -1 },
	};

	(void)state;
	need_namespace();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		options.fds[0] = rows[i].fd;
		assert_int_equal(tap_check(&options), -EINVAL);
	}
	options.fds[0] = queue_of("tap4", multi);
	options.fds[1] = queue_of("tap5", multi);
	options.fd_count = options.pairs = 2;
	assert_int_equal(tap_check(&options), -EINVAL); /* two TAPs */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_created),
		cmocka_unit_test(test_discipline_of_the_host),
		cmocka_unit_test(test_named_by_the_kernel),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_offloads),
		cmocka_unit_test(test_attached),
		cmocka_unit_test(test_unsuitable),
		cmocka_unit_test(test_switching),
		cmocka_unit_test(test_purge),
		cmocka_unit_test(test_ipv6_needs_room),
		cmocka_unit_test(test_purge_of_switched_queues),
		cmocka_unit_test(test_inherited),
		cmocka_unit_test(test_inherited_single),
		cmocka_unit_test(test_inherited_unsuitable),
	};

	return cmocka_run_group_tests_name("tap", tests, setup, NULL);
}
