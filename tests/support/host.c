/*
 * The host's side of a TAP. Runs in the test process as root, in a network namespace of its own, so
 * that no frame of the machine's gets in and nothing that a test does gets out.
 */
#include "tests/support/host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/fd.h"

#define CAPTURE_BYTES (64 << 20)

static int interface_ioctl(const char *interface, unsigned long request, struct ifreq *ifr)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc = 0;

	if (sock < 0)
		return -errno;
	snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", interface);
	if (ioctl(sock, request, ifr) < 0)
		rc = -errno;
	close(sock);
	return rc;
}

int host_set_up(const char *interface, int mtu)
{
	struct ifreq ifr = { 0 };
	int rc = 0;

	if (mtu) {
		ifr.ifr_mtu = mtu;
		rc = interface_ioctl(interface, SIOCSIFMTU, &ifr);
	}
	if (rc)
		return rc;
	ifr.ifr_flags = IFF_UP;
	return interface_ioctl(interface, SIOCSIFFLAGS, &ifr);
}

int host_enter(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	return host_set_up("lo", 0);
}

bool host_has(const char *interface)
{
	return if_nametoindex(interface) != 0;
}

int host_mtu(const char *interface)
{
	struct ifreq ifr = { 0 };
	int rc = interface_ioctl(interface, SIOCGIFMTU, &ifr);

	return rc ? rc : ifr.ifr_mtu;
}

int host_flags(const char *interface)
{
	struct ifreq ifr = { 0 };
	int rc = interface_ioctl(interface, SIOCGIFFLAGS, &ifr);

	return rc ? rc : (unsigned short)ifr.ifr_flags;
}

int host_tap(char name[16], short flags)
{
	struct ifreq ifr = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | flags) };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), size = 12, rc;

	if (fd < 0)
		return -errno;
	memcpy(ifr.ifr_name, name, IFNAMSIZ);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &size) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	memcpy(name, ifr.ifr_name, IFNAMSIZ);
	return fd;
}

int host_counters(const char *interface, struct host_counters *counters)
{
	char line[512], name[IFNAMSIZ];
	int rc = -ENODEV;
	FILE *f = fopen("/proc/thread-self/net/dev", "re");

	if (!f)
		return -errno;
	while (rc && fgets(line, sizeof(line), f)) {
		int at = 0;

		if (sscanf(line, " %15[^:]:%n", name, &at) != 1 || strcmp(name, interface) != 0)
			continue;
		/* bytes packets errs drop fifo frame compressed multicast, then the same out */
		if (sscanf(line + at, "%lu %lu %*u %lu %*u %*u %*u %*u %*u %lu %*u %lu",
			   &counters->rx_bytes, &counters->rx_frames, &counters->rx_dropped,
			   &counters->tx_frames, &counters->tx_dropped) == 5)
			rc = 0;
	}
	fclose(f);
	return rc;
}

int wire_open(struct wire *wire, const char *interface, uint16_t type)
{
	struct sockaddr_ll a = { .sll_family = AF_PACKET,
				 .sll_protocol = htons(type),
				 .sll_ifindex = (int)if_nametoindex(interface) };
	int on = 1, bytes = CAPTURE_BYTES, rc;

	*wire = (struct wire){ .sock = -1, .timeout_ms = WIRE_WAIT_MS };
	if (!a.sll_ifindex)
		return -ENODEV;
	/* Protocol 0 until bound: nothing of other interfaces is captured in between. */
	wire->sock = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (wire->sock < 0)
		return -errno;
	if (setsockopt(wire->sock, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) < 0 ||
	    setsockopt(wire->sock, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) < 0 ||
	    setsockopt(wire->sock, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0 ||
	    setsockopt(wire->sock, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0 ||
	    bind(wire->sock, (struct sockaddr *)&a, sizeof(a)) < 0) {
		rc = -errno;
		fd_close(&wire->sock);
		return rc;
	}
	return 0;
}

void wire_close(struct wire *wire)
{
	fd_close(&wire->sock);
}

int wire_send(struct wire *wire, const struct virtio_net_hdr *hdr, const void *frame, size_t len)
{
	struct virtio_net_hdr none = { 0 };
	struct iovec iov[2] = { { .iov_base = (void *)(hdr ? hdr : &none),
				  .iov_len = sizeof(none) },
				{ .iov_base = (void *)frame, .iov_len = len } };

	if (writev(wire->sock, iov, 2) < 0)
		return errno == ENOBUFS ? -EAGAIN : -errno;
	return 0;
}

int wire_recv(struct wire *wire, struct virtio_net_hdr *hdr, void *frame, size_t room)
{
	struct virtio_net_hdr ignored;
	struct iovec iov[2] = { { .iov_base = hdr ? hdr : &ignored, .iov_len = sizeof(ignored) },
				{ .iov_base = frame, .iov_len = room } };
	struct pollfd p = { .fd = wire->sock, .events = POLLIN };
	ssize_t n;

	if (poll(&p, 1, wire->timeout_ms) != 1)
		return -ETIMEDOUT;
	n = readv(wire->sock, iov, 2);
	if (n < 0)
		return -errno;
	return (int)n - (int)sizeof(ignored);
}

void wire_drain(struct wire *wire)
{
	char waste[64];

	while (recv(wire->sock, waste, sizeof(waste), MSG_DONTWAIT) >= 0)
		;
}
