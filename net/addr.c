/* SPDX-License-Identifier: Apache-2.0 */
/*
 * addr.c - addresses of interfaces: added and listed.
 */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net/addr.h"

static void build(struct nl_req *r, uint16_t type, uint16_t flags, int index, struct cidr a)
{
	struct ifaddrmsg *h;

	nl_req_init(r, type, flags, sizeof(*h));
	h = nl_header(r);
	h->ifa_family = a.ip.family == 4 ? AF_INET : AF_INET6;
	h->ifa_prefixlen = a.len;
	h->ifa_index = (unsigned int)index;
	nl_put(r, IFA_LOCAL, a.ip.bytes, ip_bytes(a.ip));
	nl_put(r, IFA_ADDRESS, a.ip.bytes, ip_bytes(a.ip));
}

int addr_add(struct nl *nl, int index, struct cidr a, struct err *e)
{
	struct ip broadcast = cidr_broadcast(a);
	struct nl_req r;

	build(&r, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, a);
	if (broadcast.family)
		nl_put(&r, IFA_BROADCAST, broadcast.bytes, ip_bytes(broadcast));
	/* the cloud gave it to us alone: nothing to detect, nothing to wait for */
	if (a.ip.family == 6)
		nl_put_u32(&r, IFA_FLAGS, IFA_F_NODAD | (a.len == 128 ? IFA_F_NOPREFIXROUTE : 0));
	return nl_ack(nl, &r, e) < 0 ? err_wrap(e, "add address %s", cidr_str(a).s) : 0;
}

int addr_del(struct nl *nl, int index, struct cidr a, struct err *e)
{
	struct nl_req r;

	build(&r, RTM_DELADDR, 0, index, a);
	if (nl_ack(nl, &r, e) == 0)
		return 0;
	if (e && e->sys == EADDRNOTAVAIL)
		e->kind = ERR_NOT_FOUND;
	return err_wrap(e, "delete address %s", cidr_str(a).s);
}

struct addrs {
	struct addr *v;
	size_t n, cap;
	int index;
};

static void forget(void *arg)
{
	((struct addrs *)arg)->n = 0;
}

static int visit(const struct nl_msg *m, void *arg, struct err *e)
{
	const struct ifaddrmsg *h = m->header;
	struct addrs *all = arg;
	struct addr a = { .index = (int)h->ifa_index,
		          .flags = h->ifa_flags,
		          .scope = h->ifa_scope };
	const void *v;

	(void)e;
	if (m->type != RTM_NEWADDR || (all->index && all->index != a.index) ||
	    (h->ifa_family != AF_INET && h->ifa_family != AF_INET6))
		return 0;
	a.local.len = h->ifa_prefixlen;
	a.local.ip.family = h->ifa_family == AF_INET ? 4 : 6;
	if (a.local.len > ip_bits(a.local.ip))
		return 0; /* who takes a list relies on it */
	v = nl_attr(m, IFA_LOCAL, ip_bytes(a.local.ip), NULL);
	if (!v)
		v = nl_attr(m, IFA_ADDRESS, ip_bytes(a.local.ip), NULL);
	if (!v)
		return 0;
	memcpy(a.local.ip.bytes, v, ip_bytes(a.local.ip));
	v = nl_attr(m, IFA_FLAGS, 4, NULL);
	if (v)
		a.flags = *(const uint32_t *)v;
	all->v = xgrow(all->v, &all->cap, all->n + 1, sizeof(a));
	all->v[all->n++] = a;
	return 0;
}

int addr_list(struct nl *nl, int family, int index, struct addr **out, size_t *count, struct err *e)
{
	struct addrs all = { NULL, 0, 0, index };
	struct ifaddrmsg *h;
	struct nl_req r;
	struct err mine;

	if (!e)
		e = &mine;
	nl_req_init(&r, RTM_GETADDR, NLM_F_DUMP, sizeof(*h));
	h = nl_header(&r);
	h->ifa_family = family == 4 ? AF_INET : family == 6 ? AF_INET6 : AF_UNSPEC;
	h->ifa_index = (unsigned int)index; /* strict kernels tell those alone */
	if (nl_query(nl, &r, sizeof(*h), visit, forget, &all, e) < 0) {
		/* and know of an interface that is not there */
		if (!index || e->sys != ENODEV) {
			free(all.v);
			return err_wrap(e, "list addresses");
		}
		all.n = 0;
	}
	*out = all.v;
	*count = all.n;
	return 0;
}
