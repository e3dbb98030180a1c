/*
 * Watches the process behind a connection, and after its end whoever waits for the next. Runs in
 * the broker's only thread; trusts the kernel's word about who connected.
 */
#include "broker/rival.h"

#include <poll.h>
#include <sys/socket.h>

#include "lib/fd.h"

#ifndef SO_PEERPIDFD /* Linux 6.5 */
#define SO_PEERPIDFD 77
#endif

/* A connection that ends as it should has ended by then. */
#define GRACE_MS 300

static void process_gone(void *arg, short revents)
{
	struct rival *r = arg;

	(void)revents;
	loop_remove(r->loop, &r->gone);
	loop_arm(r->loop, &r->grace, GRACE_MS);
}

static void grace_passed(void *arg)
{
	struct rival *r = arg;

	loop_add(r->loop, &r->waiting);
}

static void somebody_waits(void *arg, short revents)
{
	struct rival *r = arg;

	(void)revents;
	loop_remove(r->loop, &r->waiting);
	r->displace(r->arg);
}

void rival_init(struct rival *r, struct loop *loop, void (*displace)(void *arg), void *arg)
{
	*r = (struct rival){ .loop = loop, .process = -1, .displace = displace, .arg = arg };
	r->gone = (struct watch){ .fd = -1, .events = POLLIN, .ready = process_gone, .arg = r };
	r->waiting =
		(struct watch){ .fd = -1, .events = POLLIN, .ready = somebody_waits, .arg = r };
	r->grace = (struct timer){ .fire = grace_passed, .arg = r };
}

void rival_begin(struct rival *r, int connection, int listener)
{
	socklen_t len = sizeof(r->process);

	rival_end(r);
	if (listener < 0 ||
	    getsockopt(connection, SOL_SOCKET, SO_PEERPIDFD, &r->process, &len) < 0) {
		r->process = -1;
		return;
	}
	r->gone.fd = r->process;
	r->waiting.fd = listener;
	loop_add(r->loop, &r->gone);
}

void rival_end(struct rival *r)
{
	loop_remove(r->loop, &r->gone);
	loop_remove(r->loop, &r->waiting);
	loop_disarm(r->loop, &r->grace);
	fd_close(&r->process);
}
