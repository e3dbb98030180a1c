/*
 * The vfio-user server, from its socket: the commands as QEMU sends them, the device behind them,
 * and messages that no client should send. Client and server take turns in one thread.
 */
#include <fcntl.h>

#include "frontend/server.h"
#include "tests/unit/frontend/bench.h"

#define BAR0   AIRLOCK_BAR0
#define CONFIG AIRLOCK_CONFIG

static struct server s;
static struct bench b;
static int client; /* our end of the connection */
static int ended;  /* what ended it */

struct reply {
	struct vfu_header head;
	_Alignas(8) uint8_t payload[VFU_PAYLOAD_MAX];
	int fds[VFU_FDS_MAX];
	size_t nfds;
};
static struct reply reply;

static void attach(void)
{
	int ends[2];

	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
			   errno);
	server_attach(&s, ends[1]);
	client = ends[0];
	ended = 0;
}

static void turn(int timeout_ms)
{
	struct pollfd fds[] = { { .fd = s.connection.sock, .events = server_events(&s) },
				{ .fd = airlock_fd(s.t), .events = POLLIN } };

	poll(fds, 2, timeout_ms);
	airlock_poll(s.t);
	if (!ended)
		ended = server_go_on(&s);
	if (!ended && fds[0].revents)
		ended = server_ready(&s, fds[0].revents);
}

static void send_raw(const void *bytes, size_t len, const int *fds, size_t nfds)
{
	assert_int_equal(len, fd_send(client, bytes, len, fds, nfds));
}

static void send_message(uint16_t command, uint32_t flags, const void *payload, size_t len,
			 const int *fds, size_t nfds)
{
	static struct {
		struct vfu_header head;
		uint8_t payload[VFU_PAYLOAD_MAX];
	} m;

	m.head = (struct vfu_header){ .id = 7,
				      .command = command,
				      .size = (uint32_t)(sizeof(m.head) + len),
				      .flags = flags };
	memcpy(m.payload, payload, len);
	send_raw(&m, sizeof(m.head) + len, fds, nfds);
}

static bool receive(void)
{
	int64_t end = clock_ms() + PATIENCE_MS;
	size_t have = 0, want = sizeof(reply.head);

	memset(&reply, 0, sizeof(reply));
	while (have < want && !(ended && have == 0) && clock_ms() < end) {
		size_t room = VFU_FDS_MAX - reply.nfds;
		ssize_t n = fd_recv(client, (char *)&reply + have, want - have,
				    reply.fds + reply.nfds, &room);

		if (n == -EAGAIN) {
			turn(10);
			continue;
		}
		if (n <= 0)
			return false;
		reply.nfds += room;
		have += (size_t)n;
		if (have >= sizeof(reply.head))
			want = reply.head.size;
	}
	return have == want;
}

/* The errno of the answer, 0 for none. */
static uint32_t ask(uint16_t command, const void *payload, size_t len, const int *fds, size_t nfds)
{
	send_message(command, 0, payload, len, fds, nfds);
	assert_true(receive());
	assert_int_equal(7, reply.head.id);
	assert_int_equal(command, reply.head.command);
	assert_int_equal(VFU_REPLY, reply.head.flags & VFU_TYPE_MASK);
	assert_int_equal(!!reply.head.error, !!(reply.head.flags & VFU_ERROR));
	if (reply.head.error)
		assert_int_equal(sizeof(reply.head), reply.head.size);
	return reply.head.error;
}

static void hello(void)
{
	static const char version[] =
		"\0\0\1\0{\"capabilities\":{\"max_msg_fds\":8,\"write_multiple\":true}}";

	assert_int_equal(0, ask(VFU_VERSION, version, sizeof(version), NULL, 0));
}

static int setup(void **state)
{
	(void)state;
	memset(&s, 0, sizeof(s));
	bench_prepare(&b, AIRLOCK_PCI, AIRLOCK_DEFER);
	b.options.client_msix = true;
	server_init(&s);
	b.options.ops.line = NULL;
	assert_int_equal(0, bench_begin(&b));
	s.t = b.t;
	attach();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	server_detach(&s);
	close(client);
	bench_close(&b);
	return 0;
}

static uint32_t map(uint64_t address, uint64_t size, uint32_t flags, bool fd, uint64_t offset)
{
	const struct vfu_dma_map m = { .argsz = sizeof(m),
				       .flags = flags,
				       .offset = offset,
				       .address = address,
				       .size = size };

	return ask(VFU_DMA_MAP, &m, sizeof(m), &b.memory, fd);
}

static uint32_t unmap(uint64_t address, uint64_t size, uint32_t flags)
{
	const struct vfu_dma_unmap u = {
		.argsz = sizeof(u), .flags = flags, .address = address, .size = size
	};

	return ask(VFU_DMA_UNMAP, &u, sizeof(u), NULL, 0);
}

/* A head and what follows it, as one payload. */
static const void *joined(const void *head, size_t len, const void *rest, size_t more)
{
	static _Alignas(8) uint8_t payload[VFU_PAYLOAD_MAX];

	memcpy(payload, head, len);
	memcpy(payload + len, rest, more);
	return payload;
}

static uint32_t region_write(uint32_t region, uint64_t offset, uint64_t bytes, uint32_t count)
{
	const struct vfu_region r = { .offset = offset, .region = region, .count = count };

	return ask(VFU_REGION_WRITE, joined(&r, sizeof(r), &bytes, count), sizeof(r) + count, NULL,
		   0);
}

static uint32_t region_read(uint32_t region, uint64_t offset, uint32_t count)
{
	const struct vfu_region r = { .offset = offset, .region = region, .count = count };

	return ask(VFU_REGION_READ, &r, sizeof(r), NULL, 0);
}

static uint64_t value(uint32_t region, uint64_t offset, uint32_t count)
{
	uint64_t v = 0;

	assert_int_equal(0, region_read(region, offset, count));
	memcpy(&v, reply.payload + sizeof(struct vfu_region), count);
	return v;
}

/* A driver in the VMM's guest. */
static void run(void)
{
	static const struct {
		uint16_t offset, len;
		uint64_t value;
	} writes[] = {
		{ 0x14, 1, S_ACK },	{ 0x14, 1, S_DRIVER }, { 0x08, 4, 1 },
		{ 0x0c, 4, 1 },		{ 0x14, 1, S_SET_UP }, { 0x16, 2, 0 },
		{ 0x18, 2, 64 },	{ 0x20, 8, 0x100000 }, { 0x28, 8, 0x101000 },
		{ 0x30, 8, 0x102000 },	{ 0x1a, 2, 1 },	       { 0x1c, 2, 1 },
		{ 0x14, 1, S_RUNNING },
	};

	for (size_t i = 0; i < ARRAY_SIZE(writes); i++)
		assert_int_equal(
			0, region_write(BAR0, writes[i].offset, writes[i].value, writes[i].len));
}

/* ---- version */

static void version_and_capabilities(void **state)
{
	const struct vfu_version *v = (const void *)reply.payload;

	(void)state;
	hello();
	assert_int_equal(0, v->major);
	assert_int_equal(1, v->minor);
	assert_non_null(strstr(v->data, "\"max_msg_fds\":16"));
	assert_non_null(strstr(v->data, "\"write_multiple\":true"));
}

static void version_without_data_and_of_minor_0(void **state)
{
	(void)state;
	assert_int_equal(0, ask(VFU_VERSION, "\0\0\0\0", 4, NULL, 0));
	assert_int_equal(0, ((const struct vfu_version *)(const void *)reply.payload)->minor);
	assert_null(strstr((char *)reply.payload + 4, "write_multiple"));
}

static void no_version_no_service(void **state)
{
	static const struct {
		uint16_t command;
		const char *payload;
		size_t len;
	} rows[] = {
		{ VFU_GET_INFO, "\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16 }, /* not the first */
		{ VFU_VERSION, "\1\0\0\0", 4 },				    /* another major */
		{ VFU_VERSION, "\0\0\1\0{\"capabi", 12 },		    /* not JSON */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (i)
			setup(state);
		send_message(rows[i].command, 0, rows[i].payload, rows[i].len, NULL, 0);
		for (int k = 0; k < 20 && !ended; k++)
			turn(10);
		assert_int_equal(-EPROTO, ended);
		if (i + 1 < ARRAY_SIZE(rows))
			teardown(state);
	}
}

static void a_second_version_ends_it(void **state)
{
	(void)state;
	hello();
	send_message(VFU_VERSION, 0, "\0\0\1\0", 4, NULL, 0);
	for (int k = 0; k < 20 && !ended; k++)
		turn(10);
	assert_int_equal(-EPROTO, ended);
}

/* ---- framing */

static void what_cannot_be_framed_ends_it(void **state)
{
	static const struct vfu_header rows[] = {
		{ .command = VFU_GET_INFO, .size = 15 },
		{ .command = VFU_GET_INFO, .size = 0 },
		{ .command = VFU_GET_INFO, .size = UINT32_MAX },
		{ .command = VFU_REGION_WRITE, .size = 16 + VFU_PAYLOAD_MAX + 1 },
		{ .command = VFU_GET_INFO, .size = 16, .flags = VFU_REPLY },
		{ .command = VFU_GET_INFO, .size = 16, .flags = 2 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (i)
			setup(state);
		hello();
		send_raw(&rows[i], sizeof(rows[i]), NULL, 0);
		for (int k = 0; k < 20 && !ended; k++)
			turn(10);
		assert_int_equal(-EPROTO, ended);
		if (i + 1 < ARRAY_SIZE(rows))
			teardown(state);
	}
}

static void wrong_lengths_are_refused(void **state)
{
	static const uint8_t zero[128];

	(void)state;
	hello();
	for (uint16_t command = VFU_DMA_MAP; command < VFU_COMMANDS; command++)
		for (size_t len = 0; len < 8; len++)
			assert_int_not_equal(0, (command == VFU_RESET && !len) ||
							ask(command, zero, len, NULL, 0));
	assert_int_equal(ENOTSUP, ask(VFU_DMA_READ, zero, 16, NULL, 0));
	assert_int_equal(ENOTSUP, ask(14, zero, 16, NULL, 0));
	assert_int_equal(ENOTSUP, ask(60000, zero, 16, NULL, 0));
	assert_int_equal(0, ended);
}

static void a_message_in_single_bytes(void **state)
{
	struct {
		struct vfu_header head;
		struct vfu_info info;
	} m = { { .id = 7, .command = VFU_GET_INFO, .size = sizeof(m) },
		{ .argsz = sizeof(m.info) } };

	(void)state;
	hello();
	for (size_t i = 0; i < sizeof(m); i++) {
		send_raw((char *)&m + i, 1, NULL, 0);
		turn(0);
		turn(0);
	}
	assert_true(receive());
	assert_int_equal(0, reply.head.error);
}

static unsigned int fds_open(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 512; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void surplus_descriptors_are_closed(void **state)
{
	const struct vfu_info info = { .argsz = sizeof(info) };
	int fds[VFU_FDS_MAX];
	unsigned int before;

	(void)state;
	hello();
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = b.memory;
	before = fds_open();
	assert_int_equal(EINVAL, ask(VFU_GET_INFO, &info, sizeof(info), fds, 3));
	assert_int_equal(before, fds_open());
	assert_int_equal(0, ask(VFU_GET_INFO, &info, sizeof(info), NULL, 0));
}

static void a_slow_message_ends_at_its_deadline(void **state)
{
	(void)state;
	hello();
	assert_int_equal(0, server_deadline(&s));
	send_raw("\0\0\0", 3, NULL, 0);
	turn(10);
	assert_in_range(server_deadline(&s) - clock_ms(), 1, 5000);
}

static void without_reply(void **state)
{
	struct vfu_region r = { .offset = 0x14, .region = BAR0, .count = 1 };
	const uint8_t bytes = S_ACK;

	(void)state;
	hello();
	send_message(VFU_REGION_WRITE, VFU_NO_REPLY, joined(&r, sizeof(r), &bytes, 1),
		     sizeof(r) + 1, NULL, 0);
	r.region = 99; /* an error that nobody hears of */
	send_message(VFU_REGION_WRITE, VFU_NO_REPLY, joined(&r, sizeof(r), &bytes, 1),
		     sizeof(r) + 1, NULL, 0);
	assert_int_equal(S_ACK, value(BAR0, 0x14, 1));
}

/* ---- the device */

static void device_regions_and_interrupts(void **state)
{
	static const uint64_t sizes[9] = { 0x2000, 0, 0x4000, 0, 0, 0, 0, 256, 0 };
	static const uint32_t irqs[5] = { 1, 0, 3, 0, 0 };
	struct vfu_info info = { .argsz = sizeof(info) };
	struct vfu_region_info region = { .argsz = sizeof(region) };
	struct vfu_irq_info irq = { .argsz = sizeof(irq) };

	(void)state;
	hello();
	assert_int_equal(0, ask(VFU_GET_INFO, &info, sizeof(info), NULL, 0));
	memcpy(&info, reply.payload, sizeof(info));
	assert_int_equal(3, info.flags);
	assert_int_equal(9, info.regions);
	assert_int_equal(5, info.irqs);
	for (region.index = 0; region.index < 9; region.index++) {
		assert_int_equal(0, ask(VFU_GET_REGION_INFO, &region, sizeof(region), NULL, 0));
		assert_int_equal(sizes[region.index],
				 ((struct vfu_region_info *)(void *)reply.payload)->size);
	}
	assert_int_equal(EINVAL, ask(VFU_GET_REGION_INFO, &region, sizeof(region), NULL, 0));
	for (irq.index = 0; irq.index < 5; irq.index++) {
		assert_int_equal(0, ask(VFU_GET_IRQ_INFO, &irq, sizeof(irq), NULL, 0));
		assert_int_equal(irqs[irq.index],
				 ((struct vfu_irq_info *)(void *)reply.payload)->count);
	}
	assert_int_equal(EINVAL, ask(VFU_GET_IRQ_INFO, &irq, sizeof(irq), NULL, 0));
	info.argsz = 8;
	assert_int_equal(EINVAL, ask(VFU_GET_INFO, &info, sizeof(info), NULL, 0));
}

static void region_accesses(void **state)
{
	(void)state;
	hello();
	assert_int_equal(0x10411af4, value(CONFIG, 0, 4));
	assert_int_equal(0xa1, value(BAR0, 0x101, 1));
	assert_int_equal(0xa7a6a5a4a3a2a1, value(BAR0, 0x101, 7));
	/* The whole configuration space, as QEMU reads it; in it, nothing is set off. */
	assert_int_equal(0, region_read(CONFIG, 0, 256));
	assert_int_equal(16 + 16 + 256, reply.head.size);
	assert_int_equal(EINVAL, region_read(CONFIG, 0, 257));
	assert_int_equal(EINVAL, region_read(CONFIG, UINT64_MAX, 2));
	assert_int_equal(EINVAL, region_read(1, 0, 1));
	assert_int_equal(EINVAL, region_read(9, 0, 1));
	assert_int_equal(EINVAL, region_read(BAR0, 0, 0));
	assert_int_equal(EINVAL, region_read(BAR0, 0, UINT32_MAX));
	assert_int_equal(0, region_write(CONFIG, 0x04, 6, 2));
	assert_int_equal(6, value(CONFIG, 4, 2));
}

static void several_writes_in_one_message(void **state)
{
	struct {
		uint64_t count;
		struct {
			uint64_t offset;
			uint32_t region, count;
			uint64_t data;
		} write[3];
	} m = { 3, { { 0x16, BAR0, 2, 1 }, { 0x18, BAR0, 2, 32 }, { 0x14, BAR0, 1, S_ACK } } };

	(void)state;
	hello();
	assert_int_equal(0, ask(VFU_WRITE_MULTI, &m, sizeof(m), NULL, 0));
	assert_int_equal(3, *(uint64_t *)(void *)reply.payload);
	assert_int_equal(32, value(BAR0, 0x18, 2));
	assert_int_equal(S_ACK, value(BAR0, 0x14, 1));
	/* All or none. */
	m.write[0].data = 0;
	m.write[2].count = 9;
	assert_int_equal(EINVAL, ask(VFU_WRITE_MULTI, &m, sizeof(m), NULL, 0));
	assert_int_equal(1, value(BAR0, 0x16, 2));
	m.count = 4;
	assert_int_equal(EINVAL, ask(VFU_WRITE_MULTI, &m, sizeof(m), NULL, 0));
	m.count = UINT64_MAX;
	assert_int_equal(EINVAL, ask(VFU_WRITE_MULTI, &m, sizeof(m), NULL, 0));
}

/* ---- memory */

static void memory_becomes_slots(void **state)
{
	(void)state;
	hello();
	/* In pieces, as firmware leaves them; the back-end gets one. */
	assert_int_equal(0, map(0x100000, 0x10000, 3, true, 0));
	assert_int_equal(0, map(0x120000, 0x10000, 3, true, 0x20000));
	assert_int_equal(0, map(0x110000, 0x10000, 3, true, 0x10000));
	assert_int_equal(0, map(0xf0000, 0x10000, 1, true, 0)); /* read-only: not for a device */
	assert_int_equal(0, map(0x200000, 0x10000, 3, false, 0));
	assert_int_equal(0, b.backend.nregions);
	run();
	assert_int_equal(1, b.backend.nregions);
	assert_int_equal(0x100000, b.backend.region[0].guest_addr);
	assert_int_equal(0x30000, b.backend.region[0].size);
	/* While it runs, what comes and goes is told at once; the reply comes after that. */
	assert_int_equal(0, map(0x300000, 0x10000, 3, true, 0x50000));
	backend_sync(&b.backend);
	assert_int_equal(2, b.backend.nregions);
	assert_int_equal(0, unmap(0x300000, 0x10000, 0));
	backend_sync(&b.backend);
	assert_int_equal(1, b.backend.nregions);
	assert_int_equal(0, unmap(0x200000, 0x10000, 0));
}

static void memory_that_is_refused(void **state)
{
	int pipes[2];
	const struct vfu_dma_map m = {
		.argsz = sizeof(m), .flags = 3, .address = 0x900000, .size = 0x1000
	};

	(void)state;
	hello();
	assert_int_equal(0, map(0x100000, 0x10000, 3, true, 0));
	assert_int_equal(EEXIST, map(0x10f000, 0x2000, 3, true, 0));
	assert_int_equal(EEXIST, map(0x100000, 0x10000, 3, true, 0));
	assert_int_equal(EINVAL, map(0x400000, 0, 3, true, 0));
	assert_int_equal(EINVAL, map(UINT64_MAX - 10, 0x1000, 3, true, 0));
	assert_int_equal(EINVAL, map(0x400000, 0x1000, 0x80, true, 0));
	assert_int_equal(EINVAL, map(0x400000, 0x1000, 4 | 3, false, 0)); /* mmap of nothing */
	assert_int_equal(EBADF, map(0x400000, MEMORY_SIZE + 1, 3, true, 0));
	assert_int_equal(EBADF, map(0x400000, 0x1000, 3, true, MEMORY_SIZE));
	assert_int_equal(EBADF, map(0x400000, 0x1000, 3, true, UINT64_MAX));
	assert_return_code(pipe(pipes), errno);
	assert_int_equal(EBADF, ask(VFU_DMA_MAP, &m, sizeof(m), &pipes[0], 1));
	close(pipes[0]);
	close(pipes[1]);
	/* What was refused is not there, and may come right. */
	assert_int_equal(ENOENT, unmap(0x400000, 0x1000, 0));
	assert_int_equal(0, map(0x400000, 0x1000, 3, true, 0));
	assert_int_equal(ENOENT, unmap(0x100000, 0x8000, 0));
	assert_int_equal(EINVAL, unmap(0x100000, 0x10000, 1));
	assert_int_equal(0, unmap(0x100000, 0x10000, 0));
	assert_int_equal(0, unmap(0, 0, 2)); /* everything */
	assert_int_equal(ENOENT, unmap(0x400000, 0x1000, 0));
}

/* ---- interrupts and doorbells */

static uint32_t set_irqs(uint32_t index, uint32_t flags, uint32_t start, uint32_t count,
			 const int *fds, size_t nfds)
{
	const struct vfu_irq_set set = {
		.argsz = sizeof(set), .flags = flags, .index = index, .start = start, .count = count
	};

	return ask(VFU_SET_IRQS, &set, sizeof(set), fds, nfds);
}

static void vectors_go_to_the_back_end(void **state)
{
	int vector = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	    other = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct pollfd p = { .fd = vector, .events = POLLIN };

	(void)state;
	hello();
	assert_int_equal(0, map(0x100000, 0x10000, 3, true, 0));
	assert_int_equal(0, set_irqs(IRQ_MSIX, 0x24, 1, 1, &vector, 1));
	run();
	backend_signal(&b.backend, &b.backend.ring[0].call);
	assert_int_equal(1, poll(&p, 1, 0)); /* the server has not had a turn */
	/* Replaced while it runs. */
	assert_int_equal(0, set_irqs(IRQ_MSIX, 0x24, 1, 1, &other, 1));
	p.fd = other;
	for (int i = 0; i < 20; i++)
		turn(5);
	fd_drain(other); /* one may have come for what was lost in between */
	backend_sync(&b.backend);
	backend_signal(&b.backend, &b.backend.ring[0].call);
	assert_int_equal(1, poll(&p, 1, 0));
	close(vector);
	close(other);
}

static void interrupts_that_are_refused(void **state)
{
	int fds[4] = { b.memory, b.memory, b.memory, b.memory };

	(void)state;
	hello();
	assert_int_equal(EBADF, set_irqs(IRQ_MSIX, 0x24, 0, 1, fds, 1)); /* a file */
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(EINVAL, set_irqs(IRQ_MSIX, 0x24, 0, 4, fds, 4)); /* there are 3 */
	assert_int_equal(EINVAL, set_irqs(IRQ_MSIX, 0x24, UINT32_MAX, 1, fds, 1));
	assert_int_equal(EINVAL, set_irqs(IRQ_MSIX, 0x24, 1, UINT32_MAX, NULL, 0));
	assert_int_equal(EINVAL, set_irqs(IRQ_MSIX, 0x24, 0, 3, fds, 2));
	assert_int_equal(EINVAL, set_irqs(IRQ_MSIX, 0x21, 0, 1, fds, 1));
	assert_int_equal(EINVAL, set_irqs(IRQ_MSIX, 0x27, 0, 1, NULL, 0));
	assert_int_equal(EINVAL, set_irqs(IRQ_MSIX, 0x3c, 0, 1, NULL, 0));
	assert_int_equal(EINVAL, set_irqs(IRQ_MSIX, 0x04, 0, 1, NULL, 0));
	assert_int_equal(EINVAL, set_irqs(IRQ_MSIX, 0x124, 0, 1, NULL, 0));
	assert_int_equal(EINVAL, set_irqs(IRQ_MSI, 0x24, 0, 1, fds, 1));
	assert_int_equal(EINVAL, set_irqs(77, 0x24, 0, 1, fds, 1));
	assert_int_equal(EINVAL,
			 set_irqs(IRQ_MSIX, 0x22, 0, 3, NULL, 0)); /* booleans that are not there */
	assert_int_equal(0, set_irqs(IRQ_MSIX, 0x24, 0, 3, fds, 3));
	assert_int_equal(0, set_irqs(IRQ_MSIX, 0x24, 0, 3, NULL, 0)); /* taken away */
	assert_int_equal(0, set_irqs(IRQ_MSIX, 0x21, 0, 0, NULL, 0));
	fd_close_all(fds, ARRAY_SIZE(fds));
}

/* A client that tries its own wiring. */
static void interrupts_of_the_clients_own(void **state)
{
	static const struct {
		uint32_t flags, start, count;
		uint8_t bools[3];
		bool rings[3];
	} rows[] = {
		{ 0x21, 0, 3, { 0 }, { true, true, false } }, /* the third has no eventfd */
		{ 0x21, 1, 1, { 0 }, { false, true, false } },
		{ 0x22, 0, 3, { 0, 1, 1 }, { false, true, false } },
		{ 0x22, 0, 2, { 1, 0 }, { true, false, false } },
		{ 0x22, 0, 3, { 0, 0, 0 }, { false, false, false } },
	};
	int fds[3];

	(void)state;
	hello();
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(0, set_irqs(IRQ_MSIX, 0x24, 0, 2, fds, 2));
	assert_int_equal(0, set_irqs(IRQ_INTX, 0x24, 0, 1, &fds[2], 1));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct vfu_irq_set set = { .argsz = sizeof(set),
						 .flags = rows[i].flags,
						 .index = IRQ_MSIX,
						 .start = rows[i].start,
						 .count = rows[i].count };

		assert_int_equal(0, ask(VFU_SET_IRQS, joined(&set, sizeof(set), rows[i].bools, 3),
					sizeof(set) + 3, NULL, 0));
		for (size_t k = 0; k < ARRAY_SIZE(fds); k++) {
			struct pollfd p = { .fd = fds[k], .events = POLLIN };

			assert_int_equal(rows[i].rings[k], poll(&p, 1, 0));
			fd_drain(fds[k]);
		}
	}
	/* INTx is level: it rings when it is not masked, and stays as it was. */
	for (int masked = 0; masked < 2; masked++) {
		struct pollfd p = { .fd = fds[2], .events = POLLIN };

		assert_int_equal(0, set_irqs(IRQ_INTX, 0x21, 0, 1, NULL, 0));
		assert_int_equal(!masked, poll(&p, 1, 0));
		fd_drain(fds[2]);
		assert_int_equal(0, set_irqs(IRQ_INTX, 0x09, 0, 1, NULL, 0));
	}
	/* To be told of masks, or to unmask by an eventfd, is not offered. */
	assert_int_equal(ENOTSUP, set_irqs(IRQ_INTX, 0x14, 0, 1, &fds[2], 1));
	assert_int_equal(ENOTSUP, set_irqs(IRQ_MSIX, 0x14, 0, 1, &fds[2], 1));
	assert_int_equal(ENOTSUP, set_irqs(IRQ_MSIX, 0x0c, 0, 1, &fds[2], 1));
	fd_close_all(fds, ARRAY_SIZE(fds));
}

static void intx_masks_itself(void **state)
{
	int line = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct pollfd p = { .fd = line, .events = POLLIN };

	(void)state;
	hello();
	assert_int_equal(0, set_irqs(IRQ_INTX, 0x24, 0, 1, &line, 1));
	server_line(&s, true);
	assert_int_equal(1, poll(&p, 1, 0));
	fd_drain(line);
	server_line(&s, true);
	assert_int_equal(0, poll(&p, 1, 0)); /* masked until the client says */
	assert_int_equal(0, set_irqs(IRQ_INTX, 0x11, 0, 1, NULL, 0));
	assert_int_equal(1, poll(&p, 1, 0)); /* the level is still high */
	fd_drain(line);
	server_line(&s, false);
	assert_int_equal(0, set_irqs(IRQ_INTX, 0x11, 0, 1, NULL, 0));
	assert_int_equal(0, poll(&p, 1, 0));
	close(line);
}

static void doorbells_bypass_the_server(void **state)
{
	struct vfu_io_fds asked = { .argsz = 4096, .index = BAR0 };
	const struct vfu_io_fds *head = (const void *)reply.payload;
	const struct vfu_io_fd *each = (const void *)(reply.payload + sizeof(*head));
	struct pollfd p = { .events = POLLIN };

	(void)state;
	hello();
	assert_int_equal(0, map(0x100000, 0x10000, 3, true, 0));
	run();
	assert_int_equal(0, ask(VFU_GET_REGION_IO_FDS, &asked, sizeof(asked), NULL, 0));
	assert_int_equal(2, head->count);
	assert_int_equal(2, reply.nfds);
	assert_int_equal(0x1000, each[0].offset);
	assert_int_equal(0x1004, each[1].offset);
	assert_int_equal(1, each[1].fd_index);
	p.fd = b.backend.ring[0].kick;
	assert_int_equal(0, poll(&p, 1, 0));
	fd_signal(reply.fds[0]);
	assert_int_equal(1, poll(&p, 1, 0));
	fd_close_all(reply.fds, reply.nfds);
	/* Too little room is told; another region has none. */
	asked.argsz = sizeof(asked);
	assert_int_equal(0, ask(VFU_GET_REGION_IO_FDS, &asked, sizeof(asked), NULL, 0));
	assert_int_equal(0, head->count);
	assert_int_equal(sizeof(*head) + 2 * sizeof(*each), head->argsz);
	asked = (struct vfu_io_fds){ .argsz = 4096, .index = CONFIG };
	assert_int_equal(0, ask(VFU_GET_REGION_IO_FDS, &asked, sizeof(asked), NULL, 0));
	assert_int_equal(0, head->count);
}

/* ---- the back-end fails */

static void a_status_write_waits_and_the_next_message_with_it(void **state)
{
	(void)state;
	hello();
	assert_int_equal(0, map(0x100000, 0x10000, 3, true, 0));
	b.backend.slow_ms = 50;
	backend_script(&b.backend, VU_SET_VRING_KICK, 1, SLOW);
	run();
	assert_int_equal(S_RUNNING, value(BAR0, 0x14, 1));
}

static void a_back_end_that_fails_is_seen(void **state)
{
	(void)state;
	hello();
	assert_int_equal(0, map(0x100000, 0x10000, 3, true, 0));
	for (enum trick trick = REFUSE; trick <= NONSENSE; trick++) {
		backend_script(&b.backend, VU_SET_VRING_KICK, 1, trick);
		run();
		assert_int_equal(S_NEEDS_RESET, value(BAR0, 0x14, 1));
		backend_script(&b.backend, 0, 0, ANSWER);
		assert_int_equal(0, region_write(BAR0, 0x14, 0, 1));
		run();
		assert_int_equal(S_RUNNING, value(BAR0, 0x14, 1));
		assert_int_equal(0, region_write(BAR0, 0x14, 0, 1));
	}
}

static void device_reset(void **state)
{
	(void)state;
	hello();
	assert_int_equal(0, map(0x100000, 0x10000, 3, true, 0));
	assert_int_equal(0, region_write(CONFIG, 4, 6, 2));
	run();
	assert_int_equal(0, ask(VFU_RESET, "", 0, NULL, 0));
	assert_int_equal(0, value(BAR0, 0x14, 1));
	assert_int_equal(0, value(CONFIG, 4, 2));
	run(); /* memory stays */
	assert_int_equal(S_RUNNING, value(BAR0, 0x14, 1));
}

/* ---- clients come and go */

static void the_next_client_finds_the_device_as_it_was(void **state)
{
	unsigned int before = fds_open();

	(void)state;
	hello();
	assert_int_equal(0, map(0x100000, 0x10000, 3, true, 0));
	run();
	b.backend.stop_at = 55;
	close(client);
	for (int i = 0; i < 20 && !ended; i++)
		turn(10);
	assert_int_equal(-ECONNRESET, ended);
	server_detach(&s);
	backend_sync(&b.backend);
	assert_false(b.backend.ring[0].started);
	attach();
	hello();
	/* Its memory went with the client; the new one brings its own. */
	assert_int_equal(0, map(0x100000, 0x10000, 3, true, 0));
	assert_int_equal(S_RUNNING, value(BAR0, 0x14, 1));
	assert_true(b.backend.ring[0].started);
	assert_int_equal(55, b.backend.ring[0].base);
	server_detach(&s);
	close(client);
	attach();
	assert_in_range(fds_open(), before - 4, before + 8);
}

/* At every byte of a conversation the client may go. */
static void a_client_that_goes_at_any_byte(void **state)
{
	struct {
		struct vfu_header head;
		struct vfu_dma_map map;
	} m = { { .command = VFU_DMA_MAP, .size = sizeof(m) },
		{ .argsz = sizeof(m.map), .flags = 3, .address = 0x100000, .size = 0x1000 } };
	unsigned int before;

	(void)state;
	hello();
	before = fds_open();
	for (size_t n = 1; n <= sizeof(m); n++) {
		send_raw(&m, n, &b.memory, 1);
		turn(0);
		close(client);
		for (int i = 0; i < 50 && !ended; i++)
			turn(5);
		assert_int_not_equal(0, ended);
		server_detach(&s);
		attach();
		hello();
	}
	value(BAR0, 0x100, 1); /* the task has done everything before this */
	for (int i = 0; i < 100 && before != fds_open(); i++)
		turn(10); /* and the back-end's thread closes what it has done with */
	assert_int_equal(before, fds_open());
}

/* ---- migration */

static uint32_t feature(uint32_t flags, uint32_t state, bool with_state)
{
	const struct vfu_feature f = { .argsz = 64, .flags = flags };
	const uint32_t data[2] = { state, 0 };
	size_t more = with_state ? sizeof(data) : 0;

	return ask(VFU_FEATURE, joined(&f, sizeof(f), data, more), sizeof(f) + more, NULL, 0);
}

#define GET   (1u << 16)
#define SET   (1u << 17)
#define PROBE (1u << 18)

static void a_state_travels(void **state)
{
	struct vfu_data data = { .argsz = VFU_TRANSFER, .size = VFU_TRANSFER };
	static uint8_t blob[VFU_TRANSFER + sizeof(struct vfu_data)];
	uint32_t size;

	(void)state;
	hello();
	assert_int_equal(0, map(0x100000, 0x10000, 3, true, 0));
	assert_int_equal(0, feature(1 | GET, 0, false));
	assert_int_equal(1, reply.payload[sizeof(struct vfu_feature)]);
	assert_int_equal(0, feature(2 | PROBE | GET | SET, 0, false));
	/* No log of what is written: it is asked for, and refused, before it is begun. */
	for (uint32_t logging = 6; logging <= 8; logging++) {
		assert_int_equal(ENOTSUP, feature(logging | PROBE, 0, false));
		assert_int_equal(ENOTSUP, feature(logging | PROBE | SET, 0, false));
		assert_int_equal(ENOTSUP, feature(logging | SET, 0, true));
		assert_int_equal(ENOTSUP, feature(logging | GET, 0, false));
	}
	run();
	b.backend.stop_at = 1234;
	assert_int_equal(EINVAL, feature(2 | SET, 0, true));
	assert_int_equal(EINVAL, feature(2 | SET, 5, true));
	assert_int_equal(0, feature(2 | SET, MIGRATION_STOP_COPY, true));
	assert_int_equal(0, feature(2 | GET, 0, false));
	assert_int_equal(MIGRATION_STOP_COPY, reply.payload[sizeof(struct vfu_feature)]);
	/* A stopped device's registers cannot be waited for. */
	assert_int_equal(EBUSY, region_read(BAR0, 0x14, 1));
	assert_int_equal(0, ask(VFU_MIG_READ, &data, sizeof(data), NULL, 0));
	size = ((struct vfu_data *)(void *)reply.payload)->size;
	assert_true(size > 100 && size < VFU_TRANSFER);
	memcpy(blob, reply.payload, sizeof(data) + size);
	assert_int_equal(0, ask(VFU_MIG_READ, &data, sizeof(data), NULL, 0));
	assert_int_equal(0, ((struct vfu_data *)(void *)reply.payload)->size);
	/* Another process: */
	teardown(NULL);
	setup(NULL);
	hello();
	assert_int_equal(0, map(0x100000, 0x10000, 3, true, 0));
	assert_int_equal(EINVAL, ask(VFU_MIG_WRITE, blob, sizeof(data) + size, NULL, 0));
	assert_int_equal(0, feature(2 | SET, MIGRATION_RESUMING, true));
	assert_int_equal(0, ask(VFU_MIG_WRITE, blob, sizeof(data) + size, NULL, 0));
	assert_int_equal(0, feature(2 | SET, MIGRATION_RUNNING, true));
	assert_int_equal(S_RUNNING, value(BAR0, 0x14, 1));
	assert_true(b.backend.ring[0].started);
	assert_int_equal(1234, b.backend.ring[0].base);
}

static void a_bad_state_is_refused_until_reset(void **state)
{
	const uint8_t junk[100] = { 1, 2, 3 };
	const struct vfu_data data = { .argsz = sizeof(data), .size = sizeof(junk) };

	(void)state;
	hello();
	assert_int_equal(0, feature(2 | SET, MIGRATION_RESUMING, true));
	assert_int_equal(0, ask(VFU_MIG_WRITE, joined(&data, sizeof(data), junk, sizeof(junk)),
				sizeof(data) + sizeof(junk), NULL, 0));
	assert_int_equal(EINVAL, feature(2 | SET, MIGRATION_RUNNING, true));
	assert_int_equal(EINVAL, feature(2 | SET, MIGRATION_RUNNING, true));
	assert_int_equal(0, ask(VFU_RESET, "", 0, NULL, 0));
	assert_int_equal(0, value(BAR0, 0x14, 1));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(version_and_capabilities),
		TEST(version_without_data_and_of_minor_0),
		TEST(no_version_no_service),
		TEST(a_second_version_ends_it),
		TEST(what_cannot_be_framed_ends_it),
		TEST(wrong_lengths_are_refused),
		TEST(a_message_in_single_bytes),
		TEST(surplus_descriptors_are_closed),
		TEST(a_slow_message_ends_at_its_deadline),
		TEST(without_reply),
		TEST(device_regions_and_interrupts),
		TEST(region_accesses),
		TEST(several_writes_in_one_message),
		TEST(memory_becomes_slots),
		TEST(memory_that_is_refused),
		TEST(vectors_go_to_the_back_end),
		TEST(interrupts_that_are_refused),
		TEST(interrupts_of_the_clients_own),
		TEST(intx_masks_itself),
		TEST(doorbells_bypass_the_server),
		TEST(a_status_write_waits_and_the_next_message_with_it),
		TEST(a_back_end_that_fails_is_seen),
		TEST(device_reset),
		TEST(the_next_client_finds_the_device_as_it_was),
		TEST(a_client_that_goes_at_any_byte),
		TEST(a_state_travels),
		TEST(a_bad_state_is_refused_until_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
