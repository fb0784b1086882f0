/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator.c - makes a pod with an underlay interface and its node reach each other, as a
 * chained CNI plugin after the main one.
 *
 * Theory of operation.  A slave of a network card cannot talk to the node that owns the card, nor
 * does its traffic pass the node's netfilter, where kube-proxy works.  So a pair of veth interfaces
 * joins pod and node.  In the pod, routes send what is meant for the node and for services over it;
 * on the node, one rule and a table of its own hold a route to each pod.  Neighbours are permanent,
 * nothing is ever asked by ARP.  What comes in by veth0 from elsewhere (a NodePort whose client
 * address is kept) is marked by connection, and answers with the mark go back by veth0, through
 * table 100.
 *
 * The steps are ordered so that little has to be undone: deleting the pair takes both sides'
 * neighbours and routes with it, and the nf_tables transaction comes last.
 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

#include "datapath/plan.h"
#include "net/addr.h"
#include "net/netns.h"
#include "net/nft.h"
#include "net/sysctl.h"
#include "plugins/agent_client.h"
#include "plugins/coordinator.h"
#include "plugins/plugin_log.h"

/* A route of the pod that is not over veth0, or that took another's place. */
struct undo_route {
	struct route made, replaced;
	bool had;
};

/* One call and what it works with.  Arrays are owned. */
struct work {
	struct cni_call *call;
	int *code;
	struct coordinator_conf conf;
	int pod_ns, host_ns;
	struct nl *pod, *host;
	char host_veth[IFNAMSIZ];
	struct link *pod_links, *host_links;
	struct addr *pod_addrs, *host_addrs;
	size_t n_pod_links, n_host_links, n_pod_addrs, n_host_addrs;
	struct link nic;
	struct ip *pod_ips, *node_ips;
	size_t n_pod_ips, n_node_ips;
	struct coordinator_facts facts;
	struct coordinator_plan plan;
	struct undo_route *undo;
	size_t n_undo, cap_undo;
	struct rule pod_rules[2]; /* that we added */
	size_t n_pod_rules;
};

static void work_release(struct work *w)
{
	coordinator_conf_release(&w->conf);
	coordinator_plan_release(&w->plan);
	nl_close(w->pod);
	nl_close(w->host);
	mem_cleanup_fd(&w->pod_ns);
	mem_cleanup_fd(&w->host_ns);
	free(w->pod_links);
	free(w->host_links);
	free(w->pod_addrs);
	free(w->host_addrs);
	free(w->pod_ips);
	free(w->node_ips);
	free(w->undo);
}

#define AUTO_WORK __attribute__((cleanup(work_release))) struct work

static int config_error(struct work *w)
{
	*w->code = CNI_E_CONFIG;
	return -1;
}

/* What the agent has for the keys that are not in our configuration; *out is owned. */
static int ask_agent(struct work *w, bool wait, json **out, struct err *e)
{
	const json *nad = w->call->conf;
	AUTO_JSON *body = json_new_object();
	const char *socket = AGENT_SOCKET;
	int64_t timeout_ms = CNI_CALL_MS;
	struct mono deadline;

	if (json_opt_str(nad, "agent_socket", &socket, e) < 0 ||
	    json_opt_str(nad, "ipam_unix_socket_path", &socket, e) < 0 ||
	    json_opt_i64(nad, "timeout_ms", &timeout_ms, e) < 0)
		return config_error(w);
	if (timeout_ms < 1 || timeout_ms > CNI_CALL_MS) {
		err_fill(e, ERR_CONFIG, "timeout_ms: not between 1 and %d", CNI_CALL_MS);
		return config_error(w);
	}
	deadline = mono_min(w->call->deadline, mono_in(timeout_ms));
	json_set_str(body, "podName", w->call->pod_name);
	json_set_str(body, "podNamespace", w->call->pod_namespace);
	if (agent_request(socket, "GET", "/v1/coordinator/config", body, wait, out, deadline, e) ==
	    0)
		return 0;
	*w->code = CNI_E_TRY_AGAIN;
	if (e->kind == ERR_UNREACHABLE)
		return err_set(e, ERR_UNREACHABLE,
		               "no agent at %s to ask for the coordinator's configuration (%s): is "
		               "it running on this node? look at \"kubectl get pods -A -o wide -l "
		               "app.kubernetes.io/component=spiderpool-agent\"",
		               socket, e->msg);
	return err_wrap(e, "ask the agent at %s for the coordinator's configuration", socket);
}

/* The configuration: ours, and the agent's for the keys that are not there. */
static int get_conf(struct work *w, bool wait, struct err *e)
{
	AUTO_JSON *agent = NULL;
	struct err mine;

	if (!e)
		e = &mine;
	if (!coordinator_conf_complete(w->call->conf) && ask_agent(w, wait, &agent, e) < 0)
		return -1;
	if (coordinator_conf_read(w->call->conf, agent, &w->conf, e) < 0)
		return config_error(w);
	return 0;
}

/* The log, and in it what nobody reads. */
static int start_log(struct work *w, struct err *e)
{
	struct plugin_log log;
	AUTO_STR list = STR_INIT;

	if (plugin_log_read_options(w->call->conf, &log, e) < 0) {
		IGNORE(err_wrap(e, "coordinator configuration"));
		return config_error(w);
	}
	plugin_log_open("coordinator", &log, w->call);
	json_unknown(w->call->conf, coordinator_conf_keys, &list);
	if (list.len)
		log_warn("configuration: unknown keys are ignored: %s", list.data);
	return 0;
}

static int open_namespaces(struct work *w, struct err *e)
{
	if (netns_open(w->call->netns, &w->pod_ns, e) < 0) {
		*w->code = CNI_E_NETNS;
		return -1;
	}
	if (netns_open_self(&w->host_ns, e) < 0 || nl_open(NETLINK_ROUTE, &w->host, e) < 0 ||
	    netns_nl(w->pod_ns, NETLINK_ROUTE, &w->pod, e) < 0)
		return -1;
	return 0;
}

static const struct link *find_link(const struct link *v, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (streq(v[i].name, name))
			return &v[i];
	return NULL;
}

/* What is there, on both sides. */
static int look(struct work *w, struct err *e)
{
	const struct link *nic;

	if (link_list(w->pod, &w->pod_links, &w->n_pod_links, e) < 0 ||
	    addr_list(w->pod, 0, 0, &w->pod_addrs, &w->n_pod_addrs, e) < 0)
		return err_wrap(e, "in the pod");
	if (link_list(w->host, &w->host_links, &w->n_host_links, e) < 0 ||
	    addr_list(w->host, 0, 0, &w->host_addrs, &w->n_host_addrs, e) < 0)
		return err_wrap(e, "on the node");
	nic = find_link(w->pod_links, w->n_pod_links, w->call->ifname);
	if (!nic)
		return err_set(e, ERR_NOT_FOUND, "there is no interface %s in the pod",
		               w->call->ifname);
	w->nic = *nic;
	coordinator_pod_ips(w->pod_addrs, w->n_pod_addrs, nic->index, &w->pod_ips, &w->n_pod_ips);
	if (!w->n_pod_ips)
		return err_set(e, ERR_CONFIG, "interface %s in the pod has no address", nic->name);
	coordinator_host_veth(w->call->container_id, w->host_veth);
	return 0;
}

/* What this version can do, and what never works. */
static int check_mode(struct work *w, struct err *e)
{
	bool first = streq(w->call->ifname, w->conf.default_nic);
	bool veth = find_link(w->pod_links, w->n_pod_links, COORDINATOR_VETH);

	if (w->conf.mode == COORDINATOR_OVERLAY ||
	    (w->conf.mode == COORDINATOR_AUTO && !first && !veth)) {
		err_fill(e, ERR_CONFIG,
		         "mode overlay is not supported yet: interface %s can be served in mode "
		         "underlay only, as the pod's first interface (podDefaultCniNic is %s)",
		         w->call->ifname, w->conf.default_nic);
		return config_error(w);
	}
	if (!first) {
		err_fill(e, ERR_CONFIG,
		         "interface %s is not the pod's first (podDefaultCniNic is %s): more than "
		         "one interface is not supported yet",
		         w->call->ifname, w->conf.default_nic);
		return config_error(w);
	}
	if (w->conf.has_mac_prefix) {
		err_fill(e, ERR_CONFIG,
		         streq(w->nic.kind, "ipvlan")
		                 ? "podMACPrefix: %s is an ipvlan interface and always has its "
		                   "master's MAC address; remove podMACPrefix"
		                 : "podMACPrefix: not supported yet (interface %s)",
		         w->nic.name);
		return config_error(w);
	}
	return 0;
}

/* What the node itself would use to talk to the pod's addresses; no route is no harm. */
static void find_node_ips(struct work *w)
{
	AUTO_FREE struct ip *preferred = xcalloc(w->n_pod_ips, sizeof(*preferred));
	size_t n = 0;

	for (size_t i = 0; i < w->n_pod_ips; i++) {
		struct route r;

		if (route_get(w->host, w->pod_ips[i], &r, NULL) == 0 && r.prefsrc.family)
			preferred[n++] = r.prefsrc;
	}
	coordinator_node_ips(preferred, n, w->host_links, w->n_host_links, w->host_addrs,
	                     w->n_host_addrs, w->pod_ips, w->n_pod_ips, &w->node_ips,
	                     &w->n_node_ips);
}

static int pod_sysctl(struct work *w, const char *family, const char *name, const char *key,
                      const char *value, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/conf/%s/%s", family, name, key);

	return sysctl_write(w->pod_ns, path, value, e) < 0 ? err_wrap(e, "in the pod") : 0;
}

/*
 * The filter would drop a client's packet on veth0, since the way to the client is another.  The
 * larger of "all" and the interface's own value counts, and a new namespace has the node's
 * defaults: each has to be set, "default" before the pair is made.
 */
static int set_rp_filter(struct work *w, const char *const *names, struct err *e)
{
	const char value[] = { (char)('0' + w->conf.rp_filter), '\0' };

	if (w->conf.rp_filter < 0)
		return 0;
	for (; *names; names++)
		if (pod_sysctl(w, "ipv4", *names, "rp_filter", value, e) < 0)
			return -1;
	return 0;
}

static bool has_family(const struct work *w, uint8_t family)
{
	for (size_t i = 0; i < w->n_pod_ips; i++)
		if (w->pod_ips[i].family == family)
			return true;
	return false;
}

static int prepare_pod(struct work *w, struct err *e)
{
	const char *const names[] = { "all", "default", w->nic.name, NULL };

	if (set_rp_filter(w, names, e) < 0)
		return -1;
	if (has_family(w, 6) && pod_sysctl(w, "ipv6", "all", "disable_ipv6", "0", e) < 0)
		return -1;
	if (!(w->nic.flags & IFF_UP) && link_set_up(w->pod, w->nic.index, e) < 0)
		return -1;
	if (w->conf.txqlen && link_set_txqlen(w->pod, w->nic.index, w->conf.txqlen, e) < 0)
		return -1;
	return 0;
}

/* The name is taken on the node: by whom? */
static int name_taken(struct work *w, struct err *e)
{
	struct link l;

	if (link_get(w->host, w->host_veth, &l, NULL) == 0 &&
	    coordinator_is_others(&l, w->call->container_id))
		return err_set(e, ERR_EXISTS,
		               "interface %s on this node is container %s's, whose id begins as "
		               "that of container %s does",
		               l.name, l.alias, w->call->container_id);
	return err_set(e, ERR_EXISTS,
	               "interface %s is already on this node: another attempt with this container "
	               "id left it, and its DEL removes it",
	               w->host_veth);
}

static int make_pair(struct work *w, struct err *e)
{
	struct veth_spec spec = { .name = COORDINATOR_VETH,
		                  .peer = w->host_veth,
		                  .mtu = w->conf.veth_mtu,
		                  .peer_ns = w->host_ns };
	struct err mine;

	if (!e)
		e = &mine;
	if (find_link(w->pod_links, w->n_pod_links, COORDINATOR_VETH))
		return err_set(e, ERR_EXISTS, "interface %s is already in the pod (%s)",
		               COORDINATOR_VETH, w->call->netns);
	/* given, not left to udev: the neighbours below depend on them */
	if (mac_random(&spec.mac, e) < 0 || mac_random(&spec.peer_mac, e) < 0)
		return -1;
	if (link_add_veth(w->pod, &spec, e) < 0)
		return e->sys == EEXIST ? name_taken(w, e) : -1;
	w->facts.mac = spec.mac;
	w->facts.host_mac = spec.peer_mac;
	return 0;
}

static int find_pair(struct work *w, struct link *pod, struct link *host, struct err *e)
{
	if (link_get(w->pod, COORDINATOR_VETH, pod, e) < 0)
		return err_wrap(e, "in the pod");
	if (link_get(w->host, w->host_veth, host, e) < 0)
		return err_wrap(e, "on the node");
	if (coordinator_is_others(host, w->call->container_id))
		return err_set(e, ERR_NOT_FOUND, "interface %s on the node is container %s's",
		               host->name, host->alias);
	w->facts.nic = w->nic.index;
	w->facts.veth = pod->index;
	w->facts.host_veth = host->index;
	w->facts.mac = pod->mac;
	w->facts.host_mac = host->mac;
	w->facts.pod_ips = w->pod_ips;
	w->facts.n_pod_ips = w->n_pod_ips;
	w->facts.node_ips = w->node_ips;
	w->facts.n_node_ips = w->n_node_ips;
	w->facts.table = COORDINATOR_FIRST_TABLE;
	w->facts.lead4 = w->facts.lead6 = true;
	return 0;
}

static int raise_pair(struct work *w, struct err *e)
{
	AUTO_FREE char *accept_ra = xasprintf("ipv6/conf/%s/accept_ra", w->host_veth);
	const char *const names[] = { COORDINATOR_VETH, NULL };
	struct ip a = w->conf.veth_address;

	/* first of all: a DEL goes by it */
	if (link_set_alias(w->host, w->facts.host_veth, w->call->container_id, e) < 0)
		return err_wrap(e, "on the node");
	IGNORE(sysctl_write(-1, accept_ra, "0", NULL)); /* a node without IPv6 has no such key */
	if (set_rp_filter(w, names, e) < 0)
		return -1;
	if (a.family && has_family(w, a.family) &&
	    addr_add(w->pod, w->facts.veth, cidr_host(a), e) < 0)
		return err_wrap(e, "vethLinkAddress");
	if (link_set_up(w->host, w->facts.host_veth, e) < 0 ||
	    link_set_up(w->pod, w->facts.veth, e) < 0)
		return -1;
	return 0;
}

static void remember(struct work *w, const struct undo_route *u)
{
	w->undo = xgrow(w->undo, &w->cap_undo, w->n_undo + 1, sizeof(*u));
	w->undo[w->n_undo++] = *u;
}

/* A route to the same destination is there: the same, one to replace, or one to leave alone. */
static int replace_pod_route(struct work *w, const struct route *r, struct err *e)
{
	AUTO_FREE struct route *all = NULL;
	const struct route *old = NULL;
	size_t count;

	if (route_list(w->pod, r->dst.ip.family, r->table, &all, &count, e) < 0)
		return -1;
	for (size_t i = 0; i < count && !old; i++)
		if (cidr_equal_network(all[i].dst, r->dst) && all[i].priority == r->priority)
			old = &all[i];
	if (old && old->oif == r->oif && ip_equal(old->gw, r->gw) &&
	    ip_equal(old->prefsrc, r->prefsrc))
		return 0;
	if (old && old->protocol == RTPROT_KERNEL)
		return err_set(e, ERR_CONFIG,
		               "the route to %s would take the place of the pod's own subnet: take "
		               "it out of overlayPodCIDR, serviceCIDR, hijackCIDR or policyRoutes",
		               cidr_str(r->dst).s);
	if (route_add(w->pod, r, ROUTE_REPLACE, e) < 0)
		return -1;
	if (old)
		remember(w, &(struct undo_route){ .made = *r, .replaced = *old, .had = true });
	return 0;
}

static int add_pod_route(struct work *w, const struct route *r, struct err *e)
{
	struct err mine;

	if (!e)
		e = &mine;
	if (route_add(w->pod, r, ROUTE_CREATE, e) == 0) {
		if (r->oif != w->facts.veth)
			remember(w, &(struct undo_route){ .made = *r });
		return 0;
	}
	return e->sys == EEXIST ? replace_pod_route(w, r, e) : -1;
}

static int set_up_pod(struct work *w, struct err *e)
{
	const struct coordinator_plan *p = &w->plan;
	struct err mine;

	if (!e)
		e = &mine;
	for (size_t i = 0; i < p->n_pod_neighs; i++)
		if (neigh_replace(w->pod, &p->pod_neighs[i], e) < 0)
			return -1;
	for (size_t i = 0; i < p->n_pod_routes; i++)
		if (add_pod_route(w, &p->pod_routes[i], e) < 0)
			return -1;
	for (size_t i = 0; i < p->n_pod_rules; i++) {
		if (rule_add(w->pod, &p->pod_rules[i], e) == 0)
			w->pod_rules[w->n_pod_rules++] = p->pod_rules[i];
		else if (e->sys != EEXIST)
			return -1;
	}
	return 0;
}

static int add_host_routes(struct work *w, struct err *e)
{
	const struct coordinator_plan *p = &w->plan;

	for (size_t i = 0; i < p->n_host_rules; i++)
		if (rule_add(w->host, &p->host_rules[i], e) < 0 && e->sys != EEXIST)
			return -1;
	/* an older route to this address is of a pod that is gone */
	for (size_t i = 0; i < p->n_host_routes; i++)
		if (route_add(w->host, &p->host_routes[i], ROUTE_REPLACE, e) < 0)
			return -1;
	return 0;
}

/* The rule is of all pods of the node: it goes with the last route of its table. */
static void drop_rule(struct nl *host, int host_ns, int family, uint32_t table)
{
	const struct rule rule = { .family = family,
		                   .priority = COORDINATOR_RULE_PRIORITY,
		                   .table = table };
	AUTO_FREE struct route *routes = NULL;
	size_t count;

	if (netns_lock(host_ns, true, NULL) < 0)
		return;
	if (route_list(host, family, table, &routes, &count, NULL) == 0 && !count)
		IGNORE(rule_del(host, &rule, NULL));
	netns_unlock(host_ns);
}

static int set_up_host(struct work *w, struct err *e)
{
	const struct coordinator_plan *p = &w->plan;
	struct err mine;
	int rc;

	if (!e)
		e = &mine;
	for (size_t i = 0; i < p->n_host_addrs; i++)
		if (addr_add(w->host, p->host_addrs[i].index, cidr_host(p->host_addrs[i].ip), e) <
		    0)
			return -1;
	for (size_t i = 0; i < p->n_host_neighs; i++)
		if (neigh_replace(w->host, &p->host_neighs[i], e) < 0)
			return -1;
	/* shared with other pods; drop_rule() must not come between the rule and our route */
	if (netns_lock(w->host_ns, false, e) < 0)
		return -1;
	rc = add_host_routes(w, e);
	netns_unlock(w->host_ns);
	return rc;
}

static int mark_replies(struct work *w, struct err *e)
{
	AUTO_NL *nft = NULL;

	if (netns_nl(w->pod_ns, NETLINK_NETFILTER, &nft, e) < 0 ||
	    nft_reply_mark(nft, COORDINATOR_NFT_TABLE, COORDINATOR_VETH, COORDINATOR_MARK, e) < 0)
		return err_wrap(e, "in the pod, which needs nf_tables and nft_ct of the kernel");
	return 0;
}

static int set_up(struct work *w, struct err *e)
{
	struct link pod, host;

	if (find_pair(w, &pod, &host, e) < 0 || raise_pair(w, e) < 0 ||
	    coordinator_plan_make(&w->conf, &w->facts, &w->plan, e) < 0 || set_up_pod(w, e) < 0 ||
	    set_up_host(w, e) < 0)
		return -1;
	return mark_replies(w, e);
}

/* Best effort: the first error is the one to report. */
static void undo(struct work *w)
{
	struct link veth;

	if (link_get(w->pod, COORDINATOR_VETH, &veth, NULL) == 0)
		IGNORE(link_del(w->pod, veth.index, NULL));
	for (size_t i = w->n_pod_rules; i > 0; i--)
		IGNORE(rule_del(w->pod, &w->pod_rules[i - 1], NULL));
	for (size_t i = w->n_undo; i > 0; i--) {
		const struct undo_route *u = &w->undo[i - 1];

		if (u->had)
			IGNORE(route_add(w->pod, &u->replaced, ROUTE_REPLACE, NULL));
		else
			IGNORE(route_del(w->pod, &u->made, NULL));
	}
	for (int family = 4; family <= 6; family += 2)
		drop_rule(w->host, w->host_ns, family, w->conf.host_rule_table);
}

static int add(struct cni_call *c, json **result, int *code, struct err *e)
{
	AUTO_WORK w = { .call = c, .code = code, .pod_ns = -1, .host_ns = -1 };

	if (!c->prev_result) {
		*code = CNI_E_CONFIG;
		return err_set(
			e, ERR_CONFIG,
			"there is no prevResult: the coordinator comes after the plugin that "
			"makes the interface");
	}
	if (start_log(&w, e) < 0 || get_conf(&w, true, e) < 0)
		return -1;
	if (w.conf.mode != COORDINATOR_DISABLE) {
		if (open_namespaces(&w, e) < 0 || look(&w, e) < 0 || check_mode(&w, e) < 0)
			return -1;
		find_node_ips(&w);
		if (prepare_pod(&w, e) < 0 || make_pair(&w, e) < 0)
			return -1;
		if (set_up(&w, e) < 0) {
			undo(&w);
			return -1;
		}
		log_debug("%u netlink requests", nl_requests(w.pod) + nl_requests(w.host) + 1);
	}
	*result = json_copy(c->prev_result);
	json_set_str(*result, "cniVersion", cni_version_text(c->version));
	return 0;
}

/* The table of our routes over that interface; where there is none, the usual one. */
static uint32_t table_of(struct nl *host, int family, int index, uint32_t usual)
{
	AUTO_FREE struct route *routes = NULL;
	size_t count;

	if (route_list(host, family, 0, &routes, &count, NULL) < 0)
		return usual;
	for (size_t i = 0; i < count; i++)
		if (routes[i].oif == index && routes[i].table != RT_TABLE_MAIN &&
		    routes[i].dst.len == ip_bits(routes[i].dst.ip))
			return routes[i].table;
	return usual;
}

/* An empty table harms nobody: no reason to fail. */
static void drop_rules(struct nl *host, uint32_t table4, uint32_t table6)
{
	AUTO_FD int ns = -1;

	if (netns_open_self(&ns, NULL) < 0)
		return;
	drop_rule(host, ns, 4, table4);
	drop_rule(host, ns, 6, table6);
}

/* The node's end; 0 when there is none, or something of somebody else's by that name. */
static int find_host_end(struct nl *host, const struct cni_call *c, int *index, struct err *e)
{
	char name[IFNAMSIZ];
	struct link l;
	struct err mine;

	if (!e)
		e = &mine;
	*index = 0;
	coordinator_host_veth(c->container_id, name);
	if (link_get(host, name, &l, e) < 0)
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	if (streq(l.kind, "veth") && !coordinator_is_others(&l, c->container_id))
		*index = l.index;
	return 0;
}

/*
 * Needs nothing but the container's id: the pair's end on the node takes the other end, the routes
 * and the neighbours with it, and then the rule goes if that was the last pod.  What is in the pod
 * goes with the pod; so does the pair when the pod's namespace went first.
 */
static int del(struct cni_call *c, int *code, struct err *e)
{
	uint32_t usual = coordinator_host_table(c->conf), table4 = usual, table6 = usual;
	AUTO_NL *nl = NULL;
	struct err mine;
	int index;

	(void)code;
	if (!e)
		e = &mine;
	if (!streq(c->ifname, coordinator_default_nic(c->conf)))
		return 0; /* the pair belongs to the first interface */
	if (nl_open(NETLINK_ROUTE, &nl, e) < 0 || find_host_end(nl, c, &index, e) < 0)
		return -1;
	if (index) {
		table4 = table_of(nl, 4, index, usual);
		table6 = table_of(nl, 6, index, usual);
		if (link_del(nl, index, e) < 0 && e->kind != ERR_NOT_FOUND)
			return -1;
	}
	drop_rules(nl, table4, table6);
	return 0;
}

static int has_route(struct nl *nl, const char *where, const struct route *want, struct err *e)
{
	AUTO_FREE struct route *all = NULL;
	size_t count;

	if (route_list(nl, want->dst.ip.family, want->table, &all, &count, e) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (cidr_equal_network(all[i].dst, want->dst) && all[i].oif == want->oif)
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
		if (all[i].priority == want->priority && all[i].table == want->table &&
		    all[i].fwmark == want->fwmark)
			return 0;
	return err_set(e, ERR_NOT_FOUND, "%s lacks rule %u to table %u", where, want->priority,
	               want->table);
}

static int has_nft(struct work *w, struct err *e)
{
	AUTO_NL *nft = NULL;
	bool exists = false;

	if (netns_nl(w->pod_ns, NETLINK_NETFILTER, &nft, e) < 0 ||
	    nft_table_exists(nft, COORDINATOR_NFT_TABLE, &exists, e) < 0)
		return -1;
	if (!exists)
		return err_set(e, ERR_NOT_FOUND, "the pod lacks nf_tables table inet %s",
		               COORDINATOR_NFT_TABLE);
	return 0;
}

/* The routes over a gateway, not those to each address of the node: it may have got new ones. */
static int check_plan(struct work *w, struct err *e)
{
	const struct coordinator_plan *p = &w->plan;

	for (size_t i = 0; i < p->n_pod_routes; i++)
		if (p->pod_routes[i].gw.family &&
		    has_route(w->pod, "the pod", &p->pod_routes[i], e) < 0)
			return -1;
	for (size_t i = 0; i < p->n_pod_rules; i++)
		if (has_rule(w->pod, "the pod", &p->pod_rules[i], e) < 0)
			return -1;
	for (size_t i = 0; i < p->n_host_routes; i++)
		if (has_route(w->host, "the node", &p->host_routes[i], e) < 0)
			return -1;
	for (size_t i = 0; i < p->n_host_rules; i++)
		if (has_rule(w->host, "the node", &p->host_rules[i], e) < 0)
			return -1;
	return has_nft(w, e);
}

static int check(struct cni_call *c, int *code, struct err *e)
{
	AUTO_WORK w = { .call = c, .code = code, .pod_ns = -1, .host_ns = -1 };
	struct link pod, host;

	if (get_conf(&w, false, e) < 0)
		return -1;
	if (w.conf.mode == COORDINATOR_DISABLE)
		return 0;
	if (open_namespaces(&w, e) < 0 || look(&w, e) < 0 || check_mode(&w, e) < 0)
		return -1;
	find_node_ips(&w);
	*code = CNI_E_GENERIC;
	if (find_pair(&w, &pod, &host, e) < 0)
		return -1;
	if (!(pod.flags & host.flags & IFF_UP))
		return err_set(e, ERR_NOT_FOUND, "the pair %s and %s is not up", pod.name,
		               host.name);
	if (coordinator_plan_make(&w.conf, &w.facts, &w.plan, e) < 0)
		return -1;
	return check_plan(&w, e);
}

/* What an ADD needs of the kernel. */
static int status(struct cni_call *c, int *code, struct err *e)
{
	AUTO_NL *route = NULL, *nft = NULL;
	AUTO_FREE struct rule *rules = NULL;
	bool exists;
	size_t count;

	(void)c;
	*code = CNI_E_NOT_AVAILABLE;
	if (nl_open(NETLINK_ROUTE, &route, e) < 0 || rule_list(route, 4, &rules, &count, e) < 0)
		return err_wrap(e, "the kernel lacks policy routing (IP_MULTIPLE_TABLES)");
	if (nl_open(NETLINK_NETFILTER, &nft, e) < 0 ||
	    nft_table_exists(nft, COORDINATOR_NFT_TABLE, &exists, e) < 0)
		return err_wrap(e, "the kernel lacks nf_tables");
	*code = 0;
	return 0;
}

const struct cni_plugin coordinator_plugin = {
	.about = "coordinator: lets pods with underlay interfaces and their node reach each other "
		 "(Spiderbox)",
	.add = add,
	.del = del,
	.check = check,
	.status = status,
};
