/* SPDX-License-Identifier: Apache-2.0 */
/* links: datapath/conf.c datapath/plan.c net/ json/json.c */
/* links: base/ */
/* libs: cjson mnl */
/*
 * coordinator_test.c - what the coordinator decides by itself: whose value of a key counts, which
 * addresses are the node's, which routes, neighbours and rules there are to be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "datapath/plan.h"

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

static struct coordinator_conf read_conf(const char *nad, const char *agent)
{
	AUTO_JSON *n = parse(nad), *a = agent ? parse(agent) : NULL;
	struct coordinator_conf c;
	struct err e;

	if (coordinator_conf_read(n, a, &c, &e) < 0)
		fail_msg("%s", e.msg);
	return c;
}

static void has_defaults(void **state)
{
	AUTO_COORDINATOR_CONF c = read_conf("{\"type\":\"coordinator\"}", NULL);

	(void)state;
	assert_int_equal(c.mode, COORDINATOR_AUTO);
	assert_string_equal(c.default_nic, "eth0");
	assert_string_equal(c.default_route_nic, "");
	assert_int_equal(c.n_hijack, 0);
	assert_int_equal(c.n_policy, 0);
	assert_true(c.tune_pod_routes);
	assert_false(c.has_mac_prefix);
	assert_int_equal(c.host_rule_table, 500);
	assert_int_equal(c.rp_filter, 0);
	assert_int_equal(c.txqlen, 0);
	assert_int_equal(c.veth_mtu, 1500);
	assert_int_equal(c.veth_address.family, 0);
}

static void knows_its_keys(void **state)
{
	AUTO_JSON *all =
		parse("{\"cniVersion\":\"1.0.0\",\"cniVersions\":[],\"name\":\"n\","
	              "\"type\":\"coordinator\",\"capabilities\":{},\"runtimeConfig\":{},"
	              "\"args\":{},\"prevResult\":{},\"cni.dev/attachments\":[],\"mode\":\"\","
	              "\"podDefaultCniNic\":\"\",\"podDefaultRouteNic\":\"\","
	              "\"overlayPodCIDR\":[],\"serviceCIDR\":[],\"hijackCIDR\":[],"
	              "\"policyRoutes\":[],\"podMACPrefix\":\"\",\"tunePodRoutes\":true,"
	              "\"hostRuleTable\":500,\"podRPFilter\":0,\"hostRPFilter\":0,"
	              "\"txQueueLen\":0,\"vethLinkAddress\":\"\",\"vethMTU\":1500,"
	              "\"logOptions\":{},\"multusNicPrefix\":\"\",\"detectGateway\":true,"
	              "\"detectIPConflict\":true,\"detectOptions\":{},\"agent_socket\":\"\","
	              "\"ipam_unix_socket_path\":\"\",\"timeout_ms\":1,\"state_dir\":\"\","
	              "\"coordinator_file\":\"\"}");
	AUTO_JSON *wrong = parse("{\"podDefaultRouteNIC\":\"eth0\",\"hijackCIDRs\":[]}");
	AUTO_STR out = STR_INIT;

	(void)state;
	json_unknown(all, coordinator_conf_keys, &out);
	assert_string_equal(out.data, "");
	json_unknown(wrong, coordinator_conf_keys, &out);
	assert_string_equal(out.data,
	                    "\"podDefaultRouteNIC\" (is \"podDefaultRouteNic\" meant?), "
	                    "\"hijackCIDRs\"");
}

static const char agents[] =
	"{\"mode\":\"underlay\",\"overlayPodCIDR\":[\"10.233.64.0/18\"],"
	"\"serviceCIDR\":[\"10.233.0.0/18\",\"fd00:10::/108\"],\"hijackCIDR\":[\"169.254.0.0/"
	"16\",\"169.254.20.10\"],"
	"\"policyRoutes\":[{\"dst\":\"10.1.0.0/"
	"16\",\"gw\":\"172.31.207.253\"}],\"podMACPrefix\":\"\","
	"\"tunePodRoutes\":false,\"podDefaultRouteNIC\":\"net1\",\"vethLinkAddress\":\"169.254.100."
	"1\","
	"\"vethMTU\":1400,\"hostRuleTable\":600,\"podRPFilter\":2,\"txQueueLen\":10}";

static void takes_the_agents_values(void **state)
{
	AUTO_COORDINATOR_CONF c = read_conf("{\"mode\":\"\"}", agents);

	(void)state;
	assert_int_equal(c.mode, COORDINATOR_UNDERLAY);
	assert_string_equal(c.default_route_nic, "net1");
	assert_int_equal(c.n_hijack, 5);
	assert_string_equal(cidr_str(c.hijack[0]).s, "10.233.64.0/18");
	assert_string_equal(cidr_str(c.hijack[1]).s, "10.233.0.0/18");
	assert_string_equal(cidr_str(c.hijack[2]).s, "fd00:10::/108");
	assert_string_equal(cidr_str(c.hijack[3]).s, "169.254.0.0/16");
	assert_string_equal(cidr_str(c.hijack[4]).s, "169.254.20.10/32");
	assert_int_equal(c.n_policy, 1);
	assert_false(c.tune_pod_routes);
	assert_string_equal(ip_str(c.veth_address).s, "169.254.100.1");
	assert_int_equal(c.veth_mtu, 1400);
	assert_int_equal(c.host_rule_table, 600);
	assert_int_equal(c.rp_filter, 2);
	assert_int_equal(c.txqlen, 10);
}

static void own_keys_win(void **state)
{
	AUTO_COORDINATOR_CONF c = read_conf(
		"{\"mode\":\"disabled\",\"overlayPodCIDR\":[],\"serviceCIDR\":[\"10.96.1.2/12\"],"
		"\"hijackCIDR\":[\"10.96.0.0/12\",\"100.64.0.0/10\"],\"policyRoutes\":[],"
		"\"tunePodRoutes\":true,\"podDefaultRouteNic\":\"eth0\",\"vethLinkAddress\":\"\","
		"\"vethMTU\":9000,\"hostRuleTable\":700,\"podRPFilter\":-1,\"txQueueLen\":0,"
		"\"podDefaultCniNic\":\"net0\",\"hostRPFilter\":0,\"detectGateway\":true}",
		agents);

	(void)state;
	assert_int_equal(c.mode, COORDINATOR_DISABLE);
	assert_string_equal(c.default_nic, "net0");
	assert_string_equal(c.default_route_nic, "eth0");
	assert_int_equal(c.n_hijack, 2); /* replaced, not added to; each prefix once */
	assert_string_equal(cidr_str(c.hijack[0]).s, "10.96.0.0/12");
	assert_string_equal(cidr_str(c.hijack[1]).s, "100.64.0.0/10");
	assert_int_equal(c.n_policy, 0);
	assert_true(c.tune_pod_routes);
	assert_int_equal(c.veth_address.family, 0);
	assert_int_equal(c.veth_mtu, 9000);
	assert_int_equal(c.host_rule_table, 700);
	assert_int_equal(c.rp_filter, -1);
	assert_int_equal(c.txqlen, 0);
}

static void reads_modes_and_prefixes(void **state)
{
	AUTO_COORDINATOR_CONF a =
		read_conf("{\"mode\":\"disable\",\"podMACPrefix\":\"0a-1b\"}", NULL);
	AUTO_COORDINATOR_CONF b =
		read_conf("{\"mode\":\"overlay\",\"podMACPrefix\":\"0A:1B\"}", NULL);

	(void)state;
	assert_int_equal(a.mode, COORDINATOR_DISABLE);
	assert_int_equal(b.mode, COORDINATOR_OVERLAY);
	assert_true(a.has_mac_prefix && b.has_mac_prefix);
	assert_int_equal(a.mac_prefix[0], 0x0a);
	assert_int_equal(a.mac_prefix[1], 0x1b);
	assert_memory_equal(a.mac_prefix, b.mac_prefix, 2);
}

static void refuses(const char *nad, const char *agent, const char *message)
{
	AUTO_JSON *n = parse(nad), *a = agent ? parse(agent) : NULL;
	struct coordinator_conf c;
	struct err e;

	assert_int_equal(coordinator_conf_read(n, a, &c, &e), -1);
	assert_int_equal(e.kind, ERR_CONFIG);
	if (!strstr(e.msg, message))
		fail_msg("\"%s\" does not say \"%s\"", e.msg, message);
	assert_int_equal(coordinator_conf_read(n, a, &c, NULL), -1);
}

static void refuses_bad_values(void **state)
{
	(void)state;
	refuses("{\"mode\":\"off\"}", NULL,
	        "coordinator configuration: mode: \"off\" is not one of auto, underlay, overlay "
	        "and disabled");
	refuses("{\"mode\":1}", NULL, "mode");
	refuses("{\"serviceCIDR\":\"10.0.0.0/8\"}", NULL, "serviceCIDR");
	refuses("{\"serviceCIDR\":[\"10.0.0\"]}", NULL, "serviceCIDR");
	refuses("{\"hijackCIDR\":[\"10.0.0.0/33\"]}", NULL, "hijackCIDR");
	refuses("{}", "{\"hijackCIDR\":[\"x\"]}",
	        "the agent (SpiderCoordinator, or an annotation of the pod): hijackCIDR");
	refuses("{\"podDefaultCniNic\":\"a/b\"}", NULL, "podDefaultCniNic: \"a/b\"");
	refuses("{}", "{\"podDefaultRouteNIC\":\"0123456789abcdef\"}", "podDefaultRouteNic");
	refuses("{\"policyRoutes\":[{\"dst\":\"10.0.0.0/8\"}]}", NULL, "policyRoutes[0]: gw");
	refuses("{\"policyRoutes\":[{\"dst\":\"10.0.0.0/8\",\"gw\":\"fd00::1\"}]}", NULL,
	        "policyRoutes[0]: dst 10.0.0.0/8 and gw fd00::1 are of different families");
	refuses("{\"policyRoutes\":[7]}", NULL, "policyRoutes[0]: not an object");
	refuses("{\"podMACPrefix\":\"0a:1\"}", NULL, "podMACPrefix: \"0a:1\"");
	refuses("{\"podMACPrefix\":\"0b:1c\"}", NULL, "unicast");
	refuses("{\"podMACPrefix\":\"0a,1c\"}", NULL, "podMACPrefix");
	refuses("{\"podMACPrefix\":\" a:1c\"}", NULL, "podMACPrefix");
	refuses("{\"hostRuleTable\":254}", NULL,
	        "hostRuleTable: 254 is one of the kernel's own tables");
	refuses("{\"hostRuleTable\":-1}", NULL, "hostRuleTable: -1 is not between");
	refuses("{\"podRPFilter\":3}", NULL, "podRPFilter: 3 is not between -1 and 2");
	refuses("{\"podRPFilter\":-2}", NULL, "podRPFilter: -2 is not between -1 and 2");
	refuses("{\"txQueueLen\":1.5}", NULL, "txQueueLen");
	refuses("{\"vethMTU\":67}", NULL, "vethMTU: 67 is less than 68");
	refuses("{\"vethMTU\":65536}", NULL, "vethMTU");
	refuses("{\"vethLinkAddress\":\"169.254.1.1/32\"}", NULL, "vethLinkAddress");
	refuses("{\"tunePodRoutes\":\"true\"}", NULL, "tunePodRoutes");
}

static void limits_the_prefixes(void **state)
{
	AUTO_STR text = STR_INIT;

	(void)state;
	str_add(&text, "{\"hijackCIDR\":[");
	for (int i = 0; i <= COORDINATOR_CIDRS_MAX; i++)
		str_addf(&text, "%s\"10.%d.%d.0/24\"", i ? "," : "", i / 256, i % 256);
	str_add(&text, "]}");
	refuses(text.data, NULL, "hijackCIDR: more than 256 prefixes");
}

static void knows_when_the_agent_is_not_needed(void **state)
{
	AUTO_JSON *off = parse("{\"mode\":\"disabled\"}");
	AUTO_JSON *some = parse("{\"mode\":\"auto\",\"hijackCIDR\":[]}");
	AUTO_JSON *all = parse(agents);

	(void)state;
	assert_true(coordinator_conf_complete(off));
	assert_false(coordinator_conf_complete(some));
	assert_false(
		coordinator_conf_complete(all)); /* the agent's spelling of podDefaultRouteNic */
	json_set_str(all, "podDefaultRouteNic", "");
	assert_true(coordinator_conf_complete(all));
	json_set_null(all, "vethMTU");
	assert_false(coordinator_conf_complete(all));
	assert_string_equal(coordinator_default_nic(some), "eth0");
	json_set_str(some, "podDefaultCniNic", "net0");
	assert_string_equal(coordinator_default_nic(some), "net0");
	json_set_i64(some, "podDefaultCniNic", 3);
	assert_string_equal(coordinator_default_nic(some), "eth0");
}

static void names_the_nodes_end(void **state)
{
	struct link l = { .alias = "" };
	char name[IFNAMSIZ];

	(void)state;
	assert_false(coordinator_is_others(&l, "ab"));
	l.alias[0] = 'a';
	assert_true(coordinator_is_others(&l, "ab"));
	l.alias[1] = 'b';
	assert_false(coordinator_is_others(&l, "ab"));
	coordinator_host_veth("0123456789abcdef", name);
	assert_string_equal(name, "veth0123456789a");
	coordinator_host_veth("ab", name);
	assert_string_equal(name, "vethab");
}

/* A node with two cards, a bridge of docker, and a second address that the pod has. */
static const struct link links[] = {
	{ .index = 1, .name = "lo" },          { .index = 2, .name = "eth0" },
	{ .index = 3, .name = "eth1" },        { .index = 4, .name = "docker0" },
	{ .index = 5, .name = "vethab" },      { .index = 6, .name = "kube-ipvs0" },
	{ .index = 7, .name = "cilium_host" },
};

static size_t node_addrs(struct addr out[16])
{
	static const struct {
		int index;
		const char *address;
	} all[] = {
		{ 1, "127.0.0.1/8" },       { 1, "10.255.0.1/32" },  { 2, "172.31.199.183/20" },
		{ 2, "172.31.199.187/20" }, { 2, "fe80::1/64" },     { 3, "192.168.0.154/24" },
		{ 4, "172.17.0.1/16" },     { 5, "10.5.5.5/32" },    { 6, "10.233.0.1/32" },
		{ 7, "10.0.0.1/32" },       { 2, "169.254.9.9/16" }, { 3, "fd00::154/64" },
		{ 9, "10.9.9.9/32" },
	};
	const struct addr tentative = { .index = 2,
		                        .local = cidr("fd00::7/64"),
		                        .flags = IFA_F_TENTATIVE };

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		out[i] = (struct addr){ .index = all[i].index, .local = cidr(all[i].address) };
	out[ARRAY_LEN(all)] = tentative;
	return ARRAY_LEN(all) + 1;
}

static void lists_the_nodes_addresses(void **state)
{
	struct ip pod[] = { ip("172.31.199.187") };
	struct ip preferred[] = { ip("192.168.0.154"), ip("172.31.199.187"), ip("127.0.0.1") };
	struct addr addrs[16];
	size_t n_addrs = node_addrs(addrs), n;
	AUTO_FREE struct ip *out = NULL;

	(void)state;
	coordinator_node_ips(preferred, 3, links, ARRAY_LEN(links), addrs, n_addrs, pod, 1, &out,
	                     &n);
	assert_int_equal(n, 2);
	assert_string_equal(ip_str(out[0]).s, "192.168.0.154");
	assert_string_equal(ip_str(out[1]).s, "172.31.199.183");
}

static void lists_the_families_of_the_pod(void **state)
{
	struct ip pod[] = { ip("172.31.199.187"), ip("fd00::187") };
	struct addr addrs[16];
	size_t n_addrs = node_addrs(addrs), n;
	struct ip *out = NULL;

	(void)state;
	coordinator_node_ips(NULL, 0, links, ARRAY_LEN(links), addrs, n_addrs, pod, 2, &out, &n);
	assert_int_equal(n, 3);
	assert_string_equal(ip_str(out[0]).s, "172.31.199.183");
	assert_string_equal(ip_str(out[1]).s, "192.168.0.154");
	assert_string_equal(ip_str(out[2]).s, "fd00::154");
	free(out);
	coordinator_node_ips(NULL, 0, links, ARRAY_LEN(links), addrs, n_addrs, &pod[1], 1, &out,
	                     &n);
	assert_int_equal(n, 1);
	free(out);
	coordinator_node_ips(NULL, 0, NULL, 0, NULL, 0, pod, 2, &out, &n);
	assert_int_equal(n, 0);
	assert_null(out);
}

/* Interfaces that are asked for one by one give the same list, and few of them are asked for. */
static void asks_for_few_interfaces(void **state)
{
	struct ip pod[] = { ip("172.31.199.187"), ip("fd00::187") };
	struct ip preferred[] = { ip("172.31.199.183") };
	struct link known[ARRAY_LEN(links) + 1];
	struct addr addrs[32];
	AUTO_FREE struct ip *out = NULL;
	size_t n_addrs = node_addrs(addrs), n, asked = 0;
	AUTO_STR order = STR_INIT;
	int index;

	(void)state;
	/* pods' pairs have the second card's address; some kernels tell them first */
	memmove(addrs + 10, addrs, n_addrs * sizeof(*addrs));
	for (int i = 0; i < 10; i++)
		addrs[i] = (struct addr){ .index = 20 + i, .local = cidr("192.168.0.154/32") };
	n_addrs += 10;
	while ((index = coordinator_unknown_link(preferred, 1, known, asked, addrs, n_addrs, pod,
	                                         2))) {
		assert_in_range(asked, 0, ARRAY_LEN(links));
		str_addf(&order, "%d ", index);
		known[asked] = (struct link){ .index = index, .name = "lo" };
		for (size_t i = 0; i < ARRAY_LEN(links); i++)
			if (links[i].index == index)
				known[asked] = links[i];
		asked++;
	}
	/* 2: its address is preferred; 9: it has gone */
	assert_string_equal(order.data, "1 3 4 5 6 7 9 ");
	coordinator_node_ips(preferred, 1, known, asked, addrs, n_addrs, pod, 2, &out, &n);
	assert_int_equal(n, 3);
	assert_string_equal(ip_str(out[0]).s, "172.31.199.183");
	assert_string_equal(ip_str(out[1]).s, "192.168.0.154");
	assert_string_equal(ip_str(out[2]).s, "fd00::154");
	assert_int_equal(coordinator_unknown_link(NULL, 0, NULL, 0, NULL, 0, pod, 2), 0);
}

static void lists_the_pods_addresses(void **state)
{
	struct addr addrs[] = {
		{ .index = 1, .local = cidr("127.0.0.1/8") },
		{ .index = 2, .local = cidr("172.31.199.187/20") },
		{ .index = 2, .local = cidr("fe80::5/64") },
		{ .index = 2, .local = cidr("fd00::5/64") },
		{ .index = 3, .local = cidr("10.0.0.1/8") },
	};
	AUTO_FREE struct ip *out = NULL;
	size_t n;

	(void)state;
	coordinator_pod_ips(addrs, ARRAY_LEN(addrs), 2, &out, &n);
	assert_int_equal(n, 2);
	assert_string_equal(ip_str(out[0]).s, "172.31.199.187");
	assert_string_equal(ip_str(out[1]).s, "fd00::5");
}

/* "table: dst via gw dev oif src prefsrc scope", as a person reads it */
static char *route_text(const struct route *r)
{
	return xasprintf("%u: %s%s%s dev %d%s%s%s", r->table, cidr_str(r->dst).s,
	                 r->gw.family ? " via " : "", r->gw.family ? ip_str(r->gw).s : "", r->oif,
	                 r->prefsrc.family ? " src " : "",
	                 r->prefsrc.family ? ip_str(r->prefsrc).s : "",
	                 r->scope == RT_SCOPE_LINK ? " link" : "");
}

static void assert_routes(const struct route *v, size_t n, const char *const *want)
{
	size_t i;

	for (i = 0; i < n; i++) {
		AUTO_FREE char *text = route_text(&v[i]);

		assert_non_null(want[i]);
		assert_string_equal(text, want[i]);
	}
	assert_null(want[i]);
}

#define NIC 2
#define VETH 3
#define HOST_VETH 40

static void plans_the_guides_pod(void **state)
{
	AUTO_COORDINATOR_CONF c = read_conf(
		"{\"serviceCIDR\":[\"10.233.0.0/18\",\"fd00:10::/108\"],"
		"\"hijackCIDR\":[\"169.254.0.0/16\",\"172.31.199.183/32\"],"
		"\"policyRoutes\":[{\"dst\":\"10.8.0.1\",\"gw\":\"172.31.207.253\"},"
		"{\"dst\":\"fd08::/64\",\"gw\":\"fd00::1\"}]}",
		NULL);
	struct ip pod[] = { ip("172.31.199.187") };
	struct ip node[] = { ip("172.31.199.183"), ip("192.168.0.155") };
	struct coordinator_facts f = { .nic = NIC,
		                       .veth = VETH,
		                       .host_veth = HOST_VETH,
		                       .mac = { { 2, 0, 0, 0, 0, 1 } },
		                       .host_mac = { { 2, 0, 0, 0, 0, 2 } },
		                       .pod_ips = pod,
		                       .n_pod_ips = 1,
		                       .node_ips = node,
		                       .n_node_ips = 2,
		                       .table = 101,
		                       .lead4 = true,
		                       .lead6 = true };
	AUTO_COORDINATOR_PLAN p = { .n_pod_routes = 0 };
	const char *const in_pod[] = {
		"101: 172.31.199.183/32 dev 3 src 172.31.199.187 link",
		"254: 172.31.199.183/32 dev 3 src 172.31.199.187 link",
		"101: 192.168.0.155/32 dev 3 src 172.31.199.187 link",
		"254: 192.168.0.155/32 dev 3 src 172.31.199.187 link",
		"254: 10.233.0.0/18 via 172.31.199.183 dev 3 src 172.31.199.187",
		"254: 169.254.0.0/16 via 172.31.199.183 dev 3 src 172.31.199.187",
		"100: 0.0.0.0/0 via 172.31.199.183 dev 3 src 172.31.199.187",
		"254: 10.8.0.1/32 via 172.31.207.253 dev 2",
		NULL
	};
	const char *const on_node[] = { "500: 172.31.199.187/32 dev 40 src 172.31.199.183 link",
		                        NULL };

	(void)state;
	assert_int_equal(coordinator_plan_make(&c, &f, &p, NULL), 0);
	assert_routes(p.pod_routes, p.n_pod_routes, in_pod);
	assert_routes(p.host_routes, p.n_host_routes, on_node);
	assert_int_equal(p.n_pod_neighs, 2);
	assert_int_equal(p.pod_neighs[1].index, VETH);
	assert_int_equal(p.pod_neighs[1].mac.b[5], 2);
	assert_int_equal(p.pod_neighs[1].state, NUD_PERMANENT);
	assert_string_equal(ip_str(p.pod_neighs[1].ip).s, "192.168.0.155");
	assert_int_equal(p.n_host_neighs, 1);
	assert_int_equal(p.host_neighs[0].index, HOST_VETH);
	assert_int_equal(p.host_neighs[0].mac.b[5], 1);
	assert_string_equal(ip_str(p.host_neighs[0].ip).s, "172.31.199.187");
	assert_int_equal(p.n_pod_rules, 1);
	assert_int_equal(p.pod_rules[0].priority, 1000);
	assert_int_equal(p.pod_rules[0].table, 100);
	assert_int_equal(p.pod_rules[0].fwmark, 1);
	assert_int_equal(p.pod_rules[0].fwmask, 1);
	assert_int_equal(p.n_host_addrs, 1);
	assert_int_equal(p.host_addrs[0].index, HOST_VETH);
	assert_string_equal(ip_str(p.host_addrs[0].ip).s, "172.31.199.183");
	assert_int_equal(p.n_host_rules, 1);
	assert_int_equal(p.host_rules[0].priority, 1000);
	assert_int_equal(p.host_rules[0].table, 500);
	assert_int_equal(p.host_rules[0].fwmask, 0);
}

static void plans_both_families(void **state)
{
	AUTO_COORDINATOR_CONF c = read_conf(
		"{\"serviceCIDR\":[\"10.233.0.0/18\",\"fd00:10::/108\"],\"hostRuleTable\":600}",
		NULL);
	struct ip pod[] = { ip("172.31.199.187"), ip("fd00::187") };
	struct ip node[] = { ip("172.31.199.183"), ip("fd00::183") };
	struct coordinator_facts f = { .nic = NIC,
		                       .veth = VETH,
		                       .host_veth = HOST_VETH,
		                       .pod_ips = pod,
		                       .n_pod_ips = 2,
		                       .node_ips = node,
		                       .n_node_ips = 2,
		                       .table = 101,
		                       .lead4 = true,
		                       .lead6 = true };
	AUTO_COORDINATOR_PLAN p = { .n_pod_routes = 0 };
	const char *const in_pod[] = {
		"101: 172.31.199.183/32 dev 3 src 172.31.199.187 link",
		"254: 172.31.199.183/32 dev 3 src 172.31.199.187 link",
		"101: fd00::183/128 dev 3 link",
		"254: fd00::183/128 dev 3 link",
		"254: 10.233.0.0/18 via 172.31.199.183 dev 3 src 172.31.199.187",
		"100: 0.0.0.0/0 via 172.31.199.183 dev 3 src 172.31.199.187",
		"254: fd00:10::/108 via fd00::183 dev 3",
		"100: ::/0 via fd00::183 dev 3",
		NULL
	};
	const char *const on_node[] = { "600: 172.31.199.187/32 dev 40 src 172.31.199.183 link",
		                        "600: fd00::187/128 dev 40 src fd00::183 link", NULL };

	(void)state;
	assert_int_equal(coordinator_plan_make(&c, &f, &p, NULL), 0);
	assert_routes(p.pod_routes, p.n_pod_routes, in_pod);
	assert_routes(p.host_routes, p.n_host_routes, on_node);
	assert_int_equal(p.n_pod_rules, 2);
	assert_int_equal(p.pod_rules[1].family, 6);
	assert_int_equal(p.n_host_rules, 2);
	assert_int_equal(p.host_rules[1].family, 6);
	assert_int_equal(p.host_rules[1].table, 600);
}

/* A second card: everything in its own table, but the node's addresses are those of the first. */
static void plans_a_further_nic(void **state)
{
	AUTO_COORDINATOR_CONF c = read_conf(
		"{\"serviceCIDR\":[\"10.233.0.0/18\",\"fd00:10::/108\"],"
		"\"policyRoutes\":[{\"dst\":\"10.8.0.1\",\"gw\":\"192.168.0.253\"},"
		"{\"dst\":\"fd08::/64\",\"gw\":\"fd00:1::fd\"}]}",
		NULL);
	struct ip pod[] = { ip("192.168.0.156"), ip("fd00:1::156") };
	struct ip node[] = { ip("192.168.0.154"), ip("fd00:1::154"), ip("172.31.199.183") };
	struct coordinator_facts f = { .nic = NIC,
		                       .veth = VETH,
		                       .host_veth = HOST_VETH,
		                       .pod_ips = pod,
		                       .n_pod_ips = 2,
		                       .node_ips = node,
		                       .n_node_ips = 3,
		                       .table = 102,
		                       .lead6 = true,
		                       .src = ip("172.31.199.187") };
	AUTO_COORDINATOR_PLAN p = { .n_pod_routes = 0 };
	const char *const in_pod[] = {
		"102: 192.168.0.154/32 dev 3 src 172.31.199.187 link",
		"102: fd00:1::154/128 dev 3 link",
		"254: fd00:1::154/128 dev 3 link", /* the first with IPv6 */
		"102: 172.31.199.183/32 dev 3 src 172.31.199.187 link",
		"102: 10.233.0.0/18 via 192.168.0.154 dev 3 src 172.31.199.187",
		"254: fd00:10::/108 via fd00:1::154 dev 3",
		"102: fd00:10::/108 via fd00:1::154 dev 3",
		"100: ::/0 via fd00:1::154 dev 3",
		"102: 10.8.0.1/32 via 192.168.0.253 dev 2",
		"102: fd08::/64 via fd00:1::fd dev 2",
		NULL
	};
	const char *const on_node[] = { "500: 192.168.0.156/32 dev 40 src 192.168.0.154 link",
		                        "500: fd00:1::156/128 dev 40 src fd00:1::154 link", NULL };

	(void)state;
	assert_int_equal(coordinator_plan_make(&c, &f, &p, NULL), 0);
	assert_routes(p.pod_routes, p.n_pod_routes, in_pod);
	assert_routes(p.host_routes, p.n_host_routes, on_node);
	assert_int_equal(p.n_pod_rules, 1);
	assert_int_equal(p.pod_rules[0].family, 6);
	assert_int_equal(p.n_host_addrs, 1);
	assert_string_equal(ip_str(p.host_addrs[0].ip).s, "fd00:1::154");
	assert_int_equal(p.n_pod_neighs, 3);
	assert_int_equal(p.n_host_neighs, 2);
}

/* The pod's eth0 and its peer are another plugin's, and so is what they are called by. */
static void plans_an_overlay_pod(void **state)
{
	AUTO_COORDINATOR_CONF c = read_conf(
		"{\"overlayPodCIDR\":[\"10.233.64.0/18\"],"
		"\"policyRoutes\":[{\"dst\":\"10.8.0.1\",\"gw\":\"10.6.0.1\"}]}",
		NULL);
	struct ip pod[] = { ip("10.6.212.227") }, node[] = { ip("10.6.212.102") };
	struct coordinator_facts f = { .nic = NIC,
		                       .veth = VETH,
		                       .host_veth = HOST_VETH,
		                       .pod_ips = pod,
		                       .n_pod_ips = 1,
		                       .node_ips = node,
		                       .n_node_ips = 1,
		                       .table = 101,
		                       .overlay = true,
		                       .lead4 = true,
		                       .src = ip("10.233.105.154") };
	AUTO_COORDINATOR_PLAN p = { .n_pod_routes = 0 };
	const char *const in_pod[] = {
		"101: 10.6.212.102/32 dev 3 src 10.233.105.154 link",
		"254: 10.6.212.102/32 dev 3 src 10.233.105.154 link",
		"254: 10.233.64.0/18 via 10.6.212.102 dev 3 src 10.233.105.154",
		"101: 10.233.64.0/18 via 10.6.212.102 dev 3 src 10.233.105.154",
		"101: 10.8.0.1/32 via 10.6.0.1 dev 2",
		NULL
	};

	(void)state;
	assert_int_equal(coordinator_plan_make(&c, &f, &p, NULL), 0);
	assert_routes(p.pod_routes, p.n_pod_routes, in_pod);
	assert_int_equal(p.n_pod_rules, 0);
	assert_int_equal(p.n_host_addrs, 0);
	assert_int_equal(p.n_host_rules, 1);
	assert_int_equal(p.n_host_routes, 1);
}

static void says_what_the_node_lacks(void **state)
{
	AUTO_COORDINATOR_CONF c = read_conf("{}", NULL);
	struct ip pod[] = { ip("fd00::187") }, node[] = { ip("172.31.199.183") };
	struct coordinator_facts f = {
		.pod_ips = pod, .n_pod_ips = 1, .node_ips = node, .n_node_ips = 1
	};
	AUTO_COORDINATOR_PLAN p = { .n_pod_routes = 0 };
	struct err e;

	(void)state;
	assert_int_equal(coordinator_plan_make(&c, &f, &p, &e), -1);
	assert_int_equal(e.kind, ERR_CONFIG);
	assert_string_equal(
		e.msg,
		"this node has no IPv6 address by which pod address fd00::187 could reach it");
	assert_null(p.pod_routes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_defaults),
		cmocka_unit_test(knows_its_keys),
		cmocka_unit_test(takes_the_agents_values),
		cmocka_unit_test(own_keys_win),
		cmocka_unit_test(reads_modes_and_prefixes),
		cmocka_unit_test(refuses_bad_values),
		cmocka_unit_test(limits_the_prefixes),
		cmocka_unit_test(knows_when_the_agent_is_not_needed),
		cmocka_unit_test(names_the_nodes_end),
		cmocka_unit_test(lists_the_nodes_addresses),
		cmocka_unit_test(lists_the_families_of_the_pod),
		cmocka_unit_test(asks_for_few_interfaces),
		cmocka_unit_test(lists_the_pods_addresses),
		cmocka_unit_test(plans_the_guides_pod),
		cmocka_unit_test(plans_both_families),
		cmocka_unit_test(plans_a_further_nic),
		cmocka_unit_test(plans_an_overlay_pod),
		cmocka_unit_test(says_what_the_node_lacks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
