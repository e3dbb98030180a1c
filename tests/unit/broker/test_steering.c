/*
 * Where the kernel would send a frame: the eBPF program itself, run by the kernel (skipped without
 * privilege) on frames whose hash is published, and beside the same classifier in this process.
 */
#include "broker/steering.h"
#include "lib/steering.h"
#include "lib/util.h"
#include "tests/unit/lib/flows.h"

#include <bpf/bpf.h>
#include <stdlib.h>
#include <unistd.h>

static struct steering steering = STEERING_NONE;

static int open_program(void **state)
{
	(void)state;
	if (geteuid() || steering_open(&steering))
		return 0;
	for (unsigned i = 0; i < STEERING_PAIRS; i++)
		steering_slot(&steering, i, (int)i);
	return 0;
}

static int close_program(void **state)
{
	(void)state;
	steering_close(&steering);
	return 0;
}

static void configure(uint32_t types)
{
	struct steering_config *c;

	if (!steering.page)
		skip();
	c = &steering.page->config[steering.page->active ^ 1];
	*c = (struct steering_config){ .types = types, .mask = 127, .unclassified = 77 };
	memcpy(c->key, flows_key, sizeof(flows_key));
	for (uint16_t i = 0; i < STEERING_TABLE; i++)
		c->table[i] = i;
	steering.page->active ^= 1;
}

static uint32_t chosen(void)
{
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame.bytes,
		    .data_size_in = (uint32_t)frame.len);

	assert_int_equal(0, bpf_prog_test_run_opts(steering.program, &run));
	return run.retval;
}

static void types_and_shapes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(flows_rows); i++) {
		const struct flows_row *row = &flows_rows[i];

		configure(row->types);
		for (size_t j = 0; j < ARRAY_SIZE(vectors); j++) {
			const struct vector *v = &vectors[j];
			uint32_t hashed = is6(v) ? row->hashed6 : row->hashed4;
			uint32_t hash = hashed & FLOWS_PORTS ? v->ports : v->addresses;

			flows_build(v, &row->shape);
			assert_int_equal(hashed ? hash & 127 : 77, chosen());
		}
	}
}

/* The kernel and this process agree on any frame; so then does the device, which reports hashes. */
static void as_the_device_reports(void **state)
{
	(void)state;
	srand(1);
	for (unsigned int i = 0; i < 4000; i++) {
		const struct shape shape = { .transport = rand() & 1 ? 6 : 17,
					     .tags = (unsigned)rand() % 3,
					     .fragment = !(rand() % 8),
					     .hops = (unsigned)rand() % 4,
					     .home = rand() & 1 ? vectors[VECTOR6].src : NULL,
					     .final = rand() & 1 ? vectors[VECTOR6].dst : NULL };
		uint32_t types = (uint32_t)rand() & STEERING_TYPES, type, hash;

		configure(types);
		flows_build(&vectors[(unsigned)rand() % ARRAY_SIZE(vectors)], &shape);
		for (unsigned int n = (unsigned)rand() % 4; n; n--)
			frame.bytes[12 + (unsigned)rand() % (frame.len - 12)] ^= (uint8_t)rand();
		frame.len = 64 + (unsigned)rand() % (frame.len - 63);
		hash = flows_hash(flows_key, types, &type);
		assert_int_equal(type ? hash & 127 : 77, chosen());
	}
}

/* Whatever a device writes, and whatever the frame, the answer is a number. */
static void anything(void **state)
{
	/* The kernel runs it on no shorter ones. */
	static const size_t lengths[] = { 64, 70, 77, 78, 102, 126, 200 };

	(void)state;
	configure(STEERING_TYPES);
	memset(steering.page->config, 0xff, sizeof(steering.page->config));
	steering.page->active = 0xffffffff;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		flows_build(&vectors[i % 2 ? VECTOR6 : 0],
			    &(struct shape){ .transport = 6,
					     .home = vectors[VECTOR6].src,
					     .final = vectors[VECTOR6].dst });
		frame.len = lengths[i];
		assert_in_range(chosen(), 0, STEERING_PAIRS - 1);
	}
	steering_slot(&steering, STEERING_PAIRS - 1, -1);
	assert_int_equal(0, chosen());
	steering_wipe(&steering);
	assert_int_equal(0, steering.page->active);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types_and_shapes),
		cmocka_unit_test(as_the_device_reports),
		cmocka_unit_test(anything),
	};

	return cmocka_run_group_tests_name("steering", tests, open_program, close_program);
}
