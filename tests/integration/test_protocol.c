/*
 * Messages that no honest front-end sends. One row an input: what it is, in which state of the
 * connection it comes, and the class of its outcome. After each, a fresh connection passes frames
 * both ways and the broker's descriptors, mappings, processes and memory are back where they were;
 * where the connection goes on, its device holds no more than before.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/util.h"
#include "tests/support/rig.h"

static struct rig rig;
static struct guest guest;

enum state {
	FRESH,	    /* connected, nothing said */
	NEGOTIATED, /* owner, features, REPLY_ACK */
	SHARED,	    /* memory too: 0x10000000 and, after a hole, another region */
	RUNNING,    /* traffic flows */
	FULL,	    /* as NEGOTIATED, with every protocol feature that is offered */
	TRANSLATED, /* as SHARED, behind an IOMMU */
};

enum outcome {
	CLOSED,
	REFUSED,   /* and the connection goes on */
	REJECTED,  /* either of both */
	HARMLESS,  /* done or refused; the connection goes on */
	NO_ANSWER, /* GET_CONFIG: a reply without payload */
};

struct row {
	const char *name;
	enum state state;
	enum outcome outcome;
	struct vu_message message;
	/* One letter a descriptor: e eventfd, m memfd of 1 MiB, t memfd of one page, d directory,
	 * p pipe, s socket, n /dev/null, o the connection itself, r read-only memfd */
	const char *fds;
	uint32_t send; /* bytes of the payload really sent, 0: as the header says */
};

#define DEVICE_GROWTH (128 << 10) /* bytes of a device: what it touches for the first time */

#define OK (VU_VERSION | VU_FLAG_NEED_REPLY)
#define HEAD(request_, flags_, size_) \
	.head = { .request = (request_), .flags = (flags_), .size = (size_) }
#define U64(request_, value)                          \
	{                                             \
		HEAD(request_, OK, 8), .u64 = (value) \
	}
#define STATE(request_, index_, num_)                               \
	{                                                           \
		HEAD(request_, OK, 8), .state = {(index_), (num_) } \
	}
#define EMPTY(request_, size_)            \
	{                                 \
		HEAD(request_, OK, size_) \
	}
#define ADDR(index_, flags_, desc_, used_, avail_, log_)   \
	{                                                  \
		HEAD(VU_SET_VRING_ADDR, OK, 40), .addr = { \
			(index_),                          \
			(flags_),                          \
			(desc_),                           \
			(used_),                           \
			(avail_),                          \
			(log_)                             \
		}                                          \
	}
#define ADD(gpa, size_, uva, offset)                                                               \
	{                                                                                          \
		HEAD(VU_ADD_MEM_REG, OK, 40), .single = { 0, { (gpa), (size_), (uva), (offset) } } \
	}
#define REMOVE(gpa, size_, uva, offset)                                                            \
	{                                                                                          \
		HEAD(VU_REM_MEM_REG, OK, 40), .single = { 0, { (gpa), (size_), (uva), (offset) } } \
	}
#define TABLE(size_, n, ...)                                                            \
	{                                                                               \
		HEAD(VU_SET_MEM_TABLE, OK, size_), .memory = {(n), 0, { __VA_ARGS__ } } \
	}
#define REGION(gpa, size_, uva, offset)         \
	{                                       \
		(gpa), (size_), (uva), (offset) \
	}
#define CONFIG(request_, payload, offset_, size_)                                              \
	{                                                                                      \
		HEAD(request_, OK, payload), .config = {.offset = (offset_), .size = (size_) } \
	}

#define LOG(size_, offset_)                                                 \
	{                                                                   \
		HEAD(VU_SET_LOG_BASE, OK, 16), .log = {(size_), (offset_) } \
	}
#define TRANSFER(direction_, phase_)                                                       \
	{                                                                                  \
		HEAD(VU_SET_DEVICE_STATE_FD, OK, 8), .transfer = {(direction_), (phase_) } \
	}
#define IOTLB(type_, perm_, iova_, size_, addr_)       \
	{                                              \
		HEAD(VU_IOTLB_MSG, OK, 32), .iotlb = { \
			.iova = (iova_),               \
			.size = (size_),               \
			.addr = (addr_),               \
			.perm = (perm_),               \
			.type = (type_)                \
		}                                      \
	}

#define MIB	0x100000u
#define GPA0	0x10000000ull /* of tests/support/memory.c */
#define UVA0	0x7e0000000000ull
#define GOOD(n) REGION(0x100000000ull * (n), MIB, 0x200000000ull * (n), 0)

/* clang-format off */
static const struct row rows[] = {
	/* ---- the header ---- */
	{ "request 0", NEGOTIATED, REJECTED, EMPTY(0, 0), "", 0 },
	{ "request 45", NEGOTIATED, REJECTED, EMPTY(45, 0), "", 0 },
	{ "request 45 with payload and descriptors", NEGOTIATED, REJECTED, EMPTY(45, 40), "ee", 0 },
	{ "request 0xffffffff", NEGOTIATED, REJECTED, EMPTY(0xffffffff, 8), "", 0 },
	{ "version 0", NEGOTIATED, CLOSED, { HEAD(VU_GET_FEATURES, 0, 0) }, "", 0 },
	{ "version 2", NEGOTIATED, CLOSED, { HEAD(VU_GET_FEATURES, 2, 0) }, "", 0 },
	{ "version 3", NEGOTIATED, CLOSED, { HEAD(VU_GET_FEATURES, 3, 0) }, "", 0 },
	{ "reply bit on a request", NEGOTIATED, CLOSED, { HEAD(VU_GET_FEATURES, 5, 0) }, "", 0 },
	{ "reserved flag", NEGOTIATED, CLOSED, { HEAD(VU_GET_FEATURES, 0x11, 0) }, "", 0 },
	{ "highest flag", NEGOTIATED, CLOSED, { HEAD(VU_GET_FEATURES, 0x80000001, 0) }, "", 0 },
	{ "size of 4 GiB", NEGOTIATED, CLOSED, EMPTY(VU_SET_FEATURES, 0xffffffff), "", 8 },
	{ "size of 4096", NEGOTIATED, CLOSED, EMPTY(VU_SET_MEM_TABLE, 4096), "", 64 },
	{ "size one more than any message", NEGOTIATED, CLOSED, EMPTY(VU_SET_CONFIG, VU_PAYLOAD_MAX + 1), "", 64 },
	{ "payload where there is none", NEGOTIATED, CLOSED, EMPTY(VU_GET_FEATURES, 8), "", 0 },
	{ "payload too short", NEGOTIATED, CLOSED, EMPTY(VU_SET_FEATURES, 4), "", 0 },
	{ "payload too long", NEGOTIATED, CLOSED, EMPTY(VU_SET_FEATURES, 16), "", 0 },
	{ "empty SET_VRING_ADDR", NEGOTIATED, CLOSED, EMPTY(VU_SET_VRING_ADDR, 0), "", 0 },
	{ "short SET_VRING_ADDR", NEGOTIATED, CLOSED, EMPTY(VU_SET_VRING_ADDR, 39), "", 0 },
	{ "short SET_VRING_NUM", NEGOTIATED, CLOSED, EMPTY(VU_SET_VRING_NUM, 4), "", 0 },
	{ "short ADD_MEM_REG", NEGOTIATED, CLOSED, EMPTY(VU_ADD_MEM_REG, 32), "m", 0 },
	/* ---- what was not negotiated ---- */
	{ "feature not offered", NEGOTIATED, REJECTED, U64(VU_SET_FEATURES, 1ull << 63), "", 0 },
	{ "every feature", NEGOTIATED, REJECTED, U64(VU_SET_FEATURES, ~0ull), "", 0 },
	{ "protocol feature not offered", NEGOTIATED, REJECTED, U64(VU_SET_PROTOCOL_FEATURES, 1ull << 40), "", 0 },
	{ "every protocol feature", NEGOTIATED, REJECTED, U64(VU_SET_PROTOCOL_FEATURES, ~0ull), "", 0 },
	{ "features changed while running", RUNNING, REJECTED, U64(VU_SET_FEATURES, 0), "", 0 },
	{ "protocol features changed while running", RUNNING, REJECTED, U64(VU_SET_PROTOCOL_FEATURES, 0), "", 0 },
	{ "SET_LOG_BASE", NEGOTIATED, REJECTED, { HEAD(VU_SET_LOG_BASE, OK, 16), .log = { 4096, 0 } }, "m", 0 },
	{ "SET_LOG_BASE that wraps", NEGOTIATED, REJECTED, { HEAD(VU_SET_LOG_BASE, OK, 16), .log = { ~0ull, 4096 } }, "m", 0 },
	{ "SET_LOG_FD", NEGOTIATED, REJECTED, EMPTY(VU_SET_LOG_FD, 0), "e", 0 },
	{ "SET_BACKEND_REQ_FD", NEGOTIATED, REJECTED, EMPTY(VU_SET_BACKEND_REQ_FD, 0), "s", 0 },
	{ "IOTLB_MSG", NEGOTIATED, REJECTED, EMPTY(VU_IOTLB_MSG, 32), "", 0 },
	{ "POSTCOPY_ADVISE", NEGOTIATED, REJECTED, EMPTY(VU_POSTCOPY_ADVISE, 0), "", 0 },
	{ "GET_INFLIGHT_FD", NEGOTIATED, REJECTED, EMPTY(VU_GET_INFLIGHT_FD, 24), "", 0 },
	{ "SET_INFLIGHT_FD", NEGOTIATED, REJECTED, EMPTY(VU_SET_INFLIGHT_FD, 24), "m", 0 },
	{ "CREATE_CRYPTO_SESSION", NEGOTIATED, REJECTED, EMPTY(VU_CREATE_CRYPTO_SESSION, 64), "", 0 },
	{ "GET_SHARED_OBJECT", NEGOTIATED, REJECTED, EMPTY(VU_GET_SHARED_OBJECT, 16), "", 0 },
	{ "SET_VRING_ENDIAN", NEGOTIATED, REJECTED, STATE(VU_SET_VRING_ENDIAN, 0, 1), "", 0 },
	{ "GET_CONFIG before its feature", FRESH, REJECTED, CONFIG(VU_GET_CONFIG, 18, 0, 6), "", 0 },
	{ "POSTCOPY_LISTEN", FULL, REJECTED, EMPTY(VU_POSTCOPY_LISTEN, 0), "", 0 },
	{ "POSTCOPY_END", FULL, REJECTED, EMPTY(VU_POSTCOPY_END, 0), "", 0 },
	{ "CLOSE_CRYPTO_SESSION", FULL, REJECTED, U64(VU_CLOSE_CRYPTO_SESSION, 0), "", 0 },
	{ "GPU_SET_SOCKET", FULL, REJECTED, EMPTY(VU_GPU_SET_SOCKET, 0), "s", 0 },
	{ "GET_SHMEM_CONFIG", FULL, REJECTED, EMPTY(VU_GET_SHMEM_CONFIG, 0), "", 0 },
	{ "CVE-2021-3839: INFLIGHT of 65535 queues", FULL, REJECTED,
	  { HEAD(VU_SET_INFLIGHT_FD, OK, 24), .bytes = { [16] = 0xff, 0xff, 0xff, 0xff } }, "m", 0 },
	{ "CVE-2022-0669: INFLIGHT with eight descriptors", FULL, REJECTED, EMPTY(VU_SET_INFLIGHT_FD, 24), "mmmmmmmm", 0 },
	{ "IOTLB_MSG without an IOMMU", FULL, REFUSED, IOTLB(VU_IOTLB_UPDATE, VU_ACCESS_RW, 0, 4096, UVA0), "", 0 },
	{ "VRING_KICK of ring 3", FULL, CLOSED, STATE(VU_VRING_KICK, 3, 0), "", 0 },
	{ "VRING_KICK of ring 0xffffffff", FULL, CLOSED, STATE(VU_VRING_KICK, 0xffffffff, 0), "", 0 },
	{ "VRING_KICK with a number", FULL, CLOSED, STATE(VU_VRING_KICK, 0, 1), "", 0 },
	{ "in-band rings without a channel", NEGOTIATED, CLOSED,
	  U64(VU_SET_PROTOCOL_FEATURES, 1u << VU_P_INBAND | 1u << VU_P_REPLY_ACK), "", 0 },
	{ "ADD_MEM_REG before its feature", FRESH, REJECTED, ADD(0x1000000, MIB, 0x2000000, 0), "m", 0 },
	/* ---- descriptors; of every kind: test_descriptors.c ---- */
	{ "descriptor with GET_FEATURES", NEGOTIATED, CLOSED, EMPTY(VU_GET_FEATURES, 0), "e", 0 },
	{ "descriptor with SET_VRING_NUM", NEGOTIATED, CLOSED, STATE(VU_SET_VRING_NUM, 0, 256), "e", 0 },
	{ "two descriptors with SET_VRING_KICK", NEGOTIATED, CLOSED, U64(VU_SET_VRING_KICK, 0), "ee", 0 },
	{ "two descriptors with SET_VRING_CALL", NEGOTIATED, CLOSED, U64(VU_SET_VRING_CALL, 0), "ee", 0 },
	{ "nine descriptors with SET_VRING_CALL", NEGOTIATED, CLOSED, U64(VU_SET_VRING_CALL, 0), "eeeeeeeee", 0 },
	{ "forty descriptors", NEGOTIATED, CLOSED, U64(VU_SET_VRING_CALL, 0), "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee", 0 },
	{ "no descriptor and no NOFD", NEGOTIATED, CLOSED, U64(VU_SET_VRING_CALL, 0), "", 0 },
	{ "NOFD with a descriptor", NEGOTIATED, CLOSED, U64(VU_SET_VRING_CALL, VU_VRING_NOFD), "e", 0 },
	{ "reserved bits in SET_VRING_KICK", NEGOTIATED, CLOSED, U64(VU_SET_VRING_KICK, 0x200), "e", 0 },
	{ "high bits in SET_VRING_KICK", NEGOTIATED, CLOSED, U64(VU_SET_VRING_KICK, 1ull << 32), "e", 0 },
	/* ---- ring indices ---- */
	{ "SET_VRING_NUM of ring 3", NEGOTIATED, CLOSED, STATE(VU_SET_VRING_NUM, 3, 256), "", 0 },
	{ "SET_VRING_NUM of ring 0x10000", NEGOTIATED, CLOSED, STATE(VU_SET_VRING_NUM, 0x10000, 256), "", 0 },
	{ "SET_VRING_NUM of ring 0xffffffff", NEGOTIATED, CLOSED, STATE(VU_SET_VRING_NUM, 0xffffffff, 256), "", 0 },
	{ "SET_VRING_BASE of ring 3", NEGOTIATED, CLOSED, STATE(VU_SET_VRING_BASE, 3, 0), "", 0 },
	{ "GET_VRING_BASE of ring 3", NEGOTIATED, CLOSED, STATE(VU_GET_VRING_BASE, 3, 0), "", 0 },
	{ "GET_VRING_BASE of ring 0x80000000", NEGOTIATED, CLOSED, STATE(VU_GET_VRING_BASE, 0x80000000, 0), "", 0 },
	{ "SET_VRING_ENABLE of ring 3", NEGOTIATED, CLOSED, STATE(VU_SET_VRING_ENABLE, 3, 1), "", 0 },
	{ "SET_VRING_ENABLE of ring 256", NEGOTIATED, CLOSED, STATE(VU_SET_VRING_ENABLE, 256, 1), "", 0 },
	{ "SET_VRING_ADDR of ring 3", SHARED, CLOSED, ADDR(3, 0, UVA0, UVA0 + 8192, UVA0 + 4096, 0), "", 0 },
	{ "SET_VRING_KICK of ring 3", NEGOTIATED, CLOSED, U64(VU_SET_VRING_KICK, 3), "e", 0 },
	{ "SET_VRING_CALL of ring 255", NEGOTIATED, CLOSED, U64(VU_SET_VRING_CALL, 255), "e", 0 },
	{ "SET_VRING_ERR of ring 3", NEGOTIATED, CLOSED, U64(VU_SET_VRING_ERR, 3), "e", 0 },
	/* ---- ring values ---- */
	{ "ring of 0", NEGOTIATED, REFUSED, STATE(VU_SET_VRING_NUM, 0, 0), "", 0 },
	{ "ring of 3", NEGOTIATED, REFUSED, STATE(VU_SET_VRING_NUM, 0, 3), "", 0 },
	{ "ring of 255", NEGOTIATED, REFUSED, STATE(VU_SET_VRING_NUM, 0, 255), "", 0 },
	{ "ring larger than --queue-size", NEGOTIATED, REFUSED, STATE(VU_SET_VRING_NUM, 0, 2048), "", 0 },
	{ "ring of 65536", NEGOTIATED, REFUSED, STATE(VU_SET_VRING_NUM, 0, 65536), "", 0 },
	{ "ring of 0x80000000", NEGOTIATED, REFUSED, STATE(VU_SET_VRING_NUM, 0, 0x80000000), "", 0 },
	{ "base 65536", NEGOTIATED, REFUSED, STATE(VU_SET_VRING_BASE, 0, 65536), "", 0 },
	{ "base 0xffffffff", NEGOTIATED, REFUSED, STATE(VU_SET_VRING_BASE, 0, 0xffffffff), "", 0 },
	{ "enable 2", NEGOTIATED, REJECTED, STATE(VU_SET_VRING_ENABLE, 0, 2), "", 0 },
	{ "enable 0xffffffff", NEGOTIATED, REJECTED, STATE(VU_SET_VRING_ENABLE, 0, 0xffffffff), "", 0 },
	{ "size of a running ring", RUNNING, REFUSED, STATE(VU_SET_VRING_NUM, 0, 128), "", 0 },
	{ "base of a running ring", RUNNING, REFUSED, STATE(VU_SET_VRING_BASE, 0, 1), "", 0 },
	{ "addresses of a running ring", RUNNING, REFUSED, ADDR(0, 0, UVA0, UVA0 + 8192, UVA0 + 4096, 0), "", 0 },
	/* ---- ring addresses ---- */
	{ "descriptors misaligned", SHARED, REFUSED, ADDR(0, 0, UVA0 + 8, UVA0 + 8192, UVA0 + 4096, 0), "", 0 },
	{ "avail misaligned", SHARED, REFUSED, ADDR(0, 0, UVA0, UVA0 + 8192, UVA0 + 4097, 0), "", 0 },
	{ "used misaligned", SHARED, REFUSED, ADDR(0, 0, UVA0, UVA0 + 8194, UVA0 + 4096, 0), "", 0 },
	{ "reserved flag of addresses", SHARED, REJECTED, ADDR(0, 2, UVA0, UVA0 + 8192, UVA0 + 4096, 0), "", 0 },
	{ "descriptors at the end of addresses", SHARED, REJECTED, ADDR(0, 0, ~15ull, UVA0 + 8192, UVA0 + 4096, 0), "", 0 },
	{ "avail at the end of addresses", SHARED, REJECTED, ADDR(0, 0, UVA0, UVA0 + 8192, ~1ull, 0), "", 0 },
	{ "used at the end of addresses", SHARED, REJECTED, ADDR(0, 0, UVA0, ~3ull, UVA0 + 4096, 0), "", 0 },
	{ "descriptors over avail", SHARED, REJECTED, ADDR(0, 0, UVA0, UVA0 + 8192, UVA0 + 4094, 0), "", 0 },
	{ "descriptors over used", SHARED, REJECTED, ADDR(0, 0, UVA0, UVA0 + 4092, UVA0 + 8192, 0), "", 0 },
	{ "all areas at one place", SHARED, REJECTED, ADDR(0, 0, UVA0, UVA0, UVA0, 0), "", 0 },
	{ "areas at 0", SHARED, REJECTED, ADDR(0, 0, 0, 0, 0, 0), "", 0 },
	{ "guest's addresses in place of the front-end's", SHARED, REJECTED, ADDR(0, 0, GPA0, GPA0 + 8192, GPA0 + 4096, 0), "", 0 },
	{ "logging without a log", SHARED, HARMLESS, ADDR(0, 1, UVA0, UVA0 + 8192, UVA0 + 4096, 4096), "", 0 },
	/* ---- memory ---- */
	{ "no region", NEGOTIATED, REJECTED, TABLE(8, 0), "", 0 },
	{ "more regions than descriptors", NEGOTIATED, CLOSED, TABLE(72, 2, GOOD(1), GOOD(2)), "m", 0 },
	{ "fewer regions than descriptors", NEGOTIATED, CLOSED, TABLE(40, 1, GOOD(1)), "mm", 0 },
	{ "nine regions", NEGOTIATED, CLOSED, TABLE(264, 9, GOOD(1)), "mmmmmmmm", 0 },
	{ "0xffffffff regions", NEGOTIATED, CLOSED, TABLE(40, 0xffffffff, GOOD(1)), "m", 0 },
	{ "table shorter than its regions", NEGOTIATED, CLOSED, TABLE(40, 2, GOOD(1)), "mm", 0 },
	{ "table longer than its regions", NEGOTIATED, CLOSED, TABLE(72, 1, GOOD(1)), "m", 0 },
	{ "region of 0 bytes", NEGOTIATED, REFUSED, TABLE(40, 1, REGION(0x1000000, 0, 0x2000000, 0)), "m", 0 },
	{ "guest address wraps", NEGOTIATED, REFUSED, TABLE(40, 1, REGION(~0xfffull, MIB, 0x2000000, 0)), "m", 0 },
	{ "front-end address wraps", NEGOTIATED, REFUSED, TABLE(40, 1, REGION(0x1000000, MIB, ~0xfffull, 0)), "m", 0 },
	{ "file offset wraps", NEGOTIATED, REFUSED, TABLE(40, 1, REGION(0x1000000, MIB, 0x2000000, ~0xfffull)), "m", 0 },
	{ "size of all addresses", NEGOTIATED, REFUSED, TABLE(40, 1, REGION(0, ~0ull, 0, 0)), "m", 0 },
	{ "larger than its file", NEGOTIATED, REFUSED, TABLE(40, 1, REGION(0x1000000, MIB, 0x2000000, 0)), "t", 0 },
	{ "offset beyond its file", NEGOTIATED, REFUSED, TABLE(40, 1, REGION(0x1000000, 4096, 0x2000000, MIB)), "m", 0 },
	{ "one byte beyond its file", NEGOTIATED, REFUSED, TABLE(40, 1, REGION(0x1000000, MIB, 0x2000000, 1)), "m", 0 },
	{ "overlap in guest addresses", NEGOTIATED, REFUSED,
	  TABLE(72, 2, REGION(0x1000000, MIB, 0x2000000, 0), REGION(0x10ff000, MIB, 0x9000000, 0)), "mm", 0 },
	{ "overlap in front-end addresses", NEGOTIATED, REFUSED,
	  TABLE(72, 2, REGION(0x1000000, MIB, 0x2000000, 0), REGION(0x8000000, MIB, 0x20ff000, 0)), "mm", 0 },
	{ "the same region twice", NEGOTIATED, REFUSED,
	  TABLE(72, 2, REGION(0x1000000, MIB, 0x2000000, 0), REGION(0x1000000, MIB, 0x2000000, 0)), "mm", 0 },
	{ "memory is a directory", NEGOTIATED, REFUSED, TABLE(40, 1, GOOD(1)), "d", 0 },
	{ "memory is a pipe", NEGOTIATED, REFUSED, TABLE(40, 1, GOOD(1)), "p", 0 },
	{ "memory is a socket", NEGOTIATED, REFUSED, TABLE(40, 1, GOOD(1)), "s", 0 },
	{ "memory is a device", NEGOTIATED, REFUSED, TABLE(40, 1, GOOD(1)), "n", 0 },
	{ "memory is an eventfd", NEGOTIATED, REFUSED, TABLE(40, 1, GOOD(1)), "e", 0 },
	{ "memory is the connection", NEGOTIATED, REFUSED, TABLE(40, 1, GOOD(1)), "o", 0 },
	{ "memory is read-only", NEGOTIATED, REFUSED, TABLE(40, 1, GOOD(1)), "r", 0 },
	{ "second of two regions is bad", NEGOTIATED, REFUSED, TABLE(72, 2, GOOD(1), GOOD(2)), "md", 0 },
	{ "bad table under running rings", RUNNING, REFUSED, TABLE(40, 1, GOOD(1)), "d", 0 },
	{ "slot without descriptor", NEGOTIATED, CLOSED, ADD(0x1000000, MIB, 0x2000000, 0), "", 0 },
	{ "slot with two descriptors", NEGOTIATED, CLOSED, ADD(0x1000000, MIB, 0x2000000, 0), "mm", 0 },
	{ "slot of 0 bytes", NEGOTIATED, REFUSED, ADD(0x1000000, 0, 0x2000000, 0), "m", 0 },
	{ "slot that wraps", NEGOTIATED, REFUSED, ADD(~0xfffull, MIB, 0x2000000, 0), "m", 0 },
	{ "slot larger than its file", NEGOTIATED, REFUSED, ADD(0x1000000, 2 * MIB, 0x2000000, 0), "m", 0 },
	{ "slot of all addresses", NEGOTIATED, REFUSED, ADD(0, ~0ull, 0, 0), "m", 0 },
	{ "slot whose front-end address wraps", NEGOTIATED, REFUSED, ADD(0x1000000, MIB, ~0xfffull, 0), "m", 0 },
	{ "slot whose offset wraps", NEGOTIATED, REFUSED, ADD(0x1000000, MIB, 0x2000000, ~0xfffull), "m", 0 },
	{ "slot that ends at 2^64", NEGOTIATED, REFUSED, ADD(0x1000000, ~0ull - 0xffffff, 0x2000000, 0), "m", 0 },
	{ "slot's memory is read-only", NEGOTIATED, REFUSED, ADD(0x1000000, MIB, 0x2000000, 0), "r", 0 },
	{ "slot over a running ring's memory", RUNNING, REFUSED, ADD(GPA0, MIB, UVA0, 0), "m", 0 },
	{ "slot over another", SHARED, REFUSED, ADD(GPA0, MIB, 0x2000000, 0), "m", 0 },
	{ "slot over another's front-end addresses", SHARED, REFUSED, ADD(0x4000000000, MIB, UVA0, 0), "m", 0 },
	{ "removal of no slot", SHARED, REFUSED, REMOVE(0x4000000000, MIB, 0x2000000, 0), "", 0 },
	{ "removal of half a slot", SHARED, REFUSED, REMOVE(GPA0, 4096, UVA0, 0), "", 0 },
	{ "removal before anything was shared", NEGOTIATED, REFUSED, REMOVE(GPA0, 4096, UVA0, 0), "", 0 },
	{ "removal of another size", SHARED, REFUSED, REMOVE(GPA0, ~0ull, UVA0, 0), "", 0 },
	{ "removal by another front-end address", SHARED, REFUSED, REMOVE(GPA0, MIB, ~0xfffull, 0), "", 0 },
	/* ---- the log of dirty pages ---- */
	{ "log of 0 bytes", FULL, CLOSED, LOG(0, 0), "m", 0 },
	{ "log of all addresses", FULL, CLOSED, LOG(~0ull, 0), "m", 0 },
	{ "CVE-2020-10722: log that wraps", FULL, CLOSED, LOG(4096, ~0ull - 4094), "m", 0 },
	{ "log larger than its file", FULL, CLOSED, LOG(MIB + 1, 0), "m", 0 },
	{ "log beyond its file", FULL, CLOSED, LOG(4096, MIB), "m", 0 },
	{ "log is an eventfd", FULL, CLOSED, LOG(4096, 0), "e", 0 },
	{ "log is read-only", FULL, CLOSED, LOG(4096, 0), "r", 0 },
	{ "log's event with half a number", FULL, CLOSED, EMPTY(VU_SET_LOG_FD, 4), "e", 0 },
	/* ---- translations ---- */
	{ "translation of type 0", TRANSLATED, REFUSED, IOTLB(0, VU_ACCESS_RW, 0, 4096, UVA0), "", 0 },
	{ "a miss, which is the back-end's", TRANSLATED, REFUSED, IOTLB(VU_IOTLB_MISS, VU_ACCESS_RW, 0, 4096, UVA0), "", 0 },
	{ "a failed access, which is the back-end's", TRANSLATED, REFUSED, IOTLB(VU_IOTLB_ACCESS_FAIL, VU_ACCESS_RW, 0, 4096, UVA0), "", 0 },
	{ "translation of type 255", TRANSLATED, REFUSED, IOTLB(255, VU_ACCESS_RW, 0, 4096, UVA0), "", 0 },
	{ "translation for nobody", TRANSLATED, REFUSED, IOTLB(VU_IOTLB_UPDATE, 0, 0, 4096, UVA0), "", 0 },
	{ "translation of unknown access", TRANSLATED, REFUSED, IOTLB(VU_IOTLB_UPDATE, 4, 0, 4096, UVA0), "", 0 },
	{ "translation of 0 bytes", TRANSLATED, REFUSED, IOTLB(VU_IOTLB_UPDATE, VU_ACCESS_RW, 0, 0, UVA0), "", 0 },
	{ "translation of all addresses", TRANSLATED, REFUSED, IOTLB(VU_IOTLB_UPDATE, VU_ACCESS_RW, 0, ~0ull, UVA0), "", 0 },
	{ "translation that wraps", TRANSLATED, REFUSED, IOTLB(VU_IOTLB_UPDATE, VU_ACCESS_RW, ~0xfffull, 8192, UVA0), "", 0 },
	{ "translation to addresses that wrap", TRANSLATED, REFUSED, IOTLB(VU_IOTLB_UPDATE, VU_ACCESS_RW, 0, 8192, ~0xfffull), "", 0 },
	{ "translation to nowhere", TRANSLATED, REFUSED, IOTLB(VU_IOTLB_UPDATE, VU_ACCESS_RW, 0, 4096, 0x1000), "", 0 },
	{ "invalidation that wraps", TRANSLATED, REFUSED, IOTLB(VU_IOTLB_INVALIDATE, 0, ~0xfffull, 8192, 0), "", 0 },
	{ "invalidation of nothing known", TRANSLATED, HARMLESS, IOTLB(VU_IOTLB_INVALIDATE, 0, 0x1000, 4096, 0), "", 0 },
	{ "invalidation of all", TRANSLATED, HARMLESS, IOTLB(VU_IOTLB_INVALIDATE, 0, 0, ~0ull, 0), "", 0 },
	/* ---- the device's state ---- */
	{ "state in a third direction", FULL, REFUSED, TRANSFER(2, 0), "p", 0 },
	{ "state in direction 0xffffffff", FULL, REFUSED, TRANSFER(0xffffffff, 0), "p", 0 },
	{ "state in another phase", FULL, REFUSED, TRANSFER(0, 1), "p", 0 },
	{ "state from a pipe that ends at once", FULL, HARMLESS, TRANSFER(1, 0), "p", 0 },
	{ "state checked that was never moved", FULL, HARMLESS, EMPTY(VU_CHECK_DEVICE_STATE, 0), "", 0 },
	/* ---- what else a device is told ---- */
	{ "MTU 0", FULL, REFUSED, U64(VU_NET_SET_MTU, 0), "", 0 },
	{ "MTU below any", FULL, REFUSED, U64(VU_NET_SET_MTU, 67), "", 0 },
	{ "MTU above the administrator's", FULL, REFUSED, U64(VU_NET_SET_MTU, 65535), "", 0 },
	{ "MTU of 2^32 + 1500", FULL, REFUSED, U64(VU_NET_SET_MTU, 0x1000005dc), "", 0 },
	{ "MTU of 2^64 - 1", FULL, REFUSED, U64(VU_NET_SET_MTU, ~0ull), "", 0 },
	{ "status of nine bits", FULL, REFUSED, U64(VU_SET_STATUS, 0x100), "", 0 },
	{ "status of 64 bits", FULL, REFUSED, U64(VU_SET_STATUS, ~0ull), "", 0 },
	{ "RARP of a group", FULL, HARMLESS, U64(VU_SEND_RARP, ~0ull), "", 0 },
	/* ---- configuration space ---- */
	{ "config past the end", NEGOTIATED, NO_ANSWER, CONFIG(VU_GET_CONFIG, 24, 0x1000, 12), "", 0 },
	{ "config offset wraps", NEGOTIATED, NO_ANSWER, CONFIG(VU_GET_CONFIG, 24, 0xfffffffc, 12), "", 0 },
	{ "config size unlike the payload", NEGOTIATED, CLOSED, CONFIG(VU_GET_CONFIG, 24, 0, 256), "", 0 },
	{ "config size of 4 GiB", NEGOTIATED, CLOSED, CONFIG(VU_GET_CONFIG, 24, 0, 0xffffffff), "", 0 },
	{ "config without a size", NEGOTIATED, CLOSED, EMPTY(VU_GET_CONFIG, 4), "", 0 },
	{ "config of its last byte and one", NEGOTIATED, NO_ANSWER, CONFIG(VU_GET_CONFIG, 14, 255, 2), "", 0 },
	{ "config of one byte at the end of offsets", NEGOTIATED, NO_ANSWER, CONFIG(VU_GET_CONFIG, 13, 0xffffffff, 1), "", 0 },
	{ "config of 257 bytes", NEGOTIATED, CLOSED, CONFIG(VU_GET_CONFIG, 269, 0, 257), "", 0 },
	{ "config written where offsets wrap", NEGOTIATED, REFUSED, CONFIG(VU_SET_CONFIG, 24, 0xfffffffc, 12), "", 0 },
	{ "config of 257 bytes written", NEGOTIATED, CLOSED, CONFIG(VU_SET_CONFIG, 269, 0, 257), "", 0 },
	{ "config written past the end", NEGOTIATED, REFUSED, CONFIG(VU_SET_CONFIG, 24, 0x1000, 12), "", 0 },
	{ "config written with a wrong size", NEGOTIATED, CLOSED, CONFIG(VU_SET_CONFIG, 24, 0, 13), "", 0 },
};
/* clang-format on */

/* What an honest front-end may say in the state FULL, each request once. */
/* clang-format off */
static const struct honest {
	const char *name;
	struct vu_message message;
	const char *fds;
	bool featured; /* only after its protocol feature was negotiated */
} honest[] = {
	{ "GET_FEATURES", EMPTY(VU_GET_FEATURES, 0), "", false },
	{ "SET_FEATURES", U64(VU_SET_FEATURES, 1ull << VIRTIO_F_VERSION_1 | 1u << VU_F_PROTOCOL_FEATURES), "", false },
	{ "SET_OWNER", EMPTY(VU_SET_OWNER, 0), "", false },
	{ "RESET_OWNER", EMPTY(VU_RESET_OWNER, 0), "", false },
	{ "SET_MEM_TABLE", TABLE(40, 1, GOOD(1)), "m", false },
	{ "SET_LOG_BASE", LOG(4096, 0), "m", true },
	{ "SET_LOG_FD", EMPTY(VU_SET_LOG_FD, 0), "e", true },
	{ "SET_VRING_NUM", STATE(VU_SET_VRING_NUM, 0, 256), "", false },
	{ "SET_VRING_ADDR", ADDR(0, 0, 0x1000, 0x3000, 0x2000, 0), "", false },
	{ "SET_VRING_BASE", STATE(VU_SET_VRING_BASE, 0, 0), "", false },
	{ "GET_VRING_BASE", STATE(VU_GET_VRING_BASE, 0, 0), "", false },
	{ "SET_VRING_KICK", U64(VU_SET_VRING_KICK, 0), "e", false },
	{ "SET_VRING_CALL", U64(VU_SET_VRING_CALL, 0), "e", false },
	{ "SET_VRING_ERR", U64(VU_SET_VRING_ERR, 0), "e", false },
	{ "GET_PROTOCOL_FEATURES", EMPTY(VU_GET_PROTOCOL_FEATURES, 0), "", false },
	{ "SET_PROTOCOL_FEATURES", U64(VU_SET_PROTOCOL_FEATURES, 1u << VU_P_REPLY_ACK), "", false },
	{ "GET_QUEUE_NUM", EMPTY(VU_GET_QUEUE_NUM, 0), "", true },
	{ "SET_VRING_ENABLE", STATE(VU_SET_VRING_ENABLE, 0, 1), "", false },
	{ "SEND_RARP", U64(VU_SEND_RARP, 0x060504030202), "", true },
	{ "NET_SET_MTU", U64(VU_NET_SET_MTU, 1400), "", true },
	{ "SET_BACKEND_REQ_FD", EMPTY(VU_SET_BACKEND_REQ_FD, 0), "s", true },
	{ "IOTLB_MSG", IOTLB(VU_IOTLB_INVALIDATE, 0, 0, 4096, 0), "", false },
	{ "GET_CONFIG", CONFIG(VU_GET_CONFIG, 18, 0, 6), "", true },
	{ "SET_CONFIG", CONFIG(VU_SET_CONFIG, 18, 0, 6), "", true },
	{ "RESET_DEVICE", EMPTY(VU_RESET_DEVICE, 0), "", true },
	{ "SET_STATUS", U64(VU_SET_STATUS, 1), "", true },
	{ "GET_STATUS", EMPTY(VU_GET_STATUS, 0), "", true },
	{ "VRING_KICK", STATE(VU_VRING_KICK, 0, 0), "", true },
	{ "GET_MAX_MEM_SLOTS", EMPTY(VU_GET_MAX_MEM_SLOTS, 0), "", true },
	{ "ADD_MEM_REG", ADD(0x1000000, MIB, 0x2000000, 0), "m", true },
	{ "REM_MEM_REG", REMOVE(0x1000000, MIB, 0x2000000, 0), "", true },
	{ "SET_DEVICE_STATE_FD", TRANSFER(0, 0), "p", true },
	{ "CHECK_DEVICE_STATE", EMPTY(VU_CHECK_DEVICE_STATE, 0), "", true },
};
/* clang-format on */

/* What is done to each of them; all close the connection. */
static const struct distortion {
	const char *name;
	int bytes;	   /* added to the payload */
	uint32_t flags;	   /* turned over in the header */
	const char *fds;   /* sent as well */
	bool bare, before; /* without its descriptors; in the state FRESH */
} distortions[] = {
	{ .name = "a byte short", .bytes = -1 },
	{ .name = "a byte long", .bytes = 1 },
	{ .name = "of version 0", .flags = 1 },
	{ .name = "of version 2", .flags = 3 },
	{ .name = "as a reply", .flags = VU_FLAG_REPLY },
	{ .name = "with a reserved flag", .flags = 0x10 },
	{ .name = "with two descriptors too many", .fds = "ee" },
	{ .name = "with nine descriptors too many", .fds = "eeeeeeeee" },
	{ .name = "without its descriptor", .bare = true },
	{ .name = "before its feature", .before = true },
};

static bool applies(const struct distortion *d, const struct honest *h)
{
	return !(d->bytes < 0 && !h->message.head.size) && !(d->bare && !*h->fds) &&
	       !(d->before && !h->featured);
}

static struct row distorted[ARRAY_SIZE(honest) * ARRAY_SIZE(distortions)];

/* Fills `distorted`; how many there are. */
static size_t distort(void)
{
	static char names[ARRAY_SIZE(distorted)][64], fds[ARRAY_SIZE(distorted)][16];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(distorted); i++) {
		const struct honest *h = &honest[i / ARRAY_SIZE(distortions)];
		const struct distortion *d = &distortions[i % ARRAY_SIZE(distortions)];
		struct row *row = &distorted[n];

		if (!applies(d, h))
			continue;
		snprintf(names[n], sizeof(names[n]), "%s %s", h->name, d->name);
		snprintf(fds[n], sizeof(fds[n]), "%s%s", d->bare ? "" : h->fds,
			 d->fds ? d->fds : "");
		*row = (struct row){ names[n], d->before ? FRESH : FULL, CLOSED, h->message, fds[n],
				     0 };
		row->message.head.size += (uint32_t)d->bytes;
		row->message.head.flags ^= d->flags;
		n++;
	}
	return n;
}

static int open_fd(char kind, int *other)
{
	int pair[2] = { -1, -1 }, fd = -1;

	*other = -1;
	switch (kind) {
	case 'e':
		return eventfd(0, EFD_CLOEXEC);
	case 'm':
	case 't':
		fd = memfd_create("row", MFD_CLOEXEC);
		assert_ok(ftruncate(fd, kind == 'm' ? MIB : 4096));
		return fd;
	case 'r': {
		char path[64];

		*other = memfd_create("row", MFD_CLOEXEC);
		assert_ok(ftruncate(*other, MIB));
		snprintf(path, sizeof(path), "/proc/self/fd/%d", *other);
		return open(path, O_RDONLY | O_CLOEXEC);
	}
	case 'd':
		return open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	case 'n':
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	case 'o':
		return dup(guest.peer.sock);
	case 'p':
		assert_ok(pipe2(pair, O_CLOEXEC));
		break;
	case 's':
		assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
		break;
	default:
		fail();
	}
	*other = pair[1];
	return pair[0];
}

static void reach(enum state state)
{
	if (state == RUNNING) {
		rig_open(&rig, &guest, &(struct guest_options){ .ring_size = 64, .slots = true });
		return;
	}
	rig_connect(&rig, &guest.peer);
	if (state == FRESH)
		return;
	assert_ok(guest_negotiate(
		&guest, &(struct guest_options){
				.ring_size = 64, .slots = true, .platform = state == TRANSLATED }));
	if (state == FULL)
		assert_ok(peer_tell_u64(&guest.peer, VU_SET_PROTOCOL_FEATURES,
					guest.peer.offered_protocol));
	assert_ok(peer_tell_u64(&guest.peer, VU_SET_FEATURES, guest.peer.features));
	if (state == SHARED || state == TRANSLATED) {
		assert_ok(guest_make_rings(&guest));
		assert_ok(guest_share_memory(&guest));
		assert_ok(peer_tell_state(&guest.peer, VU_SET_VRING_NUM, 0, 256));
	}
}

static void send_row(const struct row *row)
{
	int fds[64], others[64], sent;
	size_t n = strlen(row->fds);
	uint32_t len = row->send ? row->send : row->message.head.size;

	for (size_t i = 0; i < n; i++)
		assert_true((fds[i] = open_fd(row->fds[i], &others[i])) >= 0);
	sent = peer_send_raw(&guest.peer, &row->message.head, sizeof(row->message.head) + len, fds,
			     n);
	assert_true(sent == 0 || sent == -ECONNRESET);
	fd_close_all(fds, n);
	fd_close_all(others, n);
}

/* Bit 8 of a state's answer says that no descriptor comes with it. */
static uint64_t refusal(const struct vu_message *answer)
{
	return answer->u64 & 0xff;
}

static void expect(const struct row *row)
{
	struct vu_message answer;
	int rc;

	if (row->outcome == CLOSED) {
		/* An answer may come before: never one that says yes. */
		rc = peer_recv(&guest.peer, &answer);
		if (rc == 0) {
			assert_int_equal(8, answer.head.size);
			assert_int_not_equal(0, refusal(&answer));
		}
		assert_true(peer_closed(&guest.peer, RIG_WAIT_MS));
		return;
	}
	rc = peer_recv(&guest.peer, &answer);
	if (row->outcome == REJECTED && rc == -ECONNRESET)
		return;
	assert_ok(rc);
	assert_int_equal(row->message.head.request, answer.head.request);
	if (row->outcome == NO_ANSWER) {
		assert_int_equal(0, answer.head.size);
	} else {
		assert_int_equal(8, answer.head.size);
		if (row->outcome != HARMLESS)
			assert_int_not_equal(0, refusal(&answer));
	}
	if (row->state == RUNNING)
		rig_exchange(&rig, &guest, 0);
	else if (row->outcome != REJECTED)
		assert_ok(peer_sync(&guest.peer));
}

static int ensure_rig(void **state)
{
	(void)state;
	guest_blank(&guest);
	rig_ensure(&rig, (const char *[]){ NULL });
	return 0;
}

static int close_guest(void **state)
{
	(void)state;
	guest_close(&guest);
	return 0;
}

/* What a device maps, opens and keeps; a refused message changes nothing. */
static struct holdings {
	int fds, maps;
	long memory;
} device_holds(void)
{
	pid_t pid = rig_device(&rig);

	return (struct holdings){ proc_count_fds(pid), proc_count_maps(pid), proc_private(pid) };
}

static void row_ends_as_it_must(void **state)
{
	const struct row *row = *state;

	struct holdings before, after;
	bool unchanged = row->outcome == REFUSED || row->outcome == NO_ANSWER;

	reach(row->state);
	if (unchanged)
		before = device_holds();
	send_row(row);
	expect(row);
	if (unchanged) {
		after = device_holds();
		assert_int_equal(before.fds, after.fds);
		/* A sanitizer keeps the shadow of all that was ever mapped or touched. */
		if (!rig_sanitized()) {
			assert_int_equal(before.maps, after.maps);
			assert_true(after.memory - before.memory < DEVICE_GROWTH);
		}
	}
	guest_close(&guest);
	rig_serves(&rig);
}

/* What the rows distort is right, but for what was done to it. */
static void honest_messages_keep_the_connection(void **state)
{
	struct vu_message answer;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(honest); i++) {
		const struct row row = { honest[i].name,    FULL,	   HARMLESS,
					 honest[i].message, honest[i].fds, 0 };

		print_message("# %s\n", row.name);
		reach(FULL);
		send_row(&row);
		assert_ok(peer_recv(&guest.peer, &answer));
		assert_int_equal(row.message.head.request, answer.head.request);
		assert_true(answer.head.size > 0);
		assert_ok(peer_sync(&guest.peer));
		guest_close(&guest);
	}
	rig_serves(&rig);
}

/* A message cut short at every byte, then silence for ever (the end of the connection). */
static void hang_up_at_every_byte(void **state)
{
	const struct vu_message message = TABLE(40, 1, GOOD(1));
	int fd, other;

	(void)state;
	for (size_t len = 1; len < sizeof(message.head) + 40; len++) {
		reach(len & 1 ? FRESH : NEGOTIATED);
		fd = open_fd('m', &other);
		assert_ok(peer_send_raw(&guest.peer, &message.head, len, &fd, 1));
		close(fd);
		guest_close(&guest);
	}
	rig_serves(&rig);
}

static void one_byte_at_a_time(void **state)
{
	const struct vu_message message = TABLE(40, 1, GOOD(1));
	struct vu_message answer;
	int fd, other;

	(void)state;
	reach(NEGOTIATED);
	fd = open_fd('m', &other);
	for (size_t i = 0; i < sizeof(message.head) + 40; i++)
		assert_ok(peer_send_raw(&guest.peer, (const char *)&message.head + i, 1, &fd,
					i == 0));
	close(fd);
	assert_ok(peer_recv(&guest.peer, &answer));
	assert_int_equal(0, answer.u64);
	guest_close(&guest);
	rig_serves(&rig);
}

/* A descriptor with each byte of one message. */
static void a_descriptor_with_every_byte(void **state)
{
	const struct vu_message message = TABLE(40, 1, GOOD(1));
	int fd, other, rc = 0;

	(void)state;
	reach(NEGOTIATED);
	fd = open_fd('m', &other);
	for (size_t i = 0; !rc && i < sizeof(message.head) + 40; i++)
		rc = peer_send_raw(&guest.peer, (const char *)&message.head + i, 1, &fd, 1);
	close(fd);
	assert_true(rc == 0 || rc == -ECONNRESET);
	assert_true(peer_closed(&guest.peer, RIG_WAIT_MS));
	guest_close(&guest);
	rig_serves(&rig);
}

static void half_a_message_is_closed_at_the_deadline(void **state)
{
	const struct vu_message message = U64(VU_SET_FEATURES, 0);
	int64_t begin;

	(void)state;
	reach(NEGOTIATED);
	begin = clock_ms();
	assert_ok(peer_send_raw(&guest.peer, &message.head, 15, NULL, 0));
	assert_true(peer_closed(&guest.peer, 7000));
	assert_in_range(clock_ms() - begin, 4500, 6000);
	guest_close(&guest);
	rig_serves(&rig);
}

static void replies_never_read_are_closed_at_the_deadline(void **state)
{
	const struct vu_message message = EMPTY(VU_GET_FEATURES, 0);
	char many[12 * 256];
	int64_t begin = clock_ms();
	int rc = 0, fds;

	(void)state;
	for (size_t i = 0; i < 256; i++)
		memcpy(many + 12 * i, &message.head, 12);
	reach(NEGOTIATED);
	guest.peer.timeout_ms = 8000;
	while (!rc && clock_ms() - begin < 9000)
		rc = peer_send_raw(&guest.peer, many, sizeof(many), NULL, 0);
	assert_int_equal(-ECONNRESET, rc);
	assert_in_range(clock_ms() - begin, 4500, 7500);
	fds = proc_count_fds(rig.broker.pid);
	assert_in_range(fds, 1, rig.fds + 8);
	guest_close(&guest);
	rig_serves(&rig);
}

static void flood_of_requests_is_answered_in_order(void **state)
{
	struct vu_message answer;
	uint32_t sent = 0, got = 0;

	(void)state;
	reach(RUNNING);
	for (; got < 20000; got++) {
		for (; sent < got + 100; sent++) {
			struct vu_vring_state s = { .index = 1, .num = 1 };

			assert_ok(peer_send(&guest.peer, VU_SET_VRING_ENABLE, OK, &s, sizeof(s),
					    NULL, 0));
		}
		assert_ok(peer_recv(&guest.peer, &answer));
		assert_int_equal(0, answer.u64);
		if (got % 1000 == 0)
			rig_transmit(&rig, &guest, 0, 64, got, 2);
	}
	guest_close(&guest);
	rig_serves(&rig);
}

/* Rings laid half outside of memory, over every edge: refused when told or when they would start;
 * none ever runs. */
static void ring_over_the_edge_never_runs(void **state)
{
	static const struct {
		const char *name;
		int64_t desc, avail, used; /* from the region's end, or from its start when >= 0 */
	} edges[] = {
		{ "descriptors cross the end", -4080, 8192, 16384 },
		{ "avail crosses the end", 0, -516, 16384 },
		{ "used crosses the end", 0, 8192, -2048 },
		{ "avail lacks its event word", 0, -516, 16384 },
		{ "descriptors behind the end", 0x40000000, 8192, 16384 },
		{ "avail behind the end", 0, 0x40000000, 16384 },
		{ "used behind the end", 0, 8192, 0x40000000 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(edges); i++) {
		struct vu_vring_addr a = { .index = 1 };
		struct guest_ring *r = &guest.queue[1].ring;
		const struct guest_region *m = &guest.memory.region[0];
		uint64_t end;
		int rc;

		reach(SHARED);
		end = m->uva + m->size;
		a.desc = edges[i].desc < 0 ? end + (uint64_t)edges[i].desc
					   : m->uva + (uint64_t)edges[i].desc;
		a.avail = edges[i].avail < 0 ? end + (uint64_t)edges[i].avail
					     : m->uva + (uint64_t)edges[i].avail;
		a.used = edges[i].used < 0 ? end + (uint64_t)edges[i].used
					   : m->uva + (uint64_t)edges[i].used;
		assert_ok(peer_tell_state(&guest.peer, VU_SET_VRING_NUM, 1, 256));
		assert_ok(peer_tell_state(&guest.peer, VU_SET_VRING_BASE, 1, 0));
		rc = peer_tell(&guest.peer, VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0);
		if (!rc)
			rc = peer_tell_event(&guest.peer, VU_SET_VRING_KICK, 1, r->kick);
		if (!rc)
			print_error("%s\n", edges[i].name);
		assert_true(rc == PEER_REFUSED || rc == -ECONNRESET);
		guest_close(&guest);
	}
	rig_serves(&rig);
}

/* NUM after ADDR: the whole length is known late, and checked then. */
static void ring_grown_over_the_edge_never_runs(void **state)
{
	struct vu_vring_addr a = { .index = 1 };
	const struct guest_region *m = &guest.memory.region[0];
	int rc;

	(void)state;
	reach(SHARED);
	a.avail = m->uva;
	a.used = m->uva + 8192;
	a.desc = m->uva + m->size - 16 * 8;
	assert_ok(peer_tell_state(&guest.peer, VU_SET_VRING_NUM, 1, 8));
	assert_ok(peer_tell(&guest.peer, VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0));
	rc = peer_tell_state(&guest.peer, VU_SET_VRING_NUM, 1, 16);
	if (!rc)
		rc = peer_tell_event(&guest.peer, VU_SET_VRING_KICK, 1, guest.queue[1].ring.kick);
	assert_true(rc == PEER_REFUSED || rc == -ECONNRESET);
	guest_close(&guest);
	rig_serves(&rig);
}

static void broker_ends_in_order(void **state)
{
	(void)state;
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest sequences[] = {
		cmocka_unit_test_setup_teardown(honest_messages_keep_the_connection, ensure_rig,
						close_guest),
		cmocka_unit_test_setup_teardown(hang_up_at_every_byte, ensure_rig, close_guest),
		cmocka_unit_test_setup_teardown(one_byte_at_a_time, ensure_rig, close_guest),
		cmocka_unit_test_setup_teardown(a_descriptor_with_every_byte, ensure_rig,
						close_guest),
		cmocka_unit_test_setup_teardown(half_a_message_is_closed_at_the_deadline,
						ensure_rig, close_guest),
		cmocka_unit_test_setup_teardown(replies_never_read_are_closed_at_the_deadline,
						ensure_rig, close_guest),
		cmocka_unit_test_setup_teardown(flood_of_requests_is_answered_in_order, ensure_rig,
						close_guest),
		cmocka_unit_test_setup_teardown(ring_over_the_edge_never_runs, ensure_rig,
						close_guest),
		cmocka_unit_test_setup_teardown(ring_grown_over_the_edge_never_runs, ensure_rig,
						close_guest),
		cmocka_unit_test_setup_teardown(broker_ends_in_order, ensure_rig, close_guest),
	};
	struct CMUnitTest tests[ARRAY_SIZE(rows) + ARRAY_SIZE(distorted) + ARRAY_SIZE(sequences)];
	size_t n = 0, more = distort();
	int rc;

	printf("# %zu message rows\n", ARRAY_SIZE(rows) + more);

	for (; n < ARRAY_SIZE(rows); n++)
		tests[n] = (struct CMUnitTest){ rows[n].name, row_ends_as_it_must, ensure_rig,
						close_guest, (void *)&rows[n] };
	for (size_t i = 0; i < more; i++)
		tests[n++] = (struct CMUnitTest){ distorted[i].name, row_ends_as_it_must,
						  ensure_rig, close_guest, &distorted[i] };
	for (size_t i = 0; i < ARRAY_SIZE(sequences); i++)
		tests[n++] = sequences[i];
	rc = rig_run("protocol", tests, n);
	rig_abandon(&rig);
	return rc;
}
