/*
 * A small VMM: it hosts a virtio-mmio network card by libairlock-frontend, its device being
 * a vhost-user back-end in another process. Guest and VMM are one here: the "guest" is a driver
 * written against the registers, which asks by ARP who has an address and waits for the answer.
 *
 *     mmio_vmm SOCKET 10.9.0.1
 */
#include <airlock-frontend.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define RAM	  (1u << 20)
#define RING	  16
#define HEADER	  12 /* virtio-net's, before every frame */
#define RX	  0
#define TX	  1
#define VERSION_1 1 /* of the upper feature bits */

static struct airlock_transport *card;
static uint8_t *ram; /* guest address 0 */

/* ---- the VMM: a connection for the library, and accesses of a vCPU that waits for each */

static int backend_connect(void *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", (const char *)path);
	if (sock >= 0 && !connect(sock, (struct sockaddr *)&address, sizeof(address)))
		return sock;
	close(sock);
	return -errno;
}

static void access_done(struct airlock_access *access)
{
	*(int *)access->opaque = 1;
}

static uint32_t access_wait(int write, uint64_t offset, uint32_t value)
{
	int over = 0;
	struct airlock_access a = {
		.write = write, .len = 4, .offset = offset, .done = access_done, .opaque = &over
	};
	struct pollfd p = { .fd = airlock_fd(card), .events = POLLIN };

	memcpy(a.data, &value, 4);
	if (airlock_access(card, &a) == 1)
		while (!over) { /* a VMM's event loop, in one thread with its vCPU */
			poll(&p, 1, -1);
			airlock_poll(card);
		}
	memcpy(&value, a.data, 4);
	return value;
}

/* ---- the guest: a driver */

static uint32_t in(uint64_t offset)
{
	return access_wait(0, offset, 0);
}

static void out(uint64_t offset, uint32_t value)
{
	access_wait(1, offset, value);
}

struct queue {
	struct vring_desc *desc;
	struct vring_avail *avail;
	volatile struct vring_used *used;
	uint8_t *buffer;
};

static struct queue queue_set_up(uint32_t index)
{
	uint32_t at = 0x10000 * (index + 1);
	struct queue q = { (void *)(ram + at), (void *)(ram + at + 0x1000),
			   (void *)(ram + at + 0x2000), ram + at + 0x3000 };

	out(0x030, index);
	out(0x038, RING);
	out(0x080, at);
	out(0x090, at + 0x1000);
	out(0x0a0, at + 0x2000);
	out(0x044, 1);
	q.desc[0].addr = at + 0x3000;
	return q;
}

static void post(struct queue *q, uint32_t index, uint32_t len, uint16_t flags)
{
	q->desc[0].len = len;
	q->desc[0].flags = flags;
	q->avail->ring[q->avail->idx % RING] = 0;
	__atomic_store_n(&q->avail->idx, q->avail->idx + 1, __ATOMIC_RELEASE);
	out(0x050, index);
}

static void driver_start(struct queue *rx, struct queue *tx)
{
	out(0x070, 0);
	out(0x070, 1 | 2); /* ACKNOWLEDGE, DRIVER */
	out(0x024, 1);
	out(0x020, VERSION_1);
	out(0x070, 1 | 2 | 8); /* FEATURES_OK */
	*rx = queue_set_up(RX);
	*tx = queue_set_up(TX);
	out(0x070, 1 | 2 | 8 | 4); /* DRIVER_OK */
	if (in(0x070) != (1 | 2 | 8 | 4)) {
		fprintf(stderr, "the device did not start: STATUS %#x\n", in(0x070));
		exit(1);
	}
}

static uint32_t arp_request(uint8_t *frame, struct in_addr whom)
{
	static const uint8_t request[] = { 255,	 255, 255, 255, 255,  255, 2,	 0, 0x5e, 0,
					   0x53, 7,   8,   6,	0,    1,   8,	 0, 6,	  4,
					   0,	 1,   2,   0,	0x5e, 0,   0x53, 7 };

	memset(frame, 0, HEADER + 60);
	memcpy(frame + HEADER, request, sizeof(request));
	memcpy(frame + HEADER + 38, &whom, 4);
	return HEADER + 60;
}

/* Waits for a frame by interrupt: the card's descriptor, then InterruptStatus. */
static int answered(struct queue *rx, struct in_addr whom)
{
	struct pollfd p = { .fd = airlock_fd(card), .events = POLLIN };
	uint16_t seen = 0;

	while (poll(&p, 1, 3000) > 0) {
		airlock_poll(card);
		out(0x064, in(0x060));
		for (; seen != rx->used->idx; seen++) {
			const uint8_t *frame = rx->buffer + HEADER;

			if (frame[12] == 8 && frame[13] == 6 && frame[21] == 2 &&
			    !memcmp(frame + 28, &whom, 4)) {
				printf("%s is at %02x:%02x:%02x:%02x:%02x:%02x\n", inet_ntoa(whom),
				       frame[22], frame[23], frame[24], frame[25], frame[26],
				       frame[27]);
				return 0;
			}
			post(rx, RX, 2048, VRING_DESC_F_WRITE);
		}
	}
	fprintf(stderr, "nobody answers\n");
	return 1;
}

int main(int argc, char **argv)
{
	const struct airlock_options options = { .bus = AIRLOCK_MMIO,
						 .policy = AIRLOCK_DEFER,
						 .device = 1,
						 .queues = 2,
						 .queue_size = 256,
						 .config_length = 12,
						 .ops = { .connect = backend_connect },
						 .opaque = argv[1] };
	int memory = memfd_create("guest", MFD_CLOEXEC), rc;
	struct queue rx, tx;
	struct in_addr whom;

	if (argc != 3 || !inet_aton(argv[2], &whom) || ftruncate(memory, RAM))
		return 2;
	ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	rc = airlock_open(&options, &card);
	if (!rc)
		rc = airlock_connect(card);
	if (!rc)
		rc = airlock_memory_add(card, 0, RAM, memory, 0, NULL, NULL);
	if (rc) {
		fprintf(stderr, "%s: error %d\n", argv[1], -rc);
		return 1;
	}
	driver_start(&rx, &tx);
	post(&rx, RX, 2048, VRING_DESC_F_WRITE);
	post(&tx, TX, arp_request(tx.buffer, whom), 0);
	rc = answered(&rx, whom);
	out(0x070, 0);
	airlock_close(card);
	return rc;
}
