/* The floods. Each runs in a thread of the test process; trusts the device with nothing: whatever
 * it answers may take its time, and an error only ends the flood. */
#include "tests/support/flood.h"

#include <errno.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/util.h"
#include "tests/support/frame.h"
#include "tests/support/machine.h"

#define RING	 256
#define LEN	 64
#define EVERY_MS 50 /* a request */
#define BATCH	 64

static int guest_start(struct flood *f)
{
	int rc = peer_connect(&f->guest.peer, f->socket);

	return rc ? rc : guest_open(&f->guest, &(struct guest_options){ .ring_size = RING });
}

/* Takes back whatever the device is done with and posts it again. */
static uint64_t recycle(struct guest_queue *q, uint32_t len, bool receive)
{
	uint32_t slot, written;
	uint64_t n = 0;

	while (n < RING && guest_ring_take(&q->ring, &slot, &written) > 0) {
		struct guest_piece p = { q->slot[slot], len, receive };

		guest_ring_post(&q->ring, &p, 1, false, slot);
		n++;
	}
	if (n)
		guest_ring_kick(&q->ring);
	return n;
}

static void transmit_ring_fill(struct flood *f, uint32_t len)
{
	struct guest_queue *q = &f->guest.queue[1];

	for (uint32_t i = 0; i < q->slots; i++) {
		struct guest_piece p = { q->slot[i], len, false };
		uint8_t *bytes = guest_at(&f->guest.memory, p.gpa, 12 + LEN);

		memset(bytes, 0, 12);
		frame_pattern(bytes + 12, LEN, i);
		guest_ring_post(&q->ring, &p, 1, false, i);
	}
	guest_ring_kick(&q->ring);
}

static int ring_never_dry(struct flood *f)
{
	const uint32_t len = f->kind == FLOOD_RUNTS ? 12 + 4 : 12 + LEN;

	if (!f->turns)
		transmit_ring_fill(f, len);
	recycle(&f->guest.queue[1], len, false);
	f->received += recycle(&f->guest.queue[0], f->guest.queue[0].slot_bytes, true);
	return 0;
}

static int kicks(struct flood *f)
{
	for (int i = 0; i < BATCH; i++) {
		fd_signal(f->guest.queue[0].ring.kick);
		fd_signal(f->guest.queue[1].ring.kick);
	}
	f->received += recycle(&f->guest.queue[0], f->guest.queue[0].slot_bytes, true);
	return 0;
}

static int requests(struct flood *f)
{
	struct vu_vring_state on = { .index = 1, .num = 1 };
	struct vu_message answer;
	int rc = 0;

	for (int i = 0; i < BATCH && !rc; i++)
		rc = peer_send(&f->guest.peer, VU_SET_VRING_ENABLE, VU_VERSION | VU_FLAG_NEED_REPLY,
			       &on, sizeof(on), NULL, 0);
	for (int i = 0; i < BATCH && !rc; i++)
		rc = peer_recv(&f->guest.peer, &answer);
	f->received += recycle(&f->guest.queue[0], f->guest.queue[0].slot_bytes, true);
	return rc;
}

static int tap_flood(struct flood *f)
{
	uint8_t frame[LEN];

	for (uint32_t i = 0; i < BATCH; i++) {
		frame_pattern(frame, sizeof(frame), i);
		wire_send(&f->wire, NULL, frame, sizeof(frame));
	}
	if (f->kind == FLOOD_TAP)
		f->received += recycle(&f->guest.queue[0], f->guest.queue[0].slot_bytes, true);
	return 0;
}

static int connections(struct flood *f)
{
	const uint32_t nonsense[3] = { 0xffffffff, 0xffffffff, 0xffffffff };
	struct peer peer;
	int rc = peer_connect(&peer, f->socket);

	if (rc)
		return rc;
	if (f->kind == FLOOD_NONSENSE) {
		peer_send_raw(&peer, nonsense, sizeof(nonsense), NULL, 0);
		peer_closed(&peer, 2000);
	} else {
		rc = peer_sync(&peer);
	}
	peer_close(&peer);
	return rc;
}

static const struct {
	const char *name;
	bool guest; /* on one connection that lasts */
	int (*turn)(struct flood *f);
} kinds[FLOOD_KINDS] = {
	[FLOOD_HONEST] = { "frames, as an honest guest", true, ring_never_dry },
	[FLOOD_RUNTS] = { "frames that are none", true, ring_never_dry },
	[FLOOD_KICKS] = { "kicks", true, kicks },
	[FLOOD_REQUESTS] = { "requests", true, requests },
	[FLOOD_TAP] = { "frames from the host", true, tap_flood },
	[FLOOD_TAP_UNREAD] = { "frames from the host, not taken", true, tap_flood },
	[FLOOD_CONNECTIONS] = { "connections", false, connections },
	[FLOOD_NONSENSE] = { "connections with nonsense", false, connections },
};

const char *flood_name(enum flood_kind kind)
{
	return kinds[kind].name;
}

static void request_besides(struct flood *f)
{
	int64_t begin = machine_ms();

	f->error = peer_sync(&f->guest.peer);
	f->slowest_ms = max_of(f->slowest_ms, machine_ms() - begin);
}

static void *flood_run(void *arg)
{
	struct flood *f = arg;
	int64_t next = 0;

	if (kinds[f->kind].guest)
		f->error = guest_start(f);
	while (!f->error && !__atomic_load_n(&f->stop, __ATOMIC_RELAXED)) {
		f->error = kinds[f->kind].turn(f);
		f->turns++;
		if (!kinds[f->kind].guest || f->error || clock_ms() < next)
			continue;
		request_besides(f);
		next = clock_ms() + EVERY_MS;
	}
	return NULL;
}

void flood_start(struct flood *flood, enum flood_kind kind, const char *socket, const char *tap)
{
	*flood = (struct flood){
		.kind = kind, .socket = socket, .tap = tap, .wire = { .sock = -1 }
	};
	guest_blank(&flood->guest);
	flood->error = wire_open(&flood->wire, tap, 0); /* captures nothing */
	pthread_create(&flood->thread, NULL, flood_run, flood);
}

void flood_stop(struct flood *flood)
{
	__atomic_store_n(&flood->stop, true, __ATOMIC_RELAXED);
	pthread_join(flood->thread, NULL);
	guest_close(&flood->guest);
	wire_close(&flood->wire);
}
