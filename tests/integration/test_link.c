/*
 * An administrator changes the TAP under a guest, or a front-end has moved it: the guest finds
 * link, MTU and the wish that it announce itself in its configuration space, and is told on the
 * back-end's channel, but for while its rings are stopped.
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/util.h"
#include "tests/support/control.h"
#include "tests/support/rig.h"

#define EXTRA	 (BIT(VU_P_BACKEND_REQ) | BIT(VU_P_NET_MTU) | BIT(VU_P_RARP))
#define ANNOUNCE BIT(VIRTIO_NET_F_GUEST_ANNOUNCE)

static struct rig rig;
static struct guest guest;
static struct control control;
static int channel = -1; /* of the back-end's messages */

static int start(void **state)
{
	(void)state;
	guest_blank(&guest);
	control.ring.kick = control.ring.call = control.ring.err = -1;
	rig_start(&rig, (const char *[]){ NULL });
	return 0;
}

static int end(void **state)
{
	(void)state;
	fd_close(&channel);
	control_close(&control);
	guest_close(&guest);
	rig_abandon(&rig);
	return 0;
}

static void host_up(bool up)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_name = RIG_TAP };

	assert_ok(ioctl(sock, SIOCGIFFLAGS, &request));
	request.ifr_flags = (short)(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
	assert_ok(ioctl(sock, SIOCSIFFLAGS, &request));
	close(sock);
	/* A packet socket does not outlive its link. */
	wire_close(&rig.wire);
	if (up)
		assert_ok(wire_open(&rig.wire, RIG_TAP, ETH_P_ALL));
}

static void host_mtu_set(int mtu)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_name = RIG_TAP, .ifr_mtu = mtu };

	assert_ok(ioctl(sock, SIOCSIFMTU, &request));
	close(sock);
}

/* Does the device say that its configuration has changed? */
static bool told(int timeout_ms)
{
	struct pollfd p = { .fd = channel, .events = POLLIN };
	struct vu_header head;

	if (poll(&p, 1, timeout_ms) != 1)
		return false;
	assert_int_equal(sizeof(head), recv(channel, &head, sizeof(head), 0));
	assert_int_equal(VU_BACK_CONFIG_CHANGE, head.request);
	assert_int_equal(VU_VERSION, head.flags);
	assert_int_equal(0, head.size);
	return true;
}

static void assert_config(unsigned status, uint16_t mtu)
{
	struct vu_config ask = { .size = 12 };
	struct vu_message reply;
	uint16_t words[6];

	assert_ok(peer_ask(&guest.peer, VU_GET_CONFIG, &ask, 12 + 12, &reply));
	memcpy(words, reply.config.bytes, sizeof(words));
	assert_int_equal(status, words[3]);
	assert_int_equal(mtu, words[5]);
}

static void open_with_channel(uint64_t features)
{
	struct guest_options options = { .features = features, .protocol = EXTRA };

	rig_connect(&rig, &guest.peer);
	assert_ok(guest_negotiate(&guest, &options));
	assert_ok(peer_open_channel(&guest.peer, &channel));
	assert_ok(guest_set_up(&guest));
	assert_ok(guest_start_rings(&guest, 0));
	guest_refill(&guest, 0);
}

static void changes_reach_the_guest(void **state)
{
	uint32_t base;

	(void)state;
	open_with_channel(0);
	rig_exchange(&rig, &guest, 0);
	assert_config(true, 1500);
	assert_false(told(30));
	host_mtu_set(1400);
	assert_true(told(RIG_WAIT_MS));
	assert_config(true, 1400);
	host_up(false);
	assert_true(told(RIG_WAIT_MS));
	assert_config(false, 1400);
	host_up(true);
	assert_true(told(RIG_WAIT_MS));
	assert_config(true, 1400);
	host_mtu_set(9000);
	assert_true(told(RIG_WAIT_MS));
	assert_config(true, 9000);
	rig_exchange(&rig, &guest, 0);
	/* What the front-end has lowered stays so, and the administrator may go below. */
	assert_ok(peer_tell_u64(&guest.peer, VU_NET_SET_MTU, 2000));
	host_mtu_set(4000);
	assert_false(told(50));
	assert_config(true, 2000);
	host_mtu_set(1000);
	assert_true(told(RIG_WAIT_MS));
	assert_config(true, 1000);
	/* A suspended device says nothing until it goes on. */
	assert_ok(guest_ring_stop(&guest, 0, &base));
	assert_ok(guest_ring_stop(&guest, 1, &base));
	host_mtu_set(1200);
	host_mtu_set(1300);
	assert_false(told(50));
	assert_ok(guest_ring_configure(&guest, 1, base));
	assert_true(told(RIG_WAIT_MS));
	assert_false(told(30));
	host_mtu_set(1500);
	rig_close(&rig, &guest);
	rig_serves(&rig);
	rig_stop(&rig);
}

/* What changes while nobody is served, the next one knows from the start. */
static void changes_between_connections(void **state)
{
	(void)state;
	rig_serves(&rig);
	host_mtu_set(1300);
	host_up(false);
	open_with_channel(0);
	for (int i = 0; i < 100 && told(10); i++)
		;
	assert_config(false, 1300);
	host_up(true);
	assert_true(told(RIG_WAIT_MS));
	assert_config(true, 1300);
	host_mtu_set(1500);
	rig_exchange(&rig, &guest, 0);
	rig_close(&rig, &guest);
	rig_stop(&rig);
}

/* On a host of many interfaces the kernel speaks of one or another all the time. */
static void others_wake_nobody(void **state)
{
	long before;

	(void)state;
	rig_serves(&rig);
	do {
		before = proc_wakeups(rig.broker.pid);
		rig_sleep(100); /* the end of the last connection is still heard of */
	} while (proc_wakeups(rig.broker.pid) != before);
	for (int i = 0; i < 10; i++) {
		char name[16] = "another0";
		int fd = host_tap(name, 0);

		assert_true(fd >= 0);
		assert_ok(host_set_up(name, 1400));
		close(fd);
	}
	rig_sleep(20);
	/* Each says several things. */
	assert_in_range(proc_wakeups(rig.broker.pid) - before, 0, 9);
	host_mtu_set(1300);
	assert_true(program_says(&rig.broker, "TAP " RIG_TAP " is up, MTU 1300", RIG_WAIT_MS));
	rig_stop(&rig);
}

/* Does a frame of this type leave the guest's card? */
static bool sent(uint16_t type)
{
	uint8_t frame[FRAME_MAX];

	for (;;) {
		int n = wire_recv(&rig.wire, NULL, frame, sizeof(frame));

		if (n < 0)
			return false;
		if (frame[12] == type >> 8 && frame[13] == (type & 0xff))
			return true;
	}
}

static void send_rarp(void)
{
	assert_ok(peer_tell_u64(&guest.peer, VU_SEND_RARP, 0x010000000002));
}

/* By the guest, where it can and its control queue is here; otherwise by a frame of the device's.
 */
static void announcing(void **state)
{
	(void)state;
	rig.wire.timeout_ms = 200;
	open_with_channel(CONTROL_BITS);
	assert_ok(control_open(&control, &guest, 1));
	send_rarp();
	assert_true(sent(ETH_P_RARP));
	control_close(&control);
	fd_close(&channel);
	rig_close(&rig, &guest);

	open_with_channel(CONTROL_BITS | ANNOUNCE);
	send_rarp(); /* the front-end keeps the control queue */
	assert_true(sent(ETH_P_RARP));
	assert_config(1, 1500);
	assert_ok(control_open(&control, &guest, 1));
	assert_false(told(50));
	send_rarp();
	assert_true(told(RIG_WAIT_MS));
	assert_config(3, 1500);
	assert_false(sent(ETH_P_RARP));
	assert_int_equal(VIRTIO_NET_OK, control_say(&control, 3, 0, NULL, 0));
	assert_config(1, 1500);
	assert_int_equal(VIRTIO_NET_ERR, control_say(&control, 3, 1, NULL, 0));
	assert_false(told(50));
	rig_close(&rig, &guest);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(changes_reach_the_guest, start, end),
		cmocka_unit_test_setup_teardown(changes_between_connections, start, end),
		cmocka_unit_test_setup_teardown(others_wake_nobody, start, end),
		cmocka_unit_test_setup_teardown(announcing, start, end),
	};

	return rig_run("link", tests, ARRAY_SIZE(tests));
}
