/* SPDX-License-Identifier: Apache-2.0 */
/* links: datapath/tune.c datapath/rule.c net/ json/json.c base/ */
/* libs: cjson mnl */
/*
 * tune_test.c - which table a NIC gets, which routes go there, and who keeps the default ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <linux/rtnetlink.h>

#include "datapath/tune.h"
#include "tests/unit/sandbox.h"

enum { ETH0 = 2, VETH0 = 3, NET1 = 4, NET2 = 5, OTHER = 6 };

static struct route routes[64];
static struct rule rules[16];
static struct tune_there there = { routes, 0, rules, 0 };

static int setup(void **state)
{
	(void)state;
	there.n_routes = there.n_rules = 0;
	return 0;
}

static struct route *has(uint32_t table, const char *dst, const char *gw, int oif)
{
	struct route r = { .table = table, .dst = cidr(dst), .oif = oif, .type = RTN_UNICAST };

	if (gw)
		r.gw = ip(gw);
	routes[there.n_routes] = r;
	return &routes[there.n_routes++];
}

static struct rule *sends(uint32_t priority, const char *src, uint32_t table)
{
	struct rule r = { .family = 4, .priority = priority, .table = table };

	if (src) {
		r.src = cidr(src);
		r.family = r.src.ip.family;
	}
	rules[there.n_rules] = r;
	return &rules[there.n_rules++];
}

/* As a person reads them, with what the kernel is asked to do. */
static void text_of(const struct tune_move *m, struct str *out)
{
	static const char names[][12] = { "add ", "prepend ", "", "del ", "del-last " };

	str_add(out, names[m->what]);
	if (m->what == TUNE_RULE) {
		str_addf(out, "%u: from %s", m->rule.priority, cidr_str(m->rule.src).s);
		if (m->rule.fwmask)
			str_addf(out, " fwmark %u/%u", m->rule.fwmark, m->rule.fwmask);
		str_addf(out, " lookup %u\n", m->rule.table);
		return;
	}
	str_addf(out, "%u: %s", m->route.table, cidr_str(m->route.dst).s);
	if (m->route.gw.family)
		str_addf(out, " via %s", ip_str(m->route.gw).s);
	str_addf(out, " dev %d\n", m->route.oif);
}

/* Makes the moves in what there is, too. */
static void moves_are(const struct tune_moves *m, const char *want)
{
	AUTO_STR out = STR_INIT;

	for (size_t i = 0; i < m->n; i++) {
		text_of(&m->v[i], &out);
		if (m->v[i].what == TUNE_RULE) {
			rules[there.n_rules++] = m->v[i].rule;
			continue;
		}
		if (m->v[i].what == TUNE_ADD || m->v[i].what == TUNE_PREPEND) {
			routes[there.n_routes++] = m->v[i].route;
			continue;
		}
		for (size_t k = 0; k < there.n_routes; k++)
			if (routes[k].table == RT_TABLE_MAIN &&
			    memcmp(&routes[k], &m->v[i].route, sizeof(*routes)) == 0)
				routes[k].table = 1; /* gone */
	}
	assert_string_equal(out.data ? out.data : "", want);
}

static void tunes(const struct tune_facts *f, const char *want)
{
	AUTO_TUNE_MOVES m = { .v = NULL };
	struct err e;

	OK(tune_make(&there, f, &m, &e));
	moves_are(&m, want);
}

static void leaves(int nic, const char *want)
{
	AUTO_TUNE_MOVES m = { .v = NULL };

	tune_leave(&there, nic, ETH0, &m);
	moves_are(&m, want);
}

static struct ip eth0_ips[1], net1_ips[2], net2_ips[1];

/* What an underlay pod holds, whose interfaces' plugins each made a default route. */
static struct tune_facts underlay(int n)
{
	struct tune_facts f = { .veth = VETH0 };

	eth0_ips[0] = ip("172.31.199.187");
	net1_ips[0] = ip("192.168.0.156");
	net2_ips[0] = ip("10.6.0.9");
	f.first = (struct tune_nic){ ETH0, 101, eth0_ips, 1 };
	f.nic = n == 1 ? (struct tune_nic){ NET1, 102, net1_ips, 1 }
	               : (struct tune_nic){ NET2, 103, net2_ips, 1 };
	return f;
}

static void has_eth0(void)
{
	has(254, "0.0.0.0/0", "172.31.207.253", ETH0);
	has(254, "10.233.0.0/18", "172.31.199.183", VETH0);
	has(254, "172.31.192.0/20", NULL, ETH0)->protocol = RTPROT_KERNEL;
	has(254, "172.31.199.183/32", NULL, VETH0);
	has(101, "172.31.199.183/32", NULL, VETH0);
	has(100, "0.0.0.0/0", "172.31.199.183", VETH0);
	sends(0, NULL, 255);
	sends(1000, NULL, 100)->fwmark = 1;
	sends(32766, NULL, 254);
	sends(32767, NULL, 253);
}

static void has_net1(void)
{
	has(254, "0.0.0.0/0", "192.168.0.253", NET1);
	has(254, "192.168.0.0/24", NULL, NET1);
	has(254, "fe80::/64", NULL, NET1);
}

static void the_first_keeps_the_default_route(void **state)
{
	struct tune_facts f = underlay(1);

	(void)state;
	has_eth0();
	has_net1();
	tunes(&f,
	      "add 102: 0.0.0.0/0 via 192.168.0.253 dev 4\n"
	      "add 102: 192.168.0.0/24 dev 4\n"
	      "add 101: 0.0.0.0/0 via 172.31.207.253 dev 2\n"
	      "add 101: 172.31.192.0/20 dev 2\n"
	      "add 101: 10.233.0.0/18 via 172.31.199.183 dev 3\n"
	      "998: from 172.31.199.187/32 fwmark 0/1 lookup 101\n"
	      "997: from 192.168.0.156/32 fwmark 0/1 lookup 102\n"
	      "del-last 254: 0.0.0.0/0 via 192.168.0.253 dev 4\n");
	/* once more: all is as it should be */
	tunes(&f, "");
	/* a third one finds the first's table ready */
	has(254, "0.0.0.0/0", "10.6.0.1", NET2);
	f = underlay(2);
	tunes(&f,
	      "add 103: 0.0.0.0/0 via 10.6.0.1 dev 5\n"
	      "996: from 10.6.0.9/32 fwmark 0/1 lookup 103\n"
	      "del-last 254: 0.0.0.0/0 via 10.6.0.1 dev 5\n");
}

static void the_default_route_goes_where_it_is_wanted(void **state)
{
	struct tune_facts f = underlay(1);

	(void)state;
	/* in the order in which the kernel has them: the newest first */
	has(254, "0.0.0.0/0", "192.168.0.253", NET1)->metrics_len = 8;
	has_eth0();
	f.wanted = NET1;
	tunes(&f,
	      "add 102: 0.0.0.0/0 via 192.168.0.253 dev 4\n"
	      "add 101: 0.0.0.0/0 via 172.31.207.253 dev 2\n"
	      "add 101: 172.31.192.0/20 dev 2\n"
	      "add 101: 10.233.0.0/18 via 172.31.199.183 dev 3\n"
	      "998: from 172.31.199.187/32 fwmark 0/1 lookup 101\n"
	      "997: from 192.168.0.156/32 fwmark 0/1 lookup 102\n"
	      "del-last 254: 0.0.0.0/0 via 172.31.207.253 dev 2\n");
	assert_int_equal(routes[7].metrics_len, 8); /* copied with it */
	/* the next one leaves it there, and may take it, and give it to the first again */
	has(254, "0.0.0.0/0", "10.6.0.1", NET2);
	f = underlay(2);
	f.wanted = NET1;
	tunes(&f,
	      "add 103: 0.0.0.0/0 via 10.6.0.1 dev 5\n"
	      "996: from 10.6.0.9/32 fwmark 0/1 lookup 103\n"
	      "del-last 254: 0.0.0.0/0 via 10.6.0.1 dev 5\n");
	f.wanted = NET2;
	tunes(&f,
	      "prepend 254: 0.0.0.0/0 via 10.6.0.1 dev 5\n"
	      "del 254: 0.0.0.0/0 via 192.168.0.253 dev 4\n");
	f.wanted = ETH0;
	tunes(&f,
	      "prepend 254: 0.0.0.0/0 via 172.31.207.253 dev 2\n"
	      "del 254: 0.0.0.0/0 via 10.6.0.1 dev 5\n");
}

static void the_default_route_comes_back(void **state)
{
	(void)state;
	/* net1 has those of main; net2 and the first have their own */
	has(254, "0.0.0.0/0", "192.168.0.253", NET1);
	has(254, "::/0", "fd00::fd", NET1)->priority = 1024;
	has(100, "0.0.0.0/0", "172.31.199.183", VETH0);
	has(102, "0.0.0.0/0", "192.168.0.253", NET1);
	has(102, "::/0", "fd00::fd", NET1)->priority = 1024;
	has(103, "0.0.0.0/0", "10.6.0.1", NET2);
	has(103, "::/0", "fd06::1", NET2)->priority = 1024;
	has(101, "0.0.0.0/0", "172.31.207.253", ETH0);
	has(7, "::/0", "fd00::1", ETH0)->priority = 1024; /* nobody knows whose */
	sends(998, "172.31.199.187/32", 101);
	sends(997, "192.168.0.156/32", 102);
	sends(996, "10.6.0.9/32", 103);
	sends(1000, NULL, 100)->fwmark = 1;
	leaves(NET2, "");
	leaves(ETH0, "");
	leaves(NET1,
	       "prepend 254: 0.0.0.0/0 via 172.31.207.253 dev 2\n"
	       "del 254: 0.0.0.0/0 via 192.168.0.253 dev 4\n"
	       "prepend 254: ::/0 via fd06::1 dev 5\n"
	       "del 254: ::/0 via fd00::fd dev 4\n");
	leaves(NET1, "");
}

/* The interface went before its DEL, and took its routes along. */
static void the_default_route_comes_back_late(void **state)
{
	(void)state;
	has(101, "0.0.0.0/0", "172.31.207.253", ETH0);
	has(103, "0.0.0.0/0", "10.6.0.1", NET2);
	sends(996, "10.6.0.9/32", 103);
	sends(998, "172.31.199.187/32", 101);
	leaves(0, "prepend 254: 0.0.0.0/0 via 172.31.207.253 dev 2\n");
	leaves(0, "");
	/* that of somebody else */
	there.n_routes--;
	has(254, "0.0.0.0/0", "10.9.9.9", OTHER);
	leaves(0, "");
}

static void what_is_wanted_may_have_none(void **state)
{
	struct tune_facts f = underlay(1);

	(void)state;
	has_eth0();
	has(254, "192.168.0.0/24", NULL, NET1);
	f.wanted = NET1;
	tunes(&f,
	      "add 102: 192.168.0.0/24 dev 4\n"
	      "add 101: 0.0.0.0/0 via 172.31.207.253 dev 2\n"
	      "add 101: 172.31.192.0/20 dev 2\n"
	      "add 101: 10.233.0.0/18 via 172.31.199.183 dev 3\n"
	      "998: from 172.31.199.187/32 fwmark 0/1 lookup 101\n"
	      "997: from 192.168.0.156/32 fwmark 0/1 lookup 102\n");
}

/* Each family by itself: the first with IPv6 keeps its default route. */
static void families_have_owners_of_their_own(void **state)
{
	struct tune_facts f = underlay(1);

	(void)state;
	has_eth0();
	has_net1();
	has(254, "::/0", "fd00::fd", NET1)->priority = 1024;
	has(254, "fd00::/64", NULL, NET1)->priority = 256;
	net1_ips[1] = ip("fd00::156");
	f.nic.n_ips = 2;
	tunes(&f,
	      "add 102: 0.0.0.0/0 via 192.168.0.253 dev 4\n"
	      "add 102: 192.168.0.0/24 dev 4\n"
	      "add 102: ::/0 via fd00::fd dev 4\n"
	      "add 102: fd00::/64 dev 4\n"
	      "add 101: 0.0.0.0/0 via 172.31.207.253 dev 2\n"
	      "add 101: 172.31.192.0/20 dev 2\n"
	      "add 101: 10.233.0.0/18 via 172.31.199.183 dev 3\n"
	      "998: from 172.31.199.187/32 fwmark 0/1 lookup 101\n"
	      "997: from 192.168.0.156/32 fwmark 0/1 lookup 102\n"
	      "997: from fd00::156/128 fwmark 0/1 lookup 102\n"
	      "del-last 254: 0.0.0.0/0 via 192.168.0.253 dev 4\n");
	tunes(&f, "");
}

/* IPv6 makes one route with several nexthops of them. */
static void nexthops_are_moved_one_by_one(void **state)
{
	struct tune_facts f = underlay(1);

	(void)state;
	f.veth = 0;
	has(254, "::/0", "fd01::fd", ETH0)->multipath = true;
	has(254, "::/0", "fd00::fd", NET1)->multipath = true;
	has(254, "::/0", "fd00::fe", NET1)->multipath = true;
	for (int i = 0; i < 3; i++)
		routes[i].priority = 1024;
	eth0_ips[0] = ip("fd01::187");
	net1_ips[0] = ip("fd00::156");
	tunes(&f,
	      "add 102: ::/0 via fd00::fd dev 4\n"
	      "prepend 102: ::/0 via fd00::fe dev 4\n"
	      "add 101: ::/0 via fd01::fd dev 2\n"
	      "998: from fd01::187/128 fwmark 0/1 lookup 101\n"
	      "997: from fd00::156/128 fwmark 0/1 lookup 102\n"
	      "del-last 254: ::/0 via fd00::fd dev 4\n"
	      "del-last 254: ::/0 via fd00::fe dev 4\n");
}

static void an_overlay_pod_has_no_marks(void **state)
{
	struct tune_facts f = { .overlay = true };

	(void)state;
	eth0_ips[0] = ip("10.233.105.154");
	net1_ips[0] = ip("10.6.212.227");
	f.first = (struct tune_nic){ ETH0, 100, eth0_ips, 1 };
	f.nic = (struct tune_nic){ NET1, 101, net1_ips, 1 };
	has(254, "0.0.0.0/0", "169.254.1.1", ETH0)->onlink = true;
	has(254, "0.0.0.0/0", "10.6.0.1", NET1);
	has(254, "10.6.0.0/16", NULL, NET1);
	has(254, "169.254.1.1/32", NULL, ETH0);
	tunes(&f,
	      "add 101: 0.0.0.0/0 via 10.6.0.1 dev 4\n"
	      "add 101: 10.6.0.0/16 dev 4\n"
	      "add 100: 0.0.0.0/0 via 169.254.1.1 dev 2\n"
	      "add 100: 169.254.1.1/32 dev 2\n"
	      "999: from 10.233.105.154/32 lookup 100\n"
	      "998: from 10.6.212.227/32 lookup 101\n"
	      "del-last 254: 0.0.0.0/0 via 10.6.0.1 dev 4\n");
	assert_true(routes[6].onlink);
}

static void others_are_left_alone(void **state)
{
	struct tune_facts f = underlay(1);

	(void)state;
	/* an interface without a table of its own, and routes that cannot be copied */
	has(254, "0.0.0.0/0", "10.7.0.1", OTHER);
	has(254, "10.8.0.0/16", NULL, NET1)->other = true;
	has(254, "0.0.0.0/0", "192.168.0.253", NET1)->multipath = true;
	has(254, "10.9.0.0/16", NULL, NET1)->type = RTN_BLACKHOLE;
	f.first.index = 0;
	f.wanted = NET1;
	sends(997, "10.0.0.0/8", 200); /* somebody's, so another priority is taken */
	sends(996, NULL, 201)->other = true;
	tunes(&f,
	      "add 102: 0.0.0.0/0 via 192.168.0.253 dev 4\n"
	      "995: from 192.168.0.156/32 fwmark 0/1 lookup 102\n");
	f.wanted = 0;
	tunes(&f, "");
	/* where nobody is first, the lowest keeps it */
	routes[2].multipath = false;
	tunes(&f, "del-last 254: 0.0.0.0/0 via 192.168.0.253 dev 4\n");
}

static void priorities_run_out(void **state)
{
	struct tune_facts f = underlay(1);
	struct rule all[100];
	struct tune_there full = { routes, 0, all, 100 };
	struct tune_moves m;
	struct err e;

	(void)state;
	for (uint32_t i = 0; i < 100; i++)
		all[i] = (struct rule){ .family = 4, .priority = 900 + i, .table = 7 };
	assert_int_equal(tune_make(&full, &f, &m, &e), -1);
	assert_string_equal(e.msg, "no priority from 900 to 999 is free for a rule in the pod");
	all[0].priority = 5;
	f.nic.table = 4000;
	f.first.index = 0;
	OK(tune_make(&full, &f, &m, &e));
	assert_int_equal(m.n, 1);
	assert_int_equal(m.v[0].rule.priority, 900);
	tune_moves_release(&m);
}

static void tables_are_chosen(void **state)
{
	struct ip mine[] = { ip("192.168.0.156") };

	(void)state;
	assert_int_equal(tune_table(&there, "eth0", true, mine, 1), 101);
	assert_int_equal(tune_table(&there, "net1", false, mine, 1), 102);
	assert_int_equal(tune_table(&there, "net12", false, mine, 1), 113);
	assert_int_equal(tune_table(&there, "storage", false, mine, 1), 102);
	assert_int_equal(tune_table(&there, "net0", false, mine, 1), 102);
	assert_int_equal(tune_table(&there, "net4000000000", false, mine, 1), 102);
	assert_int_equal(tune_table(&there, "net152", false, mine, 1), 256); /* not the kernel's */
	has(102, "10.0.0.0/8", NULL, OTHER);
	sends(50, "10.0.0.0/8", 103);
	assert_int_equal(tune_table(&there, "net1", false, mine, 1), 104);
	/* what an earlier attempt chose stands, but other people's rules mean nothing */
	sends(997, "192.168.0.156/24", 300);
	sends(800, "192.168.0.156/32", 300);
	sends(997, "192.168.0.157/32", 300);
	assert_int_equal(tune_table(&there, "net1", false, mine, 1), 104);
	sends(997, "192.168.0.156/32", 103);
	assert_int_equal(tune_table(&there, "net1", false, mine, 1), 103);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_first_keeps_the_default_route, setup),
		cmocka_unit_test_setup(the_default_route_goes_where_it_is_wanted, setup),
		cmocka_unit_test_setup(the_default_route_comes_back, setup),
		cmocka_unit_test_setup(the_default_route_comes_back_late, setup),
		cmocka_unit_test_setup(what_is_wanted_may_have_none, setup),
		cmocka_unit_test_setup(families_have_owners_of_their_own, setup),
		cmocka_unit_test_setup(nexthops_are_moved_one_by_one, setup),
		cmocka_unit_test_setup(an_overlay_pod_has_no_marks, setup),
		cmocka_unit_test_setup(others_are_left_alone, setup),
		cmocka_unit_test_setup(priorities_run_out, setup),
		cmocka_unit_test_setup(tables_are_chosen, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
