/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multus_source.h - where the multus plugin learns of a pod and of networks: the node's agent;
 * while that is away, the API server, by the kubeconfig of the configuration; and files.  An API
 * server that does not let us in, as the token in the kubeconfig ends with the agent's pod, leaves
 * nobody but the agent: it is waited for.
 */
#ifndef PLUGINS_MULTUS_SOURCE_H
#define PLUGINS_MULTUS_SOURCE_H

#include "cni/cni.h"
#include "k8s/client.h"
#include "plugins/multus_conf.h"

/* Strings are owned. */
struct multus_pod {
	bool known;                       /* false: it is no object, or nobody was asked */
	char *uid;                        /* of the object: a static pod has another one */
	char *default_network, *networks; /* the annotations; NULL: none */
};

void multus_pod_release(struct multus_pod *p);

struct multus_source {
	const struct multus_conf *conf; /* borrowed, as the call */
	const struct cni_call *call;
	bool direct;    /* the agent is not asked (any more) */
	char *away;     /* why, owned; NULL: it is */
	json *wanted;   /* the question about networks */
	json *networks; /* the agent's answer, by "namespace/name" */
	json *told;     /* what was asked for with the pod, when that was answered */
	struct k8s_config config;
	struct k8s_client *client;
};

void multus_source_release(struct multus_source *s);

/*
 * A call without a pod's name, and a configuration without agent and kubeconfig, know none.
 * if_known: the networks that it most likely has, as for multus_source_expect(), which then need
 * not ask.  ERR_NOT_FOUND: there is no such pod, or it has another uid.
 */
int multus_source_pod(struct multus_source *s, const json *if_known, struct multus_pod *out,
                      struct err *e) MUST_USE;

/*
 * Names ("namespace/name") that are going to be asked for, so that it takes one request.  Those of
 * if_known need not exist.  Both are arrays.
 */
int multus_source_expect(struct multus_source *s, const json *names, const json *if_known,
                         struct err *e) MUST_USE;

/*
 * The configuration of a NetworkAttachmentDefinition, owned; of one without, that of the file whose
 * "name" is the definition's.  *resource: its annotation k8s.v1.cni.cncf.io/resourceName, owned,
 * or NULL.  ERR_NOT_FOUND: there is no such definition.
 */
int multus_source_network(struct multus_source *s, const char *ns, const char *name, json **conf,
                          char **resource, struct err *e) MUST_USE;

/*
 * The configuration called name (NULL: the first one) in a folder's files *.conf, *.conflist and
 * *.json, owned.  What cannot be read is passed over with a line in the log, and so are
 * configurations of multus itself.  ERR_NOT_FOUND.
 */
int multus_file_network(const char *dir, const char *name, json **out, struct err *e) MUST_USE;
int multus_file_read(const char *path, json **out, struct err *e) MUST_USE;

/* Is one of its plugins multus? */
bool multus_is_itself(const json *conf);

/* Writes the pod's annotation; done when the agent has taken it over. */
int multus_source_status(struct multus_source *s, const struct multus_pod *p, const char *text,
                         struct err *e) MUST_USE;

#endif
