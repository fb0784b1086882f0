/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipam.h - the IPAM plugin: asks the node's agent for addresses, never the API server.  Also
 * called in-process by ipvlan.c when ipam.type names this binary.
 */
#ifndef PLUGINS_IPAM_H
#define PLUGINS_IPAM_H

#include "cni/cni.h"
#include "plugins/detect.h"

extern const struct cni_plugin ipam_plugin;

/* In CNI_ARGS: the NetworkAttachmentDefinition, NAMESPACE/NAME, that an interface is made for. */
#define IPAM_NETWORK_ARG "SPIDERBOX_NETWORK"

/* Is this ipam.type ours? ("spiderpool", "spiderbox", "ipam") */
bool ipam_is_ours(const char *type);

/*
 * The handlers, for a main plugin that holds the configuration; *result is the IPAM document of the
 * call's version, owned.  What the agent wants to be detected comes in *wanted (to be released),
 * and is the caller's to do; with NULL it is done here, on the interface in the pod.
 */
int ipam_add(struct cni_call *c, struct detections *wanted, json **result, int *code,
             struct err *e) MUST_USE;
int ipam_del(struct cni_call *c, int *code, struct err *e) MUST_USE;
int ipam_check(struct cni_call *c, int *code, struct err *e) MUST_USE;
int ipam_status(struct cni_call *c, int *code, struct err *e) MUST_USE;

/*
 * Gives back what attachments of this network have that are not among cni.dev/valid-attachments and
 * whose network namespace is gone.  Records tell both; where they do not, nothing is done, as the
 * agent looks after the rest by itself.  Stops with the first that the agent does not release.
 */
int ipam_gc(struct cni_call *c, int *code, struct err *e) MUST_USE;

/*
 * Undoes an ADD that failed later.  conflicts (detect.h, or NULL): addresses that are not to be
 * given to the next pod, and why.  An agent that is away releases them when it is back, and hears
 * of no conflict then.
 */
int ipam_give_back(struct cni_call *c, const json *conflicts, int *code, struct err *e) MUST_USE;

#endif
