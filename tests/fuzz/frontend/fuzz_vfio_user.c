/*
 * Any conversation on a vfio-user socket, with descriptors: the server answers or ends it, waits
 * for nothing that does not come, and keeps nothing. Behind it stands a back-end that does all it
 * is asked.
 *
 * The input is a sequence of messages: command, flags, descriptors and how much the length lies,
 * then payload. The first is a well-formed version unless its command says 0.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "frontend/server.h"
#include "tests/unit/frontend/backend.h"

#define TURNS_MAX 5000 /* of 1 ms */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct backend backend;
static struct server server;
static int memory, event;

static void require(bool condition)
{
	if (!condition)
		abort();
}

static int backend_of(void *opaque)
{
	(void)opaque;
	return backend_connect(&backend);
}

static void begin(void)
{
	struct airlock_options options = { .bus = AIRLOCK_PCI,
					   .policy = AIRLOCK_DEFER,
					   .device = 1,
					   .queues = 2,
					   .queue_size = 256,
					   .config_length = 64,
					   .client_msix = true,
					   .ops = { .connect = backend_of, .line = server_line },
					   .opaque = &server };

	backend_init(&backend);
	backend_start(&backend);
	server_init(&server);
	require(!airlock_open(&options, &server.t));
	require(!airlock_connect(server.t));
	memory = memfd_create("guest", MFD_CLOEXEC);
	require(!ftruncate(memory, 1 << 20));
	event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

/* Replies are thrown away, and what they bring is closed. */
static void drain(int client)
{
	static char reply[65536];
	int fds[VFU_FDS_MAX];
	size_t n;

	do {
		n = VFU_FDS_MAX;
		if (fd_recv(client, reply, sizeof(reply), fds, &n) <= 0)
			return;
		fd_close_all(fds, n);
	} while (true);
}

/* Until the server has nothing left to do with what was sent. 0, or what ended the connection. */
static int settle(int client)
{
	int rc = 0;

	for (int i = 0; !rc; i++) {
		struct pollfd fds[] = {
			{ .fd = server.connection.sock, .events = server_events(&server) },
			{ .fd = airlock_fd(server.t), .events = POLLIN },
		};

		require(i < TURNS_MAX); /* it waits for what does not come */
		if (!poll(fds, 2, 0)) {
			if (!server.waits)
				return 0;
			poll(&fds[1], 1, 1);
		}
		airlock_poll(server.t);
		rc = server_go_on(&server);
		if (!rc && fds[0].revents)
			rc = server_ready(&server, fds[0].revents);
		drain(client);
	}
	return rc;
}

static int say(int client, const uint8_t *head, const uint8_t *payload, size_t len)
{
	static struct vfu_message m;
	int fds[VFU_FDS_MAX + 1];
	size_t nfds = head[2] % (VFU_FDS_MAX + 1);

	for (size_t i = 0; i < nfds; i++)
		fds[i] = head[2] & 0x80 ? event : memory;
	m.head = (struct vfu_header){ .command = head[0] & 0x1f,
				      .size = (uint32_t)(sizeof(m.head) + len),
				      .flags = head[1] & VFU_NO_REPLY };
	if (head[3] & 0x80) /* a length that lies, or a type that is none */
		m.head.size += head[3] & 0x3f;
	if (head[3] & 0x40)
		m.head.flags |= head[1];
	memcpy(m.payload, payload, len);
	if (fd_send(client, &m, sizeof(m.head) + len, fds, nfds) < 0)
		return -ECONNRESET;
	return settle(client);
}

static unsigned int fds_open(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void talk(int client, const uint8_t *data, size_t size)
{
	static const uint8_t hello[4] = { VFU_VERSION }, version[] = { 0, 0, 1, 0 };

	if (size && data[0] && say(client, hello, version, sizeof(version)))
		return;
	while (size > 5) {
		size_t len = min_of((size_t)data[4], size - 5);

		if (say(client, data, data + 5, len))
			return;
		data += 5 + len;
		size -= 5 + len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned int before;
	int ends[2];

	if (!server.t)
		begin();
	require(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends));
	server_attach(&server, ends[1]);
	talk(ends[0], data, size);
	close(ends[0]);
	server_detach(&server);
	airlock_reset(server.t);
	airlock_start(server.t);
	server.parked = false;
	if (!before)
		before = fds_open();
	require(fds_open() <= before + 4); /* the back-end's own rings come and go */
	return 0;
}
