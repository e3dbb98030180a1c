/*
 * The vhost-user requests that a network back-end serves. Runs in the control thread; trusts no
 * value in a request: what the wire's table cannot know (ring indices, ranges, feature bits) is
 * checked in each handler's first lines.
 */
#include "device/requests.h"

#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "device/state.h"
#include "lib/fd.h"
#include "lib/tun.h"
#include "lib/util.h"

/* What would make the device send a descriptor is not offered; nor is what a network device has no
 * use for. Why each bit of the specification is or is not here: docs/protocol.md. */
#define PROTOCOL_OFFERED                                                               \
	(BIT_ULL(VU_P_MQ) | BIT_ULL(VU_P_LOG_SHMFD) | BIT_ULL(VU_P_RARP) |             \
	 BIT_ULL(VU_P_REPLY_ACK) | BIT_ULL(VU_P_NET_MTU) | BIT_ULL(VU_P_BACKEND_REQ) | \
	 BIT_ULL(VU_P_CONFIG) | BIT_ULL(VU_P_RESET_DEVICE) | BIT_ULL(VU_P_INBAND) |    \
	 BIT_ULL(VU_P_MEM_SLOTS) | BIT_ULL(VU_P_STATUS) | BIT_ULL(VU_P_DEVICE_STATE) | \
	 BIT_ULL(VU_P_GPA_ADDRESSES))

static int reply_u64(struct session *s, uint64_t value)
{
	s->out.u64 = value;
	s->out.head.size = sizeof(s->out.u64);
	return 0;
}

/* The control queue stands behind the pairs that were negotiated: all of them, or one without MQ
 * (virtio 1.3, 5.1.2). lifecycle.c has it behind all. */
static bool ring_exists(const struct session *s, uint64_t named, unsigned int *ring)
{
	uint64_t features = s->lifecycle->features;
	bool second = (features & BIT_ULL(VIRTIO_NET_F_CTRL_VQ)) &&
		      !(features & BIT_ULL(VIRTIO_NET_F_MQ));

	*ring = named == 2 && second ? net_rings(s->setup) - 1 : (unsigned int)named;
	return named < net_rings(s->setup);
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct timespec now = { 0 };

	return ppoll(&p, 1, &now, NULL) != 0;
}

/* Is this socket the front-end's end of our own connection? Whoever holds that one never sees the
 * connection end. Only trying can tell: what is written there arrives here, at once. Someone who
 * asks while more requests are under way cannot be told, and is refused. */
static bool is_connection(const struct session *s, int fd)
{
	uint64_t probe = 1; /* to anybody else, one interrupt too many */
	size_t none = 0;

	if (readable(s->sock) || send(fd, &probe, sizeof(probe), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return true;
	if (!readable(s->sock))
		return false;
	fd_recv(s->sock, &probe, sizeof(probe), NULL, &none);
	return true;
}

/* Event descriptors are anonymous inodes, which have no file type; a pipe, file or device could do
 * anything. Other anonymous ones (timers, epoll) pass, and are harmless: eight bytes read or
 * written there change nothing of ours. So are sockets to write to, which user-mode-linux has for
 * its interrupts. */
static bool fd_is_event(const struct session *s, int fd, enum ring_event event)
{
	struct stat st;

	if (syscall(SYS_fstat, fd, &st))
		return false;
	if (event == RING_CALL && S_ISSOCK(st.st_mode))
		return !is_connection(s, fd);
	return !(st.st_mode & S_IFMT);
}

static int get_features(struct session *s, const struct vu_message *in)
{
	(void)in;
	return reply_u64(s, net_features(s->setup));
}

/* The TAP hands the guest what it negotiated, and nothing else, before any ring can run. */
static int offloads_apply(struct session *s, uint64_t features)
{
	unsigned long offloads = net_tap_offloads(net_ctrl_effective(s->control, features));

	if (!allowance_take(&s->offloads, NET_OFFLOADS_A_SECOND))
		return -EBUSY;
	if (!ioctl(s->taps[0], TUNSETOFFLOAD, offloads))
		return 0;
	orders_event(s->orders, EVENT_OFFLOAD_REFUSED, (int64_t)offloads, -errno);
	return -EIO;
}

static int set_features(struct session *s, const struct vu_message *in)
{
	int rc;

	if (in->u64 & ~net_features(s->setup))
		return -EPROTO;
	if (!lifecycle_started(s->lifecycle)) {
		net_ctrl_features(s->control, in->u64);
		rc = offloads_apply(s, in->u64);
		if (rc)
			return rc;
	}
	return lifecycle_features(s->lifecycle, in->u64);
}

static int set_owner(struct session *s, const struct vu_message *in)
{
	(void)s;
	(void)in;
	return 0; /* a connection has one owner by nature; QEMU says so once, others more often */
}

static int reset_owner(struct session *s, const struct vu_message *in)
{
	(void)in;
	return lifecycle_stop_all(s->lifecycle);
}

static int get_protocol_features(struct session *s, const struct vu_message *in)
{
	(void)in;
	return reply_u64(s, PROTOCOL_OFFERED);
}

static int set_protocol_features(struct session *s, const struct vu_message *in)
{
	const uint64_t inband = BIT_ULL(VU_P_INBAND),
		       needs = BIT_ULL(VU_P_BACKEND_REQ) | BIT_ULL(VU_P_REPLY_ACK);

	/* Messages in place of descriptors need somewhere to go and a way to be acknowledged. */
	if ((in->u64 & inband) && (in->u64 & needs) != needs)
		return -EPROTO;
	if ((in->u64 & ~PROTOCOL_OFFERED) ||
	    (lifecycle_started(s->lifecycle) && in->u64 != s->protocol))
		return -EPROTO;
	s->protocol = in->u64;
	s->lifecycle->inband = in->u64 & inband;
	s->lifecycle->guest_addresses = in->u64 & BIT_ULL(VU_P_GPA_ADDRESSES);
	/* Offered only to those who can be asked. Many front-ends hand their guest whatever is
	 * offered, and translate nothing; they have taken our features before they say this. */
	s->setup->iotlb = (in->u64 & needs) == needs;
	return 0;
}

static int get_queue_num(struct session *s, const struct vu_message *in)
{
	(void)in;
	/* Rings, the control queue among them: QEMU compares the number with pairs, rust-vmm with
	 * rings, and more than enough serves both. */
	return reply_u64(s, net_rings(s->setup));
}

static int get_max_mem_slots(struct session *s, const struct vu_message *in)
{
	(void)in;
	return reply_u64(s, MEMORY_SLOTS);
}

static int memory_commit(struct session *s, struct memory *mem)
{
	orders_event(s->orders, EVENT_MEMORY_MAPPED, mem->count, (int64_t)mem->bytes);
	return lifecycle_memory(s->lifecycle, mem);
}

static int memory_refused(struct session *s, int rc)
{
	if (rc == -EPERM)
		orders_event(s->orders, EVENT_MEMORY_NOT_SEALED, 0, 0);
	return rc;
}

static int set_mem_table(struct session *s, const struct vu_message *in)
{
	struct memory_source sources[VU_MEM_REGIONS_MAX];
	const struct vu_mem_table *table = &in->memory;
	struct memory *mem;
	int rc;

	if (!table->nregions || table->nregions > VU_MEM_REGIONS_MAX ||
	    table->nregions != s->nfds ||
	    in->head.size != offsetof(struct vu_mem_table, regions) +
				     table->nregions * sizeof(table->regions[0]))
		return -EPROTO;
	for (uint32_t i = 0; i < table->nregions; i++)
		sources[i] = (struct memory_source){ .region = table->regions[i], .fd = s->fds[i] };
	rc = memory_new(sources, table->nregions, s->require_sealed, &mem);
	return rc ? memory_refused(s, rc) : memory_commit(s, mem);
}

static int add_mem_reg(struct session *s, const struct vu_message *in)
{
	struct memory_source source = { .region = in->single.region, .fd = s->fds[0] };
	struct memory *mem;
	int rc =
		memory_add(s->lifecycle->memory, &source, s->require_sealed, s->setup->pairs, &mem);

	return rc ? memory_refused(s, rc) : memory_commit(s, mem);
}

static int rem_mem_reg(struct session *s, const struct vu_message *in)
{
	struct memory *mem;
	int rc = memory_remove(s->lifecycle->memory, &in->single.region, &mem);

	return rc ? rc : memory_commit(s, mem);
}

static int set_log_base(struct session *s, const struct vu_message *in)
{
	struct dirty *dirty;
	int rc = dirty_new(&in->log, s->fds[0], &dirty);

	return rc ? rc : lifecycle_log(s->lifecycle, dirty);
}

/* Some front-ends wait for a number, others only for an answer. */
static int answered_zero(struct session *s, const struct vu_message *in)
{
	(void)in;
	return reply_u64(s, 0);
}

static int set_log_fd(struct session *s, const struct vu_message *in)
{
	if (in->head.size % sizeof(in->u64)) /* some send a number, which means nothing */
		return -EPROTO;
	if (!fd_is_event(s, s->fds[0], RING_ERR))
		return -EBADF;
	return lifecycle_log_fd(s->lifecycle, fd_take(&s->fds[0]));
}

static int reset_device(struct session *s, const struct vu_message *in)
{
	(void)in;
	s->status = 0;
	return lifecycle_reset(s->lifecycle);
}

static int set_status(struct session *s, const struct vu_message *in)
{
	if (in->u64 > UINT8_MAX)
		return -EINVAL;
	s->status = (uint8_t)in->u64;
	return s->status ? 0 : lifecycle_stop_all(s->lifecycle);
}

static int get_status(struct session *s, const struct vu_message *in)
{
	(void)in;
	return reply_u64(s, s->status);
}

/* Only the guest hears of it: the TAP's own MTU is the administrator's. */
static int net_set_mtu(struct session *s, const struct vu_message *in)
{
	if (in->u64 < NET_MTU_MIN || in->u64 > s->mtu_max)
		return -EINVAL;
	s->setup->mtu = (uint16_t)in->u64;
	return 0;
}

/* For a guest that does not announce itself. One that does, and whose front-end has left its
 * configuration and its control queue to us, is asked to: it knows all its addresses. */
static int send_rarp(struct session *s, const struct vu_message *in)
{
	if ((s->protocol & BIT_ULL(VU_P_CONFIG)) && s->back.sock >= 0 &&
	    net_ctrl_announce(s->control)) {
		session_notify(s);
		return 0;
	}
	return lifecycle_rarp(s->lifecycle, in->bytes);
}

/* A socket by which to tell the front-end something unasked. */
static int set_backend_req_fd(struct session *s, const struct vu_message *in)
{
	struct stat st;

	(void)in;
	if (syscall(SYS_fstat, s->fds[0], &st) || !S_ISSOCK(st.st_mode))
		return -EBADF;
	back_set(&s->back, fd_take(&s->fds[0]));
	return 0;
}

/* Answered when no worker can reach any more what was taken back. */
static int iotlb_msg(struct session *s, const struct vu_message *in)
{
	int rc = lifecycle_iotlb(s->lifecycle, &in->iotlb);

	if (rc < 0)
		orders_event(s->orders, EVENT_REQUEST_REFUSED, VU_IOTLB_MSG, rc);
	reply_u64(s, rc < 0);
	return rc == 1;
}

static int vring_kick(struct session *s, const struct vu_message *in)
{
	unsigned int ring;

	if (!ring_exists(s, in->state.index, &ring) || in->state.num)
		return -EPROTO;
	return lifecycle_kick(s->lifecycle, ring);
}

/* Bit 8 of the answer: no descriptor comes with it. */
#define TRANSFER_NO_FD 0x100u

static int set_device_state_fd(struct session *s, const struct vu_message *in)
{
	size_t n;
	uint64_t *words = state_words(&n);
	struct stat st;
	int rc = 0;

	if (in->transfer.direction > TRANSFER_LOAD || in->transfer.phase)
		rc = -EINVAL;
	else if (lifecycle_started(s->lifecycle))
		rc = -EBUSY;
	else if (syscall(SYS_fstat, s->fds[0], &st) || !S_ISFIFO(st.st_mode))
		rc = -EBADF; /* the document's example, and what front-ends use; nothing else can do
				less harm */
	else if (s->transfer.fd >= 0)
		rc = -EBUSY; /* the words are that one's */
	if (!rc && in->transfer.direction == TRANSFER_SAVE)
		n = state_save(words, s->control);
	if (!rc)
		rc = transfer_begin(&s->transfer, (enum transfer_way)in->transfer.direction,
				    s->fds[0], words, n);
	if (!rc)
		s->fds[0] = -1;
	return reply_u64(s, TRANSFER_NO_FD | (rc ? 1 : 0));
}

static int check_device_state(struct session *s, const struct vu_message *in)
{
	(void)in;
	return s->transfer.fd >= 0;
}

static int checked_device_state(struct session *s, const struct vu_message *in)
{
	(void)in;
	return reply_u64(s, s->transfer.result != 0);
}

int request_state_load(struct session *s)
{
	const struct transfer *t = &s->transfer;

	if (lifecycle_started(s->lifecycle))
		return -EBUSY; /* meanwhile */
	if (t->at % sizeof(uint64_t))
		return -EBADMSG;
	return state_load(t->words, t->at / sizeof(uint64_t), s->control, s->mtu_max);
}

static int set_vring_num(struct session *s, const struct vu_message *in)
{
	unsigned int ring;

	return ring_exists(s, in->state.index, &ring)
		       ? lifecycle_num(s->lifecycle, ring, in->state.num)
		       : -EPROTO;
}

static int set_vring_addr(struct session *s, const struct vu_message *in)
{
	unsigned int ring;

	return ring_exists(s, in->addr.index, &ring) ? lifecycle_addr(s->lifecycle, ring, &in->addr)
						     : -EPROTO;
}

static int set_vring_base(struct session *s, const struct vu_message *in)
{
	unsigned int ring;

	return ring_exists(s, in->state.index, &ring)
		       ? lifecycle_base(s->lifecycle, ring, in->state.num)
		       : -EPROTO;
}

static int set_vring_enable(struct session *s, const struct vu_message *in)
{
	unsigned int ring;

	/* Offering VU_F_PROTOCOL_FEATURES is enough: QEMU enables before it acknowledges. */
	return ring_exists(s, in->state.index, &ring)
		       ? lifecycle_enable(s->lifecycle, ring, in->state.num)
		       : -EPROTO;
}

static int get_vring_base(struct session *s, const struct vu_message *in)
{
	unsigned int ring;

	return ring_exists(s, in->state.index, &ring) ? lifecycle_stop(s->lifecycle, ring)
						      : -EPROTO;
}

static int got_vring_base(struct session *s, const struct vu_message *in)
{
	unsigned int ring;

	ring_exists(s, in->state.index, &ring);
	s->out.state = (struct vu_vring_state){ in->state.index, s->lifecycle->vrings[ring].base };
	s->out.head.size = sizeof(s->out.state);
	return 0;
}

/* KICK, CALL and ERR: a ring index, and either an event descriptor or the flag that there is none.
 */
static int set_vring_fd(struct session *s, const struct vu_message *in, enum ring_event event)
{
	bool none = in->u64 & VU_VRING_NOFD;
	unsigned int ring;
	int rc;

	if ((in->u64 & ~(uint64_t)(VU_VRING_INDEX_MASK | VU_VRING_NOFD)) ||
	    !ring_exists(s, in->u64 & VU_VRING_INDEX_MASK, &ring) || none == !!s->nfds)
		return -EPROTO;
	if (!none && !fd_is_event(s, s->fds[0], event))
		return -EBADF;
	rc = lifecycle_fd(s->lifecycle, ring, event, none ? -1 : s->fds[0]);
	if (rc >= 0)
		s->fds[0] = -1;
	return rc;
}

static int set_vring_kick(struct session *s, const struct vu_message *in)
{
	return set_vring_fd(s, in, RING_KICK);
}

static int set_vring_call(struct session *s, const struct vu_message *in)
{
	return set_vring_fd(s, in, RING_CALL);
}

static int set_vring_err(struct session *s, const struct vu_message *in)
{
	return set_vring_fd(s, in, RING_ERR);
}

static bool config_well_formed(const struct vu_message *in)
{
	return in->config.size <= VU_CONFIG_MAX &&
	       in->head.size == offsetof(struct vu_config, bytes) + in->config.size;
}

static int get_config(struct session *s, const struct vu_message *in)
{
	if (!config_well_formed(in))
		return -EPROTO;
	s->out.config =
		(struct vu_config){ in->config.offset, in->config.size, in->config.flags, { 0 } };
	s->out.head.size = in->head.size;
	/* An answer without payload is how the specification says "no". */
	if (net_config_read(s->setup, in->config.offset, s->out.config.bytes, in->config.size))
		s->out.head.size = 0;
	return 0;
}

static int set_config(struct session *s, const struct vu_message *in)
{
	(void)s;
	if (!config_well_formed(in))
		return -EPROTO;
	/* All fields are read-only for the driver, and writing one is ignored as the specification
	 * has it. */
	return range_within(in->config.offset, in->config.size, NET_CONFIG_SPACE) ? 0 : -EINVAL;
}

static const struct request requests[VU_REQUESTS] = {
	[VU_GET_FEATURES] = { get_features, NULL },
	[VU_SET_FEATURES] = { set_features, NULL },
	[VU_SET_OWNER] = { set_owner, NULL },
	[VU_RESET_OWNER] = { reset_owner, NULL },
	[VU_SET_MEM_TABLE] = { set_mem_table, NULL },
	[VU_SET_LOG_BASE] = { set_log_base, answered_zero },
	[VU_SET_LOG_FD] = { set_log_fd, NULL },
	[VU_SET_VRING_NUM] = { set_vring_num, NULL },
	[VU_SET_VRING_ADDR] = { set_vring_addr, NULL },
	[VU_SET_VRING_BASE] = { set_vring_base, NULL },
	[VU_GET_VRING_BASE] = { get_vring_base, got_vring_base },
	[VU_SET_VRING_KICK] = { set_vring_kick, NULL },
	[VU_SET_VRING_CALL] = { set_vring_call, NULL },
	[VU_SET_VRING_ERR] = { set_vring_err, NULL },
	[VU_GET_PROTOCOL_FEATURES] = { get_protocol_features, NULL },
	[VU_SET_PROTOCOL_FEATURES] = { set_protocol_features, NULL },
	[VU_GET_QUEUE_NUM] = { get_queue_num, NULL },
	[VU_SET_VRING_ENABLE] = { set_vring_enable, NULL },
	[VU_SEND_RARP] = { send_rarp, NULL },
	[VU_NET_SET_MTU] = { net_set_mtu, NULL },
	[VU_SET_BACKEND_REQ_FD] = { set_backend_req_fd, NULL },
	[VU_IOTLB_MSG] = { iotlb_msg, NULL },
	[VU_GET_CONFIG] = { get_config, NULL },
	[VU_SET_CONFIG] = { set_config, NULL },
	[VU_RESET_DEVICE] = { reset_device, NULL },
	[VU_VRING_KICK] = { vring_kick, NULL },
	[VU_GET_MAX_MEM_SLOTS] = { get_max_mem_slots, NULL },
	[VU_ADD_MEM_REG] = { add_mem_reg, NULL },
	[VU_REM_MEM_REG] = { rem_mem_reg, NULL },
	[VU_SET_STATUS] = { set_status, NULL },
	[VU_GET_STATUS] = { get_status, NULL },
	[VU_SET_DEVICE_STATE_FD] = { set_device_state_fd, NULL },
	[VU_CHECK_DEVICE_STATE] = { check_device_state, checked_device_state },
};

const struct request *request_find(uint32_t number)
{
	return number < VU_REQUESTS && requests[number].begin ? &requests[number] : NULL;
}
