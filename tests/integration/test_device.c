/*
 * airlock-device without a broker, under a jailer of somebody else's: descriptors in, frames
 * through, exit at the end; and everything that makes it refuse to serve.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/util.h"
#include "tests/support/rig.h"

static struct rig rig;
static struct guest guest;
static struct program_start with;
static int ends[2]; /* ours, the device's */

enum {
	SOCKET = 3,
	TAP,
	CONTROL,
	WORKER,
	NOTHING, /* /dev/null */
	JUNK	 /* ends as a filter does, and is none */
};

static int junk_open(void)
{
	const struct sock_filter junk[] = { { .code = 0xffff }, { .code = BPF_RET | BPF_K } };
	int fd = memfd_create("junk", MFD_CLOEXEC);

	assert_int_equal(write(fd, junk, sizeof(junk)), sizeof(junk));
	return fd;
}

/* Descriptors as a jailer leaves them, and the command line for them. */
static int prepare(void **state)
{
	static const char *const jailer[] = { "/usr/bin/setpriv",    "--reuid=61200",
					      "--regid=61200",	     "--clear-groups",
					      "--bounding-set=-all", "--inh-caps=-all",
					      "--ambient-caps=-all" };
	static char device[256];
	char name[16] = RIG_TAP;

	(void)state;
	guest_blank(&guest);
	memset(&rig, 0, sizeof(rig));
	with = (struct program_start){ 0 };
	memcpy(with.args, jailer, sizeof(jailer));
	with.args[7] = program_path("airlock-device", device, sizeof(device));
	with.args[8] = "--fd=3";
	with.args[9] = "--tap-fd=4";
	with.args[10] = "--filter-fd=control:5";
	with.args[11] = "--filter-fd=worker:6";
	assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
	with.fds[0] = ends[1];
	with.fds[1] = host_tap(name, 0);
	with.fds[2] = program_filter("control");
	with.fds[3] = program_filter("worker");
	with.fds[4] = open("/dev/null", O_RDWR | O_CLOEXEC);
	with.fds[5] = junk_open();
	with.nfds = 6;
	for (size_t i = 0; i < with.nfds; i++)
		assert_true(with.fds[i] >= 0);
	assert_ok(host_set_up(RIG_TAP, 1500));
	assert_ok(wire_open(&rig.wire, RIG_TAP, ETH_P_ALL));
	return 0;
}

static int end(void **state)
{
	(void)state;
	guest_close(&guest);
	program_free(&rig.broker);
	wire_close(&rig.wire);
	for (size_t i = 0; i < with.nfds; i++)
		close(with.fds[i]);
	rig_tap_leave(&rig);
	return 0;
}

/* Starts it and gives up our copies of what is its own now. */
static void start(void)
{
	assert_ok(program_run(&rig.broker, &with));
	for (size_t i = 0; i < with.nfds; i++)
		close(with.fds[i]);
	with.nfds = 0;
}

static void serves_its_descriptors(void **state)
{
	char value[64];

	(void)state;
	start();
	peer_adopt(&guest.peer, ends[0]);
	assert_ok(guest_open(&guest, &(struct guest_options){ 0 }));
	rig_exchange(&rig, &guest, 0);
	assert_ok(proc_status(rig.broker.pid, "Seccomp", value, sizeof(value)));
	assert_string_equal("2", value);
	assert_ok(proc_status(rig.broker.pid, "NoNewPrivs", value, sizeof(value)));
	assert_string_equal("1", value);
	guest_close(&guest);
	assert_int_equal(0, program_wait(&rig.broker, RIG_WAIT_MS));
	assert_false(host_has(RIG_TAP));
}

struct refusal {
	const char *name;
	const char *without, *option;
	int code;
	const char *says; /* a part of the line */
};

static const struct refusal refusals[] = {
	{ "as root", "--reuid", NULL, 2, "uid 0" },
	{ "in root's group", "--regid", NULL, 2, "group 0" },
	{ "with a bounding set", "--bounding-set", NULL, 0, NULL }, /* nothing that it can use */
	{ "with an ambient capability", "--ambient-caps", "+net_raw", 2, "capability" },
	{ "without the control filter", "--filter-fd=control", NULL, 2, "--filter-fd" },
	{ "without the worker filter", "--filter-fd=worker", NULL, 2, "--filter-fd" },
	{ "without any filter", "--filter-fd", NULL, 2, "--filter-fd" },
	{ "without a TAP", "--tap-fd", NULL, 2, "--tap-fd" },
	{ "without a socket", "--fd=", NULL, 2, "--fd" },
	{ "filter of an unknown role", "--filter-fd=worker", "--filter-fd=broker:6", 2,
	  "--filter-fd=broker:6" },
	{ "worker's filter that is none", "--filter-fd=worker", "--filter-fd=worker:7", 2,
	  "--filter-fd=worker" },
	{ "control's filter that is none", "--filter-fd=control", "--filter-fd=control:7", 2,
	  "--filter-fd=control" },
	{ "filter that the kernel refuses", "--filter-fd=worker", "--filter-fd=worker:8", 2,
	  "--filter-fd=worker" },
	{ "control's that the kernel refuses", "--filter-fd=control", "--filter-fd=control:8", 2,
	  "" }, /* too late for a word */
	{ "one filter for both", "--filter-fd=worker", "--filter-fd=worker:5", 2, "--filter-fd=5" },
	{ "TAP that is none", "--tap-fd", "--tap-fd=7", 2, "--tap-fd=7" },
	{ "TAP queue named twice", NULL, "--tap-fd=4", 2, "--tap-fd=4" },
	{ "socket that is none", "--fd=", "--fd=7", 2, "--fd=7" },
	{ "socket that is the TAP", "--fd=", "--fd=4", 2, "=4" },
	{ "descriptor that was not inherited", "--fd=", "--fd=77", 2, "--fd=77" },
	{ "ring size that is no power of two", NULL, "--queue-size=100", 2, "--queue-size=100" },
	{ "unknown option", NULL, "--no-such-option", 2, "--no-such-option" },
	{ "path", NULL, "/tmp/socket", 2, "/tmp/socket" },
};

static void refuses_to_serve(void **state)
{
	const struct refusal *r = *state;
	char option[64];
	int rc;

	while (r->without && strncmp(r->without, "--ambient", 9) != 0) {
		size_t before = 0, after = 0;

		while (with.args[before])
			before++;
		rig_leave_out(&with, r->without);
		while (with.args[after])
			after++;
		if (after == before)
			break;
	}
	if (r->option && r->option[0] == '+') {
		rig_leave_out(&with, "--ambient-caps");
		rig_leave_out(&with, "--inh-caps");
		rig_leave_out(&with, "--bounding-set");
		snprintf(option, sizeof(option), "--ambient-caps=%s", r->option);
		memmove(&with.args[3], &with.args[1], 12 * sizeof(with.args[0]));
		with.args[1] = "--inh-caps=+net_raw";
		with.args[2] = option;
	} else if (r->option) {
		rig_add(&with, r->option);
	}
	start();
	if (!r->code) {
		peer_adopt(&guest.peer, ends[0]);
		assert_ok(peer_sync(&guest.peer));
		peer_close(&guest.peer);
		assert_int_equal(0, program_wait(&rig.broker, RIG_WAIT_MS));
		return;
	}
	rc = program_wait(&rig.broker, RIG_WAIT_MS);
	close(ends[0]);
	assert_int_equal(r->code, rc);
	assert_true(program_says(&rig.broker, r->says, 0));
}

int main(void)
{
	struct CMUnitTest tests[1 + ARRAY_SIZE(refusals)] = {
		cmocka_unit_test_setup_teardown(serves_its_descriptors, prepare, end),
	};
	static char names[ARRAY_SIZE(refusals)][64];

	if (rig_sanitized()) {
		puts("1..0 # SKIP a sanitizer's build cannot live under these filters");
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		snprintf(names[i], sizeof(names[i]), "refuses: %s", refusals[i].name);
		tests[1 + i] = (struct CMUnitTest){ names[i], refuses_to_serve, prepare, end,
						    (void *)&refusals[i] };
	}
	return rig_run("device", tests, ARRAY_SIZE(tests));
}
