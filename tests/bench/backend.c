/*
 * Starting and stopping of what is compared. Runs in the benchmark, as root.
 */
#include "tests/bench/backend.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/util.h"
#include "tests/bench/pin.h"
#include "tests/support/rig.h"

#define TESTPMD	 "/usr/bin/dpdk-testpmd"
#define START_MS 10000

const char *const backend_names[BACKEND_KINDS] = {
	[BACKEND_AIRLOCK] = "airlock",
	[BACKEND_SINGLE] = "airlock, frames single",
	[BACKEND_FILTERED] = "device, filters",
	[BACKEND_UNFILTERED] = "device, no filters",
	[BACKEND_DPDK] = "DPDK",
};

static char text[8][160]; /* of the arguments, while a program starts */

static void start_broker(struct backend *b, const struct row *row)
{
	struct program_start s = { .args = { "airlock-broker", "--log-level=error" },
				   .ready = true };

	snprintf(text[0], sizeof(text[0]), "--socket-path=%s", b->socket);
	snprintf(text[1], sizeof(text[1]), "--tap=%s", b->tap);
	snprintf(text[2], sizeof(text[2]), "--queue-pairs=%u", row->pairs);
	snprintf(text[3], sizeof(text[3]), "--sandbox-report=%s/report", b->dir);
	for (unsigned int i = 0; i < 4; i++)
		rig_add(&s, text[i]);
	if (b->kind == BACKEND_SINGLE)
		rig_add(&s, "--coalesce=off");
	assert_ok(program_run(&b->program, &s));
	assert_ok(program_wait_ready(&b->program, START_MS));
}

/* The device as an administrator's own launcher would start it. */
static void start_device(struct backend *b, const struct row *row)
{
	struct program_start s = { .args = { "/usr/bin/setpriv", "--reuid=61000", "--regid=61000",
					     "--clear-groups", "--bounding-set=-all",
					     "--no-new-privs" } };
	static const char *const roles[] = { "control", "worker" };
	char device[128];
	int ends[2];

	assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
	b->sock = ends[0];
	s.fds[s.nfds++] = ends[1];
	rig_add(&s, program_path("airlock-device", device, sizeof(device)));
	rig_add(&s, "--fd=3");
	for (unsigned int i = 0; i < row->pairs; i++) {
		s.fds[s.nfds++] = host_tap(b->tap, IFF_MULTI_QUEUE);
		snprintf(text[i], sizeof(text[i]), "--tap-fd=%u", 4 + i);
		rig_add(&s, text[i]);
	}
	assert_ok(host_set_up(b->tap, 1500));
	for (unsigned int i = 0; b->kind == BACKEND_FILTERED && i < ARRAY_SIZE(roles); i++) {
		s.fds[s.nfds++] = program_filter(roles[i]);
		snprintf(text[6 + i], sizeof(text[6 + i]), "--filter-fd=%s:%zu", roles[i],
			 s.nfds + 2);
		rig_add(&s, text[6 + i]);
	}
	rig_add(&s, b->kind == BACKEND_FILTERED ? "--allow-degraded=landlock"
						: "--allow-degraded=seccomp,landlock");
	assert_ok(program_run(&b->program, &s));
	for (size_t i = 0; i < s.nfds; i++)
		close(s.fds[i]);
}

static int start_dpdk(struct backend *b, const struct row *row)
{
	struct program_start s = { .args = { TESTPMD, "--lcores=0@0,1@0", "--no-pci",
					     "--no-telemetry", "--no-huge", "-m", "256" } };

	if (access(TESTPMD, X_OK))
		return -ENOENT;
	snprintf(text[0], sizeof(text[0]), "--file-prefix=%s", strrchr(b->dir, '.') + 1);
	snprintf(text[1], sizeof(text[1]), "--vdev=net_vhost0,iface=%s,queues=%u", b->socket,
		 row->pairs);
	snprintf(text[2], sizeof(text[2]), "--vdev=net_tap0,iface=%s", b->tap);
	snprintf(text[3], sizeof(text[3]), "--rxq=%u", row->pairs);
	snprintf(text[4], sizeof(text[4]), "--txq=%u", row->pairs);
	for (unsigned int i = 0; i < 3; i++)
		rig_add(&s, text[i]);
	rig_add(&s, "--");
	rig_add(&s, text[3]);
	rig_add(&s, text[4]);
	rig_add(&s, "--forward-mode=io");
	rig_add(&s, "--auto-start");
	rig_add(&s, "--total-num-mbufs=8192");
	rig_add(&s, "--stats-period=60"); /* no console, whose end would be its own */
	assert_ok(program_run(&b->program, &s));
	for (int i = 0; i < START_MS / 10 && access(b->socket, F_OK); i++)
		rig_sleep(10);
	return access(b->socket, F_OK) ? -ENOENT : 0;
}

int backend_start(struct backend *b, enum backend_kind kind, const struct row *row)
{
	int rc = 0;

	*b = (struct backend){ .kind = kind, .sock = -1, .dir = "/tmp/airlock-bench.XXXXXX" };
	assert_non_null(mkdtemp(b->dir));
	snprintf(b->socket, sizeof(b->socket), "%s/socket", b->dir);
	snprintf(b->tap, sizeof(b->tap), "bench%d", kind);
	if (kind == BACKEND_DPDK)
		rc = start_dpdk(b, row);
	else if (kind == BACKEND_AIRLOCK || kind == BACKEND_SINGLE)
		start_broker(b, row);
	else
		start_device(b, row);
	if (rc)
		backend_stop(b);
	return rc;
}

void backend_connect(struct backend *b, struct peer *peer)
{
	if (b->sock < 0)
		assert_ok(peer_connect(peer, b->socket));
	else
		peer_adopt(peer, b->sock);
	b->sock = -1;
}

void backend_settle(struct backend *b)
{
	bool broker = b->kind == BACKEND_AIRLOCK || b->kind == BACKEND_SINGLE;
	char report[64];

	snprintf(report, sizeof(report), "%s/report", b->dir);
	b->pid = broker ? rig_reported(report) : b->program.pid;
	pin_process(b->pid);
}

void backend_pause(const struct backend *b)
{
	if (b->kind == BACKEND_DPDK)
		program_signal(&b->program, SIGSTOP);
}

void backend_resume(const struct backend *b)
{
	if (b->kind == BACKEND_DPDK)
		program_signal(&b->program, SIGCONT);
}

void backend_stop(struct backend *b)
{
	char report[64];

	backend_resume(b);
	program_stop(&b->program);
	program_free(&b->program);
	snprintf(report, sizeof(report), "%s/report", b->dir);
	unlink(report);
	unlink(b->socket);
	rmdir(b->dir);
}
