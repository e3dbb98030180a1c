/*
 * A spawner that is the test: the processes of a crew are ends of channels, born, speaking and
 * reaped as the test has it. Also the loop they live in, and the listener that clients come to. One
 * test program includes this once: the spawner's functions are replaced.
 */
#ifndef AIRLOCK_TESTS_UNIT_BROKER_BIRTHS_H
#define AIRLOCK_TESTS_UNIT_BROKER_BIRTHS_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "broker/device.h"
#include "broker/frontends.h"
#include "broker/spawner.h"
#include "lib/fd.h"
#include "lib/util.h"

#define BIRTHS 40

/* ---- the replaced spawner: devices are ends of channels ---- */

static struct {
	int channel; /* the device's end, -1 when it is dead */
	bool reaped;
} born[BIRTHS + 1];
static uint32_t births;
static int news_fd = -1, spawn_error;
static struct spawner_news queue[64];
static size_t queued, taken;
static unsigned inspected;
static bool spawner_ended;
static const struct witness seen_witness = { .pid = 4711 };

static inline void news_post(struct spawner_news news)
{
	assert_true(queued < ARRAY_SIZE(queue));
	queue[queued++] = news;
	fd_signal(news_fd);
}

int spawner_fd(const struct spawner *spawner)
{
	(void)spawner;
	return news_fd;
}

int spawner_spawn(struct spawner *spawner, int channel, uint32_t *serial)
{
	(void)spawner;
	if (spawn_error)
		return spawn_error;
	assert_true(births < BIRTHS);
	*serial = ++births;
	born[births].channel = fcntl(channel, F_DUPFD_CLOEXEC, 3);
	born[births].reaped = false;
	news_post((struct spawner_news){ .type = SPAWNER_BORN,
					 .serial = births,
					 .pid = 1000 + (pid_t)births,
					 .inner = 1 + (pid_t)births,
					 .pidfd = -1 });
	return 0;
}

int spawner_inspect(struct spawner *spawner, uint32_t serial, pid_t pid)
{
	(void)spawner;
	assert_int_equal(pid, 1000 + (pid_t)serial);
	inspected++;
	news_post((struct spawner_news){
		.type = SPAWNER_SEEN, .serial = serial, .pidfd = -1, .witness = &seen_witness });
	return 0;
}

int spawner_next(struct spawner *spawner, struct spawner_news *news)
{
	(void)spawner;
	if (taken < queued) {
		*news = queue[taken++];
		return 1;
	}
	queued = taken = 0;
	if (spawner_ended)
		return 0;
	fd_drain(news_fd);
	return -EAGAIN;
}

const uint64_t *spawner_namespaces(const struct spawner *spawner)
{
	(void)spawner;
	return NULL;
}

unsigned spawner_landlock(const struct spawner *spawner)
{
	(void)spawner;
	return 0;
}

unsigned spawner_degraded(const struct spawner *spawner)
{
	(void)spawner;
	return 0;
}

/* ---- the loop, and where clients come to ---- */

static struct loop loop;
static struct frontends frontends;

static inline void turns(unsigned ms)
{
	uint64_t until = loop_now() + ms * 1000000ull;

	do {
		assert_int_equal(loop_turn(&loop, 5), 0);
	} while (loop_now() < until && !loop.stopped);
}

static inline void listen_somewhere(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "airlock-test-births-%d", getpid());
	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(listen(fd, 8), 0);
	listen_inherit(&frontends.listener, fd);
}

static inline int client(void)
{
	struct sockaddr_un name;
	socklen_t len = sizeof(name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	getsockname(frontends.listener.fd, (struct sockaddr *)&name, &len);
	assert_int_equal(connect(fd, (struct sockaddr *)&name, len), 0);
	return fd;
}

/* ---- what processes do ---- */

static inline void say(uint32_t serial, struct channel_msg msg)
{
	assert_int_equal(channel_send(born[serial].channel, &msg, NULL, 0), 0);
	turns(5);
}

static inline void ready(uint32_t serial)
{
	say(serial, (struct channel_msg){ .type = CHANNEL_READY });
}

/* The next order to a device; descriptors are closed. -1 type: none. */
static inline int order(uint32_t serial, struct channel_msg *msg)
{
	int fds[CHANNEL_FDS_MAX];
	size_t n = CHANNEL_FDS_MAX;
	ssize_t got = fd_recv(born[serial].channel, msg, sizeof(*msg), fds, &n);

	if (got <= 0)
		return -1;
	fd_close_all(fds, n);
	return msg->type;
}

static inline void dies(uint32_t serial, int status)
{
	fd_close(&born[serial].channel);
	born[serial].reaped = true;
	news_post((struct spawner_news){
		.type = SPAWNER_DIED, .serial = serial, .pidfd = -1, .status = status });
	turns(10);
}

/* ---- around each test ---- */

static inline void births_begin(void)
{
	loop = (struct loop){ 0 };
	births = 0;
	queued = taken = 0;
	inspected = 0;
	spawn_error = 0;
	spawner_ended = false;
	memset(born, -1, sizeof(born));
	news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	frontends = (struct frontends){ .given = -1 };
	listen_somewhere();
}

/* Everybody is dead, and nobody has been told. */
static inline void births_hang_up(void)
{
	for (uint32_t i = 1; i <= births; i++)
		fd_close(&born[i].channel);
}

static inline void births_end(void)
{
	frontends_close(&frontends);
	fd_close(&news_fd);
}

#endif
