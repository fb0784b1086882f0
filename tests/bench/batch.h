/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch.h - netlink messages written by hand, many in one batch, for floor.c and macvlan.c.  All of
 * it is in this header: each is one small program.  What fails ends the program with exit status 1;
 * what it was goes to standard error after PROGRAM, which who includes this defines.
 */
#ifndef BENCH_BATCH_H
#define BENCH_BATCH_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINK_UP 1 /* IFF_UP: linux/if.h and net/if.h do not agree with each other */
#define BATCH 16384

static inline void die(const char *what)
{
	fprintf(stderr, PROGRAM ": %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Messages of one socket, and the sequence number of the last. */
static _Alignas(struct nlmsghdr) char batch[BATCH];
static size_t used;
static uint32_t seq;
static struct nlmsghdr *msg;

static inline struct mnl_socket *open_socket(int bus)
{
	struct mnl_socket *s = mnl_socket_open2(bus, SOCK_CLOEXEC);

	if (!s)
		die("a netlink socket");
	return s;
}

/* Begins a message after the one before. */
static inline void *begin(uint16_t type, uint16_t flags, size_t header)
{
	used += msg ? NLMSG_ALIGN(msg->nlmsg_len) : 0;
	if (used > BATCH - 2048) {
		errno = ENOSPC;
		die("a batch");
	}
	msg = mnl_nlmsg_put_header(batch + used);
	msg->nlmsg_type = type;
	msg->nlmsg_flags = NLM_F_REQUEST | flags;
	msg->nlmsg_seq = ++seq;
	return mnl_nlmsg_put_extra_header(msg, header);
}

/* Only the last message is answered, unless one fails; `accepted` is no failure. */
static inline void send_batch(struct mnl_socket *s, uint32_t last, int accepted, const char *what)
{
	char answer[4096];

	used += NLMSG_ALIGN(msg->nlmsg_len);
	if (mnl_socket_sendto(s, batch, used) < 0)
		die(what);
	used = 0;
	msg = NULL;
	for (;;) {
		const struct nlmsghdr *h = (const struct nlmsghdr *)answer;
		ssize_t n = mnl_socket_recvfrom(s, answer, sizeof(answer));
		const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);

		if (n < (ssize_t)NLMSG_LENGTH(sizeof(*e)) || h->nlmsg_type != NLMSG_ERROR)
			die(what);
		errno = -e->error;
		if (e->error && errno != accepted) {
			fprintf(stderr, PROGRAM ": message %u of type %u\n", h->nlmsg_seq,
			        e->msg.nlmsg_type);
			die(what);
		}
		if (h->nlmsg_seq == last)
			return;
	}
}

static inline void flush(struct mnl_socket *s, int accepted, const char *what)
{
	msg->nlmsg_flags |= NLM_F_ACK;
	send_batch(s, seq, accepted, what);
}

static inline uint32_t ipv4(const char *text)
{
	struct in_addr a;

	if (inet_pton(AF_INET, text, &a) != 1) {
		errno = EINVAL;
		die(text);
	}
	return a.s_addr;
}

/* Splits "ADDRESS/LEN". */
static inline uint32_t prefix(char *text, unsigned *len)
{
	char *slash = strchr(text, '/');

	*len = slash ? (unsigned)atoi(slash + 1) : 32;
	if (slash)
		*slash = '\0';
	return ipv4(text);
}

/* Links. */
static inline void new_link(uint32_t index, uint16_t flags, unsigned up)
{
	struct ifinfomsg *i = begin(RTM_NEWLINK, flags, sizeof(*i));

	i->ifi_index = (int)index;
	i->ifi_flags = i->ifi_change = up;
}

/* A slave of the card, "ipvlan" (L2) or "macvlan" (bridge), in that namespace. */
static inline void make_slave(const char *kind, uint32_t index, const char *name, uint32_t card,
                              int ns)
{
	struct nlattr *info, *data;

	new_link(index, NLM_F_CREATE | NLM_F_EXCL, 0);
	mnl_attr_put_strz(msg, IFLA_IFNAME, name);
	mnl_attr_put_u32(msg, IFLA_LINK, card);
	mnl_attr_put_u32(msg, IFLA_NET_NS_FD, (uint32_t)ns);
	info = mnl_attr_nest_start(msg, IFLA_LINKINFO);
	mnl_attr_put_strz(msg, IFLA_INFO_KIND, kind);
	data = mnl_attr_nest_start(msg, IFLA_INFO_DATA);
	if (*kind == 'i')
		mnl_attr_put_u16(msg, IFLA_IPVLAN_MODE, IPVLAN_MODE_L2);
	else
		mnl_attr_put_u32(msg, IFLA_MACVLAN_MODE, MACVLAN_MODE_BRIDGE);
	mnl_attr_nest_end(msg, data);
	mnl_attr_nest_end(msg, info);
}

/* accepted: as of flush */
static inline void del_link(struct mnl_socket *s, const char *name, int accepted)
{
	struct ifinfomsg *i = begin(RTM_DELLINK, 0, sizeof(*i));

	i->ifi_family = AF_UNSPEC;
	mnl_attr_put_strz(msg, IFLA_IFNAME, name);
	flush(s, accepted, name);
}

/* Addresses, routes. */
static inline void address(uint32_t index, uint32_t ip, unsigned len)
{
	struct ifaddrmsg *a = begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(*a));

	a->ifa_family = AF_INET;
	a->ifa_prefixlen = (uint8_t)len;
	a->ifa_index = index;
	mnl_attr_put_u32(msg, IFA_LOCAL, ip);
	mnl_attr_put_u32(msg, IFA_ADDRESS, ip);
	if (len < 31)
		mnl_attr_put_u32(msg, IFA_BROADCAST, ip | htonl(0xffffffffU >> len));
}

/* via and src: 0 for none */
static inline void route(uint32_t table, uint32_t dst, unsigned len, uint32_t index, uint32_t via,
                         uint32_t src)
{
	struct rtmsg *r = begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof(*r));

	r->rtm_family = AF_INET;
	r->rtm_dst_len = (uint8_t)len;
	r->rtm_protocol = RTPROT_BOOT;
	r->rtm_scope = via ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	r->rtm_type = RTN_UNICAST;
	if (len)
		mnl_attr_put_u32(msg, RTA_DST, dst);
	mnl_attr_put_u32(msg, RTA_TABLE, table);
	mnl_attr_put_u32(msg, RTA_OIF, index);
	if (via)
		mnl_attr_put_u32(msg, RTA_GATEWAY, via);
	if (src)
		mnl_attr_put_u32(msg, RTA_PREFSRC, src);
}

/* Namespaces and sysctls. */
static inline int open_netns(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die(path);
	return fd;
}

static inline void enter(int ns)
{
	if (setns(ns, CLONE_NEWNET) < 0)
		die("setns");
}

static inline void set(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, 1) != 1)
		die(path);
	close(fd);
}

#endif
