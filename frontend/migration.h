/*
 * The migration states of a vfio-user device: stop, copy, resume (DEVICE_FEATURE and MIG_DATA).
 * What is carried is airlock_save()'s state. Transitions wait for the device, a few deadlines at
 * most. The server's thread.
 */
#ifndef AIRLOCK_FRONTEND_MIGRATION_H
#define AIRLOCK_FRONTEND_MIGRATION_H

#include "frontend/airlock-frontend.h"
#include "frontend/vfio_user.h"

enum migration_state {
	MIGRATION_ERROR = 0,
	MIGRATION_STOP = 1,
	MIGRATION_RUNNING = 2,
	MIGRATION_STOP_COPY = 3,
	MIGRATION_RESUMING = 4,
};

struct migration {
	enum migration_state state;
	size_t len, at; /* of data: valid; read so far */
	uint8_t data[AIRLOCK_STATE_MAX];
};

void migration_init(struct migration *m);
/* DEVICE_FEATURE: fills out (room for VFU_TRANSFER) and returns its length, or -errno. */
ssize_t migration_feature(struct migration *m, struct airlock_transport *t,
			  const struct vfu_feature *in, size_t len, struct vfu_feature *out);
ssize_t migration_read(struct migration *m, const struct vfu_data *in, struct vfu_data *out);
int migration_write(struct migration *m, const struct vfu_data *in, size_t len);

#endif
