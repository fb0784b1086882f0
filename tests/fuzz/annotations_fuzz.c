/* SPDX-License-Identifier: Apache-2.0 */
/* links: agent/choice.c agent/networks.c pool/pattern.c pool/selector.c k8s/labels.c */
/* links: net/ip.c json/json.c base/str.c base/err.c base/mem.c */
/* libs: cjson */
/*
 * annotations_fuzz.c - what users write at pods and namespaces: pools, routes, networks, patterns,
 * selectors and labels.
 *
 * Lines of an input: the NIC, then annotations ippools, ippool, default-ipv4-ippool,
 * default-ipv6-ippool, networks, default-network, routes; the configuration's IPv4 pools and its
 * IPv6 pools; a name; a selector; labels.
 */
#include "agent/choice.h"
#include "agent/pods.h"
#include "k8s/labels.h"
#include "pool/pattern.h"
#include "tests/fuzz/mutate.h"

static bool alike(const struct choice *a, const struct choice *b)
{
	for (int f = 0; f < FAMILIES; f++) {
		if (a->n[f] != b->n[f])
			return false;
		for (size_t i = 0; i < a->n[f]; i++)
			if (!streq(a->pools[f][i], b->pools[f][i]))
				return false;
	}
	return a->named == b->named && a->clean_gateway == b->clean_gateway;
}

/* Every character taken as it is. */
static char *escaped(const char *name)
{
	struct str s = STR_INIT;

	for (; *name; name++) {
		/* a backslash belongs to the whole character behind it */
		if (((unsigned char)*name & 0xc0) != 0x80)
			str_addc(&s, '\\');
		str_addc(&s, *name);
	}
	return str_take(&s);
}

static void check_pattern(const char *pattern, const char *name)
{
	bool fine = pattern_check(pattern), matches = pattern_matches(pattern, name);
	AUTO_FREE char *before = xasprintf("*%s", pattern);
	AUTO_FREE char *behind = xasprintf("%s*", pattern);
	AUTO_FREE char *exact = escaped(name);

	must(fine || !matches);
	must(pattern_check(before) == fine);
	must(!matches || pattern_matches(before, name));
	/* an escape at the end takes the star for a character */
	must(!matches || pattern_matches(behind, name));
	must(pattern_matches("*", name) && pattern_matches("**", name));
	if (!pattern_is(pattern) && !strchr(pattern, '\\'))
		must(fine && matches == streq(pattern, name));
	for (const char *p = name; *p; p++)
		if (!utf8_length(p) && ((unsigned char)*p & 0xc0) == 0x80)
			return; /* a stray byte: no character for an escape */
	must(pattern_matches(exact, name));
}

static void check_choice(const struct choice_input *in, const char *name)
{
	struct choice c = { .named = false }, again = { .named = false };
	struct err e = { .kind = ERR_NONE };

	if (choose(in, &c, &e) < 0) {
		must(e.kind == ERR_CONFIG && str_starts(e.msg, "wrong input: "));
		must_tell(&e);
		must(!c.source && !c.pools[V4] && !c.pools[V6] && !c.unknown);
		return;
	}
	must(c.source && c.named == (c.n[V4] || c.n[V6]));
	must(!c.unknown || *c.unknown);
	for (int f = 0; f < FAMILIES; f++)
		for (size_t i = 0; i < c.n[f]; i++) {
			const char *pool = c.pools[f][i];

			must(*pool && (!pattern_is(pool) || pattern_check(pool)));
			for (size_t k = 0; k < i; k++)
				must(!streq(pool, c.pools[f][k]));
			if (i < 4)
				check_pattern(pool, name);
		}
	/* the sources further down do not matter */
	if (*in->ippools) {
		struct choice_input less = *in;

		less.ippool = less.default_ipv4 = less.default_ipv6 = "";
		less.conf_ipv4 = less.conf_ipv6 = NULL;
		must(choose(&less, &again, &e) == 0 && alike(&c, &again));
	}
	choice_release(&again);
	choice_release(&c);
}

static void check_routes(const char *text)
{
	AUTO_FREE struct pool_route *routes = NULL;
	struct err e = { .kind = ERR_NONE };
	size_t n = 77;

	if (routes_read(text, &routes, &n, &e) < 0) {
		must(e.kind == ERR_CONFIG && !routes && n == 77);
		must_tell(&e);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		struct cidr dst = routes[i].dst, read;

		must(dst.ip.family == routes[i].gw.family && dst.len <= ip_bits(dst.ip));
		must(ip_equal(dst.ip, cidr_network(dst).ip));
		must(cidr_parse(cidr_str(dst).s, &read, &e) == 0);
		must(ip_equal(read.ip, dst.ip) && read.len == dst.len);
	}
}

static void check_networks(const struct pod_facts *f, const char *nic)
{
	size_t count = network_count(f->networks), place = network_place(f->networks, nic);
	AUTO_FREE char *why = NULL;
	AUTO_FREE char *network =
		pod_network(f, nic, "kube-system/fallback", "pods", "agents", &why);

	must(place <= count);
	must(!network || strchr(network, '/'));
	if (*f->default_network || (!streq(nic, "eth0") && !streq(nic, "0")))
		must(!network == (why != NULL));
}

static void check_selector(const char *text, const char *names)
{
	AUTO_JSON *selector = fuzz_json(text), *o = fuzz_json(names), *spec = json_new_object();
	struct selector s = { .set = false }, copy;
	struct err e = { .kind = ERR_NONE };
	AUTO_STR why = STR_INIT;
	struct labels l;
	bool matches, all = true;

	if (!selector)
		return;
	json_set(spec, "it", take_ptr(&selector));
	if (selector_read(spec, "it", &s, &e) < 0) {
		must((e.kind == ERR_PROTO || e.kind == ERR_CONFIG) && !s.set && !s.terms);
		must_tell(&e);
		return;
	}
	labels_read(o, &l);
	must(!selector_check(&s));
	matches = selector_matches(&s, &l, &why);
	must(matches == !why.len);
	for (size_t i = 0; i < s.n; i++) {
		struct selector one = { true, &s.terms[i], 1 };

		all = all && selector_matches(&one, &l, NULL);
	}
	must(matches == all);
	selector_copy(&copy, &s);
	must(copy.set == s.set && copy.n == s.n && selector_matches(&copy, &l, NULL) == matches);
	selector_release(&copy);
	selector_release(&s);
	labels_release(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = fuzz_begin(data, size);
	AUTO_FREE char *nic = fuzz_line(&in);
	AUTO_FREE char *ippools = fuzz_line(&in);
	AUTO_FREE char *ippool = fuzz_line(&in);
	AUTO_FREE char *default_ipv4 = fuzz_line(&in);
	AUTO_FREE char *default_ipv6 = fuzz_line(&in);
	AUTO_FREE char *networks = fuzz_line(&in);
	AUTO_FREE char *default_network = fuzz_line(&in);
	AUTO_FREE char *routes = fuzz_line(&in);
	AUTO_FREE char *conf_ipv4 = fuzz_line(&in);
	AUTO_FREE char *conf_ipv6 = fuzz_line(&in);
	AUTO_FREE char *name = fuzz_line(&in);
	AUTO_FREE char *selector = fuzz_line(&in);
	AUTO_FREE char *labels = fuzz_line(&in);
	AUTO_JSON *list4 = fuzz_json(conf_ipv4);
	AUTO_JSON *list6 = fuzz_json(conf_ipv6);
	const struct choice_input choice = { nic,      ippools, ippool, default_ipv4, default_ipv6,
		                             networks, list4,   list6,  true };
	const struct pod_facts facts = { .default_network = default_network, .networks = networks };

	check_choice(&choice, name);
	check_routes(routes);
	check_networks(&facts, nic);
	check_selector(selector, labels);
	return 0;
}
