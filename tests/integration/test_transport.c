/*
 * A driver on airlock-vfio-user, confined, in front of the broker's device: frames flow, and past
 * the transport they flow; what dies behind it, or in front of it, comes back.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/channel.h"
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
static struct program transport;
static char socket_path[80];
static bool filtered; /* a sanitizer needs other calls */

static int setup(void **state)
{
	(void)state;
	rig_start(&rig, (const char *[]){ "--socket-mode=0666", NULL });
	/* The transport is nobody's relative: it finds its back-end by the socket's mode. */
	assert_ok(chmod(rig.dir, 0777));
	snprintf(socket_path, sizeof(socket_path), "%s/vfio-user", rig.dir);
	filtered = !rig_sanitized();
	assert_ok(card_program(&transport, socket_path, rig.socket, filtered));
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
	if (rig.dir[0]) /* the test failed */
		program_show(&transport);
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
	int64_t begin = clock_ms();

	(void)state;
	assert_ok(truncate(rig.report, 0));
	assert_ok(kill(first, SIGSTOP));
	/* A driver's reset asks it to stop: no answer, and yet the driver goes on. */
	assert_ok(card_write(&card, CARD_BAR0, 0x14, 0, 1));
	assert_int_equal(0, status());
	assert_in_range(clock_ms() - begin, 0, 4500);
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
	assert_ok(card_program(&transport, socket_path, rig.socket, filtered));
	assert_ok(card_connect(&card, socket_path));
	assert_ok(card_plug(&card, &guest));
	assert_ok(card_state(&card, 4)); /* resuming */
	assert_ok(card_load(&card, saved, (size_t)len));
	assert_ok(card_state(&card, 2));
	assert_int_equal(RUNNING, status());
	rig_exchange(&rig, &guest, 0);
	orderly();
}

/* As a broker starts it: confined first, sockets later. */
static void a_broker_brings_both_sockets(void **state)
{
	struct program_start start = { .args = { "/usr/bin/setpriv", "--reuid=65431",
						 "--regid=65431", "--clear-groups",
						 "--bounding-set=-all", "--inh-caps=-all",
						 "--no-new-privs", NULL, "--channel-fd=3" } };
	struct channel_msg msg = { .type = CHANNEL_SERVE, .serve = { .pairs = 1 } };
	char path[256];
	int channel[2], vmm[2], fd = program_filter("transport"), brought[2];
	size_t none = 0;
	struct program second;
	struct peer backend;
	struct pollfd p;

	(void)state;
	card_close(&card);
	assert_int_equal(0, program_stop(&transport));
	rig_settled(&rig);
	assert_ok(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel));
	assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, vmm));
	start.args[7] = program_path("airlock-vfio-user", path, sizeof(path));
	start.args[9] = filtered ? "--filter-fd=transport:4" : "--allow-degraded=seccomp,landlock";
	start.fds[0] = channel[1];
	start.fds[1] = fd;
	start.nfds = 2;
	assert_ok(program_run(&second, &start));
	close(channel[1]);
	p = (struct pollfd){ .fd = channel[0], .events = POLLIN };
	assert_int_equal(1, poll(&p, 1, 5000));
	assert_int_equal(
		1, channel_recv(channel[0], CHANNEL_BROKER, PHASE_STARTING, &msg, NULL, &none));
	assert_int_equal(CHANNEL_READY, msg.type);
	assert_int_equal(2, msg.ready.threads);
	rig_connect(&rig, &backend);
	brought[0] = vmm[1];
	brought[1] = backend.sock;
	msg = (struct channel_msg){ .type = CHANNEL_SERVE, .serve = { .pairs = 1 } };
	assert_ok(channel_send(channel[0], &msg, brought, 2));
	close(vmm[1]);
	peer_close(&backend);
	assert_ok(card_adopt(&card, vmm[0]));
	assert_ok(card_plug(&card, &guest));
	assert_int_equal(RUNNING, card_drive(&card, &guest));
	rig_exchange(&rig, &guest, 0);
	msg = (struct channel_msg){ .type = CHANNEL_PING, .seq = 9 };
	assert_ok(channel_send(channel[0], &msg, NULL, 0));
	assert_int_equal(1, poll(&p, 1, 5000));
	assert_int_equal(
		1, channel_recv(channel[0], CHANNEL_BROKER, PHASE_SERVING, &msg, NULL, &none));
	assert_int_equal(CHANNEL_PONG, msg.type);
	assert_int_equal(9, msg.seq);
	msg = (struct channel_msg){ .type = CHANNEL_STOP };
	assert_ok(channel_send(channel[0], &msg, NULL, 0));
	assert_int_equal(0, program_wait(&second, RIG_WAIT_MS));
	program_free(&second);
	close(channel[0]);
	close(fd);
	card_close(&card);
	unlink(socket_path);
	rig_settled(&rig);
	rig_stop(&rig);
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
	assert_int_equal(2, program_wait(&p, RIG_WAIT_MS));
	assert_true(program_says(&p, "uid 0", 100));
	program_free(&p);
	assert_int_not_equal(0, access("/tmp/none.sock", F_OK));
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
		assert_int_equal(2, program_wait(&p, RIG_WAIT_MS));
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
		TEST(a_broker_brings_both_sockets),
		cmocka_unit_test(it_refuses_to_run_as_root),
		cmocka_unit_test(usage_errors),
	};

	return rig_run("transport", tests, ARRAY_SIZE(tests));
}
