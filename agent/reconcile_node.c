/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reconcile_node.c - what there is on the node, and what has to be.
 */
#include <errno.h>
#include <stdlib.h>

#include "agent/reconcile_work.h"
#include "agent/sysctls.h"
#include "base/log.h"
#include "net/netns.h"
#include "net/sysctl.h"

int reconcile_node_open(struct reconcile *k, struct node *n, struct err *e)
{
	if (k->ns < 0 && netns_open_self(&k->ns, e) < 0)
		return -1;
	if (!k->nl && nl_open(NETLINK_ROUTE, &k->nl, e) < 0)
		return -1;
	n->nl = k->nl;
	n->ns = k->ns;
	return 0;
}

void reconcile_node_release(struct node *n)
{
	free(n->links);
	free(n->addrs);
	free(n->routes);
	free(n->neighs);
	free(n->rules);
	free(n->local);
	free(n->cards);
}

static struct link *link_named(const struct node *n, const char *name)
{
	for (size_t i = 0; i < n->n_links; i++)
		if (streq(n->links[i].name, name))
			return &n->links[i];
	return NULL;
}

/*
 * The end of this pod's pair, or NULL.  In overlay mode it is another plugin's: the next pod of the
 * same name may have one of the same name and MAC address, but never with the same index.
 */
struct link *reconcile_host_end(const struct node *n, const struct datapath_record *r)
{
	struct link *l = link_named(n, r->host_link);

	if (!l || (r->overlay ? r->host_index && r->host_index != l->index
	                      : coordinator_is_others(l, r->container_id)))
		return NULL;
	return l;
}

static bool is_host_end(const struct reconcile *k, int index)
{
	for (size_t i = 0; i < k->n_kept; i++)
		if (k->kept[i].host_index == index)
			return index > 0;
	return false;
}

/* Of the coordinator's making.  On a node with many pods these have most of its addresses. */
bool reconcile_is_pairs_end(const struct reconcile *k, int index)
{
	for (size_t i = 0; i < k->n_kept; i++)
		if (k->kept[i].host_index == index)
			return !k->kept[i].r.overlay;
	return false;
}

/* Of those that are looked at. */
static bool uses(const struct reconcile *k, uint8_t family)
{
	for (size_t i = 0; i < k->n_kept; i++)
		if (k->kept[i].look &&
		    ip_first_of(k->kept[i].r.pod_ips, k->kept[i].r.n_pod_ips, family))
			return true;
	return false;
}

/* Both arrays are taken; the result has to's elements, then v's. */
void *reconcile_join(void *to, size_t *n, void *v, size_t more, size_t size)
{
	char *all = xrealloc(to, (*n + more + 1) * size);

	if (more)
		memcpy(all + *n * size, v, more * size);
	*n += more;
	free(v);
	return all;
}

/* Of one family: the rules, and the routes in the tables that records name. */
static int list_family(struct reconcile *k, struct node *n, int family, struct err *e)
{
	struct rule *rules;
	size_t count;

	if (rule_list(n->nl, family, &rules, &count, e) < 0)
		return -1;
	n->rules = reconcile_join(n->rules, &n->n_rules, rules, count, sizeof(*rules));
	for (size_t i = 0; i < k->n_kept; i++) {
		uint32_t table = k->kept[i].r.host_table;
		struct route *routes;
		bool had = !k->kept[i].look;

		for (size_t j = 0; j < i && !had; j++)
			had = k->kept[j].look && k->kept[j].r.host_table == table;
		if (had)
			continue;
		if (route_list(n->nl, family, table, &routes, &count, e) < 0)
			return -1;
		n->routes = reconcile_join(n->routes, &n->n_routes, routes, count, sizeof(*routes));
	}
	return 0;
}

/* A copy with room for one more. */
static void *copy(const void *v, size_t n, size_t size)
{
	void *to = xcalloc(n + 1, size);

	if (n)
		memcpy(to, v, n * size);
	return to;
}

static struct link *link_of(struct link *v, size_t n, int index)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].index == index)
			return &v[i];
	return NULL;
}

static void add_link(struct link **v, size_t *n, const struct link *l)
{
	*v = xrealloc(*v, (*n + 1) * sizeof(**v));
	(*v)[(*n)++] = *l;
}

/* Asks for that end.  One that is not there is no error. */
static int find_end(struct node *n, const struct datapath_record *r, struct err *e)
{
	struct link l;
	struct err mine;

	if (link_named(n, r->host_link))
		return 0;
	if (link_get(n->nl, r->host_link, &l, &mine) == 0)
		add_link(&n->links, &n->n_links, &l);
	else if (mine.kind != ERR_NOT_FOUND)
		return err_copy(e, &mine);
	return 0;
}

int reconcile_find_ends(struct reconcile *k, struct node *n, struct err *e)
{
	for (size_t i = 0; i < k->n_kept; i++) {
		struct kept *p = &k->kept[i];
		const struct link *l;

		if (!p->look)
			continue;
		if (find_end(n, &p->r, e) < 0)
			return -1;
		l = reconcile_host_end(n, &p->r);
		p->host_index = l ? l->index : 0;
	}
	return 0;
}

/* Those that are on no pair are remembered, as long as nothing is heard of others. */
static void remember(struct reconcile *k, const struct addr *v, size_t count)
{
	struct addr *addrs = xcalloc(count + 1, sizeof(*addrs));
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		if (!reconcile_is_pairs_end(k, v[i].index))
			addrs[n++] = v[i];
	free(k->addrs);
	k->addrs = addrs;
	k->n_addrs = n;
}

/* Of a pod in the making: the node's addresses, and link-local ones.  They change nothing. */
static bool has_same(const struct addr *v, size_t n, const struct addr *a, bool anywhere)
{
	for (size_t i = 0; i < n; i++)
		if (ip_equal(v[i].local.ip, a->local.ip) &&
		    (anywhere || (v[i].index == a->index && v[i].local.len == a->local.len &&
		                  v[i].flags == a->flags)))
			return true;
	return ip_is_link_local(a->local.ip);
}

int reconcile_node_changed(struct reconcile *k, struct node *n, bool *changed, struct err *e)
{
	AUTO_FREE struct addr *before = NULL;
	struct addr *v;
	size_t n_before = k->n_addrs, count;
	bool others = false;

	for (size_t i = 0; i < k->heard.n_indexes && !others; i++)
		others = !reconcile_is_pairs_end(k, k->heard.indexes[i]);
	if (!others)
		return 0;
	if (addr_list(n->nl, 0, 0, &v, &count, e) < 0)
		return -1;
	before = take_ptr(&k->addrs);
	remember(k, v, count);
	free(v);
	for (size_t i = 0; i < n_before && !*changed; i++)
		*changed = !has_same(k->addrs, k->n_addrs, &before[i], false);
	for (size_t i = 0; i < k->n_addrs && !*changed; i++)
		*changed = !has_same(before, n_before, &k->addrs[i], true);
	return 0;
}

/* Interfaces of addresses that a pod may go by. */
static int link_cards(struct reconcile *k, struct node *n, struct err *e)
{
	for (size_t i = 0; i < k->n_addrs; i++) {
		int index = k->addrs[i].index;
		struct link l;
		struct err mine;

		if (ip_is_link_local(k->addrs[i].local.ip) || link_of(k->links, k->n_links, index))
			continue;
		if (link_get_index(n->nl, index, &l, &mine) == 0)
			add_link(&k->links, &k->n_links, &l);
		else if (mine.kind != ERR_NOT_FOUND)
			return err_copy(e, &mine);
	}
	n->links =
		reconcile_join(n->links, &n->n_links, copy(k->links, k->n_links, sizeof(*k->links)),
	                       k->n_links, sizeof(*k->links));
	return 0;
}

/* What else there is on the ends of those that are looked at. */
static int look_at_ends(struct reconcile *k, struct node *n, struct err *e)
{
	n->addrs = copy(k->addrs, k->n_addrs, sizeof(*k->addrs));
	n->n_addrs = k->n_addrs;
	for (size_t i = 0; i < k->n_kept; i++) {
		int index = k->kept[i].look ? k->kept[i].host_index : 0;
		struct neigh *neighs;
		struct addr *addrs;
		size_t count, left = 0;

		for (size_t j = 0; j < i && index; j++)
			if (k->kept[j].look && k->kept[j].host_index == index)
				index = 0;
		if (!index)
			continue;
		if (neigh_list(n->nl, 0, index, &neighs, &count, e) < 0)
			return -1;
		n->neighs = reconcile_join(n->neighs, &n->n_neighs, neighs, count, sizeof(*neighs));
		if (addr_list(n->nl, 0, index, &addrs, &count, e) < 0)
			return -1;
		/* another plugin's are remembered */
		for (size_t j = 0; j < n->n_addrs; j++)
			if (n->addrs[j].index != index)
				n->addrs[left++] = n->addrs[j];
		n->n_addrs = left;
		n->addrs = reconcile_join(n->addrs, &n->n_addrs, addrs, count, sizeof(*addrs));
	}
	return link_cards(k, n, e);
}

static int look_at_everything(struct reconcile *k, struct node *n, struct err *e)
{
	if (addr_list(n->nl, 0, 0, &n->addrs, &n->n_addrs, e) < 0 ||
	    neigh_list(n->nl, 0, 0, &n->neighs, &n->n_neighs, e) < 0)
		return -1;
	remember(k, n->addrs, n->n_addrs);
	free(k->links);
	k->links = NULL;
	k->n_links = 0;
	for (size_t i = 0; i < k->n_addrs; i++) {
		const struct link *l = link_of(n->links, n->n_links, k->addrs[i].index);

		if (l && !ip_is_link_local(k->addrs[i].local.ip) &&
		    !link_of(k->links, k->n_links, l->index))
			add_link(&k->links, &k->n_links, l);
	}
	return 0;
}

int reconcile_look_at_node(struct reconcile *k, struct node *n, bool all, struct err *e)
{
	if ((all ? look_at_everything(k, n, e) : look_at_ends(k, n, e)) < 0)
		return -1;
	for (uint8_t family = 4; family <= 6; family += 2)
		if (uses(k, family) && list_family(k, n, family, e) < 0)
			return -1;
	n->local = xcalloc(n->n_addrs + 1, sizeof(*n->local));
	n->cards = xcalloc(n->n_addrs + 1, sizeof(*n->cards));
	for (size_t i = 0; i < n->n_addrs; i++) {
		if (!is_host_end(k, n->addrs[i].index))
			n->local[n->n_local++] = n->addrs[i].local.ip;
		if (!reconcile_is_pairs_end(k, n->addrs[i].index))
			n->cards[n->n_cards++] = n->addrs[i];
	}
	return 0;
}

/* The node's address in the subnet of the pod's address. */
static const struct ip *neighbour_of(const struct node *n, struct ip pod)
{
	for (size_t i = 0; i < n->n_cards; i++)
		if (n->cards[i].local.ip.family == pod.family &&
		    n->cards[i].local.len < ip_bits(pod) && cidr_contains(n->cards[i].local, pod))
			return &n->cards[i].local.ip;
	return NULL;
}

/* As keep_node_ips; owned array.  Where the gateway is lost, one near the pod is the best. */
void reconcile_find_node_ips(const struct node *n, const struct datapath_record *r, struct ip **out,
                             size_t *count)
{
	AUTO_FREE struct ip *better = xcalloc(r->n_pod_ips + 1, sizeof(*better));
	AUTO_FREE struct ip *found = NULL;
	size_t n_better = 0, n_found;

	for (size_t i = 0; i < r->n_pod_ips; i++) {
		const struct ip *a = neighbour_of(n, r->pod_ips[i]);

		if (a)
			better[n_better++] = *a;
	}
	coordinator_node_ips(better, n_better, n->links, n->n_links, n->cards, n->n_cards,
	                     r->pod_ips, r->n_pod_ips, &found, &n_found);
	keep_node_ips(r, n->local, n->n_local, found, n_found, out, count);
}

static void raise_host_end(struct reconcile *k, const struct kept *p, const struct node *n,
                           struct link *l, struct str *trouble)
{
	AUTO_FREE char *name = NULL;
	struct err e;

	if (l->flags & IFF_UP)
		return;
	if (link_set_up(n->nl, l->index, &e) < 0) {
		if (e.sys != ENODEV) /* it goes this moment */
			reconcile_add_trouble(k, trouble, &e);
		return;
	}
	l->flags |= IFF_UP;
	name = reconcile_name_of(k, p);
	log_info("%s: on the node interface %s was down: set up", name, l->name);
	k->repairs++;
}

/* As the coordinator does it.  A node without IPv6 has no such key. */
static void hear_no_routers(struct reconcile *k, const struct link *l, struct str *trouble)
{
	AUTO_FREE char *key = xasprintf("ipv6/conf/%s/accept_ra", l->name);
	bool was = true;
	struct err e;

	if (sysctls_set(key, "0", &was, &e) < 0 && e.kind != ERR_NOT_FOUND)
		reconcile_add_trouble(k, trouble, &e);
	if (!was)
		log_info("sysctl net/%s: 0", key);
}

static uint8_t family_of(const struct keep_change *c)
{
	switch (c->what) {
	case KEEP_RULE_ADD:
		return (uint8_t)c->rule.family;
	case KEEP_NEIGH_SET:
	case KEEP_NEIGH_DEL:
	case KEEP_NEIGH_FOREIGN:
		return c->neigh.ip.family;
	case KEEP_ADDR_ADD:
	case KEEP_ADDR_DEL:
		return c->addr.ip.family;
	default:
		return c->route.dst.ip.family;
	}
}

/*
 * Who switches IPv6 off at the pod's end takes off all that was there of it, and it comes back only
 * after IPv6 itself.  A node that has no address of IPv6 may be meant to be so: there it stays off,
 * and what cannot be made is no change.
 */
static void switch_on_ipv6(struct reconcile *k, const struct node *n, const struct link *l,
                           struct keep_changes *changes, struct str *trouble)
{
	AUTO_FREE char *key = xasprintf("ipv6/conf/%s/disable_ipv6", l->name);
	AUTO_STR now = STR_INIT;
	size_t four = 0;
	struct err e;

	for (size_t i = 0; i < changes->n; i++)
		four += family_of(&changes->v[i]) == 4;
	if (four == changes->n || sysctl_read(-1, key, &now, NULL) < 0 || streq(now.data, "0"))
		return;
	if (ip_first_of(n->local, n->n_local, 6)) {
		if (sysctls_set(key, "0", NULL, &e) < 0) {
			reconcile_add_trouble(k, trouble, &e);
		} else {
			log_info("sysctl net/%s: 0", key);
			k->repairs++;
		}
		return;
	}
	str_addf(trouble, "%sIPv6 is off on the node, and its interface %s stays without it",
	         trouble->len ? "; " : "", l->name);
	four = 0;
	for (size_t i = 0; i < changes->n; i++)
		if (family_of(&changes->v[i]) == 4)
			changes->v[four++] = changes->v[i];
	changes->n = four;
}

struct keep_facts reconcile_facts_of(const struct node *n, const struct link *end,
                                     const struct ip *node_ips, size_t n_node_ips)
{
	return (struct keep_facts){ .host_link = end->index,
		                    .host_mac = end->mac,
		                    .node_ips = node_ips,
		                    .n_node_ips = n_node_ips,
		                    .local = n->local,
		                    .n_local = n->n_local };
}

void reconcile_keep_node(struct reconcile *k, struct node *n, struct kept *p, bool whole)
{
	struct link *end = reconcile_host_end(n, &p->r);
	const struct keep_there there = { n->routes,   n->neighs,   n->rules,   n->addrs,
		                          n->n_routes, n->n_neighs, n->n_rules, n->n_addrs };
	AUTO_COORDINATOR_PLAN plan = { .n_pod_routes = 0 };
	AUTO_KEEP_CHANGES changes = { .v = NULL };
	AUTO_FREE struct ip *node_ips = NULL;
	AUTO_STR trouble = STR_INIT;
	struct keep_facts f;
	struct err e;
	size_t count;

	if (!end) {
		/* a DEL may be at it: it is told when that is no more likely */
		if (!whole)
			return;
		str_addf(&trouble, "on the node interface %s is gone: only a new pod has one",
		         p->r.host_link);
		reconcile_settle_trouble(k, p, &p->node_trouble, &trouble);
		return;
	}
	reconcile_find_node_ips(n, &p->r, &node_ips, &count);
	f = reconcile_facts_of(n, end, node_ips, count);
	if (!p->r.overlay)
		raise_host_end(k, p, n, end, &trouble);
	if (!p->r.overlay && whole)
		hear_no_routers(k, end, &trouble);
	if (keep_plan(&p->r, &f, &plan, &e) < 0) {
		reconcile_add_trouble(k, &trouble, &e);
	} else {
		keep_on_node(&p->r, &f, &plan, &there, &changes);
		if (!p->r.overlay)
			switch_on_ipv6(k, n, end, &changes, &trouble);
		reconcile_make_all(k, p, n->nl, "on the node", &changes, &trouble);
	}
	reconcile_settle_trouble(k, p, &p->node_trouble, &trouble);
}
