/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reconcile.c - one thread that reads the records, looks at the node, and where it must at pods.
 *
 * Theory of operation.  A round lists the records anew and the node's state once.  Under the lock
 * on the node's namespace that the coordinator's DEL takes before it removes the rule, what is
 * missing on the node is made again: routes first, and the rule only when they could be, so that no
 * rule outlives the last pod.  Then those pods are entered whose record has other node addresses
 * than the node; at the start, all of them.  Before a pod is changed its record names the old
 * addresses and the new ones: whatever happens, what was put there can be found again.
 *
 * Who undoes our work again and again gets it done ever more slowly.
 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "agent/reconcile.h"
#include "agent/sysctls.h"
#include "agent/thread.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mono.h"
#include "cni/state.h"
#include "datapath/keep.h"
#include "datapath/rule.h"
#include "net/netns.h"
#include "net/notices.h"
#include "net/sysctl.h"

#define QUICK_REPAIRS 8   /* in a row, before they get slower */
#define IN_A_ROW_MS 10000 /* so soon after each other */
#define SLOWEST_MS 10000

/* A record, and how it stands with it. */
struct kept {
	struct datapath_record r;
	int host_index;                   /* of the host end, 0: not there */
	bool settled;                     /* the pod has what the record says */
	bool there;                       /* in the next round as well */
	char *node_trouble, *pod_trouble; /* told last, or NULL */
};

struct reconcile {
	struct reconcile_config config;
	int notices, inotify, stop;
	struct kept *kept;
	size_t n_kept;
	bool began;           /* the first round is over */
	bool powerless;       /* told that rights are missing */
	uint32_t told;        /* by sysctls_tune */
	unsigned int repairs; /* in this round */
	pthread_t thread;
};

/* What the node is like in this round.  Arrays are owned. */
struct node {
	struct nl *nl;
	int ns;
	struct link *links;
	struct addr *addrs;
	struct route *routes;
	struct neigh *neighs;
	struct rule *rules;
	struct ip *local;   /* addresses, but those on host ends */
	struct addr *cards; /* the same, and those on other plugins' host ends */
	size_t n_links, n_addrs, n_routes, n_neighs, n_rules, n_local, n_cards;
};

static void node_release(struct node *n)
{
	nl_close(n->nl);
	mem_cleanup_fd(&n->ns);
	free(n->links);
	free(n->addrs);
	free(n->routes);
	free(n->neighs);
	free(n->rules);
	free(n->local);
	free(n->cards);
}

#define AUTO_NODE __attribute__((cleanup(node_release))) struct node

/* Words. */
static void kept_release(struct kept *p)
{
	datapath_record_release(&p->r);
	free(p->node_trouble);
	free(p->pod_trouble);
	*p = (struct kept){ .host_index = 0 };
}

/* The pod as people know it; owned. */
static char *name_of(const struct reconcile *k, const struct kept *p)
{
	struct attachment a;
	char *name;

	if (attachment_read(k->config.state_dir, p->r.container_id, p->r.ifname, &a, NULL) < 0)
		return xasprintf("container %.13s, %s", p->r.container_id, p->r.ifname);
	name = xasprintf("pod %s/%s, %s", a.pod_namespace, a.pod_name, p->r.ifname);
	attachment_release(&a);
	return name;
}

/* Told when it is not what was told last. */
static void settle_trouble(const struct reconcile *k, const struct kept *p, char **told,
                           struct str *trouble)
{
	if (trouble->len && (!*told || !streq(*told, trouble->data))) {
		AUTO_FREE char *name = name_of(k, p);

		log_warn("%s: %s", name, trouble->data);
	}
	free(*told);
	*told = trouble->len ? str_take(trouble) : NULL;
}

static void add_trouble(struct reconcile *k, struct str *trouble, const struct err *e)
{
	/* EACCES is what an interface without IPv6 says */
	if (e->sys != EPERM) {
		str_addf(trouble, "%s%s", trouble->len ? "; " : "", e->msg);
		return;
	}
	if (!k->powerless)
		log_warn_err(e,
		             "what joins pods and node cannot be kept without CAP_NET_ADMIN, "
		             "and CAP_SYS_ADMIN for the pods'");
	k->powerless = true;
}

/* Making changes. */
static int make(struct nl *nl, const struct keep_change *c, struct err *e)
{
	bool made;

	switch (c->what) {
	case KEEP_ROUTE_ADD:
		return route_add(nl, &c->route, ROUTE_CREATE, e);
	case KEEP_ROUTE_REPLACE:
		return route_add(nl, &c->route, ROUTE_REPLACE, e);
	case KEEP_ROUTE_DEL:
		return route_del(nl, &c->route, e);
	case KEEP_NEIGH_SET:
		return neigh_replace(nl, &c->neigh, e);
	case KEEP_NEIGH_DEL:
		return neigh_del(nl, c->neigh.index, c->neigh.ip, e);
	case KEEP_RULE_ADD:
		return datapath_rule_add_node(nl, &c->rule, &made, e);
	case KEEP_ADDR_ADD:
		return addr_add(nl, c->addr.index, cidr_host(c->addr.ip), e);
	case KEEP_ADDR_DEL:
		return addr_del(nl, c->addr.index, cidr_host(c->addr.ip), e);
	default:
		break;
	}
	return err_set(e, ERR_EXISTS, "another program's %s (interface %d) is in the place of ours",
	               c->what == KEEP_NEIGH_FOREIGN ? "neighbour" : "route",
	               c->what == KEEP_NEIGH_FOREIGN ? c->neigh.index : c->route.oif);
}

static const char *const did[] = {
	[KEEP_ROUTE_ADD] = "was missing: made",
	[KEEP_ROUTE_REPLACE] = "led elsewhere: replaced",
	[KEEP_ROUTE_DEL] = "is to an address that the node has no more: removed",
	[KEEP_NEIGH_SET] = "was missing or another: set",
	[KEEP_NEIGH_DEL] = "is an address that the node has no more: removed",
	[KEEP_RULE_ADD] = "was missing: made",
	[KEEP_ADDR_ADD] = "was missing: made",
	[KEEP_ADDR_DEL] = "is one that the node has no more: removed",
};

/* Gone by itself, or made by somebody else meanwhile: nothing to tell. */
static bool is_done(const struct keep_change *c, const struct err *e)
{
	if (c->what == KEEP_ROUTE_DEL || c->what == KEEP_NEIGH_DEL || c->what == KEEP_ADDR_DEL)
		return e->kind == ERR_NOT_FOUND;
	return c->what == KEEP_ADDR_ADD && e->sys == EEXIST;
}

/* False when one of them failed. */
static bool make_all(struct reconcile *k, const struct kept *p, struct nl *nl, const char *where,
                     const struct keep_changes *all, struct str *trouble)
{
	bool all_made = true, no_route[7] = { false }; /* by family */

	for (size_t i = 0; i < all->n; i++) {
		const struct keep_change *c = &all->v[i];
		AUTO_FREE char *name = NULL;
		AUTO_STR text = STR_INIT;
		struct err e;

		/* without its routes the rule serves nobody */
		if (c->what == KEEP_RULE_ADD && no_route[c->rule.family])
			continue;
		keep_change_text(c, &text);
		if (make(nl, c, &e) < 0) {
			if (is_done(c, &e))
				continue;
			all_made = false;
			if (c->what == KEEP_ROUTE_ADD)
				no_route[c->route.dst.ip.family] = true;
			IGNORE(err_wrap(&e, "%s %s", where, text.data));
			/* an interface that goes this moment: of that there is a notice */
			if (e.sys != ENODEV && e.sys != ENETDOWN)
				add_trouble(k, trouble, &e);
			continue;
		}
		name = name_of(k, p);
		log_info("%s: %s %s %s", name, where, text.data, did[c->what]);
		metrics_add(k->config.metrics, METRIC_DATAPATH_REPAIRS, 1);
		k->repairs++;
	}
	return all_made;
}

/* Records. */
enum evidence { DEAD, LIVES, UNKNOWN };

/* *ns is the open namespace when it lives (owned). */
static enum evidence namespace_of(const struct reconcile *k, const struct datapath_record *r,
                                  int *ns)
{
	AUTO_FD int fd = -1;
	uint64_t inode;
	struct err e;

	if (!*k->config.boot_id || !r->netns_inode)
		return UNKNOWN;
	if (!streq(r->boot_id, k->config.boot_id))
		return DEAD;
	if (netns_open(r->netns, &fd, &e) < 0 || netns_inode(fd, &inode, &e) < 0 ||
	    inode != r->netns_inode) {
		/* other processes' are not seen from a container */
		if (str_starts(r->netns, "/proc/") || (fd < 0 && e.kind == ERR_SYS))
			return UNKNOWN;
		return DEAD;
	}
	if (ns)
		*ns = take_fd(&fd);
	return LIVES;
}

static void drop_rule(const struct node *n, int family, uint32_t table)
{
	if (datapath_rule_drop(n->nl, n->ns, family, table))
		log_info("IPv%d rule %u to table %u is removed: no pod is left", family,
		         COORDINATOR_RULE_PRIORITY, table);
}

static void bury(const struct reconcile *k, const struct node *n, const struct datapath_record *r)
{
	struct err e;

	if (datapath_record_remove(k->config.state_dir, r->container_id, r->ifname, &e) < 0) {
		log_warn_err(&e, "record of a pod that is gone");
		return;
	}
	log_debug("container %s, %s: is gone, and its record", r->container_id, r->ifname);
	drop_rule(n, 4, r->host_table);
	drop_rule(n, 6, r->host_table);
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
static struct link *host_end(const struct node *n, const struct datapath_record *r)
{
	struct link *l = link_named(n, r->host_link);

	if (!l || (r->overlay ? r->host_index && r->host_index != l->index
	                      : coordinator_is_others(l, r->container_id)))
		return NULL;
	return l;
}

/* While the pair is there the namespace is, whatever can be seen of it from here. */
static bool is_over(const struct reconcile *k, const struct node *n,
                    const struct datapath_record *r)
{
	return namespace_of(k, r, NULL) == DEAD &&
	       (!streq(r->boot_id, k->config.boot_id) || !host_end(n, r));
}

static struct kept *find(struct kept *v, size_t n, const struct datapath_record *r)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].r.container_id && streq(v[i].r.container_id, r->container_id) &&
		    streq(v[i].r.ifname, r->ifname))
			return &v[i];
	return NULL;
}

/*
 * Its DEL took the record away.  That was after the routes and the neighbours, which we may have
 * made good between the two; the pair of a pod's first interface is gone with all of them.
 */
static void forget(const struct reconcile *k, const struct node *n, const struct datapath_record *r)
{
	AUTO_DATAPATH_RECORD is = { .container_id = NULL };
	const struct link *l = host_end(n, r);
	struct err e;

	/* or it could not be read this time */
	if (datapath_record_read(k->config.state_dir, r->container_id, r->ifname, &is, &e) == 0 ||
	    e.kind != ERR_NOT_FOUND)
		return;
	for (size_t i = 0; l && i < r->n_pod_ips; i++) {
		const struct route route = { .dst = cidr_host(r->pod_ips[i]),
			                     .oif = l->index,
			                     .table = r->host_table };

		if (route_del(n->nl, &route, NULL) == 0)
			log_debug("route to %s in table %u is removed: a DEL missed it",
			          ip_str(r->pod_ips[i]).s, route.table);
		IGNORE(neigh_del(n->nl, l->index, r->pod_ips[i], NULL));
	}
	/* which the DEL left because of that route */
	drop_rule(n, 4, r->host_table);
	drop_rule(n, 6, r->host_table);
}

/* Those of before, with what is known of them, and new ones; dead ones are buried. */
static int read_records(struct reconcile *k, struct node *n, struct err *e)
{
	struct kept *old = k->kept;
	struct datapath_record *v;
	size_t n_old = k->n_kept, count;

	/* the records first: the pairs of all of them are there then */
	if (datapath_record_list(k->config.state_dir, &v, &count, e) < 0)
		return -1;
	if (link_list(n->nl, &n->links, &n->n_links, e) < 0) {
		for (size_t i = 0; i < count; i++)
			datapath_record_release(&v[i]);
		free(v);
		return -1;
	}
	k->kept = xcalloc(count + 1, sizeof(*k->kept));
	k->n_kept = 0;
	for (size_t i = 0; i < count; i++) {
		struct kept *before = find(old, n_old, &v[i]);
		struct kept *p = &k->kept[k->n_kept];

		if (before)
			before->there = true;

		if (is_over(k, n, &v[i])) {
			bury(k, n, &v[i]);
			datapath_record_release(&v[i]);
			continue;
		}
		/* what an ADD made a moment ago is as it said */
		p->settled = before ? before->settled : k->began;
		p->node_trouble = before ? take_ptr(&before->node_trouble) : NULL;
		p->pod_trouble = before ? take_ptr(&before->pod_trouble) : NULL;
		p->r = v[i];
		k->n_kept++;
	}
	for (size_t i = 0; i < n_old; i++) {
		if (!old[i].there)
			forget(k, n, &old[i].r);
		kept_release(&old[i]);
	}
	free(old);
	free(v);
	return 0;
}

/* The node. */
static bool is_host_end(const struct reconcile *k, int index)
{
	for (size_t i = 0; i < k->n_kept; i++)
		if (k->kept[i].host_index == index)
			return index > 0;
	return false;
}

/* Of the coordinator's making.  On a node with many pods these have most of its addresses. */
static bool is_pairs_end(const struct reconcile *k, int index)
{
	for (size_t i = 0; i < k->n_kept; i++)
		if (k->kept[i].host_index == index)
			return !k->kept[i].r.overlay;
	return false;
}

static bool uses(const struct reconcile *k, uint8_t family)
{
	for (size_t i = 0; i < k->n_kept; i++)
		for (size_t j = 0; j < k->kept[i].r.n_pod_ips; j++)
			if (k->kept[i].r.pod_ips[j].family == family)
				return true;
	return false;
}

/* Both arrays are taken; the result has to's elements, then v's. */
static void *join(void *to, size_t *n, void *v, size_t more, size_t size)
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
	n->rules = join(n->rules, &n->n_rules, rules, count, sizeof(*rules));
	for (size_t i = 0; i < k->n_kept; i++) {
		uint32_t table = k->kept[i].r.host_table;
		struct route *routes;
		bool had = false;

		for (size_t j = 0; j < i && !had; j++)
			had = k->kept[j].r.host_table == table;
		if (had)
			continue;
		if (route_list(n->nl, family, table, &routes, &count, e) < 0)
			return -1;
		n->routes = join(n->routes, &n->n_routes, routes, count, sizeof(*routes));
	}
	return 0;
}

static int look_at_node(struct reconcile *k, struct node *n, struct err *e)
{
	if (addr_list(n->nl, 0, 0, &n->addrs, &n->n_addrs, e) < 0 ||
	    neigh_list(n->nl, 0, 0, &n->neighs, &n->n_neighs, e) < 0)
		return -1;
	for (uint8_t family = 4; family <= 6; family += 2)
		if (uses(k, family) && list_family(k, n, family, e) < 0)
			return -1;
	for (size_t i = 0; i < k->n_kept; i++) {
		const struct link *l = host_end(n, &k->kept[i].r);

		k->kept[i].host_index = l ? l->index : 0;
	}
	n->local = xcalloc(n->n_addrs + 1, sizeof(*n->local));
	n->cards = xcalloc(n->n_addrs + 1, sizeof(*n->cards));
	for (size_t i = 0; i < n->n_addrs; i++) {
		if (!is_host_end(k, n->addrs[i].index))
			n->local[n->n_local++] = n->addrs[i].local.ip;
		if (!is_pairs_end(k, n->addrs[i].index))
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
static void find_node_ips(const struct node *n, const struct datapath_record *r, struct ip **out,
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
			add_trouble(k, trouble, &e);
		return;
	}
	l->flags |= IFF_UP;
	name = name_of(k, p);
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
		add_trouble(k, trouble, &e);
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
			add_trouble(k, trouble, &e);
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

static struct keep_facts facts_of(const struct node *n, const struct link *end,
                                  const struct ip *node_ips, size_t n_node_ips)
{
	return (struct keep_facts){ .host_link = end->index,
		                    .host_mac = end->mac,
		                    .node_ips = node_ips,
		                    .n_node_ips = n_node_ips,
		                    .local = n->local,
		                    .n_local = n->n_local };
}

static void keep_node(struct reconcile *k, struct node *n, struct kept *p, bool whole)
{
	struct link *end = host_end(n, &p->r);
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
		settle_trouble(k, p, &p->node_trouble, &trouble);
		return;
	}
	find_node_ips(n, &p->r, &node_ips, &count);
	f = facts_of(n, end, node_ips, count);
	if (!p->r.overlay)
		raise_host_end(k, p, n, end, &trouble);
	if (!p->r.overlay && whole)
		hear_no_routers(k, end, &trouble);
	if (keep_plan(&p->r, &f, &plan, &e) < 0) {
		add_trouble(k, &trouble, &e);
	} else {
		keep_on_node(&p->r, &f, &plan, &there, &changes);
		if (!p->r.overlay)
			switch_on_ipv6(k, n, end, &changes, &trouble);
		make_all(k, p, n->nl, "on the node", &changes, &trouble);
	}
	settle_trouble(k, p, &p->node_trouble, &trouble);
}

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

	if (namespace_of(k, r, &ns) != LIVES)
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
		d->routes = join(d->routes, &d->n_routes, routes, count, sizeof(*routes));
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

/* A DEL may have taken it away meanwhile, and another ADD left one that tells of other things. */
static bool is_recorded(const struct reconcile *k, const struct datapath_record *r)
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
	AUTO_FREE char *name = name_of(k, p);
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
	if (!is_recorded(k, r))
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
	p->settled = make_all(k, p, pod.nl, "in the pod", &changes, trouble);
	if (!current && p->settled) {
		p->r.host_mac = f->host_mac;
		rc = record_ips(k, p, f->node_ips, f->n_node_ips, false, e);
	}
	if (!is_recorded(k, &p->r))
		take_back(pod.nl, &p->r, &changes);
	return rc;
}

static void keep_pod(struct reconcile *k, const struct node *n, struct kept *p)
{
	const struct link *end = host_end(n, &p->r);
	AUTO_FREE struct ip *node_ips = NULL;
	AUTO_STR trouble = STR_INIT;
	struct keep_facts f;
	struct err e;
	bool current;
	size_t count;

	if (!end)
		return;
	find_node_ips(n, &p->r, &node_ips, &count);
	current = keep_is_current(&p->r, node_ips, count) &&
	          memcmp(&end->mac, &p->r.host_mac, sizeof(end->mac)) == 0;
	if ((current && (p->settled || namespace_of(k, &p->r, NULL) != LIVES)) ||
	    !is_recorded(k, &p->r))
		return;
	p->settled = false;
	f = facts_of(n, end, node_ips, count);
	if (enter_pod(k, p, &f, current, &trouble, &e) < 0 && is_recorded(k, &p->r))
		add_trouble(k, &trouble, &e);
	settle_trouble(k, p, &p->pod_trouble, &trouble);
}

static int keep_all_on_node(struct reconcile *k, struct node *n, bool whole, struct err *e)
{
	int rc;

	/* see drop_rule(): it must not come between what we see and what we make */
	if (netns_lock(n->ns, false, e) < 0)
		return -1;
	rc = look_at_node(k, n, e);
	for (size_t i = 0; i < k->n_kept && rc == 0; i++)
		keep_node(k, n, &k->kept[i], whole);
	netns_unlock(n->ns);
	return rc;
}

static int look(struct reconcile *k, bool whole, struct err *e)
{
	AUTO_NODE n = { .ns = -1 };

	if (netns_open_self(&n.ns, e) < 0 || nl_open(NETLINK_ROUTE, &n.nl, e) < 0 ||
	    read_records(k, &n, e) < 0)
		return -1;
	if (k->n_kept && keep_all_on_node(k, &n, whole, e) < 0)
		return -1;
	for (size_t i = 0; i < k->n_kept; i++)
		keep_pod(k, &n, &k->kept[i]);
	k->began = true;
	return 0;
}

static void round_of(struct reconcile *k, bool whole)
{
	struct err e;

	k->repairs = 0;
	if (whole && k->config.tune)
		sysctls_tune(k->config.ipv4, k->config.ipv6, &k->told);
	if (look(k, whole, &e) < 0)
		log_warn_err(&e, "what joins pods and node is not looked at");
}

/* Notices. */
static bool matters(const struct notice *n, void *arg)
{
	switch (n->type) {
	case RTM_NEWADDR: /* on a host end it is of our making */
		return !is_host_end(arg, n->index);
	case RTM_DELADDR:
	case RTM_DELRULE:
		return true;
	case RTM_DELROUTE:
		return n->table != RT_TABLE_MAIN && n->table != RT_TABLE_LOCAL;
	case RTM_NEWLINK:
	case RTM_DELLINK:
	case RTM_DELNEIGH: /* which comes also before a neighbour of another kind */
		return is_host_end(arg, n->index);
	default:
		return false;
	}
}

static bool hear(struct reconcile *k)
{
	_Alignas(struct inotify_event) char buf[4096];
	bool any = notices_take(k->notices, matters, k);

	while (read(k->inotify, buf, sizeof(buf)) > 0)
		any = true;
	return any;
}

/* False: to stop.  *whole: everything is to be looked at. */
static bool wait_for_work(struct reconcile *k, struct mono next, int settle_ms, bool *whole)
{
	struct pollfd fds[] = { { k->stop, POLLIN, 0 },
		                { k->notices, POLLIN, 0 },
		                { k->inotify, POLLIN, 0 } };

	while (!mono_passed(next)) {
		IGNORE(poll(fds, ARRAY_LEN(fds), mono_left_ms(next)) < 0);
		if (fds[0].revents)
			return false;
		if (!hear(k))
			continue;
		IGNORE(poll(fds, 1, settle_ms) < 0);
		hear(k);
		break;
	}
	*whole = mono_passed(next);
	return !fds[0].revents;
}

static void *reconcile_main(void *arg)
{
	struct reconcile *k = arg;
	int look_ms = k->config.look_ms ? k->config.look_ms : RECONCILE_LOOK_MS;
	struct mono next = mono_in(look_ms), row = mono_now();
	int settle_ms = RECONCILE_SETTLE_MS, in_a_row = 0;
	bool whole = true;

	do {
		if (whole)
			next = mono_in(look_ms);
		round_of(k, whole);
		if (k->repairs) {
			in_a_row = mono_passed(row) ? 0 : in_a_row + 1;
			settle_ms = in_a_row < QUICK_REPAIRS ? RECONCILE_SETTLE_MS : 2 * settle_ms;
			if (settle_ms > SLOWEST_MS)
				settle_ms = SLOWEST_MS;
			row = mono_in(IN_A_ROW_MS + settle_ms);
		}
	} while (wait_for_work(k, next, settle_ms, &whole));
	return NULL;
}

static void reconcile_free(struct reconcile *k)
{
	mem_cleanup_fd(&k->notices);
	mem_cleanup_fd(&k->inotify);
	mem_cleanup_fd(&k->stop);
	for (size_t i = 0; i < k->n_kept; i++)
		kept_release(&k->kept[i]);
	free(k->kept);
	free(k);
}

static int begin(struct reconcile *k, struct err *e)
{
	AUTO_FREE char *folder = xasprintf("%s/datapath", k->config.state_dir);

	if (k->inotify < 0 || k->stop < 0)
		return err_sys(e, errno, "inotify and eventfd");
	if (file_mkdirs(folder, 0700, e) < 0)
		return -1;
	if (inotify_add_watch(k->inotify, folder, IN_MOVED_TO | IN_DELETE) < 0)
		return err_sys(e, errno, "watch %s", folder);
	/* before the first look: what changes later wakes the thread */
	if (notices_open(NOTICES_LINKS | NOTICES_ADDRS | NOTICES_ROUTES | NOTICES_RULES |
	                         NOTICES_NEIGHS,
	                 &k->notices, e) < 0)
		return -1;
	return thread_start(&k->thread, reconcile_main, k, e);
}

int reconcile_start(const struct reconcile_config *config, struct reconcile **out, struct err *e)
{
	struct reconcile *k = xcalloc(1, sizeof(*k));

	k->config = *config;
	k->notices = -1;
	k->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	k->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (begin(k, e) < 0) {
		reconcile_free(k);
		return -1;
	}
	*out = k;
	return 0;
}

void reconcile_stop(struct reconcile *k)
{
	uint64_t one = 1;

	if (!k)
		return;
	if (write(k->stop, &one, sizeof(one)) < 0)
		log_warn("stop the keeper of what joins pods and node");
	pthread_join(k->thread, NULL);
	reconcile_free(k);
}
