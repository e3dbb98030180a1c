/*
 * Descriptors that lie. One row a kind, one column a place where the protocol takes a descriptor,
 * one letter the end of it; then wrong numbers of them, and some where there is no place for any.
 * What was taken is used in earnest, and a fresh connection passes frames after each.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/util.h"
#include "lib/vhost_user_table.h"
#include "tests/support/rig.h"

#define RX    0
#define TX    1
#define MIB   0x100000u
#define GPA   UINT64_C(0x4000000000)
#define UVA   UINT64_C(0x7d0000000000)
#define EXTRA (BIT(VU_P_LOG_SHMFD) | BIT(VU_P_BACKEND_REQ) | BIT(VU_P_DEVICE_STATE))

static struct rig rig;
static struct guest guest;

/* ---- kinds ---- */

static int other = -1; /* the end that stays here */

static int directory(void)
{
	return open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int pipe_end(int which)
{
	int ends[2];

	assert_ok(pipe2(ends, O_CLOEXEC));
	other = ends[!which];
	return ends[which];
}

static int pipe_read(void)
{
	return pipe_end(0);
}

static int pipe_write(void)
{
	return pipe_end(1);
}

static int device_null(void)
{
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static int tap(void)
{
	char name[16] = "liar%d";

	return host_tap(name, 0);
}

static int file(void)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	assert_ok(ftruncate(fd, MIB));
	return fd;
}

static int file_path(void)
{
	char path[64];

	other = file();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", other);
	return open(path, O_PATH | O_CLOEXEC);
}

static int socket_end(int type)
{
	int ends[2];

	assert_ok(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends));
	other = ends[1];
	return ends[0];
}

static int socket_stream(void)
{
	return socket_end(SOCK_STREAM);
}

static int socket_datagram(void)
{
	return socket_end(SOCK_DGRAM);
}

static int socket_listening(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_ok(bind(fd, &(struct sockaddr){ .sa_family = AF_UNIX }, sizeof(sa_family_t)));
	assert_ok(listen(fd, 1)); /* the kernel has found a name */
	return fd;
}

static int connection(void)
{
	return dup(guest.peer.sock);
}

static int event_poll(void)
{
	struct epoll_event readable = { .events = EPOLLIN };
	int fd = epoll_create1(EPOLL_CLOEXEC);

	other = eventfd(1, EFD_CLOEXEC);
	assert_ok(epoll_ctl(fd, EPOLL_CTL_ADD, other, &readable));
	return fd; /* and readable for ever */
}

static int timer(void)
{
	const struct itimerspec often = { { 0, 1000000 }, { 0, 1000000 } };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	assert_ok(timerfd_settime(fd, 0, &often, NULL));
	return fd;
}

static int signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	return signalfd(-1, &none, SFD_CLOEXEC);
}

static int notify(void)
{
	return inotify_init1(IN_CLOEXEC);
}

static int event(int flags, uint64_t count)
{
	int fd = eventfd(0, EFD_CLOEXEC | flags);

	assert_int_equal(8, write(fd, &count, 8));
	return fd;
}

static int event_full(void)
{
	return event(EFD_NONBLOCK, UINT64_MAX - 1);
}

static int event_full_blocking(void)
{
	return event(0, UINT64_MAX - 1);
}

static int event_semaphore(void)
{
	return event(EFD_NONBLOCK | EFD_SEMAPHORE, UINT64_MAX - 1);
}

/* ---- places ---- */

enum place {
	KICK,
	CALL,
	ERR,
	MEMORY,
	LOG,
	LOG_EVENT,
	BACK,
	STATE,
	PLACES
};

static const char *const place_names[PLACES] = { "kick", "call",      "err",	 "memory",
						 "log",	 "log event", "channel", "state" };
static const uint32_t requests[PLACES] = { VU_SET_VRING_KICK,	  VU_SET_VRING_CALL,
					   VU_SET_VRING_ERR,	  VU_ADD_MEM_REG,
					   VU_SET_LOG_BASE,	  VU_SET_LOG_FD,
					   VU_SET_BACKEND_REQ_FD, VU_SET_DEVICE_STATE_FD };

/* R refused, and the connection goes on; C closed; T taken; S taken, perhaps in silence. Requests
 * whose answer is something else than yes or no can only be refused by closing. */
struct kind {
	const char *name;
	int (*open)(void);
	char end[PLACES + 1]; /* kick, call, err, memory, log, log event, channel, state */
};

static const struct kind kinds[] = {
	{ "directory", directory, "RRRRCRRR" },
	{ "read end of a pipe", pipe_read, "RRRRCRRT" }, /* the transfer then fails */
	{ "write end of a pipe", pipe_write, "RRRRCRRT" },
	{ "/dev/null", device_null, "RRRRCRRR" },
	{ "TAP", tap, "RRRRCRRR" },
	{ "file", file, "RRRTTRRR" },
	{ "file opened as a path", file_path, "RRRRCRRR" },
	{ "stream socket", socket_stream, "RTRRCRTR" }, /* user-mode-linux has them for CALL */
	{ "datagram socket", socket_datagram, "RTRRCRTR" },
	{ "listening socket", socket_listening, "RRRRCRTR" },
	{ "the connection", connection, "RRRRCRSR" },
	{ "epoll", event_poll, "TTTRCTRR" },
	{ "timer", timer, "TTTRCTRR" },
	{ "signalfd", signals, "TTTRCTRR" },
	{ "inotify", notify, "TTTRCTRR" },
	{ "saturated eventfd", event_full, "TTTRCTRR" },
	{ "saturated blocking eventfd", event_full_blocking, "TTTRCTRR" },
	{ "saturated semaphore", event_semaphore, "TTTRCTRR" },
};

/* What each place has beside its descriptor. Its length. */
static uint32_t payload(enum place place, struct vu_message *m)
{
	const struct vu_mem_single slot = { .region = { GPA, MIB, UVA, 0 } };

	memset(m, 0, sizeof(*m));
	if (place <= ERR)
		m->u64 = TX;
	else if (place == MEMORY)
		m->single = slot;
	else if (place == LOG)
		m->log = (struct vu_log){ .size = 65536 };
	return vu_row(requests[place])->min_len;
}

/* 0 taken, PEER_REFUSED, or -ECONNRESET. */
static int give(enum place place, const int *fds, size_t n)
{
	struct vu_message m, answer;
	uint32_t len = payload(place, &m), flags = VU_VERSION | VU_FLAG_NEED_REPLY;
	int rc = peer_send(&guest.peer, requests[place], flags, m.bytes, len, fds, n);

	guest.peer.timeout_ms = 3000; /* some are answered by silence */
	if (!rc)
		rc = peer_recv(&guest.peer, &answer);
	if (rc)
		return rc;
	assert_int_equal(requests[place], answer.head.request);
	assert_int_equal(8, answer.head.size);
	return answer.u64 & 0xff ? PEER_REFUSED : 0; /* of a transfer, bit 8 is no error */
}

/* ---- what was taken must do no harm ---- */

static void break_transmit_ring(void)
{
	struct guest_ring *r = &guest.queue[TX].ring;
	struct guest_piece p = { .gpa = 0, .len = 100 };

	assert_ok(guest_ring_post(r, &p, 1, false, 0));
	guest_ring_kick(r);
	assert_true(program_says(&rig.broker, "guest: ring 1 broken", RIG_WAIT_MS));
}

static void use(enum place place)
{
	struct vu_message reply;

	if (place == STATE) {
		fd_close(&other); /* the other end of a pipe hangs up */
		assert_ok(peer_ask(&guest.peer, VU_CHECK_DEVICE_STATE, NULL, 0, &reply));
		return;
	}
	if (place == ERR)
		break_transmit_ring();
	else if (place != KICK)
		rig_transmit(&rig, &guest, 0, 300, 100, 300); /* more than a ring's round */
	rig_receive(&rig, &guest, 0, 300, 100, 300);
	assert_ok(peer_sync(&guest.peer));
}

static void reach(enum place place)
{
	uint32_t base;

	rig_connect(&rig, &guest.peer);
	assert_ok(guest_negotiate(&guest, &(struct guest_options){ .ring_size = 64,
								   .order = GUEST_TESTPMD,
								   .slots = true,
								   .protocol = EXTRA }));
	if (place == STATE)
		return;
	assert_ok(guest_set_up(&guest));
	assert_ok(guest_start_rings(&guest, 0));
	guest_refill(&guest, 0);
	rig_exchange(&rig, &guest, 0);
	if (place == KICK)
		assert_ok(guest_ring_stop(&guest, TX, &base));
}

struct cell {
	const struct kind *kind;
	enum place place;
};

static void cell_ends_as_it_must(void **state)
{
	const struct cell *c = *state;
	const struct vu_header nonsense = { .flags = 0 };
	int fd, rc;
	char end;

	reach(c->place);
	fd = c->kind->open();
	assert_true(fd >= 0);
	rc = give(c->place, &fd, 1);
	close(fd);
	end = rc == 0		   ? 'T'
	      : rc == PEER_REFUSED ? 'R'
	      : rc == -ECONNRESET  ? 'C'
	      : rc == -ETIMEDOUT   ? 'S'
				   : '?';
	/* Who shares its own end shares what it hears: whoever reads first has the answer. */
	if (c->kind->end[c->place] == 'S' && end == 'T')
		end = 'S';
	assert_int_equal(c->kind->end[c->place], end);
	if (end == 'T')
		use(c->place);
	else if (end == 'R')
		assert_ok(peer_sync(&guest.peer));
	/* It may keep the connection for as long as it lives, and can still end it. */
	else if (end == 'S')
		assert_ok(peer_send_raw(&guest.peer, &nonsense, sizeof(nonsense), NULL, 0));
	fd_close(&other);
	guest_close(&guest);
	rig_serves(&rig);
}

/* ---- how many ---- */

static void as_many_as_there_are_places(void **state)
{
	static const size_t counts[] = { 0, 2, 9, 60 };
	int fds[60];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);
	for (enum place place = KICK; place < PLACES; place++) {
		for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
			reach(STATE);
			assert_int_equal(-ECONNRESET, give(place, fds, counts[i]));
			guest_close(&guest);
		}
	}
	rig_serves(&rig);
	fd_close_all(fds, ARRAY_SIZE(fds));
}

/* Every message that the table knows and that has no place for a descriptor. */
static void none_where_there_is_no_place(void **state)
{
	const struct vu_message m = { 0 };
	unsigned seen = 0;
	int fd = eventfd(0, EFD_CLOEXEC);

	(void)state;
	for (uint32_t request = 0; request < VU_REQUESTS; request++) {
		const struct vu_row *row = vu_row(request);

		if (!row || row->max_fds)
			continue;
		reach(STATE);
		assert_ok(peer_send(&guest.peer, request, VU_VERSION | VU_FLAG_NEED_REPLY, m.bytes,
				    row->min_len, &fd, 1));
		assert_true(peer_closed(&guest.peer, RIG_WAIT_MS));
		guest_close(&guest);
		seen++;
	}
	assert_in_range(seen, 15, VU_REQUESTS);
	rig_serves(&rig);
	close(fd);
}

/* ---- */

static int ensure_rig(void **state)
{
	(void)state;
	guest_blank(&guest);
	rig_ensure(&rig, (const char *[]){ NULL });
	return 0;
}

static int tidy(void **state)
{
	(void)state;
	fd_close(&other);
	guest_close(&guest);
	return 0;
}

static void broker_ends_in_order(void **state)
{
	(void)state;
	rig_stop(&rig);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, ensure_rig, tidy)

int main(void)
{
	const struct CMUnitTest others[] = {
		TEST(as_many_as_there_are_places),
		TEST(none_where_there_is_no_place),
		TEST(broker_ends_in_order),
	};
	static struct cell cells[ARRAY_SIZE(kinds) * PLACES];
	static char names[ARRAY_SIZE(cells)][64];
	struct CMUnitTest tests[ARRAY_SIZE(cells) + ARRAY_SIZE(others)];
	size_t n = 0;
	int rc;

	for (; n < ARRAY_SIZE(cells); n++) {
		cells[n] = (struct cell){ &kinds[n / PLACES], (enum place)(n % PLACES) };
		snprintf(names[n], sizeof(names[n]), "%s is %s", place_names[n % PLACES],
			 kinds[n / PLACES].name);
		tests[n] = (struct CMUnitTest){ names[n], cell_ends_as_it_must, ensure_rig, tidy,
						&cells[n] };
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		tests[n++] = others[i];
	rc = rig_run("descriptors", tests, n);
	rig_abandon(&rig);
	return rc;
}
