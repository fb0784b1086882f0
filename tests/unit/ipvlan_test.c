/* SPDX-License-Identifier: Apache-2.0 */
/* links: plugins/ipvlan_conf.c plugins/ipvlan_port.c cni/ net/ json/json.c base/ */
/* libs: cjson mnl */
/*
 * ipvlan_test.c - what the ipvlan plugin decides by itself: configuration, master, result, routes;
 * and what it says of siblings.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "cni/state.h"
#include "plugins/ipvlan_conf.h"
#include "plugins/ipvlan_port.h"

static json *parse(const char *text)
{
	json *j = NULL;
	struct err e;

	if (json_parse(text, strlen(text), 0, &j, &e) < 0)
		fail_msg("%s", e.msg);
	return j;
}

static struct ip ip(const char *s)
{
	struct ip a;

	assert_int_equal(ip_parse(s, &a, NULL), 0);
	return a;
}

static struct cidr cidr(const char *s)
{
	struct cidr c;

	assert_int_equal(cidr_parse(s, &c, NULL), 0);
	return c;
}

static void reads_what_a_controller_writes(void **state)
{
	AUTO_JSON *j =
		parse("{\"type\":\"ipvlan\",\"master\":\"eth0\",\"mtu\":0,"
	              "\"ipam\":{\"type\":\"spiderpool\"}}");
	struct ipvlan_conf c;

	(void)state;
	assert_int_equal(ipvlan_conf_read(j, &c, NULL), 0);
	assert_string_equal(c.master, "eth0");
	assert_int_equal(c.mode, IPVLAN_MODE_L2);
	assert_int_equal(c.flags, 0);
	assert_int_equal(c.mtu, 0);
	assert_false(c.link_in_container);
	assert_string_equal(c.ipam_type, "spiderpool");
	assert_null(c.dns);
}

static void reads_every_key(void **state)
{
	AUTO_JSON *j =
		parse("{\"master\":\"bond0.100\",\"mode\":\"l3s\",\"mtu\":9000,\"flag\":\"vepa\","
	              "\"linkInContainer\":true,\"dns\":{\"domain\":\"x\"}}");
	struct ipvlan_conf c;

	(void)state;
	assert_int_equal(ipvlan_conf_read(j, &c, NULL), 0);
	assert_string_equal(c.master, "bond0.100");
	assert_int_equal(c.mode, IPVLAN_MODE_L3S);
	assert_int_equal(c.flags, IPVLAN_F_VEPA);
	assert_int_equal(c.mtu, 9000);
	assert_true(c.link_in_container);
	assert_string_equal(c.ipam_type, "");
	assert_non_null(c.dns);
	assert_string_equal(ipvlan_mode_text(c.mode), "l3s");
	assert_string_equal(ipvlan_mode_text(-1), "unknown");
	assert_string_equal(ipvlan_mode_text(3), "unknown");
	assert_string_equal(ipvlan_flag_text(0), "bridge");
	assert_string_equal(ipvlan_flag_text(IPVLAN_F_PRIVATE), "private");
	assert_string_equal(ipvlan_flag_text(IPVLAN_F_PRIVATE | IPVLAN_F_VEPA), "unknown");
}

static void refuses(const char *text, const char *message)
{
	AUTO_JSON *j = parse(text);
	struct ipvlan_conf c;
	struct err e;

	assert_int_equal(ipvlan_conf_read(j, &c, &e), -1);
	assert_int_equal(e.kind, ERR_CONFIG);
	if (!strstr(e.msg, message))
		fail_msg("\"%s\" does not say \"%s\"", e.msg, message);
	assert_int_equal(ipvlan_conf_read(j, &c, NULL), -1);
}

static void refuses_bad_values(void **state)
{
	(void)state;
	refuses("{\"mode\":\"bridge\"}", "mode: \"bridge\" is not one of l2, l3 and l3s");
	refuses("{\"flag\":\"l2\"}", "flag: \"l2\" is not one of bridge, private and vepa");
	refuses("{\"flag\":1}", "flag");
	refuses("{\"mtu\":-1}", "mtu: -1 is not between 0 and 65535");
	refuses("{\"mtu\":65536}", "mtu: 65536 is not between 0 and 65535");
	refuses("{\"mtu\":\"1500\"}", "mtu");
	refuses("{\"master\":1}", "master");
	refuses("{\"linkInContainer\":\"true\"}", "linkInContainer");
	refuses("{\"ipam\":\"host-local\"}", "ipam");
	refuses("{\"ipam\":{\"type\":[]}}", "ipam: type");
	refuses("{\"dns\":[]}", "dns");
}

/* Every key that is read, and what runtimes and Multus put beside them; the rest is named. */
static void knows_its_keys(void **state)
{
	AUTO_JSON *all =
		parse("{\"cniVersion\":\"1.0.0\",\"cniVersions\":[],\"name\":\"n\","
	              "\"type\":\"ipvlan\",\"capabilities\":{},\"runtimeConfig\":{},\"args\":{},"
	              "\"prevResult\":{},\"cni.dev/valid-attachments\":[],\"deviceID\":\"\","
	              "\"pciBusID\":\"\",\"master\":\"\",\"mode\":\"\",\"flag\":\"\",\"mtu\":0,"
	              "\"linkInContainer\":false,\"dns\":{},\"ipam\":{\"mtu\":1,\"x\":1}}");
	AUTO_JSON *wrong = parse("{\"Master\":\"eth0\",\"vlan\":5,\"ipMasq\":true}");
	AUTO_STR out = STR_INIT;

	(void)state;
	json_unknown(all, ipvlan_conf_keys, &out);
	assert_string_equal(out.data, "");
	json_unknown(wrong, ipvlan_conf_keys, &out);
	assert_string_equal(out.data, "\"Master\" (is \"master\" meant?), \"vlan\", \"ipMasq\"");
}

static void takes_the_only_interface_of_the_chain(void **state)
{
	struct cni_interface two[2] = { { .name = "bond0" }, { .name = "x" } };
	struct cni_result prev = { .interfaces = two, .n_interfaces = 1 };
	const char *master = NULL;
	struct err e;

	(void)state;
	assert_int_equal(ipvlan_chained_master(&prev, &master, NULL), 0);
	assert_string_equal(master, "bond0");
	prev.n_interfaces = 2;
	assert_int_equal(ipvlan_chained_master(&prev, &master, &e), -1);
	assert_int_equal(e.kind, ERR_CONFIG);
	assert_non_null(strstr(e.msg, "2 interfaces"));
	prev.n_interfaces = 0;
	assert_int_equal(ipvlan_chained_master(&prev, &master, NULL), -1);
	prev.n_interfaces = 1;
	two[0].name[0] = '\0';
	assert_int_equal(ipvlan_chained_master(&prev, &master, NULL), -1);
}

static void takes_the_first_default_route(void **state)
{
	struct route r[] = {
		{ .dst = cidr("10.0.0.0/8"), .oif = 1, .type = RTN_UNICAST },
		{ .dst = cidr("0.0.0.0/0"), .oif = 7, .type = RTN_UNICAST, .multipath = true },
		{ .dst = cidr("0.0.0.0/0"), .oif = 9, .type = RTN_BLACKHOLE },
		{ .dst = cidr("0.0.0.0/0"), .oif = 3, .type = RTN_UNICAST },
		{ .dst = cidr("0.0.0.0/0"), .oif = 4, .type = RTN_UNICAST },
	};

	(void)state;
	assert_int_equal(ipvlan_default_master(r, ARRAY_LEN(r)), 3);
	assert_int_equal(ipvlan_default_master(r, 3), 0);
	assert_int_equal(ipvlan_default_master(NULL, 0), 0);
}

static void finds_an_address_of_the_node(void **state)
{
	struct cni_ip ips[] = { { .address = cidr("172.31.199.185/20") },
		                { .address = cidr("172.31.199.183/20") } };
	struct cni_result r = { .ips = ips, .n_ips = 2 };
	struct addr node[] = { { .local = cidr("127.0.0.1/8") },
		               { .local = cidr("172.31.199.183/20") } };

	(void)state;
	assert_ptr_equal(ipvlan_own_address(&r, node, 2), &ips[1]);
	assert_null(ipvlan_own_address(&r, node, 1));
}

static void describes_one_interface(void **state)
{
	struct link l = {
		.name = "eth0", .mtu = 1500, .has_mac = true, .mac = { { 0, 0x16, 0x3e, 0, 0, 1 } }
	};
	struct cni_ip ips[] = { { .address = cidr("172.31.199.185/20"), .interface = -1 },
		                { .address = cidr("fd00::5/64"), .interface = 7 } };
	struct cni_result r = { .ips = ips, .n_ips = 2, .dns = parse("{\"domain\":\"pool\"}") };
	AUTO_JSON *empty = parse("{}"), *own = parse("{\"domain\":\"network\"}");

	(void)state;
	r.interfaces = xcalloc(3, sizeof(*r.interfaces));
	r.n_interfaces = 3;
	ipvlan_result(&r, &l, "/var/run/netns/p", empty);
	assert_int_equal(r.n_interfaces, 1);
	assert_string_equal(r.interfaces[0].name, "eth0");
	assert_string_equal(r.interfaces[0].mac, "00:16:3e:00:00:01");
	assert_string_equal(r.interfaces[0].sandbox, "/var/run/netns/p");
	assert_int_equal(r.interfaces[0].mtu, 1500);
	assert_int_equal(ips[0].interface, 0);
	assert_int_equal(ips[1].interface, 0);
	assert_string_equal(json_str_at(r.dns, "domain", NULL), "pool");
	ipvlan_result(&r, &l, "/var/run/netns/p", own);
	assert_string_equal(json_str_at(r.dns, "domain", NULL), "network");
	json_free(r.dns);
	free(r.interfaces);
}

static void routes_by_their_own_gateway_or_the_first(void **state)
{
	struct cni_ip ips[] = {
		{ .address = cidr("172.31.199.185/20") },
		{ .address = cidr("172.31.199.186/20"), .gateway = ip("172.31.207.253") },
		{ .address = cidr("172.31.199.187/20"), .gateway = ip("172.31.207.254") },
	};
	struct cni_result r = { .ips = ips, .n_ips = 3 };
	struct cni_route def = { .dst = cidr("0.0.0.0/0") };
	struct cni_route own = { .dst = cidr("10.1.2.3/8"), .gw = ip("172.31.192.1") };
	struct cni_route six = { .dst = cidr("fd01::/64") };
	struct cni_route full = { .dst = cidr("10.9.0.0/16"),
		                  .table = 1000,
		                  .priority = 9,
		                  .has_scope = true,
		                  .scope = RT_SCOPE_SITE };
	struct route t = ipvlan_route(&r, &def, 5);

	(void)state;
	assert_int_equal(t.oif, 5);
	assert_string_equal(ip_str(t.gw).s, "172.31.207.253");
	assert_int_equal(t.scope, RT_SCOPE_UNIVERSE);
	t = ipvlan_route(&r, &own, 5);
	assert_string_equal(ip_str(t.gw).s, "172.31.192.1");
	assert_string_equal(cidr_str(t.dst).s, "10.0.0.0/8");
	assert_int_equal(t.table, 0);
	t = ipvlan_route(&r, &full, 5);
	assert_int_equal(t.table, 1000);
	assert_int_equal(t.priority, 9);
	assert_int_equal(t.scope, RT_SCOPE_SITE);
	full.scope = RT_SCOPE_LINK;
	t = ipvlan_route(&r, &full, 5);
	assert_int_equal(t.gw.family, 0);
	assert_int_equal(t.scope, RT_SCOPE_LINK);
	t = ipvlan_route(&r, &six, 5);
	assert_int_equal(t.gw.family, 0);
	assert_int_equal(t.scope, RT_SCOPE_LINK);
}

static void compares_mtus(void **state)
{
	struct link master = { .name = "eth0", .mtu = 1500 };
	struct ipvlan_conf c = { .mtu = 1500 };
	struct err e;

	(void)state;
	assert_int_equal(ipvlan_check_mtu(&c, &master, &e), 0);
	c.mtu = 1501;
	assert_int_equal(ipvlan_check_mtu(&c, &master, &e), -1);
	assert_int_equal(e.kind, ERR_CONFIG);
	assert_string_equal(e.msg, "mtu: 1501 is larger than 1500, that of master eth0");
}

/* A folder of this test's, and below it what it says. */
static char folder[64], netns[100];

static int setup(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/ipvlan_test.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(netns, sizeof(netns), "%s/netns/p", folder);
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command); /* NOLINT: a test's own temporary folder */
}

static void siblings_have_one_mode_and_flag(void **state)
{
	struct link master = { .name = "eth0", .index = 7 }, other = { .index = 8 };
	struct link sibling = { .name = "net1",
		                .ipvlan_mode = IPVLAN_MODE_L2,
		                .ipvlan_flags = IPVLAN_F_VEPA };
	bool differs = false;
	struct err e;

	(void)state;
	assert_int_equal(ipvlan_port_compare(&sibling, "/run/netns/x", &master, IPVLAN_MODE_L2,
	                                     IPVLAN_F_VEPA, &e),
	                 0);
	assert_int_equal(
		ipvlan_port_compare(&sibling, "/run/netns/x", &master, IPVLAN_MODE_L2, 0, &e), -1);
	assert_int_equal(e.kind, ERR_CONFIG);
	assert_string_equal(e.msg,
	                    "flag: eth0 has vepa for all of its ipvlan interfaces, such as net1 in "
	                    "/run/netns/x, and the kernel would change them to bridge: use the "
	                    "same for all networks on eth0");
	assert_int_equal(ipvlan_port_compare(&sibling, "the pod", &master, IPVLAN_MODE_L3,
	                                     IPVLAN_F_VEPA, &e),
	                 -1);
	assert_string_equal(e.msg,
	                    "mode: eth0 has l2 for all of its ipvlan interfaces, such as net1 in "
	                    "the pod, and the kernel would change them to l3: use the same for all "
	                    "networks on eth0");

	/* with nobody there all is well, and is noted */
	for (int mode = IPVLAN_MODE_L2; mode <= IPVLAN_MODE_L3S; mode++) {
		assert_int_equal(ipvlan_port_check(folder, netns, &master, mode, 0, &differs, &e),
		                 0);
		assert_true(differs);
		ipvlan_port_note(folder, &master, mode, 0);
		assert_int_equal(ipvlan_port_check(folder, netns, &master, mode, 0, &differs, &e),
		                 0);
		assert_false(differs);
		assert_int_equal(ipvlan_port_check(folder, netns, &master, mode, IPVLAN_F_PRIVATE,
		                                   &differs, &e),
		                 0);
		assert_true(differs);
		assert_int_equal(ipvlan_port_check(folder, netns, &other, mode, 0, &differs, &e),
		                 0);
		assert_true(differs);
	}
}

static void records(char *id, char *pod, const char *address)
{
	char eth0[] = "eth0", ns[] = "default", where[] = "/run/netns/y";
	struct cidr c = cidr(address);
	struct attachment a = { .container_id = id,
		                .ifname = eth0,
		                .netns = where,
		                .pod_namespace = ns,
		                .pod_name = pod,
		                .addresses = &c,
		                .n_addresses = 1 };

	assert_int_equal(attachment_write(folder, &a, NULL), 0);
}

static void holds(const char *address, const char *want)
{
	AUTO_FREE char *text = ipvlan_holder(folder, "aaa", "eth0", netns, 7, ip(address));

	assert_string_equal(text, want);
}

static void holders_are_named(void **state)
{
	char own[] = "aaa", long_id[] = "0123456789abcdef", short_id[] = "bbb", pod[] = "web-0",
	     none[] = "";

	(void)state;
	holds("10.0.0.1", "one of a pod that still exists on this node");
	records(own, pod, "10.0.0.1/24");
	holds("10.0.0.1", "one of a pod that still exists on this node");
	records(long_id, pod, "10.0.0.1/24");
	holds("10.0.0.1", "eth0 of pod default/web-0 (container 0123456789abc) in /run/netns/y");
	records(short_id, none, "fd00::1/64");
	holds("fd00::1", "eth0 of container bbb in /run/netns/y");
	holds("10.0.0.2", "one of a pod that still exists on this node");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_a_controller_writes),
		cmocka_unit_test(reads_every_key),
		cmocka_unit_test(knows_its_keys),
		cmocka_unit_test(refuses_bad_values),
		cmocka_unit_test(takes_the_only_interface_of_the_chain),
		cmocka_unit_test(takes_the_first_default_route),
		cmocka_unit_test(finds_an_address_of_the_node),
		cmocka_unit_test(describes_one_interface),
		cmocka_unit_test(routes_by_their_own_gateway_or_the_first),
		cmocka_unit_test(compares_mtus),
		cmocka_unit_test(siblings_have_one_mode_and_flag),
		cmocka_unit_test(holders_are_named),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
