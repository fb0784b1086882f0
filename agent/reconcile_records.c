/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reconcile_records.c - the records: all of them, or those of which something was heard; what is
 * left of pods that are gone.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/reconcile_work.h"
#include "base/log.h"
#include "datapath/rule.h"
#include "net/netns.h"

static void kept_release(struct kept *p)
{
	datapath_record_release(&p->r);
	free(p->node_trouble);
	free(p->pod_trouble);
	*p = (struct kept){ .host_index = 0 };
}

void reconcile_kept_free(struct reconcile *k)
{
	for (size_t i = 0; i < k->n_kept; i++)
		kept_release(&k->kept[i]);
	free(k->kept);
	k->kept = NULL;
	k->n_kept = 0;
}

/* *ns is the open namespace when it lives (owned). */
enum evidence reconcile_namespace_of(const struct reconcile *k, const struct datapath_record *r,
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

/* Is there another pod whose route to such an address is in the table, or will be? */
static bool is_used(const struct reconcile *k, int family, uint32_t table)
{
	for (size_t i = 0; i < k->n_kept; i++)
		if (k->kept[i].host_index && k->kept[i].r.host_table == table &&
		    ip_first_of(k->kept[i].r.pod_ips, k->kept[i].r.n_pod_ips, (uint8_t)family))
			return true;
	return false;
}

static void drop_rules(const struct reconcile *k, const struct node *n, uint32_t table)
{
	for (int family = 4; family <= 6; family += 2)
		if (!is_used(k, family, table) && datapath_rule_drop(n->nl, n->ns, family, table))
			log_info("IPv%d rule %u to table %u is removed: no pod is left", family,
			         COORDINATOR_RULE_PRIORITY, table);
}

/* While the pair is there the namespace is, whatever can be seen of it from here. */
static bool is_over(const struct reconcile *k, const struct node *n,
                    const struct datapath_record *r)
{
	return (!streq(r->boot_id, k->config.boot_id) || !reconcile_host_end(n, r)) &&
	       reconcile_namespace_of(k, r, NULL) == DEAD;
}

static void take_out(struct reconcile *k, struct kept *p)
{
	size_t left = (size_t)(&k->kept[k->n_kept] - p) - 1;

	memmove(p, p + 1, left * sizeof(*p));
	k->n_kept--;
}

void reconcile_bury(struct reconcile *k, const struct node *n)
{
	for (size_t i = k->n_kept; i-- > 0;) {
		struct kept dead = k->kept[i];
		struct err e;

		if (!dead.look || !is_over(k, n, &dead.r))
			continue;
		take_out(k, &k->kept[i]);
		if (datapath_record_remove(k->config.state_dir, dead.r.container_id, dead.r.ifname,
		                           &e) < 0) {
			log_warn_err(&e, "record of a pod that is gone");
		} else {
			log_debug("container %s, %s: is gone, and its record", dead.r.container_id,
			          dead.r.ifname);
			drop_rules(k, n, dead.r.host_table);
		}
		kept_release(&dead);
	}
}

static struct kept *find(struct kept *v, size_t n, const char *container_id, const char *ifname)
{
	for (size_t i = 0; i < n; i++)
		if (streq(v[i].r.ifname, ifname) && streq(v[i].r.container_id, container_id))
			return &v[i];
	return NULL;
}

/*
 * Its DEL took the record away.  That was after the routes and the neighbours, which we may have
 * made good between the two; the pair of a pod's first interface is gone with all of them.
 */
static void forget(const struct reconcile *k, const struct node *n, const struct datapath_record *r,
                   int end)
{
	for (size_t i = 0; end && i < r->n_pod_ips; i++) {
		const struct route route = { .dst = cidr_host(r->pod_ips[i]),
			                     .oif = end,
			                     .table = r->host_table };

		if (route_del(n->nl, &route, NULL) == 0)
			log_debug("route to %s in table %u is removed: a DEL missed it",
			          ip_str(r->pod_ips[i]).s, route.table);
		IGNORE(neigh_del(n->nl, end, r->pod_ips[i], NULL));
	}
	/* which the DEL left because of that route */
	drop_rules(k, n, r->host_table);
}

/* Routes of that table; by: only those to the pod's addresses by that interface. */
static int find_routes(struct nl *nl, const struct datapath_record *r, uint32_t table, int by,
                       bool *any, struct err *e)
{
	*any = false;
	for (uint8_t family = 4; family <= 6; family += 2) {
		AUTO_FREE struct route *v = NULL;
		size_t n;

		if (!ip_first_of(r->pod_ips, r->n_pod_ips, family))
			continue;
		if (route_list(nl, family, table, &v, &n, e) < 0)
			return -1;
		for (size_t i = 0; i < n; i++)
			*any = *any || !by ||
			       (v[i].oif == by && ip_among(r->pod_ips, r->n_pod_ips, v[i].dst.ip));
	}
	return 0;
}

/* Rules that send the pod's addresses to the interface's own table. */
static int find_rules(struct nl *pod, const struct datapath_record *r, bool *any)
{
	*any = false;
	for (uint8_t family = 4; family <= 6; family += 2) {
		AUTO_FREE struct rule *v = NULL;
		size_t n;

		if (!ip_first_of(r->pod_ips, r->n_pod_ips, family))
			continue;
		if (rule_list(pod, family, &v, &n, NULL) < 0)
			return -1;
		for (size_t i = 0; i < n; i++)
			*any = *any || (v[i].table == r->table &&
			                ip_among(r->pod_ips, r->n_pod_ips, v[i].src.ip));
	}
	return 0;
}

/*
 * DEAD: the pod has nothing of what the DEL takes off in it: of a first interface the main plugin's
 * addresses count, of others the rules (which nobody makes again) and the routes.
 */
static enum evidence look_into_pod(const struct datapath_record *r, int ns, bool first)
{
	AUTO_NL *pod = NULL;
	AUTO_FREE struct addr *addrs = NULL;
	bool address = false, rules, routes;
	size_t n;

	if (netns_nl(ns, NETLINK_ROUTE, &pod, NULL) < 0)
		return UNKNOWN;
	nl_limit(pod, NL_POD_BYTES);
	if (addr_list(pod, 0, 0, &addrs, &n, NULL) < 0)
		return UNKNOWN;
	for (size_t i = 0; i < n; i++)
		address = address || ip_among(r->pod_ips, r->n_pod_ips, addrs[i].local.ip);
	if (first)
		return address ? LIVES : DEAD;
	if (find_rules(pod, r, &rules) < 0 || find_routes(pod, r, r->table, 0, &routes, NULL) < 0)
		return UNKNOWN;
	if (!rules && !routes)
		return DEAD;
	return address && (rules || !r->tuned) ? LIVES : UNKNOWN;
}

/* A record that is gone. */
struct lost {
	enum evidence pod; /* LIVES: it was no DEL that took it */
	int end;           /* on the node, of this pod's pair; 0: that is gone */
};

/*
 * A DEL of a pod's first interface takes the pair away before the record.  One of another interface
 * leaves the pair; it takes the node's routes, which we may have made again, and what it finds in
 * the pod, if it gets there.
 */
static int look_at_lost(const struct reconcile *k, const struct node *n,
                        const struct datapath_record *r, struct lost *out, struct err *e)
{
	bool first = r->first && !r->overlay, routes;
	AUTO_FD int ns = -1;
	enum evidence pod = UNKNOWN;
	struct link l;

	*out = (struct lost){ .pod = DEAD };
	if (link_get(n->nl, r->host_link, &l, e) < 0)
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	/* the next ADD's, or another pod's */
	if ((r->host_index && r->host_index != l.index) ||
	    (!r->overlay && coordinator_is_others(&l, r->container_id)))
		return 0;
	out->end = l.index;
	if (reconcile_namespace_of(k, r, &ns) == LIVES)
		pod = look_into_pod(r, ns, first);
	if (first) {
		pod = pod == DEAD ? UNKNOWN : LIVES;
	} else if (pod != DEAD) {
		if (find_routes(n->nl, r, r->host_table, l.index, &routes, e) < 0)
			return -1;
		if (!routes)
			pod = pod == LIVES ? UNKNOWN : DEAD;
	}
	/* older records do not say which pair it was */
	out->pod = pod == LIVES && !r->host_index ? UNKNOWN : pod;
	return 0;
}

/* The record is written again.  True: it is the one of a pod that lives. */
static bool bring_back(struct reconcile *k, struct kept *p)
{
	AUTO_FREE char *name = p->lost ? NULL : reconcile_name_of(k, p);
	struct err e;

	if (datapath_record_create(k->config.state_dir, &p->r, &e) == 0) {
		if (name)
			log_warn("%s: its record was removed, and not by a DEL: written again",
			         name);
		metrics_add(k->config.metrics, METRIC_DATAPATH_REPAIRS, 1);
		k->repairs++;
	} else if (e.kind == ERR_EXISTS) {
		return false; /* an ADD's, which is read next */
	} else if (name) {
		log_warn_err(&e, "%s: its record was removed, and not by a DEL", name);
	}
	p->lost = true;
	return true;
}

/* *stays: it is looked after all the same; after an error, too. */
static int settle_lost(struct reconcile *k, const struct node *n, struct kept *p, bool *stays,
                       struct err *e)
{
	AUTO_FREE char *name = NULL;
	struct lost lost;

	*stays = true;
	if (look_at_lost(k, n, &p->r, &lost, e) < 0)
		return -1;
	if (lost.pod == LIVES) {
		*stays = bring_back(k, p);
		if (!*stays)
			return 0;
		/* a DEL that came since did not find the record */
		if (look_at_lost(k, n, &p->r, &lost, e) < 0)
			return -1;
		if (lost.pod == LIVES) {
			p->host_index = lost.end;
			p->look = true;
			return 0;
		}
		if (reconcile_is_recorded(k, &p->r))
			IGNORE(datapath_record_remove(k->config.state_dir, p->r.container_id,
			                              p->r.ifname, NULL));
	}
	*stays = false;
	if (lost.pod == DEAD) {
		forget(k, n, &p->r, lost.end);
		return 0;
	}
	name = reconcile_name_of(k, p);
	log_warn(
		"%s: its record was removed, and nothing tells whether by a DEL: what there is "
		"on the node stays, but is looked after no more",
		name);
	return 0;
}

/* Or it could not be read this time. */
static bool is_gone(const struct reconcile *k, const struct datapath_record *r)
{
	AUTO_DATAPATH_RECORD is = { .container_id = NULL };
	struct err e;

	return datapath_record_read(k->config.state_dir, r->container_id, r->ifname, &is, &e) < 0 &&
	       e.kind == ERR_NOT_FOUND;
}

/* One more, to be filled. */
static struct kept *add(struct reconcile *k)
{
	k->kept = xrealloc(k->kept, (k->n_kept + 1) * sizeof(*k->kept));
	return &k->kept[k->n_kept++];
}

/* The record is taken.  What an ADD made a moment ago is as it said. */
static struct kept *keep(struct reconcile *k, const struct datapath_record *r)
{
	struct kept *p = add(k);

	*p = (struct kept){ .r = *r, .settled = k->began, .look = true };
	return p;
}

/* One that is in the list no more, as its record is gone; it is taken. */
static int lose(struct reconcile *k, const struct node *n, struct kept *p, struct err *e)
{
	bool stays;
	int rc = settle_lost(k, n, p, &stays, e);

	if (stays)
		*add(k) = *p;
	else
		kept_release(p);
	return rc;
}

/* Those of before, with what is known of them, and new ones. */
int reconcile_list_records(struct reconcile *k, struct node *n, struct err *e)
{
	struct kept *old = k->kept;
	struct datapath_record *v;
	size_t n_old = k->n_kept, count;
	int rc = 0;

	/* the records first: the pairs of all of them are there then */
	if (datapath_record_list(k->config.state_dir, &v, &count, e) < 0)
		return -1;
	if (link_list(n->nl, &n->links, &n->n_links, e) < 0) {
		for (size_t i = 0; i < count; i++)
			datapath_record_release(&v[i]);
		free(v);
		return -1;
	}
	k->kept = NULL;
	k->n_kept = 0;
	for (size_t i = 0; i < count; i++) {
		struct kept *before = find(old, n_old, v[i].container_id, v[i].ifname);
		struct kept *p = keep(k, &v[i]);
		const struct link *l = reconcile_host_end(n, &p->r);

		p->host_index = l ? l->index : 0;
		if (!before)
			continue;
		before->there = true;
		p->settled = before->settled;
		p->lost = before->lost;
		p->node_trouble = take_ptr(&before->node_trouble);
		p->pod_trouble = take_ptr(&before->pod_trouble);
	}
	for (size_t i = 0; i < n_old; i++) {
		if (!old[i].there && is_gone(k, &old[i].r))
			rc = lose(k, n, &old[i], e) < 0 ? -1 : rc;
		else
			kept_release(&old[i]);
	}
	free(old);
	free(v);
	return rc;
}

/* Of a file's name (cni/record.h).  False: it is no record's. */
static bool parts_of(const char *file, struct str *id, struct str *ifname)
{
	const char *dash = strchr(file, '-');

	if (*file == '.' || !dash || !str_ends(dash, ".json"))
		return false;
	for (const char *p = file; p < dash; p++) {
		bool escaped = strncmp(p, "%2D", 3) == 0;

		str_addc(id, escaped ? '-' : *p);
		p += escaped ? 2 : 0;
	}
	str_addf(ifname, "%.*s", (int)(strlen(dash + 1) - strlen(".json")), dash + 1);
	return true;
}

static int read_file(struct reconcile *k, const struct node *n, const char *file, bool *all,
                     struct err *e)
{
	AUTO_STR id = STR_INIT;
	AUTO_STR ifname = STR_INIT;
	struct datapath_record r = { .container_id = NULL };
	struct kept *p, gone;
	struct err why;

	if (!parts_of(file, &id, &ifname))
		return 0;
	p = find(k->kept, k->n_kept, id.data, ifname.data);
	if (datapath_record_read(k->config.state_dir, id.data, ifname.data, &r, &why) == 0) {
		if (!p) {
			keep(k, &r);
			return 0;
		}
		datapath_record_release(&p->r);
		p->r = r;
		p->look = true;
		return 0;
	}
	/* the list knows what to do with one that is none */
	if (why.kind != ERR_NOT_FOUND)
		*all = true;
	if (*all || !p)
		return 0;
	gone = *p;
	take_out(k, p);
	return lose(k, n, &gone, e);
}

int reconcile_read_heard(struct reconcile *k, const struct node *n, bool *all, struct err *e)
{
	for (size_t i = 0; i < k->heard.n_files && !*all; i++)
		if (read_file(k, n, k->heard.files[i], all, e) < 0)
			return -1;
	return 0;
}
