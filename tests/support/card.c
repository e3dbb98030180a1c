/*
 * The vfio-user client of the tests. Runs in the test process; every wait has a deadline.
 */
#include "tests/support/card.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/util.h"

#define WAIT_MS 8000

enum {
	VERSION = 1,
	DMA_MAP = 2,
	IO_FDS = 6,
	SET_IRQS = 8,
	REGION_READ = 9,
	REGION_WRITE = 10,
	RESET = 13,
	FEATURE = 16,
	DATA_READ = 17,
	DATA_WRITE = 18,
	MSIX = 2,
};
#define MIG_STATE   2u
#define FEATURE_SET (1u << 17)

struct head {
	uint16_t id, command;
	uint32_t size, flags, error;
};

int card_program(struct program *p, const char *socket, const char *backend, bool filtered)
{
	static char args[2][128];
	char program[256];
	struct program_start start = { 0 };
	size_t n = 0;
	int fd = filtered ? program_filter("transport") : -1, rc;

	if (filtered && fd < 0)
		return fd;
	snprintf(args[0], sizeof(args[0]), "--vfio-user-socket=%s", socket);
	snprintf(args[1], sizeof(args[1]), "--vhost-user-socket=%s", backend);
	start.args[n++] = "/usr/bin/setpriv";
	start.args[n++] = "--reuid=65431";
	start.args[n++] = "--regid=65431";
	start.args[n++] = "--clear-groups";
	start.args[n++] = "--bounding-set=-all";
	start.args[n++] = "--inh-caps=-all";
	start.args[n++] = "--no-new-privs";
	start.args[n++] = "--pdeathsig=KILL"; /* the change of ids cleared what program_run() set */
	start.args[n++] = program_path("airlock-vfio-user", program, sizeof(program));
	start.args[n++] = args[0];
	start.args[n++] = args[1];
	start.args[n++] =
		filtered ? "--filter-fd=transport:3" : "--allow-degraded=seccomp,landlock";
	start.fds[0] = fd;
	start.nfds = filtered ? 1 : 0;
	rc = program_run(p, &start);
	fd_close(&fd);
	for (int i = 0; !rc && i < 1000 && access(socket, F_OK); i++) {
		if (!program_running(p))
			return -ECHILD;
		usleep(5000);
	}
	return rc;
}

/* ---- messages */

static int wait_readable(const struct card *card)
{
	struct pollfd p = { .fd = card->sock, .events = POLLIN };

	return poll(&p, 1, WAIT_MS) > 0 ? 0 : -ETIMEDOUT;
}

static int receive(struct card *card, void *buf, size_t len, int *fds, size_t *nfds)
{
	size_t have = 0, room = *nfds;

	*nfds = 0;
	while (have < len) {
		size_t more = room - *nfds;
		ssize_t n;

		if (wait_readable(card))
			return -ETIMEDOUT;
		n = fd_recv(card->sock, (char *)buf + have, len - have, fds ? fds + *nfds : NULL,
			    &more);
		if (n <= 0 && n != -EAGAIN)
			return n ? (int)n : -ECONNRESET;
		*nfds += more;
		have += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

int card_ask(struct card *card, uint16_t command, const void *payload, size_t size, const int *fds,
	     size_t nfds, void *reply, size_t *len, int *reply_fds)
{
	static uint8_t message[CARD_STATE_MAX + 256];
	struct head head = { .id = 1, .command = command, .size = (uint32_t)(sizeof(head) + size) };
	size_t room = len ? *len : 0, received = reply_fds ? 16 : 0;
	int rc;

	memcpy(message, &head, sizeof(head));
	memcpy(message + sizeof(head), payload, size);
	if (fd_send(card->sock, message, head.size, fds, nfds) != (ssize_t)head.size)
		return -ECONNRESET;
	rc = receive(card, &head, sizeof(head), reply_fds, &received);
	if (rc)
		return rc;
	if (head.command != command || head.size < sizeof(head) ||
	    head.size - sizeof(head) > sizeof(message))
		return -EPROTO;
	received = 0;
	rc = receive(card, message, head.size - sizeof(head), NULL, &received);
	if (rc || head.error)
		return rc ? rc : (int)head.error;
	if (head.size - sizeof(head) > room)
		return room ? -EMSGSIZE : 0;
	if (!len)
		return 0;
	memcpy(reply, message, head.size - sizeof(head));
	*len = head.size - sizeof(head);
	return 0;
}

static int tell(struct card *card, uint16_t command, const void *payload, size_t size,
		const int *fds, size_t nfds)
{
	return card_ask(card, command, payload, size, fds, nfds, NULL, NULL, NULL);
}

int card_adopt(struct card *card, int sock)
{
	static const char version[] = "\0\0\1\0{\"capabilities\":{\"max_msg_fds\":16}}";

	*card = (struct card){ .sock = sock, .changed = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	return tell(card, VERSION, version, sizeof(version), NULL, 0);
}

int card_connect(struct card *card, const char *socket_path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
	if (sock < 0)
		return -errno;
	/* A name appears a moment before somebody listens there. */
	for (int i = 0; connect(sock, (struct sockaddr *)&address, sizeof(address)); i++) {
		int rc = -errno;

		if (rc != -ECONNREFUSED || i == 200) {
			close(sock);
			return rc;
		}
		usleep(5000);
	}
	return card_adopt(card, sock);
}

void card_close(struct card *card)
{
	fd_close(&card->sock);
	fd_close(&card->changed);
}

/* ---- registers */

struct region {
	uint64_t offset;
	uint32_t region, count;
	uint64_t data;
};
#define REGION_HEAD 16

uint64_t card_read(struct card *card, enum card_region region, uint64_t offset, uint32_t len)
{
	struct region r = { .offset = offset, .region = region, .count = len };
	size_t room = sizeof(r);

	/* All ones is what a register that is not there reads. */
	if (card_ask(card, REGION_READ, &r, REGION_HEAD, NULL, 0, &r, &room, NULL))
		return UINT64_MAX;
	return len < 8 ? r.data & ((UINT64_C(1) << 8 * len) - 1) : r.data;
}

int card_write(struct card *card, enum card_region region, uint64_t offset, uint64_t value,
	       uint32_t len)
{
	const struct region r = { .offset = offset, .region = region, .count = len, .data = value };

	return tell(card, REGION_WRITE, &r, REGION_HEAD + len, NULL, 0);
}

int card_reset(struct card *card)
{
	return tell(card, RESET, "", 0, NULL, 0);
}

/* ---- migration */

int card_state(struct card *card, uint32_t state)
{
	const uint32_t m[4] = { sizeof(m), MIG_STATE | FEATURE_SET, state, 0 };

	return tell(card, FEATURE, m, sizeof(m), NULL, 0);
}

ssize_t card_save(struct card *card, void *state, size_t room)
{
	static uint32_t reply[CARD_STATE_MAX / 4 + 2];
	const uint32_t m[2] = { sizeof(reply), CARD_STATE_MAX };
	size_t len = sizeof(reply);
	int rc = card_ask(card, DATA_READ, m, sizeof(m), NULL, 0, reply, &len, NULL);

	if (rc)
		return -rc;
	if (reply[1] > room)
		return -ENOSPC;
	memcpy(state, &reply[2], reply[1]);
	return reply[1];
}

int card_load(struct card *card, const void *state, size_t len)
{
	static uint32_t m[CARD_STATE_MAX / 4 + 2];

	m[0] = 8;
	m[1] = (uint32_t)len;
	memcpy(&m[2], state, len);
	return tell(card, DATA_WRITE, m, 8 + len, NULL, 0);
}

/* ---- the card in its slot */

int card_make_rings(struct guest *guest, uint64_t features)
{
	bool merge = features & BIT(VIRTIO_NET_F_MRG_RXBUF);

	guest_blank(guest);
	guest->options = (struct guest_options){ .pairs = 1,
						 .ring_size = 256,
						 .regions = 2,
						 .features = features,
						 .rx_buffer = merge ? 4096 : GUEST_BUFFER_MAX,
						 .slots_per_ring = GUEST_SLOTS_MAX };
	guest->peer.features = features | BIT(VIRTIO_F_VERSION_1);
	guest->header = 12;
	return guest_make_rings(guest);
}

static int map_memory(struct card *card, const struct guest *guest)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < guest->memory.count; i++) {
		const struct guest_region *r = &guest->memory.region[i];
		const struct {
			uint32_t argsz, flags;
			uint64_t offset, address, size;
		} m = { sizeof(m), 3, r->offset, r->gpa, r->size };

		rc = tell(card, DMA_MAP, &m, sizeof(m), &r->fd, 1);
	}
	return rc;
}

static int plug_vectors(struct card *card, const struct guest *guest)
{
	const uint32_t m[5] = { sizeof(m), 0x24, MSIX, 0, 3 };
	const int fds[3] = { card->changed, guest->queue[0].ring.call, guest->queue[1].ring.call };

	return tell(card, SET_IRQS, m, sizeof(m), fds, 3);
}

/* From now on the ring's kick is the back-end's own descriptor. */
static int plug_doorbells(struct card *card, struct guest *guest)
{
	const uint32_t m[4] = { 4096, 0, CARD_BAR0, 0 };
	uint32_t reply[1024];
	size_t len = sizeof(reply);
	int fds[16] = { -1, -1 },
	    rc = card_ask(card, IO_FDS, m, sizeof(m), NULL, 0, reply, &len, fds);

	if (rc)
		return rc;
	if (reply[3] < 2 || fds[0] < 0 || fds[1] < 0)
		return -EPROTO;
	for (int i = 0; i < 2; i++) {
		fd_close(&guest->queue[i].ring.kick);
		guest->queue[i].ring.kick = fd_take(&fds[i]);
	}
	fd_close_all(fds + 2, min_of(reply[3], 16u) - 2); /* of a control queue */
	return 0;
}

int card_plug(struct card *card, struct guest *guest)
{
	int rc = map_memory(card, guest);

	if (!rc)
		rc = plug_vectors(card, guest);
	return rc ? rc : plug_doorbells(card, guest);
}

static void drive_queue(struct card *card, const struct guest *guest, unsigned int index)
{
	const struct guest_ring *r = &guest->queue[index].ring;

	card_write(card, CARD_BAR0, 0x16, index, 2);
	card_write(card, CARD_BAR0, 0x18, r->size, 2);
	card_write(card, CARD_BAR0, 0x1a, index + 1, 2);
	card_write(card, CARD_BAR0, 0x20, r->desc, 8);
	card_write(card, CARD_BAR0, 0x28, r->driver, 8);
	card_write(card, CARD_BAR0, 0x30, r->device, 8);
	card_write(card, CARD_BAR0, 0x1c, 1, 2);
}

uint8_t card_drive(struct card *card, struct guest *guest)
{
	uint64_t features = guest->peer.features;

	card_write(card, CARD_BAR0, 0x14, 0, 1);
	card_write(card, CARD_BAR0, 0x14, 3, 1);
	for (unsigned int bank = 0; bank < 2; bank++) {
		card_write(card, CARD_BAR0, 0x08, bank, 4);
		card_write(card, CARD_BAR0, 0x0c, (uint32_t)(features >> 32 * bank), 4);
	}
	card_write(card, CARD_BAR0, 0x14, 3 | 8, 1);
	card_write(card, CARD_BAR0, 0x10, 0, 2);
	for (unsigned int i = 0; i < 2; i++) {
		guest_ring_start(&guest->queue[i].ring, guest->options.base);
		memset(guest->queue[i].busy, 0, sizeof(guest->queue[i].busy));
		drive_queue(card, guest, i);
	}
	card_write(card, CARD_BAR0, 0x14, 3 | 8 | 4, 1);
	guest_refill(guest, 0);
	return (uint8_t)card_read(card, CARD_BAR0, 0x14, 1);
}
