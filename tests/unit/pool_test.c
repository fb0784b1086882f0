/* SPDX-License-Identifier: Apache-2.0 */
/* links: pool/ k8s/ippool.c k8s/labels.c net/ip.c json/json.c base/str.c base/err.c base/mem.c */
/* libs: cjson */
/*
 * pool_test.c - objects to pools and back, filters and their words, picks against a model.
 *
 * SEED=N has one seed alone of the wide picks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "k8s/ippool.h"

static struct pool read_pool(const char *spec, const char *status)
{
	AUTO_FREE char *text = xasprintf(
		"{\"metadata\":{\"name\":\"p\",\"uid\":\"u\",\"resourceVersion\":\"7\"},"
		"\"spec\":%s,\"status\":%s}",
		spec, status);
	AUTO_JSON *j = NULL;
	struct pool p = { .name = NULL };
	struct err e;

	if (json_parse(text, strlen(text), 0, &j, &e) < 0 || ippool_read(j, &p, &e) < 0)
		fail_msg("%s", e.msg);
	return p;
}

static struct ip ip(const char *s)
{
	struct ip a;

	assert_int_equal(ip_parse(s, &a, NULL), 0);
	return a;
}

static const struct pool_request request = { .pod = "default/web-0",
	                                     .uid = "uid-1",
	                                     .nic = "eth0",
	                                     .cid = "c1",
	                                     .node = "master",
	                                     .family = 4,
	                                     .network = "kube-system/ipvlan-eth0",
	                                     .agent_namespace = "kube-system" };

static const char guide[] =
	"{\"default\":true,\"ips\":[\"172.31.199.185-172.31.199.189\"],"
	"\"subnet\":\"172.31.192.0/20\",\"gateway\":\"172.31.207.253\","
	"\"nodeName\":[\"master\"],\"multusName\":[\"kube-system/ipvlan-eth0\"]}";

static void reads_the_guide(void **state)
{
	struct pool p = read_pool(guide, "{}");

	(void)state;
	assert_null(p.bad);
	assert_int_equal(p.family, 4);
	assert_int_equal(pool_total(&p), 5);
	assert_true(p.is_default);
	assert_string_equal(p.node_names[0], "master");
	pool_release(&p);
}

static void put(struct pool *p, struct ip ip, const char *pod, const char *uid, const char *nic,
                const char *cid)
{
	pool_put(p, &(struct pool_record){ .ip = ip,
	                                   .pod = (char *)(uintptr_t)pod,
	                                   .uid = (char *)(uintptr_t)uid,
	                                   .nic = (char *)(uintptr_t)nic,
	                                   .cid = (char *)(uintptr_t)cid });
}

static void reads_the_originals_records(void **state)
{
	const char *status =
		"{\"allocatedIPs\":\"{\\\"172.31.199.186\\\":{\\\"pod\\\":\\\"default/web-0\\\","
		"\\\"podUid\\\":\\\"uid-1\\\"}}\"}";
	struct pool p = read_pool(guide, status);
	struct pool_record *own;

	(void)state;
	assert_null(p.bad);
	assert_int_equal(p.n_records, 1);
	own = pool_find_own(&p, &request);
	assert_non_null(own);
	assert_string_equal(ip_str(own->ip).s, "172.31.199.186");
	/* it names no container: any DEL of this pod's uid frees it, another's does not */
	assert_int_equal(pool_remove(&p, "default/web-0", "uid-2", "eth0", "c9", 0), 0);
	assert_int_equal(pool_remove(&p, "default/web-0", "", "eth0", "c9", 0), 0);
	assert_int_equal(pool_remove(&p, "default/web-0", "uid-1", "eth0", "c9", 0), 1);
	pool_release(&p);
}

static void writes_records_sorted_as_bytes(void **state)
{
	struct pool p =
		read_pool("{\"subnet\":\"10.0.0.0/24\",\"ips\":[\"10.0.0.1-10.0.0.20\"]}", "{}");
	AUTO_JSON *patch = NULL;
	AUTO_STR text = STR_INIT;

	(void)state;
	pool_add(&p, ip("10.0.0.2"), &request);
	put(&p, ip("10.0.0.10"), "a/b", "u2", "", "");
	ippool_records_text(&p, &text);
	assert_string_equal(text.data,
	                    "{\"10.0.0.10\":{\"pod\":\"a/b\",\"podUid\":\"u2\"},"
	                    "\"10.0.0.2\":{\"pod\":\"default/web-0\",\"podUid\":\"uid-1\","
	                    "\"nic\":\"eth0\",\"cid\":\"c1\",\"node\":\"master\"}}");
	patch = ippool_status_patch(&p);
	str_reset(&text, 0);
	json_print(patch, &text);
	assert_non_null(strstr(text.data, "\"metadata\":{\"resourceVersion\":\"7\"}"));
	assert_non_null(strstr(text.data, "\"allocatedIPCount\":2,\"totalIPCount\":20"));
	assert_int_equal(pool_remove(&p, "", "", "eth0", "c1", 0), 1);
	assert_int_equal(pool_remove(&p, "a/b", "u2", "eth0", "x", 0), 1);
	json_free(patch);
	patch = ippool_status_patch(&p);
	str_reset(&text, 0);
	json_print(patch, &text);
	assert_non_null(strstr(text.data, "\"allocatedIPs\":null"));
	pool_release(&p);
}

/* Somebody's entry that is no address makes the pool unusable; a release still loses nothing. */
static void foreign_entries_are_kept(void **state)
{
	struct pool p = read_pool("{\"subnet\":\"10.0.0.0/24\",\"ips\":[\"10.0.0.1-10.0.0.9\"]}",
	                          "{\"allocatedIPs\":\"{\\\"10.0.0.1\\\":{\\\"pod\\\":\\\"a/"
	                          "b\\\",\\\"podUid\\\":\\\"u\\\"},"
	                          "\\\"what\\\":[1],\\\"10.0.0.2\\\":{\\\"pod\\\":\\\"a/"
	                          "c\\\",\\\"podUid\\\":\\\"v\\\"},\\\"is\\\":2}\"}");
	AUTO_STR text = STR_INIT;
	struct pool copy;

	(void)state;
	assert_string_equal(p.bad, "status.allocatedIPs: \"is\" is not an IP address");
	assert_int_equal(p.n_records, 2);
	pool_copy(&copy, &p);
	assert_int_equal(pool_remove(&copy, "a/b", "u", "eth0", "x", 0), 1);
	ippool_records_text(&copy, &text);
	assert_string_equal(text.data,
	                    "{\"10.0.0.2\":{\"pod\":\"a/c\",\"podUid\":\"v\"},"
	                    "\"what\":[1],\"is\":2}");
	assert_int_equal(pool_remove(&copy, "a/c", "v", "eth0", "x", 0), 1);
	str_reset(&text, 0);
	ippool_records_text(&copy, &text);
	assert_string_equal(text.data, "{\"what\":[1],\"is\":2}");
	pool_release(&copy);
	pool_release(&p);
}

static void bad_pools_say_why(void **state)
{
	static const char *const cases[][3] = {
		{ "{}", "{}", "spec.subnet: subnet: missing" },
		{ "{\"subnet\":\"10.0.0.1/24\"}", "{}",
		  "subnet 10.0.0.1/24 has host bits set, 10.0.0.0/24 was meant?" },
		{ "{\"subnet\":\"10.0.0.0/24\",\"ips\":[\"10.0.1.1\"]}", "{}",
		  "ips: 10.0.1.1 is not in subnet 10.0.0.0/24" },
		{ "{\"subnet\":\"10.0.0.0/24\",\"ips\":[\"10.0.0.9-10.0.0.1\"]}", "{}",
		  "spec.ips: range \"10.0.0.9-10.0.0.1\" ends before it begins" },
		{ "{\"subnet\":\"10.0.0.0/24\",\"gateway\":\"10.0.1.1\"}", "{}",
		  "gateway 10.0.1.1 is not in subnet 10.0.0.0/24" },
		{ "{\"subnet\":\"10.0.0.0/"
		  "24\",\"ips\":[\"10.0.0.1-10.0.0.9\"],\"gateway\":\"10.0.0.1\"}",
		  "{}", "gateway 10.0.0.1 is among ips" },
		{ "{\"subnet\":\"10.0.0.0/24\",\"ipVersion\":6}", "{}",
		  "spec.ipVersion 6 and subnet 10.0.0.0/24 do not fit" },
		{ "{\"subnet\":\"10.0.0.0/24\",\"multusName\":[\"a\",\"bad name//x\"]}", "{}",
		  "multusName: \"bad name//x\" is neither NAME nor NAMESPACE/NAME" },
		{ "{\"subnet\":\"0.0.0.0/8\",\"ips\":[\"0.0.0.0-0.0.0.9\"]}", "{}",
		  "ips: 0.0.0.0-0.0.0.9 has the unspecified address, which no pod can use: "
		  "0.0.0.0" },
		{ "{\"subnet\":\"127.0.0.0/8\",\"ips\":[\"127.1.0.1\"]}", "{}",
		  "ips: 127.1.0.1 has loopback addresses, which no pod can use: "
		  "127.0.0.0-127.255.255.255" },
		{ "{\"subnet\":\"0.0.0.0/0\",\"ips\":[\"223.0.0.1-224.0.0.0\"]}", "{}",
		  "ips: 223.0.0.1-224.0.0.0 has multicast addresses, which no pod can use: "
		  "224.0.0.0-239.255.255.255" },
		{ "{\"subnet\":\"240.0.0.0/4\",\"ips\":[\"255.255.255.255\"]}", "{}",
		  "ips: 255.255.255.255 has the broadcast address, which no pod can use: "
		  "255.255.255.255" },
		{ "{\"subnet\":\"::/64\",\"ips\":[\"::-::\"]}", "{}",
		  "ips: :: has the unspecified address, which no pod can use: ::" },
		{ "{\"subnet\":\"::/64\",\"ips\":[\"::1-::5\"]}", "{}",
		  "ips: ::1-::5 has the loopback address, which no pod can use: ::1" },
		{ "{\"subnet\":\"ff02::/64\",\"ips\":[\"ff02::5\"]}", "{}",
		  "ips: ff02::5 has multicast addresses, which no pod can use: "
		  "ff00::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
		{ "{\"subnet\":\"10.0.0.0/24\"}", "{\"allocatedIPs\":\"{oops\"}",
		  "status.allocatedIPs: not JSON: line 1 column 2: a member name is missing" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct pool p = read_pool(cases[i][0], cases[i][1]);

		assert_non_null(p.bad);
		assert_string_equal(p.bad, cases[i][2]);
		pool_release(&p);
	}
}

/* Whoever lists a subnet's first and last address wants them; what is excluded is not given. */
static void edges_are_given(void **state)
{
	static const char *const specs[] = {
		"{\"subnet\":\"10.0.0.0/30\",\"ips\":[\"10.0.0.0-10.0.0.3\"]}",
		"{\"subnet\":\"0.0.0.0/0\",\"ips\":[\"126.0.0.0-128.0.0.0\"],"
		"\"excludeIPs\":[\"127.0.0.0-127.255.255.255\"]}",
		"{\"subnet\":\"::/0\",\"ips\":[\"::2-feff:ffff::\"]}",
		"{\"subnet\":\"0.0.0.0/0\",\"ips\":[\"0.0.0.1-126.255.255.255\","
		"\"128.0.0.0-223.255.255.255\",\"240.0.0.0-255.255.255.254\"]}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
		struct pool p = read_pool(specs[i], "{}");

		if (p.bad)
			fail_msg("%s: %s", specs[i], p.bad);
		pool_release(&p);
	}
}

/* Refused is only what no network's name can be. */
static void names_of_networks(void **state)
{
	static const struct {
		const char *name;
		bool good;
	} cases[] = {
		{ "a", true },           { "kube-system/ipvlan-eth0", true },
		{ "a.b-c.0/d.9", true }, { "0/1", true },
		{ "a--b", true },        { "", false },
		{ "/", false },          { "/a", false },
		{ "a/", false },         { "a/b/c", false },
		{ "a//b", false },       { "A", false },
		{ "a_b", false },        { "a b", false },
		{ "-a", false },         { "a-", false },
		{ ".a", false },         { "a.", false },
		{ "a..b", false },       { "a.-b", false },
		{ "a-.b", false },       { "a-/b", false },
		{ "\u00e4", false },
	};
	AUTO_STR longest = STR_INIT;

	(void)state;
	for (size_t i = 0; i < 253; i++)
		str_addc(&longest, 'a');
	for (size_t i = 0; i < ARRAY_LEN(cases) + 2; i++) {
		bool row = i < ARRAY_LEN(cases);
		AUTO_FREE char *spec = NULL;
		struct pool p;

		if (i == ARRAY_LEN(cases) + 1)
			str_addc(&longest, 'a');
		spec = xasprintf("{\"subnet\":\"10.0.0.0/24\",\"multusName\":[\"%s\"]}",
		                 row ? cases[i].name : longest.data);
		p = read_pool(spec, "{}");
		if ((p.bad == NULL) != (row ? cases[i].good : longest.len == 253))
			fail_msg("%s: %s", spec, p.bad ? p.bad : "fine");
		pool_release(&p);
	}
}

static void filters(void **state)
{
	struct pool_request other = request;
	struct pool p = read_pool(guide, "{}");
	AUTO_STR why = STR_INIT;

	(void)state;
	assert_true(pool_serves(&p, &request, &why));
	other.node = "worker";
	assert_false(pool_serves(&p, &other, &why));
	assert_string_equal(why.data, "p is not for node worker");
	other = request;
	other.network = "kube-system/ipvlan-eth1";
	str_reset(&why, 0);
	assert_false(pool_serves(&p, &other, &why));
	assert_string_equal(why.data, "p is not for network kube-system/ipvlan-eth1");
	other.network = NULL;
	str_reset(&why, 0);
	assert_false(pool_serves(&p, &other, &why));
	assert_string_equal(why.data,
	                    "p is for certain networks, and the pod's is not known: "
	                    "no default network is configured");
	other = request;
	other.family = 6;
	str_reset(&why, 0);
	assert_false(pool_serves(&p, &other, &why));
	assert_string_equal(why.data, "p is IPv4");
	p.disabled = true;
	str_reset(&why, 0);
	assert_false(pool_serves(&p, &request, &why));
	assert_string_equal(why.data, "p is disabled");
	pool_release(&p);
	/* no namespace in multusName: the agent's */
	p = read_pool("{\"subnet\":\"10.0.0.0/24\",\"multusName\":[\"ipvlan-eth0\"]}", "{}");
	assert_true(pool_serves(&p, &request, &why));
	pool_release(&p);
}

static void round_robin(void **state)
{
	struct pool p = read_pool(
		"{\"subnet\":\"10.0.0.0/29\",\"ips\":[\"10.0.0.1-10.0.0.4\"],"
		"\"excludeIPs\":[\"10.0.0.2\"]}",
		"{}");
	struct ip got;
	struct err e;

	(void)state;
	assert_int_equal(pool_pick(&p, NULL, &got, &e), 0);
	assert_string_equal(ip_str(got).s, "10.0.0.1");
	pool_add(&p, got, &request);
	assert_int_equal(pool_remove(&p, "", "", "eth0", "c1", 0), 1);
	/* the address just given back rests while others are free */
	assert_int_equal(pool_pick(&p, NULL, &got, &e), 0);
	assert_string_equal(ip_str(got).s, "10.0.0.3");
	pool_add(&p, got, &request);
	put(&p, ip("10.0.0.4"), "a/b", "x", "eth0", "z");
	assert_int_equal(pool_pick(&p, NULL, &got, &e), 0);
	assert_string_equal(ip_str(got).s, "10.0.0.1");
	pool_add(&p, got, &request);
	assert_int_equal(pool_pick(&p, NULL, &got, &e), -1);
	assert_int_equal(e.kind, ERR_EXHAUSTED);
	assert_string_equal(e.msg, "all IP addresses used out: p");
	pool_release(&p);
}

/* What another agent gave back rests too, and a pool with one free address gives it at once. */
static void rests(void **state)
{
	static const char spec[] = "{\"subnet\":\"10.0.0.0/29\",\"ips\":[\"10.0.0.1-10.0.0.3\"]}";
	struct pool p = read_pool(spec, "{}"), news = read_pool(spec, "{}");
	struct ip got;
	struct err e;

	(void)state;
	put(&p, ip("10.0.0.1"), "a/b", "u", "eth0", "1");
	put(&p, ip("10.0.0.2"), "a/c", "u", "eth0", "2");
	put(&p, ip("10.0.0.3"), "a/d", "u", "eth0", "3");
	p.last = ip("10.0.0.3");
	assert_int_equal(pool_remove(&p, "a/c", "u", "eth0", "2", 0), 1);
	put(&news, ip("10.0.0.3"), "a/d", "u", "eth0", "3");
	pool_move_rests(&news, &p);
	assert_null(p.rests);
	/* .2 has been free for longer than .1 */
	assert_int_equal(pool_pick(&news, NULL, &got, &e), 0);
	assert_string_equal(ip_str(got).s, "10.0.0.2");
	put(&news, got, "a/e", "u", "eth0", "4");
	assert_int_equal(pool_pick(&news, NULL, &got, &e), 0);
	assert_string_equal(ip_str(got).s, "10.0.0.1");
	put(&news, got, "a/f", "u", "eth0", "5");
	assert_int_equal(news.n_rests, 0);
	assert_int_equal(pool_remove(&news, "a/e", "u", "eth0", "4", 0), 1);
	assert_int_equal(pool_pick(&news, NULL, &got, &e), 0);
	assert_string_equal(ip_str(got).s, "10.0.0.2");
	/* however many are given back, the list is bounded and forgets the oldest */
	for (int i = 0; i < POOL_RECORDS_MAX + 10; i++)
		pool_rest(&news, (struct ip){ 4, { 10, 1, (uint8_t)(i >> 8), (uint8_t)i } });
	assert_int_equal(news.n_rests, POOL_RECORDS_MAX);
	assert_false(pool_is_resting(&news, ip("10.0.0.2")));
	pool_release(&p);
	pool_release(&news);
}

/* A record's own members come back as they were written. */
static void records_round_trip(void **state)
{
	static const char text[] =
		"{\"10.0.0.1\":{\"pod\":\"d/web-0\",\"podUid\":\"u\",\"nic\":\"eth0\",\"cid\":"
		"\"c\",\"node\":\"n\",\"keep\":\"StatefulSet\"},\"10.0.0.2\":{\"pod\":\"\",\"podUid"
		"\":\"\",\"node\":\"n\",\"conflict\":\"02:00:00:00:00:01 on "
		"eth0\",\"since\":1700000000}"
		"}";
	AUTO_JSON *status = json_new_object();
	struct pool_request q = request;
	AUTO_STR printed = STR_INIT;
	AUTO_STR again = STR_INIT;
	struct pool p;

	(void)state;
	json_set_str(status, "allocatedIPs", text);
	json_print(status, &printed);
	p = read_pool("{\"subnet\":\"10.0.0.0/29\",\"ips\":[\"10.0.0.1-10.0.0.3\"]}", printed.data);
	assert_null(p.bad);
	ippool_records_text(&p, &again);
	assert_string_equal(again.data, text);
	q.pod = "d/web-0";
	q.uid = "a new one";
	assert_ptr_equal(pool_find_kept(&p, &q), &p.records[0]);
	q.pod = "d/web-1";
	assert_null(pool_find_kept(&p, &q));
	/* nobody's DEL frees an address that somebody else answers for */
	assert_int_equal(pool_remove(&p, "", "", "", "", 0), 0);
	pool_release(&p);
}

/* Records of this pod's name, until no more are given: how many, and what their object's size is.
 */
static void fill(const char *pod, size_t *n, size_t *size)
{
	struct pool p = read_pool(
		"{\"subnet\":\"10.0.0.0/8\",\"ips\":[\"10.100.100.100-10.255.255.254\"]}", "{}");
	AUTO_STR text = STR_INIT;
	AUTO_STR escaped = STR_INIT;
	struct ip got;
	struct err e;

	while (pool_pick(&p, NULL, &got, &e) == 0) {
		pool_put(&p,
		         &(struct pool_record){
				 .ip = got,
				 .pod = (char *)(uintptr_t)pod,
				 .uid = "00000000-0000-4000-8000-000000000000",
				 .nic = "eth0",
				 .cid = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789"
					"abcdef",
				 .node = "ip-10-0-0-1.eu-central-1.compute.internal",
				 .keep = POOL_KEEP_VMI,
			 });
		p.last = got;
	}
	assert_int_equal(e.kind, ERR_EXHAUSTED);
	assert_true(str_starts(e.msg, "all IP addresses used out: "));
	*n = p.n_records;
	ippool_records_text(&p, &text);
	json_print_text(text.data, &escaped);
	*size = escaped.len;
	pool_release(&p);
}

/* The object must be one that etcd takes. */
static void no_more_than_fits(void **state)
{
	char pod[300];
	size_t n, size;

	(void)state;
	memset(pod, 'p', sizeof(pod));
	pod[200] = '\0';
	fill(pod, &n, &size);
	assert_in_range(n, 3000, 4000);
	assert_in_range(size, POOL_TEXT_MAX - 30000, POOL_TEXT_MAX + 1000);
	pod[10] = '\0';
	fill(pod, &n, &size);
	assert_int_equal(n, POOL_RECORDS_MAX);
	assert_in_range(size, 0, POOL_TEXT_MAX);
}

static void huge_ranges_cost_nothing(void **state)
{
	struct pool p = read_pool(
		"{\"subnet\":\"fd00::/8\",\"ips\":[\"fd00::1-fdff::ffff\"],"
		"\"excludeIPs\":[\"fd00::1-fdef::\"]}",
		"{}");
	struct ip got;
	struct err e;

	(void)state;
	assert_null(p.bad);
	assert_true(pool_total(&p) == UINT64_MAX);
	assert_int_equal(pool_pick(&p, NULL, &got, &e), 0);
	assert_string_equal(ip_str(got).s, "fdef::1");
	pool_release(&p);
}

/* Every pick is usable and free; exhaustion comes exactly when the model has none left. */
static void picks_against_model(void **state)
{
	unsigned int seed = 4711;

	(void)state;
	print_message("# seed %u\n", seed);
	srandom(seed);
	for (int round = 0; round < 500; round++) {
		struct pool p = read_pool(
			"{\"subnet\":\"10.0.0.0/"
			"26\",\"ips\":[\"10.0.0.1-10.0.0.30\",\"10.0.0.40\"],"
			"\"excludeIPs\":[\"10.0.0.5-10.0.0.9\"]}",
			"{}");
		AUTO_IP_SET reserved = IP_SET_INIT;
		bool free_model[64] = { false };
		int freed_at[64] = { 0 }; /* 0: never */

		for (int i = 1; i <= 40; i++)
			free_model[i] = i <= 4 || (i >= 10 && i <= 30) || i == 40;
		for (int i = 0; i < 3; i++) {
			struct ip a = ip("10.0.0.0");

			a.bytes[3] = (uint8_t)(random() % 64);
			ip_set_add(&reserved, (struct ip_range){ a, a });
			free_model[a.bytes[3]] = false;
		}
		for (int op = 0; op < 60; op++) {
			bool any = false;
			struct ip got;
			struct err e;

			for (int i = 0; i < 64; i++)
				any |= free_model[i];
			assert_int_equal(pool_pick(&p, &reserved, &got, &e), any ? 0 : -1);
			if (any) {
				char cid[16];

				assert_true(free_model[got.bytes[3]]);
				for (int i = 0; i < 64; i++)
					assert_false(free_model[i] &&
					             freed_at[i] < freed_at[got.bytes[3]]);
				snprintf(cid, sizeof(cid), "%d", got.bytes[3]);
				put(&p, got, "a/b", "u", "eth0", cid);
				p.last = got;
				free_model[got.bytes[3]] = false;
			}
			if (p.n_records && random() % 3 == 0) {
				uint8_t last = p.records[random() % (long)p.n_records].ip.bytes[3];
				char cid[16];

				snprintf(cid, sizeof(cid), "%d", last);
				assert_int_equal(pool_remove(&p, "a/b", "u", "eth0", cid, 0), 1);
				free_model[last] = true;
				freed_at[last] = op + 1;
			}
		}
		pool_release(&p);
	}
}

/*
 * Pools as large as a /8 or a /64.  The model knows ranges as numbers and nothing of how they are
 * kept: the address that is expected is one after `last`, or the first of a range, or one that
 * follows something that may not be given.
 */
#define SEEDS 2000
#define SPANS 4

struct span {
	uint64_t first, last;
};

struct wide {
	int family;
	uint64_t max; /* numbers of the subnet's addresses: 0 ... max */
	struct span ips[SPANS], excluded[SPANS], reserved[SPANS];
	int n_excluded, n_reserved;
	struct ip_set held_back;
	struct pool p;
	uint64_t given[64], rests[64]; /* these in the order in which they were given back */
	int n_given, n_rests;
	uint64_t last;
	bool any; /* was given */
};

static struct ip nth(const struct wide *m, uint64_t n)
{
	struct ip a = { .family = (uint8_t)m->family };

	a.bytes[0] = m->family == 4 ? 10 : 0xfd;
	for (int i = m->family == 4 ? 4 : 16; n; n >>= 8)
		a.bytes[--i] |= (uint8_t)n;
	return a;
}

static uint64_t some_place(const struct wide *m)
{
	uint64_t n = (uint64_t)random() << 33 ^ (uint64_t)random() << 11 ^ (uint64_t)random();

	/* often so near together that they touch */
	return random() % 2   ? (uint64_t)random() % 24
	       : random() % 4 ? n & m->max
	                      : m->max - (uint64_t)random() % 24;
}

static void make_spans(const struct wide *m, struct span *v, int n, struct ip_set *set)
{
	for (int i = 0; i < n; i++) {
		uint64_t a = some_place(m), b = random() % 2 ? a : some_place(m);

		v[i] = a < b ? (struct span){ a, b } : (struct span){ b, a };
		ip_set_add(set, (struct ip_range){ nth(m, v[i].first), nth(m, v[i].last) });
	}
}

static bool covers(const struct span *v, int n, uint64_t x)
{
	while (n--)
		if (v[n].first <= x && x <= v[n].last)
			return true;
	return false;
}

static bool is_one_of(const uint64_t *v, int n, uint64_t x)
{
	while (n--)
		if (v[n] == x)
			return true;
	return false;
}

static bool may_give(const struct wide *m, uint64_t x)
{
	return covers(m->ips, SPANS, x) && !covers(m->excluded, m->n_excluded, x) &&
	       !covers(m->reserved, m->n_reserved, x) && !is_one_of(m->given, m->n_given, x);
}

/* The nearest that was never given back, from the place after the last one round the pool. */
static bool nearest(const struct wide *m, uint64_t *out)
{
	uint64_t start = m->any ? (m->last == m->max ? 0 : m->last + 1) : 0, tries[256];
	bool found = false;
	int n = 0;

	tries[n++] = start;
	for (int i = 0; i < SPANS; i++)
		tries[n++] = m->ips[i].first;
	for (int i = 0; i < m->n_excluded; i++)
		tries[n++] = m->excluded[i].last + 1;
	for (int i = 0; i < m->n_reserved; i++)
		tries[n++] = m->reserved[i].last + 1;
	for (int i = 0; i < m->n_given; i++)
		tries[n++] = m->given[i] + 1;
	for (int i = 0; i < m->n_rests; i++)
		tries[n++] = m->rests[i] + 1;
	while (n--) {
		if (tries[n] > m->max || !may_give(m, tries[n]) ||
		    is_one_of(m->rests, m->n_rests, tries[n]))
			continue;
		/* differences go round as the pool does: all before `start` is far */
		if (!found || tries[n] - start < *out - start)
			*out = tries[n];
		found = true;
	}
	return found;
}

static bool expect(const struct wide *m, uint64_t *out)
{
	if (nearest(m, out))
		return true;
	for (int i = 0; i < m->n_rests; i++) {
		*out = m->rests[i];
		if (may_give(m, *out))
			return true;
	}
	return false;
}

static void drop(uint64_t *v, int *n, uint64_t x)
{
	int kept = 0;

	for (int i = 0; i < *n; i++)
		if (v[i] != x)
			v[kept++] = v[i];
	*n = kept;
}

static void give_one_back(struct wide *m)
{
	uint64_t x = m->given[random() % m->n_given];

	pool_remove_record(&m->p, pool_find(&m->p, nth(m, x)));
	drop(m->given, &m->n_given, x);
	m->rests[m->n_rests++] = x;
}

/* What was given may be reserved or excluded later. */
static void hold_back(struct wide *m)
{
	ip_set_release(&m->p.excluded);
	ip_set_release(&m->held_back);
	m->n_excluded = (int)(random() % (SPANS + 1));
	m->n_reserved = (int)(random() % (SPANS + 1));
	make_spans(m, m->excluded, m->n_excluded, &m->p.excluded);
	make_spans(m, m->reserved, m->n_reserved, &m->held_back);
}

static void make_wide(struct wide *m)
{
	bool v4 = random() % 2;

	memset(m, 0, sizeof(*m));
	m->family = v4 ? 4 : 6;
	m->max = v4 ? (1U << 24) - 1 : UINT64_MAX;
	m->p = read_pool(v4 ? "{\"subnet\":\"10.0.0.0/8\"}" : "{\"subnet\":\"fd00::/64\"}", "{}");
	make_spans(m, m->ips, SPANS, &m->p.ips);
	hold_back(m);
}

static void pick_once(struct wide *m, unsigned int seed)
{
	uint64_t expected = 0;
	bool any = expect(m, &expected);
	struct ip got;
	struct err e;

	if ((pool_pick(&m->p, &m->held_back, &got, &e) == 0) != any)
		fail_msg("SEED=%u: there is %s address", seed, any ? "an" : "no");
	if (!any) {
		assert_int_equal(e.kind, ERR_EXHAUSTED);
		return;
	}
	if (!ip_equal(got, nth(m, expected)))
		fail_msg("SEED=%u: %s, not %s", seed, ip_str(got).s, ip_str(nth(m, expected)).s);
	put(&m->p, got, "a/b", "u", "eth0", "c");
	m->p.last = got;
	m->given[m->n_given++] = m->last = expected;
	m->any = true;
	drop(m->rests, &m->n_rests, expected);
}

static void wide_picks_against_model(void **state)
{
	const char *chosen = getenv("SEED");
	unsigned int seed = chosen ? (unsigned int)strtoul(chosen, NULL, 10) : 1;
	unsigned int end = chosen ? seed + 1 : SEEDS + 1;

	(void)state;
	for (; seed < end; seed++) {
		struct wide m;

		srandom(seed);
		make_wide(&m);
		for (int i = 0; i < 40; i++) {
			if (m.n_given && random() % 3 == 0)
				give_one_back(&m);
			if (random() % 8 == 0)
				hold_back(&m);
			pick_once(&m, seed);
		}
		pool_release(&m.p);
		ip_set_release(&m.held_back);
	}
}

static void old_sandbox_frees_nothing(void **state)
{
	struct pool p = read_pool(guide, "{}");
	struct pool_request retry = request;
	struct pool copy;

	(void)state;
	pool_add(&p, ip("172.31.199.185"), &request);
	retry.cid = "c2";
	pool_add(&p, pool_find_own(&p, &retry)->ip, &retry);
	assert_int_equal(p.n_records, 1);
	assert_int_equal(pool_remove(&p, request.pod, request.uid, "eth0", "c1", 0), 0);
	pool_copy(&copy, &p);
	assert_int_equal(pool_remove(&copy, request.pod, request.uid, "eth0", "c2", 0), 1);
	assert_int_equal(p.n_records, 1);
	pool_release(&copy);
	/* another NIC of the same pod is another address */
	retry.nic = "net1";
	assert_null(pool_find_own(&p, &retry));
	pool_release(&p);
}

static void default_order(void **state)
{
	struct pool node = read_pool(guide, "{}");
	struct pool plain = read_pool("{\"subnet\":\"10.0.0.0/24\"}", "{}");
	struct pool later = read_pool("{\"subnet\":\"10.0.0.0/24\"}", "{}");

	(void)state;
	later.name[0] = 'q';
	assert_true(pool_compare_default(&node, &plain) < 0);
	assert_true(pool_compare_default(&plain, &node) > 0);
	assert_true(pool_compare_default(&plain, &later) < 0);
	pool_release(&node);
	pool_release(&plain);
	pool_release(&later);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_the_guide),
		cmocka_unit_test(reads_the_originals_records),
		cmocka_unit_test(writes_records_sorted_as_bytes),
		cmocka_unit_test(foreign_entries_are_kept),
		cmocka_unit_test(bad_pools_say_why),
		cmocka_unit_test(edges_are_given),
		cmocka_unit_test(names_of_networks),
		cmocka_unit_test(filters),
		cmocka_unit_test(round_robin),
		cmocka_unit_test(rests),
		cmocka_unit_test(records_round_trip),
		cmocka_unit_test(no_more_than_fits),
		cmocka_unit_test(huge_ranges_cost_nothing),
		cmocka_unit_test(picks_against_model),
		cmocka_unit_test(wide_picks_against_model),
		cmocka_unit_test(old_sandbox_frees_nothing),
		cmocka_unit_test(default_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
