/*
 * Joined frames behind a real TAP: a bridge takes them to another TAP without offloads, and what is
 * read there is what the guest sent, bit for bit and in order, with checksums completed where the
 * guest left them open. Both ring formats, both transports, both versions of IP.
 */
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/util.h"
#include "tests/unit/lib/gso.h"
#include "tests/support/rig.h"

#define BURST 100
#define MAC   "a2:a2:a2:a2:a2:00" /* of gso_build()'s frames */

static struct rig rig;
static struct guest guest;
static uint8_t sent[BURST][2048];
static size_t lengths[BURST];
static int far = -1;

static void shell(const char *command)
{
	if (system(command))
		fail_msg("%s", command);
}

/* The TAP of the device and another one, on one bridge. */
static void begin(const char *option, const char *other)
{
	char name[16] = "far0";

	guest_blank(&guest);
	rig_start(&rig, (const char *[]){ option, other, NULL });
	far = host_tap(name, 0);
	assert_true(far >= 0);
	shell("ip link add bridge0 type bridge forward_delay 0 mcast_snooping 0");
	shell("ip link set " RIG_TAP " master bridge0");
	shell("ip link set far0 master bridge0");
	shell("ip link set far0 up");
	shell("ip link set bridge0 up");
	rig_sleep(50);
}

static void finish(void)
{
	shell("ip link del bridge0");
	close(far);
	far = -1;
	rig_stop(&rig);
}

static int end(void **state)
{
	(void)state;
	guest_close(&guest);
	rig_abandon(&rig);
	if (far >= 0)
		close(far);
	far = -1;
	if (if_nametoindex("bridge0"))
		shell("ip link del bridge0");
	return 0;
}

/* The next frame of ours that comes out at the far side; 0: none in time. */
static size_t far_frame(uint8_t *frame, size_t room, int timeout_ms)
{
	struct pollfd p = { .fd = far, .events = POLLIN };
	static const uint8_t blank[sizeof(struct virtio_net_hdr)];
	uint8_t hdr[sizeof(struct virtio_net_hdr_v1)];
	struct iovec iov[] = { { hdr, sizeof(hdr) }, { frame, room } };
	ssize_t n;

	while (poll(&p, 1, timeout_ms) > 0) {
		n = readv(far, iov, 2);
		assert_true(n > (ssize_t)sizeof(hdr));
		if (memcmp(frame + 6, "\xa2\xa2\xa2\xa2\xa2", 5) != 0)
			continue; /* the bridge's own */
		assert_memory_equal(blank, hdr, sizeof(blank));
		return (size_t)n - sizeof(hdr);
	}
	return 0;
}

/* Posts a burst of a flow whose last frame is short, and lets the device see all of it at once. */
static void send_burst(struct gso_flow *f)
{
	struct net_hdr hdr;

	for (int i = 0; i < BURST; i++, gso_advance(f)) {
		struct gso_flow one = *f;

		if (i == BURST - 1)
			one.payload /= 2;
		lengths[i] = gso_build(&one, &hdr, sent[i]);
		assert_ok(guest_post(&guest, 0, (const struct virtio_net_hdr *)&hdr, sent[i],
				     lengths[i]));
		gso_complete(&hdr, sent[i], lengths[i]);
	}
	guest_kick(&guest, 0);
	assert_ok(guest_flush(&guest, 0, RIG_WAIT_MS));
}

static void expect_burst(void)
{
	static uint8_t frame[65536];

	for (int i = 0; i < BURST; i++) {
		assert_int_equal(lengths[i], far_frame(frame, sizeof(frame), 2000));
		assert_memory_equal(sent[i], frame, lengths[i]);
	}
}

/* How many frames the TAP counted for one burst: joined ones count once. */
static uint64_t burst(struct gso_flow *f)
{
	struct host_counters before, after;

	assert_ok(host_counters(RIG_TAP, &before));
	send_burst(f);
	expect_burst();
	assert_ok(host_counters(RIG_TAP, &after));
	return after.rx_frames - before.rx_frames;
}

static void flows(uint64_t features, bool partial, uint64_t most)
{
	rig_open(&rig, &guest, &(struct guest_options){ .features = features });
	for (unsigned int kind = 0; kind < 4; kind++) {
		struct gso_flow f = gso_flow(kind & 1, kind & 2, kind & 1 ? 1428 : 1400);

		f.checksum = partial ? GSO_PARTIAL : GSO_COMPLETE;
		f.options = f.udp ? 0 : 12;
		for (int i = 0; i < 3; i++)
			assert_in_range(burst(&f), 1, most);
	}
	rig_close(&rig, &guest);
}

/* 45 frames make 64 KiB. What is not joined for a checksum that may be zero costs one write more.
 */
static void far_side_receives_what_was_sent(void **state)
{
	(void)state;
	begin(NULL, NULL);
	flows(BIT(VIRTIO_NET_F_CSUM), true, 4);
	flows(0, false, 8);
	flows(BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_F_RING_PACKED), true, 4);
	flows(BIT(VIRTIO_F_RING_PACKED), false, 8);
	flows(BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_F_IN_ORDER), false, 8);
	finish();
}

static void switched_off(void **state)
{
	struct gso_flow f = gso_flow(false, false, 1400);

	(void)state;
	begin("--coalesce=off", NULL);
	rig_open(&rig, &guest, &(struct guest_options){ 0 });
	assert_int_equal(BURST, burst(&f));
	rig_close(&rig, &guest);
	finish();
}

/* What is joined has one Ethernet header, which is each one's. */
static void guard_sees_whose_frames_they_are(void **state)
{
	struct gso_flow f = gso_flow(false, true, 1400);
	static uint8_t frame[65536];

	(void)state;
	begin("--guard=mac", "--mac=" MAC);
	rig_open(&rig, &guest, &(struct guest_options){ 0 });
	assert_in_range(burst(&f), 1, 8);
	f.mac = 2;
	send_burst(&f);
	assert_int_equal(0, far_frame(frame, sizeof(frame), 200));
	f.mac = 0;
	assert_in_range(burst(&f), 1, 8);
	rig_close(&rig, &guest);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(far_side_receives_what_was_sent, end),
		cmocka_unit_test_teardown(switched_off, end),
		cmocka_unit_test_teardown(guard_sees_whose_frames_they_are, end),
	};

	return rig_run("coalesce", tests, ARRAY_SIZE(tests));
}
