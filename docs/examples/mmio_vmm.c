/*
 * A small VMM: it hosts a virtio-mmio network card by libairlock-frontend, its device being
 * a vhost-user back-end in another process. Guest and VMM are one here: the "guest" is a driver
 * written against the registers, which asks by ARP who has an address and waits for the answer.
 *
 *     mmio_vmm SOCKET 10.9.0.1
 */
#include <airlock-frontend.h>

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define RING   16
#define MEMORY 0x10000
#define HEADER 12 /* virtio-net's, before every frame */
#define READY  (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)

/* All of the guest's memory, at guest address 0: a ring and its one buffer, for each direction. */
enum {
	RX,
	TX,
	QUEUES
};
static struct queue {
	_Alignas(16) struct vring_desc desc[RING];
	uint16_t avail_flags, avail_idx, avail[RING + 1]; /* and an event index each */
	_Alignas(4) uint16_t used_flags;
	volatile uint16_t used_idx;
	struct vring_used_elem used[RING + 1];
	uint8_t buffer[2048];
} * ram;
static struct airlock_transport *card;

/* ---- the VMM: a connection for the library, and accesses of a vCPU that waits for each */

static int backend_connect(void *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	return connect(sock, (struct sockaddr *)&address, sizeof(address)) ? -errno : sock;
}

static void access_done(struct airlock_access *access)
{
	access->opaque = NULL;
}

static uint32_t trap(bool write, uint64_t offset, uint32_t value)
{
	struct airlock_access a = {
		.write = write, .len = 4, .offset = offset, .done = access_done, .opaque = card
	};
	struct pollfd p = { .fd = airlock_fd(card), .events = POLLIN };

	memcpy(a.data, &value, 4);
	if (airlock_access(card, &a) == 1)
		while (a.opaque && poll(&p, 1, -1) > 0) /* a VMM's event loop */
			airlock_poll(card);
	memcpy(&value, a.data, 4);
	return value;
}

/* ---- the guest: a driver */

#define in(offset)	   trap(false, offset, 0)
#define out(offset, value) trap(true, offset, (uint32_t)(value))

static void driver_start(void)
{
	out(VIRTIO_MMIO_STATUS, 0);
	out(VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	out(VIRTIO_MMIO_DRIVER_FEATURES_SEL, VIRTIO_F_VERSION_1 / 32);
	out(VIRTIO_MMIO_DRIVER_FEATURES, 1u << VIRTIO_F_VERSION_1 % 32);
	out(VIRTIO_MMIO_STATUS, READY);
	for (size_t i = 0; i < QUEUES; i++) {
		out(VIRTIO_MMIO_QUEUE_SEL, i);
		out(VIRTIO_MMIO_QUEUE_NUM, RING);
		out(VIRTIO_MMIO_QUEUE_DESC_LOW, (uint8_t *)ram[i].desc - (uint8_t *)ram);
		out(VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint8_t *)&ram[i].avail_flags - (uint8_t *)ram);
		out(VIRTIO_MMIO_QUEUE_USED_LOW, (uint8_t *)&ram[i].used_flags - (uint8_t *)ram);
		out(VIRTIO_MMIO_QUEUE_READY, 1);
	}
	out(VIRTIO_MMIO_STATUS, READY | VIRTIO_CONFIG_S_DRIVER_OK);
	if (in(VIRTIO_MMIO_STATUS) != (READY | VIRTIO_CONFIG_S_DRIVER_OK))
		errx(1, "the device did not start: STATUS %#x", in(VIRTIO_MMIO_STATUS));
}

static void post(size_t i, uint32_t len, uint16_t flags)
{
	ram[i].desc[0].addr = (uint64_t)(ram[i].buffer - (uint8_t *)ram);
	ram[i].desc[0].len = len;
	ram[i].desc[0].flags = flags;
	__atomic_store_n(&ram[i].avail_idx, ram[i].avail_idx + 1, __ATOMIC_RELEASE);
	out(VIRTIO_MMIO_QUEUE_NOTIFY, i);
}

/* Waits for a frame by interrupt: the card's descriptor, then InterruptStatus. */
static void resolve(struct in_addr whom)
{
	static const uint8_t request[38] = "\xff\xff\xff\xff\xff\xff\x02\0\x5e\0\x53\7"
					   "\x08\6\0\1\x08\0\6\4\0\1\x02\0\x5e\0\x53\7";
	static const uint8_t answer[10] = "\x08\6\0\1\x08\0\6\4\0\2";
	const uint8_t *arp = ram[RX].buffer + HEADER + 12;
	struct pollfd p = { .fd = airlock_fd(card), .events = POLLIN };

	post(RX, sizeof(ram->buffer), VRING_DESC_F_WRITE);
	memcpy(ram[TX].buffer + HEADER, request, 38);
	memcpy(ram[TX].buffer + HEADER + 38, &whom, 4);
	post(TX, HEADER + 60, 0);
	for (;;) {
		if (poll(&p, 1, 3000) <= 0)
			errx(1, "nobody answers");
		airlock_poll(card);
		out(VIRTIO_MMIO_INTERRUPT_ACK, in(VIRTIO_MMIO_INTERRUPT_STATUS));
		if (ram[RX].used_idx != ram[RX].avail_idx)
			continue;
		if (!memcmp(arp, answer, sizeof(answer)))
			break;
		post(RX, sizeof(ram->buffer), VRING_DESC_F_WRITE); /* another frame */
	}
	printf("%s is at %02x:%02x:%02x:%02x:%02x:%02x\n", inet_ntoa(whom), arp[10], arp[11],
	       arp[12], arp[13], arp[14], arp[15]);
}

int main(int argc, char **argv)
{
	const struct airlock_options options = { .bus = AIRLOCK_MMIO,
						 .policy = AIRLOCK_DEFER,
						 .device = 1, /* a network card */
						 .queues = QUEUES,
						 .queue_size = 256,
						 .config_length = 12,
						 .ops.connect = backend_connect,
						 .opaque = argv[1] };
	int memory = memfd_create("guest", MFD_CLOEXEC), rc;
	struct in_addr whom;

	if (argc != 3 || !inet_aton(argv[2], &whom) || ftruncate(memory, MEMORY))
		errx(2, "usage: %s SOCKET ADDRESS", argv[0]);
	ram = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	rc = airlock_open(&options, &card);
	rc = rc ? rc : airlock_connect(card);
	rc = rc ? rc : airlock_memory_add(card, 0, MEMORY, memory, 0, NULL, NULL);
	if (rc)
		errx(1, "%s: error %d", argv[1], -rc);
	driver_start();
	resolve(whom);
	out(VIRTIO_MMIO_STATUS, 0);
	airlock_close(card);
	return 0;
}
