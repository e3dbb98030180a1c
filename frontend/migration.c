/*
 * Migration. Runs in the server's thread; what a client writes as state is checked by
 * airlock_restore() and nowhere trusted before.
 *
 *   RUNNING <--> STOP --> STOP_COPY --> STOP        every other way leads through STOP
 *                STOP --> RESUMING --> STOP
 */
#include "frontend/migration.h"

#include <errno.h>
#include <string.h>

#include "lib/util.h"

#define FEATURE_MASK	  0xffffu
#define FEATURE_GET	  (1u << 16)
#define FEATURE_SET	  (1u << 17)
#define FEATURE_PROBE	  (1u << 18)
#define FEATURE_MIGRATION 1
#define FEATURE_STATE	  2
#define CAN_STOP_COPY	  1

struct state_data {
	uint32_t state, fd;
};

void migration_init(struct migration *m)
{
	m->state = MIGRATION_RUNNING;
	m->len = m->at = 0;
}

/* To STOP. */
static int leave(struct migration *m, struct airlock_transport *t)
{
	switch (m->state) {
	case MIGRATION_RUNNING:
		return airlock_stop(t);
	case MIGRATION_RESUMING:
		return m->len ? airlock_restore(t, m->data, m->len) : 0;
	case MIGRATION_STOP:
	case MIGRATION_STOP_COPY:
		return 0;
	case MIGRATION_ERROR:
		break;
	}
	return -EINVAL;
}

static int enter(struct migration *m, struct airlock_transport *t, enum migration_state state)
{
	ssize_t n;

	m->len = m->at = 0;
	if (state == MIGRATION_RUNNING)
		return airlock_start(t);
	if (state != MIGRATION_STOP_COPY)
		return 0;
	n = airlock_save(t, m->data, sizeof(m->data));
	m->len = n > 0 ? (size_t)n : 0;
	return n < 0 ? (int)n : 0;
}

static int state_set(struct migration *m, struct airlock_transport *t, uint32_t state)
{
	int rc;

	if (state < MIGRATION_STOP || state > MIGRATION_RESUMING)
		return -EINVAL;
	if (state == m->state)
		return 0;
	rc = leave(m, t);
	if (!rc) {
		m->state = MIGRATION_STOP;
		rc = enter(m, t, state);
	}
	m->state = rc ? MIGRATION_ERROR : (enum migration_state)state;
	return rc;
}

static ssize_t probe(uint32_t feature, uint32_t flags)
{
	uint32_t can = feature == FEATURE_MIGRATION ? FEATURE_GET
		       : feature == FEATURE_STATE   ? FEATURE_GET | FEATURE_SET
						    : 0;

	return can && !(flags & (FEATURE_GET | FEATURE_SET) & ~can) ? 0 : -ENOTSUP;
}

ssize_t migration_feature(struct migration *m, struct airlock_transport *t,
			  const struct vfu_feature *in, size_t len, struct vfu_feature *out)
{
	uint32_t feature = in->flags & FEATURE_MASK, how = in->flags & (FEATURE_GET | FEATURE_SET);
	const uint64_t can = CAN_STOP_COPY;
	struct state_data data = { .state = m->state };
	ssize_t rc = probe(feature, in->flags);

	*out = *in;
	if (rc)
		return rc;
	if (in->flags & FEATURE_PROBE)
		return sizeof(*out);
	if (how == FEATURE_GET && feature == FEATURE_MIGRATION) {
		memcpy(out->data, &can, sizeof(can));
		out->argsz = sizeof(*out) + sizeof(can);
	} else if (how == FEATURE_GET) {
		memcpy(out->data, &data, sizeof(data));
		out->argsz = sizeof(*out) + sizeof(data);
	} else if (how == FEATURE_SET && len >= sizeof(*in) + sizeof(data)) {
		memcpy(&data, in->data, sizeof(data));
		memcpy(out->data, &data, sizeof(data));
		rc = state_set(m, t, data.state);
		return rc ? rc : (ssize_t)(sizeof(*out) + sizeof(data));
	} else {
		return -EINVAL;
	}
	return out->argsz;
}

ssize_t migration_read(struct migration *m, const struct vfu_data *in, struct vfu_data *out)
{
	size_t n = min_of(m->len - m->at, (size_t)min_of(in->size, (uint32_t)VFU_TRANSFER));

	if (m->state != MIGRATION_STOP_COPY)
		return -EINVAL;
	memcpy(out->data, m->data + m->at, n);
	m->at += n;
	*out = (struct vfu_data){ .argsz = (uint32_t)(sizeof(*out) + n), .size = (uint32_t)n };
	return out->argsz;
}

int migration_write(struct migration *m, const struct vfu_data *in, size_t len)
{
	if (m->state != MIGRATION_RESUMING || in->size != len - sizeof(*in))
		return -EINVAL;
	if (!range_within(m->len, in->size, sizeof(m->data)))
		return -ENOSPC;
	memcpy(m->data + m->len, in->data, in->size);
	m->len += in->size;
	return 0;
}
