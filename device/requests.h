/*
 * What each vhost-user request does once it is known to be well formed. Control thread only.
 * `begin` checks everything and then commits; `finish` runs when the workers that were asked have
 * answered. Both may fill s->out, whose head is ready.
 *
 * Results: 0 done; 1 wait for workers; -EPROTO malformed: close the connection; other -errno:
 * refused, nothing changed.
 */
#ifndef AIRLOCK_DEVICE_REQUESTS_H
#define AIRLOCK_DEVICE_REQUESTS_H

#include "device/session.h"

struct request {
	int (*begin)(struct session *s, const struct vu_message *in);
	int (*finish)(struct session *s,
		      const struct vu_message *in); /* NULL: nothing more to do */
};

/* Takes over what the transfer has loaded; 0 or -errno, nothing changed. */
int request_state_load(struct session *s);
/* NULL: this back-end does not serve it. */
const struct request *request_find(uint32_t number);

#endif
