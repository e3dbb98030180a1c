/*
 * A worker thread between its mailbox, its descriptors and its rings: commands are answered
 * whatever guest and front-end do, and what breaks one ring leaves the other alone.
 */
#include "tests/unit/device/stage.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <time.h>

#include "device/worker.h"

#define SIZE	 64
#define FEATURES (MODERN | MRG)
#define RX	 PAIR_RX
#define TX	 PAIR_TX

/* One thread each, which never ends: both serve any test. */
static struct worker sleeper = { .cpu = -1 }, watcher = { .cpu = -1, .poll_ns = 2000000000 };
static struct worker *worker = &sleeper;
static int answers = -1;
static int kicks[2], calls[2], errs[2];
static uint8_t got[NET_FRAME_MAX], wanted[NET_FRAME_MAX];
static const struct net_hdr plain = { 0 };

static bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) > 0;
}

/* One command, from its order on: the answer's result. */
static int command(enum worker_order order, unsigned int which)
{
	worker->command.order = order;
	worker->command.which = which;
	assert_int_equal(0, worker_post(worker));
	for (int i = 0; i < 400 && !mailbox_idle(&worker->box); i++) {
		if (readable(answers, 5))
			fd_drain(answers);
	}
	assert_true(mailbox_idle(&worker->box)); /* within the 2 s that a slow machine gets */
	return worker->command.result;
}

static bool packed; /* the format of what start() starts */

static int start(unsigned int which, uint16_t base)
{
	struct ring_config *cfg = &worker->command.config[which];

	*cfg = stage_config(which, SIZE, base, worker->command.features);
	cfg->packed = packed;
	if (packed)
		cfg->base = PACKED_WRAP | (uint32_t)PACKED_WRAP << 16;
	worker->command.mem = stage.mem;
	worker->command.fds = (struct queue_fds){ kicks[which], calls[which], errs[which], -1 };
	worker->command.enabled = true;
	return command(WORKER_START, which);
}

static int update(unsigned int which)
{
	worker->command.fds = (struct queue_fds){ kicks[which], calls[which], errs[which], -1 };
	return command(WORKER_UPDATE, which);
}

/* A worker that serves rings of stage.h. */
static int set_up(void **state)
{
	(void)state;
	stage_open(SIZE, 0, FEATURES);
	if (answers < 0)
		answers = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!atomic_load(&worker->sealed)) {
		assert_int_equal(0, worker_start(worker, 0, answers));
		for (int i = 0; i < 400 && !atomic_load(&worker->sealed); i++)
			if (readable(answers, 5))
				fd_drain(answers);
		assert_int_equal(1, atomic_load(&worker->sealed));
	}
	for (int i = 0; i < 2; i++) {
		kicks[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		calls[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		errs[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		atomic_store(&worker->broken[i], 0);
	}
	worker->pair.tap = stage.pair.tap;
	worker->pair.rx.held_len = 0;
	worker->command.features = FEATURES;
	assert_int_equal(0, start(RX, 0));
	assert_int_equal(0, start(TX, 0));
	return 0;
}

static int set_up_watcher(void **state)
{
	worker = &watcher;
	return set_up(state);
}

static int tear_down(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		command(WORKER_STOP, i);
		fd_close(&kicks[i]);
		fd_close(&calls[i]);
		fd_close(&errs[i]);
	}
	stage_close();
	worker = &sleeper;
	return 0;
}

static void transmit(uint16_t head, size_t len, uint8_t seed)
{
	uint64_t gpa = BUFFERS + 0x40000 + head * 0x1000u;

	memset(at(gpa), 0, NET_HDR_LEN);
	frame_fill(at(gpa + NET_HDR_LEN), len, seed);
	post(TX, head, gpa, (uint32_t)(NET_HDR_LEN + len));
}

static void expect_at_host(size_t len, uint8_t seed)
{
	struct net_hdr hdr;

	assert_true(readable(stage.wire, 2000));
	assert_int_equal(len, wire_take(&hdr, got, sizeof(got)));
	frame_fill(wanted, len, seed);
	assert_memory_equal(wanted, got, len);
}

static void offer(uint16_t head)
{
	post(RX, head, BUFFERS + head * 0x1000u, 2000);
}

static void expect_at_guest(uint16_t head, size_t wanted_len, uint8_t seed)
{
	uint32_t len = 0;
	int taken = -1;

	for (int i = 0; i < 20000 && taken < 0; i++) {
		taken = used_take(RX, &len);
		if (taken < 0)
			usleep(100);
	}
	assert_int_equal(head, taken);
	assert_int_equal(NET_HDR_LEN + wanted_len, len);
	frame_fill(wanted, wanted_len, seed);
	assert_memory_equal(wanted, (char *)at(BUFFERS + head * 0x1000u) + NET_HDR_LEN, wanted_len);
}

static void exchange(uint16_t n)
{
	transmit(n, 100u + n, (uint8_t)n);
	fd_signal(kicks[TX]);
	expect_at_host(100u + n, (uint8_t)n);
	offer(n);
	fd_signal(kicks[RX]);
	wire_send(&plain, 200u + n, (uint8_t)n);
	expect_at_guest(n, 200u + n, (uint8_t)n);
}

/* Waits for the worker to report a break, and returns it. */
static int broken(unsigned int which)
{
	int error = 0;

	for (int i = 0; i < 400 && !error; i++) {
		error = atomic_exchange(&worker->broken[which], 0);
		if (!error && readable(answers, 5))
			fd_drain(answers);
	}
	return error;
}

static void both_ways(void **state)
{
	(void)state;
	for (uint16_t n = 0; n < 40; n++)
		exchange(n);
	assert_true(readable(calls[RX], 1000));
	assert_true(readable(calls[TX], 1000));
	assert_false(readable(errs[RX], 0));
}

static void restart_at_the_returned_base(void **state)
{
	(void)state;
	for (uint16_t n = 0; n < 10; n++)
		exchange(n);
	for (uint16_t n = 10; n < 20; n++)
		offer(n); /* gathered ahead, and given back */
	fd_signal(kicks[RX]);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(0, command(WORKER_STOP, i));
		assert_int_equal(10, worker->command.base);
		event_count(calls[i]);
		assert_int_equal(0, start(i, 10));
		assert_int_equal(1, event_count(calls[i])); /* one may have been lost */
	}
	wire_send(&plain, 77, 1);
	expect_at_guest(10, 77, 1);
	transmit(10, 60, 2);
	fd_signal(kicks[TX]);
	expect_at_host(60, 2);
	/* stopped twice is stopped */
	assert_int_equal(0, command(WORKER_STOP, TX));
	assert_int_equal(11, worker->command.base);
	assert_int_equal(0, command(WORKER_STOP, TX));
	assert_int_equal(11, worker->command.base);
}

static void descriptors_replaced_while_running(void **state)
{
	int old_kick = kicks[TX], old_call = calls[TX];

	(void)state;
	exchange(0);
	kicks[TX] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	calls[TX] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	event_count(old_call);
	assert_int_equal(0, update(TX));
	assert_int_equal(1, event_count(calls[TX])); /* what the old one got may be lost */
	fd_close(&old_kick);
	transmit(1, 60, 1);
	fd_signal(kicks[TX]);
	expect_at_host(60, 1);
	assert_true(readable(calls[TX], 1000));
	assert_int_equal(0, event_count(old_call));
	fd_close(&old_call);
	/* the same again tells nobody anything */
	event_count(calls[TX]);
	assert_int_equal(0, update(TX));
	assert_int_equal(0, event_count(calls[TX]));
}

static void disabled_and_enabled(void **state)
{
	struct net_hdr hdr;

	(void)state;
	exchange(0);
	worker->command.enabled = false;
	assert_int_equal(0, update(TX));
	assert_int_equal(0, update(RX));
	transmit(1, 60, 1);
	fd_signal(kicks[TX]);
	offer(1);
	fd_signal(kicks[RX]);
	wire_send(&plain, 70, 1);
	while (used_take(TX, NULL) >= 0)
		;
	for (int i = 0; i < 1000 && used_take(TX, NULL) < 0; i++)
		usleep(1000);
	assert_int_equal(-1, wire_take(&hdr, got, sizeof(got))); /* discarded */
	assert_int_equal(-1, used_take(RX, NULL));		 /* not delivered */
	worker->command.enabled = true;
	assert_int_equal(0, update(RX));
	expect_at_guest(1, 70, 1);
	assert_int_equal(0, update(TX));
	transmit(2, 60, 2);
	fd_signal(kicks[TX]);
	expect_at_host(60, 2);
}

static void polling_without_descriptors(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		command(WORKER_STOP, i);
		fd_close(&kicks[i]);
		fd_close(&calls[i]);
		assert_int_equal(0, start(i, 0));
	}
	transmit(0, 60, 1);
	expect_at_host(60, 1);
	offer(0);
	wire_send(&plain, 60, 2);
	expect_at_guest(0, 60, 2);
	/* a disabled transmit ring is looked at too */
	worker->command.enabled = false;
	assert_int_equal(0, update(TX));
	transmit(1, 60, 1);
	used_take(TX, NULL);
	for (int i = 0; i < 1000 && used_take(TX, NULL) < 0; i++)
		usleep(1000);
	assert_int_equal(1, worker->pair.queues[TX].stats.dropped_disabled > 0);
}

/* The guest's fault: this ring stops, err once, the other goes on; a restart heals. */
static void broken_ring_is_alone(void **state)
{
	(void)state;
	exchange(0);
	stage.driver[TX].desc[1] = (struct virtq_desc){ 0, 100, 0, 0 };
	avail_push(TX, 1);
	fd_signal(kicks[TX]);
	assert_int_equal(-EFAULT, broken(TX));
	assert_int_equal(1, event_count(errs[TX]));
	for (int i = 0; i < 10; i++)
		fd_signal(kicks[TX]);
	offer(1);
	fd_signal(kicks[RX]);
	wire_send(&plain, 60, 1);
	expect_at_guest(1, 60, 1);
	assert_int_equal(0, event_count(errs[TX]));
	assert_int_equal(0, event_count(errs[RX]));
	assert_int_equal(0, command(WORKER_STOP, TX));
	assert_int_equal(1, worker->command.base); /* the offending chain */
	transmit(1, 90, 3);			   /* repaired */
	assert_int_equal(0, start(TX, 1));
	expect_at_host(90, 3);
}

/* What was gathered ahead of the break is not lost to a restart. */
static void broken_receive_ring_gives_back(void **state)
{
	(void)state;
	for (uint16_t n = 0; n < 5; n++)
		offer(n);
	stage.driver[RX].desc[5] =
		(struct virtq_desc){ BUFFERS, 100, DESC_F_NEXT | DESC_F_WRITE, SIZE };
	avail_push(RX, 5);
	fd_signal(kicks[RX]);
	wire_send(&plain, 1500, 1);
	wire_send(&plain, 9000, 2); /* makes it gather more */
	assert_int_equal(-EINVAL, broken(RX));
	command(WORKER_STOP, RX);
	assert_int_equal(stage.driver[RX].used->idx, worker->command.base);
}

static void truncated_file(void **state)
{
	(void)state;
	assert_int_equal(0, memory_guard_init()); /* cmocka has a handler of its own */
	exchange(0);
	assert_int_equal(0, ftruncate(stage.files[0], 0)); /* the rings' own memory */
	fd_signal(kicks[TX]);
	assert_int_equal(-ESTALE, broken(TX));
	fd_signal(kicks[RX]);
	wire_send(&plain, 60, 1);
	assert_int_equal(-ESTALE, broken(RX));
	assert_int_equal(1, event_count(errs[TX]));
	assert_int_equal(1, event_count(errs[RX]));
	/* a start over it fails, and says so */
	assert_int_equal(0, command(WORKER_STOP, TX));
	assert_int_equal(-ESTALE, start(TX, 0));
	/* memory that comes back is served again */
	assert_int_equal(0, ftruncate(stage.files[0], REGION));
	for (unsigned int i = 0; i < 2; i++) {
		command(WORKER_STOP, i);
		stage.driver[i].seen = 0;
		assert_int_equal(0, start(i, 0));
	}
	offer(1);
	fd_signal(kicks[RX]);
	expect_at_guest(1, 60, 1);
	exchange(0);
}

/* The ring itself is gone when STOP wants to publish: the answer comes all the same. */
static void truncated_before_the_stop(void **state)
{
	(void)state;
	assert_int_equal(0, memory_guard_init()); /* cmocka has a handler of its own */
	exchange(0);
	assert_int_equal(0, ftruncate(stage.files[0], 0));
	for (unsigned int i = 0; i < 2; i++) {
		command(WORKER_STOP, i);
		assert_in_range(worker->command.base, 1, 1);
	}
	assert_int_equal(0, ftruncate(stage.files[0], REGION));
}

static void memory_replaced_while_running(void **state)
{
	struct memory *old = stage.mem;

	(void)state;
	exchange(0);
	for (uint16_t n = 1; n < 4; n++)
		offer(n);
	fd_signal(kicks[RX]);
	stage_memory(); /* the same files, elsewhere in this process */
	for (unsigned int i = 0; i < 2; i++) {
		struct driver *d = &stage.driver[i];

		worker->command.config[i] = stage_config(i, SIZE, 0, FEATURES);
		d->desc = worker->command.config[i].desc;
		d->avail = worker->command.config[i].avail;
		d->used = worker->command.config[i].used;
	}
	worker->command.mem = stage.mem;
	assert_int_equal(0, command(WORKER_MEMORY, RX));
	memory_free(old); /* nobody looks at it any more */
	wire_send(&plain, 800, 5);
	expect_at_guest(1, 800, 5);
	transmit(9, 500, 6);
	fd_signal(kicks[TX]);
	expect_at_host(500, 6);
}

static void memory_without_the_ring_breaks_it(void **state)
{
	(void)state;
	exchange(0);
	worker->command.config[RX] = stage_config(RX, SIZE, 0, FEATURES);
	worker->command.config[TX].desc = NULL;
	worker->command.mem = stage.mem;
	assert_int_equal(0, command(WORKER_MEMORY, RX));
	assert_int_equal(-ESTALE, broken(TX));
	offer(1);
	fd_signal(kicks[RX]);
	wire_send(&plain, 60, 1);
	expect_at_guest(1, 60, 1);
}

/* An event descriptor of another kind: the ring breaks, the thread goes on. */
static void kick_of_another_kind(void **state)
{
	int other, fds[2];

	(void)state;
	assert_int_equal(0, pipe(fds));
	other = epoll_create1(0);
	assert_int_equal(0, epoll_ctl(other, EPOLL_CTL_ADD, fds[0],
				      &(struct epoll_event){ .events = EPOLLIN }));
	fd_close(&kicks[TX]);
	kicks[TX] = other;
	assert_int_equal(0, update(TX));
	assert_int_equal(1, write(fds[1], "x", 1)); /* readable, but not by eight bytes */
	assert_int_equal(-EBADF, broken(TX));
	assert_int_equal(1, event_count(errs[TX]));
	fd_close_all(fds, 2);
	offer(0);
	fd_signal(kicks[RX]);
	wire_send(&plain, 60, 1);
	expect_at_guest(0, 60, 1);
}

/* Saturated and blocking: nothing waits for it. */
static void saturated_blocking_call(void **state)
{
	const uint64_t most = UINT64_MAX - 1;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(sizeof(most), write(calls[i], &most, sizeof(most)));
		assert_int_equal(0, fcntl(calls[i], F_SETFL, 0));
	}
	for (uint16_t n = 0; n < 5; n++)
		exchange(n);
}

static int64_t cpu_ns(void)
{
	struct timespec t;
	clockid_t clock;

	assert_int_equal(0, pthread_getcpuclockid(worker->thread, &clock));
	assert_int_equal(0, clock_gettime(clock, &t));
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void idle_costs_nothing(void **state)
{
	int64_t before;

	(void)state;
	exchange(0);
	before = cpu_ns();
	usleep(100000);
	assert_true(cpu_ns() - before < 5000000);
	/* nor a TAP without buffers for its frames */
	wire_send(&plain, 60, 1);
	usleep(1000);
	before = cpu_ns();
	usleep(100000);
	assert_true(cpu_ns() - before < 5000000);
	offer(1);
	fd_signal(kicks[RX]);
	expect_at_guest(1, 60, 1);
}

static void tap_that_is_gone_costs_little(void **state)
{
	int64_t before;

	(void)state;
	offer(0);
	fd_signal(kicks[RX]);
	assert_int_equal(0, shutdown(stage.wire, SHUT_RDWR));
	fd_close(&stage.wire);
	command(WORKER_STOP, RX);
	worker->pair.tap = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* fails as no TAP does */
	assert_int_equal(0, start(RX, 0));
	usleep(5000);
	before = cpu_ns();
	usleep(100000);
	assert_true(cpu_ns() - before < 20000000);
	command(WORKER_STOP, RX);
	fd_close(&worker->pair.tap);
}

static void full_tap_is_waited_for(void **state)
{
	struct net_hdr hdr;
	uint16_t n = 0, sent = 0;

	(void)state;
	for (; n < SIZE; n++)
		post(TX, n, BUFFERS, 60012); /* zeros */
	fd_signal(kicks[TX]);
	while (sent < SIZE) {
		assert_true(readable(stage.wire, 2000));
		if (wire_take(&hdr, got, sizeof(got)) == 60000)
			sent++;
	}
	/* A driver's descriptors are its own again only when they are used. */
	for (int i = 0; i < 20000 && n; i++)
		if (used_take(TX, NULL) >= 0)
			n--;
		else
			usleep(100);
	assert_int_equal(0, n);
	exchange(0);
}

static void announces(void **state)
{
	struct net_hdr hdr;

	(void)state;
	memcpy(worker->command.mac, "\x02\x00\x00\x00\x00\x09", 6);
	assert_int_equal(0, command(WORKER_ANNOUNCE, 0));
	assert_int_equal(60, wire_take(&hdr, got, sizeof(got)));
	assert_memory_equal("\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x09\x80\x35", got, 14);
}

/* Headers and tables are copied, and copies are no atomic words to ThreadSanitizer. */
#ifdef __SANITIZE_THREAD__
#define BYTES_RACE false
#else
#define BYTES_RACE true
#endif

static atomic_bool racing;

/* Rewrites any word of both rings and of the buffers, where headers and tables lie, as fast as it
 * can, with values that are often nearly right. */
static void *racer(void *arg)
{
	uint32_t seed = 1;

	(void)arg;
	while (atomic_load_explicit(&racing, memory_order_relaxed)) {
		struct driver *d = &stage.driver[seed >> 30 & 1];
		uint64_t gpa = BUFFERS + (seed >> 4 & 0xfffff);
		uint16_t i = seed >> 24 & (SIZE - 1);
		uint64_t len = seed & 0x100 ? seed % 3000 : seed % 3000 & ~15u; /* a table's */
		uint64_t rest = packed ? len | (uint64_t)(seed >> 9 & 0x3f) << 32 |
						 (uint64_t)(seed >> 13 & 0x8087) << 48
				       : len | (uint64_t)(seed >> 9 & 7) << 32 |
						 (uint64_t)(seed >> 13 & 0x7f) << 48;

		seed = seed * 1103515245 + 12345;
		if (BYTES_RACE)
			__atomic_store_n((uint64_t *)at(gpa & ~7ull), seed & 0x40 ? rest : gpa,
					 __ATOMIC_RELAXED);
		switch (seed >> 16 & 7) {
		case 0:
			__atomic_store_n(&d->desc[i].addr, seed & 0x80 ? seed : gpa,
					 __ATOMIC_RELAXED);
			break;
		case 1:
		case 2:
			__atomic_store_n((uint64_t *)&d->desc[i] + 1, rest, __ATOMIC_RELAXED);
			break;
		case 3:
			__atomic_store_n(&d->avail->ring[i], seed >> 20 & 0x7f, __ATOMIC_RELAXED);
			break;
		case 4:
			__atomic_store_n(&d->used->idx, seed >> 8, __ATOMIC_RELAXED);
			break;
		case 5:
			__atomic_store_n(&d->used->flags, seed >> 8, __ATOMIC_RELAXED);
			break;
		default:
			__atomic_fetch_add(&d->avail->idx, seed >> 20 & 7, __ATOMIC_RELAXED);
			fd_signal(kicks[seed >> 30 & 1]);
		}
	}
	return NULL;
}

/* A guest that writes while the device reads: rings break and are started again, commands are
 * answered all the time, and in the end the same thread serves an honest guest. */
static void race(void)
{
	struct timespec t0, t;
	struct net_hdr hdr;
	pthread_t thread;
	int breaks = 0;

	if (BYTES_RACE)
		worker->command.features |= BIT_ULL(VIRTIO_F_INDIRECT_DESC);
	for (unsigned int i = 0; i < 2; i++) {
		command(WORKER_STOP, i);
		start(i, 0);
	}
	atomic_store(&racing, true);
	assert_int_equal(0, pthread_create(&thread, NULL, racer, NULL));
	clock_gettime(CLOCK_MONOTONIC, &t0);
	do {
		for (unsigned int i = 0; i < 2; i++) {
			if (!atomic_exchange(&worker->broken[i], 0))
				continue;
			breaks++;
			assert_in_range(event_count(errs[i]), 0, 1);
			command(WORKER_STOP, i);
			start(i, __atomic_load_n(&stage.driver[i].avail->idx, __ATOMIC_RELAXED));
		}
		while (send(stage.wire, wanted, 12 + 60 + (size_t)breaks % 1400, MSG_DONTWAIT) > 0)
			;
		while (wire_take(&hdr, got, sizeof(got)) >= 0)
			;
		clock_gettime(CLOCK_MONOTONIC, &t);
	} while ((t.tv_sec - t0.tv_sec) * 1000 + (t.tv_nsec - t0.tv_nsec) / 1000000 < 500);
	atomic_store(&racing, false);
	pthread_join(thread, NULL);
	assert_true(breaks > 0);
	packed = false;
	tear_down(NULL);
	set_up(NULL);
	exchange(0);
}

static void guest_that_races(void **state)
{
	(void)state;
	race();
	packed = true;
	race();
}

/* After work the ring is watched: what comes needs no kick. Then it asks for kicks again. */
static void watches_after_work(void **state)
{
	const struct ring_stats *s = &worker->pair.queues[TX].stats;
	const uint16_t *flags = &stage.driver[TX].used->flags;

	(void)state;
	transmit(0, 100, 1);
	fd_signal(kicks[TX]);
	expect_at_host(100, 1);
	for (uint16_t i = 1; i < 20; i++) {
		transmit(i, 100, (uint8_t)i);
		expect_at_host(100, (uint8_t)i);
	}
	assert_in_range(__atomic_load_n(&s->kicks, __ATOMIC_RELAXED), 0, 1);
	for (int i = 0; i < 10000 && __atomic_load_n(flags, __ATOMIC_RELAXED); i++)
		usleep(1000);
	assert_int_equal(0, __atomic_load_n(flags, __ATOMIC_RELAXED)); /* it asks for a kick */
	transmit(20, 100, 20);
	assert_false(readable(stage.wire, 50));
	fd_signal(kicks[TX]);
	expect_at_host(100, 20);
}

static void goes_to_its_cpu(void **state)
{
	static struct worker other; /* its thread never ends */
	cpu_set_t set, own;
	int last = -1;

	(void)state;
	assert_int_equal(0, sched_getaffinity(0, sizeof(own), &own));
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &own))
			last = i;
	other.cpu = last;
	assert_int_equal(0, worker_start(&other, 0, answers));
	while (!atomic_load(&other.sealed))
		usleep(1000);
	assert_int_equal(1, atomic_load(&other.sealed));
	assert_int_equal(0, pthread_getaffinity_np(other.thread, sizeof(set), &set));
	assert_int_equal(1, CPU_COUNT(&set));
	assert_true(CPU_ISSET(last, &set));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(both_ways),
		TEST(restart_at_the_returned_base),
		TEST(descriptors_replaced_while_running),
		TEST(disabled_and_enabled),
		TEST(polling_without_descriptors),
		TEST(broken_ring_is_alone),
		TEST(broken_receive_ring_gives_back),
		TEST(truncated_file),
		TEST(truncated_before_the_stop),
		TEST(memory_replaced_while_running),
		TEST(memory_without_the_ring_breaks_it),
		TEST(kick_of_another_kind),
		TEST(saturated_blocking_call),
		TEST(idle_costs_nothing),
		TEST(tap_that_is_gone_costs_little),
		TEST(full_tap_is_waited_for),
		TEST(announces),
		cmocka_unit_test_setup_teardown(watches_after_work, set_up_watcher, tear_down),
		TEST(goes_to_its_cpu),
		TEST(guest_that_races),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
