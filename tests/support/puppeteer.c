/*
 * Talks with puppets and reads the broker's log. Runs in the test process; trusts neither: every
 * wait has a deadline.
 */
#include "tests/support/puppeteer.h"

#include <errno.h>
#include <poll.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/util.h"

#define END_MS 8000 /* longer than a device has to become ready */

void puppets_start(struct puppeteer *p, struct rig *rig, const char *const *options)
{
	struct program_start start;

	*p = (struct puppeteer){ .rig = rig, .peer = { .sock = -1 } };
	rig_prepare_double(rig, &start, "puppet_device", options);
	rig_launch(rig, &start);
}

bool puppet_hears(struct puppeteer *p)
{
	static regex_t words;
	static bool compiled;
	char text[4096];
	regmatch_t m[2];
	ssize_t n = pread(p->rig->broker.log, text, sizeof(text) - 1, p->seen);

	if (!compiled)
		assert_ok(regcomp(&words, "device [0-9]+: ((killed|exited|ended)[^\n]*)\n",
				  REG_EXTENDED));
	compiled = true;
	if (n <= 0)
		return false;
	text[n] = '\0';
	if (regexec(&words, text, ARRAY_SIZE(m), m, 0)) {
		char *last = strrchr(text, '\n');

		p->seen += last ? last + 1 - text : 0;
		return false;
	}
	p->seen += m[0].rm_eo;
	snprintf(p->end, sizeof(p->end), "%.*s", (int)(m[1].rm_eo - m[1].rm_so), text + m[1].rm_so);
	return true;
}

void puppet_end(struct puppeteer *p)
{
	int64_t end = clock_ms() + END_MS;

	while (!puppet_hears(p)) {
		assert_true(clock_ms() < end);
		nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
	}
}

bool puppet_obeys(struct puppeteer *p, const struct puppet_order *order, int fd,
		  struct puppet_answer *answer)
{
	struct puppet_order whole = *order;
	struct pollfd ready;
	ssize_t n;

	whole.times = max_of(whole.times, 1u);
	if (p->peer.sock < 0)
		rig_connect(p->rig, &p->peer);
	n = peer_send_raw(&p->peer, &whole, sizeof(whole), &fd, fd >= 0);
	if (n)
		assert_int_equal(-ECONNRESET, n); /* it died of what it was told before */
	ready = (struct pollfd){ .fd = p->peer.sock, .events = POLLIN };
	assert_int_equal(1, poll(&ready, 1, END_MS));
	do /* PUPPET_PASS may send a byte before */
		n = recv(p->peer.sock, answer, sizeof(*answer), MSG_WAITALL);
	while (n == 1);
	if (n == sizeof(*answer))
		return true;
	peer_close(&p->peer);
	puppet_end(p);
	return false;
}

int64_t puppet_calls(struct puppeteer *p, int64_t nr, const int64_t args[6])
{
	struct puppet_order order = { .verb = PUPPET_CALL, .nr = nr };
	struct puppet_answer answer;

	memcpy(order.args, args, sizeof(order.args));
	if (!puppet_obeys(p, &order, -1, &answer))
		fail_msg("call %lld: %s", (long long)nr, p->end);
	return answer.result;
}

void puppet_drop(struct puppeteer *p)
{
	if (p->peer.sock < 0)
		return;
	peer_close(&p->peer);
	puppet_end(p);
}
