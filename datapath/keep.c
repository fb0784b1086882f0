/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keep.c - see keep.h.
 */
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

#include "datapath/keep.h"
#include "datapath/rule.h"

#define IP6_METRIC 1024 /* of IPv6 routes that are given none */

void keep_changes_release(struct keep_changes *c)
{
	free(c->v);
	*c = (struct keep_changes){ .v = NULL };
}

static struct keep_change *change(struct keep_changes *all, enum keep_what what)
{
	all->v = xgrow(all->v, &all->cap, all->n + 1, sizeof(*all->v));
	all->v[all->n] = (struct keep_change){ .what = what };
	return &all->v[all->n++];
}

static void change_route(struct keep_changes *all, enum keep_what what, const struct route *r)
{
	change(all, what)->route = *r;
}

static void change_neigh(struct keep_changes *all, enum keep_what what, const struct neigh *n)
{
	change(all, what)->neigh = *n;
}

void keep_change_text(const struct keep_change *c, struct str *out)
{
	switch (c->what) {
	case KEEP_ROUTE_ADD:
	case KEEP_ROUTE_REPLACE:
	case KEEP_ROUTE_DEL:
	case KEEP_ROUTE_FOREIGN:
		str_addf(out, "route to %s%s%s in table %u", cidr_str(c->route.dst).s,
		         c->route.gw.family ? " via " : "", ip_str(c->route.gw).s, c->route.table);
		break;
	case KEEP_NEIGH_SET:
	case KEEP_NEIGH_DEL:
	case KEEP_NEIGH_FOREIGN:
		str_addf(out, "neighbour %s", ip_str(c->neigh.ip).s);
		break;
	case KEEP_RULE_ADD:
		str_addf(out, "IPv%d rule %u to table %u", c->rule.family, c->rule.priority,
		         c->rule.table);
		break;
	case KEEP_ADDR_ADD:
	case KEEP_ADDR_DEL:
		str_addf(out, "address %s of the pod's interface", ip_str(c->addr.ip).s);
		break;
	}
}

/* Addresses. */
static bool lost_gateway(const struct datapath_record *r, uint8_t family, const struct ip *local,
                         size_t n_local)
{
	const struct ip *gw = ip_first_of(r->node_ips, r->n_node_ips, family);

	return gw && !ip_among(local, n_local, *gw);
}

/* Appends those of one family that are not there yet, and in `only` unless that is NULL. */
static size_t append(struct ip *to, size_t n, const struct ip *v, size_t n_v, uint8_t family,
                     const struct ip *only, size_t n_only)
{
	for (size_t i = 0; i < n_v; i++)
		if (v[i].family == family && !ip_among(to, n, v[i]) &&
		    (!only || ip_among(only, n_only, v[i])))
			to[n++] = v[i];
	return n;
}

void keep_node_ips(const struct datapath_record *r, const struct ip *local, size_t n_local,
                   const struct ip *found, size_t n_found, struct ip **out, size_t *n)
{
	struct ip *v = xcalloc(r->n_node_ips + n_found + 1, sizeof(*v));
	size_t k = 0;

	for (uint8_t family = 4; family <= 6; family += 2) {
		size_t before = k;

		if (lost_gateway(r, family, local, n_local))
			k = append(v, k, found, n_found, family, NULL, 0);
		k = append(v, k, r->node_ips, r->n_node_ips, family, local, n_local);
		k = append(v, k, found, n_found, family, NULL, 0);
		if (k == before)
			k = append(v, k, r->node_ips, r->n_node_ips, family, NULL, 0);
	}
	*out = v;
	*n = k;
}

bool keep_is_current(const struct datapath_record *r, const struct ip *node_ips, size_t n)
{
	if (r->n_node_ips != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!ip_among(r->node_ips, r->n_node_ips, node_ips[i]))
			return false;
	for (uint8_t family = 4; family <= 6; family += 2) {
		const struct ip *a = ip_first_of(r->node_ips, n, family);
		const struct ip *b = ip_first_of(node_ips, n, family);

		if (a && b && !ip_equal(*a, *b))
			return false;
	}
	return true;
}

/* The plan. */
int keep_plan(const struct datapath_record *r, const struct keep_facts *f,
              struct coordinator_plan *out, struct err *e)
{
	const struct coordinator_conf conf = { .hijack = r->hijack,
		                               .n_hijack = r->n_hijack,
		                               .host_rule_table = r->host_table };
	const struct coordinator_facts facts = { .veth = f->pod_link,
		                                 .host_veth = f->host_link,
		                                 .mac = r->pod_mac,
		                                 .host_mac = f->host_mac,
		                                 .pod_ips = r->pod_ips,
		                                 .n_pod_ips = r->n_pod_ips,
		                                 .node_ips = f->node_ips,
		                                 .n_node_ips = f->n_node_ips,
		                                 .table = r->table,
		                                 .overlay = r->overlay,
		                                 .lead4 = r->lead4,
		                                 .lead6 = r->lead6,
		                                 .src = r->src };

	return coordinator_plan_make(&conf, &facts, out, e);
}

/* What is there. */
static uint32_t metric(const struct route *r)
{
	return r->dst.ip.family == 6 && !r->priority ? IP6_METRIC : r->priority;
}

/* The route that has the place of this one. */
static const struct route *in_place_of(const struct keep_there *there, const struct route *want)
{
	for (size_t i = 0; i < there->n_routes; i++) {
		const struct route *r = &there->routes[i];

		if (r->table == want->table && cidr_equal_network(r->dst, want->dst) &&
		    metric(r) == metric(want))
			return r;
	}
	return NULL;
}

static bool leads_alike(const struct route *a, const struct route *b)
{
	return a->oif == b->oif && ip_equal(a->gw, b->gw) && !a->multipath && !a->other &&
	       (a->type == RTN_UNICAST || !a->type);
}

static const struct neigh *find_neigh(const struct keep_there *there, const struct neigh *want)
{
	for (size_t i = 0; i < there->n_neighs; i++)
		if (there->neighs[i].index == want->index &&
		    ip_equal(there->neighs[i].ip, want->ip))
			return &there->neighs[i];
	return NULL;
}

static bool mac_equal(struct mac a, struct mac b)
{
	return memcmp(a.b, b.b, sizeof(a.b)) == 0;
}

/* usual: what we may have said before. */
static void check_neigh(const struct keep_there *there, const struct neigh *want, struct mac usual,
                        struct keep_changes *out)
{
	const struct neigh *is = find_neigh(there, want);
	bool lasts = is && is->state & NUD_PERMANENT;

	if (lasts && mac_equal(is->mac, want->mac))
		return;
	if (lasts && !mac_equal(is->mac, usual))
		change_neigh(out, KEEP_NEIGH_FOREIGN, is);
	else
		change_neigh(out, KEEP_NEIGH_SET, want);
}

static bool has_rule(const struct keep_there *there, const struct rule *want)
{
	for (size_t i = 0; i < there->n_rules; i++)
		if (datapath_rule_equal(&there->rules[i], want))
			return true;
	return false;
}

static bool has_addr(const struct keep_there *there, int index, struct ip a)
{
	for (size_t i = 0; i < there->n_addrs; i++)
		if (there->addrs[i].index == index && ip_equal(there->addrs[i].local.ip, a))
			return true;
	return false;
}

static bool is_wanted(const struct coordinator_plan *p, struct ip a)
{
	for (size_t i = 0; i < p->n_host_addrs; i++)
		if (ip_equal(p->host_addrs[i].ip, a))
			return true;
	return false;
}

/* Node addresses of before on the host end: which ones are there is up to the pod's lead. */
static void drop_addrs(const struct datapath_record *r, const struct keep_facts *f,
                       const struct coordinator_plan *p, const struct keep_there *there,
                       struct keep_changes *out)
{
	for (size_t i = 0; i < there->n_addrs && !r->overlay; i++) {
		struct host_addr a = { there->addrs[i].index, there->addrs[i].local.ip };

		if (a.index == f->host_link && (a.ip.family == 4 ? r->lead4 : r->lead6) &&
		    ip_among(r->node_ips, r->n_node_ips, a.ip) && !is_wanted(p, a.ip))
			change(out, KEEP_ADDR_DEL)->addr = a;
	}
}

void keep_on_node(const struct datapath_record *r, const struct keep_facts *f,
                  const struct coordinator_plan *p, const struct keep_there *there,
                  struct keep_changes *out)
{
	for (size_t i = 0; i < p->n_host_addrs; i++) {
		const struct host_addr *a = &p->host_addrs[i];

		if (!has_addr(there, a->index, a->ip) && ip_among(f->local, f->n_local, a->ip))
			change(out, KEEP_ADDR_ADD)->addr = *a;
	}
	for (size_t i = 0; i < p->n_host_neighs; i++)
		check_neigh(there, &p->host_neighs[i], r->pod_mac, out);
	for (size_t i = 0; i < p->n_host_routes; i++) {
		struct route want = p->host_routes[i];
		const struct route *is = in_place_of(there, &want);

		/* the kernel takes no source that it does not have */
		if (!ip_among(f->local, f->n_local, want.prefsrc) &&
		    !has_addr(there, want.oif, want.prefsrc))
			want.prefsrc = (struct ip){ .family = 0 };
		if (!is)
			change_route(out, KEEP_ROUTE_ADD, &want);
		else if (!leads_alike(is, &want))
			change_route(out, KEEP_ROUTE_FOREIGN, is);
		else if (!ip_equal(is->prefsrc, want.prefsrc))
			change_route(out, KEEP_ROUTE_REPLACE, &want);
	}
	for (size_t i = 0; i < p->n_host_rules; i++)
		if (!has_rule(there, &p->host_rules[i]))
			change(out, KEEP_RULE_ADD)->rule = p->host_rules[i];
	drop_addrs(r, f, p, there, out);
}

/* In the pod: does it lead to one of the record's node addresses, or by one? */
static bool is_ours(const struct datapath_record *r, const struct keep_facts *f,
                    const struct route *is)
{
	if (is->oif != f->pod_link || is->multipath || is->other)
		return false;
	if (is->gw.family)
		return ip_among(r->node_ips, r->n_node_ips, is->gw);
	return is->dst.len == ip_bits(is->dst.ip) &&
	       ip_among(r->node_ips, r->n_node_ips, is->dst.ip);
}

static void check_pod_route(const struct datapath_record *r, const struct keep_facts *f,
                            const struct keep_there *there, const struct route *want,
                            struct keep_changes *out)
{
	const struct route *is = in_place_of(there, want);

	/* whatever source it has: the pod may have changed its addresses */
	if (is && leads_alike(is, want))
		return;
	if (!is)
		change_route(out, KEEP_ROUTE_ADD, want);
	else if (is_ours(r, f, is))
		change_route(out, KEEP_ROUTE_REPLACE, want);
	else
		change_route(out, KEEP_ROUTE_FOREIGN, is);
}

static bool is_planned(const struct coordinator_plan *p, const struct route *is)
{
	const struct keep_there plan = { .routes = p->pod_routes, .n_routes = p->n_pod_routes };

	return in_place_of(&plan, is) != NULL;
}

/* In the table of this route to an address of the node: the same to those that it lacks. */
static void copy_to_others(const struct keep_facts *f, const struct coordinator_plan *p,
                           const struct keep_there *there, const struct route *is,
                           struct keep_changes *out)
{
	for (size_t i = 0; i < f->n_node_ips; i++) {
		struct route copy = *is;
		bool had = false;

		copy.dst = cidr_host(f->node_ips[i]);
		if (copy.dst.ip.family != is->dst.ip.family || is_planned(p, &copy) ||
		    in_place_of(there, &copy))
			continue;
		/* of another one of this table */
		for (size_t k = 0; k < out->n && !had; k++)
			had = out->v[k].what == KEEP_ROUTE_ADD &&
			      out->v[k].route.table == copy.table &&
			      cidr_equal_network(out->v[k].route.dst, copy.dst);
		if (!had)
			change_route(out, KEEP_ROUTE_ADD, &copy);
	}
}

/*
 * Tables of a pod with several interfaces have copies of what the plan says.  They follow: they get
 * the addresses that are new, and go by the gateway that is.
 */
static void check_copies(const struct datapath_record *r, const struct keep_facts *f,
                         const struct coordinator_plan *p, const struct keep_there *there,
                         struct keep_changes *out)
{
	for (size_t i = 0; i < there->n_routes; i++)
		if (is_ours(r, f, &there->routes[i]) && !there->routes[i].gw.family)
			copy_to_others(f, p, there, &there->routes[i], out);
	for (size_t i = 0; i < there->n_routes; i++) {
		struct route copy = there->routes[i];
		const struct ip *gw = ip_first_of(f->node_ips, f->n_node_ips, copy.gw.family);

		if (!gw || !is_ours(r, f, &copy) || is_planned(p, &copy) ||
		    ip_among(f->node_ips, f->n_node_ips, copy.gw))
			continue;
		copy.gw = *gw;
		change_route(out, KEEP_ROUTE_REPLACE, &copy);
	}
}

void keep_in_pod(const struct datapath_record *r, const struct keep_facts *f,
                 const struct coordinator_plan *p, const struct keep_there *there,
                 struct keep_changes *out)
{
	for (size_t i = 0; i < p->n_pod_neighs; i++)
		check_neigh(there, &p->pod_neighs[i], r->host_mac, out);
	for (size_t i = 0; i < p->n_pod_routes; i++)
		check_pod_route(r, f, there, &p->pod_routes[i], out);
	check_copies(r, f, p, there, out);
	/* what is by them goes by others now, so they can go */
	for (size_t i = 0; i < there->n_routes; i++) {
		const struct route *is = &there->routes[i];

		if (is_ours(r, f, is) && !is->gw.family &&
		    !ip_among(f->node_ips, f->n_node_ips, is->dst.ip) && !is_planned(p, is))
			change_route(out, KEEP_ROUTE_DEL, is);
	}
	for (size_t i = 0; i < there->n_neighs; i++) {
		const struct neigh *is = &there->neighs[i];

		if (is->index == f->pod_link && is->state & NUD_PERMANENT &&
		    mac_equal(is->mac, r->host_mac) &&
		    ip_among(r->node_ips, r->n_node_ips, is->ip) &&
		    !ip_among(f->node_ips, f->n_node_ips, is->ip))
			change_neigh(out, KEEP_NEIGH_DEL, is);
	}
}
