/* death: wait statuses in words. That a denied call is named is shown with a real one in
 * tests/unit/seccomp/test_denial.c; here there is no tracepoint. */
#include "broker/death.h"
#include "lib/util.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/wait.h>
#include <cmocka.h>

static void test_words(void **state)
{
	static const struct {
		int status;
		bool orderly;
		const char *words;
	} rows[] = {
		{ W_EXITCODE(0, 0), true, "exited" },
		{ W_EXITCODE(1, 0), false, "exited with 1" },
		{ W_EXITCODE(253, 0), false, "exited with 253" },
		{ SIGKILL, false, "killed by SIGKILL" },
		{ SIGSEGV | WCOREFLAG, false, "killed by SIGSEGV" },
		{ SIGSYS, false, "killed by SIGSYS: an unnamed call is not allowed" },
		{ 64, false, "killed by SIG?" }, /* a real-time signal */
		{ 0xffff, false, "ended with status 0xffff" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char words[DEATH_WORDS];

		death_describe(rows[i].status, 1, NULL, words);
		assert_string_equal(words, rows[i].words);
		assert_int_equal(death_orderly(rows[i].status), rows[i].orderly);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_words) };

	return cmocka_run_group_tests_name("death", tests, NULL, NULL);
}
