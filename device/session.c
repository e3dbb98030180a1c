/*
 * The framing of a vhost-user connection. Runs in the control thread; trusts nothing that the peer
 * sends: length, flags and descriptors meet the table in lib/ before a request is looked at, and
 * whatever descriptors are left when a message is done are closed.
 */
#include "device/session.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "device/requests.h"
#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/util.h"
#include "lib/vhost_user_table.h"

#define MESSAGE_MS	  5000 /* from the first byte to the last; and for a reply to be taken */
#define MESSAGES_PER_WAKE 32   /* a flood of requests leaves time for broker and workers */

void session_init(struct session *s, int sock)
{
	s->sock = sock;
	s->mtu_max = s->setup->mtu;
	back_init(&s->back);
	transfer_init(&s->transfer);
	for (size_t i = 0; i < SESSION_FDS; i++)
		s->fds[i] = -1;
}

short session_events(const struct session *s)
{
	if (s->out_sent < s->out_len)
		return POLLOUT | POLLRDHUP;
	return s->busy ? POLLRDHUP : POLLIN;
}

static int reply_flush(struct session *s)
{
	while (s->out_sent < s->out_len) {
		ssize_t n = send(s->sock, (char *)&s->out.head + s->out_sent,
				 s->out_len - s->out_sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			s->deadline = s->deadline ? s->deadline : clock_ms() + MESSAGE_MS;
			return 0;
		}
		if (n < 0)
			return -ECONNRESET;
		s->out_sent += (size_t)n;
	}
	s->out_len = s->out_sent = 0;
	s->deadline = 0;
	return 0;
}

static int reply_send(struct session *s)
{
	s->out_len = sizeof(s->out.head) + s->out.head.size;
	s->out_sent = 0;
	return reply_flush(s);
}

static void message_done(struct session *s)
{
	fd_close_all(s->fds, s->nfds);
	s->nfds = 0;
	s->in_len = 0;
	s->deadline = 0;
	s->busy = false;
	s->requests++;
}

/* Answers the request in s->in with its result. Errors that nobody asked to hear of end the
 * connection: going on with a front-end that believes otherwise would be worse. */
static int message_answer(struct session *s, int rc)
{
	const struct vu_row *row = vu_row(s->in.head.request);
	bool payload = row && row->reply == VU_REPLY_PAYLOAD;
	bool ack = !payload && (s->in.head.flags & VU_FLAG_NEED_REPLY) &&
		   (s->protocol & BIT_ULL(VU_P_REPLY_ACK));

	if (rc == -EPROTO)
		orders_event(s->orders, EVENT_REQUEST_MALFORMED, s->in.head.request, rc);
	else if (rc < 0)
		orders_event(s->orders, EVENT_REQUEST_REFUSED, s->in.head.request, rc);
	message_done(s);
	if (rc < 0 && (rc == -EPROTO || !ack))
		return -EPROTO;
	if (ack) {
		s->out.head.size = sizeof(s->out.u64);
		s->out.u64 = rc < 0;
	}
	return ack || payload ? reply_send(s) : 0;
}

static int message_run(struct session *s)
{
	const struct request *request = request_find(s->in.head.request);
	int rc = vu_check(&s->in.head, s->nfds, s->protocol);

	if (!rc && !request)
		rc = -EOPNOTSUPP;
	s->out.head = (struct vu_header){ .request = s->in.head.request,
					  .flags = VU_VERSION | VU_FLAG_REPLY };
	if (!rc)
		rc = request->begin(s, &s->in);
	if (rc == 1) {
		s->busy = true;
		s->deadline = 0;
		return 0;
	}
	if (!rc && request->finish)
		rc = request->finish(s, &s->in);
	return message_answer(s, rc);
}

/* CHECK_DEVICE_STATE is answered when the transfer has ended, everything else when the workers
 * have. */
static bool answer_owed(const struct session *s)
{
	return !lifecycle_idle(s->lifecycle) ||
	       (s->in.head.request == VU_CHECK_DEVICE_STATE && s->transfer.fd >= 0);
}

int session_answers(struct session *s, int rc)
{
	const struct request *request;

	if (!s->busy || answer_owed(s))
		return 0;
	request = request_find(s->in.head.request);
	if (!rc && request->finish)
		rc = request->finish(s, &s->in);
	return message_answer(s, rc);
}

/* Receives what is missing of the head, or of the payload that the head announces. 1 complete, 0
 * not yet, -errno. */
static int message_receive(struct session *s)
{
	size_t want = sizeof(s->in.head), room = SESSION_FDS - s->nfds;
	ssize_t n;

	if (s->in_len >= want)
		want += s->in.head.size;
	n = fd_recv(s->sock, (char *)&s->in.head + s->in_len, want - s->in_len, s->fds + s->nfds,
		    &room);
	if (n == -EAGAIN)
		return -EAGAIN;
	if (n == -EMSGSIZE)
		return -EPROTO;
	if (n <= 0)
		return -ECONNRESET;
	s->nfds += room;
	s->in_len += (size_t)n;
	if (!s->deadline)
		s->deadline = clock_ms() + MESSAGE_MS;
	if (s->in_len < sizeof(s->in.head))
		return 0;
	if (s->in.head.size > VU_PAYLOAD_MAX)
		return -EPROTO;
	return s->in_len == sizeof(s->in.head) + s->in.head.size;
}

static int messages_read(struct session *s)
{
	for (unsigned int n = 0; n < MESSAGES_PER_WAKE && !s->busy && !s->out_len; n++) {
		int rc = message_receive(s);

		if (rc == -EAGAIN)
			return 0;
		if (rc == -EPROTO)
			orders_event(s->orders, EVENT_REQUEST_MALFORMED, s->in.head.request, rc);
		if (rc == 1)
			rc = message_run(s);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int session_ready(struct session *s, short revents)
{
	int rc = 0;

	if (s->out_len) {
		rc = reply_flush(s);
		if (!rc && s->out_len && (revents & (POLLRDHUP | POLLHUP | POLLERR)))
			rc = -ECONNRESET; /* it will never take the rest */
		return rc;
	}
	if (s->busy)
		return revents & (POLLRDHUP | POLLHUP | POLLERR) ? -ECONNRESET : 0;
	return messages_read(s);
}

void session_notify(struct session *s)
{
	/* A ring stops with the answer that says so. */
	back_quiet(&s->back, !s->busy && !lifecycle_started(s->lifecycle));
	if (net_ctrl_changed(s->control))
		back_config(&s->back);
	if (s->iotlb_changes != s->lifecycle->iotlb_changes)
		back_forget_misses(&s->back);
	s->iotlb_changes = s->lifecycle->iotlb_changes;
	for (unsigned int i = 0; i < net_rings(s->setup); i++) {
		uint64_t miss = lifecycle_miss(s->lifecycle, i);
		uint64_t denied = lifecycle_denied(s->lifecycle, i);

		if (lifecycle_call_wanted(s->lifecycle, i))
			back_call(&s->back, i);
		if (lifecycle_err_wanted(s->lifecycle, i))
			back_err(&s->back, i);
		if (denied)
			back_denied(&s->back, i, denied);
		if (miss)
			back_miss(&s->back, i, miss);
	}
}

void session_back(struct session *s, short revents)
{
	unsigned int ring;
	uint64_t miss;

	session_notify(s);
	back_ready(&s->back, revents);
	miss = back_refused(&s->back, &ring);
	if (miss)
		lifecycle_refuse(s->lifecycle, ring, miss);
}

void session_link(struct session *s, bool up, uint32_t mtu)
{
	struct net_setup *setup = s->setup;
	struct net_setup was = *setup;
	bool lowered = setup->mtu < s->mtu_max; /* by the front-end */

	setup->link_down = !up;
	s->mtu_max = (uint16_t)max_of(min_of(mtu, (uint32_t)UINT16_MAX), (uint32_t)NET_MTU_MIN);
	setup->mtu = lowered ? min_of(setup->mtu, s->mtu_max) : s->mtu_max;
	if (setup->link_down == was.link_down && setup->mtu == was.mtu)
		return;
	session_notify(s);
	back_config(&s->back);
}

int session_transfer(struct session *s)
{
	if (!transfer_ready(&s->transfer))
		return 0;
	if (s->transfer.way == TRANSFER_LOAD && !s->transfer.result)
		s->transfer.result = request_state_load(s);
	return session_answers(s, 0);
}

int session_expired(struct session *s)
{
	orders_event(s->orders, s->out_len ? EVENT_REPLY_NOT_TAKEN : EVENT_MESSAGE_SLOW, MESSAGE_MS,
		     0);
	return -ETIMEDOUT;
}
