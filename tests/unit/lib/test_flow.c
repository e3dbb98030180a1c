/*
 * What of a frame is hashed, and the published test vectors of the hash.
 */
#include "tests/unit/lib/flows.h"

static void published_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		memset(&frame, 0, sizeof(frame));
		put_address(vectors[i].src);
		put_address(vectors[i].dst);
		assert_int_equal(vectors[i].addresses, toeplitz(flows_key, frame.bytes));
		put_ports(&vectors[i]);
		assert_int_equal(vectors[i].ports, toeplitz(flows_key, frame.bytes));
	}
}

static void types_and_shapes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(flows_rows); i++) {
		const struct flows_row *row = &flows_rows[i];

		for (size_t j = 0; j < ARRAY_SIZE(vectors); j++) {
			const struct vector *v = &vectors[j];
			uint32_t expected = is6(v) ? row->hashed6 : row->hashed4, type, hash;

			flows_build(v, &row->shape);
			hash = flows_hash(flows_key, row->types, &type);
			assert_int_equal(expected, type);
			if (expected)
				assert_int_equal(expected & FLOWS_PORTS ? v->ports : v->addresses,
						 hash);
		}
	}
}

/* The addresses that count stand in extension headers, where the guest asks for those. */
static void addresses_of_extension_headers(void **state)
{
	const struct vector *v = &vectors[VECTOR6];
	const struct vector away = { "2001:db8::1", "2001:db8::2", v->dport, v->sport, 0, 0 };
	uint32_t type, plain;

	(void)state;
	flows_build(&away, &(struct shape){ .transport = 6, .home = v->src, .final = v->dst });
	assert_int_equal(v->ports, flows_hash(flows_key, STEERING_TCP_EX, &type));
	assert_int_equal(STEERING_TCP_EX, type);
	assert_int_equal(v->addresses, flows_hash(flows_key, STEERING_IP_EX, &type));
	assert_int_equal(STEERING_IP_EX, type);
	plain = flows_hash(flows_key, STEERING_TCPV6, &type);
	assert_int_equal(STEERING_TCPV6, type);
	flows_build(&away, &(struct shape){ .transport = 6 });
	assert_int_equal(plain, flows_hash(flows_key, STEERING_TCPV6, &type));
}

/* A frame that ends before its ports has no hash with ports, and none at all before its addresses.
 */
static void cut_short(void **state)
{
	uint32_t type;

	(void)state;
	for (size_t j = 0; j < ARRAY_SIZE(vectors); j++) {
		size_t whole;

		flows_build(&vectors[j], &(struct shape){ .transport = 6 });
		whole = frame.len - 40;
		for (frame.len = 0; frame.len < whole; frame.len++) {
			flows_hash(flows_key, STEERING_TYPES, &type);
			assert_int_equal(0, type);
		}
		flows_hash(flows_key, STEERING_TYPES, &type);
		assert_int_equal(is6(&vectors[j]) ? STEERING_TCPV6 : STEERING_TCPV4, type);
	}
}

/* Nobody looks behind the first FLOW_HEAD bytes. */
static void far_away(void **state)
{
	uint32_t type;

	(void)state;
	flows_build(&vectors[VECTOR6], &(struct shape){ .transport = 6, .hops = 1 });
	for (unsigned int units = 0; units < 32; units++) {
		size_t ports = FLOW_ETH_LEN + 40 + 8 * (units + 1ul);

		frame.bytes[FLOW_ETH_LEN + 40 + 1] = (uint8_t)units;
		frame.len = sizeof(frame.bytes);
		flows_hash(flows_key, STEERING_TYPES, &type);
		assert_int_equal(ports + 4 <= FLOW_HEAD ? STEERING_TCP_EX : 0, type);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_vectors),
		cmocka_unit_test(types_and_shapes),
		cmocka_unit_test(addresses_of_extension_headers),
		cmocka_unit_test(cut_short),
		cmocka_unit_test(far_away),
	};

	return cmocka_run_group_tests_name("flow", tests, NULL, NULL);
}
