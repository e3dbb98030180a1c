/*
 * Any bytes as guest memory with a control ring of either format in it: every chain is answered or
 * breaks the ring, no turn runs for ever, and whatever the commands said, what they set stays
 * within what was negotiated.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "device/net_ctrl.h"
#include "lib/steering.h"
#include "lib/tun.h"

#define REGION 32768
#define PAIRS  4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static _Alignas(4096) char bytes[REGION];
static struct memory memory = {
	.used = true,
	.count = 1,
	.bytes = REGION,
	.regions = { { .gpa = 0, .uva = 0, .size = REGION, .host = bytes } },
};
static struct worker worker;
static struct lifecycle lifecycle;
static struct net_setup setup;
static struct net_ctrl control;
static struct steering_page page;

static void require(bool condition)
{
	if (!condition)
		abort();
}

/* The TAP takes only what a kernel takes. */
int ioctl(int fd, unsigned long request, ...)
{
	const unsigned long uso = TUN_F_USO4 | TUN_F_USO6, tso = TUN_F_TSO4 | TUN_F_TSO6;
	unsigned long set;
	va_list ap;

	(void)fd;
	va_start(ap, request);
	set = va_arg(ap, unsigned long);
	va_end(ap);
	require(request == TUNSETOFFLOAD);
	require(!set || (set & TUN_F_CSUM));
	require(!(set & TUN_F_TSO_ECN) || (set & tso));
	require(!(set & uso) || (set & uso) == uso);
	return 0;
}

/* Frames go to pairs that there are. */
static void check_steering(void)
{
	const struct steering_config *cfg = &page.config[page.active];

	require(page.active <= 1 && cfg->mask < STEERING_TABLE && cfg->unclassified < PAIRS);
	for (unsigned int i = 0; i <= cfg->mask; i++)
		require(cfg->table[i] < PAIRS);
	require(!(cfg->types & ~STEERING_TYPES));
}

/* Whatever was said, another device can go on from there. */
static void check_moving(void)
{
	static struct net_ctrl other;
	static struct worker w;
	uint64_t words[NET_CTRL_WORDS], again[NET_CTRL_WORDS];
	struct net_setup s = setup;
	struct lifecycle l = { .setup = &s, .active = PAIRS };

	other = (struct net_ctrl){ 0 };
	net_ctrl_init(&other, &w, &l, &s, -1);
	net_ctrl_steering(&other, &page);
	net_ctrl_save(&control, words);
	require(!net_ctrl_check(&other, words, lifecycle.features));
	require(!net_ctrl_load(&other, words));
	net_ctrl_save(&other, again);
	require(!memcmp(words, again, sizeof(words)));
	check_steering();
}

static void start(const uint8_t *head)
{
	struct ring_config cfg = {
		.size = 1u << (head[0] & 7),
		.packed = head[0] & 8,
		.event_idx = head[0] & 0x10,
		.indirect = head[0] & 0x20,
		.desc = bytes,
		.avail = bytes + 2048,
		.used = bytes + 2560,
	};
	struct queue *q = &worker.pair.queues[PAIR_RX];

	if (cfg.packed)
		cfg.base = PACKED_WRAP | PACKED_WRAP << 16;
	ring_init(&q->ring, &cfg, &memory);
	q->running = q->enabled = true;
	q->fds = (struct queue_fds){ -1, -1, -1, -1 };
	q->inband = -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int rc = 1;

	if (size < 12)
		return 0;
	setup = (struct net_setup){
		.pairs = PAIRS, .tap_offloads = 0x7f, .mac = { 2 }, .steering = true
	};
	lifecycle = (struct lifecycle){ .setup = &setup, .active = PAIRS };
	memcpy(&lifecycle.features, data + 1, sizeof(lifecycle.features));
	lifecycle.features &= net_features(&setup);
	net_ctrl_init(&control, &worker, &lifecycle, &setup, -1);
	memset(&page, 0, sizeof(page));
	control.steering_next = 0;
	control.offloads = (struct allowance){ 0 };
	net_ctrl_steering(&control, &page);
	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes, data + 12, size - 12 < sizeof(bytes) ? size - 12 : sizeof(bytes));
	start(data);
	for (int turns = 0; rc == 1; turns++) {
		rc = net_ctrl_run(&worker.pair);
		require(turns <
			1100); /* a ring of 128 is at most taken once, or its slots for ever */
	}
	require(rc == 0 || rc == -EINVAL || rc == -EFAULT || rc == -ELOOP);
	require(lifecycle.active >= 1 && lifecycle.active <= PAIRS && !(setup.mac[0] & 1));
	require(!(control.filter.offloads_off & ~lifecycle.features));
	check_steering();
	require(!(control.filter.hash.types & ~STEERING_TYPES));
	check_moving();
	return 0;
}
