/*
 * The vfio-user wire, protocol 0.1, as QEMU's interop document (11.1) has it: numbers, layouts, and
 * one connection's framing. One message at a time: the next is read when the reply to the last has
 * been taken. Nothing here waits. The server's thread.
 */
#ifndef AIRLOCK_FRONTEND_VFIO_USER_H
#define AIRLOCK_FRONTEND_VFIO_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VFU_MAJOR	0
#define VFU_MINOR	1
#define VFU_FDS_MAX	16    /* taken with one message, and announced */
#define VFU_TRANSFER	32768 /* bytes of one region access or piece of state */
#define VFU_PAYLOAD_MAX (VFU_TRANSFER + 64)
#define VFU_MESSAGE_MS	5000 /* for a message to be complete; for a reply to be taken */

enum vfu_command {
	VFU_VERSION = 1,
	VFU_DMA_MAP = 2,
	VFU_DMA_UNMAP = 3,
	VFU_GET_INFO = 4,
	VFU_GET_REGION_INFO = 5,
	VFU_GET_REGION_IO_FDS = 6,
	VFU_GET_IRQ_INFO = 7,
	VFU_SET_IRQS = 8,
	VFU_REGION_READ = 9,
	VFU_REGION_WRITE = 10,
	VFU_DMA_READ = 11,
	VFU_DMA_WRITE = 12,
	VFU_RESET = 13,
	VFU_WRITE_MULTI = 15,
	VFU_FEATURE = 16,
	VFU_MIG_READ = 17,
	VFU_MIG_WRITE = 18,
	VFU_COMMANDS
};

#define VFU_TYPE_MASK 0xfu
#define VFU_REPLY     0x1u
#define VFU_NO_REPLY  0x10u
#define VFU_ERROR     0x20u

struct vfu_header {
	uint16_t id, command;
	uint32_t size; /* of the whole message */
	uint32_t flags, error;
};
struct vfu_version {
	uint16_t major, minor;
	char data[]; /* JSON, with its NUL */
};
struct vfu_dma_map {
	uint32_t argsz, flags; /* 1 readable, 2 writeable */
	uint64_t offset, address, size;
};
struct vfu_dma_unmap {
	uint32_t argsz, flags; /* 2: everything */
	uint64_t address, size;
};
struct vfu_info {
	uint32_t argsz, flags, regions, irqs;
};
struct vfu_region_info {
	uint32_t argsz, flags, index, cap_offset;
	uint64_t size, offset;
};
struct vfu_io_fds {
	uint32_t argsz, flags, index, count;
};
struct vfu_io_fd {
	uint64_t offset, size;
	uint32_t fd_index, type, flags, padding; /* type 0: ioeventfd; flags 1: datamatch */
	uint64_t datamatch;
};
struct vfu_irq_info {
	uint32_t argsz, flags, index, count;
};
struct vfu_irq_set {
	uint32_t argsz, flags, index, start, count;
	uint8_t data[];
};
struct vfu_region {
	uint64_t offset;
	uint32_t region, count;
	uint8_t data[];
};
struct vfu_multi {
	uint64_t count;
	struct {
		uint64_t offset;
		uint32_t region, count;
		uint8_t data[8];
	} write[];
};
struct vfu_feature {
	uint32_t argsz, flags;
	uint8_t data[];
};
struct vfu_data { /* of MIG_READ and MIG_WRITE */
	uint32_t argsz, size;
	uint8_t data[];
};

struct vfu_message {
	struct vfu_header head;
	_Alignas(8) uint8_t payload[VFU_PAYLOAD_MAX];
};

struct vfu_connection {
	int sock; /* owned; -1: nobody is connected */
	bool versioned;
	unsigned int peer_fds; /* that the client takes with one message */
	struct vfu_message in, out;
	size_t in_len, out_len, out_sent;
	int fds[VFU_FDS_MAX], out_fds[VFU_FDS_MAX]; /* received: owned; to send: borrowed */
	size_t nfds, out_nfds;
	int64_t deadline; /* ms; 0: none */
};

void vfu_open(struct vfu_connection *c, int sock);
void vfu_close(struct vfu_connection *c);
short vfu_events(const struct vfu_connection *c);
/* 1 a message is in c->in, well formed: vfu_reply() or vfu_fail() ends it; 0 nothing (yet); -errno
 * the connection must end. An error that the protocol can tell of has been replied to. */
int vfu_receive(struct vfu_connection *c);
/* Ends the message with `len` bytes of c->out.payload and out_nfds descriptors, or with an errno.
 * 0 or -errno, as above. */
int vfu_reply(struct vfu_connection *c, size_t len);
int vfu_fail(struct vfu_connection *c, int error);
/* Goes on with a reply that was not taken whole. */
int vfu_flush(struct vfu_connection *c);
static inline size_t vfu_payload(const struct vfu_connection *c)
{
	return c->in.head.size - sizeof(c->in.head);
}

#endif
