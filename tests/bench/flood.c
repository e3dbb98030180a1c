/*
 * The flood that a guest receives. Runs in the front-end's thread.
 */
#include "tests/bench/flood.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/rig.h"

void flood_open(struct flood *f, const char *interface, const struct row *row)
{
	struct wire wire;
	int on = 1;

	*f = (struct flood){ .burst = row->traffic == TRAFFIC_LARGE ? 4 : FLOOD_BURST };
	f->frames = malloc((size_t)f->burst * TRAFFIC_ROOM);
	assert_non_null(f->frames);
	assert_ok(wire_open(&wire, interface, 0)); /* protocol 0: captures nothing */
	f->sock = wire.sock;
	assert_ok(setsockopt(f->sock, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)));
	for (unsigned int i = 0; i < f->burst; i++) {
		uint8_t *at = f->frames + (size_t)i * TRAFFIC_ROOM;
		uint32_t len = traffic_fill(row->traffic, row->len, i, at);

		/* The socket's header is the 10 bytes without a count of buffers. */
		f->iov[i] = (struct iovec){ at + 2, len - 2 };
		for (unsigned int byte = sizeof(struct virtio_net_hdr); byte--;)
			at[byte + 2] = at[byte];
		f->msg[i].msg_hdr = (struct msghdr){ .msg_iov = &f->iov[i], .msg_iovlen = 1 };
	}
}

void flood_burst(struct flood *f)
{
	int n = sendmmsg(f->sock, f->msg, f->burst, MSG_DONTWAIT);

	f->offered += n > 0 ? (uint64_t)n : 0;
}

void flood_close(struct flood *f)
{
	close(f->sock);
	free(f->frames);
}
