/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator_apply.c - what an ADD changes, in the pod and on the node.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "datapath/rule.h"
#include "net/netconf.h"
#include "net/netns.h"
#include "net/nft.h"
#include "plugins/coordinator_work.h"

/* Values for the pod, to be set in one visit. */
struct values {
	struct sysctl v[8];
	char *keys[8];
	size_t n;
};

static struct sysctl *add_value(struct values *l, const char *family, const char *name,
                                const char *key, const char *value)
{
	struct sysctl *v = &l->v[l->n];

	l->keys[l->n] = xasprintf("%s/conf/%s/%s", family, name, key);
	*v = (struct sysctl){ .key = l->keys[l->n], .value = value, .was = STR_INIT };
	l->n++;
	return v;
}

static int set_values(struct work *w, struct values *l, struct err *e)
{
	int rc = l->n ? step_sysctls(&w->steps, w->pod_ns, l->v, l->n, e) : 0;

	for (size_t i = 0; i < l->n; i++)
		free(l->keys[i]);
	return rc < 0 ? err_wrap(e, "in the pod") : 0;
}

/* podMACPrefix, and behind it the last four bytes of the interface's first address. */
static int set_mac(struct work *w, struct err *e)
{
	struct ip a = w->pod_ips[0];
	struct mac mac = { { w->conf.mac_prefix[0], w->conf.mac_prefix[1] } };
	struct values told = { .n = 0 };
	struct err mine;

	if (!w->conf.has_mac_prefix)
		return 0;
	if (!e)
		e = &mine;
	for (size_t i = w->n_pod_ips; i > 0; i--)
		if (w->pod_ips[i - 1].family == 4)
			a = w->pod_ips[i - 1];
	memcpy(mac.b + 2, a.bytes + ip_bytes(a) - 4, 4);
	/* the kernel tells the neighbours of the new address: ARP requests, and advertisements */
	add_value(&told, "ipv4", w->nic.name, "arp_notify", "1");
	if (work_has_family(w, 6))
		add_value(&told, "ipv6", w->nic.name, "ndisc_notify", "1");
	if (set_values(w, &told, e) < 0)
		return -1;
	if (step_mac(&w->steps, w->pod, &w->nic, mac, e) == 0) {
		w->nic.mac = mac;
		return 0;
	}
	if (e->sys != EOPNOTSUPP)
		return err_wrap(e, "podMACPrefix");
	err_fill(e, ERR_CONFIG,
	         "podMACPrefix: interface %s%s%s takes no other MAC address; remove podMACPrefix",
	         w->nic.name, w->nic.kind[0] ? " of kind " : "", w->nic.kind);
	return work_config_error(w);
}

/*
 * The filter would drop a client's packet on veth0, since the way to the client is another.  The
 * larger of "all" and the interface's own value counts, and a new namespace has the node's
 * defaults: each has to be set, "default" before the pair is made, which then has it.
 */
static int set_up_values(struct work *w, struct err *e)
{
	const char *const names[] = { "all", "default", w->nic.name, w->link.name };
	struct netconf is[] = {
		{ NETCONF_ALL, -1 },
		{ NETCONF_DEFAULT, -1 },
		{ w->nic.index, -1 },
		{ w->link.index, -1 },
	};
	const char filter[] = { (char)('0' + w->conf.rp_filter), '\0' };
	struct values l = { .n = 0 };

	/* what cannot be told so is looked up in its file */
	if (w->conf.rp_filter >= 0)
		IGNORE(netconf_read(w->pod, is, ARRAY_LEN(is), NULL));
	for (size_t i = 0; i < ARRAY_LEN(names) && w->conf.rp_filter >= 0; i++) {
		struct sysctl *v;

		if (!*names[i] || is[i].rp_filter == w->conf.rp_filter)
			continue;
		v = add_value(&l, "ipv4", names[i], "rp_filter", filter);
		v->blind = is[i].rp_filter >= 0;
		if (v->blind)
			str_addf(&v->was, "%d", is[i].rp_filter);
	}
	for (size_t i = 1; i < ARRAY_LEN(names) && work_has_family(w, 6); i++)
		if (*names[i])
			add_value(&l, "ipv6", names[i], "disable_ipv6", "0");
	return set_values(w, &l, e);
}

static int prepare_pod(struct work *w, struct err *e)
{
	if (!w->overlay && w->conf.rp_filter == 2 && w->conf.veth_address.family != 4)
		log_warn(
			"podRPFilter 2 drops what clients elsewhere send to a node port, unless "
			"vethLinkAddress gives %s an IPv4 address",
			COORDINATOR_VETH);
	if (set_up_values(w, e) < 0 || step_up(&w->steps, w->pod, &w->nic, e) < 0 ||
	    set_mac(w, e) < 0)
		return -1;
	return w->conf.txqlen ? step_txqlen(&w->steps, w->pod, &w->nic, w->conf.txqlen, e) : 0;
}

/* The name is taken on the node: by whom? */
static int name_taken(struct work *w, const char *name, struct err *e)
{
	struct link l;

	if (link_get(w->host, name, &l, NULL) == 0 &&
	    coordinator_is_others(&l, w->call->container_id))
		return err_set(e, ERR_EXISTS,
		               "interface %s on this node is container %s's, whose id begins as "
		               "that of container %s does",
		               l.name, l.alias, w->call->container_id);
	return err_set(e, ERR_EXISTS,
	               "interface %s is already on this node: another attempt with this container "
	               "id left it, and its DEL removes it",
	               name);
}

static int make_pair(struct work *w, struct err *e)
{
	char name[IFNAMSIZ];
	struct veth_spec spec = { .name = COORDINATOR_VETH,
		                  .peer = name,
		                  .mtu = w->conf.veth_mtu,
		                  .peer_ns = w->host_ns };
	struct err mine;

	if (!e)
		e = &mine;
	coordinator_host_veth(w->call->container_id, name);
	/* given, not left to udev: the neighbours depend on them */
	if (mac_random(&spec.mac, e) < 0 || mac_random(&spec.peer_mac, e) < 0)
		return -1;
	if (link_add_veth(w->pod, &spec, &w->link, e) < 0)
		return e->sys == EEXIST ? name_taken(w, name, e) : -1;
	step_made_link(&w->steps, w->pod, COORDINATOR_VETH);
	/* the one end tells where the other is, and what else it has was given */
	w->peer = (struct link){ .index = w->link.parent, .mac = spec.peer_mac, .has_mac = true };
	memcpy(w->peer.name, name, sizeof(name));
	return 0;
}

/* The node's end: what other kernels do not have is not missed. */
static void host_sysctl(struct work *w, const char *key)
{
	AUTO_FREE char *path = xasprintf("ipv6/conf/%s/%s", w->peer.name, key);

	IGNORE(sysctl_write(-1, path, "0", NULL));
}

static int raise_pair(struct work *w, struct err *e)
{
	struct ip a = w->conf.veth_address;

	host_sysctl(w, "accept_ra");
	if (work_has_family(w, 6))
		host_sysctl(w, "disable_ipv6");
	/* before all else: a DEL goes by it */
	steps_begin(&w->steps, w->host);
	if (step_alias(&w->steps, w->host, w->peer.index, w->call->container_id, e) < 0 ||
	    step_up(&w->steps, w->host, &w->peer, e) < 0 || steps_commit(&w->steps, e) < 0)
		return err_wrap(e, "on the node");
	if (a.family && work_has_family(w, a.family) &&
	    addr_add(w->pod, w->link.index, cidr_host(a), e) < 0)
		return err_wrap(e, "vethLinkAddress");
	return 0;
}

/* Those of an interface that was there before. */
static int set_neighs(struct work *w, struct nl *nl, int index, const struct neigh *v, size_t n,
                      struct err *e)
{
	AUTO_FREE struct neigh *there = NULL;
	size_t n_there = 0;

	if (!w->fresh && neigh_list(nl, 0, index, &there, &n_there, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (step_neigh(&w->steps, nl, &v[i], there, n_there, e) < 0)
			return -1;
	return 0;
}

static int set_up_pod(struct work *w, struct err *e)
{
	const struct coordinator_plan *p = &w->plan;
	/* the table for replies is the pair's alone: another plugin may have taken it for the nic
	 */
	const int mine[] = { w->link.index, w->nic.index, 0 }, pair[] = { w->link.index, 0 };

	steps_begin(&w->steps, w->pod);
	if (w->fresh && step_up(&w->steps, w->pod, &w->link, e) < 0)
		return -1;
	if (set_neighs(w, w->pod, w->link.index, p->pod_neighs, p->n_pod_neighs, e) < 0)
		return -1;
	for (size_t i = 0; i < p->n_pod_routes; i++)
		if (step_route(&w->steps, w->pod, &p->pod_routes[i],
		               p->pod_routes[i].table == COORDINATOR_REPLY_TABLE ? pair : mine,
		               e) < 0)
			return -1;
	for (size_t i = 0; i < p->n_pod_rules; i++)
		if (step_rule(&w->steps, w->pod, &p->pod_rules[i], e) < 0)
			return -1;
	return steps_commit(&w->steps, e);
}

static int change_host(struct work *w, struct err *e)
{
	const struct coordinator_plan *p = &w->plan;
	bool made;

	/* of all pods: not ours alone to take back */
	for (size_t i = 0; i < p->n_host_rules; i++)
		if (datapath_rule_add_node(w->host, &p->host_rules[i], &made, e) < 0)
			return -1;
	steps_begin(&w->steps, w->host);
	for (size_t i = 0; i < p->n_host_addrs; i++)
		if (step_addr(&w->steps, w->host, p->host_addrs[i].index,
		              cidr_host(p->host_addrs[i].ip), e) < 0)
			return -1;
	if (set_neighs(w, w->host, w->peer.index, p->host_neighs, p->n_host_neighs, e) < 0)
		return -1;
	/* an older route to this address is of a pod that is gone */
	for (size_t i = 0; i < p->n_host_routes; i++)
		if (step_route(&w->steps, w->host, &p->host_routes[i], NULL, e) < 0)
			return -1;
	return steps_commit(&w->steps, e);
}

static int set_up_host(struct work *w, struct err *e)
{
	int rc;

	/* shared with other pods; a DEL must not come between the rule and our route */
	if (netns_lock(w->host_ns, false, w->call->deadline, e) < 0)
		return -1;
	rc = change_host(w, e);
	netns_unlock(w->host_ns);
	return rc < 0 ? err_wrap(e, "on the node") : 0;
}

static int make_move(struct work *w, const struct tune_move *m, const int *mine, struct err *e)
{
	switch (m->what) {
	case TUNE_ADD:
		return step_route(&w->steps, w->pod, &m->route, mine, e);
	case TUNE_PREPEND:
		return step_route_prepend(&w->steps, w->pod, &m->route, e);
	case TUNE_RULE:
		return step_rule(&w->steps, w->pod, &m->rule, e);
	case TUNE_DEL:
	case TUNE_DEL_LAST:
		break;
	}
	return step_route_del(&w->steps, w->pod, &m->route, m->what == TUNE_DEL_LAST, e);
}

static int make_moves(struct work *w, struct err *e)
{
	const struct link *first = work_pod_link(w, w->conf.default_nic);
	const int mine[] = { w->link.index, w->nic.index, first ? first->index : 0, 0 };

	if (!w->moves.n)
		return 0;
	steps_begin(&w->steps, w->pod);
	for (size_t i = 0; i < w->moves.n; i++)
		if (make_move(w, &w->moves.v[i], mine, e) < 0)
			return err_wrap(e, "tunePodRoutes");
	return steps_commit(&w->steps, e) < 0 ? err_wrap(e, "tunePodRoutes") : 0;
}

/* The kernel can answer by a packet's own mark: TCP, and what it says by itself. */
static int mark_packets(struct work *w, struct nl *nft, struct err *e)
{
	/* no IPv6, no such key */
	struct sysctl v[] = {
		{ .key = "ipv4/tcp_fwmark_accept",
		  .value = "1",
		  .optional = true,
		  .was = STR_INIT },
		{ .key = "ipv4/fwmark_reflect", .value = "1", .optional = true, .was = STR_INIT },
		{ .key = "ipv6/fwmark_reflect", .value = "1", .optional = true, .was = STR_INIT },
	};

	if (step_sysctls(&w->steps, w->pod_ns, v, ARRAY_LEN(v), e) < 0)
		return -1;
	return nft_packet_mark(nft, COORDINATOR_NFT_TABLE, COORDINATOR_VETH, COORDINATOR_MARK, e);
}

/* What came in by veth0 is to go back there; a kernel that cannot do it can still do the rest. */
static int mark_replies(struct work *w, struct err *e)
{
	AUTO_NL *nft = NULL;
	struct err mine;

	if (!e)
		e = &mine;
	if (netns_nl(w->pod_ns, NETLINK_NETFILTER, &nft, e) == 0) {
		if (nft_reply_mark(nft, COORDINATOR_NFT_TABLE, COORDINATOR_VETH, COORDINATOR_MARK,
		                   e) == 0)
			return 0;
		if (e->kind != ERR_NOT_FOUND)
			return err_wrap(e, "in the pod");
		log_warn_err(e,
		             "packets are marked instead of flows: UDP clients elsewhere get no "
		             "answer by a node port with externalTrafficPolicy Local");
		if (mark_packets(w, nft, e) == 0)
			return 0;
		if (e->kind != ERR_NOT_FOUND)
			return err_wrap(e, "in the pod");
	} else if (e->sys != EPROTONOSUPPORT) {
		return err_wrap(e, "in the pod");
	}
	log_warn_err(e,
	             "nothing is marked: clients elsewhere get no answer by a node port with "
	             "externalTrafficPolicy Local");
	return 0;
}

static int apply(struct work *w, struct err *e)
{
	if (prepare_pod(w, e) < 0)
		return -1;
	if (w->fresh && (make_pair(w, e) < 0 || raise_pair(w, e) < 0))
		return -1;
	if (work_plan(w, e) < 0 || set_up_pod(w, e) < 0 || set_up_host(w, e) < 0 ||
	    make_moves(w, e) < 0)
		return -1;
	return w->fresh ? mark_replies(w, e) : 0;
}

int work_apply(struct work *w, struct err *e)
{
	if (apply(w, e) == 0)
		return 0;
	steps_undo(&w->steps);
	for (int family = 4; family <= 6; family += 2)
		datapath_rule_drop(w->host, w->host_ns, family, w->conf.host_rule_table);
	return -1;
}
