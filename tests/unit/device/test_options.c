/*
 * The command line of airlock-device, in processes of their own: what is taken, and that every
 * mistake ends with 2 and one line that names the option.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <getopt.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device/options.h"
#include "lib/tun.h"
#include "lib/util.h"

#define ARGS 12

static struct options parsed;
static char said[2048];

static bool alone; /* in a network namespace of our own, with queues of TAPs */

/* A queue of a new TAP, or another of one that there is, at this number. */
static int queue_open(const char *name, short flags, int at)
{
	struct ifreq request = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | flags) };
	int fd = open("/dev/net/tun", O_RDWR);

	strcpy(request.ifr_name, name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0 || dup2(fd, at) != at)
		return -1;
	return close(fd);
}

/* What children inherit: a connected socket at 14, a listening one at 20, and queues of TAPs. */
static int setup(void **state)
{
	const struct sockaddr_un unnamed = { .sun_family = AF_UNIX };
	int ends[2], listener = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) || dup2(ends[0], 14) != 14 ||
	    bind(listener, (const struct sockaddr *)&unnamed, sizeof(sa_family_t)) ||
	    listen(listener, 1) || dup2(listener, 20) != 20)
		return -1;
	close(ends[0]);
	close(ends[1]);
	close(listener);
	alone = !unshare(CLONE_NEWNET) && !queue_open("tap0", IFF_VNET_HDR | IFF_MULTI_QUEUE, 15) &&
		!queue_open("tap0", IFF_VNET_HDR | IFF_MULTI_QUEUE, 16) &&
		!queue_open("tap1", IFF_VNET_HDR | IFF_MULTI_QUEUE, 17) &&
		!queue_open("tap2", IFF_VNET_HDR, 18) && !queue_open("tap3", 0, 19);
	return 0;
}

static void need_taps(void)
{
	if (alone)
		return;
	print_message("# needs root and /dev/net/tun\n");
	skip();
}

/* Parses in a child with descriptors 10 to 13 open and hands back what it made; the exit status. */
static int parse(const char *const *args)
{
	char *argv[ARGS + 2] = { (char *)"airlock-device" };
	int results[2], texts[2], argc = 1, status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	while (args[argc - 1]) {
		argv[argc] = (char *)args[argc - 1];
		argc++;
	}
	assert_int_equal(0, pipe(results));
	assert_int_equal(0, pipe(texts));
	pid = fork();
	if (!pid) {
		struct options o;
		int event[2];

		dup2(texts[1], STDERR_FILENO);
		dup2(texts[1], STDOUT_FILENO);
		if (pipe(event))
			_exit(99);
		for (int fd = 10; fd < 14; fd++)
			if (fcntl(fd, F_GETFD) < 0)
				dup2(event[0], fd);
		close(texts[1]);
		options_parse(&o, argc, argv);
		if (write(results[1], &o, sizeof(o)) != sizeof(o))
			_exit(98);
		_exit(0);
	}
	close(results[1]);
	close(texts[1]);
	memset(&parsed, 0, sizeof(parsed));
	n = read(results[0], &parsed, sizeof(parsed));
	while ((n = read(texts[0], said + len, sizeof(said) - 1 - len)) > 0)
		len += (size_t)n;
	said[len] = '\0';
	close(results[0]);
	close(texts[0]);
	assert_int_equal(pid, waitpid(pid, &status, 0));
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define PARSE(...) parse((const char *const[]){ __VA_ARGS__, NULL })
#define FILTERS	   "--filter-fd=control:12", "--filter-fd=worker:13"

static void with_a_channel(void **state)
{
	(void)state;
	assert_int_equal(0, PARSE("--channel-fd=10", FILTERS));
	assert_int_equal(10, parsed.channel);
	assert_int_equal(-1, parsed.socket);
	assert_int_equal(12, parsed.filters[FILTER_CONTROL]);
	assert_int_equal(13, parsed.filters[FILTER_WORKER]);
	assert_int_equal(1, parsed.net.pairs);
	assert_int_equal(1024, parsed.net.queue_size);
	assert_int_equal(1500, parsed.net.mtu);
	assert_true(parsed.coalesce);
	assert_int_equal(0, parsed.poll_us);
	assert_int_equal(0, parsed.ncpus);
	assert_false(parsed.require_sealed || parsed.without_seccomp || parsed.without_landlock);

	assert_int_equal(0, PARSE("--channel-fd", "10", FILTERS, "--queue-pairs=128",
				  "--queue-size=32768", "--mtu=9000", "--mac=02:00:5e:AB:cd:ef",
				  "--require-sealed", "--coalesce=off", "--poll-us=50",
				  "--affinity=0,0"));
	assert_int_equal(50, parsed.poll_us);
	assert_int_equal(2, parsed.ncpus);
	assert_int_equal(128, parsed.net.pairs);
	assert_int_equal(32768, parsed.net.queue_size);
	assert_int_equal(9000, parsed.net.mtu);
	assert_memory_equal("\x02\x00\x5e\xab\xcd\xef", parsed.net.mac, 6);
	assert_true(parsed.require_sealed && !parsed.coalesce);
	assert_int_equal(0, PARSE("--channel-fd=10", FILTERS, "--coalesce=on"));
	assert_true(parsed.coalesce);
}

static void with_a_socket(void **state)
{
	(void)state;
	need_taps();
	assert_int_equal(0, PARSE("--fd=14", "--tap-fd=15", "--tap-fd=16", FILTERS));
	assert_int_equal(14, parsed.socket);
	assert_int_equal(2, parsed.ntaps);
	assert_int_equal(2, parsed.net.pairs); /* as many as there are queues */
	assert_int_equal(16, parsed.taps[1]);
}

static void degraded_layers(void **state)
{
	(void)state;
	assert_int_equal(0, PARSE("--channel-fd=10", "--allow-degraded=seccomp"));
	assert_true(parsed.without_seccomp);
	assert_false(parsed.without_landlock);
	assert_int_equal(0, PARSE("--channel-fd=10",
				  "--allow-degraded=user,mount,pid,net,ipc,uts,cgroup,root,"
				  "landlock,rlimits,seccomp"));
	assert_true(parsed.without_seccomp && parsed.without_landlock);
}

static void mistakes(void **state)
{
	static const struct {
		const char *args[ARGS], *says;
	} rows[] = {
		{ { "--channel-fd=10" }, "--filter-fd" },
		{ { "--channel-fd=10", "--filter-fd=control:12" }, "--filter-fd" },
		{ { FILTERS }, "--channel-fd" },
		{ { "--channel-fd=10", "--fd=11", "--tap-fd=12", FILTERS }, "--channel-fd" },
		{ { "--fd=10", FILTERS }, "--tap-fd" },
		{ { "--channel-fd=10", "--tap-fd=11", FILTERS }, "--tap-fd" },
		{ { "--channel-fd=99", FILTERS }, "--channel-fd=99" },
		{ { "--channel-fd=2", FILTERS }, "--channel-fd=2" },
		{ { "--channel-fd=-1", FILTERS }, "--channel-fd=-1" },
		{ { "--channel-fd=", FILTERS }, "--channel-fd=" },
		{ { "--channel-fd=10x", FILTERS }, "--channel-fd=10x" },
		{ { "--channel-fd=99999999999999999999", FILTERS }, "--channel-fd=" },
		{ { "--channel-fd=10", "--filter-fd=broker:12" }, "--filter-fd=broker:12" },
		{ { "--channel-fd=10", "--filter-fd=12" }, "--filter-fd=12" },
		{ { "--channel-fd=10", FILTERS, "--queue-pairs=0" }, "--queue-pairs=0" },
		{ { "--channel-fd=10", FILTERS, "--queue-pairs=129" }, "--queue-pairs=129" },
		{ { "--channel-fd=10", FILTERS, "--queue-size=100" }, "--queue-size=100" },
		{ { "--channel-fd=10", FILTERS, "--queue-size=65536" }, "--queue-size=65536" },
		{ { "--channel-fd=10", FILTERS, "--mtu=67" }, "--mtu=67" },
		{ { "--channel-fd=10", FILTERS, "--mtu=65536" }, "--mtu=65536" },
		{ { "--channel-fd=10", FILTERS, "--mac=01:00:00:00:00:01" }, "--mac=01:" },
		{ { "--channel-fd=10", FILTERS, "--mac=02:00:00:00:00" }, "--mac=02:" },
		{ { "--channel-fd=10", FILTERS, "--mac=02:00:00:00:00:01:02" }, "--mac=02:" },
		{ { "--channel-fd=10", FILTERS, "--mac=" }, "--mac=" },
		{ { "--channel-fd=10", FILTERS, "--allow-degraded=sandbox" },
		  "--allow-degraded=sandbox" },
		{ { "--channel-fd=10", FILTERS, "--allow-degraded=seccomp,,user" },
		  "--allow-degraded=" },
		{ { "--channel-fd=10", FILTERS, "--coalesce=1" }, "--coalesce=1" },
		{ { "--channel-fd=10", FILTERS, "--poll-us=1000001" }, "--poll-us=1000001" },
		{ { "--channel-fd=10", FILTERS, "--affinity=0-" }, "--affinity=0-" },
		{ { "--channel-fd=10", FILTERS, "--affinity=1023" }, "CPU 1023" },
		{ { "--channel-fd=10", FILTERS, "more" }, "more" },
		{ { "--channel-fd=10", FILTERS, "--socket-path=/x" }, "--socket-path" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		print_message("# %s %s\n", rows[i].args[0], rows[i].says);
		assert_int_equal(2, parse(rows[i].args));
		assert_non_null(strstr(said, rows[i].says));
		assert_ptr_equal(said + strlen(said) - 1, strchr(said, '\n'));
	}
}

/* The child inherits them, open files and all. */
static void taps_are_made_ready(void **state)
{
	int header = 0;

	(void)state;
	need_taps();
	assert_int_equal(0, fcntl(18, F_GETFL) & O_NONBLOCK);
	assert_int_equal(0, PARSE("--fd=14", "--tap-fd=18", FILTERS));
	assert_true(fcntl(18, F_GETFL) & O_NONBLOCK);
	assert_int_equal(0, ioctl(18, TUNGETVNETHDRSZ, &header));
	assert_int_equal(12, header);
}

static void unsuitable_descriptors(void **state)
{
	static const struct {
		const char *args[ARGS], *says;
	} rows[] = {
		{ { "--fd=10", "--tap-fd=15", FILTERS }, "--fd=10" }, /* a pipe */
		{ { "--fd=15", "--tap-fd=16", FILTERS }, "--fd=15" },
		{ { "--fd=20", "--tap-fd=15", FILTERS }, "--fd=20" },
		{ { "--fd=14", "--tap-fd=14", FILTERS }, "--tap-fd=14: is --fd too" },
		{ { "--fd=14", "--tap-fd=10", FILTERS }, "--tap-fd=10" },
		{ { "--fd=14", "--tap-fd=15", "--tap-fd=15", FILTERS }, "--tap-fd=15" },
		{ { "--fd=14", "--tap-fd=15", "--tap-fd=17", FILTERS }, "--tap-fd=17: belongs to" },
		{ { "--fd=14", "--tap-fd=15", "--tap-fd=18", FILTERS }, "--tap-fd=18" },
		{ { "--fd=14", "--tap-fd=19", FILTERS }, "--tap-fd=19: open it with" },
		{ { "--fd=14", "--tap-fd=12", FILTERS }, "--tap-fd=12: is --filter-fd too" },
		{ { "--channel-fd=10", "--filter-fd=control:12", "--filter-fd=worker:12" },
		  "--filter-fd=12: is --filter-fd too" },
		{ { "--channel-fd=12", FILTERS }, "--filter-fd=12: is --channel-fd too" },
	};

	(void)state;
	need_taps();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		print_message("# %s\n", rows[i].says);
		assert_int_equal(2, parse(rows[i].args));
		assert_non_null(strstr(said, rows[i].says));
		assert_ptr_equal(said + strlen(said) - 1, strchr(said, '\n'));
	}
}

static void words(void **state)
{
	(void)state;
	assert_int_equal(0, PARSE("--help"));
	assert_non_null(strstr(said, "--filter-fd=ROLE:N"));
	assert_int_equal(0, PARSE("--version"));
	assert_ptr_equal(said, strstr(said, "airlock-device "));
}

/* Of descriptors 10 to 13 those that no option names are closed; in a child, whose others go too.
 */
static void test_close_others(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (!pid) {
		struct options o = { .socket = 12,
				     .channel = -1,
				     .filters = { 10, -1 },
				     .ntaps = 1,
				     .taps = { 13 } };
		bool kept = true, closed = true;

		for (int fd = 3; fd < 20; fd++)
			dup2(STDERR_FILENO, fd);
		if (options_close_others(&o))
			_exit(1);
		for (int fd = 0; fd < 20; fd++) {
			bool ours = fd < 3 || fd == 10 || fd == 12 || fd == 13;

			if ((fcntl(fd, F_GETFD) >= 0) == ours)
				continue;
			kept = kept && !ours;
			closed = closed && ours;
		}
		_exit(kept ? (closed ? 0 : 2) : 3);
	}
	assert_int_equal(pid, waitpid(pid, &status, 0));
	assert_int_equal(0, status);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_a_channel),
		cmocka_unit_test(with_a_socket),
		cmocka_unit_test(taps_are_made_ready),
		cmocka_unit_test(unsuitable_descriptors),
		cmocka_unit_test(degraded_layers),
		cmocka_unit_test(mistakes),
		cmocka_unit_test(words),
		cmocka_unit_test(test_close_others),
	};

	return cmocka_run_group_tests_name("options", tests, setup, NULL);
}
