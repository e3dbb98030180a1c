/*
 * Framing of a vfio-user connection. Runs in the server's thread; trusts nothing that the client
 * sends: length, type and descriptors meet the table before a message is looked at, and the
 * descriptors that nobody took are closed with it. What cannot be framed ends the connection; what
 * can, but is wrong, is answered with an errno.
 */
#include "frontend/vfio_user.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/util.h"

#define VERSION_DATA_MAX 4096

static const struct {
	uint16_t min;
	uint32_t max; /* of the payload */
	uint8_t fds;
} rows[VFU_COMMANDS] = {
	/* clang-format off */
	/*                          min                             max                            fds */
	[VFU_VERSION]           = { sizeof(struct vfu_version),     VERSION_DATA_MAX,              0 },
	[VFU_DMA_MAP]           = { sizeof(struct vfu_dma_map),     sizeof(struct vfu_dma_map),    1 },
	[VFU_DMA_UNMAP]         = { sizeof(struct vfu_dma_unmap),   sizeof(struct vfu_dma_unmap),  0 },
	[VFU_GET_INFO]          = { sizeof(struct vfu_info),        sizeof(struct vfu_info),       0 },
	[VFU_GET_REGION_INFO]   = { sizeof(struct vfu_region_info), sizeof(struct vfu_region_info), 0 },
	[VFU_GET_REGION_IO_FDS] = { sizeof(struct vfu_io_fds),      sizeof(struct vfu_io_fds),     0 },
	[VFU_GET_IRQ_INFO]      = { sizeof(struct vfu_irq_info),    sizeof(struct vfu_irq_info),   0 },
	[VFU_SET_IRQS]          = { sizeof(struct vfu_irq_set),     VFU_PAYLOAD_MAX,               VFU_FDS_MAX },
	[VFU_REGION_READ]       = { sizeof(struct vfu_region),      sizeof(struct vfu_region),     0 },
	[VFU_REGION_WRITE]      = { sizeof(struct vfu_region),      VFU_PAYLOAD_MAX,               0 },
	[VFU_RESET]             = { 0,                              0,                             0 },
	[VFU_WRITE_MULTI]       = { sizeof(struct vfu_multi),       VFU_PAYLOAD_MAX,               0 },
	[VFU_FEATURE]           = { sizeof(struct vfu_feature),     VFU_PAYLOAD_MAX,               0 },
	[VFU_MIG_READ]          = { sizeof(struct vfu_data),        sizeof(struct vfu_data),       0 },
	[VFU_MIG_WRITE]         = { sizeof(struct vfu_data),        VFU_PAYLOAD_MAX,               0 },
	/* clang-format on */
};

void vfu_open(struct vfu_connection *c, int sock)
{
	memset(c, 0, offsetof(struct vfu_connection, in));
	c->in_len = c->out_len = c->out_sent = c->nfds = c->out_nfds = 0;
	c->deadline = 0;
	c->sock = sock;
	c->peer_fds = 1;
}

void vfu_close(struct vfu_connection *c)
{
	fd_close_all(c->fds, c->nfds);
	c->nfds = 0;
	fd_close(&c->sock);
}

short vfu_events(const struct vfu_connection *c)
{
	return c->out_sent < c->out_len ? POLLOUT | POLLRDHUP : POLLIN;
}

int vfu_flush(struct vfu_connection *c)
{
	while (c->out_sent < c->out_len) {
		ssize_t n = fd_send(c->sock, (char *)&c->out + c->out_sent,
				    c->out_len - c->out_sent, c->out_fds, c->out_nfds);

		if (n == -EAGAIN) {
			c->deadline = c->deadline ? c->deadline : clock_ms() + VFU_MESSAGE_MS;
			return 0;
		}
		if (n < 0)
			return -ECONNRESET;
		c->out_sent += (size_t)n;
		c->out_nfds = 0; /* they went with the first byte */
	}
	c->out_len = c->out_sent = 0;
	c->deadline = 0;
	return 0;
}

static int message_end(struct vfu_connection *c, size_t len, uint32_t error)
{
	fd_close_all(c->fds, c->nfds);
	c->nfds = 0;
	c->in_len = 0;
	c->deadline = 0;
	if (c->in.head.flags & VFU_NO_REPLY) {
		c->out_nfds = 0;
		return 0;
	}
	c->out.head = (struct vfu_header){ .id = c->in.head.id,
					   .command = c->in.head.command,
					   .size = (uint32_t)(sizeof(c->out.head) + len),
					   .flags = VFU_REPLY | (error ? VFU_ERROR : 0),
					   .error = error };
	c->out_len = c->out.head.size;
	return vfu_flush(c);
}

int vfu_reply(struct vfu_connection *c, size_t len)
{
	return message_end(c, len, 0);
}

int vfu_fail(struct vfu_connection *c, int error)
{
	c->out_nfds = 0;
	return message_end(c, 0, (uint32_t)(error < 0 ? -error : error));
}

static int head_check(const struct vfu_header *head)
{
	if (head->size < sizeof(*head) || head->size - sizeof(*head) > VFU_PAYLOAD_MAX)
		return -EPROTO;
	/* A command, not a reply: none is awaited. */
	return head->flags & VFU_TYPE_MASK ? -EPROTO : 0;
}

/* 1, or what ends or refuses the message. */
static int message_check(struct vfu_connection *c)
{
	uint16_t command = c->in.head.command;

	/* Nothing but a version comes first, and only then. */
	if ((command == VFU_VERSION) == c->versioned)
		return -EPROTO;
	if (command >= VFU_COMMANDS || !(rows[command].max || command == VFU_RESET))
		return vfu_fail(c, ENOTSUP);
	if (vfu_payload(c) < rows[command].min || vfu_payload(c) > rows[command].max ||
	    c->nfds > rows[command].fds)
		return vfu_fail(c, EINVAL);
	return 1;
}

int vfu_receive(struct vfu_connection *c)
{
	size_t want = sizeof(c->in.head), room = VFU_FDS_MAX - c->nfds;
	char *at = (char *)&c->in;
	ssize_t n;

	if (c->in_len >= want)
		want = c->in.head.size;
	n = fd_recv(c->sock, at + c->in_len, want - c->in_len, c->fds + c->nfds, &room);
	if (n == -EAGAIN)
		return 0;
	if (n == -EMSGSIZE)
		return -EPROTO;
	if (n <= 0)
		return -ECONNRESET;
	c->nfds += room;
	c->in_len += (size_t)n;
	if (!c->deadline)
		c->deadline = clock_ms() + VFU_MESSAGE_MS;
	if (c->in_len < sizeof(c->in.head))
		return 0;
	if (head_check(&c->in.head))
		return -EPROTO;
	if (c->in_len < c->in.head.size)
		return 0;
	c->deadline = 0;
	return message_check(c);
}
