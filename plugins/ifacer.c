/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ifacer.c - a VLAN, a bond, or a VLAN on a bond, as the master of the plugin after it.
 *
 * Theory of operation: these interfaces are the node's and shared by its pods.  The first ADD makes
 * them, every later one finds them and compares; nothing takes them away again, so DEL and GC have
 * nothing to do.  One process at a time is at it, which a lock on the node's namespace sees to.
 *
 * What is there is never bent to the configuration: it is what is wanted, or the call fails and
 * says how it differs.  Two exceptions, which are nobody's: members that a bond lacks (what made it
 * was killed) are added, and a bond that is down and empty (the kernel's module makes one when it
 * is loaded) is set up.  What a call has changed when it fails, it changes back.
 *
 * STATUS makes them too, as far as no interface has to be set down: else a network whose master is
 * to be made is never ready, and gets no pod whose ADD would make it.
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

#include "net/addr.h"
#include "net/netns.h"
#include "net/route.h"
#include "plugins/ifacer.h"
#include "plugins/ifacer_conf.h"
#include "plugins/ipvlan_port.h"
#include "plugins/plugin_log.h"

enum undo { UNDO_DELETE, UNDO_LEAVE, UNDO_UP, UNDO_DOWN };

/* Two for each member, one for the bond, two for it and the VLAN. */
#define UNDO_MAX (2 * IFACER_INTERFACES_MAX + 4)

/* One call.  Arrays are owned. */
struct work {
	struct cni_call *call;
	int *code;
	struct ifacer_conf conf;
	struct nl *nl;
	struct link members[IFACER_INTERFACES_MAX];
	struct link bond; /* index 0: there is none */
	bool fresh;       /* nobody has used the bond yet */
	bool later;       /* an ADD is to make it: see status() */
	struct {
		enum undo what;
		int index;
		const char *name; /* of what is to be deleted */
	} undo[UNDO_MAX];
	size_t n_undo;
	/* what the node has, once it is asked for */
	struct link *links;
	struct addr *addrs;
	struct route *routes[2];
	size_t n_links, n_addrs, n_routes[2];
};

static void work_release(struct work *w)
{
	nl_close(w->nl);
	free(w->links);
	free(w->addrs);
	free(w->routes[0]);
	free(w->routes[1]);
}

#define AUTO_WORK __attribute__((cleanup(work_release))) struct work

/* Before it is done: an answer that gets lost is no proof that nothing was.  To undo what was not
 * done changes nothing. */
static void remember(struct work *w, enum undo what, int index)
{
	w->undo[w->n_undo].what = what;
	w->undo[w->n_undo++].index = index;
}

static void remember_made(struct work *w, const char *name)
{
	w->undo[w->n_undo].name = name;
	remember(w, UNDO_DELETE, 0);
}

/* Somebody else has made it. */
static void forget_made(struct work *w)
{
	w->n_undo--;
}

static void delete_made(struct work *w, const char *name)
{
	struct link l;

	if (link_get(w->nl, name, &l, NULL) == 0)
		IGNORE(link_del(w->nl, l.index, NULL));
}

/* Best effort: the error that led here is the one to report. */
static void undo(struct work *w)
{
	while (w->n_undo) {
		int index = w->undo[--w->n_undo].index;

		switch (w->undo[w->n_undo].what) {
		case UNDO_DELETE:
			delete_made(w, w->undo[w->n_undo].name);
			break;
		case UNDO_LEAVE:
			IGNORE(link_set_controller(w->nl, index, 0, NULL));
			break;
		case UNDO_UP:
			IGNORE(link_set_up(w->nl, index, NULL));
			break;
		case UNDO_DOWN:
			IGNORE(link_set_down(w->nl, index, NULL));
			break;
		}
	}
}

static int read_conf(struct work *w, struct err *e)
{
	struct plugin_log log;
	AUTO_STR unknown = STR_INIT;

	if (plugin_log_read_options(w->call->conf, &log, e) < 0 ||
	    ifacer_conf_read(w->call->conf, &w->conf, e) < 0) {
		*w->code = CNI_E_CONFIG;
		return err_wrap(e, "ifacer configuration");
	}
	plugin_log_open("ifacer", &log, w->call);
	json_unknown(w->call->conf, ifacer_conf_keys, &unknown);
	if (unknown.len)
		log_warn("configuration: unknown keys are ignored: %s", unknown.data);
	return 0;
}

static int find_interface(struct work *w, const char *name, struct link *out, struct err *e)
{
	struct err mine;

	if (!e)
		e = &mine;
	if (link_get(w->nl, name, out, e) == 0)
		return 0;
	if (e->kind != ERR_NOT_FOUND)
		return -1;
	return err_set(e, ERR_NOT_FOUND, "interface \"%s\": there is none on this node", name);
}

/* Is an interface of that name there?  index 0: no. */
static int find_name(struct work *w, const char *name, struct link *out, struct err *e)
{
	struct err mine;

	if (!e)
		e = &mine;
	out->index = 0;
	if (link_get(w->nl, name, out, e) == 0 || e->kind == ERR_NOT_FOUND)
		return 0;
	return -1;
}

static int bring_up(struct work *w, const struct link *l, struct err *e)
{
	if (l->flags & IFF_UP)
		return 0;
	remember(w, UNDO_DOWN, l->index);
	return link_set_up(w->nl, l->index, e) < 0 ? err_wrap(e, "%s", l->name) : 0;
}

/* The bond. */
static int find_members(struct work *w, struct err *e)
{
	for (size_t i = 0; i < w->conf.n; i++) {
		struct link *l = &w->members[i];

		if (find_interface(w, w->conf.interfaces[i], l, e) < 0)
			return -1;
		for (size_t k = 0; k < i; k++)
			if (w->members[k].index == l->index)
				return err_set(e, ERR_CONFIG,
				               "interfaces: %s and %s are the same one",
				               w->conf.interfaces[k], w->conf.interfaces[i]);
		if (streq(w->conf.interfaces[i], w->conf.bond.primary))
			bond_set_primary(&w->conf.bond, l->index);
	}
	return 0;
}

static bool is_member(const struct work *w, const struct link *l)
{
	return w->bond.index && l->controller == w->bond.index;
}

/* Those that it has, and nobody asked for. */
static int check_strangers(struct work *w, bool *empty, struct err *e)
{
	AUTO_FREE struct link *v = NULL;
	size_t n;

	if (link_list_members(w->nl, w->bond.index, &v, &n, e) < 0)
		return -1;
	*empty = !n;
	for (size_t i = 0; i < n; i++) {
		bool wanted = false;

		for (size_t k = 0; k < w->conf.n; k++)
			wanted = wanted || w->members[k].index == v[i].index;
		if (!wanted)
			return err_set(e, ERR_EXISTS,
			               "bond %s is there already, and has member %s, which is not "
			               "among interfaces",
			               w->bond.name, v[i].name);
	}
	return 0;
}

/* Is it the bond that is wanted, as far as it is there?  A fresh one can become it. */
static int check_bond(struct work *w, struct err *e)
{
	bool complete = true, empty = true;

	if (!streq(w->bond.kind, "bond"))
		return err_set(e, ERR_EXISTS, "interface %s is there already, and is no bond",
		               w->bond.name);
	if (check_strangers(w, &empty, e) < 0)
		return -1;
	w->fresh = empty && !(w->bond.flags & IFF_UP);
	if (w->fresh)
		return 0;
	for (size_t i = 0; i < w->conf.n; i++)
		complete = complete && is_member(w, &w->members[i]);
	return bond_check(w->nl, w->bond.index, &w->conf.bond, complete, e) < 0
	               ? err_wrap(e, "bond %s is there already, and differs", w->bond.name)
	               : 0;
}

static int look(struct work *w, struct err *e)
{
	if (w->links)
		return 0;
	if (link_list(w->nl, &w->links, &w->n_links, e) < 0 ||
	    addr_list(w->nl, 0, 0, &w->addrs, &w->n_addrs, e) < 0)
		return -1;
	for (int i = 0; i < 2; i++)
		if (route_list(w->nl, i ? 6 : 4, RT_TABLE_MAIN, &w->routes[i], &w->n_routes[i], e) <
		    0)
			return -1;
	return 0;
}

#define REFUSED "interface %s cannot become a member of bond %s: "

/* Does an interface carry what a member of a bond cannot? */
static int check_burden(struct work *w, const struct link *l, struct err *e)
{
	const char *bond = w->conf.bond_name;

	for (int family = 0; family < 2; family++)
		for (size_t i = 0; i < w->n_routes[family]; i++)
			if (!w->routes[family][i].dst.len && w->routes[family][i].oif == l->index)
				return err_set(
					e, ERR_CONFIG,
					REFUSED
					"the node's default route goes by it, and the node "
					"would be cut off; make the bond with the node's own "
					"network configuration",
					l->name, bond);
	for (int family = 0; family < 2; family++)
		for (size_t i = 0; i < w->n_routes[family]; i++)
			if (w->routes[family][i].oif == l->index &&
			    w->routes[family][i].protocol != RTPROT_KERNEL)
				return err_set(e, ERR_CONFIG,
				               REFUSED "it has a route to %s, which would be lost",
				               l->name, bond, cidr_str(w->routes[family][i].dst).s);
	/* what the kernel gives every interface by itself is no obstacle */
	for (size_t i = 0; i < w->n_addrs; i++)
		if (w->addrs[i].index == l->index &&
		    !(w->addrs[i].local.ip.family == 6 && ip_is_link_local(w->addrs[i].local.ip)))
			return err_set(e, ERR_CONFIG,
			               REFUSED "it has address %s, which would be lost", l->name,
			               bond, cidr_str(w->addrs[i].local).s);
	for (size_t i = 0; i < w->n_links; i++)
		if (w->links[i].parent == l->index && w->links[i].parent_nsid < 0 &&
		    !streq(w->links[i].kind, "veth"))
			return err_set(e, ERR_CONFIG, REFUSED "interface %s is on it", l->name,
			               bond, w->links[i].name);
	return 0;
}

/* The kernel would refuse it too, but only once it is down. */
static int check_pods(struct work *w, const struct link *l, struct err *e)
{
	struct ipvlan_sibling s;

	ipvlan_sibling_find(w->call->netns, l->index, NULL, &s);
	if (!s.netns)
		return 0;
	err_fill(e, ERR_CONFIG, REFUSED "it is the master of %s in %s", l->name, w->conf.bond_name,
	         s.link.name, s.netns);
	free(s.netns);
	return -1;
}

static int may_join(struct work *w, const struct link *l, struct err *e)
{
	struct link other;

	if (is_member(w, l))
		return 0;
	if (l->controller)
		return err_set(
			e, ERR_CONFIG, REFUSED "it is a member of %s", l->name, w->conf.bond_name,
			link_get_index(w->nl, l->controller, &other, NULL) == 0 ? other.name
										: "another one");
	if (look(w, e) < 0 || check_burden(w, l, e) < 0)
		return -1;
	return check_pods(w, l, e);
}

static int set_up_bond(struct work *w, struct err *e)
{
	return bond_change(w->nl, w->bond.index, &w->conf.bond, e) < 0
	               ? err_wrap(e, "bond %s", w->bond.name)
	               : 0;
}

static int make_bond(struct work *w, struct err *e)
{
	const char *name = w->conf.bond_name;
	struct err mine;

	if (!e)
		e = &mine;
	remember_made(w, name);
	if (bond_add(w->nl, name, &w->conf.bond, e) == 0)
		return link_get(w->nl, name, &w->bond, e);
	if (e->sys == EOPNOTSUPP)
		return err_set(e, ERR_SYS,
		               "this node's kernel has no bonds (CONFIG_BONDING; try modprobe "
		               "bonding)");
	/* it came this very moment: made by somebody, or by the module that was just loaded */
	if (e->sys != EEXIST)
		return err_wrap(e, "bond %s", name);
	forget_made(w);
	if (link_get(w->nl, name, &w->bond, e) < 0 || check_bond(w, e) < 0)
		return -1;
	return w->fresh ? set_up_bond(w, e) : 0;
}

static int join(struct work *w, const struct link *l, struct err *e)
{
	if (is_member(w, l))
		return 0;
	if (l->flags & IFF_UP) {
		remember(w, UNDO_UP, l->index);
		if (link_set_down(w->nl, l->index, e) < 0)
			return err_wrap(e, "%s", l->name);
	}
	remember(w, UNDO_LEAVE, l->index);
	return link_set_controller(w->nl, l->index, w->bond.index, e) < 0
	               ? err_wrap(e, "put %s into bond %s", l->name, w->bond.name)
	               : 0;
}

/* One whose cable is out cannot be; the others are there for that. */
static void set_active(struct work *w)
{
	struct err e;

	for (size_t i = 0; i < w->conf.n; i++)
		if (streq(w->conf.interfaces[i], w->conf.bond.active) &&
		    bond_set_active(w->nl, w->bond.index, w->members[i].index, &e) < 0)
			log_warn_err(&e, "%s", w->conf.bond_name);
}

static int provide_bond(struct work *w, struct err *e)
{
	bool whole;

	if (find_members(w, e) < 0 || find_name(w, w->conf.bond_name, &w->bond, e) < 0 ||
	    (w->bond.index && check_bond(w, e) < 0))
		return -1;
	/* all refusals come before the first change */
	for (size_t i = 0; i < w->conf.n; i++)
		if (may_join(w, &w->members[i], e) < 0)
			return -1;
	/* a runtime names no pod then, and so no folder to look for slaves of the cards in */
	for (size_t i = 0; i < w->conf.n && w->call->command == CNI_STATUS; i++)
		w->later |= !is_member(w, &w->members[i]) && (w->members[i].flags & IFF_UP);
	if (w->later)
		return 0;
	whole = w->bond.index && w->bond.flags & IFF_UP;
	for (size_t i = 0; i < w->conf.n; i++)
		whole = whole && is_member(w, &w->members[i]);
	if (!w->bond.index) {
		if (make_bond(w, e) < 0)
			return -1;
	} else if (w->fresh && set_up_bond(w, e) < 0) {
		return -1;
	}
	for (size_t i = 0; i < w->conf.n; i++)
		if (join(w, &w->members[i], e) < 0)
			return -1;
	if (bring_up(w, &w->bond, e) < 0)
		return -1;
	if (!whole)
		set_active(w);
	return 0;
}

/* The VLAN. */
static int check_vlan(struct work *w, const struct link *l, const struct link *parent,
                      struct err *e)
{
	if (!streq(l->kind, "vlan") || l->vlan_protocol != ETH_P_8021Q)
		return err_set(e, ERR_EXISTS, "interface %s is there already, and is no VLAN",
		               l->name);
	if (l->vlan_id != w->conf.vlan)
		return err_set(e, ERR_EXISTS,
		               "interface %s is there already, with VLAN id %u, not %u", l->name,
		               l->vlan_id, w->conf.vlan);
	if (l->parent != parent->index || l->parent_nsid >= 0)
		return err_set(e, ERR_EXISTS, "interface %s is there already, and is not on %s",
		               l->name, parent->name);
	return 0;
}

/* The name is free, and still the kernel says that it is there. */
static int name_holder(struct work *w, const struct link *parent, struct err *e)
{
	AUTO_FREE struct link *v = NULL;
	size_t n;

	if (link_list(w->nl, &v, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (streq(v[i].kind, "vlan") && v[i].vlan_id == w->conf.vlan &&
		    v[i].parent == parent->index && v[i].parent_nsid < 0)
			return err_set(e, ERR_EXISTS,
			               "VLAN %u of %s is there already, as interface %s and not %s",
			               w->conf.vlan, parent->name, v[i].name, w->conf.vlan_name);
	return err_set(e, ERR_EXISTS, "VLAN %u of %s: somebody makes and removes it", w->conf.vlan,
	               parent->name);
}

static int make_vlan(struct work *w, const struct link *parent, struct link *out, struct err *e)
{
	const char *name = w->conf.vlan_name;
	struct err mine;

	if (!e)
		e = &mine;
	remember_made(w, name);
	if (link_add_vlan(w->nl, name, parent->index, w->conf.vlan, e) == 0)
		return link_get(w->nl, name, out, e);
	if (e->sys == EOPNOTSUPP)
		return err_wrap(e, "is VLAN_8021Q in this node's kernel (try modprobe 8021q)");
	if (e->sys != EEXIST)
		return err_wrap(e, "on %s", parent->name);
	forget_made(w);
	if (find_name(w, name, out, e) < 0)
		return -1;
	return out->index ? check_vlan(w, out, parent, e) : name_holder(w, parent, e);
}

static int provide_vlan(struct work *w, struct err *e)
{
	struct link parent, l;

	if (find_interface(w, w->conf.parent, &parent, e) < 0 ||
	    find_name(w, w->conf.vlan_name, &l, e) < 0)
		return -1;
	if (l.index && check_vlan(w, &l, &parent, e) < 0)
		return -1;
	if (bring_up(w, &parent, e) < 0)
		return -1;
	if (!l.index && make_vlan(w, &parent, &l, e) < 0)
		return -1;
	return bring_up(w, &l, e);
}

static int provide(struct work *w, struct err *e)
{
	AUTO_FD int ns = -1;

	if (!ifacer_conf_wants(&w->conf))
		return 0;
	if (nl_open(NETLINK_ROUTE, &w->nl, e) < 0 || netns_open_self(&ns, e) < 0 ||
	    netns_lock(ns, true, w->call->deadline, e) < 0)
		return -1;
	if ((w->conf.bond_name && provide_bond(w, e) < 0) ||
	    (w->conf.vlan && !w->later && provide_vlan(w, e) < 0)) {
		undo(w);
		return -1;
	}
	return 0;
}

static int add(struct cni_call *c, json **result, int *code, struct err *e)
{
	AUTO_WORK w = { .call = c, .code = code };
	static const struct cni_result nothing;

	if (read_conf(&w, e) < 0 || provide(&w, e) < 0)
		return -1;
	if (!c->prev_result) {
		*result = cni_result_document(&nothing, c->version);
		return 0;
	}
	*result = json_copy(c->prev_result);
	json_set_str(*result, "cniVersion", cni_version_text(c->version));
	return 0;
}

static int check_up(const struct link *l, struct err *e)
{
	return l->flags & IFF_UP ? 0 : err_set(e, ERR_NOT_FOUND, "interface %s is down", l->name);
}

static int verify_bond(struct work *w, struct err *e)
{
	if (find_members(w, e) < 0 || find_interface(w, w->conf.bond_name, &w->bond, e) < 0 ||
	    check_bond(w, e) < 0)
		return -1;
	for (size_t i = 0; i < w->conf.n; i++)
		if (!is_member(w, &w->members[i]))
			return err_set(e, ERR_NOT_FOUND, "bond %s lacks member %s", w->bond.name,
			               w->conf.interfaces[i]);
	return check_up(&w->bond, e);
}

static int verify_vlan(struct work *w, struct err *e)
{
	struct link parent, l;

	if (find_interface(w, w->conf.parent, &parent, e) < 0 ||
	    find_interface(w, w->conf.vlan_name, &l, e) < 0 || check_vlan(w, &l, &parent, e) < 0 ||
	    check_up(&parent, e) < 0)
		return -1;
	return check_up(&l, e);
}

static int check(struct cni_call *c, int *code, struct err *e)
{
	AUTO_WORK w = { .call = c, .code = code };

	if (read_conf(&w, e) < 0)
		return -1;
	if (!ifacer_conf_wants(&w.conf))
		return 0;
	if (nl_open(NETLINK_ROUTE, &w.nl, e) < 0 || (w.conf.bond_name && verify_bond(&w, e) < 0))
		return -1;
	return w.conf.vlan ? verify_vlan(&w, e) : 0;
}

/* Makes what is missing, but for a bond whose members would have to be set down for a moment: that
 * is an ADD's, which knows where pods' namespaces are. */
static int status(struct cni_call *c, int *code, struct err *e)
{
	AUTO_WORK w = { .call = c, .code = code };

	if (read_conf(&w, e) < 0)
		return -1;
	*code = CNI_E_NOT_AVAILABLE;
	return provide(&w, e);
}

const struct cni_plugin ifacer_plugin = {
	.about = "ifacer: VLANs and bonds for the plugin after it (Spiderbox)",
	.add = add,
	.check = check,
	.status = status,
};
