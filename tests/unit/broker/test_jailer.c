/* jailer: where minijail0 is looked for, the words that it is given and the descriptors that reach
 * it. A shell script stands in for it. */
#include "broker/jailer.h"

#include <errno.h>
#include <sys/wait.h>

#include "lib/util.h"

#include "tests/unit/broker/fixture.h"

static char dir[64];

static void write_script(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, 0755), 0);
}

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/airlock-jailer-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static void test_found(void **state)
{
	struct jailer jailer;
	char text[256], expected[128];

	(void)state;
	write_script("minijail0", "#!/bin/sh\n");
	snprintf(expected, sizeof(expected), "%s/minijail0", dir);
	unsetenv("AIRLOCK_MINIJAIL0");
	snprintf(text, sizeof(text), "/nonexistent::%s:/usr/bin", dir);
	setenv("PATH", text, 1);
	assert_int_equal(jailer_find(&jailer), 0);
	assert_string_equal(jailer.path, expected);
	setenv("AIRLOCK_MINIJAIL0", "/bin/sh", 1);
	assert_int_equal(jailer_find(&jailer), 0);
	assert_string_equal(jailer.path, "/bin/sh");
	/* what was named is meant: no other is taken in its place */
	setenv("AIRLOCK_MINIJAIL0", "/nonexistent", 1);
	assert_int_equal(jailer_find(&jailer), -ENOENT);
	unsetenv("AIRLOCK_MINIJAIL0");
	setenv("PATH", "/nonexistent", 1);
	assert_int_equal(jailer_find(&jailer), -ENOENT);
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
}

/* What the script wrote: a word a line, then "fd N" for each descriptor from 3 up. */
static char written[8192];

static void run(struct jailer *jailer, int kept)
{
	char script[256], path[128];
	int status;
	FILE *f;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/out", dir);
	snprintf(script, sizeof(script),
		 "#!/bin/sh\nexec >%s\nprintf '%%s\\n' \"$@\"\n"
		 "for fd in 20 21 22 23 24 25 26 27; do [ ! -e /proc/$$/fd/$fd ] || "
		 "echo fd $fd; done\n",
		 path);
	write_script("minijail0", script);
	snprintf(jailer->path, sizeof(jailer->path), "%s/minijail0", dir);
	pid = fork();
	if (!pid) {
		for (int fd = 20; fd < 28; fd++)
			dup2(STDERR_FILENO, fd);
		_exit(jailer_exec(jailer, kept) ? 1 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	f = fopen(path, "r");
	assert_non_null(f);
	written[fread(written, 1, sizeof(written) - 1, f)] = '\0';
	fclose(f);
}

/* The place of a whole line in what was written. */
static size_t place(const char *line)
{
	char whole[256];
	const char *at;

	snprintf(whole, sizeof(whole), "\n%s\n", line);
	at = strstr(written, whole);
	if (!at)
		fail_msg("no '%s' in:\n%s", line, written);
	return (size_t)(at - written);
}

static void test_words(void **state)
{
	static const char *const device[] = { "airlock-device", "--mtu=1500", NULL };
	static const char *const ordered[] = {
		"-n", /* jail, then root, then what the administrator adds, then the device */
		"-ktmpfs,/,tmpfs,MS_NOSUID|MS_NODEV,mode=0555,nr_inodes=4,size=4k",
		"-b/some/airlock-device,/airlock-device",
		"-ktmpfs,/,tmpfs,MS_REMOUNT|MS_RDONLY|MS_NOSUID|MS_NODEV,mode=0555,nr_inodes=4,size=4k",
		"-u61200",
		"-g61201",
		"-m61200 61200 1",
		"-M61201 61201 1",
		"--seccomp-bpf-binary=/proc/self/fd/22",
		"-L",
		"-R RLIMIT_AS,1,1",
		"--",
		"/airlock-device",
		"--mtu=1500",
		"--fd=20",
		"--tap-fd=24",
		"--tap-fd=23",
		"--filter-fd=control:25",
		"--filter-fd=worker:26",
	};
	static const char *const layers[] = { "-Tstatic",
					      "-c0",
					      "--ambient",
					      "-U",
					      "-p",
					      "-v",
					      "-e",
					      "-l",
					      "-N",
					      ("-P" JAILER_ROOT),
					      "-RRLIMIT_CORE,0,0" };
	char *extra[] = { (char *)"-L", (char *)"-R RLIMIT_AS,1,1" };
	const int taps[] = { 24, 23 };
	struct jailer jailer = { .device = "/some/airlock-device",
				 .uid = 61200,
				 .gid = 61201,
				 .launch = 22,
				 .connection = 20,
				 .control = 25,
				 .worker = 26,
				 .taps = taps,
				 .ntaps = 2,
				 .extra = extra,
				 .nextra = 2,
				 .device_words = device };
	size_t before = 0;

	(void)state;
	need_root();
	run(&jailer, 27);
	for (size_t i = 0; i < ARRAY_SIZE(ordered); i++) {
		size_t now = place(ordered[i]);

		assert_true(now > before);
		before = now;
	}
	for (size_t i = 0; i < ARRAY_SIZE(layers); i++)
		assert_true(place(layers[i]) < place("--"));
	/* 21 was nobody's */
	assert_non_null(
		strstr(written, "worker:26\nfd 20\nfd 22\nfd 23\nfd 24\nfd 25\nfd 26\nfd 27\n"));
}

static void test_commas(void **state)
{
	struct jailer jailer;
	char path[128];
	int fd;

	(void)state;
	write_script("plain", "");
	write_script("a,b", "");
	snprintf(path, sizeof(path), "%s/plain", dir);
	fd = open(path, O_PATH | O_CLOEXEC);
	assert_int_equal(jailer_device(&jailer, fd), 0);
	assert_string_equal(jailer.device, path);
	close(fd);
	snprintf(path, sizeof(path), "%s/a,b", dir); /* minijail0 would read two paths */
	fd = open(path, O_PATH | O_CLOEXEC);
	assert_int_equal(jailer_device(&jailer, fd), -EINVAL);
	close(fd);
	assert_int_equal(jailer_device(&jailer, -1), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_commas),
	};

	return cmocka_run_group_tests_name("jailer", tests, make_dir, remove_dir);
}
