/*
 * Descriptors with one owner. A descriptor variable holds -1 when it owns nothing; fd_take() moves
 * ownership. None of these functions blocks; all errors are -errno. Async-signal- and thread-safe.
 */
#ifndef AIRLOCK_LIB_FD_H
#define AIRLOCK_LIB_FD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FD_PASS_MAX 253 /* SCM_MAX_FD of Linux */

/* Closes *fd unless it is -1 and leaves -1. */
void fd_close(int *fd);
/* Returns *fd and leaves -1: the caller is the owner now. */
int fd_take(int *fd);
/* Closes n descriptors and leaves -1 in each. */
void fd_close_all(int *fds, size_t n);

/* Closes every descriptor but these n and the standard ones; sorts them. A negative one stands for
 * none. 0 or -errno. */
int fd_keep_only(int *fds, size_t n);

#define _cleanup_fd __attribute__((cleanup(fd_close)))

/* Opens /dev/null in place of standard descriptors that are missing: they would be given to the
 * first files that a program opens. */
void fd_fill_stdio(void);

/* Adds n to a non-blocking eventfd; a saturated counter is already a wake-up and no error. */
int fd_signal(int eventfd);
/* Empties an eventfd; 0 also when it was empty. */
int fd_drain(int eventfd);

/*
 * One packet with descriptors over a SOCK_SEQPACKET socket, without waiting. The sender keeps its
 * descriptors. fd_recv: *nfds is the room in fds on entry, the number received (CLOEXEC, owned by
 * the caller) on return. A packet that brings more bytes or descriptors than there is room for is
 * -EMSGSIZE and nothing is kept. 0 bytes: end of file.
 */
ssize_t fd_send(int sock, const void *buf, size_t len, const int *fds, size_t nfds);
ssize_t fd_recv(int sock, void *buf, size_t len, int *fds, size_t *nfds);

#endif
