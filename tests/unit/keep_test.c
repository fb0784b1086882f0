/* SPDX-License-Identifier: Apache-2.0 */
/* links: datapath/keep.c datapath/plan.c datapath/record.c datapath/rule.c cni/record.c */
/* links: cni/check.c net/ json/json.c base/ */
/* libs: cjson mnl */
/*
 * keep_test.c - a record and what two namespaces hold, as tables: which changes come out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "datapath/keep.h"
#include "tests/unit/sandbox.h"

#define POD_LINK 7
#define HOST_LINK 9
#define CARD 2

static struct err e;

/* "a b c" as addresses. */
struct list {
	struct ip v[8];
	size_t n;
};

static struct list ips(const char *text)
{
	char copy[256], *rest = copy, *one;
	struct list l = { .n = 0 };

	snprintf(copy, sizeof(copy), "%s", text);
	while ((one = strsep(&rest, " ")))
		if (*one)
			l.v[l.n++] = ip(one);
	return l;
}

static void ips_are(const struct ip *v, size_t n, const char *want)
{
	AUTO_STR text = STR_INIT;

	for (size_t i = 0; i < n; i++)
		str_addf(&text, "%s%s", i ? " " : "", ip_str(v[i]).s);
	assert_string_equal(text.data, want);
}

static void node_ips(void **state)
{
	static const struct {
		const char *recorded, *local, *found, *want;
	} rows[] = {
		{ "10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.1" },
		/* a new one, in front of or behind the gateway */
		{ "10.0.0.1", "10.0.0.1 10.0.0.2", "10.0.0.1 10.0.0.2", "10.0.0.1 10.0.0.2" },
		{ "10.0.0.2", "10.0.0.1 10.0.0.2", "10.0.0.1 10.0.0.2", "10.0.0.2 10.0.0.1" },
		/* on an interface that none is looked for on, but that the pod knows */
		{ "10.0.0.1 10.9.9.9", "10.0.0.1 10.9.9.9", "10.0.0.1", "10.0.0.1 10.9.9.9" },
		{ "10.0.0.1", "10.0.0.1 10.9.9.9", "10.0.0.1", "10.0.0.1" },
		/* one is gone, the gateway is gone */
		{ "10.0.0.1 10.0.0.2", "10.0.0.1", "10.0.0.1", "10.0.0.1" },
		{ "10.0.0.1 10.0.0.2", "10.0.0.2 10.0.0.3", "10.0.0.3 10.0.0.2",
		  "10.0.0.3 10.0.0.2" },
		/* all of a family are gone: it may come back */
		{ "10.0.0.1 fd00::1", "fd00::1", "fd00::1", "10.0.0.1 fd00::1" },
		{ "10.0.0.1 10.0.0.2", "", "", "10.0.0.1 10.0.0.2" },
		/* each family by itself */
		{ "fd00::1 10.0.0.1", "fd00::2 10.0.0.1", "10.0.0.1 fd00::2", "10.0.0.1 fd00::2" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct list recorded = ips(rows[i].recorded), local = ips(rows[i].local);
		struct list found = ips(rows[i].found);
		const struct datapath_record r = { .node_ips = recorded.v,
			                           .n_node_ips = recorded.n };
		AUTO_FREE struct ip *out = NULL;
		size_t n;

		keep_node_ips(&r, local.v, local.n, found.v, found.n, &out, &n);
		ips_are(out, n, rows[i].want);
	}
}

static void is_current(void **state)
{
	static const struct {
		const char *recorded, *now;
		bool same;
	} rows[] = {
		{ "10.0.0.1 fd00::1", "10.0.0.1 fd00::1", true },
		{ "fd00::1 10.0.0.1", "10.0.0.1 fd00::1", true },
		{ "10.0.0.1 10.0.0.2 10.0.0.3", "10.0.0.1 10.0.0.3 10.0.0.2", true },
		{ "10.0.0.1 10.0.0.2", "10.0.0.2 10.0.0.1", false },
		{ "10.0.0.1", "10.0.0.1 10.0.0.2", false },
		{ "10.0.0.1 10.0.0.2", "10.0.0.1", false },
		{ "10.0.0.1 10.0.0.2", "10.0.0.1 10.0.0.3", false },
		{ "", "", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct list recorded = ips(rows[i].recorded), now = ips(rows[i].now);
		const struct datapath_record r = { .node_ips = recorded.v,
			                           .n_node_ips = recorded.n };

		assert_int_equal(keep_is_current(&r, now.v, now.n), rows[i].same);
	}
}

/* A pod with two addresses on a node with two; what is there is what was planned. */
static struct list pod_list, recorded, node_list, local_list;
static struct cidr hijack[2];
static struct datapath_record record;
static struct keep_facts facts;
static struct coordinator_plan old, plan;
static struct route routes[64];
static struct neigh neighs[64];
static struct rule rules[8];
static struct addr addrs[16];
static struct keep_there there;
static struct keep_changes changes;

static void use(const char *was, const char *now, const char *local)
{
	recorded = ips(was);
	node_list = ips(now);
	local_list = ips(local);
	record.node_ips = recorded.v;
	record.n_node_ips = recorded.n;
	facts.node_ips = recorded.v;
	facts.n_node_ips = recorded.n;
	facts.local = local_list.v;
	facts.n_local = local_list.n;
	coordinator_plan_release(&old);
	coordinator_plan_release(&plan);
	OK(keep_plan(&record, &facts, &old, &e));
	facts.node_ips = node_list.v;
	facts.n_node_ips = node_list.n;
	OK(keep_plan(&record, &facts, &plan, &e));
}

/* What the old plan made, with what the kernel adds. */
static void fill(const struct route *r, size_t n_r, const struct neigh *n, size_t n_n)
{
	there = (struct keep_there){ routes, neighs, rules, addrs, 0, 0, 0, 0 };
	for (size_t i = 0; i < n_r; i++) {
		routes[i] = r[i];
		routes[i].protocol = RTPROT_BOOT;
		routes[i].type = RTN_UNICAST;
		if (r[i].dst.ip.family == 6)
			routes[i].priority = 1024;
	}
	there.n_routes = n_r;
	memcpy(neighs, n, n_n * sizeof(*n));
	there.n_neighs = n_n;
}

static void node_as_planned(void)
{
	fill(old.host_routes, old.n_host_routes, old.host_neighs, old.n_host_neighs);
	memcpy(rules, old.host_rules, old.n_host_rules * sizeof(*rules));
	there.n_rules = old.n_host_rules;
	addrs[there.n_addrs++] = (struct addr){ .index = CARD, .local = cidr("10.0.0.1/24") };
	for (size_t i = 0; i < old.n_host_addrs; i++)
		addrs[there.n_addrs++] = (struct addr){ .index = old.host_addrs[i].index,
			                                .local = cidr_host(old.host_addrs[i].ip) };
}

static void pod_as_planned(void)
{
	fill(old.pod_routes, old.n_pod_routes, old.pod_neighs, old.n_pod_neighs);
	/* the main plugin's */
	routes[there.n_routes++] = (struct route){ .dst = cidr("0.0.0.0/0"),
		                                   .gw = ip("10.0.0.254"),
		                                   .oif = 3,
		                                   .table = RT_TABLE_MAIN,
		                                   .type = RTN_UNICAST };
}

static int setup(void **state)
{
	(void)state;
	pod_list = ips("10.0.0.77 fd00::77");
	hijack[0] = cidr("10.233.0.0/18");
	hijack[1] = cidr("fd01::/108");
	record = (struct datapath_record){ .container_id = "0123456789abcdef",
		                           .ifname = "eth0",
		                           .first = true,
		                           .lead4 = true,
		                           .lead6 = true,
		                           .pod_mac = mac("02:00:00:00:00:01"),
		                           .host_mac = mac("02:00:00:00:00:02"),
		                           .table = 101,
		                           .host_table = 500,
		                           .pod_ips = pod_list.v,
		                           .n_pod_ips = pod_list.n,
		                           .hijack = hijack,
		                           .n_hijack = 2 };
	facts = (struct keep_facts){ .pod_link = POD_LINK,
		                     .host_link = HOST_LINK,
		                     .host_mac = record.host_mac };
	use("10.0.0.1 fd00::1", "10.0.0.1 fd00::1", "10.0.0.1 fd00::1");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	coordinator_plan_release(&old);
	coordinator_plan_release(&plan);
	keep_changes_release(&changes);
	return 0;
}

/* The changes as lines, and the list is empty again. */
static void changes_are(const char *want)
{
	static const char *const words[] = {
		[KEEP_ROUTE_ADD] = "add",       [KEEP_ROUTE_REPLACE] = "replace",
		[KEEP_ROUTE_DEL] = "del",       [KEEP_NEIGH_SET] = "set",
		[KEEP_NEIGH_DEL] = "del",       [KEEP_RULE_ADD] = "add",
		[KEEP_ADDR_ADD] = "add",        [KEEP_ADDR_DEL] = "del",
		[KEEP_ROUTE_FOREIGN] = "leave", [KEEP_NEIGH_FOREIGN] = "leave",
	};
	AUTO_STR text = STR_INIT;

	for (size_t i = 0; i < changes.n; i++) {
		str_addf(&text, "%s ", words[changes.v[i].what]);
		keep_change_text(&changes.v[i], &text);
		str_addc(&text, '\n');
	}
	keep_changes_release(&changes);
	assert_string_equal(text.data, want);
}

static void node_becomes(const char *want)
{
	keep_on_node(&record, &facts, &plan, &there, &changes);
	changes_are(want);
}

static void pod_becomes(const char *want)
{
	keep_in_pod(&record, &facts, &plan, &there, &changes);
	changes_are(want);
}

static void what_is_right_stays(void **state)
{
	(void)state;
	node_as_planned();
	node_becomes("");
	pod_as_planned();
	pod_becomes("");
	/* a pod may have another source for it */
	routes[0].prefsrc = ip("10.0.0.78");
	pod_becomes("");
}

static void a_node_without_anything(void **state)
{
	(void)state;
	there = (struct keep_there){ .n_routes = 0 };
	node_becomes(
		"add address 10.0.0.1 of the pod's interface\n"
		"add address fd00::1 of the pod's interface\n"
		"set neighbour 10.0.0.77\n"
		"set neighbour fd00::77\n"
		"add route to 10.0.0.77/32 in table 500\n"
		"add route to fd00::77/128 in table 500\n"
		"add IPv4 rule 1000 to table 500\n"
		"add IPv6 rule 1000 to table 500\n");
}

static void rules_that_differ_are_others(void **state)
{
	(void)state;
	node_as_planned();
	rules[0].table = 501;
	rules[1].src = cidr("fd00::/64");
	node_becomes("add IPv4 rule 1000 to table 500\nadd IPv6 rule 1000 to table 500\n");
	node_as_planned();
	rules[0].fwmark = 1;
	rules[1].other = true;
	node_becomes("add IPv4 rule 1000 to table 500\nadd IPv6 rule 1000 to table 500\n");
	/* whatever has not that mark */
	node_as_planned();
	rules[0].fwmask = 1;
	node_becomes("add IPv4 rule 1000 to table 500\n");
	node_as_planned();
	rules[0].priority = 999;
	node_becomes("add IPv4 rule 1000 to table 500\n");
}

static void routes_on_the_node(void **state)
{
	(void)state;
	node_as_planned();
	routes[0].oif = CARD;
	routes[1].gw = ip("fd00::99");
	node_becomes(
		"leave route to 10.0.0.77/32 in table 500\n"
		"leave route to fd00::77/128 via fd00::99 in table 500\n");
	node_as_planned();
	routes[0].prefsrc = ip("10.0.0.2");
	routes[1].other = true;
	node_becomes(
		"replace route to 10.0.0.77/32 in table 500\n"
		"leave route to fd00::77/128 in table 500\n");
	/* of another table, of another metric */
	node_as_planned();
	routes[0].table = 501;
	routes[1].priority = 1;
	node_becomes(
		"add route to 10.0.0.77/32 in table 500\n"
		"add route to fd00::77/128 in table 500\n");
	node_as_planned();
	routes[0].type = RTN_BLACKHOLE;
	node_becomes("leave route to 10.0.0.77/32 in table 500\n");
}

static void neighbours_on_the_node(void **state)
{
	(void)state;
	node_as_planned();
	neighs[0].state = NUD_STALE;
	neighs[1].index = CARD;
	node_becomes("set neighbour 10.0.0.77\nset neighbour fd00::77\n");
	node_as_planned();
	neighs[0].mac = mac("02:00:00:00:00:99");
	node_becomes("leave neighbour 10.0.0.77\n");
	neighs[0].state = NUD_REACHABLE;
	node_becomes("set neighbour 10.0.0.77\n");
}

static void addresses_of_the_host_end(void **state)
{
	(void)state;
	use("10.0.0.1 10.0.0.2 fd00::1", "10.0.0.2 fd00::1", "10.0.0.2 fd00::1");
	node_as_planned();
	node_becomes(
		"add address 10.0.0.2 of the pod's interface\n"
		"replace route to 10.0.0.77/32 in table 500\n"
		"del address 10.0.0.1 of the pod's interface\n");
	/* somebody else's there, and ours on the card */
	addrs[1].local = cidr("10.7.7.7/32");
	node_becomes(
		"add address 10.0.0.2 of the pod's interface\n"
		"replace route to 10.0.0.77/32 in table 500\n");
	/* no address of the family is left: nothing to replace it by */
	use("10.0.0.1 fd00::1", "10.0.0.1 fd00::1", "fd00::1");
	node_as_planned();
	node_becomes("");
	addrs[1].local = cidr("10.7.7.7/32");
	routes[0].prefsrc = (struct ip){ .family = 0 };
	node_becomes("");
	there.n_routes = 0;
	keep_on_node(&record, &facts, &plan, &there, &changes);
	assert_int_equal(changes.v[0].route.prefsrc.family, 0);
	assert_int_equal(changes.v[1].route.prefsrc.family, 6);
	changes_are(
		"add route to 10.0.0.77/32 in table 500\n"
		"add route to fd00::77/128 in table 500\n");
}

static void a_new_address_in_the_pod(void **state)
{
	(void)state;
	use("10.0.0.1 fd00::1", "10.0.0.1 fd00::1 10.0.0.2", "10.0.0.1 fd00::1 10.0.0.2");
	pod_as_planned();
	pod_becomes(
		"set neighbour 10.0.0.2\n"
		"add route to 10.0.0.2/32 in table 101\n"
		"add route to 10.0.0.2/32 in table 254\n");
}

static void a_lost_address_in_the_pod(void **state)
{
	(void)state;
	use("10.0.0.1 10.0.0.2 fd00::1", "10.0.0.1 fd00::1", "10.0.0.1 fd00::1");
	pod_as_planned();
	pod_becomes(
		"del route to 10.0.0.2/32 in table 101\n"
		"del route to 10.0.0.2/32 in table 254\n"
		"del neighbour 10.0.0.2\n");
	/* not over the pair; another neighbour than ours */
	for (size_t i = 0; i < there.n_routes; i++)
		routes[i].oif = ip_equal(routes[i].dst.ip, ip("10.0.0.2")) ? 3 : routes[i].oif;
	for (size_t i = 0; i < there.n_neighs; i++)
		if (ip_equal(neighs[i].ip, ip("10.0.0.2")))
			neighs[i].mac = mac("02:00:00:00:00:99");
	pod_becomes("");
}

static void a_lost_gateway_in_the_pod(void **state)
{
	(void)state;
	use("10.0.0.1 fd00::1", "10.0.0.2 fd00::1", "10.0.0.2 fd00::1");
	pod_as_planned();
	pod_becomes(
		"set neighbour 10.0.0.2\n"
		"add route to 10.0.0.2/32 in table 101\n"
		"add route to 10.0.0.2/32 in table 254\n"
		"replace route to 10.233.0.0/18 via 10.0.0.2 in table 254\n"
		"replace route to 0.0.0.0/0 via 10.0.0.2 in table 100\n"
		"del route to 10.0.0.1/32 in table 101\n"
		"del route to 10.0.0.1/32 in table 254\n"
		"del neighbour 10.0.0.1\n");
	/* by a gateway of the pod's own */
	for (size_t i = 0; i < there.n_routes; i++)
		if (routes[i].table == 100 && routes[i].dst.ip.family == 4)
			routes[i].gw = ip("10.0.0.99");
	keep_in_pod(&record, &facts, &plan, &there, &changes);
	assert_int_equal(changes.v[4].what, KEEP_ROUTE_FOREIGN);
	keep_changes_release(&changes);
}

static void the_host_end_has_another_mac(void **state)
{
	(void)state;
	facts.host_mac = mac("02:00:00:00:00:03");
	use("10.0.0.1 fd00::1", "10.0.0.1 fd00::1", "10.0.0.1 fd00::1");
	pod_as_planned();
	for (size_t i = 0; i < there.n_neighs; i++)
		neighs[i].mac = record.host_mac;
	pod_becomes("set neighbour 10.0.0.1\nset neighbour fd00::1\n");
	neighs[0].mac = mac("02:00:00:00:00:99");
	pod_becomes("leave neighbour 10.0.0.1\nset neighbour fd00::1\n");
}

static void a_further_interface(void **state)
{
	(void)state;
	record.first = record.lead4 = record.lead6 = false;
	record.table = 102;
	use("10.0.0.1 fd00::1", "10.0.0.2 fd00::1", "10.0.0.2 fd00::1");
	node_as_planned();
	/* of the first interface, whose turn it is */
	addrs[there.n_addrs++] = (struct addr){ .index = HOST_LINK, .local = cidr("10.0.0.1/32") };
	node_becomes("replace route to 10.0.0.77/32 in table 500\n");
	pod_as_planned();
	pod_becomes(
		"set neighbour 10.0.0.2\n"
		"add route to 10.0.0.2/32 in table 102\n"
		"replace route to 10.233.0.0/18 via 10.0.0.2 in table 102\n"
		"del route to 10.0.0.1/32 in table 102\n"
		"del neighbour 10.0.0.1\n");
}

static void an_overlay_pod(void **state)
{
	(void)state;
	record.overlay = true;
	use("10.0.0.1 fd00::1", "10.0.0.2 fd00::1", "10.0.0.2 fd00::1");
	node_as_planned();
	/* that interface is another program's, and so are its addresses */
	addrs[there.n_addrs++] = (struct addr){ .index = HOST_LINK, .local = cidr("10.0.0.1/32") };
	node_becomes("replace route to 10.0.0.77/32 in table 500\n");
	pod_as_planned();
	pod_becomes(
		"set neighbour 10.0.0.2\n"
		"add route to 10.0.0.2/32 in table 101\n"
		"add route to 10.0.0.2/32 in table 254\n"
		"replace route to 10.233.0.0/18 via 10.0.0.2 in table 254\n"
		"replace route to 10.233.0.0/18 via 10.0.0.2 in table 101\n"
		"del route to 10.0.0.1/32 in table 101\n"
		"del route to 10.0.0.1/32 in table 254\n"
		"del neighbour 10.0.0.1\n");
}

static void copies_in_other_tables(void **state)
{
	static const char *const ways[] = { "10.0.0.1/32", "fd00::1/128", "10.233.0.0/18" };

	(void)state;
	use("10.0.0.1 fd00::1", "10.0.0.2 10.0.0.3 fd00::1", "10.0.0.2 10.0.0.3 fd00::1");
	pod_as_planned();
	for (size_t i = 0; i < ARRAY_LEN(ways); i++)
		routes[there.n_routes++] = (struct route){ .dst = cidr(ways[i]),
			                                   .oif = POD_LINK,
			                                   .prefsrc = ip("10.0.0.77"),
			                                   .table = 103,
			                                   .type = RTN_UNICAST };
	routes[there.n_routes - 1].gw = ip("10.0.0.1");
	/* by another way */
	routes[there.n_routes] = routes[there.n_routes - 1];
	routes[there.n_routes].table = 104;
	routes[there.n_routes++].oif = 3;
	pod_becomes(
		"set neighbour 10.0.0.2\n"
		"set neighbour 10.0.0.3\n"
		"add route to 10.0.0.2/32 in table 101\n"
		"add route to 10.0.0.2/32 in table 254\n"
		"add route to 10.0.0.3/32 in table 101\n"
		"add route to 10.0.0.3/32 in table 254\n"
		"replace route to 10.233.0.0/18 via 10.0.0.2 in table 254\n"
		"replace route to 0.0.0.0/0 via 10.0.0.2 in table 100\n"
		"add route to 10.0.0.2/32 in table 103\n"
		"add route to 10.0.0.3/32 in table 103\n"
		"replace route to 10.233.0.0/18 via 10.0.0.2 in table 103\n"
		"del route to 10.0.0.1/32 in table 101\n"
		"del route to 10.0.0.1/32 in table 254\n"
		"del route to 10.0.0.1/32 in table 103\n"
		"del neighbour 10.0.0.1\n");
	/* they are not wanted where there are none, and each is made once */
	use("10.0.0.1 10.0.0.2 fd00::1", "10.0.0.1 10.0.0.2 10.0.0.3 fd00::1",
	    "10.0.0.1 10.0.0.2 10.0.0.3 fd00::1");
	pod_as_planned();
	routes[there.n_routes] = routes[0];
	routes[there.n_routes++].table = 103;
	routes[there.n_routes] = routes[there.n_routes - 1];
	routes[there.n_routes++].dst = cidr("10.0.0.2/32");
	pod_becomes(
		"set neighbour 10.0.0.3\n"
		"add route to 10.0.0.3/32 in table 101\n"
		"add route to 10.0.0.3/32 in table 254\n"
		"add route to 10.0.0.3/32 in table 103\n");
}

static void a_destination_that_was_the_nodes(void **state)
{
	(void)state;
	/* the node had it as an address, and has it no more: it goes by the gateway now */
	hijack[0] = cidr("10.0.0.2/32");
	use("10.0.0.1 10.0.0.2 fd00::1", "10.0.0.1 fd00::1", "10.0.0.1 fd00::1");
	pod_as_planned();
	pod_becomes(
		"replace route to 10.0.0.2/32 via 10.0.0.1 in table 254\n"
		"del route to 10.0.0.2/32 in table 101\n"
		"del neighbour 10.0.0.2\n");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(node_ips),         cmocka_unit_test(is_current),
		TEST(what_is_right_stays),          TEST(a_node_without_anything),
		TEST(rules_that_differ_are_others), TEST(routes_on_the_node),
		TEST(neighbours_on_the_node),       TEST(addresses_of_the_host_end),
		TEST(a_new_address_in_the_pod),     TEST(a_lost_address_in_the_pod),
		TEST(a_lost_gateway_in_the_pod),    TEST(the_host_end_has_another_mac),
		TEST(a_further_interface),          TEST(an_overlay_pod),
		TEST(copies_in_other_tables),       TEST(a_destination_that_was_the_nodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
