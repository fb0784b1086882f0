/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notices.c - see notices.h.
 */
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/nl.h"
#include "net/notices.h"

#define RECEIVE_BYTES 8192 /* the kernel cuts what is longer, and the rest tells nothing new */
#define BIT(group) (1u << ((group)-1))

int notices_open(enum notices_of groups, int *fd, struct err *e)
{
	static const uint32_t bits[] = {
		BIT(RTNLGRP_LINK),
		BIT(RTNLGRP_IPV4_IFADDR) | BIT(RTNLGRP_IPV6_IFADDR),
		BIT(RTNLGRP_IPV4_ROUTE) | BIT(RTNLGRP_IPV6_ROUTE),
		BIT(RTNLGRP_IPV4_RULE) | BIT(RTNLGRP_IPV6_RULE),
		BIT(RTNLGRP_NEIGH),
	};
	struct sockaddr_nl to = { .nl_family = AF_NETLINK };
	AUTO_FD int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (s < 0)
		return err_sys(e, errno, "open a netlink socket");
	for (size_t i = 0; i < ARRAY_LEN(bits); i++)
		if (groups & 1u << i)
			to.nl_groups |= bits[i];
	if (bind(s, (const struct sockaddr *)&to, sizeof(to)) < 0)
		return err_sys(e, errno, "be told of changes by netlink");
	*fd = take_fd(&s);
	return 0;
}

/* The family header of a message, or NULL when it is cut. */
static const void *header(const struct nlmsghdr *m, size_t len)
{
	return m->nlmsg_len >= NLMSG_LENGTH(len) ? NLMSG_DATA(m) : NULL;
}

/* The attribute behind a family header of that length, or NULL. */
static const void *attribute(const struct nlmsghdr *m, size_t header_len, uint16_t type, size_t len)
{
	size_t start = NLMSG_SPACE(header_len);

	if (m->nlmsg_len <= start)
		return NULL;
	return nl_attr_in((const char *)m + start, m->nlmsg_len - start, type, len, NULL);
}

static uint32_t number(const struct nlmsghdr *m, size_t header_len, uint16_t type,
                       uint32_t otherwise)
{
	const void *v = attribute(m, header_len, type, sizeof(otherwise));

	if (v)
		memcpy(&otherwise, v, sizeof(otherwise));
	return otherwise;
}

/* Of family 0 when there is none. */
static struct ip address(const struct nlmsghdr *m, size_t header_len, uint8_t af, uint16_t type)
{
	struct ip ip = { .family = af == AF_INET ? 4 : af == AF_INET6 ? 6 : 0 };
	const void *v = ip.family ? attribute(m, header_len, type, ip_bytes(ip)) : NULL;

	if (!v)
		return (struct ip){ .family = 0 };
	memcpy(ip.bytes, v, ip_bytes(ip));
	return ip;
}

static struct notice parse_neigh(const struct nlmsghdr *m)
{
	const struct ndmsg *h = header(m, sizeof(*h));
	struct notice n = { .type = m->nlmsg_type };

	if (!h)
		return n;
	n.index = h->ndm_ifindex;
	n.state = h->ndm_state;
	n.ip = address(m, sizeof(*h), h->ndm_family, NDA_DST);
	return n;
}

static struct notice parse_addr(const struct nlmsghdr *m)
{
	const struct ifaddrmsg *h = header(m, sizeof(*h));
	struct notice n = { .type = m->nlmsg_type };

	if (!h)
		return n;
	n.index = (int)h->ifa_index;
	/* an IPv4 address may have one on the other side, which is called the address */
	n.ip = address(m, sizeof(*h), h->ifa_family,
	               h->ifa_family == AF_INET ? IFA_LOCAL : IFA_ADDRESS);
	return n;
}

static struct notice parse(const struct nlmsghdr *m)
{
	struct notice n = { .type = m->nlmsg_type };
	const struct ifinfomsg *link;
	const struct rtmsg *route;

	switch (m->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		link = header(m, sizeof(*link));
		n.index = link ? link->ifi_index : 0;
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		return parse_addr(m);
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
	case RTM_NEWRULE: /* struct fib_rule_hdr has the table at the same place, as FRA_TABLE is */
	case RTM_DELRULE:
		route = header(m, sizeof(*route));
		if (!route)
			break;
		n.table = number(m, sizeof(*route), RTA_TABLE, route->rtm_table);
		if (m->nlmsg_type == RTM_NEWROUTE || m->nlmsg_type == RTM_DELROUTE)
			n.index = (int)number(m, sizeof(*route), RTA_OIF, 0);
		break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		return parse_neigh(m);
	default:
		break;
	}
	return n;
}

bool notices_take(int fd, notices_pick pick, void *arg)
{
	_Alignas(struct nlmsghdr) char buf[RECEIVE_BYTES];
	bool any = false;

	for (;;) {
		ssize_t got = recv(fd, buf, sizeof(buf), 0);
		size_t left = got > 0 ? (size_t)got : 0;

		if (got < 0 && errno == ENOBUFS) {
			any = true;
			if (pick)
				pick(&(const struct notice){ .type = NLMSG_OVERRUN }, arg);
		} else if (got == 0 || (got < 0 && errno != EINTR)) {
			return any;
		}
		for (const struct nlmsghdr *m = (const void *)buf; left >= sizeof(*m);) {
			size_t step = NLMSG_ALIGN(m->nlmsg_len);
			struct notice n;

			if (m->nlmsg_len < sizeof(*m) || m->nlmsg_len > left)
				break;
			n = parse(m);
			any = !pick || pick(&n, arg) || any;
			left -= step < left ? step : left;
			m = (const void *)((const char *)m + step);
		}
	}
}
