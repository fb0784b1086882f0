/* SPDX-License-Identifier: Apache-2.0 */
/* links: ctl/ store/store.c store/dir.c store/dir_watch.c k8s/ippool.c k8s/labels.c pool/ net/ip.c json/ base/ */
/* libs: cjson yaml */
/*
 * ctl_test.c - tables to the character, addresses looked up, manifests checked and applied.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "ctl/apply.h"
#include "ctl/get.h"
#include "ctl/lookup.h"
#include "ctl/table.h"
#include "json/yaml.h"

/* Directories only here: what speaks to an API server is not linked. */
int store_open_kube(const char *path, const char *context, struct store **out, struct err *e);
int store_open_kube(const char *path, const char *context, struct store **out, struct err *e)
{
	(void)path;
	(void)context;
	(void)out;
	return err_set(e, ERR_CONFIG, "no API server in this test");
}

static json *yaml(const char *text)
{
	struct err e;
	json *j = NULL;

	if (yaml_parse_all(text, strlen(text), &j, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	return j;
}

/* The guide's pools after its applications have started. */
static const char guide_pools[] =
	"metadata: {name: master-172}\n"
	"spec: {ipVersion: 4, subnet: 172.31.192.0/20, default: true, disable: false,\n"
	"  ips: [172.31.199.185-172.31.199.189], gateway: 172.31.207.253,\n"
	"  nodeName: [master], multusName: [kube-system/ipvlan-eth0]}\n"
	"status:\n"
	"  allocatedIPCount: 1\n"
	"  totalIPCount: 5\n"
	"  allocatedIPs: '{\"172.31.199.187\":{\"pod\":\"default/test-app-1-ddlx7\",\n"
	"    \"podUid\":\"u1\",\"nic\":\"eth0\",\"cid\":\"c1\"}}'\n"
	"---\n"
	"metadata: {name: master-192}\n"
	"spec: {ipVersion: 4, subnet: 192.168.0.0/24, default: true, disable: false,\n"
	"  ips: [192.168.0.156-192.168.0.160], excludeIPs: [192.168.0.156], gateway: "
	"192.168.0.253,\n"
	"  nodeName: [master], multusName: [kube-system/ipvlan-eth1]}\n"
	"status:\n"
	"  allocatedIPCount: 1\n"
	"  totalIPCount: 5\n"
	"  allocatedIPs: '{\"192.168.0.170\":{\"pod\":\"default/old\",\"podUid\":\"u2\"}}'\n"
	"---\n"
	"metadata: {name: worker-172}\n"
	"spec: {ipVersion: 4, subnet: 172.31.192.0/20, default: true, disable: false,\n"
	"  ips: [172.31.199.190-172.31.199.194], gateway: 172.31.207.253,\n"
	"  nodeName: [worker], multusName: [kube-system/ipvlan-eth0]}\n"
	"status: {allocatedIPCount: 1, totalIPCount: 5}\n";

static const char endpoints[] =
	"metadata: {name: test-app-1-ddlx7, namespace: default}\n"
	"status: {current: {uid: u1, node: master, ips: [{interface: eth0, ipv4Pool: master-172,\n"
	"  ipv4: 172.31.199.187/20}]}}\n"
	"---\n"
	"metadata: {name: six, namespace: kube-system}\n"
	"status: {current: {uid: u9, node: worker, ips: [{interface: net1, ipv6Pool: p6,\n"
	"  ipv6: \"fd00::5/64\"}]}}\n"
	"---\n"
	"metadata: {name: young, namespace: kube-system}\n";

static const char reserved[] =
	"metadata: {name: printers}\n"
	"spec: {ips: [172.31.199.186, 192.168.0.156-192.168.0.157]}\n";

static void expect_table(enum store_kind kind, const char *objects, bool wide, bool all,
                         const char *expected)
{
	AUTO_JSON *items = yaml(objects);
	AUTO_STR out = STR_INIT;

	get_table(kind, items, wide, all, 1700000000, &out);
	assert_string_equal(out.data, expected);
}

static void tables(void **state)
{
	(void)state;
	expect_table(STORE_IPPOOL, guide_pools, false, false,
	             "NAME         VERSION   SUBNET            ALLOCATED-IP-COUNT   "
	             "TOTAL-IP-COUNT   DEFAULT\n"
	             "master-172   4         172.31.192.0/20   1                    "
	             "5                true\n"
	             "master-192   4         192.168.0.0/24    1                    "
	             "5                true\n"
	             "worker-172   4         172.31.192.0/20   1                    "
	             "5                true\n");
	/* nobody has filled in anything yet: blanks, as kubectl prints them */
	expect_table(STORE_IPPOOL, "metadata: {name: a}\nspec: {subnet: 10.0.0.0/24}\n", true, true,
	             "NAME   VERSION   SUBNET        ALLOCATED-IP-COUNT   TOTAL-IP-COUNT   "
	             "DEFAULT   DISABLE   NODENAME   MULTUSNAME   APP-NAMESPACE\n"
	             "a                10.0.0.0/24                                         "
	             "                                            \n");
	expect_table(STORE_IPPOOL,
	             "metadata: {name: a}\n"
	             "spec: {subnet: 10.0.0.0/24, nodeName: [n1, n2], disable: true,\n"
	             "  podAffinity: {matchLabels: {ipam.spidernet.io/app-namespace: shop}}}\n",
	             true, false,
	             "NAME   VERSION   SUBNET        ALLOCATED-IP-COUNT   TOTAL-IP-COUNT   "
	             "DEFAULT   DISABLE   NODENAME      MULTUSNAME   APP-NAMESPACE\n"
	             "a                10.0.0.0/24                                         "
	             "          true      [\"n1\",\"n2\"]                shop\n");
	expect_table(STORE_ENDPOINT, endpoints, false, true,
	             "NAMESPACE     NAME               INTERFACE   IPV4POOL     IPV4             "
	             "   IPV6POOL   IPV6         NODE\n"
	             "default       test-app-1-ddlx7   eth0        master-172   "
	             "172.31.199.187/20                           master\n"
	             "kube-system   six                net1                                      "
	             "   p6         fd00::5/64   worker\n"
	             "kube-system   young                                                        "
	             "                           \n");
	expect_table(STORE_RESERVEDIP, reserved, false, false, "NAME       VERSION\nprinters   \n");
	expect_table(STORE_NAD,
	             "metadata: {name: nad, creationTimestamp: \"2023-11-14T22:12:00Z\"}\n", false,
	             false, "NAME   AGE\nnad    80s\n");
}

static void narrow_and_hostile_cells(void **state)
{
	static const char *const cells[] = { "A", "B", "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9",
		                             "x", "y", "\x1b[31m" };
	AUTO_STR out = STR_INIT;
	AUTO_TABLE t;

	(void)state;
	table_init(&t, 2);
	for (size_t i = 0; i < ARRAY_LEN(cells); i++)
		table_add(&t, cells[i]);
	table_print(&t, &out);
	/* counted in characters; a terminal's escape does not get through */
	assert_string_equal(out.data,
	                    "A      B\n\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9   x\n"
	                    "y      ?[31m\n");
}

static void ages(void **state)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} cases[] = {
		{ -5, "0s" },       { 119, "119s" },    { 120, "2m" },      { 303, "5m3s" },
		{ 1020, "17m" },    { 12000, "3h20m" }, { 14400, "4h" },    { 93600, "26h" },
		{ 273600, "3d4h" }, { 259200, "3d" },   { 1036800, "12d" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_FREE char *age = get_age(cases[i].seconds);

		assert_string_equal(age, cases[i].text);
	}
}

static void kinds(void **state)
{
	static const char *const pools[] = { "sp",
		                             "ippools",
		                             "SpiderIPPool",
		                             "spiderippools",
		                             "spiderippools.spiderpool.spidernet.io",
		                             "spiderippool.v2beta1.spiderpool.spidernet.io" };
	enum store_kind kind;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pools); i++) {
		kind = STORE_N_KINDS;
		assert_int_equal(get_kind(pools[i], &kind, &e), 0);
		assert_int_equal(kind, STORE_IPPOOL);
	}
	assert_int_equal(get_kind("sp.example.com", &kind, &e), -1);
	assert_int_equal(e.kind, ERR_USAGE);
	assert_int_equal(get_kind("pool", &kind, &e), -1);
	assert_string_equal(e.msg,
	                    "there is no kind \"pool\" here: try ippools, endpoints or "
	                    "reservedips");
}

static void shown_documents(void **state)
{
	AUTO_JSON *items =
		yaml("metadata: {name: a, managedFields: [{manager: m}]}\n---\n"
	             "metadata: {name: b}\n");
	AUTO_JSON *one = get_document(items, true);
	AUTO_JSON *all = get_document(items, false);
	AUTO_STR out = STR_INIT;

	(void)state;
	json_print(one, &out);
	assert_string_equal(out.data, "{\"metadata\":{\"name\":\"a\"}}");
	str_reset(&out, 0);
	json_print(all, &out);
	assert_string_equal(out.data,
	                    "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":["
	                    "{\"metadata\":{\"name\":\"a\"}},{\"metadata\":{\"name\":\"b\"}}],"
	                    "\"metadata\":{\"resourceVersion\":\"\"}}");
}

static void names_and_order(void **state)
{
	AUTO_JSON *items =
		yaml("metadata: {name: b, namespace: nn}\n---\n"
	             "metadata: {name: a-b, namespace: nn}\n---\n"
	             "metadata: {name: z, namespace: m}\n---\n"
	             "metadata: {name: a, namespace: nn}\n");
	AUTO_JSON *sorted = get_sorted(items);
	AUTO_STR out = STR_INIT;

	(void)state;
	get_names(STORE_ENDPOINT, sorted, &out);
	assert_string_equal(out.data,
	                    "spiderendpoint.spiderpool.spidernet.io/z\n"
	                    "spiderendpoint.spiderpool.spidernet.io/a\n"
	                    "spiderendpoint.spiderpool.spidernet.io/a-b\n"
	                    "spiderendpoint.spiderpool.spidernet.io/b\n");
}

/* What is printed reads back as what it was. */
static void yaml_round_trip(void **state)
{
	static const char text[] =
		"a: text\n"
		"b: \"10.0.0.1\"\n"
		"c: \"true\"\n"
		"d: \"x: y # z\"\n"
		"e: \"two\\nlines\"\n"
		"f: 5\n"
		"g: null\n"
		"h: []\n"
		"i: {}\n"
		"j:\n"
		"- k: l\n"
		"  m:\n"
		"  - nn\n"
		"  - o:\n"
		"      p: false\n"
		"-\n"
		"  - \"\"\n"
		"\"8\": \"-\"\n";
	AUTO_JSON *all = yaml(text);
	AUTO_STR out = STR_INIT;
	struct err e;
	json *again;

	(void)state;
	get_yaml(json_first(all), &out);
	assert_string_equal(out.data, text);
	assert_int_equal(yaml_parse(out.data, out.len, &again, &e), 0);
	assert_true(json_equal(json_first(all), again));
	json_free(again);
}

static void expect_lookup(const char *address, bool found, const char *expected)
{
	AUTO_JSON *p = yaml(guide_pools);
	AUTO_JSON *r = yaml(reserved);
	AUTO_JSON *ep = yaml(endpoints);
	AUTO_JSON *report = NULL;
	AUTO_STR out = STR_INIT;
	struct ip ip;

	assert_int_equal(ip_parse(address, &ip, NULL), 0);
	report = lookup_report(p, r, ep, false, ip);
	lookup_text(report, &out);
	assert_string_equal(out.data, expected);
	assert_int_equal(lookup_found(report), found);
}

static void lookup(void **state)
{
	(void)state;
	expect_lookup("172.31.199.187", true,
	              "172.31.199.187 is allocated\n"
	              "  pool       master-172\n"
	              "  subnet     172.31.192.0/20\n"
	              "  pod        default/test-app-1-ddlx7\n"
	              "  pod uid    u1\n"
	              "  node       master\n"
	              "  interface  eth0\n"
	              "  container  c1\n");
	expect_lookup("172.31.199.188", true,
	              "172.31.199.188 is free\n"
	              "  pool       master-172\n"
	              "  subnet     172.31.192.0/20\n");
	expect_lookup("172.31.199.186", true,
	              "172.31.199.186 is reserved\n"
	              "  pool       master-172\n"
	              "  subnet     172.31.192.0/20\n"
	              "  reserved by printers\n");
	expect_lookup("192.168.0.156", true,
	              "192.168.0.156 is excluded\n"
	              "  pool       master-192\n"
	              "  subnet     192.168.0.0/24\n"
	              "  reserved by printers\n");
	/* a pod holds it although the pool's ips were changed since */
	expect_lookup("192.168.0.170", true,
	              "192.168.0.170 is allocated\n"
	              "  pool       master-192\n"
	              "  subnet     192.168.0.0/24\n"
	              "  pod        default/old\n"
	              "  pod uid    u2\n"
	              "  note       the address is not among the pool's ips any more\n");
	expect_lookup("172.31.207.253", false,
	              "172.31.207.253 is in no pool\n"
	              "  gateway of master-172, worker-172\n"
	              "  inside the subnet, but not among ips, of master-172, worker-172\n");
	expect_lookup("fd00::5", false, "fd00::5 is in no pool\n");
}

/* Two pools with one address: a mistake that must be seen. */
static void lookup_twice(void **state)
{
	AUTO_JSON *p =
		yaml("metadata: {name: a}\n"
	             "spec: {subnet: 10.0.0.0/24, ips: [10.0.0.5], disable: true}\n---\n"
	             "metadata: {name: b}\n"
	             "spec: {subnet: 10.0.0.0/24, ips: [10.0.0.1-10.0.0.9, 10.9.9.9]}\n");
	AUTO_JSON *report = NULL;
	struct ip ip;
	const json *pools, *second;

	(void)state;
	assert_int_equal(ip_parse("10.0.0.5", &ip, NULL), 0);
	report = lookup_report(p, NULL, NULL, false, ip);
	pools = json_get(report, "pools");
	assert_int_equal(json_count(pools), 2);
	assert_string_equal(json_str_at(json_first(pools), "problem", NULL),
	                    "the pool gives nothing: it is disabled");
	assert_string_equal(json_str_at(json_first(pools), "state", NULL), "unused");
	second = json_next(json_first(pools));
	assert_string_equal(json_str_at(second, "pool", NULL), "b");
	assert_string_equal(json_str_at(second, "problem", NULL),
	                    "the pool gives nothing: ips: 10.9.9.9 is not in subnet 10.0.0.0/24");
}

/* The notes on 10.0.0.5, a line for each pool: its name, the state, and what the note says. */
static void notes(const char *pools, bool shared, const char *expected)
{
	AUTO_JSON *p = yaml(pools);
	AUTO_JSON *report = NULL;
	AUTO_STR out = STR_INIT;
	struct ip ip;

	assert_int_equal(ip_parse("10.0.0.5", &ip, NULL), 0);
	report = lookup_report(p, NULL, NULL, shared, ip);
	json_each(o, json_get(report, "pools"))
	{
		const char *problem = json_str_at(o, "problem", NULL);

		str_addf(&out, "%s %s%s%s\n", json_str_at(o, "pool", NULL),
		         json_str_at(o, "state", NULL), problem ? ": " : "",
		         problem ? problem : "");
	}
	assert_string_equal(out.data, expected);
}

#define POOL(name, ips, more)                                                                      \
	"metadata: {name: " name "}\nspec: {subnet: 10.0.0.0/24, ips: [" ips "]" more "}\n---\n"
#define ON(nodes) ", nodeName: [" nodes "]"
#define TO_A "the pool gives nothing: its 10.0.0.5 overlaps 10.0.0.5 of IPPool a, which is older\n"

static void lookup_of_what_is_not_given(void **state)
{
	static const char *const rows[][3] = {
		/* pools; the notes; the notes where each agent sees all pools, if they differ */
		{ POOL("a", "10.0.0.5", "") POOL("b", "10.0.0.5", ""), "a free\nb unused: " TO_A,
		  NULL },
		/* who yields blocks nobody */
		{ POOL("a", "10.0.0.6", "") POOL("b", "10.0.0.5-10.0.0.6", "")
		          POOL("c", "10.0.0.5", ""),
		  "b unused: the pool gives nothing: its 10.0.0.5-10.0.0.6 overlaps 10.0.0.6 of "
		  "IPPool a, which is older\nc free\n",
		  NULL },
		/* agents see the pools of their nodes */
		{ POOL("a", "10.0.0.5", ON("m")) POOL("b", "10.0.0.5", ON("k")), "a free\nb free\n",
		  "a free\nb unused: " TO_A },
		{ POOL("a", "10.0.0.5", ON("m")) POOL("b", "10.0.0.5", ON("m")),
		  "a free\nb unused: " TO_A, NULL },
		{ POOL("a", "10.0.0.5", ON("m")) POOL("b", "10.0.0.5", ""),
		  "a free\nb free: on node m " TO_A, "a free\nb unused: " TO_A },
		{ POOL("a", "10.0.0.5", "") POOL("b", "10.0.0.5", ON("m, k")),
		  "a free\nb unused: " TO_A, NULL },
		{ POOL("a", "10.0.0.5", ON("k")) POOL("b", "10.0.0.5", ON("m, k, o")),
		  "a free\nb free: on node k " TO_A, "a free\nb unused: " TO_A },
		/* by themselves */
		{ "metadata: {name: a, deletionTimestamp: x}\n"
		  "spec: {subnet: 10.0.0.0/24, ips: [10.0.0.5]}\n",
		  "a unused: the pool gives nothing: it is being deleted\n", NULL },
		{ POOL("a", "10.0.0.5", ", gateway: 10.0.0.5"),
		  "a unused: the pool gives nothing: gateway 10.0.0.5 is among ips\n", NULL },
		{ "metadata: {name: a}\n"
		  "spec: {subnet: 10.0.0.0/24, ips: [10.0.0.5]}\n"
		  "status: {conditions: [{type: Ready, status: 'False', message: not yet}]}\n",
		  "a unused: the pool gives nothing: not yet\n", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		notes(rows[i][0], false, rows[i][1]);
		notes(rows[i][0], true, rows[i][2] ? rows[i][2] : rows[i][1]);
	}
}

static void lookup_of_what_is_not_given_as_text(void **state)
{
	AUTO_JSON *p = yaml(POOL("a", "10.0.0.5", ", disable: true"));
	AUTO_JSON *report = NULL;
	AUTO_STR out = STR_INIT;
	struct ip ip;

	(void)state;
	assert_int_equal(ip_parse("10.0.0.5", &ip, NULL), 0);
	report = lookup_report(p, NULL, NULL, false, ip);
	lookup_text(report, &out);
	assert_string_equal(out.data,
	                    "10.0.0.5 is free, and not given\n"
	                    "  pool       a\n"
	                    "  subnet     10.0.0.0/24\n"
	                    "  note       the pool gives nothing: it is disabled\n");
}

/* What agents write beside the original's members. */
static void lookup_kept(void **state)
{
	AUTO_JSON *p =
		yaml("metadata: {name: a}\n"
	             "spec: {subnet: 10.0.0.0/24, ips: [10.0.0.1-10.0.0.9]}\n"
	             "status: {allocatedIPs: '{\"10.0.0.1\":{\"pod\":\"default/web-0\",\n"
	             "  \"podUid\":\"u1\",\"node\":\"worker\",\"keep\":\"StatefulSet\"},\n"
	             "  \"10.0.0.2\":{\"pod\":\"\",\"podUid\":\"\",\"node\":\"worker\",\n"
	             "  \"conflict\":\"02:00:00:00:00:07 has it\",\"since\":1700000000}}'}\n");
	AUTO_STR out = STR_INIT;
	struct ip ip;
	json *report;

	(void)state;
	assert_int_equal(ip_parse("10.0.0.1", &ip, NULL), 0);
	report = lookup_report(p, NULL, NULL, false, ip);
	lookup_text(report, &out);
	json_free(report);
	assert_string_equal(out.data,
	                    "10.0.0.1 is allocated\n"
	                    "  pool       a\n"
	                    "  subnet     10.0.0.0/24\n"
	                    "  pod        default/web-0\n"
	                    "  pod uid    u1\n"
	                    "  node       worker\n"
	                    "  kept by    StatefulSet\n");
	assert_int_equal(ip_parse("10.0.0.2", &ip, NULL), 0);
	report = lookup_report(p, NULL, NULL, false, ip);
	assert_string_equal(json_str_at(json_first(json_get(report, "pools")), "state", NULL),
	                    "conflict");
	str_reset(&out, 0);
	lookup_text(report, &out);
	json_free(report);
	assert_string_equal(out.data,
	                    "10.0.0.2 is held back: somebody else has it\n"
	                    "  pool       a\n"
	                    "  subnet     10.0.0.0/24\n"
	                    "  node       worker\n"
	                    "  reason     02:00:00:00:00:07 has it\n"
	                    "  since      2023-11-14T22:13:20Z\n");
}

#define HEAD "apiVersion: spiderpool.spidernet.io/v2beta1\n"

static void checks(void **state)
{
	static const struct {
		const char *kind, *spec, *message;
	} cases[] = {
		{ "IPPool", "{}", "spec.subnet: subnet: missing" },
		{ "IPPool", "{subnet: 10.0.0.0/24, ip: [10.0.0.1]}", "unknown field spec.ip" },
		{ "IPPool", "{subnet: 10.0.0.0/24, ipVersion: 6}",
		  "spec.ipVersion 6 and subnet 10.0.0.0/24 do not fit" },
		{ "IPPool", "{subnet: 10.0.0.0/24, ipVersion: 0}",
		  "spec.ipVersion must be the family of subnet 10.0.0.0/24" },
		{ "IPPool", "{subnet: 10.0.0.1/24}",
		  "subnet 10.0.0.1/24 has host bits set, 10.0.0.0/24 was meant?" },
		{ "IPPool", "{subnet: 10.0.0.0/24, ips: [10.0.0.9-10.0.0.1]}",
		  "spec.ips: range \"10.0.0.9-10.0.0.1\" ends before it begins" },
		{ "IPPool", "{subnet: 10.0.0.0/24, ips: [10.0.1.1]}",
		  "ips: 10.0.1.1 is not in subnet 10.0.0.0/24" },
		{ "IPPool", "{subnet: 10.0.0.0/24, excludeIPs: [10.0.0.250-10.0.1.1]}",
		  "spec.excludeIPs: 10.0.0.250-10.0.1.1 is not in subnet 10.0.0.0/24" },
		{ "IPPool", "{subnet: 10.0.0.0/24, gateway: 10.0.1.1}",
		  "gateway 10.0.1.1 is not in subnet 10.0.0.0/24" },
		{ "IPPool", "{subnet: 10.0.0.0/24, routes: [{dst: 0.0.0.0/0, gw: 10.0.0.1}]}",
		  "spec.routes: dst must not be the default route, gateway is for that" },
		{ "IPPool",
		  "{subnet: 10.0.0.0/24, routes: [{dst: 10.1.0.0/16, gw: 10.0.0.1}, "
		  "{dst: 10.1.0.0/16, gw: 10.0.0.2}]}",
		  "spec.routes: 10.1.0.0/16 stands twice" },
		{ "IPPool", "{subnet: 10.0.0.0/24, podAffinity: {}}",
		  "spec.podAffinity must not be empty, leave it out for all pods" },
		{ "IPPool", "{subnet: 10.0.0.0/24, nodeAffinity: {labels: {a: b}}}",
		  "unknown field spec.nodeAffinity.labels" },
		{ "ReservedIP", "{ips: []}",
		  "spec.ips must not be empty unless ipVersion is given" },
		{ "ReservedIP", "{ips: [10.0.0.1, \"fd00::1\"]}",
		  "spec.ips: all addresses must be of one family, that of ipVersion where given" },
		{ "ReservedIP", "{ipVersion: 5, ips: [10.0.0.1]}",
		  "spec.ipVersion must be 4 or 6" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_FREE char *text =
			xasprintf(HEAD "kind: Spider%s\nmetadata: {name: bad}\nspec: %s\n",
		                  cases[i].kind, cases[i].spec);
		AUTO_FREE char *expected = xasprintf("in: document 1: Spider%s bad: %s",
		                                     cases[i].kind, cases[i].message);
		AUTO_APPLY_DOCS docs = { NULL, 0, 0 };
		struct err e = { ERR_NONE, 0, 0, "accepted" };

		assert_int_equal(apply_read(text, strlen(text), "in", "default", &docs, &e), -1);
		assert_string_equal(e.msg, expected);
	}
}

static void refused_text(const char *text, const char *message)
{
	AUTO_APPLY_DOCS docs = { NULL, 0, 0 };
	struct err e = { ERR_NONE, 0, 0, "accepted" };

	assert_int_equal(apply_read(text, strlen(text), "in", "default", &docs, &e), -1);
	assert_string_equal(e.msg, message);
	assert_int_equal(docs.n, 0);
}

static void documents(void **state)
{
	static const char list[] =
		"apiVersion: v1\nkind: List\nitems:\n"
		"- {apiVersion: v1, kind: Pod, metadata: {name: a, uid: u}}\n"
		"- {apiVersion: v1, kind: Node, metadata: {name: a, namespace: x}}\n"
		"---\n"
		"{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: other}}\n";
	AUTO_APPLY_DOCS docs = { NULL, 0, 0 };
	struct err e;

	(void)state;
	refused_text("", "in: no objects in it");
	refused_text("[]\n", "in: document 1: not an object");
	refused_text("kind: Pod\n", "in: document 1: apiVersion: missing");
	refused_text("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n",
	             "in: document 1: kind Deployment of apps/v1 is not known here");
	refused_text("apiVersion: v1\nkind: Pod\nmetadata: {}\n", "in: document 1: name: missing");
	refused_text(
		"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\n"
		"apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: default}\n",
		"in: document 2: Pod a stands twice");
	if (apply_read(list, strlen(list), "in", "default", &docs, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(docs.n, 3);
	assert_string_equal(docs.v[0].ns, "default");
	assert_null(docs.v[1].ns);
	assert_null(json_at(docs.v[1].object, "metadata", "namespace", NULL));
	assert_string_equal(docs.v[2].ns, "other");
}

static struct store *open_temporary(char *folder)
{
	AUTO_FREE char *spec = NULL;
	struct store *s = NULL;
	struct err e;

	if (!mkdtemp(folder))
		fail_msg("mkdtemp");
	spec = xasprintf("dir:%s", folder);
	if (store_open(spec, NULL, &s, &e) < 0)
		fail_msg("%s", e.msg);
	return s;
}

/* Applies; the actions as letters: c(reate), m(erge), n(othing). */
static char *apply(struct store *s, const char *text)
{
	AUTO_APPLY_DOCS docs = { NULL, 0, 0 };
	AUTO_STR out = STR_INIT;
	struct err e;

	if (apply_read(text, strlen(text), "in", "default", &docs, &e) < 0 ||
	    apply_plan(s, &docs, mono_in(5000), &e) < 0)
		return xstrdup(e.msg);
	for (size_t i = 0; i < docs.n; i++) {
		if (apply_write(s, &docs.v[i], mono_in(5000), &e) < 0)
			return xstrdup(e.msg);
		str_addc(&out, "cmn"[docs.v[i].action]);
	}
	return str_take(&out);
}

static void expect_apply(struct store *s, const char *text, const char *expected)
{
	AUTO_FREE char *got = apply(s, text);

	assert_string_equal(got, expected);
}

static void applied(void **state)
{
	char folder[] = "/tmp/ctl_test.XXXXXX";
	struct store *s = open_temporary(folder);
	AUTO_FREE char *remove = xasprintf("rm -rf %s", folder);
	json *o = NULL;
	struct err e;

	(void)state;
	expect_apply(s,
	             HEAD
	             "kind: SpiderIPPool\nmetadata: {name: a}\n"
	             "spec: {subnet: 10.0.0.0/24, ips: [10.0.0.5]}\nstatus: {totalIPCount: 9}\n",
	             "c");
	assert_int_equal(store_get(s, STORE_IPPOOL, NULL, "a", &o, mono_in(5000), &e), 0);
	assert_true(json_is_bool(json_at(o, "spec", "disable", NULL))); /* as a schema's default */
	assert_null(json_get(o, "status"));                             /* the agents' alone */
	json_free(o);
	expect_apply(s,
	             HEAD
	             "kind: SpiderIPPool\nmetadata: {name: a}\n"
	             "spec: {subnet: 10.0.0.0/24, ips: [10.0.0.5]}\n",
	             "n");
	/* together with what is there it must make sense */
	expect_apply(s,
	             HEAD
	             "kind: SpiderIPPool\nmetadata: {name: a}\n"
	             "spec: {subnet: 10.0.0.0/24, gateway: 10.0.0.5}\n",
	             "SpiderIPPool a: gateway 10.0.0.5 is among ips");
	/* the second is wrong: the first is not written either */
	expect_apply(s,
	             HEAD
	             "kind: SpiderIPPool\nmetadata: {name: b}\n"
	             "spec: {subnet: 10.1.0.0/24}\n---\n" HEAD
	             "kind: SpiderIPPool\nmetadata: {name: a}\nspec: {subnet: 10.2.0.0/24}\n",
	             "SpiderIPPool a: spec.subnet cannot be changed, make another pool");
	assert_int_equal(store_get(s, STORE_IPPOOL, NULL, "b", &o, mono_in(5000), &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	expect_apply(s,
	             HEAD
	             "kind: SpiderIPPool\nmetadata: {name: a}\n"
	             "spec: {subnet: 10.0.0.0/24, gateway: 10.0.0.1}\n",
	             "m");
	assert_int_equal(store_get(s, STORE_IPPOOL, NULL, "a", &o, mono_in(5000), &e), 0);
	assert_string_equal(json_str_at(o, "spec", "gateway", NULL), "10.0.0.1");
	assert_int_equal(json_count(json_at(o, "spec", "ips", NULL)), 1); /* not mentioned: stays */
	json_free(o);
	/* a pod keeps the uid of its runtime, and its status comes along */
	expect_apply(s,
	             "apiVersion: v1\nkind: Pod\nmetadata: {name: p, uid: u7}\n"
	             "status: {phase: Pending}\n",
	             "c");
	expect_apply(s,
	             "apiVersion: v1\nkind: Pod\nmetadata: {name: p, uid: u7}\n"
	             "status: {phase: Running}\n",
	             "m");
	assert_int_equal(store_get(s, STORE_POD, "default", "p", &o, mono_in(5000), &e), 0);
	assert_string_equal(json_str_at(o, "metadata", "uid", NULL), "u7");
	assert_string_equal(json_str_at(o, "status", "phase", NULL), "Running");
	json_free(o);
	store_close(s);
	assert_int_equal(system(remove), 0); /* NOLINT: a test's own temporary folder */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables),
		cmocka_unit_test(narrow_and_hostile_cells),
		cmocka_unit_test(ages),
		cmocka_unit_test(kinds),
		cmocka_unit_test(names_and_order),
		cmocka_unit_test(shown_documents),
		cmocka_unit_test(yaml_round_trip),
		cmocka_unit_test(lookup),
		cmocka_unit_test(lookup_twice),
		cmocka_unit_test(lookup_of_what_is_not_given),
		cmocka_unit_test(lookup_of_what_is_not_given_as_text),
		cmocka_unit_test(lookup_kept),
		cmocka_unit_test(checks),
		cmocka_unit_test(documents),
		cmocka_unit_test(applied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
