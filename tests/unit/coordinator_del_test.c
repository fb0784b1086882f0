/* SPDX-License-Identifier: Apache-2.0 */
/* links: plugins/coordinator.c datapath/conf.c datapath/plan.c */
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
#include "net/addr.h"
#include "net/netns.h"
#include "net/route.h"
#include "plugins/coordinator.h"
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
	assert_int_equal(unshare(CLONE_NEWNET), 0);
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
	OK(link_add_veth(node, &v, &e));
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

static void del_with(const char *container_id, const char *conf)
{
	AUTO_JSON *j = NULL;
	struct cni_call c = { .command = CNI_DEL,
		              .container_id = container_id,
		              .netns = "",
		              .ifname = "eth0",
		              .args = "",
		              .path = "" };
	int code = 0;

	OK(json_parse(conf, strlen(conf), 0, &j, &e));
	c.conf = j;
	OK(coordinator_plugin.del(&c, &code, &e));
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_rule_goes_with_the_last_pod, setup, teardown),
		cmocka_unit_test_setup_teardown(the_rule_goes_when_the_pair_went_first, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(the_table_is_the_configurations, setup, teardown),
		cmocka_unit_test_setup_teardown(the_pair_of_another_container_stays, setup,
		                                teardown),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
