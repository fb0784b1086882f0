/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multus_conf.h - the configuration of the multus plugin (Multus CNI "thin",
 * docs/configuration.md). Pure.
 */
#ifndef PLUGINS_MULTUS_CONF_H
#define PLUGINS_MULTUS_CONF_H

#include "plugins/plugin_log.h"

#define MULTUS_CNI_DIR "/var/lib/cni/multus"

/* Borrowed from the configuration. */
struct multus_conf {
	const char *kubeconfig;   /* "": none */
	const char *agent_socket; /* "": the agent is not asked */
	const char *conf_dir, *cni_dir, *bin_dir;
	const char *cluster_network;  /* "": the delegates count */
	const json *delegates;        /* array, NULL: none */
	const json *default_networks; /* of strings; NULL: none */
	const char *multus_namespace;
	const json *system_namespaces; /* of strings; NULL: kube-system */
	bool namespace_isolation;
	const char *global_namespaces; /* separated by commas */
	const char *readiness_file;    /* "": none */
	const json *runtime_config;    /* object, or NULL */
	struct plugin_log log;
};

/* The members that it may have, as for json_unknown. */
extern const char multus_conf_keys[];

/*
 * ERR_CONFIG, with the key.  Neither clusterNetwork nor delegates: ERR_CONFIG too.  agentSocket is
 * ours: "" switches the agent off; left out, the agent is asked where there is a kubeconfig.
 */
int multus_conf_read(const json *conf, struct multus_conf *out, struct err *e) MUST_USE;

/* Pods of these namespaces get no default networks besides the cluster's. */
bool multus_is_system_namespace(const struct multus_conf *c, const char *ns);
/* May a pod of the namespace pod_ns name a network of the namespace ns? */
bool multus_may_refer(const struct multus_conf *c, const char *pod_ns, const char *ns);

#endif
