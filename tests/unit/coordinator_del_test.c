/* SPDX-License-Identifier: Apache-2.0 */
/* links: plugins/coordinator.c plugins/coordinator_look.c plugins/coordinator_apply.c */
/* links: plugins/coordinator_del.c plugins/steps.c datapath/ cni/record.c cni/state.c */
/* links: plugins/plugin_log.c plugins/agent_client.c net/ json/json.c base/ */
/* links: http/http1.c http/stream.c http/url.c */
/* links: cni/result.c cni/cni.c cni/env.c cni/conf.c cni/check.c */
/* libs: cjson mnl */
/*
 * coordinator_del_test.c - the coordinator's DEL on the kernel that runs it, in a network namespace
 * of this process that plays the node: what pods left there, and what is other pods'.  Root, or a
 * kernel that gives a user namespace to everybody.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "datapath/plan.h"
#include "datapath/record.h"
#include "net/addr.h"
#include "net/netns.h"
#include "net/route.h"
#include "plugins/coordinator.h"
#include "plugins/coordinator_work.h"
#include "tests/unit/sandbox.h"

static struct nl *node;
static struct err e;

static int group_setup(void **state)
{
	(void)state;
	leave_home();
	return 0;
}

static int setup(void **state)
{
	(void)state;
	move_out();
	memset(&e, 0, sizeof(e));
	OK(nl_open(NETLINK_ROUTE, &node, &e));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	nl_close(node);
	return 0;
}

static void add_rule(int family, uint32_t table)
{
	const struct rule r = { .family = family,
		                .priority = COORDINATOR_RULE_PRIORITY,
		                .table = table };

	OK(rule_add(node, &r, &e));
}

static bool has_rule(int family, uint32_t table)
{
	AUTO_FREE struct rule *all = NULL;
	bool found = false;
	size_t n;

	OK(rule_list(node, family, &all, &n, &e));
	for (size_t i = 0; i < n; i++)
		found = found ||
		        (all[i].priority == COORDINATOR_RULE_PRIORITY && all[i].table == table);
	return found;
}

/* The node's end of a pod's pair, with the pod's route; the other end stays on the node as well. */
static struct link add_pod(const char *container_id, const char *address, uint32_t table)
{
	static int count;
	AUTO_FREE char *other = xasprintf("pod%d", count++);
	char name[IFNAMSIZ];
	struct veth_spec v = { .name = other, .peer = name, .peer_ns = -1 };
	struct link l;

	coordinator_host_veth(container_id, name);
	OK(mac_random(&v.mac, &e));
	OK(mac_random(&v.peer_mac, &e));
	OK(link_add_veth(node, &v, NULL, &e));
	OK(link_get(node, name, &l, &e));
	OK(link_set_up(node, l.index, &e));
	OK(route_add(node,
	             &(struct route){ .dst = cidr(address),
	                              .oif = l.index,
	                              .scope = RT_SCOPE_LINK,
	                              .table = table },
	             ROUTE_CREATE, &e));
	return l;
}

static bool exists(struct link l)
{
	struct link found;

	if (link_get_index(node, l.index, &found, &e) == 0)
		return true;
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	return false;
}

static void add_route(int index, const char *dst, uint32_t table)
{
	OK(route_add(
		node,
		&(struct route){
			.dst = cidr(dst), .oif = index, .scope = RT_SCOPE_LINK, .table = table },
		ROUTE_CREATE, &e));
}

/* To single addresses, over that interface. */
static size_t routes_to(int index, int family)
{
	AUTO_FREE struct route *all = NULL;
	size_t n, count = 0;

	OK(route_list(node, family, 0, &all, &n, &e));
	for (size_t i = 0; i < n; i++)
		count += all[i].oif == index && all[i].dst.len == ip_bits(all[i].dst.ip) &&
		         all[i].table != RT_TABLE_MAIN;
	return count;
}

static const char *netns = ""; /* of the pod */

static void del_nic(const char *container_id, const char *ifname, const char *conf)
{
	AUTO_JSON *j = NULL;
	struct cni_call c = { .command = CNI_DEL,
		              .container_id = container_id,
		              .netns = netns,
		              .ifname = ifname,
		              .args = "",
		              .path = "" };
	int code = 0;

	OK(json_parse(conf, strlen(conf), 0, &j, &e));
	c.conf = j;
	c.prev_result = json_get(j, "prevResult");
	OK(coordinator_plugin.del(&c, &code, &e));
}

static void del_with(const char *container_id, const char *conf)
{
	del_nic(container_id, "eth0", conf);
}

static void del(const char *container_id)
{
	del_with(container_id, "{}");
}

static void the_rule_goes_with_the_last_pod(void **state)
{
	struct link a, b;

	(void)state;
	add_rule(4, 500);
	add_rule(6, 500);
	a = add_pod("aaaaaaaaaaaaaaaa", "10.0.0.1/32", 500);
	b = add_pod("bbbbbbbbbbbbbbbb", "10.0.0.2/32", 500);
	del("aaaaaaaaaaaaaaaa");
	assert_false(exists(a));
	assert_true(exists(b));
	assert_true(has_rule(4, 500));
	assert_false(has_rule(6, 500)); /* no pod has an address of this family */
	del("bbbbbbbbbbbbbbbb");
	assert_false(exists(b));
	assert_false(has_rule(4, 500));
}

/* Such as an agent that is stopped while it looks. */
static void nobody_is_waited_for(void **state)
{
	AUTO_FD int ns = -1;
	struct link pod;

	(void)state;
	add_rule(4, 500);
	pod = add_pod("aaaaaaaaaaaaaaaa", "10.0.0.1/32", 500);
	OK(netns_open_self(&ns, &e));
	OK(netns_lock(ns, false, MONO_NEVER, &e));
	alarm(10); /* to be waited for */
	del("aaaaaaaaaaaaaaaa");
	alarm(0);
	assert_false(exists(pod));
	assert_true(has_rule(4, 500));
	netns_unlock(ns);
	del("aaaaaaaaaaaaaaaa");
	assert_false(has_rule(4, 500));
}

/* The pod's namespace went before the DEL, and took the pair with it. */
static void the_rule_goes_when_the_pair_went_first(void **state)
{
	struct link a, b;

	(void)state;
	add_rule(4, 500);
	add_rule(6, 500);
	a = add_pod("aaaaaaaaaaaaaaaa", "10.0.0.1/32", 500);
	b = add_pod("bbbbbbbbbbbbbbbb", "fd00::2/128", 500);
	OK(link_del(node, a.index, &e));
	del("aaaaaaaaaaaaaaaa");
	assert_false(has_rule(4, 500));
	assert_true(has_rule(6, 500)); /* the other pod's */
	OK(link_del(node, b.index, &e));
	del("bbbbbbbbbbbbbbbb");
	assert_false(has_rule(6, 500));
}

static void the_table_is_the_configurations(void **state)
{
	struct link a;

	(void)state;
	add_rule(4, 500);
	add_rule(4, 700);
	a = add_pod("aaaaaaaaaaaaaaaa", "10.0.0.1/32", 700);
	OK(link_del(node, a.index, &e));
	del_with("aaaaaaaaaaaaaaaa", "{\"hostRuleTable\":700}");
	assert_false(has_rule(4, 700));
	assert_true(has_rule(4, 500));
	/* what nobody may use, or is no number, is not followed */
	del_with("aaaaaaaaaaaaaaaa", "{\"hostRuleTable\":254}");
	assert_false(has_rule(4, 500));
	add_rule(4, 500);
	del_with("aaaaaaaaaaaaaaaa", "{\"hostRuleTable\":\"x\",\"mode\":7}");
	assert_false(has_rule(4, 500));
}

/* Ids that begin alike make one name: the whole id is the alias. */
static void the_pair_of_another_container_stays(void **state)
{
	static const char mine[] = "0123456789abcdef", other[] = "0123456789afffff";
	struct link l;

	(void)state;
	add_rule(4, 500);
	l = add_pod(mine, "10.0.0.1/32", 500);
	OK(link_set_alias(node, l.index, mine, &e));
	del(other);
	assert_true(exists(l));
	assert_true(has_rule(4, 500));
	del(mine);
	assert_false(exists(l));
	assert_false(has_rule(4, 500));

	/* the original's pairs have none */
	l = add_pod(mine, "10.0.0.1/32", 500);
	del(other);
	assert_false(exists(l));
}

/* A further interface leaves; what leads to the others stays, and the interface too. */
static void a_further_interface_takes_what_is_its(void **state)
{
	static char id[] = "0123456789abcdef", net1[] = "net1", nowhere[] = "/nowhere";
	char boot[64];
	char dir[] = "/tmp/coordinator_del_test.XXXXXX";
	AUTO_FREE char *conf = NULL, *rm = NULL, *prev = NULL;
	struct ip mine[] = { ip("10.0.1.1"), ip("fd00::1") };
	struct link l, other;
	struct datapath_record r = { .container_id = id,
		                     .ifname = net1,
		                     .netns = nowhere,
		                     .boot_id = boot,
		                     .pod_link = "veth0",
		                     .table = 102,
		                     .host_table = 600,
		                     .pod_ips = mine,
		                     .n_pod_ips = 2 };
	const struct neigh near = { .index = 0, .ip = mine[0], .state = NUD_PERMANENT };
	struct neigh n;

	(void)state;
	assert_non_null(mkdtemp(dir));
	conf = xasprintf("{\"state_dir\":\"%s\"}", dir);
	work_boot_id(boot);
	assert_int_equal(strlen(boot), 36);
	rm = xasprintf("rm -rf %s", dir);
	add_rule(4, 600);
	l = add_pod(id, "10.0.0.1/32", 600);
	other = add_pod("bbbbbbbbbbbbbbbb", "10.0.0.2/32", 600);
	add_route(l.index, "10.0.1.1/32", 600);
	add_route(l.index, "fd00::1/128", 600);
	add_route(other.index, "10.0.1.1/32", 700);
	n = near;
	n.index = l.index;
	OK(neigh_replace(node, &n, &e));

	/* the node's end of that name is another's by now */
	memcpy(r.host_link, l.name, sizeof(r.host_link));
	r.host_mac = other.mac;
	OK(datapath_record_write(dir, &r, &e));
	del_nic(id, net1, conf);
	assert_int_equal(routes_to(l.index, 4), 2);

	r.host_mac = l.mac;
	r.host_index = other.index;
	OK(datapath_record_write(dir, &r, &e));
	del_nic(id, net1, conf);
	assert_int_equal(routes_to(l.index, 4), 2);

	r.host_index = l.index;
	boot[0] ^= 1; /* what there is of that name and index now is another's */
	OK(datapath_record_write(dir, &r, &e));
	del_nic(id, net1, conf);
	assert_int_equal(routes_to(l.index, 4), 2);

	boot[0] ^= 1;
	OK(datapath_record_write(dir, &r, &e));
	del_nic(id, net1, conf);
	assert_true(exists(l));
	assert_int_equal(routes_to(l.index, 4), 1);
	assert_int_equal(routes_to(l.index, 6), 0);
	assert_int_equal(routes_to(other.index, 4), 2);
	assert_int_equal(neigh_del(node, l.index, mine[0], &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_true(has_rule(4, 600));
	assert_int_equal(datapath_record_read(dir, id, net1, &r, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	del_nic(id, net1, conf); /* nothing is left, and nobody knows what there was */
	assert_int_equal(routes_to(l.index, 4), 1);

	/* by what the runtime remembers */
	add_route(l.index, "10.0.1.1/32", 500);
	prev = xasprintf(
		"{\"state_dir\":\"%s\",\"prevResult\":{\"cniVersion\":"
		"\"1.0.0\",\"ips\":[{\"address\":\"10.0.1.1/24\"}]}}",
		dir);
	del_nic(id, net1, prev);
	assert_int_equal(routes_to(l.index, 4), 1);
	assert_int_equal(system(rm), 0); /* NOLINT: a test's own temporary folder */
}

/* What the first interface's answers went by goes; the pod's own rules stay. */
static void the_first_interface_leaves_no_rule_of_ours(void **state)
{
	const struct rule all[] = {
		{ 4,
		  COORDINATOR_RULE_PRIORITY,
		  COORDINATOR_REPLY_TABLE,
		  1,
		  1,
		  { .len = 0 },
		  false },
		{ 6,
		  COORDINATOR_RULE_PRIORITY,
		  COORDINATOR_REPLY_TABLE,
		  1,
		  1,
		  { .len = 0 },
		  false },
		{ 4, 999, 101, 0, 1, cidr("10.0.0.1/32"), false },
		/* the pod's */
		{ 4,
		  COORDINATOR_RULE_PRIORITY,
		  COORDINATOR_REPLY_TABLE,
		  2,
		  2,
		  { .len = 0 },
		  false },
		{ 4, COORDINATOR_RULE_PRIORITY, 77, 1, 1, { .len = 0 }, false },
		{ 4, 5000, COORDINATOR_REPLY_TABLE, 1, 1, { .len = 0 }, false },
		{ 4, 999, 101, 0, 1, cidr("10.0.0.2/32"), false },
		{ 4, 5000, 101, 0, 0, cidr("10.0.0.1/32"), false },
	};
	const size_t ours = 3;
	AUTO_FREE char *path = NULL;
	AUTO_FREE struct rule *left = NULL;
	AUTO_NL *pod = NULL;
	AUTO_FD int ns = -1;
	struct link eth0;
	size_t n, n_new;
	int home;

	(void)state;
	OK(netns_open_self(&home, &e));
	move_out();
	OK(netns_open_self(&ns, &e));
	OK(nl_open(NETLINK_ROUTE, &pod, &e));
	OK(link_add_veth(pod,
	                 &(struct veth_spec){ .name = "eth0",
	                                      .peer = "peer",
	                                      .peer_ns = -1,
	                                      .mac = mac("02:00:00:00:00:01"),
	                                      .peer_mac = mac("02:00:00:00:00:02") },
	                 &eth0, &e));
	OK(addr_add(pod, eth0.index, cidr("10.0.0.1/24"), &e));
	OK(rule_list(pod, 4, &left, &n_new, &e));
	free(take_ptr(&left));
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		OK(rule_add(pod, &all[i], &e));
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	close(home);
	netns_moved();

	netns = path = xasprintf("/proc/self/fd/%d", ns);
	del("aaaaaaaaaaaaaaaa");
	netns = "";
	OK(rule_list(pod, 4, &left, &n, &e));
	assert_int_equal(n, n_new + ARRAY_LEN(all) - ours);
	for (size_t i = ours; i < ARRAY_LEN(all); i++)
		OK(rule_del(pod, &all[i], &e));
	/* without an address of IPv6 it is not looked for */
	assert_int_equal(rule_del(pod, &all[1], &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_rule_goes_with_the_last_pod, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_is_waited_for, setup, teardown),
		cmocka_unit_test_setup_teardown(the_rule_goes_when_the_pair_went_first, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(the_table_is_the_configurations, setup, teardown),
		cmocka_unit_test_setup_teardown(the_pair_of_another_container_stays, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(a_further_interface_takes_what_is_its, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(the_first_interface_leaves_no_rule_of_ours, setup,
		                                teardown),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
