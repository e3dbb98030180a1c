/*
 * The driver's half of the control queue. Trusts nothing that the device writes: an answer is one
 * byte in a chain that it returned with exactly that length.
 */
#include "tests/support/control.h"

#include <errno.h>
#include <string.h>

#define SIZE	   16
#define BYTES	   8192
#define ANSWER_AT  (BYTES - 8)
#define TIMEOUT_MS 8000

int control_configure(struct control *c, uint32_t base)
{
	struct peer *p = &c->guest->peer;
	struct vu_vring_addr a = { .index = c->index,
				   .desc = guest_uva(&c->guest->memory, c->ring.desc),
				   .avail = guest_uva(&c->guest->memory, c->ring.driver),
				   .used = guest_uva(&c->guest->memory, c->ring.device) };
	int rc = peer_tell_state(p, VU_SET_VRING_NUM, c->index, SIZE);

	if (!rc)
		rc = peer_tell_state(p, VU_SET_VRING_BASE, c->index, base);
	if (!rc)
		rc = peer_tell(p, VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0);
	if (!rc)
		rc = peer_tell_event(p, VU_SET_VRING_KICK, c->index, c->ring.kick);
	if (!rc)
		rc = peer_tell_event(p, VU_SET_VRING_CALL, c->index, c->ring.call);
	if (!rc)
		rc = peer_tell_state(p, VU_SET_VRING_ENABLE, c->index, 1);
	return rc ? rc : peer_sync(p);
}

int control_open(struct control *c, struct guest *guest, unsigned pairs)
{
	bool many = guest->peer.features & BIT(VIRTIO_NET_F_MQ);
	bool packed = guest->peer.features & BIT(VIRTIO_F_RING_PACKED);
	int rc;

	*c = (struct control){ .guest = guest,
			       .index = many ? 2 * pairs : 2,
			       .base = packed ? GUEST_PACKED_BASE : 0 };
	c->ring.kick = c->ring.call = c->ring.err = -1;
	rc = guest_ring_init(&c->ring, &guest->memory, packed ? &guest_packed : &guest_split, SIZE,
			     guest->peer.features & BIT(VIRTIO_RING_F_EVENT_IDX), 0, false);
	if (rc)
		return rc;
	guest_ring_start(&c->ring, c->base);
	c->buffer = guest_alloc(&guest->memory, BYTES, 8);
	return c->buffer == GUEST_NOWHERE ? -ENOMEM : control_configure(c, c->base);
}

void control_close(struct control *c)
{
	guest_ring_free(&c->ring);
}

int control_say(struct control *c, uint8_t class, uint8_t command, const void *data, size_t len)
{
	uint8_t *at = guest_at(&c->guest->memory, c->buffer, BYTES);
	struct guest_piece pieces[] = {
		{ c->buffer, 2, false },
		{ c->buffer + 2, (uint32_t)len, false },
		{ c->buffer + ANSWER_AT, 1, true },
	};
	uint32_t cookie, used;
	int rc;

	at[0] = class;
	at[1] = command;
	if (len)
		memcpy(at + 2, data, len);
	at[ANSWER_AT] = 0x5a;
	rc = guest_ring_post(&c->ring, pieces, 3, false, 1);
	if (rc)
		return rc;
	guest_ring_kick(&c->ring);
	rc = guest_ring_wait(&c->ring, TIMEOUT_MS);
	if (!rc)
		rc = guest_ring_take(&c->ring, &cookie, &used);
	if (rc != 1)
		return rc < 0 ? rc : -EPROTO;
	return used == 1 && at[ANSWER_AT] <= 1 ? at[ANSWER_AT] : -EPROTO;
}

int control_say16(struct control *c, uint8_t class, uint8_t command, uint16_t value)
{
	return control_say(c, class, command, &value, sizeof(value));
}

int control_say8(struct control *c, uint8_t class, uint8_t command, uint8_t value)
{
	return control_say(c, class, command, &value, sizeof(value));
}
