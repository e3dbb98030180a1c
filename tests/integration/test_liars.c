/*
 * Memory that lies: it vanishes under what uses it, could vanish, never answers, or comes in
 * hundreds of pieces. One row a lie and what must come of it; after each, a fresh connection passes
 * frames both ways. Ranges that wrap or overlap, and files that are too short, are
 * test_protocol.c's; buffers that vanish in the midst of a frame test_lifecycle.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/util.h"
#include "tests/support/rig.h"
#include "tests/support/stalled.h"

#define SIZE	 64
#define RX	 0
#define TX	 1
#define INDIRECT BIT(VIRTIO_RING_F_INDIRECT_DESC)
#define PACKED	 BIT(VIRTIO_F_RING_PACKED)
#define LOOSE	 UINT64_C(0x4000000000) /* where the lying region lies */
#define BYTES	 UINT64_C(0x10000)
#define NOWHERE	 UINT64_C(0x7d0000000000) /* as the front-end's address, where no other is */
#define SLOTS	 509

static struct rig rig;
static struct guest guest;
static struct stalled stalled = { .fuse = -1, .file = -1 };

static int add_file(uint64_t gpa, uint64_t uva, uint64_t bytes, int fd)
{
	struct vu_mem_single m = { .region = { gpa, bytes, uva, 0 } };

	return peer_tell(&guest.peer, VU_ADD_MEM_REG, &m, sizeof(m), &fd, 1);
}

static void set_up_until_memory(uint64_t features)
{
	rig_connect(&rig, &guest.peer);
	assert_ok(guest_negotiate(&guest, &(struct guest_options){ .ring_size = SIZE,
								   .features = features,
								   .order = GUEST_TESTPMD,
								   .slots = true }));
	assert_ok(guest_make_rings(&guest));
	assert_ok(peer_tell_u64(&guest.peer, VU_SET_FEATURES, guest.peer.features));
}

static void start_rings(void)
{
	assert_ok(guest_share_memory(&guest));
	assert_ok(guest_start_rings(&guest, guest.options.base));
	guest_refill(&guest, 0);
}

/* ---- what vanishes ---- */

enum part {
	DESCRIPTORS,
	DRIVER,
	DEVICE,
	TABLE,
	PAYLOAD
};

struct vanishing {
	const char *name;
	unsigned ring;
	enum part part;
	uint64_t features;
};

static const struct vanishing vanishing[] = {
	{ "transmit: descriptors vanish", TX, DESCRIPTORS, 0 },
	{ "transmit: available ring vanishes", TX, DRIVER, 0 },
	{ "transmit: used ring vanishes", TX, DEVICE, 0 },
	{ "transmit: indirect table vanishes", TX, TABLE, INDIRECT },
	{ "transmit: frame vanishes", TX, PAYLOAD, 0 },
	{ "receive: descriptors vanish", RX, DESCRIPTORS, 0 },
	{ "receive: available ring vanishes", RX, DRIVER, 0 },
	{ "receive: used ring vanishes", RX, DEVICE, 0 },
	{ "receive: indirect table vanishes", RX, TABLE, INDIRECT },
	{ "packed, transmit: ring vanishes", TX, DESCRIPTORS, PACKED },
	{ "packed, transmit: driver's events vanish", TX, DRIVER, PACKED },
	{ "packed, transmit: device's events vanish", TX, DEVICE, PACKED },
	{ "packed, transmit: indirect table vanishes", TX, TABLE, PACKED | INDIRECT },
	{ "packed, transmit: frame vanishes", TX, PAYLOAD, PACKED },
	{ "packed, receive: ring vanishes", RX, DESCRIPTORS, PACKED },
	{ "packed, receive: indirect table vanishes", RX, TABLE, PACKED | INDIRECT },
};

/* One area of a ring that has not started moves to the region that will vanish. */
static void move_area(struct guest_ring *r, enum part part, int region)
{
	uint64_t gpa = guest_alloc_in(&guest.memory, (size_t)region, BYTES / 2, 4096);
	void *at = guest_at(&guest.memory, gpa, BYTES / 2);
	bool packed = r->format == &guest_packed;

	assert_non_null(at);
	if (part == DESCRIPTORS) {
		r->desc = gpa;
		r->raw.desc = at;
		r->packed = at;
	} else if (part == DRIVER) {
		r->driver = gpa;
		r->raw.avail = at;
		r->driver_event = at;
	} else if (part == DEVICE) {
		r->device = gpa;
		r->raw.used = at;
		r->device_event = at;
	}
	guest_ring_start(r, packed ? GUEST_PACKED_BASE : 0);
}

/* One more chain, which nobody looks at before the kick; by then the region is gone, for us too:
 * the ring cannot be written any more. */
static void post(const struct vanishing *v, int file)
{
	struct guest_queue *q = &guest.queue[v->ring];
	struct guest_piece p = { q->slot[0], v->ring == TX ? 76 : q->slot_bytes, v->ring == RX };

	if (v->part == PAYLOAD || v->part == TABLE)
		p.gpa = LOOSE;
	if (v->part == TABLE)
		q->ring.tables = LOOSE + 4096;
	q->ring.table_max = v->part == TABLE ? 4 : 0;
	assert_ok(guest_ring_post(&q->ring, &p, 1, v->part == TABLE, 0));
	q->ring.format->publish(&q->ring);
	assert_ok(ftruncate(file, 0));
	fd_signal(q->ring.kick);
}

static void inject(unsigned n)
{
	uint8_t frame[100];

	for (uint32_t i = 0; i < n; i++) {
		frame_pattern(frame, sizeof(frame), 900000 + i);
		assert_ok(wire_send(&rig.wire, NULL, frame, sizeof(frame)));
	}
}

static void what_vanishes_breaks_its_ring_alone(void **state)
{
	const struct vanishing *v = *state;
	struct guest_queue *q = &guest.queue[v->ring];
	char words[64];
	int region, file;

	set_up_until_memory(v->features);
	region = guest_memory_add(&guest.memory, LOOSE, BYTES, 0, GUEST_UNSEALED);
	assert_true(region >= 0);
	file = guest.memory.region[region].fd;
	if (v->part <= DEVICE)
		move_area(&q->ring, v->part, region);
	start_rings();
	if (v->ring == TX) {
		rig_exchange(&rig, &guest, 0);
		assert_ok(guest_flush(&guest, 0, RIG_WAIT_MS));
	} else {
		q->hold = true; /* no buffer is left but the one that is posted below */
		rig_receive(&rig, &guest, 0, 64, 1, q->slots);
	}
	post(v, file);
	if (v->ring == RX)
		inject(3);
	assert_int_equal(1, guest_ring_signals(q->ring.err, RIG_WAIT_MS));
	snprintf(words, sizeof(words), "front-end: memory of ring %u vanished", v->ring);
	assert_true(program_says(&rig.broker, words, RIG_WAIT_MS));
	assert_int_equal(0, guest_ring_signals(guest.queue[!v->ring].ring.err, 0));
	if (v->ring == RX)
		rig_transmit(&rig, &guest, 0, 300, 5, 20);
	else
		rig_receive(&rig, &guest, 0, 300, 5, 20);
	guest_close(&guest);
	rig_serves(&rig);
}

/* ---- what never answers ---- */

enum use {
	SENT,	  /* a frame to send */
	RECEIVED, /* a buffer to receive into */
	LISTED,	  /* an indirect table */
	RING,	  /* a ring's descriptors, for a ring that starts */
	SHARED,	  /* guest memory, announced */
	INTERRUPT /* a ring's CALL */
};

struct stall {
	const char *name;
	enum use use;
	uint32_t mute;
	const char *says;
};

#define NO_PONG	  "did not answer PING in time; killed"
#define NO_WORKER "device: worker 0 did not answer within 500 ms"

static const struct stall stalls[] = {
	{ "a frame to send never answers", SENT, FUSE_READ, NO_WORKER },
	{ "a buffer to receive into never answers", RECEIVED, FUSE_READ, NO_WORKER },
	{ "an indirect table never answers", LISTED, FUSE_READ, NO_WORKER },
	{ "a ring never answers", RING, FUSE_READ, NO_WORKER },
	{ "length of memory is never told", SHARED, FUSE_GETATTR, NO_PONG },
	{ "closing memory never ends", SHARED, FUSE_FLUSH, NO_PONG },
	{ "kind of a CALL is never told", INTERRUPT, FUSE_GETATTR, NO_PONG },
};

/* A request that is sent and not waited for. */
static void say(uint32_t request, const void *payload, uint32_t len, const int *fd)
{
	assert_ok(peer_send(&guest.peer, request, VU_VERSION, payload, len, fd, fd ? 1 : 0));
}

static void use_chain(enum use use)
{
	struct guest_queue *q = &guest.queue[use == RECEIVED ? RX : TX];
	struct guest_piece p = { LOOSE, use == RECEIVED ? 2000 : 76, use == RECEIVED };
	uint16_t head = q->ring.first_free;

	if (use == RECEIVED) {
		q->hold = true;
		rig_receive(&rig, &guest, 0, 64, 1, q->slots);
	}
	assert_ok(guest_ring_post(&q->ring, &p, 1, false, 0));
	if (use == LISTED) {
		guest_split_raw(&q->ring).desc[head].flags = VRING_DESC_F_INDIRECT;
		guest_split_raw(&q->ring).desc[head].len = 16;
	}
	q->ring.format->publish(&q->ring);
	fd_signal(q->ring.kick);
	if (use == RECEIVED)
		inject(1);
}

static void use_ring(void)
{
	const struct vu_vring_addr a = {
		.index = TX, .desc = NOWHERE, .avail = NOWHERE + 0x2000, .used = NOWHERE + 0x4000
	};
	uint64_t index = TX;
	uint32_t base;

	assert_ok(guest_ring_stop(&guest, TX, &base));
	assert_ok(peer_tell(&guest.peer, VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0));
	say(VU_SET_VRING_KICK, &index, sizeof(index), &guest.queue[TX].ring.kick);
	fd_signal(guest.queue[TX].ring.kick);
}

/* Whoever is to meet the silence has met it when this returns. */
static void meet(const struct stall *s)
{
	const struct vu_mem_single m = { .region = { LOOSE, BYTES, NOWHERE, 0 } };
	uint64_t index = TX;

	if (s->use <= RING)
		assert_ok(add_file(LOOSE, NOWHERE, BYTES, stalled.file));
	stalled.mute = s->mute;
	if (s->use < RING)
		use_chain(s->use);
	else if (s->use == RING)
		use_ring();
	else if (s->use == SHARED)
		say(VU_ADD_MEM_REG, &m, sizeof(m), &stalled.file);
	else
		say(VU_SET_VRING_CALL, &index, sizeof(index), &stalled.file);
	assert_true(stalled_holds(&stalled, RIG_WAIT_MS));
}

/* A worker may sleep until it is asked for; then it counts. */
static void what_never_answers_ends_its_device(void **state)
{
	const struct stall *s = *state;
	const struct vu_vring_state ring = { .index = s->use == RECEIVED ? RX : TX };
	int64_t begin;
	int rc = stalled_open(&stalled, BYTES);

	if (rc) {
		print_message("# no FUSE: %s\n", strerror(-rc));
		skip();
	}
	set_up_until_memory(INDIRECT);
	start_rings();
	rig_exchange(&rig, &guest, 0);
	meet(s);
	begin = machine_ms();
	if (s->use <= RING)
		say(VU_GET_VRING_BASE, &ring, sizeof(ring), NULL);
	assert_true(peer_closed(&guest.peer, RIG_WAIT_MS));
	assert_in_range(machine_ms() - begin, 0, rig_patience(1000));
	assert_true(program_says(&rig.broker, s->says, RIG_WAIT_MS));
	guest_close(&guest);

	/* The next is served while the dead one cannot even be reaped. */
	begin = machine_ms();
	rig_open(&rig, &guest, &(struct guest_options){ .ring_size = SIZE });
	rig_transmit(&rig, &guest, 0, 64, 1, 1);
	assert_in_range(machine_ms() - begin, 0, rig_patience(RIG_SERVE_MS));
	rig_exchange(&rig, &guest, 0);
	guest_close(&guest);
	stalled_close(&stalled);
	rig_serves(&rig);
}

/* ---- what could vanish, or is of a strange kind ---- */

#define NO_SEALS -1

struct kind {
	const char *name;
	unsigned flags; /* of memfd_create() */
	int seals;
	bool taken, taken_sealed; /* and with --require-sealed */
};

static const struct kind kinds[] = {
	{ "memfd without seals", 0, 0, true, false },
	{ "memfd that can be sealed and is not", MFD_ALLOW_SEALING, 0, true, false },
	{ "memfd that cannot grow", MFD_ALLOW_SEALING, F_SEAL_GROW, true, false },
	{ "memfd that cannot shrink", MFD_ALLOW_SEALING, F_SEAL_SHRINK, true, true },
	{ "memfd that cannot change its size", MFD_ALLOW_SEALING,
	  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, true, true },
	{ "memfd that cannot be written", MFD_ALLOW_SEALING, F_SEAL_SHRINK | F_SEAL_WRITE, false,
	  false },
	{ "memfd that will not be written", MFD_ALLOW_SEALING, F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE,
	  false, false },
	{ "huge pages without seals", MFD_HUGETLB, 0, true, false },
	{ "huge pages that cannot shrink", MFD_HUGETLB | MFD_ALLOW_SEALING, F_SEAL_SHRINK, true,
	  true },
	{ "file of a file system", 0, NO_SEALS, true, false },
};

static int kind_open(const struct kind *k, uint64_t bytes)
{
	int fd = k->seals == NO_SEALS ? open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)
				      : memfd_create("kind", MFD_CLOEXEC | k->flags);

	assert_true(fd >= 0);
	assert_ok(ftruncate(fd, (off_t)bytes));
	if (k->seals > 0)
		assert_ok(fcntl(fd, F_ADD_SEALS, k->seals));
	return fd;
}

/* Frames go out of it. */
static void is_usable(int fd, uint64_t bytes)
{
	struct guest_queue *q = &guest.queue[TX];
	struct guest_piece p = { LOOSE + bytes - 512, 12 + 100, false };
	uint8_t *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), got[200];
	uint32_t number, cookie, len;

	assert_ptr_not_equal(MAP_FAILED, at);
	frame_pattern(at + bytes - 512 + 12, 100, 4711);
	wire_drain(&rig.wire);
	assert_ok(guest_ring_post(&q->ring, &p, 1, false, 0));
	guest_ring_kick(&q->ring);
	assert_int_equal(100, wire_recv(&rig.wire, NULL, got, sizeof(got)));
	assert_true(frame_number(got, 100, &number) && number == 4711);
	assert_true(frame_intact(got, 100, 4711));
	assert_ok(guest_ring_wait(&q->ring, RIG_WAIT_MS));
	assert_int_equal(1, guest_ring_take(&q->ring, &cookie, &len));
	munmap(at, bytes);
}

static void check_kind(const struct kind *k, bool taken)
{
	uint64_t bytes = k->flags & MFD_HUGETLB ? 2 << 20 : BYTES;
	int fd = kind_open(k, bytes);

	rig_open(&rig, &guest, &(struct guest_options){ .ring_size = SIZE, .slots = true });
	assert_int_equal(taken ? 0 : PEER_REFUSED, add_file(LOOSE, NOWHERE, bytes, fd));
	if (taken)
		is_usable(fd, bytes);
	rig_exchange(&rig, &guest, 0);
	close(fd);
	guest_close(&guest);
	rig_serves(&rig);
}

/* Huge pages are there when one can be touched: reserving is what mmap() does. */
static bool has_huge_pages(void)
{
	int fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB);
	void *at = MAP_FAILED;

	if (fd >= 0 && !ftruncate(fd, 2 << 20))
		at = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at != MAP_FAILED)
		munmap(at, 2 << 20);
	if (fd >= 0)
		close(fd);
	return at != MAP_FAILED;
}

static bool sealed_only; /* how the broker runs */

static void kind_is_taken_or_refused(void **state)
{
	const struct kind *k = *state;

	if (k->flags & MFD_HUGETLB && !has_huge_pages()) {
		print_message("# no huge page to be had (vm.nr_hugepages)\n");
		skip();
	}
	check_kind(k, sealed_only ? k->taken_sealed : k->taken);
}

/* ---- hundreds ---- */

static void add_many(int fd, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_ok(add_file(LOOSE + i * 2 * BYTES, NOWHERE + i * 2 * BYTES, BYTES, fd));
}

static int remove_one(unsigned i)
{
	struct vu_mem_single m = { .region = { LOOSE + i * 2 * BYTES, BYTES,
					       NOWHERE + i * 2 * BYTES, 0 } };

	return peer_tell(&guest.peer, VU_REM_MEM_REG, &m, sizeof(m), NULL, 0);
}

static void every_slot_and_not_one_more(void **state)
{
	int fd = memfd_create("slot", MFD_CLOEXEC), maps;
	unsigned own;
	pid_t pid;

	(void)state;
	assert_ok(ftruncate(fd, BYTES));
	rig_open(&rig, &guest, &(struct guest_options){ .ring_size = SIZE, .slots = true });
	own = (unsigned)guest.memory.count;
	pid = rig_device(&rig);
	maps = proc_count_maps(pid);
	for (unsigned round = 0; round < 3; round++) {
		add_many(fd, SLOTS - own);
		assert_int_equal(PEER_REFUSED, add_file(LOOSE + SLOTS * 2 * BYTES,
							NOWHERE + SLOTS * 2 * BYTES, BYTES, fd));
		rig_exchange(&rig, &guest, 0);
		/* From either side, then the rest. */
		for (unsigned i = 0; i < SLOTS - own; i++)
			assert_ok(remove_one(i & 1 ? SLOTS - own - 1 - i / 2 : i / 2));
		assert_int_equal(PEER_REFUSED, remove_one(0));
		rig_exchange(&rig, &guest, 0);
		/* ThreadSanitizer keeps the shadow of what was mapped. */
		if (!rig_sanitized())
			assert_int_equal(maps, proc_count_maps(pid));
	}
	close(fd);
	guest_close(&guest);
	rig_serves(&rig);
}

static void ensure_broker(bool sealed)
{
	guest_blank(&guest);
	if (sealed != sealed_only)
		rig_abandon(&rig);
	sealed_only = sealed;
	rig_ensure(&rig, (const char *[]){ sealed ? "--require-sealed" : NULL, NULL });
}

static int any_memory(void **state)
{
	(void)state;
	ensure_broker(false);
	return 0;
}

static int sealed_memory(void **state)
{
	(void)state;
	ensure_broker(true);
	return 0;
}

static int tidy(void **state)
{
	(void)state;
	stalled_close(&stalled);
	guest_close(&guest);
	return 0;
}

static void broker_ends_in_order(void **state)
{
	(void)state;
	rig_stop(&rig);
}

#define ROWS(table) ARRAY_SIZE(table)

int main(void)
{
	static char names[ROWS(kinds)][80];
	struct CMUnitTest tests[ROWS(vanishing) + ROWS(stalls) + 2 * ROWS(kinds) + 3];
	size_t n = 0;
	int rc;

	for (size_t i = 0; i < ROWS(vanishing); i++)
		tests[n++] =
			(struct CMUnitTest){ vanishing[i].name, what_vanishes_breaks_its_ring_alone,
					     any_memory, tidy, (void *)&vanishing[i] };
	for (size_t i = 0; i < ROWS(stalls); i++)
		tests[n++] =
			(struct CMUnitTest){ stalls[i].name, what_never_answers_ends_its_device,
					     any_memory, tidy, (void *)&stalls[i] };
	for (size_t i = 0; i < ROWS(kinds); i++)
		tests[n++] = (struct CMUnitTest){ kinds[i].name, kind_is_taken_or_refused,
						  any_memory, tidy, (void *)&kinds[i] };
	tests[n++] = (struct CMUnitTest)cmocka_unit_test_setup_teardown(every_slot_and_not_one_more,
									any_memory, tidy);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test_setup_teardown(broker_ends_in_order,
									any_memory, tidy);
	for (size_t i = 0; i < ROWS(kinds); i++) {
		snprintf(names[i], sizeof(names[i]), "--require-sealed: %s", kinds[i].name);
		tests[n++] = (struct CMUnitTest){ names[i], kind_is_taken_or_refused, sealed_memory,
						  tidy, (void *)&kinds[i] };
	}
	tests[n++] = (struct CMUnitTest)cmocka_unit_test_setup_teardown(broker_ends_in_order,
									sealed_memory, tidy);
	rc = rig_run("liars", tests, n);
	rig_abandon(&rig);
	return rc;
}
