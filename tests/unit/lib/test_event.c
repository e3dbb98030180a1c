/* The words behind a device's numbers: whatever it sends, the line is ours and ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "lib/event.h"

static void words(void **state)
{
	char line[200];

	(void)state;
	assert_int_equal(LOG_WARN, event_describe(EVENT_MESSAGE_SLOW, 5000, 0, line, sizeof(line)));
	assert_string_equal("front-end: message not complete after 5000 ms; connection closed",
			    line);
	assert_int_equal(LOG_DEBUG,
			 event_describe(EVENT_RING_STARTED, 1, 65535, line, sizeof(line)));
	assert_string_equal("ring 1 started at index 65535", line);
	event_describe(EVENT_PACKED_STOPPED, 1, 0x80728072, line, sizeof(line));
	assert_string_equal("packed ring 1 stopped at 0x80728072", line);
	event_describe(EVENT_EVENTS_LOST, 1, 0, line, sizeof(line));
	assert_string_equal("device: events that were not logged: 1", line);
}

/* Every code with the widest values, into buffers of every size: terminated, and cut at most. */
static void every_code_in_every_size(void **state)
{
	char whole[300], line[300];

	(void)state;
	for (uint32_t code = 0; code < EVENT_COUNT + 3; code++) {
		event_describe(code, INT64_MIN, INT64_MAX, whole, sizeof(whole));
		assert_in_range(strlen(whole), 5, 250);
		for (size_t size = 1; size < sizeof(line); size++) {
			memset(line, 'x', sizeof(line));
			event_describe(code, INT64_MIN, INT64_MAX, line, size);
			assert_true(strlen(line) < size);
			assert_memory_equal(whole, line, strlen(line));
		}
	}
}

static void unknown_codes(void **state)
{
	static const uint32_t codes[] = { EVENT_COUNT, 0x80000000, UINT32_MAX };
	char line[100];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(LOG_ERROR, event_describe(codes[i], 1, 2, line, sizeof(line)));
		assert_ptr_equal(line, strstr(line, "device: unknown event "));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words),
		cmocka_unit_test(every_code_in_every_size),
		cmocka_unit_test(unknown_codes),
	};

	return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
