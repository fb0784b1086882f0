/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reconcile_pod.c - pods are entered, and their records follow.
 */
#include <stdlib.h>

#include "agent/reconcile_work.h"
#include "base/log.h"
#include "net/netns.h"

/* Pods. */
struct pod {
	struct nl *nl;
	struct link link;
	struct route *routes;
	struct neigh *neighs;
	size_t n_routes, n_neighs;
};

static void pod_release(struct pod *d)
{
	nl_close(d->nl);
	free(d->routes);
	free(d->neighs);
}

#define AUTO_POD __attribute__((cleanup(pod_release))) struct pod

static int look_at_pod(const struct reconcile *k, const struct datapath_record *r, struct pod *d,
                       struct err *e)
{
	AUTO_FD int ns = -1;

	if (reconcile_namespace_of(k, r, &ns) != LIVES)
		return err_set(e, ERR_NOT_FOUND, "its namespace %s cannot be entered from here",
		               r->netns);
	if (netns_nl(ns, NETLINK_ROUTE, &d->nl, e) < 0)
		return err_wrap(e, "in the pod");
	nl_limit(d->nl, NL_POD_BYTES);
	if (link_get(d->nl, r->pod_link, &d->link, e) < 0 ||
	    neigh_list(d->nl, 0, d->link.index, &d->neighs, &d->n_neighs, e) < 0)
		return err_wrap(e, "in the pod");
	for (uint8_t family = 4; family <= 6; family += 2) {
		struct route *routes;
		size_t count;

		if (route_list(d->nl, family, 0, &routes, &count, e) < 0)
			return err_wrap(e, "in the pod");
		d->routes = reconcile_join(d->routes, &d->n_routes, routes, count, sizeof(*routes));
	}
	return 0;
}

static bool same_ips(const struct ip *a, size_t n_a, const struct ip *b, size_t n_b)
{
	if (n_a != n_b)
		return false;
	for (size_t i = 0; i < n_a; i++)
		if (!ip_equal(a[i], b[i]))
			return false;
	return true;
}

bool reconcile_is_recorded(const struct reconcile *k, const struct datapath_record *r)
{
	AUTO_DATAPATH_RECORD is = { .container_id = NULL };

	return datapath_record_read(k->config.state_dir, r->container_id, r->ifname, &is, NULL) ==
	               0 &&
	       is.netns_inode == r->netns_inode && is.host_index == r->host_index &&
	       is.table == r->table && memcmp(&is.pod_mac, &r->pod_mac, sizeof(is.pod_mac)) == 0 &&
	       same_ips(is.pod_ips, is.n_pod_ips, r->pod_ips, r->n_pod_ips);
}

static void tell_ips(const struct reconcile *k, const struct kept *p, const struct ip *v, size_t n)
{
	AUTO_FREE char *name = reconcile_name_of(k, p);
	AUTO_STR list = STR_INIT;

	for (size_t i = 0; i < n; i++)
		str_addf(&list, "%s%s", i ? ", " : "", ip_str(v[i]).s);
	log_info("%s: the node's addresses, which the pod has to reach by %s, are now %s", name,
	         p->r.host_link, list.data);
}

/*
 * The record has these addresses from now on, and then those that it had as far as `old` says.
 * Writing it wakes us: so not when it says that already.
 */
static int record_ips(const struct reconcile *k, struct kept *p, const struct ip *ips, size_t n,
                      bool old, struct err *e)
{
	struct datapath_record *r = &p->r;
	struct ip *all = xcalloc(n + r->n_node_ips + 1, sizeof(*all));
	size_t count = n;

	memcpy(all, ips, n * sizeof(*all));
	for (size_t i = 0; i < r->n_node_ips && old; i++) {
		bool had = false;

		for (size_t j = 0; j < n && !had; j++)
			had = ip_equal(r->node_ips[i], ips[j]);
		if (!had)
			all[count++] = r->node_ips[i];
	}
	if (old && same_ips(r->node_ips, r->n_node_ips, all, count)) {
		free(all);
		return 0;
	}
	if (old)
		tell_ips(k, p, ips, n);
	free(r->node_ips);
	r->node_ips = all;
	r->n_node_ips = count;
	if (!reconcile_is_recorded(k, r))
		return err_set(e, ERR_NOT_FOUND, "its record is gone");
	return datapath_record_replace(k->config.state_dir, r, e);
}

/* A DEL came in between, and did not see what was made since. */
static void take_back(struct nl *pod, const struct datapath_record *r,
                      const struct keep_changes *made)
{
	for (size_t i = 0; i < made->n; i++)
		if (made->v[i].what == KEEP_ROUTE_ADD && made->v[i].route.table == r->table)
			IGNORE(route_del(pod, &made->v[i].route, NULL));
}

static int enter_pod(struct reconcile *k, struct kept *p, struct keep_facts *f, bool current,
                     struct str *trouble, struct err *e)
{
	AUTO_POD pod = { .nl = NULL };
	AUTO_COORDINATOR_PLAN plan = { .n_pod_routes = 0 };
	AUTO_KEEP_CHANGES changes = { .v = NULL };
	struct keep_there there;
	int rc = 0;

	if (look_at_pod(k, &p->r, &pod, e) < 0)
		return -1;
	if (!current && record_ips(k, p, f->node_ips, f->n_node_ips, true, e) < 0)
		return -1;
	f->pod_link = pod.link.index;
	there = (struct keep_there){ .routes = pod.routes,
		                     .neighs = pod.neighs,
		                     .n_routes = pod.n_routes,
		                     .n_neighs = pod.n_neighs };
	if (keep_plan(&p->r, f, &plan, e) < 0)
		return -1;
	keep_in_pod(&p->r, f, &plan, &there, &changes);
	p->settled = reconcile_make_all(k, p, pod.nl, "in the pod", &changes, trouble);
	if (!current && p->settled) {
		p->r.host_mac = f->host_mac;
		rc = record_ips(k, p, f->node_ips, f->n_node_ips, false, e);
	}
	if (!reconcile_is_recorded(k, &p->r))
		take_back(pod.nl, &p->r, &changes);
	return rc;
}

void reconcile_keep_pod(struct reconcile *k, const struct node *n, struct kept *p)
{
	const struct link *end = reconcile_host_end(n, &p->r);
	AUTO_FREE struct ip *node_ips = NULL;
	AUTO_STR trouble = STR_INIT;
	struct keep_facts f;
	struct err e;
	bool current;
	size_t count;

	if (!end)
		return;
	reconcile_find_node_ips(n, &p->r, &node_ips, &count);
	current = keep_is_current(&p->r, node_ips, count) &&
	          memcmp(&end->mac, &p->r.host_mac, sizeof(end->mac)) == 0;
	if ((current && (p->settled || reconcile_namespace_of(k, &p->r, NULL) != LIVES)) ||
	    !reconcile_is_recorded(k, &p->r))
		return;
	p->settled = false;
	f = reconcile_facts_of(n, end, node_ips, count);
	if (enter_pod(k, p, &f, current, &trouble, &e) < 0 && reconcile_is_recorded(k, &p->r))
		reconcile_add_trouble(k, &trouble, &e);
	reconcile_settle_trouble(k, p, &p->pod_trouble, &trouble);
}
