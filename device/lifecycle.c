/*
 * The life of a ring between front-end and worker. Runs in the control thread; trusts neither the
 * front-end's values nor its order of requests, and the workers only to answer or to be declared
 * dead.
 *
 *   STOPPED --kick--> WAITING --complete--> STARTING --answer--> RUNNING --stop--> STOPPING
 * --answer--> STOPPED ^                      |                   |
 *                        +-------kick---- BROKEN <------ break -----+         (BROKEN --stop-->
 * STOPPING)
 *
 * A ring runs once it was kicked and its size, addresses and memory are all known, in whatever
 * order they came. Enabling is independent: a running ring that is disabled delivers nothing and
 * discards what the guest sends.
 */
#include "device/lifecycle.h"

#include <errno.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/util.h"

#define ANSWER_MS 500

enum action {
	REFUSE, /* an empty cell */
	STORE,	/* remember it for the next start */
	WAIT,	/* remember it, and start if nothing is missing now */
	UPDATE, /* remember it and tell the worker */
	ASK,	/* the worker must stop first */
	FORGET, /* it never ran: the kick is taken back */
	TAKE,	/* the worker's answer or report */
	IGNORE, /* a report that came too late to matter */
};

/* While a worker owes an answer the session reads no request: those cells are empty. */
static const enum action table[RING_STATES][RING_EVENTS] = {
	/* clang-format off */
	/*                  SET     KICK    CALL    ERR     ENABLE  STOP    ANSWER  BREAK */
	[RING_STOPPED]  = { STORE,  WAIT,   STORE,  STORE,  STORE,  FORGET, REFUSE, IGNORE },
	[RING_WAITING]  = { WAIT,   WAIT,   STORE,  STORE,  STORE,  FORGET, REFUSE, IGNORE },
	[RING_STARTING] = { REFUSE, REFUSE, REFUSE, REFUSE, REFUSE, REFUSE, TAKE,   IGNORE },
	[RING_RUNNING]  = { REFUSE, UPDATE, UPDATE, UPDATE, UPDATE, ASK,    TAKE,   TAKE },
	[RING_STOPPING] = { REFUSE, REFUSE, REFUSE, REFUSE, REFUSE, REFUSE, TAKE,   IGNORE },
	[RING_BROKEN]   = { STORE,  WAIT,   STORE,  STORE,  STORE,  ASK,    TAKE,   IGNORE },
	/* clang-format on */
};

static unsigned int rings(const struct lifecycle *l)
{
	return net_rings(l->setup);
}

static unsigned int units(const struct lifecycle *l)
{
	return l->setup->pairs + 1;
}

static struct worker *worker_of(const struct lifecycle *l, unsigned int ring)
{
	return &l->workers[ring / 2];
}

void lifecycle_init(struct lifecycle *l, const struct net_setup *setup, struct orders *orders,
		    struct worker *workers)
{
	*l = (struct lifecycle){ .setup = setup,
				 .orders = orders,
				 .workers = workers,
				 .active = setup->pairs,
				 .log = -1,
				 .replaced = -1 };
	for (size_t i = 0; i < ARRAY_SIZE(l->vrings); i++)
		l->vrings[i] = (struct vring){ .kick = -1, .call = -1, .err = -1 };
}

bool lifecycle_started(const struct lifecycle *l)
{
	for (unsigned int i = 0; i < rings(l); i++)
		if (l->vrings[i].state == RING_STARTING || l->vrings[i].state == RING_RUNNING ||
		    l->vrings[i].state == RING_STOPPING)
			return true;
	return false;
}

bool lifecycle_idle(const struct lifecycle *l)
{
	for (unsigned int i = 0; i < units(l); i++)
		if (l->asked[i])
			return false;
	return !l->stop_all;
}

/* A pair's TAP queue is attached from the first start of one of its rings until both are disabled.
 * So the host's frames go to pairs in use only, those for a ring that is stopped for a while wait
 * in the queue, and a ring that transmits alone has it too. */
static bool attach_wanted(const struct lifecycle *l, unsigned int pair)
{
	const struct vring *v = &l->vrings[2 * pair];
	bool enabled = v[0].enabled || v[1].enabled;
	bool runs = v[0].state == RING_RUNNING || v[1].state == RING_RUNNING;

	return pair < l->active && enabled && (l->attached[pair] || runs);
}

bool lifecycle_attach(struct lifecycle *l)
{
	for (unsigned int pair = 0; pair < l->setup->pairs; pair++) {
		bool wanted = attach_wanted(l, pair);

		if (wanted == l->attached[pair])
			continue;
		if (orders_queue(l->orders, pair, wanted) == -EAGAIN)
			return false;
		l->attached[pair] = wanted;
	}
	return true;
}

static bool packed(const struct lifecycle *l)
{
	return l->features & BIT_ULL(VIRTIO_F_RING_PACKED);
}

/* Both positions of a packed ring must lie in it; a split one's index runs freely. */
static bool base_fits(const struct lifecycle *l, const struct vring *v)
{
	if (!packed(l))
		return v->base <= UINT16_MAX && is_power_of_two(v->size);
	return (v->base & (PACKED_WRAP - 1)) < v->size &&
	       (v->base >> 16 & (PACKED_WRAP - 1)) < v->size;
}

static bool overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a < b ? b - a < a_len : a - b < b_len;
}

static bool areas_apart(const struct ring_config *cfg, const uint64_t at[RING_AREAS])
{
	for (enum ring_area a = 0; a < RING_AREAS; a++)
		for (enum ring_area b = 0; b < a; b++)
			if (overlap(at[a], ring_area_bytes(cfg, a), at[b], ring_area_bytes(cfg, b)))
				return false;
	return true;
}

/* I/O addresses are only numbers until the front-end translates them, and that it may take back at
 * any time: their worker looks. */
static int ring_iovas(const struct lifecycle *l, const struct vring *v, struct ring_config *cfg)
{
	const uint64_t at[RING_AREAS] = { v->addr.desc, v->addr.avail, v->addr.used };

	for (enum ring_area a = 0; a < RING_AREAS; a++)
		if (at[a] > UINT64_MAX - ring_area_bytes(cfg, a))
			return -EFAULT;
	if (!areas_apart(cfg, at))
		return -EINVAL;
	cfg->iotlb = l->iotlb;
	memcpy(cfg->iova, at, sizeof(at));
	return 0;
}

static int ring_hosts(const struct lifecycle *l, const struct vring *v, const struct memory *mem,
		      struct ring_config *cfg)
{
	uint64_t at[RING_AREAS], odd;
	int rc = -EFAULT;

	cfg->desc =
		memory_area(mem, l->guest_addresses, v->addr.desc, ring_area_bytes(cfg, RING_DESC));
	cfg->avail = memory_area(mem, l->guest_addresses, v->addr.avail,
				 ring_area_bytes(cfg, RING_DRIVER));
	cfg->used = memory_area(mem, l->guest_addresses, v->addr.used,
				ring_area_bytes(cfg, RING_DEVICE));
	at[RING_DESC] = (uintptr_t)cfg->desc;
	at[RING_DRIVER] = (uintptr_t)cfg->avail;
	at[RING_DEVICE] = (uintptr_t)cfg->used;
	/* A file mapped at an odd offset could misalign what the front-end's addresses align. */
	odd = (at[RING_DESC] & 15) | (at[RING_DRIVER] & (packed(l) ? 3 : 1)) |
	      (at[RING_DEVICE] & 3);
	if (at[RING_DESC] && at[RING_DRIVER] && at[RING_DEVICE] && !odd) {
		if (areas_apart(cfg, at))
			return 0;
		rc = -EINVAL;
	}
	cfg->desc = NULL;
	return rc;
}

/* Where a ring's areas are, whole and apart: 0, -EAGAIN something is not known yet, -EFAULT not
 * mapped or misaligned, -EINVAL they overlap, or size or base do not fit the format. */
static int ring_areas(const struct lifecycle *l, const struct vring *v, const struct memory *mem,
		      struct ring_config *cfg)
{
	*cfg = (struct ring_config){ .size = v->size,
				     .base = v->base,
				     .packed = packed(l),
				     .event_idx = l->features & BIT_ULL(VIRTIO_F_EVENT_IDX),
				     .indirect = l->features & BIT_ULL(VIRTIO_F_INDIRECT_DESC) };
	if (!v->size || !v->has_addr || !mem)
		return -EAGAIN;
	if (!base_fits(l, v))
		return -EINVAL;
	return l->iotlb ? ring_iovas(l, v, cfg) : ring_hosts(l, v, mem, cfg);
}

static struct ring_log ring_log(const struct lifecycle *l, const struct vring *v)
{
	if (!l->dirty || !(v->addr.flags & VU_VRING_F_LOG))
		return (struct ring_log){ 0 };
	/* With an IOTLB only the ring's worker can tell what its areas' guest addresses are. */
	if (l->iotlb)
		return (struct ring_log){ .dirty = l->dirty };
	return (struct ring_log){
		.dirty = l->dirty,
		.desc = memory_reverse(l->memory,
				       memory_area(l->memory, l->guest_addresses, v->addr.desc, 1)),
		.used = v->addr.log,
	};
}

static int ask(struct lifecycle *l, unsigned int ring, enum worker_order order)
{
	struct worker *w = worker_of(l, ring);
	const struct vring *v = &l->vrings[ring];

	w->command.order = order;
	w->command.which = ring % 2;
	w->command.mem = l->memory;
	w->command.fds = (struct queue_fds){ v->kick, v->call, v->err, l->log };
	w->command.enabled = v->enabled;
	w->command.inband_kick = l->inband && !v->polled;
	w->command.inband_call = l->inband && !v->muted;
	w->command.dirty = l->features & BIT_ULL(VU_F_LOG_ALL) ? l->dirty : NULL;
	w->command.log[ring % 2] = ring_log(l, v);
	w->command.features = l->features;
	l->asked[ring / 2] = true;
	l->deadline = clock_ms() + ANSWER_MS;
	return worker_post(w) ? -EIO : 1;
}

static void start_waiting(struct lifecycle *l, unsigned int ring)
{
	struct vring *v = &l->vrings[ring];
	int rc = ring_areas(l, v, l->memory, &worker_of(l, ring)->command.config[ring % 2]);

	if (rc && rc != -EAGAIN)
		orders_event(l->orders, EVENT_RING_REFUSED, ring, rc);
	if (rc)
		return;
	v->state = RING_STARTING;
	ask(l, ring, WORKER_START);
}

/* Not started (any more): only a new kick starts it again; the rest of its set-up stays known. */
static void vring_forget(struct lifecycle *l, unsigned int ring)
{
	l->vrings[ring].kicked = l->vrings[ring].size_said = l->vrings[ring].addr_said = false;
	l->vrings[ring].polled = false;
	fd_close(&l->vrings[ring].kick);
	l->vrings[ring].state = RING_STOPPED;
}

static void stop_running(struct lifecycle *l, unsigned int ring)
{
	if (l->vrings[ring].state == RING_RUNNING) {
		l->vrings[ring].state = RING_STOPPING;
		ask(l, ring, WORKER_STOP);
		return;
	}
	vring_forget(l, ring);
}

static void update_running(struct lifecycle *l, unsigned int ring)
{
	l->vrings[ring].stale = false;
	if (l->vrings[ring].state == RING_RUNNING)
		ask(l, ring, WORKER_UPDATE);
}

/* A driver that negotiates anew has said nothing yet of what the device may reach. */
static void translations_set(struct lifecycle *l)
{
	bool platform = l->features & BIT_ULL(VIRTIO_F_ACCESS_PLATFORM);

	iotlb_free(l->iotlb);
	l->iotlb = NULL;
	l->iotlb_changes++;
	if (platform)
		iotlb_new(NULL, l->memory, l->guest_addresses, &l->iotlb);
}

static void vrings_reset(struct lifecycle *l)
{
	for (unsigned int i = 0; i < rings(l); i++) {
		struct vring *v = &l->vrings[i];

		v->size = v->base = 0;
		v->has_addr = v->enabled = false;
	}
	l->features = 0;
	translations_set(l);
}

/* Posts what can be posted now: a worker hears one command at a time. */
static int pump(struct lifecycle *l)
{
	for (unsigned int i = 0; i < rings(l); i++) {
		if (l->asked[i / 2])
			continue;
		if (l->stop_all)
			stop_running(l, i);
		else if (l->vrings[i].stale)
			update_running(l, i);
		else if (l->recheck && l->vrings[i].state == RING_WAITING)
			start_waiting(l, i);
	}
	for (unsigned int i = 0; i < units(l); i++)
		if (l->asked[i])
			return 1;
	if (l->forget)
		vrings_reset(l);
	l->stop_all = l->recheck = l->forget = false;
	memory_free(l->retired);
	dirty_free(l->dirty_retired);
	iotlb_free(l->iotlb_retired);
	l->retired = NULL;
	l->dirty_retired = NULL;
	l->iotlb_retired = NULL;
	fd_close(&l->replaced);
	return 0;
}

static int recheck(struct lifecycle *l)
{
	l->recheck = true;
	return pump(l);
}

/* The ring as it would be. What was said since it stopped must fit together; what is left from
 * before may be out of date until it is said again, or until the kick. */
static int vring_set(struct lifecycle *l, unsigned int ring, const struct vring *wanted)
{
	struct vring *v = &l->vrings[ring];
	enum action action = table[v->state][RING_SET];
	struct ring_config unused;
	int rc = 0;

	if (action == REFUSE)
		return -EBUSY;
	if (wanted->size_said && wanted->addr_said)
		rc = ring_areas(l, wanted, l->memory, &unused);
	if (rc && rc != -EAGAIN)
		return rc;
	*v = *wanted;
	return action == WAIT ? recheck(l) : 0;
}

int lifecycle_num(struct lifecycle *l, unsigned int ring, uint32_t value)
{
	struct vring wanted = l->vrings[ring];

	if (!value || value > l->setup->queue_size || (!packed(l) && !is_power_of_two(value)))
		return -EINVAL;
	wanted.size = value;
	wanted.size_said = true;
	return vring_set(l, ring, &wanted);
}

int lifecycle_base(struct lifecycle *l, unsigned int ring, uint32_t value)
{
	struct vring wanted = l->vrings[ring];

	if (!packed(l) && value > UINT16_MAX)
		return -EINVAL;
	wanted.base = value;
	return vring_set(l, ring, &wanted);
}

int lifecycle_addr(struct lifecycle *l, unsigned int ring, const struct vu_vring_addr *addr)
{
	struct vring wanted = l->vrings[ring];

	if (addr->desc & 15 || addr->avail & 1 || addr->used & 3 || (addr->flags & ~VU_VRING_F_LOG))
		return -EINVAL;
	/* A running ring's addresses may be said again, to log its writes or to stop logging them.
	 */
	if (wanted.state == RING_RUNNING && wanted.addr.desc == addr->desc &&
	    wanted.addr.avail == addr->avail && wanted.addr.used == addr->used) {
		l->vrings[ring].addr = *addr;
		return ask(l, ring, WORKER_UPDATE);
	}
	wanted.addr = *addr;
	wanted.has_addr = wanted.addr_said = true;
	return vring_set(l, ring, &wanted);
}

int lifecycle_enable(struct lifecycle *l, unsigned int ring, uint32_t value)
{
	struct vring *v = &l->vrings[ring];
	enum action action = table[v->state][RING_ENABLE];

	if (value > 1)
		return -EINVAL;
	if (action == REFUSE)
		return -EBUSY;
	v->enabled = value;
	return action == UPDATE ? ask(l, ring, WORKER_UPDATE) : 0;
}

static int *event_fd(struct vring *v, enum ring_event event)
{
	if (event == RING_KICK)
		return &v->kick;
	return event == RING_CALL ? &v->call : &v->err;
}

int lifecycle_fd(struct lifecycle *l, unsigned int ring, enum ring_event event, int fd)
{
	struct vring *v = &l->vrings[ring];
	enum action action = table[v->state][event];
	struct ring_config unused;
	int *slot = event_fd(v, event);
	int rc;

	if (action == REFUSE)
		return -EBUSY;
	rc = action == WAIT ? ring_areas(l, v, l->memory, &unused) : 0;
	if (rc && rc != -EAGAIN)
		return rc;
	if (action == UPDATE)
		l->replaced = fd_take(slot);
	fd_close(slot);
	*slot = fd;
	if (event == RING_KICK)
		v->polled = fd < 0;
	else if (event == RING_CALL)
		v->muted = fd < 0;
	if (action == UPDATE)
		return ask(l, ring, WORKER_UPDATE);
	if (action != WAIT)
		return 0;
	v->kicked = true;
	v->state = RING_WAITING;
	return recheck(l);
}

int lifecycle_kick(struct lifecycle *l, unsigned int ring)
{
	struct vring *v = &l->vrings[ring];
	enum action action = table[v->state][RING_KICK];
	struct ring_config unused;
	int rc;

	if (action == REFUSE)
		return -EBUSY;
	if (action == UPDATE)
		return ask(l, ring, WORKER_UPDATE); /* whatever wakes it makes it look */
	rc = ring_areas(l, v, l->memory, &unused);
	if (rc && rc != -EAGAIN)
		return rc;
	v->kicked = true;
	v->state = RING_WAITING;
	return recheck(l);
}

bool lifecycle_call_wanted(struct lifecycle *l, unsigned int ring)
{
	/* Acquire: pairs with the release in queue_flush(). */
	return atomic_exchange_explicit(&worker_of(l, ring)->pair.queues[ring % 2].wanted_call,
					false, memory_order_acquire);
}

bool lifecycle_err_wanted(struct lifecycle *l, unsigned int ring)
{
	bool wanted = l->vrings[ring].err_wanted;

	l->vrings[ring].err_wanted = false;
	return wanted;
}

int lifecycle_stop(struct lifecycle *l, unsigned int ring)
{
	struct vring *v = &l->vrings[ring];
	enum action action = table[v->state][RING_STOP];

	if (action == REFUSE)
		return -EBUSY;
	if (action == ASK) {
		v->state = RING_STOPPING;
		return ask(l, ring, WORKER_STOP);
	}
	vring_forget(l, ring);
	return 0;
}

int lifecycle_stop_all(struct lifecycle *l)
{
	l->stop_all = true;
	return pump(l);
}

int lifecycle_reset(struct lifecycle *l)
{
	l->forget = true;
	return lifecycle_stop_all(l);
}

/* Every running ring hears of what changed for all of them. */
static int update_all(struct lifecycle *l)
{
	for (unsigned int i = 0; i < rings(l); i++)
		l->vrings[i].stale = l->vrings[i].state == RING_RUNNING;
	return pump(l);
}

int lifecycle_features(struct lifecycle *l, uint64_t features)
{
	if (lifecycle_started(l)) {
		if ((features ^ l->features) & ~BIT_ULL(VU_F_LOG_ALL))
			return -EPROTO;
		l->features = features;
		return update_all(l);
	}
	l->features = features;
	translations_set(l);
	/* Without the protocol's own feature nobody can enable a ring: all are, at once. */
	for (unsigned int i = 0; i < rings(l); i++)
		l->vrings[i].enabled |= !(features & BIT_ULL(VU_F_PROTOCOL_FEATURES));
	return 0;
}

int lifecycle_log(struct lifecycle *l, struct dirty *dirty)
{
	l->dirty_retired = l->dirty;
	l->dirty = dirty;
	return update_all(l);
}

int lifecycle_log_fd(struct lifecycle *l, int fd)
{
	l->replaced = l->log;
	l->log = fd;
	return update_all(l);
}

int lifecycle_rarp(struct lifecycle *l, const uint8_t mac[6])
{
	memcpy(l->workers[0].command.mac, mac, 6);
	return ask(l, 0, WORKER_ANNOUNCE);
}

/* Running rings move to the memory map, and to the translations, that are there now. */
static void rings_move(struct lifecycle *l)
{
	for (unsigned int pair = 0; pair < units(l); pair++) {
		const struct vring *v = &l->vrings[2 * pair];

		if (v[0].state != RING_RUNNING && v[1].state != RING_RUNNING)
			continue;
		/* Areas that are not mapped any more are NULL, and break their ring. */
		for (unsigned int which = 0; which < 2; which++) {
			struct worker_command *c = &l->workers[pair].command;

			ring_areas(l, &v[which], l->memory, &c->config[which]);
			/* The same area may be at another place of the guest's now. */
			c->log[which] = ring_log(l, &v[which]);
		}
		ask(l, 2 * pair, WORKER_MEMORY);
	}
}

static void translations_replace(struct lifecycle *l, struct iotlb *iotlb)
{
	l->iotlb_retired = l->iotlb;
	l->iotlb = iotlb;
	l->iotlb_changes++;
}

int lifecycle_memory(struct lifecycle *l, struct memory *mem)
{
	struct iotlb *iotlb;

	/* What no region holds any more is unknown again. */
	if (l->iotlb && !iotlb_new(l->iotlb, mem, l->guest_addresses, &iotlb))
		translations_replace(l, iotlb);
	l->retired = l->memory;
	l->memory = mem;
	rings_move(l);
	return recheck(l);
}

int lifecycle_iotlb(struct lifecycle *l, const struct vu_iotlb *msg)
{
	struct iotlb *iotlb;
	int rc;

	if (!l->iotlb)
		return -EOPNOTSUPP;
	rc = iotlb_apply(l->iotlb, msg, l->memory, l->guest_addresses, &iotlb);
	if (rc)
		return rc;
	translations_replace(l, iotlb);
	rings_move(l);
	return pump(l);
}

uint64_t lifecycle_miss(struct lifecycle *l, unsigned int ring)
{
	/* Acquire: pairs with the release in queue_miss(). */
	return atomic_exchange_explicit(&worker_of(l, ring)->pair.queues[ring % 2].missed, 0,
					memory_order_acquire);
}

void lifecycle_refuse(struct lifecycle *l, unsigned int ring, uint64_t miss)
{
	struct worker *w = worker_of(l, ring);

	/* Release: pairs with the acquire in queue_miss(). */
	atomic_store_explicit(&w->pair.queues[ring % 2].refused, miss, memory_order_release);
	fd_signal(w->box.command_fd);
}

uint64_t lifecycle_denied(struct lifecycle *l, unsigned int ring)
{
	uint64_t denied = l->vrings[ring].denied;

	l->vrings[ring].denied = 0;
	return denied;
}

static int answer_take(struct lifecycle *l, unsigned int ring)
{
	const struct worker_command *c = &worker_of(l, ring)->command;
	struct vring *v = &l->vrings[ring];

	if (v->state == RING_STARTING && c->result) {
		v->state = RING_BROKEN;
		orders_event(l->orders, EVENT_RING_UNREADABLE, ring, c->result);
		return c->result;
	}
	if (v->state == RING_STARTING) {
		v->state = RING_RUNNING;
		orders_event(l->orders, packed(l) ? EVENT_PACKED_STARTED : EVENT_RING_STARTED, ring,
			     v->base);
	} else if (v->state == RING_STOPPING) {
		v->base = c->base;
		vring_forget(l, ring);
		orders_event(l->orders, packed(l) ? EVENT_PACKED_STOPPED : EVENT_RING_STOPPED, ring,
			     v->base);
	}
	return 0;
}

static void break_take(struct lifecycle *l, unsigned int ring)
{
	/* Acquire: pairs with the release in queue_break(); the worker uses none of the ring's
	 * descriptors after it. */
	int error = atomic_exchange_explicit(&worker_of(l, ring)->broken[ring % 2], 0,
					     memory_order_acquire);

	if (!error || table[l->vrings[ring].state][RING_BREAK] == IGNORE)
		return;
	orders_event(l->orders, error == -ESTALE ? EVENT_RING_UNREADABLE : EVENT_RING_BROKEN, ring,
		     error);
	l->vrings[ring].state = RING_BROKEN;
	/* Kicked again without a base, it must not use the same buffers twice. */
	l->vrings[ring].base = ring_base(&worker_of(l, ring)->pair.queues[ring % 2].ring);
	if (error == -EACCES)
		l->vrings[ring].denied = worker_of(l, ring)->pair.queues[ring % 2].ring.miss;
	l->vrings[ring].err_wanted = l->inband && l->vrings[ring].err < 0;
}

int lifecycle_answers(struct lifecycle *l)
{
	int rc;

	for (unsigned int pair = 0; pair < units(l); pair++) {
		struct worker *w = &l->workers[pair];

		if (l->asked[pair] && mailbox_idle(&w->box)) {
			rc = answer_take(l, 2 * pair + w->command.which);
			l->failed = l->failed ? l->failed : rc;
			l->asked[pair] = false;
		}
		break_take(l, 2 * pair);
		break_take(l, 2 * pair + 1);
	}
	if (pump(l))
		return 0;
	rc = l->failed;
	l->failed = 0;
	return rc;
}
