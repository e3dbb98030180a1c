/*
 * A vhost-user front-end's connection, for tests. Runs in the test process. It does what it is
 * told, also when that breaks the protocol; from the back-end it takes nothing on trust: lengths,
 * flags and descriptors of every answer are checked.
 */
#include "tests/support/peer.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/fd.h"

/* Waits for `events` until `end`. 0, -ETIMEDOUT. */
static int wait_until(int sock, short events, int64_t end)
{
	struct pollfd p = { .fd = sock, .events = events };
	int64_t left = end - clock_ms();

	if (poll(&p, 1, left > 0 ? (int)left : 0) == 1)
		return 0;
	return -ETIMEDOUT;
}

static int set_address(struct sockaddr_un *a, const char *path)
{
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(a->sun_path))
		return -ENAMETOOLONG;
	strcpy(a->sun_path, path);
	return 0;
}

void peer_adopt(struct peer *peer, int sock)
{
	*peer = (struct peer){ .sock = sock, .timeout_ms = PEER_TIMEOUT_MS, .need_reply = true };
}

int peer_connect(struct peer *peer, const char *path)
{
	/* A listener with a full backlog makes connect(2) wait. */
	const struct timeval patience = { .tv_sec = PEER_TIMEOUT_MS / 1000 };
	struct sockaddr_un a;
	int rc = set_address(&a, path);

	peer_adopt(peer, -1);
	if (rc)
		return rc;
	peer->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (peer->sock < 0)
		return -errno;
	setsockopt(peer->sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(peer->sock, (struct sockaddr *)&a, sizeof(a)) < 0) {
		rc = -errno;
		fd_close(&peer->sock);
	}
	return rc;
}

void peer_close(struct peer *peer)
{
	fd_close(&peer->sock);
}

int peer_listen(const char *path)
{
	struct sockaddr_un a;
	int rc = set_address(&a, path), sock;

	if (rc)
		return rc;
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock < 0)
		return -errno;
	unlink(path);
	if (bind(sock, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(sock, 1) < 0) {
		rc = -errno;
		close(sock);
		return rc;
	}
	return sock;
}

int peer_accept(struct peer *peer, int listener, int timeout_ms)
{
	int rc = wait_until(listener, POLLIN, clock_ms() + timeout_ms), sock;

	peer_adopt(peer, -1);
	if (rc)
		return rc;
	sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (sock < 0)
		return -errno;
	peer->sock = sock;
	return 0;
}

static int broken(int error)
{
	return error == EPIPE ? -ECONNRESET : -error;
}

int peer_send_raw(struct peer *peer, const void *bytes, size_t len, const int *fds, size_t nfds)
{
	int64_t end = clock_ms() + peer->timeout_ms;
	size_t sent = 0;

	do {
		ssize_t n = fd_send(peer->sock, (const char *)bytes + sent, len - sent, fds,
				    sent ? 0 : nfds);

		if (n >= 0) {
			sent += (size_t)n;
			continue;
		}
		if (n != -EAGAIN)
			return broken((int)-n);
		if (wait_until(peer->sock, POLLOUT, end))
			return -ETIMEDOUT;
	} while (sent < len);
	return 0;
}

int peer_send(struct peer *peer, uint32_t request, uint32_t flags, const void *payload,
	      uint32_t len, const int *fds, size_t nfds)
{
	struct vu_header head = { .request = request, .flags = flags, .size = len };
	char bytes[sizeof(head) + 4096];

	if (len > sizeof(bytes) - sizeof(head))
		return -EMSGSIZE;
	memcpy(bytes, &head, sizeof(head));
	if (len)
		memcpy(bytes + sizeof(head), payload, len);
	return peer_send_raw(peer, bytes, sizeof(head) + len, fds, nfds);
}

static int recv_bytes(struct peer *peer, void *to, size_t len, int64_t end)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n;
		int rc = wait_until(peer->sock, POLLIN, end);

		if (rc)
			return rc;
		n = recv(peer->sock, (char *)to + got, len - got, MSG_DONTWAIT);
		if (n == 0)
			return -ECONNRESET;
		if (n < 0 && errno != EAGAIN)
			return -errno;
		got += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

int peer_recv(struct peer *peer, struct vu_message *msg)
{
	int64_t end = clock_ms() + peer->timeout_ms;
	int rc = recv_bytes(peer, &msg->head, sizeof(msg->head), end);

	if (rc)
		return rc;
	if (msg->head.flags != (VU_VERSION | VU_FLAG_REPLY) || msg->head.size > VU_PAYLOAD_MAX)
		return -EPROTO;
	return recv_bytes(peer, msg->bytes, msg->head.size, end);
}

static int tell(struct peer *peer, uint32_t request, const void *payload, uint32_t len,
		const int *fds, size_t nfds)
{
	bool ack = peer->need_reply && peer->protocol >> VU_P_REPLY_ACK & 1;
	struct vu_message answer;
	int rc;

	rc = peer_send(peer, request, VU_VERSION | (ack ? VU_FLAG_NEED_REPLY : 0), payload, len,
		       fds, nfds);
	if (rc || !ack)
		return rc;
	rc = peer_recv(peer, &answer);
	if (rc)
		return rc;
	if (answer.head.request != request || answer.head.size != sizeof(answer.u64))
		return -EPROTO;
	return answer.u64 ? PEER_REFUSED : 0;
}

int peer_tell(struct peer *peer, uint32_t request, const void *payload, uint32_t len,
	      const int *fds, size_t nfds)
{
	int rc;

	if (peer->lock)
		pthread_mutex_lock(peer->lock);
	rc = tell(peer, request, payload, len, fds, nfds);
	if (peer->lock)
		pthread_mutex_unlock(peer->lock);
	return rc;
}

int peer_tell_u64(struct peer *peer, uint32_t request, uint64_t value)
{
	return peer_tell(peer, request, &value, sizeof(value), NULL, 0);
}

int peer_tell_state(struct peer *peer, uint32_t request, uint32_t index, uint32_t num)
{
	struct vu_vring_state state = { .index = index, .num = num };

	return peer_tell(peer, request, &state, sizeof(state), NULL, 0);
}

int peer_tell_event(struct peer *peer, uint32_t request, uint32_t index, int fd)
{
	uint64_t value = index | (fd < 0 ? VU_VRING_NOFD : 0);

	return peer_tell(peer, request, &value, sizeof(value), &fd, fd < 0 ? 0 : 1);
}

int peer_ask(struct peer *peer, uint32_t request, const void *payload, uint32_t len,
	     struct vu_message *reply)
{
	int rc;

	if (peer->lock)
		pthread_mutex_lock(peer->lock);
	rc = peer_send(peer, request, VU_VERSION, payload, len, NULL, 0);
	if (!rc)
		rc = peer_recv(peer, reply);
	if (peer->lock)
		pthread_mutex_unlock(peer->lock);
	if (!rc && reply->head.request != request)
		rc = -EPROTO;
	return rc;
}

int peer_ask_u64(struct peer *peer, uint32_t request, uint64_t *value)
{
	struct vu_message reply;
	int rc = peer_ask(peer, request, NULL, 0, &reply);

	if (!rc && reply.head.size != sizeof(reply.u64))
		rc = -EPROTO;
	if (!rc)
		*value = reply.u64;
	return rc;
}

int peer_negotiate(struct peer *peer, uint64_t features, uint64_t protocol)
{
	int rc = peer_ask_u64(peer, VU_GET_FEATURES, &peer->offered);

	if (rc)
		return rc;
	if (peer->offered >> VU_F_PROTOCOL_FEATURES & 1) {
		rc = peer_ask_u64(peer, VU_GET_PROTOCOL_FEATURES, &peer->offered_protocol);
		if (rc)
			return rc;
		if (protocol & ~peer->offered_protocol)
			return -ENOTSUP;
		rc = peer_tell_u64(peer, VU_SET_PROTOCOL_FEATURES, protocol);
		if (rc)
			return rc;
		peer->protocol = protocol;
		/* Again, as QEMU does: some are offered by what was negotiated until now. */
		rc = peer_ask_u64(peer, VU_GET_FEATURES, &peer->offered);
		if (rc)
			return rc;
	}
	if (features & ~peer->offered)
		return -ENOTSUP;
	peer->features = features;
	return peer_tell(peer, VU_SET_OWNER, NULL, 0, NULL, 0);
}

int peer_open_channel(struct peer *peer, int *channel)
{
	int pair[2], rc;

	*channel = -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	rc = peer_tell(peer, VU_SET_BACKEND_REQ_FD, NULL, 0, &pair[0], 1);
	fd_close(&pair[0]);
	*channel = fd_take(&pair[1]);
	if (rc)
		fd_close(channel);
	return rc;
}

int peer_sync(struct peer *peer)
{
	uint64_t ignored;

	return peer_ask_u64(peer, VU_GET_FEATURES, &ignored);
}

bool peer_closed(struct peer *peer, int timeout_ms)
{
	int64_t end = clock_ms() + timeout_ms;
	char waste[256];
	ssize_t n;

	do {
		if (wait_until(peer->sock, POLLIN, end))
			return false;
		n = recv(peer->sock, waste, sizeof(waste), MSG_DONTWAIT);
	} while (n > 0 || (n < 0 && errno == EAGAIN));
	return true;
}
