/*
 * The flood that a guest receives. Runs in the front-end's thread.
 */
#include "tests/bench/flood.h"

#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/util.h"
#include "tests/support/rig.h"

#define TRAIN 32 /* frames, of small ones */

void flood_open(struct flood *f, const char *interface, const struct row *row)
{
	struct wire wire;

	*f = (struct flood){ .frames = row->traffic == TRAFFIC_LARGE
					       ? 1
					       : min_of((unsigned int)TRAIN,
							TRAFFIC_GSO / row->len) };
	f->buffers = malloc((size_t)FLOOD_FLOWS * TRAFFIC_ROOM);
	assert_non_null(f->buffers);
	assert_ok(wire_open(&wire, interface, 0)); /* protocol 0: captures nothing */
	f->sock = wire.sock;
	for (unsigned int i = 0; i < FLOOD_FLOWS; i++) {
		uint8_t *at = f->buffers + (size_t)i * TRAFFIC_ROOM;
		uint32_t len = f->frames > 1 ? traffic_train(row->len, f->frames, i, at)
					     : traffic_fill(row->traffic, row->len, i, at);

		/* The socket's header is the 10 bytes without a count of buffers. */
		memmove(at + 2, at, sizeof(struct virtio_net_hdr));
		f->iov[i] = (struct iovec){ at + 2, len - 2 };
	}
}

void flood_burst(struct flood *f)
{
	const struct iovec *iov = &f->iov[f->next++ % FLOOD_FLOWS];

	if (send(f->sock, iov->iov_base, iov->iov_len, MSG_DONTWAIT) > 0)
		f->offered += f->frames;
}

void flood_close(struct flood *f)
{
	close(f->sock);
	free(f->buffers);
}
