/*
 * What each request does, and every value in one that no front-end should send (the catalogue's
 * 2a): refused with nothing changed, or the end of the connection.
 */
#include "tests/unit/device/served.h"

#include <fcntl.h>
#include <sys/timerfd.h>

#define NEGOTIATED 0
#define SHARED	   1
#define RUNNING	   2

#define WRONG_FEATURE (1ull << 63)

static void reach(int stage_wanted)
{
	if (stage_wanted == RUNNING)
		bring_up();
	else
		negotiate();
	if (stage_wanted == SHARED) {
		assert_int_equal(0, tell_table());
		assert_int_equal(0, tell_state(VU_SET_VRING_NUM, 0, 64));
	}
}

#define U64(r, v)                                  \
	{                                          \
		.head = { (r), OK, 8 }, .u64 = (v) \
	}
#define STATE(r, i, n)                                       \
	{                                                    \
		.head = { (r), OK, 8 }, .state = {(i), (n) } \
	}
#define ADDR(i, f, d, u, a)                                                                  \
	{                                                                                    \
		.head = { VU_SET_VRING_ADDR, OK, 40 }, .addr = {(i), (f), (d), (u), (a), 0 } \
	}
#define TABLE(size, n, ...)                                                                    \
	{                                                                                      \
		.head = { VU_SET_MEM_TABLE, OK, (size) }, .memory = {(n), 0, { __VA_ARGS__ } } \
	}
#define SLOT(r, g, s, u, o)                                                      \
	{                                                                        \
		.head = { (r), OK, 40 }, .single = { 0, { (g), (s), (u), (o) } } \
	}
#define CONFIG(r, payload, off, len)                                                        \
	{                                                                                   \
		.head = { (r), OK, (payload) }, .config = {.offset = (off), .size = (len) } \
	}
#define LOG(size, off)                                                       \
	{                                                                    \
		.head = { VU_SET_LOG_BASE, OK, 16 }, .log = {(size), (off) } \
	}
#define U UVA(GPA_A)

/* clang-format off */
static const struct row {
	const char *name;
	int stage, outcome;
	struct vu_message m;
	const char *fds; /* e eventfd, m 4 MiB of memory, d directory, p pipe, s socket, n /dev/null, t timer */
} rows[] = {
	/* features */
	{ "un-offered feature", NEGOTIATED, CLOSED, U64(VU_SET_FEATURES, WRONG_FEATURE), "" },
	{ "un-offered protocol feature", NEGOTIATED, CLOSED, U64(VU_SET_PROTOCOL_FEATURES, 1ull << 40), "" },
	{ "feature change after start", RUNNING, CLOSED, U64(VU_SET_FEATURES, FEATURES & ~MRG), "" },
	{ "the same features after start", RUNNING, 0, U64(VU_SET_FEATURES, FEATURES), "" },
	{ "protocol change after start", RUNNING, CLOSED, U64(VU_SET_PROTOCOL_FEATURES, 0), "" },
	{ "GUEST_USO4 alone", NEGOTIATED, 0, U64(VU_SET_FEATURES, FEATURES | 1 << 1 | 1ull << 54), "" },
	/* CVE-2020-10723, rust-vmm 38c442d: index >= queues, at the width of the wire */
	{ "NUM of ring 5", NEGOTIATED, CLOSED, STATE(VU_SET_VRING_NUM, 5, 64), "" },
	{ "NUM of ring 0x10000", NEGOTIATED, CLOSED, STATE(VU_SET_VRING_NUM, 0x10000, 64), "" },
	{ "NUM of ring 0xffffffff", NEGOTIATED, CLOSED, STATE(VU_SET_VRING_NUM, UINT32_MAX, 64), "" },
	{ "BASE of ring 5", NEGOTIATED, CLOSED, STATE(VU_SET_VRING_BASE, 5, 0), "" },
	{ "GET_VRING_BASE of ring 5", NEGOTIATED, CLOSED, STATE(VU_GET_VRING_BASE, 5, 0), "" },
	{ "GET_VRING_BASE of ring 0x80000000", NEGOTIATED, CLOSED, STATE(VU_GET_VRING_BASE, 0x80000000, 0), "" },
	{ "ENABLE of ring 5", NEGOTIATED, CLOSED, STATE(VU_SET_VRING_ENABLE, 5, 1), "" },
	{ "ADDR of ring 5", NEGOTIATED, CLOSED, ADDR(5, 0, U, U + 8192, U + 4096), "" },
	{ "KICK of ring 5", NEGOTIATED, CLOSED, U64(VU_SET_VRING_KICK, 5), "e" },
	{ "CALL of ring 255", NEGOTIATED, CLOSED, U64(VU_SET_VRING_CALL, 255), "e" },
	{ "ERR of ring 5", NEGOTIATED, CLOSED, U64(VU_SET_VRING_ERR, 5), "e" },
	/* sizes and bases */
	{ "num 0", NEGOTIATED, 1, STATE(VU_SET_VRING_NUM, 0, 0), "" },
	{ "num 3", NEGOTIATED, 1, STATE(VU_SET_VRING_NUM, 0, 3), "" },
	{ "num > max", NEGOTIATED, 1, STATE(VU_SET_VRING_NUM, 0, 2 * QUEUE_SIZE), "" },
	{ "num 0x80000000", NEGOTIATED, 1, STATE(VU_SET_VRING_NUM, 0, 0x80000000), "" },
	{ "num max", NEGOTIATED, 0, STATE(VU_SET_VRING_NUM, 0, QUEUE_SIZE), "" },
	{ "num 1", NEGOTIATED, 0, STATE(VU_SET_VRING_NUM, 0, 1), "" },
	{ "base 65535", NEGOTIATED, 0, STATE(VU_SET_VRING_BASE, 0, 65535), "" },
	{ "base > 65535", NEGOTIATED, 1, STATE(VU_SET_VRING_BASE, 0, 65536), "" },
	{ "NUM on running ring", RUNNING, 1, STATE(VU_SET_VRING_NUM, 0, 64), "" },
	{ "BASE on running ring", RUNNING, 1, STATE(VU_SET_VRING_BASE, 0, 0), "" },
	{ "ADDR on running ring", RUNNING, 1, ADDR(0, 0, U + 0x200000, U + 0x300000, U + 0x280000), "" },
	{ "enable 2", NEGOTIATED, 1, STATE(VU_SET_VRING_ENABLE, 0, 2), "" },
	/* addresses */
	{ "fit", SHARED, 0, ADDR(0, 0, U, U + 8192, U + 4096), "" },
	{ "desc misaligned", SHARED, 1, ADDR(0, 0, U + 8, U + 8192, U + 4096), "" },
	{ "avail misaligned", SHARED, 1, ADDR(0, 0, U, U + 8192, U + 4097), "" },
	{ "used misaligned", SHARED, 1, ADDR(0, 0, U, U + 8194, U + 4096), "" },
	{ "reserved flag", SHARED, 1, ADDR(0, 2, U, U + 8192, U + 4096), "" },
	{ "desc crosses its region", SHARED, 1, ADDR(0, 0, U + REGION - 512, U + 8192, U + 4096), "" },
	{ "desc ends with memory and one entry", SHARED, 1, ADDR(0, 0, U + 2 * REGION - 1008, U + 8192, U + 4096), "" },
	{ "desc ends with memory", SHARED, 0, ADDR(0, 0, U + 2 * REGION - 1024, U + 8192, U + 4096), "" },
	{ "avail without room for its event word", SHARED, 1, ADDR(0, 0, U, U + 8192, U + 2 * REGION - 132), "" },
	{ "avail ends with memory", SHARED, 0, ADDR(0, 0, U, U + 8192, U + 2 * REGION - 134), "" },
	{ "used without room for its event word", SHARED, 1, ADDR(0, 0, U, U + 2 * REGION - 516, U + 4096), "" },
	{ "used ends with memory", SHARED, 0, ADDR(0, 0, U, U + 2 * REGION - 520, U + 4096), "" },
	{ "ring beyond memory", SHARED, 1, ADDR(0, 0, U + 2 * REGION, U + 8192, U + 4096), "" },
	{ "ring at 0", SHARED, 1, ADDR(0, 0, 0, 8192, 4096), "" },
	{ "ring at the end of addresses", SHARED, 1, ADDR(0, 0, ~15ull, U + 8192, U + 4096), "" },
	{ "desc/avail overlap", SHARED, 1, ADDR(0, 0, U, U + 8192, U + 1022), "" },
	{ "desc/used overlap", SHARED, 1, ADDR(0, 0, U, U + 1020, U + 4096), "" },
	{ "avail/used overlap", SHARED, 1, ADDR(0, 0, U, U + 4096 + 132, U + 4096), "" },
	{ "areas side by side", SHARED, 0, ADDR(0, 0, U, U + 1024 + 136, U + 1024), "" },
	/* descriptors */
	{ "kick", NEGOTIATED, 0, U64(VU_SET_VRING_KICK, 0), "e" },
	{ "kick NOFD", NEGOTIATED, 0, U64(VU_SET_VRING_KICK, VU_VRING_NOFD), "" },
	{ "too few fds", NEGOTIATED, CLOSED, U64(VU_SET_VRING_KICK, 0), "" },
	{ "too many fds", NEGOTIATED, CLOSED, U64(VU_SET_VRING_KICK, 0), "ee" },
	{ "NOFD bit plus an fd", NEGOTIATED, CLOSED, U64(VU_SET_VRING_KICK, VU_VRING_NOFD), "e" },
	{ "reserved u64 bits", NEGOTIATED, CLOSED, U64(VU_SET_VRING_KICK, 0x200), "e" },
	{ "highest u64 bit", NEGOTIATED, CLOSED, U64(VU_SET_VRING_KICK, 1ull << 63), "e" },
	{ "kick is a pipe", NEGOTIATED, 1, U64(VU_SET_VRING_KICK, 0), "p" },
	{ "kick is a directory", NEGOTIATED, 1, U64(VU_SET_VRING_KICK, 0), "d" },
	{ "kick is a socket", NEGOTIATED, 1, U64(VU_SET_VRING_KICK, 0), "s" },
	{ "kick is a file", NEGOTIATED, 1, U64(VU_SET_VRING_KICK, 0), "m" },
	{ "kick is a device", NEGOTIATED, 1, U64(VU_SET_VRING_KICK, 0), "n" },
	{ "kick is a timer", NEGOTIATED, 0, U64(VU_SET_VRING_KICK, 0), "t" },
	{ "call is a pipe", NEGOTIATED, 1, U64(VU_SET_VRING_CALL, 0), "p" },
	{ "call is a file", NEGOTIATED, 1, U64(VU_SET_VRING_CALL, 0), "m" },
	{ "call is a socket, as user-mode-linux has it", NEGOTIATED, 0, U64(VU_SET_VRING_CALL, 0), "s" },
	{ "err is a socket", NEGOTIATED, 1, U64(VU_SET_VRING_ERR, 0), "s" },
	{ "err replaced while running", RUNNING, 0, U64(VU_SET_VRING_ERR, 0), "e" },
	{ "call taken away while running", RUNNING, 0, U64(VU_SET_VRING_CALL, VU_VRING_NOFD), "" },
	{ "log of events is a pipe", NEGOTIATED, 1, { .head = { VU_SET_LOG_FD, OK, 0 } }, "p" },
	{ "log of events", NEGOTIATED, 0, { .head = { VU_SET_LOG_FD, OK, 0 } }, "e" },
	/* memory */
	{ "nregions 0", NEGOTIATED, CLOSED, TABLE(8, 0), "" },
	{ "nregions > fds", NEGOTIATED, CLOSED, TABLE(72, 2, { 0, 4096, 0, 0 }, { 8192, 4096, 8192, 0 }), "m" },
	{ "nregions < fds", NEGOTIATED, CLOSED, TABLE(40, 1, { 0, 4096, 0, 0 }), "mm" },
	{ "nregions > 8", NEGOTIATED, CLOSED, TABLE(264, 9, { 0, 4096, 0, 0 }), "mmmmmmmm" },
	{ "nregions 0xffffffff", NEGOTIATED, CLOSED, TABLE(40, UINT32_MAX, { 0, 4096, 0, 0 }), "m" },
	{ "table shorter than its regions", NEGOTIATED, CLOSED, TABLE(40, 2, { 0, 4096, 0, 0 }), "mm" },
	{ "table longer than its regions", NEGOTIATED, CLOSED, TABLE(72, 1, { 0, 4096, 0, 0 }), "m" },
	{ "region size 0", NEGOTIATED, 1, TABLE(40, 1, { 0, 0, 0, 0 }), "m" },
	{ "gpa wraps", NEGOTIATED, 1, TABLE(40, 1, { ~0xfffull, 8192, 0, 0 }), "m" },
	{ "uva wraps", NEGOTIATED, 1, TABLE(40, 1, { 0, 8192, ~0xfffull, 0 }), "m" },
	{ "offset wraps", NEGOTIATED, 1, TABLE(40, 1, { 0, 8192, 0, ~0xfffull }), "m" },
	{ "region > st_size", NEGOTIATED, 1, TABLE(40, 1, { 0, REGION + 1, 0, 0 }), "m" },
	{ "overlap in gpa", NEGOTIATED, 1, TABLE(72, 2, { 0, 8192, 0, 0 }, { 4096, 8192, 65536, 0 }), "mm" },
	{ "overlap in uva", NEGOTIATED, 1, TABLE(72, 2, { 0, 8192, 0, 0 }, { 65536, 8192, 4096, 0 }), "mm" },
	{ "memory is a directory", NEGOTIATED, 1, TABLE(40, 1, { 0, 4096, 0, 0 }), "d" },
	{ "memory is a pipe", NEGOTIATED, 1, TABLE(40, 1, { 0, 4096, 0, 0 }), "p" },
	{ "memory is a chardev", NEGOTIATED, 1, TABLE(40, 1, { 0, 4096, 0, 0 }), "n" },
	{ "second of two is bad", NEGOTIATED, 1, TABLE(72, 2, { 0, 4096, 0, 0 }, { 65536, 4096, 65536, 0 }), "md" },
	{ "slot", SHARED, 0, SLOT(VU_ADD_MEM_REG, GPA_C, REGION, UVA(GPA_C), 0), "m" },
	{ "slot without fd", SHARED, CLOSED, SLOT(VU_ADD_MEM_REG, GPA_C, REGION, UVA(GPA_C), 0), "" },
	{ "slot with two fds", SHARED, CLOSED, SLOT(VU_ADD_MEM_REG, GPA_C, REGION, UVA(GPA_C), 0), "mm" },
	{ "slot over another", SHARED, 1, SLOT(VU_ADD_MEM_REG, GPA_A, 4096, UVA(GPA_C), 0), "m" },
	{ "slot that wraps", SHARED, 1, SLOT(VU_ADD_MEM_REG, ~0xfffull, 8192, UVA(GPA_C), 0), "m" },
	{ "removal of no slot", SHARED, 1, SLOT(VU_REM_MEM_REG, GPA_C, REGION, UVA(GPA_C), 0), "" },
	{ "removal of half a slot", SHARED, 1, SLOT(VU_REM_MEM_REG, GPA_A, 4096, UVA(GPA_A), 0), "" },
	{ "removal", SHARED, 0, SLOT(VU_REM_MEM_REG, GPA_A, REGION, UVA(GPA_A), 0), "" },
	{ "removal with a descriptor", SHARED, 0, SLOT(VU_REM_MEM_REG, GPA_A, REGION, UVA(GPA_A), 0), "m" },
	/* configuration space */
	{ "config past end", NEGOTIATED, PAYLOAD, CONFIG(VU_GET_CONFIG, 24, 0x1000, 12), "" },
	{ "config offset wraps", NEGOTIATED, PAYLOAD, CONFIG(VU_GET_CONFIG, 24, UINT32_MAX - 3, 12), "" },
	{ "config size unlike its payload", NEGOTIATED, CLOSED, CONFIG(VU_GET_CONFIG, 24, 0, 256), "" },
	{ "config size of 4 GiB", NEGOTIATED, CLOSED, CONFIG(VU_GET_CONFIG, 24, 0, UINT32_MAX), "" },
	{ "config shorter than its head", NEGOTIATED, CLOSED, CONFIG(VU_GET_CONFIG, 4, 0, 0), "" },
	{ "config written", NEGOTIATED, 0, CONFIG(VU_SET_CONFIG, 18, 0, 6), "" },
	{ "config written past end", NEGOTIATED, 1, CONFIG(VU_SET_CONFIG, 24, 0x1000, 12), "" },
	{ "config written with a wrong size", NEGOTIATED, CLOSED, CONFIG(VU_SET_CONFIG, 24, 0, 13), "" },
	/* the log */
	{ "CVE-2020-10722: log that wraps", NEGOTIATED, CLOSED, LOG(UINT64_MAX, 4096), "m" },
	{ "log > st_size", NEGOTIATED, CLOSED, LOG(REGION + 1, 0), "m" },
	{ "log at an odd place", NEGOTIATED, 0, LOG(4096, 4), "m" },
	{ "log of 0 bytes", NEGOTIATED, CLOSED, LOG(0, 0), "m" },
	{ "log is a directory", NEGOTIATED, CLOSED, LOG(4096, 0), "d" },
	{ "log without fd", NEGOTIATED, CLOSED, LOG(4096, 0), "" },
	{ "log", NEGOTIATED, 0, LOG(4096, 0), "m" },
	/* what else a device is told */
	{ "MTU below any", NEGOTIATED, 1, U64(VU_NET_SET_MTU, 67), "" },
	{ "MTU above the administrator's", NEGOTIATED, 1, U64(VU_NET_SET_MTU, 1501), "" },
	{ "MTU of 2^32 + 1500", NEGOTIATED, 1, U64(VU_NET_SET_MTU, 0x1000005dc), "" },
	{ "status of nine bits", NEGOTIATED, 1, U64(VU_SET_STATUS, 0x100), "" },
	{ "RARP before memory", NEGOTIATED, 0, U64(VU_SEND_RARP, 0x060504030202), "" },
	{ "RARP under running rings", RUNNING, 0, U64(VU_SEND_RARP, 0x060504030202), "" },
	{ "RESET_OWNER under running rings", RUNNING, 0, { .head = { VU_RESET_OWNER, OK, 0 } }, "" },
	{ "RESET_DEVICE under running rings", RUNNING, 0, { .head = { VU_RESET_DEVICE, OK, 0 } }, "" },
};
/* clang-format on */

static int open_kind(char kind, int *other)
{
	int pair[2] = { -1, -1 };

	*other = -1;
	switch (kind) {
	case 'e':
		return eventfd(0, EFD_CLOEXEC);
	case 'm':
		return memory_file(REGION);
	case 'd':
		return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	case 'n':
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	case 't':
		return timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	case 'p':
		assert_int_equal(0, pipe2(pair, O_CLOEXEC));
		break;
	default:
		assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	}
	*other = pair[1];
	return pair[0];
}

static void rows_of_the_catalogue(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		size_t n = strlen(row->fds);
		int fds[16], others[16], before, rc;
		struct lifecycle was;

		print_message("# %s\n", row->name);
		served_open(NULL);
		reach(row->stage);
		before = open_fds();
		for (size_t f = 0; f < n; f++)
			fds[f] = open_kind(row->fds[f], &others[f]);
		was = served.lifecycle;
		rc = outcome(&row->m, fds, n);
		fd_close_all(fds, n);
		fd_close_all(others, n);
		assert_int_equal(row->outcome, rc);
		if (rc == 1 || rc == CLOSED) { /* a refused message changes nothing */
			assert_memory_equal(was.vrings, served.lifecycle.vrings,
					    sizeof(was.vrings));
			assert_ptr_equal(was.memory, served.lifecycle.memory);
			assert_int_equal(was.features, served.lifecycle.features);
		}
		if (rc == 1)
			assert_int_equal(before, open_fds());
		if (rc >= 0) {
			assert_int_equal(2 * PAIRS + 1, ask_u64(VU_GET_QUEUE_NUM));
		}
		served_close(NULL);
	}
}

static void what_is_offered(void **state)
{
	uint64_t features = ask_u64(VU_GET_FEATURES), protocol = ask_u64(VU_GET_PROTOCOL_FEATURES);

	(void)state;
	assert_int_equal(net_features(&served.setup), features);
	assert_int_equal(PROTOCOL, protocol & PROTOCOL);
	/* nothing that needs a descriptor in a reply, or that hands out memory of ours */
	assert_int_equal(0, protocol & (BIT_ULL(VU_P_INFLIGHT_SHMFD) |
					BIT_ULL(VU_P_BACKEND_SEND_FD) | BIT_ULL(VU_P_PAGEFAULT) |
					BIT_ULL(VU_P_SHARED_OBJECT) | BIT_ULL(VU_P_SHMEM)));
	negotiate();
	assert_int_equal(2 * PAIRS + 1, ask_u64(VU_GET_QUEUE_NUM));
	assert_int_equal(MEMORY_SLOTS, ask_u64(VU_GET_MAX_MEM_SLOTS));
}

static void offloads_reach_the_tap(void **state)
{
	const uint64_t takes = BIT_ULL(VIRTIO_NET_F_GUEST_CSUM) | BIT_ULL(VIRTIO_NET_F_GUEST_TSO4);

	(void)state;
	negotiate();
	assert_int_equal(0, served.offloads);
	assert_int_equal(0, tell_u64(VU_SET_FEATURES, FEATURES | takes));
	assert_int_equal(TUN_F_CSUM | TUN_F_TSO4, served.offloads);
	served.tap_refuses = true;
	assert_int_equal(1, tell_u64(VU_SET_FEATURES, FEATURES));
	assert_int_equal(FEATURES | takes, served.lifecycle.features);
	assert_int_equal(EVENT_REQUEST_REFUSED, last_event());
}

/* The front-end's own end of the connection in place of an interrupt would answer the front-end
 * with what it never asked. */
static void call_is_the_connection(void **state)
{
	(void)state;
	negotiate();
	assert_int_equal(1, tell_fd(VU_SET_VRING_CALL, 0, served.peer));
	assert_int_equal(-1, served.lifecycle.vrings[0].call);
	assert_true(ask_u64(VU_GET_FEATURES)); /* and nothing was left in it */
}

/* Each change takes the host's network lock. */
static void offloads_change_so_often_and_no_more(void **state)
{
	int refused = 0;

	(void)state;
	negotiate();
	for (int i = 0; i < 2 * NET_OFFLOADS_A_SECOND + 10 && !refused; i++)
		refused = tell_u64(VU_SET_FEATURES, FEATURES);
	assert_int_equal(1, refused);
	assert_int_equal(FEATURES, served.lifecycle.features);
}

static void configuration_space(void **state)
{
	struct vu_message m = message(VU_GET_CONFIG, VU_VERSION, 12 + 12), answer;
	const struct net_config *c = (void *)answer.config.bytes;

	(void)state;
	negotiate();
	m.config.size = 12;
	m.config.flags = 1;
	say_fds(&m, NULL, 0);
	assert_int_equal(1, hear(&answer));
	assert_int_equal(24, answer.head.size);
	assert_int_equal(12, answer.config.size);
	assert_memory_equal(served.setup.mac, c->mac, 6);
	assert_int_equal(1500, c->mtu);
	assert_int_equal(PAIRS, c->max_virtqueue_pairs);
	assert_int_equal(0, tell_u64(VU_NET_SET_MTU, 1280));
	say_fds(&m, NULL, 0);
	assert_int_equal(1, hear(&answer));
	assert_int_equal(1280, c->mtu);
	assert_int_equal(0, tell_u64(VU_NET_SET_MTU, 1500)); /* back up to the administrator's */
}

static void seals_where_they_are_required(void **state)
{
	(void)state;
	served.session.require_sealed = true;
	negotiate();
	assert_int_equal(1, tell_table());
	fcntl(served.files[0], F_ADD_SEALS, F_SEAL_SHRINK);
	assert_int_equal(1, tell_table());
	assert_null(served.lifecycle.memory);
	fcntl(served.files[1], F_ADD_SEALS, F_SEAL_SHRINK);
	assert_int_equal(0, tell_table());
	assert_int_equal(2, served.lifecycle.memory->count);
}

static void status_of_the_device(void **state)
{
	(void)state;
	bring_up();
	assert_int_equal(0, tell_u64(VU_SET_STATUS, 0x0f));
	assert_int_equal(0x0f, ask_u64(VU_GET_STATUS));
	assert_true(lifecycle_started(&served.lifecycle));
	assert_int_equal(0, tell_u64(VU_SET_STATUS, 0)); /* a reset */
	assert_int_equal(0, ask_u64(VU_GET_STATUS));
	assert_false(lifecycle_started(&served.lifecycle));
}

static int tell_kick(uint32_t ring, uint32_t num)
{
	return tell_state(VU_VRING_KICK, ring, num);
}

/* Kicks and calls as messages, where there are no descriptors. */
static void in_band(void **state)
{
	const uint64_t inband = PROTOCOL | BIT_ULL(VU_P_INBAND) | BIT_ULL(VU_P_BACKEND_REQ);
	struct vu_message m = message(VU_SET_BACKEND_REQ_FD, OK, 0);
	uint8_t frame[100];
	struct {
		struct vu_header head;
		struct vu_vring_state ring;
	} back;
	int pair[2];

	(void)state;
	negotiate_with(FEATURES, inband);
	assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	assert_int_equal(0, outcome(&m, &pair[0], 1));
	fd_close(&pair[0]);
	assert_int_equal(0, tell_table());
	configure(1, 0);
	fd_close(&served.lifecycle.vrings[1].call); /* as if it had never been said */
	assert_int_equal(0, tell_kick(1, 0));
	assert_int_equal(RING_RUNNING, served.lifecycle.vrings[1].state);
	memset(served.guest[0] + 0x300000, 0, NET_HDR_LEN);
	post(PAIR_TX, 0, GPA_A + 0x300000, NET_HDR_LEN + 60);
	assert_int_equal(0, tell_kick(1, 0));
	for (int i = 0; i < 1000 && recv(served.wires[0], frame, sizeof(frame), 0) < 0; i++)
		usleep(1000);
	for (int i = 0; i < 1000 && recv(pair[1], &back, sizeof(back), MSG_DONTWAIT) < 0; i++) {
		usleep(1000);
		served_turn();
	}
	assert_int_equal(VU_BACK_VRING_CALL, back.head.request);
	assert_int_equal(1, back.ring.index);
	fd_close(&pair[1]);
	served_turn();
	assert_int_equal(-1, served.session.back.sock);
	assert_int_equal(0, served.over); /* the connection goes on without it */
	assert_int_equal(CLOSED, tell_kick(1, 1));
}

static void in_band_needs_its_company(void **state)
{
	(void)state;
	assert_int_equal(CLOSED,
			 tell_u64(VU_SET_PROTOCOL_FEATURES, PROTOCOL | BIT_ULL(VU_P_INBAND)));
}

/* The answer to SET_DEVICE_STATE_FD: bit 8 no descriptor, below it 0 or an error. */
static int begin_transfer(uint32_t direction, uint32_t phase, int fd)
{
	struct vu_message m = message(VU_SET_DEVICE_STATE_FD, VU_VERSION, 8);

	m.transfer = (struct vu_transfer){ direction, phase };
	return outcome(&m, &fd, 1);
}

static void state_of_the_device(void **state)
{
	struct vu_message check = message(VU_CHECK_DEVICE_STATE, VU_VERSION, 0), answer;
	uint64_t saved[4];
	int pair[2], file = memory_file(4096);

	(void)state;
	negotiate_with(FEATURES, PROTOCOL | BIT_ULL(VU_P_DEVICE_STATE));
	assert_int_equal(1, outcome(&check, NULL, 0)); /* there was none */
	assert_int_equal(0, pipe2(pair, O_CLOEXEC));
	assert_int_equal(0x101, begin_transfer(2, 0, pair[1]));
	assert_int_equal(0x101, begin_transfer(0, 1, pair[1]));
	assert_int_equal(0x101, begin_transfer(0, 0, file));
	assert_int_equal(0x100, begin_transfer(TRANSFER_SAVE, 0, pair[1]));
	fd_close(&pair[1]);
	assert_int_equal(0, outcome(&check, NULL, 0));
	assert_int_equal(sizeof(saved), read(pair[0], saved, sizeof(saved)));
	assert_int_equal(0, read(pair[0], saved, 1));
	fd_close(&pair[0]);
	for (int good = 0; good < 2; good++) {
		saved[1] = good ? FEATURES : 0;
		saved[2] = 1300;
		assert_int_equal(0, pipe2(pair, O_CLOEXEC));
		assert_int_equal(0x100, begin_transfer(TRANSFER_LOAD, 0, pair[0]));
		assert_int_equal(0x101,
				 begin_transfer(TRANSFER_LOAD, 0, pair[0])); /* one at a time */
		fd_close(&pair[0]);
		say_fds(&check, NULL, 0); /* is answered when the state is there */
		assert_int_equal(0, hear(&answer));
		assert_int_equal(sizeof(saved), write(pair[1], saved, sizeof(saved)));
		served_turn();
		assert_int_equal(0, hear(&answer));
		fd_close(&pair[1]);
		served_turn();
		assert_int_equal(1, hear(&answer));
		assert_int_equal(!good, answer.u64);
		assert_int_equal(good ? 1300 : 1500, served.setup.mtu);
	}
	fd_close(&file);
}

/* Replaced again and again, nothing is left (CVE-2019-14818, CVE-2020-10726). */
static void nothing_piles_up(void **state)
{
	static const uint32_t requests[] = { VU_SET_VRING_CALL, VU_SET_VRING_ERR,
					     VU_SET_VRING_KICK };
	struct vu_message log = LOG(4096, 0), log_fd = { .head = { VU_SET_LOG_FD, OK, 0 } };
	int fd = eventfd(0, EFD_CLOEXEC), fds = 0;

	(void)state;
	for (int running = 0; running < 2; running++) {
		if (running)
			bring_up();
		else
			negotiate();
		for (int i = 0; i < 30; i++) {
			for (size_t r = 0; r < ARRAY_SIZE(requests); r++)
				assert_int_equal(0, tell_fd(requests[r], 1, fd));
			assert_int_equal(0, tell_state(VU_SET_VRING_NUM, 3, 64));
			assert_int_equal(0, tell_table());
			assert_int_equal(0, outcome(&log, &served.files[0], 1));
			assert_int_equal(0, outcome(&log_fd, &fd, 1));
			if (i == 1)
				fds = open_fds();
		}
		assert_int_equal(fds, open_fds());
	}
	fd_close(&fd);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, served_open, served_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_of_the_catalogue),
		TEST(what_is_offered),
		TEST(offloads_reach_the_tap),
		TEST(offloads_change_so_often_and_no_more),
		TEST(call_is_the_connection),
		TEST(configuration_space),
		TEST(seals_where_they_are_required),
		TEST(status_of_the_device),
		TEST(in_band),
		TEST(in_band_needs_its_company),
		TEST(state_of_the_device),
		TEST(nothing_piles_up),
	};

	return cmocka_run_group_tests_name("requests", tests, NULL, NULL);
}
