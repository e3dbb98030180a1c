/*
 * A guest behind an IOMMU, over the whole session: rings and buffers wait for translations and go
 * on with them, what is taken back is not touched any more, and a front-end that says no, lies or
 * says nothing harms nobody else. Pages lie in reverse order behind their I/O addresses, so that
 * nothing follows anything.
 */
#include "tests/unit/device/served.h"

#include <fcntl.h>
#include <pthread.h>
#include <time.h>

#define PLATFORM  BIT_ULL(VIRTIO_F_ACCESS_PLATFORM)
#define WITH_BACK (PROTOCOL | BIT_ULL(VU_P_BACKEND_REQ) | BIT_ULL(VU_P_REPLY_ACK))
#define PAGE	  IOTLB_PAGE
#define TOP	  0x7f0000000000ull
#define CONTROL	  (2 * PAIRS)

static int far = -1; /* the front-end's end of the back-end's channel */

/* The I/O address of a guest address: of the page, in reverse. */
static uint64_t iova(uint64_t gpa)
{
	return TOP - (gpa & ~(PAGE - 1)) + gpa % PAGE;
}

static uint64_t gpa_of(uint64_t address)
{
	return TOP - (address & ~(PAGE - 1)) + address % PAGE;
}

static int iotlb(uint8_t type, uint64_t address, uint64_t size, uint64_t uva, uint8_t perm)
{
	struct vu_message m = message(VU_IOTLB_MSG, OK, sizeof(m.iotlb));

	m.iotlb = (struct vu_iotlb){ address, size, uva, perm, type, { 0xee } };
	return outcome(&m, NULL, 0);
}

static int update(uint64_t page, uint8_t perm)
{
	return iotlb(VU_IOTLB_UPDATE, page, PAGE, UVA(gpa_of(page)), perm);
}

static void give_channel(void)
{
	struct vu_message m = message(VU_SET_BACKEND_REQ_FD, OK, 0);
	int pair[2];

	assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	assert_int_equal(0, outcome(&m, &pair[0], 1));
	fd_close(&pair[0]);
	fd_close(&far);
	far = pair[1];
}

/* What the device asks or says next, within some time; type 0: nothing. */
static struct vu_iotlb said(int ms)
{
	struct {
		struct vu_header head;
		struct vu_iotlb body;
	} __attribute__((packed)) m = { 0 };

	for (int i = 0; i < ms; i++) {
		served_turn();
		if (recv(far, &m, sizeof(m), MSG_DONTWAIT) > 0)
			break;
		usleep(1000);
	}
	if (m.head.size) {
		assert_int_equal(VU_BACK_IOTLB_MSG, m.head.request);
		assert_int_equal(VU_VERSION | VU_FLAG_NEED_REPLY, m.head.flags);
		assert_int_equal(sizeof(m.body), m.head.size);
	}
	return m.body;
}

static void answer(uint64_t value)
{
	struct {
		struct vu_header head;
		uint64_t value;
	} __attribute__((packed))
	m = { { VU_BACK_IOTLB_MSG, VU_VERSION | VU_FLAG_REPLY, 8 }, value };

	assert_int_equal(sizeof(m), send(far, &m, sizeof(m), 0));
	served_turn();
}

static void expect_miss(uint64_t address, uint8_t perm)
{
	struct vu_iotlb m = said(2000);

	assert_int_equal(VU_IOTLB_MISS, m.type);
	assert_int_equal(address & ~(PAGE - 1), m.iova);
	assert_int_equal(perm, m.perm);
}

/* Answers misses as a VMM does, until none comes for a while; how many there were. */
static unsigned int translate(void)
{
	unsigned int n = 0;

	for (;; n++) {
		struct vu_iotlb m = said(30);

		if (!m.type)
			return n;
		assert_int_equal(VU_IOTLB_MISS, m.type);
		assert_int_equal(0, update(m.iova, VU_ACCESS_RW));
		answer(0);
	}
}

static void platform_negotiate(uint64_t features)
{
	assert_int_equal(0, tell_u64(VU_SET_PROTOCOL_FEATURES, WITH_BACK));
	assert_int_equal(0, tell_u64(VU_SET_FEATURES, FEATURES | PLATFORM | features));
	give_channel();
	assert_int_equal(0, tell_table());
}

/* All but the kick; areas by I/O address. `ring`: of the first pair, or the control queue. */
static void platform_configure(uint32_t ring, uint16_t base, uint32_t flags)
{
	uint64_t at = RING_AT(ring % 2) + (ring == CONTROL ? 0x100000 : 0);
	char *area = served.guest[0] + (at - GPA_A);
	struct driver *d = &stage.driver[ring % 2];
	struct vu_message m = message(VU_SET_VRING_ADDR, OK, sizeof(m.addr));

	*d = (struct driver){ 64, (void *)area, (void *)(area + AVAIL_OFF / 2),
			      (void *)(area + USED_OFF / 2), base };
	d->avail->idx = d->used->idx = base;
	m.addr = (struct vu_vring_addr){ .index = ring,
					 .flags = flags,
					 .desc = iova(at),
					 .avail = iova(at + AVAIL_OFF / 2),
					 .used = iova(at + USED_OFF / 2),
					 .log = 0xdead0000 };
	assert_int_equal(0, tell_state(VU_SET_VRING_NUM, ring, 64));
	assert_int_equal(0, tell_state(VU_SET_VRING_BASE, ring, base));
	assert_int_equal(0, outcome(&m, NULL, 0));
	assert_int_equal(0, tell_event(VU_SET_VRING_CALL, ring));
	assert_int_equal(0, tell_event(VU_SET_VRING_ERR, ring));
	assert_int_equal(0, tell_state(VU_SET_VRING_ENABLE, ring, 1));
}

static void platform_start(uint64_t features)
{
	platform_negotiate(features);
	for (uint32_t ring = 0; ring < 2; ring++) {
		platform_configure(ring, 0, 0);
		start_ring(ring);
	}
}

static void kick(uint32_t ring)
{
	fd_signal(served.lifecycle.vrings[ring].kick);
}

/* A frame of 60 bytes of this seed at a guest address, sent as descriptor `head`. */
static void transmit(uint16_t head, uint64_t gpa, uint8_t seed)
{
	char *at = served.guest[0] + (gpa - GPA_A);

	memset(at, 0, NET_HDR_LEN);
	frame_fill((uint8_t *)at + NET_HDR_LEN, 60, seed);
	post(PAIR_TX, head, iova(gpa), NET_HDR_LEN + 60);
	kick(PAIR_TX);
}

static bool arrived(uint8_t seed)
{
	uint8_t got[NET_HDR_LEN + 100], wanted[60];

	frame_fill(wanted, 60, seed);
	for (int i = 0; i < 500; i++) {
		if (recv(served.wires[0], got, sizeof(got), MSG_DONTWAIT) == NET_HDR_LEN + 60) {
			assert_memory_equal(wanted, got + NET_HDR_LEN, 60);
			return true;
		}
		served_turn();
		usleep(1000);
	}
	return false;
}

static void wait_for(uint32_t ring, enum ring_state state)
{
	for (int i = 0; i < 2000 && served.lifecycle.vrings[ring].state != state; i++) {
		usleep(1000);
		served_turn();
	}
	assert_int_equal(state, served.lifecycle.vrings[ring].state);
}

/* ---- */

static void offered_to_those_who_translate(void **state)
{
	static const struct {
		uint64_t protocol;
		bool offered;
	} rows[] = {
		{ PROTOCOL, false },
		{ BIT_ULL(VU_P_BACKEND_REQ), false },
		{ BIT_ULL(VU_P_REPLY_ACK), false },
		{ WITH_BACK, true },
		{ 0, false },
	};

	(void)state;
	assert_int_equal(0, ask_u64(VU_GET_FEATURES) & PLATFORM); /* nothing is known of it yet */
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		tell_u64(VU_SET_PROTOCOL_FEATURES, rows[i].protocol);
		assert_int_equal(rows[i].offered, !!(ask_u64(VU_GET_FEATURES) & PLATFORM));
	}
	assert_int_equal(CLOSED, tell_u64(VU_SET_FEATURES, FEATURES | PLATFORM));
}

/* Not negotiated: answered with no, and nothing comes of it. */
static void messages_without_the_feature(void **state)
{
	(void)state;
	negotiate_with(FEATURES, WITH_BACK);
	assert_int_equal(0, tell_table());
	assert_int_equal(1, update(iova(GPA_A), VU_ACCESS_RW));
	assert_int_equal(1, iotlb(VU_IOTLB_INVALIDATE, 0, 0, 0, 0));
	assert_null(served.lifecycle.iotlb);
}

static void a_frame_each_way(void **state)
{
	const struct net_hdr plain = { 0 };
	uint64_t areas = RING_AT(0);
	char *buffer = served.guest[0] + (BUFFERS + 0x1000 - GPA_A);
	uint32_t len;

	(void)state;
	platform_negotiate(0);
	platform_configure(0, 0, 0);
	start_ring(0); /* it is running, as far as messages can see */
	expect_miss(iova(areas), VU_ACCESS_RO);
	assert_int_equal(0, update(iova(areas), VU_ACCESS_RW));
	answer(0);
	expect_miss(iova(areas + AVAIL_OFF / 2), VU_ACCESS_RO);
	assert_int_equal(0, update(iova(areas + AVAIL_OFF / 2), VU_ACCESS_RO));
	answer(0);
	expect_miss(iova(areas + USED_OFF / 2), VU_ACCESS_RW);
	assert_int_equal(0, update(iova(areas + USED_OFF / 2), VU_ACCESS_RW));
	answer(0);
	post(PAIR_RX, 0, iova(BUFFERS + 0x1000), 2000);
	kick(PAIR_RX);
	expect_miss(iova(BUFFERS + 0x1000), VU_ACCESS_WO);
	wire_send(&plain, 60, 0);
	assert_int_equal(-1, used_take(PAIR_RX, NULL));
	assert_int_equal(0, update(iova(BUFFERS + 0x1000), VU_ACCESS_WO));
	answer(0);
	for (int i = 0; i < 2000 && used_take(PAIR_RX, &len); i++)
		usleep(1000);
	assert_int_equal(NET_HDR_LEN + 60, len);
	assert_int_equal(7, buffer[NET_HDR_LEN + 1]); /* of frame_fill() */

	platform_configure(1, 0, 0);
	start_ring(1);
	assert_int_equal(3, translate());
	transmit(0, BUFFERS + 0x3000, 9);
	expect_miss(iova(BUFFERS + 0x3000), VU_ACCESS_RO);
	assert_int_equal(0, update(iova(BUFFERS + 0x3000), VU_ACCESS_RO));
	answer(0);
	assert_true(arrived(9));
	assert_int_equal(0, translate());
}

/* ---- front-ends that say nothing, or no ---- */

static int64_t worker_cpu_ns(void)
{
	struct timespec t;
	clockid_t clock;

	assert_int_equal(0, pthread_getcpuclockid(served.workers[0].thread, &clock));
	assert_int_equal(0, clock_gettime(clock, &t));
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* Nobody spins, whatever the guest kicks; and the ring stops where it stood. */
static void a_miss_that_is_never_answered(void **state)
{
	int64_t cpu;

	(void)state;
	platform_negotiate(0);
	platform_configure(0, 700, 0);
	platform_configure(1, 700, 0);
	start_ring(0);
	start_ring(1);
	served_turn();
	cpu = worker_cpu_ns();
	usleep(100000);
	assert_in_range(worker_cpu_ns() - cpu, 0, 20000000);
	assert_int_equal(700, stop(0)); /* of its areas */
	said(10);
	answer(0);
	assert_int_equal(3, translate());
	transmit(0, BUFFERS, 1);
	expect_miss(iova(BUFFERS), VU_ACCESS_RO);
	cpu = worker_cpu_ns();
	for (int i = 0; i < 100; i++) {
		kick(PAIR_TX);
		usleep(1000);
		served_turn();
	}
	assert_in_range(worker_cpu_ns() - cpu, 0, 30000000);
	assert_int_equal(0, said(10).type); /* once was enough */
	assert_int_equal(700, stop(1));	    /* of a buffer */
	/* and it goes on from there */
	assert_int_equal(0, tell_state(VU_SET_VRING_BASE, 1, 700));
	start_ring(1);
	answer(0);
	translate();
	assert_true(arrived(1));
	assert_int_equal(701, stop(1));
}

/* An address that no translation is to be had of breaks its ring, as one outside of memory does;
 * the front-end is told, and the other ring goes on. */
static void refused(void **state)
{
	const struct net_hdr plain = { 0 };
	struct vu_iotlb m;
	int err;

	(void)state;
	platform_start(0);
	translate();
	err = fcntl(served.lifecycle.vrings[1].err, F_DUPFD_CLOEXEC, 0);
	transmit(0, BUFFERS, 1);
	transmit(1, BUFFERS + 5 * PAGE, 2);
	translate();
	assert_true(arrived(1) && arrived(2));
	post(PAIR_TX, 2, TOP + 0x12345678, 100);
	kick(PAIR_TX);
	expect_miss(TOP + 0x12345678, VU_ACCESS_RO);
	answer(1);
	wait_for(1, RING_BROKEN);
	assert_int_equal(EVENT_RING_BROKEN, last_event());
	assert_int_equal(1, event_count(err));
	m = said(2000);
	assert_int_equal(VU_IOTLB_ACCESS_FAIL, m.type);
	assert_int_equal((TOP + 0x12345678) & ~(PAGE - 1), m.iova);
	assert_int_equal(VU_ACCESS_RO, m.perm);
	answer(1); /* QEMU has nothing better to say */
	assert_int_equal(RING_RUNNING, served.lifecycle.vrings[0].state);
	post(PAIR_RX, 0, iova(BUFFERS), 2000);
	kick(PAIR_RX);
	wire_send(&plain, 60, 0);
	translate();
	assert_int_equal(0, used_take(PAIR_RX, NULL));
	assert_int_equal(2, stop(1));
	fd_close(&err);
}

/* A buffer to write to needs more than a translation to read from. */
static void permissions_are_kept(void **state)
{
	const struct net_hdr plain = { 0 };
	char *buffer = served.guest[0] + (BUFFERS - GPA_A);

	(void)state;
	platform_start(0);
	translate();
	assert_int_equal(0, update(iova(BUFFERS), VU_ACCESS_RO));
	post(PAIR_RX, 0, iova(BUFFERS), 2000);
	kick(PAIR_RX);
	wire_send(&plain, 60, 3);
	expect_miss(iova(BUFFERS), VU_ACCESS_WO);
	assert_int_equal(0, update(iova(BUFFERS), VU_ACCESS_RO)); /* the same again */
	answer(0);
	expect_miss(iova(BUFFERS), VU_ACCESS_WO);
	answer(1);
	wait_for(0, RING_BROKEN);
	for (size_t i = 0; i < PAGE; i++)
		assert_int_equal(0, buffer[i]);
}

/* A no that comes when translations have changed is not about what the ring waits for now. */
static void a_late_no(void **state)
{
	(void)state;
	platform_start(0);
	translate();
	transmit(0, BUFFERS, 1);
	expect_miss(iova(BUFFERS), VU_ACCESS_RO);
	assert_int_equal(0, iotlb(VU_IOTLB_INVALIDATE, TOP + PAGE, PAGE, 0, 0));
	answer(1);
	translate();
	assert_true(arrived(1));
	assert_int_equal(RING_RUNNING, served.lifecycle.vrings[1].state);
}

/* Another channel in the middle of a question: it is asked again there. */
static void another_channel(void **state)
{
	(void)state;
	platform_start(0);
	translate();
	transmit(0, BUFFERS, 1);
	expect_miss(iova(BUFFERS), VU_ACCESS_RO);
	give_channel();
	assert_int_equal(1, translate());
	assert_true(arrived(1));
}

/* ---- translations that go away ---- */

/* From the answer on, nothing of what was taken back is touched: the page behind an address
 * changes, and only the new one counts. */
static void invalidation_under_traffic(void **state)
{
	(void)state;
	platform_start(0);
	translate();
	for (uint16_t n = 0; n < 200; n++) {
		uint64_t page = BUFFERS + (n % 7) * PAGE;
		char *at = served.guest[0] + (page - GPA_A);

		memset(at, 0, NET_HDR_LEN);
		frame_fill((uint8_t *)at + NET_HDR_LEN, 60, (uint8_t)n);
		assert_int_equal(0, n % 3 ? iotlb(VU_IOTLB_INVALIDATE, TOP + PAGE, PAGE, 0, 0)
					  : iotlb(VU_IOTLB_INVALIDATE, 0, 0, 0, 0));
		post(PAIR_TX, n % 64, TOP + PAGE + 8, NET_HDR_LEN + 60); /* one address for all */
		kick(PAIR_TX);
		for (bool found = false; !found;) {
			struct vu_iotlb m = said(2000);

			assert_int_equal(VU_IOTLB_MISS, m.type);
			found = m.iova == TOP + PAGE;
			assert_int_equal(0, found ? iotlb(VU_IOTLB_UPDATE, m.iova, PAGE,
							  UVA(page) - 8, VU_ACCESS_RW)
						  : update(m.iova, VU_ACCESS_RW));
			answer(0);
		}
		assert_true(arrived((uint8_t)n));
		translate();
	}
	assert_int_equal(200, stop(1));
}

static void memory_that_goes_and_comes(void **state)
{
	const struct vu_mem_region region = { GPA_A, REGION, UVA(GPA_A), 0 };
	struct vu_message m = message(VU_REM_MEM_REG, OK, sizeof(m.single));

	(void)state;
	platform_start(0);
	translate();
	transmit(0, BUFFERS, 1);
	translate();
	assert_true(arrived(1));
	m.single = (struct vu_mem_single){ 0, region };
	assert_int_equal(0, outcome(&m, NULL, 0));
	assert_int_equal(0, served.lifecycle.iotlb->count);
	assert_int_equal(RING_RUNNING, served.lifecycle.vrings[1].state);
	assert_int_equal(1, update(iova(BUFFERS), VU_ACCESS_RW)); /* leads nowhere now */
	m.head.request = VU_ADD_MEM_REG;
	assert_int_equal(0, outcome(&m, &served.files[0], 1));
	transmit(1, BUFFERS, 2);
	translate();
	assert_true(arrived(2));
}

static void forgotten_with_the_driver(void **state)
{
	struct vu_message m = message(VU_RESET_DEVICE, OK, 0);

	(void)state;
	platform_start(0);
	translate();
	assert_int_equal(6, served.lifecycle.iotlb->count);
	stop(0);
	stop(1);
	assert_int_equal(6, served.lifecycle.iotlb->count); /* its own, so far */
	assert_int_equal(0, tell_u64(VU_SET_FEATURES, FEATURES | PLATFORM));
	assert_int_equal(0, served.lifecycle.iotlb->count);
	assert_int_equal(0, update(iova(GPA_A), VU_ACCESS_RW));
	assert_int_equal(0, outcome(&m, NULL, 0));
	assert_null(served.lifecycle.iotlb);
	assert_int_equal(1, update(iova(GPA_A), VU_ACCESS_RW));
}

/* Nothing of a flood is refused, and traffic goes on between its messages. */
static void flood(void **state)
{
	(void)state;
	platform_start(0);
	translate();
	for (uint32_t n = 0; n < 6000; n++) {
		assert_int_equal(0, iotlb(VU_IOTLB_UPDATE, n * PAGE, PAGE, UVA(BUFFERS), 3));
		if (n % 1000)
			continue;
		transmit((uint16_t)(n / 1000), BUFFERS, (uint8_t)n);
		translate();
		assert_true(arrived((uint8_t)n));
	}
	assert_int_equal(IOTLB_ENTRIES, served.lifecycle.iotlb->count);
	transmit(9, BUFFERS + PAGE, 99); /* its areas had to make room too */
	assert_true(translate() > 0);
	assert_true(arrived(99));
}

/* ---- the rest of the device ---- */

static void tables(void **state)
{
	struct virtq_desc *table = (void *)(served.guest[0] + (BUFFERS + PAGE - 32 - GPA_A));

	(void)state;
	platform_start(BIT_ULL(VIRTIO_F_INDIRECT_DESC));
	translate();
	memset(served.guest[0] + (BUFFERS + 4 * PAGE - GPA_A), 0, NET_HDR_LEN);
	frame_fill((uint8_t *)served.guest[0] + (BUFFERS + 6 * PAGE - GPA_A), 60, 5);
	table[0] = (struct virtq_desc){ iova(BUFFERS + 4 * PAGE), NET_HDR_LEN, DESC_F_NEXT, 1 };
	table[1] = (struct virtq_desc){ iova(BUFFERS + 6 * PAGE), 60, 0, 0 };
	desc_set(PAIR_TX, 0, iova(BUFFERS + PAGE - 32), 32, DESC_F_INDIRECT, 0);
	avail_push(PAIR_TX, 0);
	kick(PAIR_TX);
	expect_miss(iova(BUFFERS), VU_ACCESS_RO);
	assert_int_equal(0, update(iova(BUFFERS), VU_ACCESS_RO));
	answer(0);
	assert_int_equal(2, translate());
	assert_true(arrived(5));
}

static void control_queue(void **state)
{
	uint8_t *at = (uint8_t *)served.guest[0] + (BUFFERS - GPA_A);

	(void)state;
	platform_negotiate(BIT_ULL(VIRTIO_NET_F_CTRL_VQ) | BIT_ULL(VIRTIO_NET_F_CTRL_RX) |
			   BIT_ULL(VIRTIO_NET_F_MQ));
	platform_configure(CONTROL, 0, 0);
	start_ring(CONTROL);
	assert_int_equal(3, translate());
	memcpy(at, (uint8_t[]){ 0, 1, 1 }, 3); /* all multicast */
	at[PAGE] = 0x5a;
	desc_set(0, 0, iova(BUFFERS), 3, DESC_F_NEXT, 1);
	desc_set(0, 1, iova(BUFFERS + PAGE), 1, DESC_F_WRITE, 0);
	avail_push(0, 0);
	kick(CONTROL);
	assert_int_equal(2, translate());
	assert_int_equal(0, used_take(0, NULL));
	assert_int_equal(0, at[PAGE]);
	assert_true(served.control.filter.allmulti);
	/* and one whose answer nobody will translate changes nothing */
	at[2] = 0;
	desc_set(0, 1, TOP + PAGE, 1, DESC_F_WRITE, 0);
	avail_push(0, 0);
	kick(CONTROL);
	expect_miss(TOP + PAGE, VU_ACCESS_WO);
	answer(1);
	wait_for(CONTROL, RING_BROKEN);
	assert_true(served.control.filter.allmulti);
}

/* The log has guest addresses, of rings too, whatever I/O addresses were said. */
static void the_log(void **state)
{
	static const uint64_t pages[] = { RING_AT(0) + USED_OFF / 2, BUFFERS };
	uint64_t bytes = GPA_TOP / PAGE / 8;
	int file = memory_file(bytes);
	uint8_t *bits = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	struct vu_message m = message(VU_SET_LOG_BASE, OK, 16);
	const struct net_hdr plain = { 0 };

	(void)state;
	platform_negotiate(BIT_ULL(VU_F_LOG_ALL));
	m.log = (struct vu_log){ bytes, 0 };
	assert_int_equal(0, outcome(&m, &file, 1));
	platform_configure(0, 0, VU_VRING_F_LOG);
	start_ring(0);
	translate();
	post(PAIR_RX, 0, iova(BUFFERS), 2000);
	kick(PAIR_RX);
	wire_send(&plain, 60, 3);
	translate();
	assert_int_equal(0, used_take(PAIR_RX, NULL));
	stop(0);
	for (uint64_t page = 0; page < bytes * 8; page++) {
		bool marked = bits[page / 8] >> page % 8 & 1;

		assert_int_equal(marked, page == pages[0] / PAGE || page == pages[1] / PAGE);
	}
	munmap(bits, bytes);
	fd_close(&file);
}

static int platform_open(void **state)
{
	int rc = served_open(state);

	stage.wire = served.wires[0];
	return rc;
}

static int platform_close(void **state)
{
	fd_close(&far);
	return served_close(state);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, platform_open, platform_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(offered_to_those_who_translate),
		TEST(messages_without_the_feature),
		TEST(a_frame_each_way),
		TEST(a_miss_that_is_never_answered),
		TEST(refused),
		TEST(permissions_are_kept),
		TEST(a_late_no),
		TEST(another_channel),
		TEST(invalidation_under_traffic),
		TEST(memory_that_goes_and_comes),
		TEST(forgotten_with_the_driver),
		TEST(flood),
		TEST(tables),
		TEST(control_queue),
		TEST(the_log),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("platform", tests, NULL, NULL);
}
