/* One line an event, whole, and nothing that comes from elsewhere forges another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/log.h"

static char text[8192];

/* What `say` writes to stderr, in a process of its own; its exit status. */
static int heard(void (*say)(void))
{
	int pipes[2], status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(0, pipe2(pipes, O_CLOEXEC));
	pid = fork();
	if (!pid) {
		dup2(pipes[1], STDERR_FILENO);
		say();
		_exit(0);
	}
	close(pipes[1]);
	while ((n = read(pipes[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(pipes[0]);
	assert_int_equal(pid, waitpid(pid, &status, 0));
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void say_levels(void)
{
	log_init("tag", LOG_INFO);
	err("one %d", 1);
	warn("two");
	info("three");
	debug("four");
}

static void levels(void **state)
{
	(void)state;
	assert_int_equal(0, heard(say_levels));
	assert_string_equal("tag[error]: one 1\ntag[warn]: two\ntag[info]: three\n", text);
}

static void say_forgery(void)
{
	log_init("tag", LOG_INFO);
	info("%s", "a\nb\r\tc\x1b[31md\x7f");
}

static void control_characters(void **state)
{
	(void)state;
	heard(say_forgery);
	assert_string_equal("tag[info]: a?b??c?[31md?\n", text);
}

static void say_much(void)
{
	char *much = malloc(5001);

	memset(much, 'x', 5000);
	much[5000] = '\0';
	log_init("tag", LOG_INFO);
	info("%s", much);
	info("next");
	free(much);
}

static void long_lines_are_cut(void **state)
{
	char *end;

	(void)state;
	heard(say_much);
	end = strchr(text, '\n');
	assert_non_null(end);
	assert_in_range(end - text, 900, 1023);
	assert_string_equal("\ntag[info]: next\n", end);
}

static void say_the_end(void)
{
	log_init("tag", LOG_ERROR);
	die(2, "--%s: no", "option");
}

static void dying(void **state)
{
	(void)state;
	assert_int_equal(2, heard(say_the_end));
	assert_string_equal("tag[error]: --option: no\n", text);
}

static void words_for_levels(void **state)
{
	(void)state;
	assert_int_equal(LOG_ERROR, log_level_parse("error"));
	assert_int_equal(LOG_WARN, log_level_parse("warn"));
	assert_int_equal(LOG_INFO, log_level_parse("info"));
	assert_int_equal(LOG_DEBUG, log_level_parse("debug"));
	assert_int_equal(-EINVAL, log_level_parse(""));
	assert_int_equal(-EINVAL, log_level_parse("warning"));
	assert_int_equal(-EINVAL, log_level_parse("INFO"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(levels),
		cmocka_unit_test(control_characters),
		cmocka_unit_test(long_lines_are_cut),
		cmocka_unit_test(dying),
		cmocka_unit_test(words_for_levels),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
