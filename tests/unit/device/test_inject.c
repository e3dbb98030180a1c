/*
 * What if the kernel says no? One scripted connection (memory, log, rings with traffic, back
 * channel, migration of the device's state), on split and on packed rings, again and again: each
 * time the next call of one function fails. Every failure has the answer that its row names,
 * nothing is left behind, and the next connection is served.
 */
#include "tests/unit/device/served.h"

#include <fcntl.h>
#include <stdio.h>

#include "tests/unit/device/inject.h"

/* The packet path once more, with calls that the linker sees. */
#define TAP_BY_LIBRARY
#include "device/coalesce.c"
#include "device/net_rx.c"
#include "device/net_tx.c"

#define LOG_BYTES 4096
#define SMALL	  100  /* bytes of a frame that is copied, */
#define LARGE	  4000 /* and of one that is not */
#define PACKED	  BIT_ULL(VIRTIO_F_RING_PACKED)
#define LOG_ALL	  BIT_ULL(VU_F_LOG_ALL)
#define MIGRATION \
	(PROTOCOL | BIT_ULL(VU_P_BACKEND_REQ) | BIT_ULL(VU_P_STATUS) | BIT_ULL(VU_P_DEVICE_STATE))
#define SENT	(BUFFERS)
#define RECEIVE (BUFFERS + 16384)

/* What a connection came to. */
enum end {
	WHOLE = 1, /* every step was done */
	REFUSED = 2,
	ENDED = 4, /* the connection */
	BROKEN = 8,
	LOST = 16 /* a frame, or a word of the device's state */
};

static struct script {
	uint64_t features;
	uint32_t frame;
	enum end end;
	int log, event; /* the log; an eventfd for kicks */
	int step;
} script;

/* Every step but the first failure's is done all the same: a front-end that is told no goes on. */
static bool come_to(int rc)
{
	script.step++;
	if (rc == CLOSED)
		script.end |= ENDED;
	else if (rc > 0)
		script.end |= REFUSED;
	return script.end & ENDED;
}

static int tell_log(void)
{
	struct vu_message m = message(VU_SET_LOG_BASE, OK, sizeof(m.log)), answer;

	m.log = (struct vu_log){ LOG_BYTES, 0 };
	say_fds(&m, &script.log, 1);
	if (served.over || hear(&answer) != 1)
		return served.over ? CLOSED : NOTHING;
	return answer.u64 != 0;
}

static int tell_slot(uint32_t request, int fd)
{
	struct vu_message m = message(request, OK, sizeof(m.single));

	m.single.region = (struct vu_mem_region){ GPA_C, REGION, UVA(GPA_C), 0 };
	return outcome(&m, &fd, fd >= 0);
}

static int tell_ring(uint32_t ring)
{
	char *area = served.guest[0] + (RING_AT(ring) - GPA_A);
	int rc;

	stage.driver[ring] = (struct driver){ 64, (void *)area, (void *)(area + AVAIL_OFF),
					      (void *)(area + USED_OFF), 0 };
	rc = tell_state(VU_SET_VRING_NUM, ring, 64);
	if (!rc)
		rc = tell_state(VU_SET_VRING_BASE, ring, 0);
	if (!rc)
		rc = tell_addr_flags(ring, ring_uva(ring), VU_VRING_F_LOG, RING_AT(ring));
	if (!rc)
		rc = tell_event(VU_SET_VRING_CALL, ring);
	if (!rc)
		rc = tell_event(VU_SET_VRING_ERR, ring);
	if (!rc)
		rc = tell_state(VU_SET_VRING_ENABLE, ring, 1);
	return rc;
}

/* One buffer, the first of its ring. */
static void post_first(uint32_t ring, uint64_t gpa, uint32_t len)
{
	struct virtq_packed_desc *d = (void *)stage.driver[ring].desc;

	if (!(script.features & PACKED)) {
		post(ring, 0, gpa, len);
		return;
	}
	d->addr = gpa;
	d->len = len;
	d->id = 0;
	/* Release: pairs with the acquire in the device's pop. */
	__atomic_store_n(&d->flags, DESC_F_AVAIL | (ring == PAIR_RX ? DESC_F_WRITE : 0),
			 __ATOMIC_RELEASE);
}

static bool used_first(uint32_t ring)
{
	const struct virtq_packed_desc *d = (void *)stage.driver[ring].desc;
	const struct virtq_used *used = stage.driver[ring].used;

	for (int i = 0; i < 200; i++, usleep(500)) {
		/* Acquire: pairs with the release in the device's publish. */
		if (script.features & PACKED
			    ? __atomic_load_n(&d->flags, __ATOMIC_ACQUIRE) & DESC_F_USED
			    : __atomic_load_n(&used->idx, __ATOMIC_ACQUIRE))
			return true;
		served_turn(); /* a ring that breaks says so here */
		if (served.lifecycle.vrings[ring].state != RING_RUNNING)
			return false;
	}
	return false;
}

static uint8_t frame[NET_HDR_LEN + LARGE];

/* A frame each way. */
static void frames(void)
{
	struct pollfd out = { .fd = served.wires[0], .events = POLLIN };
	uint32_t len = NET_HDR_LEN + script.frame;

	frame_fill(frame + NET_HDR_LEN, script.frame, 1);
	memcpy(served.guest[0] + (SENT - GPA_A), frame, len);
	post_first(PAIR_TX, SENT, len);
	post_first(PAIR_RX, RECEIVE, 8192);
	assert_int_equal(len, send(served.wires[0], frame, len, 0));
	for (uint32_t ring = 0; ring < 2; ring++)
		if (tell_fd(VU_SET_VRING_KICK, ring, script.event) == CLOSED)
			script.end |= ENDED;
	fd_signal(script.event);
	if (!used_first(PAIR_TX) || !used_first(PAIR_RX) || poll(&out, 1, 100) != 1 ||
	    memcmp(served.guest[0] + (RECEIVE - GPA_A) + NET_HDR_LEN, frame + NET_HDR_LEN,
		   script.frame))
		script.end |= LOST;
}

/* The device's state out of one pipe and back through another. */
static int transfer(uint32_t direction, int fds[2])
{
	struct vu_message m = message(VU_SET_DEVICE_STATE_FD, VU_VERSION, 8), answer;

	m.transfer.direction = direction;
	say_fds(&m, &fds[direction == TRANSFER_SAVE], 1);
	fd_close(&fds[direction == TRANSFER_SAVE]);
	if (served.over || hear(&answer) != 1)
		return CLOSED;
	if (answer.u64 != 0x100)
		return 1;
	m = message(VU_CHECK_DEVICE_STATE, VU_VERSION, 0);
	if (direction == TRANSFER_LOAD)
		fd_close(&fds[1]); /* the end of what is loaded */
	say_fds(&m, NULL, 0);
	if (served.over || hear(&answer) != 1)
		return CLOSED;
	return answer.u64 != 0;
}

static int migrate(void)
{
	uint64_t words[512];
	int fds[2], rc;
	ssize_t n;

	assert_int_equal(0, pipe2(fds, O_CLOEXEC | O_NONBLOCK));
	rc = transfer(TRANSFER_SAVE, fds);
	n = rc ? 0 : read(fds[0], words, sizeof(words));
	fd_close_all(fds, 2);
	if (rc)
		return rc;
	assert_int_equal(0, pipe2(fds, O_CLOEXEC | O_NONBLOCK));
	assert_int_equal(n, write(fds[1], words, (size_t)n));
	rc = transfer(TRANSFER_LOAD, fds);
	fd_close_all(fds, 2);
	return rc;
}

static int tell_back_channel(void)
{
	struct vu_message m = message(VU_SET_BACKEND_REQ_FD, OK, 0);
	int pair[2], rc;

	assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	rc = outcome(&m, &pair[1], 1);
	fd_close_all(pair, 2);
	return rc;
}

static int stop_both(void)
{
	return stop(PAIR_RX) < 0 || stop(PAIR_TX) < 0 ? CLOSED : 0;
}

/* The whole connection, or until it ends. */
static void play(void)
{
	const struct vu_message reset = message(VU_RESET_DEVICE, OK, 0);

	if (come_to(tell_u64(VU_SET_PROTOCOL_FEATURES, MIGRATION)) ||
	    come_to(tell_u64(VU_SET_FEATURES, script.features)) || come_to(tell_table()) ||
	    come_to(tell_log()) || come_to(tell_event(VU_SET_LOG_FD, 0)) ||
	    come_to(tell_u64(VU_SET_FEATURES, script.features | LOG_ALL)) ||
	    come_to(tell_slot(VU_ADD_MEM_REG, served.files[1])) ||
	    come_to(tell_slot(VU_REM_MEM_REG, -1)) || come_to(tell_back_channel()) ||
	    come_to(tell_ring(PAIR_RX)) || come_to(tell_ring(PAIR_TX)))
		return;
	frames();
	for (uint32_t ring = 0; ring < 2; ring++)
		if (served.lifecycle.vrings[ring].state == RING_BROKEN)
			script.end |= BROKEN;
	if (come_to(stop_both()) || come_to(migrate()) || come_to(outcome(&reset, NULL, 0)))
		return;
}

static int mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	int n = 0;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		n += strstr(line, "/memfd:") != NULL;
	fclose(maps);
	return n;
}

static void begin(uint64_t format, uint32_t length)
{
	served_open(NULL);
	served.session.require_sealed = true;
	for (int i = 0; i < 2; i++)
		assert_int_equal(0, fcntl(served.files[i], F_ADD_SEALS, F_SEAL_SHRINK));
	/* Which way a frame is read depends on those before it. */
	served.workers[0].pair.rx.small_run = length == SMALL ? 100 : 0;
	script = (struct script){ .features = FEATURES | format,
				  .frame = length,
				  .log = memory_file(LOG_BYTES),
				  .event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
}

static enum end end(void)
{
	fd_close(&script.log);
	fd_close(&script.event);
	served_close(NULL); /* asks for every descriptor */
	return script.end ? script.end : WHOLE;
}

static const struct row {
	const char *call;
	int error;
	unsigned int may; /* ends that are right */
	uint32_t frame;	  /* bytes of the frames of this row */
	int left;	  /* mappings that a failure of this call cannot but leave */
} rows[] = {
	/* SET_LOG_BASE has no answer that says no */
	{ "mmap", ENOMEM, REFUSED | LOST | ENDED, LARGE, 0 },
	{ "munmap", ENOMEM, WHOLE, LARGE, 1 },
	/* whole: it was the back channel's, which alone ends */
	{ "recvmsg", ENOMEM, ENDED | LOST | WHOLE, LARGE, 0 },
	/* an answer that cannot be given, or news for the broker */
	{ "send", ENOBUFS, ENDED | LOST | WHOLE, LARGE, 0 },
	{ "fcntl", EINVAL, REFUSED | LOST, LARGE, 0 },
	{ "fstat", EIO, REFUSED | LOST | ENDED, LARGE, 0 },
	{ "tap_read", EIO, WHOLE | LOST, SMALL, 0 },
	{ "tap_write", EIO, LOST, SMALL, 0 },
	{ "tap_readv", EIO, WHOLE | LOST, LARGE, 0 },
	{ "tap_writev", EIO, LOST, LARGE, 0 },
	/* of a kick, a command's wake-up, or a word of state */
	{ "read", EIO, WHOLE | BROKEN | LOST | REFUSED, LARGE, 0 },
	/* never called: a device sends no descriptors, and allocates nothing for a connection */
	{ "sendmsg", ENOBUFS, 0, LARGE, 0 },
	{ "malloc", ENOMEM, 0, LARGE, 0 },
	{ "calloc", ENOMEM, 0, LARGE, 0 },
	{ "eventfd", EMFILE, 0, LARGE, 0 },
	{ "pthread_create", EAGAIN, 0, LARGE, 0 },
};

static const char *const names[] = { "split", "packed" };

static void all_calls_fail(const struct row *row, int format)
{
	int count[32] = { 0 };
	long n = 1;

	for (;; n++) {
		int before = mappings();
		enum end came;
		bool failed;

		begin(format ? PACKED : 0, row->frame);
		inject_arm(row->call, row->error, n);
		play();
		failed = inject_disarm();
		came = end();
		assert_int_equal(before + (failed ? row->left : 0), mappings());
		if (!failed) {
			assert_int_equal(WHOLE, came);
			break;
		}
		if (came & ~row->may)
			print_error("%s %ld, %s: came to %x at step %d\n", row->call, n,
				    names[format], came, script.step);
		assert_false(came & ~row->may);
		count[came]++;
		begin(format ? PACKED : 0, row->frame);
		play();
		assert_int_equal(WHOLE, end());
	}
	assert_int_equal(!row->may, n == 1);
	print_message("# %-14s %-6s %3ld calls:", row->call, names[format], n - 1);
	for (size_t i = 1; i < ARRAY_SIZE(count); i++)
		if (count[i])
			print_message(" %d%s%s%s%s%s", count[i], i & WHOLE ? " whole" : "",
				      i & REFUSED ? " refused" : "", i & ENDED ? " closed" : "",
				      i & BROKEN ? " broken" : "", i & LOST ? " lost" : "");
	print_message("\n");
}

static void every_call_of_a_connection(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (int format = 0; format < 2; format++)
			all_calls_fail(&rows[i], format);
}

/* A worker that cannot be is an error, before anything is served. */
static void every_call_of_a_start(void **state)
{
	static const struct {
		const char *call;
		int error;
	} starts[] = { { "eventfd", EMFILE }, { "pthread_create", EAGAIN } };
	struct worker w;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(starts); i++) {
		int before = open_fds(), maps = mappings();

		memset(&w, 0, sizeof(w));
		inject_scope(true);
		inject_arm(starts[i].call, starts[i].error, 1);
		assert_int_equal(-starts[i].error, worker_start(&w, 0, served.answers));
		inject_scope(false);
		assert_true(inject_disarm());
		assert_int_equal(before, open_fds());
		assert_int_equal(maps, mappings());
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_call_of_a_connection),
		cmocka_unit_test(every_call_of_a_start),
	};

	signal(SIGPIPE, SIG_IGN);
	served.scope = inject_scope;
	inject_scope(false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
