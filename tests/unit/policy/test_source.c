/* source: what is read, what is refused, and how a line is shown. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "policy/source.h"

static char *complain(const char *text, struct policy_place place, size_t length)
{
	struct policy_source source = { .text = (char *)text, .size = strlen(text) };
	char *shown = NULL;
	size_t size;
	FILE *to = open_memstream(&shown, &size);

	assert_non_null(to);
	source_complain(&source, to, place, length, "", "bad");
	source_complain(&source, NULL, place, length, "", "bad");
	fclose(to);
	return shown;
}

static const struct {
	const char *text;
	uint32_t line, column;
	size_t length;
	const char *shown;
} rows[] = {
	{ "abc", 1, 2, 1, "f:1:2: bad\n    abc\n     ^\n" },
	{ "abc\ndef\n", 2, 1, 3, "f:2:1: bad\n    def\n    ^~~\n" },
	{ "a\tb", 1, 3, 1, "f:1:3: bad\n    a\tb\n     \t^\n" },
	{ "abc", 1, 4, 0, "f:1:4: bad\n    abc\n       ^\n" },
	{ "abc", 1, 9, 5, "f:1:9: bad\n    abc\n       ^\n" },
	{ "abc", 7, 1, 1, "f:7:1: bad\n    \n    ^\n" },
	{ "", 1, 1, 1, "f:1:1: bad\n    \n    ^\n" },
	{ "\033[2J\x80", 1, 1, 1, "f:1:1: bad\n    ?[2J?\n    ^\n" },
};

static void test_shown(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *shown = complain(rows[i].text,
				       (struct policy_place){ "f", rows[i].line, rows[i].column },
				       rows[i].length);

		assert_string_equal(shown, rows[i].shown);
		free(shown);
	}
}

/* Of a line without end, the part around the place. */
static void test_long_line(void **state)
{
	char *text = malloc(100001), *shown, *line, *caret;

	(void)state;
	assert_non_null(text);
	memset(text, 'x', 100000);
	text[100000] = '\0';
	text[50000] = 'y';
	shown = complain(text, (struct policy_place){ "f", 1, 50001 }, 9);
	assert_true(strlen(shown) < 400);
	assert_non_null(strchr(shown, 'y'));
	line = strstr(shown, "\n    ") + 1;
	caret = strstr(line, "\n    ") + 1;
	assert_int_equal(strchr(line, 'y') - line, strchr(caret, '^') - caret);
	free(shown);
	free(text);
}

static void test_read(void **state)
{
	char path[] = "/tmp/airlock-source-XXXXXX";
	struct policy_source source = { .text = NULL };
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(source_read(&source, path), 0);
	assert_int_equal(source.size, 0);
	source_close(&source);
	assert_int_equal(write(fd, "abc", 3), 3);
	assert_int_equal(source_read(&source, path), 0);
	assert_int_equal(source.size, 3);
	assert_memory_equal(source.text, "abc", 3);
	source_close(&source);
	assert_int_equal(ftruncate(fd, SOURCE_LIMIT), 0);
	assert_int_equal(source_read(&source, path), 0);
	source_close(&source);
	assert_int_equal(ftruncate(fd, SOURCE_LIMIT + 1), 0);
	assert_int_equal(source_read(&source, path), -EFBIG);
	close(fd);
	unlink(path);
	assert_int_equal(source_read(&source, path), -ENOENT);
	/* Nothing that would never end, or never begin. */
	assert_int_equal(source_read(&source, "/dev/zero"), -EINVAL);
	assert_int_equal(source_read(&source, "/tmp"), -EISDIR);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(source_read(&source, path), -EINVAL);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_shown),
					    cmocka_unit_test(test_long_line),
					    cmocka_unit_test(test_read) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
