/*
 * A device's own state between two back-ends: what is saved loads, what nobody saved does not; a
 * frame that waits for buffers moves with its driver, and so does what the driver said.
 */
#include "tests/unit/device/served.h"

#include <fcntl.h>

#include "device/state.h"

#define LOG BIT_ULL(VU_F_LOG_ALL)
#define TSO (BIT_ULL(VIRTIO_NET_F_GUEST_CSUM) | BIT_ULL(VIRTIO_NET_F_GUEST_TSO4))

#define SAID                                                                     \
	(BIT_ULL(VIRTIO_NET_F_CTRL_VQ) | BIT_ULL(VIRTIO_NET_F_CTRL_RX) |         \
	 BIT_ULL(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) | BIT_ULL(VIRTIO_NET_F_RSS) | \
	 BIT_ULL(VIRTIO_NET_F_HASH_REPORT) | BIT_ULL(VIRTIO_NET_F_GUEST_ANNOUNCE))

/* Two devices, without threads. */
static struct worker theirs[PAIRS + 1], ours[PAIRS + 1];
static struct lifecycle lifecycles[2];
static struct net_ctrl controls[2];
static struct steering_page page;
static struct net_setup setups[2];

static struct net_ctrl *device(struct worker *workers, uint64_t features, uint16_t mtu)
{
	unsigned int i = workers == ours;

	setups[i] = (struct net_setup){ .pairs = PAIRS,
					.queue_size = 64,
					.tap_offloads = 0x7f,
					.mtu = mtu,
					.mac = { 2, 0, 0, 0, 0, (uint8_t)i } };
	lifecycles[i] =
		(struct lifecycle){ .setup = &setups[i], .workers = workers, .features = features };
	controls[i] = (struct net_ctrl){ 0 };
	net_ctrl_init(&controls[i], &workers[PAIRS], &lifecycles[i], &setups[i], -1);
	net_ctrl_steering(&controls[i], &page);
	return &controls[i];
}

static void hold(struct worker *w, uint32_t len, uint8_t seed, uint8_t gso)
{
	frame_fill((uint8_t *)w->pair.rx.held.bytes, len, seed);
	w->pair.rx.held_len = len;
	w->pair.rx.held.hdr = (struct net_hdr){ .flags = gso ? NET_HDR_F_NEEDS_CSUM : 0,
						.gso_type = gso,
						.gso_size = gso ? 1448 : 0 };
	w->pair.features = FEATURES | TSO;
}

static void what_is_saved_loads(void **state)
{
	static const uint32_t lengths[] = {
		14, 15, 16, 60, 1514, NET_FRAME_MAX - 1, NET_FRAME_MAX
	};
	struct net_ctrl *from, *to;
	size_t room, n;
	uint64_t *words = state_words(&room);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		memset(theirs, 0, sizeof(theirs));
		memset(ours, 0, sizeof(ours));
		hold(&theirs[1], lengths[i], (uint8_t)i, NET_GSO_TCPV4);
		if (i & 1)
			hold(&theirs[0], 100, 77, 0);
		/* The source was logging; the destination is not. */
		from = device(theirs, FEATURES | TSO | LOG, 1400);
		n = state_save(words, from);
		assert_true(n <= room);
		to = device(ours, i & 2 ? 0 : FEATURES | TSO, 1500);
		assert_int_equal(0, state_load(words, n, to, 1500));
		assert_int_equal(1400, to->setup->mtu);
		for (int p = 0; p < PAIRS; p++) {
			assert_int_equal(theirs[p].pair.rx.held_len, ours[p].pair.rx.held_len);
			assert_memory_equal(theirs[p].pair.rx.held.bytes,
					    ours[p].pair.rx.held.bytes, theirs[p].pair.rx.held_len);
			assert_memory_equal(&theirs[p].pair.rx.held.hdr, &ours[p].pair.rx.held.hdr,
					    sizeof(struct net_hdr));
		}
	}
	/* One held for a driver with other offloads stays behind. */
	n = state_save(words, device(theirs, FEATURES, 1400));
	assert_int_equal(4, n);
}

/* All that a guest can have said. */
static void talk(struct net_ctrl *c)
{
	struct net_filter *f = &c->filter;

	f->allmulti = f->nobcast = f->by_vlan = true;
	f->promisc = false;
	memcpy(f->mac, (uint8_t[]){ 2, 1, 2, 3, 4, 5 }, 6);
	memcpy(c->setup->mac, f->mac, 6);
	f->uni.count = 2;
	memset(f->uni.macs, 0x22, 12);
	f->multi.count = NET_FILTER_MACS + 1;
	memset(f->multi.macs, 0x33, sizeof(f->multi.macs));
	f->vlans[0] = 0x80;
	f->vlans[63] = 1ull << 63;
	f->offloads_off = BIT_ULL(VIRTIO_NET_F_GUEST_TSO4);
	c->rss = (struct steering_config){ .types = STEERING_TYPES,
					   .mask = STEERING_TABLE - 1,
					   .unclassified = 1,
					   .key = { 1, 2, 3 },
					   .table = { [7] = 1, [STEERING_TABLE - 1] = 1 } };
	f->hash.types = c->rss.types;
	memcpy(f->hash.key, c->rss.key, sizeof(c->rss.key));
	c->steer = true;
	c->lifecycle->active = 1;
}

static void what_was_said_loads(void **state)
{
	struct net_ctrl *from = device(theirs, FEATURES | SAID | TSO, 1400), *to;
	size_t room, n;
	uint64_t *words = state_words(&room);

	(void)state;
	memset(theirs, 0, sizeof(theirs));
	memset(ours, 0, sizeof(ours));
	memset(&page, 0, sizeof(page));
	talk(from);
	hold(&theirs[1], 60, 5, 0);
	theirs[1].pair.features = FEATURES | SAID | TSO;
	n = state_save(words, from);
	for (unsigned int negotiated = 0; negotiated < 2; negotiated++) {
		to = device(ours, negotiated ? FEATURES | SAID | TSO : 0, 1500);
		served.offloads = 99;
		assert_int_equal(0, state_load(words, n, to, 1500));
		assert_memory_equal(&from->filter, &to->filter, sizeof(to->filter));
		assert_memory_equal(&from->rss, &to->rss, sizeof(to->rss));
		assert_memory_equal(&from->rss, &page.config[page.active], sizeof(to->rss));
		assert_memory_equal(from->setup->mac, to->setup->mac, 6);
		assert_true(to->steer && to->moved);
		assert_int_equal(1, to->lifecycle->active);
		assert_int_equal(60, ours[1].pair.rx.held_len);
		/* The TAP is told now, or with the features. */
		assert_int_equal(negotiated ? TUN_F_CSUM : 99, served.offloads);
		assert_int_equal(FEATURES | SAID | BIT_ULL(VIRTIO_NET_F_GUEST_CSUM),
				 net_ctrl_effective(to, FEATURES | SAID | TSO));
	}
	to = device(ours, FEATURES | SAID | TSO, 1500);
	served.tap_refuses = true;
	assert_int_equal(-EIO, state_load(words, n, to, 1500));
	served.tap_refuses = false;
	assert_true(to->filter.promisc && !to->moved && to->setup->mtu == 1500);
}

#define STATE(member) (4 * 8 + (member))

/* One byte of what was said: at which place, and why it cannot be. */
static void what_nobody_can_have_said(void **state)
{
	static const struct {
		size_t at;
		uint8_t byte;
		const char *name;
	} bytes[] = {
		{ STATE(0), 0x10, "an offload switched off that was never on" },
		{ STATE(1), 4, "one that is none" },
		{ STATE(520), 0, "no pair in use" },
		{ STATE(520), PAIRS + 1, "too many" },
		{ STATE(522), 2, "steering twice" },
		{ STATE(523), 0x80, "an eighth mode" },
		{ STATE(524), 1, "a group's address" },
		{ STATE(535), 1, "reserved" },
		{ STATE(536), NET_FILTER_MACS + 2, "too many addresses" },
		{ STATE(543), 1, "2^24 addresses" },
		{ STATE(1313), 2, "an unknown hash type" },
		{ STATE(1316), 126, "a table of 127" },
		{ STATE(1317), 1, "a table of 384" },
		{ STATE(1318), PAIRS, "the unclassified nowhere" },
		{ STATE(1360), PAIRS, "a frame nowhere" },
		{ STATE(1615), 1, "the last entry nowhere" },
	};
	struct net_ctrl *from = device(theirs, FEATURES | SAID | TSO, 1400);
	struct net_ctrl *to = device(ours, FEATURES | SAID | TSO, 1500);
	size_t room, n;
	uint64_t *words = state_words(&room);

	(void)state;
	memset(theirs, 0, sizeof(theirs));
	talk(from);
	for (size_t i = 0; i < ARRAY_SIZE(bytes); i++) {
		print_message("# %s\n", bytes[i].name);
		n = state_save(words, from);
		assert_int_equal(4 + NET_CTRL_WORDS, n);
		((uint8_t *)words)[bytes[i].at] = bytes[i].byte;
		assert_int_equal(-EINVAL, state_load(words, n, to, 1500));
		assert_true(to->filter.promisc && !to->filter.by_vlan && !to->rss.types);
		assert_int_equal(1500, to->setup->mtu);
	}
	n = state_save(words, from);
	assert_int_equal(-EBADMSG, state_load(words, n - 1, to, 1500));
	assert_int_equal(-EBADMSG, state_load(words, n + 1, to, 1500));
	/* Steering and hashing are for who negotiated them. */
	words[1] = to->lifecycle->features &= ~BIT_ULL(VIRTIO_NET_F_RSS);
	assert_int_equal(-EINVAL, state_load(words, n, to, 1500));
	from->steer = false;
	state_save(words, from);
	words[1] = to->lifecycle->features;
	assert_int_equal(0, state_load(words, n, to, 1500));
	words[1] = to->lifecycle->features &= ~BIT_ULL(VIRTIO_NET_F_HASH_REPORT);
	assert_int_equal(-EINVAL, state_load(words, n, to, 1500));
}

#define FRAME(pair, len) ((pair) | (uint64_t)(len) << 32)

/* clang-format off */
static const struct row {
	const char *name;
	uint64_t words[16];
	size_t n;
	int rc;
} rows[] = {
	{ "no frame", { STATE_MAGIC, FEATURES, 1400, 0 }, 4, 0 },
	{ "a frame", { STATE_MAGIC, FEATURES, 1400, 1, FRAME(0, 14) }, 9, 0 },
	{ "of both pairs", { STATE_MAGIC, FEATURES, 1400, 2, FRAME(0, 14), 0, 0, 0, 0, FRAME(1, 16) }, 14, 0 },
	{ "nothing", { 0 }, 0, -EBADMSG },
	{ "a short head", { STATE_MAGIC, FEATURES, 1400 }, 3, -EBADMSG },
	{ "other magic", { STATE_MAGIC + 1, FEATURES, 1400, 0 }, 4, -EBADMSG },
	{ "words behind the end", { STATE_MAGIC, FEATURES, 1400, 0 }, 5, -EBADMSG },
	{ "a frame too few", { STATE_MAGIC, FEATURES, 1400, 2, FRAME(0, 14) }, 9, -EBADMSG },
	{ "frames without end", { STATE_MAGIC, FEATURES, 1400, UINT64_MAX, FRAME(0, 14) }, 9, -EBADMSG },
	{ "a frame cut short", { STATE_MAGIC, FEATURES, 1400, 1, FRAME(0, 14) }, 8, -EBADMSG },
	{ "a frame without its head", { STATE_MAGIC, FEATURES, 1400, 1, FRAME(0, 14) }, 6, -EBADMSG },
	{ "a frame of 13 bytes", { STATE_MAGIC, FEATURES, 1400, 1, FRAME(0, 13) }, 9, -EBADMSG },
	{ "a frame of 4 GiB", { STATE_MAGIC, FEATURES, 1400, 1, FRAME(0, 0xffffffff) }, 9, -EBADMSG },
	{ "longer than any frame", { STATE_MAGIC, FEATURES, 1400, 1, FRAME(0, NET_FRAME_MAX + 1) }, 9, -EBADMSG },
	{ "no such pair", { STATE_MAGIC, FEATURES, 1400, 1, FRAME(PAIRS, 14) }, 9, -EINVAL },
	{ "the same pair twice", { STATE_MAGIC, FEATURES, 1400, 2, FRAME(1, 14), 0, 0, 0, 0, FRAME(1, 14) }, 14, -EBADMSG },
	{ "a header it could not read", { STATE_MAGIC, FEATURES, 1400, 1, FRAME(0, 14), NET_GSO_TCPV4 << 8 }, 9, -EINVAL },
	{ "other features", { STATE_MAGIC, FEATURES | TSO, 1400, 0 }, 4, -EINVAL },
	{ "features not offered", { STATE_MAGIC, FEATURES | 1ull << 63, 1400, 0 }, 4, -EINVAL },
	{ "the log's feature", { STATE_MAGIC, FEATURES | LOG, 1400, 0 }, 4, -EINVAL },
	{ "MTU of 67", { STATE_MAGIC, FEATURES, 67, 0 }, 4, -EINVAL },
	{ "MTU beyond the administrator's", { STATE_MAGIC, FEATURES, 1501, 0 }, 4, -EINVAL },
	{ "MTU of 2^32 + 1400", { STATE_MAGIC, FEATURES, 0x100000578, 0 }, 4, -EINVAL },
};
/* clang-format on */

static void what_may_be_loaded(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		print_message("# %s\n", rows[i].name);
		memset(ours, 0, sizeof(ours));
		hold(&ours[0], 50, 3, 0);
		assert_int_equal(rows[i].rc, state_load(rows[i].words, rows[i].n,
							device(ours, FEATURES, 1500), 1500));
		if (!rows[i].rc)
			continue;
		assert_int_equal(1500, setups[1].mtu);
		assert_int_equal(50, ours[0].pair.rx.held_len);
	}
}

/* ---- over the whole session ---- */

static int transfer(enum transfer_way way, int fd)
{
	struct vu_message m = message(VU_SET_DEVICE_STATE_FD, VU_VERSION, 8);
	int rc;

	m.transfer.direction = way;
	rc = outcome(&m, &fd, 1);
	fd_close(&fd);
	return rc;
}

static uint64_t transfer_checked(void)
{
	struct vu_message check = message(VU_CHECK_DEVICE_STATE, VU_VERSION, 0), answer;
	int heard = 0;

	say_fds(&check, NULL, 0);
	for (int i = 0; i < 100 && !heard; i++) {
		served_turn();
		heard = hear(&answer);
	}
	assert_int_equal(1, heard);
	return answer.u64;
}

static void frame_arrives(uint32_t len, uint8_t seed)
{
	static uint8_t packet[NET_HDR_LEN + 9000];

	memset(packet, 0, NET_HDR_LEN);
	frame_fill(packet + NET_HDR_LEN, len, seed);
	assert_int_equal(NET_HDR_LEN + len, send(served.wires[0], packet, NET_HDR_LEN + len, 0));
}

/* One that finds too few buffers. */
static void frame_is_held(uint32_t len, uint8_t seed)
{
	const uint64_t *held = &served.workers[0].pair.queues[PAIR_RX].stats.held;
	const uint64_t before = __atomic_load_n(held, __ATOMIC_RELAXED);

	frame_arrives(len, seed);
	for (int i = 0; i < 2000 && __atomic_load_n(held, __ATOMIC_RELAXED) == before; i++)
		usleep(1000);
	assert_int_equal(before + 1, __atomic_load_n(held, __ATOMIC_RELAXED));
}

static void buffers(uint16_t first, unsigned int n)
{
	for (uint16_t i = first; i < first + n; i++)
		post(PAIR_RX, i, GPA_A + 0x300000 + i * 1024ull, 1024);
	fd_signal(served.lifecycle.vrings[0].kick);
}

static void held_frame_moves(void **state)
{
	static uint8_t saved[64 * 1024];
	const uint16_t *used;
	ssize_t n;
	int pair[2];

	(void)state;
	negotiate_with(FEATURES, PROTOCOL | BIT_ULL(VU_P_DEVICE_STATE));
	assert_int_equal(0, tell_table());
	configure(0, 0);
	start_ring(0);
	configure(1, 0);
	start_ring(1);
	used = &stage.driver[0].used->idx;
	buffers(0, 2);
	frame_is_held(4000, 9); /* four buffers with its header */
	assert_int_equal(0, *used);
	assert_int_equal(0, pipe2(pair, O_CLOEXEC));
	assert_int_equal(0x101, transfer(TRANSFER_SAVE, dup(pair[1]))); /* rings run */
	assert_int_equal(0, stop(0));
	assert_int_equal(0, stop(1));
	assert_int_equal(4000, served.workers[0].pair.rx.held_len);
	assert_int_equal(0x100, transfer(TRANSFER_SAVE, pair[1]));
	assert_int_equal(0, transfer_checked());
	n = read(pair[0], saved, sizeof(saved));
	assert_int_equal(32 + 24 + 4000, n);
	fd_close(&pair[0]);
	served_close(NULL);

	/* Another device: the first thing it hears is the state, before its features. */
	served_open(NULL);
	tell_u64(VU_SET_PROTOCOL_FEATURES, PROTOCOL | BIT_ULL(VU_P_DEVICE_STATE));
	assert_int_equal(0, pipe2(pair, O_CLOEXEC));
	assert_int_equal(0x100, transfer(TRANSFER_LOAD, pair[0]));
	assert_int_equal(n, write(pair[1], saved, (size_t)n));
	fd_close(&pair[1]);
	assert_int_equal(0, transfer_checked());
	assert_int_equal(0, tell_u64(VU_SET_FEATURES, FEATURES));
	assert_int_equal(0, tell_table());
	configure(0, 0);
	start_ring(0);
	used = &stage.driver[0].used->idx;
	buffers(0, 4);
	for (int i = 0; i < 2000 && __atomic_load_n(used, __ATOMIC_ACQUIRE) != 4; i++)
		usleep(1000);
	assert_int_equal(4, *used);
	for (uint32_t i = 0; i < 4000; i++)
		assert_int_equal((uint8_t)(9 + i * 7 + (i >> 8)),
				 (uint8_t)served.guest[0][0x300000 + NET_HDR_LEN + i]);
	assert_int_equal(4, stop(0));
	assert_int_equal(0, served.workers[0].pair.rx.held_len);
}

/* Switching the log on or off while a ring is stopped is no change of the driver's. */
static void held_frame_survives_the_log(void **state)
{
	(void)state;
	bring_up();
	buffers(0, 2);
	frame_is_held(4000, 9);
	stop(0);
	stop(1);
	assert_int_equal(0, tell_u64(VU_SET_FEATURES, FEATURES | LOG));
	assert_int_equal(4000, served.workers[0].pair.rx.held_len);
	start_ring(0);
	buffers(2, 2);
	for (int i = 0;
	     i < 2000 && __atomic_load_n(&stage.driver[0].used->idx, __ATOMIC_ACQUIRE) != 4; i++)
		usleep(1000);
	assert_int_equal(4, stage.driver[0].used->idx);
}

/* A ring that starts while the state is still on its way: the worker's frames are not ours then. */
static void ring_started_meanwhile(void **state)
{
	const uint64_t words[] = { STATE_MAGIC, FEATURES, 1400, 0 };
	int pair[2];

	(void)state;
	negotiate_with(FEATURES, PROTOCOL | BIT_ULL(VU_P_DEVICE_STATE));
	assert_int_equal(0, tell_table());
	assert_int_equal(0, pipe2(pair, O_CLOEXEC));
	assert_int_equal(0x100, transfer(TRANSFER_LOAD, pair[0]));
	configure(0, 0);
	start_ring(0);
	assert_int_equal(sizeof(words), write(pair[1], words, sizeof(words)));
	fd_close(&pair[1]);
	assert_int_equal(1, transfer_checked());
	assert_int_equal(1500, served.setup.mtu);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, served_open, served_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_saved_loads),
		cmocka_unit_test(what_was_said_loads),
		cmocka_unit_test(what_nobody_can_have_said),
		cmocka_unit_test(what_may_be_loaded),
		TEST(held_frame_moves),
		TEST(held_frame_survives_the_log),
		TEST(ring_started_meanwhile),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
