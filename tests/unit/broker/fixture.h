/*
 * A jail for tests: ids, the project's own policies, a spawner, and devices that are the stand-in
 * beside the test program (jailed.c). What a sanitized build cannot have is allowed to be missing.
 */
#ifndef AIRLOCK_TESTS_UNIT_BROKER_FIXTURE_H
#define AIRLOCK_TESTS_UNIT_BROKER_FIXTURE_H

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "broker/layer.h"
#include "broker/policies.h"
#include "broker/spawner.h"
#include "lib/fd.h"

#define need_root()                             \
	do {                                    \
		if (geteuid()) {                \
			printf("# not root\n"); \
			skip();                 \
		}                               \
	} while (0)

struct fixture {
	struct ids ids;
	struct policies *policies;
	struct spawner *spawner;
};

struct born {
	uint32_t serial;
	pid_t pid, inner; /* its number here, and in its own namespace */
	int pidfd;
	int channel;	/* the test's end */
	uint64_t inode; /* of the device's end */
};

static inline const char *fixture_policy_dir(void)
{
	const char *dir = getenv("AIRLOCK_POLICY_DIR");

	return dir ? dir : "policy";
}

/* O_PATH descriptor of a file beside this program, or of a path. */
static inline int fixture_beside(const char *name)
{
	char path[PATH_MAX] = "";
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash = n > 0 ? strrchr(path, '/') : NULL;

	if (strchr(name, '/'))
		return open(name, O_PATH | O_CLOEXEC);
	if (!slash || (size_t)(slash - path) + strlen(name) + 2 > sizeof(path))
		return -1;
	strcpy(slash + 1, name);
	return open(path, O_PATH | O_CLOEXEC);
}

static inline int fixture_start_kind(struct fixture *f, const struct spawner_kind *kind,
				     const char *exe, unsigned allowed)
{
	const char *argv[] = { "jailed", NULL };
	_cleanup_fd int fd = fixture_beside(exe);
	struct spawner_options options = {
		.kind = kind, .ids = &f->ids, .exe_fd = fd, .argv = argv, .allowed = allowed
	};
	int ret = ids_claim(NULL, NULL, &f->ids);

	assert_true(fd >= 0);
	if (!ret)
		ret = policies_load(fixture_policy_dir(), POLICIES_SUPERVISED | POLICIES_PAIRED,
				    f->ids.spawner_uid, f->ids.spawner_gid, &f->policies);
	options.policies = f->policies;
	if (!ret)
		ret = spawner_begin(&options, &f->spawner);
	return ret ? ret : spawner_await(f->spawner);
}

static inline int fixture_start_with(struct fixture *f, const char *exe, unsigned allowed)
{
	return fixture_start_kind(f, &spawner_of_devices, exe, allowed);
}

static inline void fixture_start(struct fixture *f)
{
	*f = (struct fixture){ .ids.locks = { -1, -1, -1 } };
	assert_int_equal(fixture_start_with(f, "jailed", layer_absent_in_build()), 0);
}

static inline void fixture_stop(struct fixture *f)
{
	spawner_stop(f->spawner);
	policies_free(f->policies);
	ids_release(&f->ids);
}

/* The next news, within 5 s. */
static inline struct spawner_news fixture_news(struct fixture *f)
{
	struct pollfd pfd = { .fd = spawner_fd(f->spawner), .events = POLLIN };
	struct spawner_news news;

	assert_int_equal(poll(&pfd, 1, 5000), 1);
	assert_int_equal(spawner_next(f->spawner, &news), 1);
	return news;
}

/* Orders a device and takes its BORN; it may not have confined itself yet. */
static inline struct born fixture_order(struct fixture *f)
{
	struct spawner_news news;
	struct born born;
	struct stat st;
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(fstat(ends[1], &st), 0);
	assert_int_equal(spawner_spawn(f->spawner, ends[1], &born.serial), 0);
	close(ends[1]);
	news = fixture_news(f);
	assert_int_equal(news.type, SPAWNER_BORN);
	assert_int_equal(news.serial, born.serial);
	born.pid = news.pid;
	born.inner = news.inner;
	born.pidfd = news.pidfd;
	born.channel = ends[0];
	born.inode = st.st_ino;
	return born;
}

/* A word of the device, within 5 s; 0: it is gone. */
static inline uint64_t fixture_word(const struct born *born)
{
	struct pollfd pfd = { .fd = born->channel, .events = POLLIN };
	uint64_t word = 0;

	assert_int_equal(poll(&pfd, 1, 5000), 1);
	return read(born->channel, &word, sizeof(word)) == sizeof(word) ? word : 0;
}

/* A device that is confined and waits. */
static inline struct born fixture_device(struct fixture *f)
{
	struct born born = fixture_order(f);

	assert_int_equal(fixture_word(&born), 'R');
	return born;
}

static inline void fixture_say(const struct born *born, uint64_t word)
{
	assert_int_equal(write(born->channel, &word, sizeof(word)), sizeof(word));
}

static inline void fixture_forget(struct born *born)
{
	fd_close(&born->pidfd);
	fd_close(&born->channel);
}

#endif
