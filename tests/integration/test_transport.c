/*
 * A driver on airlock-vfio-user, confined, in front of the broker's device: frames flow, and past
 * the transport they flow; what dies behind it, or in front of it, comes back.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/util.h"
#include "tests/support/card.h"
#include "tests/support/rig.h"

#define RUNNING	    0x0f
#define NEEDS_RESET 0x40

static struct rig rig;
static struct guest guest;
static struct card card = { .sock = -1, .changed = -1 };
static struct program transport;
static char socket_path[80], filter[256];

static int setup(void **state)
{
	const char *policies = getenv("AIRLOCK_POLICY_DIR"),
		   *sanitizers = getenv("AIRLOCK_SANITIZE");

	(void)state;
	rig_start(&rig, (const char *[]){ "--socket-mode=0666", NULL });
	/* The transport is nobody's relative: it finds its back-end by the socket's mode. */
	assert_ok(chmod(rig.dir, 0777));
	snprintf(socket_path, sizeof(socket_path), "%s/vfio-user", rig.dir);
	snprintf(filter, sizeof(filter), "%s/transport.bpf",
		 policies ? policies : "build/share/airlock/policy");
	assert_ok(card_program(&transport, socket_path, rig.socket,
			       sanitizers && *sanitizers ? NULL : filter));
	assert_ok(chmod(socket_path, 0666));
	assert_ok(card_make_rings(&guest, 0));
	assert_ok(card_connect(&card, socket_path));
	assert_ok(card_plug(&card, &guest));
	assert_int_equal(RUNNING, card_drive(&card, &guest));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	card_close(&card);
	program_stop(&transport);
	program_free(&transport);
	unlink(socket_path);
	guest_close(&guest);
	rig_abandon(&rig);
	return 0;
}

/* The end of a test that went well. */
static void orderly(void)
{
	card_close(&card);
	assert_int_equal(0, program_stop(&transport));
	unlink(socket_path);
	rig_settled(&rig);
	rig_stop(&rig);
}

static uint8_t status(void)
{
	return (uint8_t)card_read(&card, CARD_BAR0, 0x14, 1);
}

static bool told_of_a_change(void)
{
	struct pollfd p = { .fd = card.changed, .events = POLLIN };
	bool told = poll(&p, 1, 5000) > 0;

	fd_drain(card.changed);
	return told;
}

static void frames_flow_both_ways(void **state)
{
	(void)state;
	rig_exchange(&rig, &guest, 0);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(RUNNING, card_drive(&card, &guest));
		rig_exchange(&rig, &guest, 0);
	}
	orderly();
}

static void they_flow_past_the_transport(void **state)
{
	(void)state;
	/* Neither doorbell, interrupt nor frame needs it. */
	assert_ok(program_signal(&transport, SIGSTOP));
	rig_exchange(&rig, &guest, 0);
	assert_ok(program_signal(&transport, SIGCONT));
	assert_int_equal(RUNNING, status());
	orderly();
}

static void the_back_end_dies_and_a_reset_brings_another(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		pid_t first = rig_device(&rig), second;

		assert_ok(truncate(rig.report, 0));
		assert_ok(kill(first, SIGKILL));
		assert_true(told_of_a_change());
		assert_int_equal(RUNNING | NEEDS_RESET, status());
		assert_int_equal(RUNNING, card_drive(&card, &guest));
		rig_exchange(&rig, &guest, 0);
		second = rig_device(&rig);
		assert_int_not_equal(first, second);
	}
	orderly();
}

static void a_back_end_that_hangs_is_given_up(void **state)
{
	pid_t first = rig_device(&rig);
	int64_t begin = rig_now();

	(void)state;
	assert_ok(truncate(rig.report, 0));
	assert_ok(kill(first, SIGSTOP));
	/* A driver's reset asks it to stop: no answer, and yet the driver goes on. */
	assert_ok(card_write(&card, CARD_BAR0, 0x14, 0, 1));
	assert_int_equal(0, status());
	assert_in_range(rig_now() - begin, 0, 4500);
	kill(first, SIGKILL);
	assert_int_equal(RUNNING, card_drive(&card, &guest));
	rig_exchange(&rig, &guest, 0);
	orderly();
}

static void the_vmm_leaves_and_comes_back(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++) {
		rig_exchange(&rig, &guest, 0);
		card_close(&card);
		assert_ok(card_connect(&card, socket_path));
		assert_ok(card_plug(&card, &guest));
		/* It finds the device as it was, rings where they stood. */
		assert_int_equal(RUNNING, status());
		rig_exchange(&rig, &guest, 0);
	}
	assert_ok(card_reset(&card));
	assert_int_equal(0, status());
	assert_int_equal(RUNNING, card_drive(&card, &guest));
	rig_exchange(&rig, &guest, 0);
	orderly();
}

static void a_device_moves_to_another_process(void **state)
{
	static uint8_t saved[CARD_STATE_MAX];
	ssize_t len;

	(void)state;
	rig_exchange(&rig, &guest, 0);
	assert_ok(card_state(&card, 3)); /* stop and copy */
	len = card_save(&card, saved, sizeof(saved));
	assert_true(len > 0);
	card_close(&card);
	assert_int_equal(0, program_stop(&transport));
	program_free(&transport);
	unlink(socket_path);
	rig_settled(&rig);
	assert_ok(card_program(&transport, socket_path, rig.socket,
			       getenv("AIRLOCK_SANITIZE") && *getenv("AIRLOCK_SANITIZE") ? NULL
											 : filter));
	assert_ok(card_connect(&card, socket_path));
	assert_ok(card_plug(&card, &guest));
	assert_ok(card_state(&card, 4)); /* resuming */
	assert_ok(card_load(&card, saved, (size_t)len));
	assert_ok(card_state(&card, 2));
	assert_int_equal(RUNNING, status());
	rig_exchange(&rig, &guest, 0);
	orderly();
}

static void it_refuses_to_run_as_root(void **state)
{
	struct program_start start = {
		.args = { "airlock-vfio-user", "--vfio-user-socket=/tmp/none.sock",
			  "--vhost-user-socket=/tmp/none", "--allow-degraded=seccomp" }
	};
	struct program p;

	(void)state;
	assert_ok(program_run(&p, &start));
	assert_int_equal(1, program_wait(&p, 5000));
	assert_true(program_says(&p, "uid 0", 100));
	program_free(&p);
	unlink("/tmp/none.sock");
}

static void usage_errors(void **state)
{
	static const char *const rows[][3] = {
		{ "--vfio-user-socket=/x", NULL },
		{ "--vfio-user-socket=/x", "--vhost-user-socket=/y", NULL }, /* no filter */
		{ "--vfio-user-fd=77", NULL },
		{ "--queue-pairs=0", NULL },
		{ "--queue-size=3", NULL },
		{ "--mac=01:00:00:00:00:00", NULL },
		{ "--filter-fd=worker:3", NULL },
		{ "--allow-degraded=nothing", NULL },
		{ "--unknown", NULL },
		{ "word", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct program_start start = { .args = { "airlock-vfio-user", rows[i][0],
							 rows[i][1] } };
		struct program p;

		assert_ok(program_run(&p, &start));
		assert_int_equal(2, program_wait(&p, 5000));
		program_free(&p);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(frames_flow_both_ways),
		TEST(they_flow_past_the_transport),
		TEST(the_back_end_dies_and_a_reset_brings_another),
		TEST(a_back_end_that_hangs_is_given_up),
		TEST(the_vmm_leaves_and_comes_back),
		TEST(a_device_moves_to_another_process),
		cmocka_unit_test(it_refuses_to_run_as_root),
		cmocka_unit_test(usage_errors),
	};

	return rig_run("transport", tests, ARRAY_SIZE(tests));
}
