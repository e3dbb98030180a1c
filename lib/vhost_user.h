/*
 * The vhost-user wire, as QEMU's interop document (11.1) has it: numbers, bits and payloads. Little
 * is decided here; who may send what stands in lib/vhost_user_table.c. Native byte order, as the
 * specification says; fields are read only from private copies.
 */
#ifndef AIRLOCK_LIB_VHOST_USER_H
#define AIRLOCK_LIB_VHOST_USER_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

enum vu_request {
	VU_GET_FEATURES = 1,
	VU_SET_FEATURES = 2,
	VU_SET_OWNER = 3,
	VU_RESET_OWNER = 4,
	VU_SET_MEM_TABLE = 5,
	VU_SET_LOG_BASE = 6,
	VU_SET_LOG_FD = 7,
	VU_SET_VRING_NUM = 8,
	VU_SET_VRING_ADDR = 9,
	VU_SET_VRING_BASE = 10,
	VU_GET_VRING_BASE = 11,
	VU_SET_VRING_KICK = 12,
	VU_SET_VRING_CALL = 13,
	VU_SET_VRING_ERR = 14,
	VU_GET_PROTOCOL_FEATURES = 15,
	VU_SET_PROTOCOL_FEATURES = 16,
	VU_GET_QUEUE_NUM = 17,
	VU_SET_VRING_ENABLE = 18,
	VU_SEND_RARP = 19,
	VU_NET_SET_MTU = 20,
	VU_SET_BACKEND_REQ_FD = 21,
	VU_IOTLB_MSG = 22,
	VU_SET_VRING_ENDIAN = 23,
	VU_GET_CONFIG = 24,
	VU_SET_CONFIG = 25,
	VU_CREATE_CRYPTO_SESSION = 26,
	VU_CLOSE_CRYPTO_SESSION = 27,
	VU_POSTCOPY_ADVISE = 28,
	VU_POSTCOPY_LISTEN = 29,
	VU_POSTCOPY_END = 30,
	VU_GET_INFLIGHT_FD = 31,
	VU_SET_INFLIGHT_FD = 32,
	VU_GPU_SET_SOCKET = 33,
	VU_RESET_DEVICE = 34,
	VU_VRING_KICK = 35,
	VU_GET_MAX_MEM_SLOTS = 36,
	VU_ADD_MEM_REG = 37,
	VU_REM_MEM_REG = 38,
	VU_SET_STATUS = 39,
	VU_GET_STATUS = 40,
	VU_GET_SHARED_OBJECT = 41,
	VU_SET_DEVICE_STATE_FD = 42,
	VU_CHECK_DEVICE_STATE = 43,
	VU_GET_SHMEM_CONFIG = 44,
	VU_REQUESTS = 45
};

/* What a back-end sends, over the socket of SET_BACKEND_REQ_FD. */
enum vu_back_request {
	VU_BACK_IOTLB_MSG = 1,
	VU_BACK_CONFIG_CHANGE = 2,
	VU_BACK_VRING_HOST_NOTIFIER = 3,
	VU_BACK_VRING_CALL = 4,
	VU_BACK_VRING_ERR = 5,
};

/* Protocol feature bits. */
#define VU_P_MQ		       0
#define VU_P_LOG_SHMFD	       1
#define VU_P_RARP	       2
#define VU_P_REPLY_ACK	       3
#define VU_P_NET_MTU	       4
#define VU_P_BACKEND_REQ       5
#define VU_P_CROSS_ENDIAN      6
#define VU_P_CRYPTO_SESSION    7
#define VU_P_PAGEFAULT	       8
#define VU_P_CONFIG	       9
#define VU_P_BACKEND_SEND_FD   10
#define VU_P_HOST_NOTIFIER     11
#define VU_P_INFLIGHT_SHMFD    12
#define VU_P_RESET_DEVICE      13
#define VU_P_INBAND	       14
#define VU_P_MEM_SLOTS	       15
#define VU_P_STATUS	       16
#define VU_P_XEN_MMAP	       17
#define VU_P_SHARED_OBJECT     18
#define VU_P_DEVICE_STATE      19
#define VU_P_GET_BASE_INFLIGHT 20
#define VU_P_GPA_ADDRESSES     21
#define VU_P_SHMEM	       22

/* Feature bit of the protocol itself, beside virtio's own. */
#define VU_F_LOG_ALL	       26
#define VU_F_PROTOCOL_FEATURES 30

#define VU_VERSION	   0x1u
#define VU_VERSION_MASK	   0x3u
#define VU_FLAG_REPLY	   0x4u
#define VU_FLAG_NEED_REPLY 0x8u

#define VU_VRING_INDEX_MASK 0xffu
#define VU_VRING_NOFD	    0x100u
#define VU_VRING_F_LOG	    0x1u /* of vu_vring_addr.flags */

#define VU_MEM_REGIONS_MAX 8 /* of one SET_MEM_TABLE */
#define VU_CONFIG_MAX	   256

struct vu_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of the payload that follows */
};
struct vu_vring_state {
	uint32_t index;
	uint32_t num;
};
struct vu_vring_addr {
	uint32_t index;
	uint32_t flags; /* VU_VRING_F_LOG: log the ring's own writes */
	uint64_t desc, used, avail, log;
};
struct vu_mem_region {
	uint64_t guest_addr, size, user_addr, mmap_offset;
};
struct vu_mem_table {
	uint32_t nregions, padding;
	struct vu_mem_region regions[VU_MEM_REGIONS_MAX];
};
struct vu_mem_single {
	uint64_t padding;
	struct vu_mem_region region;
};
struct vu_config {
	uint32_t offset, size, flags;
	uint8_t bytes[VU_CONFIG_MAX];
};
struct vu_transfer {
	uint32_t direction, phase; /* 0 save, 1 load; 0: while all rings are stopped */
};
struct vu_log {
	uint64_t size, offset;
};
/* "An IOTLB message". */
struct vu_iotlb {
	uint64_t iova, size;
	uint64_t addr; /* a user address; a guest address with VU_P_GPA_ADDRESSES */
	uint8_t perm;  /* VU_ACCESS_* */
	uint8_t type;
	uint8_t unused[6]; /* padding of the C structure, of any value */
};
enum vu_iotlb_type {
	VU_IOTLB_MISS = 1,
	VU_IOTLB_UPDATE = 2,
	VU_IOTLB_INVALIDATE = 3,
	VU_IOTLB_ACCESS_FAIL = 4,
};
#define VU_ACCESS_RO 1u
#define VU_ACCESS_WO 2u
#define VU_ACCESS_RW 3u

#define VU_PAYLOAD_MAX 288 /* the largest payload of any row */

/* On the wire from `head` on: the unsent word puts the payload where its 64-bit fields are aligned.
 */
struct vu_message {
	uint32_t unsent;
	struct vu_header head;
	union {
		uint64_t u64;
		struct vu_vring_state state;
		struct vu_vring_addr addr;
		struct vu_mem_table memory;
		struct vu_mem_single single;
		struct vu_config config;
		struct vu_log log;
		struct vu_transfer transfer;
		struct vu_iotlb iotlb;
		uint8_t bytes[VU_PAYLOAD_MAX];
	};
};

static_assert(sizeof(struct vu_header) == 12, "wire layout");
static_assert(sizeof(struct vu_vring_addr) == 40, "wire layout");
static_assert(sizeof(struct vu_mem_table) == 264, "wire layout");
static_assert(sizeof(struct vu_mem_single) == 40, "wire layout");
static_assert(sizeof(struct vu_iotlb) == 32, "wire layout");
static_assert(offsetof(struct vu_message, bytes) ==
		      offsetof(struct vu_message, head) + sizeof(struct vu_header),
	      "contiguous");
static_assert(sizeof(struct vu_config) <= VU_PAYLOAD_MAX, "payload fits");

#endif
