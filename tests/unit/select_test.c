/* SPDX-License-Identifier: Apache-2.0 */
/* links: pool/ k8s/ippool.c k8s/labels.c net/ip.c json/json.c base/str.c base/err.c base/mem.c */
/* libs: cjson */
/*
 * select_test.c - which pools serve whom and in which order, and selectors against a brute-force
 * model.  Each row of the table says which rule of Spiderpool's it is about: C5.1 to C5.8
 * are the filters in their order, A1.6 what its webhook refuses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "k8s/ippool.h"
#include "k8s/labels.h"

static json *parse(const char *text)
{
	json *j = NULL;
	struct err e;

	if (json_parse(text, strlen(text), 0, &j, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	return j;
}

/* The spec without a subnet gets one; rest: other members of the object, with a comma in front. */
static struct pool read_pool(const char *name, const char *spec, const char *rest)
{
	AUTO_FREE char *text = xasprintf(
		"{\"metadata\":{\"name\":\"%s\",\"uid\":\"u\",\"resourceVersion\":\"7\","
		"\"generation\":3%s},\"spec\":{%s%s}%s}",
		name, strstr(rest, "DELETED") ? ",\"deletionTimestamp\":\"x\"" : "",
		strstr(spec, "subnet") ? "" : "\"subnet\":\"10.0.0.0/24\",", spec,
		strstr(rest, "DELETED") ? "" : rest);
	AUTO_JSON *j = parse(text);
	struct pool p = { .name = NULL };
	struct err e;

	if (ippool_read(j, &p, &e) < 0)
		fail_msg("%s", e.msg);
	return p;
}

/* A request from JSON: what is not said is that of pod default/web-0 on node master. */
struct asked {
	json *from;
	struct labels pod, ns, node;
	struct pool_request r;
};

static const char *text_of(const json *o, const char *key, const char *otherwise)
{
	const char *s = json_str_at(o, key, NULL);

	return s ? s : otherwise;
}

static const struct labels *labels_of(const json *o, const char *key, struct labels *out)
{
	const json *l = json_get(o, key);

	if (!l)
		return NULL;
	labels_read(l, out);
	return out;
}

static void ask(struct asked *a, const char *text)
{
	memset(a, 0, sizeof(*a));
	a->from = parse(text);
	a->r = (struct pool_request){
		.pod = text_of(a->from, "pod", "default/web-0"),
		.uid = "uid-1",
		.nic = "eth0",
		.cid = "c1",
		.node = text_of(a->from, "node", "master"),
		.ns = text_of(a->from, "ns", "default"),
		.pod_labels = labels_of(a->from, "podLabels", &a->pod),
		.namespace_labels = labels_of(a->from, "nsLabels", &a->ns),
		.node_labels = labels_of(a->from, "nodeLabels", &a->node),
		.family = streq(text_of(a->from, "family", "4"), "6") ? 6 : 4,
		.network = text_of(a->from, "network", NULL),
		.network_error = text_of(a->from, "networkError", NULL),
		.agent_namespace = "kube-system",
	};
}

static void asked_release(struct asked *a)
{
	labels_release(&a->pod);
	labels_release(&a->ns);
	labels_release(&a->node);
	json_free(a->from);
}

/* What the pool says to the request: NULL, or why not; owned. */
static char *decide(const struct pool *p, const char *request)
{
	AUTO_STR why = STR_INIT;
	struct asked a;
	bool yes;

	ask(&a, request);
	yes = pool_serves(p, &a.r, &why);
	asked_release(&a);
	assert_int_equal(yes, why.len == 0);
	return yes ? NULL : str_take(&why);
}

#define ZONE_A "\"nodeAffinity\":{\"matchLabels\":{\"zone\":\"a\"}}"
#define TEAM_A "\"namespaceAffinity\":{\"matchLabels\":{\"team\":\"a\"}}"
#define WEB "\"podAffinity\":{\"matchLabels\":{\"app\":\"web\"}}"
#define NOT_READY(members)                                                                         \
	",\"status\":{\"conditions\":[{\"type\":\"Other\",\"status\":\"False\"},"                  \
	"{\"type\":\"Ready\"," members "}]}"

static const struct {
	const char *rule, *spec, *rest, *request, *why;
} rows[] = {
	{ "nothing asked, all served", "\"ips\":[]", "", "{}", NULL },
	{ "C5.1", "\"ips\":[]", "DELETED", "{}", "p is being deleted" },
	{ "C5.1 before 2", "\"disable\":true", "DELETED", "{}", "p is being deleted" },
	{ "C5.2", "\"disable\":true", "", "{}", "p is disabled" },
	{ "C5.2 before 3", "\"disable\":true", "", "{\"family\":\"6\"}", "p is disabled" },
	{ "C5.3", "\"ips\":[]", "", "{\"family\":\"6\"}", "p is IPv4" },
	{ "C5.3", "\"subnet\":\"fd00::/64\"", "", "{}", "p is IPv6" },
	{ "C5.3", "\"subnet\":\"fd00::/64\"", "", "{\"family\":\"6\"}", NULL },
	{ "C5.3 not known", "\"subnet\":\"what\"", "", "{}",
	  "p is not ready: spec.subnet: \"what\" is not an IP prefix such as 10.0.0.0/8" },
	{ "C5.3 before 4", "\"nodeName\":[\"x\"]", "", "{\"family\":\"6\"}", "p is IPv4" },
	{ "C5.4 nodeName", "\"nodeName\":[\"a\",\"master\"]", "", "{}", NULL },
	{ "C5.4 nodeName", "\"nodeName\":[\"a\",\"b\"]", "", "{}", "p is not for node master" },
	{ "C5.4 no nodeName", "\"nodeName\":[]", "", "{}", NULL },
	{ "C5.4 nodeName wins", "\"nodeName\":[\"master\"]," ZONE_A, "",
	  "{\"nodeLabels\":{\"zone\":\"b\"}}", NULL },
	{ "C5.4 nodeName wins", "\"nodeName\":[\"x\"]," ZONE_A, "",
	  "{\"nodeLabels\":{\"zone\":\"a\"}}", "p is not for node master" },
	{ "C5.4 nodeAffinity", ZONE_A, "", "{\"nodeLabels\":{\"x\":\"y\",\"zone\":\"a\"}}", NULL },
	{ "C5.4 nodeAffinity", ZONE_A, "", "{\"nodeLabels\":{\"zone\":\"b\"}}",
	  "p is not for node master by its nodeAffinity: zone is b" },
	{ "C5.4 nodeAffinity", ZONE_A, "", "{\"nodeLabels\":{}}",
	  "p is not for node master by its nodeAffinity: no label zone" },
	{ "C5.4 nodeAffinity", ZONE_A, "", "{\"nodeLabels\":{\"zone\":\"\"}}",
	  "p is not for node master by its nodeAffinity: zone is \"\"" },
	{ "C5.4 not known", ZONE_A, "", "{}",
	  "p has a nodeAffinity, and the labels of node master are not known" },
	{ "C5.4 empty selects all", "\"nodeAffinity\":{}", "", "{\"nodeLabels\":{}}", NULL },
	{ "C5.4 null is none", "\"nodeAffinity\":null", "", "{}", NULL },
	{ "C5.4 before 5", ZONE_A "," TEAM_A, "", "{\"nodeLabels\":{}}",
	  "p is not for node master by its nodeAffinity: no label zone" },
	{ "C5.5 namespaceName", "\"namespaceName\":[\"x\",\"default\"]", "", "{}", NULL },
	{ "C5.5 namespaceName", "\"namespaceName\":[\"x\"]", "", "{}",
	  "p is not for namespace default" },
	{ "C5.5 no namespace", "\"namespaceName\":[\"x\"]", "", "{\"ns\":\"\"}",
	  "p is not for namespace (none)" },
	{ "C5.5 namespaceName wins", "\"namespaceName\":[\"default\"]," TEAM_A, "", "{}", NULL },
	{ "C5.5 namespaceName wins", "\"namespaceName\":[\"x\"]," TEAM_A, "",
	  "{\"nsLabels\":{\"team\":\"a\"}}", "p is not for namespace default" },
	{ "C5.5 namespaceAffinity", TEAM_A, "", "{\"nsLabels\":{\"team\":\"a\"}}", NULL },
	{ "C5.5 namespaceAffinity", TEAM_A, "", "{\"nsLabels\":{\"team\":\"b\"}}",
	  "p is not for namespace default by its namespaceAffinity: team is b" },
	{ "C5.5 not known", TEAM_A, "", "{}",
	  "p has a namespaceAffinity, and the labels of namespace default are not known" },
	{ "C5.5 before 6", TEAM_A "," WEB, "", "{\"nsLabels\":{},\"podLabels\":{}}",
	  "p is not for namespace default by its namespaceAffinity: no label team" },
	{ "C5.6 podAffinity", WEB, "", "{\"podLabels\":{\"app\":\"web\",\"x\":\"y\"}}", NULL },
	{ "C5.6 podAffinity", WEB, "", "{\"podLabels\":{\"app\":\"db\"}}",
	  "p is not for pod default/web-0 by its podAffinity: app is db" },
	{ "C5.6 not known", WEB, "", "{}",
	  "p has a podAffinity, and the labels of pod default/web-0 are not known" },
	{ "C5.6 before 7", WEB ",\"multusName\":[\"x\"]", "", "{\"podLabels\":{}}",
	  "p is not for pod default/web-0 by its podAffinity: no label app" },
	{ "C5.6 expressions",
	  "\"podAffinity\":{\"matchExpressions\":["
	  "{\"key\":\"app\",\"operator\":\"NotIn\",\"values\":[\"db\"]},"
	  "{\"key\":\"old\",\"operator\":\"DoesNotExist\"}]}",
	  "", "{\"podLabels\":{}}", NULL },
	{ "C5.7 multusName", "\"multusName\":[\"a/x\",\"ipvlan-eth0\"]", "",
	  "{\"network\":\"kube-system/ipvlan-eth0\"}", NULL },
	{ "C5.7 multusName", "\"multusName\":[\"ipvlan-eth0\"]", "",
	  "{\"network\":\"default/ipvlan-eth0\"}", "p is not for network default/ipvlan-eth0" },
	{ "C5.7 not known", "\"multusName\":[\"ipvlan-eth0\"]", "",
	  "{\"networkError\":\"no such annotation\"}",
	  "p is for certain networks, and the pod's is not known: no such annotation" },
	{ "C5.7 only when the pool asks", "\"multusName\":[]", "",
	  "{\"networkError\":\"no such annotation\"}", NULL },
	{ "C5.7 before Ready", "\"multusName\":[\"x\"]",
	  NOT_READY("\"status\":\"False\",\"message\":\"it overlaps q\""), "{\"network\":\"a/b\"}",
	  "p is not for network a/b" },
	{ "Ready", "\"ips\":[]", NOT_READY("\"status\":\"False\",\"message\":\"it overlaps q\""),
	  "{}", "p is not ready: it overlaps q" },
	{ "Ready", "\"ips\":[]",
	  NOT_READY("\"status\":\"False\",\"reason\":\"Overlap\",\"observedGeneration\":3"), "{}",
	  "p is not ready: Overlap" },
	{ "Ready", "\"ips\":[]", NOT_READY("\"status\":\"False\""), "{}",
	  "p is not ready: its condition Ready is False" },
	{ "Ready of an earlier spec", "\"ips\":[]",
	  NOT_READY("\"status\":\"False\",\"observedGeneration\":2"), "{}", NULL },
	{ "Ready", "\"ips\":[]", NOT_READY("\"status\":\"True\""), "{}", NULL },
	{ "Ready", "\"ips\":[]", NOT_READY("\"status\":\"Unknown\""), "{}", NULL },
	{ "A1.6.8", "\"podAffinity\":{}", "", "{\"podLabels\":{}}",
	  "p is not ready: empty podAffinity is invalid for SpiderIPPool" },
	{ "A1.6.8", "\"podAffinity\":{\"matchLabels\":{},\"matchExpressions\":[]}", "",
	  "{\"podLabels\":{}}", "p is not ready: empty podAffinity is invalid for SpiderIPPool" },
	{ "bad selector",
	  "\"podAffinity\":{\"matchExpressions\":[{\"key\":\"app\",\"operator\":\"Is\"}]}", "",
	  "{}",
	  "p is not ready: spec.podAffinity: app: operator must be In, NotIn, Exists or "
	  "DoesNotExist" },
	{ "bad selector", "\"nodeAffinity\":{\"matchLabels\":{\"a b\":\"x\"}}", "",
	  "{\"nodeLabels\":{}}",
	  "p is not ready: spec.nodeAffinity: \"a b\" is not a valid label" },
	{ "bad selector", "\"namespaceAffinity\":{\"matchLabels\":{\"a\":1}}", "", "{}",
	  "p is not ready: spec.namespaceAffinity: matchLabels: a is not a string" },
	{ "bad selector", "\"nodeAffinity\":[]", "", "{}",
	  "p is not ready: spec.nodeAffinity: not an object" },
	{ "bad selector", "\"nodeAffinity\":{\"matchExpressions\":[{\"key\":\"a\"}]}", "", "{}",
	  "p is not ready: spec.nodeAffinity: matchExpressions: operator: missing" },
};

static void decisions(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pool p = read_pool("p", rows[i].spec, rows[i].rest), copy;
		AUTO_FREE char *why = decide(&p, rows[i].request), *again = NULL;

		if (!why != !rows[i].why || (why && !streq(why, rows[i].why)))
			fail_msg("%s: {%s} and %s: %s", rows[i].rule, rows[i].spec, rows[i].request,
			         why ? why : "serves");
		/* a copy says the same when the first is gone */
		pool_copy(&copy, &p);
		pool_release(&p);
		again = decide(&copy, rows[i].request);
		assert_string_equal(again ? again : "", why ? why : "");
		pool_release(&copy);
	}
}

#define ALLOCATED(text) ",\"status\":{\"allocatedIPs\":\"" text "\"}"

/* What would help: each row its own, and nothing where the pool would not serve anyway. */
static void remedies(void **state)
{
	static const struct {
		const char *spec, *rest, *request, *remedy;
	} cases[] = {
		{ "\"ips\":[]", "", "{}", NULL },
		{ "\"disable\":true", "", "{}", "set spec.disable of IPPool p to false" },
		{ "\"ips\":[]", "DELETED", "{}",
		  "name another IPPool than p, or make it again when it is gone: it stays until "
		  "its addresses are given back" },
		{ "\"ips\":[\"10.0.0.1-10.0.0.9\"],\"gateway\":\"10.0.0.1\"", "", "{}",
		  "take the gateway 10.0.0.1 out of spec.ips of IPPool p, or list it in its "
		  "spec.excludeIPs" },
		{ "\"ips\":[]", ALLOCATED("{oops"), "{}",
		  "make status.allocatedIPs of IPPool p a JSON object again" },
		{ "\"ips\":[]", ALLOCATED("{\\\"x\\\":{}}"), "{}",
		  "take out of status.allocatedIPs of IPPool p what is no address" },
		{ "\"ips\":[\"10.0.9.9\"]", "", "{}", "correct the spec of IPPool p" },
		{ "\"subnet\":\"oops\"", "", "{}", "correct the spec of IPPool p" },
		/* it would not serve as it should be, either */
		{ "\"disable\":true,\"nodeName\":[\"other\"]", "", "{}", NULL },
		{ "\"disable\":true,\"subnet\":\"fd00::/64\"", "", "{}", NULL },
		{ "\"ips\":[]", NOT_READY("\"status\":\"False\""), "{}",
		  "mend why the condition Ready of IPPool p is False" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct pool p = read_pool("p", cases[i].spec, cases[i].rest);
		AUTO_FREE char *remedy = NULL;
		struct asked a;

		ask(&a, cases[i].request);
		remedy = pool_remedy(&p, &a.r);
		asked_release(&a);
		if (!remedy != !cases[i].remedy || (remedy && !streq(remedy, cases[i].remedy)))
			fail_msg("{%s}%s: %s", cases[i].spec, cases[i].rest,
			         remedy ? remedy : "(none)");
		pool_release(&p);
	}
}

static void needs(void **state)
{
	static const struct {
		const char *spec;
		enum pool_needs needs;
	} cases[] = {
		{ "\"ips\":[]", 0 },
		{ WEB, 0 },
		{ ZONE_A, POOL_NEEDS_NODE_LABELS },
		{ ZONE_A ",\"nodeName\":[\"x\"]", 0 },
		{ TEAM_A, POOL_NEEDS_NAMESPACE_LABELS },
		{ TEAM_A ",\"namespaceName\":[\"x\"]", 0 },
		{ TEAM_A "," ZONE_A ",\"multusName\":[\"x\"]",
		  POOL_NEEDS_NODE_LABELS | POOL_NEEDS_NAMESPACE_LABELS | POOL_NEEDS_NETWORK },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct pool p = read_pool("p", cases[i].spec, "");

		assert_int_equal(pool_needs(&p), cases[i].needs);
		pool_release(&p);
	}
}

/* C6: what is further up comes first, whatever is further down; then the name. */
static void order(void **state)
{
	static const char *const keys[] = { WEB,    "\"nodeName\":[\"x\"]",
		                            ZONE_A, "\"namespaceName\":[\"x\"]",
		                            TEAM_A, "\"multusName\":[\"x\"]" };
	struct pool pools[2 * 64];
	size_t n = 0;

	(void)state;
	for (int name = 'a'; name <= 'b'; name++) {
		for (unsigned int mask = 0; mask < 64; mask++) {
			AUTO_STR spec = STR_INIT;

			for (size_t k = 0; k < ARRAY_LEN(keys); k++)
				if (mask >> (5 - k) & 1)
					str_addf(&spec, "%s,", keys[k]);
			str_add(&spec, "\"ips\":[]");
			pools[n++] = read_pool(name == 'a' ? "a" : "b", spec.data, "");
		}
	}
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < n; j++) {
			int got = pool_compare_default(&pools[i], &pools[j]);
			int want = (int)(j % 64) - (int)(i % 64);

			if (!want)
				want = (int)(i / 64) - (int)(j / 64);
			assert_int_equal((got > 0) - (got < 0), (want > 0) - (want < 0));
		}
	}
	for (size_t i = 0; i < n; i++)
		pool_release(&pools[i]);
}

/*
 * The model: three keys, each absent or with one of three values, are 64 sets of labels.  A
 * selector is the set of those it selects, one bit each, made of unions and complements.
 */
static const char *const keys[] = { "a", "b.example/B-1", "c" };
static const char *const values[] = { "x", "Y_2", "" };

static unsigned int digit(unsigned int set, unsigned int key)
{
	return set >> (2 * key) & 3; /* 3: the key is absent */
}

static uint64_t with_value(unsigned int key, unsigned int value)
{
	uint64_t sets = 0;

	for (unsigned int i = 0; i < 64; i++)
		if (digit(i, key) == value)
			sets |= (uint64_t)1 << i;
	return sets;
}

static unsigned int rnd(unsigned int n)
{
	return (unsigned int)random() % n;
}

static uint64_t random_expression(struct str *out)
{
	static const char *const ops[] = { "In", "NotIn", "Exists", "DoesNotExist" };
	unsigned int key = rnd(3), op = rnd(4), chosen = 1 + rnd(7);
	uint64_t sets = 0;
	bool first = true;

	str_addf(out, "{\"key\":\"%s\",\"operator\":\"%s\"", keys[key], ops[op]);
	if (op >= 2) {
		str_add(out, rnd(2) ? "}" : ",\"values\":[]}");
		sets = ~with_value(key, 3);
		return op == 2 ? sets : ~sets;
	}
	str_add(out, ",\"values\":[");
	for (unsigned int v = 0; v < 3; v++) {
		if (!(chosen >> v & 1))
			continue;
		str_addf(out, "%s\"%s\"", first ? "" : ",", values[v]);
		first = false;
		sets |= with_value(key, v);
	}
	str_add(out, "]}");
	return op == 0 ? sets : ~sets;
}

static uint64_t random_selector(struct str *out)
{
	uint64_t sets = UINT64_MAX;
	bool first = true;

	str_add(out, "{\"x\":{\"matchLabels\":{");
	for (unsigned int key = 0; key < 3; key++) {
		unsigned int v = rnd(9);

		if (v > 2)
			continue;
		str_addf(out, "%s\"%s\":\"%s\"", first ? "" : ",", keys[key], values[v]);
		first = false;
		sets &= with_value(key, v);
	}
	str_add(out, "},\"matchExpressions\":[");
	for (unsigned int n = rnd(4), i = 0; i < n; i++) {
		if (i)
			str_addc(out, ',');
		sets &= random_expression(out);
	}
	str_add(out, "]}}");
	return sets;
}

static uint64_t selected(const struct selector *s)
{
	uint64_t sets = 0;

	for (unsigned int i = 0; i < 64; i++) {
		char *k[3], *v[3];
		struct labels view = { k, v, 0 }, owned;

		for (unsigned int key = 0; key < 3; key++) {
			if (digit(i, key) == 3)
				continue;
			k[view.n] = (char *)(uintptr_t)keys[key];
			v[view.n++] = (char *)(uintptr_t)values[digit(i, key)];
		}
		labels_copy(&owned, &view);
		if (selector_matches(s, &owned, NULL))
			sets |= (uint64_t)1 << i;
		labels_release(&owned);
	}
	return sets;
}

static void selectors_against_model(void **state)
{
	unsigned int seed = 4711;
	size_t some = 0;

	(void)state;
	print_message("# seed %u\n", seed);
	srandom(seed);
	for (int round = 0; round < 20000; round++) {
		struct selector s = { .set = false }, copy;
		AUTO_STR text = STR_INIT;
		uint64_t want = random_selector(&text), got;
		AUTO_JSON *j = parse(text.data);
		struct err e;

		if (selector_read(j, "x", &s, &e) < 0)
			fail_msg("%s: %s", text.data, e.msg);
		selector_copy(&copy, &s);
		selector_release(&s);
		assert_false(s.set);
		assert_true(copy.set);
		got = selected(&copy);
		selector_release(&copy);
		if (got != want)
			fail_msg("%s selects %llx, not %llx", text.data, (unsigned long long)got,
			         (unsigned long long)want);
		some += want && want != UINT64_MAX;
	}
	assert_true(some > 5000); /* else it would say little */
}

#define CHARS63 "a23456789b123456789b123456789b123456789b123456789b123456789b12c"
#define TEN "23456789b1"
#define DOMAIN252 CHARS63 "." CHARS63 "." CHARS63 "." TEN TEN TEN TEN TEN TEN

static void selectors_are_checked(void **state)
{
	static const struct {
		const char *key;
		enum selector_op op;
		const char *value;
		bool fine;
	} cases[] = {
		{ "a", SELECTOR_IN, "x", true },
		{ "a", SELECTOR_NOT_IN, "x", true },
		{ "a", SELECTOR_EXISTS, NULL, true },
		{ "a", SELECTOR_DOES_NOT_EXIST, NULL, true },
		{ "a", SELECTOR_IN, NULL, false },
		{ "a", SELECTOR_NOT_IN, NULL, false },
		{ "a", SELECTOR_EXISTS, "x", false },
		{ "a", SELECTOR_DOES_NOT_EXIST, "x", false },
		{ "a", SELECTOR_UNKNOWN, "x", false },
		{ "A.b_c-9", SELECTOR_EXISTS, NULL, true },
		{ "", SELECTOR_EXISTS, NULL, false },
		{ "-a", SELECTOR_EXISTS, NULL, false },
		{ "a.", SELECTOR_EXISTS, NULL, false },
		{ "a:b", SELECTOR_EXISTS, NULL, false },
		{ "ipam.spidernet.io/app-kind", SELECTOR_EXISTS, NULL, true },
		{ "9a.b-c/X", SELECTOR_EXISTS, NULL, true },
		{ "/x", SELECTOR_EXISTS, NULL, false },
		{ "a/", SELECTOR_EXISTS, NULL, false },
		{ "a/b/c", SELECTOR_EXISTS, NULL, false },
		{ "A.b/x", SELECTOR_EXISTS, NULL, false },
		{ "a..b/x", SELECTOR_EXISTS, NULL, false },
		{ "a.-b/x", SELECTOR_EXISTS, NULL, false },
		{ "a-.b/x", SELECTOR_EXISTS, NULL, false },
		{ ".a/x", SELECTOR_EXISTS, NULL, false },
		{ "a_b/x", SELECTOR_EXISTS, NULL, false },
		{ CHARS63, SELECTOR_EXISTS, NULL, true },
		{ CHARS63 "d", SELECTOR_EXISTS, NULL, false },
		{ DOMAIN252 "1/" CHARS63, SELECTOR_EXISTS, NULL, true },
		{ DOMAIN252 "12/x", SELECTOR_EXISTS, NULL, false },
		{ "a", SELECTOR_IN, "", true },
		{ "a", SELECTOR_IN, CHARS63, true },
		{ "a", SELECTOR_IN, CHARS63 "d", false },
		{ "a", SELECTOR_IN, "x y", false },
		{ "a", SELECTOR_IN, "x/y", false },
		{ "a", SELECTOR_IN, "_x", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *value = (char *)(uintptr_t)cases[i].value;
		struct selector s = { .set = false };
		AUTO_FREE char *wrong = NULL;

		selector_add(&s, cases[i].key, cases[i].op, &value, value ? 1 : 0);
		wrong = selector_check(&s);
		if (!wrong != cases[i].fine)
			fail_msg("key \"%s\": %s", cases[i].key, wrong ? wrong : "fine");
		selector_release(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decisions),
		cmocka_unit_test(remedies),
		cmocka_unit_test(needs),
		cmocka_unit_test(order),
		cmocka_unit_test(selectors_against_model),
		cmocka_unit_test(selectors_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
