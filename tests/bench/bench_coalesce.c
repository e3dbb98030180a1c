/*
 * What joining frames brings: 1514-byte TCP and UDP frames of one flow, sent one by one by a guest
 * that has no segmentation offload, through a device that joins them and one that does not, beside
 * a loop that writes one frame a system call to a TAP. Rounds alternate, medians are shown. Frames
 * are counted at the interface, by the payload that arrived. The device, or the bare loop, runs on
 * the last CPU, the front-end on the first. Needs root.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "lib/util.h"
#include "tests/support/gso.h"
#include "tests/support/rig.h"

#define ROUNDS 5
#define HEADER 12

struct measure {
	double kframes, cpu_ns; /* thousands a second; of the sender's process, a frame */
};

/* The slots of a ring hold consecutive frames of one flow; so many times round it they repeat. */
static struct rig rig;
static struct guest guest;
static char bare_name[16] = "bare%d";
static int bare_tap;
static size_t head_len, frame_len;
static unsigned int round_ms = 300;

static int64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void pin(pid_t pid, int cpu)
{
	pid_t tids[16];
	int n = proc_threads(pid, tids, ARRAY_SIZE(tids));
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	for (int i = 0; i < n && i < (int)ARRAY_SIZE(tids); i++)
		assert_ok(sched_setaffinity(tids[i], sizeof(set), &set));
}

static void fill(bool ipv6, bool udp, size_t len, enum gso_checksum checksum)
{
	struct guest_queue *q = &guest.queue[1];
	struct gso_flow f;

	head_len = (ipv6 ? 54 : 34) + (udp ? 8 : 20);
	frame_len = len;
	f = gso_flow(ipv6, udp, (unsigned int)(len - head_len));
	f.checksum = checksum;
	for (uint32_t i = 0; i < q->slots; i++, gso_advance(&f)) {
		uint8_t *at = guest_at(&guest.memory, q->slot[i], (uint32_t)(HEADER + len));

		gso_build(&f, (struct net_hdr *)(void *)at, at + HEADER);
	}
}

static struct measure bare_round(void)
{
	const uint8_t *frame =
		guest_at(&guest.memory, guest.queue[1].slot[0], (uint32_t)(HEADER + frame_len));
	int64_t start, end, now, cpu;
	uint64_t n = 0;

	pin(getpid(), (int)sysconf(_SC_NPROCESSORS_ONLN) - 1);
	cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	start = now = now_ns(CLOCK_MONOTONIC);
	for (end = start + round_ms * INT64_C(1000000); now < end; now = now_ns(CLOCK_MONOTONIC))
		for (int i = 0; i < 256; i++, n++)
			assert_int_equal(HEADER + frame_len,
					 write(bare_tap, frame, HEADER + frame_len));
	cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	return (struct measure){ (double)n * 1e6 / (double)(now - start), (double)cpu / (double)n };
}

/* Gives every buffer back to the device as soon as it comes. */
static void recycle(struct guest_queue *q)
{
	uint32_t slot, written;
	unsigned int n = 0;

	while (guest_ring_take(&q->ring, &slot, &written) > 0) {
		struct guest_piece p = { q->slot[slot], (uint32_t)(HEADER + frame_len), false };

		guest_ring_post(&q->ring, &p, 1, false, slot);
		n++;
	}
	if (n)
		guest_ring_kick(&q->ring);
}

static uint64_t arrived(void)
{
	struct host_counters c;

	assert_ok(host_counters(RIG_TAP, &c));
	return (c.rx_bytes - c.rx_frames * head_len) / (frame_len - head_len);
}

static struct measure device_round(void)
{
	struct guest_queue *q = &guest.queue[1];
	pid_t device = rig_device(&rig);
	int64_t start, end;
	long long cpu;
	uint64_t frames;

	pin(getpid(), 0);
	pin(device, (int)sysconf(_SC_NPROCESSORS_ONLN) - 1);
	for (uint32_t i = 0; i < q->slots; i++) {
		struct guest_piece p = { q->slot[i], (uint32_t)(HEADER + frame_len), false };

		assert_ok(guest_ring_post(&q->ring, &p, 1, false, i));
	}
	frames = arrived();
	cpu = proc_cpu_ns(device);
	start = now_ns(CLOCK_MONOTONIC);
	end = start + round_ms * INT64_C(1000000);
	guest_ring_kick(&q->ring);
	while (now_ns(CLOCK_MONOTONIC) < end)
		recycle(q);
	end = now_ns(CLOCK_MONOTONIC);
	cpu = proc_cpu_ns(device) - cpu;
	frames = arrived() - frames;
	assert_ok(guest_flush(&guest, 0, 2000));
	return (struct measure){ (double)frames * 1e6 / (double)(end - start),
				 (double)cpu / (double)frames };
}

static int by_rate(const void *a, const void *b)
{
	double x = ((const struct measure *)a)->kframes, y = ((const struct measure *)b)->kframes;

	return (x > y) - (x < y);
}

static void compare(const char *name, bool packed, bool ipv6, bool udp, enum gso_checksum checksum)
{
	struct measure bare[ROUNDS], ours[ROUNDS], b, o;

	rig_open(&rig, &guest,
		 &(struct guest_options){ .features = BIT(VIRTIO_NET_F_CSUM) |
						      (packed ? BIT(VIRTIO_F_RING_PACKED) : 0) });
	fill(ipv6, udp, 1514, checksum);
	for (int i = 0; i < ROUNDS; i++) {
		if (i & 1)
			ours[i] = device_round();
		bare[i] = bare_round();
		if (!(i & 1))
			ours[i] = device_round();
	}
	qsort(bare, ROUNDS, sizeof(*bare), by_rate);
	qsort(ours, ROUNDS, sizeof(*ours), by_rate);
	b = bare[ROUNDS / 2];
	o = ours[ROUNDS / 2];
	printf("  %-28s %9.0f %7.0f %9.0f %7.0f %7.2f %6.2f\n", name, b.kframes, b.cpu_ns,
	       o.kframes, o.cpu_ns, o.kframes / b.kframes, o.cpu_ns / b.cpu_ns);
	fflush(stdout);
	rig_close(&rig, &guest);
}

static void with(const char *how)
{
	rig_start(&rig, (const char *[]){ "--log-level=error", how, NULL });
	wire_close(&rig.wire); /* a packet socket would be a second reader of every frame */
	bare_tap = host_tap(bare_name, 0);
	assert_true(bare_tap >= 0);
	assert_ok(host_set_up(bare_name, 0));
	guest_blank(&guest);
	printf("\n%-30s      bare loop            device           ratio\n"
	       "  1514 bytes                   kframes/s  ns CPU kframes/s  ns CPU    rate    CPU\n",
	       how);
	compare("TCP, partial checksum, split", false, false, false, GSO_PARTIAL);
	compare("TCP, complete, split", false, false, false, GSO_COMPLETE);
	compare("TCP, partial, packed", true, false, false, GSO_PARTIAL);
	compare("TCP over IPv6, complete", false, true, false, GSO_COMPLETE);
	compare("UDP, partial, split", false, false, true, GSO_PARTIAL);
	compare("UDP, complete, split", false, false, true, GSO_COMPLETE);
	close(bare_tap);
	rig_stop(&rig);
}

static void bench(void **state)
{
	(void)state;
	with("--coalesce=on");
	with("--coalesce=off");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(bench) };

	if (getenv("QUICK"))
		round_ms = 50;
	return rig_run("coalesce", tests, ARRAY_SIZE(tests));
}
