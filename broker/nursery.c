/*
 * Pid 1 of the jail: a loop of orders and deaths. Runs in the spawner, single-threaded; trusts the
 * broker at the other end of the order socket, and its children with nothing but their exit.
 */
#include "broker/nursery.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/birth.h"
#include "broker/order.h"
#include "lib/fd.h"
#include "lib/util.h"

struct child {
	pid_t pid; /* in this namespace; 0: a free place */
	uint32_t serial;
};

static struct child children[NURSERY_CHILDREN];
static const char *args[NURSERY_ARGS];

static void tell(enum news_type type, uint32_t serial, int a, int b)
{
	struct news news = { .type = type, .serial = serial, .a = a, .b = b };

	if (fd_send(JAIL_ORDERS, &news, sizeof(news), NULL, 0) < 0)
		_exit(1); /* the broker is gone, or no longer listens */
}

static struct child *child_find(pid_t pid)
{
	for (size_t i = 0; i < ARRAY_SIZE(children); i++)
		if (children[i].pid == pid)
			return &children[i];
	return NULL;
}

static void spawn(const struct nursery *nursery, uint32_t serial, int channel)
{
	struct child *child = child_find(0);
	pid_t pid;

	if (!child) {
		tell(NEWS_FAILED, serial, STEP_ROOM, EAGAIN);
		tell(NEWS_DIED, serial, 0, 0);
		return;
	}
	pid = fork();
	if (!pid)
		birth(&nursery->jail, serial, channel, (char *const *)args);
	if (pid < 0) {
		tell(NEWS_FAILED, serial, STEP_FORK, errno);
		tell(NEWS_DIED, serial, 0, 0);
		return;
	}
	*child = (struct child){ .pid = pid, .serial = serial };
}

/* A child of its own, so that nothing of one device's /proc stays in the spawner. */
static void inspect(const struct nursery *nursery, const struct order *order)
{
	static struct news_seen seen; /* only ever written in the child */
	const struct witness_view view = { JAIL_PROC, JAIL_ORDERS, JAIL_CONTROL };

	if (fork())
		return; /* where there is none, no SEEN comes */
	seen.head = (struct news){ .type = NEWS_SEEN, .serial = order->serial };
	witness_read(&view, order->pid, nursery->broker, &seen.witness);
	fd_send(JAIL_ORDERS, &seen, sizeof(seen), NULL, 0);
	_exit(0);
}

static void obey(const struct nursery *nursery)
{
	struct order order;
	int channel = -1;
	size_t nfds = 1;
	ssize_t n = fd_recv(JAIL_ORDERS, &order, sizeof(order), &channel, &nfds);

	if (n == -EAGAIN)
		return;
	if (n != sizeof(order))
		_exit(n ? 1 : 0);
	if (order.type == ORDER_SPAWN && nfds == 1)
		spawn(nursery, order.serial, channel);
	else if (order.type == ORDER_INSPECT)
		inspect(nursery, &order);
	fd_close(&channel);
}

static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct child *child = child_find(pid);

		if (!child)
			continue; /* a witness */
		tell(NEWS_DIED, child->serial, status, 0);
		child->pid = 0;
	}
}

static void wake(int sig)
{
	(void)sig; /* only so that ppoll returns */
}

/* argv of every device: the options given, its descriptors, what it has to go without. */
static void args_make(const struct nursery *nursery)
{
	static char channel[32], filters[2][40], degraded[64];
	const bool landlock = nursery->jail.missing & LAYER_BIT(LAYER_LANDLOCK);
	const bool seccomp = nursery->jail.missing & LAYER_BIT(LAYER_SECCOMP);
	size_t n = 0;

	while (n < NURSERY_OPTIONS && nursery->options[n]) {
		args[n] = nursery->options[n];
		n++;
	}
	snprintf(channel, sizeof(channel), "--channel-fd=%d", JAIL_CHANNEL);
	snprintf(degraded, sizeof(degraded), "--allow-degraded=%s%s%s", landlock ? "landlock" : "",
		 landlock && seccomp ? "," : "", seccomp ? "seccomp" : "");
	args[n++] = channel;
	if (landlock || seccomp)
		args[n++] = degraded;
	for (size_t i = 0; !seccomp && nursery->filters[i]; i++) {
		snprintf(filters[i], sizeof(filters[i]), "--filter-fd=%s:%zu", nursery->filters[i],
			 JAIL_CONTROL + i);
		args[n++] = filters[i];
	}
	args[n] = NULL;
}

/* Waits for the broker to have written the id maps, then confines this process. */
static void enter(struct nursery *nursery)
{
	struct order order = { 0 };
	enum step failed = STEP_ORDERS;
	int orders = nursery->jail.fds[JAIL_ORDERS];
	int ret = -EPROTO;

	if (read(orders, &order, sizeof(order)) == sizeof(order) && order.type == ORDER_CONFINE)
		ret = jail_enter(&nursery->jail, &failed);
	if (!ret) {
		args_make(nursery);
		tell(NEWS_UP, 0, nursery->jail.landlock_abi, (int)nursery->jail.missing);
		return;
	}
	/* The socket may or may not have its number yet. */
	fd_send(nursery->jail.fds[JAIL_ORDERS],
		&(struct news){ .type = NEWS_FAILED, .a = failed, .b = -ret }, sizeof(struct news),
		NULL, 0);
	_exit(1);
}

_Noreturn void nursery_run(struct nursery *nursery)
{
	struct sigaction on_child = { .sa_handler = wake };
	sigset_t chld, none;

	sigemptyset(&none);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	prctl(PR_SET_NAME, "airlock-spawner", 0L, 0L, 0L);
	enter(nursery);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	sigaction(SIGCHLD, &on_child, NULL);
	for (;;) {
		struct pollfd orders = { .fd = JAIL_ORDERS, .events = POLLIN };

		/* SIGCHLD is let in only here, so none is missed between reap() and the wait. */
		if (ppoll(&orders, 1, NULL, &none) > 0)
			obey(nursery);
		reap();
	}
}
