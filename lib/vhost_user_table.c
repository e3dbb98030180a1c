/*
 * The table of vhost-user requests. Runs wherever messages are sent or received; trusts no message.
 * The longest payload of any row bounds what a receiver ever stores, so a header's size field needs
 * no other limit.
 */
#include "lib/vhost_user_table.h"

#include <errno.h>

#include "lib/util.h"

#define U64    sizeof(uint64_t)
#define STATE  sizeof(struct vu_vring_state)
#define ADDR   sizeof(struct vu_vring_addr)
#define SINGLE sizeof(struct vu_mem_single)
#define CONFIG offsetof(struct vu_config, bytes)
#define LOGS   sizeof(struct vu_log)
#define IOTLB  sizeof(struct vu_iotlb)
#define TABLE1 offsetof(struct vu_mem_table, regions)
#define NONE   VU_NO_FEATURE

/* clang-format off */
static const struct vu_row rows[VU_REQUESTS] = {
	/*                            name                 length            fds   reply             feature  phase */
	[VU_GET_FEATURES]          = { "GET_FEATURES",     0, 0,             0, 0, VU_REPLY_PAYLOAD, NONE, VU_ANY },
	[VU_SET_FEATURES]          = { "SET_FEATURES",     U64, U64,         0, 0, VU_REPLY_NONE, NONE, VU_ANY },
	[VU_SET_OWNER]             = { "SET_OWNER",        0, 0,             0, 0, VU_REPLY_NONE, NONE, VU_ANY },
	[VU_RESET_OWNER]           = { "RESET_OWNER",      0, 0,             0, 0, VU_REPLY_NONE, NONE, VU_ANY },
	[VU_SET_MEM_TABLE]         = { "SET_MEM_TABLE",    TABLE1, sizeof(struct vu_mem_table),
	                                                                     0, VU_MEM_REGIONS_MAX, VU_REPLY_NONE, NONE, VU_ANY },
	[VU_SET_LOG_BASE]          = { "SET_LOG_BASE",     LOGS, LOGS,       1, 1, VU_REPLY_PAYLOAD, VU_P_LOG_SHMFD, VU_ANY },
	[VU_SET_LOG_FD]            = { "SET_LOG_FD",       0, U64,           1, 1, VU_REPLY_NONE, VU_P_LOG_SHMFD, VU_ANY },
	[VU_SET_VRING_NUM]         = { "SET_VRING_NUM",    STATE, STATE,     0, 0, VU_REPLY_NONE, NONE, VU_RINGS },
	[VU_SET_VRING_ADDR]        = { "SET_VRING_ADDR",   ADDR, ADDR,       0, 0, VU_REPLY_NONE, NONE, VU_RINGS },
	[VU_SET_VRING_BASE]        = { "SET_VRING_BASE",   STATE, STATE,     0, 0, VU_REPLY_NONE, NONE, VU_RINGS },
	[VU_GET_VRING_BASE]        = { "GET_VRING_BASE",   STATE, STATE,     0, 0, VU_REPLY_PAYLOAD, NONE, VU_RINGS },
	[VU_SET_VRING_KICK]        = { "SET_VRING_KICK",   U64, U64,         0, 1, VU_REPLY_NONE, NONE, VU_RINGS },
	[VU_SET_VRING_CALL]        = { "SET_VRING_CALL",   U64, U64,         0, 1, VU_REPLY_NONE, NONE, VU_RINGS },
	[VU_SET_VRING_ERR]         = { "SET_VRING_ERR",    U64, U64,         0, 1, VU_REPLY_NONE, NONE, VU_RINGS },
	[VU_GET_PROTOCOL_FEATURES] = { "GET_PROTOCOL_FEATURES", 0, 0,        0, 0, VU_REPLY_PAYLOAD, NONE, VU_ANY },
	[VU_SET_PROTOCOL_FEATURES] = { "SET_PROTOCOL_FEATURES", U64, U64,    0, 0, VU_REPLY_NONE, NONE, VU_UNSTARTED },
	[VU_GET_QUEUE_NUM]         = { "GET_QUEUE_NUM",    0, 0,             0, 0, VU_REPLY_PAYLOAD, VU_P_MQ, VU_ANY },
	[VU_SET_VRING_ENABLE]      = { "SET_VRING_ENABLE", STATE, STATE,     0, 0, VU_REPLY_NONE, NONE, VU_RINGS },
	[VU_SEND_RARP]             = { "SEND_RARP",        U64, U64,         0, 0, VU_REPLY_NONE, VU_P_RARP, VU_ANY },
	[VU_NET_SET_MTU]           = { "NET_SET_MTU",      U64, U64,         0, 0, VU_REPLY_NONE, VU_P_NET_MTU, VU_ANY },
	[VU_SET_BACKEND_REQ_FD]    = { "SET_BACKEND_REQ_FD", 0, 0,           1, 1, VU_REPLY_NONE, VU_P_BACKEND_REQ, VU_ANY },
	[VU_IOTLB_MSG]             = { "IOTLB_MSG",        IOTLB, IOTLB,     0, 0, VU_REPLY_PAYLOAD, NONE, VU_ANY },
	[VU_GET_CONFIG]            = { "GET_CONFIG",       CONFIG, sizeof(struct vu_config),
	                                                                     0, 0, VU_REPLY_PAYLOAD, VU_P_CONFIG, VU_ANY },
	[VU_SET_CONFIG]            = { "SET_CONFIG",       CONFIG, sizeof(struct vu_config),
	                                                                     0, 0, VU_REPLY_NONE, VU_P_CONFIG, VU_ANY },
	[VU_RESET_DEVICE]          = { "RESET_DEVICE",     0, 0,             0, 0, VU_REPLY_NONE, VU_P_RESET_DEVICE, VU_ANY },
	[VU_SET_STATUS]            = { "SET_STATUS",       U64, U64,         0, 0, VU_REPLY_NONE, VU_P_STATUS, VU_ANY },
	[VU_GET_STATUS]            = { "GET_STATUS",       0, 0,             0, 0, VU_REPLY_PAYLOAD, VU_P_STATUS, VU_ANY },
	[VU_VRING_KICK]            = { "VRING_KICK",       STATE, STATE,     0, 0, VU_REPLY_NONE, VU_P_INBAND, VU_RINGS },
	[VU_GET_MAX_MEM_SLOTS]     = { "GET_MAX_MEM_SLOTS", 0, 0,            0, 0, VU_REPLY_PAYLOAD, VU_P_MEM_SLOTS, VU_ANY },
	[VU_ADD_MEM_REG]           = { "ADD_MEM_REG",      SINGLE, SINGLE,   1, 1, VU_REPLY_NONE, VU_P_MEM_SLOTS, VU_ANY },
	[VU_SET_DEVICE_STATE_FD]   = { "SET_DEVICE_STATE_FD", U64, U64,      1, 1, VU_REPLY_PAYLOAD, VU_P_DEVICE_STATE, VU_ANY },
	[VU_CHECK_DEVICE_STATE]    = { "CHECK_DEVICE_STATE", 0, 0,           0, 0, VU_REPLY_PAYLOAD, VU_P_DEVICE_STATE, VU_ANY },
	[VU_REM_MEM_REG]           = { "REM_MEM_REG",      SINGLE, SINGLE,   0, 1, VU_REPLY_NONE, VU_P_MEM_SLOTS, VU_ANY },
};
/* clang-format on */

const struct vu_row *vu_row(uint32_t request)
{
	if (request >= VU_REQUESTS || !rows[request].name)
		return NULL;
	return &rows[request];
}

const char *vu_name(uint32_t request)
{
	const struct vu_row *row = vu_row(request);

	return row ? row->name : "unknown";
}

int vu_check(const struct vu_header *head, size_t nfds, uint64_t negotiated)
{
	const struct vu_row *row = vu_row(head->request);

	/* Version 1, not a reply; every other flag but NEED_REPLY is reserved. */
	if ((head->flags & ~VU_FLAG_NEED_REPLY) != VU_VERSION)
		return -EPROTO;
	if (head->size > VU_PAYLOAD_MAX)
		return -EPROTO;
	if (!row)
		return -EOPNOTSUPP;
	if (head->size < row->min_len || head->size > row->max_len)
		return -EPROTO;
	if (nfds < row->min_fds || nfds > row->max_fds)
		return -EPROTO;
	if (row->feature != VU_NO_FEATURE && !(negotiated >> row->feature & 1))
		return -EOPNOTSUPP;
	return 0;
}
