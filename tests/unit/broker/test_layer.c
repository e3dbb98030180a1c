/* Names of layers: what --allow-degraded takes and the report gives. */
#include <errno.h>

#include "tests/unit/broker/fixture.h"

static void test_names(void **state)
{
	static const char *const all[] = { "user",     "mount",	  "pid",    "net",
					   "ipc",      "uts",	  "cgroup", "root",
					   "landlock", "rlimits", "seccomp" };

	(void)state;
	assert_int_equal(LAYERS, sizeof(all) / sizeof(all[0]));
	for (size_t i = 0; i < LAYERS; i++) {
		char bad[LAYER_NAME_MAX];
		unsigned mask = 0;

		assert_string_equal(layer_name((enum layer)i), all[i]);
		assert_int_equal(layer_parse(all[i], &mask, bad), 0);
		assert_int_equal(mask, LAYER_BIT(i));
	}
}

static void test_lists(void **state)
{
	static const struct {
		const char *list;
		int ret;
		unsigned mask;
		const char *bad;
	} rows[] = {
		{ "net,landlock", 0, LAYER_BIT(LAYER_NET) | LAYER_BIT(LAYER_LANDLOCK), "" },
		{ "net,net", 0, LAYER_BIT(LAYER_NET), "" },
		{ "", -EINVAL, 0, "" },
		{ "net,", -EINVAL, 0, "" },
		{ ",net", -EINVAL, 0, "" },
		{ "network", -EINVAL, 0, "network" },
		{ "ne", -EINVAL, 0, "ne" },
		{ "NET", -EINVAL, 0, "NET" },
		{ "net, ipc", -EINVAL, 0, " ipc" },
		{ "net;a-word-that-is-longer", -EINVAL, 0, "net;a-word-that" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char bad[LAYER_NAME_MAX] = "";
		unsigned mask = 0;

		assert_int_equal(layer_parse(rows[i].list, &mask, bad), rows[i].ret);
		assert_int_equal(mask, rows[i].mask);
		assert_string_equal(bad, rows[i].bad);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_lists),
	};

	return cmocka_run_group_tests_name("layer", tests, NULL, NULL);
}
