/*
 * A device's own state between two back-ends: what is saved loads, what nobody saved does not, and
 * a frame that waits for buffers moves with its driver, in either ring format.
 */
#include "tests/unit/device/served.h"

#include <fcntl.h>

#include "device/state.h"

#define LOG BIT_ULL(VU_F_LOG_ALL)
#define TSO (BIT_ULL(VIRTIO_NET_F_GUEST_CSUM) | BIT_ULL(VIRTIO_NET_F_GUEST_TSO4))

static struct worker theirs[PAIRS], ours[PAIRS];
static struct net_setup setup = {
	.pairs = PAIRS, .queue_size = 64, .tap_offloads = 0x7f, .mtu = 1400
};

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
	size_t room, n;
	uint64_t *words = state_words(&room);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		memset(theirs, 0, sizeof(theirs));
		memset(ours, 0, sizeof(ours));
		hold(&theirs[1], lengths[i], (uint8_t)i, NET_GSO_TCPV4);
		if (i & 1)
			hold(&theirs[0], 100, 77, 0);
		setup.mtu = 1400;
		/* The source was logging; the destination is not. */
		n = state_save(words, &setup, theirs, FEATURES | TSO | LOG);
		assert_true(n <= room);
		setup.mtu = 1500;
		assert_int_equal(
			0, state_load(words, n, &setup, ours, i & 2 ? 0 : FEATURES | TSO, 1500));
		assert_int_equal(1400, setup.mtu);
		for (int p = 0; p < PAIRS; p++) {
			assert_int_equal(theirs[p].pair.rx.held_len, ours[p].pair.rx.held_len);
			assert_memory_equal(theirs[p].pair.rx.held.bytes,
					    ours[p].pair.rx.held.bytes, theirs[p].pair.rx.held_len);
			assert_memory_equal(&theirs[p].pair.rx.held.hdr, &ours[p].pair.rx.held.hdr,
					    sizeof(struct net_hdr));
		}
	}
	/* One held for a driver with other offloads stays behind. */
	n = state_save(words, &setup, theirs, FEATURES);
	assert_int_equal(4, n);
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
		setup.mtu = 1500;
		assert_int_equal(rows[i].rc, state_load(rows[i].words, rows[i].n, &setup, ours,
							FEATURES, 1500));
		if (!rows[i].rc)
			continue;
		assert_int_equal(1500, setup.mtu);
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
		cmocka_unit_test(what_may_be_loaded),
		TEST(held_frame_moves),
		TEST(held_frame_survives_the_log),
		TEST(ring_started_meanwhile),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
