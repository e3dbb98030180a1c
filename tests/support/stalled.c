/*
 * The least file system that a file can lie in: one directory, one file of zeroes. Its thread
 * answers the kernel's requests, all but the one that it is told to leave; trusts the kernel alone.
 */
#include "tests/support/stalled.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/fd.h"

#define NAME	    "memory"
#define FILE_NODE   2 /* FUSE_ROOT_ID is 1 */
#define WRITE_MAX   4096u
#define REQUEST_MAX (FUSE_MIN_READ_BUFFER + WRITE_MAX)

static struct fuse_attr attributes(const struct stalled *s, uint64_t node)
{
	bool file = node == FILE_NODE;

	return (struct fuse_attr){ .ino = node,
				   .size = file ? s->bytes : 0,
				   .mode = file ? S_IFREG | 0666 : S_IFDIR | 0755,
				   .nlink = 1,
				   .blksize = 4096 };
}

static void answer(const struct stalled *s, const struct fuse_in_header *in, int error,
		   const void *payload, size_t len)
{
	static uint8_t bytes[sizeof(struct fuse_out_header) + (1 << 17)];
	struct fuse_out_header out = { .error = error, .unique = in->unique };

	if (len > sizeof(bytes) - sizeof(out))
		len = sizeof(bytes) - sizeof(out);
	out.len = (uint32_t)(sizeof(out) + len);
	memcpy(bytes, &out, sizeof(out));
	if (payload)
		memcpy(bytes + sizeof(out), payload, len);
	else
		memset(bytes + sizeof(out), 0, len);
	/* Who asked may be gone: no answer is missed then. */
	if (write(s->fuse, bytes, out.len) < 0 && errno != ENOENT)
		perror("stalled: answer");
}

static void serve(const struct stalled *s, const struct fuse_in_header *in, const void *arg)
{
	const struct fuse_read_in *wanted = arg;
	const struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION,
					    .minor = 31,
					    .max_write = WRITE_MAX };
	const struct fuse_entry_out entry = { .nodeid = FILE_NODE,
					      .attr = attributes(s, FILE_NODE) };
	const struct fuse_attr_out attr = { .attr = attributes(s, in->nodeid) };
	const struct fuse_open_out opened = { .fh = 1 };
	const struct fuse_write_out written = { .size = wanted->size };

	switch (in->opcode) {
	case FUSE_INIT:
		answer(s, in, 0, &init, sizeof(init));
		break;
	case FUSE_LOOKUP:
		answer(s, in, 0, &entry, sizeof(entry));
		break;
	case FUSE_GETATTR:
	case FUSE_SETATTR:
		answer(s, in, 0, &attr, sizeof(attr));
		break;
	case FUSE_OPEN:
		answer(s, in, 0, &opened, sizeof(opened));
		break;
	case FUSE_READ:
		answer(s, in, 0, NULL, wanted->size);
		break;
	case FUSE_WRITE: /* begins as a read does */
		answer(s, in, 0, &written, sizeof(written));
		break;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
		answer(s, in, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break; /* have no answer */
	default:
		answer(s, in, -ENOSYS, NULL, 0);
	}
}

static void *run(void *arg)
{
	static uint8_t request[REQUEST_MAX] __attribute__((aligned(8)));
	const struct fuse_in_header *in = (const void *)request;
	struct stalled *s = arg;
	struct pollfd p = { .fd = s->fuse, .events = POLLIN };

	while (!s->end) {
		if (poll(&p, 1, 10) != 1)
			continue;
		if (read(s->fuse, request, sizeof(request)) < (ssize_t)sizeof(*in))
			continue;
		if (s->mute && in->opcode == s->mute)
			s->unanswered++;
		else
			serve(s, in, in + 1);
	}
	return NULL;
}

/* A mount that is nowhere: it lasts as long as its file is open. -1: errno. */
static int mount_make(int fuse)
{
	int context = fsopen("fuse", FSOPEN_CLOEXEC), mount = -1;
	char number[16];

	if (context < 0)
		return -1;
	snprintf(number, sizeof(number), "%d", fuse);
	if (!fsconfig(context, FSCONFIG_SET_STRING, "fd", number, 0) &&
	    !fsconfig(context, FSCONFIG_SET_STRING, "rootmode", "40000", 0) &&
	    !fsconfig(context, FSCONFIG_SET_STRING, "user_id", "0", 0) &&
	    !fsconfig(context, FSCONFIG_SET_STRING, "group_id", "0", 0) &&
	    !fsconfig(context, FSCONFIG_SET_FLAG, "allow_other", NULL, 0) &&
	    !fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		mount = fsmount(context, FSMOUNT_CLOEXEC, 0);
	close(context);
	return mount;
}

int stalled_open(struct stalled *s, uint64_t bytes)
{
	int mount = -1, rc = 0;

	*s = (struct stalled){ .fuse = -1, .file = -1, .bytes = bytes };
	s->fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (s->fuse < 0)
		return -errno;
	mount = mount_make(s->fuse);
	if (mount < 0) {
		rc = -errno;
		fd_close(&s->fuse);
		return rc;
	}
	rc = -pthread_create(&s->thread, NULL, run, s);
	if (rc) {
		fd_close(&s->fuse);
	} else {
		s->file = openat(mount, NAME, O_RDWR | O_CLOEXEC);
		rc = s->file < 0 ? -errno : 0;
		if (rc)
			stalled_close(s);
	}
	close(mount);
	return rc;
}

bool stalled_holds(struct stalled *s, int timeout_ms)
{
	for (; !s->unanswered && timeout_ms > 0; timeout_ms--)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	return s->unanswered;
}

void stalled_close(struct stalled *s)
{
	if (s->fuse < 0)
		return;
	s->end = true;
	pthread_join(s->thread, NULL);
	fd_close(
		&s->fuse); /* the kernel ends what waits; our own close of the file waits no more */
	fd_close(&s->file);
}
