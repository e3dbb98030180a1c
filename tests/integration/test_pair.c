/*
 * --vfio-user-socket: a VMM served by a confined transport and a confined device, both the
 * broker's. What dies is replaced, whoever leaves ends no more than is its own, and the second
 * waits. The card and its driver are the test's.
 */
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/util.h"
#include "tests/support/card.h"
#include "tests/support/rig.h"

#define RUNNING	    0x0f
#define NEEDS_RESET 0x40

static struct rig rig;
static struct guest guest;
static struct card card = { .sock = -1, .changed = -1 };

static int setup(void **state)
{
	(void)state;
	guest_blank(&guest);
	rig_start_pair(&rig, (const char *[]){ NULL });
	assert_ok(card_make_rings(&guest, 0));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	card_close(&card);
	guest_close(&guest);
	rig_abandon(&rig);
	return 0;
}

/* A VMM boots: its guest's frames flow both ways. */
static void boot(void)
{
	if (access(rig.report, F_OK) == 0)
		assert_ok(truncate(rig.report, 0));
	assert_ok(card_connect(&card, rig.socket));
	assert_ok(card_plug(&card, &guest));
	assert_int_equal(0, card_read(&card, CARD_BAR0, 0x14, 1)); /* a fresh card */
	assert_int_equal(RUNNING, card_drive(&card, &guest));
	rig_exchange(&rig, &guest, 0);
}

/* It leaves; the next finds everything as it was. */
static void leave(void)
{
	card_close(&card);
	rig_settled(&rig);
}

static pid_t transport_of(void)
{
	json_t *report = rig_report(&rig);
	json_t *transport = json_object_get(report, "transport");
	pid_t pid = (pid_t)json_integer_value(json_object_get(transport, "pid"));

	json_decref(report);
	assert_true(proc_alive(pid));
	return pid;
}

static json_int_t status_number(const char *key)
{
	json_t *status = rig_ctl(&rig, (const char *[]){ "status", NULL });
	json_int_t n = json_integer_value(json_object_get(status, key));

	json_decref(status);
	return n;
}

static bool told_of_a_change(void)
{
	struct pollfd p = { .fd = card.changed, .events = POLLIN };
	bool told = poll(&p, 1, 5000) > 0;

	fd_drain(card.changed);
	return told;
}

/* The broker has hung up on the VMM. */
static bool hung_up(void)
{
	struct pollfd p = { .fd = card.sock, .events = POLLRDHUP };

	return poll(&p, 1, RIG_WAIT_MS) > 0;
}

static void vmms_come_and_go(void **state)
{
	pid_t device = 0, transport = 0;

	(void)state;
	for (int i = 0; i < 20; i++) {
		int64_t begin = machine_ms();

		boot();
		assert_in_range(machine_ms() - begin, 0, rig_patience(RIG_SERVE_MS));
		/* Both are fresh each time. */
		assert_int_not_equal(device, rig_device(&rig));
		assert_int_not_equal(transport, transport_of());
		device = rig_device(&rig);
		transport = transport_of();
		leave();
		assert_true(rig_gone(device));
		assert_true(rig_gone(transport));
	}
	assert_int_equal(20, status_number("connections"));
	assert_int_equal(0, status_number("restarts"));
	rig_stop(&rig);
}

static void the_status_names_both(void **state)
{
	(void)state;
	boot();
	assert_int_equal(rig_device(&rig), status_number("device_pid"));
	assert_int_equal(transport_of(), status_number("transport_pid"));
	leave();
	rig_stop(&rig);
}

static void the_device_dies_under_traffic(void **state)
{
	pid_t transport;

	(void)state;
	boot();
	transport = transport_of();
	for (int i = 0; i < 5; i++) {
		pid_t device = rig_device(&rig);

		assert_ok(truncate(rig.report, 0));
		assert_ok(kill(device, SIGKILL));
		assert_true(told_of_a_change());
		assert_int_equal(RUNNING | NEEDS_RESET, card_read(&card, CARD_BAR0, 0x14, 1));
		/* The driver resets its card: a fresh device stands behind it. */
		assert_int_equal(RUNNING, card_drive(&card, &guest));
		rig_exchange(&rig, &guest, 0);
		assert_int_not_equal(device, rig_device(&rig));
		assert_int_equal(transport, transport_of());
	}
	assert_int_equal(5, status_number("restarts"));
	assert_int_equal(1, status_number("connections"));
	leave();
	boot();
	leave();
	rig_stop(&rig);
}

/* The broker gives it up, as it does where a VMM is connected to it. */
static void the_device_hangs(void **state)
{
	int64_t begin;
	pid_t device;

	(void)state;
	boot();
	device = rig_device(&rig);
	assert_ok(truncate(rig.report, 0));
	assert_ok(kill(device, SIGSTOP));
	begin = machine_ms();
	assert_ok(card_write(&card, CARD_BAR0, 0x14, 0, 1)); /* asks it to stop */
	assert_int_equal(0, card_read(&card, CARD_BAR0, 0x14, 1));
	assert_in_range(machine_ms() - begin, 0, rig_patience(2000));
	assert_true(rig_gone(device));
	assert_int_equal(RUNNING, card_drive(&card, &guest));
	rig_exchange(&rig, &guest, 0);
	leave();
	rig_stop(&rig);
}

/* A VMM's reset of the whole card waits for a device that hangs, and the transport with it. */
static void a_reset_waits_for_a_device_that_hangs(void **state)
{
	pid_t transport;

	(void)state;
	boot();
	transport = transport_of();
	assert_ok(kill(rig_device(&rig), SIGSTOP));
	assert_ok(truncate(rig.report, 0));
	assert_ok(card_reset(&card));
	assert_int_equal(RUNNING, card_drive(&card, &guest));
	rig_exchange(&rig, &guest, 0);
	assert_int_equal(transport, transport_of());
	leave();
	rig_stop(&rig);
}

static void the_transport_dies(void **state)
{
	static const int signals[] = { SIGKILL, SIGSEGV, SIGSYS };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		pid_t device, transport;
		int64_t begin;

		boot();
		device = rig_device(&rig);
		transport = transport_of();
		begin = machine_ms();
		assert_ok(kill(transport, signals[i]));
		assert_true(hung_up());
		assert_true(rig_gone(device)); /* with its front-end */
		card_close(&card);
		boot();
		assert_in_range(machine_ms() - begin, 0, rig_patience(RIG_SERVE_MS));
		leave();
	}
	assert_int_equal(ARRAY_SIZE(signals), status_number("restarts"));
	rig_stop(&rig);
}

static void the_transport_hangs(void **state)
{
	(void)state;
	boot();
	assert_ok(kill(transport_of(), SIGSTOP));
	/* Nobody asks it: frames flow past it. */
	rig_exchange(&rig, &guest, 0);
	assert_int_equal(1, send(card.sock, "", 1, MSG_NOSIGNAL)); /* half a word, unread */
	assert_true(hung_up());
	card_close(&card);
	boot();
	leave();
	rig_stop(&rig);
}

/* A VMM that leaves a transport which does not notice. */
static void it_hangs_as_its_vmm_leaves(void **state)
{
	int64_t begin;

	(void)state;
	boot();
	assert_ok(kill(transport_of(), SIGSTOP));
	card_close(&card);
	begin = machine_ms();
	boot();
	/* Its deadline to end is most of a second; then the guest boots. */
	assert_in_range(machine_ms() - begin, 0, rig_patience(2 * RIG_SERVE_MS));
	leave();
	rig_stop(&rig);
}

static void a_second_vmm_waits(void **state)
{
	struct pollfd p;
	struct peer second;

	(void)state;
	boot();
	assert_ok(peer_connect(&second, rig.socket));
	p = (struct pollfd){ .fd = second.sock, .events = POLLIN };
	assert_int_equal(0, poll(&p, 1, 300));
	rig_exchange(&rig, &guest, 0);
	card_close(&card);
	assert_ok(card_adopt(&card, fd_take(&second.sock)));
	assert_ok(card_plug(&card, &guest));
	assert_int_equal(RUNNING, card_drive(&card, &guest));
	rig_exchange(&rig, &guest, 0);
	leave();
	rig_stop(&rig);
}

static void a_restart_ends_the_session(void **state)
{
	pid_t device, transport;

	(void)state;
	boot();
	device = rig_device(&rig);
	transport = transport_of();
	assert_ok(program_signal(&rig.broker, SIGHUP));
	assert_true(hung_up());
	assert_true(rig_gone(device));
	assert_true(rig_gone(transport));
	card_close(&card);
	boot();
	assert_int_equal(0, status_number("restarts"));
	leave();
	rig_stop(&rig);
}

static void sigterm_ends_both_in_order(void **state)
{
	pid_t device, transport;

	(void)state;
	boot();
	device = rig_device(&rig);
	transport = transport_of();
	assert_ok(program_signal(&rig.broker, SIGTERM));
	assert_int_equal(0, program_wait(&rig.broker, RIG_WAIT_MS));
	assert_false(proc_alive(device));
	assert_false(proc_alive(transport));
	assert_false(program_says(&rig.broker, "\\[error\\]", 0));
}

static void kill_of_the_broker_ends_both(void **state)
{
	pid_t device, transport;

	(void)state;
	boot();
	device = rig_device(&rig);
	transport = transport_of();
	assert_ok(program_signal(&rig.broker, SIGKILL));
	assert_true(rig_gone(device));
	assert_true(rig_gone(transport));
}

/* --once: ends with its VMM; a device that dies meanwhile is replaced all the same. */
static void once(void **state)
{
	static const struct {
		bool device, transport; /* dies */
		int code;
	} rows[] = { { false, false, 0 }, { true, false, 0 }, { false, true, 1 } };

	(void)state;
	rig_stop(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		rig_start_pair(&rig, (const char *[]){ "--once", NULL });
		boot();
		if (rows[i].device) {
			assert_ok(kill(rig_device(&rig), SIGKILL));
			assert_true(told_of_a_change());
			assert_int_equal(RUNNING, card_drive(&card, &guest));
			rig_exchange(&rig, &guest, 0);
		}
		if (rows[i].transport)
			assert_ok(kill(transport_of(), SIGKILL));
		else
			card_close(&card);
		assert_int_equal(rows[i].code, program_wait(&rig.broker, RIG_WAIT_MS));
		card_close(&card);
		rig_abandon(&rig);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(vmms_come_and_go),
		TEST(the_status_names_both),
		TEST(the_device_dies_under_traffic),
		TEST(the_device_hangs),
		TEST(a_reset_waits_for_a_device_that_hangs),
		TEST(the_transport_dies),
		TEST(the_transport_hangs),
		TEST(it_hangs_as_its_vmm_leaves),
		TEST(a_second_vmm_waits),
		TEST(a_restart_ends_the_session),
		TEST(sigterm_ends_both_in_order),
		TEST(kill_of_the_broker_ends_both),
		TEST(once),
	};

	return rig_run("pair", tests, ARRAY_SIZE(tests));
}
