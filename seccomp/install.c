/* The installer: the confined device's own half of this room, running in its threads after
 * everything else is set up. It trusts the bytes (the broker proved them and sealed the file) and
 * checks only what would make it misread them. */
#include "seccomp/install.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int install_load(int fd, struct sock_filter *buf, size_t max)
{
	struct stat st;
	size_t size, done = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size <= 0 || st.st_size % (off_t)sizeof(*buf))
		return -EINVAL;
	if (st.st_size > (off_t)(INSTALL_MAX * sizeof(*buf)) ||
	    (size_t)st.st_size > max * sizeof(*buf))
		return -E2BIG;
	size = (size_t)st.st_size;
	while (done < size) {
		ssize_t n = pread(fd, (char *)buf + done, size - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EINVAL;
		done += (size_t)n;
	}
	/* No file of another kind ends so, and the kernel could only say so once nobody hears us.
	 */
	if (BPF_CLASS(buf[size / sizeof(*buf) - 1].code) != BPF_RET)
		return -EINVAL;
	return (int)(size / sizeof(*buf));
}

int install_set(const struct sock_filter *insns, unsigned short count)
{
	struct sock_fprog program = { .len = count, .filter = (struct sock_filter *)insns };

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return -errno;
	return 0;
}

int install_filter(int fd)
{
	struct sock_filter buf[INSTALL_MAX];
	int count = install_load(fd, buf, INSTALL_MAX);

	return count < 0 ? count : install_set(buf, (unsigned short)count);
}
