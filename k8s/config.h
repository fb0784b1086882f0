/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.h - where the API server is and who we are: in-cluster files or a kubeconfig.
 */
#ifndef K8S_CONFIG_H
#define K8S_CONFIG_H

#include "http/tls.h"
#include "http/url.h"

#define K8S_SERVICE_ACCOUNT_DIR "/var/run/secrets/kubernetes.io/serviceaccount"

struct k8s_config {
	struct url server;
	char *tls_name;         /* what the certificate must be for; owned */
	struct tls_config *tls; /* NULL for plain http */
	char *token;            /* fixed token, or NULL; owned */
	char *token_file; /* re-read for every connection and after a 401: it rotates; or NULL */
	char *namespace;  /* default one, never NULL; owned */
};

/* KUBERNETES_SERVICE_HOST and _PORT, and dir/{ca.crt,token,namespace}. */
int k8s_config_in_cluster(const char *dir, struct k8s_config *out, struct err *e) MUST_USE;

/*
 * A kubeconfig file; context NULL: its current-context.  Inline data and files (relative to the
 * kubeconfig's folder), token, tokenFile, client certificate, tls-server-name.  ERR_CONFIG with a
 * clear text for exec, auth-provider, username, insecure-skip-tls-verify, proxy-url.
 */
int k8s_config_kubeconfig(const char *path, const char *context, struct k8s_config *out,
                          struct err *e) MUST_USE;

/* path when not NULL, else $KUBECONFIG, else in-cluster when its variables are set, else
 * ~/.kube/config. */
int k8s_config_default(const char *path, const char *context, struct k8s_config *out,
                       struct err *e) MUST_USE;
void k8s_config_release(struct k8s_config *c);

#endif
