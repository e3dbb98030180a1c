/*
 * Messages from the back-end: a changed configuration, and interrupts of rings that have no
 * descriptor for them ("In-band notifications" of the vhost-user document). Runs in the control
 * thread; trusts no answer beyond its being one.
 */
#include "device/backchannel.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/fd.h"

void back_init(struct backchannel *b)
{
	*b = (struct backchannel){ .sock = -1, .quiet = true };
}

static void back_close(struct backchannel *b)
{
	/* An interrupt that was not acknowledged may be lost: one too many harms nobody. */
	if (b->awaited)
		*(b->out.head.request == VU_BACK_VRING_CALL ? &b->calls[b->out.state.index]
							    : &b->errs[b->out.state.index]) = true;
	fd_close(&b->sock);
	b->out_len = b->out_sent = b->in_len = 0;
	b->awaited = false;
}

/* The next thing to say, in no ring's favour: configuration first, since it comes seldom. */
static bool message_next(struct backchannel *b)
{
	if (b->config) {
		b->config = false;
		b->out.head = (struct vu_header){ VU_BACK_CONFIG_CHANGE, VU_VERSION, 0 };
		return true;
	}
	for (uint32_t i = 0; i < BACK_RINGS; i++) {
		bool *wanted = b->calls[i] ? &b->calls[i] : &b->errs[i];

		if (!*wanted)
			continue;
		*wanted = false;
		b->out.head =
			(struct vu_header){ wanted == &b->calls[i] ? VU_BACK_VRING_CALL
								   : VU_BACK_VRING_ERR,
					    VU_VERSION | VU_FLAG_NEED_REPLY, sizeof(b->out.state) };
		b->out.state = (struct vu_vring_state){ i, 0 };
		b->awaited = true;
		return true;
	}
	return false;
}

static void back_flush(struct backchannel *b)
{
	while (b->sock >= 0) {
		ssize_t n;

		if (b->out_sent == b->out_len) {
			if (b->awaited || b->quiet || !message_next(b))
				return;
			b->out_len = sizeof(b->out.head) + b->out.head.size;
			b->out_sent = 0;
		}
		n = send(b->sock, (char *)&b->out + b->out_sent, b->out_len - b->out_sent,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			back_close(b);
		else
			b->out_sent += (size_t)n;
	}
}

void back_set(struct backchannel *b, int sock)
{
	back_close(b);
	b->sock = sock;
	back_flush(b);
}

void back_quiet(struct backchannel *b, bool quiet)
{
	b->quiet = quiet;
	back_flush(b);
}

void back_config(struct backchannel *b)
{
	b->config = true;
	back_flush(b);
}

void back_call(struct backchannel *b, unsigned int ring)
{
	b->calls[ring] = true;
	back_flush(b);
}

void back_err(struct backchannel *b, unsigned int ring)
{
	b->errs[ring] = true;
	back_flush(b);
}

short back_events(const struct backchannel *b)
{
	return b->out_sent < b->out_len ? POLLIN | POLLOUT : POLLIN;
}

/* An answer is a header of the request's number and a word. 0, -EAGAIN, or the channel is of no
 * more use. */
static int answer_read(struct backchannel *b)
{
	struct vu_header head;
	size_t nfds = 0;
	ssize_t n = fd_recv(b->sock, b->in + b->in_len, sizeof(b->in) - b->in_len, NULL, &nfds);

	if (n <= 0)
		return n == -EAGAIN ? -EAGAIN : -EPROTO;
	b->in_len += (size_t)n;
	if (b->in_len < sizeof(b->in))
		return 0;
	memcpy(&head, b->in, sizeof(head));
	b->in_len = 0;
	if (!b->awaited || head.request != b->out.head.request ||
	    head.flags != (VU_VERSION | VU_FLAG_REPLY) || head.size != sizeof(uint64_t))
		return -EPROTO;
	b->awaited = false;
	return 0;
}

void back_ready(struct backchannel *b, short revents)
{
	int rc = revents & (POLLIN | POLLHUP | POLLERR) ? answer_read(b) : 0;

	if (rc && rc != -EAGAIN)
		back_close(b);
	else
		back_flush(b);
}
