/* pair: VMMs come to transports, devices to what a transport holds out to them. The test is the
 * transports, the VMMs and the monitor. */
#include "broker/pair.h"
#include "tests/unit/broker/births.h"

static struct pair pair;
static struct {
	unsigned changed, over, reaped;
} heard;

static void on_changed(void *arg)
{
	(void)arg;
	heard.changed++;
}

static void on_over(void *arg, struct device *transport)
{
	(void)arg;
	assert_string_equal(transport->what, "transport");
	heard.over++;
}

static void on_reaped(void *arg, struct device *device, bool orderly)
{
	(void)arg, (void)device, (void)orderly;
	heard.reaped++;
}

static const struct crew_owner owner = { .reaped = on_reaped };

static int begin_as(bool once)
{
	struct pair_options options = { .loop = &loop,
					.clients = &frontends,
					.once = once,
					.owner = &owner,
					.changed = on_changed,
					.over = on_over };

	births_begin();
	memset(&heard, 0, sizeof(heard));
	pair_init(&pair, &options);
	crew_begin(&pair.crew);
	turns(5);
	return 0;
}

static int begin(void **state)
{
	(void)state;
	return begin_as(false);
}

static int begin_once(void **state)
{
	(void)state;
	return begin_as(true);
}

static int finish(void **state)
{
	(void)state;
	births_hang_up();
	pair_end(&pair);
	births_end();
	return 0;
}

/* The transport takes an order with exactly these many descriptors. */
static void takes(uint32_t serial, enum channel_type type, int *fds, size_t nfds)
{
	struct channel_msg msg;
	size_t n = CHANNEL_FDS_MAX;
	int all[CHANNEL_FDS_MAX];

	assert_true(fd_recv(born[serial].channel, &msg, sizeof(msg), all, &n) > 0);
	assert_int_equal(msg.type, type);
	assert_int_equal(n, nfds);
	memcpy(fds, all, n * sizeof(int));
}

static void answers_ping(uint32_t serial)
{
	struct channel_msg ping;

	assert_int_equal(order(serial, &ping), CHANNEL_PING);
	say(serial, (struct channel_msg){ .type = CHANNEL_PONG, .seq = ping.seq });
}

/* What is written to one comes out of the other. */
static void assert_connected(int one, int other)
{
	char byte = 0;

	assert_int_equal(write(one, "x", 1), 1);
	assert_int_equal(read(other, &byte, 1), 1);
	assert_int_equal(byte, 'x');
}

/* A VMM and a device meet at the first transport. The VMM's end. */
static int meet(void)
{
	int vmm = client(), device, fds[2];

	ready(1);
	device = pair_next(&pair);
	assert_true(device >= 0);
	takes(1, CHANNEL_SERVE, fds, 2);
	answers_ping(1);
	assert_connected(vmm, fds[0]);
	assert_connected(device, fds[1]);
	fd_close_all(fds, 2);
	fd_close(&device);
	return vmm;
}

static void test_nobody_yet(void **state)
{
	(void)state;
	assert_false(pair_wants(&pair));
	assert_int_equal(pair_next(&pair), -EAGAIN);
	ready(1);
	assert_int_equal(heard.changed, 1);
	assert_true(pair_wants(&pair));
	assert_int_equal(pair_fd(&pair), frontends_fd(&frontends));
	assert_int_equal(pair_next(&pair), -EAGAIN); /* no VMM */
}

static void test_they_meet(void **state)
{
	int vmm;

	(void)state;
	vmm = meet();
	assert_int_equal(pair.connections, 1);
	assert_int_equal(births, 2);	      /* the next spare */
	assert_int_equal(pair_fd(&pair), -1); /* a second VMM waits */
	fd_close(&vmm);
}

static void test_once(void **state)
{
	int vmm;

	(void)state;
	vmm = meet();
	assert_int_equal(births, 1);
	fd_close(&vmm);
}

/* A successor's socket, under the transport that serves on. */
static void test_another_device(void **state)
{
	int vmm, fd;

	(void)state;
	vmm = meet();
	for (int i = 0; i < 3; i++) {
		int device;

		assert_true(pair_wants(&pair));
		device = pair_next(&pair);
		takes(1, CHANNEL_BACKEND, &fd, 1);
		assert_connected(device, fd);
		assert_connected(fd, device);
		fd_close(&fd);
		fd_close(&device);
	}
	assert_int_equal(pair.connections, 1);
	fd_close(&vmm);
}

static void test_the_vmm_leaves(void **state)
{
	int vmm, second;

	(void)state;
	vmm = meet();
	second = client();
	ready(2);
	fd_close(&vmm);
	say(1, (struct channel_msg){ .type = CHANNEL_STOPPED });
	assert_false(pair_wants(&pair)); /* it is about to end */
	dies(1, 0);
	assert_int_equal(heard.over, 1);
	assert_int_equal(heard.reaped, 1);
	assert_true(pair_wants(&pair));
	vmm = pair_next(&pair);
	assert_true(vmm >= 0);
	assert_int_equal(pair.connections, 2);
	fd_close(&vmm);
	fd_close(&second);
}

/* A VMM whose transport died before it could take it is taken by the next. */
static void test_the_vmm_is_kept(void **state)
{
	int vmm = client(), device, fds[2];

	(void)state;
	ready(1);
	fd_close(&born[1].channel); /* dead, and we do not know yet */
	assert_int_equal(pair_next(&pair), -EAGAIN);
	assert_int_equal(heard.over, 0);
	dies(1, 9);
	turns(150);
	ready(2);
	device = pair_next(&pair);
	assert_true(device >= 0);
	takes(2, CHANNEL_SERVE, fds, 2);
	assert_connected(vmm, fds[0]);
	fd_close_all(fds, 2);
	fd_close(&device);
	fd_close(&vmm);
}

/* It has no rings to count and no TAP queue to switch. */
static void test_unlawful(void **state)
{
	static const struct channel_msg rows[] = {
		{ .type = CHANNEL_QUEUE, .queue = { 0, 1 } },
		{ .type = CHANNEL_STEER, .steer = { .on = 1 } },
		{ .type = CHANNEL_STATS },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int vmm = meet();

		say(1, rows[i]);
		assert_int_equal(heard.over, 1);
		assert_null(pair.crew.serving);
		fd_close(&vmm);
		finish(state);
		begin(state);
	}
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_nobody_yet),
		CASE(test_they_meet),
		cmocka_unit_test_setup_teardown(test_once, begin_once, finish),
		CASE(test_another_device),
		CASE(test_the_vmm_leaves),
		CASE(test_the_vmm_is_kept),
		CASE(test_unlawful),
	};

	return cmocka_run_group_tests_name("pair", tests, NULL, NULL);
}
