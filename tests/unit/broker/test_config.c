/* config: every option taken and refused, what options must be together, and that a refusal is one
 * line that names the option. */
#include "broker/config.h"
#include "broker/guard.h"
#include "broker/layer.h"
#include "lib/util.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define WORDS 16

static struct config_program program = {
	.name = "airlock-broker", .usage = "Usage: line\n", .page = "page(8)", .supervises = true
};
static struct config config;
static char said[4096]; /* on stdout and stderr */

/* Runs the parser with what it prints caught. */
static enum config_outcome parse(const char *const *words)
{
	char *argv[WORDS + 2] = { (char *)"airlock-broker" };
	FILE *file = tmpfile();
	enum config_outcome outcome;
	int argc = 1, out, errors;
	size_t n;

	for (; words[argc - 1]; argc++) {
		assert_true(argc <= WORDS);
		argv[argc] = (char *)words[argc - 1];
	}
	fflush(stdout);
	out = dup(STDOUT_FILENO);
	errors = dup(STDERR_FILENO);
	dup2(fileno(file), STDOUT_FILENO);
	dup2(fileno(file), STDERR_FILENO);
	outcome = config_parse(&program, argc, argv, &config);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	dup2(errors, STDERR_FILENO);
	close(out);
	close(errors);
	rewind(file);
	n = fread(said, 1, sizeof(said) - 1, file);
	said[n] = '\0';
	fclose(file);
	return outcome;
}

#define PARSE(...) parse((const char *const[]){ __VA_ARGS__, NULL })
#define S	   "--socket-path=/run/s"

static void test_defaults(void **state)
{
	uint8_t first[6];

	(void)state;
	assert_int_equal(PARSE(S), CONFIG_GO_ON);
	assert_string_equal(config.socket_path, "/run/s");
	assert_int_equal(config.fd, -1);
	assert_int_equal(config.socket_mode, 0600);
	assert_true(config.socket_group == (gid_t)-1);
	assert_int_equal(config.tap.pairs, 1);
	assert_null(config.tap.name);
	assert_int_equal(config.tap.mtu, 0);
	assert_int_equal(config.queue_size, 1024);
	assert_int_equal(config.mac[0] & 3, 2); /* locally administered, unicast */
	assert_int_equal(config.allowed, 0);
	assert_int_equal(config.ready_fd, -1);
	assert_int_equal(config.log_level, LOG_INFO);
	assert_false(config.client || config.once || config.require_sealed || config.no_coalesce);
	memcpy(first, config.mac, 6);
	PARSE(S);
	assert_memory_not_equal(first, config.mac, 6);
}

static void test_all_values(void **state)
{
	(void)state;
	assert_int_equal(PARSE(S, "--tap", "tap7", "--mac=52:54:00:AB:cd:ef", "--mtu=9000",
			       "--queue-pairs=4", "--queue-size=32768", "--once"),
			 CONFIG_GO_ON);
	assert_string_equal(config.tap.name, "tap7");
	assert_memory_equal(config.mac, "\x52\x54\0\xab\xcd\xef", 6);
	assert_int_equal(config.tap.mtu, 9000);
	assert_int_equal(config.tap.pairs, 4);
	assert_int_equal(config.queue_size, 32768);
	assert_true(config.once);
	assert_int_equal(PARSE(S, "--socket-mode=0660", "--socket-group=root", "--user=nobody",
			       "--group=7", "--policy-dir=/p", "--control=/c"),
			 CONFIG_GO_ON);
	assert_int_equal(config.socket_mode, 0660);
	assert_int_equal(config.socket_group, 0);
	assert_string_equal(config.user, "nobody");
	assert_string_equal(config.group, "7");
	assert_string_equal(config.policy_dir, "/p");
	assert_string_equal(config.control, "/c");
	assert_int_equal(PARSE(S, "--address=192.0.2.1/24", "--address=2001:db8::1/64",
			       "--allow-degraded=net,landlock", "--sandbox-report=-",
			       "--log-level=debug", "--require-sealed", "--client",
			       "--coalesce=off", "--poll-us=50", "--affinity=0,0-0"),
			 CONFIG_GO_ON);
	assert_int_equal(config.tap.address_count, 2);
	assert_int_equal(config.allowed, LAYER_BIT(LAYER_NET) | LAYER_BIT(LAYER_LANDLOCK));
	assert_string_equal(config.sandbox_report, "-");
	assert_int_equal(config.log_level, LOG_DEBUG);
	assert_true(config.require_sealed && config.client && config.no_coalesce);
	assert_int_equal(50, config.poll_us);
	assert_string_equal("0,0-0", config.affinity);
	assert_int_equal(config.guard, 0);
	assert_int_equal(PARSE(S, "--guard=mac"), CONFIG_GO_ON);
	assert_int_equal(config.guard, GUARD_MAC);
	assert_int_equal(PARSE(S, "--guard=arp,mac"), CONFIG_GO_ON);
	assert_int_equal(config.guard, GUARD_MAC | GUARD_ARP);
}

/* Each is refused by a line that starts with the option. */
static void test_refused(void **state)
{
	static const char *const words[] = {
		"--socket-mode=0888",
		"--socket-mode=01777",
		"--socket-mode=-1",
		"--socket-mode=",
		"--socket-group=no-such-g",
		"--socket-group=",
		"--tap=",
		"--tap=sixteen-letters-",
		"--tap=a/b",
		"--tap=a b",
		"--tap=..",
		"--tap=t%d",
		"--tap-fd=-1",
		"--tap-fd=999",
		"--tap-fd=x",
		"--queue-pairs=0",
		"--queue-pairs=129",
		"--queue-pairs=+1",
		"--queue-pairs=1x",
		"--queue-size=0",
		"--queue-size=3",
		"--queue-size=65536",
		"--queue-size=1",
		"--address=192.0.2.1",
		"--address=0.0.0.0/0",
		"--mtu=67",
		"--mtu=65522",
		"--mtu=99999999999999999999",
		"--mac=52:54:00:12:34",
		"--mac=52:54:00:12:34:5g",
		"--mac=52-54-00-12-34-56",
		"--mac=53:54:00:12:34:56",
		"--mac=00:00:00:00:00:00",
		"--mac=52:54:00:12:34:567",
		"--mac=+2:54:00:12:34:56",
		"--user=",
		"--group=",
		"--policy-dir=",
		"--control=",
		"--sandbox-report=",
		"--allow-degraded=network",
		"--allow-degraded=net,,ipc",
		"--ready-fd=999",
		"--log-level=loud",
		"--vfio-user-socket=",
		"--guard=",
		"--guard=mac,",
		"--guard=ip",
		"--guard=macarp",
		"--coalesce=",
		"--coalesce=yes",
		"--poll-us=",
		"--poll-us=-1",
		"--poll-us=1000001",
		"--affinity=",
		"--affinity=0,",
		"--affinity=,0",
		"--affinity=1-0",
		"--affinity=0-",
		"--affinity=0 1",
		"--affinity=1023",
		"--affinity=4096",
		"--fd=998",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		const char *start = "airlock[error]: ";

		if (PARSE(S, words[i]) != CONFIG_WRONG)
			fail_msg("%s was taken", words[i]);
		if (strncmp(said, start, strlen(start)) ||
		    strncmp(said + strlen(start), words[i], strlen(words[i])))
			fail_msg("%s: %s", words[i], said);
		assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
	}
}

static void test_together(void **state)
{
	static const char *const lines[][4] = {
		{ "--fd=0", S },
		{ "--fd=0", "--client" },
		{ "--client" },
		{ S, "--client", "--socket-mode=0600" },
		{ S, "--client", "--socket-group=0" },
		{ "--fd=0", "--socket-mode=0600" },
		{ "--fd=0", "--socket-group=0" },
		{ S, "--tap=t", "--tap-fd=0" },
		{ S, "--tap-fd=0", "--tap-fd=0" },
		{ S, "--tap-fd=0", "--queue-pairs=2" },
		{ "--once" },
		{ S, "word" },
		{ S, "--vfio-user-socket=/v" },
		{ "--vfio-user-socket=/v", "--fd=0" },
		{ "--vfio-user-socket=/v", "--client" },
		{ "--vfio-user-socket=/v", "--queue-pairs=128" },
		{ S, "--once=yes" },
		{ S, "--no-such-option" },
		{ S, "--tap" },
		{ S, "-x" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		const char *words[5] = { lines[i][0], lines[i][1], lines[i][2], lines[i][3] };

		if (parse(words) != CONFIG_WRONG)
			fail_msg("%s %s was taken", lines[i][0], lines[i][1]);
		assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
	}
}

/* The remedy is in the words: an option that there is, with a value that it does not take. */
static void test_words(void **state)
{
	static const struct {
		const char *option, *says;
	} rows[] = {
		{ "--once=1", "--once=1: takes no value" },
		{ "--client=1", "--client=1: takes no value" },
		{ "--print-capabilities=1", "--print-capabilities=1: takes no value" },
		{ "--no-such=1", "--no-such=1: is no option of this program" },
		{ "--s=1", "--s=1: is no option of this program" }, /* of several */
		{ "-x", "-x: is no option of this program" },
		{ "--mtu", "--mtu: needs a value" },
		{ "--control=/run/s", "--control=/run/s: is the path of --socket-path too" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(PARSE(S, rows[i].option), CONFIG_WRONG);
		if (!strstr(said, rows[i].says))
			fail_msg("%s: said %s", rows[i].option, said);
	}
}

static void test_vfio_user(void **state)
{
	(void)state;
	assert_int_equal(
		PARSE("--vfio-user-socket=/v", "--queue-pairs=127", "--socket-mode=0660", "--once"),
		CONFIG_GO_ON);
	assert_true(config.vfio_user);
	assert_string_equal(config.socket_path, "/v");
	assert_int_equal(PARSE(S), CONFIG_GO_ON);
	assert_false(config.vfio_user);
}

static void test_inherited_taps(void **state)
{
	(void)state;
	assert_int_equal(PARSE(S, "--tap-fd=0", "--tap-fd=1"), CONFIG_GO_ON);
	assert_int_equal(config.tap.fd_count, 2);
	assert_int_equal(config.tap.pairs, 2);
}

/* A program without a supervisor: what needs one is refused, and not offered. */
static void test_alone(void **state)
{
	static const char *const words[] = { "--control=/run/c",	  "--sandbox-report=-",
					     "--allow-degraded=net",	  "--print-capabilities",
					     "--vfio-user-socket=/run/v", "--contr=/run/c" };

	(void)state;
	program.supervises = false;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		assert_int_equal(PARSE(S, words[i]), CONFIG_WRONG);
		assert_non_null(strstr(said, "needs a supervisor, and airlock-broker leaves none"));
	}
	assert_int_equal(PARSE(S, "--once", "--tap=t", "--client"), CONFIG_GO_ON);
	assert_int_equal(PARSE("--help"), CONFIG_ANSWERED);
	assert_null(strstr(said, "--control"));
	assert_non_null(strstr(said, "--socket-path"));
	assert_non_null(strstr(said, "See page(8)."));
	assert_int_equal(PARSE("--version"), CONFIG_ANSWERED);
	assert_non_null(strstr(said, "airlock-broker "));
	program.supervises = true;
}

static void test_too_many_addresses(void **state)
{
	char *argv[TAP_ADDRESSES_MAX + 3] = { (char *)"airlock-broker", (char *)S };
	int argc = 2;

	(void)state;
	while (argc < TAP_ADDRESSES_MAX + 3)
		argv[argc++] = (char *)"--address=192.0.2.1/24";
	assert_int_equal(config_parse(&program, argc, argv, &config), CONFIG_WRONG);
	assert_int_equal(config_parse(&program, argc - 1, argv, &config), CONFIG_GO_ON);
}

static void test_activation(void **state)
{
	char pid[16];

	(void)state;
	snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "1", 1);
	assert_int_equal(PARSE("--once"), CONFIG_GO_ON);
	assert_int_equal(config.fd, 3);
	assert_null(getenv("LISTEN_FDS")); /* not for our children */
	assert_int_equal(PARSE("--once"), CONFIG_WRONG);
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "2", 1);
	assert_int_equal(PARSE("--once"), CONFIG_WRONG);
	setenv("LISTEN_PID", "1", 1); /* somebody else's */
	setenv("LISTEN_FDS", "1", 1);
	assert_int_equal(PARSE("--once"), CONFIG_WRONG);
}

static void test_answers(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--no-such-option", "--print-capabilities"), CONFIG_ANSWERED);
	assert_string_equal(said, "{\"type\": \"net\", \"features\": [\"client\", \"tap\", "
				  "\"tap-fd\", \"queue-pairs\", \"mtu\", \"mac\"]}\n");
	assert_int_equal(PARSE("--version"), CONFIG_ANSWERED);
	assert_non_null(strstr(said, "airlock-broker "));
	assert_int_equal(PARSE("--help"), CONFIG_ANSWERED);
	assert_non_null(strstr(said, "--allow-degraded=NAME,..."));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_all_values),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_together),
		cmocka_unit_test(test_vfio_user),
		cmocka_unit_test(test_inherited_taps),
		cmocka_unit_test(test_activation),
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_too_many_addresses),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_words),
	};

	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
