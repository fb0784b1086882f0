/* SPDX-License-Identifier: Apache-2.0 */
/* links: net/ base/ */
/* libs: mnl */
/*
 * notices_test.c - what the kernel tells of changes, in a network namespace of the test's own.
 */
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/addr.h"
#include "net/notices.h"
#include "net/route.h"
#include "net/sysctl.h"
#include "tests/unit/sandbox.h"

static struct nl *nl;
static struct link a;
static struct err e;
static int fd = -1;

static int setup(void **state)
{
	struct veth_spec pair = { .name = "a", .peer = "b", .peer_ns = -1 };
	struct link b;

	(void)state;
	leave_home();
	/* which has news of its own, later */
	OK(sysctl_write(-1, "ipv6/conf/default/disable_ipv6", "1", &e));
	OK(nl_open(NETLINK_ROUTE, &nl, &e));
	OK(mac_random(&pair.mac, &e));
	OK(mac_random(&pair.peer_mac, &e));
	OK(link_add_veth(nl, &pair, NULL, &e));
	OK(link_get(nl, "a", &a, &e));
	OK(link_get(nl, "b", &b, &e));
	OK(link_set_up(nl, b.index, &e));
	OK(link_set_up(nl, a.index, &e));
	OK(addr_add(nl, a.index, cidr("10.0.0.1/24"), &e));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	nl_close(nl);
	close(fd);
	return 0;
}

/* The one that is looked for. */
static bool is_same(const struct notice *n, void *arg)
{
	const struct notice *want = arg;

	return n->type == want->type && n->index == want->index && n->table == want->table &&
	       n->state == want->state && ip_equal(n->ip, want->ip);
}

#define TOLD(...)                                                                                  \
	do {                                                                                       \
		struct notice want_ = { __VA_ARGS__ };                                             \
		assert_true(notices_take(fd, is_same, &want_));                                    \
	} while (0)

static void tells_of_routes_rules_and_neighbours(void **state)
{
	struct route near = { .dst = cidr("10.1.0.0/16"), .oif = a.index, .table = 254 };
	struct route far = { .dst = cidr("10.1.0.0/16"), .oif = a.index, .table = 500 };
	struct rule rule = { .family = 6, .priority = 1000, .table = 500 };
	struct neigh n = { .index = a.index,
		           .ip = ip("10.0.0.2"),
		           .mac = mac("02:00:00:00:00:01"),
		           .state = NUD_PERMANENT };

	(void)state;
	OK(notices_open(NOTICES_ROUTES | NOTICES_RULES | NOTICES_NEIGHS, &fd, &e));
	OK(addr_add(nl, a.index, cidr("10.5.0.1/32"), &e));
	TOLD(.type = RTM_NEWROUTE, .table = RT_TABLE_LOCAL, .index = a.index);
	OK(route_add(nl, &near, ROUTE_CREATE, &e));
	TOLD(.type = RTM_NEWROUTE, .table = RT_TABLE_MAIN, .index = a.index);
	OK(route_add(nl, &far, ROUTE_CREATE, &e));
	TOLD(.type = RTM_NEWROUTE, .table = 500, .index = a.index);
	OK(route_del(nl, &far, &e));
	TOLD(.type = RTM_DELROUTE, .table = 500, .index = a.index);
	OK(rule_add(nl, &rule, &e));
	TOLD(.type = RTM_NEWRULE, .table = 500);
	OK(rule_del(nl, &rule, &e));
	TOLD(.type = RTM_DELRULE, .table = 500);
	OK(neigh_replace(nl, &n, &e));
	TOLD(.type = RTM_NEWNEIGH, .index = a.index, .state = NUD_PERMANENT, .ip = n.ip);
	OK(neigh_del(nl, a.index, n.ip, &e));
	TOLD(.type = RTM_DELNEIGH, .index = a.index, .state = NUD_FAILED, .ip = n.ip);
	assert_false(notices_take(fd, NULL, NULL));
}

static void tells_of_links_and_addresses(void **state)
{
	(void)state;
	OK(notices_open(NOTICES_LINKS | NOTICES_ADDRS, &fd, &e));
	OK(addr_add(nl, a.index, cidr("10.5.0.1/32"), &e));
	TOLD(.type = RTM_NEWADDR, .index = a.index, .ip = ip("10.5.0.1"));
	OK(addr_del(nl, a.index, cidr("10.0.0.1/24"), &e));
	TOLD(.type = RTM_DELADDR, .index = a.index, .ip = ip("10.0.0.1"));
	OK(link_set_alias(nl, a.index, "something", &e));
	TOLD(.type = RTM_NEWLINK, .index = a.index);
	OK(link_del(nl, a.index, &e));
	TOLD(.type = RTM_DELLINK, .index = a.index);
}

static void what_was_lost_counts(void **state)
{
	struct notice never = { .type = 1 };
	int bytes = 1;

	(void)state;
	OK(notices_open(NOTICES_ADDRS, &fd, &e));
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)), 0);
	for (unsigned int i = 1; i < 200; i++) {
		AUTO_FREE char *address = xasprintf("10.7.0.%u/32", i);

		OK(addr_add(nl, a.index, cidr(address), &e));
	}
	assert_true(notices_take(fd, is_same, &never));
	assert_false(notices_take(fd, is_same, &never));
}

/* A kernel of our own, which cuts and lies. */
static void what_is_no_message_is_passed_over(void **state)
{
	struct {
		struct nlmsghdr h;
		struct rtmsg r;
	} m = { .h = { .nlmsg_type = RTM_DELROUTE }, .r = { .rtm_table = 200 } };
	static const uint32_t lengths[] = { 0, 15, 1000, 17 };
	struct notice want = { .type = RTM_DELROUTE, .table = 200 };
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair), 0);
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		m.h.nlmsg_len = lengths[i];
		assert_int_equal(send(pair[1], &m, sizeof(m), 0), sizeof(m));
		assert_false(notices_take(pair[0], is_same, &want));
	}
	assert_int_equal(send(pair[1], &m, 3, 0), 3);
	assert_false(notices_take(pair[0], NULL, NULL));
	m.h.nlmsg_len = sizeof(m);
	assert_int_equal(send(pair[1], &m, sizeof(m), 0), sizeof(m));
	assert_true(notices_take(pair[0], is_same, &want));
	close(pair[0]);
	close(pair[1]);
	fd = -1;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(tells_of_routes_rules_and_neighbours),
		TEST(tells_of_links_and_addresses),
		TEST(what_was_lost_counts),
		TEST(what_is_no_message_is_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
