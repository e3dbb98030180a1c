/*
 * A mailbox between a control thread and a worker of one process. Either thread may be compromised
 * together with the other, so nothing here is checked against malice: it only orders memory and
 * wakes.
 */
#include "lib/mailbox.h"

#include <errno.h>
#include <sys/eventfd.h>

#include "lib/fd.h"

int mailbox_init(struct mailbox *box, int answer_fd)
{
	*box = (struct mailbox){ .answer_fd = answer_fd };
	box->command_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return box->command_fd < 0 ? -errno : 0;
}

void mailbox_close(struct mailbox *box)
{
	fd_close(&box->command_fd);
}

int mailbox_post(struct mailbox *box)
{
	if (!mailbox_idle(box))
		return -EBUSY;
	/* Release: pairs with the acquire in mailbox_take(). */
	atomic_fetch_add_explicit(&box->posted, 1, memory_order_release);
	return fd_signal(box->command_fd);
}

bool mailbox_idle(const struct mailbox *box)
{
	/* Acquire: pairs with the release in mailbox_answer(). */
	return atomic_load_explicit(&box->answered, memory_order_acquire) ==
	       atomic_load_explicit(&box->posted, memory_order_relaxed);
}

bool mailbox_take(struct mailbox *box)
{
	fd_drain(box->command_fd);
	/* Acquire: pairs with the release in mailbox_post(). */
	return atomic_load_explicit(&box->posted, memory_order_acquire) !=
	       atomic_load_explicit(&box->answered, memory_order_relaxed);
}

void mailbox_answer(struct mailbox *box)
{
	/* Release: pairs with the acquire in mailbox_idle(). */
	atomic_fetch_add_explicit(&box->answered, 1, memory_order_release);
	fd_signal(box->answer_fd);
}
