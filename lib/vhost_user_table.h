/*
 * One row per vhost-user request: what a well-formed one looks like. The back-end checks what it
 * receives, the front-end library what it sends, with the same table. No state; any thread.
 */
#ifndef AIRLOCK_LIB_VHOST_USER_TABLE_H
#define AIRLOCK_LIB_VHOST_USER_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/vhost_user.h"

enum vu_reply {
	VU_REPLY_NONE,	  /* only a REPLY_ACK status, where NEED_REPLY asks for one */
	VU_REPLY_PAYLOAD, /* an answer of its own; NEED_REPLY adds nothing */
};

#define VU_NO_FEATURE (-1)

/* When a request may come. */
enum vu_phase {
	VU_ANY,	      /* at any time */
	VU_RINGS,     /* names a ring: the handler checks its index against the rings there are */
	VU_UNSTARTED, /* only while no ring runs */
};

struct vu_row {
	const char *name;
	uint16_t min_len, max_len; /* of the payload, bytes */
	uint8_t min_fds, max_fds;
	enum vu_reply reply;
	int8_t feature; /* protocol feature that must be negotiated, or VU_NO_FEATURE */
	enum vu_phase phase;
};

/* The row of a request, or NULL where the specification (or a net device) has none. */
const struct vu_row *vu_row(uint32_t request);
const char *vu_name(uint32_t request);

/*
 * Checks a message of `len` payload bytes and `nfds` descriptors from the front-end. `negotiated`:
 * protocol features. 0; -EPROTO malformed (close the connection: flags, length, descriptors);
 * -EOPNOTSUPP well formed, but unknown or of a feature that was not negotiated (refuse).
 */
int vu_check(const struct vu_header *head, size_t nfds, uint64_t negotiated);

#endif
