/*
 * Frames a second through the jailed device beside a bare loop of one system call a frame on a TAP,
 * interleaved in one run; what it costs in CPU time and private memory; how soon the first request
 * is answered. Two CPUs: what is measured runs on one, front-end and injector on the other. Frames
 * are counted at the far end: the interface's counters, or the guest's ring.
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "lib/util.h"
#include "tests/support/rig.h"

#define MERGE	   BIT(VIRTIO_NET_F_MRG_RXBUF)
#define ROUNDS	   5
#define BURST	   64
#define BARE	   "bare0"
#define MEASURED   0 /* CPU */
#define OUR_OWN	   1 /* CPU */
#define HEADER_LEN 12

static struct rig rig;
static struct guest guest;
static uint8_t frames[BURST][HEADER_LEN + 1514];
static unsigned round_ms = 400;

struct rate {
	double per_second, cpu_ns;
};

static int64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void pin(pid_t tid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(tid, sizeof(set), &set);
}

static void pin_process(pid_t pid, int cpu)
{
	pid_t tids[16];
	int n = proc_threads(pid, tids, ARRAY_SIZE(tids));

	for (int i = 0; i < n; i++)
		pin(tids[i], cpu);
}

static void frames_fill(size_t len)
{
	memset(frames, 0, sizeof(frames));
	for (uint32_t i = 0; i < BURST; i++)
		frame_pattern(frames[i] + HEADER_LEN, len, i);
}

/* ---- the limit ---- */

struct bare {
	int fd;
	size_t len;
	bool receive, stop;
	uint64_t frames;
	int64_t cpu_ns;
};

static void *bare_loop(void *arg)
{
	struct bare *b = arg;
	struct pollfd p = { .fd = b->fd, .events = POLLIN };
	static uint8_t buffer[HEADER_LEN + 65536];
	int64_t begin = now_ns(CLOCK_THREAD_CPUTIME_ID);

	pin(0, MEASURED);
	while (!__atomic_load_n(&b->stop, __ATOMIC_RELAXED)) {
		ssize_t n = b->receive ? read(b->fd, buffer, sizeof(buffer))
				       : write(b->fd, frames[0], HEADER_LEN + b->len);

		if (n > 0)
			b->frames++;
		else if (b->receive)
			poll(&p, 1, 10);
	}
	b->cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID) - begin;
	return NULL;
}

/* Floods an interface through a packet socket without a queueing discipline; one burst. */
static void inject(int sock, size_t len)
{
	static struct mmsghdr m[BURST];
	static struct iovec iov[BURST];

	for (unsigned i = 0; i < BURST; i++) {
		iov[i] = (struct iovec){ frames[i] + HEADER_LEN, len };
		m[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i], .msg_iovlen = 1 };
	}
	sendmmsg(sock, m, BURST, MSG_DONTWAIT);
}

static int injector(const char *interface)
{
	int on = 1;
	struct wire w;

	assert_ok(wire_open(&w, interface, 0)); /* protocol 0: captures nothing */
	setsockopt(w.sock, SOL_PACKET, PACKET_VNET_HDR, &(int){ 0 }, sizeof(int));
	assert_ok(setsockopt(w.sock, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)));
	return w.sock;
}

static struct rate bare_rate(size_t len, bool receive)
{
	struct bare b = { .len = len, .receive = receive };
	char name[16] = BARE;
	int64_t begin, end;
	pthread_t thread;
	int sock;

	b.fd = host_tap(name, IFF_MULTI_QUEUE);
	assert_true(b.fd >= 0);
	assert_ok(host_set_up(BARE, 1500));
	sock = injector(BARE);
	begin = now_ns(CLOCK_MONOTONIC);
	end = begin + round_ms * INT64_C(1000000);
	assert_ok(pthread_create(&thread, NULL, bare_loop, &b));
	while (now_ns(CLOCK_MONOTONIC) < end)
		if (receive)
			inject(sock, len);
		else
			rig_sleep(1);
	__atomic_store_n(&b.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	end = now_ns(CLOCK_MONOTONIC);
	close(sock);
	close(b.fd);
	while (host_has(BARE))
		rig_sleep(1);
	return (struct rate){ (double)b.frames * 1e9 / (double)(end - begin),
			      (double)b.cpu_ns / (double)b.frames };
}

/* ---- the device ---- */

/* Keeps every buffer of a ring with the device: what comes back is posted again at once. */
static uint64_t recycle(struct guest_queue *q, uint32_t len, bool receive)
{
	uint32_t slot, written;
	uint64_t n = 0;

	while (guest_ring_take(&q->ring, &slot, &written) > 0) {
		struct guest_piece p = { q->slot[slot], len, receive };

		guest_ring_post(&q->ring, &p, 1, false, slot);
		n++;
	}
	if (n)
		guest_ring_kick(&q->ring);
	return n;
}

static struct rate device_rate(pid_t device, size_t len, bool receive)
{
	struct guest_queue *q = &guest.queue[receive ? 0 : 1];
	int64_t begin, end, cpu;
	struct host_counters before, after;
	uint64_t received = 0;
	int sock = injector(RIG_TAP);

	for (uint32_t i = 0; !receive && i < q->slots; i++) {
		struct guest_piece p = { q->slot[i], (uint32_t)(HEADER_LEN + len), false };

		memcpy(guest_at(&guest.memory, p.gpa, p.len), frames[i % BURST], p.len);
		assert_ok(guest_ring_post(&q->ring, &p, 1, false, i));
	}
	assert_ok(host_counters(RIG_TAP, &before));
	cpu = proc_cpu_ns(device);
	begin = now_ns(CLOCK_MONOTONIC);
	end = begin + round_ms * INT64_C(1000000);
	guest_ring_kick(&q->ring);
	while (now_ns(CLOCK_MONOTONIC) < end) {
		if (receive)
			inject(sock, len);
		received +=
			recycle(q, receive ? q->slot_bytes : (uint32_t)(HEADER_LEN + len), receive);
	}
	end = now_ns(CLOCK_MONOTONIC);
	cpu = proc_cpu_ns(device) - cpu;
	assert_ok(host_counters(RIG_TAP, &after));
	close(sock);
	if (!receive) {
		received = after.rx_frames - before.rx_frames;
		assert_ok(guest_flush(&guest, 0, 2000));
	}
	return (struct rate){ (double)received * 1e9 / (double)(end - begin),
			      (double)cpu / (double)received };
}

static int by_rate(const void *a, const void *b)
{
	double x = ((const struct rate *)a)->per_second, y = ((const struct rate *)b)->per_second;

	return (x > y) - (x < y);
}

static void compare(pid_t device, size_t len, bool receive)
{
	struct rate bare[ROUNDS], ours[ROUNDS], b, o;

	frames_fill(len);
	for (int i = 0; i < ROUNDS; i++) {
		if (i & 1)
			ours[i] = device_rate(device, len, receive);
		bare[i] = bare_rate(len, receive);
		if (!(i & 1))
			ours[i] = device_rate(device, len, receive);
	}
	qsort(bare, ROUNDS, sizeof(*bare), by_rate);
	qsort(ours, ROUNDS, sizeof(*ours), by_rate);
	b = bare[ROUNDS / 2];
	o = ours[ROUNDS / 2];
	printf("%-8s %5zu  %9.0f %6.0f  %9.0f %6.0f  %6.2f %6.2f\n",
	       receive ? "receive" : "transmit", len, b.per_second / 1e3, b.cpu_ns,
	       o.per_second / 1e3, o.cpu_ns, o.per_second / b.per_second, o.cpu_ns / b.cpu_ns);
	fflush(stdout);
}

/* ---- start-up and memory ---- */

static double first_answer_ms(int64_t begin)
{
	struct peer p;
	int rc;

	do
		rc = peer_connect(&p, rig.socket);
	while (rc == -ENOENT || rc == -ECONNREFUSED);
	assert_ok(rc);
	assert_ok(peer_sync(&p));
	peer_close(&p);
	return (double)(now_ns(CLOCK_MONOTONIC) - begin) / 1e6;
}

static void start_up(void)
{
	struct program_start s;
	double first, next;

	rig_prepare(&rig, &s, (const char *[]){ NULL });
	s.args[5] = "--log-level=error";
	int64_t begin = now_ns(CLOCK_MONOTONIC);
	assert_ok(program_run(&rig.broker, &s));
	first = first_answer_ms(begin);
	assert_ok(program_wait_ready(&rig.broker, RIG_START_MS));
	rig_sleep(200);
	next = first_answer_ms(now_ns(CLOCK_MONOTONIC));
	rig_sleep(200);
	printf("first answered request: %.1f ms after the broker's exec, %.2f ms after a later "
	       "connect\n",
	       first, next);
}

static void memory(pid_t device)
{
	pid_t spawner = proc_parent(device);

	printf("private memory: broker %ld KiB, spawner %ld KiB, device %ld KiB\n",
	       proc_private(rig.broker.pid) / 1024, proc_private(spawner) / 1024,
	       proc_private(device) / 1024);
}

/* Guest memory counts as the device's own until its guest has touched it too. */
static void touch_buffers(void)
{
	for (unsigned i = 0; i < 2; i++)
		for (uint32_t slot = 0; slot < guest.queue[i].slots; slot++)
			memset(guest_at(&guest.memory, guest.queue[i].slot[slot], 4096), 0, 4096);
}

static void rates(void **state)
{
	pid_t device;

	(void)state;
	guest_blank(&guest);
	start_up();
	pin(0, OUR_OWN);
	rig_open(&rig, &guest, &(struct guest_options){ .features = MERGE });
	touch_buffers();
	device = rig_device(&rig);
	pin_process(device, MEASURED);
	memory(device);
	printf("                        bare loop            device            ratio\n"
	       "              len  kframes/s  ns CPU  kframes/s  ns CPU    rate    CPU\n");
	compare(device, 64, false);
	compare(device, 1514, false);
	compare(device, 64, true);
	compare(device, 1514, true);
	memory(device);
	guest_close(&guest);
	assert_int_equal(0, program_stop(&rig.broker));
	rig_abandon(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(rates) };

	if (getenv("QUICK"))
		round_ms = 100;
	return rig_run("rate", tests, ARRAY_SIZE(tests));
}
