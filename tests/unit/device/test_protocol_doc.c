/*
 * docs/protocol.md and docs/lifecycle.md against the code: what they say is served and offered, and
 * nothing else, is; and the ring's table is the table.
 */
#include "tests/unit/device/served.h"

#include <stdio.h>

#include "device/lifecycle.c" /* for its table */
#include "device/requests.h"
#include "lib/vhost_user_table.h"

struct doc_row {
	unsigned long number;
	char name[40], verdict[16];
};

static FILE *doc;

/* Goes to the line that begins with these words. */
static void section(const char *path, const char *words)
{
	char line[1024];

	doc = fopen(path, "re");
	assert_non_null(doc);
	while (fgets(line, sizeof(line), doc))
		if (!strncmp(line, words, strlen(words)))
			return;
	fail_msg("%s: no %s", path, words);
}

/* The next row of the section's table whose first cell is one number. */
static bool row_next(struct doc_row *row)
{
	char line[1024];

	while (fgets(line, sizeof(line), doc) && strncmp(line, "## ", 3)) {
		int end = 0;

		if (sscanf(line, "| %lu | `%39[A-Z0-9_]` | %15[a-z] |%n", &row->number, row->name,
			   row->verdict, &end) == 3 &&
		    end)
			return true;
	}
	fclose(doc);
	return false;
}

static void messages(void **state)
{
	uint64_t seen = 0;
	struct doc_row row;

	(void)state;
	section("docs/protocol.md", "## Messages of the front-end");
	while (row_next(&row)) {
		bool is = !strcmp(row.verdict, "served");

		print_message("# %lu %s\n", row.number, row.name);
		assert_true(row.number > 0 && row.number < VU_REQUESTS);
		assert_true(is || !strcmp(row.verdict, "not"));
		assert_int_equal(is, request_find((uint32_t)row.number) != NULL);
		assert_int_equal(is, vu_row((uint32_t)row.number) != NULL);
		if (is)
			assert_string_equal(vu_name((uint32_t)row.number), row.name);
		seen |= BIT_ULL(row.number);
	}
	assert_int_equal((BIT_ULL(VU_REQUESTS) - 1) & ~1ull, seen);
}

/* The bits of a section that are offered; every one of `all` must have a row. */
static uint64_t offered(const char *words, uint64_t all)
{
	uint64_t bits = 0, seen = 0;
	struct doc_row row;

	section("docs/protocol.md", words);
	while (row_next(&row)) {
		assert_true(row.number < 64);
		assert_true(!strcmp(row.verdict, "offered") || !strcmp(row.verdict, "not"));
		if (!strcmp(row.verdict, "offered"))
			bits |= BIT_ULL(row.number);
		assert_false(seen & BIT_ULL(row.number));
		seen |= BIT_ULL(row.number);
	}
	assert_int_equal(0, all & ~seen);
	return bits;
}

static void protocol_features(void **state)
{
	(void)state;
	assert_int_equal(ask_u64(VU_GET_PROTOCOL_FEATURES),
			 offered("## Protocol features", BIT_ULL(VU_P_SHMEM + 1) - 1));
}

static void features(void **state)
{
	uint64_t bits = offered("## Features of the device", 0);

	(void)state;
	served.setup.steering = served.setup.iotlb = true;
	assert_int_equal(net_features(&served.setup), bits);
	served.setup.pairs = 1;
	assert_int_equal(net_features(&served.setup), bits & ~BIT_ULL(VIRTIO_NET_F_MQ));
	served.setup.pairs = PAIRS;
	served.setup.steering = served.setup.iotlb = false;
}

static void ring_table(void **state)
{
	static const char *const states[] = { "stopped", "waiting",  "starting",
					      "running", "stopping", "broken" };
	static const char *const actions[] = {
		[REFUSE] = "", [STORE] = "store",   [WAIT] = "wait", [UPDATE] = "update",
		[ASK] = "ask", [FORGET] = "forget", [TAKE] = "take", [IGNORE] = "ignore",
	};
	char line[1024];

	(void)state;
	section("docs/lifecycle.md", "| state |");
	assert_non_null(fgets(line, sizeof(line), doc)); /* the rule below it */
	for (int s = 0; s < RING_STATES; s++) {
		char *rest = line, *cell;

		assert_non_null(fgets(line, sizeof(line), doc));
		strsep(&rest, "|");
		for (int e = -1; e < RING_EVENTS; e++) {
			cell = strsep(&rest, "|");
			assert_non_null(cell);
			cell += strspn(cell, " *");
			cell[strcspn(cell, " *")] = '\0';
			assert_string_equal(e < 0 ? states[s] : actions[table[s][e]], cell);
		}
	}
	fclose(doc);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, served_open, served_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages),
		TEST(protocol_features),
		TEST(features),
		cmocka_unit_test(ring_table),
	};

	return cmocka_run_group_tests_name("protocol_doc", tests, NULL, NULL);
}
