/*
 * The bare echo. Runs in a thread of the benchmark, on the processors of what is measured.
 */
#include "tests/bench/echo.h"

#include <linux/if_tun.h>
#include <poll.h>
#include <unistd.h>

#include "tests/bench/limit.h"
#include "tests/bench/pin.h"
#include "tests/support/rig.h"

static void *echo_main(void *arg)
{
	static char frame[TRAFFIC_ROOM];
	struct echo *e = arg;
	struct pollfd p = { .fd = e->tap, .events = POLLIN };

	pin_measured(0);
	while (!__atomic_load_n(&e->stop, __ATOMIC_RELAXED)) {
		ssize_t n;

		poll(&p, 1, 10);
		n = read(e->tap, frame, sizeof(frame));
		if (n > 0 && write(e->tap, frame, (size_t)n) != n)
			break;
	}
	return NULL;
}

void echo_open(struct echo *e)
{
	char name[16] = LIMIT_TAP;

	*e = (struct echo){ .tap = host_tap(name, IFF_MULTI_QUEUE) };
	assert_true(e->tap >= 0);
	assert_ok(host_set_up(LIMIT_TAP, 1500));
	assert_ok(pthread_create(&e->thread, NULL, echo_main, e));
}

void echo_close(struct echo *e)
{
	__atomic_store_n(&e->stop, true, __ATOMIC_RELAXED);
	pthread_join(e->thread, NULL);
	close(e->tap);
	while (host_has(LIMIT_TAP))
		rig_sleep(1);
}
