/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator_del.c - DEL.  It asks no agent, and needs neither the pod's namespace nor a record of
 * the ADD: what those would tell is looked for where it can be.
 *
 * The first interface's pair goes, and takes the other end, the routes and the neighbours with it;
 * its rules in the pod go as well.  The nf_tables table stays and marks nothing any more: for one
 * that is taken away, close() waits until RCU has freed it, some milliseconds. Further interfaces
 * are not always deleted with the pod, and the pair's end on the node stays: what leads to their
 * addresses by it is taken off, and so are their rules and tables in the pod.
 */
#include <linux/rtnetlink.h>
#include <stdlib.h>

#include "base/log.h"
#include "cni/state.h"
#include "datapath/record.h"
#include "datapath/rule.h"
#include "net/netns.h"
#include "plugins/coordinator_work.h"

/* What a DEL works with; all of it may be missing. */
struct del {
	struct cni_call *call;
	struct datapath_record record;
	bool recorded;
	struct nl *host, *pod; /* pod: NULL when its namespace is gone, or another */
	int pod_ns;            /* borrowed */
	struct link nic;       /* the interface; index 0: it is not there, or */
	bool knows_nic;        /* nobody knows */
	struct ip *ips;        /* its */
	size_t n_ips, cap_ips;
	size_t n_held; /* requests that pod has gathered */
};

static void del_release(struct del *d)
{
	datapath_record_release(&d->record);
	nl_close(d->host);
	nl_close(d->pod);
	free(d->ips);
}

#define AUTO_DEL __attribute__((cleanup(del_release))) struct del

/* A table (0: all of them) that has a route of ours over that interface; 0: there is none. */
static uint32_t find_table(struct nl *host, int family, int index, uint32_t table)
{
	AUTO_FREE struct route *routes = NULL;
	size_t count;

	if (route_list(host, family, table, &routes, &count, NULL) < 0)
		return 0;
	for (size_t i = 0; i < count; i++)
		if (routes[i].oif == index && routes[i].table != RT_TABLE_MAIN &&
		    routes[i].dst.len == ip_bits(routes[i].dst.ip))
			return routes[i].table;
	return 0;
}

/* All the routes of a node may be many: where they usually are is looked first. */
static uint32_t table_of(struct nl *host, int family, int index, uint32_t usual)
{
	uint32_t table = find_table(host, family, index, usual);

	if (!table)
		table = find_table(host, family, index, 0);
	return table ? table : usual;
}

/* Can there be anything of that family?  Nobody knows, when no address is known. */
static bool concerns(const struct ip *ips, size_t n, uint8_t family)
{
	return !n || ip_first_of(ips, n, family);
}

/* tables: of both families.  A record tells which of them the ADD was about. */
static void drop_rules(struct del *d, const uint32_t tables[2])
{
	for (uint8_t i = 0; i < 2; i++)
		if (concerns(d->record.pod_ips, d->record.n_pod_ips, 4 + 2 * i))
			datapath_rule_drop(d->host, -1, 4 + 2 * i, tables[i]);
}

/* The node's end of the pair; 0 when there is none, or something of somebody else's by that name.
 */
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

/* At once with the interface, when that is to go next: see link_del_both(). */
static int del_links(struct del *d, int index, struct err *e)
{
	struct link host, end;

	if (d->call->link_goes && streq(d->nic.kind, "ipvlan") &&
	    link_get_index(d->host, index, &host, NULL) == 0 &&
	    link_get(d->pod, COORDINATOR_VETH, &end, NULL) == 0 && streq(end.kind, "veth") &&
	    end.parent == host.index && host.parent == end.index &&
	    link_del_both(d->pod, end.index, d->nic.index, NULL) == 0)
		return 0;
	return link_del(d->host, index, e) < 0 && e->kind != ERR_NOT_FOUND ? -1 : 0;
}

/* The pair made for an earlier pod of the same name in another boot is not among these. */
static int del_pair(struct del *d, uint32_t usual, struct err *e)
{
	uint32_t tables[2] = { usual, usual };
	struct err mine;
	int index;

	if (!e)
		e = &mine;
	if (find_host_end(d->host, d->call, &index, e) < 0)
		return -1;
	for (int i = 0; index && !d->recorded && i < 2; i++)
		tables[i] = table_of(d->host, 4 + 2 * i, index, usual);
	if (index && del_links(d, index, e) < 0)
		return -1;
	drop_rules(d, tables);
	return 0;
}

/* The pod, as long as it is still this one, and the interface. */
static void open_pod(struct del *d)
{
	uint64_t inode;
	struct err e;

	if (cni_netns(d->call, &d->pod_ns, NULL) < 0 || netns_inode(d->pod_ns, &inode, NULL) < 0 ||
	    (d->recorded && d->record.netns_inode && d->record.netns_inode != inode))
		return;
	if (netns_nl(d->pod_ns, NETLINK_ROUTE, &d->pod, NULL) < 0)
		return;
	nl_limit(d->pod, NL_POD_BYTES);
	d->knows_nic = link_get(d->pod, d->call->ifname, &d->nic, &e) == 0;
	if (!d->knows_nic) {
		d->nic = (struct link){ .index = 0 };
		d->knows_nic = e.kind == ERR_NOT_FOUND;
	}
}

static void add_ip(struct del *d, struct ip a)
{
	for (size_t i = 0; i < d->n_ips; i++)
		if (ip_equal(d->ips[i], a))
			return;
	d->ips = xgrow(d->ips, &d->cap_ips, d->n_ips + 1, sizeof(a));
	d->ips[d->n_ips++] = a;
}

/* As the record says, as they are in the pod, and as the runtime remembers. */
static void find_ips(struct del *d, bool in_pod)
{
	AUTO_CNI_RESULT prev = { .n_ips = 0 };
	AUTO_FREE struct addr *addrs = NULL;
	AUTO_FREE struct ip *ips = NULL;
	size_t n_addrs, n = 0;

	for (size_t i = 0; i < d->record.n_pod_ips; i++)
		add_ip(d, d->record.pod_ips[i]);
	if (in_pod && d->nic.index &&
	    addr_list(d->pod, 0, d->nic.index, &addrs, &n_addrs, NULL) == 0)
		coordinator_pod_ips(addrs, n_addrs, d->nic.index, &ips, &n);
	for (size_t i = 0; i < n; i++)
		add_ip(d, ips[i]);
	if (d->call->prev_result && cni_result_read(d->call->prev_result, &prev, NULL) == 0)
		for (size_t i = 0; i < prev.n_ips; i++)
			add_ip(d, prev.ips[i].address.ip);
}

/* The interface of the node that leads to this pod; 0: it went, and all that led over it too. */
static int find_way(struct del *d, int *index, struct err *e)
{
	const char *name = coordinator_default_nic(d->call->conf);
	int host_ns;
	struct link l, eth0;
	struct err mine;
	char boot[64];

	if (!e)
		e = &mine;
	*index = 0;
	if (d->recorded) {
		work_boot_id(boot);
		if (*boot && *d->record.boot_id && !streq(boot, d->record.boot_id))
			return 0;
		if (link_get(d->host, d->record.host_link, &l, e) < 0)
			return e->kind == ERR_NOT_FOUND ? 0 : -1;
		/* the name may be another pod's by now, and so the MAC address */
		if (d->record.host_index ? l.index == d->record.host_index
		                         : memcmp(&l.mac, &d->record.host_mac, sizeof(l.mac)) == 0)
			*index = l.index;
		return 0;
	}
	if (find_host_end(d->host, d->call, index, e) < 0 || *index)
		return *index ? 0 : -1;
	if (d->pod && link_get(d->pod, name, &eth0, NULL) == 0 && netns_home(&host_ns, NULL) == 0 &&
	    link_peer(d->pod, &eth0, d->host, host_ns, &l, NULL) == 0)
		*index = l.index;
	return 0;
}

static bool is_ip(const struct del *d, struct ip a)
{
	for (size_t i = 0; i < d->n_ips; i++)
		if (ip_equal(d->ips[i], a))
			return true;
	return false;
}

static int del_routes(struct del *d, int index, uint32_t table, struct err *e)
{
	for (int family = 4; family <= 6; family += 2) {
		AUTO_FREE struct route *all = NULL;
		AUTO_FREE struct neigh *neighs = NULL;
		struct err mine;
		size_t n, n_neighs;

		if (!concerns(d->ips, d->n_ips, (uint8_t)family))
			continue;
		if (route_list(d->host, family, table, &all, &n, e) < 0 ||
		    neigh_list(d->host, family, index, &neighs, &n_neighs, e) < 0)
			return -1;
		for (size_t i = 0; i < n; i++)
			if (all[i].oif == index && all[i].dst.len == ip_bits(all[i].dst.ip) &&
			    is_ip(d, all[i].dst.ip) && route_del(d->host, &all[i], &mine) < 0 &&
			    mine.kind != ERR_NOT_FOUND)
				return err_copy(e, &mine);
		for (size_t i = 0; i < n_neighs; i++)
			if (is_ip(d, neighs[i].ip))
				IGNORE(neigh_del(d->host, index, neighs[i].ip, NULL));
	}
	return 0;
}

/* What is done in the pod is done in few requests; none of it is a reason to fail. */
static void send_held(struct del *d)
{
	bool failed[NL_GATHER_MAX];

	IGNORE(nl_flush(d->pod, failed, d->n_held, NULL));
	d->n_held = 0;
}

static void hold(struct del *d, int rc)
{
	if (rc < 0 || ++d->n_held < NL_GATHER_MAX)
		return;
	send_held(d);
	nl_gather(d->pod);
}

/* The default route of main goes back to where it came from, unless this interface had none. */
static void give_back_default(struct del *d, const struct tune_there *t, int nic, int first)
{
	AUTO_TUNE_MOVES moves = { .v = NULL };

	tune_leave(t, nic, first, &moves);
	for (size_t i = 0; i < moves.n; i++) {
		const struct tune_move *m = &moves.v[i];

		if (m->what == TUNE_ADD || m->what == TUNE_PREPEND)
			hold(d, route_add(d->pod, &m->route, ROUTE_PREPEND, NULL));
		else
			hold(d, route_del(d->pod, &m->route, NULL));
	}
}

/* The rules that send the interface's addresses to its table, and the table. */
static void clean_tables(struct del *d, const struct tune_there *t)
{
	uint32_t table = d->record.table;

	for (size_t i = 0; i < t->n_rules; i++) {
		const struct rule *r = &t->rules[i];

		if (r->priority < TUNE_PRIORITY_MIN || r->priority > TUNE_PRIORITY_MAX ||
		    r->other || !is_ip(d, r->src.ip))
			continue;
		table = r->table;
		hold(d, rule_del(d->pod, r, NULL));
	}
	for (size_t i = 0; i < t->n_routes && table >= COORDINATOR_FIRST_TABLE; i++)
		if (t->routes[i].table == table)
			hold(d, route_del(d->pod, &t->routes[i], NULL));
}

/* What sends answers back to veth0. */
static void clean_reply_rule(struct del *d, const struct tune_there *t)
{
	for (size_t i = 0; i < t->n_rules; i++) {
		const struct rule *r = &t->rules[i];

		if (r->priority == COORDINATOR_RULE_PRIORITY &&
		    r->table == COORDINATOR_REPLY_TABLE && r->fwmark == COORDINATOR_MARK &&
		    r->fwmask == COORDINATOR_MARK && !r->src.ip.family && !r->other)
			hold(d, rule_del(d->pod, r, NULL));
	}
}

/* Best effort, in the pod, as long as it is there.  Of the first interface only the rules: its
 * routes go with it and with the pair. */
static void clean_pod(struct del *d, bool is_first)
{
	struct link first = { .index = 0 };

	if (!d->pod)
		return;
	if (!is_first)
		IGNORE(link_get(d->pod, coordinator_default_nic(d->call->conf), &first, NULL));
	for (int family = 4; family <= 6; family += 2) {
		AUTO_FREE struct route *routes = NULL;
		AUTO_FREE struct rule *rules = NULL;
		size_t n_routes = 0, n_rules = 0;
		struct tune_there t;

		if (!concerns(d->ips, d->n_ips, (uint8_t)family))
			continue;
		if (!is_first)
			IGNORE(route_list(d->pod, family, 0, &routes, &n_routes, NULL));
		IGNORE(rule_list(d->pod, family, &rules, &n_rules, NULL));
		t = (struct tune_there){ routes, routes ? n_routes : 0, rules,
			                 rules ? n_rules : 0 };
		nl_gather(d->pod);
		if (is_first)
			clean_reply_rule(d, &t);
		else if (d->knows_nic)
			give_back_default(d, &t, d->nic.index, first.index);
		clean_tables(d, &t);
		send_held(d);
	}
}

static int del_first(struct del *d, uint32_t usual, struct err *e)
{
	open_pod(d);
	find_ips(d, !d->recorded); /* before they go */
	if (del_pair(d, usual, e) < 0)
		return -1;
	clean_pod(d, true);
	return 0;
}

static int del_further(struct del *d, uint32_t usual, struct err *e)
{
	uint32_t table = d->recorded ? d->record.host_table : usual;
	int index;

	open_pod(d);
	find_ips(d, true);
	if (find_way(d, &index, e) < 0)
		return -1;
	if (index && del_routes(d, index, table, e) < 0)
		return -1;
	clean_pod(d, false);
	drop_rules(d, (uint32_t[]){ table, table });
	return 0;
}

int coordinator_del(struct cni_call *c, int *code, struct err *e)
{
	AUTO_DEL d = { .call = c, .pod_ns = -1 };
	uint32_t usual = coordinator_host_table(c->conf);
	const char *dir = STATE_DIR;
	struct err mine;
	bool first;

	(void)code;
	IGNORE(work_path(c->conf, "state_dir", &dir, NULL)); /* no reason to fail */
	d.recorded = datapath_record_read(dir, c->container_id, c->ifname, &d.record, NULL) == 0;
	first = d.recorded ? d.record.first && !d.record.overlay
	                   : streq(c->ifname, coordinator_default_nic(c->conf));
	if (d.recorded)
		usual = d.record.host_table;
	if (nl_open(NETLINK_ROUTE, &d.host, e) < 0 ||
	    (first ? del_first(&d, usual, e) : del_further(&d, usual, e)) < 0)
		return -1;
	if (datapath_record_remove(dir, c->container_id, c->ifname, &mine) < 0)
		log_warn_err(&mine, "the record of the interface stays");
	return 0;
}
