/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator_look.c - what there is in the pod and on the node, which mode that makes, and the
 * plan that follows.
 */
#include <linux/rtnetlink.h>
#include <stdlib.h>

#include "base/file.h"
#include "datapath/record.h"
#include "datapath/rule.h"
#include "net/netns.h"
#include "plugins/coordinator_work.h"

void work_release(struct work *w)
{
	steps_release(&w->steps);
	coordinator_conf_release(&w->conf);
	coordinator_plan_release(&w->plan);
	datapath_record_release(&w->made);
	tune_moves_release(&w->moves);
	nl_close(w->pod);
	nl_close(w->host);
	free(w->pod_links);
	free(w->pod_addrs);
	free(w->host_addrs);
	free(w->pod_ips);
	free(w->node_ips);
	free(w->routes);
	free(w->rules);
}

int work_config_error(struct work *w)
{
	*w->code = CNI_E_CONFIG;
	return -1;
}

int work_path(const json *conf, const char *key, const char **out, struct err *e)
{
	const char *text = "";

	if (json_opt_str(conf, key, &text, e) < 0)
		return -1;
	if (*text && *text != '/')
		return err_set(e, ERR_CONFIG, "%s: \"%s\" is not an absolute path", key, text);
	if (*text)
		*out = text;
	return 0;
}

void work_boot_id(char out[64])
{
	AUTO_STR boot = STR_INIT;

	*out = '\0';
	if (file_read("/proc/sys/kernel/random/boot_id", 63, &boot, NULL) < 0)
		return;
	memcpy(out, boot.data, boot.len + 1);
	out[strcspn(out, "\n")] = '\0';
}

int work_open(struct work *w, struct err *e)
{
	if (cni_netns(w->call, &w->pod_ns, e) < 0) {
		*w->code = CNI_E_NETNS;
		return -1;
	}
	/* a record of another boot tells of nothing that there is; without an id, none is believed
	 */
	work_boot_id(w->boot_id);
	if (netns_inode(w->pod_ns, &w->netns_inode, e) < 0 || netns_home(&w->host_ns, e) < 0 ||
	    nl_open(NETLINK_ROUTE, &w->host, e) < 0 ||
	    netns_nl(w->pod_ns, NETLINK_ROUTE, &w->pod, e) < 0)
		return -1;
	nl_limit(w->pod, NL_POD_BYTES);
	return 0;
}

const struct link *work_pod_link(const struct work *w, const char *name)
{
	for (size_t i = 0; i < w->n_pod_links; i++)
		if (streq(w->pod_links[i].name, name))
			return &w->pod_links[i];
	return NULL;
}

bool work_has_family(const struct work *w, uint8_t family)
{
	for (size_t i = 0; i < w->n_pod_ips; i++)
		if (w->pod_ips[i].family == family)
			return true;
	return false;
}

/* The one that the pod has; 0 for both. */
static int only_family(const struct work *w)
{
	return !work_has_family(w, 6) ? 4 : !work_has_family(w, 4) ? 6 : 0;
}

/* What is there, on both sides. */
static int list(struct work *w, struct err *e)
{
	const struct link *nic;

	if (link_list(w->pod, &w->pod_links, &w->n_pod_links, e) < 0 ||
	    addr_list(w->pod, 0, 0, &w->pod_addrs, &w->n_pod_addrs, e) < 0)
		return err_wrap(e, "in the pod");
	nic = work_pod_link(w, w->call->ifname);
	if (!nic)
		return err_set(e, ERR_NOT_FOUND, "there is no interface %s in the pod",
		               w->call->ifname);
	w->nic = *nic;
	coordinator_pod_ips(w->pod_addrs, w->n_pod_addrs, nic->index, &w->pod_ips, &w->n_pod_ips);
	if (!w->n_pod_ips)
		return err_set(e, ERR_CONFIG, "interface %s in the pod has no address", nic->name);
	if (addr_list(w->host, only_family(w), 0, &w->host_addrs, &w->n_host_addrs, e) < 0)
		return err_wrap(e, "on the node");
	return 0;
}

/* The record of an interface of this very pod; zeroed when there is none. */
static void read_record(struct work *w, const char *ifname, struct datapath_record *r)
{
	if (datapath_record_read(w->state_dir, w->call->container_id, ifname, r, NULL) == 0 &&
	    w->boot_id[0] && streq(r->boot_id, w->boot_id) && r->netns_inode == w->netns_inode)
		return;
	datapath_record_release(r);
	*r = (struct datapath_record){ .table = 0 };
}

void work_recall(struct work *w)
{
	if (!w->made.table)
		read_record(w, w->call->ifname, &w->made);
}

static int underlay(struct work *w, bool existing, struct err *e)
{
	const struct link *veth = work_pod_link(w, COORDINATOR_VETH);

	w->first = streq(w->call->ifname, w->conf.default_nic);
	if (veth && w->first && !existing)
		return err_set(e, ERR_EXISTS, "interface %s is already in the pod (%s)",
		               COORDINATOR_VETH, w->call->netns);
	if (!veth && !w->first) {
		err_fill(e, ERR_CONFIG,
		         "mode underlay: interface %s is not the pod's first (podDefaultCniNic is "
		         "%s), and the first one left no %s: it needs the coordinator, too, or "
		         "this one mode overlay",
		         w->call->ifname, w->conf.default_nic, COORDINATOR_VETH);
		return work_config_error(w);
	}
	if (!veth)
		return existing ? err_set(e, ERR_NOT_FOUND, "there is no interface %s in the pod",
		                          COORDINATOR_VETH)
		                : 0;
	w->link = *veth;
	return 0;
}

/* The first further interface is the one before which there was no other. */
static bool is_first_in_overlay(struct work *w)
{
	for (size_t i = 0; i < w->n_pod_links; i++) {
		AUTO_DATAPATH_RECORD r = { .table = 0 };
		const char *name = w->pod_links[i].name;

		if (streq(name, "lo") || streq(name, w->nic.name) || streq(name, w->link.name))
			continue;
		read_record(w, name, &r);
		if (r.overlay && r.first)
			return false;
	}
	return true;
}

static int overlay(struct work *w, struct err *e)
{
	const struct link *eth0 = work_pod_link(w, w->conf.default_nic);

	if (streq(w->call->ifname, w->conf.default_nic)) {
		err_fill(e, ERR_CONFIG,
		         "mode overlay: interface %s is the pod's first (podDefaultCniNic is %s); "
		         "the mode is for others beside it",
		         w->call->ifname, w->conf.default_nic);
		return work_config_error(w);
	}
	if (work_pod_link(w, COORDINATOR_VETH)) {
		err_fill(e, ERR_CONFIG,
		         "mode overlay: there is a %s in the pod, so its first interface is in "
		         "mode underlay, and %s has to be as well",
		         COORDINATOR_VETH, w->call->ifname);
		return work_config_error(w);
	}
	if (!eth0)
		return err_set(e, ERR_NOT_FOUND,
		               "mode overlay: there is no interface %s in the pod "
		               "(podDefaultCniNic)",
		               w->conf.default_nic);
	w->link = *eth0;
	w->first = w->made.table ? w->made.first : is_first_in_overlay(w);
	return 0;
}

static int find_peer(struct work *w, struct err *e)
{
	if (!w->link.index)
		return 0;
	if (link_peer(w->pod, &w->link, w->host, w->host_ns, &w->peer, e) < 0)
		return w->overlay
		               ? err_wrap(e,
		                          "mode overlay: the way to the pod would be by its %s, "
		                          "which has to be a veth with the other end on this node",
		                          w->link.name)
		               : err_wrap(e, "in the pod, whose other end has to be on this node");
	if (!w->overlay && coordinator_is_others(&w->peer, w->call->container_id))
		return err_set(e, ERR_NOT_FOUND, "interface %s on the node is container %s's",
		               w->peer.name, w->peer.alias);
	return 0;
}

/* What never works. */
static int check_conf(struct work *w, struct err *e)
{
	if (w->conf.has_mac_prefix && streq(w->nic.kind, "ipvlan")) {
		err_fill(e, ERR_CONFIG,
		         "podMACPrefix: %s is an ipvlan interface and always has its master's MAC "
		         "address; remove podMACPrefix",
		         w->nic.name);
		return work_config_error(w);
	}
	return 0;
}

int work_look(struct work *w, bool existing, struct err *e)
{
	bool is_default;

	if (list(w, e) < 0)
		return -1;
	is_default = streq(w->call->ifname, w->conf.default_nic);
	w->overlay = w->conf.mode == COORDINATOR_OVERLAY ||
	             (w->conf.mode == COORDINATOR_AUTO && !is_default &&
	              !work_pod_link(w, COORDINATOR_VETH));
	if ((w->overlay ? overlay(w, e) : underlay(w, existing, e)) < 0 || find_peer(w, e) < 0)
		return -1;
	w->fresh = !w->link.index;
	return check_conf(w, e);
}

/* The interfaces that matter: all of a node may be many, and most of them other pods'. */
static int find_links(struct work *w, const struct ip *preferred, size_t n_preferred,
                      struct link **out, size_t *n, struct err *e)
{
	size_t cap = 0;
	struct err mine;
	int index;

	while ((index = coordinator_unknown_link(preferred, n_preferred, *out, *n, w->host_addrs,
	                                         w->n_host_addrs, w->pod_ips, w->n_pod_ips))) {
		*out = xgrow(*out, &cap, *n + 1, sizeof(**out));
		(*out)[*n] = (struct link){ .index = index, .name = "lo" }; /* as good as none */
		if (link_get_index(w->host, index, &(*out)[*n], &mine) < 0 &&
		    mine.kind != ERR_NOT_FOUND)
			return err_copy(e, &mine);
		(*n)++;
	}
	return 0;
}

/* What the node itself would use to talk to the pod's addresses; no route is no harm. */
static int find_node_ips(struct work *w, struct err *e)
{
	AUTO_FREE struct ip *preferred = xcalloc(w->n_pod_ips, sizeof(*preferred));
	AUTO_FREE struct link *links = NULL;
	size_t n = 0, n_links = 0;

	for (size_t i = 0; i < w->n_pod_ips; i++) {
		struct route r;

		if (route_get(w->host, w->pod_ips[i], &r, NULL) == 0 && r.prefsrc.family)
			preferred[n++] = r.prefsrc;
	}
	if (find_links(w, preferred, n, &links, &n_links, e) < 0)
		return err_wrap(e, "on the node");
	coordinator_node_ips(preferred, n, links, n_links, w->host_addrs, w->n_host_addrs,
	                     w->pod_ips, w->n_pod_ips, &w->node_ips, &w->n_node_ips);
	return 0;
}

/* Does another interface of the pod, but for the pair's end, have an address of that family? */
static bool others_have(const struct work *w, uint8_t family)
{
	for (size_t i = 0; i < w->n_pod_links; i++) {
		const struct link *l = &w->pod_links[i];
		AUTO_FREE struct ip *ips = NULL;
		size_t n;

		if (l->index == w->nic.index || l->index == w->link.index || streq(l->name, "lo"))
			continue;
		coordinator_pod_ips(w->pod_addrs, w->n_pod_addrs, l->index, &ips, &n);
		for (size_t k = 0; k < n; k++)
			if (ips[k].family == family)
				return true;
	}
	return false;
}

/* The addresses of the pod's first interface.  Owned. */
static void first_ips(const struct work *w, struct ip **out, size_t *n)
{
	const struct link *first = work_pod_link(w, w->conf.default_nic);

	coordinator_pod_ips(w->pod_addrs, w->n_pod_addrs, first ? first->index : -1, out, n);
}

static void add_routes(struct work *w, const struct route *v, size_t n)
{
	w->routes = xrealloc(w->routes, (w->n_routes + n + 1) * sizeof(*v));
	memcpy(w->routes + w->n_routes, v, n * sizeof(*v));
	w->n_routes += n;
}

static int list_tables(struct work *w, struct err *e)
{
	for (int family = 4; family <= 6; family += 2) {
		AUTO_FREE struct route *routes = NULL;
		AUTO_FREE struct rule *rules = NULL;
		size_t n_routes, n_rules;

		if (route_list(w->pod, family, 0, &routes, &n_routes, e) < 0 ||
		    rule_list(w->pod, family, &rules, &n_rules, e) < 0)
			return err_wrap(e, "in the pod");
		add_routes(w, routes, n_routes);
		w->rules = xrealloc(w->rules, (w->n_rules + n_rules + 1) * sizeof(*rules));
		memcpy(w->rules + w->n_rules, rules, n_rules * sizeof(*rules));
		w->n_rules += n_rules;
	}
	return 0;
}

static struct tune_there there(const struct work *w)
{
	return (struct tune_there){ w->routes, w->n_routes, w->rules, w->n_rules };
}

/* What is this interface's own: as its record says, else as what is there allows. */
static void choose_own(struct work *w)
{
	struct coordinator_facts *f = &w->facts;
	struct tune_there t = there(w);

	f->table = COORDINATOR_FIRST_TABLE;
	f->lead4 = f->lead6 = true;
	/* nothing was there before it, and its table is not used before there is a second */
	if (w->first && !w->overlay)
		return;
	work_recall(w);
	if (w->made.table) {
		f->table = w->made.table;
		f->lead4 = w->made.lead4;
		f->lead6 = w->made.lead6;
		return;
	}
	f->table = tune_table(&t, w->call->ifname, w->first, w->pod_ips, w->n_pod_ips);
	f->lead4 = w->first || !others_have(w, 4);
	f->lead6 = w->first || !others_have(w, 6);
}

static int tune(struct work *w, const struct ip *ips, size_t n_ips, struct err *e)
{
	const struct link *first = work_pod_link(w, w->conf.default_nic);
	const struct link *wanted = work_pod_link(w, w->conf.default_route_nic);
	struct tune_facts f = {
		.nic = { w->nic.index, w->facts.table, w->pod_ips, w->n_pod_ips },
		.first = { first ? first->index : 0,
		           w->overlay ? COORDINATOR_REPLY_TABLE : COORDINATOR_FIRST_TABLE, ips,
		           n_ips },
		.veth = w->overlay ? 0 : w->link.index,
		.wanted = wanted && (w->overlay || wanted->index != w->link.index) ? wanted->index
		                                                                   : 0,
		.overlay = w->overlay
	};
	struct tune_there t;

	if (!w->conf.tune_pod_routes || (w->first && !w->overlay))
		return 0;
	add_routes(w, w->plan.pod_routes, w->plan.n_pod_routes);
	for (size_t i = w->n_routes - w->plan.n_pod_routes; i < w->n_routes; i++)
		w->routes[i].type = RTN_UNICAST; /* as they will be */
	t = there(w);
	return tune_make(&t, &f, &w->moves, e);
}

int work_plan(struct work *w, struct err *e)
{
	AUTO_FREE struct ip *ips = NULL;
	size_t n_ips;
	bool further = w->overlay || !w->first;

	if (find_node_ips(w, e) < 0)
		return -1;
	first_ips(w, &ips, &n_ips);
	if (further && list_tables(w, e) < 0)
		return -1;
	w->facts = (struct coordinator_facts){ .nic = w->nic.index,
		                               .veth = w->link.index,
		                               .host_veth = w->peer.index,
		                               .mac = w->link.mac,
		                               .host_mac = w->peer.mac,
		                               .pod_ips = w->pod_ips,
		                               .n_pod_ips = w->n_pod_ips,
		                               .node_ips = w->node_ips,
		                               .n_node_ips = w->n_node_ips,
		                               .overlay = w->overlay };
	choose_own(w);
	for (size_t i = n_ips; i > 0; i--)
		if (ips[i - 1].family == 4)
			w->facts.src = ips[i - 1];
	if (coordinator_plan_make(&w->conf, &w->facts, &w->plan, e) < 0)
		return -1;
	return tune(w, ips, n_ips, e);
}

/* Any address of the node is as good a gateway over the pair: the agent changes it when one goes. A
 * default route is wanted from whoever knows its gateway. */
static bool goes_there(const struct work *w, const struct route *is, const struct route *want)
{
	if (is->oif != want->oif || is->type != RTN_UNICAST || is->other)
		return false;
	if (!want->gw.family)
		return !is->gw.family || !want->dst.len;
	return ip_equal(is->gw, want->gw) ||
	       (is->oif == w->link.index && ip_among(w->node_ips, w->n_node_ips, is->gw));
}

/* Is what an ADD made still there? */
static int has_route(const struct work *w, struct nl *nl, const char *where,
                     const struct route *want, struct err *e)
{
	AUTO_FREE struct route *all = NULL;
	size_t count;

	if (route_list(nl, want->dst.ip.family, want->table, &all, &count, e) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (cidr_equal_network(all[i].dst, want->dst) && goes_there(w, &all[i], want))
			return 0;
	return err_set(e, ERR_NOT_FOUND, "%s lacks the route to %s in table %u", where,
	               cidr_str(want->dst).s, want->table);
}

static int has_rule(struct nl *nl, const char *where, const struct rule *want, struct err *e)
{
	AUTO_FREE struct rule *all = NULL;
	size_t count;

	if (rule_list(nl, want->family, &all, &count, e) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (datapath_rule_equal(&all[i], want))
			return 0;
	return err_set(e, ERR_NOT_FOUND, "%s lacks rule %u to table %u", where, want->priority,
	               want->table);
}

/* must: or none with this address at all */
static int has_neigh(struct nl *nl, const char *where, const struct neigh *want, bool must,
                     struct err *e)
{
	AUTO_FREE struct neigh *all = NULL;
	size_t count;
	bool found = false;

	if (neigh_list(nl, want->ip.family, want->index, &all, &count, e) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (!ip_equal(all[i].ip, want->ip))
			continue;
		found = true;
		if (all[i].state == want->state &&
		    memcmp(&all[i].mac, &want->mac, sizeof(want->mac)) == 0)
			return 0;
	}
	if (!must && !found)
		return 0;
	return err_set(e, ERR_NOT_FOUND, "%s lacks neighbour %s at %s", where, ip_str(want->ip).s,
	               mac_str(want->mac).s);
}

/* The default routes that the plugin before us made are in that table. */
static int check_defaults(struct work *w, const struct cni_result *prev, uint32_t table,
                          struct err *e)
{
	for (size_t i = 0; i < prev->n_routes; i++) {
		struct route r = { .dst = prev->routes[i].dst,
			           .gw = prev->routes[i].gw,
			           .oif = w->nic.index,
			           .table = table };

		if (!r.dst.len && work_has_family(w, r.dst.ip.family) &&
		    has_route(w, w->pod, "the pod", &r, e) < 0)
			return -1;
	}
	return 0;
}

static bool has_default(const struct cni_result *r, uint8_t family)
{
	for (size_t i = 0; i < r->n_routes; i++)
		if (!r->routes[i].dst.len && r->routes[i].dst.ip.family == family)
			return true;
	return false;
}

/*
 * Nothing that an ADD would move is where it should not be.  A meta-plugin may have taken a default
 * route out of main again, and then out of the result that it keeps.
 */
static int check_moves(struct work *w, const struct cni_result *prev, struct err *e)
{
	for (size_t i = 0; i < w->moves.n; i++) {
		const struct tune_move *m = &w->moves.v[i];

		if (m->what == TUNE_RULE)
			return err_set(e, ERR_NOT_FOUND,
			               "the pod lacks rule %u from %s to table %u",
			               m->rule.priority, ip_str(m->rule.src.ip).s, m->rule.table);
		if (m->what == TUNE_DEL || m->what == TUNE_DEL_LAST)
			return err_set(
				e, ERR_EXISTS,
				"the pod's main table has the default route of another interface");
		if (m->route.table != RT_TABLE_MAIN || m->route.dst.len ||
		    has_default(prev, m->route.dst.ip.family))
			return err_set(e, ERR_NOT_FOUND,
			               "the pod lacks the route to %s in table %u",
			               cidr_str(m->route.dst).s, m->route.table);
	}
	return 0;
}

/* Main's default routes are the first interface's, unless an ADD was told of another one. */
static bool has_main(struct work *w)
{
	bool has = w->made.table;

	for (size_t i = 0; i < w->n_pod_links && has; i++) {
		AUTO_DATAPATH_RECORD r = { .table = 0 };

		read_record(w, w->pod_links[i].name, &r);
		has = !*r.default_route_nic || streq(r.default_route_nic, w->nic.name);
	}
	return has;
}

static int check_tuning(struct work *w, struct err *e)
{
	AUTO_CNI_RESULT prev = { .n_ips = 0 };

	if (!w->conf.tune_pod_routes || !w->call->prev_result)
		return 0;
	if (cni_result_read(w->call->prev_result, &prev, e) < 0)
		return err_wrap(e, "prevResult");
	if (w->first && !w->overlay)
		return has_main(w) ? check_defaults(w, &prev, RT_TABLE_MAIN, e) : 0;
	return check_defaults(w, &prev, w->facts.table, e) < 0 ? -1 : check_moves(w, &prev, e);
}

/* The node may have got new addresses: of those in the pod there have to be the ones that the ADD,
 * or the agent since, has made. */
static bool is_made(const struct work *w, struct ip a)
{
	return ip_among(w->made.node_ips, w->made.n_node_ips, a);
}

static int check_pod_neighs(struct work *w, struct err *e)
{
	for (size_t i = 0; i < w->plan.n_pod_neighs; i++) {
		const struct neigh *n = &w->plan.pod_neighs[i];

		if (has_neigh(w->pod, "the pod", n, is_made(w, n->ip), e) < 0)
			return -1;
	}
	return 0;
}

int work_check(struct work *w, struct err *e)
{
	const struct coordinator_plan *p = &w->plan;

	if (!(w->link.flags & w->peer.flags & IFF_UP))
		return err_set(e, ERR_NOT_FOUND, "the pair %s and %s is not up", w->link.name,
		               w->peer.name);
	for (size_t i = 0; i < p->n_pod_routes; i++)
		if ((p->pod_routes[i].gw.family || is_made(w, p->pod_routes[i].dst.ip)) &&
		    has_route(w, w->pod, "the pod", &p->pod_routes[i], e) < 0)
			return -1;
	for (size_t i = 0; i < p->n_pod_rules; i++)
		if (has_rule(w->pod, "the pod", &p->pod_rules[i], e) < 0)
			return -1;
	for (size_t i = 0; i < p->n_host_routes; i++)
		if (has_route(w, w->host, "the node", &p->host_routes[i], e) < 0)
			return -1;
	for (size_t i = 0; i < p->n_host_rules; i++)
		if (has_rule(w->host, "the node", &p->host_rules[i], e) < 0)
			return -1;
	for (size_t i = 0; i < p->n_host_neighs; i++)
		if (has_neigh(w->host, "the node", &p->host_neighs[i], true, e) < 0)
			return -1;
	return check_pod_neighs(w, e) < 0 ? -1 : check_tuning(w, e);
}
