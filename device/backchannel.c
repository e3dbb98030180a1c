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
	/* What was not acknowledged may be lost, and is said again: once too often harms nobody. */
	if (b->awaited && b->out.head.request == VU_BACK_VRING_CALL)
		b->calls[b->ring] = true;
	else if (b->awaited && b->out.head.request == VU_BACK_VRING_ERR)
		b->errs[b->ring] = true;
	else if (b->awaited && b->asked && !b->misses[b->ring])
		b->misses[b->ring] = b->asked;
	if (b->awaited)
		b->ring = (b->ring + BACK_RINGS - 1) % BACK_RINGS; /* its turn is now */
	fd_close(&b->sock);
	b->out_len = b->out_sent = b->in_len = 0;
	b->awaited = false;
	b->asked = 0;
}

static void message_begin(struct backchannel *b, uint32_t request, uint32_t flags, size_t size)
{
	b->out.head = (struct vu_header){ request, VU_VERSION | flags, (uint32_t)size };
	b->awaited = flags & VU_FLAG_NEED_REPLY;
}

static void message_iotlb(struct backchannel *b, uint64_t miss, enum vu_iotlb_type type)
{
	message_begin(b, VU_BACK_IOTLB_MSG, VU_FLAG_NEED_REPLY, sizeof(b->out.iotlb));
	b->out.iotlb = (struct vu_iotlb){ .iova = miss & ~(uint64_t)VU_ACCESS_RW,
					  .perm = miss & VU_ACCESS_RW,
					  .type = (uint8_t)type };
}

static void message_vring(struct backchannel *b, uint32_t request)
{
	message_begin(b, request, VU_FLAG_NEED_REPLY, sizeof(b->out.state));
	b->out.state = (struct vu_vring_state){ b->ring, 0 };
}

/* What there is to say of b->ring, a thing at a time. */
static bool message_ring(struct backchannel *b)
{
	uint32_t i = b->ring;

	if (b->calls[i]) {
		message_vring(b, VU_BACK_VRING_CALL);
		b->calls[i] = false;
	} else if (b->errs[i]) {
		message_vring(b, VU_BACK_VRING_ERR);
		b->errs[i] = false;
	} else if (b->denied[i]) {
		message_iotlb(b, b->denied[i], VU_IOTLB_ACCESS_FAIL);
		b->denied[i] = 0;
	} else if (b->misses[i]) {
		message_iotlb(b, b->misses[i], VU_IOTLB_MISS);
		b->asked = b->misses[i];
		b->misses[i] = 0;
	} else {
		return false;
	}
	return true;
}

/* The next thing to say: configuration first, since it comes seldom; then of the rings in turn. */
static bool message_next(struct backchannel *b)
{
	b->asked = 0;
	if (b->config) {
		b->config = false;
		message_begin(b, VU_BACK_CONFIG_CHANGE, 0, 0);
		return true;
	}
	for (uint32_t i = 0; i < BACK_RINGS; i++) {
		b->ring = (b->ring + 1) % BACK_RINGS;
		if (message_ring(b))
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
		n = send(b->sock, (char *)&b->out.head + b->out_sent, b->out_len - b->out_sent,
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

void back_miss(struct backchannel *b, unsigned int ring, uint64_t miss)
{
	b->misses[ring] = miss;
	back_flush(b);
}

void back_denied(struct backchannel *b, unsigned int ring, uint64_t miss)
{
	b->denied[ring] = miss;
	back_flush(b);
}

void back_forget_misses(struct backchannel *b)
{
	memset(b->misses, 0, sizeof(b->misses));
	b->asked = b->refused = 0;
}

uint64_t back_refused(struct backchannel *b, unsigned int *ring)
{
	uint64_t refused = b->refused;

	*ring = b->refused_ring;
	b->refused = 0;
	return refused;
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
	uint64_t value;
	size_t nfds = 0;
	ssize_t n = fd_recv(b->sock, b->in + b->in_len, sizeof(b->in) - b->in_len, NULL, &nfds);

	if (n <= 0)
		return n == -EAGAIN ? -EAGAIN : -EPROTO;
	b->in_len += (size_t)n;
	if (b->in_len < sizeof(b->in))
		return 0;
	memcpy(&head, b->in, sizeof(head));
	memcpy(&value, b->in + sizeof(head), sizeof(value));
	b->in_len = 0;
	if (!b->awaited || head.request != b->out.head.request ||
	    head.flags != (VU_VERSION | VU_FLAG_REPLY) || head.size != sizeof(uint64_t))
		return -EPROTO;
	b->awaited = false;
	if (value && b->asked) {
		b->refused = b->asked;
		b->refused_ring = b->ring;
	}
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
