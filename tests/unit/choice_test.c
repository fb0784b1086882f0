/* SPDX-License-Identifier: Apache-2.0 */
/* links: agent/choice.c agent/networks.c pool/pattern.c net/ip.c json/json.c */
/* links: base/str.c base/err.c base/mem.c */
/* libs: cjson */
/*
 * choice_test.c - which pools annotations and configurations ask for, and the words for those that
 * ask for nothing sensible.  Each row says which of Spiderpool's rules it is about: C3 the sources,
 * C4 what is checked before, C12 several NICs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/choice.h"

static json *parse(const char *text)
{
	json *j = NULL;
	struct err e;

	if (json_parse(text, strlen(text), 0, &j, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	return j;
}

/*
 * What is chosen, as text: "source: v4 pools | v6 pools", "+clean" behind it when the gateway is;
 * or the error.
 */
static void chosen(const struct choice_input *in, struct str *out)
{
	struct choice c;
	struct err e;

	if (choose(in, &c, &e) < 0) {
		assert_int_equal(e.kind, ERR_CONFIG);
		str_add(out, e.msg);
		return;
	}
	assert_int_equal(c.named, c.n[V4] || c.n[V6]);
	str_addf(out, "%s:", c.source);
	for (int f = 0; f < FAMILIES; f++) {
		str_add(out, f ? " |" : "");
		for (size_t i = 0; i < c.n[f]; i++)
			str_addf(out, " %s", c.pools[f][i]);
	}
	str_add(out, c.clean_gateway ? " +clean" : "");
	if (c.unknown)
		str_addf(out, " unknown: %s", c.unknown);
	choice_release(&c);
}

#define POOLS "wrong input: annotation ipam.spidernet.io/ippools: "
#define POOL "wrong input: annotation ipam.spidernet.io/ippool: "
#define UNNAMED "[{\"ipv4\":[\"a\"]},{\"ipv4\":[\"b\"]},{\"ipv4\":[\"c\"]}]"
#define NAMED                                                                                      \
	"[{\"interface\":\"eth0\",\"ipv4\":[\"a\"]},{\"interface\":\"net1\",\"ipv6\":[\"b\"]}]"

static const struct {
	const char *rule, *nic, *ippools, *ippool, *default4, *default6, *networks, *conf, *want;
} rows[] = {
	/* the sources, each alone and before those below it */
	{ "C3.6", "eth0", "", "", "", "", "", "{}", "cluster default: |" },
	{ "C3.6", "eth0", "", "", "", "", "", "{\"v4\":[],\"v6\":[],\"clean\":true}",
	  "cluster default: | +clean" },
	{ "C3.5", "eth0", "", "", "", "", "", "{\"v4\":[\"a\",\"b*\"],\"v6\":[\"c\"]}",
	  "network configuration: a b* | c" },
	{ "C3.5", "net1", "", "", "", "", "", "{\"v6\":[\"c\"],\"clean\":true}",
	  "network configuration: | c +clean" },
	{ "C3.4", "eth0", "", "", "[\"a\",\"b\"]", "", "", "{\"v6\":[\"c\"],\"clean\":true}",
	  "namespace annotation ipam.spidernet.io/default-ipv4-ippool: a b | +clean" },
	{ "C3.4", "eth0", "", "", "", "[\"a\"]", "", "{\"v4\":[\"c\"]}",
	  "namespace annotation ipam.spidernet.io/default-ipv6-ippool: | a" },
	{ "C3.4", "eth0", "", "", "[\"a\"]", "[\"b\"]", "", "{}",
	  "namespace annotation ipam.spidernet.io/default-ipv4-ippool: a | b" },
	{ "C3.4 empty is none", "eth0", "", "", "[]", "[]", "", "{\"v4\":[\"c\"]}",
	  "network configuration: c |" },
	{ "C3.4 empty is none", "eth0", "", "", "[]", "[]", "", "{}", "cluster default: |" },
	{ "C3.3", "net1", "", "{\"ipv4\":[\"p2\",\"p1\"],\"ipv6\":[\"p6\"]}", "[\"a\"]", "", "",
	  "{\"v4\":[\"c\"],\"clean\":true}",
	  "annotation ipam.spidernet.io/ippool: p2 p1 | p6 +clean" },
	{ "C3.3 no other family from below", "eth0", "", "{\"ipv4\":[\"p1\"]}", "", "[\"a\"]", "",
	  "{\"v6\":[\"c\"]}", "annotation ipam.spidernet.io/ippool: p1 |" },
	{ "C3.3 old members", "eth0", "",
	  "{\"interface\":\"eth0\",\"ipv4\":[\"p1\"],\"cleangateway\":true}", "", "", "", "{}",
	  "annotation ipam.spidernet.io/ippool: p1 |" },
	{ "C3.2", "eth0", "[{\"ipv4\":[\"p1\"],\"ipv6\":[\"p6\"]}]", "{\"ipv4\":[\"a\"]}",
	  "[\"b\"]", "[\"c\"]", "", "{\"v4\":[\"d\"]}",
	  "annotation ipam.spidernet.io/ippools: p1 | p6" },
	/* broken ones do not fall through */
	{ "C3.2", "eth0", "[", "{\"ipv4\":[\"a\"]}", "", "", "", "{}",
	  POOLS "not JSON: line 1 column 2: the text ends where a value should be" },
	{ "C3.2", "eth0", "{}", "", "", "", "", "{}", POOLS "not a list" },
	{ "C3.2", "eth0", "[]", "{\"ipv4\":[\"a\"]}", "", "", "", "{}", POOLS "the list is empty" },
	{ "C3.2", "eth0", "[1]", "", "", "", "", "{}", POOLS "not a list of objects" },
	{ "C3.2", "eth0", "[{}]", "", "[\"a\"]", "", "", "{}",
	  POOLS "no IPPool is named for eth0" },
	{ "C3.2", "eth0", "[{\"ipv4\":[],\"ipv6\":null}]", "", "", "", "", "{}",
	  POOLS "no IPPool is named for eth0" },
	{ "C3.2", "eth0", "[{\"ipv4\":\"a\"}]", "", "", "", "", "{}",
	  POOLS "ipv4: not a list of names of IPPools" },
	{ "C3.2", "eth0", "[{\"ipv4\":[\"a\"]},{\"ipv6\":[1]}]", "", "", "", "", "{}",
	  POOLS "ipv6: not a list of names of IPPools" },
	{ "C3.2", "eth0", "[{\"ipv4\":[\"a\"],\"ipv4\":[\"b\"]}]", "", "", "", "", "{}",
	  POOLS "member \"ipv4\" stands twice" },
	{ "C3.3", "eth0", "", "[]", "", "", "", "{}", POOL "not an object" },
	{ "C3.3", "eth0", "", "oops", "[\"a\"]", "", "", "{}",
	  POOL "not JSON: line 1 column 1: not a value" },
	{ "C3.3", "eth0", "", "{}", "[\"a\"]", "", "", "{\"v4\":[\"c\"]}",
	  POOL "no IPPool is named" },
	{ "C3.3", "eth0", "", "{\"ipv4\":[],\"ipv6\":[]}", "", "", "", "{}",
	  POOL "no IPPool is named" },
	{ "C3.3", "eth0", "", "{\"ipv4\":[\"\"]}", "", "", "", "{}",
	  POOL "ipv4: not a list of names of IPPools" },
	{ "C3.4", "eth0", "", "", "{}", "", "", "{}",
	  "wrong input: namespace annotation ipam.spidernet.io/default-ipv4-ippool: not a list of "
	  "names of IPPools" },
	{ "C3.4", "eth0", "", "", "[\"a\"]", "a", "", "{}",
	  "wrong input: namespace annotation ipam.spidernet.io/default-ipv6-ippool: not JSON: line "
	  "1 column 1: not a value" },
	{ "C3.5", "eth0", "", "", "", "", "", "{\"v4\":[\"a\"],\"v6\":[\"b\",\"b\"]}",
	  "wrong input: network configuration: default_ipv6_ippool: IPPool b is duplicated" },
	/* names */
	{ "C4", "eth0", "", "{\"ipv4\":[\"a\",\"b\",\"a\"]}", "", "", "", "{}",
	  POOL "ipv4: IPPool a is duplicated" },
	{ "C4", "eth0", "", "{\"ipv4\":[\"a\"],\"ipv6\":[\"a\"]}", "", "", "", "{}",
	  "annotation ipam.spidernet.io/ippool: a | a" },
	{ "C3 wildcards", "eth0", "", "{\"ipv4\":[\"a-[0-9]\",\"b?\"]}", "", "", "", "{}",
	  "annotation ipam.spidernet.io/ippool: a-[0-9] b? |" },
	{ "C3 wildcards", "eth0", "", "{\"ipv4\":[\"a-[]9]\"]}", "", "", "", "{}",
	  POOL "ipv4: the pattern a-[]9] is malformed" },
	{ "C3 wildcards", "eth0", "", "{\"ipv4\":[\"[a-\"]}", "", "", "", "{}",
	  POOL "ipv4: the pattern [a- is malformed" },
	{ "C3 wildcards", "eth0", "", "", "", "", "", "{\"v4\":[\"p[\"]}",
	  "wrong input: network configuration: default_ipv4_ippool: the pattern p[ is malformed" },
	/* several NICs */
	{ "C12 named", "eth0", NAMED, "", "", "", "", "{}",
	  "annotation ipam.spidernet.io/ippools: a |" },
	{ "C12 named", "net1", NAMED, "", "", "", "", "{}",
	  "annotation ipam.spidernet.io/ippools: | b" },
	{ "C12 named", "net2", NAMED, "", "", "", "", "{}",
	  POOLS "net2 is not listed, only eth0, net1" },
	{ "C12 named", "eth0",
	  "[{\"interface\":\"eth0\",\"ipv4\":[\"a\"]},{\"interface\":\"eth0\",\"ipv4\":[\"b\"]}]",
	  "", "", "", "", "{}", POOLS "interface eth0 is duplicated" },
	{ "C12 mixed", "eth0", "[{\"interface\":\"eth0\",\"ipv4\":[\"a\"]},{\"ipv4\":[\"b\"]}]", "",
	  "", "", "", "{}", POOLS "some elements have an interface, others have none" },
	{ "C12 mixed", "eth0", "[{\"ipv4\":[\"a\"]},{\"interface\":\"net1\",\"ipv4\":[\"b\"]}]", "",
	  "", "", "", "{}", POOLS "some elements have an interface, others have none" },
	{ "C12 an empty name is none", "eth0", "[{\"interface\":\"\",\"ipv4\":[\"a\"]}]", "", "",
	  "", "", "{}", "annotation ipam.spidernet.io/ippools: a |" },
	{ "C12 unnamed", "eth0", UNNAMED, "", "", "", "", "{}",
	  "annotation ipam.spidernet.io/ippools: a |" },
	{ "C12 unnamed", "eth0", UNNAMED, "", "", "", "x@foo,y", "{}",
	  "annotation ipam.spidernet.io/ippools: a |" },
	{ "C12 unnamed", "net2", UNNAMED, "", "", "", "", "{}",
	  "annotation ipam.spidernet.io/ippools: c |" },
	{ "C12 unnamed", "net1", UNNAMED, "", "", "", "x,y", "{}",
	  "annotation ipam.spidernet.io/ippools: b |" },
	{ "C12 unnamed", "foo", UNNAMED, "", "", "", "x, a/y@foo", "{}",
	  "annotation ipam.spidernet.io/ippools: c |" },
	{ "C12 unnamed", "foo", UNNAMED, "", "", "",
	  "[{\"name\":\"x\",\"interface\":\"foo\"},{\"name\":\"y\"}]", "{}",
	  "annotation ipam.spidernet.io/ippools: b |" },
	{ "C12 unnamed", "net1", UNNAMED, "", "", "", "x@foo,y", "{}",
	  POOLS "no element has an interface, and the annotation k8s.v1.cni.cncf.io/networks does "
	        "not tell the place of net1" },
	{ "C12 unnamed", "eth1", UNNAMED, "", "", "", "", "{}",
	  POOLS "no element has an interface, and the place of eth1 is not known" },
	{ "C12 unnamed", "net0", UNNAMED, "", "", "", "", "{}",
	  POOLS "no element has an interface, and the place of net0 is not known" },
	{ "C12 unnamed", "net3", UNNAMED, "", "", "", "", "{}",
	  POOLS "net3 is number 4, and there are only 3 elements" },
	{ "C12 another's mistake", "eth0", "[{\"ipv4\":[\"a\"]},{\"ipv4\":[\"b\",\"b\"]}]", "", "",
	  "", "", "{}", POOLS "ipv4: IPPool b is duplicated" },
	/* what means nothing */
	{ "unknown", "eth0", "", "{\"IPV4\":[\"a\"]}", "", "", "", "{}",
	  POOL "no IPPool is named; unknown keys: \"IPV4\" (is \"ipv4\" meant?)" },
	{ "unknown", "eth0", "", "{\"ipv4\":[\"a\"],\"ipv5\":[],\"x\":1}", "", "", "", "{}",
	  "annotation ipam.spidernet.io/ippool: a | unknown: \"ipv5\", \"x\"" },
	{ "unknown", "eth0", "[{\"ippool\":[\"a\"]}]", "", "", "", "", "{}",
	  POOLS "no IPPool is named for eth0; unknown keys: \"ippool\"" },
	{ "unknown", "eth0", "[{\"ipv4\":[\"a\"]},{\"Interface\":\"net1\",\"ipv4\":[\"b\"]}]", "",
	  "", "", "", "{}",
	  "annotation ipam.spidernet.io/ippools: a | unknown: \"Interface\" (is \"interface\" "
	  "meant?)" },
	{ "unknown", "eth0",
	  "[{\"interface\":\"eth0\",\"ipv4\":[\"a\"]},{\"nic\":\"net1\",\"ipv4\":[\"b\"]}]", "", "",
	  "", "", "{}",
	  POOLS "some elements have an interface, others have none; unknown keys: \"nic\"" },
	/* the gateway */
	{ "C12 cleangateway", "eth0", "[{\"ipv4\":[\"a\"],\"cleangateway\":true}]", "", "", "", "",
	  "{}", "annotation ipam.spidernet.io/ippools: a | +clean" },
	{ "C12 cleangateway", "eth0", "[{\"ipv4\":[\"a\"],\"cleanGateway\":true}]", "", "", "", "",
	  "{}", "annotation ipam.spidernet.io/ippools: a | +clean" },
	{ "C12 cleangateway", "eth0", "[{\"ipv4\":[\"a\"],\"cleangateway\":false}]", "", "", "", "",
	  "{\"clean\":true}", "annotation ipam.spidernet.io/ippools: a |" },
	{ "C12 cleangateway", "eth0", "[{\"ipv4\":[\"a\"]}]", "", "", "", "", "{\"clean\":true}",
	  "annotation ipam.spidernet.io/ippools: a |" },
	{ "C12 cleangateway", "net1",
	  "[{\"ipv4\":[\"a\"],\"cleangateway\":true},{\"ipv4\":[\"b\"]}]", "", "", "", "", "{}",
	  "annotation ipam.spidernet.io/ippools: b |" },
	{ "C12 cleangateway", "eth0", "[{\"ipv4\":[\"a\"],\"cleangateway\":\"yes\"}]", "", "", "",
	  "", "{}", POOLS "cleangateway: not true or false" },
};

static void choices(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_JSON *conf = parse(rows[i].conf);
		struct choice_input in = {
			.nic = rows[i].nic,
			.ippools = rows[i].ippools,
			.ippool = rows[i].ippool,
			.default_ipv4 = rows[i].default4,
			.default_ipv6 = rows[i].default6,
			.networks = rows[i].networks,
			.conf_ipv4 = json_get(conf, "v4"),
			.conf_ipv6 = json_get(conf, "v6"),
			.conf_clean_gateway = json_get(conf, "clean") != NULL,
		};
		AUTO_STR got = STR_INIT;

		chosen(&in, &got);
		if (!streq(got.data, rows[i].want))
			fail_msg("%s, %s: \"%s\", not \"%s\"", rows[i].rule, rows[i].nic, got.data,
			         rows[i].want);
	}
}

/* n times the text, with commas, between the ends; owned. */
static char *many(const char *before, const char *text, int n, const char *after)
{
	struct str s = STR_INIT;

	str_add(&s, before);
	for (int i = 0; i < n; i++) {
		str_add(&s, i ? "," : "");
		str_addf(&s, text, i);
	}
	str_add(&s, after);
	return str_take(&s);
}

static void limits(void **state)
{
	static const struct {
		const char *before, *text;
		int n;
		const char *after, *want;
	} cases[] = {
		{ "[{\"ipv4\":[", "\"p%d\"", 501, "]}]", POOLS "ipv4: more than 500 names" },
		{ "[", "{\"ipv4\":[\"p%d\"]}", 101, "]", POOLS "more than 100 elements" },
		{ "[", "{\"ipv4\":[\"p%d\"]}", 100, "]",
		  "annotation ipam.spidernet.io/ippools: p0 |" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_FREE char *text =
			many(cases[i].before, cases[i].text, cases[i].n, cases[i].after);
		struct choice_input in = { "eth0", text, "", "", "", "", NULL, NULL, false };
		AUTO_STR got = STR_INIT;

		chosen(&in, &got);
		assert_string_equal(got.data, cases[i].want);
	}
}

#define ROUTES "wrong input: annotation ipam.spidernet.io/routes: "

static void routes(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "", "" },
		{ "[]", "" },
		{ "[{\"dst\":\"10.0.0.0/16\",\"gw\":\"192.168.1.1\"}]",
		  "10.0.0.0/16>192.168.1.1 " },
		{ "[{\"dst\":\"10.0.3.4/16\",\"gw\":\"192.168.1.1\",\"x\":1},"
		  "{\"dst\":\"::/0\",\"gw\":\"fd00::1\"}]",
		  "10.0.0.0/16>192.168.1.1 ::/0>fd00::1 " },
		{ "[{\"dst\":\"10.0.0.0/16\",\"gw\":\"fd00::1\"}]",
		  ROUTES "dst 10.0.0.0/16 and gw fd00::1 are not of one family" },
		{ "[{\"dst\":\"10.0.0.0\",\"gw\":\"192.168.1.1\"}]",
		  ROUTES "dst: \"10.0.0.0\" is not an IP prefix such as 10.0.0.0/8" },
		{ "[{\"dst\":\"10.0.0.0/16\",\"gw\":\"192.168.1\"}]",
		  ROUTES "gw: \"192.168.1\" is not an IP address" },
		{ "[{\"dst\":\"10.0.0.0/16\"}]", ROUTES "gw: missing" },
		{ "[{\"gw\":\"192.168.1.1\"}]", ROUTES "dst: missing" },
		{ "[1]", ROUTES "not a list of objects" },
		{ "{}", ROUTES "not a list" },
		{ "[", ROUTES "not JSON: line 1 column 2: the text ends where a value should be" },
	};
	AUTO_FREE char *long_text =
		many("[", "{\"dst\":\"10.0.0.0/16\",\"gw\":\"10.1.1.1\"}", 501, "]");
	struct pool_route *v = NULL;
	struct err e;
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_STR got = STR_INIT;

		if (routes_read(cases[i].text, &v, &n, &e) < 0) {
			assert_int_equal(e.kind, ERR_CONFIG);
			str_add(&got, e.msg);
			n = 0;
		}
		for (size_t k = 0; k < n; k++)
			str_addf(&got, "%s>%s ", cidr_str(v[k].dst).s, ip_str(v[k].gw).s);
		assert_string_equal(got.data, cases[i].want);
		free(v);
		v = NULL;
	}
	assert_int_equal(routes_read(long_text, &v, &n, &e), -1);
	assert_string_equal(e.msg, ROUTES "more than 500 routes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(choices),
		cmocka_unit_test(limits),
		cmocka_unit_test(routes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
