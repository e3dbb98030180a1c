/*
 * What happens to the TAP on the host. Opened by the broker while it is privileged, read in its
 * loop afterwards; trusts the kernel, from which alone a netlink socket of this kind hears.
 */
#include "broker/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>

#include "broker/rtnl.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/util.h"

#define DATAGRAM_BYTES 32768 /* what the kernel sends at most in one */
#define NEWS_A_TURN    64    /* so that a host of many interfaces leaves time for the rest */

/* Only of this interface: on a host of many the kernel speaks of others all the time, and that
 * would wake every broker. */
static int listen_to(int sock, int index)
{
	struct sock_filter of_ours[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 NLMSG_HDRLEN + offsetof(struct ifinfomsg, ifi_index)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl((uint32_t)index), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog filter = { ARRAY_SIZE(of_ours), of_ours };

	return setsockopt(sock, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) ? -errno : 0;
}

int link_open(struct link *link, const char *name, int index, unsigned mtu)
{
	struct sockaddr_nl group = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	struct rtnl_link now;
	int error;

	*link = (struct link){ .sock = -1, .index = index, .up = true, .mtu = mtu };
	if (!index)
		return 0;
	link->sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (link->sock < 0)
		return -errno;
	error = listen_to(link->sock, index);
	if (!error && bind(link->sock, (struct sockaddr *)&group, sizeof(group)))
		error = -errno;
	/* After the subscription: no change falls between the two. */
	if (!error)
		error = rtnl_link_get(name, &now);
	if (error) {
		fd_close(&link->sock);
		return error;
	}
	link->up = now.up;
	link->mtu = now.mtu;
	return 0;
}

static int news_read(const struct nlmsghdr *news, void *arg)
{
	const struct ifinfomsg *head = mnl_nlmsg_get_payload(news);
	const struct nlattr *at;
	struct link *link = arg;

	if (news->nlmsg_type != RTM_NEWLINK || head->ifi_index != link->index ||
	    head->ifi_family != AF_UNSPEC) /* a bridge speaks of its ports too */
		return MNL_CB_OK;
	link->up = head->ifi_flags & IFF_UP;
	mnl_attr_for_each(at, news, sizeof(*head))
	{
		if (mnl_attr_get_type(at) == IFLA_MTU)
			link->mtu = mnl_attr_get_u32(at);
	}
	return MNL_CB_OK;
}

/* The kernel had more to say than the socket holds: asks for what counts. */
static void ask_again(struct link *link)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg which;
	} request = { .head = { .nlmsg_len = sizeof(request),
				.nlmsg_type = RTM_GETLINK,
				.nlmsg_flags = NLM_F_REQUEST },
		      .which = { .ifi_index = link->index } };

	if (send(link->sock, &request, sizeof(request), 0) < 0)
		warn("the TAP's link may have changed unseen (error %d)", errno);
}

static void news_ready(void *arg, short revents)
{
	struct link *link = arg;
	const bool up = link->up;
	const unsigned mtu = link->mtu;
	static char datagram[DATAGRAM_BYTES];

	(void)revents;
	for (int i = 0; i < NEWS_A_TURN; i++) {
		ssize_t n = recv(link->sock, datagram, sizeof(datagram), MSG_DONTWAIT);

		if (n < 0 && errno == ENOBUFS)
			ask_again(link);
		else if (n <= 0)
			break;
		else
			mnl_cb_run(datagram, (size_t)n, 0, 0, news_read, link);
	}
	if (link->up != up || link->mtu != mtu)
		link->changed(link->arg);
}

void link_begin(struct link *link, struct loop *loop, void (*changed)(void *arg), void *arg)
{
	link->changed = changed;
	link->arg = arg;
	link->watch = (struct watch){
		.fd = link->sock, .events = POLLIN, .ready = news_ready, .arg = link
	};
	if (link->sock >= 0)
		loop_add(loop, &link->watch);
}

void link_close(struct link *link)
{
	fd_close(&link->sock);
}
