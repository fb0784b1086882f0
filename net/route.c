/* SPDX-License-Identifier: Apache-2.0 */
/*
 * route.c - routes, policy rules and neighbours.
 */
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net/route.h"

static uint8_t af(int family)
{
	return family == 4 ? AF_INET : family == 6 ? AF_INET6 : AF_UNSPEC;
}

static void put_ip(struct nl_req *r, uint16_t type, struct ip a)
{
	nl_put(r, type, a.bytes, ip_bytes(a));
}

/* An address attribute into *out; false when it is absent. */
static bool get_ip(const struct nl_msg *m, uint16_t type, uint8_t family, struct ip *out)
{
	struct ip a = { .family = family == AF_INET ? 4 : 6 };
	const void *v = nl_attr(m, type, ip_bytes(a), NULL);

	if (!v)
		return false;
	memcpy(a.bytes, v, ip_bytes(a));
	*out = a;
	return true;
}

static uint32_t get_u32(const struct nl_msg *m, uint16_t type, uint32_t otherwise)
{
	const void *v = nl_attr(m, type, 4, NULL);

	return v ? *(const uint32_t *)v : otherwise;
}

/* Routes. */
static struct rtmsg *build_route(struct nl_req *r, uint16_t type, uint16_t flags,
                                 const struct route *t)
{
	uint32_t table = t->table ? t->table : RT_TABLE_MAIN;
	struct rtmsg *h;

	nl_req_init(r, type, flags, sizeof(*h));
	h = nl_header(r);
	h->rtm_family = af(t->dst.ip.family);
	h->rtm_dst_len = t->dst.len;
	h->rtm_table = table < 256 ? (uint8_t)table : RT_TABLE_UNSPEC;
	h->rtm_protocol = t->protocol;
	h->rtm_scope = t->scope;
	h->rtm_type = t->type;
	if (t->dst.len)
		put_ip(r, RTA_DST, t->dst.ip);
	nl_put_u32(r, RTA_TABLE, table);
	if (t->gw.family)
		put_ip(r, RTA_GATEWAY, t->gw);
	if (t->oif)
		nl_put_u32(r, RTA_OIF, (uint32_t)t->oif);
	if (t->prefsrc.family)
		put_ip(r, RTA_PREFSRC, t->prefsrc);
	if (t->priority)
		nl_put_u32(r, RTA_PRIORITY, t->priority);
	if (t->onlink)
		h->rtm_flags = RTNH_F_ONLINK;
	if (t->metrics_len && type == RTM_NEWROUTE)
		nl_put(r, RTA_METRICS, t->metrics, t->metrics_len);
	return h;
}

int route_add(struct nl *nl, const struct route *t, enum route_add_mode mode, struct err *e)
{
	static const uint16_t flags[] = {
		[ROUTE_CREATE] = NLM_F_CREATE | NLM_F_EXCL,
		[ROUTE_REPLACE] = NLM_F_CREATE | NLM_F_REPLACE,
		[ROUTE_PREPEND] = NLM_F_CREATE,
		[ROUTE_APPEND] = NLM_F_CREATE | NLM_F_APPEND,
	};
	struct rtmsg *h;
	struct nl_req r;

	h = build_route(&r, RTM_NEWROUTE, flags[mode], t);
	if (!h->rtm_protocol)
		h->rtm_protocol = RTPROT_BOOT;
	if (!h->rtm_type)
		h->rtm_type = RTN_UNICAST;
	if (nl_ack(nl, &r, e) == 0)
		return 0;
	return err_wrap(e, "add route to %s%s%s in table %u", cidr_str(t->dst).s,
	                t->gw.family ? " via " : "", ip_str(t->gw).s,
	                t->table ? t->table : RT_TABLE_MAIN);
}

int route_del(struct nl *nl, const struct route *t, struct err *e)
{
	struct nl_req r;

	/* protocol and type 0 match all, as a scope would by this value alone */
	build_route(&r, RTM_DELROUTE, 0, t)->rtm_scope = RT_SCOPE_NOWHERE;
	if (nl_ack(nl, &r, e) == 0)
		return 0;
	if (e && (e->sys == ESRCH || e->sys == ENOENT))
		e->kind = ERR_NOT_FOUND;
	return err_wrap(e, "delete route to %s from table %u", cidr_str(t->dst).s,
	                t->table ? t->table : RT_TABLE_MAIN);
}

struct routes {
	struct route *v;
	size_t n, cap;
	uint32_t table;
	uint8_t family; /* AF_*, 0: any */
};

static void forget_routes(void *arg)
{
	((struct routes *)arg)->n = 0;
}

static void push_route(struct routes *all, const struct route *t)
{
	all->v = xgrow(all->v, &all->cap, all->n + 1, sizeof(*t));
	all->v[all->n++] = *t;
}

static void read_metrics(const struct nl_msg *m, struct route *t)
{
	size_t len;
	const void *v = nl_attr(m, RTA_METRICS, 0, &len);

	if (!v)
		return;
	if (len > sizeof(t->metrics))
		len = sizeof(t->metrics) / 8 * 8; /* each has eight bytes */
	memcpy(t->metrics, v, len);
	t->metrics_len = (uint8_t)len;
}

/* One route for each nexthop; false when there are none. */
static bool push_nexthops(const struct nl_msg *m, uint8_t family, struct routes *all,
                          const struct route *common)
{
	size_t len;
	const char *p = nl_attr(m, RTA_MULTIPATH, sizeof(struct rtnexthop), &len);

	if (!p)
		return false;
	while (len >= sizeof(struct rtnexthop)) {
		const struct rtnexthop *h = (const struct rtnexthop *)(const void *)p;
		size_t whole = RTNH_ALIGN((size_t)h->rtnh_len);
		struct nl_msg hop = { .attrs = p + sizeof(*h) };
		struct route t = *common;

		if (h->rtnh_len < sizeof(*h) || h->rtnh_len > len)
			break;
		hop.attrs_len = h->rtnh_len - sizeof(*h);
		t.oif = h->rtnh_ifindex;
		t.onlink = h->rtnh_flags & RTNH_F_ONLINK;
		t.multipath = true;
		(void)get_ip(&hop, RTA_GATEWAY, family, &t.gw);
		t.other = t.other || nl_attr(&hop, RTA_VIA, 0, NULL) ||
		          nl_attr(&hop, RTA_ENCAP, 0, NULL);
		push_route(all, &t);
		if (whole >= len)
			break;
		p += whole;
		len -= whole;
	}
	return true;
}

static int visit_route(const struct nl_msg *m, void *arg, struct err *e)
{
	const struct rtmsg *h = m->header;
	struct routes *all = arg;
	struct route t = { .scope = h->rtm_scope,
		           .protocol = h->rtm_protocol,
		           .type = h->rtm_type };

	(void)e;
	/* a kernel without IPv6 tells its IPv4 routes who asks for others */
	if (m->type != RTM_NEWROUTE || (h->rtm_family != AF_INET && h->rtm_family != AF_INET6) ||
	    (all->family == AF_INET6 && h->rtm_family == AF_INET) ||
	    (h->rtm_flags & RTM_F_CLONED && all->table != UINT32_MAX))
		return 0;
	t.table = get_u32(m, RTA_TABLE, h->rtm_table);
	/* UINT32_MAX: whatever it is (an answer to a lookup) */
	if (all->table != UINT32_MAX &&
	    (all->table ? t.table != all->table : t.table == RT_TABLE_LOCAL))
		return 0;
	t.dst.len = h->rtm_dst_len;
	t.dst.ip.family = h->rtm_family == AF_INET ? 4 : 6;
	if (t.dst.len > ip_bits(t.dst.ip))
		return 0;
	(void)get_ip(m, RTA_DST, h->rtm_family, &t.dst.ip);
	(void)get_ip(m, RTA_PREFSRC, h->rtm_family, &t.prefsrc);
	t.priority = get_u32(m, RTA_PRIORITY, 0);
	t.other = h->rtm_tos || h->rtm_src_len || nl_attr(m, RTA_VIA, 0, NULL) ||
	          nl_attr(m, RTA_ENCAP, 0, NULL) || nl_attr(m, RTA_NH_ID, 0, NULL);
	read_metrics(m, &t);
	if (push_nexthops(m, h->rtm_family, all, &t))
		return 0;
	(void)get_ip(m, RTA_GATEWAY, h->rtm_family, &t.gw);
	t.oif = (int)get_u32(m, RTA_OIF, 0);
	t.onlink = h->rtm_flags & RTNH_F_ONLINK;
	push_route(all, &t);
	return 0;
}

int route_list(struct nl *nl, int family, uint32_t table, struct route **out, size_t *count,
               struct err *e)
{
	struct routes all = { .table = table, .family = af(family) };
	struct rtmsg *h;
	struct nl_req r;
	struct err mine;

	if (!e)
		e = &mine;
	nl_req_init(&r, RTM_GETROUTE, NLM_F_DUMP, sizeof(*h));
	h = nl_header(&r);
	h->rtm_family = af(family);
	if (table)
		nl_put_u32(&r, RTA_TABLE, table);
	if (nl_query(nl, &r, sizeof(*h), visit_route, forget_routes, &all, e) < 0) {
		/* strict kernels answer ENOENT for a table that no route was ever in */
		if (!table || e->sys != ENOENT) {
			free(all.v);
			return err_wrap(e, "list routes");
		}
		all.n = 0;
	}
	*out = all.v;
	*count = all.n;
	return 0;
}

int route_get(struct nl *nl, struct ip dst, struct route *out, struct err *e)
{
	struct routes all = { .table = UINT32_MAX };
	struct rtmsg *h;
	struct nl_req r;
	struct err mine;
	int rc;

	if (!e)
		e = &mine;
	nl_req_init(&r, RTM_GETROUTE, 0, sizeof(*h));
	h = nl_header(&r);
	h->rtm_family = af(dst.family);
	h->rtm_dst_len = ip_bits(dst);
	put_ip(&r, RTA_DST, dst);
	rc = nl_query(nl, &r, sizeof(*h), visit_route, forget_routes, &all, e);
	if (rc == 0 && all.n) {
		*out = all.v[0];
	} else {
		rc = rc == 0 ? err_set(e, ERR_NOT_FOUND, "no route to %s", ip_str(dst).s)
		             : err_wrap(e, "route to %s", ip_str(dst).s);
		if (e->sys == ENETUNREACH || e->sys == EHOSTUNREACH)
			e->kind = ERR_NOT_FOUND;
	}
	free(all.v);
	return rc;
}

/* Rules. */
static void build_rule(struct nl_req *r, uint16_t type, uint16_t flags, const struct rule *u)
{
	struct fib_rule_hdr *h;

	nl_req_init(r, type, flags, sizeof(*h));
	h = nl_header(r);
	h->family = af(u->family);
	h->action = FR_ACT_TO_TBL;
	h->table = u->table < 256 ? (uint8_t)u->table : RT_TABLE_UNSPEC;
	nl_put_u32(r, FRA_TABLE, u->table);
	nl_put_u32(r, FRA_PRIORITY, u->priority);
	if (u->fwmark || u->fwmask) {
		nl_put_u32(r, FRA_FWMARK, u->fwmark);
		/* with mask 0 the kernel would take every packet */
		nl_put_u32(r, FRA_FWMASK, u->fwmask ? u->fwmask : UINT32_MAX);
	}
	if (u->src.ip.family) {
		h->src_len = u->src.len;
		put_ip(r, FRA_SRC, u->src.ip);
	}
}

int rule_add(struct nl *nl, const struct rule *u, struct err *e)
{
	struct nl_req r;

	build_rule(&r, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, u);
	return nl_ack(nl, &r, e) < 0 ? err_wrap(e, "add rule %u to table %u", u->priority, u->table)
	                             : 0;
}

int rule_del(struct nl *nl, const struct rule *u, struct err *e)
{
	struct nl_req r;

	build_rule(&r, RTM_DELRULE, 0, u);
	if (nl_ack(nl, &r, e) == 0)
		return 0;
	if (e && e->sys == ENOENT)
		e->kind = ERR_NOT_FOUND;
	return err_wrap(e, "delete rule %u to table %u", u->priority, u->table);
}

struct rules {
	struct rule *v;
	size_t n, cap;
	uint8_t family; /* AF_* */
};

static void forget_rules(void *arg)
{
	((struct rules *)arg)->n = 0;
}

#define FRA_NEWEST 40 /* Linux 6.15 has 30 */

/* What struct rule cannot say: a rule that has any of these is not what its other members suggest.
 */
static bool has_more(const struct nl_msg *m, const struct fib_rule_hdr *h)
{
	static const uint16_t types[] = { FRA_IIFNAME,          FRA_OIFNAME,  FRA_GOTO,
		                          FRA_SUPPRESS_IFGROUP, FRA_TUN_ID,   FRA_L3MDEV,
		                          FRA_UID_RANGE,        FRA_IP_PROTO, FRA_SPORT_RANGE,
		                          FRA_DPORT_RANGE };

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (nl_attr(m, types[i], 0, NULL))
			return true;
	/* those that newer kernels know */
	for (uint16_t type = FRA_DPORT_RANGE + 1; type <= FRA_NEWEST; type++)
		if (nl_attr(m, type, 0, NULL))
			return true;
	return get_u32(m, FRA_SUPPRESS_PREFIXLEN, UINT32_MAX) != UINT32_MAX ||
	       h->action != FR_ACT_TO_TBL || h->dst_len || h->tos || h->flags & FIB_RULE_INVERT;
}

static int visit_rule(const struct nl_msg *m, void *arg, struct err *e)
{
	const struct fib_rule_hdr *h = m->header;
	struct rules *all = arg;
	struct rule u = { .family = h->family == AF_INET ? 4 : 6 };

	(void)e;
	if (m->type != RTM_NEWRULE || (h->family != AF_INET && h->family != AF_INET6) ||
	    h->family != all->family)
		return 0;
	u.table = get_u32(m, FRA_TABLE, h->table);
	u.priority = get_u32(m, FRA_PRIORITY, 0);
	u.fwmark = get_u32(m, FRA_FWMARK, 0);
	u.fwmask = get_u32(m, FRA_FWMASK, 0);
	u.other = has_more(m, h);
	u.src.len = h->src_len;
	if (h->src_len && get_ip(m, FRA_SRC, h->family, &u.src.ip) && u.src.len > ip_bits(u.src.ip))
		return 0;
	all->v = xgrow(all->v, &all->cap, all->n + 1, sizeof(u));
	all->v[all->n++] = u;
	return 0;
}

int rule_list(struct nl *nl, int family, struct rule **out, size_t *count, struct err *e)
{
	struct rules all = { .family = af(family) };
	struct err mine;
	struct fib_rule_hdr *h;
	struct nl_req r;

	if (!e)
		e = &mine;
	nl_req_init(&r, RTM_GETRULE, NLM_F_DUMP, sizeof(*h));
	h = nl_header(&r);
	h->family = af(family);
	if (nl_query(nl, &r, sizeof(*h), visit_rule, forget_rules, &all, e) < 0) {
		/* a kernel without IPv6 has no such rules */
		if (e->sys != EAFNOSUPPORT) {
			free(all.v);
			return err_wrap(e, "list rules");
		}
		all.n = 0;
	}
	*out = all.v;
	*count = all.n;
	return 0;
}

/* Neighbours. */
static void build_neigh(struct nl_req *r, uint16_t type, uint16_t flags, int index, struct ip ip,
                        uint16_t state)
{
	struct ndmsg *h;

	nl_req_init(r, type, flags, sizeof(*h));
	h = nl_header(r);
	h->ndm_family = af(ip.family);
	h->ndm_ifindex = index;
	h->ndm_state = state;
	put_ip(r, NDA_DST, ip);
}

int neigh_replace(struct nl *nl, const struct neigh *n, struct err *e)
{
	struct nl_req r;

	build_neigh(&r, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, n->index, n->ip, n->state);
	nl_put(&r, NDA_LLADDR, n->mac.b, sizeof(n->mac.b));
	return nl_ack(nl, &r, e) < 0 ? err_wrap(e, "set neighbour %s", ip_str(n->ip).s) : 0;
}

int neigh_del(struct nl *nl, int index, struct ip ip, struct err *e)
{
	struct nl_req r;

	build_neigh(&r, RTM_DELNEIGH, 0, index, ip, 0);
	if (nl_ack(nl, &r, e) == 0)
		return 0;
	if (e && (e->sys == ENOENT || e->sys == ENODEV))
		e->kind = ERR_NOT_FOUND;
	return err_wrap(e, "delete neighbour %s", ip_str(ip).s);
}

struct neighs {
	struct neigh *v;
	size_t n, cap;
	int index;
};

static void forget_neighs(void *arg)
{
	((struct neighs *)arg)->n = 0;
}

static int visit_neigh(const struct nl_msg *m, void *arg, struct err *e)
{
	const struct ndmsg *h = m->header;
	struct neighs *all = arg;
	struct neigh n = { .index = h->ndm_ifindex, .state = h->ndm_state };
	const void *v;

	(void)e;
	if (m->type != RTM_NEWNEIGH || (h->ndm_family != AF_INET && h->ndm_family != AF_INET6) ||
	    (all->index && all->index != n.index) || !get_ip(m, NDA_DST, h->ndm_family, &n.ip))
		return 0;
	v = nl_attr(m, NDA_LLADDR, sizeof(n.mac.b), NULL);
	if (v)
		memcpy(n.mac.b, v, sizeof(n.mac.b));
	all->v = xgrow(all->v, &all->cap, all->n + 1, sizeof(n));
	all->v[all->n++] = n;
	return 0;
}

int neigh_list(struct nl *nl, int family, int index, struct neigh **out, size_t *count,
               struct err *e)
{
	struct neighs all = { NULL, 0, 0, index };
	struct ndmsg *h;
	struct nl_req r;

	nl_req_init(&r, RTM_GETNEIGH, NLM_F_DUMP, sizeof(*h));
	h = nl_header(&r);
	h->ndm_family = af(family);
	if (index)
		nl_put_u32(&r, NDA_IFINDEX, (uint32_t)index);
	if (nl_query(nl, &r, sizeof(*h), visit_neigh, forget_neighs, &all, e) < 0) {
		free(all.v);
		return err_wrap(e, "list neighbours");
	}
	*out = all.v;
	*count = all.n;
	return 0;
}
