/*
 * One question to the kernel about an interface, one answer. Runs in the broker while it is
 * privileged; the answers come from the kernel alone.
 */
#include "broker/rtnl.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

#include "lib/util.h"

#define MESSAGE_BYTES 1024 /* the largest request: a name and one attribute */
#define ANSWER_BYTES  8192 /* a page or more: what the kernel sends at most in one datagram */

struct request {
	struct nlmsghdr head;
	char room[MESSAGE_BYTES];
};

/* Sends the request, hands each part of the answer to `part`. */
static int rtnl_ask(struct request *request, mnl_cb_t part, void *arg)
{
	char answer[ANSWER_BYTES];
	struct mnl_socket *sock = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	ssize_t n;
	int error = 0;

	if (!sock)
		return -errno;
	if (mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_sendto(sock, request, request->head.nlmsg_len) < 0)
		error = -errno;
	if (!error) {
		n = mnl_socket_recvfrom(sock, answer, sizeof(answer));
		if (n < 0 || mnl_cb_run(answer, (size_t)n, request->head.nlmsg_seq,
					mnl_socket_get_portid(sock), part, arg) < 0)
			error = -errno;
	}
	mnl_socket_close(sock);
	return error;
}

static void *rtnl_begin(struct request *request, uint16_t type, uint16_t flags, size_t head_bytes)
{
	mnl_nlmsg_put_header(request);
	request->head.nlmsg_type = type;
	request->head.nlmsg_flags = NLM_F_REQUEST | flags;
	request->head.nlmsg_seq = 1;
	return mnl_nlmsg_put_extra_header(&request->head, head_bytes);
}

static void tun_read(const struct nlattr *data, struct rtnl_link *link)
{
	const struct nlattr *at;

	mnl_attr_for_each_nested(at, data)
	{
		switch (mnl_attr_get_type(at)) {
		case IFLA_TUN_TYPE:
			link->tap = mnl_attr_get_u8(at) == IFF_TAP;
			break;
		case IFLA_TUN_PI:
			link->packet_info = mnl_attr_get_u8(at);
			break;
		case IFLA_TUN_MULTI_QUEUE:
			link->multi_queue = mnl_attr_get_u8(at);
			break;
		case IFLA_TUN_NUM_QUEUES:
		case IFLA_TUN_NUM_DISABLED_QUEUES:
			link->attached += mnl_attr_get_u32(at);
			break;
		default:
			break;
		}
	}
}

static void linkinfo_read(const struct nlattr *info, struct rtnl_link *link)
{
	const struct nlattr *at, *kind = NULL, *data = NULL;

	mnl_attr_for_each_nested(at, info)
	{
		if (mnl_attr_get_type(at) == IFLA_INFO_KIND)
			kind = at;
		if (mnl_attr_get_type(at) == IFLA_INFO_DATA)
			data = at;
	}
	if (kind && data && !strcmp(mnl_attr_get_str(kind), "tun"))
		tun_read(data, link);
}

static int link_read(const struct nlmsghdr *answer, void *arg)
{
	const struct ifinfomsg *head = mnl_nlmsg_get_payload(answer);
	struct rtnl_link *link = arg;
	const struct nlattr *at;

	link->index = head->ifi_index;
	link->up = head->ifi_flags & IFF_UP;
	mnl_attr_for_each(at, answer, sizeof(*head))
	{
		if (mnl_attr_get_type(at) == IFLA_MTU)
			link->mtu = mnl_attr_get_u32(at);
		if (mnl_attr_get_type(at) == IFLA_QDISC)
			link->queued = strcmp(mnl_attr_get_str(at), "noop") != 0;
		if (mnl_attr_get_type(at) == IFLA_LINKINFO)
			linkinfo_read(at, link);
	}
	return MNL_CB_OK;
}

int rtnl_link_get(const char *name, struct rtnl_link *out)
{
	struct request request;
	struct ifinfomsg *head = rtnl_begin(&request, RTM_GETLINK, 0, sizeof(*head));

	head->ifi_family = AF_UNSPEC;
	mnl_attr_put_strz(&request.head, IFLA_IFNAME, name);
	mnl_attr_put_u32(&request.head, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	*out = (struct rtnl_link){ 0 };
	return rtnl_ask(&request, link_read, out);
}

int rtnl_link_set_mtu(int index, unsigned mtu)
{
	struct request request;
	struct ifinfomsg *head = rtnl_begin(&request, RTM_NEWLINK, NLM_F_ACK, sizeof(*head));

	head->ifi_index = index;
	mnl_attr_put_u32(&request.head, IFLA_MTU, mtu);
	return rtnl_ask(&request, NULL, NULL);
}

int rtnl_link_set_up(int index)
{
	struct request request;
	struct ifinfomsg *head = rtnl_begin(&request, RTM_NEWLINK, NLM_F_ACK, sizeof(*head));

	head->ifi_index = index;
	head->ifi_change = head->ifi_flags = IFF_UP;
	return rtnl_ask(&request, NULL, NULL);
}

int rtnl_link_unqueue(int index)
{
	struct request request;
	struct tcmsg *head = rtnl_begin(&request, RTM_NEWQDISC,
					NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, sizeof(*head));

	head->tcm_ifindex = index;
	head->tcm_parent = TC_H_ROOT;
	mnl_attr_put_strz(&request.head, TCA_KIND, "noqueue");
	return rtnl_ask(&request, NULL, NULL);
}

static int address_ask(uint16_t type, uint16_t flags, int index, const struct address *address)
{
	struct request request;
	struct ifaddrmsg *head = rtnl_begin(&request, type, NLM_F_ACK | flags, sizeof(*head));
	size_t size = address_size(address);

	head->ifa_family = (uint8_t)address->family;
	head->ifa_prefixlen = address->prefix;
	head->ifa_flags = address->family == AF_INET6 ? IFA_F_NODAD : 0;
	head->ifa_index = (uint32_t)index;
	mnl_attr_put(&request.head, IFA_LOCAL, size, address->bytes);
	mnl_attr_put(&request.head, IFA_ADDRESS, size, address->bytes);
	if (address->family == AF_INET && address->prefix < 31) {
		uint32_t broadcast;

		memcpy(&broadcast, address->bytes, sizeof(broadcast));
		broadcast |= htobe32(UINT32_MAX >> address->prefix);
		mnl_attr_put(&request.head, IFA_BROADCAST, size, &broadcast);
	}
	return rtnl_ask(&request, NULL, NULL);
}

int rtnl_address_add(int index, const struct address *address)
{
	return address_ask(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, address);
}

int rtnl_address_remove(int index, const struct address *address)
{
	return address_ask(RTM_DELADDR, 0, index, address);
}
