/* SPDX-License-Identifier: Apache-2.0 */
/* links: plugins/steps.c datapath/rule.c net/ base/ */
/* libs: mnl */
/*
 * steps_test.c - changes and taking them back, in a network namespace of this process.
 */
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net/netns.h"
#include "plugins/steps.h"
#include "tests/unit/sandbox.h"

static struct nl *nl;
static struct link a0;
static struct steps steps;
static struct err e;

static int group_setup(void **state)
{
	(void)state;
	leave_home();
	return 0;
}

/* A pair in a namespace of its own, one end up. */
static int setup(void **state)
{
	const struct veth_spec v = { .name = "a0",
		                     .peer = "b0",
		                     .mac = mac("0a:00:00:00:00:01"),
		                     .peer_mac = mac("0a:00:00:00:00:02"),
		                     .peer_ns = -1 };
	struct link b0;

	(void)state;
	move_out();
	OK(nl_open(NETLINK_ROUTE, &nl, &e));
	OK(link_add_veth(nl, &v, NULL, &e));
	OK(link_get(nl, "b0", &b0, &e));
	OK(link_set_up(nl, b0.index, &e));
	OK(link_get(nl, "a0", &a0, &e));
	OK(link_set_up(nl, a0.index, &e));
	OK(addr_add(nl, a0.index, cidr("10.0.0.1/24"), &e));
	steps = (struct steps){ .v = NULL };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	steps_release(&steps);
	nl_close(nl);
	return 0;
}

static int step_sysctl(int ns, const char *key, const char *value)
{
	struct sysctl one = { .key = key, .value = value, .was = STR_INIT };

	return step_sysctls(&steps, ns, &one, 1, &e);
}

static void interfaces_and_sysctls(void **state)
{
	struct sysctl one = { .key = "ipv4/conf/a0/rp_filter", .value = "1", .blind = true };
	AUTO_STR old = STR_INIT;
	AUTO_STR now = STR_INIT;
	struct link l;

	(void)state;
	OK(sysctl_read(-1, "ipv4/conf/a0/rp_filter", &old, &e));
	assert_string_not_equal(old.data, "1");
	OK(step_sysctl(-1, "ipv4/conf/a0/rp_filter", "1"));
	OK(step_sysctl(-1, "ipv4/conf/a0/rp_filter", "1"));
	OK(step_mac(&steps, nl, &a0, mac("0a:00:00:00:00:07"), &e));
	OK(step_txqlen(&steps, nl, &a0, 77, &e));
	OK(link_get(nl, "a0", &l, &e));
	OK(step_mac(&steps, nl, &l, mac("0a:00:00:00:00:07"), &e));
	OK(step_txqlen(&steps, nl, &l, 77, &e));
	OK(step_up(&steps, nl, &l, &e));
	assert_int_equal(steps.n, 3);
	assert_string_equal(mac_str(l.mac).s, "0a:00:00:00:00:07");
	steps_undo(&steps);
	OK(link_get(nl, "a0", &l, &e));
	assert_string_equal(mac_str(l.mac).s, "0a:00:00:00:00:01");
	assert_int_equal(l.txqlen, a0.txqlen);
	OK(sysctl_read(-1, "ipv4/conf/a0/rp_filter", &now, &e));
	assert_string_equal(now.data, old.data);

	OK(link_set_down(nl, a0.index, &e));
	l.flags = 0;
	OK(step_up(&steps, nl, &l, &e));
	steps_undo(&steps);
	OK(link_get(nl, "a0", &l, &e));
	assert_false(l.flags & IFF_UP);

	/* what it had is known already */
	one.was = (struct str)STR_INIT;
	str_add(&one.was, old.data);
	OK(step_sysctls(&steps, -1, &one, 1, &e));
	str_reset(&now, 0);
	OK(sysctl_read(-1, "ipv4/conf/a0/rp_filter", &now, &e));
	assert_string_equal(now.data, "1");
	steps_undo(&steps);
	str_reset(&now, 0);
	OK(sysctl_read(-1, "ipv4/conf/a0/rp_filter", &now, &e));
	assert_string_equal(now.data, old.data);

	step_made_link(&steps, nl, "a0");
	steps_undo(&steps);
	assert_int_equal(link_get(nl, "a0", &l, &e), -1);
}

/* Each is the namespace's that was named, whichever one the caller is in. */
static void sysctls_of_two_namespaces(void **state)
{
	static const char key[] = "ipv4/conf/a0/rp_filter", both[] = "ipv4/conf/all/rp_filter";
	AUTO_FD int there = -1;
	AUTO_FD int here = -1;
	AUTO_STR text = STR_INIT;

	(void)state;
	OK(netns_open_self(&there, &e));
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	OK(netns_open_self(&here, &e));
	OK(sysctl_write(there, both, "0", &e));
	OK(sysctl_write(here, both, "0", &e));
	OK(step_sysctl(there, both, "2"));
	OK(step_sysctl(there, key, "1"));
	OK(step_sysctl(there, "ipv6/conf/a0/accept_ra", "0"));
	OK(step_sysctl(there, "ipv4/tcp_fwmark_accept", "1"));
	OK(step_sysctl(here, both, "1"));
	assert_int_equal(step_sysctl(here, key, "1"), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(step_sysctl(there, "ipv4/conf/none/rp_filter", "1"), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_non_null(strstr(e.msg, "open /proc/sys/net/ipv4/conf/none/rp_filter: "));
	assert_int_equal(steps.n, 5);
	OK(sysctl_read(there, both, &text, &e));
	OK(sysctl_read(there, key, &text, &e));
	OK(sysctl_read(here, both, &text, &e));
	assert_string_equal(text.data, "211");
	steps_undo(&steps);
	OK(sysctl_read(there, both, &text, &e));
	OK(sysctl_read(here, both, &text, &e));
	assert_string_equal(text.data, "21100");
}

static void addresses_and_neighbours(void **state)
{
	struct neigh n = { .index = a0.index,
		           .ip = ip("10.0.0.9"),
		           .mac = mac("0a:00:00:00:00:09"),
		           .state = NUD_PERMANENT };
	AUTO_FREE struct neigh *there = NULL, *after = NULL;
	AUTO_FREE struct addr *addrs = NULL;
	size_t n_there, n_addrs;

	(void)state;
	OK(neigh_replace(nl, &n, &e));
	OK(neigh_list(nl, 4, a0.index, &there, &n_there, &e));
	OK(step_neigh(&steps, nl, &n, there, n_there, &e)); /* the same */
	assert_int_equal(steps.n, 0);
	n.mac = mac("0a:00:00:00:00:08");
	OK(step_neigh(&steps, nl, &n, there, n_there, &e));
	n.ip = ip("10.0.0.8");
	OK(step_neigh(&steps, nl, &n, there, n_there, &e));
	OK(step_addr(&steps, nl, a0.index, cidr("10.0.0.1/24"), &e)); /* there already */
	OK(step_addr(&steps, nl, a0.index, cidr("10.0.0.2/32"), &e));
	assert_int_equal(steps.n, 3);
	steps_undo(&steps);
	OK(neigh_list(nl, 4, a0.index, &after, &n_there, &e));
	assert_int_equal(n_there, 1);
	assert_memory_equal(after, there, sizeof(*there));
	OK(addr_list(nl, 4, a0.index, &addrs, &n_addrs, &e));
	assert_int_equal(n_addrs, 1);
}

static void rules(void **state)
{
	const struct rule all = { .family = 4, .priority = 1000, .table = 500 };
	struct rule some = all, *left = NULL;
	size_t n, before;

	(void)state;
	OK(rule_list(nl, 4, &left, &before, &e));
	free(left);
	OK(step_rule(&steps, nl, &all, &e));
	OK(step_rule(&steps, nl, &all, &e));
	assert_int_equal(steps.n, 1);
	steps_undo(&steps);
	/* the kernel would say that this one is it */
	some.src = cidr("10.7.0.0/16");
	OK(rule_add(nl, &some, &e));
	assert_int_equal(step_rule(&steps, nl, &all, &e), -1);
	assert_int_equal(e.kind, ERR_EXISTS);
	OK(rule_list(nl, 4, &left, &n, &e));
	free(left);
	assert_int_equal(n, before + 1);
}

static char *routes_text(int family)
{
	AUTO_FREE struct route *all = NULL;
	AUTO_STR out = STR_INIT;
	size_t n;

	OK(route_list(nl, family, 0, &all, &n, &e));
	for (size_t i = 0; i < n; i++)
		if (!ip_is_link_local(all[i].dst.ip) && !ip_is_multicast(all[i].dst.ip))
			str_addf(&out, "%u %s %s %u %d %u\n", all[i].table, cidr_str(all[i].dst).s,
			         ip_str(all[i].gw).s, all[i].priority, all[i].metrics_len,
			         all[i].scope);
	return str_take(&out);
}

static void routes(void **state)
{
	const int mine[] = { a0.index, 0 }, nobody[] = { 1, 0 };
	struct route def = { .dst = cidr("0.0.0.0/0"), .gw = ip("10.0.0.254"), .oif = a0.index };
	struct route second = def, net = { .dst = cidr("10.0.0.0/24"), .oif = a0.index }, own = def;
	struct route six = { .dst = cidr("fd01::/64"), .oif = a0.index };
	AUTO_FREE char *before = NULL, *after = NULL, *before6 = NULL, *after6 = NULL;

	(void)state;
	def.metrics_len = 8;
	memcpy(def.metrics, "\x08\0\x02\0\xdc\x05\0", 8); /* RTAX_MTU */
	second.gw = ip("10.0.0.253");
	own.table = 101;
	OK(route_add(nl, &def, ROUTE_CREATE, &e));
	OK(route_add(nl, &second, ROUTE_APPEND, &e));
	OK(route_add(nl, &own, ROUTE_CREATE, &e));
	OK(addr_add(nl, a0.index, cidr("fd00::1/64"), &e));
	OK(route_add(nl, &six, ROUTE_CREATE, &e));
	before = routes_text(4);
	before6 = routes_text(6);

	/* the same is no change, what is another is replaced or refused */
	OK(step_route(&steps, nl, &def, mine, &e));
	OK(step_route(&steps, nl, &own, mine, &e));
	OK(step_route(&steps, nl, &six, mine, &e));
	assert_int_equal(steps.n, 0);
	own.gw = ip("10.0.0.77");
	assert_int_equal(step_route(&steps, nl, &own, nobody, &e), -1);
	assert_int_equal(e.kind, ERR_EXISTS);
	assert_int_equal(step_route(&steps, nl, &net, mine, &e), -1);
	assert_int_equal(e.kind, ERR_CONFIG);
	OK(step_route(&steps, nl, &own, mine, &e));
	def.gw = ip("10.0.0.78");
	OK(step_route(&steps, nl, &def, NULL, &e));
	def.gw = ip("10.0.0.79");
	OK(step_route_prepend(&steps, nl, &def, &e));
	OK(step_route_prepend(&steps, nl, &def, &e));
	OK(step_route_del(&steps, nl, &second, true, &e));
	assert_int_equal(step_route_del(&steps, nl, &second, true, &e), -1);
	six.gw = ip("fd00::9");
	OK(step_route(&steps, nl, &six, mine, &e));
	assert_int_equal(steps.n, 5);
	steps_undo(&steps);
	after = routes_text(4);
	after6 = routes_text(6);
	assert_string_equal(after, before);
	assert_string_equal(after6, before6);
}

/* All that a step can find is found when they are gathered, too. */
static void gathered(void **state)
{
	const int mine[] = { a0.index, 0 }, nobody[] = { 1, 0 };
	struct route def = { .dst = cidr("0.0.0.0/0"), .gw = ip("10.0.0.254"), .oif = a0.index };
	struct route own = def, bad = def, second = def;
	const struct rule rule = { .family = 4, .priority = 1000, .table = 500 };
	struct neigh n = { .index = a0.index,
		           .ip = ip("10.0.0.9"),
		           .mac = mac("0a:00:00:00:00:09"),
		           .state = NUD_PERMANENT };
	AUTO_FREE char *before = NULL, *after = NULL;
	AUTO_FREE struct rule *rules_before = NULL, *rules_after = NULL;
	AUTO_FREE struct neigh *there = NULL, *left = NULL;
	size_t n_rules, n_rules_after, n_there, n_left;
	unsigned int requests;
	struct link l;

	(void)state;
	own.table = 101;
	second.gw = ip("10.0.0.253");
	bad.dst = cidr("10.9.0.0/16");
	bad.gw = ip("10.99.0.1");
	OK(route_add(nl, &def, ROUTE_CREATE, &e));
	OK(route_add(nl, &own, ROUTE_CREATE, &e));
	OK(neigh_replace(nl, &n, &e));
	OK(neigh_list(nl, 4, a0.index, &there, &n_there, &e));
	OK(rule_list(nl, 4, &rules_before, &n_rules, &e));
	before = routes_text(4);

	/* one request for what is not there, whatever it is */
	requests = nl_requests(nl);
	steps_begin(&steps, nl);
	OK(step_alias(&steps, nl, a0.index, "gathered", &e));
	OK(step_addr(&steps, nl, a0.index, cidr("10.0.0.2/32"), &e));
	n.mac = mac("0a:00:00:00:00:08");
	OK(step_neigh(&steps, nl, &n, there, n_there, &e));
	n.ip = ip("10.0.0.8");
	OK(step_neigh(&steps, nl, &n, there, n_there, &e));
	OK(step_rule(&steps, nl, &rule, &e));
	OK(step_route_prepend(&steps, nl, &second, &e));
	OK(step_route_del(&steps, nl, &def, true, &e));
	own.dst = cidr("10.8.0.0/16");
	OK(step_route(&steps, nl, &own, mine, &e));
	OK(steps_commit(&steps, &e));
	assert_int_equal(nl_requests(nl), requests + 1);
	assert_int_equal(steps.n, 8);
	OK(link_get(nl, "a0", &l, &e));
	assert_string_equal(l.alias, "gathered");

	/* what is there, and the same, is no change; what is there and other is replaced */
	steps_begin(&steps, nl);
	OK(step_addr(&steps, nl, a0.index, cidr("10.0.0.2/32"), &e));
	OK(step_rule(&steps, nl, &rule, &e));
	OK(step_route_prepend(&steps, nl, &second, &e));
	OK(step_route(&steps, nl, &own, mine, &e));
	own.gw = ip("10.0.0.77");
	OK(step_route(&steps, nl, &own, mine, &e));
	OK(steps_commit(&steps, &e));
	assert_int_equal(steps.n, 9);

	/* or refused, in the words of the step, and what came behind it is taken back as well */
	steps_begin(&steps, nl);
	own.gw = ip("10.0.0.78");
	OK(step_route(&steps, nl, &own, nobody, &e));
	own.dst = cidr("10.7.0.0/16");
	OK(step_route(&steps, nl, &own, mine, &e));
	assert_int_equal(steps_commit(&steps, &e), -1);
	assert_int_equal(e.kind, ERR_EXISTS);
	assert_int_equal(steps.n, 10);
	steps_begin(&steps, nl);
	own.dst = cidr("10.6.0.0/16");
	OK(step_route(&steps, nl, &own, mine, &e));
	OK(step_route(&steps, nl, &bad, mine, &e));
	own.dst = cidr("10.5.0.0/16");
	OK(step_route(&steps, nl, &own, mine, &e));
	assert_int_equal(steps_commit(&steps, &e), -1);
	assert_non_null(strstr(e.msg, "add route to 10.9.0.0/16 via 10.99.0.1 in table 254: "));
	assert_int_equal(steps.n, 12);

	/* what was not committed is not made */
	steps_begin(&steps, nl);
	own.dst = cidr("10.4.0.0/16");
	OK(step_route(&steps, nl, &own, mine, &e));
	steps_undo(&steps);
	after = routes_text(4);
	assert_string_equal(after, before);
	OK(rule_list(nl, 4, &rules_after, &n_rules_after, &e));
	assert_int_equal(n_rules_after, n_rules);
	OK(neigh_list(nl, 4, a0.index, &left, &n_left, &e));
	assert_int_equal(n_left, n_there);
	assert_memory_equal(left, there, sizeof(*there));
}

static void more_than_fit(void **state)
{
	const int mine[] = { a0.index, 0 };
	struct route r = { .dst = cidr("10.9.0.0/32"), .oif = a0.index, .table = 101 };
	AUTO_FREE char *before = routes_text(4), *after = NULL;
	AUTO_FREE struct route *all = NULL;
	unsigned int requests = nl_requests(nl);
	size_t n;

	(void)state;
	for (int turn = 0; turn < 2; turn++) {
		steps_begin(&steps, nl);
		for (uint8_t i = 0; i < 3 * NL_GATHER_MAX; i++) {
			r.dst.ip.bytes[3] = i;
			OK(step_route(&steps, nl, &r, mine, &e));
		}
		OK(steps_commit(&steps, &e));
		assert_int_equal(steps.n, 3 * NL_GATHER_MAX);
		if (!turn)
			assert_int_equal(nl_requests(nl), requests + 3);
	}
	OK(route_list(nl, 4, 101, &all, &n, &e));
	assert_int_equal(n, 3 * NL_GATHER_MAX);
	steps_undo(&steps);
	after = routes_text(4);
	assert_string_equal(after, before);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(interfaces_and_sysctls),
		T(sysctls_of_two_namespaces),
		T(addresses_and_neighbours),
		T(rules),
		T(routes),
		T(gathered),
		T(more_than_fit),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
