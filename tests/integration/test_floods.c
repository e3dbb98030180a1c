/*
 * Floods of everything that a guest, its VMM or the host can send without end: the device still
 * answers, lets the other direction pass and grows by nothing; the broker still answers its
 * administrator; and the next connection is served as ever.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/util.h"
#include "tests/support/flood.h"
#include "tests/support/rig.h"

#define FLOOD_MS   1000
#define ANSWER_MS  250		/* request and status, however busy it is */
#define GROWTH_MAX (512 * 1024) /* bytes of private memory */

static struct rig rig;
static struct flood flood;
static uint8_t frame[64];

static int ensure_rig(void **state)
{
	(void)state;
	rig_ensure(&rig, (const char *[]){ NULL });
	return 0;
}

static int stop(void **state)
{
	(void)state;
	if (rig.dir[0] && !program_running(&rig.broker))
		rig_abandon(&rig);
	return 0;
}

static int64_t status_ms(void)
{
	int64_t begin = machine_ms();

	json_decref(rig_ctl(&rig, (const char *[]){ "status", NULL }));
	return machine_ms() - begin;
}

static void flood_harms_nobody(void **state)
{
	const enum flood_kind kind = *(const enum flood_kind *)*state;
	long before, after;
	int64_t slowest = 0;
	int fds;

	rig_serves(&rig);
	before = proc_private(rig.broker.pid);
	if (access(rig.report, F_OK) == 0)
		assert_ok(truncate(rig.report, 0));
	flood_start(&flood, kind, rig.socket, RIG_TAP);
	for (int64_t end = clock_ms() + FLOOD_MS; clock_ms() < end;) {
		frame_pattern(frame, sizeof(frame), 1);
		wire_send(&rig.wire, NULL, frame, sizeof(frame));
		slowest = max_of(slowest, status_ms());
		rig_sleep(20);
	}
	fds = proc_count_fds(rig.broker.pid);
	after = proc_private(rig.broker.pid);
	flood_stop(&flood);
	print_message("# %llu turns, %llu frames received, slowest answer %lld ms, status %lld ms, "
		      "broker %+ld KiB\n",
		      (unsigned long long)flood.turns, (unsigned long long)flood.received,
		      (long long)flood.slowest_ms, (long long)slowest, (after - before) / 1024);
	assert_ok(flood.error);
	assert_true(flood.turns > 10);
	assert_in_range(flood.slowest_ms, 0, rig_patience(ANSWER_MS));
	assert_in_range(slowest, 0, rig_patience(ANSWER_MS));
	assert_true(rig_sanitized() || after - before < GROWTH_MAX);
	assert_in_range(fds, 1, rig.fds + 24);
	if (kind < FLOOD_CONNECTIONS && kind != FLOOD_TAP_UNREAD)
		assert_true(flood.received > 0);
	rig_serves(&rig);
}

/* Bytes that come one by one, and never make a message: its deadline does not begin anew with each
 * of them. */
static void bytes_for_ever_are_closed_at_the_deadline(void **state)
{
	int64_t begin = clock_ms();
	struct peer peer;
	int rc = 0;

	(void)state;
	rig_connect(&rig, &peer);
	for (int i = 0; !rc && clock_ms() - begin < 9000; i++) {
		const struct vu_header head = { VU_SET_MEM_TABLE, VU_VERSION, 136 };

		rc = peer_send_raw(&peer, i < 12 ? (const char *)&head + i : "x", 1, NULL, 0);
		rig_sleep(100);
	}
	assert_int_equal(-ECONNRESET, rc);
	assert_in_range(clock_ms() - begin, 4500, 6500);
	peer_close(&peer);
	rig_serves(&rig);
}

static void broker_ends_in_order(void **state)
{
	(void)state;
	rig_stop(&rig);
}

int main(void)
{
	static char names[FLOOD_KINDS][64];
	static enum flood_kind kinds[FLOOD_KINDS];
	struct CMUnitTest tests[FLOOD_KINDS + 2];
	size_t n = 0;
	int rc;

	for (; n < FLOOD_KINDS; n++) {
		kinds[n] = (enum flood_kind)n;
		snprintf(names[n], sizeof(names[n]), "flood of %s", flood_name((enum flood_kind)n));
		tests[n] = (struct CMUnitTest){ names[n], flood_harms_nobody, ensure_rig, stop,
						&kinds[n] };
	}
	tests[n++] = (struct CMUnitTest)cmocka_unit_test_setup_teardown(
		bytes_for_ever_are_closed_at_the_deadline, ensure_rig, stop);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test_setup_teardown(broker_ends_in_order,
									ensure_rig, stop);
	rc = rig_run("floods", tests, n);
	rig_abandon(&rig);
	return rc;
}
