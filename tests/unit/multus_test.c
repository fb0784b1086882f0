/* SPDX-License-Identifier: Apache-2.0 */
/* links: plugins/multus_conf.c plugins/multus_select.c plugins/multus_delegate.c plugins/plugin_log.c cni/list.c cni/cni.c cni/result.c cni/delegate.c cni/env.c cni/conf.c cni/check.c net/ json/json.c base/ */
/* libs: cjson mnl */
/*
 * multus_test.c - the pure half of the multus plugin: its configuration, the annotations of a pod,
 * what each of its networks is given, the file for DEL, and the status.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "plugins/agent_client.h"
#include "plugins/multus_conf.h"
#include "plugins/multus_delegate.h"
#include "plugins/multus_select.h"

static json *parse(const char *text)
{
	struct err e;
	json *j = NULL;

	if (json_parse(text, strlen(text), 0, &j, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	return j;
}

static void is_text(const json *j, const char *want)
{
	AUTO_STR text = STR_INIT;

	json_print(j, &text);
	assert_string_equal(text.data, want);
}

static void configurations(void **state)
{
	static const struct {
		const char *text, *error; /* NULL: none */
	} cases[] = {
		{ "{\"clusterNetwork\":\"x\"}", NULL },
		{ "{\"delegates\":[{}]}", NULL },
		{ "{}", "configuration: one of clusterNetwork and delegates is needed" },
		{ "{\"clusterNetwork\":\"\",\"delegates\":[]}",
		  "configuration: one of clusterNetwork and delegates is needed" },
		{ "{\"clusterNetwork\":1}", "configuration: clusterNetwork: not a string" },
		{ "{\"clusterNetwork\":\"x\",\"defaultNetworks\":[1]}",
		  "configuration: defaultNetworks: not an array of strings" },
		{ "{\"clusterNetwork\":\"x\",\"logLevel\":\"loud\"}",
		  "configuration: logLevel: \"loud\" is not a log level: error, warn, info or "
		  "debug" },
		{ "{\"clusterNetwork\":\"x\",\"namespaceIsolation\":\"yes\"}",
		  "configuration: namespaceIsolation: not true or false" },
	};
	struct multus_conf c;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_JSON *j = parse(cases[i].text);

		if (multus_conf_read(j, &c, &e) == 0) {
			assert_null(cases[i].error);
			continue;
		}
		assert_int_equal(e.kind, ERR_CONFIG);
		assert_string_equal(e.msg, cases[i].error ? cases[i].error : "(none)");
	}
}

/* What a file of the Spiderpool chart means. */
static void configuration_members(void **state)
{
	AUTO_JSON *j = parse(
		"{\"cniVersion\":\"0.3.1\",\"name\":\"multus-cni-network\",\"type\":\"multus\","
		"\"confDir\":"
		"\"/etc/cni/net.d/\",\"logLevel\":\"verbose\",\"logFile\":\"/var/log/multus.log\","
		"\"logOptions\":{\"maxAge\":5,\"maxSize\":100,\"maxBackups\":3,\"compress\":true},"
		"\"capabilities\":{\"portMappings\":true,\"bandwidth\":true},"
		"\"namespaceIsolation\":true,"
		"\"globalNamespaces\":\"default, infra\",\"clusterNetwork\":\"ipvlan-eth0\","
		"\"defaultNetworks\":[\"a\"],\"multusNamespace\":\"nets\",\"systemNamespaces\":["
		"\"sys\"],"
		"\"kubeconfig\":\"/etc/cni/net.d/multus.d/multus.kubeconfig\"}");
	AUTO_JSON *plain = parse("{\"delegates\":[{\"type\":\"t\"}]}");
	AUTO_STR unknown = STR_INIT;
	struct multus_conf c;
	struct err e;

	(void)state;
	if (multus_conf_read(j, &c, &e) < 0)
		fail_msg("%s", e.msg);
	json_unknown(j, multus_conf_keys, &unknown);
	assert_string_equal(unknown.data, "");
	assert_string_equal(c.conf_dir, "/etc/cni/net.d/");
	assert_string_equal(c.cni_dir, "/var/lib/cni/multus");
	assert_string_equal(c.bin_dir, "/opt/cni/bin");
	assert_string_equal(c.agent_socket, AGENT_SOCKET);
	assert_string_equal(c.multus_namespace, "nets");
	assert_string_equal(c.log.path, "/var/log/multus.log");
	assert_int_equal(c.log.level, LOG_LEVEL_INFO);
	assert_int_equal(c.log.max_days, 5);
	assert_int_equal(c.log.max_count, 3);
	assert_true(multus_is_system_namespace(&c, "sys"));
	assert_false(multus_is_system_namespace(&c, "kube-system"));
	assert_true(multus_may_refer(&c, "a", "a"));
	assert_true(multus_may_refer(&c, "a", "infra"));
	assert_true(multus_may_refer(&c, "a", "default"));
	assert_false(multus_may_refer(&c, "a", "b"));
	assert_false(multus_may_refer(&c, "a", "infr"));
	assert_false(multus_may_refer(&c, "a", "efault"));
	/* without a kubeconfig nobody is asked, unless the socket is named */
	if (multus_conf_read(plain, &c, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(c.agent_socket, "");
	assert_true(multus_is_system_namespace(&c, "kube-system"));
	assert_true(multus_may_refer(&c, "a", "b"));
	assert_string_equal(c.conf_dir, "/etc/cni/multus/net.d");
}

static void selections(void **state)
{
	static const struct {
		const char *text, *want; /* or the error */
	} cases[] = {
		{ "a", "[{\"name\":\"a\",\"namespace\":\"dflt\"}]" },
		{ " n/a , b@if0,n2/c-1@x.y ",
		  "[{\"name\":\"a\",\"namespace\":\"n\"},{\"name\":\"b\",\"namespace\":\"dflt\","
		  "\"interface\":\"if0\"},{\"name\":\"c-1\",\"namespace\":\"n2\",\"interface\":"
		  "\"x.y\"}]" },
		{ "", "\"\": network name is empty" },
		{ "a,,b", "\"\": network name is empty" },
		{ "a/b/c",
		  "\"a/b/c\": network name \"b/c\" may hold lower-case letters, digits and "
		  "\"-\" and begins and ends with a letter or digit" },
		{ "A",
		  "\"A\": network name \"A\" may hold lower-case letters, digits and \"-\" and "
		  "begins and ends with a letter or digit" },
		{ "-a",
		  "\"-a\": network name \"-a\" may hold lower-case letters, digits and \"-\" "
		  "and begins and ends with a letter or digit" },
		{ "a.b",
		  "\"a.b\": network name \"a.b\" may hold lower-case letters, digits and "
		  "\"-\" and begins and ends with a letter or digit" },
		{ "a@0123456789abcdef",
		  "\"a@0123456789abcdef\": \"0123456789abcdef\" is not an interface name" },
		{ "[{\"name\":\"a\"},{\"name\":\"b.c\",\"namespace\":\"n\",\"interface\":\"net9\"}"
		  "]",
		  "[{\"name\":\"a\",\"namespace\":\"dflt\"},{\"name\":\"b.c\",\"namespace\":\"n\","
		  "\"interface\":\"net9\"}]" },
		{ "[{\"name\":\"a\",\"interface\":\"\",\"interfaceRequest\":\"old\"}]",
		  "[{\"name\":\"a\",\"interface\":\"old\",\"interfaceRequest\":\"old\","
		  "\"namespace\":\"dflt\"}]" },
		{ "[{\"name\":\"a\",\"interface\":\"new\",\"interfaceRequest\":\"old\"}]",
		  "[{\"name\":\"a\",\"interface\":\"new\",\"interfaceRequest\":\"old\","
		  "\"namespace\":\"dflt\"}]" },
		{ "[{\"name\":\"a\",\"interfaceRequest\":\"old\"}]",
		  "[{\"name\":\"a\",\"interfaceRequest\":\"old\",\"interface\":\"old\","
		  "\"namespace\":"
		  "\"dflt\"}]" },
		{ "[{\"name\":\"a\",\"ips\":[\"10.0.0.5/"
		  "24\",\"fd00::5\"],\"mac\":\"02:23:45:67:89:01\","
		  "\"default-route\":[\"10.0.0.1\"],\"cni-args\":{\"x\":1},\"portMappings\":[{"
		  "\"hostPort\":"
		  "80,\"containerPort\":8080,\"protocol\":\"tcp\"}],\"bandwidth\":{\"ingressRate\":"
		  "5}}]",
		  "[{\"name\":\"a\",\"ips\":[\"10.0.0.5/"
		  "24\",\"fd00::5\"],\"mac\":\"02:23:45:67:89:01\","
		  "\"default-route\":[\"10.0.0.1\"],\"cni-args\":{\"x\":1},\"portMappings\":[{"
		  "\"hostPort\":"
		  "80,\"containerPort\":8080,\"protocol\":\"tcp\"}],\"bandwidth\":{\"ingressRate\":"
		  "5},"
		  "\"namespace\":\"dflt\"}]" },
		{ "[]", "[]" },
		{ "a@lo", "\"a@lo\": interface name \"lo\": every pod has that one already" },
		{ "[{\"name\":\"a\",\"interface\":\"lo\"}]",
		  "element 1: interface name \"lo\": every pod has that one already" },
		{ "{\"name\":\"a\"}", "not a list" },
		{ "[1]", "element 1: not an object" },
		{ "[{\"name\":\"a\"},{}]", "element 2: \"\" is no name of a network" },
		{ "[{\"name\":\"../a\"}]", "element 1: \"../a\" is no name of a network" },
		{ "[{\"name\":\"a\",\"ips\":[\"10.0.0.5/33\"]}]",
		  "element 1: ips: \"10.0.0.5/33\" is not an IP prefix such as 10.0.0.0/8" },
		{ "[{\"name\":\"a\",\"ips\":\"10.0.0.5\"}]", "element 1: ips: not an array" },
		{ "[{\"name\":\"a\",\"default-route\":[\"10.0.0.1/24\"]}]",
		  "element 1: default-route: \"10.0.0.1/24\" is not an IP address" },
		{ "[{\"name\":\"a\",\"mac\":\"02:23:45:67:89\"}]",
		  "element 1: mac: \"02:23:45:67:89\" is no hardware address" },
		{ "[{\"name\":\"a\",\"mac\":\"02:23:45:67:89:zz\"}]",
		  "element 1: mac: \"02:23:45:67:89:zz\" is no hardware address" },
		{ "[{\"name\":\"a\",\"infiniband-guid\":\"c2:11:22:33:44:55:66:77\",\"mac\":"
		  "\"0223.4567.8901\"}]",
		  "[{\"name\":\"a\",\"infiniband-guid\":\"c2:11:22:33:44:55:66:77\",\"mac\":"
		  "\"0223.4567.8901\",\"namespace\":\"dflt\"}]" },
		{ "[{\"name\":\"a\",\"portMappings\":[{\"hostPort\":\"80\"}]}]",
		  "element 1: portMappings: hostPort: not a number" },
		{ "[{\"name\":\"a\",\"interface\":\"a/b\"}]",
		  "element 1: \"a/b\" is not an interface name" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_JSON *list = NULL;
		struct err e;

		if (multus_select(cases[i].text, "dflt", &list, &e) < 0) {
			assert_int_equal(e.kind, ERR_CONFIG);
			assert_string_equal(e.msg, cases[i].want);
		} else {
			is_text(list, cases[i].want);
		}
	}
}

/* A network's configuration with an element of the annotation, or NULL. */
static void add(struct multus_delegates *d, const char *conf, const char *request)
{
	struct err e;

	if (multus_delegate_add(d, parse(conf), "nad", NULL, request ? parse(request) : NULL,
	                        CNI_0_3_1, &e) < 0)
		fail_msg("%s", e.msg);
}

static void interface_names(void **state)
{
	static const char conf[] = "{\"name\":\"n\",\"type\":\"t\"}";
	AUTO_MULTUS_DELEGATES d = { NULL, 0 };
	struct err e;

	(void)state;
	add(&d, conf, NULL);
	add(&d, conf, "{\"name\":\"a\",\"namespace\":\"s\"}");
	add(&d, conf, "{\"name\":\"b\",\"namespace\":\"s\",\"interface\":\"mine\"}");
	add(&d, conf, "{\"name\":\"c\",\"namespace\":\"s\"}");
	if (multus_delegates_finish(&d, "eth0", &e) < 0)
		fail_msg("%s", e.msg);
	assert_true(d.v[0].is_master);
	assert_false(d.v[1].is_master);
	assert_string_equal(d.v[0].ifname, "eth0");
	assert_string_equal(d.v[1].ifname, "net1");
	assert_string_equal(d.v[2].ifname, "mine");
	assert_string_equal(d.v[3].ifname, "net3");
	assert_string_equal(d.v[0].name, "n");
	assert_string_equal(d.v[1].name, "s/a");
	add(&d, conf, "{\"name\":\"d\",\"namespace\":\"s\",\"interface\":\"net1\"}");
	assert_int_equal(multus_delegates_finish(&d, "eth0", &e), -1);
	assert_string_equal(e.msg, "networks s/a and s/d both want to be interface net1");
}

static void arguments(void **state)
{
	AUTO_MULTUS_DELEGATES d = { NULL, 0 };
	AUTO_FREE char *plain = NULL, *more = NULL, *infra = NULL;
	struct cni_call c = { .pod_namespace = "ns", .pod_name = "pod", .pod_uid = "uid" };

	(void)state;
	c.args = "K8S_POD_UID=uid;IgnoreUnknown=1;K8S_POD_INFRA_CONTAINER_ID=infra;FOO=a=b;bad;X=";
	add(&d, "{\"name\":\"n\",\"type\":\"t\"}", NULL);
	add(&d, "{\"name\":\"n\",\"type\":\"t\"}",
	    "{\"name\":\"a\",\"ips\":[\"10.0.0.1\",\"fd00::1/64\"],\"mac\":\"02:00:00:00:00:01\"}");
	infra = cni_arg(c.args, "K8S_POD_INFRA_CONTAINER_ID");
	plain = multus_args(&c, infra, &d.v[0]);
	more = multus_args(&c, infra, &d.v[1]);
	assert_string_equal(
		plain,
		"IgnoreUnknown=true;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=pod;K8S_POD_INFRA_"
		"CONTAINER_ID=infra;K8S_POD_UID=uid;FOO=a=b;X=");
	assert_string_equal(
		more,
		"IgnoreUnknown=true;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=pod;K8S_POD_INFRA_"
		"CONTAINER_ID=infra;K8S_POD_UID=uid;FOO=a=b;X=;MAC=02:00:00:00:00:01;IP="
		"10.0.0.1,fd00::1/64");
}

static void capability_arguments(void **state)
{
	static const char element[] =
		"{\"name\":\"a\",\"namespace\":\"s\",\"ips\":[\"10.0.0.1\"],\"mac\":\"02:00:00:00:"
		"00:01\","
		"\"portMappings\":[{\"hostPort\":1}],\"infiniband-guid\":\"c2:11:22:33:44:55:66:"
		"77\"}";
	AUTO_JSON *runtime =
		parse("{\"portMappings\":[{\"hostPort\":9}],\"bandwidth\":{\"ingressRate\":1},"
	              "\"dns\":{\"x\":1},"
	              "\"ips\":[],\"mac\":\"\"}");
	AUTO_MULTUS_DELEGATES d = { NULL, 0 };
	AUTO_JSON *master = NULL, *other = NULL, *none = NULL;
	struct err e;

	(void)state;
	add(&d, "{\"name\":\"n\",\"type\":\"t\"}", element);
	add(&d, "{\"name\":\"n\",\"type\":\"t\"}", element);
	if (multus_delegates_finish(&d, "eth0", &e) < 0)
		fail_msg("%s", e.msg);
	master = multus_capability_args(runtime, &d.v[0]);
	other = multus_capability_args(runtime, &d.v[1]);
	none = multus_capability_args(NULL, &d.v[0]);
	is_text(master, "{\"portMappings\":[{\"hostPort\":9}],\"bandwidth\":{\"ingressRate\":1}}");
	is_text(other,
	        "{\"portMappings\":[{\"hostPort\":1}],\"bandwidth\":{\"ingressRate\":1},\"ips\":"
	        "[\"10.0.0.1\"],\"mac\":\"02:00:00:00:00:01\",\"infinibandGUID\":"
	        "\"c2:11:22:33:44:55:66:77\"}");
	is_text(none, "{}");
}

/* cni-args and the device of a device plugin become part of each plugin's configuration. */
static void adornments(void **state)
{
	static const struct {
		const char *conf, *device, *want;
	} cases[] = {
		{ "{\"type\":\"t\",\"cniVersion\":\"0.3.1\",\"args\":{\"cni\":{\"a\":1,\"b\":2},"
		  "\"x\":0}}",
		  NULL,
		  "{\"type\":\"t\",\"cniVersion\":\"0.3.1\",\"args\":{\"cni\":{\"a\":1,\"b\":3},"
		  "\"x\":0},"
		  "\"name\":\"nad\"}" },
		{ "{\"name\":\"n\",\"cniVersion\":\"0.4.0\",\"plugins\":[{\"type\":\"p\"},{"
		  "\"type\":\"q\"}]}",
		  "0000:00:1f.6",
		  "{\"name\":\"n\",\"cniVersion\":\"0.4.0\",\"plugins\":[{\"type\":\"p\","
		  "\"deviceID\":"
		  "\"0000:00:1f.6\",\"pciBusID\":\"0000:00:1f.6\",\"args\":{\"cni\":{\"b\":3}}},{"
		  "\"type\":"
		  "\"q\",\"deviceID\":\"0000:00:1f.6\",\"pciBusID\":\"0000:00:1f.6\",\"args\":{"
		  "\"cni\":{"
		  "\"b\":3}}}]}" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_MULTUS_DELEGATES d = { NULL, 0 };
		struct err e;

		if (multus_delegate_add(&d, parse(cases[i].conf), "nad", cases[i].device,
		                        parse("{\"name\":\"a\",\"cni-args\":{\"b\":3}}"), CNI_0_3_1,
		                        &e) < 0)
			fail_msg("%s", e.msg);
		is_text(d.v[0].network.conf, cases[i].want);
	}
}

static void default_routes(void **state)
{
	static const char conf[] = "{\"name\":\"n\",\"type\":\"t\"}";
	static const struct {
		const char *requests[3]; /* default-route of each */
		const char *filters;     /* v4 and v6 of each */
	} cases[] = {
		{ { NULL, NULL, NULL }, "------" },
		{ { NULL, "[\"10.0.0.1\"]", NULL }, "46-646" },
		{ { NULL, "[\"10.0.0.1\",\"fd00::1\"]", NULL }, "46--46" },
		{ { NULL, "[\"10.0.0.1\"]", "[\"fd00::1\"]" }, "46-64-" },
		{ { NULL, "[]", NULL }, "464646" },
		{ { NULL, "[\"10.0.0.1\"]", "[\"10.0.0.2\"]" }, NULL },
		{ { NULL, "[\"fd00::1\",\"fd00::2\"]", NULL }, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_MULTUS_DELEGATES d = { NULL, 0 };
		struct err e;

		for (size_t k = 0; k < 3; k++) {
			const char *r = cases[i].requests[k];
			AUTO_FREE char *request =
				r ? xasprintf("{\"name\":\"a\",\"default-route\":%s}", r) : NULL;

			add(&d, conf, request);
		}
		if (multus_delegates_finish(&d, "eth0", &e) < 0) {
			assert_null(cases[i].filters);
			assert_non_null(strstr(e.msg, "2 gateways of IPv"));
			continue;
		}
		for (size_t k = 0; k < 6; k++)
			assert_int_equal(d.v[k / 2].filter[k % 2], cases[i].filters[k] != '-');
	}
}

static void results_lose_default_routes(void **state)
{
	AUTO_JSON *first =
		parse("{\"routes\":[{\"dst\":\"0.0.0.0/"
	              "0\",\"gw\":\"10.1.0.1\"},{\"dst\":\"10.9.0.0/16\"},"
	              "{\"dst\":\"::0/0\",\"gw\":\"fd01::1\"}]}");
	AUTO_JSON *second = parse("{\"ips\":[]}");
	AUTO_JSON *third = parse("{\"routes\":[{\"dst\":\"0.0.0.0/0\"}]}");
	AUTO_MULTUS_DELEGATES d = { NULL, 0 };
	struct err e;

	(void)state;
	add(&d, "{\"name\":\"n\",\"type\":\"t\"}", NULL);
	add(&d, "{\"name\":\"n\",\"type\":\"t\"}",
	    "{\"name\":\"a\",\"default-route\":[\"10.0.0.1\"]}");
	if (multus_delegates_finish(&d, "eth0", &e) < 0)
		fail_msg("%s", e.msg);
	multus_filter_result(first, &d.v[0]);
	multus_filter_result(second, &d.v[1]);
	multus_filter_result(third, &d.v[0]);
	is_text(first, "{\"routes\":[{\"dst\":\"10.9.0.0/16\"}]}");
	is_text(second, "{\"ips\":[],\"routes\":[{\"dst\":\"0.0.0.0/0\",\"gw\":\"10.0.0.1\"}]}");
	is_text(third, "{}");
}

static void the_file_for_del(void **state)
{
	AUTO_MULTUS_DELEGATES d = { NULL, 0 }, again = { NULL, 0 };
	AUTO_STR text = STR_INIT;
	AUTO_STR second = STR_INIT;
	struct err e;

	(void)state;
	add(&d, "{\"name\":\"n\",\"plugins\":[{\"type\":\"t\"}]}", NULL);
	add(&d, "{\"name\":\"m\",\"type\":\"u\"}",
	    "{\"name\":\"a\",\"namespace\":\"s\",\"interface\":\"mine\",\"mac\":\"02:00:00:00:00:"
	    "01\","
	    "\"ips\":[\"10.0.0.5\"],\"portMappings\":[{\"hostPort\":1}],\"default-route\":"
	    "[\"10.0.0.1\"]}");
	if (multus_delegates_finish(&d, "eth0", &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(multus_scratch_write(&d, &text, &e), 0);
	if (multus_scratch_read(text.data, text.len, CNI_1_0_0, "eth0", &again, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(multus_scratch_write(&again, &second, &e), 0);
	assert_string_equal(text.data, second.data);
	assert_int_equal(again.n, 2);
	assert_string_equal(again.v[1].ifname, "mine");
	assert_string_equal(again.v[1].name, "s/a");
	assert_true(again.v[0].network.is_list);
	assert_int_equal(again.v[0].network.version, CNI_0_3_1);
	assert_true(again.v[0].filter[MULTUS_V4]);
}

/* What cannot be read again is not written. */
static void a_file_that_is_too_deep(void **state)
{
	(void)state;
	for (int in_request = 0; in_request <= 1; in_request++)
		for (int more = 0; more <= 1; more++) {
			AUTO_MULTUS_DELEGATES d = { NULL, 0 }, again = { NULL, 0 };
			/* of the network's: list, element, configuration; of the request's one less
			 */
			int levels = JSON_DEPTH_MAX - 3 + in_request + more;
			AUTO_STR deep = STR_INIT;
			AUTO_STR conf = STR_INIT;
			AUTO_STR request = STR_INIT;
			AUTO_STR text = STR_INIT;
			struct err e;

			for (int i = 0; i < levels; i++)
				str_addc(&deep, '[');
			for (int i = 0; i < levels; i++)
				str_addc(&deep, ']');
			str_addf(&conf, "{\"name\":\"n\",\"type\":\"t\",\"x\":%s}",
			         in_request ? "0" : deep.data);
			str_addf(&request,
			         "{\"name\":\"a\",\"namespace\":\"s\",\"portMappings\":%s}",
			         in_request ? deep.data : "[]");
			add(&d, "{\"name\":\"m\",\"type\":\"t\"}", NULL);
			add(&d, conf.data, request.data);
			if (multus_delegates_finish(&d, "eth0", &e) < 0)
				fail_msg("%s", e.msg);
			assert_int_equal(multus_scratch_write(&d, &text, &e), more ? -1 : 0);
			if (more) {
				assert_int_equal(e.kind, ERR_CONFIG);
				assert_string_equal(e.msg,
				                    "network s/a: its configuration, or what the "
				                    "pod asks of it, is nested deeper than 62 "
				                    "levels");
			} else if (multus_scratch_read(text.data, text.len, CNI_1_0_0, "eth0",
			                               &again, &e) < 0) {
				fail_msg("%s", e.msg);
			}
		}
}

/* As Multus itself wrote it, before the node was moved. */
static void a_file_of_multus(void **state)
{
	static const char text[] =
		"[{\"Conf\":{\"cniVersion\":\"0.3.1\",\"name\":\"k8s-pod-network\",\"type\":\"\","
		"\"ipam\":{},"
		"\"dns\":{}},\"ConfList\":{\"cniVersion\":\"0.3.1\",\"name\":\"k8s-pod-network\","
		"\"plugins\":"
		"[{\"type\":\"calico\",\"ipam\":{\"type\":\"calico-ipam\"},\"dns\":{}}]},\"Name\":"
		"\"kube-system/"
		"k8s-pod-network\",\"IsFilterV4Gateway\":false,\"IsFilterV6Gateway\":false,"
		"\"Bytes\":"
		"\"eyJuYW1lIjoiazhzLXBvZC1uZXR3b3JrIiwicGx1Z2lucyI6W3sidHlwZSI6ImNhbGljbyJ9XX0=\"},"
		"{\"Conf\":{\"name\":\"mv\",\"type\":\"macvlan\",\"ipam\":{\"type\":\"static\"},"
		"\"dns\":{}},"
		"\"ConfList\":{\"dns\":{},\"plugins\":null},\"Name\":\"default/"
		"mv\",\"ifnameRequest\":\"lan\","
		"\"ipRequest\":[\"10.0.0.7/"
		"24\"],\"IsFilterV4Gateway\":false,\"IsFilterV6Gateway\":false,"
		"\"Bytes\":\"eyJuYW1lIjoibXYiLCJ0eXBlIjoibWFjdmxhbiJ9\"}]";
	static const char *const bad[] = {
		"",
		"{}",
		"[]",
	};
	static const char *const broken[] = {
		"1",
		"{}",
		"{\"Bytes\":\"???\"}",
		"{\"Bytes\":\"e30=\"}",
		"{\"Bytes\":\"eyJuYW1lIjoibXYiLCJ0eXBlIjoibWFjdmxhbiJ9\",\"ipRequest\":[1]}",
		"{\"Bytes\":\"\",\"Name\":\"ns/x\",\"ifnameRequest\":\"net2\"}",
	};
	AUTO_MULTUS_DELEGATES d = { NULL, 0 };
	struct err e;

	(void)state;
	if (multus_scratch_read(text, strlen(text), CNI_0_3_1, "eth0", &d, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(d.n, 2);
	assert_string_equal(d.v[0].ifname, "eth0");
	assert_string_equal(d.v[1].ifname, "lan");
	is_text(d.v[0].network.conf,
	        "{\"name\":\"k8s-pod-network\",\"plugins\":[{\"type\":\"calico\"}],"
	        "\"cniVersion\":\"0.3.1\"}");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		AUTO_MULTUS_DELEGATES none = { NULL, 0 };

		assert_int_equal(
			multus_scratch_read(bad[i], strlen(bad[i]), CNI_0_3_1, "eth0", &none, &e),
			-1);
	}
	/* what cannot be read keeps its place, for the names of the others */
	for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
		AUTO_MULTUS_DELEGATES some = { NULL, 0 };
		AUTO_FREE char *all = xasprintf(
			"[{\"Bytes\":\"eyJuYW1lIjoibXYiLCJ0eXBlIjoibWFjdmxhbiJ9\"},%s,"
			"{\"Bytes\":\"eyJuYW1lIjoibXYiLCJ0eXBlIjoibWFjdmxhbiJ9\"}]",
			broken[i]);

		if (multus_scratch_read(all, strlen(all), CNI_0_3_1, "eth0", &some, &e) < 0)
			fail_msg("%s", e.msg);
		assert_int_equal(some.n, 3);
		assert_null(some.v[0].broken);
		assert_non_null(some.v[1].broken);
		assert_null(some.v[1].network.conf);
		assert_string_equal(some.v[2].ifname, "net2");
	}
}

/* Cut anywhere, or with any byte changed: refused or read, and nothing else. */
static void damaged_texts(void **state)
{
	static const char annotation[] =
		"[{\"name\":\"a\",\"namespace\":\"n\",\"ips\":[\"10.0.0.5/"
		"24\",\"fd00::5\"],\"mac\":"
		"\"02:23:45:67:89:01\",\"default-route\":[\"10.0.0.1\"],\"cni-args\":{\"x\":1},"
		"\"portMappings\":[{\"hostPort\":80}],\"bandwidth\":{\"ingressRate\":5},"
		"\"interface\":"
		"\"i\"}]";
	static const char bytes[] = "\"{[0:,]a";
	AUTO_MULTUS_DELEGATES d = { NULL, 0 };
	AUTO_STR scratch = STR_INIT;
	struct err e;

	(void)state;
	add(&d, "{\"name\":\"n\",\"type\":\"t\"}",
	    "{\"name\":\"a\",\"namespace\":\"s\",\"ips\":[\"10.0.0.5\"],\"mac\":\"02:00:00:00:00:"
	    "01\","
	    "\"default-route\":[\"10.0.0.1\"],\"interface\":\"i\"}");
	if (multus_delegates_finish(&d, "eth0", &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(multus_scratch_write(&d, &scratch, &e), 0);
	for (size_t i = 0; i < sizeof(annotation) - 1; i++)
		for (size_t k = 0; k < sizeof(bytes); k++) {
			AUTO_FREE char *text = xstrdup(annotation);
			AUTO_JSON *list = NULL;

			text[i] = bytes[k]; /* the last one is the end */
			if (multus_select(text, "dflt", &list, &e) == 0)
				assert_true(json_is_array(list));
		}
	for (size_t i = 0; i < scratch.len; i++)
		for (size_t k = 0; k < sizeof(bytes) - 1; k++) {
			AUTO_MULTUS_DELEGATES read = { NULL, 0 };
			AUTO_FREE char *text = xstrdup(scratch.data);
			AUTO_FREE char *args = NULL;
			const struct cni_call c = { .args = "" };

			text[i] = bytes[k];
			if (multus_scratch_read(text, k ? scratch.len : i, CNI_0_3_1, "eth0", &read,
			                        &e) < 0)
				continue;
			/* what was read can be used */
			args = multus_args(&c, "", &read.v[0]);
			json_free(multus_capability_args(NULL, &read.v[0]));
		}
}

static void the_status(void **state)
{
	AUTO_JSON *one =
		parse("{\"cniVersion\":\"1.1.0\",\"interfaces\":[{\"name\":\"eth0\",\"mac\":\"00:"
	              "16:3e:00:00:01\","
	              "\"mtu\":1500,\"sandbox\":\"/var/run/netns/"
	              "x\"}],\"ips\":[{\"interface\":0,\"address\":"
	              "\"10.0.0.5/24\",\"gateway\":\"10.0.0.1\"},{\"address\":\"fd00:0::5/"
	              "64\"}],\"routes\":[{"
	              "\"dst\":\"0.0.0.0/0\",\"gw\":\"10.0.0.1\"},{\"dst\":\"10.9.0.0/"
	              "16\",\"gw\":\"10.0.0.2\"}]}");
	AUTO_JSON *pair =
		parse("{\"cniVersion\":\"0.3.1\",\"interfaces\":[{\"name\":\"veth1\",\"mac\":\"02:"
	              "00:00:00:00:01\"},"
	              "{\"name\":\"net1\",\"mac\":\"02:00:00:00:00:02\",\"sandbox\":\"/"
	              "x\"}],\"ips\":[{\"version\":"
	              "\"4\",\"interface\":1,\"address\":\"10.1.0.5/"
	              "24\"},{\"version\":\"4\",\"interface\":0,"
	              "\"address\":\"10.1.0.6/"
	              "24\"}],\"dns\":{\"nameservers\":[\"10.1.0.1\"],\"search\":[]}}");
	AUTO_MULTUS_DELEGATES d = { NULL, 0 };
	AUTO_STR text = STR_INIT;
	struct err e;

	(void)state;
	add(&d, "{\"name\":\"n\",\"type\":\"t\"}", NULL);
	add(&d, "{\"name\":\"m\",\"type\":\"t\"}", "{\"name\":\"a\",\"namespace\":\"s\"}");
	if (multus_delegates_finish(&d, "eth0", &e) < 0)
		fail_msg("%s", e.msg);
	multus_status_add(&text, &d.v[0], one);
	multus_status_add(&text, &d.v[1], pair);
	str_addc(&text, ']');
	assert_string_equal(text.data,
	                    "[{\n"
	                    "    \"name\": \"n\",\n"
	                    "    \"interface\": \"eth0\",\n"
	                    "    \"ips\": [\n"
	                    "        \"10.0.0.5\",\n"
	                    "        \"fd00::5\"\n"
	                    "    ],\n"
	                    "    \"mac\": \"00:16:3e:00:00:01\",\n"
	                    "    \"mtu\": 1500,\n"
	                    "    \"default\": true,\n"
	                    "    \"dns\": {},\n"
	                    "    \"gateway\": [\n"
	                    "        \"10.0.0.1\"\n"
	                    "    ]\n"
	                    "},{\n"
	                    "    \"name\": \"s/a\",\n"
	                    "    \"interface\": \"net1\",\n"
	                    "    \"ips\": [\n"
	                    "        \"10.1.0.5\"\n"
	                    "    ],\n"
	                    "    \"mac\": \"02:00:00:00:00:02\",\n"
	                    "    \"dns\": {\n"
	                    "        \"nameservers\": [\n"
	                    "            \"10.1.0.1\"\n"
	                    "        ]\n"
	                    "    }\n"
	                    "}]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(configurations),
		cmocka_unit_test(configuration_members),
		cmocka_unit_test(selections),
		cmocka_unit_test(interface_names),
		cmocka_unit_test(arguments),
		cmocka_unit_test(capability_arguments),
		cmocka_unit_test(adornments),
		cmocka_unit_test(default_routes),
		cmocka_unit_test(results_lose_default_routes),
		cmocka_unit_test(the_file_for_del),
		cmocka_unit_test(a_file_that_is_too_deep),
		cmocka_unit_test(a_file_of_multus),
		cmocka_unit_test(damaged_texts),
		cmocka_unit_test(the_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
