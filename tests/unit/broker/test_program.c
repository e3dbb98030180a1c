/* program: the command line that every device gets. That the program is found is shown by every
 * test that starts a broker; here there is none beside the test. */
#include "broker/layer.h"
#include "broker/program.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct program program;

static void assert_words(const char *const *words)
{
	size_t n = 0;

	for (; words[n]; n++)
		assert_string_equal(program.argv[n], words[n]);
	assert_null(program.argv[n]);
}

static void test_arguments(void **state)
{
	struct config config = { .tap = { .pairs = 128 },
				 .queue_size = 32768,
				 .mac = { 0xfe, 0xff, 0, 0x10, 0xa, 0xff } };

	(void)state;
	program_arguments(&program, &config, 65521);
	assert_words((const char *const[]){ "airlock-device", "--queue-pairs=128",
					    "--queue-size=32768", "--mtu=65521",
					    "--mac=fe:ff:00:10:0a:ff", NULL });
	config.require_sealed = config.no_coalesce = true;
	config.poll_us = 1000000;
	config.affinity = "0-3,8";
	/* What may be missing is not missing: the nursery says what is. */
	config.allowed =
		LAYER_BIT(LAYER_LANDLOCK) | LAYER_BIT(LAYER_SECCOMP) | LAYER_BIT(LAYER_NET);
	program_arguments(&program, &config, 1500); /* anew, and with all there can be */
	assert_words((const char *const[]){
		"airlock-device", "--queue-pairs=128", "--queue-size=32768", "--mtu=1500",
		"--mac=fe:ff:00:10:0a:ff", "--require-sealed", "--coalesce=off",
		"--poll-us=1000000", "--affinity=0-3,8", NULL });
}

static void test_arguments_of_a_transport(void **state)
{
	const struct config config = { .tap = { .pairs = 127 }, .queue_size = 256 };

	(void)state;
	program_transport(&program, &config);
	assert_words((const char *const[]){ "airlock-vfio-user", "--queue-pairs=127",
					    "--queue-size=256", NULL });
}

static void test_missing(void **state)
{
	(void)state;
	assert_int_equal(program_open(&program, "airlock-device"), -ENOENT);
	assert_int_equal(program.fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_arguments_of_a_transport),
		cmocka_unit_test(test_missing),
	};

	return cmocka_run_group_tests_name("program", tests, NULL, NULL);
}
