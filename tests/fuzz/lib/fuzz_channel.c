/*
 * Any packet, with any number of descriptors, at either end of the broker's channel in any phase:
 * it is one of the messages permitted there, or an error with nothing kept.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/channel.h"
#include "lib/event.h"
#include "lib/fd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int sock[2] = { -1, -1 };

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 300; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void check(const struct channel_msg *msg, size_t nfds)
{
	char line[64];

	if (msg->version != CHANNEL_VERSION || msg->type >= CHANNEL_TYPES ||
	    !strcmp(channel_name(msg->type), "unknown"))
		abort();
	if ((msg->type == CHANNEL_SERVE || msg->type == CHANNEL_BACKEND) != (nfds > 0))
		abort();
	if (msg->type != CHANNEL_EVENT)
		return;
	event_describe(msg->event.code, msg->event.a, msg->event.b, line, sizeof(line));
	if (!memchr(line, '\0', sizeof(line)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fds[CHANNEL_FDS_MAX], pass[FD_PASS_MAX] = { 0 };
	enum channel_phase phase;
	struct channel_msg msg;
	size_t nfds, sent;
	bool broker;
	int before, rc;

	if (size < 3)
		return 0;
	if (sock[0] < 0 && socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sock))
		abort();
	phase = data[0] & 3;
	broker = data[0] & 4;
	sent = data[0] & 8 ? data[1] % (FD_PASS_MAX + 1) : 0;
	before = open_fds();
	if (fd_send(sock[0], data + 2, size - 2, pass, sent) < 0)
		return 0;
	nfds = broker ? 0 : CHANNEL_FDS_MAX;
	rc = channel_recv(sock[1], broker ? CHANNEL_BROKER : CHANNEL_DEVICE, phase, &msg, fds,
			  &nfds);
	if (rc == 1)
		check(&msg, nfds);
	else if (rc != -EPROTO || nfds)
		abort();
	if (open_fds() != before + (int)nfds)
		abort();
	fd_close_all(fds, nfds);
	return 0;
}
