/*
 * The dirty log under traffic: exactly those pages are marked whose bytes the device changed, in
 * either ring format.
 */
#include "tests/unit/device/stage.h"

#include <stdlib.h>

#include "device/dirty.h"

#define PAGE	  4096ull
#define LOG_BYTES ((GPA_C + REGION) / PAGE / 8)
#define SIZE	  16
#define POISON	  0xa5

static struct dirty *dirty;
static int log_file = -1;
static uint8_t *bits;	   /* the front-end's mapping of the log */
static uint8_t *before[3]; /* the regions, as they were */

static bool marked(uint64_t gpa)
{
	return bits[gpa / PAGE / 8] >> gpa / PAGE % 8 & 1;
}

static void log_open(void)
{
	const struct vu_log log = { LOG_BYTES, 0 };

	log_file = memory_file(LOG_BYTES);
	bits = mmap(NULL, LOG_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, log_file, 0);
	assert_ptr_not_equal(MAP_FAILED, bits);
	assert_int_equal(0, dirty_new(&log, log_file, &dirty));
}

static int log_close(void **state)
{
	(void)state;
	dirty_free(dirty);
	dirty = NULL;
	if (log_file >= 0)
		munmap(bits, LOG_BYTES);
	fd_close(&log_file);
	return 0;
}

static void regions_note(void)
{
	static const uint64_t gpas[] = { GPA_A, GPA_B, GPA_C };

	for (size_t i = 0; i < 3; i++) {
		before[i] = before[i] ? before[i] : malloc(REGION);
		assert_non_null(before[i]);
		memcpy(before[i], at(gpas[i]), REGION);
	}
	memset(bits, 0, LOG_BYTES);
}

/* Every page: marked if and only if its bytes changed; those of rings may be written with what they
 * held. */
static void pages_compare(void)
{
	static const uint64_t gpas[] = { GPA_A, GPA_B, GPA_C };

	for (size_t i = 0; i < 3; i++) {
		for (uint64_t off = 0; off < REGION; off += PAGE) {
			bool changed = memcmp(before[i] + off, (char *)at(gpas[i]) + off, PAGE);

			if (gpas[i] + off < BUFFERS && !changed)
				continue;
			if (changed != marked(gpas[i] + off))
				print_error("page %llx\n", (unsigned long long)(gpas[i] + off));
			assert_int_equal(changed, marked(gpas[i] + off));
		}
	}
}

static const struct row {
	const char *name;
	uint64_t features;
	uint64_t gpa; /* of the first buffer */
	uint32_t step, len;
	unsigned int buffers;
	uint32_t frame;
	struct net_hdr hdr;
} rows[] = {
	{ "one buffer", MODERN | MRG, BUFFERS, 8192, 2048, 4, 100, { 0 } },
	{ "a frame over a page's end", MODERN | MRG, BUFFERS + 4000, 8192, 2048, 4, 100, { 0 } },
	{ "its header over a page's end", MODERN | MRG, BUFFERS + 4090, 8192, 2048, 4, 100, { 0 } },
	{ "a buffer over two regions", MODERN | MRG, GPA_B - 50, 8192, 2048, 4, 1000, { 0 } },
	{ "many buffers", MODERN | MRG, BUFFERS, 4096, 512, SIZE, 4000, { 0 } },
	{ "a frame that waits", MODERN | MRG, BUFFERS, 4096, 512, 2, 4000, { 0 } },
	{ "a frame that no buffer holds", MODERN, BUFFERS, 4096, 300, 4, 1000, { 0 } },
	{ "a frame that this guest cannot have",
	  MODERN | MRG,
	  BUFFERS,
	  8192,
	  2048,
	  4,
	  1500,
	  { .gso_type = NET_GSO_TCPV4, .gso_size = 500 } },
	{ "the same over all buffers",
	  MODERN | MRG,
	  BUFFERS,
	  4096,
	  512,
	  SIZE,
	  9000,
	  { .gso_type = NET_GSO_TCPV4, .gso_size = 500 } },
	{ "a runt", MODERN | MRG, BUFFERS, 8192, 2048, 4, 10, { 0 } },
};

static void ring_pack(unsigned int which)
{
	struct ring_config cfg = stage_config(which, SIZE, 0, 0);

	cfg.packed = true;
	cfg.base = PACKED_WRAP | PACKED_WRAP << 16;
	memset(cfg.desc, 0, SIZE * sizeof(struct virtq_packed_desc));
	memset(cfg.avail, 0, sizeof(struct virtq_packed_event));
	ring_init(&stage.pair.queues[which].ring, &cfg, stage.mem);
}

static void post_any(bool packed, unsigned int which, uint16_t i, uint64_t gpa, uint32_t len)
{
	struct virtq_packed_desc *d = (void *)stage.driver[which].desc;

	if (!packed) {
		post(which, i, gpa, len);
		return;
	}
	d[i] = (struct virtq_packed_desc){ gpa, len, i,
					   DESC_F_AVAIL | (which == PAIR_RX ? DESC_F_WRITE : 0) };
}

static void log_rings(void)
{
	for (unsigned int which = 0; which < 2; which++) {
		stage.pair.queues[which].dirty = dirty;
		stage.pair.queues[which].ring.log =
			(struct ring_log){ dirty, RING_AT(which), RING_AT(which) + USED_OFF };
	}
}

static void exact_while_receiving(void **state)
{
	(void)state;
	log_open();
	for (size_t n = 0; n < 2 * ARRAY_SIZE(rows); n++) {
		const struct row *row = &rows[n / 2];
		bool packed = n & 1;

		print_message("# %s\n", row->name);
		stage_open(SIZE, 0, row->features);
		if (packed)
			ring_pack(PAIR_RX);
		log_rings();
		memset(at(BUFFERS), POISON, GPA_B - BUFFERS);
		memset(at(GPA_B), POISON, REGION);
		for (uint16_t i = 0; i < row->buffers; i++)
			post_any(packed, PAIR_RX, i, row->gpa + (uint64_t)i * row->step, row->len);
		regions_note();
		wire_send(&row->hdr, row->frame, 1);
		for (int i = 0; i < 4; i++)
			net_rx_run(&stage.pair);
		pages_compare();
		stage_close();
	}
}

static void exact_while_transmitting(void **state)
{
	(void)state;
	log_open();
	for (int packed = 0; packed < 2; packed++) {
		stage_open(SIZE, 0, MODERN);
		if (packed)
			ring_pack(PAIR_TX);
		log_rings();
		memset(at(BUFFERS), 0, NET_HDR_LEN + 1000);
		for (uint16_t i = 0; i < 5; i++)
			post_any(packed, PAIR_TX, i, BUFFERS, NET_HDR_LEN + 1000);
		regions_note();
		assert_int_equal(0, net_tx_run(&stage.pair));
		pages_compare();
		assert_true(marked(RING_AT(PAIR_TX) + USED_OFF));
		assert_int_equal(packed, marked(RING_AT(PAIR_TX)));
		assert_false(marked(BUFFERS));
		stage_close();
	}
}

/* Ring writes are logged where the front-end says, which need not be where the ring lies. */
static void used_writes_land_at_their_log_address(void **state)
{
	(void)state;
	log_open();
	stage_open(SIZE, 0, MODERN);
	log_rings();
	stage.pair.queues[PAIR_TX].ring.log.used = GPA_C + REGION - 8192;
	post(PAIR_TX, 0, BUFFERS, NET_HDR_LEN + 100);
	memset(at(BUFFERS), 0, NET_HDR_LEN);
	net_tx_run(&stage.pair);
	assert_true(marked(GPA_C + REGION - 8192));
	assert_false(marked(RING_AT(PAIR_TX) + USED_OFF));
	stage_close();
}

#define TEST(f) cmocka_unit_test_teardown(f, log_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(exact_while_receiving),
		TEST(exact_while_transmitting),
		TEST(used_writes_land_at_their_log_address),
	};

	return cmocka_run_group_tests_name("dirty_exact", tests, NULL, NULL);
}
