/* SPDX-License-Identifier: Apache-2.0 */
/* links: net/ base/ */
/* libs: mnl */
/*
 * netns_test.c - net/ on the kernel that runs it, in network namespaces of this process: they are
 * gone with it.  Root, or a kernel that gives a user namespace to everybody.
 *
 * NET_TEST_IPVLAN=1 adds what needs ipvlan: tests/vm/net.sh runs it so, in a kernel that has it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"
#include "net/addr.h"
#include "net/link.h"
#include "net/netconf.h"
#include "net/netns.h"
#include "net/nft.h"
#include "net/route.h"
#include "net/sysctl.h"
#include "tests/unit/sandbox.h"

static int host_ns = -1, pod_ns = -1;
static struct nl *host, *pod;
static struct err e;

#define REFUSED(call, want_kind, want_sys)                                                         \
	do {                                                                                       \
		assert_int_equal(call, -1);                                                        \
		if (e.kind != (want_kind) || e.sys != (want_sys))                                  \
			fail_msg("%s: kind %d, errno %d: %s", #call, e.kind, e.sys, e.msg);        \
	} while (0)

static int group_setup(void **state)
{
	(void)state;
	leave_home();
	return 0;
}

static int new_ns(void)
{
	int ns = -1;

	move_out();
	OK(netns_open_self(&ns, &e));
	return ns;
}

/* A fresh "host" and a "pod"; the process is in the host's. */
static int setup(void **state)
{
	(void)state;
	pod_ns = new_ns();
	host_ns = new_ns();
	OK(nl_open(NETLINK_ROUTE, &host, &e));
	OK(netns_nl(pod_ns, NETLINK_ROUTE, &pod, &e));
	memset(&e, 0, sizeof(e));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	nl_close(host);
	nl_close(pod);
	close(host_ns);
	close(pod_ns);
	return 0;
}

/* "vethabc" here, "veth0" in the pod, both up. */
static void connect_pod(struct link *ours, struct link *theirs)
{
	struct veth_spec v = { .name = "veth0",
		               .peer = "vethabc",
		               .mac = mac("0a:00:00:00:00:01"),
		               .peer_mac = mac("0a:00:00:00:00:02"),
		               .mtu = 1400,
		               .peer_ns = host_ns };

	OK(link_add_veth(pod, &v, NULL, &e));
	OK(link_get(host, "vethabc", ours, &e));
	OK(link_get(pod, "veth0", theirs, &e));
	OK(link_set_up(host, ours->index, &e));
	OK(link_set_up(pod, theirs->index, &e));
}

static void veth_is_born_in_two_namespaces(void **state)
{
	struct veth_spec v = { .name = "veth0",
		               .peer = "vethabc",
		               .mac = mac("0a:00:00:00:00:01"),
		               .peer_mac = mac("0a:00:00:00:00:02"),
		               .mtu = 1400,
		               .peer_ns = host_ns };
	struct link ours, theirs, l;

	(void)state;
	OK(link_add_veth(pod, &v, NULL, &e));
	OK(link_get(host, "vethabc", &ours, &e));
	OK(link_get(pod, "veth0", &theirs, &e));
	assert_string_equal(ours.name, "vethabc");
	assert_string_equal(theirs.name, "veth0");
	assert_string_equal(ours.kind, "veth");
	assert_string_equal(mac_str(ours.mac).s, "0a:00:00:00:00:02");
	assert_string_equal(mac_str(theirs.mac).s, "0a:00:00:00:00:01");
	assert_int_equal(ours.mtu, 1400);
	assert_int_equal(theirs.mtu, 1400);
	assert_int_equal(ours.parent, theirs.index);
	assert_int_equal(theirs.parent, ours.index);
	assert_true(theirs.parent_nsid >= 0);
	assert_false(ours.flags & IFF_UP);
	assert_false(theirs.flags & IFF_UP);
	assert_int_equal(ours.ipvlan_mode, -1);
	REFUSED(link_get(host, "veth0", &l, &e), ERR_NOT_FOUND, 0);
	assert_string_equal(e.msg, "there is no interface \"veth0\"");

	OK(link_set_up(host, ours.index, &e));
	OK(link_set_up(pod, theirs.index, &e));
	OK(link_get_index(host, ours.index, &l, &e));
	assert_string_equal(l.name, "vethabc");
	assert_int_equal(l.flags & (IFF_UP | IFF_BROADCAST | IFF_MULTICAST),
	                 IFF_UP | IFF_BROADCAST | IFF_MULTICAST);
	/* a second time it is there already, wherever */
	REFUSED(link_add_veth(pod, &v, NULL, &e), ERR_SYS, EEXIST);
	assert_non_null(strstr(e.msg, "create the pair veth0 and vethabc: kernel"));
	v.name = "veth1";
	REFUSED(link_add_veth(pod, &v, NULL, &e), ERR_SYS, EEXIST);
	REFUSED(link_get(pod, "veth1", &l, &e), ERR_NOT_FOUND, 0);

	/* one end takes the other with it */
	OK(link_del(host, ours.index, &e));
	REFUSED(link_get(pod, "veth0", &l, &e), ERR_NOT_FOUND, 0);
	REFUSED(link_del(host, ours.index, &e), ERR_NOT_FOUND, ENODEV);
	REFUSED(link_get_index(host, ours.index, &l, &e), ERR_NOT_FOUND, 0);
	REFUSED(link_set_up(host, ours.index, &e), ERR_SYS, ENODEV);
}

static void veth_stays_at_home_without_a_peer_namespace(void **state)
{
	struct veth_spec v = { .name = "a0",
		               .peer = "b0",
		               .mac = mac("0a:00:00:00:00:01"),
		               .peer_mac = mac("0a:00:00:00:00:02"),
		               .peer_ns = -1 };
	struct link a, b;

	(void)state;
	OK(link_add_veth(host, &v, NULL, &e));
	OK(link_get(host, "a0", &a, &e));
	OK(link_get(host, "b0", &b, &e));
	assert_int_equal(a.mtu, 1500);
	assert_int_equal(a.parent, b.index);
	assert_int_equal(a.parent_nsid, -1);
	v.name = "eth%d";
	REFUSED(link_add_veth(host, &v, NULL, &e), ERR_CONFIG, 0);
	v.name = "c0";
	v.peer = "a/b";
	REFUSED(link_add_veth(host, &v, NULL, &e), ERR_CONFIG, 0);
}

/* By the namespace, not by the number alone: here both ends have one that the other side has too.
 */
static void veth_peer_is_found_in_its_namespace(void **state)
{
	AUTO_FD int third_ns = -1;
	struct veth_spec v = { .name = "a0",
		               .peer = "b0",
		               .mac = mac("0a:00:00:00:00:01"),
		               .peer_mac = mac("0a:00:00:00:00:02") };
	struct link ours, theirs, l;

	(void)state;
	connect_pod(&ours, &theirs);
	OK(link_peer(pod, &theirs, host, host_ns, &l, &e));
	assert_string_equal(l.name, "vethabc");
	OK(link_peer(host, &ours, pod, pod_ns, &l, &e));
	assert_string_equal(l.name, "veth0");
	REFUSED(link_peer(pod, &theirs, pod, pod_ns, &l, &e), ERR_CONFIG, 0);
	assert_string_equal(e.msg, "the other end of veth veth0 is not there");
	v.peer_ns = -1;
	OK(link_add_veth(pod, &v, NULL, &e));
	OK(link_get(pod, "a0", &l, &e));
	REFUSED(link_peer(pod, &l, host, host_ns, &theirs, &e), ERR_CONFIG, 0);
	OK(link_get(pod, "lo", &l, &e));
	REFUSED(link_peer(pod, &l, host, host_ns, &theirs, &e), ERR_CONFIG, 0);
	assert_string_equal(e.msg, "interface lo is no veth");

	/* in a third namespace, by an index that the node has as well */
	third_ns = new_ns();
	assert_int_equal(setns(host_ns, CLONE_NEWNET), 0);
	v.name = "c0";
	v.peer = "d0";
	v.peer_ns = third_ns;
	OK(link_add_veth(pod, &v, NULL, &e));
	OK(link_get(pod, "c0", &l, &e));
	OK(link_get_index(host, l.parent, &ours, &e));
	REFUSED(link_peer(pod, &l, host, host_ns, &theirs, &e), ERR_CONFIG, 0);
}

static void interfaces_are_listed_in_order(void **state)
{
	struct veth_spec v = { .mac = mac("0a:00:00:00:00:01"),
		               .peer_mac = mac("0a:00:00:00:00:02"),
		               .peer_ns = -1 };
	struct link *all = NULL;
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 5; i++) {
		AUTO_FREE char *name = xasprintf("a%d", i);
		AUTO_FREE char *peer = xasprintf("b%d", i);

		v.name = name;
		v.peer = peer;
		OK(link_add_veth(host, &v, NULL, &e));
	}
	OK(link_list(host, &all, &n, &e));
	assert_true(n >= 11);
	assert_int_equal(all[0].index, 1);
	assert_string_equal(all[0].name, "lo");
	assert_true(all[0].flags & IFF_LOOPBACK);
	for (size_t i = 1; i < n; i++)
		assert_true(all[i - 1].index < all[i].index);
	free(all);
}

static void add_alternative_name(struct nl *nl, int index, const char *name)
{
	struct ifinfomsg *h;
	struct nl_req r;
	void *nest;

	nl_req_init(&r, RTM_NEWLINKPROP, NLM_F_CREATE | NLM_F_EXCL | NLM_F_APPEND, sizeof(*h));
	h = nl_header(&r);
	h->ifi_index = index;
	nest = nl_nest(&r, IFLA_PROP_LIST);
	nl_put_str(&r, IFLA_ALT_IFNAME, name);
	nl_nest_end(&r, nest);
	OK(nl_ack(nl, &r, &e));
}

static void interfaces_have_alternative_names(void **state)
{
	static const char long_name[] = "an-interface-with-a-rather-long-name";
	struct link ours, theirs, l = { .index = -7 };
	char endless[300];

	(void)state;
	connect_pod(&ours, &theirs);
	add_alternative_name(host, ours.index, "uplink");
	add_alternative_name(host, ours.index, long_name);
	OK(link_get(host, "uplink", &l, &e));
	assert_int_equal(l.index, ours.index);
	assert_string_equal(l.name, "vethabc");
	memset(&l, 0, sizeof(l));
	OK(link_get(host, long_name, &l, &e));
	assert_int_equal(l.index, ours.index);
	memset(endless, 'x', sizeof(endless) - 1);
	endless[sizeof(endless) - 1] = '\0';
	l.index = -7;
	REFUSED(link_get(host, endless, &l, &e), ERR_NOT_FOUND, 0);
	REFUSED(link_get(host, "nope", &l, &e), ERR_NOT_FOUND, 0);
	REFUSED(link_get(host, "", &l, &e), ERR_NOT_FOUND, 0);
	assert_int_equal(l.index, -7);
}

static void interfaces_are_changed(void **state)
{
	char alias[LINK_ALIAS_MAX + 2] = "";
	struct link ours, theirs, l;

	(void)state;
	connect_pod(&ours, &theirs);
	OK(link_set_mac(pod, theirs.index, mac("0a:1b:ac:10:00:09"), &e));
	OK(link_set_txqlen(pod, theirs.index, 77, &e));
	OK(link_get(pod, "veth0", &l, &e));
	assert_string_equal(l.alias, "");
	memset(alias, 'x', LINK_ALIAS_MAX);
	OK(link_set_alias(pod, theirs.index, alias, &e));
	OK(link_get(pod, "veth0", &l, &e));
	assert_string_equal(l.alias, alias);
	alias[LINK_ALIAS_MAX] = 'x';
	REFUSED(link_set_alias(pod, theirs.index, alias, &e), ERR_SYS, ERANGE);
	assert_string_equal(mac_str(l.mac).s, "0a:1b:ac:10:00:09");
	assert_int_equal(l.txqlen, 77);
	assert_true(l.flags & IFF_UP);
	REFUSED(link_set_mac(pod, theirs.index, mac("01:00:00:00:00:00"), &e), ERR_SYS,
	        EADDRNOTAVAIL);
	REFUSED(link_set_txqlen(pod, 9999, 5, &e), ERR_SYS, ENODEV);
}

/* Output of a command in the own namespace. */
static void run(const char *command, struct str *out)
{
	char buf[4096];
	FILE *f = popen(command, "r");
	size_t n;

	assert_non_null(f);
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
		str_addn(out, buf, n);
	if (pclose(f) != 0)
		fail_msg("%s failed: %s", command, out->data);
}

static struct link bridge(const char *name)
{
	AUTO_FREE char *command = xasprintf("ip link add %s type bridge 2>&1", name);
	AUTO_STR out = STR_INIT;
	struct link l;

	run(command, &out);
	OK(link_get(host, name, &l, &e));
	return l;
}

static void interfaces_have_a_controller(void **state)
{
	struct link ours, theirs, one, two, l, *all = NULL;
	size_t n = 99;

	(void)state;
	connect_pod(&ours, &theirs);
	one = bridge("br1");
	two = bridge("br2");
	assert_int_equal(ours.controller, 0);
	OK(link_set_controller(host, ours.index, one.index, &e));
	OK(link_get(host, ours.name, &l, &e));
	assert_int_equal(l.controller, one.index);
	OK(link_list_members(host, one.index, &all, &n, &e));
	assert_int_equal(n, 1);
	assert_string_equal(all[0].name, ours.name);
	free(all);
	OK(link_list_members(host, two.index, &all, &n, &e));
	assert_int_equal(n, 0);
	free(all);
	OK(link_set_controller(host, ours.index, 0, &e));
	OK(link_get(host, ours.name, &l, &e));
	assert_int_equal(l.controller, 0);
	REFUSED(link_set_controller(host, ours.index, 9999, &e), ERR_SYS, EINVAL);
	REFUSED(link_set_controller(host, 9999, 0, &e), ERR_SYS, ENODEV);
	OK(link_set_down(host, ours.index, &e));
	OK(link_get(host, ours.name, &l, &e));
	assert_false(l.flags & IFF_UP);
	REFUSED(link_set_down(host, 9999, &e), ERR_SYS, ENODEV);
	assert_string_equal(e.msg, "set interface 9999 down: kernel: No such device");
}

/* A bridge has the address of a member. */
static void interfaces_are_found_by_mac(void **state)
{
	struct link ours, theirs, br, l = { .index = -7 };

	(void)state;
	connect_pod(&ours, &theirs);
	OK(link_get_mac(host, ours.mac, &l, &e));
	assert_int_equal(l.index, ours.index);
	l.index = -7;
	REFUSED(link_get_mac(host, mac("0a:00:00:00:00:99"), &l, &e), ERR_NOT_FOUND, 0);
	assert_string_equal(e.msg, "there is no interface with MAC address 0a:00:00:00:00:99");
	br = bridge("br1");
	OK(link_set_mac(host, br.index, ours.mac, &e));
	REFUSED(link_get_mac(host, ours.mac, &l, &e), ERR_CONFIG, 0);
	assert_string_equal(e.msg,
	                    "interfaces vethabc and br1 both have MAC address 0a:00:00:00:00:02");
	assert_int_equal(l.index, -7);
	OK(link_set_controller(host, ours.index, br.index, &e));
	OK(link_get_mac(host, ours.mac, &l, &e));
	assert_string_equal(l.name, "br1");
}

static size_t without_link_local(struct addr *all, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (all[i].local.ip.family == 4 || !ip_is_link_local(all[i].local.ip))
			all[kept++] = all[i];
	return kept;
}

static void addresses_are_added_and_listed(void **state)
{
	struct link ours, theirs;
	struct addr *all = NULL;
	size_t n = 0;

	(void)state;
	connect_pod(&ours, &theirs);
	OK(addr_add(pod, theirs.index, cidr("172.16.0.9/16"), &e));
	OK(addr_add(pod, theirs.index, cidr("169.254.100.1/32"), &e));
	OK(addr_add(pod, theirs.index, cidr("fd00::9/64"), &e));
	REFUSED(addr_add(pod, theirs.index, cidr("172.16.0.9/16"), &e), ERR_SYS, EEXIST);
	assert_non_null(strstr(e.msg, "add address 172.16.0.9/16: kernel"));
	REFUSED(addr_add(pod, theirs.index, cidr("fd00::9/64"), &e), ERR_SYS, EEXIST);
	REFUSED(addr_add(pod, 9999, cidr("172.16.0.9/16"), &e), ERR_SYS, ENODEV);

	OK(addr_list(pod, 4, theirs.index, &all, &n, &e));
	assert_int_equal(n, 2);
	assert_string_equal(cidr_str(all[0].local).s, "172.16.0.9/16");
	assert_string_equal(cidr_str(all[1].local).s, "169.254.100.1/32");
	assert_int_equal(all[0].index, theirs.index);
	assert_int_equal(all[0].scope, RT_SCOPE_UNIVERSE);
	free(all);

	/* the kernel's own link-local address comes when it likes */
	OK(addr_list(pod, 6, theirs.index, &all, &n, &e));
	n = without_link_local(all, n);
	assert_int_equal(n, 1);
	assert_string_equal(cidr_str(all[0].local).s, "fd00::9/64");
	/* usable at once */
	assert_int_equal(all[0].flags & (IFA_F_TENTATIVE | IFA_F_NODAD), IFA_F_NODAD);
	free(all);

	OK(addr_list(pod, 0, 0, &all, &n, &e));
	n = without_link_local(all, n);
	assert_int_equal(n, 3); /* lo is down, and has none */
	free(all);
	OK(addr_list(pod, 0, theirs.index, &all, &n, &e));
	n = without_link_local(all, n);
	assert_int_equal(n, 3);
	free(all);
	OK(addr_list(pod, 0, 1, &all, &n, &e));
	assert_int_equal(n, 0);
	free(all);
	OK(addr_list(pod, 0, 9999, &all, &n, &e));
	assert_int_equal(n, 0);
	free(all);
	OK(addr_list(host, 4, 0, &all, &n, &e));
	assert_int_equal(n, 0);
	free(all);

	OK(addr_del(pod, theirs.index, cidr("172.16.0.9/16"), &e));
	REFUSED(addr_del(pod, theirs.index, cidr("172.16.0.9/16"), &e), ERR_NOT_FOUND,
	        EADDRNOTAVAIL);
	OK(addr_del(pod, theirs.index, cidr("fd00::9/64"), &e));
	OK(addr_list(pod, 4, 0, &all, &n, &e));
	assert_int_equal(n, 1);
	free(all);
}

static void broadcast_is_what_iproute_would_set(void **state)
{
	AUTO_STR out = STR_INIT;
	struct link ours, theirs;

	(void)state;
	connect_pod(&ours, &theirs);
	OK(addr_add(host, ours.index, cidr("10.1.2.3/20"), &e));
	OK(addr_add(host, ours.index, cidr("10.9.9.8/31"), &e));
	run("ip -4 -o addr show dev vethabc 2>&1", &out);
	assert_non_null(strstr(out.data, "inet 10.1.2.3/20 brd 10.1.15.255 scope global vethabc"));
	assert_non_null(strstr(out.data, "inet 10.9.9.8/31 scope global vethabc"));
}

static size_t routes(struct nl *nl, int family, uint32_t table, struct route **out)
{
	size_t n = 99;

	*out = NULL;
	OK(route_list(nl, family, table, out, &n, &e));
	return n;
}

static void routes_live_in_tables(void **state)
{
	struct link ours, theirs;
	struct route *all;
	struct route r = { 0 };

	(void)state;
	connect_pod(&ours, &theirs);
	/* no table 500 yet: an empty list, and nothing to delete */
	assert_int_equal(routes(host, 4, 500, &all), 0);
	free(all);
	r.dst = cidr("172.16.0.9/32");
	r.table = 500;
	REFUSED(route_del(host, &r, &e), ERR_NOT_FOUND, ESRCH);

	OK(addr_add(host, ours.index, cidr("10.0.0.1/32"), &e));
	r.oif = ours.index;
	r.scope = RT_SCOPE_LINK;
	r.prefsrc = ip("10.0.0.1");
	OK(route_add(host, &r, ROUTE_CREATE, &e));
	REFUSED(route_add(host, &r, ROUTE_CREATE, &e), ERR_SYS, EEXIST);
	assert_non_null(strstr(e.msg, "add route to 172.16.0.9/32 in table 500: kernel"));
	OK(route_add(host, &r, ROUTE_REPLACE, &e));
	assert_int_equal(routes(host, 4, 500, &all), 1);
	assert_string_equal(cidr_str(all[0].dst).s, "172.16.0.9/32");
	assert_string_equal(ip_str(all[0].prefsrc).s, "10.0.0.1");
	assert_int_equal(all[0].gw.family, 0);
	assert_int_equal(all[0].oif, ours.index);
	assert_int_equal(all[0].table, 500);
	assert_int_equal(all[0].scope, RT_SCOPE_LINK);
	assert_int_equal(all[0].protocol, RTPROT_BOOT);
	assert_int_equal(all[0].type, RTN_UNICAST);
	assert_false(all[0].multipath);
	free(all);
	/* tables don't see each other */
	assert_int_equal(routes(host, 4, RT_TABLE_MAIN, &all), 0);
	free(all);
	assert_int_equal(routes(host, 4, 0, &all), 1);
	free(all);
	r.table = 501;
	REFUSED(route_del(host, &r, &e), ERR_NOT_FOUND, ESRCH);
	assert_non_null(strstr(e.msg, "delete route to 172.16.0.9/32 from table 501: kernel"));

	/* by destination alone, whatever scope and protocol */
	OK(route_del(host, &(struct route){ .dst = r.dst, .table = 500 }, &e));
	assert_int_equal(routes(host, 4, 500, &all), 0);
	free(all);
}

static void default_routes_and_gateways(void **state)
{
	struct link ours, theirs;
	struct route *all;
	struct route r = { .dst = cidr("0.0.0.0/0"), .gw = ip("172.16.0.1"), .table = 100 };

	(void)state;
	connect_pod(&ours, &theirs);
	REFUSED(route_add(pod, &r, ROUTE_CREATE, &e), ERR_SYS, ENETUNREACH);
	assert_string_equal(e.msg,
	                    "add route to 0.0.0.0/0 via 172.16.0.1 in table 100: kernel "
	                    "(Nexthop has invalid gateway): Network is unreachable");
	OK(addr_add(pod, theirs.index, cidr("172.16.0.9/24"), &e));
	OK(route_add(pod, &r, ROUTE_CREATE, &e));
	r.table = 0;
	r.priority = 50;
	OK(route_add(pod, &r, ROUTE_CREATE, &e));
	assert_int_equal(routes(pod, 4, 100, &all), 1);
	assert_int_equal(all[0].dst.len, 0);
	assert_int_equal(all[0].dst.ip.family, 4);
	assert_string_equal(ip_str(all[0].gw).s, "172.16.0.1");
	assert_int_equal(all[0].oif, theirs.index);
	free(all);
	assert_int_equal(routes(pod, 4, RT_TABLE_MAIN, &all), 2); /* and the connected one */
	assert_int_equal(all[0].priority, 50);
	assert_int_equal(all[1].protocol, RTPROT_KERNEL);
	free(all);
	/* replaced: another gateway under the same destination, table and metric */
	r.gw = ip("172.16.0.2");
	OK(route_add(pod, &r, ROUTE_REPLACE, &e));
	assert_int_equal(routes(pod, 4, RT_TABLE_MAIN, &all), 2);
	assert_string_equal(ip_str(all[0].gw).s, "172.16.0.2");
	free(all);
	/* what is set must match */
	r.gw = ip("172.16.0.3");
	REFUSED(route_del(pod, &r, &e), ERR_NOT_FOUND, ESRCH);
	r.gw = ip("172.16.0.2");
	r.priority = 51;
	REFUSED(route_del(pod, &r, &e), ERR_NOT_FOUND, ESRCH);
	r.priority = 0;
	OK(route_del(pod, &r, &e));
	/* a route that was listed can be deleted as it is */
	assert_int_equal(routes(pod, 4, RT_TABLE_MAIN, &all), 1);
	OK(route_del(pod, &all[0], &e));
	free(all);
	assert_int_equal(routes(pod, 4, RT_TABLE_MAIN, &all), 0);
	free(all);
}

static void routes_of_ipv6(void **state)
{
	struct link ours, theirs;
	struct route *all;
	struct route r = { .dst = cidr("fd00::9/128"), .table = 500 };

	(void)state;
	connect_pod(&ours, &theirs);
	assert_int_equal(routes(host, 6, 500, &all), 0);
	free(all);
	r.oif = ours.index;
	OK(route_add(host, &r, ROUTE_CREATE, &e));
	REFUSED(route_add(host, &r, ROUTE_CREATE, &e), ERR_SYS, EEXIST);
	OK(route_add(host, &r, ROUTE_REPLACE, &e));
	assert_int_equal(routes(host, 6, 500, &all), 1);
	assert_string_equal(cidr_str(all[0].dst).s, "fd00::9/128");
	assert_int_equal(all[0].oif, ours.index);
	free(all);
	OK(route_del(host, &(struct route){ .dst = r.dst, .table = 500 }, &e));
	REFUSED(route_del(host, &(struct route){ .dst = r.dst, .table = 500 }, &e), ERR_NOT_FOUND,
	        ESRCH);
}

static void lookups_are_answered(void **state)
{
	struct link ours, theirs;
	struct route r = { .oif = -7 };
	struct route add = { .dst = cidr("0.0.0.0/0"), .gw = ip("172.16.0.1") };

	(void)state;
	REFUSED(route_get(pod, ip("10.1.1.1"), &r, &e), ERR_NOT_FOUND, ENETUNREACH);
	assert_string_equal(e.msg, "route to 10.1.1.1: kernel: Network is unreachable");
	REFUSED(route_get(pod, ip("fd01::1"), &r, &e), ERR_NOT_FOUND, ENETUNREACH);
	assert_int_equal(r.oif, -7);
	connect_pod(&ours, &theirs);
	OK(addr_add(pod, theirs.index, cidr("172.16.0.9/24"), &e));
	OK(addr_add(pod, theirs.index, cidr("fd00::9/64"), &e));
	OK(route_add(pod, &add, ROUTE_CREATE, &e));
	OK(route_get(pod, ip("10.1.1.1"), &r, &e));
	assert_int_equal(r.oif, theirs.index);
	assert_string_equal(ip_str(r.gw).s, "172.16.0.1");
	assert_string_equal(ip_str(r.prefsrc).s, "172.16.0.9");
	OK(route_get(pod, ip("172.16.0.77"), &r, &e));
	assert_int_equal(r.gw.family, 0);
	assert_int_equal(r.oif, theirs.index);
	OK(route_get(pod, ip("fd00::77"), &r, &e));
	assert_int_equal(r.oif, theirs.index);
	assert_string_equal(ip_str(r.prefsrc).s, "fd00::9");
	/* an address of its own */
	OK(route_get(pod, ip("172.16.0.9"), &r, &e));
	assert_int_equal(r.type, RTN_LOCAL);
}

/* Only the rules with this priority. */
static size_t rules(struct nl *nl, int family, uint32_t priority, struct rule *first)
{
	struct rule *all = NULL;
	size_t n = 0, found = 0;

	OK(rule_list(nl, family, &all, &n, &e));
	for (size_t i = 0; i < n; i++)
		if (all[i].priority == priority && found++ == 0)
			*first = all[i];
	free(all);
	return found;
}

static void rules_are_added_once(void **state)
{
	struct rule host_rule = { .family = 4, .priority = 1000, .table = 500 };
	struct rule mark = {
		.family = 4, .priority = 1000, .table = 100, .fwmark = 1, .fwmask = 1
	};
	struct rule from = { .family = 4, .priority = 900, .table = 101 };
	struct rule six = { .family = 6, .priority = 1000, .table = 500 };
	struct rule whole = { .family = 4, .priority = 901, .table = 101, .fwmark = 2 };
	struct rule u;

	(void)state;
	assert_int_equal(rules(host, 4, 32766, &u), 1);
	assert_int_equal(u.table, RT_TABLE_MAIN);
	assert_false(u.other);
	assert_int_equal(rules(host, 4, 1000, &u), 0);

	OK(rule_add(host, &host_rule, &e));
	REFUSED(rule_add(host, &host_rule, &e), ERR_SYS, EEXIST);
	assert_non_null(strstr(e.msg, "add rule 1000 to table 500: kernel"));
	assert_int_equal(rules(host, 4, 1000, &u), 1);
	assert_int_equal(u.table, 500);
	assert_int_equal(u.fwmark, 0);
	assert_int_equal(u.fwmask, 0);
	assert_int_equal(u.src.ip.family, 0);
	assert_int_equal(u.family, 4);
	assert_false(u.other);
	assert_int_equal(rules(host, 6, 1000, &u), 0);

	OK(rule_add(pod, &mark, &e));
	REFUSED(rule_add(pod, &mark, &e), ERR_SYS, EEXIST);
	assert_int_equal(rules(pod, 4, 1000, &u), 1);
	assert_int_equal(u.fwmark, 1);
	assert_int_equal(u.fwmask, 1);
	assert_int_equal(u.table, 100);

	from.src = cidr("172.16.0.9/32");
	OK(rule_add(pod, &from, &e));
	assert_int_equal(rules(pod, 4, 900, &u), 1);
	assert_string_equal(cidr_str(u.src).s, "172.16.0.9/32");
	from.src = cidr("172.16.0.10/32");
	REFUSED(rule_del(pod, &from, &e), ERR_NOT_FOUND, ENOENT);
	from.src = cidr("172.16.0.9/32");
	OK(rule_del(pod, &from, &e));
	assert_int_equal(rules(pod, 4, 900, &u), 0);

	OK(rule_add(pod, &whole, &e));
	assert_int_equal(rules(pod, 4, 901, &u), 1);
	assert_int_equal(u.fwmask, UINT32_MAX);
	OK(rule_add(host, &six, &e));
	assert_int_equal(rules(host, 6, 1000, &u), 1);
	assert_int_equal(u.family, 6);

	OK(rule_del(host, &host_rule, &e));
	REFUSED(rule_del(host, &host_rule, &e), ERR_NOT_FOUND, ENOENT);
}

static void rules_with_more_to_them_are_told_apart(void **state)
{
	static const char *const more[] = {
		"pref 70 iif lo lookup 500",
		"pref 71 to 10.0.0.0/8 lookup 500",
		"pref 72 lookup 500 suppress_prefixlength 0",
		"pref 73 from all prohibit",
		"pref 74 not from 10.0.0.0/8 lookup 500",
		"pref 75 ipproto tcp dport 80 lookup 500",
	};
	AUTO_STR out = STR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(more); i++) {
		AUTO_FREE char *command = xasprintf("ip rule add %s 2>&1", more[i]);
		struct rule u;

		run(command, &out);
		assert_int_equal(rules(host, 4, (uint32_t)(70 + i), &u), 1);
		if (!u.other)
			fail_msg("%s is not seen as more", more[i]);
	}
}

static size_t neighbours(struct nl *nl, int family, int index, struct neigh **out)
{
	size_t n = 99;

	*out = NULL;
	OK(neigh_list(nl, family, index, out, &n, &e));
	return n;
}

static void neighbours_are_permanent(void **state)
{
	struct link ours, theirs;
	struct neigh *all;
	struct neigh n = { .ip = ip("172.16.0.9"),
		           .mac = mac("0a:00:00:00:00:01"),
		           .state = NUD_PERMANENT };
	struct neigh six;

	(void)state;
	connect_pod(&ours, &theirs);
	n.index = ours.index;
	six = n;
	six.ip = ip("fd00::9");
	OK(neigh_replace(host, &n, &e));
	n.mac = mac("0a:00:00:00:00:07");
	OK(neigh_replace(host, &n, &e));
	OK(neigh_replace(host, &six, &e));
	assert_int_equal(neighbours(host, 4, ours.index, &all), 1);
	assert_string_equal(ip_str(all[0].ip).s, "172.16.0.9");
	assert_string_equal(mac_str(all[0].mac).s, "0a:00:00:00:00:07");
	assert_int_equal(all[0].state, NUD_PERMANENT);
	assert_int_equal(all[0].index, ours.index);
	free(all);
	assert_int_equal(neighbours(host, 4, 1, &all), 0); /* lo */
	free(all);
	assert_true(neighbours(host, 0, 0, &all) >= 2);
	free(all);
	OK(neigh_del(host, ours.index, n.ip, &e));
	REFUSED(neigh_del(host, ours.index, n.ip, &e), ERR_NOT_FOUND, ENOENT);
	assert_int_equal(neighbours(host, 4, ours.index, &all), 0);
	free(all);
	REFUSED(neigh_del(host, 9999, n.ip, &e), ERR_NOT_FOUND, ENODEV);
	n.index = 9999;
	REFUSED(neigh_replace(host, &n, &e), ERR_SYS, ENODEV);
	OK(neigh_del(host, ours.index, six.ip, &e));
}

static int sysctl_set(int ns, const char *key, const char *value, struct str *old, struct err *err)
{
	struct sysctl one = { .key = key, .value = value, .was = *old };
	int rc = sysctl_all(ns, &one, 1, err);

	*old = one.was;
	return rc;
}

static void sysctls_belong_to_a_namespace(void **state)
{
	struct veth_spec v = { .name = "e0.5",
		               .peer = "p0",
		               .mac = mac("0a:00:00:00:00:01"),
		               .peer_mac = mac("0a:00:00:00:00:02"),
		               .peer_ns = host_ns };
	AUTO_STR old = STR_INIT;
	AUTO_STR out = STR_INIT;

	(void)state;
	OK(link_add_veth(pod, &v, NULL, &e));
	OK(sysctl_write(pod_ns, "ipv4/conf/e0.5/rp_filter", "2", &e));
	OK(sysctl_write(pod_ns, "ipv4/conf/all/rp_filter", "1", &e));
	OK(sysctl_write(-1, "ipv4/conf/all/rp_filter", "0", &e));
	str_add(&out, ">");
	OK(sysctl_read(pod_ns, "ipv4/conf/e0.5/rp_filter", &out, &e));
	OK(sysctl_read(pod_ns, "ipv4/conf/all/rp_filter", &out, &e));
	OK(sysctl_read(-1, "ipv4/conf/all/rp_filter", &out, &e));
	assert_string_equal(out.data, ">210");
	REFUSED(sysctl_read(-1, "ipv4/conf/e0.5/rp_filter", &out, &e), ERR_NOT_FOUND, ENOENT);
	assert_string_equal(
		e.msg, "open /proc/sys/net/ipv4/conf/e0.5/rp_filter: No such file or directory");
	OK(sysctl_set(pod_ns, "ipv4/conf/all/rp_filter", "1", &old, &e));
	OK(sysctl_set(pod_ns, "ipv4/conf/all/rp_filter", "0", &old, &e));
	assert_string_equal(old.data, "11"); /* what it had, twice */
	OK(sysctl_read(pod_ns, "ipv4/conf/all/rp_filter", &old, &e));
	assert_string_equal(old.data, "110");
	REFUSED(sysctl_set(-1, "ipv4/nothing", "1", &old, &e), ERR_NOT_FOUND, ENOENT);
	REFUSED(sysctl_write(-1, "ipv4/nothing", "1", &e), ERR_NOT_FOUND, ENOENT);
	REFUSED(sysctl_write(pod_ns, "ipv4/conf/all/rp_filter", "many", &e), ERR_SYS, EINVAL);
	assert_string_equal(e.msg,
	                    "write \"many\" to /proc/sys/net/ipv4/conf/all/rp_filter: "
	                    "Invalid argument");
	assert_string_equal(out.data, ">210");
}

/* The process is where it was. */
static void netlink_tells_sysctls(void **state)
{
	struct netconf v[] = { { NETCONF_ALL, 7 }, { NETCONF_DEFAULT, 7 }, { 1, 7 }, { 9999, 7 } };
	AUTO_STR of_default = STR_INIT;

	(void)state;
	OK(sysctl_read(pod_ns, "ipv4/conf/default/rp_filter", &of_default, &e));
	OK(sysctl_write(pod_ns, "ipv4/conf/all/rp_filter", "1", &e));
	OK(sysctl_write(pod_ns, "ipv4/conf/lo/rp_filter", "2", &e));
	OK(netconf_read(pod, v, ARRAY_LEN(v), &e));
	assert_int_equal(v[0].rp_filter, 1);
	assert_int_equal(v[1].rp_filter, *of_default.data - '0');
	assert_int_equal(v[2].rp_filter, 2);
	assert_int_equal(v[3].rp_filter, -1);
}

static void sysctls_are_done_in_one_visit(void **state)
{
	struct sysctl v[] = {
		{ .key = "ipv4/conf/lo/rp_filter", .was = STR_INIT },
		{ .key = "ipv4/conf/lo/arp_notify", .value = "0", .was = STR_INIT },
		{ .key = "ipv4/conf/none/arp_notify",
		  .value = "1",
		  .optional = true,
		  .was = STR_INIT },
		{ .key = "ipv4/conf/lo/arp_ignore", .value = "2", .was = STR_INIT },
		{ .key = "ipv4/conf/lo/arp_announce", .value = "0", .blind = true },
		{ .key = "ipv4/conf/none/arp_ignore", .value = "1", .was = STR_INIT },
		{ .key = "ipv4/conf/lo/arp_filter", .value = "1", .was = STR_INIT },
	};
	AUTO_STR value = STR_INIT;

	(void)state;
	OK(sysctl_write(pod_ns, "ipv4/conf/lo/rp_filter", "2", &e));
	REFUSED(sysctl_all(pod_ns, v, ARRAY_LEN(v), &e), ERR_NOT_FOUND, ENOENT);
	assert_string_equal(e.msg,
	                    "open /proc/sys/net/ipv4/conf/none/arp_ignore: No such file or "
	                    "directory");
	assert_string_equal(v[0].was.data, "2");
	assert_string_equal(v[1].was.data, "0");
	assert_string_equal(v[3].was.data, "0");
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		assert_int_equal(v[i].missing, i == 2 || i == 5);
		assert_int_equal(v[i].written, i == 3 || i == 4);
		str_release(&v[i].was);
	}
	OK(sysctl_read(pod_ns, "ipv4/conf/lo/arp_ignore", &value, &e));
	assert_string_equal(value.data, "2");
	/* not here, where we are again, and not after the failure */
	str_reset(&value, 0);
	OK(sysctl_read(-1, "ipv4/conf/lo/arp_ignore", &value, &e));
	assert_string_equal(value.data, "0");
	str_reset(&value, 0);
	OK(sysctl_read(pod_ns, "ipv4/conf/lo/arp_filter", &value, &e));
	assert_string_equal(value.data, "0");
}

static void assert_at_home(void)
{
	AUTO_FD int now = -1;
	bool same = false;

	OK(netns_open_self(&now, &e));
	OK(netns_same(now, host_ns, &same, &e));
	assert_true(same);
}

static void *visit_the_pod(void *arg)
{
	bool *good = arg;
	uint64_t here = 0, home = 0;

	*good = true;
	for (int i = 0; i < 50; i++) {
		AUTO_FD int own = -1;
		AUTO_NL *nl = NULL;

		*good = *good && netns_nl(pod_ns, NETLINK_ROUTE, &nl, NULL) == 0 &&
		        netns_open_self(&own, NULL) == 0 && netns_inode(own, &here, NULL) == 0 &&
		        netns_inode(host_ns, &home, NULL) == 0 && here == home;
	}
	return NULL;
}

/* All of them by one descriptor, whoever opens it. */
static void threads_come_home(void **state)
{
	pthread_t threads[4];
	bool good[ARRAY_LEN(threads)];

	(void)state;
	netns_moved();
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, visit_the_pod, &good[i]), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_true(good[i]);
	}
	assert_at_home();
}

static void namespaces_are_opened_by_path(void **state)
{
	char file[] = "/tmp/netns_test.XXXXXX";
	AUTO_FREE char *fifo = NULL;
	int fd = -7;

	(void)state;
	close(mkstemp(file));
	REFUSED(netns_open(file, &fd, &e), ERR_CONFIG, 0);
	assert_non_null(strstr(e.msg, file));
	assert_non_null(strstr(e.msg, " is not a network namespace (unknown FS magic 0x"));
	fifo = xasprintf("%s.fifo", file);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	REFUSED(netns_open(fifo, &fd, &e), ERR_CONFIG, 0);
	unlink(fifo);
	unlink(file);
	REFUSED(netns_open(file, &fd, &e), ERR_NOT_FOUND, ENOENT);
	REFUSED(netns_open("", &fd, &e), ERR_NOT_FOUND, ENOENT);
	assert_string_equal(e.msg, "open network namespace \"\": No such file or directory");
	REFUSED(netns_open("/proc/self/status/ns", &fd, &e), ERR_NOT_FOUND, ENOTDIR);
	REFUSED(netns_open("/proc/self/status", &fd, &e), ERR_CONFIG, 0);
	REFUSED(netns_open("/proc/self/ns/mnt", &fd, &e), ERR_CONFIG, 0);
	assert_string_equal(e.msg, "/proc/self/ns/mnt is a namespace, but not of the network");
	REFUSED(netns_open("/tmp", &fd, &e), ERR_CONFIG, 0);
	assert_int_equal(fd, -7);
}

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static bool sees(struct nl *nl, const char *name)
{
	struct link l;

	return link_get(nl, name, &l, NULL) == 0;
}

static void sockets_are_used_again_where_they_are(void **state)
{
	struct nl *here, *there, *more;
	struct link ours, theirs;
	struct link *all;
	int before, fd = -1;
	size_t n;

	(void)state;
	connect_pod(&ours, &theirs);
	nl_close(take_ptr(&host));
	nl_close(take_ptr(&pod));
	OK(netns_home(&fd, &e)); /* is opened when it is needed */
	before = open_fds();
	netns_reuse(pod_ns);
	OK(nl_open(NETLINK_ROUTE, &here, &e));
	OK(netns_nl(pod_ns, NETLINK_ROUTE, &there, &e));
	assert_int_equal(open_fds(), before + 2);
	nl_limit(there, 1); /* not the next one's */
	for (int i = 0; i < 3; i++) {
		nl_close(there);
		nl_close(here);
		OK(nl_open(NETLINK_ROUTE, &here, &e));
		OK(netns_nl(pod_ns, NETLINK_ROUTE, &there, &e));
		assert_int_equal(open_fds(), before + 2);
		assert_int_equal(nl_requests(there), 0);
		assert_true(sees(here, "vethabc"));
		assert_false(sees(here, "veth0"));
		assert_true(sees(there, "veth0"));
		assert_false(sees(there, "vethabc"));
		OK(link_list(there, &all, &n, &e));
		free(all);
		/* what was refused was answered */
		REFUSED(link_set_up(there, 9999, &e), ERR_SYS, ENODEV);
	}

	/* one that is in use is nobody else's, and only one of each kind is kept */
	OK(netns_nl(pod_ns, NETLINK_ROUTE, &more, &e));
	assert_int_equal(open_fds(), before + 3);
	nl_close(there);
	assert_int_equal(open_fds(), before + 3);
	nl_close(more);
	assert_int_equal(open_fds(), before + 2);

	/* of another bus, and of another descriptor, be it of the same namespace */
	OK(netns_nl(pod_ns, NETLINK_NETFILTER, &more, &e));
	nl_close(more);
	assert_int_equal(open_fds(), before + 3);
	netns_reuse(host_ns);
	OK(netns_nl(host_ns, NETLINK_ROUTE, &more, &e));
	assert_true(sees(more, "vethabc"));
	nl_close(more);
	assert_int_equal(open_fds(), before + 3);

	nl_close(here);
	netns_reuse_end(host_ns);
	assert_int_equal(open_fds(), before + 3);
	OK(nl_open(NETLINK_ROUTE, &here, &e));
	netns_reuse_end(pod_ns);
	assert_int_equal(open_fds(), before + 1);
	nl_close(here);
	assert_int_equal(open_fds(), before);

	/* nothing is kept any more */
	OK(nl_open(NETLINK_ROUTE, &host, &e));
	OK(netns_nl(pod_ns, NETLINK_ROUTE, &pod, &e));
	nl_close(pod);
	assert_int_equal(open_fds(), before + 1);
	OK(netns_nl(pod_ns, NETLINK_ROUTE, &pod, &e));
}

/* What may still come would be the next one's. */
static void sockets_that_wait_are_not_used_again(void **state)
{
	struct link ours, theirs;
	struct nl_req r;
	struct link *all;
	struct nl *nl;
	size_t n;
	int before;

	(void)state;
	connect_pod(&ours, &theirs);
	netns_reuse(pod_ns);
	before = open_fds();
	OK(netns_nl(pod_ns, NETLINK_ROUTE, &nl, &e));
	nl_limit(nl, 1);
	REFUSED(link_list(nl, &all, &n, &e), ERR_PROTO, 0);
	nl_close(nl);
	assert_int_equal(open_fds(), before);

	/* the second answer was not read */
	OK(netns_nl(pod_ns, NETLINK_ROUTE, &nl, &e));
	nl_req_init(&r, RTM_DELLINK, NLM_F_ACK, sizeof(struct ifinfomsg));
	nl_req_next(&r, RTM_DELLINK, NLM_F_ACK, sizeof(struct ifinfomsg));
	REFUSED(nl_batch(nl, &r, NULL, &e), ERR_SYS, EINVAL);
	nl_close(nl);
	assert_int_equal(open_fds(), before);

	/* and here nobody has looked for one */
	OK(netns_nl(pod_ns, NETLINK_ROUTE, &nl, &e));
	nl_req_init(&r, RTM_DELLINK, 0, sizeof(struct ifinfomsg));
	nl_req_next(&r, RTM_DELLINK, 0, sizeof(struct ifinfomsg));
	OK(nl_batch(nl, &r, NULL, &e));
	nl_close(nl);
	assert_int_equal(open_fds(), before);

	OK(netns_nl(pod_ns, NETLINK_ROUTE, &nl, &e));
	assert_true(sees(nl, "veth0"));
	nl_close(nl);
	assert_int_equal(open_fds(), before + 1);
	netns_reuse_end(pod_ns);
}

static void sockets_of_an_old_home_are_not_used_again(void **state)
{
	struct nl *old, *new;
	struct link ours, theirs;
	int before;

	(void)state;
	connect_pod(&ours, &theirs);
	netns_reuse(pod_ns);
	before = open_fds();
	OK(nl_open(NETLINK_ROUTE, &old, &e));
	OK(nl_open(NETLINK_ROUTE, &new, &e));
	nl_close(new);
	move_out();
	nl_close(old);
	OK(nl_open(NETLINK_ROUTE, &new, &e));
	assert_false(sees(new, "vethabc"));
	nl_close(new);
	netns_reuse_end(pod_ns);
	assert_int_equal(open_fds(), before - 1);
}

static void namespaces_of_processes(void **state)
{
	AUTO_FREE char *path = NULL;
	uint64_t a = 0, b = 0;
	int pipefd[2], fd = -1, status;
	bool same = true;
	char c;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (unshare(CLONE_NEWNET) == 0)
			IGNORE(write(pipefd[1], "x", 1) == 1);
		for (;;)
			pause();
	}
	assert_int_equal(read(pipefd[0], &c, 1), 1);
	path = xasprintf("/proc/%d/ns/net", pid);
	OK(netns_open(path, &fd, &e));
	OK(netns_same(fd, host_ns, &same, &e));
	assert_false(same);
	OK(netns_same(host_ns, host_ns, &same, &e));
	assert_true(same);
	OK(netns_inode(fd, &a, &e));
	OK(netns_inode(host_ns, &b, &e));
	assert_true(a && b && a != b);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(pipefd[0]);
	close(pipefd[1]);
	/* it lives on by its descriptor, but not by its path */
	{
		AUTO_NL *nl = NULL;
		int again = -7;

		OK(netns_nl(fd, NETLINK_ROUTE, &nl, &e));
		REFUSED(netns_open(path, &again, &e), ERR_NOT_FOUND, ENOENT);
	}
	close(fd);
	assert_at_home();
}

static void wrong_descriptors_leave_one_at_home(void **state)
{
	struct nl *nl = (struct nl *)&e;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), out = -7;

	(void)state;
	REFUSED(netns_nl(fd, NETLINK_ROUTE, &nl, &e), ERR_SYS, EINVAL);
	assert_string_equal(e.msg, "enter the network namespace: Invalid argument");
	REFUSED(netns_open_at(fd, "/proc/sys/net/ipv4/ip_forward", O_RDONLY, &out, &e), ERR_SYS,
	        EINVAL);
	assert_ptr_equal(nl, &e);
	assert_int_equal(out, -7);
	close(fd);
	REFUSED(netns_nl(host_ns, 31, &nl, &e), ERR_SYS, EPROTONOSUPPORT);
	assert_at_home();
}

/* A process may write to our socket: it is not the kernel. */
static void forged_answers_are_passed_over(void **state)
{
	struct {
		struct nlmsghdr h;
		struct nlmsgerr error;
	} forged = { .h = { .nlmsg_len = sizeof(forged),
		            .nlmsg_type = NLMSG_ERROR,
		            .nlmsg_flags = NLM_F_CAPPED,
		            .nlmsg_seq = 1 },
		     .error = { .error = -EPERM } };
	struct sockaddr_nl to = { .nl_family = AF_NETLINK };
	socklen_t len = sizeof(to);
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int other = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	AUTO_NL *nl = nl_from_fd(fd, 1000);
	struct link l;

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&to, &len), 0);
	assert_int_equal(sendto(other, &forged, sizeof(forged), 0, (struct sockaddr *)&to, len),
	                 sizeof(forged));
	close(other);
	OK(link_get(nl, "lo", &l, &e));
	assert_int_equal(l.index, 1);
}

static void two_are_deleted_at_once(void **state)
{
	struct veth_spec spec = { .peer_ns = host_ns };
	struct link l[3];
	const char *const names[][2] = { { "a", "a2" }, { "b", "b2" }, { "c", "c2" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(l); i++) {
		spec.name = names[i][0];
		spec.peer = names[i][1];
		OK(mac_random(&spec.mac, &e));
		OK(mac_random(&spec.peer_mac, &e));
		OK(link_add_veth(pod, &spec, &l[i], &e));
	}
	OK(link_del_both(pod, l[0].index, l[2].index, &e));
	assert_int_equal(link_get(pod, "a", &l[0], &e), -1);
	assert_int_equal(link_get(host, "a2", &l[0], &e), -1);
	OK(link_get(pod, "b", &l[1], &e));
	assert_int_equal(link_get(pod, "c", &l[2], &e), -1);
	/* one that there is not: the other one may be gone */
	REFUSED(link_del_both(pod, 12345, l[1].index, &e), ERR_SYS, ENODEV);
	assert_non_null(strstr(e.msg, "delete interfaces 12345 and "));
}

static bool marks(struct nl *nl)
{
	bool does = false;

	OK(nft_marks(nl, "spiderbox", &does, &e));
	return does;
}

static void replies_are_marked(void **state)
{
	static const char want[] =
		"table inet spiderbox {\n"
		"\tchain pre {\n"
		"\t\ttype filter hook prerouting priority mangle; policy accept;\n"
		"\t\tiifname \"veth0\" ct state new meta mark set meta mark | 0x00000001 "
		"ct mark set ct mark | 0x00000001\n"
		"\t}\n"
		"\n"
		"\tchain out {\n"
		"\t\ttype route hook output priority mangle; policy accept;\n"
		"\t\tct mark & 0x00000001 == 0x00000001 meta mark set meta mark | 0x00000001\n"
		"\t}\n"
		"}\n";
	AUTO_STR other = STR_INIT, out = STR_INIT;
	AUTO_NL *nl = NULL;

	(void)state;
	OK(netns_nl(host_ns, NETLINK_NETFILTER, &nl, &e));
	run("nft add table inet other", &other);
	for (int i = 0; i < 3; i++)
		OK(nft_reply_mark(nl, "spiderbox", "veth0", 1, &e));
	str_reset(&out, 0);
	run("nft list table inet spiderbox", &out);
	assert_string_equal(out.data, want);
	assert_true(marks(nl));
	/* replaced as a whole */
	OK(nft_reply_mark(nl, "spiderbox", "fifteencharacte", 0x80000000, &e));
	str_reset(&out, 0);
	run("nft list ruleset", &out);
	assert_non_null(strstr(out.data,
	                       "iifname \"fifteencharacte\" ct state new "
	                       "meta mark set meta mark | 0x80000000 "
	                       "ct mark set ct mark | 0x80000000\n"));
	assert_null(strstr(out.data, "veth0"));
	assert_null(strstr(out.data, "0x00000001"));
	assert_non_null(strstr(out.data, "table inet other"));

	run("nft flush chain inet spiderbox out", &other);
	assert_false(marks(nl));
	OK(nft_reply_mark(nl, "spiderbox", "veth0", 1, &e));
	run("nft flush chain inet spiderbox pre", &other);
	assert_false(marks(nl));
	OK(nft_packet_mark(nl, "spiderbox", "veth0", 1, &e));
	assert_true(marks(nl)); /* without a chain for what goes out */
	run("nft delete table inet spiderbox", &other);
	assert_false(marks(nl));
}

/* Needs a kernel with ipvlan. */
static struct link master;

static int setup_ipvlan(void **state)
{
	struct link other;

	setup(state);
	/* two ends here: the fabric's and the network card */
	OK(link_add_veth(host,
	                 &(struct veth_spec){ .name = "eni0",
	                                      .peer = "fabric",
	                                      .mac = mac("0a:00:00:00:00:01"),
	                                      .peer_mac = mac("0a:00:00:00:00:02"),
	                                      .mtu = 1450,
	                                      .peer_ns = -1 },
	                 NULL, &e));
	OK(link_get(host, "eni0", &master, &e));
	OK(link_get(host, "fabric", &other, &e));
	OK(link_set_up(host, master.index, &e));
	OK(link_set_up(host, other.index, &e));
	return 0;
}

static void ipvlan_in_every_mode(void **state)
{
	static const int modes[] = { IPVLAN_MODE_L2, IPVLAN_MODE_L3, IPVLAN_MODE_L3S };
	static const int flags[] = { 0, IPVLAN_F_PRIVATE, IPVLAN_F_VEPA };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(modes) * ARRAY_LEN(flags); i++) {
		int mode = modes[i / ARRAY_LEN(flags)], flag = flags[i % ARRAY_LEN(flags)];
		struct link l;

		OK(link_add_ipvlan(host, pod_ns, pod, "eth0", &master, mode, flag, 0, &e));
		OK(link_get(pod, "eth0", &l, &e));
		assert_string_equal(l.name, "eth0");
		assert_string_equal(l.kind, "ipvlan");
		assert_int_equal(l.ipvlan_mode, mode);
		assert_int_equal(l.ipvlan_flags, flag);
		assert_int_equal(l.parent, master.index);
		assert_true(l.parent_nsid >= 0);
		assert_int_equal(l.mtu, 1450);
		assert_memory_equal(&l.mac, &master.mac, sizeof(l.mac));
		assert_false(l.flags & IFF_UP);
		REFUSED(link_get(host, "eth0", &l, &e), ERR_NOT_FOUND, 0);
		OK(link_get(pod, "eth0", &l, &e));
		OK(link_del(pod, l.index, &e));
	}
}

/* No detour's name is left. */
static void assert_only_links_of_the_pod(void)
{
	AUTO_FREE struct link *links = NULL;
	size_t n;

	OK(link_list(pod, &links, &n, &e));
	for (size_t i = 0; i < n; i++)
		assert_false(str_starts(links[i].name, "new"));
}

static void ipvlan_options(void **state)
{
	char birth[IFNAMSIZ];
	struct link l;

	(void)state;
	OK(link_add_ipvlan(host, pod_ns, pod, "eth0", &master, IPVLAN_MODE_L2, 0, 1300, &e));
	OK(link_get(pod, "eth0", &l, &e));
	assert_int_equal(l.mtu, 1300);
	REFUSED(link_add_ipvlan(host, pod_ns, pod, "eth0", &master, IPVLAN_MODE_L2, 0, 0, &e),
	        ERR_SYS, EEXIST);
	assert_non_null(strstr(e.msg, "create ipvlan interface eth0: kernel"));
	/* names that the master's namespace has too */
	OK(link_del(pod, l.index, &e));
	OK(link_add_veth(host,
	                 &(struct veth_spec){ .name = "eth0",
	                                      .peer = "far0",
	                                      .mac = mac("0a:00:00:00:00:03"),
	                                      .peer_mac = mac("0a:00:00:00:00:04"),
	                                      .peer_ns = -1 },
	                 NULL, &e));
	OK(link_add_ipvlan(host, pod_ns, pod, "eth0", &master, IPVLAN_MODE_L2, 0, 0, &e));
	OK(link_get(pod, "eth0", &l, &e));
	assert_string_equal(l.name, "eth0");
	assert_string_equal(l.kind, "ipvlan");
	assert_false(l.flags & IFF_UP);
	REFUSED(link_add_ipvlan(host, pod_ns, pod, "eth0", &master, IPVLAN_MODE_L2, 0, 0, &e),
	        ERR_SYS, EEXIST);
	REFUSED(link_get(pod, "eth1", &l, &e), ERR_NOT_FOUND, 0);
	OK(link_add_ipvlan(host, pod_ns, pod, "fabric", &master, IPVLAN_MODE_L2, 0, 0, &e));
	OK(link_get(pod, "fabric", &l, &e));
	assert_string_equal(l.kind, "ipvlan");
	REFUSED(link_add_ipvlan(host, pod_ns, pod, "fabric", &master, IPVLAN_MODE_L2, 0, 0, &e),
	        ERR_SYS, EEXIST);
	OK(link_del(pod, l.index, &e));
	/* a call that was killed has left the interface by the name before that */
	link_birth_name("fabric", birth);
	OK(link_add_ipvlan(host, pod_ns, pod, birth, &master, IPVLAN_MODE_L2, 0, 0, &e));
	OK(link_add_ipvlan(host, pod_ns, pod, "fabric", &master, IPVLAN_MODE_L2, 0, 0, &e));
	OK(link_get(pod, "fabric", &l, &e));
	OK(link_del(pod, l.index, &e));
	assert_only_links_of_the_pod();
	OK(link_get(pod, "eth0", &l, &e));
	REFUSED(link_set_mac(pod, l.index, mac("0a:00:00:00:00:09"), &e), ERR_SYS, EOPNOTSUPP);
	/* the own namespace */
	OK(link_add_ipvlan(host, -1, NULL, "slave0", &master, IPVLAN_MODE_L2, 0, 0, &e));
	OK(link_get(host, "slave0", &l, &e));
	assert_int_equal(l.parent_nsid, -1);
	/* the latest slave decides for all of them */
	OK(link_add_ipvlan(host, -1, NULL, "slave1", &master, IPVLAN_MODE_L3S, IPVLAN_F_VEPA, 0,
	                   &e));
	OK(link_get(host, "slave0", &l, &e));
	assert_int_equal(l.ipvlan_mode, IPVLAN_MODE_L3S);
	assert_int_equal(l.ipvlan_flags, IPVLAN_F_VEPA);
	REFUSED(link_add_ipvlan(host, pod_ns, pod, "eth1", &(struct link){ .index = 9999 },
	                        IPVLAN_MODE_L2, 0, 0, &e),
	        ERR_SYS, ENODEV);
	assert_non_null(strstr(e.msg, "create ipvlan interface eth1: kernel"));
	REFUSED(link_add_ipvlan(host, pod_ns, pod, "eth1", &master, 7, 0, 0, &e), ERR_SYS, EINVAL);
	REFUSED(link_add_ipvlan(host, pod_ns, pod, "eth1", &master, IPVLAN_MODE_L2,
	                        IPVLAN_F_PRIVATE | IPVLAN_F_VEPA, 0, &e),
	        ERR_SYS, EINVAL);
	REFUSED(link_get(pod, "eth1", &l, &e), ERR_NOT_FOUND, 0);
	/* the loopback cannot be one */
	REFUSED(link_add_ipvlan(host, pod_ns, pod, "eth1", &(struct link){ .index = 1 },
	                        IPVLAN_MODE_L2, 0, 0, &e),
	        ERR_SYS, EINVAL);
	/* slaves die with their master */
	OK(link_del(host, master.index, &e));
	REFUSED(link_get(pod, "eth0", &l, &e), ERR_NOT_FOUND, 0);
}

static void ipvlan_siblings_share_no_address(void **state)
{
	int second_ns = -1;
	AUTO_NL *second = NULL;
	struct link a, b;

	(void)state;
	second_ns = pod_ns;
	pod_ns = -1;
	nl_close(pod);
	OK(netns_nl(second_ns, NETLINK_ROUTE, &second, &e));
	{
		AUTO_FD int home = -1;

		OK(netns_open_self(&home, &e));
		pod_ns = new_ns();
		assert_int_equal(setns(home, CLONE_NEWNET), 0);
	}
	OK(netns_nl(pod_ns, NETLINK_ROUTE, &pod, &e));
	OK(link_add_ipvlan(host, pod_ns, pod, "eth0", &master, IPVLAN_MODE_L2, 0, 0, &e));
	OK(link_add_ipvlan(host, second_ns, second, "eth0", &master, IPVLAN_MODE_L2, 0, 0, &e));
	OK(link_get(pod, "eth0", &a, &e));
	OK(link_get(second, "eth0", &b, &e));
	/* down as they are */
	OK(addr_add(pod, a.index, cidr("172.16.0.9/24"), &e));
	OK(addr_add(pod, a.index, cidr("fd00::9/64"), &e));
	REFUSED(addr_add(second, b.index, cidr("172.16.0.9/24"), &e), ERR_SYS, EADDRINUSE);
	assert_non_null(strstr(e.msg, "add address 172.16.0.9/24: kernel"));
	assert_non_null(strstr(e.msg, "Address already in use"));
	REFUSED(addr_add(second, b.index, cidr("172.16.0.9/32"), &e), ERR_SYS, EADDRINUSE);
	REFUSED(addr_add(second, b.index, cidr("fd00::9/64"), &e), ERR_SYS, EADDRINUSE);
	REFUSED(addr_add(pod, a.index, cidr("172.16.0.9/24"), &e), ERR_SYS, EEXIST);
	OK(link_set_up(pod, a.index, &e));
	OK(link_set_up(second, b.index, &e));
	REFUSED(addr_add(second, b.index, cidr("172.16.0.9/24"), &e), ERR_SYS, EADDRINUSE);
	OK(addr_add(second, b.index, cidr("172.16.0.10/24"), &e));
	/* the master's own address is accepted */
	OK(addr_add(host, master.index, cidr("172.16.0.2/24"), &e));
	OK(addr_add(second, b.index, cidr("172.16.0.2/24"), &e));
	/* free again when its holder has gone */
	OK(link_del(pod, a.index, &e));
	OK(addr_add(second, b.index, cidr("172.16.0.9/24"), &e));
	close(second_ns);
}

static void vlans_are_told_by_id_and_parent(void **state)
{
	struct link l;

	(void)state;
	OK(link_add_vlan(host, "eni0.100", master.index, 100, &e));
	OK(link_get(host, "eni0.100", &l, &e));
	assert_string_equal(l.kind, "vlan");
	assert_int_equal(l.vlan_id, 100);
	assert_int_equal(l.vlan_protocol, 0x8100);
	assert_int_equal(l.parent, master.index);
	assert_int_equal(l.parent_nsid, -1);
	assert_false(l.flags & IFF_UP);
	REFUSED(link_add_vlan(host, "eni0.100", master.index, 101, &e), ERR_SYS, EEXIST);
	REFUSED(link_add_vlan(host, "other", master.index, 100, &e), ERR_SYS, EEXIST);
	assert_non_null(strstr(e.msg, "create VLAN interface other: kernel"));
	REFUSED(link_add_vlan(host, "other", 9999, 100, &e), ERR_SYS, ENODEV);
	REFUSED(link_add_vlan(host, "a-much-too-long.100", master.index, 100, &e), ERR_CONFIG, 0);
	/* they have the card's address, and the card is what it names */
	OK(link_add_ipvlan(host, host_ns, host, "slave", &master, IPVLAN_MODE_L2, 0, 0, &e));
	OK(link_get_mac(host, master.mac, &l, &e));
	assert_string_equal(l.name, "eni0");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define T_IPVLAN(name) cmocka_unit_test_setup_teardown(name, setup_ipvlan, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(veth_is_born_in_two_namespaces),
		T(veth_stays_at_home_without_a_peer_namespace),
		T(veth_peer_is_found_in_its_namespace),
		T(interfaces_are_listed_in_order),
		T(interfaces_have_alternative_names),
		T(interfaces_are_changed),
		T(interfaces_have_a_controller),
		T(interfaces_are_found_by_mac),
		T(addresses_are_added_and_listed),
		T(broadcast_is_what_iproute_would_set),
		T(routes_live_in_tables),
		T(default_routes_and_gateways),
		T(routes_of_ipv6),
		T(lookups_are_answered),
		T(rules_are_added_once),
		T(rules_with_more_to_them_are_told_apart),
		T(neighbours_are_permanent),
		T(sysctls_belong_to_a_namespace),
		T(netlink_tells_sysctls),
		T(sysctls_are_done_in_one_visit),
		T(threads_come_home),
		T(namespaces_are_opened_by_path),
		T(sockets_are_used_again_where_they_are),
		T(sockets_that_wait_are_not_used_again),
		T(sockets_of_an_old_home_are_not_used_again),
		T(namespaces_of_processes),
		T(wrong_descriptors_leave_one_at_home),
		T(forged_answers_are_passed_over),
		T(two_are_deleted_at_once),
		T(replies_are_marked),
	};
	const struct CMUnitTest ipvlan[] = {
		T_IPVLAN(ipvlan_in_every_mode),
		T_IPVLAN(ipvlan_options),
		T_IPVLAN(ipvlan_siblings_share_no_address),
		T_IPVLAN(vlans_are_told_by_id_and_parent),
	};
	int failed = cmocka_run_group_tests(tests, group_setup, NULL);

	if (getenv("NET_TEST_IPVLAN"))
		failed += cmocka_run_group_tests(ipvlan, group_setup, NULL);
	return failed;
}
