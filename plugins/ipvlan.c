/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipvlan.c - an ipvlan interface for a pod, on a network card of the node: a drop-in for the
 * reference plugin of that name.
 *
 * Theory of operation: the interface is born in the pod's namespace, and down; so nothing of it is
 * ever visible on the node.  It exists before the address is asked for, which makes a wrong master
 * or a taken name cost no address.  An address is on at most one interface of a master, the kernel
 * refuses it elsewhere; therefore DEL takes the interface away before it gives the address back.
 * Where the agent wants it, an address is probed for, from the master, before it is used: one that
 * somebody has goes back with the reason, so that the agent gives it to nobody.
 *
 * Mode and flag are the master's and not the interface's: one that would change them for the pods
 * that are there already is refused.
 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

#include "base/log.h"
#include "cni/state.h"
#include "net/addr.h"
#include "net/netns.h"
#include "net/route.h"
#include "net/sysctl.h"
#include "plugins/ipam.h"
#include "plugins/ipvlan.h"
#include "plugins/ipvlan_conf.h"
#include "plugins/ipvlan_port.h"
#include "plugins/plugin_log.h"

/* One call and the sockets it works with. */
struct work {
	struct cni_call *call;
	struct ipvlan_conf conf;
	int *code;
	int pod_ns; /* borrowed */
	struct nl *pod, *host;
	struct link master, link;
	struct detections wanted; /* by the agent, before its addresses are used */
	json *conflicts;          /* what came out of it, to tell the agent; NULL: nothing */
};

static void work_release(struct work *w)
{
	nl_close(w->pod);
	nl_close(w->host);
	detections_release(&w->wanted);
	json_free(w->conflicts);
}

#define AUTO_WORK __attribute__((cleanup(work_release))) struct work

static int read_conf(struct work *w, struct err *e)
{
	if (ipvlan_conf_read(w->call->conf, &w->conf, e) == 0)
		return 0;
	*w->code = CNI_E_CONFIG;
	return -1;
}

/* To where our own IPAM's lines go.  What is wrong with its configuration, it tells itself. */
static void warn_of_unknown(const struct work *w)
{
	struct plugin_log log = { .level = LOG_LEVEL_INFO };
	const json *conf = w->call->conf;
	AUTO_STR list = STR_INIT;

	json_unknown(conf, ipvlan_conf_keys, &list);
	if (!list.len)
		return;
	if (ipam_is_ours(w->conf.ipam_type))
		IGNORE(plugin_log_read(json_get(conf, "ipam"), &log, NULL));
	plugin_log_open("ipvlan", &log, w->call);
	log_warn("configuration: unknown keys are ignored: %s", list.data);
}

/* For DEL: what somebody broke since the ADD is no reason to keep interface and address for ever.
 */
static void read_leniently(struct work *w)
{
	struct err e;

	if (ipvlan_conf_read(w->call->conf, &w->conf, &e) == 0)
		return;
	log_warn_err(&e, "configuration");
	w->conf.ipam_type = ipvlan_ipam_type(w->call->conf);
}

static int open_namespaces(struct work *w, struct err *e)
{
	if (cni_netns(w->call, &w->pod_ns, e) < 0) {
		*w->code = CNI_E_NETNS;
		return -1;
	}
	if (nl_open(NETLINK_ROUTE, &w->host, e) < 0 ||
	    netns_nl(w->pod_ns, NETLINK_ROUTE, &w->pod, e) < 0)
		return -1;
	return 0;
}

static int read_prev(struct work *w, struct cni_result *out, struct err *e)
{
	if (cni_result_read(w->call->prev_result, out, e) == 0)
		return 0;
	*w->code = CNI_E_DECODE;
	return err_wrap(e, "prevResult");
}

static int default_master(struct nl *nl, struct link *out, struct err *e)
{
	int index = 0;

	for (int family = 4; family <= 6 && !index; family += 2) {
		AUTO_FREE struct route *routes = NULL;
		size_t count;

		if (route_list(nl, family, RT_TABLE_MAIN, &routes, &count, e) < 0)
			return -1;
		index = ipvlan_default_master(routes, count);
	}
	if (!index)
		return err_set(e, ERR_CONFIG,
		               "master: not given, and no default route tells which one");
	return link_get_index(nl, index, out, e);
}

/* By name, alternative name or MAC address. */
static int named_master(struct work *w, struct nl *nl, const char *name, struct err *e)
{
	struct mac mac;
	bool by_mac = mac_parse(name, &mac, NULL) == 0;
	int rc = by_mac ? link_get_mac(nl, mac, &w->master, e) : link_get(nl, name, &w->master, e);

	if (rc == 0)
		return 0;
	if (e->kind != ERR_NOT_FOUND)
		return err_wrap(e, "master");
	return err_set(e, ERR_NOT_FOUND, "master \"%s\": there is no such interface %s", name,
	               w->conf.link_in_container ? "in the pod" : "on this node");
}

static int find_master(struct work *w, struct err *e)
{
	struct nl *nl = w->conf.link_in_container ? w->pod : w->host;
	AUTO_CNI_RESULT prev = { .n_ips = 0 };
	const char *name = w->conf.master;
	struct err mine;

	if (!e)
		e = &mine;
	*w->code = CNI_E_CONFIG;
	if (streq(name, "") && !w->call->prev_result)
		return default_master(nl, &w->master, e);
	if (streq(name, "") &&
	    (read_prev(w, &prev, e) < 0 || ipvlan_chained_master(&prev, &name, e) < 0))
		return -1;
	return named_master(w, nl, name, e);
}

/* A master in the pod has no slaves but the pod's. */
static int check_port_in_pod(struct work *w, struct err *e)
{
	AUTO_FREE struct link *v = NULL;
	size_t n;

	if (link_list(w->pod, &v, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (streq(v[i].kind, "ipvlan") && v[i].parent == w->master.index &&
		    v[i].parent_nsid < 0)
			return ipvlan_port_compare(&v[i], "the pod", &w->master, w->conf.mode,
			                           w->conf.flags, e);
	return 0;
}

static void remove_if_down(struct work *w, const char *name)
{
	struct link l;

	if (link_get(w->pod, name, &l, NULL) == 0 && streq(l.kind, "ipvlan") &&
	    l.parent == w->master.index && !(l.flags & IFF_UP))
		IGNORE(link_del(w->pod, l.index, NULL));
}

/* What may have been made although no answer says so; one that is in use is up. */
static void remove_unfinished(struct work *w)
{
	char birth[IFNAMSIZ];

	link_birth_name(w->call->ifname, birth);
	remove_if_down(w, birth);
	remove_if_down(w, w->call->ifname);
}

static int make_link(struct work *w, struct err *e)
{
	const char *name = w->call->ifname;
	struct err mine;
	int rc;

	if (!e)
		e = &mine;
	*w->code = 0;
	/* between a look at the names there and the next interface nobody else of us makes one */
	if (netns_lock(w->pod_ns, true, w->call->deadline, e) < 0)
		return -1;
	rc = link_add_ipvlan(w->conf.link_in_container ? w->pod : w->host, w->pod_ns, w->pod, name,
	                     &w->master, w->conf.mode, w->conf.flags, w->conf.mtu, e);
	netns_unlock(w->pod_ns);
	if (rc < 0) {
		if (e->sys == EEXIST)
			return err_set(e, ERR_EXISTS, "interface %s is already in the pod (%s)",
			               name, w->call->netns);
		remove_unfinished(w);
		if (e->sys == EOPNOTSUPP)
			return err_set(e, ERR_SYS,
			               "this node's kernel has no ipvlan (CONFIG_IPVLAN; try "
			               "modprobe ipvlan)");
		if (e->sys == EBUSY)
			return err_wrap(e,
			                "%s is in use by something that shares it with nobody (a "
			                "bridge, a macvlan)",
			                w->master.name);
		return err_wrap(e, "on %s", w->master.name);
	}
	return 0;
}

/* With the node locked: shared while the note says that nothing changes. */
static int make_as_noted(struct work *w, int ns, struct err *e)
{
	struct ipvlan_conf *c = &w->conf;
	bool differs = false;

	if (netns_lock(ns, false, w->call->deadline, e) < 0 ||
	    ipvlan_port_check(IPVLAN_PORTS, w->call->netns, &w->master, c->mode, c->flags, &differs,
	                      e) < 0)
		return -1;
	if (differs) {
		netns_unlock(ns); /* not in one step: others may have come in between */
		if (netns_lock(ns, true, w->call->deadline, e) < 0 ||
		    ipvlan_port_check(IPVLAN_PORTS, w->call->netns, &w->master, c->mode, c->flags,
		                      &differs, e) < 0)
			return -1;
	}
	if (make_link(w, e) < 0)
		return -1;
	if (differs)
		ipvlan_port_note(IPVLAN_PORTS, &w->master, c->mode, c->flags);
	return 0;
}

static int create(struct work *w, struct err *e)
{
	int ns, rc;

	if (ipvlan_check_mtu(&w->conf, &w->master, e) < 0)
		return -1;
	if (w->conf.link_in_container)
		return check_port_in_pod(w, e) < 0 ? -1 : make_link(w, e);
	if (netns_home(&ns, e) < 0)
		return -1;
	rc = make_as_noted(w, ns, e);
	netns_unlock(ns);
	return rc;
}

/* Calls the IPAM plugin, in this process if it is ours. */
static int ipam(struct work *w, enum cni_command command, json **result, struct err *e)
{
	struct cni_call *c = w->call;

	if (streq(w->conf.ipam_type, ""))
		return 0;
	if (!ipam_is_ours(w->conf.ipam_type))
		return cni_delegate(c, w->conf.ipam_type, command, c->conf_text.data,
		                    c->conf_text.len, result, w->code, e);
	switch (command) {
	case CNI_ADD:
		return ipam_add(c, &w->wanted, result, w->code, e);
	case CNI_DEL:
		return ipam_del(c, w->code, e);
	case CNI_CHECK:
		return ipam_check(c, w->code, e);
	case CNI_STATUS:
		return ipam_status(c, w->code, e);
	case CNI_GC:
		return ipam_gc(c, w->code, e);
	case CNI_VERSION:
		break;
	}
	return 0;
}

/* Undoes the ADD of the IPAM plugin; what went wrong then is no news for the runtime. */
static void give_back(struct work *w)
{
	int *code = w->code, ignored = 0;

	w->code = &ignored;
	if (w->conflicts)
		IGNORE(ipam_give_back(w->call, w->conflicts, &ignored, NULL));
	else
		IGNORE(ipam(w, CNI_DEL, NULL, NULL));
	w->code = code;
}

/* The addresses: from the IPAM plugin's document, or, without one, from the chain before us. */
static int read_addresses(struct work *w, const json *document, struct cni_result *out,
                          struct err *e)
{
	if (streq(w->conf.ipam_type, "")) {
		if (w->call->prev_result && read_prev(w, out, e) < 0)
			return -1;
		if (out->n_ips)
			return 0;
		*w->code = CNI_E_CONFIG;
		return err_set(e, ERR_CONFIG,
		               "there is no ipam.type, and no prevResult with addresses");
	}
	if (cni_result_read(document, out, e) < 0)
		return err_wrap(e, "result of the IPAM plugin %s", w->conf.ipam_type);
	if (!out->n_ips)
		return err_set(e, ERR_PROTO, "the IPAM plugin %s gave no address",
		               w->conf.ipam_type);
	return 0;
}

/* Siblings answer no probe: the kernel is the one to tell. */
static int held_by_sibling(struct work *w, struct cidr a, struct err *e)
{
	bool conflict = detect_wants_conflict(&w->wanted, a.ip);
	const struct cni_call *c = w->call;
	const char *state_dir = json_str_at(c->conf, "ipam", "state_dir", NULL);
	AUTO_FREE char *holder =
		ipvlan_holder(state_dir && *state_dir ? state_dir : STATE_DIR, c->container_id,
	                      c->ifname, c->netns, w->master.index, a.ip);
	AUTO_FREE char *reason =
		xasprintf("on another ipvlan interface of %s: %s", w->master.name, holder);

	if (conflict)
		detect_add_conflict(&w->conflicts, a.ip, reason);
	return err_set(e, conflict ? ERR_CONFLICT : ERR_EXISTS, "%saddress %s is already %s",
	               conflict ? "ip conflict: " : "", cidr_str(a).s, reason);
}

static int add_address(struct work *w, struct cidr a, struct err *e)
{
	struct err mine;

	if (!e)
		e = &mine;
	if (addr_add(w->pod, w->link.index, a, e) == 0)
		return 0;
	return e->sys == EADDRINUSE ? held_by_sibling(w, a, e) : err_wrap(e, "%s", w->link.name);
}

/* From the master: see net/probe.h. */
static int detect(struct work *w, struct err *e)
{
	bool inside = w->conf.link_in_container;

	return detect_run(inside ? w->pod_ns : -1, inside ? w->pod : w->host, &w->master,
	                  &w->wanted, w->call->deadline, &w->conflicts, e);
}

static int spare(struct nl *nl, int index, const char *whose, const struct cni_result *r,
                 struct err *e)
{
	AUTO_FREE struct addr *v = NULL;
	const struct cni_ip *own;
	int family = r->n_ips ? r->ips[0].address.ip.family : 0;
	size_t count;

	for (size_t i = 1; i < r->n_ips; i++)
		if (r->ips[i].address.ip.family != family)
			family = 0; /* both */
	if (addr_list(nl, family, index, &v, &count, e) < 0)
		return err_wrap(e, "look for addresses that are %s own", whose);
	own = ipvlan_own_address(r, v, count);
	if (own)
		return err_set(e, ERR_EXISTS,
		               "address %s is one of %s own: exclude it from the pool",
		               cidr_str(own->address).s, whose);
	return 0;
}

/* The kernel would accept an address of the node on the pod, and take it from the node. */
static int spare_node(struct work *w, const struct cni_result *r, struct err *e)
{
	if (w->conf.link_in_container && spare(w->pod, w->master.index, "its master's", r, e) < 0)
		return -1;
	return spare(w->host, 0, "this node's", r, e);
}

static int allow_ipv6(struct work *w, struct err *e)
{
	AUTO_FREE char *own = xasprintf("ipv6/conf/%s/disable_ipv6", w->link.name);
	AUTO_FREE char *keep = xasprintf("ipv6/conf/%s/keep_addr_on_down", w->link.name);
	struct sysctl v[] = {
		{ .key = "ipv6/conf/lo/disable_ipv6", .value = "0", .blind = true },
		{ .key = own, .value = "0", .blind = true },
		{ .key = keep, .value = "1", .blind = true },
	};

	return sysctl_all(w->pod_ns, v, ARRAY_LEN(v), e) < 0 ? err_wrap(e, "allow IPv6 in the pod")
	                                                     : 0;
}

/* Neighbours hear of the address when the interface comes up: the kernel announces it. */
static void announce_at_up(struct work *w)
{
	AUTO_FREE char *arp = xasprintf("ipv4/conf/%s/arp_notify", w->link.name);
	AUTO_FREE char *nd = xasprintf("ipv6/conf/%s/ndisc_notify", w->link.name);
	struct sysctl v[] = {
		{ .key = arp, .value = "1", .blind = true, .optional = true },
		{ .key = nd, .value = "1", .blind = true, .optional = true },
	};

	IGNORE(sysctl_all(w->pod_ns, v, ARRAY_LEN(v), NULL));
}

static int add_route(struct work *w, const struct cni_result *r, size_t i, struct err *e)
{
	struct route t = ipvlan_route(r, &r->routes[i], w->link.index);
	struct err mine;

	if (!e)
		e = &mine;
	/* the connected route and a route named twice are there already */
	if (route_add(w->pod, &t, ROUTE_PREPEND, e) < 0 && e->sys != EEXIST)
		return err_wrap(e, "%s", w->link.name);
	return 0;
}

/* Each by its number: the addresses, the interface up, the routes. */
static int change(struct work *w, const struct cni_result *r, size_t i, struct err *e)
{
	if (i < r->n_ips)
		return add_address(w, r->ips[i].address, e);
	if (i > r->n_ips)
		return add_route(w, r, i - r->n_ips - 1, e);
	return link_set_up(w->pod, w->link.index, e) < 0 ? err_wrap(e, "%s", w->link.name) : 0;
}

/* All in one send; what was refused once more by itself, for the words and in its turn. */
static int change_all(struct work *w, const struct cni_result *r, struct err *e)
{
	size_t n = r->n_ips + 1 + r->n_routes;
	bool failed[NL_GATHER_MAX];
	bool at_once = n <= NL_GATHER_MAX;

	if (at_once) {
		nl_gather(w->pod);
		for (size_t i = 0; i < n; i++)
			if (change(w, r, i, e) < 0)
				return -1;
		if (nl_flush(w->pod, failed, n, e) < 0)
			return err_wrap(e, "%s: add address %s", w->link.name,
			                cidr_str(r->ips[0].address).s);
	}
	for (size_t i = 0; i < n; i++)
		if ((!at_once || failed[i]) && change(w, r, i, e) < 0)
			return -1;
	return 0;
}

static int configure(struct work *w, const struct cni_result *r, struct err *e)
{
	bool ipv6 = false;

	if (spare_node(w, r, e) < 0 || detect(w, e) < 0)
		return -1;
	announce_at_up(w);
	for (size_t i = 0; i < r->n_ips; i++)
		ipv6 = ipv6 || r->ips[i].address.ip.family == 6;
	if (ipv6 && allow_ipv6(w, e) < 0)
		return -1;
	return change_all(w, r, e);
}

static int add(struct cni_call *c, json **result, int *code, struct err *e)
{
	AUTO_WORK w = { .call = c, .code = code, .pod_ns = -1 };
	AUTO_CNI_RESULT r = { .n_ips = 0 };
	AUTO_JSON *document = NULL;

	if (read_conf(&w, e) < 0)
		return -1;
	warn_of_unknown(&w);
	if (open_namespaces(&w, e) < 0 || find_master(&w, e) < 0 || create(&w, e) < 0)
		return -1;
	if (link_get(w.pod, c->ifname, &w.link, e) < 0) {
		remove_unfinished(&w);
		return -1;
	}
	if (ipam(&w, CNI_ADD, &document, e) < 0)
		goto remove;
	/* what it gave is held, be it of use or not */
	if (read_addresses(&w, document, &r, e) < 0 || configure(&w, &r, e) < 0)
		goto release;
	ipvlan_result(&r, &w.link, c->netns, w.conf.dns);
	*result = cni_result_document(&r, c->version);
	return 0;

release:
	/* the address goes back only when it is on no interface any more */
	if (link_del(w.pod, w.link.index, NULL) == 0)
		give_back(&w);
	return -1;
remove:
	IGNORE(link_del(w.pod, w.link.index, NULL));
	return -1;
}

/* The interface, or what an ADD that was killed has left of it; index 0: there is none of ours. */
static int find_link(struct work *w, struct err *e)
{
	char birth[IFNAMSIZ];
	struct err mine;

	if (!e)
		e = &mine;
	if (link_get(w->pod, w->call->ifname, &w->link, e) < 0) {
		if (e->kind != ERR_NOT_FOUND)
			return -1;
		link_birth_name(w->call->ifname, birth);
		if (link_get(w->pod, birth, &w->link, e) < 0 && e->kind != ERR_NOT_FOUND)
			return -1;
	}
	if (!streq(w->link.kind, "ipvlan"))
		w->link.index = 0;
	return 0;
}

/* Gone already, in whichever way, is what is wanted. */
static int remove_link(struct work *w, struct err *e)
{
	struct err mine;

	if (!e)
		e = &mine;
	if (cni_netns(w->call, &w->pod_ns, e) < 0)
		/* what is left of a namespace file when it is unmounted is no namespace */
		return e->kind == ERR_NOT_FOUND || e->kind == ERR_CONFIG ? 0 : -1;
	if (netns_nl(w->pod_ns, NETLINK_ROUTE, &w->pod, e) < 0)
		return -1;
	if (find_link(w, e) < 0)
		return -1;
	if (w->link.index && link_del(w->pod, w->link.index, e) < 0 && e->kind != ERR_NOT_FOUND)
		return -1;
	return 0;
}

static int del(struct cni_call *c, int *code, struct err *e)
{
	AUTO_WORK w = { .call = c, .code = code, .pod_ns = -1 };

	read_leniently(&w);
	return remove_link(&w, e) < 0 ? -1 : ipam(&w, CNI_DEL, NULL, e);
}

/* The entry of the result that an ADD of this attachment has made. */
static int check_interface(struct work *w, const struct cni_result *r, struct err *e)
{
	struct cni_call *c = w->call;
	const struct cni_interface *i = NULL;
	uint32_t want_mtu;

	for (size_t k = 0; k < r->n_interfaces && !i; k++)
		if (streq(r->interfaces[k].name, c->ifname) &&
		    streq(r->interfaces[k].sandbox, c->netns))
			i = &r->interfaces[k];
	if (!i)
		return err_set(e, ERR_CONFIG, "prevResult has no interface %s in %s", c->ifname,
		               c->netns);
	want_mtu = i->mtu ? i->mtu : w->conf.mtu;
	if (link_get(w->pod, c->ifname, &w->link, e) < 0)
		return err_wrap(e, "in the pod");
	if (!streq(w->link.kind, "ipvlan"))
		return err_set(e, ERR_CONFIG, "interface %s in the pod is no ipvlan interface",
		               c->ifname);
	if (w->master.index && w->link.parent != w->master.index)
		return err_set(e, ERR_CONFIG, "interface %s in the pod is not on master %s",
		               c->ifname, w->master.name);
	if (w->link.ipvlan_mode != w->conf.mode)
		return err_set(e, ERR_CONFIG, "interface %s in the pod has mode %s, not %s",
		               c->ifname, ipvlan_mode_text(w->link.ipvlan_mode),
		               ipvlan_mode_text(w->conf.mode));
	if (w->link.ipvlan_flags != w->conf.flags)
		return err_set(e, ERR_CONFIG, "interface %s in the pod has flag %s, not %s",
		               c->ifname, ipvlan_flag_text(w->link.ipvlan_flags),
		               ipvlan_flag_text(w->conf.flags));
	if (want_mtu && w->link.mtu != want_mtu)
		return err_set(e, ERR_CONFIG, "interface %s in the pod has mtu %u, not %u",
		               c->ifname, w->link.mtu, want_mtu);
	if (!(w->link.flags & IFF_UP))
		return err_set(e, ERR_CONFIG, "interface %s in the pod is down", c->ifname);
	if (i->mac[0] && !streq(i->mac, mac_str(w->link.mac).s))
		return err_set(e, ERR_CONFIG, "interface %s in the pod has MAC address %s, not %s",
		               c->ifname, mac_str(w->link.mac).s, i->mac);
	return 0;
}

static int check_addresses(struct work *w, const struct cni_result *r, struct err *e)
{
	AUTO_FREE struct addr *addrs = NULL;
	size_t count;

	if (addr_list(w->pod, 0, w->link.index, &addrs, &count, e) < 0)
		return -1;
	for (size_t i = 0; i < r->n_ips; i++) {
		const struct cni_ip *want = &r->ips[i];
		bool there = false;

		if (want->interface >= 0 &&
		    !((size_t)want->interface < r->n_interfaces &&
		      streq(r->interfaces[want->interface].name, w->link.name)))
			continue; /* of another interface */
		for (size_t k = 0; k < count && !there; k++)
			there = ip_equal(addrs[k].local.ip, want->address.ip) &&
			        addrs[k].local.len == want->address.len;
		if (!there)
			return err_set(e, ERR_CONFIG, "interface %s in the pod lacks address %s",
			               w->link.name, cidr_str(want->address).s);
	}
	return 0;
}

/* What comes later in the chain may have moved it to another table. */
static bool has_route(const struct route *v, size_t n, const struct route *want)
{
	for (size_t i = 0; i < n; i++)
		if (cidr_equal_network(v[i].dst, want->dst) &&
		    (v[i].multipath || (ip_equal(v[i].gw, want->gw) && v[i].oif == want->oif)) &&
		    (!want->priority || v[i].priority == want->priority))
			return true;
	return false;
}

static int check_routes(struct work *w, const struct cni_result *r, struct err *e)
{
	for (size_t i = 0; i < r->n_routes; i++) {
		struct route want = ipvlan_route(r, &r->routes[i], w->link.index);
		AUTO_FREE struct route *routes = NULL;
		AUTO_STR by = STR_INIT;
		size_t count;

		if (route_list(w->pod, want.dst.ip.family, want.table, &routes, &count, e) < 0)
			return -1;
		if (has_route(routes, count, &want))
			continue;
		if (want.gw.family)
			str_addf(&by, " by gateway %s", ip_str(want.gw).s);
		return err_set(e, ERR_CONFIG, "the pod lacks the route to %s%s on %s",
		               cidr_str(want.dst).s, by.data, w->link.name);
	}
	return 0;
}

static int check(struct cni_call *c, int *code, struct err *e)
{
	AUTO_WORK w = { .call = c, .code = code, .pod_ns = -1 };
	AUTO_CNI_RESULT r = { .n_ips = 0 };

	if (read_conf(&w, e) < 0 || ipam(&w, CNI_CHECK, NULL, e) < 0)
		return -1;
	if (!c->prev_result) {
		*code = CNI_E_CONFIG;
		return err_set(e, ERR_CONFIG, "CHECK needs prevResult");
	}
	if (open_namespaces(&w, e) < 0 || read_prev(&w, &r, e) < 0)
		return -1;
	/* prevResult is what ADD made and says nothing of a master that was not given */
	if (!streq(w.conf.master, "") && find_master(&w, e) < 0)
		return -1;
	*code = CNI_E_GENERIC;
	if (check_interface(&w, &r, e) < 0 || check_addresses(&w, &r, e) < 0)
		return -1;
	return check_routes(&w, &r, e);
}

/* Without it nothing can be added, and what is there is cut off. */
static int check_master(struct work *w, struct err *e)
{
	struct err mine;

	if (!e)
		e = &mine;
	if (nl_open(NETLINK_ROUTE, &w->host, e) < 0)
		return -1;
	*w->code = CNI_E_LIMITED;
	if (named_master(w, w->host, w->conf.master, e) < 0)
		return -1;
	if (!(w->master.flags & IFF_UP))
		return err_set(e, ERR_SYS, "master %s is down", w->master.name);
	*w->code = 0;
	return 0;
}

static int status(struct cni_call *c, int *code, struct err *e)
{
	AUTO_WORK w = { .call = c, .code = code, .pod_ns = -1 };

	if (read_conf(&w, e) < 0)
		return -1;
	/* without a name the chain may tell it, or the default route, when there is an ADD */
	if (!streq(w.conf.master, "") && !w.conf.link_in_container && check_master(&w, e) < 0)
		return -1;
	return ipam(&w, CNI_STATUS, NULL, e);
}

static int gc(struct cni_call *c, int *code, struct err *e)
{
	struct work w = { .call = c, .code = code, .pod_ns = -1 };

	return read_conf(&w, e) < 0 ? -1 : ipam(&w, CNI_GC, NULL, e);
}

const struct cni_plugin ipvlan_plugin = {
	.about = "ipvlan: an ipvlan interface for a pod (Spiderbox)",
	.makes_link = true,
	.add = add,
	.del = del,
	.check = check,
	.gc = gc,
	.status = status,
};
