/*
 * The device task: a thread that owns the vhost-user client and does commands in the order they
 * were posted, one at a time, each until its deadline at most. The FIFO is the poster's; the thread
 * sees one command at a time, through a mailbox, so nothing is shared and nothing locked. All
 * functions but the thread's own are the poster's, serialised by it.
 */
#ifndef AIRLOCK_FRONTEND_TASK_H
#define AIRLOCK_FRONTEND_TASK_H

#include <pthread.h>
#include <stdatomic.h>

#include "frontend/client.h"
#include "lib/mailbox.h"

enum command_kind {
	COMMAND_CONNECT,     /* have a connection; answers `offered`, `rings` */
	COMMAND_ENABLE,	     /* `queues` with `features`, all or none */
	COMMAND_DISABLE,     /* stop all, then reset; always succeeds */
	COMMAND_STOP,	     /* stop all; bases in `queues` */
	COMMAND_START,	     /* as ENABLE, at their bases */
	COMMAND_RESET,	     /* as DISABLE */
	COMMAND_READ_CONFIG, /* exactly [offset, offset + len) to or from `bytes` */
	COMMAND_WRITE_CONFIG,
	COMMAND_QUEUE_START, /* `queue` */
	COMMAND_QUEUE_STOP,
	COMMAND_QUEUE_CALL,
	COMMAND_MEMORY_ADD, /* `slot`, whose descriptor the command owns */
	COMMAND_MEMORY_REMOVE,
	COMMAND_EXIT,
	COMMANDS
};

/* The poster's memory, from task_post() to done(). */
struct command {
	enum command_kind kind;
	struct command *next;
	void (*done)(struct command *command, void *owner);
	int result; /* 0 or -errno */
	union {
		struct {
			struct client_queue *queues; /* ascending; `call` is owned and closed */
			unsigned int nqueues;
			uint64_t features;
			uint64_t offered,
				rings; /* of CONNECT: virtio features; GET_QUEUE_NUM or 0 */
			bool has_config;
		};
		struct client_queue queue; /* `call` likewise */
		struct {
			uint16_t offset;
			uint8_t len;
			uint8_t *bytes;
		};
		struct slot slot;
	};
};

/* What happened without being asked for. */
#define TASK_LOST    1u /* the back-end, while rings ran */
#define TASK_CHANGED 2u /* its configuration */

struct task {
	pthread_t thread;
	struct mailbox box;
	int answer_fd; /* owned: readable when task_poll() has something to do */
	struct command *current, *first, **last; /* posted to the thread; waiting */
	atomic_uint events;
	/* From here on the thread's, constant after task_start() or written before an answer. */
	int (*connect)(void *opaque);
	void (*begin)(void *opaque); /* first thing in the thread; may be NULL */
	void *opaque;
	unsigned int deadline_ms;
	struct client client;
	struct slots slots;
};

/* connect, opaque, deadline_ms are set. */
int task_start(struct task *t);
/* Waits for the command that runs; those that wait are never done. */
void task_end(struct task *t, void *owner);
void task_post(struct task *t, struct command *command);
/* Calls done() of what has been done. */
void task_poll(struct task *t, void *owner);
/* Waits until a command is done, and polls. False: none was posted. */
bool task_wait(struct task *t, void *owner);
unsigned int task_events(struct task *t);

#endif
