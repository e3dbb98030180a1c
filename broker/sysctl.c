/*
 * One write to /proc/sys/net, for what netlink does not offer. Runs in the broker while it is
 * privileged; trusts its callers with the names.
 */
#include "broker/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int sysctl_interface(const char *family, const char *interface, const char *key, const char *value)
{
	char path[128];
	int fd, error = 0, n;

	n = snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, interface, key);
	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		error = -errno;
	close(fd);
	return error;
}
