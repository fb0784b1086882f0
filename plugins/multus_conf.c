/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multus_conf.c - see multus_conf.h.
 */
#include <string.h>

#include "plugins/agent_client.h"
#include "plugins/multus_conf.h"

const char multus_conf_keys[] =
	"type name cniVersion cniVersions capabilities runtimeConfig args prevResult dns ipam "
	"cni.dev/* "
	"kubeconfig agentSocket confDir cniDir binDir clusterNetwork delegates defaultNetworks "
	"multusNamespace systemNamespaces namespaceIsolation globalNamespaces "
	"readinessindicatorfile "
	"retryDeleteOnError logFile logLevel logToStderr logOptions auxiliaryCNIChainName "
	"disableCheck "
	"disableGC";

static int read_strings(const json *conf, struct multus_conf *c, struct err *e)
{
	const struct {
		const char *key, **out;
	} strings[] = {
		{ "kubeconfig", &c->kubeconfig },
		{ "agentSocket", &c->agent_socket },
		{ "confDir", &c->conf_dir },
		{ "cniDir", &c->cni_dir },
		{ "binDir", &c->bin_dir },
		{ "clusterNetwork", &c->cluster_network },
		{ "multusNamespace", &c->multus_namespace },
		{ "globalNamespaces", &c->global_namespaces },
		{ "readinessindicatorfile", &c->readiness_file },
	};

	for (size_t i = 0; i < ARRAY_LEN(strings); i++) {
		const char *text = NULL;

		if (json_opt_str(conf, strings[i].key, &text, e) < 0)
			return -1;
		/* "" is as good as nothing, but for the agent's socket */
		if (text && (*text || strings[i].out == &c->agent_socket))
			*strings[i].out = text;
	}
	return 0;
}

static int read_lists(const json *conf, struct multus_conf *c, struct err *e)
{
	if (json_opt_arr(conf, "delegates", &c->delegates, e) < 0 ||
	    json_opt_strs(conf, "defaultNetworks", &c->default_networks, e) < 0 ||
	    json_opt_strs(conf, "systemNamespaces", &c->system_namespaces, e) < 0 ||
	    json_opt_obj(conf, "runtimeConfig", &c->runtime_config, e) < 0 ||
	    json_opt_bool(conf, "namespaceIsolation", &c->namespace_isolation, e) < 0)
		return -1;
	if (!*c->cluster_network && !json_first(c->delegates))
		return err_set(e, ERR_CONFIG, "one of clusterNetwork and delegates is needed");
	return 0;
}

int multus_conf_read(const json *conf, struct multus_conf *out, struct err *e)
{
	struct multus_conf c = {
		.kubeconfig = "",
		.conf_dir = "/etc/cni/multus/net.d",
		.cni_dir = MULTUS_CNI_DIR,
		.bin_dir = "/opt/cni/bin",
		.cluster_network = "",
		.multus_namespace = "kube-system",
		.global_namespaces = "default",
		.readiness_file = "",
	};

	if (read_strings(conf, &c, e) < 0 || read_lists(conf, &c, e) < 0 ||
	    plugin_log_read_multus(conf, &c.log, e) < 0) {
		if (e)
			e->kind = ERR_CONFIG;
		return err_wrap(e, "configuration");
	}
	if (!c.agent_socket)
		c.agent_socket = *c.kubeconfig ? AGENT_SOCKET : "";
	*out = c;
	return 0;
}

bool multus_is_system_namespace(const struct multus_conf *c, const char *ns)
{
	if (!c->system_namespaces)
		return streq(ns, "kube-system");
	json_each(s, c->system_namespaces) if (streq(json_text(s), ns)) return true;
	return false;
}

static bool is_in_list(const char *list, const char *word)
{
	size_t len = strlen(word);

	while (*list) {
		list += strspn(list, ", \t");
		if (strncmp(list, word, len) == 0 && strchr(", \t", list[len]))
			return true;
		list += strcspn(list, ",");
	}
	return false;
}

bool multus_may_refer(const struct multus_conf *c, const char *pod_ns, const char *ns)
{
	return !c->namespace_isolation || streq(pod_ns, ns) || is_in_list(c->global_namespaces, ns);
}
