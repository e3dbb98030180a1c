/*
 * Both ends of one TCP stream, for the guest and for its host: `flow serve PORT` and `flow MODE
 * HOST PORT SECONDS`, where MODE is up (to the server), down, or both at once. Every byte that
 * arrives is compared with what was sent; one wrong byte resets the connection. The client says in
 * Mbit/s what went each way. Static and without files, so that an initramfs can hold it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATTERN_SIZE 65521 /* a prime: no power of two of lost bytes goes unseen */
#define SLICE	     65536
#define PATIENCE_MS  20000

enum mode {
	MODE_UP = 1,
	MODE_DOWN = 2,
	MODE_BOTH = 3
};

struct request {
	uint32_t mode; /* network order, like the rest */
	uint32_t ms;
};

struct pump {
	int fd;
	bool sending;
	bool receiving;
	uint64_t sent;
	uint64_t received;
	uint64_t end_ms; /* when to stop sending */
};

static unsigned char pattern[PATTERN_SIZE + SLICE];

static void fill_pattern(void)
{
	uint32_t x = 1;

	for (size_t i = 0; i < sizeof(pattern); i++) {
		if (i % PATTERN_SIZE == 0)
			x = 1;
		x = x * 1664525 + 1013904223;
		pattern[i] = x >> 24;
	}
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int pump_send(struct pump *p)
{
	ssize_t n;

	if (now_ms() >= p->end_ms) {
		p->sending = false;
		return shutdown(p->fd, SHUT_WR) ? -errno : 0;
	}
	n = send(p->fd, pattern + p->sent % PATTERN_SIZE, SLICE, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	p->sent += n;
	return 0;
}

static int pump_receive(struct pump *p)
{
	static unsigned char buffer[SLICE];
	ssize_t n = recv(p->fd, buffer, sizeof(buffer), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (n == 0) {
		p->receiving = false;
		return 0;
	}
	if (memcmp(buffer, pattern + p->received % PATTERN_SIZE, n))
		return -EBADMSG;
	p->received += n;
	return 0;
}

/* Until the own direction is closed and the peer has closed its own. */
static int pump_run(struct pump *p)
{
	while (p->sending || p->receiving) {
		struct pollfd poll_fd = { .fd = p->fd };
		int ret;

		poll_fd.events = (p->sending ? POLLOUT : 0) | (p->receiving ? POLLIN : 0);
		ret = poll(&poll_fd, 1, PATIENCE_MS);
		if (ret <= 0)
			return ret ? -errno : -ETIMEDOUT;
		ret = 0;
		if (p->receiving && (poll_fd.revents & (POLLIN | POLLHUP | POLLERR)))
			ret = pump_receive(p);
		if (!ret && p->sending && (poll_fd.revents & (POLLOUT | POLLHUP | POLLERR)))
			ret = pump_send(p);
		if (ret)
			return ret;
	}
	return 0;
}

static int report(const char *what, int error)
{
	fprintf(stderr, "flow: %s: %s\n", what, strerror(error));
	return 1;
}

/* The server always receives to the end: a client that only takes closes its direction at once. */
static int serve_one(int fd)
{
	struct linger reset = { .l_onoff = 1 };
	struct request request;
	struct pump pump = { .fd = fd, .receiving = true };
	int ret;

	if (recv(fd, &request, sizeof(request), MSG_WAITALL) != sizeof(request))
		return report("request", EPROTO);
	pump.sending = ntohl(request.mode) & MODE_DOWN;
	pump.end_ms = now_ms() + ntohl(request.ms);
	ret = pump_run(&pump);
	if (ret)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
	return ret ? report("serve", -ret) : 0;
}

static int serve(uint16_t port)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int one = 1, fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return report("socket", errno);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) || listen(fd, 8))
		return report("listen", errno);
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int peer = accept(fd, NULL, NULL);

		if (peer < 0)
			return report("accept", errno);
		if (fork() == 0)
			_exit(serve_one(peer));
		close(peer);
	}
}

/* One socket family serves both: an IPv4 address goes mapped. */
static int dial(const char *host, const char *port)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_port = htons(atoi(port)) };
	char mapped[INET6_ADDRSTRLEN + 8];
	int fd, error;

	snprintf(mapped, sizeof(mapped), "%s%s", strchr(host, ':') ? "" : "::ffff:", host);
	if (inet_pton(AF_INET6, mapped, &to.sin6_addr) != 1)
		return -EINVAL;
	fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && !connect(fd, (struct sockaddr *)&to, sizeof(to)))
		return fd;
	error = errno;
	if (fd >= 0)
		close(fd);
	return -error;
}

static int client(enum mode mode, const char *name, char **argv)
{
	uint32_t ms = strtod(argv[2], NULL) * 1000;
	struct request request = { .mode = htonl(mode), .ms = htonl(ms) };
	struct pump pump = { .receiving = true, .sending = true };
	uint64_t start = now_ms();
	double took;
	int ret;

	pump.fd = dial(argv[0], argv[1]);
	if (pump.fd < 0)
		return report("connect", -pump.fd);
	if (send(pump.fd, &request, sizeof(request), MSG_NOSIGNAL) != sizeof(request))
		return report("request", errno);
	pump.end_ms = mode & MODE_UP ? start + ms : 0;
	ret = pump_run(&pump);
	if (ret)
		return report(name, -ret);
	took = (now_ms() - start) / 1000.0;
	printf("%s up=%.1f down=%.1f\n", name, pump.sent * 8e-6 / took,
	       pump.received * 8e-6 / took);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		enum mode mode;
	} modes[] = { { "up", MODE_UP }, { "down", MODE_DOWN }, { "both", MODE_BOTH } };

	fill_pattern();
	if (argc == 3 && !strcmp(argv[1], "serve"))
		return serve(atoi(argv[2]));
	for (size_t i = 0; argc == 5 && i < sizeof(modes) / sizeof(modes[0]); i++)
		if (!strcmp(argv[1], modes[i].name))
			return client(modes[i].mode, modes[i].name, argv + 2);
	fprintf(stderr, "usage: flow serve PORT | flow up|down|both HOST PORT SECONDS\n");
	return 2;
}
