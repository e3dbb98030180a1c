/*
 * The vhost-user wire from the front-end's side. Runs in the device task's thread; trusts no
 * answer: each is checked against the request it belongs to, and a back-end that answers something
 * else, or not in time, loses its connection.
 */
#include "frontend/client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/util.h"
#include "lib/vhost_user_table.h"
#include "lib/virtio.h"

#define PROTOCOL_KNOWN                                                                 \
	(BIT_ULL(VU_P_MQ) | BIT_ULL(VU_P_REPLY_ACK) | BIT_ULL(VU_P_BACKEND_REQ) |      \
	 BIT_ULL(VU_P_CONFIG) | BIT_ULL(VU_P_RESET_DEVICE) | BIT_ULL(VU_P_MEM_SLOTS) | \
	 BIT_ULL(VU_P_STATUS))
#define USER_BASE	  (UINT64_C(1) << 52) /* "user" address of guest address 0: no real one */
#define CONFIG_CHANGE_MSG 2		      /* the back-end's own request */
#define ENABLE_RING	  1

void client_init(struct client *c)
{
	memset(c, 0, sizeof(*c));
	c->sock = c->channel = -1;
}

void client_drop(struct client *c)
{
	int64_t deadline = c->deadline;

	fd_close(&c->sock);
	fd_close(&c->channel);
	client_init(c);
	c->deadline = deadline;
}

static bool negotiated(const struct client *c, unsigned int bit)
{
	return c->protocol & BIT_ULL(bit);
}

/* ---- one request, one answer */

static int wait_for(const struct client *c, short events)
{
	struct pollfd p = { .fd = c->sock, .events = events };

	for (;;) {
		int64_t left = c->deadline - clock_ms();
		struct timespec timeout = { .tv_sec = left / 1000,
					    .tv_nsec = left % 1000 * 1000000 };
		int n;

		if (left <= 0)
			return -ETIMEDOUT;
		n = ppoll(&p, 1, &timeout, NULL);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

static int send_all(const struct client *c, const struct vu_message *msg, const int *fds,
		    size_t nfds)
{
	const char *bytes = (const char *)&msg->head;
	size_t len = sizeof(msg->head) + msg->head.size;

	while (len) {
		ssize_t n = fd_send(c->sock, bytes, len, fds, nfds);

		if (n == -EAGAIN) {
			int rc = wait_for(c, POLLOUT);

			if (rc)
				return rc;
			continue;
		}
		if (n < 0)
			return -ECONNRESET;
		bytes += n;
		len -= (size_t)n;
		nfds = 0; /* they went with the first byte */
	}
	return 0;
}

static int recv_part(const struct client *c, void *buf, size_t len)
{
	for (size_t have = 0; have < len;) {
		size_t none = 0;
		ssize_t n = fd_recv(c->sock, ptr_add(buf, have), len - have, NULL, &none);

		if (n == -EAGAIN) {
			int rc = wait_for(c, POLLIN);

			if (rc)
				return rc;
			continue;
		}
		if (n == -EMSGSIZE)
			return -EPROTO; /* a descriptor, which no answer brings */
		if (n <= 0)
			return -ECONNRESET;
		have += (size_t)n;
	}
	return 0;
}

static int recv_answer(const struct client *c, uint32_t request, struct vu_message *answer)
{
	int rc = recv_part(c, &answer->head, sizeof(answer->head));

	if (rc)
		return rc;
	if (answer->head.request != request || answer->head.size > VU_PAYLOAD_MAX ||
	    (answer->head.flags & (VU_VERSION_MASK | VU_FLAG_REPLY)) !=
		    (VU_VERSION | VU_FLAG_REPLY))
		return -EPROTO;
	return recv_part(c, answer->bytes, answer->head.size);
}

/* Sends msg, whose request and payload are ready, and takes in the answer, if there is one: it is
 * in msg then. */
static int exchange(struct client *c, struct vu_message *msg, const int *fds, size_t nfds)
{
	const struct vu_row *row = vu_row(msg->head.request);
	bool payload = row && row->reply == VU_REPLY_PAYLOAD;
	bool ack = !payload && negotiated(c, VU_P_REPLY_ACK);
	uint32_t request = msg->head.request;
	int rc;

	if (c->sock < 0)
		return -ENOTCONN;
	msg->head.flags = VU_VERSION | (ack ? VU_FLAG_NEED_REPLY : 0);
	/* The table that back-ends check with: what fails here was not offered. */
	rc = vu_check(&msg->head, nfds, c->protocol);
	if (rc)
		return rc;
	rc = send_all(c, msg, fds, nfds);
	if (!rc && (ack || payload))
		rc = recv_answer(c, request, msg);
	if (!rc && ack && msg->head.size != sizeof(msg->u64))
		rc = -EPROTO;
	if (rc) {
		client_drop(c);
		return rc;
	}
	return ack && msg->u64 ? -EREMOTEIO : 0;
}

static int tell_u64(struct client *c, uint32_t request, uint64_t value)
{
	struct vu_message msg = { .head = { .request = request, .size = sizeof(msg.u64) },
				  .u64 = value };

	return exchange(c, &msg, NULL, 0);
}

static int tell_nothing(struct client *c, uint32_t request)
{
	struct vu_message msg = { .head = { .request = request } };

	return exchange(c, &msg, NULL, 0);
}

static int tell_state(struct client *c, uint32_t request, uint32_t index, uint32_t num)
{
	struct vu_message msg = { .head = { .request = request, .size = sizeof(msg.state) },
				  .state = { index, num } };

	return exchange(c, &msg, NULL, 0);
}

static int tell_event(struct client *c, uint32_t request, uint32_t index, int fd)
{
	struct vu_message msg = { .head = { .request = request, .size = sizeof(msg.u64) },
				  .u64 = index | (fd < 0 ? VU_VRING_NOFD : 0) };

	return exchange(c, &msg, &fd, fd >= 0);
}

static int ask_u64(struct client *c, uint32_t request, uint64_t *value)
{
	struct vu_message msg = { .head = { .request = request } };
	int rc = exchange(c, &msg, NULL, 0);

	if (!rc && msg.head.size != sizeof(msg.u64)) {
		client_drop(c);
		return -EPROTO;
	}
	*value = msg.u64;
	return rc;
}

int client_sync(struct client *c)
{
	uint64_t ignored;

	return ask_u64(c, VU_GET_FEATURES, &ignored);
}

/* ---- a connection begins */

/* Where the back-end can tell of configuration changes, it gets a channel to do so. */
static int channel_open(struct client *c)
{
	struct vu_message msg = { .head = { .request = VU_SET_BACKEND_REQ_FD } };
	int ends[2], rc;

	if (!negotiated(c, VU_P_BACKEND_REQ) || !negotiated(c, VU_P_CONFIG))
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends))
		return -errno;
	c->channel = ends[0];
	rc = exchange(c, &msg, &ends[1], 1);
	close(ends[1]);
	return rc;
}

static int negotiate_protocol(struct client *c)
{
	uint64_t offered, number = 0;
	int rc = ask_u64(c, VU_GET_PROTOCOL_FEATURES, &offered);

	if (!rc)
		rc = tell_u64(c, VU_SET_PROTOCOL_FEATURES, offered & PROTOCOL_KNOWN);
	if (rc)
		return rc;
	c->protocol = offered & PROTOCOL_KNOWN;
	if (negotiated(c, VU_P_MQ))
		rc = ask_u64(c, VU_GET_QUEUE_NUM, &c->queues);
	if (!rc && negotiated(c, VU_P_MEM_SLOTS))
		rc = ask_u64(c, VU_GET_MAX_MEM_SLOTS, &number);
	c->slots_max =
		number ? (unsigned int)min_of(number, (uint64_t)SLOTS_MAX) : VU_MEM_REGIONS_MAX;
	return rc;
}

int client_attach(struct client *c, int sock)
{
	int rc;

	client_drop(c);
	c->sock = sock;
	c->slots_max = VU_MEM_REGIONS_MAX;
	rc = ask_u64(c, VU_GET_FEATURES, &c->offered);
	if (!rc && (c->offered & BIT_ULL(VU_F_PROTOCOL_FEATURES)))
		rc = negotiate_protocol(c);
	if (!rc)
		rc = tell_nothing(c, VU_SET_OWNER);
	if (!rc)
		rc = channel_open(c);
	if (rc)
		client_drop(c);
	return rc;
}

/* ---- what the back-end says by itself */

static int channel_listen(struct client *c)
{
	struct vu_header head;
	size_t none = 0;
	ssize_t n = fd_recv(c->channel, &head, sizeof(head), NULL, &none);
	uint64_t done = 0;
	struct {
		struct vu_header head;
		uint8_t status[sizeof(done)];
	} ack = { .head = { CONFIG_CHANGE_MSG, VU_VERSION | VU_FLAG_REPLY, sizeof(done) } };

	if (n == -EAGAIN)
		return 0;
	/* Headers are written in one piece; a half one is not worth waiting for. */
	if (n != sizeof(head) || head.request != CONFIG_CHANGE_MSG || head.size ||
	    (head.flags & ~VU_FLAG_NEED_REPLY) != VU_VERSION)
		return n ? -EPROTO : -ECONNRESET;
	if (head.flags & VU_FLAG_NEED_REPLY)
		fd_send(c->channel, &ack, sizeof(ack), NULL, 0);
	return 1;
}

int client_listen(struct client *c)
{
	struct pollfd fds[] = { { .fd = c->sock, .events = POLLIN | POLLRDHUP },
				{ .fd = c->channel, .events = POLLIN } };
	const struct timespec now = { 0, 0 };
	int rc = 0;

	if (ppoll(fds, ARRAY_SIZE(fds), &now, NULL) <= 0)
		return 0;
	/* Nothing was asked: whatever comes now is the end, or nonsense. */
	if (fds[0].revents)
		rc = fds[0].revents & (POLLRDHUP | POLLHUP | POLLERR) ? -ECONNRESET : -EPROTO;
	else if (fds[1].revents)
		rc = channel_listen(c);
	if (rc < 0)
		client_drop(c);
	return rc;
}

/* ---- features, status, reset */

int client_set_features(struct client *c, uint64_t features)
{
	int rc;

	features &= c->offered;
	features |= c->offered & BIT_ULL(VU_F_PROTOCOL_FEATURES);
	if (c->sock < 0)
		return -ENOTCONN;
	if (c->features_set && c->features == features)
		return 0;
	rc = tell_u64(c, VU_SET_FEATURES, features);
	if (rc)
		return rc;
	c->features = features;
	c->features_set = true;
	return 0;
}

int client_set_status(struct client *c, uint8_t status)
{
	if (c->sock < 0)
		return -ENOTCONN;
	return negotiated(c, VU_P_STATUS) ? tell_u64(c, VU_SET_STATUS, status) : 0;
}

int client_reset(struct client *c)
{
	if (c->sock < 0)
		return -ENOTCONN;
	c->features_set = false;
	if (negotiated(c, VU_P_STATUS))
		return tell_u64(c, VU_SET_STATUS, 0);
	return negotiated(c, VU_P_RESET_DEVICE) ? tell_nothing(c, VU_RESET_DEVICE) : 0;
}

/* ---- memory */

static struct vu_mem_region region_wire(const struct slot *s)
{
	return (struct vu_mem_region){ .guest_addr = s->address,
				       .size = s->size,
				       .user_addr = USER_BASE + s->address,
				       .mmap_offset = s->offset };
}

static int send_table(struct client *c, const struct slot *regions, unsigned int n)
{
	struct vu_message msg = {
		.head = { .request = VU_SET_MEM_TABLE,
			  .size = (uint32_t)(offsetof(struct vu_mem_table, regions) +
					     n * sizeof(struct vu_mem_region)) },
		.memory = { .nregions = n }
	};
	int fds[VU_MEM_REGIONS_MAX], rc;

	for (unsigned int i = 0; i < n; i++) {
		msg.memory.regions[i] = region_wire(&regions[i]);
		fds[i] = regions[i].fd;
	}
	rc = exchange(c, &msg, fds, n);
	if (rc)
		return rc;
	memcpy(c->sent, regions, n * sizeof(*regions));
	c->nsent = n;
	c->table = true;
	return 0;
}

static int send_slot(struct client *c, uint32_t request, const struct slot *s)
{
	struct vu_message msg = { .head = { .request = request, .size = sizeof(msg.single) },
				  .single = { .region = region_wire(s) } };

	return exchange(c, &msg, &s->fd, request == VU_ADD_MEM_REG);
}

static int slot_remove_at(struct client *c, unsigned int i)
{
	struct slot gone = c->sent[i];

	c->nsent--;
	memmove(&c->sent[i], &c->sent[i + 1], (c->nsent - i) * sizeof(c->sent[0]));
	return send_slot(c, VU_REM_MEM_REG, &gone);
}

static bool among(const struct slot *s, const struct slot *list, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (slot_same(s, &list[i]))
			return true;
	return false;
}

int client_set_memory(struct client *c, const struct slots *slots)
{
	static struct slot wanted[SLOTS_MAX]; /* one task, one thread; too large for its stack */
	int n, rc = 0;

	if (c->sock < 0)
		return -ENOTCONN;
	n = slots_merge(slots, wanted, c->slots_max);
	if (n < 0)
		return n;
	if (!negotiated(c, VU_P_MEM_SLOTS)) {
		bool same = c->table && (unsigned int)n == c->nsent;

		for (int i = 0; same && i < n; i++)
			same = slot_same(&wanted[i], &c->sent[i]);
		return same || !n ? 0 : send_table(c, wanted, (unsigned int)n);
	}
	for (unsigned int i = c->nsent; !rc && i-- > 0;)
		if (!among(&c->sent[i], wanted, (unsigned int)n))
			rc = slot_remove_at(c, i);
	for (int i = 0; !rc && i < n; i++) {
		if (among(&wanted[i], c->sent, c->nsent))
			continue;
		rc = send_slot(c, VU_ADD_MEM_REG, &wanted[i]);
		if (!rc)
			c->sent[c->nsent++] = wanted[i];
	}
	return rc;
}

int client_drop_memory(struct client *c, uint64_t address, uint64_t size)
{
	bool touched = false;
	int rc = 0;

	for (unsigned int i = c->nsent; !rc && i-- > 0;) {
		if (!slot_overlaps(&c->sent[i], address, size))
			continue;
		touched = true;
		if (negotiated(c, VU_P_MEM_SLOTS))
			rc = slot_remove_at(c, i);
	}
	/* A table cannot be emptied: the next one replaces it, and until then only the end of the
	 * connection makes a back-end let go. */
	if (touched && !negotiated(c, VU_P_MEM_SLOTS))
		client_drop(c);
	return rc;
}

/* ---- queues */

static int queue_addresses(struct client *c, const struct client_queue *q)
{
	struct vu_message msg = { .head = { .request = VU_SET_VRING_ADDR,
					    .size = sizeof(msg.addr) },
				  .addr = { .index = q->index,
					    .desc = USER_BASE + q->desc,
					    .avail = USER_BASE + q->driver,
					    .used = USER_BASE + q->device } };

	return exchange(c, &msg, NULL, 0);
}

int client_start_queue(struct client *c, const struct client_queue *q)
{
	int rc;

	if (c->sock < 0)
		return -ENOTCONN;
	c->active[q->index] = true; /* a half-started queue must be stopped too */
	rc = tell_state(c, VU_SET_VRING_NUM, q->index, q->size);
	if (!rc)
		rc = tell_state(c, VU_SET_VRING_BASE, q->index, q->base);
	if (!rc)
		rc = queue_addresses(c, q);
	/* CALL before KICK: with the kick the ring may start, and some refuse one that cannot
	 * interrupt. */
	if (!rc)
		rc = tell_event(c, VU_SET_VRING_CALL, q->index, q->call);
	if (!rc && q->err >= 0)
		rc = tell_event(c, VU_SET_VRING_ERR, q->index, q->err);
	if (!rc)
		rc = tell_event(c, VU_SET_VRING_KICK, q->index, q->kick);
	if (!rc && (c->offered & BIT_ULL(VU_F_PROTOCOL_FEATURES)))
		rc = tell_state(c, VU_SET_VRING_ENABLE, q->index, ENABLE_RING);
	return rc;
}

int client_stop_queue(struct client *c, unsigned int index, uint32_t *base)
{
	struct vu_message msg = { .head = { .request = VU_GET_VRING_BASE,
					    .size = sizeof(msg.state) },
				  .state = { .index = index } };
	int rc;

	if (c->sock < 0)
		return -ENOTCONN;
	if (!c->active[index])
		return 0;
	c->active[index] = false;
	if (c->offered & BIT_ULL(VU_F_PROTOCOL_FEATURES)) {
		rc = tell_state(c, VU_SET_VRING_ENABLE, index, 0);
		if (rc && rc != -EREMOTEIO)
			return rc;
	}
	rc = exchange(c, &msg, NULL, 0);
	if (!rc && (msg.head.size != sizeof(msg.state) || msg.state.index != index)) {
		client_drop(c);
		return -EPROTO;
	}
	if (!rc)
		*base = msg.state.num;
	return rc;
}

int client_set_call(struct client *c, unsigned int index, int fd)
{
	return c->sock < 0 ? -ENOTCONN : tell_event(c, VU_SET_VRING_CALL, index, fd);
}

/* ---- configuration */

int client_read_config(struct client *c, uint32_t offset, void *data, uint32_t len)
{
	struct vu_message msg = { .head = { .request = VU_GET_CONFIG,
					    .size = (uint32_t)offsetof(struct vu_config, bytes) +
						    len },
				  .config = { .offset = offset, .size = len } };
	int rc;

	if (c->sock < 0)
		return -ENOTCONN;
	if (!negotiated(c, VU_P_CONFIG))
		return -EOPNOTSUPP;
	rc = exchange(c, &msg, NULL, 0);
	if (rc)
		return rc;
	if (!msg.head.size)
		return -EREMOTEIO; /* how the protocol says "no" */
	if (msg.head.size != offsetof(struct vu_config, bytes) + len || msg.config.size != len ||
	    msg.config.offset != offset) {
		client_drop(c);
		return -EPROTO;
	}
	memcpy(data, msg.config.bytes, len);
	return 0;
}

int client_write_config(struct client *c, uint32_t offset, const void *data, uint32_t len)
{
	struct vu_message msg = { .head = { .request = VU_SET_CONFIG,
					    .size = (uint32_t)offsetof(struct vu_config, bytes) +
						    len },
				  .config = { .offset = offset, .size = len } };

	if (c->sock < 0)
		return -ENOTCONN;
	if (!negotiated(c, VU_P_CONFIG))
		return -EOPNOTSUPP;
	memcpy(msg.config.bytes, data, len);
	return exchange(c, &msg, NULL, 0);
}
