/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.c - the pure half of the coordinator.
 */
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>

#include "datapath/plan.h"

void coordinator_host_veth(const char *container_id, char out[IFNAMSIZ])
{
	snprintf(out, IFNAMSIZ, "veth%.11s", container_id);
}

bool coordinator_is_others(const struct link *host_veth, const char *container_id)
{
	return host_veth->alias[0] && !streq(host_veth->alias, container_id);
}

static bool reachable(struct ip a)
{
	return a.family && !ip_is_multicast(a) && !ip_is_link_local(a) && !ip_is_loopback(a) &&
	       !ip_is_unspecified(a);
}

struct ips {
	struct ip *v;
	size_t n, cap;
};

static void push(struct ips *all, struct ip a)
{
	if (!reachable(a) || ip_among(all->v, all->n, a))
		return;
	all->v = xgrow(all->v, &all->cap, all->n + 1, sizeof(a));
	all->v[all->n++] = a;
}

void coordinator_pod_ips(const struct addr *addrs, size_t count, int nic, struct ip **out,
                         size_t *n)
{
	struct ips all = { NULL, 0, 0 };

	for (size_t i = 0; i < count; i++)
		if (addrs[i].index == nic)
			push(&all, addrs[i].local.ip);
	*out = all.v;
	*n = all.n;
}

/* Interfaces that belong to a container network, whose addresses are not what a pod calls "the
 * node". */
static bool of_containers(const char *name)
{
	static const char prefixes[][14] = {
		"docker", "cbr",     "dummy",     "virbr", "lxcbr",         "veth",
		"cali",   "flannel", "kube-ipvs", "cni",   "vx-submariner", "cilium",
	};

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		if (str_starts(name, prefixes[i]))
			return true;
	return streq(name, "lo");
}

static const struct link *find_link(const struct link *links, size_t n, int index)
{
	for (size_t i = 0; i < n; i++)
		if (links[i].index == index)
			return &links[i];
	return NULL;
}

/* Is it known, and the node's own?  One that has gone since is as good as none. */
static bool of_node(const struct link *links, size_t n, int index)
{
	const struct link *l = find_link(links, n, index);

	return l && !of_containers(l->name);
}

/* Of a family of the pod, and not its own. */
static bool is_candidate(const struct addr *a, const struct ip *pod, size_t n_pod)
{
	return ip_first_of(pod, n_pod, a->local.ip.family) && !ip_among(pod, n_pod, a->local.ip) &&
	       !(a->flags & IFA_F_TENTATIVE) && reachable(a->local.ip);
}

static bool is_on_node(const struct link *links, size_t n_links, const struct addr *addrs,
                       size_t n_addrs, struct ip a)
{
	for (size_t i = 0; i < n_addrs; i++)
		if (ip_equal(addrs[i].local.ip, a) && !(addrs[i].flags & IFA_F_TENTATIVE) &&
		    of_node(links, n_links, addrs[i].index))
			return true;
	return false;
}

int coordinator_unknown_link(const struct ip *preferred, size_t n_preferred,
                             const struct link *links, size_t n_links, const struct addr *addrs,
                             size_t n_addrs, const struct ip *pod, size_t n_pod)
{
	int lowest = 0;

	for (size_t i = 0; i < n_addrs; i++) {
		const struct addr *a = &addrs[i];

		if ((!lowest || a->index < lowest) && is_candidate(a, pod, n_pod) &&
		    !ip_among(preferred, n_preferred, a->local.ip) &&
		    !find_link(links, n_links, a->index) &&
		    !is_on_node(links, n_links, addrs, n_addrs, a->local.ip))
			lowest = a->index;
	}
	return lowest;
}

void coordinator_node_ips(const struct ip *preferred, size_t n_preferred, const struct link *links,
                          size_t n_links, const struct addr *addrs, size_t n_addrs,
                          const struct ip *pod, size_t n_pod, struct ip **out, size_t *n)
{
	struct ips all = { NULL, 0, 0 };

	for (size_t i = 0; i < n_preferred; i++)
		if (!ip_among(pod, n_pod, preferred[i]))
			push(&all, preferred[i]);
	for (size_t i = 0; i < n_addrs; i++)
		if (is_candidate(&addrs[i], pod, n_pod) && of_node(links, n_links, addrs[i].index))
			push(&all, addrs[i].local.ip);
	*out = all.v;
	*n = all.n;
}

/* What making a plan works with. */
struct plan_maker {
	const struct coordinator_conf *conf;
	const struct coordinator_facts *f;
	struct coordinator_plan *p;
};

static bool leads(const struct plan_maker *m, uint8_t family)
{
	return family == 4 ? m->f->lead4 : m->f->lead6;
}

/* The first nic of an underlay pod: its table is not used before there is a second. */
static bool is_first(const struct plan_maker *m)
{
	return !m->f->overlay && m->f->table == COORDINATOR_FIRST_TABLE;
}

static void pod_route(struct plan_maker *m, struct route r)
{
	const struct ip *src =
		m->f->src.family ? &m->f->src : ip_first_of(m->f->pod_ips, m->f->n_pod_ips, 4);

	/* IPv6 chooses well by itself, and routes with a source had a bug of their own there */
	if (r.oif == m->f->veth && r.dst.ip.family == 4 && src)
		r.prefsrc = *src;
	m->p->pod_routes[m->p->n_pod_routes++] = r;
}

static void reach_node(struct plan_maker *m, struct ip node)
{
	struct route r = { .dst = cidr_host(node),
		           .oif = m->f->veth,
		           .scope = RT_SCOPE_LINK,
		           .table = m->f->table };

	m->p->pod_neighs[m->p->n_pod_neighs++] = (struct neigh){
		.index = m->f->veth, .ip = node, .mac = m->f->host_mac, .state = NUD_PERMANENT
	};
	pod_route(m, r);
	r.table = RT_TABLE_MAIN;
	if (leads(m, node.family))
		pod_route(m, r);
}

static void by_node(struct plan_maker *m, struct cidr dst, struct ip gw, uint32_t table)
{
	pod_route(m, (struct route){ .dst = dst, .gw = gw, .oif = m->f->veth, .table = table });
}

static void hijack(struct plan_maker *m, struct ip gw)
{
	for (size_t i = 0; i < m->conf->n_hijack; i++) {
		struct cidr dst = m->conf->hijack[i];

		if (dst.ip.family != gw.family ||
		    (dst.len == ip_bits(dst.ip) &&
		     ip_among(m->f->node_ips, m->f->n_node_ips, dst.ip)))
			continue; /* not ours to speak, or an address of the node: has its route */
		if (leads(m, gw.family))
			by_node(m, dst, gw, RT_TABLE_MAIN);
		if (!is_first(m))
			by_node(m, dst, gw, m->f->table);
	}
}

/* What answers to what came in by veth0. */
static void reply(struct plan_maker *m, struct ip gw)
{
	if (m->f->overlay || !leads(m, gw.family))
		return;
	by_node(m, (struct cidr){ .ip = { .family = gw.family } }, gw, COORDINATOR_REPLY_TABLE);
	m->p->pod_rules[m->p->n_pod_rules++] = (struct rule){ .family = gw.family,
		                                              .priority = COORDINATOR_RULE_PRIORITY,
		                                              .table = COORDINATOR_REPLY_TABLE,
		                                              .fwmark = COORDINATOR_MARK,
		                                              .fwmask = COORDINATOR_MARK };
}

/*
 * The host's end has no address of its own: without a source the kernel would take the first
 * address that it finds anywhere, such as a virtual one on lo.  The route's source is for what the
 * node itself sends; what it masquerades has the interface's address, so it gets the node's.
 */
static void reach_pod(struct plan_maker *m, struct ip gw)
{
	const struct coordinator_facts *f = m->f;

	if (!f->overlay && leads(m, gw.family))
		m->p->host_addrs[m->p->n_host_addrs++] =
			(struct host_addr){ .index = f->host_veth, .ip = gw };
	for (size_t i = 0; i < f->n_pod_ips; i++) {
		if (f->pod_ips[i].family != gw.family)
			continue;
		m->p->host_neighs[m->p->n_host_neighs++] = (struct neigh){ .index = f->host_veth,
			                                                   .ip = f->pod_ips[i],
			                                                   .mac = f->mac,
			                                                   .state = NUD_PERMANENT };
		m->p->host_routes[m->p->n_host_routes++] =
			(struct route){ .dst = cidr_host(f->pod_ips[i]),
			                .oif = f->host_veth,
			                .scope = RT_SCOPE_LINK,
			                .prefsrc = gw,
			                .table = m->conf->host_rule_table };
	}
	m->p->host_rules[m->p->n_host_rules++] =
		(struct rule){ .family = gw.family,
		               .priority = COORDINATOR_RULE_PRIORITY,
		               .table = m->conf->host_rule_table };
}

static void policy(struct plan_maker *m)
{
	for (size_t i = 0; i < m->conf->n_policy; i++) {
		const struct coordinator_route *r = &m->conf->policy[i];
		if (ip_first_of(m->f->pod_ips, m->f->n_pod_ips, r->gw.family))
			pod_route(m, (struct route){ .dst = cidr_network(r->dst),
			                             .gw = r->gw,
			                             .oif = m->f->nic,
			                             .table = is_first(m) ? RT_TABLE_MAIN
			                                                  : m->f->table });
	}
}

int coordinator_plan_make(const struct coordinator_conf *conf, const struct coordinator_facts *f,
                          struct coordinator_plan *out, struct err *e)
{
	AUTO_COORDINATOR_PLAN p = { .n_pod_routes = 0 };
	struct plan_maker m = { conf, f, &p };

	p.host_addrs = xcalloc(2, sizeof(*p.host_addrs));
	p.pod_neighs = xcalloc(f->n_node_ips + 1, sizeof(*p.pod_neighs));
	p.host_neighs = xcalloc(f->n_pod_ips + 1, sizeof(*p.host_neighs));
	p.host_routes = xcalloc(f->n_pod_ips + 1, sizeof(*p.host_routes));
	p.pod_routes = xcalloc(2 * f->n_node_ips + 2 * conf->n_hijack + conf->n_policy + 2,
	                       sizeof(*p.pod_routes));
	p.pod_rules = xcalloc(2, sizeof(*p.pod_rules));
	p.host_rules = xcalloc(2, sizeof(*p.host_rules));
	for (size_t i = 0; i < f->n_node_ips; i++)
		reach_node(&m, f->node_ips[i]);
	for (uint8_t family = 4; family <= 6; family += 2) {
		const struct ip *gw = ip_first_of(f->node_ips, f->n_node_ips, family);
		const struct ip *pod = ip_first_of(f->pod_ips, f->n_pod_ips, family);

		if (pod && !gw)
			return err_set(e, ERR_CONFIG,
			               "this node has no IPv%d address by which pod address %s "
			               "could reach it",
			               family, ip_str(*pod).s);
		if (!pod)
			continue;
		hijack(&m, *gw);
		reply(&m, *gw);
		reach_pod(&m, *gw);
	}
	policy(&m);
	*out = p;
	p = (struct coordinator_plan){ .n_pod_routes = 0 };
	return 0;
}

void coordinator_plan_release(struct coordinator_plan *p)
{
	free(p->host_addrs);
	free(p->pod_neighs);
	free(p->host_neighs);
	free(p->pod_routes);
	free(p->host_routes);
	free(p->pod_rules);
	free(p->host_rules);
	*p = (struct coordinator_plan){ .n_pod_routes = 0 };
}
