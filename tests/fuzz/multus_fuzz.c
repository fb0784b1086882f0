/* SPDX-License-Identifier: Apache-2.0 */
/* links: plugins/multus_conf.c plugins/multus_select.c plugins/plugin_log.c agent/networks.c */
/* links: cni/cni.c cni/result.c cni/delegate.c cni/env.c cni/conf.c cni/check.c net/ */
/* links: json/json.c base/ */
/* libs: cjson mnl */
/* flags: -Wno-unused-function */
/*
 * multus_fuzz.c - what the multus plugin reads: the annotation by which a pod selects networks, its
 * own configuration, configurations of networks, and kept results.
 *
 * Lines of an input: the annotation, the pod's namespace, the configuration, a network's
 * configuration, capability arguments, a result, CNI_ARGS as a kept result has them.
 */
#include "cni/list.c"

#include "agent/pods.h"
#include "plugins/multus_conf.h"
#include "plugins/multus_select.h"
#include "tests/fuzz/mutate.h"

/* The agent tells a NIC's network from the same annotation: both find the same one. */
static void check_agent(const char *text, const char *ns, const json *list)
{
	const struct pod_facts f = { .default_network = "", .networks = (char *)(uintptr_t)text };
	size_t place = 0;

	must(network_count(text) == json_count(list));
	json_each(o, list)
	{
		const char *ifname = json_str_at(o, "interface", NULL);
		AUTO_FREE char *by_place = xasprintf("net%zu", ++place);
		AUTO_FREE char *why = NULL;
		AUTO_FREE char *network = NULL;
		AUTO_FREE char *wanted = NULL;

		if (!ifname || !*ifname)
			ifname = by_place;
		/* an earlier one may have the same interface, which is refused later; these two are
		 * the pod's first interface to the agent */
		if (network_place(text, ifname) != place || streq(ifname, "eth0") ||
		    streq(ifname, "0"))
			continue;
		network = pod_network(&f, ifname, NULL, ns, "agents", &why);
		wanted = xasprintf("%s/%s", json_str_at(o, "namespace", NULL),
		                   json_str_at(o, "name", NULL));
		must(network && streq(network, wanted));
	}
}

/* Annotations come out of JSON. */
static bool is_utf8(const char *s)
{
	for (size_t n; *s; s += n) {
		n = (unsigned char)*s < 0x80 ? 1 : utf8_length(s);
		if (!n)
			return false;
	}
	return true;
}

static void check_selection(const char *text, const char *ns)
{
	AUTO_JSON *list = NULL, *again = NULL;
	struct err e = { .kind = ERR_NONE };
	AUTO_FREE char *printed = NULL;

	if (multus_select(text, ns, &list, &e) < 0) {
		must(e.kind == ERR_CONFIG && !list);
		must_tell(&e);
		return;
	}
	must(json_count(list) <= MULTUS_NETWORKS_MAX);
	json_each(o, list)
	{
		const char *ifname = json_str_at(o, "interface", NULL);
		const char *name = json_str_at(o, "name", NULL);

		must(name && *name && !strchr(name, '/'));
		must(json_str_at(o, "namespace", NULL));
		must(!ifname || !*ifname || link_check_name(ifname, NULL) == 0);
	}
	printed = fuzz_print(list);
	must(multus_select(printed, "another", &again, &e) == 0);
	if (*ns)
		must_print_alike(list, again);
	check_agent(text, ns, list);
}

static void check_conf(const json *conf, const char *ns)
{
	struct err e = { .kind = ERR_NONE };
	struct multus_conf c;

	if (multus_conf_read(conf, &c, &e) < 0) {
		must(e.kind == ERR_CONFIG);
		must_tell(&e);
		return;
	}
	must(*c.conf_dir && *c.cni_dir && *c.bin_dir && *c.multus_namespace);
	must(c.kubeconfig && c.agent_socket && c.readiness_file && c.log.max_mib);
	must(*c.cluster_network || json_first(c.delegates));
	must(multus_may_refer(&c, ns, ns));
	must(multus_is_system_namespace(&c, "kube-system") || c.system_namespaces);
}

/* What each plugin of the network finds on its standard input. */
static void check_texts(const struct cni_network *n, const json *capabilities, const json *prev)
{
	struct cni_runtime rt = { .capability_args = capabilities };

	for (size_t i = 0; i < count_plugins(n); i++) {
		AUTO_STR text = STR_INIT;
		AUTO_JSON *conf = NULL;

		plugin_text(n, &rt, plugin_at(n, i), prev, NULL, &text);
		conf = fuzz_json(text.data);
		must(conf && streq(json_str_at(conf, "name", NULL), n->name));
		must(streq(json_str_at(conf, "cniVersion", NULL), cni_version_text(n->version)));
		must(*json_str_at(conf, "type", NULL));
		if (prev)
			must_print_alike(json_get(conf, "prevResult"), prev);
	}
}

static void check_network(const json *conf, const json *capabilities, const json *prev)
{
	AUTO_CNI_NETWORK n = { .conf = NULL };
	AUTO_CNI_NETWORK again = { .conf = NULL };
	struct err e = { .kind = ERR_NONE };

	if (cni_network_read(json_copy(conf), "by-name", CNI_0_3_1, &n, &e) < 0) {
		must(e.kind == ERR_CONFIG && !n.conf);
		must_tell(&e);
		return;
	}
	must(check_id("name", n.name, NULL) == 0 && n.version <= CNI_1_1_0);
	must(count_plugins(&n) > 0);
	check_texts(&n, json_is_object(capabilities) ? capabilities : NULL, prev);
	/* as it is kept, for the DEL */
	must(cni_network_read(json_copy(n.conf), NULL, CNI_0_3_0, &again, &e) == 0);
	must(streq(n.name, again.name) && n.version == again.version);
	must(n.is_list == again.is_list && n.disable_check == again.disable_check);
}

/* A kept result in another version's shape. */
static void check_convert(const json *result)
{
	for (int v = CNI_0_3_0; v <= CNI_1_1_0; v++) {
		AUTO_JSON *j = json_copy(result), *same = NULL;
		AUTO_CNI_RESULT before = { .dns = NULL };
		AUTO_CNI_RESULT after = { .dns = NULL };
		struct err e = { .kind = ERR_NONE };

		cni_result_convert(j, (enum cni_version)v);
		must(streq(json_str_at(j, "cniVersion", NULL),
		           cni_version_text((enum cni_version)v)));
		same = json_copy(j);
		cni_result_convert(same, (enum cni_version)v);
		must_print_alike(j, same);
		if (cni_result_read(result, &before, &e) == 0)
			must(cni_result_read(j, &after, &e) == 0 && before.n_ips == after.n_ips);
	}
}

static void check_args(const json *kept)
{
	AUTO_FREE char *text = args_text(kept);
	AUTO_JSON *list = args_list(text);
	AUTO_FREE char *again = args_text(list);

	must(!*text || strchr(text, '='));
	must(strlen(again) <= strlen(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = fuzz_begin(data, size);
	AUTO_FREE char *annotation = fuzz_line(&in);
	AUTO_FREE char *ns = fuzz_line(&in);
	AUTO_FREE char *conf_text = fuzz_line(&in);
	AUTO_FREE char *network_text = fuzz_line(&in);
	AUTO_FREE char *capabilities_text = fuzz_line(&in);
	AUTO_FREE char *result_text = fuzz_line(&in);
	AUTO_FREE char *args_text = fuzz_line(&in);
	AUTO_JSON *conf = fuzz_json(conf_text), *network = fuzz_json(network_text);
	AUTO_JSON *capabilities = fuzz_json(capabilities_text);
	AUTO_JSON *result = fuzz_json(result_text), *args = fuzz_json(args_text);

	/* CNI_ARGS let no other one through */
	if (is_utf8(annotation) && is_utf8(ns) && !strchr(ns, '/'))
		check_selection(annotation, ns);
	if (json_is_object(conf))
		check_conf(conf, ns);
	if (network)
		check_network(network, capabilities, json_is_object(result) ? result : NULL);
	if (json_is_object(result))
		check_convert(result);
	check_args(args);
	return 0;
}
