/*
 * The table of requests: every row against every length and number of descriptors, and the head's
 * flags. The lengths are written down a second time, from the document.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "lib/util.h"
#include "lib/vhost_user_table.h"

#define ALL UINT64_MAX

/* Fixed lengths of payload; tables and configuration have ranges. */
static const struct {
	uint32_t request;
	uint32_t min, max;
	bool payload; /* a reply of its own */
	int feature;
} rows[] = {
	{ VU_GET_FEATURES, 0, 0, true, -1 },
	{ VU_SET_FEATURES, 8, 8, false, -1 },
	{ VU_SET_OWNER, 0, 0, false, -1 },
	{ VU_RESET_OWNER, 0, 0, false, -1 },
	{ VU_SET_MEM_TABLE, 8, 264, false, -1 },
	{ VU_SET_VRING_NUM, 8, 8, false, -1 },
	{ VU_SET_VRING_ADDR, 40, 40, false, -1 },
	{ VU_SET_VRING_BASE, 8, 8, false, -1 },
	{ VU_GET_VRING_BASE, 8, 8, true, -1 },
	{ VU_SET_VRING_KICK, 8, 8, false, -1 },
	{ VU_SET_VRING_CALL, 8, 8, false, -1 },
	{ VU_SET_VRING_ERR, 8, 8, false, -1 },
	{ VU_GET_PROTOCOL_FEATURES, 0, 0, true, -1 },
	{ VU_SET_PROTOCOL_FEATURES, 8, 8, false, -1 },
	{ VU_GET_QUEUE_NUM, 0, 0, true, VU_P_MQ },
	{ VU_SET_VRING_ENABLE, 8, 8, false, -1 },
	{ VU_IOTLB_MSG, 32, 32, true, -1 },
	{ VU_GET_CONFIG, 12, 268, true, VU_P_CONFIG },
	{ VU_SET_CONFIG, 12, 268, false, VU_P_CONFIG },
	{ VU_GET_MAX_MEM_SLOTS, 0, 0, true, VU_P_MEM_SLOTS },
	{ VU_ADD_MEM_REG, 40, 40, false, VU_P_MEM_SLOTS },
	{ VU_REM_MEM_REG, 40, 40, false, VU_P_MEM_SLOTS },
};

static int check(uint32_t request, uint32_t flags, uint32_t size, size_t nfds, uint64_t negotiated)
{
	const struct vu_header head = { request, flags, size };

	return vu_check(&head, nfds, negotiated);
}

static void rows_are_the_documents(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct vu_row *row = vu_row(rows[i].request);

		print_message("# %s\n", vu_name(rows[i].request));
		assert_non_null(row);
		assert_int_equal(rows[i].min, row->min_len);
		assert_int_equal(rows[i].max, row->max_len);
		assert_int_equal(rows[i].payload, row->reply == VU_REPLY_PAYLOAD);
		assert_int_equal(rows[i].feature, row->feature);
	}
}

static void every_length_and_number(void **state)
{
	(void)state;
	for (uint32_t request = 0; request < VU_REQUESTS; request++) {
		const struct vu_row *row = vu_row(request);

		if (!row)
			continue;
		assert_true(row->min_len <= row->max_len && row->max_len <= VU_PAYLOAD_MAX);
		assert_true(row->min_fds <= row->max_fds && row->max_fds <= VU_MEM_REGIONS_MAX);
		for (uint32_t len = 0; len <= VU_PAYLOAD_MAX + 1; len++) {
			for (size_t fds = 0; fds < 12; fds++) {
				bool fits = len >= row->min_len && len <= row->max_len &&
					    fds >= row->min_fds && fds <= row->max_fds;

				if (check(request, VU_VERSION, len, fds, ALL) !=
				    (fits ? 0 : -EPROTO))
					fail();
			}
		}
		assert_int_equal(-EPROTO,
				 check(request, VU_VERSION, UINT32_MAX, row->min_fds, ALL));
		assert_int_equal(-EPROTO, check(request, VU_VERSION, row->min_len, SIZE_MAX, ALL));
	}
}

static void features_are_needed(void **state)
{
	(void)state;
	for (uint32_t request = 0; request < VU_REQUESTS; request++) {
		const struct vu_row *row = vu_row(request);
		bool needs = row && row->feature != VU_NO_FEATURE;

		if (!row)
			continue;
		assert_int_equal(needs ? -EOPNOTSUPP : 0,
				 check(request, VU_VERSION, row->min_len, row->min_fds, 0));
		if (!needs)
			continue;
		assert_int_equal(0, check(request, VU_VERSION, row->min_len, row->min_fds,
					  1ull << row->feature));
		assert_int_equal(-EOPNOTSUPP, check(request, VU_VERSION, row->min_len, row->min_fds,
						    ~(1ull << row->feature)));
	}
}

static void flags_of_the_head(void **state)
{
	(void)state;
	assert_int_equal(0, check(VU_SET_OWNER, VU_VERSION, 0, 0, 0));
	assert_int_equal(0, check(VU_SET_OWNER, VU_VERSION | VU_FLAG_NEED_REPLY, 0, 0, 0));
	for (uint32_t flags = 0; flags < 64; flags++)
		if (flags != 1 && flags != 9)
			assert_int_equal(-EPROTO, check(VU_SET_OWNER, flags, 0, 0, ALL));
	for (int bit = 4; bit < 32; bit++)
		assert_int_equal(-EPROTO, check(VU_SET_OWNER, VU_VERSION | 1u << bit, 0, 0, ALL));
}

static void what_is_no_request(void **state)
{
	static const uint32_t requests[] = { 0,
					     VU_SET_VRING_ENDIAN,
					     VU_CREATE_CRYPTO_SESSION,
					     VU_POSTCOPY_LISTEN,
					     VU_GET_INFLIGHT_FD,
					     VU_GPU_SET_SOCKET,
					     VU_GET_SHARED_OBJECT,
					     VU_REQUESTS,
					     0x100,
					     0x80000001,
					     UINT32_MAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		assert_null(vu_row(requests[i]));
		assert_string_equal("unknown", vu_name(requests[i]));
		assert_int_equal(-EOPNOTSUPP, check(requests[i], VU_VERSION, 8, 3, ALL));
		assert_int_equal(-EPROTO, check(requests[i], 0, 8, 0, ALL));
		assert_int_equal(-EPROTO,
				 check(requests[i], VU_VERSION, VU_PAYLOAD_MAX + 1, 0, ALL));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_the_documents), cmocka_unit_test(every_length_and_number),
		cmocka_unit_test(features_are_needed),	  cmocka_unit_test(flags_of_the_head),
		cmocka_unit_test(what_is_no_request),
	};

	return cmocka_run_group_tests_name("vhost_user_table", tests, NULL, NULL);
}
