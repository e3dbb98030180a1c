/*
 * The device task. The thread below owns client and memory table; everything else here runs with
 * the poster. It trusts the poster's commands and nothing that the back-end says.
 *
 * A command begins with a deadline and every wait in it ends there, so the thread always answers.
 * A connection that was lost is made again by the next command that needs one.
 */
#include "frontend/task.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/util.h"
#include "lib/virtio.h"

#define RETRY_MS 20

#define STATUS_READY	 (1 | 2 | 8) /* ACKNOWLEDGE, DRIVER, FEATURES_OK */
#define STATUS_DRIVER_OK 4

/* ---- the thread: commands */

static int connect_once(struct task *t)
{
	int sock;

	if (t->client.sock >= 0)
		return 0;
	sock = t->connect(t->opaque);
	return sock < 0 ? sock : client_attach(&t->client, sock);
}

/* A back-end that died is replaced within about a second: worth waiting for where the driver waits
 * for its device. */
static int connect_within_deadline(struct task *t)
{
	for (;;) {
		int rc = connect_once(t);

		if (!rc || rc == -EPROTO || clock_ms() + RETRY_MS >= t->client.deadline)
			return rc;
		ppoll(NULL, 0, &(struct timespec){ .tv_nsec = RETRY_MS * 1000000 }, NULL);
	}
}

static int run_connect(struct task *t, struct command *c)
{
	int rc = connect_within_deadline(t);

	c->offered = t->client.offered;
	c->rings = t->client.queues;
	c->has_config = t->client.protocol & BIT_ULL(VU_P_CONFIG);
	return rc;
}

static int stop_all(struct task *t, struct command *c)
{
	uint32_t base;
	int rc = 0;

	for (unsigned int i = 0; i < CLIENT_QUEUES_MAX; i++) {
		int stopped = 0;

		base = 0;
		if (t->client.active[i])
			stopped = client_stop_queue(&t->client, i, &base);
		for (unsigned int k = 0; c && k < c->nqueues; k++)
			if (c->queues[k].index == i)
				c->queues[k].base = base;
		rc = rc ? rc : stopped;
	}
	t->client.running = false;
	return rc;
}

static int run_disable(struct task *t, struct command *c)
{
	(void)c;
	/* A back-end that is gone, or goes now, has no ring running either. */
	stop_all(t, NULL);
	client_reset(&t->client);
	return 0;
}

static int run_stop(struct task *t, struct command *c)
{
	return stop_all(t, c);
}

static int start_all(struct task *t, const struct command *c)
{
	int rc = client_set_memory(&t->client, &t->slots);

	if (!rc)
		rc = client_set_features(&t->client, c->features);
	if (!rc)
		rc = client_set_status(&t->client, STATUS_READY);
	for (unsigned int i = 0; !rc && i < c->nqueues; i++)
		rc = client_start_queue(&t->client, &c->queues[i]);
	if (!rc)
		rc = client_set_status(&t->client, STATUS_READY | STATUS_DRIVER_OK);
	return rc ? rc : client_sync(&t->client);
}

static int run_enable(struct task *t, struct command *c)
{
	int rc = connect_within_deadline(t);

	if (!rc && (c->features & ~t->client.offered))
		rc = -EPERM; /* a successor that can do less than the driver was promised */
	if (!rc)
		rc = start_all(t, c);
	if (rc)
		run_disable(t, c);
	else
		t->client.running = true;
	for (unsigned int i = 0; i < c->nqueues; i++)
		fd_close(&c->queues[i].call);
	return rc;
}

/* A driver must not wait for a back-end that nobody starts: one attempt. */
static int run_read_config(struct task *t, struct command *c)
{
	int rc = connect_once(t);

	return rc ? rc : client_read_config(&t->client, c->offset, c->bytes, c->len);
}

static int run_write_config(struct task *t, struct command *c)
{
	int rc = connect_once(t);

	return rc ? rc : client_write_config(&t->client, c->offset, c->bytes, c->len);
}

static int run_queue_start(struct task *t, struct command *c)
{
	int rc = t->client.running ? client_start_queue(&t->client, &c->queue) : -ENOTCONN;

	fd_close(&c->queue.call);
	return rc ? rc : client_sync(&t->client);
}

static int run_queue_stop(struct task *t, struct command *c)
{
	return client_stop_queue(&t->client, c->queue.index, &c->queue.base);
}

static int run_queue_call(struct task *t, struct command *c)
{
	int rc = 0;

	if (t->client.active[c->queue.index])
		rc = client_set_call(&t->client, c->queue.index, c->queue.call);
	fd_close(&c->queue.call);
	return rc;
}

/* While no ring runs the back-end is told nothing: firmware maps and unmaps a great deal. */
static int run_memory_add(struct task *t, struct command *c)
{
	int rc = slots_add(&t->slots, c->slot.address, c->slot.size, c->slot.fd, c->slot.offset);

	if (rc)
		fd_close(&c->slot.fd);
	return rc || !t->client.running ? rc : client_set_memory(&t->client, &t->slots);
}

static int run_memory_remove(struct task *t, struct command *c)
{
	int rc = slots_remove(&t->slots, c->slot.address, c->slot.size);

	if (rc)
		return rc;
	if (t->client.running && !(t->client.protocol & BIT_ULL(VU_P_MEM_SLOTS)))
		rc = client_set_memory(&t->client, &t->slots);
	else
		rc = client_drop_memory(&t->client, c->slot.address, c->slot.size);
	if (!rc && t->client.running)
		rc = client_set_memory(&t->client, &t->slots);
	if (rc)
		client_drop(&t->client); /* it may still hold what was taken away */
	return 0;
}

static int run_exit(struct task *t, struct command *c)
{
	(void)c;
	client_drop(&t->client);
	slots_clear(&t->slots);
	return 0;
}

static int (*const runs[COMMANDS])(struct task *t, struct command *c) = {
	[COMMAND_CONNECT] = run_connect,
	[COMMAND_ENABLE] = run_enable,
	[COMMAND_DISABLE] = run_disable,
	[COMMAND_STOP] = run_stop,
	[COMMAND_START] = run_enable,
	[COMMAND_RESET] = run_disable,
	[COMMAND_READ_CONFIG] = run_read_config,
	[COMMAND_WRITE_CONFIG] = run_write_config,
	[COMMAND_QUEUE_START] = run_queue_start,
	[COMMAND_QUEUE_STOP] = run_queue_stop,
	[COMMAND_QUEUE_CALL] = run_queue_call,
	[COMMAND_MEMORY_ADD] = run_memory_add,
	[COMMAND_MEMORY_REMOVE] = run_memory_remove,
	[COMMAND_EXIT] = run_exit,
};

/* ---- the thread: waiting */

static void event_tell(struct task *t, unsigned int event)
{
	/* Release: pairs with the acquire in task_events(). */
	atomic_fetch_or_explicit(&t->events, event, memory_order_release);
	fd_signal(t->answer_fd);
}

static void command_run(struct task *t)
{
	struct command *c = t->current;
	bool running = t->client.running;

	t->client.deadline = clock_ms() + t->deadline_ms;
	c->result = runs[c->kind](t, c);
	/* The rings ran, and now there is no back-end: unless they were to end, that is a loss. */
	if (running && t->client.sock < 0 && c->kind != COMMAND_DISABLE && c->kind != COMMAND_RESET)
		event_tell(t, TASK_LOST);
	mailbox_answer(&t->box);
}

static void backend_listen(struct task *t)
{
	bool running = t->client.running;
	int rc;

	t->client.deadline = clock_ms() + t->deadline_ms;
	rc = client_listen(&t->client);
	if (rc == 1)
		event_tell(t, TASK_CHANGED);
	if (rc < 0 && running)
		event_tell(t, TASK_LOST);
}

static void *task_main(void *opaque)
{
	struct task *t = opaque;
	bool last = false;

	if (t->begin)
		t->begin(t->opaque);
	while (!last) {
		struct pollfd fds[] = { { .fd = t->box.command_fd, .events = POLLIN },
					{ .fd = t->client.sock, .events = POLLIN | POLLRDHUP },
					{ .fd = t->client.channel, .events = POLLIN } };

		/* ppoll and not poll: see policy/transport.policy. */
		if (ppoll(fds, ARRAY_SIZE(fds), NULL, NULL) < 0)
			continue;
		if (fds[1].revents || fds[2].revents)
			backend_listen(t);
		if (!fds[0].revents || !mailbox_take(&t->box))
			continue;
		last = t->current->kind == COMMAND_EXIT;
		command_run(t);
	}
	return NULL;
}

/* ---- the poster */

int task_start(struct task *t)
{
	sigset_t all, old;
	int rc;

	client_init(&t->client);
	t->first = t->current = NULL;
	t->last = &t->first;
	t->answer_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->answer_fd < 0)
		return -errno;
	rc = mailbox_init(&t->box, t->answer_fd);
	if (rc)
		goto close_answer;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the owner's business */
	rc = -pthread_create(&t->thread, NULL, task_main, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!rc)
		return 0;
	mailbox_close(&t->box);
close_answer:
	fd_close(&t->answer_fd);
	return rc;
}

static void pump(struct task *t)
{
	if (t->current || !t->first)
		return;
	t->current = t->first;
	t->first = t->current->next;
	if (!t->first)
		t->last = &t->first;
	mailbox_post(&t->box);
}

void task_post(struct task *t, struct command *command)
{
	command->next = NULL;
	*t->last = command;
	t->last = &command->next;
	pump(t);
}

void task_poll(struct task *t, void *owner)
{
	fd_drain(t->answer_fd);
	while (t->current && mailbox_idle(&t->box)) {
		struct command *done = t->current;

		t->current = NULL;
		pump(t);
		done->done(done, owner);
	}
}

bool task_wait(struct task *t, void *owner)
{
	struct pollfd p = { .fd = t->answer_fd, .events = POLLIN };

	if (!t->current)
		return false;
	while (!mailbox_idle(&t->box))
		if (ppoll(&p, 1, NULL, NULL) > 0)
			fd_drain(t->answer_fd);
	task_poll(t, owner);
	return true;
}

unsigned int task_events(struct task *t)
{
	/* Acquire: pairs with the release in event_tell(). */
	return atomic_exchange_explicit(&t->events, 0, memory_order_acquire);
}

/* The last command, and whether its answer has come. */
struct leave {
	struct command command;
	bool done;
};

static void leave_done(struct command *command, void *owner)
{
	(void)owner;
	container_of(command, struct leave, command)->done = true;
}

void task_end(struct task *t, void *owner)
{
	struct leave leave = { .command = { .kind = COMMAND_EXIT, .done = leave_done } };

	t->first = NULL;
	t->last = &t->first;
	task_post(t, &leave.command);
	while (!leave.done)
		task_wait(t, owner);
	pthread_join(t->thread, NULL);
	mailbox_close(&t->box);
	fd_close(&t->answer_fd);
}
