/* address: what an interface can own is taken, in both families; everything else is refused. */
#include "broker/address.h"
#include "lib/util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

static void test_taken(void **state)
{
	static const struct {
		const char *text;
		int family;
		uint8_t prefix, bytes[16];
	} rows[] = {
		{ "192.0.2.1/24", AF_INET, 24, { 192, 0, 2, 1 } },
		{ "10.0.0.0/31", AF_INET, 31, { 10, 0, 0, 0 } }, /* RFC 3021 */
		{ "10.0.0.0/32", AF_INET, 32, { 10, 0, 0, 0 } },
		{ "223.255.255.254/1", AF_INET, 1, { 223, 255, 255, 254 } },
		{ "2001:db8::1/64", AF_INET6, 64, { 0x20, 1, 0xd, 0xb8, [15] = 1 } },
		{ "fe80::1/10", AF_INET6, 10, { 0xfe, 0x80, [15] = 1 } },
		{ "fd00::/128", AF_INET6, 128, { 0xfd } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct address address;

		if (address_parse(rows[i].text, &address))
			fail_msg("%s", rows[i].text);
		assert_int_equal(address.family, rows[i].family);
		assert_int_equal(address.prefix, rows[i].prefix);
		assert_memory_equal(address.bytes, rows[i].bytes, address_size(&address));
	}
}

static void test_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"/",
		"192.0.2.1",
		"192.0.2.1/",
		"192.0.2.1/0",
		"192.0.2.1/33",
		"192.0.2.1/24 ",
		"192.0.2.1/ 24",
		"192.0.2.1/+24",
		"192.0.2.1/24/24",
		"192.0.2.1/4294967320",
		" 192.0.2.1/24",
		"192.0.2/24",
		"192.0.2.256/24",
		"0.0.0.0/8",
		"0.1.2.3/8",
		"127.0.0.1/8",
		"224.0.0.1/24",
		"255.255.255.255/32",
		"192.0.2.0/24",
		"::/64",
		"::1/128",
		"ff02::1/64",
		"::ffff:192.0.2.1/96",
		"2001:db8::1/129",
		"2001:db8::1/0",
		"2001:db8::g/64",
		"example.org/24",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd/64",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct address address = { .prefix = 99 };

		if (address_parse(texts[i], &address) != -EINVAL)
			fail_msg("%s", texts[i]);
		assert_int_equal(address.prefix, 99); /* nothing was written */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
