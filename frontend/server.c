/*
 * The commands of vfio-user. Runs in the server's thread; trusts no field of a message beyond what
 * the table of vfio_user.c has checked: indices, ranges and counts are each handler's first lines.
 *
 * A handler returns the length of its reply, WAIT when the device must finish first, or -errno,
 * which the client is told.
 */
#include "frontend/server.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <string.h>

#include "lib/fd.h"
#include "lib/util.h"

#define WAIT 1000000 /* longer than any reply */

#define REGIONS	      9 /* as VFIO numbers them for PCI */
#define FLAG_RESET    1u
#define FLAG_PCI      2u
#define REGION_READ   1u
#define REGION_WRITE  2u
#define PIECE	      8u
#define MESSAGES_TURN 32 /* a flood leaves time for interrupts and the back-end */

static void access_done(struct airlock_access *a)
{
	struct server *s = a->opaque;

	s->over = true;
}

static void memory_done(void *opaque, int result)
{
	struct server *s = opaque;

	s->over = true;
	s->result = result;
}

/* ---- version */

static int version_parse(struct server *s, const struct vfu_version *in, bool *multi)
{
	size_t len = vfu_payload(&s->connection) - sizeof(*in);
	json_t *data, *caps;
	json_int_t fds;

	*multi = false;
	if (in->major != VFU_MAJOR)
		return -EPROTO;
	if (!len)
		return 0;
	data = json_loadb(in->data, strnlen(in->data, len), 0, NULL);
	if (!data)
		return -EPROTO;
	caps = json_object_get(data, "capabilities");
	fds = json_integer_value(json_object_get(caps, "max_msg_fds"));
	if (fds > 0)
		s->connection.peer_fds = (unsigned int)min_of(fds, (json_int_t)VFU_FDS_MAX);
	*multi = json_is_true(json_object_get(caps, "write_multiple"));
	json_decref(data);
	return 0;
}

static ssize_t version(struct server *s, const void *in, void *out)
{
	const struct vfu_version *asked = in;
	struct vfu_version *reply = out;
	bool multi;
	int n;

	if (version_parse(s, asked, &multi))
		return -EPROTO;
	reply->major = VFU_MAJOR;
	reply->minor = min_of(asked->minor, (uint16_t)VFU_MINOR);
	n = snprintf(reply->data, 256,
		     "{\"capabilities\":{\"max_msg_fds\":%d,\"max_data_xfer_size\":%d,"
		     "\"max_dma_maps\":%d,\"pgsizes\":4096%s}}",
		     VFU_FDS_MAX, VFU_TRANSFER, DMA_MAX, multi ? ",\"write_multiple\":true" : "");
	s->connection.versioned = true;
	return (ssize_t)sizeof(*reply) + n + 1;
}

/* ---- memory */

static ssize_t dma_map_begin(struct server *s, const void *in, void *out)
{
	struct vfu_connection *c = &s->connection;
	const struct vfu_dma_map *map = in;
	int rc = dma_map(&s->dma, s->t, map, c->nfds ? c->fds[0] : -1, memory_done, s);

	(void)out;
	s->mapping = map->address;
	return rc == 1 ? WAIT : rc;
}

static ssize_t dma_map_end(struct server *s, const void *in, void *out)
{
	(void)in;
	(void)out;
	if (s->result)
		dma_forget(&s->dma, s->mapping);
	return s->result;
}

static ssize_t dma_unmap_begin(struct server *s, const void *in, void *out)
{
	const struct vfu_dma_unmap *unmap = in;
	int rc = dma_unmap(&s->dma, s->t, unmap, memory_done, s);

	memcpy(out, in, sizeof(*unmap));
	if (rc == 1)
		return WAIT;
	return rc ? rc : (ssize_t)sizeof(*unmap);
}

static ssize_t dma_unmap_end(struct server *s, const void *in, void *out)
{
	(void)s;
	memcpy(out, in, sizeof(struct vfu_dma_unmap));
	return sizeof(struct vfu_dma_unmap); /* what is gone is gone: the book says so */
}

/* ---- what the device is */

static ssize_t get_info(struct server *s, const void *in, void *out)
{
	const struct vfu_info info = { .argsz = sizeof(info),
				       .flags = FLAG_RESET | FLAG_PCI,
				       .regions = REGIONS,
				       .irqs = IRQ_KINDS };

	(void)s;
	if (((const struct vfu_info *)in)->argsz < sizeof(info))
		return -EINVAL;
	memcpy(out, &info, sizeof(info));
	return sizeof(info);
}

static ssize_t get_region_info(struct server *s, const void *in, void *out)
{
	const struct vfu_region_info *asked = in;
	struct vfu_region_info info = { .argsz = sizeof(info), .index = asked->index };

	if (asked->argsz < sizeof(info) || asked->index >= REGIONS)
		return -EINVAL;
	info.size = airlock_region_size(s->t, (enum airlock_region)asked->index);
	info.flags = info.size ? REGION_READ | REGION_WRITE : 0;
	memcpy(out, &info, sizeof(info));
	return sizeof(info);
}

/* A doorbell is an eventfd that the back-end reads itself: with it, a kick never comes here. */
static ssize_t get_io_fds(struct server *s, const void *in, void *out)
{
	struct vfu_connection *c = &s->connection;
	const struct vfu_io_fds *asked = in;
	struct vfu_io_fds head = { .argsz = sizeof(head), .index = asked->index };
	struct vfu_io_fd *each = ptr_add(out, sizeof(head));
	uint32_t most =
		min_of(airlock_queues(s->t), min_of(c->peer_fds, (unsigned int)VFU_FDS_MAX));

	if (asked->argsz < sizeof(head) || asked->flags || asked->index >= REGIONS)
		return -EINVAL;
	if (asked->index != AIRLOCK_BAR0)
		most = 0;
	head.argsz += (uint32_t)(most * sizeof(*each));
	for (uint32_t i = 0; i < most && asked->argsz >= head.argsz; i++) {
		uint64_t offset;
		int64_t value;
		int fd = airlock_doorbell(s->t, i, &offset, &value);

		if (fd < 0)
			return fd;
		each[i] = (struct vfu_io_fd){ .offset = offset, .fd_index = i };
		c->out_fds[c->out_nfds++] = fd;
		head.count++;
	}
	memcpy(out, &head, sizeof(head));
	return (ssize_t)(sizeof(head) + head.count * sizeof(*each));
}

static ssize_t get_irq_info(struct server *s, const void *in, void *out)
{
	struct vfu_irq_info info;
	int rc;

	memcpy(&info, in, sizeof(info));
	if (info.argsz < sizeof(info))
		return -EINVAL;
	rc = irq_info(&s->irq, &info);
	memcpy(out, &info, sizeof(info));
	return rc ? rc : (ssize_t)sizeof(info);
}

static ssize_t set_irqs(struct server *s, const void *in, void *out)
{
	struct vfu_connection *c = &s->connection;

	(void)out;
	return irq_set(&s->irq, s->t, in, vfu_payload(c), c->fds, c->nfds);
}

/* ---- registers */

static int region_check(const struct server *s, uint32_t region, uint64_t offset, uint64_t count)
{
	if (region >= REGIONS || !count)
		return -EINVAL;
	/* A stopped device's registers wait for its start, which could not come past them. */
	if (region == AIRLOCK_BAR0 && s->migration.state != MIGRATION_RUNNING)
		return -EBUSY;
	return range_within(offset, count, airlock_region_size(s->t, (enum airlock_region)region))
		       ? 0
		       : -EINVAL;
}

/* The first access of a client finds the device as the last one left it. */
static void unpark(struct server *s)
{
	if (s->parked)
		airlock_start(s->t);
	s->parked = false;
}

/* Up to 8 bytes are one access, however aligned; more are taken apart. Configuration space is, by
 * nature, in double words. */
static uint8_t piece(uint32_t region, uint64_t offset, uint64_t left)
{
	uint64_t most = region == AIRLOCK_CONFIG ? 4 - (offset & 3) : PIECE;

	return (uint8_t)min_of(left, most);
}

/* Begins the access of one piece: 0 done, WAIT. */
static ssize_t piece_begin(struct server *s, uint32_t region, uint64_t offset, uint8_t len,
			   bool write, const void *data)
{
	s->access = (struct airlock_access){ .region = (enum airlock_region)region,
					     .write = write,
					     .len = len,
					     .offset = offset,
					     .done = access_done,
					     .opaque = s };
	if (write)
		memcpy(s->access.data, data, len);
	return airlock_access(s->t, &s->access) ? WAIT : 0;
}

static ssize_t region_go_on(struct server *s, const struct vfu_region *r, struct vfu_region *out,
			    bool write)
{
	while (s->done < r->count) {
		uint8_t len = piece(r->region, r->offset + s->done, r->count - s->done);
		ssize_t rc;

		if (!s->over) {
			rc = piece_begin(s, r->region, r->offset + s->done, len, write,
					 r->data + s->done);
			if (rc)
				return rc;
		}
		s->over = false;
		if (!write)
			memcpy(out->data + s->done, s->access.data, len);
		s->done += len;
	}
	memcpy(out, r, sizeof(*r));
	return (ssize_t)(sizeof(*r) + (write ? 0 : r->count));
}

static ssize_t region_read_end(struct server *s, const void *in, void *out)
{
	return region_go_on(s, in, out, false);
}

static ssize_t region_read(struct server *s, const void *in, void *out)
{
	const struct vfu_region *r = in;
	int rc =
		r->count > VFU_TRANSFER ? -EINVAL : region_check(s, r->region, r->offset, r->count);

	unpark(s);
	return rc ? rc : region_go_on(s, r, out, false);
}

static ssize_t region_write_end(struct server *s, const void *in, void *out)
{
	return region_go_on(s, in, out, true);
}

static ssize_t region_write(struct server *s, const void *in, void *out)
{
	const struct vfu_region *r = in;
	int rc = region_check(s, r->region, r->offset, r->count);

	if (r->count != vfu_payload(&s->connection) - sizeof(*r))
		return -EINVAL;
	unpark(s);
	return rc ? rc : region_go_on(s, r, out, true);
}

static ssize_t write_multi_end(struct server *s, const void *in, void *out)
{
	const struct vfu_multi *m = in;

	while (s->done < m->count) {
		ssize_t rc;

		if (!s->over) {
			rc = piece_begin(s, m->write[s->done].region, m->write[s->done].offset,
					 (uint8_t)m->write[s->done].count, true,
					 m->write[s->done].data);
			if (rc)
				return rc;
		}
		s->over = false;
		s->done++;
	}
	memcpy(out, &m->count, sizeof(m->count));
	return sizeof(m->count);
}

static ssize_t write_multi(struct server *s, const void *in, void *out)
{
	const struct vfu_multi *m = in;
	size_t room = (vfu_payload(&s->connection) - sizeof(*m)) / sizeof(m->write[0]);

	if (!m->count || m->count > room)
		return -EINVAL;
	/* All of them, or none. */
	for (uint64_t i = 0; i < m->count; i++)
		if (m->write[i].count > PIECE ||
		    region_check(s, m->write[i].region, m->write[i].offset, m->write[i].count))
			return -EINVAL;
	unpark(s);
	return write_multi_end(s, in, out);
}

/* ---- reset and migration */

static ssize_t reset(struct server *s, const void *in, void *out)
{
	(void)in;
	(void)out;
	airlock_reset(s->t);
	airlock_start(s->t);
	s->parked = false;
	migration_init(&s->migration);
	return 0;
}

static ssize_t feature(struct server *s, const void *in, void *out)
{
	unpark(s);
	return migration_feature(&s->migration, s->t, in, vfu_payload(&s->connection), out);
}

static ssize_t mig_read(struct server *s, const void *in, void *out)
{
	return migration_read(&s->migration, in, out);
}

static ssize_t mig_write(struct server *s, const void *in, void *out)
{
	(void)out;
	return migration_write(&s->migration, in, vfu_payload(&s->connection));
}

/* ---- dispatch */

static const struct {
	ssize_t (*begin)(struct server *s, const void *in, void *out);
	ssize_t (*end)(struct server *s, const void *in, void *out); /* after WAIT */
} handlers[VFU_COMMANDS] = {
	[VFU_VERSION] = { version, NULL },
	[VFU_DMA_MAP] = { dma_map_begin, dma_map_end },
	[VFU_DMA_UNMAP] = { dma_unmap_begin, dma_unmap_end },
	[VFU_GET_INFO] = { get_info, NULL },
	[VFU_GET_REGION_INFO] = { get_region_info, NULL },
	[VFU_GET_REGION_IO_FDS] = { get_io_fds, NULL },
	[VFU_GET_IRQ_INFO] = { get_irq_info, NULL },
	[VFU_SET_IRQS] = { set_irqs, NULL },
	[VFU_REGION_READ] = { region_read, region_read_end },
	[VFU_REGION_WRITE] = { region_write, region_write_end },
	[VFU_RESET] = { reset, NULL },
	[VFU_WRITE_MULTI] = { write_multi, write_multi_end },
	[VFU_FEATURE] = { feature, NULL },
	[VFU_MIG_READ] = { mig_read, NULL },
	[VFU_MIG_WRITE] = { mig_write, NULL },
};

/* A handler's result becomes a reply, or a wait. */
static int conclude(struct server *s, ssize_t rc)
{
	s->waits = rc == WAIT;
	if (s->waits)
		return 0;
	s->over = false;
	if (rc == -EPROTO)
		return -EPROTO;
	return rc < 0 ? vfu_fail(&s->connection, (int)rc) : vfu_reply(&s->connection, (size_t)rc);
}

int server_go_on(struct server *s)
{
	struct vfu_connection *c = &s->connection;

	if (!s->waits || !s->over)
		return 0;
	return conclude(s, handlers[c->in.head.command].end(s, c->in.payload, c->out.payload));
}

int server_ready(struct server *s, short revents)
{
	struct vfu_connection *c = &s->connection;
	int rc = 0;

	if (c->out_len)
		rc = revents & (POLLRDHUP | POLLHUP | POLLERR) ? -ECONNRESET : vfu_flush(c);
	else if (s->waits)
		return revents & (POLLRDHUP | POLLHUP | POLLERR) ? -ECONNRESET : 0;
	for (int n = 0; !rc && n < MESSAGES_TURN && !c->out_len && !s->waits; n++) {
		size_t before = c->in_len;

		rc = vfu_receive(c);
		if (!rc && c->in_len == before)
			return 0;
		if (rc != 1)
			continue;
		s->done = 0;
		s->over = false;
		rc = conclude(s,
			      handlers[c->in.head.command].begin(s, c->in.payload, c->out.payload));
	}
	return rc;
}

short server_events(const struct server *s)
{
	return s->waits ? POLLRDHUP : vfu_events(&s->connection);
}

int64_t server_deadline(const struct server *s)
{
	return s->connection.deadline;
}

void server_line(void *server, bool level)
{
	struct server *s = server;

	irq_line(&s->irq, level);
}

void server_init(struct server *s)
{
	s->connection.sock = -1;
	irq_init(&s->irq, 0);
	migration_init(&s->migration);
}

void server_attach(struct server *s, int sock)
{
	vfu_open(&s->connection, sock);
	s->irq.vectors = airlock_queues(s->t) + 1;
	s->waits = s->over = false;
	migration_init(&s->migration);
}

void server_detach(struct server *s)
{
	/* Everything under way ends with the stop, so that nothing refers to the client any more.
	 */
	airlock_stop(s->t);
	s->parked = true;
	s->waits = s->over = false;
	dma_clear(&s->dma, s->t);
	irq_clear(&s->irq, s->t);
	vfu_close(&s->connection);
}
