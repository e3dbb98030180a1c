/*
 * Every message in every state of a ring, against a table of what comes of it: the answer, and the
 * state afterwards. The ring beside it runs throughout, and must go on.
 */
#include "tests/unit/device/served.h"

#include <fcntl.h>

#define PROTOCOL_ALL \
	(PROTOCOL | BIT_ULL(VU_P_BACKEND_REQ) | BIT_ULL(VU_P_INBAND) | BIT_ULL(VU_P_DEVICE_STATE))
#define RING   1 /* whose cells are tried; ring 2, of the other pair, runs beside it */
#define BESIDE 2

enum at {
	STOPPED, /* everything is known but the kick */
	WAITING, /* kicked; its addresses are missing */
	RUNNING,
	BROKEN,
	STATES
};
static const enum ring_state states[STATES] = { RING_STOPPED, RING_WAITING, RING_RUNNING,
						RING_BROKEN };

#define U64(request, value)                                \
	{                                                  \
		.head = { request, OK, 8 }, .u64 = (value) \
	}
#define STATE(request, num_)                                          \
	{                                                             \
		.head = { request, OK, 8 }, .state = { RING, (num_) } \
	}
#define EMPTY(request)                     \
	{                                  \
		.head = { request, OK, 0 } \
	}
#define SIZED(request, n)                  \
	{                                  \
		.head = { request, OK, n } \
	}
#define ALL(x)             \
	{                  \
		x, x, x, x \
	}
#define SAME                                                          \
	{                                                             \
		RING_STOPPED, RING_WAITING, RING_RUNNING, RING_BROKEN \
	}
#define ENDS ALL(RING_STOPPED)
#define GOES                                                                      \
	{                                                                         \
		RING_RUNNING, RING_WAITING, RING_RUNNING, RING_BROKEN /* again */ \
	}
#define ADDR_AT UVA(RING_AT(RING))

/* clang-format off */
static const struct row {
	const char *name;
	struct vu_message m;
	char fd; /* e eventfd, m memory, s socket, p pipe */
	int outcome[STATES];
	enum ring_state next[STATES];
	bool ends_all; /* the ring beside it stops too */
} rows[] = {
	/*                                                         stopped waiting running broken */
	{ "NUM", STATE(VU_SET_VRING_NUM, 64), 0,                   { 0, 0, 1, 0 }, SAME, 0 },
	{ "BASE", STATE(VU_SET_VRING_BASE, 0), 0,                  { 0, 0, 1, 0 }, SAME, 0 },
	{ "ADDR", { .head = { VU_SET_VRING_ADDR, OK, 40 }, .addr = { RING, 0, ADDR_AT, ADDR_AT + USED_OFF, ADDR_AT + AVAIL_OFF, 0 } }, 0,
	                                                           { 0, 0, 0, 0 }, { RING_STOPPED, RING_RUNNING, RING_RUNNING, RING_BROKEN }, 0 },
	{ "ADDR elsewhere", { .head = { VU_SET_VRING_ADDR, OK, 40 }, .addr = { RING, 0, ADDR_AT + 64, ADDR_AT + USED_OFF, ADDR_AT + AVAIL_OFF, 0 } }, 0,
	                                                           { 0, 0, 1, 0 }, { RING_STOPPED, RING_RUNNING, RING_RUNNING, RING_BROKEN }, 0 },
	{ "KICK", U64(VU_SET_VRING_KICK, RING), 'e',               ALL(0), GOES, 0 },
	{ "KICK, polling", U64(VU_SET_VRING_KICK, RING | VU_VRING_NOFD), 0, ALL(0), GOES, 0 },
	{ "VRING_KICK", STATE(VU_VRING_KICK, 0), 0,                ALL(0), GOES, 0 },
	{ "CALL", U64(VU_SET_VRING_CALL, RING), 'e',               ALL(0), SAME, 0 },
	{ "CALL, none", U64(VU_SET_VRING_CALL, RING | VU_VRING_NOFD), 0, ALL(0), SAME, 0 },
	{ "ERR", U64(VU_SET_VRING_ERR, RING), 'e',                 ALL(0), SAME, 0 },
	{ "ENABLE 1", STATE(VU_SET_VRING_ENABLE, 1), 0,            ALL(0), SAME, 0 },
	{ "ENABLE 0", STATE(VU_SET_VRING_ENABLE, 0), 0,            ALL(0), SAME, 0 },
	{ "ENABLE 2", STATE(VU_SET_VRING_ENABLE, 2), 0,            ALL(1), SAME, 0 },
	{ "STOP", STATE(VU_GET_VRING_BASE, 0), 0,                  { RING, RING, RING, RING }, ENDS, 0 },
	{ "GET_FEATURES", EMPTY(VU_GET_FEATURES), 0,               ALL(NOTHING), SAME, 0 },
	{ "SET_FEATURES, the same", U64(VU_SET_FEATURES, FEATURES), 0, ALL(0), SAME, 0 },
	{ "SET_FEATURES, to log", U64(VU_SET_FEATURES, FEATURES | BIT_ULL(VU_F_LOG_ALL)), 0, ALL(0), SAME, 0 },
	{ "SET_FEATURES, others", U64(VU_SET_FEATURES, FEATURES | BIT_ULL(VIRTIO_F_EVENT_IDX)), 0, ALL(CLOSED), SAME, 0 },
	{ "SET_OWNER", EMPTY(VU_SET_OWNER), 0,                     ALL(0), SAME, 0 },
	{ "RESET_OWNER", EMPTY(VU_RESET_OWNER), 0,                 ALL(0), ENDS, 1 },
	{ "SET_MEM_TABLE", { .head = { VU_SET_MEM_TABLE, OK, 0 } }, 0, ALL(CLOSED), SAME, 0 },
	{ "SET_LOG_BASE", { .head = { VU_SET_LOG_BASE, OK, 16 }, .log = { 4096, 0 } }, 'm', ALL(0), SAME, 0 },
	{ "SET_LOG_FD", EMPTY(VU_SET_LOG_FD), 'e',                 ALL(0), SAME, 0 },
	{ "GET_PROTOCOL_FEATURES", EMPTY(VU_GET_PROTOCOL_FEATURES), 0, ALL(NOTHING), SAME, 0 },
	{ "SET_PROTOCOL_FEATURES, the same", U64(VU_SET_PROTOCOL_FEATURES, PROTOCOL_ALL), 0, ALL(0), SAME, 0 },
	{ "SET_PROTOCOL_FEATURES, others", U64(VU_SET_PROTOCOL_FEATURES, PROTOCOL), 0, ALL(CLOSED), SAME, 0 },
	{ "GET_QUEUE_NUM", EMPTY(VU_GET_QUEUE_NUM), 0,             ALL(NOTHING), SAME, 0 },
	{ "SEND_RARP", U64(VU_SEND_RARP, 0x020000000002), 0,       ALL(0), SAME, 0 },
	{ "NET_SET_MTU", U64(VU_NET_SET_MTU, 1400), 0,             ALL(0), SAME, 0 },
	{ "SET_BACKEND_REQ_FD", EMPTY(VU_SET_BACKEND_REQ_FD), 's', ALL(0), SAME, 0 },
	{ "IOTLB_MSG", SIZED(VU_IOTLB_MSG, 32), 0,                 ALL(1), SAME, 0 },
	{ "SET_VRING_ENDIAN", STATE(VU_SET_VRING_ENDIAN, 0), 0,    ALL(1), SAME, 0 },
	{ "SET_CONFIG", { .head = { VU_SET_CONFIG, OK, 18 }, .config = { 0, 6, 0, { 0 } } }, 0, ALL(0), SAME, 0 },
	{ "CREATE_CRYPTO_SESSION", SIZED(VU_CREATE_CRYPTO_SESSION, 64), 0, ALL(1), SAME, 0 },
	{ "CLOSE_CRYPTO_SESSION", U64(VU_CLOSE_CRYPTO_SESSION, 0), 0, ALL(1), SAME, 0 },
	{ "POSTCOPY_ADVISE", EMPTY(VU_POSTCOPY_ADVISE), 0,         ALL(1), SAME, 0 },
	{ "POSTCOPY_LISTEN", EMPTY(VU_POSTCOPY_LISTEN), 0,         ALL(1), SAME, 0 },
	{ "POSTCOPY_END", EMPTY(VU_POSTCOPY_END), 0,               ALL(1), SAME, 0 },
	{ "GET_INFLIGHT_FD", SIZED(VU_GET_INFLIGHT_FD, 24), 0,     ALL(1), SAME, 0 },
	{ "SET_INFLIGHT_FD", SIZED(VU_SET_INFLIGHT_FD, 24), 'm',   ALL(1), SAME, 0 },
	{ "GPU_SET_SOCKET", EMPTY(VU_GPU_SET_SOCKET), 's',         ALL(1), SAME, 0 },
	{ "RESET_DEVICE", EMPTY(VU_RESET_DEVICE), 0,               ALL(0), ENDS, 1 },
	{ "GET_MAX_MEM_SLOTS", EMPTY(VU_GET_MAX_MEM_SLOTS), 0,     ALL(NOTHING), SAME, 0 },
	{ "ADD_MEM_REG", { .head = { VU_ADD_MEM_REG, OK, 40 }, .single = { 0, { GPA_C, 4096, UVA(GPA_C), 0 } } }, 'm', ALL(0), SAME, 0 },
	{ "REM_MEM_REG of none", { .head = { VU_REM_MEM_REG, OK, 40 }, .single = { 0, { GPA_C, 4096, UVA(GPA_C), 0 } } }, 0, ALL(1), SAME, 0 },
	{ "REM_MEM_REG of its memory", { .head = { VU_REM_MEM_REG, OK, 40 }, .single = { 0, { GPA_A, REGION, UVA(GPA_A), 0 } } }, 0,
	                                                           ALL(0), { RING_STOPPED, RING_WAITING, RING_BROKEN, RING_BROKEN }, 0 },
	{ "SET_STATUS", U64(VU_SET_STATUS, 15), 0,                 ALL(0), SAME, 0 },
	{ "SET_STATUS 0", U64(VU_SET_STATUS, 0), 0,                ALL(0), ENDS, 1 },
	{ "GET_STATUS", EMPTY(VU_GET_STATUS), 0,                   ALL(NOTHING), SAME, 0 },
	{ "GET_SHARED_OBJECT", SIZED(VU_GET_SHARED_OBJECT, 16), 0, ALL(1), SAME, 0 },
	{ "SET_DEVICE_STATE_FD", U64(VU_SET_DEVICE_STATE_FD, 0), 'p', ALL(0x101), SAME, 0 }, /* the other ring runs */
	{ "CHECK_DEVICE_STATE", EMPTY(VU_CHECK_DEVICE_STATE), 0,   ALL(1), SAME, 0 },
	{ "GET_SHMEM_CONFIG", EMPTY(VU_GET_SHMEM_CONFIG), 0,       ALL(1), SAME, 0 },
	{ "request 45", EMPTY(45), 0,                              ALL(1), SAME, 0 },
};
/* clang-format on */

static enum ring_state state_of(uint32_t ring)
{
	return served.lifecycle.vrings[ring].state;
}

static void wait_for(uint32_t ring, enum ring_state state)
{
	for (int i = 0; i < 2000 && state_of(ring) != state; i++) {
		usleep(1000);
		served_turn();
	}
	assert_int_equal(state, state_of(ring));
}

static void reach(enum at at)
{
	negotiate_with(FEATURES, PROTOCOL_ALL);
	assert_int_equal(0, tell_table());
	configure(BESIDE, 0);
	start_ring(BESIDE);
	if (at == WAITING) {
		assert_int_equal(0, tell_state(VU_SET_VRING_NUM, RING, 64));
		assert_int_equal(0, tell_event(VU_SET_VRING_KICK, RING));
	} else {
		configure(RING, 0);
	}
	if (at >= RUNNING)
		start_ring(RING);
	if (at == BROKEN) {
		avail_push(PAIR_TX, 64); /* no such descriptor */
		fd_signal(served.lifecycle.vrings[RING].kick);
	}
	wait_for(RING, states[at]);
}

static int descriptor(char kind, int *other)
{
	int pair[2] = { -1, -1 };

	*other = -1;
	if (kind == 'e')
		return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (kind == 'm')
		return memory_file(REGION);
	if (kind == 'p')
		assert_int_equal(0, pipe2(pair, O_CLOEXEC));
	if (kind == 's')
		assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	*other = pair[0];
	return pair[1];
}

static void cell(const struct row *row, enum at at)
{
	int other, fd, rc;

	print_message("# %s in state %d\n", row->name, at);
	served_open(NULL);
	reach(at);
	fd = descriptor(row->fd, &other);
	rc = outcome(&row->m, &fd, fd >= 0);
	fd_close(&fd);
	if (row->outcome[at] != NOTHING) /* the answer's value is another test's */
		assert_int_equal(row->outcome[at], rc);
	if (row->next[at] != RING_BROKEN)
		assert_int_equal(row->next[at], state_of(RING));
	wait_for(RING, row->next[at]);
	if (rc != CLOSED)
		assert_int_equal(row->ends_all ? RING_STOPPED : RING_RUNNING, state_of(BESIDE));
	assert_int_equal(rc == CLOSED, served.over != 0);
	fd_close(&other);
	served_close(NULL);
}

static void every_cell(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (enum at at = STOPPED; at < STATES; at++)
			cell(&rows[i], at);
}

/* Every request that the wire has is in the table above, but those whose payload is others' tests.
 */
static void no_request_is_missing(void **state)
{
	uint64_t seen = BIT_ULL(VU_GET_CONFIG);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		seen |= BIT_ULL(rows[i].m.head.request);
	assert_int_equal((BIT_ULL(VU_REQUESTS + 1) - 1) & ~1ull, seen);
}

/* Starting and stopping: a worker owes an answer, and every request of a ring's is refused. */
static void cells_that_wait_for_a_worker(void **state)
{
	static const enum ring_state busy[] = { RING_STARTING, RING_STOPPING };
	struct lifecycle *l = &served.lifecycle;

	(void)state;
	negotiate();
	assert_int_equal(0, tell_table());
	configure(RING, 0);
	for (size_t i = 0; i < ARRAY_SIZE(busy); i++) {
		struct vu_vring_addr addr = l->vrings[RING].addr;
		struct vring was;

		l->vrings[RING].state = busy[i];
		was = l->vrings[RING];
		assert_int_equal(-EBUSY, lifecycle_num(l, RING, 64));
		assert_int_equal(-EBUSY, lifecycle_base(l, RING, 0));
		assert_int_equal(-EBUSY, lifecycle_addr(l, RING, &addr));
		assert_int_equal(-EBUSY, lifecycle_enable(l, RING, 0));
		assert_int_equal(-EBUSY, lifecycle_fd(l, RING, RING_KICK, -1));
		assert_int_equal(-EBUSY, lifecycle_fd(l, RING, RING_CALL, -1));
		assert_int_equal(-EBUSY, lifecycle_fd(l, RING, RING_ERR, -1));
		assert_int_equal(-EBUSY, lifecycle_kick(l, RING));
		assert_int_equal(-EBUSY, lifecycle_stop(l, RING));
		assert_memory_equal(&was, &l->vrings[RING], sizeof(was));
		l->vrings[RING].state = RING_STOPPED;
	}
}

/* What a worker says, in every state: an answer where none is owed, and a break that comes too
 * late, change nothing. */
static void cells_of_the_worker(void **state)
{
	static const struct {
		enum ring_state after, after_failure, after_break;
	} columns[RING_STATES] = {
		[RING_STOPPED] = { RING_STOPPED, RING_STOPPED, RING_STOPPED },
		[RING_WAITING] = { RING_WAITING, RING_WAITING, RING_WAITING },
		[RING_STARTING] = { RING_RUNNING, RING_BROKEN, RING_STARTING },
		[RING_RUNNING] = { RING_RUNNING, RING_RUNNING, RING_BROKEN },
		[RING_STOPPING] = { RING_STOPPED, RING_STOPPED, RING_STOPPING },
		[RING_BROKEN] = { RING_BROKEN, RING_BROKEN, RING_BROKEN },
	};
	struct lifecycle *l = &served.lifecycle;
	struct worker *w = &served.workers[RING / 2];

	(void)state;
	for (enum ring_state s = 0; s < RING_STATES; s++) {
		l->vrings[RING].state = s;
		w->command.which = RING % 2;
		l->asked[RING / 2] = true;
		w->command.result = 0;
		assert_int_equal(0, lifecycle_answers(l));
		assert_int_equal(columns[s].after, l->vrings[RING].state);
		l->vrings[RING].state = s;
		l->asked[RING / 2] = true;
		w->command.result = -ESTALE;
		assert_int_equal(s == RING_STARTING ? -ESTALE : 0, lifecycle_answers(l));
		assert_int_equal(columns[s].after_failure, l->vrings[RING].state);
		while (last_event() >= 0)
			;
		l->vrings[RING].state = s;
		atomic_store(&w->broken[RING % 2], -EINVAL);
		assert_int_equal(0, lifecycle_answers(l));
		assert_int_equal(columns[s].after_break, l->vrings[RING].state);
		assert_int_equal(s == RING_RUNNING ? EVENT_RING_BROKEN : -1, last_event());
		assert_int_equal(0, atomic_load(&w->broken[RING % 2]));
		l->vrings[RING].state = RING_STOPPED;
	}
}

/* The front-end hangs up while a worker owes an answer: every ring stops, and nothing is left. The
 * other states end so after each of the cells above. */
static void disconnect_while_a_worker_is_asked(void **state)
{
	static const struct vu_message asks[] = { U64(VU_SET_VRING_KICK, RING | VU_VRING_NOFD),
						  STATE(VU_GET_VRING_BASE, 0) };
	static const enum ring_state during[] = { RING_STARTING, RING_STOPPING };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(asks); i++) {
		served_open(NULL);
		reach(i ? RUNNING : STOPPED);
		say_raw(&asks[i].head, sizeof(asks[i].head) + asks[i].head.size, NULL, 0);
		assert_true(served_round());
		assert_int_equal(during[i], state_of(RING));
		assert_int_equal(-ECONNRESET, session_ready(&served.session, POLLIN | POLLRDHUP));
		served_close(NULL);
		assert_int_equal(RING_STOPPED, state_of(RING));
		assert_int_equal(RING_STOPPED, state_of(BESIDE));
	}
}

/* Kicked again without a base, a broken ring repeats nothing. */
static void broken_ring_goes_on_where_it_broke(void **state)
{
	uint8_t frame[NET_HDR_LEN + 100];

	(void)state;
	negotiate();
	assert_int_equal(0, tell_table());
	configure(RING, 0);
	start_ring(RING);
	memset(served.guest[0] + 0x300000, 0, NET_HDR_LEN);
	for (uint16_t i = 0; i < 3; i++)
		post(PAIR_TX, i, GPA_A + 0x300000, NET_HDR_LEN + 60);
	avail_push(PAIR_TX, 64);
	fd_signal(served.lifecycle.vrings[RING].kick);
	wait_for(RING, RING_BROKEN);
	assert_int_equal(3, served.lifecycle.vrings[RING].base);
	stage.driver[PAIR_TX].avail->ring[3] = 3; /* the driver sees its mistake */
	desc_set(PAIR_TX, 3, GPA_A + 0x300000, NET_HDR_LEN + 60, 0, 0);
	start_ring(RING);
	assert_int_equal(4, stop(RING));
	for (int i = 0; i < 4; i++)
		assert_int_equal(NET_HDR_LEN + 60,
				 recv(served.wires[0], frame, sizeof(frame), MSG_DONTWAIT));
	assert_int_equal(-1, recv(served.wires[0], frame, sizeof(frame), MSG_DONTWAIT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cell),
		cmocka_unit_test(no_request_is_missing),
		cmocka_unit_test_setup_teardown(cells_that_wait_for_a_worker, served_open,
						served_close),
		cmocka_unit_test_setup_teardown(cells_of_the_worker, served_open, served_close),
		cmocka_unit_test(disconnect_while_a_worker_is_asked),
		cmocka_unit_test_setup_teardown(broken_ring_goes_on_where_it_broke, served_open,
						served_close),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("lifecycle_cells", tests, NULL, NULL);
}
