/* SPDX-License-Identifier: Apache-2.0 */
/* links: k8s/endpoint.c net/ip.c json/json.c base/str.c base/err.c base/mem.c */
/* libs: cjson */
/*
 * endpoint_test.c - SpiderEndpoint objects as the original writes them, ours, and hostile ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "k8s/endpoint.h"

static json *parse(const char *text)
{
	json *j = NULL;
	struct err e;

	if (json_parse(text, strlen(text), JSON_UNIQUE, &j, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	return j;
}

static void check_json(json *j, const char *wanted)
{
	AUTO_STR text = STR_INIT;

	json_print(j, &text);
	json_free(j);
	assert_string_equal(text.data, wanted);
}

#define STATUS                                                                                     \
	"\"status\":{\"current\":{\"uid\":\"u-1\",\"node\":\"worker1\",\"ips\":["                  \
	"{\"interface\":\"eth0\",\"ipv4\":\"172.31.199.185/20\",\"ipv4Pool\":\"master-172\","      \
	"\"ipv4Gateway\":\"172.31.207.253\",\"ipv6\":\"fd00::10/64\",\"ipv6Pool\":\"six\","        \
	"\"ipv6Gateway\":\"fd00::1\",\"cleanGateway\":true,"                                       \
	"\"routes\":[{\"dst\":\"10.0.0.0/8\",\"gw\":\"172.31.207.254\"}]},"                        \
	"{\"interface\":\"net1\",\"ipv4\":\"192.168.0.9/24\",\"ipv4Pool\":\"p2\"}]},"              \
	"\"ownerControllerType\":\"Deployment\",\"ownerControllerName\":\"web\"}"

static const char whole[] =
	"{\"apiVersion\":\"spiderpool.spidernet.io/v2beta1\",\"kind\":\"SpiderEndpoint\","
	"\"metadata\":{\"namespace\":\"default\",\"name\":\"web-0\","
	"\"finalizers\":[\"spiderpool.spidernet.io\"],"
	"\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"name\":\"web-0\","
	"\"uid\":\"u-1\"}]}," STATUS "}";

static void reads_and_writes(void **state)
{
	AUTO_JSON *object = parse(whole);
	struct endpoint ep;
	struct err e;

	(void)state;
	if (endpoint_read(object, &ep, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(ep.namespace, "default");
	assert_string_equal(ep.name, "web-0");
	assert_string_equal(ep.pod_uid, "u-1");
	assert_string_equal(ep.node, "worker1");
	assert_string_equal(ep.owner_type, "Deployment");
	assert_string_equal(ep.owner_name, "web");
	assert_int_equal(ep.n_ips, 2);
	assert_string_equal(ep.ips[0].interface, "eth0");
	assert_string_equal(cidr_str(ep.ips[0].ipv4).s, "172.31.199.185/20");
	assert_string_equal(ep.ips[0].ipv4_pool, "master-172");
	assert_string_equal(ip_str(ep.ips[0].ipv4_gateway).s, "172.31.207.253");
	assert_string_equal(cidr_str(ep.ips[0].ipv6).s, "fd00::10/64");
	assert_string_equal(ep.ips[0].ipv6_pool, "six");
	assert_true(ep.ips[0].clean_gateway);
	assert_int_equal(ep.ips[0].n_routes, 1);
	assert_string_equal(cidr_str(ep.ips[0].routes[0].dst).s, "10.0.0.0/8");
	assert_string_equal(ip_str(ep.ips[0].routes[0].gw).s, "172.31.207.254");
	assert_int_equal(ep.ips[1].ipv6.ip.family, 0);
	assert_int_equal(ep.ips[1].ipv4_gateway.family, 0);
	assert_null(ep.ips[1].ipv6_pool);
	assert_false(ep.ips[1].clean_gateway);
	check_json(endpoint_object(&ep), whole);
	check_json(endpoint_patch(&ep), "{" STATUS "}");
	endpoint_release(&ep);
	endpoint_release(&ep);
}

/* Members that we do not know, empty strings, an interface without a name. */
static void what_the_original_writes(void **state)
{
	AUTO_JSON *object = parse(
		"{\"metadata\":{\"namespace\":\"n\",\"name\":\"p\"},\"status\":{\"current\":{"
		"\"uid\":\"u\",\"node\":\"w\",\"ips\":[{\"interface\":\"\",\"ipv4\":"
		"\"10.0.0.1/24\",\"ipv4Pool\":\"a\",\"ipv6\":\"\",\"ipv6Pool\":\"\",\"vlan\":0,"
		"\"mac\":\"aa:bb:cc:dd:ee:ff\",\"cleanGateway\":null,\"routes\":null}]},"
		"\"ownerControllerType\":\"Pod\",\"ownerControllerName\":\"p\"}}");
	struct endpoint ep;
	struct err e;

	(void)state;
	if (endpoint_read(object, &ep, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(ep.n_ips, 1);
	assert_string_equal(ep.ips[0].interface, "");
	assert_int_equal(ep.ips[0].ipv4.ip.family, 4);
	assert_int_equal(ep.ips[0].ipv6.ip.family, 0);
	assert_null(ep.ips[0].ipv6_pool);
	endpoint_release(&ep);
}

static void without_a_status(void **state)
{
	AUTO_JSON *object = parse("{\"metadata\":{\"namespace\":\"n\",\"name\":\"p\"}}");
	struct endpoint ep;

	(void)state;
	assert_int_equal(endpoint_read(object, &ep, NULL), 0);
	assert_int_equal(ep.n_ips, 0);
	assert_string_equal(ep.pod_uid, "");
	/* the schema requires the list and the owner */
	check_json(endpoint_patch(&ep),
	           "{\"status\":{\"current\":{\"uid\":\"\",\"node\":\"\",\"ips\":[]},"
	           "\"ownerControllerType\":\"Pod\",\"ownerControllerName\":\"p\"}}");
	endpoint_release(&ep);
}

static void bad_objects(void **state)
{
	static const char *const cases[][2] = {
		{ "\"ips\":{}", "ips: not an array" },
		{ "\"ips\":[1]", "ips: not an array of objects" },
		{ "\"ips\":[{\"interface\":\"a\"},{\"interface\":\"eth0\",\"ipv4\":\"10.0.0.1\"}]",
		  NULL },
		{ "\"ips\":[{\"interface\":\"eth0\",\"ipv4\":\"fd00::1/64\"}]",
		  "ips: \"eth0\": ipv4: fd00::1/64 is of the other family" },
		{ "\"ips\":[{\"interface\":\"eth0\",\"ipv6Gateway\":\"10.0.0.1\"}]",
		  "ips: \"eth0\": ipv6Gateway: 10.0.0.1 is of the other family" },
		{ "\"ips\":[{\"interface\":\"eth0\",\"ipv4Pool\":7}]",
		  "ips: \"eth0\": ipv4Pool: not a string" },
		{ "\"ips\":[{\"interface\":\"eth0\",\"cleanGateway\":\"yes\"}]",
		  "ips: \"eth0\": cleanGateway: not true or false" },
		{ "\"ips\":[{\"interface\":\"eth0\",\"routes\":[{\"dst\":\"10.0.0.0/8\"}]}]",
		  "ips: \"eth0\": routes: gw: missing" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_FREE char *text = xasprintf(
			"{\"metadata\":{\"namespace\":\"n\",\"name\":"
			"\"p\"},\"status\":{\"current\":{%s}}}",
			cases[i][0]);
		AUTO_FREE char *wanted =
			xasprintf("SpiderEndpoint n/p: status.current: %s",
		                  cases[i][1] ? cases[i][1] : "ips: \"eth0\": ipv4: ");
		AUTO_JSON *object = parse(text);
		struct endpoint ep = { .n_ips = 77 };
		struct err e;

		assert_int_equal(endpoint_read(object, &ep, &e), -1);
		assert_int_equal(e.kind, ERR_PROTO);
		if (cases[i][1])
			assert_string_equal(e.msg, wanted);
		else
			assert_true(str_starts(e.msg, wanted));
		assert_int_equal(ep.n_ips, 77);
		assert_int_equal(endpoint_read(object, &ep, NULL), -1);
	}
}

static void nameless(void **state)
{
	static const char *const cases[] = { "{}", "[]", "{\"metadata\":{\"name\":\"p\"}}",
		                             "{\"metadata\":{\"namespace\":\"n\"}}" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_JSON *object = parse(cases[i]);
		struct endpoint ep;
		struct err e;

		assert_int_equal(endpoint_read(object, &ep, &e), -1);
		assert_string_equal(e.msg, "a SpiderEndpoint without a name or a namespace");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_writes), cmocka_unit_test(what_the_original_writes),
		cmocka_unit_test(without_a_status), cmocka_unit_test(bad_objects),
		cmocka_unit_test(nameless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
