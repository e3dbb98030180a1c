/*
 * What passes between a device and its broker: orders come in their phase only, events in a bounded
 * number, and without a broker nothing is said to nobody.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/orders.h"
#include "lib/fd.h"

static struct orders orders;
static int broker;

static int set_up(void **state)
{
	int pair[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -1;
	orders_init(&orders, pair[0]);
	broker = pair[1];
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fd_close(&orders.sock);
	fd_close(&broker);
	return 0;
}

/* The broker's view: the type of the next message, -1 none, -2 one that breaks the rules. */
static int hear(enum channel_phase phase, struct channel_msg *msg)
{
	size_t none = 0;
	int rc = channel_recv(broker, CHANNEL_BROKER, phase, msg, NULL, &none);

	return rc == 1 ? msg->type : rc == -EAGAIN ? -1 : -2;
}

static void ready_first(void **state)
{
	const struct channel_ready ready = { .landlock_abi = 3, .threads = 2 };
	struct channel_msg msg;

	(void)state;
	assert_int_equal(0, orders_ready(&orders, &ready));
	assert_int_equal(CHANNEL_READY, hear(PHASE_STARTING, &msg));
	assert_int_equal(3, msg.ready.landlock_abi);
	assert_int_equal(2, msg.ready.threads);
}

static void serve_once(void **state)
{
	struct channel_msg msg = { .type = CHANNEL_SERVE, .serve = { .pairs = 1 } };
	int fds[2] = { 0, 0 }, got[CHANNEL_FDS_MAX];
	size_t n;

	(void)state;
	assert_int_equal(-EAGAIN, orders_next(&orders, &msg, got, &n));
	msg = (struct channel_msg){ .type = CHANNEL_SERVE, .serve = { .pairs = 1 } };
	assert_int_equal(0, channel_send(broker, &msg, fds, 2));
	assert_int_equal(1, orders_next(&orders, &msg, got, &n));
	assert_int_equal(2, n);
	fd_close_all(got, n);
	assert_int_equal(PHASE_SERVING, orders.phase);
	assert_int_equal(0, channel_send(broker, &msg, fds, 2));
	assert_int_equal(-EPROTO, orders_next(&orders, &msg, got, &n)); /* a second connection */
	assert_int_equal(0, n);
	msg.type = CHANNEL_PING;
	assert_int_equal(0, channel_send(broker, &msg, NULL, 0));
	assert_int_equal(1, orders_next(&orders, &msg, got, &n));
	msg.type = CHANNEL_PONG; /* not for us */
	assert_int_equal(0, channel_send(broker, &msg, NULL, 0));
	assert_int_equal(-EPROTO, orders_next(&orders, &msg, got, &n));
	fd_close(&broker);
	assert_int_equal(0, orders_next(&orders, &msg, got, &n));
}

/* Fifty a second; how many more there were is said in the next. */
static void events_are_bounded(void **state)
{
	struct channel_msg msg;
	int heard = 0, lost = 0;
	int64_t second;

	(void)state;
	do {
		while (hear(PHASE_SERVING, &msg) == CHANNEL_EVENT)
			;
		orders_init(&orders, orders.sock);
		orders_event(&orders, EVENT_RING_BROKEN, 0, -EINVAL);
		second = orders.events_second;
		for (int i = 1; i < 1000; i++)
			orders_event(&orders, EVENT_RING_BROKEN, i, -EINVAL);
	} while (orders.events_second != second); /* another began meanwhile */
	while (hear(PHASE_SERVING, &msg) == CHANNEL_EVENT)
		assert_int_equal(heard++, msg.event.a);
	assert_int_equal(50, heard);
	orders.events_second--; /* as if it had passed */
	orders_event(&orders, EVENT_PEER_GONE, 0, 0);
	while (hear(PHASE_SERVING, &msg) == CHANNEL_EVENT)
		if (msg.event.code == EVENT_EVENTS_LOST)
			lost = (int)msg.event.a;
	assert_int_equal(950, lost);
}

/* Debugging has a budget of its own. */
static void debugging_hides_nothing(void **state)
{
	struct channel_msg msg;
	bool broken = false;

	(void)state;
	for (int i = 0; i < 200; i++)
		orders_event(&orders, EVENT_RING_STARTED, 0, i);
	orders_event(&orders, EVENT_RING_BROKEN, 1, -EINVAL);
	while (hear(PHASE_SERVING, &msg) == CHANNEL_EVENT)
		broken |= msg.event.code == EVENT_RING_BROKEN;
	assert_true(broken);
}

static void queues(void **state)
{
	struct channel_msg msg = { .type = CHANNEL_PONG };

	(void)state;
	assert_int_equal(0, orders_queue(&orders, 3, true));
	assert_int_equal(CHANNEL_QUEUE, hear(PHASE_SERVING, &msg));
	assert_int_equal(3, msg.queue.pair);
	assert_int_equal(1, msg.queue.attach);
	msg.type = CHANNEL_PONG;
	while (channel_send(orders.sock, &msg, NULL, 0) == 0)
		;
	assert_int_equal(-EAGAIN, orders_queue(&orders, 3, false));
	orders_say(&orders, &msg); /* is lost, and does not wait */
}

static void without_a_broker(void **state)
{
	const struct channel_ready ready = { 0 };
	struct channel_msg msg = { .type = CHANNEL_PONG };
	struct orders alone;

	(void)state;
	orders_init(&alone, -1);
	assert_int_equal(0, orders_ready(&alone, &ready));
	assert_int_equal(0, orders_queue(&alone, 0, true));
	orders_say(&alone, &msg);
	orders_event(&alone, EVENT_PEER_GONE, 0, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ready_first), TEST(serve_once),	   TEST(events_are_bounded),
		TEST(ready_first), TEST(serve_once),	   TEST(debugging_hides_nothing),
		TEST(queues),	   TEST(without_a_broker),
	};

	return cmocka_run_group_tests_name("orders", tests, NULL, NULL);
}
