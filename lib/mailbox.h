/*
 * One command in flight between two threads, woken by eventfds; no lock. The asker writes a command
 * into memory of its own choosing, posts, and reads the answer from the same memory after
 * mailbox_idle(). One asker, one answerer.
 */
#ifndef AIRLOCK_LIB_MAILBOX_H
#define AIRLOCK_LIB_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>

struct mailbox {
	atomic_uint posted;   /* commands posted, written by the asker */
	atomic_uint answered; /* commands answered, written by the answerer */
	int command_fd;	      /* owned: the answerer polls it */
	int answer_fd;	      /* borrowed: the asker polls it; may serve many mailboxes */
};

/* answer_fd is borrowed and outlives the mailbox. 0 or -errno. */
int mailbox_init(struct mailbox *box, int answer_fd);
void mailbox_close(struct mailbox *box);

/* Asker: makes everything written before visible and wakes the answerer. -EBUSY while one is in
 * flight. */
int mailbox_post(struct mailbox *box);
/* Asker: true when no command is in flight; what the answerer wrote is then visible. */
bool mailbox_idle(const struct mailbox *box);
/* Answerer: true when a command waits; what the asker wrote is then visible. Drains command_fd. */
bool mailbox_take(struct mailbox *box);
/* Answerer: publishes the answer and wakes the asker. */
void mailbox_answer(struct mailbox *box);

#endif
